# pg_upgrade from an older server to this one, by copying and by linking, takes
# Chron along: what is exported before and after is the same, byte for byte, an
# auditor's verifier accepts it, and what was going on goes on.
#
# The older server is the one that CLAIIM_OLD_PG_CONFIG names; make check-pg17
# and check-pg18 bring PostgreSQL 15 along.  015_upgrade.pl is the same within
# one version.

use strict;
use warnings;

use ClaiimTest;
use Cwd ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old_config = $ENV{CLAIIM_OLD_PG_CONFIG}
  or plan skip_all => 'no older server to upgrade from (make check-pg17 and check-pg18 have one; CLAIIM_OLD_PG_CONFIG)';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $root = Cwd::getcwd();

# claiim, as it is here, for the older server: in a copy of that.
chomp(my $copy_config = do { local $ENV{PG_CONFIG} = $old_config; qx(tools/check/copy-server.sh $dir/server) });
is($?, 0, 'a copy of the older server') or die;
chomp(my $old_bin = qx($copy_config --bindir));
mkdir "$dir/build";
run_log([ 'sh', '-c', "cp -R Makefile claiim.control sql src $dir/build && rm -f $dir/build/src/*.o $dir/build/src/.flags" ]) or die;
command_ok([ 'make', '-s', '-j2', '-C', "$dir/build", "PG_CONFIG=$copy_config", 'install' ], 'claiim is built for it');

# 18 makes checksums unless told otherwise, older ones if told so.
my @initdb = qw(-E UTF8 --locale=C --data-checksums);
my $old = new_node('older', install_path => $old_bin =~ s{/bin$}{}r, init => [ extra => \@initdb ]);
my $superuser = $old->safe_psql('postgres', 'SELECT current_user');
local $ENV{PGUSER} = $superuser;
my $old_version = int($old->safe_psql('postgres', 'SHOW server_version_num') / 10000);

set_up($old, $_) for qw(one two);
my @answers = answers_of(start_load($old, 'one', 4, 100));
$old->safe_psql('one', q{SELECT claiim_check('x', 'a', 'with context', context => '{"a": "\u00e9"}')});
my $pending = $old->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.set_skills('deploy-bot', '{deploy,more}')");
my $token = $old->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot')");
$old->safe_psql('two', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'before the upgrade')");
is(ask($old, 'one', 'the last before'), 'ALLOW', "PostgreSQL $old_version: decisions, and a change that waits for its second human");
is(ask($old, 'two', 'the last before'), 'DENY', '... and in another database a suspended agent');
my $log = $old->safe_psql('one', 'SELECT DISTINCT log FROM claiim.chron');
my $chron = export($old, 'one');
cmp_ok(scalar(() = $chron =~ /\n/g), '>', 400, '... are exported');

for my $mode (qw(copy link))
{
	my $new = new_node("new_$mode", start => 0, init => [ extra => \@initdb ]);
	my $bin = $new->config_data('--bindir');
	my @upgrade = ("$bin/pg_upgrade", '-b', $old_bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir, '-p', $old->port,
		'-P', $new->port, '-s', $new->host, '-U', $superuser, "--$mode", '--no-sync');
	my @given = @answers;

	$new->append_conf('postgresql.conf', "claiim.token_secret_file = '" . $old->basedir . "/token_secret'");
	$old->start unless $mode eq 'copy';
	# It writes where it is called.
	mkdir "$dir/$mode";
	chdir "$dir/$mode" or die "$dir/$mode: $!";
	command_ok([ @upgrade, '--check' ], "$mode: pg_upgrade --check, of a cluster that runs");
	is(export($old, 'one'), $chron, '... which changes nothing') or last;
	$old->stop;
	command_ok([@upgrade], "$mode: pg_upgrade");
	chdir $root or die "$root: $!";

	$new->start;
	my $new_version = int($new->safe_psql('postgres', 'SHOW server_version_num') / 10000);
	ok(export($new, 'one') eq $chron, "$mode: on PostgreSQL $new_version the export of Chron is the same, byte for byte");
	is($new->safe_psql($_, 'SELECT ok FROM claiim.verify()'), 't', "$mode: $_ verifies in the database") for qw(one two);
	is(ask($new, 'one', 'upgraded'), 'ALLOW', '... the gate works');
	is(ask($new, 'two', 'upgraded'), 'DENY', '... and who was suspended is');
	is($new->safe_psql('one', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x', token => '$token')"), 'ALLOW', '... a token is good');
	is(($new->psql('one', "SET SESSION AUTHORIZATION bob; SELECT claiim.approve('$pending')"))[1], 'applied', '... the change that waited can be approved');
	push @given, answers_of(start_load($new, 'one', 4, 25));
	chron_is_sound($new, 'one', "$mode: with what came after", @given);
	is($new->safe_psql('one', "SELECT count(DISTINCT log), count(*) FILTER (WHERE act = 'log.open' AND detail::jsonb->>'previous_log' = '$log') FROM claiim.chron"),
		'2|1', '... in a log of its own, whose first record names the one that it continues');
	export($new, 'one');
	my (undef, undef, $err) = $new->psql('one', "INSERT INTO claiim.targets VALUES ('y', 'acme')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	is(error_of($err), '42501: table claiim.targets cannot be changed directly', '... behind the same guards');

	# What a fresh installation on this server has, the upgraded one has.
	set_up($new, 'fresh');
	is(ask($new, 'fresh', 'x'), 'ALLOW', '... and beside a fresh installation');
	my ($here, $fresh) = map { $new->safe_psql($_, slurp_file('test/release/catalog.sql')) } qw(one fresh);
	ok($here eq $fresh, "$mode: all facts of the catalogs are those of a fresh installation on PostgreSQL $new_version")
	  or diag(differences($here, $fresh));
	$new->stop;
}

done_testing();

# The export, which an auditor's verifier must accept.
sub export
{
	my ($node, $db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $file = "$dir/" . $node->name . '.jsonl';

	run_log([ $node->installed_command('psql'), '-XAtqf', "$root/tools/export_chron.sql", '-d', $node->connstr($db), '-o', $file ]) or die;
	my ($out, $err);
	ok(IPC::Run::run([ '/usr/bin/python3', "$root/tools/verify_chron.py", $file ], '>', \$out, '2>', \$err), $node->name . ": the export verifies, offline")
	  or diag("$out$err");
	return slurp_file($file);
}

sub differences
{
	my ($here, $fresh) = map { my %lines = map { $_ => 1 } split /\n/; \%lines } @_;
	return join '', (map { "- $_\n" } grep { !$here->{$_} } sort keys %$fresh), (map { "+ $_\n" } grep { !$fresh->{$_} } sort keys %$here);
}
