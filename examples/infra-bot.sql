-- Privileged infrastructure: reads state; applies change orders, but only
-- inside a session that humans approved beforehand.  It never destroys, and
-- never drops or modifies schemas.
--
-- Here it gets its policy.  Its sessions come and go with its change orders:
-- run.sh has it ask for one, and humans approve.
--
-- run.sh runs it, once, in one transaction.

SET SESSION AUTHORIZATION s_emp2;
\set source `cat skills/infra-v1.yaml`
SELECT claiim.publish_skill('infra', :'source', 'engineering');
SELECT claiim.register_agent('infra-bot', 'engineering', anchor => 's.emp2',
    skills => '{infra}', role_name => 'infra_bot') AS change \gset
SET SESSION AUTHORIZATION s_emp1;
SELECT claiim.approve(:'change');

SET SESSION AUTHORIZATION s_emp2;
\set source `cat policies/infra-guarded-v1.yaml`
SELECT claiim.publish_policy('infra-guarded', :'source', 'engineering');
SELECT claiim.bind_policy('infra-bot', 'infra-guarded-v1') AS change \gset
SET SESSION AUTHORIZATION s_emp1;
SELECT claiim.approve(:'change');

RESET SESSION AUTHORIZATION;
