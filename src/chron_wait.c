/*-------------------------------------------------------------------------
 *
 * chron_wait.c
 *	  How a caller sleeps until the writer has finished its request.
 *
 * The state of the request itself is what it sleeps on, by Linux's futex(2);
 * the writer wakes a caller only if it does.  A latch would do, and does
 * elsewhere, but waking through one is a signal, a signalfd and an epoll where
 * a futex is one system call each way; bench/README.md has what that is worth.
 *
 * What a latch has and a futex has not: an interrupt that comes between the
 * last look at the flags and the sleep itself does not end the sleep.  So no
 * sleep is longer than SLICE; every other interrupt ends it at once, since a
 * handler makes futex(2) return.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"

#if defined(__linux__) && !defined(CLAIIM_WAIT_BY_LATCH)
#define WAIT_BY_FUTEX
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

/* The longest sleep without a look around, in ms. */
#define SLICE	100

static void
sleep_on(ChronRequest *request, uint32 seen, long ms, uint32 wait_event)
{
#ifdef WAIT_BY_FUTEX
	struct timespec slice;

	ms = Min(ms, SLICE);
	slice.tv_sec = ms / 1000;
	slice.tv_nsec = ms % 1000 * 1000000;
	pgstat_report_wait_start(wait_event);
	(void) syscall(SYS_futex, &request->state.value, FUTEX_WAIT, seen, &slice,
				   NULL, 0);
	pgstat_report_wait_end();
	if (!PostmasterIsAlive())
		proc_exit(1);
#else
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms, wait_event);
	ResetLatch(MyLatch);
#endif
}

/*
 * Sleep until the request is finished, chron_wake is called, an interrupt
 * comes, or "ms" milliseconds have passed; or for no reason at all.
 */
void
chron_sleep(ChronRequest *request, long ms, uint32 wait_event)
{
	uint32		seen = pg_atomic_read_u32(&request->state);

	/* Say that somebody sleeps, but never of one that is finished. */
	do
	{
		if (REQUEST_FINISHED(seen))
			return;
	} while (!pg_atomic_compare_exchange_u32(&request->state, &seen,
											 seen | REQUEST_WATCHED));
	sleep_on(request, seen | REQUEST_WATCHED, ms, wait_event);
}

/*
 * Wake "owner", who sleeps on this request.  If it has left, the slot may be
 * somebody else's by now, who then wakes for no reason.
 */
void
chron_wake(ChronRequest *request, PGPROC *owner)
{
#ifdef WAIT_BY_FUTEX
	(void) syscall(SYS_futex, &request->state.value, FUTEX_WAKE, 1, NULL, NULL,
				   0);
#else
	if (owner != NULL)
		SetLatch(&owner->procLatch);
#endif
}
