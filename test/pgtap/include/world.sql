/*
 * world.sql
 *	  Two organizations side by side, hub/north and hub/south, below one that
 *	  founded both, with all that there is in each: for the tests of what one
 *	  of them can tell of the other.  \ir include/world.sql
 *
 * Whatever belongs to the one has "north" in its name, and whatever belongs to
 * the other "south": a row, message or plan that has the other's word in it is
 * a leak, of whatever table.  What a new table holds is to be made here, for
 * both.  It is committed, for the gate does not decide by what is not.
 */
\ir helpers.sql

DO $$
DECLARE
	r text;
	o text;
BEGIN
	FOREACH r IN ARRAY '{t_ann,t_bob,t_nobody,t_watcher,t_intruder,t_spare}'::text[] LOOP
		EXECUTE format('CREATE ROLE %I LOGIN', r);
	END LOOP;
	FOREACH o IN ARRAY '{north,south}'::text[] LOOP
		FOREACH r IN ARRAY '{adm,app,aud,mem,old,bot}'::text[] LOOP
			EXECUTE format('CREATE ROLE %I LOGIN', 't_' || o || '_' || r);
		END LOOP;
	END LOOP;
	/* In all three groups, by somebody's mistake, and no human. */
	GRANT claiim_agent, claiim_admin, claiim_auditor TO t_intruder;
	GRANT pg_monitor TO t_watcher;
END
$$;

SELECT claiim.bootstrap('hub', 'hub-ann', 't_ann', 'hub-bob', 't_bob');
BEGIN;
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_skill('hub-skill', 'actions: [hub:*]', 'hub')$$) \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('hub-base', 'deny: [hub:never]', 'hub')$$) \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$bind_baseline('hub', 'hub-base-v1')$$) \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$unmap_target('**')$$) \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$map_target('hub/**', 'hub')$$) \g /dev/null

