/*-------------------------------------------------------------------------
 *
 * pair_universe.c
 *	  The kinds of names that a number of pairs of patterns tell apart.
 *
 * There are more actions and targets than can be listed, but patterns tell
 * few of them apart.  Take the pairs, and add what any of them have in
 * common, which is a pair again.  Every name then has one narrowest pair that
 * matches it, and names of the same narrowest pair match the same pairs: they
 * are of one kind, and any one of them, a witness, stands for all.
 *
 * A witness has fresh segments, which no pattern spells out, where its pair
 * has wildcards.  How many of them "**" stands for must be tried: beside "**"
 * and "*" the name is of two segments, beside "**" and "*:**" of one, and
 * beside all three there is none, for "**" is no name's narrowest pair.
 * Whatever name of a kind there is, the one with fresh segments in its place
 * matches no pair that it does not; so trying these is trying all.
 *
 *-------------------------------------------------------------------------
 */
#include "pair_universe.h"

#include <string.h>

#include "policy_private.h"

/* To find out what two pairs have in common, in steps of a walk. */
#define COMMON_STEPS	32

bool
universe_init(PairUniverse *universe, Arena *arena)
{
	memset(universe, 0, sizeof(*universe));
	universe->arena = arena;
	universe->trie = pair_trie_create(arena);
	if (universe->trie == NULL)
		return false;
	universe->root = pair_trie_new_root(universe->trie);
	universe->excluded = pair_trie_new_root(universe->trie);
	return universe->root >= 0 && universe->excluded >= 0;
}

bool
universe_failed(PairUniverse *universe)
{
	if (universe->npairs > UNIVERSE_MAX_PAIRS ||
		pair_trie_steps(universe->trie) + universe->comparisons >
		UNIVERSE_MAX_STEPS)
		universe->failed = true;
	return universe->failed;
}

void *
universe_alloc(PairUniverse *universe, size_t size)
{
	void	   *result = arena_alloc(universe->arena, size);

	if (result == NULL)
		universe->failed = true;
	return result;
}

