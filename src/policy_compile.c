/*-------------------------------------------------------------------------
 *
 * policy_compile.c
 *	  Documents to programs that are fast to evaluate and never change.
 *
 * A program groups the entries of each list by their action.  One set of
 * patterns finds the groups that match an action, another, with a root for
 * each group, the entries of it that match a target.  So evaluation costs
 * what two walks along the name's segments cost, not what the list is long.
 *
 * That holds as long as the wildcards stand in few different places (see
 * policy_pattern_set.c); a document in which they stand in more than
 * POLICY_MAX_FORMS is refused.  Documents written for people have a dozen.
 *
 *-------------------------------------------------------------------------
 */
#include "policy_private.h"

#include <string.h>

/* The different forms seen so far, each of an action and its target. */
typedef struct FormSet
{
	int			count;
	uint64_t	forms[POLICY_MAX_FORMS];
} FormSet;

/* False if this form is one too many. */
static bool
take_form(FormSet *set, uint64_t form)
{
	int			i;

	for (i = 0; i < set->count; i++)
		if (set->forms[i] == form)
			return true;
	if (set->count == POLICY_MAX_FORMS)
		return false;
	set->forms[set->count++] = form;
	return true;
}

static bool
too_many_forms(PolicyError *error, int line, int column)
{
	return policy_fail(error, line, column,
					   "at most 128 different arrangements in a document",
					   "wildcards stand in too many different arrangements");
}

/* The group of a list's entries with this action, made if there is none. */
static ActionGroup *
find_group(PolicyProgram *program, PolicyList list, const char *action)
{
	int			root = LIST_ROOT(list);
	int			i = pattern_set_find_in(program->actions, root, action);
	ActionGroup *group;

	if (i >= 0)
		return &program->groups[i];
	if (!pattern_set_add_in(program->actions, root, action, program->ngroups))
		return NULL;
	group = &program->groups[program->ngroups++];
	group->any_target = -1;
	group->targets = -1;
	return group;
}

/*
 * Adds entry i to its group.  The parser has refused entries that are there
 * twice, so what fails is memory.
 */
static bool
add_entry(Arena *arena, PolicyProgram *program, int i)
{
	const PolicyEntry *entry = &program->entries[i];
	ActionGroup *group = find_group(program, entry->list, entry->action);

	if (group == NULL)
		return false;
	if (entry->target == NULL)
	{
		group->any_target = i;
		return true;
	}
	if (program->targets == NULL)
	{
		program->targets = pattern_set_create(arena, '/');
		if (program->targets == NULL)
			return false;
	}
	if (group->targets < 0)
		group->targets = pattern_set_new_root(program->targets);
	return group->targets >= 0 &&
		pattern_set_add_in(program->targets, group->targets, entry->target, i);
}

static const char *
copy_string(Arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

/* Everything of the document that the program needs, in its own arena. */
static PolicyProgram *
copy_document(Arena *arena, const PolicyDocument *doc)
{
	PolicyProgram *program = arena_alloc(arena, sizeof(PolicyProgram));
	int			i;

	if (program == NULL)
		return NULL;
	program->skills = arena_alloc(arena, doc->nskills * sizeof(char *));
	program->entries = arena_alloc(arena, doc->nentries * sizeof(PolicyEntry));
	program->groups = arena_alloc(arena, doc->nentries * sizeof(ActionGroup));
	if (program->skills == NULL || program->entries == NULL ||
		program->groups == NULL)
		return NULL;
	program->nskills = doc->nskills;
	program->has_allow = doc->has_allow;
	program->nentries = doc->nentries;
	for (i = 0; i < doc->nskills; i++)
	{
		program->skills[i] = copy_string(arena, doc->skills[i]);
		if (program->skills[i] == NULL)
			return NULL;
	}
	for (i = 0; i < doc->nentries; i++)
	{
		PolicyEntry *entry = &program->entries[i];

		*entry = doc->entries[i];
		entry->action = copy_string(arena, entry->action);
		if (entry->target != NULL)
		{
			entry->target = copy_string(arena, entry->target);
			if (entry->target == NULL)
				return NULL;
		}
		if (entry->action == NULL)
			return NULL;
	}
	return program;
}

PolicyProgram *
policy_compile(Arena *arena, const PolicyDocument *doc, PolicyError *error)
{
	PolicyProgram *program = copy_document(arena, doc);
	FormSet		forms;
	int			i;

	memset(error, 0, sizeof(*error));
	forms.count = 0;
	if (program != NULL)
		program->actions = pattern_set_create(arena, ':');
	/* Root 0 is there already; the other list gets the next. */
	if (program == NULL || program->actions == NULL ||
		pattern_set_new_root(program->actions) != LIST_ROOT(POLICY_LIST_DENY))
	{
		policy_out_of_memory(error);
		return NULL;
	}
	for (i = 0; i < doc->nentries; i++)
	{
		const PolicyEntry *entry = &program->entries[i];
		uint64_t	form = pattern_form(entry->action, ':');

		if (entry->target != NULL)
			form |= (uint64_t) pattern_form(entry->target, '/') << 32;
		if (!take_form(&forms, form))
		{
			too_many_forms(error, entry->line, entry->column);
			return NULL;
		}
		if (!add_entry(arena, program, i))
		{
			policy_out_of_memory(error);
			return NULL;
		}
	}
	return program;
}

SkillProgram *
skill_compile(Arena *arena, const SkillDocument *doc, PolicyError *error)
{
	SkillProgram *program = arena_alloc(arena, sizeof(SkillProgram));
	FormSet		forms;
	int			i;

	memset(error, 0, sizeof(*error));
	forms.count = 0;
	if (program != NULL)
	{
		program->actions = pattern_set_create(arena, ':');
		program->patterns = arena_alloc(arena, doc->nactions * sizeof(char *));
	}
	if (program == NULL || program->actions == NULL ||
		program->patterns == NULL)
	{
		policy_out_of_memory(error);
		return NULL;
	}
	program->npatterns = doc->nactions;
	for (i = 0; i < doc->nactions; i++)
	{
		program->patterns[i] = copy_string(arena, doc->actions[i]);
		if (!take_form(&forms, pattern_form(doc->actions[i], ':')))
		{
			too_many_forms(error, doc->action_lines[i], doc->action_columns[i]);
			return NULL;
		}
		if (program->patterns[i] == NULL ||
			!pattern_set_add(program->actions, doc->actions[i], i))
		{
			policy_out_of_memory(error);
			return NULL;
		}
	}
	return program;
}

int
policy_program_nskills(const PolicyProgram *program)
{
	return program->nskills;
}

const char *
policy_program_skill(const PolicyProgram *program, int i)
{
	return program->skills[i];
}

bool
policy_program_has_allow(const PolicyProgram *program)
{
	return program->has_allow;
}
