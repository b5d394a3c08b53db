/*-------------------------------------------------------------------------
 *
 * 07_locks.sql
 *	  Which rows governance locks, and how a kill switch gets past them.
 *
 * All changes of an agent, and of what hangs on it, lock the agent's row; of
 * an organization or of targets, the organization's; of a human, the human's:
 * NO KEY UPDATE, so that foreign keys do not wait.  A proposal locks none of
 * them.  What one human needs to act (_actor, _holds) is locked FOR SHARE.
 *
 * Any of these is held until somebody's transaction ends, which that somebody
 * may put off, and all the more if he is about to be deactivated.  So what
 * must work at once takes its row by _seize_...: it gives other transactions
 * the time that lock_timeout says, or a second, and then ends their sessions.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._agent_for(agent text, change boolean) RETURNS claiim.agents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents;
BEGIN
	IF change THEN
		SELECT x.* INTO STRICT a FROM claiim.agents x
		WHERE x.agent = _agent_for.agent
		FOR NO KEY UPDATE;
	ELSE
		SELECT x.* INTO STRICT a FROM claiim.agents x
		WHERE x.agent = _agent_for.agent;
	END IF;
	RETURN a;
END
$$;
COMMENT ON FUNCTION claiim._agent_for(text, boolean) IS
'An agent''s row, locked if it is for a change. Its existence has been checked (claiim._agent_org).';

CREATE FUNCTION claiim._org_for(org text, change boolean) RETURNS claiim.orgs
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o claiim.orgs;
BEGIN
	IF change THEN
		SELECT x.* INTO STRICT o FROM claiim.orgs x
		WHERE x.org = _org_for.org
		FOR NO KEY UPDATE;
	ELSE
		SELECT x.* INTO STRICT o FROM claiim.orgs x
		WHERE x.org = _org_for.org;
	END IF;
	RETURN o;
END
$$;
COMMENT ON FUNCTION claiim._org_for(text, boolean) IS
'An organization''s row, locked if it is for a change. Its existence has been checked (claiim._require).';

CREATE FUNCTION claiim._human_for(human text, change boolean) RETURNS claiim.humans
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h claiim.humans;
BEGIN
	IF change THEN
		SELECT x.* INTO STRICT h FROM claiim.humans x
		WHERE x.human = _human_for.human
		FOR NO KEY UPDATE;
	ELSE
		SELECT x.* INTO STRICT h FROM claiim.humans x
		WHERE x.human = _human_for.human;
	END IF;
	RETURN h;
END
$$;
COMMENT ON FUNCTION claiim._human_for(text, boolean) IS
'A human''s row, locked if it is for a change. The human''s existence has been checked (claiim._human_org).';

/* For what must work at once */

CREATE FUNCTION claiim._seize_agent(agent text) RETURNS claiim.agents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a claiim.agents;
BEGIN
	LOOP
		SELECT x.* INTO a FROM claiim.agents x
		WHERE x.agent = _seize_agent.agent
		FOR NO KEY UPDATE SKIP LOCKED;
		EXIT WHEN FOUND;
		PERFORM claiim._clear_way('claiim.agents', x.ctid) FROM claiim.agents x
		WHERE x.agent = _seize_agent.agent;
	END LOOP;
	RETURN a;
END
$$;
COMMENT ON FUNCTION claiim._seize_agent(text) IS
'An agent''s row, locked, whoever holds it. Its existence has been checked (claiim._agent_org). Errors: those of claiim._clear_way.';

CREATE FUNCTION claiim._seize_org(org text) RETURNS claiim.orgs
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o claiim.orgs;
BEGIN
	LOOP
		SELECT x.* INTO o FROM claiim.orgs x
		WHERE x.org = _seize_org.org
		FOR NO KEY UPDATE SKIP LOCKED;
		EXIT WHEN FOUND;
		PERFORM claiim._clear_way('claiim.orgs', x.ctid) FROM claiim.orgs x
		WHERE x.org = _seize_org.org;
	END LOOP;
	RETURN o;
END
$$;
COMMENT ON FUNCTION claiim._seize_org(text) IS
'An organization''s row, locked, whoever holds it. Its existence has been checked (claiim._require). Errors: those of claiim._clear_way.';

CREATE FUNCTION claiim._seize_human(human text) RETURNS claiim.humans
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h claiim.humans;
BEGIN
	LOOP
		SELECT x.* INTO h FROM claiim.humans x
		WHERE x.human = _seize_human.human
		FOR NO KEY UPDATE SKIP LOCKED;
		EXIT WHEN FOUND;
		PERFORM claiim._clear_way('claiim.humans', x.ctid) FROM claiim.humans x
		WHERE x.human = _seize_human.human;
	END LOOP;
	RETURN h;
END
$$;
COMMENT ON FUNCTION claiim._seize_human(text) IS
'A human''s row, locked, whoever holds it. The human''s existence has been checked (claiim._human_org). Errors: those of claiim._clear_way.';

CREATE FUNCTION claiim._seize_token(token text) RETURNS claiim.tokens
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t claiim.tokens;
BEGIN
	LOOP
		SELECT x.* INTO t FROM claiim.tokens x
		WHERE x.token = _seize_token.token
		FOR NO KEY UPDATE SKIP LOCKED;
		EXIT WHEN FOUND;
		PERFORM claiim._clear_way('claiim.tokens', x.ctid) FROM claiim.tokens x
		WHERE x.token = _seize_token.token;
	END LOOP;
	RETURN t;
END
$$;
COMMENT ON FUNCTION claiim._seize_token(text) IS
'A token''s row, locked, whoever holds it. Its existence has been checked (claiim._token_of). Errors: those of claiim._clear_way.';

CREATE FUNCTION claiim._seize_review(review text) RETURNS claiim.reviews
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r claiim.reviews;
BEGIN
	LOOP
		SELECT x.* INTO r FROM claiim.reviews x
		WHERE x.review = _seize_review.review
		FOR NO KEY UPDATE SKIP LOCKED;
		EXIT WHEN FOUND;
		PERFORM claiim._clear_way('claiim.reviews', x.ctid) FROM claiim.reviews x
		WHERE x.review = _seize_review.review;
	END LOOP;
	RETURN r;
END
$$;
COMMENT ON FUNCTION claiim._seize_review(text) IS
'A review''s row, locked, whoever holds it. Its existence has been checked. Errors: those of claiim._clear_way.';
