/*-------------------------------------------------------------------------
 *
 * policy_decide.c
 *	  The whole decision, and how it is said.
 *
 * A chain of questions in a fixed order; the first that is answered with no
 * is the decision, and only one that passes them all is an ALLOW.  The
 * order, the codes and the texts are a contract with agents and auditors,
 * written down in doc/decisions.md: change that page with this file.
 *
 * Pure, like policy_eval.c: a recorded decision can be made again from its
 * versions and compared.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

#include "text.h"

#define ACTION_IN_ALLOW_LIST	"action in allow list"

/* The text of a reason that a program alone gives. */
const char *
policy_verdict_text(PolicyVerdictCode code)
{
	switch (code)
	{
		case POLICY_ALLOWED:
			return ACTION_IN_ALLOW_LIST;
		case POLICY_NOT_IN_ALLOW_LIST:
			return "action not in allow list";
		case POLICY_TARGET_NOT_ALLOWED:
			return "target not in allow list";
		case POLICY_IN_DENY_LIST:
			return "action in deny list";
		case POLICY_SESSION_REQUIRED:
			return "action needs an approved session";
	}
	return "action not in allow list";
}

static const char *
verdict_reason_code(PolicyVerdictCode code)
{
	switch (code)
	{
		case POLICY_ALLOWED:
			return "allowed";
		case POLICY_NOT_IN_ALLOW_LIST:
			return "not_in_allow_list";
		case POLICY_TARGET_NOT_ALLOWED:
			return "target_not_allowed";
		case POLICY_IN_DENY_LIST:
			return "in_deny_list";
		case POLICY_SESSION_REQUIRED:
			return "session_required";
	}
	return "not_in_allow_list";
}

void
policy_append_rule(char *buffer, size_t size, const PolicyEntry *entry)
{
	text_append(buffer, size,
				entry->list == POLICY_LIST_ALLOW ? "allow:" : "deny:");
	text_append_int(buffer, size, entry->line);
	text_append(buffer, size, " ");
	text_append(buffer, size, entry->action);
	if (entry->target != NULL)
	{
		text_append(buffer, size, " on ");
		text_append(buffer, size, entry->target);
	}
}

/*
 * Sets the reason to "source:name -- text".  A name that is too long is cut,
 * the text never.
 */
static void
set_reason(Decision *decision, const char *code, const char *source,
		   const char *name, const char *text)
{
	size_t		size = sizeof(decision->reason);
	size_t		fixed = strlen(source) + 1 + 4 + strlen(text) + 1;

	decision->reason_code = code;
	decision->reason[0] = '\0';
	text_append(decision->reason, size, source);
	text_append(decision->reason, size, ":");
	text_append_clipped(decision->reason, size, name, strlen(name),
						size - fixed);
	text_append(decision->reason, size, " -- ");
	text_append(decision->reason, size, text);
}

/* As set_reason, for a step that says no. */
static bool
deny(Decision *decision, const char *code, const char *source,
	 const char *name, const char *text)
{
	set_reason(decision, code, source, name, text);
	return false;
}

static bool
identity_holds(const DecisionInput *input, Decision *decision)
{
	const char *agent = input->agent;

	switch (input->identity)
	{
		case IDENTITY_OK:
			return true;
		case IDENTITY_AGENT_UNKNOWN:
			break;
		case IDENTITY_TOKEN_MALFORMED:
			return deny(decision, "token_malformed", "identity", agent,
						"what was passed is not a token");
		case IDENTITY_TOKEN_INVALID:
			return deny(decision, "token_invalid", "identity", agent,
						"there is no such token");
		case IDENTITY_TOKEN_OTHER_AGENT:
			return deny(decision, "token_other_agent", "identity", agent,
						"token is another agent's");
		case IDENTITY_TOKEN_EXPIRED:
			return deny(decision, "token_expired", "identity", agent,
						"token has expired");
		case IDENTITY_TOKEN_REVOKED:
			return deny(decision, "token_revoked", "identity", agent,
						"token was revoked");
		case IDENTITY_TOKEN_NETWORK:
			return deny(decision, "token_network", "identity", agent,
						"token is not valid from this network");
		case IDENTITY_ROLE_MISMATCH:
			return deny(decision, "role_mismatch", "identity", agent,
						"no token given and the database role is not bound to this agent");
	}
	return deny(decision, "agent_unknown", "identity", agent,
				"agent is not registered");
}

