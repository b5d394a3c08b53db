/*-------------------------------------------------------------------------
 *
 * 12_sessions.sql
 *	  Sessions and completions, for those who approve and those who audit.
 *
 * Views like those of 12_views.sql: they read with their reader's rights.
 *
 *-------------------------------------------------------------------------
 */

CREATE VIEW claiim.session_registry WITH (security_invoker) AS
	SELECT s.session, s.agent, s.org,
		claiim._session_state(s, u.used, clock_timestamp()) AS status,
		s.actions, s.targets, s.reason, s.ticket,
		s.valid_for, s.valid_from, s.valid_until, s.max_uses,
		coalesce(u.used, 0) AS used, u.last_used_at,
		s.requested_by, s.requested_at, s.proposed_by, s.approved_by, s.change,
		s.decided_at, s.decided_by, s.note
	FROM claiim.sessions s
		LEFT JOIN claiim.session_uses u ON u.session = s.session;
COMMENT ON VIEW claiim.session_registry IS 'Approved sessions, and those that agents ask for, in the organizations where you are admin, approver or auditor.';
COMMENT ON COLUMN claiim.session_registry.session IS 'Its identifier: SELECT claiim.grant_session(session), refuse_session, revoke_session';
COMMENT ON COLUMN claiim.session_registry.agent IS 'The agent that acts in it';
COMMENT ON COLUMN claiim.session_registry.org IS 'The agent''s organization, whose humans decide';
COMMENT ON COLUMN claiim.session_registry.status IS 'requested (it waits for humans), lapsed (nobody decided in seven days), refused, granted (not yet begun), active, used_up, expired or revoked';
COMMENT ON COLUMN claiim.session_registry.actions IS 'Patterns of the actions that it is for';
COMMENT ON COLUMN claiim.session_registry.targets IS 'Patterns of the targets that it is for';
COMMENT ON COLUMN claiim.session_registry.reason IS 'What it is needed for';
COMMENT ON COLUMN claiim.session_registry.ticket IS 'The change ticket that it belongs to';
COMMENT ON COLUMN claiim.session_registry.valid_for IS 'How long it lasts from its approval; null if its end was fixed beforehand';
COMMENT ON COLUMN claiim.session_registry.valid_from IS 'From when it is open; null until it is granted';
COMMENT ON COLUMN claiim.session_registry.valid_until IS 'From when it is no longer open; null until it is granted';
COMMENT ON COLUMN claiim.session_registry.max_uses IS 'How many ALLOWs there can be in it; null: any number';
COMMENT ON COLUMN claiim.session_registry.used IS 'How many there are';
COMMENT ON COLUMN claiim.session_registry.last_used_at IS 'When the last of them was recorded';
COMMENT ON COLUMN claiim.session_registry.requested_by IS 'The agent that asked for it; null if a human proposed it';
COMMENT ON COLUMN claiim.session_registry.requested_at IS 'When it was asked for, or proposed';
COMMENT ON COLUMN claiim.session_registry.proposed_by IS 'The human who proposed to grant it';
COMMENT ON COLUMN claiim.session_registry.approved_by IS 'The humans who approved it';
COMMENT ON COLUMN claiim.session_registry.change IS 'The change that granted it';
COMMENT ON COLUMN claiim.session_registry.decided_at IS 'When it was granted, refused or revoked';
COMMENT ON COLUMN claiim.session_registry.decided_by IS 'The human who did that';
COMMENT ON COLUMN claiim.session_registry.note IS 'Why it was refused or revoked';

CREATE VIEW claiim.incomplete_actions WITH (security_invoker) AS
	SELECT claiim.chron_id(c.seq, c.at) AS chron_id,
		c.at, c.agent, c.action, c.target, c.org, c.anchor, c.session, c.approved_by,
		c.seq
	FROM claiim.chron c
	WHERE c.kind = 'decision' AND c.outcome = 'ALLOW'
		AND NOT EXISTS (SELECT FROM claiim.completions k WHERE k.seq = c.seq);
COMMENT ON VIEW claiim.incomplete_actions IS 'Allowed actions of which no agent has said what became of them (claiim_complete), in the organizations where you hold the auditor capability.';
COMMENT ON COLUMN claiim.incomplete_actions.chron_id IS 'The decision''s identifier';
COMMENT ON COLUMN claiim.incomplete_actions.at IS 'When it was allowed';
COMMENT ON COLUMN claiim.incomplete_actions.agent IS 'The agent';
COMMENT ON COLUMN claiim.incomplete_actions.action IS 'What it was allowed to do';
COMMENT ON COLUMN claiim.incomplete_actions.target IS 'What it was allowed to act on';
COMMENT ON COLUMN claiim.incomplete_actions.org IS 'The agent''s organization';
COMMENT ON COLUMN claiim.incomplete_actions.anchor IS 'The human accountable for the agent at that time';
COMMENT ON COLUMN claiim.incomplete_actions.session IS 'The approved session';
COMMENT ON COLUMN claiim.incomplete_actions.approved_by IS 'The humans who approved that session';
COMMENT ON COLUMN claiim.incomplete_actions.seq IS 'Its number in Chron';
