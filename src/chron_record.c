/*-------------------------------------------------------------------------
 *
 * chron_record.c
 *	  The canonical bytes of a Chron record, and its hashes.
 *
 * The idea: a record has exactly one sequence of bytes, and these bytes say
 * everything that an auditor reads.  Fields carry their ids, types and
 * lengths, so no two different records can run together into the same bytes;
 * ids ascend, so there is no second order; a NULL is left out and the empty
 * string is kept, so the two differ.
 *
 * The format is public (doc/chron-format.md) and outlives this program: what
 * is here may grow fields, and may never change one.  Hashes are SHA-256 from
 * OpenSSL, since this file is also built outside the server, where
 * common/cryptohash.h is not.
 *
 * Nothing here allocates per record, reads a clock, or knows a database.
 * Plain C over plain buffers, no postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#include "chron_record.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "text.h"

#define LINK_PREFIX		"claiim/chron/link/v1\n"
#define CONTEXT_PREFIX	"claiim/chron/context/v1\n"

/* u16be id, u8 type, u32be len */
#define FIELD_HEAD_LEN	7

const uint8_t chron_zero_link[CHRON_HASH_LEN] = {0};

/* The columns' names, in the order of the ids, from 1. */
static const ChronFieldInfo field_infos[] = {
	{CHRON_FIELD_LOG, CHRON_TYPE_TEXT, "log"},
	{CHRON_FIELD_SEQ, CHRON_TYPE_INT, "seq"},
	{CHRON_FIELD_AT, CHRON_TYPE_INT, "at"},
	{CHRON_FIELD_CLOCK, CHRON_TYPE_INT, "clock"},
	{CHRON_FIELD_KIND, CHRON_TYPE_TEXT, "kind"},
	{CHRON_FIELD_OUTCOME, CHRON_TYPE_TEXT, "outcome"},
	{CHRON_FIELD_AGENT, CHRON_TYPE_TEXT, "agent"},
	{CHRON_FIELD_ACTION, CHRON_TYPE_TEXT, "action"},
	{CHRON_FIELD_TARGET, CHRON_TYPE_TEXT, "target"},
	{CHRON_FIELD_ORG, CHRON_TYPE_TEXT, "org"},
	{CHRON_FIELD_ANCHOR, CHRON_TYPE_TEXT, "anchor"},
	{CHRON_FIELD_POLICY, CHRON_TYPE_TEXT, "policy"},
	{CHRON_FIELD_SKILL, CHRON_TYPE_TEXT, "skill"},
	{CHRON_FIELD_BASELINE, CHRON_TYPE_TEXT, "baseline"},
	{CHRON_FIELD_RULE, CHRON_TYPE_TEXT, "rule"},
	{CHRON_FIELD_REASON_CODE, CHRON_TYPE_TEXT, "reason_code"},
	{CHRON_FIELD_REASON, CHRON_TYPE_TEXT, "reason"},
	{CHRON_FIELD_SESSION, CHRON_TYPE_TEXT, "session"},
	{CHRON_FIELD_APPROVED_BY, CHRON_TYPE_TEXT, "approved_by"},
	{CHRON_FIELD_AUTH, CHRON_TYPE_TEXT, "auth"},
	{CHRON_FIELD_TOKEN, CHRON_TYPE_TEXT, "token"},
	{CHRON_FIELD_DB_USER, CHRON_TYPE_TEXT, "db_user"},
	{CHRON_FIELD_CLIENT, CHRON_TYPE_TEXT, "client"},
	{CHRON_FIELD_CONTEXT_DIGEST, CHRON_TYPE_BYTES, "context_digest"},
	{CHRON_FIELD_ACTOR, CHRON_TYPE_TEXT, "actor"},
	{CHRON_FIELD_ACT, CHRON_TYPE_TEXT, "act"},
	{CHRON_FIELD_SUBJECT, CHRON_TYPE_TEXT, "subject"},
	{CHRON_FIELD_CHANGE, CHRON_TYPE_TEXT, "change"},
	{CHRON_FIELD_DETAIL, CHRON_TYPE_TEXT, "detail"}
};

_Static_assert(sizeof(field_infos) / sizeof(field_infos[0]) == CHRON_FIELD_LAST,
			   "every field id needs its row in field_infos");

const ChronFieldInfo *
chron_field_info(int id)
{
	if (id < 1 || id > CHRON_FIELD_LAST)
		return NULL;
	return &field_infos[id - 1];
}

static void
write_u16be(uint8_t *bytes, unsigned value)
{
	bytes[0] = (uint8_t) (value >> 8);
	bytes[1] = (uint8_t) (value & 0xff);
}

