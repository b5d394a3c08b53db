/*-------------------------------------------------------------------------
 *
 * chron_queue.c
 *	  Handing decisions to the writer, and waiting until they are durable.
 *
 * A request is one slot of shared memory.  Its state says whose it is:
 *
 *		FREE -> FILLING			caller		reserve
 *		FILLING -> QUEUED		caller		push
 *		QUEUED -> IN_FLIGHT		writer		take
 *		IN_FLIGHT -> RECORDED, STALE or FAILED	writer	finish
 *		any of those -> FREE	caller		release
 *
 * A caller that leaves early (cancel, timeout, exit) marks its request
 * abandoned if the writer has or will have it; then the writer frees it when
 * it is finished.  Slots come from a free list and are not tied to a
 * backend's number: the next backend with that number must not inherit a
 * request that is still under way.
 *
 * Changes of state are made under the one lock; the caller's wait reads the
 * state without it, which is why it is atomic.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "compat.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

/* What this backend has reserved: all are returned if it exits. */
#define MAX_OWN 256
static ChronRequest *own[MAX_OWN];
static int	nown = 0;
static bool exit_registered = false;

TimestampTz
chron_queue_deadline(void)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   claiim_queue_timeout);
}

static long
milliseconds_until(TimestampTz deadline)
{
	long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													 deadline);

	return Min(ms, 1000);		/* look around at least once a second */
}

/* Under the lock. */
void
chron_queue_free_slot(ChronRequest *request)
{
	request->abandoned = false;
	request->owner = NULL;
	pg_atomic_write_u32(&request->state, REQUEST_FREE);
	request->next = claiim_shared->free_head;
	claiim_shared->free_head = request->index;
	claiim_shared->nfree++;
}

/*
 * Give back requests in whatever state they are.
 */
void
chron_queue_release(int n, ChronRequest **requests)
{
	bool		freed = false;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		RequestState state = pg_atomic_read_u32(&requests[i]->state);

		if (state == REQUEST_QUEUED || state == REQUEST_IN_FLIGHT)
			requests[i]->abandoned = true;	/* the writer frees it */
		else
		{
			chron_queue_free_slot(requests[i]);
			freed = true;
		}
		for (int j = nown - 1; j >= 0; j--)
		{
			if (own[j] == requests[i])
			{
				own[j] = own[--nown];
				break;
			}
		}
	}
	LWLockRelease(claiim_shared->lock);
	if (freed)
		ConditionVariableBroadcast(&claiim_shared->slot_freed);
}

/* A FATAL exit runs no PG_CATCH. */
static void
release_at_exit(int code, Datum arg)
{
	while (nown > 0)
	{
		ChronRequest *request = own[nown - 1];

		chron_queue_release(1, &request);
	}
}

static bool
try_reserve(int n, ChronRequest **requests)
{
	bool		done = false;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	if (claiim_shared->nfree >= n)
	{
		for (int i = 0; i < n; i++)
		{
			ChronRequest *request = claiim_request_slot(claiim_shared->free_head);

			claiim_shared->free_head = request->next;
			claiim_shared->nfree--;
			pg_atomic_write_u32(&request->state, REQUEST_FILLING);
			request->next = -1;
			request->abandoned = false;
			request->owner = MyProc;
			requests[i] = request;
			own[nown++] = request;
		}
		done = true;
	}
	LWLockRelease(claiim_shared->lock);
	return done;
}

/*
 * Reserve n slots, all or none, waiting for them until the deadline.
 *
 * Errors: 53400 at the deadline; 54000 if n is more than the queue can ever
 * give.
 */
void
chron_queue_reserve(ClaiimDatabase *db, int n, ChronRequest **requests,
					TimestampTz deadline)
{
	if (!exit_registered)
	{
		before_shmem_exit(release_at_exit, (Datum) 0);
		exit_registered = true;
	}
	if (n > MAX_OWN - nown || n > claiim_shared->nslots / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many decisions in one call")));

	if (try_reserve(n, requests))
		return;

	ConditionVariablePrepareToSleep(&claiim_shared->slot_freed);
	while (!try_reserve(n, requests))
	{
		long		ms = milliseconds_until(deadline);

		if (ms <= 0)
		{
			ConditionVariableCancelSleep();
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("the decision was not taken: the gate's queue is full"),
					 errdetail("No place became free within claiim.queue_timeout (%d ms).",
							   claiim_queue_timeout),
					 errhint("Try again later, or increase claiim.queue_size.")));
		}
		ConditionVariableTimedSleep(&claiim_shared->slot_freed, ms,
									claiim_wait_event("ClaiimQueueFull"));
	}
	ConditionVariableCancelSleep();
}

