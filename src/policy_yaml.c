/*-------------------------------------------------------------------------
 *
 * policy_yaml.c
 *	  YAML text to a tree of texts, lists and mappings, with positions.
 *
 * libyaml's event parser does the reading.  Of YAML, only what means one
 * thing to every reader gets past here: no anchors, aliases, tags or
 * directives, one document, and every scalar is its text (so that "no",
 * "1e3" and "~" are not something else).  Characters with which a source
 * shows one thing to a reviewer and another to a parser are refused before
 * libyaml sees them.  What keys there are, and what they mean, is
 * policy_document.c's business.
 *
 * Hostile text costs little: its size, the depth of the tree (and with it
 * the depth of recursion) and the number of nodes are bounded.  libyaml has
 * its own memory; it is released on every way out.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <limits.h>
#include <string.h>
#include <yaml.h>

#include "text.h"

typedef struct YamlReader
{
	Arena	   *arena;
	PolicyError *error;
	yaml_parser_t parser;
	const char *source;
	size_t		len;
	yaml_event_t event;
	bool		has_event;
	int			nnodes;
} YamlReader;

/*
 * What libyaml says, and what is said instead.  A problem that begins where
 * its context does is reported there: an unclosed quote at the quote, not at
 * the end of the file.
 */
typedef struct YamlProblem
{
	const char *problem;
	const char *context;		/* NULL: any */
	bool		at_context;
	const char *message;
	const char *expected;
} YamlProblem;

static const YamlProblem yaml_problems[] = {
	{"did not find expected alphabetic or numeric character",
		"while scanning an alias", true,
		"a value cannot begin with \"*\"",
	"a pattern that begins with a wildcard in quotes, such as \"*:read\""},
	{"did not find expected alphabetic or numeric character",
		"while scanning an anchor", true,
	"a value cannot begin with \"&\"", "the value in quotes"},
	{"found a tab character that violates indentation", NULL, false,
	"tab in indentation", "spaces"},
	{"found a tab character where an indentation space is expected", NULL, false,
	"tab in indentation", "spaces"},
	{"could not find expected ':'", NULL, true,
	"there is no \":\" after this key", "\"key: value\""},
	{"mapping values are not allowed in this context", NULL, false,
		"\":\" is not allowed here",
	"no space after the \":\" of a pattern; keys of one mapping in the same column"},
	{"block sequence entries are not allowed in this context", NULL, false,
	"\"-\" is not allowed here", "each entry of a list on a line of its own"},
	{"did not find expected key", NULL, false,
		"this is neither a key of the mapping above nor the end of it",
	"keys of one mapping, and entries of one list, in the same column"},
	{"did not find expected '-' indicator", NULL, false,
		"this is neither an entry of the list above nor the end of it",
	"entries of one list in the same column, each beginning with \"- \""},
	{"did not find expected ',' or ']'", NULL, false,
		"\",\" or \"]\" is missing before this",
	"\",\" between entries of a list and \"]\" at its end"},
	{"did not find expected ',' or '}'", NULL, false,
		"\",\" or \"}\" is missing before this",
	"\",\" between keys of a mapping and \"}\" at its end"},
	{"did not find expected node content", NULL, false,
	"a value is missing here", "text, a list or a mapping"},
	{"found unexpected end of stream", NULL, true,
	"this quote is not closed", "the same quote at the end of the text"},
	{"found unexpected document indicator", NULL, true,
	"this quote is not closed", "the same quote at the end of the text"},
	{"found unknown escape character", NULL, false,
		"unknown escape in double quotes",
	"single quotes, in which \"\\\" is an ordinary character"},
	{"did not find expected hexdecimal number", NULL, false,
		"incomplete escape in double quotes",
	"single quotes, in which \"\\\" is an ordinary character"},
	{"did not find expected comment or line break",
		"while scanning a block scalar", false,
		"a text that begins with \"|\" or \">\" begins on the next line",
	"the text in quotes, if it is one line"},
	{"found undefined tag handle", NULL, true,
	"tags are not supported", "the value itself; one that begins with ! in quotes"},
	{"did not find expected <document start>", NULL, false,
	"text after the end of the document", "one document"}
};

/* The byte at a position in the source, zero if there is none. */
static char
byte_at(const YamlReader *reader, const yaml_mark_t *mark)
{
	size_t		line = 0;
	size_t		column = 0;
	size_t		at = 0;
	uint32_t	c;

	while (at < reader->len && (line < mark->line || column < mark->column))
	{
		at += utf8_decode(reader->source + at, reader->len - at, &c);
		column++;
		if (c == '\n')
		{
			line++;
			column = 0;
		}
	}
	return at < reader->len ? reader->source[at] : '\0';
}

