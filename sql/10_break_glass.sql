/*-------------------------------------------------------------------------
 *
 * 10_break_glass.sql
 *	  What one administrator does alone when nobody else can be found, and
 *	  what a second human makes of it.
 *
 * Break-glass applies a pending change of one's own, of the kinds that help in
 * an emergency.  It is written down with its reason, and opens a review.  What
 * it did holds for hours and not longer: the agent that it was about, or all
 * agents of the organization, are then denied by the gate itself, by its own
 * clock (emergency_until), so that no job has to come by for it to end.
 *
 * A review that finds it justified is the approval that was missing, with the
 * same quorum and the same rules, and lifts the bound.  One that finds it
 * unjustified suspends, at once, until two humans resume.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._may_break_glass(org text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NOT EXISTS (SELECT FROM claiim.orgs o
					   WHERE NOT o.break_glass
						AND claiim._covers(o.org, _may_break_glass.org));
$$;
COMMENT ON FUNCTION claiim._may_break_glass(text) IS
'Whether break-glass is forbidden neither in an organization nor above it.';

CREATE FUNCTION claiim._lock_bounded(r claiim.reviews) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM claiim.agents x WHERE x.agent = r.bounded_agent FOR NO KEY UPDATE;
	PERFORM FROM claiim.orgs x WHERE x.org = r.bounded_org FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION claiim._lock_bounded(claiim.reviews) IS
'Locks the row of the agent or organization that a review bounds.';

CREATE FUNCTION claiim._bound_emergency(r claiim.reviews) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	/* An UPDATE that waited for the row would see the reviews of before. */
	PERFORM claiim._lock_bounded(r);
	UPDATE claiim.agents x
	SET emergency_until = (SELECT min(o.lapses_at) FROM claiim.reviews o
						   WHERE o.bounded_agent = x.agent AND o.verdict IS NULL)
	WHERE x.agent = r.bounded_agent;
	UPDATE claiim.orgs x
	SET emergency_until = (SELECT min(o.lapses_at) FROM claiim.reviews o
						   WHERE o.bounded_org = x.org AND o.verdict IS NULL)
	WHERE x.org = r.bounded_org;
END
$$;
COMMENT ON FUNCTION claiim._bound_emergency(claiim.reviews) IS
'Sets emergency_until of the agent or organization of a review to when the first of its open reviews lapses.';

CREATE FUNCTION claiim.break_glass(change text, reason text,
								   valid_for interval DEFAULT '4 hours')
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes := claiim._pending_change(change, 'break the glass for');
	r claiim.reviews;
	bounds text;
