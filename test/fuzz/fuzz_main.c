/*-------------------------------------------------------------------------
 *
 * fuzz_main.c
 *	  Drives a libFuzzer target without libFuzzer: the same inputs in every
 *	  run, with any compiler.
 *
 *	  fuzz_NAME [count [seed [first]]]
 *
 * Every file in test/fuzz/corpus/NAME as it is, and then "count" mutations
 * of them: bits flipped, pieces removed, doubled, spliced in from another
 * file, and tokens from test/fuzz/NAME.dict.  Each mutation depends only on
 * the seed and its number, so what failed is run alone by its number as
 * "first" and a count of 1.  Runs from the project's root.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../unit/random.h"

#define DEFAULT_COUNT	50000
#define DEFAULT_SEED	UINT64_C(20261120)
#define MAX_INPUT_LEN		65536
#define MAX_SECONDS		5		/* of CPU, for one input */

typedef struct Bytes
{
	uint8_t    *data;
	size_t		len;
} Bytes;

typedef struct BytesList
{
	Bytes	   *items;
	int			count;
} BytesList;

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There only if a sanitizer is linked in. */
extern void __sanitizer_set_death_callback(void (*callback) (void)) __attribute__((weak));

static const char *target = "";
static BytesList corpus;
static BytesList dictionary;
static uint64_t seed = DEFAULT_SEED;
static long current = -1;		/* mutation that is running; -1: a file */
static const char *current_file = "";
static double slowest;

static void
say_what_ran(void)
{
	char		text[400];
	int			len;

	if (current < 0)
		len = snprintf(text, sizeof(text), "fuzz_%s: died on corpus file %s\n",
					   target, current_file);
	else
		len = snprintf(text, sizeof(text),
					   "fuzz_%s: died on mutation %ld; to run it alone: fuzz_%s 1 %" PRIu64 " %ld\n",
					   target, current, target, seed, current);
	if (write(STDERR_FILENO, text, len) < 0)
		_exit(2);
}

static void
on_abort(int signal_number)
{
	say_what_ran();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void
die(const char *what, const char *name)
{
	fprintf(stderr, "fuzz_%s: %s %s\n", target, what, name);
	exit(2);
}

static void
add_bytes(BytesList *list, const uint8_t *data, size_t len)
{
	Bytes	   *item;

	list->items = realloc(list->items, (list->count + 1) * sizeof(Bytes));
	if (list->items == NULL)
		die("out of memory", "");
	item = &list->items[list->count++];
	item->data = malloc(len > 0 ? len : 1);
	if (item->data == NULL)
		die("out of memory", "");
	memcpy(item->data, data, len);
	item->len = len;
}

static void
free_list(BytesList *list)
{
	int			i;

	for (i = 0; i < list->count; i++)
		free(list->items[i].data);
	free(list->items);
}

/* Runs the target on a copy of exactly this length, so that ASan watches. */
static void
run_one(const uint8_t *data, size_t len)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	clock_t		begin = clock();
	double		seconds;

	if (copy == NULL)
		die("out of memory", "");
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	seconds = (double) (clock() - begin) / CLOCKS_PER_SEC;
	if (seconds > slowest)
		slowest = seconds;
	if (seconds > MAX_SECONDS)
	{
		fprintf(stderr, "fuzz_%s: took %.1f s\n", target, seconds);
		abort();
	}
}

/* Reads the corpus in the order of its names, and runs every file. */
static void
run_corpus(void)
{
	char		directory[256];
	struct dirent **entries;
	int			count;
	int			i;

	snprintf(directory, sizeof(directory), "test/fuzz/corpus/%s", target);
	count = scandir(directory, &entries, NULL, alphasort);
	if (count < 0)
		die("no corpus", directory);
	for (i = 0; i < count; i++)
	{
		static uint8_t buffer[MAX_INPUT_LEN];
		char		path[600];
		size_t		len;
		FILE	   *file;

		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
		{
			file = fopen(path, "rb");
			if (file == NULL)
				die("cannot read", path);
			len = fread(buffer, 1, sizeof(buffer), file);
			fclose(file);
			add_bytes(&corpus, buffer, len);
			current_file = path;
			run_one(buffer, len);
		}
		free(entries[i]);
	}
	free(entries);
	if (corpus.count == 0)
		die("empty corpus", directory);
}

/*
 * A dictionary as libFuzzer has it: a token in quotes a line, with \\, \"
 * and \xNN; the rest of a line that begins otherwise is a comment.
 */
