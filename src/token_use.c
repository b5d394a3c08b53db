/*-------------------------------------------------------------------------
 *
 * token_use.c
 *	  When each token was last used.
 *
 * Whoever rotates tokens wants to know which are still in use.  Chron has
 * every use, but to find the last ones there is to read all of it.  So the
 * writer, which alone runs this, remembers what it has recorded, and writes
 * it into claiim.token_uses once a minute, in the transaction of a batch, and
 * when it is told to stop.  A crash takes at most the last minute's.
 *
 * Nothing is decided by it, and so it must not get in a decision's way: a
 * lock that is not free, or an error, puts it off for a minute.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* In ms. */
#define WRITE_INTERVAL	60000

typedef struct TokenUse
{
	char		token_id[CLAIIM_TOKEN_ID_LEN + 1];	/* hash key */
	TimestampTz last_used_at;
} TokenUse;

/* What is not yet written down; NULL: nothing. */
static HTAB *uses = NULL;
static MemoryContext uses_context = NULL;

/* When that was last tried. */
static TimestampTz tried_at = 0;

static ClaiimQuery use_upsert = {
	"INSERT INTO claiim.token_uses (token, last_used_at)"
	" SELECT u.token, u.at FROM unnest($1, $2) AS u (token, at)"
	" ON CONFLICT (token) DO UPDATE SET last_used_at = excluded.last_used_at",
	2, {TEXTARRAYOID, TIMESTAMPTZARRAYOID}, NULL
};

/*
 * A decision is being recorded for somebody whom this token proved.  Should
 * the batch fail after all, the token was used all the same.
 */
void
token_use_note(const char *token_id, TimestampTz at)
{
	TokenUse   *use;

	if (uses == NULL)
	{
		HASHCTL		info;

		if (uses_context == NULL)
			uses_context = AllocSetContextCreate(TopMemoryContext,
												 "claiim token uses",
												 ALLOCSET_DEFAULT_SIZES);
		memset(&info, 0, sizeof(info));
		info.keysize = CLAIIM_TOKEN_ID_LEN + 1;
		info.entrysize = sizeof(TokenUse);
		info.hcxt = uses_context;
		uses = hash_create("claiim token uses", 64, &info,
						   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	use = hash_search(uses, token_id, HASH_ENTER, NULL);
	use->last_used_at = at;
}

/* Is it time to write down what there is?  Also if the clock was set back. */
bool
token_use_due(void)
{
	TimestampTz now;

	if (uses == NULL)
		return false;
	now = GetCurrentTimestamp();
	return now < tried_at ||
		TimestampDifferenceExceeds(tried_at, now, WRITE_INTERVAL);
}

/* How long to sleep, in ms: no longer than "ms", and than until it is due. */
long
token_use_wait(long ms)
{
	TimestampTz due;

	if (uses == NULL)
		return ms;
	due = TimestampTzPlusMilliseconds(tried_at, WRITE_INTERVAL);
	return Min(ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), due) + 1);
}

/* False if somebody else has locked the table. */
static bool
upsert(void)
{
	Oid			relid = get_relname_relid("token_uses",
										  claiim_catalog(false)->schema);
	long		n = hash_get_num_entries(uses);
	Datum	   *token_ids = palloc(sizeof(Datum) * n);
	Datum	   *times = palloc(sizeof(Datum) * n);
	HASH_SEQ_STATUS scan;
	TokenUse   *use;
	OwnerScope	scope;
	Datum		values[2];

	if (!ConditionalLockRelationOid(relid, RowExclusiveLock))
		return false;
	n = 0;
	hash_seq_init(&scan, uses);
	while ((use = hash_seq_search(&scan)) != NULL)
	{
		token_ids[n] = CStringGetTextDatum(use->token_id);
		times[n++] = TimestampTzGetDatum(use->last_used_at);
	}
	claiim_owner_begin(&scope, false);
	values[0] = PointerGetDatum(construct_array(token_ids, n, TEXTOID,
												-1, false, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(times, n, TIMESTAMPTZOID,
												sizeof(TimestampTz),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	(void) claiim_query(&use_upsert, values, NULL, false, 0);
	claiim_owner_end(&scope);
	return true;
}

/*
 * Write them down, in the transaction under way, which goes on whatever comes
 * of it.  If true is returned: token_use_forget after its commit.
 */
bool
token_use_write(void)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool written = false;

	tried_at = GetCurrentTimestamp();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		written = upsert();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		written = false;
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return written;
}

/* They are in the table. */
void
token_use_forget(void)
{
	uses = NULL;
	MemoryContextReset(uses_context);
}

/*
 * The writer has been told to stop, and is between two batches: write down
 * what there is.
 *
 * That the process is to die is put aside meanwhile, or the first wait would
 * end it.  A second signal still does, so no wait here is for long; and this
 * commit, which no answer hangs on, waits for no standby and no flush.
 */
void
token_use_stop(void)
{
	bool		dying = ProcDiePending;
	MemoryContext context = CurrentMemoryContext;
	bool		written;

	if (uses == NULL)
		return;
	ProcDiePending = false;
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		(void) set_config_option("synchronous_commit", "off",
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
		PushActiveSnapshot(GetTransactionSnapshot());
		written = token_use_write();
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (written)
			token_use_forget();
	}
	PG_CATCH();
	{
		chron_batch_abort(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (dying)
	{
		ProcDiePending = true;
		InterruptPending = true;
	}
}
