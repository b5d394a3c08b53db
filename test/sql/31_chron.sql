-- The chain, recomputed with nothing but PostgreSQL's sha256(), and what
-- claiim.verify() says of every kind of tampering.

-- Ids: time and number go in and come out, and sort as they do.
SELECT claiim._chron_key(claiim.chron_id(1, 'epoch'));
SELECT bool_and((k.seq, k.at) = (c.seq, c.at)) AS round_trip,
       bool_and(id ~ '^chr_[0-7][0-9a-hjkmnp-tv-z]{25}$') AS form,
       array_agg(id ORDER BY c.seq) = array_agg(id ORDER BY id COLLATE "C") AS sorts
FROM claiim.chron c, claiim.chron_id(c.seq, c.at) AS id, claiim._chron_key(id) AS k;
SELECT claiim.chron_id(4611686018427387903, '2026-11-20 12:00:00.123456Z');
SELECT claiim._chron_key('chr_01m7wd7tkve74bzzzzzzzzzzzz');
SELECT claiim._chron_key('chr_01m7wd7tkvz74bzzzzzzzzzzzz');

-- A number is never given twice and none is left out; time never goes back;
-- the order in the table is the order in which it was decided.
SELECT count(*) = max(seq) AS no_gap, min(seq), count(DISTINCT seq) = count(*) AS no_double,
       bool_and(in_order) AS in_order, count(DISTINCT log) AS logs
FROM (SELECT *, at >= lag(at, 1, '-infinity') OVER (ORDER BY seq) AS in_order FROM claiim.chron) AS c;

-- Leaf and link, for every record there is
SELECT count(*) > 100 AS many,
       bool_and(leaf = sha256('\x00'::bytea || d)) AS leaves,
       bool_and(link = sha256('claiim/chron/link/v1\012'::bytea || previous || leaf)) AS links,
       bool_and(substring(d FROM 1 FOR 20) = 'claiim/chron/row/v1\012'::bytea) AS headers
FROM (SELECT seq, leaf, link, claiim.record_bytes(claiim.chron_id(seq, at)) AS d,
             lag(link, 1, decode(repeat('00', 32), 'hex')) OVER (ORDER BY seq) AS previous
      FROM claiim.chron) AS c;
SELECT v.ok, v.records = c.n AS all_read, v.first_bad, v.problem, v.last_seq = c.n AS last_seq,
       v.last_link = (SELECT link FROM claiim.chron ORDER BY seq DESC LIMIT 1) AS last_link
FROM claiim.verify() v, (SELECT count(*) AS n FROM claiim.chron) c;

-- Every column but leaf and link themselves is inside of the leaf.  A change of
-- any one of them is found, and named.  The writer would see a tail that is
-- missing, so all of this is rolled back.
CREATE FUNCTION two.tamper(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    key record;
BEGIN
    ALTER TABLE claiim.chron DISABLE TRIGGER claiim_guard_rows;
    ALTER TABLE claiim.completions DISABLE TRIGGER USER;
    ALTER TABLE claiim.contexts DISABLE TRIGGER USER;
    ALTER TABLE claiim.session_uses DISABLE TRIGGER USER;
    ALTER TABLE claiim.logs DISABLE TRIGGER USER;
    PERFORM set_config('claiim.allow_drop_chron', 'on', true);
    -- Who takes off the guards takes off the keys as well.
    FOR key IN SELECT conrelid::regclass AS partition, conname FROM pg_constraint
        WHERE contype IN ('p', 'u') AND (conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass)
            OR conrelid = ANY ('{claiim.completions,claiim.contexts,claiim.session_uses,claiim.logs}'::regclass[]))
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.partition, key.conname);
    END LOOP;
    EXECUTE statement;
    SELECT concat_ws(' ', ok, records, first_bad, problem) INTO result FROM claiim.verify();
    IF EXISTS (SELECT FROM pg_cursors) THEN
        result := result || ', and a cursor is open';
    END IF;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000', DETAIL = result;
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    RETURN result;
END
$$;
SELECT attname, two.tamper(format('UPDATE claiim.chron SET %I = %s WHERE seq = 3', attname,
    CASE WHEN attname = 'seq' THEN '100003'
         WHEN atttypid = 'bytea'::regtype THEN format('%L::bytea', '\x' || repeat('ab', 32))
         WHEN attname = 'at' THEN $$at + '1 us'$$
         WHEN attname = 'clock' THEN 'at'
         ELSE format('coalesce(%I, %L) || %L', attname, '', '!') END)) AS verify
FROM pg_attribute
WHERE attrelid = 'claiim.chron'::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum;
-- NULL is not the empty string.
SELECT two.tamper($$UPDATE claiim.chron SET rule = '' WHERE seq = 3$$);
-- Removed: in the middle, the first
SELECT two.tamper('DELETE FROM claiim.chron WHERE seq = 7');
SELECT two.tamper('DELETE FROM claiim.chron WHERE seq = 1');
SELECT two.tamper('DELETE FROM claiim.chron WHERE seq BETWEEN 5 AND 50');
-- Added: the same number twice
SELECT two.tamper($$INSERT INTO claiim.chron
    SELECT (jsonb_populate_record(c, jsonb_build_object('at', at + '1 us'))).* FROM claiim.chron c WHERE seq = 3$$) ~ '^f [23] 3 ' AS twice;
