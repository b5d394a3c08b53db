# What approves is a statement of the human's own, whatever protocol brings it;
# what must work at once does, whoever sits in a transaction; errors are for
# people; and a log says what its database held when it was opened.

use strict;
use warnings;

use ClaiimTest;
use Digest::SHA;
use IO::Handle;
use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('control');
set_up($node, 'one');
$node->safe_psql('one', <<'SQL');
CREATE ROLE cat LOGIN; CREATE ROLE dan LOGIN;
SELECT two.people($$register_human('cat', 'cat', NULL, 'acme', '{approver}')$$);
SELECT two.people($$register_human('dan', 'dan', NULL, 'acme', '{admin,approver}')$$);
CREATE SCHEMA pub; GRANT ALL ON SCHEMA pub TO ann; GRANT USAGE ON SCHEMA pub TO PUBLIC;
SQL

# As a human who logs in: (what came out, SQLSTATE or '', all of the errors).
sub as
{
	my ($user, $sql, @params) = @_;
	my ($out, $err);
	$node->psql('one', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $user, '-v', 'VERBOSITY=verbose', @params ]);
	return ($out, $err =~ /(?:ERROR|FATAL):  (\w{5}):/ ? $1 : '', $err);
}
# The same in one message.
sub in_one_string
{
	my ($user, $sql) = @_;
	my ($out, $err) = run_command([ $node->installed_command('psql'), '-XAtq', '-U', $user, '-d', $node->connstr('one'), '-c', $sql ]);
	return ($out, $err);
}
my $n = 0;
sub propose
{
	$n++;
	my ($change) = as('ann', "SELECT claiim.set_skills('deploy-bot', '{deploy,s$n}')");
	return $change;
}
sub status { return $node->safe_psql('one', "SELECT status FROM claiim.changes WHERE change = '$_[0]'") }

# ---- a statement of one's own ----

my $change = propose();
is((as('bob', "SELECT claiim.approve('$change')"))[0], 'applied', 'an approval, as one types it');
$change = propose();
is((as('bob', "SELECT change, claiim.approve(change) FROM claiim.pending_changes WHERE subject = 'deploy-bot'"))[0], "$change|applied", 'of what the view shows');
$change = propose();
is((as('bob', "SELECT p.summary || claiim.approve(p.change) FROM claiim.pending_changes p JOIN claiim.registry r ON r.agent = p.subject WHERE p.change = '$change' AND length(p.summary) > 1 ORDER BY lower(r.org) LIMIT 1"))[1], '', 'among PostgreSQL\'s own functions');
is(status($change), 'applied', '... which it is');
$change = propose();
is((in_one_string('bob', "SELECT 1; SELECT claiim.approve('$change'); SELECT 2"))[0], "1\napplied\n2", 'one of several statements in a string');
$change = propose();
is((as('bob', "BEGIN; SAVEPOINT s; SELECT claiim.approve('$change'); RELEASE s; COMMIT;"))[0], 'applied', 'in a transaction');
$change = propose();
is((as('bob', "PREPARE p(text) AS SELECT claiim.approve(\$1); EXECUTE p('$change');"))[0], 'applied', 'a prepared statement');
$change = propose();
is((as('bob', "SET plan_cache_mode = force_generic_plan; PREPARE p(text) AS SELECT claiim.approve(\$1); EXECUTE p('$change');"))[0], 'applied', '... with a plan for all');
$change = propose();
is((as('bob', "BEGIN; DECLARE c CURSOR FOR SELECT claiim.approve(change) FROM claiim.pending_changes WHERE change = '$change'; FETCH ALL FROM c; COMMIT;"))[0], 'applied', 'a cursor');
$change = propose();
is((as('bob', "BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR SELECT claiim.approve(change) FROM claiim.pending_changes WHERE change = '$change'; MOVE ALL FROM c; COMMIT;"))[1], '', '... moved over');
is(status($change), 'applied', '... has approved');
$change = propose();
is((as('bob', "DECLARE c CURSOR WITH HOLD FOR SELECT claiim.approve('$change'); FETCH ALL FROM c"))[0], 'applied', 'one that is held, and so run at the commit');
$change = propose();
is((as('bob', "PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p; PREPARE p AS SELECT claiim.approve('$change'); EXECUTE p"))[0], "1\napplied", 'a name that is prepared anew');
$change = propose();
is((as('bob', "\\set FETCH_COUNT 1\nSELECT claiim.approve('$change') AS what \\gset\n\\echo :what"))[0], 'applied', 'psql\'s \gset');
$change = propose();
is((as('bob', "SELECT format('SELECT claiim.approve(%L)', change) FROM claiim.pending_changes WHERE change = '$change' \\gexec"))[0], 'applied', 'and \gexec');
$change = propose();
is((as('bob', "SET ROLE claiim_admin; SELECT claiim.approve('$change')"))[0], 'applied', 'under another role, it is still bob');
is($node->safe_psql('one', "SELECT human FROM claiim.approvals WHERE change = '$change'"), 'bob', '... who has approved');
for my $mode (qw(simple extended prepared))
{
	$change = propose();
	my $script = $node->basedir . "/approve_$mode.sql";
	append_to_file($script, "SELECT claiim.approve(:change);\n");
	$node->command_ok([ 'pgbench', '-n', '-t', '1', '-M', $mode, '-U', 'bob', '-f', $script, '-D',
			($mode eq 'simple' ? "change='$change'" : "change=$change"), $node->connstr('one') ], "a parameter: protocol $mode");
	is(status($change), 'applied', '... has approved');
}

