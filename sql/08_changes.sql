/*-------------------------------------------------------------------------
 *
 * 08_changes.sql
 *	  Two-person control: how a change is proposed, approved, rejected,
 *	  withdrawn, and how it expires.  Whatever it changes.  How many must
 *	  approve is in 08_quorums.sql.
 *
 * What a kind of change checks and does is one function of 09_effects.sql.
 * It runs twice: by the proposal, to check and describe, and by the approval,
 * to check and do.  So an approval re-checks all that the proposal checked,
 * by construction, and against the state of then: the part of the state that
 * the change was based on is kept in the payload, and a difference refuses
 * the approval.
 *
 * A payload is never written again.  Its digest, which also covers whose
 * change of what it is, stands in Chron from the proposal on.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._utc(moment timestamptz) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
$$;
COMMENT ON FUNCTION claiim._utc(timestamptz) IS
'A time as text that no session''s time zone or style changes, for payloads and details.';

CREATE FUNCTION claiim._change_digest(c claiim.changes) RETURNS bytea
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(convert_to(concat_ws(E'\n', c.change, c.kind, c.org, c.subject,
									   c.proposed_by, c.payload::text),
							 'UTF8'));
$$;
COMMENT ON FUNCTION claiim._change_digest(claiim.changes) IS
'What fixes a change: see claiim.changes.digest.';

CREATE FUNCTION claiim._propose(kind text, org text, subject text, payload jsonb)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes;
	effect record;
BEGIN
	PERFORM claiim._require_direct(NULL, subject);
	PERFORM claiim._require(me, 'admin', org);

	c.change := claiim._typeid('chg');
	c.kind := kind;
	c.org := org;
	c.subject := subject;
	c.payload := payload;
	c.proposed_by := me;
	c.proposed_at := clock_timestamp();
	c.expires_at := c.proposed_at + interval '7 days';
	c.status := 'pending';

	c.quorum := claiim._needed(c);
	effect := claiim._effect(c, me, false);
	c.payload := payload || jsonb_build_object('base', effect.base);
	c.summary := effect.summary;
	c.digest := claiim._change_digest(c);

	PERFORM claiim.expire_changes();
	PERFORM claiim._act('change.propose', me, c.org, c.subject, c.change,
		jsonb_build_object(
			'kind', c.kind,
			'summary', c.summary,
			'payload', c.payload,
			'digest', encode(c.digest, 'hex'),
			'quorum', c.quorum,
			'expires_at', claiim._utc(c.expires_at)));
	INSERT INTO claiim.changes SELECT c.*;
	RETURN c.change;
END
$$;
COMMENT ON FUNCTION claiim._propose(text, text, text, jsonb) IS
'Proposes a change of this kind, to be approved in organization org; returns its identifier. Errors: 42501 unless the human who is logged in holds admin there, and for a call from a function or a view; whatever the kind''s function in 09_effects.sql objects to.';

CREATE FUNCTION claiim._pending_change(change text, verb text)
RETURNS claiim.changes
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes;
BEGIN
	PERFORM claiim._check_text('change', change, 128);
	SELECT x.* INTO c FROM claiim.changes x
	WHERE x.change = _pending_change.change
		AND (x.proposed_by = me
			 OR claiim._may(me, 'approver', x.org)
			 OR claiim._may(me, 'approver', claiim._consenting_org(x)))
	FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no change "%" that human "%" can %', change, me, verb
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such change, or '
						 || CASE
							WHEN verb IN ('approve', 'reject')
							THEN 'you do not hold the approver capability in its organization.'
							ELSE 'you are not the one who proposed it.'
							END;
	END IF;
	IF c.status <> 'pending' THEN
		RAISE EXCEPTION 'change % is no longer pending: it was %', c.change,
				CASE c.status WHEN 'expired' THEN 'left to expire' ELSE c.status END
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = CASE
						   WHEN c.decided_by IS NULL
						   THEN format('It could be approved until %s.', c.expires_at)
						   ELSE format('Human "%s" %s it at %s%s', c.decided_by,
									   CASE c.status
									   WHEN 'applied' THEN CASE c.decided_by
										   WHEN c.proposed_by THEN 'applied' ELSE 'approved' END
									   WHEN 'withdrawn' THEN 'withdrew' ELSE c.status END,
									   c.decided_at, coalesce(': ' || c.reason, '.'))
						   END;
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION claiim._pending_change(text, text) IS
'A change that is pending, locked, and either the own proposal of the human who is logged in or one of an organization where that human is approver. verb: what the human wants to do, for the error: approve, reject, withdraw or break the glass for. Errors: 42501, the same for a change that does not exist and for another organization''s; 55000 if it is no longer pending; 22004, 22023.';

CREATE FUNCTION claiim._require_approver(human text, c claiim.changes) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT claiim._holds(human, 'approver', claiim._consenting_org(c)) THEN
		PERFORM claiim._require(human, 'approver', c.org);
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._require_approver(text, claiim.changes) IS
'Returns if an active human approves changes in the organization that decides, or in the one that must consent. Errors: 42501.';

CREATE FUNCTION claiim._check_applicable(c claiim.changes) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF c.expires_at <= clock_timestamp() THEN
		RAISE EXCEPTION 'change % has expired', c.change
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = format('It could be approved until %s.', c.expires_at),
				  HINT = 'Propose it again.';
	END IF;
	IF c.digest <> claiim._change_digest(c) THEN
		RAISE EXCEPTION 'change % is not what was proposed', c.change
			USING ERRCODE = 'data_corrupted',
				  DETAIL = 'Its content does not agree with the digest made when it was proposed.';
	END IF;
	IF NOT claiim._holds(c.proposed_by, 'admin', c.org) THEN
		RAISE EXCEPTION 'change % has lost its proposer', c.change
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = format('Human "%s" is no longer an active admin in organization "%s".', c.proposed_by, c.org),
				  HINT = 'Somebody else must propose it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_applicable(claiim.changes) IS
'Checks that a pending change can still be made. Errors: 55000 if it has expired, or if its proposer is no longer an active admin in its organization; XX001 if it is not what was proposed.';

CREATE FUNCTION claiim.approve(change text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes := claiim._pending_change(change, 'approve');
BEGIN
	PERFORM claiim._require_direct('approve', change);
	IF c.proposed_by = me THEN
		RAISE EXCEPTION 'change % cannot be approved by its proposer', c.change
			USING ERRCODE = 'insufficient_privilege',
				  HINT = format('A second human with the approver capability in organization "%s" must approve it.', c.org);
	END IF;
	PERFORM claiim._require_approver(me, c);
	PERFORM claiim._check_applicable(c);
	PERFORM claiim._act('change.approve', me, c.org, c.subject, c.change,
		jsonb_build_object(
			'kind', c.kind,
			'summary', c.summary,
			'digest', encode(c.digest, 'hex'),
			'proposed_by', c.proposed_by,
			'needed', claiim._needed(c)));
	PERFORM claiim._add_approval(c, me);
	IF NOT claiim._is_approved(c) THEN
		RETURN 'pending';
	END IF;

	PERFORM claiim._effect(c, me, true);
	UPDATE claiim.changes x
	SET status = 'applied', decided_at = clock_timestamp(), decided_by = me
	WHERE x.change = c.change;
	RETURN 'applied';
END
$$;
COMMENT ON FUNCTION claiim.approve(text) IS
'Approves a change that another human proposed. With the last approval that it needs (claiim.pending_changes shows how many) it takes effect, at once, or not at all, and then that approval counts for nothing either. Returns applied, or pending while more are needed. Call it by a statement of its own: SELECT claiim.approve(''chg_...''). Errors: 42501 for its proposer, for whoever lacks the approver capability in its organization, or has approved it before, for an agent''s anchor who would be the only one to approve what widens it, for one too many of those who grant a capability in another organization while none of that one''s has approved, and for a call from a function or a view; 55000 if it is no longer pending, has expired, if its proposer is no longer an active admin there, or if what it was based on has changed; XX001 if it is not what was proposed; whatever its kind objects to.';

CREATE FUNCTION claiim.reject(change text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes := claiim._pending_change(change, 'reject');
BEGIN
	IF c.proposed_by = me THEN
		RAISE EXCEPTION 'change % cannot be rejected by its proposer', c.change
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Withdraw it: claiim.withdraw().';
	END IF;
	PERFORM claiim._require_approver(me, c);
	PERFORM claiim._check_text('reason', reason, 1000);
	PERFORM claiim._act('change.reject', me, c.org, c.subject, c.change,
		jsonb_build_object(
			'kind', c.kind,
			'digest', encode(c.digest, 'hex'),
			'proposed_by', c.proposed_by,
			'reason', reason));
	UPDATE claiim.changes x
	SET status = 'rejected', decided_at = clock_timestamp(), decided_by = me,
		reason = reject.reason
	WHERE x.change = c.change;
END
$$;
COMMENT ON FUNCTION claiim.reject(text, text) IS
'Rejects a change for good, with a reason. Errors: 42501 for its proposer and for whoever lacks the approver capability in its organization; 55000 if it is no longer pending; 22004, 22023 for the reason.';

CREATE FUNCTION claiim.withdraw(change text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes := claiim._pending_change(change, 'withdraw');
BEGIN
	IF c.proposed_by <> me THEN
		RAISE EXCEPTION 'change % can be withdrawn by its proposer only', c.change
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Reject it: claiim.reject().';
	END IF;
	PERFORM claiim._act('change.withdraw', me, c.org, c.subject, c.change,
		jsonb_build_object(
			'kind', c.kind,
			'digest', encode(c.digest, 'hex')));
	UPDATE claiim.changes x
	SET status = 'withdrawn', decided_at = clock_timestamp(), decided_by = me
	WHERE x.change = c.change;
END
$$;
COMMENT ON FUNCTION claiim.withdraw(text) IS
'Withdraws a change that the human who is logged in proposed. Errors: 42501 for anybody else; 55000 if it is no longer pending.';

CREATE FUNCTION claiim.expire_changes() RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	c claiim.changes;
	n integer := 0;
BEGIN
	FOR c IN
		SELECT x.* FROM claiim.changes x
		WHERE x.status = 'pending'
			AND x.expires_at <= clock_timestamp()
			AND (claiim._may(me, 'admin', x.org)
				 OR claiim._may(me, 'approver', x.org))
		ORDER BY x.change
		LIMIT 1000
		FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM claiim._act('change.expire', me, c.org, c.subject, c.change,
			jsonb_build_object(
				'kind', c.kind,
				'digest', encode(c.digest, 'hex'),
				'proposed_by', c.proposed_by,
				'expires_at', claiim._utc(c.expires_at)));
		UPDATE claiim.changes x
		SET status = 'expired', decided_at = clock_timestamp()
		WHERE x.change = c.change;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION claiim.expire_changes() IS
'Marks changes that nobody approved in time as expired, in the organizations where the human who is logged in is admin or approver, the oldest thousand if there are more; returns how many. Every proposal does this as well. A change that is not yet marked cannot be approved either. In Chron the actor of change.expire is the human whose call noticed it. Errors: 42501 if the role is no active human''s.';

/* For the functions of 09_effects.sql */

