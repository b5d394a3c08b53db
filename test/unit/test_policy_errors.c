/*-------------------------------------------------------------------------
 *
 * test_policy_errors.c
 *	  Every way in which a document can be wrong: where the error is said to
 *	  be, what it says, and what it says was expected.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#include "tap.h"

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

typedef struct ErrorCase
{
	const char *what;
	const char *source;
	const char *error;			/* line:column: message */
	const char *expected;
} ErrorCase;

/* The document as a whole. */
static const ErrorCase document_cases[] =
{
	{"a document without a byte is empty",
		"",
		"1:1: document is empty",
	"a mapping with the keys \"skill\", \"allow\" and \"deny\""},
	{"a document of comments only is empty",
		"# nothing\n",
		"1:1: document is empty",
	"a mapping with the keys \"skill\", \"allow\" and \"deny\""},
	{"a document that only begins is empty",
		"---\n",
		"1:1: document is empty",
	"a mapping with the keys \"skill\", \"allow\" and \"deny\""},
	{"a document is not a text",
		"deploy\n",
		"1:1: document is text",
	"a mapping with the keys \"skill\", \"allow\" and \"deny\""},
	{"a document is not a list",
		"- deploy\n",
		"1:1: document is a list",
	"a mapping with the keys \"skill\", \"allow\" and \"deny\""},
	{"a key without its colon swallows what is indented below it",
		"allow\n  - a\n",
		"1:1: document is text of more than one line",
	"text on one line; keys, and entries of a list, in the same column"},
	{"a policy without lists decides nothing",
		"skill: a-v1\n",
		"1:1: policy has neither \"allow\" nor \"deny\"",
	"the key \"allow\", or \"deny\", or both"},
	{"a policy without any key decides nothing",
		"{}\n",
		"1:1: policy has neither \"allow\" nor \"deny\"",
	"the key \"allow\", or \"deny\", or both"},
	{"a policy of tests only decides nothing",
		"tests: []\n",
		"1:1: policy has neither \"allow\" nor \"deny\"",
	"the key \"allow\", or \"deny\", or both"},
	{"there is one document in a source",
		"allow: [a]\n---\nallow: [b]\n",
		"2:1: a second document begins here",
	"one document"},
	{"nothing follows the end of a document",
		"allow: [a]\n...\nallow: [b]\n",
		"3:1: text after the end of the document",
	"one document"},
};

/* Keys. */
static const ErrorCase keys_cases[] =
{
	{"a misspelt key is unknown",
		"alow:\n  - a\n",
		"1:1: unknown key \"alow\"",
	"one of: skill, skills, allow, deny, tests"},
	{"a key in capitals is unknown",
		"allow: [a]\nDeny: [b]\n",
		"2:1: unknown key \"Deny\"",
	"one of: skill, skills, allow, deny, tests"},
	{"a merge key is just another one",
		"allow: [a]\n<<: {deny: [b]}\n",
		"2:1: unknown key \"<<\"",
	"one of: skill, skills, allow, deny, tests"},
	{"a key of a policy is given once",
		"skill: a-v1\nallow:\n  - a\nallow:\n  - b\n",
		"4:1: duplicate key \"allow\", first given on line 2",
	"each key once"},
	{"a key in quotes is the same key",
		"deny: [a]\n\"deny\": [b]\n",
		"2:1: duplicate key \"deny\", first given on line 1",
	"each key once"},
	{"a key is text",
		"? [a]\n: b\n",
		"1:3: a key cannot be a list or a mapping",
	"text"},
	{"a mapping is no key",
		"{a: b}: c\n",
		"1:1: a key cannot be a list or a mapping",
	"text"},
	{"a key has a colon",
		"allow: [a]\ndeny\n",
		"2:1: there is no \":\" after this key",
	"\"key: value\""},
	{"a long unknown key is quoted in part, between characters",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac: a\n",
		"1:1: unknown key \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"",
	"one of: skill, skills, allow, deny, tests"},
};

