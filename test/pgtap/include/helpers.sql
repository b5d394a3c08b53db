/*
 * helpers.sql
 *	  Doing things as somebody, and what is said to them.  \ir include/helpers.sql
 */
\ir start.sql
CREATE EXTENSION IF NOT EXISTS claiim CASCADE;

/* Runs a statement as the one who logs in as role; its first column. */
CREATE FUNCTION pg_temp.by(role name, statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', role);
	EXECUTE statement INTO result;
	SET LOCAL SESSION AUTHORIZATION DEFAULT;
	RETURN result;
END
$$;

/*
 * Proposed by one, approved by the other; the change.  proposal: a call of
 * claiim's, with or without SELECT claiim. before it.
 */
CREATE FUNCTION pg_temp.both(proposer name, approver name, proposal text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	change text := pg_temp.by(proposer, 'SELECT claiim.' || regexp_replace(proposal, '^SELECT claiim\.', ''));
BEGIN
	PERFORM pg_temp.by(approver, format('SELECT claiim.approve(%L)', change));
	RETURN change;
END
$$;

/*
 * Everything that a client is told of a statement's failure, the place where
 * it failed included; or "no error".  What it did is undone either way.
 */
CREATE FUNCTION pg_temp.told(role name, statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; detail text; hint text; place text;
	schema_name text; table_name text; column_name text; constraint_name text;
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', role);
		EXECUTE statement;
		RAISE EXCEPTION SQLSTATE 'ZZ000';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
			place = PG_EXCEPTION_CONTEXT, schema_name = SCHEMA_NAME,
			table_name = TABLE_NAME, column_name = COLUMN_NAME,
			constraint_name = CONSTRAINT_NAME;
	END;
	RETURN CASE WHEN state = 'ZZ000' THEN 'no error'
		ELSE concat_ws(E'\n', state, message, detail, hint, place, schema_name,
					   table_name, column_name, constraint_name) END;
END
$$;

/* Or only "ok", or the SQLSTATE. */
CREATE FUNCTION pg_temp.outcome(role name, statement text) RETURNS text
LANGUAGE sql AS $$
	SELECT replace(split_part(pg_temp.told(role, statement), E'\n', 1), 'no error', 'ok')
$$;

/* All rows of a query as one text, as somebody sees them. */
CREATE FUNCTION pg_temp.seen(role name, query text) RETURNS text
LANGUAGE sql AS $$
	SELECT pg_temp.by(role, format('SELECT coalesce(string_agg(x::text, E''\n''), '''') FROM (%s) AS x', query))
$$;
