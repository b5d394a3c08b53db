/*
 * start.sql
 *	  What every test begins with, before the extension is there.
 *	  \ir include/start.sql
 */
\set QUIET 1
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;

/* What belongs to the extension, of one kind. */
CREATE FUNCTION pg_temp.members(catalog regclass) RETURNS SETOF oid
LANGUAGE sql AS $$
	SELECT d.objid
	FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'claiim'
		AND d.deptype = 'e' AND d.classid = catalog
$$;

/* Nothing, or the list of what breaks a rule. */
CREATE FUNCTION pg_temp.none(query text, name text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE format('SELECT string_agg(x::text, E''\n'' ORDER BY x::text) FROM (%s) AS v (x)', query)
	INTO found;
	RETURN is(found, NULL, name);
END
$$;