/* Skills. */
static const ErrorCase skills_cases[] =
{
	{"a skill is named with its version",
		"skill: deploy\nallow: [a]\n",
		"1:8: \"deploy\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"versions of skills begin at 1",
		"skill: deploy-v0\nallow: [a]\n",
		"1:8: \"deploy-v0\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"a version of a skill has no leading zero",
		"skill: deploy-v01\nallow: [a]\n",
		"1:8: \"deploy-v01\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"a version of a skill is a number that fits",
		"skill: deploy-v1234567890\nallow: [a]\n",
		"1:8: \"deploy-v1234567890\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"a skill has a name",
		"skill: -v1\nallow: [a]\n",
		"1:8: \"-v1\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"the name of a skill does not end like a version",
		"skill: deploy-v1-v2\nallow: [a]\n",
		"1:8: \"deploy-v1-v2\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"the name of a skill is in lower case",
		"skill: Deploy-v1\nallow: [a]\n",
		"1:8: \"Deploy-v1\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"the name of a skill does not begin with a dot",
		"skill: .deploy-v1\nallow: [a]\n",
		"1:8: \".deploy-v1\" is not a version of a skill",
	"the name and version of a skill, such as deploy-v2"},
	{"\"skill\" is one skill",
		"skill: [a-v1]\nallow: [a]\n",
		"1:8: \"skill\" is a list",
	"the name and version of a skill, such as deploy-v2"},
	{"\"skill\" has a value",
		"skill:\nallow: [a]\n",
		"1:1: \"skill\" is empty",
	"the name and version of a skill, such as deploy-v2"},
	{"\"skills\" is a list",
		"skills: a-v1\nallow: [a]\n",
		"1:9: \"skills\" is text",
	"a list of versions of skills, such as [deploy-v2, review-v1]"},
	{"\"skills\" has at least one",
		"skills: []\nallow: [a]\n",
		"1:9: \"skills\" is an empty list",
	"a list of versions of skills, such as [deploy-v2, review-v1]"},
	{"\"skills\" has texts only",
		"skills: [a-v1, [b-v1]]\nallow: [a]\n",
		"1:16: entry of \"skills\" is a list",
	"the name and version of a skill, such as deploy-v2"},
	{"\"skills\" has each skill once",
		"skills:\n  - a-v1\n  - b-v1\n  - a-v1\nallow: [a]\n",
		"4:5: duplicate skill \"a-v1\", first given on line 2",
	"each one once"},
	{"\"skill\" and \"skills\" exclude each other",
		"skill: a-v1\nskills: [b-v1]\nallow: [a]\n",
		"2:1: both \"skill\" and \"skills\" are given",
	"one of them"},
	{"\"skills\" and \"skill\" exclude each other, too",
		"skills: [b-v1]\nallow: [a]\nskill: a-v1\n",
		"3:1: both \"skill\" and \"skills\" are given",
	"one of them"},
	{"the second of them is the one at fault, also on one line",
		"{skills: [b-v1], allow: [a], skill: a-v1}\n",
		"1:30: both \"skill\" and \"skills\" are given",
	"one of them"},
};

