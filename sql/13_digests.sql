/*-------------------------------------------------------------------------
 *
 * 13_digests.sql
 *	  What the governed tables hold, in one line each.
 *
 * A restore puts rows into them without an act, as it must, and so could
 * whoever is superuser before the first decision in a new database.  The act
 * log.open therefore says what was found then; doc/chron-format.md, section 6,
 * tells how to compute the same by other means.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._lines_sha256(query text, OUT row_count bigint, OUT sha256 text)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'claiim_lines_sha256';
COMMENT ON FUNCTION claiim._lines_sha256(text) IS
'How many rows a query finds, and the SHA-256 (hexadecimal) over the texts in its first column, joined by line feeds, however long they are together.';

CREATE FUNCTION claiim._registry_digests(OUT table_name text, OUT row_count bigint,
										 OUT sha256 text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	settings text[] := ARRAY[current_setting('TimeZone'),
							 current_setting('bytea_output'),
							 current_setting('IntervalStyle')];
	t record;
BEGIN
	/* What rows look like as text depends on these. */
	PERFORM set_config('TimeZone', 'UTC', true),
		set_config('bytea_output', 'hex', true),
		set_config('IntervalStyle', 'postgres', true);
	FOR t IN
		SELECT r.relname,
			string_agg(format('t.%I%s', a.attname,
							  CASE WHEN a.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END),
					   ', ' ORDER BY k.n) AS key
		FROM pg_trigger g
			JOIN pg_class r ON r.oid = g.tgrelid
			JOIN pg_index i ON i.indrelid = r.oid AND i.indisprimary
			CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, n)
			JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum
		WHERE r.relnamespace = 'claiim'::regnamespace
			AND g.tgname = 'claiim_guard_rows'
			AND g.tgfoid = 'claiim._guard_governed()'::regprocedure
			AND r.relname NOT IN ('outbox', 'token_uses')
		GROUP BY r.relname
		ORDER BY r.relname COLLATE "C"
	LOOP
		table_name := t.relname;
		SELECT d.row_count, d.sha256 INTO row_count, sha256
		FROM claiim._lines_sha256(format(
			'SELECT row_to_json(t)::text FROM ONLY claiim.%I AS t ORDER BY %s',
			t.relname, t.key)) d;
		RETURN NEXT;
	END LOOP;
	PERFORM set_config('TimeZone', settings[1], true),
		set_config('bytea_output', settings[2], true),
		set_config('IntervalStyle', settings[3], true);
END
$$;
COMMENT ON FUNCTION claiim._registry_digests() IS
'For each governed table but the outbox and token_uses, its name, how many rows it has, and the SHA-256 (hexadecimal) over them: each row as row_to_json gives it with TimeZone UTC, bytea_output hex and IntervalStyle postgres, in the order of the primary key (text by its bytes), joined by line feeds, in UTF-8.';

CREATE FUNCTION claiim.registry_digests(OUT table_name text, OUT row_count bigint,
										OUT sha256 text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT claiim._sees_orgless() THEN
		RAISE EXCEPTION 'the digests are over the rows of all organizations'
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'They are for auditors of the founding organization.';
	END IF;
	RETURN QUERY SELECT d.* FROM claiim._registry_digests() d;
END
$$;
COMMENT ON FUNCTION claiim.registry_digests() IS
'What the governed tables hold now, to compare with what the act log.open of a restored database says: the name of each table, how many rows it has, and the SHA-256 over them (doc/chron-format.md). For auditors of the founding organization. Errors: 42501 for others.';
