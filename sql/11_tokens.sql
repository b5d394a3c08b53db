/*-------------------------------------------------------------------------
 *
 * 11_tokens.sql
 *	  Tokens: issued, rotated and revoked by one human, for agents that two
 *	  have registered.
 *
 * A token is shown once, by the function that makes it; the table keeps a
 * keyed digest (token.c).  No function takes a token: they go by its
 * identifier, and an error does not repeat what was passed in its place, for
 * that may be the token itself.
 *
 *-------------------------------------------------------------------------
 */

/* When each was last used: by the writer, of what it has recorded */

CREATE TABLE claiim.token_uses
(
	token		text PRIMARY KEY,
	last_used_at timestamptz NOT NULL
);
COMMENT ON TABLE claiim.token_uses IS 'When each token was last used; the writer brings it up to date once a minute. No foreign key: the writer must not wait for who has locked a token''s row.';
COMMENT ON COLUMN claiim.token_uses.token IS 'The token''s identifier';
COMMENT ON COLUMN claiim.token_uses.last_used_at IS 'When the last decision was made for who had proved an identity by it';
SELECT pg_catalog.pg_extension_config_dump('claiim.token_uses', '');

ALTER TABLE claiim.token_uses ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.token_uses FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.tokens t WHERE t.token = token_uses.token));
COMMENT ON POLICY claiim_read ON claiim.token_uses IS 'Those of visible tokens';

/* Issuing */

