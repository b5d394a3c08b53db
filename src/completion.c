/*-------------------------------------------------------------------------
 *
 * completion.c
 *	  What became of an allowed action: claiim_complete.
 *
 * A completion goes the way of a decision: its record is handed to the
 * writer, is on disk before the caller is answered, and outlives whatever
 * becomes of the caller's transaction.  That an action is completed once is
 * for the writer to see, which alone knows what is recorded.
 *
 * Only the agent that was allowed can complete, and it proves who it is as
 * it did at the gate.  A decision that is not the caller's is, to the caller,
 * one that does not exist.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(claiim_complete);

static ClaiimQuery decision_query = {
	"SELECT agent, outcome, org FROM claiim.chron"
	" WHERE seq = $1 AND at = $2 AND kind = 'decision'",
	2, {INT8OID, TIMESTAMPTZOID}, NULL
};
static ClaiimQuery insert_query = {
	"INSERT INTO claiim.completions (seq, org, at, status, completion_seq)"
	" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (seq) DO NOTHING",
	5, {INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT8OID}, NULL
};

typedef struct Completion
{
	char	   *chron_id;		/* of the decision */
	char	   *status;
	char	   *detail;			/* NULL: none */
	size_t		detail_len;
	char	   *token;			/* NULL: not given */
	size_t		token_len;

	/* The decision. */
	int64		seq;
	char	   *agent;
	char	   *outcome;
	char	   *org;
} Completion;

/*
 * The arguments
 */

static char *
required_text(FunctionCallInfo fcinfo, int arg, const char *what)
{
	size_t		len;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return claiim_text_arg(PG_GETARG_TEXT_PP(arg), what, TYPEID_MAX_LEN, &len);
}

static void
read_arguments(FunctionCallInfo fcinfo, Completion *completion)
{
	memset(completion, 0, sizeof(*completion));
	completion->chron_id = required_text(fcinfo, 0, "chron_id");
	completion->status = required_text(fcinfo, 1, "status");
	if (strcmp(completion->status, "succeeded") != 0 &&
		strcmp(completion->status, "failed") != 0 &&
		strcmp(completion->status, "cancelled") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not what can become of an action",
						completion->status),
				 errhint("Expected one of: succeeded, failed, cancelled.")));
	if (!PG_ARGISNULL(2))
		completion->detail = question_json(PG_GETARG_DATUM(2), "detail",
										   &completion->detail_len);
	if (!PG_ARGISNULL(3))
	{
		completion->token = text_to_cstring(PG_GETARG_TEXT_PP(3));
		completion->token_len = VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(3));
	}
}

/*
 * The decision
 */

static char *
keep(MemoryContext context, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

/* As it is in Chron, by the latest committed state; no agent if there is none. */
static void
read_decision(Completion *completion)
{
	MemoryContext caller = CurrentMemoryContext;
	OwnerScope	scope;
	Datum		values[2];
	TimestampTz at;

	claiim_decode_chron_id(cstring_to_text(completion->chron_id),
						   &completion->seq, &at);
	claiim_owner_begin(&scope, true);
	values[0] = Int64GetDatum(completion->seq);
	values[1] = TimestampTzGetDatum(at);
	if (claiim_query(&decision_query, values, NULL, true, 1) == 1)
	{
		completion->agent = keep(caller, 1);
		completion->outcome = keep(caller, 2);
		completion->org = keep(caller, 3);
	}
	claiim_owner_end(&scope);
}

/*
 * The record
 */

static void
encode(const Completion *completion, const Identity *identity, uint64 epoch,
	   ChronRequest *request)
{
	ChronEncoder enc;
	char		detail[64];

	chron_request_start(request, &enc);
	request->allow = true;		/* a token that was revoked proves nothing */
	request->epoch = epoch;
	request->not_after = identity->not_after;
	request->completes = completion->seq;
	strlcpy(request->completion, completion->status,
			sizeof(request->completion));

	snprintf(detail, sizeof(detail), "{\"status\": \"%s\"}", completion->status);
	chron_encode_text(&enc, CHRON_FIELD_KIND, "act");
	chron_encode_text(&enc, CHRON_FIELD_AGENT, completion->agent);
	chron_encode_text(&enc, CHRON_FIELD_ORG, completion->org);
	chron_encode_text(&enc, CHRON_FIELD_AUTH, identity->auth);
	if (identity->token_id[0])
		chron_encode_text(&enc, CHRON_FIELD_TOKEN, identity->token_id);
	chron_encode_text(&enc, CHRON_FIELD_DB_USER, claiim_session_user_name());
	chron_encode_text(&enc, CHRON_FIELD_CLIENT, claiim_client_address());
	chron_request_context(request, &enc, completion->detail,
						  completion->detail_len);
	chron_encode_text(&enc, CHRON_FIELD_ACT, "action.complete");
	chron_encode_text(&enc, CHRON_FIELD_SUBJECT, completion->chron_id);
	chron_encode_text(&enc, CHRON_FIELD_DETAIL, detail);
	chron_request_end(request, &enc, completion->detail,
					  completion->detail_len);
}

static claiim_noreturn void
raise_failure(const Completion *completion, const ChronRequest *request)
{
	if (request->sqlstate == ERRCODE_UNIQUE_VIOLATION)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("the action of decision %s is completed already",
						completion->chron_id),
				 errdetail("What became of an action is recorded once, and stands.")));
	ereport(ERROR,
			(errcode(request->sqlstate ? request->sqlstate : ERRCODE_INTERNAL_ERROR),
			 errmsg("the completion could not be recorded"),
			 errdetail("%s.", request->message),
			 errhint("The server's log says more.")));
}

