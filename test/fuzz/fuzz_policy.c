/*-------------------------------------------------------------------------
 *
 * fuzz_policy.c
 *	  Any bytes as a policy, a skill and a pattern.
 *
 * Whatever they are: no crash, no leak, no time out of proportion; an error
 * has a position and says what was expected; and a document that is accepted
 * decides about the names that its own entries speak of as the obvious
 * evaluation does (naive.h).
 *
 * Built with fuzz_main.c for make check, or with clang -fsanitize=fuzzer for
 * a long run, with corpus/policy and policy.dict.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "text.h"

#include "../unit/naive.h"

#define MUST(condition) \
	((condition) ? (void) 0 : must_hold(#condition, __LINE__))

/* Entries of a document that are tried, in every pairing. */
#define MAX_PROBES	24

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_hold(const char *condition, int line)
{
	fprintf(stderr, "fuzz_policy.c:%d: does not hold: %s\n", line, condition);
	abort();
}

static bool
is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL &&
		text_scan(text, strlen(text), true) == TEXT_OK;
}

static void
check_error(const PolicyError *error)
{
	MUST(error->line >= 1 && error->column >= 1);
	MUST(is_text(error->message, sizeof(error->message)));
	MUST(is_text(error->expected, sizeof(error->expected)));
	MUST(error->message[0] != '\0');
	MUST(error->expected[0] != '\0' ||
		 strcmp(error->message, "out of memory") == 0);
}

/* A name that a pattern matches: "*" becomes "x", and "**" "x:y". */
static void
name_of(const char *pattern, char separator, char *name)
{
	for (; *pattern != '\0'; pattern++)
	{
		if (strcmp(pattern, "**") == 0)
		{
			*name++ = 'x';
			*name++ = separator;
			*name++ = 'y';
			break;
		}
		*name++ = *pattern == '*' ? 'x' : *pattern;
	}
	*name = '\0';
}

static void
check_decision(const PolicyProgram *program, const SkillProgram *skill,
			   const char *action, const char *target, bool session)
{
	NamedPolicy named = {"p-v1", program};
	NamedSkill	named_skill = {"s-v1", true, skill};
	static const char *const everything[] = {"**"};
	NamedSession granted = {
		.name = "ses_1", .agent = "a", .status = SESSION_STATUS_GRANTED,
		.valid_until = 1, .nactions = 1, .actions = everything,
		.ntargets = 1, .targets = everything
	};
	DecisionInput input;
	Decision	decision;
	PolicyVerdict verdict = policy_eval(program, action, strlen(action),
										target, strlen(target), session);

	memset(&input, 0, sizeof(input));
	input.identity = IDENTITY_OK;
	input.agent = "a";
	input.agent_status = AGENT_ACTIVE;
	input.org = input.target_org = "o";
	input.anchor = "h";
	input.anchor_active = true;
	input.action = action;
	input.action_len = strlen(action);
	input.target = target;
	input.target_len = strlen(target);
	input.session = session ? granted.name : NULL;
	input.passed = session ? &granted : NULL;
	input.policy = &named;
	input.nskills = 1;
	input.skills = &named_skill;
	policy_decide(&input, &decision);
	MUST(is_text(decision.reason, sizeof(decision.reason)));
	MUST(is_text(decision.rule, sizeof(decision.rule)));
	MUST(decision.allow == (verdict.code == POLICY_ALLOWED));
	MUST(decision.allow == (strcmp(decision.reason_code, "allowed") == 0));

	/* One that is found is as good as one that is passed. */
	if (session)
	{
		input.session = NULL;
		input.passed = NULL;
		input.nsessions = 1;
		input.sessions = &granted;
		policy_decide(&input, &decision);
		MUST(decision.allow == (verdict.code == POLICY_ALLOWED));
	}

	/* A baseline can take away, and never add. */
	input.nbaselines = 1;
	input.baselines = &named;
	policy_decide(&input, &decision);
	MUST(is_text(decision.rule, sizeof(decision.rule)));
	MUST(decision.allow == (verdict.code == POLICY_ALLOWED));
}

