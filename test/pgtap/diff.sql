/*
 * diff.sql
 *	  What a change would do, for those who approve it; dry runs; and who may
 *	  see which.
 *
 * Needs a superuser and a cluster that preloads claiim.  All in one
 * transaction, rolled back at the end.
 */
\ir include/refusals.sql

SELECT no_plan();
BEGIN;

CREATE ROLE t_ann LOGIN;
CREATE ROLE t_bob LOGIN;
CREATE ROLE t_aud LOGIN;
CREATE ROLE t_mem LOGIN;
CREATE ROLE t_oa LOGIN;
CREATE ROLE t_ob LOGIN;
CREATE ROLE t_new LOGIN;
GRANT claiim_admin TO t_mem;

/* What the change that is proposed by this would do, as ann reads it. */
CREATE FUNCTION pg_temp.diff_of(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	change text := pg_temp.by('t_ann', statement);
	result text := pg_temp.by('t_bob', format('SELECT diff FROM claiim.pending_changes WHERE change = %L', change));
BEGIN
	PERFORM pg_temp.by('t_ann', format('SELECT claiim.withdraw(%L)', change));
	RETURN result;
END
$$;

CREATE FUNCTION pg_temp.rows_by(role name, query text) RETURNS text
LANGUAGE sql AS $$
	SELECT pg_temp.by(role, format($q$SELECT string_agg(concat_ws(' | ', effect, action, target, exceptions, before, after), E'\n') FROM (%s) AS x$q$, query));
$$;

SELECT claiim.bootstrap('acme', 'ann', 't_ann', 'bob', 't_bob');
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('aud', 't_aud', NULL, 'acme', '{auditor}')$$),
	pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('mem', 't_mem', NULL, 'acme', '{member}')$$),
	pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('oa', 't_oa', NULL, 'acme', '{member}')$$),
	pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('ob', 't_ob', NULL, 'acme', '{member}')$$),
	pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_org('other', NULL, 'oa', 'ob')$$),
	pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_org('acme/eng')$$) \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_skill('deploy', 'actions: ["deploy:**", health:check, infra:apply]', 'acme')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow:\n  - deploy:staging\n  - health:check\n  - infra:apply\n', 'acme')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow:\n  - "deploy:*"\n  - {action: infra:apply, requires: session}\ndeny:\n  - {action: "**", target: vault/**}\n', 'acme')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow:\n  - infra:apply\n  - {action: "deploy:*", requires: session}\n  - {action: health:check, target: "*/status"}\n', 'acme')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_policy('same', E'skill: deploy-v1\ndeny: [deploy:never]\nallow: [infra:apply, health:check, deploy:staging]\n', 'acme')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_policy('base', E'deny: ["deploy:**"]\n', 'acme')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_policy('base', E'allow: ["**"]\ndeny: [deploy:production]\n', 'acme')$$),
	pg_temp.by('t_oa', $$SELECT claiim.publish_policy('foreign', E'allow: ["**"]\n', 'other')$$) \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_agent('bot', 'acme', 'ann', '{deploy}')$$),
	pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_agent('eng-bot', 'acme/eng', 'ann', '{deploy}')$$),
	pg_temp.both('t_oa', 't_ob', $$SELECT claiim.register_agent('other-bot', 'other', 'oa', '{}')$$) \g /dev/null

/* ---- a policy ---- */

SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('bot', 'p-v1')$$),
	E'+ deploy:staging\n+ health:check\n+ infra:apply',
	'a first policy newly allows what it allows');
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.bind_policy('bot', 'p-v1')$$) AS chg \gset
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('bot', 'p-v2')$$),
	E'+ deploy:*, except deploy:* on vault/**, deploy:staging\n- deploy:staging on vault/**\n- health:check\n'
	'~ infra:apply now only inside a session, except infra:apply on vault/**\n- infra:apply on vault/**',
	'another policy: + is newly allowed, - newly denied, ~ needs a session now');
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('bot', 'p-v3')$$),
	E'+ deploy:* inside a session, except deploy:staging\n~ deploy:staging now only inside a session\n- health:check, except health:check on */status',
	'what is newly allowed inside a session only says so');
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('bot', 'same-v1')$$),
	'nothing is newly allowed or newly denied', 'a policy that says the same in other words changes nothing, and that is said');
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.diff_text(%L)', :'chg')),
	E'+ deploy:staging\n+ health:check\n+ infra:apply', 'the diff can be read when the change is in force as well');
