-- Exports the contexts of Chron's records that have not been erased, one JSON
-- object a line, for verify_chron.py --contexts.  They are the personal data
-- that may be in Chron: handle the file accordingly.
--
--   psql -XAtqf export_contexts.sql -d DATABASE > contexts.jsonl

\set ON_ERROR_STOP on
\if :{?after}
\else
\set after 0
\endif

SET client_encoding = 'UTF8';
SET search_path = pg_catalog, pg_temp;
SET row_security = off;

COPY (
    SELECT row_to_json(r)
    FROM (
        SELECT seq, encode(salt, 'hex') AS salt, value
        FROM claiim.contexts
        WHERE seq > :after
    ) AS r
    ORDER BY r.seq
) TO STDOUT WITH (FORMAT csv, DELIMITER E'\x02', QUOTE E'\x01');
