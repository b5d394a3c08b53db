# Row security, where it takes more than one session to see it: what the server
# says on other ways than rows (its log, statistics, messages), and those who must
# see all rows whatever it says: the gate, verify(), dumps, an examiner.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('boundary', start => 0, init => [ allows_streaming => 'logical' ], conf => "max_worker_processes = 20\n");
my $libraries = $node->config_data('--pkglibdir');
my ($explains, $counts) = map { -e "$libraries/$_.so" } qw(auto_explain pg_stat_statements);
$node->append_conf('postgresql.conf', "shared_preload_libraries = '" . join(',', ($explains ? 'auto_explain' : ()), 'claiim', ($counts ? 'pg_stat_statements' : ())) . "'\n");
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# Two organizations: acme (ann) and fin (cfo).
set_up($node, 'one');
$node->safe_psql('one', <<'SQL');
CREATE ROLE cfo LOGIN;
CREATE ROLE fay LOGIN;
CREATE ROLE ledger LOGIN;
SELECT two.people($$register_human('cfo', 'cfo', NULL, 'acme', '{member}')$$);
SELECT two.people($$register_human('fay', 'fay', NULL, 'acme', '{member}')$$);
SELECT two.people($$register_org('fin', 'Finance', 'cfo', 'fay')$$);
SQL
my $fin = sub {
	my $change = $node->safe_psql('one', "SELECT claiim.$_[0]", extra_params => [ '-U', 'cfo' ]);
	return $node->safe_psql('one', "SELECT claiim.approve('$change')", extra_params => [ '-U', 'fay' ]);
};
is($fin->("grant_capability('cfo', 'fin', 'auditor')"), 'applied', 'two organizations');
is($fin->("register_agent('ledger-bot', 'fin', 'cfo', '{}', 'ledger')"), 'applied', '... with an agent each');
answers_of(start_load($node, 'one', 2, 20));
$node->safe_psql('one', "SELECT claiim_check('ledger-bot', 'ledger:read', 'secret/' || i, context => '{\"n\": 1}') FROM generate_series(1, 30) AS i", extra_params => [ '-U', 'ledger' ]);
$node->safe_psql('one', 'ANALYZE');
my $all = $node->safe_psql('one', 'SELECT count(*) FROM claiim.chron');
my $of_fin = $node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE org = 'fin'");

