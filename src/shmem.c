/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory: the request slots, and one place per database.
 *
 * One LWLock guards who writes for which database; it is held for a few
 * instructions at a time, and never across anything that can raise an error.
 * What a decision touches on its way is atomic and needs no lock: a
 * database's epoch and queue, the free list, a request's state.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/syscache.h"

#define TRANCHE_NAME	"claiim"

ClaiimShared *claiim_shared = NULL;

static ChronRequest *request_slots = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size
shared_size(void)
{
	return MAXALIGN(add_size(offsetof(ClaiimShared, databases),
							 mul_size(claiim_max_databases,
									  sizeof(ClaiimDatabase))));
}

static Size
slots_size(void)
{
	return mul_size(claiim_queue_size, sizeof(ChronRequest));
}

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(add_size(add_size(shared_size(), slots_size()),
									chron_wait_size()));
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

static void
shmem_startup(void)
{
	bool		found;
	int			i;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);

	claiim_shared = ShmemInitStruct("claiim", shared_size(), &found);
	if (!found)
	{
		memset(claiim_shared, 0, shared_size());
		claiim_shared->lock = &(GetNamedLWLockTranche(TRANCHE_NAME))->lock;
		claiim_shared->nslots = claiim_queue_size;
		claiim_shared->ndatabases = claiim_max_databases;
		pg_atomic_init_u64(&claiim_shared->free_head, 0);
		pg_atomic_init_u32(&claiim_shared->nfree, 0);
		for (i = 0; i < claiim_max_databases; i++)
		{
			ClaiimDatabase *db = &claiim_shared->databases[i];

			pg_atomic_init_u32(&db->queue_head, 0);
			pg_atomic_init_u32(&db->queue_length, 0);
			pg_atomic_init_u32(&db->slots_held, 0);
			pg_atomic_init_u32(&db->slot_waiters, 0);
			ConditionVariableInit(&db->slot_freed);
			pg_atomic_init_u64(&db->epoch, 1);
			ConditionVariableInit(&db->writer_changed);
			stats_init(&db->stats);
		}
	}

	request_slots = ShmemInitStruct("claiim requests", slots_size(), &found);
	if (!found)
	{
		for (i = claiim_queue_size - 1; i >= 0; i--)
		{
			ChronRequest *request = &request_slots[i];

			memset(request, 0, offsetof(ChronRequest, data));
			pg_atomic_init_u32(&request->state, REQUEST_FREE);
			request->index = i;
			chron_queue_free_slot(request);
		}
	}

	chron_wait_init();

	LWLockRelease(AddinShmemInitLock);
}

void
claiim_shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

ChronRequest *
claiim_request_slot(int index)
{
	Assert(index >= 0 && index < claiim_shared->nslots);
	return &request_slots[index];
}

/*
 * The place of a database, or NULL if claiim has not been used there since
 * the server started.
 */
ClaiimDatabase *
claiim_find_database(Oid oid)
{
	ClaiimDatabase *found = NULL;

	if (claiim_shared == NULL)
		return NULL;

	LWLockAcquire(claiim_shared->lock, LW_SHARED);
	for (int i = 0; i < claiim_shared->ndatabases; i++)
	{
		if (claiim_shared->databases[i].oid == oid)
		{
			found = &claiim_shared->databases[i];
			break;
		}
	}
	LWLockRelease(claiim_shared->lock);
	return found;
}

/* A template is copied, and a copy must not find a writer at work. */
static void
refuse_template(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID,
										ObjectIdGetDatum(MyDatabaseId));
	bool		is_template;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	if (is_template)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim cannot be used in a template database"),
				 errhint("Use it in a database that was created from the template.")));
}

/*
 * The place of the current database, taken at first use.
 *
 * Errors: 53400 if claiim.max_databases places are taken; 55000 in a
 * template database.
 */
ClaiimDatabase *
claiim_my_database(void)
{
	static ClaiimDatabase *mine = NULL;
	ClaiimDatabase *free_place = NULL;

	if (mine != NULL)
		return mine;
	refuse_template();

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < claiim_shared->ndatabases; i++)
	{
		ClaiimDatabase *db = &claiim_shared->databases[i];

		if (db->oid == MyDatabaseId)
		{
			mine = db;
			break;
		}
		if (!OidIsValid(db->oid) && free_place == NULL)
			free_place = db;
	}
	if (mine == NULL && free_place != NULL)
	{
		/* slots_held stays: what is still under way is counted off it. */
		free_place->oid = MyDatabaseId;
		claiim_shared->nused++;
		free_place->acts_waiting = true;
		free_place->writer_state = WRITER_NONE;
		free_place->writer_retry_at = 0;
		free_place->writer_error[0] = '\0';
		free_place->holds = 0;
		free_place->chron_relid = InvalidOid;
		free_place->last_seq = 0;
		stats_start(&free_place->stats);
		pg_atomic_fetch_add_u64(&free_place->epoch, 1);
		mine = free_place;
	}
	LWLockRelease(claiim_shared->lock);

	if (mine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("claiim is in use in as many databases as claiim.max_databases allows (%d)",
						claiim_max_databases),
				 errhint("Increase claiim.max_databases and restart the server.")));
	return mine;
}

/*
 * The database was dropped: free its place, and what callers left in its
 * queue.
 */
void
claiim_forget_database(Oid oid)
{
	ClaiimDatabase *db = claiim_find_database(oid);
	ChronRequest **left;
	int			nleft;

	if (db == NULL)
		return;
	left = palloc(sizeof(ChronRequest *) * claiim_shared->nslots);
	nleft = chron_queue_take(db, left);
	for (int i = 0; i < nleft; i++)
		chron_queue_free_slot(left[i]);
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	db->oid = InvalidOid;
	claiim_shared->nused--;
	LWLockRelease(claiim_shared->lock);
}

/*
 * Every entry point that decides or governs begins here.
 *
 * Errors: 55000 without the preload or during pg_upgrade; 25006 on a standby;
 * 25000 in a parallel operation, which a function brings about that wrongly
 * calls itself parallel safe.
 */
void
claiim_require_preload(void)
{
	if (claiim_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim must be loaded through shared_preload_libraries"),
				 errdetail("Without it there is no writer, so no decision could be recorded."),
				 errhint("Add 'claiim' to shared_preload_libraries and restart the server.")));
	if (IsBinaryUpgrade)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim cannot decide during pg_upgrade")));
	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("claiim cannot decide during a parallel operation"),
				 errhint("Mark the function that calls it PARALLEL UNSAFE.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("claiim cannot decide on a standby server"),
				 errdetail("A decision must be recorded before it is answered, and a standby cannot record."),
				 errhint("Connect to the primary server.")));
}