/* % is the organization's own name. */
CREATE FUNCTION pg_temp.furnish(o text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	step text[];
BEGIN
	FOREACH step SLICE 1 IN ARRAY ARRAY[
		['t_ann', 't_bob', $s$register_org('hub/%', 'The % of it')$s$],
		['t_ann', 't_bob', $s$register_org('hub/%/below')$s$],
		['t_ann', 't_bob', $s$register_org('hub/%/asleep')$s$],
		['t_ann', 't_bob', $s$register_human('%-adm', 't_%_adm', 'Adam of %', 'hub/%', '{admin}')$s$],
		['t_ann', 't_bob', $s$register_human('%-app', 't_%_app', NULL, 'hub/%', '{approver}')$s$],
		['t_ann', 't_bob', $s$register_human('%-aud', 't_%_aud', NULL, 'hub/%', '{auditor}')$s$],
		['t_ann', 't_bob', $s$register_human('%-mem', 't_%_mem', NULL, 'hub/%', '{member}')$s$],
		['t_ann', 't_bob', $s$register_human('%-old', 't_%_old', NULL, 'hub/%', '{admin,approver,auditor}')$s$],
		['t_ann', 't_bob', $s$map_target('%/**', 'hub/%')$s$],
		['t_%_adm', '', $s$publish_skill('%-skill', 'actions: ["%:*"]', 'hub/%')$s$],
		['t_%_adm', '', $s$publish_policy('%-pol', E'skill: %-skill-v1\nallow: ["%:do"]', 'hub/%')$s$],
		['t_%_adm', '', $s$publish_policy('%-pol', E'skill: %-skill-v1\nallow: ["%:do", "%:more"]', 'hub/%')$s$],
		['t_%_adm', '', $s$publish_policy('%-base', 'deny: ["%:never"]', 'hub/%')$s$],
		['t_%_adm', 't_%_app', $s$bind_baseline('hub/%', '%-base-v1')$s$],
		['t_%_adm', 't_%_app', $s$register_agent('%-bot', 'hub/%', '%-mem', '{%-skill}', 't_%_bot', 'Of %')$s$],
		['t_%_adm', 't_%_app', $s$bind_policy('%-bot', '%-pol-v1')$s$],
		['t_%_adm', 't_%_app', $s$register_agent('%-asleep', 'hub/%', '%-mem', '{}')$s$],
		['t_%_adm', '', $s$suspend_agent('%-asleep', 'sleeps in %')$s$],
		['t_%_adm', '', $s$suspend_org('hub/%/asleep', 'sleeps')$s$],
		['t_%_adm', 't_%_app', $s$register_agent('%-orphan', 'hub/%', '%-old', '{}')$s$],
		['t_%_adm', '', $s$deactivate_human('%-old', 'has left %')$s$],
		['t_%_adm', '', $s$issue_token('%-bot', '90 days', 'token of %')$s$],
		['t_%_adm', 't_%_app', $s$propose_session('%-bot', '{%:do}', '{%/**}', 'for %', valid_until => now() + interval '1 hour')$s$],
		['t_%_adm', 't_%_app', $s$set_quorum('hub/%', 'agent.retire', 1)$s$],
		['t_%_adm', 't_%_app', $s$set_retention('hub/%', '1 year')$s$],
		['t_%_adm', '', $s$place_hold('hub/%/below', 'held by %')$s$],
		['t_%_adm', '', $s$forbid_break_glass('hub/%/below', 'not in %')$s$],
		['t_%_adm', '', $s$break_glass(claiim.set_skills('%-asleep', '{%-skill}'), 'emergency of %')$s$],
		['t_%_adm', '', $s$set_skills('%-bot', '{%-skill,%-more}')$s$]]
	LOOP
		step := array(SELECT replace(x, '%', o) FROM unnest(step) WITH ORDINALITY AS u (x, n) ORDER BY n);
		IF step[2] = '' THEN
			PERFORM pg_temp.by(step[1], 'SELECT claiim.' || step[3]);
		ELSE
			PERFORM pg_temp.both(step[1], step[2], step[3]);
		END IF;
	END LOOP;
END
$$;
SELECT pg_temp.furnish(o) FROM unnest('{north,south}'::text[]) AS o \g /dev/null
COMMIT;

/* What they did, which Chron knows; and what is nobody's. */
SET SESSION AUTHORIZATION t_north_bot;
SELECT claiim_complete((SELECT chron_id FROM claiim_check('north-bot', 'north:do', 'north/0')), 'succeeded') \g /dev/null
SELECT claiim_request_session('north-bot', '{north:do}', '{north/**}', 'north asks') AS north_session \gset
SELECT chron_id AS north_id FROM claiim_check('north-bot', 'north:do', 'north/1', context => '{"of": "north"}') \gset
SET SESSION AUTHORIZATION t_south_bot;
SELECT claiim_complete((SELECT chron_id FROM claiim_check('south-bot', 'south:do', 'south/0')), 'succeeded') \g /dev/null
SELECT claiim_request_session('south-bot', '{south:do}', '{south/**}', 'south asks') AS south_session \gset
SELECT chron_id AS south_id FROM claiim_check('south-bot', 'south:do', 'south/1', context => '{"of": "south"}') \gset
SELECT chron_id AS nobody_id FROM claiim_check('nobody', 'hub:do', 'hub/1') \gset
RESET SESSION AUTHORIZATION;

/* Names that were made up on the way: current_setting('north.change') */
SELECT set_config(o || '.change', (SELECT c.change FROM claiim.changes c WHERE c.status = 'pending' AND c.org = 'hub/' || o), false),
	set_config(o || '.granted', (SELECT s.session FROM claiim.sessions s WHERE s.status = 'granted' AND s.org = 'hub/' || o), false),
	set_config(o || '.review', (SELECT r.review FROM claiim.reviews r WHERE r.org = 'hub/' || o), false),
	set_config(o || '.token', (SELECT t.token FROM claiim.tokens t WHERE t.agent = o || '-bot'), false)
FROM unnest('{north,south}'::text[]) AS o \g /dev/null
SELECT set_config('north.chron_id', :'north_id', false), set_config('south.chron_id', :'south_id', false),
	set_config('north.session', :'north_session', false), set_config('south.session', :'south_session', false),
	set_config('nobody.chron_id', :'nobody_id', false) \g /dev/null