/* Entries. */
static const ErrorCase entries_cases[] =
{
	{"\"allow\" is a list, not a text",
		"allow: deploy:staging\n",
		"1:8: \"allow\" is text",
	"a list with an entry a line, each beginning with \"- \""},
	{"\"allow\" is not a mapping",
		"allow: {deploy: staging}\n",
		"1:8: \"allow\" is a mapping",
	"a list with an entry a line, each beginning with \"- \""},
	{"\"allow\" is not left empty",
		"allow:\ndeny:\n  - a\n",
		"1:1: \"allow\" is empty",
	"a list with an entry a line, each beginning with \"- \""},
	{"null is a text like any other",
		"allow: ~\n",
		"1:8: \"allow\" is text",
	"a list with an entry a line, each beginning with \"- \""},
	{"\"deny\" is a list, too",
		"allow: [a]\ndeny: b\n",
		"2:7: \"deny\" is text",
	"a list with an entry a line, each beginning with \"- \""},
	{"an entry is not empty",
		"allow:\n  - a\n  -\n",
		"3:4: entry is empty",
	"a pattern, or a mapping with the key \"action\""},
	{"an entry is not an empty text",
		"allow:\n  - \"\"\n",
		"2:5: bad pattern \"\": it is empty",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"an entry is not a list",
		"allow:\n  - [a]\n",
		"2:5: entry is a list",
	"a pattern, or a mapping with the key \"action\""},
	{"an entry begins with the action, without a space after its colon",
		"allow:\n  - deploy: staging\n",
		"2:5: unknown key \"deploy\"",
	"one of: action, target, requires; or a pattern, without a space after its \":\""},
	{"an entry has no white space",
		"allow:\n  - deploy :staging\n",
		"2:5: bad pattern \"deploy :staging\": it contains white space",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"a deeper entry is not a part of the one above",
		"allow:\n  - deploy:staging\n    - deploy:eu\n",
		"2:5: entry is text of more than one line",
	"text on one line; keys, and entries of a list, in the same column"},
	{"an entry is on one line",
		"allow:\n  - |\n    deploy:staging\n",
		"2:5: entry is text of more than one line",
	"text on one line; keys, and entries of a list, in the same column"},
	{"an entry in quotes is on one line",
		"allow:\n  - 'deploy:\n    staging'\n",
		"2:5: entry is text of more than one line",
	"text on one line; keys, and entries of a list, in the same column"},
	{"a wildcard is a whole segment",
		"allow:\n  - deploy:st*\n",
		"2:5: bad pattern \"deploy:st*\": \"*\" must be a whole segment",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"a double wildcard is the last segment",
		"allow:\n  - \"**:read\"\n",
		"2:5: bad pattern \"**:read\": \"**\" must be the last segment",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"columns count characters, not bytes",
		"allow: [\xc3\xa9\xe2\x82\xac:b, c:x*]\n",
		"1:15: bad pattern \"c:x*\": \"*\" must be a whole segment",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"an entry is there once",
		"allow:\n  - a\n  - b\n  - a\n",
		"4:5: duplicate entry \"a\", first given on line 2",
	"each one once"},
	{"an entry in another form is the same entry",
		"deny:\n  - {action: a}\n  - a\n",
		"3:5: duplicate entry \"a\", first given on line 2",
	"each one once"},
	{"an action on a target is there once, however it is qualified",
		"allow:\n  - {action: a, target: b}\n  - a\n  - {action: a, target: b, requires: session}\n",
		"4:5: duplicate entry \"a\" on \"b\", first given on line 2",
	"each one once"},
	{"an entry has an action",
		"allow:\n  - target: x\n",
		"2:5: entry has no \"action\"",
	"the key \"action\""},
	{"an entry has one action",
		"allow:\n  - {action: a, action: b}\n",
		"2:17: duplicate key \"action\", first given on line 2",
	"each key once"},
	{"an action is text",
		"allow:\n  - {action: [a]}\n",
		"2:14: \"action\" is a list",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"an action is not left empty",
		"allow:\n  - {action: }\n",
		"2:6: \"action\" is empty",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"a target is text",
		"allow:\n  - {action: a, target: {b: c}}\n",
		"2:25: \"target\" is a mapping",
	"segments joined by \"/\", each a name or \"*\", the last one also \"**\""},
	{"a target is not left empty",
		"allow:\n  - action: a\n    target:\n",
		"3:5: \"target\" is empty",
	"segments joined by \"/\", each a name or \"*\", the last one also \"**\""},
	{"a target is on one line",
		"allow:\n  - action: a\n    target: order/7\n      order/8\n",
		"3:13: \"target\" is text of more than one line",
	"text on one line; keys, and entries of a list, in the same column"},
	{"a target pattern that no target can match is a mistake",
		"allow:\n  - {action: a, target: a/../b}\n",
		"2:25: bad pattern \"a/../b\": a segment is \".\" or \"..\"",
	"segments joined by \"/\", each a name or \"*\", the last one also \"**\""},
	{"an entry requires a session or nothing",
		"allow:\n  - {action: a, requires: human}\n",
		"2:27: \"requires\" is \"human\"",
	"session"},
	{"a deny entry requires nothing",
		"deny:\n  - {action: a, requires: session}\n",
		"2:17: \"requires\" is given in a deny entry",
	"action and target only"},
	{"an entry has no other keys",
		"allow:\n  - {action: a, targets: b}\n",
		"2:17: unknown key \"targets\"",
	"one of: action, target, requires"},
	{"conditions come with a later version",
		"allow:\n  - {action: a, when: '$.x > 1'}\n",
		"2:17: key \"when\" is not supported by this version",
	"one of: action, target, requires"},
	{"limits come with a later version",
		"allow:\n  - action: a\n    limit: 10 per 1h\n",
		"3:5: key \"limit\" is not supported by this version",
	"one of: action, target, requires"},
	{"hours come with a later version",
		"allow:\n  - {action: a, hours: Mon-Fri}\n",
		"2:17: key \"hours\" is not supported by this version",
	"one of: action, target, requires"},
};

