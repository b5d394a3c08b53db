# pg_upgrade takes Chron along: every row and every hash is as it was, the new
# cluster's gate works, and it continues the chain in a log of its own.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = new_node('old');
my $superuser = $old->safe_psql('postgres', 'SELECT current_user');
my $bin = $old->config_data('--bindir');
set_up($old, $_) for qw(one two);
my @answers = answers_of(start_load($old, 'one', 4, 100));
$old->safe_psql('one', "SELECT claiim_check('x', 'a', 'with context', context => '{\"a\": \"\\u00e9\"}')");
my $pending = $old->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.set_skills('deploy-bot', '{deploy,more}')");
my $token = $old->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot')");
$old->safe_psql('two', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'before the upgrade')");
is(ask($old, 'one', 'the last before'), 'ALLOW', 'the old cluster is set up');
is(ask($old, 'two', 'the last before'), 'DENY', '... and in its other database the agent is suspended');

my $rows = <<'SQL';
SELECT string_agg(format('SELECT %L AS t, count(*), md5(string_agg(r::text, E''\n'' ORDER BY r::text COLLATE "C")) FROM ONLY claiim.%I r', relname, relname),
	' UNION ALL ' ORDER BY relname)
FROM pg_class WHERE relnamespace = 'claiim'::regnamespace AND relkind = 'r'
SQL
my $schema = <<'SQL';
SELECT c.relname::text, t.tgname::text, t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'claiim'::regnamespace AND NOT t.tgisinternal
UNION ALL SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), NULL FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relispartition
UNION ALL SELECT c.relname, c.relacl::text, NULL FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace
UNION ALL SELECT proname, proacl::text, pg_get_function_identity_arguments(oid) FROM pg_proc WHERE pronamespace = 'claiim'::regnamespace OR proname LIKE 'claiim\_%'
UNION ALL SELECT polrelid::regclass::text, polname, pg_get_expr(polqual, polrelid) FROM pg_policy
UNION ALL SELECT c.relname, c.relrowsecurity::text, NULL FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace
UNION ALL SELECT extname, extversion, array_length(extconfig, 1)::text FROM pg_extension WHERE extname = 'claiim'
ORDER BY 1, 2, 3
SQL
my %before = map { my $db = $_; $db => [ map { $old->safe_psql($db, $_) } $old->safe_psql($db, $rows), $schema ] } qw(one two);
my $log = $old->safe_psql('one', 'SELECT DISTINCT log FROM claiim.chron');

my $new = new_node('new', start => 0);
$new->append_conf('postgresql.conf', 'claiim.token_secret_file = \'' . $old->basedir . '/token_secret\'');
my $dir = PostgreSQL::Test::Utils::tempdir();
chdir $dir or die "$dir: $!";
my @upgrade = ("$bin/pg_upgrade", '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir, '-p', $old->port, '-P', $new->port,
	'-s', $new->host, '-U', $superuser, '--no-sync');

# pg_upgrade wants the library loaded or not; and a prepared new cluster.
command_ok([ @upgrade, '--check' ], 'pg_upgrade --check, of a cluster that runs');
is(ask($old, 'one', 'after the check'), 'ALLOW', '... which goes on afterwards');
%before = map { my $db = $_; $db => [ map { $old->safe_psql($db, $_) } $old->safe_psql($db, $rows), $schema ] } qw(one two);
$old->stop;
command_ok([@upgrade], 'pg_upgrade');

$new->start;
is($new->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'claiim writer'"), 0, 'nobody has written anything yet');
for my $db (qw(one two))
{
	my @after = map { $new->safe_psql($db, $_) } $new->safe_psql($db, $rows), $schema;
	is($after[0], $before{$db}[0], "$db: every row of every table is as it was");
	is($after[1], $before{$db}[1], "$db: and so is every guard, policy, partition, privilege and function");
	is($new->safe_psql($db, 'SELECT ok FROM claiim.verify()'), 't', "$db: the chain verifies");
}
is(ask($new, 'one', 'upgraded'), 'ALLOW', 'the gate works');
is(ask($new, 'two', 'upgraded'), 'DENY', '... and who was suspended is');
is($new->safe_psql('one', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x', token => '$token')"), 'ALLOW', '... a token is good');
is(($new->psql('one', "SET SESSION AUTHORIZATION bob; SELECT claiim.approve('$pending')"))[1], 'applied', '... a change that was pending can be approved');
push @answers, answers_of(start_load($new, 'one', 4, 100));
is(scalar @answers, 800, '... under load');
chron_is_sound($new, 'one', 'upgraded', @answers);
chron_is_sound($new, 'two', 'upgraded');
is($new->safe_psql('one', "SELECT count(DISTINCT log), max(detail::jsonb->>'previous_log') FROM claiim.chron"), "2|$log", '... in a log of its own, that says of which it is the continuation');
my (undef, undef, $err) = $new->psql('one', "INSERT INTO claiim.targets VALUES ('y', 'acme')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
is(error_of($err), '42501: table claiim.targets cannot be changed directly', '... and nobody changes the tables');
(undef, undef, $err) = $new->psql('one', 'DROP EXTENSION claiim CASCADE', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like(error_of($err), qr/^2BP01: Chron has records/, '... nor drops them');
is($new->safe_psql('one', "SELECT bool_and(deptype = 'e') FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'claiim') AND objid = 'claiim.chron'::regclass"),
	't', '... which belong to the extension');
$new->restart;
is(ask($new, 'one', 'restarted'), 'ALLOW', 'and after a restart');
is($new->safe_psql('one', 'SELECT count(DISTINCT log) FROM claiim.chron'), 2, '... in that log');
chron_is_sound($new, 'one', 'restarted', @answers);

$new->stop;

# The same by links: the old cluster's files are the new one's from then on.
{
	my $linked = new_node('linked', start => 0);
	$linked->append_conf('postgresql.conf', 'claiim.token_secret_file = \'' . $old->basedir . '/token_secret\'');
	my %replaced = ($new->data_dir => $linked->data_dir, $new->port => $linked->port);
	command_ok([ (map { $replaced{$_} // $_ } @upgrade), '--link' ], 'pg_upgrade --link');
	$linked->start;
	for my $db (qw(one two))
	{
		is($linked->safe_psql($db, $linked->safe_psql($db, $rows)), $before{$db}[0], "$db: every row of every table is as it was");
		is($linked->safe_psql($db, 'SELECT ok FROM claiim.verify()'), 't', "$db: the chain verifies");
	}
	is(ask($linked, 'one', 'linked'), 'ALLOW', 'the gate works');
	is(ask($linked, 'two', 'linked'), 'DENY', '... and who was suspended is');
	my @given = answers_of(start_load($linked, 'one', 4, 100));
	chron_is_sound($linked, 'one', 'linked', @answers[ 0 .. 399 ], @given);
	is($linked->safe_psql('one', "SELECT count(DISTINCT log), max(detail::jsonb->>'previous_log') FROM claiim.chron"), "2|$log", '... in a log of its own');
	$linked->stop;
}

done_testing();