# Messages name prepared statements and cursors as well.
sub messages
{
	my (@messages) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) // die "socket: $!";
	my $said = '';
	for my $message ("user\0bob\0database\0one\0\0", map { ref ? join('', map { substr($_, 0, 1) . pack('N', length() + 3) . substr($_, 1) } @$_, 'S') : 'Q' . pack('N', length() + 5) . "$_\0" } @messages)
	{
		print $socket $said eq '' ? pack('NN', length($message) + 8, 196608) . $message : $message;
		while (read($socket, my $header, 5) == 5)
		{
			my ($type, $length) = unpack 'aN', $header;
			read $socket, my $body, $length - 4;
			$said .= $type eq 'Z' ? '.' : $type eq 'D' ? ' ' . substr($body, 6) : $type eq 'E' ? ' ' . ($body =~ /\0C(\w{5})\0/)[0] : '';
			last if $type eq 'Z';
		}
	}
	return $said;
}
my $run = sub { my ($portal, $statement) = @_; return "B$portal\0$statement\0\0\0\0\0\0\0", "E$portal\0\0\0\0\0" };
for my $portal ('', 'named')
{
	my $own = propose();
	is(messages([ "Pmine\0SELECT claiim.approve('$own')\0\0\0" ], [ $run->($portal, 'mine') ]), '.. applied.', 'what a message has prepared, a message runs' . ($portal && ', by a portal with a name'));
	$own = propose();
	is(messages([ "Pmine\0SELECT claiim.approve('$own')\0\0\0" ], 'EXECUTE mine'), '.. applied.', '... and EXECUTE');
	$own = propose();
	is(messages("PREPARE mine AS SELECT claiim.approve('$own')", [ $run->($portal, 'mine') ]), '.. applied.', '... and the other way around');
}

# ---- and no other ----

