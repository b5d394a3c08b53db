/*-------------------------------------------------------------------------
 *
 * policy_space.c
 *	  Everything that policies decide, as a list of lines.
 *
 * What is decided about an action and a target depends on nothing but which
 * of the policies' patterns they match.  So the patterns of the policies and
 * skills divide all names into kinds (pair_universe.c), and one name of each,
 * put to policy_decide, shows what is decided about its kind.  That is the
 * gate's own evaluator: the list cannot disagree with the gate, and need not
 * know how policies are combined.
 *
 * It knows one thing all the same: deny wins.  What an entry of a deny list
 * matches is denied, so these names are left out, and the entry is an
 * exception of all lines that it has names in common with.  To treat it like
 * other patterns would be as right, but a thousand entries that allow and
 * fifty that deny would make fifty thousand kinds.  Between two sides this
 * holds for what both deny; what one does is looked at.
 *
 * From the general to the specific, a pair becomes a line unless the lines
 * that there are say the same.  If one of them does and another one does not,
 * it becomes a silent line: an exception of the latter, and no more.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_space.h"

#include <stdlib.h>
#include <string.h>

#include "pair_universe.h"
#include "policy_private.h"

static const PatternPair everything = {"**", "**"};

typedef struct ExceptionList
{
	const PatternPair *pattern;
	struct ExceptionList *next;
} ExceptionList;

/* What there is to know of a pair of the universe. */
typedef struct Kind
{
	int			label;			/* what is decided; 0: nothing of interest */
	SpaceLine  *line;			/* NULL: it has none */
	bool		silent;			/* the line is there as an exception only */
	ExceptionList *exceptions;
} Kind;

/* An entry of a deny list. */
typedef struct Denied
{
	PatternPair pattern;
	int			side;
	bool		wins;			/* whatever else matches, nothing changes */
	bool		covered;		/* by another one that wins */
} Denied;

typedef struct Space
{
	PairUniverse universe;
	const DecisionInput *sides[2];	/* the second can be NULL */
	int			ndenied;
	int			denied_capacity;
	Denied	   *denied;
	int			denied_roots[2];
	Kind	   *kinds;
	long		nexceptions;
} Space;

/*
 * The patterns
 */

static PatternPair
entry_pattern(const PolicyEntry *entry)
{
	PatternPair pattern = {entry->action,
	entry->target != NULL ? entry->target : everything.target};

	return pattern;
}

static void
add_denied(Space *space, int side, const PatternPair *pattern)
{
	PairUniverse *universe = &space->universe;
	SplitPair	split;

	pair_split(universe->trie, pattern, &split);
	if (pair_trie_get(universe->trie, space->denied_roots[side], &split) >= 0)
		return;
	if (space->ndenied == space->denied_capacity)
	{
		int			capacity = space->denied_capacity == 0 ? 64 :
			2 * space->denied_capacity;
		Denied	   *denied = arena_grow(universe->arena, space->denied,
										space->ndenied * sizeof(Denied),
										capacity * sizeof(Denied));

		if (denied == NULL)
		{
			universe->failed = true;
			return;
		}
		space->denied = denied;
		space->denied_capacity = capacity;
	}
	if (!pair_trie_put(universe->trie, space->denied_roots[side], &split,
					   space->ndenied))
		universe->failed = true;
	space->denied[space->ndenied].pattern = *pattern;
	space->denied[space->ndenied++].side = side;
}

static void
add_denied_by(Space *space, int side, const PolicyProgram *program)
{
	int			i;

	for (i = 0; program != NULL && i < program->nentries; i++)
	{
		PatternPair pattern = entry_pattern(&program->entries[i]);

		if (program->entries[i].list == POLICY_LIST_DENY &&
			!space->universe.failed)
			add_denied(space, side, &pattern);
	}
}

/* All that a side denies in so many words. */
static void
add_denied_side(Space *space, int side)
{
	const DecisionInput *input = space->sides[side];
	int			i;

	if (input->policy == NULL)
		add_denied(space, side, &everything);
	else
		add_denied_by(space, side, input->policy->program);
	for (i = 0; i < input->nbaselines; i++)
		add_denied_by(space, side, input->baselines[i].program);
}

