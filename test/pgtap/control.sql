/*
 * control.sql
 *	  How many approve, who does not count, what one may do alone and for how
 *	  long, who rules over a human, what a change says, and what is removed:
 *	  every rule of two-person control, and everything that is refused.
 *
 * Needs a superuser and a cluster that preloads claiim.  All in one
 * transaction, rolled back at the end; see governance.sql.
 */
\ir include/refusals.sql
SET client_min_messages = error;

SELECT no_plan();

BEGIN;

SELECT format('CREATE ROLE t_%s LOGIN', h) FROM unnest('{ann,bob,cat,dan,eve,fay,gil,hal,bot}'::text[]) h \gexec

CREATE FUNCTION pg_temp.approve(role name, change text) RETURNS text
LANGUAGE sql AS $$SELECT pg_temp.by(role, format('SELECT claiim.approve(%L)', change))$$;
CREATE FUNCTION pg_temp.status(change text) RETURNS text
LANGUAGE sql AS $$SELECT c.status FROM claiim.changes c WHERE c.change = status.change$$;

CREATE FUNCTION pg_temp.decided_by(proposal text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	proposed text := pg_temp.by('t_ann', proposal);
BEGIN
	RETURN (SELECT c.org FROM claiim.changes c WHERE c.change = proposed);
END
$$;

/* ann, bob and dan administer and approve; cat approves; eve and fay have an organization of their own */
SELECT claiim.bootstrap('acme', 'ann', 't_ann', 'bob', 't_bob');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('cat','t_cat',NULL,'acme','{approver}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('dan','t_dan',NULL,'acme','{admin,approver}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('eve','t_eve',NULL,'acme',NULL)$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('fay','t_fay',NULL,'acme',NULL)$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('other','Other','eve','fay')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('acme/sub')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('acme/sub/deep')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_org('acme/side')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_skill('deploy', 'actions: ["deploy:*"]', 'acme')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow: [deploy:staging]', 'acme')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow: [deploy:staging, deploy:canary]', 'acme')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.publish_policy('base', E'deny: ["infra:**"]', 'acme')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_agent('bot','acme','ann','{deploy}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_agent('sub-bot','acme/sub','ann','{deploy}')$$);
SELECT pg_temp.new_acts() \g /dev/null

/* ---- kinds ---- */

SELECT is((SELECT string_agg(k.kind, ' ' ORDER BY k.kind) FROM claiim._kinds() k WHERE k.kind <> 'session.grant'),
	(SELECT string_agg(m[1], ' ' ORDER BY m[1]) FROM pg_proc p, regexp_matches(p.prosrc, 'WHEN ''([a-z_.]+)'' THEN', 'g') m
	 WHERE p.oid = 'claiim._effect'::regproc AND m[1] <> 'session.grant'),
	'every kind of change that there is has its properties, and no other');

/* ---- quorums ---- */

SELECT is((SELECT max(quorum) FROM claiim.changes), 1, 'where nobody has said anything, one approval is enough');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_quorum('acme','policy.unknown',2)$$, '22023',
	'"policy.unknown" is not a kind of change', 'a quorum is of a kind of change');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_quorum('acme',NULL,2)$$, '22004', 'kind must not be null', 'that is named');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_quorum('acme','policy.bind',0)$$, '22023',
	'a quorum cannot be 0 approvals', 'of at least one');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_quorum('acme','policy.bind',21)$$, '22023', NULL, 'and at most twenty');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_quorum('acme','policy.bind',4)$$, '55000',
	'organization "acme" has not 4 approvers beside an admin', 'and of no more than could ever approve');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_quorum('acme','policy.bind',NULL)$$, '42710',
	'the quorum of "policy.bind" in organization "acme" is so already', 'none of its own is what there is');
SELECT pg_temp.refused('t_cat', $$SELECT claiim.set_quorum('acme','policy.bind',2)$$, '42501', NULL, 'an approver proposes none');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.set_quorum('acme','policy.bind',2)$$, '42501', NULL, 'nor another organization''s admin');
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v1')$$) AS early \gset
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme','policy.bind',2)$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'),
	'changes of kind ''policy.bind'' in ''acme'' need 2 approvals (now: 1)', 'it says what it changes');
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT results_eq('SELECT org, kind, approvals FROM claiim.quorums', $$VALUES ('acme','policy.bind',2)$$, 'two set a quorum');
SELECT is(pg_temp.new_acts(), 'change.approve by bob on policy.bind in acme; change.propose by ann on bot in acme; change.propose by ann on policy.bind in acme; quorum.set by bob on policy.bind in acme',
	'which is recorded');
SELECT is((SELECT quorum FROM claiim.changes WHERE change = :'early'), 1, 'what was proposed before');
SELECT is(pg_temp.by('t_bob', format('SELECT approvals || ''/'' || needed FROM claiim.pending_changes WHERE change = %L', :'early')), '0/2',
	'needs as many as now, if that is more');
SELECT is(pg_temp.approve('t_bob', :'early'), 'pending', 'the first of two approvals leaves a change pending');
SELECT is((SELECT count(*) FROM claiim.bindings), 0::bigint, 'and changes nothing');
SELECT is(pg_temp.new_acts(), 'change.approve by bob on bot in acme', 'but is recorded');
SELECT is(pg_temp.detail('change.approve') -> 'needed', '2', 'with how many it takes');
SELECT is(pg_temp.by('t_cat', format('SELECT concat_ws('' '', approvals, needed, approved_by) FROM claiim.pending_changes WHERE change = %L', :'early')),
	'1 2 {bob}', 'and is shown to those who approve');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'early'), '42501',
	format('human "bob" has already approved change %s', :'early'), 'nobody approves twice');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.approve(%L)', :'early'), '42501', NULL, 'nor its proposer');
SELECT is(pg_temp.approve('t_cat', :'early'), 'applied', 'the last approval takes effect');
SELECT results_eq('SELECT agent, policy_version FROM claiim.bindings', $$VALUES ('bot','p-v1')$$, 'at once');
SELECT is(pg_temp.detail('policy.bind') -> 'approved_by', '["bob", "cat"]', 'and names all who approved');
SELECT results_eq(format('SELECT status, decided_by FROM claiim.changes WHERE change = %L', :'early'), $$VALUES ('applied','cat')$$, 'who approved last has decided');

SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v2')$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT pg_temp.by('t_cat', format('SELECT claiim.reject(%L, ''no'')', :'chg'));
SELECT is(pg_temp.status(:'chg'), 'rejected', 'one approver rejects what another has approved');
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v2')$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT pg_temp.by('t_bob', format('SELECT claiim.reject(%L, ''I was wrong'')', :'chg'));
SELECT is(pg_temp.status(:'chg'), 'rejected', 'also one who has approved it');
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v2')$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT pg_temp.by('t_ann', format('SELECT claiim.withdraw(%L)', :'chg'));
SELECT is(pg_temp.status(:'chg'), 'withdrawn', 'its proposer withdraws what somebody has approved');

/* who approved earlier, and is no longer what he was */
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v2')$$) AS chg \gset
SELECT pg_temp.approve('t_dan', :'chg') \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.deactivate_human('dan','left')$$);
SELECT is(pg_temp.by('t_bob', format('SELECT concat_ws('' '', approvals, needed, approved_by) FROM claiim.pending_changes WHERE change = %L', :'chg')), '0 2 {}',
	'who is deactivated has not approved');
SELECT is(pg_temp.approve('t_bob', :'chg'), 'pending', 'and another must');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.reactivate_human('dan')$$);
SELECT is(pg_temp.by('t_bob', format('SELECT approvals::text FROM claiim.pending_changes WHERE change = %L', :'chg')), '2', 'until he is back');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.revoke_capability('dan','acme','approver')$$);
SELECT is(pg_temp.by('t_bob', format('SELECT approved_by::text FROM claiim.pending_changes WHERE change = %L', :'chg')), '{bob}', 'nor has who lost the capability');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'others make up the number');
SELECT is(pg_temp.detail('policy.bind') -> 'approved_by', '["bob", "cat"]', 'and only they are named');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('dan','acme','approver')$$);

/* lowering */
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v1')$$) AS pending \gset
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme','policy.bind',1)$$) AS chg \gset
SELECT is(pg_temp.approve('t_bob', :'chg'), 'pending', 'a quorum is lowered by no fewer than it asks for');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'and not by more');
SELECT is(pg_temp.by('t_bob', format('SELECT needed::text FROM claiim.pending_changes WHERE change = %L', :'pending')), '2',
	'what was proposed under the higher one keeps it');
SELECT pg_temp.by('t_ann', format('SELECT claiim.withdraw(%L)', :'pending'));

/* whose rule */
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_quorum('acme','*',2)$$);
SELECT is(claiim._quorum('acme','policy.bind'), 1, 'a rule for the kind goes before one for all');
SELECT is(claiim._quorum('acme','agent.skills'), 2, 'which holds for all other kinds');
SELECT is(claiim._quorum('acme/sub/deep','agent.skills'), 2, 'and below');
SELECT is(claiim._quorum('other','agent.skills'), 1, 'not beside');
SELECT is(claiim._quorum('acmex','agent.skills'), 1, 'nor where the name merely begins alike');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme/sub','agent.skills',1)$$) AS chg \gset
SELECT is(pg_temp.approve('t_bob', :'chg'), 'pending', 'an organization below loosens what is said above by as many as above asks for');
SELECT pg_temp.approve('t_cat', :'chg') \g /dev/null
SELECT is(claiim._quorum('acme/sub/deep','agent.skills'), 1, 'the nearest organization decides');
SELECT is(claiim._quorum('acme','agent.skills'), 2, 'for itself and below');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme/sub','*',3)$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT pg_temp.approve('t_cat', :'chg') \g /dev/null
SELECT is(claiim._quorum('acme/sub','policy.bind'), 1, 'the kind''s rule from above goes before the nearest one for all');
SELECT is(claiim._quorum('acme/sub','capability.grant'), 3, 'the nearest one for all');

/* an organization keeps enough approvers to get more */
SELECT pg_temp.by('t_ann', $$SELECT claiim.revoke_capability('dan','acme','approver')$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'an approver too many can go');
SELECT pg_temp.by('t_ann', $$SELECT claiim.revoke_capability('dan','acme','admin')$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT pg_temp.approve('t_cat', :'chg') \g /dev/null
SELECT pg_temp.refused('t_ann', $$SELECT claiim.revoke_capability('cat','acme','approver')$$, '55000',
	'organization "acme" would be left without an admin and 2 other approvers', 'but not one whom granting a capability takes');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('cat','x')$$, '55000',
	'organization "acme" would be left without an admin and 2 other approvers', 'nor be deactivated');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme','*',NULL)$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'a quorum can be taken back');
SELECT is(claiim._quorum('acme','agent.skills'), 1, 'and then it is one again');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_quorum('acme/sub','*',NULL)$$) AS chg \gset
SELECT pg_temp.approve(r, :'chg') FROM unnest('{t_bob,t_cat}'::name[]) r;
SELECT is(pg_temp.status(:'chg'), 'pending', 'also below, by three');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('dan','acme','approver')$$);
SELECT is(pg_temp.approve('t_dan', :'chg'), 'applied', 'of whom one was made approver after it was proposed');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('dan','acme','admin')$$);

/* ---- an anchor is not the only one to approve ---- */

SELECT pg_temp.by('t_ann', $$SELECT claiim.transfer_anchor('bot','bob')$$) AS chg \gset
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'who becomes the anchor may approve that');
SELECT pg_temp.by('t_dan', $$SELECT claiim.bind_policy('bot','p-v1')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501',
	format('change %s cannot be approved by the anchor alone', :'chg'), 'policy.bind: not by the anchor alone');
SELECT is((SELECT count(*) FROM claiim.approvals WHERE change = :'chg'), 0::bigint, 'and then the anchor has not approved');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'but by another');
SELECT pg_temp.by('t_dan', $$SELECT claiim.set_skills('bot','{deploy,more}')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'agent.skills: not by the anchor alone');
SELECT pg_temp.by('t_dan', $$SELECT claiim.set_role('bot','t_bot')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'agent.role: not by the anchor alone');
SELECT pg_temp.by('t_dan', $$SELECT claiim.suspend_agent('bot','x')$$);
SELECT pg_temp.by('t_dan', $$SELECT claiim.resume_agent('bot','x')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'agent.resume: not by the anchor alone');
SELECT pg_temp.approve('t_ann', :'chg') \g /dev/null
SELECT pg_temp.by('t_dan', $$SELECT claiim.register_agent('bobs','acme','bob','{deploy}')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'agent.register: not by the one who would be the anchor alone');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'but by another');

