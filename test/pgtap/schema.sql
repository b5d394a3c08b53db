/*
 * schema.sql
 *	  The catalog itself: comments, privileges, search_paths, triggers, dump.
 *
 * Needs a superuser and a cluster that preloads claiim.  Walks every object
 * that belongs to the extension, so that one added later is held to the same.
 */
\ir include/start.sql

/*
 * What the owner's default privileges would give away must not get in.  (That
 * is tested only where the extension is not there yet.)
 */
BEGIN;
CREATE ROLE t_leak;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO t_leak, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO t_leak;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO t_leak;
CREATE EXTENSION IF NOT EXISTS claiim CASCADE;
SELECT no_plan();

SELECT cmp_ok((SELECT count(*) FROM pg_temp.members('pg_proc')), '>', 70::bigint, 'the functions are found');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m WHERE c.relkind IN ('r','p')), '=', 26::bigint, 'there are 26 tables');

/* ---- where things are ---- */

SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE NOT (p.pronamespace = 'claiim'::regnamespace
		OR p.pronamespace = 'pg_catalog'::regnamespace AND starts_with(p.proname, 'claiim_'))$$,
	'every function is in schema claiim, or in pg_catalog under a name that begins with claiim_');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relnamespace <> 'claiim'::regnamespace$$, 'every table and view is in schema claiim');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind = 'S'$$, 'there is no sequence');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)$$,
	'every table has a primary key');
SELECT hasnt_pk('claiim', 'chron', 'but chron: its partitions have theirs, or a dump could not be restored');
SELECT pg_temp.none($$SELECT conname FROM pg_constraint
	WHERE contype = 'f' AND connamespace = 'claiim'::regnamespace AND (confupdtype <> 'a' OR confdeltype <> 'a')$$,
	'no foreign key cascades');
SELECT columns_are('claiim', 'chron', ARRAY['seq','at','log','clock','kind','outcome','agent','action','target','org','anchor',
	'policy','skill','baseline','rule','reason_code','reason','session','approved_by','auth','token','db_user','client',
	'context_digest','actor','act','subject','change','detail','leaf','link'], 'chron has the columns of its format');
SELECT is((SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'claiim.decisions'::regclass AND attnum BETWEEN 1 AND 6),
	'outcome agent action anchor policy skill', 'decisions begins with the columns that an auditor reads');
SELECT is((SELECT partstrat FROM pg_partitioned_table WHERE partrelid = 'claiim.chron'::regclass), 'r', 'chron is partitioned by range');

/* ---- comments ---- */

SELECT isnt(obj_description('claiim'::regnamespace, 'pg_namespace'), NULL, 'the schema has a comment');
SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE coalesce(obj_description(p.oid, 'pg_proc'), '') = ''$$, 'every function has a comment');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind IN ('r','p','v') AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''$$, 'every table and view has a comment');
SELECT pg_temp.none($$SELECT c.oid::regclass || '.' || a.attname FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relkind IN ('r','p','v') AND coalesce(col_description(c.oid, a.attnum), '') = ''$$, 'every column of them has a comment');
SELECT pg_temp.none($$SELECT c.oid::regclass || '.' || t.tgname FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
	WHERE coalesce(obj_description(t.oid, 'pg_trigger'), '') = ''$$, 'every trigger has a comment');
SELECT pg_temp.none($$SELECT i.indexrelid::regclass FROM pg_temp.members('pg_class') m JOIN pg_index i ON i.indrelid = m
	WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
		AND coalesce(obj_description(i.indexrelid, 'pg_class'), '') = ''$$, 'every index that is no constraint''s has a comment');
SELECT pg_temp.none($$SELECT n FROM unnest('{claiim_agent,claiim_admin,claiim_auditor}'::name[]) n
	WHERE coalesce(shobj_description(n::regrole, 'pg_authid'), '') = ''$$, 'every group role has a comment');

/* ---- functions ---- */

SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE p.prosecdef AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']$$,
	'every SECURITY DEFINER function pins its search_path to pg_catalog, pg_temp, and sets nothing else');
SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname <> 'c' AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']$$,
	'and so does every other one that is not in C');
SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE p.provolatile = 'v' AND p.proparallel <> 'u'$$, 'what writes is parallel unsafe');
SELECT volatility_is('pg_catalog', 'claiim_check', 'volatile', 'claiim_check is volatile');
SELECT isnt_strict('pg_catalog', 'claiim_check', 'and called on NULL');
SELECT isnt_definer('pg_catalog', 'claiim_check', 'with its caller''s rights');
SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE regexp_replace(p.prosrc, '/\*.*?\*/', '', 'g') ~* '\mexecute\M' AND p.proname NOT IN ('_bind_role', '_add_partition', '_arm_guards')$$,
	'only _bind_role, _add_partition and _arm_guards run dynamic SQL');

/* ---- triggers ---- */

