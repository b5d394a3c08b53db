/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  Policy and skill documents: text to tree to program to decision.
 *
 *	  policy_yaml.c		text to tree (libyaml events), strict, with positions
 *	  policy_document.c tree to a policy or skill document
 *	  policy_pattern.c	patterns and names, one at a time
 *	  policy_pattern_set.c	many patterns: exact names in a hash, wildcard
 *						patterns in a segment trie
 *	  policy_compile.c	document to an immutable program
 *	  policy_publish.c	what must hold before a version is published
 *	  policy_eval.c		one program, evaluated: pure, no allocation
 *	  policy_session.c	approved sessions: does one fit, and if not, why
 *	  policy_decide.c	the whole decision: pure, no SPI, no globals
 *
 * What these share among themselves is in policy_private.h.
 *
 * Plain C over plain buffers: also built outside the server, for the unit
 * tests and the fuzzers.  Memory comes from an Arena (arena.h), so a failure
 * anywhere frees everything by dropping the arena; nothing here longjmps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_POLICY_H
#define CLAIIM_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

/* Limits, so that hostile text costs little. */
#define POLICY_MAX_SOURCE	(256 * 1024)
#define POLICY_MAX_DEPTH	8
#define POLICY_MAX_NODES	20000
#define POLICY_MAX_PATTERN	256 /* bytes in a pattern or a skill's name */
#define POLICY_MAX_SEGMENTS 16	/* in a pattern */
#define POLICY_MAX_FORMS	128 /* see policy_compile */

/* Room for what any number of patterns have in common, with its zero. */
#define POLICY_MAX_INTERSECTION \
	(POLICY_MAX_SEGMENTS * (POLICY_MAX_PATTERN + 1))

/* Bounds on the names that callers pass, in bytes. */
#define POLICY_MAX_ACTION	256
#define POLICY_MAX_TARGET	1024

/*
 * What went wrong, where, and what was expected instead.  Lines and columns
 * count from 1, columns in characters.
 */
typedef struct PolicyError
{
	int			line;
	int			column;
	char		message[256];	/* lower case, no period: 'unknown key "alow"' */
	char		expected[256];	/* 'expected one of: skill, skills, ...', or "" */
} PolicyError;

typedef enum PolicyList
{
	POLICY_LIST_ALLOW,
	POLICY_LIST_DENY
} PolicyList;

/* One entry of an allow or deny list. */
typedef struct PolicyEntry
{
	PolicyList	list;
	int			line;			/* of the entry in its source */
	int			column;
	const char *action;			/* the pattern as written */
	const char *target;			/* the pattern as written, or NULL: any */
	bool		requires_session;
} PolicyEntry;

/* One entry of "tests:". */
typedef struct PolicyTest
{
	int			line;
	int			column;
	const char *action;
	const char *target;			/* NULL: one that no target pattern matches */
	bool		session;		/* tested as if inside an approved session */
	bool		expect_allow;
} PolicyTest;

typedef struct PolicyDocument
{
	int			nskills;
	const char **skills;		/* version names: "deploy-v2" */
	int		   *skill_lines;
	int		   *skill_columns;
	int			nentries;
	PolicyEntry *entries;		/* in the order of the source */
	bool		has_allow;		/* the key "allow" is present */
	int			ntests;
	PolicyTest *tests;
} PolicyDocument;

typedef struct SkillDocument
{
	const char *description;	/* "" if none */
	int			nactions;
	const char **actions;		/* patterns */
	int		   *action_lines;
	int		   *action_columns;
} SkillDocument;

/*
 * policy_document.c
 *
 * NULL and *error on any fault.  The source is UTF-8, of len bytes.  The
 * document is in the arena and does not point into the source.
 */
extern PolicyDocument *policy_parse(Arena *arena, const char *source,
									size_t len, PolicyError *error);
extern SkillDocument *skill_parse(Arena *arena, const char *source,
								  size_t len, PolicyError *error);

/*
 * policy_pattern.c
 *
 * An action is segments joined by ':', a target segments joined by '/'.  In
 * a pattern a segment "*" matches exactly one segment and a last segment
 * "**" matches one or more.  Names that callers pass are checked by
 * action_name_check and target_name_check: see there for what is refused and
 * why.  "why" is a static text that completes 'bad pattern "x": ...'.
 */
extern bool pattern_check(const char *pattern, size_t len, char separator,
						  const char **why);
extern bool pattern_match(const char *pattern, const char *name,
						  size_t name_len, char separator);
/* true if and only if every name that "inner" matches, "outer" matches too */
extern bool pattern_covers(const char *outer, const char *inner, char separator);
extern bool pattern_intersect(const char *a, const char *b, char separator,
							  char both[POLICY_MAX_INTERSECTION]);
