# A session's last use is taken exactly once: by whichever of fifty callers at
# once, whatever becomes of their transactions, of the batch, of the writer.  As
# many ALLOWs as there are in Chron stand in the table, and never more than were
# granted.  And what became of an action is recorded once, by one of those who
# say it at the same time.

use strict;
use warnings;

use ClaiimTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('sessions');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');
$node->safe_psql('one', <<'SQL');
BEGIN;
SET LOCAL SESSION AUTHORIZATION ann;
SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow:\n  - deploy:staging\n  - {action: deploy:gated, requires: session}\n', 'acme');
COMMIT;
SELECT two.people($$bind_policy('deploy-bot', 'p-v2')$$);
CREATE TABLE two.gate (i int);
GRANT USAGE ON SCHEMA two TO deploy;
GRANT SELECT ON two.gate TO deploy;
SQL

# Two humans open a session for these targets; its identifier.
sub open_session
{
	my ($targets, $uses) = @_;
	my $change = $node->safe_psql('one', "SELECT two.people(\$\$propose_session('deploy-bot', '{deploy:gated}', '{$targets}', 'test', max_uses => $uses)\$\$)");
	return $node->safe_psql('one', "SELECT session FROM claiim.sessions WHERE change = '$change'");
}

# "used|ALLOWs in Chron|ALLOWs without the approving human"
sub uses_of
{
	my ($session) = @_;
	return $node->safe_psql('one', <<"SQL");
SELECT coalesce((SELECT used FROM claiim.session_uses WHERE session = '$session'), 0),
	count(*), count(*) FILTER (WHERE approved_by IS DISTINCT FROM 'bob')
FROM claiim.chron WHERE session = '$session' AND outcome = 'ALLOW'
SQL
}

sub check
{
	my ($target, $session) = @_;
	return "SELECT outcome, chron_id, reason_code FROM claiim_check('deploy-bot', 'deploy:gated', '$target'"
	  . ($session ? ", session => '$session'" : '') . ");\n";
}
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'");
}
sub errors_of { return map { $_->{stderr} =~ /(?:ERROR|FATAL):\s+(\S+: [^\n]*)/g } @_ }
sub count_of { my ($what, @answers) = @_; return scalar grep { $_->[0] eq $what } @answers }

# One caller of each kind.  All of them stop before the gate until it is opened.
my $stop = "SELECT count(*) FROM two.gate;\n";
my @kinds = (
	sub { return $stop . check(@_) },
	sub { return "BEGIN;\n$stop" . check(@_) . "ROLLBACK;\n" },
	sub { return "BEGIN;\n$stop" . "SAVEPOINT s;\n" . check(@_) . "ROLLBACK TO s;\n" . "COMMIT;\n" },
	sub {
		my ($target, $session) = @_;
		return "PREPARE q(text) AS SELECT outcome, chron_id, reason_code FROM claiim_check('deploy-bot', 'deploy:gated', \$1"
		  . ($session ? ", session => '$session'" : '') . ");\n$stop" . "EXECUTE q('$target');\nEXECUTE q('$target/b');\n";
	},
	sub {
		my ($target, $session) = @_;
		return "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;\n$stop" . check(@_) . check("$target/b", $session) . "COMMIT;\n";
	},
	sub { return "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;\n$stop" . check(@_) . "ROLLBACK;\n" },
	sub {
		my ($target, $session) = @_;
		return $stop . "SELECT outcome, chron_id, reason_code FROM claiim_check_many('deploy-bot', array_fill('deploy:gated'::text, '{3}'), '{$target/1,$target/2,$target/3}'"
		  . ($session ? ", session => '$session'" : '') . ");\n";
	},
	sub { return $stop . "DO \$\$BEGIN PERFORM 1 / 0 FROM claiim_check('deploy-bot', 'deploy:gated', '$_[0]/lost'); EXCEPTION WHEN division_by_zero THEN NULL; END\$\$;\n" . check(@_) },
);

