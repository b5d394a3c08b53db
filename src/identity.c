/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who is asking: a token, a bound database role, or a transaction that
 *	  authenticated before.
 *
 * None of the three outlives the transaction, so none can leak through a
 * pooler into the next client's.  A transaction's authentication is looked
 * at anew by every check: a token revoked meanwhile no longer counts.
 *
 * A token that is passed decides alone.  Falling back to the role when it is
 * wrong would turn a typing error into somebody's authority.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(claiim_authenticate);

/* This transaction's authentication, if any. */
static char authenticated_agent[CLAIIM_MAX_AGENT + 1] = "";
static char authenticated_token[CLAIIM_TOKEN_ID_LEN + 1];
static SubTransactionId authenticated_subid = InvalidSubTransactionId;

static void
forget(void)
{
	authenticated_agent[0] = '\0';
	authenticated_subid = InvalidSubTransactionId;
}

static void
identity_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			forget();
			break;
		default:
			break;
	}
}

/*
 * An authentication ends when any savepoint that it was made in is rolled
 * back.  On release it belongs to the parent.
 */
static void
identity_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
						  SubTransactionId parentSubid, void *arg)
{
	if (authenticated_subid != mySubid)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		authenticated_subid = parentSubid;
}

void
claiim_identity_init(void)
{
	RegisterXactCallback(identity_xact_callback, NULL);
	RegisterSubXactCallback(identity_subxact_callback, NULL);
}

/* What a token that is the right one proves. */
static IdentityResult
token_state(const TokenEntry *token, const char *agent, TimestampTz now)
{
	if (strcmp(token->agent, agent) != 0)
		return IDENTITY_TOKEN_OTHER_AGENT;
	if (token->revoked)
		return IDENTITY_TOKEN_REVOKED;
	if (token->expires_at <= now)
		return IDENTITY_TOKEN_EXPIRED;
	if (token->elsewhere)
		return IDENTITY_TOKEN_NETWORK;
	return IDENTITY_OK;
}

static IdentityResult
prove_by_token(const char *agent, const char *token, size_t len,
			   TimestampTz now, Identity *identity)
{
	char		token_id[CLAIIM_TOKEN_ID_LEN + 1];
	uint8		digest[CLAIIM_DIGEST_LEN];
	const TokenEntry *known;

	if (!claiim_token_split(token, len, token_id))
		return IDENTITY_TOKEN_MALFORMED;
	claiim_token_digest(token, len, digest);
	known = directory_token(token_id);
	if (known == NULL || !claiim_digest_equal(known->digest, digest))
		return IDENTITY_TOKEN_INVALID;
	identity->not_after = known->expires_at;
	strlcpy(identity->token_id, token_id, sizeof(identity->token_id));
	return token_state(known, agent, now);
}

static IdentityResult
prove_by_transaction(const char *agent, TimestampTz now, Identity *identity)
{
	const TokenEntry *known = directory_token(authenticated_token);

	strlcpy(identity->token_id, authenticated_token,
			sizeof(identity->token_id));
	if (known == NULL)
		return IDENTITY_TOKEN_INVALID;
	identity->not_after = known->expires_at;
	return token_state(known, agent, now);
}

/*
 * Prove that the caller is "agent".  entry: from the directory, or NULL if
 * there is no such agent.  token: as passed, or NULL.  now: when that is.
 *
 * That there is no such agent is looked at last: a token is digested, looked
 * up and compared all the same, so that the time which that takes (and an
 * error for want of the secret) does not tell an agent's name from another.
 */
void
identity_prove(const AgentEntry *entry, const char *agent, const char *token,
			   size_t token_len, TimestampTz now, Identity *identity)
{
	const char *auth;

	identity->token_id[0] = '\0';
	identity->not_after = DT_NOEND;
	if (token != NULL)
	{
		auth = "token";
		identity->result = prove_by_token(agent, token, token_len, now, identity);
	}
	else if (strcmp(authenticated_agent, agent) == 0)
	{
		auth = "transaction";
		identity->result = prove_by_transaction(agent, now, identity);
	}
	else
	{
		auth = "role";
		identity->result = entry != NULL && entry->role_name != NULL &&
			strcmp(entry->role_name, claiim_session_user_name()) == 0 ?
			IDENTITY_OK : IDENTITY_ROLE_MISMATCH;
	}
	if (entry == NULL)
		identity->result = IDENTITY_AGENT_UNKNOWN;
	identity->auth = identity->result == IDENTITY_OK ? auth : NULL;
}

/*
 * Raises 28000 unless the identity is proved.  One message for all causes, so
 * that it tells nothing apart.
 */
void
identity_require(Identity *identity)
{
	if (identity->result != IDENTITY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("authentication of the agent failed"),
				 errhint("Check the agent's name, its token and the token's lifetime, or the database role that you logged in with.")));
}

/*
 * claiim_authenticate(agent text, token text) -> void
 *
 * Until this transaction ends, or rolls back to a savepoint before this
 * call, checks of "agent" need no token.
 *
 * Errors: 22004 for NULL; 22023 for a malformed name; 28000 if the agent is
 * not known or the token is not its own or no longer valid (one message for
 * all, so that it tells nothing apart).
 */
Datum
claiim_authenticate(PG_FUNCTION_ARGS)
{
	char	   *agent;
	char	   *token;
	size_t		agent_len;
	size_t		token_len;
	ClaiimDatabase *db;
	AgentEntry *entry;
	Identity	identity;
	ErrorContextCallback callback;

	claiim_hide_statement(&callback);
	claiim_require_preload();
	claiim_refuse_governing("claiim_authenticate");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("agent and token must not be null")));
	agent = claiim_text_arg(PG_GETARG_TEXT_PP(0), "agent", CLAIIM_MAX_AGENT,
							&agent_len);
	token = text_to_cstring(PG_GETARG_TEXT_PP(1));
	token_len = strlen(token);

	forget();
	db = claiim_my_database();
	entry = directory_agent(agent, pg_atomic_read_u64(&db->epoch));
	identity_prove(entry, agent, token, token_len, GetCurrentTimestamp(),
				   &identity);
	identity_require(&identity);

	strlcpy(authenticated_agent, agent, sizeof(authenticated_agent));
	strlcpy(authenticated_token, identity.token_id,
			sizeof(authenticated_token));
	authenticated_subid = GetCurrentSubTransactionId();
	error_context_stack = callback.previous;
	PG_RETURN_VOID();
}
