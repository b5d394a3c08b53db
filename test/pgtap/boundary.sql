/*
 * boundary.sql
 *	  What a human of hub/north can tell of hub/south, by error messages and by
 *	  tricks: nothing.  (What is read and called as it is meant to be is in
 *	  privileges.sql.)
 */
\ir include/world.sql
SELECT no_plan();

/* ---- names ---- */

/*
 * Every argument of every function that names something: one that is another
 * organization's, and one that is not there, are told alike in every word.
 * rule: "same"; "global", where names are unique across organizations and
 * whoever takes one learns that it is taken, and no more (doc/dba.md).
 */
CREATE TEMP TABLE names (function text, argument text, role name, code text, statement text,
						 foreign_name text, missing text, rule text DEFAULT 'same');
INSERT INTO names VALUES
	('approve', 'change', 't_north_app', '42501', 'claiim.approve(%L)', current_setting('south.change'), 'chg_00000000000000000000000000'),
	('reject', 'change', 't_north_app', '42501', $$claiim.reject(%L, 'x')$$, current_setting('south.change'), 'chg_00000000000000000000000000'),
	('withdraw', 'change', 't_north_adm', '42501', 'claiim.withdraw(%L)', current_setting('south.change'), 'chg_00000000000000000000000000'),

	('register_org', 'org', 't_north_adm', '42501', 'claiim.register_org(%L)', 'hub/south', 'hub/sauth'),
	('register_org', 'org', 't_north_adm', '42501', $$claiim.register_org(%L || '/below')$$, 'hub/south', 'hub/sauth'),
	('resume_org', 'org', 't_north_adm', '42501', 'claiim.resume_org(%L)', 'hub/south', 'hub/sauth'),
	('resume_org', 'org', 't_north_adm', '42501', 'claiim.resume_org(%L)', 'hub/south/asleep', 'hub/south/asheep'),
	('suspend_org', 'org', 't_north_adm', '42501', $$claiim.suspend_org(%L, 'x')$$, 'hub/south', 'hub/sauth'),
	('bind_baseline', 'org', 't_north_adm', '42501', $$claiim.bind_baseline(%L, 'north-base-v1')$$, 'hub/south', 'hub/sauth'),
	('unbind_baseline', 'org', 't_north_adm', '42501', 'claiim.unbind_baseline(%L)', 'hub/south', 'hub/sauth'),
	('publish_skill', 'org', 't_north_adm', '42501', $$claiim.publish_skill('south-skill', 'actions: [a:b]', %L)$$, 'hub/south', 'hub/sauth'),
	('publish_policy', 'org', 't_north_adm', '42501', $$claiim.publish_policy('south-pol', 'deny: [a:b]', %L)$$, 'hub/south', 'hub/sauth'),
	('register_human', 'org', 't_north_adm', '42501', $$claiim.register_human('south-adm', 't_spare', NULL, %L, NULL)$$, 'hub/south', 'hub/sauth'),
	('register_agent', 'org', 't_north_adm', '42501', $$claiim.register_agent('south-bot', %L, 'south-mem', '{}')$$, 'hub/south', 'hub/sauth'),
	('grant_capability', 'org', 't_north_adm', '42501', $$claiim.grant_capability('south-mem', %L, 'auditor')$$, 'hub/south', 'hub/sauth'),
	('revoke_capability', 'org', 't_north_adm', '42501', $$claiim.revoke_capability('south-mem', %L, 'member')$$, 'hub/south', 'hub/sauth'),
	('map_target', 'org', 't_north_adm', '42501', $$claiim.map_target('north/x', %L)$$, 'hub/south', 'hub/sauth'),

	('register_org', 'admin', 't_north_adm', '42704', $$claiim.register_org('hub/north/new', NULL, %L, 'north-app')$$, 'south-adm', 'south-xxx'),
	('register_org', 'approver', 't_north_adm', '42704', $$claiim.register_org('hub/north/new', NULL, 'north-adm', %L)$$, 'south-adm', 'south-xxx'),
	('grant_capability', 'human', 't_north_adm', '42501', $$claiim.grant_capability(%L, 'hub/north', 'auditor')$$, 'south-adm', 'south-xxx'),
	('revoke_capability', 'human', 't_north_adm', '42704', $$claiim.revoke_capability(%L, 'hub/north', 'auditor')$$, 'south-aud', 'south-xxx'),
	('reactivate_human', 'human', 't_north_adm', '42501', 'claiim.reactivate_human(%L)', 'south-old', 'south-xxx'),
	('deactivate_human', 'human', 't_north_adm', '42501', $$claiim.deactivate_human(%L, 'x')$$, 'south-mem', 'south-xxx'),
	('deactivate_human', 'human', 't_north_adm', '42501', $$claiim.deactivate_human(%L, 'x')$$, 'hub-ann', 'hub-xxx'),
	('register_agent', 'anchor', 't_north_adm', '42704', $$claiim.register_agent('north-new', 'hub/north', %L, '{}')$$, 'south-mem', 'south-xxx'),
	('register_agent', 'anchor', 't_north_adm', '42704', $$claiim.register_agent('north-new', 'hub/north', %L, '{}')$$, 'south-old', 'south-xxx'),
	('transfer_anchor', 'human', 't_north_adm', '42704', $$claiim.transfer_anchor('north-bot', %L)$$, 'south-mem', 'south-xxx'),
	('transfer_anchor', 'human', 't_north_adm', '42704', $$claiim.transfer_anchor('north-bot', %L)$$, 'south-old', 'south-xxx'),

	('suspend_agent', 'agent', 't_north_adm', '42501', $$claiim.suspend_agent(%L, 'x')$$, 'south-bot', 'south-xxx'),
	('retire_agent', 'agent', 't_north_adm', '42501', $$claiim.retire_agent(%L, 'x')$$, 'south-bot', 'south-xxx'),
	('resume_agent', 'agent', 't_north_adm', '42501', $$claiim.resume_agent(%L, 'x')$$, 'south-asleep', 'south-axxxxx'),
	('set_skills', 'agent', 't_north_adm', '42501', $$claiim.set_skills(%L, '{}')$$, 'south-bot', 'south-xxx'),
	('set_role', 'agent', 't_north_adm', '42501', $$claiim.set_role(%L, NULL)$$, 'south-bot', 'south-xxx'),
	('transfer_anchor', 'agent', 't_north_adm', '42501', $$claiim.transfer_anchor(%L, 'south-mem')$$, 'south-bot', 'south-xxx'),
	('bind_policy', 'agent', 't_north_adm', '42501', $$claiim.bind_policy(%L, 'south-pol-v1')$$, 'south-bot', 'south-xxx'),
	('issue_token', 'agent', 't_north_adm', '42501', 'claiim.issue_token(%L)', 'south-bot', 'south-xxx'),
	('claiim_authenticate', 'agent', 't_north_bot', '28000', $$claiim_authenticate(%L, 'x')$$, 'south-bot', 'south-xxx'),
	('revoke_token', 'token_id', 't_north_adm', '42501', $$claiim.revoke_token(%L, 'x')$$, current_setting('south.token'), 'ctk_00000000000000000000000000'),
	('rotate_token', 'token_id', 't_north_adm', '42501', $$claiim.rotate_token(%L)$$, current_setting('south.token'), 'ctk_00000000000000000000000000'),
	('propose_session', 'agent', 't_north_adm', '42501', $$claiim.propose_session(%L, '{a:b}', '{c}', 'x', valid_until => now() + interval '1 hour')$$, 'south-bot', 'south-xxx'),
	('grant_session', 'session', 't_north_adm', '42501', 'claiim.grant_session(%L)', current_setting('south.session'), 'ses_00000000000000000000000000'),
	('refuse_session', 'session', 't_north_adm', '42501', $$claiim.refuse_session(%L, 'x')$$, current_setting('south.session'), 'ses_00000000000000000000000000'),
	('revoke_session', 'session', 't_north_adm', '42501', $$claiim.revoke_session(%L, 'x')$$, current_setting('south.granted'), 'ses_00000000000000000000000000'),
	('change_diff', 'change', 't_north_adm', '42501', 'claiim.change_diff(%L)', current_setting('south.change'), 'chg_00000000000000000000000000'),
	('what_if', 'agent', 't_north_adm', '42501', $$claiim.what_if(%L, 'south-pol-v1')$$, 'south-bot', 'south-xxx'),
	('what_if', 'policy_version', 't_north_adm', '42704', $$claiim.what_if('north-bot', %L)$$, 'south-pol-v1', 'south-xxx-v1'),
	('what_if_baseline', 'org', 't_north_adm', '42501', $$claiim.what_if_baseline(%L, 'north-base-v1')$$, 'hub/south', 'hub/sauth'),
	('what_if_baseline', 'policy_version', 't_north_adm', '42704', $$claiim.what_if_baseline('hub/north', %L)$$, 'south-base-v1', 'south-xxxx-v1'),
	('break_glass', 'change', 't_north_adm', '42501', $$claiim.break_glass(%L, 'x')$$, current_setting('south.change'), 'chg_00000000000000000000000000'),
	('close_review', 'review', 't_north_app', '42501', $$claiim.close_review(%L, 'justified', 'x')$$, current_setting('south.review'), 'rev_00000000000000000000000000'),
	('erase_context', 'chron_id', 't_north_adm', '42501', $$claiim.erase_context(%L, 'x')$$, current_setting('south.chron_id'), current_setting('nobody.chron_id')),
	('forbid_break_glass', 'org', 't_north_adm', '42501', $$claiim.forbid_break_glass(%L, 'x')$$, 'hub/south', 'hub/sauth'),
	('permit_break_glass', 'org', 't_north_adm', '42501', 'claiim.permit_break_glass(%L)', 'hub/south/below', 'hub/south/bexow'),
	('place_hold', 'org', 't_north_adm', '42501', $$claiim.place_hold(%L, 'x')$$, 'hub/south', 'hub/sauth'),
	('release_hold', 'org', 't_north_adm', '42501', $$claiim.release_hold(%L, 'x')$$, 'hub/south/below', 'hub/south/bexow'),
	('prune_contexts', 'org', 't_north_adm', '42501', 'claiim.prune_contexts(%L)', 'hub/south', 'hub/sauth'),
	('set_retention', 'org', 't_north_adm', '42501', $$claiim.set_retention(%L, '1 year')$$, 'hub/south', 'hub/sauth'),
	('set_quorum', 'org', 't_north_adm', '42501', $$claiim.set_quorum(%L, '*', 1)$$, 'hub/south', 'hub/sauth'),

	('bind_policy', 'policy_version', 't_north_adm', '42704', $$claiim.bind_policy('north-bot', %L)$$, 'south-pol-v1', 'south-xxx-v1'),
	('bind_policy', 'policy_version', 't_north_adm', '42704', $$claiim.bind_policy('north-bot', %L)$$, 'south-pol', 'south-xxx'),
	('bind_baseline', 'policy_version', 't_north_adm', '42704', $$claiim.bind_baseline('hub/north', %L)$$, 'south-base-v1', 'south-xxxx-v1'),
	('publish_policy', 'source', 't_north_adm', '22023', $$claiim.publish_policy('north-new', format(E'skill: %%s\nallow: [a:b]', %L), 'hub/north')$$, 'south-skill-v1', 'south-xxxxx-v1'),
	('publish_policy', 'source', 't_north_adm', '22023', $$claiim.publish_policy('north-new', format(E'skill: %%s\nallow: [a:b]', %L), 'hub/north')$$, 'south-skill', 'south-xxxxx'),
	('register_agent', 'skills', 't_north_adm', 'no error', $$claiim.register_agent('north-new', 'hub/north', 'north-mem', ARRAY[%L])$$, 'south-skill', 'south-xxxxx'),
	('set_skills', 'skills', 't_north_adm', 'no error', $$claiim.set_skills('north-bot', ARRAY[%L])$$, 'south-skill', 'south-xxxxx'),

	('map_target', 'pattern', 't_north_adm', '42501', $$claiim.map_target(%L, 'hub/north')$$, 'south/**', 'sauth/**'),
	('unmap_target', 'pattern', 't_north_adm', '42501', 'claiim.unmap_target(%L)', 'south/**', 'sauth/**'),
	('five_questions', 'chron_id', 't_north_aud', 'P0002', 'claiim.five_questions(%L)', current_setting('south.chron_id'), claiim.chron_id(999999999, now())),
	('five_questions', 'chron_id', 't_north_aud', 'P0002', 'claiim.five_questions(%L)', current_setting('nobody.chron_id'), claiim.chron_id(999999999, now())),
	('record_bytes', 'chron_id', 't_north_aud', 'P0002', 'claiim.record_bytes(%L)', current_setting('south.chron_id'), claiim.chron_id(999999999, now()));

