# Chron in a reporting database by logical replication, hash by hash; and
# promotion under load, back and forth: every answer that was given with a
# synchronous standby is on the new primary.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
sub errors_of { return map { $_->{stderr} =~ /(?:ERROR|FATAL):\s+(\S+: [^\n]*)/g } @_ }

# Logical replication, to a database that has no claiim
{
	my $node = new_node('publisher', init => [ allows_streaming => 'logical' ], conf => "max_worker_processes = 12\nmax_connections = 50\n");
	my $report = new_node('reporting', preload => 0, init => [ allows_streaming => 'logical' ]);
	set_up($node, 'one');
	my @answers = answers_of(start_load($node, 'one', 4, 50));

	$node->safe_psql('one', 'CREATE PUBLICATION chron FOR TABLE claiim.chron, claiim.contexts WITH (publish_via_partition_root = true)');
	# The columns as the publisher has them; no partitions, no guards, no keys.
	my $columns = sub { $node->safe_psql('one', "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'claiim.$_[0]'::regclass AND attnum > 0 AND NOT attisdropped") };
	$report->safe_psql('postgres', "CREATE SCHEMA claiim; CREATE TABLE claiim.chron (@{[ $columns->('chron') ]}); CREATE TABLE claiim.contexts (@{[ $columns->('contexts') ]})");
	$report->safe_psql('postgres', "CREATE SUBSCRIPTION chron CONNECTION '" . $node->connstr . " dbname=one' PUBLICATION chron");

	# From the first copy on, under load: decisions, acts, contexts; with writers
	# that come and go, and a crash
	my @load = start_load($node, 'one', 4, 800);
	my $human = background($node, 'one', join('', map { "SELECT claiim.issue_token('deploy-bot', label => '$_') IS NULL;\n" } 1 .. 50), user => 'ann');
	my $context = background($node, 'one', join('', map { "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'load/context/$_', context => '{\"n\": $_}');\n" } 1 .. 50));
	usleep(300_000);
	kill 'TERM', writer_pid($node, 'one') || ();
	usleep(rand 300_000);
	kill 'KILL', writer_pid($node, 'one') || ();
	push @answers, answers_of(@load, $context);
	wait_for_all($human);
	wait_until(sub { ask($node, 'one', 'after') eq 'ALLOW' }, 'the gate is open');
	push @answers, answers_of(start_load($node, 'one', 2, 100));
	chron_is_sound($node, 'one', 'published', @answers);

	# Either of the two is started again in the middle of it, or crashes.
	for my $way (qw(fast immediate))
	{
		for my $server ($report, $node)
		{
			my @more = start_load($node, 'one', 3, 2000);
			wait_until(sub { -s $more[2]{out} }, 'there is load');
			usleep(rand 200_000);
			$server->stop($way);
			usleep(rand 200_000);
			push @answers, answers_of(@more) if $server == $node;
			$server->start;
			push @answers, answers_of(@more) if $server == $report;
		}
	}
	wait_until(sub { ask($node, 'one', 'after') eq 'ALLOW' }, 'the gate is open');
	chron_is_sound($node, 'one', 'started again', @answers);

	my $last = $node->safe_psql('one', 'SELECT max(seq) FROM claiim.chron');
	wait_until(sub { $report->safe_psql('postgres', 'SELECT coalesce(max(seq), 0) FROM claiim.chron') == $last }, 'all have arrived');
	my $rows = "SELECT count(*), md5(string_agg(r::text, E'\\n' ORDER BY seq)) FROM claiim.";
	is($report->safe_psql('postgres', "$rows$_ r"), $node->safe_psql('one', "$rows$_ r"), "logical replication: every row of $_ arrives, as it is, once") for qw(chron contexts);
	is($report->safe_psql('postgres', <<'SQL'), '0|t', '... where anybody can follow the chain, in SQL alone');
SELECT count(*) FILTER (WHERE link <> sha256(convert_to(E'claiim/chron/link/v1\n', 'UTF8') || previous || leaf)), count(*) = max(seq)
FROM (SELECT seq, link, leaf, lag(link, 1, decode(repeat('00', 32), 'hex')) OVER (ORDER BY seq) AS previous FROM claiim.chron) AS c
SQL
	is(ask($node, 'one', 'x'), 'ALLOW', '... and the gate is as it was');
	$report->safe_psql('postgres', 'DROP SUBSCRIPTION chron');
	$_->stop for $node, $report;
}

