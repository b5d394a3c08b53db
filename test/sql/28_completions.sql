-- What became of an allowed action: said once, by the agent that was allowed,
-- and recorded like a decision.

\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;

SET SESSION AUTHORIZATION regress_stranger;
SELECT chron_id AS done FROM claiim_check('infra-bot', 'infra:read', 'app/done/1') \gset
SELECT chron_id AS failed FROM claiim_check('infra-bot', 'infra:read', 'app/done/2') \gset
SELECT chron_id AS open FROM claiim_check('infra-bot', 'infra:read', 'app/done/3') \gset
SELECT chron_id AS rolled FROM claiim_check('infra-bot', 'infra:read', 'app/done/4') \gset
SELECT chron_id AS denied FROM claiim_check('infra-bot', 'infra:destroy', 'app/done/5') \gset
SET SESSION AUTHORIZATION regress_deploy;
SELECT chron_id AS other FROM claiim_check('deploy-bot', 'deploy:staging', 'app/done/6') \gset
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION regress_stranger;
SELECT claiim_complete(:'done', 'succeeded') AS completion \gset
SELECT claiim_complete(:'failed', 'failed', '{"error": "disk full", "n": 1}') ~ '^chr_' AS answered;
-- In a read only transaction, with an old snapshot, and whatever becomes of it
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT 1 AS snapshot_taken;
SELECT chron_id AS new FROM claiim_check('infra-bot', 'infra:read', 'app/done/7') \gset
SELECT claiim_complete(:'new', 'cancelled') ~ '^chr_' AS answered;
SELECT claiim_complete(:'rolled', 'succeeded') ~ '^chr_' AS answered;
ROLLBACK;
-- Once. It does not matter what is said the second time.
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L)', :'done', s))) FROM unnest('{succeeded,failed}'::text[]) AS s;
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L)', :'rolled', 'failed')));
-- A DENY has nothing to complete; and what is not the caller's does not exist.
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L)', id, 'failed')))
FROM (VALUES (1, :'denied'), (2, :'other'), (3, 'chr_01m7wd7tkve74bzzzzzzzzzzzz'), (4, :'completion')) AS v (n, id) ORDER BY n;
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L, token => %L)', :'open', 'failed', 'nonsense')));
SET SESSION AUTHORIZATION regress_agent;
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L)', id, 'failed'))) FROM unnest(ARRAY[:'open', :'denied', :'done']) AS id;
SET SESSION AUTHORIZATION regress_stranger;
-- The arguments
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L, %L)', v.id, v.status, v.detail)))
FROM (VALUES
    (1, NULL, 'failed', NULL), (2, :'open', NULL, NULL), (3, :'open', 'done', NULL), (4, :'open', '', NULL),
    (5, 'x', 'failed', NULL), (6, '', 'failed', NULL), (7, upper(:'open'), 'failed', NULL), (8, :'open' || '0', 'failed', NULL),
    (9, repeat('x', 1000), 'failed', NULL),
    (10, :'open', 'failed', to_jsonb(repeat('x', 8191))::text), (11, :'open', 'failed', '{"t": "ctk_01j00000000000000000000000_' || repeat('A', 43) || '"}'),
    (12, 'ctk_01j00000000000000000000000_' || repeat('A', 43), 'failed', NULL)) AS v (n, id, status, detail) ORDER BY n;
SELECT claiim_complete(:'open', 'failed', to_jsonb(repeat('x', 8190))) ~ '^chr_' AS the_largest;
RESET SESSION AUTHORIZATION;

-- A token does as well as a role, in this very call or in the transaction; a
-- token of another agent does not.
SET SESSION AUTHORIZATION regress_ann;
SELECT token AS infra, token_id AS infra_id FROM claiim.issue_token('infra-bot') \gset
SELECT token AS deploy FROM claiim.issue_token('deploy-bot') \gset
SET SESSION AUTHORIZATION regress_agent;
SELECT chron_id AS by_token FROM claiim_check('infra-bot', 'infra:read', 'app/done/8', token => :'infra') \gset
SELECT chron_id AS by_login FROM claiim_check('infra-bot', 'infra:read', 'app/done/9', token => :'infra') \gset
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L, token => %L)', :'by_token', 'failed', :'deploy')));
SELECT claiim_complete(:'by_token', 'succeeded', token => :'infra') ~ '^chr_' AS answered;
BEGIN;
SELECT claiim_authenticate('infra-bot', :'infra');
SELECT claiim_complete(:'by_login', 'succeeded') ~ '^chr_' AS answered;
COMMIT;
-- Who was suspended meanwhile can still say what became of it; who was revoked
-- cannot.
SELECT chron_id AS late FROM claiim_check('infra-bot', 'infra:read', 'app/done/10', token => :'infra') \gset
SELECT chron_id AS later FROM claiim_check('infra-bot', 'infra:read', 'app/done/11', token => :'infra') \gset
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('infra-bot', 'test');
SET SESSION AUTHORIZATION regress_agent;
SELECT claiim_complete(:'late', 'succeeded', token => :'infra') ~ '^chr_' AS answered;
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.revoke_token(:'infra_id', 'test');
SET SESSION AUTHORIZATION regress_agent;
SELECT two.masked(two.error(format('SELECT claiim_complete(%L, %L, token => %L)', :'later', 'failed', :'infra')));
RESET SESSION AUTHORIZATION;
SELECT two.people($$resume_agent('infra-bot', 'test')$$);

-- Chron has an act of each, and the table says which belongs to which.
SELECT d.target, k.status, k.org, c.act, c.agent, c.subject = claiim.chron_id(d.seq, d.at) AS of_it, c.detail, c.org,
       c.auth, c.token IS NOT NULL AS token, c.db_user, c.context_digest IS NOT NULL AS detailed, c.at = k.at AS dated, c.actor
FROM claiim.completions k JOIN claiim.chron d USING (seq) JOIN claiim.chron c ON c.seq = k.completion_seq
ORDER BY d.seq;
SELECT count(*) FROM claiim.chron WHERE act = 'action.complete' AND seq NOT IN (SELECT completion_seq FROM claiim.completions);
SELECT claiim._chron_key(:'completion') = (SELECT (c.seq, c.at) FROM claiim.chron c JOIN claiim.completions k ON k.completion_seq = c.seq
    WHERE k.seq = (claiim._chron_key(:'done')).seq) AS returned;
-- What was said in detail is kept like a context: salted, and erasable.
SELECT left(value, 40), context_digest = sha256('claiim/chron/context/v1\012'::bytea || salt || convert_to(value, 'UTF8')) AS digest
FROM claiim.contexts JOIN claiim.chron USING (seq) WHERE act = 'action.complete' ORDER BY seq;
-- What was allowed and not completed
SELECT agent, action, target, org, session IS NOT NULL AS in_session FROM claiim.incomplete_actions WHERE target LIKE 'app/done/%' ORDER BY seq;
SELECT (SELECT count(*) FROM claiim.incomplete_actions) = count(*) AS all_of_them
FROM claiim.chron WHERE outcome = 'ALLOW' AND seq NOT IN (SELECT seq FROM claiim.completions);
SELECT ok, problem FROM claiim.verify();
