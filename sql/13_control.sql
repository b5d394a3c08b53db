/*-------------------------------------------------------------------------
 *
 * 13_control.sql
 *	  Which rows a human sees of the tables of 04_control.sql: those of the
 *	  organizations where the human is admin, approver or auditor, and of those
 *	  below.
 *
 *-------------------------------------------------------------------------
 */

ALTER TABLE claiim.quorums ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.quorums FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.quorums IS 'Those of visible organizations';

ALTER TABLE claiim.reviews ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.reviews FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.reviews IS 'Those that visible organizations review';

ALTER TABLE claiim.retentions ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.retentions FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.retentions IS 'Those of visible organizations';

ALTER TABLE claiim.holds ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.holds FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.holds IS 'Those of visible organizations';
