# A caller that leaves, before or after its answer and in whatever way, erases
# nothing; a decision that was taken over is recorded once, answered or not; and
# what a caller leaves behind harms nobody who comes after it.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('rollback', conf => "claiim.queue_size = 16\n");
set_up($node, 'one');

sub recorded
{
	my ($target) = @_;
	return $node->safe_psql('one', "SELECT string_agg(outcome, ' ') FROM claiim.chron WHERE target = '$target'");
}

sub check { return "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]');" }

# Waiting callers, as the server sees them.
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'");
}

# After the answer
$node->psql('one', 'BEGIN;' . check('rolled back') . 'ROLLBACK', extra_params => [ '-U', 'deploy' ]);
is(recorded('rolled back'), 'ALLOW', 'ROLLBACK erases nothing');
$node->psql('one', 'BEGIN;' . check('disconnected'), extra_params => [ '-U', 'deploy' ]);
is(recorded('disconnected'), 'ALLOW', 'neither does a client that leaves within its transaction');
$node->psql('one', check('failed') . 'SELECT 1/0', extra_params => [ '-U', 'deploy', '-1' ]);
is(recorded('failed'), 'ALLOW', 'nor an error after it');

# Prepared: the decision is there at once, and the authentication stays behind.
my $token = $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot')");
is($node->safe_psql('one', "BEGIN; SELECT claiim_authenticate('deploy-bot', '$token');"
	. check('prepared') . "PREPARE TRANSACTION 'p';" . check('after prepare')), "\nALLOW\nDENY",
	'PREPARE TRANSACTION ends an authentication');
is(recorded('prepared'), 'ALLOW', '... and the decision stands before its fate is known');
$node->safe_psql('one', "ROLLBACK PREPARED 'p'");
is(recorded('prepared'), 'ALLOW', '... and after');

