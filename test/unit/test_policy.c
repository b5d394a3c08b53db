/*-------------------------------------------------------------------------
 *
 * test_policy.c
 *	  Documents that are right: what they are read as, what they decide, and
 *	  what is checked before they are published.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#include "naive.h"
#include "random.h"
#include "tap.h"

#define SEED UINT64_C(20261121)

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

/* The form of BRIEF.md, to the letter. */
static const char *const brief =
	"# Skills this agent can use\n"
	"skill: deploy-v2\n"
	"\n"
	"# What is allowed\n"
	"allow:\n"
	"  - deploy:staging\n"
	"  - deploy:rollback-staging\n"
	"  - health:check\n"
	"\n"
	"# What is explicitly denied\n"
	"deny:\n"
	"  - deploy:production\n"
	"  - deploy:rollback-production\n"
	"  - infra:destroy\n";

static const char *const full =
	"tests:\n"
	"  - {action: refund:issue, target: order/7, expect: ALLOW}\n"
	"  - {action: infra:apply, session: true, expect: ALLOW}\n"
	"  - {action: infra:apply, session: false, expect: DENY}\n"
	"  - action: refund:issue\n"
	"    target: invoice/7\n"
	"    expect: DENY\n"
	"deny: [refund:bulk, \"*:*:force\"]\n"
	"skills: [support-v3, infra-v12]\n"
	"allow:\n"
	"  - ticket:read\n"
	"  - 'ticket:*'\n"
	"  - action: refund:issue\n"
	"    target: order/*\n"
	"  - {action: infra:apply, requires: session}\n"
	"  - infra:**\n";

/* Whatever a source compiles to; the process ends if it does not. */
typedef struct Policy
{
	Arena	   *arena;
	PolicyDocument *doc;
	PolicyProgram *program;
} Policy;

static void
must_not_fail(const void *result, const PolicyError *error, const char *source)
{
	if (result != NULL)
		return;
	diag("%d:%d: %s", error->line, error->column, error->message);
	printf("Bail out! this should be right: %s\n", source);
	exit(1);
}

/* The source is gone afterwards: a document does not point into it. */
static Policy
make_policy(const char *source)
{
	Policy		policy;
	PolicyError error;
	char	   *copy = strdup(source);

	policy.arena = arena_create(0);
	policy.doc = policy_parse(policy.arena, copy, strlen(copy), &error);
	free(copy);
	must_not_fail(policy.doc, &error, source);
	policy.program = policy_compile(policy.arena, policy.doc, &error);
	must_not_fail(policy.program, &error, source);
	return policy;
}

static SkillDocument *
make_skill(Arena *arena, const char *source)
{
	PolicyError error;
	SkillDocument *skill = skill_parse(arena, source, strlen(source), &error);

	must_not_fail(skill, &error, source);
	return skill;
}

static void
test_brief(void)
{
	Policy		policy = make_policy(brief);
	const PolicyDocument *doc = policy.doc;

	ok(doc->nskills == 1 && strcmp(doc->skills[0], "deploy-v2") == 0 &&
	   doc->skill_lines[0] == 2 && doc->skill_columns[0] == 8,
	   "BRIEF's policy names its skill");
	ok(doc->nentries == 6 && doc->has_allow && doc->ntests == 0,
	   "it has six entries and no tests");
	ok(doc->entries[0].list == POLICY_LIST_ALLOW &&
	   doc->entries[0].line == 6 && doc->entries[0].column == 5 &&
	   strcmp(doc->entries[0].action, "deploy:staging") == 0 &&
	   doc->entries[0].target == NULL && !doc->entries[0].requires_session,
	   "the first allows staging deploys of any target");
	ok(doc->entries[5].list == POLICY_LIST_DENY &&
	   doc->entries[5].line == 14 &&
	   strcmp(doc->entries[5].action, "infra:destroy") == 0,
	   "the last denies destroying");
	ok(policy_program_nskills(policy.program) == 1 &&
	   strcmp(policy_program_skill(policy.program, 0), "deploy-v2") == 0 &&
	   policy_program_has_allow(policy.program),
	   "its program says so, too");
	arena_destroy(policy.arena);
}