CREATE FUNCTION claiim._check_base(c claiim.changes, base jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF c.payload -> 'base' IS DISTINCT FROM base THEN
		RAISE EXCEPTION 'what change % was based on has changed since it was proposed', c.change
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = format('It was %s and is %s.', c.payload -> 'base', base),
				  HINT = 'Reject or withdraw it, and propose it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_base(claiim.changes, jsonb) IS
'Compares the state that a change was based on with that of now. Errors: 55000 if they differ.';

CREATE FUNCTION claiim._record_effect(c claiim.changes, actor text, detail jsonb DEFAULT '{}',
									  org text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._act(c.kind, actor, coalesce(org, c.org), c.subject, c.change,
		c.payload || detail || jsonb_build_object(
			'proposed_by', c.proposed_by,
			'approved_by', to_jsonb(claiim._approvers(c)))
		|| coalesce((SELECT jsonb_build_object('break_glass', r.review)
					 FROM claiim.reviews r WHERE r.change = c.change), '{}'));
END
$$;
COMMENT ON FUNCTION claiim._record_effect(claiim.changes, text, jsonb, text) IS
'Records the act that a change''s effect is: its kind, with its payload, detail, who proposed and who approved; or, if nobody did, the review of the break-glass. org: the organization that it concerns, if that is not the one that decided.';
