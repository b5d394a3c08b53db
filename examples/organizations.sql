-- Three organizations, their humans, and which targets are whose.
--
-- run.sh runs it, once, in one transaction.  Every change is made by two
-- humans; the script becomes them by SET SESSION AUTHORIZATION, which only a
-- superuser can do.  Real humans log in, each with the role of their own.

-- A role for each human and each agent.  How it may log in (password,
-- certificate, ...) is up to pg_hba.conf.
SELECT format('CREATE ROLE %I LOGIN', r)
FROM unnest('{s_emp1,s_emp2,j_smith,p_novak,d_kim,c_reyes,h_weber,
              deploy_bot,review_bot,support_bot,finance_bot,infra_bot}'::text[]) AS r
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) \gexec

-- The founding organization, and its first two humans.  All targets are
-- engineering's, until they are mapped otherwise.
SELECT NOT EXISTS (SELECT FROM claiim.orgs) AS is_new \gset
\if :is_new
    SELECT claiim.bootstrap('engineering', 's.emp1', 's_emp1', 's.emp2', 's_emp2');
\endif

-- More humans.  They begin as plain members of engineering.
SET SESSION AUTHORIZATION s_emp1;
SELECT claiim.register_human(human, role, full_name, 'engineering', '{member}')
FROM (VALUES
    ('j.smith', 'j_smith', 'Jo Smith, engineering lead'),
    ('p.novak', 'p_novak', 'Petra Novak, support lead'),
    ('d.kim',   'd_kim',   'Dan Kim, support'),
    ('c.reyes', 'c_reyes', 'Carla Reyes, CFO'),
    ('h.weber', 'h_weber', 'Hanna Weber, controller')) AS v (human, role, full_name);

SET SESSION AUTHORIZATION s_emp2;
SELECT claiim.approve(change) FROM claiim.pending_changes WHERE kind = 'human.register';

-- Two organizations beside engineering.  Each has an admin and an approver of
-- its own; engineering has no say in them, and reads nothing of theirs.  (Its
-- first humans are at home where they were registered, in engineering, which
-- could deactivate them; those whom it registers itself are its own.)
SET SESSION AUTHORIZATION s_emp1;
SELECT claiim.register_org('support', 'Customer support', admin => 'p.novak', approver => 'd.kim');
SELECT claiim.register_org('finance', 'Finance', admin => 'h.weber', approver => 'c.reyes');

SET SESSION AUTHORIZATION s_emp2;
SELECT claiim.approve(change) FROM claiim.pending_changes WHERE kind = 'org.register';

-- Their people leave engineering, and their targets are theirs from now on.
SET SESSION AUTHORIZATION s_emp1;
SELECT claiim.revoke_capability(human, 'engineering', 'member')
FROM unnest('{p.novak,d.kim,c.reyes,h.weber}'::text[]) AS human;
SELECT claiim.map_target('support/**', 'support');
SELECT claiim.map_target('finance/**', 'finance');

SET SESSION AUTHORIZATION s_emp2;
SELECT claiim.approve(change) FROM claiim.pending_changes
WHERE kind IN ('capability.revoke', 'target.map');

-- Finance appoints its own auditor, and has both of its people propose and
-- approve: who is accountable for an agent does not alone approve what it may.
SET SESSION AUTHORIZATION h_weber;
SELECT claiim.grant_capability('c.reyes', 'finance', 'auditor');
SELECT claiim.grant_capability('c.reyes', 'finance', 'admin');
SELECT claiim.grant_capability('h.weber', 'finance', 'approver');

SET SESSION AUTHORIZATION c_reyes;
SELECT claiim.approve(change) FROM claiim.pending_changes WHERE kind = 'capability.grant';

RESET SESSION AUTHORIZATION;