INSERT INTO names SELECT v.*, 'global' FROM (VALUES
	('register_human', 'human', 't_north_adm', '42710', $$claiim.register_human(%L, 't_spare', NULL, 'hub/north', NULL)$$, 'south-adm', 'south-xxx'),
	('register_human', 'role_name', 't_north_adm', '42710', $$claiim.register_human('north-new', %L, NULL, 'hub/north', NULL)$$, 't_south_adm', 't_spare'),
	('register_agent', 'agent', 't_north_adm', '42710', $$claiim.register_agent(%L, 'hub/north', 'north-mem', '{}')$$, 'south-bot', 'south-xxx'),
	('register_agent', 'role_name', 't_north_adm', '42710', $$claiim.register_agent('north-new', 'hub/north', 'north-mem', '{}', %L)$$, 't_south_adm', 't_spare'),
	('set_role', 'role_name', 't_north_adm', '42710', $$claiim.set_role('north-bot', %L)$$, 't_south_adm', 't_spare'),
	('publish_skill', 'skill', 't_north_adm', '42710', $$claiim.publish_skill(%L, 'actions: [a:b]', 'hub/north')$$, 'south-skill', 'south-xxxxx'),
	('publish_policy', 'policy', 't_north_adm', '42710', $$claiim.publish_policy(%L, 'deny: [a:b]', 'hub/north')$$, 'south-pol', 'south-xxx')) AS v;

