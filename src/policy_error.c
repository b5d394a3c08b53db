/*-------------------------------------------------------------------------
 *
 * policy_error.c
 *	  Errors in documents: a position, what is wrong, what was expected.
 *
 * Messages follow PostgreSQL's style for primary messages (lower case, no
 * period).  They quote text that anybody may have written, so that text is
 * clipped and stripped of control characters first.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

bool
policy_fail(PolicyError *error, int line, int column, const char *expected,
			const char *format,...)
{
	va_list		args;

	memset(error, 0, sizeof(*error));
	error->line = line;
	error->column = column;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	error->message[utf8_clip(error->message, strlen(error->message),
							 sizeof(error->message) - 1)] = '\0';
	text_append(error->expected, sizeof(error->expected), expected);
	return false;
}

bool
policy_out_of_memory(PolicyError *error)
{
	return policy_fail(error, 1, 1, "", "out of memory");
}

const char *
policy_shown(char shown[SHOWN_SIZE], const char *text, size_t len)
{
	char		clean[SHOWN_SIZE] = "";
	size_t		used = 0;
	size_t		at = 0;

	/* One character more than fits, so that a cut shows. */
	while (at < len && used < SHOWN_SIZE - 4)
	{
		uint32_t	c;
		size_t		width = utf8_decode(text + at, len - at, &c);

		if (width == 0 || code_point_is_control(c))
		{
			clean[used++] = '?';
			at += width == 0 ? 1 : width;
			continue;
		}
		memcpy(clean + used, text + at, width);
		used += width;
		at += width;
	}
	shown[0] = '\0';
	text_append_clipped(shown, SHOWN_SIZE, clean, used,
						at < len ? used - 1 : used);
	return shown;
}
