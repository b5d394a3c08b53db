/*-------------------------------------------------------------------------
 *
 * test_pattern.c
 *	  Patterns and names: what is one, what matches, what covers what; and
 *	  sets of patterns against the same questions asked one by one.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "policy_private.h"

#include "naive.h"
#include "random.h"
#include "tap.h"

#define SEED UINT64_C(20261120)

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

/* Checks memory of exactly this length, so that ASan sees one read too many. */
static const char *
why_not(const char *text, size_t len, char separator, bool is_pattern)
{
	char	   *copy = malloc(len > 0 ? len : 1);
	const char *why = "(none given)";
	bool		good;

	memcpy(copy, text, len);
	if (is_pattern)
		good = pattern_check(copy, len, separator, &why);
	else if (separator == ':')
		good = action_name_check(copy, len, &why);
	else
		good = target_name_check(copy, len, &why);
	free(copy);
	return good ? NULL : why;
}

typedef struct CheckCase
{
	const char *text;
	const char *why;			/* NULL: it is fine */
} CheckCase;

static void
run_checks(const CheckCase *cases, int count, char separator, bool is_pattern)
{
	int			i;

	for (i = 0; i < count; i++)
		is(why_not(cases[i].text, strlen(cases[i].text), separator, is_pattern),
		   cases[i].why, "\"%s\" as %s %s %s", cases[i].text,
		   is_pattern ? "a pattern of" : "the name of an",
		   separator == ':' ? "actions" : "targets",
		   cases[i].why ? "is refused" : "is fine");
}

static void
test_pattern_check(void)
{
	static const CheckCase actions[] = {
		{"deploy:staging", NULL},
		{"health", NULL},
		{"*", NULL},
		{"**", NULL},
		{"deploy:*", NULL},
		{"*:read", NULL},
		{"a:*:*:**", NULL},
		{"\xc3\xa9tat:lire", NULL},
		{"a/b.c-d_e", NULL},
		{"a:b:c:d:e:f:g:h:i:j:k:l:m:n:o:p", NULL},
		{"a:b:c:d:e:f:g:h:i:j:k:l:m:n:o:p:q", "it has more than 16 segments"},
		{"", "it is empty"},
		{":", "it has an empty segment"},
		{"a:", "it has an empty segment"},
		{":a", "it has an empty segment"},
		{"a::b", "it has an empty segment"},
		{"deploy*", "\"*\" must be a whole segment"},
		{"deploy:st*ing", "\"*\" must be a whole segment"},
		{"deploy:***", "\"*\" must be a whole segment"},
		{"**:read", "\"**\" must be the last segment"},
		{"a:**:b", "\"**\" must be the last segment"},
		{"a b", "it contains white space"},
		{" a", "it contains white space"},
		{"a\xc2\xa0" "b", "it contains white space"},
		{"a\tb", "it contains a control character"},
		{"a\xe2\x80\xae" "b", "it contains a control character"},
		{"a\xff", "it is not valid UTF-8"},
		{"a\xc3", "it is not valid UTF-8"},
	};
	static const CheckCase targets[] = {
		{"api-v2", NULL},
		{"order/*", NULL},
		{"order/**", NULL},
		{"/var/log", NULL},
		{"https://host/**", NULL},
		{"my files/2026 report", NULL},
		{"order:7", NULL},
		{"order/", NULL},
		{"order/7*", "\"*\" must be a whole segment"},
		{"**/order", "\"**\" must be the last segment"},
		{"order/../x", "a segment is \".\" or \"..\""},
		{"./x", "a segment is \".\" or \"..\""},
		{" order", "it begins or ends with white space"},
		{"order ", "it begins or ends with white space"},
	};
	char		long_text[POLICY_MAX_PATTERN + 1];

	run_checks(actions, LENGTH(actions), ':', true);
	run_checks(targets, LENGTH(targets), '/', true);
	memset(long_text, 'a', sizeof(long_text));
	is(why_not(long_text, POLICY_MAX_PATTERN, ':', true), NULL,
	   "a pattern of 256 bytes is fine");
	is(why_not(long_text, POLICY_MAX_PATTERN + 1, ':', true), "it is too long",
	   "one of 257 is too long");
	is(why_not("a\0b", 3, ':', true), "it contains a control character",
	   "a zero byte in a pattern is refused");
}

