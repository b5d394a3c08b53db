/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  claiim_check and claiim_check_many: ask, decide, record, answer.
 *
 * The one path of a decision.  The epoch is read before anything is looked
 * up, and travels with the request; should governance have committed in
 * between, the writer sends it back and the decision is made again.
 * Whatever goes wrong on the way is an error and never an ALLOW: an answer is
 * put together only from a request that the writer has made durable.
 *
 * Several decisions of one call go the same path together, so they cost one
 * flush.  They are one agent's: what the directory says of it is looked up
 * once a round, and stays valid for that round.
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
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(claiim_check);
PG_FUNCTION_INFO_V1(claiim_check_many);

/* Who asks, as of one round. */
typedef struct Asker
{
	TimestampTz now;			/* never before that of the round before */
	uint64		epoch;
	AgentEntry *entry;			/* NULL: unknown agent */
	Identity	identity;
	const NamedSession *passed; /* NULL: none, or of nobody here */
} Asker;

/* What is answered to one item, beside what the asker says. */
typedef struct Verdict
{
	Decision	decision;
	const char *skill;			/* as recorded: the one that covers, or all */
	const char *session;		/* as passed, or found */
} Verdict;

/* One row. */
typedef struct Answer
{
	bool		given;
	Datum		values[CLAIIM_ANSWER_COLUMNS];
	bool		nulls[CLAIIM_ANSWER_COLUMNS];
} Answer;

static const char *const column_names[CLAIIM_ANSWER_COLUMNS] = {
	"outcome", "reason", "reason_code", "rule", "chron_id", "anchor", "org",
	"policy", "skill", "baseline", "session", "decided_at"
};

/*
 * The decision
 */

static void
look_up_asker(const Question *question, ClaiimDatabase *db, Asker *asker)
{
	asker->epoch = pg_atomic_read_u64(&db->epoch);
	pg_memory_barrier();
	asker->now = Max(asker->now, GetCurrentTimestamp());
	asker->entry = directory_agent(question->agent, asker->epoch);
	identity_prove(asker->entry, question->agent, question->token,
				   question->token_len, asker->now, &asker->identity);

	/* For a stranger nothing is read. */
	asker->passed = NULL;
	if (question->session != NULL && asker->identity.result == IDENTITY_OK)
		asker->passed = directory_session(asker->entry, question->session);
}

/* What the directory says of an agent, for whoever evaluates. */
void
gate_agent_input(const AgentEntry *entry, TimestampTz now,
				 DecisionInput *input)
{
	input->agent_status = entry->status;
	input->org = entry->org;
	input->suspended_org = entry->suspended_org;
	input->emergency_lapsed = now >= entry->emergency_until;
	input->emergency_org = entry->emergency_org;
	input->anchor = entry->anchor;
	input->anchor_active = entry->anchor_active;
	input->policy = entry->policy;
	input->nskills = entry->nskills;
	input->skills = entry->skills;
	input->nbaselines = entry->nbaselines;
	input->baselines = entry->baselines;
}

static void
decide(const Question *question, const Asked *item, const Asker *asker,
	   Verdict *verdict)
{
	const AgentEntry *entry = asker->entry;
	DecisionInput input;

	memset(&input, 0, sizeof(input));
	input.identity = asker->identity.result;
	input.agent = question->agent;
	input.action = item->action;
	input.action_len = item->action_len;
	input.target = item->target;
	input.target_len = item->target_len;
	input.session = question->session;
	input.now = asker->now;
	if (entry != NULL)
	{
		gate_agent_input(entry, asker->now, &input);
		input.target_org = directory_target_org(item->target,
												item->target_len);
		input.passed = asker->passed;
		input.nsessions = entry->nsessions;
		input.sessions = entry->sessions;
	}
	policy_decide(&input, &verdict->decision);
	if (strcmp(verdict->decision.reason_code, "session_ambiguous") == 0 &&
		directory_reload_uses(asker->entry))
		policy_decide(&input, &verdict->decision);
	verdict->session = question->session;
	if (verdict->decision.session != NULL)
		verdict->session = verdict->decision.session->name;

	verdict->skill = verdict->decision.skill;
	if (verdict->skill == NULL && entry != NULL)
		verdict->skill = entry->skill_names;
}

/*
 * The record
 */

