/*-------------------------------------------------------------------------
 *
 * 10_retention.sql
 *	  How long contexts of decisions are kept, what must not be removed, and
 *	  removing them.
 *
 * Chron itself is never pruned: it holds salted digests of contexts, so that
 * every proof holds without them (doc/chron-format.md).  What may be removed
 * are the contexts, by age (two humans said how old; then one may prune), or
 * a single one (two humans).  A legal hold stops both; one human places it,
 * and it takes two to release.
 *
 * Each organization goes by the nearest rule from it upwards, and by any hold
 * there.  Decisions of no organization, an unknown agent's, are the founding
 * one's.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._span(duration interval) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s months %s days %s seconds',
		extract(year FROM duration) * 12 + extract(month FROM duration),
		extract(day FROM duration),
		trim_scale(extract(hour FROM duration) * 3600
				   + extract(minute FROM duration) * 60
				   + extract(second FROM duration)));
$$;
COMMENT ON FUNCTION claiim._span(interval) IS
'An interval as text that no session''s style changes, for payloads and details.';

CREATE FUNCTION claiim._retention(org text) RETURNS interval
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.keep FROM claiim.retentions r
	WHERE claiim._covers(r.org, _retention.org)
	ORDER BY length(r.org) DESC
	LIMIT 1;
$$;
COMMENT ON FUNCTION claiim._retention(text) IS
'How long contexts of an organization are kept: what the nearest says, from it upwards; NULL: for good.';

CREATE FUNCTION claiim._is_held(org text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM claiim.holds h
				   WHERE claiim._covers(h.org, _is_held.org));
$$;
COMMENT ON FUNCTION claiim._is_held(text) IS
'Whether contexts of an organization are under a legal hold, its own or one from above.';

CREATE FUNCTION claiim.set_retention(org text, keep interval) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('retention.set', org, org,
						   jsonb_build_object('keep', claiim._span(keep)));
$$;
COMMENT ON FUNCTION claiim.set_retention(text, interval) IS
'Proposes from what age claiim.prune_contexts removes contexts of decisions of an organization and of those below it; NULL: as the organization above says, or never. Returns the change. Errors: 42501 without the admin capability there; 22023 unless it is a time; 42710 if it is so already; 22004.';

CREATE FUNCTION claiim._retention_set(c claiim.changes, actor text, apply boolean,
									  OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted interval := c.payload ->> 'keep';
	present interval;
BEGIN
	IF wanted <= interval '0' OR wanted > interval '1000 years' THEN
		RAISE EXCEPTION 'contexts cannot be kept for %', wanted
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected an interval such as 6 months, or NULL for none of its own.';
	END IF;
	PERFORM claiim._org_for(c.org, apply);
	SELECT r.keep INTO present FROM claiim.retentions r WHERE r.org = c.org;
	IF wanted IS NOT DISTINCT FROM present THEN
		RAISE EXCEPTION 'contexts of organization "%" are kept for that time already', c.org
			USING ERRCODE = 'duplicate_object';
	END IF;
	base := jsonb_build_object('keep', claiim._span(present));
	summary := format('keep contexts of decisions of %L for %s (now: %s)', c.org,
		coalesce(quote_literal(wanted), 'as long as the organization above says'),
		coalesce(quote_literal(claiim._retention(c.org)), 'for good'));
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.retentions r WHERE r.org = c.org;
	IF wanted IS NOT NULL THEN
		INSERT INTO claiim.retentions (org, keep) VALUES (c.org, wanted);
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._retention_set(claiim.changes, text, boolean) IS
'Kind retention.set: contexts are kept for another time. Errors: 22023 unless it is one; 42710 if it is so already.';

CREATE FUNCTION claiim.prune_contexts(org text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	moment timestamptz := clock_timestamp();
	removed bigint[];
BEGIN
	PERFORM claiim._require(me, 'admin', org);

	/* No hold is placed, or rule changed, until this is done. */
	PERFORM FROM claiim.orgs o
	WHERE claiim._covers(o.org, prune_contexts.org)
		OR claiim._covers(prune_contexts.org, o.org)
	ORDER BY o.org
	FOR SHARE;
	IF NOT EXISTS (SELECT FROM claiim.orgs o
				   WHERE claiim._covers(prune_contexts.org, o.org)
					AND claiim._retention(o.org) IS NOT NULL) THEN
		RAISE EXCEPTION 'organization "%" keeps its contexts for good', org
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Two humans say for how long: claiim.set_retention().';
	END IF;
	WITH due AS (
		SELECT o.org, o.founding, moment - claiim._retention(o.org) AS before
		FROM claiim.orgs o
		WHERE claiim._covers(prune_contexts.org, o.org)
			AND claiim._retention(o.org) IS NOT NULL
			AND NOT claiim._is_held(o.org))
	SELECT array_agg(c.seq ORDER BY c.seq) INTO removed
	FROM due d
		JOIN claiim.chron c ON c.at < d.before
			AND (c.org = d.org OR (c.org IS NULL AND d.founding))
		JOIN claiim.contexts x ON x.seq = c.seq
	WHERE c.context_digest IS NOT NULL;
	IF removed IS NULL THEN
		RETURN 0;
	END IF;

	PERFORM claiim._act('context.prune', me, org, org, NULL,
		jsonb_build_object(
			'contexts', cardinality(removed),
			'first_seq', removed[1],
			'last_seq', removed[cardinality(removed)],
			'keep', (SELECT jsonb_object_agg(o.org, claiim._span(claiim._retention(o.org)))
					 FROM claiim.orgs o
					 WHERE claiim._covers(prune_contexts.org, o.org)
						AND claiim._retention(o.org) IS NOT NULL
						AND NOT claiim._is_held(o.org)),
			'held', (SELECT coalesce(jsonb_agg(o.org ORDER BY o.org), '[]')
					 FROM claiim.orgs o
					 WHERE claiim._covers(prune_contexts.org, o.org)
						AND claiim._is_held(o.org))));
	DELETE FROM claiim.contexts x WHERE x.seq = ANY (removed);
	RETURN cardinality(removed);
