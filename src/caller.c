/*-------------------------------------------------------------------------
 *
 * caller.c
 *	  What the catalogs say of whoever calls, kept until they change.
 *
 * The name of the role that logged in, and whether the current role may
 * execute a function: a decision needs both, and looking them up each time
 * costs as much as a policy.  They are kept as the server keeps role
 * memberships (acl.c): whatever invalidates an entry of the catalogs that
 * they are read from makes them be read again.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "compat.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Moves when something read below may have changed. */
static uint64 generation = 0;

static Oid	named_role = InvalidOid;
static char role_name[NAMEDATALEN];

static Oid	permitted_role = InvalidOid;
static Oid	permitted_function = InvalidOid;

static void
forget(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
	named_role = InvalidOid;
	permitted_role = InvalidOid;
}

void
claiim_caller_init(void)
{
	/* The last because the database's owner is a member of a role. */
	CacheRegisterSyscacheCallback(AUTHOID, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, forget, (Datum) 0);
}

/* The role that logged in, whatever SET ROLE or SECURITY DEFINER say. */
const char *
claiim_session_user_name(void)
{
	Oid			role = GetSessionUserId();

	if (role != named_role)
	{
		uint64		before = generation;
		char	   *name = GetUserNameFromId(role, false);

		strlcpy(role_name, name, sizeof(role_name));
		pfree(name);
		/* What was read while it changed may be old. */
		if (generation == before)
			named_role = role;
	}
	return role_name;
}

/* As the executor does before it calls a function.  Errors: 42501. */
void
claiim_require_execute(Oid function)
{
	Oid			role = GetUserId();

	if (role != permitted_role || function != permitted_function)
	{
		uint64		before = generation;
		AclResult	result = claiim_proc_aclcheck(function, role, ACL_EXECUTE);

		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
		if (generation == before)
		{
			permitted_role = role;
			permitted_function = function;
		}
	}
	InvokeFunctionExecuteHook(function);
}
