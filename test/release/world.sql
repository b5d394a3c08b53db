-- A small world in which there is one of everything: what a released version
-- leaves behind in a database that is updated later.  tools/keep-release.sh
-- keeps a dump of it for every release; test/t/050_update.pl restores and
-- updates it.  For psql, as superuser, in a database that has the extension.
--
-- The roles are the test's: ann and bob govern, deploy is an agent's.

\set ON_ERROR_STOP on
\set QUIET on
SELECT format('CREATE ROLE %I LOGIN', r) FROM unnest('{ann,bob,deploy}'::text[]) AS r WHERE to_regrole(r) IS NULL \gexec

SELECT claiim.bootstrap('acme', 'ann', 'ann', 'bob', 'bob') \g /dev/null

SET SESSION AUTHORIZATION ann;
SELECT claiim.publish_skill('deploy', 'actions: [deploy:*]', 'acme') \g /dev/null
SELECT claiim.publish_policy('staging', E'skill: deploy-v1\nallow: [deploy:staging]\ndeny: [deploy:production]', 'acme') \g /dev/null
SELECT claiim.register_agent('deploy-bot', 'acme', 'ann', '{deploy}', 'deploy') AS change \gset
SET SESSION AUTHORIZATION bob;
SELECT claiim.approve(:'change') \g /dev/null
SET SESSION AUTHORIZATION ann;
SELECT claiim.bind_policy('deploy-bot', 'staging-v1') AS change \gset
SET SESSION AUTHORIZATION bob;
SELECT claiim.approve(:'change') \g /dev/null
SET SESSION AUTHORIZATION ann;
SELECT claiim.register_agent('retiring-bot', 'acme', 'ann', '{deploy}') AS change \gset
SET SESSION AUTHORIZATION bob;
SELECT claiim.approve(:'change') \g /dev/null
SELECT claiim.suspend_agent('retiring-bot', 'no longer needed') \g /dev/null

SET SESSION AUTHORIZATION deploy;
SELECT claiim_check('deploy-bot', 'deploy:staging', 'api-v2') \g /dev/null
SELECT claiim_check('deploy-bot', 'deploy:production', 'api-v2', context => '{"ticket": "Ä-1"}') \g /dev/null
SELECT claiim_check_many('deploy-bot', '{deploy:staging,deploy:staging}', '{a,b}') \g /dev/null
SELECT claiim_check('nobody', 'deploy:staging', 'api-v2') \g /dev/null

-- What is still open when the update comes
SET SESSION AUTHORIZATION ann;
SELECT claiim.set_skills('deploy-bot', '{deploy,more}') \g /dev/null
RESET SESSION AUTHORIZATION;
