/*-------------------------------------------------------------------------
 *
 * policy_diff.c
 *	  claiim._policy_diff: what would an agent be allowed otherwise?
 *
 * Compares two sets of published versions by name, and looks at nothing else:
 * so it can also compare what is not in force, and be called in a transaction
 * that is about to change what is.
 *
 *-------------------------------------------------------------------------
 */
#include "permissions.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(claiim_policy_diff);

#define NCHANGES	6

/* Versions that govern an agent, by name. */
typedef struct VersionSet
{
	DecisionInput input;
	NamedPolicy policy;
} VersionSet;

static const PolicyProgram *
published_policy(const char *name)
{
	const PolicyProgram *program = policy_store_policy(name);

	if (program == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("policy version \"%s\" does not exist", name)));
	return program;
}

static void
load_version_skills(ArrayType *declared, VersionSet *set)
{
	int			n = policy_program_nskills(set->policy.program);
	NamedSkill *skills = palloc0(sizeof(NamedSkill) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		skills[i].name = policy_program_skill(set->policy.program, i);
		skills[i].declared = directory_declares(declared, skills[i].name);
		skills[i].program = policy_store_skill(skills[i].name);
	}
	set->input.nskills = n;
	set->input.skills = skills;
}

static void
load_version_baselines(ArrayType *names, VersionSet *set)
{
	NamedPolicy *baselines;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	baselines = palloc0(sizeof(NamedPolicy) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("baselines must not contain nulls")));
		baselines[i].name = TextDatumGetCString(elements[i]);
		baselines[i].program = published_policy(baselines[i].name);
	}
	set->input.nbaselines = n;
	set->input.baselines = baselines;
}

/*
 * An agent that nothing but its policies can deny anything, from three
 * arguments: the skills that it declares, its policy, its baselines.
 */
static void
load_versions(FunctionCallInfo fcinfo, int arg, VersionSet *set)
{
	memset(set, 0, sizeof(*set));
	set->input.identity = IDENTITY_OK;
	set->input.agent = "agent";
	set->input.agent_status = AGENT_ACTIVE;
	set->input.org = "organization";
	set->input.anchor = "anchor";
	set->input.anchor_active = true;
	if (!PG_ARGISNULL(arg + 1))
	{
		set->policy.name = text_to_cstring(PG_GETARG_TEXT_PP(arg + 1));
		set->policy.program = published_policy(set->policy.name);
		set->input.policy = &set->policy;
		load_version_skills(PG_GETARG_ARRAYTYPE_P(arg), set);
	}
	load_version_baselines(PG_GETARG_ARRAYTYPE_P(arg + 2), set);
}

static Datum
verdict_datum(SpaceVerdict verdict, const char *why)
{
	return CStringGetTextDatum(psprintf("%s (%s)",
										verdict == SPACE_ALLOW ? "ALLOW" :
										verdict == SPACE_DENY ? "DENY" :
										"ALLOW inside a session", why));
}

static void
fill_change(const SpaceLine *line, const AgentEntry *entry,
			Datum *values, bool *nulls)
{
	const char *effect = "changed";

	if (line->verdict[0] == SPACE_DENY)
		effect = "newly allowed";
	else if (line->verdict[1] == SPACE_DENY)
		effect = "newly denied";
	values[0] = CStringGetTextDatum(effect);
	values[1] = CStringGetTextDatum(line->pattern.action);
	values[2] = CStringGetTextDatum(line->pattern.target);
	values[3] = permissions_exceptions(line);
	values[4] = verdict_datum(line->verdict[0], line->why[0]);
	values[5] = verdict_datum(line->verdict[1], line->why[1]);
}

static void
put_cut_off(ReturnSetInfo *rsinfo)
{
	Datum		values[NCHANGES];
	bool		nulls[NCHANGES];

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum("cut off");
	nulls[0] = false;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * claiim._policy_diff(skills_before text[], policy_before text,
 * baselines_before text[], skills_after text[], policy_after text,
 * baselines_after text[]) -> a row for each difference
 *
 * Errors: 22004 for NULL arrays; 42704 for a version that does not exist.
 */
Datum
claiim_policy_diff(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	VersionSet	before;
	VersionSet	after;
	PolicySpace space;
	OwnerScope	scope;
	MemoryContext caller = CurrentMemoryContext;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3) ||
		PG_ARGISNULL(5))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("skills and baselines must not be null")));
	InitMaterializedSRF(fcinfo, 0);

	claiim_owner_begin(&scope, true);
	MemoryContextSwitchTo(caller);
	load_versions(fcinfo, 0, &before);
	load_versions(fcinfo, 3, &after);
	claiim_owner_end(&scope);

	if (policy_space(claiim_arena(CurrentMemoryContext), &before.input,
					 &after.input, &space))
		permissions_put_lines(rsinfo, &space, NULL, fill_change, NCHANGES);
	else
		put_cut_off(rsinfo);
	return (Datum) 0;
}
