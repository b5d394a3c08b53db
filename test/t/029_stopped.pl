# Under load, at any moment of a batch: the writer is stopped as by a debugger, and
# goes on, or is told to stop, or is killed, or the server is; it is cancelled; its
# settings are reloaded; some of what it is to record cannot be recorded.  Who has
# an answer has a record, and who has none is told so.
#
# CLAIIM_TEST_ROUNDS rounds (8), each at a random moment.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
# Most of the time a batch is being committed.
my $node = new_node('stopped', conf => <<'CONF');
claiim.queue_size = 64
commit_delay = 3000
commit_siblings = 0
CONF
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');
# Those who are told, and they alone, are impatient.
$node->safe_psql('one', "ALTER ROLE $_ SET claiim.queue_timeout = '1s'") for qw(deploy ann);

sub errors_of { return map { $_->{stderr} =~ /(?:ERROR|FATAL):\s+(\S+: [^\n]*)/g } @_ }
sub unconfirmed { my ($client) = @_; return scalar(() = slurp_file($client->{err}) =~ /40003: no answer/g) }

# Stops the writer wherever it is, but for where it holds what the whole server
# waits for, as any process can that is stopped: then it goes on, and is stopped
# again.  In the middle of a batch it has the lock that governance waits for.
my ($stops, $in_batch) = (0, 0);
sub stop_writer
{
	my $pid;
	wait_until(sub {
		$pid = writer_pid($node, 'one') or return 0;
		freeze($pid);
		my $look = background($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND granted;\n", user => $superuser);
		my $deadline = time + 5;
		usleep(5_000) while -z $look->{out} && time < $deadline;
		my $seen = slurp_file($look->{out});
		thaw() if $seen eq '';
		wait_for_all($look);
		$stops++;
		$in_batch += $seen || 0;
		return $seen ne '';
	}, 'the writer is stopped');
	return $pid;
}
sub is_up { return $node->psql('one', 'SELECT 1') == 0 }

my @ways = ('goes on', 'is told to stop', 'is killed', 'dies with the server');
my $rounds = $ENV{CLAIIM_TEST_ROUNDS} // 8;
for my $round (1 .. $rounds)
{
	my $way = $ways[ ($round - 1) % @ways ];
	my @load = start_load($node, 'one', 6, 20_000);
	wait_for_load(60, @load);

	# Stopped three times, the last time for longer than anybody waits.
	my $pid;
	for my $stop (1 .. 3)
	{
		usleep(rand 60_000);
		$pid = stop_writer();
		last if $stop == 3;
		usleep(rand 20_000);
		thaw();
	}
	my $human = background($node, 'one', "SELECT claiim.suspend_agent('deploy-bot', 'round $round') IS NULL;\nSELECT max(seq) FROM claiim.chron;\n", user => 'ann');
	my @told = map { unconfirmed($_) } @load;
	ok(wait_until(sub { 6 == grep { unconfirmed($load[$_]) > $told[$_] } 0 .. 5 }, 'everybody is told'), "round $round: a writer is stopped, and everybody is told that there is no answer");
	my $before = lines_of(@load);
	usleep(300_000);
	is(lines_of(@load), $before, '... nor is there any');

	if ($way eq 'is killed') { kill 'KILL', $pid }
	elsif ($way eq 'dies with the server') { $node->stop('immediate') }
	elsif ($way eq 'is told to stop') { kill 'TERM', $pid }
	thaw();
	kill 'TERM', map { $_->{pid} } @load if $way !~ /killed|dies/ && usleep(300_000);
	my @answers = answers_of(@load);
	wait_for_all($human);
	is(join(', ', grep { !/^(?:40003|57P03|53400): (?:no answer|the decision was not taken)|^57P0[12]: / } errors_of(@load)), '', "... it $way: who has no answer is told so");
	wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again') if $way =~ /dies/;
	wait_until(sub { is_up() }, 'the server is up');
	# It may be in force although nobody could be told any more.
	my $suspended = $node->safe_psql('one', "SELECT status = 'suspended' FROM claiim.agents WHERE agent = 'deploy-bot'") eq 't';
	ok($suspended || $human->{stdout} !~ /^f\n/, '... a suspension that has returned is in force');
	wait_until(sub { ask($node, 'one', "after/$round", set => ["claiim.queue_timeout = '60s'"]) eq ($suspended ? 'DENY' : 'ALLOW') }, 'the gate goes on')
	  or diag(ask($node, 'one', "after/$round"), $human->{stdout}, $human->{stderr});
	is($node->safe_psql('one', <<"SQL"), 0, '... and no ALLOW stands behind it') if $suspended;
SELECT count(*) FROM claiim.chron
WHERE outcome = 'ALLOW' AND seq > (SELECT seq FROM claiim.chron WHERE act = 'agent.suspend' ORDER BY seq DESC LIMIT 1)
SQL
	chron_is_sound($node, 'one', "round $round, the writer $way", @answers);
	$node->safe_psql('one', "SELECT two.people(\$\$resume_agent('deploy-bot', 'x')\$\$)") if $suspended;
}
cmp_ok($in_batch, '>', 0, "it was stopped in the middle of a batch, $in_batch times of $stops");

# Cancelled, which is not what one does to a writer: that ends what it is at, not it.
my $cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'";
{
	my $pid = writer_pid($node, 'one');
	my @load = start_load($node, 'one', 6, 250);
	for (1 .. 20)
	{
		usleep(rand 40_000);
		$node->safe_psql('postgres', $cancel);
	}
	my @answers = answers_of(@load);
	my @errors = errors_of(@load);
	is(@answers + @errors, 1500, 'a writer that is cancelled: every question gets an answer or an error (' . @errors . ')');
	is(join(', ', grep { !/^(?:57014|40003): no answer: / } @errors), '', '... one that says so');
	chron_is_sound($node, 'one', 'cancelled under load', @answers);
	usleep(100_000);
	my $from = -s $node->logfile;
	$node->safe_psql('postgres', $cancel);
	wait_until(sub { slurp_file($node->logfile, $from) =~ /canceling statement due to user request/ }, 'it is cancelled at rest');
	is(ask($node, 'one', 'cancelled at rest', set => ["claiim.queue_timeout = '60s'"]), 'ALLOW', '... and at rest: nobody notices');
	is(writer_pid($node, 'one'), $pid, '... it is the same writer');

	# While a governor holds what it waits for before it takes anything: who asks goes
	# on waiting.  The governor's commit waits for a lock that we hold.
	$node->safe_psql('one', <<'SQL');
CREATE FUNCTION two.pauses(t timestamptz) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
$$BEGIN IF t IS NOT NULL THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN true; END$$;
CREATE INDEX pauses ON claiim.outbox (two.pauses(committed_at));
SQL
	my $pause = background($node, 'one', "SELECT pg_backend_pid() FROM pg_advisory_lock(1);\nSELECT pg_sleep(600);\n", user => $superuser);
	wait_until(sub { slurp_file($pause->{out}) =~ /\d+\n/ }, 'the lock is held');
	my $human = background($node, 'one', "SELECT claiim.issue_token('deploy-bot', label => 'paused') IS NULL;\n", user => 'ann');
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ann' AND wait_event = 'advisory'") }, 'a governor is in its commit');
	my $waits_on = background($node, 'one', "SET claiim.queue_timeout = '60s';\nSELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'not taken');\n");
	wait_until(sub {
		$from = -s $node->logfile;
		return 0 if $node->safe_psql('postgres', "$cancel AND wait_event = 'advisory'") eq '';
		for (1 .. 400) { last if slurp_file($node->logfile, $from) =~ /canceling statement due to/; usleep(5_000) }
		return slurp_file($node->logfile, $from) =~ /due to user request/;
	}, 'it is cancelled while it waits for a governor');
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . (slurp_file($pause->{out}) =~ /(\d+)/)[0] . ')');
	wait_for_all($pause, $human, $waits_on);
	is($waits_on->{stdout} . $waits_on->{stderr}, "ALLOW\n", '... and while it waits for a governor: who asked meanwhile is answered');
	$node->safe_psql('one', 'DROP INDEX claiim.pauses');

	# While it connects: nobody else can meanwhile, so all who have to are there.
	my $asks = background($node, 'one', <<'SQL');
SET claiim.queue_timeout = '60s';
DO $$BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'pg_db_role_setting'::regclass AND mode = 'AccessExclusiveLock' AND granted) LOOP PERFORM pg_sleep(0.02); END LOOP; END$$;
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x');
SQL
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND query LIKE 'DO%'") }, 'somebody is about to ask');
	my $dba = background($node, 'one', <<"SQL", user => $superuser);