# as(USER, SQL): what psql prints, and what it is told beside.
sub as
{
	my ($user, $sql, $db) = @_;
	my ($out, $err);
	$node->psql($db // 'one', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $user, '-v', 'VERBOSITY=verbose' ]);
	return wantarray ? ($out, $err) : $out ne '' ? $out : error_of($err);
}
is(as('cfo', 'SELECT count(*) FROM claiim.chron'), $of_fin, 'an auditor reads the own organization\'s records from chron itself');

# Plans in messages that a client may ask for
my $asks = "SET client_min_messages = log; SELECT count(*) FROM claiim.decisions WHERE agent = 'deploy-bot'";
for my $sql ("SET debug_print_plan = on; $asks", "SET debug_print_plan = on; BEGIN; $asks; COMMIT",
	"SET debug_print_plan = on; SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT count(*) FROM claiim.decisions WHERE agent = 'deploy-bot'; SET client_min_messages = log; EXECUTE p",
	"SET debug_print_plan = on; SET client_min_messages = log; SELECT count(*) FROM claiim.five_questions((SELECT min(chron_id) FROM claiim.decisions)) WHERE n = 0")
{
	my ($out, $err) = as('cfo', $sql);
	is($out, 0, "debug_print_plan: $sql: an auditor is answered");
	unlike($err, qr/SEQSCAN|INDEXSCAN|APPEND/, '... and sees no plan of a table');
}
like((as('cfo', "SET debug_print_plan = on; SET client_min_messages = log; SELECT count(*) FROM pg_am"))[1], qr/SEQSCAN/, '... but that of another');
like((as($superuser, "SET debug_print_plan = on; $asks"))[1], qr/SEQSCAN|INDEXSCAN|APPEND/, '... and a superuser all');
like(slurp_file($node->logfile), qr/SEQSCAN/, '... and so does the log');

SKIP:
{
	skip 'there is no auto_explain', 6 unless $explains;
	$node->append_conf('postgresql.conf', "auto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\nauto_explain.log_nested_statements = on\n");
	$node->reload;
	wait_until(sub { $node->safe_psql('one', 'SHOW auto_explain.log_min_duration') eq '0' }, 'auto_explain is on');
	my $offset = -s $node->logfile;

	# With log_analyze, and with the message as late as can be
	for my $sql ($asks, "BEGIN; DECLARE c CURSOR FOR SELECT count(*) FROM claiim.decisions WHERE agent = 'deploy-bot'; FETCH c; SET client_min_messages = log; CLOSE c; COMMIT")
	{
		my ($out, $err) = as('cfo', $sql);
		is($out, 0, "auto_explain: $sql: an auditor is answered");
		unlike($err, qr/Rows Removed|chron_y/, '... and sees no plan');
	}
	like(substr(slurp_file($node->logfile), $offset), qr/Query Text: SELECT count\(\*\) FROM claiim\.decisions.*?chron_y\d+m\d+.*?Rows Removed by Filter: \d+/s,
		'... which the server\'s log has, all of it');
	is(as('cfo', "EXPLAIN ANALYZE SELECT count(*) FROM claiim.agents"), '42501: EXPLAIN is refused for statements that read the tables of claiim', '... and EXPLAIN is refused');
	$node->append_conf('postgresql.conf', "auto_explain.log_min_duration = -1\n");
	$node->reload;
}

SKIP:
{
	skip 'there is no pg_stat_statements', 2 unless $counts;
	$node->safe_psql('one', 'CREATE EXTENSION pg_stat_statements');
	as($superuser, "SELECT count(*) FROM claiim.chron WHERE target = 'secret/7'");
	as('ann', "SELECT count(*) FROM claiim.decisions WHERE target LIKE 'load/%' AND 1 = 1");
	is(as('cfo', "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'claiim\\.(chron|decisions).*target'"), 0, 'pg_stat_statements shows no statement of others');
	cmp_ok(as('cfo', "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'claiim\\.chron'"), '>', 0, '... but the own');
}

# What the server counts is everybody's to read, until it is taken from PUBLIC:
# the statement is doc/dba.md's.
{
	my ($revoke) = slurp_file('doc/dba.md') =~ /```sql\n(DO \$\$(?:(?!```).)*pg_stat_get(?:(?!```).)*)```/s;
	isnt($revoke, undef, 'doc/dba.md has a statement for statistics');
	my $probe = "SELECT pg_stat_get_xact_tuples_fetched('claiim.agents'::regclass) IS NULL";
	is(as('cfo', $probe), 'f', '... before which an auditor reads them');
	$node->safe_psql('one', $revoke);
	is(as('cfo', $probe), '42501: permission denied for function pg_stat_get_xact_tuples_fetched', '... and not after it');
	like(as('cfo', "SELECT * FROM $_"), qr/^42501: permission denied for function pg_stat_get_/, "... $_")
	  for qw(pg_stat_user_tables pg_stat_xact_user_tables pg_statio_user_tables pg_stat_user_indexes pg_statio_user_indexes pg_stat_user_functions);
	$node->safe_psql('one', 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
	like(as('monitor', 'SELECT count(*) FROM pg_stat_user_tables'), qr/^\d+$/, '... while pg_monitor does');
	is(ask($node, 'one', 'x'), 'ALLOW', '... and the gate works');
	is(as('cfo', 'SELECT count(*) > 0 FROM claiim.decisions'), 't', '... and views');
}

# Rows as COPY, and as the tools take them: all or an error
is(as('cfo', 'COPY (SELECT DISTINCT org FROM claiim.chron) TO STDOUT'), 'fin', 'COPY of a query has the own rows');
is(as('cfo', 'COPY claiim.agents (agent) TO STDOUT'), 'ledger-bot', '... and COPY of a table');
for my $tool (qw(export_chron recompute_chron export_contexts))
{
	my ($out, $err);
	my $status = IPC::Run::run([ $node->installed_command('psql'), '-XAtqf', "tools/$tool.sql", '-d', $node->connstr('one') . ' user=cfo' ], '>', \$out, '2>', \$err);
	is($out, '', "$tool.sql as one organization's auditor gives no part of it");
	like($err, qr/ERROR:  query would be affected by row-level security policy for table "(chron|contexts)"/, '... but an error');
}
$node->safe_psql('one', <<'SQL');
CREATE ROLE examiner LOGIN BYPASSRLS;
GRANT USAGE ON SCHEMA claiim TO examiner;
GRANT SELECT ON claiim.chron, claiim.contexts TO examiner;
SQL
for my $tool (qw(export_chron recompute_chron export_contexts))
{
	my ($out, $err);
	my $status = IPC::Run::run([ $node->installed_command('psql'), '-XAtqf', "tools/$tool.sql", '-d', $node->connstr('one') . ' user=examiner' ], '>', \$out, '2>', \$err);
	my $lines = () = $out =~ /\n/g;
	my $expected = $tool eq 'recompute_chron' ? 0 : $node->safe_psql('one', 'SELECT count(*) FROM claiim.' . ($tool eq 'export_chron' ? 'chron' : 'contexts'));
	is("$status $lines $err", "1 $expected ", "$tool.sql as an examiner who bypasses row security: all");
}
isnt(as('cfo', 'SELECT ok, records FROM claiim.verify()'), "t|$of_fin", 'verify() of one organization\'s auditor');
is(as('cfo', 'SELECT ok, records >= ' . $all . ' FROM claiim.verify()'), 't|t', '... reads all records');
is(as('cfo', 'SET row_security = off; SELECT ok, records >= ' . $all . ' FROM claiim.verify()'), 't|t', '... whatever row_security is');

# pg_dump: all, or nothing
my $dir = PostgreSQL::Test::Utils::tempdir();
my $bin = $node->config_data('--bindir');
command_fails_like([ "$bin/pg_dump", '-a', '-t', 'claiim.chron*', '-f', "$dir/part", '-d', $node->connstr('one') . ' user=cfo' ],
	qr/permission denied|query would be affected by row-level security/, 'pg_dump as an auditor is refused');
command_ok([ "$bin/pg_dump", '-Fc', '-f', "$dir/all", '-d', $node->connstr('one') . " user=$superuser" ], '... as the owner it dumps');
my $security = <<'SQL';
SELECT c.relname::text, c.relrowsecurity::text, c.relforcerowsecurity::text, c.relacl::text FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'p', 'v')
UNION ALL SELECT polrelid::regclass::text, polname, pg_get_expr(polqual, polrelid), concat(polroles::regrole[]::text, obj_description(oid, 'pg_policy')) FROM pg_policy
UNION ALL SELECT attrelid::regclass::text, attname, attacl::text, NULL FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'claiim'::regnamespace)
ORDER BY 1, 2, 3
SQL
my $before = $node->safe_psql('one', $security);
cmp_ok(scalar(() = $before =~ /^/mg), '>', 40, 'there is something to be kept');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
command_ok([ "$bin/pg_restore", '--exit-on-error', '-d', $node->connstr('restored') . " user=$superuser", "$dir/all" ], 'pg_restore');
is($node->safe_psql('restored', $security), $before, '... every policy, every table\'s row security and every grant is as it was');
is(as('cfo', 'SELECT count(*) FROM claiim.chron', 'restored'), $of_fin, '... and an auditor reads the own organization');
is(as('cfo', 'EXPLAIN SELECT 1 FROM claiim.chron', 'restored'), '42501: EXPLAIN is refused for statements that read the tables of claiim', '... and no plans');

