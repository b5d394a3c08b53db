/*
 * privileges.sql
 *	  Every object of the extension, tried by everybody.
 *
 * What stands in the two lists below is what may be done, and all of it: an
 * object that has no line here fails, unless its name begins with an underscore
 * and nobody may use it.  One line an object; what a new table or view holds is
 * to be made, for two organizations, in include/world.sql.
 */
\ir include/world.sql
SELECT no_plan();

/*
 * Tables and views.  readers: of the groups that registered humans and agents
 * are put into, those who may read.  hidden: columns that nobody may.  rows:
 * whose they are -- "org": there are some of each organization's, and who
 * reads sees the own organization's and not the other's; "founding": for
 * auditors of the founding organization; "figures": nobody's rows;
 * "uses": made by the writer, in its own time.
 */
CREATE TEMP TABLE relations (name text PRIMARY KEY, readers text[], hidden text[], rows text);
INSERT INTO relations VALUES
	('claiim.orgs',				'{admin,auditor}',	'{}',		'org'),
	('claiim.humans',			'{admin,auditor}',	'{}',		'org'),
	('claiim.memberships',		'{admin,auditor}',	'{}',		'org'),
	('claiim.changes',			'{admin,auditor}',	'{}',		'org'),
	('claiim.approvals',		'{admin,auditor}',	'{}',		'org'),
	('claiim.agents',			'{admin,auditor}',	'{}',		'org'),
	('claiim.anchors',			'{admin,auditor}',	'{}',		'org'),
	('claiim.tokens',			'{admin,auditor}',	'{digest}',	'org'),
	('claiim.skills',			'{admin,auditor}',	'{}',		'org'),
	('claiim.skill_versions',	'{admin,auditor}',	'{}',		'org'),
	('claiim.policies',			'{admin,auditor}',	'{}',		'org'),
	('claiim.policy_versions',	'{admin,auditor}',	'{}',		'org'),
	('claiim.bindings',			'{admin,auditor}',	'{}',		'org'),
	('claiim.targets',			'{admin,auditor}',	'{}',		'org'),
	('claiim.chron',			'{auditor}',		'{}',		'org'),
	('claiim.contexts',			'{auditor}',		'{}',		'org'),
	('claiim.outbox',			'{auditor}',		'{}',		'org'),
	('claiim.logs',				'{auditor}',		'{}',		'founding'),
	('claiim.decisions',		'{auditor}',		'{}',		'org'),
	('claiim.acts',				'{auditor}',		'{}',		'org'),
	('claiim.registry',			'{admin,auditor}',	'{}',		'org'),
	('claiim.orphans',			'{admin,auditor}',	'{}',		'org'),
	('claiim.quorums',			'{admin,auditor}',	'{}',		'org'),
	('claiim.reviews',			'{admin,auditor}',	'{}',		'org'),
	('claiim.open_reviews',		'{admin,auditor}',	'{}',		'org'),
	('claiim.retentions',		'{admin,auditor}',	'{}',		'org'),
	('claiim.holds',			'{admin,auditor}',	'{}',		'org'),
	('claiim.sessions',			'{admin,auditor}',	'{}',		'org'),
	('claiim.session_uses',		'{admin,auditor}',	'{}',		'uses'),
	('claiim.session_registry',	'{admin,auditor}',	'{}',		'org'),
	('claiim.completions',		'{auditor}',		'{}',		'org'),
	('claiim.incomplete_actions', '{auditor}',		'{}',		'org'),
	('claiim.token_uses',		'{admin,auditor}',	'{}',		'uses'),
	('claiim.token_registry',	'{admin,auditor}',	'{}',		'org'),
	('claiim.pending_changes',	'{admin,auditor}',	'{}',		'org'),
	('claiim.pg_stat_claiim',	'{monitor}',		'{}',		'figures'),
	('claiim.pg_stat_claiim_reasons', '{monitor}',	'{}',		'figures');