static void
test_full_document(void)
{
	Policy		policy = make_policy(full);
	const PolicyDocument *doc = policy.doc;

	ok(doc->nskills == 2 && strcmp(doc->skills[1], "infra-v12") == 0 &&
	   doc->skill_lines[1] == 9 && doc->skill_columns[1] == 22,
	   "a list of skills is read in order, with positions");
	ok(doc->nentries == 7 && doc->entries[0].list == POLICY_LIST_DENY &&
	   doc->entries[1].list == POLICY_LIST_DENY &&
	   doc->entries[2].list == POLICY_LIST_ALLOW &&
	   strcmp(doc->entries[2].action, "ticket:read") == 0,
	   "entries are in the order of the source, not of the keys");
	ok(strcmp(doc->entries[4].target, "order/*") == 0 &&
	   doc->entries[4].line == 13 && doc->entries[5].requires_session &&
	   doc->entries[5].target == NULL,
	   "an entry's mapping is read in block and in flow style");
	ok(doc->ntests == 4 && doc->tests[0].expect_allow &&
	   strcmp(doc->tests[0].target, "order/7") == 0 && !doc->tests[0].session &&
	   doc->tests[1].session && doc->tests[1].target == NULL &&
	   !doc->tests[2].session && !doc->tests[3].expect_allow &&
	   doc->tests[3].line == 5 && doc->tests[3].column == 5,
	   "tests are read with all of their keys");
	arena_destroy(policy.arena);
}

static void
test_accepted_forms(void)
{
	static const struct
	{
		const char *what;
		const char *source;
		int			nentries;
		bool		has_allow;
	}			cases[] =
	{
		{"a policy that only denies", "deny: [a]\n", 1, false},
		{"a list that allows nothing", "allow: []\n", 0, true},
		{"an empty list of tests", "allow: [a]\ntests: []\n", 1, true},
		{"lists that are not indented", "allow:\n- a\n- b\ndeny:\n- c\n", 3, true},
		{"flow style all over", "{allow: [a, b], deny: [{action: c}]}", 3, true},
		{"carriage returns before line feeds", "allow:\r\n  - a\r\n  - b\r\n", 2, true},
		{"a byte order mark at the beginning", "\xef\xbb\xbf" "allow: [a]\n", 1, true},
		{"an explicit document", "---\nallow: [a]\n...\n", 1, true},
		{"no line feed at the end", "allow: [a]", 1, true},
		{"scalars that YAML has other ideas about",
		"allow: [yes, 1e3, 0x10, ~, null, 2026-11-20]\n", 6, true},
		{"the same action on different targets",
			"allow:\n  - a\n  - {action: a, target: b}\n  - {action: a, target: c}\n",
		3, true},
		{"the same entry in both lists", "allow: [a]\ndeny: [a]\n", 2, true},
		{"letters of any script", "allow: [\xc3\xa9tat:lire, \xe6\x96\x87:\xe8\xaf\xbb]\n", 2, true},
		{"targets with colons and spaces",
		"allow: [{action: a, target: 'https://host:80/my file'}]\n", 1, true},
		{"16 segments", "allow: ['a:b:c:d:e:f:g:h:i:j:k:l:m:n:o:**']\n", 1, true},
	};
	Arena	   *arena = arena_create(0);
	SkillDocument *skill;
	int			i;

	for (i = 0; i < LENGTH(cases); i++)
	{
		Policy		policy = make_policy(cases[i].source);

		ok(policy.doc->nentries == cases[i].nentries &&
		   policy.doc->has_allow == cases[i].has_allow &&
		   policy_program_has_allow(policy.program) == cases[i].has_allow,
		   "a policy can have %s", cases[i].what);
		arena_destroy(policy.arena);
	}

	skill = make_skill(arena, "description: |\n  Deploys.\n  Twice.\n"
					   "actions:\n  - deploy:*\n  - 'health:**'\n");
	is(skill->description, "Deploys.\nTwice.\n",
	   "a skill can have a description of several lines");
	ok(skill->nactions == 2 && strcmp(skill->actions[1], "health:**") == 0 &&
	   skill->action_lines[1] == 6 && skill->action_columns[1] == 5,
	   "and its actions, with positions");
	is(make_skill(arena, "actions: [a]")->description, "", "or no description");
	arena_destroy(arena);
}

