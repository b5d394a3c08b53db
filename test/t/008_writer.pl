# The writer ends, cannot start, cannot write, or finds Chron cut off: callers
# get a bounded wait and an error that says why, never an answer without a
# record; and when the cause is gone the gate is open again by itself.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('writer', conf => "max_logical_replication_workers = 0\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');

sub recorded
{
	my ($target) = @_;
	return $node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = '$target'");
}
sub check { return "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]');" }
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'");
}

# Terminated, again and again, under load
{
	my @load = start_load($node, 'one', 8, 500);
	for (1 .. 15)
	{
		# One that has answered somebody
		my $lines = lines_of(@load);
		usleep(40_000);
		wait_until(sub { my $now = lines_of(@load); $now > $lines || $now > 8 * 400 }, 'there is a writer');
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'");
	}
	my @answers = answers_of(@load);
	my @errors = map { $_->{stderr} =~ /ERROR:\s+(\S+: [^\n]*)/g } @load;
	is(@answers + @errors, 8 * 500, 'a writer that is terminated: every question gets an answer or an error (' . @errors . ' errors)');
	is(join(', ', grep { !/^(?:40003|57P03): no answer|^57P03: the decision was not taken/ } @errors), '', '... one that says so');
	cmp_ok(scalar @answers, '>', 8 * 500 - 15 * 8 - 1, '... which only those get whose batch was in flight');
	chron_is_sound($node, 'one', 'terminated under load', @answers);
	cmp_ok($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE act = 'writer.start'"), '>', 3,
		'... and every start of a writer is recorded');
}

# Terminated with requests in its queue: the next one answers them.
{
	ask($node, 'one', 'x');
	freeze(writer_pid($node, 'one'));
	my @waiting = map { background($node, 'one', check("queued/$_")) } 1 .. 5;
	wait_until(sub { waiting() == 5 }, 'five wait');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'");
	thaw();
	wait_for_all(@waiting);
	is(join('', map { $_->{stdout} } @waiting), "ALLOW\n" x 5, 'who waited in the queue is answered by the next writer');
	is(recorded("queued/3"), 1, '... and recorded once');
}

# The postmaster is killed while callers sleep: they leave, though nobody will
# ever wake them, and the next server finds Chron sound.
{
	freeze(writer_pid($node, 'one'));
	my @waiting = map { background($node, 'one', "SET claiim.queue_timeout = '1h';" . check("orphaned/$_")) } 1 .. 3;
	wait_until(sub { waiting() == 3 }, 'three wait');
	my @callers = split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE usename = 'deploy'");
	$node->kill9;
	wait_until(sub { !grep { kill 0, $_ } @callers }, 'callers leave when the postmaster is gone');
	thaw();
	wait_for_all(@waiting);
	is(join('', map { $_->{stdout} } @waiting), '', '... unanswered');
	wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again');
	wait_until(sub { ask($node, 'one', 'x') eq 'ALLOW' }, '... and the gate is open');
	chron_is_sound($node, 'one', 'postmaster killed');
}

# The writer is kept away by a command, with a request in the queue: who asked is not
# told that nothing was taken, for the next writer takes it.
{
	freeze(writer_pid($node, 'one'));
	my $waiting = background($node, 'one', "SET claiim.queue_timeout = '60s';" . check('queued/held'));
	wait_until(sub { waiting() == 1 }, 'one waits');
	my $copy = background($node, 'postgres', 'CREATE DATABASE never TEMPLATE one', user => $superuser);
	wait_until(sub { $node->safe_psql('one', 'SELECT writer_state FROM claiim.pg_stat_claiim') eq 'held away' }, 'the writer is held away');
	thaw();
	wait_for_all($copy, $waiting);
	like($copy->{stderr}, qr/is being accessed by other users/, 'a command that keeps the writer away waits for one that is in the queue, and gives up');
	is($waiting->{stdout} . error_of($waiting->{stderr}), "ALLOW\n", '... who is then answered');
	is(ask($node, 'one', 'after the command') . recorded('queued/held'), 'ALLOW1', '... and recorded once');
}

