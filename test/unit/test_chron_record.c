/*-------------------------------------------------------------------------
 *
 * test_chron_record.c
 *	  The canonical bytes and hashes of a record: against literal bytes,
 *	  against a chain that another encoder made (chain.txt, by
 *	  test_verify.py), and against bytes that no encoder makes.
 *
 * Runs from the project's root.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chron_record.h"

#include "tap.h"
#include "vectors.h"

#define BUFFER_SIZE 8192

static void
to_hex(const uint8_t *bytes, size_t len, char *out)
{
	size_t		i;

	out[0] = '\0';
	for (i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
}

/* The bytes of hexadecimal digits, up to the first character that is none. */
static size_t
from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t		len = 0;
	unsigned	byte;

	while (len < size && strspn(hex, "0123456789abcdef") >= 2 &&
		   sscanf(hex, "%2x", &byte) == 1)
	{
		out[len++] = (uint8_t) byte;
		hex += 2;
	}
	return len;
}

static bool
is_hex(const uint8_t *bytes, size_t len, const char *expected)
{
	char		found[2 * BUFFER_SIZE + 1];

	to_hex(bytes, len, found);
	if (strcmp(found, expected) == 0)
		return true;
	printf("# found    %s\n# expected %s\n", found, expected);
	return false;
}

/* Encodes what a decoder reads. */
static bool
encode_again(const uint8_t *data, size_t len, ChronEncoder *enc)
{
	ChronDecoder dec;
	ChronField	field;
	int			result;

	chron_decode_start(&dec, data, len);
	while ((result = chron_decode_next(&dec, &field)) == 1)
	{
		ChronFieldId id = (ChronFieldId) field.id;

		switch (field.type)
		{
			case CHRON_TYPE_INT:
				chron_encode_int(enc, id, chron_field_int(&field));
				break;
			case CHRON_TYPE_TEXT:
				chron_encode_text_len(enc, id, (const char *) field.value,
									  field.len);
				break;
			default:
				chron_encode_bytes(enc, id, field.value, field.len);
		}
	}
	return result == 0 && !enc->failed;
}

static bool
decodes(const uint8_t *data, size_t len)
{
	/* Memory of exactly that length, so that ASan sees one read too many. */
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	ChronDecoder dec;
	ChronField	field;
	int			result;

	memcpy(copy, data, len);
	chron_decode_start(&dec, copy, len);
	while ((result = chron_decode_next(&dec, &field)) == 1)
		;
	if (result == -1 && chron_decode_next(&dec, &field) != -1)
		result = 2;				/* malformed has to stay malformed */
	free(copy);
	return result != -1;
}

/* Some fields of every type; in them the corners of each. */
static void
encode_sample(ChronEncoder *enc)
{
	static const uint8_t digest[3] = {0x00, 0xff, 0x80};

	chron_encode_text(enc, CHRON_FIELD_LOG, "log");
	chron_encode_int(enc, CHRON_FIELD_SEQ, 1);
	chron_encode_int(enc, CHRON_FIELD_AT, INT64_MAX);
	chron_encode_int(enc, CHRON_FIELD_CLOCK, INT64_MIN);
	chron_encode_text(enc, CHRON_FIELD_KIND, NULL);
	chron_encode_text(enc, CHRON_FIELD_AGENT, "");
	chron_encode_text(enc, CHRON_FIELD_TARGET, "\xc3\xbc/\xe2\x82\xac/\xf0\x9f\x9a\x80");
	chron_encode_bytes(enc, CHRON_FIELD_CONTEXT_DIGEST, digest, 3);
}

static const char sample_hex[] =
"0001" "02" "00000003" "6c6f67"
"0002" "01" "00000008" "0000000000000001"
"0003" "01" "00000008" "7fffffffffffffff"
"0004" "01" "00000008" "8000000000000000"
"0007" "02" "00000000"
"0009" "02" "0000000b" "c3bc2fe282ac2ff09f9a80"
"0018" "03" "00000003" "00ff80";

