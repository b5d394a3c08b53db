/*
 * organizations.sql
 *	  Organizations three levels deep: what holds below, and neither beside nor
 *	  above.  And agents whose human has left.
 *
 *		hub					founding: ann, bob
 *		hub/north			with an admin, an approver and an auditor each, who
 *		hub/north/east		hold the capability there and nowhere else; and an
 *		hub/north/east/lab	agent that may act:read, act:write and act:deploy
 *		hub/north/west
 *		hub/south
 *		far					another company's
 */
\ir include/helpers.sql
SELECT no_plan();

CREATE TEMP TABLE places (place text PRIMARY KEY, org text);
INSERT INTO places VALUES ('north', 'hub/north'), ('east', 'hub/north/east'), ('lab', 'hub/north/east/lab'),
	('west', 'hub/north/west'), ('south', 'hub/south');
/* The rule itself, in other words than claiim's. */
CREATE FUNCTION pg_temp.is_below(place text, above text) RETURNS boolean LANGUAGE sql AS $$
	SELECT (place, above) IN (('north', 'north'), ('east', 'east'), ('lab', 'lab'), ('west', 'west'), ('south', 'south'),
		('east', 'north'), ('lab', 'north'), ('west', 'north'), ('lab', 'east'))
$$;

DO $$
DECLARE
	p record;
	c text;
	people CONSTANT text[] := '{t_ann,t_bob,t_two,t_fara,t_farb,t_boss,t_heir}';
	role name;
BEGIN
	FOREACH role IN ARRAY people LOOP
		EXECUTE format('CREATE ROLE %I LOGIN', role);
	END LOOP;
	FOR p IN SELECT * FROM places LOOP
		FOREACH c IN ARRAY '{adm,app,aud,bot}'::text[] LOOP
			EXECUTE format('CREATE ROLE %I LOGIN', 't_' || p.place || '_' || c);
		END LOOP;
	END LOOP;
	PERFORM claiim.bootstrap('hub', 'hub-ann', 't_ann', 'hub-bob', 't_bob');

	FOR p IN SELECT * FROM places ORDER BY org LOOP
		PERFORM pg_temp.both('t_ann', 't_bob', format('register_org(%L)', p.org));
		PERFORM pg_temp.both('t_ann', 't_bob', format('register_human(%L, %L, NULL, %L, ''{admin}'')', p.place || '-adm', 't_' || p.place || '_adm', p.org));
		PERFORM pg_temp.both('t_ann', 't_bob', format('register_human(%L, %L, NULL, %L, ''{approver}'')', p.place || '-app', 't_' || p.place || '_app', p.org));
		PERFORM pg_temp.both('t_ann', 't_bob', format('register_human(%L, %L, NULL, %L, ''{auditor}'')', p.place || '-aud', 't_' || p.place || '_aud', p.org));
	END LOOP;
	PERFORM pg_temp.by('t_ann', $q$SELECT claiim.publish_skill('act', 'actions: [act:*]', 'hub')$q$);
	PERFORM pg_temp.by('t_ann', $q$SELECT claiim.publish_policy('acts', E'skill: act-v1\nallow: [act:read, act:write, act:deploy]', 'hub')$q$);
	FOR p IN SELECT * FROM places ORDER BY org LOOP
		PERFORM pg_temp.both('t_' || p.place || '_adm', 't_' || p.place || '_app',
			format('register_agent(%L, %L, %L, ''{act}'', %L)', p.place || '-bot', p.org, p.place || '-adm', 't_' || p.place || '_bot'));
		PERFORM pg_temp.both('t_' || p.place || '_adm', 't_' || p.place || '_app', format('bind_policy(%L, ''acts-v1'')', p.place || '-bot'));
		PERFORM pg_temp.both('t_ann', 't_bob', format('map_target(%L, %L)', p.place || '/own', p.org));
	END LOOP;
	PERFORM pg_temp.both('t_ann', 't_bob', 'unmap_target(''**'')');
	PERFORM pg_temp.both('t_ann', 't_bob', $q$register_human('two', 't_two', 'Audits two', 'hub', '{member}')$q$);
	PERFORM pg_temp.both('t_ann', 't_bob', $q$register_human('far-a', 't_fara', NULL, 'hub', '{member}')$q$);
	PERFORM pg_temp.both('t_ann', 't_bob', $q$register_human('far-b', 't_farb', NULL, 'hub', '{member}')$q$);
	PERFORM pg_temp.both('t_ann', 't_bob', $q$register_org('far', 'Another company', 'far-a', 'far-b')$q$);
	PERFORM pg_temp.both('t_fara', 't_farb', $q$register_agent('far-bot', 'far', 'far-a', '{}')$q$);
