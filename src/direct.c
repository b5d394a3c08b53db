/*-------------------------------------------------------------------------
 *
 * direct.c
 *	  How a function of governance was called: by the client's own statement,
 *	  or by way of somebody else's.
 *
 * A human is session_user, and so is everything that the human runs: a view
 * or a function that a colleague wrote can call claiim.approve() in the name
 * of whoever looks at it.  So what approves is refused unless the client's
 * statement itself makes the call:
 *
 *	- no procedural language, and no SQL function, stands between the two.
 *	  Each of them, and SPI, pushes an error context; what is called by the
 *	  statement itself finds that stack as the main loop left it.
 *	- the call has a place in the text of a statement.  Views, defaults, the
 *	  checks of domains and the like are kept as trees, in which no expression
 *	  has one; operators and aggregates are no such call.
 *	- what has been merged into the statement, above all functions that were
 *	  inlined, is among the dependencies of its plan.  These must be claiim's
 *	  and PostgreSQL's own; so must its tables, which say what is approved.
 *	- the statement is one that the client has sent.  A function can leave
 *	  statements behind that run when nothing of it is on the stack any more:
 *	  a cursor that somebody fetches from, or that is held and so run at the
 *	  commit; a prepared statement; and ts_stat() fetches from a cursor over
 *	  a text that it was given.  So cursors and prepared statements count if
 *	  the client's own DECLARE or PREPARE, or a message of its, made them.
 *
 * Neither the text of the query nor its nesting would do: a statement may be
 * one of several in a string, or prepared; and PL/pgSQL evaluates a simple
 * expression without an executor of its own.
 *
 * The same knowledge serves the reader of an error: what governance refuses
 * on purpose, and was called for directly, comes without the CONTEXT of
 * claiim's own functions, which would only be in the way.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/portal.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(claiim_require_direct);

/* A call of a function that has a SECURITY DEFINER or SET clause. */
typedef struct Call
{
	bool		ours;
	bool		direct;			/* nothing stands between it and the statement */
	Datum		next;			/* of the hook before ours */
} Call;

/* A cursor or a prepared statement that the client's own statement made. */
typedef struct Own
{
	dlist_node	node;
	void	   *object;			/* Portal or CachedPlanSource */
	MemoryContextCallback forget;
} Own;

static fmgr_hook_type prev_fmgr_hook = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;

static dlist_head own_objects = DLIST_STATIC_INIT(own_objects);

/* Does the client's own EXECUTE run what the client has prepared? */
static bool executing_own = false;

/* Calls of ours that are under way; how the outermost of them was made. */
static int	depth = 0;
static bool outermost_direct = false;
static bool outermost_written = false;
static Oid	outermost_function = InvalidOid;

static ClaiimQuery own_functions = {
	"SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'claiim'::regnamespace",
	0, {0}, NULL
};

/* Nothing but the main loop, which may have noted the portal's parameters. */
static bool
called_by_statement(void)
{
	return error_context_stack == NULL ||
		(error_context_stack->callback == ParamsErrorCallback &&
		 error_context_stack->previous == NULL);
}

/* Does the call stand in the text of a statement? */
static bool
is_written(const Node *expression)
{
	return expression != NULL && IsA(expression, FuncExpr) &&
		((const FuncExpr *) expression)->location >= 0;
}

/* Said by RAISE in a function of ours, or by this library. */
static bool
is_on_purpose(const ErrorData *error)
{
	return (error->funcname != NULL &&
			strcmp(error->funcname, "exec_stmt_raise") == 0) ||
		(error->domain != NULL && strcmp(error->domain, TEXTDOMAIN) == 0);
}

/* In a PG_CATCH: go on with the same error, without its context. */
static void
rethrow_without_context(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorData  *error = CopyErrorData();

	if (is_on_purpose(error))
	{
		FlushErrorState();
		error->context = NULL;
		ReThrowError(error);
	}
	FreeErrorData(error);
	MemoryContextSwitchTo(old);
}

