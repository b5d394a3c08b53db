/*-------------------------------------------------------------------------
 *
 * 09_effects.sql
 *	  What each kind of change checks, and what it does.
 *
 * One function a kind, all of one shape: (c, actor, apply) -> (base, summary).
 * It checks that the change is possible as things are; base is the state that
 * the change replaces, summary the change as a sentence.  Without apply it
 * ends there, and has locked nothing that anybody waits for.  With apply it
 * first locks the row that all changes of the subject lock (07_locks.sql), then
 * compares base with the one of the proposal, records the act, and makes the
 * change.
 *
 * Who may propose and approve is not decided here (08_changes.sql), but that
 * c.org is the organization to decide it is: a change comes only from
 * 10_registry.sql, which derives c.org from the subject.
 *
 *-------------------------------------------------------------------------
 */

/* Organizations */

CREATE FUNCTION claiim._org_register(c claiim.changes, actor text, apply boolean,
									 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	admin text := c.payload ->> 'admin';
	approver text := c.payload ->> 'approver';
	description text := c.payload ->> 'description';
BEGIN
	IF EXISTS (SELECT FROM claiim.orgs o WHERE o.org = c.subject) THEN
		RAISE EXCEPTION 'organization "%" already exists', c.subject
			USING ERRCODE = 'duplicate_object';
	END IF;
	IF description IS NOT NULL THEN
		PERFORM claiim._check_text('description', description, 1000);
	END IF;
	IF admin IS NOT NULL OR approver IS NOT NULL OR strpos(c.subject, '/') = 0 THEN
		IF admin IS NULL OR approver IS NULL OR admin = approver THEN
			RAISE EXCEPTION 'organization "%" needs an admin and another human as approver', c.subject
				USING ERRCODE = 'invalid_parameter_value',
					  HINT = 'Only below another organization both may be left out: those above then govern it.';
		END IF;
		PERFORM claiim._check_active_human(admin, c.org);
		PERFORM claiim._check_active_human(approver, c.org);
	END IF;
	base := '{}';
	summary := CASE WHEN admin IS NULL
		THEN format('register organization %L, governed from %L, description %s',
					c.subject, c.org, claiim._said(description))
		ELSE format('register organization %L, admin %L, approver %L, description %s',
					c.subject, admin, approver, claiim._said(description)) END;
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	INSERT INTO claiim.orgs (org, description) VALUES (c.subject, description);
	IF admin IS NOT NULL THEN
		INSERT INTO claiim.memberships (human, org, capability)
		VALUES (admin, c.subject, 'admin'), (approver, c.subject, 'approver');
		PERFORM claiim._enter_group(admin, 'admin');
		PERFORM claiim._enter_group(approver, 'approver');
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._org_register(claiim.changes, text, boolean) IS
'Kind org.register: a new organization, with a first admin and approver. Errors: 42710 if it exists; 22023, 42704 for the humans.';

CREATE FUNCTION claiim._org_resume(c claiim.changes, actor text, apply boolean,
								   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o claiim.orgs := claiim._org_for(c.subject, apply);
BEGIN
	IF o.status <> 'suspended' THEN
		RAISE EXCEPTION 'organization "%" is not suspended', o.org
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	base := jsonb_build_object('status', o.status, 'since', claiim._utc(o.status_since));
	summary := format('resume organization %L', o.org);
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.orgs x
	SET status = 'active', status_since = clock_timestamp()
	WHERE x.org = o.org;
END
$$;
COMMENT ON FUNCTION claiim._org_resume(claiim.changes, text, boolean) IS
'Kind org.resume: a suspended organization is active again. Errors: 55000 if it is not suspended.';

/* Humans and capabilities */

CREATE FUNCTION claiim._human_register(c claiim.changes, actor text, apply boolean,
									   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	role_name name := c.payload ->> 'role';
	full_name text := c.payload ->> 'full_name';
	capabilities text[] := claiim._text_array(c.payload -> 'capabilities');
	capability text;
BEGIN
	PERFORM claiim._check_name('human', c.subject);
	IF EXISTS (SELECT FROM claiim.humans h WHERE h.human = c.subject) THEN
		RAISE EXCEPTION 'human "%" is already registered', c.subject
			USING ERRCODE = 'duplicate_object',
				  HINT = 'For capabilities in another organization: claiim.grant_capability().';
	END IF;
	IF full_name IS NOT NULL THEN
		PERFORM claiim._check_text('full name', full_name, 200);
	END IF;
	FOREACH capability IN ARRAY capabilities LOOP
		PERFORM claiim._check_capability(capability);
	END LOOP;
	PERFORM claiim._check_role(role_name);
	IF apply THEN
		PERFORM claiim._serialize('role ' || role_name);	/* it is bound once */
	END IF;
	PERFORM claiim._check_role_free(role_name);
	base := '{}';
	summary := format('register human %L (%s), role %L, in %L with the capabilities: %s',
					  c.subject, coalesce('full name ' || quote_literal(full_name), 'no full name'),
					  role_name, c.org, claiim._list(capabilities));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	INSERT INTO claiim.humans (human, org, role_name, full_name)
	VALUES (c.subject, c.org, role_name, full_name);
	INSERT INTO claiim.memberships (human, org, capability)
	SELECT c.subject, c.org, x FROM unnest(capabilities) x;
	FOREACH capability IN ARRAY capabilities LOOP
		PERFORM claiim._enter_group(c.subject, capability);
	END LOOP;
END
$$;
COMMENT ON FUNCTION claiim._human_register(claiim.changes, text, boolean) IS
'Kind human.register: a new human, the home organization, the role to log in with, and first capabilities. Errors: 42710 if human or role is taken; 42704 if there is no such role; 22023, 22004.';

CREATE FUNCTION claiim._human_reactivate(c claiim.changes, actor text, apply boolean,
										 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h claiim.humans := claiim._human_for(c.subject, apply);
BEGIN
	IF h.status = 'active' THEN
		RAISE EXCEPTION 'human "%" is already active', h.human
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._check_role(h.role_name);
	base := jsonb_build_object('status', h.status, 'since', claiim._utc(h.status_since));
	summary := format('reactivate human %L, with the capabilities: %s', h.human,
		claiim._list(ARRAY(SELECT m.capability || ' in ' || m.org
						   FROM claiim.memberships m WHERE m.human = h.human
						   ORDER BY m.org, m.capability)));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.humans x
	SET status = 'active', status_since = clock_timestamp()
	WHERE x.human = h.human;
END
$$;
COMMENT ON FUNCTION claiim._human_reactivate(claiim.changes, text, boolean) IS
'Kind human.reactivate: an inactive human is active again, with all capabilities. Errors: 55000 if already active; 42704, 22023 for the role.';

CREATE FUNCTION claiim._capability_grant(c claiim.changes, actor text, apply boolean,
										 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted text := c.payload ->> 'capability';
	target text := c.payload ->> 'org';
BEGIN
	PERFORM claiim._check_capability(wanted);
	PERFORM claiim._check_active_human(c.subject);
	PERFORM claiim._check_org(target);
	PERFORM FROM claiim.memberships m
	WHERE m.human = c.subject AND m.org = target
		AND m.capability = wanted;
	IF FOUND THEN
		RAISE EXCEPTION 'human "%" already holds the % capability in organization "%"',
				c.subject, wanted, target
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('decided_by', claiim._granting_org(c.subject, target));
	summary := format('grant %L the %s capability in %L', c.subject, wanted, target);
	IF NOT apply THEN
		RETURN;
	END IF;

	/* In the organization that it concerns, for its auditors to see. */
	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor, org => target);
	INSERT INTO claiim.memberships (human, org, capability)
	VALUES (c.subject, target, wanted);
	PERFORM claiim._enter_group(c.subject, wanted);
END
$$;
COMMENT ON FUNCTION claiim._capability_grant(claiim.changes, text, boolean) IS
'Kind capability.grant: a human may do more. Errors: 42704 unless the human is active and the organization exists; 42710 if held already; 22023.';

CREATE FUNCTION claiim._capability_revoke(c claiim.changes, actor text, apply boolean,
										  OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted text := c.payload ->> 'capability';
	m claiim.memberships;
BEGIN
	PERFORM claiim._check_capability(wanted);
	PERFORM claiim._check_text('human', c.subject, 128);
	/* Two revocations at once must not each count on the other's human. */
	PERFORM claiim._org_for(c.org, apply);
	SELECT x.* INTO m FROM claiim.memberships x
	WHERE x.human = c.subject AND x.org = c.org
		AND x.capability = wanted;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'human "%" does not hold the % capability in organization "%" itself',
				c.subject, wanted, c.org
			USING ERRCODE = 'undefined_object';
	END IF;
	IF wanted IN ('admin', 'approver') AND strpos(c.org, '/') = 0
		AND NOT claiim._keeps_two_persons(c.org, c.subject, wanted) THEN
		RAISE EXCEPTION 'organization "%" would be left without an admin and %', c.org,
				claiim._others_needed(c.org)
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Grant the capability to somebody else first.';
	END IF;
	base := jsonb_build_object('granted_at', claiim._utc(m.granted_at));
	summary := format('revoke the %s capability of %L in %L', wanted, c.subject, c.org);
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.memberships x
	WHERE x.human = m.human AND x.org = m.org AND x.capability = m.capability;
END
$$;
COMMENT ON FUNCTION claiim._capability_revoke(claiim.changes, text, boolean) IS
'Kind capability.revoke: a human may do less. Errors: 42704 if not held there; 55000 if a top-level organization would be left without two persons to govern it; 22023.';

/* Agents and anchors */

CREATE FUNCTION claiim._agent_register(c claiim.changes, actor text, apply boolean,
									   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	anchor text := c.payload ->> 'anchor';
	skills text[] := claiim._text_array(c.payload -> 'skills');
	role_name name := c.payload ->> 'role';
	description text := c.payload ->> 'description';
BEGIN
	PERFORM claiim._check_name('agent', c.subject);
	IF EXISTS (SELECT FROM claiim.agents a WHERE a.agent = c.subject) THEN
		RAISE EXCEPTION 'the agent name "%" is taken', c.subject
			USING ERRCODE = 'duplicate_object',
				  HINT = 'Agents'' names are unique across organizations, and are never used again.';
	END IF;
	IF description IS NOT NULL THEN
		PERFORM claiim._check_text('description', description, 1000);
	END IF;
	PERFORM claiim._check_skills(skills);
	PERFORM claiim._check_anchor(anchor, c.org);
	IF role_name IS NOT NULL THEN
		PERFORM claiim._check_role(role_name);
		IF apply THEN
			PERFORM claiim._serialize('role ' || role_name);	/* it is bound once */
		END IF;
		PERFORM claiim._check_role_free(role_name);
	END IF;
	base := '{}';
	summary := format('register agent %L in %L, anchor %L, skills: %s, role: %s, description: %s',
					  c.subject, c.org, anchor, claiim._list(skills),
					  claiim._said(role_name), claiim._said(description));
	IF NOT apply THEN
		PERFORM claiim._notice_unpublished(skills, c.org);
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	INSERT INTO claiim.agents (agent, org, description, skills, role_name)
	VALUES (c.subject, c.org, description, skills, role_name);
	INSERT INTO claiim.anchors (agent, human, valid_from)
	VALUES (c.subject, anchor, clock_timestamp());
	IF role_name IS NOT NULL THEN
		PERFORM claiim._bind_role(role_name, 'claiim_agent');
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._agent_register(claiim.changes, text, boolean) IS
'Kind agent.register: a new agent with its anchor, declared skills and, if given, its role. Errors: 42710 if name or role is taken; 42704 for a missing human or role; 22023, 22004.';

CREATE FUNCTION claiim._agent_retire(c claiim.changes, actor text, apply boolean,
									 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents := claiim._agent_for(c.subject, apply);
BEGIN
	PERFORM claiim._check_not_retired(a);
	PERFORM claiim._check_text('reason', c.payload ->> 'reason', 1000);
	base := '{}';
	summary := format('retire agent %L for good: %L', a.agent, c.payload ->> 'reason');
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.agents x
	SET status = 'retired', status_since = clock_timestamp()
	WHERE x.agent = a.agent;
END
$$;
COMMENT ON FUNCTION claiim._agent_retire(claiim.changes, text, boolean) IS
'Kind agent.retire: an agent is denied for good. Errors: 55000 if it is retired; 22004, 22023 for the reason.';

CREATE FUNCTION claiim._agent_resume(c claiim.changes, actor text, apply boolean,
									 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents := claiim._agent_for(c.subject, apply);
BEGIN
	PERFORM claiim._check_not_retired(a);
	IF a.status <> 'suspended' THEN
		RAISE EXCEPTION 'agent "%" is not suspended', a.agent
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._check_text('reason', c.payload ->> 'reason', 1000);
	base := jsonb_build_object('status', a.status, 'since', claiim._utc(a.status_since));
	summary := format('resume agent %L: %L', a.agent, c.payload ->> 'reason');
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.agents x
	SET status = 'active', status_since = clock_timestamp()
	WHERE x.agent = a.agent;
END
$$;
COMMENT ON FUNCTION claiim._agent_resume(claiim.changes, text, boolean) IS
'Kind agent.resume: a suspended agent is active again. Errors: 55000 if it is not suspended; 22004, 22023 for the reason.';

CREATE FUNCTION claiim._agent_skills(c claiim.changes, actor text, apply boolean,
									 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents := claiim._agent_for(c.subject, apply);
	declared text[] := claiim._text_array(c.payload -> 'skills');
BEGIN
	PERFORM claiim._check_not_retired(a);
	PERFORM claiim._check_skills(declared);
	base := jsonb_build_object('skills', a.skills);
	summary := format('agent %L declares the skills: %s (now: %s)',
					  a.agent, claiim._list(declared), claiim._list(a.skills));
	IF NOT apply THEN
		PERFORM claiim._notice_unpublished(declared, a.org);
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.agents x SET skills = declared WHERE x.agent = a.agent;
END
$$;
COMMENT ON FUNCTION claiim._agent_skills(claiim.changes, text, boolean) IS
'Kind agent.skills: an agent declares other skills. Errors: 55000 if it is retired; 22004, 22023.';

CREATE FUNCTION claiim._agent_role(c claiim.changes, actor text, apply boolean,
								   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents := claiim._agent_for(c.subject, apply);
	new_role name := c.payload ->> 'role';
BEGIN
	IF new_role IS NOT NULL THEN
		PERFORM claiim._check_not_retired(a);
		PERFORM claiim._check_role(new_role);
		IF apply THEN
			PERFORM claiim._serialize('role ' || new_role);	/* it is bound once */
		END IF;
		PERFORM claiim._check_role_free(new_role);
	ELSIF a.role_name IS NULL THEN
		RAISE EXCEPTION 'agent "%" has no role', a.agent
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	base := jsonb_build_object('role', a.role_name);
	summary := format('bind agent %L to role %s (now: %s)', a.agent,
					  claiim._said(new_role), claiim._said(a.role_name));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.agents x SET role_name = new_role WHERE x.agent = a.agent;
	IF new_role IS NOT NULL THEN
		PERFORM claiim._bind_role(new_role, 'claiim_agent');
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._agent_role(claiim.changes, text, boolean) IS
'Kind agent.role: an agent is known by another database role, or by none. Errors: 42710 if the role is bound; 42704, 22023 for the role; 55000 if the agent is retired, or has no role to lose.';

CREATE FUNCTION claiim._anchor_transfer(c claiim.changes, actor text, apply boolean,
										OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents := claiim._agent_for(c.subject, apply);
	anchor text := c.payload ->> 'anchor';
	present claiim.anchors;
	moment timestamptz;
BEGIN
	PERFORM claiim._check_not_retired(a);
	PERFORM claiim._check_anchor(anchor, a.org);
	SELECT x.* INTO present FROM claiim.anchors x
	WHERE x.agent = a.agent AND x.valid_until IS NULL;
	IF present.human = anchor THEN
		RAISE EXCEPTION 'human "%" is already the anchor of agent "%"', anchor, a.agent
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('anchor', present.human, 'since', claiim._utc(present.valid_from));
	summary := format('make %L the anchor of agent %L (now: %s)', anchor, a.agent,
					  claiim._said(present.human));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	/* Later than the present one's, also where the clock has been set back. */
	moment := greatest(clock_timestamp(), present.valid_from + interval '1 microsecond');
	UPDATE claiim.anchors x SET valid_until = moment
	WHERE x.agent = a.agent AND x.valid_until IS NULL;
	INSERT INTO claiim.anchors (agent, human, valid_from)
	VALUES (a.agent, anchor, moment);
END
$$;
COMMENT ON FUNCTION claiim._anchor_transfer(claiim.changes, text, boolean) IS
'Kind anchor.transfer: another human is accountable for an agent from now on. Errors: 42704 unless the human is active and a member; 42710 for the anchor of today; 55000 if the agent is retired.';

/* Targets */

CREATE FUNCTION claiim._target_map(c claiim.changes, actor text, apply boolean,
								   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := c.payload ->> 'org';
	present text;
BEGIN
	PERFORM claiim._pattern_check(c.subject, '/');
	PERFORM claiim._check_org(owner);
	PERFORM claiim._org_for(c.org, apply);
	SELECT t.org INTO present FROM claiim.targets t
	WHERE t.pattern = c.subject;
	IF present = owner THEN
		RAISE EXCEPTION 'targets "%" already belong to organization "%"', c.subject, owner
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('org', present);
	summary := format('targets %L belong to %L (now: %s)', c.subject, owner,
					  coalesce(quote_literal(present), 'not mapped'));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.targets t WHERE t.pattern = c.subject;
	INSERT INTO claiim.targets (pattern, org) VALUES (c.subject, owner);
END
$$;
COMMENT ON FUNCTION claiim._target_map(claiim.changes, text, boolean) IS
'Kind target.map: targets belong to an organization. Errors: 22023 for a bad pattern; 42704 if there is no such organization; 42710 if they already do.';

CREATE FUNCTION claiim._target_unmap(c claiim.changes, actor text, apply boolean,
									 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present text;
BEGIN
	PERFORM claiim._check_text('pattern', c.subject, 256);
	PERFORM claiim._org_for(c.org, apply);
	SELECT t.org INTO present FROM claiim.targets t
	WHERE t.pattern = c.subject;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'targets "%" are not mapped', c.subject
			USING ERRCODE = 'undefined_object';
	END IF;
	base := jsonb_build_object('org', present);
	summary := format('targets %L no longer belong to %L', c.subject, present);
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.targets t WHERE t.pattern = c.subject;
END
$$;
COMMENT ON FUNCTION claiim._target_unmap(claiim.changes, text, boolean) IS
'Kind target.unmap: a pattern maps no longer; a less specific one may match instead. Errors: 42704 if it is not mapped; 22004, 22023.';

/* Policies: what governs an agent, or all agents of an organization */

CREATE FUNCTION claiim._policy_bind(c claiim.changes, actor text, apply boolean,
									OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents := claiim._agent_for(c.subject, apply);
	v claiim.policy_versions := claiim._usable_policy(c.payload ->> 'policy', c.org);
	skill text;
	skills text[];
	present claiim.bindings;
BEGIN
	PERFORM claiim._check_not_retired(a);
	skills := claiim._policy_check(v.source, c.org);
	IF cardinality(skills) = 0 THEN
		RAISE EXCEPTION 'policy version "%" cannot be bound to an agent', v.name
			USING ERRCODE = 'invalid_parameter_value',
				  DETAIL = 'It names no skill.',
				  HINT = 'Such a policy can be the baseline of an organization: claiim.bind_baseline().';
	END IF;
	FOREACH skill IN ARRAY skills LOOP
		IF regexp_replace(skill, '-v[0-9]+$', '') <> ALL (a.skills) THEN
			RAISE EXCEPTION 'agent "%" does not declare skill "%"', a.agent,
					regexp_replace(skill, '-v[0-9]+$', '')
				USING ERRCODE = 'invalid_parameter_value',
					  DETAIL = format('Policy version "%s" uses "%s".', v.name, skill),
					  HINT = 'Declare it first: claiim.set_skills().';
		END IF;
	END LOOP;
	SELECT b.* INTO present FROM claiim.bindings b
	WHERE b.agent = a.agent;
	IF present.policy_version = v.name THEN
		RAISE EXCEPTION 'policy version "%" is already bound to agent "%"', v.name, a.agent
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('policy', present.policy_version,
							   'change', present.change,
							   'sha256', encode(v.sha256, 'hex'));
	summary := format('bind policy %L to agent %L (now: %s)', v.name, a.agent,
					  claiim._said(present.policy_version));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor,
		jsonb_build_object('skills', skills, 'sha256', encode(v.sha256, 'hex')));
	DELETE FROM claiim.bindings b WHERE b.agent = a.agent;
	INSERT INTO claiim.bindings (agent, policy_version, change)
	VALUES (a.agent, v.name, c.change);
END
$$;
COMMENT ON FUNCTION claiim._policy_bind(claiim.changes, text, boolean) IS
'Kind policy.bind: a policy version governs an agent. Errors: 42704 unless it belongs to the agent''s organization or one above; 22023 if it names no skill, one that the agent does not declare, or fails its own tests; 42710 if it is bound already; 55000 if the agent is retired.';

CREATE FUNCTION claiim._baseline_bind(c claiim.changes, actor text, apply boolean,
									  OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v claiim.policy_versions := claiim._usable_policy(c.payload ->> 'policy', c.org);
	present claiim.bindings;
BEGIN
	PERFORM claiim._org_for(c.org, apply);
	PERFORM claiim._policy_check(v.source, c.org);
	SELECT b.* INTO present FROM claiim.bindings b
	WHERE b.org = c.org;
	IF present.policy_version = v.name THEN
		RAISE EXCEPTION 'policy version "%" is already the baseline of organization "%"', v.name, c.org
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('policy', present.policy_version,
							   'change', present.change,
							   'sha256', encode(v.sha256, 'hex'));
	summary := format('make policy %L the baseline of organization %L (now: %s)',
					  v.name, c.org, claiim._said(present.policy_version));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor,
		jsonb_build_object('sha256', encode(v.sha256, 'hex')));
	DELETE FROM claiim.bindings b WHERE b.org = c.org;
	INSERT INTO claiim.bindings (org, policy_version, change)
	VALUES (c.org, v.name, c.change);
END
$$;
COMMENT ON FUNCTION claiim._baseline_bind(claiim.changes, text, boolean) IS
'Kind baseline.bind: a policy version limits all agents of an organization and of those below it. Errors: 42704 unless it belongs to the organization or one above; 42710 if it is bound already; 22023.';

CREATE FUNCTION claiim._baseline_unbind(c claiim.changes, actor text, apply boolean,
										OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	present claiim.bindings;
BEGIN
	PERFORM claiim._org_for(c.org, apply);
	SELECT b.* INTO present FROM claiim.bindings b
	WHERE b.org = c.org;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'organization "%" has no baseline', c.org
			USING ERRCODE = 'undefined_object';
	END IF;
	base := jsonb_build_object('policy', present.policy_version,
							   'change', present.change);
	summary := format('organization %L has no baseline (now: %L)', c.org,
					  present.policy_version);
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.bindings b WHERE b.org = c.org;
END
$$;
COMMENT ON FUNCTION claiim._baseline_unbind(claiim.changes, text, boolean) IS
'Kind baseline.unbind: an organization''s own baseline no longer limits; those above it still do. Errors: 42704 if it has none.';

/* The one place that knows all kinds */

CREATE FUNCTION claiim._effect(c claiim.changes, actor text, apply boolean,
							   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CASE c.kind
		WHEN 'org.register' THEN
			SELECT * INTO base, summary FROM claiim._org_register(c, actor, apply);
		WHEN 'org.resume' THEN
			SELECT * INTO base, summary FROM claiim._org_resume(c, actor, apply);
		WHEN 'human.register' THEN
			SELECT * INTO base, summary FROM claiim._human_register(c, actor, apply);
		WHEN 'human.reactivate' THEN
			SELECT * INTO base, summary FROM claiim._human_reactivate(c, actor, apply);
		WHEN 'capability.grant' THEN
			SELECT * INTO base, summary FROM claiim._capability_grant(c, actor, apply);
		WHEN 'capability.revoke' THEN
			SELECT * INTO base, summary FROM claiim._capability_revoke(c, actor, apply);
		WHEN 'agent.register' THEN
			SELECT * INTO base, summary FROM claiim._agent_register(c, actor, apply);
		WHEN 'agent.retire' THEN
			SELECT * INTO base, summary FROM claiim._agent_retire(c, actor, apply);
		WHEN 'agent.resume' THEN
			SELECT * INTO base, summary FROM claiim._agent_resume(c, actor, apply);
		WHEN 'agent.skills' THEN
			SELECT * INTO base, summary FROM claiim._agent_skills(c, actor, apply);
		WHEN 'agent.role' THEN
			SELECT * INTO base, summary FROM claiim._agent_role(c, actor, apply);
		WHEN 'anchor.transfer' THEN
			SELECT * INTO base, summary FROM claiim._anchor_transfer(c, actor, apply);
		WHEN 'target.map' THEN
			SELECT * INTO base, summary FROM claiim._target_map(c, actor, apply);
		WHEN 'target.unmap' THEN
			SELECT * INTO base, summary FROM claiim._target_unmap(c, actor, apply);
		WHEN 'policy.bind' THEN
			SELECT * INTO base, summary FROM claiim._policy_bind(c, actor, apply);
		WHEN 'baseline.bind' THEN
			SELECT * INTO base, summary FROM claiim._baseline_bind(c, actor, apply);
		WHEN 'baseline.unbind' THEN
			SELECT * INTO base, summary FROM claiim._baseline_unbind(c, actor, apply);
		WHEN 'session.grant' THEN
			SELECT * INTO base, summary FROM claiim._session_grant(c, actor, apply);
		WHEN 'quorum.set' THEN
			SELECT * INTO base, summary FROM claiim._quorum_set(c, actor, apply);
		WHEN 'break_glass.permit' THEN
			SELECT * INTO base, summary FROM claiim._break_glass_permit(c, actor, apply);
		WHEN 'retention.set' THEN
			SELECT * INTO base, summary FROM claiim._retention_set(c, actor, apply);
		WHEN 'hold.release' THEN
			SELECT * INTO base, summary FROM claiim._hold_release(c, actor, apply);
		WHEN 'context.erase' THEN
			SELECT * INTO base, summary FROM claiim._context_erase(c, actor, apply);
	END CASE;
END
$$;
COMMENT ON FUNCTION claiim._effect(claiim.changes, text, boolean) IS
'Checks a change, and with apply makes it, by the function of its kind. Errors: whatever that function objects to; 20000 for a kind that does not exist.';