static void
test_field_table(void)
{
	char		found[1024] = "";
	int			id;
	bool		good = true;

	for (id = 1; id <= CHRON_FIELD_LAST; id++)
	{
		const ChronFieldInfo *info = chron_field_info(id);

		if (info == NULL || (int) info->id != id)
		{
			good = false;
			continue;
		}
		strcat(found, info->column);
		strcat(found, info->type == CHRON_TYPE_INT ? ":int " :
			   info->type == CHRON_TYPE_TEXT ? " " : ":bytes ");
	}
	ok(good, "every field id up to the last has its own row");
	ok(strcmp(found,
			  "log seq:int at:int clock:int kind outcome agent action target org "
			  "anchor policy skill baseline rule reason_code reason session "
			  "approved_by auth token db_user client context_digest:bytes actor "
			  "act subject change detail ") == 0,
	   "columns and types are those of the format page, in the order of the ids");
	ok(chron_field_info(0) == NULL && chron_field_info(-1) == NULL &&
	   chron_field_info(CHRON_FIELD_LAST + 1) == NULL,
	   "no other id has one");
}

static void
test_encode(void)
{
	uint8_t		buffer[BUFFER_SIZE];
	uint8_t		record[BUFFER_SIZE];
	ChronEncoder enc;
	size_t		len;

	chron_encode_start(&enc, buffer, sizeof(buffer));
	encode_sample(&enc);
	ok(!enc.failed && enc.nfields == 7 && is_hex(buffer, enc.len, sample_hex),
	   "fields are id, type, length and value; NULL is left out, the empty string kept");

	len = chron_record_bytes(&enc, record, sizeof(record));
	ok(len == CHRON_RECORD_HEAD + enc.len &&
	   memcmp(record, "claiim/chron/row/v1\n\0\7", 22) == 0 &&
	   memcmp(record + 22, buffer, enc.len) == 0,
	   "a record is the prefix, the number of fields and the fields");
	memset(record, 0xee, sizeof(record));
	ok(chron_record_bytes(&enc, record, len - 1) == 0 && record[0] == 0xee,
	   "a record that does not fit is not written");
	ok(chron_record_bytes(&enc, record, len) == len && record[len] == 0xee,
	   "a record fits a buffer of exactly its length");

	chron_encode_start(&enc, buffer, 0);
	ok(chron_record_bytes(&enc, record, sizeof(record)) == CHRON_RECORD_HEAD &&
	   chron_record_bytes(&enc, record, CHRON_RECORD_HEAD - 1) == 0,
	   "a record without fields is its head alone");
}

static void
test_encode_overflow(void)
{
	size_t		full = (sizeof(sample_hex) - 1) / 2;
	size_t		size;
	bool		good = true;

	for (size = 0; size < full; size++)
	{
		uint8_t    *buffer = malloc(size > 0 ? size : 1);
		uint8_t		record[BUFFER_SIZE];
		ChronEncoder enc;

		chron_encode_start(&enc, buffer, size);
		encode_sample(&enc);
		if (!enc.failed || enc.len > size ||
			chron_record_bytes(&enc, record, sizeof(record)) != 0)
			good = false;
		free(buffer);
	}
	ok(good, "a buffer too small by any number of bytes fails, and is never overrun");

	{
		uint8_t    *buffer = malloc(full);
		ChronEncoder enc;

		chron_encode_start(&enc, buffer, full);
		encode_sample(&enc);
		ok(!enc.failed && enc.len == full, "a buffer of exactly the length suffices");
		chron_encode_text(&enc, CHRON_FIELD_DETAIL, NULL);
		ok(!enc.failed, "a NULL needs no room");
		chron_encode_text(&enc, CHRON_FIELD_DETAIL, "");
		ok(enc.failed, "an empty string does");
		free(buffer);
	}
}

