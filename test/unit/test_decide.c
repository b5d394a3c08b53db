/*-------------------------------------------------------------------------
 *
 * test_decide.c
 *	  The whole decision: every reason code with its text, their order, and
 *	  what happens to names that are too long for them.  And that all of it is
 *	  what doc/decisions.md says: runs from the project's root.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "text.h"

#include "tap.h"

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

static Arena *arena;

static const PolicyProgram *
program_of(const char *source)
{
	PolicyError error;
	PolicyDocument *doc = policy_parse(arena, source, strlen(source), &error);
	PolicyProgram *program = doc ? policy_compile(arena, doc, &error) : NULL;

	if (program == NULL)
	{
		printf("Bail out! %d:%d: %s\n", error.line, error.column, error.message);
		exit(1);
	}
	return program;
}

static const SkillProgram *
skill_of(const char *source)
{
	PolicyError error;
	SkillDocument *doc = skill_parse(arena, source, strlen(source), &error);
	SkillProgram *program = doc ? skill_compile(arena, doc, &error) : NULL;

	if (program == NULL)
	{
		printf("Bail out! %d:%d: %s\n", error.line, error.column, error.message);
		exit(1);
	}
	return program;
}

/* BRIEF.md's agent, as the tests begin: everything is in order. */
static NamedPolicy policy;
static NamedPolicy baselines[2];
static NamedSkill skills[3];
static NamedSession session;
static DecisionInput input;

static void
ask(const char *action, const char *target)
{
	input.action = action;
	input.action_len = strlen(action);
	input.target = target;
	input.target_len = strlen(target);
}

static void
reset(void)
{
	static const char *const everything[] = {"**"};

	memset(&input, 0, sizeof(input));
	policy.name = "no-prod-v1";
	policy.program = program_of("skill: deploy-v2\n"
								"allow:\n"
								"  - deploy:staging\n"
								"  - {action: order:read, target: order/*}\n"
								"  - {action: infra:apply, requires: session}\n"
								"  - infra:destroy\n"
								"deny:\n"
								"  - infra:destroy\n");
	skills[0].name = "deploy-v2";
	skills[0].declared = true;
	skills[0].program = skill_of("actions: [deploy:*, order:*, infra:*]");
	baselines[0].name = "acme-base-v1";
	baselines[0].program = program_of("deny:\n  - 'secret:**'\n");
	baselines[1].name = "acme-eng-base-v3";
	baselines[1].program = program_of("allow: ['**']\n");
	session.name = "ses_9";
	session.agent = "deploy-bot";
	session.status = SESSION_STATUS_GRANTED;
	session.valid_until = 1;
	session.nactions = session.ntargets = 1;
	session.actions = session.targets = everything;
	input.identity = IDENTITY_OK;
	input.agent = "deploy-bot";
	input.agent_status = AGENT_ACTIVE;
	input.org = "acme/eng";
	input.anchor = "s.emp1";
	input.anchor_active = true;
	input.target_org = "acme/eng";
	input.policy = &policy;
	input.nskills = 1;
	input.skills = skills;
	input.nbaselines = 2;
	input.baselines = baselines;
	ask("deploy:staging", "api-v2");
}

/*
 * The rows of the table of doc/decisions.md, and which of them were seen.
 */
typedef struct DocRow
{
	char		code[40];
	char		source[24];		/* up to the colon */
	char		text[120];
	bool		seen;
} DocRow;

static DocRow doc_rows[40];
static int	ndoc_rows;

static void
read_doc(void)
{
	char		line[1024];
	FILE	   *file = fopen("doc/decisions.md", "r");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL &&
		   ndoc_rows < LENGTH(doc_rows))
	{
		DocRow	   *row = &doc_rows[ndoc_rows];

		if (sscanf(line, "| `%39[a-z_]` | `%23[a-z]:%*[^`]", row->code,
				   row->source) == 2)
		{
			const char *text = strstr(line, " -- ") + 4;

			snprintf(row->text, sizeof(row->text), "%.*s",
					 (int) strcspn(text, "`"), text);
			ndoc_rows++;
		}
	}
	if (file != NULL)
		fclose(file);
	ok(ndoc_rows >= 23, "doc/decisions.md has a table of %d reason codes",
	   ndoc_rows);
}