# Of fifty, one or some get what is left.
for my $uses (1, 1, 2, 37)
{
	my $name = "load/uses$uses/" . int(time * 1000);
	my $session = open_session("$name/**", $uses);
	my $human = background($node, 'one', "BEGIN; LOCK TABLE two.gate IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(100);", user => $superuser);
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM pg_locks WHERE relation = 'two.gate'::regclass AND mode = 'AccessExclusiveLock' AND granted") }, 'the gate is shut');
	# Half of them pass the session; for the others it is found.
	my @callers = map { background($node, 'one', $kinds[ $_ % @kinds ]->("$name/$_", $_ % 3 ? $session : undef)) } 1 .. 50;
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM pg_locks WHERE relation = 'two.gate'::regclass AND NOT granted") == 50 }, 'fifty stand before it');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()");
	wait_for_all($human, @callers);
	is(join("\n", errors_of(@callers)), '', "$uses use(s), fifty callers: no error");
	my %codes;
	$codes{$_}++ for map { $_->{stdout} =~ /^(?:ALLOW|DENY)\|chr_\w+\|(\w+)$/mg } @callers;
	my ($lost) = $node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target LIKE '$name/%/lost' AND outcome = 'ALLOW'");
	is(($codes{allowed} // 0) + $lost, $uses, "... $uses ALLOW(s)");
	is(uses_of($session), "$uses|$uses|0", '... as many uses are taken, as many ALLOWs are in Chron, each with the approving human');
	is(join(' ', grep { !/^(?:allowed|session_used_up|session_required)$/ } sort keys %codes), '',
		'... the others are told that it is used up, or that they need one');
	my @answers = map { my $out = $_->{stdout}; map { [ split /\|/ ] } $out =~ /^((?:ALLOW|DENY)\|chr_[0-9a-z]{26})/mg } @callers;
	chron_is_sound($node, 'one', "$uses use(s)", @answers);
	is($node->safe_psql('one', "SET SESSION AUTHORIZATION deploy; SELECT status, uses_left FROM claiim_session_status('deploy-bot', '$session')"), 'used_up|0',
		'... and the agent sees that none is left');
}

# Load inside of one session: each caller asks again and again, in transactions
# that are rolled back and in others.
my $loads = 0;
sub start_session_load
{
	my ($session, $clients, $calls) = @_;
	return map {
		my $client = ++$loads;
		background($node, 'one', join '', map {
			my $check = "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:gated', 'load/$client/$_'" . ($_ % 2 ? ", session => '$session'" : '') . ");\n";
			$_ % 3 ? $check : "BEGIN;\n${check}ROLLBACK;\n"
		} 1 .. $calls)
	} 1 .. $clients;
}

# The writer is terminated, again and again; what was in flight then is either
# recorded and counted, or neither.
{
	my $session = open_session('load/**', 700);
	my @load = start_session_load($session, 10, 80);
	for (1 .. 12)
	{
		usleep(40_000);
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'");
	}
	my @answers = answers_of(@load);
	my ($used, $allows) = split /\|/, uses_of($session);
	is($used, $allows, "a writer that is terminated: $used uses, and as many ALLOWs");
	cmp_ok($used, '>=', count_of('ALLOW', @answers), '... no fewer than were answered');
	cmp_ok($used, '<=', 700, '... no more than were granted');
	wait_for_all(start_session_load($session, 4, 200));
	is(uses_of($session), '700|700|0', '... and what was left of it is given, to the last use');
	chron_is_sound($node, 'one', 'terminated', @answers);
}

# The writer is killed, which takes the whole server down
{
	my $session = open_session('load/**', 600);
	my @answers;
	for my $round (1 .. 2)
	{
		my ($before) = split /\|/, uses_of($session);
		my @load = start_session_load($session, 8, 60);
		wait_until(sub { (split /\|/, uses_of($session))[0] > $before + 40 }, 'uses are being taken');
		kill 'KILL', writer_pid($node, 'one') || ();
		push @answers, answers_of(@load);
		wait_until(sub { $node->safe_psql('one', 'SELECT 1') }, 'the server is up again');
		my ($used, $allows, $anonymous) = split /\|/, uses_of($session);
		is("$used $anonymous", "$allows 0", "kill -9 of the writer, round $round: $used uses, and as many ALLOWs");
		cmp_ok($used, '>=', count_of('ALLOW', @answers), '... no fewer than were answered');
	}
	wait_for_all(start_session_load($session, 4, 150));
	is(uses_of($session), '600|600|0', '... and when all is up again, what was left is given, to the last use');
	chron_is_sound($node, 'one', 'killed', @answers);
}

# A batch that fails because of one record is tried again one by one: what was
# counted the first time is not counted twice.
{
	my $session = open_session('gated/**', 5);
	is(uses_of($session), '0|0|0', 'a new session has no uses');
	$node->safe_psql('one', check('gated/1', $session) =~ s/^/SET SESSION AUTHORIZATION deploy; /r);
	$node->safe_psql('one', q{CREATE INDEX poison ON claiim.chron ((1 / CASE target WHEN 'gated/poison' THEN 0 ELSE 1 END))});
	freeze(writer_pid($node, 'one'));
	my @callers = map { background($node, 'one', check("gated/$_", $session)) } 2 .. 3;
	wait_until(sub { waiting() == 2 }, 'two wait');
	push @callers, my $poison = background($node, 'one', check('gated/poison', $session));
	wait_until(sub { waiting() == 3 }, 'three wait');
	push @callers, map { background($node, 'one', check("gated/$_", $session)) } 4 .. 6;
	wait_until(sub { waiting() == 6 }, 'six wait');
	thaw();
	wait_for_all(@callers);
	$node->safe_psql('one', 'DROP INDEX claiim.poison');
	like($poison->{stderr}, qr/22012: no answer/, 'one record of a batch cannot be written');
	is(join(' ', sort map { $_->{stdout} =~ /(\w+)$/ } @callers), 'allowed allowed allowed allowed session_used_up',
		'... the uses that are left go to the others, each once');
	is(uses_of($session), '5|5|0', '... and are counted once');
	chron_is_sound($node, 'one', 'poison');
}

# Sessions are opened and revoked while the agent keeps asking.  In Chron, every
# ALLOW stands between the act that opens its session and the act that revokes it.
{
	my @load = map { background($node, 'one', check('free/x') x 4000) } 1 .. 8;
	for (1 .. 25)
	{
		my $session = open_session('free/**', 'NULL');
		usleep(rand 15_000);
		$node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.revoke_session('$session', 'race')");
		$node->safe_psql('one', "CREATE TABLE IF NOT EXISTS two.calm (session text, seq bigint); INSERT INTO two.calm SELECT '$session', max(seq) FROM claiim.chron");
	}
	kill 'TERM', map { $_->{pid} } @load;
	wait_for_all(@load);
	$node->safe_psql('one', "SELECT claiim_check('x', 'a', 'b')");
	is($node->safe_psql('one', <<'SQL'), '', 'no ALLOW inside of a session before the act that opens it or after the act that revokes it');
SELECT left(string_agg(c.seq::text, ', '), 300)
FROM claiim.chron c
	JOIN claiim.chron o ON o.act = 'session.grant' AND o.detail::jsonb ->> 'session' = c.session
	JOIN claiim.chron r ON r.act = 'session.revoke' AND r.detail::jsonb ->> 'session' = c.session
WHERE c.outcome = 'ALLOW' AND c.seq NOT BETWEEN o.seq AND r.seq
SQL
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron c JOIN two.calm w USING (session) WHERE c.outcome = 'ALLOW' AND c.seq > w.seq"), 0,
		'... nor any after the revocation has returned');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'free/x' AND outcome = 'ALLOW' AND session IS NULL"), 0, '... nor outside of one');
	my ($allow, $deny, $wrong) = split /\|/, $node->safe_psql('one', <<'SQL');
SELECT count(*) FILTER (WHERE outcome = 'ALLOW'), count(*) FILTER (WHERE reason_code = 'session_required'),
	count(*) FILTER (WHERE reason_code NOT IN ('allowed', 'session_required'))
FROM claiim.chron WHERE target = 'free/x'
SQL
	cmp_ok($allow, '>', 100, "there were enough ALLOWs for a race: $allow");
	cmp_ok($deny, '>', 100, "... and enough DENYs: $deny");
	is($wrong, 0, '... for no other reason');
	is($node->safe_psql('one', <<'SQL'), 0, '... and uses without a bound are counted as well');
SELECT count(*) FROM (
	SELECT session, count(*) AS n FROM claiim.chron WHERE target = 'free/x' AND outcome = 'ALLOW' GROUP BY session) AS c
	FULL JOIN (SELECT * FROM claiim.session_uses WHERE session IN (SELECT session FROM two.calm)) AS u USING (session)
WHERE n IS DISTINCT FROM used
SQL
	chron_is_sound($node, 'one', 'opened and revoked');
}

