/*-------------------------------------------------------------------------
 *
 * policy_session.c
 *	  Approved sessions: whether one fits what is asked, and if not, why.
 *
 * A chain of questions in a fixed order, the first that is answered with no
 * says what is wrong: whose it is, what humans made of it, whether it is
 * open now, and at last what it is for.  Like the decision it is pure: time
 * and use come from outside.  That a use is left, and that the end has not
 * come, is asked here of what the caller knows, and once more by the writer,
 * at the place in Chron's order where it counts.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

static bool
any_matches(const char *const *patterns, int npatterns, const char *name,
			size_t len, char separator)
{
	int			i;

	for (i = 0; i < npatterns; i++)
		if (pattern_match(patterns[i], name, len, separator))
			return true;
	return false;
}

/* What humans made of it, and what time did. */
static SessionFit
session_state(const NamedSession *session, int64_t now)
{
	switch (session->status)
	{
		case SESSION_STATUS_REQUESTED:
			return now < session->lapses_at ? SESSION_PENDING : SESSION_LAPSED;
		case SESSION_STATUS_REFUSED:
			return SESSION_REFUSED;
		case SESSION_STATUS_REVOKED:
			return SESSION_REVOKED;
		case SESSION_STATUS_GRANTED:
			if (now < session->valid_from)
				return SESSION_NOT_STARTED;
			if (now >= session->valid_until)
				return SESSION_EXPIRED;
			return session->used_up ? SESSION_USED_UP : SESSION_FITS;
	}
	return SESSION_REVOKED;		/* whatever else it says, it is not granted */
}

SessionFit
session_fit(const NamedSession *session, const char *agent, int64_t now,
			const char *action, size_t action_len,
			const char *target, size_t target_len)
{
	SessionFit	state;

	if (session == NULL)
		return SESSION_UNKNOWN;
	if (strcmp(session->agent, agent) != 0)
		return SESSION_OTHER_AGENT;
	state = session_state(session, now);
	if (state != SESSION_FITS)
		return state;
	if (!any_matches(session->actions, session->nactions, action, action_len,
					 ':'))
		return SESSION_OTHER_ACTION;
	if (!any_matches(session->targets, session->ntargets, target, target_len,
					 '/'))
		return SESSION_OTHER_TARGET;
	return SESSION_FITS;
}

bool
session_is_open(SessionFit fit)
{
	return fit == SESSION_FITS || fit == SESSION_OTHER_ACTION ||
		fit == SESSION_OTHER_TARGET;
}

int
session_find(const NamedSession *sessions, int nsessions, const char *agent,
			 int64_t now, const char *action, size_t action_len,
			 const char *target, size_t target_len,
			 const NamedSession **found)
{
	int			nfound = 0;
	int			i;

	*found = NULL;
	for (i = 0; i < nsessions && nfound < 2; i++)
	{
		if (session_fit(&sessions[i], agent, now, action, action_len,
						target, target_len) != SESSION_FITS)
			continue;
		*found = &sessions[i];
		nfound++;
	}
	if (nfound != 1)
		*found = NULL;
	return nfound;
}
