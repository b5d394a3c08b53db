/*
 * governance.sql
 *	  Who may do what, and everything that is refused, one by one.
 *
 * Needs a superuser and a cluster that preloads claiim and has a token
 * secret.  All in one transaction, rolled back at the end: governance acts
 * may share one.  (The gate refuses to decide inside such a transaction, so
 * it is not asked here; nor is anything committed that Chron could hold.)
 */
\ir include/refusals.sql

SELECT no_plan();

BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT throws_ok('SELECT claiim.expire_changes()', '25000',
	'governance needs the isolation level READ COMMITTED, not REPEATABLE READ',
	'an older snapshot does not govern');
COMMIT;

BEGIN;

CREATE ROLE t_ann LOGIN;
CREATE ROLE t_bob LOGIN;
CREATE ROLE t_carl LOGIN;
CREATE ROLE t_dora LOGIN;
CREATE ROLE t_eve LOGIN;
CREATE ROLE t_fred LOGIN;
CREATE ROLE t_gus LOGIN;
CREATE ROLE t_nobody LOGIN;
CREATE ROLE t_bot LOGIN;
CREATE ROLE t_bot2 LOGIN;
CREATE ROLE t_group NOLOGIN;
CREATE ROLE t_super LOGIN SUPERUSER;
CREATE ROLE t_hidden_super LOGIN IN ROLE t_super;
CREATE ROLE t_maker LOGIN CREATEROLE;
CREATE ROLE t_files LOGIN IN ROLE pg_read_server_files;
/* Also those who were granted the group by mistake must be refused. */
GRANT claiim_admin, claiim_auditor TO t_nobody, t_bot;

/* The detail of a statement's error, or NULL. */
CREATE FUNCTION pg_temp.detail_by(role name, statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM pg_temp.by(role, statement);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END
$$;

/* ---- bootstrap ---- */

SELECT is(pg_temp.error_by('t_nobody', $$SELECT claiim.publish_skill('deploy','actions: [a]','acme')$$),
	'42501 | role "t_nobody" is not the role of a registered human | Nobody is registered in this database yet: a superuser begins with claiim.bootstrap().',
	'before it governance says how to begin');
SELECT is(pg_temp.error_by('t_ann', $$SELECT claiim.bootstrap('acme','ann','t_ann','bob','t_bob')$$) LIKE '42501 | permission denied%',
	true, 'bootstrap is for the owner, not for any role');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann','t_ann','ann','t_bob')$$, '22023', NULL,
	'bootstrap refuses one human twice');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann','t_ann','bob','t_ann')$$, '22023', NULL,
	'bootstrap refuses one role for two humans');
SELECT throws_ok($$SELECT claiim.bootstrap('acme/x','ann','t_ann','bob','t_bob')$$, '22023', NULL,
	'bootstrap refuses a founding organization below another');
SELECT throws_ok($$SELECT claiim.bootstrap('Acme','ann','t_ann','bob','t_bob')$$, '22023',
	'"Acme" is not a valid organization name', 'bootstrap refuses a malformed organization name');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','a,b','t_ann','bob','t_bob')$$, '22023',
	'"a,b" is not a valid human name', 'bootstrap refuses a human''s name with a comma');
SELECT throws_ok($$SELECT claiim.bootstrap(NULL,'ann','t_ann','bob','t_bob')$$, '22004',
	'organization must not be null', 'bootstrap refuses NULL');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann',NULL,'bob','t_bob')$$, '22004',
	'role must not be null', 'bootstrap refuses a NULL role');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann','t_none','bob','t_bob')$$, '42704',
	'role "t_none" does not exist', 'bootstrap refuses a role that does not exist');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann','t_group','bob','t_bob')$$, '22023',
	'role "t_group" cannot log in', 'bootstrap refuses a role that cannot log in');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann','t_super','bob','t_bob')$$, '22023',
	'role "t_super" is too powerful to be the role of a human or an agent', 'bootstrap refuses a superuser');
SELECT throws_ok($$SELECT claiim.bootstrap('acme','ann','t_hidden_super','bob','t_bob')$$, '22023',
	'role "t_hidden_super" is too powerful to be the role of a human or an agent', 'bootstrap refuses a member of a superuser role');
SELECT is((SELECT count(*) FROM claiim.orgs), 0::bigint, 'what was refused left nothing');
SELECT lives_ok($$SELECT claiim.bootstrap('acme','ann','t_ann','bob','t_bob')$$,
	'bootstrap sets up the founding organization and two humans');
SELECT throws_ok($$SELECT claiim.bootstrap('again','ann2','t_carl','bob2','t_dora')$$, '55000',
	'claiim is already set up in this database', 'bootstrap works once');
SELECT results_eq($$SELECT human, capability FROM claiim.memberships WHERE org = 'acme' ORDER BY 1, 2$$,
	$$VALUES ('ann','admin'),('ann','approver'),('ann','auditor'),('bob','admin'),('bob','approver'),('bob','auditor')$$,
	'both first humans are admin, approver and auditor');
SELECT results_eq('SELECT pattern, org FROM claiim.targets', $$VALUES ('**','acme')$$,
	'all targets belong to the founding organization at first');
SELECT ok(pg_has_role('t_ann','claiim_admin','MEMBER') AND pg_has_role('t_bob','claiim_auditor','MEMBER'),
	'the first humans'' roles are in the group roles');
SELECT is(pg_temp.new_acts(), 'bootstrap by on acme in acme', 'bootstrap is an act');

/* ---- who is calling ---- */

SELECT pg_temp.refused('t_nobody', $$SELECT claiim.suspend_org('acme','x')$$, '42501',
	'role "t_nobody" is not the role of a registered human', 'a role that is no human''s can do nothing');
SELECT is(pg_temp.error_by('t_gus', $$SELECT claiim.suspend_org('acme','x')$$) LIKE '42501 | permission denied for schema claiim%',
	true, 'a role outside of the groups cannot even look into the schema');
GRANT t_ann TO t_nobody;
SELECT pg_temp.refused('t_nobody', $$SELECT claiim.suspend_org('acme','x')$$, '42501',
	'role "t_nobody" is not the role of a registered human', 'a member of a human''s role is not that human');
SET LOCAL SESSION AUTHORIZATION t_nobody;
SET LOCAL ROLE t_ann;
SELECT throws_ok($$SELECT claiim.suspend_org('acme','x')$$, '42501',
	'role "t_nobody" is not the role of a registered human', 'SET ROLE does not make one human another');
RESET ROLE;
RESET SESSION AUTHORIZATION;
REVOKE t_ann FROM t_nobody;
CREATE FUNCTION public.t_trap() RETURNS void LANGUAGE sql SECURITY DEFINER
AS $$ SELECT claiim.suspend_org('acme', 'x') $$;
GRANT CREATE ON SCHEMA public TO t_ann;
ALTER FUNCTION public.t_trap() OWNER TO t_ann;
SELECT pg_temp.refused('t_nobody', 'SELECT public.t_trap()', '42501',
	'role "t_nobody" is not the role of a registered human',
	'a SECURITY DEFINER function of a human does not act as that human');

