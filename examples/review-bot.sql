-- Code review: reads diffs and metadata, comments.  It never merges, approves,
-- pushes or deletes branches.  The engineering lead is accountable for it.
--
-- run.sh runs it, once, in one transaction.

SET SESSION AUTHORIZATION s_emp1;
\set source `cat skills/review-v1.yaml`
SELECT claiim.publish_skill('review', :'source', 'engineering');
SELECT claiim.register_agent('review-bot', 'engineering', anchor => 'j.smith',
    skills => '{review}', role_name => 'review_bot') AS change \gset
SET SESSION AUTHORIZATION s_emp2;
SELECT claiim.approve(:'change');

-- The first weeks it only reads.
SET SESSION AUTHORIZATION s_emp1;
\set source `cat policies/review-v1.yaml`
SELECT claiim.publish_policy('review', :'source', 'engineering');
SELECT claiim.bind_policy('review-bot', 'review-v1') AS change \gset
SET SESSION AUTHORIZATION s_emp2;
SELECT claiim.approve(:'change');

-- Then it may comment.  Version 1 stays what it was.
SET SESSION AUTHORIZATION s_emp1;
\set source `cat policies/review-v2.yaml`
SELECT claiim.publish_policy('review', :'source', 'engineering');
SELECT claiim.bind_policy('review-bot', 'review-v2') AS change \gset
SET SESSION AUTHORIZATION s_emp2;
SELECT claiim.approve(:'change');

RESET SESSION AUTHORIZATION;
