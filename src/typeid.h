/*-------------------------------------------------------------------------
 *
 * typeid.h
 *	  TypeIDs: a prefix, an underscore, and a UUIDv7 in 26 characters of
 *	  lowercase Crockford base32 (specification: jetify-com/typeid, v0.3).
 *
 * Plain C over plain buffers: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TYPEID_H
#define CLAIIM_TYPEID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TYPEID_SUFFIX_LEN	26
#define TYPEID_MAX_PREFIX	63
#define TYPEID_MAX_LEN		(TYPEID_MAX_PREFIX + 1 + TYPEID_SUFFIX_LEN)

/* "chr_" plus the suffix, plus the terminating zero. */
#define CHRON_ID_PREFIX		"chr"
#define CHRON_ID_SIZE		(3 + 1 + TYPEID_SUFFIX_LEN + 1)

/* What 48 bits of milliseconds hold: until the year 10889. */
#define UUIDV7_MAX_UNIX_US	INT64_C(281474976710655999)
#define CHRON_ID_MAX_SEQ	((INT64_C(1) << 62) - 1)

/*
 * False, and an empty string in "out", where the prefix is not one or "out"
 * is too small.
 */
extern bool typeid_encode(const char *prefix, const uint8_t uuid[16],
						  char *out, size_t out_size);

/* False, and *error (unless NULL) says why, where "text" is not a TypeID. */
extern bool typeid_decode(const char *text, size_t len,
						  char prefix[TYPEID_MAX_PREFIX + 1],
						  uint8_t uuid[16], const char **error);

/* False, and nothing written, for a time outside 0 .. UUIDV7_MAX_UNIX_US. */
extern bool uuidv7_make(int64_t unix_us, const uint8_t random[10],
						uint8_t uuid[16]);

/*
 * A chr_ id is a UUIDv7 whose bits after the time are not random: it encodes
 * the record's time to the microsecond and its seq, both ways.  Encoding is
 * false, and "out" the empty string, for a time outside of
 * 0 .. UUIDV7_MAX_UNIX_US or a seq outside of 1 .. CHRON_ID_MAX_SEQ.
 * Decoding accepts exactly the texts that encoding makes.
 */
extern bool chron_id_encode(int64_t unix_us, int64_t seq,
							char out[CHRON_ID_SIZE]);
extern bool chron_id_decode(const char *text, size_t len,
							int64_t *unix_us, int64_t *seq,
							const char **error);

#endif							/* CLAIIM_TYPEID_H */