/*
 * Functions.  callers: the groups that may call it.  attempt: a call that
 * concerns hub/north.  successful: those below for whom it goes through; for
 * all others it is an error, even if they may call it.
 */
CREATE TEMP TABLE functions (name text PRIMARY KEY, callers text[], attempt text, successful text[]);
INSERT INTO functions VALUES
	/* The gate */
	('claiim_check(text,text,text,text,text,jsonb)', '{agent}',
		$$SELECT 1 / (outcome = 'ALLOW')::int FROM claiim_check('north-bot', 'north:do', 'north/2')$$, '{agent}'),
	('claiim_check_many(text,text[],text[],text,text,jsonb)', '{agent}',
		$$SELECT 1 / (outcome = 'ALLOW')::int FROM claiim_check_many('north-bot', '{north:do}', '{north/2}')$$, '{agent}'),
	('claiim_authenticate(text,text)', '{agent}', $$SELECT claiim_authenticate('north-bot', 'no token')$$, '{}'),
	('claiim_version()', '{agent,admin,auditor}', $$SELECT claiim_version()$$,
		'{agent,founder,admin,approver,auditor,inactive,intruder,"foreign agent","foreign admin","foreign approver","foreign auditor"}'),

	('claiim_permissions(text,text)', '{agent,admin,auditor}', $$SELECT claiim_permissions('north-bot')$$, '{agent,founder,admin,approver,auditor}'),
	('claiim_request_session(text,text[],text[],text,text,interval,integer,text)', '{agent}',
		$$SELECT claiim_request_session('north-bot', '{north:do}', '{north/**}', 'x')$$, '{agent}'),
	('claiim_session_status(text,text,text)', '{agent}', $$SELECT claiim_session_status('north-bot', current_setting('north.session'))$$, '{agent}'),
	('claiim_complete(text,text,jsonb,text)', '{agent}', $$SELECT 1 / (claiim_complete(current_setting('north.chron_id'), 'succeeded') LIKE 'chr%')::int$$, '{agent}'),

	/* Approved sessions */
	('claiim.propose_session(text,text[],text[],text,text,timestamp with time zone,timestamp with time zone,integer)', '{admin}',
		$$SELECT claiim.propose_session('north-bot', '{north:do}', '{north/**}', 'x', valid_until => now() + interval '1 hour')$$, '{founder,admin}'),
	('claiim.grant_session(text)', '{admin}', $$SELECT claiim.grant_session(current_setting('north.session'))$$, '{founder,admin}'),
	('claiim.refuse_session(text,text)', '{admin}', $$SELECT claiim.refuse_session(current_setting('north.session'), 'x')$$, '{founder,admin,approver}'),
	('claiim.revoke_session(text,text)', '{admin}', $$SELECT claiim.revoke_session(current_setting('north.granted'), 'x')$$, '{founder,admin,approver}'),

	/* Two-person control */
	('claiim.approve(text)', '{admin}', $$SELECT claiim.approve(current_setting('north.change'))$$, '{founder,approver}'),
	('claiim.reject(text,text)', '{admin}', $$SELECT claiim.reject(current_setting('north.change'), 'no')$$, '{founder,approver}'),
	('claiim.withdraw(text)', '{admin}', $$SELECT claiim.withdraw(current_setting('north.change'))$$, '{admin}'),
	('claiim.break_glass(text,text,interval)', '{admin}', $$SELECT claiim.break_glass(current_setting('north.change'), 'x')$$, '{admin}'),
	('claiim.close_review(text,text,text)', '{admin}', $$SELECT claiim.close_review(current_setting('north.review'), 'justified', 'x')$$, '{founder,approver}'),
	('claiim.forbid_break_glass(text,text)', '{admin}', $$SELECT claiim.forbid_break_glass('hub/north', 'x')$$, '{founder,admin,approver}'),
	('claiim.permit_break_glass(text)', '{admin}', $$SELECT claiim.permit_break_glass('hub/north/below')$$, '{founder,admin}'),
	('claiim.set_quorum(text,text,integer)', '{admin}', $$SELECT claiim.set_quorum('hub/north', '*', 2)$$, '{founder,admin}'),
	('claiim.set_retention(text,interval)', '{admin}', $$SELECT claiim.set_retention('hub/north', '2 years')$$, '{founder,admin}'),
	('claiim.prune_contexts(text)', '{admin}', $$SELECT claiim.prune_contexts('hub/north')$$, '{founder,admin}'),
	('claiim.erase_context(text,text)', '{admin}', $$SELECT claiim.erase_context(current_setting('north.chron_id'), 'x')$$, '{founder,admin}'),
	('claiim.place_hold(text,text)', '{admin}', $$SELECT claiim.place_hold('hub/north', 'x')$$, '{founder,admin}'),
	('claiim.release_hold(text,text)', '{admin}', $$SELECT claiim.release_hold('hub/north/below', 'x')$$, '{founder,admin}'),
	('claiim.expire_changes()', '{admin}', $$SELECT claiim.expire_changes()$$,
		'{founder,admin,approver,"foreign admin","foreign approver"}'),	/* each of their own */

	/* What is proposed */
	('claiim.register_org(text,text,text,text)', '{admin}', $$SELECT claiim.register_org('hub/north/new')$$, '{founder,admin}'),
	('claiim.resume_org(text)', '{admin}', $$SELECT claiim.resume_org('hub/north/asleep')$$, '{founder,admin}'),
	('claiim.register_human(text,name,text,text,text[])', '{admin}', $$SELECT claiim.register_human('north-new', 't_spare', NULL, 'hub/north', '{member}')$$, '{founder,admin}'),
	('claiim.reactivate_human(text)', '{admin}', $$SELECT claiim.reactivate_human('north-old')$$, '{founder,admin}'),
	('claiim.grant_capability(text,text,text)', '{admin}', $$SELECT claiim.grant_capability('north-mem', 'hub/north', 'auditor')$$, '{founder,admin}'),
	('claiim.revoke_capability(text,text,text)', '{admin}', $$SELECT claiim.revoke_capability('north-aud', 'hub/north', 'auditor')$$, '{founder,admin}'),
	('claiim.register_agent(text,text,text,text[],name,text)', '{admin}', $$SELECT claiim.register_agent('north-new', 'hub/north', 'north-mem', '{}')$$, '{founder,admin}'),
	('claiim.retire_agent(text,text)', '{admin}', $$SELECT claiim.retire_agent('north-bot', 'x')$$, '{founder,admin}'),
	('claiim.resume_agent(text,text)', '{admin}', $$SELECT claiim.resume_agent('north-asleep', 'x')$$, '{founder,admin}'),
	('claiim.set_skills(text,text[])', '{admin}', $$SELECT claiim.set_skills('north-bot', '{}')$$, '{founder,admin}'),
	('claiim.set_role(text,name)', '{admin}', $$SELECT claiim.set_role('north-bot', NULL)$$, '{founder,admin}'),
	('claiim.transfer_anchor(text,text)', '{admin}', $$SELECT claiim.transfer_anchor('north-bot', 'north-adm')$$, '{founder,admin}'),
	('claiim.map_target(text,text)', '{admin}', $$SELECT claiim.map_target('north/new/**', 'hub/north')$$, '{founder}'),
	('claiim.unmap_target(text)', '{admin}', $$SELECT claiim.unmap_target('north/**')$$, '{founder}'),
	('claiim.bind_policy(text,text)', '{admin}', $$SELECT claiim.bind_policy('north-bot', 'north-pol-v2')$$, '{founder,admin}'),
	('claiim.bind_baseline(text,text)', '{admin}', $$SELECT claiim.bind_baseline('hub/north/below', 'north-base-v1')$$, '{founder,admin}'),
	('claiim.unbind_baseline(text)', '{admin}', $$SELECT claiim.unbind_baseline('hub/north')$$, '{founder,admin}'),

	/* What one does alone */
	('claiim.publish_skill(text,text,text)', '{admin}', $$SELECT claiim.publish_skill('north-new', 'actions: [a:b]', 'hub/north')$$, '{founder,admin}'),
	('claiim.publish_policy(text,text,text)', '{admin}', $$SELECT claiim.publish_policy('north-new', 'deny: [a:b]', 'hub/north')$$, '{founder,admin}'),
	('claiim.suspend_agent(text,text)', '{admin}', $$SELECT claiim.suspend_agent('north-bot', 'x')$$, '{founder,admin}'),
	('claiim.suspend_org(text,text)', '{admin}', $$SELECT claiim.suspend_org('hub/north', 'x')$$, '{founder,admin}'),
	('claiim.deactivate_human(text,text)', '{admin}', $$SELECT claiim.deactivate_human('north-mem', 'x')$$, '{founder,admin}'),
	('claiim.issue_token(text,interval,text,cidr[])', '{admin}', $$SELECT claiim.issue_token('north-bot')$$, '{founder,admin}'),
	('claiim.rotate_token(text,interval,interval)', '{admin}', $$SELECT claiim.rotate_token(current_setting('north.token'))$$, '{founder,admin}'),
	('claiim.revoke_token(text,text)', '{admin}', $$SELECT claiim.revoke_token(current_setting('north.token'), 'x')$$, '{founder,admin}'),

	/* Reading */
	('claiim.five_questions(text)', '{auditor}', $$SELECT claiim.five_questions(current_setting('north.chron_id'))$$, '{founder,auditor}'),
	('claiim.record_bytes(text)', '{auditor}', $$SELECT claiim.record_bytes(current_setting('north.chron_id'))$$, '{founder,auditor}'),
	('claiim.change_diff(text)', '{admin,auditor}', $$SELECT claiim.change_diff(current_setting('north.change'))$$, '{founder,admin,approver,auditor}'),
	('claiim.diff_text(text)', '{admin,auditor}', $$SELECT 1 / (claiim.diff_text(current_setting('north.change')) IS NOT NULL)::int$$, '{founder,admin,approver,auditor}'),
	('claiim.what_if(text,text)', '{admin}', $$SELECT claiim.what_if('north-bot', 'north-pol-v2')$$, '{founder,admin,approver}'),
	('claiim.what_if_baseline(text,text)', '{admin}', $$SELECT claiim.what_if_baseline('hub/north/below', 'north-base-v1')$$, '{founder,admin,approver}'),
	('claiim.registry_digests()', '{auditor}', $$SELECT claiim.registry_digests()$$, '{founder}'),
	/* These tell nothing of anybody's. */
	('claiim.verify()', '{auditor}', $$SELECT claiim.verify()$$, '{founder,auditor,inactive,intruder,"foreign auditor"}'),
	('claiim.chron_id(bigint,timestamp with time zone)', '{auditor}', $$SELECT claiim.chron_id(1, now())$$,
		'{founder,auditor,inactive,intruder,"foreign auditor"}'),

	/* Watching: figures of all organizations together */
	('claiim._stat()', '{monitor}', $$SELECT claiim._stat()$$, '{watcher}'),
	('claiim._stat_reasons()', '{monitor}', $$SELECT claiim._stat_reasons()$$, '{watcher}'),

	/* By the owner */
	('claiim.pg_stat_claiim_reset()', '{}', $$SELECT claiim.pg_stat_claiim_reset()$$, '{}'),
	('claiim.bootstrap(text,text,name,text,name)', '{}', $$SELECT claiim.bootstrap('x', 'x', 't_spare', 'y', 't_nobody')$$, '{}'),

	/* What row security asks: only about the one who is asking. */
	('claiim._visible_orgs(text[])', '{admin,auditor}', $$SELECT 1 / ('hub/north' = ANY (claiim._visible_orgs('{admin,approver,auditor}')))::int$$,
		'{founder,admin,approver,auditor}'),
	('claiim._governing_orgs(text[])', '{admin,auditor}', $$SELECT 1 / ('hub/north' = ANY (claiim._governing_orgs('{admin,approver,auditor}')))::int$$,
		'{founder,admin,approver,auditor}'),
	('claiim._human_of_session()', '{admin,auditor}', $$SELECT 1 / (claiim._human_of_session() LIKE 'north-%')::int WHERE claiim._human_of_session() IS NOT NULL$$,
		'{admin,approver,auditor,inactive,intruder}'),
	('claiim._tally(text)', '{admin,auditor}', $$SELECT 1 / count(needed) FROM claiim._tally(current_setting('north.change'))$$, '{founder,admin,approver,auditor}'),
	('claiim._session_lapses_at(claiim.sessions)', '{admin,auditor}', $$SELECT 1 / count(claiim._session_lapses_at(s)) FROM claiim.sessions s WHERE s.agent = 'north-bot'$$,
		'{founder,admin,approver,auditor}'),
	('claiim._session_state(claiim.sessions,bigint,timestamp with time zone)', '{admin,auditor}',
		$$SELECT 1 / count(claiim._session_state(s, 0, now())) FROM claiim.sessions s WHERE s.agent = 'north-bot'$$, '{founder,admin,approver,auditor}'),
	('claiim._sees_orgless()', '{auditor}', $$SELECT 1 / claiim._sees_orgless()::int$$, '{founder}');

