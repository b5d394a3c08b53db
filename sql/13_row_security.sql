/*-------------------------------------------------------------------------
 *
 * 13_row_security.sql
 *	  Which rows a human sees, of every table.
 *
 * One policy a table, for reading; views read with their reader's rights, so
 * what is said here holds for them as well.  A table without a policy shows
 * nothing to anybody but its owner, and so does a partition of chron (see
 * _add_partition): they are read through chron.
 *
 * Not FORCEd: the gate, the writer, verify() and the functions of governance
 * run as the owner, who sees all rows.  The library reads with row_security
 * off, so that whoever did force it would make errors, not gaps.
 *
 * The organizations are computed once a query, in a subselect that becomes
 * an InitPlan: that is what the second pair of parentheses is for.  A policy
 * that goes by another table's row asks whether the reader sees that row, so
 * each rule stands once.  A function in a reader's WHERE is run on visible
 * rows only, unless it is leakproof.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._governing_orgs(capabilities text[]) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(o.org ORDER BY o.org), '{}')
	FROM claiim.orgs o
	WHERE EXISTS (
			SELECT
			FROM unnest(claiim._visible_orgs(_governing_orgs.capabilities)) AS v (org)
			WHERE claiim._covers(o.org, v.org));
$$;
COMMENT ON FUNCTION claiim._governing_orgs(text[]) IS
'The organizations of claiim._visible_orgs and all that lie above them: whose documents may be used there, and whose baselines bind there.';

/* Who there is */

ALTER TABLE claiim.orgs ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.orgs FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.orgs IS 'Organizations where the reader is admin, approver or auditor, and those below';

ALTER TABLE claiim.memberships ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.memberships FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[])
		   OR human = (SELECT claiim._human_of_session()));
COMMENT ON POLICY claiim_read ON claiim.memberships IS 'Those in visible organizations, and the reader''s own';

ALTER TABLE claiim.agents ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.agents FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.agents IS 'Agents of visible organizations';

ALTER TABLE claiim.anchors ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.anchors FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.agents a WHERE a.agent = anchors.agent));
COMMENT ON POLICY claiim_read ON claiim.anchors IS 'Those of visible agents';

ALTER TABLE claiim.humans ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.humans FOR SELECT TO claiim_admin, claiim_auditor
	USING (human = (SELECT claiim._human_of_session())
		   OR EXISTS (SELECT FROM claiim.memberships m WHERE m.human = humans.human)
		   OR EXISTS (SELECT FROM claiim.anchors n WHERE n.human = humans.human));
COMMENT ON POLICY claiim_read ON claiim.humans IS 'Those with a visible membership, those who are or were accountable for a visible agent (their membership may lie above), and the reader';

ALTER TABLE claiim.tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.tokens FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.agents a WHERE a.agent = tokens.agent));
COMMENT ON POLICY claiim_read ON claiim.tokens IS 'Those of visible agents; the digest is granted to nobody';

/* What governs them */

ALTER TABLE claiim.skills ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.skills FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._governing_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.skills IS 'Those of visible organizations, and of those above them, which may be used there';

ALTER TABLE claiim.skill_versions ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.skill_versions FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.skills s WHERE s.skill = skill_versions.skill));
COMMENT ON POLICY claiim_read ON claiim.skill_versions IS 'Those of visible skills';

ALTER TABLE claiim.policies ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.policies FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._governing_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.policies IS 'Those of visible organizations, and of those above them, which may be bound there';

ALTER TABLE claiim.policy_versions ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.policy_versions FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.policies p WHERE p.policy = policy_versions.policy));
COMMENT ON POLICY claiim_read ON claiim.policy_versions IS 'Those of visible policies';

ALTER TABLE claiim.bindings ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.bindings FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._governing_orgs('{admin,approver,auditor}'))::text[])
		   OR EXISTS (SELECT FROM claiim.agents a WHERE a.agent = bindings.agent));
COMMENT ON POLICY claiim_read ON claiim.bindings IS 'Those of visible agents, and the baselines of visible organizations and of those above them';

ALTER TABLE claiim.targets ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.targets FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[]));
COMMENT ON POLICY claiim_read ON claiim.targets IS 'Patterns that map to visible organizations';

ALTER TABLE claiim.changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.changes FOR SELECT TO claiim_admin, claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[])
		   OR (kind = 'capability.grant' AND NOT starts_with(payload ->> 'org' || '/', org || '/')
			   AND payload ->> 'org' = ANY ((SELECT claiim._visible_orgs('{admin,approver,auditor}'))::text[])));
COMMENT ON POLICY claiim_read ON claiim.changes IS 'Those that visible organizations decide, and those that grant a capability in one of them from outside';

ALTER TABLE claiim.approvals ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.approvals FOR SELECT TO claiim_admin, claiim_auditor
	USING (EXISTS (SELECT FROM claiim.changes c WHERE c.change = approvals.change));
COMMENT ON POLICY claiim_read ON claiim.approvals IS 'Those of visible changes';

/*
 * Chron, for auditors alone.  Records of no organization (an unknown agent's,
 * the writer's own) are for the founding organization's.
 */

ALTER TABLE claiim.chron ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.chron FOR SELECT TO claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{auditor}'))::text[])
		   OR (org IS NULL AND (SELECT claiim._sees_orgless())));
COMMENT ON POLICY claiim_read ON claiim.chron IS 'Records of organizations where the reader is auditor, and those below; of no organization, for auditors of the founding one';

ALTER TABLE claiim.contexts ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.contexts FOR SELECT TO claiim_auditor
	USING (EXISTS (SELECT FROM claiim.chron c WHERE c.seq = contexts.seq));
COMMENT ON POLICY claiim_read ON claiim.contexts IS 'Those of visible records';

ALTER TABLE claiim.outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.outbox FOR SELECT TO claiim_auditor
	USING (org = ANY ((SELECT claiim._visible_orgs('{auditor}'))::text[])
		   OR (org IS NULL AND (SELECT claiim._sees_orgless())));
COMMENT ON POLICY claiim_read ON claiim.outbox IS 'As in Chron, where they will be';

ALTER TABLE claiim.logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY claiim_read ON claiim.logs FOR SELECT TO claiim_auditor
	USING ((SELECT claiim._sees_orgless()));
COMMENT ON POLICY claiim_read ON claiim.logs IS 'As the acts that opened them: for auditors of the founding organization';
