/*-------------------------------------------------------------------------
 *
 * policy_pattern.c
 *	  Patterns and names, one at a time.
 *
 * A name is segments joined by a separator.  A pattern is a name in which a
 * whole segment can be "*", for exactly one segment of whatever text, and
 * the last one "**", for one or more.  That is all: what a pattern matches
 * can be said in a sentence, and whether one covers another is decidable by
 * looking at both from left to right.
 *
 * Names are compared byte by byte: no case folding, no normalization, no
 * resolving of paths.  What a system behind the gate could read as another
 * name than the one that was decided on is refused instead, where that can
 * be known here: see target_name_check.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

#include "text.h"

bool
next_segment(const char **at, const char *end, char separator, Segment *segment)
{
	const char *stop;

	if (*at == NULL)
		return false;
	stop = *at == end ? NULL : memchr(*at, separator, end - *at);
	segment->text = *at;
	segment->len = (stop == NULL ? end : stop) - *at;
	*at = stop == NULL ? NULL : stop + 1;
	return true;
}

bool
segment_is(const Segment *segment, const char *text)
{
	return segment->len == strlen(text) &&
		memcmp(segment->text, text, segment->len) == 0;
}

static bool
no_because(const char **why, const char *reason)
{
	*why = reason;
	return false;
}

/* What holds for every text, pattern or name. */
static bool
text_check(const char *text, size_t len, size_t max, bool allow_space,
		   const char **why)
{
	if (len == 0)
		return no_because(why, "it is empty");
	if (len > max)
		return no_because(why, "it is too long");
	switch (text_scan(text, len, allow_space))
	{
		case TEXT_NOT_UTF8:
			return no_because(why, "it is not valid UTF-8");
		case TEXT_CONTROL:
			return no_because(why, "it contains a control character");
		case TEXT_SPACE:
			return no_because(why, "it contains white space");
		case TEXT_OK:
			break;
	}
	if (!text_is_trimmed(text, len))
		return no_because(why, "it begins or ends with white space");
	return true;
}

/*
 * Whether the text is a pattern; if not, *why completes "bad pattern: ...".
 *
 * Segments of an action are not empty.  Those of a target can be, as in
 * "/var/log" and "https://host/path", but not "." or "..", which no target
 * that gets past target_name_check has.
 */
bool
pattern_check(const char *pattern, size_t len, char separator, const char **why)
{
	const char *at = pattern;
	const char *end = pattern + len;
	bool		is_action = separator == ':';
	int			nsegments = 0;
	Segment		segment;

	if (!text_check(pattern, len, POLICY_MAX_PATTERN, !is_action, why))
		return false;
	while (next_segment(&at, end, separator, &segment))
	{
		if (++nsegments > POLICY_MAX_SEGMENTS)
			return no_because(why, "it has more than 16 segments");
		if (segment.len == 0 && is_action)
			return no_because(why, "it has an empty segment");
		if (!is_action && (segment_is(&segment, ".") || segment_is(&segment, "..")))
			return no_because(why, "a segment is \".\" or \"..\"");
		if (segment.len == 0 || memchr(segment.text, '*', segment.len) == NULL ||
			segment_is(&segment, "*"))
			continue;
		if (!segment_is(&segment, "**"))
			return no_because(why, "\"*\" must be a whole segment");
		if (at != NULL)
			return no_because(why, "\"**\" must be the last segment");
	}
	return true;
}

/*
 * Whether the pattern, which is a valid one, matches the name.
 */
bool
pattern_match(const char *pattern, const char *name, size_t name_len,
			  char separator)
{
	const char *pattern_at = pattern;
	const char *pattern_end = pattern + strlen(pattern);
	const char *name_at = name;
	const char *name_end = name + name_len;
	Segment		want;
	Segment		have;

	while (next_segment(&pattern_at, pattern_end, separator, &want))
	{
		if (!next_segment(&name_at, name_end, separator, &have))
			return false;
		if (segment_is(&want, "**"))
			return true;
		if (!segment_is(&want, "*") &&
			(want.len != have.len || memcmp(want.text, have.text, want.len) != 0))
			return false;
	}
	return name_at == NULL;
}

