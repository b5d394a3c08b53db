/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  claiim_check: ask, decide, record, answer.
 *
 * The one path of a decision.  The epoch is read before anything is looked
 * up, and travels with the request; should governance have committed in
 * between, the writer sends an ALLOW back and the decision is made again.
 * Whatever goes wrong on the way is an error and never an ALLOW: the answer
 * is put together only from a request that the writer has made durable.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(claiim_check);

/* What is asked. */
typedef struct Question
{
	char	   *agent;
	size_t		agent_len;
	char	   *action;
	size_t		action_len;
	char	   *target;
	size_t		target_len;
	char	   *token;			/* NULL: not given */
	size_t		token_len;
	char	   *session;		/* NULL: not given */
	char	   *context;		/* NULL: not given; the text of a JSON value */
	size_t		context_len;
} Question;

/* What is answered, beside the Decision itself. */
typedef struct Verdict
{
	Decision	decision;
	Identity	identity;
	const AgentEntry *entry;	/* NULL: unknown agent */
	const char *skill;			/* as recorded: the one that covers, or all */
} Verdict;

#define NCOLUMNS 12

static const char *const column_names[NCOLUMNS] = {
	"outcome", "reason", "reason_code", "rule", "chron_id", "anchor", "org",
	"policy", "skill", "baseline", "session", "decided_at"
};

/*
 * The question
 */

static char *
required_text(FunctionCallInfo fcinfo, int arg, const char *what, size_t max,
			  size_t *len)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return claiim_text_arg(PG_GETARG_TEXT_PP(arg), what, max, len);
}

static void
read_question(FunctionCallInfo fcinfo, Question *question)
{
	const char *why;
	size_t		session_len;

	memset(question, 0, sizeof(*question));
	question->agent = required_text(fcinfo, 0, "agent", CLAIIM_MAX_AGENT,
									&question->agent_len);
	question->action = required_text(fcinfo, 1, "action", CLAIIM_MAX_ACTION,
									 &question->action_len);
	question->target = required_text(fcinfo, 2, "target", CLAIIM_MAX_TARGET,
									 &question->target_len);
	if (!action_name_check(question->action, question->action_len, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name of an action: %s",
						question->action, why)));
	if (!target_name_check(question->target, question->target_len, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name of a target: %s",
						question->target, why)));

	/* A token's text is never put into a message. */
	if (!PG_ARGISNULL(3))
	{
		text	   *token = PG_GETARG_TEXT_PP(3);

		question->token = text_to_cstring(token);
		question->token_len = VARSIZE_ANY_EXHDR(token);
	}
	if (!PG_ARGISNULL(4))
		question->session = claiim_text_arg(PG_GETARG_TEXT_PP(4), "session",
											CLAIIM_MAX_SESSION, &session_len);
	if (!PG_ARGISNULL(5))
	{
		Jsonb	   *context = PG_GETARG_JSONB_P(5);

		question->context = JsonbToCString(NULL, &context->root,
										   VARSIZE(context));
		question->context_len = strlen(question->context);
		if (question->context_len > CLAIIM_MAX_CONTEXT)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("context is too large"),
					 errdetail("It has %zu bytes; at most %d are accepted.",
							   question->context_len, CLAIIM_MAX_CONTEXT)));
	}
}

/*
 * The decision
 */

static void
decide(const Question *question, uint64 epoch, Verdict *verdict)
{
	AgentEntry *entry = directory_agent(question->agent, epoch);
	DecisionInput input;

	memset(verdict, 0, sizeof(*verdict));
	identity_prove(entry, question->agent, question->token,
				   question->token_len, &verdict->identity);
	verdict->entry = entry;

	memset(&input, 0, sizeof(input));
	input.identity = verdict->identity.result;
	input.agent = question->agent;
	input.action = question->action;
	input.action_len = question->action_len;
	input.target = question->target;
	input.target_len = question->target_len;
	input.session = question->session;
	input.session_fits = false; /* there are no approved sessions yet */
	if (entry != NULL)
	{
		input.agent_status = entry->status;
		input.org = entry->org;
		input.suspended_org = entry->suspended_org;
		input.anchor = entry->anchor;
		input.anchor_active = entry->anchor_active;
		input.target_org = directory_target_org(question->target,
												question->target_len);
		input.policy = entry->policy;
		input.nskills = entry->nskills;
		input.skills = entry->skills;
		input.nbaselines = entry->nbaselines;
		input.baselines = entry->baselines;
	}
	policy_decide(&input, &verdict->decision);

	verdict->skill = verdict->decision.skill;
	if (verdict->skill == NULL && entry != NULL)
		verdict->skill = entry->skill_names;
}

