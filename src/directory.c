/*-------------------------------------------------------------------------
 *
 * directory.c
 *	  What is known of agents: organization, anchor, bound versions, tokens,
 *	  sessions.
 *
 * Cached per backend in one memory context that is thrown away whole.  What
 * is cached is tagged with the epoch that was current before it was read;
 * when the shared epoch has moved on, or a table's definition may have
 * changed, everything goes.  So a check whose agent is cached reads two
 * counters and no table.
 *
 * Reading uses the latest committed state, also inside an old REPEATABLE
 * READ snapshot.  Of unknown agents only the last few are kept: anyone can
 * invent names.  Tokens that are not there are not kept at all.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static MemoryContext directory_context = NULL;
static HTAB *agents = NULL;
static HTAB *tokens = NULL;		/* those that were asked for and found */
static uint64 directory_epoch = 0;
static uint64 directory_catalog = 0;

/*
 * The names last asked for that are no agent's.  Each is in "agents", with no
 * organization: so the second question takes no longer than of an agent that
 * there is, and does not tell one from the other by the time that it takes.
 */
#define MAX_UNKNOWN 64
static char unknown[MAX_UNKNOWN][CLAIIM_MAX_AGENT + 1];
static uint64 nunknown = 0;

/* The target map: patterns to organizations. */
static bool targets_loaded = false;
static Arena *target_arena = NULL;
static PatternSet *target_set = NULL;
static int	ntargets = 0;
static char **target_orgs = NULL;
static char **target_patterns = NULL;

static ClaiimQuery agent_query = {
	"SELECT a.org, a.status, a.role_name::text, a.skills, h.human,"
	" h.status = 'active', b.policy_version,"
	" (SELECT o.org FROM claiim.orgs o"
	"  WHERE (o.org = a.org OR starts_with(a.org, o.org || '/'))"
	"  AND o.status <> 'active' ORDER BY length(o.org) LIMIT 1),"
	" a.emergency_until, e.org, e.emergency_until"
	" FROM claiim.agents a"
	" LEFT JOIN LATERAL (SELECT o.org, o.emergency_until FROM claiim.orgs o"
	"  WHERE (o.org = a.org OR starts_with(a.org, o.org || '/'))"
	"  AND o.emergency_until IS NOT NULL"
	"  ORDER BY o.emergency_until, length(o.org) LIMIT 1) e ON true"
	" LEFT JOIN claiim.anchors n ON n.agent = a.agent AND n.valid_until IS NULL"
	" LEFT JOIN claiim.humans h ON h.human = n.human"
	" LEFT JOIN claiim.bindings b ON b.agent = a.agent"
	" WHERE a.agent = $1",
	1, {TEXTOID}, NULL
};
static ClaiimQuery baseline_query = {
	"SELECT b.policy_version FROM claiim.bindings b"
	" WHERE b.org = $1 OR starts_with($1, b.org || '/')"
	" ORDER BY length(b.org)",
	1, {TEXTOID}, NULL
};
static ClaiimQuery token_query = {
	"SELECT agent, digest, expires_at, revoked_at IS NOT NULL, networks"
	" FROM claiim.tokens WHERE token = $1",
	1, {TEXTOID}, NULL
};
static ClaiimQuery target_query = {
	"SELECT pattern, org FROM claiim.targets",
	0, {0}, NULL
};

static void
destroy_target_arena(void *arg)
{
	arena_destroy(target_arena);
	target_arena = NULL;
	target_set = NULL;
}

