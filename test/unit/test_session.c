/*-------------------------------------------------------------------------
 *
 * test_session.c
 *	  Approved sessions in a decision: all that can be wrong with one that is
 *	  passed, which one is found if none is, and what is said of it.  And that
 *	  all of it is what doc/decisions.md says: runs from the project's root.
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

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

static Arena *arena;
static char page[64 * 1024];	/* doc/decisions.md */
static char codes[1024] = "";	/* that were decided, a line each */

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

/* An agent, as the tests begin: everything is in order. */
static NamedPolicy policy;
static NamedPolicy baseline;
static NamedSkill skills[1];
static NamedSession sessions[3];
static DecisionInput input;

/* All sessions as they are made here are open at this time, and no other. */
#define NOW			INT64_C(1000)

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
	int			i;

	memset(&input, 0, sizeof(input));
	policy.name = "no-prod-v1";
	policy.program = program_of("skill: deploy-v2\n"
								"allow:\n"
								"  - deploy:staging\n"
								"  - {action: infra:apply, requires: session}\n"
								"  - infra:destroy\n"
								"deny:\n"
								"  - infra:destroy\n");
	skills[0].name = "deploy-v2";
	skills[0].declared = true;
	skills[0].program = skill_of("actions: [deploy:*, infra:*]");
	baseline.name = "acme-base-v1";
	baseline.program = program_of("allow: ['**']\n");
	for (i = 0; i < LENGTH(sessions); i++)
	{
		static const char *const names[] = {"ses_1", "ses_2", "ses_3"};
		static const char *const actions[] = {"infra:*", "deploy:staging"};
		static const char *const targets[] = {"db-1", "api-v2"};

		sessions[i] = (NamedSession) {
			.name = names[i], .agent = "deploy-bot",
			.status = SESSION_STATUS_GRANTED,
			.lapses_at = NOW + 1, .valid_from = NOW, .valid_until = NOW + 1,
			.max_uses = 3, .approved_by = "s.emp2",
			.nactions = LENGTH(actions), .actions = actions,
			.ntargets = LENGTH(targets), .targets = targets
		};
	}
	input.now = NOW;
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
	input.nbaselines = 1;
	input.baselines = &baseline;
	ask("deploy:staging", "api-v2");
}

/*
 * The page has the code in a row of its own, with its text there: in the
 * reason, or in words where a code has a second one.
 */
static bool
page_says(const Decision *decision)
{
	char		code[64];
	const char *row;
	const char *text = strstr(decision->reason, " -- ") + 4;
	char		line[1024];

	if (strstr(codes, decision->reason_code) == NULL)
	{
		strcat(codes, decision->reason_code);
		strcat(codes, "\n");
	}
	snprintf(code, sizeof(code), "\n| `%s` |", decision->reason_code);
	row = strstr(page, code);
	if (row == NULL)
		return false;
	snprintf(line, sizeof(line), "%.*s", (int) strcspn(row + 1, "\n"), row + 1);
	return strstr(line, text) != NULL;
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
	if (!page_says(&decision))
		ok(false, "doc/decisions.md says %s -- %s", decision.reason_code,
		   decision.reason);
}

/* The session that the last decision was made inside of. */
static void
decided_in(const char *name, const char *what)
{
	Decision	decision;

	policy_decide(&input, &decision);
	is(decision.session ? decision.session->name : "none", name, "%s", what);
}

static void
pass(NamedSession *session)
{
	input.session = session->name;
	input.passed = session;
}

