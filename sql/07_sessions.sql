/*-------------------------------------------------------------------------
 *
 * 07_sessions.sql
 *	  Approved sessions, the uses taken of them, and what became of actions.
 *
 * Three tables with two kinds of writers, so that neither waits for the
 * other.  claiim.sessions is governed: agents ask, humans decide.  The other
 * two are the writer's alone, like claiim.contexts: it counts a use in the
 * very transaction that puts the ALLOW into Chron, so that no rollback of a
 * caller gives a use back and no two callers take the same one.  They have no
 * foreign keys, for a key would make the writer lock a row that a human has.
 *
 *-------------------------------------------------------------------------
 */

CREATE TABLE claiim.sessions
(
	session		text PRIMARY KEY CHECK (session ~ '^ses_[0-9a-z]{26}$'),
	agent		text NOT NULL REFERENCES claiim.agents,
	org			text NOT NULL REFERENCES claiim.orgs,
	actions		text[] NOT NULL
				CHECK (cardinality(actions) > 0 AND array_position(actions, NULL) IS NULL),
	targets		text[] NOT NULL
				CHECK (cardinality(targets) > 0 AND array_position(targets, NULL) IS NULL),
	reason		text NOT NULL CHECK (octet_length(reason) <= 1000),
	ticket		text CHECK (octet_length(ticket) <= 200),
	valid_for	interval CHECK (valid_for > interval '0'),
	valid_from	timestamptz,
	valid_until timestamptz CHECK (valid_until > valid_from),
	max_uses	integer CHECK (max_uses > 0),
	requested_by text REFERENCES claiim.agents,
	requested_at timestamptz NOT NULL,
	proposed_by text REFERENCES claiim.humans,
	approved_by text,
	change		text REFERENCES claiim.changes,
	status		text NOT NULL DEFAULT 'requested'
				CHECK (status IN ('requested', 'granted', 'refused', 'revoked')),
	decided_at	timestamptz,
	decided_by	text REFERENCES claiim.humans,
	note		text CHECK (octet_length(note) <= 1000),
	CHECK ((status = 'requested') = (decided_at IS NULL)),
	CHECK ((decided_at IS NULL) = (decided_by IS NULL)),
	CHECK ((status IN ('granted', 'revoked')) = (valid_from IS NOT NULL)),
	CHECK ((valid_from IS NULL) = (valid_until IS NULL)),
	CHECK ((valid_from IS NULL) = (change IS NULL)),
	CHECK ((change IS NULL) = (proposed_by IS NULL))
);
CREATE INDEX sessions_agent_idx ON claiim.sessions (agent, status, valid_until);
COMMENT ON TABLE claiim.sessions IS 'Approved sessions: what humans have allowed an agent to do beforehand, for a time; and what agents have asked for.';
COMMENT ON COLUMN claiim.sessions.session IS 'Its identifier, a TypeID';
COMMENT ON COLUMN claiim.sessions.agent IS 'The agent that acts in it, and no other';
COMMENT ON COLUMN claiim.sessions.org IS 'The agent''s organization, whose humans decide';
COMMENT ON COLUMN claiim.sessions.actions IS 'Patterns of the actions that it is for';
COMMENT ON COLUMN claiim.sessions.targets IS 'Patterns of the targets that it is for';
COMMENT ON COLUMN claiim.sessions.reason IS 'What it is needed for';
COMMENT ON COLUMN claiim.sessions.ticket IS 'The change ticket that it belongs to; null if none was named';
COMMENT ON COLUMN claiim.sessions.valid_for IS 'How long it lasts from its approval; null if its end was fixed beforehand';
COMMENT ON COLUMN claiim.sessions.valid_from IS 'From when it is open; null until it is granted';
COMMENT ON COLUMN claiim.sessions.valid_until IS 'From when it is no longer open; null until it is granted';
COMMENT ON COLUMN claiim.sessions.max_uses IS 'How many ALLOWs there can be in it; null: any number';
COMMENT ON COLUMN claiim.sessions.requested_by IS 'The agent that asked for it; null if a human proposed it';
COMMENT ON COLUMN claiim.sessions.requested_at IS 'When it was asked for, or proposed';
COMMENT ON COLUMN claiim.sessions.proposed_by IS 'The human who proposed to grant it; null until it is granted';
COMMENT ON COLUMN claiim.sessions.approved_by IS 'The humans who approved it, comma separated, as Chron names them; null if none did';
COMMENT ON COLUMN claiim.sessions.change IS 'The approved change that granted it; null until it is granted';
COMMENT ON COLUMN claiim.sessions.status IS 'requested, granted, refused or revoked; what time and use make of it shows claiim.session_registry';
COMMENT ON COLUMN claiim.sessions.decided_at IS 'When it was granted, refused or revoked; null while it is requested';
COMMENT ON COLUMN claiim.sessions.decided_by IS 'The human who did that; of several who approved, the last';
COMMENT ON COLUMN claiim.sessions.note IS 'Why it was refused or revoked';
COMMENT ON INDEX claiim.sessions_agent_idx IS 'Finds the sessions of an agent that are open, and those that wait';

