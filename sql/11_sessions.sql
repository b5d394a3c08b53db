/*-------------------------------------------------------------------------
 *
 * 11_sessions.sql
 *	  Approved sessions: who proposes, grants, refuses and revokes them, and
 *	  what agents call to ask for one and to say what became of an action.
 *
 * To open a session is a change (kind session.grant): one human proposes and
 * another approves, whether an agent has asked for it or not.  To refuse or
 * to revoke one takes a single human, admin or approver.  That an agent asks
 * is an act that no human did; it has no effect but that humans see it.
 *
 * An agent must not be able to hold a human up.  So nothing here locks the
 * row of an agent or of a human for an agent's transaction.
 *
 *-------------------------------------------------------------------------
 */

/* Checks that a proposal and a request share */

CREATE FUNCTION claiim._check_patterns(what text, patterns text[], separator "char")
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pattern text;
BEGIN
	IF patterns IS NULL THEN
		RAISE EXCEPTION '% must not be null', what
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF array_ndims(patterns) IS DISTINCT FROM 1 OR cardinality(patterns) > 32 THEN
		RAISE EXCEPTION '% must be a list of 1 to 32 patterns', what
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOREACH pattern IN ARRAY patterns LOOP
		PERFORM claiim._pattern_check(pattern, separator);
	END LOOP;
	IF cardinality(patterns) <> (SELECT count(DISTINCT p) FROM unnest(patterns) p) THEN
		RAISE EXCEPTION '% has a pattern twice', what
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_patterns(text, text[], "char") IS
'Checks the patterns of a session: 1 to 32, each once. what: how errors call them. Errors: 22004 for NULL, also as an element; 22023.';

CREATE FUNCTION claiim._check_session(actions text[], targets text[], reason text,
									  ticket text, max_uses integer)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._check_patterns('actions', actions, ':');
	PERFORM claiim._check_patterns('targets', targets, '/');
	PERFORM claiim._check_text('reason', reason, 1000);
	IF ticket IS NOT NULL THEN
		PERFORM claiim._check_text('ticket', ticket, 200);
	END IF;
	IF max_uses < 1 THEN
		RAISE EXCEPTION 'a session must have at least one use'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected a positive number, or NULL for any number of uses.';
	END IF;
END
$$;
COMMENT ON FUNCTION claiim._check_session(text[], text[], text, text, integer) IS
'Checks what a session is for. Errors: 22004, 22023.';

CREATE FUNCTION claiim._session_content(session text, requested_by text,
										actions text[], targets text[],
										reason text, ticket text, valid_for interval,
										valid_from timestamptz, valid_until timestamptz,
										max_uses integer)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object(
		'session', session, 'requested_by', requested_by,
		'actions', actions, 'targets', targets,
		'reason', reason, 'ticket', ticket,
		'valid_for', extract(epoch FROM valid_for)::bigint,
		'valid_from', claiim._utc(valid_from), 'valid_until', claiim._utc(valid_until),
		'max_uses', max_uses);
$$;
COMMENT ON FUNCTION claiim._session_content(text, text, text[], text[], text, text, interval, timestamptz, timestamptz, integer) IS
'A session as JSON, for payloads and details; valid_for in seconds.';

/* The change that opens one */