/* The agent, its organization, and the human who answers for it. */
static bool
agent_is_accountable(const DecisionInput *input, Decision *decision)
{
	if (input->agent_status == AGENT_SUSPENDED)
		return deny(decision, "agent_suspended", "agent", input->agent,
					"agent is suspended");
	if (input->agent_status != AGENT_ACTIVE)
		return deny(decision, "agent_retired", "agent", input->agent,
					"agent is retired");
	if (input->suspended_org != NULL)
		return deny(decision, "org_suspended", "org", input->suspended_org,
					"organization is suspended");
	if (input->emergency_lapsed)
		return deny(decision, "break_glass_lapsed", "emergency",
					input->emergency_org ? input->emergency_org : input->agent,
					"change was not approved in time");
	if (input->anchor == NULL)
		return deny(decision, "anchor_missing", "anchor", input->agent,
					"agent has no accountable human");
	if (!input->anchor_active)
		return deny(decision, "anchor_inactive", "anchor", input->anchor,
					"accountable human is not active");
	return true;
}

/* The other organization is not named: the gate is no way to find it out. */
static bool
target_is_inside(const DecisionInput *input, Decision *decision)
{
	if (input->target_org == NULL)
		return deny(decision, "target_unmapped", "org", input->org,
					"target belongs to no organization");
	if (strcmp(input->target_org, input->org) != 0)
		return deny(decision, "org_boundary", "org", input->org,
					"target belongs to another organization");
	return true;
}

/*
 * A declared skill of the policy covers the action; the first that does is
 * the decision's.
 */
static bool
skill_covers_action(const DecisionInput *input, Decision *decision)
{
	char		names[sizeof(decision->reason)];
	int			ndeclared = 0;
	int			i;

	names[0] = '\0';
	for (i = 0; i < input->nskills; i++)
	{
		const NamedSkill *skill = &input->skills[i];

		if (!skill->declared)
			continue;
		if (skill->program != NULL &&
			skill_covers(skill->program, input->action, input->action_len))
		{
			decision->skill = skill->name;
			return true;
		}
		if (ndeclared++ > 0)
			text_append(names, sizeof(names), ", ");
		text_append(names, sizeof(names), skill->name);
	}
	if (input->nskills == 0)
		text_append(names, sizeof(names), "none");
	else if (ndeclared == 0)
		return deny(decision, "skill_not_declared", "skill",
					input->skills[0].name, "agent does not declare this skill");
	return deny(decision, "skill_not_covering", "skill", names,
				"action not covered by skill");
}

/* The rule of an organization's baseline: "acme-base-v1:deny:3 infra:**". */
static void
set_baseline_rule(Decision *decision, const NamedPolicy *baseline,
				  const PolicyEntry *entry)
{
	text_append(decision->rule, sizeof(decision->rule), baseline->name);
	text_append(decision->rule, sizeof(decision->rule), ":");
	policy_append_rule(decision->rule, sizeof(decision->rule), entry);
}

/*
 * What the organizations above the agent forbid, and then what they do not
 * allow.  *session_from is the first that allows the action only inside a
 * session, *session_entry its entry.
 */
static bool
baselines_allow(const DecisionInput *input, bool has_session,
				Decision *decision, const NamedPolicy **session_from,
				const PolicyEntry **session_entry)
{
	int			i;

	for (i = 0; i < input->nbaselines; i++)
	{
		const NamedPolicy *baseline = &input->baselines[i];
		const PolicyEntry *entry;

		if (baseline->program == NULL)
			continue;			/* refused below */
		entry = policy_eval_deny(baseline->program,
								 input->action, input->action_len,
								 input->target, input->target_len);
		if (entry == NULL)
			continue;
		set_baseline_rule(decision, baseline, entry);
		return deny(decision, "baseline_deny", "baseline", baseline->name,
					"action in deny list");
	}
	for (i = 0; i < input->nbaselines; i++)
	{
		const NamedPolicy *baseline = &input->baselines[i];
		PolicyVerdict verdict = {POLICY_NOT_IN_ALLOW_LIST, NULL};

		if (baseline->program != NULL)
		{
			if (!policy_program_has_allow(baseline->program))
				continue;
			verdict = policy_eval(baseline->program,
								  input->action, input->action_len,
								  input->target, input->target_len,
								  has_session);
		}
		if (verdict.code == POLICY_ALLOWED)
			continue;
		if (verdict.code != POLICY_SESSION_REQUIRED)
			return deny(decision, "baseline_not_allowed", "baseline",
						baseline->name, policy_verdict_text(verdict.code));
		if (*session_from == NULL)
		{
			*session_from = baseline;
			*session_entry = verdict.entry;
		}
	}
	return true;
}

