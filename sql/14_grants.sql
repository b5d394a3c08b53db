/*-------------------------------------------------------------------------
 *
 * 14_grants.sql
 *	  Who may call and read what.
 *
 * First everything is taken from everybody, be it PUBLIC's by PostgreSQL's
 * own defaults or somebody's by ALTER DEFAULT PRIVILEGES.  Then each thing is
 * granted by name: what is not named here is the owner's alone.  What is
 * named here checks for itself which human is calling.
 *
 *-------------------------------------------------------------------------
 */

DO $$
DECLARE
	o record;
BEGIN
	FOR o IN
		SELECT DISTINCT v.object, v.grantee
		FROM (SELECT 'FUNCTION ' || p.oid::pg_catalog.regprocedure AS object, a.grantee, p.proowner AS owner, d.refobjid
			  FROM pg_catalog.pg_depend d
				JOIN pg_catalog.pg_proc p ON p.oid = d.objid
				CROSS JOIN LATERAL pg_catalog.aclexplode(
					coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
			  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
			  UNION ALL
			  SELECT 'TABLE ' || c.oid::pg_catalog.regclass, a.grantee, c.relowner, d.refobjid
			  FROM pg_catalog.pg_depend d
				JOIN pg_catalog.pg_class c ON c.oid = d.objid
				CROSS JOIN LATERAL pg_catalog.aclexplode(
					coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) a
			  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
			  UNION ALL
			  SELECT 'SCHEMA ' || n.oid::pg_catalog.regnamespace, a.grantee, n.nspowner, d.refobjid
			  FROM pg_catalog.pg_depend d
				JOIN pg_catalog.pg_namespace n ON n.oid = d.objid
				CROSS JOIN LATERAL pg_catalog.aclexplode(
					coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
			  WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype = 'e'
			 ) AS v
			JOIN pg_catalog.pg_extension e ON e.oid = v.refobjid AND e.extname = 'claiim'
		WHERE v.grantee <> v.owner
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', o.object,
			CASE o.grantee WHEN 0 THEN 'PUBLIC'
			ELSE o.grantee::pg_catalog.regrole::text END);
	END LOOP;
END
$$;

/* Agents */

GRANT EXECUTE ON FUNCTION
	pg_catalog.claiim_check(text, text, text, text, text, jsonb),
	pg_catalog.claiim_check_many(text, text[], text[], text, text, jsonb),
	pg_catalog.claiim_authenticate(text, text),
	pg_catalog.claiim_request_session(text, text[], text[], text, text, interval, integer, text),
	pg_catalog.claiim_session_status(text, text, text),
	pg_catalog.claiim_complete(text, text, jsonb, text),
	pg_catalog.claiim_permissions(text, text),
	pg_catalog.claiim_version()
TO claiim_agent;

/* Humans who govern */

GRANT USAGE ON SCHEMA claiim TO claiim_admin, claiim_auditor;
GRANT EXECUTE ON FUNCTION
	pg_catalog.claiim_permissions(text, text),
	pg_catalog.claiim_version(),
	claiim.change_diff(text),
	claiim.diff_text(text)
TO claiim_admin, claiim_auditor;
GRANT EXECUTE ON FUNCTION
	claiim.what_if(text, text),
	claiim.what_if_baseline(text, text)
TO claiim_admin;
GRANT EXECUTE ON FUNCTION
	claiim.approve(text),
	claiim.reject(text, text),
	claiim.withdraw(text),
	claiim.expire_changes(),
	claiim.register_org(text, text, text, text),
	claiim.resume_org(text),
	claiim.suspend_org(text, text),
	claiim.register_human(text, name, text, text, text[]),
	claiim.reactivate_human(text),
	claiim.deactivate_human(text, text),
	claiim.grant_capability(text, text, text),
	claiim.revoke_capability(text, text, text),
	claiim.register_agent(text, text, text, text[], name, text),
	claiim.retire_agent(text, text),
	claiim.suspend_agent(text, text),
	claiim.resume_agent(text, text),
	claiim.set_skills(text, text[]),
	claiim.set_role(text, name),
	claiim.transfer_anchor(text, text),
	claiim.map_target(text, text),
	claiim.unmap_target(text),
	claiim.publish_skill(text, text, text),
	claiim.publish_policy(text, text, text),
	claiim.bind_policy(text, text),
	claiim.bind_baseline(text, text),
	claiim.unbind_baseline(text),
	claiim.propose_session(text, text[], text[], text, text, timestamptz, timestamptz, integer),
	claiim.grant_session(text),
	claiim.refuse_session(text, text),
	claiim.revoke_session(text, text),
	claiim.set_quorum(text, text, integer),
	claiim.break_glass(text, text, interval),
	claiim.close_review(text, text, text),
	claiim.forbid_break_glass(text, text),
	claiim.permit_break_glass(text),
	claiim.set_retention(text, interval),
	claiim.prune_contexts(text),
	claiim.erase_context(text, text),
	claiim.place_hold(text, text),
	claiim.release_hold(text, text),
	claiim.issue_token(text, interval, text, cidr[]),
	claiim.rotate_token(text, interval, interval),
	claiim.revoke_token(text, text)
TO claiim_admin;

/* What they read: of every table the rows of 13_row_security.sql */

GRANT SELECT ON
	claiim.orgs,
	claiim.humans,
	claiim.memberships,
	claiim.changes,
	claiim.approvals,
	claiim.agents,
	claiim.anchors,
	claiim.skills,
	claiim.skill_versions,
	claiim.policies,
	claiim.policy_versions,
	claiim.bindings,
	claiim.targets,
	claiim.sessions,
	claiim.session_uses,
	claiim.pending_changes,
	claiim.registry,
	claiim.orphans,
	claiim.session_registry
TO claiim_admin, claiim_auditor;
/* No digest: who guesses at tokens must not be able to tell that he is right. */
GRANT SELECT (token, agent, label, networks, issued_by, issued_at, expires_at,
			  revoked_at, revoked_by, replaces)
ON claiim.tokens
TO claiim_admin, claiim_auditor;
GRANT SELECT ON claiim.token_registry, claiim.token_uses TO claiim_admin, claiim_auditor;
GRANT SELECT ON
	claiim.quorums,
	claiim.reviews,
	claiim.retentions,
	claiim.holds,
	claiim.open_reviews
TO claiim_admin, claiim_auditor;

/* Humans who audit */

GRANT SELECT ON
	claiim.chron,
	claiim.contexts,
	claiim.completions,
	claiim.outbox,
	claiim.logs,
	claiim.decisions,
	claiim.acts,
	claiim.incomplete_actions
TO claiim_auditor;
GRANT EXECUTE ON FUNCTION
	claiim.five_questions(text),
	claiim.record_bytes(text),
	claiim.verify(),
	claiim.registry_digests(),
	claiim.chron_id(bigint, timestamptz)
TO claiim_auditor;

/* What row security and the views call runs with the reader's rights. */

GRANT EXECUTE ON FUNCTION
	claiim._visible_orgs(text[]),
	claiim._governing_orgs(text[]),
	claiim._human_of_session(),
	claiim._tally(text),
	claiim._session_lapses_at(claiim.sessions),
	claiim._session_state(claiim.sessions, bigint, timestamptz)
TO claiim_admin, claiim_auditor;
GRANT EXECUTE ON FUNCTION claiim._sees_orgless() TO claiim_auditor;

/*
 * Those who watch the server; the figures are of all organizations together, so
 * they are not for auditors.  The views' functions run with the reader's
 * rights, and show no more than the views.
 */

GRANT USAGE ON SCHEMA claiim TO pg_monitor;
GRANT SELECT ON claiim.pg_stat_claiim, claiim.pg_stat_claiim_reasons TO pg_monitor;
GRANT EXECUTE ON FUNCTION claiim._stat(), claiim._stat_reasons() TO pg_monitor;
