# The queries that a collector is given (examples/monitoring) run as they
# stand, by a role that may only watch, and give what they say they do; and
# what cannot be counted in a quiet server is counted in a busy one.

use strict;
use warnings;

use ClaiimTest;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $db = 'one';
my $node = new_node('monitored', conf => "claiim.queue_size = 16\n");
set_up($node, $db);
$node->safe_psql($db, 'CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
is(ask($node, $db, 'first'), 'ALLOW', 'the gate answers');

# postgres_exporter.yml, of which we need no more than its indentation.
my $file = "$FindBin::RealBin/../../examples/monitoring/postgres_exporter.yml";
my (%query, %columns, $metric);
open my $in, '<', $file or die "$file: $!";
while (my $line = <$in>)
{
	if ($line =~ /^(\w+):$/) { $metric = $1; }
	elsif ($line =~ /^    - (\w+): \{usage: (LABEL|COUNTER|GAUGE|HISTOGRAM), description: \S.*\}$/) { $columns{$metric}{$1} = $2; }
	elsif ($line =~ /^    ( *\S.*)$/) { $query{$metric} .= "$1\n"; }
}
close $in;
is_deeply([ sort keys %query ], [ sort keys %columns ], 'every query says what its columns are');
cmp_ok(scalar keys %query, '>=', 3, 'the queries are found');
for my $name (sort keys %query)
{
	my ($status, $out, $err) = $node->psql($db, "SET SESSION AUTHORIZATION watcher; $query{$name}",
		extra_params => [ '-A', '-F', '|', '-P', 'tuples_only=off', '-P', 'footer=off' ]);
	is("$status $err", '0 ', "$name runs");
	my ($head, @rows) = split /\n/, $out;
	my %has = map { $_ => 1 } split /\|/, $head;
	cmp_ok(scalar @rows, '>=', 1, "$name gives rows");
	for my $column (sort keys %{ $columns{$name} })
	{
		my @wanted = $columns{$name}{$column} eq 'HISTOGRAM'
			? ($column, "${column}_bucket", "${column}_sum", "${column}_count") : ($column);
		is(join(' ', grep { !delete $has{$_} } @wanted), '', "$name has $column");
	}
	is(join(' ', sort keys %has), '', "$name has nothing that it does not describe");
}

# Who gives up is counted, and who finds the queue full.
my $stat = sub { $node->safe_psql($db, "SELECT concat_ws(' ', $_[0]) FROM claiim.pg_stat_claiim") };
is($stat->('unconfirmed, queue_waits, queue_refused'), '0 0 0', 'nobody has had to wait');
freeze(writer_pid($node, $db));
my @waiting = map { background($node, $db, "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'waits/$_')") } 1 .. 15;
wait_until(sub { $stat->('queue_used') == 15 }, 'fifteen wait for the writer');
# What they wait for has a name of its own, where extensions can give one.
my $named = $node->safe_psql($db, 'SHOW server_version_num') >= 170000;
my $waits_for = sub { $node->safe_psql($db, "SELECT DISTINCT wait_event_type || ' ' || wait_event FROM pg_stat_activity WHERE $_[0]") };
is($waits_for->("query LIKE '%waits/%' AND pid <> pg_backend_pid()"), $named ? 'Extension ClaiimChronWait' : 'Extension Extension', 'which is what they are seen to wait for');
like(ask($node, $db, 'unconfirmed', set => ["claiim.queue_timeout = '300ms'"]), qr/^40003/, 'one more gives up');
like(ask($node, $db, 'refused', set => ["claiim.queue_timeout = '300ms'"]), qr/^53400/, 'for the next there is no place');
is($stat->('unconfirmed, queue_waits, queue_refused, queue_used'), '1 1 1 16', 'each is counted');
push @waiting, background($node, $db, "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'full')");
wait_until(sub { $waits_for->("query LIKE '%''full''%' AND pid <> pg_backend_pid()") eq ($named ? 'Extension ClaiimQueueFull' : 'Extension Extension') }, 'who waits for a place is seen to wait for that');
thaw();
wait_for_all(@waiting);
wait_until(sub { $waits_for->("backend_type = 'claiim writer'") eq ($named ? 'Extension ClaiimWriterMain' : 'Extension Extension') }, 'and an idle writer for work');
is(ask($node, $db, 'last'), 'ALLOW', 'the writer goes on');
is($stat->('queue_used, queue_length'), '0 0', 'and all places are free again');
is($stat->('allowed'), 1 + 15 + 1 + 1 + 1, 'what was recorded is counted, answered or not');

# Nor is forgotten who was told that the writer had been stopped over his question.
my $locker = background($node, $db, "BEGIN;\nLOCK TABLE claiim.contexts;\nSELECT 'locked';\nSELECT pg_sleep(600);\n",
	user => $node->safe_psql('postgres', 'SELECT current_user'));
wait_until(sub { slurp_file($locker->{out}) eq "locked\n" }, 'contexts cannot be recorded');
is($stat->('failed'), 0, 'nobody has been told that his decision could not be recorded');
my ($told, $stopped) = (0, 0);
# The writer may have given up on the lock by itself before it is stopped.
wait_until(sub {
	my $asked = background($node, $db, "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'stopped', context => '1');\n");
	wait_until(sub { $node->safe_psql($db, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'claiim.contexts'::regclass AND NOT granted") eq 't' }, 'the writer is stopped');
	wait_for_all($asked);
	$told++ if $asked->{stderr} =~ /no answer/;
	return $stopped = $asked->{stderr} =~ /40003: no answer/;
}, 'the caller is told');
$node->safe_psql($db, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'claiim.contexts'::regclass AND granted");
wait_for_all($locker);
ok($stopped, 'the writer is stopped in the middle of a batch, and the caller told so');
is($stat->('failed'), $told, '... which is counted');

$node->stop;
done_testing();