typedef struct EvalCase
{
	const char *action;
	const char *target;			/* NULL: not given */
	bool		session;
	PolicyVerdictCode code;
	int			line;			/* of the entry that decides; 0: none */
	const char *what;
} EvalCase;

static void
run_evals(const char *source, const EvalCase *cases, int count)
{
	Policy		policy = make_policy(source);
	int			i;

	for (i = 0; i < count; i++)
	{
		const EvalCase *want = &cases[i];
		PolicyVerdict verdict = policy_eval(policy.program, want->action,
											strlen(want->action), want->target,
											want->target ? strlen(want->target) : 0,
											want->session);

		if (!ok(verdict.code == want->code &&
				(verdict.entry ? verdict.entry->line : 0) == want->line,
				"%s", want->what))
			diag("code %d, line %d", (int) verdict.code,
				 verdict.entry ? verdict.entry->line : 0);
	}
	arena_destroy(policy.arena);
}

static void
test_eval_brief(void)
{
	static const EvalCase cases[] = {
		{"deploy:staging", "api-v2", false, POLICY_ALLOWED, 6,
		"an action in the allow list is allowed, by its line"},
		{"deploy:production", "api-v2", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"one in the deny list only is not in the allow list: BRIEF's contract"},
		{"deploy:canary", "api-v2", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"one in no list is denied"},
		{"deploy", "api-v2", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"a part of an action is another action"},
		{"deploy:staging:eu", "api-v2", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"so is a longer one"},
		{"Deploy:staging", "api-v2", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"so is one in capitals"},
		{"", "", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"the empty action is denied"},
	};

	run_evals(brief, cases, LENGTH(cases));
}

static void
test_eval_lists(void)
{
	static const char *const source =
		"allow:\n"
		"  - deploy:**\n"		/* 2 */
		"  - deploy:staging\n" /* 3 */
		"  - {action: order:read, target: order/*}\n"	/* 4 */
		"  - {action: order:read, target: order/7}\n"	/* 5 */
		"  - {action: infra:apply, requires: session}\n"	/* 6 */
		"  - {action: infra:*, target: dev/**}\n"	/* 7 */
		"  - {action: infra:drop, requires: session}\n" /* 8 */
		"  - 'all:*'\n"			/* 9 */
		"  - {action: mixed, target: a, requires: session}\n"	/* 10 */
		"  - {action: mixed, target: b}\n"	/* 11 */
		"deny:\n"
		"  - deploy:production\n"	/* 13 */
		"  - {action: order:read, target: order/13}\n"	/* 14 */
		"  - infra:drop\n"		/* 15 */
		"  - {action: 'all:**', target: secret/**}\n"	/* 16 */
		"  - {action: 'all:x', target: 'secret/*'}\n"	/* 17 */
		"  - never:allowed\n";	/* 18 */
	static const EvalCase cases[] = {
		{"deploy:staging", "x", false, POLICY_ALLOWED, 2,
		"of entries that allow, the first in the source is named"},
		{"deploy:production", "x", false, POLICY_IN_DENY_LIST, 13,
		"deny wins over a wildcard that allows"},
		{"never:allowed", "x", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"deny is not named where nothing allows"},
		{"order:read", "order/7", false, POLICY_ALLOWED, 4,
		"a target pattern allows its targets, the first in the source"},
		{"order:read", "order/13", false, POLICY_IN_DENY_LIST, 14,
		"a target that is denied is denied"},
		{"order:read", "order/14", false, POLICY_ALLOWED, 4,
		"a deny entry with a target denies no other target"},
		{"order:read", "invoice/7", false, POLICY_TARGET_NOT_ALLOWED, 0,
		"another target is not allowed, the action is"},
		{"order:read", "order/7/8", false, POLICY_TARGET_NOT_ALLOWED, 0,
		"a deeper target is another target"},
		{"order:read", NULL, false, POLICY_TARGET_NOT_ALLOWED, 0,
		"no target pattern matches a target that is not given"},
		{"infra:apply", "prod/db", false, POLICY_SESSION_REQUIRED, 6,
		"an entry that requires a session does not allow without one"},
		{"infra:apply", "prod/db", true, POLICY_ALLOWED, 6,
		"and does within one"},
		{"infra:apply", "dev/db", false, POLICY_ALLOWED, 7,
		"a later entry that requires none allows without one"},
		{"infra:apply", "dev/db", true, POLICY_ALLOWED, 7,
		"and is preferred within one, too"},
		{"infra:drop", "prod/db", false, POLICY_IN_DENY_LIST, 15,
		"deny is said before a missing session"},
		{"infra:drop", "prod/db", true, POLICY_IN_DENY_LIST, 15,
		"no session helps against deny"},
		{"all:x", "public/1", false, POLICY_ALLOWED, 9,
		"deny entries with targets leave other targets alone"},
		{"all:x", "secret/1", false, POLICY_IN_DENY_LIST, 16,
		"of entries that deny, the first in the source is named"},
		{"all:x", NULL, false, POLICY_ALLOWED, 9,
		"no deny entry with a target matches one that is not given"},
		{"mixed", "a", false, POLICY_SESSION_REQUIRED, 10,
		"a session is required for the target that requires it"},
		{"mixed", "b", false, POLICY_ALLOWED, 11,
		"and not for the other"},
		{"mixed", "c", true, POLICY_TARGET_NOT_ALLOWED, 0,
		"a session allows no other target"},
	};
	Policy		policy = make_policy(source);
	const PolicyEntry *entry;

	run_evals(source, cases, LENGTH(cases));
	entry = policy_eval_deny(policy.program, "never:allowed", 13, "x", 1);
	ok(entry != NULL && entry->line == 18,
	   "deny alone is found where nothing allows");
	ok(policy_eval_deny(policy.program, "order:read", 10, "order/14", 8) == NULL &&
	   policy_eval_deny(policy.program, "deploy:staging", 14, "x", 1) == NULL,
	   "and not where nothing denies");
	arena_destroy(policy.arena);
}

