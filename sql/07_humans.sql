/*-------------------------------------------------------------------------
 *
 * 07_humans.sql
 *	  Which human is calling, and what that human may do.
 *
 * A human is session_user: the role that logged in.  SET ROLE, a SECURITY
 * DEFINER function and an argument cannot change it, so no human can act as
 * another.  (Humans who prove themselves otherwise, by an identity token say,
 * would be found by _human_of_session, and nowhere else.)  What approves is,
 * besides, a statement of the human's own (src/direct.c): or whoever writes a
 * view that an approver reads could approve in that human's name.
 *
 * Two families that must not be mixed up: _actor, _holds and _require are for
 * acting; they lock what they rely on until the transaction ends, so that a
 * revocation cannot slip in between the check and the act.  _may and
 * _visible_orgs are for looking; they lock nothing and work in a read-only
 * transaction.
 *
 * An error about something in an organization that the human has no part in
 * is the same whether or not the thing exists.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._check_text(what text, value text, max integer)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value IS NULL THEN
		RAISE EXCEPTION '% must not be null', what
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM claiim._name_check(what, value, max);
END
$$;
COMMENT ON FUNCTION claiim._check_text(text, text, integer) IS
'Checks a text that will be recorded. Errors: 22004 for NULL, 22023 if it is empty, longer than max bytes, or holds control characters.';

CREATE FUNCTION claiim._check_name(what text, value text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._check_text(what, value,
							   CASE WHEN what IN ('skill', 'policy') THEN 100 ELSE 128 END);
	CASE
		WHEN what IN ('agent', 'human') THEN
			IF NOT claiim._is_name(value) THEN
				RAISE EXCEPTION '"%" is not a valid % name', value, what
					USING ERRCODE = 'invalid_parameter_value',
						  HINT = 'Expected a letter or digit, then letters, digits and any of _ . @ + -';
			END IF;
		WHEN what = 'organization' THEN
			IF NOT claiim._is_org_path(value) THEN
				RAISE EXCEPTION '"%" is not a valid % name', value, what
					USING ERRCODE = 'invalid_parameter_value',
						  HINT = 'Expected a path such as acme or acme/finance, of lowercase letters, digits and any of _ . -';
			END IF;
		WHEN what IN ('skill', 'policy') THEN
			IF NOT claiim._is_document_name(value) THEN
				RAISE EXCEPTION '"%" is not a valid % name', value, what
					USING ERRCODE = 'invalid_parameter_value',
						  HINT = 'Expected lowercase letters, digits and any of _ . - without -v and a number at the end: versions are numbered by publishing.';
			END IF;
	END CASE;
END
$$;
COMMENT ON FUNCTION claiim._check_name(text, text) IS
'Checks the name of a new agent, human, organization, skill or policy (what). Errors: 22004 for NULL, 22023.';

/* Looking */

CREATE FUNCTION claiim._human_of_session() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.human FROM claiim.humans h WHERE h.role_name = session_user;
$$;
COMMENT ON FUNCTION claiim._human_of_session() IS
'The human whose role logged in, active or not; NULL if the role is no human''s.';

CREATE FUNCTION claiim._may(human text, capability text, org text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT
		FROM claiim.memberships m
			JOIN claiim.humans h ON h.human = m.human
		WHERE m.human = _may.human
			AND m.capability = _may.capability
			AND h.status = 'active'
			AND claiim._covers(m.org, _may.org));
$$;
COMMENT ON FUNCTION claiim._may(text, text, text) IS
'Whether an active human holds a capability in an organization, or above it. Locks nothing: not for deciding whether to act.';

CREATE FUNCTION claiim._visible_orgs(capabilities text[]) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(o.org ORDER BY o.org), '{}')
	FROM claiim.orgs o
	WHERE EXISTS (
			SELECT
			FROM claiim.memberships m
				JOIN claiim.humans h ON h.human = m.human
			WHERE h.role_name = session_user
				AND h.status = 'active'
				AND m.capability = ANY (_visible_orgs.capabilities)
				AND claiim._covers(m.org, o.org))
		OR EXISTS (
			SELECT FROM pg_roles r
			WHERE r.rolname = session_user AND r.rolsuper);