/* What is said of sessions is held against the page by test_session.c. */
static bool
about_sessions(const char *code)
{
	return strncmp(code, "session_", strlen("session_")) == 0;
}

/*
 * Whether the page has the decision's code with its source and text.  One
 * code has a second reason, which the page has in words.
 */
static bool
doc_says(const Decision *decision)
{
	int			i;

	for (i = 0; i < ndoc_rows; i++)
	{
		DocRow	   *row = &doc_rows[i];
		size_t		len = strlen(row->source);

		if (strcmp(row->code, decision->reason_code) != 0)
			continue;
		row->seen = true;
		return strcmp(row->code, "baseline_not_allowed") == 0 ||
			about_sessions(row->code) ||
			(strncmp(decision->reason, row->source, len) == 0 &&
			 decision->reason[len] == ':' &&
			 strcmp(strstr(decision->reason, " -- ") + 4, row->text) == 0);
	}
	return false;
}

static void
test_doc(void)
{
	int			i;

	for (i = 0; i < ndoc_rows; i++)
		ok(doc_rows[i].seen || about_sessions(doc_rows[i].code), "the reason code %s of doc/decisions.md exists",
		   doc_rows[i].code);
}

/* One decision against all that it says. */
static void
decides(bool allow, const char *code, const char *reason, const char *rule,
		const char *skill, const char *what)
{
	Decision	decision;
	char		have[1200];
	char		want[1200];

	memset(&decision, 0x7f, sizeof(decision));
	policy_decide(&input, &decision);
	snprintf(have, sizeof(have), "%s %s [%s] [%s] [%s]",
			 decision.allow ? "ALLOW" : "DENY", decision.reason_code,
			 decision.reason, decision.rule,
			 decision.skill ? decision.skill : "no skill");
	snprintf(want, sizeof(want), "%s %s [%s] [%s] [%s]",
			 allow ? "ALLOW" : "DENY", code, reason, rule,
			 skill ? skill : "no skill");
	is(have, want, "%s", what);
	if (!doc_says(&decision))
		ok(false, "doc/decisions.md says %s -- %s", decision.reason_code,
		   decision.reason);
}

static void
test_brief(void)
{
	reset();
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"a staging deploy is allowed, as in BRIEF");
	ask("deploy:production", "api-v2");
	decides(false, "not_in_allow_list",
			"policy:no-prod-v1 -- action not in allow list", "", "deploy-v2",
			"a production deploy is denied, as in BRIEF");
}

static void
test_identity(void)
{
	static const struct
	{
		IdentityResult result;
		const char *code;
		const char *reason;
		const char *what;
	}			cases[] =
	{
		{IDENTITY_AGENT_UNKNOWN, "agent_unknown",
		"identity:deploy-bot -- agent is not registered",
		"an unknown agent is denied"},
		{IDENTITY_TOKEN_MALFORMED, "token_malformed",
		"identity:deploy-bot -- what was passed is not a token",
		"what is no token is denied"},
		{IDENTITY_TOKEN_INVALID, "token_invalid",
		"identity:deploy-bot -- there is no such token",
		"a token of nobody is denied"},
		{IDENTITY_TOKEN_OTHER_AGENT, "token_other_agent",
		"identity:deploy-bot -- token is another agent's",
		"a token of another agent is denied"},
		{IDENTITY_TOKEN_EXPIRED, "token_expired",
		"identity:deploy-bot -- token has expired",
		"an expired token is denied"},
		{IDENTITY_TOKEN_REVOKED, "token_revoked",
		"identity:deploy-bot -- token was revoked",
		"a revoked token is denied"},
		{IDENTITY_TOKEN_NETWORK, "token_network",
		"identity:deploy-bot -- token is not valid from this network",
		"a token of other networks is denied"},
		{IDENTITY_ROLE_MISMATCH, "role_mismatch",
		"identity:deploy-bot -- no token given and the database role is not bound to this agent",
		"a database role that is not the agent's is denied"},
		{(IdentityResult) 99, "agent_unknown",
		"identity:deploy-bot -- agent is not registered",
		"an identity of a kind unheard of is denied"},
	};
	DecisionInput nothing;
	int			i;

	for (i = 0; i < LENGTH(cases); i++)
	{
		reset();
		input.identity = cases[i].result;
		decides(false, cases[i].code, cases[i].reason, "", NULL, cases[i].what);
	}

	/* An unknown agent has nothing that could be looked at. */
	reset();
	memset(&nothing, 0, sizeof(nothing));
	nothing.identity = IDENTITY_AGENT_UNKNOWN;
	nothing.agent = "ghost";
	nothing.action = "a";
	nothing.action_len = 1;
	nothing.target = "t";
	nothing.target_len = 1;
	input = nothing;
	decides(false, "agent_unknown", "identity:ghost -- agent is not registered",
			"", NULL, "of an unknown agent nothing else is needed");
}