$change = propose();
as('ann', <<"SQL");
CREATE VIEW pub.report AS SELECT 'all is well' AS report, claiim.approve('$change') AS detail;
CREATE VIEW pub.disguise AS SELECT p.*, claiim.approve('$change') AS detail FROM claiim.pending_changes p;
CREATE FUNCTION pub.inlined() RETURNS text LANGUAGE sql AS \$\$SELECT claiim.approve('$change')\$\$;
CREATE FUNCTION pub.inlined_row() RETURNS TABLE (t text) LANGUAGE sql STABLE AS \$\$SELECT claiim.approve('$change')\$\$;
CREATE FUNCTION pub.called() RETURNS text LANGUAGE sql AS \$\$SELECT 1; SELECT claiim.approve('$change')\$\$;
CREATE FUNCTION pub.definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS \$\$SELECT claiim.approve('$change')\$\$;
CREATE FUNCTION pub.expression() RETURNS text LANGUAGE plpgsql AS \$\$DECLARE r text := claiim.approve('$change'); BEGIN RETURN r; END\$\$;
CREATE FUNCTION pub.statement() RETURNS text LANGUAGE plpgsql AS \$\$BEGIN PERFORM claiim.approve('$change'); RETURN 'x'; END\$\$;
CREATE FUNCTION pub.cursor() RETURNS text LANGUAGE plpgsql AS \$\$DECLARE r record; BEGIN FOR r IN SELECT claiim.approve('$change') LOOP END LOOP; RETURN 'x'; END\$\$;
CREATE FUNCTION pub.dynamic() RETURNS text LANGUAGE plpgsql AS \$\$BEGIN EXECUTE 'SELECT claiim.approve(''$change'')'; RETURN 'x'; END\$\$;
CREATE FUNCTION pub.caught() RETURNS text LANGUAGE plpgsql AS \$\$BEGIN PERFORM claiim.approve('$change'); RETURN 'approved'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END\$\$;
CREATE FUNCTION pub.of(text) RETURNS boolean LANGUAGE sql AS \$\$SELECT claiim.approve('$change') IS NOT NULL\$\$;
CREATE OPERATOR pub.!! (FUNCTION = claiim.approve, RIGHTARG = text);
CREATE AGGREGATE pub.agg(*) (SFUNC = claiim.approve, STYPE = text, INITCOND = '$change');
CREATE DOMAIN pub.dom AS text CHECK (claiim.approve('$change') IS NOT NULL);
CREATE TABLE pub.defaults (t text DEFAULT claiim.approve('$change'));
CREATE TABLE pub.triggered (t text);
CREATE FUNCTION pub.trigger() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN PERFORM claiim.approve('$change'); RETURN NEW; END\$\$;
CREATE TRIGGER t BEFORE INSERT ON pub.triggered FOR EACH ROW EXECUTE FUNCTION pub.trigger();
CREATE TABLE pub.secured (t text);
INSERT INTO pub.secured VALUES ('x');
ALTER TABLE pub.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON pub.secured USING (claiim.approve('$change') IS NOT NULL);
CREATE PROCEDURE pub.procedure() LANGUAGE sql AS \$\$SELECT claiim.approve('$change')\$\$;
CREATE FUNCTION pub.opens() RETURNS refcursor LANGUAGE plpgsql AS \$\$DECLARE c refcursor := 'report'; BEGIN OPEN c FOR SELECT claiim.approve('$change'); RETURN c; END\$\$;
CREATE FUNCTION pub.opens_text() RETURNS refcursor LANGUAGE plpgsql AS \$\$DECLARE c refcursor := 'report'; BEGIN OPEN c FOR EXECUTE 'SELECT claiim.approve(''$change'')'; RETURN c; END\$\$;
CREATE FUNCTION pub.leaves(what text) RETURNS text LANGUAGE plpgsql AS \$\$BEGIN EXECUTE what || ' SELECT claiim.approve(''$change'')'; RETURN 'all is well'; END\$\$;
CREATE VIEW pub.held AS SELECT pub.leaves('DECLARE report CURSOR WITH HOLD FOR');
CREATE VIEW pub.words AS SELECT * FROM ts_stat('SELECT claiim.approve(''$change'')::tsvector');
CREATE VIEW pub.rewritten AS SELECT ts_rewrite('a', 'SELECT ''a''::tsquery, claiim.approve(''$change'')::tsquery');
GRANT ALL ON ALL TABLES IN SCHEMA pub TO bob;
SQL
my @attempts = (
	'SELECT * FROM pub.report' => 'a view',
	'SELECT report FROM pub.report WHERE detail IS NOT NULL' => 'a column that a view computes',
	'SELECT * FROM pub.disguise' => 'a view over what is pending',
	'SELECT p.summary, r.report FROM claiim.pending_changes p, pub.report r WHERE r.detail IS NOT NULL' => 'a view beside what is pending',
	'SELECT pub.inlined()' => 'an SQL function that is inlined',
	'SELECT * FROM pub.inlined()' => 'an SQL function among the tables',
	'SELECT * FROM pub.inlined_row()' => 'an SQL function that is inlined there',
	'SELECT pub.called()' => 'an SQL function that is called',
	'SELECT pub.definer()' => 'a SECURITY DEFINER function',
	'SELECT pub.expression()' => 'a PL/pgSQL expression',
	'SELECT pub.statement()' => 'a PL/pgSQL statement',
	'SELECT pub.cursor()' => 'a PL/pgSQL loop',
	'SELECT pub.dynamic()' => 'dynamic SQL',
	"SELECT claiim.approve('$change'), pub.inlined()" => 'another\'s function beside one\'s own approval',
	"SELECT claiim.approve(change) FROM claiim.pending_changes WHERE pub.of(summary)" => 'another\'s function in a condition',
	"SELECT claiim.approve('$change') FROM pub.secured" => 'another\'s table',
	"SELECT claiim.approve('$change') WHERE NOT EXISTS (SELECT FROM pub.triggered)" => 'another\'s table in a subquery',
	"SELECT OPERATOR(pub.!!) '$change'::text" => 'an operator',
	'SELECT pub.agg(*)' => 'an aggregate',
	"SELECT 'x'::pub.dom" => 'a domain',
	'INSERT INTO pub.defaults DEFAULT VALUES' => 'a default',
	"INSERT INTO pub.triggered VALUES ('x')" => 'a trigger',
	'SELECT * FROM pub.secured' => 'a row security policy',
	'CALL pub.procedure()' => 'a procedure',
	"DO \$\$BEGIN PERFORM claiim.approve('$change'); END\$\$" => 'a DO block',
	"SELECT query_to_xml('SELECT claiim.approve(''$change'')', true, false, '')" => 'a function that runs queries',
	"EXPLAIN ANALYZE SELECT claiim.approve('$change')" => 'EXPLAIN ANALYZE',
	"COPY (SELECT claiim.approve('$change')) TO STDOUT" => 'COPY',
	"CREATE TEMP TABLE t AS SELECT claiim.approve('$change')" => 'CREATE TABLE AS',
	"INSERT INTO pub.triggered SELECT claiim.approve('$change')" => 'INSERT',
	"WITH w AS (INSERT INTO pub.defaults VALUES ('x') RETURNING 1) SELECT claiim.approve('$change')" => 'a statement that writes as well',
	"PREPARE p AS SELECT pub.inlined(); EXECUTE p" => 'a prepared statement that is not one\'s own',
	"BEGIN; DECLARE c CURSOR FOR SELECT * FROM pub.report; FETCH ALL FROM c" => 'a cursor over a view',
	# what runs when nothing of the function is on the stack any more
	'BEGIN; SELECT pub.opens(); FETCH ALL FROM report' => 'a cursor that a function returns',
	'BEGIN; SELECT pub.opens_text(); FETCH ALL FROM report' => 'one over dynamic SQL',
	"BEGIN; SELECT pub.leaves('DECLARE report CURSOR FOR'); FETCH ALL FROM report" => 'one that a function declares',
	"BEGIN; SELECT pub.leaves('DECLARE report CURSOR FOR'); MOVE ALL FROM report" => '... moved over',
	'SELECT * FROM pub.held' => 'one that a view leaves behind, to be run at the commit',
	"SELECT pub.leaves('PREPARE report AS'); EXECUTE report" => 'a statement that a function prepares',
	"SELECT pub.leaves('PREPARE report AS'); CREATE TEMP TABLE t AS EXECUTE report" => '... executed for a table',
	'SELECT * FROM pub.words' => 'a function that fetches from a cursor of its own',
	'SELECT * FROM pub.rewritten' => 'another');
