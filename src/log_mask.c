/*-------------------------------------------------------------------------
 *
 * log_mask.c
 *	  No token in the server's log.
 *
 * A token should be bound as a parameter, and still the server writes it into
 * its log where it logs statements, their parameters, or the context of an
 * error.  This hook sees every message on its way there and overwrites what
 * is secret in it; the identifier stays, so that one can tell which token it
 * was.
 *
 * The statement that brought about a message is the server's own copy of the
 * query, still in use: it is not altered, but left out.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "tcop/tcopprot.h"

static emit_log_hook_type prev_emit_log = NULL;

static void
mask(const char *text)
{
	/* All of these are the message's own copies. */
	if (text != NULL)
		claiim_mask_tokens(unconstify(char *, text));
}

static void
mask_tokens(ErrorData *edata)
{
	if (edata->output_to_server)
	{
		mask(edata->message);
		mask(edata->detail);
		mask(edata->detail_log);
		mask(edata->hint);
		mask(edata->context);
		mask(edata->internalquery);
		if (debug_query_string != NULL && !edata->hide_stmt &&
			claiim_has_token(debug_query_string, strlen(debug_query_string)))
			edata->hide_stmt = true;
	}
	if (prev_emit_log)
		prev_emit_log(edata);
}

void
claiim_log_mask_init(void)
{
	prev_emit_log = emit_log_hook;
	emit_log_hook = mask_tokens;
}
