-- What is not committed decides nothing, and opens nothing: not to who reads
-- the registry through the gate, nor to who would write into it by hand.

\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
\set ask 'SELECT outcome, reason_code FROM claiim_check(''deploy-bot'', ''deploy:staging'', ''app/uncommitted'')'

SET SESSION AUTHORIZATION regress_ann;
SELECT token FROM claiim.issue_token('deploy-bot', label => 'uncommitted') \gset
SELECT claiim.suspend_agent('deploy-bot', 'for this test');
SELECT claiim.resume_agent('deploy-bot', 'for this test') AS change \gset

-- Authenticating reads the registry as a check does, and the next check, after
-- the rollback, would find what it has read.
SET SESSION AUTHORIZATION regress_bob;
BEGIN;
SELECT claiim.approve(:'change');
RESET SESSION AUTHORIZATION;
SELECT two.error(format('SELECT claiim_authenticate(%L, %L)', 'deploy-bot', :'token'));
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/uncommitted')$$);
SELECT two.error($$SELECT claiim_check_many('deploy-bot', '{deploy:staging}', '{app/uncommitted}')$$);
ROLLBACK;
SET SESSION AUTHORIZATION regress_deploy;
:ask;
-- To a savepoint: within the transaction and after it
RESET SESSION AUTHORIZATION;
BEGIN;
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION regress_bob;
SELECT claiim.approve(:'change');
SET LOCAL SESSION AUTHORIZATION DEFAULT;
SAVEPOINT attempt;
SELECT split_part(two.error(format('SELECT claiim_authenticate(%L, %L)', 'deploy-bot', :'token')), E'\n', 1);
ROLLBACK TO attempt;
-- a savepoint of its own that is rolled back does not end it
SELECT split_part(two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/uncommitted')$$), E'\n', 1);
ROLLBACK TO s;
SELECT claiim_authenticate('deploy-bot', :'token');
:ask;
COMMIT;
SET SESSION AUTHORIZATION regress_deploy;
:ask;
-- Released into another that is rolled back; and into the transaction, which is
-- then governing to its end.
RESET SESSION AUTHORIZATION;
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SET LOCAL SESSION AUTHORIZATION regress_bob;
SELECT claiim.approve(:'change');
SET LOCAL SESSION AUTHORIZATION DEFAULT;
RELEASE b;
SELECT split_part(two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/uncommitted')$$), E'\n', 1);
ROLLBACK TO a;
SELECT claiim_authenticate('deploy-bot', :'token');
:ask;
SAVEPOINT c;
SET LOCAL SESSION AUTHORIZATION regress_bob;
SELECT claiim.approve(:'change');
SET LOCAL SESSION AUTHORIZATION DEFAULT;
RELEASE c;
SAVEPOINT d;
ROLLBACK TO d;
SELECT split_part(two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/uncommitted')$$), E'\n', 1);
ROLLBACK;
SET SESSION AUTHORIZATION regress_deploy;
:ask;
-- An exception block is a savepoint, too.
RESET SESSION AUTHORIZATION;
SELECT count(set_config('regress.change', :'change', false));
BEGIN;
SELECT claiim_authenticate('deploy-bot', :'token');
DO $$
BEGIN
    SET LOCAL SESSION AUTHORIZATION regress_bob;
    PERFORM claiim.approve(current_setting('regress.change'));
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
    PERFORM claiim_check('deploy-bot', 'deploy:staging', 'app/uncommitted');
END$$;
:ask;
COMMIT;
-- Committed, all of it counts.
SET SESSION AUTHORIZATION regress_bob;
SELECT claiim.approve(:'change');
SET SESSION AUTHORIZATION regress_deploy;
:ask;
RESET SESSION AUTHORIZATION;
-- The gate has not been told of anything that was rolled back.
SELECT outcome, reason_code, count(*) FROM claiim.chron WHERE target = 'app/uncommitted' GROUP BY 1, 2 ORDER BY 1;

-- By hand.  An act opens the governed tables to claiim's functions, which run as
-- the extension's owner, and to nobody beside them.
CREATE ROLE regress_super SUPERUSER LOGIN;
CREATE ROLE regress_writer LOGIN BYPASSRLS; -- or it would find no row to change
GRANT USAGE ON SCHEMA claiim TO regress_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON claiim.targets, claiim.agents, claiim.outbox TO regress_writer;
CREATE TABLE two.by_hand AS
SELECT v.n, v.statement FROM (VALUES
    (1, $$INSERT INTO claiim.targets VALUES ('by/hand', 'acme')$$),
    (2, $$UPDATE claiim.agents SET status = 'active' WHERE agent = 'deploy-bot'$$),
    (3, $$DELETE FROM claiim.targets WHERE pattern = 'app/**'$$),
    (4, $$INSERT INTO claiim.outbox (act_id, act) VALUES ('act_0', 'by.hand')$$),
    (5, $$UPDATE claiim.outbox SET actor = 'bob'$$),
    (6, $$DELETE FROM claiim.outbox$$),
    (7, $$TRUNCATE claiim.outbox$$)) AS v (n, statement);
GRANT SELECT ON two.by_hand TO PUBLIC;
\set try 'SELECT n, split_part(two.error(statement), E''\\n'', 1) FROM two.by_hand ORDER BY n'
-- without an act; the outbox is empty, and a row trigger has nothing to refuse
SET SESSION AUTHORIZATION regress_super;
:try;
SET SESSION AUTHORIZATION regress_writer;
:try;
RESET SESSION AUTHORIZATION;
:try;
-- beside one
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'never');
SET LOCAL SESSION AUTHORIZATION regress_super;
:try;
SET LOCAL SESSION AUTHORIZATION regress_writer;
:try;
-- The owner could take the guards off; the outbox is not even the owner's.
SET LOCAL SESSION AUTHORIZATION DEFAULT;
SELECT n, split_part(two.error(statement), E'\n', 1) FROM two.by_hand WHERE n > 3 ORDER BY n;
ROLLBACK;
-- after one that was rolled back to a savepoint
BEGIN;
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'never');
ROLLBACK TO s;
:try;
COMMIT;
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'never');
RELEASE b;
ROLLBACK TO a;
:try;
COMMIT;
SELECT count(*) FROM claiim.targets WHERE pattern IN ('by/hand', 'app/**');
SELECT count(*) FROM claiim.chron WHERE act = 'by.hand' OR detail ~ 'never';
REVOKE ALL ON claiim.targets, claiim.agents, claiim.outbox FROM regress_writer;
REVOKE ALL ON SCHEMA claiim FROM regress_writer;

