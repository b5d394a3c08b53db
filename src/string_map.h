/*-------------------------------------------------------------------------
 *
 * string_map.h
 *	  A hash of texts to numbers, in scopes.
 *
 * Plain C over an Arena: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_STRING_MAP_H
#define CLAIIM_STRING_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

typedef struct StringMap StringMap;

extern StringMap *string_map_create(Arena *arena);

/*
 * The same text in two scopes is two keys.  A value is 0 or more; -1 says
 * that there is none.  put wants a key that is not there yet, keeps the
 * pointer to its text, and returns false if out of memory.
 */
extern bool string_map_put(StringMap *map, int scope, const char *text,
						   size_t len, int value);
extern int	string_map_get(const StringMap *map, int scope, const char *text,
						   size_t len);

/* For the same text in many scopes: hash it once. */
extern uint64_t string_map_hash(const StringMap *map, const char *text,
								size_t len);
extern int	string_map_get_hashed(const StringMap *map, int scope,
								  uint64_t hash, const char *text, size_t len);

/* SipHash-2-4, little-endian result; here for its test vectors. */
extern uint64_t siphash24(const uint8_t key[16], const void *data, size_t len);

#endif							/* CLAIIM_STRING_MAP_H */
