/*-------------------------------------------------------------------------
 *
 * policy_store.c
 *	  Skill and policy versions between their tables and the programs.
 *
 * A version never changes, so its program is compiled once per backend and
 * kept.  Kept programs are found by name and by the SHA-256 of their source,
 * so that not even a dropped and re-created extension, with other content
 * under the same name, is served an old program.  What is bound to whom is
 * directory.c's business.
 *
 * The parser and compiler use malloc'ed arenas; whatever raises an error
 * here while an arena is being filled would leak it, so arenas belong to a
 * memory context from the first instant (claiim_arena).
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"
#include "compat.h"

#include <openssl/evp.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(claiim_policy_check);
PG_FUNCTION_INFO_V1(claiim_skill_check);

#define MAX_KEPT_PROGRAMS	4096
#define MAX_VERSION_NAME	(128 + NAMEDATALEN)

typedef struct ProgramKey
{
	char		kind;			/* 'p' or 's' */
	char		name[MAX_VERSION_NAME];
	uint8		sha256[32];
} ProgramKey;

typedef struct ProgramEntry
{
	ProgramKey	key;
	void	   *program;
} ProgramEntry;

static MemoryContext program_context = NULL;
static HTAB *programs = NULL;

static ClaiimQuery policy_query = {
	"SELECT sha256, source FROM claiim.policy_versions WHERE name = $1",
	1, {TEXTOID}, NULL
};
static ClaiimQuery skill_query = {
	"SELECT sha256, source FROM claiim.skill_versions WHERE name = $1",
	1, {TEXTOID}, NULL
};

/* As a publisher may see it: of the organization, or of one above it. */
static ClaiimQuery visible_skill_query = {
	"SELECT v.source FROM claiim.skill_versions v"
	" JOIN claiim.skills s ON s.skill = v.skill"
	" WHERE v.name = $1 AND (s.org = $2 OR starts_with($2, s.org || '/'))",
	2, {TEXTOID, TEXTOID}, NULL
};

/*
 * The arena of a memory context
 */

static void
destroy_arena(void *arg)
{
	arena_destroy((Arena *) arg);
}

/* An arena that goes when "context" is reset or deleted. */
Arena *
claiim_arena(MemoryContext context)
{
	MemoryContextCallback *callback;
	Arena	   *arena;

	callback = MemoryContextAllocZero(context, sizeof(MemoryContextCallback));
	arena = arena_create(64 * 1024 * 1024);
	if (arena == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	callback->func = destroy_arena;
	callback->arg = arena;
	MemoryContextRegisterResetCallback(context, callback);
	return arena;
}

/*
 * Errors of the parser
 */

static claiim_noreturn void
document_error(const char *what, const PolicyError *error)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s, line %d, column %d: %s", what,
					error->line, error->column, error->message),
			 error->expected[0] ? errdetail("Expected %s.", error->expected) : 0));
}

/*
 * Kept programs
 */

static void
reset_programs(void)
{
	HASHCTL		info;

	if (program_context)
		MemoryContextDelete(program_context);
	programs = NULL;
	program_context = AllocSetContextCreate(CacheMemoryContext,
											"claiim programs",
											ALLOCSET_DEFAULT_SIZES);
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(ProgramKey);
	info.entrysize = sizeof(ProgramEntry);
	info.hcxt = program_context;
	programs = hash_create("claiim programs", 64, &info,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Make room before a load begins.  Called only when no program is in use,
 * which is when the directory has just been emptied.
 */
void
policy_store_trim(void)
{
	if (programs == NULL || hash_get_num_entries(programs) > MAX_KEPT_PROGRAMS)
		reset_programs();
}

static void *
compile(char kind, const char *name, const char *source, size_t len,
		Arena *arena)
{
	PolicyError error;
	void	   *program = NULL;

	memset(&error, 0, sizeof(error));
	if (kind == 'p')
	{
		PolicyDocument *doc = policy_parse(arena, source, len, &error);

		if (doc)
			program = policy_compile(arena, doc, &error);
	}
	else
	{
		SkillDocument *doc = skill_parse(arena, source, len, &error);

		if (doc)
			program = skill_compile(arena, doc, &error);
	}
	if (program == NULL)
		document_error(name, &error);
	return program;
}

/*
 * The program of a version, compiled if it is not kept.  Inside an owner
 * scope.  NULL if there is no such version.
 *
 * Errors: XX001 if the stored source is not what was published.
 */
static void *
load_program(char kind, const char *name)
{
	Datum		values[1] = {CStringGetTextDatum(name)};
	ProgramKey	key;
	ProgramEntry *entry;
	MemoryContext context;
	bool		isnull;
	bytea	   *sha256;
	text	   *source;
	uint8		digest[32];
	unsigned int digest_len;
	void	   *program;

	if (programs == NULL)
		reset_programs();
	if (strlen(name) >= MAX_VERSION_NAME ||
		claiim_query(kind == 'p' ? &policy_query : &skill_query,
					 values, NULL, true, 1) == 0)
		return NULL;

	sha256 = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 1, &isnull));
	source = DatumGetTextPP(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 2, &isnull));
	memset(&key, 0, sizeof(key));
	key.kind = kind;
	strlcpy(key.name, name, sizeof(key.name));
	if (VARSIZE_ANY_EXHDR(sha256) == sizeof(key.sha256))
		memcpy(key.sha256, VARDATA_ANY(sha256), sizeof(key.sha256));

	entry = hash_search(programs, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->program;

	if (!EVP_Digest(VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source), digest,
					&digest_len, EVP_sha256(), NULL) ||
		memcmp(digest, key.sha256, sizeof(key.sha256)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the source of version \"%s\" is not what was published",
						name),
				 errdetail("Its SHA-256 differs from the one stored at publication.")));

	context = AllocSetContextCreate(CurrentMemoryContext, "claiim program",
									ALLOCSET_SMALL_SIZES);
	program = compile(kind, name, VARDATA_ANY(source),
					  VARSIZE_ANY_EXHDR(source), claiim_arena(context));

	/* From here on nothing fails but memory; then the context goes as well. */
	MemoryContextSetParent(context, program_context);
	entry = hash_search(programs, &key, HASH_ENTER, NULL);
	entry->program = program;
	return program;
}