#
# Completions
#

sub allowed
{
	my ($target) = @_;
	return $node->safe_psql('one', "SET SESSION AUTHORIZATION deploy; SELECT chron_id FROM claiim_check('deploy-bot', 'deploy:staging', '$target')");
}
sub complete { return "SELECT claiim_complete('$_[0]', '$_[1]');\n" }

# Two say what became of one action at the same time, in one batch with others.
{
	my ($both, $other) = (allowed('both'), allowed('other'));
	freeze(writer_pid($node, 'one'));
	my @callers;
	for my $sql (complete($both, 'succeeded'), "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'beside');\n",
		complete($both, 'failed'), complete($other, 'cancelled'))
	{
		push @callers, background($node, 'one', $sql);
		wait_until(sub { waiting() == @callers }, scalar(@callers) . ' wait');
	}
	thaw();
	wait_for_all(@callers);
	like($callers[0]{stdout}, qr/^chr_\w{26}\n$/, 'two complete one action in one batch: the first is recorded');
	is(error_of($callers[2]{stderr}), "23505: the action of decision $both is completed already", '... the second is told so');
	is($callers[1]{stdout}, "ALLOW\n", '... a decision beside them is not disturbed');
	like($callers[3]{stdout}, qr/^chr_\w{26}\n$/, '... nor is another completion');
	is($node->safe_psql('one', "SELECT string_agg(detail, ' ' ORDER BY seq) FROM claiim.chron WHERE act = 'action.complete'"),
		'{"status": "succeeded"} {"status": "cancelled"}', '... and Chron has one record of each');
	is($node->safe_psql('one', "SELECT status FROM claiim.completions JOIN claiim.chron USING (seq) WHERE target = 'both'"), 'succeeded', '... of which the table says the same');
	unlike(slurp_file($node->logfile), qr/duplicate key/, '... nor did their batch fail, to be tried again one by one');
	chron_is_sound($node, 'one', 'two completions');
}