/*
 * Put filled requests at the end of the database's queue, and wake the
 * writer.
 */
void
chron_queue_push(ClaiimDatabase *db, int n, ChronRequest **requests)
{
	PGPROC	   *writer;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		ChronRequest *request = requests[i];

		request->next = -1;
		pg_atomic_write_u32(&request->state, REQUEST_QUEUED);
		if (db->queue_tail >= 0)
			claiim_request_slot(db->queue_tail)->next = request->index;
		else
			db->queue_head = request->index;
		db->queue_tail = request->index;
	}
	writer = db->writer_proc;
	LWLockRelease(claiim_shared->lock);

	if (writer != NULL)
		SetLatch(&writer->procLatch);
}

static bool
all_finished(int n, ChronRequest **requests)
{
	for (int i = 0; i < n; i++)
		if (pg_atomic_read_u32(&requests[i]->state) <= REQUEST_IN_FLIGHT)
			return false;
	return true;
}

/*
 * Wait until the writer has finished all of them, in whatever way.  Starts a
 * writer if there is none, also if it goes away while we wait.
 *
 * Errors: 08007 at the deadline (the decisions may be recorded, but they are
 * not answered); those of chron_ensure_writer; a cancel.
 */
void
chron_queue_wait(ClaiimDatabase *db, int n, ChronRequest **requests,
				 TimestampTz deadline)
{
	while (!all_finished(n, requests))
	{
		long		ms;

		/* This may sleep, and so use up the wakeup that we wait for. */
		chron_ensure_writer(db, deadline);
		if (all_finished(n, requests))
			break;

		ms = milliseconds_until(deadline);
		if (ms <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
					 errmsg("no answer: the decision could not be confirmed as recorded within claiim.queue_timeout"),
					 errdetail("It may have been recorded; it was not answered, so the action must not run."),
					 errhint("Look for a long-held lock on claiim.chron, a missing synchronous standby, or a slow disk.")));
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 ms, claiim_wait_event("ClaiimChronWait"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pg_read_barrier();
}

/*
 * The writer's side: take up to max requests off the queue, oldest first.
 * *acts_waiting: whether the outbox is to be emptied first; it counts as
 * done from here on, so a failed batch must set it again.
 */
int
chron_queue_take(ClaiimDatabase *db, ChronRequest **requests, int max,
				 bool *acts_waiting)
{
	int			n = 0;

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	while (n < max && db->queue_head >= 0)
	{
		ChronRequest *request = claiim_request_slot(db->queue_head);

		db->queue_head = request->next;
		if (db->queue_head < 0)
			db->queue_tail = -1;
		request->next = -1;
		pg_atomic_write_u32(&request->state, REQUEST_IN_FLIGHT);
		requests[n++] = request;
	}
	*acts_waiting = db->acts_waiting;
	db->acts_waiting = false;
	LWLockRelease(claiim_shared->lock);
	return n;
}

/*
 * The writer has finished these; their results are filled in.  One pass
 * under the lock, and then all are woken in one go.
 */
void
chron_queue_finish(int n, ChronRequest **requests, const RequestState *states)
{
	bool		freed = false;
	PGPROC	  **wake = palloc(sizeof(PGPROC *) * Max(n, 1));
	int			nwake = 0;

	pg_write_barrier();
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		if (requests[i]->abandoned)
		{
			chron_queue_free_slot(requests[i]);
			freed = true;
			continue;
		}
		/* Once the state is set the slot is the caller's: read owner first. */
		if (nwake == 0 || wake[nwake - 1] != requests[i]->owner)
			wake[nwake++] = requests[i]->owner;
		pg_atomic_write_u32(&requests[i]->state, states[i]);
	}
	LWLockRelease(claiim_shared->lock);

	for (int i = 0; i < nwake; i++)
		SetLatch(&wake[i]->procLatch);
	if (freed)
		ConditionVariableBroadcast(&claiim_shared->slot_freed);
	pfree(wake);
}

/* Make every caller that waits look at the writer again. */
void
chron_queue_wake_all(ClaiimDatabase *db)
{
	LWLockAcquire(claiim_shared->lock, LW_SHARED);
	for (int i = db->queue_head; i >= 0; i = claiim_request_slot(i)->next)
	{
		ChronRequest *request = claiim_request_slot(i);

		if (!request->abandoned && request->owner != NULL)
			SetLatch(&request->owner->procLatch);
	}
	LWLockRelease(claiim_shared->lock);
}
