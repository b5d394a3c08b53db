-- What a decision depends on is read anew as soon as it has changed, and only
-- then: governance that changes nothing of it (proposals, documents, tokens
-- that are issued) must not keep other callers' ALLOWs from being recorded.
--
-- Whether it was is seen by what the transaction of a check has read.

SET client_min_messages = warning;
CREATE ROLE regress_epo LOGIN;
CREATE ROLE regress_epoch LOGIN;
CREATE ROLE regress_epoch_new LOGIN;
CREATE TABLE two.epoch_steps (
    n int GENERATED ALWAYS AS IDENTITY, what text, read_anew boolean, outcome text, reason_code text,
    anchor text, policy text);

-- A check of epoch-bot in a transaction of its own: what it says, and whether
-- the registry was read for it.
CREATE FUNCTION two.epoch_reads() RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(sum(t.seq_scan + coalesce(t.idx_scan, 0)), 0)::bigint
    FROM pg_stat_xact_all_tables t WHERE t.relid = 'claiim.agents'::regclass
$$;
CREATE PROCEDURE two.epoch_check(what text, token text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    answer record;
    reads bigint := two.epoch_reads();
BEGIN
    SET LOCAL SESSION AUTHORIZATION regress_epoch;
    SELECT * INTO answer FROM claiim_check('epoch-bot', 'deploy:staging', 'epoch/x', token => epoch_check.token);
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    INSERT INTO two.epoch_steps (what, read_anew, outcome, reason_code, anchor, policy)
    VALUES (epoch_check.what, two.epoch_reads() > reads,
        answer.outcome, answer.reason_code, answer.anchor, answer.policy);
    COMMIT;
END
$$;
-- Each statement commits, and then epoch-bot asks.
CREATE PROCEDURE two.epoch_step(statement text, who name DEFAULT NULL, token text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
    IF who IS NOT NULL THEN
        EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', who);
        EXECUTE 'SELECT claiim.' || statement;
    ELSE
        PERFORM two.people(statement);
    END IF;
    COMMIT;
    CALL two.epoch_check(regexp_replace(statement, 'c[ht][gk]_\w+', '...'), token);
END
$$;

SELECT two.people($$register_human('epo', 'regress_epo', NULL, 'acme', '{member}')$$);
SELECT two.people($$register_org('acme/epoch')$$);
SELECT two.people($$map_target('epoch/**', 'acme/epoch')$$);
SELECT two.people($$register_agent('epoch-bot', 'acme/epoch', 'epo', '{deploy}', 'regress_epoch')$$);
SET SESSION AUTHORIZATION regress_ann;
SELECT claiim.publish_policy('epoch', E'skill: deploy-v1\nallow: [deploy:staging]', 'acme');
SELECT claiim.publish_policy('epoch', E'skill: deploy-v1\nallow: [deploy:staging, health:check]', 'acme');
SELECT claiim.publish_policy('epoch-base', 'deny: [deploy:staging]', 'acme');
RESET SESSION AUTHORIZATION;
SELECT two.people($$bind_policy('epoch-bot', 'epoch-v1')$$);
CALL two.epoch_check('(the first time)');
CALL two.epoch_check('(nothing)');

-- What changes a decision
CALL two.epoch_step($$suspend_agent('epoch-bot', 'x')$$, 'regress_ann');
CALL two.epoch_step($$resume_agent('epoch-bot', 'x')$$);
CALL two.epoch_step($$suspend_org('acme/epoch', 'x')$$, 'regress_ann');
CALL two.epoch_step($$resume_org('acme/epoch')$$);
CALL two.epoch_step($$deactivate_human('epo', 'x')$$, 'regress_ann');
CALL two.epoch_step($$reactivate_human('epo')$$);
CALL two.epoch_step($$transfer_anchor('epoch-bot', 'ann')$$);
CALL two.epoch_step($$bind_policy('epoch-bot', 'epoch-v2')$$);
CALL two.epoch_step($$bind_baseline('acme/epoch', 'epoch-base-v1')$$);
CALL two.epoch_step($$unbind_baseline('acme/epoch')$$);
CALL two.epoch_step($$map_target('epoch/x', 'acme')$$);
CALL two.epoch_step($$unmap_target('epoch/x')$$);
CALL two.epoch_step($$set_skills('epoch-bot', '{infra}')$$);
CALL two.epoch_step($$set_skills('epoch-bot', '{deploy}')$$);
CALL two.epoch_step($$register_agent('epoch-bot-2', 'acme/epoch', 'epo', '{deploy}')$$);

-- A session, once humans decide about it
SET SESSION AUTHORIZATION regress_epoch;
SELECT claiim_request_session('epoch-bot', '{deploy:staging}', '{**}', 'x', 'E1') ~ '^ses_' AS asked;
RESET SESSION AUTHORIZATION;
CALL two.epoch_check('(a session is asked for)');
CALL two.epoch_step($$grant_session(two.session('E1'))$$);
CALL two.epoch_step($$revoke_session(two.session('E1'), 'x')$$, 'regress_ann');
CALL two.epoch_step($$propose_session('epoch-bot', '{deploy:staging}', '{**}', 'x', 'E2')$$);

-- A token, in a session that has used it
SET SESSION AUTHORIZATION regress_ann;
SELECT token AS epoch_token, token_id AS epoch_token_id FROM claiim.issue_token('epoch-bot') \gset
RESET SESSION AUTHORIZATION;
\set ECHO none
CALL two.epoch_check('issue_token(''epoch-bot'')', :'epoch_token');
CALL two.epoch_check('(nothing)', :'epoch_token');
SELECT format('revoke_token(%L, ''x'')', :'epoch_token_id') AS epoch_revoke \gset
CALL two.epoch_step(:'epoch_revoke', 'regress_ann', :'epoch_token');
\set ECHO all

-- What changes none
CALL two.epoch_check('(nothing)');
CALL two.epoch_step($$bind_policy('epoch-bot', 'epoch-v1')$$, 'regress_ann');
SELECT change AS epoch_change FROM claiim.pending_changes WHERE subject = 'epoch-bot' \gset
SELECT format('reject(%L, ''x'')', :'epoch_change') AS epoch_reject \gset
CALL two.epoch_step(:'epoch_reject', 'regress_bob');
CALL two.epoch_step($$expire_changes()$$, 'regress_ann');
CALL two.epoch_step($$publish_skill('epoch-skill', 'actions: [a:b]', 'acme')$$, 'regress_ann');
CALL two.epoch_step($$publish_skill('epoch-skill', 'actions: [a:c]', 'acme')$$, 'regress_ann');
CALL two.epoch_step($$publish_policy('epoch', 'deny: [a:b]', 'acme')$$, 'regress_ann');
CALL two.epoch_step($$issue_token('epoch-bot')$$, 'regress_ann');
CALL two.epoch_step($$register_human('epo2', 'regress_epoch_new', NULL, 'acme', '{member}')$$);
CALL two.epoch_step($$grant_capability('epo2', 'acme', 'auditor')$$);
CALL two.epoch_step($$revoke_capability('epo2', 'acme', 'auditor')$$);
CALL two.epoch_step($$register_org('acme/epoch/deeper')$$);
CALL two.epoch_step($$set_retention('acme/epoch', '1 year')$$);
CALL two.epoch_step($$place_hold('acme/epoch', 'x')$$, 'regress_ann');
CALL two.epoch_step($$release_hold('acme/epoch', 'x')$$);
CALL two.epoch_step($$set_quorum('acme/epoch', 'agent.retire', 1)$$);

-- What is rolled back changes nothing; this backend alone forgets what it knew.
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_ann;
SELECT claiim.suspend_agent('epoch-bot', 'x');
ROLLBACK;
CALL two.epoch_check('(a suspension that was rolled back)');

SELECT what, read_anew, outcome, reason_code, anchor, policy FROM two.epoch_steps ORDER BY n;
SELECT two.people($$retire_agent('epoch-bot', 'x')$$), two.people($$retire_agent('epoch-bot-2', 'x')$$);
SELECT outcome FROM claiim_check('x', 'a', 'b');
SELECT ok, problem FROM claiim.verify();
