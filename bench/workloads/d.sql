-- A decision.  \x3a is a colon, which pgbench would take for the start of a variable.
SELECT * FROM claiim_check('deploy-bot', E'deploy\x3astaging', 'api-v2');
