/*-------------------------------------------------------------------------
 *
 * chron_batch.c
 *	  One batch: from waiting requests to records on disk.
 *
 * Only the writer runs this.  A batch takes all waiting requests, moves
 * committed governance acts out of the outbox before them, gives each record
 * its number, links its hash to its predecessor's, inserts, commits once, and
 * wakes the waiters.  The commit is an ordinary synchronous one: when it
 * returns the records are on disk and, where configured, on the standbys.
 * While it flushes, requests pile up and are the next batch.
 *
 * What is remembered between batches is the chain's tip, and the uses of
 * sessions (chron_uses.c).  After any error, and after any change of the
 * tables' definitions, both are read from the tables again; should Chron then
 * end before what was acknowledged, the batch is refused rather than the gap
 * covered.
 *
 * A batch that fails because of its data is tried again one request at a
 * time, so that one that cannot be recorded takes no other down with it.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "text.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Partitions are looked after this often, in ms. */
#define PARTITION_INTERVAL	60000

/* How often to look whether the checkpointer has read of standbys, in ms. */
#define POLL_INTERVAL		10

CLAIIM_WAIT_EVENT(wait_event_new_standbys, "ClaiimNewStandbys")

/* Between chron_queue_take and chron_queue_finish the requests are here. */
static ChronRequest **batch;
static int	nbatch = 0;

/* Acts in the batch, and what its commit took, in us. */
static int	nacts;
static int64 commit_us;

/* Room for as many, so that no error path has to allocate. */
static ChronRequest **retry;
static RequestState *states;

static ClaiimDatabase *my_db = NULL;
static uint64 my_generation;

static ChronTip tip;
static uint64 tip_generation = 0;	/* catalog generation; 0: read it again */
static Oid	tip_chron = InvalidOid; /* the table that it is the tip of */
static char my_log[TYPEID_MAX_LEN + 1];	/* "": none is open yet */

static ClaiimQuery outbox_take = {
	"WITH taken AS (DELETE FROM claiim.outbox RETURNING *)"
	" SELECT act, actor, org, subject, change, detail, db_user, client"
	" FROM taken ORDER BY committed_at, act_id COLLATE \"C\"",
	0, {0}, NULL
};
static ClaiimQuery digests_query = {
	"SELECT jsonb_object_agg(d.table_name,"
	" jsonb_build_object('rows', d.row_count, 'sha256', d.sha256))::text"
	" FROM claiim._registry_digests() d",
	0, {0}, NULL
};
static ClaiimQuery context_insert = {
	"INSERT INTO claiim.contexts (seq, salt, value) VALUES ($1, $2, $3)",
	3, {INT8OID, BYTEAOID, TEXTOID}, NULL
};

/*
 * One record
 */

/* The time of a record that is made when the clock reads "now". */
static int64
record_time(int64 now)
{
	return Max(now, tip.at);
}

static void
append(ChronInserter *inserter, const uint8 *fields, size_t len, int nfields,
	   int64 now, int64 *seq, int64 *at)
{
	uint8		buffer[256];
	uint8		leaf[CHRON_HASH_LEN];
	ChronEncoder enc;

	*seq = tip.seq + 1;
	*at = record_time(now);
	if (now < 0 || *at > UUIDV7_MAX_UNIX_US || *seq > CHRON_ID_MAX_SEQ)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the server's clock shows a time that no record can have")));

	chron_encode_start(&enc, buffer, sizeof(buffer));
	chron_encode_text(&enc, CHRON_FIELD_LOG, my_log);
	chron_encode_int(&enc, CHRON_FIELD_SEQ, *seq);
	chron_encode_int(&enc, CHRON_FIELD_AT, *at);
	if (now < tip.at)
		chron_encode_int(&enc, CHRON_FIELD_CLOCK, now);

	if (enc.failed ||
		!chron_leaf_hash(&enc, fields, len, nfields, leaf) ||
		!chron_link_hash(tip.link, leaf, tip.link))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the hashes of a record")));
	chron_insert(inserter, *at, &enc, fields, len, leaf, tip.link);
	tip.seq = *seq;
	tip.at = *at;
}