static void
reset_directory(void)
{
	HASHCTL		info;

	if (directory_context != NULL)
		MemoryContextReset(directory_context);
	else
		directory_context = AllocSetContextCreate(CacheMemoryContext,
												  "claiim directory",
												  ALLOCSET_DEFAULT_SIZES);
	agents = NULL;
	targets_loaded = false;
	target_orgs = NULL;
	policy_store_trim();

	memset(&info, 0, sizeof(info));
	info.keysize = CLAIIM_MAX_AGENT + 1;
	info.entrysize = sizeof(AgentEntry);
	info.hcxt = directory_context;
	nunknown = 0;
	tokens = NULL;
	agents = hash_create("claiim agents", 64, &info,
						 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	info.keysize = CLAIIM_TOKEN_ID_LEN + 1;
	info.entrysize = sizeof(TokenEntry);
	tokens = hash_create("claiim tokens", 64, &info,
						 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* What is cached must not be used again. */
void
directory_forget(void)
{
	agents = NULL;
}

/* Column "column" of row "row" as a string kept in the directory, or NULL. */
static char *
keep_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);
	MemoryContext old;
	char	   *result;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(directory_context);
	result = TextDatumGetCString(value);
	MemoryContextSwitchTo(old);
	return result;
}

static bool
get_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* A time, or DT_NOEND for NULL. */
static TimestampTz
get_end(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

/* The program of a version that is bound, which must exist. */
static void
load_policy(NamedPolicy *policy, char *name)
{
	policy->name = name;
	policy->program = policy_store_policy(name);
	if (policy->program == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("policy version \"%s\" is bound but does not exist",
						name)));
}

/* "deploy" of "deploy-v2": is it among the agent's declared skills? */
bool
directory_declares(ArrayType *declared, const char *version)
{
	const char *suffix = strrchr(version, '-');
	size_t		len = suffix ? (size_t) (suffix - version) : strlen(version);
	Datum	   *items;
	bool	   *nulls;
	int			nitems;

	deconstruct_array(declared, TEXTOID, -1, false, TYPALIGN_INT,
					  &items, &nulls, &nitems);
	for (int i = 0; i < nitems; i++)
	{
		text	   *item;

		if (nulls[i])
			continue;
		item = DatumGetTextPP(items[i]);
		if (VARSIZE_ANY_EXHDR(item) == len &&
			memcmp(VARDATA_ANY(item), version, len) == 0)
			return true;
	}
	return false;
}

static char *
join_names(const char *joined, const char *name)
{
	char	   *result;

	if (joined == NULL)
		return MemoryContextStrdup(directory_context, name);
	result = MemoryContextAlloc(directory_context,
								strlen(joined) + strlen(name) + 3);
	sprintf(result, "%s, %s", joined, name);
	return result;
}

static void
load_skills(AgentEntry *entry, ArrayType *declared)
{
	entry->nskills = policy_program_nskills(entry->policy->program);
	entry->skills = MemoryContextAllocZero(directory_context,
										   sizeof(NamedSkill) *
										   Max(entry->nskills, 1));
	for (int i = 0; i < entry->nskills; i++)
	{
		const char *name = policy_program_skill(entry->policy->program, i);
		NamedSkill *skill = &entry->skills[i];

		skill->name = MemoryContextStrdup(directory_context, name);
		skill->declared = declared != NULL &&
			directory_declares(declared, name);
		skill->program = policy_store_skill(name);
		if (skill->program == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("skill version \"%s\" is named by policy version \"%s\" but does not exist",
							name, entry->policy->name)));
		entry->skill_names = join_names(entry->skill_names, name);
	}
}

static void
load_baselines(AgentEntry *entry)
{
	Datum		values[1] = {CStringGetTextDatum(entry->org)};
	int			n = claiim_query(&baseline_query, values, NULL, true, 0);
	char	  **names = palloc(sizeof(char *) * Max(n, 1));

	for (int i = 0; i < n; i++)
		names[i] = keep_text(i, 1);
	entry->baselines = MemoryContextAllocZero(directory_context,
											  sizeof(NamedPolicy) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		load_policy(&entry->baselines[i], names[i]);
		entry->baseline_names = join_names(entry->baseline_names, names[i]);
	}
	entry->nbaselines = n;
}

static AgentStatus
parse_status(const char *status)
{
	if (strcmp(status, "active") == 0)
		return AGENT_ACTIVE;
	if (strcmp(status, "retired") == 0)
		return AGENT_RETIRED;
	return AGENT_SUSPENDED;		/* whatever else it says, it is not active */
}

/* Read an agent into "entry"; false if there is none. */
static bool
load_agent(const char *agent, AgentEntry *entry)
{
	Datum		values[1] = {CStringGetTextDatum(agent)};
	ArrayType  *declared = NULL;
	char	   *policy;
	char	   *status;
	bool		isnull;
	Datum		skills;

	if (claiim_query(&agent_query, values, NULL, true, 2) == 0)
		return false;
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("agent \"%s\" has more than one anchor or binding",
						agent)));

	strlcpy(entry->agent, agent, sizeof(entry->agent));
	entry->org = keep_text(0, 1);
	status = keep_text(0, 2);
	entry->role_name = keep_text(0, 3);
	entry->anchor = keep_text(0, 5);
	entry->anchor_active = get_bool(0, 6);
	policy = keep_text(0, 7);
	entry->suspended_org = keep_text(0, 8);
	entry->emergency_until = get_end(0, 9);
	if (get_end(0, 11) < entry->emergency_until)
	{
		entry->emergency_until = get_end(0, 11);
		entry->emergency_org = keep_text(0, 10);
	}
	entry->status = parse_status(status);

	skills = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4,
						   &isnull);
	if (!isnull)
		declared = DatumGetArrayTypePCopy(skills);

	if (policy != NULL)
	{
		entry->policy = MemoryContextAllocZero(directory_context,
											   sizeof(NamedPolicy));
		load_policy(entry->policy, policy);
		load_skills(entry, declared);
	}
	load_baselines(entry);
	entry->nsessions = session_load_open(agent, directory_context,
										 &entry->sessions);
	return true;
}

