#!/bin/bash
#
# Healthy: the server takes connections, the gate reads its registry and says
# no to who has no token, and the writer keeps up with governance.  It leaves
# no record in Chron, which is for what agents and humans do.

set -euo pipefail

pg_isready -q -h /run/postgresql
psql -X -q -h /run/postgresql -U postgres -v ON_ERROR_STOP=1 -o /dev/null <<'SQL'
SET statement_timeout = '8s';
DO $$
BEGIN
	BEGIN
		PERFORM pg_catalog.claiim_authenticate('health-check', 'none');
		RAISE EXCEPTION 'the gate let in who has no token';
	EXCEPTION
		WHEN invalid_authorization_specification THEN NULL;
	END;
	IF EXISTS (SELECT FROM claiim.outbox WHERE committed_at < pg_catalog.clock_timestamp() - interval '1 minute') THEN
		RAISE EXCEPTION 'governance acts have been waiting for their way into Chron for a minute';
	END IF;
END
$$;
SQL
