-- Finance reporting: reads reports and budgets, writes summaries.  It never
-- approves payments, starts transfers or modifies records.  The CFO is
-- accountable and proposes what it may; the controller approves.  Finance
-- governs it alone.
--
-- run.sh runs it, once, in one transaction.

SET SESSION AUTHORIZATION c_reyes;
\set source `cat skills/reporting-v1.yaml`
SELECT claiim.publish_skill('reporting', :'source', 'finance');
SELECT claiim.register_agent('finance-bot', 'finance', anchor => 'c.reyes',
    skills => '{reporting}', role_name => 'finance_bot') AS change \gset
SET SESSION AUTHORIZATION h_weber;
SELECT claiim.approve(:'change');

SET SESSION AUTHORIZATION c_reyes;
\set source `cat policies/finance-reports-v1.yaml`
SELECT claiim.publish_policy('finance-reports', :'source', 'finance');
SELECT claiim.bind_policy('finance-bot', 'finance-reports-v1') AS change \gset
SET SESSION AUTHORIZATION h_weber;
SELECT claiim.approve(:'change');

RESET SESSION AUTHORIZATION;