CREATE FUNCTION claiim._session_grant(c claiim.changes, actor text, apply boolean,
									  OUT base jsonb, OUT summary text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id text := c.payload ->> 'session';
	asked_by text := c.payload ->> 'requested_by';
	actions text[] := claiim._text_array(c.payload -> 'actions');
	targets text[] := claiim._text_array(c.payload -> 'targets');
	reason text := c.payload ->> 'reason';
	ticket text := c.payload ->> 'ticket';
	lasts interval := make_interval(secs => (c.payload ->> 'valid_for')::bigint);
	begins timestamptz := (c.payload ->> 'valid_from')::timestamptz;
	ends timestamptz := (c.payload ->> 'valid_until')::timestamptz;
	max_uses integer := (c.payload ->> 'max_uses')::integer;
	moment timestamptz := clock_timestamp();
	a claiim.agents;
	s claiim.sessions;
BEGIN
	SELECT x.* INTO STRICT a FROM claiim.agents x WHERE x.agent = c.subject;
	PERFORM claiim._check_not_retired(a);
	PERFORM claiim._check_session(actions, targets, reason, ticket, max_uses);
	IF coalesce(ends, coalesce(begins, moment) + lasts) <= greatest(begins, moment) THEN
		RAISE EXCEPTION 'the session would be over before it begins'
			USING ERRCODE = 'invalid_parameter_value',
				  DETAIL = format('It would end at %s.',
								  coalesce(ends, coalesce(begins, moment) + lasts));
	END IF;

	base := '{}';
	IF asked_by IS NOT NULL THEN
		IF apply THEN
			PERFORM FROM claiim.sessions x WHERE x.session = id FOR NO KEY UPDATE;
		END IF;
		SELECT x.* INTO STRICT s FROM claiim.sessions x WHERE x.session = id;
		IF claiim._session_state(s, NULL, moment) <> 'requested' THEN
			RAISE EXCEPTION 'session % no longer waits for approval: %', s.session,
					CASE s.status WHEN 'requested' THEN 'its request has lapsed'
					ELSE 'it was ' || s.status END
				USING ERRCODE = 'object_not_in_prerequisite_state',
					  HINT = 'Propose one: claiim.propose_session().';
		END IF;
		base := jsonb_build_object('requested_at', claiim._utc(s.requested_at));
	END IF;
	summary := format('open session %s for agent %s: %s on %s, %s, %s, reason: %L',
		id, a.agent, claiim._list(actions), claiim._list(targets),
		CASE WHEN ends IS NULL
			THEN format('for %s from %s', to_char(lasts, 'HH24:MI:SS'),
						coalesce(claiim._utc(begins), 'its approval'))
			ELSE format('from %s until %s', coalesce(claiim._utc(begins), 'its approval'),
						claiim._utc(ends)) END,
		coalesce('at most ' || max_uses || ' uses', 'any number of uses')
			|| coalesce(', ticket ' || quote_literal(ticket), ''),
		reason);
	IF NOT apply THEN
		RETURN;
	END IF;

	PERFORM claiim._check_base(c, base);
	begins := coalesce(begins, moment);
	ends := coalesce(ends, begins + lasts);
	PERFORM claiim._record_effect(c, actor,
		jsonb_build_object('valid_from', claiim._utc(begins),
						   'valid_until', claiim._utc(ends)));
	IF asked_by IS NULL THEN
		INSERT INTO claiim.sessions (session, agent, org, actions, targets, reason,
									 ticket, valid_for, max_uses, requested_at)
		VALUES (id, a.agent, c.org, actions, targets, reason, ticket, lasts,
				max_uses, c.proposed_at);
	END IF;
	/* Asked for or not: to be granted is what every session begins with. */
	UPDATE claiim.sessions x
	SET status = 'granted', decided_at = moment, decided_by = actor,
		valid_from = begins, valid_until = ends, change = c.change,
		proposed_by = c.proposed_by,
		approved_by = array_to_string(
			claiim._approvers(c)
			|| CASE actor WHEN c.proposed_by THEN actor || ' (break-glass)' END, ', ')
	WHERE x.session = id;
END
$$;
COMMENT ON FUNCTION claiim._session_grant(claiim.changes, text, boolean) IS
'Kind session.grant: an agent has a session, asked for or not. Errors: 55000 if the agent is retired, or if the session no longer waits for approval; 22023 for an end that has come, or for what the session is for; 22004.';

/* Humans */

CREATE FUNCTION claiim._session_of(session text) RETURNS claiim.sessions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	s claiim.sessions;
BEGIN
	PERFORM claiim._check_text('session', session, 128);
	SELECT x.* INTO s FROM claiim.sessions x
	WHERE x.session = _session_of.session
		AND (claiim._may(me, 'admin', x.org) OR claiim._may(me, 'approver', x.org));
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no session "%" that human "%" decides about', session, me
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Either there is no such session, or you hold neither the admin nor the approver capability in its organization.';
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION claiim._session_of(text) IS
'A session of an organization where the human who is logged in is admin or approver. Errors: 42501, the same for one that does not exist and for another organization''s; 22004, 22023.';

CREATE FUNCTION claiim._seize_session(session text) RETURNS claiim.sessions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s claiim.sessions;
BEGIN
	LOOP
		SELECT x.* INTO s FROM claiim.sessions x
		WHERE x.session = _seize_session.session
		FOR NO KEY UPDATE SKIP LOCKED;
		EXIT WHEN FOUND;
		PERFORM claiim._clear_way('claiim.sessions', x.ctid) FROM claiim.sessions x
		WHERE x.session = _seize_session.session;
	END LOOP;
	RETURN s;
END
$$;
COMMENT ON FUNCTION claiim._seize_session(text) IS
'A session''s row, locked, whoever holds it (see 07_locks.sql). Its existence has been checked (claiim._session_of). Errors: those of claiim._clear_way.';

CREATE FUNCTION claiim._end_session(session text, present text, ended text, act text,
									reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	me text := claiim._actor();
	s claiim.sessions := claiim._session_of(session);
BEGIN
	IF NOT (claiim._holds(me, 'admin', s.org) OR claiim._holds(me, 'approver', s.org)) THEN
		PERFORM claiim._require(me, 'approver', s.org);	/* lost it meanwhile */
	END IF;
	PERFORM claiim._check_text('reason', reason, 1000);
	/* One that is open is ended at once; what only waits can wait. */
	IF s.status = 'granted' AND present = 'granted' THEN
		s := claiim._seize_session(session);
	ELSE
		SELECT x.* INTO STRICT s FROM claiim.sessions x
		WHERE x.session = _end_session.session
		FOR NO KEY UPDATE;
	END IF;
	IF s.status <> present OR clock_timestamp() >= s.valid_until
		OR claiim._session_state(s, NULL, clock_timestamp()) = 'lapsed' THEN
		RAISE EXCEPTION 'session % cannot be %', s.session, ended
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = format('It is %s.', claiim._session_state(s, NULL, clock_timestamp()));
	END IF;
	PERFORM claiim._act(act, me, s.org, s.agent, s.change,
						jsonb_build_object('session', s.session, 'reason', reason));
	UPDATE claiim.sessions x
	SET status = _end_session.ended, decided_at = clock_timestamp(), decided_by = me,
		note = _end_session.reason
	WHERE x.session = s.session;
END
$$;
COMMENT ON FUNCTION claiim._end_session(text, text, text, text, text) IS
'Ends a session, whose status is present, as ended; act: what is recorded. Errors: 42501, the same for one that does not exist and for another organization''s; 55000 if its status is another, or if it is over; 22004, 22023.';

CREATE FUNCTION claiim.propose_session(agent text, actions text[], targets text[],
									   reason text, ticket text DEFAULT NULL,
									   valid_from timestamptz DEFAULT NULL,
									   valid_until timestamptz DEFAULT NULL,
									   max_uses integer DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT isfinite(valid_from) OR NOT isfinite(valid_until) THEN
		RAISE EXCEPTION 'a session must begin and end some time'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN claiim._propose('session.grant', claiim._agent_org(agent), agent,
		claiim._session_content(claiim._typeid('ses'), NULL, actions, targets, reason,
								ticket,
								CASE WHEN valid_until IS NULL THEN interval '1 hour' END,
								valid_from, valid_until, max_uses));
END
$$;
COMMENT ON FUNCTION claiim.propose_session(text, text[], text[], text, text, timestamptz, timestamptz, integer) IS
'Proposes an approved session for an agent: patterns of the actions and of the targets that it is for (1 to 32 each), why, the change ticket if there is one, from when (NULL: from its approval) until when (NULL: for one hour), and how many ALLOWs there can be in it (NULL: any number). Returns the change. Errors: 42501 without the admin capability in the agent''s organization; 22023 for a bad pattern or an end that has come; 55000 if the agent is retired; 22004.';

CREATE FUNCTION claiim.grant_session(session text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s claiim.sessions := claiim._session_of(session);
BEGIN
	IF s.requested_by IS NULL THEN
		RAISE EXCEPTION 'session % was granted when a human proposed it', s.session
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	RETURN claiim._propose('session.grant', s.org, s.agent,
		claiim._session_content(s.session, s.requested_by, s.actions, s.targets, s.reason,
								s.ticket, s.valid_for, NULL, NULL, s.max_uses));
END
$$;
COMMENT ON FUNCTION claiim.grant_session(text) IS
'Proposes to grant a session that an agent has asked for, as it has asked for it. Returns the change. Errors: 42501 without the admin capability in its organization, the same for a session that does not exist and for another organization''s; 55000 if it no longer waits for approval, or if the agent is retired; 22004, 22023.';

CREATE FUNCTION claiim.refuse_session(session text, reason text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._end_session(session, 'requested', 'refused', 'session.refuse', reason);
$$;
COMMENT ON FUNCTION claiim.refuse_session(text, text) IS
'Refuses a session that an agent has asked for, for good; the agent reads the reason. Errors: 42501 without the admin or the approver capability in its organization, the same for a session that does not exist and for another organization''s; 55000 if it no longer waits for approval; 22004, 22023.';

CREATE FUNCTION claiim.revoke_session(session text, reason text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT claiim._end_session(session, 'granted', 'revoked', 'session.revoke', reason);
$$;
COMMENT ON FUNCTION claiim.revoke_session(text, text) IS
'Ends a session that was granted, at once: when this returns, no later ALLOW in it exists. Errors: 42501 without the admin or the approver capability in its organization, the same for a session that does not exist and for another organization''s; 55000 if it was not granted or is over; 22004, 22023.';

/* Agents */

CREATE FUNCTION claiim._request_session(agent text, actions text[], targets text[],
										reason text, ticket text, valid_for interval,
										max_uses integer, auth text, token text)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents;
	s claiim.sessions;
	most CONSTANT integer := 20;
BEGIN
	SELECT x.* INTO STRICT a FROM claiim.agents x WHERE x.agent = _request_session.agent;
	IF a.status <> 'active' THEN
		RAISE EXCEPTION 'agent "%" is %', a.agent, a.status
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Only an active agent can ask for a session.';
	END IF;
	PERFORM claiim._check_session(actions, targets, reason, ticket, max_uses);
	IF valid_for IS NULL THEN
		RAISE EXCEPTION 'valid_for must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	s.valid_for := make_interval(secs => floor(extract(epoch FROM valid_for)));
	IF s.valid_for < interval '1 second' OR s.valid_for > interval '366 days' THEN
		RAISE EXCEPTION 'a session must last from one second to 366 days'
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'Expected an interval such as 1 hour.';
	END IF;
	IF (SELECT count(*) FROM claiim.sessions x
		WHERE x.agent = a.agent AND x.status = 'requested'
			AND claiim._session_lapses_at(x) > clock_timestamp()) >= most THEN
		RAISE EXCEPTION 'agent "%" has too many requests for sessions that wait for approval', a.agent
			USING ERRCODE = 'program_limit_exceeded',
				  DETAIL = format('At most %s can wait at a time.', most),
				  HINT = 'Humans grant or refuse them; after seven days they lapse.';
	END IF;

	s.session := claiim._typeid('ses');
	s.agent := a.agent;
	s.org := a.org;
	s.actions := actions;
	s.targets := targets;
	s.reason := reason;
	s.ticket := ticket;
	s.max_uses := max_uses;
	s.requested_by := a.agent;
	s.requested_at := clock_timestamp();
	s.status := 'requested';
	PERFORM claiim._act('session.request', NULL, a.org, a.agent, NULL,
		claiim._session_content(s.session, a.agent, actions, targets, reason, ticket,
								s.valid_for, NULL, NULL, max_uses)
		|| jsonb_build_object('lapses_at', claiim._utc(claiim._session_lapses_at(s)),
							  'auth', auth, 'token', token));
	INSERT INTO claiim.sessions SELECT s.*;
	RETURN s.session;
END
$$;
COMMENT ON FUNCTION claiim._request_session(text, text[], text[], text, text, interval, integer, text, text) IS
'Records that an agent, whose identity is proved (auth: how; token: the identifier), asks for a session. For claiim_request_session, which lets one transaction at a time in for each agent. Errors: 55000 if the agent is not active; 54000 if 20 of its requests wait; 22004, 22023.';

CREATE FUNCTION pg_catalog.claiim_request_session(
	agent text,
	actions text[],
	targets text[],
	reason text,
	ticket text DEFAULT NULL,
	valid_for interval DEFAULT '1 hour',
	max_uses integer DEFAULT NULL,
	token text DEFAULT NULL)
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 10000
AS 'MODULE_PATHNAME', 'claiim_request_session';
COMMENT ON FUNCTION pg_catalog.claiim_request_session(text, text[], text[], text, text, interval, integer, text) IS
'Asks humans for a session: patterns of the actions and of the targets that it is for (1 to 32 each), why, the change ticket, how long it lasts from its approval (at most 366 days), and how many ALLOWs there can be in it (NULL: any number). Returns its identifier, which claiim_session_status and claiim_check take; it is open only after one human has proposed to grant it and another has approved. Takes effect with the transaction; in it, nothing can be checked any more. Errors: 28000 if the agent''s identity is not proved; 55000 if the agent is not active, or after another request in the same transaction; 54000 if 20 of its requests wait; 25000 in a transaction that is not READ COMMITTED; 22004, 22023.';

CREATE FUNCTION pg_catalog.claiim_session_status(
	agent text,
	session text,
	token text DEFAULT NULL,
	OUT session text,
	OUT status text,
	OUT valid_from timestamptz,
	OUT valid_until timestamptz,
	OUT uses_left integer,
	OUT approved_by text,
	OUT note text)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 1000
AS 'MODULE_PATHNAME', 'claiim_session_status';
COMMENT ON FUNCTION pg_catalog.claiim_session_status(text, text, text) IS
'How one of the agent''s sessions stands now, by the latest committed state; writes nothing. One row: session; status: requested, granted (not yet begun), active, expired, used_up, refused, revoked, or lapsed (nobody decided in seven days); valid_from and valid_until, null until it is granted; uses_left, null for any number; approved_by; note: why it was refused or revoked. Errors: 28000 if the agent''s identity is not proved; 42704 if it has no such session; 55000 in a transaction with uncommitted requests; 22004, 22023.';

CREATE FUNCTION pg_catalog.claiim_complete(
	chron_id text,
	status text,
	detail jsonb DEFAULT NULL,
	token text DEFAULT NULL)
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT COST 10000
AS 'MODULE_PATHNAME', 'claiim_complete';
COMMENT ON FUNCTION pg_catalog.claiim_complete(text, text, jsonb, text) IS
'Records what became of an allowed action, once: status is succeeded, failed or cancelled; detail, at most 8192 bytes of JSON text, is kept like the context of a decision. chron_id: of the ALLOW. Returns the identifier of the record that was made, which is on disk then, whatever becomes of the transaction. Errors: 42501, the same for a decision that does not exist, for another agent''s, and if the agent''s identity is not proved; 55000 for a DENY; 23505 if it is completed already; 22004, 22023, 54000 for the arguments; those of claiim_check if it cannot be recorded.';