/* For functions in C, which the hook does not see: were they called directly? */
bool
claiim_called_directly(void)
{
	return depth == 0 && called_by_statement();
}

void
claiim_rethrow_without_context(MemoryContext context)
{
	rethrow_without_context(context);
}

static void
watch_call(FmgrHookEventType event, FmgrInfo *flinfo, Datum *arg)
{
	Call	   *call = (Call *) DatumGetPointer(*arg);

	if (call == NULL)
	{
		bool		ours;

		/*
		 * It was not ours when it began.  Where an error is on its way out,
		 * of whoever's function, nothing may be looked up in the catalogs.
		 */
		if (event != FHET_START)
			return;
		ours = get_func_namespace(flinfo->fn_oid) ==
			get_namespace_oid("claiim", true);
		if (!ours && prev_fmgr_hook == NULL)
			return;
		call = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Call));
		call->ours = ours;
		*arg = PointerGetDatum(call);
	}
	if (prev_fmgr_hook)
		prev_fmgr_hook(event, flinfo, &call->next);
	if (!call->ours)
		return;

	if (event == FHET_START)
	{
		call->direct = depth == 0 && called_by_statement();
		if (depth++ == 0)
		{
			outermost_direct = call->direct;
			outermost_written = is_written(flinfo->fn_expr);
			outermost_function = flinfo->fn_oid;
		}
		return;
	}
	depth--;
	if (event == FHET_ABORT && call->direct)
		rethrow_without_context(flinfo->fn_mcxt);
}

/*
 * What the client has made, to be run by its name
 */

static void
forget_own(void *arg)
{
	dlist_delete(&((Own *) arg)->node);
}

/* Until "context" goes, which is the object's. */
static void
remember_own(void *object, MemoryContext context)
{
	Own		   *own = MemoryContextAllocZero(context, sizeof(Own));

	own->object = object;
	own->forget.func = forget_own;
	own->forget.arg = own;
	dlist_push_head(&own_objects, &own->node);
	MemoryContextRegisterResetCallback(context, &own->forget);
}

static bool
is_own(const void *object)
{
	dlist_iter	iter;

	dlist_foreach(iter, &own_objects)
	{
		if (dlist_container(Own, node, iter.cur)->object == object)
			return true;
	}
	return false;
}

/* Only the client can have sent what did not come by SQL. */
static bool
is_own_prepared(const char *name)
{
	PreparedStatement *prepared = FetchPreparedStatement(name, false);

	return prepared != NULL &&
		(!prepared->from_sql || is_own(prepared->plansource));
}

static void
watch_utility(PlannedStmt *pstmt, const char *queryString,
			  bool readOnlyTree, ProcessUtilityContext context,
			  ParamListInfo params, QueryEnvironment *queryEnv,
			  DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *statement = pstmt->utilityStmt;
	NodeTag		tag = nodeTag(statement);	/* some commands free it */
	bool		direct = context == PROCESS_UTILITY_TOPLEVEL &&
		called_by_statement();
	volatile bool save_executing_own = executing_own;

	if (tag == T_ExecuteStmt)
	{
		executing_own = direct &&
			is_own_prepared(((ExecuteStmt *) statement)->name);
		PG_TRY();
		{
			prev_process_utility(pstmt, queryString, readOnlyTree, context,
								 params, queryEnv, dest, qc);
		}
		PG_FINALLY();
		{
			executing_own = save_executing_own;
		}
		PG_END_TRY();
		return;
	}

	prev_process_utility(pstmt, queryString, readOnlyTree, context,
						 params, queryEnv, dest, qc);
	if (direct && tag == T_DeclareCursorStmt)
	{
		Portal		portal = GetPortalByName(((DeclareCursorStmt *) statement)->portalname);

		if (PortalIsValid(portal))
			remember_own(portal, portal->portalContext);
	}
	else if (direct && tag == T_PrepareStmt)
	{
		PreparedStatement *prepared = FetchPreparedStatement(((PrepareStmt *) statement)->name,
															 false);

		if (prepared != NULL)
			remember_own(prepared->plansource, prepared->plansource->context);
	}
}

