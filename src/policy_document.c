/*-------------------------------------------------------------------------
 *
 * policy_document.c
 *	  A tree of YAML to a policy or a skill document.
 *
 * The grammar, for those who write documents, is doc/policies.md.  It is
 * strict: a misspelt "deny" that is skipped would be an ALLOW.  So nothing
 * is skipped, nothing is guessed, and whatever is not in the grammar is an
 * error with its position and what was expected there.
 *
 * What a single document cannot know is not checked here: that its skills
 * exist, that they cover what it allows, and that its tests pass
 * (policy_publish.c).
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

#define MAX_SKILL_NAME		100 /* bytes, without its version */
#define MAX_SKILL_DIGITS	9	/* in its version */

#define EXPECTED_ENTRY		"a pattern, or a mapping with the key \"action\""
#define EXPECTED_ENTRIES	"a list with an entry a line, each beginning with \"- \""
#define EXPECTED_SKILL		"the name and version of a skill, such as deploy-v2"

enum
{
	POLICY_KEY_SKILL, POLICY_KEY_SKILLS, POLICY_KEY_ALLOW, POLICY_KEY_DENY,
	POLICY_KEY_TESTS, POLICY_NKEYS
};
static const DocumentKey policy_keys[POLICY_NKEYS] = {
	{"skill", false}, {"skills", false}, {"allow", false}, {"deny", false},
	{"tests", false}
};

enum
{
	ENTRY_KEY_ACTION, ENTRY_KEY_TARGET, ENTRY_KEY_REQUIRES, ENTRY_KEY_WHEN,
	ENTRY_KEY_LIMIT, ENTRY_KEY_HOURS, ENTRY_NKEYS
};
static const DocumentKey entry_keys[ENTRY_NKEYS] = {
	{"action", false}, {"target", false}, {"requires", false}, {"when", true},
	{"limit", true}, {"hours", true}
};

enum
{
	TEST_KEY_ACTION, TEST_KEY_TARGET, TEST_KEY_SESSION, TEST_KEY_EXPECT,
	TEST_KEY_CONTEXT, TEST_NKEYS
};
static const DocumentKey test_keys[TEST_NKEYS] = {
	{"action", false}, {"target", false}, {"session", false},
	{"expect", false}, {"context", true}
};

enum
{
	SKILL_KEY_DESCRIPTION, SKILL_KEY_ACTIONS, SKILL_NKEYS
};
static const DocumentKey skill_keys[SKILL_NKEYS] = {
	{"description", false}, {"actions", false}
};

/* The length of the "-v<digits>" at the end of a text; 0: there is none. */
static size_t
version_len(const char *text, size_t len)
{
	size_t		digits = 0;

	while (digits < len && text[len - 1 - digits] >= '0' &&
		   text[len - 1 - digits] <= '9')
		digits++;
	if (digits == 0 || digits + 2 > len ||
		memcmp(text + len - digits - 2, "-v", 2) != 0)
		return 0;
	return digits + 2;
}

/*
 * Whether a text names a version of a skill: a name, "-v", a number.  The
 * name does not look like a version itself, so "a-v1-v2" is nothing.
 */
static bool
is_skill_version(const char *text, size_t len)
{
	size_t		version = version_len(text, len);
	size_t		name_len = len - version;
	size_t		i;

	if (version == 0 || version > 2 + MAX_SKILL_DIGITS ||
		text[name_len + 2] == '0' || name_len == 0 ||
		name_len > MAX_SKILL_NAME || version_len(text, name_len) > 0)
		return false;
	for (i = 0; i < name_len; i++)
	{
		char		c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			  (i > 0 && (c == '_' || c == '.' || c == '-'))))
			return false;
	}
	return true;
}

