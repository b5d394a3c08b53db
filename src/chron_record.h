/*-------------------------------------------------------------------------
 *
 * chron_record.h
 *	  The canonical bytes of a Chron record, and its hashes.
 *
 * The format is doc/chron-format.md; the two are changed together or not at
 * all.  Plain C over plain buffers: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_CHRON_RECORD_H
#define CLAIIM_CHRON_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHRON_HASH_LEN	32
#define CHRON_SALT_LEN	32

/* The bytes of d before its fields: the prefix and the count. */
#define CHRON_RECORD_PREFIX "claiim/chron/row/v1\n"
#define CHRON_RECORD_HEAD	(sizeof(CHRON_RECORD_PREFIX) - 1 + 2)

/*
 * Field ids are fixed forever: one is never reused, renumbered or retyped.
 * The first four are the writer's; a caller's encoded fields begin after.
 */
typedef enum ChronFieldId
{
	CHRON_FIELD_LOG = 1,		/* text: the log's id, log_... */
	CHRON_FIELD_SEQ = 2,		/* int: the record's number, from 1 */
	CHRON_FIELD_AT = 3,			/* int: Unix microseconds, never decreasing */
	CHRON_FIELD_CLOCK = 4,		/* int: the clock's own reading where it was
								 * behind "at", otherwise absent */
	CHRON_FIELD_KIND = 5,		/* text: decision, act */
	CHRON_FIELD_OUTCOME = 6,	/* text: ALLOW, DENY */
	CHRON_FIELD_AGENT = 7,
	CHRON_FIELD_ACTION = 8,
	CHRON_FIELD_TARGET = 9,
	CHRON_FIELD_ORG = 10,
	CHRON_FIELD_ANCHOR = 11,	/* text: the accountable human */
	CHRON_FIELD_POLICY = 12,	/* text: the agent's policy version */
	CHRON_FIELD_SKILL = 13,		/* text: the skill version(s) */
	CHRON_FIELD_BASELINE = 14,	/* text: the organizations' policy versions */
	CHRON_FIELD_RULE = 15,		/* text: the entry that decided */
	CHRON_FIELD_REASON_CODE = 16,
	CHRON_FIELD_REASON = 17,
	CHRON_FIELD_SESSION = 18,	/* text: ses_... */
	CHRON_FIELD_APPROVED_BY = 19,	/* text: humans, comma separated */
	CHRON_FIELD_AUTH = 20,		/* text: role, token, transaction */
	CHRON_FIELD_TOKEN = 21,		/* text: the token's id, never the token */
	CHRON_FIELD_DB_USER = 22,	/* text: session_user */
	CHRON_FIELD_CLIENT = 23,	/* text: the client's network address */
	CHRON_FIELD_CONTEXT_DIGEST = 24,	/* bytes: salted, see the format page */
	CHRON_FIELD_ACTOR = 25,		/* text: the human of a governance act */
	CHRON_FIELD_ACT = 26,		/* text: policy.bind, writer.start, ... */
	CHRON_FIELD_SUBJECT = 27,	/* text: what the act was done to */
	CHRON_FIELD_CHANGE = 28,	/* text: chg_... */
	CHRON_FIELD_DETAIL = 29		/* text: JSON */
} ChronFieldId;

#define CHRON_FIELD_LAST	CHRON_FIELD_DETAIL
#define CHRON_FIELD_FIRST_CALLER	CHRON_FIELD_KIND

typedef enum ChronFieldType
{
	CHRON_TYPE_INT = 1,
	CHRON_TYPE_TEXT = 2,
	CHRON_TYPE_BYTES = 3
} ChronFieldType;

/* One row of the table that maps field ids to columns of claiim.chron. */
typedef struct ChronFieldInfo
{
	ChronFieldId id;
	ChronFieldType type;
	const char *column;			/* its column in claiim.chron */
} ChronFieldInfo;

extern const ChronFieldInfo *chron_field_info(int id);	/* NULL if none */