-- Who could read or write everything anyway is not what a human or an agent is
-- bound to, be it so itself or as a member of one that is.
CREATE ROLE regress_replicates LOGIN REPLICATION;
CREATE ROLE regress_bypasses LOGIN BYPASSRLS;
CREATE ROLE regress_reads LOGIN IN ROLE pg_read_all_data;
CREATE ROLE regress_writes LOGIN IN ROLE pg_write_all_data;
CREATE ROLE regress_member LOGIN NOINHERIT IN ROLE regress_bypasses;
CREATE ROLE regress_creates LOGIN CREATEROLE;
CREATE ROLE regress_executes LOGIN IN ROLE pg_execute_server_program;
SET SESSION AUTHORIZATION regress_ann;
SELECT split_part(two.error(format(s, r)), E'\n', 1)
FROM unnest('{regress_super,regress_replicates,regress_bypasses,regress_reads,regress_writes,
              regress_member,regress_creates,regress_executes}'::text[]) WITH ORDINALITY AS r (r, rn),
     (VALUES (1, $$SELECT claiim.register_human('hal', %L, NULL, 'acme', '{member}')$$),
             (2, $$SELECT claiim.register_agent('hal-bot', 'acme', 'ann', '{deploy}', %L)$$),
             (3, $$SELECT claiim.set_role('infra-bot', %L)$$)) AS s (sn, s)
ORDER BY rn, sn;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_replicates, regress_bypasses, regress_reads, regress_writes, regress_member,
          regress_creates, regress_executes, regress_super, regress_writer;
\pset tuples_only off
\pset format aligned
SELECT count(*) FROM claiim.changes WHERE subject IN ('hal', 'hal-bot');
SELECT ok, problem FROM claiim.verify();