/*
 * The record
 */

static void
encode(const Question *question, const Verdict *verdict, uint64 epoch,
	   ChronRequest *request)
{
	const AgentEntry *entry = verdict->entry;
	const Decision *decision = &verdict->decision;
	ChronEncoder enc;
	uint8		digest[CHRON_HASH_LEN];

	request->allow = decision->allow;
	request->epoch = epoch;
	request->context_len = 0;

	chron_encode_start(&enc, request->data, sizeof(request->data));
	chron_encode_text(&enc, CHRON_FIELD_KIND, "decision");
	chron_encode_text(&enc, CHRON_FIELD_OUTCOME, decision->allow ? "ALLOW" : "DENY");
	chron_encode_text(&enc, CHRON_FIELD_AGENT, question->agent);
	chron_encode_text(&enc, CHRON_FIELD_ACTION, question->action);
	chron_encode_text(&enc, CHRON_FIELD_TARGET, question->target);
	if (entry != NULL)
	{
		chron_encode_text(&enc, CHRON_FIELD_ORG, entry->org);
		chron_encode_text(&enc, CHRON_FIELD_ANCHOR, entry->anchor);
		chron_encode_text(&enc, CHRON_FIELD_POLICY,
						  entry->policy ? entry->policy->name : NULL);
		chron_encode_text(&enc, CHRON_FIELD_SKILL, verdict->skill);
		chron_encode_text(&enc, CHRON_FIELD_BASELINE, entry->baseline_names);
	}
	if (decision->rule[0])
		chron_encode_text(&enc, CHRON_FIELD_RULE, decision->rule);
	chron_encode_text(&enc, CHRON_FIELD_REASON_CODE, decision->reason_code);
	chron_encode_text(&enc, CHRON_FIELD_REASON, decision->reason);
	chron_encode_text(&enc, CHRON_FIELD_SESSION, question->session);
	chron_encode_text(&enc, CHRON_FIELD_AUTH, verdict->identity.auth);
	if (verdict->identity.token_id[0])
		chron_encode_text(&enc, CHRON_FIELD_TOKEN, verdict->identity.token_id);
	chron_encode_text(&enc, CHRON_FIELD_DB_USER, claiim_session_user_name());
	chron_encode_text(&enc, CHRON_FIELD_CLIENT, claiim_client_address());
	if (question->context != NULL)
	{
		if (!pg_strong_random(request->salt, CHRON_SALT_LEN) ||
			!chron_context_digest(request->salt,
								  (const uint8 *) question->context,
								  question->context_len, digest))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not compute the digest of the context")));
		chron_encode_bytes(&enc, CHRON_FIELD_CONTEXT_DIGEST, digest,
						   CHRON_HASH_LEN);
	}
	if (enc.failed ||
		enc.len + question->context_len > sizeof(request->data))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the decision is too large, or not valid UTF-8, and cannot be recorded")));
	request->nfields = enc.nfields;
	request->fields_len = enc.len;
	if (question->context != NULL)
	{
		memcpy(request->data + enc.len, question->context,
			   question->context_len);
		request->context_len = question->context_len;
	}
}

static void
raise_failure(const ChronRequest *request)
{
	ereport(ERROR,
			(errcode(request->sqlstate ? request->sqlstate : ERRCODE_INTERNAL_ERROR),
			 errmsg("no answer: the decision could not be recorded"),
			 errdetail("%s.", request->message),
			 errhint("The action must not run. The server's log says more.")));
}

/*
 * Record the verdict.  False if it was an ALLOW under a state that is no
 * longer the latest: decide again.
 */
