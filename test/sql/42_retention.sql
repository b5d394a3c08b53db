-- Contexts go, decisions stay: what may be removed is removed by an act, what
-- is held is not, and Chron verifies all the same.

SET client_min_messages = warning;
CREATE ROLE regress_keep LOGIN;
SELECT two.people($$register_org('acme/keep')$$);
SELECT two.people($$register_org('acme/keep/long')$$);
SELECT two.people($$map_target('keep/**', 'acme/keep')$$);
SELECT two.people($$register_agent('keep-bot', 'acme/keep', 'ann', '{deploy}', 'regress_keep')$$);
SELECT two.people($$register_agent('long-bot', 'acme/keep/long', 'ann', '{deploy}')$$);
SELECT max(seq) AS mark FROM claiim.chron \gset
SET SESSION AUTHORIZATION regress_keep;
SELECT chron_id AS keep1 FROM claiim_check('keep-bot', 'deploy:staging', 'keep/1', context => '{"n": 1}') \gset
SELECT chron_id AS keep2 FROM claiim_check('keep-bot', 'deploy:staging', 'keep/2', context => '{"n": 2}') \gset
SELECT chron_id AS keep3 FROM claiim_check('keep-bot', 'deploy:staging', 'keep/3') \gset
SELECT chron_id AS long1 FROM claiim_check('long-bot', 'deploy:staging', 'keep/4', context => '{"n": 3}') \gset
SELECT chron_id AS none1 FROM claiim_check('nobody', 'deploy:staging', 'keep/5', context => '{"n": 4}') \gset
RESET SESSION AUTHORIZATION;
CREATE VIEW two.contexts AS
    SELECT c.target, x.value FROM claiim.contexts x JOIN claiim.chron c ON c.seq = x.seq
    WHERE c.target LIKE 'keep/%' ORDER BY c.seq;
SELECT * FROM two.contexts;

-- One by one, by two humans
SET SESSION AUTHORIZATION regress_ann;
SELECT split_part(two.error(format('SELECT claiim.erase_context(%L, ''x'')', :'keep3')), ':', 1) AS without_context;
SELECT split_part(two.error(format('SELECT claiim.erase_context(%L, NULL)', :'keep1')), ':', 1) AS without_reason;
SELECT claiim.erase_context(:'keep1', 'asked for by the data subject') AS erase_change \gset
SET SESSION AUTHORIZATION regress_cfo;
-- another organization's admin is not told whether there is such a decision
SELECT replace(two.error(format('SELECT claiim.erase_context(%L, ''x'')', :'keep1')), :'keep1', '?') =
    replace(two.error(format('SELECT claiim.erase_context(%L, ''x'')', :'none1')), :'none1', '?') AS same;
SELECT replace(two.error(format('SELECT claiim.erase_context(%L, ''x'')', :'keep1')), :'keep1', '?');
RESET SESSION AUTHORIZATION;
SELECT replace(summary, :'keep1', 'chr_...'), org FROM claiim.changes WHERE change = :'erase_change';
SELECT * FROM two.contexts;
SET SESSION AUTHORIZATION regress_bob;
SELECT claiim.approve(:'erase_change');
RESET SESSION AUTHORIZATION;
SELECT * FROM two.contexts;
-- what became of an action can say as much as what was asked
SELECT two.people($$bind_policy('keep-bot', 'no-prod-v1')$$);
SET SESSION AUTHORIZATION regress_keep;
SELECT chron_id AS done FROM claiim_check('keep-bot', 'deploy:staging', 'keep/done') \gset
SELECT claiim_complete(:'done', 'failed', '{"for": "Jane Roe"}') AS completion \gset
SELECT claiim_complete(chron_id, 'succeeded') AS bare FROM claiim_check('keep-bot', 'deploy:staging', 'keep/bare') \gset
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_ann;
SELECT replace(two.error(format('SELECT claiim.erase_context(%L, ''x'')', :'bare')), :'bare', '?');
SELECT claiim.erase_context(:'completion', 'asked for by Jane Roe') AS erase_change \gset
SET SESSION AUTHORIZATION regress_bob;
SELECT replace(summary, :'completion', 'chr_...'), org FROM claiim.pending_changes WHERE change = :'erase_change';
SELECT claiim.approve(:'erase_change');
RESET SESSION AUTHORIZATION;
SELECT act, context_digest IS NOT NULL AS has_digest, claiim.chron_id(seq, at) = :'completion' AS that_one,
    EXISTS (SELECT FROM claiim.contexts x WHERE x.seq = c.seq) AS has_context