/* Everybody: the role that logs in, and the groups that it is in. */
CREATE TEMP TABLE identities (identity text PRIMARY KEY, role name, groups text[]);
INSERT INTO identities VALUES
	('agent',			't_north_bot',	'{agent}'),
	('founder',			't_ann',		'{admin,auditor}'),
	('admin',			't_north_adm',	'{admin}'),
	('approver',		't_north_app',	'{admin}'),
	('auditor',			't_north_aud',	'{auditor}'),
	('member',			't_north_mem',	'{}'),
	('inactive',		't_north_old',	'{admin,auditor}'),
	('foreign agent',	't_south_bot',	'{agent}'),
	('foreign admin',	't_south_adm',	'{admin}'),
	('foreign approver','t_south_app',	'{admin}'),
	('foreign auditor',	't_south_aud',	'{auditor}'),
	('foreign member',	't_south_mem',	'{}'),
	('intruder',		't_intruder',	'{agent,admin,auditor}'),
	('watcher',			't_watcher',	'{monitor}'),
	('nobody',			't_nobody',		'{}');

/* ---- the lists are complete ---- */

SELECT pg_temp.none($$SELECT m::regclass::text FROM pg_temp.members('pg_class') m WHERE m::regclass::text NOT IN (SELECT name FROM relations)
	UNION ALL SELECT m::regprocedure::text FROM pg_temp.members('pg_proc') m
	WHERE m::regprocedure::text NOT IN (SELECT name FROM functions) AND m::regprocedure::text NOT LIKE 'claiim.\_%'$$,
	'every table, view and function has a line, but for those that are internal');
