# What those would try who want more than they may, or want it to be forgotten:
# tokens in the log, contexts that blow up, a Chron that is dropped with its
# owner, partitions made by hand.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('hostile', start => 0);
my $extensions = $node->config_data('--sharedir') . '/extension';
my $has_statements = -e "$extensions/pg_stat_statements.control";
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'claiim" . ($has_statements ? ',pg_stat_statements' : '') . "'\n");
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $verbose = [ '-v', 'VERBOSITY=verbose' ];
set_up($node, 'one');
$node->safe_psql('one', 'CREATE EXTENSION pg_stat_statements') if $has_statements;

# Tokens.  The log takes all that it can: statements, parameters, contexts.
{
	my %token = map { $_ => $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot', label => '$_')") }
	  qw(literal bound plpgsql misplaced misplaced_bound failing rotating);
	# wrong ones: never issued, but of the form
	$token{"${_}_wrong"} = $token{$_} =~ s/(?<=_)(.)(.{42})$/($1 eq 'A' ? 'B' : 'A') . reverse($2)/er for qw(literal bound);
	$token{other} = $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token('deploy-bot')") =~ s/.(.)$/${1}A/r;
	my $offset = -s $node->logfile;

	$node->append_conf('postgresql.conf', <<'CONF');
log_statement = all
log_min_duration_statement = 0
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_min_messages = info
log_min_error_statement = info
log_error_verbosity = verbose
log_line_prefix = '%m [%p] %a '
CONF
	$node->reload;
	wait_until(sub { $node->safe_psql('one', 'SHOW log_statement') eq 'all' }, 'everything is logged');

	my $ask = sub { "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'token', token => $_[0])" };
	my $client = background($node, 'one', <<"SQL", user => $superuser);
@{[ $ask->("'$token{literal}'") ]};
@{[ $ask->("'$token{literal_wrong}'") ]};
@{[ $ask->("'$token{other}'") ]};
SELECT outcome FROM claiim_check_many('deploy-bot', '{deploy:staging}', '{token}', token => '$token{literal}');
BEGIN; SELECT claiim_authenticate('deploy-bot', '$token{literal}'); SELECT claiim_authenticate('deploy-bot', '$token{literal_wrong}'); COMMIT;
PREPARE p (text) AS @{[ $ask->('$1') ]};
EXECUTE p ('$token{literal}');
EXECUTE p ('$token{literal_wrong}');
SELECT outcome FROM claiim_check('$token{misplaced}', 'deploy:staging', 'token');
SELECT outcome FROM claiim_check('deploy-bot', '$token{misplaced}', 'token');
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', '$token{misplaced}');
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'token', session => '$token{misplaced}');
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'token', context => '{"authorization": "Bearer $token{misplaced}"}');
DO \$\$BEGIN PERFORM claiim_check('deploy-bot', 'deploy:staging', 'token', token => '$token{plpgsql}'); PERFORM 1/0; END\$\$;
DO \$\$BEGIN EXECUTE 'SELECT claiim_check(''deploy-bot'', ''deploy:staging'', ''token'', token => ''$token{plpgsql}''), 1/0'; END\$\$;
DO \$\$BEGIN EXECUTE 'SELECT claiim_check(''deploy-bot'', ''deploy:staging'', ''to*ken'', token => \$1), 1/0' USING '$token{plpgsql}'; END\$\$;
DO \$\$BEGIN EXECUTE 'SELECT claiim_check(''deploy-bot'', ''deploy:staging'', ''token'', tokn => ''$token{plpgsql}'')'; END\$\$;
DO \$\$DECLARE t text := '$token{plpgsql}'; BEGIN RAISE WARNING 'its token is %', t USING DETAIL = t, HINT = 'try ' || t; END\$\$;
DO \$\$DECLARE t text := '$token{plpgsql}'; BEGIN PERFORM t::int; END\$\$;
SELECT '$token{failing}'::uuid, claiim_check('deploy-bot', 'deploy:staging', 'token', token => '$token{failing}');
SELECT claiim_check('deploy-bot', 'deploy:staging', 'token', tokn => '$token{failing}');
SELECT claiim_check('deploy-bot', 'deploy:staging', 'token', token => '$token{failing}';
SELECT claiim_check('deploy-bot', 'deploy:staging', 'token', token => \"$token{failing}\");
SET application_name = '$token{failing}'; SELECT 1/0;
SQL
	wait_for_all($client);
	is($client->{stdout}, "ALLOW\nDENY\nDENY\nALLOW\n\nALLOW\nDENY\n", 'tokens in the text of statements are right and wrong as they should be')
	  or diag($client->{stderr});
	is(scalar(() = $client->{stderr} =~ /22023: (?:agent|action|target|session|context) contains a token/g), 5, '... in the wrong place they are refused');

	# What issues, rotates and revokes: a token comes out of it, and does not
	# belong into it.
	my ($id) = $token{rotating} =~ /^(ctk_[0-9a-z]{26})/;
	my $human = background($node, 'one', <<"SQL", user => 'ann');
SELECT token FROM claiim.rotate_token('$id');
SELECT claiim.rotate_token('$token{rotating}');
SELECT claiim.rotate_token('$id', '$token{rotating}');
SELECT claiim.revoke_token('$token{rotating}', 'leaked');
SELECT claiim.revoke_token('$id', 'leaked: $token{rotating}');
SELECT claiim.issue_token('deploy-bot', label => '$token{rotating}');
SELECT claiim.issue_token('$token{rotating}');
PREPARE r (text) AS SELECT claiim.rotate_token(\$1);
EXECUTE r ('$token{rotating}');
SQL
	wait_for_all($human);
	like($human->{stdout}, qr/\Actk_[0-9a-z]{26}_[\w-]{43}\n\z/, 'a token that is rotated is shown');
	is(scalar(() = $human->{stderr} =~ /ERROR:/g), 7, '... one that is passed to what takes an identifier is an error');
	my @errors = $human->{stderr} =~ /ERROR:\s+(\S+: [^\n]*)/g;
	is(scalar(grep { index($_, substr $token{rotating}, -43) >= 0 } @errors[ 0, 2 .. 6 ]), 0, '... which does not repeat it');
	($token{rotated}) = $human->{stdout} =~ /^(\S+)/;
	is($node->safe_psql('one', $ask->("'$token{rotated}'")), 'ALLOW', '... and the one that was shown is good');

	# Bound, by the extended protocol, which psql does not speak.  (pgbench takes
	# ":staging" for a variable of its own, wherever it stands.)
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $scripts = 0;
	my $bound = sub {
		my ($sql, $token) = @_;
		my $script = "$dir/" . ++$scripts . '.sql';
		append_to_file($script, $sql =~ s/deploy:staging/deploy'||chr(58)||'staging/r . "\n");
		my ($out, $err);
		IPC::Run::run([ $node->installed_command('pgbench'), '-n', '-t1', '-M', 'prepared', '-f', $script, '-D', "token=$token",
				$node->connstr('one') ], '>', \$out, '2>', \$err);
		return "$out$err";
	};
	my $from = "FROM claiim_check('deploy-bot', 'deploy:staging', 'token', token => :token)";
	like($bound->("SELECT 1 / (count(*) FILTER (WHERE outcome = 'ALLOW')) $from", $token{bound}), qr{actually processed: 1/1}, 'bound: the right one');
	like($bound->("SELECT 1 / (count(*) FILTER (WHERE outcome = 'DENY')) $from", $token{bound_wrong}), qr{actually processed: 1/1}, '... a wrong one');
	like($bound->("SELECT 1 / (count(*) FILTER (WHERE outcome = 'DENY')) $from", $token{bound}), qr/division by zero/, '... in a statement that fails');
	like($bound->("SELECT (:token)::int", $token{bound}), qr/invalid input syntax/, '... where it is no token');
	like($bound->('SELECT * FROM claiim.rotate_token(:token)', $token{misplaced_bound}), qr/is not the role of a registered human/, '... in the place of an identifier');
	for my $place ("claiim_check(:token, 'deploy:staging', 'token')", "claiim_check('deploy-bot', :token, 'token')",
		"claiim_check('deploy-bot', 'deploy:staging', :token)", "claiim_check('deploy-bot', 'deploy:staging', 'token', session => :token)",
		"claiim_check('deploy-bot', 'deploy:staging', 'token', context => to_jsonb(:token::text))")
	{
		my $said = $bound->("SELECT * FROM $place", $token{misplaced_bound});
		like($said, qr/(?:agent|action|target|session|context) contains a token/, "... in the wrong place: $place");
		unlike($said, qr/\Q@{[ substr $token{misplaced_bound}, -43 ]}\E/, '... and not repeated to the caller');
	}

	my $log = substr slurp_file($node->logfile), $offset;
	like($log, qr/\$\d+ = 'ctk_[0-9a-z]{26}_\*{43}'/, 'the log has parameters, masked');
	like($log, qr/statement: PREPARE p .*ctk_|statement: EXECUTE p \('ctk_[0-9a-z]{26}_\*{43}'\)/, '... and statements, masked');
	like($log, qr/LOG: .*duration: /, '... and durations');
	for my $name (sort keys %token)
	{
		my $secret = substr $token{$name}, -43;
		my @found = grep { index($log, $_) >= 0 } $secret, substr($secret, 0, 20), substr($secret, -20);
		is("@found", '', "the log has not the secret part of the token \"$name\"")
		  or diag(join "\n", grep { /\Q$found[0]\E/ } split /\n/, $log);
	}
  SKIP:
	{
		skip 'there is no pg_stat_statements', 2 unless $has_statements;
		my $secrets = join ',', map { "'" . substr($token{$_}, -43) . "'" } grep { /bound/ } keys %token;
		is($node->safe_psql('one', "SELECT count(*) FROM pg_stat_statements, unnest(ARRAY[$secrets]) AS s WHERE query LIKE '%' || s || '%'"), 0,
			'pg_stat_statements has no token that was bound');
		cmp_ok($node->safe_psql('one', "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'token => \\\$1'"), '>', 0, '... but the statements that they were bound to');
	}
	$node->append_conf('postgresql.conf', "log_statement = none\nlog_min_duration_statement = -1\n");
	$node->reload;
}

# A context of a few kilobytes that is a gigabyte of text
{
	my $client = background($node, 'one', <<'SQL', user => $superuser);
SELECT claiim_check('x', 'a', 'b');
SELECT claiim_check('x', 'a', 'b', context => (SELECT jsonb_agg('1e131071'::numeric) FROM generate_series(1, 7000)));
SELECT claiim_check_many('x', '{a}', '{b}', context => (SELECT jsonb_object_agg(i, '1e131071'::numeric) FROM generate_series(1, 7000) AS i));
SELECT claiim_check('x', 'a', 'b', context => (SELECT jsonb_agg('1e-16383'::numeric) FROM generate_series(1, 60000)));
SELECT claiim_check('x', 'a', 'b', context => jsonb_build_object('a', repeat('x', 200000000)));
SQL
	wait_for_all($client);
	is(scalar(() = $client->{stderr} =~ /ERROR:\s+54000: context is too large/g), 4, 'a context that is small until it is text is refused');
	my $memory = background($node, 'one', <<'SQL', user => $superuser);
SELECT claiim_check('x', 'a', 'b', context => (SELECT jsonb_agg('1e131071'::numeric) FROM generate_series(1, 7000)));
SELECT claiim_check_many('x', '{a}', '{b}', context => (SELECT jsonb_object_agg(i, '1e131071'::numeric) FROM generate_series(1, 7000) AS i));
SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+) kB');
SQL
	wait_for_all($memory);
  SKIP:
	{
		skip 'the server cannot read /proc here', 1 unless $memory->{stdout} =~ /^(\d+)$/;
		cmp_ok($1, '<', 200 * 1024, '... and without much memory: ' . int($1 / 1024) . ' MB');
	}
}

