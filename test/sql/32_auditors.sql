-- What auditors read: their organization's records and no others.

\pset format unaligned
SET client_min_messages = warning;

-- ann audits acme and what lies below it; cfo audits fin.  Something for each:
CREATE ROLE regress_fin LOGIN;
SELECT two.people($$register_agent('ledger-bot', 'fin', 'cfo', '{report}', 'regress_fin')$$, 'regress_cfo', 'regress_fay');
SET SESSION AUTHORIZATION regress_fin;
SELECT chron_id, reason FROM claiim_check('ledger-bot', 'report:read', 'ledger/1') \gset fin_
\echo :fin_reason
SET SESSION AUTHORIZATION regress_deploy;
SELECT chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'app/audited', context => '{"ticket": 7}') \gset allow_
SELECT chron_id FROM claiim_check('deploy-bot', 'deploy:production', 'app/audited') \gset deny_
SELECT chron_id FROM claiim_check('nobody', 'deploy:production', 'app/audited') \gset nobody_
RESET SESSION AUTHORIZATION;

-- BRIEF.md's table
SET SESSION AUTHORIZATION regress_ann;
SELECT outcome, agent, action, anchor, policy, skill FROM claiim.decisions WHERE target = 'app/audited' ORDER BY seq;
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'claiim.decisions'::regclass AND attnum BETWEEN 1 AND 6;
SELECT DISTINCT org FROM claiim.decisions ORDER BY 1;
SELECT DISTINCT org FROM claiim.acts ORDER BY 1;
SET SESSION AUTHORIZATION regress_cfo;
SELECT DISTINCT org FROM claiim.decisions ORDER BY 1;
SELECT DISTINCT org FROM claiim.acts ORDER BY 1;
SELECT act, actor, subject, detail ? 'reason' AS reason FROM claiim.acts ORDER BY seq LIMIT 3;
-- not by a function in WHERE that is cheap enough to be run first
RESET client_min_messages;
CREATE FUNCTION pg_temp.peek(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
    $$BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END$$;
SELECT count(*) FROM claiim.decisions WHERE pg_temp.peek(org);
-- nor one record of another's: it does not say whether there is one
SELECT replace(two.error(format('SELECT * FROM claiim.five_questions(%L)', :'allow_chron_id')), :'allow_chron_id', '...');
SELECT replace(two.error(format('SELECT * FROM claiim.five_questions(%L)', :'nobody_chron_id')), :'nobody_chron_id', '...');
SELECT replace(two.error(format('SELECT claiim.record_bytes(%L)', :'allow_chron_id')), :'allow_chron_id', '...');
SELECT two.error($$SELECT claiim.record_bytes('chr_00000000000000000000000001')$$);
SELECT two.error($$SELECT claiim.record_bytes('chr_x')$$);
SELECT two.error($$SELECT claiim.record_bytes(NULL)$$);
SELECT two.error($$SELECT claiim.five_questions(NULL)$$);
SELECT length(claiim.record_bytes(:'fin_chron_id')) > 100;
-- to verify is to read all, and tells of nobody's
SELECT ok, problem FROM claiim.verify();

-- The five questions.  Times, ids and hashes aside, the answer is in the text.
\set mask '\\m(chr|log|ctk)_[0-9a-hjkmnp-tv-z]{26}\\M|[0-9a-f]{64}|\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z|number \\d+'
SET SESSION AUTHORIZATION regress_ann;
SELECT n, question, regexp_replace(answer, :'mask', '...', 'g') AS answer FROM claiim.five_questions(:'allow_chron_id');
SELECT n, regexp_replace(answer, :'mask', '...', 'g') AS answer FROM claiim.five_questions(:'deny_chron_id');
SELECT n, regexp_replace(answer, :'mask', '...', 'g') AS answer FROM claiim.five_questions(:'nobody_chron_id');
-- they name what they name
SELECT bool_or(answer ~ :'allow_chron_id') AS id,
       bool_or(answer ~ encode(sha256(claiim.record_bytes(:'allow_chron_id')), 'hex')) AS not_the_plain_hash,
       bool_or(answer ~ encode(sha256('\x00'::bytea || claiim.record_bytes(:'allow_chron_id')), 'hex')) AS leaf
FROM claiim.five_questions(:'allow_chron_id');
SELECT chron_id FROM claiim.acts WHERE act = 'policy.bind' ORDER BY seq LIMIT 1 \gset act_
SELECT replace(two.error(format('SELECT * FROM claiim.five_questions(%L)', :'act_chron_id')), :'act_chron_id', '...');
RESET SESSION AUTHORIZATION;

-- and they tell of tampering
BEGIN;
ALTER TABLE claiim.chron DISABLE TRIGGER claiim_guard_rows;
UPDATE claiim.chron SET outcome = 'DENY' WHERE claiim.chron_id(seq, at) = :'allow_chron_id';
SELECT regexp_replace(answer, :'mask', '...', 'g') FROM claiim.five_questions(:'allow_chron_id') WHERE n = 5;
ROLLBACK;

-- A human who loses the capability reads nothing from then on.
SELECT two.people($$revoke_capability('cfo', 'fin', 'auditor')$$, 'regress_cfo', 'regress_fay');
SET SESSION AUTHORIZATION regress_cfo;
SELECT count(*) FROM claiim.decisions;
SELECT count(*) FROM claiim.acts;
RESET SESSION AUTHORIZATION;

-- What an agent's role can do: ask, and nothing else in this extension.
SELECT p.oid::regprocedure AS may_call
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'claiim')
  AND has_function_privilege('regress_deploy', p.oid, 'EXECUTE') ORDER BY 1::text COLLATE "C";
SELECT c.relname AS may_touch FROM pg_class c
WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
  AND (has_table_privilege('regress_deploy', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
       OR has_any_column_privilege('regress_deploy', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'));
SELECT has_schema_privilege('regress_deploy', 'claiim', 'USAGE, CREATE') AS may_enter;
-- and who is neither agent nor human nothing at all
CREATE ROLE regress_nobody LOGIN;
SELECT p.oid::regprocedure AS may_call
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'claiim')
  AND has_function_privilege('regress_nobody', p.oid, 'EXECUTE');
SET SESSION AUTHORIZATION regress_nobody;
SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'app/x');
SELECT * FROM claiim.decisions;
RESET SESSION AUTHORIZATION;
-- No auditor, admin or agent may write (what they may read: test/pgtap/privileges.sql).
SELECT r.rolname, c.relname, string_agg(p, ' ') AS privileges
FROM (VALUES ('claiim_agent'), ('claiim_admin'), ('claiim_auditor')) AS r (rolname),
     pg_class c, unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND has_table_privilege(r.rolname, c.oid, p)
GROUP BY 1, 2 ORDER BY 1, 2;