SELECT pg_temp.none($$SELECT name FROM relations WHERE name NOT IN (SELECT m::regclass::text FROM pg_temp.members('pg_class') m)
	UNION ALL SELECT name FROM functions WHERE name NOT IN (SELECT m::regprocedure::text FROM pg_temp.members('pg_proc') m)$$,
	'and every line has its object');
SELECT is((SELECT string_agg(DISTINCT d.classid::regclass::text, ' ') FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'claiim' AND d.deptype = 'e'
		-- Newer servers count the row type of each relation, and its array.
		AND NOT (d.classid = 'pg_type'::regclass AND d.objid IN (SELECT x FROM pg_type AS t, unnest(ARRAY[t.oid, t.typarray]) AS x WHERE t.typrelid <> 0))),
	'pg_class pg_namespace pg_proc', 'there is no other kind of object, such as types of its own');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind NOT IN ('i', 'I', 't')
	AND c.oid NOT IN (SELECT pg_temp.members('pg_class')) AND c.oid NOT IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass)$$,
	'nor any in the schema that does not belong to it, but for chron''s partitions');

/* ---- privileges ---- */

SELECT pg_temp.none(format($$SELECT m::regprocedure || ' by ' || i.identity FROM pg_temp.members('pg_proc') m CROSS JOIN identities i
	LEFT JOIN functions f ON f.name = m::regprocedure::text
	WHERE has_function_privilege(i.role, m, 'EXECUTE') <> coalesce(f.callers && i.groups, false)$$),
	'every function may be called by those who are listed, and nobody else');
