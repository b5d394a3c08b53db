/*-------------------------------------------------------------------------
 *
 * chron_guard.c
 *	  Append-only: the triggers that refuse, and the commands that are refused.
 *
 * The writer inserts below the level of triggers (chron_store.c), so nothing
 * that SQL can do is an append; every INSERT, UPDATE, DELETE and TRUNCATE
 * that reaches this trigger is refused, by whomever.  The exceptions are what
 * the writer itself does beside Chron (INSERTs into contexts, logs and
 * completions, and the counting of session_uses), the INSERTs of a
 * restore, into a database where no log has been opened: what they put there
 * is judged by its hashes; and the removal of contexts, which no hash needs,
 * in a transaction that has recorded the act of it.
 *
 * DROP EXTENSION, DROP OWNED, DROP TABLE and ALTER TABLE would take records
 * along or away as readily as anything else.  A part of Chron that has
 * records is dropped, detached or renamed only where
 * claiim.allow_drop_chron says that this is meant.  And nothing inherits from
 * any table of claiim's.
 *
 * All of this stops accidents and the lazy.  Who owns the server can take
 * them off; that this shows is the business of the chain.
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
#include "commands/trigger.h"
#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(claiim_guard_chron);

static object_access_hook_type prev_object_access = NULL;

/* A count that the writer keeps beside Chron. */
static bool
is_count(Relation relation)
{
	return RelationGetRelid(relation) ==
		claiim_catalog(false)->tables[TABLE_SESSION_USES];
}

/*
 * claiim._guard_chron(): trigger on claiim.chron, each of its partitions, and
 * the tables beside it that are the writer's alone
 *
 * Errors: 42501, always, but for the writer, a restore, and contexts whose
 * removal is an act of this transaction.
 */
Datum
claiim_guard_chron(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TriggerEvent event;
	const char *what;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function can only be called as a trigger")));

	event = trigdata->tg_event;
	if (TRIGGER_FIRED_BY_INSERT(event))
	{
		if (TRIGGER_FIRED_FOR_ROW(event) &&
			(claiim_am_writer ||
			 ((superuser() || GetUserId() == claiim_catalog(false)->owner) &&
			  !chron_log_is_open())))
			return PointerGetDatum(trigdata->tg_trigtuple);
		what = "INSERT into";
	}
	else if (TRIGGER_FIRED_BY_UPDATE(event))
	{
		if (claiim_am_writer && is_count(trigdata->tg_relation))
			return PointerGetDatum(trigdata->tg_newtuple);
		what = "UPDATE of";
	}
	else if (TRIGGER_FIRED_BY_DELETE(event))
	{
		if (TRIGGER_FIRED_FOR_ROW(event) &&
			RelationGetRelid(trigdata->tg_relation) ==
			claiim_catalog(false)->tables[TABLE_CONTEXTS] &&
			claiim_may_erase())
			return PointerGetDatum(trigdata->tg_trigtuple);
		what = "DELETE from";
	}
	else
		what = "TRUNCATE of";

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("Chron is append-only: %s claiim.%s is refused",
					what, RelationGetRelationName(trigdata->tg_relation)),
			 errdetail("Only the gate's writer adds records, and nobody changes or removes one.")));
	return (Datum) 0;
}

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

static bool
names_chron(RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);

	return OidIsValid(relid) && (is_chron(relid) || is_part_of_chron(relid));
}

static claiim_noreturn void
refuse(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s is refused: Chron goes through it", what),
			 errhint("If that is meant, SET claiim.allow_drop_chron = on first. A superuser can.")));
}

/*
 * A table that inherits from one of claiim's lends it its own rows, which
 * passed no guard: an agent, say, that no act has registered.
 */
static void
refuse_heir(RangeVar *parent)
{
	Oid			relid = RangeVarGetRelid(parent, NoLock, true);

	if (OidIsValid(relid) &&
		get_rel_namespace(relid) == get_namespace_oid("claiim", true))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no table can inherit from claiim.%s", get_rel_name(relid)),
				 errdetail("Its rows would count as rows of claiim.%s, and no guard sees them.",
						   get_rel_name(relid))));
}

static void
guard_inheritance(Node *statement)
{
	CreateStmt *create = NULL;
	ListCell   *cell;

	if (IsA(statement, CreateStmt))
		create = (CreateStmt *) statement;
	else if (IsA(statement, CreateForeignTableStmt))
		create = &((CreateForeignTableStmt *) statement)->base;
	if (create != NULL && create->partbound == NULL)
	{
		foreach(cell, create->inhRelations)
			refuse_heir(lfirst_node(RangeVar, cell));
	}
	else if (IsA(statement, AlterTableStmt))
	{
		foreach(cell, ((AlterTableStmt *) statement)->cmds)
		{
			AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

			if (command->subtype == AT_AddInherit)
				refuse_heir(castNode(RangeVar, command->def));
		}
	}
}

/* Also DETACH PARTITION, RENAME and SET SCHEMA: as good as a DROP. */
void
chron_guard_utility(Node *statement)
{
	ListCell   *cell;

	guard_inheritance(statement);
	if (claiim_allow_drop_chron)
		return;
	if (IsA(statement, RenameStmt))
	{
		RenameStmt *rename = (RenameStmt *) statement;

		/* ALTER INDEX and ALTER VIEW take the name of a table as well. */
		if ((rename->renameType == OBJECT_TABLE ||
			 rename->renameType == OBJECT_INDEX ||
			 rename->renameType == OBJECT_VIEW) &&
			names_chron(rename->relation))
			refuse("renaming a part of claiim.chron");

		if (rename->renameType == OBJECT_COLUMN &&
			names_chron(rename->relation))
			refuse("renaming a column of claiim.chron");

		/* We find all of it by that name: a DROP would pass unnoticed. */
		if (rename->renameType == OBJECT_SCHEMA &&
			strcmp(rename->subname, "claiim") == 0 &&
			names_chron(makeRangeVar("claiim", "chron", -1)))
			refuse("renaming schema claiim");
	}
	else if (IsA(statement, AlterObjectSchemaStmt))
	{
		AlterObjectSchemaStmt *move = (AlterObjectSchemaStmt *) statement;

		if (move->objectType == OBJECT_TABLE && names_chron(move->relation))
			refuse("moving a part of claiim.chron to another schema");
	}
	else if (IsA(statement, AlterTableStmt))
	{
		AlterTableStmt *alter = (AlterTableStmt *) statement;

		foreach(cell, alter->cmds)
		{
			AlterTableType what = ((AlterTableCmd *) lfirst(cell))->subtype;

			if ((what == AT_DetachPartition || what == AT_DropColumn) &&
				names_chron(alter->relation))
				refuse(what == AT_DropColumn ?
					   "dropping a column of claiim.chron" :
					   "detaching a partition of claiim.chron");
		}
	}
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
chron_guard_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = object_access;
}
