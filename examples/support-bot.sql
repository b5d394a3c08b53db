-- Support: reads and tags tickets, drafts responses.  It never sends one, and
-- touches neither billing nor accounts.  The support lead is accountable.
--
-- run.sh runs it, once, in one transaction.

SET SESSION AUTHORIZATION p_novak;
\set source `cat skills/support-v1.yaml`
SELECT claiim.publish_skill('support', :'source', 'support');
SELECT claiim.register_agent('support-bot', 'support', anchor => 'p.novak',
    skills => '{support}', role_name => 'support_bot') AS change \gset
SET SESSION AUTHORIZATION d_kim;
SELECT claiim.approve(:'change');

SET SESSION AUTHORIZATION p_novak;
\set source `cat policies/support-drafts-v1.yaml`
SELECT claiim.publish_policy('support-drafts', :'source', 'support');
SELECT claiim.bind_policy('support-bot', 'support-drafts-v1') AS change \gset
SET SESSION AUTHORIZATION d_kim;
SELECT claiim.approve(:'change');

RESET SESSION AUTHORIZATION;
