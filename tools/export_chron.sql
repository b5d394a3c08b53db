-- Exports Chron, one JSON object a line, for tools/verify_chron.py or any
-- verifier written from doc/chron-format.md.
--
--   psql -XAtqf export_chron.sql -d DATABASE > chron.jsonl
--   psql -XAtqf export_chron.sql -v after=1000 -d DATABASE > chron.jsonl
--
-- The second form exports only what follows record 1000.  An exit status
-- other than 0 means that the export is not complete.

\set ON_ERROR_STOP on
\if :{?after}
\else
\set after 0
\endif

-- UTF-8, whatever the client's locale is; no other function called
-- "encode"; and rows that are hidden from this user are an error.
SET client_encoding = 'UTF8';
SET search_path = pg_catalog, pg_temp;
SET row_security = off;

-- A row that an index does not show must not be missed.
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;

-- JSON holds neither of these two control characters unescaped, so that CSV
-- with them quotes nothing, and every line is the JSON as it is.
COPY (
    SELECT json_strip_nulls(row_to_json(r))
    FROM (
        SELECT log, seq,
               (extract(epoch FROM at) * 1000000)::bigint AS at,
               (extract(epoch FROM clock) * 1000000)::bigint AS clock,
               kind, outcome, agent, action, target, org, anchor, policy,
               skill, baseline, rule, reason_code, reason, session,
               approved_by, auth, token, db_user, client,
               encode(context_digest, 'hex') AS context_digest,
               actor, act, subject, change, detail,
               encode(leaf, 'hex') AS leaf,
               encode(link, 'hex') AS link
        FROM claiim.chron
        WHERE seq > :after
    ) AS r
    ORDER BY r.seq, r.at
) TO STDOUT WITH (FORMAT csv, DELIMITER E'\x02', QUOTE E'\x01');
