-- pg_stat_claiim counts what was recorded, and what was not.

\set VERBOSITY terse
-- Whatever acts are still under way are recorded before this.
SELECT count(*) FROM claiim_check('nobody', 'a', 'b');
SELECT last_seq AS seq_before, denied + allowed > 0 AS counted_before FROM claiim.pg_stat_claiim \gset
\echo :counted_before
SELECT claiim.pg_stat_claiim_reset();
SELECT allowed, denied, acts, reevaluated, failed, unconfirmed, batches, largest_batch, commit_seconds, latency_sum, latency_count
FROM claiim.pg_stat_claiim;
SELECT count(*) FROM claiim.pg_stat_claiim_reasons;
SET SESSION AUTHORIZATION regress_deploy;
SELECT count(*) FROM claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{7}'), array_fill('app/stat'::text, '{7}'));
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:production', 'app/stat');
BEGIN;
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:production', 'app/stat');
ROLLBACK;
-- refused before it was a decision
SELECT outcome FROM claiim_check('deploy-bot', NULL, 'app/stat');
RESET SESSION AUTHORIZATION;
SELECT allowed, denied, acts, batches BETWEEN 3 AND 9 AS batches, largest_batch BETWEEN 1 AND 7 AS largest, commit_seconds > 0 AS flushed,
       last_seq - :seq_before AS records, queue_length, queue_used, queue_refused, writer_state
FROM claiim.pg_stat_claiim;
SELECT reason_code, decisions FROM claiim.pg_stat_claiim_reasons ORDER BY 1;
-- The histogram is cumulative, one bucket a bound, and holds every decision.
SELECT latency_count, cardinality(latency) = cardinality(latency_bucket) AS a_bucket_a_bound, latency_sum > 0 AS timed,
       (SELECT bool_and(b >= a) FROM (SELECT u, lag(u) OVER (ORDER BY n) FROM unnest(latency_bucket) WITH ORDINALITY AS x (u, n)) AS y (b, a) WHERE a IS NOT NULL) AS cumulative,
       latency_bucket[cardinality(latency_bucket)] <= latency_count AS within
FROM claiim.pg_stat_claiim;
SELECT ok FROM claiim.verify();
SELECT verified_ok, verified_at > stats_reset AS just_now, verified_seq = last_seq AS whole FROM claiim.pg_stat_claiim;
-- An act is counted as such.
SELECT two.people($$transfer_anchor('deploy-bot', 'bob')$$);
SELECT two.people($$transfer_anchor('deploy-bot', 'ann')$$);
SELECT count(*) FROM claiim_check('nobody', 'a', 'b');
SELECT acts = (SELECT count(*) FROM claiim.chron WHERE seq > :seq_before AND kind = 'act') AS every_act FROM claiim.pg_stat_claiim;

-- Who may look: pg_monitor, and not auditors, for the figures are of all organizations.
CREATE ROLE regress_monitor LOGIN IN ROLE pg_monitor;
SET SESSION AUTHORIZATION regress_monitor;
SELECT allowed > 0 AS seen FROM claiim.pg_stat_claiim;
SELECT count(*) > 0 AS seen FROM claiim.pg_stat_claiim_reasons;
SELECT claiim.pg_stat_claiim_reset();
SELECT count(*) FROM claiim.decisions;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_monitor;
SET SESSION AUTHORIZATION regress_ann;
SELECT count(*) FROM claiim.pg_stat_claiim;
RESET SESSION AUTHORIZATION;