# Many at once, also in transactions that are rolled back; the writer is killed.
{
	my @ids = split /\n/, $node->safe_psql('one', <<'SQL');
SET SESSION AUTHORIZATION deploy;
SELECT chron_id FROM generate_series(1, 3) AS n, claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{100}'),
	(SELECT array_agg(format('many/%s/%s', n, i)) FROM generate_series(1, 100) AS i))
SQL
	my $all = scalar @ids;
	my @callers = map {
		my $caller = $_;
		background($node, 'one', join '', map { ("BEGIN;\n" . complete($_, 'succeeded') . "ROLLBACK;\n", complete($_, 'failed'), "BEGIN READ ONLY;\n" . complete($_, 'cancelled') . "COMMIT;\n")[ $caller % 3 ] } @ids)
	} 1 .. 12;
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM claiim.completions JOIN claiim.chron USING (seq) WHERE target LIKE 'many/%'") > 5 }, 'some are completed');
	kill 'KILL', writer_pid($node, 'one') || ();
	wait_for_all(@callers);
	wait_until(sub { $node->safe_psql('one', 'SELECT 1') }, 'the server is up again');
	my $answered = () = map { $_->{stdout} =~ /^chr_\w{26}$/mg } @callers;
	my $summary = <<'SQL';
SELECT count(*), count(DISTINCT k.seq), count(*) FILTER (WHERE c.subject = claiim.chron_id(d.seq, d.at) AND c.detail = format('{"status": "%s"}', k.status))
FROM claiim.completions k JOIN claiim.chron d USING (seq) LEFT JOIN claiim.chron c ON c.seq = k.completion_seq WHERE d.target LIKE 'many/%'
SQL
	my ($rows, $actions, $good) = split /\|/, $node->safe_psql('one', $summary);
	is("$actions $good", "$rows $rows", "twelve complete $all actions and the writer is killed: $rows are completed, each once, each with its record");
	cmp_ok($rows, '>=', $answered, "... among them the $answered that were answered");
	my @again = map { background($node, 'one', join '', map { complete($_, 'failed') } @ids) } 1 .. 4;
	wait_for_all(@again);
	is($node->safe_psql('one', $summary), "$all|$all|$all", '... and when all is up again the others, each by one of four');
	is(scalar(() = map { $_->{stdout} =~ /^chr_\w{26}$/mg } @again), $all - $rows, '... who alone is answered');
	is(join("\n", grep { !/^23505: / } errors_of(@again)), '', '... while the others are told that it is done');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.incomplete_actions WHERE target LIKE 'many/%'"), 0, '... nothing is left open');
	is($node->safe_psql('one', "SELECT count(*) - (SELECT count(*) FROM claiim.completions) FROM claiim.chron WHERE act = 'action.complete'"), 0, '... and no report is there that did not count');
	chron_is_sound($node, 'one', 'completions');
}

