/*-------------------------------------------------------------------------
 *
 * chron_launch.c
 *	  Starting the writer of a database, and keeping it away.
 *
 *		NONE -> STARTING		the first backend that needs it registers a worker
 *		STARTING -> RUNNING		the worker has recovered its tip
 *		any -> NONE				the worker exits; or did not start in time
 *
 * A worker is not restarted by the postmaster: the next backend that needs
 * it starts another.  Each start has a generation number, so that a worker
 * that was given up on and comes late finds that out and leaves.
 *
 * Commands that need a database without connections (DROP DATABASE and its
 * like, see hooks.c) hold the writer away: it is asked to leave, and until
 * the hold is over none is started.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include <signal.h>

#include "compat.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

CLAIIM_WAIT_EVENT(wait_event_writer_start, "ClaiimWriterStart")
CLAIIM_WAIT_EVENT(wait_event_writer_stop, "ClaiimWriterStop")

/*
 * A worker that was registered and has not come after this long is given up
 * on, in ms.  One that has come is not: it may wait for a lock, a standby.
 */
#define START_TIMEOUT	10000

typedef struct WriterArgs
{
	Oid			database;
	uint64		generation;
} WriterArgs;

StaticAssertDecl(sizeof(WriterArgs) <= BGW_EXTRALEN, "WriterArgs must fit");

static bool
register_writer(Oid database, uint64 generation)
{
	BackgroundWorker worker;
	WriterArgs	args = {database, generation};

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "claiim");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "claiim_writer_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "claiim writer for database %u", database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "claiim writer");
	memcpy(worker.bgw_extra, &args, sizeof(args));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* What register_writer passed to this worker. */
void
chron_writer_args(Oid *database, uint64 *generation)
{
	WriterArgs	args;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	*database = args.database;
	*generation = args.generation;
}

typedef enum LaunchResult
{
	LAUNCH_RUNNING,
	LAUNCH_UNDER_WAY,
	LAUNCH_HELD,
	LAUNCH_NO_WORKER
} LaunchResult;

/* A worker that has not come in time does not come.  Under the lock. */
static void
give_up_late_start(ClaiimDatabase *db)
{
	if (db->writer_state == WRITER_STARTING && db->writer_pid == 0 &&
		claiim_ticks() - db->writer_registered >= START_TIMEOUT * 1000)
		db->writer_state = WRITER_NONE;
}

/* Look at the writer; start one if there is none. */
static LaunchResult
look_or_launch(ClaiimDatabase *db)
{
	bool		launch = false;
	uint64		generation = 0;
	LaunchResult result = LAUNCH_UNDER_WAY;

	/* The usual case, without the lock; the wait looks again. */
	if (db->writer_state == WRITER_RUNNING)
		return LAUNCH_RUNNING;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	give_up_late_start(db);

	if (db->writer_state == WRITER_RUNNING)
		result = LAUNCH_RUNNING;
	else if (db->holds > 0)
		result = LAUNCH_HELD;
	else if (db->writer_state == WRITER_NONE &&
			 claiim_ticks() >= db->writer_retry_at)
	{
		db->writer_state = WRITER_STARTING;
		db->writer_started = GetCurrentTimestamp();
		db->writer_registered = claiim_ticks();
		generation = ++db->writer_generation;
		launch = true;
	}
	LWLockRelease(claiim_shared->lock);

	if (launch && !register_writer(db->oid, generation))
	{
		LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
		if (db->writer_generation == generation)
			db->writer_state = WRITER_NONE;
		LWLockRelease(claiim_shared->lock);
		ConditionVariableBroadcast(&db->writer_changed);
		result = LAUNCH_NO_WORKER;
	}
	return result;
}

/* Ask for a writer without waiting for it, and without an error. */
void
chron_try_start_writer(ClaiimDatabase *db)
{
	(void) look_or_launch(db);
}

/*
 * Returns when a writer is running.  what: that needs one, for errors.
 *
 * Errors: 53400 if there is no place for another worker; 55006 while a
 * command holds it away; 57P03 if none came up before the deadline.
 */
void
chron_ensure_writer(ClaiimDatabase *db, const char *what, int64 deadline)
{
	LaunchResult result = look_or_launch(db);
	char		why[sizeof(db->writer_error)];

	if (result == LAUNCH_RUNNING)
		return;

	ConditionVariablePrepareToSleep(&db->writer_changed);
	while ((result = look_or_launch(db)) == LAUNCH_UNDER_WAY)
	{
		int64		left = deadline - claiim_ticks();

		if (left <= 0)
			break;
		ConditionVariableTimedSleep(&db->writer_changed,
									(long) Min(left / 1000 + 1, 1000),
									wait_event_writer_start());
	}
	ConditionVariableCancelSleep();

	switch (result)
	{
		case LAUNCH_RUNNING:
			return;
		case LAUNCH_NO_WORKER:
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("the %s was not taken: Chron's writer could not be started", what),
					 errdetail("All background worker slots are in use."),
					 errhint("Increase max_worker_processes and restart the server.")));
			break;
		case LAUNCH_HELD:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("the %s was not taken: a command on this database keeps Chron's writer away", what),
					 errhint("Try again when it has finished.")));
			break;
		case LAUNCH_UNDER_WAY:
			LWLockAcquire(claiim_shared->lock, LW_SHARED);
			strlcpy(why, db->writer_error, sizeof(why));
			LWLockRelease(claiim_shared->lock);
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("the %s was not taken: Chron's writer did not start within claiim.queue_timeout", what),
					 why[0] ? errdetail("The last start failed: %s.", why) : 0,
					 errhint("The server's log says more.")));
			break;
	}
}

static void
unhold_at_exit(int code, Datum arg)
{
	chron_writer_unhold(DatumGetObjectId(arg));
}

/*
 * Keep the writer away from a database until chron_writer_unhold, and wait
 * until it has left.
 */
void
chron_writer_hold(Oid database)
{
	ClaiimDatabase *db = claiim_find_database(database);

	if (db == NULL)
		return;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	db->holds++;
	LWLockRelease(claiim_shared->lock);

	PG_ENSURE_ERROR_CLEANUP(unhold_at_exit, ObjectIdGetDatum(database));
	{
		ConditionVariablePrepareToSleep(&db->writer_changed);
		for (;;)
		{
			pid_t		pid = 0;
			bool		gone;

			LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
			give_up_late_start(db);
			gone = (db->writer_state == WRITER_NONE);
			pid = db->writer_pid;
			LWLockRelease(claiim_shared->lock);
			if (gone)
				break;
			if (pid != 0)
				kill(pid, SIGTERM);
			ConditionVariableTimedSleep(&db->writer_changed, 100,
										wait_event_writer_stop());
		}
		ConditionVariableCancelSleep();
	}
	PG_END_ENSURE_ERROR_CLEANUP(unhold_at_exit, ObjectIdGetDatum(database));
}

void
chron_writer_unhold(Oid database)
{
	ClaiimDatabase *db = claiim_find_database(database);

	if (db == NULL)
		return;
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	if (db->holds > 0)
		db->holds--;
	LWLockRelease(claiim_shared->lock);
	ConditionVariableBroadcast(&db->writer_changed);
}