static bool
record(ClaiimDatabase *db, const Question *question, const Verdict *verdict,
	   uint64 epoch, TimestampTz deadline, int64 *seq, TimestampTz *at)
{
	ChronRequest *request;
	volatile RequestState state = REQUEST_FAILED;

	chron_queue_reserve(1, &request, deadline);
	PG_TRY();
	{
		encode(question, verdict, epoch, request);
		chron_queue_push(db, 1, &request);
		chron_queue_wait(db, 1, &request, deadline);
		state = pg_atomic_read_u32(&request->state);
		if (state == REQUEST_FAILED)
			raise_failure(request);
		*seq = request->seq;
		*at = request->at;
	}
	PG_FINALLY();
	{
		chron_queue_release(1, &request);
	}
	PG_END_TRY();
	return state == REQUEST_RECORDED;
}

/*
 * The answer
 */

static TupleDesc
answer_desc(void)
{
	static TupleDesc desc = NULL;

	if (desc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	fresh = CreateTemplateTupleDesc(NCOLUMNS);

		for (int i = 0; i < NCOLUMNS; i++)
			TupleDescInitEntry(fresh, i + 1, column_names[i],
							   i == NCOLUMNS - 1 ? TIMESTAMPTZOID : TEXTOID,
							   -1, 0);
		desc = BlessTupleDesc(fresh);
		MemoryContextSwitchTo(old);
	}
	return desc;
}

static Datum
answer(const Question *question, const Verdict *verdict, int64 seq,
	   TimestampTz at)
{
	const AgentEntry *entry = verdict->entry;
	const char *skill = verdict->skill;
	char		chron_id[CHRON_ID_SIZE];
	const char *texts[NCOLUMNS - 1];
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];

	/* Chron says whom a stranger asked for; the stranger is not told more. */
	if (verdict->identity.result != IDENTITY_OK)
	{
		entry = NULL;
		skill = NULL;
	}
	chron_id_encode(UNIX_US(at), seq, chron_id);
	texts[0] = verdict->decision.allow ? "ALLOW" : "DENY";
	texts[1] = verdict->decision.reason;
	texts[2] = verdict->decision.reason_code;
	texts[3] = verdict->decision.rule[0] ? verdict->decision.rule : NULL;
	texts[4] = chron_id;
	texts[5] = entry ? entry->anchor : NULL;
	texts[6] = entry ? entry->org : NULL;
	texts[7] = entry && entry->policy ? entry->policy->name : NULL;
	texts[8] = skill;
	texts[9] = entry ? entry->baseline_names : NULL;
	texts[10] = question->session;

	for (int i = 0; i < NCOLUMNS - 1; i++)
	{
		nulls[i] = (texts[i] == NULL);
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	nulls[NCOLUMNS - 1] = false;
	values[NCOLUMNS - 1] = TimestampTzGetDatum(at);
	return HeapTupleGetDatum(heap_form_tuple(answer_desc(), values, nulls));
}

/*
 * claiim_check(agent, action, target [, token, session, context]) -> one row
 *
 * Arguments: agent at most 128 bytes, action 256, target 1024, context 8192
 * bytes of JSON text.  Result: see the comment of the SQL function, and
 * doc/decisions.md for every reason.
 *
 * Errors: 22004 NULL agent, action or target; 22023 malformed name; 54000
 * too large; 55000 not preloaded, or the transaction has uncommitted
 * governance in it; 25006 on a standby; 53400 queue full or no worker slot;
 * 57P03 no writer; 08007 not confirmed in time; what the writer met.
 */
Datum
claiim_check(PG_FUNCTION_ARGS)
{
	Question	question;
	Verdict		verdict;
	ClaiimDatabase *db;
	TimestampTz deadline;
	uint64		epoch;
	int64		seq = 0;
	TimestampTz at = 0;
	ErrorContextCallback callback;

	/* Not only where a token was passed: it may be in the wrong place. */
	claiim_hide_statement(&callback);
	claiim_require_preload();
	(void) claiim_catalog(false);
	if (claiim_governing())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim_check cannot run in a transaction with uncommitted governance acts"),
				 errdetail("It would decide by what may be rolled back."),
				 errhint("Commit first.")));
	read_question(fcinfo, &question);

	db = claiim_my_database();
	deadline = chron_queue_deadline();
	do
	{
		CHECK_FOR_INTERRUPTS();
		epoch = pg_atomic_read_u64(&db->epoch);
		pg_memory_barrier();
		decide(&question, epoch, &verdict);
	} while (!record(db, &question, &verdict, epoch, deadline, &seq, &at));
	error_context_stack = callback.previous;

	return answer(&question, &verdict, seq, at);
}
