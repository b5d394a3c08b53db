/*-------------------------------------------------------------------------
 *
 * 04_internal.sql
 *	  What the library lends to the functions of this script.
 *
 * Names that begin with an underscore are internal: nobody is granted them,
 * and they may change with any version.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._act(act text, actor text, org text, subject text,
							change text, detail jsonb)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT
AS 'MODULE_PATHNAME', 'claiim_act';
COMMENT ON FUNCTION claiim._act(text, text, text, text, text, jsonb) IS
'Records a governance act, to stand in Chron if this transaction commits, and from here to the transaction''s end permits changes to the governed tables. act: noun.verb; actor: the human, null if none; org, subject, change: null if none; detail: what an auditor needs, never a secret. Every governance function calls this before its first change.';

CREATE FUNCTION claiim._guard_governed() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_guard_governed';
COMMENT ON FUNCTION claiim._guard_governed() IS
'Trigger: refuses changes to a governed table, by whomever, unless the transaction has recorded an act (claiim._act).';

CREATE FUNCTION claiim._guard_chron() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_guard_chron';
COMMENT ON FUNCTION claiim._guard_chron() IS
'Trigger: refuses every change to Chron, by whomever, except by its writer.';

CREATE FUNCTION claiim._typeid(prefix text) RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'claiim_typeid';
COMMENT ON FUNCTION claiim._typeid(text) IS
'A new TypeID: prefix, underscore, 26 characters over a UUIDv7.';

CREATE FUNCTION claiim._new_token(OUT token_id text, OUT token text, OUT digest bytea)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_new_token';
COMMENT ON FUNCTION claiim._new_token() IS
'A new token: its identifier, the token itself, and its keyed digest. Errors: F0000 if the secret that claiim.token_secret_file names cannot be used.';

CREATE FUNCTION claiim._policy_check(source text, org text) RETURNS text[]
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_policy_check';
COMMENT ON FUNCTION claiim._policy_check(text, text) IS
'The skill versions that a policy document of this organization names. Errors: 22023 with line and column if it is not one, if a skill is not of this organization or one above it, if an allow entry lies outside its skills, or if one of its own tests fails; 22004 for NULL.';

CREATE FUNCTION claiim._skill_check(source text) RETURNS text[]
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_skill_check';
COMMENT ON FUNCTION claiim._skill_check(text) IS
'The action patterns of a skill document. Errors: 22023 with line and column if it is not one; 22004 for NULL.';

CREATE FUNCTION claiim._pattern_check(pattern text, separator "char") RETURNS void
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'claiim_pattern_check';
COMMENT ON FUNCTION claiim._pattern_check(text, "char") IS
'Checks a pattern of segments joined by separator (: in actions, / in targets). Errors: 22004 for NULL, 22023 if it is not one.';

CREATE FUNCTION claiim._name_check(what text, value text, max integer) RETURNS void
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'claiim_name_check';
COMMENT ON FUNCTION claiim._name_check(text, text, integer) IS
'Checks a text that will be recorded: at most max bytes, not empty, no space at its ends, no control characters. what: how errors call it. Errors: 22004 for NULL, 22023.';

CREATE FUNCTION claiim._begin_governing() RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_begin_governing';
COMMENT ON FUNCTION claiim._begin_governing() IS
'From here to the transaction''s end: it cannot be prepared (0A000), and it does not sit idle for longer than 30 seconds, for it holds what others wait for.';

CREATE FUNCTION claiim._require_direct(what text, id text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_require_direct';
COMMENT ON FUNCTION claiim._require_direct(text, text) IS
'Returns if the function of claiim that is running was called by the client''s own statement, and that statement runs nothing but claiim''s and PostgreSQL''s own; or if a superuser logged in. what, id: the function''s name (NULL: the one that was called) and first argument, for the error. Errors: 42501.';

CREATE FUNCTION claiim._clear_way(relation regclass, "row" tid) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'claiim_clear_way';
COMMENT ON FUNCTION claiim._clear_way(regclass, tid) IS
'Waits for the transactions that hold a lock on a row, or have changed it, for as long as lock_timeout says, or a second; then ends their sessions, with a WARNING. Errors: 55P03 if it is a prepared transaction that holds it, or a session that does not end.';

CREATE FUNCTION claiim._serialize(what text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'claiim_serialize';
COMMENT ON FUNCTION claiim._serialize(text) IS
'Until the transaction ends, whoever calls this with the same argument waits.';