static void
read_dictionary(void)
{
	char		path[256];
	char		line[512];
	FILE	   *file;

	snprintf(path, sizeof(path), "test/fuzz/%s.dict", target);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		uint8_t		token[512];
		size_t		len = 0;
		const char *p;

		if (line[0] != '"')
			continue;
		for (p = line + 1; *p != '\0' && *p != '"'; p++)
		{
			unsigned	byte;

			if (p[0] == '\\' && sscanf(p, "\\x%2x", &byte) == 1)
			{
				token[len++] = (uint8_t) byte;
				p += 3;
				continue;
			}
			if (p[0] == '\\')
				p++;
			token[len++] = (uint8_t) *p;
		}
		add_bytes(&dictionary, token, len);
	}
	if (file != NULL)
		fclose(file);
}

/* Replaces "removed" bytes at "at" by those of a piece, if they fit. */
static void
replace(Bytes *input, size_t at, size_t removed, const uint8_t *piece,
		size_t len)
{
	if (input->len - removed + len > MAX_INPUT_LEN)
		return;
	memmove(input->data + at + len, input->data + at + removed,
			input->len - at - removed);
	memcpy(input->data + at, piece, len);
	input->len += len - removed;
}

/* A place between two bytes, often at the beginning of a line. */
static size_t
random_place(Random *random, const Bytes *input)
{
	size_t		at = random_below(random, (int) input->len + 1);

	if (random_below(random, 2) == 0)
		while (at > 0 && input->data[at - 1] != '\n')
			at--;
	return at;
}

static void
mutate(Random *random, Bytes *input)
{
	static uint8_t piece[MAX_INPUT_LEN];
	size_t		at = random_place(random, input);
	size_t		end = random_place(random, input);
	size_t		times;
	const Bytes *other;
	uint8_t		byte;

	if (end < at)
	{
		size_t		swap = at;

		at = end;
		end = swap;
	}
	switch (random_below(random, 9))
	{
		case 0:					/* a bit */
			if (at < input->len)
				input->data[at] ^= 1 << random_below(random, 8);
			break;
		case 1:					/* a byte */
			byte = (uint8_t) random_below(random, 256);
			replace(input, at, at < input->len, &byte, 1);
			break;
		case 2:					/* less */
			replace(input, at, end - at, piece, 0);
			break;
		case 3:					/* the same again, perhaps often */
			times = random_below(random, 20) == 0 ? 200 : 1;
			memcpy(piece, input->data + at, end - at);
			while (times-- > 0)
				replace(input, at, 0, piece, end - at);
			break;
		case 4:					/* moved elsewhere */
			memcpy(piece, input->data + at, end - at);
			times = end - at;
			replace(input, at, times, piece, 0);
			replace(input, random_place(random, input), 0, piece, times);
			break;
		case 5:					/* a part of another file */
			other = &corpus.items[random_below(random, corpus.count)];
			times = random_place(random, other);
			replace(input, at, end - at, other->data + times,
					random_below(random, (int) (other->len - times) + 1));
			break;
		default:				/* a token, inserted or instead of something */
			if (dictionary.count == 0)
				break;
			other = &dictionary.items[random_below(random, dictionary.count)];
			replace(input, at, random_below(random, 3) == 0 ? end - at : 0,
					other->data, other->len);
			break;
	}
}

int
main(int argc, char **argv)
{
	static uint8_t buffer[MAX_INPUT_LEN];
	long		count = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_COUNT;
	long		first = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
	const char *name = strrchr(argv[0], '/');

	name = name ? name + 1 : argv[0];
	target = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 10);
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(say_what_ran);

	read_dictionary();
	run_corpus();
	for (current = first; current < first + count; current++)
	{
		Random		random = {seed + (uint64_t) current * UINT64_C(0xd6e8feb86659fd93)};
		const Bytes *origin = &corpus.items[random_below(&random, corpus.count)];
		Bytes		input = {buffer, origin->len};
		int			steps;

		memcpy(buffer, origin->data, origin->len);
		for (steps = 1 + random_below(&random, 6); steps > 0; steps--)
			mutate(&random, &input);
		run_one(input.data, input.len);
	}
	printf("fuzz_%s: %d files, %d tokens, %ld mutations with seed %" PRIu64
		   ", slowest %.3f s: ok\n", target, corpus.count, dictionary.count,
		   count, seed, slowest);
	free_list(&corpus);
	free_list(&dictionary);
	return 0;
}