/* Nor of what lets all agents of an organization do more, if all are one human's. */
SELECT pg_temp.both('t_dan','t_cat', $$SELECT claiim.register_org('acme/solo', NULL)$$);
SELECT pg_temp.both('t_dan','t_cat', $$SELECT claiim.register_agent('solo','acme/solo','bob','{}')$$);
SELECT pg_temp.by('t_dan', $$SELECT claiim.bind_baseline('acme/solo','p-v1')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501',
	format('change %s cannot be approved by the anchor alone', :'chg'), 'baseline.bind: not by the anchor of all its agents alone');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'but by another');
SELECT pg_temp.by('t_dan', $$SELECT claiim.unbind_baseline('acme/solo')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'baseline.unbind: not by the anchor of all its agents alone');
SELECT pg_temp.by('t_dan', $$SELECT claiim.map_target('solo/*','acme/solo')$$) AS map \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'map'), '42501', NULL, 'target.map: not by the anchor of all its agents alone');
SELECT pg_temp.by('t_dan', $$SELECT claiim.suspend_org('acme/solo','x')$$);
SELECT pg_temp.by('t_dan', $$SELECT claiim.resume_org('acme/solo')$$) AS resume \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'resume'), '42501', NULL, 'org.resume: not by the anchor of all its agents alone');
SELECT is(pg_temp.approve('t_cat', :'resume'), 'applied', 'but by another');
SELECT pg_temp.both('t_dan','t_bob', $$SELECT claiim.register_agent('second','acme/solo','cat','{}')$$);
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'one of several anchors there may');
SELECT is(pg_temp.approve('t_cat', :'map'), 'applied', 'as may the other');
SELECT pg_temp.both('t_dan','t_cat', $$SELECT claiim.set_quorum('acme','policy.bind',2)$$);
SELECT pg_temp.by('t_dan', $$SELECT claiim.bind_policy('bot','p-v2')$$) AS chg \gset
SELECT is(pg_temp.approve('t_bob', :'chg'), 'pending', 'where two are needed the anchor may be one of them');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'with another');
SELECT pg_temp.by('t_dan', $$SELECT claiim.set_quorum('acme','policy.bind',1)$$) AS chg \gset
SELECT pg_temp.approve(r, :'chg') FROM unnest('{t_bob,t_cat}'::name[]) r;
SELECT is(pg_temp.by('t_bob', $$SELECT claiim.bind_policy('bot','p-v1')$$) IS NOT NULL, true, 'an anchor may propose');
SELECT pg_temp.by('t_dan', $$SELECT claiim.retire_agent('bobs','x')$$) AS chg \gset
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'and approve alone what lets the agent do less');

/* ---- what a change says cannot be forged by what is in it ---- */

SELECT pg_temp.by('t_ann', $$SELECT claiim.map_target('a'' belong to ''acme'' (now: ''other''); targets ''b', 'acme/sub')$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'),
	'targets ''a'''' belong to ''''acme'''' (now: ''''other''''); targets ''''b'' belong to ''acme/sub'' (now: not mapped)',
	'a pattern that reads like a sentence is quoted');
SELECT pg_temp.by('t_ann', $$SELECT claiim.register_agent('quoted','acme','ann','{}',NULL,'x'', role: ''postgres')$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'),
	'register agent ''quoted'' in ''acme'', anchor ''ann'', skills: none, role: none, description: ''x'''', role: ''''postgres''', 'so is a description');
SELECT pg_temp.by('t_ann', $$SELECT claiim.register_human('gil','t_gil','G'') role ''t_ann','acme',NULL)$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'),
	'register human ''gil'' (full name ''G'''') role ''''t_ann''), role ''t_gil'', in ''acme'' with the capabilities: ''member''', 'a full name');