$$;
COMMENT ON FUNCTION claiim._visible_orgs(text[]) IS
'The organizations in which the human who is logged in holds any of these capabilities, those below included; all of them for a superuser.';

CREATE FUNCTION claiim._sees_orgless() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
			SELECT FROM claiim.orgs o
			WHERE o.founding
				AND claiim._may(claiim._human_of_session(), 'auditor', o.org))
		OR EXISTS (
			SELECT FROM pg_roles r
			WHERE r.rolname = session_user AND r.rolsuper);
$$;
COMMENT ON FUNCTION claiim._sees_orgless() IS
'Whether the human who is logged in reads records that belong to no organization, such as those of unknown agents: auditors of the founding organization, and superusers.';

/* Acting */

CREATE FUNCTION claiim._actor() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h claiim.humans;
BEGIN
	/*
	 * An older snapshot would show capabilities, and a state of affairs, that
	 * may be gone.
	 */
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'governance needs the isolation level READ COMMITTED, not %',
				upper(current_setting('transaction_isolation'))
			USING ERRCODE = 'invalid_transaction_state',
				  DETAIL = 'It is decided by the latest committed state, which an older snapshot does not show.',
				  HINT = 'Call governance functions in a transaction of their own.';
	END IF;
	IF current_setting('transaction_read_only')::boolean THEN
		RAISE EXCEPTION 'governance cannot act in a read-only transaction'
			USING ERRCODE = 'read_only_sql_transaction',
				  HINT = 'Begin one that is READ WRITE, or, on a standby, connect to the primary.';
	END IF;
	PERFORM claiim._begin_governing();

	SELECT x.* INTO h FROM claiim.humans x
	WHERE x.human = claiim._human_of_session()
	FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'role "%" is not the role of a registered human', session_user
			USING ERRCODE = 'insufficient_privilege',
				  HINT = CASE WHEN claiim._founding_org() IS NULL
						 THEN 'Nobody is registered in this database yet: a superuser begins with claiim.bootstrap().'
						 ELSE 'Log in with the role that your registration names. SET ROLE does not change who you are.' END;
	END IF;
	IF h.status <> 'active' THEN
		RAISE EXCEPTION 'human "%" is not active', h.human
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Two other humans can reactivate this one: claiim.reactivate_human().';
	END IF;
	RETURN h.human;
END
$$;
COMMENT ON FUNCTION claiim._actor() IS
'The human who is logged in, who cannot be deactivated before this transaction ends. Errors: 42501 if the role is no active human''s; 25000 in a transaction that is not READ COMMITTED, 25006 in one that is read only.';

