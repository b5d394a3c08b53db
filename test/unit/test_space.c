/*-------------------------------------------------------------------------
 *
 * test_space.c
 *	  Everything that policies decide, as lines: small policies whose lines are
 *	  spelled out here, and random ones whose lines are held against the
 *	  evaluator, and against the words of doc/policies.md (naive.h).
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern_pairs.h"
#include "policy.h"
#include "policy_space.h"

#include "naive.h"
#include "random.h"
#include "space_truth.h"
#include "tap.h"

#define MAX_BASELINES	2
#define MAX_SOURCE		(64 * 1024)

static Arena *arena;

/* What governs an agent, and the documents that it was made of. */
typedef struct Side
{
	DecisionInput input;
	NamedPolicy policy;
	PolicyDocument *policy_doc;
	NamedSkill	skill;
	SkillDocument *skill_doc;
	NamedPolicy baselines[MAX_BASELINES];
	PolicyDocument *baseline_docs[MAX_BASELINES];
} Side;

static void
bail_out(const char *source, const PolicyError *error)
{
	printf("Bail out! %d:%d: %s in\n%s\n", error->line, error->column,
		   error->message, source);
	exit(1);
}

static const PolicyProgram *
program_of(const char *source, PolicyDocument **doc)
{
	PolicyError error;
	PolicyProgram *program = NULL;

	*doc = policy_parse(arena, source, strlen(source), &error);
	if (*doc != NULL)
		program = policy_compile(arena, *doc, &error);
	if (program == NULL)
		bail_out(source, &error);
	return program;
}

/* An agent in good order, under a policy, a skill, and up to two baselines. */
static void
govern(Side *side, const char *skill, const char *policy,
	   const char *baseline1, const char *baseline2)
{
	PolicyError error;

	memset(side, 0, sizeof(*side));
	side->input.identity = IDENTITY_OK;
	side->input.agent = "bot";
	side->input.agent_status = AGENT_ACTIVE;
	side->input.org = "acme";
	side->input.anchor = "ann";
	side->input.anchor_active = true;
	if (policy != NULL)
	{
		side->policy.name = "p-v1";
		side->policy.program = program_of(policy, &side->policy_doc);
		side->input.policy = &side->policy;
	}
	side->skill.name = "s-v1";
	side->skill.declared = true;
	side->skill_doc = skill_parse(arena, skill, strlen(skill), &error);
	if (side->skill_doc != NULL)
		side->skill.program = skill_compile(arena, side->skill_doc, &error);
	if (side->skill.program == NULL)
		bail_out(skill, &error);
	side->input.nskills = 1;
	side->input.skills = &side->skill;
	side->input.baselines = side->baselines;
	if (baseline1 != NULL)
	{
		side->baselines[0].name = "b-v1";
		side->baselines[0].program = program_of(baseline1,
												&side->baseline_docs[0]);
		side->input.nbaselines = 1;
	}
	if (baseline2 != NULL)
	{
		side->baselines[1].name = "c-v1";
		side->baselines[1].program = program_of(baseline2,
												&side->baseline_docs[1]);
		side->input.nbaselines = 2;
	}
}

static const char *
verdict_name(SpaceVerdict verdict)
{
	return verdict == SPACE_ALLOW ? "ALLOW" :
		verdict == SPACE_DENY ? "DENY" : "SESSION";
}

static void
append_pattern(char *text, size_t size, const PatternPair *pattern)
{
	size_t		used = strlen(text);

	snprintf(text + used, size - used, "%s", pattern->action);
	used = strlen(text);
	if (strcmp(pattern->target, "**") != 0)
		snprintf(text + used, size - used, " on %s", pattern->target);
}

/* The lines, one after another. */
static const char *
lines_of(const Side *before, const Side *after)
{
	static char text[8192];
	PolicySpace space;
	int			i;
	int			j;

	text[0] = '\0';
	if (!policy_space(arena, &before->input, after ? &after->input : NULL,
					  &space))
		return "too much";
	for (i = 0; i < space.nlines; i++)
	{
		const SpaceLine *line = space.lines[i];
		size_t		used = strlen(text);

		if (after != NULL)
			snprintf(text + used, sizeof(text) - used, "%s%s->%s ",
					 used > 0 ? "; " : "", verdict_name(line->verdict[0]),
					 verdict_name(line->verdict[1]));
		else
			snprintf(text + used, sizeof(text) - used, "%s%s ",
					 used > 0 ? "; " : "", verdict_name(line->verdict[0]));
		append_pattern(text, sizeof(text), &line->pattern);
		for (j = 0; j < line->nexceptions; j++)
		{
			strcat(text, j == 0 ? " except " : ", ");
			append_pattern(text, sizeof(text), line->exceptions[j]);
		}
	}
	return text;
}

