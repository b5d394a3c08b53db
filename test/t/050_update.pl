# ALTER EXTENSION claiim UPDATE, from every version that was released
# (sql/releases/): what a fresh installation has is there, nothing else is, and
# what the old version had recorded and left open goes on.
#
# A version that never was, made of the present one and some changes, goes the
# same way; each change that an update script could forget is found.

use strict;
use warnings;

use ClaiimTest;
use File::Basename qw(basename);
use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A server of our own, into which we may put old versions.
my $dir = PostgreSQL::Test::Utils::tempdir();
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my ($from_lib, $from_share) = map { directory($pg_config, $_) } qw(--pkglibdir --sharedir);
chomp(my $own_config = qx(tools/check/copy-server.sh $dir/server));
is($?, 0, 'a copy of the server') or die;
my ($bin, $lib, $share) = map { directory($own_config, $_) } qw(--bindir --pkglibdir --sharedir);
my $control = slurp_file("$from_share/extension/claiim.control");
my ($version) = $control =~ /^default_version = '(.*)'/m;
copy("$from_lib/claiim.so", $lib) && copy("$from_share/extension/$_", "$share/extension/") || die "$_: $!"
  for 'claiim.control', "claiim--$version.sql";
chmod 0755, "$lib/claiim.so";
# What update scripts there are
copy($_, "$share/extension/") || die "$_: $!" for glob 'sql/claiim--*--*.sql';

my $node = new_node('updated', install_path => $bin =~ s{/bin$}{}r);
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
local $ENV{PGUSER} = $superuser;

# As it is installed today, with a world in it
make_database('fresh', $version);
psql_file('fresh', 'test/release/world.sql');
my @fresh = catalog('fresh');
cmp_ok(scalar @fresh, '>', 1000, 'a fresh installation: ' . @fresh . ' facts');
my $dump = "$dir/present.data.sql";
dump_of('fresh', $dump);

# ---------------------------------------------------- what was released

for my $script (sort glob 'sql/releases/claiim--*.sql')
{
	my ($old) = $script =~ /claiim--([^-]+)\.sql$/ or next;
	next if $old =~ /\.data$/ || $old eq $version;
	copy($script, "$share/extension/") or die "$script: $!";
	update_restored("released_$old" =~ tr/./_/r, $old, "sql/releases/claiim--$old.data.sql");
}

# ---------------------------------------------------- what never was

# A name; the SQL that makes the old state of the present one; that which makes
# the present one of it; how a fact begins that differs in between.
my ($function, $definition) = split /\|/, one("SELECT p.oid::regprocedure, pg_get_functiondef(p.oid) FROM pg_proc p, pg_language l WHERE l.oid = prolang AND lanname = 'plpgsql' AND pronamespace = 'claiim'::regnamespace ORDER BY 1 LIMIT 1"), 2;
my ($view, $options, $query) = split /\|/, one("SELECT oid::regclass, array_to_string(reloptions, ', '), rtrim(pg_get_viewdef(oid), ';') FROM pg_class WHERE oid = 'claiim.acts'::regclass"), 3;
my $with = $options ? "WITH ($options)" : '';
my $comment = one("SELECT quote_literal(col_description('claiim.targets'::regclass, 1))");
my ($column) = one("SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'claiim.targets'::regclass AND attnum = 1");
my $guard = one("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'claiim.targets'::regclass AND tgname = 'claiim_guard_truncate'");
my $guard_comment = one("SELECT quote_literal(obj_description(oid)) FROM pg_trigger WHERE tgrelid = 'claiim.targets'::regclass AND tgname = 'claiim_guard_truncate'");
my ($secured, $not_secured) = one("SELECT relrowsecurity FROM pg_class WHERE oid = 'claiim.targets'::regclass") eq 't' ? qw(ENABLE DISABLE) : qw(DISABLE ENABLE);