SELECT pg_temp.by('t_ann', $$SELECT claiim.retire_agent('bot','done''; bind policy ''p-v2')$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'), 'retire agent ''bot'' for good: ''done''''; bind policy ''''p-v2''', 'a reason');
SELECT is((SELECT count(*) FROM claiim.changes WHERE summary !~ '''' ), 0::bigint, 'no change names anything without quotes');

/* ---- a human's home ---- */

SELECT results_eq('SELECT human, org FROM claiim.humans ORDER BY 1',
	$$VALUES ('ann','acme'),('bob','acme'),('cat','acme'),('dan','acme'),('eve','acme'),('fay','acme')$$, 'a human is at home where he was registered');
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.register_human('gil','t_gil',NULL,'other','{admin,approver}')$$);
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.register_human('hal','t_hal',NULL,'acme/sub','{admin}')$$);
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.grant_capability('cat','other','member')$$), 'cat', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.grant_capability('zoe','other','member')$$), 'zoe', '?'),
	'an organization makes no member of another''s human, nor is told whether there is one');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.grant_capability('cat','other','member')$$, '42501',
	'there is no human "cat" to whom organization "other" can grant a capability', 'but what can be the matter');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.grant_capability('cat','acme','member')$$), 'cat', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.grant_capability('zoe','acme','member')$$), 'zoe', '?'),
	'nor is it told by granting there');
SELECT is(replace(pg_temp.error_by('t_hal', $$SELECT claiim.grant_capability('gil','acme/sub','member')$$), 'gil', '?'),
	replace(pg_temp.error_by('t_hal', $$SELECT claiim.grant_capability('zoe','acme/sub','member')$$), 'zoe', '?'),
	'nor by an organization below');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.register_agent('spy','other','cat','{}')$$), 'cat', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.register_agent('spy','other','zoe','{}')$$), 'zoe', '?'),
	'nor by making that human an anchor');
SELECT is(replace(pg_temp.error_by('t_hal', $$SELECT claiim.register_org('acme/sub/x',NULL,'gil','hal')$$), 'gil', '?'),
	replace(pg_temp.error_by('t_hal', $$SELECT claiim.register_org('acme/sub/x',NULL,'zoe','hal')$$), 'zoe', '?'),
	'nor by making that human govern a new organization');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.revoke_capability('cat','other','member')$$), 'cat', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.revoke_capability('zoe','other','member')$$), 'zoe', '?'), 'nor by revoking');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('zoe','other','member')$$, '42704', 'there is no active human "zoe"',
	'the founding organization, which decides, is told');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.grant_capability('gil','nowhere','member')$$, '42704', 'organization "nowhere" does not exist', 'also of organizations');
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.grant_capability('gil','acme/sub','auditor')$$) AS chg \gset
SELECT is((SELECT org FROM claiim.changes WHERE change = :'chg'), 'acme', 'it decides about a human from elsewhere');
SELECT pg_temp.refused('t_fay', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'and not the organization where the human is from');
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'by its own approvers');
SELECT is(pg_temp.new_acts(), 'capability.grant by bob on gil in acme/sub; change.approve by bob on gil in acme; change.propose by ann on gil in acme',
	'and the organization that it concerns finds it among its acts');
SELECT is((SELECT string_agg(org, ' ') FROM claiim.memberships WHERE human = 'gil' AND capability = 'auditor'), 'acme/sub', 'there the human has the capability');
SELECT pg_temp.by('t_hal', $$SELECT claiim.grant_capability('gil','acme/sub','member')$$) AS chg \gset
SELECT is((SELECT org FROM claiim.changes WHERE change = :'chg'), 'acme/sub', 'about one who is a member already an organization decides itself');
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.revoke_capability('gil','acme/sub','auditor')$$);
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '55000',
	format('what change %s was based on has changed since it was proposed', :'chg'), 'but not when that has ended meanwhile');
SELECT is(pg_temp.decided_by($$SELECT claiim.grant_capability('cat','acme/sub','approver')$$), 'acme/sub',
	'about one from above an organization decides itself');
SELECT is(pg_temp.decided_by($$SELECT claiim.grant_capability('hal','acme','member')$$), 'acme',
	'and about one from below');
SELECT is(pg_temp.decided_by($$SELECT claiim.grant_capability('hal','acme/side','member')$$), 'acme',
	'about one from beside it the one above both');
SELECT is(replace(pg_temp.error_by('t_hal', $$SELECT claiim.grant_capability('hal','acme/side','member')$$), 'acme/side', '?'),
	replace(pg_temp.error_by('t_hal', $$SELECT claiim.grant_capability('hal','acme/none','member')$$), 'acme/none', '?'), 'whose admins alone propose it');

/* One that has approvers of its own lets nobody in whom none of them approves. */
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.grant_capability('cat','other','auditor')$$) AS chg \gset
SELECT is((SELECT org || ' ' || quorum FROM claiim.changes WHERE change = :'chg'), 'acme 2', 'the founding organization lets its human into another with the consent of that one');
SELECT is(pg_temp.by(who, format('SELECT approvals || ''/'' || needed || '' '' || diff FROM claiim.pending_changes WHERE change = %L', :'chg')), E'0/2 capability: auditor\norg: other', format('%s sees what is to be decided', who))
FROM unnest('{t_bob,t_fay,t_eve}'::text[]) who;
SELECT is(pg_temp.approve('t_bob', :'chg'), 'pending', 'its own approver is not enough');
SELECT pg_temp.refused('t_dan', format('SELECT claiim.approve(%L)', :'chg'), '42501',
	format('change %s needs an approval from organization "other"', :'chg'), 'nor are two of them');
SELECT is((SELECT count(*) FROM claiim.memberships WHERE human = 'cat' AND org = 'other'), 0::bigint, 'and nobody is let in');
SELECT is(pg_temp.by('t_fay', format('SELECT approvals || ''/'' || needed || '' '' || approved_by::text FROM claiim.pending_changes WHERE change = %L', :'chg')), '1/2 {bob}', 'who consents sees who has approved');
SELECT pg_temp.refused('t_eve', format('SELECT claiim.approve(%L)', :'chg'), '42501', NULL, 'an admin who does not approve there does not consent');
SELECT is(pg_temp.approve('t_fay', :'chg'), 'applied', 'an approver of the other one consents');
SELECT is(pg_temp.detail('capability.grant') -> 'approved_by', '["bob", "fay"]', 'both are named');
SELECT is((SELECT string_agg(capability, ' ') FROM claiim.memberships WHERE human = 'cat' AND org = 'other'), 'auditor', 'and the human is let in');
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.revoke_capability('cat','other','auditor')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.grant_capability('cat','other','auditor')$$) AS chg \gset
SELECT is(pg_temp.approve('t_fay', :'chg'), 'pending', 'who consents is not enough either');
SELECT pg_temp.by('t_fay', format('SELECT claiim.reject(%L, ''not here'')', :'chg'));
SELECT is(pg_temp.status(:'chg'), 'rejected', 'and may reject');
SELECT pg_temp.by('t_ann', $$SELECT claiim.grant_capability('cat','other','auditor')$$) AS chg \gset
SELECT pg_temp.approve('t_fay', :'chg') \g /dev/null
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.grant_capability('eve','other','approver')$$);
SELECT pg_temp.refused('t_eve', format('SELECT claiim.approve(%L)', :'chg'), '42501',
	format('change %s needs an approval from organization "acme"', :'chg'), 'nor two of those who consent');
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'it takes both organizations');
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.revoke_capability('cat','other','auditor')$$);
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.revoke_capability('eve','other','approver')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.grant_capability('gil','acme/side','member')$$) AS chg \gset
SELECT is((SELECT quorum FROM claiim.changes WHERE change = :'chg'), 1, 'one that lies below is not asked');
SELECT is(pg_temp.by('t_fay', format('SELECT count(*)::text FROM claiim.pending_changes WHERE change = %L', :'chg')), '0', 'nor is the one where the human is at home');
SELECT pg_temp.by('t_ann', format('SELECT claiim.withdraw(%L)', :'chg'));

/* who deactivates */
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('gil','acme','member')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('gil','taken over')$$, '42501',
	'there is no human "gil" whom human "ann" administers', 'an organization that made a human its member does not switch that human off');
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.revoke_capability('gil','other','admin')$$);
SELECT pg_temp.both('t_eve','t_fay', $$SELECT claiim.revoke_capability('gil','other','approver')$$);
SELECT pg_temp.refused('t_ann', $$SELECT claiim.deactivate_human('gil','taken over')$$, '42501', NULL, 'not even when there is no other membership left');
SELECT pg_temp.by('t_eve', $$SELECT claiim.deactivate_human('gil','left')$$);
SELECT is((SELECT status FROM claiim.humans WHERE human = 'gil'), 'inactive', 'the home organization does');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.reactivate_human('gil')$$, '42501', NULL, 'and nobody else reactivates');
SELECT pg_temp.by('t_ann', $$SELECT claiim.deactivate_human('hal','left')$$);
SELECT is((SELECT status FROM claiim.humans WHERE human = 'hal'), 'inactive', 'an organization above a human''s home may as well');

/* ---- break-glass ---- */

SELECT pg_temp.by('t_ann', $$SELECT claiim.suspend_agent('bot','runs wild')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_agent('bot','needed at night')$$) AS chg \gset
SELECT pg_temp.refused('t_bob', format('SELECT claiim.break_glass(%L, ''why'')', :'chg'), '42501',
	format('the glass of change %s can be broken by its proposer only', :'chg'), 'nobody breaks the glass of another''s change');
SELECT pg_temp.refused('t_ann', 'SELECT claiim.break_glass(''chg_00000000000000000000000000'', ''why'')', '42501',
	'there is no change "chg_00000000000000000000000000" that human "ann" can break the glass for', 'nor of one that does not exist');
SELECT is(replace(pg_temp.error_by('t_eve', format('SELECT claiim.break_glass(%L, ''why'')', :'chg')), :'chg', '?'),
	replace(pg_temp.error_by('t_eve', 'SELECT claiim.break_glass(''chg_00000000000000000000000000'', ''why'')'), 'chg_00000000000000000000000000', '?'),
	'another organization''s human is not told whether it does');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, NULL)', :'chg'), '22004', 'reason must not be null', 'break-glass takes a reason');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, '''')', :'chg'), '22023', NULL, 'that says something');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''why'', ''24 hours 1 second'')', :'chg'), '22023',
	'break-glass cannot hold for 24:00:01', 'it holds for a day at most');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''why'', ''0'')', :'chg'), '22023', NULL, 'and for some time');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''why'', NULL)', :'chg'), '22004', NULL, 'that is said');
