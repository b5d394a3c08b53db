# A disk that is full or fails, under load: what cannot be recorded is an error,
# the server may go down rather than lie, and when the disk is well again every
# answer that was given is in Chron, and the chain goes on.
#
# Failing calls come from a library made of faulty_disk.c; full disks are small
# tmpfs in a namespace of our own, where the kernel lets us have one.

use strict;
use warnings;

# Run again as somebody who may mount, before anything else is set up.
BEGIN
{
	my @unshare = qw(unshare --user --map-current-user --keep-caps --mount);

	if (!defined $ENV{CLAIIM_MAY_MOUNT})
	{
		$ENV{CLAIIM_MAY_MOUNT} = system("@unshare mount -t tmpfs none /tmp >/dev/null 2>&1") == 0 ? 1 : 0;
		exec @unshare, $^X, $0 or die "unshare: $!" if $ENV{CLAIIM_MAY_MOUNT};
	}
}

use ClaiimTest;
use FaultyDisk;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Errno qw(EIO ENOSPC);
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
my $dir = PostgreSQL::Test::Utils::tempdir();

# There are old segments to be used again before a new one is needed.  False if
# there was no room for it.
sub write_wal
{
	my ($node) = @_;
	return $node->psql('one', "SELECT pg_logical_emit_message(true, '', repeat('x', 500000))") == 0;
}