static bool
visit_none(int value, void *arg)
{
	(void) value;
	(void) arg;
	return false;
}

static bool
visit_same(int value, void *arg)
{
	return value == *(int *) arg;
}

/*
 * Which denied patterns win: all of a side that is alone, and those of each
 * side that the other denies as well.
 */
static void
exclude_denied(Space *space)
{
	PairUniverse *universe = &space->universe;
	PairTrie   *trie = universe->trie;
	int			i;

	for (i = 0; i < space->ndenied && !universe_failed(universe); i++)
	{
		Denied	   *denied = &space->denied[i];
		SplitPair	split;

		pair_split(trie, &denied->pattern, &split);
		denied->wins = space->sides[1] == NULL ||
			!pair_trie_covering(trie, space->denied_roots[1 - denied->side],
								&split, visit_none, NULL);
		/* Both sides' pattern is one. */
		if (denied->wins &&
			pair_trie_get(trie, universe->excluded, &split) < 0)
			universe_exclude(universe, &denied->pattern, i);
		else
			denied->covered = true;
	}
	for (i = 0; i < space->ndenied && !universe_failed(universe); i++)
	{
		Denied	   *denied = &space->denied[i];
		SplitPair	split;

		if (denied->covered)
			continue;
		pair_split(trie, &denied->pattern, &split);
		denied->covered = !pair_trie_covering(trie, universe->excluded,
											  &split, visit_same, &i);
	}
}

/* The patterns of a side that do not win, whatever they are. */
static void
add_allowed_by(Space *space, const PolicyProgram *program)
{
	int			i;

	for (i = 0; program != NULL && i < program->nentries; i++)
	{
		PatternPair pattern = entry_pattern(&program->entries[i]);

		if (program->entries[i].list == POLICY_LIST_ALLOW)
			universe_add(&space->universe, &pattern);
	}
}

static void
add_patterns(Space *space)
{
	int			side;
	int			i;
	int			j;

	universe_add(&space->universe, &everything);
	for (side = 0; side < 2 && space->sides[side] != NULL; side++)
	{
		const DecisionInput *input = space->sides[side];

		for (i = 0; i < input->nskills; i++)
		{
			const SkillProgram *skill = input->skills[i].program;

			for (j = 0; skill != NULL && j < skill->npatterns; j++)
			{
				PatternPair pattern = {skill->patterns[j], everything.target};

				universe_add(&space->universe, &pattern);
			}
		}
		for (i = 0; i < input->nbaselines; i++)
			add_allowed_by(space, input->baselines[i].program);
		if (input->policy != NULL)
			add_allowed_by(space, input->policy->program);
	}
	for (i = 0; i < space->ndenied; i++)
		if (!space->denied[i].wins)
			universe_add(&space->universe, &space->denied[i].pattern);
}

/*
 * Decisions
 */

static SpaceVerdict
decide(const DecisionInput *side, const PairWitness *witness,
	   Decision *decision)
{
	static const char *const all[] = {"**"};
	DecisionInput input = *side;
	NamedSession anything;
	Decision	outside;

	input.action = witness->action;
	input.action_len = witness->action_len;
	input.target = witness->target;
	input.target_len = witness->target_len;
	input.target_org = input.org;
	input.session = NULL;
	input.passed = NULL;
	input.nsessions = 0;
	policy_decide(&input, decision);
	if (decision->allow)
		return SPACE_ALLOW;
	if (strncmp(decision->reason_code, "session_", 8) != 0)
		return SPACE_DENY;
	outside = *decision;

	/* A session for anything: what humans could approve at most. */
	memset(&anything, 0, sizeof(anything));
	anything.name = "ses_";
	anything.agent = input.agent;
	anything.status = SESSION_STATUS_GRANTED;
	anything.valid_from = input.now;
	anything.valid_until = input.now + 1;
	anything.actions = anything.targets = all;
	anything.nactions = anything.ntargets = 1;
	input.session = anything.name;
	input.passed = &anything;
	policy_decide(&input, decision);
	if (decision->allow)
		return SPACE_ALLOW_IN_SESSION;
	*decision = outside;
	return SPACE_DENY;
}

