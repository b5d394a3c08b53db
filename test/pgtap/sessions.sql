/*
 * sessions.sql
 *	  Who may propose, grant, refuse, revoke, ask for and see a session, and
 *	  everything that is refused, one by one.  And who sees what became of
 *	  actions.
 *
 * Needs a superuser and a database of its own in a cluster that preloads
 * claiim: unlike governance.sql it commits, since the gate decides by what is
 * committed, and by nothing else.
 */
\ir include/helpers.sql

SELECT no_plan();

CREATE ROLE t_ann LOGIN;
CREATE ROLE t_bob LOGIN;
CREATE ROLE t_carl LOGIN;
CREATE ROLE t_dora LOGIN;
CREATE ROLE t_eve LOGIN;
CREATE ROLE t_fred LOGIN;
CREATE ROLE t_aud LOGIN;
CREATE ROLE t_nobody LOGIN IN ROLE claiim_admin, claiim_auditor;
CREATE ROLE t_bot LOGIN;
CREATE ROLE t_bot2 LOGIN;

/* As pgTAP's throws_like, which does not compare the SQLSTATE. */
CREATE FUNCTION pg_temp.throws_like(statement text, state text, message text, name text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN ok(false, name) || E'\n' || diag('no error');
EXCEPTION WHEN OTHERS THEN
	RETURN CASE WHEN SQLSTATE = state AND SQLERRM LIKE message THEN ok(true, name)
		ELSE ok(false, name) || E'\n' || diag(SQLSTATE || ': ' || SQLERRM) END;
END
$$;
CREATE FUNCTION pg_temp.refused(role name, statement text, state text, message text, name text) RETURNS text
LANGUAGE sql AS $$
	SELECT pg_temp.throws_like(format('SELECT pg_temp.by(%L, %L)', role, statement), state, message, name)
$$;
/* The session with this ticket. */
CREATE FUNCTION pg_temp.ses(ticket text) RETURNS text LANGUAGE sql STABLE AS
	$$SELECT session FROM claiim.sessions s WHERE s.ticket = $1$$;

/* acme with its humans, and fin with others; an agent each, and a second one. */
SELECT ok(claiim.bootstrap('acme', 'ann', 't_ann', 'bob', 't_bob') IS NOT NULL, 'the world is there');
SELECT pg_temp.both('t_ann', 't_bob', $$register_human('carl', 't_carl', NULL, 'acme', '{approver}')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_human('aud', 't_aud', NULL, 'acme', '{auditor}')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_human('dora', 't_dora', NULL, 'acme', '{member}')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_human('eve', 't_eve', NULL, 'acme', '{member}')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_human('fred', 't_fred', NULL, 'acme', '{member}')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_org('fin', NULL, 'eve', 'fred')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_eve', 't_fred', $$grant_capability('eve', 'fin', 'auditor')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_agent('bot', 'acme', 'dora', '{x}', 't_bot')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_agent('old-bot', 'acme', 'dora', '{x}')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$retire_agent('old-bot', 'old')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_eve', 't_fred', $$register_agent('fin-bot', 'fin', 'eve', '{x}', 't_bot2')$$) IS NULL \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_skill('x', 'actions: ["x:*"]', 'acme')$$) IS NULL \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('p', E'skill: x-v1\nallow:\n  - x:free\n  - {action: x:do, requires: session}\n', 'acme')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$bind_policy('bot', 'p-v1')$$) IS NULL \g /dev/null

/* ---- proposing ---- */