/* An act's record.  Any of the texts but act may be NULL. */
static void
append_act(ChronInserter *inserter, const char *act, const char *actor,
		   const char *org, const char *subject, const char *change,
		   const char *detail, const char *db_user, const char *client)
{
	size_t		size = 4096 + (detail ? strlen(detail) : 0) +
		(subject ? strlen(subject) : 0);
	uint8	   *buffer = palloc(size);
	ChronEncoder enc;
	int64		seq;
	int64		at;

	chron_encode_start(&enc, buffer, size);
	chron_encode_text(&enc, CHRON_FIELD_KIND, "act");
	chron_encode_text(&enc, CHRON_FIELD_ORG, org);
	chron_encode_text(&enc, CHRON_FIELD_DB_USER, db_user);
	chron_encode_text(&enc, CHRON_FIELD_CLIENT, client);
	chron_encode_text(&enc, CHRON_FIELD_ACTOR, actor);
	chron_encode_text(&enc, CHRON_FIELD_ACT, act);
	chron_encode_text(&enc, CHRON_FIELD_SUBJECT, subject);
	chron_encode_text(&enc, CHRON_FIELD_CHANGE, change);
	chron_encode_text(&enc, CHRON_FIELD_DETAIL, detail);
	if (enc.failed)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("governance act \"%s\" is too large, or not valid UTF-8, and cannot be recorded",
						act)));
	append(inserter, buffer, enc.len, enc.nfields,
		   UNIX_US(GetCurrentTimestamp()), &seq, &at);
	pfree(buffer);
	nacts++;
}

/* Move what the outbox holds into Chron. */
static void
append_outbox(ChronInserter *inserter)
{
	OwnerScope	scope;
	int			n;

	claiim_owner_begin(&scope, false);
	n = claiim_query(&outbox_take, NULL, NULL, false, 0);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *column[8];

		for (int c = 0; c < 8; c++)
			column[c] = SPI_getvalue(tuple, desc, c + 1);
		append_act(inserter, column[0], column[1], column[2], column[3],
				   column[4], column[5], column[6], column[7]);
	}
	claiim_owner_end(&scope);
}

static void
insert_context(int64 seq, const ChronRequest *request)
{
	OwnerScope	scope;
	Datum		values[3];

	claiim_owner_begin(&scope, false);
	values[0] = Int64GetDatum(seq);
	values[1] = PointerGetDatum(cstring_to_text_with_len((const char *) request->salt,
														 CHRON_SALT_LEN));
	values[2] = PointerGetDatum(cstring_to_text_with_len((const char *) request->data +
														 request->fields_len,
														 request->context_len));
	(void) claiim_query(&context_insert, values, NULL, false, 0);
	claiim_owner_end(&scope);
}

/*
 * The writer's own acts
 */

/* What the registry holds, as JSON text; see claiim.registry_digests. */
static char *
registry_digests(void)
{
	MemoryContext context = CurrentMemoryContext;
	OwnerScope	scope;
	char	   *result;

	claiim_owner_begin(&scope, true);
	(void) claiim_query(&digests_query, NULL, NULL, false, 1);
	result = MemoryContextStrdup(context,
								 SPI_getvalue(SPI_tuptable->vals[0],
											  SPI_tuptable->tupdesc, 1));
	claiim_owner_end(&scope);
	return result;
}

static void
append_log_open(ChronInserter *inserter)
{
	StringInfoData detail;
	char	   *dbname = get_database_name(MyDatabaseId);
	char		previous[TYPEID_MAX_LEN + 1];

	strlcpy(previous, tip.log, sizeof(previous));
	claiim_new_typeid("log", my_log, sizeof(my_log));

	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"system_identifier\": \"" UINT64_FORMAT "\", "
					 "\"database_oid\": %u, \"database\": ",
					 GetSystemIdentifier(), MyDatabaseId);
	escape_json(&detail, dbname ? dbname : "");
	if (previous[0])
	{
		appendStringInfoString(&detail, ", \"previous_log\": ");
		escape_json(&detail, previous);
	}
	appendStringInfo(&detail, ", \"tables\": %s", registry_digests());
	appendStringInfoChar(&detail, '}');
	chron_insert_log(my_log, tip.seq + 1);

	/*
	 * Until now a restore may have been at work.  Whatever was looked up
	 * meanwhile is to be looked up again.
	 */
	pg_atomic_fetch_add_u64(&my_db->epoch, 1);
	append_act(inserter, "log.open", NULL, NULL, my_log, NULL, detail.data,
			   claiim_session_user_name(), NULL);
}

