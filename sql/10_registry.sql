/*-------------------------------------------------------------------------
 *
 * 10_registry.sql
 *	  What humans call: bootstrap, once, and then everything that takes two.
 *
 * Each function that takes two names the kind of change, the organization
 * that decides about it, its subject and its content, and returns the
 * change's identifier.  What is checked is in 08_changes.sql and
 * 09_effects.sql.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim.bootstrap(org text, human1 text, role1 name,
								 human2 text, role2 name)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	capability text;
BEGIN
	LOCK TABLE claiim.orgs IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM claiim.orgs) THEN
		RAISE EXCEPTION 'claiim is already set up in this database'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Everything further is proposed and approved by the registered humans.';
	END IF;
	PERFORM claiim._check_name('organization', org);
	IF strpos(org, '/') > 0 THEN
		RAISE EXCEPTION 'the founding organization cannot lie below another'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected a name without /.';
	END IF;
	PERFORM claiim._check_name('human', human1);
	PERFORM claiim._check_name('human', human2);
	IF human1 = human2 OR role1 = role2 THEN
		RAISE EXCEPTION 'the first two humans must be two humans with a role each'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM claiim._check_role(role1);
	PERFORM claiim._check_role(role2);

	PERFORM claiim._act('bootstrap', NULL, org, org, NULL,
		jsonb_build_object(
			'founding', org,
			'humans', jsonb_build_array(
				jsonb_build_object('human', human1, 'role', role1),
				jsonb_build_object('human', human2, 'role', role2)),
			'targets', '**'));
	INSERT INTO claiim.orgs (org, founding) VALUES (org, true);
	INSERT INTO claiim.humans (human, org, role_name)
	VALUES (human1, org, role1), (human2, org, role2);
	INSERT INTO claiim.targets (pattern, org) VALUES ('**', org);
	FOREACH capability IN ARRAY ARRAY['admin', 'approver', 'auditor'] LOOP
		INSERT INTO claiim.memberships (human, org, capability)
		VALUES (human1, org, capability), (human2, org, capability);
		PERFORM claiim._enter_group(human1, capability);
		PERFORM claiim._enter_group(human2, capability);
	END LOOP;
END
$$;
COMMENT ON FUNCTION claiim.bootstrap(text, text, name, text, name) IS
'Sets up the founding organization org and its first two humans, each with the login role that makes them known; both are admin, approver and auditor. All targets (**) belong to it until they are mapped otherwise. For the extension''s owner, once in a database. Errors: 55000 the second time; 22023, 22004 for names and roles; 42704 for a role that does not exist.';

/* Organizations, humans, capabilities */