\set propose 'SELECT claiim.propose_session(''bot'', ''{x:do}'', ''{**}'', ''why'', ''P1'')'
SELECT pg_temp.refused('t_carl', :'propose', '42501', 'there is no agent "bot" that human "carl" administers', 'an approver who is no admin proposes no session');
SELECT pg_temp.refused('t_dora', :'propose', '42501', 'permission denied for schema claiim', 'nor does a member');
SELECT pg_temp.refused('t_aud', :'propose', '42501', 'permission denied for function propose_session', 'nor an auditor');
SELECT pg_temp.refused('t_eve', :'propose', '42501', 'there is no agent "bot" that human "eve" administers', 'nor another organization''s admin, who is not told that the agent exists');
SELECT pg_temp.refused('t_eve', replace(:'propose', '''bot''', '''no-bot'''), '42501', 'there is no agent "no-bot" that human "eve" administers', '... for one that does not is refused alike');
SELECT pg_temp.refused('t_nobody', :'propose', '42501', 'role "t_nobody" is not the role of a registered human', 'nor who is no registered human');
SELECT pg_temp.refused('t_bot', :'propose', '42501', 'permission denied for schema claiim', 'nor the agent');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.propose_session('old-bot', '{x:do}', '{**}', 'why')$$, '55000', 'agent "old-bot" is retired', 'a retired agent has no session');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.propose_session(%L, %L, %L, %L, %L, %L, %L, %L)', 'bot', a, t, r, k, f, u, m), s, e, n)
FROM (VALUES
	(NULL, '{**}', 'r', 'k', NULL, NULL, NULL, '22004', 'actions must not be null', 'without actions there is no session'),
	('{x}', NULL, 'r', 'k', NULL, NULL, NULL, '22004', 'targets must not be null', 'nor without targets'),
	('{}', '{**}', 'r', 'k', NULL, NULL, NULL, '22023', 'actions must be a list of 1 to 32 patterns', 'nor for no action'),
	('{x}', '{}', 'r', 'k', NULL, NULL, NULL, '22023', 'targets must be a list of 1 to 32 patterns', 'nor for no target'),
	('{x:y*}', '{**}', 'r', 'k', NULL, NULL, NULL, '22023', '"x:y*" is not a pattern%', 'nor for what is no pattern of actions'),
	('{x}', '{a/../b}', 'r', 'k', NULL, NULL, NULL, '22023', '"a/../b" is not a pattern%', 'nor for what is no pattern of targets'),
	('{x,x}', '{**}', 'r', 'k', NULL, NULL, NULL, '22023', 'actions has a pattern twice', 'nor for a pattern twice'),
	('{x}', '{**}', NULL, 'k', NULL, NULL, NULL, '22004', 'reason must not be null', 'nor without a reason'),
	('{x}', '{**}', ' ', 'k', NULL, NULL, NULL, '22023', 'reason must not begin or end with white space', 'nor with an empty one'),
	('{x}', '{**}', 'r', '', NULL, NULL, NULL, '22023', 'ticket must not be empty', 'a ticket can be missing, not empty'),
	('{x}', '{**}', 'r', 'k', 'infinity', NULL, NULL, '22023', 'a session must begin and end some time', 'it does not begin never'),
	('{x}', '{**}', 'r', 'k', NULL, 'infinity', NULL, '22023', 'a session must begin and end some time', 'nor last for ever'),
	('{x}', '{**}', 'r', 'k', NULL, '2020-01-01', NULL, '22023', 'the session would be over before it begins', 'nor end before today'),
	('{x}', '{**}', 'r', 'k', '2020-01-01', NULL, NULL, '22023', 'the session would be over before it begins', 'nor an hour after a beginning that is long past'),
	('{x}', '{**}', 'r', 'k', '2990-01-02', '2990-01-01', NULL, '22023', 'the session would be over before it begins', 'nor end before it begins'),
	('{x}', '{**}', 'r', 'k', NULL, NULL, '0', '22023', 'a session must have at least one use', 'nor have no use'),
	('{x}', '{**}', 'r', 'k', NULL, NULL, '-1', '22023', 'a session must have at least one use', 'nor fewer')) AS v (a, t, r, k, f, u, m, s, e, n);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.refused('t_ann', :'propose', '25000', 'governance needs the isolation level READ COMMITTED, not REPEATABLE READ', 'nor is it proposed by an old snapshot');
COMMIT;

SELECT is((SELECT count(*) FROM claiim.sessions), 0::bigint, 'what is refused leaves nothing');
SELECT pg_temp.by('t_ann', :'propose') AS change \gset
SELECT is((SELECT count(*) FROM claiim.sessions), 0::bigint, 'nor does a proposal open a session');
SELECT matches((SELECT summary FROM claiim.changes WHERE change = :'change'),
	'^open session ses_[0-9a-z]{26} for agent bot: ''x:do'' on ''\*\*'', for 01:00:00 from its approval, any number of uses, ticket ''P1'', reason: ''why''$',
	'who approves reads what it is for, for how long, and why');