/* The i-th skill of a policy. */
static bool
read_skill(DocumentReader *reader, const YamlNode *node, const char *what,
		   PolicyDocument *doc, int i)
{
	char		shown[SHOWN_SIZE];

	if (!reader_text(reader, node, what, EXPECTED_SKILL))
		return false;
	if (!is_skill_version(node->text, node->len))
		return policy_fail(reader->error, node->line, node->column,
						   EXPECTED_SKILL,
						   "\"%s\" is not a version of a skill",
						   policy_shown(shown, node->text, node->len));
	if (!reader_once(reader, -1, node, "skill", node->text, NULL))
		return false;
	doc->skills[i] = reader_copy(reader, node);
	doc->skill_lines[i] = node->line;
	doc->skill_columns[i] = node->column;
	return doc->skills[i] != NULL;
}

/* "skill: a-v1" or "skills: [a-v1, b-v2]"; at most one of them is given. */
static bool
read_skills(DocumentReader *reader, const YamlNode *one, const YamlNode *many,
			PolicyDocument *doc)
{
	const YamlNode *node;
	int			i = 0;

	if (one != NULL && many != NULL)
	{
		const YamlNode *second = one->key->line > many->key->line ||
			(one->key->line == many->key->line &&
			 one->key->column > many->key->column) ? one->key : many->key;

		return policy_fail(reader->error, second->line, second->column,
						   "one of them",
						   "both \"skill\" and \"skills\" are given");
	}
	if (many != NULL && (many->kind != YAML_LIST || many->nchildren == 0))
		return reader_wrong_kind(reader, many, "\"skills\"",
						  "a list of versions of skills, such as [deploy-v2, review-v1]");
	doc->nskills = one != NULL ? 1 : many != NULL ? many->nchildren : 0;
	doc->skills = reader_array(reader, doc->nskills, sizeof(*doc->skills));
	doc->skill_lines = reader_array(reader, doc->nskills, sizeof(int));
	doc->skill_columns = reader_array(reader, doc->nskills, sizeof(int));
	if (doc->skills == NULL || doc->skill_lines == NULL ||
		doc->skill_columns == NULL)
		return false;
	if (one != NULL)
		return read_skill(reader, one, "\"skill\"", doc, 0);
	for (node = many ? many->children : NULL; node != NULL; node = node->next)
		if (!read_skill(reader, node, "entry of \"skills\"", doc, i++))
			return false;
	return true;
}

/* An entry that is a mapping. */
static bool
read_entry_mapping(DocumentReader *reader, const YamlNode *node,
				   PolicyEntry *entry)
{
	const YamlNode *values[ENTRY_NKEYS];
	const YamlNode *requires;
	const char *expected = "one of: action, target, requires";

	/* "- deploy: staging" is a pattern to its author, a mapping to YAML. */
	if (node->nchildren == 1 && node->children->kind == YAML_TEXT &&
		!node->children->absent)
		expected = "one of: action, target, requires; "
			"or a pattern, without a space after its \":\"";
	if (!reader_keys(reader, node, entry_keys, ENTRY_NKEYS, expected, values))
		return false;
	if (values[ENTRY_KEY_ACTION] == NULL)
		return policy_fail(reader->error, node->line, node->column,
						   "the key \"action\"", "entry has no \"action\"");
	if (!reader_pattern(reader, values[ENTRY_KEY_ACTION], "\"action\"", ':',
					  &entry->action))
		return false;
	if (values[ENTRY_KEY_TARGET] != NULL &&
		!reader_pattern(reader, values[ENTRY_KEY_TARGET], "\"target\"", '/',
					  &entry->target))
		return false;
	requires = values[ENTRY_KEY_REQUIRES];
	if (requires == NULL)
		return true;
	if (entry->list == POLICY_LIST_DENY)
		return policy_fail(reader->error, requires->key->line,
						   requires->key->column, "action and target only",
						   "\"requires\" is given in a deny entry");
	return reader_choice(reader, requires, "\"requires\"", "session", NULL,
						 "session", &entry->requires_session);
}