/* Texts that name nothing.  Any other argument has a line above. */
SELECT pg_temp.none($$SELECT p.proname || '.' || a.name
	FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'claiim' JOIN pg_proc p ON p.oid = d.objid,
		LATERAL unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) AS a (name, type)
	WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		AND p.pronamespace = 'claiim'::regnamespace AND p.proname NOT LIKE '\_%' AND p.proname NOT IN ('bootstrap', 'diff_text')
		AND a.type IN ('text'::regtype, 'name'::regtype, 'text[]'::regtype)
		AND a.name NOT IN ('kind', 'verdict', 'note', 'actions', 'targets', 'ticket', 'reason', 'description', 'full_name', 'label', 'source', 'capability', 'capabilities')
		AND (p.proname, a.name) NOT IN (SELECT n.function, n.argument FROM names n)$$,
	'every argument that names something has a line');

/*
 * Where an error comes from is put in other words the first time in a
 * transaction, so that one is left out.
 */
CREATE TEMP TABLE said AS
SELECT n.*, pg_temp.told(n.role, 'SELECT ' || format(n.statement, n.missing)) AS first,
	replace(pg_temp.told(n.role, 'SELECT ' || format(n.statement, n.foreign_name)), n.foreign_name, '?') AS of_foreign,
	replace(pg_temp.told(n.role, 'SELECT ' || format(n.statement, n.missing)), n.missing, '?') AS of_missing
