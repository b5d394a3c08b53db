-- Ten decisions in one call.
SELECT * FROM claiim_check_many('deploy-bot', array_fill(E'deploy\x3astaging'::text, '{10}'), array_fill('api-v2'::text, '{10}'));