SELECT is((SELECT (org, subject, kind) FROM claiim.changes WHERE change = :'change'), ('acme'::text, 'bot'::text, 'session.grant'::text), '... and it is a change of the agent, decided in its organization');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.approve(%L)', :'change'), '42501', '%cannot be approved by its proposer', 'its proposer does not approve it');
SELECT pg_temp.refused('t_fred', format('SELECT claiim.approve(%L)', :'change'), '42501', 'there is no change%', 'nor does another organization''s approver');
SELECT is(pg_temp.by('t_carl', format('SELECT claiim.approve(%L)', :'change')), 'applied', 'an approver of the organization does');
SELECT is((SELECT (agent, org, status, requested_by, proposed_by, approved_by, decided_by, change, max_uses, valid_until - valid_from) FROM claiim.sessions WHERE ticket = 'P1'),
	('bot'::text, 'acme'::text, 'granted'::text, NULL::text, 'ann'::text, 'carl'::text, 'carl'::text, :'change'::text, NULL::integer, interval '1 hour'),
	'and there it is, with those who made it');
SELECT ok((SELECT valid_from >= decided_at AND decided_at >= requested_at FROM claiim.sessions WHERE ticket = 'P1'), 'from its approval on');
SELECT is((SELECT payload ->> 'session' FROM claiim.changes WHERE change = :'change'), pg_temp.ses('P1'), 'under the identifier that was approved');
SELECT is(pg_temp.by('t_bot', $$SELECT outcome FROM claiim_check('bot', 'x:do', 't')$$), 'ALLOW', 'the agent acts in it');

SELECT pg_temp.both('t_bob', 't_ann', $$propose_session('bot', '{x:do,"x:**"}', '{a/*,"b c/**"}', 'why', 'P2', '2990-01-01 10:00+01', '2990-01-01 12:00+01', 3)$$) IS NULL \g /dev/null
SELECT is((SELECT (valid_from, valid_until, max_uses, actions, targets, valid_for) FROM claiim.sessions WHERE ticket = 'P2'),
	('2990-01-01 09:00Z'::timestamptz, '2990-01-01 11:00Z'::timestamptz, 3, '{x:do,x:**}'::text[], '{a/*,"b c/**"}'::text[], NULL::interval),
	'a window, uses and patterns are those that were proposed');
SELECT matches((SELECT summary FROM claiim.changes WHERE subject = 'bot' ORDER BY change DESC LIMIT 1),
	'''x:do'', ''x:\*\*'' on ''a/\*'', ''b c/\*\*'', from 2990-01-01T09:00:00.000000Z until 2990-01-01T11:00:00.000000Z, at most 3 uses, ticket ''P2''', '... as the summary says, in any time zone');
SELECT pg_temp.both('t_bob', 't_ann', $$propose_session('bot', '{x:do}', '{**}', 'why', 'P3', '2990-01-01')$$) IS NULL \g /dev/null
SELECT is((SELECT valid_until - valid_from FROM claiim.sessions WHERE ticket = 'P3'), interval '1 hour', 'without an end it lasts an hour from its beginning');
SELECT pg_temp.both('t_bob', 't_ann', $$propose_session('bot', '{x:do}', '{**}', 'why', 'P4', valid_until => '2990-01-01')$$) IS NULL \g /dev/null
SELECT ok((SELECT valid_from >= decided_at AND valid_until = '2990-01-01' FROM claiim.sessions WHERE ticket = 'P4'), 'without a beginning it begins with its approval');