# DROP OWNED BY, where the extension is not the bootstrap superuser's, whose
# objects nobody can drop
{
	$node->safe_psql('postgres', 'CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE heir SUPERUSER LOGIN; CREATE DATABASE owned OWNER boss');
	$node->safe_psql('owned', 'SET client_min_messages = error; SET SESSION AUTHORIZATION boss; CREATE EXTENSION claiim CASCADE');
	is(ask($node, 'owned', 'x', user => $superuser), 'DENY', 'an extension of an owner of its own: the gate answers');
	my $partition = $node->safe_psql('owned', 'SELECT max(tableoid::regclass::text) FROM claiim.chron');
	is($node->safe_psql('owned', "SELECT relowner::regrole FROM pg_class WHERE oid = '$partition'::regclass"), 'boss', '... and Chron is its owner\'s');
	for my $drop ('DROP OWNED BY boss', 'DROP OWNED BY boss CASCADE', 'DROP EXTENSION claiim', "DROP TABLE $partition")
	{
		(undef, undef, my $err) = $node->psql('owned', $drop, extra_params => $verbose);
		is(error_of($err), "2BP01: Chron has records in $partition, which this would remove for good", "$drop: refused");
	}
	(undef, undef, my $err) = $node->psql('owned', "BEGIN; SET LOCAL claiim.allow_drop_chron = on; DROP OWNED BY boss CASCADE; SELECT to_regclass('$partition') IS NULL; ROLLBACK", extra_params => $verbose);
	is($err, '', '... but not if it is meant');
	my @load = map { my $client = $_; background($node, 'owned', join('', map { "SELECT outcome, chron_id FROM claiim_check('x', 'a', 'load/owned/$client/$_');\n" } 1 .. 20_000), user => $superuser) } 1 .. 4;
	for my $sql ('DROP OWNED BY heir', 'REASSIGN OWNED BY boss TO heir', 'DROP OWNED BY boss CASCADE', 'REASSIGN OWNED BY heir TO boss', 'REASSIGN OWNED BY boss TO heir')
	{
		wait_for_load(lines_of(@load) + 40, @load);
		is(($node->psql('owned', $sql))[0], 0, "$sql, under load");
	}
	wait_for_load(lines_of(@load) + 40, @load);
	kill 'TERM', map { $_->{pid} } @load;
	my @answers = answers_of(@load);
	is(join('', map { $_->{stderr} } @load), '', '... and nobody notices');
	is($node->safe_psql('owned', "SELECT relowner::regrole FROM pg_class WHERE oid = '$partition'::regclass"), 'heir', 'who inherits it has Chron');
	is(ask($node, 'owned', 'x', user => $superuser), 'DENY', '... has a gate that answers');
	chron_is_sound($node, 'owned', 'inherited', @answers);
}

