/*-------------------------------------------------------------------------
 *
 * permissions.c
 *	  claiim_permissions: what may an agent do?
 *
 * Answers the agent itself, or a human of its organization, by the latest
 * committed state, as the gate would.  Nothing is recorded, for nothing is
 * decided.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "permissions.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(claiim_permissions);

#define NPERMISSIONS	7

static ClaiimQuery human_query = {
	"SELECT $1 = ANY (claiim._visible_orgs('{admin,approver,auditor}'))",
	1, {TEXTOID}, NULL
};

/*
 * Rows
 */

/* As a rule names it: with its target, unless that is any. */
static Datum
pattern_datum(const PatternPair *pattern)
{
	if (strcmp(pattern->target, "**") == 0)
		return CStringGetTextDatum(pattern->action);
	return CStringGetTextDatum(psprintf("%s on %s", pattern->action,
										pattern->target));
}

Datum
permissions_exceptions(const SpaceLine *line)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(line->nexceptions, 1));

	for (int i = 0; i < line->nexceptions; i++)
		elements[i] = pattern_datum(line->exceptions[i]);
	return PointerGetDatum(construct_array(elements, line->nexceptions,
										   TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * A row for each line: "fill" gives its columns, in a memory context that is
 * reset after each row.
 */
void
permissions_put_lines(ReturnSetInfo *rsinfo, const PolicySpace *space,
					  const AgentEntry *entry, PermissionsFill fill,
					  int ncolumns)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "claiim row",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row_context);
	Datum	   *values = MemoryContextAlloc(old, sizeof(Datum) * ncolumns);
	bool	   *nulls = MemoryContextAlloc(old, sizeof(bool) * ncolumns);

	for (int i = 0; i < space->nlines; i++)
	{
		CHECK_FOR_INTERRUPTS();
		memset(nulls, 0, sizeof(bool) * ncolumns);
		fill(space->lines[i], entry, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_context);
}

/*
 * claiim_permissions
 */

/* Does the human who is logged in administer, approve or audit there? */
static bool
is_human_of(const char *org)
{
	Datum		values[1] = {CStringGetTextDatum(org)};
	OwnerScope	scope;
	bool		result;
	bool		isnull;

	claiim_owner_begin(&scope, true);
	result = claiim_query(&human_query, values, NULL, true, 1) == 1 &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
								   SPI_tuptable->tupdesc, 1, &isnull));
	claiim_owner_end(&scope);
	return result;
}

/*
 * The agent, if it is the caller's business.  A token that is passed decides
 * alone.  One error for all that can be wrong, so that it tells nothing
 * apart, not even whether there is such an agent.
 */
static AgentEntry *
authorized_agent(const char *agent, const char *token)
{
	ClaiimDatabase *db = claiim_my_database();
	AgentEntry *entry = directory_agent(agent, pg_atomic_read_u64(&db->epoch));
	Identity	identity;

	identity_prove(entry, agent, token, token ? strlen(token) : 0,
				   GetCurrentTimestamp(), &identity);
	if (entry == NULL ||
		(identity.result != IDENTITY_OK &&
		 (token != NULL || !is_human_of(entry->org))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("the permissions of agent \"%s\" are not yours to see",
						agent),
				 errdetail("They are for the agent itself, and for the admins, approvers and auditors of its organization."),
				 errhint("Prove to be the agent, by its token or its database role, and check its name.")));
	return entry;
}

/*
 * The gate is asked what it would say to an action that nothing names, for
 * want of one that is allowed.
 */
static void
notice_nothing(const AgentEntry *entry, const DecisionInput *agent_input,
			   bool beyond_targets)
{
	DecisionInput input = *agent_input;
	Decision	decision;

	input.action = input.target = "*";
	input.action_len = input.target_len = 1;
	input.target_org = input.org;
	policy_decide(&input, &decision);
	ereport(NOTICE,
			(errmsg("agent \"%s\" may do nothing now", entry->agent),
			 beyond_targets ?
			 errdetail("No target that its policy allows belongs to organization \"%s\".",
					   entry->org) :
			 errdetail("%s.", decision.reason)));
}

/* Leaves out what no target of the organization matches. */
static void
keep_own_targets(const char *org, PolicySpace *space)
{
	int			nlines = 0;

	for (int i = 0; i < space->nlines; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (directory_org_has_target(org, space->lines[i]->pattern.target))
			space->lines[nlines++] = space->lines[i];
	}
	space->nlines = nlines;
}

static void
fill_permission(const SpaceLine *line, const AgentEntry *entry,
				Datum *values, bool *nulls)
{
	values[0] = CStringGetTextDatum(line->pattern.action);
	values[1] = CStringGetTextDatum(line->pattern.target);
	if (line->verdict[0] == SPACE_ALLOW_IN_SESSION)
		values[2] = CStringGetTextDatum("session");
	else
		nulls[2] = true;
	values[3] = permissions_exceptions(line);
	values[4] = CStringGetTextDatum(line->why[0]);
	values[5] = CStringGetTextDatum(entry->policy->name);
	values[6] = CStringGetTextDatum(entry->org);
}

/*
 * claiim_permissions(agent [, token]) -> a row for each thing that it may do
 *
 * Arguments: agent at most 128 bytes.  Result: see the comment of the SQL
 * function, and doc/agent-developer.md.
 *
 * Errors: 22004 NULL agent; 22023 malformed name; 28000 if the caller is
 * neither the agent nor a human of its organization; 54000 if the policies'
 * patterns combine in too many ways to be listed; 55000 not preloaded, or
 * the transaction has uncommitted governance in it; 25006 on a standby.
 */
Datum
claiim_permissions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ErrorContextCallback callback;
	const AgentEntry *entry;
	DecisionInput input;
	PolicySpace space;
	char	   *agent;
	size_t		agent_len;
	int			nlines;

	claiim_hide_statement(&callback);
	claiim_require_preload();
	(void) claiim_catalog(false);
	claiim_refuse_governing("claiim_permissions");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("agent must not be null")));
	agent = claiim_text_arg(PG_GETARG_TEXT_PP(0), "agent", CLAIIM_MAX_AGENT,
							&agent_len);
	entry = authorized_agent(agent, PG_ARGISNULL(1) ? NULL :
							 text_to_cstring(PG_GETARG_TEXT_PP(1)));

	InitMaterializedSRF(fcinfo, 0);
	memset(&input, 0, sizeof(input));
	input.identity = IDENTITY_OK;
	input.agent = entry->agent;
	gate_agent_input(entry, GetCurrentTimestamp(), &input);
	if (!policy_space(claiim_arena(CurrentMemoryContext), &input, NULL, &space))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the permissions of agent \"%s\" are too many to be listed",
						agent),
				 errdetail("The patterns of what is allowed and what is denied combine in too many ways."),
				 errhint("The gate decides about each of them all the same.")));
	nlines = space.nlines;
	keep_own_targets(entry->org, &space);
	if (space.nlines == 0)
		notice_nothing(entry, &input, nlines > 0);
	permissions_put_lines(rsinfo, &space, entry, fill_permission,
						  NPERMISSIONS);
	error_context_stack = callback.previous;
	return (Datum) 0;
}
