# Whatever stops the server, in the middle of load: an answer that was given is
# in Chron afterwards, the chain is a chain, and the gate opens again by itself.
#
# CLAIIM_TEST_ROUNDS rounds (12), each of which breaks it in a random way at a
# random moment.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = seed();
# Most of the time is spent in the flush of a commit, so that most crashes come
# between what is done and what is on disk; and the cluster does not ask for a
# flush, which is no excuse.
my $node = new_node('restart', conf => <<'CONF');
commit_delay = 4000
commit_siblings = 0
synchronous_commit = off
CONF
set_up($node, 'one');

# Which process of a kind: one that is at work.
sub pid_of
{
	my ($kind) = @_;
	return writer_pid($node, 'one') if $kind eq 'writer';
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE usename = 'deploy' ORDER BY random() LIMIT 1");
}

my %break = (
	'kill -9 of the writer' => sub { kill 'KILL', pid_of('writer') || return },
	'kill -9 of a backend' => sub { kill 'KILL', pid_of('backend') || return },
	'kill -9 of the postmaster' => sub { $node->kill9 },
	'an immediate shutdown' => sub { $node->stop('immediate') },
	'a fast restart' => sub { $node->restart },
	'kill -TERM of the writer' => sub { kill 'TERM', pid_of('writer') || return },
);

sub is_up { return $node->psql('one', 'SELECT 1') == 0 }

# After kill -9 of the postmaster its children hold on for a moment; after that
# of another process the postmaster starts all over.
sub bring_up
{
	my ($way) = @_;
	wait_until(sub { $node->start(fail_ok => 1) || $node->stop('fast', fail_ok => 1) && 0 }, 'the server starts again')
	  if $way =~ /postmaster|shutdown/;
	wait_until(sub { is_up() }, 'the server is up again');
	return;
}

my @ways = sort keys %break;
my $rounds = $ENV{CLAIIM_TEST_ROUNDS} // 12;
my ($total, $tokens) = (0, 0);
for my $round (1 .. $rounds)
{
	# each of them at least once
	my $way = $round <= @ways ? $ways[ $round - 1 ] : $ways[ rand @ways ];
	my @load = start_load($node, 'one', 8, 4000);
	# and, every other time, a human who governs meanwhile; whose commits flush
	# what others have left unflushed
	my $human = background($node, 'one', join('', map
		{ "SELECT token_id FROM claiim.issue_token('deploy-bot', label => '$round/$_');\n" } 1 .. ($round % 2 ? 0 : 2000)),
		user => 'ann');

	wait_for_load(20, @load);
	usleep(rand 350_000);
	$break{$way}->();
	# TERM of the writer breaks nothing else: end the load.
	$node->restart if $way =~ /TERM/ && usleep(100_000);
	my @answers = answers_of(@load);
	wait_for_all($human);
	my @issued = $human->{stdout} =~ /^(ctk_[0-9a-z]{26})\n/mg;
	bring_up($way);

	$total += @answers;
	$tokens += @issued;
	wait_until(sub { ask($node, 'one', "after/$round") eq 'ALLOW' }, 'the gate is open again')
	  or diag(ask($node, 'one', "after/$round"));
	chron_is_sound($node, 'one', "round $round, $way", @answers);

	# A governance act that was acknowledged is in Chron as well, once.
	my $ids = join ',', @issued;
	next if $round % 2;
	is($node->safe_psql('one', <<"SQL"), '', "round $round: and " . @issued . ' acts that were acknowledged');
SELECT string_agg(t, ' ') FROM unnest('{$ids}'::text[]) AS t
WHERE (SELECT count(*) FROM claiim.chron WHERE act = 'token.issue' AND detail::jsonb->>'token' = t) <> 1
SQL
}
cmp_ok($total, '>', 20 * $rounds, "there was load: $total answers");
cmp_ok($tokens, '>', $rounds, "... and governance: $tokens acts");

# One log all the time, and each start of the writer said so.
is($node->safe_psql('one', 'SELECT count(DISTINCT log) FROM claiim.chron'), 1, 'it is one log all the time');
cmp_ok($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE act = 'writer.start'"),
	'>=', $rounds + 1, 'each start of the writer is in Chron');
is($node->safe_psql('one', 'SELECT count(*) FROM claiim.outbox'), 0, 'nothing is left in the outbox');

$node->stop;
diag("seed was $seed") unless Test::More->builder->is_passing;
done_testing();