static const char *
allowed(const char *skill, const char *policy, const char *baseline)
{
	Side		side;

	govern(&side, skill, policy, baseline, NULL);
	return lines_of(&side, NULL);
}

static const char *
changed(const char *before, const char *after, const char *baseline)
{
	Side		old;
	Side		new;

	govern(&old, "actions: ['**']", before, baseline, NULL);
	govern(&new, "actions: ['**']", after, baseline, NULL);
	return lines_of(&old, &new);
}

#define ANY		"actions: ['**']"
#define S		"skill: s-v1\n"

static void
test_permissions(void)
{
	is(allowed(ANY, S "allow: [deploy:staging, health:check]\n"
			   "deny: [deploy:production]\n", NULL),
	   "ALLOW deploy:staging; ALLOW health:check",
	   "what is allowed is listed, and what is denied anyway is not");
	is(allowed(ANY, S "allow: ['deploy:*']\ndeny: [deploy:production]\n", NULL),
	   "ALLOW deploy:* except deploy:production",
	   "what a deny entry takes out of an allow entry is its exception");
	is(allowed(ANY, S "allow: ['deploy:*', deploy:staging]\n", NULL),
	   "ALLOW deploy:*", "what a wider entry allows as well is not repeated");
	is(allowed(ANY, S "allow: ['a:*']\ndeny: ['*:b']\n", NULL),
	   "ALLOW a:* except *:b", "an exception is the deny entry, as it is written");
	is(allowed(ANY, S "allow: [a:b, c:d]\ndeny: ['*:b', 'x:*', c]\n", NULL),
	   "ALLOW c:d", "which is none where the two have nothing in common");
	is(allowed(ANY, S "allow: ['a:**']\ndeny: ['a:b:*', 'a:b:**', 'a:b:c']\n", NULL),
	   "ALLOW a:** except a:b:**", "nor where another one denies as much");
	is(allowed(ANY, S "allow: [{action: a, target: x/*}]\n"
			   "deny: [{action: '**', target: '*/y'}]\n", NULL),
	   "ALLOW a on x/* except ** on */y", "of actions and of targets");
	is(allowed("actions: ['a:*', b]", S "allow: ['**']\n", NULL),
	   "ALLOW a:*; ALLOW b", "a skill bounds what a policy allows");
	is(allowed(ANY, S "allow: ['**']\n", "allow: ['a:**']\ndeny: ['a:b:**']\n"),
	   "ALLOW a:** except a:b:**", "and so does a baseline");
	is(allowed(ANY, S "allow: ['**']\n", "allow: []\n"), "",
	   "a baseline that allows nothing leaves nothing");
	is(allowed(ANY, NULL, NULL), "", "nor is there anything without a policy");
	is(allowed(ANY, S "allow: ['a:*', {action: a:b, requires: session}]\n", NULL),
	   "ALLOW a:*", "a session is not needed where another entry allows without one");
	is(allowed(ANY, S "allow: [{action: 'a:*', requires: session}, a:b]\n", NULL),
	   "SESSION a:* except a:b; ALLOW a:b",
	   "what needs a session and what does not are two lines, each true by itself");
	is(allowed(ANY, S "allow: ['**']\n",
			   "allow: ['**', {action: x, target: t}]\n"
			   "deny: []\n"), "ALLOW **", "everything is one line");
	is(allowed(ANY, S "allow: ['*', '*:**', 'a:**']\n", NULL),
	   "ALLOW *; ALLOW *:**",
	   "two patterns that cover all of a third leave no name for it, and it is no line");
	is(allowed(ANY, S "allow: ['**']\ndeny: ['*:*', '*:*:**']\n", NULL),
	   "ALLOW ** except *:*, *:*:**",
	   "names of one segment are left where those of two and more are denied");
	is(allowed(ANY, S "allow: [{action: a, target: /etc/**}]\n"
			   "deny: [{action: a, target: /*/b}]\n", NULL),
	   "ALLOW a on /etc/** except a on /*/b", "a segment of a target can be empty");
}