SELECT pg_temp.none($$SELECT a.attrelid::regclass || '.' || a.attname || ' by ' || i.identity
	FROM relations r CROSS JOIN identities i JOIN pg_attribute a ON a.attrelid = r.name::regclass AND a.attnum > 0 AND NOT a.attisdropped
	WHERE has_column_privilege(i.role, a.attrelid, a.attnum, 'SELECT') <> (r.readers && i.groups AND a.attname <> ALL (r.hidden))$$,
	'every column of every table and view may be read by those who are listed, and nobody else');
SELECT pg_temp.none($$SELECT r.name || ' by ' || i.identity FROM relations r CROSS JOIN identities i
	WHERE has_table_privilege(i.role, r.name, 'INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER')
		OR has_any_column_privilege(i.role, r.name, 'INSERT,UPDATE,REFERENCES')$$,
	'and written, referenced or hung triggers on by none of them');
SELECT pg_temp.none($$SELECT i.inhrelid::regclass || ' by ' || d.identity FROM pg_inherits i CROSS JOIN identities d
	WHERE i.inhparent = 'claiim.chron'::regclass AND (has_table_privilege(d.role, i.inhrelid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER')
		OR has_any_column_privilege(d.role, i.inhrelid, 'SELECT,INSERT,UPDATE,REFERENCES'))$$,
	'a partition of Chron may be touched by nobody: it is read through chron');
SELECT cmp_ok((SELECT count(*) FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass), '>', 1::bigint, 'there are some');
SELECT pg_temp.none($$SELECT i.identity FROM identities i
	WHERE has_schema_privilege(i.role, 'claiim', 'USAGE') <> (i.groups && '{admin,auditor,monitor}') OR has_schema_privilege(i.role, 'claiim', 'CREATE')$$,
	'only humans who govern or audit, and who watch the server, look into the schema, and nobody makes anything there');
SELECT pg_temp.none($$SELECT x FROM (
	SELECT p.oid::regprocedure::text, p.proacl FROM pg_proc p WHERE p.oid IN (SELECT pg_temp.members('pg_proc'))
	UNION ALL SELECT c.oid::regclass::text, c.relacl FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind NOT IN ('i', 'I', 't')
	UNION ALL SELECT a.attrelid::regclass || '.' || a.attname, a.attacl FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'claiim'::regnamespace AND a.attacl IS NOT NULL
	UNION ALL SELECT 'schema', nspacl FROM pg_namespace WHERE nspname = 'claiim') AS o (x, acl)
	WHERE (SELECT bool_or(g.grantee = 0) FROM aclexplode(o.acl) g) OR (o.acl IS NULL AND x NOT LIKE 'claiim.chron_y%' AND x NOT LIKE 'claiim.%')$$,
	'PUBLIC is granted nothing');
SELECT pg_temp.none($$SELECT m::regprocedure FROM pg_temp.members('pg_proc') m JOIN pg_proc p ON p.oid = m WHERE p.proacl IS NULL$$,
	'not by PostgreSQL''s own default either, which is for functions');

/* ---- rows ---- */

BEGIN;
/* On its way into Chron while this transaction lasts */
SELECT pg_temp.by(format('t_%s_adm', o), format($$SELECT claiim.suspend_agent('%s-bot', 'for the outbox')$$, o))
FROM unnest('{north,south}'::text[]) AS o \g /dev/null

CREATE FUNCTION pg_temp.rows_of(role name, name text) RETURNS text
LANGUAGE sql AS $$
	SELECT pg_temp.seen(role, format('SELECT %s FROM %s',
		(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
		 WHERE a.attrelid = r.name::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (r.hidden)), r.name))
	FROM relations r WHERE r.name = rows_of.name
$$;

CREATE TEMP TABLE sights AS
SELECT r.name, r.rows, i.identity, i.role, r.readers && i.groups AS reads,
	CASE WHEN r.readers && i.groups THEN pg_temp.rows_of(i.role, r.name) END AS text
FROM relations r CROSS JOIN identities i;

SELECT pg_temp.none($$SELECT r.name FROM relations r, LATERAL pg_temp.rows_of(current_user, r.name) AS t
	WHERE r.rows = 'org' AND NOT (t ~ 'north' AND t ~ 'south')$$, 'there are rows of both organizations in every table and view, or nothing would be tested');
SELECT is(have, want, format('%s: %s sees %s', name, identity, what))
FROM sights, LATERAL (VALUES (text ~ 'north', true, 'those of the own organization'), (text ~ 'south', false, 'none of the other''s')) AS v (have, want, what)
WHERE identity IN ('admin', 'approver', 'auditor') AND reads AND rows = 'org' ORDER BY name, identity, what;
SELECT is(have, want, format('%s: %s sees %s', name, identity, what))
FROM sights, LATERAL (VALUES (text ~ 'south', true, 'those of the own organization'), (text ~ 'north', false, 'none of the other''s')) AS v (have, want, what)
WHERE identity LIKE 'foreign %' AND reads AND rows = 'org' ORDER BY name, identity, what;
SELECT ok(text ~ 'north' AND text ~ 'south', format('%s: who is above both sees both', name))
FROM sights WHERE identity = 'founder' AND reads AND rows = 'org' ORDER BY name;
SELECT is(text <> '', identity = 'founder', format('%s: %s sees %s', name, identity, CASE identity WHEN 'founder' THEN 'rows' ELSE 'none' END))
FROM sights WHERE rows = 'founding' AND reads ORDER BY name, identity;
SELECT is(text, '', format('%s: who is in the groups but no human sees nothing', name))
FROM sights WHERE identity = 'intruder' AND reads ORDER BY name;
SELECT is(text, (SELECT string_agg(x::text, E'\n') FROM (SELECT * FROM claiim.humans WHERE human = 'north-old') AS x), 'claiim.humans: who is not active sees the own registration')
FROM sights WHERE identity = 'inactive' AND name = 'claiim.humans';
SELECT is(text ~ 'north-old', name = 'claiim.memberships', format('%s: who is not active sees %s', name, CASE name WHEN 'claiim.memberships' THEN 'the own' ELSE 'nothing' END))
FROM sights WHERE identity = 'inactive' AND reads AND name <> 'claiim.humans' ORDER BY name;
SELECT is(text ~ '-(adm|app|aud|mem|bot)|south', false, format('%s: and nobody else''s', name))
FROM sights WHERE identity = 'inactive' AND reads ORDER BY name;
SELECT is(pg_temp.outcome(i.role, 'TABLE ' || r.name), '42501', format('%s: %s is refused', r.name, i.identity))
FROM relations r CROSS JOIN identities i WHERE NOT r.readers && i.groups ORDER BY r.name, i.identity;
SELECT is(pg_temp.outcome('t_north_aud', 'TABLE claiim.tokens'), '42501', 'nobody reads the digest of a token, not even of the own agents');

/* What is nobody's is for the founding organization's auditors. */
SELECT is(text ~ ',nobody,', identity = 'founder',
	format('%s: %s sees records of no organization: %s', name, identity, identity = 'founder'))
FROM sights WHERE name IN ('claiim.chron', 'claiim.decisions') AND reads ORDER BY name, identity;

/* A partition, by whoever has been granted it by mistake */
SELECT format('%s', inhrelid::regclass) AS partition FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass ORDER BY 1 LIMIT 1 \gset
GRANT SELECT ON ALL TABLES IN SCHEMA claiim TO t_nobody, t_south_aud;
GRANT USAGE ON SCHEMA claiim TO t_nobody;
SELECT cmp_ok((SELECT count(*) FROM :partition), '>', 10::bigint, 'a partition has rows');
SELECT is(pg_temp.by('t_south_aud', 'SELECT count(*) FROM ' || :'partition'), '0', 'but shows none under its own name, be it granted');
SELECT is(pg_temp.seen('t_nobody', 'SELECT * FROM ' || r.name), '', format('%s: granted to one who is no human, it shows nothing', r.name))
FROM relations r WHERE r.hidden = '{}' AND r.name NOT IN ('claiim.decisions', 'claiim.acts', 'claiim.registry', 'claiim.pending_changes', 'claiim.orphans', 'claiim.token_registry', 'claiim.session_registry', 'claiim.incomplete_actions', 'claiim.open_reviews')
	AND r.rows <> 'figures'
ORDER BY r.name;
ROLLBACK;

/* ---- calls ---- */

SELECT is(pg_temp.outcome(i.role, f.attempt) = 'ok', i.identity = ANY (f.successful),
	format('%s, %s: %s', f.name, i.identity, CASE WHEN i.identity = ANY (f.successful) THEN 'goes through' ELSE 'is refused' END))
FROM functions f CROSS JOIN identities i
ORDER BY f.name, i.identity;
/* Refused as such, and not for another reason. */
SELECT pg_temp.none($$SELECT f.name || ', ' || i.identity || ': ' || o FROM functions f CROSS JOIN identities i, pg_temp.outcome(i.role, f.attempt) AS o
	WHERE o NOT IN ('ok', '42501', 'P0002')
		AND NOT (f.name LIKE 'claiim.\_%' AND o = '22012')		/* no, it said */
		AND NOT (f.name LIKE 'claiim.diff\_text%' AND o = '22012')	/* nothing to show */
		AND NOT (f.name LIKE 'claiim\_check%' AND o = '22012')	/* DENY */
		AND NOT (f.name ~ '^claiim_(authenticate|permissions|request|session)' AND o = '28000')
		AND NOT (f.name LIKE 'claiim\_complete%' AND i.identity = 'agent' AND o = '23505')	/* it is, by now */$$,
	'whoever is refused is refused for lack of privilege');
SELECT is((SELECT count(*) FROM claiim.changes WHERE status = 'pending'), 2::bigint, '(what was tried was undone)');

/* ---- row security itself ---- */

SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity$$,
	'every table has row security, and every partition');
