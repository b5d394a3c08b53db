# Several synchronous standbys: as many as the DBA asked for have a decision's
# record before it is answered, whichever they are; with remote_apply they show
# it.  A standby of a standby follows, and verifies.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', init => [ allows_streaming => 1 ]);
set_up($primary, 'one');
$primary->backup('b');

sub new_standby
{
	my ($name, $of, $backup) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init_from_backup($of, $backup, has_streaming => 1);
	$node->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1s\n");
	$node->start;
	return $node;
}

my %standby = map { $_ => new_standby($_, $primary, 'b') } qw(east west);
$standby{east}->backup('c');
$standby{far} = new_standby('far', $standby{east}, 'c');

sub synchronous
{
	my ($names, $state, $n) = @_;
	$primary->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$names'");
	$primary->reload;
	return wait_until(sub { $primary->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_replication WHERE sync_state = '$state'") == $n }, "$names: $n are $state");
}

my $short = [ "claiim.queue_timeout = '500ms'" ];
my $unconfirmed = qr/^40003: no answer: the decision could not be confirmed/;

# ANY 1: one may be away, whichever
synchronous('ANY 1 (east, west)', 'quorum', 2);
is(ask($primary, 'one', 'both'), 'ALLOW', 'ANY 1 of two: answered');
for my $away (qw(east west))
{
	my $there = $away eq 'east' ? 'west' : 'east';
	$standby{$away}->stop('immediate');
	is(ask($primary, 'one', "without $away"), 'ALLOW', "... also without $away");
	my $seq = $primary->safe_psql('one', 'SELECT max(seq) FROM claiim.chron');
	$standby{$there}->stop('immediate');
	like(ask($primary, 'one', "without $away and $there", set => $short), $unconfirmed, '... but not without both');
	$standby{$there}->start;
	wait_until(sub { ask($primary, 'one', "with $there again", set => [ "claiim.queue_timeout = '2s'" ]) eq 'ALLOW' }, "$there is back");
	cmp_ok($standby{$there}->safe_psql('one', 'SELECT max(seq) FROM claiim.chron'), '>=', $seq, "... what was answered is on $there");
	$standby{$away}->start;
	wait_until(sub { $primary->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_replication') == 2 }, "$away is back");
}

# ANY 2, FIRST 2: none may be away
for my $rule ([ 'ANY 2 (east, west)', 'quorum' ], [ 'FIRST 2 (east, west)', 'sync' ])
{
	synchronous(@$rule, 2);
	is(ask($primary, 'one', 'two'), 'ALLOW', "$rule->[0]: answered");
	$standby{west}->stop('immediate');
	like(ask($primary, 'one', 'one of two', set => $short), $unconfirmed, '... and not without one of them');
	$standby{west}->start;
	wait_until(sub { ask($primary, 'one', 'two again', set => [ "claiim.queue_timeout = '2s'" ]) eq 'ALLOW' }, 'the gate opens again');
}

# remote_apply: an answer is to be seen on the standby at once
synchronous('FIRST 1 (east)', 'sync', 1);
$primary->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = remote_apply');
$primary->reload;
wait_until(sub { ask($primary, 'one', 'reloaded') eq 'ALLOW' }, 'reloaded');
my $seen = 0;
for my $n (1 .. 30)
{
	ask($primary, 'one', "apply/$n");
	$seen += $standby{east}->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'apply/$n'");
}
is($seen, 30, 'remote_apply: whoever was answered finds the record on the standby');
$standby{east}->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
wait_until(sub { $standby{east}->safe_psql('postgres', 'SELECT pg_get_wal_replay_pause_state()') eq 'paused' }, 'replay is paused');
like(ask($primary, 'one', 'not applied', set => $short), $unconfirmed, '... and there is no answer while replay is paused');
$standby{east}->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_until(sub { ask($primary, 'one', 'applied', set => [ "claiim.queue_timeout = '2s'" ]) eq 'ALLOW' }, 'the gate opens when it goes on');

# The standby of the standby, and what becomes of it when that is promoted
my @load = start_load($primary, 'one', 6, 400);
my @answers = answers_of(@load);
is(scalar @answers, 6 * 400, 'load, all of it answered');
my $last = $primary->safe_psql('one', 'SELECT max(seq) FROM claiim.chron');
wait_until(sub { $standby{far}->safe_psql('one', 'SELECT max(seq) FROM claiim.chron') >= $last }, 'the standby of the standby has it all');
is($standby{far}->safe_psql('one', 'SELECT ok FROM claiim.verify()'), 't', '... and verifies it');
$primary->stop('immediate');
$standby{west}->stop;
$standby{east}->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'far'");
$standby{east}->promote;
wait_until(sub { ask($standby{east}, 'one', 'promoted', set => [ "claiim.queue_timeout = '2s'" ]) eq 'ALLOW' }, 'the promoted standby answers, its own standby synchronous');
chron_is_sound($standby{east}, 'one', 'promoted', @answers);
$last = $standby{east}->safe_psql('one', "SELECT seq FROM claiim.chron WHERE target = 'promoted' AND outcome = 'ALLOW' ORDER BY seq DESC LIMIT 1");
wait_until(sub { $standby{far}->safe_psql('one', 'SELECT max(seq) FROM claiim.chron') >= $last }, 'the other follows over the change of timeline');
is($standby{far}->safe_psql('one', 'SELECT ok FROM claiim.verify()'), 't', '... and verifies');

$standby{$_}->stop for qw(far east);
done_testing();
