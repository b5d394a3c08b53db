/*-------------------------------------------------------------------------
 *
 * policy_reader.c
 *	  Reading a document's tree, strictly: the pieces that its grammar
 *	  (policy_document.c) is made of.
 *
 * Each function takes a node, wants something of it, and otherwise says what
 * was expected, at the node's position.  They return false, or NULL, with
 * the error filled in.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

#define EXPECTED_PATTERN	"segments joined by \":\", each a name or \"*\", the last one also \"**\""
#define EXPECTED_TARGET		"segments joined by \"/\", each a name or \"*\", the last one also \"**\""

/*
 * What a node is instead of what it should be; returns false.  "what" is
 * '"allow"' or 'entry'.
 */
bool
reader_wrong_kind(DocumentReader *reader, const YamlNode *node, const char *what,
		   const char *expected)
{
	const YamlNode *at = node->absent && node->key != NULL ? node->key : node;
	const char *is = "text";

	if (node->absent)
		is = "empty";
	else if (node->kind == YAML_LIST)
		is = node->nchildren == 0 ? "an empty list" : "a list";
	else if (node->kind == YAML_MAPPING)
		is = "a mapping";
	else if (node->multiline)
	{
		is = "text of more than one line";
		expected = "text on one line; keys, and entries of a list, in the same column";
	}
	return policy_fail(reader->error, at->line, at->column, expected,
					   "%s is %s", what, is);
}

/* A text on one line, and not nothing. */
bool
reader_text(DocumentReader *reader, const YamlNode *node, const char *what,
		  const char *expected)
{
	if (node->kind != YAML_TEXT || node->absent || node->multiline)
		return reader_wrong_kind(reader, node, what, expected);
	return true;
}

char *
reader_copy(DocumentReader *reader, const YamlNode *node)
{
	char	   *copy = arena_strndup(reader->arena, node->text, node->len);

	if (copy == NULL)
		policy_out_of_memory(reader->error);
	return copy;
}

/* An array in the document's arena, of at least one element. */
void *
reader_array(DocumentReader *reader, int count, size_t size)
{
	void	   *array = arena_alloc(reader->arena, (count > 0 ? count : 1) * size);

	if (array == NULL)
		policy_out_of_memory(reader->error);
	return array;
}

/*
 * Finds the values of a mapping's keys: values[i] is that of keys[i], or
 * NULL.  "expected" lists the keys.
 */
bool
reader_keys(DocumentReader *reader, const YamlNode *mapping,
		  const DocumentKey *keys, int nkeys, const char *expected,
		  const YamlNode **values)
{
	const YamlNode *value;
	char		shown[SHOWN_SIZE];

	memset(values, 0, nkeys * sizeof(*values));
	for (value = mapping->children; value != NULL; value = value->next)
	{
		const YamlNode *key = value->key;
		int			i;

		for (i = 0; i < nkeys; i++)
			if (strcmp(keys[i].name, key->text) == 0)
				break;
		if (i == nkeys)
			return policy_fail(reader->error, key->line, key->column, expected,
							   "unknown key \"%s\"",
							   policy_shown(shown, key->text, key->len));
		if (keys[i].later)
			return policy_fail(reader->error, key->line, key->column, expected,
							   "key \"%s\" is not supported by this version",
							   keys[i].name);
		if (values[i] != NULL)
			return policy_fail(reader->error, key->line, key->column,
							   "each key once",
							   "duplicate key \"%s\", first given on line %d",
							   keys[i].name, values[i]->key->line);
		values[i] = value;
	}
	return true;
}

/*
 * Refuses what was given before in the same scope: "text" followed by
 * "qualifier", if any.
 */
