/*-------------------------------------------------------------------------
 *
 * test_text.c
 *	  What the plain-C parts stand on: the arena, bounded UTF-8 text, and
 *	  the map of strings.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "string_map.h"
#include "text.h"

#include "random.h"
#include "tap.h"

static void
test_arena(void)
{
	Arena	   *arena = arena_create(0);
	char	   *block[200];
	bool		zeroed = true;
	bool		aligned = true;
	bool		apart = true;
	int			i;

	for (i = 0; i < 200; i++)
	{
		size_t		size = (size_t) i * i;
		size_t		j;

		block[i] = arena_alloc(arena, size);
		for (j = 0; j < size; j++)
			zeroed = zeroed && block[i][j] == 0;
		aligned = aligned && (uintptr_t) block[i] % sizeof(void *) == 0;
		memset(block[i], i, size);
	}
	for (i = 0; i < 200; i++)
	{
		size_t		j;

		for (j = 0; j < (size_t) i * i; j++)
			apart = apart && (unsigned char) block[i][j] == i;
	}
	ok(zeroed, "what an arena gives out is zeroed");
	ok(aligned, "and aligned");
	ok(apart, "and no two allocations overlap");
	ok(arena_alloc(arena, 0) != NULL, "an allocation of nothing is not a failure");
	ok(arena_alloc(arena, SIZE_MAX) == NULL &&
	   arena_alloc(arena, SIZE_MAX - 8) == NULL &&
	   arena_strndup(arena, "x", SIZE_MAX) == NULL,
	   "a size that would wrap around fails");
	is(arena_strndup(arena, "deploy:staging", 6), "deploy",
	   "a part of a text is copied with a terminating zero");
	arena_destroy(arena);
	arena_destroy(NULL);

	arena = arena_create(100);
	ok(arena_alloc(arena, 64) != NULL && arena_used(arena) == 64,
	   "an arena counts what it gives out");
	ok(arena_alloc(arena, 64) == NULL, "and gives out no more than its limit");
	ok(arena_alloc(arena, 32) != NULL && arena_used(arena) == 96,
	   "what still fits is given out after a failure");
	arena_destroy(arena);
}

static void
test_grow(void)
{
	Arena	   *arena = arena_create(0);
	int		   *numbers = arena_alloc(arena, 2 * sizeof(int));
	int		   *more;

	numbers[0] = 7;
	numbers[1] = 8;
	more = arena_grow(arena, numbers, 2 * sizeof(int), 4 * sizeof(int));
	ok(more[0] == 7 && more[1] == 8 && more[2] == 0 && more[3] == 0,
	   "an array grows with its contents, and zeros behind them");
	arena_destroy(arena);
}

static void
test_utf8(void)
{
	static const struct
	{
		const char *text;
		size_t		width;
		const char *what;
	}			cases[] =
	{
		{"a", 1, "ASCII"},
		{"\xc3\xa9", 2, "two bytes"},
		{"\xe2\x82\xac", 3, "three bytes"},
		{"\xf0\x9f\x98\x80", 4, "four bytes"},
		{"\xf4\x8f\xbf\xbf", 4, "the last code point"},
		{"\x80", 0, "a continuation byte alone"},
		{"\xc3", 0, "a character cut short"},
		{"\xe2\x82", 0, "a longer one cut short"},
		{"\xc0\xaf", 0, "an overlong form of two bytes"},
		{"\xe0\x80\xaf", 0, "an overlong form of three bytes"},
		{"\xf0\x80\x80\xaf", 0, "an overlong form of four bytes"},
		{"\xed\xa0\x80", 0, "a surrogate"},
		{"\xf4\x90\x80\x80", 0, "a code point after the last"},
		{"\xff", 0, "a byte that UTF-8 never has"},
		{"\xc3\x28", 0, "a lead byte before ASCII"}
	};
	size_t		i;
	uint32_t	c;
	bool		round_trip = true;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(utf8_decode(cases[i].text, strlen(cases[i].text), &c) ==
		   cases[i].width, "UTF-8: %s is %s", cases[i].what,
		   cases[i].width ? "a character" : "refused");
	ok(utf8_decode("", 0, &c) == 0, "UTF-8: nothing is not a character");

	for (i = 0x80; i <= 0x10ffff; i++)
	{
		char		encoded[4];
		size_t		width = i < 0x800 ? 2 : i < 0x10000 ? 3 : 4;
		bool		surrogate = i >= 0xd800 && i <= 0xdfff;
		size_t		shift = 6 * (width - 1);
		size_t		j;

		encoded[0] = (char) ((0xf0 << (4 - width)) | (i >> shift));
		for (j = 1; j < width; j++)
			encoded[j] = (char) (0x80 | ((i >> (shift - 6 * j)) & 0x3f));
		c = 0;
		round_trip = round_trip &&
			utf8_decode(encoded, width, &c) == (surrogate ? 0 : width) &&
			(surrogate || c == i);
	}
	ok(round_trip, "UTF-8: every code point decodes to itself, and no surrogate does");
}

static void
test_scan(void)
{
	static const uint32_t controls[] = {
		0, 1, 9, 10, 13, 0x1b, 0x1f, 0x7f, 0x80, 0x85, 0x9f, 0xad, 0x61c,
		0x180e, 0x200b, 0x200d, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060,
		0x206f, 0xfeff, 0xfff9, 0xfffb, 0xe0000, 0xe007f
	};
	static const uint32_t ordinary[] = {
		0x20, 0x7e, 0xa0, 0xac, 0xae, 0xe9, 0x61b, 0x200a, 0x2010, 0x2027,
		0x202f, 0x205f, 0x2070, 0x20ac, 0xfff8, 0xfffc, 0x1f600, 0xe0080
	};
	size_t		i;
	bool		good = true;

	for (i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
		good = good && code_point_is_control(controls[i]);
	ok(good, "C0, DEL, C1, line separators, bidirectional controls and invisible characters count as control characters");
	good = true;
	for (i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++)
		good = good && !code_point_is_control(ordinary[i]);
	ok(good, "letters, spaces, currency and emoji are not");
	ok(text_scan("a b", 3, true) == TEXT_OK &&
	   text_scan("a b", 3, false) == TEXT_SPACE &&
	   text_scan("a\xc2\xa0" "b", 4, false) == TEXT_SPACE,
	   "white space, a no-break space too, is found where it is looked for");
	ok(text_scan("a\0b", 3, true) == TEXT_CONTROL, "a zero byte is found");
	ok(text_scan("a\xff", 2, true) == TEXT_NOT_UTF8, "a stray byte is found");
	ok(text_is_trimmed("a b", 3) && text_is_trimmed("", 0) &&
	   !text_is_trimmed(" a", 2) && !text_is_trimmed("a ", 2) &&
	   !text_is_trimmed("\xe3\x80\x80" "a", 4) &&
	   !text_is_trimmed("a\xe3\x80\x80", 4),
	   "white space at either end is found, an ideographic one too");
}

static bool
valid_utf8(const char *text, size_t len)
{
	size_t		at = 0;
	uint32_t	c;

	while (at < len)
	{
		size_t		width = utf8_decode(text + at, len - at, &c);

		if (width == 0)
			return false;
		at += width;
	}
	return true;
}

/* Every byte at every place of texts around the width that is read at once. */
static void
test_ascii_run(void)
{
	bool		good = true;
	char		text[26];

	for (size_t len = 0; len < sizeof(text); len++)
		for (size_t at = 0; at < len; at++)
			for (int byte = 0; byte < 256; byte++)
			{
				char	   *copy = malloc(len);

				for (size_t i = 0; i < len; i++)
					copy[i] = i % 2 == 0 ? ' ' : '~';
				copy[at] = (char) byte;
				good = good && text_ascii_run(copy, len) ==
					(byte >= 0x20 && byte <= 0x7e ? len : at);
				free(copy);
			}
	ok(good, "a run of printing ASCII ends at the first byte that is none");
	ok(text_ascii_run("", 0) == 0, "... and is empty where there is nothing");
}