static void
test_session_passed(void)
{
	reset();
	ask("infra:apply", "db-1");
	decides(false, "session_required",
			"policy:no-prod-v1 -- action needs an approved session",
			"allow:4 infra:apply", "deploy-v2",
			"an action that needs a session is denied without one");
	decided_in("none", "and outside of any");
	input.passed = &sessions[0];
	decides(false, "session_required",
			"policy:no-prod-v1 -- action needs an approved session",
			"allow:4 infra:apply", "deploy-v2",
			"a session that was not passed does not count");
	input.session = "ses_1";
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:4 infra:apply", "deploy-v2", "within one it is allowed");
	decided_in("ses_1", "and the decision is made inside of it");

	ask("deploy:staging", "api-v2");
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"one that is passed and not needed does no harm");
	decided_in("ses_1", "and the decision is made inside of it all the same");
	ask("deploy:production", "api-v2");
	decides(false, "not_in_allow_list",
			"policy:no-prod-v1 -- action not in allow list", "", "deploy-v2",
			"no session allows what the policy does not");
	decided_in("ses_1", "what is denied inside of one is denied inside of it");

	reset();
	ask("infra:destroy", "db-1");
	pass(&sessions[0]);
	decides(false, "in_deny_list", "policy:no-prod-v1 -- action in deny list",
			"deny:7 infra:destroy", "deploy-v2", "nor what it denies");
	baseline.program = program_of("deny:\n  - 'infra:**'\n");
	ask("infra:apply", "db-1");
	decides(false, "baseline_deny", "baseline:acme-base-v1 -- action in deny list",
			"acme-base-v1:deny:2 infra:**", "deploy-v2",
			"nor what the organization denies");

	reset();
	ask("infra:apply", "db-1");
	pass(&sessions[0]);
	input.identity = IDENTITY_TOKEN_EXPIRED;
	decides(false, "token_expired", "identity:deploy-bot -- token has expired",
			"", NULL, "a session proves no identity");
	decided_in("none", "and who has not proved one is inside of none");
}

/* A session that was passed, and all that can be wrong with it. */
static void
test_session_faults(void)
{
	static const struct
	{
		SessionStatus status;
		int64_t		now;
		bool		used_up;
		const char *action;
		const char *target;
		const char *code;
		const char *text;
		const char *inside;
		const char *what;
	}			cases[] =
	{
		{SESSION_STATUS_GRANTED, NOW, false, "infra:apply", "db-1",
			"allowed", NULL, "ses_1", "a session counts from its first moment"},
		{SESSION_STATUS_GRANTED, NOW - 1, false, "infra:apply", "db-1",
			"session_not_started", "session has not begun", "none",
		"not before it"},
		{SESSION_STATUS_GRANTED, NOW + 1, false, "infra:apply", "db-1",
			"session_expired", "session has expired", "none",
		"and not at its end"},
		{SESSION_STATUS_GRANTED, NOW, true, "infra:apply", "db-1",
			"session_used_up", "session has no use left", "none",
		"one whose uses are taken is used up"},
		{SESSION_STATUS_GRANTED, NOW, false, "deploy:rollback", "db-1",
			"session_other_action", "session is for other actions", "ses_1",
		"one for other actions does not fit"},
		{SESSION_STATUS_GRANTED, NOW, false, "infra:apply", "db-2",
			"session_other_target", "session is for other targets", "ses_1",
		"one for other targets does not fit"},
		{SESSION_STATUS_REQUESTED, NOW, false, "infra:apply", "db-1",
			"session_pending", "session waits for approval", "none",
		"one that an agent has only asked for is none yet"},
		{SESSION_STATUS_REQUESTED, NOW + 1, false, "infra:apply", "db-1",
			"session_expired", "request for a session has lapsed", "none",
		"and will not be one once its request has lapsed"},
		{SESSION_STATUS_REFUSED, NOW, false, "infra:apply", "db-1",
			"session_revoked", "session was refused", "none",
		"one that was refused is none"},
		{SESSION_STATUS_REVOKED, NOW, false, "infra:apply", "db-1",
			"session_revoked", "session was revoked", "none",
		"one that was revoked is none any more"},
		{(SessionStatus) 99, NOW, false, "infra:apply", "db-1",
			"session_revoked", "session was revoked", "none",
		"one of a status unheard of is none"},
	};
	int			i;

	for (i = 0; i < LENGTH(cases); i++)
	{
		char		reason[200];

		reset();
		policy.program = program_of("allow:\n  - {action: '**', requires: session}\n");
		skills[0].program = skill_of("actions: ['**']");
		pass(&sessions[0]);
		sessions[0].status = cases[i].status;
		sessions[0].used_up = cases[i].used_up;
		input.now = cases[i].now;
		ask(cases[i].action, cases[i].target);
		snprintf(reason, sizeof(reason), "session:ses_1 -- %s", cases[i].text);
		decides(cases[i].text == NULL, cases[i].code,
				cases[i].text ? reason : "policy:no-prod-v1 -- action in allow list",
				cases[i].text ? "" : "allow:2 **", "deploy-v2", cases[i].what);
		decided_in(cases[i].inside, "... whose decision is inside of it, or is not");

		/* What does not fit is not overlooked where none is needed, ... */
		policy.program = program_of("allow: ['**']\n");
		decides(cases[i].text == NULL, cases[i].code,
				cases[i].text ? reason : "policy:no-prod-v1 -- action in allow list",
				cases[i].text ? "" : "allow:1 **", "deploy-v2",
				"... also where none is needed");
		/* ... but what is denied anyway is denied first. */
		policy.program = program_of("allow: [x]\n");
		decides(false, "not_in_allow_list",
				"policy:no-prod-v1 -- action not in allow list", "", "deploy-v2",
				"... after all that is denied anyway");
	}

	reset();
	ask("infra:apply", "db-1");
	input.session = "ses_1";
	decides(false, "session_unknown", "session:ses_1 -- no such session", "",
			"deploy-v2", "a session that the organization does not have is unknown");
	pass(&sessions[0]);
	sessions[0].agent = "review-bot";
	decides(false, "session_other_agent",
			"session:ses_1 -- session is another agent's", "", "deploy-v2",
			"another agent's session is not this agent's");
	decided_in("none", "nor is a decision inside of it");
	sessions[0].status = SESSION_STATUS_REVOKED;
	decides(false, "session_other_agent",
			"session:ses_1 -- session is another agent's", "", "deploy-v2",
			"and of another agent's nothing else is told");

	reset();
	ask("infra:apply", "db-1");
	pass(&sessions[0]);
	input.nsessions = 1;
	input.sessions = &sessions[1];
	sessions[0].used_up = true;
	decides(false, "session_used_up",
			"session:ses_1 -- session has no use left", "", "deploy-v2",
			"for one that was passed no other one is found");
	sessions[0].nactions = sessions[0].ntargets = 0;
	sessions[0].used_up = false;
	decides(false, "session_other_action",
			"session:ses_1 -- session is for other actions", "", "deploy-v2",
			"a session for nothing fits nothing");
}