/* What a stranger is told is the same, whatever was decided before. */
static void
test_unproved(void)
{
	char		longest[129];
	Decision	told;

	reset();
	policy_decide(&input, &told);
	ok(told.allow && told.rule[0] != '\0' && told.skill != NULL,
	   "a decision that says a lot");
	policy_unproved("deploy-bot", &told);
	ok(!told.allow && told.rule[0] == '\0' && told.skill == NULL,
	   "of which a stranger is told nothing");
	is(told.reason_code, "identity_unproved", "but that it is a stranger");
	is(told.reason, "identity:deploy-bot -- identity is not proved",
	   "to the agent that was asked for");
	ok(doc_says(&told), "as doc/decisions.md says");

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	policy_unproved(longest, &told);
	ok(strstr(told.reason, longest) != NULL &&
	   strstr(told.reason, " -- identity is not proved") != NULL,
	   "the longest name there is fits");
}

static void
test_agent_and_anchor(void)
{
	reset();
	input.agent_status = AGENT_SUSPENDED;
	decides(false, "agent_suspended", "agent:deploy-bot -- agent is suspended",
			"", NULL, "a suspended agent is denied");
	input.agent_status = AGENT_RETIRED;
	decides(false, "agent_retired", "agent:deploy-bot -- agent is retired",
			"", NULL, "a retired agent is denied");
	input.agent_status = (AgentStatus) 99;
	decides(false, "agent_retired", "agent:deploy-bot -- agent is retired",
			"", NULL, "an agent of a status unheard of is denied");

	reset();
	input.suspended_org = "acme";
	decides(false, "org_suspended", "org:acme -- organization is suspended",
			"", NULL, "a suspended organization, the one above too, is named");

	reset();
	input.emergency_lapsed = true;
	decides(false, "break_glass_lapsed",
			"emergency:deploy-bot -- change was not approved in time",
			"", NULL, "what was done to an agent by break-glass lapses");
	input.emergency_org = "acme";
	decides(false, "break_glass_lapsed",
			"emergency:acme -- change was not approved in time",
			"", NULL, "and what was done to an organization, the one above too");
	input.anchor = NULL;
	decides(false, "break_glass_lapsed",
			"emergency:acme -- change was not approved in time",
			"", NULL, "which is said before who is accountable");
	input.suspended_org = "acme";
	decides(false, "org_suspended", "org:acme -- organization is suspended",
			"", NULL, "and after a suspension");

	reset();
	input.anchor = NULL;
	decides(false, "anchor_missing",
			"anchor:deploy-bot -- agent has no accountable human", "", NULL,
			"without an accountable human nothing is allowed");
	reset();
	input.anchor_active = false;
	decides(false, "anchor_inactive",
			"anchor:s.emp1 -- accountable human is not active", "", NULL,
			"nor under one who is not active");
}