static void
test_eval_corners(void)
{
	static const EvalCase deny_only[] = {
		{"a", "x", false, POLICY_NOT_IN_ALLOW_LIST, 0,
		"a policy without an allow list allows nothing"},
	};
	static const EvalCase everything[] = {
		{"a:b:c:d:e:f:g:h:i:j:k:l:m:n:o:p:q:r:s", "x", false, POLICY_ALLOWED, 2,
		"** allows actions longer than any pattern"},
		{"a:b", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", false,
		POLICY_IN_DENY_LIST, 4, "** denies targets longer than any pattern"},
		{"**", "x", false, POLICY_ALLOWED, 2,
		"a wildcard in a name is a text like any other"},
	};

	run_evals("deny: [b]\n", deny_only, LENGTH(deny_only));
	run_evals("allow:\n  - '**'\ndeny:\n  - {action: '**', target: '1/**'}\n",
			  everything, LENGTH(everything));
}

static const char *
random_choice(Random *random, const char *const *choices, int count)
{
	return choices[random_below(random, count)];
}

/* Random documents, every verdict compared with the obvious evaluation. */
static void
test_eval_randomly(void)
{
	static const char *const segments[] = {"a", "b", "c", "*", "*"};
	static const char *const names[] = {"a", "b", "c", "d"};
	Random		random = {SEED};
	bool		same = true;
	bool		same_deny = true;
	int			seen[POLICY_SESSION_REQUIRED + 1] = {0};
	int			documents = 0;
	int			round;

	for (round = 0; round < 1500; round++)
	{
		char		source[8192] = "";
		char		lists[2][4096] = {"", ""};
		int			count = 1 + random_below(&random, 12);
		Arena	   *arena = arena_create(0);
		PolicyDocument *doc;
		PolicyProgram *program;
		PolicyError error;
		int			i;
		int			j;

		for (i = 0; i < count; i++)
		{
			int			which = random_below(&random, 3) == 0;
			char	   *list = lists[which];

			strcat(list, "  - {action: '");
			for (j = random_below(&random, 3); j >= 0; j--)
			{
				strcat(list, j == 0 && random_below(&random, 5) == 0 ? "**" :
					   random_choice(&random, segments, LENGTH(segments)));
				strcat(list, j > 0 ? ":" : "'");
			}
			if (random_below(&random, 2) == 0)
			{
				strcat(list, ", target: '");
				for (j = random_below(&random, 3); j >= 0; j--)
				{
					strcat(list, j == 0 && random_below(&random, 5) == 0 ? "**" :
						   random_choice(&random, segments, LENGTH(segments)));
					strcat(list, j > 0 ? "/" : "'");
				}
			}
			if (which == 0 && random_below(&random, 3) == 0)
				strcat(list, ", requires: session");
			strcat(list, "}\n");
		}
		for (i = round % 2, j = 0; j < 2; j++, i = 1 - i)
			if (lists[i][0] != '\0')
				strcat(strcat(source, i == 0 ? "allow:\n" : "deny:\n"), lists[i]);

		doc = policy_parse(arena, source, strlen(source), &error);
		program = doc ? policy_compile(arena, doc, &error) : NULL;
		if (program == NULL)
		{
			/* An entry was drawn twice. */
			same = same && strncmp(error.message, "duplicate entry", 15) == 0;
			arena_destroy(arena);
			continue;
		}
		documents++;
		for (i = 0; i < 100; i++)
		{
			char		action[32] = "";
			char		target[32] = "";
			bool		session = random_below(&random, 2) == 0;
			bool		no_target = random_below(&random, 10) == 0;
			PolicyVerdict verdict;
			PolicyVerdictCode code;
			const PolicyEntry *deny;
			int			decided;
			int			denied;

			for (j = random_below(&random, 3); j >= 0; j--)
				strcat(strcat(action, random_choice(&random, names, 4)), j ? ":" : "");
			for (j = random_below(&random, 3); j >= 0; j--)
				strcat(strcat(target, random_choice(&random, names, 4)), j ? "/" : "");
			verdict = policy_eval(program, action, strlen(action),
								  no_target ? NULL : target, strlen(target),
								  session);
			code = naive_eval(doc, action, no_target ? NULL : target, session,
							  &decided);
			same = same && verdict.code == code &&
				(verdict.entry == NULL ? decided == -1 : decided >= 0 &&
				 verdict.entry->line == doc->entries[decided].line);
			seen[code]++;
			deny = policy_eval_deny(program, action, strlen(action),
									no_target ? NULL : target, strlen(target));
			denied = naive_deny(doc, action, no_target ? NULL : target);
			same_deny = same_deny &&
				(deny == NULL ? denied == -1 : denied >= 0 &&
				 deny->line == doc->entries[denied].line);
		}
		arena_destroy(arena);
	}
	ok(same, "random policies decide as entry by entry (seed %llu, %d documents)",
	   (unsigned long long) SEED, documents);
	ok(same_deny, "and deny alone does, too");
	ok(documents > 500 && seen[POLICY_ALLOWED] > 1000 &&
	   seen[POLICY_NOT_IN_ALLOW_LIST] > 1000 &&
	   seen[POLICY_TARGET_NOT_ALLOWED] > 1000 &&
	   seen[POLICY_IN_DENY_LIST] > 1000 && seen[POLICY_SESSION_REQUIRED] > 1000,
	   "with every verdict a thousand times");
}

