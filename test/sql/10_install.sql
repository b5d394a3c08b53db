-- The extension in a fresh database, and the little world that all the tests
-- after this one live in: two organizations, four humans, some agents.
--
-- SET SESSION AUTHORIZATION stands for logging in: claiim goes by session_user.

\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION claiim CASCADE;
RESET client_min_messages;
SELECT claiim_version() = extversion AS library_and_script_agree
FROM pg_extension WHERE extname = 'claiim';

-- An empty claiim denies, and records that it did.
SELECT outcome, reason, reason_code, rule, chron_id ~ '^chr_[0-9a-hjkmnp-tv-z]{26}$' AS has_id,
       anchor, org, policy, skill, baseline, session, now() - decided_at < '1 min' AS dated
FROM claiim_check('nobody', 'deploy:staging', 'api') \gx
SELECT seq, kind, act, outcome, reason_code FROM claiim.chron ORDER BY seq;
SELECT ok, records, first_bad, problem FROM claiim.verify();

CREATE ROLE regress_ann LOGIN;
CREATE ROLE regress_bob LOGIN;
CREATE ROLE regress_cfo LOGIN;
CREATE ROLE regress_fay LOGIN;
CREATE ROLE regress_deploy LOGIN;
CREATE ROLE regress_agent LOGIN IN ROLE claiim_agent;
CREATE ROLE regress_stranger LOGIN;

SELECT claiim.bootstrap('acme', 'ann', 'regress_ann', 'bob', 'regress_bob');
SELECT claiim.bootstrap('acme', 'ann', 'regress_ann', 'bob', 'regress_bob');

-- What takes two, in one line: proposed by the one, approved by the other.
CREATE SCHEMA two;
CREATE FUNCTION two.people(proposal text, proposer name DEFAULT 'regress_ann',
                           approver name DEFAULT 'regress_bob')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    change text;
    result text;
BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', proposer);
    EXECUTE 'SELECT claiim.' || proposal INTO change;
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', approver);
    result := claiim.approve(change);
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    RETURN result;
END
$$;

-- What a statement fails with, all that a client sees of it.
CREATE FUNCTION two.error(statement text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE || ': ' || message,
                     'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END
$$;
GRANT USAGE ON SCHEMA two TO PUBLIC;

SELECT two.people($$register_human('cfo', 'regress_cfo', 'C. F. O.', 'acme', '{member}')$$);
SELECT two.people($$register_human('fay', 'regress_fay', NULL, 'acme', '{member}')$$);
SELECT two.people($$register_org('fin', 'Finance', 'cfo', 'fay')$$);
SELECT two.people($$grant_capability('cfo', 'fin', 'auditor')$$, 'regress_cfo', 'regress_fay');
SELECT two.people($$map_target('ledger/**', 'fin')$$);
SELECT two.people($$unmap_target('**')$$);
SELECT two.people($$map_target('app/**', 'acme')$$);
SELECT two.people($$map_target('prod/*', 'acme')$$);

SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_skill('deploy', $$
description: deploys services
actions:
  - deploy:**
  - health:check
$$, 'acme');
SELECT claiim.publish_skill('infra', $$
actions: [infra:*]
$$, 'acme');
SELECT claiim.publish_policy('no-prod', $$skill: deploy-v1
allow:
  - deploy:staging
  - deploy:rollback:*
  - action: deploy:canary
    target: app/*
  - health:check
deny:
  - deploy:rollback:production
tests:
  - {action: deploy:staging, target: app/x, expect: ALLOW}
  - {action: deploy:production, target: app/x, expect: DENY}
$$, 'acme');
SELECT claiim.publish_policy('infra', $$skill: infra-v1
allow:
  - infra:read
  - action: infra:apply
    requires: session
$$, 'acme');
RESET SESSION AUTHORIZATION;

SELECT two.people($$register_agent('deploy-bot', 'acme', 'ann', '{deploy}', 'regress_deploy')$$);
SELECT two.people($$register_agent('infra-bot', 'acme', 'ann', '{infra,deploy}')$$);
SELECT two.people($$register_agent('bare-bot', 'acme', 'ann', '{deploy}', 'regress_agent')$$);
SELECT two.people($$bind_policy('deploy-bot', 'no-prod-v1')$$);
SELECT two.people($$bind_policy('infra-bot', 'infra-v1')$$);

-- Every act above is in Chron, in the order in which it was done.  A check
-- makes sure that the writer has moved them.
SELECT outcome FROM claiim_check('nobody', 'a', 'b');
SELECT act, actor, org, regexp_replace(subject, '^log_[0-9a-z]{26}$', 'log_...') AS subject
FROM claiim.chron WHERE kind = 'act' ORDER BY seq;
SELECT count(*) FROM claiim.outbox;
SELECT ok, problem FROM claiim.verify();