static void
test_why(void)
{
	Side		side;
	Side		after;
	PolicySpace space;

	govern(&side, ANY, S "allow: [a, {action: b, requires: session}]\n", NULL, NULL);
	if (!ok(policy_space(arena, &side.input, NULL, &space) && space.nlines == 2,
			"there is a line for each"))
		return;
	is(space.lines[0]->why[0], "allow:2 a", "what is allowed has the entry that allows it");
	is(space.lines[1]->why[0], "allow:2 b", "also where that takes a session");
	govern(&after, ANY, S "allow: ['*']\ndeny: [b]\n", "deny: [a]\n", NULL);
	if (!ok(policy_space(arena, &side.input, &after.input, &space) && space.nlines == 3,
			"a change has a line for each"))
		return;
	is(space.lines[1]->why[0], "allow:2 a", "which has the entry that allowed it");
	is(space.lines[1]->why[1], "b-v1:deny:1 a", "and the one that denies it, be it a baseline's");
	is(space.lines[2]->why[1], "deny:3 b", "or the policy's");
	is(space.lines[0]->why[0], "action not in allow list",
	   "or the reason, where there was no entry");
	side.input.agent_status = AGENT_SUSPENDED;
	is(lines_of(&side, NULL), "", "a suspended agent may do nothing");
}

static void
test_changes(void)
{
	is(changed(S "allow: [a, b]\n", S "allow: [b, c]\n", NULL),
	   "ALLOW->DENY a; DENY->ALLOW c", "what is newly allowed, and what newly denied");
	is(changed(S "allow: [a]\n", S "allow: [a]\n", NULL), "",
	   "the same policy changes nothing");
	is(changed(S "allow: [a, b]\n", S "allow: [b, a]\ndeny: [c]\n", NULL), "",
	   "nor does another order, or to deny what was never allowed");
	is(changed(S "allow: [a:b]\n", S "allow: ['a:*']\n", NULL),
	   "DENY->ALLOW a:* except a:b",
	   "what was allowed before is an exception of what is allowed now");
	is(changed(S "allow: ['a:*']\n", S "allow: ['a:*']\ndeny: [a:b]\n", NULL),
	   "ALLOW->DENY a:b", "a new deny entry takes something away");
	is(changed(S "allow: [a]\n", S "allow: [{action: a, requires: session}]\n", NULL),
	   "ALLOW->SESSION a", "a session that becomes necessary");
	is(changed(S "allow: [{action: a, requires: session}]\n", S "allow: [a]\n", NULL),
	   "SESSION->ALLOW a", "and one that no longer is");
	is(changed(S "allow: []\n", S "allow: [{action: a, requires: session}]\n", NULL),
	   "DENY->SESSION a", "what becomes allowed inside a session");
	is(changed(S "allow: [a]\n", S "allow: ['**']\n", "allow: [a, b]\n"),
	   "DENY->ALLOW b", "what a baseline forbids is not newly allowed");
	is(changed(NULL, S "allow: [a]\n", NULL), "DENY->ALLOW a",
	   "the first policy of an agent");
	is(changed(S "allow: [a]\n", NULL, NULL), "ALLOW->DENY a", "and none any more");
}

/*
 * Random policies
 */

static const char *const words[] = {"a", "b", "c"};

static void
random_pattern(Random *random, char separator, char *pattern)
{
	int			nsegments = 1 + random_below(random, 3);
	int			i;

	pattern[0] = '\0';
	for (i = 0; i < nsegments; i++)
	{
		int			kind = random_below(random, 8);

		if (i > 0)
			strncat(pattern, &separator, 1);
		if (kind == 0 && i == nsegments - 1)
			strcat(pattern, "**");
		else if (kind <= 2)
			strcat(pattern, "*");
		else
			strcat(pattern, words[random_below(random, 3)]);
	}
}