bool
reader_once(DocumentReader *reader, int scope, const YamlNode *node,
		 const char *what, const char *text, const char *qualifier)
{
	size_t		text_len = strlen(text);
	size_t		qualifier_len = qualifier ? strlen(qualifier) : 0;
	size_t		len = text_len + (qualifier ? 1 + qualifier_len : 0);
	char	   *key = arena_alloc(reader->scratch, len + 1);
	char		shown[SHOWN_SIZE];
	char		shown_qualifier[SHOWN_SIZE];
	int			line;

	if (key == NULL)
		return policy_out_of_memory(reader->error);
	memcpy(key, text, text_len);
	if (qualifier != NULL)
	{
		/* No pattern has a line feed. */
		key[text_len] = '\n';
		memcpy(key + text_len + 1, qualifier, qualifier_len);
	}
	line = string_map_get(reader->seen, scope, key, len);
	if (line >= 0)
		return policy_fail(reader->error, node->line, node->column,
						   "each one once",
						   "duplicate %s \"%s%s%s\", first given on line %d",
						   what, policy_shown(shown, text, text_len),
						   qualifier ? "\" on \"" : "",
						   qualifier ? policy_shown(shown_qualifier, qualifier,
													qualifier_len) : "",
						   line);
	if (!string_map_put(reader->seen, scope, key, len, node->line))
		return policy_out_of_memory(reader->error);
	return true;
}

/* A pattern of actions (':') or targets ('/'). */
bool
reader_pattern(DocumentReader *reader, const YamlNode *node, const char *what,
			 char separator, const char **pattern)
{
	const char *expected = separator == ':' ? EXPECTED_PATTERN : EXPECTED_TARGET;
	const char *why;
	char		shown[SHOWN_SIZE];

	if (!reader_text(reader, node, what, expected))
		return false;
	if (!pattern_check(node->text, node->len, separator, &why))
		return policy_fail(reader->error, node->line, node->column, expected,
						   "bad pattern \"%s\": %s",
						   policy_shown(shown, node->text, node->len), why);
	*pattern = reader_copy(reader, node);
	return *pattern != NULL;
}

/* A name, as an agent would pass it. */
bool
reader_name(DocumentReader *reader, const YamlNode *node, const char *what,
		  bool (*check) (const char *, size_t, const char **),
		  const char **name)
{
	const char *why;
	char		shown[SHOWN_SIZE];

	if (!reader_text(reader, node, what, "the name that an agent would pass"))
		return false;
	if (!check(node->text, node->len, &why))
		return policy_fail(reader->error, node->line, node->column,
						   "the name that an agent would pass",
						   "bad name \"%s\": %s",
						   policy_shown(shown, node->text, node->len), why);
	*name = reader_copy(reader, node);
	return *name != NULL;
}

/* A text that is one of two words, or the only one if "no" is NULL. */
bool
reader_choice(DocumentReader *reader, const YamlNode *node, const char *what,
			const char *yes, const char *no, const char *expected, bool *value)
{
	char		shown[SHOWN_SIZE];

	if (!reader_text(reader, node, what, expected))
		return false;
	*value = strcmp(node->text, yes) == 0;
	if (!*value && (no == NULL || strcmp(node->text, no) != 0))
		return policy_fail(reader->error, node->line, node->column, expected,
						   "%s is \"%s\"", what,
						   policy_shown(shown, node->text, node->len));
	return true;
}

/*
 * The tree of a source, and a reader for it.  The caller drops the scratch
 * arena, also if this fails.
 */
YamlNode *
reader_open(DocumentReader *reader, Arena *arena, const char *source,
			  size_t len, PolicyError *error, const char *expected)
{
	YamlNode   *root;

	memset(error, 0, sizeof(*error));
	reader->arena = arena;
	reader->error = error;
	reader->scratch = arena_create(0);
	reader->seen = reader->scratch ? string_map_create(reader->scratch) : NULL;
	if (reader->seen == NULL)
	{
		policy_out_of_memory(error);
		return NULL;
	}
	root = yaml_read(reader->scratch, source, len, error);
	if (root == NULL)
		return NULL;
	if (root->kind != YAML_MAPPING)
	{
		if (root->absent)
			policy_fail(error, 1, 1, expected, "document is empty");
		else
			reader_wrong_kind(reader, root, "document", expected);
		return NULL;
	}
	return root;
}
