/*-------------------------------------------------------------------------
 *
 * pattern_pairs.c
 *	  Many pairs of patterns in one trie.
 *
 * A pair is a word of segments: those of its action, and then those of its
 * target.  Where an action's pattern ends, its node has the root of a trie of
 * targets; where a target's ends, the pair's value.  Both questions are walks
 * down the trie that leave out whatever cannot match, so that to find the few
 * of ten thousand pairs that have to do with one does not touch the rest.
 *
 * Unlike a PatternSet, which is asked about names and built for the gate,
 * this is asked about patterns, and its nodes know their children.
 *
 *-------------------------------------------------------------------------
 */
#include "pattern_pairs.h"

#include <limits.h>
#include <string.h>

#include "policy_private.h"

typedef struct PairNode
{
	int			star;			/* child through "*", or -1 */
	int			literal;		/* first child through a literal, or -1 */
	int			sibling;		/* next such child of the parent, or -1 */
	int			end;			/* what ends here, or -1 */
	int			rest;			/* what ends with one "**" more, or -1 */
} PairNode;

struct PairTrie
{
	Arena	   *arena;
	StringMap  *map;			/* (node, literal) -> child */
	int			nnodes;
	int			capacity;
	PairNode   *nodes;			/* the roots are among them */
	uint64_t	steps;
};

typedef struct PairWalk
{
	PairTrie   *trie;
	const SplitPair *pair;
	const SplitPattern *side;	/* the action, or the target */
	PairVisit visit;
	void	   *arg;
} PairWalk;

typedef bool (*WalkNode) (PairWalk *walk, int node, int depth);

/* A new node's number, or -1 if out of memory. */
static int
new_node(PairTrie *trie)
{
	PairNode   *node;

	if (trie->nnodes == trie->capacity)
	{
		int			capacity = trie->capacity == 0 ? 16 : 2 * trie->capacity;
		PairNode   *nodes;

		if (capacity > INT_MAX / 2)
			return -1;
		nodes = arena_grow(trie->arena, trie->nodes,
						   trie->nnodes * sizeof(PairNode),
						   capacity * sizeof(PairNode));
		if (nodes == NULL)
			return -1;
		trie->nodes = nodes;
		trie->capacity = capacity;
	}
	node = &trie->nodes[trie->nnodes];
	node->star = node->literal = node->sibling = node->end = node->rest = -1;
	return trie->nnodes++;
}

PairTrie *
pair_trie_create(Arena *arena)
{
	PairTrie   *trie = arena_alloc(arena, sizeof(PairTrie));

	if (trie == NULL)
		return NULL;
	trie->arena = arena;
	trie->map = string_map_create(arena);
	return trie->map == NULL ? NULL : trie;
}

int
pair_trie_new_root(PairTrie *trie)
{
	return new_node(trie);
}

uint64_t
pair_trie_steps(const PairTrie *trie)
{
	return trie->steps;
}

static void
split_pattern(const PairTrie *trie, const char *pattern, char separator,
			  SplitPattern *split)
{
	const char *at = pattern;
	const char *end = pattern + strlen(pattern);
	Segment		segment;

	split->nsegments = 0;
	while (split->nsegments < PAIR_MAX_SEGMENTS &&
		   next_segment(&at, end, separator, &segment))
	{
		PairSegment *part = &split->segments[split->nsegments++];

		part->kind = segment_is(&segment, "*") ? SEGMENT_STAR :
			segment_is(&segment, "**") ? SEGMENT_REST : SEGMENT_LITERAL;
		part->text = segment.text;
		part->len = segment.len;
		part->hash = string_map_hash(trie->map, segment.text, segment.len);
	}
}

void
pair_split(const PairTrie *trie, const PatternPair *pair, SplitPair *split)
{
	split_pattern(trie, pair->action, ':', &split->action);
	split_pattern(trie, pair->target, '/', &split->target);
}

static int
literal_child(const PairTrie *trie, int node, const PairSegment *segment)
{
	return string_map_get_hashed(trie->map, node, segment->hash,
								 segment->text, segment->len);
}

/* The child through a segment, made if there is none; -1 if out of memory. */
static int
make_child(PairTrie *trie, int node, const PairSegment *segment)
{
	int			child = segment->kind == SEGMENT_STAR ?
		trie->nodes[node].star : literal_child(trie, node, segment);

	if (child >= 0)
		return child;
	child = new_node(trie);
	if (child < 0)
		return -1;
	if (segment->kind == SEGMENT_STAR)
		trie->nodes[node].star = child;
	else
	{
		if (!string_map_put(trie->map, node, segment->text, segment->len,
							child))
			return -1;
		trie->nodes[child].sibling = trie->nodes[node].literal;
		trie->nodes[node].literal = child;
	}
	return child;
}

/*
 * The place where a pattern ends, below a node; with "create", the way there
 * is made.  NULL if there is none, or if out of memory.
 */