CREATE FUNCTION claiim._holds(human text, capability text, org text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM claiim.humans h
	WHERE h.human = _holds.human AND h.status = 'active'
	FOR SHARE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM FROM claiim.memberships m
	WHERE m.human = _holds.human
		AND m.capability = _holds.capability
		AND claiim._covers(m.org, _holds.org)
	FOR SHARE;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION claiim._holds(text, text, text) IS
'Whether an active human holds a capability in an organization, or above it; if so, neither can be taken away before this transaction ends.';

CREATE FUNCTION claiim._require(human text, capability text, org text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._check_text('organization', org, 128);
	IF NOT claiim._holds(human, capability, org) THEN
		RAISE EXCEPTION 'human "%" does not hold the % capability in organization "%"',
				human, capability, org
			USING ERRCODE = 'insufficient_privilege',
				  HINT = format('Either there is no such organization, or another human with %s there has to do it.', capability);
	END IF;
	/* Only who rules above it learns that it does not exist. */
	PERFORM claiim._check_org(org);
END
$$;
COMMENT ON FUNCTION claiim._require(text, text, text) IS
'Returns if an active human holds a capability in an organization, or above it. Errors: 42501 if not, be there such an organization or not; 42704 if it is missing below one where the human holds it; 22004 for NULL.';

CREATE FUNCTION claiim._founding_org() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT o.org FROM claiim.orgs o WHERE o.founding;
$$;
COMMENT ON FUNCTION claiim._founding_org() IS
'The organization that claiim.bootstrap made; NULL before.';

CREATE FUNCTION claiim._agent_org(agent text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	result text;
BEGIN
	PERFORM claiim._check_text('agent', agent, 128);
	SELECT a.org INTO result FROM claiim.agents a
	WHERE a.agent = _agent_org.agent AND claiim._may(me, 'admin', a.org);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no agent "%" that human "%" administers', agent, me
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such agent, or you do not hold the admin capability in its organization.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION claiim._agent_org(text) IS
'The organization of an agent that the human who is logged in administers. Errors: 42501, the same for an agent that does not exist and for another organization''s; 22004, 22023.';

CREATE FUNCTION claiim._human_org(human text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	result text := claiim._home_org(human);
BEGIN
	PERFORM claiim._check_text('human', human, 128);
	IF result IS NULL OR NOT claiim._may(me, 'admin', result) THEN
		RAISE EXCEPTION 'there is no human "%" whom human "%" administers', human, me
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such human, or you do not hold the admin capability in that human''s home organization.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION claiim._human_org(text) IS
'The home organization (claiim._home_org) of a human whom the human who is logged in administers. Errors: 42501, the same for a human who does not exist and for one who is out of reach; 22004, 22023.';

CREATE FUNCTION claiim._home_org(human text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.org FROM claiim.humans h WHERE h.human = _home_org.human;
$$;
COMMENT ON FUNCTION claiim._home_org(text) IS
'The organization that rules over a human as such: where the human was registered, whatever became a membership since, so that no organization can switch off another''s human. NULL if there is no such human.';

CREATE FUNCTION claiim._belongs(human text, org text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
			SELECT FROM claiim.humans h
			WHERE h.human = _belongs.human
				AND (claiim._covers(h.org, _belongs.org)
					 OR claiim._covers(_belongs.org, h.org)))
		OR EXISTS (
			SELECT FROM claiim.memberships m
			WHERE m.human = _belongs.human
				AND claiim._covers(m.org, _belongs.org));
$$;
COMMENT ON FUNCTION claiim._belongs(text, text) IS
'Whether a human is an organization''s own: at home in it, above or below it, or a member of it or above. Of others an organization is not told that they exist.';

CREATE FUNCTION claiim._granting_org(human text, org text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN claiim._belongs(human, org) THEN org
		ELSE coalesce(
			(SELECT o.org FROM claiim.orgs o
			 WHERE claiim._covers(o.org, _granting_org.org)
				AND claiim._covers(o.org, claiim._home_org(_granting_org.human))
			 ORDER BY length(o.org) DESC
			 LIMIT 1),
			claiim._founding_org())
		END;
$$;
COMMENT ON FUNCTION claiim._granting_org(text, text) IS
'The organization that decides whether a human is given a capability in an organization: that one itself where the human belongs to it; otherwise the nearest that lies above both it and the human''s home, or the founding one. For a human who does not exist: the founding one.';

CREATE FUNCTION claiim._keeps_two_persons(org text, human text, capability text)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH remaining AS (
		SELECT m.human, m.capability
		FROM claiim.memberships m
			JOIN claiim.humans h ON h.human = m.human
		WHERE m.org = _keeps_two_persons.org
			AND h.status = 'active'
			AND NOT (m.human = _keeps_two_persons.human
					 AND (_keeps_two_persons.capability IS NULL
						  OR m.capability = _keeps_two_persons.capability)))
	SELECT EXISTS (
		SELECT
		FROM remaining a
		WHERE a.capability = 'admin'
			AND claiim._quorum(_keeps_two_persons.org, 'capability.grant') <=
				(SELECT count(*) FROM remaining b
				 WHERE b.capability = 'approver' AND b.human <> a.human));
$$;
COMMENT ON FUNCTION claiim._keeps_two_persons(text, text, text) IS
'Whether an organization would still have an active admin and enough other active approvers of its own to grant a capability, and so to get itself more of them, if this human lost this capability there (NULL: all of them).';

CREATE FUNCTION claiim._others_needed(org text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE q WHEN 1 THEN 'another approver' ELSE format('%s other approvers', q) END
	FROM claiim._quorum(org, 'capability.grant') AS q;
$$;
COMMENT ON FUNCTION claiim._others_needed(text) IS
'What claiim._keeps_two_persons asks for beside an admin, for errors.';

/* Database roles */

CREATE FUNCTION claiim._check_role(role_name name) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r pg_roles;
	power name;
BEGIN
	IF role_name IS NULL THEN
		RAISE EXCEPTION 'role must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT x.* INTO r FROM pg_roles x WHERE x.rolname = _check_role.role_name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'role "%" does not exist', role_name
			USING ERRCODE = 'undefined_object',
				  HINT = 'Create it first, with LOGIN.';
	END IF;
	IF NOT r.rolcanlogin THEN
		RAISE EXCEPTION 'role "%" cannot log in', role_name
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'A human and an agent are known by the role that they log in with. ALTER ROLE ... LOGIN, or name another.';
	END IF;

	/* Whoever can become one of these can become anybody. */
	SELECT x.rolname INTO power
	FROM pg_roles x
	WHERE (x.rolsuper OR x.rolcreaterole OR x.rolreplication OR x.rolbypassrls
		   OR x.rolname IN ('pg_execute_server_program',
							'pg_read_server_files',
							'pg_write_server_files',
							'pg_read_all_data',
							'pg_write_all_data'))
		AND pg_has_role(r.oid, x.oid, 'MEMBER')
	ORDER BY x.oid <> r.oid, x.rolname
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'role "%" is too powerful to be the role of a human or an agent',
				role_name
			USING ERRCODE = 'invalid_parameter_value',
				  DETAIL = CASE WHEN power = role_name
						   THEN 'It is a superuser, or can create roles, replicate, or bypass row security.'
						   ELSE format('It is a member of role "%s".', power) END,
				  HINT = 'Such a role could pass for any other. Use an ordinary login role.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_role(name) IS
'Checks that a role can be bound to a human or an agent. Errors: 22004 for NULL; 42704 if there is none; 22023 if it cannot log in, or could become a superuser, create roles, or reach the server''s files or programs.';

CREATE FUNCTION claiim._check_role_free(role_name name) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM claiim.humans h WHERE h.role_name = _check_role_free.role_name)
		OR EXISTS (SELECT FROM claiim.agents a WHERE a.role_name = _check_role_free.role_name)
	THEN
		RAISE EXCEPTION 'role "%" is already bound', role_name
			USING ERRCODE = 'duplicate_object',
				  HINT = 'A role is one human''s or one agent''s, never both and never two''s.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_role_free(name) IS
'Checks that a role is bound to no human and no agent. Errors: 42710.';

CREATE FUNCTION claiim._bind_role(role_name name, group_role name) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (
			SELECT
			FROM pg_auth_members m
				JOIN pg_roles g ON g.oid = m.roleid
				JOIN pg_roles r ON r.oid = m.member
			WHERE g.rolname = _bind_role.group_role
				AND r.rolname = _bind_role.role_name)
	THEN
		EXECUTE format('GRANT %I TO %I', group_role, role_name);
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._bind_role(name, name) IS
'Makes a role a member of one of claiim''s group roles. It is never taken back: roles belong to the cluster, and another of its databases may count on it; what a human may do is checked by capability.';

CREATE FUNCTION claiim._enter_group(human text, capability text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r name;
BEGIN
	SELECT h.role_name INTO STRICT r FROM claiim.humans h
	WHERE h.human = _enter_group.human;
	IF capability IN ('admin', 'approver') THEN
		PERFORM claiim._bind_role(r, 'claiim_admin');
	ELSIF capability = 'auditor' THEN
		PERFORM claiim._bind_role(r, 'claiim_auditor');
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._enter_group(text, text) IS
'Grants a human''s role what a capability needs: claiim_admin for admin and approver, claiim_auditor for auditor.';