static void
encode(const Question *question, const Asked *item, const Asker *asker,
	   const Verdict *verdict, TimestampTz asked_at, ChronRequest *request)
{
	const AgentEntry *entry = asker->entry;
	const Decision *decision = &verdict->decision;
	const NamedSession *session = decision->session;
	ChronEncoder enc;

	chron_request_start(request, &enc);
	request->allow = decision->allow;
	request->reason = stats_reason(decision->reason_code);
	request->asked_at = asked_at;
	request->epoch = asker->epoch;
	strlcpy(request->token_id,
			asker->identity.result == IDENTITY_OK ? asker->identity.token_id : "",
			sizeof(request->token_id));
	if (asker->identity.result == IDENTITY_OK)
		request->not_after = asker->identity.not_after;
	if (decision->allow)
		request->not_after = Min(request->not_after, entry->emergency_until);
	if (session != NULL && decision->allow)
	{
		strlcpy(request->session, session->name, sizeof(request->session));
		request->max_uses = session->max_uses;
		request->not_after = Min(request->not_after, session->valid_until);
	}

	chron_encode_text(&enc, CHRON_FIELD_KIND, "decision");
	chron_encode_text(&enc, CHRON_FIELD_OUTCOME, decision->allow ? "ALLOW" : "DENY");
	chron_encode_text(&enc, CHRON_FIELD_AGENT, question->agent);
	chron_encode_text(&enc, CHRON_FIELD_ACTION, item->action);
	chron_encode_text(&enc, CHRON_FIELD_TARGET, item->target);
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
	chron_encode_text(&enc, CHRON_FIELD_SESSION, verdict->session);
	chron_encode_text(&enc, CHRON_FIELD_APPROVED_BY,
					  session ? session->approved_by : NULL);
	chron_encode_text(&enc, CHRON_FIELD_AUTH, asker->identity.auth);
	if (asker->identity.token_id[0])
		chron_encode_text(&enc, CHRON_FIELD_TOKEN, asker->identity.token_id);
	chron_encode_text(&enc, CHRON_FIELD_DB_USER, claiim_session_user_name());
	chron_encode_text(&enc, CHRON_FIELD_CLIENT, claiim_client_address());
	chron_request_context(request, &enc, question->context,
						  question->context_len);
	chron_request_end(request, &enc, question->context,
					  question->context_len);
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
 * The answer
 */

/* The answer's row type. */
TupleDesc
claiim_answer_desc(void)
{
	static TupleDesc desc = NULL;

	if (desc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	fresh = CreateTemplateTupleDesc(CLAIIM_ANSWER_COLUMNS);

		for (int i = 0; i < CLAIIM_ANSWER_COLUMNS; i++)
			TupleDescInitEntry(fresh, i + 1, column_names[i],
							   i == CLAIIM_ANSWER_COLUMNS - 1 ? TIMESTAMPTZOID : TEXTOID,
							   -1, 0);
		desc = BlessTupleDesc(fresh);
		MemoryContextSwitchTo(old);
	}
	return desc;
}

static void
fill_answer(const Question *question, const Asker *asker,
			const Verdict *verdict, const ChronRequest *request,
			Answer *answer)
{
	const AgentEntry *entry = asker->entry;
	const Decision *decision = &verdict->decision;
	Decision	unproved;
	const char *skill = verdict->skill;
	char		chron_id[CHRON_ID_SIZE];
	const char *texts[CLAIIM_ANSWER_COLUMNS - 1];

	/*
	 * Chron says whom a stranger asked for, and what was wrong; the stranger
	 * is told neither.
	 */
	if (asker->identity.result != IDENTITY_OK)
	{
		policy_unproved(question->agent, &unproved);
		decision = &unproved;
		entry = NULL;
		skill = NULL;
	}
	(void) chron_id_encode(UNIX_US(request->at), request->seq, chron_id);
	texts[0] = decision->allow ? "ALLOW" : "DENY";
	texts[1] = decision->reason;
	texts[2] = decision->reason_code;
	texts[3] = decision->rule[0] ? decision->rule : NULL;
	texts[4] = chron_id;
	texts[5] = entry ? entry->anchor : NULL;
	texts[6] = entry ? entry->org : NULL;
	texts[7] = entry && entry->policy ? entry->policy->name : NULL;
	texts[8] = skill;
	texts[9] = entry ? entry->baseline_names : NULL;
	texts[10] = verdict->session;

	for (int i = 0; i < CLAIIM_ANSWER_COLUMNS - 1; i++)
	{
		answer->nulls[i] = (texts[i] == NULL);
		answer->values[i] = texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0;
	}
	answer->nulls[CLAIIM_ANSWER_COLUMNS - 1] = false;
	answer->values[CLAIIM_ANSWER_COLUMNS - 1] = TimestampTzGetDatum(request->at);
	answer->given = true;
}

/*
 * The writer did not take an ALLOW.  Remember why, so that the next round
 * cannot come to the same: governance has moved on, which the epoch says; or
 * a time has come; or a session has no use left.
 */
static void
learn(Asker *asker, const Verdict *verdict, const ChronRequest *request)
{
	asker->now = Max(asker->now, request->at);
	if (request->used_up)
		directory_session_used_up(asker->entry, verdict->decision.session->name);
}

/*
 * One round: decide what is not yet answered, record it, and fill in the
 * answers.  True if nothing is left; a decision that does not hold any more is,
 * and has to be made again.
 */
static bool
round_of_decisions(ClaiimDatabase *db, const Question *question,
				   TimestampTz asked_at, int64 deadline, Asker *asker,
				   Answer *answers)
{
	int			n = question->nitems;
	ChronRequest **requests = palloc(sizeof(ChronRequest *) * n);
	Verdict    *verdicts = palloc(sizeof(Verdict) * n);
	int		   *left = palloc(sizeof(int) * n);
	int			nleft = 0;
	volatile bool done = true;

	look_up_asker(question, db, asker);
	for (int i = 0; i < n; i++)
	{
		if (answers[i].given)
			continue;
		decide(question, &question->items[i], asker, &verdicts[nleft]);
		left[nleft++] = i;
	}

	/*
	 * Without a writer nothing is taken: what is left in a queue that nobody
	 * empties would be missing to every other database.
	 */
	chron_ensure_writer(db, "decision", deadline);
	chron_queue_reserve(db, nleft, requests, "decision", deadline);
	PG_TRY();
	{
		for (int i = 0; i < nleft; i++)
			encode(question, &question->items[left[i]], asker, &verdicts[i],
				   asked_at, requests[i]);
		chron_queue_push(db, nleft, requests);
		chron_queue_wait(db, nleft, requests, "decision", deadline);
		for (int i = 0; i < nleft; i++)
		{
			RequestState state = pg_atomic_read_u32(&requests[i]->state);

			if (state == REQUEST_FAILED)
				raise_failure(requests[i]);
			if (state == REQUEST_RECORDED)
				fill_answer(question, asker, &verdicts[i], requests[i],
							&answers[left[i]]);
			else
			{
				learn(asker, &verdicts[i], requests[i]);
				done = false;
			}
		}
	}
	PG_FINALLY();
	{
		chron_queue_release(nleft, requests);
	}
	PG_END_TRY();
	return done;
}

/* The same while no governance that it hangs on can come in between. */
static bool
undisturbed_round(ClaiimDatabase *db, const Question *question,
				  TimestampTz asked_at, int64 deadline, Asker *asker,
				  Answer *answers)
{
	volatile bool done = false;

	deadline = claiim_hold_epoch(deadline);
	PG_TRY();
	{
		done = round_of_decisions(db, question, asked_at, deadline, asker,
								  answers);
	}
	PG_FINALLY();
	{
		claiim_release_epoch();
	}
	PG_END_TRY();
	return done;
}

static void
require_gate(void)
{
	claiim_require_preload();
	(void) claiim_catalog(false);
	claiim_refuse_governing("claiim_check");
}

static Answer *
answer_all(const Question *question)
{
	ClaiimDatabase *db = claiim_my_database();
	TimestampTz asked_at = GetCurrentTimestamp();
	int64		deadline = CLAIIM_DEADLINE(claiim_queue_timeout);
	Answer	   *answers = palloc0(sizeof(Answer) * Max(question->nitems, 1));
	Asker		asker = {0};
	bool		done = question->nitems == 0;

	for (int rounds = 0; !done && rounds < CLAIIM_ROUNDS; rounds++)
	{
		CHECK_FOR_INTERRUPTS();
		done = round_of_decisions(db, question, asked_at, deadline, &asker,
								  answers);
	}

	/* Governance comes in between every time, be it meant or not. */
	while (!done)
	{
		CHECK_FOR_INTERRUPTS();
		done = undisturbed_round(db, question, asked_at, deadline, &asker,
								 answers);
	}
	return answers;
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
 * 57P03 no writer; 40003 not confirmed in time; what the writer met.
 */
Datum
claiim_check(PG_FUNCTION_ARGS)
{
	Datum		values[CLAIIM_ANSWER_COLUMNS];
	bool		nulls[CLAIIM_ANSWER_COLUMNS];

	claiim_answer(fcinfo, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(claiim_answer_desc(), values,
											 nulls));
}

/* The same, with the row as its columns; fcinfo->flinfo may be NULL. */
void
claiim_answer(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	Question	question;
	Answer	   *answer;
	ErrorContextCallback callback;

	/* Not only where a token was passed: it may be in the wrong place. */
	claiim_hide_statement(&callback);
	require_gate();
	question_read_one(fcinfo, &question);
	answer = answer_all(&question);
	error_context_stack = callback.previous;
	memcpy(values, answer->values, sizeof(answer->values));
	memcpy(nulls, answer->nulls, sizeof(answer->nulls));
}

/*
 * claiim_check_many(agent, actions[], targets[] [, token, session, context])
 * -> one row each, in their order
 *
 * Every decision is one of its own, with a record of its own; they share one
 * wait for the disk.  At most 100.
 *
 * Errors: those of claiim_check, and then no decision is answered, though
 * some may be recorded; 2202E for arrays of different lengths or of more
 * than one dimension.
 */
Datum
claiim_check_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Question	question;
	Answer	   *answers;
	MemoryContext old;
	ErrorContextCallback callback;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		!(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("claiim_check_many returns a set of rows, which cannot be put here"),
				 errhint("Call it as SELECT * FROM claiim_check_many(...).")));

	claiim_hide_statement(&callback);
	require_gate();
	question_read_many(fcinfo, &question);
	answers = answer_all(&question);
	error_context_stack = callback.previous;

	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setDesc = CreateTupleDescCopy(claiim_answer_desc());
	rsinfo->setResult = tuplestore_begin_heap(rsinfo->allowedModes & SFRM_Materialize_Random,
											  false, work_mem);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < question.nitems; i++)
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
							 answers[i].values, answers[i].nulls);
	return (Datum) 0;
}
