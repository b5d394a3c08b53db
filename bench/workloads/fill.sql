-- A hundred decisions in one call, to fill Chron quickly.
SELECT * FROM claiim_check_many('deploy-bot', array_fill(E'deploy\x3astaging'::text, '{100}'), array_fill('api-v2'::text, '{100}'));
