/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  Just enough of the Test Anything Protocol for a unit test in C.
 *
 *	  ok(answer == 42, "the answer is 42");
 *	  return done_testing();
 *
 * A test's name is a sentence about behavior.  The names are formats, so
 * text that comes from data goes in as "%s".
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TAP_H
#define CLAIIM_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TAP_PRINTF(f, a) __attribute__((format(printf, f, a), unused))

static int	tap_count = 0;
static int	tap_failed = 0;

/* Control characters would break the protocol's lines. */
static inline void
tap_print_line(const char *text)
{
	for (; *text != '\0'; text++)
		putchar((unsigned char) *text < 0x20 || *text == '#' ? '?' : *text);
	putchar('\n');
}

/* A line that belongs to the last test, or to none. */
static void TAP_PRINTF(1, 2)
diag(const char *format,...)
{
	char		text[1024];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# ");
	tap_print_line(text);
}

static bool TAP_PRINTF(4, 5)
tap_ok(bool good, const char *file, int line, const char *format,...)
{
	char		name[1024];
	va_list		args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	tap_print_line(name);
	if (!good)
	{
		tap_failed++;
		diag("failed at %s line %d", file, line);
	}
	fflush(stdout);
	return good;
}

#define ok(good, ...) tap_ok((good), __FILE__, __LINE__, __VA_ARGS__)

static bool TAP_PRINTF(5, 6)
tap_is(const char *have, const char *want, const char *file, int line,
	   const char *format,...)
{
	char		name[1024];
	va_list		args;
	bool		good = have != NULL && want != NULL ?
		strcmp(have, want) == 0 : have == want;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	tap_ok(good, file, line, "%s", name);
	if (!good)
	{
		diag("     got: %s", have ? have : "(none)");
		diag("expected: %s", want ? want : "(none)");
	}
	return good;
}

/* Two texts are the same; either can be NULL. */
#define is(have, want, ...) \
	tap_is((have), (want), __FILE__, __LINE__, __VA_ARGS__)

/* A test that cannot be run here, and why. */
static void TAP_PRINTF(1, 2)
skip(const char *format,...)
{
	char		why[1024];
	va_list		args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	printf("ok %d # SKIP ", ++tap_count);
	tap_print_line(why);
}

/* Prints the plan; main returns the result. */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	if (tap_failed > 0)
		diag("%d of %d tests failed", tap_failed, tap_count);
	return tap_failed > 0 || tap_count == 0 ? 1 : 0;
}

#endif							/* CLAIIM_TAP_H */