FROM names n;
SELECT is(of_foreign, of_missing, format('%s: %s "%s", which is another organization''s, and "%s", which is nobody''s: the same error', function, argument, foreign_name, missing))
FROM said WHERE rule = 'same' ORDER BY function, argument;
SELECT is(split_part(of_foreign, E'\n', 1), code, format('%s: %s: %s', function, argument, code))
FROM said WHERE code <> '' ORDER BY function, argument;
SELECT is(split_part(of_missing, E'\n', 1), 'no error', format('%s: %s "%s" can be taken', function, argument, missing))
FROM said WHERE rule = 'global' ORDER BY function, argument;
SELECT is(of_foreign ~ 'hub/south|south-', false, format('%s: %s "%s" is taken: by whom is not said', function, argument, foreign_name))
FROM said WHERE rule = 'global' ORDER BY function, argument;

/* ---- tricks in a query ---- */

CREATE TEMP TABLE relations AS
SELECT c.oid::regclass::text AS name, c.relkind = 'v' AS is_view, r.role,
	(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
	 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(r.role, c.oid, a.attnum, 'SELECT')) AS columns
FROM pg_class c CROSS JOIN (VALUES ('t_north_adm'), ('t_north_aud')) AS r (role)
WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND has_any_column_privilege(r.role, c.oid, 'SELECT');
SELECT cmp_ok((SELECT count(*) FROM relations), '>', 30::bigint, 'there is something to try');