static void
test_encode_failures(void)
{
	uint8_t		buffer[BUFFER_SIZE];
	uint8_t		leaf[CHRON_HASH_LEN];
	ChronEncoder enc;

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_AGENT, "a");
	chron_encode_text(&enc, CHRON_FIELD_AGENT, "a");
	ok(enc.failed, "a field encoded twice fails");

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_ACTION, "a");
	chron_encode_text(&enc, CHRON_FIELD_AGENT, "a");
	ok(enc.failed && enc.nfields == 1, "fields out of order fail");
	chron_encode_text(&enc, CHRON_FIELD_TARGET, "a");
	ok(enc.failed && enc.nfields == 1, "failure stays, and nothing more is written");
	ok(!chron_leaf_hash(&enc, NULL, 0, 0, leaf), "what failed has no leaf");

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_int(&enc, CHRON_FIELD_AGENT, 1);
	ok(enc.failed && enc.len == 0, "an integer in a text field fails");
	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_SEQ, "1");
	ok(enc.failed && enc.len == 0, "text in an integer field fails");
	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_CONTEXT_DIGEST, "1");
	ok(enc.failed && enc.len == 0, "text in a field of bytes fails");
	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_bytes(&enc, CHRON_FIELD_AGENT, buffer, 1);
	ok(enc.failed && enc.len == 0, "bytes in a text field fail");

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, (ChronFieldId) 0, "a");
	ok(enc.failed, "field 0 fails");
	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, (ChronFieldId) (CHRON_FIELD_LAST + 1), "a");
	ok(enc.failed, "a field after the last fails");
}

static void
test_utf8(void)
{
	static const struct
	{
		const char *text;
		size_t		len;
		bool		valid;
		const char *what;
	}			cases[] =
	{
		{"\x01\x7f", 2, true, "ASCII with control characters"},
		{"\xc2\x80\xdf\xbf", 4, true, "the first and last of two bytes"},
		{"\xe0\xa0\x80\xef\xbf\xbf", 6, true, "the first and last of three bytes"},
		{"\xed\x9f\xbf\xee\x80\x80", 6, true, "what lies around the surrogates"},
		{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, true, "the first and last of four bytes"},
		{"a\0b", 3, false, "U+0000"},
		{"\x80", 1, false, "a continuation byte alone"},
		{"\xc0\x80", 2, false, "an overlong U+0000"},
		{"\xc1\xbf", 2, false, "an overlong form of two bytes"},
		{"\xe0\x9f\xbf", 3, false, "an overlong form of three bytes"},
		{"\xf0\x8f\xbf\xbf", 4, false, "an overlong form of four bytes"},
		{"\xed\xa0\x80", 3, false, "the first surrogate"},
		{"\xed\xbf\xbf", 3, false, "the last surrogate"},
		{"\xf4\x90\x80\x80", 4, false, "U+110000"},
		{"\xf5\x80\x80\x80", 4, false, "a byte that UTF-8 does not have"},
		{"\xff", 1, false, "0xff"},
		{"\xc3", 1, false, "two bytes cut to one"},
		{"\xe2\x82", 2, false, "three bytes cut to two"},
		{"\xf0\x9f\x9a", 3, false, "four bytes cut to three"},
		{"\xc3\x28", 2, false, "a second byte that is none"},
		{"\xe2\x82\x28", 3, false, "a third byte that is none"},
		{"\xf0\x9f\x9a\xc0", 4, false, "a fourth byte that is none"}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t		buffer[64];
		uint8_t		head[] = {0x00, 0x07, 0x02, 0, 0, 0, (uint8_t) cases[i].len};
		ChronEncoder enc;

		chron_encode_start(&enc, buffer, sizeof(buffer));
		chron_encode_text_len(&enc, CHRON_FIELD_AGENT, cases[i].text, cases[i].len);
		memcpy(buffer, head, sizeof(head));
		memcpy(buffer + sizeof(head), cases[i].text, cases[i].len);
		ok(enc.failed != cases[i].valid &&
		   decodes(buffer, sizeof(head) + cases[i].len) == cases[i].valid,
		   "%s is %s in encoding and decoding", cases[i].what,
		   cases[i].valid ? "fine" : "refused");
	}
}

