/*-------------------------------------------------------------------------
 *
 * chron_writer.c
 *	  The writer's life: one background worker per database.
 *
 * It comes when the first backend needs it, sees to batches (chron_batch.c),
 * and leaves when it is told to or when its extension is gone.  Settings that
 * its durability hangs on are pinned here, whatever the database's are.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include <sched.h>

#include "access/xact.h"
#include "compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "text.h"
#include "utils/guc.h"
#include "utils/memutils.h"

CLAIIM_WAIT_EVENT(wait_event_writer_main, "ClaiimWriterMain")

/* How long a batch waits for a lock on Chron that somebody else holds. */
#define LOCK_TIMEOUT	"2s"

/* After a failed start or batch the next is not tried before this long, in ms. */
#define RETRY_DELAY	1000

/* With nothing to do, look after partitions this often, in ms. */
#define IDLE_TIMEOUT	60000

/* With nothing to do, go to sleep after so long, in us; see become_idle. */
#define LINGER	200

bool		claiim_am_writer = false;

static ClaiimDatabase *my_db = NULL;
static uint64 my_generation;
static MemoryContext my_context = NULL;
static bool fsync_recorded;		/* what writer.start said */

/*
 * Coming and going
 */

/* Whatever ends this process: nobody may go on waiting for it. */
static void
writer_exit(int code, Datum arg)
{
	chron_batch_abandon();

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	if (my_db->writer_generation == my_generation)
	{
		/* Not asked to leave, and not yet started: do not spin. */
		if (my_db->writer_state == WRITER_STARTING)
			my_db->writer_retry_at = CLAIIM_DEADLINE(RETRY_DELAY);
		my_db->writer_state = WRITER_NONE;
		my_db->writer_pid = 0;
		my_db->writer_proc = NULL;
		my_db->acts_waiting = true;
		chron_queue_wake_all(my_db);
	}
	LWLockRelease(claiim_shared->lock);
	ConditionVariableBroadcast(&my_db->writer_changed);
}

/* Leave the reason where those who wait for a writer find it. */
static void
leave_error(const char *message)
{
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	my_db->writer_error[0] = '\0';
	text_append(my_db->writer_error, sizeof(my_db->writer_error), message);
	LWLockRelease(claiim_shared->lock);
}

/*
 * Weaker than this no answer may be; stronger is the DBA's choice.  Again
 * after every reload, which may have weakened it.  As if the file said so, if
 * that is enough: what overrides it would keep it from being made stronger.
 */
static void
pin_durability(void)
{
	static const GucSource sources[] = {PGC_S_FILE, PGC_S_OVERRIDE};

	for (int i = 0; i < (int) lengthof(sources); i++)
		if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
			SetConfigOption("synchronous_commit", "on", PGC_SUSET, sources[i]);
}

/* This process's settings, whatever the database's or the cluster's are. */
static void
pin_settings(void)
{
	static const char *const pinned[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"lock_timeout", LOCK_TIMEOUT},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"session_replication_role", "origin"},
		{"row_security", "off"},
		{"timezone", "UTC"},
		{"zero_damaged_pages", "off"},
		{"default_table_access_method", "heap"},
		{"default_tablespace", ""},
		CLAIIM_TIMEOUT_SETTINGS
	};

	for (int i = 0; i < (int) lengthof(pinned); i++)
		SetConfigOption(pinned[i][0], pinned[i][1], PGC_SUSET, PGC_S_OVERRIDE);

	pin_durability();
	fsync_recorded = enableFsync;
	if (!enableFsync)
		ereport(WARNING,
				(errmsg("Chron's writer runs with fsync off: an acknowledged decision can be lost in a crash of the machine")));
}

/*
 * Waiting for work
 */

static int64 idle_since = 0;	/* 0: it is not */
static bool lingers = false;

/*
 * With nothing to do, look on for a moment before going to sleep: a single
 * caller that has just been answered asks again within that time, and finds
 * the writer awake.  Only where the last one did come so soon, and so that
 * whoever else wants the processor gets it.
 */
static void
become_idle(void)
{
	if (idle_since == 0)
		idle_since = claiim_ticks();
	while (lingers && !chron_queue_waiting(my_db) && !MyLatch->is_set &&
		   claiim_ticks() - idle_since < LINGER)
		sched_yield();
}

static void
become_busy(void)
{
	if (idle_since != 0)
		lingers = claiim_ticks() - idle_since < LINGER;
	idle_since = 0;
}

/*
 * Life
 */

