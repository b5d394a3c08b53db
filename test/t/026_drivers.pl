# examples/drivers: each asks the real gate, by role and by token, and takes for
# a yes nothing but ALLOW.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use File::Basename qw(dirname);
use Test::More;

my $examples = dirname(__FILE__) . '/../../examples/drivers';
my $dir = PostgreSQL::Test::Utils::tempdir();
# JDBC speaks TCP only.
my $node = new_node('drivers', conf => "listen_addresses = '127.0.0.1'\nlog_statement = all\n");
set_up($node, 'one');
$node->safe_psql('one', 'CREATE ROLE pool LOGIN; GRANT claiim_agent TO pool; CREATE ROLE stranger LOGIN');
my $token = $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot')");
my $wrong_token = $token =~ s/(.)$/$1 eq 'A' ? 'Q' : 'A'/er;

# run(COMMAND, {environment}): [ exit status, stdout, stderr ]
sub run
{
	my ($command, $environment) = @_;
	my ($out, $err) = ('', '');
	local @ENV{ keys %$environment } = values %$environment;
	delete local $ENV{CLAIIM_TOKEN} unless exists $environment->{CLAIIM_TOKEN};
	IPC::Run::run($command, '<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	return [ $? >> 8, $out, $err ];
}
sub at { my ($user, %more) = @_; return { PGHOST => $more{tcp} ? '127.0.0.1' : $node->host, PGPORT => $node->port, PGDATABASE => 'one', PGUSER => $user, PGPASSWORD => '',
		  map { $_ => $more{$_} } grep { $_ ne 'tcp' } keys %more } }
sub said { my ($ran) = @_; return join ' ', $ran->[0], $ran->[1] =~ s/chr_[0-9a-z]{26}/chr_.../r }
sub record { return $node->safe_psql('one', "SELECT concat_ws(' ', outcome, agent, auth, db_user) FROM claiim.decisions WHERE target = '$_[0]'") }

# A driver: what it is called with, before agent, action and target.
sub is_a_gate
{
	my ($driver, $command, %of) = @_;
	my $tcp = $of{tcp};
	my $offset = -s $node->logfile;
	my $ask = sub { my ($action, $target, $at) = @_; return run([ @$command, 'deploy-bot', $action, "$driver/$target" ], $at) };

	my $ran = $ask->('deploy:staging', 'role', at('deploy', tcp => $tcp));
	is(said($ran), '0 ALLOW chr_... policy:p-v1 -- action in allow list', "$driver: a role that is the agent's: ALLOW, and exit status 0") or diag($ran->[2]);
	is(record("$driver/role"), 'ALLOW deploy-bot role deploy', '... as Chron has it');
	is(said($ask->('deploy:production', 'denied', at('deploy', tcp => $tcp))), '1 DENY chr_... policy:p-v1 -- action not in allow list', '... DENY: 1');
	$ran = $ask->('deploy:staging', 'token', at('pool', tcp => $tcp, CLAIIM_TOKEN => $token));
	if ($of{binds} // 1)
	{
		is(said($ran), '0 ALLOW chr_... policy:p-v1 -- action in allow list', '... a token: ALLOW');
		is(record("$driver/token"), 'ALLOW deploy-bot token pool', '... as Chron has it');
		is($ask->('deploy:staging', 'wrong', at('pool', tcp => $tcp, CLAIIM_TOKEN => $wrong_token))->[0], 1, '... a wrong one: DENY');
		like(substr(slurp_file($node->logfile), $offset), qr/: SELECT outcome, chron_id, reason FROM pg_catalog\.claiim_check\(\$1, \$2, \$3, token => \$4\)/, '... which was bound as a parameter');
	}
	else
	{
		is("$ran->[0] $ran->[1]" . record("$driver/token"), '2 ', '... a token, which it cannot bind: it does not ask');
	}
	is($ask->('deploy:staging', 'none', at('pool', tcp => $tcp))->[0], 1, '... neither role nor token: DENY');

	for my $failure ([ 'a role that may not ask', at('stranger', tcp => $tcp) ], [ 'no server', at('deploy', tcp => $tcp, PGPORT => 1) ])
	{
		$ran = $ask->('deploy:staging', 'failed', $failure->[1]);
		is("$ran->[0] $ran->[1]", '2 ', "... $failure->[0]: no answer, which is no ALLOW");
	}
	$ran = $ask->('not an action', 'malformed', at('deploy', tcp => $tcp));
	is("$ran->[0] $ran->[1]", '2 ', '... a malformed question: no answer either');
	return;
}

$ENV{PATH} = $node->config_data('--bindir') . ":$ENV{PATH}";
{
	my $binds = `psql --version` =~ / (\d+)/ && $1 >= 16;
	is_a_gate('psql', [ 'bash', "$examples/psql.sh" ], binds => $binds);

	my $ran = run([ qw(psql -X -A -t -v agent=deploy-bot -v action=deploy:staging -v target=readonly), '-f', "$examples/read-only.sql" ], at('deploy'));
	like($ran->[1], qr/^BEGIN\nALLOW\|chr_\S+\|policy:p-v1 -- action in allow list\nROLLBACK$/, 'psql: a read-only transaction is answered');
	is(record('readonly'), 'ALLOW deploy-bot role deploy', '... and its ROLLBACK does not undo the record');
}

SKIP:
{
	my ($include, $lib) = map { $node->config_data($_) } '--includedir', '--libdir';
	my $said = `cc -I$include -o $dir/check $examples/libpq.c -L$lib -lpq 2>&1`;
	skip "there is no C compiler with libpq here", 1 if $said =~ /not found|libpq-fe.h: No such file/;
	is($said, '', 'libpq: compiles');
	is_a_gate('libpq', ["$dir/check"]);
}

SKIP:
{
	my $jar = '/usr/share/java/postgresql.jar';
	skip 'there is no JDK (java and javac)', 1 if system('java --version >/dev/null 2>&1 && javac --version >/dev/null 2>&1') != 0;
	skip "there is no JDBC driver (Debian: libpostgresql-jdbc-java)", 1 unless -r $jar;
	is_a_gate('jdbc', [ 'java', '-cp', $jar, "$examples/Check.java" ], tcp => 1);
}

SKIP:
{
	skip 'there is no npm', 1 if system('node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1') != 0;
	system("cp -R $examples/node-postgres $dir/") == 0 or die;
	my $said = `cd $dir/node-postgres && HOME=$dir timeout 150 npm ci --no-audit --no-fund --fetch-timeout=30000 --fetch-retries=1 2>&1`;
	# What is wrong with the lock file is wrong here; what is not to be had is not.
	skip 'npm cannot get the package pg: ' . ($said =~ /(E[A-Z]{4,}[^\n]*)/ ? $1 : 'no network'), 1
	  if $? != 0 && $said !~ /EUSAGE|EJSONPARSE|EINTEGRITY/;
	is($?, 0, 'node-postgres: npm installs what its lock file says') or diag($said);
	is_a_gate('node', [ 'node', "$dir/node-postgres/check.js" ]);
}

# As PostgREST does it
{
	my $set_up = run([ 'psql', '-X', '-q', '-f', "$examples/postgrest.sql" ], at($node->safe_psql('one', 'SELECT current_user')));
	is("$set_up->[0]$set_up->[2]", '0', 'PostgREST: set up');
	my $ask = sub {
		my ($access, $headers, $target) = @_;
		my ($out, $err);
		$node->psql('one', <<"SQL", stdout => \$out, stderr => \$err, extra_params => [ '-U', 'authenticator' ], on_error_stop => 1);
BEGIN ISOLATION LEVEL READ COMMITTED $access;
DO \$\$BEGIN PERFORM set_config('role', 'web_agent', true), set_config('request.jwt.claims', '{"role": "web_agent", "sub": "deploy-bot"}', true),
	set_config('request.headers', '$headers', true); END\$\$;
SELECT outcome FROM api.may_i(agent => 'deploy-bot', action => 'deploy:staging', target => '$target');
COMMIT;
SELECT current_user;
SQL
		return join ' ', map { split /\n/ } grep { defined } $out, $err;
	};
	is($ask->('READ ONLY', "{\"x-agent-token\": \"$token\"}", 'get'), 'ALLOW authenticator', '... a GET, read only, with the token in its header: ALLOW');
	is(record('get'), 'ALLOW deploy-bot token authenticator', '... which Chron has, with the role that logged in');
	is($ask->('READ WRITE', "{\"x-agent-token\": \"$token\"}", 'post'), 'ALLOW authenticator', '... a POST');
	is($ask->('READ ONLY', "{\"x-agent-token\": \"$wrong_token\"}", 'wrong'), 'DENY authenticator', '... a wrong token: DENY');
	is($ask->('READ ONLY', '{}', 'none'), 'DENY authenticator', '... none: DENY, whatever the claims say');
	is(record('none'), 'DENY deploy-bot authenticator', '... and Chron has that nothing proved it');
}

$node->stop;
done_testing();