/* Fills in the error from the one that libyaml reports; returns false. */
static bool
libyaml_failed(YamlReader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	const char *problem = parser->problem ? parser->problem : "unknown error";
	const char *context = parser->context ? parser->context : "";
	const yaml_mark_t *mark = &parser->problem_mark;
	size_t		i;

	if (parser->error == YAML_MEMORY_ERROR)
		return policy_out_of_memory(reader->error);
	if (strcmp(problem, "found character that cannot start any token") == 0)
	{
		char		byte = byte_at(reader, mark);

		if (byte == '\t')
			return policy_fail(reader->error, (int) mark->line + 1,
							   (int) mark->column + 1, "spaces",
							   "tab in indentation");
		return policy_fail(reader->error, (int) mark->line + 1,
						   (int) mark->column + 1, "the value in quotes",
						   "a value cannot begin with \"%c\"", byte);
	}
	for (i = 0; i < sizeof(yaml_problems) / sizeof(yaml_problems[0]); i++)
	{
		const YamlProblem *known = &yaml_problems[i];

		if (strcmp(problem, known->problem) != 0 ||
			(known->context != NULL && strcmp(context, known->context) != 0))
			continue;
		if (known->at_context)
			mark = &parser->context_mark;
		return policy_fail(reader->error, (int) mark->line + 1,
						   (int) mark->column + 1, known->expected, "%s",
						   known->message);
	}
	return policy_fail(reader->error, (int) mark->line + 1,
					   (int) mark->column + 1,
					   "well-formed YAML; text in quotes where in doubt",
					   "malformed YAML: %s%s%s",
					   problem, *context ? " " : "", context);
}

/*
 * The next event, in reader->event.  libyaml's reader has nothing left to
 * object to after source_is_clean, so that every error has a position.
 */
static bool
next_event(YamlReader *reader)
{
	if (reader->has_event)
		yaml_event_delete(&reader->event);
	reader->has_event = false;
	if (!yaml_parser_parse(&reader->parser, &reader->event))
		return libyaml_failed(reader);
	reader->has_event = true;
	return true;
}

/* policy_fail at the beginning of the current event. */
static bool
event_failed(YamlReader *reader, const char *expected, const char *message)
{
	return policy_fail(reader->error,
					   (int) reader->event.start_mark.line + 1,
					   (int) reader->event.start_mark.column + 1,
					   expected, "%s", message);
}

/*
 * UTF-8 without control characters.  A carriage return belongs to a line
 * feed: alone it ends a line, and a comment, for libyaml but not for
 * everybody who reads the source.  Lines that begin with "%" are directives,
 * on which libyaml can be made to spend time in the square of their number.
 */
static bool
source_is_clean(const char *source, size_t len, PolicyError *error)
{
	size_t		at = 0;
	int			line = 1;
	int			column = 1;

	while (at < len)
	{
		uint32_t	c;
		size_t		width = utf8_decode(source + at, len - at, &c);

		if (width == 0)
			return policy_fail(error, line, column, "UTF-8",
							   "byte 0x%02x is not valid UTF-8",
							   (unsigned char) source[at]);
		if (c == '%' && column == 1)
			return policy_fail(error, line, column,
							   "a document in which no line begins with %",
							   "directives are not supported");
		if (c == '\r' && (at + 1 == len || source[at + 1] != '\n'))
			return policy_fail(error, line, column,
							   "lines that end with a line feed",
							   "carriage return without a line feed");
		if ((code_point_is_control(c) && c != '\n' && c != '\t' && c != '\r') ||
			c == 0xfffe || c == 0xffff)
			return policy_fail(error, line, column,
							   "text without control characters",
							   "character U+%04X is not allowed", (unsigned) c);
		at += width;
		if (c == '\n')
		{
			line++;
			column = 1;
		}
		else
			column++;
	}
	return true;
}

/* Neither anchor nor tag: both come with the event of a node. */
static bool
node_is_plain(YamlReader *reader, const yaml_char_t *anchor,
			  const yaml_char_t *tag)
{
	if (anchor != NULL)
		return event_failed(reader, "the value itself",
							"anchors are not supported");
	if (tag != NULL)
		return event_failed(reader, "the value itself; one that begins with ! in quotes",
							"tags are not supported");
	return true;
}

/*
 * Escapes can put characters into a text that its source does not have.
 * Line feeds and tabs stay: a description may have them.
 */
static bool
text_is_clean(YamlReader *reader, const char *text, size_t len)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c = 0;
		size_t		width = utf8_decode(text + at, len - at, &c);

		if (width == 0)
			return event_failed(reader, "UTF-8", "text is not valid UTF-8");
		if (code_point_is_control(c) && c != '\n' && c != '\t')
			return event_failed(reader, "text without control characters",
								"an escape stands for a control character");
		at += width;
	}
	return true;
}

static YamlNode *
new_node(YamlReader *reader, YamlKind kind)
{
	YamlNode   *node;

	if (++reader->nnodes > POLICY_MAX_NODES)
	{
		event_failed(reader, "at most 20000 keys and values in a document",
					 "document has too many keys and values");
		return NULL;
	}
	node = arena_alloc(reader->arena, sizeof(YamlNode));
	if (node == NULL)
	{
		policy_out_of_memory(reader->error);
		return NULL;
	}
	node->kind = kind;
	node->line = (int) reader->event.start_mark.line + 1;
	node->column = (int) reader->event.start_mark.column + 1;
	return node;
}

