/*-------------------------------------------------------------------------
 *
 * policy_private.h
 *	  What the policy files share among themselves, in sections named after
 *	  them.  Nothing else includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_POLICY_PRIVATE_H
#define CLAIIM_POLICY_PRIVATE_H

#include "policy.h"
#include "string_map.h"

/*
 * policy_error.c
 *
 * policy_fail fills in *error and returns false.  "expected" may be "".
 */
#define SHOWN_SIZE	64

extern bool policy_fail(PolicyError *error, int line, int column,
						const char *expected, const char *format,...)
			__attribute__((format(printf, 5, 6)));
extern bool policy_out_of_memory(PolicyError *error);

/* A user's text, made fit to be quoted in a message; returns "shown". */
extern const char *policy_shown(char shown[SHOWN_SIZE], const char *text,
								size_t len);

/*
 * policy_yaml.c
 *
 * A document as a tree of texts, lists and mappings.  It is at most
 * POLICY_MAX_DEPTH deep and has at most POLICY_MAX_NODES nodes.
 */
typedef enum YamlKind
{
	YAML_TEXT,
	YAML_LIST,
	YAML_MAPPING
} YamlKind;

typedef struct YamlNode
{
	YamlKind	kind;
	int			line;
	int			column;
	const char *text;			/* zero-terminated, without a zero inside */
	size_t		len;
	bool		absent;			/* nothing is written where a value belongs */
	bool		multiline;		/* a text that spans lines in the source */
	int			nchildren;
	struct YamlNode *children;	/* the first one */
	struct YamlNode *next;		/* the sibling after this one */
	struct YamlNode *key;		/* where the parent is a mapping */
} YamlNode;

extern YamlNode *yaml_read(Arena *arena, const char *source, size_t len,
						   PolicyError *error);

/*
 * policy_reader.c
 *
 * Arguments named "what" are '"allow"' or 'entry', "expected" completes
 * 'expected ...'.
 */
typedef struct DocumentReader
{
	Arena	   *arena;			/* of the document */
	Arena	   *scratch;		/* of its tree; dropped at the end */
	PolicyError *error;
	StringMap  *seen;			/* what may be given once -> its line */
} DocumentReader;

/* A key of a mapping; one that a later version has is known by name. */
typedef struct DocumentKey
{
	const char *name;
	bool		later;
} DocumentKey;

extern YamlNode *reader_open(DocumentReader *reader, Arena *arena,
							 const char *source, size_t len,
							 PolicyError *error, const char *expected);
extern bool reader_wrong_kind(DocumentReader *reader, const YamlNode *node,
							  const char *what, const char *expected);
extern bool reader_text(DocumentReader *reader, const YamlNode *node,
						const char *what, const char *expected);
extern bool reader_keys(DocumentReader *reader, const YamlNode *mapping,
						const DocumentKey *keys, int nkeys,
						const char *expected, const YamlNode **values);
extern bool reader_once(DocumentReader *reader, int scope,
						const YamlNode *node, const char *what,
						const char *text, const char *qualifier);
extern bool reader_pattern(DocumentReader *reader, const YamlNode *node,
						   const char *what, char separator,
						   const char **pattern);
extern bool reader_name(DocumentReader *reader, const YamlNode *node,
						const char *what,
						bool (*check) (const char *, size_t, const char **),
						const char **name);
extern bool reader_choice(DocumentReader *reader, const YamlNode *node,
						  const char *what, const char *yes, const char *no,
						  const char *expected, bool *value);
extern char *reader_copy(DocumentReader *reader, const YamlNode *node);
extern void *reader_array(DocumentReader *reader, int count, size_t size);

/* policy_pattern.c */
typedef struct Segment
{
	const char *text;
	size_t		len;
} Segment;

/*
 * The next segment of the text between *at and end, or false after the last
 * one.  *at begins at the text and ends as NULL.
 */
extern bool next_segment(const char **at, const char *end, char separator,
						 Segment *segment);
extern bool segment_is(const Segment *segment, const char *text);

/*
 * policy_pattern_set.c
 *
 * A set is a forest: each root has patterns of its own, root 0 is the one of
 * the public functions.  A name is split and hashed once, for all roots.
 */
typedef struct SplitName
{
	const char *text;
	size_t		len;
	uint64_t	hash;			/* of the whole; only if it may be exact */
	int			nsegments;		/* MAX_SEGMENTS + 1: more than a pattern's */
	Segment		segments[POLICY_MAX_SEGMENTS];
	uint64_t	hashes[POLICY_MAX_SEGMENTS];
} SplitName;

typedef bool (*PatternVisit) (int value, void *arg);

extern int	pattern_set_new_root(PatternSet *set);	/* -1: out of memory */
extern bool pattern_set_add_in(PatternSet *set, int root, const char *pattern,
							   int value);
extern int	pattern_set_find_in(const PatternSet *set, int root,
								const char *pattern);
extern void pattern_set_split(const PatternSet *set, const char *name,
							  size_t len, SplitName *split);
extern bool pattern_set_match_in(const PatternSet *set, int root,
								 const SplitName *name, PatternVisit visit,
								 void *arg);

/*
 * Where the wildcards of a pattern stand: what decides how much of a trie a
 * name can touch.  0: there are none.  A bit for each "*", one for "**", and
 * the number of segments.
 */
#define PATTERN_FORM_REST	(UINT32_C(1) << POLICY_MAX_SEGMENTS)
#define PATTERN_FORM_COUNT	(POLICY_MAX_SEGMENTS + 1)	/* shift */

extern uint32_t pattern_form(const char *pattern, char separator);

/* policy_compile.c: a program, as policy_eval.c reads it */
#define LIST_ROOT(list)		((int) (list))	/* a list's root in "actions" */

typedef struct ActionGroup
{
	int			any_target;		/* the entry without a target, or -1 */
	int			targets;		/* a root in "targets", or -1 */
} ActionGroup;

struct PolicyProgram
{
	int			nskills;
	const char **skills;
	bool		has_allow;
	int			nentries;
	PolicyEntry *entries;		/* in the order of the source */
	int			ngroups;
	ActionGroup *groups;		/* entries of one list with the same action */
	PatternSet *actions;		/* a root for each list -> group */
	PatternSet *targets;		/* a root for each group -> entry, or NULL */
};

struct SkillProgram
{
	int			npatterns;
	const char **patterns;		/* in the order of the source */
	PatternSet *actions;		/* -> index in the source */
};

/* policy_decide.c */
extern const char *policy_verdict_text(PolicyVerdictCode code);

/* Appends "allow:4 order:read on order/" and so on. */
extern void policy_append_rule(char *buffer, size_t size,
							   const PolicyEntry *entry);

#endif							/* CLAIIM_POLICY_PRIVATE_H */
