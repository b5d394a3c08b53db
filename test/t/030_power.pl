# What a disk does besides being full: it stalls, it cannot be read, it loses what
# was not flushed when the power fails, it has written half of a page.  What was
# answered is in Chron, and the chain goes on.
#
# Failing calls come from a library made of faulty_disk.c.

use strict;
use warnings;

use ClaiimTest;
use FaultyDisk;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Errno qw(EIO);
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
my $dir = PostgreSQL::Test::Utils::tempdir();
my %environment = faulty_disk($dir) or plan skip_all => 'no compiler for the faulty disk';
mkdir "$dir/flushed" or die "$dir/flushed: $!";
local @ENV{ keys %environment, 'CLAIIM_FLUSHED' } = (values %environment, "$dir/flushed");

# Segments of 1 MB, of which each is copied whenever it is flushed; none is used
# twice, so that all that is not there has never been flushed.
my $node = new_node('power', init => [ extra => [ '-E', 'UTF8', '--locale=C', '--wal-segsize=1' ] ], conf => <<'CONF');
wal_recycle = off
min_wal_size = 2MB
max_wal_size = 64MB
autovacuum = off
CONF
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');

sub file_of
{
	my ($relation) = @_;
	return '/' . $node->safe_psql('one', "SELECT pg_relation_filepath($relation)");
}
my $partition = $node->safe_psql('one', 'SELECT tableoid::regclass FROM claiim.chron ORDER BY seq DESC LIMIT 1');
my $index = $node->safe_psql('one', "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '$partition'::regclass AND indisprimary");