/* Tests. */
static const ErrorCase tests_cases[] =
{
	{"\"tests\" is a list",
		"allow: [a]\ntests: {action: a}\n",
		"2:8: \"tests\" is a mapping",
	"a list of mappings, each with \"action\" and \"expect\""},
	{"a test is a mapping",
		"allow: [a]\ntests: [a]\n",
		"2:9: test is text",
	"a mapping such as {action: a:b, target: c, expect: DENY}"},
	{"a test has an action",
		"allow: [a]\ntests: [{expect: ALLOW}]\n",
		"2:9: test has no \"action\"",
	"the keys \"action\" and \"expect\""},
	{"a test says what is expected",
		"allow: [a]\ntests:\n  - action: a\n",
		"3:5: test has no \"expect\"",
	"the keys \"action\" and \"expect\""},
	{"a test expects ALLOW or DENY, in capitals",
		"allow: [a]\ntests: [{action: a, expect: allow}]\n",
		"2:29: \"expect\" is \"allow\"",
	"ALLOW or DENY"},
	{"the action of a test is a name, not a pattern",
		"allow: [a]\ntests: [{action: a:*, expect: ALLOW}]\n",
		"2:18: bad name \"a:*\": it contains \"*\"",
	"the name that an agent would pass"},
	{"the target of a test is the name of one",
		"allow: [a]\ntests: [{action: a, target: ../x, expect: ALLOW}]\n",
		"2:29: bad name \"../x\": a segment is \".\" or \"..\"",
	"the name that an agent would pass"},
	{"a session is true or false, not yes",
		"allow: [a]\ntests: [{action: a, session: yes, expect: ALLOW}]\n",
		"2:30: \"session\" is \"yes\"",
	"true or false"},
	{"a test has no other keys",
		"allow: [a]\ntests: [{action: a, expect: ALLOW, why: x}]\n",
		"2:36: unknown key \"why\"",
	"one of: action, target, session, expect"},
	{"a context comes with a later version",
		"allow: [a]\ntests: [{action: a, context: {amount: 5}, expect: ALLOW}]\n",
		"2:21: key \"context\" is not supported by this version",
	"one of: action, target, session, expect"},
};

/* What YAML has and a policy has not. */
static const ErrorCase foreign_cases[] =
{
	{"a pattern that begins with a wildcard needs quotes",
		"allow:\n  - *:read\n",
		"2:5: a value cannot begin with \"*\"",
	"a pattern that begins with a wildcard in quotes, such as \"*:read\""},
	{"a pattern that begins with a double one does, too",
		"deny:\n  - a\n  - **\n",
		"3:5: a value cannot begin with \"*\"",
	"a pattern that begins with a wildcard in quotes, such as \"*:read\""},
	{"an alias is not a pattern",
		"allow:\n  - *read\n",
		"2:5: aliases are not supported",
	"a pattern that begins with a wildcard in quotes, such as \"*:read\""},
	{"anchors are refused",
		"allow:\n  - &x a\n",
		"2:5: anchors are not supported",
	"the value itself"},
	{"anchors are refused on lists",
		"allow: &x\n  - a\n",
		"1:8: anchors are not supported",
	"the value itself"},
	{"anchors are refused on mappings",
		"&x {allow: [a]}\n",
		"1:1: anchors are not supported",
	"the value itself"},
	{"anchors are refused on keys",
		"&x allow: [a]\n",
		"1:1: anchors are not supported",
	"the value itself"},
	{"an incomplete anchor is explained",
		"allow: [a, &]\n",
		"1:12: a value cannot begin with \"&\"",
	"the value in quotes"},
	{"tags are refused",
		"allow:\n  - !!str a\n",
		"2:5: tags are not supported",
	"the value itself; one that begins with ! in quotes"},
	{"a tag that says nothing is refused",
		"allow:\n  - ! a\n",
		"2:5: tags are not supported",
	"the value itself; one that begins with ! in quotes"},
	{"tags are refused on lists",
		"allow: !x [a]\n",
		"1:8: tags are not supported",
	"the value itself; one that begins with ! in quotes"},
	{"tags are refused on mappings",
		"!x {allow: [a]}\n",
		"1:1: tags are not supported",
	"the value itself; one that begins with ! in quotes"},
	{"tags are refused where their handle is not known",
		"allow: !x!y [a]\n",
		"1:8: tags are not supported",
	"the value itself; one that begins with ! in quotes"},
	{"directives are refused",
		"%YAML 1.1\n---\nallow: [a]\n",
		"1:1: directives are not supported",
	"a document in which no line begins with %"},
	{"depth is bounded",
		"allow: [[[[[[[[a]]]]]]]]\n",
		"1:15: document is nested too deeply",
	"at most 8 levels"},
};