SET statement_timeout = '150s';
DO \$\$BEGIN PERFORM pg_terminate_backend($pid, 60000); END\$\$;
BEGIN;
LOCK TABLE pg_db_role_setting;
DO \$\$BEGIN WHILE NOT EXISTS (SELECT FROM claiim.pg_stat_claiim JOIN pg_locks ON pid = writer_pid WHERE NOT granted) LOOP PERFORM pg_sleep(0.02); END LOOP; END\$\$;
SELECT writer_pid FROM claiim.pg_stat_claiim WHERE pg_cancel_backend(writer_pid);
SELECT writer_pid FROM pg_sleep(0.5), claiim.pg_stat_claiim;
COMMIT;
SQL
	wait_for_all($dba, $asks);
	like($dba->{stdout} . $dba->{stderr}, qr/^(\d+)\n\1\n$/, 'a writer that is cancelled while it connects goes on');
	is($asks->{stdout} . $asks->{stderr}, "ALLOW\n", '... and who waited for it has an answer');
	$pid = writer_pid($node, 'one');

	# While it starts, which a lock makes take long: up to two seconds at a time
	my $lock = background($node, 'one', "BEGIN;\nLOCK TABLE claiim.chron;\nSELECT pg_backend_pid();\nSELECT pg_sleep(600);\n", user => $superuser);
	wait_until(sub { slurp_file($lock->{out}) =~ /\d+\n/ }, 'Chron is locked');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)");
	$asks = background($node, 'one', "SET claiim.queue_timeout = '60s';\nSELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x');\n");
	my $waits = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND wait_event_type = 'Lock'";
	ok(wait_until(sub {
		my $starts = $node->safe_psql('postgres', $waits);
		return 0 if $starts eq '';
		$from = -s $node->logfile;
		$node->safe_psql('postgres', $cancel);
		for (1 .. 400) { last if slurp_file($node->logfile, $from) =~ /canceling statement due to/; usleep(5_000) }
		return $node->safe_psql('postgres', $waits) eq $starts && slurp_file($node->logfile, $from) !~ /lock timeout/;
	}, 'a start is cancelled'), 'a writer that is cancelled while it starts starts again');
	ok(wait_until(sub {
		my $starts = $node->safe_psql('postgres', $waits);
		return 0 if $starts eq '';
		for (1 .. 60) { kill 'INT', $starts; usleep(5_000) }
		return (memory_of($node, $starts, 'claiim writer') // 'unknown') =~ /^\d{1,3}$/;
	}, 'a start that keeps nothing'), '... and keeps nothing of those that were');
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . (slurp_file($lock->{out}) =~ /(\d+)/)[0] . ')');
	wait_for_all($lock, $asks);
	is($asks->{stdout} . $asks->{stderr}, "ALLOW\n", '... and who waited for it has an answer');
}

