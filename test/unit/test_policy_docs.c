/*-------------------------------------------------------------------------
 *
 * test_policy_docs.c
 *	  What doc/policies.md shows is what the parser accepts: its documents
 *	  parse, compile and pass their own tests, and its table of patterns is
 *	  right.  The same for the documents in examples/.
 *
 * Runs from the project's root.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#include "tap.h"

static char *
read_file(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	char	   *text = calloc(1, POLICY_MAX_SOURCE + 1);
	size_t		len = file ? fread(text, 1, POLICY_MAX_SOURCE, file) : 0;

	if (file != NULL)
		fclose(file);
	text[len] = '\0';
	return text;
}

/* A document is a skill if it has actions at its beginning of a line. */
static bool
is_skill(const char *source)
{
	return strncmp(source, "actions:", 8) == 0 ||
		strstr(source, "\nactions:") != NULL;
}

/* Parses, compiles, and runs the tests, with skills that cover everything. */
static bool
document_is_right(const char *source, PolicyError *error)
{
	static const char *const any = "actions: ['**']";
	Arena	   *arena = arena_create(0);
	bool		good = false;

	if (is_skill(source))
	{
		SkillDocument *skill = skill_parse(arena, source, strlen(source), error);

		good = skill != NULL && skill_compile(arena, skill, error) != NULL;
	}
	else
	{
		PolicyDocument *doc = policy_parse(arena, source, strlen(source), error);
		PolicyProgram *program = doc ? policy_compile(arena, doc, error) : NULL;

		if (program != NULL)
		{
			SkillProgram **skills = arena_alloc(arena, doc->nskills * sizeof(*skills));
			SkillProgram *skill = skill_compile(arena,
												skill_parse(arena, any, strlen(any), error),
												error);
			int			i;

			for (i = 0; i < doc->nskills; i++)
				skills[i] = skill;
			good = policy_run_tests(doc, program, skills, error);
		}
	}
	arena_destroy(arena);
	return good;
}

static void
check_document(const char *source, const char *what)
{
	PolicyError error;

	if (!ok(document_is_right(source, &error), "%s is a document that is right",
			what))
		diag("%d:%d: %s; expected %s", error.line, error.column, error.message,
			 error.expected);
}

static void
test_documents(char *page)
{
	char	   *at = page;
	int			count = 0;

	while ((at = strstr(at, "\n```yaml\n")) != NULL)
	{
		char		what[64];
		char	   *source = at + strlen("\n```yaml\n");
		char	   *end = strstr(source, "```");

		snprintf(what, sizeof(what), "document %d of doc/policies.md", ++count);
		*end = '\0';
		check_document(source, what);
		*end = '`';
		at = end;
	}
	ok(count >= 4, "doc/policies.md shows %d documents", count);
}

/* Names in one cell of the table of patterns, each in backquotes. */
static void
check_names(const char *pattern, char *cell, bool matches)
{
	char	   *name;
	char	   *at = cell;

	while ((name = strchr(at, '`')) != NULL)
	{
		char	   *end = strchr(++name, '`');

		*end = '\0';
		ok(pattern_match(pattern, name, strlen(name), ':') == matches,
		   "the table of patterns: %s %s %s", pattern,
		   matches ? "matches" : "does not match", name);
		at = end + 1;
	}
}

static void
test_pattern_table(char *page)
{
	char	   *row = strstr(page, "| pattern | matches |");
	int			count = 0;

	for (row = row ? strstr(row, "\n| `") : NULL; row != NULL && row[1] == '|';
		 row = strchr(row + 1, '\n'))
	{
		char		pattern[64];
		char		yes[128];
		char		no[128] = "";

		if (sscanf(row, "\n| `%63[^`]` | %127[^|]| %127[^|\n]", pattern, yes, no) < 2)
			break;
		count++;
		check_names(pattern, yes, true);
		check_names(pattern, no, false);
	}
	ok(count == 5, "the table of patterns has %d rows", count);
}

/* Whatever ends in .yaml below examples/, one level deep. */
static void
test_examples(const char *directory, int depth)
{
	struct dirent **entries;
	int			count = scandir(directory, &entries, NULL, alphasort);
	int			i;

	for (i = 0; i < count; i++)
	{
		const char *name = entries[i]->d_name;
		size_t		len = strlen(name);
		char		path[600];

		snprintf(path, sizeof(path), "%s/%s", directory, name);
		if (len > 5 && strcmp(name + len - 5, ".yaml") == 0)
		{
			char	   *source = read_file(path);

			check_document(source, path);
			free(source);
		}
		else if (name[0] != '.' && depth > 0)
			test_examples(path, depth - 1);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

int
main(void)
{
	char	   *page = read_file("doc/policies.md");

	test_documents(page);
	test_pattern_table(page);
	free(page);
	test_examples("examples", 1);
	return done_testing();
}