/* A change that was rejected, or whose proposer or agent is gone, opens nothing. */
SELECT pg_temp.by('t_ann', $$SELECT claiim.propose_session('bot', '{x:do}', '{**}', 'why', 'P5')$$) AS change \gset
SELECT pg_temp.by('t_carl', format('SELECT claiim.reject(%L, %L)', :'change', 'no')) IS NULL \g /dev/null
SELECT is(pg_temp.ses('P5'), NULL, 'one that was rejected is none');
SELECT pg_temp.both('t_ann', 't_bob', $$set_quorum('acme', 'session.grant', 2)$$) IS NULL \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.propose_session('bot', '{x:do}', '{**}', 'why', 'P7')$$) AS change \gset
SELECT is(pg_temp.by('t_carl', format('SELECT claiim.approve(%L)', :'change')), 'pending', 'one approval is not enough where two are needed');
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, %L)', :'change', 'urgent')) AS review \gset
SELECT is((SELECT approved_by FROM claiim.sessions WHERE ticket = 'P7'), 'carl, ann (break-glass)', 'and who then opens it alone is named as such');
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.close_review(%L, %L, %L)', :'review', 'justified', 'it was')), 'closed', 'until a second approval comes');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme', 'session.grant', NULL)$$) AS change \gset
SELECT pg_temp.by(who, format('SELECT claiim.approve(%L)', :'change')) IS NULL FROM unnest('{t_bob,t_carl}'::name[]) who \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_agent('short-bot', 'acme', 'dora', '{x}')$$) IS NULL \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.propose_session('short-bot', '{x:do}', '{**}', 'why', 'P6')$$) AS change \gset
SELECT pg_temp.both('t_ann', 't_bob', $$retire_agent('short-bot', 'gone')$$) IS NULL \g /dev/null
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'change'), '55000', 'agent "short-bot" is retired', 'nor is one granted to an agent that has been retired meanwhile');

/* ---- asking, granting, refusing ---- */

\set request 'SELECT claiim_request_session(''bot'', ''{x:do}'', ''{a/*}'', ''needed'', ''R1'', ''2 hours'', 5)'
SELECT pg_temp.refused('t_ann', :'request', '42501', 'permission denied for function claiim_request_session', 'a human asks for no session');
SELECT pg_temp.refused('t_bot2', :'request', '28000', 'authentication of the agent failed', 'nor does another agent');
SELECT matches(pg_temp.by('t_bot', :'request'), '^ses_[0-9a-hjkmnp-tv-z]{26}$', 'the agent does, and is told under which identifier');
SELECT is((SELECT (status, requested_by, proposed_by, valid_from, valid_for, change) FROM claiim.sessions WHERE ticket = 'R1'),
	('requested'::text, 'bot'::text, NULL::text, NULL::timestamptz, interval '2 hours', NULL::text), 'it is requested, and nothing more');
SELECT is(pg_temp.by('t_bot', format('SELECT reason_code FROM claiim_check(%L, %L, %L, session => %L)', 'bot', 'x:do', 'a/1', pg_temp.ses('R1'))), 'session_pending', 'and opens nothing');
SELECT is(pg_temp.by('t_carl', 'SELECT status FROM claiim.session_registry WHERE ticket = ''R1'''), 'requested', 'those who decide see it');
\set grant 'format(''SELECT claiim.grant_session(%L)'', pg_temp.ses(''R1''))'
SELECT pg_temp.refused('t_carl', :grant, '42501', 'human "carl" does not hold the admin capability%', 'to grant it is proposed by an admin');
SELECT pg_temp.refused('t_dora', :grant, '42501', 'permission denied for schema claiim', 'not by a member');
SELECT pg_temp.refused('t_aud', :grant, '42501', 'permission denied for function grant_session', 'nor by an auditor');
SELECT pg_temp.refused('t_eve', :grant, '42501', 'there is no session%that human "eve" decides about', 'nor in another organization');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.grant_session('ses_01m6gb1gzwe3rv0c5m2s9x8y7k')$$, '42501', 'there is no session%that human "eve" decides about', '... where one that does not exist is refused alike');
SELECT pg_temp.refused('t_ann', 'SELECT claiim.grant_session(NULL)', '22004', 'session must not be null', 'it is named');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.grant_session(%L)', pg_temp.ses('P1')), '55000', 'session % was granted when a human proposed it', 'one that a human proposed has been granted by that');
SELECT pg_temp.by('t_ann', :grant) AS change \gset
SELECT pg_temp.by('t_ann', :grant) AS second \gset
SELECT is((SELECT payload - 'base' FROM claiim.changes WHERE change = :'change'), jsonb_build_object('session', pg_temp.ses('R1'), 'requested_by', 'bot', 'actions', '["x:do"]'::jsonb,
	'targets', '["a/*"]'::jsonb, 'reason', 'needed', 'ticket', 'R1', 'valid_for', 7200, 'valid_from', NULL, 'valid_until', NULL, 'max_uses', 5), 'what is approved is what was asked for');
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.diff_text(%L)', :'change')),
	format(E'actions: ''x:do''\nmax_uses: 5\nreason: needed\nrequested_by: bot\nsession: %s\ntargets: ''a/*''\nticket: R1\nvalid_for: 7200 seconds', pg_temp.ses('R1')), 'line by line, with nothing that it would replace');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.approve(%L)', :'change'), '42501', '%cannot be approved by its proposer', 'by another human');
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'change')), 'applied', 'then it is granted');
SELECT is((SELECT (status, requested_by, proposed_by, approved_by, valid_until - valid_from, max_uses) FROM claiim.sessions WHERE ticket = 'R1'),
	('granted'::text, 'bot'::text, 'ann'::text, 'bob'::text, interval '2 hours', 5), 'for as long, and for as many uses, as was asked for');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'second'), '55000', 'session % no longer waits for approval: it was granted', 'and not granted twice');