/* ---- organizations and humans ---- */

SELECT pg_temp.by('t_ann', $$SELECT claiim.register_human('carl','t_carl','Carl Controller','acme','{auditor}')$$) AS chg \gset
SELECT ok(:'chg' ~ '^chg_[0-9a-z]{26}$', 'a proposal returns a change''s identifier');
SELECT is((SELECT count(*) FROM claiim.humans WHERE human = 'carl'), 0::bigint, 'a proposal alone changes nothing');
SELECT is(pg_temp.new_acts(), 'change.propose by ann on carl in acme', 'a proposal is an act');
SELECT is(pg_temp.detail('change.propose') ->> 'digest',
	(SELECT encode(digest, 'hex') FROM claiim.changes WHERE change = :'chg'), 'the act of a proposal holds its digest');
SELECT is((SELECT digest FROM claiim.changes WHERE change = :'chg'),
	(SELECT sha256(convert_to(concat_ws(E'\n', change, kind, org, subject, proposed_by, payload::text), 'UTF8'))
	 FROM claiim.changes WHERE change = :'chg'), 'the digest is what its column''s comment says');
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'),
	'register human ''carl'' (full name ''Carl Controller''), role ''t_carl'', in ''acme'' with the capabilities: ''auditor''', 'a change says as a sentence what it will do');
SELECT is((SELECT expires_at - proposed_at FROM claiim.changes WHERE change = :'chg'), interval '7 days', 'a change can be approved for 7 days');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.approve(%L)', :'chg'), '42501',
	format('change %s cannot be approved by its proposer', :'chg'), 'the proposer cannot approve');
SELECT is(split_part(pg_temp.error_by('t_ann', format('SELECT claiim.approve(%L)', :'chg')), ' | ', 3),
	'A second human with the approver capability in organization "acme" must approve it.', 'and is told who can');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.reject(%L, ''no'')', :'chg'), '42501',
	format('change %s cannot be rejected by its proposer', :'chg'), 'the proposer cannot reject');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.withdraw(%L)', :'chg'), '42501',
	format('change %s can be withdrawn by its proposer only', :'chg'), 'nobody but the proposer can withdraw');
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'chg')), 'applied', 'the second human''s approval takes effect');
SELECT is(pg_temp.new_acts(), 'change.approve by bob on carl in acme; human.register by bob on carl in acme',
	'an approval is an act, and so is its effect');
SELECT is(pg_temp.detail('human.register') ->> 'proposed_by', 'ann', 'the effect names who proposed');
SELECT is(pg_temp.detail('human.register') -> 'approved_by', '["bob"]', 'the effect names who approved');
SELECT is(pg_temp.detail('change.approve') ->> 'digest',
	(SELECT encode(digest, 'hex') FROM claiim.changes WHERE change = :'chg'), 'the act of an approval holds the digest of what was approved');
SELECT results_eq(format('SELECT human FROM claiim.approvals WHERE change = %L', :'chg'), $$VALUES ('bob')$$, 'the approval is kept');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '55000',
	format('change %s is no longer pending: it was applied', :'chg'), 'nobody approves twice');
SELECT is(pg_temp.detail_by('t_bob', format('SELECT claiim.approve(%L)', :'chg')),
	(SELECT format('Human "bob" approved it at %s.', decided_at) FROM claiim.changes WHERE change = :'chg'), 'and is told who did, and when');
SELECT ok(pg_has_role('t_carl','claiim_auditor','MEMBER') AND NOT pg_has_role('t_carl','claiim_admin','MEMBER'),
	'an auditor''s role gets the auditors'' group alone');

SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('carl','t_gus',NULL,'acme','{}')$$, '42710',
	'human "carl" is already registered', 'a human is registered once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('carl2','t_carl',NULL,'acme','{}')$$, '42710',
	'role "t_carl" is already bound', 'a role is one human''s');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_super',NULL,'acme','{}')$$, '22023',
	'role "t_super" is too powerful to be the role of a human or an agent', 'a human''s role is no superuser');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_hidden_super',NULL,'acme','{}')$$, '22023', NULL,
	'nor a member of one');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_maker',NULL,'acme','{}')$$, '22023', NULL,
	'nor one that can create roles, and so log in as another');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_files',NULL,'acme','{}')$$, '22023', NULL,
	'nor one that can read the server''s files, and so the token secret');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_group',NULL,'acme','{}')$$, '22023',
	'role "t_group" cannot log in', 'a human''s role can log in');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_none',NULL,'acme','{}')$$, '42704',
	'role "t_none" does not exist', 'a human''s role exists');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_gus',NULL,'acme','{king}')$$, '22023',
	'"king" is not a capability', 'capabilities are the four that there are');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_gus',E'a\nb','acme','{}')$$, '22023', NULL,
	'a full name has no control characters');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human(NULL,'t_gus',NULL,'acme','{}')$$, '22004', NULL, 'a human has a name');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_gus',NULL,NULL,'{}')$$, '22004',
	'organization must not be null', 'and an organization');

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('gus','t_gus',NULL,'acme','{}')$$);
SELECT results_eq($$SELECT org, capability FROM claiim.memberships WHERE human = 'gus'$$, $$VALUES ('acme','member')$$,
	'without capabilities a human is a member');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('eve','t_eve',NULL,'acme','{member}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('fred','t_fred',NULL,'acme',NULL)$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('other','Other','eve','eve')$$, '22023',
	'organization "other" needs an admin and another human as approver', 'an organization begins with two humans');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('other','Other')$$, '22023', NULL,
	'a top-level organization cannot begin without');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('other','Other','eve','zoe')$$, '42704',
	'there is no active human "zoe"', 'they are registered');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('acme')$$, '42710', 'organization "acme" already exists',
	'an organization is registered once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('acme/a/b')$$, '42704', 'organization "acme/a" does not exist',
	'the organization above exists');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('acme//b')$$, '22023', '"acme//b" is not a valid organization name',
	'a path has no empty part');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_org('acme/..')$$, '22023', NULL, 'nor dots alone');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('other','Another company','eve','fred')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('acme/finance','Finance')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('acmex',NULL,'eve','fred')$$);
SELECT results_eq('SELECT org FROM claiim.orgs ORDER BY 1', $$VALUES ('acme'),('acme/finance'),('acmex'),('other')$$,
	'organizations were registered');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.register_org('third',NULL,'eve','fred')$$, '42501',
	'human "eve" does not hold the admin capability in organization "acme"',
	'only the founding organization''s admins register top-level organizations');
SELECT ok(pg_has_role('t_eve','claiim_admin','MEMBER'), 'a new organization''s admin is in the admins'' group');

