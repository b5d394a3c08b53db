-- Several questions in one call: answered one by one, in their order, each with
-- a record of its own.

\set VERBOSITY terse
SET SESSION AUTHORIZATION regress_deploy;
SELECT n, outcome, reason_code, rule
FROM claiim_check_many('deploy-bot', '{deploy:staging,deploy:production,deploy:staging,infra:read}',
                       '{app/many/1,app/many/2,app/many/3,ledger/1}') WITH ORDINALITY
         AS a (outcome, reason, reason_code, rule, chron_id, anchor, org, policy, skill, baseline, session, decided_at, n)
ORDER BY n;
-- Rolled back, they stand
BEGIN;
SELECT count(*), count(DISTINCT chron_id) FROM claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{100}'),
    (SELECT array_agg('app/hundred/' || i) FROM generate_series(1, 100) i), context => '{"batch": 1}');
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT target, action, outcome FROM claiim.chron WHERE target LIKE 'app/many/%' ORDER BY seq;
-- in the order in which they were asked, each with the context, salted anew
SELECT count(*), bool_and(in_order) AS in_order, count(DISTINCT context_digest) AS digests
FROM (SELECT *, split_part(target, '/', 3)::int > lag(split_part(target, '/', 3)::int, 1, 0) OVER (ORDER BY seq) AS in_order
      FROM claiim.chron WHERE target LIKE 'app/hundred/%') AS c;
SELECT count(*) FROM claiim.chron c JOIN claiim.contexts x USING (seq)
WHERE target LIKE 'app/hundred/%'
  AND context_digest = sha256('claiim/chron/context/v1\012'::bytea || salt || convert_to(value, 'UTF8'));

-- Nothing asked, nothing answered
SELECT count(*) FROM claiim_check_many('deploy-bot', '{}', '{}');
-- An error is one of the whole call: none of it is answered, and if the fault is
-- in what was asked, none is recorded.
SELECT count(*) AS before FROM claiim.chron \gset
\pset format unaligned
\pset tuples_only on
SELECT two.error($$SELECT claiim_check_many(NULL, '{a}', '{b}')$$);
SELECT two.error($$SELECT claiim_check_many('x', NULL, '{b}')$$);
SELECT two.error($$SELECT claiim_check_many('x', '{a}', NULL)$$);
SELECT two.error($$SELECT claiim_check_many('x', '{a,b}', '{b}')$$);
SELECT two.error($$SELECT claiim_check_many('x', '{a,NULL}', '{b,c}')$$);
SELECT two.error($$SELECT claiim_check_many('x', '{a,b}', '{b,NULL}')$$);
SELECT two.error($$SELECT claiim_check_many('x', '{{a},{b}}', '{{b},{c}}')$$);
SELECT two.error($$SELECT claiim_check_many('x', '{a,b:*}', '{b,c}')$$);
SELECT two.error($$SELECT claiim_check_many('x', '{a,b}', '{b,../c}')$$);
SELECT two.error($$SELECT claiim_check_many('x', array_fill('a'::text, '{101}'), array_fill('b'::text, '{101}'))$$);
SELECT count(*) - :before FROM claiim.chron;
\pset tuples_only off
\pset format aligned
SELECT ok, problem FROM claiim.verify();