static void
test_name_check(void)
{
	static const CheckCase actions[] = {
		{"deploy:staging", NULL},
		{"a:b:c:d:e:f:g:h:i:j:k:l:m:n:o:p:q:r", NULL},
		{"", "it is empty"},
		{"deploy:*", "it contains \"*\""},
		{"**", "it contains \"*\""},
		{"deploy:a*b", "it contains \"*\""},
		{"deploy:", "it has an empty segment"},
		{"::", "it has an empty segment"},
		{"deploy staging", "it contains white space"},
		{"deploy:staging\n", "it contains a control character"},
		{"deploy:\xe2\x80\xa8", "it contains a control character"},
		{"\xed\xa0\x80", "it is not valid UTF-8"},
	};
	static const CheckCase targets[] = {
		{"api-v2", NULL},
		{"order/7", NULL},
		{"//", NULL},
		{"file*.txt", NULL},
		{"a b", NULL},
		{"...", NULL},
		{"order/..", "a segment is \".\" or \"..\""},
		{"../payroll", "a segment is \".\" or \"..\""},
		{"order/./7", "a segment is \".\" or \"..\""},
		{".", "a segment is \".\" or \"..\""},
		{"order/*", "a segment is \"*\" or \"**\""},
		{"**", "a segment is \"*\" or \"**\""},
		{" order", "it begins or ends with white space"},
		{"order\xc2\xa0", "it begins or ends with white space"},
		{"", "it is empty"},
		{"a\x7f", "it contains a control character"},
	};
	char		long_text[POLICY_MAX_TARGET + 1];

	run_checks(actions, LENGTH(actions), ':', false);
	run_checks(targets, LENGTH(targets), '/', false);
	memset(long_text, 'a', sizeof(long_text));
	is(why_not(long_text, POLICY_MAX_ACTION, ':', false), NULL,
	   "an action of 256 bytes is fine");
	is(why_not(long_text, POLICY_MAX_ACTION + 1, ':', false), "it is too long",
	   "one of 257 is too long");
	is(why_not(long_text, POLICY_MAX_TARGET, '/', false), NULL,
	   "a target of 1024 bytes is fine");
	is(why_not(long_text, POLICY_MAX_TARGET + 1, '/', false), "it is too long",
	   "one of 1025 is too long");
	is(why_not("a\0", 2, '/', false), "it contains a control character",
	   "a zero byte in a name is refused");
}

static void
test_match_table(void)
{
	static const struct
	{
		const char *pattern;
		const char *name;
		bool		matches;
	}			cases[] =
	{
		{"deploy:staging", "deploy:staging", true},
		{"deploy:staging", "deploy:production", false},
		{"deploy:staging", "deploy", false},
		{"deploy:staging", "deploy:staging:eu", false},
		{"deploy", "deploy:staging", false},
		{"deploy:*", "deploy:staging", true},
		{"deploy:*", "deploy", false},
		{"deploy:*", "deploy:staging:eu", false},
		{"deploy:*", "deployer:staging", false},
		{"deploy:**", "deploy:staging", true},
		{"deploy:**", "deploy:staging:eu:1", true},
		{"deploy:**", "deploy", false},
		{"*", "deploy", true},
		{"*", "deploy:staging", false},
		{"**", "deploy", true},
		{"**", "deploy:staging:eu", true},
		{"*:read", "ticket:read", true},
		{"*:read", "ticket:write", false},
		{"*:*:eu", "deploy:staging:eu", true},
		{"*:**", "deploy", false},
		{"*:**", "deploy:staging", true},
		{"deploy:*", "deploy:*", true},
		{"Deploy:staging", "deploy:staging", false},
	};
	int			i;

	for (i = 0; i < LENGTH(cases); i++)
	{
		size_t		len = strlen(cases[i].name);
		char	   *copy = malloc(len);

		memcpy(copy, cases[i].name, len);
		ok(pattern_match(cases[i].pattern, copy, len, ':') == cases[i].matches,
		   "%s %s %s", cases[i].pattern,
		   cases[i].matches ? "matches" : "does not match", cases[i].name);
		free(copy);
	}
	ok(pattern_match("order/*", "order/", 6, '/') &&
	   !pattern_match("order/*", "order", 5, '/') &&
	   !pattern_match("order/*", "order//x", 8, '/') &&
	   pattern_match("order/**", "order//x", 8, '/'),
	   "an empty segment of a target is a segment");
	ok(!pattern_match("order/*", "order/7/8", 9, '/') &&
	   pattern_match("order/*", "order/7:8", 9, '/'),
	   "a target is split by slashes only");
}

