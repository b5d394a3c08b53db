/*-------------------------------------------------------------------------
 *
 * 12_views.sql
 *	  What auditors, approvers and BI tools read.
 *
 * The views read with their reader's rights: which rows those are is decided
 * by the tables' row security (13_row_security.sql), and nowhere else.
 * Functions that read as the owner check for themselves (_visible_record).
 *
 *-------------------------------------------------------------------------
 */

CREATE VIEW claiim.decisions WITH (security_invoker) AS
	SELECT c.outcome, c.agent, c.action, c.anchor, c.policy, c.skill,
		claiim.chron_id(c.seq, c.at) AS chron_id,
		c.at, c.target, c.org, c.reason, c.reason_code, c.rule, c.baseline,
		c.session, c.approved_by, c.auth, c.token, c.db_user, c.client,
		c.seq, c.log
	FROM claiim.chron c
	WHERE c.kind = 'decision';
COMMENT ON VIEW claiim.decisions IS 'Every decision of the gate, in the organizations where you hold the auditor capability.';
COMMENT ON COLUMN claiim.decisions.outcome IS 'ALLOW or DENY';
COMMENT ON COLUMN claiim.decisions.agent IS 'The agent, as it called itself';
COMMENT ON COLUMN claiim.decisions.action IS 'The action that it asked for';
COMMENT ON COLUMN claiim.decisions.anchor IS 'The human accountable for the agent at that time';
COMMENT ON COLUMN claiim.decisions.policy IS 'The agent''s policy version at that time';
COMMENT ON COLUMN claiim.decisions.skill IS 'The skill version or versions at that time';
COMMENT ON COLUMN claiim.decisions.chron_id IS 'The record''s identifier. It is computed: to find one record, use claiim.five_questions(chron_id), or seq';
COMMENT ON COLUMN claiim.decisions.at IS 'When it was decided';
COMMENT ON COLUMN claiim.decisions.target IS 'What the agent asked to act on';
COMMENT ON COLUMN claiim.decisions.org IS 'The agent''s organization; null for an unknown agent';
COMMENT ON COLUMN claiim.decisions.reason IS 'Why; who did not prove to be the agent was told no more than that';
COMMENT ON COLUMN claiim.decisions.reason_code IS 'Why, as a stable code';
COMMENT ON COLUMN claiim.decisions.rule IS 'The policy entry that decided: list, line and pattern';
COMMENT ON COLUMN claiim.decisions.baseline IS 'The policy versions of the organizations above, outermost first';
COMMENT ON COLUMN claiim.decisions.session IS 'The approved session';
COMMENT ON COLUMN claiim.decisions.approved_by IS 'The humans who approved that session';
COMMENT ON COLUMN claiim.decisions.auth IS 'How the agent proved itself: role, token or transaction';
COMMENT ON COLUMN claiim.decisions.token IS 'The identifier of the token that was shown';
COMMENT ON COLUMN claiim.decisions.db_user IS 'The database role that was logged in';
COMMENT ON COLUMN claiim.decisions.client IS 'The client''s network address';
COMMENT ON COLUMN claiim.decisions.seq IS 'Its number in Chron';
COMMENT ON COLUMN claiim.decisions.log IS 'The log that it was written in';

CREATE VIEW claiim.acts WITH (security_invoker) AS
	SELECT claiim.chron_id(c.seq, c.at) AS chron_id,
		c.at, c.act, c.actor, c.org, c.subject, c.change,
		c.detail::jsonb AS detail, c.db_user, c.seq, c.log
	FROM claiim.chron c
	WHERE c.kind = 'act';