static YamlNode *
read_text(YamlReader *reader)
{
	const yaml_event_t *event = &reader->event;
	const char *text = (const char *) event->data.scalar.value;
	size_t		len = event->data.scalar.length;
	YamlNode   *node;

	if (!node_is_plain(reader, event->data.scalar.anchor,
					   event->data.scalar.tag) ||
		!text_is_clean(reader, text, len))
		return NULL;
	node = new_node(reader, YAML_TEXT);
	if (node == NULL)
		return NULL;
	node->text = arena_strndup(reader->arena, text, len);
	if (node->text == NULL)
	{
		policy_out_of_memory(reader->error);
		return NULL;
	}
	node->len = len;
	node->absent = len == 0 &&
		event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->multiline = event->start_mark.line != event->end_mark.line;
	return node;
}

static YamlNode *read_node(YamlReader *reader, int depth);

/* A list or a mapping, from its first event to its last. */
static YamlNode *
read_collection(YamlReader *reader, YamlKind kind, yaml_event_type_t end,
				int depth)
{
	YamlNode   *node;
	YamlNode  **next;
	YamlNode   *key = NULL;

	if (depth > POLICY_MAX_DEPTH)
	{
		event_failed(reader, "at most 8 levels",
					 "document is nested too deeply");
		return NULL;
	}
	node = new_node(reader, kind);
	if (node == NULL)
		return NULL;
	next = &node->children;
	for (;;)
	{
		YamlNode   *child;

		if (!next_event(reader))
			return NULL;
		if (reader->event.type == end)
			return node;
		child = read_node(reader, depth + 1);
		if (child == NULL)
			return NULL;
		if (kind == YAML_MAPPING && key == NULL)
		{
			if (child->kind != YAML_TEXT)
			{
				policy_fail(reader->error, child->line, child->column,
							"text", "a key cannot be a list or a mapping");
				return NULL;
			}
			key = child;
			continue;
		}
		child->key = key;
		key = NULL;
		*next = child;
		next = &child->next;
		node->nchildren++;
	}
}

/* The node that begins with the current event; NULL and the error if not. */
static YamlNode *
read_node(YamlReader *reader, int depth)
{
	const yaml_event_t *event = &reader->event;

	switch (event->type)
	{
		case YAML_SCALAR_EVENT:
			return read_text(reader);
		case YAML_SEQUENCE_START_EVENT:
			if (!node_is_plain(reader, event->data.sequence_start.anchor,
							   event->data.sequence_start.tag))
				return NULL;
			return read_collection(reader, YAML_LIST, YAML_SEQUENCE_END_EVENT,
								   depth);
		case YAML_MAPPING_START_EVENT:
			if (!node_is_plain(reader, event->data.mapping_start.anchor,
							   event->data.mapping_start.tag))
				return NULL;
			return read_collection(reader, YAML_MAPPING, YAML_MAPPING_END_EVENT,
								   depth);
		case YAML_ALIAS_EVENT:
			event_failed(reader,
						 "a pattern that begins with a wildcard in quotes, such as \"*:read\"",
						 "aliases are not supported");
			return NULL;
		default:
			event_failed(reader, "text, a list or a mapping",
						 "unexpected YAML");
			return NULL;
	}
}

/* The whole stream: exactly one document. */
static YamlNode *
read_stream(YamlReader *reader)
{
	YamlNode   *root;

	if (!next_event(reader))	/* the stream's start */
		return NULL;
	if (!next_event(reader))
		return NULL;
	if (reader->event.type == YAML_STREAM_END_EVENT)
	{
		/* No document is like one without anything in it. */
		root = new_node(reader, YAML_TEXT);
		if (root != NULL)
			root->absent = true;
		return root;
	}
	if (!next_event(reader))
		return NULL;
	root = read_node(reader, 1);
	if (root == NULL)
		return NULL;
	if (!next_event(reader) || !next_event(reader))
		return NULL;
	if (reader->event.type != YAML_STREAM_END_EVENT)
	{
		event_failed(reader, "one document", "a second document begins here");
		return NULL;
	}
	return root;
}

/*
 * The tree of a document, in the arena; NULL and *error on any fault.
 */
YamlNode *
yaml_read(Arena *arena, const char *source, size_t len, PolicyError *error)
{
	YamlReader	reader;
	YamlNode   *root;

	memset(error, 0, sizeof(*error));
	if (len > POLICY_MAX_SOURCE)
	{
		policy_fail(error, 1, 1, "at most 262144 bytes",
					"document has %zu bytes", len);
		return NULL;
	}
	/* A leading byte order mark is what some editors write. */
	if (len >= 3 && memcmp(source, "\xef\xbb\xbf", 3) == 0)
	{
		source += 3;
		len -= 3;
	}
	if (!source_is_clean(source, len, error))
		return NULL;
	memset(&reader, 0, sizeof(reader));
	reader.arena = arena;
	reader.error = error;
	reader.source = source;
	reader.len = len;
	if (!yaml_parser_initialize(&reader.parser))
	{
		policy_out_of_memory(error);
		return NULL;
	}
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser,
								 (const unsigned char *) source, len);
	root = read_stream(&reader);
	if (reader.has_event)
		yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	return root;
}
