/*-------------------------------------------------------------------------
 *
 * chron_wait.c
 *	  How callers sleep until the writer has finished their requests.
 *
 * By Linux's futex(2), on words that many slots share and of which each slot
 * is one bit: so the writer wakes the callers of a batch in a system call or
 * two, and nobody else.  A latch would do, and does elsewhere, but waking
 * through one is a signal, a signalfd and an epoll for each; bench/README.md
 * has what that is worth.
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
#include "storage/shmem.h"

#if defined(__linux__) && !defined(CLAIIM_WAIT_BY_LATCH)
#define WAIT_BY_FUTEX
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

/* The longest sleep without a look around, in ms. */
#define SLICE	100

/* As many as there are bits by which futex(2) tells sleepers apart. */
#define SLOTS_A_WORD	32

typedef union WakeWord
{
	pg_atomic_uint32 count;		/* of wakings; what is slept on */
	char		pad[PG_CACHE_LINE_SIZE];
} WakeWord;

static WakeWord *wake_words = NULL;

#define WORD_OF(slot)	(&wake_words[(slot) / SLOTS_A_WORD].count)
#define BIT_OF(slot)	(UINT32_C(1) << (slot) % SLOTS_A_WORD)

static int
nwords(void)
{
	return claiim_queue_size / SLOTS_A_WORD + 1;
}

/* What shared memory it takes. */
Size
chron_wait_size(void)
{
	return mul_size(nwords(), sizeof(WakeWord));
}

/* At the server's start, under AddinShmemInitLock. */
void
chron_wait_init(void)
{
	bool		found;

	wake_words = ShmemInitStruct("claiim sleepers", chron_wait_size(), &found);
	if (!found)
		for (int i = 0; i < nwords(); i++)
			pg_atomic_init_u32(&wake_words[i].count, 0);
}

static void
sleep_on(int slot, uint32 seen, long ms, uint32 wait_event)
{
#ifdef WAIT_BY_FUTEX
	struct timespec now;
	struct
	{
		long		sec;
		long		nsec;
	}			until;			/* the kernel's, however wide time_t is */

	ms = Min(ms, SLICE);
	clock_gettime(CLOCK_MONOTONIC, &now);
	until.sec = now.tv_sec + (now.tv_nsec + ms * 1000000) / 1000000000;
	until.nsec = (now.tv_nsec + ms * 1000000) % 1000000000;
	pgstat_report_wait_start(wait_event);
	(void) syscall(SYS_futex, &WORD_OF(slot)->value, FUTEX_WAIT_BITSET, seen,
				   &until, NULL, BIT_OF(slot));
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
 * Sleep until the request is finished, its sleeper is woken, an interrupt
 * comes, or "ms" milliseconds have passed; or for no reason at all.
 */
void
chron_sleep(ChronRequest *request, long ms, uint32 wait_event)
{
	uint32		seen = pg_atomic_read_u32(WORD_OF(request->index));
	uint32		state = pg_atomic_read_u32(&request->state);

	/*
	 * Say that somebody sleeps, but never of one that is finished.  Whoever
	 * finishes it from here on sees that, and moves the count beyond what
	 * was seen: then there is no sleep at all.
	 */
	do
	{
		if (REQUEST_FINISHED(state))
			return;
	} while (!pg_atomic_compare_exchange_u32(&request->state, &state,
											 state | REQUEST_WATCHED));
	sleep_on(request->index, seen, ms, wait_event);
}

/*
 * Wake these.  If one has left, the slot may be somebody else's by now, who
 * then wakes for no reason.
 */
void
chron_wake(int n, const Sleeper *sleepers)
{
#ifdef WAIT_BY_FUTEX
	for (int word = 0, left = n; left > 0; word++)
	{
		uint32		bits = 0;

		for (int i = 0; i < n; i++)
		{
			if (sleepers[i].slot / SLOTS_A_WORD == word)
			{
				bits |= BIT_OF(sleepers[i].slot);
				left--;
			}
		}
		if (bits == 0)
			continue;
		pg_atomic_fetch_add_u32(&wake_words[word].count, 1);
		(void) syscall(SYS_futex, &wake_words[word].count.value,
					   FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
	}
#else
	for (int i = 0; i < n; i++)
		if (sleepers[i].owner != NULL)
			SetLatch(&sleepers[i].owner->procLatch);
#endif
}