static void
test_append(void)
{
	static const char *const text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	size_t		len = strlen(text);
	size_t		max;
	size_t		size;
	bool		good = true;
	bool		marked = true;
	char		small[8] = "";
	char		numbers[64];

	for (max = 0; max <= len + 1; max++)
	{
		size_t		clipped = utf8_clip(text, len, max);

		good = good && clipped <= max && clipped <= len &&
			valid_utf8(text, clipped) && (max < len || clipped == len) &&
			clipped + 4 > (max < len ? max : len);
	}
	ok(good, "a text is clipped between characters, at most three bytes early");
	ok(utf8_clip("ab\xe2\x82", 4, 4) == 2,
	   "half a character at the end of a text goes, too");

	good = true;
	for (size = 1; size <= len + 2; size++)
	{
		/* On the heap and of exactly this size, so that ASan watches. */
		char	   *buffer = malloc(size);

		buffer[0] = '\0';
		text_append(buffer, size, text);
		good = good && strlen(buffer) < size && valid_utf8(buffer, strlen(buffer));
		if (size > len)
			good = good && strcmp(buffer, text) == 0;
		else if (size > 3)
			marked = marked && strcmp(buffer + strlen(buffer) - 3, "...") == 0;
		text_append(buffer, size, text);
		good = good && strlen(buffer) < size && valid_utf8(buffer, strlen(buffer));
		free(buffer);
	}
	ok(good, "an appended text never leaves its buffer, nor half a character in it");
	ok(marked, "a cut is shown by three dots");
	text_append(small, sizeof(small), "n=");
	text_append_int(small, sizeof(small), -42);
	is(small, "n=-42", "a number is appended in decimal");
	numbers[0] = '\0';
	text_append_int(numbers, sizeof(numbers), LLONG_MIN);
	text_append(numbers, sizeof(numbers), " ");
	text_append_int(numbers, sizeof(numbers), 0);
	text_append(numbers, sizeof(numbers), " ");
	text_append_int(numbers, sizeof(numbers), LLONG_MAX);
	is(numbers, "-9223372036854775808 0 9223372036854775807",
	   "... the least, none, and the most");
}

