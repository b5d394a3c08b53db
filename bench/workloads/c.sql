-- The gate written by hand (setup.sql).  \x3a is a colon: see d.sql.
SELECT * FROM bench.check_action('deploy-bot', E'deploy\x3astaging', 'api-v2');