# fsync is switched by reloads under load: the writer makes room for one that says
# so, and nobody notices.
{
	$node->safe_psql('one', "ALTER ROLE $_ RESET claiim.queue_timeout") for qw(deploy ann);
	my $from = $node->safe_psql('one', 'SELECT max(seq) FROM claiim.chron');
	my @load = start_load($node, 'one', 4, 20_000);
	my $started = "SELECT string_agg(detail::jsonb ->> 'fsync', ' ' ORDER BY seq) FROM claiim.chron WHERE act = 'writer.start' AND seq > $from";
	my $said = '';
	for my $fsync (qw(off on off on off on))
	{
		$node->safe_psql('postgres', "ALTER SYSTEM SET fsync = $fsync");
		$node->reload;
		$said .= ($said ? ' ' : '') . ($fsync eq 'on' ? 'true' : 'false');
		wait_until(sub { $node->safe_psql('one', $started) eq $said }, "fsync is $fsync");
		my $so_far = lines_of(@load);
		wait_until(sub { lines_of(@load) > $so_far + 60 }, 'it goes on');
	}
	kill 'TERM', map { $_->{pid} } @load;
	my @answers = answers_of(@load);
	is(join(', ', errors_of(@load)), '', 'fsync switched under load: no error');
	cmp_ok(scalar @answers, '>', 6 * 60, '... every question is answered');
	is($node->safe_psql('one', $started), $said, '... and Chron says each time what they were recorded under');
	chron_is_sound($node, 'one', 'fsync switched', @answers);
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$node->reload;
}

