/*
 * refusals.sql
 *	  helpers.sql, and what is refused, and what is recorded, in a transaction
 *	  that is rolled back.  \ir include/refusals.sql
 */
\ir helpers.sql

/* As pgTAP's throws_ok, for a statement of somebody's. */
CREATE FUNCTION pg_temp.refused(role name, statement text, code text,
								message text, name text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN throws_ok(format('SELECT pg_temp.by(%L, %L)', role, statement),
					 code::char(5), message, name);
END
$$;

/* The error of a statement, or NULL: for comparing two errors. */
CREATE FUNCTION pg_temp.error_by(role name, statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM pg_temp.by(role, statement);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, hint);
END
$$;

/* The acts recorded since the last call. */
CREATE TEMP TABLE seen_acts (act_id text);
CREATE FUNCTION pg_temp.new_acts() RETURNS text
LANGUAGE sql AS $$
	WITH fresh AS (
		INSERT INTO pg_temp.seen_acts
		SELECT o.act_id FROM claiim.outbox o
		WHERE o.act_id NOT IN (SELECT s.act_id FROM pg_temp.seen_acts s)
		RETURNING act_id)
	SELECT string_agg(concat_ws(' ', o.act, 'by', o.actor, 'on', o.subject, 'in', o.org), '; ' ORDER BY o.act)
	FROM claiim.outbox o JOIN fresh USING (act_id);
$$;

/* An act's detail, of the last of its kind. */
CREATE FUNCTION pg_temp.detail(wanted text) RETURNS jsonb
LANGUAGE sql AS $$
	SELECT o.detail::jsonb FROM claiim.outbox o WHERE o.act = wanted
	ORDER BY o.act_id COLLATE "C" DESC LIMIT 1;
$$;