/* ---- capabilities ---- */

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('dora','t_dora','Dora Finance','acme/finance','{approver}')$$);
SELECT pg_temp.refused('t_dora', $$SELECT claiim.publish_skill('x','actions: [a:b]','acme/finance')$$, '42501',
	'human "dora" does not hold the admin capability in organization "acme/finance"', 'an approver is no admin');
SELECT lives_ok($$SELECT pg_temp.by('t_ann', 'SELECT claiim.suspend_org(''acme/finance'',''audit'')')$$,
	'a capability covers the organizations below');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_org('acmex','x')$$, '42501',
	'human "ann" does not hold the admin capability in organization "acmex"', 'but not one whose name merely begins alike');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_org('acme/finance','again')$$, '55000',
	'organization "acme/finance" is already suspended', 'an organization is suspended once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_org('other',NULL)$$, '42501', NULL, 'not another''s');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.suspend_org('acme/finance','x')$$), 'acme/finance', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.suspend_org('acme/nowhere','x')$$), 'acme/nowhere', '?'),
	'an error does not tell whether another organization exists');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.register_org('acme/finance')$$), 'acme/finance', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.register_org('acme/nowhere')$$), 'acme/nowhere', '?'),
	'nor does trying to register it');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.bind_baseline('acme/finance','x-v1')$$), 'acme/finance', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.bind_baseline('acme/nowhere','x-v1')$$), 'acme/nowhere', '?'),
	'nor does binding a baseline to it');
SELECT is(split_part(pg_temp.error_by('t_eve', $$SELECT claiim.suspend_org('acme/finance','x')$$), ' | ', 3),
	'Either there is no such organization, or another human with admin there has to do it.', 'but what can be the matter');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_org('acme/nowhere','x')$$, '42704',
	'organization "acme/nowhere" does not exist', 'who rules above it is told');
SELECT is(split_part(pg_temp.error_by('t_ann', $$SELECT claiim.suspend_org('acme/nowhere','x')$$), ' | ', 3),
	'Register it first: claiim.register_org().', 'and what to do');

SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_org('acme/finance')$$) AS chg \gset
SELECT pg_temp.refused('t_carl', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL,
	'an auditor cannot approve: the function is not granted');
SELECT pg_temp.refused('t_fred', format('SELECT claiim.approve(%L)', :'chg'), '42501',
	format('there is no change "%s" that human "fred" can approve', :'chg'), 'another organization''s approver cannot approve');
SELECT is(replace(pg_temp.error_by('t_fred', format('SELECT claiim.approve(%L)', :'chg')), :'chg', '?'),
	replace(pg_temp.error_by('t_fred', 'SELECT claiim.approve(''chg_00000000000000000000000000'')'), 'chg_00000000000000000000000000', '?'),
	'and is not told whether the change exists');
SELECT is(replace(pg_temp.error_by('t_fred', format('SELECT claiim.reject(%L,''x'')', :'chg')), :'chg', '?'),
	replace(pg_temp.error_by('t_fred', 'SELECT claiim.reject(''chg_00000000000000000000000000'',''x'')'), 'chg_00000000000000000000000000', '?'),
	'neither by rejecting');
SELECT is(replace(pg_temp.error_by('t_fred', format('SELECT claiim.withdraw(%L)', :'chg')), :'chg', '?'),
	replace(pg_temp.error_by('t_fred', 'SELECT claiim.withdraw(''chg_00000000000000000000000000'')'), 'chg_00000000000000000000000000', '?'),
	'nor by withdrawing');
SELECT is(split_part(pg_temp.error_by('t_fred', format('SELECT claiim.approve(%L)', :'chg')), ' | ', 3),
	'Either there is no such change, or you do not hold the approver capability in its organization.', 'but what approving takes');
SELECT is(split_part(pg_temp.error_by('t_fred', format('SELECT claiim.withdraw(%L)', :'chg')), ' | ', 3),
	'Either there is no such change, or you are not the one who proposed it.', 'and what withdrawing takes');
SELECT pg_temp.refused('t_bob', 'SELECT claiim.approve(NULL)', '22004', 'change must not be null', 'a change is named');
SELECT is(pg_temp.by('t_dora', format('SELECT claiim.approve(%L)', :'chg')), 'applied', 'an approver of that organization can');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.resume_org('acme/finance')$$, '55000',
	'organization "acme/finance" is not suspended', 'only what is suspended is resumed');

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('dora','acme','member')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('dora','acme','member')$$, '42710',
	'human "dora" already holds the member capability in organization "acme"', 'a capability is granted once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('zoe','acme','member')$$, '42704',
	'there is no active human "zoe"', 'a capability is granted to a registered human');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('dora','acme','god')$$, '22023',
	'"god" is not a capability', 'what is granted is a capability');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('dora','acme',NULL)$$, '22023', 'null is not a capability', 'NULL is none');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.grant_capability('eve','acme','admin')$$, '42501',
	'human "eve" does not hold the admin capability in organization "acme"', 'an admin grants in the own organization only');
SELECT pg_temp.refused('t_dora', $$SELECT claiim.grant_capability('dora','acme/finance','admin')$$, '42501', NULL,
	'an approver cannot propose');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.revoke_capability('dora','acme/finance','admin')$$, '42704',
	'human "dora" does not hold the admin capability in organization "acme/finance" itself', 'what is revoked was held');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.revoke_capability('dora','acme','member')$$);
SELECT results_eq($$SELECT org, capability FROM claiim.memberships WHERE human = 'dora'$$, $$VALUES ('acme/finance','approver')$$,
	'a revoked capability is gone');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.revoke_capability('fred','other','approver')$$, '55000',
	'organization "other" would be left without an admin and another approver',
	'the second of two persons cannot be taken from a top-level organization');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('bob','gone')$$, '55000',
	'organization "acme" would be left without an admin and another approver',
	'nor be deactivated');
/* ---- skills and policies ---- */

