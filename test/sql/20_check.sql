-- The gate's answers: every reason code of doc/decisions.md that does not need
-- a token, the order in which they are looked for, and that a record says what
-- its answer said.

\set VERBOSITY terse
\set ask 'SELECT outcome, reason_code, reason, rule FROM claiim_check'

-- The happy path, and the record of it.
SET SESSION AUTHORIZATION regress_deploy;
SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'app/api-v2') \gset a_
\echo :a_outcome :a_reason_code / :a_reason / :a_rule / :a_anchor :a_org :a_policy :a_skill
RESET SESSION AUTHORIZATION;
SELECT (outcome, reason, reason_code, rule, anchor, org, policy, skill, at)
       = (:'a_outcome', :'a_reason', :'a_reason_code', :'a_rule', :'a_anchor', :'a_org',
          :'a_policy', :'a_skill', :'a_decided_at'::timestamptz) AS record_says_what_was_answered,
       baseline IS NULL AND session IS NULL AND context_digest IS NULL AS nothing_else,
       kind, agent, action, target, auth, token, db_user,
       client IS NOT DISTINCT FROM host(inet_client_addr()) AS client_is_this
FROM claiim.chron WHERE claiim.chron_id(seq, at) = :'a_chron_id' \gx

SET SESSION AUTHORIZATION regress_deploy;
-- BRIEF.md's reason, to the letter
:ask ('deploy-bot', 'deploy:production', 'app/api-v2');
-- Wildcards of a policy match one segment; a deny wins over an allow.
:ask ('deploy-bot', 'deploy:rollback:staging', 'app/api-v2');
:ask ('deploy-bot', 'deploy:rollback:production', 'app/api-v2');
:ask ('deploy-bot', 'deploy:rollback:a:b', 'app/api-v2');
-- An entry for some targets only
:ask ('deploy-bot', 'deploy:canary', 'app/api-v2');
:ask ('deploy-bot', 'deploy:canary', 'app/api-v2/deeper');
:ask ('deploy-bot', 'deploy:canary', 'prod/7');
-- Outside of the skill, whatever the policy says
:ask ('deploy-bot', 'infra:read', 'app/api-v2');
-- Matching is exact: no prefix, no suffix, no case folding.
:ask ('deploy-bot', 'Deploy:staging', 'app/api-v2');
:ask ('deploy-bot', 'deploy:staging2', 'app/api-v2');
:ask ('deploy-bot', 'deploy', 'app/api-v2');
-- The organization's boundary; the other organization is not named.
:ask ('deploy-bot', 'deploy:staging', 'ledger/2026');
:ask ('deploy-bot', 'deploy:staging', 'elsewhere');
:ask ('deploy-bot', 'deploy:staging', 'prod/7/deeper');
-- A session that is passed and does not exist does not fit.
:ask ('deploy-bot', 'deploy:staging', 'app/x', session => 'ses_0');
-- Identity: a bad token is not made good by the role.
:ask ('deploy-bot', 'deploy:staging', 'app/x', token => 'nonsense');
:ask ('infra-bot', 'infra:read', 'app/x');
:ask ('nobody', 'infra:read', 'app/x');
-- SET ROLE is not who logged in.
RESET SESSION AUTHORIZATION;
SET ROLE regress_deploy;
:ask ('deploy-bot', 'deploy:staging', 'app/x');
RESET ROLE;

-- No policy bound
SET SESSION AUTHORIZATION regress_agent;
:ask ('bare-bot', 'deploy:staging', 'app/x');
RESET SESSION AUTHORIZATION;

