-- Tokens, passed per call or to claiim_authenticate, which holds for the
-- transaction and not a moment longer.

\set VERBOSITY terse
\set ask 'SELECT outcome, reason_code, reason FROM claiim_check'

SET SESSION AUTHORIZATION regress_ann;
SELECT token_id, token, expires_at IS NULL AS forever FROM claiim.issue_token('infra-bot', label => 'tests') \gset good_
SELECT token_id, token FROM claiim.issue_token('infra-bot', interval '500 ms') \gset short_
SELECT token_id, token FROM claiim.issue_token('infra-bot') \gset bad_
SELECT token_id, token FROM claiim.issue_token('deploy-bot') \gset other_
SELECT claiim.revoke_token(:'bad_token_id', 'lost');
RESET SESSION AUTHORIZATION;

SELECT :'good_token' ~ '^ctk_[0-9a-hjkmnp-tv-z]{26}_[A-Za-z0-9_-]{43}$' AS form,
       starts_with(:'good_token', :'good_token_id' || '_') AS names_its_row,
       :'good_forever' AS does_not_expire;

-- Any role that may ask can carry a token.
SET SESSION AUTHORIZATION regress_agent;
SELECT chron_id, outcome FROM claiim_check('infra-bot', 'infra:read', 'app/x', token => :'good_token') \gset ok_
\echo :ok_outcome
:ask ('infra-bot', 'infra:read', 'app/x');
:ask ('infra-bot', 'infra:read', 'app/x', token => :'bad_token');
:ask ('infra-bot', 'infra:read', 'app/x', token => :'other_token');
:ask ('deploy-bot', 'deploy:staging', 'app/x', token => :'good_token');
-- One character off: in the secret part, in the identifier, one too many
:ask ('infra-bot', 'infra:read', 'app/x', token => translate(right(:'good_token', 43), 'abc', 'bca'));
:ask ('infra-bot', 'infra:read', 'app/x', token => :'good_token_id' || '_' || right(:'other_token', 43));
:ask ('infra-bot', 'infra:read', 'app/x', token => :'other_token_id' || '_' || right(:'good_token', 43));
:ask ('infra-bot', 'infra:read', 'app/x', token => :'good_token' || 'A');
:ask ('infra-bot', 'infra:read', 'app/x', token => :'good_token_id');
SELECT pg_sleep(0.6) IS NULL;
:ask ('infra-bot', 'infra:read', 'app/x', token => :'short_token');
RESET SESSION AUTHORIZATION;

SELECT auth, token = :'good_token_id' AS by_its_identifier
FROM claiim.chron WHERE claiim.chron_id(seq, at) = :'ok_chron_id';

-- claiim_authenticate: from the call to the transaction's end
SET SESSION AUTHORIZATION regress_agent;
BEGIN;
SELECT claiim_authenticate('infra-bot', :'good_token');
SELECT outcome, chron_id FROM claiim_check('infra-bot', 'infra:read', 'app/x') \gset tx_
\echo :tx_outcome
-- it is that agent's, and a token that is passed still decides alone
:ask ('deploy-bot', 'deploy:staging', 'app/x');
:ask ('infra-bot', 'infra:read', 'app/x', token => 'nonsense');
COMMIT;
:ask ('infra-bot', 'infra:read', 'app/x');
BEGIN;
SELECT claiim_authenticate('infra-bot', :'good_token');
ROLLBACK;
:ask ('infra-bot', 'infra:read', 'app/x');
-- in a statement of its own it ends with the statement
SELECT claiim_authenticate('infra-bot', :'good_token');
:ask ('infra-bot', 'infra:read', 'app/x');

-- Savepoints: rolled back with the one that it was made in, also when that
-- one was released into another; kept where nothing is rolled back.
BEGIN;
SAVEPOINT a;
SELECT claiim_authenticate('infra-bot', :'good_token');
SAVEPOINT b;
ROLLBACK TO b;
:ask ('infra-bot', 'infra:read', 'app/x');
ROLLBACK TO a;
:ask ('infra-bot', 'infra:read', 'app/x');
SAVEPOINT c;
SAVEPOINT d;
SELECT claiim_authenticate('infra-bot', :'good_token');
RELEASE d;
:ask ('infra-bot', 'infra:read', 'app/x');
ROLLBACK TO c;
:ask ('infra-bot', 'infra:read', 'app/x');
SAVEPOINT e;
SELECT claiim_authenticate('infra-bot', :'good_token');
RELEASE e;
:ask ('infra-bot', 'infra:read', 'app/x');
COMMIT;
:ask ('infra-bot', 'infra:read', 'app/x');

-- A failed attempt ends the one before, and says the same whatever failed.
BEGIN;
SELECT claiim_authenticate('infra-bot', :'good_token');
SAVEPOINT a;
SELECT claiim_authenticate('infra-bot', :'bad_token');
ROLLBACK TO a;
:ask ('infra-bot', 'infra:read', 'app/x');
SELECT claiim_authenticate('infra-bot', :'short_token');
ROLLBACK TO a;
SELECT claiim_authenticate('infra-bot', :'other_token');
ROLLBACK TO a;
SELECT claiim_authenticate('nobody', :'good_token');
ROLLBACK;