# A parallel plan cannot have it in a worker.
my $parallel = $node->safe_psql('one', "SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
is($node->safe_psql('one', "SET $parallel = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0;"
	. "SELECT count(*) FROM pg_class, claiim_check('x', 'a', 'parallel') WHERE outcome = 'DENY' AND pg_class.oid < 1300"),
	$node->safe_psql('one', 'SELECT count(*) FROM pg_class WHERE oid < 1300'), 'it can be called in a query that would be parallel');

my $allowed = $node->safe_psql('one', "SELECT claiim.chron_id(seq, at) FROM claiim.chron WHERE target = 'failed'");

# While the answer is waited for: the writer is stopped as by a debugger.
my $writer = writer_pid($node, 'one');
freeze($writer);

my %left = (
	'statement timeout' => background($node, 'one', "SET statement_timeout = '3s';" . check('statement timeout')),
	'queue timeout' => background($node, 'one', "SET claiim.queue_timeout = '3s';" . check('queue timeout')),
	'cancel' => background($node, 'one', "SET application_name = 'cancel';" . check('cancel')),
	'terminate' => background($node, 'one', "SET application_name = 'terminate';" . check('terminate')),
	'savepoint' => background($node, 'one', "BEGIN; SAVEPOINT s; SET LOCAL statement_timeout = '3s';" . check('savepoint')
		. 'ROLLBACK TO s; SELECT 1; COMMIT;'),
	'handler' => background($node, 'one', "SET statement_timeout = '3s'; DO \$\$BEGIN PERFORM claiim_check('deploy-bot', 'deploy:staging', 'handler');"
		. " EXCEPTION WHEN query_canceled THEN RAISE NOTICE 'handled'; END\$\$;"),
	'client killed' => background($node, 'one', "SET application_name = 'client killed';" . check('client killed')),
);
wait_until(sub { $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('cancel', 'terminate', 'client killed') AND wait_event_type = 'Extension'") == 3 },
	'three callers wait');
is($node->safe_psql('postgres', <<'SQL'), "t\nt", 'those who wait can be cancelled and terminated');
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'cancel';
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'terminate';
SQL
kill 'KILL', $left{'client killed'}{pid};
wait_for_all(values %left);

is(error_of($left{'statement timeout'}{stderr}), '57014: canceling statement due to statement timeout', 'statement_timeout');
is(error_of($left{cancel}{stderr}), '57014: canceling statement due to user request', 'pg_cancel_backend');
is(error_of($left{terminate}{stderr}), '57P01: terminating connection due to administrator command', 'pg_terminate_backend');
is(error_of($left{'queue timeout'}{stderr}),
	'40003: no answer: the decision could not be confirmed as recorded within claiim.queue_timeout', 'claiim.queue_timeout');
like($left{'queue timeout'}{stderr}, qr/DETAIL:  It may have been recorded; it was not answered, so the action must not run\./,
	'... says what is to be made of it');
is($left{savepoint}{stdout}, "1\n", 'a savepoint outlives a check that timed out in it');
like($left{handler}{stderr}, qr/NOTICE: .*handled/, 'and so does an exception handler');
unlike(join('', map { $_->{stdout} } values %left), qr/ALLOW|DENY/, 'none of them was answered');

# Seven of sixteen places are taken by those who left.  Nine more can wait.
my @waiting = map { background($node, 'one', check("waits/$_")) } 1 .. 9;
wait_until(sub { waiting() == 9 + 1 }, 'nine wait, and the backend whose client was killed');
is(ask($node, 'one', 'too many', set => ["claiim.queue_timeout = '200ms'"]),
	"53400: the decision was not taken: the gate's queue is full", 'a full queue is an error');
wait_for_all(my $completing = background($node, 'one', "SET claiim.queue_timeout = '200ms'; SELECT claiim_complete('$allowed', 'failed');"));
is(error_of($completing->{stderr}), "53400: the completion was not taken: the gate's queue is full", '... also for a completion');
my $patient = background($node, 'one', check('patient'));
usleep(200_000);

thaw();
wait_for_all(@waiting, $patient);
is(join(' ', map { $_->{stdout} =~ s/\n//r } @waiting, $patient), join(' ', ('ALLOW') x 10),
	'the writer goes on: those who waited are answered, and who waited for a place');
is(join(' ', map { recorded("waits/$_") } 1 .. 9), join(' ', ('ALLOW') x 9), '... each recorded, once');
is(recorded($_), 'ALLOW', "$_: recorded once, though never answered") for sort keys %left;
is(recorded('too many') . recorded('no such'), '', 'what was not taken over was not recorded');

# No place is lost, however many leave: more than there are places, by and by.
for my $round (1 .. 3)
{
	freeze(writer_pid($node, 'one'));
	wait_for_all(map { background($node, 'one', "SET claiim.queue_timeout = '100ms';" . check("gone/$round/$_")) } 1 .. 7);
	thaw();
}
is(ask($node, 'one', 'after all who left'), 'ALLOW', 'who leaves gives his place back');
is($node->safe_psql('one', "SELECT count(*), count(DISTINCT target) FROM claiim.chron WHERE target LIKE 'gone/%'"), '21|21',
	'... when it has been recorded, once');

# Sixteen at once, more than once
for my $round (1 .. 2)
{
	freeze(writer_pid($node, 'one'));
	my @all = map { background($node, 'one', check("load/$round/$_")) } 1 .. 16;
	wait_until(sub { waiting() == 16 }, 'all sixteen wait');
	thaw();
	wait_for_all(@all);
	is(scalar(grep { $_->{stdout} eq "ALLOW\n" } @all), 16, 'there is a place for sixteen at once again');
}

# A record waits for nobody's transaction, but the registry may be locked.
my $dba = background($node, 'one', "BEGIN; LOCK TABLE claiim.agents IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600);",
	user => $node->safe_psql('postgres', 'SELECT current_user'));
wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM pg_locks WHERE relation = 'claiim.agents'::regclass AND mode = 'AccessExclusiveLock' AND granted") }, 'the lock is held');
like(ask($node, 'one', 'locked out', set => ["statement_timeout = '200ms'"]), qr/^57014/,
	'who must read a locked registry waits as any statement does');
is(recorded('locked out'), '', '... and has asked nothing yet');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
wait_for_all($dba);
is(ask($node, 'one', 'afterwards'), 'ALLOW', '... and asks when it is free');

chron_is_sound($node, 'one', 'after all that');
$node->stop;
done_testing();
