/*-------------------------------------------------------------------------
 *
 * 01_roles.sql
 *	  The schema and the three group roles.
 *
 * What agents call is in pg_catalog; everything else is in schema claiim,
 * which nobody may even look into until 14_grants.sql, at the very end.
 *
 * Roles belong to the cluster and not to the extension: they are made if
 * they are missing, used if they are there, and left alone by DROP EXTENSION.
 * A role that stands there under one of our names with a way to log in, or
 * with powers, is not the group that we are about to grant to: an error.
 *
 *-------------------------------------------------------------------------
 */

CREATE SCHEMA claiim;
REVOKE ALL ON SCHEMA claiim FROM PUBLIC;
COMMENT ON SCHEMA claiim IS
'claiim: registry, governance and Chron. What agents call is in pg_catalog and begins with claiim_.';

DO $$
DECLARE
	g record;
BEGIN
	FOR g IN
		SELECT *
		FROM (VALUES
			('claiim_agent', 'claiim: may ask the gate (claiim_check and its kin), and nothing else'),
			('claiim_admin', 'claiim: humans that may call governance functions; each function checks the capability itself'),
			('claiim_auditor', 'claiim: humans that may read the auditors'' views and verify Chron, within their organizations')
		) AS v (name, purpose)
	LOOP
		IF EXISTS (SELECT FROM pg_catalog.pg_roles r
				   WHERE r.rolname = g.name
					 AND (r.rolcanlogin OR r.rolsuper OR r.rolcreaterole
						  OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls))
		THEN
			RAISE EXCEPTION 'role "%" exists but is not a plain group role', g.name
				USING ERRCODE = 'object_not_in_prerequisite_state',
					  HINT = 'claiim needs this name for a role that can neither log in nor do anything by itself. Rename the existing role, or take its attributes away.';
		END IF;
		CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles r
							  WHERE r.rolname = g.name);
		BEGIN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', g.name);
			EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L',
									  g.name, g.purpose);
		EXCEPTION
			WHEN duplicate_object OR unique_violation THEN
				NULL;			/* another database of this cluster was faster */
		END;
	END LOOP;
END
$$;
