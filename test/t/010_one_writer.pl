# One writer, whatever happens to it: slow to start, without a place, looked at
# from all sides, held away; and nobody who waits for it takes more than a place
# in the queue for as long as he waits.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# Few places in the queue, so that each that is lost is missed; and no worker but
# ours.
my $node = new_node('one_writer', init => [ allows_streaming => 1 ], conf => <<'CONF');
claiim.queue_size = 16
max_logical_replication_workers = 0
max_parallel_workers = 0
autovacuum = off
wal_writer_delay = 10s
CONF
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
set_up($node, 'two');

sub check { return "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]');\n" }
sub writers { return $node->safe_psql('postgres', "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND datname = '$_[0]'") }
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'");
}

# Its answer, which does not wait for a start of the writer to be given up on.
sub answers_at_once
{
	my ($db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(ask($node, $db, $name, set => ["claiim.queue_timeout = '8s'"]), 'ALLOW', "$name: the gate answers");
}

# No place for a second worker: those who cannot ask in one database must not use
# up the places of the other.
sub fails_600_times
{
	my ($db, $error) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $client = background($node, $db, join '', map { check("no place/$_") } 1 .. 600);
	wait_for_all($client);
	my %errors;
	$errors{$_}++ for $client->{stderr} =~ /ERROR:\s+(\S+: [^\n]*)/g;
	return is_deeply(\%errors, { $error => 600 }, 'each of 600 calls without a writer ends in an error that says so');
}
{
	$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
	$node->restart;
	answers_at_once('one', 'with the only worker');
	fails_600_times('two', "53400: the decision was not taken: Chron's writer could not be started");
	answers_at_once('one', 'after 600 failures elsewhere');
	is(scalar(answers_of(start_load($node, 'one', 12, 10))), 120, '... twelve at once as well');
	$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
	$node->restart;
	answers_at_once($_, "$_, with a place for each") for qw(two one);
	is($node->safe_psql('two', "SELECT count(*) FROM claiim.chron WHERE target LIKE 'no place/%'"), 0, 'what failed is not recorded later');
}

# The same while a command holds the writer away: a copy, which waits for a lock.
{
	my $guest = background($node, 'two', "SELECT 'is in';\n" . until_told($node, 'ask') . join('', map { check("held/$_") } 1 .. 600) . until_told($node, 'leave'));
	my $locker = background($node, 'postgres', "BEGIN;\nCOMMENT ON DATABASE two IS 'locked';\nSELECT 'locked';\n" . until_told($node, 'leave'), user => $superuser);
	wait_until(sub { slurp_file($guest->{out}) =~ /is in/ && slurp_file($locker->{out}) =~ /locked/ }, 'a session is in it, and it is locked');
	my $copy = background($node, 'postgres', 'CREATE DATABASE copy TEMPLATE two', user => $superuser);
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%' AND wait_event_type = 'Lock'") }, 'the command has begun');
	tell($node, 'ask');
	wait_until(sub { 600 == (() = slurp_file($guest->{err}) =~ /^psql:.*ERROR: /mg) }, 'its calls have failed');
	my %errors;
	$errors{$_}++ for slurp_file($guest->{err}) =~ /ERROR:\s+(\S+: [^\n]*)/g;
	is_deeply(\%errors, { "55006: the decision was not taken: a command on this database keeps Chron's writer away" => 600 },
		'each of 600 calls while the writer is held away ends in an error');
	answers_at_once('one', 'while the writer of another is held away');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%' AND pid <> pg_backend_pid()");
	wait_for_all($copy);
	tell($node, 'leave');
	wait_for_all($guest, $locker);
	answers_at_once('two', 'the command was terminated');
}

# Terminated while it waits for the writer to leave, which it cannot
for my $how (qw(pg_terminate_backend pg_cancel_backend))
{
	my $pid = writers('one');
	freeze($pid);
	my $copy = background($node, 'postgres', 'CREATE DATABASE copy TEMPLATE one', user => $superuser);
	my $where = "query LIKE 'CREATE DATABASE%' AND pid <> pg_backend_pid()";
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND $where") }, 'the command waits for the writer');
	$node->safe_psql('postgres', "SELECT $how(pid) FROM pg_stat_activity WHERE $where");
	wait_for_all($copy);
	like(error_of($copy->{stderr}), qr/^57(?:P01|014): /, "$how of a command that waits for the writer ends it");
	thaw();
	wait_until(sub { writers('one') ne $pid }, 'the writer has left, as it was told');
	answers_at_once('one', "$how, after it");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'copy'"), 0, '... and nothing was copied');
}

# More things asked at once than there are places: waits, idly, and can be told
# to stop.
{
	ask($node, 'one', 'x');
	freeze(writers('one'));
	my @singles = map { background($node, 'one', check("single/$_")) } 1 .. 12;
	wait_until(sub { waiting() == 12 }, 'twelve wait');
	my $many = background($node, 'one', <<'SQL');
SET application_name = 'many';
SET claiim.queue_timeout = '60s';
SET statement_timeout = '2500ms';
SELECT count(*) FROM claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{8}'), array_fill('many'::text, '{8}'));
SQL
	my $pid;
	wait_until(sub { $pid = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE application_name = 'many' AND query LIKE '%claiim_check_many%'") }, 'eight more ask');
	my $cpu = sub { my @stat = split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr; return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK()) };
	usleep(200_000);
	my ($began, $used) = (time, $cpu->());
	usleep(1_500_000);
	my ($wait, $burnt) = (time - $began, $cpu->() - $used);
	cmp_ok($burnt, '<', 0.3 * $wait, sprintf 'who waits for places uses no CPU: %.2f s of %.2f s', $burnt, $wait);
	wait_for_all($many);
	is(error_of($many->{stderr}), '57014: canceling statement due to statement timeout', '... and statement_timeout ends it');
	thaw();
	wait_for_all(@singles);
	is(join('', map { $_->{stdout} } @singles), "ALLOW\n" x 12, '... and disturbed nobody');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'many'"), 0, '... nor was any of it taken over');
	answers_at_once('one', 'after it');
}

# Whatever is looked up again because somebody vacuums or analyzes
{
	ask($node, 'one', 'x');
	my $pid = writers('one');
	my @load = map { background($node, 'one', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'context', context => '{\"n\": $_}');\n" x 300) } 1 .. 4;
	my $dba = background($node, 'one', "ANALYZE claiim.contexts; VACUUM claiim.contexts; ANALYZE claiim.chron; ANALYZE claiim.agents;\n" x 60, user => $superuser);
	wait_for_all(@load, $dba);
	is($dba->{stderr}, '', 'VACUUM and ANALYZE of what the writer writes, while it writes');
	is(scalar(map { $_->{stdout} =~ /^ALLOW$/mg } @load), 1200, '... everybody is answered');
	is(writers('one'), $pid, '... by the same writer');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron c JOIN claiim.contexts x USING (seq) WHERE target = 'context'"
		. " AND context_digest = sha256('claiim/chron/context/v1\\012'::bytea || salt || convert_to(value, 'UTF8'))"), 1200, '... and each context is beside its record');
	chron_is_sound($node, 'one', 'vacuumed and analyzed');
}

# A synchronous standby that there is not: the writer hangs in its first commit,
# for longer than a start that comes to nothing would be waited for.
{
	end_writer($node, 'one');
	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
	$node->reload;
	# It takes a moment until commits wait: this one is the first to do so.
	my $commit;
	wait_until(sub {
		$commit = background($node, 'postgres', "SELECT pg_logical_emit_message(true, '', '')", user => $superuser);
		usleep(100_000);
		return waitpid($commit->{pid}, POSIX::WNOHANG()) == 0;
	}, 'commits wait for the standby');
	my @asks = background($node, 'one', "SET claiim.queue_timeout = '60s';\n" . check('before'));
	my $began = time;
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND datname = 'one' AND wait_event = 'SyncRep'") }, 'a writer waits for the standby');
	my $pid = writers('one');
	usleep(100_000) while time - $began < 10.7;
	push @asks, map { background($node, 'one', "SET claiim.queue_timeout = '60s';\n" . check("after/$_")) } 1 .. 3;
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'") == 4 }, 'more callers wait');
	usleep(300_000);
	is(writers('one'), $pid, 'a writer that is slow to start: nobody starts another beside it');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
	$node->reload;
	wait_for_all(@asks, $commit);
	is(join('', map { $_->{stdout} } @asks), "ALLOW\n" x 4, '... it answers all when it can');
	is(writers('one'), $pid, '... itself');
	answers_at_once('one', 'slow to start');
	chron_is_sound($node, 'one', 'slow to start');
}

# Durability is not what a reload makes of it.  The process that flushes what
# others leave unflushed is stopped, and then everything is.
{
	ask($node, 'one', 'x');
	my $walwriter = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");
	my @load = start_load($node, 'one', 6, 20_000);
	$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = off');
	$node->reload;
	wait_until(sub { $node->safe_psql('one', 'SHOW synchronous_commit') eq 'off' }, 'the cluster asks for no flush');
	wait_for_load(60, @load);
	usleep(300_000);
	freeze($walwriter);
	usleep(500_000);
	kill 'KILL', $walwriter;
	thaw();
	my @answers = answers_of(@load);
	cmp_ok(scalar @answers, '>', 50, 'synchronous_commit = off by a reload: there was load, ' . @answers . ' answers');
	wait_until(sub { $node->psql('one', 'SELECT 1') == 0 }, 'the server is up again');
	wait_until(sub { ask($node, 'one', 'after the crash') eq 'ALLOW' }, 'the gate is open again');
	chron_is_sound($node, 'one', 'synchronous_commit = off by a reload', @answers);
}

$node->stop;
done_testing();
