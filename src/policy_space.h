/*-------------------------------------------------------------------------
 *
 * policy_space.h
 *	  Everything that policies decide, as a list of lines: what an agent may
 *	  do, and what two sets of policies decide differently.
 *
 * Plain C over an Arena: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_POLICY_SPACE_H
#define CLAIIM_POLICY_SPACE_H

#include "arena.h"
#include "pattern_pairs.h"
#include "policy.h"

/* Beyond this there is no list; see also pair_universe.h. */
#define SPACE_MAX_EXCEPTIONS	1000000

typedef enum SpaceVerdict
{
	SPACE_DENY,
	SPACE_ALLOW,
	SPACE_ALLOW_IN_SESSION		/* only inside an approved session */
} SpaceVerdict;

/*
 * What is decided about every action and target that match the line's pattern
 * and none of its exceptions.
 */
typedef struct SpaceLine
{
	PatternPair pattern;
	SpaceVerdict verdict[2];	/* before and after */
	const char *why[2];			/* a rule as Decision has it, or a reason's text */
	int			nexceptions;
	const PatternPair **exceptions;
} SpaceLine;

typedef struct PolicySpace
{
	int			nlines;
	SpaceLine **lines;			/* ordered by their patterns */
} PolicySpace;

/*
 * All that an agent may do ("after" is NULL), or all that it may do otherwise
 * before and after.  Of the two inputs, everything but the action, the target
 * and the session counts; the target is taken for one of the agent's own
 * organization.
 *
 * Every line is true of every action and target that it is about, and every
 * action and target that is allowed (or decided otherwise) has a line that is
 * about it.  Which verdict is meant is policy_decide's.
 *
 * False if it takes more than the limits, or is out of memory.
 */
extern bool policy_space(Arena *arena, const DecisionInput *before,
						 const DecisionInput *after, PolicySpace *space);

#endif							/* CLAIIM_POLICY_SPACE_H */