extern bool action_name_check(const char *name, size_t len, const char **why);
extern bool target_name_check(const char *name, size_t len, const char **why);

/*
 * policy_pattern_set.c
 *
 * A set of patterns, each with a value of 0 or more.  create returns NULL if
 * out of memory.  add returns false if out of memory, if the pattern is
 * malformed, or if it is there already; it copies the pattern.
 */
typedef struct PatternSet PatternSet;

extern PatternSet *pattern_set_create(Arena *arena, char separator);
extern bool pattern_set_add(PatternSet *set, const char *pattern, int value);

/* The value of this very pattern, or -1. */
extern int	pattern_set_find(const PatternSet *set, const char *pattern);

/* Whether the patterns together match every name that "inner" matches. */
extern bool pattern_set_covers(const PatternSet *set, const char *inner);

/*
 * Calls visit(value, arg) for every pattern that matches; visit returns
 * false to stop.  Exact names come first, and then the more specific before
 * the less: at each segment literal before "*" before "**".
 */
extern void pattern_set_match(const PatternSet *set, const char *name,
							  size_t len,
							  bool (*visit) (int value, void *arg), void *arg);
/* The value of the most specific match, or -1. */
extern int	pattern_set_best(const PatternSet *set, const char *name, size_t len);

/*
 * policy_compile.c
 *
 * NULL and *error if out of memory, or if the wildcards of the document take
 * more than POLICY_MAX_FORMS different forms.  A program does not point into
 * its document, and never changes.
 */
typedef struct PolicyProgram PolicyProgram;
typedef struct SkillProgram SkillProgram;

extern PolicyProgram *policy_compile(Arena *arena, const PolicyDocument *doc,
									 PolicyError *error);
extern SkillProgram *skill_compile(Arena *arena, const SkillDocument *doc,
								   PolicyError *error);

/* Which skills a program names, in the order of its source. */
extern int	policy_program_nskills(const PolicyProgram *program);
extern const char *policy_program_skill(const PolicyProgram *program, int i);
extern bool policy_program_has_allow(const PolicyProgram *program);

/*
 * policy_publish.c
 *
 * Publishing checks that need the skills' contents.  "skills" are the
 * documents, or programs, that doc->skills names, in that order; none may be
 * NULL.  An allow entry outside of its skills, or a test that fails, is an
 * error.  Without skills (an organization's baseline) nothing is outside.
 */
extern bool policy_check_skills(const PolicyDocument *doc,
								SkillDocument *const *skills,
								PolicyError *error);
extern bool policy_run_tests(const PolicyDocument *doc,
							 const PolicyProgram *program,
							 SkillProgram *const *skills,
							 PolicyError *error);

/* policy_eval.c */
typedef enum PolicyVerdictCode
{
	POLICY_ALLOWED,
	POLICY_NOT_IN_ALLOW_LIST,	/* no allow entry matches the action */
	POLICY_TARGET_NOT_ALLOWED,	/* one matches the action, none the target */
	POLICY_IN_DENY_LIST,		/* allowed, and denied: deny wins */
	POLICY_SESSION_REQUIRED		/* allowed only inside an approved session */
} PolicyVerdictCode;

typedef struct PolicyVerdict
{
	PolicyVerdictCode code;
	const PolicyEntry *entry;	/* the one that decided; NULL if none did */
} PolicyVerdict;

/*
 * One program alone.  Of several entries that match, the first in the source
 * is named.  An allow entry that needs no session is preferred over one that
 * does.  has_session: the call is inside an approved session that fits.  A
 * NULL target is one that no target pattern matches.
 */
extern PolicyVerdict policy_eval(const PolicyProgram *program,
								 const char *action, size_t action_len,
								 const char *target, size_t target_len,
								 bool has_session);
/* The first deny entry that matches, or NULL. */
extern const PolicyEntry *policy_eval_deny(const PolicyProgram *program,
										   const char *action, size_t action_len,
										   const char *target, size_t target_len);
extern bool skill_covers(const SkillProgram *skill,
						 const char *action, size_t action_len);

/*
 * policy_session.c
 *
 * Approved sessions.  Times are microseconds, all of one clock.
 */
typedef enum SessionStatus
{
	SESSION_STATUS_REQUESTED,
	SESSION_STATUS_GRANTED,
	SESSION_STATUS_REFUSED,
	SESSION_STATUS_REVOKED
} SessionStatus;

typedef struct NamedSession
{
	const char *name;			/* its identifier: ses_... */
	const char *agent;			/* whose it is */
	SessionStatus status;
	int64_t		lapses_at;		/* a request nobody decides is over then */
	int64_t		valid_from;		/* granted: open from here ... */
	int64_t		valid_until;	/* ... until before this */
	int64_t		max_uses;		/* 0: any number */
	bool		used_up;		/* as far as is known */
	const char *approved_by;	/* these humans, comma separated; NULL: none */
	int			nactions;
	const char *const *actions; /* patterns */
	int			ntargets;
	const char *const *targets; /* patterns */
} NamedSession;