SELECT pg_temp.new_acts() \g /dev/null
SELECT is(pg_temp.by('t_ann', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - deploy:staging\n  - deploy:rollback-staging\n', 'acme')$$),
	'deploy-v1', 'publishing a skill returns its version''s name');
SELECT is(pg_temp.new_acts(), 'skill.publish by ann on deploy-v1 in acme', 'publishing is an act');
SELECT is(pg_temp.detail('skill.publish') ->> 'sha256',
	(SELECT encode(sha256(convert_to(source, 'UTF8')), 'hex') FROM claiim.skill_versions WHERE name = 'deploy-v1'),
	'with the SHA-256 of the source');
SELECT is(pg_temp.by('t_ann', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - deploy:staging\n  - deploy:rollback-staging\n', 'acme')$$),
	'deploy-v1', 'publishing the same source again returns the version that has it');
SELECT is(pg_temp.new_acts(), NULL, 'and writes nothing');
SELECT is(pg_temp.by('t_bob', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - deploy:*\n  - health:check\n', 'acme')$$),
	'deploy-v2', 'another source is the next version');
SELECT is(pg_temp.by('t_bob', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - deploy:staging\n  - deploy:rollback-staging\n', 'acme')$$),
	'deploy-v3', 'also one that an older version had');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill('deploy-v1', E'actions:\n  - a:b\n', 'acme')$$, '22023',
	'"deploy-v1" is not a valid skill name', 'a skill''s name does not look like a version');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill('Deploy', E'actions:\n  - a:b\n', 'acme')$$, '22023', NULL, 'is lowercase');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill('', E'actions:\n  - a:b\n', 'acme')$$, '22023', NULL, 'not empty');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill(repeat('a', 101), E'actions:\n  - a:b\n', 'acme')$$, '22023', NULL, 'nor longer than 100 bytes');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill('bad', 'nothing', 'acme')$$, '22023', NULL, 'a skill is a skill document');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill('bad', NULL, 'acme')$$, '22004', 'source must not be null', 'not NULL');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - a:b\n', 'acme')$$, '42501',
	'human "eve" does not hold the admin capability in organization "acme"', 'another organization''s admin cannot publish here');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - a:b\n', 'other')$$, '42710',
	'the skill name "deploy" is taken', 'nor publish versions of a skill of here');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_skill('deploy', E'actions:\n  - a:b\n', 'acme/finance')$$, '42710',
	'the skill name "deploy" is taken', 'a skill does not change its organization');

SELECT is(pg_temp.by('t_ann', $$SELECT claiim.publish_policy('no-prod', E'skill: deploy-v2\nallow:\n  - deploy:staging\ndeny:\n  - deploy:production\n', 'acme')$$),
	'no-prod-v1', 'publishing a policy returns its version''s name');
SELECT is(pg_temp.detail('policy.publish') -> 'skills', '["deploy-v2"]', 'and records the skill versions that it uses');
SELECT is(pg_temp.by('t_ann', $$SELECT claiim.publish_policy('no-prod', E'skill: deploy-v2\nallow:\n  - deploy:staging\ndeny:\n  - deploy:production\n', 'acme')$$),
	'no-prod-v1', 'publishing the same policy again returns the version that has it');
SELECT is(pg_temp.by('t_ann', $$SELECT claiim.publish_policy('no-prod', E'skill: deploy-v2\nallow:\n  - deploy:staging\n  - health:check\n', 'acme')$$),
	'no-prod-v2', 'another source is the next version');
SELECT is((SELECT count(*) FROM claiim.bindings), 0::bigint, 'publishing binds nothing');
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('base', E'deny:\n  - infra:**\n', 'acme')$$);
SELECT pg_temp.by('t_eve', $$SELECT claiim.publish_skill('foreign', E'actions:\n  - a:b\n', 'other')$$);
SELECT pg_temp.by('t_eve', $$SELECT claiim.publish_policy('foreign-pol', E'skill: foreign-v1\nallow:\n  - a:b\n', 'other')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('fin', E'skill: deploy-v2\nallow:\n  - deploy:staging\n', 'acme/finance')$$);
SELECT pass('a policy may use a skill of an organization above');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_policy('spy', E'skill: foreign-v1\nallow:\n  - a:b\n', 'acme')$$, '22023', NULL,
	'a policy cannot use another organization''s skill');
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_skill('ledger', E'actions:\n  - a:b\n', 'acme/finance')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_policy('up', E'skill: ledger-v1\nallow:\n  - a:b\n', 'acme')$$, '22023', NULL,
	'nor one of an organization below');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_policy('bad', 'nonsense', 'acme')$$, '22023', NULL, 'a policy is a policy document');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_policy('bad', NULL, 'acme')$$, '22004', NULL, 'not NULL');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.publish_policy('p-v1', E'deny:\n  - a:b\n', 'acme')$$, '22023',
	'"p-v1" is not a valid policy name', 'a policy''s name does not look like a version');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.publish_policy('no-prod', E'deny:\n  - a:b\n', 'other')$$, '42710',
	'the policy name "no-prod" is taken', 'another organization''s admin cannot publish versions of it');

/* ---- agents and anchors ---- */

SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy bot','acme','ann','{deploy}')$$, '22023',
	'"deploy bot" is not a valid agent name', 'an agent''s name has no space');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','zoe','{deploy}')$$, '42704',
	'there is no active human "zoe" in organization "acme" or above it', 'an anchor is a registered human');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme',NULL,'{deploy}')$$, '22004',
	'anchor must not be null', 'an agent has an anchor');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','dora','{deploy}')$$, '42704',
	'there is no active human "dora" in organization "acme" or above it', 'an anchor is a member of the organization or one above');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann','{deploy-v2}')$$, '22023',
	'"deploy-v2" is not a valid skill name', 'skills are declared without version');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann','{deploy,deploy}')$$, '22023',
	'a skill is declared twice', 'once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann',NULL)$$, '22004',
	'skills must not be null', 'and not by NULL');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann','{deploy}','t_ann')$$, '42710',
	'role "t_ann" is already bound', 'an agent''s role is no human''s');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann','{deploy}','t_super')$$, '22023', NULL,
	'an agent''s role is no superuser');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann','{deploy}','t_group')$$, '22023', NULL,
	'an agent''s role can log in');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','other','eve','{deploy}')$$, '42501',
	'human "ann" does not hold the admin capability in organization "other"', 'an agent is registered by an admin of its organization');
SELECT pg_temp.by('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','gus','{deploy}','t_bot','Deploys')$$) AS chg \gset
SELECT is((SELECT count(*) FROM claiim.agents), 0::bigint, 'an agent that one human proposed does not exist');
SELECT pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'chg'));
SELECT results_eq($$SELECT agent, org, skills, role_name, status, description FROM claiim.agents$$,
	$$VALUES ('deploy-bot','acme','{deploy}'::text[],'t_bot'::name,'active','Deploys')$$, 'two register an agent');
SELECT results_eq($$SELECT human FROM claiim.anchors WHERE agent = 'deploy-bot' AND valid_until IS NULL$$, $$VALUES ('gus')$$, 'with its anchor');
SELECT ok(pg_has_role('t_bot','claiim_agent','MEMBER'), 'its role may ask the gate');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('deploy-bot','acme','ann','{}')$$, '42710',
	'the agent name "deploy-bot" is taken', 'an agent''s name is its own');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.register_agent('deploy-bot','other','eve','{}')$$, '42710', NULL, 'also across organizations');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_human('x','t_bot',NULL,'acme','{}')$$, '42710',
	'role "t_bot" is already bound', 'a human''s role is no agent''s');
SELECT pg_temp.refused('t_bot', $$SELECT claiim.suspend_agent('deploy-bot','x')$$, '42501',
	'role "t_bot" is not the role of a registered human', 'an agent governs nothing');

SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.suspend_agent('deploy-bot','x')$$), 'deploy-bot', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.suspend_agent('no-bot','x')$$), 'no-bot', '?'),
	'suspend_agent does not tell whether another organization''s agent exists');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.bind_policy('deploy-bot','foreign-pol-v1')$$), 'deploy-bot', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.bind_policy('no-bot','foreign-pol-v1')$$), 'no-bot', '?'), 'nor does bind_policy');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.issue_token('deploy-bot')$$), 'deploy-bot', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.issue_token('no-bot')$$), 'no-bot', '?'), 'nor does issue_token');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.transfer_anchor('deploy-bot','eve')$$), 'deploy-bot', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.transfer_anchor('no-bot','eve')$$), 'no-bot', '?'), 'nor does transfer_anchor');
SELECT is(pg_temp.error_by('t_eve', $$SELECT claiim.retire_agent('deploy-bot','x')$$) LIKE '42501%', true, 'nor can it be retired');
SELECT is(pg_temp.error_by('t_eve', $$SELECT claiim.set_skills('deploy-bot','{}')$$) LIKE '42501%', true, 'or given other skills');
SELECT is(pg_temp.error_by('t_eve', $$SELECT claiim.set_role('deploy-bot','t_bot2')$$) LIKE '42501%', true, 'or another role');

SELECT pg_temp.refused('t_ann', $$SELECT claiim.transfer_anchor('deploy-bot','gus')$$, '42710',
	'human "gus" is already the anchor of agent "deploy-bot"', 'an anchor is transferred to somebody else');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.transfer_anchor('deploy-bot','dora')$$, '42704', NULL, 'to a member');
SELECT pg_temp.by('t_ann', $$SELECT claiim.transfer_anchor('deploy-bot','carl')$$) AS first \gset
SELECT pg_temp.by('t_ann', $$SELECT claiim.transfer_anchor('deploy-bot','bob')$$) AS second \gset
SELECT pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'first'));
SELECT results_eq($$SELECT human, valid_until IS NULL FROM claiim.anchors WHERE agent = 'deploy-bot' ORDER BY valid_from$$,
	$$VALUES ('gus',false),('carl',true)$$, 'a transferred anchor leaves its predecessor in history');
SELECT ok((SELECT a.valid_until = b.valid_from FROM claiim.anchors a, claiim.anchors b WHERE a.human = 'gus' AND b.human = 'carl'),
	'without a gap');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'second'), '55000',
	format('what change %s was based on has changed since it was proposed', :'second'),
	'a change whose base has changed meanwhile cannot be approved');
SELECT is((SELECT status FROM claiim.changes WHERE change = :'second'), 'pending', 'and stays pending');
SELECT pg_temp.by('t_ann', format('SELECT claiim.withdraw(%L)', :'second'));
SELECT is((SELECT status FROM claiim.changes WHERE change = :'second'), 'withdrawn', 'its proposer can withdraw it');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'second'), '55000',
	format('change %s is no longer pending: it was withdrawn', :'second'), 'what is withdrawn cannot be approved');
SELECT is(pg_temp.detail_by('t_bob', format('SELECT claiim.approve(%L)', :'second')),
	(SELECT format('Human "ann" withdrew it at %s.', decided_at) FROM claiim.changes WHERE change = :'second'), 'and by whom it was is said');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.withdraw(%L)', :'second'), '55000', NULL, 'nor withdrawn again');

UPDATE claiim.anchors SET valid_from = clock_timestamp() + interval '1 hour' WHERE agent = 'deploy-bot' AND valid_until IS NULL;
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.transfer_anchor('deploy-bot','bob')$$);
SELECT is((SELECT human FROM claiim.anchors WHERE agent = 'deploy-bot' AND valid_until IS NULL), 'bob', 'a clock that has been set back keeps no anchor');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.transfer_anchor('deploy-bot','carl')$$);
SELECT is((SELECT count(DISTINCT valid_from) FROM claiim.anchors WHERE agent = 'deploy-bot'), 4::bigint, 'and each has a time of its own');

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_role('deploy-bot', NULL)$$);
SELECT is((SELECT role_name FROM claiim.agents WHERE agent = 'deploy-bot'), NULL, 'an agent''s role can be taken');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_role('deploy-bot', NULL)$$, '55000', 'agent "deploy-bot" has no role', 'if it has one');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_role('deploy-bot', 't_bot2')$$);
SELECT is((SELECT role_name FROM claiim.agents WHERE agent = 'deploy-bot'), 't_bot2'::name, 'and given');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_role('deploy-bot', 't_bob')$$, '42710', 'role "t_bob" is already bound', 'but not a human''s');

/* ---- binding ---- */

SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_policy('deploy-bot','base-v1')$$, '22023',
	'policy version "base-v1" cannot be bound to an agent', 'a policy without skills cannot be bound to an agent');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_policy('deploy-bot','no-prod-v9')$$, '42704',
	'there is no policy version "no-prod-v9" in organization "acme" or above it', 'nor a version that was not published');
SELECT is(replace(pg_temp.error_by('t_ann', $$SELECT claiim.bind_policy('deploy-bot','foreign-pol-v1')$$), 'foreign-pol-v1', '?'),
	replace(pg_temp.error_by('t_ann', $$SELECT claiim.bind_policy('deploy-bot','nothing-v1')$$), 'nothing-v1', '?'),
	'nor another organization''s, without telling that it exists');
SELECT is(replace(pg_temp.error_by('t_ann', $$SELECT claiim.bind_policy('deploy-bot','foreign-pol')$$), 'foreign-pol', '?'),
	replace(pg_temp.error_by('t_ann', $$SELECT claiim.bind_policy('deploy-bot','nothing')$$), 'nothing', '?'),
	'not by naming its versions either');
SELECT is(split_part(pg_temp.error_by('t_ann', $$SELECT claiim.bind_policy('deploy-bot','no-prod')$$), ' | ', 3),
	'Published, the newest first: no-prod-v2, no-prod-v1.', 'who forgets the version is told which there are');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_policy('deploy-bot','fin-v1')$$, '42704', NULL, 'nor one of an organization below');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_policy('deploy-bot',NULL)$$, '22004', NULL, 'nor NULL');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_skills('deploy-bot','{review}')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_policy('deploy-bot','no-prod-v1')$$, '22023',
	'agent "deploy-bot" does not declare skill "deploy"', 'every skill of a policy must be declared by the agent');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_skills('deploy-bot','{deploy,review}')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('deploy-bot','no-prod-v1')$$) AS chg \gset
SELECT is((SELECT count(*) FROM claiim.bindings), 0::bigint, 'a proposed policy is not bound');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('deploy-bot','{review}')$$) AS other \gset
SELECT pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'other'));
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '22023',
	'agent "deploy-bot" does not declare skill "deploy"', 'an approval re-checks what the proposal checked');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_skills('deploy-bot','{deploy}')$$);
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'chg'));
SELECT results_eq('SELECT agent, org, policy_version, change FROM claiim.bindings',
	format('VALUES (''deploy-bot'', NULL, ''no-prod-v1'', %L)', :'chg'), 'two bind a policy');
