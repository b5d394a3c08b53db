# Databases come, go, are renamed and copied, while a writer is connected to
# each; every one has a Chron of its own, and a copy never writes on under the
# original's name.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('databases');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub chron
{
	my ($db, $columns, $where) = @_;
	return $node->safe_psql($db, "SELECT $columns FROM claiim.chron" . ($where ? " WHERE $where" : ''));
}

set_up($node, $_) for qw(one two three);

# Side by side
my @load = map { start_load($node, $_, 4, 50) } qw(one two three);
for my $i (0 .. 2)
{
	my $db = (qw(one two three))[$i];
	my @answers = answers_of(@load[ 4 * $i .. 4 * $i + 3 ]);
	is(scalar @answers, 200, "$db: all are answered");
	chron_is_sound($node, $db, "$db, beside two others", @answers);
}
is($node->safe_psql('postgres', "SELECT count(DISTINCT datname) FROM pg_stat_activity WHERE backend_type = 'claiim writer'"),
	3, 'each database has a writer');
my %log = map { $_ => chron($_, 'DISTINCT log') } qw(one two three);
is(scalar keys %{ { reverse %log } }, 3, '... and a log of its own');

# Suspended here is not suspended there.
$node->safe_psql('two', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'test')");
is(join(' ', map { ask($node, $_, 'x') } qw(one two three)), 'ALLOW DENY ALLOW', 'governance of one is not that of another');
$node->safe_psql('two', "SELECT two.people(\$\$resume_agent('deploy-bot', 'test')\$\$)");

# What needs a database without connections: the writer makes room.
for my $command ('DROP DATABASE three', 'ALTER DATABASE two RENAME TO deux', 'CREATE DATABASE copy TEMPLATE one')
{
	my ($status, undef, $err) = $node->psql('postgres', $command);
	is($status, 0, "$command, with a writer running") or diag($err);
}
is(ask($node, 'deux', 'renamed'), 'ALLOW', 'renamed: the gate goes on');
is(chron('deux', 'DISTINCT log'), $log{two}, '... in the same log');
chron_is_sound($node, 'deux', 'renamed');
is(ask($node, 'one', 'copied'), 'ALLOW', 'copied: the original goes on');
is(chron('one', 'DISTINCT log'), $log{one}, '... in its log');

# The copy
my $count = chron('copy', 'count(*)');
is(ask($node, 'copy', 'in the copy'), 'ALLOW', 'the copy works');
is(chron('copy', "log = '$log{one}'", "target = 'in the copy'"), 'f', '... in a log of its own');
is(chron('copy', "seq - $count || ' ' || act || ' ' || (detail::jsonb->>'previous_log' = '$log{one}') || ' ' || (detail::jsonb->>'database')",
	"seq = $count + 1"), '1 log.open true copy', '... that it opens by saying of which it is the continuation');
chron_is_sound($node, 'copy', 'the copy');
is($node->safe_psql('copy', "SELECT count(*) FROM claiim.logs"), 2, '... and knows both');
isnt(chron('one', 'max(seq)'), chron('copy', 'max(seq)'), 'they go separate ways');

# From a session in the database itself, which is allowed to copy it
my ($status, undef, $err) = $node->psql('one', 'CREATE DATABASE own_copy TEMPLATE one');
is($status, 0, 'a session can copy the database that it is in, the writer notwithstanding') or diag($err);

# While such a command waits for others to leave, the gate is closed to them;
# when it has failed, it is open.
my $guest = background($node, 'one', "SELECT 'is in';\n" . until_told($node, 'ask')
	. "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'meanwhile');\nSELECT pg_sleep(600);\n", user => $superuser);
wait_until(sub { slurp_file($guest->{out}) =~ /is in/ }, 'somebody is in it');
# It waits for this lock first, so that there is time.
my $locker = background($node, 'postgres', "BEGIN;\nCOMMENT ON DATABASE one IS 'locked';\nSELECT 'locked';\n" . until_told($node, 'unlock') . "ROLLBACK;\n", user => $superuser);
wait_until(sub { slurp_file($locker->{out}) =~ /locked/ }, 'the database is locked');
my $copying = background($node, 'postgres', 'CREATE DATABASE never TEMPLATE one', user => $superuser);
wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE never%' AND wait_event_type = 'Lock'") }, 'the command has begun');
tell($node, 'ask');
wait_until(sub { -s $guest->{err} || slurp_file($guest->{out}) =~ /ALLOW/ }, 'it was asked');
tell($node, 'unlock');
wait_for_all($locker, $copying);
like($copying->{stderr}, qr/is being accessed by other users/, 'a database in use cannot be copied');
is(error_of(slurp_file($guest->{err})), "55006: the decision was not taken: a command on this database keeps Chron's writer away",
	'... nothing is decided in it meanwhile');
is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'meanwhile'"), 0, '... nor recorded');
is(ask($node, 'one', 'after that'), 'ALLOW', '... and its gate is open again');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'");

# Nobody stops a writer by trying what he may not.
my $pid = writer_pid($node, 'one');
($status, undef, $err) = $node->psql('postgres', 'DROP DATABASE one', extra_params => [ '-U', 'ann' ]);
like($err, qr/must be owner of database one/, 'who may not drop it');
is(writer_pid($node, 'one'), $pid, '... does not stop its writer either');
($status, undef, $err) = $node->psql('postgres', 'ALTER DATABASE one RENAME TO uno', extra_params => [ '-U', 'ann' ]);
is(writer_pid($node, 'one'), $pid, '... nor by renaming it');