SELECT pg_temp.refused('t_cat', format('SELECT claiim.break_glass(%L, ''why'')', :'chg'), '42501', NULL, 'an approver breaks no glass');
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''nobody answers'')', :'chg')) AS rev \gset
SELECT ok(:'rev' ~ '^rev_[0-9a-z]{26}$', 'break-glass returns the review that it opens');
SELECT is((SELECT status FROM claiim.agents WHERE agent = 'bot'), 'active', 'and takes effect at once');
SELECT is(pg_temp.new_acts(), 'agent.resume by ann on bot in acme; break_glass by ann on bot in acme', 'it is an act of its own');
SELECT is(pg_temp.detail('break_glass') - '{digest,lapses_at}'::text[],
	jsonb_build_object('review', :'rev', 'kind', 'agent.resume', 'summary', 'resume agent ''bot'': ''needed at night''', 'reason', 'nobody answers', 'agent', 'bot', 'org', NULL),
	'with its reason and its review');
SELECT is(pg_temp.detail('agent.resume') -> 'approved_by', '[]', 'the effect says that nobody approved');
SELECT is(pg_temp.detail('agent.resume') ->> 'break_glass', :'rev', 'but that the glass was broken');
SELECT results_eq(format('SELECT status, decided_by FROM claiim.changes WHERE change = %L', :'chg'), $$VALUES ('applied','ann')$$, 'the change is applied, by its proposer');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.approve(%L)', :'chg'), '55000', NULL, 'and no longer to be approved');
SELECT is((SELECT lapses_at - opened_at FROM claiim.reviews WHERE review = :'rev'), interval '4 hours', 'it holds for four hours, if nothing else is said');
SELECT ok((SELECT a.emergency_until = r.lapses_at FROM claiim.agents a, claiim.reviews r WHERE a.agent = 'bot' AND r.review = :'rev'), 'the agent is bounded by that');
SELECT is(pg_temp.by('t_bob', 'SELECT concat_ws('' '', review, kind, broken_by, reason, lapsed, bounded_agent) FROM claiim.open_reviews'),
	format('%s agent.resume ann nobody answers f bot', :'rev'), 'and those who review see it');
SELECT is(pg_temp.by('t_eve', 'SELECT count(*)::text FROM claiim.open_reviews'), '0', 'others do not');
SELECT is(pg_temp.by('t_eve', 'SELECT count(*)::text FROM claiim.reviews'), '0', 'nor in the table');
SELECT is(pg_temp.by('t_bob', 'SELECT count(*)::text FROM claiim.reviews'), '1', 'which those may read');

/* a second one does not put off the first */
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('bot','{deploy,night}')$$) AS second \gset
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''more'', ''24 hours'')', :'second')) AS rev2 \gset
SELECT ok((SELECT a.emergency_until = r.lapses_at FROM claiim.agents a, claiim.reviews r WHERE a.agent = 'bot' AND r.review = :'rev'), 'a later break-glass does not put off when an earlier one lapses');

/* closing */
SELECT pg_temp.refused('t_ann', format('SELECT claiim.close_review(%L, ''justified'', ''I say so'')', :'rev'), '42501',
	format('review %s cannot be closed by who broke the glass', :'rev'), 'who broke the glass does not close the review');
SELECT is(replace(pg_temp.error_by('t_fay', format('SELECT claiim.close_review(%L, ''justified'', ''x'')', :'rev')), :'rev', '?'),
	replace(pg_temp.error_by('t_fay', 'SELECT claiim.close_review(''rev_00000000000000000000000000'', ''justified'', ''x'')'), 'rev_00000000000000000000000000', '?'),
	'another organization''s approver cannot close it, nor tell whether it exists');
SELECT pg_temp.refused('t_cat', format('SELECT claiim.close_review(%L, ''maybe'', ''x'')', :'rev'), '22023', '"maybe" is not a verdict', 'a verdict is one of two');
SELECT pg_temp.refused('t_cat', format('SELECT claiim.close_review(%L, NULL, ''x'')', :'rev'), '22023', 'null is not a verdict', 'and not NULL');
SELECT pg_temp.refused('t_cat', format('SELECT claiim.close_review(%L, ''justified'', NULL)', :'rev'), '22004', 'note must not be null', 'it takes a note');
SELECT pg_temp.refused('t_cat', 'SELECT claiim.close_review(NULL, ''justified'', ''x'')', '22004', NULL, 'a review is named');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.close_review(%L, ''justified'', ''x'')', :'rev'), '42501',
	format('change %s cannot be approved by the anchor alone', :'chg'), 'the anchor alone does not find justified what lets the agent do more');