static void
random_name(Random *random, char separator, char *name)
{
	int			nsegments = 1 + random_below(random, 4);
	int			i;

	name[0] = '\0';
	for (i = 0; i < nsegments; i++)
	{
		int			word = random_below(random, 4);

		if (i > 0)
			strncat(name, &separator, 1);
		strcat(name, word == 3 ? "else" : words[word]);
	}
}

/* A list of entries, each once. */
static void
random_list(Random *random, const char *key, bool sessions, char *source)
{
	char		seen[20][64];
	int			n = random_below(random, 6);
	int			nseen = 0;
	int			i;
	int			j;

	sprintf(source + strlen(source), "%s:%s\n", key, n == 0 ? " []" : "");
	for (i = 0; i < n; i++)
	{
		char		action[32];
		char		target[32];
		char		both[64];
		bool		has_target = random_below(random, 2) == 0;

		random_pattern(random, ':', action);
		random_pattern(random, '/', target);
		snprintf(both, sizeof(both), "%s %s", action, has_target ? target : "");
		for (j = 0; j < nseen && strcmp(seen[j], both) != 0; j++)
			;
		if (j < nseen)
		{
			i--;
			continue;
		}
		strcpy(seen[nseen++], both);
		sprintf(source + strlen(source), "  - {action: '%s'%s%s%s%s}\n", action,
				has_target ? ", target: '" : "", has_target ? target : "",
				has_target ? "'" : "",
				sessions && random_below(random, 3) == 0 ? ", requires: session" : "");
	}
}

static void
random_side(Random *random, Side *side)
{
	static char policy[MAX_SOURCE];
	static char baseline1[MAX_SOURCE];
	static char baseline2[MAX_SOURCE];
	char		skill[200] = "actions: ['**'";
	char		pattern[32];
	int			nbaselines = random_below(random, MAX_BASELINES + 1);

	strcpy(policy, S);
	random_list(random, "allow", true, policy);
	random_list(random, "deny", false, policy);
	strcpy(baseline1, "");
	if (random_below(random, 2) == 0)
		random_list(random, "allow", true, baseline1);
	random_list(random, "deny", false, baseline1);
	strcpy(baseline2, "");
	random_list(random, "allow", true, baseline2);
	if (random_below(random, 2) == 0)
	{
		random_pattern(random, ':', pattern);
		sprintf(skill, "actions: ['%s'", pattern);
		if (strcmp(pattern, "b:**") != 0)
			strcat(skill, ", 'b:**'");
	}
	strcat(skill, "]\n");
	govern(side, skill, policy, nbaselines > 0 ? baseline1 : NULL,
		   nbaselines > 1 ? baseline2 : NULL);
}

/* What the words of doc/policies.md say. */
static SpaceVerdict
said(const Side *side, const char *action, const char *target)
{
	bool		covered = false;
	bool		in_session = false;
	int			entry;
	int			i;

	for (i = 0; i < side->skill_doc->nactions; i++)
		covered = covered || naive_match(side->skill_doc->actions[i], action, ':');
	if (!covered)
		return SPACE_DENY;
	for (i = -1; i < side->input.nbaselines; i++)
	{
		const PolicyDocument *doc = i < 0 ? side->policy_doc :
			side->baseline_docs[i];

		if (naive_deny(doc, action, target) >= 0)
			return SPACE_DENY;
		if (i >= 0 && !doc->has_allow)
			continue;
		if (naive_eval(doc, action, target, false, &entry) == POLICY_ALLOWED)
			continue;
		if (naive_eval(doc, action, target, true, &entry) != POLICY_ALLOWED)
			return SPACE_DENY;
		in_session = true;
	}
	return in_session ? SPACE_ALLOW_IN_SESSION : SPACE_ALLOW;
}

/* Whether "outer" says all that "inner" does. */
static bool
says_all(const SpaceLine *outer, const SpaceLine *inner)
{
	char		both[POLICY_MAX_INTERSECTION];
	int			i;

	if (outer == inner || outer->verdict[0] != inner->verdict[0] ||
		outer->verdict[1] != inner->verdict[1] ||
		!pattern_covers(outer->pattern.action, inner->pattern.action, ':') ||
		!pattern_covers(outer->pattern.target, inner->pattern.target, '/'))
		return false;
	for (i = 0; i < outer->nexceptions; i++)
		if (pattern_intersect(outer->exceptions[i]->action,
							  inner->pattern.action, ':', both) &&
			pattern_intersect(outer->exceptions[i]->target,
							  inner->pattern.target, '/', both))
			return false;
	return true;
}

