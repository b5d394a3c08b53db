-- What callers may not pass: a clear error with its SQLSTATE, and no record.

\pset format unaligned
\pset tuples_only on
SELECT count(*) AS before FROM claiim.chron \gset

-- NULL would otherwise be answered with NULL, and without a record.
SELECT two.error($$SELECT claiim_check(NULL, 'a', 'b')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', NULL, 'b')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'a', NULL)$$);
SELECT two.error($$SELECT claiim_authenticate(NULL, 'x')$$);
SELECT two.error($$SELECT claiim_authenticate('deploy-bot', NULL)$$);

-- Empty, too long (in bytes), spaces, control characters
SELECT two.error($$SELECT claiim_check('', 'a', 'b')$$);
SELECT two.error($$SELECT claiim_check('x', '', 'b')$$);
SELECT two.error($$SELECT claiim_check('x', 'a', '')$$);
SELECT two.error($$SELECT claiim_check('x', 'a', 'b', session => '')$$);
SELECT two.error(format('SELECT claiim_check(%L, %L, %L)', repeat('x', 129), 'a', 'b'));
SELECT two.error(format('SELECT claiim_check(%L, %L, %L)', repeat(U&'\00e9', 65), 'a', 'b'));
SELECT two.error(format('SELECT claiim_check(%L, %L, %L)', 'x', repeat('a', 257), 'b'));
SELECT two.error(format('SELECT claiim_check(%L, %L, %L)', 'x', 'a', repeat('b', 1025)));
SELECT two.error(format('SELECT claiim_check(%L, %L, %L, session => %L)', 'x', 'a', 'b', repeat('s', 200)));
SELECT two.error($$SELECT claiim_check(' deploy-bot', 'a', 'b')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot ', 'a', 'b')$$);
SELECT two.error($$SELECT claiim_check(E'deploy\tbot', 'a', 'b')$$);
SELECT two.error($$SELECT claiim_check('x', E'a\nb', 'b')$$);
SELECT two.error($$SELECT claiim_check('x', 'a', E'b\u0085')$$);
-- A right-to-left override would make a record read as what it is not.
SELECT two.error($$SELECT claiim_check('x', 'a', E'app/\u202Egnp')$$);
SELECT two.error($$SELECT claiim_check('x', 'a', 'b', session => E's\u0007')$$);
-- What shows as nothing, or turns the text around, would make two names look
-- like one: in a call, in a pattern, in a name, in a document.
SELECT n, count(*), regexp_replace(message, 'U\+[0-9A-F]+', 'U+...')
FROM unnest('{000000AD,0000061C,0000180E,0000200B,0000200D,0000202E,00002060,00002066,0000FEFF,0000FFF9,000E0041}'::text[]) AS c,
     (VALUES (1, $$SELECT claiim_check(%L, 'a', 'b')$$),
             (2, $$SELECT claiim_check('x', %L, 'b')$$),
             (3, $$SELECT claiim_check('x', 'a', %L)$$),
             (4, $$SELECT claiim_check('x', 'a', 'b', session => %L)$$),
             (5, $$SELECT claiim_check_many('x', ARRAY['a', %L], '{b,b}')$$),
             (6, $$SELECT claiim_check_many('x', '{a,a}', ARRAY['b', %L])$$),
             (7, $$SELECT claiim_authenticate(%L, 't')$$),
             (8, $$SELECT claiim._pattern_check(%L, '/')$$),
             (9, $$SELECT claiim._skill_check('actions: [' || %L || ']')$$),
             (10, $$SELECT claiim._policy_check('allow: ["' || %L || '"]', 'acme')$$),
             (11, $$SELECT claiim._policy_check('{allow: [{action: a, target: "' || %L || '"}]}', 'acme')$$)) AS s (n, statement),
     LATERAL (SELECT split_part(two.error(format(statement, 'k' || chr(('x' || c)::bit(32)::int) || 'y')), E'\n', 1)) AS e (message)
GROUP BY 1, 3 ORDER BY 1, 3;
-- what is unusual, but shows, stays a name
SELECT two.error($$SELECT claiim._pattern_check(E'k\u00e9\u4e2d', '/')$$);

-- Wildcards in a call would match the pattern of a policy literally; empty
-- segments and paths that climb would escape a pattern.
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:*', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', '**', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:stag*', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy::staging', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', ':deploy', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy staging', 'app/x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/*')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', '**')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/../ledger/1')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', 'app/./x')$$);
SELECT two.error($$SELECT claiim_check('deploy-bot', 'deploy:staging', '..')$$);

-- Context
SELECT two.error(format('SELECT claiim_check(%L, %L, %L, context => %L)', 'x', 'a', 'b',
                        to_jsonb(repeat('c', 8191))));
-- A token is never in a message, however wrong it is.
SELECT two.error(format('SELECT claiim_authenticate(%L, %L)', 'deploy-bot', 'ctk_secret'));
SELECT two.error(format('SELECT claiim_authenticate(%L, %L)', 'nobody', 'ctk_secret'));
SELECT two.error(format('SELECT claiim_authenticate(%L, %L)', 'deploy-bot', repeat('ctk_secret', 20)));

-- Ids
SELECT two.error($$SELECT claiim._chron_key('chr_')$$);
SELECT two.error($$SELECT claiim._chron_key('ses_01j00000000000000000000000')$$);
SELECT two.error($$SELECT claiim._chron_key('chr_01J00000000000000000000000')$$);
SELECT two.error($$SELECT claiim.chron_id(0, now())$$);
SELECT two.error($$SELECT claiim.chron_id(-1, now())$$);
SELECT two.error($$SELECT claiim.chron_id(9223372036854775807, now())$$);
SELECT two.error($$SELECT claiim.chron_id(1, 'infinity')$$);
SELECT two.error($$SELECT claiim.chron_id(1, '1969-12-31 23:59:59Z')$$);

-- What the library lends to SQL
SELECT two.error($$SELECT claiim._act(NULL, 'ann', 'acme', 'x', NULL, '{}')$$);
SELECT two.error($$SELECT claiim._act('x.y', 'ann', 'acme', 'x', NULL, to_jsonb(repeat('x', 1048577)))$$);
SELECT two.error($$SELECT claiim._name_check('label', NULL, 5)$$);
SELECT two.error($$SELECT claiim._name_check(NULL, 'x', 5)$$);
SELECT two.error($$SELECT claiim._name_check('label', 'too long', 5)$$);
SELECT two.error($$SELECT claiim._pattern_check(NULL, ':')$$);
SELECT two.error($$SELECT claiim._pattern_check('a:**:b', ':')$$);
SELECT two.error($$SELECT claiim._pattern_check('a:*:b', ':')$$);
SELECT two.error($$SELECT claiim._guard_chron()$$);

-- None of these has left a record.
SELECT count(*) - :before FROM claiim.chron;

-- The longest that is accepted, and what is unusual but a name
SELECT outcome, reason_code, length(reason) FROM claiim_check(repeat('x', 128), repeat('a', 256), repeat('b', 1024));
SELECT outcome, reason FROM claiim_check(U&'b\00f6t', 'a', U&'\4e2d/ x');
SELECT outcome, reason_code FROM claiim_check('x', 'a', 'b', context => to_jsonb(repeat('c', 8190)));
SELECT outcome, reason_code FROM claiim_check('x', 'a', 'b', context => 'null');
SELECT outcome, reason_code FROM claiim_check('x', 'a', 'b', token => '');
SELECT ok, problem FROM claiim.verify();
