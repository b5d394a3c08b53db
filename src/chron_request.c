/*-------------------------------------------------------------------------
 *
 * chron_request.c
 *	  What the writer is asked to record: a slot, filled in by its caller.
 *
 * A record's own fields are encoded by who knows them (gate.c,
 * completion.c); here is what every request has in common.  The slot was
 * somebody else's before, so nothing in it may be left as it was found.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "utils/timestamp.h"

/* A request that hangs on nothing, and its encoder, without a field yet. */
void
chron_request_start(ChronRequest *request, ChronEncoder *enc)
{
	request->allow = false;
	request->token_id[0] = '\0';
	request->not_after = DT_NOEND;
	request->session[0] = '\0';
	request->max_uses = 0;
	request->completes = 0;
	request->used_up = false;
	request->sqlstate = 0;
	request->message[0] = '\0';
	chron_encode_start(enc, request->data, sizeof(request->data));
}

/*
 * The context's field: not the context itself, but a digest of it with a salt
 * of its own.  NULL: none.
 */
void
chron_request_context(ChronRequest *request, ChronEncoder *enc,
					  const char *context, size_t len)
{
	uint8		digest[CHRON_HASH_LEN];

	if (context == NULL)
		return;
	if (!pg_strong_random(request->salt, CHRON_SALT_LEN) ||
		!chron_context_digest(request->salt, (const uint8 *) context, len,
							  digest))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the digest of the context")));
	chron_encode_bytes(enc, CHRON_FIELD_CONTEXT_DIGEST, digest, CHRON_HASH_LEN);
}

/*
 * All fields are encoded; the context, if any, goes after them.
 *
 * Errors: 54000 if it is all too large, or not UTF-8.
 */
void
chron_request_end(ChronRequest *request, const ChronEncoder *enc,
				  const char *context, size_t len)
{
	if (enc->failed || enc->len + len > sizeof(request->data))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the decision is too large, or not valid UTF-8, and cannot be recorded")));
	request->nfields = enc->nfields;
	request->fields_len = enc->len;
	request->context_len = context ? len : 0;
	if (context != NULL)
		memcpy(request->data + enc->len, context, len);
}
