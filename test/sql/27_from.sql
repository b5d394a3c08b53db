-- claiim_check in FROM has a plan node of its own, which must not show but in
-- EXPLAIN: one question in the query is one decision, wherever it stands.

\set VERBOSITY terse
CREATE TEMP TABLE seen AS SELECT max(seq) AS seq FROM claiim.chron;
CREATE PROCEDURE pg_temp.recorded() LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
    FOR r IN SELECT c.target, count(*) AS n FROM claiim.chron c, seen WHERE c.seq > seen.seq GROUP BY 1 ORDER BY 1 LOOP
        RAISE NOTICE '%: %', r.target, r.n;
    END LOOP;
    UPDATE seen SET seq = (SELECT max(seq) FROM claiim.chron);
END $$;
EXPLAIN (COSTS OFF) SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'app/from');
-- What it does not know keeps its function scan, and answers all the same.
EXPLAIN (COSTS OFF) SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'app/from') WITH ORDINALITY;
EXPLAIN (COSTS OFF) SELECT c FROM claiim_check('deploy-bot', 'deploy:staging', 'app/from') c;
EXPLAIN (COSTS OFF) SELECT 1 FROM claiim_check('deploy-bot', 'deploy:staging', 'app/from') c WHERE c IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT c.outcome FROM (VALUES ('a'), ('b')) v (t), claiim_check('deploy-bot', 'deploy:staging', v.t) c;
EXPLAIN (COSTS OFF) SELECT * FROM ROWS FROM (claiim_check('deploy-bot', 'deploy:staging', 'a'), generate_series(1, 2)) r;
BEGIN;
ALTER FUNCTION claiim_check STRICT;
EXPLAIN (COSTS OFF) SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'app/from');
ROLLBACK;

SET SESSION AUTHORIZATION regress_deploy;
SELECT ordinality, outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/ordinal') WITH ORDINALITY;
SELECT (c).outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/row') c;
SELECT (c IS NULL) FROM claiim_check('deploy-bot', 'deploy:staging', 'app/row2') c WHERE c IS DISTINCT FROM NULL;
SELECT c.outcome FROM (VALUES ('app/lateral/1'), ('app/lateral/2')) v (t), claiim_check('deploy-bot', 'deploy:staging', v.t) c;
-- Some columns, none, in another order, in an expression, filtered
SELECT policy, outcome, lower(reason_code) FROM claiim_check('deploy-bot', 'deploy:staging', 'app/some');
SELECT count(*) FROM claiim_check('deploy-bot', 'deploy:staging', 'app/none');
SELECT 1 FROM claiim_check('deploy-bot', 'deploy:staging', 'app/denied') WHERE outcome = 'DENY';
SELECT decided_at > now() - interval '1 hour' AS recent FROM claiim_check('deploy-bot', 'deploy:staging', 'app/time') WHERE outcome = 'ALLOW';
-- In a join it is asked once, however often its row is needed; and not at all
-- if its row is not.
SELECT count(*), min(outcome) FROM generate_series(1, 5) g LEFT JOIN claiim_check('deploy-bot', 'deploy:staging', 'app/join') c ON g > 0;
SET enable_material = off;
SELECT count(*), min(outcome) FROM generate_series(1, 5) g LEFT JOIN claiim_check('deploy-bot', 'deploy:staging', 'app/rescan') c ON g > 0;
RESET enable_material;
SELECT g FROM generate_series(1, 3) g WHERE EXISTS (SELECT FROM claiim_check('deploy-bot', 'deploy:staging', 'app/exists') WHERE outcome = 'ALLOW');
SELECT count(*) FROM claiim_check('deploy-bot', 'deploy:staging', 'app/limit') LIMIT 0;
SET constraint_exclusion = on;
SELECT chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'app/impossible') WHERE outcome IS NULL AND outcome IS NOT NULL;
RESET constraint_exclusion;
-- An argument from the query around it: once for each value
SELECT t, (SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', v.t)) FROM (VALUES ('app/outer/1'), ('prod/outer/2'), ('app/outer/3')) v (t);
-- A filter with a value from there: once, for it is one question
SELECT i, (SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/filter') c WHERE length(c.outcome) > i) FROM generate_series(3, 5) i;
SELECT i, (SELECT outcome || i FROM claiim_check('deploy-bot', 'deploy:staging', 'app/output')) FROM generate_series(1, 3) i;
-- An argument that is a query of its own, of the value from there: for each
SELECT i, (SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', (SELECT 'app/sub/' || t.n FROM (VALUES (1), (2)) t (n) WHERE t.n = i))) FROM generate_series(1, 2) i;
-- Two in one query are two
SELECT a.outcome, b.outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/two/1') a, claiim_check('deploy-bot', 'deploy:production', 'app/two/2') b;
-- Prepared, with a plan that is kept, and by a cursor that goes back and forth
PREPARE ask (text) AS SELECT outcome, reason_code FROM claiim_check('deploy-bot', 'deploy:staging', $1);
SET plan_cache_mode = force_generic_plan;
EXECUTE ask ('app/prepared/1');
EXECUTE ask ('app/prepared/2');
EXECUTE ask ('ledger/1');
EXECUTE ask (NULL);
RESET plan_cache_mode;
-- From variables, records and expressions of a function's
DO $$
DECLARE
    target text;
    subject record;
    answered text;
BEGIN
    SELECT 'deploy-bot' AS agent, 'deploy:' AS prefix INTO subject;
    FOREACH target IN ARRAY ARRAY['app/variable/1', 'app/variable/2'] LOOP
        SELECT outcome INTO answered FROM claiim_check(subject.agent, subject.prefix || 'staging', target, context => jsonb_build_object('of', target));
        RAISE NOTICE '% %', target, answered;
    END LOOP;
    target := NULL;
    PERFORM FROM claiim_check(subject.agent, 'deploy:staging', target);
END $$;
-- Counted where functions are counted
RESET SESSION AUTHORIZATION;
BEGIN;
SET LOCAL track_functions = 'all';
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/counted');
SELECT outcome FROM (SELECT (claiim_check('deploy-bot', 'deploy:staging', 'app/counted')).outcome OFFSET 0) c;
SELECT pg_stat_get_xact_function_calls('claiim_check'::regproc) AS calls;
COMMIT;
SET SESSION AUTHORIZATION regress_deploy;
BEGIN;
DECLARE answer SCROLL CURSOR FOR SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/cursor');
FETCH NEXT FROM answer;
FETCH NEXT FROM answer;
FETCH PRIOR FROM answer;
FETCH FIRST FROM answer;
COMMIT;
BEGIN;
DECLARE answer CURSOR FOR SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/back');
FETCH NEXT FROM answer;
FETCH NEXT FROM answer;
FETCH PRIOR FROM answer;
FETCH PRIOR FROM answer;
FETCH NEXT FROM answer;
COMMIT;
-- Through a view, a CTE, a function
RESET SESSION AUTHORIZATION;
CREATE VIEW pg_temp.my_gate AS SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'app/view');
GRANT SELECT ON pg_temp.my_gate TO regress_deploy;
SET SESSION AUTHORIZATION regress_deploy;
SELECT outcome FROM pg_temp.my_gate;
WITH c AS MATERIALIZED (SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'app/cte')) SELECT a.outcome, a.chron_id = b.chron_id AS same FROM c a, c b;
-- Who may not call it, may not here either
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_outsider;
SET SESSION AUTHORIZATION regress_outsider;
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'app/nobody');
RESET SESSION AUTHORIZATION;
CALL pg_temp.recorded();
