/*-------------------------------------------------------------------------
 *
 * text.c
 *	  UTF-8 and text in bounded buffers.
 *
 * What reaches Chron is read by people and hashed by strangers, so nothing
 * here lets half a character into a buffer, or over its end.
 *
 *-------------------------------------------------------------------------
 */
#include "text.h"

#include <string.h>

/*
 * Decodes the character at "text" (RFC 3629: no overlong forms, surrogates,
 * or code points above U+10FFFF).  Returns its bytes, 0 if it is malformed
 * or cut off by "len".
 */
size_t
utf8_decode(const char *text, size_t len, uint32_t *code_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *) text;
	uint32_t	c;
	size_t		width;
	size_t		i;

	if (len == 0)
		return 0;
	if (s[0] < 0x80)
	{
		*code_point = s[0];
		return 1;
	}
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		width = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		width = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		width = 4;
	else
		return 0;
	if (width > len)
		return 0;
	c = s[0] & (0x7f >> width);
	for (i = 1; i < width; i++)
	{
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = (c << 6) | (s[i] & 0x3f);
	}
	if (c < least[width] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code_point = c;
	return width;
}

size_t
utf8_clip(const char *text, size_t len, size_t max)
{
	size_t		start;
	size_t		back;
	uint32_t	c;

	if (len <= max)
		max = len;
	/* Find the last character's start; it stays only if it is whole. */
	for (back = 1; back <= 4 && back <= max; back++)
	{
		start = max - back;
		if (((unsigned char) text[start] & 0xc0) == 0x80)
			continue;
		if ((unsigned char) text[start] >= 0xc0 &&
			utf8_decode(text + start, back, &c) != back)
			return start;
		break;
	}
	return max;
}

/*
 * C0, DEL and C1; the line and paragraph separators, which end a line for
 * some readers and not for others; the bidirectional controls, which make a
 * text read as what it is not; and what shows as nothing at all, so that two
 * names look the same and are not.
 */
bool
code_point_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) ||
		c == 0xad || c == 0x61c || c == 0x180e ||
		(c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 ||
		(c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
		c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
		(c >= 0xe0000 && c <= 0xe007f);
}

/* Unicode's White_Space, except what is a control character already. */
bool
code_point_is_space(uint32_t c)
{
	return c == 0x20 || c == 0xa0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f ||
		c == 0x3000;
}

/* The same byte eight times. */
#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/*
 * How many bytes at the beginning are printing ASCII or spaces, which is
 * mostly all of them and needs no decoding.  Eight at a time while they are:
 * one that is above 0x7f has its high bit set; of the others, one below 0x20
 * gets it by borrowing, and 0x7f by adding one.
 */
size_t
text_ascii_run(const char *text, size_t len)
{
	size_t		at = 0;
	uint64_t	eight;

	for (; len - at >= sizeof(eight); at += sizeof(eight))
	{
		memcpy(&eight, text + at, sizeof(eight));
		if (((eight | (eight - EIGHT(0x20)) | (eight + EIGHT(0x01))) &
			 EIGHT(0x80)) != 0)
			break;
	}
	while (at < len && (unsigned char) (text[at] - 0x20) < 0x7f - 0x20)
		at++;
	return at;
}

TextFault
text_scan(const char *text, size_t len, bool allow_space)
{
	size_t		at = text_ascii_run(text, len);

	if (!allow_space && memchr(text, ' ', at) != NULL)
		return TEXT_SPACE;
	while (at < len)
	{
		uint32_t	c;
		size_t		width = utf8_decode(text + at, len - at, &c);

		if (width == 0)
			return TEXT_NOT_UTF8;
		if (code_point_is_control(c))
			return TEXT_CONTROL;
		if (!allow_space && code_point_is_space(c))
			return TEXT_SPACE;
		at += width;
	}
	return TEXT_OK;
}

/* Valid UTF-8 that neither begins nor ends with white space. */
bool
text_is_trimmed(const char *text, size_t len)
{
	uint32_t	c = 0;
	size_t		at = 0;
	size_t		width;

	if (text_ascii_run(text, len) == len)
		return len == 0 || (text[0] != ' ' && text[len - 1] != ' ');
	while (at < len)
	{
		width = utf8_decode(text + at, len - at, &c);
		if (width == 0 || (at == 0 && code_point_is_space(c)))
			return false;
		at += width;
	}
	return len == 0 || !code_point_is_space(c);
}

/*
 * Appends the first "len" bytes of "text", using at most "max" bytes for
 * them and for the "..." that shows a cut.
 */
void
text_append_clipped(char *buffer, size_t size, const char *text, size_t len,
					size_t max)
{
	size_t		used = strlen(buffer);
	size_t		room = size - 1 - used;
	bool		cut;

	if (max < room)
		room = max;
	cut = len > room;
	if (cut)
		len = utf8_clip(text, len, room >= 3 ? room - 3 : 0);
	memcpy(buffer + used, text, len);
	used += len;
	room -= len;
	if (cut)
	{
		size_t		dots = room < 3 ? room : 3;

		memcpy(buffer + used, "...", dots);
		used += dots;
	}
	buffer[used] = '\0';
}

void
text_append(char *buffer, size_t size, const char *text)
{
	text_append_clipped(buffer, size, text, strlen(text), size);
}

void
text_append_int(char *buffer, size_t size, long long value)
{
	char		digits[24];		/* filled from the end */
	char	   *at = digits + sizeof(digits) - 1;
	unsigned long long left = value < 0 ? 0ULL - (unsigned long long) value :
		(unsigned long long) value;

	*at = '\0';
	do
		*--at = (char) ('0' + left % 10);
	while ((left /= 10) != 0);
	if (value < 0)
		*--at = '-';
	text_append(buffer, size, at);
}