SELECT pg_temp.refused('t_ann', :grant, '55000', 'session % no longer waits for approval: it was granted', 'nor proposed to be');
SELECT is(pg_temp.by('t_bot', format('SELECT reason_code FROM claiim_check(%L, %L, %L, session => %L)', 'bot', 'x:do', 'a/1', pg_temp.ses('R1'))), 'allowed', 'the agent acts in it');

SELECT pg_temp.by('t_bot', replace(:'request', 'R1', 'R2')) IS NULL \g /dev/null
\set refuse 'format(''SELECT claiim.refuse_session(%L, %L)'', pg_temp.ses(''R2''), ''not now'')'
SELECT pg_temp.refused('t_dora', :refuse, '42501', 'permission denied for schema claiim', 'a member refuses nothing');
SELECT pg_temp.refused('t_aud', :refuse, '42501', 'permission denied for function refuse_session', 'nor does an auditor');
SELECT pg_temp.refused('t_nobody', :refuse, '42501', 'role "t_nobody" is not the role of a registered human', 'nor who was granted the group and is nobody');
SELECT pg_temp.refused('t_fred', :refuse, '42501', 'there is no session%', 'nor another organization''s approver');
SELECT pg_temp.refused('t_carl', format('SELECT claiim.refuse_session(%L, NULL)', pg_temp.ses('R2')), '22004', 'reason must not be null', 'to refuse takes a reason');
SELECT pg_temp.refused('t_carl', format('SELECT claiim.revoke_session(%L, %L)', pg_temp.ses('R2'), 'x'), '55000', 'session % cannot be revoked', 'what is not granted cannot be revoked');
SELECT pg_temp.by('t_ann', format('SELECT claiim.grant_session(%L)', pg_temp.ses('R2'))) AS change \gset
SELECT lives_ok(format('SELECT pg_temp.by(%L, %L)', 't_carl', :refuse), 'an approver refuses alone');
SELECT is((SELECT (status, decided_by, note, approved_by, valid_from) FROM claiim.sessions WHERE ticket = 'R2'), ('refused'::text, 'carl'::text, 'not now'::text, NULL::text, NULL::timestamptz), '... which stands in the registry');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'change'), '55000', 'session % no longer waits for approval: it was refused', '... and what was refused is not granted any more');
SELECT pg_temp.refused('t_carl', :refuse, '55000', 'session % cannot be refused', '... nor refused again');
SELECT is(pg_temp.by('t_bot', format('SELECT note FROM claiim_session_status(%L, %L)', 'bot', pg_temp.ses('R2'))), 'not now', '... and the agent reads why');
SELECT pg_temp.by('t_bot', replace(:'request', 'R1', 'R3')) IS NULL \g /dev/null
SELECT lives_ok(format('SELECT pg_temp.by(%L, %L)', 't_ann', format('SELECT claiim.refuse_session(%L, %L)', pg_temp.ses('R3'), 'no')), 'so does an admin');

/* ---- revoking ---- */

