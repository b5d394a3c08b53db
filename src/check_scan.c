/*-------------------------------------------------------------------------
 *
 * check_scan.c
 *	  SELECT * FROM claiim_check(...), without the detour of a function scan.
 *
 * A function scan makes its row type anew from the function's catalog entry
 * at every execution, and puts the one row through a tuplestore; that is as
 * much work as the decision itself (bench/README.md).  So where claiim_check
 * stands alone in FROM, a plan node of our own takes the answer's columns as
 * they are, and hands them on.  As with any call, the role must be allowed to
 * execute the function, and pg_stat_user_functions counts it where asked to.
 *
 * It behaves as the function scan does: the call is made when the first row
 * is fetched, once, and again only after a rescan for which an argument's
 * parameter has changed; a rescan without that gives the same row again, for
 * one question in the query is one decision.  What it does not know (ordinality,
 * ROWS FROM, lateral arguments, the row as a whole) keeps its function scan.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef struct CheckScanState
{
	CustomScanState css;
	FuncExpr   *call;
	ExprState  *args[CLAIIM_CHECK_ARGS];	/* NULL: needs none, see argument */
	TupleTableSlot *row;		/* the answer, kept for a rescan; or empty */
	int			position;		/* before the row 0, on it 1, after it 2 */
} CheckScanState;

static Plan *plan_check(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
						List *tlist, List *clauses, List *custom_plans);
static Node *create_state(CustomScan *scan);
static void begin_check(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_check(CustomScanState *node);
static void end_check(CustomScanState *node);
static void rescan_check(CustomScanState *node);

static const CustomPathMethods path_methods = {
	.CustomName = "claiim_check",
	.PlanCustomPath = plan_check
};

static const CustomScanMethods scan_methods = {
	.CustomName = "claiim_check",
	.CreateCustomScanState = create_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "claiim_check",
	.BeginCustomScan = begin_check,
	.ExecCustomScan = exec_check,
	.EndCustomScan = end_check,
	.ReScanCustomScan = rescan_check
};

static set_rel_pathlist_hook_type prev_set_rel_pathlist = NULL;

/*
 * Planning
 */

/* Is this function ours, as the function manager would call it? */
static bool
is_check(Oid function)
{
	char	   *name = get_func_name(function);
	FmgrInfo	info;

	if (name == NULL || strcmp(name, "claiim_check") != 0)
		return false;
	fmgr_info(function, &info);
	return info.fn_addr == claiim_check && !info.fn_strict;
}

/* The call of claiim_check that this FROM item is; NULL if it is another. */
static FuncExpr *
call_of(RangeTblEntry *rte)
{
	RangeTblFunction *item;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return NULL;
	item = linitial_node(RangeTblFunction, rte->functions);
	if (item->funccolnames != NIL || !IsA(item->funcexpr, FuncExpr) ||
		list_length(((FuncExpr *) item->funcexpr)->args) != CLAIIM_CHECK_ARGS ||
		!is_check(((FuncExpr *) item->funcexpr)->funcid))
		return NULL;
	return (FuncExpr *) item->funcexpr;
}

/* Is a Var of the row as a whole used anywhere? */
static bool
whole_row_used(RelOptInfo *rel)
{
	Bitmapset  *used = NULL;
	ListCell   *cell;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	foreach(cell, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause,
					   rel->relid, &used);
	return bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber,
						 used);
}

/* The columns as Vars; NIL if they are not those that claiim_check answers. */
static List *
columns_of_answer(RangeTblEntry *rte, Index relid)
{
	List	   *names;
	List	   *columns;
	List	   *result = NIL;
	ListCell   *cell;
	TupleDesc	answer = claiim_answer_desc();

	claiim_expand_rte(rte, relid, &names, &columns);
	if (list_length(columns) != answer->natts)
		return NIL;
	foreach(cell, columns)
	{
		Var		   *var = lfirst_node(Var, cell);
		int			i = foreach_current_index(cell);

		if (var->vartype != TupleDescAttr(answer, i)->atttypid)
			return NIL;
		result = lappend(result, makeTargetEntry((Expr *) var, i + 1, NULL, false));
	}
	return result;
}

static void
offer_check(PlannerInfo *root, RelOptInfo *rel, Index relid, RangeTblEntry *rte)
{
	FuncExpr   *call;
	Path	   *function_scan;
	CustomPath *path;
	List	   *columns;

	if (prev_set_rel_pathlist)
		prev_set_rel_pathlist(root, rel, relid, rte);

	if (rte->rtekind != RTE_FUNCTION || (call = call_of(rte)) == NULL ||
		!bms_is_empty(rel->lateral_relids) || list_length(rel->pathlist) != 1 ||
		whole_row_used(rel) ||
		(columns = columns_of_answer(rte, relid)) == NIL)
		return;

	/* Where no row can pass the planner has another, which does not ask. */
	function_scan = (Path *) linitial(rel->pathlist);
	if (function_scan->pathtype != T_FunctionScan)
		return;
	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = function_scan->param_info;
	path->path.parallel_aware = false;
	path->path.parallel_safe = false;
	path->path.rows = function_scan->rows;
	path->path.startup_cost = function_scan->startup_cost;
	path->path.total_cost = function_scan->total_cost;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION | CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
	path->custom_private = list_make2(call, columns);
	path->methods = &path_methods;
	rel->pathlist = list_make1(path);
}

