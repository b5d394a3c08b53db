-- The world that is measured: one agent under one policy for claiim, and for the
-- two rivals a table each with Chron's very columns, checks and primary key.

SET client_min_messages = warning;
CREATE EXTENSION claiim CASCADE;
CREATE ROLE ann LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE deploy_bot LOGIN;
SELECT claiim.bootstrap('acme', 'ann', 'ann', 'bob', 'bob');

SET SESSION AUTHORIZATION ann;
SELECT claiim.publish_skill('deploy', 'actions: ["deploy:*", "health:check", "infra:destroy"]', 'acme');
SELECT claiim.publish_policy('no-prod', $$
skill: deploy-v1
allow:
  - deploy:staging
  - deploy:rollback-staging
  - health:check
deny:
  - deploy:production
  - deploy:rollback-production
  - infra:destroy
$$, 'acme');
SELECT claiim.register_agent('deploy-bot', 'acme', anchor => 'ann', skills => '{deploy}',
    role_name => 'deploy_bot') AS change \gset
SET SESSION AUTHORIZATION bob;
SELECT claiim.approve(:'change');
SET SESSION AUTHORIZATION ann;
SELECT claiim.bind_policy('deploy-bot', 'no-prod-v1') AS change \gset
SET SESSION AUTHORIZATION bob;
SELECT claiim.approve(:'change');
RESET SESSION AUTHORIZATION;

CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO deploy_bot;

-- (b) plain inserts

CREATE TABLE bench.plain (
    LIKE claiim.chron INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (seq)
);
CREATE INDEX ON bench.plain USING brin (at) WITH (autosummarize = on);
CREATE SEQUENCE bench.plain_seq CACHE 100;
GRANT INSERT ON bench.plain TO deploy_bot;
GRANT USAGE ON SEQUENCE bench.plain_seq TO deploy_bot;

-- (c) the gate that a competent DBA would write by hand: policy in tables, the
-- chain under an advisory lock, all of it in the caller's transaction.

CREATE TABLE bench.agents (
    agent text PRIMARY KEY,
    role_name name NOT NULL,
    status text NOT NULL,
    org text NOT NULL,
    anchor text NOT NULL,
    policy text NOT NULL,
    skill text NOT NULL
);
CREATE TABLE bench.rules (
    policy text,
    effect text CHECK (effect IN ('allow', 'deny')),
    pattern text,
    line int NOT NULL,
    PRIMARY KEY (policy, effect, pattern)
);
CREATE TABLE bench.log (
    LIKE claiim.chron INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (seq)
);
CREATE INDEX ON bench.log USING brin (at) WITH (autosummarize = on);
INSERT INTO bench.agents VALUES ('deploy-bot', 'deploy_bot', 'active', 'acme', 'ann', 'no-prod-v1', 'deploy-v1');
INSERT INTO bench.rules VALUES
    ('no-prod-v1', 'allow', 'deploy:staging', 4),
    ('no-prod-v1', 'allow', 'deploy:rollback-staging', 5),
    ('no-prod-v1', 'allow', 'health:check', 6),
    ('no-prod-v1', 'deny', 'deploy:production', 8),
    ('no-prod-v1', 'deny', 'deploy:rollback-production', 9),
    ('no-prod-v1', 'deny', 'infra:destroy', 10);
ANALYZE bench.agents, bench.rules;

CREATE FUNCTION bench.check_action(wanted_agent text, wanted_action text, wanted_target text,
    OUT outcome text, OUT reason text, OUT seq bigint, OUT anchor text, OUT policy text, OUT skill text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who bench.agents;
    rule bench.rules;
    code text;
    entry text;
    at timestamptz;
    previous bytea;
    leaf bytea;
BEGIN
    SELECT * INTO who FROM bench.agents a WHERE a.agent = wanted_agent;
    IF who.agent IS NULL OR who.role_name <> session_user THEN
        code := 'not_this_agent';
    ELSIF who.status <> 'active' THEN
        code := 'suspended';
    ELSE
        SELECT * INTO rule FROM bench.rules r
        WHERE r.policy = who.policy AND wanted_action LIKE r.pattern
        ORDER BY r.effect = 'deny' DESC LIMIT 1;
        code := CASE rule.effect WHEN 'allow' THEN 'allowed' WHEN 'deny' THEN 'in_deny_list' ELSE 'not_in_allow_list' END;
    END IF;
    outcome := CASE code WHEN 'allowed' THEN 'ALLOW' ELSE 'DENY' END;
    reason := format('policy:%s -- %s', who.policy,
        CASE code WHEN 'allowed' THEN 'action in allow list' ELSE replace(code, '_', ' ') END);
    entry := format('%s:%s %s', rule.effect, rule.line, rule.pattern);
    anchor := who.anchor;
    policy := who.policy;
    skill := who.skill;

    -- One at a time from here to the end of the commit, or the chain forks.
    PERFORM pg_advisory_xact_lock(20040501);
    at := clock_timestamp();
    SELECT l.seq, l.link INTO seq, previous FROM bench.log l ORDER BY l.seq DESC LIMIT 1;
    seq := coalesce(seq, 0) + 1;
    leaf := sha256(convert_to(concat_ws(E'\x1f', seq, (extract(epoch FROM at) * 1000000)::bigint, outcome,
        wanted_agent, wanted_action, wanted_target, who.org, anchor, policy, skill, entry, code, reason,
        session_user), 'UTF8'));
    INSERT INTO bench.log (seq, at, log, kind, outcome, agent, action, target, org, anchor, policy, skill, rule,
        reason_code, reason, auth, db_user, leaf, link)
    VALUES (seq, at, 'log_00000000000000000000000000', 'decision', outcome, wanted_agent, wanted_action,
        wanted_target, who.org, anchor, policy, skill, entry, code, reason, 'role', session_user, leaf,
        sha256(coalesce(previous, '') || leaf));
END $$;
