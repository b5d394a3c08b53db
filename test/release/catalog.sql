-- Everything in the catalogs that makes claiim what it is, a line each: "object
-- | property | value".  Two databases whose lines are equal have the same
-- extension, however they came by it.  Names of partitions go by the calendar.

WITH extension AS (
	SELECT oid FROM pg_extension WHERE extname = 'claiim'
), member AS (
	SELECT d.classid, d.objid FROM pg_depend d, extension e
	WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
), relation AS (
	SELECT c.*, regexp_replace(c.oid::regclass::text, 'chron_y\d+m\d+', 'chron_<month>') AS name
	FROM pg_class c
	WHERE c.relnamespace = 'claiim'::regnamespace
		OR c.oid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
), "column" AS (
	SELECT r.name || '.' || a.attname AS name, a.*, r.relkind,
		row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum) AS position
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
	WHERE r.relkind IN ('r', 'p', 'v', 'c', 'm') AND a.attnum > 0 AND NOT a.attisdropped
), acl (object, list) AS (
	SELECT 'function ' || p.oid::regprocedure, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p
	WHERE p.oid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
	UNION ALL SELECT 'relation ' || name, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
	FROM relation WHERE relkind NOT IN ('i', 'I')
	UNION ALL SELECT 'column ' || name, attacl FROM "column"
	UNION ALL SELECT 'type ' || t.oid::regtype, coalesce(t.typacl, acldefault('T', t.typowner)) FROM pg_type t
	WHERE t.oid IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)
	UNION ALL SELECT 'schema ' || n.nspname, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n WHERE n.nspname = 'claiim'
	UNION ALL SELECT 'initially ' || pg_describe_object(i.classoid, i.objoid, i.objsubid), i.initprivs
	FROM pg_init_privs i JOIN member m ON m.classid = i.classoid AND m.objid = i.objoid
), line (object, property, value) AS (
	SELECT 'extension', 'schema and version', extnamespace::regnamespace || ' ' || extversion FROM pg_extension WHERE extname = 'claiim'
	UNION ALL SELECT 'extension', 'dumps ' || t::regclass, format('WHERE %s', w)
	FROM pg_extension, unnest(extconfig, extcondition) AS u (t, w) WHERE extname = 'claiim'
	UNION ALL SELECT pg_describe_object(classid, objid, 0), 'belongs to it', NULL FROM member
	UNION ALL SELECT pg_describe_object(classid, objid, 0), 'comment',
		coalesce(obj_description(objid, classid::regclass::name), '(none)') FROM member

	UNION ALL SELECT 'function ' || p.oid::regprocedure, 'definition', pg_get_functiondef(p.oid)
	FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND p.prokind IN ('f', 'p')
	UNION ALL SELECT 'function ' || p.oid::regprocedure, 'owner', p.proowner::regrole::text
	FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid

	UNION ALL SELECT 'relation ' || name, 'is', format('%s owner %s options %s persistence %s row security %s %s replica identity %s bound %s',
		relkind, relowner::regrole, reloptions, relpersistence, relrowsecurity, relforcerowsecurity, relreplident,
		CASE WHEN relispartition THEN 'of a parent' END)
	FROM relation
	UNION ALL SELECT 'relation ' || name, 'comment', coalesce(obj_description(oid, 'pg_class'), '(none)') FROM relation
	UNION ALL SELECT 'relation ' || name, 'definition', pg_get_viewdef(oid, true) FROM relation WHERE relkind IN ('v', 'm')
	UNION ALL SELECT 'relation ' || name, 'definition', regexp_replace(pg_get_indexdef(oid), 'chron_y\d+m\d+', 'chron_<month>', 'g')
	FROM relation WHERE relkind IN ('i', 'I')
	UNION ALL SELECT 'relation ' || r.name, 'sequence', format('%s %s %s %s', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqcycle)
	FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
	UNION ALL SELECT 'column ' || c.name, 'is', format('%s: %s %s%s default %s %s %s', c.position, format_type(c.atttypid, c.atttypmod),
		nullif(c.attcollation, 0)::regcollation, CASE WHEN c.attnotnull THEN ' NOT NULL' END,
		pg_get_expr(d.adbin, d.adrelid), c.attidentity, c.attgenerated)
	FROM "column" c LEFT JOIN pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = c.attnum
	UNION ALL SELECT 'column ' || name, 'comment', coalesce(col_description(attrelid, attnum), '(none)') FROM "column"
	UNION ALL SELECT 'constraint ' || conname || ' on ' || r.name, 'definition',
		regexp_replace(pg_get_constraintdef(k.oid), 'chron_y\d+m\d+', 'chron_<month>', 'g') || ' ' || coalesce(obj_description(k.oid, 'pg_constraint'), '')
	-- Since 18 a NOT NULL is one as well, under a name that depends on its history.
	FROM pg_constraint k JOIN relation r ON r.oid = k.conrelid WHERE k.contype <> 'n'
	UNION ALL SELECT 'trigger ' || t.tgname || ' on ' || r.name, 'definition',
		regexp_replace(pg_get_triggerdef(t.oid), 'chron_y\d+m\d+', 'chron_<month>', 'g') || ' enabled ' || t.tgenabled::text || ' ' ||
		coalesce(obj_description(t.oid, 'pg_trigger'), '')
	FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
	UNION ALL SELECT 'policy ' || p.polname || ' on ' || r.name, 'definition', format('%s %s to %s using %s check %s %s',
		p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
		obj_description(p.oid, 'pg_policy'))
	FROM pg_policy p JOIN relation r ON r.oid = p.polrelid
	UNION ALL SELECT 'rule ' || w.rulename || ' on ' || r.name, 'definition', pg_get_ruledef(w.oid)
	FROM pg_rewrite w JOIN relation r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'

	UNION ALL SELECT 'type ' || t.oid::regtype, 'is', format('%s %s%s default %s', t.typtype, nullif(t.typbasetype, 0)::regtype,
		CASE WHEN t.typnotnull THEN ' NOT NULL' END, t.typdefault)
	FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
	UNION ALL SELECT 'type ' || t.oid::regtype, 'labels', (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
	FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid WHERE t.typtype = 'e'
	UNION ALL SELECT 'type ' || t.oid::regtype, 'constraint ' || k.conname, pg_get_constraintdef(k.oid)
	FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid JOIN pg_constraint k ON k.contypid = t.oid
	UNION ALL SELECT 'event trigger ' || evtname, 'definition', format('%s %s %s %s', evtevent, evtfoid::regprocedure, evtenabled, evttags)
	FROM pg_event_trigger WHERE evtname LIKE 'claiim%'

	UNION ALL SELECT a.object, 'privilege of ' || CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
		string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ', ' ORDER BY x.privilege_type)
	FROM acl a, aclexplode(a.list) AS x GROUP BY a.object, x.grantee
)
SELECT entry
FROM (SELECT DISTINCT format('%s | %s | %s', object, property, regexp_replace(value, '\s+', ' ', 'g')) AS entry FROM line) AS e
ORDER BY entry COLLATE "C";