/* Stops a walk if it fails. */
static bool
visit_found(int value, void *arg)
{
	PairUniverse *universe = arg;
	IntList    *list = &universe->found;

	if (list->count == list->capacity)
	{
		int			capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
		int		   *items = arena_grow(universe->arena, list->items,
									   list->count * sizeof(int),
									   capacity * sizeof(int));

		if (items == NULL)
		{
			universe->failed = true;
			return false;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = value;
	return true;
}

/*
 * The pairs
 */

/*
 * A pattern that another covers, and that is not the same, has more literal
 * segments, or more segments, or no "**"; and never fewer segments or literal
 * ones, or a "**" where the other has none.
 */
static int
pattern_rank(const char *pattern, char separator)
{
	const char *at = pattern;
	const char *end = pattern + strlen(pattern);
	int			rank = 1;
	Segment		segment;

	while (next_segment(&at, end, separator, &segment))
	{
		if (segment_is(&segment, "**"))
			return rank;
		rank += segment_is(&segment, "*") ? 1 : 2;
	}
	return rank + 1;
}

/* Adds a pair that is not there; its patterns last as long as the universe. */
static void
add_pair(PairUniverse *universe, const SplitPair *split,
		 const PatternPair *pattern)
{
	UniversePair *pair;

	if (universe->npairs == universe->capacity)
	{
		int			capacity = universe->capacity == 0 ? 64 :
			2 * universe->capacity;
		UniversePair *pairs = arena_grow(universe->arena, universe->pairs,
										 universe->npairs * sizeof(UniversePair),
										 capacity * sizeof(UniversePair));

		if (pairs == NULL)
		{
			universe->failed = true;
			return;
		}
		universe->pairs = pairs;
		universe->capacity = capacity;
	}
	if (!pair_trie_put(universe->trie, universe->root, split,
					   universe->npairs))
	{
		universe->failed = true;
		return;
	}
	pair = &universe->pairs[universe->npairs++];
	pair->pattern = *pattern;
	pair->rank = pattern_rank(pattern->action, ':') +
		pattern_rank(pattern->target, '/');
}

/* Adds what two pairs have in common, which is something. */
static void
add_common(PairUniverse *universe, const PatternPair *a, const PatternPair *b)
{
	char		actions[POLICY_MAX_INTERSECTION];
	char		targets[POLICY_MAX_INTERSECTION];
	PatternPair both = {actions, targets};
	SplitPair	split;

	universe->comparisons += COMMON_STEPS;
	if (!pattern_intersect(a->action, b->action, ':', actions) ||
		!pattern_intersect(a->target, b->target, '/', targets))
		return;
	pair_split(universe->trie, &both, &split);
	if (pair_trie_get(universe->trie, universe->root, &split) >= 0)
		return;
	both.action = arena_strndup(universe->arena, actions, strlen(actions));
	both.target = arena_strndup(universe->arena, targets, strlen(targets));
	if (both.action == NULL || both.target == NULL)
	{
		universe->failed = true;
		return;
	}
	pair_split(universe->trie, &both, &split);
	add_pair(universe, &split, &both);
}

/*
 * Adds a pair and all that it has in common with those that are there.  These
 * are closed under having in common, so they are again.
 */
void
universe_add(PairUniverse *universe, const PatternPair *pattern)
{
	SplitPair	split;
	int			i;

	if (universe_failed(universe))
		return;
	pair_split(universe->trie, pattern, &split);
	if (pair_trie_get(universe->trie, universe->root, &split) >= 0)
		return;
	universe->found.count = 0;
	(void) pair_trie_overlapping(universe->trie, universe->root, &split,
								 visit_found, universe);
	if (universe_failed(universe))
		return;
	add_pair(universe, &split, pattern);
	for (i = 0; i < universe->found.count && !universe_failed(universe); i++)
	{
		/* Copied, for the array moves. */
		PatternPair other = universe->pairs[universe->found.items[i]].pattern;

		add_common(universe, pattern, &other);
	}
}

void
universe_exclude(PairUniverse *universe, const PatternPair *pattern, int value)
{
	SplitPair	split;

	if (universe_failed(universe))
		return;
	pair_split(universe->trie, pattern, &split);
	if (pair_trie_get(universe->trie, universe->excluded, &split) < 0 &&
		!pair_trie_put(universe->trie, universe->excluded, &split, value))
		universe->failed = true;
}

void
universe_find_covering(PairUniverse *universe, int pair)
{
	SplitPair	split;

	universe->found.count = 0;
	pair_split(universe->trie, &universe->pairs[pair].pattern, &split);
	(void) pair_trie_covering(universe->trie, universe->root, &split,
							  visit_found, universe);
}

void
universe_find_excluded(PairUniverse *universe, int pair)
{
	SplitPair	split;

	universe->found.count = 0;
	pair_split(universe->trie, &universe->pairs[pair].pattern, &split);
	(void) pair_trie_overlapping(universe->trie, universe->excluded, &split,
								 visit_found, universe);
}

bool
universe_covers(const PairUniverse *universe, int outer, int inner)
{
	const UniversePair *out = &universe->pairs[outer];
	const UniversePair *in = &universe->pairs[inner];

	return out->rank < in->rank &&
		pattern_covers(out->pattern.action, in->pattern.action, ':') &&
		pattern_covers(out->pattern.target, in->pattern.target, '/');
}

/*
 * Witnesses
 */

/* The name of a pattern whose "**" stands for "nrest" segments. */
static void
fresh_name(const SplitPattern *pattern, int nrest, SplitPattern *name)
{
	int			i;

	*name = *pattern;
	for (i = 0; i < name->nsegments; i++)
		if (name->segments[i].kind != SEGMENT_LITERAL)
			name->segments[i].kind = SEGMENT_FRESH;
	for (i = 1; i < nrest; i++)
		name->segments[name->nsegments++].kind = SEGMENT_FRESH;
}

/* Up to how many segments "**" can stand for that makes a difference. */
static int
max_rest(const SplitPattern *pattern)
{
	const PairSegment *last = &pattern->segments[pattern->nsegments - 1];

	return last->kind == SEGMENT_REST ?
		PAIR_MAX_SEGMENTS - pattern->nsegments + 1 : 1;
}

/*
 * The name as text.  Its fresh segments are "*": no pattern's literal segment
 * is, so for an evaluator it is a segment like no other.
 */
static void
witness_text(const char *pattern, char separator, int nrest,
			 char *text, size_t *len)
{
	size_t		used = strlen(pattern);

	memcpy(text, pattern, used + 1);
	if (used >= 2 && strcmp(text + used - 2, "**") == 0)
		used--;
	while (--nrest > 0)
	{
		text[used++] = separator;
		text[used++] = '*';
	}
	text[used] = '\0';
	*len = used;
}

typedef struct RankLimit
{
	const PairUniverse *universe;
	int			rank;
} RankLimit;

static bool
visit_not_narrower(int pair, void *arg)
{
	const RankLimit *limit = arg;

	return limit->universe->pairs[pair].rank <= limit->rank;
}

static bool
visit_none(int value, void *arg)
{
	(void) value;
	(void) arg;
	return false;
}

/*
 * All pairs that match a name cover the narrowest of them.  So a pair that
 * matches it is the narrowest if and only if none of a higher rank does.
 */
static bool
is_witness(PairUniverse *universe, int rank, const SplitPair *name)
{
	RankLimit	limit = {universe, rank};

	return pair_trie_covering(universe->trie, universe->root, name,
							  visit_not_narrower, &limit) &&
		pair_trie_covering(universe->trie, universe->excluded, name,
						   visit_none, NULL);
}

bool
universe_witness(PairUniverse *universe, int number, PairWitness *witness)
{
	const UniversePair *pair = &universe->pairs[number];
	SplitPair	pattern;
	SplitPair	name;
	int			actions;
	int			targets;
	int			i;
	int			j;

	pair_split(universe->trie, &pair->pattern, &pattern);
	actions = max_rest(&pattern.action);
	targets = max_rest(&pattern.target);
	for (i = 1; i <= actions; i++)
	{
		fresh_name(&pattern.action, i, &name.action);
		for (j = 1; j <= targets; j++)
		{
			fresh_name(&pattern.target, j, &name.target);
			if (!is_witness(universe, pair->rank, &name))
				continue;
			witness_text(pair->pattern.action, ':', i,
						 witness->action, &witness->action_len);
			witness_text(pair->pattern.target, '/', j,
						 witness->target, &witness->target_len);
			return true;
		}
	}
	return false;
}