static void
test_org_boundary(void)
{
	reset();
	input.target_org = NULL;
	decides(false, "target_unmapped",
			"org:acme/eng -- target belongs to no organization", "", NULL,
			"a target that belongs to nobody is denied");
	input.target_org = "acme/finance";
	decides(false, "org_boundary",
			"org:acme/eng -- target belongs to another organization", "", NULL,
			"another organization's target is denied, and the other not named");
	input.target_org = "acme";
	decides(false, "org_boundary",
			"org:acme/eng -- target belongs to another organization", "", NULL,
			"that of the organization above, too");
	input.target_org = "acme/eng/web";
	decides(false, "org_boundary",
			"org:acme/eng -- target belongs to another organization", "", NULL,
			"and that of one below");
}

static void
test_policy_and_skills(void)
{
	reset();
	input.policy = NULL;
	decides(false, "policy_missing",
			"policy:none -- no policy is bound to the agent", "", NULL,
			"without a policy nothing is allowed");

	reset();
	skills[0].declared = false;
	decides(false, "skill_not_declared",
			"skill:deploy-v2 -- agent does not declare this skill", "", NULL,
			"a skill of the policy that the agent does not declare does not count");

	reset();
	ask("health:check", "api-v2");
	decides(false, "skill_not_covering",
			"skill:deploy-v2 -- action not covered by skill", "", NULL,
			"an action outside of the skill is denied");

	reset();
	skills[0].program = NULL;
	decides(false, "skill_not_covering",
			"skill:deploy-v2 -- action not covered by skill", "", NULL,
			"a skill that could not be loaded covers nothing");

	reset();
	input.nskills = 0;
	decides(false, "skill_not_covering",
			"skill:none -- action not covered by skill", "", NULL,
			"a policy without skills allows an agent nothing");

	reset();
	policy.program = NULL;
	decides(false, "not_in_allow_list",
			"policy:no-prod-v1 -- action not in allow list", "", "deploy-v2",
			"a policy that could not be loaded allows nothing");
}

static void
test_several_skills(void)
{
	reset();
	input.nskills = 3;
	skills[1].name = "review-v1";
	skills[1].declared = true;
	skills[1].program = skill_of("actions: [review:*, deploy:*]");
	skills[2].name = "ops-v7";
	skills[2].declared = true;
	skills[2].program = skill_of("actions: ['**']");
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"of skills that cover the action, the first is named");
	skills[0].declared = false;
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "review-v1",
			"one that is not declared is passed over");
	skills[1].declared = skills[2].declared = false;
	decides(false, "skill_not_declared",
			"skill:deploy-v2 -- agent does not declare this skill", "", NULL,
			"if none is declared, the first is named");
	skills[0].declared = skills[1].declared = true;
	ask("health:check", "api-v2");
	decides(false, "skill_not_covering",
			"skill:deploy-v2, review-v1 -- action not covered by skill", "", NULL,
			"if none covers the action, all that are declared are named");
}

static void
test_baselines(void)
{
	reset();
	baselines[0].program = program_of("allow: ['**']\ndeny:\n  - deploy:**\n");
	baselines[1].program = program_of("allow: [x]\ndeny: [deploy:staging]\n");
	decides(false, "baseline_deny",
			"baseline:acme-base-v1 -- action in deny list",
			"acme-base-v1:deny:3 deploy:**", "deploy-v2",
			"a baseline denies what the policy allows, the outermost first");

	reset();
	baselines[0].program = program_of("allow: [x]\n");
	baselines[1].program = program_of("deny:\n  - {action: '**', target: api-v2}\n");
	decides(false, "baseline_deny",
			"baseline:acme-eng-base-v3 -- action in deny list",
			"acme-eng-base-v3:deny:2 ** on api-v2", "deploy-v2",
			"an inner baseline's deny comes before an outer one's allow list");

	reset();
	baselines[1].program = program_of("allow: [health:*]\n");
	decides(false, "baseline_not_allowed",
			"baseline:acme-eng-base-v3 -- action not in allow list", "",
			"deploy-v2", "a baseline with an allow list limits the policy to it");
	baselines[1].program = program_of("allow: [{action: deploy:*, target: x}]\n");
	decides(false, "baseline_not_allowed",
			"baseline:acme-eng-base-v3 -- target not in allow list", "",
			"deploy-v2", "to its targets, too");
	baselines[1].program = program_of("allow: []\n");
	decides(false, "baseline_not_allowed",
			"baseline:acme-eng-base-v3 -- action not in allow list", "",
			"deploy-v2", "an empty allow list allows nothing");
	baselines[1].program = program_of("deny: [x]\n");
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"a baseline without an allow list limits nothing but what it denies");
	baselines[1].program = NULL;
	decides(false, "baseline_not_allowed",
			"baseline:acme-eng-base-v3 -- action not in allow list", "",
			"deploy-v2", "a baseline that could not be loaded allows nothing");

	reset();
	ask("deploy:canary", "api-v2");
	decides(false, "not_in_allow_list",
			"policy:no-prod-v1 -- action not in allow list", "", "deploy-v2",
			"what a baseline allows is not allowed by that alone");
	input.nbaselines = 0;
	ask("deploy:staging", "api-v2");
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"an organization need not have a baseline");
}

