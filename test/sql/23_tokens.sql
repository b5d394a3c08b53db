-- Tokens, passed per call or to claiim_authenticate, which holds for the
-- transaction and not a moment longer.

\set VERBOSITY terse
\set ask 'SELECT outcome, reason_code, reason FROM claiim_check'
-- What Chron says since it was last asked: whoever proves nothing is told one
-- and the same, and the cause is for the auditors.
\set chron 'SELECT outcome, reason_code, reason, auth, token = ANY (ARRAY[:''good_token_id'', :''bad_token_id'', :''short_token_id'', :''other_token_id'']) AS known FROM claiim.chron WHERE kind = ''decision'' AND seq > :before ORDER BY seq; SELECT max(seq) AS before FROM claiim.chron \\gset'

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
SELECT max(seq) AS before FROM claiim.chron \gset

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
-- No such agent, with a token of another one and without
:ask ('nobody', 'infra:read', 'app/x', token => :'good_token');
:ask ('nobody', 'infra:read', 'app/x', token => :'good_token_id' || '_' || right(:'other_token', 43));
:ask ('nobody', 'infra:read', 'app/x');
RESET SESSION AUTHORIZATION;
:chron

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
:chron

-- Word for word the same, of an agent that there is and of one that there is not
SET SESSION AUTHORIZATION regress_agent;
SELECT count(DISTINCT two.error(format('SELECT claiim_authenticate(%L, %L)', agent, token))) AS errors, max(two.error(format('SELECT claiim_authenticate(%L, %L)', agent, token))) AS error
FROM unnest('{infra-bot,nobody}'::text[]) AS agent,
     unnest(ARRAY[:'bad_token', :'short_token', :'other_token', :'good_token_id' || '_' || right(:'other_token', 43), 'nonsense', '']) AS token;
SELECT count(DISTINCT (outcome, replace(reason, agent, '?'), reason_code, rule, anchor, org, policy, skill, baseline, session)) AS answers, max(reason)
FROM unnest('{infra-bot,nobody}'::text[]) AS agent,
     unnest(ARRAY[:'bad_token', :'short_token', :'other_token', :'good_token_id' || '_' || right(:'other_token', 43), 'nonsense', '', NULL]) AS token,
     LATERAL claiim_check(agent, 'infra:read', 'app/x', token => token);
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

-- Rotated: the new one is good at once, the old one until the overlap is over.
SET SESSION AUTHORIZATION regress_bob;
SELECT token_id, token FROM claiim.rotate_token(:'good_token_id', '1 hour') \gset next_
SELECT token_id, token FROM claiim.rotate_token(:'next_token_id', '0') \gset last_
SET SESSION AUTHORIZATION regress_agent;
:ask ('infra-bot', 'infra:read', 'app/x', token => :'good_token');
:ask ('infra-bot', 'infra:read', 'app/x', token => :'next_token');
:ask ('infra-bot', 'infra:read', 'app/x', token => :'last_token');
RESET SESSION AUTHORIZATION;
SELECT count(*) AS in_an_act FROM claiim.chron, unnest(ARRAY[:'next_token', :'last_token']) AS t
WHERE strpos(detail, right(t, 43)) > 0 OR strpos(detail, (SELECT encode(digest, 'hex') FROM claiim.tokens WHERE token = :'next_token_id')) > 0;

-- Bound to networks: over a Unix socket, as here, a client is in none.
SET SESSION AUTHORIZATION regress_ann;
SELECT token_id, token FROM claiim.issue_token('infra-bot', networks => '{127.0.0.0/8,::1/128,0.0.0.0/0,::/0}') \gset net_
SELECT token_id, token FROM claiim.rotate_token(:'net_token_id') \gset net2_
SET SESSION AUTHORIZATION regress_agent;
:ask ('infra-bot', 'infra:read', 'app/x', token => :'net_token');
:ask ('infra-bot', 'infra:read', 'app/x', token => :'net2_token');
SELECT two.error(format($$SELECT claiim_authenticate('infra-bot', %L)$$, :'net_token'));
RESET SESSION AUTHORIZATION;
:chron

-- The list: what became of each, but no token.
SET SESSION AUTHORIZATION regress_ann;
SELECT name, agent, label, status, networks, issued_by, expires_at > now() AS expires,
       replaces = :'good_token_id' AS replaces_good, rotated_to = :'next_token_id' AS rotated_to_next, rotated_by, revoked_by, revoked_at < now() AS revoked
FROM claiim.token_registry r JOIN (VALUES (1, 'good', :'good_token_id'), (2, 'next', :'next_token_id'), (3, 'last', :'last_token_id'), (4, 'short', :'short_token_id'),
     (5, 'bad', :'bad_token_id'), (6, 'net', :'net_token_id'), (7, 'net2', :'net2_token_id')) AS v (n, name, id) ON r.token_id = v.id ORDER BY n;
SELECT count(*) AS found FROM claiim.token_registry r, unnest(ARRAY[:'good_token', :'next_token', :'last_token']) AS t WHERE strpos(r::text, right(t, 43)) > 0;
SET SESSION AUTHORIZATION regress_fay;
SELECT count(*) AS of_another_organization FROM claiim.token_registry;
RESET SESSION AUTHORIZATION;

-- An agent that somebody asked for before there was one is known as soon as
-- there is.
SET SESSION AUTHORIZATION regress_agent;
:ask ('late-bot', 'infra:read', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT two.people($$register_agent('late-bot', 'acme', 'ann', '{infra}')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT token FROM claiim.issue_token('late-bot') \gset late_
SET SESSION AUTHORIZATION regress_agent;
:ask ('late-bot', 'infra:read', 'app/x', token => :'late_token');
-- and one that was pushed out of what is remembered of unknown names
SELECT count(*), count(DISTINCT reason_code) FROM generate_series(1, 200) AS i, LATERAL claiim_check('ghost-' || i % 150, 'infra:read', 'app/x');
:ask ('late-bot', 'infra:read', 'app/x', token => :'late_token');
:ask ('ghost-3', 'infra:read', 'app/x', token => :'late_token');
RESET SESSION AUTHORIZATION;

-- All the reasons there are have been met by now.
SELECT code AS never_met
FROM unnest('{allowed,agent_unknown,token_malformed,token_invalid,token_other_agent,token_expired,
              token_revoked,token_network,role_mismatch,
              agent_suspended,agent_retired,anchor_missing,anchor_inactive,org_suspended,
              target_unmapped,org_boundary,policy_missing,skill_not_declared,skill_not_covering,
              baseline_deny,baseline_not_allowed,not_in_allow_list,target_not_allowed,
              in_deny_list,session_required,session_unknown}'::text[]) AS code
WHERE NOT EXISTS (SELECT FROM claiim.chron c WHERE c.reason_code = code);
SELECT DISTINCT reason_code AS not_in_the_list FROM claiim.chron
WHERE reason_code <> ALL ('{allowed,agent_unknown,token_malformed,token_invalid,token_other_agent,token_expired,
              token_revoked,token_network,role_mismatch,
              agent_suspended,agent_retired,anchor_missing,anchor_inactive,org_suspended,
              target_unmapped,org_boundary,policy_missing,skill_not_declared,skill_not_covering,
              baseline_deny,baseline_not_allowed,not_in_allow_list,target_not_allowed,
              in_deny_list,session_required,session_unknown}'::text[]);
