/*-------------------------------------------------------------------------
 *
 * policy_pattern_set.c
 *	  Many patterns at once.
 *
 * Exact names are in a hash.  Patterns with a wildcard are in a trie of
 * segments: a node's literal children are found in the same hash, under the
 * node's number as scope; its "*" child, and the values of a pattern that
 * ends at it, or ends in "**" below it, are in the node.
 *
 * What a match costs.  After d segments of a name, at most one node is
 * reached for each set of positions, among the first d, where some pattern
 * has its "*"; literal segments are the name's own.  So the nodes visited
 * are at most POLICY_MAX_SEGMENTS times the number of different forms
 * (pattern_form) in the set, however many patterns it has.  policy_compile
 * bounds the forms; a set without that bound can cost 2^d nodes, if somebody
 * adds that many patterns.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <limits.h>
#include <string.h>

/* The scope of a root's exact names; those of nodes are their numbers. */
#define EXACT_SCOPE(root)	(-1 - (root))

typedef struct PatternNode
{
	int			star;			/* child through "*", or -1 */
	int			value;			/* of the pattern that ends here, or -1 */
	int			rest;			/* of the one with "**" as next, or -1 */
} PatternNode;

struct PatternSet
{
	Arena	   *arena;
	char		separator;
	StringMap  *map;			/* (node, segment) -> node, exact -> value */
	int			nnodes;
	int			capacity;
	PatternNode *nodes;			/* the roots are among them */
};

/* A walk down the trie with one name. */
typedef struct PatternWalk
{
	const PatternSet *set;
	const SplitName *name;
	PatternVisit visit;
	void	   *arg;
} PatternWalk;

/* A new node's number, or -1 if out of memory. */
static int
new_node(PatternSet *set)
{
	PatternNode *node;

	if (set->nnodes == set->capacity)
	{
		int			capacity = set->capacity == 0 ? 4 : 2 * set->capacity;
		PatternNode *nodes;

		if (capacity > INT_MAX / 2)
			return -1;
		nodes = arena_grow(set->arena, set->nodes,
						   set->nnodes * sizeof(PatternNode),
						   capacity * sizeof(PatternNode));
		if (nodes == NULL)
			return -1;
		set->nodes = nodes;
		set->capacity = capacity;
	}
	node = &set->nodes[set->nnodes];
	node->star = node->value = node->rest = -1;
	return set->nnodes++;
}

PatternSet *
pattern_set_create(Arena *arena, char separator)
{
	PatternSet *set = arena_alloc(arena, sizeof(PatternSet));

	if (set == NULL)
		return NULL;
	set->arena = arena;
	set->separator = separator;
	set->map = string_map_create(arena);
	if (set->map == NULL || new_node(set) < 0)
		return NULL;
	return set;
}

/* A root is a node without a parent: its number is the root's. */
int
pattern_set_new_root(PatternSet *set)
{
	return new_node(set);
}

uint32_t
pattern_form(const char *pattern, char separator)
{
	const char *at = pattern;
	uint32_t	form = 0;
	int			nsegments = 0;
	Segment		segment;

	while (next_segment(&at, pattern + strlen(pattern), separator, &segment))
	{
		if (segment_is(&segment, "*"))
			form |= UINT32_C(1) << nsegments;
		else if (segment_is(&segment, "**"))
			form |= PATTERN_FORM_REST;
		nsegments++;
	}
	if (form != 0)
		form |= (uint32_t) nsegments << PATTERN_FORM_COUNT;
	return form;
}

/*
 * The place of a wildcard pattern's value.  Makes the way there if "create"
 * is set; NULL if there is none, or if out of memory.  The pattern must last
 * as long as the set if it is created.
 */
static int *
trie_place(PatternSet *set, int root, const char *pattern, bool create)
{
	const char *at = pattern;
	const char *end = pattern + strlen(pattern);
	int			node = root;
	Segment		segment;

	while (next_segment(&at, end, set->separator, &segment))
	{
		int			child;

		if (segment_is(&segment, "**"))
			return &set->nodes[node].rest;
		if (segment_is(&segment, "*"))
		{
			child = set->nodes[node].star;
			if (child < 0 && create)
			{
				child = new_node(set);
				set->nodes[node].star = child;
			}
		}
		else
		{
			child = string_map_get(set->map, node, segment.text, segment.len);
			if (child < 0 && create)
			{
				child = new_node(set);
				if (child >= 0 &&
					!string_map_put(set->map, node, segment.text, segment.len,
									child))
					return NULL;
			}
		}
		if (child < 0)
			return NULL;
		node = child;
	}
	return &set->nodes[node].value;
}

bool
pattern_set_add_in(PatternSet *set, int root, const char *pattern, int value)
{
	const char *why;
	char	   *copy;
	int		   *place;

	if (value < 0 ||
		!pattern_check(pattern, strlen(pattern), set->separator, &why) ||
		pattern_set_find_in(set, root, pattern) >= 0)
		return false;
	copy = arena_strndup(set->arena, pattern, strlen(pattern));
	if (copy == NULL)
		return false;
	if (pattern_form(copy, set->separator) == 0)
		return string_map_put(set->map, EXACT_SCOPE(root), copy, strlen(copy),
							  value);
	place = trie_place(set, root, copy, true);
	if (place == NULL)
		return false;
	*place = value;
	return true;
}

