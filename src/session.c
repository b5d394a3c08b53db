/*-------------------------------------------------------------------------
 *
 * session.c
 *	  Approved sessions in the server: reading them, and what agents call to
 *	  ask for one and to see how one stands.
 *
 * Whether a session fits is policy_session.c's question, and whether a use
 * is left is the writer's (chron_uses.c).  How a session comes to be granted,
 * refused or revoked is in sql/11_sessions.sql; so is all that is checked of
 * a request, beside who makes it.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(claiim_request_session);
PG_FUNCTION_INFO_V1(claiim_session_status);

#define SESSION_COLUMNS \
	"SELECT s.session, s.agent, s.status, claiim._session_lapses_at(s)," \
	" s.valid_from, s.valid_until, s.max_uses::bigint," \
	" coalesce(u.used >= s.max_uses, false), s.approved_by, s.actions, s.targets" \
	" FROM claiim.sessions s" \
	" LEFT JOIN claiim.session_uses u ON u.session = s.session"

static ClaiimQuery open_query = {
	SESSION_COLUMNS
	" WHERE s.agent = $1 AND s.status = 'granted'"
	" AND s.valid_until > clock_timestamp() ORDER BY s.session",
	1, {TEXTOID}, NULL
};
static ClaiimQuery one_query = {
	SESSION_COLUMNS
	" WHERE s.session = $1 AND s.org = $2",
	2, {TEXTOID, TEXTOID}, NULL
};
static ClaiimQuery request_query = {
	"SELECT claiim._request_session($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	9, {TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, INTERVALOID,
	INT4OID, TEXTOID, TEXTOID}, NULL
};
static ClaiimQuery status_query = {
	"SELECT s.session, claiim._session_state(s, u.used, clock_timestamp()),"
	" s.valid_from, s.valid_until,"
	" CASE WHEN s.max_uses IS NOT NULL"
	" THEN greatest(s.max_uses - coalesce(u.used, 0), 0)::integer END,"
	" s.approved_by, s.note"
	" FROM claiim.sessions s"
	" LEFT JOIN claiim.session_uses u ON u.session = s.session"
	" WHERE s.session = $1 AND s.agent = $2",
	2, {TEXTOID, TEXTOID}, NULL
};

/*
 * Reading, inside of an owner scope
 */

static SessionStatus
parse_status(const char *status)
{
	if (strcmp(status, "requested") == 0)
		return SESSION_STATUS_REQUESTED;
	if (strcmp(status, "granted") == 0)
		return SESSION_STATUS_GRANTED;
	if (strcmp(status, "refused") == 0)
		return SESSION_STATUS_REFUSED;
	return SESSION_STATUS_REVOKED;	/* whatever else it says, it is not granted */
}

/* Column "column" of row "row"; a NULL is 0. */
static Datum
get(uint64 row, int column, bool *isnull)
{
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, isnull);

	return *isnull ? (Datum) 0 : value;
}

static char *
get_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static const char *const *
get_texts(uint64 row, int column, int *n)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);
	const char **texts;
	Datum	   *elements;
	bool	   *nulls;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, n);
	texts = palloc0(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		texts[i] = nulls[i] ? "" : TextDatumGetCString(elements[i]);
	return texts;
}

/* Row "row" of SESSION_COLUMNS. */
static void
read_session(uint64 row, NamedSession *session)
{
	bool		isnull;

	memset(session, 0, sizeof(*session));
	session->name = get_text(row, 1);
	session->agent = get_text(row, 2);
	session->status = parse_status(get_text(row, 3));
	session->lapses_at = DatumGetTimestampTz(get(row, 4, &isnull));
	session->valid_from = DatumGetTimestampTz(get(row, 5, &isnull));
	session->valid_until = DatumGetTimestampTz(get(row, 6, &isnull));
	session->max_uses = DatumGetInt64(get(row, 7, &isnull));
	session->used_up = DatumGetBool(get(row, 8, &isnull));
	session->approved_by = get_text(row, 9);
	session->actions = get_texts(row, 10, &session->nactions);
	session->targets = get_texts(row, 11, &session->ntargets);
}

/*
 * The sessions of an agent that are granted and not over.  Their number; they
 * are in "context".
 */
int
session_load_open(const char *agent, MemoryContext context,
				  NamedSession **sessions)
{
	Datum		values[1] = {CStringGetTextDatum(agent)};
	int			n = claiim_query(&open_query, values, NULL, true, 0);
	MemoryContext old = MemoryContextSwitchTo(context);

	*sessions = palloc0(sizeof(NamedSession) * Max(n, 1));
	for (int i = 0; i < n; i++)
		read_session(i, &(*sessions)[i]);
	MemoryContextSwitchTo(old);
	return n;
}

/*
 * Which of an agent's sessions that were loaded before have no use left any
 * more; true if there is such a one.
 */
bool
session_reload_uses(const char *agent, int nsessions, NamedSession *sessions)
{
	Datum		values[1] = {CStringGetTextDatum(agent)};
	int			n = claiim_query(&open_query, values, NULL, true, 0);
	bool		found = false;

	for (int row = 0; row < n; row++)
	{
		char	   *name = get_text(row, 1);
		bool		isnull;

		if (!DatumGetBool(get(row, 8, &isnull)))
			continue;
		for (int i = 0; i < nsessions; i++)
		{
			if (sessions[i].used_up || strcmp(sessions[i].name, name) != 0)
				continue;
			sessions[i].used_up = true;
			found = true;
		}
	}
	return found;
}