SELECT pg_temp.new_acts() \g /dev/null
SELECT is(pg_temp.by('t_cat', format('SELECT claiim.close_review(%L, ''justified'', ''seen the incident'')', :'rev')), 'closed', 'a second human closes it');
SELECT is(pg_temp.new_acts(), 'break_glass.review by cat on bot in acme', 'which is an act');
SELECT is(pg_temp.detail('break_glass.review') - 'needed', jsonb_build_object('review', :'rev', 'kind', 'agent.resume', 'broken_by', 'ann', 'verdict', 'justified', 'note', 'seen the incident'), 'with the verdict and why');
SELECT ok((SELECT a.emergency_until = r.lapses_at FROM claiim.agents a, claiim.reviews r WHERE a.agent = 'bot' AND r.review = :'rev2'), 'the agent is bounded by what is still open');
SELECT pg_temp.refused('t_cat', format('SELECT claiim.close_review(%L, ''unjustified'', ''x'')', :'rev'), '55000',
	format('review %s is closed: it was found justified', :'rev'), 'a review is closed once');
SELECT is(pg_temp.by('t_cat', format('SELECT claiim.close_review(%L, ''justified'', ''as well'')', :'rev2')), 'closed', 'the other one as well');
SELECT is((SELECT emergency_until FROM claiim.agents WHERE agent = 'bot'), NULL, 'then nothing bounds the agent any more');
SELECT is((SELECT string_agg(human, ' ') FROM claiim.approvals WHERE change = :'chg'), 'cat', 'a justified break-glass is approved after the fact');

/* unjustified */
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v1')$$) AS chg \gset
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''quickly'')', :'chg')) AS rev \gset
SELECT pg_temp.new_acts() \g /dev/null
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.close_review(%L, ''unjustified'', ''no incident'')', :'rev')), 'closed', 'one human finds it unjustified, be it the anchor');
SELECT results_eq('SELECT status, emergency_until IS NULL FROM claiim.agents WHERE agent = ''bot''', $$VALUES ('suspended', true)$$, 'and the agent is suspended at once');
SELECT is(pg_temp.new_acts(), 'agent.suspend by bob on bot in acme; break_glass.review by bob on bot in acme', 'which is recorded');
SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_agent('bot','I want it')$$) AS chg \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''again'')', :'chg'), '42501',
	'what a review has suspended cannot be resumed by break-glass', 'and not resumed by breaking the glass again');
SELECT is(pg_temp.approve('t_cat', :'chg'), 'applied', 'but by two');

/* an organization */
SELECT pg_temp.by('t_ann', $$SELECT claiim.suspend_org('acme/sub','audit')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_org('acme/sub')$$) AS chg \gset
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''customers wait'', ''1 hour'')', :'chg')) AS rev \gset
SELECT ok((SELECT o.emergency_until = r.lapses_at FROM claiim.orgs o, claiim.reviews r WHERE o.org = 'acme/sub' AND r.review = :'rev'), 'what was done to an organization bounds it');
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.close_review(%L, ''unjustified'', ''they could wait'')', :'rev')), 'closed', 'and unjustified');
SELECT results_eq('SELECT status, emergency_until IS NULL FROM claiim.orgs WHERE org = ''acme/sub''', $$VALUES ('suspended', true)$$, 'suspends it');
SELECT pg_temp.by('t_ann', $$SELECT claiim.resume_org('acme/sub')$$) AS chg \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''again'')', :'chg'), '42501', NULL, 'nor is it resumed by breaking the glass again');
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null

/* every kind that is for emergencies, and whom it bounds */
CREATE FUNCTION pg_temp.bounded(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	change text := pg_temp.by('t_ann', statement);
	opened text := pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''emergency'')', change));
	result text;
BEGIN
	SELECT concat_ws(' ', c.kind, 'agent ' || r.bounded_agent, 'org ' || r.bounded_org,
					 CASE WHEN a.emergency_until IS NOT NULL OR o.emergency_until IS NOT NULL THEN 'bounded' END) INTO result
	FROM claiim.reviews r
		JOIN claiim.changes c ON c.change = r.change
		LEFT JOIN claiim.agents a ON a.agent = r.bounded_agent
		LEFT JOIN claiim.orgs o ON o.org = r.bounded_org
	WHERE r.review = opened;
	PERFORM pg_temp.by('t_cat', format('SELECT claiim.close_review(%L, ''justified'', ''ok'')', opened));
	RETURN result;
END
$$;
SELECT is(pg_temp.bounded(statement), bounds, bounds || ': by break-glass')
FROM (VALUES
	($$SELECT claiim.bind_policy('bot','p-v2')$$, 'policy.bind agent bot bounded'),
	($$SELECT claiim.set_skills('bot','{deploy,x}')$$, 'agent.skills agent bot bounded'),
	($$SELECT claiim.set_role('bot','t_bot')$$, 'agent.role agent bot bounded'),
	($$SELECT claiim.transfer_anchor('bot','dan')$$, 'anchor.transfer agent bot bounded'),
	($$SELECT claiim.bind_baseline('acme','base-v1')$$, 'baseline.bind org acme bounded'),
	($$SELECT claiim.unbind_baseline('acme')$$, 'baseline.unbind org acme bounded'),
	($$SELECT claiim.map_target('x/**','acme/sub')$$, 'target.map org acme/sub bounded')) AS v (statement, bounds);
SELECT is((SELECT string_agg(kind, ' ' ORDER BY kind) FROM claiim._kinds() WHERE emergency IS NOT NULL),
	'agent.resume agent.role agent.skills anchor.transfer baseline.bind baseline.unbind org.resume policy.bind session.grant target.map',
	'these kinds are for emergencies');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', pg_temp.by('t_ann', statement)), '42501',
	format('break-glass is not for changes of kind %s', kind), kind || ': not by break-glass')
FROM (VALUES
	($$SELECT claiim.register_org('acme/new')$$, 'org.register'),
	($$SELECT claiim.register_human('new','t_hal2',NULL,'acme',NULL)$$, 'human.register'),
	($$SELECT claiim.reactivate_human('hal')$$, 'human.reactivate'),
	($$SELECT claiim.grant_capability('cat','acme','admin')$$, 'capability.grant'),
	($$SELECT claiim.revoke_capability('dan','acme','admin')$$, 'capability.revoke'),
	($$SELECT claiim.register_agent('new','acme','ann','{}')$$, 'agent.register'),
	($$SELECT claiim.retire_agent('bot','x')$$, 'agent.retire'),
	($$SELECT claiim.unmap_target('x/**')$$, 'target.unmap'),
	($$SELECT claiim.set_quorum('acme','*',2)$$, 'quorum.set'),
	($$SELECT claiim.set_retention('acme','1 year')$$, 'retention.set')) AS v (statement, kind)
