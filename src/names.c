/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Bounds and form of the names that callers pass.
 *
 * What gets past here is valid UTF-8 of bounded length without control
 * characters, so that it can be recorded, hashed and read by a human as it
 * is.  The form of actions and targets is policy's business (policy.h).
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"
#include "compat.h"

#include "fmgr.h"
#include "text.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(claiim_name_check);
PG_FUNCTION_INFO_V1(claiim_pattern_check);

/*
 * Raises 22023 unless "value" can stand as the name of a "what".
 */
static void
check_name(const char *what, const char *value, size_t len, size_t max)
{
	size_t		at = text_ascii_run(value, len);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what)));
	if (len > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", what),
				 errdetail("It has %zu bytes; at most %zu are accepted.",
						   len, max)));
	if (claiim_has_token(value, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s contains a token", what),
				 errhint("Pass it as the argument \"token\"; everything else is recorded as it is.")));
	if (!text_is_trimmed(value, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not begin or end with white space", what)));
	while (at < len)
	{
		uint32_t	c;
		size_t		width = utf8_decode(value + at, len - at, &c);

		if (width == 0 || code_point_is_control(c))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s contains a control or invisible character, or is not valid UTF-8",
							what),
					 errdetail("The fault is at byte %zu.", at + 1)));
		at += width;
	}
}

/*
 * A text argument as a C string, checked; its length in *len.
 */
char *
claiim_text_arg(text *value, const char *what, size_t max, size_t *len)
{
	*len = VARSIZE_ANY_EXHDR(value);
	check_name(what, VARDATA_ANY(value), *len, max);
	return text_to_cstring(value);
}

/*
 * claiim._name_check(what text, value text, max int) -> void
 *
 * Errors: 22004 for NULL, 22023 as check_name.
 */
Datum
claiim_name_check(PG_FUNCTION_ARGS)
{
	char	   *what;
	size_t		len;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("what and max must not be null")));
	what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	(void) claiim_text_arg(PG_GETARG_TEXT_PP(1), what, PG_GETARG_INT32(2), &len);
	PG_RETURN_VOID();
}

/*
 * claiim._pattern_check(pattern text, separator "char") -> void
 *
 * Errors: 22004 for NULL, 22023 for what is not a pattern.
 */
Datum
claiim_pattern_check(PG_FUNCTION_ARGS)
{
	char	   *pattern;
	size_t		len;
	const char *why;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pattern must not be null")));
	pattern = claiim_text_arg(PG_GETARG_TEXT_PP(0), "pattern",
							  POLICY_MAX_PATTERN, &len);
	if (!pattern_check(pattern, len, PG_GETARG_CHAR(1), &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a pattern: %s", pattern, why),
				 errhint("Expected segments joined by \"%c\", each a name or \"*\", the last one also \"**\".",
						 PG_GETARG_CHAR(1))));
	PG_RETURN_VOID();
}
