/*-------------------------------------------------------------------------
 *
 * naive.h
 *	  Patterns and policies evaluated the obvious way: entry by entry, from
 *	  the words of doc/policies.md, sharing no code with src/.  What the
 *	  compiled programs are held against.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TEST_NAIVE_H
#define CLAIIM_TEST_NAIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "policy.h"

/* Matches what is left of a pattern against what is left of a name. */
static inline bool
naive_match(const char *pattern, const char *name, char separator)
{
	size_t		want = strcspn(pattern, (char[]) {separator, '\0'});
	size_t		have = strcspn(name, (char[]) {separator, '\0'});

	if (strcmp(pattern, "**") == 0)
		return true;
	if (!(want == 1 && pattern[0] == '*') &&
		!(want == have && strncmp(pattern, name, want) == 0))
		return false;
	if (pattern[want] == '\0' || name[have] == '\0')
		return pattern[want] == name[have];
	return naive_match(pattern + want + 1, name + have + 1, separator);
}

static inline bool
naive_entry_matches(const PolicyEntry *entry, const char *action,
					const char *target)
{
	return naive_match(entry->action, action, ':') &&
		(entry->target == NULL ||
		 (target != NULL && naive_match(entry->target, target, '/')));
}

/* The first deny entry that matches, or -1. */
static inline int
naive_deny(const PolicyDocument *doc, const char *action, const char *target)
{
	int			i;

	for (i = 0; i < doc->nentries; i++)
		if (doc->entries[i].list == POLICY_LIST_DENY &&
			naive_entry_matches(&doc->entries[i], action, target))
			return i;
	return -1;
}

/* The verdict; *decided is the entry's index, or -1. */
static inline PolicyVerdictCode
naive_eval(const PolicyDocument *doc, const char *action, const char *target,
		   bool has_session, int *decided)
{
	bool		action_seen = false;
	int			plain = -1;
	int			session = -1;
	int			i;

	*decided = -1;
	for (i = doc->nentries - 1; i >= 0; i--)
	{
		const PolicyEntry *entry = &doc->entries[i];

		if (entry->list != POLICY_LIST_ALLOW)
			continue;
		if (naive_match(entry->action, action, ':'))
			action_seen = true;
		if (naive_entry_matches(entry, action, target))
		{
			if (entry->requires_session)
				session = i;
			else
				plain = i;
		}
	}
	if (!action_seen)
		return POLICY_NOT_IN_ALLOW_LIST;
	if (plain < 0 && session < 0)
		return POLICY_TARGET_NOT_ALLOWED;
	*decided = naive_deny(doc, action, target);
	if (*decided >= 0)
		return POLICY_IN_DENY_LIST;
	*decided = plain >= 0 ? plain : session;
	return plain >= 0 || has_session ? POLICY_ALLOWED : POLICY_SESSION_REQUIRED;
}

#endif							/* CLAIIM_TEST_NAIVE_H */
