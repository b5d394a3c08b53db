-- Behind PostgREST, or whatever runs each request in a transaction of its own
-- under a role that it switches to.  Set up once, as a superuser:
--
--   psql -X -f postgrest.sql
--
-- Agents then ask  GET /rpc/may_i?agent=deploy-bot&action=deploy:staging&target=api-v2
-- with the header  X-Agent-Token: ctk_...  The web server's own idea of who is
-- asking (request.jwt.claims) proves nothing to the gate: the token does, or
-- the role that logged in, which is the web server's own and bound to no agent.

\set ON_ERROR_STOP on
BEGIN;
CREATE ROLE authenticator LOGIN NOINHERIT;	-- what the web server logs in as
CREATE ROLE web_agent NOLOGIN;				-- what a request is run as
GRANT web_agent TO authenticator;
GRANT claiim_agent TO web_agent;
CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO web_agent;

CREATE FUNCTION api.may_i(agent text, action text, target text,
	OUT outcome text, OUT reason text, OUT chron_id text)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.outcome, c.reason, c.chron_id
	FROM pg_catalog.claiim_check(agent, action, target,
		token => coalesce(current_setting('request.headers', true)::json ->> 'x-agent-token', '')) AS c
$$;
REVOKE EXECUTE ON FUNCTION api.may_i(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.may_i(text, text, text) TO web_agent;
COMMIT;

-- What PostgREST sends for such a request, in one transaction, read only for GET:
--
--   BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
--   SELECT set_config('role', 'web_agent', true), set_config('request.jwt.claims', $1, true),
--          set_config('request.headers', $2, true);
--   SELECT * FROM api.may_i(agent => $3, action => $4, target => $5);
--   COMMIT;