/* "allow:6 deploy:*", or the text of a reason that no entry gave. */
static const char *
why_text(Space *space, const Decision *decision)
{
	const char *text = decision->rule;
	const char *dashes = strstr(decision->reason, " -- ");
	char	   *copy;

	if (text[0] == '\0')
		text = dashes != NULL ? dashes + 4 : decision->reason;
	copy = arena_strndup(space->universe.arena, text, strlen(text));
	if (copy == NULL)
		space->universe.failed = true;
	return copy;
}

/* Two sides that agree are of no interest, whatever they agree on. */
static int
label_of(const Space *space, const SpaceVerdict verdict[2])
{
	if (space->sides[1] == NULL)
		return verdict[0];
	return verdict[0] == verdict[1] ? 0 :
		1 + 3 * (int) verdict[0] + (int) verdict[1];
}

/*
 * Lines
 */

/* Of the pairs that were found, only those that are lines. */
static void
keep_lines(Space *space)
{
	IntList    *found = &space->universe.found;
	int			count = 0;
	int			i;

	for (i = 0; i < found->count; i++)
		if (space->kinds[found->items[i]].line != NULL)
			found->items[count++] = found->items[i];
	found->count = count;
}

/*
 * Whether one of the lines that were found is about what they all cover: it
 * is, unless another one is narrower and says otherwise, which makes it, or a
 * wider one, an exception.  Not if there has been too much to do.
 */
static bool
is_about(Space *space, int line)
{
	const IntList *found = &space->universe.found;
	int			label = space->kinds[line].label;
	int			i;

	space->universe.comparisons += found->count;
	if (universe_failed(&space->universe))
		return false;
	for (i = 0; i < found->count; i++)
		if (space->kinds[found->items[i]].label != label &&
			universe_covers(&space->universe, line, found->items[i]))
			return false;
	return true;
}

/*
 * Whether the lines that were found say what has to be said of a kind, and
 * whether one says otherwise.
 */
static void
compare_with_lines(Space *space, int label, bool *said, bool *contradicted)
{
	const IntList *found = &space->universe.found;
	int			i;

	*said = label == 0;
	*contradicted = false;
	for (i = 0; i < found->count; i++)
	{
		const Kind *line = &space->kinds[found->items[i]];

		if (line->silent || !is_about(space, found->items[i]))
			continue;
		if (line->label == label)
			*said = true;
		else
			*contradicted = true;
	}
}

static void
add_exception(Space *space, Kind *kind, const PatternPair *pattern)
{
	ExceptionList *exception;

	if (++space->nexceptions > SPACE_MAX_EXCEPTIONS)
		space->universe.failed = true;
	exception = universe_alloc(&space->universe, sizeof(ExceptionList));
	if (exception == NULL)
		return;
	exception->pattern = pattern;
	exception->next = kind->exceptions;
	kind->exceptions = exception;
	kind->line->nexceptions++;
}

/*
 * The new line is an exception of those that were found, are about it, and
 * say otherwise.
 */
static void
add_to_exceptions(Space *space, const Kind *kind)
{
	const IntList *found = &space->universe.found;
	int			i;

	for (i = 0; i < found->count; i++)
	{
		Kind	   *outer = &space->kinds[found->items[i]];

		if (!outer->silent && outer->label != kind->label &&
			is_about(space, found->items[i]))
			add_exception(space, outer, &kind->line->pattern);
	}
}

/* What is denied, whatever the line says. */
static void
add_denied_exceptions(Space *space, int pair)
{
	const IntList *found = &space->universe.found;
	int			i;

	universe_find_excluded(&space->universe, pair);
	for (i = 0; i < found->count; i++)
		if (!space->denied[found->items[i]].covered)
			add_exception(space, &space->kinds[pair],
						  &space->denied[found->items[i]].pattern);
}

static void
make_line(Space *space, int pair, const SpaceVerdict verdict[2],
		  const Decision decision[2])
{
	SpaceLine  *line = universe_alloc(&space->universe, sizeof(SpaceLine));
	int			i;

	if (line == NULL)
		return;
	line->pattern = space->universe.pairs[pair].pattern;
	for (i = 0; i < 2; i++)
	{
		line->verdict[i] = verdict[i];
		line->why[i] = why_text(space, &decision[i]);
	}
	space->kinds[pair].line = line;
}