static void
append_writer_start(ChronInserter *inserter)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"claiim\": \"%s\", \"server\": \"%s\", "
					 "\"timeline\": %u, \"fsync\": %s}",
					 CLAIIM_VERSION, PG_VERSION, GetWALInsertionTimeLine(),
					 enableFsync ? "true" : "false");
	append_act(inserter, "writer.start", NULL, NULL, my_log, NULL,
			   detail.data, claiim_session_user_name(), NULL);
}

/*
 * The tip
 */

static void
forget_tip(void)
{
	tip_generation = 0;
}

/*
 * Read the tip if it is not known, and see that nothing is missing.
 *
 * Errors: XX001 if records that were acknowledged, or the log's first, are
 * not in the table.
 */
static void
know_tip(void)
{
	Oid			chron_relid = claiim_catalog(false)->tables[TABLE_CHRON];
	uint64		generation = claiim_catalog_generation();
	int64		first_seq = 0;

	if (tip_generation == generation)
		return;

	/*
	 * What this batch will insert under.  To read first and take the stronger
	 * lock afterwards is a deadlock with a REINDEX, which wants the index of a
	 * table that it has locked against inserts.
	 */
	(void) find_all_inheritors(chron_relid, RowExclusiveLock, NULL);
	chron_uses_forget();
	if (!chron_find_log(my_log, &first_seq))
	{
		/* What a restore brings comes first; only then is this the tip. */
		my_log[0] = '\0';
		chron_lock_log();
	}
	chron_read_tip(&tip);
	if (tip.seq < first_seq ||
		(my_db->chron_relid == chron_relid && tip.seq < my_db->last_seq))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("records are missing from the end of Chron"),
				 errdetail("The last record in the table is %lld; record %lld was acknowledged.",
						   (long long) tip.seq,
						   (long long) Max(first_seq, my_db->last_seq)),
				 errhint("Somebody removed records. The gate stays closed until they are restored.")));
	tip_chron = chron_relid;
	tip_generation = generation;
}

/*
 * An error was caught: report it, and end the transaction if there is one.
 * context: where to go on.
 */
void
chron_batch_abort(MemoryContext context)
{
	HOLD_INTERRUPTS();
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
	MemoryContextSwitchTo(context);
}

/*
 * Partitions
 */

static TimestampTz partitions_at = 0;
static uint64 partitions_generation = 0;

static bool
partitions_known(void)
{
	return partitions_generation == claiim_catalog_generation() &&
		!TimestampDifferenceExceeds(partitions_at, GetCurrentTimestamp(),
									PARTITION_INTERVAL);
}

/*
 * See to it that there is a partition for now, and one for the next month.
 * The next month's can wait: if it cannot be made, because somebody holds a
 * lock say, that is said in the log and tried again.
 */
void
chron_batch_ensure_partitions(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		unix_us = Max(UNIX_US(now), tip.at);
	MemoryContext context = CurrentMemoryContext;

	if (partitions_known())
		return;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	chron_ensure_partition(unix_us, 0);
	PopActiveSnapshot();
	CommitTransactionCommand();

	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		chron_ensure_partition(unix_us, 1);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		chron_batch_abort(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);

	partitions_at = now;
	partitions_generation = claiim_catalog_generation();
}

/*
 * A batch
 */

/* Are there synchronous standbys, as far as this process has read? */
static bool
standbys_wanted(void)
{
	return SyncRepRequested() && SyncRepStandbyNames != NULL &&
		SyncRepStandbyNames[0] != '\0';
}

