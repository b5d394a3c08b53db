/*-------------------------------------------------------------------------
 *
 * pair_universe.h
 *	  The kinds of names that a number of pairs of patterns tell apart.
 *
 * Plain C over an Arena: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_PAIR_UNIVERSE_H
#define CLAIIM_PAIR_UNIVERSE_H

#include "pattern_pairs.h"

/* Beyond these there is no answer, for hostile patterns must cost little. */
#define UNIVERSE_MAX_PAIRS	200000
#define UNIVERSE_MAX_STEPS	100000000

typedef struct IntList
{
	int			count;
	int			capacity;
	int		   *items;
} IntList;

typedef struct UniversePair
{
	PatternPair pattern;
	int			rank;			/* above that of every pair that covers it */
} UniversePair;

typedef struct PairUniverse
{
	Arena	   *arena;
	PairTrie   *trie;
	int			root;			/* of the pairs */
	int			excluded;		/* root of the pairs that are left out */
	int			npairs;
	int			capacity;
	UniversePair *pairs;
	IntList		found;			/* by the last walk */
	uint64_t	comparisons;	/* what was done beside walking, in steps */
	bool		failed;			/* out of memory, or over a limit */
} PairUniverse;

/* A name of a kind, as text. */
typedef struct PairWitness
{
	char		action[POLICY_MAX_INTERSECTION + 2 * PAIR_MAX_SEGMENTS];
	size_t		action_len;
	char		target[POLICY_MAX_INTERSECTION + 2 * PAIR_MAX_SEGMENTS];
	size_t		target_len;
} PairWitness;

/* False if out of memory. */
extern bool universe_init(PairUniverse *universe, Arena *arena);

/*
 * What fails sets "failed", and all that follows does nothing.  Patterns must
 * last as long as the universe.  Names that an excluded pair matches are left
 * out: excluding comes before asking for witnesses.
 */
extern void universe_add(PairUniverse *universe, const PatternPair *pattern);
extern void universe_exclude(PairUniverse *universe,
							 const PatternPair *pattern, int value);

/* Whether something has failed or gone over a limit. */
extern bool universe_failed(PairUniverse *universe);
extern void *universe_alloc(PairUniverse *universe, size_t size);

/*
 * A name whose narrowest pair is this one; false if there is none that is not
 * excluded.
 */
extern bool universe_witness(PairUniverse *universe, int pair,
							 PairWitness *witness);

/* Fills in "found": the pairs that cover this one, itself included. */
extern void universe_find_covering(PairUniverse *universe, int pair);

/* Fills in "found": the values of the excluded that overlap with this pair. */
extern void universe_find_excluded(PairUniverse *universe, int pair);

/* Whether "outer" covers "inner" and is not the same. */
extern bool universe_covers(const PairUniverse *universe, int outer, int inner);

/* The highest rank there can be. */
#define UNIVERSE_MAX_RANK	(2 * (2 * POLICY_MAX_SEGMENTS + 2))

#endif							/* CLAIIM_PAIR_UNIVERSE_H */