# Promotion under load, back and forth
{
	my $primary = new_node('a', init => [ allows_streaming => 1 ], conf => "wal_keep_size = 512MB\n");
	set_up($primary, 'one');
	ask($primary, 'one', 'x');
	my $log = $primary->safe_psql('one', 'SELECT DISTINCT log FROM claiim.chron');
	$primary->backup('b');
	my $standby = PostgreSQL::Test::Cluster->new('b');
	$standby->init_from_backup($primary, 'b', has_streaming => 1);
	$standby->start;
	my @answers;

	for my $round (1 .. 3)
	{
		my $name = $standby->name;
		$primary->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$name'");
		$primary->reload;
		wait_until(sub { $primary->safe_psql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") eq '1' }, 'the standby is synchronous');
		is(ask($primary, 'one', "before/$round"), 'ALLOW', "round $round: the primary answers");
		my $human = background($primary, 'one', join('', map { "SELECT token_id FROM claiim.issue_token('deploy-bot', label => '$round/$_');\n" } 1 .. 3000), user => 'ann');
		my @load = start_load($primary, 'one', 6, 4000);
		# and some who keep trying at the standby
		my @early = map { background($standby, 'one', "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'early/$round/$_'); SELECT pg_sleep(0.002);\n" x 800) } 1 .. 2;
		# They are under way, however busy the machine is.
		wait_until(sub { my $n = 0; $n += () = slurp_file($_->{out}) =~ /\n/g for @load; $n > 20 }, 'some are answered');
		usleep(rand 300_000);
		# In turn: the primary is gone and then the standby promoted; it is promoted
		# while the primary lives on, with nobody to confirm; the primary is killed
		# while that is under way.
		if ($round % 3 == 1)
		{
			$primary->kill9;
			$standby->promote;
		}
		else
		{
			$standby->promote;
			my $alone = ask($primary, 'one', "alone/$round", set => ["claiim.queue_timeout = '500ms'"]);
			like($alone, qr/^(?:40003|57P03): no answer/, '... the old primary, left alone, does not answer');
			$primary->stop('immediate');
		}
		my @given = answers_of(@load);
		my @early_answers = answers_of(@early);
		wait_for_all($human);
		my @issued = $human->{stdout} =~ /^(ctk_[0-9a-z]{26})\n/mg;
		cmp_ok(scalar @given, '>', 10, '... ' . @given . ' answers, and ' . @issued . ' acts, and ' . @early_answers . ' after the promotion');
		push @answers, @given, @early_answers;
		is(join(', ', grep { !/^(?:25006: claiim cannot decide on a standby server|57P0[123]: )/ } errors_of(@early)), '', '... a standby refuses until it is promoted');
		$standby->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = ''");
		$standby->reload;
		wait_until(sub { ask($standby, 'one', 'promoted') eq 'ALLOW' }, 'the promoted standby answers');
		chron_is_sound($standby, 'one', "round $round: promoted", @answers);
		my $ids = join ',', @issued;
		is($standby->safe_psql('one', <<"SQL"), '', '... with every act that was acknowledged');
SELECT string_agg(t, ' ') FROM unnest('{$ids}'::text[]) AS t
WHERE (SELECT count(*) FROM claiim.chron WHERE act = 'token.issue' AND detail::jsonb->>'token' = t) <> 1
SQL
		is($standby->safe_psql('one', "SELECT detail::jsonb ->> 'timeline' FROM claiim.chron WHERE act = 'writer.start' ORDER BY seq DESC LIMIT 1"),
			$round + 1, '... and the new timeline on record');
		is($standby->safe_psql('one', 'SELECT string_agg(DISTINCT log, \' \') FROM claiim.chron'), $log, '... in the same log');

		# What only the old primary had was never answered; it is rewound.
		last if $round == 3;
		# Until its first checkpoint the promoted server's control file names the
		# old timeline, and pg_rewind would find nothing to do.
		$standby->safe_psql('postgres', 'CHECKPOINT');
		ok(run_log([ 'pg_rewind', '--source-server', $standby->connstr('postgres'), '--target-pgdata', $primary->data_dir, '--no-sync' ]), '... the old one is rewound') or last;
		$primary->append_conf('postgresql.conf', 'port = ' . $primary->port . "\nsynchronous_standby_names = ''\nprimary_conninfo = '" . $standby->connstr . ' application_name=' . $primary->name . "'\n");
		unlink $primary->data_dir . '/postgresql.auto.conf';
		$primary->set_standby_mode;
		$primary->start;
		($primary, $standby) = ($standby, $primary);
	}
	$standby->stop;
}

diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