# A lock on Chron that somebody holds, or the caller itself, which no deadlock
# detector would see
{
	my $dba = background($node, 'one', "BEGIN; LOCK TABLE claiim.chron IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60);", user => $superuser);
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM pg_locks WHERE relation = 'claiim.chron'::regclass AND mode = 'AccessExclusiveLock' AND granted") }, 'the lock is held');
	my $began = time;
	like(ask($node, 'one', 'locked', set => ["claiim.queue_timeout = '10s'"]), qr/^(?:55P03: no answer: the decision could not be recorded|57P03: the decision was not taken)/,
		'a lock on Chron: an error');
	cmp_ok(time - $began, '<', 50, '... before long');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()");
	wait_for_all($dba);
	wait_until(sub { ask($node, 'one', 'unlocked') eq 'ALLOW' }, 'the gate opens when the lock is gone');

	my $own = background($node, 'one', "SET claiim.queue_timeout = '5s'; BEGIN; LOCK TABLE claiim.chron IN SHARE MODE;"
		. "SELECT outcome FROM claiim_check('x', 'a', 'own lock'); ROLLBACK; RESET claiim.queue_timeout; SELECT outcome FROM claiim_check('x', 'a', 'own lock gone');",
		user => $superuser);
	wait_for_all($own);
	like(error_of($own->{stderr}), qr/^(?:55P03|40003|57P03): /, 'a caller that holds the lock itself: an error');
	is($own->{stdout}, "DENY\n", '... and an answer when it has let go');
	chron_is_sound($node, 'one', 'locks');
}

# A record that cannot be written takes no other down with it; and acts stand
# before what was decided under them all the same.
{
	$node->safe_psql('one', q{CREATE INDEX poison ON claiim.chron ((1 / CASE target WHEN 'poison record' THEN 0 ELSE 1 END))});
	$node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'test')");
	is(ask($node, 'one', 'suspended'), 'DENY', 'the agent is suspended');
	freeze(writer_pid($node, 'one'));
	$node->safe_psql('one', "SELECT two.people(\$\$resume_agent('deploy-bot', 'test')\$\$)");
	my @good = map { background($node, 'one', check("good/$_")) } 1 .. 2;
	wait_until(sub { waiting() == 2 }, 'two wait');
	my $poison = background($node, 'one', check('poison record'));
	wait_until(sub { waiting() == 3 }, 'three wait');
	push @good, map { background($node, 'one', check("good/$_")) } 3 .. 4;
	wait_until(sub { waiting() == 5 }, 'five wait');
	thaw();
	wait_for_all(@good, $poison);
	is(join('', map { $_->{stdout} } @good), "ALLOW\n" x 4, 'one record that cannot be written: the others are');
	like($poison->{stderr}, qr/22012: no answer: the decision could not be recorded\nDETAIL:  division by zero\./, '... and its caller is told');
	is(recorded('poison record'), 0, '... and it is not recorded');
	is(ask($node, 'one', 'poison record'), '22012: no answer: the decision could not be recorded', '... nor when it comes alone');
	# One of four, 600 times: it is retried alone after others have been recorded.
	my $many = "SELECT claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{4}'), '{a,b,c,poison record}');\n";
	wait_for_all(background($node, 'one', $many x 20));
	my $writer = writer_pid($node, 'one');
	my $used = memory_of($node, $writer, 'TopMemoryContext');
	my $poisoned = background($node, 'one', $many x 600);
	wait_for_all($poisoned);
	is(scalar(() = $poisoned->{stderr} =~ /22012: no answer/g), 600, '... nor 600 times among others');
	cmp_ok(memory_of($node, $writer, 'TopMemoryContext') - $used, '<', 20_000, '... nor does the writer keep anything of it');
	$node->safe_psql('one', 'DROP INDEX claiim.poison');
	is(ask($node, 'one', 'poison record'), 'ALLOW', '... until the cause is gone');
	is($node->safe_psql('one', <<'SQL'), 't', '... and the act of resuming stands before what it allowed');
SELECT (SELECT max(seq) FROM claiim.chron WHERE act = 'agent.resume') < (SELECT min(seq) FROM claiim.chron WHERE target LIKE 'good/%')
SQL
	chron_is_sound($node, 'one', 'poison');
}

