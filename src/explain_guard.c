/*-------------------------------------------------------------------------
 *
 * explain_guard.c
 *	  Plans of statements that read claiim's tables are not for everybody.
 *
 * Row security hides rows, and a plan tells of them: EXPLAIN ANALYZE counts
 * those that a filter removed, and even a plain EXPLAIN estimates by
 * statistics over all rows how many match a name.  So whoever row security
 * applies to is refused every EXPLAIN of a statement that reads one of the
 * tables, by whatever way: directly, a view, a prepared statement, a cursor.
 *
 * Two more ways to a plan are messages at level LOG, which a client asks for
 * with client_min_messages: debug_print_plan, which anybody may set, and
 * auto_explain, where the DBA has set it.  In a transaction that has read
 * one of the tables such messages go to the server's log, and not to the
 * client.
 *
 * It is the role that logged in that counts, since a SECURITY DEFINER
 * function would show its plans to whoever called it.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/planner.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

static ProcessUtility_hook_type prev_process_utility = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static planner_hook_type prev_planner = NULL;
static emit_log_hook_type prev_emit_log = NULL;

/* EXPLAIN is running. */
static bool explaining = false;

/* This transaction has read rows, or planned to, of which some are hidden. */
static bool plans_are_secret = false;

/* Is there a table of claiim's among them that row security hides rows of? */
static bool
has_hidden_rows(List *rtable)
{
	Oid			schema = InvalidOid;
	ListCell   *cell;

	foreach(cell, rtable)
	{
		RangeTblEntry *rte = (RangeTblEntry *) lfirst(cell);

		/* From 16 on, a view's own entry is a subquery that has a relid. */
		if (rte->rtekind != RTE_RELATION)
			continue;
		if (!OidIsValid(schema))
		{
			schema = get_namespace_oid("claiim", true);
			if (!OidIsValid(schema))
				return false;
		}
		if (get_rel_namespace(rte->relid) == schema &&
			check_enable_rls(rte->relid, GetSessionUserId(), true) == RLS_ENABLED)
			return true;
	}
	return false;
}

static void
executor_start(QueryDesc *queryDesc, int eflags)
{
	bool		explained;

	/* Of what runs while EXPLAIN ANALYZE does, only its own statement. */
	explained = (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0 ||
		(explaining && queryDesc->instrument_options != 0);

	if ((explained || !plans_are_secret) &&
		has_hidden_rows(queryDesc->plannedstmt->rtable))
	{
		if (explained)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("EXPLAIN is refused for statements that read the tables of claiim"),
					 errdetail("A plan tells of rows that row security hides."),
					 errhint("A superuser can explain it, also after SET ROLE.")));
		plans_are_secret = true;
	}

	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

static PlannedStmt *
plan(Query *parse, const char *query_string, int cursorOptions,
	 ParamListInfo boundParams)
{
	PlannedStmt *result;

	if (prev_planner)
		result = prev_planner(parse, query_string, cursorOptions, boundParams);
	else
		result = standard_planner(parse, query_string, cursorOptions,
								  boundParams);

	/* It is printed next, before anything is executed. */
	if (Debug_print_plan && !plans_are_secret &&
		has_hidden_rows(result->rtable))
		plans_are_secret = true;
	return result;
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString,
				bool readOnlyTree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *queryEnv,
				DestReceiver *dest, QueryCompletion *qc)
{
	bool		save_explaining = explaining;

	if (!IsA(pstmt->utilityStmt, ExplainStmt))
	{
		prev_process_utility(pstmt, queryString, readOnlyTree, context,
							 params, queryEnv, dest, qc);
		return;
	}

	explaining = true;
	PG_TRY();
	{
		prev_process_utility(pstmt, queryString, readOnlyTree, context,
							 params, queryEnv, dest, qc);
	}
	PG_FINALLY();
	{
		explaining = save_explaining;
	}
	PG_END_TRY();
}

/*
 * Not called where log_min_messages is fatal or panic, so that LOG is in no
 * log: only a superuser can set that.
 */
static void
keep_from_client(ErrorData *edata)
{
	if (plans_are_secret && edata->elevel <= LOG)
		edata->output_to_client = false;
	if (prev_emit_log)
		prev_emit_log(edata);
}

static void
explain_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		plans_are_secret = false;
}

void
explain_guard_init(void)
{
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook :
		standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	prev_planner = planner_hook;
	planner_hook = plan;
	prev_emit_log = emit_log_hook;
	emit_log_hook = keep_from_client;
	RegisterXactCallback(explain_xact_callback, NULL);
}