CREATE TABLE claiim.session_uses
(
	session		text PRIMARY KEY,
	used		bigint NOT NULL CHECK (used > 0),
	last_used_at timestamptz NOT NULL
);
COMMENT ON TABLE claiim.session_uses IS 'How often each session has been used: the number of its ALLOWs in Chron, counted where they are recorded.';
COMMENT ON COLUMN claiim.session_uses.session IS 'The session';
COMMENT ON COLUMN claiim.session_uses.used IS 'How many ALLOWs there are in it';
COMMENT ON COLUMN claiim.session_uses.last_used_at IS 'When the last of them was recorded';

CREATE TABLE claiim.completions
(
	seq			bigint PRIMARY KEY,
	org			text NOT NULL,
	at			timestamptz NOT NULL,
	status		text NOT NULL CHECK (status IN ('succeeded', 'failed', 'cancelled')),
	completion_seq bigint NOT NULL UNIQUE CHECK (completion_seq > seq)
);
COMMENT ON TABLE claiim.completions IS 'What became of allowed actions, as their agents reported it. Chron has a record of each report; this says which belongs to which.';
COMMENT ON COLUMN claiim.completions.seq IS 'The number in Chron of the decision that allowed the action';
COMMENT ON COLUMN claiim.completions.org IS 'The organization of the decision';
COMMENT ON COLUMN claiim.completions.at IS 'When it was reported';
COMMENT ON COLUMN claiim.completions.status IS 'succeeded, failed or cancelled';
COMMENT ON COLUMN claiim.completions.completion_seq IS 'The number in Chron of the report';

SELECT pg_catalog.pg_extension_config_dump('claiim.sessions', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.session_uses', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.completions', '');

/* What time and use make of a session: in one place, for humans and agents. */

CREATE FUNCTION claiim._session_lapses_at(s claiim.sessions) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.requested_at + interval '168 hours';
$$;
COMMENT ON FUNCTION claiim._session_lapses_at(claiim.sessions) IS
'From when a session that was only requested can no longer be granted: seven days after it was.';

CREATE FUNCTION claiim._session_state(s claiim.sessions, used bigint, moment timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN s.status = 'requested' AND moment >= claiim._session_lapses_at(s) THEN 'lapsed'
		WHEN s.status <> 'granted' OR moment < s.valid_from THEN s.status
		WHEN moment >= s.valid_until THEN 'expired'
		WHEN used >= s.max_uses THEN 'used_up'
		ELSE 'active'
	END;
$$;
COMMENT ON FUNCTION claiim._session_state(claiim.sessions, bigint, timestamptz) IS
'The state of a session of which used uses were taken (null: none), at a moment: requested, lapsed (nobody decided in seven days), refused, granted (not yet begun), active, used_up, expired or revoked.';

/*
 * Who may read which rows: 14_grants.sql grants SELECT.
 */
ALTER TABLE claiim.sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.sessions FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.sessions IS
'Rows of the organizations in which the human who is logged in is admin, approver or auditor';

ALTER TABLE claiim.session_uses ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.session_uses FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.sessions s WHERE s.session = session_uses.session));
COMMENT ON POLICY claiim_read ON claiim.session_uses IS
'Uses of the sessions that the human who is logged in can read';

ALTER TABLE claiim.completions ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.completions FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.completions IS
'Rows of the organizations whose Chron the human who is logged in may read';