# A completion whose caller has left stands, and is not made a second time.
{
	my $id = allowed('left');
	freeze(writer_pid($node, 'one'));
	my $caller = background($node, 'one', complete($id, 'succeeded'));
	wait_until(sub { waiting() == 1 }, 'it waits');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active'");
	wait_for_all($caller);
	thaw();
	like($caller->{stderr}, qr/^.*57014/, 'who completes and leaves is not answered');
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM claiim.completions JOIN claiim.chron USING (seq) WHERE target = 'left'") == 1 }, 'it is recorded all the same');
	wait_for_all(my $again = background($node, 'one', complete($id, 'succeeded')));
	like($again->{stderr}, qr/23505: the action of decision $id is completed already/, '... and who asks again is told so');
}

# What is said of one that cannot be recorded in time is of a completion, whose
# action has run, and not of a decision.
{
	my $id = allowed('too late');
	freeze(writer_pid($node, 'one'));
	wait_for_all(my $caller = background($node, 'one', "SET claiim.queue_timeout = '300ms';\n" . complete($id, 'succeeded')));
	thaw();
	is(error_of($caller->{stderr}), '40003: no answer: the completion could not be confirmed as recorded within claiim.queue_timeout', 'a completion that waits for too long');
	like($caller->{stderr}, qr/DETAIL:  It may have been recorded; if it was, a further call says that the action is completed already\./, '... is told what is to be made of it');
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) FROM claiim.completions JOIN claiim.chron USING (seq) WHERE target = 'too late'") == 1 }, 'it is recorded');
	wait_for_all(my $again = background($node, 'one', complete($id, 'succeeded')));
	like($again->{stderr}, qr/23505: the action of decision $id is completed already/, '... and a further call says so');
}

# Who does not trust this server at all, and knows the format's page, verifies it
# with sessions, completions and what was said with them.
{
	$node->safe_psql('one', "SET SESSION AUTHORIZATION deploy; SELECT claiim_complete('" . allowed('in detail') . "', 'failed', '{\"exit\": 3}')");
	my $tools = dirname(__FILE__) . '/../../tools';
	my $dir = PostgreSQL::Test::Utils::tempdir();
	for my $what (qw(chron contexts))
	{
		my $out = $node->safe_psql('one', "\\i $tools/export_$what.sql");
		PostgreSQL::Test::Utils::append_to_file("$dir/$what", "$out\n");
	}
	like(slurp_file("$dir/chron"), qr/"agent":"deploy-bot","org":"acme","auth":"role".*"act":"action.complete","subject":"chr_\w{26}"/, 'a completion is exported');
	command_like([ '/usr/bin/python3', "$tools/verify_chron.py", '--contexts', "$dir/contexts", "$dir/chron" ],
		qr/^OK: \d+ records, 1 to \d+\ncontexts: 1 verified, 0 erased/, '... and verifies offline');
}

# What stands beside Chron is compared with it in one snapshot: whoever verifies
# while all of it grows is told of no fault.
{
	my $session = open_session('beside/*', 100000);
	my @load = map {
		my $client = $_;
		background($node, 'one', join '', map {
			"SELECT chron_id AS id FROM claiim_check('deploy-bot', 'deploy:gated', 'beside/$client', session => '$session', context => '{\"n\": $_}') \\gset\n"
			  . "SELECT claiim_complete(:'id', 'succeeded', '{\"n\": $_}');\n"
		} 1 .. 250)
	} 1 .. 4;
	my $found = $node->safe_psql('one', <<"SQL");
DO \$\$
DECLARE
	deadline timestamptz := clock_timestamp() + '$PostgreSQL::Test::Utils::timeout_default s';
	v record;
BEGIN
	LOOP
		SELECT * INTO v FROM claiim.verify();
		EXIT WHEN NOT v.ok OR clock_timestamp() > deadline
			OR (SELECT used FROM claiim.session_uses WHERE session = '$session') = 1000;
	END LOOP;
	PERFORM set_config('two.found', concat_ws(' ', v.ok, v.first_bad, v.problem), false);
END
\$\$;
SELECT current_setting('two.found');
SQL
	wait_for_all(@load);
	is($found, 't', 'who verifies while sessions are used and actions completed finds no fault');
	is(join('', map { $_->{stderr} } @load), '', '... and disturbs nobody');
	is(uses_of($session), '1000|1000|0', '... and there was what could have been one');
}

