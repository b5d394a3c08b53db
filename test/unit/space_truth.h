/*-------------------------------------------------------------------------
 *
 * space_truth.h
 *	  Whether the lines of a PolicySpace tell the truth about a name: what the
 *	  unit tests and the fuzzer hold them against.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TEST_SPACE_TRUTH_H
#define CLAIIM_TEST_SPACE_TRUTH_H

#include "naive.h"
#include "policy_space.h"

/* What the gate says. */
static inline SpaceVerdict
truth_of(const DecisionInput *side, const char *action, const char *target)
{
	DecisionInput input = *side;
	static const char *const all[] = {"**"};
	Decision	decision;
	NamedSession session;

	input.action = action;
	input.action_len = strlen(action);
	input.target = target;
	input.target_len = strlen(target);
	input.target_org = input.org;
	policy_decide(&input, &decision);
	if (decision.allow)
		return SPACE_ALLOW;
	memset(&session, 0, sizeof(session));
	session.name = "ses_1";
	session.agent = input.agent;
	session.status = SESSION_STATUS_GRANTED;
	session.valid_until = input.now + 1;
	session.valid_from = input.now;
	session.actions = session.targets = all;
	session.nactions = session.ntargets = 1;
	input.session = session.name;
	input.passed = &session;
	policy_decide(&input, &decision);
	return decision.allow ? SPACE_ALLOW_IN_SESSION : SPACE_DENY;
}

static inline bool
pattern_is_about(const PatternPair *pattern, const char *action, const char *target)
{
	return naive_match(pattern->action, action, ':') &&
		naive_match(pattern->target, target, '/');
}

/*
 * Whether all lines that are about a name say what is true of it, and there
 * is one if there has to be.
 */
static inline bool
lines_tell(const PolicySpace *space, const char *action, const char *target,
		   const SpaceVerdict truth[2], bool of_interest)
{
	bool		told = false;
	int			i;
	int			j;

	for (i = 0; i < space->nlines; i++)
	{
		const SpaceLine *line = space->lines[i];
		bool		excepted = !pattern_is_about(&line->pattern, action, target);

		for (j = 0; j < line->nexceptions && !excepted; j++)
			excepted = pattern_is_about(line->exceptions[j], action, target);
		if (excepted)
			continue;
		if (line->verdict[0] != truth[0] || line->verdict[1] != truth[1])
			return false;
		told = true;
	}
	return told == of_interest;
}

#endif							/* CLAIIM_TEST_SPACE_TRUTH_H */