static void
test_program_outlives_document(void)
{
	Arena	   *document_arena = arena_create(0);
	Arena	   *arena = arena_create(0);
	PolicyError error;
	PolicyDocument *doc = policy_parse(document_arena, full, strlen(full), &error);
	PolicyProgram *program = policy_compile(arena, doc, &error);
	SkillProgram *skill = skill_compile(arena,
										make_skill(document_arena, "actions: [a:b, 'c:*']"),
										&error);
	PolicyVerdict verdict;

	arena_destroy(document_arena);
	verdict = policy_eval(program, "refund:issue", 12, "order/7", 7, false);
	ok(verdict.code == POLICY_ALLOWED &&
	   strcmp(verdict.entry->action, "refund:issue") == 0 &&
	   strcmp(verdict.entry->target, "order/*") == 0 &&
	   strcmp(policy_program_skill(program, 1), "infra-v12") == 0,
	   "a program needs nothing of its document");
	ok(skill_covers(skill, "a:b", 3) && skill_covers(skill, "c:d", 3),
	   "nor does a skill's");
	arena_destroy(arena);
}

/* The largest document: evaluation does not notice. */
static void
test_eval_many_entries(void)
{
	char	   *source = malloc(POLICY_MAX_SOURCE);
	size_t		len = sprintf(source, "allow:\n");
	Policy		policy;
	bool		good = true;
	int			i;

	for (i = 0; i < 15000; i++)
		len += sprintf(source + len, "- p%d:x\n", i);
	policy = make_policy(source);
	for (i = 0; i < 15000; i++)
	{
		char		action[32];
		PolicyVerdict verdict;

		sprintf(action, "p%d:x", i);
		verdict = policy_eval(policy.program, action, strlen(action), "t", 1,
							  false);
		good = good && verdict.code == POLICY_ALLOWED &&
			verdict.entry->line == i + 2;
	}
	ok(good, "each of 15000 entries is found");
	arena_destroy(policy.arena);
	free(source);
}