/*
 * Who calls, as of *now; raises 42501 unless that is the agent of the
 * decision, and 55000 if that was denied.
 */
static void
prove(const Completion *completion, uint64 epoch, TimestampTz now,
	  Identity *identity)
{
	AgentEntry *entry = NULL;

	identity->result = IDENTITY_AGENT_UNKNOWN;
	if (completion->agent != NULL)
	{
		entry = directory_agent(completion->agent, epoch);
		identity_prove(entry, completion->agent, completion->token,
					   completion->token_len, now, identity);
	}
	if (identity->result != IDENTITY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("there is no decision \"%s\" that you can complete",
						completion->chron_id),
				 errhint("Either there is no such decision, or you did not prove to be its agent.")));
	if (strcmp(completion->outcome, "ALLOW") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("decision %s has nothing to complete: it was a DENY",
						completion->chron_id)));
}

/*
 * One round, as of the gate: prove, hand over, wait, and fill in the
 * identifier of the record.  False if what was proved did not hold any more
 * when it came to that; *now is then the time when it did not.
 */
static bool
complete(ClaiimDatabase *db, const Completion *completion, int64 deadline,
		 TimestampTz *now, char chron_id[CHRON_ID_SIZE])
{
	uint64		epoch = pg_atomic_read_u64(&db->epoch);
	ChronRequest *request;
	Identity	identity;
	volatile bool done = false;

	pg_memory_barrier();
	*now = Max(*now, GetCurrentTimestamp());
	prove(completion, epoch, *now, &identity);

	chron_ensure_writer(db, "completion", deadline);
	chron_queue_reserve(db, 1, &request, "completion", deadline);
	PG_TRY();
	{
		RequestState state;

		encode(completion, &identity, epoch, request);
		chron_queue_push(db, 1, &request);
		chron_queue_wait(db, 1, &request, "completion", deadline);
		state = pg_atomic_read_u32(&request->state);
		if (state == REQUEST_FAILED)
			raise_failure(completion, request);
		*now = Max(*now, request->at);
		if (state == REQUEST_RECORDED)
			done = chron_id_encode(UNIX_US(request->at), request->seq, chron_id);
	}
	PG_FINALLY();
	{
		chron_queue_release(1, &request);
	}
	PG_END_TRY();
	return done;
}

/* The same while no governance that it hangs on can come in between. */
static bool
complete_undisturbed(ClaiimDatabase *db, const Completion *completion,
					 int64 deadline, TimestampTz *now,
					 char chron_id[CHRON_ID_SIZE])
{
	volatile bool done = false;

	deadline = claiim_hold_epoch(deadline);
	PG_TRY();
	{
		done = complete(db, completion, deadline, now, chron_id);
	}
	PG_FINALLY();
	{
		claiim_release_epoch();
	}
	PG_END_TRY();
	return done;
}

/*
 * claiim_complete(chron_id, status [, detail, token]) -> text, the identifier
 * of the completion's record
 *
 * Errors: 22004 NULL chron_id or status; 22023 malformed; 54000 detail too
 * large; 42501 for a decision that is not the caller's, be there one or not;
 * 55000 for a DENY, not preloaded, or uncommitted governance; 23505 if it is
 * completed already; and, as claiim_check, what keeps it from being recorded.
 */
Datum
claiim_complete(PG_FUNCTION_ARGS)
{
	ClaiimDatabase *db;
	Completion	completion;
	int64		deadline = CLAIIM_DEADLINE(claiim_queue_timeout);
	TimestampTz now = 0;
	char		chron_id[CHRON_ID_SIZE];
	ErrorContextCallback callback;
	bool		done = false;

	claiim_hide_statement(&callback);
	claiim_require_preload();
	(void) claiim_catalog(false);
	claiim_refuse_governing("claiim_complete");
	read_arguments(fcinfo, &completion);
	read_decision(&completion);
	db = claiim_my_database();
	for (int rounds = 0; !done && rounds < CLAIIM_ROUNDS; rounds++)
	{
		CHECK_FOR_INTERRUPTS();
		done = complete(db, &completion, deadline, &now, chron_id);
	}
	while (!done)
	{
		CHECK_FOR_INTERRUPTS();
		done = complete_undisturbed(db, &completion, deadline, &now, chron_id);
	}
	error_context_stack = callback.previous;
	PG_RETURN_TEXT_P(cstring_to_text(chron_id));
}

/*
 * The writer's side
 */

/* A text among the fields that the caller has encoded. */
static text *
field_text(const ChronRequest *request, ChronFieldId id)
{
	ChronDecoder decoder;
	ChronField	field;

	chron_decode_start(&decoder, request->data, request->fields_len);
	while (chron_decode_next(&decoder, &field) == 1)
		if (field.id == (int) id)
			return cstring_to_text_with_len((const char *) field.value,
											field.len);
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("a completion for Chron is malformed")));
	return NULL;
}

/*
 * The action of a decision is completed, by the record that will have number
 * "seq" and time "at".  False, and nothing done, if it is already.
 */
bool
completion_insert(const ChronRequest *request, int64 seq, TimestampTz at)
{
	OwnerScope	scope;
	Datum		values[5];
	bool		inserted;

	claiim_owner_begin(&scope, false);
	values[0] = Int64GetDatum(request->completes);
	values[1] = PointerGetDatum(field_text(request, CHRON_FIELD_ORG));
	values[2] = TimestampTzGetDatum(at);
	values[3] = CStringGetTextDatum(request->completion);
	values[4] = Int64GetDatum(seq);
	inserted = claiim_query(&insert_query, values, NULL, false, 0) == 1;
	claiim_owner_end(&scope);
	return inserted;
}