WHERE kind <> 'human.register';

/* with a quorum of two, a review needs two as well */
SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.set_quorum('acme','policy.bind',2)$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v1')$$) AS chg \gset
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg')) AS rev \gset
SELECT is(pg_temp.by('t_bob', format('SELECT claiim.close_review(%L, ''justified'', ''one'')', :'rev')), 'open', 'where a change needs two approvals, a review stays open after the first');
SELECT pg_temp.refused('t_bob', format('SELECT claiim.close_review(%L, ''justified'', ''two'')', :'rev'), '42501', NULL, 'nobody gives both');
SELECT ok((SELECT emergency_until IS NOT NULL FROM claiim.agents WHERE agent = 'bot'), 'the agent stays bounded');
SELECT is(pg_temp.by('t_cat', format('SELECT claiim.close_review(%L, ''justified'', ''two'')', :'rev')), 'closed', 'the second closes it');
SELECT is((SELECT emergency_until FROM claiim.agents WHERE agent = 'bot'), NULL, 'and lifts the bound');
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v2')$$) AS chg \gset
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
SELECT pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg')) AS rev \gset
SELECT is(pg_temp.detail('policy.bind') -> 'approved_by', '["bob"]', 'who approved before the glass was broken is named');
SELECT is(pg_temp.by('t_cat', format('SELECT claiim.close_review(%L, ''justified'', ''x'')', :'rev')), 'closed', 'and counts in the review');

/* what stands in the way of a change stands in the way of break-glass */
SELECT pg_temp.by('t_ann', $$SELECT claiim.bind_policy('bot','p-v1')$$) AS chg \gset
SELECT pg_temp.both('t_bob','t_ann', $$SELECT claiim.set_skills('bot','{other}')$$);
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg'), '22023', NULL, 'break-glass re-checks what the proposal checked');
SELECT pg_temp.both('t_bob','t_ann', $$SELECT claiim.set_skills('bot','{deploy}')$$);
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('bot','{deploy,y}')$$) AS chg \gset
UPDATE claiim.changes SET payload = jsonb_set(payload, '{skills}', '["everything"]') WHERE change = :'chg';
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg'), 'XX001', NULL, 'nor does it apply what was altered');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('bot','{deploy,z}')$$) AS chg \gset
UPDATE claiim.changes SET proposed_at = proposed_at - interval '8 days', expires_at = expires_at - interval '8 days' WHERE change = :'chg';
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg'), '55000', NULL, 'or what has expired');

/* forbidding it */
SELECT pg_temp.refused('t_eve', $$SELECT claiim.forbid_break_glass('acme','x')$$, '42501', NULL, 'another organization''s admin forbids nothing');
SELECT is(replace(pg_temp.error_by('t_eve', $$SELECT claiim.forbid_break_glass('acme/sub','x')$$), 'acme/sub', '?'),
	replace(pg_temp.error_by('t_eve', $$SELECT claiim.forbid_break_glass('acme/none','x')$$), 'acme/none', '?'), 'nor learns what there is');
SELECT pg_temp.refused('t_cat', $$SELECT claiim.forbid_break_glass('acme',NULL)$$, '22004', NULL, 'forbidding takes a reason');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.permit_break_glass('acme')$$, '55000', 'break-glass is not forbidden in organization "acme"', 'what is permitted is not permitted again');
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_cat', $$SELECT claiim.forbid_break_glass('acme','we are always two')$$);
SELECT is(pg_temp.new_acts(), 'break_glass.forbid by cat on acme in acme', 'an approver forbids break-glass, alone and at once');
SELECT pg_temp.refused('t_bob', $$SELECT claiim.forbid_break_glass('acme','again')$$, '55000', 'break-glass is already forbidden in organization "acme"', 'once');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('bot','{deploy,w}')$$) AS chg \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg'), '42501', 'break-glass is forbidden in organization "acme"', 'then nobody acts alone');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_skills('sub-bot','{deploy,w}')$$) AS chg \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg'), '42501', 'break-glass is forbidden in organization "acme/sub"', 'nor below');
SELECT pg_temp.by('t_ann', $$SELECT claiim.permit_break_glass('acme')$$) AS permit \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'permit'), '42501', NULL, 'permitting it takes two');
SELECT is(pg_temp.approve('t_bob', :'permit'), 'applied', 'who permit it again');
SELECT ok(pg_temp.by('t_ann', format('SELECT claiim.break_glass(%L, ''x'')', :'chg')) IS NOT NULL, 'and it works');

/* ---- retention, holds, erasure ---- */

SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_retention('acme','-1 day')$$, '22023', 'contexts cannot be kept for -1 days', 'contexts are kept for some time');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_retention('acme','0')$$, '22023', NULL, 'not none');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.set_retention('acme',NULL)$$, '42710', NULL, 'for good is what there is');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.set_retention('acme','1 year')$$, '42501', NULL, 'another organization''s admin has no say');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.prune_contexts('acme')$$, '55000', 'organization "acme" keeps its contexts for good', 'nothing is pruned before somebody said from when');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_retention('acme','6 months 2 days 12:00')$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'), 'keep contexts of decisions of ''acme'' for ''6 mons 2 days 12:00:00'' (now: for good)', 'a retention says what it changes');
SET LOCAL IntervalStyle = 'iso_8601';
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'two set it, whatever style their sessions have');
RESET IntervalStyle;
SELECT is((SELECT keep FROM claiim.retentions WHERE org = 'acme'), interval '6 months 2 days 12 hours', 'as it was proposed');
SELECT is(claiim._retention('acme/sub/deep'), interval '6 months 2 days 12 hours', 'it holds below');
SELECT is(claiim._retention('other'), NULL, 'not beside');
SELECT pg_temp.by('t_ann', $$SELECT claiim.set_retention('acme/sub','1 year')$$) AS chg \gset
SET LOCAL IntervalStyle = 'sql_standard';
SELECT pg_temp.approve('t_bob', :'chg') \g /dev/null
RESET IntervalStyle;
SELECT is(claiim._retention('acme/sub/deep'), interval '1 year', 'the nearest says');
SELECT is(pg_temp.by('t_ann', $$SELECT claiim.prune_contexts('acme')$$), '0', 'where nothing is old enough, nothing is pruned');
SELECT pg_temp.refused('t_cat', $$SELECT claiim.prune_contexts('acme')$$, '42501', NULL, 'an approver prunes nothing');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.prune_contexts('acme')$$, '42501', NULL, 'nor another organization''s admin');

