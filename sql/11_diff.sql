/*-------------------------------------------------------------------------
 *
 * 11_diff.sql
 *	  What a change does, readable: for those who approve it, and for those
 *	  who think about proposing it.
 *
 * For policies, baselines and declared skills it is what agents may do that
 * they may not do now, and the reverse, decided by the gate's own evaluator
 * over everything that governs them: their own policy, their skills, and all
 * baselines above them.  It is not kept with the change but computed when it
 * is read: the versions that it compares never change, that the one to be
 * replaced is still bound is checked by the approval, and what else governs
 * the agents counts as it is when somebody looks.
 *
 * Nothing here locks or writes, but for the proposal's checks that a dry run
 * makes.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._policy_diff(
	skills_before text[], policy_before text, baselines_before text[],
	skills_after text[], policy_after text, baselines_after text[],
	OUT effect text, OUT action text, OUT target text, OUT exceptions text[],
	OUT before text, OUT after text)
RETURNS SETOF record
LANGUAGE C STABLE PARALLEL UNSAFE CALLED ON NULL INPUT COST 10000 ROWS 20
AS 'MODULE_PATHNAME', 'claiim_policy_diff';
COMMENT ON FUNCTION claiim._policy_diff(text[], text, text[], text[], text, text[]) IS
'What an agent that declares these skills (names without version) may do otherwise under one policy version (NULL: none) and these baselines, outermost first, than under others. effect: newly allowed, newly denied, changed (a session is needed or no longer is), or cut off, alone and with NULLs, if it is too much to be listed. The rest as claiim.change_diff. Errors: 42704 for a version that does not exist; 22004 for NULL arrays.';

CREATE FUNCTION claiim._baselines(org text, replaced text, replacement text) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(v.policy_version ORDER BY length(v.org)), '{}')
	FROM (SELECT b.org, b.policy_version
		  FROM claiim.bindings b
		  WHERE claiim._covers(b.org, _baselines.org)
			AND b.org IS DISTINCT FROM _baselines.replaced
		  UNION ALL
		  SELECT _baselines.replaced, _baselines.replacement
		  WHERE _baselines.replacement IS NOT NULL
			AND claiim._covers(_baselines.replaced, _baselines.org)) AS v;
$$;
COMMENT ON FUNCTION claiim._baselines(text, text, text) IS
'The policy versions that are baselines for an organization''s agents, outermost first, as if organization replaced (NULL: no other) had replacement (NULL: none) as its own.';

CREATE FUNCTION claiim._shown(value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE jsonb_typeof(value)
		WHEN 'array' THEN claiim._list(claiim._text_array(value))
		ELSE value #>> '{}' END;
$$;
COMMENT ON FUNCTION claiim._shown(jsonb) IS
'A field of a payload for people: a list comma separated, anything else its text; NULL for null.';

CREATE FUNCTION claiim._field_rows(c claiim.changes)
RETURNS TABLE (field text, before text, after text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH sides AS (
		SELECT (coalesce(nullif(c.payload -> 'base', 'null'), '{}')
					- '{since,change,sha256,granted_at,decided_by,in_force,requested_at,context_digest}'::text[])
				|| CASE c.kind
				   WHEN 'capability.revoke'
				   THEN jsonb_build_object('capability', c.payload -> 'capability')
				   ELSE '{}' END AS before,
			(c.payload - CASE c.kind
						 WHEN 'capability.revoke' THEN '{base,capability}'
						 ELSE '{base}' END::text[])
				|| CASE
				   WHEN c.kind IN ('agent.resume', 'org.resume', 'human.reactivate')
				   THEN '{"status": "active"}'
				   WHEN c.kind = 'agent.retire' THEN '{"status": "retired"}'
				   WHEN c.kind = 'session.grant'
				   THEN jsonb_build_object('valid_for', (c.payload ->> 'valid_for') || ' seconds')
				   WHEN c.kind = 'break_glass.permit' THEN '{"break_glass": true}'
				   ELSE '{}' END::jsonb AS after)
	SELECT k.field, claiim._shown(s.before -> k.field), claiim._shown(s.after -> k.field)
	FROM sides s,
		LATERAL (SELECT jsonb_object_keys(s.before)
				 UNION
				 SELECT jsonb_object_keys(s.after)) AS k (field)
	WHERE claiim._shown(s.before -> k.field)
			IS DISTINCT FROM claiim._shown(s.after -> k.field)
	ORDER BY k.field COLLATE "C";
$$;
COMMENT ON FUNCTION claiim._field_rows(claiim.changes) IS
'What a change of any kind does, field by field, from the state that it was based on and its content.';

CREATE FUNCTION claiim._permission_rows(c claiim.changes, max_groups integer)
RETURNS TABLE (effect text, action text, target text, exceptions text[],
			   before text, after text, agents text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_baseline boolean := c.kind IN ('baseline.bind', 'baseline.unbind');
	old_version text := c.payload -> 'base' ->> 'policy';
	new_version text := c.payload ->> 'policy';
	n integer := 0;
	g record;
BEGIN
	FOR g IN
		SELECT array_agg(a.agent ORDER BY a.agent COLLATE "C") AS agents,
			a.skills, b.policy_version, o.old_baselines, o.new_baselines
		FROM claiim.agents a
			LEFT JOIN claiim.bindings b ON b.agent = a.agent
			JOIN (SELECT x.org,
					claiim._baselines(x.org, CASE WHEN is_baseline THEN c.org END, old_version) AS old_baselines,
					claiim._baselines(x.org, CASE WHEN is_baseline THEN c.org END, new_version) AS new_baselines
				  FROM claiim.orgs x
				  WHERE claiim._covers(c.org, x.org)) AS o ON o.org = a.org
		WHERE CASE WHEN is_baseline
			THEN a.status <> 'retired' AND b.policy_version IS NOT NULL
			ELSE a.agent = c.subject END
		GROUP BY a.skills, b.policy_version, o.old_baselines, o.new_baselines
		ORDER BY 1
	LOOP
		n := n + 1;
		IF n > max_groups THEN
			RETURN QUERY SELECT 'not shown', NULL::text, NULL::text, NULL::text[],
				NULL::text, NULL::text, g.agents;
			CONTINUE;
		END IF;
		RETURN QUERY
			SELECT d.*, g.agents
			FROM claiim._policy_diff(
				CASE c.kind WHEN 'agent.skills'
					THEN claiim._text_array(c.payload -> 'base' -> 'skills')
					ELSE g.skills END,
				CASE c.kind WHEN 'policy.bind' THEN old_version ELSE g.policy_version END,
				g.old_baselines,
				CASE c.kind WHEN 'agent.skills'
					THEN claiim._text_array(c.payload -> 'skills')
					ELSE g.skills END,
				CASE c.kind WHEN 'policy.bind' THEN new_version ELSE g.policy_version END,
				g.new_baselines) d;
	END LOOP;
END
$$;
COMMENT ON FUNCTION claiim._permission_rows(claiim.changes, integer) IS
'What agents may do otherwise after a change of a policy, a baseline or declared skills. Agents that are governed alike are one group; groups beyond max_groups (NULL: none are) are a row each with the effect not shown.';

CREATE FUNCTION claiim._change_rows(c claiim.changes, max_groups integer)
RETURNS TABLE (effect text, action text, target text, exceptions text[],
			   before text, after text, agents text[], field text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF c.kind NOT IN ('policy.bind', 'baseline.bind', 'baseline.unbind') THEN
		RETURN QUERY
			SELECT 'changed', NULL::text, NULL::text, NULL::text[],
				f.before, f.after, NULL::text[], f.field
			FROM claiim._field_rows(c) f;
	END IF;
	IF c.kind IN ('policy.bind', 'baseline.bind', 'baseline.unbind', 'agent.skills') THEN
		RETURN QUERY
			SELECT p.*, NULL::text FROM claiim._permission_rows(c, max_groups) p;
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._change_rows(claiim.changes, integer) IS
'The rows of claiim.change_diff. max_groups: as claiim._permission_rows.';

CREATE FUNCTION claiim.change_diff(change text)
RETURNS TABLE (effect text, action text, target text, exceptions text[],
			   before text, after text, agents text[], field text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c claiim.changes;
BEGIN
	PERFORM claiim._check_text('change', change, 128);
	SELECT x.* INTO c FROM claiim.changes x
	WHERE x.change = change_diff.change
		AND claiim._sees_change(x);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no change "%" that you can see', change
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such change, or you are neither admin, approver nor auditor in its organization.';
	END IF;
	RETURN QUERY SELECT * FROM claiim._change_rows(c, NULL);
END
$$;
COMMENT ON FUNCTION claiim.change_diff(text) IS
'What a change does, for those who see it in claiim.pending_changes, also after it was decided. Of policies, baselines and skills, a row for each difference in what agents may do as things are now: effect (newly allowed, newly denied, changed), action, target (patterns; ** is any target of the agent''s organization), exceptions (patterns that the row does not hold for), before and after (the verdict and the entry that gives it), agents. effect cut off: the difference is too much to be listed, compare the documents. No row: no difference. Of everything else, a row for each field: field, before, after. Errors: 42501, the same for a change that does not exist and for another organization''s; 22004, 22023.';

CREATE FUNCTION claiim._pattern_text(action text, target text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT action || CASE target WHEN '**' THEN '' ELSE ' on ' || target END;
$$;
COMMENT ON FUNCTION claiim._pattern_text(text, text) IS
'Patterns as a rule shows them: deploy:* on prod/**, without a target that is any.';

CREATE FUNCTION claiim._some(items text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_to_string(items[:5], ', ')
		|| CASE WHEN cardinality(items) > 5
		   THEN format(' and %s more', cardinality(items) - 5) ELSE '' END;
$$;
COMMENT ON FUNCTION claiim._some(text[]) IS
'The first five, comma separated, and how many more there are.';

CREATE FUNCTION claiim._diff_line(effect text, action text, target text,
								  exceptions text[], before text, after text,
								  field text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN field IS NOT NULL AND before IS NULL THEN format('%s: %s', field, after)
		WHEN field IS NOT NULL THEN format('%s: %s -> %s', field, before, coalesce(after, 'none'))
		WHEN effect = 'cut off' THEN '! this changes too much to be listed: compare the documents'
		ELSE CASE effect WHEN 'newly allowed' THEN '+ ' WHEN 'newly denied' THEN '- ' ELSE '~ ' END
			|| claiim._pattern_text(action, target)
			|| CASE
			   WHEN effect = 'newly denied' THEN ''
			   WHEN starts_with(after, 'ALLOW inside a session')
			   THEN CASE effect WHEN 'changed' THEN ' now only' ELSE '' END || ' inside a session'
			   WHEN effect = 'changed' THEN ' no longer needs a session'
			   ELSE '' END
			|| coalesce(', except ' || nullif(claiim._some(exceptions), ''), '')
		END;
$$;
COMMENT ON FUNCTION claiim._diff_line(text, text, text, text[], text, text, text) IS
'A row of claiim.change_diff as a line: + newly allowed, - newly denied, ~ changed, ! not listed.';

CREATE FUNCTION claiim.diff_text(change text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c claiim.changes;
	lines text[] := '{}';
	unseen text[] := '{}';
	heading text[];
	n integer := 0;
	r record;
BEGIN
	SELECT x.* INTO c FROM claiim.changes x
	WHERE x.change = diff_text.change
		AND claiim._sees_change(x);
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	FOR r IN SELECT * FROM claiim._change_rows(c, 20) LOOP
		IF r.effect = 'not shown' THEN
			unseen := unseen || r.agents;
			CONTINUE;
		END IF;
		n := n + 1;
		CONTINUE WHEN n > 50;
		/* One agent's change says which in its subject. */
		IF starts_with(c.kind, 'baseline.') AND r.agents IS DISTINCT FROM heading THEN
			heading := r.agents;
			lines := lines || (claiim._some(heading) || ':');
		END IF;
		lines := lines || (CASE WHEN heading IS NULL THEN '' ELSE '  ' END
						   || claiim._diff_line(r.effect, r.action, r.target,
												r.exceptions, r.before, r.after,
												r.field));
	END LOOP;
	IF n = 0 AND cardinality(unseen) = 0 THEN
		RETURN CASE
			WHEN c.kind IN ('policy.bind', 'baseline.bind', 'baseline.unbind')
			THEN 'nothing is newly allowed or newly denied'
			ELSE '' END;
	END IF;
	IF n > 50 THEN
		lines := lines || format('... and %s more lines: SELECT * FROM claiim.change_diff(%L)',
								 n - 50, c.change);
	END IF;
	IF cardinality(unseen) > 0 THEN
		lines := lines || format('... and %s more agents that were not looked at: SELECT * FROM claiim.change_diff(%L)',
								 cardinality(unseen), c.change);
	END IF;
	RETURN array_to_string(lines, E'\n');
