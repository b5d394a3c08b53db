/*-------------------------------------------------------------------------
 *
 * 12_statistics.sql
 *	  What a monitoring system reads: pg_stat_claiim and its reasons.
 *
 * Counters of this database since the server started, or since they were
 * reset; in the manner of pg_stat_database, so that they go up only.  Names
 * and types are what postgres_exporter expects of a counter, a gauge and a
 * histogram (examples/monitoring).  They are no proof: that is Chron.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._stat(
	OUT allowed bigint,
	OUT denied bigint,
	OUT acts bigint,
	OUT reevaluated bigint,
	OUT failed bigint,
	OUT unconfirmed bigint,
	OUT batches bigint,
	OUT largest_batch bigint,
	OUT commit_seconds double precision,
	OUT queue_length integer,
	OUT queue_size integer,
	OUT queue_used integer,
	OUT queue_held integer,
	OUT queue_waits bigint,
	OUT queue_refused bigint,
	OUT latency double precision[],
	OUT latency_bucket bigint[],
	OUT latency_sum double precision,
	OUT latency_count bigint,
	OUT epoch bigint,
	OUT writer_state text,
	OUT writer_pid integer,
	OUT writer_started_at timestamptz,
	OUT writer_error text,
	OUT last_seq bigint,
	OUT verified_at timestamptz,
	OUT verified_ok boolean,
	OUT verified_seq bigint,
	OUT stats_reset timestamptz)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'claiim_stat';
COMMENT ON FUNCTION claiim._stat() IS
'The row of claiim.pg_stat_claiim; none if claiim has not been used in this database since the server started.';

CREATE FUNCTION claiim._stat_reasons(OUT reason_code text, OUT decisions bigint)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 20
AS 'MODULE_PATHNAME', 'claiim_stat_reasons';
COMMENT ON FUNCTION claiim._stat_reasons() IS
'The rows of claiim.pg_stat_claiim_reasons.';

CREATE FUNCTION claiim.pg_stat_claiim_reset() RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'claiim_stat_reset';
COMMENT ON FUNCTION claiim.pg_stat_claiim_reset() IS
'Sets the counters of claiim.pg_stat_claiim and claiim.pg_stat_claiim_reasons of this database to zero. For the extension''s owner, and whomever the owner grants it to.';

CREATE VIEW claiim.pg_stat_claiim WITH (security_invoker) AS
	SELECT d.oid AS datid, d.datname, s.*
	FROM claiim._stat() s, pg_catalog.pg_database d
	WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
COMMENT ON VIEW claiim.pg_stat_claiim IS 'What the gate has done in this database since the server started: one row, or none if it was not used.';
COMMENT ON COLUMN claiim.pg_stat_claiim.datid IS 'OID of this database';
COMMENT ON COLUMN claiim.pg_stat_claiim.datname IS 'Name of this database';
COMMENT ON COLUMN claiim.pg_stat_claiim.allowed IS 'Decisions recorded with outcome ALLOW';
COMMENT ON COLUMN claiim.pg_stat_claiim.denied IS 'Decisions recorded with outcome DENY';
COMMENT ON COLUMN claiim.pg_stat_claiim.acts IS 'Governance acts recorded, the writer''s own included';
COMMENT ON COLUMN claiim.pg_stat_claiim.reevaluated IS 'Decisions that were made again, because governance committed before they could be recorded';
COMMENT ON COLUMN claiim.pg_stat_claiim.failed IS 'Decisions that could not be recorded or not be confirmed, and whose callers got an error';
COMMENT ON COLUMN claiim.pg_stat_claiim.unconfirmed IS 'Decisions whose callers gave up at claiim.queue_timeout; they may be recorded';
COMMENT ON COLUMN claiim.pg_stat_claiim.batches IS 'Commits of the writer that recorded something: (allowed + denied + acts) / batches records a commit';
COMMENT ON COLUMN claiim.pg_stat_claiim.largest_batch IS 'Records in the largest of them';
COMMENT ON COLUMN claiim.pg_stat_claiim.commit_seconds IS 'Time that these commits took, in seconds, the flush and the synchronous standbys included';
COMMENT ON COLUMN claiim.pg_stat_claiim.queue_length IS 'Decisions of this database that wait for the writer right now';
COMMENT ON COLUMN claiim.pg_stat_claiim.queue_size IS 'Places of the queue that all databases share (claiim.queue_size)';
COMMENT ON COLUMN claiim.pg_stat_claiim.queue_used IS 'How many of these places are in use right now, by all databases';
COMMENT ON COLUMN claiim.pg_stat_claiim.queue_held IS 'How many of them this database holds, also for callers who have given up';
COMMENT ON COLUMN claiim.pg_stat_claiim.queue_waits IS 'Calls that found the queue full, or this database''s share of it, and waited';
COMMENT ON COLUMN claiim.pg_stat_claiim.queue_refused IS 'Calls that got an error because it stayed full';
COMMENT ON COLUMN claiim.pg_stat_claiim.latency IS 'Upper bounds of the histogram of the time from a call to its durable record, in seconds';
COMMENT ON COLUMN claiim.pg_stat_claiim.latency_bucket IS 'Decisions that took at most as long, for each bound';
COMMENT ON COLUMN claiim.pg_stat_claiim.latency_sum IS 'Time that all decisions took, in seconds';
COMMENT ON COLUMN claiim.pg_stat_claiim.latency_count IS 'Decisions in the histogram';
COMMENT ON COLUMN claiim.pg_stat_claiim.epoch IS 'Counts the governance commits on which decisions depend';
COMMENT ON COLUMN claiim.pg_stat_claiim.writer_state IS 'running, starting, none (the next call starts it), or held away by a command on the database';
COMMENT ON COLUMN claiim.pg_stat_claiim.writer_pid IS 'Process ID of the writer; null if there is none';
COMMENT ON COLUMN claiim.pg_stat_claiim.writer_started_at IS 'When it was started';
COMMENT ON COLUMN claiim.pg_stat_claiim.writer_error IS 'Why the last one could not start; null if it could';
COMMENT ON COLUMN claiim.pg_stat_claiim.last_seq IS 'Number of the last record that is durable';
COMMENT ON COLUMN claiim.pg_stat_claiim.verified_at IS 'When claiim.verify() last came to an end; null if not since the server started';
COMMENT ON COLUMN claiim.pg_stat_claiim.verified_ok IS 'Whether it then found all hashes to agree';
COMMENT ON COLUMN claiim.pg_stat_claiim.verified_seq IS 'Number of the last record that it read';
COMMENT ON COLUMN claiim.pg_stat_claiim.stats_reset IS 'Since when the counters count';

CREATE VIEW claiim.pg_stat_claiim_reasons WITH (security_invoker) AS
	SELECT d.datname, r.reason_code, r.decisions
	FROM claiim._stat_reasons() r, pg_catalog.pg_database d
	WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
COMMENT ON VIEW claiim.pg_stat_claiim_reasons IS 'Decisions recorded in this database since the server started, by reason code.';
COMMENT ON COLUMN claiim.pg_stat_claiim_reasons.datname IS 'Name of this database';
COMMENT ON COLUMN claiim.pg_stat_claiim_reasons.reason_code IS 'The reason code: doc/decisions.md';
COMMENT ON COLUMN claiim.pg_stat_claiim_reasons.decisions IS 'How many decisions had it';
