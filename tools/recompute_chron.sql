-- Recomputes every leaf, link and context digest of Chron with nothing but
-- PostgreSQL's own functions, as doc/chron-format.md says.  Its result is one
-- row for each record that is not what it should be; none if all is well.
--
-- This asks the database that is being examined.  To rely on it for nothing
-- but its rows, export them and run verify_chron.py elsewhere.
--
--   psql -XAtqf recompute_chron.sql -d DATABASE

\set ON_ERROR_STOP on
SET search_path = pg_catalog, pg_temp;
SET row_security = off;

-- A row that an index does not show must not be missed.
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;

WITH records AS (
    SELECT seq, at, leaf, link, context_digest,
           lag(seq) OVER w AS previous_seq,
           lag(at) OVER w AS previous_at,
           lag(link) OVER w AS previous_link,
           (SELECT 'claiim/chron/row/v1\012'::bytea
                   || int2send(count(*)::smallint)
                   || string_agg(int2send(f.id::smallint) || f.type
                                 || int4send(length(f.value)) || f.value,
                                 ''::bytea ORDER BY f.id)
            FROM (VALUES
                ( 1, '\x02'::bytea, convert_to(log, 'UTF8')),
                ( 2, '\x01', int8send(seq)),
                ( 3, '\x01', int8send((extract(epoch FROM at) * 1000000)::bigint)),
                ( 4, '\x01', int8send((extract(epoch FROM clock) * 1000000)::bigint)),
                ( 5, '\x02', convert_to(kind, 'UTF8')),
                ( 6, '\x02', convert_to(outcome, 'UTF8')),
                ( 7, '\x02', convert_to(agent, 'UTF8')),
                ( 8, '\x02', convert_to(action, 'UTF8')),
                ( 9, '\x02', convert_to(target, 'UTF8')),
                (10, '\x02', convert_to(org, 'UTF8')),
                (11, '\x02', convert_to(anchor, 'UTF8')),
                (12, '\x02', convert_to(policy, 'UTF8')),
                (13, '\x02', convert_to(skill, 'UTF8')),
                (14, '\x02', convert_to(baseline, 'UTF8')),
                (15, '\x02', convert_to(rule, 'UTF8')),
                (16, '\x02', convert_to(reason_code, 'UTF8')),
                (17, '\x02', convert_to(reason, 'UTF8')),
                (18, '\x02', convert_to(session, 'UTF8')),
                (19, '\x02', convert_to(approved_by, 'UTF8')),
                (20, '\x02', convert_to(auth, 'UTF8')),
                (21, '\x02', convert_to(token, 'UTF8')),
                (22, '\x02', convert_to(db_user, 'UTF8')),
                (23, '\x02', convert_to(client, 'UTF8')),
                (24, '\x03', context_digest),
                (25, '\x02', convert_to(actor, 'UTF8')),
                (26, '\x02', convert_to(act, 'UTF8')),
                (27, '\x02', convert_to(subject, 'UTF8')),
                (28, '\x02', convert_to(change, 'UTF8')),
                (29, '\x02', convert_to(detail, 'UTF8'))
            ) AS f (id, type, value)
            WHERE f.value IS NOT NULL) AS d
    FROM claiim.chron
    WINDOW w AS (ORDER BY seq, at)
)
SELECT r.seq, p.problem
FROM records AS r
LEFT JOIN claiim.contexts AS c ON c.seq = r.seq
CROSS JOIN LATERAL (VALUES
    (r.seq <> coalesce(r.previous_seq, 0) + 1,
     'a record before this one is missing, or this one is there twice'),
    (r.at < r.previous_at,
     'its time is before the time of the record before it'),
    (r.leaf <> sha256('\x00'::bytea || r.d),
     'its leaf is not the hash of its fields'),
    (r.link <> sha256('claiim/chron/link/v1\012'::bytea
                      || coalesce(r.previous_link, decode(repeat('00', 32), 'hex'))
                      || r.leaf),
     'its link does not follow from the link before it'),
    (r.context_digest IS DISTINCT FROM
     sha256('claiim/chron/context/v1\012'::bytea || c.salt
            || convert_to(c.value, 'UTF8')) AND c.seq IS NOT NULL,
     'its context is not the one that was recorded')
) AS p (is_bad, problem)
WHERE p.is_bad
ORDER BY r.seq, r.at;