static void
test_covers_table(void)
{
	static const struct
	{
		const char *outer;
		const char *inner;
		bool		covers;
	}			cases[] =
	{
		{"deploy:staging", "deploy:staging", true},
		{"deploy:*", "deploy:staging", true},
		{"deploy:staging", "deploy:*", false},
		{"deploy:**", "deploy:*", true},
		{"deploy:*", "deploy:**", false},
		{"deploy:**", "deploy:**", true},
		{"deploy:**", "deploy", false},
		{"**", "deploy", true},
		{"**", "**", true},
		{"**", "*", true},
		{"**", "*:**", true},
		{"*", "**", false},
		{"*:**", "**", false},
		{"*:**", "*:*", true},
		{"*:**", "*:*:**", true},
		{"*:*:**", "*:**", false},
		{"deploy:**", "**", false},
		{"deploy:**", "*:**", false},
		{"*:read", "ticket:*", false},
		{"*:*", "*:read", true},
		{"a:**", "a:b:**", true},
		{"a:b:**", "a:**", false},
		{"a:*:**", "a:b:**", true},
		{"a:*:**", "a:**", false},
	};
	int			i;

	for (i = 0; i < LENGTH(cases); i++)
		ok(pattern_covers(cases[i].outer, cases[i].inner, ':') ==
		   cases[i].covers, "%s %s %s", cases[i].outer,
		   cases[i].covers ? "covers" : "does not cover", cases[i].inner);
}

/*
 * All patterns of up to MAX_LENGTH segments over two names, and all names of
 * up to two segments more over those two and one that no pattern has: enough
 * to tell any two of these patterns apart.
 */
#define MAX_LENGTH		3
#define MAX_PATTERNS	200
#define MAX_NAMES		400

static char all_patterns[MAX_PATTERNS][16];
static char all_names[MAX_NAMES][16];
static bool all_matches[MAX_PATTERNS][MAX_NAMES];
static int	npatterns;
static int	nnames;

static void
make_words(const char *prefix, int length, const char *symbols, bool patterns)
{
	char		word[16];
	const char *symbol;

	for (symbol = symbols; *symbol != '\0'; symbol++)
	{
		snprintf(word, sizeof(word), "%s%s%c", prefix, *prefix ? ":" : "",
				 *symbol);
		strcpy(patterns ? all_patterns[npatterns++] : all_names[nnames++], word);
		if (length > 1)
			make_words(word, length - 1, symbols, patterns);
	}
	if (patterns)
		snprintf(all_patterns[npatterns++], sizeof(all_patterns[0]), "%s%s**",
				 prefix, *prefix ? ":" : "");
}

static void
make_all(void)
{
	int			i;
	int			j;

	make_words("", MAX_LENGTH, "ab*", true);
	make_words("", MAX_LENGTH + 2, "abz", false);
	for (i = 0; i < npatterns; i++)
		for (j = 0; j < nnames; j++)
			all_matches[i][j] = naive_match(all_patterns[i], all_names[j], ':');
}

static void
test_exhaustively(void)
{
	bool		match = true;
	bool		covers = true;
	int			i;
	int			j;
	int			k;

	for (i = 0; i < npatterns; i++)
		for (k = 0; k < nnames; k++)
			match = match && all_matches[i][k] ==
				pattern_match(all_patterns[i], all_names[k],
							  strlen(all_names[k]), ':');
	ok(match, "matching: %d patterns times %d names, as naively", npatterns,
	   nnames);
	for (i = 0; i < npatterns; i++)
	{
		for (j = 0; j < npatterns; j++)
		{
			bool		subset = true;

			for (k = 0; k < nnames; k++)
				subset = subset && (!all_matches[j][k] || all_matches[i][k]);
			if (pattern_covers(all_patterns[i], all_patterns[j], ':') != subset)
			{
				covers = false;
				diag("%s over %s: %d", all_patterns[i], all_patterns[j], subset);
			}
		}
	}
	ok(covers, "covering: %d pairs of patterns, as by trying every name",
	   npatterns * npatterns);
}

