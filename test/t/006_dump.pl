# Chron and the registry go through pg_dump and pg_restore, of every kind, with
# every hash unchanged; afterwards the gate works, and continues the chain in a
# log of its own.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $bin = $node->config_data('--bindir');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $connect = sub { ('-d', $node->connstr($_[0])) };
local $ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');

set_up($node, 'source');
my @answers = answers_of(start_load($node, 'source', 4, 50));
$node->safe_psql('source', "SELECT claiim_check('x', 'a', 'with context', context => '{\"a\": \"\\u00e9\"}')");
my $token = $node->safe_psql('source', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot')");
$node->safe_psql('source', "SET SESSION AUTHORIZATION ann; SELECT FROM claiim.rotate_token(left('$token', 30), '1 day')");
is($node->safe_psql('source', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x', token => '$token')"), 'ALLOW', 'a token that was rotated and used');
my $pending = $node->safe_psql('source', "SET SESSION AUTHORIZATION ann; SELECT claiim.set_skills('deploy-bot', '{deploy,more}')");
my $session = $node->safe_psql('source', <<'SQL');
SELECT two.people($$propose_session('deploy-bot', '{deploy:*}', '{**}', 'test', max_uses => 2)$$) AS change \gset
SELECT session FROM claiim.sessions WHERE change = :'change';
SQL
my $in_session = sub { my $sql = "SELECT outcome, chron_id, reason_code FROM claiim_check('deploy-bot', 'deploy:staging', 'x', session => '$session')";
	return split /\|/, $node->safe_psql($_[0], "SET SESSION AUTHORIZATION deploy; $sql") };
my (undef, $completed) = $in_session->('source');
my $complete = "SET SESSION AUTHORIZATION deploy; SELECT claiim_complete('$completed', 'succeeded', '{\"a\": 1}')";
$node->safe_psql('source', $complete);
is(ask($node, 'source', 'the last before'), 'ALLOW', 'the source is set up');

# All rows of all tables, whatever their order on disk
sub fingerprint
{
	my ($db) = @_;
	my $tables = $node->safe_psql($db, <<'SQL');
SELECT string_agg(format('SELECT %L AS t, count(*), md5(string_agg(r::text, E''\n'' ORDER BY r::text COLLATE "C")) FROM ONLY claiim.%I r', relname, relname),
	' UNION ALL ' ORDER BY relname)
FROM pg_class WHERE relnamespace = 'claiim'::regnamespace AND relkind = 'r' AND relname <> 'logs'
SQL
	return $node->safe_psql($db, "SELECT * FROM ($tables) AS x WHERE count > 0 ORDER BY t");
}
my $before = fingerprint('source');
my $schema = <<'SQL';
SELECT c.relname, t.tgname, t.tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'claiim'::regnamespace AND NOT t.tgisinternal ORDER BY 1, 2
SQL
my $triggers = $node->safe_psql('source', $schema);
my ($log) = $node->safe_psql('source', 'SELECT DISTINCT log FROM claiim.chron');

command_ok([ "$bin/pg_dump", '-Fp', '-f', "$dir/plain.sql", $connect->('source') ], 'pg_dump, plain');
command_ok([ "$bin/pg_dump", '-Fc', '-f', "$dir/custom", $connect->('source') ], 'pg_dump, custom');
command_ok([ "$bin/pg_dump", '-Fd', '-j2', '-f', "$dir/parallel", $connect->('source') ], 'pg_dump, parallel');
command_ok([ "$bin/pg_dump", '-s', '-f', "$dir/schema.sql", $connect->('source') ], 'pg_dump, the schema');
command_ok([ "$bin/pg_dump", '-a', '-f', "$dir/data.sql", $connect->('source') ], 'pg_dump, the data');
unlike(slurp_file("$dir/plain.sql"), qr/\Q@{[ substr $token, -43 ]}\E/, 'no token is in a dump');

my %restore = (
	plain => [ [ "$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql" ] ],
	custom => [ [ "$bin/pg_restore", '--exit-on-error', "$dir/custom" ] ],
	# pg_restore -j keeps no order among the tables of an extension, whose
	# foreign keys are there already: doc/dba.md says to do it as "untriggered".
	parallel => [ [ "$bin/pg_restore", '--exit-on-error', "$dir/parallel" ] ],
	data => [ [ "$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/schema.sql" ],
		[ "$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/data.sql" ] ],
	untriggered => [ [ "$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/schema.sql" ],
		[ "$bin/pg_restore", '--exit-on-error', '-a', '-j2', '--disable-triggers', "$dir/parallel" ] ],
);
for my $how (sort keys %restore)
{
	my $db = "from_$how";

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	command_ok([ @$_, $connect->($db) ], "$how: restored") for @{ $restore{$how} };
	is(fingerprint($db), $before, "$how: every row is as it was");
	is($node->safe_psql($db, 'SELECT ok FROM claiim.verify()'), 't', "$how: the chain verifies");

	is(ask($node, $db, 'after restore'), 'ALLOW', "$how: the gate works");
	is($node->safe_psql($db, $schema), $triggers, "$how: and every trigger is as it was, once the gate works");
	is($node->safe_psql($db, "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x', token => '$token')"),
		'ALLOW', "$how: and so does a token");
	is(join(' ', map { ($in_session->($db))[2] } 1 .. 2), 'allowed session_used_up', "$how: a session has the uses that were left");
	my (undef, undef, $twice) = $node->psql($db, $complete, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($twice, qr/23505: the action of decision $completed is completed already/, "$how: and what is completed is completed");
	chron_is_sound($node, $db, "$how: with what came after", @answers);
	is($node->safe_psql($db, "SELECT count(*) FILTER (WHERE log <> '$log'), max(detail::jsonb->>'previous_log') FROM claiim.chron WHERE act = 'log.open'"),
		"1|$log", "$how: which is in a log of its own");
	my (undef, undef, $err) = $node->psql($db, "INSERT INTO claiim.targets VALUES ('y', 'acme')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	is(error_of($err), '42501: table claiim.targets cannot be changed directly', "$how: and nobody restores into it any more");
	is(($node->psql($db, "SET SESSION AUTHORIZATION bob; SELECT claiim.approve('$pending')"))[1], 'applied',
		"$how: a change that was pending can be approved");
}

# Another cluster: another system identifier, another log.
my $other = new_node('elsewhere');
$other->safe_psql('postgres', 'CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE deploy LOGIN IN ROLE pg_monitor; CREATE DATABASE moved TEMPLATE template0');
command_ok([ "$bin/pg_restore", '--exit-on-error', '-d', $other->connstr('moved'), "$dir/custom" ], 'restored into another cluster');
$other->safe_psql('moved', 'GRANT claiim_agent TO deploy');
is(ask($other, 'moved', 'after the move'), 'ALLOW', '... the gate works');
chron_is_sound($other, 'moved', 'moved', @answers);
is($other->safe_psql('moved', 'SELECT count(DISTINCT log) FROM claiim.chron'), 2, '... in another log');
$other->safe_psql('moved', "SELECT FROM claiim_check('deploy-bot', 'deploy:staging', 'x', token => '$token')");
is($other->safe_psql('moved', 'SELECT reason_code FROM claiim.chron ORDER BY seq DESC LIMIT 1'), 'token_invalid', '... whose token secret is another: tokens issued there do not count here');

# A forger who edits the dump is found out.
my $forged = slurp_file("$dir/plain.sql");
cmp_ok($forged =~ s/(\tDENY\tdeploy-bot\t.*?)\tnot_in_allow_list\t/$1\tallowed\t/, '==', 1, 'a record in the dump is forged');
append_to_file("$dir/forged.sql", $forged);
$node->safe_psql('postgres', 'CREATE DATABASE forged TEMPLATE template0');
command_ok([ "$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/forged.sql", $connect->('forged') ], '... and restored');
is($node->safe_psql('forged', "SELECT ok, problem, (SELECT reason_code FROM claiim.chron WHERE seq = first_bad) FROM claiim.verify()"),
	'f|its content does not match its leaf hash|allowed', '... and found, by name');

# What kept the log from being opened is let go where a restore takes its rows back.
$node->safe_psql('postgres', 'CREATE DATABASE late');
$node->safe_psql('late', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
my $late = background($node, 'late', <<'SQL', user => $ENV{PGUSER});
BEGIN;
SAVEPOINT s;
INSERT INTO claiim.orgs (org) VALUES ('first');
ROLLBACK TO s;
SELECT 'taken back';
DO $$BEGIN FOR i IN 1 .. 1800 LOOP EXIT WHEN EXISTS (SELECT FROM claiim.logs); PERFORM pg_sleep(.1); END LOOP; END$$;
INSERT INTO claiim.orgs (org) VALUES ('second');
COMMIT;
SQL
wait_until(sub { slurp_file($late->{out}) =~ /taken back/ }, 'a restore takes its rows back to a savepoint');
$node->safe_psql('late', "SELECT FROM claiim_check('x', 'a', 'b')");
wait_for_all($late);
is(error_of($late->{stderr}), '42501: table claiim.orgs cannot be changed directly', '... and adds no other once the log is open');

$_->stop for $node, $other;
done_testing();
