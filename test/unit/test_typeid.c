/*-------------------------------------------------------------------------
 *
 * test_typeid.c
 *	  TypeIDs against the specification's own vectors, and the ids of records
 *	  as the bijection that they have to be.
 *
 * Runs from the project's root, or with CLAIIM_VECTORS naming the vectors.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "typeid.h"

#include "random.h"
#include "tap.h"
#include "vectors.h"

static void
format_uuid(const uint8_t uuid[16], char out[37])
{
	int			i;
	int			pos = 0;

	for (i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[pos++] = '-';
		pos += sprintf(out + pos, "%02x", uuid[i]);
	}
}

/* Decodes from memory of exactly that length, so that ASan sees one read too many. */
static bool
decode_exact(const char *text, char prefix[TYPEID_MAX_PREFIX + 1],
			 uint8_t uuid[16], const char **error)
{
	size_t		len = strlen(text);
	char	   *copy = malloc(len > 0 ? len : 1);
	bool		good;

	memcpy(copy, text, len);
	good = typeid_decode(copy, len, prefix, uuid, error);
	free(copy);
	return good;
}

static bool
chron_decodes(const char *text, int64_t *unix_us, int64_t *seq)
{
	const char *error = NULL;

	return chron_id_decode(text, strlen(text), unix_us, seq, &error);
}

/* Is refused, and says why. */
static bool
chron_refuses(const char *text, const char *why)
{
	const char *error = "";
	int64_t		unix_us;
	int64_t		seq;

	return !chron_id_decode(text, strlen(text), &unix_us, &seq, &error) &&
		strcmp(error, why) == 0;
}

static void
test_valid_vectors(void)
{
	char	   *json = vectors_read("typeid/valid.json");
	const char *at = json;
	char		name[200];
	char		text[200];
	char		prefix[200];
	char		uuid[200];

	if (json == NULL)
	{
		skip("the specification's valid ids: no vectors");
		return;
	}
	while (vectors_next(&at, "name", name, sizeof(name)) &&
		   vectors_next(&at, "typeid", text, sizeof(text)) &&
		   vectors_next(&at, "prefix", prefix, sizeof(prefix)) &&
		   vectors_next(&at, "uuid", uuid, sizeof(uuid)))
	{
		uint8_t		bytes[16];
		char		found_prefix[TYPEID_MAX_PREFIX + 1];
		char		found_uuid[37] = "";
		char		again[TYPEID_MAX_LEN + 1] = "";
		bool		good = decode_exact(text, found_prefix, bytes, NULL);

		if (good)
			format_uuid(bytes, found_uuid);
		ok(good && strcmp(prefix, found_prefix) == 0 &&
		   strcmp(uuid, found_uuid) == 0,
		   "valid vector %s decodes to its prefix and UUID", name);
		ok(good && typeid_encode(prefix, bytes, again, sizeof(again)) &&
		   strcmp(again, text) == 0,
		   "valid vector %s is what its prefix and UUID encode to", name);
	}
	free(json);
}

static void
test_invalid_vectors(void)
{
	char	   *json = vectors_read("typeid/invalid.json");
	const char *at = json;
	char		name[200];
	char		text[200];

	if (json == NULL)
	{
		skip("the specification's invalid ids: no vectors");
		return;
	}
	while (vectors_next(&at, "name", name, sizeof(name)) &&
		   vectors_next(&at, "typeid", text, sizeof(text)))
	{
		uint8_t		bytes[16];
		char		prefix[TYPEID_MAX_PREFIX + 1];
		const char *error = NULL;

		ok(!decode_exact(text, prefix, bytes, &error) && error != NULL,
		   "invalid vector %s is refused (%s)", name, error ? error : "?");
	}
	free(json);
}

static void
test_encode_refuses(void)
{
	static const char *const bad[] = {"Chr", "chr1", "_chr", "chr_", "_", "c-r",
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"};
	static const char max_prefix[] =
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk";
	uint8_t		uuid[16] = {0};
	char		out[TYPEID_MAX_LEN + 1];
	char		found[TYPEID_MAX_PREFIX + 1];
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		strcpy(out, "unchanged");
		ok(!typeid_encode(bad[i], uuid, out, sizeof(out)) && out[0] == '\0',
		   "encoding refuses the prefix \"%s\" and leaves the empty string",
		   bad[i]);
	}
	ok(typeid_encode(max_prefix, uuid, out, sizeof(out)) &&
	   strlen(out) == TYPEID_MAX_LEN &&
	   decode_exact(out, found, uuid, NULL) && strcmp(found, max_prefix) == 0,
	   "a prefix of 63 letters is the longest");

	ok(typeid_encode("log", uuid, out, 31) && strlen(out) == 30,
	   "encoding fits a buffer of exactly its length and the zero");
	memset(out, 'x', sizeof(out));
	ok(!typeid_encode("log", uuid, out, 30) && out[0] == '\0' && out[30] == 'x',
	   "encoding refuses a buffer that is one byte too small");
	out[0] = 'x';
	ok(!typeid_encode("log", uuid, out, 0) && out[0] == 'x',
	   "encoding touches no byte of a buffer of none");
}