SELECT is(pg_temp.rows_by('t_bob', format('SELECT * FROM claiim.change_diff(%L)', :'chg')),
	E'newly allowed | deploy:staging | ** | {} | DENY (no policy is bound to the agent) | ALLOW (allow:3 deploy:staging)\n'
	'newly allowed | health:check | ** | {} | DENY (no policy is bound to the agent) | ALLOW (allow:4 health:check)\n'
	'newly allowed | infra:apply | ** | {} | DENY (no policy is bound to the agent) | ALLOW (allow:5 infra:apply)',
	'change_diff gives it as rows, with the entries that decided before and decide after');
SELECT is(pg_temp.by('t_bob', format('SELECT count(*)::text FROM claiim.change_diff(%L) WHERE agents = ''{bot}'' AND field IS NULL', :'chg')),
	'3', 'each with the agent');

/* ---- what governs as well ---- */

SELECT is(pg_temp.diff_of($$SELECT claiim.set_skills('bot', '{}')$$),
	E'skills: ''deploy'' -> none\n- deploy:staging\n- health:check\n- infra:apply',
	'a skill that is no longer declared takes away what it covered');
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.bind_policy('eng-bot', 'p-v2')$$) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_baseline('acme', 'base-v1')$$),
	E'bot:\n  - deploy:staging\neng-bot:\n  - deploy:*, except ** on vault/**',
	'a baseline changes what the agents of the organization and of those below it may do, each by its own policy');
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_baseline('acme/eng', 'base-v1')$$),
	E'eng-bot:\n  - deploy:*, except ** on vault/**', 'one below does not reach up');
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_baseline('acme', 'base-v2')$$),
	E'eng-bot:\n  - deploy:production, except ** on vault/**', 'agents for whom nothing changes are not named');
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.bind_baseline('acme', 'base-v1')$$) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('eng-bot', 'p-v1')$$),
	E'+ health:check\n~ infra:apply no longer needs a session, except infra:apply on vault/**\n+ infra:apply on vault/**',
	'what a baseline denies before and after is no difference, whatever the policies say');
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_baseline('acme', 'base-v2')$$),
	E'bot:\n  + deploy:staging\neng-bot:\n  + deploy:*, except ** on vault/**, deploy:production',
	'a baseline in place of another is compared with it');
SELECT is(pg_temp.diff_of($$SELECT claiim.unbind_baseline('acme')$$),
	E'bot:\n  + deploy:staging\neng-bot:\n  + deploy:*, except ** on vault/**',
	'and so is none any more');
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.bind_baseline('acme/eng', 'base-v2')$$) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.unbind_baseline('acme')$$),
	E'bot:\n  + deploy:staging\neng-bot:\n  + deploy:*, except ** on vault/**, deploy:production',
	'what another baseline denies remains denied');

/* ---- many agents ---- */

SELECT count(pg_temp.both('t_ann', 't_bob', format($$SELECT claiim.register_agent('n%s', 'acme', 'ann', '{deploy}')$$, i))),
	count(pg_temp.both('t_ann', 't_bob', format($$SELECT claiim.bind_policy('n%s', 'p-v1')$$, i)))
FROM generate_series(10, 16) i \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.unbind_baseline('acme')$$),
	E'bot, n10, n11, n12, n13 and 3 more:\n  + deploy:staging\neng-bot:\n  + deploy:*, except ** on vault/**, deploy:production',
	'agents that are governed alike are one group, of which five are named');
SELECT pg_temp.by('t_ann', $$SELECT claiim.unbind_baseline('acme')$$) AS chg \gset
SELECT is(pg_temp.by('t_bob', format('SELECT agents::text FROM claiim.change_diff(%L) LIMIT 1', :'chg')),
	'{bot,n10,n11,n12,n13,n14,n15,n16}', 'change_diff names all');
SELECT pg_temp.by('t_bob', format($$SELECT claiim.reject(%L, 'test')$$, :'chg')) \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.retire_agent('n16', 'test')$$) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.unbind_baseline('acme')$$),
	E'bot, n10, n11, n12, n13 and 2 more:\n  + deploy:staging\neng-bot:\n  + deploy:*, except ** on vault/**, deploy:production',
	'a retired agent has nothing to gain');
