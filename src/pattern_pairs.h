/*-------------------------------------------------------------------------
 *
 * pattern_pairs.h
 *	  Many pairs of an action's and a target's pattern, to be asked which of
 *	  them cover a pair, and which have names in common with it.
 *
 * Plain C over an Arena: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_PATTERN_PAIRS_H
#define CLAIIM_PATTERN_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "policy.h"

typedef struct PatternPair
{
	const char *action;
	const char *target;
} PatternPair;

/* A name has one segment more than any pattern to differ from all of them. */
#define PAIR_MAX_SEGMENTS	(POLICY_MAX_SEGMENTS + 1)

typedef enum PairSegmentKind
{
	SEGMENT_LITERAL,
	SEGMENT_STAR,				/* "*" */
	SEGMENT_REST,				/* "**" */
	SEGMENT_FRESH				/* of a name: what no pattern spells out */
} PairSegmentKind;

typedef struct PairSegment
{
	PairSegmentKind kind;
	const char *text;
	size_t		len;
	uint64_t	hash;
} PairSegment;

typedef struct SplitPattern
{
	int			nsegments;
	PairSegment segments[PAIR_MAX_SEGMENTS];
} SplitPattern;

typedef struct SplitPair
{
	SplitPattern action;
	SplitPattern target;
} SplitPair;

typedef struct PairTrie PairTrie;

/* Returns false to stop. */
typedef bool (*PairVisit) (int value, void *arg);

/*
 * A trie is a forest: each root has pairs of its own, and a pair is split
 * once, for all roots.  Creating returns NULL, and a new root is -1, if out
 * of memory.
 */
extern PairTrie *pair_trie_create(Arena *arena);
extern int	pair_trie_new_root(PairTrie *trie);

/* The patterns must last as long as the split. */
extern void pair_split(const PairTrie *trie, const PatternPair *pair,
					   SplitPair *split);

/*
 * The value (0 or more) of this very pair, or -1.  put wants a pair that is
 * not there, whose patterns last as long as the trie; false if out of memory.
 */
extern int	pair_trie_get(PairTrie *trie, int root, const SplitPair *pair);
extern bool pair_trie_put(PairTrie *trie, int root, const SplitPair *pair,
						  int value);

/*
 * Visits every pair of the root that covers this one; this can also be a
 * name, whose segments are literal or fresh.  False if a visit stopped it.
 */
extern bool pair_trie_covering(PairTrie *trie, int root, const SplitPair *pair,
							   PairVisit visit, void *arg);

/* ... every pair that has a name in common with this one. */
extern bool pair_trie_overlapping(PairTrie *trie, int root,
								  const SplitPair *pair,
								  PairVisit visit, void *arg);

/* How many nodes all of this has touched: what it has cost. */
extern uint64_t pair_trie_steps(const PairTrie *trie);

#endif							/* CLAIIM_PATTERN_PAIRS_H */