static Plan *
plan_check(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
		   List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->scan.scanrelid = 0;	/* its row is custom_scan_tlist */
	scan->flags = path->flags;
	scan->custom_exprs = list_make1(linitial(path->custom_private));
	scan->custom_scan_tlist = (List *) lsecond(path->custom_private);
	scan->methods = &scan_methods;
	return &scan->scan.plan;
}

/*
 * Execution
 */

static Node *
create_state(CustomScan *scan)
{
	CheckScanState *state = (CheckScanState *)
		newNode(sizeof(CheckScanState), T_CustomScanState);

	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
begin_check(CustomScanState *node, EState *estate, int eflags)
{
	CheckScanState *state = (CheckScanState *) node;
	CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
	ListCell   *cell;

	state->call = linitial_node(FuncExpr, scan->custom_exprs);
	claiim_require_execute(state->call->funcid);
	foreach(cell, state->call->args)
	{
		Expr	   *arg = (Expr *) lfirst(cell);

		if (!IsA(arg, Const) &&
			!(IsA(arg, Param) && ((Param *) arg)->paramkind == PARAM_EXTERN))
			state->args[foreach_current_index(cell)] =
				ExecInitExpr(arg, &node->ss.ps);
	}
	state->row = node->ss.ss_ScanTupleSlot;
}

/* What a client has bound; as ExecEvalParamExtern. */
static Datum
bound(const Param *param, ParamListInfo params, bool *isnull)
{
	if (params != NULL && param->paramid > 0 &&
		param->paramid <= params->numParams)
	{
		ParamExternData *value;
		ParamExternData workspace;

		if (params->paramFetch != NULL)
			value = params->paramFetch(params, param->paramid, false,
									   &workspace);
		else
			value = &params->params[param->paramid - 1];
		if (value->ptype == param->paramtype)
		{
			*isnull = value->isnull;
			return value->value;
		}
		if (OidIsValid(value->ptype))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("type of parameter %d (%s) does not match that when preparing the plan (%s)",
							param->paramid, format_type_be(value->ptype),
							format_type_be(param->paramtype))));
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("no value found for parameter %d", param->paramid)));
}

static Datum
argument(CheckScanState *state, int i, bool *isnull)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	Node	   *arg = (Node *) list_nth(state->call->args, i);

	if (state->args[i] != NULL)
		return ExecEvalExpr(state->args[i], econtext, isnull);
	if (IsA(arg, Param))
		return bound((Param *) arg, econtext->ecxt_param_list_info, isnull);
	*isnull = ((Const *) arg)->constisnull;
	return ((Const *) arg)->constvalue;
}

/* Ask, and keep the answer in the slot. */
static void
ask(CheckScanState *state)
{
	TupleTableSlot *row = state->row;
	FmgrInfo	function;
	PgStat_FunctionCallUsage usage;
	MemoryContext old;
	LOCAL_FCINFO(fcinfo, CLAIIM_CHECK_ARGS);

	ExecClearTuple(row);
	old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	InitFunctionCallInfoData(*fcinfo, NULL, CLAIIM_CHECK_ARGS,
							 state->call->inputcollid, NULL, NULL);
	for (int i = 0; i < CLAIIM_CHECK_ARGS; i++)
		fcinfo->args[i].value = argument(state, i, &fcinfo->args[i].isnull);

	if (pgstat_track_functions == TRACK_FUNC_ALL)
	{
		fmgr_info(state->call->funcid, &function);
		fcinfo->flinfo = &function;
		pgstat_init_function_usage(fcinfo, &usage);
	}
	claiim_answer(fcinfo, row->tts_values, row->tts_isnull);
	if (fcinfo->flinfo != NULL)
		pgstat_end_function_usage(&usage, true);
	MemoryContextSwitchTo(old);
	ExecStoreVirtualTuple(row);
	ExecMaterializeSlot(row);
}

static TupleTableSlot *
next_row(ScanState *node)
{
	CheckScanState *state = (CheckScanState *) node;

	if (ScanDirectionIsForward(node->ps.state->es_direction))
		state->position = Min(state->position + 1, 2);
	else
		state->position = Max(state->position - 1, 0);
	if (state->position != 1)
		return NULL;
	if (TupIsNull(state->row))
		ask(state);
	return state->row;
}

/*
 * Where a statement looks again at a row that was changed under it, older minor
 * releases come here instead of to next_row, also in a subplan, and expect the
 * answer in "slot", which is our row.
 */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	return next_row(node) != NULL;
}

static TupleTableSlot *
exec_check(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck);
}

static void
end_check(CustomScanState *node)
{
}

/* Does an expression hang on one of these parameters? */
static bool
hangs_on(Node *node, void *params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXEC &&
			bms_is_member(((Param *) node)->paramid, (Bitmapset *) params);
	/* What a subplan hangs on does not all show here. */
	if (IsA(node, SubPlan))
		return true;
	return expression_tree_walker(node, hangs_on, params);
}

/* A parameter may have changed that only the filter or the output uses. */
static void
rescan_check(CustomScanState *node)
{
	CheckScanState *state = (CheckScanState *) node;
	CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);

	if (node->ss.ps.chgParam != NULL &&
		hangs_on((Node *) scan->custom_exprs, node->ss.ps.chgParam))
		ExecClearTuple(state->row);
	state->position = 0;
}

void
claiim_check_scan_init(void)
{
	prev_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = offer_check;
}
