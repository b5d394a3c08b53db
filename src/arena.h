/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  Memory that is freed all at once.
 *
 * The plain-C parts allocate from an Arena instead of from the server's
 * memory contexts, so that they also build outside of it.  Allocation
 * failure is reported by NULL; every caller checks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_ARENA_H
#define CLAIIM_ARENA_H

#include <stddef.h>

typedef struct Arena Arena;

extern Arena *arena_create(size_t max_bytes);	/* 0: no limit */
extern void arena_destroy(Arena *arena);	/* NULL is fine */
extern void *arena_alloc(Arena *arena, size_t size);	/* zeroed, aligned */
extern char *arena_strndup(Arena *arena, const char *text, size_t len);

/* A larger copy of an array: what is beyond the old size is zeroed. */
extern void *arena_grow(Arena *arena, const void *old, size_t old_size,
						size_t new_size);
extern size_t arena_used(const Arena *arena);	/* bytes handed out */

#endif							/* CLAIIM_ARENA_H */