static void
test_skill_covers(void)
{
	Arena	   *arena = arena_create(0);
	PolicyError error;
	SkillProgram *skill = skill_compile(arena,
										make_skill(arena, "actions: [deploy:*, 'infra:**', ping]"),
										&error);

	ok(skill_covers(skill, "deploy:staging", 14) &&
	   skill_covers(skill, "infra:a:b:c", 11) && skill_covers(skill, "ping", 4),
	   "a skill covers what its patterns match");
	ok(!skill_covers(skill, "deploy", 6) &&
	   !skill_covers(skill, "deploy:a:b", 10) &&
	   !skill_covers(skill, "ping:x", 6) && !skill_covers(skill, "", 0),
	   "and nothing else");
	arena_destroy(arena);
}

/* NULL if the policy fits its skills, or "line:column: message". */
static const char *
check_skills(const char *source, const char *skill1, const char *skill2)
{
	static char text[512];
	Policy		policy = make_policy(source);
	SkillDocument *skills[2];
	PolicyError error;
	bool		good;

	skills[0] = make_skill(policy.arena, skill1);
	skills[1] = make_skill(policy.arena, skill2);
	good = policy_check_skills(policy.doc, skills, &error);
	if (!good)
		snprintf(text, sizeof(text), "%d:%d: %s", error.line, error.column,
				 error.message);
	arena_destroy(policy.arena);
	return good ? NULL : text;
}

static void
test_check_skills(void)
{
	static const char *const deploy = "actions: [deploy:*, health:check]";
	static const char *const infra = "actions: [infra:*, 'infra:*:**', deploy:*]";

	is(check_skills(brief, deploy, infra), NULL,
	   "a policy that allows what its skill covers can be published");
	is(check_skills("skill: a-v1\nallow:\n  - deploy:x\n  - health:stop\n",
					deploy, infra),
	   "4:5: \"health:stop\" is not covered by skill a-v1",
	   "one that allows more cannot");
	is(check_skills("skill: a-v1\nallow: [health:*]\n", deploy, infra),
	   "2:9: \"health:*\" is not covered by skill a-v1",
	   "a wildcard allows more than any one action");
	is(check_skills("skills: [a-v1, b-v2]\nallow: [health:check, infra:x]\n",
					deploy, infra), NULL, "skills cover together");
	is(check_skills("skills: [a-v1, b-v2]\nallow: ['infra:**']\n", deploy, infra),
	   NULL, "also a pattern that no single action covers");
	is(check_skills("skills: [a-v1, b-v2]\nallow: ['**']\n", deploy, infra),
	   "2:9: \"**\" is not covered by skills a-v1, b-v2",
	   "and the error names them all");
	is(check_skills("skill: a-v1\nallow: [deploy:x]\ndeny: [infra:y]\n", deploy,
					infra), NULL, "what is denied need not be covered");
	is(check_skills("allow: [a:b]\n", deploy, infra), NULL,
	   "a policy without skills can allow anything");
}

