-- Where a check may stand: in any transaction, at any place of a statement;
-- and what may not stand beside it.

\set VERBOSITY terse

-- A caller that rolls back, by whatever means, has asked all the same.
BEGIN;
SELECT chron_id FROM claiim_check('x', 'a', 'rolled/back') \gset
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT outcome FROM claiim_check('x', 'a', 'rolled/back/to/savepoint');
ROLLBACK TO s;
COMMIT;
SELECT 1 / (SELECT 0 FROM claiim_check('x', 'a', 'statement/failed'));
SELECT target FROM claiim.chron WHERE target ~ '^(rolled|statement)/' ORDER BY seq;
SELECT count(*) FROM claiim.chron WHERE claiim.chron_id(seq, at) = :'chron_id';

-- Read only, since it is the writer that writes
BEGIN READ ONLY;
SELECT outcome FROM claiim_check('x', 'a', 'read/only', context => '{"a": 1}');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT outcome FROM claiim_check('x', 'a', 'read/only');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT outcome FROM claiim_check('x', 'a', 'serializable');
COMMIT;

-- Only READ COMMITTED sees its own new record (in its next statement).
BEGIN;
SELECT chron_id FROM claiim_check('x', 'a', 'seen') \gset
SELECT count(*) FROM claiim.chron WHERE claiim.chron_id(seq, at) = :'chron_id';
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT chron_id FROM claiim_check('x', 'a', 'unseen') \gset
SELECT count(*) FROM claiim.chron WHERE claiim.chron_id(seq, at) = :'chron_id';
COMMIT;

-- In functions of every kind, DO, triggers, cursors
CREATE SCHEMA app;
CREATE FUNCTION app.in_sql() RETURNS text LANGUAGE sql AS
    $$SELECT outcome FROM claiim_check('x', 'a', 'in/sql')$$;
CREATE FUNCTION app.in_plpgsql() RETURNS text LANGUAGE plpgsql STABLE
    SET search_path = '' AS
    $$BEGIN RETURN (SELECT outcome FROM claiim_check('x', 'a', 'in/plpgsql')); END$$;
CREATE FUNCTION app.in_definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS
    $$SELECT outcome || ' ' || reason_code FROM claiim_check('deploy-bot', 'deploy:staging', 'app/x')$$;
CREATE FUNCTION app.swallowed() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM claiim_check('x', 'a', 'in/exception');
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    RETURN (SELECT count(*) FROM claiim_check('x', 'a', 'in/handler'));
END$$;
CREATE FUNCTION app.in_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT outcome FROM claiim_check('x', 'row:' || lower(TG_OP), 'in/trigger')) <> 'ALLOW' THEN
        RAISE insufficient_privilege USING MESSAGE = 'the gate says no';
    END IF;
    RETURN NEW;
END$$;
CREATE TABLE app.guarded (i int);
CREATE TRIGGER gate BEFORE INSERT ON app.guarded FOR EACH ROW EXECUTE FUNCTION app.in_trigger();
GRANT USAGE ON SCHEMA app TO PUBLIC;
SELECT app.in_sql(), app.in_plpgsql(), app.swallowed();
INSERT INTO app.guarded VALUES (1);
SELECT count(*) FROM app.guarded;
DO $$BEGIN PERFORM claiim_check('x', 'a', 'in/do'); END$$;
BEGIN;
-- asked as it is fetched, and no further
DECLARE c CURSOR FOR SELECT (claiim_check('x', 'a', 'in/cursor/' || i)).outcome FROM generate_series(1, 3) i;
FETCH 2 FROM c;
COMMIT;
PREPARE p (text) AS SELECT outcome FROM claiim_check('x', 'a', $1);
EXECUTE p ('in/prepared');
EXECUTE p ('in/prepared');
SELECT target, count(*) FROM claiim.chron WHERE starts_with(target, 'in/') GROUP BY target ORDER BY target COLLATE "C";
-- A SECURITY DEFINER function asks as who logged in, not as its owner.
SET SESSION AUTHORIZATION regress_deploy;
SELECT app.in_definer();
RESET SESSION AUTHORIZATION;
SELECT app.in_definer();

-- Nothing of the caller's can stand before what the gate uses.
CREATE TEMP TABLE agents (agent text, org text);
CREATE SCHEMA claiim_evil;
CREATE FUNCTION claiim_evil.claiim_check(text, text, text, OUT outcome text) LANGUAGE sql AS $$SELECT 'ALLOW'$$;
CREATE FUNCTION claiim_evil.starts_with(text, text) RETURNS bool LANGUAGE sql AS $$SELECT true$$;
SET search_path = claiim_evil, public;
SELECT outcome FROM claiim_check('x', 'a', 'shadow');
RESET search_path;
DROP TABLE agents;

-- Not beside uncommitted governance: it would decide by what may be undone.
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'never');
SET LOCAL SESSION AUTHORIZATION DEFAULT;
SELECT two.error($$SELECT claiim_check('x', 'a', 'b')$$);
ROLLBACK;
SELECT outcome FROM claiim_check('x', 'a', 'b');
-- A rolled-back act never was: not in force, not in Chron, not in the way.
SELECT count(*) FROM claiim.chron WHERE act = 'agent.suspend' AND detail ~ 'never';
-- Rolled back to a savepoint it neither stands in the way of checks, nor has
-- it opened the governed tables to what is not recorded.
BEGIN;
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'never');
ROLLBACK TO s;
SELECT outcome FROM claiim_check('x', 'a', 'after/rollback/to');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'never');
ROLLBACK TO s;
UPDATE claiim.agents SET status = 'suspended' WHERE agent = 'deploy-bot';
ROLLBACK;
SELECT outcome FROM claiim_check('x', 'a', 'b');
SELECT count(*) FROM claiim.chron WHERE act = 'agent.suspend' AND detail ~ 'never';
SELECT agent, status FROM claiim.agents WHERE agent = 'deploy-bot';

-- Governance cannot be prepared.
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'prepared');
PREPARE TRANSACTION 'p';
SELECT agent, status FROM claiim.agents WHERE agent = 'deploy-bot';
SELECT count(*) FROM claiim.outbox;

-- Governance needs to see the latest state, and a writable transaction.
SET SESSION AUTHORIZATION regress_ann;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT claiim.suspend_agent('deploy-bot', 'test');
ROLLBACK;
BEGIN READ ONLY;
SELECT claiim.suspend_agent('deploy-bot', 'test');
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT ok, problem FROM claiim.verify();
SET client_min_messages = warning;
DROP SCHEMA app, claiim_evil CASCADE;
