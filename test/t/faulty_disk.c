/*
 * Preloaded into a server by 012_disk.pl: a disk that fails when it is told to.
 *
 * The file that CLAIIM_FAULT names is mapped, and says which operations fail,
 * with which errno, on files whose path contains what, how often (-1: until
 * further notice), and counts those that did.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum
{
	WRITES = 1,					/* any write */
	GROWS = 2,					/* one that needs more of the disk */
	FLUSHES = 4
};

static struct fault
{
	int32_t		operations;
	int32_t		error;
	int32_t		times;
	int32_t		hits;
	char		path[112];
}		   *fault;

__attribute__((constructor)) static void
init(void)
{
	const char *name = getenv("CLAIIM_FAULT");
	int			fd = name ? open(name, O_RDWR) : -1;
	void	   *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(struct fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		fault = map;
	close(fd);
}

/* Does this fail?  "end" is how far the file must reach afterwards. */
static int
fails(int fd, int operation, off_t end)
{
	char		link[64];
	char		path[1024];
	ssize_t		len;
	struct stat st;
	int			saved = errno;
	int			times;

	if (!fault || fault->operations == 0)
		return 0;
	if (operation == WRITES && !(fault->operations & WRITES) &&
		(fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || end <= st.st_size))
		operation = 0;
	else if (operation == WRITES && !(fault->operations & WRITES))
		operation = GROWS;
	errno = saved;
	if (!(fault->operations & operation))
		return 0;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	errno = saved;
	if (len <= 0)
		return 0;
	path[len] = '\0';
	if (strstr(path, fault->path) == NULL)
		return 0;
	times = __atomic_load_n(&fault->times, __ATOMIC_SEQ_CST);
	do
	{
		if (times == 0)
			return 0;
	} while (times > 0 &&
			 !__atomic_compare_exchange_n(&fault->times, &times, times - 1, 0,
										  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	__atomic_fetch_add(&fault->hits, 1, __ATOMIC_SEQ_CST);
	errno = fault->error;
	return 1;
}

#define REAL(type, name, ...) \
	static type (*real) (__VA_ARGS__); \
	if (!real) *(void **) &real = dlsym(RTLD_NEXT, #name)

ssize_t
write(int fd, const void *buffer, size_t n)
{
	REAL(ssize_t, write, int, const void *, size_t);
	return fails(fd, WRITES, (fault && fault->operations ? lseek(fd, 0, SEEK_CUR) : 0) + (off_t) n) ?
		-1 : real(fd, buffer, n);
}

ssize_t
pwrite(int fd, const void *buffer, size_t n, off_t at)
{
	REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
	return fails(fd, WRITES, at + (off_t) n) ? -1 : real(fd, buffer, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
	off_t		end = at;

	REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
	for (int i = 0; i < n; i++)
		end += (off_t) parts[i].iov_len;
	return fails(fd, WRITES, end) ? -1 : real(fd, parts, n, at);
}

int
posix_fallocate(int fd, off_t at, off_t len)
{
	REAL(int, posix_fallocate, int, off_t, off_t);
	return fails(fd, WRITES, at + len) ? fault->error : real(fd, at, len);
}

int
fsync(int fd)
{
	REAL(int, fsync, int);
	return fails(fd, FLUSHES, 0) ? -1 : real(fd);
}

int
fdatasync(int fd)
{
	REAL(int, fdatasync, int);
	return fails(fd, FLUSHES, 0) ? -1 : real(fd);
}