static bool
is_reduced(const PolicySpace *space)
{
	int			i;
	int			j;

	for (i = 0; i < space->nlines; i++)
		for (j = 0; j < space->nlines; j++)
			if (says_all(space->lines[i], space->lines[j]))
				return false;
	return true;
}

static void
test_random(bool diff, uint64_t seed)
{
	Random		random = {seed};
	int			nlines = 0;
	int			nexceptions = 0;
	int			ninteresting = 0;
	int			round;
	int			i;
	bool		good = true;
	bool		naive_agrees = true;
	bool		reduced = true;

	for (round = 0; round < 1500 && good && naive_agrees && reduced; round++)
	{
		Arena	   *outer = arena;
		Side		sides[2];
		PolicySpace space;

		arena = arena_create(0);
		random_side(&random, &sides[0]);
		random_side(&random, &sides[1]);
		if (!policy_space(arena, &sides[0].input,
						  diff ? &sides[1].input : NULL, &space))
			good = false;
		for (i = 0; i < 60 && good; i++)
		{
			SpaceVerdict truth[2];
			char		action[64];
			char		target[64];
			bool		of_interest;

			random_name(&random, ':', action);
			random_name(&random, '/', target);
			truth[0] = truth[1] = truth_of(&sides[0].input, action, target);
			if (diff)
				truth[1] = truth_of(&sides[1].input, action, target);
			if (said(&sides[0], action, target) != truth[0])
				naive_agrees = false;
			of_interest = diff ? truth[0] != truth[1] : truth[0] != SPACE_DENY;
			ninteresting += of_interest;
			good = lines_tell(&space, action, target, truth, of_interest);
			if (!good)
				diag("round %d, %s on %s", round, action, target);
		}
		if (good)
		{
			nlines += space.nlines;
			for (i = 0; i < space.nlines; i++)
				nexceptions += space.lines[i]->nexceptions;
			reduced = is_reduced(&space);
		}
		arena_destroy(arena);
		arena = outer;
	}
	ok(good, "whatever %s has a line, and all lines that are about it say so",
	   diff ? "changes" : "the evaluator allows");
	ok(naive_agrees, "the evaluator says what the documents say");
	ok(reduced, "and no line repeats another");
	ok(nlines > 1000 && nexceptions > 500 && ninteresting > 2000,
	   "that is %d lines with %d exceptions, and %d names that they are about",
	   nlines, nexceptions, ninteresting);
}

/*
 * Limits
 */

static char *
big_source(const char *allow, const char *deny, int n)
{
	size_t		size = 200 + 60 * (size_t) n;
	char	   *source = arena_alloc(arena, size);
	size_t		used;
	int			i;

	used = snprintf(source, size, S "allow:\n");
	for (i = 0; i < n; i++)
		used += snprintf(source + used, size - used, allow, i);
	if (deny != NULL)
	{
		used += snprintf(source + used, size - used, "deny:\n");
		for (i = 0; i < n; i++)
			used += snprintf(source + used, size - used, deny, i);
	}
	return source;
}

/*
 * Eleven patterns, each with one segment that it names, have two thousand
 * things in common; each of the names on n targets has all of those with them.
 */
static char *
crossing_source(int n)
{
	size_t		size = 2000 + 80 * (size_t) n;
	char	   *source = arena_alloc(arena, size);
	size_t		used = snprintf(source, size, S "allow:\n");
	int			i;
	int			j;

	for (i = 0; i < 11; i++)
	{
		used += snprintf(source + used, size - used, "  - '");
		for (j = 0; j < 11; j++)
			used += snprintf(source + used, size - used, "%s%s",
							 j > 0 ? ":" : "", j == i ? "a" : "*");
		used += snprintf(source + used, size - used, "'\n");
	}
	for (i = 0; i < n; i++)
		used += snprintf(source + used, size - used,
						 "  - {action: 'a:a:a:a:a:a:a:a:a:a:a', target: x%d}\n", i);
	return source;
}

