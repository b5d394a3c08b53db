# Many at once: every answer has its record, and what humans decide takes effect
# at one point of Chron's order, for everybody.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('concurrency');
set_up($node, 'one');

# 64 clients.  More than there are places in the queue, if each had two.
{
	my $before = $node->safe_psql('one', 'SELECT count(*) FROM claiim.chron');
	my @load = start_load($node, 'one', 64, 60);
	my @answers = answers_of(@load);
	is(scalar @answers, 64 * 60, '64 clients: every question is answered');
	is(join('', map { $_->{stderr} } @load), '', '... without an error');
	chron_is_sound($node, 'one', '64 clients', @answers);
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE kind = 'decision'"), 64 * 60,
		'... and nothing is recorded that was not asked');
	is($node->safe_psql('one', <<'SQL'), 0, 'each client meets its own decisions in the order in which it asked');
SELECT count(*) FROM (
	SELECT n, lag(n) OVER (PARTITION BY client ORDER BY seq) AS before
	FROM (SELECT seq, split_part(target, '/', 3) AS client, split_part(target, '/', 4)::int AS n
		FROM claiim.chron WHERE target LIKE 'load/%') AS c) AS c
WHERE n < before
SQL
}

# An agent is suspended and resumed while it keeps asking.  In Chron, no ALLOW
# stands between the act that suspends and the act that resumes; and none is
# recorded after the suspension has returned to the human who made it.
{
	my @load = (start_load($node, 'one', 8, 15_000), start_load($node, 'one', 4, 5_000, many => 5));
	my $human = background($node, 'one', <<'SQL' . <<'SQL' x 80, user => $node->safe_psql('one', 'SELECT current_user'));
CREATE TABLE two.calm (began bigint, ended bigint);
SQL
SELECT pg_sleep(0.004 * random());
SET SESSION AUTHORIZATION ann;
SELECT claiim.suspend_agent('deploy-bot', 'race');
RESET SESSION AUTHORIZATION;
INSERT INTO two.calm (began) SELECT max(seq) FROM claiim.chron;
SET SESSION AUTHORIZATION deploy;
SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'in between');
RESET SESSION AUTHORIZATION;
SELECT pg_sleep(0.004 * random());
UPDATE two.calm SET ended = (SELECT max(seq) FROM claiim.chron) WHERE ended IS NULL;
SELECT two.people($$resume_agent('deploy-bot', 'race')$$) IS NULL;
SQL
	wait_for_all($human);
	is($human->{stderr}, '', 'suspending and resuming under load meets no error');
	kill 'TERM', map { $_->{pid} } @load;
	my @answers = answers_of(@load);
	ask($node, 'one', 'x');

	is($node->safe_psql('one', <<'SQL'), '', 'suspended: no ALLOW between the act of suspending and that of resuming');
SELECT left(string_agg(seq || ' ' || target, ', '), 300) FROM (
	SELECT seq, outcome, target, max(seq) FILTER (WHERE act = 'agent.suspend') OVER w AS suspended,
		max(seq) FILTER (WHERE act = 'agent.resume') OVER w AS resumed
	FROM claiim.chron WINDOW w AS (ORDER BY seq)) AS c
WHERE outcome = 'ALLOW' AND suspended > coalesce(resumed, 0)
SQL
	is($node->safe_psql('one', <<'SQL'), 0, '... nor any ALLOW after the suspension has returned');
SELECT count(*) FROM claiim.chron c, two.calm w
WHERE c.outcome = 'ALLOW' AND c.seq > w.began AND c.seq <= w.ended
SQL
	my ($allow, $deny) = split /\|/, $node->safe_psql('one', <<'SQL');
SELECT count(*) FILTER (WHERE outcome = 'ALLOW'), count(*) FILTER (WHERE reason_code = 'agent_suspended')
FROM claiim.chron WHERE target LIKE 'load/%'
SQL
	cmp_ok($allow, '>', 200, "there were enough ALLOWs for a race: $allow");
	cmp_ok($deny, '>', 200, "... and enough DENYs: $deny");
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'in between' AND reason_code <> 'agent_suspended'"),
		0, 'who has suspended sees it in force at once');
	chron_is_sound($node, 'one', 'suspend and resume', @answers);
}

# The same for the policy itself: what allows is swapped for what does not.
{
	$node->safe_psql('one', <<'SQL');
BEGIN;
SET LOCAL SESSION AUTHORIZATION ann;
SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow: [deploy:other]', 'acme');
COMMIT;
SQL
	my @load = start_load($node, 'one', 8, 15_000);
	my $human = background($node, 'one', <<'SQL' x 30, user => $node->safe_psql('one', 'SELECT current_user'));
SELECT two.people($$bind_policy('deploy-bot', 'p-v2')$$) IS NULL;
SELECT pg_sleep(0.004 * random());
SELECT two.people($$bind_policy('deploy-bot', 'p-v1')$$) IS NULL;
SELECT pg_sleep(0.004 * random());
SQL
	wait_for_all($human);
	kill 'TERM', map { $_->{pid} } @load;
	my @answers = answers_of(@load);
	is($node->safe_psql('one', <<'SQL'), '', 'a swapped policy: every ALLOW is under the version that the last act before it has bound');
SELECT left(string_agg(c.seq || ' ' || c.policy || ' but ' || (a.detail::jsonb ->> 'policy'), ', '), 300) FROM (
	SELECT seq, outcome, policy, max(seq) FILTER (WHERE act = 'policy.bind') OVER (ORDER BY seq) AS bound
	FROM claiim.chron) AS c JOIN claiim.chron a ON a.seq = c.bound
WHERE c.outcome = 'ALLOW' AND c.policy <> a.detail::jsonb ->> 'policy'
SQL
	is($node->safe_psql('one', <<'SQL'), 0, '... and every decision is what its version says');
SELECT count(*) FROM claiim.chron
WHERE agent = 'deploy-bot' AND action = 'deploy:staging' AND reason_code IN ('allowed', 'not_in_allow_list')
	AND (outcome = 'ALLOW') <> (policy = 'p-v1')
SQL
	chron_is_sound($node, 'one', 'policy swap', @answers);
}

# Governance of many at once waits for the writer, never for each other's locks
# in a circle.
{
	my @load = start_load($node, 'one', 4, 15_000);
	my @humans = map {
		my $client = $_;
		background($node, 'one', join('', map { "SELECT token_id FROM claiim.issue_token('deploy-bot', label => '$client/$_');\n" } 1 .. 40),
			user => $client % 2 ? 'ann' : 'bob')
	} 1 .. 6;
	wait_for_all(@humans);
	kill 'TERM', map { $_->{pid} } @load;
	my @answers = answers_of(@load);
	is(join('', map { $_->{stderr} } @humans), '', 'six humans at once: no deadlock, no error');
	ask($node, 'one', 'x');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE act = 'token.issue'"), 240, '... and each act is in Chron');
	is($node->safe_psql('one', <<'SQL'), 0, '... those of one human in the order in which they were done');
SELECT count(*) FROM (
	SELECT n, lag(n) OVER (PARTITION BY client ORDER BY seq) AS before
	FROM (SELECT seq, split_part(detail::jsonb ->> 'label', '/', 1) AS client, split_part(detail::jsonb ->> 'label', '/', 2)::int AS n
		FROM claiim.chron WHERE act = 'token.issue') AS c) AS c
WHERE n < before
SQL
	chron_is_sound($node, 'one', 'many humans', @answers);
}

$node->stop;
done_testing();