/* NULL if the policy's tests pass, or "line:column: message; expected". */
static const char *
run_tests(const char *source, const char *skill_source)
{
	static char text[600];
	Policy		policy = make_policy(source);
	PolicyError error;
	SkillProgram *skill;
	bool		good;

	skill = skill_compile(policy.arena, make_skill(policy.arena, skill_source),
						  &error);
	good = policy_run_tests(policy.doc, policy.program, &skill, &error);
	if (!good)
		snprintf(text, sizeof(text), "%d:%d: %s; expected %s", error.line,
				 error.column, error.message, error.expected);
	arena_destroy(policy.arena);
	return good ? NULL : text;
}

static void
test_run_tests(void)
{
	static const char *const lists =
		"skill: a-v1\n"
		"allow:\n"
		"  - 'a:*'\n"
		"  - {action: b, target: order/*}\n"
		"  - {action: c, requires: session}\n"
		"  - d\n"
		"deny:\n"
		"  - {action: 'a:**', target: prod/**}\n"
		"tests:\n";
	static const struct
	{
		const char *test;
		const char *error;
		const char *what;
	}			cases[] =
	{
		{"{action: a:x, target: dev/1, expect: ALLOW}", NULL,
		"a test of what is allowed passes"},
		{"{action: a:x, target: prod/1, expect: DENY}", NULL,
		"a test of what is denied passes"},
		{"{action: c, session: true, expect: ALLOW}", NULL,
		"a test inside of a session passes"},
		{"{action: d, expect: DENY}", NULL,
		"a test of what the skill does not cover passes"},
		{"{action: b, expect: DENY}", NULL,
		"a test without a target has one that no pattern matches"},
		{"{action: a:x, target: prod/1, expect: ALLOW}",
			"10:5: test of \"a:x\" gets DENY: action in deny list, deny:8 a:** on prod/**; expected ALLOW",
		"a failing test names the entry that denies"},
		{"{action: a:x, expect: DENY}",
			"10:5: test of \"a:x\" gets ALLOW: action in allow list, allow:3 a:*; expected DENY",
		"or the one that allows"},
		{"{action: x, expect: ALLOW}",
			"10:5: test of \"x\" gets DENY: action not covered by skill; expected ALLOW",
		"or the skill"},
		{"{action: a:x:y, expect: ALLOW}",
			"10:5: test of \"a:x:y\" gets DENY: action not in allow list; expected ALLOW",
		"or that nothing does"},
		{"{action: c, expect: ALLOW}",
			"10:5: test of \"c\" gets DENY: action needs an approved session, allow:5 c; expected ALLOW",
		"or the session that is missing"},
		{"{action: b, target: x, expect: ALLOW}",
			"10:5: test of \"b\" gets DENY: target not in allow list; expected ALLOW",
		"or that the target is another"},
	};
	char		source[1024];
	int			i;

	for (i = 0; i < LENGTH(cases); i++)
	{
		snprintf(source, sizeof(source), "%s  - %s\n", lists, cases[i].test);
		is(run_tests(source, "actions: ['a:**', b, c]"), cases[i].error, "%s",
		   cases[i].what);
	}
	is(run_tests("allow: [z]\ntests: [{action: z, expect: ALLOW}]\n",
				 "actions: [a]"), NULL,
	   "without skills nothing has to be covered");
	is(run_tests("allow: [z]\ntests:\n- {action: z, expect: ALLOW}\n"
				 "- {action: y, expect: ALLOW}\n", "actions: [a]"),
	   "4:3: test of \"y\" gets DENY: action not in allow list; expected ALLOW",
	   "every test is run");
}

int
main(void)
{
	test_brief();
	test_full_document();
	test_accepted_forms();
	test_eval_brief();
	test_eval_lists();
	test_eval_corners();
	test_eval_randomly();
	test_program_outlives_document();
	test_eval_many_entries();
	test_skill_covers();
	test_check_skills();
	test_run_tests();
	return done_testing();
}