/* Fails where it sees what it must not; and would be run before all else. */
CREATE FUNCTION pg_temp.peek(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	IF value ~ 'south' THEN
		RAISE EXCEPTION 'saw %', value;
	END IF;
	RETURN true;
END
$$;
SELECT is(pg_temp.outcome('t_south_adm', 'SELECT count(*) FROM claiim.agents WHERE pg_temp.peek(agent)'), 'P0001', '(the trap works)');

SELECT is(pg_temp.told(role, format(trick, name, columns)), 'no error', format('%s, %s: %s', name, role, what))
FROM relations, (VALUES
	('a cheap function in WHERE sees no row of another organization', 'SELECT count(*) FROM (SELECT %2$s FROM %1$s) AS x WHERE pg_temp.peek(x::text)'),
	('an error that depends on the row does not come', 'SELECT count(*) FROM (SELECT %2$s FROM %1$s) AS x WHERE 1 / (1 - (x::text ~ ''south'')::int) = 1'),
	('nor in a join', 'SELECT count(*) FROM pg_am AS a JOIN (SELECT %2$s FROM %1$s) AS x ON pg_temp.peek(x::text) AND a.amname <> x::text'),
	('nor in a lateral subquery', 'SELECT count(*) FROM (SELECT %2$s FROM %1$s) AS x, LATERAL (SELECT 1 WHERE pg_temp.peek(x::text)) AS y'),
	('nor where rows are put in order', 'SELECT x FROM (SELECT %2$s FROM %1$s) AS x ORDER BY pg_temp.peek(x::text), x::text LIMIT 1')) AS t (what, trick)
ORDER BY name, role, what;
/* Where a view computes from a row, too. */
SELECT is(pg_temp.told('t_north_aud', statement), 'no error', name)
FROM (VALUES
	('acts: not by what is in a detail', 'SELECT count(*) FROM claiim.acts WHERE pg_temp.peek(detail->>''payload'')'),
	('decisions: not by an identifier', format('SELECT count(*) FROM claiim.decisions WHERE 1 / (chron_id <> %L)::int = 1', current_setting('south.chron_id'))),
	('decisions: not by a cast', 'SELECT count(*) FROM claiim.decisions WHERE pg_temp.peek(target) OR substr(target, 7)::int = 0'),
	('registry: not by an array', 'SELECT count(*) FROM claiim.registry WHERE pg_temp.peek(skills::text)')) AS v (name, statement);

SELECT is(pg_temp.seen('t_north_aud', format('SELECT count(*) FROM %s WHERE %s', name, what)), '(0)', format('%s: to ask for the other''s finds nothing: %s', name, what))
FROM (VALUES ('claiim.orgs', $$org = 'hub/south'$$), ('claiim.agents', $$agent = 'south-bot'$$), ('claiim.humans', $$human = 'south-adm'$$),
	('claiim.humans', $$role_name = 't_south_adm'$$), ('claiim.decisions', $$org = 'hub/south'$$), ('claiim.chron', $$agent = 'south-bot'$$),
	('claiim.targets', $$pattern = 'south/**'$$), ('claiim.policy_versions', $$name = 'south-pol-v1'$$)) AS v (name, what);
SELECT is(pg_temp.outcome(role, 'SET LOCAL row_security = off; SELECT count(*) FROM ' || name), '42501',
	format('%s, %s: with row_security off it is an error and not a part', name, role))
FROM relations ORDER BY name, role;

/* A plan that was made for one is not used for another. */
PREPARE everything AS SELECT DISTINCT org FROM claiim.agents ORDER BY org;
SELECT results_eq('EXECUTE everything', $$VALUES ('hub/north'), ('hub/south')$$, 'a superuser sees all organizations');
SET SESSION AUTHORIZATION t_north_aud;
SELECT results_eq('EXECUTE everything', $$VALUES ('hub/north')$$, 'the same prepared statement shows an auditor the own');
SET SESSION AUTHORIZATION t_south_adm;
SELECT results_eq('EXECUTE everything', $$VALUES ('hub/south')$$, 'and another admin the other');
SET SESSION AUTHORIZATION t_nobody;
SELECT throws_ok('EXECUTE everything', '42501', NULL, 'and nobody none');
RESET SESSION AUTHORIZATION;
DEALLOCATE everything;

/* What a human makes shows others what these may see. */
CREATE SCHEMA shared;
GRANT ALL ON SCHEMA shared TO PUBLIC;
SET SESSION AUTHORIZATION t_south_aud;
CREATE VIEW shared.mine AS SELECT org, agent, target FROM claiim.decisions WHERE org IS NOT NULL;
CREATE FUNCTION shared.mine() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT DISTINCT org FROM claiim.decisions WHERE org IS NOT NULL';
CREATE FUNCTION shared.inlined() RETURNS SETOF text STABLE LANGUAGE sql AS 'SELECT DISTINCT org FROM claiim.decisions';
GRANT SELECT ON shared.mine TO PUBLIC;
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.seen('t_south_aud', 'SELECT DISTINCT org FROM shared.mine'), '(hub/south)', 'a human''s view shows the human the own organization');
SELECT is(pg_temp.seen('t_ann', 'SELECT DISTINCT org FROM shared.mine ORDER BY 1'), E'(hub/north)\n(hub/south)', 'and one who sees more, more');
SELECT is(pg_temp.seen('t_north_aud', 'SELECT DISTINCT org FROM shared.mine'), '(hub/north)', 'and another auditor the other''s own');
SELECT is(pg_temp.outcome('t_nobody', 'SELECT * FROM shared.mine'), '42501', 'and who is no human, nothing');
SELECT is(pg_temp.seen('t_nobody', 'SELECT shared.mine()'), '', 'nor does a SECURITY DEFINER function of a human''s');

