/*
 * Preloaded into a server by FaultyDisk.pm: a disk that fails when it is told to.
 *
 * The file that CLAIIM_FAULT names is mapped, and says which operations fail,
 * with which errno, on files whose path contains what, how often (-1: until
 * further notice), and counts those that did.
 *
 * Where CLAIIM_FLUSHED names a directory, a file of WAL is copied there whenever
 * it is flushed: what is left of it when the power fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
	FLUSHES = 4,
	READS = 8,
	STALLS = 16,				/* a flush takes until further notice */
	TEARS = 32					/* a write stops half way, and so does its process */
};

static const char *flushed;

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

	/* The server puts its title where its environment was. */
	if (getenv("CLAIIM_FLUSHED"))
		flushed = strdup(getenv("CLAIIM_FLUSHED"));
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(struct fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		fault = map;
	close(fd);
}

static int
path_of(int fd, char *path, size_t size)
{
	char		link[64];
	int			saved = errno;
	ssize_t		len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, size - 1);
	errno = saved;
	if (len <= 0)
		return 0;
	path[len] = '\0';
	return 1;
}

/* Does this fail?  "end" is how far the file must reach afterwards. */
static int
fails(int fd, int operation, off_t end)
{
	char		path[1024];
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

	if (!path_of(fd, path, sizeof(path)) || strstr(path, fault->path) == NULL)
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

/* A write of which half is done, by a process that is no more. */
static void
tear(int fd, const void *buffer, size_t n, off_t at)
{
	REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
	if (fault && (fault->operations & TEARS) && fails(fd, TEARS, 0))
	{
		(void) real(fd, buffer, n / 2, at);
		raise(SIGKILL);
	}
}

/* A flush that is under way until the disk is well. */
static void
stall(int fd)
{
	if (fault && (fault->operations & STALLS) && fails(fd, STALLS, 0))
		while (fault->operations & STALLS)
			usleep(1000);
}

/* It is flushed: that much is left when the power fails. */
static void
keep(int fd)
{
	static char buffer[1024 * 1024];
	char		path[1024];
	char		temporary[1200];
	char		copy[1200];
	const char *name;
	ssize_t		len;
	int			to;

	if (!flushed || !path_of(fd, path, sizeof(path)) ||
		(name = strstr(path, "/pg_wal/")) == NULL)
		return;
	name = strrchr(name, '/') + 1;
	if (strspn(name, "0123456789ABCDEF") != strlen(name))
		return;
	snprintf(copy, sizeof(copy), "%s/%s", flushed, name);
	snprintf(temporary, sizeof(temporary), "%s.%d", copy, (int) getpid());
	len = pread(fd, buffer, sizeof(buffer), 0);
	to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	/* Without it the answers would be found missing. */
	if (len == (ssize_t) sizeof(buffer) && to >= 0 &&
		pwrite(to, buffer, len, 0) == len)
		(void) rename(temporary, copy);
	if (to >= 0)
		close(to);
}

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
	tear(fd, buffer, n, at);
	return fails(fd, WRITES, at + (off_t) n) ? -1 : real(fd, buffer, n, at);
}

ssize_t
pread(int fd, void *buffer, size_t n, off_t at)
{
	REAL(ssize_t, pread, int, void *, size_t, off_t);
	return fails(fd, READS, 0) ? -1 : real(fd, buffer, n, at);
}

ssize_t
preadv(int fd, const struct iovec *parts, int n, off_t at)
{
	REAL(ssize_t, preadv, int, const struct iovec *, int, off_t);
	return fails(fd, READS, 0) ? -1 : real(fd, parts, n, at);
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
	int			result;

	REAL(int, fsync, int);
	stall(fd);
	if (fails(fd, FLUSHES, 0))
		return -1;
	if ((result = real(fd)) == 0)
		keep(fd);
	return result;
}

int
fdatasync(int fd)
{
	int			result;

	REAL(int, fdatasync, int);
	stall(fd);
	if (fails(fd, FLUSHES, 0))
		return -1;
	if ((result = real(fd)) == 0)
		keep(fd);
	return result;
}