# All processes at once are no more, and of the WAL there is what was flushed.
sub power_fails
{
	my $postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die 'no postmaster';
	my @children;

	kill 'STOP', $postmaster;
	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my $line = <$file> // next;
		push @children, $1 if $line =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $postmaster;
	}
	kill 'KILL', @children, $postmaster;
	$node->kill9;
	for my $pid (@children, $postmaster)
	{
		wait_until(sub { my $stat = eval { slurp_file("/proc/$pid/stat") } // ''; $stat !~ /\) [^Z] / }, "process $pid is no more");
	}
	for my $segment (grep { m{/[0-9A-F]{24}$} } glob $node->data_dir . '/pg_wal/*')
	{
		my ($name) = $segment =~ m{([^/]+)$};
		my $left = -e "$dir/flushed/$name" ? slurp_file("$dir/flushed/$name") : "\0" x (1024 * 1024);
		open my $file, '>', $segment or die "$segment: $!";
		binmode $file;
		print $file $left;
		close $file or die "$segment: $!";
	}
	return;
}

# The power fails.
{
	my $rounds = $ENV{CLAIIM_TEST_ROUNDS} // 4;
	my @answers;
	for my $round (1 .. $rounds)
	{
		my @load = start_load($node, 'one', 6, 4000);
		my $human = background($node, 'one', join('', map { "SELECT token_id FROM claiim.issue_token('deploy-bot', label => '$round/$_');\n" } 1 .. 2000), user => 'ann');
		wait_for_load(100, @load);
		usleep(rand 300_000);
		power_fails();
		my @given = answers_of(@load);
		wait_for_all($human);
		my @issued = $human->{stdout} =~ /^(ctk_[0-9a-z]{26})\n/mg;
		wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again');
		is(ask($node, 'one', "after/$round"), 'ALLOW', "round $round: the power has failed, and is back: the gate goes on");
		push @answers, @given;
		chron_is_sound($node, 'one', '... after ' . @given . ' answers', @answers);
		my $ids = join ',', @issued;
		is($node->safe_psql('one', <<"SQL"), '', '... and ' . @issued . ' acts that were acknowledged');
SELECT string_agg(t, ' ') FROM unnest('{$ids}'::text[]) AS t
WHERE (SELECT count(*) FROM claiim.chron WHERE act = 'token.issue' AND detail::jsonb->>'token' = t) <> 1
SQL
	}
	cmp_ok(scalar @answers, '>', 100 * $rounds - 1, 'of all that was lost nothing had been answered');
}

# A flush that takes for ever: nobody is answered, everybody is told so, and when it
# has come to an end everything goes on.
{
	$node->safe_psql('one', "ALTER ROLE deploy SET claiim.queue_timeout = '1s'");
	my @load = start_load($node, 'one', 6, 20_000);
	wait_for_load(50, @load);
	fault('stall', 0, '/pg_wal/');
	wait_until(sub { hits() > 0 }, 'a flush stalls');
	is(ask($node, 'one', 'stalled'), '40003: no answer: the decision could not be confirmed as recorded within claiim.queue_timeout',
		'a flush stalls: no answer, within the time that the caller has');
	my $told = sub { scalar(() = slurp_file($_[0]{err}) =~ /40003: no answer/g) };
	my @before = map { $told->($_) } @load;
	ok(wait_until(sub { 6 == grep { $told->($load[$_]) > $before[$_] } 0 .. 5 }, 'everybody is told'), '... nor to anybody else');
	my $before = lines_of(@load);
	usleep(300_000);
	is(lines_of(@load), $before, '... whoever asks again');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'stalled'"), 0, '... nor is anything to be seen');
	fault();
	$node->safe_psql('one', 'ALTER ROLE deploy RESET claiim.queue_timeout');
	wait_until(sub { lines_of(@load) > $before + 50 }, 'it goes on');
	kill 'TERM', map { $_->{pid} } @load;
	my @answers = answers_of(@load);
	is(ask($node, 'one', 'goes on'), 'ALLOW', '... and all goes on when it is over');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'stalled'"), 1, '... with what was asked meanwhile recorded, once');
	chron_is_sound($node, 'one', 'a flush that stalled', @answers);
}

# Half a page of Chron, or of its index, or of transactions' fates, or of WAL, and the
# process that wrote it is no more.
for my $case ([ heap => file_of("'$partition'::regclass") ], [ index => file_of("'$index'::regclass") ], [ heap => file_of("'$partition'::regclass") ],
	[ 'page of transactions' => '/pg_xact/' ], [ 'page of WAL' => '/pg_wal/' ], [ 'page of WAL' => '/pg_wal/' ])
{
	my ($what, $path) = @$case;
	my @load = start_load($node, 'one', 4, 4000);
	wait_for_load(100, @load);
	usleep(rand 100_000);
	fault('tear', 0, $path, 1);
	$node->psql('one', 'CHECKPOINT');
	cmp_ok(hits(), '>', 0, "half a $what is written, and the server crashes");
	my @answers = answers_of(@load);
	fault();
	bring_up($node, 'one');
	wait_until(sub { ask($node, 'one', 'mended') eq 'ALLOW' }, 'the gate is open again');
	chron_is_sound($node, 'one', "... after " . @answers . ' answers', @answers);
	is($node->safe_psql('one', "SET enable_seqscan = off; SELECT count(*) FROM $partition WHERE seq > 0"), $node->safe_psql('one', "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SELECT count(*) FROM $partition WHERE seq > 0"),
		'... and the index has what the table has');
}

# The fates of transactions cannot be written: decisions go on, checkpoints do not.
# They cannot be flushed: the server goes down, and finds all in the WAL.
{
	my @load = start_load($node, 'one', 4, 400);
	fault('write', EIO, '/pg_xact/');
	(undef, undef, my $err) = $node->psql('one', 'CHECKPOINT');
	cmp_ok(hits(), '>', 0, 'the fates of transactions cannot be written');
	like($err, qr/checkpoint request failed/, '... a checkpoint fails');
	fault();
	my @answers = answers_of(@load);
	is(scalar @answers, 1600, '... and every question is answered') or diag(join '', map { $_->{stderr} } @load);
	is(($node->psql('one', 'CHECKPOINT'))[0], 0, '... until they can');
	chron_is_sound($node, 'one', 'transactions not written', @answers);

	@load = start_load($node, 'one', 4, 4000);
	wait_for_load(50, @load);
	fault('flush', EIO, '/pg_xact', 1);
	$node->psql('one', 'CHECKPOINT');
	cmp_ok(hits(), '>', 0, '... they cannot be flushed');
	@answers = answers_of(@load);
	bring_up($node, 'one');
	fault();
	wait_until(sub { ask($node, 'one', 'after') eq 'ALLOW' }, 'the gate is open again');
	chron_is_sound($node, 'one', 'transactions not flushed', @answers);
}

# Chron cannot be read: the writer does not find its tip, and the gate stays closed
# until it can be.
{
	$node->restart;
	fault('read', EIO, file_of("'$partition'::regclass"));
	my ($out, $err);
	ask($node, 'one', 'x', set => ["claiim.queue_timeout = '100ms'"]);
	wait_until(sub { $node->safe_psql('one', "SELECT writer_error <> '' FROM claiim.pg_stat_claiim") eq 't' }, 'a start has failed');
	$node->psql('one', "SET claiim.queue_timeout = '3s'; SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x')",
		stdout => \$out, stderr => \$err, extra_params => [ '-U', 'deploy', '-v', 'VERBOSITY=verbose' ]);
	cmp_ok(hits(), '>', 0, 'Chron cannot be read');
	is($out . error_of($err), "57P03: the decision was not taken: Chron's writer did not start within claiim.queue_timeout", '... no answer');
	like($err, qr/DETAIL:  The last start failed: could not read blocks? [\d.]+ in file .*: Input\/output error/, '... and why');
	fault();
	wait_until(sub { ask($node, 'one', 'read again') eq 'ALLOW' }, 'the gate is open when it can be');
	chron_is_sound($node, 'one', 'read again');
}

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