/*
 * A synchronous standby that goes away while a commit waits for it, or a
 * cancel of that wait, leaves the commit local with a warning.  Then nothing
 * may be answered.
 */
static bool
commit_reached_standbys(XLogRecPtr lsn)
{
	int			mode;
	bool		reached;

	if (!standbys_wanted() || XLogRecPtrIsInvalid(lsn))
		return true;
	mode = (synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY) ?
		SYNC_REP_WAIT_APPLY : SYNC_REP_WAIT_FLUSH;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	reached = WalSndCtl->lsn[mode] >= lsn;
	LWLockRelease(SyncRepLock);
	return reached;
}

/*
 * Wait for the standbys as a commit would.  A cancel, an exit or a reload, which
 * may have taken them back, ends it.
 */
static void
wait_for_new_standbys(XLogRecPtr lsn)
{
	while (!claiim_standbys_defined())
	{
		if (commit_reached_standbys(lsn) || ProcDiePending ||
			QueryCancelPending || ConfigReloadPending)
			return;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 POLL_INTERVAL, wait_event_new_standbys());
		ResetLatch(MyLatch);
	}
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(lsn, true);
	RESUME_INTERRUPTS();
}

/*
 * A commit waits for the standbys only from when the checkpointer has read that
 * there are any, which it does when it has time.  Until then we wait, with the
 * batch lock, as if the commit did: nobody who governs must have come back
 * before this batch is answered.
 */
static void
commit_and_wait(void)
{
	LOCKTAG		tag;

	claiim_batch_locktag(&tag);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	PG_TRY();
	{
		CommitTransactionCommand();
		wait_for_new_standbys(XactLastCommitEnd);
	}
	PG_FINALLY();
	{
		(void) LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
}

static void
begin_batch(void)
{
	LOCKTAG		tag;

	bool		mine;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	claiim_batch_locktag(&tag);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);

	/*
	 * There must be one writer.  Should another have been started, for this
	 * one was thought dead, the later one is it; and whatever was recorded
	 * since our last batch was not by us.
	 */
	LWLockAcquire(claiim_shared->lock, LW_SHARED);
	mine = my_db->writer_generation == my_generation;
	if (my_db->last_seq != tip.seq)
		forget_tip();
	LWLockRelease(claiim_shared->lock);
	if (!mine)
		ereport(FATAL,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("another writer of Chron has taken this one's place")));
}

/* Commit; true if it is as durable as it must be. */
static bool
commit_batch(void)
{
	int64		began = claiim_ticks();

	PopActiveSnapshot();
	if (standbys_wanted() && !claiim_standbys_defined())
		commit_and_wait();
	else
		CommitTransactionCommand();
	commit_us = claiim_ticks() - began;
	return commit_reached_standbys(XactLastCommitEnd);
}

static void
remember_tip(void)
{
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	/* The transaction is over: nothing may be looked up any more. */
	my_db->chron_relid = tip_chron;
	my_db->last_seq = tip.seq;
	LWLockRelease(claiim_shared->lock);
}

/* Whether the outbox is to be emptied; a batch that fails must set it again. */
static bool
take_acts_flag(void)
{
	bool		waiting;

	if (!my_db->acts_waiting)
		return false;			/* the batch lock keeps it so */
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	waiting = my_db->acts_waiting;
	my_db->acts_waiting = false;
	LWLockRelease(claiim_shared->lock);
	return waiting;
}

/*
 * Does what was decided still hold, at the place in Chron's order and at the
 * very time at which it would be recorded?  If so, and it is made inside of a
 * session, it has taken a use of that.
 */
static bool
still_holds(ChronRequest *request, uint64 epoch, int64 now)
{
	request->at = FROM_UNIX_US(record_time(now));
	if (request->epoch != epoch || request->at >= request->not_after)
		return false;
	if (request->session[0] == '\0')
		return true;
	request->used_up = !chron_uses_take(request->session, request->max_uses,
										request->at);
	return !request->used_up;
}