static int *
end_of(PairTrie *trie, int node, const SplitPattern *pattern, bool create)
{
	int			i;

	for (i = 0; i < pattern->nsegments; i++)
	{
		const PairSegment *segment = &pattern->segments[i];

		if (segment->kind == SEGMENT_REST)
			return &trie->nodes[node].rest;
		if (create)
			node = make_child(trie, node, segment);
		else if (segment->kind == SEGMENT_STAR)
			node = trie->nodes[node].star;
		else
			node = literal_child(trie, node, segment);
		if (node < 0)
			return NULL;
	}
	return &trie->nodes[node].end;
}

int
pair_trie_get(PairTrie *trie, int root, const SplitPair *pair)
{
	const int  *end = end_of(trie, root, &pair->action, false);

	trie->steps++;
	if (end == NULL || *end < 0)
		return -1;
	end = end_of(trie, *end, &pair->target, false);
	return end == NULL ? -1 : *end;
}

bool
pair_trie_put(PairTrie *trie, int root, const SplitPair *pair, int value)
{
	int		   *end = end_of(trie, root, &pair->action, true);

	if (end == NULL)
		return false;
	if (*end < 0)
	{
		int			targets = new_node(trie);

		if (targets < 0)
			return false;
		end = end_of(trie, root, &pair->action, false);	/* nodes moved */
		*end = targets;
	}
	end = end_of(trie, *end, &pair->target, true);
	if (end == NULL)
		return false;
	*end = value;
	return true;
}

/*
 * Something ends here: after an action the walk goes on with the target.
 * False if a visit stopped it.
 */
static bool
at_end(PairWalk *walk, int end, WalkNode walk_node)
{
	bool		go_on;

	if (end < 0)
		return true;
	if (walk->side == &walk->pair->target)
		return walk->visit(end, walk->arg);
	walk->side = &walk->pair->target;
	go_on = walk_node(walk, end, 0);
	walk->side = &walk->pair->action;
	return go_on;
}

/* Recursion is as deep as the trie: twice PAIR_MAX_SEGMENTS. */
static bool
walk_covering(PairWalk *walk, int number, int depth)
{
	PairNode	node = walk->trie->nodes[number];
	const PairSegment *segment = &walk->side->segments[depth];

	walk->trie->steps++;
	if (depth == walk->side->nsegments)
		return at_end(walk, node.end, walk_covering);
	if (segment->kind == SEGMENT_LITERAL)
	{
		int			child = literal_child(walk->trie, number, segment);

		if (child >= 0 && !walk_covering(walk, child, depth + 1))
			return false;
	}
	if (segment->kind != SEGMENT_REST && node.star >= 0 &&
		!walk_covering(walk, node.star, depth + 1))
		return false;
	return at_end(walk, node.rest, walk_covering);
}

static bool walk_overlapping(PairWalk *walk, int number, int depth);

/* Visits what ends below a node, or also at it. */
static bool
walk_all(PairWalk *walk, int number, bool at_it)
{
	PairNode	node = walk->trie->nodes[number];
	int			child;

	walk->trie->steps++;
	if (at_it && !at_end(walk, node.end, walk_overlapping))
		return false;
	if (!at_end(walk, node.rest, walk_overlapping))
		return false;
	if (node.star >= 0 && !walk_all(walk, node.star, true))
		return false;
	for (child = node.literal; child >= 0;
		 child = walk->trie->nodes[child].sibling)
		if (!walk_all(walk, child, true))
			return false;
	return true;
}

static bool
walk_overlapping(PairWalk *walk, int number, int depth)
{
	PairNode	node = walk->trie->nodes[number];
	const PairSegment *segment = &walk->side->segments[depth];
	int			child;

	walk->trie->steps++;
	if (depth == walk->side->nsegments)
		return at_end(walk, node.end, walk_overlapping);
	if (segment->kind == SEGMENT_REST)
		return walk_all(walk, number, false);
	if (segment->kind == SEGMENT_LITERAL)
	{
		child = literal_child(walk->trie, number, segment);
		if (child >= 0 && !walk_overlapping(walk, child, depth + 1))
			return false;
	}
	else
	{
		for (child = node.literal; child >= 0;
			 child = walk->trie->nodes[child].sibling)
			if (!walk_overlapping(walk, child, depth + 1))
				return false;
	}
	if (node.star >= 0 && !walk_overlapping(walk, node.star, depth + 1))
		return false;
	return at_end(walk, node.rest, walk_overlapping);
}

static bool
walk_from(PairTrie *trie, int root, const SplitPair *pair, PairVisit visit,
		  void *arg, WalkNode walk_node)
{
	PairWalk	walk = {trie, pair, &pair->action, visit, arg};

	return walk_node(&walk, root, 0);
}

bool
pair_trie_covering(PairTrie *trie, int root, const SplitPair *pair,
				   PairVisit visit, void *arg)
{
	return walk_from(trie, root, pair, visit, arg, walk_covering);
}

bool
pair_trie_overlapping(PairTrie *trie, int root, const SplitPair *pair,
					  PairVisit visit, void *arg)
{
	return walk_from(trie, root, pair, visit, arg, walk_overlapping);
}