-- The end cut off, and a whole partition taken away: the chain is whole as far as
-- it goes, and does not go as far as it went.
SELECT regexp_replace(two.tamper($$DELETE FROM claiim.chron WHERE seq > (SELECT max(seq) - 3 FROM claiim.chron)$$), '\d+', 'N', 'g');
SELECT max(seq) AS tip, max(tableoid::regclass::text) AS partition FROM claiim.chron \gset
SELECT two.tamper('DELETE FROM claiim.chron WHERE seq = ' || :tip) = concat_ws(' ', 'f', :tip - 1, :tip, 'it is missing: Chron went at least as far as record', :tip) AS named;
SELECT two.tamper(format('SET LOCAL claiim.allow_drop_chron = on; ALTER TABLE claiim.chron DETACH PARTITION %s', :'partition'))
       = concat_ws(' ', 'f', 0, 1, 'it is missing: Chron went at least as far as record', :tip) AS detached;
-- A column that no record has, and one of them gone
SELECT two.tamper('ALTER TABLE claiim.chron ADD COLUMN verdict text');
SELECT two.tamper($$ALTER TABLE claiim.chron ADD COLUMN verdict text DEFAULT 'ALLOW'; ALTER TABLE claiim.chron DROP COLUMN verdict$$) ~ '^t' AS added_and_gone;
-- A row beside the index, which who reads by number does not see: a copy of the
-- same number that says something else.
CREATE FUNCTION two.hide(as_seq bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    partition regclass := (SELECT tableoid FROM claiim.chron WHERE seq = as_seq);
BEGIN
    ALTER TABLE claiim.chron DISABLE TRIGGER claiim_guard_rows;
    UPDATE pg_index SET indisready = false WHERE indrelid = partition;
    INSERT INTO claiim.chron SELECT (jsonb_populate_record(c, '{"outcome": "ALLOW", "reason": "forged"}')).*
    FROM claiim.chron c WHERE seq = as_seq;
    UPDATE pg_index SET indisready = true WHERE indrelid = partition;
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_sort = off;
    SELECT concat_ws(' ', ok, regexp_replace(problem, '\d+', 'N', 'g'), (SELECT count(*) FROM claiim.chron WHERE seq = as_seq), records = max) INTO result
    FROM claiim.verify(), (SELECT max(seq) FROM claiim.chron) AS m;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000', DETAIL = result;
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    RETURN result;
END
$$;
SELECT two.hide(6);
SELECT two.hide(:tip);
CREATE FUNCTION two.hide_beside(name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    beside regclass := 'claiim.' || name;
BEGIN
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER claiim_guard_rows', beside);
    UPDATE pg_index SET indisready = false WHERE indrelid = beside;
    EXECUTE format(statement, beside);
    UPDATE pg_index SET indisready = true WHERE indrelid = beside;
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_sort = off;
    SELECT concat_ws(' ', ok, first_bad, regexp_replace(problem, '\d+', 'N', 'g')) INTO result FROM claiim.verify();
    RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000', DETAIL = result;
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    RETURN result;
END
$$;
SELECT two.hide_beside('completions', $$INSERT INTO %s SELECT seq, org, at, 'cancelled', completion_seq FROM claiim.completions LIMIT 1$$);
SELECT two.hide_beside('contexts', $$INSERT INTO %s SELECT seq, salt, 'forged' FROM claiim.contexts LIMIT 1$$);
-- Reordered
SELECT two.tamper($$UPDATE claiim.chron SET seq = CASE seq WHEN 6 THEN 5 ELSE 6 END WHERE seq IN (5, 6)$$);
-- A forger who also recomputes the leaf is found by the link; who recomputes the
-- link as well, by the record after it.
CREATE FUNCTION two.forge(n bigint, with_link bool) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE claiim.chron SET reason = 'forged' WHERE seq = n;
    UPDATE claiim.chron c SET leaf = sha256('\x00'::bytea || claiim._record_bytes(claiim.chron_id(seq, at))) WHERE seq = n;
    IF with_link THEN
        UPDATE claiim.chron c SET link = sha256('claiim/chron/link/v1\012'::bytea
            || (SELECT link FROM claiim.chron p WHERE p.seq = n - 1) || leaf) WHERE seq = n;
    END IF;
END$$;
SELECT two.tamper('SELECT two.forge(8, false)');
SELECT two.tamper('SELECT two.forge(8, true)');
-- Rows smuggled in through inheritance or a partition of the forger's own
SELECT two.tamper($$
    CREATE TABLE two.smuggled (LIKE claiim.chron INCLUDING ALL);
    INSERT INTO two.smuggled SELECT (jsonb_populate_record(c, '{"at": "2020-01-01", "seq": 5}')).* FROM claiim.chron c WHERE seq = 5;
    ALTER TABLE claiim.chron ATTACH PARTITION two.smuggled FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')$$);
-- Row security on Chron hides nothing from verify: it errors rather than look
-- at a part.  (It runs as the extension's owner, here a superuser.)
SELECT two.tamper($$ALTER TABLE claiim.chron ENABLE ROW LEVEL SECURITY;
    CREATE POLICY hide ON claiim.chron USING (seq <> 3)$$) ~ '^t' AS all_is_seen;
-- The tables beside Chron say what its records say: each row that was changed,
-- removed or added is found, and named with its record.
SELECT min(completion_seq) AS seq FROM claiim.completions \gset completion_
SELECT min(seq) AS seq FROM claiim.contexts \gset context_
SELECT max(seq) AS seq FROM claiim.chron WHERE outcome = 'ALLOW' AND session IS NOT NULL
GROUP BY session HAVING count(*) > 1 ORDER BY 1 LIMIT 1 \gset use_
SELECT min(seq) AS seq FROM claiim.chron WHERE context_digest IS NULL AND act IS NULL \gset plain_
CREATE TABLE two.beside (n serial, statement text, seq bigint);
INSERT INTO two.beside (statement, seq)
SELECT format(v.statement, v.seq), v.seq FROM (VALUES
    ('DELETE FROM claiim.completions WHERE completion_seq = %s', :completion_seq),
    ('TRUNCATE claiim.completions', :completion_seq),
    ($$UPDATE claiim.completions SET status = 'cancelled' WHERE completion_seq = %s$$, :completion_seq),
    ($$UPDATE claiim.completions SET org = org || '/x' WHERE completion_seq = %s$$, :completion_seq),
    ($$UPDATE claiim.completions SET at = at + '1 us' WHERE completion_seq = %s$$, :completion_seq),
    ('UPDATE claiim.completions SET seq = seq - 1 WHERE completion_seq = %s', :completion_seq),
    ('UPDATE claiim.completions SET completion_seq = completion_seq + 100000 WHERE completion_seq = %s', :completion_seq),
    ('INSERT INTO claiim.completions SELECT * FROM claiim.completions WHERE completion_seq = %s', :completion_seq),
    ($$INSERT INTO claiim.completions VALUES (1, 'acme', now(), 'succeeded', %s)$$, :plain_seq),
    ($$INSERT INTO claiim.completions VALUES (1, 'acme', now(), 'succeeded', %s)$$, 100000),
    ($$UPDATE claiim.contexts SET value = value || ' ' WHERE seq = %s$$, :context_seq),
    ('UPDATE claiim.contexts SET salt = sha256(salt) WHERE seq = %s', :context_seq),
    ('INSERT INTO claiim.contexts SELECT * FROM claiim.contexts WHERE seq = %s', :context_seq),
    ($$INSERT INTO claiim.contexts VALUES (%s, sha256(''), '{"forged": true}')$$, :plain_seq),
    ($$INSERT INTO claiim.contexts VALUES (%s, sha256(''), '{"forged": true}')$$, 100000),
    ($$UPDATE claiim.session_uses SET used = used - 1 /* last in record %s */ WHERE used > 1$$, :use_seq),
    ($$UPDATE claiim.session_uses SET last_used_at = last_used_at + '1 us' /* %s */ WHERE used > 1$$, :use_seq),
    ('DELETE FROM claiim.session_uses /* %s */ WHERE used > 1', :use_seq),
    ('INSERT INTO claiim.session_uses SELECT * FROM claiim.session_uses /* %s */ WHERE used > 1 LIMIT 1', NULL),
    ($$INSERT INTO claiim.session_uses VALUES (repeat(chr(233), 40) /* %s */, 1, now())$$, NULL),
    ('DELETE FROM claiim.logs WHERE first_seq = %s', 1),
    ($$UPDATE claiim.logs SET log = 'log_' || repeat('0', 26) WHERE first_seq = %s$$, 1),
    ('UPDATE claiim.logs SET system_identifier = system_identifier + 1 WHERE first_seq = %s', 1),
    ('UPDATE claiim.logs SET database_oid = 1 WHERE first_seq = %s', 1),
    ('INSERT INTO claiim.logs SELECT log, system_identifier, database_oid, chron_oid, opened_at, %s FROM claiim.logs', :plain_seq)
) AS v (statement, seq);
SELECT n, regexp_replace(regexp_replace(statement, '\d{4,}|(?<= = )\d+|(?<=/\* )\d+', 'N', 'g'), ' /\*.*\*/', '') AS statement,
    regexp_replace(regexp_replace(problem, coalesce(format('\m%s\M', seq), '^$'), 'N', 'g'), 'ses_\w{26}', 'ses_...') AS problem, first_bad IS NOT DISTINCT FROM seq AS named
FROM two.beside, LATERAL regexp_match(two.tamper(statement), '^f \d+ (?:(\d+) )?(.*)$') AS m,
    LATERAL (SELECT m[1]::bigint AS first_bad, m[2] AS problem) AS v ORDER BY n;
-- A context that is not there may have been erased.
SELECT two.tamper('TRUNCATE claiim.contexts') ~ '^t' AS erased;
-- It was all undone.
SELECT ok, problem FROM claiim.verify();
SELECT outcome FROM claiim_check('x', 'a', 'b');
