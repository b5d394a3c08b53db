/*-------------------------------------------------------------------------
 *
 * question.c
 *	  What an agent asks: reading and checking the arguments of the gate.
 *
 * A question that gets past here can be decided and recorded: its names are
 * bounded, well-formed and without wildcards, its context is small, and no
 * token stands anywhere but in its own argument.  Whatever is wrong is an
 * error, and the question was never asked.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* Decisions in one call. */
#define MAX_MANY	100

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
check_item(const Asked *item)
{
	const char *why;

	if (!action_name_check(item->action, item->action_len, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name of an action: %s",
						item->action, why),
				 errhint("Expected segments joined by \":\", such as deploy:staging.")));
	if (!target_name_check(item->target, item->target_len, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name of a target: %s",
						item->target, why),
				 errhint("Expected segments joined by \"/\", such as support/tickets/81.")));
}

static claiim_noreturn void
json_too_large(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s is too large", what),
			 errdetail("At most %d bytes of JSON text are accepted.",
					   CLAIIM_MAX_CONTEXT)));
}

/*
 * A lower bound of the text's size, found without making the text: a number
 * of a few bytes, such as 1e100000, is a text of a hundred thousand.
 */
static void
check_json_size(Jsonb *json, const char *what)
{
	JsonbIterator *it = JsonbIteratorInit(&json->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	size_t		size = 0;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (value.type == jbvString)
			size += value.val.string.len;
		else if (value.type == jbvNumeric)
		{
			char	   *number = DatumGetCString(DirectFunctionCall1(numeric_out,
																	 NumericGetDatum(value.val.numeric)));

			size += strlen(number);
			pfree(number);
		}
		if (size > CLAIIM_MAX_CONTEXT)
			json_too_large(what);
	}
}

/*
 * The text of a JSON value that is to be kept beside a record.
 *
 * Errors: 54000 if it is too large; 22023 if a token stands in it.
 */
char *
question_json(Datum jsonb, const char *what, size_t *len)
{
	Jsonb	   *json = DatumGetJsonbP(jsonb);
	char	   *value;

	check_json_size(json, what);
	value = JsonbToCString(NULL, &json->root, VARSIZE(json));
	*len = strlen(value);
	if (*len > CLAIIM_MAX_CONTEXT)
		json_too_large(what);
	if (claiim_has_token(value, *len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s contains a token", what),
				 errhint("Pass it as the argument \"token\"; everything else is recorded as it is.")));
	return value;
}

/* The arguments that both functions have in the same places. */
static void
read_common(FunctionCallInfo fcinfo, Question *question)
{
	size_t		session_len;

	memset(question, 0, sizeof(*question));
	question->agent = required_text(fcinfo, 0, "agent", CLAIIM_MAX_AGENT,
									&question->agent_len);

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
		question->context = question_json(PG_GETARG_DATUM(5), "context",
										  &question->context_len);
}

/* The arguments of claiim_check. */
void
question_read_one(FunctionCallInfo fcinfo, Question *question)
{
	Asked	   *item = palloc0(sizeof(Asked));

	read_common(fcinfo, question);
	item->action = required_text(fcinfo, 1, "action", CLAIIM_MAX_ACTION,
								 &item->action_len);
	item->target = required_text(fcinfo, 2, "target", CLAIIM_MAX_TARGET,
								 &item->target_len);
	check_item(item);
	question->nitems = 1;
	question->items = item;
}

static Datum *
required_array(FunctionCallInfo fcinfo, int arg, const char *what, int *n)
{
	ArrayType  *array;
	Datum	   *elements;
	bool	   *nulls;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension", what)));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, n);
	for (int i = 0; i < *n; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain nulls", what),
					 errdetail("Element %d is null.", i + 1)));
	return elements;
}

/* The arguments of claiim_check_many. */
void
question_read_many(FunctionCallInfo fcinfo, Question *question)
{
	Datum	   *actions;
	Datum	   *targets;
	int			nactions;
	int			ntargets;

	read_common(fcinfo, question);
	actions = required_array(fcinfo, 1, "actions", &nactions);
	targets = required_array(fcinfo, 2, "targets", &ntargets);
	if (nactions != ntargets)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("actions and targets must have the same length"),
				 errdetail("There are %d actions and %d targets.",
						   nactions, ntargets)));
	if (nactions > MAX_MANY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many decisions in one call"),
				 errdetail("There are %d; at most %d are accepted.",
						   nactions, MAX_MANY)));
	question->nitems = nactions;
	question->items = palloc0(sizeof(Asked) * Max(nactions, 1));
	for (int i = 0; i < nactions; i++)
	{
		Asked	   *item = &question->items[i];

		item->action = claiim_text_arg(DatumGetTextPP(actions[i]), "action",
									   CLAIIM_MAX_ACTION, &item->action_len);
		item->target = claiim_text_arg(DatumGetTextPP(targets[i]), "target",
									   CLAIIM_MAX_TARGET, &item->target_len);
		check_item(item);
	}
}