BEGIN
	PERFORM claiim._require_direct('break_glass', change);
	IF c.proposed_by <> me THEN
		RAISE EXCEPTION 'the glass of change % can be broken by its proposer only', c.change
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Approve it: claiim.approve().';
	END IF;
	PERFORM claiim._require(me, 'admin', c.org);
	PERFORM claiim._check_text('reason', reason, 1000);
	PERFORM claiim._check_applicable(c);
	SELECT k.emergency INTO bounds FROM claiim._kinds() k WHERE k.kind = c.kind;
	IF bounds IS NULL THEN
		RAISE EXCEPTION 'break-glass is not for changes of kind %', c.kind
			USING ERRCODE = 'insufficient_privilege',
				  HINT = format('It is for: %s.',
								(SELECT string_agg(k.kind, ', ' ORDER BY k.kind)
								 FROM claiim._kinds() k WHERE k.emergency IS NOT NULL));
	END IF;
	/* It is not forbidden, and will not be until this is done. */
	PERFORM FROM claiim.orgs o
	WHERE claiim._covers(o.org, c.org)
	ORDER BY o.org
	FOR SHARE;
	IF NOT claiim._may_break_glass(c.org) THEN
		RAISE EXCEPTION 'break-glass is forbidden in organization "%"', c.org
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'A second human with the approver capability must approve the change.';
	END IF;
	IF valid_for IS NULL THEN
		RAISE EXCEPTION 'valid_for must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;

	r.review := claiim._typeid('rev');
	r.change := c.change;
	r.org := c.org;
	r.broken_by := me;
	r.reason := reason;
	r.opened_at := clock_timestamp();
	r.lapses_at := r.opened_at + valid_for;
	IF r.lapses_at <= r.opened_at OR r.lapses_at > r.opened_at + interval '24 hours' THEN
		RAISE EXCEPTION 'break-glass cannot hold for %', valid_for
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected an interval of at most 24 hours.';
	END IF;
	IF bounds = 'agent' THEN
		r.bounded_agent := c.subject;
	ELSE
		r.bounded_org := CASE c.kind WHEN 'target.map' THEN c.payload ->> 'org' ELSE c.org END;
	END IF;
	IF c.kind IN ('agent.resume', 'org.resume') THEN
		PERFORM claiim._lock_bounded(r);
		/* Suspended by the review, or already when that said so. */
		IF EXISTS (
			SELECT FROM claiim.reviews v
				LEFT JOIN claiim.agents a ON a.agent = v.bounded_agent
				LEFT JOIN claiim.orgs o ON o.org = v.bounded_org
			WHERE v.verdict = 'unjustified'
				AND (v.bounded_agent = r.bounded_agent OR v.bounded_org = r.bounded_org)
				AND v.closed_at >= coalesce(a.status_since, o.status_since)) THEN
			RAISE EXCEPTION 'what a review has suspended cannot be resumed by break-glass'
				USING ERRCODE = 'insufficient_privilege',
					  HINT = 'A second human with the approver capability must approve the change.';
		END IF;
	END IF;

	PERFORM claiim._act('break_glass', me, c.org, c.subject, c.change,
		jsonb_build_object(
			'review', r.review,
			'kind', c.kind,
			'summary', c.summary,
			'digest', encode(c.digest, 'hex'),
			'reason', reason,
			'agent', r.bounded_agent,
			'org', r.bounded_org,
			'lapses_at', claiim._utc(r.lapses_at)));
	INSERT INTO claiim.reviews SELECT r.*;
	PERFORM claiim._effect(c, me, true);
	UPDATE claiim.changes x
	SET status = 'applied', decided_at = clock_timestamp(), decided_by = me
	WHERE x.change = c.change;
	PERFORM claiim._bound_emergency(r);
	RAISE WARNING 'break-glass: human "%" has applied change % in organization "%" alone', me, c.change, c.org
		USING DETAIL = format('%s. Reason: %L. It lapses at %s unless review %s finds it justified.',
							  c.summary, reason, r.lapses_at, r.review);
	RETURN r.review;
END
$$;
COMMENT ON FUNCTION claiim.break_glass(text, text, interval) IS
'Applies a pending change without approval, for its proposer, with a written reason; returns the review that it opens. After valid_for (at most 24 hours) the gate denies the agent that it was about, or the organization''s agents, unless other humans have closed the review as justified. Call it by a statement of its own. Errors: 42501 unless the human proposed the change and holds admin in its organization, for a kind that is not for emergencies, where break-glass is forbidden, to resume what a review has suspended, and for a call from a function or a view; 55000 and XX001 as claiim.approve; 22023, 22004; whatever its kind objects to.';