/* What is not YAML. */
static const ErrorCase broken_cases[] =
{
	{"tabs do not indent",
		"allow:\n\t- a\n",
		"2:1: tab in indentation",
	"spaces"},
	{"tabs do not indent below a text",
		"allow: a\n\tb: c\n",
		"2:1: tab in indentation",
	"spaces"},
	{"an at sign cannot begin a value",
		"allow:\n  - a\n  - @b\n",
		"3:5: a value cannot begin with \"@\"",
	"the value in quotes"},
	{"a backtick cannot begin a value",
		"allow: [a]\ndeny: [\xc3\xa9, `b]\n",
		"2:11: a value cannot begin with \"`\"",
	"the value in quotes"},
	{"a key cannot be on the line of another",
		"allow: a: b\n",
		"1:9: \":\" is not allowed here",
	"no space after the \":\" of a pattern; keys of one mapping in the same column"},
	{"a key is not indented below a text",
		"skill: a-v1\n  allow: [a]\n",
		"2:8: \":\" is not allowed here",
	"no space after the \":\" of a pattern; keys of one mapping in the same column"},
	{"a quote is closed",
		"allow:\n  - \"abc\n  - d\n",
		"2:5: this quote is not closed",
	"the same quote at the end of the text"},
	{"a quote is closed before the document ends",
		"allow:\n  - 'abc\n...\n",
		"2:5: this quote is not closed",
	"the same quote at the end of the text"},
	{"a list is closed",
		"allow: [a, b\ndeny: [c]\n",
		"2:5: \",\" or \"]\" is missing before this",
	"\",\" between entries of a list and \"]\" at its end"},
	{"a mapping is closed",
		"allow:\n  - {action: a\n",
		"3:1: \",\" or \"}\" is missing before this",
	"\",\" between keys of a mapping and \"}\" at its end"},
	{"a list is closed at the end",
		"allow: [a, b\n",
		"2:1: \",\" or \"]\" is missing before this",
	"\",\" between entries of a list and \"]\" at its end"},
	{"a bracket is not a value",
		"allow: ]\n",
		"1:8: a value is missing here",
	"text, a list or a mapping"},
	{"entries of a list are in one column",
		"allow:\n  - a\n - b\n",
		"3:2: this is neither a key of the mapping above nor the end of it",
	"keys of one mapping, and entries of one list, in the same column"},
	{"a key is not among the entries",
		"allow:\n  - a\n  deny: c\n",
		"3:3: this is neither an entry of the list above nor the end of it",
	"entries of one list in the same column, each beginning with \"- \""},
	{"a list does not begin on the line of its key",
		"allow: - a\n",
		"1:8: \"-\" is not allowed here",
	"each entry of a list on a line of its own"},
	{"nothing follows a quoted text but a comma",
		"allow: ['x' y]\n",
		"1:13: \",\" or \"]\" is missing before this",
	"\",\" between entries of a list and \"]\" at its end"},
	{"an unknown escape is refused",
		"allow: [\"\\q\"]\n",
		"1:10: unknown escape in double quotes",
	"single quotes, in which \"\\\" is an ordinary character"},
	{"an incomplete escape is refused",
		"allow: [\"\\xZZ\"]\n",
		"1:12: incomplete escape in double quotes",
	"single quotes, in which \"\\\" is an ordinary character"},
	{"a block text begins on the next line",
		"allow: >x\n  b\n",
		"1:9: a text that begins with \"|\" or \">\" begins on the next line",
	"the text in quotes, if it is one line"},
	{"whatever else libyaml says is passed on",
		"allow: >0\n  b\n",
		"1:9: malformed YAML: found an indentation indicator equal to 0 while scanning a block scalar",
	"well-formed YAML; text in quotes where in doubt"},
};

