/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  What governance waits for, and what it does not wait for.
 *
 * Governance locks rows (sql/07_locks.sql) until its transaction ends, and a
 * human can keep a transaction open.  A kill switch cannot wait for that: it
 * finds out whose transactions hold the row, gives them a moment, and ends
 * their sessions.  What they had not committed never was.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include <openssl/evp.h>

#include "access/heapam.h"
#include "access/multixact.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(claiim_serialize);
PG_FUNCTION_INFO_V1(claiim_clear_way);

/* Where lock_timeout says nothing, and for a session to end; in ms. */
#define PATIENCE		1000
#define END_TIMEOUT		30000
#define POLL_INTERVAL	10

/* Before 17, extensions share one wait event. */
CLAIIM_WAIT_EVENT(wait_event_clear_way, "ClaiimClearWay")

/*
 * claiim._serialize(what text) -> void
 */
Datum
claiim_serialize(PG_FUNCTION_ARGS)
{
	text	   *what = PG_GETARG_TEXT_PP(0);
	uint8		digest[EVP_MAX_MD_SIZE];
	uint32		key[2];
	LOCKTAG		tag;

	/*
	 * Of a class that no SQL function can name; see claiim_batch_locktag.  By a
	 * hash for which nobody finds a name that has another's: he would take
	 * another's lock, and keep it.
	 */
	if (!EVP_Digest(VARDATA_ANY(what), VARSIZE_ANY_EXHDR(what), digest, NULL,
					EVP_sha256(), NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the key of a lock")));
	memcpy(key, digest, sizeof(key));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, key[0], key[1], 0xC2);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	PG_RETURN_VOID();
}

/* The process of another's transaction in progress; 0: none of a process. */
static bool
is_in_progress(TransactionId xid, int *pid)
{
	if (TransactionIdIsCurrentTransactionId(xid) ||
		!TransactionIdIsInProgress(xid))
		return false;
	*pid = BackendXidGetPid(SubTransGetTopmostTransaction(xid));
	/* Or it has ended in between. */
	return *pid != 0 || TransactionIdIsInProgress(xid);
}

/*
 * Whose transactions hold a lock on a row that keeps FOR NO KEY UPDATE
 * waiting, or have changed it: their processes, 0 for one that has none.
 */
static List *
holders_of(Relation rel, ItemPointer tid)
{
	HeapTupleData tuple;
	Buffer		buffer;
	TransactionId xmax;
	uint16		infomask;
	List	   *holders = NIL;
	int			pid;

	tuple.t_self = *tid;
	if (!heap_fetch(rel, SnapshotAny, &tuple, &buffer, false))
		return NIL;
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	xmax = HeapTupleHeaderGetRawXmax(tuple.t_data);
	infomask = tuple.t_data->t_infomask;
	UnlockReleaseBuffer(buffer);

	if (infomask & HEAP_XMAX_INVALID)
		return NIL;
	if (infomask & HEAP_XMAX_IS_MULTI)
	{
		MultiXactMember *members;
		int			n = GetMultiXactIdMembers(xmax, &members, false,
											  HEAP_XMAX_IS_LOCKED_ONLY(infomask));

		for (int i = 0; i < n; i++)
		{
			if (members[i].status != MultiXactStatusForKeyShare &&
				is_in_progress(members[i].xid, &pid))
				holders = list_append_unique_int(holders, pid);
		}
	}
	else if (!HEAP_XMAX_IS_KEYSHR_LOCKED(infomask) && is_in_progress(xmax, &pid))
		holders = list_make1_int(pid);
	return holders;
}

static void
end_session(int pid)
{
	PGPROC	   *proc = BackendPidGetProc(pid);

	if (proc == NULL)
		return;
	ereport(WARNING,
			(errmsg("ending the session of role \"%s\" (process %d), whose transaction stands in the way",
					GetUserNameFromId(proc->roleId, true), pid)));
	(void) DirectFunctionCall2(pg_terminate_backend, Int32GetDatum(pid),
							   Int64GetDatum(0));
}

/*
 * claiim._clear_way(relation regclass, row tid) -> void
 *
 * Errors: 55P03 if the row is held by a prepared transaction, or by a session
 * that has been ended and is still there; 42809 for what is not a table.
 */
Datum
claiim_clear_way(PG_FUNCTION_ARGS)
{
	Relation	rel = table_open(PG_GETARG_OID(0), AccessShareLock);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(1);
	int64		until = CLAIIM_DEADLINE(LockTimeout > 0 ? LockTimeout : PATIENCE);
	bool		ended = false;
	List	   *holders;

	if (rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel))));
	while ((holders = holders_of(rel, tid)) != NIL)
	{
		if (claiim_ticks() >= until)
		{
			ListCell   *cell;

			if (ended || list_member_int(holders, 0))
				ereport(ERROR,
						(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						 errmsg("a row of claiim.%s is locked by a transaction that cannot be ended",
								RelationGetRelationName(rel)),
						 errhint("If it is a prepared one (pg_prepared_xacts): ROLLBACK PREPARED.")));
			foreach(cell, holders)
			{
				end_session(lfirst_int(cell));
			}
			ended = true;
			until = CLAIIM_DEADLINE(END_TIMEOUT);
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 POLL_INTERVAL, wait_event_clear_way());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
