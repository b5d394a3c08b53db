-- Approved sessions at the gate: what fits and what does not, uses taken once,
-- and what became of an action.

\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

-- Sessions are known here by their tickets, since their identifiers differ from
-- run to run.
CREATE FUNCTION two.session(ticket text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS
    $$SELECT session FROM claiim.sessions s WHERE s.ticket = $1$$;
CREATE FUNCTION two.ticket(session text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS
    $$SELECT ticket FROM claiim.sessions s WHERE s.session = $1$$;
CREATE FUNCTION two.masked(message text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT regexp_replace(message, '(ses|chr|chg)_[0-9a-z]{26}', '\1_...', 'gi')$$;
-- A superuser with a hammer, for what only time would do.
CREATE FUNCTION two.hammer(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE claiim.sessions DISABLE TRIGGER claiim_guard_rows;
    EXECUTE statement;
    ALTER TABLE claiim.sessions ENABLE ALWAYS TRIGGER claiim_guard_rows;
END
$$;
\set ask 'SELECT outcome, reason_code, two.masked(reason), rule, two.ticket(session) FROM claiim_check'
\set many 'SELECT outcome, reason_code, two.ticket(session) FROM claiim_check_many'

-- What needs a session is denied without one.
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:apply', 'app/x');
RESET SESSION AUTHORIZATION;

-- Two humans open one: the agent acts inside of it, whether it passes it or not.
SELECT two.people($$propose_session('infra-bot', '{infra:apply,infra:read}', '{app/*}', 'nightly work', 'T1', max_uses => 9)$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T1'));
:ask ('infra-bot', 'infra:apply', 'app/x');
-- Passed where none is needed it is kept to all the same, and a use is taken.
:ask ('infra-bot', 'infra:read', 'app/x');
:ask ('infra-bot', 'infra:read', 'app/x', session => two.session('T1'));
:ask ('infra-bot', 'infra:read', 'prod/7', session => two.session('T1'));
-- It allows nothing that the policy does not.
:ask ('infra-bot', 'infra:destroy', 'app/x', session => two.session('T1'));
:ask ('infra-bot', 'infra:apply', 'ledger/1', session => two.session('T1'));
RESET SESSION AUTHORIZATION;
SELECT used FROM claiim.session_uses WHERE session = two.session('T1');
-- Chron has the session and the approving human of every decision inside of it.
SELECT outcome, reason_code, action, target, two.ticket(session), approved_by FROM claiim.chron
WHERE session = two.session('T1') ORDER BY seq;

-- Each fault has a code of its own.
SELECT two.people($$propose_session('deploy-bot', '{**}', '{**}', 'another agent', 'T2')$$);
SELECT two.people($$propose_session('web-bot', '{**}', '{**}', 'another organization', 'T3')$$);
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{app/**}', 'later', 'T4',
    valid_from => now() + '1 day', valid_until => now() + '2 days')$$);
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{prod/**}', 'once', 'T5', max_uses => 1)$$);
SET SESSION AUTHORIZATION regress_stranger;
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{app/**}', 'wanted', 'T6') ~ '^ses_[0-9a-z]{26}$';
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{app/**}', 'wanted', 'T7') ~ '^ses_[0-9a-z]{26}$';
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{app/**}', 'wanted', 'T8') ~ '^ses_[0-9a-z]{26}$';
:ask ('infra-bot', 'infra:apply', 'app/x', session => 'ses_01m7yy3c91e6rbh926s1ry3m64');
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T2'));
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T3'));
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T4'));
:ask ('infra-bot', 'infra:apply', 'prod/7', session => two.session('T5'));
:ask ('infra-bot', 'infra:apply', 'prod/7', session => two.session('T5'));
:ask ('infra-bot', 'infra:apply', 'prod/7');
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T6'));
:ask ('infra-bot', 'infra:apply', 'prod/7', session => two.session('T1'));
-- A session is no identity: a stranger is told nothing of it.
SET SESSION AUTHORIZATION regress_agent;
SELECT reason_code FROM claiim_check('infra-bot', 'infra:apply', 'app/x', session => two.session('T1'));
-- Humans refuse and revoke.
SET SESSION AUTHORIZATION regress_bob;
SELECT claiim.refuse_session(two.session('T7'), 'not tonight');
SELECT claiim.revoke_session(two.session('T4'), 'no longer needed');
RESET SESSION AUTHORIZATION;
SELECT two.hammer($$UPDATE claiim.sessions SET requested_at = requested_at - interval '168 hours' WHERE ticket = 'T8'$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T7'));
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T4'));
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T8'));
RESET SESSION AUTHORIZATION;
-- What was asked for is granted, by the same two.
SELECT two.people(format('grant_session(%L)', two.session('T6')));
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T6'));
:ask ('infra-bot', 'infra:apply', 'app/deeper/x', session => two.session('T6'));
:ask ('infra-bot', 'infra:read', 'app/x', session => two.session('T6'));
-- Now two fit, and the agent has to say which is meant; where one fits it is found.
:ask ('infra-bot', 'infra:apply', 'app/x');
:ask ('infra-bot', 'infra:apply', 'app/deeper/x');
RESET SESSION AUTHORIZATION;
SELECT two.hammer($$UPDATE claiim.sessions SET valid_until = clock_timestamp() WHERE ticket = 'T6'$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T6'));
:ask ('infra-bot', 'infra:apply', 'app/x');

-- What the agent sees of its own
\pset tuples_only off
SELECT two.ticket(session) AS ticket, status, valid_until > valid_from AS window, uses_left, approved_by, note
FROM unnest('{T1,T4,T5,T6,T7,T8}'::text[]) AS t, claiim_session_status('infra-bot', two.session(t)) ORDER BY 1;
\pset tuples_only on
SELECT two.masked(two.error(format('SELECT claiim_session_status(%L, %L)', 'infra-bot', s)))
FROM (VALUES (two.session('T2')), (two.session('T3')), ('ses_01m7yy3c91e6rbh926s1ry3m64'), ('x')) AS v (s);
SELECT two.error($$SELECT claiim_session_status('deploy-bot', two.session('T2'))$$);
SELECT two.error($$SELECT claiim_session_status('nobody', 'x')$$);
SELECT two.error($$SELECT claiim_session_status(NULL, 'x')$$);
SELECT two.error($$SELECT claiim_session_status('infra-bot', NULL)$$);
SELECT two.error($$SELECT claiim_session_status('infra-bot', 'x', token => 'nonsense')$$);
RESET SESSION AUTHORIZATION;

-- Several at once: three uses left, five questions. An ALLOW takes a use, a DENY
-- does not, and each use is taken once.
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{app/many/*}', 'three times', 'T9', max_uses => 3)$$);
SET SESSION AUTHORIZATION regress_stranger;
:many ('infra-bot', '{infra:apply,infra:destroy,infra:apply,infra:apply,infra:apply,infra:apply}',
       '{app/many/1,app/many/1,app/many/2,app/many/3,app/many/4,app/many/5}', session => two.session('T9'));
:many ('infra-bot', '{infra:apply,infra:apply}', '{app/many/1,app/many/2}', session => two.session('T9'));
RESET SESSION AUTHORIZATION;
-- Found, not passed: the same, and then none is left that fits.
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{app/many/more/*}', 'twice', 'T10', max_uses => 2)$$);
SET SESSION AUTHORIZATION regress_stranger;
:many ('infra-bot', '{infra:apply,infra:apply,infra:apply}', '{app/many/more/1,app/many/more/2,app/many/more/3}');
RESET SESSION AUTHORIZATION;
-- Two that fit are two no more when one of them is used up.
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{app/both/*}', 'a', 'T11', max_uses => 1)$$);
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{app/both/*}', 'b', 'T12', max_uses => 1)$$);
SET SESSION AUTHORIZATION regress_stranger;
:many ('infra-bot', '{infra:apply}', '{app/both/1}');
:many ('infra-bot', '{infra:apply}', '{app/both/1}', session => two.session('T12'));
:many ('infra-bot', '{infra:apply,infra:apply}', '{app/both/1,app/both/2}');
RESET SESSION AUTHORIZATION;

-- A use is taken for good: not a rollback, nor one to a savepoint, nor a failed
-- statement gives it back.
SELECT two.people($$propose_session('infra-bot', '{infra:apply}', '{app/rolled/*}', 'rolled back', 'T13', max_uses => 5)$$);
SET SESSION AUTHORIZATION regress_stranger;
BEGIN;
:many ('infra-bot', '{infra:apply}', '{app/rolled/1}');
SAVEPOINT s;
:many ('infra-bot', '{infra:apply}', '{app/rolled/2}');
ROLLBACK TO s;
:many ('infra-bot', '{infra:apply}', '{app/rolled/3}');
ROLLBACK;
SELECT 1 / (SELECT 0 FROM claiim_check('infra-bot', 'infra:apply', 'app/rolled/4'));
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT uses_left FROM claiim_session_status('infra-bot', two.session('T13'));
:many ('infra-bot', '{infra:apply,infra:apply}', '{app/rolled/5,app/rolled/6}', session => two.session('T13'));
SELECT status, uses_left FROM claiim_session_status('infra-bot', two.session('T13'));
COMMIT;
RESET SESSION AUTHORIZATION;
-- In the table stands what is in Chron, for every session.
SELECT two.ticket(u.session), u.used, max_uses, u.used = count(c.seq) AS as_in_chron, u.last_used_at = max(c.at) AS dated
FROM claiim.session_uses u JOIN claiim.sessions s USING (session)
    LEFT JOIN claiim.chron c ON c.session = u.session AND c.outcome = 'ALLOW'
GROUP BY u.session, u.used, s.max_uses, u.last_used_at ORDER BY length(two.ticket(u.session)), 1;
-- Only ALLOWs inside a session have a use, and all of them an approving human.
SELECT count(*) FROM claiim.chron WHERE outcome = 'ALLOW' AND (session IS NULL) <> (approved_by IS NULL);

-- A baseline can require one for what the policy allows without.
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_policy('guarded', E'allow:\n  - {action: "**", requires: session}\n', 'acme');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_baseline('acme', 'guarded-v1')$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:read', 'prod/7');
:ask ('infra-bot', 'infra:read', 'app/x');
:ask ('infra-bot', 'infra:apply', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT two.people($$propose_session('infra-bot', '{infra:read}', '{app/*}', 'another', 'T14')$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:read', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT two.people($$unbind_baseline('acme')$$);

-- Agents ask: by role, by token, or in a transaction that authenticated.
SET SESSION AUTHORIZATION regress_ann;
SELECT token FROM claiim.issue_token('infra-bot') \gset
SET SESSION AUTHORIZATION regress_agent;
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'by token', 'T15', '90 minutes', 7, :'token') ~ '^ses_';
BEGIN;
SELECT claiim_authenticate('infra-bot', :'token');
SELECT status, uses_left FROM claiim_session_status('infra-bot', two.session('T15'));
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'in a transaction', 'T16', '1 month') ~ '^ses_';
-- From here on the transaction governs: it can ask nothing more before its end.
SELECT two.error($$SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'again', 'T17')$$);
SELECT two.error($$SELECT claiim_check('infra-bot', 'infra:read', 'app/x')$$);
SELECT two.error($$SELECT claiim_session_status('infra-bot', two.session('T16'))$$);
SELECT two.error($$SELECT claiim_complete('chr_01m7wd7tkve74bzzzzzzzzzzzz', 'failed')$$);
COMMIT;
-- It is an ordinary transaction's: rolled back, it was never asked.
BEGIN;
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'rolled back', 'T18', token => :'token') ~ '^ses_[0-9a-z]{26}$';
ROLLBACK;
SELECT two.session('T18') IS NULL;
SELECT two.error(format('SELECT claiim_request_session(%L, %L, %L, %L, token => %L)', v.agent, '{infra:apply}', '{**}', 'stranger', v.token))
FROM (VALUES ('infra-bot', NULL), ('infra-bot', 'nonsense'), ('nobody', NULL), ('deploy-bot', :'token')) AS v (agent, token);
SET SESSION AUTHORIZATION regress_stranger;
-- What cannot be asked for
SELECT two.error(format('SELECT claiim_request_session(%L, %L, %L, %L, %L, %L, %L)', 'infra-bot', v.actions, v.targets, v.reason, v.ticket, v.valid_for, v.max_uses))
FROM (VALUES
    (1, '{}', '{**}', 'r', 't', '1 hour', 1),
    (2, NULL, '{**}', 'r', 't', '1 hour', 1),
    (3, '{infra:st*}', '{**}', 'r', 't', '1 hour', 1),
    (4, '{infra:a,infra:a}', '{**}', 'r', 't', '1 hour', 1),
    (5, '{infra:a,NULL}', '{**}', 'r', 't', '1 hour', 1),
    (6, '{{infra:a},{infra:b}}', '{**}', 'r', 't', '1 hour', 1),
    (7, (SELECT array_agg('a' || i)::text FROM generate_series(1, 33) i), '{**}', 'r', 't', '1 hour', 1),
    (8, '{infra:a}', '{app/../x}', 'r', 't', '1 hour', 1),
    (9, '{infra:a}', NULL, 'r', 't', '1 hour', 1),
    (10, '{infra:a}', '{**}', NULL, 't', '1 hour', 1),
    (11, '{infra:a}', '{**}', '', 't', '1 hour', 1),
    (12, '{infra:a}', '{**}', repeat('r', 1001), 't', '1 hour', 1),
    (13, '{infra:a}', '{**}', 'r', E't\u0007', '1 hour', 1),
    (14, '{infra:a}', '{**}', 'r', :'token', '1 hour', 1),
    (15, '{infra:a}', '{**}', 'r', 't', '0', 1),
    (16, '{infra:a}', '{**}', 'r', 't', '-1 hour', 1),
    (17, '{infra:a}', '{**}', 'r', 't', '367 days', 1),
    (18, '{infra:a}', '{**}', 'r', 't', NULL, 1),
    (19, '{infra:a}', '{**}', 'r', 't', '1 hour', 0)) AS v (n, actions, targets, reason, ticket, valid_for, max_uses)
ORDER BY n;
-- Asked directly, a refusal comes without the CONTEXT of claiim's own functions.
\set VERBOSITY default
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{app/**/x}', 'r');
\set VERBOSITY terse
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT two.error($$SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'old snapshot')$$);
COMMIT;
BEGIN READ ONLY;
SELECT two.error($$SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'read only')$$);
COMMIT;
-- At most twenty of an agent's wait at a time: T15, T16 and eighteen more.  T6 was
-- granted, T7 refused, T8 has lapsed.
SELECT format('SELECT claiim_request_session(%L, %L, %L, %L, %L) ~ %L', 'infra-bot', '{infra:apply}', '{**}', 'one of many', 'N' || i, '^ses_')
FROM generate_series(1, 18) AS i \gexec
SELECT two.error($$SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'one too many')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.refuse_session(two.session('N1'), 'too many');
SET SESSION AUTHORIZATION regress_stranger;
SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'in its place', 'N19') ~ '^ses_';
RESET SESSION AUTHORIZATION;
-- An agent that humans have stopped asks for nothing.
SET SESSION AUTHORIZATION regress_bob;
SELECT claiim.suspend_agent('infra-bot', 'test');
SET SESSION AUTHORIZATION regress_stranger;
SELECT two.error($$SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'suspended')$$);
:ask ('infra-bot', 'infra:apply', 'app/x', session => two.session('T1'));
RESET SESSION AUTHORIZATION;
SELECT two.people($$resume_agent('infra-bot', 'test')$$);

-- In Chron: acts without a human are the agent's, and name it.
SELECT outcome FROM claiim_check('nobody', 'a', 'b');
SELECT act, actor, org, subject, detail::jsonb - 'session' - 'lapses_at' - 'token', detail::jsonb ->> 'token' = (SELECT max(token) FROM claiim.tokens WHERE agent = 'infra-bot')
FROM claiim.chron WHERE act = 'session.request' AND detail::jsonb ->> 'ticket' IN ('T6', 'T15', 'T16') ORDER BY seq;
SELECT act, actor, subject, change IS NOT NULL AS has_change, detail::jsonb ->> 'reason' AS reason, detail::jsonb ->> 'proposed_by' AS proposed_by,
       detail::jsonb -> 'approved_by' AS approved_by, two.ticket(detail::jsonb ->> 'session') AS ticket
FROM claiim.chron WHERE act IN ('session.grant', 'session.refuse', 'session.revoke') AND two.ticket(detail::jsonb ->> 'session') IN ('T1', 'T4', 'T6', 'T7') ORDER BY seq;
-- Every code there is of a session has been met.
SELECT code FROM unnest('{session_unknown,session_other_agent,session_pending,session_not_started,session_expired,session_revoked,
    session_used_up,session_other_action,session_other_target,session_ambiguous,session_required}'::text[]) AS code
WHERE NOT EXISTS (SELECT FROM claiim.chron c WHERE c.reason_code = code);
SELECT ok, problem FROM claiim.verify();