static void
test_session_found(void)
{
	reset();
	ask("infra:apply", "db-1");
	input.nsessions = 1;
	input.sessions = sessions;
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:4 infra:apply", "deploy-v2",
			"if none is passed and one fits, it is found");
	decided_in("ses_1", "and the decision is made inside of it");
	ask("deploy:staging", "api-v2");
	decided_in("none", "none is found where none is needed");

	ask("infra:apply", "db-1");
	input.nsessions = 3;
	decides(false, "session_ambiguous",
			"policy:no-prod-v1 -- several approved sessions fit, and none was passed",
			"allow:4 infra:apply", "deploy-v2",
			"of several that fit, the agent has to pass one");
	decided_in("none", "and none of them is taken");
	sessions[0].used_up = true;
	sessions[2].valid_until = NOW;
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:4 infra:apply", "deploy-v2",
			"those that do not fit do not count");
	decided_in("ses_2", "the one that does is found, wherever it stands");
	sessions[1].agent = "review-bot";
	decides(false, "session_required",
			"policy:no-prod-v1 -- action needs an approved session",
			"allow:4 infra:apply", "deploy-v2",
			"if none fits, one is required");
	sessions[1].agent = "deploy-bot";
	ask("infra:apply", "db-2");
	decides(false, "session_required",
			"policy:no-prod-v1 -- action needs an approved session",
			"allow:4 infra:apply", "deploy-v2", "for that very target");

	reset();
	baseline.program = program_of("allow:\n  - {action: '**', requires: session}\n");
	decides(false, "session_required",
			"baseline:acme-base-v1 -- action needs an approved session",
			"acme-base-v1:allow:2 **", "deploy-v2",
			"a baseline can require a session, too");
	input.nsessions = 2;
	input.sessions = sessions;
	decides(false, "session_ambiguous",
			"baseline:acme-base-v1 -- several approved sessions fit, and none was passed",
			"acme-base-v1:allow:2 **", "deploy-v2", "of which not several may fit");
	input.nsessions = 1;
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"if one fits, it is found for a baseline as well");
	decided_in("ses_1", "and the decision is made inside of it");
	ask("infra:apply", "db-1");
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:4 infra:apply", "deploy-v2", "one session is enough for both");
	ask("deploy:production", "api-v2");
	decides(false, "not_in_allow_list",
			"policy:no-prod-v1 -- action not in allow list", "", "deploy-v2",
			"a missing session is said after the policy's denial");
	ask("deploy:staging", "api-v2");
	input.nsessions = 0;
	pass(&sessions[1]);
	decides(true, "allowed", "policy:no-prod-v1 -- action in allow list",
			"allow:3 deploy:staging", "deploy-v2",
			"within a session that was passed both are content");
}