# The tail of Chron is cut off by a superuser: the gate closes rather than cover
# it up, and opens when the records are back.
{
	$node->safe_psql('one', <<'SQL');
BEGIN;
ALTER TABLE claiim.chron DISABLE TRIGGER claiim_guard_rows;
CREATE TABLE two.kept AS SELECT * FROM claiim.chron WHERE seq > (SELECT max(seq) - 3 FROM claiim.chron);
DELETE FROM claiim.chron WHERE seq IN (SELECT seq FROM two.kept);
COMMIT;
SQL
	is(ask($node, 'one', 'after the cut'), 'XX001: no answer: the decision could not be recorded', 'records cut off the end: the gate closes');
	is(ask($node, 'one', 'after the cut'), 'XX001: no answer: the decision could not be recorded', '... and stays closed');
	end_writer($node, 'one');
	like(ask($node, 'one', 'after the cut', set => ["claiim.queue_timeout = '1500ms'"]), qr/^(?:XX001|57P03): /, '... for the next writer as well');
	$node->safe_psql('one', <<'SQL');
BEGIN;
INSERT INTO claiim.chron SELECT * FROM two.kept;
ALTER TABLE claiim.chron ENABLE ALWAYS TRIGGER claiim_guard_rows;
COMMIT;
SQL
	wait_until(sub { ask($node, 'one', 'restored') eq 'ALLOW' }, '... the gate opens when they are back');
	chron_is_sound($node, 'one', 'restored');

	# Behind the writer's back, on a partition: if it has not noticed, verify() does.
	my $partition = $node->safe_psql('one', 'SELECT DISTINCT tableoid::regclass FROM claiim.chron ORDER BY 1 LIMIT 1');
	$node->safe_psql('one', <<"SQL");
BEGIN;
ALTER TABLE $partition DISABLE TRIGGER USER;
TRUNCATE two.kept;
INSERT INTO two.kept SELECT * FROM claiim.chron WHERE seq > (SELECT max(seq) - 3 FROM claiim.chron);
DELETE FROM $partition WHERE seq IN (SELECT seq FROM two.kept);
COMMIT;
SQL
	my $answer = ask($node, 'one', 'after the cut');
	is($node->safe_psql('one',
		"SELECT ok || ' ' || problem || ' ' || (first_bad = (SELECT min(seq) FROM two.kept)) FROM claiim.verify()"),
		'false it is missing true', '... cut off a partition alone: verify() names the first that is missing') unless $answer =~ /^XX001/;
	$node->safe_psql('one', <<"SQL");
BEGIN;
INSERT INTO $partition SELECT * FROM two.kept;
ALTER TABLE $partition ENABLE ALWAYS TRIGGER claiim_guard_rows, ENABLE ALWAYS TRIGGER claiim_guard_truncate;
COMMIT;
SQL
	chron_is_sound($node, 'one', 'restored again');
}

# The partition is detached while the writer waits for its lock: what it would
# put there would be answered, and not in Chron.
{
	my ($partition, $bounds) = split /\|/, $node->safe_psql('one', <<'SQL');
SELECT oid::regclass, pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = (SELECT tableoid FROM claiim.chron ORDER BY seq DESC LIMIT 1)
SQL
	is(ask($node, 'one', 'before detaching'), 'ALLOW', 'the gate answers');
	my $detach = background($node, 'one', <<"SQL", user => $superuser);
BEGIN;
SET LOCAL claiim.allow_drop_chron = on;
ALTER TABLE claiim.chron DETACH PARTITION $partition;
SELECT 'detached';
DO \$\$BEGIN FOR i IN 1 .. 200 LOOP PERFORM pg_sleep(0.01); EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE relation = '$partition'::regclass AND NOT granted); END LOOP; END\$\$;
COMMIT;
SQL
	wait_until(sub { slurp_file($detach->{out}) =~ /detached/ }, 'the partition is being detached');
	isnt(ask($node, 'one', 'detached'), 'ALLOW', 'a partition that is detached under the writer takes no record that is answered');
	wait_for_all($detach);
	is($node->safe_psql('one', "SELECT count(*) FROM $partition WHERE target = 'detached'"), 0, '... nor any');
	$node->safe_psql('one', "ALTER TABLE claiim.chron ATTACH PARTITION $partition $bounds");
	wait_until(sub { ask($node, 'one', 'attached') eq 'ALLOW' }, '... the gate opens when it is attached again');
	chron_is_sound($node, 'one', 'attached again');
}

# No place for a worker: nothing is decided, but the kill switch works.
{
	$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
	$node->restart;
	my (undef, undef, $err) = $node->psql('one', check('no worker'), extra_params => [ '-U', 'deploy', '-v', 'VERBOSITY=verbose' ]);
	is(error_of($err), "53400: the decision was not taken: Chron's writer could not be started", 'no place for a worker: an error');
	like($err, qr/HINT:  Increase max_worker_processes and restart the server\./, '... with a hint');
	is(($node->psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'kill switch')"))[0], 0,
		'... but an agent can be suspended without a writer');
	$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
	$node->restart;
	is(ask($node, 'one', 'worker again'), 'DENY', '... which is in force when there is one again');
	is($node->safe_psql('one', <<'SQL'), 't|0', '... and stands in Chron before the decision');
SELECT (SELECT max(seq) FROM claiim.chron WHERE act = 'agent.suspend') < (SELECT seq FROM claiim.chron WHERE target = 'worker again'),
	(SELECT count(*) FROM claiim.outbox)
SQL
	is(recorded('no worker'), 0, '... and what was not taken over is not recorded');
	chron_is_sound($node, 'one', 'no worker');
}

$node->stop;
done_testing();