/* The entries of "allow" or "deny", appended to the document's. */
static bool
read_entries(DocumentReader *reader, const YamlNode *list, PolicyList which,
			 PolicyDocument *doc)
{
	const YamlNode *node;

	for (node = list ? list->children : NULL; node != NULL; node = node->next)
	{
		PolicyEntry *entry = &doc->entries[doc->nentries];

		entry->list = which;
		entry->line = node->line;
		entry->column = node->column;
		if (node->kind == YAML_MAPPING)
		{
			if (!read_entry_mapping(reader, node, entry))
				return false;
		}
		else if (node->kind == YAML_LIST || node->absent)
			return reader_wrong_kind(reader, node, "entry", EXPECTED_ENTRY);
		else if (!reader_pattern(reader, node, "entry", ':', &entry->action))
			return false;
		if (!reader_once(reader, (int) which, node, "entry", entry->action,
					  entry->target))
			return false;
		doc->nentries++;
	}
	return true;
}

/* Both lists, in the order of the source. */
static bool
read_lists(DocumentReader *reader, const YamlNode *root, const YamlNode *allow,
		   const YamlNode *deny, PolicyDocument *doc)
{
	const YamlNode *list;

	if (allow == NULL && deny == NULL)
		return policy_fail(reader->error, root->line, root->column,
						   "the key \"allow\", or \"deny\", or both",
						   "policy has neither \"allow\" nor \"deny\"");
	if (allow != NULL && allow->kind != YAML_LIST)
		return reader_wrong_kind(reader, allow, "\"allow\"", EXPECTED_ENTRIES);
	if (deny != NULL && deny->kind != YAML_LIST)
		return reader_wrong_kind(reader, deny, "\"deny\"", EXPECTED_ENTRIES);
	doc->has_allow = allow != NULL;
	doc->entries = reader_array(reader, (allow ? allow->nchildren : 0) +
							 (deny ? deny->nchildren : 0), sizeof(PolicyEntry));
	if (doc->entries == NULL)
		return false;
	for (list = root->children; list != NULL; list = list->next)
	{
		if (list == allow &&
			!read_entries(reader, allow, POLICY_LIST_ALLOW, doc))
			return false;
		if (list == deny && !read_entries(reader, deny, POLICY_LIST_DENY, doc))
			return false;
	}
	return true;
}

static bool
read_test(DocumentReader *reader, const YamlNode *node, PolicyTest *test)
{
	const YamlNode *values[TEST_NKEYS];

	if (node->kind != YAML_MAPPING)
		return reader_wrong_kind(reader, node, "test",
						  "a mapping such as {action: a:b, target: c, expect: DENY}");
	if (!reader_keys(reader, node, test_keys, TEST_NKEYS,
				   "one of: action, target, session, expect", values))
		return false;
	test->line = node->line;
	test->column = node->column;
	if (values[TEST_KEY_ACTION] == NULL || values[TEST_KEY_EXPECT] == NULL)
		return policy_fail(reader->error, node->line, node->column,
						   "the keys \"action\" and \"expect\"",
						   "test has no \"%s\"",
						   values[TEST_KEY_ACTION] ? "expect" : "action");
	if (!reader_name(reader, values[TEST_KEY_ACTION], "\"action\"",
				   action_name_check, &test->action))
		return false;
	if (values[TEST_KEY_TARGET] != NULL &&
		!reader_name(reader, values[TEST_KEY_TARGET], "\"target\"",
				   target_name_check, &test->target))
		return false;
	if (values[TEST_KEY_SESSION] != NULL &&
		!reader_choice(reader, values[TEST_KEY_SESSION], "\"session\"", "true",
					 "false", "true or false", &test->session))
		return false;
	return reader_choice(reader, values[TEST_KEY_EXPECT], "\"expect\"", "ALLOW",
					   "DENY", "ALLOW or DENY", &test->expect_allow);
}

static bool
read_tests(DocumentReader *reader, const YamlNode *tests, PolicyDocument *doc)
{
	const YamlNode *node;

	if (tests != NULL && tests->kind != YAML_LIST)
		return reader_wrong_kind(reader, tests, "\"tests\"",
						  "a list of mappings, each with \"action\" and \"expect\"");
	doc->tests = reader_array(reader, tests ? tests->nchildren : 0,
						   sizeof(PolicyTest));
	if (doc->tests == NULL)
		return false;
	for (node = tests ? tests->children : NULL; node != NULL; node = node->next)
		if (!read_test(reader, node, &doc->tests[doc->ntests++]))
			return false;
	return true;
}