static void
test_policy_lists(void)
{
	reset();
	ask("order:read", "order/7");
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:4 order:read on order/*", "deploy-v2",
			"a rule with a target names it");
	ask("order:read", "invoice/7");
	decides(false, "target_not_allowed",
			"policy:no-prod-v1 -- target not in allow list", "", "deploy-v2",
			"another target is not in the allow list");
	ask("infra:destroy", "api-v2");
	decides(false, "in_deny_list",
			"policy:no-prod-v1 -- action in deny list", "deny:8 infra:destroy",
			"deploy-v2", "deny wins, and is named");
}

/*
 * Everything is wrong at once; then one thing after the other is put right,
 * and each step names the next.
 */
static void
test_order(void)
{
	static const char *const codes[] = {
		"token_expired", "agent_suspended", "org_suspended", "anchor_missing",
		"anchor_inactive", "target_unmapped", "org_boundary", "policy_missing",
		"skill_not_declared", "skill_not_covering", "baseline_deny",
		"baseline_not_allowed", "not_in_allow_list", "target_not_allowed",
		"in_deny_list", "session_unknown", "session_required", "allowed"
	};
	Decision	decision;
	int			i;

	reset();
	ask("x:y", "t");
	input.identity = IDENTITY_TOKEN_EXPIRED;
	input.agent_status = AGENT_SUSPENDED;
	input.suspended_org = "acme";
	input.anchor = NULL;
	input.anchor_active = false;
	input.target_org = NULL;
	input.policy = NULL;
	skills[0].declared = false;
	baselines[0].program = program_of("allow: [z]\n");
	baselines[1].program = program_of("deny: ['x:**']\n");
	policy.program = program_of("deny: ['x:*']\n");
	input.session = "ses_9";
	for (i = 0; i < LENGTH(codes); i++)
	{
		policy_decide(&input, &decision);
		is(decision.reason_code, codes[i], "step %d of a decision is %s", i + 1,
		   codes[i]);
		ok(decision.allow == (i == LENGTH(codes) - 1), "and says %s",
		   i == LENGTH(codes) - 1 ? "ALLOW" : "DENY");
		switch (i)
		{
			case 0:
				input.identity = IDENTITY_OK;
				break;
			case 1:
				input.agent_status = AGENT_ACTIVE;
				break;
			case 2:
				input.suspended_org = NULL;
				break;
			case 3:
				input.anchor = "s.emp1";
				break;
			case 4:
				input.anchor_active = true;
				break;
			case 5:
				input.target_org = "other";
				break;
			case 6:
				input.target_org = "acme/eng";
				break;
			case 7:
				input.policy = &policy;
				break;
			case 8:
				skills[0].declared = true;
				break;
			case 9:
				skills[0].program = skill_of("actions: ['**']");
				break;
			case 10:
				baselines[1].program = program_of("allow: ['**']\n");
				break;
			case 11:
				baselines[0].program = program_of("deny: [z]\n");
				break;
			case 12:
				policy.program = program_of("allow: [{action: 'x:y', target: z}]\ndeny: ['x:*']\n");
				break;
			case 13:
				policy.program = program_of("allow: [{action: 'x:y', requires: session}]\ndeny: ['x:*']\n");
				break;
			case 14:
				policy.program = program_of("allow: [{action: 'x:y', requires: session}]\n");
				break;
			case 15:
				input.session = NULL;
				break;
			case 16:
				input.session = "ses_9";
				input.passed = &session;
				break;
			default:
				break;
		}
	}
}

static bool
fits(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL &&
		text_scan(text, strlen(text), true) == TEXT_OK;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t		len = strlen(text);

	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static void
test_long_names(void)
{
	/* One character of three bytes, at every offset from the cut. */
	char		name[3 * 400 + 4];
	char		pattern[3 * 85 + 1];
	char		source[1024];
	Decision	decision;
	bool		good = true;
	bool		marked = true;
	bool		whole = true;
	int			shift;
	int			i;

	for (shift = 0; shift < 3; shift++)
	{
		memset(name, 'a', shift);
		for (i = 0; i < 400; i++)
			memcpy(name + shift + 3 * i, "\xe2\x82\xac", 3);
		name[shift + 1200] = '\0';
		reset();
		input.identity = IDENTITY_AGENT_UNKNOWN;
		input.agent = name;
		policy_decide(&input, &decision);
		good = good && fits(decision.reason, sizeof(decision.reason)) &&
			strlen(decision.reason) > sizeof(decision.reason) - 4;
		marked = marked && ends_with(decision.reason,
									 "... -- agent is not registered");

		reset();
		input.nskills = 2;
		skills[0].name = skills[1].name = name;
		skills[0].declared = skills[1].declared = true;
		skills[0].program = skills[1].program = skill_of("actions: [none]");
		policy_decide(&input, &decision);
		good = good && fits(decision.reason, sizeof(decision.reason));
		marked = marked && ends_with(decision.reason,
									 "... -- action not covered by skill");
	}
	ok(good, "a reason never leaves its buffer, nor half a character in it");
	ok(marked, "a name too long for it is cut and shown to be, the text never");

	good = true;
	for (i = 0; i < 85; i++)
		memcpy(pattern + 3 * i, "\xe2\x82\xac", 3);
	pattern[255] = '\0';
	for (shift = 0; shift < 3; shift++)
	{
		reset();
		snprintf(source, sizeof(source), "deny:\n  - {action: '**', target: '%s'}\n",
				 pattern);
		baselines[0].program = program_of(source);
		memset(name, 'a', 100 + shift);
		name[100 + shift] = '\0';
		baselines[0].name = name;
		ask("deploy:staging", pattern);
		policy_decide(&input, &decision);
		good = good && fits(decision.rule, sizeof(decision.rule));
		whole = whole && strcmp(decision.reason_code, "baseline_deny") == 0 &&
			strstr(decision.rule, ":deny:2 ** on ") != NULL;
	}
	snprintf(source, sizeof(source), "deny:\n  - {action: '%s', target: '%s'}\n",
			 pattern, pattern);
	reset();
	policy.program = program_of("allow: ['**']\n");
	skills[0].program = skill_of("actions: ['**']");
	baselines[0].program = program_of(source);
	ask(pattern, pattern);
	policy_decide(&input, &decision);
	good = good && fits(decision.rule, sizeof(decision.rule)) &&
		ends_with(decision.rule, "...");
	ok(good, "neither does a rule");
	ok(whole, "and its list and line are never cut");
}

int
main(void)
{
	arena = arena_create(0);
	read_doc();
	test_brief();
	test_identity();
	test_unproved();
	test_agent_and_anchor();
	test_org_boundary();
	test_policy_and_skills();
	test_several_skills();
	test_baselines();
	test_policy_lists();
	test_order();
	test_long_names();
	test_doc();
	arena_destroy(arena);
	return done_testing();
}