while (my ($sql, $what) = splice @attempts, 0, 2)
{
	is((as('bob', $sql))[1], '42501', "$what does not approve");
}
is((as('bob', 'SELECT pub.caught()'))[0], '42501', 'nor one that hides that it tried');

is(messages("SELECT pub.leaves('PREPARE report AS')", [ $run->('', 'report') ]), '. all is well. 42501.', 'a message that runs what a function has prepared does not approve');
is(messages('BEGIN', 'SELECT pub.opens()', [ "Ereport\0\0\0\0\0" ]), '.. report. 42501.', 'nor one that runs its cursor');
is(status($change), 'pending', 'nothing of all that has approved');
my (undef, undef, $said) = as('bob', 'SELECT * FROM pub.report');
like($said, qr/claiim\.approve must be called by a statement of its own/, 'it is said what was tried');
like($said, qr/HINT:  Run it as SELECT claiim\.approve\('$change'\)\./, '... and what to do');
is((as('bob', "SELECT claiim.approve('$change')"))[0], 'applied', 'which works');

# Nor does anybody propose what a colleague means to approve.
$node->safe_psql('one', q{GRANT ALL ON SCHEMA pub TO dan; SET SESSION AUTHORIZATION dan;
CREATE FUNCTION pub.proposes() RETURNS text LANGUAGE sql AS $$SELECT claiim.set_skills('deploy-bot', '{deploy,trapped}')$$;
CREATE VIEW pub.friendly AS SELECT 'all is well' AS report, claiim.retire_agent('deploy-bot', 'trapped') AS detail;
GRANT SELECT ON pub.friendly TO bob});
is((as('bob', $_))[1], '42501', "$_ does not propose") for 'SELECT pub.proposes()', 'SELECT * FROM pub.friendly', q{DO $$BEGIN PERFORM claiim.set_skills('deploy-bot', '{deploy,trapped}'); END$$};
(undef, undef, $said) = as('bob', 'SELECT * FROM pub.friendly');
like($said, qr/HINT:  Run it as SELECT claiim\.retire_agent\('deploy-bot', \.\.\.\)\./, '... and it is said how one does');
is((as('bob', "SELECT claiim.set_skills(agent, '{deploy,own}') ~ '^chg_' FROM claiim.registry WHERE agent = 'deploy-bot'"))[0], 't', 'but a statement of one\'s own');
is($node->safe_psql('one', "SELECT count(*) FROM claiim.changes WHERE summary ~ 'trapped'"), 0, '... and nothing else was proposed');

