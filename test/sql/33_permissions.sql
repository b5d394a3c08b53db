-- What an agent may do: listed for itself and for the humans of its organization,
-- by the latest state, and never at odds with the gate.

\set VERBOSITY terse
\set may 'SELECT action, target, condition, exceptions, rule, policy, org FROM claiim_permissions'

CREATE ROLE regress_perm LOGIN;
CREATE ROLE regress_perm_aud LOGIN;
CREATE ROLE regress_perm_mem LOGIN IN ROLE claiim_admin;
SELECT two.people($$register_org('acme/perm')$$);
SELECT two.people($$map_target('perm/**', 'acme/perm')$$);
SELECT two.people($$map_target('perm/lent/**', 'fin')$$);
SELECT two.people($$map_target('long/**', 'acme/perm')$$);
SELECT two.people($$map_target('long/*', 'fin')$$);
SELECT two.people($$register_human('perm-aud', 'regress_perm_aud', NULL, 'acme/perm', '{auditor}')$$);
SELECT two.people($$register_human('perm-mem', 'regress_perm_mem', NULL, 'acme/perm', '{member}')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_skill('perm', 'actions: ["a:**", "b:*", c]', 'acme');
SELECT claiim.publish_policy('perm', $$skill: perm-v1
allow:
  - a:*
  - action: a:deep:*
    target: perm/x/*
  - {action: b:*, requires: session}
  - b:open
  - {action: c, target: prod/*}
  - {action: c, target: perm/lent/now}
  - {action: c, target: "perm/lent/*"}
  - {action: c, target: long/*}
  - {action: c, target: long/**}
deny:
  - a:never
  - {action: "**", target: perm/vault/**}
$$, 'acme');
RESET SESSION AUTHORIZATION;
SELECT two.people($$register_agent('perm-bot', 'acme/perm', 'ann', '{perm}', 'regress_perm')$$);

-- Without a policy nothing, and it is said why
SET SESSION AUTHORIZATION regress_perm;
\set VERBOSITY default
:may ('perm-bot');
\set VERBOSITY terse
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_policy('perm-bot', 'perm-v1')$$);

-- Its own targets are what the organization owns: an entry for others' is no
-- permission.  "c" is allowed on what is long enough; the rest of it is lent.
SET SESSION AUTHORIZATION regress_perm;
:may ('perm-bot');

-- The gate says the same, of actions and targets near all of these patterns.
CREATE FUNCTION pg_temp.matches(pattern text, name text, separator text) RETURNS boolean
LANGUAGE sql AS $$
	SELECT name ~ ('^(' || replace(replace(replace(pattern, '**', '#'), '*', '[^' || separator || ']*'), '#', '.*') || ')$')
$$;
CREATE FUNCTION pg_temp.listed(action text, target text) RETURNS text
LANGUAGE sql AS $$
	SELECT coalesce((SELECT string_agg(DISTINCT coalesce(p.condition, 'ALLOW'), '?')
	FROM claiim_permissions('perm-bot') p
	WHERE pg_temp.matches(p.action, listed.action, ':') AND pg_temp.matches(p.target, listed.target, '/')
	  AND NOT EXISTS (SELECT FROM unnest(p.exceptions) e
		WHERE pg_temp.matches(split_part(e, ' on ', 1), listed.action, ':')
		  AND pg_temp.matches(coalesce(nullif(split_part(e, ' on ', 2), ''), '**'), listed.target, '/'))), 'DENY')
$$;
WITH asked AS MATERIALIZED (
	SELECT array_agg(a ORDER BY a, t) AS actions, array_agg(t ORDER BY a, t) AS targets
	FROM unnest('{a:x,a:never,a:deep:x,a:deep:never,a:deep,b:open,b:x,c,d}'::text[]) a,
		unnest('{perm/x,perm/x/y,perm/x/y/z,perm/vault/x,perm/vault,perm/other/q,long/x/y}'::text[]) t)
SELECT count(*) AS asked, count(*) FILTER (WHERE g.outcome = 'ALLOW') AS allowed,
	count(*) FILTER (WHERE g.reason_code = 'session_required') AS with_session,
	count(*) FILTER (WHERE pg_temp.listed(g.action, g.target) IS DISTINCT FROM
		CASE WHEN g.reason_code = 'session_required' THEN 'session' ELSE g.outcome END) AS at_odds
FROM (SELECT x.action, x.target, g.outcome, g.reason_code
	FROM asked, ROWS FROM (unnest(actions), unnest(targets), claiim_check_many('perm-bot', actions, targets))
		AS x (action, target, outcome, reason, reason_code, rule, chron_id, anchor, org, policy, skill, baseline, session, decided_at)
		, LATERAL (SELECT x.outcome, x.reason_code) g) g;
RESET SESSION AUTHORIZATION;

-- Who may ask: the agent, by each of its proofs; admins, approvers and auditors of
-- its organization or above; and nobody else, who is not even told that it exists.
SET SESSION AUTHORIZATION regress_ann;
SELECT token FROM claiim.issue_token('perm-bot') \gset
SELECT count(*) AS admin FROM claiim_permissions('perm-bot');
SET SESSION AUTHORIZATION regress_bob;
SELECT count(*) AS approver FROM claiim_permissions('perm-bot');
SET SESSION AUTHORIZATION regress_perm_aud;
SELECT count(*) AS auditor FROM claiim_permissions('perm-bot');
SET SESSION AUTHORIZATION regress_agent;
SELECT count(*) AS by_token FROM claiim_permissions('perm-bot', :'token');
BEGIN;
SELECT claiim_authenticate('perm-bot', :'token');
SELECT count(*) AS in_transaction FROM claiim_permissions('perm-bot');
COMMIT;
RESET SESSION AUTHORIZATION;
\pset format unaligned
\pset tuples_only on
SET SESSION AUTHORIZATION regress_agent;
SELECT two.error($$SELECT claiim_permissions('perm-bot')$$);
SELECT two.error($$SELECT claiim_permissions('perm-bot')$$) =
    replace(two.error($$SELECT claiim_permissions('no-bot')$$), 'no-bot', 'perm-bot') AS not_told_apart;
SELECT two.error($$SELECT claiim_permissions('perm-bot', 'nonsense')$$) =
    two.error($$SELECT claiim_permissions('perm-bot')$$) AS wrong_token;
SET SESSION AUTHORIZATION regress_perm;
SELECT left(two.error($$SELECT claiim_permissions('perm-bot', 'nonsense')$$), 5) AS a_token_decides_alone;
SELECT left(two.error($$SELECT claiim_permissions('deploy-bot')$$), 5) AS another_agent;
SET SESSION AUTHORIZATION regress_ann;
SELECT left(two.error($$SELECT claiim_permissions('perm-bot', 'nonsense')$$), 5) AS also_a_humans;
SET SESSION AUTHORIZATION regress_perm_mem;
SELECT left(two.error($$SELECT claiim_permissions('perm-bot')$$), 5) AS member;
SET SESSION AUTHORIZATION regress_perm_aud;
SELECT left(two.error($$SELECT claiim_permissions('deploy-bot')$$), 5) AS auditor_below;
SET SESSION AUTHORIZATION regress_cfo;
SELECT left(two.error($$SELECT claiim_permissions('perm-bot')$$), 5) AS auditor_elsewhere;
RESET SESSION AUTHORIZATION;

-- Arguments
SELECT two.error($$SELECT claiim_permissions(NULL)$$);
SELECT two.error($$SELECT claiim_permissions('')$$);
SELECT two.error($$SELECT claiim_permissions(repeat('x', 129))$$);
\pset tuples_only off
\pset format aligned

-- It writes nothing, not where it is refused either, and works where nothing can be written.
SELECT count(*) AS before FROM claiim.chron \gset
SET SESSION AUTHORIZATION regress_perm;
BEGIN READ ONLY;
SELECT count(*) FROM claiim_permissions('perm-bot');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*) FROM claiim_permissions('perm-bot');
COMMIT;
SELECT claiim_permissions('no-bot');
RESET SESSION AUTHORIZATION;
SELECT count(*) - :before AS recorded FROM claiim.chron;
-- Not by what may be rolled back
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('perm-bot', 'test');
SELECT count(*) FROM claiim_permissions('perm-bot');
ROLLBACK;

-- A baseline, and whatever denies everything: nothing is listed, and why is said.
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_policy('perm-base', $$allow: ["a:**", "b:**"]
deny: ["*:x"]
$$, 'acme/perm');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_baseline('acme/perm', 'perm-base-v1')$$);
SET SESSION AUTHORIZATION regress_perm;
:may ('perm-bot');
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('perm-bot', 'test');
SET SESSION AUTHORIZATION regress_perm;
\set VERBOSITY default
:may ('perm-bot');
RESET SESSION AUTHORIZATION;
SELECT two.people($$resume_agent('perm-bot', 'test')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_org('acme/perm', 'test');
:may ('perm-bot');
RESET SESSION AUTHORIZATION;
SELECT two.people($$resume_org('acme/perm')$$);
SELECT two.people($$transfer_anchor('perm-bot', 'perm-mem')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.deactivate_human('perm-mem', 'test');
:may ('perm-bot');
RESET SESSION AUTHORIZATION;
SELECT two.people($$transfer_anchor('perm-bot', 'ann')$$);
SELECT two.people($$unmap_target('perm/**')$$);
SELECT two.people($$unmap_target('long/**')$$);
SET SESSION AUTHORIZATION regress_perm;
:may ('perm-bot');
RESET SESSION AUTHORIZATION;
SELECT two.people($$map_target('perm/**', 'acme/perm')$$);

-- Many: all of them, or an error that says so
SELECT two.people($$unbind_baseline('acme/perm')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_policy('perm-many', E'skill: perm-v1\nallow:\n'
    || (SELECT string_agg(format(E'  - a:s%s:x\n', i), '') FROM generate_series(1, 10000) i)
    || E'deny: [{action: "**", target: perm/vault/**}]\n', 'acme');
SELECT claiim.publish_policy('perm-cross', E'skill: perm-v1\nallow:\n'
    || (SELECT string_agg(format(E'  - "a:s%s:*"\n', i), '') FROM generate_series(1, 1100) i)
    || E'deny:\n'
    || (SELECT string_agg(format(E'  - "a:*:s%s"\n', i), '') FROM generate_series(1, 1100) i), 'acme');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_policy('perm-bot', 'perm-many-v1')$$);
SET SESSION AUTHORIZATION regress_perm;
SELECT count(*), count(DISTINCT action), bool_and(exceptions = '{** on perm/vault/**}') AS but_for
FROM claiim_permissions('perm-bot');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_policy('perm-bot', 'perm-cross-v1')$$);
SET SESSION AUTHORIZATION regress_perm;
:may ('perm-bot');
RESET SESSION AUTHORIZATION;
SELECT two.people($$retire_agent('perm-bot', 'test')$$);
SET SESSION AUTHORIZATION regress_perm;
:may ('perm-bot');
RESET SESSION AUTHORIZATION;
\set VERBOSITY terse
SELECT ok, problem FROM claiim.verify();
