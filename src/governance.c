/*-------------------------------------------------------------------------
 *
 * governance.c
 *	  Governance acts: recorded exactly when they commit, effective at once.
 *
 * The SQL functions of governance call claiim._act() before they change a
 * governed table.  It puts the act into the outbox in that very transaction,
 * so that an act that is rolled back never was, and one that commits cannot
 * be lost.  From then on the transaction is "governing":
 *
 *	- before its commit it takes the batch lock, which the writer holds while
 *	  it records a batch: so it waits out the batch in flight, and none is
 *	  recorded while it commits;
 *	- right after its commit, still under that lock, it bumps the database's
 *	  epoch if it has changed anything that a decision depends on, and tells
 *	  the writer that acts are waiting;
 *	- the server releases the lock, and the next batch begins with the acts
 *	  and sends every ALLOW of an older epoch back for re-evaluation.
 *
 * So when the statement returns to the human, no later ALLOW under the old
 * state can be recorded, and in Chron the act stands before every decision
 * that was evaluated under it.  The batch lock is a heavyweight lock on
 * purpose: waiting for it is interruptible, the deadlock detector knows it,
 * and an abort anywhere releases it.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inet.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(claiim_act);
PG_FUNCTION_INFO_V1(claiim_begin_governing);
PG_FUNCTION_INFO_V1(claiim_guard_governed);

/* Largest act that Chron takes, in bytes of its detail. */
#define MAX_DETAIL	(1024 * 1024)

/*
 * Acts in one transaction.  The writer takes all of them before the next
 * decision, anybody's: this many keep the gate waiting for less than a second.
 */
#define MAX_ACTS	10000

/*
 * What the transaction may have kept for its commit in memory, in bytes: the
 * notifications above all (NOTIFY), which are queued under the batch lock.
 */
#define MAX_PENDING	(8 * 1024 * 1024)

/* The longest that a caller keeps governance waiting, in ms. */
#define MAX_HOLD	10000

/*
 * The subtransaction that the first act was in, which the whole transaction's
 * governing hangs on: if it is rolled back, the act never was.
 */
static SubTransactionId governing_in = InvalidSubTransactionId;

/* The same of the first act by which contexts are removed. */
static SubTransactionId erasing_in = InvalidSubTransactionId;

/* Longest that a transaction may sit idle with what others wait for, in ms. */
#define IDLE_TIMEOUT	30000

/* Of the whole transaction, whatever of it is rolled back to a savepoint. */
static bool has_governed = false;	/* it may hold governance's locks */
static bool moves_epoch = false;
static int	nacts = 0;

/*
 * Where no decision depends on a governed table, or on rows that are added to
 * it, the epoch stays: or proposals and token issues in a tight loop would
 * keep every ALLOW from being recorded.  What is not named here moves it, so
 * that a table that is forgotten costs time and not a revocation.
 */
static const struct
{
	const char *table;
	bool		insert_only;
}			indifferent[] = {
	{"changes", false},
	{"approvals", false},
	{"memberships", false},
	{"quorums", false},
	{"reviews", false},
	{"retentions", false},
	{"holds", false},
	{"outbox", false},
	{"skills", true},			/* what is published does nothing yet */
	{"skill_versions", true},
	{"policies", true},
	{"policy_versions", true},
	{"tokens", true},			/* one that is not there is never cached */
	{"humans", true},			/* nobody's anchor yet */
	{"orgs", true},				/* nobody's organization yet */
	{"sessions", true},			/* one that is asked for opens nothing */
};

/* Only this file writes the outbox. */
static bool writing_outbox = false;

/*
 * Acts of different transactions are recorded in the order of their commits,
 * which their own times do not tell; this time is taken under the batch lock.
 */
static ClaiimQuery outbox_commit = {
	"UPDATE claiim.outbox SET committed_at = (SELECT clock_timestamp())"
	" WHERE xact = pg_current_xact_id()",
	0, {0}, NULL
};

static ClaiimQuery outbox_insert = {
	"INSERT INTO claiim.outbox"
	" (act_id, act, actor, org, subject, change, detail, db_user, client)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	9, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID}, NULL
};

