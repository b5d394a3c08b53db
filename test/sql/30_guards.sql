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

-- Tables that reference or inherit cannot reach in either.
CREATE TABLE two.child () INHERITS (claiim.agents);
SELECT two.error($$UPDATE claiim.agents SET org = 'acme/web' WHERE agent = 'deploy-bot'$$);
DROP TABLE two.child;
SELECT ok, problem FROM claiim.verify();
SELECT outcome FROM claiim_check('x', 'a', 'b');