/* ---- statistics and plans ---- */

ANALYZE claiim.agents, claiim.orgs, claiim.humans, claiim.chron, claiim.tokens, claiim.changes;
SELECT cmp_ok((SELECT count(*) FROM pg_stats WHERE schemaname = 'claiim'), '>', 20::bigint, 'there are statistics');
SELECT is(pg_temp.by(role, 'SELECT count(*) FROM pg_stats WHERE schemaname = ''claiim'''), '0', format('which %s does not see', role))
FROM (VALUES ('t_north_adm'), ('t_north_aud'), ('t_ann'), ('t_nobody')) AS v (role);

CREATE FUNCTION pg_temp.explained(role name, statement text) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE WHEN x LIKE E'42501\nEXPLAIN is refused for statements that read the tables of claiim\n%' THEN 'refused' ELSE x END
	FROM pg_temp.told(role, statement) AS x
$$;
SELECT is(pg_temp.explained(role, format('%s SELECT %s FROM %s', how, columns, name)), 'refused', format('%s: %s is refused to %s', name, how, role))
FROM relations, (VALUES ('EXPLAIN'), ('EXPLAIN ANALYZE'), ('EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, FORMAT JSON)')) AS v (how)
ORDER BY name, role, how;
PREPARE prepared AS SELECT * FROM claiim.agents;
SELECT is(pg_temp.explained('t_north_aud', statement), 'refused', name)
FROM (VALUES
	('EXPLAIN EXECUTE', 'EXPLAIN EXECUTE prepared'),
	('EXPLAIN ANALYZE EXECUTE', 'EXPLAIN ANALYZE EXECUTE prepared'),
	('of a cursor', 'EXPLAIN DECLARE c CURSOR FOR SELECT * FROM claiim.decisions'),
	('of CREATE TABLE AS', 'EXPLAIN ANALYZE CREATE TEMP TABLE x AS SELECT * FROM claiim.decisions'),
	('of an INSERT', 'CREATE TEMP TABLE t (x text); EXPLAIN ANALYZE INSERT INTO t SELECT agent FROM claiim.agents'),
	('of an UPDATE', 'CREATE TEMP TABLE t (x text); EXPLAIN ANALYZE UPDATE t SET x = 1 FROM claiim.agents a WHERE a.agent = t.x'),
	('of a subquery', $$EXPLAIN ANALYZE SELECT EXISTS (SELECT FROM claiim.agents WHERE agent = 'south-bot')$$),
	('of a CTE', $$EXPLAIN WITH a AS MATERIALIZED (SELECT * FROM claiim.agents) SELECT count(*) FROM a$$),
	('of a CTE that writes', $$CREATE TEMP TABLE t (x text); EXPLAIN ANALYZE WITH a AS (INSERT INTO t SELECT agent FROM claiim.agents) SELECT 1$$),
	('of what is never executed', $$EXPLAIN SELECT * FROM claiim.agents WHERE false$$),
	('of a sample', 'EXPLAIN SELECT count(*) FROM claiim.agents TABLESAMPLE system (100)'),
	('of one''s own view', 'EXPLAIN ANALYZE SELECT * FROM shared.mine'),
	('of a function that is inlined', 'EXPLAIN SELECT * FROM shared.inlined()'),
	('in a block', $$DO 'BEGIN EXECUTE ''EXPLAIN SELECT * FROM claiim.orgs''; END'$$)) AS v (name, statement);