COMMENT ON VIEW claiim.acts IS 'Every governance act, in the organizations where you hold the auditor capability.';
COMMENT ON COLUMN claiim.acts.chron_id IS 'The record''s identifier';
COMMENT ON COLUMN claiim.acts.at IS 'When it was recorded';
COMMENT ON COLUMN claiim.acts.act IS 'What was done, as noun.verb';
COMMENT ON COLUMN claiim.acts.actor IS 'The human who did it; null if none did';
COMMENT ON COLUMN claiim.acts.org IS 'The organization that decided';
COMMENT ON COLUMN claiim.acts.subject IS 'What it was done to';
COMMENT ON COLUMN claiim.acts.change IS 'The change that it belongs to';
COMMENT ON COLUMN claiim.acts.detail IS 'The rest: for the effect of a change, what it did, what it replaced, who proposed and who approved';
COMMENT ON COLUMN claiim.acts.db_user IS 'The database role that was logged in';
COMMENT ON COLUMN claiim.acts.seq IS 'Its number in Chron';
COMMENT ON COLUMN claiim.acts.log IS 'The log that it was written in';

CREATE VIEW claiim.pending_changes WITH (security_invoker) AS
	SELECT c.change, c.kind, c.org, c.subject, c.summary, c.proposed_by,
		t.approvals, t.needed, t.approved_by,
		c.proposed_at, c.expires_at, c.payload,
		claiim.diff_text(c.change) AS diff
	FROM claiim.changes c
		LEFT JOIN LATERAL claiim._tally(c.change) AS t ON true
	WHERE c.status = 'pending'
		AND c.expires_at > clock_timestamp();
COMMENT ON VIEW claiim.pending_changes IS 'Changes that wait for approval, in the organizations where you are admin, approver or auditor.';
COMMENT ON COLUMN claiim.pending_changes.change IS 'Its identifier: SELECT claiim.approve(change)';
COMMENT ON COLUMN claiim.pending_changes.kind IS 'What kind of change';
COMMENT ON COLUMN claiim.pending_changes.org IS 'The organization whose approvers decide';
COMMENT ON COLUMN claiim.pending_changes.subject IS 'What is changed';
COMMENT ON COLUMN claiim.pending_changes.summary IS 'The change as a sentence';
COMMENT ON COLUMN claiim.pending_changes.proposed_by IS 'The human who proposed it';
COMMENT ON COLUMN claiim.pending_changes.approvals IS 'How many approvals it has that count now';
COMMENT ON COLUMN claiim.pending_changes.needed IS 'How many it needs; it takes effect with the last of them';
COMMENT ON COLUMN claiim.pending_changes.approved_by IS 'Whose approvals these are';
COMMENT ON COLUMN claiim.pending_changes.proposed_at IS 'When';
COMMENT ON COLUMN claiim.pending_changes.expires_at IS 'From when it can no longer be approved';
COMMENT ON COLUMN claiim.pending_changes.payload IS 'All that it will do, and under "base" the state that it was based on';
COMMENT ON COLUMN claiim.pending_changes.diff IS 'What it will do, line by line, as things are now: claiim.diff_text()';

CREATE VIEW claiim.registry WITH (security_invoker) AS
	SELECT a.agent, a.org, a.status, n.human AS anchor,
		p.policy_version AS policy, a.skills,
		(SELECT string_agg(b.policy_version, ', ' ORDER BY length(b.org))
		 FROM claiim.bindings b
		 WHERE b.org = a.org OR starts_with(a.org, b.org || '/')) AS baseline,
		a.role_name, a.description
	FROM claiim.agents a
		LEFT JOIN claiim.anchors n ON n.agent = a.agent AND n.valid_until IS NULL
		LEFT JOIN claiim.bindings p ON p.agent = a.agent;
COMMENT ON VIEW claiim.registry IS 'Agents and what governs them today, in the organizations where you are admin, approver or auditor.';
COMMENT ON COLUMN claiim.registry.agent IS 'The agent';
COMMENT ON COLUMN claiim.registry.org IS 'Its organization';
COMMENT ON COLUMN claiim.registry.status IS 'active, suspended or retired';
COMMENT ON COLUMN claiim.registry.anchor IS 'The human accountable for it';
COMMENT ON COLUMN claiim.registry.policy IS 'The policy version bound to it';
COMMENT ON COLUMN claiim.registry.skills IS 'The skills that it declares';
COMMENT ON COLUMN claiim.registry.baseline IS 'The policy versions that limit it from its organization and above, outermost first';
COMMENT ON COLUMN claiim.registry.role_name IS 'The database role bound to it';
COMMENT ON COLUMN claiim.registry.description IS 'What it is for';