static void
write_u32be(uint8_t *bytes, uint32_t value)
{
	write_u16be(bytes, value >> 16);
	write_u16be(bytes + 2, value & 0xffff);
}

static uint32_t
read_u32be(const uint8_t *bytes)
{
	return ((uint32_t) bytes[0] << 24) | ((uint32_t) bytes[1] << 16) |
		((uint32_t) bytes[2] << 8) | bytes[3];
}

/* UTF-8 without U+0000, which PostgreSQL's text cannot hold. */
static bool
is_text(const uint8_t *bytes, size_t len)
{
	const char *text = (const char *) bytes;
	size_t		at = text_ascii_run(text, len);

	while (at < len)
	{
		uint32_t	c;
		size_t		width = utf8_decode(text + at, len - at, &c);

		if (width == 0 || c == 0)
			return false;
		at += width;
		at += text_ascii_run(text + at, len - at);
	}
	return true;
}

/*
 * Encoding
 */

void
chron_encode_start(ChronEncoder *enc, uint8_t *buffer, size_t size)
{
	enc->data = buffer;
	enc->size = size;
	enc->len = 0;
	enc->nfields = 0;
	enc->last_id = 0;
	enc->failed = false;
}

static void
encode_field(ChronEncoder *enc, ChronFieldId id, ChronFieldType type,
			 const uint8_t *value, size_t len)
{
	const ChronFieldInfo *info = chron_field_info((int) id);
	size_t		space = enc->size - enc->len;
	uint8_t    *out;

	if (enc->failed)
		return;
	if (info == NULL || info->type != type || (int) id <= enc->last_id ||
		space < FIELD_HEAD_LEN || space - FIELD_HEAD_LEN < len ||
		len > UINT32_MAX)
	{
		enc->failed = true;
		return;
	}

	out = enc->data + enc->len;
	write_u16be(out, (unsigned) id);
	out[2] = (uint8_t) type;
	write_u32be(out + 3, (uint32_t) len);
	if (len > 0)
		memcpy(out + FIELD_HEAD_LEN, value, len);
	enc->len += FIELD_HEAD_LEN + len;
	enc->nfields++;
	enc->last_id = (int) id;
}

void
chron_encode_int(ChronEncoder *enc, ChronFieldId id, int64_t value)
{
	uint8_t		bytes[8];

	write_u32be(bytes, (uint32_t) ((uint64_t) value >> 32));
	write_u32be(bytes + 4, (uint32_t) ((uint64_t) value & UINT32_MAX));
	encode_field(enc, id, CHRON_TYPE_INT, bytes, sizeof(bytes));
}

void
chron_encode_text(ChronEncoder *enc, ChronFieldId id, const char *text)
{
	if (text != NULL)
		chron_encode_text_len(enc, id, text, strlen(text));
}

void
chron_encode_text_len(ChronEncoder *enc, ChronFieldId id,
					  const char *text, size_t len)
{
	if (text == NULL)
		return;
	if (!is_text((const uint8_t *) text, len))
		enc->failed = true;
	encode_field(enc, id, CHRON_TYPE_TEXT, (const uint8_t *) text, len);
}

void
chron_encode_bytes(ChronEncoder *enc, ChronFieldId id,
				   const uint8_t *bytes, size_t len)
{
	if (bytes != NULL)
		encode_field(enc, id, CHRON_TYPE_BYTES, bytes, len);
}

/*
 * Decoding
 */

void
chron_decode_start(ChronDecoder *dec, const uint8_t *data, size_t len)
{
	dec->data = data;
	dec->len = len;
	dec->pos = 0;
	dec->last_id = 0;
}

int
chron_decode_next(ChronDecoder *dec, ChronField *field)
{
	const ChronFieldInfo *info;
	const uint8_t *head;
	size_t		left = dec->len - dec->pos;

	if (left == 0)
		return 0;
	if (left < FIELD_HEAD_LEN)
		return -1;

	head = dec->data + dec->pos;
	field->id = (head[0] << 8) | head[1];
	field->type = head[2];
	field->len = read_u32be(head + 3);
	field->value = head + FIELD_HEAD_LEN;

	info = chron_field_info(field->id);
	if (info == NULL || (int) info->type != field->type ||
		field->id <= dec->last_id || left - FIELD_HEAD_LEN < field->len)
		return -1;
	if (info->type == CHRON_TYPE_INT && field->len != 8)
		return -1;
	if (info->type == CHRON_TYPE_TEXT &&
		!is_text(field->value, field->len))
		return -1;

	dec->pos += FIELD_HEAD_LEN + (size_t) field->len;
	dec->last_id = field->id;
	return 1;
}