/* Characters. */
static const ErrorCase characters_cases[] =
{
	{"control characters are refused",
		"allow:\n  - a\x01\n",
		"2:6: character U+0001 is not allowed",
	"text without control characters"},
	{"control characters are refused in comments, too",
		"# \x1b[2J\nallow: [a]\n",
		"1:3: character U+001B is not allowed",
	"text without control characters"},
	{"characters that turn the direction of text are refused",
		"allow: [a] # \xe2\x80\xae\n",
		"1:14: character U+202E is not allowed",
	"text without control characters"},
	{"line separators that not everybody sees are refused",
		"# x\xe2\x80\xa8" "allow: [a]\n",
		"1:4: character U+2028 is not allowed",
	"text without control characters"},
	{"a byte order mark inside of a document is refused",
		"allow: [a]\n\xef\xbb\xbf" "deny: [b]\n",
		"2:1: character U+FEFF is not allowed",
	"text without control characters"},
	{"what Unicode says is not a character is refused",
		"allow: [\xef\xbf\xbe]\n",
		"1:9: character U+FFFE is not allowed",
	"text without control characters"},
	{"a carriage return alone ends a comment for some only",
		"allow: [a] # x\r  - b\n",
		"1:15: carriage return without a line feed",
	"lines that end with a line feed"},
	{"an escape is no way to a control character",
		"allow:\n  - \"a\\x07\"\n",
		"2:5: an escape stands for a control character",
	"text without control characters"},
	{"an escape is no way to a zero byte",
		"allow: [\"a\\0b\"]\n",
		"1:9: an escape stands for a control character",
	"text without control characters"},
	{"an escape is no way to one in a key",
		"\"allow\\u202e\": [a]\n",
		"1:1: an escape stands for a control character",
	"text without control characters"},
	{"bytes that are not UTF-8 are refused",
		"allow:\n  - a\xff\n",
		"2:6: byte 0xff is not valid UTF-8",
	"UTF-8"},
	{"a surrogate is not UTF-8",
		"# \xed\xa0\x80\nallow: [a]\n",
		"1:3: byte 0xed is not valid UTF-8",
	"UTF-8"},
	{"a character is not cut short",
		"allow: [a]\n# \xe2\x82",
		"2:3: byte 0xe2 is not valid UTF-8",
	"UTF-8"},
};

/* Skill documents. */
static const ErrorCase skill_documents_cases[] =
{
	{"a skill has actions",
		"description: nothing\n",
		"1:1: skill has no \"actions\"",
	"the key \"actions\""},
	{"a skill has at least one action",
		"actions: []\n",
		"1:10: \"actions\" is an empty list",
	"a list of patterns, a line each, beginning with \"- \""},
	{"the actions of a skill are a list",
		"actions: deploy\n",
		"1:10: \"actions\" is text",
	"a list of patterns, a line each, beginning with \"- \""},
	{"the actions of a skill are not left empty",
		"actions:\n",
		"1:1: \"actions\" is empty",
	"a list of patterns, a line each, beginning with \"- \""},
	{"an action is a pattern, without a space after its colon",
		"actions:\n  - deploy: staging\n",
		"2:5: action is a mapping",
	"a pattern, without a space after its \":\""},
	{"an action is a well-formed pattern",
		"actions:\n  - a:**:b\n",
		"2:5: bad pattern \"a:**:b\": \"**\" must be the last segment",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"an action is there once",
		"actions:\n  - a\n  - b\n  - a\n",
		"4:5: duplicate action \"a\", first given on line 2",
	"each one once"},
	{"an action of a skill is not left empty",
		"actions:\n  -\n",
		"2:4: action is empty",
	"segments joined by \":\", each a name or \"*\", the last one also \"**\""},
	{"a description is text",
		"description: [x]\nactions: [a]\n",
		"1:14: \"description\" is a list",
	"text"},
	{"a description has no control characters",
		"description: \"\\e[2J\"\nactions: [a]\n",
		"1:14: an escape stands for a control character",
	"text without control characters"},
	{"a skill allows nothing",
		"allow: [a]\n",
		"1:1: unknown key \"allow\"",
	"one of: description, actions"},
	{"an empty skill is a mistake",
		"",
		"1:1: document is empty",
	"a mapping with the keys \"description\" and \"actions\""},
	{"a skill is a mapping",
		"- a\n",
		"1:1: document is a list",
	"a mapping with the keys \"description\" and \"actions\""},
	{"a key of a skill is given once",
		"actions: [a]\nactions: [b]\n",
		"2:1: duplicate key \"actions\", first given on line 1",
	"each key once"},
};

