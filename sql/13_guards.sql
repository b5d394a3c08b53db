/*-------------------------------------------------------------------------
 *
 * 13_guards.sql
 *	  Triggers that refuse what does not come from claiim itself.
 *
 * On every table: a row trigger for INSERT, UPDATE and DELETE, and a
 * statement trigger for TRUNCATE, which row triggers miss.  ENABLE ALWAYS,
 * or session_replication_role = replica would switch them off; here and not
 * left to the DBA, for pg_dump does not carry that of a member table.
 * Partitions of chron get the row trigger from their parent, and the TRUNCATE
 * one from the writer that makes them.  They only refuse: no trigger ever
 * writes a value.
 *
 *-------------------------------------------------------------------------
 */

DO $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT *
		FROM (VALUES
			('orgs', '_guard_governed'),
			('humans', '_guard_governed'),
			('memberships', '_guard_governed'),
			('changes', '_guard_governed'),
			('approvals', '_guard_governed'),
			('agents', '_guard_governed'),
			('anchors', '_guard_governed'),
			('tokens', '_guard_governed'),
			('skills', '_guard_governed'),
			('skill_versions', '_guard_governed'),
			('policies', '_guard_governed'),
			('policy_versions', '_guard_governed'),
			('bindings', '_guard_governed'),
			('targets', '_guard_governed'),
			('sessions', '_guard_governed'),
			('quorums', '_guard_governed'),
			('reviews', '_guard_governed'),
			('retentions', '_guard_governed'),
			('holds', '_guard_governed'),
			('outbox', '_guard_governed'),
			('token_uses', '_guard_governed'),
			('chron', '_guard_chron'),
			('contexts', '_guard_chron'),
			('session_uses', '_guard_chron'),
			('completions', '_guard_chron'),
			('logs', '_guard_chron')
		) AS v (name, guard)
	LOOP
		EXECUTE pg_catalog.format(
			'CREATE TRIGGER claiim_guard_rows'
			' BEFORE INSERT OR UPDATE OR DELETE ON claiim.%I'
			' FOR EACH ROW EXECUTE FUNCTION claiim.%I()', t.name, t.guard);
		EXECUTE pg_catalog.format(
			'CREATE TRIGGER claiim_guard_truncate'
			' BEFORE TRUNCATE ON claiim.%I'
			' FOR EACH STATEMENT EXECUTE FUNCTION claiim.%I()', t.name, t.guard);
		EXECUTE pg_catalog.format(
			'ALTER TABLE claiim.%I'
			' ENABLE ALWAYS TRIGGER claiim_guard_rows,'
			' ENABLE ALWAYS TRIGGER claiim_guard_truncate', t.name);
		EXECUTE pg_catalog.format(
			'COMMENT ON TRIGGER claiim_guard_rows ON claiim.%I IS %L', t.name,
			'Refuses rows that claiim itself does not write');
		EXECUTE pg_catalog.format(
			'COMMENT ON TRIGGER claiim_guard_truncate ON claiim.%I IS %L', t.name,
			'Refuses TRUNCATE');
	END LOOP;
END
$$;

CREATE FUNCTION claiim._arm_guards() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT c.relname, g.tgname
		FROM pg_trigger g
			JOIN pg_class c ON c.oid = g.tgrelid
		WHERE c.relnamespace = 'claiim'::regnamespace
			AND g.tgname IN ('claiim_guard_rows', 'claiim_guard_truncate')
			AND g.tgenabled <> 'A'
		ORDER BY c.relname, g.tgname
	LOOP
		EXECUTE format('ALTER TABLE claiim.%I ENABLE ALWAYS TRIGGER %I',
					   t.relname, t.tgname);
	END LOOP;
END
$$;
COMMENT ON FUNCTION claiim._arm_guards() IS
'Makes every guard ENABLE ALWAYS again, for pg_restore --disable-triggers leaves them otherwise. For the writer, when it opens a log.';
