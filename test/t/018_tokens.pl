# Tokens at the gate: from which networks one is valid, how long after its
# rotation, and when it was last used; what nobody finds out by asking; and that
# bookkeeping gets in no decision's way.
#
# The server's clock is moved by fake_clock.c, and dual_stack.c lets IPv4
# clients in by IPv6.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Fcntl qw(O_CREAT O_WRONLY);
use File::Basename qw(dirname);
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $offset = "$dir/offset";
for my $library (qw(fake_clock dual_stack))
{
	system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/$library.so", dirname(__FILE__) . "/$library.c", '-ldl') == 0
	  or plan skip_all => 'no compiler for the libraries';
}

# The server's clock is so many seconds ahead from now on.
my $ahead = 0;
sub later
{
	my ($seconds) = @_;
	$ahead += $seconds;
	sysopen my $file, $offset, O_WRONLY | O_CREAT or die "$offset: $!";
	binmode $file;
	syswrite $file, pack('q', $ahead * 1_000_000);
	close $file;
	return;
}
later(0);

my $node = new_node('tokens', start => 0, conf => "listen_addresses = '127.0.0.1'\nwal_level = replica\nmax_wal_senders = 2\n");
my $start = sub {
	my ($libraries, %opt) = @_;
	local $ENV{LD_PRELOAD} = join ' ', map { "$dir/$_.so" } @$libraries;
	local $ENV{CLAIIM_CLOCK_OFFSET} = $offset;
	return $node->start(%opt);
};
$start->(['fake_clock']);
set_up($node, 'one');
$node->safe_psql('one', 'CREATE ROLE caller LOGIN IN ROLE claiim_agent');

