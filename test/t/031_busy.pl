# Those who govern all the time, and a great deal of it, keep nobody's gate closed:
# one organization's admin, who needs nobody else for it, revokes tokens without
# end; and acts by the thousand are recorded before the next decision.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $governors = 8;
my $tokens = 400;		# for each of them

my $node = new_node('busy');
set_up($node, 'one');
sub one { return $node->safe_psql('one', $_[0], extra_params => [ '-U', $_[1] // $node->safe_psql('postgres', 'SELECT current_user') ]) }
one(<<'SQL');
CREATE ROLE eve LOGIN;
CREATE ROLE fay LOGIN;
SELECT two.people($$register_human('eve', 'eve', NULL, 'acme', '{member}')$$);
SELECT two.people($$register_human('fay', 'fay', NULL, 'acme', '{member}')$$);
SELECT two.people($$register_org('evil', 'Another one', 'eve', 'fay')$$);
SQL
my $change = one("SELECT claiim.register_agent('evil-bot', 'evil', 'eve', '{}')", 'eve');
one("SELECT claiim.approve('$change')", 'fay');
one("SELECT count(claiim.issue_token('evil-bot', label => 'l' || i)) FROM generate_series(1, $governors * $tokens) AS i", 'eve');

# ---- governance without end ----

# On a disk whose flush takes its time, all of them wait in line most of the time.
$node->append_conf('postgresql.conf', "commit_delay = 20000\ncommit_siblings = 0\n");
$node->reload;
wait_until(sub { one('SHOW commit_delay') eq '20000' }, 'flushing takes its time');

my $revoked = "SELECT count(*) FROM claiim.tokens WHERE revoked_at IS NOT NULL";
my @ids = split /\n/, one('SELECT token FROM claiim.tokens ORDER BY token');
my @busy;
for my $n (0 .. $governors - 1)
{
	push @busy, background($node, 'one', join('', map { "SELECT claiim.revoke_token('$_', 'x');\n" } @ids[ $n * $tokens .. ($n + 1) * $tokens - 1 ]), user => 'eve');
}
wait_until(sub { one($revoked) > 5 * $governors }, 'all are busy');

# However long claiim.queue_timeout is: as long as they go on.
my $set = [ "claiim.queue_timeout = '10min'" ];
is(ask($node, 'one', "busy/$_", set => $set), 'ALLOW', "decision $_ is made while others govern") for 1 .. 10;
my $done = one("SET claiim.queue_timeout = '10min'; SELECT claiim_complete(chron_id, 'succeeded') FROM claiim_check('deploy-bot', 'deploy:staging', 'busy/completed')", 'deploy');
like($done, qr/^chr_/, '... and an action completed');
cmp_ok(one($revoked), '<', $governors * $tokens, '... who have not come to an end');

# Who governs is not kept from it either.
one("SELECT claiim.suspend_agent('deploy-bot', 'now')", 'ann');
is(ask($node, 'one', 'busy/suspended', set => $set), 'DENY', 'a suspension counts at once');
one(q{SELECT two.people($$resume_agent('deploy-bot', 'test')$$)});
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'eve'");
wait_for_all(@busy);
is(ask($node, 'one', 'busy/afterwards'), 'ALLOW', 'nothing of it is left');
is(one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, '... no lock');
$node->append_conf('postgresql.conf', "commit_delay = 0\n");
$node->reload;

chron_is_sound($node, 'one', 'busy governance');

# ---- a transaction that stays open ----

# Who publishes under a name keeps those waiting who publish under the same one,
# and nobody else: not by a name of another organization's making that looks the
# same to a hash of 32 bits, as "skill s52096" and "skill s73235" do.
my $open = background($node, 'one', "BEGIN; SELECT claiim.publish_skill('s52096', 'actions: [a]', 'evil'); SELECT pg_sleep(600);\n", user => 'eve');
wait_until(sub { one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'eve' AND query ~ 'pg_sleep'") }, 'eve has published a skill, and sleeps');
is(one("SET lock_timeout = '120s'; SELECT claiim.publish_skill('s73235', 'actions: [a]', 'acme')", 'ann'), 's73235-v1', 'another organization publishes a skill of its own');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'eve'");
wait_for_all($open);

# What a commit has to do besides is done before others wait for it: here it waits
# for the superuser, who has locked a temporary table that is to be emptied.
my $emptied = background($node, 'one', <<'SQL', user => 'ann');
CREATE TEMP TABLE kept (n int) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE gone (n int);
INSERT INTO gone VALUES (1), (2);
SET application_name = 'emptied';
SELECT pg_sleep(600);
BEGIN;
INSERT INTO kept VALUES (1);
CREATE TEMP TABLE dropped ON COMMIT DROP AS SELECT * FROM gone;
SELECT claiim.publish_skill('emptied', 'actions: [a]', 'acme');
COMMIT;
SELECT count(*), to_regclass('dropped') IS NULL FROM kept;
SELECT count(*) FROM gone;
SQL
my $emptying = "FROM pg_stat_activity WHERE application_name = 'emptied' AND query ~";
wait_until(sub { one("SELECT count(*) $emptying 'pg_sleep'") }, 'there is a temporary table');
my $locker = background($node, 'one', "BEGIN;\nSELECT format('LOCK TABLE %s IN ACCESS SHARE MODE', oid::regclass) FROM pg_class WHERE relname = 'kept' \\gexec\nSET application_name = 'locker';\nSELECT pg_sleep(600);\n", user => $node->safe_psql('postgres', 'SELECT current_user'));
wait_until(sub { one("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'locker'") }, '... which the superuser locks');
one("SELECT pg_cancel_backend(pid) $emptying 'pg_sleep'");
wait_until(sub { one("SELECT count(*) $emptying '^COMMIT' AND wait_event_type = 'Lock'") }, '... so that a commit waits');
is(ask($node, 'one', 'meanwhile'), 'ALLOW', 'the gate does not wait for a commit that waits for something else');
one("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'locker'");
wait_for_all($emptied, $locker);
is($emptied->{stdout}, "emptied-v1\n0|t\n2\n", '... which has done afterwards what it had to do');

my ($status, $out, $err) = $node->psql('one', "BEGIN; SELECT claiim.publish_skill('loud', 'actions: [a]', 'acme'); SELECT count(pg_notify('x', i || repeat('x', 7000))) FROM generate_series(1, 2000) AS i; COMMIT",
	extra_params => [ '-U', 'ann', '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  54000: a transaction with governance acts has too much to do at its commit/, 'notifications by the megabyte do not go with governance');
is(one("BEGIN; SELECT claiim.publish_skill('quiet', 'actions: [a]', 'acme'); SELECT count(pg_notify('x', i || 'x')) FROM generate_series(1, 1000) AS i; COMMIT", 'ann'), "quiet-v1\n1000", '... some do');

# ---- a great deal at once ----

($status, $out, $err) = $node->psql('one', "SELECT count(claiim._act('test.many', NULL, 'acme', 'x', NULL, '{}')) FROM generate_series(1, 10001)", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  54000: too many governance acts in one transaction\nDETAIL:  At most 10000 are accepted\./, 'there is a limit to the acts of one transaction');
($status, $out, $err) = $node->psql('one', "BEGIN; SELECT count(claiim._act('test.many', NULL, 'acme', 'x', NULL, '{}')) FROM generate_series(1, 6000); SAVEPOINT a; SELECT count(claiim._act('test.many', NULL, 'acme', 'x', NULL, '{}')) FROM generate_series(1, 3000); ROLLBACK TO a;"
	. "SELECT count(claiim._act('test.many', NULL, 'acme', 'x', NULL, '{}')) FROM generate_series(1, 3000)");
like($err, qr/too many governance acts/, '... also of those that are rolled back to a savepoint');
is(one("BEGIN; SELECT count(claiim._act('test.many', NULL, 'acme', 'x', NULL, '{}')) FROM generate_series(1, 10000); COMMIT; BEGIN; SELECT count(claiim._act('test.many', NULL, 'acme', 'x', NULL, '{}')) FROM generate_series(1, 10000); COMMIT"),
	"10000\n10000", '... and no other limit');
is(ask($node, 'one', 'many'), 'ALLOW', 'the gate answers');
is(one("SELECT count(*) FROM claiim.chron WHERE act = 'test.many'"), 20000, '... with all of them in Chron');

# What nobody has approved in time is marked by whoever proposes next, and must
# not be more than that transaction can do.
one(<<'SQL');
ALTER TABLE claiim.changes DISABLE TRIGGER claiim_guard_rows;
INSERT INTO claiim.changes (change, kind, org, subject, payload, digest, summary, quorum, proposed_by, proposed_at, expires_at)
SELECT 'chg_' || lpad(i::text, 26, '0'), 'target.map', 'acme', 'x', '{}', sha256(''), 'x', 1, 'ann', now() - interval '8 days', now() - interval '1 day'
FROM generate_series(1, 10500) AS i;
ALTER TABLE claiim.changes ENABLE ALWAYS TRIGGER claiim_guard_rows;
SQL
like(one("SELECT claiim.map_target('next', 'acme')", 'ann'), qr/^chg_/, 'proposals go on after thousands that have expired');
is(one("SELECT count(*) FROM claiim.changes WHERE status = 'expired'"), 1000, '... each of which marks a thousand');
is(one('SELECT claiim.expire_changes()', 'bob'), 1000, '... as does whoever asks for it');
chron_is_sound($node, 'one', 'many acts');

$node->stop;
done_testing();