/* Ready; false if this start was given up on meanwhile. */
static bool
announce(void)
{
	bool		mine;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	mine = my_db->writer_generation == my_generation &&
		my_db->writer_proc == MyProc;
	if (mine)
	{
		my_db->writer_state = WRITER_RUNNING;
		my_db->writer_retry_at = 0;
		my_db->writer_error[0] = '\0';
	}
	LWLockRelease(claiim_shared->lock);
	if (!mine)
		return false;
	ConditionVariableBroadcast(&my_db->writer_changed);
	chron_queue_wake_all(my_db);
	return true;
}

/* Is the extension still here, and a database that may be written to? */
static bool
still_wanted(void)
{
	bool		wanted;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	wanted = claiim_catalog(true) != NULL;
	CommitTransactionCommand();
	return wanted;
}

static bool
take_place(void)
{
	bool		mine;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	mine = my_db->writer_generation == my_generation &&
		my_db->writer_state == WRITER_STARTING && my_db->holds == 0;
	if (mine)
	{
		my_db->writer_pid = MyProcPid;
		my_db->writer_proc = MyProc;
	}
	LWLockRelease(claiim_shared->lock);
	return mine;
}

/* Settings have been read anew. */
static void
reload(void)
{
	ProcessConfigFile(PGC_SIGHUP);
	pin_durability();

	/* The next start says so, in Chron and in the log. */
	if (enableFsync != fsync_recorded)
	{
		token_use_stop();
		proc_exit(0);
	}
}

/* Record what there is to record, or wait for it. */
static void
work(void)
{
	int			events;
	long		wait;

	if (ProcDiePending)
		token_use_stop();
	/* Under load it does not wait, and would not notice. */
	if (!PostmasterIsAlive())
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		reload();
	}

	/* A transaction's end leaves us in TopMemoryContext. */
	MemoryContextSwitchTo(my_context);
	MemoryContextReset(my_context);
	if (token_use_due() && !still_wanted())
		proc_exit(0);
	if (chron_queue_waiting(my_db) || my_db->acts_waiting || token_use_due())
	{
		bool		good;

		become_busy();
		good = chron_batch_run();
		/* Without this nobody would ever vacuum or analyze Chron. */
		(void) pgstat_report_stat(false);
		if (good)
			return;
		if (!still_wanted())
			proc_exit(0);
		wait = RETRY_DELAY;
	}
	else
	{
		become_idle();
		if (chron_queue_waiting(my_db))
			return;
		wait = token_use_wait(IDLE_TIMEOUT);
	}

	events = WaitLatch(MyLatch,
					   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   wait, wait_event_writer_main());
	ResetLatch(MyLatch);
	if ((events & WL_TIMEOUT) && wait == IDLE_TIMEOUT)
	{
		if (!still_wanted())
			proc_exit(0);
		chron_batch_ensure_partitions();
	}
}

/*
 * A cancel ends what the writer is at, and not the writer: a batch, whose
 * callers are told (chron_batch.c); a start, which is made again; and
 * otherwise nothing.  Every other error ends it.
 */
static void
survive_cancel(bool started)
{
	ErrorData  *error;

	MemoryContextSwitchTo(my_context);
	error = CopyErrorData();
	if (!started)
		leave_error(error->message);
	if (error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		PG_RE_THROW();
	chron_batch_abort(my_context);
	/* FreeErrorData leaves some of it. */
	MemoryContextReset(my_context);
}

void
claiim_writer_main(Datum main_arg)
{
	Oid			database;
	volatile bool started = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	chron_writer_args(&database, &my_generation);
	my_db = claiim_find_database(database);
	if (my_db == NULL)
		proc_exit(0);
	before_shmem_exit(writer_exit, (Datum) 0);
	if (!take_place())
		proc_exit(0);

	/* Until there is a start that it can end, a cancel waits. */
	HOLD_CANCEL_INTERRUPTS();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	claiim_am_writer = true;
	chron_queue_writer_init();
	pin_settings();
	pgstat_report_appname("claiim writer");
	my_context = AllocSetContextCreate(TopMemoryContext, "claiim writer",
									   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(my_context);
	RESUME_CANCEL_INTERRUPTS();

	for (;;)
	{
		PG_TRY();
		{
			if (!started)
			{
				chron_batch_start(my_db, my_generation);
				if (!announce())
					proc_exit(0);
				started = true;
			}
			for (;;)
				work();
		}
		PG_CATCH();
		{
			survive_cancel(started);
		}
		PG_END_TRY();
	}
}