# A governing function's row: token_id and token.
sub token { return split /\|/, $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token_id, token FROM claiim.$_[0]") }

# What is answered to a caller at this host ('' for the Unix socket) who has a
# token; and what Chron has of it: the reason, and the client's address.
sub told
{
	my ($host, $token, %opt) = @_;
	my $call = "claiim_check('deploy-bot', 'deploy:staging', 'x', token => '$token')";
	$call = "claiim_check('deploy-bot', 'deploy:staging', 'x')" if $opt{authenticate};
	my $set = $opt{authenticate} ? "BEGIN; SELECT claiim_authenticate('deploy-bot', '$token');" : '';
	my $connstr = 'dbname=one user=caller port=' . $node->port . ' host=' . ($host || $node->host);
	my ($out, $err) = ('', '');
	IPC::Run::run([ $node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $connstr, '-c', "SET claiim.queue_timeout = '60s'", '-c', $set . "SELECT outcome, reason_code FROM $call" ],
		'>', \$out, '2>', \$err);
	chomp $out;
	return $out =~ s/^\n+//r . error_of($err);
}
sub recorded { return $node->safe_psql('one', 'SELECT reason_code, client FROM claiim.chron WHERE kind = \'decision\' ORDER BY seq DESC LIMIT 1') }
my ($yes, $no) = ('ALLOW|allowed', 'DENY|identity_unproved');

# Networks, over IPv4, IPv6 and a Unix socket
my %token = map { $_ => (token("issue_token('deploy-bot'" . ($_ ? ", networks => '{$_}'" : '') . ')'))[1] }
  '', '127.0.0.0/8', '127.0.0.1', '127.0.0.2', '::1', '10.0.0.0/8,127.0.0.1/32', '10.0.0.0/8', '0.0.0.0/0', '::/0', '::ffff:127.0.0.0/104';
my $from = sub {
	my ($what, $host, $client, @valid) = @_;
	my %valid = map { $_ => 1 } '', @valid;

	for my $networks (sort keys %token)
	{
		is(told($host, $token{$networks}), $valid{$networks} ? $yes : $no,
			"$what: a token that is bound to " . ($networks || 'no network') . ' is ' . ($valid{$networks} ? 'valid' : 'not'));
		is(recorded(), ($valid{$networks} ? 'allowed' : 'token_network') . "|$client", '... as Chron says, and from where');
	}
	return;
};
my @ipv4 = ('127.0.0.0/8', '127.0.0.1', '10.0.0.0/8,127.0.0.1/32', '0.0.0.0/0', '::ffff:127.0.0.0/104');
$from->('over a Unix socket', '', '');
$from->('from 127.0.0.1', '127.0.0.1', '127.0.0.1', @ipv4);
is(told('127.0.0.1', $token{'127.0.0.1'}, authenticate => 1), $yes, 'claiim_authenticate as well');
is(told('127.0.0.1', $token{'127.0.0.2'}, authenticate => 1), '28000: authentication of the agent failed', '... which does not say what is wrong');
is(told('', $token{'127.0.0.1'}, authenticate => 1), '28000: authentication of the agent failed', '... nor over a Unix socket');
$node->stop;
$node->append_conf('postgresql.conf', "listen_addresses = '::'\n");
$node->append_conf('pg_hba.conf', "host all all ::/0 trust\n");
SKIP:
{
	if (!$start->([qw(fake_clock dual_stack)], fail_ok => 1))
	{
		$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
		$start->(['fake_clock']);
		skip 'there is no IPv6 here', 1;
	}
	$from->('from ::1', '::1', '::1', '::1', '::/0');
	skip 'IPv4 clients are not let in by IPv6 here', 1 if told('127.0.0.1', $token{''}) ne $yes;
	$from->('from an IPv4 client that came in by IPv6', '127.0.0.1', '::ffff:127.0.0.1', @ipv4);
}

# Rotation: the overlap and the lifetime, in time
{
	my ($old_id, $old) = token("issue_token('deploy-bot', '90 days')");
	my ($new_id, $new) = token("rotate_token('$old_id', '2 hours')");
	my $both = sub { return told('', $old) . ' ' . told('', $new) };
	is($both->(), "$yes $yes", 'rotated: both tokens are valid');
	later(2 * 3600 - 60);
	is($both->(), "$yes $yes", '... until the overlap is over');
	later(61);
	is($both->(), "$no $yes", '... and then the new one is');
	my ($next_id, $next) = token("rotate_token('$new_id', '0')");
	is(told('', $new) . ' ' . told('', $next), "$no $yes", 'rotated without overlap: the old one is not valid from now on');
	later(89 * 86400);
	is(told('', $next), $yes, 'the lifetime of the first token has gone over to the last');
	later(86400);
	is(told('', $next) . recorded(), "${no}token_expired|", '... and no more than that');
	my $client = background($node, 'one', <<"SQL", user => 'caller');
BEGIN;
SELECT claiim_authenticate('deploy-bot', '$token{''}');
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x');
COMMIT;
SQL
	wait_for_all($client);
	is($client->{stdout} =~ s/^\n//r, "ALLOW\n", 'what does not expire is valid all the same');
}

# When a token was last used
{
	my %id;
	my %use;
	for my $name (qw(a b c))
	{
		($id{$name}, $use{$name}) = token("issue_token('deploy-bot', label => '$name')");
	}
	# the last decision by a token, and what is written down, as seconds before now
	my $uses = sub {
		return $node->safe_psql('one', <<"SQL");
SELECT string_agg(r.label || CASE WHEN r.last_used_at IS NULL THEN ' -' WHEN r.last_used_at = c.at THEN ' last' ELSE ' before' END, ', ' ORDER BY r.label)
FROM claiim.token_registry r LEFT JOIN LATERAL (SELECT max(at) AS at FROM claiim.chron c WHERE c.token = r.token_id AND c.auth IS NOT NULL) c ON true
WHERE r.token_id IN ('$id{a}', '$id{b}', '$id{c}')
SQL
	};
	my $writer_leaves = sub {
		my $pid = writer_pid($node, 'one');
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
		return wait_until(sub { writer_pid($node, 'one') ne $pid }, 'the writer leaves');
	};

	later(61);
	is($uses->(), 'a -, b -, c -', 'a token that was not used');
	told('', $use{a});
	is($uses->(), 'a last, b -, c -', '... is used: that is written down with the decision itself');
	told('', $use{$_}) for qw(a b);
	is($uses->(), 'a before, b -, c -', '... then not again within a minute');
	later(61);
	told('', $use{a});
	is($uses->(), 'a last, b last, c -', '... after it, with the next decision, all that were used');

	told('', $use{c});
	$writer_leaves->();
	is($uses->(), 'a last, b last, c last', 'a writer that is told to stop leaves nothing out');
	told('', $use{$_}) for qw(a b c);
	$node->stop('fast');
	$start->(['fake_clock']);
	is($uses->(), 'a last, b last, c last', 'nor does a server that is stopped');
	told('', $use{a});
	later(61);
	told('', $use{b});
	$node->kill9;
	wait_until(sub { $start->(['fake_clock'], fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again');
	is($uses->(), 'a last, b last, c last', 'nor does a crash, of what was written down');

	# What proves nothing is no use.
	told('', $use{c});
	later(61);
	$node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.revoke_token('$id{c}', 'test')");
	told('', $use{$_}) for qw(c a);
	is(recorded(), 'allowed|', 'a revoked token is used');
	is($uses->(), 'a last, b last, c last', '... and that it is, is no use of it');

	# A lock on the table, or a table that takes nothing: no decision waits.
	later(61);
	my $locker = background($node, 'one', "BEGIN; LOCK TABLE claiim.token_uses; SELECT 'locked'; SELECT pg_sleep(600);\n", user => $node->safe_psql('one', 'SELECT current_user'));
	wait_until(sub { slurp_file($locker->{out}) =~ /locked/ }, 'the table is locked');
	is(told('', $use{a}), $yes, 'the table is locked: decisions are made');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
	wait_for_all($locker);
	is($uses->(), 'a before, b last, c last', '... and nothing is written down');
	later(61);
	told('', $use{b});
	is($uses->(), 'a last, b last, c last', '... but later');

	$node->safe_psql('one', 'ALTER TABLE claiim.token_uses ADD CONSTRAINT broken CHECK (false) NOT VALID');
	later(61);
	my $log = -s $node->logfile;
	is(told('', $use{$_}), $yes, "the table takes nothing: decisions are made ($_)") for qw(a b);
	is($uses->(), 'a before, b before, c last', '... and nothing is written down');
	is(scalar(() = substr(slurp_file($node->logfile), $log) =~ /violates check constraint "broken"/g), 1, '... which the log says, once a minute');
	$writer_leaves->();
	is(told('', $use{b}), $yes, '... nor does that keep the writer from stopping');
	$node->safe_psql('one', 'ALTER TABLE claiim.token_uses DROP CONSTRAINT broken');
	later(61);
	told('', $use{$_}) for qw(a b);
	$writer_leaves->();
	is($uses->(), 'a last, b last, c last', '... and all is well when it does again');

	# A stop does not wait for a standby that is gone.
	told('', $use{$_}) for qw(a b);
	is($uses->(), 'a last, b before, c last', 'one use that is not written down');
	$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'\n");
	$node->reload;
	wait_until(sub { $node->safe_psql('one', 'SHOW synchronous_standby_names') eq 'nobody' }, 'a standby is asked for');
	$writer_leaves->();
	$node->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");
	$node->reload;
	is($uses->(), 'a last, b last, c last', 'with a synchronous standby that is not there the writer writes it down, and stops');
	wait_until(sub { told('', $use{a}) eq $yes }, 'the gate goes on');
	chron_is_sound($node, 'one', 'in the end');
}

# The secret: another one makes every token invalid, the old one valid again.
# Without one there is an error, for whatever agent, be there one or not.
{
	my $secret = $node->basedir . '/token_secret';
	my $kept = slurp_file($secret);
	my $become = sub { unlink $secret; append_to_file($secret, $_[0]); return chmod 0600, $secret };
	my $ask = sub {
		my ($agent) = @_;
		my ($out, $err);
		$node->psql('one', "SELECT outcome FROM claiim_check('$agent', 'deploy:staging', 'x', token => '$token{''}')",
			stdout => \$out, stderr => \$err, extra_params => [ '-U', 'caller', '-v', 'VERBOSITY=verbose' ]);
		return $out . error_of($err);
	};

	$become->('0' x 32);
	is(told('', $token{''}) . ' ' . recorded(), "$no token_invalid|", 'another secret: a token is none');
	$become->('0' x 31);
	is($ask->('deploy-bot'), 'F0000: the token secret cannot be used: its file is too short', 'a secret that cannot be used: an error');
	is($ask->('nobody'), $ask->('deploy-bot'), '... which does not tell whether there is such an agent');
	$become->($kept);
	is(told('', $token{''}), $yes, 'the old secret: the token is valid again');
}

# What doc/dba.md shows works.
{
	my ($section) = slurp_file('doc/dba.md') =~ /^## Tokens\n(.*?)^## /ms;
	my @statements = $section =~ /^(SELECT token_id[^;]*);/mg;
	is(scalar @statements, 3, 'doc/dba.md lists tokens in three ways');
	is(($node->psql('one', "SET SESSION AUTHORIZATION ann; $_"))[0], 0, '... as shown') for @statements;
}

# A connection that asks in the middle of a restore gets no answer, and keeps
# nothing of what it saw then, as that there is no such agent.
{
	my @dump = ($node->installed_command('pg_dump'), '-d', $node->connstr('one'));
	command_ok([ @dump, '-s', '-f', "$dir/schema.sql" ], 'pg_dump, the schema');
	command_ok([ @dump, '-a', '-f', "$dir/data.sql" ], 'pg_dump, the data');
	$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
	$node->psql('restored', slurp_file("$dir/schema.sql"));
	$node->safe_psql('restored', 'CREATE TABLE asked (); GRANT ALL ON asked TO deploy');
	my $restore = background($node, 'restored', <<"SQL", user => $node->safe_psql('one', 'SELECT current_user'));
SELECT pg_advisory_lock(1);
BEGIN;
\\i $dir/data.sql
\\echo restored
DO \$\$BEGIN WHILE NOT EXISTS (SELECT FROM public.asked) LOOP PERFORM pg_sleep(0.02); END LOOP; END\$\$;
COMMIT;
SQL
	wait_until(sub { slurp_file($restore->{out}) =~ /restored/ }, 'all rows are there, and not committed');
	my $asking = background($node, 'restored', <<'SQL');
SET claiim.queue_timeout = '500ms';
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x');
INSERT INTO asked DEFAULT VALUES;
SET claiim.queue_timeout = '60s';
SELECT pg_advisory_lock(1);
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x');
SQL
	wait_for_all($restore, $asking);
	is($restore->{stderr}, '', 'a restore that somebody asks in the middle of');
	like($asking->{stderr}, qr/\A[^\n]*ERROR:  57P03: /, '... who gets no answer');
	is($asking->{stdout} =~ s/^\n//r, "ALLOW\n", '... until it is done, and then the right one');
	is($node->safe_psql('restored', 'SELECT ok, first_bad, problem FROM claiim.verify()'), 't||', '... and the chain verifies');
}

$node->stop;
done_testing();
