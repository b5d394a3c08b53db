# What humans take away is gone when the call returns, for everybody, and Chron
# shows it: many ask while others suspend and resume an agent, thousands of times;
# and the same for tokens, policies, humans, anchors and organizations.
#
# Two things are true of every act, and of every decision beside it:
#
#  - in time: whatever is recorded after the call has returned stands behind the
#    act.  (The last number in Chron is looked at after each call.)
#  - in order: what a record says, ALLOW or DENY, is what the acts before it have
#    put in force.
#
# It takes two to resume: each human is a connection of its own.  Who asks does so
# in every way there is, in transactions whose snapshots are older than the act,
# on prepared statements, by role, by token, and with claiim_authenticate.
#
# CLAIIM_RACE_ROUNDS=n does the main race n times, the others a twentieth of that;
# CLAIIM_TEST_SEED=n repeats the pauses.

use strict;
use warnings;

use ClaiimTest;
use IO::Handle;
use IPC::Open2;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = seed();
my $rounds = $ENV{CLAIIM_RACE_ROUNDS} // 2000;

# Flushing is not what is tested, and without it there are many more acts.
my $node = new_node('revocation', conf => "fsync = off\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $dir = PostgreSQL::Test::Utils::tempdir();
set_up($node, 'one');

# A connection that says what it is asked to, and waits for the answer.
my %connection;

sub say
{
	my ($user, $sql) = @_;
	my $connection = $connection{$user} //= do {
		my $pid = open2(my $out, my $in, 'sh', '-c', 'exec "$0" "$@" 2>>' . "$dir/$user.err",
			$node->installed_command('psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('one') . " user=$user");
		$in->autoflush;
		{ in => $in, out => $out, pid => $pid };
	};
	my @lines;

	print { $connection->{in} } "$sql;\nSELECT '.';\n";
	while (my $line = readline $connection->{out})
	{
		chomp $line;
		return join "\n", @lines if $line eq '.';
		push @lines, $line;
	}
	die "the connection of $user has ended: " . slurp_file("$dir/$user.err");
}

END
{
	my $status = $?;
	for my $connection (values %connection)
	{
		close $connection->{in};
		waitpid $connection->{pid}, 0;
	}
	$? = $status;
}

# What takes two: ann proposes, bob approves.
sub two { return say('bob', "SELECT claiim.approve('" . say('ann', "SELECT claiim.$_[0]") . "')") }

# The world: an agent for each race
{
	$node->safe_psql('one', <<'SQL');
CREATE ROLE gus LOGIN; CREATE ROLE hal LOGIN; CREATE ROLE bound LOGIN;
CREATE ROLE caller LOGIN IN ROLE claiim_agent;
CREATE TABLE two.current (token_id text, token text);
GRANT USAGE ON SCHEMA two TO caller;
GRANT SELECT ON two.current TO caller;
INSERT INTO two.current VALUES ('', '');
SQL
	two("register_human('$_', '$_', NULL, 'acme', '{member}')") for qw(gus hal);
	two("register_org('acme/web')");
	two("map_target('web/**', 'acme/web')");
	say('ann', "SELECT claiim.publish_policy('p', E'skill: deploy-v1\\nallow: [deploy:$_]', 'acme')") for 'other', 'staging, deploy:other';
	for my $race (qw(agent token policy human anchor org))
	{
		my $org = $race eq 'org' ? 'acme/web' : 'acme';
		my $anchor = $race eq 'human' || $race eq 'anchor' ? 'gus' : 'ann';
		my $role = $race eq 'agent' ? "'bound'" : 'NULL';
		two("register_agent('$race-bot', '$org', '$anchor', '{deploy}', $role)");
		two("bind_policy('$race-bot', 'p-v1')");
	}
}

# Those who ask, each in a way of its own.  $token is SQL.
my $nchunks = 0;

sub start_asking
{
	my ($agent, $target, $token) = @_;
	my $check = sub {
		my ($way, $identity) = @_;
		return "SELECT outcome, chron_id FROM claiim_check('$agent', 'deploy:staging', '$target/$way'" . ($identity // ", token => $token") . ')';
	};
	my $transaction = sub { my ($level, @statements) = @_; return ("BEGIN ISOLATION LEVEL $level", 'SELECT WHERE false', @statements, 'COMMIT') };
	my $authenticate = "SELECT FROM claiim_authenticate('$agent', $token)";
	# what is done once, and what again and again
	my %way = (
		'each' => [ [], [ $check->('each') ] ],
		'repeatable read' => [ [], [ $transaction->('REPEATABLE READ', ($check->('repeatable read')) x 25) ] ],
		'serializable' => [ [], [ $transaction->('SERIALIZABLE READ ONLY', ($check->('serializable')) x 25) ] ],
		'prepared' => [ [ 'SET plan_cache_mode = force_generic_plan', 'PREPARE p AS ' . $check->('prepared') ], ['EXECUTE p'] ],
		'prepared, repeatable read' => [ [ 'PREPARE p AS ' . $check->('prepared, repeatable read') ], [ $transaction->('REPEATABLE READ', ('EXECUTE p') x 25) ] ],
		'authenticated' => [ [], [ $transaction->('READ COMMITTED', $authenticate, ($check->('authenticated', '')) x 25) ] ],
		'authenticated, repeatable read' => [ [], [ $transaction->('REPEATABLE READ', $authenticate, ($check->('authenticated, repeatable read', '')) x 25) ] ],
		'many' => [ [], [ "SELECT outcome, chron_id FROM claiim_check_many('$agent', array_fill('deploy:staging'::text, '{5}'), array_fill('$target/many'::text, '{5}'), token => $token)" ] ],
		'one statement' => [ [], [ "SELECT outcome, chron_id FROM generate_series(1, 25), LATERAL claiim_check('$agent', 'deploy:staging', '$target/one statement', token => $token)" ] ],
		'role' => [ [], [ $check->('role', '') ], 'bound' ],
	);

	return map {
		my ($once, $again, $user) = @{ $way{$_} };
		my $chunk = "$dir/chunk" . ++$nchunks;
		append_to_file($chunk, join '', map { "$_;\n" } (@$again) x 50);
		background($node, 'one', join('', map { "$_;\n" } @$once) . "\\i $chunk\n" x 10_000, user => $user // 'caller');
	} grep { $_ ne 'role' || $agent eq 'agent-bot' } sort keys %way;
}

# race(NAME, TIMES, TOKEN, ACT => CODE, ..., order => SQL, errors => REGEXP)
#
# The acts are done in turn, so many times; CODE comes back when its call has
# returned.  "order" says of a decision, in SQL, that it is as the acts before
# it have it.
sub race
{
	my ($race, $times, $token, $acts, %opt) = @_;
	my $target = ($race eq 'org' ? 'web/' : 'race/') . $race;
	# A slow machine does what it can.
	my $at_most = defined $ENV{CLAIIM_RACE_ROUNDS} ? 1e9 : $times == $rounds ? 12 : 2;
	my @acts = @$acts;
	my (@returned, %count);

	my @load = start_asking("$race-bot", $target, $token);
	wait_until(sub { !grep { -s $_->{out} < 200 } @load }, 'all are asking');
	my $start = say($superuser, 'SELECT max(seq) FROM claiim.chron');
	my $began = time;
	my $done = 0;
	# ... and goes on until there is something to be seen of everybody.
	my %acts = @acts;
	my $in = join ', ', map { "'$_'" } keys %acts;
	my $ways = $opt{ways} // @load;
	my $seen_of_all = sub {
		return $ways <= say($superuser, <<"SQL");
SELECT count(*) FROM (
	SELECT split_part(d.target, '/', 3) AS way
	FROM (SELECT agent, target, max(seq) FILTER (WHERE act IN ($in)) OVER (ORDER BY seq) AS last_act FROM claiim.chron WHERE seq > $start) AS d
		JOIN claiim.chron a ON a.seq = d.last_act
	WHERE d.agent = '$race-bot' GROUP BY 1 HAVING count(DISTINCT a.act) = @{[ scalar keys %acts ]}) AS w
SQL
	};
	while (($done < $times && ($done < 10 || time - $began < $at_most))
		|| (time - $began < $PostgreSQL::Test::Utils::timeout_default && !$seen_of_all->()))
	{
		for (my $i = 0; $i < @acts; $i += 2)
		{
			$acts[ $i + 1 ]->();
			push @returned, "('$acts[$i]', " . ++$count{ $acts[$i] } . ', ' . say($superuser, 'SELECT max(seq) FROM claiim.chron') . ')';
			usleep(rand 1500) if rand() < 0.7;
		}
		$done++;
	}
	note(sprintf '%s: %d rounds in %.1f s', $race, $done, time - $began);
	kill 'TERM', map { $_->{pid} } @load;
	wait_for_all(@load);
	ask($node, 'one', 'x');

	my $answers = "$dir/$race.answers";
	append_to_file($answers, join '', map { $_->{stdout} =~ /^((?:ALLOW|DENY)\|chr_[0-9a-z]{26}\n)/mg } @load);
	my $names = join ', ', map { "'$_'" } keys %count;
	my @found = split /\n/, $node->safe_psql('one', <<"SQL");
CREATE TEMP TABLE returned (act text, n bigint, last_seq bigint);
INSERT INTO returned VALUES @{[ join ', ', @returned ]};
CREATE TEMP TABLE answers (outcome text, chron_id text);
\\copy answers FROM '$answers' (DELIMITER '|')
CREATE TEMP TABLE acts AS
	SELECT seq, act, detail::jsonb AS detail, row_number() OVER (PARTITION BY act ORDER BY seq) AS n
	FROM claiim.chron WHERE act IN ($names) AND seq > $start;
-- with the last act before it
CREATE TEMP TABLE decisions AS
	SELECT d.*, a.act AS after, a.detail AS by
	FROM (SELECT seq, agent, outcome, reason_code, policy, anchor, token, split_part(target, '/', 3) AS way,
			max(seq) FILTER (WHERE act IN ($names)) OVER (ORDER BY seq) AS last_act
		FROM claiim.chron WHERE seq > $start) AS d LEFT JOIN acts a ON a.seq = d.last_act
	WHERE d.agent = '$race-bot';
CREATE INDEX ON decisions (seq);
ANALYZE;

SELECT 'answers: ' || count(*) FROM answers a, LATERAL claiim._chron_key(a.chron_id) AS k
	LEFT JOIN claiim.chron c ON c.seq = k.seq AND c.at = k.at WHERE c.outcome IS DISTINCT FROM a.outcome;
SELECT 'acts: ' || count(*) FROM returned r FULL JOIN acts a USING (act, n) WHERE r.act IS NULL OR a.act IS NULL;
SELECT 'in time: ' || coalesce(left(string_agg(concat_ws(' ', d.seq, d.outcome, 'between', r.last_seq, 'and', a.act, a.seq), ', '), 300), '')
	FROM returned r JOIN acts a USING (act, n), LATERAL (SELECT * FROM decisions d WHERE d.seq > r.last_seq AND d.seq < a.seq) AS d;
SELECT 'in order: ' || coalesce(left(string_agg(concat_ws(' ', seq, outcome, reason_code, policy, anchor, way, 'after', after, last_act), ', '), 300), '')
	FROM decisions WHERE after IS NOT NULL AND NOT ($opt{order});
SELECT count(*) FROM (SELECT way FROM decisions GROUP BY way HAVING count(DISTINCT after) = (SELECT count(DISTINCT act) FROM acts)) AS w;
SELECT string_agg(concat_ws(' ', after, outcome, reason_code, n), ', ' ORDER BY after, n DESC)
	FROM (SELECT after, outcome, reason_code, count(*) AS n FROM decisions GROUP BY 1, 2, 3) AS x;
SQL
	is($found[0], 'answers: 0', "$race: every answer is in Chron as it was given");
	is(join(', ', grep { !$opt{errors} || $_ !~ $opt{errors} } map { $_->{stderr} =~ /(?:ERROR|FATAL):\s+(\S+)/g } @load), '', '... nobody met an error');
	is($found[1], 'acts: 0', '... every act is in Chron, once');
	is($found[2], 'in time: ', '... no decision recorded after a call has returned stands before its act');
	is($found[3], 'in order: ', "... $opt{name}");
	cmp_ok($found[4], '>=', $ways, "... in $done rounds $found[4] of " . @load . ' ways of asking had an answer after each of the acts');
	note($found[5]);
	return;
}

sub token_of { return "'" . say('ann', "SELECT token FROM claiim.issue_token('$_[0]')") . "'" }

race('agent', $rounds, token_of('agent-bot'),
	[ 'agent.suspend' => sub { say('ann', "SELECT claiim.suspend_agent('agent-bot', 'race')") },
		'agent.resume' => sub { two("resume_agent('agent-bot', 'race')") } ],
	name => 'an agent that is suspended is denied, and one that is resumed is not',
	order => "reason_code = CASE after WHEN 'agent.suspend' THEN 'agent_suspended' ELSE 'allowed' END");

# Who asks takes the token of the moment, or, in an old snapshot, of an earlier one.
{
	my $current = '';
	my $become = sub {
		($current, my $token) = split /\|/, say('ann', "SELECT token_id, token FROM claiim.$_[0]");
		return say($superuser, "UPDATE two.current SET token_id = '$current', token = '$token'");
	};
	$become->("issue_token('token-bot')");
	race('token', $rounds / 20, '(SELECT token FROM two.current)',
		[ 'token.issue' => sub { $become->("issue_token('token-bot')") },
			'token.rotate' => sub { $become->("rotate_token('$current', '0')") },
			'token.revoke' => sub { say('ann', "SELECT claiim.revoke_token('$current', 'race')") } ],
		errors => qr/^(?:28000|25P02):/,
		ways => 7,				# who authenticates with a revoked token asks nothing
		name => 'a token that is rotated without overlap, or revoked, proves nothing any more',
		order => <<'SQL');
CASE WHEN EXISTS (SELECT FROM acts a WHERE a.seq < decisions.seq AND a.act = 'token.revoke' AND a.detail ->> 'token' = token)
	THEN reason_code = 'token_revoked'
	WHEN EXISTS (SELECT FROM acts a WHERE a.seq < decisions.seq AND a.act = 'token.rotate' AND a.detail ->> 'replaces' = token)
	THEN reason_code = 'token_expired'
	ELSE reason_code IN ('allowed', 'token_expired') END
SQL
}

race('policy', $rounds / 20, token_of('policy-bot'),
	[ map { my $version = $_; ('policy.bind' => sub { two("bind_policy('policy-bot', '$version')") }) } qw(p-v2 p-v3 p-v1) ],
	name => 'a decision names the version that is bound, and is what that one says',
	order => "policy = by ->> 'policy' AND reason_code = CASE policy WHEN 'p-v2' THEN 'not_in_allow_list' ELSE 'allowed' END");

race('human', $rounds / 20, token_of('human-bot'),
	[ 'human.deactivate' => sub { say('ann', "SELECT claiim.deactivate_human('gus', 'race')") },
		'human.reactivate' => sub { two("reactivate_human('gus')") } ],
	name => 'an agent whose accountable human is not active is denied',
	order => "reason_code = CASE after WHEN 'human.deactivate' THEN 'anchor_inactive' ELSE 'allowed' END");

race('anchor', $rounds / 20, token_of('anchor-bot'),
	[ map { my $human = $_; ('anchor.transfer' => sub { two("transfer_anchor('anchor-bot', '$human')") }) } qw(hal gus) ],
	name => 'a record names the human who is accountable',
	order => "outcome = 'ALLOW' AND anchor = by ->> 'anchor'");

race('org', $rounds / 20, token_of('org-bot'),
	[ 'org.suspend' => sub { say('ann', "SELECT claiim.suspend_org('acme/web', 'race')") },
		'org.resume' => sub { two("resume_org('acme/web')") } ],
	name => 'an agent of an organization that is suspended is denied',
	order => "reason_code = CASE after WHEN 'org.suspend' THEN 'org_suspended' ELSE 'allowed' END");

# Governance that no decision depends on makes none be taken again, however much of
# it there is: what one human, or an agent, can do in a loop keeps no ALLOW from being
# recorded.
{
	my $stat = sub { return say($superuser, 'SELECT reevaluated, epoch FROM claiim.pg_stat_claiim') };
	my $token = token_of('agent-bot');
	my @load = start_asking('agent-bot', 'race/calm', $token);
	wait_until(sub { !grep { -s $_->{out} < 200 } @load }, 'all are asking');
	my ($before, $start) = ($stat->(), say($superuser, 'SELECT max(seq) FROM claiim.chron'));
	for (1 .. 60)
	{
		my $change = say('ann', "SELECT claiim.retire_agent('agent-bot', 'calm $_')");
		say('bob', "SELECT claiim.reject('$change', 'race')");
		$change = say('ann', "SELECT claiim.bind_policy('agent-bot', claiim.publish_policy('calm', E'skill: deploy-v1\\nallow: [deploy:staging] # $_', 'acme'))");
		say('ann', "SELECT claiim.withdraw('$change')");
		say('ann', "SELECT claiim.publish_skill('calm', 'actions: [\"calm:a$_\"]', 'acme'), count(*) FROM claiim.issue_token('agent-bot')");
		say('bound', "SELECT claiim_request_session('agent-bot', '{deploy:*}', '{**}', 'race')") if $_ <= 10;
	}
	my $after = $stat->();
	kill 'TERM', map { $_->{pid} } @load;
	wait_for_all(@load);
	wait_until(sub { $node->safe_psql('one', 'SELECT count(*) FROM claiim.outbox') == 0 }, 'all acts are in Chron');
	is($after, $before, 'proposals, rejections, withdrawals, documents, tokens and requests of agents: no decision is taken again for them');
	cmp_ok($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE seq > $start AND agent = 'agent-bot' AND outcome = 'ALLOW'"), '>', 300, '... while there were decisions');
	cmp_ok($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE seq > $start AND kind = 'act'"), '>', 300, '... and acts');
	note("$before: decisions taken again for revocations, and the epoch");
}

is(join('', map { slurp_file("$dir/$_.err") } 'ann', 'bob', 'bound', $superuser), '', 'no human met an error');
chron_is_sound($node, 'one', 'in the end');
$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
