-- Nobody changes by hand what claiim governs: no INSERT, UPDATE, DELETE or
-- TRUNCATE on any of its tables, not by a superuser, not under
-- session_replication_role = replica, not on a partition, not by COPY.

\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SELECT count(*) AS before FROM claiim.chron \gset

-- Every table of the extension, and every partition: none may be forgotten.
CREATE TABLE two.attempts AS
SELECT c.relname::text AS name, v.verb, v.statement
FROM pg_class c,
     LATERAL (SELECT attname FROM pg_attribute a
              WHERE a.attrelid = c.oid AND attnum = 1) AS a,
     LATERAL (VALUES
        ('INSERT', format('INSERT INTO claiim.%I SELECT (jsonb_populate_record(NULL::claiim.%1$I, %L)).*', c.relname,
                          '{"seq": 99999, "at": "2026-11-11", "log": "x", "kind": "act", "leaf": "\\x00", "link": "\\x00"}')),
        ('UPDATE', format('UPDATE claiim.%I SET %I = %2$I', c.relname, a.attname)),
        ('DELETE', format('DELETE FROM claiim.%I', c.relname)),
        ('TRUNCATE', format('TRUNCATE claiim.%I CASCADE', c.relname))) AS v (verb, statement)
WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'p');

-- A row trigger has nothing to refuse where there are no rows.
CREATE FUNCTION two.attempt() RETURNS TABLE (verb text, message text, tables text)
LANGUAGE sql AS $$
    SELECT verb, m, string_agg(DISTINCT name, ' ' ORDER BY name)
    FROM (SELECT verb, regexp_replace(name, '_y\d{4}m\d{2}', '_yYYYYmMM') COLLATE "C" AS name,
                 regexp_replace(split_part(two.error(statement), E'\n', 1),
                                'claiim\.\w+', 'claiim.?') AS m
          FROM two.attempts) AS x
    WHERE NOT (verb IN ('UPDATE', 'DELETE') AND m = 'no error')
    GROUP BY verb, m ORDER BY verb, m COLLATE "C"
$$;
SELECT * FROM two.attempt();
SET session_replication_role = replica;
SELECT * FROM two.attempt();
RESET session_replication_role;
-- What was let through changed nothing because there was nothing.
SELECT count(*) - :before FROM claiim.chron;
SELECT name FROM (SELECT DISTINCT name FROM two.attempts) AS t,
    LATERAL (SELECT (xpath('/row/n/text()', query_to_xml(
        format('SELECT count(*) AS n FROM claiim.%I', name), false, true, '')))[1]::text) AS c (n)
WHERE n = '0' AND name !~ 'chron_y' ORDER BY name COLLATE "C";

-- With detail and hint
SELECT two.error($$UPDATE claiim.agents SET status = 'active'$$);
SELECT regexp_replace(two.error($$DELETE FROM claiim.chron$$), 'y\d{4}m\d{2}', 'yYYYYmMM');
SELECT two.error($$INSERT INTO claiim.tokens (token) VALUES ('x') ON CONFLICT DO NOTHING$$);
SELECT two.error($$MERGE INTO claiim.agents a USING (VALUES ('deploy-bot')) v (n) ON a.agent = v.n
                   WHEN MATCHED THEN UPDATE SET status = 'active'$$);
SELECT two.error($$COPY claiim.targets FROM PROGRAM 'echo "x	acme"'$$);
SELECT regexp_replace(two.error($$WITH gone AS (DELETE FROM claiim.chron RETURNING *) SELECT count(*) FROM gone$$), 'y\d{4}m\d{2}', 'yYYYYmMM');