CREATE FUNCTION claiim._networks(networks cidr[]) RETURNS cidr[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF array_position(networks, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'networks must not contain nulls'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF cardinality(networks) = 0 THEN
		RAISE EXCEPTION 'a token must be valid somewhere'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected networks such as {10.1.0.0/16,2001:db8::/32}, or NULL for a token that is valid anywhere.';
	END IF;
	IF cardinality(networks) > 100 THEN
		RAISE EXCEPTION 'too many networks'
			USING ERRCODE = 'program_limit_exceeded',
				  DETAIL = format('There are %s; at most 100 are accepted.', cardinality(networks));
	END IF;
	/* A server that listens on IPv6 sees a client from 10.1.2.3 as ::ffff:10.1.2.3. */
	RETURN (
		SELECT array_agg(DISTINCT x.network ORDER BY x.network)
		FROM (SELECT CASE
				WHEN family(n) = 6 AND n <<= '::ffff:0.0.0.0/96'
				THEN format('%s/%s', substr(host(n), length('::ffff:') + 1), masklen(n) - 96)::cidr
				ELSE n END
			  FROM unnest(networks) n) AS x (network));
END
$$;
COMMENT ON FUNCTION claiim._networks(cidr[]) IS
'The networks of a token, sorted, each once, IPv4-mapped ones as the IPv4 networks that they are; NULL for NULL. Errors: 22004 for a null among them, 22023 for none, 54000 for more than 100.';

CREATE FUNCTION claiim._make_token(act text, actor text, org text, t claiim.tokens,
								   detail jsonb,
								   OUT token_id text, OUT token text,
								   OUT expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT n.token_id, n.token, n.digest INTO STRICT token_id, token, t.digest
	FROM claiim._new_token() n;
	t.token := token_id;
	t.issued_by := actor;
	expires_at := t.expires_at;
	PERFORM claiim._act(act, actor, org, t.agent, NULL,
		jsonb_build_object('token', t.token, 'label', t.label,
						   'networks', t.networks,
						   'expires_at', claiim._utc(t.expires_at)) || detail);
	INSERT INTO claiim.tokens SELECT t.*;
END
$$;
COMMENT ON FUNCTION claiim._make_token(text, text, text, claiim.tokens, jsonb) IS
'Makes the token whose agent, label, networks, times and predecessor t gives, and records it as this act, with detail. Errors: F0000 if the secret that claiim.token_secret_file names cannot be used.';

CREATE FUNCTION claiim._valid_until(moment timestamptz, valid_for interval)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result timestamptz := moment + valid_for;
BEGIN
	IF NOT isfinite(result) OR result <= moment THEN
		RAISE EXCEPTION 'a token must be valid for some time'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected an interval such as 90 days, or NULL for a token that does not expire.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION claiim._valid_until(timestamptz, interval) IS
'When a token of this moment that is valid for so long expires; NULL for NULL. Errors: 22023 unless that is later, and some time.';

CREATE FUNCTION claiim.issue_token(agent text, valid_for interval DEFAULT NULL,
								   label text DEFAULT NULL,
								   networks cidr[] DEFAULT NULL,
								   OUT token_id text, OUT token text,
								   OUT expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	org text := claiim._agent_org(agent);
	t claiim.tokens;
BEGIN
	/* Whoever could have it issued in another's name would keep it. */
	PERFORM claiim._require_direct(NULL, NULL);
	PERFORM claiim._require(me, 'admin', org);
	PERFORM claiim._check_not_retired(claiim._agent_for(agent, false));
	IF label IS NOT NULL THEN
		PERFORM claiim._check_text('label', label, 200);
	END IF;
	t.agent := agent;
	t.label := label;
	t.networks := claiim._networks(networks);
	t.issued_at := clock_timestamp();
	t.expires_at := claiim._valid_until(t.issued_at, valid_for);
	SELECT n.* INTO STRICT token_id, token, expires_at
	FROM claiim._make_token('token.issue', me, org, t, '{}') n;
END
$$;
COMMENT ON FUNCTION claiim.issue_token(text, interval, text, cidr[]) IS
'Issues a token with which an agent proves its identity: token is shown this once and kept nowhere; token_id, which is no secret, names it. valid_for NULL: it does not expire. networks: its bearer must connect from one of these, over TCP; NULL: from anywhere. Call it as SELECT * FROM claiim.issue_token(...). Errors: 42501 without the admin capability in the agent''s organization, and for a call from a function or a view; 55000 if the agent is retired; 22004, 22023, 54000; 22P02 for a network with bits to the right of its mask; F0000 if claiim.token_secret_file cannot be used.';

/* Rotating and revoking */

CREATE FUNCTION claiim._token_of(actor text, token_id text) RETURNS claiim.tokens
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t claiim.tokens;
BEGIN
	PERFORM claiim._check_text('token identifier', token_id, 128);
	SELECT x.* INTO t FROM claiim.tokens x
		JOIN claiim.agents a ON a.agent = x.agent
	WHERE x.token = _token_of.token_id AND claiim._may(actor, 'admin', a.org);
	IF NOT FOUND THEN
		/* Does not repeat what was passed: it may be the token itself. */
		RAISE EXCEPTION 'there is no such token that human "%" administers', actor
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Expected the identifier of a token (ctk_ and 26 characters) of an agent in an organization where you hold the admin capability.';
	END IF;
	PERFORM claiim._require(actor, 'admin', (SELECT a.org FROM claiim.agents a WHERE a.agent = t.agent));
	RETURN t;
END
$$;
COMMENT ON FUNCTION claiim._token_of(text, text) IS
'A token of an agent that a human administers, not locked. Errors: 42501, the same for a token that does not exist and for another organization''s; 22004, 22023.';

CREATE FUNCTION claiim._rotate_token(old_token text, overlap interval, valid_for interval,
									 OUT token_id text, OUT token text,
									 OUT expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	old claiim.tokens := claiim._token_of(me, old_token);
	a claiim.agents := claiim._agent_for(old.agent, false);
	successor claiim.tokens;
	moment timestamptz;
	ends_at timestamptz;
BEGIN
	PERFORM claiim._require_direct(NULL, NULL);
	PERFORM claiim._check_not_retired(a);

	SELECT x.* INTO STRICT old FROM claiim.tokens x
	WHERE x.token = old.token
	FOR NO KEY UPDATE;
	moment := clock_timestamp();
	IF old.revoked_at IS NOT NULL THEN
		RAISE EXCEPTION 'token % is revoked', old.token
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Issue a new one: claiim.issue_token().';
	END IF;
	SELECT x.* INTO successor FROM claiim.tokens x WHERE x.replaces = old.token;
	IF FOUND THEN
		RAISE EXCEPTION 'token % has been rotated already', old.token
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = format('Token %s took its place.', successor.token),
				  HINT = 'Rotate that one.';
	END IF;
	IF old.expires_at <= moment THEN
		RAISE EXCEPTION 'token % has expired', old.token
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Issue a new one: claiim.issue_token().';
	END IF;

	IF overlap IS NULL THEN
		RAISE EXCEPTION 'overlap must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	ends_at := moment + overlap;
	IF NOT isfinite(ends_at) OR ends_at < moment THEN
		RAISE EXCEPTION 'the overlap must not be negative or without an end'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected an interval such as 1 hour, or 0 for a token that is not valid from now on.';
	END IF;
	ends_at := least(old.expires_at, ends_at);

	successor.agent := old.agent;
	successor.label := old.label;
	successor.networks := old.networks;
	successor.replaces := old.token;
	successor.issued_at := moment;
	successor.expires_at := CASE WHEN valid_for IS NULL
		THEN moment + (old.expires_at - old.issued_at)
		ELSE claiim._valid_until(moment, valid_for) END;
	SELECT n.* INTO STRICT token_id, token, expires_at
	FROM claiim._make_token('token.rotate', me, a.org, successor,
		jsonb_build_object('replaces', old.token,
						   'replaced_expires_at', claiim._utc(ends_at))) n;
	UPDATE claiim.tokens x SET expires_at = ends_at WHERE x.token = old.token;
END
$$;
COMMENT ON FUNCTION claiim._rotate_token(text, interval, interval) IS
'What claiim.rotate_token does.';

/* In SQL, where an argument and a result may have the same name. */
CREATE FUNCTION claiim.rotate_token(token_id text, overlap interval DEFAULT '1 hour',
									valid_for interval DEFAULT NULL,
									OUT token_id text, OUT token text,
									OUT expires_at timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.token_id, n.token, n.expires_at FROM claiim._rotate_token($1, $2, $3) n;
$$;
COMMENT ON FUNCTION claiim.rotate_token(text, interval, interval) IS
'Issues a token in the place of another, with its label and networks, and shows it this once, as claiim.issue_token does. The old one, which token_id names, stays valid for the overlap, but no longer than it would have been; 0: it is not valid from now on. valid_for NULL: as long as the old one was issued for. Call it as SELECT * FROM claiim.rotate_token(...). Errors: 42501, the same for a token that does not exist and for another organization''s, and for a call from a function or a view; 55000 if it is revoked, has expired or been rotated, or its agent is retired; 22004, 22023; F0000 if claiim.token_secret_file cannot be used.';

CREATE FUNCTION claiim.revoke_token(token_id text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	t claiim.tokens := claiim._token_of(me, token_id);
BEGIN
	PERFORM claiim._check_text('reason', reason, 1000);
	t := claiim._seize_token(t.token);
	IF t.revoked_at IS NOT NULL THEN
		RAISE EXCEPTION 'token % is already revoked', t.token
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._act('token.revoke', me,
						(SELECT a.org FROM claiim.agents a WHERE a.agent = t.agent),
						t.agent, NULL,
						jsonb_build_object('token', t.token, 'reason', reason));
	UPDATE claiim.tokens x
	SET revoked_at = clock_timestamp(), revoked_by = me
	WHERE x.token = t.token;
END
$$;
COMMENT ON FUNCTION claiim.revoke_token(text, text) IS
'A token proves nothing from now on. token_id: its identifier, not the token. One that took its place by rotation stays valid. Errors: 42501, the same for a token that does not exist and for another organization''s; 55000 if it is revoked already; 22004, 22023.';

/* Listing */

CREATE VIEW claiim.token_registry WITH (security_invoker) AS
	SELECT t.token AS token_id, t.agent, a.org, t.label,
		CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'
			WHEN t.expires_at <= clock_timestamp() THEN 'expired'
			WHEN n.token IS NOT NULL THEN 'rotated'
			ELSE 'valid' END AS status,
		t.expires_at,
		(SELECT u.last_used_at FROM claiim.token_uses u
		 WHERE u.token = t.token) AS last_used_at,
		t.networks, t.issued_by, t.issued_at, t.replaces,
		n.token AS rotated_to, n.issued_by AS rotated_by, n.issued_at AS rotated_at,
		t.revoked_by, t.revoked_at
	FROM claiim.tokens t
		JOIN claiim.agents a ON a.agent = t.agent
		LEFT JOIN claiim.tokens n ON n.replaces = t.token;
COMMENT ON VIEW claiim.token_registry IS 'Tokens of agents, in the organizations where you are admin, approver or auditor. The tokens themselves are nowhere.';
COMMENT ON COLUMN claiim.token_registry.token_id IS 'The token''s identifier, for claiim.rotate_token and claiim.revoke_token';
COMMENT ON COLUMN claiim.token_registry.agent IS 'The agent that it proves to be';
COMMENT ON COLUMN claiim.token_registry.org IS 'The agent''s organization';
COMMENT ON COLUMN claiim.token_registry.label IS 'What it was issued for';
COMMENT ON COLUMN claiim.token_registry.status IS 'valid; rotated (valid until expires_at, and another has taken its place); expired; or revoked';
COMMENT ON COLUMN claiim.token_registry.expires_at IS 'From when it is no longer valid; null: it does not expire';
COMMENT ON COLUMN claiim.token_registry.last_used_at IS 'When a decision was last made for who proved an identity by it; up to a minute late, and older still after a crash. Chron has every use';
COMMENT ON COLUMN claiim.token_registry.networks IS 'The networks that its bearer must connect from; null: anywhere';
COMMENT ON COLUMN claiim.token_registry.issued_by IS 'The human who issued it, or who made it by rotating another';
COMMENT ON COLUMN claiim.token_registry.issued_at IS 'When';
COMMENT ON COLUMN claiim.token_registry.replaces IS 'The token of which it took the place';
COMMENT ON COLUMN claiim.token_registry.rotated_to IS 'The token that took its place; null if it was not rotated';
COMMENT ON COLUMN claiim.token_registry.rotated_by IS 'The human who rotated it';
COMMENT ON COLUMN claiim.token_registry.rotated_at IS 'When';
COMMENT ON COLUMN claiim.token_registry.revoked_by IS 'The human who revoked it; null if nobody did';
COMMENT ON COLUMN claiim.token_registry.revoked_at IS 'When';