SELECT pg_temp.none($$SELECT c.oid::regclass || '.' || t.tgname FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
	WHERE t.tgenabled <> 'A'$$, 'every trigger is ENABLE ALWAYS');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind IN ('r','p') AND NOT EXISTS (SELECT FROM pg_trigger t
		WHERE t.tgrelid = c.oid AND t.tgname = 'claiim_guard_rows'
			AND t.tgtype = 31	/* row, before, insert, delete, update */
			AND t.tgqual IS NULL AND t.tgattr = '')$$,
	'every table has a guard against INSERT, UPDATE and DELETE');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind IN ('r','p') AND NOT EXISTS (SELECT FROM pg_trigger t
		WHERE t.tgrelid = c.oid AND t.tgname = 'claiim_guard_truncate'
			AND t.tgtype = 34)	/* statement, before, truncate */$$,
	'and one against TRUNCATE');
SELECT throws_ok(format('TRUNCATE %s CASCADE', c.oid::regclass), '42501', NULL, format('TRUNCATE %s is refused to a superuser', c.oid::regclass))
FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
WHERE c.relkind IN ('r','p') ORDER BY c.relname;
SET LOCAL session_replication_role = replica;
SELECT throws_ok('TRUNCATE claiim.orgs CASCADE', '42501', NULL, 'also under session_replication_role = replica');
SELECT throws_ok('TRUNCATE claiim.chron', '42501', NULL, 'Chron as well');
SET LOCAL session_replication_role = origin;

/* ---- dump ---- */

SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind IN ('r','p') AND c.oid <> ALL ((SELECT e.extconfig FROM pg_extension e WHERE e.extname = 'claiim')::oid[])$$,
	'every table is dumped with its data');
SELECT is((SELECT extcondition FROM pg_extension WHERE extname = 'claiim'),
	(SELECT array_fill(''::text, ARRAY[cardinality(extconfig)]) FROM pg_extension WHERE extname = 'claiim'), 'with all of them');
SELECT is((SELECT extrelocatable FROM pg_extension WHERE extname = 'claiim'), false, 'the extension is not relocatable');

/* ---- privileges ---- */

SELECT pg_temp.none($$SELECT p.oid::regprocedure || ' to ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
	FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m,
		aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	WHERE a.grantee <> p.proowner AND a.grantee <> ALL ('{claiim_agent,claiim_admin,claiim_auditor}'::regrole[]::oid[])
		AND NOT (a.grantee = 'pg_monitor'::regrole AND starts_with(p.proname, '_stat'))$$,
	'functions are granted to the three group roles, those of the statistics to pg_monitor, and to nobody else, not to PUBLIC');
SELECT pg_temp.none($$SELECT c.oid::regclass || ' to ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
	FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m,
		aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
	WHERE a.grantee <> c.relowner AND NOT (a.privilege_type = 'SELECT'
		AND a.grantee = ANY ('{claiim_admin,claiim_auditor}'::regrole[]::oid[]))
		AND NOT (a.grantee = 'pg_monitor'::regrole AND starts_with(c.relname, 'pg_stat_claiim'))$$,
	'tables and views are granted to admins and auditors, for reading (privileges.sql says which to whom)');
SELECT pg_temp.none($$SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ' ' || a.privilege_type
	FROM pg_namespace n, aclexplode(n.nspacl) a
	WHERE n.nspname = 'claiim' AND a.grantee <> n.nspowner AND NOT (a.privilege_type = 'USAGE'
		AND a.grantee = ANY ('{claiim_admin,claiim_auditor,pg_monitor}'::regrole[]::oid[]))$$,
	'the schema is for admins, auditors, and those who watch the server');
SELECT pg_temp.none($$SELECT p.oid::regprocedure || ' ' || a.grantee::regrole FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m,
		aclexplode(p.proacl) a
	WHERE a.is_grantable AND a.grantee <> p.proowner$$, 'no grant can be passed on');

SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind IN ('r','p','v') AND has_table_privilege('claiim_agent', c.oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER')
	UNION ALL
	SELECT c.oid::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind IN ('r','p','v') AND has_any_column_privilege('claiim_agent', c.oid, 'SELECT,INSERT,UPDATE,REFERENCES')$$,
	'an agent can read and write no table and no view, nor a column of one');
SELECT ok(NOT has_schema_privilege('claiim_agent', 'claiim', 'USAGE'), 'an agent cannot look into the schema');
SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE has_function_privilege('claiim_agent', p.oid, 'EXECUTE') AND p.pronamespace <> 'pg_catalog'::regnamespace$$,
	'an agent can call nothing but what is in pg_catalog');
SELECT pg_temp.none($$SELECT p.oid::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m
	WHERE p.pronamespace = 'pg_catalog'::regnamespace AND NOT has_function_privilege('claiim_agent', p.oid, 'EXECUTE')$$,
	'and all of that');
SELECT pg_temp.none($$SELECT g FROM unnest('{claiim_agent,claiim_admin,claiim_auditor}'::name[]) g
	WHERE has_function_privilege(g, 'claiim.bootstrap(text,text,name,text,name)', 'EXECUTE')$$, 'bootstrap is granted to nobody');
SELECT pg_temp.none($$SELECT r.rolname FROM pg_roles r
	WHERE r.rolname IN ('claiim_agent','claiim_admin','claiim_auditor')
		AND (r.rolcanlogin OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls)$$,
	'the group roles can neither log in nor do anything by themselves');
SELECT * FROM finish();
ROLLBACK;