static void
test_decode(void)
{
	uint8_t		data[BUFFER_SIZE];
	uint8_t		again[BUFFER_SIZE];
	uint8_t		mutant[BUFFER_SIZE];
	size_t		len = from_hex(sample_hex, data, sizeof(data));
	ChronEncoder enc;
	ChronDecoder dec;
	ChronField	field;
	size_t		i;
	int			byte;
	int			accepted = 0;
	int			refused = 0;
	bool		good = true;

	chron_encode_start(&enc, again, sizeof(again));
	ok(encode_again(data, len, &enc) && enc.len == len &&
	   memcmp(data, again, len) == 0,
	   "fields that are decoded and encoded are the same bytes");

	chron_decode_start(&dec, data, len);
	while (chron_decode_next(&dec, &field) == 1 && field.id != CHRON_FIELD_AT)
		;
	ok(field.id == CHRON_FIELD_AT && chron_field_int(&field) == INT64_MAX,
	   "the greatest integer is read back");
	ok(chron_decode_next(&dec, &field) == 1 && chron_field_int(&field) == INT64_MIN,
	   "the least integer is read back");
	ok(chron_decode_next(&dec, &field) == 1 && field.id == CHRON_FIELD_AGENT &&
	   field.type == CHRON_TYPE_TEXT && field.len == 0,
	   "the empty string is read back as a field");
	ok(decodes(data, 0), "no bytes are no fields");

	/* Cut anywhere but between fields, it is malformed. */
	for (i = 1; i < len; i++)
	{
		ChronEncoder cut;
		bool		whole = decodes(data, i);

		chron_encode_start(&cut, again, sizeof(again));
		if (whole && (!encode_again(data, i, &cut) || cut.len != i))
			good = false;
		accepted += whole;
	}
	ok(good && accepted == 6, "cut short, only the %d ends of fields decode", accepted);

	/* There is one encoding: whatever decodes, encodes to the same bytes. */
	accepted = 0;
	for (i = 0; i < len; i++)
	{
		for (byte = 0; byte < 256; byte++)
		{
			memcpy(mutant, data, len);
			mutant[i] = (uint8_t) byte;
			if (!decodes(mutant, len))
			{
				refused++;
				continue;
			}
			accepted++;
			chron_encode_start(&enc, again, sizeof(again));
			if (!encode_again(mutant, len, &enc) || enc.len != len ||
				memcmp(mutant, again, len) != 0)
				good = false;
		}
	}
	ok(good && accepted > 5000 && refused > 5000,
	   "of all single changed bytes, %d are refused and %d decode and encode to themselves",
	   refused, accepted);
}

static void
test_decode_refuses(void)
{
	static const struct
	{
		const char *hex;
		const char *what;
	}			cases[] =
	{
		{"00000200000000", "field 0"},
		{"001e0200000000", "a field after the last"},
		{"ffff0200000000", "field 65535"},
		{"00070000000000", "type 0"},
		{"00070400000000", "type 4"},
		{"00070300000000", "a type that is not the field's"},
		{"000201000000070000000000000001", "an integer of 7 bytes, and one more"},
		{"0002010000000700000000000001", "an integer of 7 bytes"},
		{"00020100000009000000000000000001", "an integer of 9 bytes"},
		{"00020100000000", "an integer of no bytes"},
		{"0007020000000161" "00070200000000", "a field there twice"},
		{"0008020000000161" "00070200000000", "fields out of order"},
		{"00070200000002" "61", "a value that is too short"},
		{"000702ffffffff" "61", "a length of 4 GB"},
		{"000702000000", "a head that is too short"},
		{"00070200000000" "00", "one byte after the last field"}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t		data[64];
		size_t		len = from_hex(cases[i].hex, data, sizeof(data));

		ok(!decodes(data, len), "decoding refuses %s", cases[i].what);
	}
}

