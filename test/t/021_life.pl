# What happens to a database while clients keep coming back: renamed, moved to
# another tablespace, its Chron replicated over a month's end, restored while
# somebody asks.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('life', init => [ allows_streaming => 'logical' ]);
set_up($node, 'one');

# Clients that connect anew for every question, whichever name the database has.
sub comers
{
	my ($n, $rounds, @names) = @_;
	return map {
		my $client = $_;
		my $base = $node->basedir . "/comer$client." . join('', @names);
		my $pid = fork() // die "fork: $!";
		if ($pid == 0)
		{
			open STDOUT, '>', "$base.out" and open STDERR, '>', "$base.err" or POSIX::_exit(126);
			for my $round (1 .. $rounds)
			{
				system $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose',
					'-d', $node->connstr($names[ $round % @names ]) . ' user=deploy',
					'-c', "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'come/$client/$round')";
				usleep(50_000);
			}
			POSIX::_exit(0);
		}
		{ pid => $pid, out => "$base.out", err => "$base.err" }
	} 1 .. $n;
}

# ALTER DATABASE needs a moment without connections, so it is tried until it
# finds one; it must neither hang nor leave the gate shut.
sub until_done
{
	my ($sql, $what) = @_;
	my $tries = 0;
	return ok(wait_until(sub { $tries++; ($node->psql('postgres', $sql))[0] == 0 }, $what), "$what (try $tries)");
}

{
	my @comers = comers(2, 40, 'one', 'two');
	until_done('ALTER DATABASE one RENAME TO two', 'renamed under clients that come and go');
	until_done('ALTER DATABASE two RENAME TO one', '... and back');
	my @answers = answers_of(@comers);
	cmp_ok(scalar @answers, '>', 0, 'some of them found it: ' . @answers . ' answers');
	is(join('', map { grep { !/^(?:HINT|LOCATION): |^DETAIL:  It seems to have just been dropped or renamed|does not exist$|55006: / } split /^/, $_->{stderr} } @comers), '',
		'the others were told that it is not there, or in use');
	is(ask($node, 'one', 'after the renaming'), 'ALLOW', 'the gate answers');
	chron_is_sound($node, 'one', 'renamed', @answers);
}

{
	my $place = $node->basedir . '/place';
	mkdir $place or die "$place: $!";
	$node->safe_psql('postgres', "CREATE TABLESPACE place LOCATION '$place'");
	my $log = $node->safe_psql('one', 'SELECT DISTINCT log FROM claiim.chron');
	my @comers = comers(2, 30, 'one');
	until_done('ALTER DATABASE one SET TABLESPACE place', 'moved to another tablespace under clients that come and go');
	my @answers = answers_of(@comers);
	is(ask($node, 'one', 'after the move'), 'ALLOW', 'the gate answers');
	chron_is_sound($node, 'one', 'moved', @answers);
	is($node->safe_psql('one', 'SELECT DISTINCT log FROM claiim.chron'), $log, '... in the same log');
}

# A partition that is made while Chron is being replicated comes along.
{
	my $reports = new_node('reports', preload => 0);
	my $columns = $node->safe_psql('one', <<'SQL');
SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
FROM pg_attribute WHERE attrelid = 'claiim.chron'::regclass AND attnum > 0 AND NOT attisdropped
SQL
	$reports->safe_psql('postgres', "CREATE SCHEMA claiim; CREATE TABLE claiim.chron ($columns)");
	$node->safe_psql('one', 'CREATE PUBLICATION chron FOR TABLE claiim.chron WITH (publish_via_partition_root)');
	$reports->safe_psql('postgres', sprintf 'CREATE SUBSCRIPTION chron CONNECTION %s PUBLICATION chron',
		"'" . $node->connstr('one') =~ s/'/''/gr . "'");
	$reports->wait_for_subscription_sync($node, 'chron');
	my $before = $node->safe_psql('one', "SELECT count(*) FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass");
	my @load = start_load($node, 'one', 3, 300);
	# Far ahead, by the writer's own function, as it would in time.
	$node->safe_psql('one', "SELECT claiim._add_partition('chron_y2031m05', '2031-05-01 00:00+00', '2031-06-01 00:00+00')");
	my @answers = answers_of(@load);
	is($node->safe_psql('one', "SELECT count(*) FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass"), $before + 1, 'a partition is made in the middle of replication');
	chron_is_sound($node, 'one', 'replicated', @answers);
	$node->wait_for_catchup('chron');
	my $sum = "SELECT count(*), sum(seq), md5(string_agg(encode(link, 'hex'), '' ORDER BY seq)) FROM claiim.chron";
	is($reports->safe_psql('postgres', $sum), $node->safe_psql('one', $sum), 'every record is in the reporting database, link by link');
	$reports->safe_psql('postgres', 'DROP SUBSCRIPTION chron');
	$reports->stop;
}

# A data-only restore with the triggers off, while agents ask: they are answered
# before the restore begins or after it has ended, and the chain is one.
{
	my $dump = $node->basedir . '/one.dump';
	$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr('one'), '-f', $dump ], 'a dump');
	my $records = $node->safe_psql('one', 'SELECT max(seq) FROM claiim.chron');
	$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE template0');
	my $asking = background($node, 'postgres', join '', map {
		"\\connect again\nSELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'while/$_');\nSELECT pg_sleep(0.02);\n" } 1 .. 60);
	my ($out, $err);
	IPC::Run::run([ 'pg_restore', '--disable-triggers', '-d', $node->connstr('again'), $dump ], '>', \$out, '2>', \$err);
	my @answers = answers_of($asking);
	my $verify = $node->safe_psql('again', 'SELECT ok FROM claiim.verify()');
	my $restored = $node->safe_psql('again', "SELECT count(*) FROM claiim.chron WHERE seq <= $records");
	if ($err eq '')
	{
		is("$verify $restored", "t $records", 'the restore is whole and the chain verifies');
		cmp_ok(scalar(grep { $_->[0] eq 'ALLOW' } @answers), '>=', 0, 'agents that asked meanwhile got ' . @answers . ' answers');
	}
	else
	{
		# Somebody was faster: Chron had begun, and what would have been put
		# under it was refused as a whole.
		like($err, qr/Chron|duplicate key|cannot be changed/, 'the restore came too late and says so');
		is($verify, 't', '... and the chain that was begun verifies');
	}
	is($node->safe_psql('again', <<'SQL'), 0, 'afterwards every guard is armed');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'claiim_guard%' AND tgenabled <> 'A'
SQL
}

$node->stop;
done_testing();