void
claiim_direct_init(void)
{
	prev_fmgr_hook = fmgr_hook;
	fmgr_hook = watch_call;
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook :
		standard_ProcessUtility;
	ProcessUtility_hook = watch_utility;
}

/*
 * Is what runs a statement that the client has sent?  A message's portal is
 * the only one that has result formats; what EXECUTE runs is in one that is
 * not shown as a cursor.
 */
static bool
portal_is_own(Portal portal)
{
	if (portal->formats != NULL)
		return portal->prepStmtName == NULL ||
			is_own_prepared(portal->prepStmtName);
	return portal->visible ? is_own(portal) : executing_own;
}

/* Is every function in a plan, beside PostgreSQL's own, one of claiim's? */
static bool
only_own_functions(const List *items)
{
	OwnerScope	scope;
	ListCell   *cell;
	bool		own = true;
	int			n;

	claiim_owner_begin(&scope, true);
	n = claiim_query(&own_functions, NULL, NULL, true, 0);
	foreach(cell, items)
	{
		PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);
		bool		found = false;

		for (int i = 0; i < n && item->cacheId == PROCOID && !found; i++)
		{
			bool		isnull;
			Datum		oid = SPI_getbinval(SPI_tuptable->vals[i],
											SPI_tuptable->tupdesc, 1, &isnull);

			found = item->hashValue == GetSysCacheHashValue1(PROCOID, oid);
		}
		own &= found;
	}
	claiim_owner_end(&scope);
	return own;
}

/*
 * Is the statement that the client runs a plain SELECT of nothing but what is
 * claiim's and PostgreSQL's own?  EXECUTE and FETCH stand for what they run.
 */
static bool
statement_is_own(void)
{
	Oid			schema = get_namespace_oid("claiim", true);
	PlannedStmt *statement;
	ListCell   *cell;

	if (ActivePortal == NULL || list_length(ActivePortal->stmts) != 1 ||
		!portal_is_own(ActivePortal))
		return false;
	statement = linitial_node(PlannedStmt, ActivePortal->stmts);
	if (statement->commandType != CMD_SELECT || statement->hasModifyingCTE)
		return false;
	foreach(cell, statement->relationOids)
	{
		Oid			namespace = get_rel_namespace(lfirst_oid(cell));

		if (namespace != schema && namespace != PG_CATALOG_NAMESPACE)
			return false;
	}
	return only_own_functions(statement->invalItems);
}

/*
 * claiim._require_direct(what text, id text) -> void
 *
 * For claiim's functions to call first; what is NULL: whichever was called.
 * A superuser who logged in, and has become somebody else by SET SESSION
 * AUTHORIZATION, can be anybody anyway.
 *
 * Errors: 42501.
 */
Datum
claiim_require_direct(PG_FUNCTION_ARGS)
{
	char	   *what;
	char	   *id;

	if (!PG_ARGISNULL(0))
		what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	else
		what = depth > 0 ? get_func_name(outermost_function) : "_propose";
	id = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (superuser_arg(GetAuthenticatedUserId()) ||
		(depth > 0 && outermost_direct && outermost_written &&
		 statement_is_own()))
		PG_RETURN_VOID();
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("claiim.%s must be called by a statement of its own", what),
			 errdetail("It was called from a function, by what a function has declared or prepared, or by a statement that uses tables, views or functions other than claiim's and PostgreSQL's own, whose authors could act in your name."),
			 errhint("Run it as SELECT claiim.%s(%s%s).", what,
					 id ? quote_literal_cstr(id) : "",
					 id && strcmp(what, "approve") == 0 ? "" :
					 id ? ", ..." : "...")));
	PG_RETURN_VOID();
}