SELECT count(pg_temp.both('t_ann', 't_bob', format($$SELECT claiim.set_skills('n1%s', '{deploy,x%s}')$$, i % 6, i)))
FROM generate_series(0, 5) i \g /dev/null
SELECT count(pg_temp.both('t_ann', 't_bob', format($$SELECT claiim.register_agent('m%s', 'acme', 'ann', '{deploy,m%s}')$$, i, i))),
	count(pg_temp.both('t_ann', 't_bob', format($$SELECT claiim.bind_policy('m%s', 'p-v1')$$, i)))
FROM generate_series(10, 25) i \g /dev/null
SELECT is(regexp_replace(pg_temp.diff_of($$SELECT claiim.unbind_baseline('acme')$$), '^.*\n|chg_\w+', '', 'g'),
	E'... and 4 more agents that were not looked at: SELECT * FROM claiim.change_diff('''')',
	'beyond twenty groups the text counts the agents that it leaves out');
SELECT pg_temp.by('t_ann', $$SELECT claiim.unbind_baseline('acme')$$) AS chg \gset
SELECT is(pg_temp.by('t_bob', format('SELECT count(*) || '' '' || count(DISTINCT agents) FROM claiim.change_diff(%L)', :'chg')),
	'24 24', 'change_diff leaves out none');
SELECT pg_temp.by('t_bob', format($$SELECT claiim.reject(%L, 'test')$$, :'chg')) \g /dev/null

/* ---- much to say ---- */

SELECT pg_temp.by('t_ann', format($$SELECT claiim.publish_policy('big', %L, 'acme')$$,
		E'skill: deploy-v1\nallow:\n  - infra:apply\n' || (SELECT string_agg(format(E'  - deploy:s%s:x\n', i), '') FROM generate_series(1, 60) i))),
	pg_temp.by('t_ann', format($$SELECT claiim.publish_policy('cross', %L, 'acme')$$,
		E'skill: deploy-v1\nallow:\n' || (SELECT string_agg(format(E'  - "deploy:s%s:*"\n', i), '') FROM generate_series(1, 1100) i)
		|| E'deny:\n' || (SELECT string_agg(format(E'  - "deploy:*:t%s"\n', i), '') FROM generate_series(1, 1100) i))) \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.unbind_baseline('acme')$$) \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot', 'big-v1')$$) AS chg \gset
SELECT is(regexp_replace(pg_temp.by('t_bob', format('SELECT claiim.diff_text(%L)', :'chg')), '^.*\n|chg_\w+', '', 'g'),
	E'... and 12 more lines: SELECT * FROM claiim.change_diff('''')', 'beyond fifty lines the text counts the rest');
SELECT is(pg_temp.by('t_bob', format('SELECT count(*)::text FROM claiim.change_diff(%L)', :'chg')), '62', 'which change_diff has');
SELECT pg_temp.by('t_ann', format('SELECT claiim.withdraw(%L)', :'chg')) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('bot', 'cross-v1')$$),
	'! this changes too much to be listed: compare the documents',
	'a difference that is too much to be listed is not listed by halves');
SELECT is(pg_temp.rows_by('t_bob', $$SELECT * FROM claiim.what_if('bot', 'cross-v1')$$),
	'cut off', 'in rows it is one that says so');

/* ---- other kinds ---- */

SELECT is(pg_temp.diff_of($$SELECT claiim.transfer_anchor('bot', 'bob')$$), 'anchor: ann -> bob', 'a new anchor');
SELECT is(pg_temp.diff_of($$SELECT claiim.map_target('app/**', 'acme/eng')$$), 'org: acme/eng', 'a target that was not mapped');
SELECT is(pg_temp.diff_of($$SELECT claiim.map_target('**', 'acme/eng')$$), 'org: acme -> acme/eng', 'one that was');
SELECT is(pg_temp.diff_of($$SELECT claiim.unmap_target('**')$$), 'org: acme -> none', 'one that no longer is');
SELECT is(pg_temp.diff_of($$SELECT claiim.register_human('new', 't_new', 'N. N.', 'acme', '{auditor,member}')$$),
	E'capabilities: ''auditor'', ''member''\nfull_name: N. N.\nrole: t_new', 'a new human');