PolicyProgram *
policy_store_policy(const char *version)
{
	return load_program('p', version);
}

SkillProgram *
policy_store_skill(const char *version)
{
	return load_program('s', version);
}

/*
 * Publishing
 */

static Datum
text_array(const char *const *items, int nitems)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(nitems, 1));

	for (int i = 0; i < nitems; i++)
		elements[i] = CStringGetTextDatum(items[i]);
	return PointerGetDatum(construct_array(elements, nitems, TEXTOID, -1,
										   false, TYPALIGN_INT));
}

static text *
source_arg(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source must not be null")));
	return PG_GETARG_TEXT_PP(0);
}

/*
 * claiim._skill_check(source text) -> text[]: the skill's action patterns
 *
 * Errors: 22023 with line and column.
 */
Datum
claiim_skill_check(PG_FUNCTION_ARGS)
{
	text	   *source = source_arg(fcinfo);
	Arena	   *arena = claiim_arena(CurrentMemoryContext);
	PolicyError error;
	SkillDocument *doc;

	memset(&error, 0, sizeof(error));
	doc = skill_parse(arena, VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source),
					  &error);
	if (doc == NULL || skill_compile(arena, doc, &error) == NULL)
		document_error("skill", &error);
	PG_RETURN_DATUM(text_array(doc->actions, doc->nactions));
}

/*
 * claiim._policy_check(source text, org text) -> text[]: the skill versions
 * that it names
 *
 * The document is parsed and compiled, its skills are found among those that
 * the organization can use, every allow entry must lie inside them, and the
 * document's own tests must pass.
 *
 * Errors: 22004 for NULL, 22023 with line and column.
 */
Datum
claiim_policy_check(PG_FUNCTION_ARGS)
{
	text	   *source = source_arg(fcinfo);
	Arena	   *arena = claiim_arena(CurrentMemoryContext);
	PolicyError error;
	PolicyDocument *doc;
	PolicyProgram *program = NULL;
	SkillDocument **skills;
	SkillProgram **skill_programs;
	OwnerScope	scope;
	MemoryContext caller = CurrentMemoryContext;
	Datum		org;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("org must not be null")));
	org = PG_GETARG_DATUM(1);

	memset(&error, 0, sizeof(error));
	doc = policy_parse(arena, VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source),
					   &error);
	if (doc != NULL)
		program = policy_compile(arena, doc, &error);
	if (program == NULL)
		document_error("policy", &error);

	skills = palloc0(sizeof(SkillDocument *) * Max(doc->nskills, 1));
	skill_programs = palloc0(sizeof(SkillProgram *) * Max(doc->nskills, 1));

	/* A version published earlier in this transaction counts here. */
	claiim_owner_begin(&scope, false);
	for (int i = 0; i < doc->nskills; i++)
	{
		Datum		values[2] = {CStringGetTextDatum(doc->skills[i]), org};
		MemoryContext spi_context;
		bool		isnull;
		char	   *text_copy;

		if (claiim_query(&visible_skill_query, values, NULL, false, 1) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("policy, line %d, column %d: unknown skill \"%s\"",
							doc->skill_lines[i], doc->skill_columns[i],
							doc->skills[i]),
					 errdetail("Expected the name of a published skill version, such as \"deploy-v2\", of this organization or of one above it.")));
		spi_context = MemoryContextSwitchTo(caller);
		text_copy = TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[0],
													  SPI_tuptable->tupdesc,
													  1, &isnull));
		MemoryContextSwitchTo(spi_context);
		skills[i] = skill_parse(arena, text_copy, strlen(text_copy), &error);
		if (skills[i] != NULL)
			skill_programs[i] = skill_compile(arena, skills[i], &error);
		if (skill_programs[i] == NULL)
			document_error(doc->skills[i], &error);
	}
	claiim_owner_end(&scope);

	if (!policy_check_skills(doc, skills, &error) ||
		!policy_run_tests(doc, program, skill_programs, &error))
		document_error("policy", &error);
	PG_RETURN_DATUM(text_array(doc->skills, doc->nskills));
}
