/*
 * Preloaded into a server by 009_partitions.pl: the time of day, moved by as
 * many microseconds as stand at the beginning of the file that
 * CLAIIM_CLOCK_OFFSET names, now.  Timeouts and latches go by another clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

static volatile int64_t *offset;
static int	(*real_gettimeofday) (struct timeval *, void *);

__attribute__((constructor)) static void
init(void)
{
	const char *name = getenv("CLAIIM_CLOCK_OFFSET");
	int			fd = name ? open(name, O_RDONLY) : -1;
	void	   *map;

	*(void **) &real_gettimeofday = dlsym(RTLD_NEXT, "gettimeofday");
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		offset = map;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	int			result;
	int64_t		us;

	if (!real_gettimeofday)
		init();
	result = real_gettimeofday(tv, tz);
	if (result != 0 || !offset)
		return result;
	us = (int64_t) tv->tv_sec * 1000000 + tv->tv_usec + *offset;
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}