/* Decides about a kind, after all that cover it. */
static void
settle(Space *space, int pair)
{
	Kind	   *kind = &space->kinds[pair];
	SpaceVerdict verdict[2];
	Decision	decision[2];
	PairWitness witness;
	bool		said;
	bool		contradicted;

	if (!universe_witness(&space->universe, pair, &witness))
		return;
	verdict[0] = verdict[1] = decide(space->sides[0], &witness, &decision[0]);
	if (space->sides[1] != NULL)
		verdict[1] = decide(space->sides[1], &witness, &decision[1]);
	else
		decision[1] = decision[0];
	kind->label = label_of(space, verdict);

	universe_find_covering(&space->universe, pair);
	keep_lines(space);
	compare_with_lines(space, kind->label, &said, &contradicted);
	if ((said && !contradicted) || universe_failed(&space->universe))
		return;
	kind->silent = said;
	make_line(space, pair, verdict, decision);
	if (kind->line == NULL)
		return;
	add_to_exceptions(space, kind);
	if (!kind->silent)
		add_denied_exceptions(space, pair);
}

static int
compare_patterns(const PatternPair *x, const PatternPair *y)
{
	int			order = strcmp(x->action, y->action);

	return order != 0 ? order : strcmp(x->target, y->target);
}

static int
compare_exceptions(const void *a, const void *b)
{
	return compare_patterns(*(const PatternPair *const *) a,
							*(const PatternPair *const *) b);
}

static int
compare_lines(const void *a, const void *b)
{
	return compare_patterns(&(*(SpaceLine *const *) a)->pattern,
							&(*(SpaceLine *const *) b)->pattern);
}

/* The lines that are not silent, in order. */
static void
collect_lines(Space *space, PolicySpace *result)
{
	int			npairs = space->universe.npairs;
	int			i;

	result->nlines = 0;
	result->lines = universe_alloc(&space->universe,
								   npairs * sizeof(SpaceLine *));
	for (i = 0; i < npairs && !universe_failed(&space->universe); i++)
	{
		const Kind *kind = &space->kinds[i];
		SpaceLine  *line = kind->line;
		const ExceptionList *exception;
		int			n = 0;

		if (line == NULL || kind->silent)
			continue;
		result->lines[result->nlines++] = line;
		line->exceptions = universe_alloc(&space->universe,
										  line->nexceptions *
										  sizeof(PatternPair *));
		if (line->exceptions == NULL)
			return;
		for (exception = kind->exceptions; exception != NULL;
			 exception = exception->next)
			line->exceptions[n++] = exception->pattern;
		qsort(line->exceptions, n, sizeof(PatternPair *), compare_exceptions);
	}
	if (!space->universe.failed)
		qsort(result->lines, result->nlines, sizeof(SpaceLine *),
			  compare_lines);
}

bool
policy_space(Arena *arena, const DecisionInput *before,
			 const DecisionInput *after, PolicySpace *result)
{
	Space		space;
	PairUniverse *universe = &space.universe;
	int			side;
	int			rank;
	int			i;

	memset(&space, 0, sizeof(space));
	if (!universe_init(universe, arena))
		return false;
	space.sides[0] = before;
	space.sides[1] = after;
	for (side = 0; side < 2 && space.sides[side] != NULL; side++)
	{
		space.denied_roots[side] = pair_trie_new_root(universe->trie);
		if (space.denied_roots[side] < 0)
			return false;
		add_denied_side(&space, side);
	}
	exclude_denied(&space);
	add_patterns(&space);
	space.kinds = universe_alloc(universe, universe->npairs * sizeof(Kind));
	for (rank = 0; rank <= UNIVERSE_MAX_RANK; rank++)
		for (i = 0; i < universe->npairs && !universe_failed(universe); i++)
			if (universe->pairs[i].rank == rank)
				settle(&space, i);
	if (!universe_failed(universe))
		collect_lines(&space, result);
	return !universe->failed;
}