SELECT pg_temp.none($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relforcerowsecurity$$,
	'none forces it on its owner, which the gate and the writer are');
SELECT pg_temp.none($$SELECT m::regclass FROM pg_temp.members('pg_class') m JOIN pg_class c ON c.oid = m
	WHERE c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions) OR 'security_invoker=on' = ANY (c.reloptions), false)$$,
	'every view reads with its reader''s rights');
SELECT pg_temp.none($$SELECT p.polrelid::regclass || '.' || p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
	WHERE c.relnamespace = 'claiim'::regnamespace AND NOT (p.polcmd = 'r' AND p.polpermissive AND p.polwithcheck IS NULL
		AND p.polroles <@ '{claiim_admin,claiim_auditor}'::regrole[]::oid[])$$, 'every policy is for reading, by those who govern or audit');
SELECT pg_temp.none($$SELECT p.polrelid::regclass || '.' || p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
	WHERE c.relnamespace = 'claiim'::regnamespace AND coalesce(obj_description(p.oid, 'pg_policy'), '') = ''$$, 'and has a comment');
SELECT pg_temp.none($$SELECT r.name FROM relations r JOIN pg_class c ON c.oid = r.name::regclass
	WHERE c.relkind <> 'v' AND (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) <> 1$$, 'every table has one');

SELECT * FROM finish();