CREATE FUNCTION claiim.register_org(org text, description text DEFAULT NULL,
									admin text DEFAULT NULL,
									approver text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._actor();
	PERFORM claiim._check_name('organization', org);
	RETURN claiim._propose('org.register',
		CASE WHEN strpos(org, '/') > 0
			THEN regexp_replace(org, '/[^/]*$', '')
			ELSE claiim._founding_org() END,
		org,
		jsonb_build_object('description', description, 'admin', admin,
						   'approver', approver));
END
$$;
COMMENT ON FUNCTION claiim.register_org(text, text, text, text) IS
'Proposes a new organization, decided by the one above it, or by the founding one for a name without /. admin, approver: registered humans, two; below another organization both may be NULL. Returns the change. Errors: 42501 without the admin capability there; 42710 if it exists; 42704, 22023, 22004.';

CREATE FUNCTION claiim.resume_org(org text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('org.resume', org, org, '{}');
$$;
COMMENT ON FUNCTION claiim.resume_org(text) IS
'Proposes to make a suspended organization active again. Returns the change. Errors: 42501 without the admin capability there; 55000 if it is not suspended; 22004.';

CREATE FUNCTION claiim.register_human(human text, role_name name, full_name text,
									  org text, capabilities text[])
RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('human.register', org, human,
		jsonb_build_object(
			'role', role_name,
			'full_name', full_name,
			'capabilities',
			coalesce((SELECT jsonb_agg(DISTINCT x) FROM unnest(capabilities) x),
					 '["member"]')));
$$;
COMMENT ON FUNCTION claiim.register_human(text, name, text, text, text[]) IS
'Proposes a new human of an organization, which is the human''s home from then on: human is the name for Chron, role_name the login role, full_name may be NULL, capabilities are any of admin, approver, auditor, member (none: member). Returns the change. Errors: 42501 without the admin capability there; 42710 if human or role is taken; 42704 if there is no such role; 22023, 22004.';

CREATE FUNCTION claiim.reactivate_human(human text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('human.reactivate', claiim._human_org(human), human, '{}');
$$;
COMMENT ON FUNCTION claiim.reactivate_human(text) IS
'Proposes to make an inactive human active again, with the capabilities of before. Decided by the human''s home organization, where the human was registered. Returns the change. Errors: 42501 without the admin capability there; 55000 if already active; 22004, 22023.';

CREATE FUNCTION claiim.grant_capability(human text, org text, capability text)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	decider text;
BEGIN
	PERFORM claiim._check_text('human', human, 128);
	PERFORM claiim._check_text('organization', org, 128);
	decider := claiim._granting_org(human, org);
	IF NOT claiim._may(me, 'admin', decider) THEN
		PERFORM claiim._require(me, 'admin', org);
	END IF;
	IF decider <> org AND NOT claiim._may(me, 'admin', decider) THEN
		RAISE EXCEPTION 'there is no human "%" to whom organization "%" can grant a capability', human, org
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such human, or the human belongs to another organization: then the nearest above both decides, or the founding one.';
	END IF;
	RETURN claiim._propose('capability.grant', decider, human,
						   jsonb_build_object('capability', capability, 'org', org));
END
$$;
COMMENT ON FUNCTION claiim.grant_capability(text, text, text) IS
'Proposes that a human holds a capability (admin, approver, auditor, member) in an organization and below. Decided by that organization for its own: those at home in it, above or below it, or members of it; for others by the nearest organization above it and their home, or by the founding one; where that one does not lie above it, one of its own approvers has to approve as well. Returns the change. Errors: 42501 without the admin capability in the organization that decides, the same for a human who does not exist and for another organization''s; 42704 unless the human is active; 42710 if held already; 22023, 22004.';

CREATE FUNCTION claiim.revoke_capability(human text, org text, capability text)
RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('capability.revoke', org, human,
						   jsonb_build_object('capability', capability));
$$;
COMMENT ON FUNCTION claiim.revoke_capability(text, text, text) IS
'Proposes that a human no longer holds a capability in an organization. Returns the change. Errors: 42501 without the admin capability there; 42704 if not held in that very organization; 55000 if a top-level organization would be left without an admin and another approver; 22023, 22004.';

/* Agents */

CREATE FUNCTION claiim.register_agent(agent text, org text, anchor text,
									  skills text[],
									  role_name name DEFAULT NULL,
									  description text DEFAULT NULL)
RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('agent.register', org, agent,
		jsonb_build_object('anchor', anchor, 'skills', skills,
						   'role', role_name, 'description', description));
$$;
COMMENT ON FUNCTION claiim.register_agent(text, text, text, text[], name, text) IS
'Proposes a new agent: its organization, the human accountable for it, the skills that it declares (names without version; one that is not published yet gives a NOTICE), and the database role that proves its identity, if any. Returns the change. Errors: 42501 without the admin capability there; 42710 if name or role is taken; 42704 for a missing human or role; 22023, 22004.';

CREATE FUNCTION claiim.retire_agent(agent text, reason text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('agent.retire', claiim._agent_org(agent), agent,
						   jsonb_build_object('reason', reason));
$$;
COMMENT ON FUNCTION claiim.retire_agent(text, text) IS
'Proposes to retire an agent for good. Returns the change. Errors: 42501 without the admin capability in its organization; 55000 if it is retired; 22004, 22023.';

CREATE FUNCTION claiim.resume_agent(agent text, reason text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('agent.resume', claiim._agent_org(agent), agent,
						   jsonb_build_object('reason', reason));
$$;
COMMENT ON FUNCTION claiim.resume_agent(text, text) IS
'Proposes to make a suspended agent active again. Returns the change. Errors: 42501 without the admin capability in its organization; 55000 if it is not suspended; 22004, 22023.';

CREATE FUNCTION claiim.set_skills(agent text, skills text[]) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('agent.skills', claiim._agent_org(agent), agent,
						   jsonb_build_object('skills', skills));
$$;
COMMENT ON FUNCTION claiim.set_skills(text, text[]) IS
'Proposes the skills that an agent declares, in place of those that it declares now; one that is not published yet gives a NOTICE. Returns the change. Errors: 42501 without the admin capability in its organization; 55000 if it is retired; 22004, 22023.';

CREATE FUNCTION claiim.set_role(agent text, role_name name) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('agent.role', claiim._agent_org(agent), agent,
						   jsonb_build_object('role', role_name));
$$;
COMMENT ON FUNCTION claiim.set_role(text, name) IS
'Proposes the database role that proves an agent''s identity; NULL for none. Returns the change. Errors: 42501 without the admin capability in its organization; 42710 if the role is bound; 42704, 22023 for the role; 55000 if the agent is retired, or has no role to lose.';

CREATE FUNCTION claiim.transfer_anchor(agent text, human text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('anchor.transfer', claiim._agent_org(agent), agent,
						   jsonb_build_object('anchor', human));
$$;
COMMENT ON FUNCTION claiim.transfer_anchor(text, text) IS
'Proposes another human as accountable for an agent. Records of before keep the old one. Returns the change. Errors: 42501 without the admin capability in its organization; 42704 unless the human is active and a member there or above; 42710 for the anchor of today; 55000 if the agent is retired; 22004, 22023.';

/* Targets: the founding organization decides which belong to whom */

CREATE FUNCTION claiim.map_target(pattern text, org text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('target.map', claiim._founding_org(), pattern,
						   jsonb_build_object('org', org));
$$;
COMMENT ON FUNCTION claiim.map_target(text, text) IS
'Proposes that targets matching a pattern belong to an organization. Decided by the founding organization, for a mapping gives to one what it takes from another. Returns the change. Errors: 42501 without the admin capability there; 22023 for a bad pattern; 42704 for a missing organization; 42710 if it is so already; 22004.';

CREATE FUNCTION claiim.unmap_target(pattern text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('target.unmap', claiim._founding_org(), pattern, '{}');
$$;
COMMENT ON FUNCTION claiim.unmap_target(text) IS
'Proposes to forget a pattern. Decided by the founding organization. Returns the change. Errors: 42501 without the admin capability there; 42704 if it is not mapped; 22004, 22023.';

/* Policies */

CREATE FUNCTION claiim.bind_policy(agent text, policy_version text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('policy.bind', claiim._agent_org(agent), agent,
						   jsonb_build_object('policy', policy_version));
$$;
COMMENT ON FUNCTION claiim.bind_policy(text, text) IS
'Proposes the policy version that governs an agent, in place of the present one. Returns the change. Errors: 42501 without the admin capability in its organization; 42704 unless the version belongs to it or to one above; 22023 if the version names no skill, one that the agent does not declare, or fails its own tests; 42710 if it is bound already; 55000 if the agent is retired; 22004.';

CREATE FUNCTION claiim.bind_baseline(org text, policy_version text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('baseline.bind', org, org,
						   jsonb_build_object('policy', policy_version));
$$;
COMMENT ON FUNCTION claiim.bind_baseline(text, text) IS
'Proposes the policy version that limits all agents of an organization and of those below it, in place of the present one. Returns the change. Errors: 42501 without the admin capability there; 42704 unless the version belongs to it or to one above; 42710 if it is bound already; 22004, 22023.';

CREATE FUNCTION claiim.unbind_baseline(org text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('baseline.unbind', org, org, '{}');
$$;
COMMENT ON FUNCTION claiim.unbind_baseline(text) IS
'Proposes that an organization has no baseline of its own. Returns the change. Errors: 42501 without the admin capability there; 42704 if it has none; 22004.';