\set revoke 'format(''SELECT claiim.revoke_session(%L, %L)'', pg_temp.ses(''R1''), ''done with'')'
SELECT pg_temp.refused('t_dora', :revoke, '42501', 'permission denied for schema claiim', 'a member revokes nothing');
SELECT pg_temp.refused('t_eve', :revoke, '42501', 'there is no session%', 'nor does another organization''s admin');
SELECT pg_temp.refused('t_bot', :revoke, '42501', 'permission denied for schema claiim', 'nor the agent');
SELECT pg_temp.refused('t_carl', format('SELECT claiim.revoke_session(%L, %L)', pg_temp.ses('R1'), ''), '22023', 'reason must not be empty', 'to revoke takes a reason');
SELECT pg_temp.refused('t_carl', format('SELECT claiim.refuse_session(%L, %L)', pg_temp.ses('R1'), 'x'), '55000', 'session % cannot be refused', 'what is granted cannot be refused');
SELECT lives_ok(format('SELECT pg_temp.by(%L, %L)', 't_carl', :revoke), 'an approver revokes alone, at once');
SELECT is((SELECT (status, decided_by, note, approved_by, proposed_by) FROM claiim.sessions WHERE ticket = 'R1'), ('revoked'::text, 'carl'::text, 'done with'::text, 'bob'::text, 'ann'::text), '... which stands in the registry, beside those who had opened it');
SELECT pg_temp.refused('t_ann', :revoke, '55000', 'session % cannot be revoked', '... and is not done twice');
SELECT is(pg_temp.by('t_bot', format('SELECT reason_code FROM claiim_check(%L, %L, %L, session => %L)', 'bot', 'x:do', 'a/1', pg_temp.ses('R1'))), 'session_revoked', '... and the agent is out of it');
SELECT lives_ok(format('SELECT pg_temp.by(%L, %L)', 't_ann', format('SELECT claiim.revoke_session(%L, %L)', pg_temp.ses('P2'), 'not needed')), 'so does an admin, also before it begins');
SELECT pg_temp.both('t_ann', 't_bob', $$revoke_capability('carl', 'acme', 'approver')$$) IS NULL \g /dev/null
SELECT pg_temp.refused('t_carl', format('SELECT claiim.revoke_session(%L, %L)', pg_temp.ses('P1'), 'x'), '42501', 'there is no session%that human "carl" decides about', 'who has lost the capability does not any more');

/* ---- completing ---- */

SELECT chron_id AS allowed FROM pg_temp.by('t_bot', $$SELECT chron_id FROM claiim_check('bot', 'x:free', 't')$$) AS chron_id \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim_complete(%L, %L)', :'allowed', 'failed'), '42501', 'permission denied for function claiim_complete', 'a human completes no action');
SELECT pg_temp.refused('t_bot2', format('SELECT claiim_complete(%L, %L)', :'allowed', 'failed'), '42501', 'there is no decision%that you can complete', 'nor does another agent');
SELECT is(pg_temp.by('t_aud', 'SELECT count(*) FROM claiim.incomplete_actions WHERE action = ''x:free'''), '1', 'an auditor sees what is not completed');
SELECT matches(pg_temp.by('t_bot', format('SELECT claiim_complete(%L, %L)', :'allowed', 'succeeded')), '^chr_', 'the agent completes it');
SELECT is(pg_temp.by('t_aud', 'SELECT count(*) FROM claiim.incomplete_actions WHERE action = ''x:free'''), '0', '... and the auditor sees that it is');
SELECT is(pg_temp.by('t_aud', format('SELECT detail ->> ''status'' FROM claiim.acts WHERE act = ''action.complete'' AND subject = %L', :'allowed')), 'succeeded', '... and how');

SELECT is(pg_temp.by('t_aud', $$SELECT string_agg(concat_ws(' ', d.action, d.approved_by, coalesce(a.detail ->> 'status', '-')), ', ' ORDER BY d.seq)
	FROM claiim.decisions d LEFT JOIN claiim.acts a ON a.act = 'action.complete' AND a.subject = d.chron_id
	WHERE d.outcome = 'ALLOW'$$), 'x:do carl -, x:do bob -, x:free succeeded', '... beside what was allowed, and by whom beforehand');

SELECT matches(pg_temp.by('t_aud', $$SELECT f.answer FROM claiim.decisions d, claiim.five_questions(d.chron_id) f WHERE f.n = 3 AND d.approved_by = 'carl' AND d.outcome = 'ALLOW'$$),
	'^Yes: ALLOW, .* Session ses_[0-9a-z]{26}, approved by carl\.$', 'the five questions are answered with the session and who approved it');

