/*-------------------------------------------------------------------------
 *
 * typeid.c
 *	  TypeIDs, and the ids of Chron's records.
 *
 * Every id that the system makes is a TypeID: readable, sortable by time, and
 * its prefix says what it names.  A chr_ id carries the key of its record, so
 * that it needs no index of its own; for that it has to be a bijection: each
 * (time, seq) has one id, and any other text is refused, since two spellings
 * of one id would be two answers to "is this in Chron?".
 *
 * Nothing here knows a clock or a source of random bits: callers pass both.
 * Plain C over plain buffers, no postgres.h: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#include "typeid.h"

#include <string.h>

/* Crockford's base32, lowercase: no i, l, o, u. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

/*
 * A prefix is empty, or lowercase letters and underscores, beginning and
 * ending with a letter.
 */
static bool
prefix_is_valid(const char *prefix, size_t len)
{
	size_t		i;

	if (len > TYPEID_MAX_PREFIX)
		return false;
	if (len > 0 && (prefix[0] == '_' || prefix[len - 1] == '_'))
		return false;
	for (i = 0; i < len; i++)
	{
		if (prefix[i] != '_' && (prefix[i] < 'a' || prefix[i] > 'z'))
			return false;
	}
	return true;
}

static uint64_t
read_u64be(const uint8_t *bytes)
{
	uint64_t	value = 0;
	int			i;

	for (i = 0; i < 8; i++)
		value = (value << 8) | bytes[i];
	return value;
}

static void
write_u64be(uint8_t *bytes, uint64_t value)
{
	int			i;

	for (i = 7; i >= 0; i--)
	{
		bytes[i] = (uint8_t) (value & 0xff);
		value >>= 8;
	}
}

static bool
refuse(const char **error, const char *why)
{
	if (error != NULL)
		*error = why;
	return false;
}

bool
typeid_encode(const char *prefix, const uint8_t uuid[16],
			  char *out, size_t out_size)
{
	size_t		prefix_len = strlen(prefix);
	size_t		start = prefix_len > 0 ? prefix_len + 1 : 0;
	uint64_t	high = read_u64be(uuid);
	uint64_t	low = read_u64be(uuid + 8);
	int			i;

	if (out_size > 0)
		out[0] = '\0';
	if (!prefix_is_valid(prefix, prefix_len) ||
		out_size < start + TYPEID_SUFFIX_LEN + 1)
		return false;

	if (prefix_len > 0)
	{
		memcpy(out, prefix, prefix_len);
		out[prefix_len] = '_';
	}

	/* 26 digits are 130 bits: the first holds only the top three. */
	for (i = TYPEID_SUFFIX_LEN - 1; i >= 0; i--)
	{
		out[start + i] = digits[low & 31];
		low = (low >> 5) | (high << 59);
		high >>= 5;
	}
	out[start + TYPEID_SUFFIX_LEN] = '\0';
	return true;
}

bool
typeid_decode(const char *text, size_t len,
			  char prefix[TYPEID_MAX_PREFIX + 1],
			  uint8_t uuid[16], const char **error)
{
	const char *suffix;
	size_t		prefix_len = 0;
	uint64_t	high = 0;
	uint64_t	low = 0;
	int			i;

	if (len < TYPEID_SUFFIX_LEN)
		return refuse(error, "too short");
	suffix = text + (len - TYPEID_SUFFIX_LEN);
	if (len > TYPEID_SUFFIX_LEN)
	{
		if (suffix[-1] != '_')
			return refuse(error, "no underscore before the last 26 characters");
		prefix_len = len - TYPEID_SUFFIX_LEN - 1;
		if (prefix_len == 0)
			return refuse(error, "an underscore without a prefix");
		if (!prefix_is_valid(text, prefix_len))
			return refuse(error, "the prefix is not valid");
	}

	for (i = 0; i < TYPEID_SUFFIX_LEN; i++)
	{
		const char *digit = memchr(digits, suffix[i], sizeof(digits) - 1);

		if (digit == NULL)
			return refuse(error, "not lowercase Crockford base32");
		if (i == 0 && digit - digits > 7)
			return refuse(error, "more than 128 bits");
		high = (high << 5) | (low >> 59);
		low = (low << 5) | (uint64_t) (digit - digits);
	}

	memcpy(prefix, text, prefix_len);
	prefix[prefix_len] = '\0';
	write_u64be(uuid, high);
	write_u64be(uuid + 8, low);
	return true;
}

/*
 * A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, version 7,
 * 12 bits rand_a, variant 10, 62 bits rand_b.
 */
static void
uuidv7_assemble(int64_t unix_ms, unsigned rand_a, uint64_t rand_b,
				uint8_t uuid[16])
{
	write_u64be(uuid, ((uint64_t) unix_ms << 16) | 0x7000 | (rand_a & 0x0fff));
	write_u64be(uuid + 8,
				(UINT64_C(2) << 62) | (rand_b & (uint64_t) CHRON_ID_MAX_SEQ));
}

bool
uuidv7_make(int64_t unix_us, const uint8_t random[10], uint8_t uuid[16])
{
	if (unix_us < 0 || unix_us > UUIDV7_MAX_UNIX_US)
		return false;
	uuidv7_assemble(unix_us / 1000,
					((unsigned) random[0] << 8) | random[1],
					read_u64be(random + 2), uuid);
	return true;
}

/* rand_a is the microseconds within the millisecond, rand_b is seq. */
bool
chron_id_encode(int64_t unix_us, int64_t seq, char out[CHRON_ID_SIZE])
{
	uint8_t		uuid[16];

	out[0] = '\0';
	if (unix_us < 0 || unix_us > UUIDV7_MAX_UNIX_US ||
		seq < 1 || seq > CHRON_ID_MAX_SEQ)
		return false;
	uuidv7_assemble(unix_us / 1000, (unsigned) (unix_us % 1000),
					(uint64_t) seq, uuid);
	return typeid_encode(CHRON_ID_PREFIX, uuid, out, CHRON_ID_SIZE);
}

bool
chron_id_decode(const char *text, size_t len,
				int64_t *unix_us, int64_t *seq, const char **error)
{
	char		prefix[TYPEID_MAX_PREFIX + 1];
	uint8_t		uuid[16];
	uint64_t	high;
	uint64_t	low;
	unsigned	micros;

	if (!typeid_decode(text, len, prefix, uuid, error))
		return false;
	if (strcmp(prefix, CHRON_ID_PREFIX) != 0)
		return refuse(error, "the prefix is not \"" CHRON_ID_PREFIX "\"");

	high = read_u64be(uuid);
	low = read_u64be(uuid + 8);
	micros = (unsigned) (high & 0x0fff);
	if (((high >> 12) & 0xf) != 7)
		return refuse(error, "not a UUID of version 7");
	if (low >> 62 != 2)
		return refuse(error, "not a UUID of RFC 9562's variant");
	if (micros > 999)
		return refuse(error, "more than 999 microseconds");
	low &= (uint64_t) CHRON_ID_MAX_SEQ;
	if (low == 0)
		return refuse(error, "record numbers begin at 1");

	*unix_us = (int64_t) (high >> 16) * 1000 + (int64_t) micros;
	*seq = (int64_t) low;
	return true;
}