typedef enum SessionFit
{
	SESSION_FITS,
	SESSION_UNKNOWN,			/* there is none */
	SESSION_OTHER_AGENT,		/* another agent's of the organization */
	SESSION_PENDING,			/* nobody has decided about it yet */
	SESSION_LAPSED,				/* nobody has, and nobody can any more */
	SESSION_REFUSED,
	SESSION_REVOKED,
	SESSION_NOT_STARTED,
	SESSION_EXPIRED,
	SESSION_USED_UP,
	SESSION_OTHER_ACTION,
	SESSION_OTHER_TARGET
} SessionFit;

/* Of a session, or of NULL: does it fit?  If not, the first reason. */
extern SessionFit session_fit(const NamedSession *session, const char *agent,
							  int64_t now,
							  const char *action, size_t action_len,
							  const char *target, size_t target_len);
/* It is the agent's own, approved, and open; for this action or another. */
extern bool session_is_open(SessionFit fit);
/* How many fit: 0, 1, or 2 for more than one; *found is the only one, or NULL. */
extern int	session_find(const NamedSession *sessions, int nsessions,
						 const char *agent, int64_t now,
						 const char *action, size_t action_len,
						 const char *target, size_t target_len,
						 const NamedSession **found);

/*
 * policy_decide.c
 *
 * The whole decision, in the order of doc/decisions.md.  Everything the gate
 * knows is in DecisionInput; nothing else is looked at.
 */
typedef enum IdentityResult
{
	IDENTITY_OK,
	IDENTITY_AGENT_UNKNOWN,
	IDENTITY_TOKEN_MALFORMED,	/* has not a token's form */
	IDENTITY_TOKEN_INVALID,		/* no such token */
	IDENTITY_TOKEN_OTHER_AGENT, /* one of another agent */
	IDENTITY_TOKEN_EXPIRED,
	IDENTITY_TOKEN_REVOKED,
	IDENTITY_TOKEN_NETWORK,		/* bound to networks that this is none of */
	IDENTITY_ROLE_MISMATCH		/* no token, and the role is not this agent's */
} IdentityResult;

typedef enum AgentStatus
{
	AGENT_ACTIVE,
	AGENT_SUSPENDED,
	AGENT_RETIRED
} AgentStatus;

typedef struct NamedPolicy
{
	const char *name;			/* version name: "no-prod-v1" */
	const PolicyProgram *program;
} NamedPolicy;

typedef struct NamedSkill
{
	const char *name;			/* version name: "deploy-v2" */
	bool		declared;		/* the agent declares this skill */
	const SkillProgram *program;
} NamedSkill;

typedef struct DecisionInput
{
	IdentityResult identity;
	const char *agent;			/* as asked */
	const char *action;
	size_t		action_len;
	const char *target;
	size_t		target_len;
	const char *session;		/* as passed, or NULL */
	int64_t		now;			/* for sessions, in microseconds */

	/* The rest counts only where identity is IDENTITY_OK. */
	AgentStatus agent_status;
	const char *org;
	const char *suspended_org;	/* the org, or the one above, that is; or NULL */
	bool		emergency_lapsed;	/* break-glass, not approved in time */
	const char *emergency_org;	/* to this organization; NULL: to the agent */
	const char *anchor;			/* NULL: none */
	bool		anchor_active;
	const char *target_org;		/* NULL: no pattern maps the target */
	const NamedPolicy *policy;	/* NULL: none bound */
	int			nskills;		/* the skills that the policy names */
	const NamedSkill *skills;
	int			nbaselines;		/* outermost organization first */
	const NamedPolicy *baselines;
	const NamedSession *passed; /* "session", if the organization has it */
	int			nsessions;		/* among which one is found if none is passed */
	const NamedSession *sessions;
} DecisionInput;

typedef struct Decision
{
	bool		allow;
	const char *reason_code;	/* stable, static: doc/decisions.md */
	char		reason[512];	/* "policy:no-prod-v1 -- action not in allow list" */
	char		rule[384];		/* "allow:4 deploy:staging", or ""; what does not
								 * fit is cut, between characters, with "..." */
	const char *skill;			/* the skill that covers the action, or NULL */
	const NamedSession *session;	/* the open one, passed or found, that it was
									 * made inside of; or NULL */
} Decision;

extern void policy_decide(const DecisionInput *input, Decision *decision);
extern void policy_unproved(const char *agent, Decision *decision);

#endif							/* CLAIIM_POLICY_H */