/*
 * An encoder writes ( u16be id || u8 type || u32be len || value )* into a
 * caller's buffer, ids ascending.  What cannot be written sets "failed",
 * which is sticky, so a caller checks once at the end: a full buffer, ids out
 * of order, a field of another type, a text that is not valid UTF-8 or holds
 * a zero byte.
 */
typedef struct ChronEncoder
{
	uint8_t    *data;
	size_t		size;
	size_t		len;
	int			nfields;
	int			last_id;
	bool		failed;
} ChronEncoder;

extern void chron_encode_start(ChronEncoder *enc, uint8_t *buffer, size_t size);
extern void chron_encode_int(ChronEncoder *enc, ChronFieldId id, int64_t value);

/* In all three NULL means "left out"; the empty string is a value. */
extern void chron_encode_text(ChronEncoder *enc, ChronFieldId id,
							  const char *text);
extern void chron_encode_text_len(ChronEncoder *enc, ChronFieldId id,
								  const char *text, size_t len);
extern void chron_encode_bytes(ChronEncoder *enc, ChronFieldId id,
							   const uint8_t *bytes, size_t len);

/* Reading such fields back, in order. */
typedef struct ChronDecoder
{
	const uint8_t *data;
	size_t		len;
	size_t		pos;
	int			last_id;
} ChronDecoder;

typedef struct ChronField
{
	int			id;
	int			type;
	const uint8_t *value;
	uint32_t	len;
} ChronField;

extern void chron_decode_start(ChronDecoder *dec, const uint8_t *data, size_t len);

/*
 * 1: a field; 0: the end; -1: malformed (unknown id, another type than the
 * id's, disorder, short, not UTF-8), and -1 again ever after.  What decodes
 * to the end is exactly what an encoder would have written.
 */
extern int	chron_decode_next(ChronDecoder *dec, ChronField *field);
extern int64_t chron_field_int(const ChronField *field);	/* CHRON_TYPE_INT only */

/*
 * SHA-256 of the concatenation of pieces; false only if the hash library
 * fails.  Like all hashes here it uses one context per process: not for
 * threads.
 */
typedef struct ChronPiece
{
	const void *data;			/* may be NULL if len is 0 */
	size_t		len;
} ChronPiece;

extern bool chron_sha256(const ChronPiece *pieces, int npieces,
						 uint8_t digest[CHRON_HASH_LEN]);

/*
 * leaf = SHA256( 0x00 || "claiim/chron/row/v1\n" || u16be nfields || fields )
 *
 * The fields come in two pieces, the writer's and the caller's, so that the
 * writer hashes what the caller encoded without copying it.  The caller's are
 * read through first: false, and no hash, if they are malformed, do not come
 * after the writer's or are not "caller_nfields" many, and where the writer's
 * encoder has failed.  NULL, 0, 0 where all fields are in the encoder.
 */
extern bool chron_leaf_hash(const ChronEncoder *writer_fields,
							const uint8_t *caller_fields, size_t caller_len,
							int caller_nfields,
							uint8_t leaf[CHRON_HASH_LEN]);

/*
 * link = SHA256( "claiim/chron/link/v1\n" || previous link || leaf )
 *
 * "link" may be "previous".  This and the next are false only if the hash
 * library fails.
 */
extern bool chron_link_hash(const uint8_t previous[CHRON_HASH_LEN],
							const uint8_t leaf[CHRON_HASH_LEN],
							uint8_t link[CHRON_HASH_LEN]);

/* SHA256( "claiim/chron/context/v1\n" || salt || value ) */
extern bool chron_context_digest(const uint8_t salt[CHRON_SALT_LEN],
								 const uint8_t *value, size_t len,
								 uint8_t digest[CHRON_HASH_LEN]);

/*
 * d itself: prefix, count and fields in one buffer.  Its length, or 0 if
 * "size" is too small or the encoder has failed.
 */
extern size_t chron_record_bytes(const ChronEncoder *fields,
								 uint8_t *out, size_t size);

/* The link before the first record: 32 zero bytes. */
extern const uint8_t chron_zero_link[CHRON_HASH_LEN];

#endif							/* CLAIIM_CHRON_RECORD_H */