# Many at once, and every seventh asks for what cannot be recorded: what that one
# was to be, and no other, is an error.  By one cause, and by one that says so in a
# language of its own.
for my $case ([ '22012', "1 / CASE WHEN target LIKE '%hostile%' THEN 0 ELSE 1 END" ], [ 'P0001', 'two.refuses(target)' ])
{
	my ($sqlstate, $expression) = @$case;
	$node->safe_psql('one', <<"SQL");
CREATE OR REPLACE FUNCTION two.refuses(target text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
\$\$BEGIN IF target LIKE '%hostile%' THEN RAISE 'not this one'; END IF; RETURN 1; END\$\$;
CREATE INDEX poison ON claiim.chron (($expression));
SQL
	my @load = map {
		my $client = $_;
		background($node, 'one', "SET claiim.queue_timeout = '60s';\n" . join '', map {
			my $target = "load/$$/$sqlstate/$client/$_" . ($_ % 7 == $client % 7 ? '/hostile' : '');
			my $context = $_ % 5 ? '' : ", context => '{\"n\": $_}'";
			"SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', '$target'$context);\n"
		} 1 .. 210);
	} 1 .. 8;
	my $human = background($node, 'one', join('', map { "SELECT claiim.issue_token('deploy-bot', label => '$sqlstate/$_') IS NULL;\n" } 1 .. 40), user => 'ann');
	my @answers = answers_of(@load);
	wait_for_all($human);
	is(scalar @answers, 8 * 180, "some of what is asked cannot be recorded ($sqlstate): all the rest is answered");
	my %errors;
	$errors{$_}++ for errors_of(@load);
	is_deeply(\%errors, { "$sqlstate: no answer: the decision could not be recorded" => 8 * 30 }, '... and whoever asked for it is told');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target LIKE '%hostile%'"), 0, '... nor is any of it recorded');
	is($human->{stderr} . $node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE act = 'token.issue' AND detail::jsonb ->> 'label' LIKE '$sqlstate/%'"), 40, '... but what was governed meanwhile, once');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron c JOIN claiim.contexts x USING (seq) WHERE target LIKE 'load/%/$sqlstate/%'"
		. " AND context_digest = sha256('claiim/chron/context/v1\\012'::bytea || salt || convert_to(value, 'UTF8'))"),
		$node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target LIKE 'load/%/$sqlstate/%' AND context_digest IS NOT NULL"), '... and each context, beside its record');
	chron_is_sound($node, 'one', "hostile ($sqlstate)", @answers);
	$node->safe_psql('one', 'DROP INDEX claiim.poison');
}

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
