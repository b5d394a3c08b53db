# What DBAs do to a database that is at work: REINDEX, VACUUM FULL and CLUSTER of
# Chron, locks, ALTER EXTENSION, reloads, eight databases at once.  Decisions
# wait or fail, each within its bound; none is lost.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
# What is not flushed on purpose is not written by the way either.
my $node = new_node('maintenance', conf => <<'CONF');
wal_writer_delay = 10s
wal_writer_flush_after = 1GB
wal_buffers = 32MB
max_logical_replication_workers = 0
max_worker_processes = 8
claiim.max_databases = 10
CONF
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');

sub errors_of { return map { $_->{stderr} =~ /(?:ERROR|FATAL):\s+(\S+: [^\n]*)/g } @_ }
# A lock on Chron that lasts for two seconds ends a batch with 55P03.  None does where no
# command takes as long.
my $longest = 0;
sub unexpected { return join ', ', grep { $longest < 2 || !/^55P03: no answer/ } errors_of(@_) }
sub try
{
	my ($db, $sql) = @_;
	my $began = time;
	my ($status, undef, $err) = $node->psql($db, $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	$longest = time - $began if time - $began > $longest;
	return $status == 0 ? 'done' : error_of($err);
}

my $partition = $node->safe_psql('one', 'SELECT DISTINCT tableoid::regclass FROM claiim.chron');
my $index = $node->safe_psql('one', "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '$partition'::regclass AND indisprimary");

# Chron is rewritten, reindexed, vacuumed, analyzed, indexed under load: short
# locks are waited out, and no caller notices.
{
	my @load = start_load($node, 'one', 6, 12_000, pause => 0.005);
	my $human = background($node, 'one', join('', map { "SELECT claiim.issue_token('deploy-bot', label => '$_') IS NULL;\nSELECT FROM pg_sleep(0.02);\n" } 1 .. 3000), user => 'ann');
	my @work = ('REINDEX TABLE claiim.chron', 'REINDEX TABLE CONCURRENTLY claiim.chron', "VACUUM FULL $partition", 'VACUUM FULL claiim.chron',
		"CLUSTER $partition USING @{[ $index =~ s/.*\.//r ]}", 'ANALYZE claiim.chron', 'VACUUM (FREEZE) claiim.chron', 'VACUUM FULL claiim.outbox',
		"REINDEX INDEX CONCURRENTLY $index", 'REINDEX SCHEMA CONCURRENTLY claiim', "CREATE INDEX CONCURRENTLY by_agent ON $partition (agent)", 'DROP INDEX CONCURRENTLY claiim.by_agent',
		'VACUUM FULL', 'REINDEX DATABASE CONCURRENTLY one', 'ALTER TABLE claiim.chron ALTER COLUMN reason SET STATISTICS 50',
		"ALTER TABLE $partition SET (fillfactor = 90)", "ALTER TABLE $partition RESET (fillfactor)", 'CREATE STATISTICS two.s ON kind, outcome FROM claiim.chron',
		'ALTER EXTENSION claiim UPDATE', 'CHECKPOINT', 'GRANT SELECT ON claiim.chron TO pg_monitor', 'REVOKE SELECT ON claiim.chron FROM pg_monitor');
	my %result;
	for my $work (@work)
	{
		wait_for_load(lines_of(@load) + 20, @load);
		$result{$work} = try('one', $work);
	}
	ok(wait_for_load(lines_of(@load) + 20, @load), 'under load from the first to the last of it, the gate goes on');
	kill 'TERM', map { $_->{pid} } @load, $human;
	my @answers = answers_of(@load);
	wait_for_all($human);
	is(join(', ', map { "$_: $result{$_}" } grep { $result{$_} ne 'done' } @work), '', '... each of it can be done');
	is(unexpected(@load) . $human->{stderr}, '', '... without an error to anyone');
	chron_is_sound($node, 'one', 'maintenance', @answers);
	is(try('one', "CREATE INDEX poison ON $partition ((1 / (seq - seq)))"), '22012: division by zero', 'an index that cannot be made is not there');
	is(ask($node, 'one', 'x'), 'ALLOW', '... and the gate goes on');
}

# A REINDEX holds the table when the writer comes, which must read its tip again:
# the writer holds nothing that the REINDEX will want.
{
	my $reindex = background($node, 'one', "ALTER TABLE claiim.chron ALTER COLUMN reason SET STATISTICS 60;\nBEGIN;\nLOCK TABLE $partition IN SHARE MODE;\nSELECT 'locked';\n"
		. "SELECT pg_sleep(0.5);\nREINDEX INDEX $index;\nCOMMIT;\n", user => $superuser);
	wait_until(sub { slurp_file($reindex->{out}) =~ /locked/ }, 'it is locked');
	like(ask($node, 'one', 'beside REINDEX'), qr/^(?:ALLOW$|55P03: no answer)/, 'REINDEX and the writer wait for each other in turn');
	wait_for_all($reindex);
	is($reindex->{stderr}, '', '... and there is no deadlock');
}

# Somebody locks Chron, under load, and forgets about it.  Everybody's wait is
# bounded by his queue_timeout; when the lock is gone the gate is open at once.
for my $case ([ 'claiim.chron', 'ACCESS EXCLUSIVE' ], [ $partition, 'SHARE' ], [ 'claiim.outbox', 'ACCESS EXCLUSIVE' ], [ $partition, 'EXCLUSIVE' ])
{
	my ($table, $mode) = @$case;
	my @load = start_load($node, 'one', 4, 400);
	usleep(50_000 + rand 100_000);
	my $dba = background($node, 'one', "BEGIN; LOCK TABLE $table IN $mode MODE;\nSELECT 'locked';\nSELECT pg_sleep(60);", user => $superuser);
	wait_until(sub { slurp_file($dba->{out}) =~ /locked/ }, 'it is locked');
	$node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'under lock')") if $table ne 'claiim.outbox';
	my (@took, %said);
	for my $timeout (300, $mode eq 'EXCLUSIVE' ? 2700 : 700)
	{
		my $began = time;
		my $set = $table eq 'claiim.outbox' ? '60s' : "${timeout}ms";
		$said{ ask($node, 'one', "locked/$table/$timeout", set => ["claiim.queue_timeout = '$set'"]) =~ s/:.*//r }++;
		push @took, time - $began - $timeout / 1000;
	}
	cmp_ok((sort { $a <=> $b } @took)[-1], '<', 30, "LOCK TABLE $table IN $mode MODE: nobody waits longer than he said");
	is(join(' ', grep { !/^(?:40003|55P03|57P03)$/ } keys %said), $table eq 'claiim.outbox' ? 'ALLOW' : '', '... for no answer: ' . join ' ', sort keys %said);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()");
	wait_for_all($dba);
	my $expected = $table eq 'claiim.outbox' ? 'ALLOW' : 'DENY';
	ok(wait_until(sub { ask($node, 'one', 'unlocked') eq $expected }, 'the gate is open'), '... the gate opens when the lock is gone, and whoever was suspended meanwhile is');
	$node->safe_psql('one', "SELECT two.people(\$\$resume_agent('deploy-bot', 'x')\$\$)") if $expected eq 'DENY';
	my @answers = answers_of(@load);
	my @errors = errors_of(@load);
	is(@answers + @errors, 1600, '... every question has an answer or an error (' . @errors . ')');
	is(join(', ', grep { !/^(?:40003|55P03|57P03): (?:no answer|the decision was not taken)/ } @errors), '', '... that says so');
	chron_is_sound($node, 'one', "$table was locked", @answers);
}

# ALTER EXTENSION, and what comes near to it
{
	$longest = 0;
	my @load = start_load($node, 'one', 4, 400);
	like(try('one', 'ALTER EXTENSION claiim SET SCHEMA public'), qr/^0A000: extension "claiim" does not support SET SCHEMA/, 'ALTER EXTENSION SET SCHEMA is refused');
	like(try('one', "ALTER EXTENSION claiim UPDATE TO '9.9'"), qr/^22023: extension "claiim" has no update path/, 'UPDATE to what there is not');
	is(try('one', 'ALTER EXTENSION claiim UPDATE'), 'done', 'UPDATE to what there is');
	like(try('one', 'ALTER TABLE claiim.chron SET SCHEMA public'), qr/^2BP01/, 'Chron stays where it is');
	like(try('one', "ALTER TABLE $partition RENAME TO other"), qr/^2BP01/, '... under its name');
	like(try('one', 'ALTER TABLE claiim.chron DROP COLUMN reason CASCADE'), qr/^2BP01: dropping a column/, '... with all its columns');
	like(try('one', 'ALTER SCHEMA claiim RENAME TO other'), qr/^2BP01/, '... and so does its schema');
	is($node->safe_psql('one', "SELECT to_regclass('claiim.chron')"), 'claiim.chron', '... in which it is found')
	  or $node->safe_psql('one', 'ALTER SCHEMA other RENAME TO claiim');
	like(try('one', 'BEGIN; ALTER SCHEMA claiim RENAME TO other; DROP EXTENSION claiim CASCADE; ROLLBACK'), qr/^2BP01/, '... nor is it dropped under another');
	like(try('one', "ALTER EXTENSION claiim DROP TABLE claiim.chron; ALTER EXTENSION claiim ADD TABLE claiim.chron"), qr/^done$/, 'ALTER EXTENSION DROP and ADD TABLE');
	my @answers = answers_of(@load);
	is(@answers + errors_of(@load), 1600, '... and all that under load');
	is(unexpected(@load), '', '... without an error');
	chron_is_sound($node, 'one', 'ALTER EXTENSION', @answers);
	is($node->safe_psql('one', "SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND objid = 'claiim.chron'::regclass"), 1, '... Chron belongs to it');
}

# Made unlogged by somebody in a hurry: no answer that a crash would take back.
{
	is(try('one', "ALTER TABLE $partition SET UNLOGGED"), 'done', 'a partition can be made UNLOGGED');
	like(ask($node, 'one', 'x'), qr/^42809: no answer/, '... but nothing is decided then');
	is(try('one', "ALTER TABLE $partition SET LOGGED"), 'done', '... until it is logged again');
	wait_until(sub { ask($node, 'one', 'logged') eq 'ALLOW' }, 'the gate is open');
	chron_is_sound($node, 'one', 'unlogged and logged');
}

# Reloads under load, which switch synchronous_commit and more to and fro; and
# then a crash, which takes nothing back
for my $round (1 .. 2)
{
	my @load = start_load($node, 'one', 6, 4000);
	for my $i (1 .. 12)
	{
		$node->safe_psql('postgres', join(";\n", 'ALTER SYSTEM SET synchronous_commit = ' . ($i % 2 ? 'off' : 'on'),
		  'ALTER SYSTEM SET commit_delay = ' . ($i % 3 * 1000), 'ALTER SYSTEM SET commit_siblings = 0',
		  "ALTER SYSTEM SET claiim.queue_timeout = '" . (10 + $i) . "s'", "ALTER SYSTEM SET lock_timeout = '" . ($i * 50) . "'",
		  "ALTER SYSTEM SET default_transaction_read_only = " . ($i % 2 ? 'on' : 'off'), "ALTER SYSTEM SET default_transaction_isolation = '" . ($i % 2 ? 'serializable' : 'read committed') . "'",
		  'SELECT pg_reload_conf()'));
		usleep(30_000);
	}
	wait_for_load(250, @load);
	$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = off');
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	usleep(50_000 + rand 50_000);
	$round == 1 ? $node->kill9 : $node->stop('immediate');
	my @answers = answers_of(@load);
	is(join(', ', grep { !/57P0[12]|server closed|55P03: canceling statement due to lock timeout/ } errors_of(@load)), '', "round $round: reloads under load disturb nobody");
	wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again');
	$node->safe_psql('postgres', 'SET default_transaction_read_only = off; ALTER SYSTEM RESET ALL');
	$node->reload;
	wait_until(sub { ask($node, 'one', 'x') eq 'ALLOW' }, 'the gate is open again');
	cmp_ok(scalar @answers, '>', 200, '... after ' . @answers . ' answers');
	chron_is_sound($node, 'one', 'reloads, then a crash', @answers);
}

# While rows are being restored into a database nothing is decided there; what is
# waiting is decided when that is over.
{
	$node->safe_psql('postgres', 'CREATE DATABASE restoring');
	$node->safe_psql('restoring', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
	my $restore = background($node, 'restoring', "BEGIN;\nINSERT INTO claiim.orgs (org, created_at) VALUES ('acme', now());\nSELECT 'restored';\n" . until_told($node, 'commit') . "COMMIT;\n", user => $superuser);
	wait_until(sub { slurp_file($restore->{out}) =~ /restored/ || slurp_file($restore->{err}) }, 'a restore is under way');
	like(ask($node, 'restoring', 'x', user => $superuser, set => ["claiim.queue_timeout = '1s'"]), qr/^57P03: the decision was not taken/, 'while a restore is under way the gate waits');
	my $waits = background($node, 'restoring', "SELECT outcome FROM claiim_check('x', 'a', 'b')", user => $superuser);
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'restoring' AND query ~ 'claiim_check' AND wait_event_type = 'Extension'") }, 'one waits');
	tell($node, 'commit');
	wait_for_all($restore, $waits);
	is($waits->{stdout} . $waits->{stderr}, "DENY\n", '... and opens when it is over');
	is($restore->{stderr}, '', '... which it did not disturb');
	is(try('restoring', "INSERT INTO claiim.orgs (org, created_at) VALUES ('other', now())"), '42501: table claiim.orgs cannot be changed directly', '... and then nobody restores any more');
	$node->safe_psql('postgres', 'DROP DATABASE restoring');
}

# Eight databases, eight workers, and one more of each.
{
	my @databases = ('one', map { "db$_" } 2 .. 8);
	set_up($node, 'template_of_all');
	$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template_of_all") for @databases[ 1 .. 7 ];
	$node->safe_psql('postgres', 'DROP DATABASE template_of_all');
	for my $round (1 .. 3)
	{
		my %load = map { $_ => [ start_load($node, $_, 2, $round == 3 ? 150 : 1500) ] } @databases;
		wait_until(sub { 8 == grep { -s $load{$_}[0]{out} } @databases }, 'there is load in each');
		usleep(rand 200_000);
		if ($round == 1)
		{
			like(ask($node, 'postgres', 'x', user => $superuser), qr/^42883/, 'a database without claiim has no gate');
			$node->safe_psql('postgres', 'CREATE DATABASE db9');
			$node->safe_psql('db9', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
			is(ask($node, 'db9', 'x', user => $superuser), "53400: the decision was not taken: Chron's writer could not be started", 'a ninth has no worker');
			kill 'KILL', writer_pid($node, $databases[ rand 8 ]) || ();
		}
		elsif ($round == 2)
		{
			$node->kill9;
		}
		my %answers = map { $_ => [ answers_of(@{ $load{$_} }) ] } @databases;
		wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again') if $round == 2;
		wait_until(sub { $node->psql('postgres', 'SELECT 1') == 0 }, 'the server is up');
		for my $db (@databases)
		{
			wait_until(sub { ask($node, $db, 'after') eq 'ALLOW' }, "the gate of $db is open");
			chron_is_sound($node, $db, "round $round, $db", @{ $answers{$db} });
			is(scalar @{ $answers{$db} }, 300, '... with every question answered') if $round == 3;
		}
	}
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT datname) FROM pg_stat_activity WHERE backend_type = 'claiim writer'"), '8|8', 'eight writers, one each');
	# One goes, and the ninth has its place.
	is(try('postgres', 'DROP DATABASE db8'), 'done', 'one is dropped');
	wait_until(sub { ask($node, 'db9', 'x', user => $superuser) eq 'DENY' }, 'its worker is free for the ninth');
	is(ask($node, 'db9', 'x', user => $superuser), 'DENY', '... and the ninth has its place');
	my @over = map { "over$_" } 1 .. 3;
	$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE db7") for @over;
	my @said = map { ask($node, $_, 'x', set => ["claiim.queue_timeout = '1s'"]) } @over;
	like($said[2], qr/^53400: claiim is in use in as many databases as claiim\.max_databases allows \(10\)/, 'more databases than claiim.max_databases: an error') or diag("@said");
	is(join(' ', map { ask($node, $_, 'still') } @databases[ 0 .. 5 ]), join(' ', ('ALLOW') x 6), '... that is none to the others');
}

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