CREATE FUNCTION claiim._suspend_bounded(r claiim.reviews, actor text, reason text,
										moment timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents;
	o claiim.orgs;
BEGIN
	IF r.bounded_agent IS NOT NULL THEN
		a := claiim._seize_agent(r.bounded_agent);
		IF a.status = 'active' THEN
			PERFORM claiim._act('agent.suspend', actor, a.org, a.agent, r.change,
				jsonb_build_object('reason', reason, 'review', r.review));
			UPDATE claiim.agents x SET status = 'suspended', status_since = moment
			WHERE x.agent = a.agent;
		END IF;
	ELSE
		o := claiim._seize_org(r.bounded_org);
		IF o.status = 'active' THEN
			PERFORM claiim._act('org.suspend', actor, o.org, o.org, r.change,
				jsonb_build_object('reason', reason, 'review', r.review));
			UPDATE claiim.orgs x SET status = 'suspended', status_since = moment
			WHERE x.org = o.org;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._suspend_bounded(claiim.reviews, text, text, timestamptz) IS
'Suspends the agent or organization that a review bounds, as of moment, unless it is suspended or retired already.';

CREATE FUNCTION claiim.close_review(review text, verdict text, note text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	r claiim.reviews;
	c claiim.changes;
	moment timestamptz;
BEGIN
	PERFORM claiim._check_text('review', review, 128);
	SELECT x.* INTO r FROM claiim.reviews x
	WHERE x.review = close_review.review
		AND (x.broken_by = me OR claiim._may(me, 'approver', x.org));
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no review "%" that human "%" can close', review, me
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such review, or you do not hold the approver capability in its organization.';
	END IF;
	PERFORM claiim._require_direct('close_review', review);
	IF r.broken_by = me THEN
		RAISE EXCEPTION 'review % cannot be closed by who broke the glass', r.review
			USING ERRCODE = 'insufficient_privilege',
				  HINT = format('A second human with the approver capability in organization "%s" must close it.', r.org);
	END IF;
	PERFORM claiim._require(me, 'approver', r.org);
	IF verdict IS NULL OR verdict NOT IN ('justified', 'unjustified') THEN
		RAISE EXCEPTION '% is not a verdict', coalesce('"' || verdict || '"', 'null')
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected one of: justified, unjustified.';
	END IF;
	PERFORM claiim._check_text('note', note, 1000);
	/* What suspends does not wait for anybody. */
	IF verdict = 'unjustified' THEN
		r := claiim._seize_review(review);
	ELSE
		SELECT x.* INTO STRICT r FROM claiim.reviews x
		WHERE x.review = close_review.review
		FOR NO KEY UPDATE;
	END IF;
	IF r.verdict IS NOT NULL THEN
		RAISE EXCEPTION 'review % is closed: it was found %', r.review, r.verdict
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = format('Human "%s" closed it at %s: %s', r.closed_by, r.closed_at, r.note);
	END IF;
	SELECT x.* INTO STRICT c FROM claiim.changes x WHERE x.change = r.change;

	PERFORM claiim._act('break_glass.review', me, r.org, c.subject, c.change,
		jsonb_build_object(
			'review', r.review,
			'kind', c.kind,
			'broken_by', r.broken_by,
			'verdict', verdict,
			'note', note,
			'needed', claiim._needed(c)));
	IF verdict = 'justified' THEN
		PERFORM claiim._add_approval(c, me);
		IF NOT claiim._is_approved(c) THEN
			RETURN 'open';
		END IF;
	END IF;
	moment := clock_timestamp();
	UPDATE claiim.reviews x
	SET verdict = close_review.verdict, note = close_review.note,
		closed_by = me, closed_at = moment
	WHERE x.review = r.review;

	IF verdict = 'unjustified' THEN
		PERFORM claiim._suspend_bounded(r, me, note, moment);
	END IF;
	PERFORM claiim._bound_emergency(r);
	RETURN 'closed';
END
$$;
COMMENT ON FUNCTION claiim.close_review(text, text, text) IS
'Judges what another human did by break-glass. verdict justified approves it after the fact: with the last approval that it needs it holds for good. verdict unjustified suspends the agent, or the organization, that it was about, at once. Returns closed, or open while more approvals are needed. Call it by a statement of its own. Errors: 42501, the same for a review that does not exist and for another organization''s, for who broke the glass, for whoever has approved it before, for an agent''s anchor alone, and for a call from a function or a view; 55000 if it is closed; 22023, 22004.';

/* Whether it is allowed at all */

CREATE FUNCTION claiim.forbid_break_glass(org text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	o claiim.orgs;
BEGIN
	PERFORM claiim._check_text('organization', org, 128);
	IF NOT claiim._holds(me, 'approver', org) THEN
		PERFORM claiim._require(me, 'admin', org);
	END IF;
	PERFORM claiim._check_org(org);
	PERFORM claiim._check_text('reason', reason, 1000);
	o := claiim._seize_org(org);
	IF NOT o.break_glass THEN
		RAISE EXCEPTION 'break-glass is already forbidden in organization "%"', org
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._act('break_glass.forbid', me, org, org, NULL,
						jsonb_build_object('reason', reason));
	UPDATE claiim.orgs x SET break_glass = false WHERE x.org = o.org;
END
$$;
COMMENT ON FUNCTION claiim.forbid_break_glass(text, text) IS
'From now on nobody acts alone by break-glass in an organization and below, until two humans permit it again. One human, with admin or approver there. What was done before stays as it is, and its reviews open. Errors: 42501 without either capability; 55000 if it is forbidden; 22004, 22023.';

CREATE FUNCTION claiim.permit_break_glass(org text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('break_glass.permit', org, org, '{}');
$$;
COMMENT ON FUNCTION claiim.permit_break_glass(text) IS
'Proposes to permit break-glass in an organization again, as it was before claiim.forbid_break_glass. Returns the change. Errors: 42501 without the admin capability there; 55000 if it is not forbidden in that very organization; 22004.';

CREATE FUNCTION claiim._break_glass_permit(c claiim.changes, actor text, apply boolean,
										   OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o claiim.orgs := claiim._org_for(c.org, apply);
BEGIN
	IF o.break_glass THEN
		RAISE EXCEPTION 'break-glass is not forbidden in organization "%"', o.org
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	base := '{"break_glass": false}';
	summary := format('permit break-glass in organization %L', o.org);
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	UPDATE claiim.orgs x SET break_glass = true WHERE x.org = o.org;
END
$$;
COMMENT ON FUNCTION claiim._break_glass_permit(claiim.changes, text, boolean) IS
'Kind break_glass.permit: one human may act alone again. Errors: 55000 if it is not forbidden.';

/* What waits for review */

CREATE VIEW claiim.open_reviews WITH (security_invoker) AS
	SELECT r.review, c.kind, r.org, c.subject, c.summary, r.broken_by, r.reason,
		r.opened_at, r.lapses_at, r.lapses_at <= clock_timestamp() AS lapsed,
		r.bounded_agent, r.bounded_org, r.change, c.payload
	FROM claiim.reviews r
		JOIN claiim.changes c ON c.change = r.change
	WHERE r.verdict IS NULL
		AND r.org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]);
COMMENT ON VIEW claiim.open_reviews IS 'What was done by break-glass and not yet reviewed, in the organizations where you are admin, approver or auditor.';
COMMENT ON COLUMN claiim.open_reviews.review IS 'Its identifier: SELECT claiim.close_review(review, ''justified'', ''why'')';
COMMENT ON COLUMN claiim.open_reviews.kind IS 'What kind of change it was';
COMMENT ON COLUMN claiim.open_reviews.org IS 'The organization whose approvers review it';
COMMENT ON COLUMN claiim.open_reviews.subject IS 'What was changed';
COMMENT ON COLUMN claiim.open_reviews.summary IS 'The change as a sentence';
COMMENT ON COLUMN claiim.open_reviews.broken_by IS 'The human who acted alone';
COMMENT ON COLUMN claiim.open_reviews.reason IS 'Why';
COMMENT ON COLUMN claiim.open_reviews.opened_at IS 'When';
COMMENT ON COLUMN claiim.open_reviews.lapses_at IS 'From when it no longer holds';
COMMENT ON COLUMN claiim.open_reviews.lapsed IS 'Whether that time has come: the gate denies';
COMMENT ON COLUMN claiim.open_reviews.bounded_agent IS 'The agent that is denied then; null if an organization''s are';
COMMENT ON COLUMN claiim.open_reviews.bounded_org IS 'The organization whose agents are denied then; null if a single agent is';
COMMENT ON COLUMN claiim.open_reviews.change IS 'The change';
COMMENT ON COLUMN claiim.open_reviews.payload IS 'All that it did, and under "base" what it replaced';
