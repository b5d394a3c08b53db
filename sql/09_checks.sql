/*-------------------------------------------------------------------------
 *
 * 09_checks.sql
 *	  Checks that several kinds of change share, and how a change is said.
 *
 * An error about a human, an agent or a document of an organization that the
 * one who decides has no part in is the same whether or not it exists.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._check_active_human(human text, org text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._check_text('human', human, 128);
	PERFORM FROM claiim.humans h
	WHERE h.human = _check_active_human.human AND h.status = 'active'
	FOR SHARE;
	IF NOT FOUND
		OR NOT (org IS NULL OR org = claiim._founding_org()
				OR claiim._belongs(human, org)) THEN
		RAISE EXCEPTION 'there is no active human "%"', human
			USING ERRCODE = 'undefined_object',
				  HINT = 'Register the human first: claiim.register_human().';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_active_human(text, text) IS
'Checks that a human is registered and active; with org: for this organization, which knows only its own (claiim._belongs) unless it is the founding one. Errors: 42704, the same for one who does not exist and for another organization''s; 22004, 22023.';

CREATE FUNCTION claiim._check_anchor(human text, org text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._check_text('anchor', human, 128);
	PERFORM
	FROM claiim.humans h
		JOIN claiim.memberships m ON m.human = h.human
	WHERE h.human = _check_anchor.human AND h.status = 'active'
		AND claiim._covers(m.org, _check_anchor.org)
	FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no active human "%" in organization "%" or above it', human, org
			USING ERRCODE = 'undefined_object',
				  HINT = 'An anchor needs at least the member capability there: claiim.register_human(), claiim.grant_capability().';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_anchor(text, text) IS
'Checks that a human can be accountable for agents of an organization: active, with a membership there or above. Errors: 42704, the same for a human who does not exist, is inactive, or is another organization''s; 22004, 22023.';

CREATE FUNCTION claiim._check_org(org text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._check_text('organization', org, 128);
	PERFORM FROM claiim.orgs o WHERE o.org = _check_org.org FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'organization "%" does not exist', org
			USING ERRCODE = 'undefined_object',
				  HINT = 'Register it first: claiim.register_org().';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_org(text) IS
'Checks that an organization exists, for those who may know: the founding organization, and who rules above it. Errors: 42704, 22004, 22023.';

CREATE FUNCTION claiim._check_capability(capability text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF capability IS NULL
		OR capability NOT IN ('admin', 'approver', 'auditor', 'member') THEN
		RAISE EXCEPTION '% is not a capability', coalesce('"' || capability || '"', 'null')
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected one of: admin, approver, auditor, member.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_capability(text) IS
'Checks the name of a capability. Errors: 22023.';

CREATE FUNCTION claiim._check_skills(skills text[]) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	skill text;
BEGIN
	IF skills IS NULL THEN
		RAISE EXCEPTION 'skills must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				  HINT = 'For an agent without skills pass an empty array.';
	END IF;
	IF cardinality(skills) > 100 THEN
		RAISE EXCEPTION 'an agent can declare at most 100 skills'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOREACH skill IN ARRAY skills LOOP
		PERFORM claiim._check_name('skill', skill);
	END LOOP;
	IF cardinality(skills) <> (SELECT count(DISTINCT s) FROM unnest(skills) s) THEN
		RAISE EXCEPTION 'a skill is declared twice'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_skills(text[]) IS
'Checks the skills that an agent declares: names without version, each once, at most 100. Errors: 22004, 22023.';

CREATE FUNCTION claiim._notice_unpublished(skills text[], org text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	skill text;
BEGIN
	FOR skill IN
		SELECT d.skill
		FROM unnest(skills) WITH ORDINALITY AS d (skill, n)
		WHERE NOT EXISTS (
				SELECT FROM claiim.skills s
				WHERE s.skill = d.skill AND claiim._covers(s.org, _notice_unpublished.org))
		ORDER BY d.n
	LOOP
		RAISE NOTICE 'no skill "%" has been published in organization "%" or above it yet', skill, org
			USING HINT = 'If it is not a slip, publish it before a policy that uses it: claiim.publish_skill().';
	END LOOP;
END
$$;
COMMENT ON FUNCTION claiim._notice_unpublished(text[], text) IS
'A NOTICE for each skill that an agent of an organization declares and no policy of it could use yet; the same for one that does not exist and for another organization''s.';

CREATE FUNCTION claiim._text_array(value jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN jsonb_typeof(value) = 'array'
		   THEN ARRAY(SELECT e.item
					  FROM jsonb_array_elements_text(value)
						WITH ORDINALITY AS e (item, n)
					  ORDER BY e.n)
		   END;
$$;
COMMENT ON FUNCTION claiim._text_array(jsonb) IS
'A JSON array of strings as text[], in its order; NULL for anything else.';

/*
 * A summary is read by those who approve: every name and every text in it is
 * quoted, so that none can pass for a part of the sentence.
 */
CREATE FUNCTION claiim._said(value text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(quote_literal(value), 'none');
$$;
COMMENT ON FUNCTION claiim._said(text) IS
'A value for a summary: as a literal, or "none" without quotes for NULL.';

CREATE FUNCTION claiim._list(items text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(string_agg(quote_literal(i.item), ', ' ORDER BY i.n), 'none')
	FROM unnest(items) WITH ORDINALITY AS i (item, n);
$$;
COMMENT ON FUNCTION claiim._list(text[]) IS
'An array for a summary: literals, comma separated, or "none".';

CREATE FUNCTION claiim._check_not_retired(a claiim.agents) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF a.status = 'retired' THEN
		RAISE EXCEPTION 'agent "%" is retired', a.agent
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Retiring is for good. Register a new agent.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_not_retired(claiim.agents) IS
'Checks that an agent is not retired. Errors: 55000.';

CREATE FUNCTION claiim._usable_policy(policy_version text, org text)
RETURNS claiim.policy_versions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v claiim.policy_versions;
	published text;
BEGIN
	PERFORM claiim._check_text('policy version', policy_version, 128);
	SELECT x.* INTO v
	FROM claiim.policy_versions x
		JOIN claiim.policies p ON p.policy = x.policy
	WHERE x.name = _usable_policy.policy_version
		AND claiim._covers(p.org, _usable_policy.org);
	IF NOT FOUND THEN
		/* Those that could be named here, and no others. */
		SELECT string_agg(u.name, ', ' ORDER BY u.version DESC) INTO published
		FROM (SELECT x.name, x.version
			  FROM claiim.policy_versions x
				JOIN claiim.policies p ON p.policy = x.policy
			  WHERE x.policy = regexp_replace(_usable_policy.policy_version, '-v[0-9]*$', '')
				AND claiim._covers(p.org, _usable_policy.org)
			  ORDER BY x.version DESC
			  LIMIT 5) AS u;
		RAISE EXCEPTION 'there is no policy version "%" in organization "%" or above it',
				policy_version, org
			USING ERRCODE = 'undefined_object',
				  HINT = coalesce('Published, the newest first: ' || published || '.',
								  'Name a published version, such as "no-prod-v1".');
	END IF;
	RETURN v;
END
$$;
COMMENT ON FUNCTION claiim._usable_policy(text, text) IS
'A policy version of an organization or of one above it. Errors: 42704, the same for one that does not exist and for another organization''s; 22004, 22023.';
