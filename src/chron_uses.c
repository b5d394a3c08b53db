/*-------------------------------------------------------------------------
 *
 * chron_uses.c
 *	  How often each session has been used: the one place that counts.
 *
 * A session can have a last use, and of all the callers that want it at one
 * time exactly one may get it.  The writer sees all of them one after the
 * other, so it counts: in memory, and once a batch in claiim.session_uses, in
 * the transaction that puts the ALLOWs into Chron.  So the number in the table
 * is that of the ALLOWs in Chron, whatever becomes of a caller's transaction,
 * of a batch, or of the writer.
 *
 * What is in memory stands for the table only as long as every batch has
 * committed: it is forgotten whenever the tip of the chain is (chron_batch.c).
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* With more than these in memory it begins anew. */
#define MAX_KEPT	1000

typedef struct SessionUses
{
	char		session[CLAIIM_SESSION_ID_LEN + 1]; /* hash key */
	int64		used;
	TimestampTz last_used_at;
	bool		changed;		/* ... since the table was written */
	struct SessionUses *next_changed;
} SessionUses;

static MemoryContext uses_context = NULL;
static HTAB *uses = NULL;
static SessionUses *changed = NULL;

static ClaiimQuery read_query = {
	"SELECT used FROM claiim.session_uses WHERE session = $1",
	1, {TEXTOID}, NULL
};
static ClaiimQuery write_query = {
	"INSERT INTO claiim.session_uses (session, used, last_used_at)"
	" VALUES ($1, $2, $3) ON CONFLICT (session) DO UPDATE"
	" SET used = excluded.used, last_used_at = excluded.last_used_at",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}, NULL
};

/* The table may say something else. */
void
chron_uses_forget(void)
{
	if (uses == NULL)
		return;
	uses = NULL;
	changed = NULL;
	MemoryContextReset(uses_context);
}

static int64
read_used(const char *session)
{
	OwnerScope	scope;
	Datum		values[1] = {CStringGetTextDatum(session)};
	int64		used = 0;
	bool		isnull;

	claiim_owner_begin(&scope, false);
	if (claiim_query(&read_query, values, NULL, false, 1) == 1)
		used = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 1, &isnull));
	claiim_owner_end(&scope);
	return used;
}

/* What is known of a session; from the table, if nothing is. */
static SessionUses *
find_uses(const char *session)
{
	SessionUses *entry;
	int64		used;

	if (uses == NULL)
	{
		HASHCTL		info;

		if (uses_context == NULL)
			uses_context = AllocSetContextCreate(TopMemoryContext,
												 "claiim session uses",
												 ALLOCSET_DEFAULT_SIZES);
		memset(&info, 0, sizeof(info));
		info.keysize = CLAIIM_SESSION_ID_LEN + 1;
		info.entrysize = sizeof(SessionUses);
		info.hcxt = uses_context;
		uses = hash_create("claiim session uses", 64, &info,
						   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	entry = hash_search(uses, session, HASH_FIND, NULL);
	if (entry != NULL)
		return entry;
	used = read_used(session);
	entry = hash_search(uses, session, HASH_ENTER, NULL);
	entry->used = used;
	entry->changed = false;
	return entry;
}

/*
 * Take a use of a session, of which there are max_uses (0: any number), for
 * an ALLOW recorded at "at".  False if none is left.
 */
bool
chron_uses_take(const char *session, int64 max_uses, TimestampTz at)
{
	SessionUses *entry = find_uses(session);

	if (max_uses > 0 && entry->used >= max_uses)
		return false;
	entry->used++;
	entry->last_used_at = at;
	if (!entry->changed)
	{
		entry->changed = true;
		entry->next_changed = changed;
		changed = entry;
	}
	return true;
}

/* Put what this batch has counted into the table. */
void
chron_uses_write(void)
{
	OwnerScope	scope;

	if (changed == NULL)
		return;
	claiim_owner_begin(&scope, false);
	for (; changed != NULL; changed = changed->next_changed)
	{
		Datum		values[3];

		values[0] = CStringGetTextDatum(changed->session);
		values[1] = Int64GetDatum(changed->used);
		values[2] = TimestampTzGetDatum(changed->last_used_at);
		(void) claiim_query(&write_query, values, NULL, false, 0);
		changed->changed = false;
	}
	claiim_owner_end(&scope);
	if (hash_get_num_entries(uses) > MAX_KEPT)
		chron_uses_forget();
}
