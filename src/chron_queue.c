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
 * A caller that leaves early (cancel, timeout, exit) sets the ABANDONED bit
 * of a request that the writer has or will have; whoever of the two comes
 * second frees the slot.  Slots come from a free list and are not tied to a
 * backend's number: the next backend with that number must not inherit a
 * request that is still under way.
 *
 * There is no lock on this path: on few cores and with many callers a lock's
 * holder is preempted again and again, and everybody else queues up behind
 * it.  The free list is a stack whose head carries a counter, so that a pop
 * notices if the head was popped and pushed back meanwhile.  The queue is a
 * stack as well, but only the writer takes from it, and takes all of it at
 * once; it needs no counter, and is turned around to be first in, first out.
 *
 * The slots are the cluster's, and a database whose writer hangs keeps those
 * that its callers leave.  So none may hold more than half of what the others
 * leave (share_of says how that is meant), and so any number of databases
 * that hang leave something.  It costs one more addition for a call and one
 * for a slot that is freed.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "compat.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"

CLAIIM_WAIT_EVENT(wait_event_queue_full, "ClaiimQueueFull")
CLAIIM_WAIT_EVENT(wait_event_chron_wait, "ClaiimChronWait")

/* While the others hold the queue, look again so often, in ms. */
#define PAUSE	10

/* What this backend has reserved: all are returned if it exits. */
#define MAX_OWN 256
static ChronRequest *own[MAX_OWN];
static int	nown = 0;
static bool exit_registered = false;

static long
milliseconds_until(int64 deadline)
{
	int64		ms = (deadline - claiim_ticks() + 999) / 1000;

	return (long) Min(ms, 1000);	/* look around at least once a second */
}

/*
 * The free list.  Its head is a counter in the upper half and a slot's index
 * plus one, or zero, in the lower.
 */

static ChronRequest *
pop_free(void)
{
	uint64		head = pg_atomic_read_u64(&claiim_shared->free_head);

	for (;;)
	{
		uint32		top = (uint32) head;
		ChronRequest *request;
		uint64		next;

		Assert(top != 0);		/* it was counted */
		request = claiim_request_slot(top - 1);
		next = ((head >> 32) + 1) << 32 |
			(uint32) (((volatile ChronRequest *) request)->next + 1);
		if (pg_atomic_compare_exchange_u64(&claiim_shared->free_head, &head, next))
			return request;
	}
}

/* The slot is nobody's any more. */
void
chron_queue_free_slot(ChronRequest *request)
{
	ClaiimDatabase *db = request->database;
	uint64		head = pg_atomic_read_u64(&claiim_shared->free_head);
	uint64		next;

	request->owner = NULL;
	pg_atomic_write_u32(&request->state, REQUEST_FREE);
	do
	{
		request->next = (int) (uint32) head - 1;
		next = ((head >> 32) + 1) << 32 | (uint32) (request->index + 1);
	} while (!pg_atomic_compare_exchange_u64(&claiim_shared->free_head, &head, next));
	if (db != NULL)
		pg_atomic_fetch_sub_u32(&db->slots_held, 1);
	pg_atomic_fetch_add_u32(&claiim_shared->nfree, 1);

	if (db != NULL && pg_atomic_read_u32(&db->slot_waiters) > 0)
		ConditionVariableBroadcast(&db->slot_freed);
}

/*
 * Give back requests in whatever state they are.
 */