SELECT is(pg_temp.new_acts(), 'change.approve by bob on deploy-bot in acme; policy.bind by bob on deploy-bot in acme', 'which is recorded');
SELECT is(pg_temp.detail('policy.bind') - '{base,sha256}'::text[],
	'{"policy": "no-prod-v1", "skills": ["deploy-v2"], "proposed_by": "ann", "approved_by": ["bob"]}', 'with all that an auditor needs');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_policy('deploy-bot','no-prod-v1')$$, '42710',
	'policy version "no-prod-v1" is already bound to agent "deploy-bot"', 'a policy is not bound twice');
SELECT pg_temp.both('t_bob','t_ann', $$SELECT claiim.bind_policy('deploy-bot','no-prod-v2')$$);
SELECT results_eq('SELECT policy_version FROM claiim.bindings', $$VALUES ('no-prod-v2')$$, 'a binding replaces the one before');
SELECT is(pg_temp.detail('policy.bind') -> 'base' ->> 'policy', 'no-prod-v1', 'and records what it replaced');

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.bind_baseline('acme','base-v1')$$);
SELECT results_eq('SELECT policy_version FROM claiim.bindings WHERE org = ''acme''', $$VALUES ('base-v1')$$, 'two bind a baseline');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_baseline('acme','base-v1')$$, '42710', NULL, 'once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.bind_baseline('acme','foreign-pol-v1')$$, '42704', NULL, 'of the organization or above');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.bind_baseline('acme/finance','base-v1')$$);
SELECT pg_temp.refused('t_dora', $$SELECT claiim.unbind_baseline('acme')$$, '42501', NULL, 'those below cannot unbind the baseline above');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.unbind_baseline('acme/finance')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.unbind_baseline('acme/finance')$$, '42704',
	'organization "acme/finance" has no baseline', 'a baseline that is not there cannot be unbound');

/* ---- targets ---- */

SELECT pg_temp.refused('t_eve', $$SELECT claiim.map_target('prod/**','other')$$, '42501',
	'human "eve" does not hold the admin capability in organization "acme"', 'targets are mapped by the founding organization');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.map_target('**/x','other')$$, '22023', NULL, 'by patterns');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.map_target(NULL,'other')$$, '22004', NULL, 'not NULL');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.map_target('x/**','nowhere')$$, '42704', 'organization "nowhere" does not exist', 'to an organization');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.map_target('finance/**','acme/finance')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.map_target('finance/**','acme/finance')$$, '42710',
	'targets "finance/**" already belong to organization "acme/finance"', 'once');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.map_target('finance/**','other')$$);
SELECT results_eq('SELECT pattern, org FROM claiim.targets ORDER BY 1', $$VALUES ('**','acme'),('finance/**','other')$$, 'a pattern is one organization''s');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.unmap_target('finance/**')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.unmap_target('finance/**')$$, '42704', 'targets "finance/**" are not mapped', 'and can be forgotten once');

/* ---- suspending, resuming, retiring ---- */

SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_agent('deploy-bot',NULL)$$, '22004', 'reason must not be null', 'suspending takes a reason');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_agent('deploy-bot','')$$, '22023', NULL, 'that says something');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.resume_agent('deploy-bot','x')$$, '55000', 'agent "deploy-bot" is not suspended', 'only what is suspended is resumed');
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.suspend_agent('deploy-bot','runs wild')$$);
SELECT is((SELECT status FROM claiim.agents WHERE agent = 'deploy-bot'), 'suspended', 'one human suspends an agent at once');
SELECT is(pg_temp.new_acts(), 'agent.suspend by ann on deploy-bot in acme', 'which is an act');
SELECT is(pg_temp.detail('agent.suspend'), '{"reason": "runs wild"}', 'with its reason');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.suspend_agent('deploy-bot','x')$$, '55000', 'agent "deploy-bot" is already suspended', 'once');
SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_agent('deploy-bot','fixed')$$) AS old \gset
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.resume_agent('deploy-bot','fixed')$$);
SELECT is((SELECT status FROM claiim.agents WHERE agent = 'deploy-bot'), 'active', 'two resume it');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'old'), '55000', NULL, 'a second approval of the same finds nothing to resume');
SELECT pg_temp.by('t_ann', $$SELECT claiim.suspend_agent('deploy-bot','for another reason')$$);
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'old'), '55000',
	format('what change %s was based on has changed since it was proposed', :'old'),
	'a resumption of one suspension does not resume from a later one');
SELECT pg_temp.by('t_bob', format('SELECT claiim.reject(%L, ''overtaken'')', :'old'));
SELECT results_eq(format('SELECT status, reason FROM claiim.changes WHERE change = %L', :'old'), $$VALUES ('rejected','overtaken')$$, 'a change is rejected with a reason');
SELECT is(pg_temp.detail('change.reject') ->> 'reason', 'overtaken', 'which is recorded');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'old'), '55000',
	format('change %s is no longer pending: it was rejected', :'old'), 'what is rejected cannot be approved');
SELECT is(pg_temp.detail_by('t_bob', format('SELECT claiim.approve(%L)', :'old')),
	(SELECT format('Human "bob" rejected it at %s: overtaken', decided_at) FROM claiim.changes WHERE change = :'old'), 'and who rejected it, and why, is said');
SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_agent('deploy-bot','ok')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.reject(%L, NULL)', :'chg'), '22004', 'reason must not be null', 'rejecting takes a reason');
SELECT pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'chg'));

/* ---- tokens ---- */

SELECT pg_temp.refused('t_ann', $$SELECT claiim.issue_token('deploy-bot', interval '-1 day')$$, '22023',
	'a token must be valid for some time', 'a token does not expire before it is issued');
SELECT pg_temp.refused('t_dora', $$SELECT claiim.issue_token('deploy-bot')$$, '42501', NULL, 'an approver issues no tokens');
SELECT pg_temp.by('t_ann', $$SELECT format('%s %s %s', token_id, token, expires_at > now()) FROM claiim.issue_token('deploy-bot', interval '90 days', 'ci')$$) AS issued \gset
SELECT split_part(:'issued', ' ', 1) AS token_id, split_part(:'issued', ' ', 2) AS token \gset
SELECT ok(:'token_id' ~ '^ctk_[0-9a-z]{26}$' AND starts_with(:'token', :'token_id' || '_'), 'a token is issued with its identifier');
SELECT is(split_part(:'issued', ' ', 3), 't', 'and says when it expires');
SELECT results_eq('SELECT agent, label, issued_by FROM claiim.tokens', $$VALUES ('deploy-bot','ci','ann')$$, 'it is registered');
SELECT is((SELECT count(*) FROM claiim.tokens t WHERE strpos(t::text, :'token') > 0), 0::bigint, 'but is in no column of its table');
SELECT is((SELECT count(*) FROM claiim.outbox o WHERE strpos(o::text, :'token') > 0
	OR strpos(o::text, (SELECT encode(digest, 'hex') FROM claiim.tokens)) > 0), 0::bigint, 'and neither it nor its digest is in an act');