END
$$;

/* Its own agent asks: what it is answered. */
CREATE FUNCTION pg_temp.answer(place text, action text, target text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.by('t_' || place || '_bot', format('SELECT concat_ws('' '', reason_code, rule) FROM claiim_check(%L, %L, %L)', place || '-bot', action, target))
$$;
CREATE FUNCTION pg_temp.answers(action text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(place || ' ' || pg_temp.answer(place, action, place || '/own'), ', ' ORDER BY org) FROM places
$$;

/* ---- capabilities hold below, not beside and not above ---- */

SELECT is(pg_temp.outcome('t_' || a.place || '_adm', format('SELECT claiim.suspend_org(%L, ''x'')', b.org)) = 'ok', pg_temp.is_below(b.place, a.place),
	format('an admin of %s %s suspend %s', a.org, CASE WHEN pg_temp.is_below(b.place, a.place) THEN 'can' ELSE 'cannot' END, b.org))
FROM places a CROSS JOIN places b ORDER BY a.org, b.org;
SELECT is(pg_temp.outcome('t_' || a.place || '_adm', format('SELECT claiim.retire_agent(%L, ''x'')', b.place || '-bot')) = 'ok', pg_temp.is_below(b.place, a.place),
	format('an admin of %s %s propose to retire an agent of %s', a.org, CASE WHEN pg_temp.is_below(b.place, a.place) THEN 'can' ELSE 'cannot' END, b.org))
FROM places a CROSS JOIN places b ORDER BY a.org, b.org;

CREATE TEMP TABLE pending AS
SELECT place, org, pg_temp.by('t_' || place || '_adm', format('SELECT claiim.set_skills(%L, ''{act,more}'')', place || '-bot')) AS change FROM places;
SELECT is(pg_temp.outcome('t_' || a.place || '_app', format('SELECT claiim.approve(%L)', b.change)) = 'ok', pg_temp.is_below(b.place, a.place),
	format('an approver of %s %s approve a change of %s', a.org, CASE WHEN pg_temp.is_below(b.place, a.place) THEN 'can' ELSE 'cannot' END, b.org))
FROM places a CROSS JOIN pending b ORDER BY a.org, b.org;
SELECT is(pg_temp.seen('t_' || a.place || '_app', 'SELECT org FROM claiim.pending_changes ORDER BY org'),
	(SELECT string_agg(format('(%s)', b.org), E'\n' ORDER BY b.org) FROM places b WHERE pg_temp.is_below(b.place, a.place)),
	format('an approver of %s sees what is pending there and below', a.org))
FROM places a ORDER BY a.org;

SELECT is(pg_temp.answer(place, 'act:read', place || '/own'), 'allowed allow:2 act:read', format('%s-bot acts', place)) FROM places ORDER BY org;
SELECT claiim_check('far-bot', 'act:read', 'far/own'), claiim_check('stranger', 'act:read', 'far/own') \g /dev/null
SELECT is(pg_temp.seen('t_' || a.place || '_aud', format('SELECT DISTINCT org FROM claiim.%s ORDER BY org', v)),
	(SELECT string_agg(format('(%s)', b.org), E'\n' ORDER BY b.org) FROM places b WHERE pg_temp.is_below(b.place, a.place)),
	format('an auditor of %s reads %s of there and below', a.org, v))
FROM places a, unnest('{decisions,acts,registry,chron,agents,orgs}'::text[]) AS v ORDER BY a.org, v;
SELECT is(pg_temp.seen('t_ann', 'SELECT DISTINCT org FROM claiim.registry ORDER BY org'), (SELECT string_agg(format('(%s)', org), E'\n' ORDER BY org) FROM places),
	'the founding organization sees all below it, and not another company that it has registered');
SELECT is(pg_temp.seen('t_ann', 'SELECT DISTINCT org FROM claiim.decisions WHERE org IS NULL OR org = ''far'' '), '()', 'of the others, only what is nobody''s');
SELECT is(pg_temp.seen('t_fara', 'SELECT agent FROM claiim.agents'), '(far-bot)', 'which sees itself and nothing else');

/* ---- an auditor of two ---- */

SELECT pg_temp.both('t_east_adm', 't_east_app', $$grant_capability('two', 'hub/north/east', 'auditor')$$) \g /dev/null
SELECT pg_temp.both('t_south_adm', 't_south_app', $$grant_capability('two', 'hub/south', 'auditor')$$) \g /dev/null
SELECT is(pg_temp.seen('t_two', 'SELECT DISTINCT org FROM claiim.decisions ORDER BY org'), E'(hub/north/east)\n(hub/north/east/lab)\n(hub/south)',
	'an auditor of two organizations sees both, and what lies below');
SELECT is(pg_temp.seen('t_two', 'SELECT agent FROM claiim.registry ORDER BY agent'), E'(east-bot)\n(lab-bot)\n(south-bot)', 'their agents');
SELECT is(pg_temp.seen('t_two', 'SELECT human FROM claiim.humans WHERE human ~ ''-app'' ORDER BY human'), E'(east-app)\n(lab-app)\n(south-app)', 'and their humans');
SELECT is(pg_temp.seen('t_two', 'SELECT org, capability FROM claiim.memberships WHERE human = ''two'' ORDER BY org'), E'(hub,member)\n(hub/north/east,auditor)\n(hub/south,auditor)',
	'and the own memberships, wherever');
SELECT pg_temp.both('t_east_adm', 't_east_app', $$revoke_capability('two', 'hub/north/east', 'auditor')$$) \g /dev/null
SELECT is(pg_temp.seen('t_two', 'SELECT DISTINCT org FROM claiim.decisions ORDER BY org'), '(hub/south)', 'until one is revoked: then the other');

/* ---- documents: used where they belong, and below ---- */

SELECT pg_temp.by('t_' || place || '_adm', format($$SELECT claiim.publish_policy(%L, E'skill: act-v1\nallow: [act:read]', %L)$$, place || '-pol', org)) FROM places \g /dev/null
SELECT is(pg_temp.outcome('t_' || a.place || '_adm', format('SELECT claiim.bind_policy(%L, %L)', a.place || '-bot', b.place || '-pol-v1')) = 'ok', pg_temp.is_below(a.place, b.place),
	format('a policy of %s %s govern an agent of %s', b.org, CASE WHEN pg_temp.is_below(a.place, b.place) THEN 'can' ELSE 'cannot' END, a.org))
FROM places a CROSS JOIN places b ORDER BY a.org, b.org;
SELECT is(pg_temp.seen('t_' || a.place || '_adm', 'SELECT name FROM claiim.policy_versions WHERE name ~ ''-pol-'' ORDER BY name'),
	(SELECT string_agg(format('(%s-pol-v1)', b.place), E'\n' ORDER BY b.place) FROM places b WHERE pg_temp.is_below(a.place, b.place) OR pg_temp.is_below(b.place, a.place)),
	format('an admin of %s reads those that can be used there, or below', a.org))
FROM places a ORDER BY a.org;

/* ---- a baseline binds all below, and only narrows ---- */

SELECT is(pg_temp.answers('act:deploy'), 'north allowed allow:2 act:deploy, east allowed allow:2 act:deploy, lab allowed allow:2 act:deploy, west allowed allow:2 act:deploy, south allowed allow:2 act:deploy',
	'without a baseline all may act:deploy');
SELECT pg_temp.by('t_north_adm', $$SELECT claiim.publish_policy('north-base', 'deny: [act:deploy]', 'hub/north')$$),
	pg_temp.both('t_north_adm', 't_north_app', $$bind_baseline('hub/north', 'north-base-v1')$$) \g /dev/null
SELECT is(pg_temp.answers('act:deploy'), 'north baseline_deny north-base-v1:deny:1 act:deploy, east baseline_deny north-base-v1:deny:1 act:deploy, lab baseline_deny north-base-v1:deny:1 act:deploy, west baseline_deny north-base-v1:deny:1 act:deploy, south allowed allow:2 act:deploy',
	'what the baseline of hub/north denies is denied there, one and two levels below, and not beside');
SELECT pg_temp.by('t_east_adm', $$SELECT claiim.publish_policy('east-base', 'allow: [act:read, act:deploy]', 'hub/north/east')$$),
	pg_temp.both('t_east_adm', 't_east_app', $$bind_baseline('hub/north/east', 'east-base-v1')$$) \g /dev/null
SELECT is(pg_temp.answers('act:deploy'), 'north baseline_deny north-base-v1:deny:1 act:deploy, east baseline_deny north-base-v1:deny:1 act:deploy, lab baseline_deny north-base-v1:deny:1 act:deploy, west baseline_deny north-base-v1:deny:1 act:deploy, south allowed allow:2 act:deploy',
	'a baseline below that allows it does not give it back');
SELECT is(pg_temp.answers('act:write'), 'north allowed allow:2 act:write, east baseline_not_allowed, lab baseline_not_allowed, west allowed allow:2 act:write, south allowed allow:2 act:write',
	'but what its list leaves out is denied there and below, and not above');
SELECT pg_temp.by('t_lab_adm', $$SELECT claiim.publish_policy('lab-base', 'allow: [act:write]', 'hub/north/east/lab')$$),
	pg_temp.both('t_lab_adm', 't_lab_app', $$bind_baseline('hub/north/east/lab', 'lab-base-v1')$$) \g /dev/null
SELECT is(pg_temp.answers('act:write'), 'north allowed allow:2 act:write, east baseline_not_allowed, lab baseline_not_allowed, west allowed allow:2 act:write, south allowed allow:2 act:write',
	'a third, that allows it again, does not either');
SELECT is(pg_temp.answers('act:read'), 'north allowed allow:2 act:read, east allowed allow:2 act:read, lab baseline_not_allowed, west allowed allow:2 act:read, south allowed allow:2 act:read',
	'and narrows further what is left: all three have to allow');
SELECT pg_temp.by('t_south_adm', $$SELECT claiim.publish_policy('south-base', 'allow: ["act:**"]', 'hub/south')$$),
	pg_temp.both('t_south_adm', 't_south_app', $$bind_baseline('hub/south', 'south-base-v1')$$) \g /dev/null
SELECT is(pg_temp.answer('south', 'act:other', 'south/own'), 'not_in_allow_list', 'a baseline that allows everything gives an agent nothing that its own policy does not');
SELECT is(pg_temp.by('t_lab_aud', $$SELECT DISTINCT baseline FROM claiim.decisions WHERE agent = 'lab-bot' AND action = 'act:write' AND seq = (SELECT max(seq) FROM claiim.decisions WHERE action = 'act:write')$$),
	'north-base-v1, east-base-v1, lab-base-v1', 'the record names all three, the outermost first');
SELECT is(pg_temp.by('t_lab_aud', $$SELECT baseline FROM claiim.registry WHERE agent = 'lab-bot'$$), 'north-base-v1, east-base-v1, lab-base-v1', 'and the registry, also for an auditor of the innermost');
SELECT is(pg_temp.seen('t_lab_aud', 'SELECT name, source FROM claiim.policy_versions WHERE name ~ ''-base-'' ORDER BY name'),
	E'(east-base-v1,"allow: [act:read, act:deploy]")\n(lab-base-v1,"allow: [act:write]")\n(north-base-v1,"deny: [act:deploy]")', 'who can read what they say');
SELECT is(pg_temp.outcome('t_' || p.place || '_adm', 'SELECT claiim.unbind_baseline(''hub/north/east'')') = 'ok', p.place IN ('north', 'east'),
	format('%s: the baseline of hub/north/east is unbound from there or from above', p.org)) FROM places p ORDER BY p.org;
SELECT pg_temp.both('t_east_adm', 't_east_app', $$unbind_baseline('hub/north/east')$$) \g /dev/null
SELECT is(pg_temp.answers('act:write'), 'north allowed allow:2 act:write, east allowed allow:2 act:write, lab allowed allow:2 act:write, west allowed allow:2 act:write, south allowed allow:2 act:write',
	'when it is gone, those above and below it hold on');
SELECT is(pg_temp.answer('lab', 'act:deploy', 'lab/own') || ' ' || pg_temp.answer('lab', 'act:read', 'lab/own'), 'baseline_deny north-base-v1:deny:1 act:deploy baseline_not_allowed', 'both of them');

/* ---- an organization that is suspended takes along those below ---- */

SELECT pg_temp.by('t_north_adm', $$SELECT claiim.suspend_org('hub/north/east', 'x')$$) \g /dev/null
SELECT is(pg_temp.answers('act:write'), 'north allowed allow:2 act:write, east org_suspended, lab org_suspended, west allowed allow:2 act:write, south allowed allow:2 act:write',
	'agents of a suspended organization are denied, and those below it, and not those above or beside');
SELECT pg_temp.both('t_north_adm', 't_north_app', $$resume_org('hub/north/east')$$) \g /dev/null

/* ---- targets: the longest pattern decides, and one organization owns ---- */

SELECT pg_temp.both('t_ann', 't_bob', format('map_target(%L, %L)', pattern, org))
FROM (VALUES ('site/**', 'hub/north'), ('site/east/**', 'hub/north/east'), ('site/east/lab/**', 'hub/north/east/lab'), ('site/east/lab/shared/*', 'hub/north'),
	('site/*/west', 'hub/north/west')) AS v (pattern, org) \g /dev/null
SELECT is(pg_temp.answer(p.place, 'act:write', t.target), CASE t.owner WHEN p.place THEN 'allowed allow:2 act:write' WHEN 'none' THEN 'target_unmapped' ELSE 'org_boundary' END,
	format('%s belongs to %s: %s-bot %s act on it', t.target, t.owner, p.place, CASE t.owner WHEN p.place THEN 'may' ELSE 'may not' END))
FROM places p CROSS JOIN (VALUES
	('site/x', 'north'), ('site/x/y/z', 'north'), ('site/eastern', 'north'),
	('site/east/x', 'east'), ('site/east/laboratory', 'east'),
	('site/east/lab/x', 'lab'), ('site/east/lab/shared/x/y', 'lab'),
	('site/east/lab/shared/x', 'north'),		/* given back to the one above */
	('site/x/west', 'west'),
	('sites/x', 'none')) AS t (target, owner)
ORDER BY t.target, p.org;

/* ---- a human leaves ---- */

SELECT pg_temp.both('t_ann', 't_bob', $$register_human('boss', 't_boss', 'Bo Boss', 'hub/north', '{member}')$$),
	pg_temp.both('t_ann', 't_bob', $$register_human('heir', 't_heir', 'Hei R.', 'hub/north/east', '{member}')$$),
	pg_temp.both('t_lab_adm', 't_lab_app', $$transfer_anchor('lab-bot', 'boss')$$),
	pg_temp.both('t_lab_adm', 't_lab_app', $$register_agent('lab-second', 'hub/north/east/lab', 'boss', '{}')$$),
	pg_temp.both('t_lab_adm', 't_lab_app', $$register_agent('lab-retired', 'hub/north/east/lab', 'boss', '{}')$$),
	pg_temp.both('t_lab_adm', 't_lab_app', $$retire_agent('lab-retired', 'x')$$),
	pg_temp.by('t_lab_adm', $$SELECT claiim.suspend_agent('lab-second', 'x')$$) \g /dev/null
SELECT is(pg_temp.answer('lab', 'act:write', 'lab/own'), 'allowed allow:2 act:write', 'an agent anchored to a human above acts');
SELECT is((SELECT count(*) FROM claiim.orphans), 0::bigint, 'and nobody is an orphan');
SELECT pg_temp.by('t_north_adm', $$SELECT claiim.deactivate_human('boss', 'has left')$$) \g /dev/null
SELECT is(pg_temp.answer('lab', 'act:write', 'lab/own'), 'anchor_inactive', 'when the human is deactivated, the next check is denied');
SELECT is(pg_temp.answers('act:write'), 'north allowed allow:2 act:write, east allowed allow:2 act:write, lab anchor_inactive, west allowed allow:2 act:write, south allowed allow:2 act:write', 'those of other humans are not');
SELECT is(pg_temp.seen(role, 'SELECT agent, org, status, reason_code, anchor, full_name FROM claiim.orphans ORDER BY agent'),
	E'(lab-bot,hub/north/east/lab,active,anchor_inactive,boss,"Bo Boss")\n(lab-second,hub/north/east/lab,suspended,anchor_inactive,boss,"Bo Boss")',
	format('claiim.orphans shows %s which agents it was, and not those that are retired', role))
FROM (VALUES ('t_lab_adm'), ('t_lab_app'), ('t_lab_aud'), ('t_north_adm'), ('t_east_aud'), ('t_ann')) AS v (role);
SELECT is(pg_temp.by(role, 'SELECT count(*) FROM claiim.orphans'), '0', format('but not %s', role)) FROM (VALUES ('t_west_adm'), ('t_south_aud'), ('t_fara')) AS v (role);
SELECT ok((SELECT o.since = h.status_since FROM claiim.orphans o JOIN claiim.humans h ON h.human = o.anchor WHERE o.agent = 'lab-bot'), 'since when: since the human left');
SELECT is(pg_temp.outcome('t_lab_adm', $$SELECT claiim.transfer_anchor('lab-bot', 'boss')$$), '42704', 'the anchor is not transferred to one who has left');
SELECT pg_temp.by('t_lab_adm', $$SELECT claiim.transfer_anchor('lab-bot', 'heir')$$) AS change \gset
SELECT is(pg_temp.answer('lab', 'act:write', 'lab/own'), 'anchor_inactive', 'a transfer that one human proposes changes nothing');
SELECT pg_temp.by('t_lab_app', format('SELECT claiim.approve(%L)', :'change')) \g /dev/null
SELECT is(pg_temp.answer('lab', 'act:write', 'lab/own'), 'allowed allow:2 act:write', 'one that a second approves lets it act again');
SELECT is(pg_temp.seen('t_lab_adm', 'SELECT agent FROM claiim.orphans'), '(lab-second)', 'and it is no orphan any more');
SELECT is(pg_temp.by('t_lab_aud', $$SELECT string_agg(DISTINCT anchor || ' ' || outcome, ', ') FROM claiim.decisions WHERE agent = 'lab-bot' AND anchor IN ('boss', 'heir')$$),
	'boss ALLOW, boss DENY, heir ALLOW', 'records keep the anchor of their time');
SELECT pg_temp.both('t_north_adm', 't_north_app', $$reactivate_human('boss')$$) \g /dev/null
SELECT is((SELECT count(*) FROM claiim.orphans), 0::bigint, 'when the human is back, none is');
/* What no function makes: a row that somebody took away. */
BEGIN;
ALTER TABLE claiim.anchors DISABLE TRIGGER USER;
DELETE FROM claiim.anchors WHERE agent = 'lab-second' OR (agent = 'lab-bot' AND valid_until IS NULL);
SELECT is(pg_temp.seen('t_lab_adm', 'SELECT agent, reason_code, anchor FROM claiim.orphans ORDER BY agent'), E'(lab-bot,anchor_missing,)\n(lab-second,anchor_missing,)', 'an agent without any anchor is an orphan');
SELECT ok((SELECT since = (SELECT max(valid_until) FROM claiim.anchors WHERE agent = 'lab-bot') FROM claiim.orphans WHERE agent = 'lab-bot'), 'since the last one');
SELECT ok((SELECT since = (SELECT created_at FROM claiim.agents WHERE agent = 'lab-second') FROM claiim.orphans WHERE agent = 'lab-second'), 'or from the beginning');
ROLLBACK;
SELECT is((SELECT count(*) FROM claiim.orphans), 0::bigint, '(put back)');

SELECT * FROM finish();