FROM claiim.chron c WHERE org = 'acme/keep' AND act = 'action.complete' ORDER BY seq;
-- one of an unknown agent is the founding organization's
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.erase_context(:'none1', 'a stranger''s') AS erase_change \gset
SELECT org FROM claiim.pending_changes WHERE change = :'erase_change';
SELECT claiim.withdraw(:'erase_change');
RESET SESSION AUTHORIZATION;

-- By age.  Two kinds of age, of which the one below goes by its own.
SELECT two.people($$set_retention('acme/keep', '1 microsecond')$$);
SELECT two.people($$set_retention('acme/keep/long', '100 years')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.place_hold('acme/keep', 'lawsuit 7');
SELECT claiim.prune_contexts('acme/keep') AS under_hold;
SELECT split_part(two.error(format('SELECT claiim.erase_context(%L, ''x'')', :'keep2')), E'\n', 1) LIKE '55000: %is under a legal hold' AS refused;
SELECT claiim.release_hold('acme/keep', 'settled') AS hold_change \gset
RESET SESSION AUTHORIZATION;
SELECT * FROM two.contexts;
-- an erasure that was proposed before a hold is not made under it
SET SESSION AUTHORIZATION regress_bob;
SELECT claiim.approve(:'hold_change');
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.erase_context(:'keep2', 'x') AS erase_change \gset
SELECT claiim.place_hold('acme', 'all of it');
SET SESSION AUTHORIZATION regress_bob;
SELECT split_part(two.error(format('SELECT claiim.approve(%L)', :'erase_change')), ':', 1);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.withdraw(:'erase_change');
SELECT claiim.prune_contexts('acme/keep') AS under_hold_from_above;
RESET SESSION AUTHORIZATION;
SELECT two.people($$release_hold('acme', 'over')$$);
-- rolled back, nothing was removed
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.prune_contexts('acme/keep');
ROLLBACK;
SELECT * FROM two.contexts;
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.prune_contexts('acme/keep');
SELECT claiim.prune_contexts('acme/keep') AS again;
RESET SESSION AUTHORIZATION;
SELECT * FROM two.contexts;

-- Only in a transaction that has recorded it, and by claiim's functions alone
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('long-bot', 'x');
RESET SESSION AUTHORIZATION;
SELECT split_part(two.error('DELETE FROM claiim.contexts'), E'\n', 1);
ROLLBACK;
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('long-bot', 'x');
RESET SESSION AUTHORIZATION;
SAVEPOINT s;
DO $$BEGIN PERFORM claiim._act('context.prune', NULL, NULL, NULL, NULL, NULL); END$$;
ROLLBACK TO s;
SELECT split_part(two.error('DELETE FROM claiim.contexts'), E'\n', 1);
ROLLBACK;
SELECT * FROM two.contexts;

-- The decisions are what they were, and Chron says what became of their contexts.
SELECT target, context_digest IS NOT NULL AS has_digest FROM claiim.chron WHERE target LIKE 'keep/%' ORDER BY seq;
SELECT outcome FROM claiim_check('x', 'a', 'b');
SELECT ok, problem FROM claiim.verify();
SELECT act, actor, org, (detail::jsonb ->> 'contexts')::int AS contexts,
    detail::jsonb ->> 'first_seq' = detail::jsonb ->> 'last_seq' AS one, detail::jsonb -> 'keep' AS keep, detail::jsonb -> 'held' AS held
FROM claiim.chron WHERE seq > :mark AND act IN ('context.prune', 'context.erase', 'hold.place', 'hold.release', 'retention.set') ORDER BY seq;
