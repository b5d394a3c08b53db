-- What one human did alone holds until it lapses, or is found unjustified: the
-- gate denies by its own clock.  Found justified, it holds for good.

SET client_min_messages = error;
CREATE ROLE regress_glass LOGIN;
SELECT two.people($$register_org('acme/glass')$$);
SELECT two.people($$register_org('acme/glass/deep')$$);
SELECT two.people($$map_target('glass/**', 'acme/glass/deep')$$);
SELECT two.people($$register_agent('glass-bot', 'acme/glass/deep', 'fay', '{deploy}', 'regress_glass')$$);
SELECT two.people($$bind_policy('glass-bot', 'no-prod-v1')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_policy('glass', E'skill: deploy-v1\nallow: ["deploy:**"]', 'acme');
RESET SESSION AUTHORIZATION;
-- Proposed by ann, who breaks the glass; the review.
CREATE FUNCTION two.alone(proposal text, valid_for interval) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    change text;
    review text;
BEGIN
    SET LOCAL SESSION AUTHORIZATION regress_ann;
    EXECUTE 'SELECT claiim.' || proposal INTO change;
    review := claiim.break_glass(change, 'nobody else is there', valid_for);
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    RETURN review;
END
$$;
CREATE FUNCTION two.judge(verdict text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    review text;
BEGIN
    SET LOCAL SESSION AUTHORIZATION regress_bob;
    SELECT r.review INTO STRICT review FROM claiim.open_reviews r;
    review := claiim.close_review(review, verdict, 'looked at it');
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    RETURN review;
END
$$;
-- A change of the agent itself
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('glass-bot', 'x');
RESET SESSION AUTHORIZATION;
SELECT two.alone($$resume_agent('glass-bot', 'x')$$, '1 day') IS NOT NULL AS done;
\set ask 'SET SESSION AUTHORIZATION regress_glass; SELECT outcome, reason_code, reason FROM claiim_check(''glass-bot'', ''deploy:staging'', ''glass/x''); RESET SESSION AUTHORIZATION;'
:ask
SELECT two.judge('justified');
:ask
-- It has lapsed: no job came by, and no epoch moved
SELECT two.alone($$set_skills('glass-bot', '{deploy,infra}')$$, '1 millisecond') IS NOT NULL AS done;
SELECT pg_sleep(0.01);
:ask
SELECT kind, lapsed, bounded_agent, bounded_org FROM claiim.open_reviews;
-- also for a backend that asked before it did
SELECT two.judge('justified');
:ask
SELECT two.alone($$set_skills('glass-bot', '{deploy}')$$, '200 milliseconds') IS NOT NULL AS done;
SET SESSION AUTHORIZATION regress_glass;
SELECT count(*) > 0 AS asked FROM claiim_check('glass-bot', 'deploy:staging', 'glass/x');
SELECT pg_sleep(0.3);
RESET SESSION AUTHORIZATION;
:ask
-- A later one does not help
SELECT two.alone($$set_skills('glass-bot', '{deploy,infra}')$$, '1 day') IS NOT NULL AS done;
:ask
DO $$BEGIN
    SET LOCAL SESSION AUTHORIZATION regress_bob;
    PERFORM claiim.close_review(r.review, 'justified', 'x') FROM claiim.open_reviews r;
END$$;
:ask
-- Unjustified
SELECT two.alone($$bind_policy('glass-bot', 'glass-v1')$$, '1 day') IS NOT NULL AS done;
:ask
SELECT two.judge('unjustified');
:ask
SELECT two.people($$resume_agent('glass-bot', 'x')$$);
:ask

-- A change of an organization above
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_org('acme/glass', 'x');
RESET SESSION AUTHORIZATION;
:ask
SELECT two.alone($$resume_org('acme/glass')$$, '1 day') IS NOT NULL AS done;
:ask
SELECT two.judge('unjustified');
:ask
SELECT two.people($$resume_org('acme/glass')$$);
SELECT two.alone($$map_target('glass/y', 'acme/glass/deep')$$, '1 millisecond') IS NOT NULL AS done;
SELECT pg_sleep(0.01);
:ask
SELECT two.judge('justified');
:ask
SELECT agent, emergency_until FROM claiim.agents WHERE emergency_until IS NOT NULL;
SELECT org, emergency_until FROM claiim.orgs WHERE emergency_until IS NOT NULL;

-- All of it is in Chron
SELECT act, actor, subject, detail::jsonb ->> 'verdict' AS verdict
FROM claiim.chron WHERE act LIKE 'break_glass%' ORDER BY seq;
SELECT two.people($$retire_agent('glass-bot', 'x')$$), two.people($$unmap_target('glass/y')$$);
