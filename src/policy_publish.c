/*-------------------------------------------------------------------------
 *
 * policy_publish.c
 *	  What must hold before a version of a policy is published.
 *
 * A policy that allows what none of its skills covers promises what the gate
 * will never grant, and one whose own tests fail does not say what its
 * author meant.  Both are errors in the document, at their line.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

#include "text.h"

/* "skill deploy-v2", "skills deploy-v2, review-v1" */
static void
append_skill_names(char *buffer, size_t size, const PolicyDocument *doc)
{
	int			i;

	text_append(buffer, size, doc->nskills == 1 ? "skill " : "skills ");
	for (i = 0; i < doc->nskills; i++)
	{
		if (i > 0)
			text_append(buffer, size, ", ");
		text_append(buffer, size, doc->skills[i]);
	}
}

/* The actions of all skills in one set; NULL if out of memory. */
static PatternSet *
all_actions(Arena *arena, const PolicyDocument *doc,
			SkillDocument *const *skills)
{
	PatternSet *set = pattern_set_create(arena, ':');
	int			i;
	int			j;

	for (i = 0; set != NULL && i < doc->nskills; i++)
		for (j = 0; j < skills[i]->nactions; j++)
			if (pattern_set_find(set, skills[i]->actions[j]) < 0 &&
				!pattern_set_add(set, skills[i]->actions[j], i))
				return NULL;
	return set;
}

bool
policy_check_skills(const PolicyDocument *doc, SkillDocument *const *skills,
					PolicyError *error)
{
	Arena	   *arena;
	PatternSet *actions;
	bool		covered = true;
	int			i;

	memset(error, 0, sizeof(*error));
	if (doc->nskills == 0)
		return true;
	arena = arena_create(0);
	actions = arena ? all_actions(arena, doc, skills) : NULL;
	if (actions == NULL)
		covered = policy_out_of_memory(error);
	for (i = 0; covered && i < doc->nentries; i++)
	{
		const PolicyEntry *entry = &doc->entries[i];
		char		names[160] = "";
		char		shown[SHOWN_SIZE];

		if (entry->list != POLICY_LIST_ALLOW ||
			pattern_set_covers(actions, entry->action))
			continue;
		append_skill_names(names, sizeof(names), doc);
		covered = policy_fail(error, entry->line, entry->column,
							  "an action that the policy's skills cover",
							  "\"%s\" is not covered by %s",
							  policy_shown(shown, entry->action,
										   strlen(entry->action)),
							  names);
	}
	arena_destroy(arena);
	return covered;
}

/* Why a test's action is denied, or that it is allowed, and by what. */
static bool
run_test(const PolicyTest *test, const PolicyProgram *program,
		 SkillProgram *const *skills, int nskills, char *why, size_t why_size)
{
	size_t		action_len = strlen(test->action);
	PolicyVerdict verdict;
	bool		covered = nskills == 0;
	int			i;

	for (i = 0; !covered && i < nskills; i++)
		covered = skill_covers(skills[i], test->action, action_len);
	if (!covered)
	{
		text_append(why, why_size, "action not covered by skill");
		return false;
	}
	verdict = policy_eval(program, test->action, action_len, test->target,
						  test->target ? strlen(test->target) : 0,
						  test->session);
	text_append(why, why_size, policy_verdict_text(verdict.code));
	if (verdict.entry != NULL)
	{
		text_append(why, why_size, ", ");
		policy_append_rule(why, why_size, verdict.entry);
	}
	return verdict.code == POLICY_ALLOWED;
}

bool
policy_run_tests(const PolicyDocument *doc, const PolicyProgram *program,
				 SkillProgram *const *skills, PolicyError *error)
{
	int			i;

	memset(error, 0, sizeof(*error));
	for (i = 0; i < doc->ntests; i++)
	{
		const PolicyTest *test = &doc->tests[i];
		char		why[200] = "";
		char		shown[SHOWN_SIZE];
		bool		allowed = run_test(test, program, skills, doc->nskills,
									   why, sizeof(why));

		if (allowed != test->expect_allow)
			return policy_fail(error, test->line, test->column,
							   test->expect_allow ? "ALLOW" : "DENY",
							   "test of \"%s\" gets %s: %s",
							   policy_shown(shown, test->action,
											strlen(test->action)),
							   allowed ? "ALLOW" : "DENY", why);
	}
	return true;
}