bool
pattern_set_add(PatternSet *set, const char *pattern, int value)
{
	return pattern_set_add_in(set, 0, pattern, value);
}

int
pattern_set_find_in(const PatternSet *set, int root, const char *pattern)
{
	int		   *place;

	if (pattern_form(pattern, set->separator) == 0)
		return string_map_get(set->map, EXACT_SCOPE(root), pattern,
							  strlen(pattern));
	/* Nothing is created, so the set does not change. */
	place = trie_place((PatternSet *) set, root, pattern, false);
	return place == NULL ? -1 : *place;
}

int
pattern_set_find(const PatternSet *set, const char *pattern)
{
	return pattern_set_find_in(set, 0, pattern);
}

/*
 * Splits a name for this set.  The name must last as long as the split.
 */
void
pattern_set_split(const PatternSet *set, const char *name, size_t len,
				  SplitName *split)
{
	const char *at = name;
	Segment		segment;

	split->text = name;
	split->len = len;
	split->nsegments = 0;
	while (next_segment(&at, name + len, set->separator, &segment))
	{
		if (split->nsegments == POLICY_MAX_SEGMENTS)
		{
			split->nsegments++;
			break;
		}
		split->segments[split->nsegments] = segment;
		split->hashes[split->nsegments] = string_map_hash(set->map, segment.text,
														  segment.len);
		split->nsegments++;
	}
	split->hash = len <= POLICY_MAX_PATTERN ?
		string_map_hash(set->map, name, len) : 0;
}

/*
 * Visits what matches at and below a node that "depth" segments have led to.
 * False as soon as a visit says so.  Recursion is at most MAX_SEGMENTS deep,
 * as the trie is.
 */
static bool
walk_node(const PatternWalk *walk, int number, int depth)
{
	const PatternNode *node = &walk->set->nodes[number];
	const SplitName *name = walk->name;

	if (depth == name->nsegments)
		return node->value < 0 || walk->visit(node->value, walk->arg);
	if (depth < POLICY_MAX_SEGMENTS)
	{
		const Segment *segment = &name->segments[depth];
		int			child = string_map_get_hashed(walk->set->map, number,
												  name->hashes[depth],
												  segment->text, segment->len);

		if (child >= 0 && !walk_node(walk, child, depth + 1))
			return false;
		if (node->star >= 0 && !walk_node(walk, node->star, depth + 1))
			return false;
	}
	return node->rest < 0 || walk->visit(node->rest, walk->arg);
}

/* As pattern_set_match; false if a visit stopped it. */
bool
pattern_set_match_in(const PatternSet *set, int root, const SplitName *name,
					 PatternVisit visit, void *arg)
{
	PatternWalk walk;

	if (name->len <= POLICY_MAX_PATTERN)
	{
		int			value = string_map_get_hashed(set->map, EXACT_SCOPE(root),
												  name->hash, name->text,
												  name->len);

		if (value >= 0 && !visit(value, arg))
			return false;
	}
	walk.set = set;
	walk.name = name;
	walk.visit = visit;
	walk.arg = arg;
	return walk_node(&walk, root, 0);
}

void
pattern_set_match(const PatternSet *set, const char *name, size_t len,
				  bool (*visit) (int value, void *arg), void *arg)
{
	SplitName	split;

	pattern_set_split(set, name, len, &split);
	(void) pattern_set_match_in(set, 0, &split, visit, arg);
}

static bool
take_first(int value, void *arg)
{
	*(int *) arg = value;
	return false;
}

int
pattern_set_best(const PatternSet *set, const char *name, size_t len)
{
	int			best = -1;

	pattern_set_match(set, name, len, take_first, &best);
	return best;
}

/*
 * Whether the patterns together match every name that "inner", a valid
 * pattern, matches.
 *
 * Segments are more than patterns can list, so a segment that no pattern
 * names stands for all of them where inner has a wildcard; "*" is one.  If
 * inner ends in "**" there is such a name for every length; beyond the
 * longest pattern all are alike.
 */
bool
pattern_set_covers(const PatternSet *set, const char *inner)
{
	char		name[POLICY_MAX_PATTERN + 2 * POLICY_MAX_SEGMENTS + 4];
	const char *at = inner;
	size_t		len = strlen(inner);
	int			nsegments = 0;
	Segment		segment;

	if (len == 0 || len > POLICY_MAX_PATTERN)
		return false;
	while (next_segment(&at, inner + len, set->separator, &segment))
		nsegments++;
	memcpy(name, inner, len);
	if (!segment_is(&segment, "**"))
		return pattern_set_best(set, name, len) >= 0;
	len--;
	for (;;)
	{
		if (pattern_set_best(set, name, len) < 0)
			return false;
		if (nsegments++ > POLICY_MAX_SEGMENTS)
			return true;
		name[len++] = set->separator;
		name[len++] = '*';
	}
}
