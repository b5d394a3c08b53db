/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  Memory that is freed all at once.
 *
 * A list of chunks, each twice the size of the one before up to a bound, and
 * an allocation is a step in the newest one.  What does not fit in an empty
 * chunk gets one of its own.  Nothing is freed singly, so there is nothing
 * to leak on the way out of an error: the arena's owner drops it.
 *
 * Under AddressSanitizer every allocation is a chunk of its own, so that a
 * step over its end is seen.
 *
 *-------------------------------------------------------------------------
 */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_EXACT_CHUNKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_EXACT_CHUNKS 1
#endif
#endif

#define ARENA_FIRST_CHUNK	((size_t) 1024)
#define ARENA_LAST_CHUNK	((size_t) 64 * 1024)

typedef union ArenaAlign
{
	long long	integer;
	double		floating;
	void	   *pointer;
} ArenaAlign;

#define ARENA_ALIGNMENT		sizeof(ArenaAlign)

typedef struct ArenaChunk
{
	struct ArenaChunk *next;	/* the one before it */
	size_t		size;
	size_t		used;
	ArenaAlign	data[];
} ArenaChunk;

struct Arena
{
	ArenaChunk *chunks;			/* the newest first */
	size_t		chunk_size;		/* of the next one */
	size_t		used;
	size_t		max;			/* 0: no limit */
};

/*
 * An empty arena that gives out at most max_bytes (0: any number); NULL if
 * out of memory.
 */
Arena *
arena_create(size_t max_bytes)
{
	Arena	   *arena = calloc(1, sizeof(Arena));

	if (arena == NULL)
		return NULL;
#ifndef ARENA_EXACT_CHUNKS
	arena->chunk_size = ARENA_FIRST_CHUNK;
#endif
	arena->max = max_bytes;
	return arena;
}

void
arena_destroy(Arena *arena)
{
	ArenaChunk *chunk;
	ArenaChunk *next;

	if (arena == NULL)
		return;
	for (chunk = arena->chunks; chunk != NULL; chunk = next)
	{
		next = chunk->next;
		free(chunk);
	}
	free(arena);
}

/*
 * A new chunk that holds at least "size" bytes.  It becomes the one that is
 * allocated from, unless it was made for a single large allocation and the
 * current one still has more room than it will.
 */
static ArenaChunk *
add_chunk(Arena *arena, size_t size)
{
	size_t		chunk_size = size > arena->chunk_size ? size : arena->chunk_size;
	ArenaChunk *chunk;

	if (chunk_size > SIZE_MAX - sizeof(ArenaChunk))
		return NULL;
	chunk = calloc(1, sizeof(ArenaChunk) + chunk_size);
	if (chunk == NULL)
		return NULL;
	chunk->size = chunk_size;
	if (size >= arena->chunk_size && arena->chunks != NULL)
	{
		chunk->next = arena->chunks->next;
		arena->chunks->next = chunk;
		return chunk;
	}
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	if (arena->chunk_size < ARENA_LAST_CHUNK)
		arena->chunk_size *= 2;
	return chunk;
}

/*
 * Zeroed bytes, aligned for any type, until the arena is destroyed.  NULL if
 * out of memory or over the arena's limit.
 */
void *
arena_alloc(Arena *arena, size_t size)
{
	ArenaChunk *chunk = arena->chunks;
	size_t		rounded;
	void	   *result;

	if (size == 0)
		size = 1;
	if (size > SIZE_MAX - ARENA_ALIGNMENT)
		return NULL;
	rounded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
	if (arena->max > 0 && rounded > arena->max - arena->used)
		return NULL;
#ifdef ARENA_EXACT_CHUNKS
	chunk = add_chunk(arena, size);
#else
	if (chunk == NULL || rounded > chunk->size - chunk->used)
		chunk = add_chunk(arena, rounded);
#endif
	if (chunk == NULL)
		return NULL;
	result = (char *) chunk->data + chunk->used;
	chunk->used += rounded;
	arena->used += rounded;
	return result;
}

char *
arena_strndup(Arena *arena, const char *text, size_t len)
{
	char	   *copy;

	if (len == SIZE_MAX)
		return NULL;
	copy = arena_alloc(arena, len + 1);
	if (copy != NULL && len > 0)
		memcpy(copy, text, len);
	return copy;
}

void *
arena_grow(Arena *arena, const void *old, size_t old_size, size_t new_size)
{
	void	   *grown = arena_alloc(arena, new_size);

	if (grown != NULL && old_size > 0)
		memcpy(grown, old, old_size);
	return grown;
}

size_t
arena_used(const Arena *arena)
{
	return arena->used;
}