SELECT is(pg_temp.diff_of($$SELECT claiim.register_agent('new-bot', 'acme', 'bob', '{a,b}', NULL, 'for tests')$$),
	E'anchor: bob\ndescription: for tests\nskills: ''a'', ''b''', 'a new agent: what is not given is not said');
SELECT is(pg_temp.diff_of($$SELECT claiim.retire_agent('bot', 'old')$$), E'reason: old\nstatus: retired', 'a retirement');
SELECT is(pg_temp.diff_of($$SELECT claiim.grant_capability('mem', 'acme', 'auditor')$$), E'capability: auditor\norg: acme', 'a capability that is granted');
SELECT is(pg_temp.diff_of($$SELECT claiim.revoke_capability('aud', 'acme', 'auditor')$$), 'capability: auditor -> none', 'and one that is revoked');
SELECT is(pg_temp.diff_of($$SELECT claiim.set_quorum('acme', 'policy.bind', 1)$$), 'approvals: 1', 'a quorum where there was none of its own');
SELECT pg_temp.by('t_ann', $$SELECT claiim.forbid_break_glass('acme', 'x')$$) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.permit_break_glass('acme')$$), 'break_glass: false -> true', 'break-glass that is permitted again');
INSERT INTO claiim.sessions (session, agent, org, actions, targets, reason, valid_for, requested_by, requested_at)
VALUES ('ses_00000000000000000000000000', 'bot', 'acme', '{deploy:staging}', '{**}', 'x', '1 hour', 'bot', now());
SELECT is(pg_temp.diff_of($$SELECT claiim.grant_session('ses_00000000000000000000000000')$$),
	E'actions: ''deploy:staging''\nreason: x\nrequested_by: bot\nsession: ses_00000000000000000000000000\ntargets: ''**''\nvalid_for: 3600 seconds',
	'a session that was asked for');
SELECT pg_temp.by('t_ann', $$SELECT claiim.suspend_agent('bot', 'x')$$) \g /dev/null
SELECT is(pg_temp.diff_of($$SELECT claiim.resume_agent('bot', 'fixed')$$), E'reason: fixed\nstatus: suspended -> active', 'a resumed agent');
SELECT is(pg_temp.diff_of($$SELECT claiim.bind_policy('bot', 'p-v3')$$),
	E'+ deploy:* inside a session, except deploy:staging\n~ deploy:staging now only inside a session\n- health:check, except health:check on */status',
	'a suspended agent''s policy is compared as if it were active, which it may be again');

/* ---- dry runs ---- */

SELECT count(*) AS before FROM claiim.changes \gset
SELECT count(*) AS acts FROM claiim.outbox \gset
SELECT is(pg_temp.rows_by('t_ann', $$SELECT * FROM claiim.what_if('bot', 'p-v3')$$),
	E'newly allowed | deploy:* | ** | {deploy:staging} | DENY (action not in allow list) | ALLOW inside a session (allow:4 deploy:*)\n'
	'changed | deploy:staging | ** | {} | ALLOW (allow:3 deploy:staging) | ALLOW inside a session (allow:4 deploy:*)\n'
	'newly denied | health:check | ** | {"health:check on */status"} | ALLOW (allow:4 health:check) | DENY (target not in allow list)',
	'what_if is the diff of a binding that nobody has proposed');
SELECT is(pg_temp.rows_by('t_bob', $$SELECT * FROM claiim.what_if('bot', 'same-v1')$$), NULL, 'an approver may ask as well; no row is no difference');
SELECT is(pg_temp.rows_by('t_ann', $$SELECT * FROM claiim.what_if_baseline('acme/eng', NULL)$$),
	'newly allowed | deploy:production | ** | {"** on vault/**"} | DENY (base-v2:deny:2 deploy:production) | ALLOW (allow:3 deploy:*)',
	'what_if_baseline the one of a baseline, or of none');
