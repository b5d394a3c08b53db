-- A transaction that may not write can ask all the same: the decision is
-- written by claiim's writer, not by you, and ROLLBACK does not undo it.
--
--   psql -X -v agent=deploy-bot -v action=deploy:staging -v target=api-v2 -f read-only.sql
--
-- As a role that is bound to the agent.  On a hot standby nobody can ask (25006).

\set ON_ERROR_STOP on
BEGIN READ ONLY;
SELECT outcome, chron_id, reason FROM pg_catalog.claiim_check(:'agent', :'action', :'target');
ROLLBACK;