# DROP DATABASE ... WITH (FORCE), under load
my @doomed = start_load($node, 'one', 4, 10_000);
wait_until(sub { -s $doomed[3]{out} }, 'there is load');
is(($node->psql('postgres', 'DROP DATABASE one WITH (FORCE)'))[0], 0, 'DROP DATABASE WITH (FORCE) under load');
wait_for_all(@doomed, $guest);
# a place is free again, and what takes it begins anew
$node->safe_psql('postgres', 'CREATE DATABASE one');
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'a new database of that name works');
isnt(chron('one', 'DISTINCT log'), $log{one}, '... in a new log');
is(chron('one', 'min(seq)'), 1, '... from its beginning');

# A tablespace
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$dir'");
is(($node->psql('postgres', 'ALTER DATABASE one SET TABLESPACE elsewhere'))[0], 0, 'ALTER DATABASE SET TABLESPACE');
is(ask($node, 'one', 'moved'), 'ALLOW', '... and the gate goes on');
chron_is_sound($node, 'one', 'moved');

# A template or a database that allows no connections has no writer to disturb.
$node->safe_psql('postgres', "CREATE DATABASE template2 IS_TEMPLATE true");
$node->safe_psql('template2', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
$node->safe_psql('postgres', 'CREATE DATABASE of_template2 TEMPLATE template2');
is(ask($node, 'of_template2', 'x', user => $superuser), 'DENY', 'an extension that came by template1 or its like works');
chron_is_sound($node, 'of_template2', 'made by template');

# The extension goes and comes, in the same session and in others.
my $go_on = $node->basedir . '/go_on';
my $old = background($node, 'deux', "SELECT outcome FROM claiim_check('x', 'a', 'before');\n\\! timeout 300 sh -c 'until [ -e $go_on ]; do sleep 0.1; done'\nSELECT outcome FROM claiim_check('x', 'a', 'after');\n",
	user => $superuser);
wait_until(sub { -s $old->{out} }, 'a session has asked');
$node->safe_psql('deux', 'SET client_min_messages = error; DROP SCHEMA two CASCADE');
my $partition = $node->safe_psql('deux', 'SELECT DISTINCT tableoid::regclass FROM claiim.chron');
for my $drop ('DROP EXTENSION claiim', 'DROP EXTENSION claiim CASCADE', 'DROP EXTENSION pgcrypto CASCADE', 'DROP SCHEMA claiim CASCADE',
	"DROP TABLE $partition", 'DROP TABLE claiim.chron CASCADE', "ALTER TABLE claiim.chron DETACH PARTITION $partition", "DROP OWNED BY $superuser CASCADE")
{
	(undef, undef, $err) = $node->psql('deux', $drop, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like(error_of($err), qr/^(?:2BP01: Chron has records in $partition, which this would remove for good|2BP01: cannot drop .*|\w+: .*(?i:detach).*)$/,
		"$drop: not by accident");
}
is(ask($node, 'deux', 'still there'), 'ALLOW', '... and the gate goes on');
$node->safe_psql('deux', 'SET client_min_messages = error; SET claiim.allow_drop_chron = on; DROP EXTENSION claiim CASCADE');
like(ask($node, 'deux', 'x', user => $superuser), qr/^42883: function claiim_check.* does not exist/, 'DROP EXTENSION: there is no gate');
is($node->safe_psql('deux', "SELECT count(*) FROM pg_class WHERE relname LIKE 'chron%'"), 0, '... and no Chron');
set_up($node, 'deux');
is(ask($node, 'deux', 'x'), 'ALLOW', 'CREATE EXTENSION again: the gate works');
isnt(chron('deux', 'DISTINCT log'), $log{two}, '... in a new log');
append_to_file($go_on, '');
wait_for_all($old);
is($old->{stdout}, "DENY\nDENY\n", 'a session that was there all the time goes on') or diag($old->{stderr});
is(chron('deux', 'count(*)', "target = 'after'"), 1, '... in the new Chron');
chron_is_sound($node, 'deux', 'dropped and created');

# A rolled-back DROP EXTENSION is none.
$node->safe_psql('deux', "BEGIN; SET LOCAL claiim.allow_drop_chron = on; DROP SCHEMA two CASCADE; DROP EXTENSION claiim CASCADE; ROLLBACK");
is(ask($node, 'deux', 'x'), 'ALLOW', 'DROP EXTENSION rolled back: the gate goes on');
chron_is_sound($node, 'deux', 'and so does Chron');

# What one database's writer failed of is not told to the next database that takes its place.
$node->safe_psql('postgres', 'CREATE DATABASE failing');
$node->safe_psql('failing', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
my $month = $node->safe_psql('failing', q{SELECT to_char(now() AT TIME ZONE 'UTC', '"claiim.chron_y"YYYY"m"MM')});
$node->safe_psql('failing', "CREATE TABLE $month PARTITION OF claiim.chron FOR VALUES FROM ('1999-01-01Z') TO ('1999-02-01Z')");
like(ask($node, 'failing', 'x', user => $superuser, set => ["claiim.queue_timeout = '1s'"]), qr/^57P03: /, 'a writer that cannot start');
my $failed_of = 'SELECT count(*), max(writer_error) FROM claiim.pg_stat_claiim';
wait_until(sub { $node->safe_psql('failing', $failed_of) ne '1|' }, 'a start has failed');
like($node->safe_psql('failing', $failed_of), qr/^1\|new row for relation/, '... and says why');
$node->safe_psql('postgres', 'DROP DATABASE failing');
$node->safe_psql('postgres', 'CREATE DATABASE next');
$node->safe_psql('next', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
$node->psql('next', "SELECT claiim_authenticate('a', 'b')");
is($node->safe_psql('next', $failed_of), '1|', '... not to another database');

$node->stop;
done_testing();
