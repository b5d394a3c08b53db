/*-------------------------------------------------------------------------
 *
 * fuzz_space.c
 *	  Any two policies, one above and one below a line "%%", as what governs
 *	  an agent before and after: whatever they are, the lines of what the agent
 *	  may do, and of what changes, tell the truth about the names that their
 *	  entries speak of.
 *
 * Above a line "%" is a baseline, which holds for both.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "policy_space.h"

#include "../unit/space_truth.h"

#define MUST(condition) \
	((condition) ? (void) 0 : must_hold(#condition, __LINE__))

/* Patterns of which names are made, and tried in every pairing. */
#define MAX_PROBES	14

/* A list takes memory in proportion to what it is made of, or is refused. */
#define MEMORY		(4 * 1024 * 1024)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Probes
{
	int			nactions;
	char		actions[MAX_PROBES][POLICY_MAX_PATTERN + 8];
	int			ntargets;
	char		targets[MAX_PROBES][POLICY_MAX_PATTERN + 8];
} Probes;

static void
must_hold(const char *condition, int line)
{
	fprintf(stderr, "fuzz_space.c:%d: does not hold: %s\n", line, condition);
	abort();
}

/* A name that a pattern matches; "**" is "nrest" segments. */
static void
name_of(const char *pattern, char separator, int nrest, char *name)
{
	for (; *pattern != '\0'; pattern++)
	{
		if (strcmp(pattern, "**") == 0)
		{
			for (; nrest > 0; nrest--)
			{
				*name++ = 'x';
				*name++ = separator;
			}
			name--;
			break;
		}
		*name++ = *pattern == '*' ? 'x' : *pattern;
	}
	*name = '\0';
}

static void
add_probes(const PolicyDocument *doc, Probes *probes)
{
	int			i;

	for (i = 0; i < doc->nentries; i++)
	{
		const PolicyEntry *entry = &doc->entries[i];
		bool		rest = strstr(entry->action, "**") != NULL;
		int			nrest;

		for (nrest = 1; nrest <= (rest ? 3 : 1); nrest++)
			if (probes->nactions < MAX_PROBES)
				name_of(entry->action, ':', nrest,
						probes->actions[probes->nactions++]);
		if (entry->target != NULL && probes->ntargets < MAX_PROBES)
			name_of(entry->target, '/', 1 + i % 3,
					probes->targets[probes->ntargets++]);
	}
}

static const PolicyProgram *
program_of(Arena *arena, const char *source, size_t len, Probes *probes)
{
	PolicyError error;
	PolicyDocument *doc = policy_parse(arena, source, len, &error);

	if (doc == NULL)
		return NULL;
	add_probes(doc, probes);
	return policy_compile(arena, doc, &error);
}

static void
try_sides(const DecisionInput *before, const DecisionInput *after,
		  const Probes *probes)
{
	Arena	   *arena = arena_create(MEMORY);
	PolicySpace space;
	int			i;
	int			j;

	if (policy_space(arena, before, after, &space))
		for (i = 0; i < probes->nactions; i++)
			for (j = 0; j < probes->ntargets; j++)
			{
				SpaceVerdict truth[2];

				truth[0] = truth[1] = truth_of(before, probes->actions[i],
											   probes->targets[j]);
				if (after != NULL)
					truth[1] = truth_of(after, probes->actions[i],
										probes->targets[j]);
				MUST(lines_tell(&space, probes->actions[i],
								probes->targets[j], truth,
								after != NULL ? truth[0] != truth[1] :
								truth[0] != SPACE_DENY));
			}
	arena_destroy(arena);
}

/* Cuts what is before a line off the text; all of it if there is none. */
static size_t
cut(const char **text, size_t *len, const char *line)
{
	size_t		line_len = strlen(line);
	const char *begin = *text;
	size_t		i;

	for (i = 0; i + line_len <= *len; i++)
		if (memcmp(begin + i, line, line_len) == 0)
		{
			*text = begin + i + line_len;
			*len -= i + line_len;
			return i + 1;
		}
	*text = begin + *len;
	i = *len;
	*len = 0;
	return i;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *skill_source = size % 2 == 0 ? "actions: ['**']" :
		"actions: ['a:**', 'b:*', '*:c', x]";
	static Probes probes;
	const char *text = (const char *) data;
	size_t		len = size;
	const char *sources[3];
	size_t		lens[3];
	Arena	   *arena = arena_create(0);
	PolicyError error;
	SkillDocument *doc = skill_parse(arena, skill_source,
									 strlen(skill_source), &error);
	NamedSkill	skill = {"s-v1", true, skill_compile(arena, doc, &error)};
	NamedPolicy baseline = {"b-v1", NULL};
	NamedPolicy policies[2] = {{"p-v1", NULL}, {"p-v2", NULL}};
	DecisionInput inputs[2];
	int			i;

	memset(&probes, 0, sizeof(probes));
	strcpy(probes.targets[probes.ntargets++], "t");
	strcpy(probes.actions[probes.nactions++], "x");
	sources[0] = text;
	lens[0] = cut(&text, &len, "\n%\n");
	sources[1] = text;
	lens[1] = cut(&text, &len, "\n%%\n");
	sources[2] = text;
	lens[2] = len;

	baseline.program = program_of(arena, sources[0], lens[0], &probes);
	for (i = 0; i < 2; i++)
	{
		DecisionInput *input = &inputs[i];

		memset(input, 0, sizeof(*input));
		input->identity = IDENTITY_OK;
		input->agent = "a";
		input->agent_status = AGENT_ACTIVE;
		input->org = "o";
		input->anchor = "h";
		input->anchor_active = true;
		input->nskills = 1;
		input->skills = &skill;
		policies[i].program = program_of(arena, sources[i + 1], lens[i + 1],
										 &probes);
		input->policy = policies[i].program != NULL ? &policies[i] : NULL;
		input->nbaselines = baseline.program != NULL;
		input->baselines = &baseline;
	}
	try_sides(&inputs[0], NULL, &probes);
	try_sides(&inputs[0], &inputs[1], &probes);
	arena_destroy(arena);
	return 0;
}
