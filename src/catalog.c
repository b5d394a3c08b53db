/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Where the extension's objects are, and running our own queries.
 *
 * OIDs are looked up once and again after any relcache invalidation of one
 * of our tables (or of everything).  A backend may register only a handful
 * of relcache callbacks, so claiim has this one; others compare
 * claiim_catalog_generation() with what they saw.  The callback must not
 * touch the relcache, and does not: it sets a flag.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static const char *const table_names[CLAIIM_NTABLES] = {
	[TABLE_CHRON] = "chron",
	[TABLE_CONTEXTS] = "contexts",
	[TABLE_LOGS] = "logs",
	[TABLE_OUTBOX] = "outbox",
	[TABLE_ORGS] = "orgs",
	[TABLE_HUMANS] = "humans",
	[TABLE_AGENTS] = "agents",
	[TABLE_ANCHORS] = "anchors",
	[TABLE_BINDINGS] = "bindings",
	[TABLE_TARGETS] = "targets",
	[TABLE_TOKENS] = "tokens",
	[TABLE_POLICY_VERSIONS] = "policy_versions",
	[TABLE_SKILL_VERSIONS] = "skill_versions",
	[TABLE_SESSIONS] = "sessions",
	[TABLE_SESSION_USES] = "session_uses",
	[TABLE_COMPLETIONS] = "completions",
};

static ClaiimCatalog catalog;
static bool catalog_valid = false;
static uint64 catalog_generation = 1;

static void
relcache_changed(Datum arg, Oid relid)
{
	if (relid != InvalidOid && catalog_valid)
	{
		bool		ours = false;

		for (int i = 0; i < CLAIIM_NTABLES; i++)
			ours |= (catalog.tables[i] == relid);
		if (!ours)
			return;
	}
	catalog_valid = false;
	catalog_generation++;
}

void
claiim_catalog_init(void)
{
	CacheRegisterRelcacheCallback(relcache_changed, (Datum) 0);
}

/* Changes whenever our tables' definitions may have. */
uint64
claiim_catalog_generation(void)
{
	return catalog_generation;
}

/* The extension's owner and installed version, from its pg_extension row. */
static Oid
read_extension(Oid extension, Oid *owner, char **version)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		found = extension;
		*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		*version = isnull ? pstrdup("") : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * The catalog, looked up again if it may have changed.
 *
 * Errors (unless missing_ok, which returns NULL): 55000 if the extension is
 * not installed here, is of another version than the library, or the
 * database is not encoded in UTF-8 (Chron's bytes are).
 */
const ClaiimCatalog *
claiim_catalog(bool missing_ok)
{
	ClaiimCatalog fresh;
	char	   *version = NULL;
	uint64		generation = catalog_generation;

	if (catalog_valid)
		return &catalog;

	memset(&fresh, 0, sizeof(fresh));
	fresh.extension = get_extension_oid("claiim", true);
	if (!OidIsValid(fresh.extension) ||
		!OidIsValid(read_extension(fresh.extension, &fresh.owner, &version)))
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"claiim\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION claiim CASCADE.")));
	}
	if (strcmp(version, CLAIIM_VERSION) != 0)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim's library is version %s but its SQL objects are version %s",
						CLAIIM_VERSION, version),
				 errhint("Run ALTER EXTENSION claiim UPDATE, or restart the server if the library is the older one.")));
	}
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim needs a database encoded in UTF8, not %s",
						GetDatabaseEncodingName()),
				 errhint("Use a database made with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.")));
	}
	fresh.schema = get_namespace_oid("claiim", false);
	for (int i = 0; i < CLAIIM_NTABLES; i++)
	{
		fresh.tables[i] = get_relname_relid(table_names[i], fresh.schema);
		if (!OidIsValid(fresh.tables[i]))
		{
			if (missing_ok)
				return NULL;
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("table claiim.%s is missing", table_names[i])));
		}
	}

	catalog = fresh;
	/* Not valid if an invalidation came while we looked. */
	catalog_valid = (generation == catalog_generation);
	return &catalog;
}

/*
 * Enter our own scope.  On error the (sub)transaction's abort restores user
 * and settings, so callers need no PG_TRY; SPI is ended likewise.
 */
void
claiim_owner_begin(OwnerScope *scope, bool latest_snapshot)
{
	Oid			owner = claiim_catalog(false)->owner;

	GetUserIdAndSecContext(&scope->save_user, &scope->save_context);
	SetUserIdAndSecContext(owner, scope->save_context |
						   SECURITY_LOCAL_USERID_CHANGE);
	scope->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("row_security", "off",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	scope->snapshot = latest_snapshot;
	if (latest_snapshot)
		PushActiveSnapshot(GetLatestSnapshot());
}

void
claiim_owner_end(OwnerScope *scope)
{
	if (scope->snapshot)
		PopActiveSnapshot();
	SPI_finish();
	AtEOXact_GUC(false, scope->guc_level);
	SetUserIdAndSecContext(scope->save_user, scope->save_context);
}

/*
 * Run a query of ours inside an owner scope; its plan is prepared once per
 * backend.  Returns the number of rows, which are in SPI_tuptable.
 */
int
claiim_query(ClaiimQuery *query, Datum *values, const char *nulls,
			 bool read_only, long limit)
{
	int			result;

	if (query->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(query->text, query->nargs,
									   query->argtypes);

		if (plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", query->text,
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "could not keep the plan of \"%s\"", query->text);
		query->plan = plan;
	}

	result = SPI_execute_plan((SPIPlanPtr) query->plan, values, nulls,
							  read_only, limit);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", query->text,
			 SPI_result_code_string(result));
	return (int) SPI_processed;
}