CREATE VIEW claiim.orphans WITH (security_invoker) AS
	SELECT a.agent, a.org, a.status,
		CASE WHEN n.human IS NULL THEN 'anchor_missing' ELSE 'anchor_inactive' END AS reason_code,
		n.human AS anchor, h.full_name,
		CASE WHEN n.human IS NULL
			THEN coalesce((SELECT max(x.valid_until) FROM claiim.anchors x
						   WHERE x.agent = a.agent), a.created_at)
			ELSE greatest(h.status_since, n.valid_from) END AS since
	FROM claiim.agents a
		LEFT JOIN claiim.anchors n ON n.agent = a.agent AND n.valid_until IS NULL
		LEFT JOIN claiim.humans h ON h.human = n.human
	WHERE a.status <> 'retired'
		AND h.status IS DISTINCT FROM 'active';
COMMENT ON VIEW claiim.orphans IS 'Agents that are denied because no active human is accountable for them, in the organizations where you are admin, approver or auditor: claiim.transfer_anchor() gives them another.';
COMMENT ON COLUMN claiim.orphans.agent IS 'The agent, which is not retired';
COMMENT ON COLUMN claiim.orphans.org IS 'Its organization';
COMMENT ON COLUMN claiim.orphans.status IS 'active or suspended';
COMMENT ON COLUMN claiim.orphans.reason_code IS 'As the gate says: anchor_inactive or anchor_missing';
COMMENT ON COLUMN claiim.orphans.anchor IS 'The human who is accountable for it but not active; null if there is none';
COMMENT ON COLUMN claiim.orphans.full_name IS 'That human''s full name';
COMMENT ON COLUMN claiim.orphans.since IS 'Since when it is denied for this';

/* One record, for those who may read it */

CREATE FUNCTION claiim._visible_record(chron_id text) RETURNS claiim.chron
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	k record;
	c claiim.chron;
BEGIN
	IF chron_id IS NULL THEN
		RAISE EXCEPTION 'chron_id must not be null'
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	k := claiim._chron_key(chron_id);
	SELECT x.* INTO c FROM claiim.chron x
	WHERE x.seq = k.seq AND x.at = k.at
		AND (x.org = ANY (claiim._visible_orgs('{auditor}'))
			 OR (x.org IS NULL AND claiim._sees_orgless()));
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no record "%" that you can read', chron_id
			USING ERRCODE = 'no_data_found',
				  HINT = 'Either there is no such record, or you do not hold the auditor capability in its organization.';
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION claiim._visible_record(text) IS
'A record, if the human who is logged in may audit its organization. Errors: P0002, the same for one that does not exist and for another organization''s; 22023 if chron_id is not an identifier; 22004.';

CREATE FUNCTION claiim.record_bytes(chron_id text) RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM claiim._visible_record(chron_id);
	RETURN claiim._record_bytes(chron_id);
END
$$;
COMMENT ON FUNCTION claiim.record_bytes(text) IS
'The canonical bytes d of a record, made from its row as it is now; its leaf is sha256(''\x00''::bytea || d): doc/chron-format.md. Errors: P0002, the same for a record that does not exist and for another organization''s; 22023 if chron_id is not an identifier; 22004.';

