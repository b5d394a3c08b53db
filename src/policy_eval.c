/*-------------------------------------------------------------------------
 *
 * policy_eval.c
 *	  One program, evaluated.
 *
 * Pure: the program and the arguments decide, nothing else is looked at and
 * nothing is allocated.  What several programs make together, and how it is
 * said, is policy_decide.c's business.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

/* What one list says about an action and a target. */
typedef struct ListScan
{
	const PolicyProgram *program;
	const SplitName *target;	/* NULL: not given */
	bool		action_seen;	/* an entry matches the action */
	int			without_session;	/* first entry that matches both, or -1 */
	int			with_session;	/* ... of those that require a session */
} ListScan;

/* Sets have no order of their own; the source has. */
static bool
visit_entry(int i, void *arg)
{
	ListScan   *scan = arg;
	int		   *first = scan->program->entries[i].requires_session ?
		&scan->with_session : &scan->without_session;

	if (*first < 0 || i < *first)
		*first = i;
	return true;
}

static bool
visit_group(int i, void *arg)
{
	ListScan   *scan = arg;
	const ActionGroup *group = &scan->program->groups[i];

	scan->action_seen = true;
	if (group->any_target >= 0)
		visit_entry(group->any_target, scan);
	if (group->targets >= 0 && scan->target != NULL)
		pattern_set_match_in(scan->program->targets, group->targets,
							 scan->target, visit_entry, scan);
	return true;
}

static void
scan_list(const PolicyProgram *program, PolicyList list,
		  const SplitName *action, const SplitName *target, ListScan *scan)
{
	scan->program = program;
	scan->target = target;
	scan->action_seen = false;
	scan->without_session = -1;
	scan->with_session = -1;
	pattern_set_match_in(program->actions, LIST_ROOT(list), action,
						 visit_group, scan);
}

/* Splits the target if it can matter; NULL if not. */
static const SplitName *
split_target(const PolicyProgram *program, const char *target,
			 size_t target_len, SplitName *split)
{
	if (target == NULL || program->targets == NULL)
		return NULL;
	pattern_set_split(program->targets, target, target_len, split);
	return split;
}

static const PolicyEntry *
entry_at(const PolicyProgram *program, int i)
{
	return i < 0 ? NULL : &program->entries[i];
}

PolicyVerdict
policy_eval(const PolicyProgram *program, const char *action,
			size_t action_len, const char *target, size_t target_len,
			bool has_session)
{
	SplitName	action_split;
	SplitName	target_split;
	const SplitName *split;
	ListScan	allow;
	ListScan	deny;
	PolicyVerdict verdict;

	pattern_set_split(program->actions, action, action_len, &action_split);
	split = split_target(program, target, target_len, &target_split);
	scan_list(program, POLICY_LIST_ALLOW, &action_split, split, &allow);
	scan_list(program, POLICY_LIST_DENY, &action_split, split, &deny);

	verdict.entry = NULL;
	if (!allow.action_seen)
		verdict.code = POLICY_NOT_IN_ALLOW_LIST;
	else if (allow.without_session < 0 && allow.with_session < 0)
		verdict.code = POLICY_TARGET_NOT_ALLOWED;
	else if (deny.without_session >= 0)
	{
		verdict.code = POLICY_IN_DENY_LIST;
		verdict.entry = entry_at(program, deny.without_session);
	}
	else if (allow.without_session >= 0)
	{
		verdict.code = POLICY_ALLOWED;
		verdict.entry = entry_at(program, allow.without_session);
	}
	else
	{
		verdict.code = has_session ? POLICY_ALLOWED : POLICY_SESSION_REQUIRED;
		verdict.entry = entry_at(program, allow.with_session);
	}
	return verdict;
}

const PolicyEntry *
policy_eval_deny(const PolicyProgram *program, const char *action,
				 size_t action_len, const char *target, size_t target_len)
{
	SplitName	action_split;
	SplitName	target_split;
	ListScan	deny;

	pattern_set_split(program->actions, action, action_len, &action_split);
	scan_list(program, POLICY_LIST_DENY, &action_split,
			  split_target(program, target, target_len, &target_split), &deny);
	return entry_at(program, deny.without_session);
}

bool
skill_covers(const SkillProgram *skill, const char *action, size_t action_len)
{
	return pattern_set_best(skill->actions, action, action_len) >= 0;
}