$node->safe_psql('one', "CREATE POLICY mine ON claiim.agents FOR SELECT TO examiner USING (true)");
my ($schema_only) = run_command([ "$bin/pg_dump", '-s', '-d', $node->connstr('one') . " user=$superuser" ]);
unlike($schema_only, qr/CREATE POLICY/, 'a policy of somebody else\'s on a table of the extension is in no dump');
$node->safe_psql('one', 'DROP POLICY mine ON claiim.agents');

# The first copy of a subscription is what the replication user sees.
{
	$node->safe_psql('one', <<'SQL');
CREATE PUBLICATION chron FOR TABLE claiim.chron WITH (publish_via_partition_root = true);
CREATE ROLE blind LOGIN REPLICATION;
CREATE ROLE seeing LOGIN REPLICATION BYPASSRLS;
GRANT USAGE ON SCHEMA claiim TO blind, seeing;
GRANT SELECT ON claiim.chron TO blind, seeing;
SQL
	my $columns = $node->safe_psql('one', "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'claiim.chron'::regclass AND attnum > 0");
	my $last = $node->safe_psql('one', 'SELECT max(seq) FROM claiim.chron');
	for my $who ([ blind => 0 ], [ seeing => $last ])
	{
		my ($role, $rows) = @$who;
		$node->safe_psql('postgres', "CREATE DATABASE by_$role TEMPLATE template0");
		$node->safe_psql("by_$role", "CREATE SCHEMA claiim; CREATE TABLE claiim.chron ($columns)");
		# On one server the slot has to be there before.
		$node->safe_psql('one', "SELECT pg_create_logical_replication_slot('$role', 'pgoutput')");
		$node->safe_psql("by_$role", "CREATE SUBSCRIPTION $role CONNECTION '" . $node->connstr . " dbname=one user=$role' PUBLICATION chron WITH (create_slot = false)");
		wait_until(sub { $node->safe_psql("by_$role", "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel") eq 't' }, 'the first copy is made');
		is($node->safe_psql("by_$role", "SELECT count(*) FROM claiim.chron WHERE seq <= $last"), $rows,
			'the first copy of a replication user ' . ($rows ? 'who bypasses row security has all records' : 'who does not is empty'));
		$node->safe_psql("by_$role", "ALTER SUBSCRIPTION $role DISABLE; ALTER SUBSCRIPTION $role SET (slot_name = NONE); DROP SUBSCRIPTION $role");
		wait_until(sub { ($node->psql('one', "SELECT pg_drop_replication_slot('$role')"))[0] == 0 }, 'the slot is free');
	}
}