/* ---- who sees what ---- */

SELECT is((SELECT string_agg(ticket || ' ' || status, ', ' ORDER BY ticket) FROM claiim.session_registry), 'P1 active, P2 revoked, P3 granted, P4 active, P7 active, R1 revoked, R2 refused, R3 refused', 'the registry says how each stands');
SELECT is(pg_temp.by(who, 'SELECT count(*) FROM claiim.session_registry'), n, format('%s sees %s of its rows', who, n))
FROM (VALUES ('t_ann', '8'), ('t_bob', '8'), ('t_aud', '8'), ('t_carl', '0'), ('t_dora', NULL), ('t_eve', '0'), ('t_fred', '0'), ('t_nobody', '0'), ('t_bot', NULL)) AS v (who, n)
WHERE n IS NOT NULL;
SELECT is(pg_temp.by(who, 'SELECT count(*) FROM claiim.' || tab), n, format('%s sees %s rows of %s', who, n, tab))
FROM (VALUES
	('t_ann', 'sessions', '8'), ('t_aud', 'sessions', '8'), ('t_eve', 'sessions', '0'), ('t_nobody', 'sessions', '0'),
	('t_ann', 'session_uses', '2'), ('t_aud', 'session_uses', '2'), ('t_eve', 'session_uses', '0'), ('t_nobody', 'session_uses', '0'),
	('t_ann', 'completions', '1'), ('t_aud', 'completions', '1'), ('t_eve', 'completions', '0'), ('t_nobody', 'completions', '0'),
	('t_aud', 'incomplete_actions', '2'), ('t_eve', 'incomplete_actions', '0')) AS v (who, tab, n);
SELECT pg_temp.refused(who, 'SELECT count(*) FROM claiim.sessions', '42501', 'permission denied for%', who || ' reads none of it')
FROM unnest('{t_dora,t_bot,t_bot2}'::name[]) AS who;
SELECT pg_temp.both('t_ann', 't_bob', $$map_target('fin/**', 'fin')$$) IS NULL \g /dev/null
SELECT pg_temp.both('t_eve', 't_fred', $$propose_session('fin-bot', '{x:do}', '{fin/**}', 'why', 'F1')$$) IS NULL \g /dev/null
SELECT is(pg_temp.by('t_eve', 'SELECT string_agg(ticket, '','') FROM claiim.session_registry'), 'F1', 'an organization sees its own');
SELECT is(pg_temp.by('t_ann', 'SELECT count(*) FROM claiim.session_registry WHERE ticket = ''F1'''), '0', '... and no other does');
SELECT pg_temp.refused('t_bot', format('SELECT claiim_session_status(%L, %L)', 'bot', pg_temp.ses('F1')), '42704', 'agent "bot" has no session%', 'nor another organization''s agent');

/* ---- what the tables themselves refuse ---- */

SELECT throws_ok($$INSERT INTO claiim.sessions (session) VALUES ('x')$$, '42501', 'table claiim.sessions cannot be changed directly', 'nobody opens a session by hand');
SELECT throws_ok($$UPDATE claiim.sessions SET max_uses = 100$$, '42501', 'table claiim.sessions cannot be changed directly', 'nor changes one');
SELECT throws_ok($$UPDATE claiim.session_uses SET used = 1$$, '42501', 'Chron is append-only: UPDATE of claiim.session_uses is refused', 'nor gives a use back');
SELECT throws_ok($$DELETE FROM claiim.session_uses$$, '42501', 'Chron is append-only: DELETE from claiim.session_uses is refused', 'nor all of them');
SELECT throws_ok($$INSERT INTO claiim.completions VALUES (1, 'acme', now(), 'succeeded', 2)$$, '42501', 'Chron is append-only: INSERT into claiim.completions is refused', 'nor says by hand what became of an action');
SELECT throws_ok($$UPDATE claiim.completions SET status = 'failed'$$, '42501', 'Chron is append-only: UPDATE of claiim.completions is refused', 'nor says it anew');
SELECT is((SELECT ok FROM claiim.verify()), true, 'and Chron verifies');

SELECT * FROM finish();
