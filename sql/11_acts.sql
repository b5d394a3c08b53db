/*-------------------------------------------------------------------------
 *
 * 11_acts.sql
 *	  What one authorized human does alone, at once.
 *
 * Publishing (a version does nothing until two have bound it), and tightening
 * (suspend, deactivate).  Tokens are in 11_tokens.sql.
 *
 *-------------------------------------------------------------------------
 */

/* Publishing */

CREATE FUNCTION claiim.publish_skill(skill text, source text, org text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	owner text;
	newest claiim.skill_versions;
	digest bytea := sha256(convert_to(source, 'UTF8'));
	next integer;
	result text;
BEGIN
	PERFORM claiim._require(me, 'admin', org);
	PERFORM claiim._check_name('skill', skill);
	PERFORM claiim._skill_check(source);

	/* One publisher of a name at a time, so that numbers are not raced for. */
	PERFORM claiim._serialize('skill ' || skill);
	SELECT s.org INTO owner FROM claiim.skills s WHERE s.skill = publish_skill.skill;
	IF owner <> org THEN
		RAISE EXCEPTION 'the skill name "%" is taken', skill
			USING ERRCODE = 'duplicate_object',
				  HINT = 'Skills'' names are unique across organizations. If it is yours, publish it for the organization that it belongs to.';
	END IF;
	SELECT v.* INTO newest FROM claiim.skill_versions v
	WHERE v.skill = publish_skill.skill
	ORDER BY v.version DESC
	LIMIT 1;
	IF newest.sha256 = digest THEN
		RETURN newest.name;
	END IF;

	next := coalesce(newest.version, 0) + 1;
	result := skill || '-v' || next;
	PERFORM claiim._act('skill.publish', me, org, result, NULL,
		jsonb_build_object('skill', skill, 'version', next,
						   'sha256', encode(digest, 'hex')));
	IF owner IS NULL THEN
		INSERT INTO claiim.skills (skill, org) VALUES (skill, org);
	END IF;
	INSERT INTO claiim.skill_versions (skill, version, name, source, sha256, published_by)
	VALUES (skill, next, result, source, digest, me);
	RETURN result;
END
$$;
COMMENT ON FUNCTION claiim.publish_skill(text, text, text) IS
'Publishes the next version of a skill of an organization and returns its name, such as deploy-v2. If the newest version has this very source, returns its name and writes nothing. Errors: 42501 without the admin capability there; 22023 for the name, or with line and column for the source; 42710 if the name is another organization''s; 22004.';

CREATE FUNCTION claiim.publish_policy(policy text, source text, org text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	owner text;
	newest claiim.policy_versions;
	digest bytea := sha256(convert_to(source, 'UTF8'));
	next integer;
	result text;
	skills text[];
BEGIN
	PERFORM claiim._require(me, 'admin', org);
	PERFORM claiim._check_name('policy', policy);
	skills := claiim._policy_check(source, org);

	/* One publisher of a name at a time, so that numbers are not raced for. */
	PERFORM claiim._serialize('policy ' || policy);
	SELECT p.org INTO owner FROM claiim.policies p WHERE p.policy = publish_policy.policy;
	IF owner <> org THEN
		RAISE EXCEPTION 'the policy name "%" is taken', policy
			USING ERRCODE = 'duplicate_object',
				  HINT = 'Policies'' names are unique across organizations. If it is yours, publish it for the organization that it belongs to.';
	END IF;
	SELECT v.* INTO newest FROM claiim.policy_versions v
	WHERE v.policy = publish_policy.policy
	ORDER BY v.version DESC
	LIMIT 1;
	IF newest.sha256 = digest THEN
		RETURN newest.name;
	END IF;

	next := coalesce(newest.version, 0) + 1;
	result := policy || '-v' || next;
	PERFORM claiim._act('policy.publish', me, org, result, NULL,
		jsonb_build_object('policy', policy, 'version', next,
						   'sha256', encode(digest, 'hex'), 'skills', skills));
	IF owner IS NULL THEN
		INSERT INTO claiim.policies (policy, org) VALUES (policy, org);
	END IF;
	INSERT INTO claiim.policy_versions (policy, version, name, source, sha256, published_by)
	VALUES (policy, next, result, source, digest, me);
	RETURN result;
END
$$;
COMMENT ON FUNCTION claiim.publish_policy(text, text, text) IS
'Publishes the next version of a policy of an organization and returns its name, such as no-prod-v1. It does nothing until it is bound (claiim.bind_policy, claiim.bind_baseline). If the newest version has this very source, returns its name and writes nothing. Errors: 42501 without the admin capability there; 22023 for the name, with line and column for the source, or for a skill of neither the organization nor one above it; 42710 if the name is another organization''s; 22004.';

/* Tightening */

CREATE FUNCTION claiim.suspend_agent(agent text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	org text := claiim._agent_org(agent);
	a claiim.agents;
BEGIN
	PERFORM claiim._require(me, 'admin', org);
	PERFORM claiim._check_text('reason', reason, 1000);
	a := claiim._seize_agent(agent);
	PERFORM claiim._check_not_retired(a);
	IF a.status = 'suspended' THEN
		RAISE EXCEPTION 'agent "%" is already suspended', agent
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._act('agent.suspend', me, org, agent, NULL,
						jsonb_build_object('reason', reason));
	UPDATE claiim.agents x
	SET status = 'suspended', status_since = clock_timestamp()
	WHERE x.agent = a.agent;
END
$$;
COMMENT ON FUNCTION claiim.suspend_agent(text, text) IS
'Denies an agent everything from now on, until two humans resume it. Errors: 42501 without the admin capability in its organization; 55000 if it is suspended or retired; 22004, 22023 for the reason.';

CREATE FUNCTION claiim.suspend_org(org text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	o claiim.orgs;
BEGIN
	PERFORM claiim._require(me, 'admin', org);
	PERFORM claiim._check_text('reason', reason, 1000);
	o := claiim._seize_org(org);
	IF o.status = 'suspended' THEN
		RAISE EXCEPTION 'organization "%" is already suspended', org
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._act('org.suspend', me, org, org, NULL,
						jsonb_build_object('reason', reason));
	UPDATE claiim.orgs x
	SET status = 'suspended', status_since = clock_timestamp()
	WHERE x.org = o.org;
END
$$;
COMMENT ON FUNCTION claiim.suspend_org(text, text) IS
'Denies all agents of an organization, and of those below it, everything from now on, until two humans resume it. Errors: 42501 without the admin capability there; 55000 if it is suspended; 22004, 22023 for the reason.';

CREATE FUNCTION claiim.deactivate_human(human text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	home text := claiim._human_org(human);
	alone text;
	h claiim.humans;
BEGIN
	PERFORM claiim._require(me, 'admin', home);
	PERFORM claiim._check_text('reason', reason, 1000);

	/* Two deactivations at once must not each count on the other's human. */
	PERFORM claiim._seize_org(o.org)
	FROM (SELECT x.org FROM claiim.orgs x
		  WHERE strpos(x.org, '/') = 0
			AND EXISTS (SELECT FROM claiim.memberships m
						WHERE m.human = deactivate_human.human AND m.org = x.org)
		  ORDER BY x.org) AS o;
	h := claiim._seize_human(human);
	IF h.status <> 'active' THEN
		RAISE EXCEPTION 'human "%" is already inactive', human
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	SELECT m.org INTO alone FROM claiim.memberships m
	WHERE m.human = deactivate_human.human
		AND m.capability IN ('admin', 'approver')
		AND strpos(m.org, '/') = 0
		AND NOT claiim._keeps_two_persons(m.org, m.human, NULL)
	ORDER BY m.org
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'organization "%" would be left without an admin and %', alone,
				claiim._others_needed(alone)
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = 'Nobody could ever approve a change there again.',
				  HINT = 'Grant the capability to somebody else first. To lock the human out at once: suspend the agents, and have the database administrator ALTER ROLE ... NOLOGIN.';
	END IF;

	PERFORM claiim._act('human.deactivate', me, home, human, NULL,
						jsonb_build_object('reason', reason));
	UPDATE claiim.humans x
	SET status = 'inactive', status_since = clock_timestamp()
	WHERE x.human = h.human;
END
$$;
COMMENT ON FUNCTION claiim.deactivate_human(text, text) IS
'From now on the human can do nothing, and every agent anchored to this human is denied, until two others reactivate the human or transfer the anchors. Errors: 42501 without the admin capability in the human''s home organization (where the human was registered) or above it; 55000 if already inactive, or if a top-level organization would be left without an admin and another approver; 22004, 22023 for the reason.';