/*
 * A completion, of an action that has none yet.  If it has one, the caller is
 * told, and nobody else notices.
 */
static bool
completes_action(ChronRequest *request, int64 now)
{
	if (completion_insert(request, tip.seq + 1, FROM_UNIX_US(record_time(now))))
		return true;
	request->sqlstate = ERRCODE_UNIQUE_VIOLATION;
	strlcpy(request->message, "the action is completed already",
			sizeof(request->message));
	return false;
}

/*
 * Record "requests", or take a batch off the queue first if n is 0.
 */
static void
record(ChronRequest **requests, int n)
{
	ChronInserter *inserter;
	bool		uses_written;
	bool		durable;
	uint64		epoch;

	begin_batch();
	if (n == 0 && !partitions_known())
	{
		CommitTransactionCommand();
		chron_batch_ensure_partitions();
		begin_batch();
	}
	if (n == 0)
	{
		nbatch = n = chron_queue_take(my_db, batch);
		requests = batch;
	}

	/*
	 * In this order: a request's evaluation saw only what was committed
	 * before it was queued, so this snapshot sees it as well; and while we
	 * hold the batch lock no governance commits, so the epoch stands still.
	 */
	PushActiveSnapshot(GetTransactionSnapshot());
	know_tip();
	nacts = 0;
	inserter = chron_insert_begin();
	if (my_log[0] == '\0')
	{
		append_log_open(inserter);
		append_writer_start(inserter);
	}
	if (take_acts_flag())
		append_outbox(inserter);

	epoch = pg_atomic_read_u64(&my_db->epoch);
	for (int i = 0; i < n; i++)
	{
		ChronRequest *request = requests[i];
		int64		now = UNIX_US(GetCurrentTimestamp());
		int64		at;

		if (!still_holds(request, epoch, now))
		{
			states[i] = REQUEST_STALE;
			continue;
		}
		if (request->completes != 0 && !completes_action(request, now))
		{
			states[i] = REQUEST_FAILED;
			continue;
		}
		append(inserter, request->data, request->fields_len, request->nfields,
			   now, &request->seq, &at);
		request->at = FROM_UNIX_US(at);
		if (request->context_len > 0)
			insert_context(request->seq, request);
		if (request->token_id[0] != '\0')
			token_use_note(request->token_id, request->at);
		states[i] = REQUEST_RECORDED;
	}
	chron_uses_write();
	chron_insert_end(inserter);
	uses_written = token_use_due() && token_use_write();
	durable = commit_batch();
	if (uses_written)
		token_use_forget();

	if (!durable)
	{
		for (int i = 0; i < n; i++)
		{
			if (states[i] != REQUEST_RECORDED)
				continue;
			requests[i]->sqlstate = ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN;
			strlcpy(requests[i]->message,
					"it is recorded here, but the synchronous standby has not confirmed it",
					sizeof(requests[i]->message));
			states[i] = REQUEST_FAILED;
		}
	}
	else
		remember_tip();
	chron_gather_note(n, commit_us, chron_queue_length(my_db));
	stats_batch(&my_db->stats, n, requests, states, nacts, commit_us);
	chron_queue_finish(n, requests, states);
	nbatch = 0;
}

/*
 * Is it the data's fault, so that trying one by one makes sense?  What an index
 * on an expression calls can be written in any language, and say no in its way.
 */
static bool
fault_of_data(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_PLPGSQL_ERROR:
		case ERRCODE_CASE_NOT_FOUND:
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
		case ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION:
		case ERRCODE_INTERNAL_ERROR:
			return sqlstate != ERRCODE_DATA_CORRUPTED;
		default:
			return false;
	}
}

static void
fail(ChronRequest **requests, int n, const ErrorData *error)
{
	for (int i = 0; i < n; i++)
	{
		requests[i]->sqlstate = error->sqlerrcode;
		requests[i]->message[0] = '\0';
		text_append(requests[i]->message, sizeof(requests[i]->message),
					error->message);
		states[i] = REQUEST_FAILED;
	}
	stats_batch(&my_db->stats, n, requests, states, 0, 0);
	chron_queue_finish(n, requests, states);
}

