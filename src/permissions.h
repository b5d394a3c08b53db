/*-------------------------------------------------------------------------
 *
 * permissions.h
 *	  The lines of a PolicySpace as rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_PERMISSIONS_H
#define CLAIIM_PERMISSIONS_H

#include "claiim.h"

#include "nodes/execnodes.h"
#include "policy_space.h"

typedef void (*PermissionsFill) (const SpaceLine *line,
								 const AgentEntry *entry,
								 Datum *values, bool *nulls);

extern void permissions_put_lines(ReturnSetInfo *rsinfo,
								  const PolicySpace *space,
								  const AgentEntry *entry,
								  PermissionsFill fill, int ncolumns);
extern Datum permissions_exceptions(const SpaceLine *line);

#endif							/* CLAIIM_PERMISSIONS_H */
