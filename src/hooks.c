/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  Commands that concern claiim from outside: those that need a database
 *	  without connections, and those that would take Chron along.
 *
 * A writer is connected to its database all the time, so DROP DATABASE,
 * CREATE DATABASE ... TEMPLATE, ALTER DATABASE RENAME and SET TABLESPACE
 * would never find it free.  For their duration the writer is held away.
 *
 * DROP EXTENSION, DROP OWNED and DROP TABLE would take records along as
 * readily as anything else.  A part of Chron that has records can only be
 * dropped where claiim.allow_drop_chron says that this is meant.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "compat.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static ProcessUtility_hook_type prev_process_utility = NULL;
static object_access_hook_type prev_object_access = NULL;

/*
 * By name: while the extension is being dropped other tables of it are gone
 * already, and claiim_catalog would say that there is none.
 */
static bool
is_chron(Oid relid)
{
	char	   *name = OidIsValid(relid) ? get_rel_name(relid) : NULL;

	return name != NULL && strcmp(name, "chron") == 0 &&
		get_rel_namespace(relid) == get_namespace_oid("claiim", true);
}

static bool
is_part_of_chron(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_RELATION &&
		get_rel_relispartition(relid) &&
		is_chron(get_partition_parent(relid, true));
}

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

/* ALTER TABLE claiim.chron DETACH PARTITION: as good as a DROP of it. */
static void
refuse_detach(Node *statement)
{
	AlterTableStmt *alter = (AlterTableStmt *) statement;
	ListCell   *cell;
	Oid			relid;

	if (claiim_allow_drop_chron || !IsA(statement, AlterTableStmt))
		return;
	foreach(cell, alter->cmds)
	{
		if (((AlterTableCmd *) lfirst(cell))->subtype != AT_DetachPartition)
			continue;
		relid = RangeVarGetRelid(alter->relation, NoLock, true);
		if (is_chron(relid))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("a partition of claiim.chron cannot be detached"),
					 errdetail("The chain of records goes through it."),
					 errhint("If that is meant, SET claiim.allow_drop_chron = on first. A superuser can.")));
	}
}

static void
unhold_at_exit(int code, Datum arg)
{
	chron_writer_unhold(DatumGetObjectId(arg));
}

static void
run(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
	ProcessUtilityContext context, ParamListInfo params,
	QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context,
							 params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
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

	refuse_detach(pstmt->utilityStmt);

	/* Who could not run the command must not stop a writer by trying. */
	if (!OidIsValid(database) || database == MyDatabaseId ||
		claiim_find_database(database) == NULL ||
		!claiim_owns_database(database, GetUserId()))
	{
		run(pstmt, queryString, readOnlyTree, context, params, queryEnv,
			dest, qc);
		return;
	}

	chron_writer_hold(database);
	PG_ENSURE_ERROR_CLEANUP(unhold_at_exit, ObjectIdGetDatum(database));
	{
		run(pstmt, queryString, readOnlyTree, context, params, queryEnv,
			dest, qc);
	}
	PG_END_ENSURE_ERROR_CLEANUP(unhold_at_exit, ObjectIdGetDatum(database));
	chron_writer_unhold(database);
	if (dropping)
		claiim_forget_database(database);
}

static bool
has_rows(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	bool		found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return found;
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId,
			  void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	/* Of a partitioned table the partitions, which hold the rows, go first. */
	if (access != OAT_DROP || classId != RelationRelationId || subId != 0 ||
		claiim_allow_drop_chron || !is_part_of_chron(objectId) ||
		!has_rows(objectId))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("Chron has records in claiim.%s, which this would remove for good",
					get_rel_name(objectId)),
			 errhint("If that is meant, SET claiim.allow_drop_chron = on first. A superuser can.")));
}

void
claiim_hooks_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