# A superuser who takes off the guards can give a use back, and have an action
# completed twice.  Chron says that it was so, before and after.
{
	my $verify = 'SELECT concat_ws(\' \', ok, first_bad, problem) FROM claiim.verify()';
	my $last = 'SELECT max(seq) FROM claiim.chron';
	my $by_hand = sub {
		my ($table, $sql) = @_;
		$node->safe_psql('tampered', "BEGIN; ALTER TABLE claiim.$table DISABLE TRIGGER USER; $sql; ALTER TABLE claiim.$table ENABLE ALWAYS TRIGGER claiim_guard_rows; COMMIT");
	};
	my $as_agent = sub { return $node->safe_psql('tampered', "SET SESSION AUTHORIZATION deploy; $_[0]") };

	set_up($node, 'tampered');
	my $session = $node->safe_psql('tampered', <<'SQL');
SELECT two.people($$propose_session('deploy-bot', '{deploy:*}', '{**}', 'test', max_uses => 1)$$) AS change \gset
SELECT session FROM claiim.sessions WHERE change = :'change';
SQL
	my $use = "SELECT chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'x', session => '$session') WHERE outcome = 'ALLOW'";
	my $id = $as_agent->($use);
	my $used_at = $node->safe_psql('tampered', $last);
	is($as_agent->($use), '', 'a session of one use has one');
	$as_agent->("SELECT claiim_complete('$id', 'failed')");
	my $completed_at = $node->safe_psql('tampered', $last);
	is($node->safe_psql('tampered', $verify), 't', '... all of which verifies');

	$node->safe_psql('tampered', 'CREATE TABLE two.kept AS SELECT * FROM claiim.completions');
	$by_hand->('session_uses', 'DELETE FROM claiim.session_uses');
	is($node->safe_psql('tampered', $verify), "f $used_at it is the last ALLOW in its session, and claiim.session_uses says something else of that",
		'a use that was given back is missed');
	like($as_agent->($use), qr/^chr_/, '... and can be taken once more');
	$used_at = $node->safe_psql('tampered', $last);
	is($node->safe_psql('tampered', $verify), "f $used_at it is the last ALLOW in its session, and claiim.session_uses says something else of that",
		'... which shows');
	$by_hand->('session_uses', 'UPDATE claiim.session_uses SET used = 2');
	is($node->safe_psql('tampered', $verify), 't', '... until the number is put right');
	is($node->safe_psql('tampered', <<'SQL'), "$session|2|1", '... and then, too, to who asks Chron as doc/auditor.md says');
SELECT d.session, count(*) AS allowed, g.detail ->> 'max_uses' AS granted
FROM claiim.decisions d JOIN claiim.acts g ON g.act = 'session.grant' AND g.detail ->> 'session' = d.session
WHERE d.outcome = 'ALLOW'
GROUP BY d.session, g.detail ->> 'max_uses' HAVING count(*) > (g.detail ->> 'max_uses')::bigint
SQL

	$by_hand->('completions', 'DELETE FROM claiim.completions');
	is($node->safe_psql('tampered', $verify), "f $completed_at its row in claiim.completions is missing", 'a completion that was taken away is missed');
	like($as_agent->("SELECT claiim_complete('$id', 'succeeded')"), qr/^chr_/, '... and can be made once more');
	my $again_at = $node->safe_psql('tampered', $last);
	is($node->safe_psql('tampered', $verify), "f $completed_at its row in claiim.completions is missing", '... which shows');
	$by_hand->('completions', 'ALTER TABLE claiim.completions DROP CONSTRAINT completions_pkey; INSERT INTO claiim.completions SELECT * FROM two.kept');
	my ($seq) = split /\|/, $node->safe_psql('tampered', "SELECT * FROM claiim._chron_key('$id')");
	is($node->safe_psql('tampered', $verify), "f $again_at it completes record $seq once more", '... also when both are there');
}

$node->stop;
done_testing();
