/*-------------------------------------------------------------------------
 *
 * 05_gate.sql
 *	  What agents call.
 *
 * In pg_catalog, so that they are found under any search_path and nothing
 * can stand before them.
 *
 * Volatile and parallel unsafe, for each call is recorded.  Called on NULL,
 * for a strict function would answer NULL without a record.  They are no
 * SECURITY DEFINER functions: the library takes the owner's rights for its
 * own reads only.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION pg_catalog.claiim_check(
	agent text,
	action text,
	target text,
	token text DEFAULT NULL,
	session text DEFAULT NULL,
	context jsonb DEFAULT NULL,
	OUT outcome text,
	OUT reason text,
	OUT reason_code text,
	OUT rule text,
	OUT chron_id text,
	OUT anchor text,
	OUT org text,
	OUT policy text,
	OUT skill text,
	OUT baseline text,
	OUT session text,
	OUT decided_at timestamptz)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 10000
AS 'MODULE_PATHNAME', 'claiim_check';
COMMENT ON FUNCTION pg_catalog.claiim_check(text, text, text, text, text, jsonb) IS
'May this agent do this, now? One row, returned only after the decision is on disk in Chron: outcome (ALLOW or DENY), reason, reason_code, rule (the entry that decided), chron_id, and what governed it: anchor, org, policy, skill and baseline. If the agent''s identity is not proved the reason_code is identity_unproved, whatever the cause, and these are NULL. agent: at most 128 bytes; action: 256; target: 1024; token: the agent''s, unless its role or claiim_authenticate proves it; session: an approved session; context: what else to record. Call it as SELECT * FROM claiim_check(...). Errors: 22004 for NULL, 22023 for a malformed name, 55000 if claiim is not preloaded or not able to record.';

CREATE FUNCTION pg_catalog.claiim_check_many(
	agent text,
	actions text[],
	targets text[],
	token text DEFAULT NULL,
	session text DEFAULT NULL,
	context jsonb DEFAULT NULL,
	OUT outcome text,
	OUT reason text,
	OUT reason_code text,
	OUT rule text,
	OUT chron_id text,
	OUT anchor text,
	OUT org text,
	OUT policy text,
	OUT skill text,
	OUT baseline text,
	OUT session text,
	OUT decided_at timestamptz)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 10000 ROWS 10
AS 'MODULE_PATHNAME', 'claiim_check_many';
COMMENT ON FUNCTION pg_catalog.claiim_check_many(text, text[], text[], text, text, jsonb) IS
'Several questions of one agent in one round trip and one wait for the disk: the n-th action on the n-th target, at most 100. One row each, in their order, as claiim_check answers; each is a decision and a record of its own. Call it as SELECT * FROM claiim_check_many(...) WITH ORDINALITY. Errors: those of claiim_check, and then none is answered, though some may be recorded; 2202E if the arrays differ in length.';

CREATE FUNCTION pg_catalog.claiim_authenticate(agent text, token text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 1000
AS 'MODULE_PATHNAME', 'claiim_authenticate';
COMMENT ON FUNCTION pg_catalog.claiim_authenticate(text, text) IS
'Proves an agent''s identity until the transaction ends, or rolls back to a savepoint before this call: until then claiim_check needs no token. Errors: 22004 for NULL, 22023 for a malformed name, 28000, the same whatever the cause, if agent and token do not belong together or the token is not valid.';

CREATE FUNCTION pg_catalog.claiim_permissions(
	agent text,
	token text DEFAULT NULL,
	OUT action text,
	OUT target text,
	OUT condition text,
	OUT exceptions text[],
	OUT rule text,
	OUT policy text,
	OUT org text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 10000 ROWS 100
AS 'MODULE_PATHNAME', 'claiim_permissions';
COMMENT ON FUNCTION pg_catalog.claiim_permissions(text, text) IS
'All that an agent may do now; nothing is decided or recorded. A row says: every action that matches action, on every target that matches target and belongs to organization org, is allowed, but for those that match one of exceptions (action, or action on target). condition: session if only inside an approved session, or NULL. rule: the entry that allows it in general; policy: of which version. What no row allows is denied; no row: a NOTICE says why. For the agent, which proves its identity as to claiim_check, and for admins, approvers and auditors of its organization. Errors: 28000 for everybody else, be there such an agent or not; 54000 if it is too much to be listed; 22004 for NULL, 22023 for a malformed name, 55000 if claiim is not preloaded, 25006 on a standby.';

CREATE FUNCTION pg_catalog.claiim_version()
RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'claiim_version';
COMMENT ON FUNCTION pg_catalog.claiim_version() IS
'The version of claiim''s library.';
