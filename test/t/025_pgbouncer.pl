# Through PgBouncer, in transaction mode, with one server connection: whoever
# shares it, a decision is never attributed to another agent, and an act never
# to another human.  (G12)
#
# Twice, for a pool can be shared in two ways: one database role for all, who
# tell themselves apart by tokens; and a role for each agent and each human,
# with one connection between all of them.  The clients are test/t/pooled.c.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use File::Basename qw(dirname);
use POSIX ();
use Test::More;
use Time::HiRes qw(usleep);

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } '/usr/sbin', split /:/, $ENV{PATH};
plan skip_all => 'PgBouncer is not installed' unless $pgbouncer;
my $client = PostgreSQL::Test::Utils::tempdir() . '/pooled';
my $node = new_node('pooled', conf => "fsync = off\n", start => 0);
{
	my ($include, $lib) = map { $node->config_data($_) } '--includedir', '--libdir';
	my $said = `cc -std=gnu11 -O1 -Wall -Wextra -Werror -I$include -o $client @{[ dirname(__FILE__) ]}/pooled.c -L$lib -lpq 2>&1`;
	plan skip_all => "there is no C compiler with libpq here: $said" if $? != 0 && $said =~ /not found|No such file/;
	BAIL_OUT("the client does not compile: $said") if $said ne '';
}
my $seed = seed();
my (@background, $clients_so_far);

$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
# agent-a's anchor is ann, agent-b's is cem.  "costume" and "evil" are what a
# client can leave its session in.
$node->safe_psql('one', <<'SQL');
CREATE ROLE cem LOGIN; CREATE ROLE agent_a LOGIN; CREATE ROLE agent_b LOGIN;
CREATE ROLE costume NOLOGIN; CREATE ROLE pool LOGIN;
GRANT claiim_agent TO pool, costume;
GRANT costume TO pool, agent_a, agent_b;
SELECT two.people($$register_human('cem', 'cem', 'Cem', 'acme', '{member}')$$);
SELECT two.people($$register_agent('agent-a', 'acme', 'ann', '{deploy}', 'agent_a')$$);
SELECT two.people($$register_agent('agent-b', 'acme', 'cem', '{deploy}', 'agent_b')$$);
SELECT two.people($$bind_policy('agent-a', 'p-v1')$$), two.people($$bind_policy('agent-b', 'p-v1')$$);
CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.claiim_check(agent text, action text, target text, token text DEFAULT NULL,
	OUT outcome text, OUT chron_id text, OUT anchor text) LANGUAGE sql AS $$SELECT 'FORGED', '', ''$$;
CREATE TABLE two.noted (client text, proof text, agent text, token text, role text, action text,
	target text, outcome text, chron_id text, pid int, anchor text);