# Nor has anybody a token issued or rotated that a colleague means to keep.
my ($kept) = as('bob', "SELECT token_id FROM claiim.issue_token('deploy-bot', label => 'own')");
$node->safe_psql('one', <<"SQL");
SET SESSION AUTHORIZATION ann;
CREATE TABLE pub.loot (token text);
CREATE FUNCTION pub.issues() RETURNS void LANGUAGE sql AS \$\$INSERT INTO pub.loot SELECT token FROM claiim.issue_token('deploy-bot', label => 'loot')\$\$;
CREATE FUNCTION pub.rotates() RETURNS void LANGUAGE sql AS \$\$INSERT INTO pub.loot SELECT token FROM claiim.rotate_token('$kept')\$\$;
GRANT INSERT ON pub.loot TO PUBLIC;
SQL
for my $what (qw(issue rotate))
{
	my (undef, $sqlstate, $said) = as('bob', "SELECT pub.${what}s()");
	is($sqlstate, '42501', "a function does not $what a token for itself");
	like($said, qr/HINT:  Run it as SELECT claiim\.${what}_token\(\.\.\.\)\./, '... and says how to');
}
is($node->safe_psql('one', "SELECT count(*) FROM claiim.tokens WHERE label = 'loot' OR replaces = '$kept'"), 0, '... so there is none');

my ($glass) = as('ann', "SELECT claiim.bind_policy('deploy-bot', claiim.publish_policy('p', E'skill: deploy-v1\\nallow: [deploy:*]', 'acme'))");
as('bob', "CREATE VIEW pub.nothing AS SELECT 1");
$node->safe_psql('one', "SET SESSION AUTHORIZATION ann; CREATE FUNCTION pub.glass() RETURNS text LANGUAGE sql AS \$\$SELECT claiim.break_glass('$glass', 'trapped')\$\$");
is((as('ann', 'SELECT pub.glass()'))[1], '42501', 'a function does not break the glass');
my ($review) = as('ann', "SELECT claiim.break_glass('$glass', 'a fire')");
like($review, qr/^rev_/, 'a statement of one\'s own does');
as('ann', "CREATE VIEW pub.closing AS SELECT claiim.close_review('$review', 'justified', 'trapped') AS c");
as('ann', 'GRANT SELECT ON pub.closing TO bob');
is((as('bob', 'SELECT * FROM pub.closing'))[1], '42501', 'a view does not close a review');
is((as('bob', "SELECT claiim.close_review(review, 'justified', 'I saw the fire') FROM claiim.open_reviews"))[0], 'closed', 'a statement of one\'s own does');
like(slurp_file($node->logfile), qr/WARNING:  break-glass: human "ann" has applied change $glass in organization "acme" alone/, 'break-glass is in the server\'s log');

# ---- errors for people ----

for my $case (
	[ "SELECT claiim.approve('chg_00000000000000000000000000')", 'what is refused' ],
	[ "SELECT claiim.set_skills('deploy-bot', '{a,a}')", 'what is refused deeper' ],
	[ "SELECT claiim.publish_skill('x', 'nonsense', 'acme')", 'what the library refuses' ],
	[ "SELECT claiim.suspend_agent('nobody', 'x') FROM claiim.registry LIMIT 1", 'what is refused amid a statement' ])
{
	my (undef, $code, $err) = as('ann', $case->[0]);
	ok($code ne '' && $err !~ /CONTEXT/, "$case->[1] comes without the context of claiim's own functions") || diag($err);
	$node->safe_psql('one', "SET SESSION AUTHORIZATION ann; CREATE OR REPLACE FUNCTION pub.own() RETURNS void LANGUAGE plpgsql AS \$f\$BEGIN EXECUTE \$q\$$case->[0]\$q\$; END\$f\$");
	(undef, $code, $err) = as('ann', 'SELECT pub.own()');
	ok($code ne '' && $err =~ /CONTEXT:.*PL\/pgSQL function pub\.own\(\)/s, '... but with it where a function of one\'s own has called') || diag($err);
}
my $script = $node->basedir . '/refused.sql';
append_to_file($script, "\\set c random(1, 2)\nSELECT claiim.approve('chg_00000000000000000000000000' || :c);\n");
$node->command_checks_all([ 'pgbench', '-n', '-t', '1', '-M', 'extended', '-U', 'bob', '-f', $script, $node->connstr('one') ],
	2, [qr/./], [qr/there is no change "chg_0{26}\d" that human "bob" can approve(?!.*CONTEXT)/s], 'also over the extended protocol');
is((as('ann', "BEGIN; SAVEPOINT x; SELECT claiim.approve(NULL)"))[1], '22004', 'an error leaves the session as it was');
is((as('ann', "SET statement_timeout = '200ms'; SELECT claiim.set_skills('deploy-bot', '{deploy,t}') FROM pg_sleep(10)"))[1], '57014', 'a cancel is a cancel');

# ---- what must work at once ----