/* Sets of up to four patterns against every pattern and every name. */
static void
test_set_covers(void)
{
	Random		random = {SEED};
	bool		good = true;
	int			by_several = 0;
	int			round;

	for (round = 0; round < 500; round++)
	{
		Arena	   *arena = arena_create(0);
		PatternSet *set = pattern_set_create(arena, ':');
		int			chosen[4];
		int			count = 1 + random_below(&random, 4);
		int			i;
		int			j;
		int			k;

		for (i = 0; i < count; i++)
		{
			chosen[i] = random_below(&random, npatterns);
			pattern_set_add(set, all_patterns[chosen[i]], i);
		}
		for (j = 0; j < npatterns; j++)
		{
			bool		subset = true;
			bool		single = false;

			for (k = 0; k < nnames && subset; k++)
			{
				bool		found = !all_matches[j][k];

				for (i = 0; i < count; i++)
					found = found || all_matches[chosen[i]][k];
				subset = found;
			}
			for (i = 0; i < count; i++)
				single = single || pattern_covers(all_patterns[chosen[i]],
												  all_patterns[j], ':');
			good = good && pattern_set_covers(set, all_patterns[j]) == subset;
			by_several += subset && !single;
		}
		arena_destroy(arena);
	}
	ok(good, "a set covers what its patterns cover together (seed %llu)",
	   (unsigned long long) SEED);
	ok(by_several > 0, "also what no single one of them covers (%d times)",
	   by_several);
}

static void
test_set_covers_limits(void)
{
	Arena	   *arena = arena_create(0);
	PatternSet *set = pattern_set_create(arena, ':');
	char		pattern[64] = "";
	int			i;

	pattern_set_add(set, "a:*", 0);
	pattern_set_add(set, "a:*:**", 1);
	ok(pattern_set_covers(set, "a:**"),
	   "a:* and a:*:** together cover a:**");
	for (i = 0; i < POLICY_MAX_SEGMENTS; i++)
	{
		strcat(pattern, i > 0 ? ":*" : "*");
		pattern_set_add(set, pattern, 2 + i);
	}
	ok(!pattern_set_covers(set, "**"),
	   "patterns of every length do not cover a name that is longer");
	pattern_set_add(set, "*:*:*:*:*:*:*:*:*:*:*:*:*:*:*:**", 99);
	ok(pattern_set_covers(set, "**"), "unless the longest goes on");
	arena_destroy(arena);
}

/* What a set's visits saw. */
typedef struct Visits
{
	int			count;
	int			limit;
	int			values[256];
} Visits;

static bool
record_visit(int value, void *arg)
{
	Visits	   *visits = arg;

	visits->values[visits->count++] = value;
	return visits->count < visits->limit;
}

/* Literal before "*" before "**", from the left; exact before all. */
static int
compare_specificity(const char *a, const char *b)
{
	bool		a_exact = strchr(a, '*') == NULL;
	bool		b_exact = strchr(b, '*') == NULL;

	if (a_exact != b_exact)
		return a_exact ? -1 : 1;
	for (;;)
	{
		size_t		a_len = strcspn(a, ":");
		size_t		b_len = strcspn(b, ":");
		int			a_rank = strncmp(a, "**", 2) == 0 ? 2 : *a == '*';
		int			b_rank = strncmp(b, "**", 2) == 0 ? 2 : *b == '*';

		if (a_rank != b_rank)
			return a_rank - b_rank;
		if (a[a_len] == '\0' || b[b_len] == '\0')
			return 0;
		a += a_len + 1;
		b += b_len + 1;
	}
}