CREATE TABLE two.acted (client text, act text, role text, subject text, change text);
SQL
my %token = map { $_ => $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('$_')") } qw(agent-a agent-b);

# PgBouncer, as a DBA sets it up.  To pause after each answer would be too slow.
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $at_server = 'host=' . $node->host . ' port=' . $node->port . ' dbname=one';
PostgreSQL::Test::Utils::append_to_file("$dir/users", join '', map { "\"$_\" \"secret of $_\"\n" } qw(pool agent_a agent_b ann bob watcher));
PostgreSQL::Test::Utils::append_to_file("$dir/pgbouncer.ini", <<"INI");
[databases]
shared = $at_server pool_size=1
own = $at_server max_db_connections=1
forced = $at_server user=ann
[pgbouncer]
listen_port = $port
unix_socket_dir = $dir
auth_type = md5
auth_file = $dir/users
pool_mode = transaction
default_pool_size = 1
logfile = $dir/log
admin_users = watcher
INI
my $pid = fork() // die "fork: $!";
if ($pid == 0)
{
	open STDOUT, '>', "$dir/stdout" and open STDERR, '>&', \*STDOUT and exec $pgbouncer, '-q', "$dir/pgbouncer.ini";
	POSIX::_exit(127);
}
END { my $status = $?; kill 'TERM', grep { $_ } $pid, @background; $? = $status }

sub through { my ($db, $role) = @_; return "host=$dir port=$port dbname=$db user=$role password='secret of $role'" }

# One client after the other, each in a session of its own, but for what PgBouncer
# hands on.
sub psql_through
{
	my ($db, $role, @sql) = @_;
	my ($out, $err) = ('', '');
	my $ran = IPC::Run::run([ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-d', through($db, $role), map { ('-c', $_) } @sql ],
		'<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	return $ran ? $out : $out . error_of($err);
}
wait_until(sub { psql_through('shared', 'pool', 'SELECT 1') eq '1' }, 'PgBouncer is up') or BAIL_OUT(slurp_file("$dir/log"));
note `$pgbouncer --version`;

sub start_client
{
	my ($kind, $db, $name, $role, $self, $other, $calls, $may_vanish) = @_;
	my $base = "$dir/$name";
	my $number = $seed + ++$clients_so_far;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		$ENV{POOLED_ROLE} = $role;
		$ENV{POOLED_TOKEN} = $token{$self} if $kind =~ /^t/;
		open STDOUT, '>', "$base.out" and open STDERR, '>', "$base.err" and
		  exec $client, $kind, through($db, $role), $name, $self, $other, $calls, $number, $may_vanish;
		POSIX::_exit(127);
	}
	push @background, $pid;
	return { pid => $pid, out => "$base.out", err => "$base.err", role => $role, name => $name };
}

# Until they have ended; meanwhile, the most connections that the server had, but for
# our own, which go when they have time.
sub watch
{
	my (@clients) = @_;
	my $most = 0;
	my $deadline = time + 3 * $PostgreSQL::Test::Utils::timeout_default;
	while (time < $deadline)
	{
		my $now = $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'one' AND backend_type = 'client backend' AND usename <> '$superuser'");
		$most = $now if $now > $most;
		last unless grep { !$_->{gone} && !($_->{gone} = waitpid($_->{pid}, POSIX::WNOHANG()) == $_->{pid}) } @clients;
		usleep(200_000);
	}
	wait_for_all(grep { !$_->{gone} } @clients);
	($_->{stdout}, $_->{stderr}) = map { slurp_file($_) } @$_{qw(out err)} for @clients;
	return $most;
}

# Every note against Chron, and Chron against every note.  A client's name is in
# its targets.
sub attribution
{
	my ($what, @clients) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(join('', map { $_->{stderr} } @clients), '', "$what: every answer is the one to be expected, and there is no error");
	my @notes = map { [ split /\t/ ] } map { split /\n/, $_->{stdout} } @clients;
	PostgreSQL::Test::Utils::append_to_file("$dir/notes", join '', map { join("\t", @$_[ 0 .. 9 ], $_->[10] // '') . "\n" } @notes);
	$node->safe_psql('one', "TRUNCATE two.noted; COPY two.noted FROM '$dir/notes'");
	unlink "$dir/notes";

	is($node->safe_psql('one', <<'SQL'), '', "$what: agent, token, role, action, target, anchor and outcome are in Chron as each of " . @notes . ' calls had them');
SELECT n.*, c.*
FROM two.noted n
	LEFT JOIN LATERAL claiim._chron_key(n.chron_id) AS k ON true
	LEFT JOIN claiim.chron c ON c.seq = k.seq AND c.at = k.at
WHERE (c.kind, c.agent, c.action, c.target, c.db_user, c.outcome)
		IS DISTINCT FROM ('decision', n.agent, n.action, n.target, n.role, n.outcome)
	OR (n.proof <> '-' AND (c.auth, c.anchor, n.anchor)
		IS DISTINCT FROM (n.proof, CASE n.agent WHEN 'agent-a' THEN 'ann' ELSE 'cem' END, c.anchor))
	OR (n.proof = '-' AND c.auth IS NOT NULL)
	OR (n.proof <> '-' AND coalesce(c.token, '-') <> n.token)
LIMIT 5
SQL
	is($node->safe_psql('one', <<"SQL"), '', '... what was asked and not answered is nobody else\'s either');
SELECT c.* FROM claiim.chron c, (VALUES @{[ join ', ', map { "('$_->{name}', '$_->{role}')" } @clients ]}) AS v (client, role)
WHERE c.kind = 'decision' AND split_part(c.target, '/', 2) = v.client AND c.db_user <> v.role LIMIT 5
SQL
	is($node->safe_psql('one', 'SELECT count(DISTINCT chron_id) - count(*) FROM two.noted'), 0, '... each has a record of its own');
	cmp_ok($node->safe_psql('one', <<'SQL'), '>', @notes / 10, '... and they were interleaved');
SELECT count(*) FILTER (WHERE client <> before) FROM (SELECT client, lag(client) OVER (ORDER BY (claiim._chron_key(chron_id)).seq) AS before FROM two.noted) AS n
SQL
	# One connection, whichever it was: none comes back when another has begun.
	is($node->safe_psql('one', <<'SQL'), 0, '... over one server connection at a time');
SELECT count(*) FILTER (WHERE pid <> before) - (count(DISTINCT pid) - 1)
FROM (SELECT pid, lag(pid) OVER (ORDER BY (claiim._chron_key(chron_id)).seq) AS before FROM two.noted) AS n
SQL
	return scalar @notes;
}

my $calls = 0;

# One role for all
{
	my @clients = map {
		my ($self, $other) = $_ % 2 ? qw(agent-a agent-b) : qw(agent-b agent-a);
		start_client($_ <= 4 ? 'token' : 'transaction', 'shared', "shared-$_", 'pool', $self, $other, 500, 0);
	} 1 .. 8;
	is(watch(@clients), 1, 'two agents in eight clients, by tokens and by transactions: one server connection');
	$calls += attribution('one role for all', @clients);
	is($node->safe_psql('one', 'SELECT count(DISTINCT pid) FROM two.noted'), 1, '... which was the same all the time');
}

# ... with clients that disconnect where they stand, whose connection PgBouncer
# closes and opens anew
{
	my @clients = map {
		my ($self, $other) = $_ % 2 ? qw(agent-a agent-b) : qw(agent-b agent-a);
		start_client($_ <= 4 ? 'token' : 'transaction', 'shared', "vanishing-$_", 'pool', $self, $other, 500, 1);
	} 1 .. 8;
	watch(@clients);
	$calls += attribution('clients that vanish', @clients);
	cmp_ok($node->safe_psql('one', 'SELECT count(DISTINCT pid) FROM two.noted'), '>', 1, '... of which there were some');
}

# Each has a role: PgBouncer has a pool for each, and one connection for them all
{
	my @agents = map {
		my ($self, $other) = $_ % 2 ? qw(agent-a agent-b) : qw(agent-b agent-a);
		start_client('role', 'own', "own-$_", $self =~ tr/-/_/r, $self, $other, 400, $_ > 2);
	} 1 .. 4;
	push @agents, start_client('token', 'own', 'own-5', 'pool', 'agent-a', 'agent-b', 200, 1),
	  start_client('transaction', 'own', 'own-6', 'pool', 'agent-b', 'agent-a', 200, 1);
	my @humans = map { start_client('human', 'own', $_->[0], @$_[ 0, 0, 1 ], 100, 0) } [qw(ann bob)], [qw(bob ann)];
	watch(@agents, @humans);
	$calls += attribution('a role for each', @agents);

	my @acts = grep { /\tact\t/ } map { split /\n/, $_->{stdout} } @humans;
	is(join('', map { $_->{stderr} } @humans), '', 'two humans: what each proposed and approved was answered without an error');
	is(scalar(grep { $_->{stdout} =~ /\trefused\t/ } @humans), 2, '... but for their own approval of what they had proposed themselves, which both tried');
	PostgreSQL::Test::Utils::append_to_file("$dir/acts", join '', map { s/\tact\t/\t/r . "\n" } @acts);
	$node->safe_psql('one', "COPY two.acted FROM '$dir/acts'");
	wait_until(sub { $node->safe_psql('one', 'SELECT count(*) FROM claiim.outbox') == 0 }, 'all acts are in Chron');
	is($node->safe_psql('one', <<'SQL'), '', '... each of ' . @acts . ' acts is in Chron as the act of the human, and of the role, whose it was');
SELECT n.* FROM two.acted n
WHERE NOT EXISTS (SELECT FROM claiim.acts c
	WHERE c.change = n.change AND c.act = 'change.' || n.act AND c.actor = n.client AND c.db_user = n.role)
LIMIT 5
SQL
	is($node->safe_psql('one', "SELECT DISTINCT act || ' ' || client FROM two.acted ORDER BY 1"), join("\n", 'approve ann', 'approve bob', 'propose ann', 'propose bob'),
		'... both proposed, and both approved what the other had proposed');
	$calls += @acts;
}
cmp_ok($calls, '>=', 10_000, "$calls calls in all");
is($node->safe_psql('one', 'SELECT ok, problem FROM claiim.verify()'), 't|', 'Chron verifies');

# What one client leaves in the connection, for the next
{
	my $backend = psql_through('shared', 'pool', 'SELECT pg_backend_pid()');
	my $question = "SELECT outcome, (claiim._chron_key(chron_id)).seq FROM claiim_check('agent-b', 'deploy:staging', '%s', token => '$token{'agent-b'}')";
	my $record = sub { return $node->safe_psql('one', "SELECT concat_ws(' ', outcome, agent, auth, token, db_user) FROM claiim.decisions WHERE target = '$_[0]'") };
	my $n = 0;
	for my $left ("SET ROLE costume", "SET search_path = evil", "SET my.agent = 'agent-a'", "SET application_name = 'agent-a'",
		"PREPARE ask AS SELECT * FROM claiim_check('agent-a', 'deploy:staging', 'x')",
		"CREATE TEMP TABLE claiim_check (agent text)", "SET default_transaction_isolation = 'serializable'",
		"BEGIN; SELECT claiim_authenticate('agent-a', '$token{'agent-a'}'); COMMIT",
		"BEGIN; SELECT claiim_authenticate('agent-a', '$token{'agent-a'}'); ROLLBACK",
		"SELECT claiim_authenticate('agent-a', '$token{'agent-a'}')")
	{
		my $target = 'left/' . ++$n;
		psql_through('shared', 'pool', $left);
		my $name = $left =~ s/'ctk_[^']*'/.../r;
		my $answers = join ' ', map { psql_through('shared', 'pool', "SELECT outcome FROM claiim_check('$_->[0]', 'deploy:staging', '$target/$_->[1]', token => $_->[2])") }
		  [ 'agent-b', 1, "'$token{'agent-b'}'" ], [ 'agent-a', 2, 'NULL' ], [ 'agent-b', 3, "'$token{'agent-a'}'" ];
		is($answers, 'ALLOW DENY DENY', "$name: the next client is what it proves to be, and nothing else");
		is($record->("$target/1"), 'ALLOW agent-b token ' . substr($token{'agent-b'}, 0, 30) . ' pool', '... also in Chron');
	}
	is(psql_through('shared', 'pool', 'SELECT current_user'), 'costume', '... although it is all still there');
	is(psql_through('shared', 'pool', 'SELECT pg_backend_pid()'), $backend, '... in the same connection');

	# Somebody let the pool's clients make functions, and one of them did.
	# Since 18 the server reports search_path, and a PgBouncer that notices gives each client its own.
	psql_through('shared', 'pool', 'SET search_path = evil, pg_catalog');
	my $left = psql_through('shared', 'pool', 'SHOW search_path') =~ /^evil/ || $node->pg_version < 18;
	is(psql_through('shared', 'pool', "SELECT outcome FROM claiim_check('agent-b', 'deploy:production', 'x')"), $left ? 'FORGED' : 'DENY',
		'a search_path with a schema before pg_catalog, and a function in it: what is called is not the gate');
	is(psql_through('shared', 'pool', "SELECT outcome FROM pg_catalog.claiim_check('agent-b', 'deploy:production', 'x')"), 'DENY',
		'... unless it is called by its whole name');
	psql_through('shared', 'pool', 'DISCARD ALL');
}

# What to know of PgBouncer itself
SKIP:
{
	my $with_options = sub { local $ENV{PGOPTIONS} = '-c search_path=evil'; return psql_through('shared', 'pool', 'SHOW search_path') };
	my $said = $with_options->();
	skip 'this PgBouncer knows the startup parameter "options"', 2 if $said !~ /unsupported startup parameter/;
	# 1.18 takes no options; later ones read them, and take the settings that they track.
	like($said, qr/unsupported startup parameter(?:: options| in options: search_path)/, 'PGOPTIONS: this PgBouncer refuses the connection');
	psql_through('pgbouncer', 'watcher', "SET ignore_startup_parameters = 'options'");
	is($with_options->(), '"$user", public', '... or ignores what is in it');
}
is(psql_through('forced', 'bob', 'SELECT session_user'), 'ann', 'a database with "user=": everybody is that one human');
psql_through('shared', 'pool', 'SET ROLE costume');
psql_through('pgbouncer', 'watcher', 'SET server_reset_query_always = 1');
psql_through('shared', 'pool', 'SET ROLE costume');
is(psql_through('shared', 'pool', 'SELECT current_user'), 'pool', 'server_reset_query_always: nothing is left behind');

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