static void
check_verdicts(const PolicyDocument *doc, const PolicyProgram *program,
			   const SkillProgram *skill)
{
	int			step = doc->nentries / MAX_PROBES + 1;
	int			i;
	int			j;
	int			session;

	for (i = 0; i < doc->nentries; i += step)
	{
		char		action[POLICY_MAX_PATTERN + 4];

		name_of(doc->entries[i].action, ':', action);
		MUST(pattern_match(doc->entries[i].action, action, strlen(action), ':'));
		for (j = 0; j < doc->nentries; j += step)
		{
			char		target[POLICY_MAX_PATTERN + 4] = "t";

			if (doc->entries[j].target != NULL)
				name_of(doc->entries[j].target, '/', target);
			for (session = 0; session < 2; session++)
			{
				int			decided;
				PolicyVerdictCode code = naive_eval(doc, action, target,
													session, &decided);
				PolicyVerdict verdict = policy_eval(program,
													action, strlen(action),
													target, strlen(target),
													session);

				MUST(verdict.code == code);
				MUST((verdict.entry == NULL) == (decided < 0));
				MUST(decided < 0 ||
					 (verdict.entry->line == doc->entries[decided].line &&
					  verdict.entry->column == doc->entries[decided].column));
				check_decision(program, skill, action, target, session);
			}
		}
	}
}

static void
try_policy(const char *source, size_t len)
{
	static const char *const any = "actions: ['**']";
	Arena	   *arena = arena_create(0);
	PolicyError error;
	PolicyDocument *doc = policy_parse(arena, source, len, &error);
	PolicyProgram *program = NULL;

	if (doc == NULL)
		check_error(&error);
	else
	{
		program = policy_compile(arena, doc, &error);
		if (program == NULL)
			check_error(&error);
	}
	if (program != NULL)
	{
		SkillDocument *skill_doc = skill_parse(arena, any, strlen(any), &error);
		SkillProgram *skill = skill_compile(arena, skill_doc, &error);
		SkillDocument **skill_docs;
		SkillProgram **skills;
		int			i;

		skill_docs = arena_alloc(arena, doc->nskills * sizeof(*skill_docs));
		skills = arena_alloc(arena, doc->nskills * sizeof(*skills));
		for (i = 0; i < doc->nskills; i++)
		{
			skill_docs[i] = skill_doc;
			skills[i] = skill;
		}
		MUST(policy_check_skills(doc, skill_docs, &error));
		if (!policy_run_tests(doc, program, skills, &error))
			check_error(&error);
		check_verdicts(doc, program, skill);
	}
	arena_destroy(arena);
}

static void
try_skill(const char *source, size_t len)
{
	Arena	   *arena = arena_create(0);
	PolicyError error;
	SkillDocument *doc = skill_parse(arena, source, len, &error);
	SkillProgram *skill = doc ? skill_compile(arena, doc, &error) : NULL;
	int			i;

	if (skill == NULL)
		check_error(&error);
	for (i = 0; skill != NULL && i < doc->nactions; i++)
	{
		char		action[POLICY_MAX_PATTERN + 4];

		name_of(doc->actions[i], ':', action);
		MUST(skill_covers(skill, action, strlen(action)));
	}
	arena_destroy(arena);
}

/* The same again, with memory for a part of it only. */
static void
try_little_memory(const char *source, size_t len, size_t limit)
{
	Arena	   *arena = arena_create(limit);
	PolicyError error;
	PolicyDocument *doc = policy_parse(arena, source, len, &error);

	if (doc == NULL || policy_compile(arena, doc, &error) == NULL)
		check_error(&error);
	arena_destroy(arena);
}

static void
try_pattern(const char *text, size_t len, char separator)
{
	const char *why = NULL;

	if (pattern_check(text, len, separator, &why))
	{
		Arena	   *arena = arena_create(0);
		PatternSet *set = pattern_set_create(arena, separator);
		char		pattern[POLICY_MAX_PATTERN + 1];
		char		name[POLICY_MAX_PATTERN + 4];

		memcpy(pattern, text, len);
		pattern[len] = '\0';
		name_of(pattern, separator, name);
		MUST(pattern_match(pattern, name, strlen(name), separator));
		MUST(naive_match(pattern, name, separator));
		MUST(pattern_covers(pattern, pattern, separator));
		MUST(pattern_set_add(set, pattern, 5));
		MUST(pattern_set_best(set, name, strlen(name)) == 5);
		MUST(pattern_set_covers(set, pattern));
		arena_destroy(arena);
	}
	else
		MUST(why != NULL);
	why = NULL;
	MUST(action_name_check(text, len, &why) || why != NULL);
	why = NULL;
	MUST(target_name_check(text, len, &why) || why != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	const char *line = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t		line_len = line ? (size_t) (line - text) : size;

	try_policy(text, size);
	try_skill(text, size);
	try_little_memory(text, size, 64 + 8 * (size % 499));
	try_pattern(text, line_len, ':');
	try_pattern(text, line_len, '/');
	return 0;
}
