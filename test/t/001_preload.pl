# Without the preload the library is quiet, so that psql, pg_dump and pg_upgrade
# work, and nothing that decides or governs does.  And the other ways in which
# an installation can be half done: each an error that says what to do.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('preload', preload => 0);
my $verbose = [ '-v', 'VERBOSITY=verbose' ];

my ($status, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION claiim CASCADE; SELECT claiim_version()');
is($status, 0, 'without the preload: the extension can be created');
unlike($err, qr/ERROR|WARNING|FATAL/, '... quietly');
like($out, qr/^\d+\.\d+\.\d+$/, '... and its version asked for');

$node->safe_psql('postgres', 'CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN');
for my $call ("claiim_check('x', 'a', 'b')", "claiim_authenticate('x', 'y')",
	"claiim.bootstrap('acme', 'ann', 'ann', 'bob', 'bob')")
{
	(undef, undef, $err) = $node->psql('postgres', "SELECT $call", extra_params => $verbose);
	is(error_of($err), '55000: claiim must be loaded through shared_preload_libraries', "... but not $call");
	like($err, qr/HINT:  Add 'claiim' to shared_preload_libraries and restart the server\./, '... with a hint');
}
is($node->safe_psql('postgres', 'SELECT ok, records FROM claiim.verify()'), 't|0', '... while verify() works');

# What a restore does, in the order in which pg_dump writes it
($status, undef, $err) = $node->psql('postgres', <<'SQL');
INSERT INTO claiim.orgs (org, founding) VALUES ('acme', true);
COPY claiim.humans (human, org, role_name) FROM stdin;
ann	acme	ann
\.
INSERT INTO claiim.contexts VALUES (1, decode(repeat('00', 32), 'hex'), 'null');
SQL
is($err, '', '... and neither do the triggers stand in the way of a restore');
(undef, undef, $err) = $node->psql('postgres', "UPDATE claiim.orgs SET status = 'suspended'", extra_params => $verbose);
is(error_of($err), '42501: table claiim.orgs cannot be changed directly', '... which only ever inserts');
$node->safe_psql('postgres', 'DROP EXTENSION claiim');

# LOAD is no preload.
(undef, undef, $err) = $node->psql('postgres',
	"LOAD 'claiim'; CREATE EXTENSION claiim; SELECT claiim_check('x', 'a', 'b')", extra_params => $verbose);
is(error_of($err), '55000: claiim must be loaded through shared_preload_libraries', 'LOAD is no preload');
$node->safe_psql('postgres', 'DROP EXTENSION IF EXISTS claiim');

# With it
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'claiim'\nclaiim.max_databases = 2\n");
$node->restart;
set_up($node, 'one');
is(ask($node, 'one', 'x'), 'ALLOW', 'with the preload the gate answers');

# The library and the script disagree.
$node->safe_psql('one', "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'claiim'");
like(ask($node, 'one', 'x'), qr/^55000: claiim's library is version \S+ but its SQL objects are version 0\.0\.1$/,
	'a library of another version than the script refuses');
$node->safe_psql('one', "UPDATE pg_extension SET extversion = claiim_version() WHERE extname = 'claiim'");

# More databases than there are places for
set_up($node, 'two');
$node->safe_psql('postgres', 'CREATE DATABASE three');
$node->safe_psql('three', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
is(ask($node, 'three', 'x', user => $node->safe_psql('postgres', 'SELECT current_user')),
	'53400: claiim is in use in as many databases as claiim.max_databases allows (2)', 'one database more than claiim.max_databases is refused');
$node->safe_psql('postgres', 'DROP DATABASE two');
is(ask($node, 'three', 'x', user => $node->safe_psql('postgres', 'SELECT current_user')),
	'DENY', '... until another is dropped');

# An encoding in which Chron's bytes cannot be written
$node->safe_psql('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
(undef, undef, $err) = $node->psql('latin', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE', extra_params => $verbose);
is(error_of($err), '55000: claiim needs a database encoded in UTF8, not LATIN1', 'a database that is not in UTF8 is refused at once');

# The token secret: each way in which it cannot be used
my $secret = $node->basedir . '/token_secret';
my $issue = "SET SESSION AUTHORIZATION ann; SELECT token_id FROM claiim.issue_token('deploy-bot')";
my $issuing = sub {
	my (undef, $token_id, $stderr) = $node->psql('one', $issue, extra_params => $verbose);
	return $token_id || error_of($stderr);
};
like($issuing->(), qr/^ctk_/, 'a token can be issued');
chmod 0640, $secret;
is($issuing->(), "F0000: the token secret cannot be used: its file is accessible to others",
	'a secret that a group can read is refused');
chmod 0604, $secret;
is($issuing->(), "F0000: the token secret cannot be used: its file is accessible to others",
	'a secret that anybody can read is refused');
chmod 0600, $secret;
rename $secret, "$secret.away";
is($issuing->(), "F0000: the token secret cannot be used: its file cannot be opened", '... and one that is missing');
append_to_file($secret, "short\n");
chmod 0600, $secret;
is($issuing->(), "F0000: the token secret cannot be used: its file is too short", '... and one that is too short');
unlink $secret;
mkdir $secret, 0700;
is($issuing->(), "F0000: the token secret cannot be used: it is not a regular file", '... and one that is no file');
rmdir $secret;
rename "$secret.away", $secret;
like($issuing->(), qr/^ctk_/, 'the right one is read again without a restart');
is(ask($node, 'one', 'x'), 'ALLOW', 'roles need no secret');
my $setting = "SHOW claiim.token_secret_file";
(undef, undef, $err) = $node->psql('one', $setting, extra_params => [ '-U', 'deploy', @$verbose ]);
like($err, qr/42501|must be (?:superuser|a member)/, 'where the secret is, is not for everybody to see');

$node->stop;
done_testing();
