/*
 * slow_fsync.c
 *	  A slower disk for one process tree: preloaded into the server, it makes
 *	  every fsync and fdatasync take FLUSH_DELAY_US microseconds longer.
 *
 * The real flush is still done, and first, so nothing becomes less durable.
 * PostgreSQL flushes its WAL by fdatasync on Linux (wal_sync_method), its data
 * files by fsync in the checkpointer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

typedef int (*flush_function) (int);

static int
flush_slowly(const char *name, int fd)
{
	flush_function flush = (flush_function) dlsym(RTLD_NEXT, name);
	const char *delay = getenv("FLUSH_DELAY_US");
	long		us = delay ? atol(delay) : 0;
	struct timespec left = {us / 1000000, us % 1000000 * 1000};
	int			result = flush(fd);
	int			saved_errno = errno;

	if (us > 0)
	{
		/* The default lets a sleep run 50 us over. */
		prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
		while (nanosleep(&left, &left) != 0 && errno == EINTR)
			;
	}
	errno = saved_errno;
	return result;
}

int
fsync(int fd)
{
	return flush_slowly("fsync", fd);
}

int
fdatasync(int fd)
{
	return flush_slowly("fdatasync", fd);
}