END
$$;
COMMENT ON FUNCTION claiim.diff_text(text) IS
'What a change does, as lines for people: + what is newly allowed, - what is newly denied, ~ what needs a session, or no longer does; for other kinds each field with what it was. At most 50 lines and 20 groups of agents that are governed alike, and a count of the rest, which claiim.change_diff has. NULL for a change that you cannot see.';

/* Dry runs */

CREATE FUNCTION claiim.what_if(agent text, policy_version text)
RETURNS TABLE (effect text, action text, target text, exceptions text[],
			   before text, after text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c claiim.changes;
	proposal record;
BEGIN
	PERFORM claiim._check_text('agent', agent, 128);
	SELECT a.org INTO c.org FROM claiim.agents a
	WHERE a.agent = what_if.agent
		AND a.org = ANY (claiim._visible_orgs('{admin,approver}'));
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no agent "%" that you govern', agent
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such agent, or you are neither admin nor approver in its organization.';
	END IF;
	c.kind := 'policy.bind';
	c.subject := agent;
	c.payload := jsonb_build_object('policy', policy_version);
	proposal := claiim._effect(c, claiim._human_of_session(), false);
	c.payload := c.payload || jsonb_build_object('base', proposal.base);
	RETURN QUERY
		SELECT p.effect, p.action, p.target, p.exceptions, p.before, p.after
		FROM claiim._permission_rows(c, NULL) p;
END
$$;
COMMENT ON FUNCTION claiim.what_if(text, text) IS
'What an agent might do otherwise if this policy version were bound to it, without proposing it: rows as claiim.change_diff would give. Errors: 42501 unless you are admin or approver in its organization, be there such an agent or not; those of claiim.bind_policy, which would be refused for the same reason.';

CREATE FUNCTION claiim.what_if_baseline(org text, policy_version text)
RETURNS TABLE (effect text, action text, target text, exceptions text[],
			   before text, after text, agents text[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c claiim.changes;
	proposal record;
BEGIN
	PERFORM claiim._check_text('organization', org, 128);
	IF org <> ALL (claiim._visible_orgs('{admin,approver}')) THEN
		RAISE EXCEPTION 'there is no organization "%" that you govern', org
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such organization, or you are neither admin nor approver in it.';
	END IF;
	c.kind := CASE WHEN policy_version IS NULL THEN 'baseline.unbind' ELSE 'baseline.bind' END;
	c.org := org;
	c.subject := org;
	c.payload := jsonb_build_object('policy', policy_version);
	proposal := claiim._effect(c, claiim._human_of_session(), false);
	c.payload := c.payload || jsonb_build_object('base', proposal.base);
	RETURN QUERY SELECT p.* FROM claiim._permission_rows(c, NULL) p;
END
$$;
COMMENT ON FUNCTION claiim.what_if_baseline(text, text) IS
'What agents of an organization and of those below it might do otherwise if this policy version were its baseline (NULL: if it had none), without proposing it: rows as claiim.change_diff would give. Errors: 42501 unless you are admin or approver there, be there such an organization or not; those of claiim.bind_baseline and claiim.unbind_baseline, which would be refused for the same reason.';
