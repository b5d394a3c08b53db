/*-------------------------------------------------------------------------
 *
 * chron_gather.c
 *	  Whether the writer waits for more before it begins a batch.
 *
 * On a slow disk callers split into those whose records are being flushed
 * and those who wait for the next flush, and each flush carries only half of
 * them.  A moment's patience lets those who have just been answered ask again
 * and join.  Where the callers are more than the processors can serve in the
 * time of a flush it is the wrong thing: two halves, one of which works while
 * the other is flushed, then do better than all of them waiting for the last.
 *
 * Which of the two it is hangs on the disk, the processors and the callers,
 * and shows in how many records a second come through.  So the writer counts
 * them over a window of batches, does what did better last time, and now and
 * then does the other for a window.  On a disk that is fast it never waits.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

/* In us: a flush that takes less is a fast one. */
#define SLOW_FLUSH	400

/*
 * Waits as long as callers keep coming with no longer a pause than PAUSE, at
 * most as long as a flush takes; in us.
 */
#define PAUSE		250
#define STEP		20

/* Batches in a window, and windows until the other way is tried again. */
#define WINDOW		32
#define RETRIAL		8

/* What a commit takes, in us, and how many callers there were with the last. */
static int64 flush_us = 0;
static int	expected = 0;

/* What it does now; records a second by not waiting and by waiting, or 0. */
static bool waits = false;
static double rates[2];
static int	windows = 0;		/* since the other was tried */

/* This window: when it began, and what was recorded since. */
static int	batches = -1;		/* -1: the next batch's end begins one */
static int64 began;
static int64 ended;				/* of the last batch */
static int64 records;

static void
judge(double rate)
{
	rates[waits] = rate;
	if (rates[!waits] == 0 || ++windows >= RETRIAL)
	{
		windows = 0;
		waits = !waits;
	}
	else
		waits = rates[true] > rates[false];
}

/*
 * A batch of n requests has ended, whose commit took so long; so many more
 * are waiting.
 */
void
chron_gather_note(int n, int64 commit_us, int waiting)
{
	int64		now = claiim_ticks();
	bool		idle = now - ended > 4 * Max(commit_us, flush_us);

	flush_us = (flush_us * 7 + commit_us) / 8;
	expected = n + waiting;
	ended = now;
	if (batches < 0 || idle || flush_us < SLOW_FLUSH)
	{
		batches = records = 0;
		began = now;
		return;
	}
	records += n;
	if (++batches == WINDOW)
	{
		batches = -1;
		judge((double) records / Max(now - began, 1));
	}
}

/* Before the next batch: wait for callers that are about to ask again. */
void
chron_gather(ClaiimDatabase *db)
{
	int64		start = claiim_ticks();
	int64		arrived = start;
	int			before = 0;

	if (!waits || flush_us < SLOW_FLUSH)
		return;
	for (;;)
	{
		int			here = chron_queue_length(db);
		int64		now = claiim_ticks();

		if (here != before)
			arrived = now;
		before = here;
		if (here >= expected || now - arrived >= PAUSE ||
			now - start >= flush_us)
			return;
		pg_usleep(STEP);
	}
}