/*
 * A session of an organization by its identifier, whatever its status and
 * whosever it is; false if there is none.
 */
bool
session_load(const char *session, const char *org, MemoryContext context,
			 NamedSession *loaded)
{
	Datum		values[2];
	MemoryContext old;

	values[0] = CStringGetTextDatum(session);
	values[1] = CStringGetTextDatum(org);
	if (claiim_query(&one_query, values, NULL, true, 1) == 0)
		return false;
	old = MemoryContextSwitchTo(context);
	read_session(0, loaded);
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * What agents call
 */

/* Who calls; raises 28000 unless that is proved to be "agent". */
static AgentEntry *
prove(FunctionCallInfo fcinfo, int token_arg, char **agent, Identity *identity)
{
	ClaiimDatabase *db;
	AgentEntry *entry;
	char	   *token = NULL;
	size_t		token_len = 0;
	size_t		len;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("agent must not be null")));
	*agent = claiim_text_arg(PG_GETARG_TEXT_PP(0), "agent", CLAIIM_MAX_AGENT,
							 &len);
	if (!PG_ARGISNULL(token_arg))
	{
		token = text_to_cstring(PG_GETARG_TEXT_PP(token_arg));
		token_len = VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(token_arg));
	}
	db = claiim_my_database();
	entry = directory_agent(*agent, pg_atomic_read_u64(&db->epoch));
	identity_prove(entry, *agent, token, token_len, GetCurrentTimestamp(),
				   identity);
	identity_require(identity);
	return entry;
}

/*
 * One request of an agent at a time, so that they can be counted.  A lock of
 * a class that no SQL function can name, and not the agent's row: with that
 * an agent could keep its own suspension waiting.  Nor one of claiim_serialize:
 * an agent of the right name could keep humans waiting.
 */
static void
lock_requests(const char *agent)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0xC1A121u,
						 DatumGetUInt32(hash_any((const unsigned char *) agent,
												 strlen(agent))), 0xC1);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * claiim_request_session(agent, actions[], targets[], reason [, ticket,
 * valid_for, max_uses, token]) -> text, the session's identifier
 *
 * Errors: 28000 if the identity is not proved; 25000 unless the transaction
 * is READ COMMITTED; 55000 in a transaction with uncommitted governance;
 * those of claiim._request_session.
 */
Datum
claiim_request_session(PG_FUNCTION_ARGS)
{
	char	   *agent;
	Identity	identity;
	Datum		values[9];
	char		nulls[10] = "         ";
	OwnerScope	scope;
	MemoryContext caller = CurrentMemoryContext;
	char	   *session;
	bool		direct = claiim_called_directly();
	ErrorContextCallback callback;

	claiim_hide_statement(&callback);
	claiim_require_preload();
	claiim_refuse_governing("claiim_request_session");
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("claiim_request_session needs the isolation level READ COMMITTED"),
				 errdetail("It is decided by the latest committed state, which an older snapshot does not show.")));
	(void) prove(fcinfo, 7, &agent, &identity);
	lock_requests(agent);

	values[0] = CStringGetTextDatum(agent);
	for (int i = 1; i < 7; i++)
	{
		values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		if (PG_ARGISNULL(i))
			nulls[i] = 'n';
	}
	values[7] = CStringGetTextDatum(identity.auth);
	values[8] = CStringGetTextDatum(identity.token_id);
	if (identity.token_id[0] == '\0')
		nulls[8] = 'n';

	claiim_owner_begin(&scope, false);
	PG_TRY();
	{
		(void) claiim_query(&request_query, values, nulls, false, 1);
	}
	PG_CATCH();
	{
		if (direct)
			claiim_rethrow_without_context(caller);
		PG_RE_THROW();
	}
	PG_END_TRY();
	session = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0],
													   SPI_tuptable->tupdesc,
													   1));
	claiim_owner_end(&scope);
	error_context_stack = callback.previous;
	PG_RETURN_TEXT_P(cstring_to_text(session));
}

/*
 * claiim_session_status(agent, session [, token]) -> one row
 *
 * Errors: 28000 if the identity is not proved; 42704 if the agent has no such
 * session; 55000 in a transaction with uncommitted governance; 22004, 22023.
 */
Datum
claiim_session_status(PG_FUNCTION_ARGS)
{
	char	   *agent;
	char	   *session;
	size_t		len;
	Identity	identity;
	OwnerScope	scope;
	Datum		keys[2];
	Datum		values[7];
	bool		nulls[7];
	TupleDesc	desc;
	HeapTuple	result;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	ErrorContextCallback callback;

	claiim_hide_statement(&callback);
	claiim_require_preload();
	claiim_refuse_governing("claiim_session_status");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	(void) prove(fcinfo, 2, &agent, &identity);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("session must not be null")));
	session = claiim_text_arg(PG_GETARG_TEXT_PP(1), "session",
							  CLAIIM_MAX_SESSION, &len);

	keys[0] = CStringGetTextDatum(session);
	keys[1] = CStringGetTextDatum(agent);
	claiim_owner_begin(&scope, true);
	if (claiim_query(&status_query, keys, NULL, true, 1) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("agent \"%s\" has no session \"%s\"", agent, session)));
	for (int i = 0; i < 7; i++)
		values[i] = get(0, i + 1, &nulls[i]);
	old = MemoryContextSwitchTo(caller);
	result = heap_form_tuple(desc, values, nulls);
	MemoryContextSwitchTo(old);
	claiim_owner_end(&scope);
	error_context_stack = callback.previous;
	PG_RETURN_DATUM(HeapTupleGetDatum(result));
}