/* Has this transaction uncommitted governance in it? */
static bool
is_governing(void)
{
	return governing_in != InvalidSubTransactionId;
}

/*
 * Errors: 55000 in a transaction with uncommitted governance.
 */
void
claiim_refuse_governing(const char *what)
{
	if (is_governing())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot run in a transaction with uncommitted governance acts",
						what),
				 errdetail("It would decide by what may be rolled back."),
				 errhint("Commit first.")));
}

/* Advisory locks of a class that no SQL function can name. */
void
claiim_batch_locktag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0xC1A11Fu, 1, 0xC1);
}

/* Held by whoever relies on there being no log yet; see chron_log.c. */
void
claiim_log_locktag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0xC1A11Fu, 2, 0xC1);
}

/*
 * Held by whoever is about to move the epoch, and shared by callers that
 * cannot get a decision recorded between one such and the next.
 */
static void
epoch_locktag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0xC1A11Fu, 3, 0xC1);
}

/*
 * Wait for those who are about to move the epoch, and let nobody move it until
 * claiim_release_epoch, or until an error.  Returns until when at most the
 * caller may wait under it for what it has to, given what it would have: it
 * keeps governance waiting, a kill switch too, and claiim.queue_timeout is the
 * caller's own setting.
 *
 * Errors: 55P03 after claiim.queue_timeout, or lock_timeout if that is less.
 */
int64
claiim_hold_epoch(int64 deadline)
{
	int			guc_level = NewGUCNestLevel();
	char		timeout[16];
	LOCKTAG		tag;

	if (LockTimeout == 0 || LockTimeout > claiim_queue_timeout)
	{
		snprintf(timeout, sizeof(timeout), "%d", claiim_queue_timeout);
		(void) set_config_option("lock_timeout", timeout,
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	epoch_locktag(&tag);
	(void) LockAcquire(&tag, ShareLock, false, false);
	AtEOXact_GUC(false, guc_level);
	return Min(deadline, CLAIIM_DEADLINE(MAX_HOLD));
}

void
claiim_release_epoch(void)
{
	LOCKTAG		tag;

	epoch_locktag(&tag);
	(void) LockRelease(&tag, ShareLock, false);
}

static void
governing_committed(void)
{
	ClaiimDatabase *db = claiim_find_database(MyDatabaseId);
	Latch	   *latch = NULL;

	if (db == NULL)
		return;					/* not preloaded: nobody caches across */
	if (moves_epoch)
		pg_atomic_fetch_add_u64(&db->epoch, 1);
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	db->acts_waiting = true;
	if (db->writer_proc != NULL)
		latch = &db->writer_proc->procLatch;
	LWLockRelease(claiim_shared->lock);
	if (latch)
		SetLatch(latch);
}

static void
forget_acts(void)
{
	governing_in = InvalidSubTransactionId;
	erasing_in = InvalidSubTransactionId;
	writing_outbox = false;
}

static void
forget_transaction(void)
{
	forget_acts();
	has_governed = false;
	moves_epoch = false;
	nacts = 0;
}

static void
governance_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
							SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		writing_outbox = false;
	if (erasing_in == mySubid && event == SUBXACT_EVENT_COMMIT_SUB)
		erasing_in = parentSubid;
	else if (erasing_in == mySubid && event == SUBXACT_EVENT_ABORT_SUB)
		erasing_in = InvalidSubTransactionId;
	if (governing_in != mySubid)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		directory_forget();
		forget_acts();
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		governing_in = parentSubid;
}

/*
 * Whatever else this commit has to do, which its client may have made to take
 * as long as it likes, is to be done before everybody waits for it.
 */
static void
clear_decks(void)
{
	/* Temporary tables, of which there can be thousands; see below. */
	PreCommit_on_commit_actions();

	/* This cannot be done beforehand, only kept small. */
	if (MemoryContextMemAllocated(TopTransactionContext, true) > MAX_PENDING)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a transaction with governance acts has too much to do at its commit"),
				 errdetail("Its notifications, and what else it keeps in memory until then, are more than %d MB.",
						   MAX_PENDING / (1024 * 1024)),
				 errhint("Call governance functions in a transaction of their own.")));
}