my @changes = (
	[ 'a function', $definition =~ s/\bBEGIN\b/BEGIN PERFORM 1;/r, $definition, "function $function | definition" ],
	[ 'a view', "CREATE OR REPLACE VIEW $view $with AS SELECT * FROM ($query) AS was", "CREATE OR REPLACE VIEW $view $with AS $query", "relation $view | definition" ],
	[ 'a privilege', "REVOKE ALL ON $view FROM claiim_auditor", "GRANT SELECT ON $view TO claiim_auditor", "initially view $view | privilege of claiim_auditor" ],
	[ 'a comment', "COMMENT ON COLUMN claiim.targets.$column IS 'was'", "COMMENT ON COLUMN claiim.targets.$column IS $comment", "column claiim.targets.$column | comment" ],
	[ 'a column', 'ALTER TABLE claiim.targets ADD COLUMN was text', 'ALTER TABLE claiim.targets DROP COLUMN was', 'column claiim.targets.was | is' ],
	[ 'an index', 'CREATE INDEX was ON claiim.targets (org)', 'DROP INDEX claiim.was', 'relation claiim.was | definition' ],
	[ 'a constraint', 'ALTER TABLE claiim.targets ADD CONSTRAINT was CHECK (org <> \'was\')', 'ALTER TABLE claiim.targets DROP CONSTRAINT was', 'constraint was on claiim.targets | definition' ],
	[ 'a guard', 'DROP TRIGGER claiim_guard_truncate ON claiim.targets',
		"$guard; ALTER TABLE claiim.targets ENABLE ALWAYS TRIGGER claiim_guard_truncate; COMMENT ON TRIGGER claiim_guard_truncate ON claiim.targets IS $guard_comment",
		'trigger claiim_guard_truncate on claiim.targets | definition' ],
	[ 'row security', "ALTER TABLE claiim.targets $not_secured ROW LEVEL SECURITY", "ALTER TABLE claiim.targets $secured ROW LEVEL SECURITY", 'relation claiim.targets | is' ],
	[ 'what pg_dump takes along', "SELECT pg_extension_config_dump('claiim.targets', 'WHERE false')", "SELECT pg_extension_config_dump('claiim.targets', '')", 'extension | dumps claiim.targets' ],
	[ 'what is gone', "CREATE FUNCTION claiim.was() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'DROP FUNCTION claiim.was()', 'function claiim.was() | belongs to it' ],
);
# How a script changes rows of a guarded table (doc/releasing.md)
my $rows = <<'SQL';
ALTER TABLE claiim.targets DISABLE TRIGGER claiim_guard_rows;
UPDATE claiim.targets SET org = org;
ALTER TABLE claiim.targets ENABLE ALWAYS TRIGGER claiim_guard_rows;
SQL
my $down = join ";\n", map { $_->[1] } @changes;
script("claiim--0.0.9.sql", slurp_file("$share/extension/claiim--$version.sql") . "\n$down;\n");
script("claiim--$version--0.0.9.sql", "$down;\n");

script("claiim--0.0.9--$version.sql", up());
update_restored('restored', '0.0.9', $dump);

# In use all the time: guards armed, a log open, sessions that know the gate
psql_file('live', 'test/release/world.sql') if make_database('live', $version);
my (undef, $out, $err) = run_sql('live', <<"SQL");
SELECT 1, outcome FROM claiim_check('x', 'a', 'b');
ALTER EXTENSION claiim UPDATE TO '0.0.9';
SELECT 2, outcome FROM claiim_check('x', 'a', 'b');
SET SESSION AUTHORIZATION ann;
SELECT claiim.suspend_agent('deploy-bot', 'x');
RESET SESSION AUTHORIZATION;
ALTER EXTENSION claiim UPDATE;
SELECT 3, outcome FROM claiim_check('x', 'a', 'b');
SQL
is($out, "1|DENY\n3|DENY", 'a session in which the extension is updated: the gate closes and opens again');
is(scalar(() = $err =~ /ERROR:  55000: claiim's library is version \Q$version\E but its SQL objects are version 0\.0\.9$/mg), 2,
	'... and says why, as governance does') or diag($err);
unlike($err, qr/ERROR:  (?!55000)/, '... and nothing else goes wrong');
is(differences('live'), '', '... and all is as in a fresh installation');
goes_on('live');

for my $forgotten (@changes)
{
	my ($name, undef, $mend, $fact) = @$forgotten;
	script("claiim--0.0.9--$version.sql", up($name));
	$node->safe_psql('live', "ALTER EXTENSION claiim UPDATE TO '0.0.9'; ALTER EXTENSION claiim UPDATE");
	my $found = differences('live');
	like($found, qr/^. \Q$fact\E/m, "an update that forgets $name is found");
	script("claiim--$version--0.0.9.sql", '');
	script("claiim--0.0.9--$version.sql", "$mend;\n");
	$node->safe_psql('live', "ALTER EXTENSION claiim UPDATE TO '0.0.9'; ALTER EXTENSION claiim UPDATE");
	script("claiim--$version--0.0.9.sql", "$down;\n");
}
is(differences('live'), '', 'with all of them all is as in a fresh installation');
goes_on('live');

$node->stop;
done_testing();

# What an update script of all changes, but one, is.
sub up
{
	my ($without) = @_;
	return $rows . join '', map { "$_->[2];\n" } grep { $_->[0] ne ($without // '') } @changes;
}

# A database at version OLD, into which what OLD recorded is restored, is updated.
sub update_restored
{
	my ($db, $old, $data) = @_;

	make_database($db, $old);
	psql_file($db, $data);
	my $chron = 'SELECT count(*), max(seq), md5(string_agg(concat_ws($$ $$, seq, leaf, link), $$ $$ ORDER BY seq)) FROM claiim.chron';
	my $before = $node->safe_psql($db, $chron);
	like(ask($node, $db, 'x'), qr/^55000: claiim's library is version/, "$old: until the update the gate is closed");
	$node->safe_psql($db, 'ALTER EXTENSION claiim UPDATE');
	is($node->safe_psql($db, $chron), $before, "... and by it not a record has changed: $before");
	goes_on($db);
	is(differences($db), '', '... and all is as in a fresh installation');
	return;
}

# The gate answers, the chain verifies, and what was open is closed.
sub goes_on
{
	my ($db) = @_;

	is(ask($node, $db, 'after the update'), 'ALLOW', "$db: the gate works after the update");
	is($node->safe_psql($db, 'SELECT ok FROM claiim.verify()'), 't', '... the chain verifies, old records and new');
	my $pending = $node->safe_psql($db, "SELECT change FROM claiim.changes WHERE status = 'pending' AND expires_at > now() LIMIT 1");
	is($node->safe_psql($db, "SET SESSION AUTHORIZATION bob; SELECT claiim.approve('$pending')"), 'applied', '... and a change that was pending can be approved')
	  if $pending;
	my (undef, undef, $stderr) = run_sql($db, 'UPDATE claiim.agents SET status = status');
	like($stderr, qr/42501: table claiim.agents cannot be changed directly/, '... and the guards are up');
	return;
}

sub make_database
{
	my ($db, $of) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	$node->safe_psql($db, "SET client_min_messages = error; CREATE EXTENSION claiim VERSION '$of' CASCADE");
	return 1;
}

sub dump_of
{
	my ($db, $file) = @_;

	command_ok([ 'tools/keep-release.sh', '--dump', $node->connstr($db), "$bin/pg_dump", $file ], 'what this version recorded is kept');
	return;
}

sub catalog
{
	my ($db) = @_;
	return split /\n/, $node->safe_psql($db, slurp_file('test/release/catalog.sql'));
}

# Lines of diff(1): what the database has not, and what it has besides.
sub differences
{
	my ($db) = @_;
	my %here = map { $_ => 1 } catalog($db);
	my @missing = grep { !delete $here{$_} } @fresh;
	return join '', map { "$_\n" } (map { "- $_" } @missing), (map { "+ $_" } sort keys %here);
}

sub script
{
	my ($name, $text) = @_;
	open my $file, '>', "$share/extension/$name" or die "$name: $!";
	print $file $text;
	close $file or die "$name: $!";
	return;
}

sub psql_file
{
	my ($db, $file) = @_;
	my ($output, $errors);

	# What a dump says of roles, owners and extensions that are there
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	my $ok = IPC::Run::run([ "$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $file ], '>', \$output, '2>', \$errors);
	ok($ok, basename($file) . " in $db") or diag($errors);
	return;
}

sub run_sql
{
	my ($db, $sql) = @_;
	my ($output, $errors);
	my $status = $node->psql($db, $sql, stdout => \$output, stderr => \$errors, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return ($status, $output, $errors);
}

sub one { return $node->safe_psql('fresh', $_[0]) }

sub directory
{
	my ($config, $what) = @_;
	chomp(my $answer = qx("$config" $what));
	return $answer;
}