static void
random_word(Random *random, char *word, int max_segments, bool is_pattern)
{
	int			count = 1 + random_below(random, max_segments);
	int			i;

	*word = '\0';
	for (i = 0; i < count; i++)
	{
		int			roll = random_below(random, 10);

		if (i > 0)
			strcat(word, ":");
		if (is_pattern && roll < 3)
			strcat(word, "*");
		else if (is_pattern && roll == 3 && i == count - 1)
			strcat(word, "**");
		else
			strncat(word, &"aabbccd"[random_below(random, 7)], 1);
	}
}

/*
 * Random sets: everything that matches is visited once, nothing else is, in
 * order, and the best is the first.
 */
static void
test_set_randomly(void)
{
	Random		random = {SEED + 1};
	bool		same = true;
	bool		ordered = true;
	bool		best = true;
	bool		stopped = true;
	long		total = 0;
	int			round;

	for (round = 0; round < 400; round++)
	{
		Arena	   *arena = arena_create(0);
		PatternSet *set = pattern_set_create(arena, ':');
		char		patterns[200][40];
		int			tries = 1 + random_below(&random, 200);
		int			count = 0;
		int			probe;
		int			i;

		while (tries-- > 0)
		{
			random_word(&random, patterns[count], 6, true);
			/* One that is there already makes way for the next. */
			count += pattern_set_add(set, patterns[count], count);
		}
		for (probe = 0; probe < 50; probe++)
		{
			Visits		visits = {0, 1000, {0}};
			Visits		first = {0, 1, {0}};
			char		name[80];
			int			expected = 0;

			random_word(&random, name, probe == 0 ? 30 : 7, false);
			pattern_set_match(set, name, strlen(name), record_visit, &visits);
			pattern_set_match(set, name, strlen(name), record_visit, &first);
			for (i = 0; i < count; i++)
				expected += naive_match(patterns[i], name, ':');
			same = same && visits.count == expected;
			total += expected;
			for (i = 0; i < visits.count; i++)
			{
				same = same && naive_match(patterns[visits.values[i]], name, ':');
				if (i > 0)
					ordered = ordered &&
						compare_specificity(patterns[visits.values[i - 1]],
											patterns[visits.values[i]]) < 0;
			}
			best = best && pattern_set_best(set, name, strlen(name)) ==
				(visits.count ? visits.values[0] : -1);
			stopped = stopped && first.count == (visits.count ? 1 : 0);
		}
		arena_destroy(arena);
	}
	ok(same && total > 10000,
	   "a set matches what its patterns match one by one (seed %llu, %ld matches)",
	   (unsigned long long) (SEED + 1), total);
	ok(ordered, "each once, the more specific before the less");
	ok(best, "and the best is the first");
	ok(stopped, "a visit that says stop is the last");
}

static void
test_set_add(void)
{
	static const char *const patterns[] = {"a:b", "a:*", "a:**", "**", "*"};
	Arena	   *arena = arena_create(0);
	PatternSet *set = pattern_set_create(arena, ':');
	char		text[] = "a:c";
	bool		good = true;
	int			i;

	ok(pattern_set_best(set, "a:b", 3) == -1 &&
	   pattern_set_best(set, "", 0) == -1 && !pattern_set_covers(set, "a"),
	   "an empty set matches and covers nothing");
	for (i = 0; i < LENGTH(patterns); i++)
		good = good && pattern_set_find(set, patterns[i]) == -1 &&
			pattern_set_add(set, patterns[i], i) &&
			pattern_set_find(set, patterns[i]) == i;
	ok(good, "a pattern is found by itself once it is added");
	for (i = 0; i < LENGTH(patterns); i++)
		good = good && !pattern_set_add(set, patterns[i], 7) &&
			pattern_set_find(set, patterns[i]) == i;
	ok(good, "and cannot be added again");
	ok(!pattern_set_add(set, "a::b", 8) && !pattern_set_add(set, "", 8) &&
	   !pattern_set_add(set, "**:a", 8) && !pattern_set_add(set, "x", -1),
	   "what is not a pattern, or has a negative value, is not added");
	ok(pattern_set_add(set, text, 9), "a pattern is added from a buffer");
	text[0] = 'z';
	ok(pattern_set_best(set, "a:c", 3) == 9, "and does not need it afterwards");
	ok(pattern_set_best(set, "a:b", 3) == 0 &&
	   pattern_set_best(set, "a:x", 3) == 1 &&
	   pattern_set_best(set, "a:x:y", 5) == 2 &&
	   pattern_set_best(set, "x:y", 3) == 3 &&
	   pattern_set_best(set, "x", 1) == 4,
	   "exact is better than *, and * than **");
	arena_destroy(arena);
}