CREATE FUNCTION claiim.five_questions(chron_id text)
RETURNS TABLE (n integer, question text, answer text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c claiim.chron := claiim._visible_record(chron_id);
	moment text := claiim._utc(c.at);
	previous bytea;
	leaf bytea;
	link bytea;
	versions text;
BEGIN
	IF c.kind <> 'decision' THEN
		RAISE EXCEPTION 'record "%" is not a decision', chron_id
			USING ERRCODE = 'invalid_parameter_value',
				  DETAIL = format('It is a governance act, %s.', c.act),
				  HINT = 'The five questions are about actions of agents. See claiim.acts.';
	END IF;

	n := 1;
	question := 'Which agent took this action?';
	answer := format('%s asked for %s on %s at %s; %s.',
		c.agent, c.action, c.target, moment,
		CASE c.auth
			WHEN 'role' THEN format('it proved its identity by its database role, %s', c.db_user)
			WHEN 'token' THEN format('it proved its identity by token %s, as database role %s', c.token, c.db_user)
			WHEN 'transaction' THEN format('it had proved its identity in this transaction by token %s, as database role %s', c.token, c.db_user)
			ELSE format('its identity was not proved%s, the database role was %s',
						' by token ' || c.token, c.db_user)
		END);
	IF c.outcome <> 'ALLOW' THEN
		answer := answer || ' It was denied.';
	END IF;
	RETURN NEXT;

	n := 2;
	question := 'Which human is accountable for that agent?';
	answer := CASE WHEN c.anchor IS NULL
		THEN 'None: no agent with an accountable human was identified.'
		ELSE coalesce(
			(SELECT format('%s (%s), its anchor at that time.', h.human, h.full_name)
			 FROM claiim.humans h
			 WHERE h.human = c.anchor AND h.full_name IS NOT NULL),
			format('%s, its anchor at that time.', c.anchor))
		END;
	RETURN NEXT;

	n := 3;
	question := 'Was the action explicitly allowed before it ran?';
	answer := CASE WHEN c.outcome = 'ALLOW'
		THEN format('Yes: ALLOW, by %s (%s). It was recorded at %s, before the agent was answered.',
					coalesce(c.rule, 'no rule'), c.reason, moment)
		ELSE format('No: DENY, %s (%s%s).', c.reason, c.reason_code, ', rule ' || c.rule)
		END
		|| coalesce(' Session ' || c.session
					|| coalesce(', approved by ' || c.approved_by, '') || '.', '');
	RETURN NEXT;

	n := 4;
	question := 'Which policy version (and which skill version) governed it?';
	SELECT string_agg(format('%s is the document with SHA-256 %s', v.name, encode(v.sha256, 'hex')),
					  '; ' ORDER BY v.o, v.name)
	INTO versions
	FROM (SELECT 1, p.name, p.sha256 FROM claiim.policy_versions p
		  WHERE p.name = c.policy
		  UNION ALL
		  SELECT 2, s.name, s.sha256 FROM claiim.skill_versions s
		  WHERE s.name = ANY (string_to_array(c.skill, ', '))
		  UNION ALL
		  SELECT 3, p.name, p.sha256 FROM claiim.policy_versions p
		  WHERE p.name = ANY (string_to_array(c.baseline, ', '))) AS v (o, name, sha256);
	answer := format('Policy %s, skill %s, baseline %s.', coalesce(c.policy, 'none'),
					 coalesce(c.skill, 'none'), coalesce(c.baseline, 'none'))
		|| coalesce(' ' || versions || '.', '');
	RETURN NEXT;

	n := 5;
	question := 'What tamper-evident proof exists right now?';
	IF c.seq > 1 THEN
		SELECT x.link INTO previous FROM claiim.chron x WHERE x.seq = c.seq - 1;
	ELSE
		previous := decode(repeat('00', 32), 'hex');
	END IF;
	leaf := sha256('\x00'::bytea || claiim._record_bytes(chron_id));
	link := sha256(convert_to(E'claiim/chron/link/v1\n', 'UTF8') || previous || leaf);
	answer := format('Record %s, number %s of Chron, written in %s. Leaf %s, link %s. ',
			five_questions.chron_id, c.seq, c.log,
			encode(c.leaf, 'hex'), encode(c.link, 'hex'))
		|| CASE
			WHEN leaf IS DISTINCT FROM c.leaf
				THEN format('TAMPERED: the row as it is now gives leaf %s.', encode(leaf, 'hex'))
			WHEN previous IS NULL
				THEN 'TAMPERED: the record before it is missing.'
			WHEN link IS DISTINCT FROM c.link
				THEN format('TAMPERED: the record before it and this leaf give link %s.', encode(link, 'hex'))
			ELSE 'Recomputed from the row and the record before it just now, both agree; claiim.verify() does so for the whole chain.'
		END;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION claiim.five_questions(text) IS
'The five questions that must be answerable for every action, answered for one decision. Five rows: n, question, answer. Errors: P0002, the same for a record that does not exist and for another organization''s; 22023 if chron_id is not an identifier, or is a governance act''s; 22004.';