/*
 * As record, but an error ends in the requests, not in the worker.  False
 * after one that the next batch would meet as well, so that it had better
 * wait; the cancel of one that had requests is not.
 */
static bool
record_or_fail(ChronRequest **requests, int n)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		record(requests, n);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		bool		cancelled;
		ChronRequest **failed;
		int			nfailed;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		cancelled = (error->sqlerrcode == ERRCODE_QUERY_CANCELED);
		chron_batch_abort(context);

		forget_tip();
		LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
		my_db->acts_waiting = true;
		LWLockRelease(claiim_shared->lock);

		/*
		 * Nothing was taken yet.  If it was only a lock, or a cancel, those
		 * who wait can go on waiting; otherwise tell them what is wrong.
		 */
		if (n == 0 && nbatch == 0 && !cancelled &&
			error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			nbatch = chron_queue_take(my_db, batch);
		nfailed = (n == 0) ? nbatch : n;
		failed = (n == 0) ? retry : requests;
		if (n == 0)
			memcpy(retry, batch, sizeof(ChronRequest *) * nfailed);
		if (n == 0 && nfailed > 1 && fault_of_data(error->sqlerrcode))
		{
			/* They stay in "batch" until done, for writer_exit. */
			for (int i = 0; i < nfailed; i++)
			{
				memcpy(batch, &failed[i], sizeof(ChronRequest *) * (nfailed - i));
				nbatch = nfailed - i;
				/* A commit's end left us where nothing is ever freed. */
				MemoryContextSwitchTo(context);
				(void) record_or_fail(&failed[i], 1);
			}
			nbatch = 0;
		}
		else
		{
			if (n == 0)
				nbatch = 0;
			fail(failed, nfailed, error);
		}
		good = cancelled && nfailed > 0;
		FreeErrorData(error);
	}
	PG_END_TRY();
	return good;
}

/*
 * For the writer
 */

/*
 * Recover the tip, open the log if this is a new one, and record that a
 * writer has started.  After an error it may be called again.
 */
void
chron_batch_start(ClaiimDatabase *db, uint64 generation)
{
	ChronInserter *inserter;
	int			nslots = claiim_shared->nslots;

	my_db = db;
	my_generation = generation;
	if (batch == NULL)
	{
		batch = MemoryContextAlloc(TopMemoryContext, sizeof(*batch) * nslots);
		retry = MemoryContextAlloc(TopMemoryContext, sizeof(*retry) * nslots);
		states = MemoryContextAlloc(TopMemoryContext, sizeof(*states) * nslots);
	}
	forget_tip();
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	know_tip();
	PopActiveSnapshot();
	CommitTransactionCommand();
	chron_batch_ensure_partitions();

	forget_tip();
	begin_batch();
	PushActiveSnapshot(GetTransactionSnapshot());
	know_tip();
	nacts = 0;
	inserter = chron_insert_begin();
	if (my_log[0] == '\0')
		append_log_open(inserter);
	append_writer_start(inserter);
	chron_insert_end(inserter);
	(void) commit_batch();
	stats_batch(&my_db->stats, 0, NULL, NULL, nacts, commit_us);
	remember_tip();
}

/* Take what waits and record it; false if the next had better wait. */
bool
chron_batch_run(void)
{
	chron_gather(my_db);
	return record_or_fail(NULL, 0);
}

/* The writer exits: nobody may go on waiting for what is in flight. */
void
chron_batch_abandon(void)
{
	for (int i = 0; i < nbatch; i++)
	{
		batch[i]->sqlstate = ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN;
		strlcpy(batch[i]->message, "Chron's writer was stopped",
				sizeof(batch[i]->message));
		states[i] = REQUEST_FAILED;
	}
	if (nbatch > 0)
	{
		stats_batch(&my_db->stats, nbatch, batch, states, 0, 0);
		chron_queue_finish(nbatch, batch, states);
	}
	nbatch = 0;
}