/* However the fields are split between writer and caller, the leaf is one. */
static void
test_leaf_in_pieces(void)
{
	uint8_t		data[BUFFER_SIZE];
	uint8_t		whole[CHRON_HASH_LEN];
	uint8_t		leaf[CHRON_HASH_LEN];
	uint8_t		record[BUFFER_SIZE];
	ChronEncoder enc;
	ChronEncoder part;
	ChronDecoder dec;
	ChronField	field;
	ChronPiece	pieces[2];
	bool		good = true;
	int			n;

	chron_encode_start(&enc, data, sizeof(data));
	encode_sample(&enc);
	pieces[0].data = "";
	pieces[0].len = 1;
	pieces[1].data = record;
	pieces[1].len = chron_record_bytes(&enc, record, sizeof(record));
	chron_sha256(pieces, 2, whole);
	ok(chron_leaf_hash(&enc, NULL, 0, 0, leaf) && memcmp(leaf, whole, 32) == 0,
	   "the leaf is the hash of a zero byte and the record");

	chron_decode_start(&dec, data, enc.len);
	for (n = 0; n <= enc.nfields; n++)
	{
		part = enc;
		part.len = dec.pos;
		part.nfields = n;
		part.last_id = dec.last_id;
		memset(leaf, 0, sizeof(leaf));
		if (!chron_leaf_hash(&part, data + dec.pos, enc.len - dec.pos,
							 enc.nfields - n, leaf) ||
			memcmp(leaf, whole, 32) != 0)
			good = false;
		if (chron_leaf_hash(&part, data + dec.pos, enc.len - dec.pos,
							enc.nfields - n + 1, leaf))
			good = false;
		chron_decode_next(&dec, &field);
	}
	ok(good, "split anywhere between writer and caller it is the same, and a wrong count refused");

	ok(!chron_leaf_hash(&enc, data, enc.len, enc.nfields, leaf),
	   "a caller's fields that do not come after the writer's are refused");
	chron_encode_start(&part, record, sizeof(record));
	ok(!chron_leaf_hash(&part, data, enc.len - 1, enc.nfields, leaf) &&
	   !chron_leaf_hash(&part, data, enc.len - 1, enc.nfields - 1, leaf),
	   "a caller's fields that are cut short are refused");
	ok(!chron_leaf_hash(&part, data, enc.len - 1, -1, leaf),
	   "malformed fields are refused, also where -1 of them are announced");
}