SELECT pg_temp.refused('t_ann', $$SELECT claiim.place_hold('acme',NULL)$$, '22004', 'reason must not be null', 'a hold takes a reason');
SELECT pg_temp.refused('t_eve', $$SELECT claiim.place_hold('acme','x')$$, '42501', NULL, 'and is not placed by another organization');
SELECT pg_temp.new_acts() \g /dev/null
SELECT pg_temp.by('t_ann', $$SELECT claiim.place_hold('acme/sub','lawsuit 7')$$);
SELECT is(pg_temp.new_acts(), 'hold.place by ann on acme/sub in acme/sub', 'one human places a hold, at once');
SELECT ok(claiim._is_held('acme/sub/deep') AND NOT claiim._is_held('acme') AND NOT claiim._is_held('acme/side'), 'it holds for the organization and below');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.place_hold('acme/sub','x')$$, '55000', 'organization "acme/sub" is already under a legal hold', 'once');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.release_hold('acme','x')$$, '55000', 'organization "acme" is not under a legal hold', 'what is not held is not released');
SELECT pg_temp.by('t_ann', $$SELECT claiim.release_hold('acme/sub','settled')$$) AS chg \gset
SELECT is((SELECT summary FROM claiim.changes WHERE change = :'chg'), 'release the legal hold of ''acme/sub'', placed by ''ann'' for ''lawsuit 7'': ''settled''', 'releasing says what was held, and why');
SELECT ok(claiim._is_held('acme/sub'), 'one human does not release it');
SELECT is(pg_temp.approve('t_bob', :'chg'), 'applied', 'two do');
SELECT ok(NOT claiim._is_held('acme/sub'), 'and then it is none');

SELECT is(replace(pg_temp.error_by('t_ann', format('SELECT claiim.erase_context(%L,''x'')', claiim.chron_id(1000000000, '2020-01-01'))), claiim.chron_id(1000000000, '2020-01-01'), '?'),
	'42501 | there is no decision "?" whose context human "ann" administers | Either there is no such decision, or you do not hold the admin capability in its organization.',
	'a decision that does not exist has no context to erase');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.erase_context('nonsense','x')$$, '22023', NULL, 'an identifier is an identifier');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.erase_context(NULL,'x')$$, '22004', NULL, 'and not NULL');
SELECT throws_ok('DELETE FROM claiim.contexts', '42501', NULL, 'contexts are not deleted by hand') WHERE EXISTS (SELECT FROM claiim.contexts);

/* ---- what is told about the tables ---- */

SELECT pg_temp.both('t_ann','t_bob', $$SELECT claiim.grant_capability('cat','acme','auditor')$$);
SELECT is(pg_temp.by('t_cat', 'SELECT string_agg(table_name, '' '' ORDER BY table_name) FROM claiim.registry_digests()'),
	'agents anchors approvals bindings changes holds humans memberships orgs policies policy_versions quorums retentions reviews sessions skill_versions skills targets tokens',
	'auditors of the founding organization see a digest of each governed table');
SELECT is((SELECT sha256 FROM claiim.registry_digests() WHERE table_name = 'targets'),
	(SELECT encode(sha256(convert_to(string_agg(format('{"pattern":%s,"org":%s}', to_json(pattern), to_json(org)), E'\n' ORDER BY pattern COLLATE "C"), 'UTF8')), 'hex') FROM claiim.targets),
	'over its rows as JSON, in the order of the primary key');
SET LOCAL TimeZone = 'UTC'; SET LOCAL bytea_output = 'hex'; SET LOCAL IntervalStyle = 'postgres';
SELECT results_eq($$SELECT row_count, sha256 FROM claiim.registry_digests() WHERE table_name = 'orgs'$$,
	$$SELECT count(*), encode(sha256(convert_to(coalesce(string_agg(row_to_json(t)::text, E'\n'
		ORDER BY t.org COLLATE "C"), ''), 'UTF8')), 'hex')
	FROM ONLY claiim.orgs AS t$$, 'as doc/chron-format.md computes it');
SELECT is((SELECT sha256 FROM claiim.registry_digests() WHERE table_name = 'holds'), encode(sha256(''), 'hex'), 'of no rows, that of the empty string');
SET LOCAL TimeZone = 'Asia/Tokyo';
SELECT sha256 AS tokyo FROM claiim.registry_digests() WHERE table_name = 'humans' \gset
SELECT is(current_setting('TimeZone'), 'Asia/Tokyo', 'the session''s settings are as before');
SET LOCAL TimeZone = 'America/New_York';
SELECT is((SELECT sha256 FROM claiim.registry_digests() WHERE table_name = 'humans'), :'tokyo', 'whatever the session''s time zone');
SELECT is((SELECT row_count FROM claiim.registry_digests() WHERE table_name = 'humans'), (SELECT count(*) FROM claiim.humans), 'with the number of rows');
SELECT pg_temp.refused('t_eve', 'SELECT count(*)::text FROM claiim.registry_digests()', '42501', NULL, 'others do not see them');

/* ---- the state in all ---- */

SELECT is((SELECT count(*) FROM claiim.approvals a JOIN claiim.changes c USING (change) WHERE a.human = c.proposed_by), 0::bigint,
	'no change was approved by its proposer');
SELECT is((SELECT count(*) FROM claiim.changes c WHERE status = 'applied'
	AND (SELECT count(*) FROM claiim.approvals a WHERE a.change = c.change) < c.quorum
	AND NOT EXISTS (SELECT FROM claiim.reviews r WHERE r.change = c.change AND r.verdict IS DISTINCT FROM 'justified')), 0::bigint,
	'none was applied with fewer approvals than it needed, but what the glass was broken for');
SELECT is((SELECT count(*) FROM claiim.reviews r WHERE r.closed_by = r.broken_by), 0::bigint, 'nobody reviewed what he had done alone');

SELECT * FROM finish();
ROLLBACK;
