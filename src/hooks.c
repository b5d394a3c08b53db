/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  Commands that need a database without connections.
 *
 * A writer is connected to its database all the time, so DROP DATABASE,
 * CREATE DATABASE ... TEMPLATE, ALTER DATABASE RENAME and SET TABLESPACE
 * would never find it free.  For their duration the writer is held away.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "compat.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

/* Does this command need a database without connections, and which? */
static const char *
database_to_free(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;

		case T_CreatedbStmt:
			foreach(cell, ((CreatedbStmt *) statement)->options)
			{
				DefElem    *option = (DefElem *) lfirst(cell);

				if (strcmp(option->defname, "template") == 0 &&
					option->arg != NULL)
					return defGetString(option);
			}
			return "template1";

		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;

		case T_AlterDatabaseStmt:
			foreach(cell, ((AlterDatabaseStmt *) statement)->options)
			{
				if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
					return ((AlterDatabaseStmt *) statement)->dbname;
			}
			return NULL;

		default:
			return NULL;
	}
}

static void
unhold_at_exit(int code, Datum arg)
{
	chron_writer_unhold(DatumGetObjectId(arg));
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString,
				bool readOnlyTree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *queryEnv,
				DestReceiver *dest, QueryCompletion *qc)
{
	const char *dbname = database_to_free(pstmt->utilityStmt);
	bool		dropping = IsA(pstmt->utilityStmt, DropdbStmt);
	Oid			database = dbname ? get_database_oid(dbname, true) : InvalidOid;

	chron_guard_utility(pstmt->utilityStmt);

	/* Who could not run the command must not stop a writer by trying. */
	if (!OidIsValid(database) ||
		claiim_find_database(database) == NULL ||
		!claiim_owns_database(database, GetUserId()))
	{
		prev_process_utility(pstmt, queryString, readOnlyTree, context,
							 params, queryEnv, dest, qc);
		return;
	}

	chron_writer_hold(database);
	PG_ENSURE_ERROR_CLEANUP(unhold_at_exit, ObjectIdGetDatum(database));
	{
		prev_process_utility(pstmt, queryString, readOnlyTree, context,
							 params, queryEnv, dest, qc);
	}
	PG_END_ENSURE_ERROR_CLEANUP(unhold_at_exit, ObjectIdGetDatum(database));
	chron_writer_unhold(database);
	if (dropping)
		claiim_forget_database(database);
}

void
claiim_hooks_init(void)
{
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook :
		standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
}
