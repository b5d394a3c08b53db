/*-------------------------------------------------------------------------
 *
 * string_map.c
 *	  A hash of texts to numbers, in scopes.
 *
 * The texts are written by whoever writes a policy, so the hash is keyed
 * with random bytes: nobody can choose texts that collide.  Open addressing
 * with linear probing, at most half full; nothing is ever removed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE			/* getentropy, under -std=c11 */
#endif

#include "string_map.h"

#include <string.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#define FIRST_CAPACITY	8

typedef struct MapSlot
{
	uint64_t	hash;
	const char *text;			/* NULL: free */
	size_t		len;
	int			scope;
	int			value;
} MapSlot;

struct StringMap
{
	Arena	   *arena;
	MapSlot    *slots;
	size_t		capacity;		/* a power of two, or 0 */
	size_t		count;
	uint8_t		key[16];
};

#define ROTL(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

static inline uint64_t
load64(const uint8_t *p)
{
	/* Written so that the compiler sees one load in it. */
	return (uint64_t) p[0] | (uint64_t) p[1] << 8 | (uint64_t) p[2] << 16 |
		(uint64_t) p[3] << 24 | (uint64_t) p[4] << 32 | (uint64_t) p[5] << 40 |
		(uint64_t) p[6] << 48 | (uint64_t) p[7] << 56;
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

/*
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012,
 * section 2.
 */
uint64_t
siphash24(const uint8_t key[16], const void *data, size_t len)
{
	const uint8_t *p = data;
	const uint8_t *end = p + (len & ~(size_t) 7);
	uint64_t	k0 = load64(key);
	uint64_t	k1 = load64(key + 8);
	uint64_t	last = (uint64_t) (len & 0xff) << 56;
	uint64_t	word;
	uint64_t	v[4];
	size_t		i;

	v[0] = k0 ^ UINT64_C(0x736f6d6570736575);
	v[1] = k1 ^ UINT64_C(0x646f72616e646f6d);
	v[2] = k0 ^ UINT64_C(0x6c7967656e657261);
	v[3] = k1 ^ UINT64_C(0x7465646279746573);
	for (; p < end; p += 8)
	{
		word = load64(p);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	for (i = 0; i < (len & 7); i++)
		last |= (uint64_t) p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/*
 * A key that the author of the texts cannot know.  Without a source of
 * entropy the addresses of this process have to do.  A fuzzer's build wants
 * the same run twice.
 */
static void
make_key(StringMap *map)
{
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	if (getentropy(map->key, sizeof(map->key)) != 0)
	{
		uintptr_t	address = (uintptr_t) map;

		memcpy(map->key, &address, sizeof(address));
	}
#endif
}

/* NULL if out of memory. */
StringMap *
string_map_create(Arena *arena)
{
	StringMap  *map = arena_alloc(arena, sizeof(StringMap));

	if (map == NULL)
		return NULL;
	map->arena = arena;
	make_key(map);
	return map;
}

/* Where (scope, hash) is looked for first. */
static size_t
first_slot(const StringMap *map, int scope, uint64_t hash)
{
	uint64_t	h = hash + (uint64_t) (int64_t) scope * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	h ^= h >> 32;
	return (size_t) h & (map->capacity - 1);
}

/* The key's slot, or the free one where it belongs. */
static MapSlot *
find_slot(const StringMap *map, int scope, uint64_t hash, const char *text,
		  size_t len)
{
	size_t		i = first_slot(map, scope, hash);

	for (;;)
	{
		MapSlot    *slot = &map->slots[i];

		if (slot->text == NULL ||
			(slot->hash == hash && slot->scope == scope && slot->len == len &&
			 memcmp(slot->text, text, len) == 0))
			return slot;
		i = (i + 1) & (map->capacity - 1);
	}
}

static bool
enlarge(StringMap *map)
{
	MapSlot    *old = map->slots;
	size_t		old_capacity = map->capacity;
	size_t		capacity = old_capacity == 0 ? FIRST_CAPACITY : 2 * old_capacity;
	MapSlot    *slots = arena_alloc(map->arena, capacity * sizeof(MapSlot));
	size_t		i;

	if (slots == NULL)
		return false;
	map->slots = slots;
	map->capacity = capacity;
	for (i = 0; i < old_capacity; i++)
	{
		if (old[i].text != NULL)
			*find_slot(map, old[i].scope, old[i].hash, old[i].text,
					   old[i].len) = old[i];
	}
	return true;
}

uint64_t
string_map_hash(const StringMap *map, const char *text, size_t len)
{
	return siphash24(map->key, text, len);
}

bool
string_map_put(StringMap *map, int scope, const char *text, size_t len,
			   int value)
{
	uint64_t	hash = string_map_hash(map, text, len);
	MapSlot    *slot;

	if (2 * (map->count + 1) > map->capacity && !enlarge(map))
		return false;
	slot = find_slot(map, scope, hash, text, len);
	slot->hash = hash;
	slot->text = text;
	slot->len = len;
	slot->scope = scope;
	slot->value = value;
	map->count++;
	return true;
}

int
string_map_get_hashed(const StringMap *map, int scope, uint64_t hash,
					  const char *text, size_t len)
{
	MapSlot    *slot;

	if (map->capacity == 0)
		return -1;
	slot = find_slot(map, scope, hash, text, len);
	return slot->text == NULL ? -1 : slot->value;
}

int
string_map_get(const StringMap *map, int scope, const char *text, size_t len)
{
	return string_map_get_hashed(map, scope, string_map_hash(map, text, len),
								 text, len);
}