/* The bytes that doc/chron-format.md prints. */
static void
test_format_page(void)
{
	static const char log[] = "log_01m6gb1fkkf9qt3h2yjdr1v25j";
	static const char context[] = "{\"ticket\": \"OPS-7\"}";
	uint8_t		buffer[BUFFER_SIZE];
	uint8_t		salt[CHRON_SALT_LEN];
	uint8_t		digest[CHRON_HASH_LEN];
	uint8_t		leaf[CHRON_HASH_LEN];
	uint8_t		link1[CHRON_HASH_LEN];
	uint8_t		link2[CHRON_HASH_LEN];
	ChronEncoder enc;
	int			i;

	for (i = 0; i < CHRON_SALT_LEN; i++)
		salt[i] = (uint8_t) i;
	ok(chron_context_digest(salt, (const uint8_t *) context, strlen(context), digest) &&
	   is_hex(digest, 32, "ee593600a52a8007f0b3b6d2594dcff639bfd6eecd90650a5f8df6fcb334d8e4"),
	   "the context's digest is that of the format page");

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_LOG, log);
	chron_encode_int(&enc, CHRON_FIELD_SEQ, 1);
	chron_encode_int(&enc, CHRON_FIELD_AT, INT64_C(1793697300123456));
	chron_encode_text(&enc, CHRON_FIELD_KIND, "act");
	chron_encode_text(&enc, CHRON_FIELD_ACT, "log.open");
	chron_encode_text(&enc, CHRON_FIELD_SUBJECT, log);
	chron_encode_text(&enc, CHRON_FIELD_DETAIL,
					  "{\"database\": \"app\", \"database_oid\": 16384, "
					  "\"previous_log\": null, "
					  "\"system_identifier\": \"7568713904210845093\"}");
	ok(chron_leaf_hash(&enc, NULL, 0, 0, leaf) &&
	   is_hex(leaf, 32, "e622f1a5349e2b2f85e9fddff5d8daadb7d3dc7f634b42cec66437d9fade801a"),
	   "the leaf of record 1 is that of the format page");
	ok(chron_link_hash(chron_zero_link, leaf, link1) &&
	   is_hex(link1, 32, "43fd4ad5f1432271fc23eb70e8e6d50f94682cd8004290cdef489b6aae965b53"),
	   "the link of record 1 follows from 32 zero bytes");

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_LOG, log);
	chron_encode_int(&enc, CHRON_FIELD_SEQ, 2);
	chron_encode_int(&enc, CHRON_FIELD_AT, INT64_C(1793697301500007));
	chron_encode_text(&enc, CHRON_FIELD_KIND, "decision");
	chron_encode_text(&enc, CHRON_FIELD_OUTCOME, "DENY");
	chron_encode_text(&enc, CHRON_FIELD_AGENT, "deploy-bot");
	chron_encode_text(&enc, CHRON_FIELD_ACTION, "deploy:production");
	chron_encode_text(&enc, CHRON_FIELD_TARGET, "api-v2");
	chron_encode_text(&enc, CHRON_FIELD_ORG, "acme");
	chron_encode_text(&enc, CHRON_FIELD_ANCHOR, "s.emp1");
	chron_encode_text(&enc, CHRON_FIELD_POLICY, "no-prod-v1");
	chron_encode_text(&enc, CHRON_FIELD_SKILL, "deploy-v2");
	chron_encode_text(&enc, CHRON_FIELD_REASON_CODE, "not_in_allow_list");
	chron_encode_text(&enc, CHRON_FIELD_REASON,
					  "policy:no-prod-v1 -- action not in allow list");
	chron_encode_text(&enc, CHRON_FIELD_AUTH, "role");
	chron_encode_text(&enc, CHRON_FIELD_DB_USER, "deploy_bot");
	chron_encode_bytes(&enc, CHRON_FIELD_CONTEXT_DIGEST, digest, sizeof(digest));
	ok(chron_leaf_hash(&enc, NULL, 0, 0, leaf) &&
	   is_hex(leaf, 32, "712ba8ae5c00ebbdf528632aada8202012aa2c207ddb8323d505d85a7714353a"),
	   "the leaf of record 2 is that of the format page");
	ok(chron_link_hash(link1, leaf, link2) &&
	   is_hex(link2, 32, "096b55e3d31b9d92eb04f968768e26095d134b960763c5c10ac9ad63d4d5ea94"),
	   "the link of record 2 follows from that of record 1");
}

/* A chain that the encoder of test_verify.py made. */
static void
test_chain_of_another_encoder(void)
{
	FILE	   *file = fopen("test/unit/chain.txt", "r");
	char		line[4096];
	uint8_t		buffer[BUFFER_SIZE];
	uint8_t		value[2048];
	uint8_t		leaf[CHRON_HASH_LEN];
	uint8_t		link[CHRON_HASH_LEN] = {0};
	ChronEncoder enc;
	int			record = 0;
	int			id;
	int			type;
	int			start;

	ok(file != NULL, "test/unit/chain.txt is there");
	if (file == NULL)
		return;
	chron_encode_start(&enc, buffer, sizeof(buffer));
	while (fgets(line, sizeof(line), file) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "record %d", &record) == 1)
			chron_encode_start(&enc, buffer, sizeof(buffer));
		else if (sscanf(line, "field %d %d %n", &id, &type, &start) == 2)
		{
			size_t		len = from_hex(line + start, value, sizeof(value));
			ChronField	field;

			field.value = value;
			if (type == CHRON_TYPE_INT)
				chron_encode_int(&enc, (ChronFieldId) id, chron_field_int(&field));
			else if (type == CHRON_TYPE_TEXT)
				chron_encode_text_len(&enc, (ChronFieldId) id, (char *) value, len);
			else
				chron_encode_bytes(&enc, (ChronFieldId) id, value, len);
		}
		else if (strncmp(line, "leaf ", 5) == 0)
			ok(chron_leaf_hash(&enc, NULL, 0, 0, leaf) &&
			   is_hex(leaf, sizeof(leaf), line + 5),
			   "record %d of another encoder's chain has this leaf", record);
		else if (strncmp(line, "link ", 5) == 0)
			ok(chron_link_hash(link, leaf, link) &&
			   is_hex(link, sizeof(link), line + 5),
			   "record %d of another encoder's chain has this link", record);
	}
	fclose(file);
	ok(record == 12, "the chain has 12 records");
}