END
$$;
COMMENT ON FUNCTION claiim.prune_contexts(text) IS
'Removes the contexts of decisions of an organization and of those below it that are older than each of them keeps them, but none that is under a legal hold; returns how many. The decisions stay, and verify. Errors: 42501 without the admin capability there; 55000 if nobody has said how long they are kept; 22004.';

CREATE FUNCTION claiim._context_record(chron_id text, OUT seq bigint, OUT org text,
									   OUT digest bytea, OUT what text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k record;
BEGIN
	PERFORM claiim._check_text('chron_id', chron_id, 128);
	k := claiim._chron_key(chron_id);
	SELECT c.seq, coalesce(c.org, claiim._founding_org()), c.context_digest,
		CASE c.kind WHEN 'decision' THEN 'decision' ELSE 'completion' END
	INTO seq, org, digest, what
	FROM claiim.chron c
	WHERE c.seq = k.seq AND c.at = k.at
		AND (c.kind = 'decision' OR c.act = 'action.complete');
END
$$;
COMMENT ON FUNCTION claiim._context_record(text) IS
'The decision, or the completion, with this identifier: its number, the organization that rules over its context, the context''s digest, and which of the two it is; all NULL if there is none. Errors: 22023 if it is no identifier; 22004.';

CREATE FUNCTION claiim.erase_context(chron_id text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	d record := claiim._context_record(chron_id);
BEGIN
	IF d.org IS NULL OR NOT claiim._may(me, 'admin', d.org) THEN
		RAISE EXCEPTION 'there is no decision "%" whose context human "%" administers', chron_id, me
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such decision, or you do not hold the admin capability in its organization.';
	END IF;
	RETURN claiim._propose('context.erase', d.org, chron_id,
						   jsonb_build_object('seq', d.seq, 'reason', reason));
END
$$;
COMMENT ON FUNCTION claiim.erase_context(text, text) IS
'Proposes to remove the context of one decision, or the detail of one completion (claiim_complete), whatever its age. The record stays, and verifies. Returns the change. Errors: 42501, the same for a record that does not exist and for another organization''s; 55000 if it has no context, or is under a legal hold; 22023, 22004.';

CREATE FUNCTION claiim._context_erase(c claiim.changes, actor text, apply boolean,
									  OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	d record := claiim._context_record(c.subject);
BEGIN
	PERFORM claiim._check_text('reason', c.payload ->> 'reason', 1000);
	IF apply THEN
		/* No hold is placed until this is done. */
		PERFORM FROM claiim.orgs o
		WHERE claiim._covers(o.org, c.org)
		ORDER BY o.org
		FOR SHARE;
	END IF;
	IF NOT EXISTS (SELECT FROM claiim.contexts x WHERE x.seq = d.seq) THEN
		RAISE EXCEPTION '% "%" has no context', d.what, c.subject
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF claiim._is_held(c.org) THEN
		RAISE EXCEPTION 'the context of % "%" is under a legal hold', d.what, c.subject
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Two humans release it: claiim.release_hold().';
	END IF;
	base := jsonb_build_object('context_digest', encode(d.digest, 'hex'));
	summary := format('erase the context of %s %L for good: %L', d.what, c.subject,
					  c.payload ->> 'reason');
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.contexts x WHERE x.seq = d.seq;
END
$$;
COMMENT ON FUNCTION claiim._context_erase(claiim.changes, text, boolean) IS
'Kind context.erase: the context of a decision, or of a completion, is gone. Errors: 55000 if it has none, or is under a legal hold; 22004, 22023 for the reason.';

/* Legal hold */

CREATE FUNCTION claiim.place_hold(org text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
BEGIN
	PERFORM claiim._require(me, 'admin', org);
	PERFORM claiim._check_text('reason', reason, 1000);
	PERFORM claiim._seize_org(org);
	IF EXISTS (SELECT FROM claiim.holds h WHERE h.org = place_hold.org) THEN
		RAISE EXCEPTION 'organization "%" is already under a legal hold', org
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM claiim._act('hold.place', me, org, org, NULL,
						jsonb_build_object('reason', reason));
	INSERT INTO claiim.holds (org, reason, placed_by) VALUES (org, reason, me);
END
$$;
COMMENT ON FUNCTION claiim.place_hold(text, text) IS
'From now on no context of an organization, or of those below it, is pruned or erased, until two humans release the hold. Errors: 42501 without the admin capability there; 55000 if it is under one already; 22004, 22023 for the reason.';

CREATE FUNCTION claiim.release_hold(org text, reason text) RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._propose('hold.release', org, org,
						   jsonb_build_object('reason', reason));
$$;
COMMENT ON FUNCTION claiim.release_hold(text, text) IS
'Proposes to release an organization''s legal hold. Returns the change. Errors: 42501 without the admin capability there; 55000 if that very organization is under none; 22004, 22023 for the reason.';

CREATE FUNCTION claiim._hold_release(c claiim.changes, actor text, apply boolean,
									 OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h claiim.holds;
BEGIN
	PERFORM claiim._check_text('reason', c.payload ->> 'reason', 1000);
	PERFORM claiim._org_for(c.org, apply);
	SELECT x.* INTO h FROM claiim.holds x WHERE x.org = c.org;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'organization "%" is not under a legal hold', c.org
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	base := jsonb_build_object('reason', h.reason, 'placed_by', h.placed_by,
							   'placed_at', claiim._utc(h.placed_at));
	summary := format('release the legal hold of %L, placed by %L for %L: %L', c.org,
					  h.placed_by, h.reason, c.payload ->> 'reason');
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	PERFORM claiim._record_effect(c, actor);
	DELETE FROM claiim.holds x WHERE x.org = c.org;
END
$$;
COMMENT ON FUNCTION claiim._hold_release(claiim.changes, text, boolean) IS
'Kind hold.release: contexts may be pruned and erased again. Errors: 55000 if there is no hold; 22004, 22023 for the reason.';
