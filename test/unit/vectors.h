/*-------------------------------------------------------------------------
 *
 * vectors.h
 *	  Public test vectors for the unit tests: finding their files, and just
 *	  enough of a JSON reader for them.
 *
 * They are not part of the project: ../shared/vectors from its root, or the
 * directory that CLAIIM_VECTORS names.  Where they are absent, tests skip.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TEST_VECTORS_H
#define CLAIIM_TEST_VECTORS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A whole file of vectors, to be freed, or NULL. */
static inline char *
vectors_read(const char *name)
{
	const char *directory = getenv("CLAIIM_VECTORS");
	char		path[1024];
	FILE	   *file;
	char	   *text;
	size_t		size = 1024 * 1024;
	size_t		len;

	snprintf(path, sizeof(path), "%s/%s",
			 directory != NULL ? directory : "../shared/vectors", name);
	file = fopen(path, "rb");
	if (file == NULL)
		return NULL;
	text = malloc(size);
	len = text != NULL ? fread(text, 1, size - 1, file) : 0;
	fclose(file);
	if (text != NULL)
		text[len] = '\0';
	return text;
}

/*
 * The string that belongs to the next "key" after *at, which then points
 * behind it.  Strings with escapes are none of these vectors', and end the
 * process rather than be misread.
 */
static inline bool
vectors_next(const char **at, const char *key, char *out, size_t size)
{
	char		quoted[64];
	const char *found;
	size_t		len;

	snprintf(quoted, sizeof(quoted), "\"%s\": \"", key);
	found = strstr(*at, quoted);
	if (found == NULL)
		return false;
	found += strlen(quoted);
	len = strcspn(found, "\"\\");
	if (found[len] != '"' || len >= size)
		abort();
	memcpy(out, found, len);
	out[len] = '\0';
	*at = found + len + 1;
	return true;
}

#endif							/* CLAIIM_TEST_VECTORS_H */