/*
 * Random sessions against what doc/decisions.md says in words: it is the
 * agent's own, approved, open, has a use left, and is for this action on this
 * target.
 */
static void
test_random(void)
{
	static const char *const actions[] = {"a:b", "a:*", "*:b", "**", "c"};
	static const char *const targets[] = {"x/y", "x/*", "**", "z"};
	static const char *const asked_actions[] = {"a:b", "a:c", "c", "a:b:c"};
	static const char *const asked_targets[] = {"x/y", "x/z", "z", "q"};
	Random		random = {20261121};
	int			seen[3] = {0};
	bool		good = true;
	int			round;

	reset();
	policy.program = program_of("allow:\n  - {action: '**', requires: session}\n");
	skills[0].program = skill_of("actions: ['**']");
	input.sessions = sessions;
	for (round = 0; round < 50000 && good; round++)
	{
		const char *fitting = NULL;
		int			nfitting = 0;
		Decision	decision;
		int			i;

		ask(asked_actions[random_below(&random, LENGTH(asked_actions))],
			asked_targets[random_below(&random, LENGTH(asked_targets))]);
		input.nsessions = random_below(&random, LENGTH(sessions) + 1);
		for (i = 0; i < input.nsessions; i++)
		{
			NamedSession *session = &sessions[i];

			session->agent = random_below(&random, 6) ? "deploy-bot" : "other";
			session->status = random_below(&random, 5) ? SESSION_STATUS_GRANTED :
				(SessionStatus) random_below(&random, 4);
			session->used_up = random_below(&random, 6) == 0;
			session->valid_from = NOW - 2 + random_below(&random, 4);
			session->valid_until = session->valid_from + 2 + random_below(&random, 3);
			session->nactions = 1 + random_below(&random, 2);
			session->actions = actions + random_below(&random, LENGTH(actions) - 1);
			session->ntargets = 1 + random_below(&random, 2);
			session->targets = targets + random_below(&random, LENGTH(targets) - 1);
			if (strcmp(session->agent, "deploy-bot") == 0 &&
				session->status == SESSION_STATUS_GRANTED &&
				!session->used_up &&
				session->valid_from <= NOW && NOW < session->valid_until &&
				(naive_match(session->actions[0], input.action, ':') ||
				 (session->nactions == 2 &&
				  naive_match(session->actions[1], input.action, ':'))) &&
				(naive_match(session->targets[0], input.target, '/') ||
				 (session->ntargets == 2 &&
				  naive_match(session->targets[1], input.target, '/'))))
			{
				nfitting++;
				fitting = session->name;
			}
		}
		policy_decide(&input, &decision);
		if (nfitting == 1)
			good = decision.allow && strcmp(decision.session->name, fitting) == 0;
		else
			good = !decision.allow && decision.session == NULL &&
				strcmp(decision.reason_code,
					   nfitting ? "session_ambiguous" : "session_required") == 0;
		seen[nfitting < 2 ? nfitting : 2]++;
	}
	ok(good, "a random set of sessions: exactly one that fits is found");
	ok(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000,
	   "of none, one and several there were many: %d, %d, %d", seen[0], seen[1],
	   seen[2]);
}

/* The other way: whatever the page says of sessions was decided. */
static void
test_page(void)
{
	const char *row = page;
	char		code[40];

	while ((row = strstr(row, "\n| `session_")) != NULL)
	{
		row++;
		if (sscanf(row, "| `%39[a-z_]` |", code) == 1)
			ok(strstr(codes, code) != NULL,
			   "the reason code %s of doc/decisions.md exists", code);
	}
}

int
main(void)
{
	FILE	   *file = fopen("doc/decisions.md", "r");

	if (file == NULL || fread(page, 1, sizeof(page) - 1, file) == 0)
	{
		printf("Bail out! no doc/decisions.md\n");
		return 1;
	}
	fclose(file);
	arena = arena_create(0);
	test_session_passed();
	test_session_faults();
	test_session_found();
	test_random();
	test_page();
	arena_destroy(arena);
	return done_testing();
}
