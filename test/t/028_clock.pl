# A server's clock that is set, forward and back, under those who wait and over
# restarts; and a leap day.  Nobody waits for the clock to come round again, time
# in Chron does not go back, and every record is in its month.
#
# The clock is moved by a library made of fake_clock.c; 009_partitions.pl has the
# partitions themselves.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Fcntl qw(O_CREAT O_RDWR);
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(time usleep);
use Time::Local qw(timegm);

my $seed = seed();
my $dir = PostgreSQL::Test::Utils::tempdir();
my $offset = "$dir/offset";
if (system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/fake_clock.so", dirname(__FILE__) . '/fake_clock.c', '-ldl') != 0)
{
	plan skip_all => 'no compiler for the fake clock';
}

sysopen my $file, $offset, O_RDWR | O_CREAT or die "$offset: $!";
my $us = 0;

# So many seconds ahead of what it says, or back.
sub step
{
	my ($seconds) = @_;
	$us += int($seconds * 1_000_000);
	sysseek $file, 0, 0;
	syswrite $file, pack('q', $us) or die "$offset: $!";
	return;
}
sub set_clock
{
	my ($year, $month, $day, $hour, $minute, $second) = @_;
	return step(timegm($second, $minute, $hour, $day, $month - 1, $year) - time - $us / 1_000_000);
}

# A flush that takes its time, so that the writer waits for who comes late.
set_clock(2028, 2, 28, 23, 0, 0);
my $node = new_node('clock', start => 0, conf => <<'CONF');
claiim.queue_size = 16
commit_delay = 2000
commit_siblings = 0
CONF
sub start
{
	local $ENV{LD_PRELOAD} = "$dir/fake_clock.so";
	local $ENV{CLAIIM_CLOCK_OFFSET} = $offset;
	return $node->start(@_);
}
start();
if ($node->safe_psql('postgres', 'SELECT extract(year FROM now())') ne '2028')
{
	$node->stop;
	plan skip_all => 'the clock cannot be faked here';
}
set_up($node, 'one');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub check { return "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]');\n" }
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'");
}
sub misplaced
{
	return $node->safe_psql('one', <<'SQL');
SELECT count(*) FROM claiim.chron
WHERE tableoid::regclass::text <> 'claiim.chron_y' || to_char(at AT TIME ZONE 'UTC', 'YYYY"m"MM')
SQL
}
# Those who wait are told so while the clock is an hour back.  They have waited
# much longer than they would, where they go by it.
sub errors_in_time
{
	my ($what, $error, @clients) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $in_time = wait_until(sub { @clients == grep { slurp_file($_->{err}) =~ /ERROR/ } @clients }, "$what: who waits is told so");
	is_deeply({ map { error_of(slurp_file($_->{err})) => 1 } @clients }, { $error => 1 }, "$what: the clock is set back, and their wait ends");
	kill 'TERM', map { $_->{pid} } @clients unless $in_time;
	return;
}

# A leap day, and the end of it, while many ask
{
	is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers on the 28th of February of a leap year');
	my @load = start_load($node, 'one', 6, 600);
	set_clock(2028, 2, 28, 23, 59, 59.7);
	my @answers = answers_of(@load);
	wait_until(sub { $node->safe_psql('one', "SELECT now() > '2028-02-29 00:00:00Z'") eq 't' }, 'it is the 29th');
	is(ask($node, 'one', 'leap day'), 'ALLOW', '... on the 29th');
	push @load, start_load($node, 'one', 6, 600);
	set_clock(2028, 2, 29, 23, 59, 59.7);
	@answers = answers_of(@load);
	wait_until(sub { $node->safe_psql('one', "SELECT now() > '2028-03-01 00:00:00Z'") eq 't' }, 'it is March');
	is(ask($node, 'one', 'march'), 'ALLOW', '... and in March');
	is(scalar @answers, 2 * 6 * 600, '... and everybody over both midnights');
	is(misplaced(), 0, '... each in its month');
	is($node->safe_psql('one', "SELECT string_agg(tableoid::regclass::text, ' ' ORDER BY seq) FROM claiim.chron WHERE target IN ('leap day', 'march')"),
		'claiim.chron_y2028m02 claiim.chron_y2028m03', '... of which February has 29 days');
	chron_is_sound($node, 'one', 'a leap day', @answers);
}

