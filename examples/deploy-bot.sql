-- DevOps: deploys to staging, rolls staging back, checks health.  Production
-- and the infrastructure are not its business.
--
-- The rehearsal (docker/rehearsal.sh) makes this very agent too, so each step
-- here is taken only if it is still to be done.

SELECT
    NOT EXISTS (SELECT FROM claiim.agents WHERE agent = 'deploy-bot') AS agent,
    NOT EXISTS (SELECT FROM claiim.skill_versions WHERE name = 'deploy-v1') AS skill_v1,
    NOT EXISTS (SELECT FROM claiim.skill_versions WHERE name = 'deploy-v2') AS skill_v2,
    NOT EXISTS (SELECT FROM claiim.policy_versions WHERE name = 'no-prod-v1') AS policy,
    NOT EXISTS (SELECT FROM claiim.bindings WHERE agent = 'deploy-bot') AS binding
\gset missing_

-- Publishing takes one human: a version does nothing until two have bound it.
SET SESSION AUTHORIZATION s_emp1;
\if :missing_skill_v1
    \set source `cat skills/deploy-v1.yaml`
    SELECT claiim.publish_skill('deploy', :'source', 'engineering');
\endif
\if :missing_skill_v2
    \set source `cat skills/deploy-v2.yaml`
    SELECT claiim.publish_skill('deploy', :'source', 'engineering');
\endif
\if :missing_policy
    \set source `cat policies/no-prod-v1.yaml`
    SELECT claiim.publish_policy('no-prod', :'source', 'engineering');
\endif

-- An agent takes two.
\if :missing_agent
    SELECT claiim.register_agent('deploy-bot', 'engineering', anchor => 's.emp1',
        skills => '{deploy}', role_name => 'deploy_bot') AS change \gset
    SET SESSION AUTHORIZATION s_emp2;
    SELECT claiim.approve(:'change');
\endif

-- So does what governs it.
SET SESSION AUTHORIZATION s_emp1;
\if :missing_binding
    SELECT claiim.bind_policy('deploy-bot', 'no-prod-v1') AS change \gset
    SET SESSION AUTHORIZATION s_emp2;
    SELECT claiim.approve(:'change');
\endif
RESET SESSION AUTHORIZATION;