static void
before_commit(void)
{
	LOCKTAG		tag;
	OwnerScope	scope;

	clear_decks();
	if (moves_epoch)
	{
		epoch_locktag(&tag);
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	}
	claiim_batch_locktag(&tag);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	claiim_owner_begin(&scope, false);
	writing_outbox = true;
	(void) claiim_query(&outbox_commit, NULL, NULL, false, 0);
	writing_outbox = false;
	claiim_owner_end(&scope);
	PopActiveSnapshot();

	/* What returns as done must be as durable as a decision. */
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on",
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);

	/* ON COMMIT DELETE ROWS has been done: not once more, under the lock. */
	MyXactFlags &= ~XACT_FLAGS_ACCESSEDTEMPNAMESPACE;
}

static void
governance_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (is_governing())
				before_commit();
			break;
		case XACT_EVENT_COMMIT:
			if (is_governing())
				governing_committed();
			forget_transaction();
			break;
		case XACT_EVENT_ABORT:
			if (is_governing())
				directory_forget();
			forget_transaction();
			break;
		case XACT_EVENT_PRE_PREPARE:
			/* Locks without an act would outlive every session as well. */
			if (has_governed)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that contains governance acts"),
						 errdetail("Between PREPARE and COMMIT PREPARED the acts would be neither in force nor undone.")));
			break;
		default:
			break;
	}
}

void
claiim_governance_init(void)
{
	RegisterXactCallback(governance_xact_callback, NULL);
	RegisterSubXactCallback(governance_subxact_callback, NULL);
}

/*
 * The client's address as text, or NULL for a local socket or a worker.  It
 * is asked for as SQL would, since the Port's header needs Kerberos'.
 */
const char *
claiim_client_address(void)
{
	static char *address = NULL;
	static bool known = false;

	if (!known)
	{
		LOCAL_FCINFO(fcinfo, 0);
		Datum		value;

		InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
		value = inet_client_addr(fcinfo);
		if (!fcinfo->isnull)
			address = MemoryContextStrdup(TopMemoryContext,
										  TextDatumGetCString(DirectFunctionCall1(network_host,
																				  value)));
		known = true;
	}
	return address;
}

/*
 * claiim._begin_governing() -> void
 *
 * What this transaction does from here on takes locks.  It cannot be prepared,
 * for then nobody's session would hold them; and it may not sit idle for long,
 * unless its human insists, and then a kill switch gets past it (locks.c).
 */