-- A skill that the agent no longer declares; nothing was bound anew.
SELECT two.people($$set_role('infra-bot', 'regress_stranger')$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:read', 'app/x');
:ask ('infra-bot', 'infra:apply', 'app/x');
:ask ('infra-bot', 'infra:apply', 'app/x', session => 'ses_0');
RESET SESSION AUTHORIZATION;
SELECT two.people($$set_skills('infra-bot', '{deploy}')$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:read', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT two.people($$set_skills('infra-bot', '{infra}')$$);

-- Baselines: what an organization forbids or does not allow, its agents may
-- not, and not those below it.
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_policy('base', $$deny:
  - infra:read
$$, 'acme');
SELECT claiim.publish_policy('base', $$allow: ["deploy:*", "health:*"]
$$, 'acme');
SELECT claiim.publish_policy('quiet', $$deny: [deploy:canary]
$$, 'acme');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_baseline('acme', 'base-v1')$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:read', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_baseline('acme', 'base-v2')$$);
SET SESSION AUTHORIZATION regress_stranger;
:ask ('infra-bot', 'infra:read', 'app/x');
SET SESSION AUTHORIZATION regress_deploy;
SELECT outcome, rule, baseline FROM claiim_check('deploy-bot', 'deploy:staging', 'app/x');
:ask ('deploy-bot', 'deploy:rollback:staging', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT two.people($$register_org('acme/web')$$);
SELECT two.people($$map_target('app/web/**', 'acme/web')$$);
CREATE ROLE regress_web LOGIN;
SELECT two.people($$register_agent('web-bot', 'acme/web', 'ann', '{deploy}', 'regress_web')$$);
SELECT two.people($$bind_policy('web-bot', 'no-prod-v1')$$);
SELECT two.people($$bind_baseline('acme/web', 'quiet-v1')$$);
SET SESSION AUTHORIZATION regress_web;
SELECT outcome, reason, rule, baseline FROM claiim_check('web-bot', 'deploy:canary', 'app/web/1');
SELECT outcome, reason, rule, baseline FROM claiim_check('web-bot', 'deploy:staging', 'app/web/1');
-- An organization above is another organization all the same.
:ask ('web-bot', 'deploy:staging', 'app/x');
RESET SESSION AUTHORIZATION;
-- Who does not prove to be the agent is told nothing of it.  Chron says whom the
-- stranger asked for.
\set stranger 'SELECT reason_code, num_nonnulls(anchor, org, policy, skill, baseline) AS told, chron_id FROM claiim_check'
SET SESSION AUTHORIZATION regress_stranger;
:stranger ('web-bot', 'deploy:staging', 'app/web/1') \gset s1_
:stranger ('web-bot', 'deploy:staging', 'app/web/1', token => 'nonsense') \gset s2_
:stranger ('web-bot', 'infra:read', 'app/web/1', token => 'ctk_01j00000000000000000000000_' || repeat('A', 43)) \gset s3_
\pset null '(null)'
SELECT reason_code, anchor, org, policy, skill, baseline
FROM claiim_check_many('web-bot', '{deploy:staging,infra:read}', '{app/web/many,app/web/many}');
\pset null ''
RESET SESSION AUTHORIZATION;
SELECT v.n, v.reason_code, v.told AS told_the_stranger, c.reason_code, c.anchor, c.org, c.policy, c.skill, c.baseline
FROM (VALUES
    (1, :'s1_reason_code', :s1_told, :'s1_chron_id'),
    (2, :'s2_reason_code', :s2_told, :'s2_chron_id'),
    (3, :'s3_reason_code', :s3_told, :'s3_chron_id')) AS v (n, reason_code, told, id)
    JOIN claiim.chron c ON claiim.chron_id(c.seq, c.at) = v.id
ORDER BY n;
SELECT action, anchor, org, policy, skill, baseline FROM claiim.chron WHERE target = 'app/web/many' ORDER BY seq;
SELECT two.people($$unbind_baseline('acme')$$);

-- Suspended, retired, without a human: each counts before all that comes after
-- it in the order of a decision.
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('deploy-bot', 'test');
SELECT claiim.suspend_org('acme/web', 'test');
RESET SESSION AUTHORIZATION;
SELECT two.people($$retire_agent('bare-bot', 'test')$$);
SET SESSION AUTHORIZATION regress_deploy;
:ask ('deploy-bot', 'deploy:staging', 'ledger/1');
:ask ('deploy-bot', 'deploy:staging', 'app/x', token => 'nonsense');
SET SESSION AUTHORIZATION regress_agent;
:ask ('bare-bot', 'deploy:staging', 'ledger/1');
SET SESSION AUTHORIZATION regress_web;
:ask ('web-bot', 'deploy:staging', 'ledger/1');
RESET SESSION AUTHORIZATION;
SELECT two.people($$resume_agent('deploy-bot', 'test')$$);
SELECT two.people($$resume_org('acme/web')$$);
SET SESSION AUTHORIZATION regress_deploy;
:ask ('deploy-bot', 'deploy:staging', 'app/x');
SET SESSION AUTHORIZATION regress_web;
:ask ('web-bot', 'deploy:staging', 'app/web/1');
RESET SESSION AUTHORIZATION;

-- An organization above that is suspended suspends those below.
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_org('acme', 'test');
SET SESSION AUTHORIZATION regress_web;
:ask ('web-bot', 'deploy:staging', 'app/web/1');
RESET SESSION AUTHORIZATION;
SELECT two.people($$resume_org('acme')$$);

-- The anchor: handed over, old records keep the old one; inactive; none.
CREATE ROLE regress_gus LOGIN;
SELECT two.people($$register_human('gus', 'regress_gus', NULL, 'acme', '{member}')$$);
SELECT two.people($$transfer_anchor('deploy-bot', 'gus')$$);
SET SESSION AUTHORIZATION regress_deploy;
SELECT outcome, anchor FROM claiim_check('deploy-bot', 'deploy:staging', 'app/handover');
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.deactivate_human('gus', 'test');
SET SESSION AUTHORIZATION regress_deploy;
:ask ('deploy-bot', 'deploy:staging', 'ledger/1');
RESET SESSION AUTHORIZATION;
SELECT DISTINCT anchor FROM claiim.chron WHERE agent = 'deploy-bot' ORDER BY 1;
-- No function leaves an agent without an anchor; a superuser with a hammer can,
-- and the gate sees it at once.
BEGIN;
ALTER TABLE claiim.anchors DISABLE TRIGGER claiim_guard_rows;
CREATE TEMP TABLE kept AS SELECT * FROM claiim.anchors WHERE agent = 'deploy-bot';
DELETE FROM claiim.anchors WHERE agent = 'deploy-bot';
ALTER TABLE claiim.anchors ENABLE ALWAYS TRIGGER claiim_guard_rows;
COMMIT;
SET SESSION AUTHORIZATION regress_deploy;
:ask ('deploy-bot', 'deploy:staging', 'ledger/1');
RESET SESSION AUTHORIZATION;
BEGIN;
ALTER TABLE claiim.anchors DISABLE TRIGGER claiim_guard_rows;
INSERT INTO claiim.anchors SELECT * FROM kept;
ALTER TABLE claiim.anchors ENABLE ALWAYS TRIGGER claiim_guard_rows;
COMMIT;
SELECT two.people($$reactivate_human('gus')$$);
SET SESSION AUTHORIZATION regress_deploy;
:ask ('deploy-bot', 'deploy:staging', 'app/x');
RESET SESSION AUTHORIZATION;
SELECT ok, problem FROM claiim.verify();