/* A session was passed, and does not fit. */
static bool
deny_session(const DecisionInput *input, Decision *decision, SessionFit fit)
{
	const char *session = input->session;

	switch (fit)
	{
		case SESSION_FITS:
		case SESSION_UNKNOWN:
			break;
		case SESSION_OTHER_AGENT:
			return deny(decision, "session_other_agent", "session", session,
						"session is another agent's");
		case SESSION_PENDING:
			return deny(decision, "session_pending", "session", session,
						"session waits for approval");
		case SESSION_LAPSED:
			return deny(decision, "session_expired", "session", session,
						"request for a session has lapsed");
		case SESSION_REFUSED:
			return deny(decision, "session_revoked", "session", session,
						"session was refused");
		case SESSION_REVOKED:
			return deny(decision, "session_revoked", "session", session,
						"session was revoked");
		case SESSION_NOT_STARTED:
			return deny(decision, "session_not_started", "session", session,
						"session has not begun");
		case SESSION_EXPIRED:
			return deny(decision, "session_expired", "session", session,
						"session has expired");
		case SESSION_USED_UP:
			return deny(decision, "session_used_up", "session", session,
						"session has no use left");
		case SESSION_OTHER_ACTION:
			return deny(decision, "session_other_action", "session", session,
						"session is for other actions");
		case SESSION_OTHER_TARGET:
			return deny(decision, "session_other_target", "session", session,
						"session is for other targets");
	}
	return deny(decision, "session_unknown", "session", session,
				"no such session");
}

/*
 * A session is needed, and none was passed.  If exactly one of the agent's
 * fits, that is it.
 */
static bool
find_session(const DecisionInput *input, Decision *decision,
			 const char *source, const char *name)
{
	int			nfound = session_find(input->sessions, input->nsessions,
									  input->agent, input->now,
									  input->action, input->action_len,
									  input->target, input->target_len,
									  &decision->session);

	if (nfound > 1)
		return deny(decision, "session_ambiguous", source, name,
					"several approved sessions fit, and none was passed");
	if (nfound == 0)
		return deny(decision, verdict_reason_code(POLICY_SESSION_REQUIRED),
					source, name, policy_verdict_text(POLICY_SESSION_REQUIRED));
	return true;
}

/*
 * Everything, from identity to session.  Fills in *decision; true if every
 * step says yes.
 */
static bool
decide(const DecisionInput *input, Decision *decision)
{
	SessionFit	fit = SESSION_UNKNOWN;
	bool		has_session;
	const NamedPolicy *session_from = NULL;
	const PolicyEntry *session_entry = NULL;
	PolicyVerdict verdict = {POLICY_NOT_IN_ALLOW_LIST, NULL};

	if (!identity_holds(input, decision))
		return false;
	if (input->session != NULL)
		fit = session_fit(input->passed, input->agent, input->now,
						  input->action, input->action_len,
						  input->target, input->target_len);
	has_session = fit == SESSION_FITS;
	if (session_is_open(fit))
		decision->session = input->passed;

	if (!agent_is_accountable(input, decision) ||
		!target_is_inside(input, decision))
		return false;
	if (input->policy == NULL)
		return deny(decision, "policy_missing", "policy", "none",
					"no policy is bound to the agent");
	if (!skill_covers_action(input, decision) ||
		!baselines_allow(input, has_session, decision, &session_from,
						 &session_entry))
		return false;

	if (input->policy->program != NULL)
		verdict = policy_eval(input->policy->program,
							  input->action, input->action_len,
							  input->target, input->target_len, has_session);
	if (verdict.code != POLICY_ALLOWED && verdict.code != POLICY_SESSION_REQUIRED)
	{
		if (verdict.entry != NULL)
			policy_append_rule(decision->rule, sizeof(decision->rule),
							   verdict.entry);
		return deny(decision, verdict_reason_code(verdict.code), "policy",
					input->policy->name, policy_verdict_text(verdict.code));
	}

	/* A session that does not fit is not overlooked where none is needed. */
	if (input->session != NULL && !has_session)
		return deny_session(input, decision, fit);
	if (session_from != NULL)
	{
		if (!find_session(input, decision, "baseline", session_from->name))
		{
			set_baseline_rule(decision, session_from, session_entry);
			return false;
		}
	}
	else if (verdict.code == POLICY_SESSION_REQUIRED &&
			 !find_session(input, decision, "policy", input->policy->name))
	{
		policy_append_rule(decision->rule, sizeof(decision->rule),
						   verdict.entry);
		return false;
	}

	/* Inside of a session what required one allows. */
	policy_append_rule(decision->rule, sizeof(decision->rule), verdict.entry);
	set_reason(decision, verdict_reason_code(POLICY_ALLOWED), "policy",
			   input->policy->name, policy_verdict_text(POLICY_ALLOWED));
	return true;
}

void
policy_decide(const DecisionInput *input, Decision *decision)
{
	memset(decision, 0, sizeof(*decision));
	decision->allow = decide(input, decision);
}

/*
 * The answer to a caller who has not proved to be the agent, whatever is
 * recorded: one and the same, so that it tells nothing apart, not even
 * whether there is such an agent.
 */
void
policy_unproved(const char *agent, Decision *decision)
{
	memset(decision, 0, sizeof(*decision));
	set_reason(decision, "identity_unproved", "identity", agent,
			   "identity is not proved");
}