/* The reference implementation's test: key 00..0f, input 00..0e. */
static void
test_siphash(void)
{
	uint8_t		key[16];
	uint8_t		input[15];
	int			i;

	for (i = 0; i < 16; i++)
		key[i] = (uint8_t) i;
	for (i = 0; i < 15; i++)
		input[i] = (uint8_t) i;
	ok(siphash24(key, input, 15) == UINT64_C(0xa129ca6149be45e5),
	   "SipHash-2-4 gives the test value of its paper's appendix A");
	ok(siphash24(key, input, 0) == UINT64_C(0x726fdb47dd0e0e31) &&
	   siphash24(key, input, 8) == UINT64_C(0x93f5f5799a932462),
	   "and those of the reference implementation for 0 and 8 bytes");
}

static void
test_string_map(void)
{
	Arena	   *arena = arena_create(0);
	StringMap  *map = string_map_create(arena);
	bool		good = true;
	char		text[32];
	int			i;

	ok(string_map_get(map, 0, "a", 1) == -1, "an empty map has nothing");
	for (i = 0; i < 5000; i++)
	{
		int			len = snprintf(text, sizeof(text), "key-%d", i / 2);

		good = good && string_map_put(map, i % 2, arena_strndup(arena, text, len),
									  len, i);
	}
	ok(good, "thousands of keys go in");
	for (i = 0; i < 5000; i++)
	{
		int			len = snprintf(text, sizeof(text), "key-%d", i / 2);

		good = good && string_map_get(map, i % 2, text, len) == i &&
			string_map_get(map, 2, text, len) == -1 &&
			string_map_get(map, i % 2, text, len - 1) != i;
	}
	ok(good, "each comes out under its own text, length and scope");
	ok(string_map_put(map, -7, "", 0, 9) && string_map_get(map, -7, "", 0) == 9,
	   "the empty text is a key, and a scope can be negative");
	arena_destroy(arena);
}

static void
test_string_map_out_of_memory(void)
{
	size_t		limit;
	bool		good = true;
	bool		succeeded = false;

	for (limit = 1; limit < 20000 && !succeeded; limit += 64)
	{
		Arena	   *arena = arena_create(limit);
		StringMap  *map = string_map_create(arena);
		int			stored = 0;
		static const char *const keys = "abcdefghijklmnopqrstuvwxyz";

		while (map != NULL && stored < 26 &&
			   string_map_put(map, 0, keys + stored, 1, stored))
			stored++;
		succeeded = stored == 26;
		while (stored-- > 0)
			good = good && string_map_get(map, 0, keys + stored, 1) == stored;
		arena_destroy(arena);
	}
	ok(good && succeeded, "a map that runs out of memory keeps what it has");
}

int
main(void)
{
	test_arena();
	test_grow();
	test_utf8();
	test_ascii_run();
	test_scan();
	test_append();
	test_siphash();
	test_string_map();
	test_string_map_out_of_memory();
	return done_testing();
}