static void
remember_unknown(const char *agent)
{
	AgentEntry	none;
	char	   *place = unknown[nunknown % MAX_UNKNOWN];

	if (nunknown >= MAX_UNKNOWN)
		hash_search(agents, place, HASH_REMOVE, NULL);
	nunknown++;
	strlcpy(place, agent, sizeof(unknown[0]));
	memset(&none, 0, sizeof(none));
	strlcpy(none.agent, agent, sizeof(none.agent));
	memcpy(hash_search(agents, agent, HASH_ENTER, NULL), &none, sizeof(none));
}

/* The longest-known pattern set of targets, for this epoch. */
static void
load_targets(void)
{
	MemoryContextCallback *callback;
	int			n = claiim_query(&target_query, NULL, NULL, true, 0);

	callback = MemoryContextAllocZero(directory_context,
									  sizeof(MemoryContextCallback));
	callback->func = destroy_target_arena;
	target_arena = arena_create(0);
	MemoryContextRegisterResetCallback(directory_context, callback);
	if (target_arena != NULL)
		target_set = pattern_set_create(target_arena, '/');
	if (target_set == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));

	target_orgs = MemoryContextAllocZero(directory_context,
										 sizeof(char *) * Max(n, 1));
	target_patterns = MemoryContextAllocZero(directory_context,
											 sizeof(char *) * Max(n, 1));
	ntargets = n;
	for (int i = 0; i < n; i++)
	{
		char	   *pattern = keep_text(i, 1);

		target_orgs[i] = keep_text(i, 2);
		target_patterns[i] = pattern;
		if (!pattern_set_add(target_set, pattern, i))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("\"%s\" in claiim.targets is not a pattern",
							pattern)));
	}
	targets_loaded = true;
}

/*
 * The agent as of the latest committed state; NULL if there is none.  Also
 * sees to it that the target map is there.
 *
 * epoch: the shared epoch, read by the caller before calling.  What is
 * returned, and what directory_token and directory_target_org return, is
 * valid until the next call of this function.
 *
 * Errors: those of claiim_catalog; XX001 if the tables contradict
 * themselves; whatever reading them raises.  An error empties the cache.
 */
AgentEntry *
directory_agent(const char *agent, uint64 epoch)
{
	AgentEntry *entry;
	AgentEntry	loaded;
	OwnerScope	scope;
	volatile bool found = false;

	/* Nobody may decide by, or keep, what is not committed. */
	claiim_refuse_governing("the gate");
	(void) claiim_catalog(false);
	if (agents == NULL || directory_epoch != epoch ||
		directory_catalog != claiim_catalog_generation())
	{
		reset_directory();
		directory_epoch = epoch;
		directory_catalog = claiim_catalog_generation();
	}

	entry = hash_search(agents, agent, HASH_FIND, NULL);
	if (entry != NULL && targets_loaded)
		return entry->org ? entry : NULL;

	memset(&loaded, 0, sizeof(loaded));
	PG_TRY();
	{
		claiim_owner_begin(&scope, true);
		if (!targets_loaded)
			load_targets();
		if (entry == NULL)
			found = load_agent(agent, &loaded);
		claiim_owner_end(&scope);

		if (found)
		{
			entry = hash_search(agents, agent, HASH_ENTER, NULL);
			memcpy(entry, &loaded, sizeof(loaded));
		}
		else if (entry == NULL)
			remember_unknown(agent);
	}
	PG_CATCH();
	{
		/* What was loaded by halves must not be found by the next call. */
		agents = NULL;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return entry != NULL && entry->org != NULL ? entry : NULL;
}

/*
 * A token by its identifier, whichever agent's it is; NULL if there is none.
 * After directory_agent.
 */
const TokenEntry *
directory_token(const char *token_id)
{
	TokenEntry *token = hash_search(tokens, token_id, HASH_FIND, NULL);
	OwnerScope	scope;
	Datum		values[1];

	if (token != NULL)
		return token;

	claiim_owner_begin(&scope, true);
	values[0] = CStringGetTextDatum(token_id);
	if (claiim_query(&token_query, values, NULL, true, 1) == 1)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		TokenEntry	loaded;
		bytea	   *digest;
		Datum		value;
		bool		isnull;

		memset(&loaded, 0, sizeof(loaded));
		strlcpy(loaded.token_id, token_id, sizeof(loaded.token_id));
		value = SPI_getbinval(tuple, desc, 1, &isnull);
		strlcpy(loaded.agent, TextDatumGetCString(value), sizeof(loaded.agent));
		digest = DatumGetByteaPP(SPI_getbinval(tuple, desc, 2, &isnull));
		if (VARSIZE_ANY_EXHDR(digest) != CLAIIM_DIGEST_LEN)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("token \"%s\" has a malformed digest", token_id)));
		memcpy(loaded.digest, VARDATA_ANY(digest), CLAIIM_DIGEST_LEN);
		value = SPI_getbinval(tuple, desc, 3, &isnull);
		loaded.expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(value);
		loaded.revoked = get_bool(0, 4);
		value = SPI_getbinval(tuple, desc, 5, &isnull);
		loaded.elsewhere = !isnull &&
			!claiim_client_is_in(DatumGetArrayTypeP(value));

		token = hash_search(tokens, token_id, HASH_ENTER, NULL);
		memcpy(token, &loaded, sizeof(loaded));
	}
	claiim_owner_end(&scope);
	return token;
}

