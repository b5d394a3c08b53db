/*-------------------------------------------------------------------------
 *
 * 08_quorums.sql
 *	  The kinds of change, and when one is approved.
 *
 * Approvals are counted when it matters, at the last one: only those count
 * whose humans are active and hold the capability then, and their rows are
 * locked so that it stays so until the change has taken effect.  As many are
 * needed as when it was proposed, or as now, whichever is more: raising a
 * quorum reaches what is pending, lowering it does not.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._kinds(OUT kind text, OUT widens boolean, OUT emergency text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE ROWS 30
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES
		('org.register', false, NULL),
		('org.resume', true, 'org'),
		('human.register', false, NULL),
		('human.reactivate', false, NULL),
		('capability.grant', false, NULL),
		('capability.revoke', false, NULL),
		('agent.register', true, NULL),
		('agent.retire', false, NULL),
		('agent.resume', true, 'agent'),
		('agent.skills', true, 'agent'),
		('agent.role', true, 'agent'),
		('anchor.transfer', false, 'agent'),
		('target.map', true, 'org'),
		('target.unmap', false, NULL),
		('policy.bind', true, 'agent'),
		('baseline.bind', true, 'org'),
		('baseline.unbind', true, 'org'),
		('session.grant', true, 'agent'),
		('quorum.set', false, NULL),
		('break_glass.permit', false, NULL),
		('retention.set', false, NULL),
		('hold.release', false, NULL),
		('context.erase', false, NULL);
$$;
COMMENT ON FUNCTION claiim._kinds() IS
'The kinds of change, which claiim._effect knows how to make. widens: it can let an agent do more, or all of an organization, so that the anchor is not the only one to approve it; emergency: it can be done by break-glass, and whom it bounds then: an agent, or the agents of an organization.';

CREATE FUNCTION claiim._quorum(org text, kind text) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(
		(SELECT q.approvals FROM claiim.quorums q
		 WHERE q.kind = _quorum.kind AND claiim._covers(q.org, _quorum.org)
		 ORDER BY length(q.org) DESC
		 LIMIT 1),
		(SELECT q.approvals FROM claiim.quorums q
		 WHERE q.kind = '*' AND claiim._covers(q.org, _quorum.org)
		 ORDER BY length(q.org) DESC
		 LIMIT 1),
		1);
$$;
COMMENT ON FUNCTION claiim._quorum(text, text) IS
'How many approvals a kind of change takes in an organization today: what the nearest organization says of that kind, from it upwards; else what the nearest says of all kinds (*); else one.';

CREATE FUNCTION claiim._consenting_org(c claiim.changes) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.org
	FROM (SELECT c.payload ->> 'org') AS t (org)
	WHERE c.kind = 'capability.grant'
		AND NOT claiim._covers(c.org, t.org)
		AND EXISTS (
			SELECT
			FROM claiim.memberships m
				JOIN claiim.humans h ON h.human = m.human
			WHERE m.capability = 'approver' AND h.status = 'active'
				AND m.human <> c.proposed_by
				AND claiim._covers(m.org, t.org));
$$;
COMMENT ON FUNCTION claiim._consenting_org(claiim.changes) IS
'The organization in which a change grants a capability, if it is neither the one that decides nor below it, and has approvers of its own: one of them has to approve as well, or the founding organization could let its people into any. NULL for all other changes.';

CREATE FUNCTION claiim._sees_change(c claiim.changes) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.org = ANY (v.orgs)
		OR (c.kind = 'capability.grant' AND c.payload ->> 'org' = ANY (v.orgs)
			AND NOT claiim._covers(c.org, c.payload ->> 'org'))
	FROM claiim._visible_orgs('{admin,approver,auditor}') AS v (orgs);
$$;
COMMENT ON FUNCTION claiim._sees_change(claiim.changes) IS
'Whether the human who is logged in sees a change: that of a visible organization, or one that grants a capability in it from outside. As the table''s row security.';

CREATE FUNCTION claiim._needed(c claiim.changes) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(
		c.quorum,
		claiim._quorum(c.org, c.kind) + (claiim._consenting_org(c) IS NOT NULL)::integer,
		CASE c.kind WHEN 'quorum.set' THEN claiim._quorum(c.org, c.subject) END);
$$;
COMMENT ON FUNCTION claiim._needed(claiim.changes) IS
'How many approvals a change needs: as many as when it was proposed, or as now, whichever is more; one more where another organization has to consent; and a quorum is changed by no fewer than it asks for itself.';

CREATE FUNCTION claiim._approvers(c claiim.changes) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(a.human ORDER BY a.approved_at, a.human), '{}')
	FROM claiim.approvals a
	WHERE a.change = c.change
		AND a.human <> c.proposed_by
		AND (claiim._may(a.human, 'approver', c.org)
			 OR claiim._may(a.human, 'approver', claiim._consenting_org(c)));
$$;
COMMENT ON FUNCTION claiim._approvers(claiim.changes) IS
'Who has approved a change, of those whose approval counts now. Locks nothing.';

CREATE FUNCTION claiim._add_approval(c claiim.changes, human text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM claiim.approvals a
			   WHERE a.change = c.change AND a.human = _add_approval.human) THEN
		RAISE EXCEPTION 'human "%" has already approved change %', human, c.change
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'It takes another human.';
	END IF;
	INSERT INTO claiim.approvals (change, human) VALUES (c.change, human);
END
$$;
COMMENT ON FUNCTION claiim._add_approval(claiim.changes, text) IS
'Notes an approval. Errors: 42501 if this human has approved the change before.';

CREATE FUNCTION claiim._widened_anchor(c claiim.changes) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN c.kind = 'agent.register' THEN c.payload ->> 'anchor'
		WHEN k.emergency = 'org' THEN (
			SELECT min(n.human)
			FROM claiim.agents a
				JOIN claiim.anchors n ON n.agent = a.agent AND n.valid_until IS NULL
			WHERE a.status <> 'retired'
				AND claiim._covers(CASE c.kind WHEN 'target.map' THEN c.payload ->> 'org'
								   ELSE c.subject END, a.org)
			HAVING min(n.human) = max(n.human))
		ELSE (SELECT n.human FROM claiim.anchors n
			  WHERE n.agent = c.subject
				AND n.valid_until IS NULL)
		END
	FROM claiim._kinds() k
	WHERE k.kind = c.kind AND k.widens;
$$;
COMMENT ON FUNCTION claiim._widened_anchor(claiim.changes) IS
'The human accountable for the agent that a change may let do more, or for all agents of the organization whose agents it may; NULL if it does no such thing, or if there is none, or more than one.';

CREATE FUNCTION claiim._is_approved(c claiim.changes) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	approvers text[];
	anchor text := claiim._widened_anchor(c);
	host text := claiim._consenting_org(c);
	missing text;
BEGIN
	/* Who counts now counts until this transaction ends. */
	PERFORM claiim._holds(a.human, 'approver', c.org),
		claiim._holds(a.human, 'approver', host)
	FROM (SELECT x.human FROM claiim.approvals x
		  WHERE x.change = c.change
		  ORDER BY x.human) AS a;
	approvers := claiim._approvers(c);
	IF cardinality(approvers) < claiim._needed(c) THEN
		RETURN false;
	END IF;
	IF approvers <@ ARRAY[anchor] THEN
		RAISE EXCEPTION 'change % cannot be approved by the anchor alone', c.change
			USING ERRCODE = 'insufficient_privilege',
				  DETAIL = format('It may let agents do more for which human "%s" alone is accountable.', anchor),
				  HINT = format('Another human with the approver capability in organization "%s" must approve it.', c.org);
	END IF;
	SELECT o.org INTO missing
	FROM (VALUES (c.org, claiim._needed(c) - 1), (host, 1)) AS o (org, needed)
	WHERE host IS NOT NULL
		AND (SELECT count(*) FROM unnest(approvers) AS a (human)
			 WHERE claiim._may(a.human, 'approver', o.org)) < o.needed;
	IF FOUND THEN
		RAISE EXCEPTION 'change % needs an approval from organization "%"', c.change, missing
			USING ERRCODE = 'insufficient_privilege',
				  DETAIL = format('It grants a capability in organization "%s", and organization "%s" decides about the human.', host, c.org),
				  HINT = format('A human with the approver capability in organization "%s" must approve it.', missing);
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION claiim._is_approved(claiim.changes) IS
'Whether a change has all the approvals that it needs. Errors: 42501 if it has them from nobody but the anchor of the agent that it widens, or from only one of two organizations that both have to approve.';