CREATE FUNCTION shared.explain(statement text) RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN QUERY EXECUTE ''EXPLAIN '' || statement; END';
SELECT is(pg_temp.explained('t_north_aud', 'SELECT shared.explain(''SELECT * FROM claiim.orgs'')'), 'refused', 'by a function of a superuser''s');
SELECT is(pg_temp.explained('t_north_aud', 'EXPLAIN SELECT * FROM claiim.orgs; '), 'refused', 'of whom nothing else would be heard');

SELECT is(pg_temp.explained('t_north_aud', statement), 'no error', name)
FROM (VALUES
	('EXPLAIN of what is not claiim''s is as ever', 'EXPLAIN ANALYZE SELECT * FROM pg_class'),
	('and so is that of a function that reads', 'EXPLAIN ANALYZE SELECT * FROM claiim.verify()'),
	('as the owner', format('EXPLAIN ANALYZE SELECT * FROM claiim.five_questions(%L)', current_setting('north.chron_id'))),
	('or as the caller, not inlined', $$CREATE FUNCTION pg_temp.f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM claiim.orgs); END'; EXPLAIN ANALYZE SELECT pg_temp.f()$$),
	('after a refusal', $$DO 'BEGIN EXPLAIN SELECT * FROM claiim.orgs; EXCEPTION WHEN OTHERS THEN NULL; END'; SELECT count(*) FROM claiim.orgs$$)) AS v (name, statement);