/*
 * A session of the agent's organization by its identifier; NULL if there is
 * none.  Like an unknown agent, an unknown session is not cached: it may be
 * asked for at any time, which does not move the epoch.
 */
const NamedSession *
directory_session(AgentEntry *entry, const char *session)
{
	SessionEntry *other;
	OwnerScope	scope;
	NamedSession loaded;
	bool		found;

	for (int i = 0; i < entry->nsessions; i++)
		if (strcmp(entry->sessions[i].name, session) == 0)
			return &entry->sessions[i];
	for (other = entry->other_sessions; other != NULL; other = other->next)
		if (strcmp(other->session.name, session) == 0)
			return &other->session;

	claiim_owner_begin(&scope, true);
	found = session_load(session, entry->org, directory_context, &loaded);
	claiim_owner_end(&scope);
	if (!found)
		return NULL;
	other = MemoryContextAlloc(directory_context, sizeof(SessionEntry));
	other->session = loaded;
	other->next = entry->other_sessions;
	entry->other_sessions = other;
	return &other->session;
}

/*
 * The writer says that a session has no use left, which it will never have
 * again.
 */
void
directory_session_used_up(AgentEntry *entry, const char *session)
{
	for (int i = 0; i < entry->nsessions; i++)
		if (strcmp(entry->sessions[i].name, session) == 0)
			entry->sessions[i].used_up = true;
	for (SessionEntry *other = entry->other_sessions; other != NULL;
		 other = other->next)
		if (strcmp(other->session.name, session) == 0)
			other->session.used_up = true;
}

/*
 * Uses do not move the epoch.  Has another backend used up one of the agent's
 * sessions since they were read?
 */
bool
directory_reload_uses(AgentEntry *entry)
{
	OwnerScope	scope;
	bool		bounded = false;
	bool		found;

	for (int i = 0; i < entry->nsessions; i++)
		bounded |= entry->sessions[i].max_uses > 0 &&
			!entry->sessions[i].used_up;
	if (!bounded)
		return false;
	claiim_owner_begin(&scope, true);
	found = session_reload_uses(entry->agent, entry->nsessions,
								entry->sessions);
	claiim_owner_end(&scope);
	return found;
}

/*
 * The organization that owns a target; NULL if no pattern maps it.  After
 * directory_agent.
 */
const char *
directory_target_org(const char *target, size_t len)
{
	int			best = pattern_set_best(target_set, target, len);

	return best < 0 ? NULL : target_orgs[best];
}

/*
 * Whether the organization owns a target that this one of its patterns and
 * the other pattern match.  What more specific patterns give to others can
 * depend on a target's length, so all are tried: see pattern_set_covers.
 */
static bool
owns_common_target(const char *org, const char *own, const char *pattern)
{
	char		both[POLICY_MAX_INTERSECTION + 4 * POLICY_MAX_SEGMENTS];
	size_t		len;

	if (!pattern_intersect(own, pattern, '/', both))
		return false;
	len = strlen(both);
	if (len < 2 || strcmp(both + len - 2, "**") != 0)
	{
		const char *owner = directory_target_org(both, len);

		return owner != NULL && strcmp(owner, org) == 0;
	}
	len--;
	for (int i = 0; i <= POLICY_MAX_SEGMENTS; i++)
	{
		const char *owner = directory_target_org(both, len);

		if (owner != NULL && strcmp(owner, org) == 0)
			return true;
		both[len++] = '/';
		both[len++] = '*';
	}
	return false;
}

/*
 * Whether the organization owns any target that the pattern matches.  After
 * directory_agent.
 */
bool
directory_org_has_target(const char *org, const char *pattern)
{
	for (int i = 0; i < ntargets; i++)
		if (strcmp(target_orgs[i], org) == 0 &&
			owns_common_target(org, target_patterns[i], pattern))
			return true;
	return false;
}