RESET SESSION AUTHORIZATION;

SELECT auth, token = :'good_token_id' AS by_its_identifier
FROM claiim.chron WHERE claiim.chron_id(seq, at) = :'tx_chron_id';

-- In the place of another argument, which would be recorded as it is: refused,
-- and not repeated; the right one, a revoked one, and one that never was.
\pset format unaligned
\pset tuples_only on
SELECT count(*) AS before FROM claiim.chron \gset
SELECT n, count(*), count(*) FILTER (WHERE strpos(message, right(token, 43)) > 0) AS repeats,
       replace(message, token, '(the token)')
FROM (VALUES (:'good_token'), (:'bad_token'), ('ctk_01j00000000000000000000000_' || repeat('A', 43))) AS t (token),
     (VALUES (1, $$SELECT claiim_check(%L, 'a', 'b')$$, ''),
             (2, $$SELECT claiim_check('x', %L, 'b')$$, ''),
             (3, $$SELECT claiim_check('x', 'a', %L)$$, ''),
             (4, $$SELECT claiim_check('x', 'a', %L)$$, 'app/'),
             (5, $$SELECT claiim_check('x', 'a', 'b', session => %L)$$, ''),
             (6, $$SELECT claiim_check('x', 'a', 'b', context => to_jsonb(%L::text))$$, ''),
             (7, $$SELECT claiim_check('x', 'a', 'b', context => jsonb_build_object('a', jsonb_build_array(1, %L)))$$, 'Bearer '),
             (8, $$SELECT claiim_check('x', 'a', 'b', context => jsonb_build_object(%L, null))$$, ''),
             (9, $$SELECT claiim_check_many('x', ARRAY['a', %L], '{b,b}')$$, ''),
             (10, $$SELECT claiim_check_many('x', '{a,a}', ARRAY['b', %L])$$, ''),
             (11, $$SELECT claiim_authenticate(%L, 'x')$$, '')) AS s (n, statement, before),
     LATERAL (SELECT two.error(format(statement, before || token))) AS e (message)
GROUP BY 1, 4 ORDER BY 1, 4;
SELECT count(*) - :before FROM claiim.chron;
-- and in what a human writes down
SET SESSION AUTHORIZATION regress_ann;
SELECT split_part(two.error(format($$SELECT claiim.issue_token('infra-bot', label => %L)$$, :'good_token')), E'\n', 1);
SELECT split_part(two.error(format($$SELECT claiim.suspend_agent('infra-bot', %L)$$, 'leaked: ' || :'good_token')), E'\n', 1);
RESET SESSION AUTHORIZATION;
\pset tuples_only off
\pset format aligned

-- Nothing of a token but its identifier is in any table of claiim, and what is
-- in claiim.tokens is no plain hash of it.
SELECT count(*) AS found
FROM (SELECT right(:'good_token', 43)) AS secret (part),
     LATERAL (SELECT 1 FROM claiim.chron c WHERE strpos(c::text, part) > 0
              UNION ALL SELECT 1 FROM claiim.changes c WHERE strpos(c::text, part) > 0
              UNION ALL SELECT 1 FROM claiim.tokens t WHERE strpos(t::text, part) > 0
              UNION ALL SELECT 1 FROM claiim.outbox o WHERE strpos(o::text, part) > 0) AS t;
SELECT count(*), bool_or(digest IN (sha256(convert_to(:'good_token', 'UTF8')),
                                    sha256(convert_to(right(:'good_token', 43), 'UTF8')))) AS plain
FROM claiim.tokens WHERE token = :'good_token_id';

-- All the reasons there are have been met by now.
SELECT code AS never_met
FROM unnest('{allowed,agent_unknown,token_invalid,token_expired,token_revoked,role_mismatch,
              agent_suspended,agent_retired,anchor_missing,anchor_inactive,org_suspended,
              target_unmapped,org_boundary,policy_missing,skill_not_declared,skill_not_covering,
              baseline_deny,baseline_not_allowed,not_in_allow_list,target_not_allowed,
              in_deny_list,session_required,session_unknown}'::text[]) AS code
WHERE NOT EXISTS (SELECT FROM claiim.chron c WHERE c.reason_code = code);
SELECT DISTINCT reason_code AS not_in_the_list FROM claiim.chron
WHERE reason_code <> ALL ('{allowed,agent_unknown,token_invalid,token_expired,token_revoked,role_mismatch,
              agent_suspended,agent_retired,anchor_missing,anchor_inactive,org_suspended,
              target_unmapped,org_boundary,policy_missing,skill_not_declared,skill_not_covering,
              baseline_deny,baseline_not_allowed,not_in_allow_list,target_not_allowed,
              in_deny_list,session_required,session_unknown}'::text[]);