/*
 * Parses a copy of exactly this length, so that ASan sees one read too many,
 * in an arena without limit.  NULL if it is fine, or "line:column: message".
 */
static const char *
error_of(const char *source, size_t len, bool is_skill, PolicyError *error)
{
	static char text[512];
	Arena	   *arena = arena_create(0);
	char	   *copy = malloc(len > 0 ? len : 1);
	bool		good;

	memcpy(copy, source, len);
	memset(error, 0x7f, sizeof(*error));
	if (is_skill)
		good = skill_parse(arena, copy, len, error) != NULL;
	else
		good = policy_parse(arena, copy, len, error) != NULL;
	free(copy);
	arena_destroy(arena);
	if (good)
		return NULL;
	snprintf(text, sizeof(text), "%d:%d: %s", error->line, error->column,
			 error->message);
	return text;
}

static void
run_cases(const ErrorCase *cases, int count, bool is_skill)
{
	PolicyError error;
	int			i;

	for (i = 0; i < count; i++)
	{
		char		have[600];
		char		want[600];

		snprintf(have, sizeof(have), "%s; expected %s",
				 error_of(cases[i].source, strlen(cases[i].source), is_skill,
						  &error), error.expected);
		snprintf(want, sizeof(want), "%s; expected %s", cases[i].error,
				 cases[i].expected);
		is(have, want, "%s", cases[i].what);
	}
}

/* A source of "head" and "count" times "line", which has one %d or none. */
static char *
repeat(const char *head, const char *line, int count, size_t *len)
{
	char	   *source = malloc(strlen(head) + count * (strlen(line) + 12) + 1);
	int			i;

	*len = sprintf(source, "%s", head);
	for (i = 0; i < count; i++)
		*len += sprintf(source + *len, line, i);
	return source;
}

static void
test_size(void)
{
	PolicyError error;
	size_t		len;
	char	   *source = repeat("allow: [a]\n#", "x", POLICY_MAX_SOURCE, &len);

	is(error_of(source, POLICY_MAX_SOURCE, false, &error), NULL,
	   "a document of 262144 bytes is accepted");
	is(error_of(source, POLICY_MAX_SOURCE + 1, false, &error),
	   "1:1: document has 262145 bytes", "one of 262145 is not");
	is(error.expected, "at most 262144 bytes", "and the limit is named");
	free(source);
	is(error_of("allow: [a]\n\0", 12, false, &error),
	   "2:1: character U+0000 is not allowed",
	   "a zero byte is refused where it is");
}

/*
 * The tree of "allow:" with n entries has n + 3 nodes.
 */
static void
test_nodes(void)
{
	PolicyError error;
	size_t		len;
	char	   *source = repeat("allow:\n", "- a%d\n", POLICY_MAX_NODES - 3, &len);

	is(error_of(source, len, false, &error), NULL,
	   "a document of 20000 keys and values is accepted");
	free(source);
	source = repeat("allow:\n", "- a%d\n", POLICY_MAX_NODES - 2, &len);
	is(error_of(source, len, false, &error),
	   "19999:3: document has too many keys and values",
	   "one of 20001 is not");
	free(source);
}

static void
test_depth(void)
{
	PolicyError error;

	is(error_of("allow: [[[[[[[a]]]]]]]\n", 23, false, &error),
	   "1:9: entry is a list",
	   "eight levels are read, and then found to be no policy");
}