/* Targets as a directory maps them to organizations. */
static void
test_set_of_targets(void)
{
	Arena	   *arena = arena_create(0);
	PatternSet *set = pattern_set_create(arena, '/');
	static const char *const names[] = {
		"api-v2", "finance/ledger", "finance/public/price", "eng/api/1"
	};
	static const int expected[] = {0, 1, 2, 0};
	int			i;

	pattern_set_add(set, "**", 0);
	pattern_set_add(set, "finance/**", 1);
	pattern_set_add(set, "finance/public/*", 2);
	for (i = 0; i < LENGTH(names); i++)
		ok(pattern_set_best(set, names[i], strlen(names[i])) == expected[i],
		   "the most specific pattern maps %s", names[i]);
	arena_destroy(arena);
}

/*
 * The set that makes a backtracking matcher try 2^12 ways, and a name that
 * all of them match but for the last segment.
 */
static void
test_set_without_backtracking(void)
{
	Arena	   *arena = arena_create(0);
	PatternSet *set = pattern_set_create(arena, ':');
	char		pattern[64];
	char		name[64] = "a";
	long		mask;
	int			i;

	for (i = 1; i < 16; i++)
		strcat(name, ":a");
	for (mask = 0; mask < 16; mask++)
	{
		*pattern = '\0';
		for (i = 0; i < 16; i++)
		{
			strcat(pattern, i > 0 ? ":" : "");
			strcat(pattern, i == 15 ? "b" : mask & (1 << (i % 4)) ? "*" : "a");
		}
		pattern_set_add(set, pattern, (int) mask);
	}
	/* In a moment, or the test's time limit strikes. */
	for (i = 0; i < 20000; i++)
		if (pattern_set_best(set, name, strlen(name)) != -1)
			break;
	ok(i == 20000, "a name that many patterns nearly match matches none, soon");
	arena_destroy(arena);
}

static void
test_forms(void)
{
	ok(pattern_form("a:b", ':') == 0, "a pattern without wildcards has no form");
	ok(pattern_form("a:*", ':') == pattern_form("b:*", ':'),
	   "patterns that differ in names only have the same form");
	ok(pattern_form("a:*", ':') != pattern_form("*:a", ':') &&
	   pattern_form("a:*", ':') != pattern_form("a:*:c", ':') &&
	   pattern_form("a:*", ':') != pattern_form("a:**", ':') &&
	   pattern_form("**", ':') != pattern_form("a:**", ':'),
	   "those whose wildcards stand elsewhere do not");
}

static void
test_out_of_memory(void)
{
	static const char *const patterns[] = {"a:b", "a:*", "b:c:**", "*:*:d", "e"};
	size_t		limit;
	int			added = 0;
	bool		good = true;

	for (limit = 16; added < LENGTH(patterns) && limit < 100000; limit += 16)
	{
		Arena	   *arena = arena_create(limit);
		PatternSet *set = pattern_set_create(arena, ':');
		int			i;

		for (added = 0; set != NULL && added < LENGTH(patterns); added++)
			if (!pattern_set_add(set, patterns[added], added))
				break;
		for (i = 0; i < added; i++)
			good = good && pattern_set_find(set, patterns[i]) == i;
		if (set != NULL && added < LENGTH(patterns))
			good = good && pattern_set_find(set, patterns[added]) == -1;
		arena_destroy(arena);
	}
	ok(good && added == LENGTH(patterns),
	   "a set that runs out of memory keeps what it has, and nothing by half");
}

int
main(void)
{
	test_pattern_check();
	test_name_check();
	test_match_table();
	test_covers_table();
	make_all();
	test_exhaustively();
	test_set_covers();
	test_set_covers_limits();
	test_set_randomly();
	test_set_add();
	test_set_of_targets();
	test_set_without_backtracking();
	test_forms();
	test_out_of_memory();
	return done_testing();
}