static void
test_limits(void)
{
	Side		side;
	PolicySpace space;

	govern(&side, ANY, big_source("  - service%d:restart\n", NULL, 9000),
		   "deny: ['*:destroy', {action: '**', target: vault/**}]", NULL);
	ok(policy_space(arena, &side.input, NULL, &space) && space.nlines == 9000 &&
	   space.lines[8999]->nexceptions == 1,
	   "nine thousand entries are nine thousand lines");
	govern(&side, ANY, big_source("  - x%d:*\n", "  - '*:y%d'\n", 900), NULL, NULL);
	ok(policy_space(arena, &side.input, NULL, &space) && space.nlines == 900 &&
	   space.lines[0]->nexceptions == 900,
	   "nine hundred entries can each have nine hundred exceptions");
	govern(&side, ANY, big_source("  - x%d:*\n", "  - '*:y%d'\n", 1100), NULL, NULL);
	ok(!policy_space(arena, &side.input, NULL, &space),
	   "more than a million exceptions are refused");
	govern(&side, ANY, big_source("  - x%d:*\n", NULL, 1000),
		   big_source("  - '*:y%d'\n", NULL, 1000) + strlen(S), NULL);
	ok(!policy_space(arena, &side.input, NULL, &space),
	   "and so are a thousand entries, each of which a thousand others narrow");
	govern(&side, ANY, crossing_source(100), NULL, NULL);
	ok(policy_space(arena, &side.input, NULL, &space) && space.nlines == 11,
	   "a hundred names that two thousand patterns match are found to add nothing");
	govern(&side, ANY, crossing_source(1800), NULL, NULL);
	ok(!policy_space(arena, &side.input, NULL, &space),
	   "for eighteen hundred that would take too long");
}

static void
test_memory(void)
{
	Side		side;
	size_t		limit;
	int			failures = 0;
	PolicySpace space;

	govern(&side, ANY, S "allow: ['a:*', {action: b, target: x/*}]\ndeny: ['*:b']\n",
		   "deny: [{action: '**', target: '*/y'}]\n", NULL);
	for (limit = 16;; limit += 16)
	{
		Arena	   *little = arena_create(limit);
		bool		good = policy_space(little, &side.input, NULL, &space);

		arena_destroy(little);
		if (good)
			break;
		failures++;
	}
	ok(failures > 100, "with too little memory there is no list, %d times, and no half of one",
	   failures);
}

/* What two patterns have in common. */
static void
test_intersections(void)
{
	static const char *const cases[][3] = {
		{"a:b", "a:b", "a:b"}, {"a:b", "a:c", NULL}, {"a:*", "*:b", "a:b"},
		{"**", "a:b", "a:b"}, {"a:**", "*:b:**", "a:b:**"}, {"a:**", "a", NULL},
		{"a:**", "**", "a:**"}, {"*", "**", "*"}, {"*:*", "*:**", "*:*"},
		{"a:*", "a:*:*", NULL}, {"*", "a", "a"}, {"a:**", "b:**", NULL},
		{":a", "*:*", ":a"}, {":**", "*:b", ":b"}, {"::**", "**", "::**"},
		{"*::c", ":*:*", "::c"},
	};
	char		both[POLICY_MAX_INTERSECTION];
	Random		random = {7};
	bool		good = true;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *want = cases[i][2];

		is(pattern_intersect(cases[i][0], cases[i][1], ':', both) ? both : NULL,
		   want, "%s and %s have %s in common", cases[i][0], cases[i][1],
		   want ? want : "nothing");
		is(pattern_intersect(cases[i][1], cases[i][0], ':', both) ? both : NULL,
		   want, "whichever comes first");
	}
	for (i = 0; i < 200000; i++)
	{
		char		a[32];
		char		b[32];
		char		name[64];
		bool		some;

		random_pattern(&random, ':', a);
		random_pattern(&random, ':', b);
		random_name(&random, ':', name);
		some = pattern_intersect(a, b, ':', both);
		good = good && (some && naive_match(both, name, ':')) ==
			(naive_match(a, name, ':') && naive_match(b, name, ':'));
	}
	ok(good, "a name matches what two patterns have in common if it matches both");
}

int
main(void)
{
	arena = arena_create(0);
	test_intersections();
	test_permissions();
	test_why();
	test_changes();
	test_random(false, 20261121);
	test_random(true, 20261122);
	test_limits();
	test_memory();
	arena_destroy(arena);
	return done_testing();
}