# Over restarts and crashes: into the month before, and far ahead
{
	my @answers;
	for my $case ([ 'fast', 2028, 2, 10 ], [ 'kill9', 2027, 12, 31 ], [ 'immediate', 2028, 7, 31 ], [ 'fast', 2028, 3, 1 ])
	{
		my ($way, @day) = @$case;
		my $to = join '-', @day;
		my @load = start_load($node, 'one', 4, 4000);
		wait_until(sub { -s $load[3]{out} }, 'there is load');
		my $last = $node->safe_psql('one', 'SELECT max(at) FROM claiim.chron');
		$way eq 'kill9' ? $node->kill9 : $node->stop($way);
		push @answers, answers_of(@load);
		set_clock(@day, 12, 0, 0);
		wait_until(sub { start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again');
		is(ask($node, 'one', "restarted on $to"), 'ALLOW', "$way, and started on $to: the gate answers");
		is($node->safe_psql('one', <<"SQL"), 't|t', '... time in Chron has not gone back, and where the clock did it says so');
SELECT at >= '$last', (clock IS NOT NULL) = (at > '$to 12:30+00') FROM claiim.chron WHERE target = 'restarted on $to'
SQL
		is($node->safe_psql('one', "SELECT count(*) FROM (SELECT at < lag(at) OVER (ORDER BY seq) AS back FROM claiim.chron) c WHERE back"), 0, '... nowhere');
		is(misplaced(), 0, '... and each record is in its month');
		chron_is_sound($node, 'one', "$way, and started on $to", @answers);
	}
}

# Callers who wait for the writer to answer, and for a place in its queue
{
	set_clock(2028, 9, 1, 12, 0, 0);
	is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers in September');
	freeze(writer_pid($node, 'one'));
	my @all = map { background($node, 'one', "SET claiim.queue_timeout = '2s';\n" . check("waits/$_")) } 1 .. 16;
	wait_until(sub { waiting() + grep({ -s $_->{err} } @all) == 16 }, 'sixteen wait');
	my $more = background($node, 'one', "SET claiim.queue_timeout = '2s';\n" . check('no place'));
	wait_until(sub { waiting() + grep({ -s $_->{err} } @all, $more) == 17 }, 'and one for a place');
	step(-3600);
	errors_in_time('sixteen answers', '40003: no answer: the decision could not be confirmed as recorded within claiim.queue_timeout', @all);
	errors_in_time('a place', "53400: the decision was not taken: the gate's queue is full", $more);
	thaw();
	wait_for_all(@all, $more);
	is(ask($node, 'one', 'an hour earlier'), 'ALLOW', '... and the gate goes on');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target LIKE 'waits/%'"), 16, '... with what was taken over recorded, once');
}

# For a writer; and when that could not start, it is tried again in a second, and
# not in an hour.
{
	my $dba = background($node, 'one', "BEGIN;\nLOCK TABLE claiim.chron IN ACCESS EXCLUSIVE MODE;\nSELECT 'locked';\nSELECT pg_sleep(600);\n", user => $superuser);
	wait_until(sub { slurp_file($dba->{out}) =~ /locked/ }, 'Chron is locked');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'");
	wait_until(sub { writer_pid($node, 'one') eq '' }, 'the writer has left');
	my $caller = background($node, 'one', "SET claiim.queue_timeout = '8s';\n" . check('no writer'));
	wait_until(sub { $node->safe_psql('one', "SELECT writer_error <> '' FROM claiim.pg_stat_claiim") eq 't' }, 'a start has failed');
	step(-3600);
	errors_in_time('a writer', "57P03: the decision was not taken: Chron's writer did not start within claiim.queue_timeout", $caller);
	wait_for_all($caller);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
	wait_for_all($dba);
	wait_until(sub { ask($node, 'one', 'unlocked') eq 'ALLOW' }, 'the gate opens when the lock is gone')
	  and pass('a start of the writer that failed is tried again, whatever the clock says');
}

# A kill switch that waits for somebody's transaction
{
	my $idle = background($node, 'one', "SET idle_in_transaction_session_timeout = 0;\nBEGIN;\nSELECT claiim.suspend_agent('deploy-bot', 'forgotten') IS NULL;\nSELECT 'suspended';\nSELECT pg_sleep(600);\n", user => 'ann');
	wait_until(sub { slurp_file($idle->{out}) =~ /suspended/ || slurp_file($idle->{err}) }, 'a human has the agent and does not let go');
	my $other = background($node, 'one', "SELECT claiim.suspend_agent('deploy-bot', 'now') IS NULL;\nSELECT 'done';\n", user => 'bob');
	usleep(300_000);
	step(-3600);
	ok(wait_until(sub { slurp_file($other->{out}) =~ /done/ }, 'the kill switch'), 'a kill switch does not wait an hour either');
	kill 'TERM', $idle->{pid};
	wait_for_all($idle, $other);
	is(ask($node, 'one', 'suspended'), 'DENY', '... and is in force');
	$node->safe_psql('one', "SELECT two.people(\$\$resume_agent('deploy-bot', 'x')\$\$)");
}

# The writer itself, which waits a moment for callers that are about to ask again,
# of whom some never do: their number goes down all the time, and the clock with
# it, faster than it runs.
for my $round (1 .. 3)
{
	my @load = map { start_load($node, 'one', 1, 30 * $_) } 1 .. 8;
	my $gone = 0;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while ($gone < 8 && time < $deadline)
	{
		step(-60);
		usleep(500);
		$gone = grep { $_->{gone} ||= waitpid($_->{pid}, POSIX::WNOHANG()) != 0 } @load;
	}
	is($gone, 8, "round $round: the clock goes back and back, and callers leave: nobody is kept waiting");
	# So that the writer goes on.
	set_clock(2029, 1, 1, 0, 0, 0) if $gone < 8;
	my @answers = answers_of(@load);
	is(scalar @answers, 30 * 36, '... every question is answered') or diag(join '', map { $_->{stderr} } @load);
	chron_is_sound($node, 'one', 'back and back', @answers);
}
is($node->safe_psql('one', 'SELECT commit_seconds >= 0 AND latency_sum >= 0 FROM claiim.pg_stat_claiim'), 't', 'nor is any time counted that was negative');

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