/*
 * Whether every name that "inner" matches is matched by "outer" too.  Both
 * are valid patterns.
 *
 * There are more segments than any pattern can list, so only a wildcard
 * covers a wildcard.  Walking both from the left: an outer "**" covers what
 * is left of inner, provided that something is; an inner "**" that outer
 * does not meet with its own has names longer than outer's.
 */
bool
pattern_covers(const char *outer, const char *inner, char separator)
{
	const char *outer_at = outer;
	const char *outer_end = outer + strlen(outer);
	const char *inner_at = inner;
	const char *inner_end = inner + strlen(inner);
	Segment		out;
	Segment		in;

	while (next_segment(&outer_at, outer_end, separator, &out))
	{
		if (!next_segment(&inner_at, inner_end, separator, &in))
			return false;
		if (segment_is(&out, "**"))
			return true;
		if (segment_is(&in, "**"))
			return false;
		if (!segment_is(&out, "*") &&
			(out.len != in.len || memcmp(out.text, in.text, out.len) != 0))
			return false;
	}
	return inner_at == NULL;
}

/*
 * The pattern of the names that both match; false if there is none.  Always
 * one pattern: at each segment the narrower of the two, and what one's "**"
 * stands for is the rest of the other.
 */
bool
pattern_intersect(const char *a, const char *b, char separator,
				  char both[POLICY_MAX_INTERSECTION])
{
	const char *a_at = a;
	const char *a_end = a + strlen(a);
	const char *b_at = b;
	const char *b_end = b + strlen(b);
	size_t		used = 0;
	bool		first = true;

	for (;; first = false)
	{
		const char *a_rest = a_at;
		const char *b_rest = b_at;
		const char *rest = NULL;
		Segment		x;
		Segment		y;

		if (!next_segment(&a_at, a_end, separator, &x))
			return b_at == NULL;
		if (!next_segment(&b_at, b_end, separator, &y))
			return false;
		if (!first)
			both[used++] = separator;
		if (segment_is(&x, "**"))
			rest = b_rest;
		else if (segment_is(&y, "**"))
			rest = a_rest;
		if (rest != NULL)
		{
			strcpy(both + used, rest);
			return true;
		}
		if (segment_is(&x, "*"))
			x = y;
		else if (!segment_is(&y, "*") &&
				 (x.len != y.len || memcmp(x.text, y.text, x.len) != 0))
			return false;
		memcpy(both + used, x.text, x.len);
		used += x.len;
		both[used] = '\0';
	}
}

/*
 * Whether a caller's text can be the name of an action: not a pattern, which
 * would read as one in Chron, and in the form that patterns of actions have.
 */
bool
action_name_check(const char *name, size_t len, const char **why)
{
	const char *at = name;
	Segment		segment;

	if (!text_check(name, len, POLICY_MAX_ACTION, false, why))
		return false;
	while (next_segment(&at, name + len, ':', &segment))
	{
		if (segment.len == 0)
			return no_because(why, "it has an empty segment");
		if (memchr(segment.text, '*', segment.len) != NULL)
			return no_because(why, "it contains \"*\"");
	}
	return true;
}

/*
 * Whether a caller's text can be the name of a target.  "." and ".." are
 * refused because "order/../payroll" would match a pattern for all orders,
 * and whoever acts on it reaches the payroll; wildcards because the name
 * would read as a pattern.
 */
bool
target_name_check(const char *name, size_t len, const char **why)
{
	const char *at = name;
	Segment		segment;

	if (!text_check(name, len, POLICY_MAX_TARGET, true, why))
		return false;
	while (next_segment(&at, name + len, '/', &segment))
	{
		if (segment_is(&segment, ".") || segment_is(&segment, ".."))
			return no_because(why, "a segment is \".\" or \"..\"");
		if (segment_is(&segment, "*") || segment_is(&segment, "**"))
			return no_because(why, "a segment is \"*\" or \"**\"");
	}
	return true;
}