static void
test_uuidv7(void)
{
	static const uint8_t ones[10] = {0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t count[10] = {0x01, 0x23, 0x45, 0x67, 0x89,
	0xab, 0xcd, 0xef, 0x01, 0x23};
	uint8_t		uuid[16];
	char		text[37];

	uuidv7_make(INT64_C(1645557742000999), count, uuid);
	format_uuid(uuid, text);
	ok(strcmp(text, "017f22e2-79b0-7123-8567-89abcdef0123") == 0,
	   "a UUIDv7 holds the milliseconds, version, variant and the random bits");
	ok(uuidv7_make(UUIDV7_MAX_UNIX_US, ones, uuid) &&
	   uuid[6] == 0x7f && uuid[8] == 0xbf && uuid[0] == 0xff && uuid[15] == 0xff,
	   "the largest time and all random bits leave version and variant alone");
	memset(uuid, 0xee, sizeof(uuid));
	ok(!uuidv7_make(-1, ones, uuid) && uuid[0] == 0xee,
	   "a UUIDv7 of a time before 1970 is refused");
	ok(!uuidv7_make(UUIDV7_MAX_UNIX_US + 1, ones, uuid) && uuid[0] == 0xee,
	   "a UUIDv7 of a time beyond 48 bits of milliseconds is refused");
}

static void
test_chron_id_limits(void)
{
	static const struct
	{
		int64_t		unix_us;
		int64_t		seq;
		const char *text;		/* NULL: refused */
		const char *what;
	}			cases[] =
	{
		{INT64_C(1793697301500007), 2, "chr_01m6gb1gzwe03r000000000002",
		"the example of doc/chron-format.md"},
		{0, 1, "chr_0000000000e008000000000001", "the first record at the epoch"},
		{UUIDV7_MAX_UNIX_US, CHRON_ID_MAX_SEQ, "chr_7zzzzzzzzzefkvzzzzzzzzzzzz",
		"the greatest time and the greatest seq"},
		{-1, 1, NULL, "a time before 1970"},
		{INT64_MIN, 1, NULL, "the least time"},
		{UUIDV7_MAX_UNIX_US + 1, 1, NULL, "a time beyond 48 bits of milliseconds"},
		{INT64_MAX, 1, NULL, "the greatest time"},
		{0, 0, NULL, "seq 0"},
		{0, -1, NULL, "a negative seq"},
		{0, CHRON_ID_MAX_SEQ + 1, NULL, "a seq of more than 62 bits"},
		{0, INT64_MAX, NULL, "the greatest integer as seq"}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char		out[CHRON_ID_SIZE] = "unchanged";
		bool		good = chron_id_encode(cases[i].unix_us, cases[i].seq, out);

		if (cases[i].text != NULL)
			ok(good && strcmp(out, cases[i].text) == 0,
			   "%s encodes to %s", cases[i].what, cases[i].text);
		else
			ok(!good && out[0] == '\0',
			   "encoding refuses %s and leaves the empty string", cases[i].what);
	}
}

/* Every pair has one id that gives it back; ids sort as their pairs do. */
static void
test_chron_id_round_trip(void)
{
	static const int64_t times[] = {0, 1, 999, 1000, 1001, INT64_C(1793697301500007),
	UUIDV7_MAX_UNIX_US - 1, UUIDV7_MAX_UNIX_US};
	static const int64_t seqs[] = {1, 2, 31, 32, 1000, INT64_C(1) << 32,
	CHRON_ID_MAX_SEQ - 1, CHRON_ID_MAX_SEQ};
	char		last[CHRON_ID_SIZE] = "";
	Random		random = {20261103};
	bool		same = true;
	bool		sorted = true;
	int			i;
	int			k;

	for (i = 0; i < 8; i++)
	{
		for (k = 0; k < 8; k++)
		{
			char		text[CHRON_ID_SIZE];
			int64_t		unix_us = -1;
			int64_t		seq = -1;

			if (!chron_id_encode(times[i], seqs[k], text) ||
				!chron_decodes(text, &unix_us, &seq) ||
				unix_us != times[i] || seq != seqs[k])
				same = false;
			if (strcmp(last, text) >= 0)
				sorted = false;
			strcpy(last, text);
		}
	}
	ok(same, "the corners of time and seq survive encoding and decoding");
	ok(sorted, "ids sort by time and then by seq, as text");

	same = true;
	for (i = 0; i < 20000; i++)
	{
		char		text[CHRON_ID_SIZE];
		int64_t		time = (int64_t) (random_next(&random) % (UUIDV7_MAX_UNIX_US + UINT64_C(1)));
		int64_t		number = (int64_t) (random_next(&random) >> (2 + random_next(&random) % 62));
		int64_t		unix_us;
		int64_t		seq;

		if (number == 0)
			number = 1;
		if (!chron_id_encode(time, number, text) ||
			!chron_decodes(text, &unix_us, &seq) ||
			unix_us != time || seq != number)
			same = false;
	}
	ok(same, "20000 pairs of time and seq survive encoding and decoding");
}

/* What decodes re-encodes to itself: no id has a second spelling. */
static void
test_chron_id_one_spelling(void)
{
	static const char base[] = "chr_01m6gb1gzwe03r000000000002";
	int			accepted = 0;
	int			refused = 0;
	bool		itself = true;
	size_t		i;
	int			byte;

	for (i = 0; i < sizeof(base) - 1; i++)
	{
		for (byte = 0; byte < 256; byte++)
		{
			char		text[sizeof(base)];
			char		again[CHRON_ID_SIZE];
			int64_t		unix_us;
			int64_t		seq;

			memcpy(text, base, sizeof(base));
			text[i] = (char) byte;
			if (!chron_id_decode(text, sizeof(base) - 1, &unix_us, &seq, NULL))
			{
				refused++;
				continue;
			}
			accepted++;
			if (!chron_id_encode(unix_us, seq, again) ||
				memcmp(again, text, sizeof(base) - 1) != 0)
				itself = false;
		}
	}
	ok(itself, "whatever one changed byte makes of an id, what is accepted re-encodes to itself");
	ok(accepted > 700 && refused > 6900,
	   "of these some are other ids (%d) and most are refused (%d)",
	   accepted, refused);
}

static void
test_chron_id_refuses(void)
{
	static const struct
	{
		const char *text;
		const char *why;
	}			cases[] =
	{
		{"", "too short"},
		{"chr_", "too short"},
		{"chr_01m6gb1gzwe03r00000000002", "no underscore before the last 26 characters"},
		{"chr_01m6gb1gzwe03r0000000000002", "no underscore before the last 26 characters"},
		{"chr_01m6gb1gzwe03r000000000002 ", "no underscore before the last 26 characters"},
		{"01m6gb1gzwe03r000000000002", "the prefix is not \"chr\""},
		{"ses_01m6gb1gzwe03r000000000002", "the prefix is not \"chr\""},
		{"chrx_01m6gb1gzwe03r000000000002", "the prefix is not \"chr\""},
		{"CHR_01m6gb1gzwe03r000000000002", "the prefix is not valid"},
		{"chr_01M6GB1GZWE03R000000000002", "not lowercase Crockford base32"},
		{"chr_01m6gb1gzwe03r00000000000l", "not lowercase Crockford base32"},
		{"chr_81m6gb1gzwe03r000000000002", "more than 128 bits"},
		{"chr_01m6gb1gzw803r000000000002", "not a UUID of version 7"},
		{"chr_01m6gb1gzwe03g000000000002", "not a UUID of RFC 9562's variant"},
		{"chr_01m6gb1gzwe03z000000000002", "not a UUID of RFC 9562's variant"},
		{"chr_01m6gb1gzwfzfr000000000002", "more than 999 microseconds"},
		{"chr_01m6gb1gzwe03r000000000000", "record numbers begin at 1"}
	};
	char		out[CHRON_ID_SIZE];
	uint8_t		uuid[16];
	int64_t		unix_us;
	int64_t		seq;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(chron_refuses(cases[i].text, cases[i].why),
		   "decoding refuses \"%s\": %s", cases[i].text, cases[i].why);

	/* A thousand is one more than fits: 1000 us is the next millisecond. */
	memset(uuid, 0, sizeof(uuid));
	uuid[6] = 0x73;
	uuid[8] = 0x80;
	uuid[15] = 1;
	uuid[7] = 0xe7;				/* 999 */
	typeid_encode(CHRON_ID_PREFIX, uuid, out, sizeof(out));
	ok(chron_decodes(out, &unix_us, &seq) && unix_us == 999 && seq == 1,
	   "999 microseconds are the most that an id holds");
	uuid[7] = 0xe8;				/* 1000 */
	typeid_encode(CHRON_ID_PREFIX, uuid, out, sizeof(out));
	ok(chron_refuses(out, "more than 999 microseconds"),
	   "1000 microseconds are refused");
}

int
main(void)
{
	test_valid_vectors();
	test_invalid_vectors();
	test_encode_refuses();
	test_uuidv7();
	test_chron_id_limits();
	test_chron_id_round_trip();
	test_chron_id_one_spelling();
	test_chron_id_refuses();
	return done_testing();
}