-- Nothing inherits: rows of an heir would count, and are guarded by nobody.
SELECT two.error($$CREATE TABLE two.child () INHERITS (claiim.agents)$$);
SELECT two.error($$CREATE TABLE two.child () INHERITS (pg_catalog.pg_class, claiim.bindings)$$);
SELECT two.error($$CREATE TABLE IF NOT EXISTS two.child (LIKE claiim.contexts) INHERITS (claiim.contexts)$$);
CREATE TABLE two.child (LIKE claiim.memberships INCLUDING ALL);
SELECT two.error($$ALTER TABLE two.child INHERIT claiim.memberships$$);
SELECT two.error($$SET LOCAL search_path = claiim; ALTER TABLE two.child ADD extra text, INHERIT memberships$$);
SET claiim.allow_drop_chron = on;
SELECT two.error($$DO 'BEGIN ALTER TABLE two.child INHERIT claiim.memberships; END'$$);
RESET claiim.allow_drop_chron;
CREATE TABLE two.grandchild () INHERITS (two.child);
DROP TABLE two.child CASCADE;
SELECT ok, problem FROM claiim.verify();
SELECT outcome FROM claiim_check('x', 'a', 'b');

-- Nor does anybody drop Chron, or a part of it, or put it where it is not found.
SELECT max(tableoid::regclass::text) AS partition FROM claiim.chron \gset
CREATE TABLE two.removals AS
SELECT n, format(statement, :'partition') AS statement
FROM (VALUES
    (1, 'DROP TABLE %s'),
    (2, 'DROP TABLE claiim.chron CASCADE'),
    (3, 'DROP EXTENSION claiim CASCADE'),
    (4, 'DROP SCHEMA claiim CASCADE'),
    (5, 'ALTER TABLE claiim.chron DETACH PARTITION %s'),
    (6, 'ALTER TABLE IF EXISTS claiim.chron DETACH PARTITION %s'),
    (7, 'ALTER TABLE ONLY claiim.chron DETACH PARTITION %s'),
    (8, 'ALTER TABLE %s RENAME TO gone'),
    (9, 'ALTER TABLE claiim.chron RENAME TO gone'),
    (10, 'ALTER TABLE %s SET SCHEMA two'),
    (11, 'ALTER TABLE claiim.chron SET SCHEMA two'),
    (12, 'SET LOCAL search_path = claiim; ALTER TABLE chron RENAME TO gone')) AS v (n, statement);
SELECT n, regexp_replace(split_part(two.error(statement), E'\n', 1), 'y\d{4}m\d{2}', 'yYYYYmMM') FROM two.removals ORDER BY n;
-- with detail and hint
SELECT regexp_replace(two.error(statement), 'y\d{4}m\d{2}', 'yYYYYmMM') FROM two.removals WHERE n IN (1, 5) ORDER BY n;
-- not in a transaction block, so not by way of two.error
\set VERBOSITY terse
SELECT format('ALTER TABLE claiim.chron DETACH PARTITION %s CONCURRENTLY', :'partition') AS statement \gset
\set ECHO none
:statement;
\set ECHO all
-- The setting is a superuser's.
SET SESSION AUTHORIZATION regress_ann;
SELECT two.error('SET claiim.allow_drop_chron = on');
RESET SESSION AUTHORIZATION;
-- With it all of them do what they say.
CREATE FUNCTION two.undone(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END$$;
BEGIN;
SET LOCAL claiim.allow_drop_chron = on;
SELECT n, two.undone(statement) FROM two.removals ORDER BY n;
ROLLBACK;
-- A table of another's with such a name is none of claiim's business.
CREATE TABLE two.chron (i int) PARTITION BY LIST (i);
CREATE TABLE two.chron_y2026m01 PARTITION OF two.chron FOR VALUES IN (1);
INSERT INTO two.chron VALUES (1);
ALTER TABLE two.chron DETACH PARTITION two.chron_y2026m01;
ALTER TABLE two.chron_y2026m01 RENAME TO other;
ALTER TABLE two.other SET SCHEMA public;
DROP TABLE two.chron, public.other;
SELECT ok, problem FROM claiim.verify();
SELECT outcome FROM claiim_check('x', 'a', 'b');