CREATE FUNCTION claiim._tally(change text, OUT approvals integer, OUT needed integer,
							  OUT approved_by text[])
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT cardinality(a.humans), claiim._needed(c), a.humans
	FROM claiim.changes c, claiim._approvers(c) AS a (humans)
	WHERE c.change = _tally.change
		AND claiim._sees_change(c);
$$;
COMMENT ON FUNCTION claiim._tally(text) IS
'How many approvals a change has, how many it needs, and whose it has, for those who see the change.';

/* Setting one */

CREATE FUNCTION claiim.set_quorum(org text, kind text, approvals integer) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('quorum.set', org, kind,
						   jsonb_build_object('approvals', approvals));
$$;
COMMENT ON FUNCTION claiim.set_quorum(text, text, integer) IS
'Proposes how many humans must approve a kind of change (* for all kinds that have no number of their own) in an organization and below; NULL: as the organization above says, or one. It takes no fewer approvals than it changes. Returns the change. Errors: 42501 without the admin capability there; 22023 for what is no kind, and for fewer than 1 or more than 20; 55000 if the organization has not that many approvers beside an admin; 42710 if it is so already; 22004.';

CREATE FUNCTION claiim._quorum_set(c claiim.changes, actor text, apply boolean,
								   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted integer := c.payload ->> 'approvals';
	present integer;
BEGIN
	PERFORM claiim._check_text('kind', c.subject, 128);
	IF c.subject <> '*' AND NOT EXISTS (SELECT FROM claiim._kinds() k
										WHERE k.kind = c.subject) THEN
		RAISE EXCEPTION '"%" is not a kind of change', c.subject
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = format('Expected * or one of: %s.',
								(SELECT string_agg(k.kind, ', ' ORDER BY k.kind)
								 FROM claiim._kinds() k));
	END IF;
	IF wanted NOT BETWEEN 1 AND 20 THEN
		RAISE EXCEPTION 'a quorum cannot be % approvals', wanted
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected 1 to 20, or NULL for none of its own.';
	END IF;
	PERFORM claiim._org_for(c.org, apply);
	IF wanted > (SELECT max(x.n)
				 FROM claiim.memberships m
					JOIN claiim.humans h ON h.human = m.human
					CROSS JOIN LATERAL (
						SELECT count(DISTINCT a.human) AS n
						FROM claiim.memberships a
							JOIN claiim.humans ah ON ah.human = a.human
						WHERE a.capability = 'approver' AND ah.status = 'active'
							AND a.human <> m.human
							AND claiim._covers(a.org, c.org)) AS x
				 WHERE m.capability = 'admin' AND h.status = 'active'
					AND claiim._covers(m.org, c.org)) THEN
		RAISE EXCEPTION 'organization "%" has not % approvers beside an admin', c.org, wanted
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = 'Nothing that needs them could ever be approved there again.',
				  HINT = 'Grant the approver capability to more humans first.';
	END IF;
	SELECT q.approvals INTO present FROM claiim.quorums q
	WHERE q.org = c.org AND q.kind = c.subject;
	IF wanted IS NOT DISTINCT FROM present THEN
		RAISE EXCEPTION 'the quorum of "%" in organization "%" is so already', c.subject, c.org
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('approvals', present,
							   'in_force', claiim._quorum(c.org, c.subject));
	summary := format('changes of kind %L in %L need %s (now: %s)', c.subject, c.org,
		CASE WHEN wanted IS NULL THEN 'as many approvals as the organization above says'
		ELSE format('%s approvals', wanted) END,
		claiim._quorum(c.org, c.subject));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.quorums q WHERE q.org = c.org AND q.kind = c.subject;
	IF wanted IS NOT NULL THEN
		INSERT INTO claiim.quorums (org, kind, approvals)
		VALUES (c.org, c.subject, wanted);
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._quorum_set(claiim.changes, text, boolean) IS
'Kind quorum.set: a kind of change takes more approvals, or fewer. Errors: 22023 for the kind or the number; 55000 if there are too few approvers; 42710 if it is so already.';