void
chron_queue_release(int n, ChronRequest **requests)
{
	for (int i = 0; i < n; i++)
	{
		uint32		state;

		for (int j = nown - 1; j >= 0; j--)
		{
			if (own[j] == requests[i])
			{
				own[j] = own[--nown];
				break;
			}
		}
		state = REQUEST_STATE(pg_atomic_fetch_or_u32(&requests[i]->state,
													 REQUEST_ABANDONED));
		if (state != REQUEST_QUEUED && state != REQUEST_IN_FLIGHT)
			chron_queue_free_slot(requests[i]);
	}
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

/*
 * How many slots may a database hold that holds so many, while so many are
 * free?
 *
 * All that the others leave, as long as there are no others; from then on
 * half of it, rounded up.  So a database that hangs ends up with half the
 * queue, and every further one with half of the rest: k of them leave one
 * slot in 2^k, or in k + 1 if they fill theirs at the same time.  An equal
 * part for each would leave more to more of them; but of a hundred databases
 * mostly one or two are busy, and those would have a hundredth each.
 *
 * What was taken while there were no others is not taken back.  And who is
 * just between the two counts of try_reserve is not seen yet, so the bound
 * can be missed by as many as are there.
 */
static uint32
share_of(uint32 held, uint32 nfree)
{
	uint32		left = held + nfree;

	return claiim_shared->nused > 1 ? (left + 1) / 2 : left;
}

static bool
try_reserve(ClaiimDatabase *db, int n, ChronRequest **requests)
{
	uint32		nfree = pg_atomic_read_u32(&claiim_shared->nfree);

	/* Count first, so that nothing ever has to be given back. */
	do
	{
		uint32		held = pg_atomic_read_u32(&db->slots_held);

		/* Its share is never more than it holds and are free. */
		if (held + n > share_of(held, nfree))
			return false;
	} while (!pg_atomic_compare_exchange_u32(&claiim_shared->nfree, &nfree,
											 nfree - n));
	pg_atomic_fetch_add_u32(&db->slots_held, n);

	for (int i = 0; i < n; i++)
	{
		ChronRequest *request = pop_free();

		pg_atomic_write_u32(&request->state, REQUEST_FILLING);
		request->owner = MyProc;
		request->database = db;
		requests[i] = request;
		own[nown++] = request;
	}
	return true;
}

static void
stop_waiting(int code, Datum arg)
{
	ClaiimDatabase *db = (ClaiimDatabase *) DatumGetPointer(arg);

	pg_atomic_fetch_sub_u32(&db->slot_waiters, 1);
}

/* There was no place for n more until the deadline. */
static void
raise_no_place(ClaiimDatabase *db, int n, const char *what)
{
	uint32		nfree = pg_atomic_read_u32(&claiim_shared->nfree);
	uint32		held = pg_atomic_read_u32(&db->slots_held);

	if (nfree < (uint32) n || claiim_shared->nused <= 1)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the %s was not taken: the gate's queue is full", what),
				 errdetail("No place became free within claiim.queue_timeout (%d ms).",
						   claiim_queue_timeout),
				 errhint("Try again later, or increase claiim.queue_size.")));
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("the %s was not taken: this database's share of the gate's queue is full", what),
			 errdetail("It holds %u places of %u that it may hold beside other databases, and had none for %d more within claiim.queue_timeout (%d ms).",
					   held, share_of(held, nfree), n, claiim_queue_timeout),
			 errhint("See whether Chron's writer of this database hangs, or increase claiim.queue_size.")));
}

/*
 * Reserve n slots, all or none, waiting for them until the deadline.
 *
 * Who frees a slot wakes those who wait in its own database only.  Otherwise
 * all who wait for a writer that hangs would be woken by every decision of
 * every other database.  Where this one holds nothing, nobody wakes us.
 *
 * Errors: 53400 at the deadline; 54000 if n is more than the queue can ever
 * give.
 */