# An owner who is no superuser sees all rows by being the owner.  Where somebody
# forces row security on that one, nobody is to be told of a part as of the whole.
$node->safe_psql('postgres', 'CREATE ROLE boss SUPERUSER LOGIN; CREATE DATABASE owned OWNER boss');
$node->safe_psql('owned', 'SET SESSION AUTHORIZATION boss; SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
$node->safe_psql('owned', "SELECT claiim.bootstrap('acme', 'ann', 'ann', 'bob', 'bob')");
ask($node, 'owned', $_, user => $superuser) for 1 .. 5;
$node->safe_psql('postgres', 'ALTER ROLE boss NOSUPERUSER');
is(as('boss', 'SELECT ok, records > 5 FROM claiim.verify()', 'owned'), 't|t', 'an owner who is no superuser verifies');
is(ask($node, 'owned', 'x', user => $superuser), 'DENY', '... and the gate answers');
$node->safe_psql('owned', 'ALTER TABLE claiim.chron FORCE ROW LEVEL SECURITY');
is(as('boss', 'SELECT count(*) FROM claiim.chron', 'owned'), 0, 'row security is forced on the owner: the owner sees nothing');
like(as('boss', 'SELECT ok, records FROM claiim.verify()', 'owned'), qr/^42501: query would be affected by row-level security policy for table "chron"/, '... which verify() says');
like(as('ann', 'SELECT ok, records FROM claiim.verify()', 'owned'), qr/^42501: query would be affected by row-level security policy for table "chron"/, '... to an auditor as well');
like(ask($node, 'owned', 'x', user => $superuser), qr/^42501: no answer: the decision could not be recorded/, '... and the gate is closed');
$node->safe_psql('owned', 'ALTER TABLE claiim.chron NO FORCE ROW LEVEL SECURITY');
is(as('ann', 'SELECT ok, records > 5 FROM claiim.verify()', 'owned'), 't|t', '... until it is forced no more');
wait_until(sub { ask($node, 'owned', 'x', user => $superuser) eq 'DENY' }, 'the gate answers');
chron_is_sound($node, 'owned', 'afterwards');

$node->stop;
done_testing();