/* A pattern for each of the first arrangements of "*" in eight segments. */
static void
test_forms(void)
{
	PolicyError error;
	char	   *source = malloc(65536);
	int			count;

	for (count = POLICY_MAX_FORMS; count <= POLICY_MAX_FORMS + 1; count++)
	{
		Arena	   *arena = arena_create(0);
		size_t		len = sprintf(source, "allow:\n");
		PolicyDocument *doc;
		PolicyProgram *program;
		int			i;
		int			bit;

		for (i = 0; i < count; i++)
		{
			len += sprintf(source + len, "  - \"");
			for (bit = 0; bit < 8; bit++)
				len += sprintf(source + len, "%s:", i & (1 << bit) ? "*" : "a");
			len += sprintf(source + len, "x%d\"\n", i);
		}
		doc = policy_parse(arena, source, len, &error);
		program = policy_compile(arena, doc, &error);
		if (count == POLICY_MAX_FORMS)
			ok(program != NULL, "wildcards in 128 arrangements are accepted");
		else
		{
			ok(program == NULL && error.line == 130 && error.column == 5,
			   "the entry with the 129th is refused");
			is(error.message,
			   "wildcards stand in too many different arrangements",
			   "and told why");
			is(error.expected, "at most 128 different arrangements in a document",
			   "and the limit");
		}
		arena_destroy(arena);
	}
	free(source);
}

static void
test_forms_of_skills(void)
{
	PolicyError error;
	Arena	   *arena = arena_create(0);
	char	   *source = malloc(65536);
	size_t		len = sprintf(source, "actions:\n");
	SkillDocument *doc;
	int			i;
	int			bit;

	for (i = 0; i < POLICY_MAX_FORMS + 1; i++)
	{
		len += sprintf(source + len, "  - \"");
		for (bit = 0; bit < 8; bit++)
			len += sprintf(source + len, "%s:", i & (1 << bit) ? "*" : "a");
		len += sprintf(source + len, "x%d\"\n", i);
	}
	doc = skill_parse(arena, source, len, &error);
	ok(doc != NULL && skill_compile(arena, doc, &error) == NULL &&
	   error.line == 130 && error.column == 5,
	   "a skill's wildcards are bounded, too");
	arena_destroy(arena);
	free(source);
}

/*
 * Every allocation in the document's arena fails once.
 */
static void
test_out_of_memory(void)
{
	static const char *const policy =
		"skills: [a-v1, b-v1]\n"
		"allow:\n"
		"  - deploy:*\n"
		"  - {action: a:b, target: order/*, requires: session}\n"
		"deny:\n"
		"  - {action: '**', target: order/7}\n"
		"tests:\n"
		"  - {action: a:b, target: order/8, session: true, expect: ALLOW}\n";
	static const char *const skill = "description: x\nactions: [a:b, 'c:*']\n";
	int			policies = 0;
	int			skills = 0;
	bool		said = true;
	size_t		limit;

	for (limit = 8; limit < 16384; limit += 8)
	{
		Arena	   *arena = arena_create(limit);
		PolicyError error;
		PolicyDocument *doc = policy_parse(arena, policy, strlen(policy), &error);

		if (doc != NULL && policy_compile(arena, doc, &error) != NULL)
			policies++;
		else
			said = said && strcmp(error.message, "out of memory") == 0 &&
				error.line == 1 && error.column == 1;
		arena_destroy(arena);
	}
	for (limit = 8; limit < 8192; limit += 8)
	{
		Arena	   *arena = arena_create(limit);
		PolicyError error;
		SkillDocument *doc = skill_parse(arena, skill, strlen(skill), &error);

		if (doc != NULL && skill_compile(arena, doc, &error) != NULL)
			skills++;
		else
			said = said && strcmp(error.message, "out of memory") == 0;
		arena_destroy(arena);
	}
	ok(said && policies > 0 && skills > 0,
	   "a document that runs out of memory anywhere says so");
}

int
main(void)
{
	run_cases(document_cases, LENGTH(document_cases), false);
	run_cases(keys_cases, LENGTH(keys_cases), false);
	run_cases(skills_cases, LENGTH(skills_cases), false);
	run_cases(entries_cases, LENGTH(entries_cases), false);
	run_cases(tests_cases, LENGTH(tests_cases), false);
	run_cases(foreign_cases, LENGTH(foreign_cases), false);
	run_cases(broken_cases, LENGTH(broken_cases), false);
	run_cases(characters_cases, LENGTH(characters_cases), false);
	run_cases(skill_documents_cases, LENGTH(skill_documents_cases), true);
	test_size();
	test_nodes();
	test_depth();
	test_forms();
	test_forms_of_skills();
	test_out_of_memory();
	return done_testing();
}