int64_t
chron_field_int(const ChronField *field)
{
	uint64_t	value = ((uint64_t) read_u32be(field->value) << 32) |
		read_u32be(field->value + 4);
	int64_t		result;

	/* Converting what exceeds INT64_MAX is left to the compiler by C11. */
	memcpy(&result, &value, sizeof(result));
	return result;
}

/*
 * Hashing
 */

/*
 * The algorithm is fetched and the context allocated once per process: both
 * cost more than hashing a record does.  They live as long as the process.
 */
bool
chron_sha256(const ChronPiece *pieces, int npieces,
			 uint8_t digest[CHRON_HASH_LEN])
{
	static EVP_MD *algorithm = NULL;
	static EVP_MD_CTX *context = NULL;
	bool		good;
	int			i;

	if (algorithm == NULL)
		algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (context == NULL)
		context = EVP_MD_CTX_new();

	good = algorithm != NULL && context != NULL &&
		EVP_DigestInit_ex(context, algorithm, NULL) == 1;
	for (i = 0; good && i < npieces; i++)
	{
		if (pieces[i].len > 0)
			good = EVP_DigestUpdate(context, pieces[i].data,
									pieces[i].len) == 1;
	}
	good = good && EVP_DigestFinal_ex(context, digest, NULL) == 1;

	/* The queue of errors is the process's: leave nothing for a TLS call. */
	if (!good)
		ERR_clear_error();
	return good;
}

/* How many well-formed fields there are, all after "last_id"; -1: malformed. */
static int
count_fields(const uint8_t *data, size_t len, int last_id)
{
	ChronDecoder dec;
	ChronField	field;
	int			nfields = 0;
	int			result;

	chron_decode_start(&dec, data, len);
	dec.last_id = last_id;
	while ((result = chron_decode_next(&dec, &field)) == 1)
		nfields++;
	return result == 0 ? nfields : -1;
}

bool
chron_leaf_hash(const ChronEncoder *writer_fields,
				const uint8_t *caller_fields, size_t caller_len,
				int caller_nfields,
				uint8_t leaf[CHRON_HASH_LEN])
{
	static const uint8_t leaf_mark = 0x00;
	uint8_t		count[2];
	ChronPiece	pieces[5];
	int			found;

	found = count_fields(caller_fields, caller_len, writer_fields->last_id);
	if (writer_fields->failed || found < 0 || found != caller_nfields)
		return false;

	write_u16be(count, (unsigned) (writer_fields->nfields + caller_nfields));
	pieces[0].data = &leaf_mark;
	pieces[0].len = 1;
	pieces[1].data = CHRON_RECORD_PREFIX;
	pieces[1].len = sizeof(CHRON_RECORD_PREFIX) - 1;
	pieces[2].data = count;
	pieces[2].len = sizeof(count);
	pieces[3].data = writer_fields->data;
	pieces[3].len = writer_fields->len;
	pieces[4].data = caller_fields;
	pieces[4].len = caller_len;
	return chron_sha256(pieces, 5, leaf);
}

bool
chron_link_hash(const uint8_t previous[CHRON_HASH_LEN],
				const uint8_t leaf[CHRON_HASH_LEN],
				uint8_t link[CHRON_HASH_LEN])
{
	ChronPiece	pieces[3];

	pieces[0].data = LINK_PREFIX;
	pieces[0].len = sizeof(LINK_PREFIX) - 1;
	pieces[1].data = previous;
	pieces[1].len = CHRON_HASH_LEN;
	pieces[2].data = leaf;
	pieces[2].len = CHRON_HASH_LEN;
	return chron_sha256(pieces, 3, link);
}

bool
chron_context_digest(const uint8_t salt[CHRON_SALT_LEN],
					 const uint8_t *value, size_t len,
					 uint8_t digest[CHRON_HASH_LEN])
{
	ChronPiece	pieces[3];

	pieces[0].data = CONTEXT_PREFIX;
	pieces[0].len = sizeof(CONTEXT_PREFIX) - 1;
	pieces[1].data = salt;
	pieces[1].len = CHRON_SALT_LEN;
	pieces[2].data = value;
	pieces[2].len = len;
	return chron_sha256(pieces, 3, digest);
}

size_t
chron_record_bytes(const ChronEncoder *fields, uint8_t *out, size_t size)
{
	size_t		prefix_len = sizeof(CHRON_RECORD_PREFIX) - 1;

	if (fields->failed || size < CHRON_RECORD_HEAD ||
		size - CHRON_RECORD_HEAD < fields->len)
		return 0;

	memcpy(out, CHRON_RECORD_PREFIX, prefix_len);
	write_u16be(out + prefix_len, (unsigned) fields->nfields);
	if (fields->len > 0)
		memcpy(out + CHRON_RECORD_HEAD, fields->data, fields->len);
	return CHRON_RECORD_HEAD + fields->len;
}