# Not logged: gone after a crash
{
	my $partition = $node->safe_psql('one', 'SELECT max(tableoid::regclass::text) FROM claiim.chron');
	$node->safe_psql('one', "ALTER TABLE $partition SET UNLOGGED");
	my ($out, $err);
	$node->psql('one', "SELECT outcome FROM claiim_check('x', 'a', 'unlogged')", stdout => \$out, stderr => \$err, extra_params => $verbose);
	is($out . error_of($err), '42809: no answer: the decision could not be recorded', 'a partition that is not logged: no answer');
	like($err, qr/DETAIL:  partition \Q$partition\E is not logged: a record in it would not survive a crash\./, '... which says so');
	end_writer($node, 'one');
	like(ask($node, 'one', 'unlogged', set => ["claiim.queue_timeout = '1500ms'"]), qr/^(?:42809|57P03): /, '... nor by the next writer');
	$node->safe_psql('one', "ALTER TABLE $partition SET LOGGED");
	wait_until(sub { ask($node, 'one', 'logged') eq 'ALLOW' }, 'the gate opens when it is logged again');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'unlogged'"), 0, '... and what was refused is not recorded');
	chron_is_sound($node, 'one', 'logged again');
}

# An error of the writer's that is longer than there is room for, in characters of
# two bytes
{
	$node->safe_psql('one', <<'SQL');
CREATE TABLE two.failing ();
CREATE FUNCTION two.fail(target text, act text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF (target = 'long error' OR act = 'writer.start') AND to_regclass('two.failing') IS NULL THEN
		RAISE EXCEPTION '%', repeat(chr(233), 300);
	END IF;
	RETURN 1;
END
$$;
CREATE INDEX failing ON claiim.chron (two.fail(target, act));
DROP TABLE two.failing;
SQL
	my $long = qr/(?:\xc3\xa9){125,127}\.\.\./;
	my (undef, undef, $err) = $node->psql('one', "SELECT FROM claiim_check('x', 'a', 'long error')", extra_params => $verbose);
	like($err, qr/DETAIL:  $long/, 'an error that is too long is cut between characters');
	end_writer($node, 'one');
	ask($node, 'one', 'x', set => ["claiim.queue_timeout = '100ms'"]);
	wait_until(sub { $node->safe_psql('one', "SELECT writer_error <> '' FROM claiim.pg_stat_claiim") eq 't' }, 'a start has failed');
	(undef, undef, $err) = $node->psql('one', "SET claiim.queue_timeout = '1500ms'; SELECT FROM claiim_check('x', 'a', 'b')", extra_params => $verbose);
	like($err, qr/DETAIL:  The last start failed: $long/, '... also that of a start');
	like($node->safe_psql('one', "SELECT convert_to(writer_error, 'UTF8') FROM claiim.pg_stat_claiim"), qr/^\\x(?:c3a9){125,127}2e2e2e$/, '... where it is shown');
	$node->safe_psql('one', 'DROP INDEX claiim.failing');
	wait_until(sub { ask($node, 'one', 'short again') eq 'ALLOW' }, 'the gate opens when it is gone');
	chron_is_sound($node, 'one', 'after long errors');
}

# A partition that somebody made by hand: rightly named, wrongly bounded
{
	$node->safe_psql('postgres', 'CREATE DATABASE bounds');
	$node->safe_psql('bounds', 'SET client_min_messages = error; CREATE EXTENSION claiim CASCADE');
	my $name = $node->safe_psql('bounds', q{SELECT to_char(now() AT TIME ZONE 'UTC', '"claiim.chron_y"YYYY"m"MM')});
	$node->safe_psql('bounds', "CREATE TABLE $name PARTITION OF claiim.chron FOR VALUES FROM ('1999-01-01Z') TO ('1999-02-01Z')");
	my ($out, $err);
	ask($node, 'bounds', 'x', user => $superuser, set => ["claiim.queue_timeout = '100ms'"]);
	wait_until(sub { $node->safe_psql('bounds', "SELECT writer_error <> '' FROM claiim.pg_stat_claiim") eq 't' }, 'a start has failed');
	$node->psql('bounds', "SET claiim.queue_timeout = '3s'; SELECT outcome FROM claiim_check('x', 'a', 'b')",
		stdout => \$out, stderr => \$err, extra_params => $verbose);
	is($out . error_of($err), "57P03: the decision was not taken: Chron's writer did not start within claiim.queue_timeout", 'a partition with the wrong bounds: no answer');
	(my $table = $name) =~ s/claiim\.//;
	like($err, qr/DETAIL:  The last start failed: new row for relation "$table" violates partition constraint\./, '... which says so');
	unlike(slurp_file($node->logfile), qr/terminated by signal/, '... and nobody crashed');
	is($node->safe_psql('bounds', "SELECT count(*) FROM $name"), 0, '... and nothing in it');
	$node->safe_psql('bounds', "SET claiim.allow_drop_chron = on; DROP TABLE $name");
	wait_until(sub { ask($node, 'bounds', 'x', user => $superuser) eq 'DENY' }, 'the gate opens when it is gone');

	# The same under a writer that runs, and knows the right one
	$node->safe_psql('bounds', <<"SQL");
BEGIN;
SET LOCAL claiim.allow_drop_chron = on;
ALTER TABLE $name RENAME TO renamed;
CREATE TABLE $name PARTITION OF claiim.chron FOR VALUES FROM ('1999-01-01Z') TO ('1999-02-01Z');
COMMIT;
SQL
	is(ask($node, 'bounds', 'x', user => $superuser), '23514: no answer: the decision could not be recorded', 'put in the place of the right one: no answer');
	unlike(slurp_file($node->logfile), qr/terminated by signal/, '... and nobody crashed');
	is($node->safe_psql('bounds', "SELECT count(*) FROM $name"), 0, '... and nothing in it');
	$node->safe_psql('bounds', "SET claiim.allow_drop_chron = on; DROP TABLE $name; ALTER TABLE claiim.renamed RENAME TO $table");
	wait_until(sub { ask($node, 'bounds', 'x', user => $superuser) eq 'DENY' }, 'the gate opens when the right one is back');
	chron_is_sound($node, 'bounds', 'the right one is back');
}

# Calls of claiim's own functions are counted, where humans approve.  One that
# comes among them while it runs must not put the count out.
{
	$node->safe_psql('one', 'CREATE SCHEMA bobs AUTHORIZATION bob; GRANT CREATE ON SCHEMA claiim TO bob');
	my $change = $node->safe_psql('one', q{SET SESSION AUTHORIZATION ann; SELECT claiim.set_skills('deploy-bot', '{deploy,other}')});
	my ($out, $err);
	$node->psql('one', <<"SQL", stdout => \$out, stderr => \$err, extra_params => [ '-U', 'bob', @$verbose ]);
CREATE FUNCTION bobs.move() RETURNS int LANGUAGE plpgsql SET work_mem = '1MB' AS
	\$\$BEGIN ALTER FUNCTION bobs.move() SET SCHEMA claiim; RETURN 1; END\$\$;
SELECT bobs.move();
DROP FUNCTION claiim.move();
SELECT claiim.approve('$change');
SQL
	is("$out$err", "1\napplied", 'a function that is moved to schema claiim while it runs keeps nobody from approving');
	$node->safe_psql('one', 'REVOKE CREATE ON SCHEMA claiim FROM bob; DROP SCHEMA bobs');
}

$node->stop;
done_testing();
