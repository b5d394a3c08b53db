# What the TAP tests share: servers that preload claiim, the little world in
# which they ask, clients that note every answer they are given, and the
# questions that are asked of Chron afterwards.

package ClaiimTest;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(new_node set_up ask error_of background wait_for_all answers_of
  start_load wait_for_load lines_of chron_is_sound writer_pid end_writer memory_of wait_until until_told tell freeze thaw seed);

my @frozen;

# new_node(NAME, conf => TEXT, preload => BOOL, init => [...], start => BOOL,
#   install_path => DIRECTORY of another server's bin and lib)
sub new_node
{
	my ($name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, $opt{install_path} ? (install_path => $opt{install_path}) : ());
	my $secret = $node->basedir . '/token_secret';

	$node->init(extra => [ '-E', 'UTF8', '--locale=C' ], @{ $opt{init} // [] });
	PostgreSQL::Test::Utils::append_to_file($secret, join('', map { sprintf '%02x', rand 256 } 1 .. 32));
	chmod 0600, $secret or die "$secret: $!";
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'claiim'\n")
	  if $opt{preload} // 1;
	# Restarting after a crash, and flushing, are what is tested; and statements
	# in the log are what takes the time.  Who is to be told that it took too long
	# says how long that is: everybody else has the patience that a busy machine asks for.
	$node->append_conf('postgresql.conf', <<"CONF");
claiim.token_secret_file = '$secret'
claiim.queue_timeout = '60s'
restart_after_crash = on
fsync = on
log_statement = none
max_connections = 100
max_prepared_transactions = 5
CONF
	$node->append_conf('postgresql.conf', $opt{conf}) if $opt{conf};
	$node->start if $opt{start} // 1;
	return $node;
}

# The extension and the world, in a database that is made if it is not there:
# ann and bob govern, deploy-bot (role deploy) may deploy:staging on anything.
sub set_up
{
	my ($node, $db) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db")
	  unless $node->safe_psql('postgres', "SELECT 1 FROM pg_database WHERE datname = '$db'");
	$node->safe_psql($db, 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
	# One statement at a time, since a check cannot follow in the same transaction.
	$node->safe_psql($db, <<'SQL');
DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY '{ann,bob,deploy}'::text[] LOOP
		IF to_regrole(r) IS NULL THEN
			EXECUTE format('CREATE ROLE %I LOGIN', r);
		END IF;
	END LOOP;
END
$$;
SELECT claiim.bootstrap('acme', 'ann', 'ann', 'bob', 'bob');
CREATE SCHEMA two;
CREATE FUNCTION two.people(proposal text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	change text;
BEGIN
	SET LOCAL SESSION AUTHORIZATION ann;
	EXECUTE 'SELECT claiim.' || proposal INTO change;
	SET LOCAL SESSION AUTHORIZATION bob;
	PERFORM claiim.approve(change);
	SET LOCAL SESSION AUTHORIZATION DEFAULT;
	RETURN change;
END
$$;
BEGIN;
SET LOCAL SESSION AUTHORIZATION ann;
SELECT claiim.publish_skill('deploy', 'actions: [deploy:*]', 'acme');
SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow: [deploy:staging]', 'acme');
COMMIT;
SELECT two.people($$register_agent('deploy-bot', 'acme', 'ann', '{deploy}', 'deploy')$$);
SELECT two.people($$bind_policy('deploy-bot', 'p-v1')$$);
SQL
	return;
}

# One question of deploy-bot: its outcome, or the error's SQLSTATE and text.
sub ask
{
	my ($node, $db, $target, %opt) = @_;
	my ($out, $err);
	my $set = join '', map { "SET $_;" } @{ $opt{set} // [] };

	$node->psql($db,
		"$set SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', '$target')",
		stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $opt{user} // 'deploy', '-v', 'VERBOSITY=verbose' ]);
	return $out ne '' ? $out : error_of($err);
}

# "40003: no answer: ..." of what psql says with VERBOSITY=verbose.
sub error_of
{
	my ($stderr) = @_;
	return $stderr =~ /^(?:psql:[^\n]*?)?(?:ERROR|FATAL):\s+(\S+: [^\n]*)/m ? $1 : $stderr;
}

# background(NODE, DB, SQL, user => NAME): psql on its own.  It writes what it is
# answered at once, so that an answer that was given is an answer that is noted.
my $nclients = 0;

sub background
{
	my ($node, $db, $sql, %opt) = @_;
	my $base = $node->basedir . '/client' . ++$nclients;
	my $connstr = $node->connstr($db) . ' user=' . ($opt{user} // 'deploy');

	PostgreSQL::Test::Utils::append_to_file("$base.sql", $sql);
	# It may be killed before it makes its own.
	PostgreSQL::Test::Utils::append_to_file("$base.$_", '') for qw(out err);
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null' and
		  open STDOUT, '>', "$base.out" and
		  open STDERR, '>', "$base.err" and
		  exec $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-f', "$base.sql", '-d', $connstr;
		POSIX::_exit(127);
	}
	return { pid => $pid, out => "$base.out", err => "$base.err" };
}

# Waits for each, and returns what they wrote to stdout and stderr.
sub wait_for_all
{
	my (@clients) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	for my $client (grep { !$_->{done} } @clients)
	{
		usleep(5_000) while waitpid($client->{pid}, POSIX::WNOHANG()) == 0 && time < $deadline;
		if (time >= $deadline)
		{
			kill 'KILL', $client->{pid};
			waitpid $client->{pid}, 0;
			fail("client $client->{pid} came to an end");
		}
		$client->{done} = 1;
		$client->{stdout} = slurp_file($client->{out});
		$client->{stderr} = slurp_file($client->{err});
	}
	return;
}

# start_load(NODE, DB, CLIENTS, CALLS, many => N, pause => SECONDS): each asks
# CALLS times, and notes; with "many" N things at a time, with "pause" at leisure.
sub start_load
{
	my ($node, $db, $clients, $calls, %opt) = @_;
	my @started;

	for my $client (1 .. $clients)
	{
		my $name = "load/$$/" . ($nclients + 1);
		push @started, background($node, $db, join '', map {
			my $action = $_ % 4 ? 'deploy:staging' : 'deploy:production';
			my $call = $_;
			($opt{pause} ? "DO 'BEGIN PERFORM pg_sleep($opt{pause}); END';\n" : '')
			  . ($opt{many}
			  ? "SELECT outcome, chron_id FROM claiim_check_many('deploy-bot', array_fill('$action'::text, '{$opt{many}}'), '{"
			  . join(',', map { "$name/$call/$_" } 1 .. $opt{many}) . "}');\n"
			  : "SELECT outcome, chron_id FROM claiim_check('deploy-bot', '$action', '$name/$call');\n")
		} 1 .. $calls);
	}
	return @started;
}

# How many lines these have written so far: of clients of a load, their answers.
sub lines_of
{
	my (@clients) = @_;
	my $lines = 0;

	$lines += () = slurp_file($_->{out}) =~ /\n/g for @clients;
	return $lines;
}

# They have been answered so many times.  On a busy machine that takes its time.
sub wait_for_load
{
	my ($answers, @clients) = @_;
	return wait_until(sub { lines_of(@clients) >= $answers }, 'there is load');
}

# What they were answered, as [ outcome, chron_id ].  A line that was cut off
# was not an answer.
sub answers_of
{
	my (@clients) = @_;
	wait_for_all(@clients);
	return map { [ split /\|/ ] }
	  map { $_->{stdout} =~ /^((?:ALLOW|DENY)\|chr_[0-9a-z]{26})\n/mg } @clients;
}

# Every answer is in Chron as it was given; the numbers have no gap; no question
# of a load is recorded twice; the chain verifies.
sub chron_is_sound
{
	my ($node, $db, $name, @answers) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $values = join ",\n", map { "('$_->[0]', '$_->[1]')" } @answers;
	my $missing = @answers ? $node->safe_psql($db, <<"SQL") : '';
SELECT string_agg(a.id || ' ' || a.outcome, ' ') FROM (VALUES $values) AS a (outcome, id),
	LATERAL claiim._chron_key(a.id) AS k
WHERE NOT EXISTS (SELECT FROM claiim.chron c
	WHERE c.seq = k.seq AND c.at = k.at AND c.outcome = a.outcome)
SQL
	my $doubles = () = keys %{ { map { $_->[1] => 1 } @answers } };

	my $chain = $node->safe_psql($db, <<'SQL');
SELECT concat_ws(' ', count(*) - max(seq), min(seq), count(*) - count(DISTINCT seq),
	count(*) FILTER (WHERE target LIKE 'load/%')
		- count(DISTINCT target) FILTER (WHERE target LIKE 'load/%'))
FROM claiim.chron
SQL
	my $verify = $node->safe_psql($db, "SELECT ok, first_bad, problem FROM claiim.verify()");

	return ok( $missing eq '' && $doubles == @answers && $chain eq '0 1 0 0' && $verify eq 't||',
		"$name: all " . @answers . ' answers are in Chron, which is gapless and verifies')
	  || diag("not found: $missing\ndistinct answers: $doubles of " . @answers
		  . "\ngap, first, double, asked once but recorded twice: $chain\nverify: $verify");
}

sub writer_pid
{
	my ($node, $db) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND datname = '$db'");
}

# What a process uses of a memory context, in bytes; undef if it does not say so.
sub memory_of
{
	my ($node, $pid, $context) = @_;
	my $from = -s $node->logfile;
	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($pid)");
	for (1 .. 1000)
	{
		return $1 if slurp_file($node->logfile, $from) =~ /\[$pid\] LOG:  level: \d+; $context: [^\n]* (\d+) used\n.*Grand total/s;
		usleep(5_000);
	}
	return;
}

# The writer is told to stop, and has left.
sub end_writer
{
	my ($node, $db) = @_;
	return $node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND datname = '$db'");
}

# wait_until(SUB, WHAT): polls; fails and returns false if it never comes.  A psql
# that ends before it has read its input is an exception, and means not yet.
sub wait_until
{
	my ($condition, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while (time < $deadline)
	{
		return 1 if eval { $condition->() };
		usleep(20_000);
	}
	fail("waited in vain: $what");
	return 0;
}

# until_told(NODE, WORD): among the SQL of a client in the background, where it stops
# until tell(NODE, WORD).
sub until_told
{
	my ($node, $word) = @_;
	my $told = $node->basedir . "/told.$word";
	return "\\! timeout 300 sh -c 'until [ -e $told ]; do sleep 0.05; done'\n";
}

sub tell
{
	my ($node, $word) = @_;
	PostgreSQL::Test::Utils::append_to_file($node->basedir . "/told.$word", '');
	return;
}

# Stop a process as a debugger would, and let it go on.
sub freeze
{
	my ($pid) = @_;
	kill 'STOP', $pid or die "kill -STOP $pid: $!";
	push @frozen, $pid;
	return;
}

sub thaw
{
	kill 'CONT', @frozen if @frozen;
	@frozen = ();
	return;
}

# A failing random test can be run again: CLAIIM_TEST_SEED=n.
sub seed
{
	my $seed = $ENV{CLAIIM_TEST_SEED} // int(rand(2**31));
	srand $seed;
	note "CLAIIM_TEST_SEED=$seed";
	return $seed;
}

# Before the servers are stopped, which a frozen process would prevent.
END
{
	my $status = $?;
	thaw();
	$? = $status;
}

1;