SELECT is(pg_temp.explained('t_north_bot', $$EXPLAIN ANALYZE SELECT * FROM claiim_check('north-bot', 'north:do', 'north/3')$$), 'no error', 'an agent can explain its call');
SELECT is(pg_temp.explained(current_user, 'EXPLAIN ANALYZE SELECT * FROM claiim.decisions'), 'no error', 'a superuser explains everything');

/* ---- plans, as a superuser sees those of an auditor ---- */

CREATE FUNCTION pg_temp.plan(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	result text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
		result := concat_ws(E'\n', result, line);
	END LOOP;
	RETURN result;
END
$$;
SELECT max(inhrelid::regclass::text) AS later FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass \gset
SELECT replace(:'later', 'claiim.', '') AS later \gset
SET ROLE t_north_aud;
SELECT ok(pg_temp.plan('SELECT * FROM claiim.decisions') ~ 'org = ANY \((\$|\(InitPlan )', 'a superuser who has SET ROLE may explain, and sees the filter');
SELECT ok(pg_temp.plan('SELECT * FROM claiim.decisions') ~ :'later', 'all partitions are read');
SELECT ok(pg_temp.plan(format('SELECT * FROM claiim.decisions WHERE at < %L', now())) !~ :'later', 'unless it is said from when: pruned by time, under the filter');
SELECT ok(pg_temp.plan(format('SELECT * FROM claiim.acts WHERE at < %L', now())) !~ :'later', 'and so in acts');
SET enable_seqscan = off;
SELECT matches(pg_temp.plan('SELECT * FROM claiim.decisions WHERE seq = 7'), 'Index Scan using \S+_pkey on chron_y.*\n *Index Cond: \(seq = 7\)', 'a record is found by its number, by index');
SELECT matches(pg_temp.plan('SELECT * FROM claiim.acts WHERE seq BETWEEN 7 AND 9'), 'Index Cond: \(\(seq >= 7\) AND \(seq <= 9\)\)', 'and a range of them');
SELECT matches(pg_temp.plan('SELECT * FROM claiim.contexts WHERE seq = 7'), 'Index Cond: \(seq = 7\)', 'and a context');
RESET enable_seqscan;
RESET ROLE;

/* Which organizations one sees is computed once a query, not once a row. */
SET track_functions = 'all';
CREATE FUNCTION pg_temp.calls(role name, statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := coalesce(pg_stat_get_xact_function_calls('claiim._visible_orgs(text[])'::regprocedure), 0);
BEGIN
	PERFORM pg_temp.by(role, statement);
	RETURN coalesce(pg_stat_get_xact_function_calls('claiim._visible_orgs(text[])'::regprocedure), 0) - before;
END
$$;
SELECT is(pg_temp.calls('t_north_aud', 'SELECT count(*) FROM claiim.decisions, generate_series(1, 100)'), 1::bigint, 'decisions: once');
SELECT cmp_ok(pg_temp.calls('t_north_aud', 'SELECT count(baseline) FROM claiim.registry, generate_series(1, 100)'), '<', 10::bigint, 'registry: once for every table that it reads');
RESET track_functions;

/* By parallel workers as well */
SELECT current_setting('server_version_num')::int >= 160000 AS renamed \gset
\if :renamed
SET debug_parallel_query = on;
\else
SET force_parallel_mode = on;
\endif
SELECT is(pg_temp.seen('t_north_aud', 'SELECT DISTINCT org FROM claiim.chron WHERE agent IS NOT NULL'), '(hub/north)', 'a parallel worker sees what its leader does');
SELECT is(pg_temp.seen('t_ann', 'SELECT DISTINCT org FROM claiim.agents ORDER BY 1'), E'(hub/north)\n(hub/south)', 'and no less');

SELECT * FROM finish();