# A human's session that stays open, with nothing to do.
my $sessions = 0;
sub session
{
	my ($user, $sql) = @_;
	my $out = $node->basedir . '/session' . ++$sessions;
	my $pid = open(my $in, '|-', "exec @{[ $node->installed_command('psql') ]} -XAtq -v VERBOSITY=verbose -U $user -d '@{[ $node->connstr('one') ]}' >$out 2>&1")
	  // die "psql: $!";
	$in->autoflush(1);
	print $in "SET application_name = 'session$sessions';\n$sql\n\\echo ready\n";
	wait_until(sub { slurp_file($out) =~ /ready/ }, "session of $user") unless $sql =~ /pg_sleep/;
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'session$sessions' AND query ~ 'pg_sleep'") }, "session of $user sleeps")
	  if $sql =~ /pg_sleep/;
	return { in => $in, out => $out, name => "session$sessions" };
}
sub goes_on
{
	my ($session, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';
	print { $session->{in} } "$sql\n\\q\n";
	close $session->{in};
	return slurp_file($session->{out});
}
sub is_there { return $node->safe_psql('one', "SELECT count(*) FROM pg_stat_activity WHERE application_name = '$_[0]->{name}'") }
my $insist = 'SET LOCAL idle_in_transaction_session_timeout = 0;';
sub resumed { $node->safe_psql('one', q{SELECT two.people($$resume_agent('deploy-bot', 'test')$$)}); return }

my $sits = session('dan', "BEGIN; SELECT claiim.expire_changes(); $insist");
my ($out, $code, $err) = as('ann', "SELECT claiim.deactivate_human('dan', 'left in anger')");
is($code, '', 'a human who sits in a transaction is deactivated all the same') || diag($err);
like($err, qr/WARNING:.*ending the session of role "dan"/, '... which says whose session it ends');
is($node->safe_psql('one', "SELECT status FROM claiim.humans WHERE human = 'dan'"), 'inactive', '... and the human is inactive');
like(goes_on($sits, 'COMMIT;'), qr/57P01/, '... and that session is at its end');
$node->safe_psql('one', q{SELECT two.people($$reactivate_human('dan')$$)});

my @several = map { session('dan', "BEGIN; SAVEPOINT a; SELECT claiim.expire_changes(); RELEASE a; $insist") } 1 .. 3;
push @several, session('dan', 'BEGIN; SELECT claiim.expire_changes(); SELECT pg_sleep(600);');
is((as('ann', "SELECT claiim.deactivate_human('dan', 'left in anger')"))[1], '', 'nor do several sessions help, nor one that is busy, nor a savepoint');
ok(wait_until(sub { join(' ', map { is_there($_) } @several) eq '0 0 0 0' }, 'they leave'), '... none of them is left');
goes_on($_, '') for @several;
$node->safe_psql('one', q{SELECT two.people($$reactivate_human('dan')$$)});

$change = propose();
$sits = session('cat', "BEGIN; SELECT claiim.approve('$change'); $insist");
is((as('ann', "SELECT claiim.suspend_agent('deploy-bot', 'now')"))[1], '', 'an agent that somebody is changing is suspended');
is($node->safe_psql('one', "SELECT status FROM claiim.agents WHERE agent = 'deploy-bot'"), 'suspended', '... at once');
is(status($change), 'pending', '... and what was not committed never was');
goes_on($sits, '');
resumed();

as('ann', q{SELECT claiim.publish_policy('base', 'deny: ["infra:**"]', 'acme')});
my ($baseline) = as('ann', q{SELECT claiim.bind_baseline('acme', 'base-v1')});
$sits = session('cat', "BEGIN; SELECT claiim.approve('$baseline'); $insist");
is((as('ann', "SELECT claiim.suspend_org('acme', 'now')"))[1], '', 'so is an organization');
goes_on($sits, '');
$node->safe_psql('one', q{SELECT two.people($$resume_org('acme')$$)});

# Whatever an agent is called, what it leaves open keeps no human; nor does the
# registration of one the next one's.
$node->safe_psql('one', q{CREATE ROLE roles_bot LOGIN; CREATE ROLE eve LOGIN; CREATE ROLE fay LOGIN; SELECT two.people($$register_agent('roles', 'acme', 'ann', '{}', 'roles_bot')$$)});
$sits = session('roles_bot', "BEGIN; SELECT claiim_request_session('roles', '{a:b}', '{c}', 'x');");
my ($eve, $fay) = map { (as('ann', "SELECT claiim.register_human('$_', '$_', NULL, 'acme', NULL)"))[0] } qw(eve fay);
is((as('bob', "SET lock_timeout = '5s'; SELECT claiim.approve('$eve')"))[0], 'applied', 'a human is registered while an agent asks for a session');
goes_on($sits, '');
my ($again) = as('ann', "SELECT claiim.register_agent('late', 'acme', 'ann', '{}', 'fay')");
$sits = session('cat', "BEGIN; SELECT claiim.approve('$fay'); $insist");
$node->safe_psql('one', 'CREATE ROLE gil LOGIN');
my ($gil) = as('ann', "SELECT claiim.register_human('gil', 'gil', NULL, 'acme', NULL)");
is((as('bob', "SET lock_timeout = '5s'; SELECT claiim.approve('$gil')"))[0], 'applied', 'and while another one is being registered');
is((as('bob', "SET lock_timeout = '500ms'; SELECT claiim.approve('$again')"))[1], '55P03', 'whose role waits');
like(goes_on($sits, 'COMMIT;'), qr/ready/, '... is bound');
is((as('bob', "SELECT claiim.approve('$again')"))[1], '42710', '... once');

# So are a token and a session, and what the glass was broken for.
my ($token) = as('ann', "SELECT token_id FROM claiim.issue_token('deploy-bot')");
for my $holding ('rotate_token(%s)', "revoke_token(%s, 'not now')")
{
	$sits = session('dan', sprintf("BEGIN; SELECT count(*) FROM claiim.$holding; $insist", "'$token'"));
	($out, $code, $err) = as('ann', "SELECT claiim.revoke_token('$token', NULL)");
	is("$code " . is_there($sits), '22004 1', 'who revokes a token without a reason ends nobody\'s session');
	($out, $code, $err) = as('ann', "SELECT claiim.revoke_token('$token', 'leaked')");
	is($code, '', 'a token that somebody holds (' . ($holding =~ /(\w+)/)[0] . ') is revoked') || diag($err);
	like($err, qr/WARNING:.*ending the session of role "dan"/, '... and it is said whose session that ends');
	is($node->safe_psql('one', "SELECT revoked_by FROM claiim.tokens WHERE token = '$token'"), 'ann', '... at once');
	goes_on($sits, 'COMMIT;');
	($token) = as('ann', "SELECT token_id FROM claiim.issue_token('deploy-bot')");
}
$sits = session('dan', "BEGIN; SELECT claiim.revoke_token('$token', 'not now'); $insist");
$node->safe_psql('one', q{CREATE ROLE zoe LOGIN; SELECT two.people($$register_org('far', NULL, 'ann', 'bob')$$); SELECT two.people($$register_human('zoe', 'zoe', NULL, 'far', '{admin}')$$)});
is((as('zoe', "SELECT claiim.revoke_token('$token', 'x')"))[1] . ' ' . is_there($sits), '42501 1', 'who does not administer the agent ends nobody\'s');
goes_on($sits, 'ROLLBACK;');

my $opened = $node->safe_psql('one', q{SELECT two.people($$propose_session('deploy-bot', '{deploy:*}', '{**}', 'work')$$)});
my ($session) = $node->safe_psql('one', "SELECT session FROM claiim.sessions WHERE change = '$opened'");
$sits = session('cat', "BEGIN; SELECT claiim.revoke_session('$session', 'not now'); $insist");
is((as('ann', "SELECT claiim.revoke_session('$session', 'now')"))[1], '', 'a session that somebody holds is revoked');
is($node->safe_psql('one', "SELECT status || ' by ' || decided_by FROM claiim.sessions WHERE session = '$session'"), 'revoked by ann', '... at once');
goes_on($sits, 'COMMIT;');
is((as('dan', "SELECT claiim.revoke_session('$session', 'too')"))[1], '55000', '... once');

($change) = as('ann', "SELECT claiim.set_skills('deploy-bot', '{deploy,glass}')");
($review) = as('ann', "SELECT claiim.break_glass('$change', 'a fire')");
$sits = session('cat', "BEGIN; SELECT claiim.close_review('$review', 'justified', 'not yet'); $insist");
is((as('bob', "SELECT claiim.close_review('$review', 'unjustified', 'there was no fire')"))[1], '', 'what is found unjustified waits for nobody who finds it justified');
is($node->safe_psql('one', "SELECT status FROM claiim.agents WHERE agent = 'deploy-bot'"), 'suspended', '... and is suspended at once');
goes_on($sits, 'COMMIT;');
is($node->safe_psql('one', "SELECT closed_by FROM claiim.reviews WHERE review = '$review'"), 'bob', '... for good');
resumed();

# Who is about to finish is given the time.
$change = propose();
$sits = session('cat', "BEGIN; SELECT claiim.approve('$change');");
my $suspending = background($node, 'one', "SET lock_timeout = '100s'; SELECT claiim.suspend_agent('deploy-bot', 'soon');\n", user => 'ann');
wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ann' AND query ~ 'suspend_agent' AND state = 'active'") }, 'ann waits');
like(goes_on($sits, 'COMMIT;'), qr/ready/, 'as long as lock_timeout says');
wait_for_all($suspending);
is($suspending->{stderr}, '', '... nobody\'s session is ended');
is(status($change), 'applied', '... what came first has taken effect');
is($node->safe_psql('one', "SELECT status FROM claiim.agents WHERE agent = 'deploy-bot'"), 'suspended', '... and then the suspension');
resumed();

# No session to end
is((as('dan', "BEGIN; SELECT claiim.expire_changes(); PREPARE TRANSACTION 'p'"))[1], '0A000', 'what governance has locked is not kept by a prepared transaction');
is((as('ann', "BEGIN; SELECT claiim.suspend_agent('deploy-bot', 'x'); PREPARE TRANSACTION 'p'"))[1], '0A000', '... still less an act');
$node->safe_psql('one', "BEGIN; SELECT FROM claiim.agents FOR UPDATE; PREPARE TRANSACTION 'dba'");
($out, $code, $err) = as('ann', "SELECT claiim.suspend_agent('deploy-bot', 'now')");
is($code, '55P03', 'a superuser\'s prepared transaction: an error');
like($err, qr/ROLLBACK PREPARED/, '... that says what to do');
$node->safe_psql('one', "ROLLBACK PREPARED 'dba'");
$sits = session($node->safe_psql('postgres', 'SELECT current_user'), 'BEGIN; SELECT FROM claiim.agents FOR UPDATE;');
is((as('ann', "SELECT claiim.suspend_agent('deploy-bot', 'now')"))[1], '', 'a superuser\'s session is no better than another');
goes_on($sits, '');
resumed();

# Nor does a transaction that governs sit idle for long, if its human does not insist.
my $show = 'SHOW idle_in_transaction_session_timeout;';
is((as('dan', "$show BEGIN; $show SELECT claiim.expire_changes(); $show COMMIT; $show"))[0], "0\n0\n0\n30s\n0", 'a transaction that governs ends after 30 idle seconds');
is((as('dan', "SET idle_in_transaction_session_timeout = '5s'; BEGIN; SELECT claiim.expire_changes(); $show COMMIT;"))[0], "0\n5s", '... or sooner, if it was to');
is((as('dan', "BEGIN; SAVEPOINT a; SELECT claiim.expire_changes(); ROLLBACK TO a; $show SELECT claiim.expire_changes(); $show"))[0], "0\n0\n0\n30s", '... also after a savepoint');

# ---- what a log finds when it is opened ----

my $digests = 'SELECT string_agg(table_name || row_count || sha256, E\'\n\' ORDER BY table_name) FROM claiim.registry_digests()';
my $found = "SELECT string_agg(key || (value->>'rows') || (value->>'sha256'), E'\\n' ORDER BY key) FROM claiim.chron, jsonb_each(detail::jsonb->'tables') WHERE act = 'log.open' AND seq = (SELECT max(seq) FROM claiim.chron WHERE act = 'log.open')";
my $before = $node->safe_psql('one', $digests);
my $dump = $node->basedir . '/one.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('one') ], 'a dump');
for my $db ('copy', 'forged')
{
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr($db), '-o', '/dev/null' ], "restored as $db");
}
$node->safe_psql('forged', "INSERT INTO claiim.memberships (human, org, capability) VALUES ('cat', 'acme', 'admin')");
for my $db ('copy', 'forged') { is(ask($node, $db, 'x'), 'ALLOW', "the gate of $db answers") }
is($node->safe_psql('copy', $found), $before, 'the log of a restored database says that it found what was dumped');
my %diff = map { $_ => 1 } split /\n/, $node->safe_psql('forged', $found);
delete $diff{$_} for split /\n/, $before;
is(join(' ', map { /^([a-z_]+?)\d/ } keys %diff), 'memberships', 'and of one into which somebody has put a row, in which table');
is($node->safe_psql($_, 'SELECT ok FROM claiim.verify()'), 't', "$_ verifies") for ('one', 'copy', 'forged');

# More than one text can hold.
my $sha256 = Digest::SHA->new(256);
my $line = 'x' x 100_000;
$sha256->add($_ > 1 ? "\n" : '', $line) for 1 .. 11_000;
is($node->safe_psql('one', "SELECT row_count, sha256 FROM claiim._lines_sha256('SELECT repeat(''x'', 100000) FROM generate_series(1, 11000)')"),
	'11000|' . $sha256->hexdigest, 'a registry of more than a gigabyte has a digest like any other');
is($node->safe_psql('one', "SELECT row_count, sha256 FROM claiim._lines_sha256('SELECT NULL::text WHERE false')"),
	'0|' . Digest::SHA::sha256_hex(''), 'and so has an empty one');

$node->stop;
done_testing();
