# Callers of every kind under load, and callers that are lost: a full queue, a
# client that vanishes, prepared transactions over a crash, cursors, parallel
# plans, serializable transactions that fail.  Whoever has an answer has a
# record; nobody waits without a bound.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
my $node = new_node('callers', conf => "claiim.queue_size = 16\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');

sub check { return "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]');\n" }
sub errors_of { return map { $_->{stderr} =~ /(?:ERROR|FATAL):\s+(\S+: [^\n]*)/g } @_ }
sub recorded { return $node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target $_[0]") }
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'");
}

# Sixteen places, a writer that is stopped as by a debugger, 32 callers.  Who
# has a place may be recorded, and who has none is not; in any mixture of calls
# for one and calls for three.
for my $round (1 .. 2)
{
	freeze(writer_pid($node, 'one'));
	my @single = map { background($node, 'one', "SET claiim.queue_timeout = '1500ms';" . check("full/$round/$_")) } 1 .. 32;
	wait_for_all(@single);
	my %count;
	$count{ substr $_, 0, 5 }++ for errors_of(@single);
	is_deeply(\%count, { 40003 => 16, 53400 => 16 }, "round $round: 32 callers for 16 places: half of them had none");
	is(join('', map { $_->{stdout} } @single), '', '... and none was answered');
	is(ask($node, 'one', 'no place', set => ["claiim.queue_timeout = '100ms'"]),
		"53400: the decision was not taken: the gate's queue is full", '... nor is there a place when they have left');
	thaw();
	is(ask($node, 'one', "after/$round"), 'ALLOW', '... but when the writer goes on');
	is(recorded("LIKE 'full/$round/%'"), 16, '... and those who had one are recorded, once');
	my @had = map { $_->{stderr} =~ /53400/ ? 0 : 1 } @single;
	is(join('', map { recorded("= 'full/$round/$_'") } 1 .. 32), join('', @had), '... those and no others');

	freeze(writer_pid($node, 'one'));
	my @mixed = map {
		$_ % 2 ? background($node, 'one', "SET claiim.queue_timeout = '1s';" . check("mixed/$round/$_"))
		  : background($node, 'one', "SET claiim.queue_timeout = '1s'; SELECT outcome, chron_id FROM claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{3}'), '{"
			. join(',', map { "mixed/$round/$_" } ("$_/1", "$_/2", "$_/3")) . "}');\n")
	} 1 .. 12;
	wait_for_all(@mixed);
	my $taken = 0;
	for my $i (1 .. 12)
	{
		$taken += $i % 2 ? 1 : 3 if $mixed[ $i - 1 ]{stderr} =~ /40003/;
	}
	is(scalar(grep { !/^(?:40003|53400): / } errors_of(@mixed)), 0, '... callers for one and for three: errors all');
	thaw();
	ask($node, 'one', 'x');
	is(recorded("LIKE 'mixed/$round/%'"), $taken, "... each wholly in or wholly out ($taken)");
	cmp_ok($taken, '<=', 16, '... and no more than there were places');
}
chron_is_sound($node, 'one', 'a full queue');

# Clients that vanish: killed in the middle of load, again and again; and in
# front of a stopped writer, where the server can notice it
{
	my (@gone, @load);
	for (1 .. 25)
	{
		push @gone, start_load($node, 'one', 2, 1000);
		usleep(20_000 + rand 40_000);
		kill 'KILL', $gone[ rand @gone ]{pid} for 1 .. 2;
	}
	push @gone, start_load($node, 'one', 2, 1000);
	wait_for_load(120, @gone);
	kill 'KILL', map { $_->{pid} } grep { !$_->{done} } @gone;
	my @answers = answers_of(@gone);
	cmp_ok(scalar @answers, '>', 100, 'clients killed under load: ' . @answers . ' answers');
	is(ask($node, 'one', 'after the vanished'), 'ALLOW', '... the gate goes on');
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy'") == 0 }, 'all backends have left');
	chron_is_sound($node, 'one', 'vanished clients', @answers);

	freeze(writer_pid($node, 'one'));
	my @lost = map { background($node, 'one', "SET client_connection_check_interval = '50ms'; SET claiim.queue_timeout = '60s';" . check("lost/$_")) } 1 .. 4;
	wait_until(sub { waiting() == 4 }, 'four wait');
	kill 'KILL', map { $_->{pid} } @lost;
	wait_for_all(@lost);
	my $began = time;
	wait_until(sub { waiting() == 0 }, 'the lost are noticed');
	cmp_ok(time - $began, '<', 60, 'client_connection_check_interval: who waits for a lost client leaves before the timeout');
	thaw();
	ask($node, 'one', 'x');
	is(recorded("LIKE 'lost/%'"), 4, '... and what was asked is recorded, once');
}

# Every place is free again.
{
	freeze(writer_pid($node, 'one'));
	my @all = map { background($node, 'one', check("all/$_")) } 1 .. 16;
	wait_until(sub { waiting() == 16 }, 'sixteen wait');
	thaw();
	is(scalar(answers_of(@all)), 16, 'after all that there are sixteen places');
}

# Prepared transactions stay prepared over a crash; the decisions in them have
# been facts all the time.
{
	my @answers;
	for my $round (1 .. 2)
	{
		$node->safe_psql('one', "CREATE TABLE two.work$round (i int); GRANT ALL ON two.work$round TO deploy; GRANT USAGE ON SCHEMA two TO deploy");
		my @clients = map { background($node, 'one', "BEGIN;\n" . check("load/prepared/$round/$_") . "INSERT INTO two.work$round VALUES ($_);\nPREPARE TRANSACTION 'p$round$_';\n"
			. check("load/prepared/$round/$_/after")) } 1 .. 4;
		push @answers, answers_of(@clients);
		$node->kill9;
		wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again');
		$node->safe_psql('one', ($_ % 2 ? 'COMMIT' : 'ROLLBACK') . " PREPARED 'p$round$_'") for 1 .. 4;
		is($node->safe_psql('one', "SELECT string_agg(i::text, ' ' ORDER BY i) FROM two.work$round"), '1 3', 'prepared, crashed, and half of them rolled back');
	}
	is(scalar @answers, 16, '... every question was answered');
	chron_is_sound($node, 'one', 'prepared transactions', @answers);
}

# Cursors, that are held as well; a function that wrongly calls itself parallel
# safe; SERIALIZABLE that fails, READ ONLY, savepoints: all
# at once, beside a human who governs.
{
	$node->safe_psql('one', <<'SQL');
CREATE TABLE two.counter (i int); INSERT INTO two.counter VALUES (0), (0);
CREATE TABLE two.many AS SELECT i FROM generate_series(1, 2000) i;
GRANT ALL ON two.counter, two.many TO deploy; GRANT USAGE ON SCHEMA two TO deploy;
CREATE FUNCTION two.wrongly_safe(target text) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS
$$BEGIN RETURN (SELECT outcome || '|' || chron_id FROM claiim_check('deploy-bot', 'deploy:staging', target)); END$$;
SQL
	my $held = sub { "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT outcome, chron_id FROM generate_series(1, 4) i, LATERAL claiim_check('deploy-bot', 'deploy:staging', 'load/held/$_[0]/' || i);\n"
		  . "FETCH 1 FROM c;\nCOMMIT;\nFETCH ALL FROM c;\nCLOSE c;\n" };
	my $scrolled = sub { "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT outcome, chron_id FROM generate_series(1, 3) i, LATERAL claiim_check('deploy-bot', 'deploy:staging', 'load/scrolled/$_[0]/' || i);\n"
		  . "FETCH 2 FROM c;\nMOVE BACKWARD ALL FROM c;\nMOVE 2 FROM c;\nFETCH 1 FROM c;\nROLLBACK;\n" };
	my $parallel = sub { "SELECT two.wrongly_safe('load/parallel/$_[0]/' || i) FROM two.many WHERE i <= 3;\n" };
	my $serializable = sub { "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT sum(i) FROM two.counter;\n" . check("load/serializable/$_[0]")
		  . "UPDATE two.counter SET i = i + 1;\n" . check("load/serializable/$_[0]/updated") . "COMMIT;\n" };
	my $read_only = sub { "BEGIN READ ONLY;\n" . check("load/read only/$_[0]") . "COMMIT;\nBEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;\n" . check("load/read only/$_[0]/2")
		  . "SAVEPOINT s;\n" . check("load/read only/$_[0]/3") . "ROLLBACK TO s;\n" . check("load/read only/$_[0]/4") . "ROLLBACK;\n" };
	my $serial = 0;
	my $run = sub { my ($what, $set, $times) = @_; $serial++; return background($node, 'one', $set . join '', map { $what->("$serial/$_") } 1 .. $times) };

	my @load = (
		(map { $run->($held, '', 40) } 1 .. 2),
		$run->($scrolled, '', 40),
		(map { $run->($parallel, "DO \$\$BEGIN PERFORM set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query'); END\$\$; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;\n", 30) } 1 .. 2),
		(map { $run->($serializable, '', 60) } 1 .. 4),
		(map { $run->($read_only, '', 40) } 1 .. 2));
	my $human = background($node, 'one', join('', map { "SELECT claiim.issue_token('deploy-bot', label => '$_') IS NULL;\n" } 1 .. 40), user => 'ann');
	my @answers = answers_of(@load);
	wait_for_all($human);
	is($human->{stderr}, '', 'callers of every kind at once, and a human');
	my @errors = errors_of(@load);
	is(join(', ', grep { !/^(?:40001|25P02): / } errors_of(@load[ 0 .. 2, 5 .. 10 ])), '', '... no errors but the serializable ones');
	is_deeply({ map { $_ => 1 } errors_of(@load[ 3 .. 4 ]) }, { '25000: claiim cannot decide during a parallel operation' => 1 },
		'a function that wrongly calls itself parallel safe: a clear error');
	cmp_ok(scalar(grep { /^40001: / } @errors), '>', 0, '... of which there are ' . @errors);
	is(scalar(() = map { $_->{stdout} =~ /^(?:ALLOW|DENY)\|/mg } @load[ 0 .. 1 ]), 2 * 40 * 4, 'a held cursor asks once for each row');
	is(recorded("LIKE 'load/held/%'"), 2 * 40 * 4, '... and no more');
	is(scalar(() = $load[2]{stdout} =~ /^(?:ALLOW|DENY)\|/mg), 3 * 40, 'a scrolled cursor');
	is(join('', map { $_->{stdout} } @load[ 3 .. 4 ]) . recorded("LIKE 'load/parallel/%'"), 0, '... and neither answer nor record');
	is(scalar(() = map { $_->{stdout} =~ /^(?:ALLOW|DENY)\|/mg } @load[ 9 .. 10 ]), 2 * 40 * 4, 'a read only one');
	chron_is_sound($node, 'one', 'callers of every kind', @answers);
	# a transaction that failed to serialize has been recorded all the same
	cmp_ok(recorded("LIKE 'load/serializable/%'"), '>', 2 * $node->safe_psql('one', 'SELECT min(i) FROM two.counter'),
		'what a failed serializable transaction asked is recorded all the same');
}

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