SELECT is(pg_temp.by('t_ann', $$SELECT agents::text FROM claiim.what_if_baseline('acme', 'base-v1') ORDER BY 1 LIMIT 1$$), '{bot}', 'with the agents whom it concerns');
SELECT is((SELECT count(*) FROM claiim.changes), :before::bigint, 'nothing was proposed');
SELECT is((SELECT count(*) FROM claiim.outbox), :acts::bigint, 'and nothing recorded');
SELECT alike(pg_temp.error_by('t_ann', $$SELECT claiim.what_if('bot', 'p-v1')$$), '42710 |%already bound%', 'a dry run refuses what would be refused');
SELECT alike(pg_temp.error_by('t_ann', $$SELECT claiim.what_if('bot', 'base-v1')$$), '22023 |%', 'for the same reasons');
SELECT is(pg_temp.error_by('t_ann', $$SELECT claiim.what_if('bot', 'foreign-v1')$$),
	replace(pg_temp.error_by('t_ann', $$SELECT claiim.what_if('bot', 'missing-v1')$$), 'missing', 'foreign'),
	'and tells another organization''s policy not from none');
SELECT alike(pg_temp.error_by('t_ann', $$SELECT claiim.what_if_baseline('other', NULL)$$), '42501 |%', 'not for another organization');

/* ---- who may see it ---- */

SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot', 'p-v2')$$) AS chg \gset
SELECT pg_temp.by('t_oa', $$SELECT claiim.retire_agent('other-bot', 'x')$$) AS foreign \gset
SELECT ok(pg_temp.by(r, format('SELECT count(*)::text FROM claiim.change_diff(%L)', :'chg'))::int > 0
	AND pg_temp.by(r, format('SELECT claiim.diff_text(%L)', :'chg')) LIKE '+ %', format('%s sees what a change does', r))
FROM unnest('{t_ann,t_bob,t_aud}'::name[]) r;
SELECT alike(pg_temp.error_by('t_mem', format('SELECT claiim.change_diff(%L)', :'chg')), '42501 |%', 'a member does not');
SELECT is(pg_temp.by('t_mem', format('SELECT claiim.diff_text(%L)', :'chg')), NULL, 'not as text either');
SELECT is(pg_temp.error_by('t_ob', format('SELECT claiim.change_diff(%L)', :'chg')),
	replace(pg_temp.error_by('t_ob', $$SELECT claiim.change_diff('chg_00000000000000000000000000')$$), 'chg_00000000000000000000000000', :'chg'),
	'another organization''s change is told as one that does not exist');
SELECT is(pg_temp.by('t_ob', format('SELECT claiim.diff_text(%L)', :'chg')), NULL, 'and has no text');
SELECT is(pg_temp.by('t_ob', 'SELECT string_agg(diff, '' '') FROM claiim.pending_changes'), E'reason: x\nstatus: retired', 'pending_changes has the diffs of what one sees');
SELECT is(pg_temp.by('t_bob', format('SELECT diff FROM claiim.pending_changes WHERE change = %L', :'foreign')), NULL, 'and no others');
SELECT is(pg_temp.error_by('t_ob', $$SELECT claiim.what_if('bot', 'p-v3')$$),
	replace(pg_temp.error_by('t_ob', $$SELECT claiim.what_if('nobot', 'p-v3')$$), 'nobot', 'bot'),
	'a dry run tells another organization''s agent not from none');
SELECT alike(pg_temp.error_by('t_mem', $$SELECT claiim.what_if('bot', 'p-v3')$$), '42501 |%', 'nor is it for a member');
SELECT alike(pg_temp.error_by('t_aud', $$SELECT claiim.what_if('bot', 'p-v3')$$), '42501 |%', 'nor for an auditor, who proposes nothing');
SELECT alike(pg_temp.error_by('t_ann', 'SELECT claiim.change_diff(NULL)'), '22004 |%', 'a change has to be given');
SELECT throws_ok($$SELECT claiim._policy_diff(NULL, NULL, '{}', '{}', NULL, '{}')$$, '22004', NULL, 'skills must not be null');
SELECT throws_ok($$SELECT claiim._policy_diff('{}', 'no-v1', '{}', '{}', NULL, '{}')$$, '42704', 'policy version "no-v1" does not exist', 'a version has to exist');
SELECT throws_ok($$SELECT claiim._policy_diff('{}', NULL, '{NULL}', '{}', NULL, '{}')$$, '22004', NULL, 'and a baseline a name');

SELECT * FROM finish();
ROLLBACK;