static void
test_sha256_vectors(void)
{
	char	   *text = vectors_read("nist-sha256/SHA256ShortMsg.rsp");
	const char *at = text;
	int			messages = 0;
	bool		good = true;

	if (text == NULL)
	{
		skip("SHA-256 of NIST's messages: no vectors");
		return;
	}
	while ((at = strstr(at, "Len = ")) != NULL)
	{
		uint8_t		message[256];
		uint8_t		expected[CHRON_HASH_LEN];
		uint8_t		digest[CHRON_HASH_LEN];
		size_t		len = (size_t) atoi(at + 6) / 8;
		ChronPiece	pieces[3];

		at = strstr(at, "Msg = ") + 6;
		from_hex(at, message, sizeof(message));
		at = strstr(at, "MD = ") + 5;
		from_hex(at, expected, sizeof(expected));

		/* Whole, and in three pieces. */
		pieces[0].data = message;
		pieces[0].len = len;
		if (!chron_sha256(pieces, 1, digest) || memcmp(digest, expected, 32) != 0)
			good = false;
		pieces[0].len = len / 3;
		pieces[1].data = message + len / 3;
		pieces[1].len = len - len / 3;
		pieces[2].data = NULL;
		pieces[2].len = 0;
		if (!chron_sha256(pieces, 3, digest) || memcmp(digest, expected, 32) != 0)
			good = false;
		messages++;
	}
	ok(good && messages == 65, "SHA-256 of NIST's %d messages, whole and in pieces", messages);
	free(text);
}

/* RFC 6962's leaf hash is the same construction over other data. */
static void
test_rfc6962_leaves(void)
{
	char	   *json = vectors_read("notes/rfc6962_reference_tree.json");
	const char *leaf_at = json == NULL ? NULL : strstr(json, "\"leaves_hex\"");
	const char *hash_at = json == NULL ? NULL : strstr(json, "\"leaf_hashes_hex\"");
	bool		good = true;
	int			i;

	if (json == NULL)
	{
		skip("the leaves of Certificate Transparency's reference tree: no vectors");
		return;
	}
	leaf_at = strchr(leaf_at, '[');
	hash_at = strchr(hash_at, '[');
	for (i = 0; i < 8; i++)
	{
		uint8_t		data[64];
		uint8_t		expected[CHRON_HASH_LEN];
		uint8_t		digest[CHRON_HASH_LEN];
		ChronPiece	pieces[2];

		leaf_at = strchr(leaf_at, '"') + 1;
		hash_at = strchr(hash_at, '"') + 1;
		pieces[0].data = "";
		pieces[0].len = 1;
		pieces[1].data = data;
		pieces[1].len = from_hex(leaf_at, data, sizeof(data));
		from_hex(hash_at, expected, sizeof(expected));
		if (!chron_sha256(pieces, 2, digest) || memcmp(digest, expected, 32) != 0)
			good = false;
		leaf_at = strchr(leaf_at, '"') + 1;
		hash_at = strchr(hash_at, '"') + 1;
	}
	ok(good, "the leaves of Certificate Transparency's reference tree hash as a record does");
	free(json);
}

int
main(void)
{
	test_field_table();
	test_encode();
	test_encode_overflow();
	test_encode_failures();
	test_utf8();
	test_decode();
	test_decode_refuses();
	test_leaf_in_pieces();
	test_format_page();
	test_chain_of_another_encoder();
	test_sha256_vectors();
	test_rfc6962_leaves();
	return done_testing();
}
