/*
 * Preloaded into a server by 018_tokens.pl: a socket that listens on IPv6
 * takes IPv4 clients as well, as ::ffff:a.b.c.d.  PostgreSQL asks the system
 * to keep the two apart; where the system does not know how, this happens.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int			(*real) (int, int, int, const void *, socklen_t);
	int			off = 0;

	*(void **) &real = dlsym(RTLD_NEXT, "setsockopt");
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		value = &off;
	return real(fd, level, name, value, len);
}
