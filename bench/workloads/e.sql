-- A decision whose caller rolls back: three round trips, and still a record.
BEGIN;
SELECT * FROM claiim_check('deploy-bot', E'deploy\x3astaging', 'api-v2');
ROLLBACK;