SELECT is(pg_temp.detail('token.issue') ->> 'token', :'token_id', 'the act names the identifier');
SELECT is(pg_temp.error_by('t_eve', format('SELECT claiim.revoke_token(%L,''x'')', :'token_id')),
	pg_temp.error_by('t_eve', 'SELECT claiim.revoke_token(''ctk_00000000000000000000000000'',''x'')'),
	'another organization''s admin cannot revoke it, nor tell whether it exists');
SELECT is(strpos(pg_temp.error_by('t_ann', format('SELECT claiim.revoke_token(%L,''x'')', :'token')), substr(:'token', 32)), 0,
	'a token passed instead of its identifier is not repeated in the error');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.revoke_token(%L, NULL)', :'token_id'), '22004', 'reason must not be null', 'revoking takes a reason');
SELECT pg_temp.by('t_bob', format('SELECT claiim.revoke_token(%L, ''leaked'')', :'token_id'));
SELECT ok((SELECT revoked_at IS NOT NULL FROM claiim.tokens), 'one human revokes a token at once');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.revoke_token(%L, ''leaked'')', :'token_id'), '55000',
	format('token %s is already revoked', :'token_id'), 'once');
SELECT ok(pg_temp.by('t_ann', $$SELECT expires_at IS NULL FROM claiim.issue_token('deploy-bot')$$)::boolean, 'a token may be without expiry');

/* ---- expiry, and changes that were tampered with ---- */

SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('deploy-bot','{deploy,more}')$$) AS chg \gset
UPDATE claiim.changes SET proposed_at = proposed_at - interval '8 days', expires_at = expires_at - interval '8 days' WHERE change = :'chg';
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '55000',
	format('change %s has expired', :'chg'), 'an expired change cannot be approved');
SELECT is(pg_temp.by('t_bob', format('SELECT count(*)::text FROM claiim.pending_changes WHERE change = %L', :'chg')), '0', 'and is no longer shown as pending');
SELECT is(pg_temp.by('t_eve', 'SELECT claiim.expire_changes()::text'), '0', 'another organization''s admin does not expire it');
SELECT pg_temp.new_acts() \g /dev/null
SELECT is(pg_temp.by('t_bob', 'SELECT claiim.expire_changes()::text'), '1', 'it is marked as expired');
SELECT is(pg_temp.new_acts(), 'change.expire by bob on deploy-bot in acme', 'which is an act');
SELECT is((SELECT status FROM claiim.changes WHERE change = :'chg'), 'expired', 'for good');
SELECT is(pg_temp.detail_by('t_bob', format('SELECT claiim.approve(%L)', :'chg')),
	(SELECT format('It could be approved until %s.', expires_at) FROM claiim.changes WHERE change = :'chg'), 'and until when it could be approved is said');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('deploy-bot','{deploy,more}')$$) AS chg \gset
UPDATE claiim.changes SET proposed_at = proposed_at - interval '8 days', expires_at = expires_at - interval '8 days' WHERE change = :'chg';
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('deploy-bot','{deploy,most}')$$) AS next \gset
SELECT is((SELECT status FROM claiim.changes WHERE change = :'chg'), 'expired', 'the next proposal marks it as well');
UPDATE claiim.changes SET payload = jsonb_set(payload, '{skills}', '["deploy","everything"]') WHERE change = :'next';
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'next'), 'XX001',
	format('change %s is not what was proposed', :'next'), 'a change whose payload was altered cannot be approved');
UPDATE claiim.changes SET payload = jsonb_set(payload, '{skills}', '["deploy","most"]'), proposed_by = 'carl' WHERE change = :'next';
SELECT pg_temp.refused('t_ann', format('SELECT claiim.approve(%L)', :'next'), 'XX001', NULL, 'nor one whose proposer was altered');
UPDATE claiim.changes SET proposed_by = 'ann' WHERE change = :'next';
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.approve(%L)', :'next')), 'applied', 'as it was proposed, it can');

/* ---- proposers and approvers that are no longer what they were ---- */

CREATE ROLE t_hal LOGIN;
CREATE ROLE t_ida LOGIN;
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('hal','t_hal','Hal','acme','{admin,approver}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('ida','t_ida','Ida','acme','{approver}')$$);
SELECT pg_temp.by('t_hal', $$SELECT claiim.set_skills('deploy-bot','{deploy}')$$) AS chg \gset
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.revoke_capability('hal','acme','admin')$$);
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '55000',
	format('change %s has lost its proposer', :'chg'), 'what was proposed by one who has lost the capability cannot be approved');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('hal','acme','admin')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('hal',NULL)$$, '22004', 'reason must not be null', 'deactivating takes a reason');
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.deactivate_human('hal','left')$$);
SELECT is(pg_temp.new_acts(), 'human.deactivate by ann on hal in acme', 'one human deactivates another at once');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '55000',
	format('change %s has lost its proposer', :'chg'), 'what was proposed by an inactive human cannot be approved');
SELECT pg_temp.refused('t_hal', format('SELECT claiim.withdraw(%L)', :'chg'), '42501', 'human "hal" is not active', 'an inactive human can do nothing');
SELECT is(pg_temp.by('t_hal', 'SELECT count(*)::text FROM claiim.registry'), '0', 'and sees nothing');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('hal','left')$$, '55000', 'human "hal" is already inactive', 'a human is deactivated once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.register_agent('bot3','acme','hal','{}')$$, '42704', NULL, 'an inactive human is no anchor');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.transfer_anchor('deploy-bot','hal')$$, '42704', NULL, 'nor becomes one');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('hal','acme','auditor')$$, '42704', NULL, 'nor is granted anything');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.reactivate_human('hal')$$), 'hal', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.reactivate_human('xxx')$$), 'xxx', '?'),
	'another organization''s admin cannot reactivate, nor tell whether there is such a human');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.deactivate_human('carl','y')$$), 'carl', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.deactivate_human('xxx','y')$$), 'xxx', '?'), 'nor deactivate');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.reactivate_human('hal')$$);
SELECT is((SELECT status FROM claiim.humans WHERE human = 'hal'), 'active', 'two reactivate a human');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.reactivate_human('hal')$$, '55000', 'human "hal" is already active', 'once');
SELECT is(pg_temp.by('t_ida', format('SELECT claiim.approve(%L)', :'chg')), 'applied', 'the proposal of one who is back can be approved');
SELECT pg_temp.by('t_hal', $$SELECT claiim.set_skills('deploy-bot','{deploy,x}')$$) AS chg \gset
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.revoke_capability('ida','acme','approver')$$);
SELECT pg_temp.refused('t_ida', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'one who has lost the capability cannot approve');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.deactivate_human('fred','x')$$, '42501', NULL,
	'a human who is a member of two organizations is not switched off by one of them');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('fred','x')$$, '55000', NULL,
	'but by the founding one, unless that organization would be left ungoverned');