SKIP:
{
	my %environment = faulty_disk($dir) or skip 'no compiler for the faulty disk', 1;
	local @ENV{ keys %environment } = values %environment;

	# Segments of 1 MB, so that a new one is needed soon.
	my $node = new_node('disk', init => [ extra => [ '-E', 'UTF8', '--locale=C', '--wal-segsize=1' ] ], start => 0, conf => <<'CONF');
min_wal_size = 2MB
max_wal_size = 4MB
autovacuum = off
CONF
	$node->start;
	set_up($node, 'one');
	is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');

	# Where the next records go.
	my $file_of = sub {
		my ($relation) = @_;
		return '/' . $node->safe_psql('one', "SELECT pg_relation_filepath($relation)");
	};
	my $partition = "(SELECT tableoid FROM claiim.chron ORDER BY seq DESC LIMIT 1)";
	my %file = (
		heap => $file_of->("$partition\::regclass"),
		index => $file_of->("(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = $partition AND indisprimary)"));

	# Chron's file, or its index, cannot be made longer: an error to each caller
	# whose record had no room, and to nobody else; no restart, no gap.
	for my $case ([ heap => ENOSPC, '53100', 25 ], [ index => ENOSPC, '53100', 25 ], [ heap => EIO, '58030', 25 ], [ heap => ENOSPC, '53100', -1 ])
	{
		my ($what, $error, $sqlstate, $times) = @$case;
		my $writer = writer_pid($node, 'one');
		fault('grow', $error, $file{$what}, $times);
		my @load = start_load($node, 'one', 4, 250);
		my $human = background($node, 'one', join('', map { "SELECT claiim.issue_token('deploy-bot', label => '$what/$error/$times/$_') IS NULL;\n" } 1 .. 20), user => 'ann');
		until_hit("the $what cannot grow ($sqlstate)");
		wait_until(sub { hits() >= $times }, 'all the faults') if $times > 0;
		wait_for_all(@load);
		fault();
		my @answers = answers_of(@load);
		wait_for_all($human);
		my @errors = errors_of(@load);
		is(join(', ', grep { !/^$sqlstate: no answer: the decision could not be recorded/ } @errors), '', '... the callers are told so');
		cmp_ok(scalar @errors, '>=', $times, '... those who were concerned: ' . @errors);
		# None at all if there was no room for even one when it began
		cmp_ok(scalar @answers, '>=', $times > 0 ? 500 : 0, '... and no others: ' . @answers);
		is(@answers + @errors, 1000, '... and every question got an answer or an error');
		is(ask($node, 'one', 'room again'), 'ALLOW', '... when there is room the gate goes on');
		is(writer_pid($node, 'one'), $writer, '... with the same writer');
		is($node->safe_psql('one', "SELECT count(*), (SELECT count(*) FROM claiim.outbox) FROM claiim.chron WHERE act = 'token.issue' AND detail::jsonb ->> 'label' LIKE '$what/$error/$times/%'"),
			'20|0', '... and what was governed meanwhile is recorded, once') or diag($human->{stderr});
		chron_is_sound($node, 'one', "the $what could not grow", @answers);
	}

	# The detail names the disk.
	fault('grow', ENOSPC, $file{heap});
	my $err = '';
	wait_until(sub {
		my ($out, $e);
		$node->psql('one', "SELECT outcome FROM claiim_check('x', 'a', repeat('x', 1000))", stderr => \$e);
		$err = $e;
		return $err ne '' }, 'the file is full');
	like($err, qr/no answer.*DETAIL:  could not extend file .*: No space left on device\.?/s, 'the error says what is full');
	fault();

	# WAL: the server goes down, as it must, and comes again by itself.
	for my $case ([ 'flush', EIO, 'a flush of WAL fails' ], [ 'write', EIO, 'a write of WAL fails' ],
		[ 'grow', ENOSPC, 'there is no room for WAL' ], [ 'flush', EIO, 'a flush of WAL fails again' ])
	{
		my ($operation, $error, $what) = @$case;
		my @load = start_load($node, 'one', 6, 2500);
		wait_for_load(20, @load);
		usleep(rand 200_000);
		fault($operation, $error, '/pg_wal/', 1);
		until_hit($what, sub { write_wal($node) if $operation eq 'grow' });
		my @answers = answers_of(@load);
		bring_up($node, 'one');
		fault();
		wait_until(sub { ask($node, 'one', 'after') eq 'ALLOW' }, 'the gate is open again');
		cmp_ok(scalar @answers, '>', 5, '... after ' . @answers . ' answers');
		chron_is_sound($node, 'one', $what, @answers);
	}
	like(slurp_file($node->logfile), qr/PANIC: .*(?:Input\/output error|No space left on device)/, 'it was a PANIC each time');

	# It stays broken over restarts: nothing is answered, until it is mended.
	{
		my @load = start_load($node, 'one', 6, 2500);
		wait_for_load(20, @load);
		fault('flush', EIO, '/pg_wal/');
		until_hit('WAL cannot be flushed any more');
		my @answers = answers_of(@load);
		my $asked = background($node, 'one', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'while it is broken')");
		wait_for_all($asked);
		is($asked->{stdout}, '', '... who asks then is not answered');
		fault();
		bring_up($node, 'one');
		wait_until(sub { ask($node, 'one', 'after') eq 'ALLOW' }, 'the gate is open again');
		chron_is_sound($node, 'one', 'WAL could not be flushed', @answers);
	}

	# A checkpoint that cannot write disturbs no decision; one that cannot flush
	# takes the server down, which finds all in the WAL.
	{
		my @load = start_load($node, 'one', 4, 250);
		wait_for_load(20, @load);
		fault('write', EIO, "$file{heap}");
		(undef, undef, my $e) = $node->psql('one', 'CHECKPOINT');
		like($e, qr/checkpoint request failed/, 'a checkpoint that cannot write Chron fails');
		fault();
		my @answers = answers_of(@load);
		my @errors = errors_of(@load);
		is(join(', ', grep { !/^58030: no answer/ } @errors), '', '... decisions fail only where they need the disk (' . @errors . ')');
		is(@answers + @errors, 1000, '... and every question is settled');
		chron_is_sound($node, 'one', 'a checkpoint that cannot write', @answers);

		@load = start_load($node, 'one', 4, 2500);
		wait_for_load(100, @load);
		fault('flush', EIO, $file{heap}, 1);
		$node->psql('one', 'CHECKPOINT');
		cmp_ok(hits(), '>', 0, "a checkpoint that cannot flush Chron");
		@answers = answers_of(@load);
		bring_up($node, 'one');
		wait_until(sub { ask($node, 'one', 'after') eq 'ALLOW' }, 'the gate is open again');
		chron_is_sound($node, 'one', 'a checkpoint that cannot flush', @answers);
	}

	# fsync = off is the DBA's choice; Chron says so, and so does the log.
	{
		my $offset = -s $node->logfile;
		is($node->safe_psql('one', "SELECT string_agg(DISTINCT detail::jsonb ->> 'fsync', ' ') FROM claiim.chron WHERE act = 'writer.start'"),
			'true', 'every writer so far has recorded that fsync is on');
		$node->append_conf('postgresql.conf', 'fsync = off');
		$node->restart;
		is(ask($node, 'one', 'careless'), 'ALLOW', 'fsync off: the gate works');
		is($node->safe_psql('one', "SELECT detail::jsonb ->> 'fsync' FROM claiim.chron WHERE act = 'writer.start' AND seq < (SELECT seq FROM claiim.chron WHERE target = 'careless') ORDER BY seq DESC LIMIT 1"),
			'false', '... Chron says so before the first decision');
		like(slurp_file($node->logfile, $offset), qr/WARNING:  Chron's writer runs with fsync off/, '... and the log');

		# Nor can it be switched under a writer that runs.
		for my $fsync ('on', 'off')
		{
			my $writer = writer_pid($node, 'one');
			$node->append_conf('postgresql.conf', "fsync = $fsync");
			$node->reload;
			wait_until(sub { $node->safe_psql('postgres', 'SHOW fsync') eq $fsync }, 'reloaded');
			wait_until(sub { writer_pid($node, 'one') ne $writer }, 'the writer has noticed');
			is(ask($node, 'one', "fsync is $fsync"), 'ALLOW', "fsync $fsync by a reload: the gate works");
			is($node->safe_psql('one', <<"SQL"), $fsync eq 'on' ? 'true' : 'false', '... and Chron says so before the next decision');
SELECT detail::jsonb ->> 'fsync' FROM claiim.chron
WHERE act = 'writer.start' AND seq < (SELECT max(seq) FROM claiim.chron WHERE target = 'fsync is $fsync') ORDER BY seq DESC LIMIT 1
SQL
		}
		chron_is_sound($node, 'one', 'without fsync');
	}
	$node->stop;
}

# Full disks, for real
SKIP:
{
	skip 'no tmpfs of our own here', 1 unless $ENV{CLAIIM_MAY_MOUNT};
	my %mount = map { $_ => PostgreSQL::Test::Utils::tempdir() } qw(data wal);
	my %size = (data => 64, wal => 24);
	for my $mount (keys %mount)
	{
		skip "cannot mount a tmpfs", 1
		  if system('mount', '-t', 'tmpfs', '-o', "size=$size{$mount}m,mode=0700", 'none', $mount{$mount}) != 0;
		mkdir "$mount{$mount}/d" or die "mkdir: $!";
	}
	my $node = new_node('full', conf => "min_wal_size = 2MB\nmax_wal_size = 4MB\nautovacuum = off\n",
		init => [ extra => [ '-E', 'UTF8', '--locale=C', '--wal-segsize=1', "--waldir=$mount{wal}/d" ] ]);
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$mount{data}/d'");
	$node->safe_psql('postgres', 'CREATE DATABASE one TABLESPACE small');
	set_up($node, 'one');
	is(ask($node, 'one', 'x'), 'ALLOW', 'on a small disk the gate answers');

	my $fill = sub {
		my ($mount) = @_;
		open my $file, '>', "$mount{$mount}/ballast" or die "ballast: $!";
		my $block = "\0" x 8192;
		1 while syswrite($file, $block) // 0;
		close $file;
		return;
	};
	my $free = sub { unlink "$mount{$_[0]}/ballast" or die "unlink: $!" };

	# the data, twice
	for my $round (1 .. 2)
	{
		# More than fits into what the table was extended by already.
		my @load = start_load($node, 'one', 4, 1500);
		usleep(rand 100_000);
		$fill->('data');
		my @answers = answers_of(@load);
		my @errors = errors_of(@load);
		cmp_ok(scalar @errors, '>', 0, "round $round: the disk is full: " . @answers . ' answers, ' . @errors . ' errors');
		is(join(', ', grep { !/^53100: / } @errors), '', '... each says so');
		is(@answers + @errors, 6000, '... every question is settled');
		$free->('data');
		is(ask($node, 'one', 'room again'), 'ALLOW', '... and the gate is open when there is room');
		chron_is_sound($node, 'one', 'a full disk', @answers);
	}

	# the WAL, twice: the server goes down.  Not if a checkpoint makes room in
	# time, as it can where the callers are slow.
	$node->safe_psql('postgres', "ALTER SYSTEM SET wal_keep_size = '64MB'");
	$node->reload;
	for my $round (1 .. 2)
	{
		my @load = start_load($node, 'one', 4, 4000);
		wait_for_load(20, @load);
		usleep(rand 100_000);
		$fill->('wal');
		wait_until(sub { !write_wal($node) }, "WAL's disk is full");
		my @answers = answers_of(@load);
		my $down = join '', map { $_->{stderr} } @load;
		like($down, qr/server closed the connection|terminating connection|No space/, "round $round: WAL's disk is full: the server goes down");
		$free->('wal');
		bring_up($node, 'one');
		wait_until(sub { ask($node, 'one', 'room again') eq 'ALLOW' }, 'the gate is open again');
		cmp_ok(scalar @answers, '>', 5, '... after ' . @answers . ' answers');
		chron_is_sound($node, 'one', "WAL's disk was full", @answers);
	}
	$node->stop;
}

diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