PolicyDocument *
policy_parse(Arena *arena, const char *source, size_t len, PolicyError *error)
{
	static const char *const expected = "one of: skill, skills, allow, deny, tests";
	DocumentReader reader;
	const YamlNode *values[POLICY_NKEYS];
	PolicyDocument *doc = NULL;
	YamlNode   *root;

	root = reader_open(&reader, arena, source, len, error,
						 "a mapping with the keys \"skill\", \"allow\" and \"deny\"");
	if (root != NULL)
		doc = reader_array(&reader, 1, sizeof(PolicyDocument));
	if (doc != NULL &&
		(!reader_keys(&reader, root, policy_keys, POLICY_NKEYS, expected, values) ||
		 !read_skills(&reader, values[POLICY_KEY_SKILL],
					  values[POLICY_KEY_SKILLS], doc) ||
		 !read_lists(&reader, root, values[POLICY_KEY_ALLOW],
					 values[POLICY_KEY_DENY], doc) ||
		 !read_tests(&reader, values[POLICY_KEY_TESTS], doc)))
		doc = NULL;
	arena_destroy(reader.scratch);
	return doc;
}

static bool
read_actions(DocumentReader *reader, const YamlNode *root,
			 const YamlNode *actions, SkillDocument *doc)
{
	const YamlNode *node;

	if (actions == NULL)
		return policy_fail(reader->error, root->line, root->column,
						   "the key \"actions\"", "skill has no \"actions\"");
	if (actions->kind != YAML_LIST || actions->nchildren == 0)
		return reader_wrong_kind(reader, actions, "\"actions\"",
						  "a list of patterns, a line each, beginning with \"- \"");
	doc->actions = reader_array(reader, actions->nchildren, sizeof(*doc->actions));
	doc->action_lines = reader_array(reader, actions->nchildren, sizeof(int));
	doc->action_columns = reader_array(reader, actions->nchildren, sizeof(int));
	if (doc->actions == NULL || doc->action_lines == NULL ||
		doc->action_columns == NULL)
		return false;
	for (node = actions->children; node != NULL; node = node->next)
	{
		int			i = doc->nactions;

		if (node->kind == YAML_MAPPING)
			return reader_wrong_kind(reader, node, "action",
							  "a pattern, without a space after its \":\"");
		if (!reader_pattern(reader, node, "action", ':', &doc->actions[i]) ||
			!reader_once(reader, 0, node, "action", doc->actions[i], NULL))
			return false;
		doc->action_lines[i] = node->line;
		doc->action_columns[i] = node->column;
		doc->nactions++;
	}
	return true;
}

SkillDocument *
skill_parse(Arena *arena, const char *source, size_t len, PolicyError *error)
{
	DocumentReader reader;
	const YamlNode *values[SKILL_NKEYS];
	const YamlNode *description;
	SkillDocument *doc = NULL;
	YamlNode   *root;

	root = reader_open(&reader, arena, source, len, error,
						 "a mapping with the keys \"description\" and \"actions\"");
	if (root != NULL)
		doc = reader_array(&reader, 1, sizeof(SkillDocument));
	if (doc != NULL && !reader_keys(&reader, root, skill_keys, SKILL_NKEYS,
								  "one of: description, actions", values))
		doc = NULL;
	if (doc != NULL)
	{
		doc->description = "";
		description = values[SKILL_KEY_DESCRIPTION];
		if (description != NULL && description->kind != YAML_TEXT)
		{
			reader_wrong_kind(&reader, description, "\"description\"", "text");
			doc = NULL;
		}
		else if (description != NULL)
		{
			doc->description = reader_copy(&reader, description);
			if (doc->description == NULL)
				doc = NULL;
		}
	}
	if (doc != NULL &&
		!read_actions(&reader, root, values[SKILL_KEY_ACTIONS], doc))
		doc = NULL;
	arena_destroy(reader.scratch);
	return doc;
}