/* ---- retiring ---- */

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.retire_agent('deploy-bot','replaced')$$);
SELECT is((SELECT status FROM claiim.agents WHERE agent = 'deploy-bot'), 'retired', 'two retire an agent');
SELECT pg_temp.refused('t_ann', statement, '55000', 'agent "deploy-bot" is retired', name)
FROM (VALUES
	($$SELECT claiim.resume_agent('deploy-bot','x')$$, 'a retired agent is not resumed'),
	($$SELECT claiim.suspend_agent('deploy-bot','x')$$, 'nor suspended'),
	($$SELECT claiim.retire_agent('deploy-bot','x')$$, 'nor retired again'),
	($$SELECT claiim.set_skills('deploy-bot','{x}')$$, 'nor given skills'),
	($$SELECT claiim.set_role('deploy-bot','t_bot')$$, 'nor a role'),
	($$SELECT claiim.transfer_anchor('deploy-bot','ann')$$, 'nor another anchor'),
	($$SELECT claiim.bind_policy('deploy-bot','no-prod-v1')$$, 'nor a policy'),
	($$SELECT claiim.issue_token('deploy-bot')$$, 'nor a token')) AS v (statement, name);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_role('deploy-bot', NULL)$$);
SELECT pass('but its role can be taken from it, for another agent');

/* ---- who sees what ---- */

SELECT pg_temp.both('t_eve','t_fred', $$SELECT claiim.register_agent('other-bot','other','eve','{foreign}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_agent('fin-bot','acme/finance','ann','{deploy}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.bind_policy('fin-bot','fin-v1')$$);
SELECT pg_temp.by('t_eve', $$SELECT claiim.bind_policy('other-bot','foreign-pol-v1')$$) AS foreign \gset
SELECT is(pg_temp.by('t_ann', 'SELECT string_agg(agent, '' '' ORDER BY agent) FROM claiim.registry'), 'deploy-bot fin-bot', 'an admin sees the agents of the own organization and below');
SELECT is(pg_temp.by('t_dora', 'SELECT string_agg(agent, '' '' ORDER BY agent) FROM claiim.registry'), 'fin-bot', 'an approver below sees those below');
SELECT is(pg_temp.by('t_eve', 'SELECT string_agg(agent, '' '' ORDER BY agent) FROM claiim.registry'), 'other-bot', 'another organization''s admin sees that one''s');
SELECT is(pg_temp.by('t_nobody', 'SELECT count(*)::text FROM claiim.registry'), '0', 'a role that is no human''s sees none');
SELECT is(pg_temp.by('t_ann', 'SELECT baseline FROM claiim.registry WHERE agent = ''fin-bot'''), 'base-v1', 'with the baseline from above');
SELECT is(pg_temp.by('t_ann', 'SELECT anchor || '' '' || policy FROM claiim.registry WHERE agent = ''fin-bot'''), 'ann fin-v1', 'the anchor and the policy');
SELECT is(pg_temp.by('t_fred', 'SELECT string_agg(subject, '' '') FROM claiim.pending_changes WHERE org = ''other'''), 'other-bot', 'an approver sees what is pending');
SELECT is(pg_temp.by('t_bob', format('SELECT count(*)::text FROM claiim.pending_changes WHERE change = %L', :'foreign')), '0', 'and not another organization''s');
SELECT is(pg_temp.by('t_carl', 'SELECT (count(*) > 0)::text FROM claiim.pending_changes'), 'true', 'an auditor sees it as well');
SELECT ok((SELECT count(*) > 1 FROM claiim.pending_changes WHERE org = 'other' OR org = 'acme'), 'a superuser sees all');
SELECT is(pg_temp.error_by('t_gus', 'SELECT * FROM claiim.registry') LIKE '42501 %', true, 'a mere member sees nothing');
SELECT is(pg_temp.error_by('t_fred', 'SELECT * FROM claiim.decisions') LIKE '42501 %', true, 'one who is no auditor does not read decisions');
SELECT is(pg_temp.error_by('t_carl', 'SELECT count(*)::text FROM claiim.decisions'), NULL, 'an auditor does');
SELECT is(pg_temp.error_by('t_carl', 'SELECT count(*)::text FROM claiim.acts'), NULL, 'and acts');
SELECT is(pg_temp.error_by('t_carl', 'SELECT count(*)::text FROM claiim.chron'), NULL, 'and Chron itself');
SELECT is(pg_temp.error_by('t_carl', format('SELECT count(*)::text FROM claiim.five_questions(%L)', claiim.chron_id(1000000000, '2020-01-01'))) LIKE 'P0002 %', true,
	'the five questions about a record that does not exist: an error');
SELECT is(pg_temp.error_by('t_carl', format('SELECT claiim.record_bytes(%L)::text', claiim.chron_id(1000000000, '2020-01-01'))) LIKE 'P0002 %', true, 'its bytes as well');
SELECT pg_temp.refused('t_carl', 'SELECT count(*)::text FROM claiim.five_questions(''nonsense'')', '22023', NULL, 'an identifier is an identifier');
SELECT pg_temp.refused('t_carl', 'SELECT count(*)::text FROM claiim.five_questions(NULL)', '22004', NULL, 'and not NULL');

/* ---- the state in all ---- */

SELECT is((SELECT count(*) FROM claiim.approvals a JOIN claiim.changes c USING (change) WHERE a.human = c.proposed_by), 0::bigint,
	'no change was approved by its proposer');
SELECT is((SELECT count(*) FROM claiim.changes c WHERE status = 'applied' AND NOT EXISTS (SELECT FROM claiim.approvals a WHERE a.change = c.change)), 0::bigint,
	'and none was applied without approval');
SELECT is((SELECT count(*) FROM claiim.changes c WHERE digest <> sha256(convert_to(concat_ws(E'\n', change, kind, org, subject, proposed_by, payload::text), 'UTF8'))), 0::bigint,
	'all that were made are as proposed');
SELECT is((SELECT count(*) FROM claiim.changes c WHERE (SELECT count(*) FROM claiim.outbox o WHERE o.change = c.change AND o.act = 'change.propose') <> 1), 0::bigint,
	'each was recorded when it was proposed');
SELECT is((SELECT count(*) FROM claiim.changes c WHERE status = 'applied'
	AND (SELECT count(*) FROM claiim.outbox o WHERE o.change = c.change AND o.act IN ('change.approve', c.kind)) <> 2), 0::bigint,
	'and, when applied, with its approval and its effect');
SELECT is((SELECT string_agg(kind, ' ' ORDER BY kind) FROM (SELECT DISTINCT kind FROM claiim.changes WHERE status = 'applied') k),
	'agent.register agent.resume agent.retire agent.role agent.skills anchor.transfer baseline.bind baseline.unbind capability.grant capability.revoke human.reactivate human.register org.register org.resume policy.bind target.map target.unmap',
	'every kind of change was made here');

SELECT * FROM finish();
ROLLBACK;