Datum
claiim_begin_governing(PG_FUNCTION_ARGS)
{
	/* Every time: it goes with a savepoint that is rolled back. */
	if (IdleInTransactionSessionTimeout == 0 ||
		IdleInTransactionSessionTimeout > IDLE_TIMEOUT)
		(void) set_config_option("idle_in_transaction_session_timeout", "30s",
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	has_governed = true;
	PG_RETURN_VOID();
}

/* context.prune and context.erase */
static bool
erases_contexts(text *act)
{
	char	   *name = text_to_cstring(act);

	return strcmp(name, "context.prune") == 0 ||
		strcmp(name, "context.erase") == 0;
}

/*
 * claiim._act(act, actor, org, subject, change, detail jsonb) -> void
 *
 * Errors: 22004 if act is NULL; 54000 if the detail is too large, or if the
 * transaction has too many acts; 55000 without the preload; 25006 on a standby.
 */
Datum
claiim_act(PG_FUNCTION_ARGS)
{
	char		act_id[TYPEID_MAX_LEN + 1];
	Datum		values[9];
	char		nulls[10] = "         ";
	const char *client = claiim_client_address();
	OwnerScope	scope;

	claiim_require_preload();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("act must not be null")));
	if (++nacts > MAX_ACTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many governance acts in one transaction"),
				 errdetail("At most %d are accepted.", MAX_ACTS),
				 errhint("Commit in between: the gate waits until all of them are in Chron.")));

	claiim_new_typeid("act", act_id, sizeof(act_id));
	memset(values, 0, sizeof(values));
	values[0] = CStringGetTextDatum(act_id);
	for (int i = 0; i < 5; i++)
	{
		if (PG_ARGISNULL(i))
			nulls[i + 1] = 'n';
		else
			values[i + 1] = PG_GETARG_DATUM(i);
	}
	if (PG_ARGISNULL(5))
		nulls[6] = 'n';
	else
	{
		Jsonb	   *detail = PG_GETARG_JSONB_P(5);
		char	   *detail_text = JsonbToCString(NULL, &detail->root,
												 VARSIZE(detail));

		if (strlen(detail_text) > MAX_DETAIL)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the detail of a governance act is too large"),
					 errdetail("It has %zu bytes; at most %d are accepted.",
							   strlen(detail_text), MAX_DETAIL)));
		values[6] = CStringGetTextDatum(detail_text);
	}
	values[7] = CStringGetTextDatum(claiim_session_user_name());
	if (client == NULL)
		nulls[8] = 'n';
	else
		values[8] = CStringGetTextDatum(client);

	/* The writer should be there, but a kill switch must work without it. */
	chron_try_start_writer(claiim_my_database());

	claiim_owner_begin(&scope, false);
	writing_outbox = true;
	(void) claiim_query(&outbox_insert, values, nulls, false, 0);
	writing_outbox = false;
	claiim_owner_end(&scope);
	has_governed = true;
	if (!is_governing())
		governing_in = GetCurrentSubTransactionId();
	if (erasing_in == InvalidSubTransactionId &&
		erases_contexts(PG_GETARG_TEXT_PP(0)))
		erasing_in = GetCurrentSubTransactionId();
	PG_RETURN_VOID();
}

/* May the current user remove contexts?  See chron_guard.c. */
bool
claiim_may_erase(void)
{
	return erasing_in != InvalidSubTransactionId &&
		GetUserId() == claiim_catalog(false)->owner;
}

static bool
is_indifferent(TriggerEvent event, Relation relation)
{
	const char *name = RelationGetRelationName(relation);

	for (size_t i = 0; i < lengthof(indifferent); i++)
		if (strcmp(indifferent[i].table, name) == 0)
			return !indifferent[i].insert_only || TRIGGER_FIRED_BY_INSERT(event);
	return false;
}

static bool
may_change(TriggerEvent event, Relation relation)
{
	const ClaiimCatalog *catalog = claiim_catalog(false);
	bool		owner = GetUserId() == catalog->owner;

	if (TRIGGER_FIRED_BY_TRUNCATE(event))
		return false;
	if (claiim_am_writer)
		return true;

	/* The functions of governance run as the owner; nobody else is let in. */
	if (RelationGetRelid(relation) == catalog->tables[TABLE_OUTBOX] ?
		writing_outbox : (owner && is_governing()))
		return true;

	/*
	 * Last, for it takes a lock that the writer wants when it opens a log,
	 * and holds the batch lock; who is governing will want that.
	 */
	return TRIGGER_FIRED_BY_INSERT(event) && !is_governing() &&
		(owner || superuser()) && !chron_log_is_open();
}

/*
 * claiim._guard_governed(): trigger on every governed table
 *
 * Lets through what claiim's functions do after an act in the same
 * transaction, what the writer does, and the INSERTs of a restore (no log is
 * open in this database yet).  The outbox is claiim_act's and the writer's.
 *
 * Errors: 42501 for everything else, by whomever.
 */
Datum
claiim_guard_governed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function can only be called as a trigger")));

	if (!may_change(trigdata->tg_event, trigdata->tg_relation))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table claiim.%s cannot be changed directly",
						RelationGetRelationName(trigdata->tg_relation)),
				 errdetail("Governance acts are recorded in Chron, whoever does them."),
				 errhint("Use the functions in schema claiim.")));

	if (!is_indifferent(trigdata->tg_event, trigdata->tg_relation))
		moves_epoch = true;
	if (!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		PG_RETURN_NULL();
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
						   trigdata->tg_newtuple : trigdata->tg_trigtuple);
}