void
chron_queue_reserve(ClaiimDatabase *db, int n, ChronRequest **requests,
					const char *what, int64 deadline)
{
	volatile bool done = false;

	if (!exit_registered)
	{
		before_shmem_exit(release_at_exit, (Datum) 0);
		exit_registered = true;
	}
	if (n > MAX_OWN - nown || n > claiim_shared->nslots / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many decisions in one call")));

	if (try_reserve(db, n, requests))
		return;

	pg_atomic_fetch_add_u64(&db->stats.queue_waits, 1);
	pg_atomic_fetch_add_u32(&db->slot_waiters, 1);
	PG_ENSURE_ERROR_CLEANUP(stop_waiting, PointerGetDatum(db));
	{
		ConditionVariablePrepareToSleep(&db->slot_freed);
		while (!(done = try_reserve(db, n, requests)))
		{
			long		ms = milliseconds_until(deadline);

			if (ms <= 0)
				break;
			if (pg_atomic_read_u32(&db->slots_held) == 0)
				ms = Min(ms, PAUSE);
			ConditionVariableTimedSleep(&db->slot_freed, ms,
										wait_event_queue_full());
		}
		ConditionVariableCancelSleep();
	}
	PG_END_ENSURE_ERROR_CLEANUP(stop_waiting, PointerGetDatum(db));
	stop_waiting(0, PointerGetDatum(db));

	if (!done)
	{
		pg_atomic_fetch_add_u64(&db->stats.queue_refused, 1);
		raise_no_place(db, n, what);
	}
}

/*
 * Put filled requests at the end of the database's queue, and wake the
 * writer.
 */
void
chron_queue_push(ClaiimDatabase *db, int n, ChronRequest **requests)
{
	PGPROC	   *writer;

	for (int i = 0; i < n; i++)
	{
		ChronRequest *request = requests[i];
		uint32		head = pg_atomic_read_u32(&db->queue_head);

		pg_atomic_write_u32(&request->state, REQUEST_QUEUED);
		pg_atomic_fetch_add_u32(&db->queue_length, 1);
		do
			request->next = (int) head - 1;
		while (!pg_atomic_compare_exchange_u32(&db->queue_head, &head,
											   request->index + 1));
	}

	/* Should it have gone meanwhile, its PGPROC is still there to be set. */
	writer = ((volatile ClaiimDatabase *) db)->writer_proc;
	if (writer != NULL)
		SetLatch(&writer->procLatch);
}

/* Is anything to be taken? */
bool
chron_queue_waiting(ClaiimDatabase *db)
{
	return pg_atomic_read_u32(&db->queue_head) != 0;
}

/*
 * About how many wait to be taken.  A caller that is killed between counting
 * and queueing leaves one too many, until the restart that follows.
 */
int
chron_queue_length(ClaiimDatabase *db)
{
	return (int) pg_atomic_read_u32(&db->queue_length);
}

/* One of them that the writer has not finished; NULL if there is none. */
static ChronRequest *
first_unfinished(int n, ChronRequest **requests)
{
	for (int i = 0; i < n; i++)
		if (!REQUEST_FINISHED(pg_atomic_read_u32(&requests[i]->state)))
			return requests[i];
	return NULL;
}

/*
 * Wait until the writer has finished all of them, in whatever way.  Starts a
 * writer if there is none, also if it goes away while we wait.  If none can be
 * started that is no error yet: they are in the queue, and whenever one comes
 * it takes them.
 *
 * Errors: 40003 at the deadline (the decisions may be recorded, but they are
 * not answered); a cancel.
 */
void
chron_queue_wait(ClaiimDatabase *db, int n, ChronRequest **requests,
				 const char *what, int64 deadline)
{
	ChronRequest *unfinished;

	while ((unfinished = first_unfinished(n, requests)) != NULL)
	{
		long		ms;

		chron_try_start_writer(db);
		ms = milliseconds_until(deadline);
		if (ms <= 0)
		{
			pg_atomic_fetch_add_u64(&db->stats.unconfirmed, n);
			ereport(ERROR,
					(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
					 errmsg("no answer: the %s could not be confirmed as recorded within claiim.queue_timeout",
							what),
					 requests[0]->completes != 0 ?
					 errdetail("It may have been recorded; if it was, a further call says that the action is completed already.") :
					 errdetail("It may have been recorded; it was not answered, so the action must not run."),
					 errhint("Look for a long-held lock on claiim.chron, a missing synchronous standby, or a slow disk.")));
		}
		chron_sleep(unfinished, ms, wait_event_chron_wait());
		CHECK_FOR_INTERRUPTS();
	}
	pg_read_barrier();
}

/* The writer's room for those whom it wakes; nothing there may fail. */
static Sleeper *sleepers = NULL;

void
chron_queue_writer_init(void)
{
	sleepers = MemoryContextAlloc(TopMemoryContext,
								  sizeof(Sleeper) * claiim_shared->nslots);
}

/*
 * The writer's side: take all that wait, oldest first, at most as many as
 * there are slots.
 */
int
chron_queue_take(ClaiimDatabase *db, ChronRequest **requests)
{
	uint32		head = pg_atomic_exchange_u32(&db->queue_head, 0);
	int			n = 0;

	while (head != 0)
	{
		ChronRequest *request = claiim_request_slot(head - 1);

		/* Keeps the other bits, and is the writer's from here on. */
		pg_atomic_fetch_add_u32(&request->state,
								REQUEST_IN_FLIGHT - REQUEST_QUEUED);
		head = (uint32) (request->next + 1);
		requests[n++] = request;
	}
	/* Counted before it is queued, so the length is never too small. */
	pg_atomic_fetch_sub_u32(&db->queue_length, n);
	for (int i = 0; i < n / 2; i++)
	{
		ChronRequest *swap = requests[i];

		requests[i] = requests[n - 1 - i];
		requests[n - 1 - i] = swap;
	}
	return n;
}

/*
 * The writer has finished these; their results are filled in.  All states
 * are set first, and then all callers are woken in one go.
 */
void
chron_queue_finish(int n, ChronRequest **requests, const RequestState *states)
{
	int			nsleepers = 0;

	for (int i = 0; i < n; i++)
	{
		/* Once the state is set the slot is the caller's: owner comes first. */
		PGPROC	   *owner = requests[i]->owner;
		uint32		was = pg_atomic_exchange_u32(&requests[i]->state, states[i]);

		if (was & REQUEST_ABANDONED)
			chron_queue_free_slot(requests[i]);
		else if (was & REQUEST_WATCHED)
			sleepers[nsleepers++] = (Sleeper) {requests[i]->index, owner};
	}
	chron_wake(nsleepers, sleepers);
}

/*
 * Make every caller that waits look at the writer again.  Only where nobody
 * can take from the queue: by the writer itself, or under the lock while
 * there is none.
 */
void
chron_queue_wake_all(ClaiimDatabase *db)
{
	uint32		head = pg_atomic_read_u32(&db->queue_head);

	while (head != 0)
	{
		ChronRequest *request = claiim_request_slot(head - 1);

		chron_wake(1, &(Sleeper) {request->index, request->owner});
		head = (uint32) (request->next + 1);
	}
}
