# Standbys: a hot one does not decide; a synchronous one has every answer's
# record before the answer is given, and when it is gone there are no answers;
# promoted, it goes on where the primary was.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = new_node('primary', init => [ allows_streaming => 1 ]);
set_up($primary, 'one');
$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->start;
$primary->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.bind_policy('deploy-bot', claiim.publish_policy('p', E'skill: deploy-v1\\nallow: [deploy:canary]', 'acme'))");
is(ask($primary, 'one', 'x'), 'ALLOW', 'the primary answers');
$primary->wait_for_catchup($standby);

# A hot standby
is(ask($standby, 'one', 'x'), '25006: claiim cannot decide on a standby server', 'a hot standby does not decide');
my (undef, undef, $err) = $standby->psql('one', "SELECT claiim_authenticate('deploy-bot', 'x')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
is(error_of($err), '25006: claiim cannot decide on a standby server', '... nor identify');
(undef, undef, $err) = $standby->psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.suspend_agent('deploy-bot', 'x')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like(error_of($err), qr/^25006: /, '... nor govern');
(undef, undef, $err) = $standby->psql('one', "SELECT claiim_permissions('deploy-bot')", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
is(error_of($err), '25006: claiim cannot decide on a standby server', '... nor list what may have been revoked meanwhile');
is($standby->safe_psql('one', "SET SESSION AUTHORIZATION bob; SELECT diff FROM claiim.pending_changes"), "+ deploy:canary\n- deploy:staging",
	'... but what waits for approval can be read there, with what it would do');
is($standby->safe_psql('one', 'SELECT ok, records > 5 FROM claiim.verify()'), 't|t', '... and Chron can be read and verified');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'claiim writer'"), 0, '... without a writer');

# Synchronous.  Commits do not wait for the standby until the checkpointer has read
# that there is one, which it does late; and the standby has not got it yet.
freeze($standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver'));
freeze($primary->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"));
$primary->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
$primary->reload;
# Cut short, which leaves it recorded here, and unanswered
my $cut = background($primary, 'one', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'cut short')");
wait_until(sub { -s $cut->{err} || $primary->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target = 'cut short'") }, 'it is recorded');
$primary->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'");
wait_for_all($cut);
like($cut->{stdout} . $cut->{stderr}, qr/^psql:\S+ ERROR:  40003: no answer: [^\n]*\nDETAIL:  it is recorded here, but the synchronous standby has not confirmed it\./, 'a writer that waits for commits to know of a standby is cancelled: no answer');
my $early = background($primary, 'one', "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'early')");
wait_until(sub { -s $early->{err} || $primary->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'deploy' AND state = 'active' AND wait_event_type = 'Extension'") }, 'one waits');
my $human = background($primary, 'one', "SELECT claiim.suspend_agent('deploy-bot', 'test') IS NULL;\n", user => 'ann');
wait_until(sub { -s $human->{out} || $primary->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ann' AND wait_event_type = 'Lock'") }, 'a human as well');
is(slurp_file($human->{out}), '', 'who governs waits for who has not been answered');
thaw();
wait_for_all($early, $human);
$primary->safe_psql('one', "SELECT two.people(\$\$resume_agent('deploy-bot', 'test')\$\$)");
is($early->{stdout} . $early->{stderr}, "ALLOW\n", 'a standby becomes synchronous, and commits do not wait for it yet: the gate does, and answers');
wait_until(sub { $primary->safe_psql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") }, 'the standby is synchronous');
is(ask($primary, 'one', 'both'), 'ALLOW', 'with a synchronous standby the gate answers');
# Whatever the caller's own setting, which is not the writer's
is(ask($primary, 'one', 'careless', set => ['synchronous_commit = off']), 'ALLOW', '... also a caller with synchronous_commit = off');

# The cluster's own setting counts as far as it is the stronger one, also after it was not.
for my $setting (qw(off remote_apply))
{
	$primary->safe_psql('postgres', "ALTER SYSTEM SET synchronous_commit = $setting");
	$primary->reload;
	wait_until(sub { $primary->safe_psql('postgres', 'SHOW synchronous_commit') eq $setting }, "synchronous_commit is $setting");
	usleep(200_000);
	is(ask($primary, 'one', $setting), 'ALLOW', "the cluster has synchronous_commit = $setting: the gate answers");
}
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
wait_until(sub { $standby->safe_psql('postgres', 'SELECT pg_get_wal_replay_pause_state()') eq 'paused' }, 'the standby does not apply');
ok(wait_until(sub { ask($primary, 'one', 'not applied', set => ["claiim.queue_timeout = '500ms'"]) =~ /^40003: / }, 'no answer'), '... not before the standby has applied it');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_until(sub { ask($primary, 'one', 'applied', set => ["claiim.queue_timeout = '2s'"]) eq 'ALLOW' }, 'the standby applies again');
$primary->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_commit');
$primary->reload;
wait_until(sub { $primary->safe_psql('postgres', 'SHOW synchronous_commit') eq 'on' }, 'synchronous_commit is on');

$standby->stop('immediate');
my $waiting = background($primary, 'one', "SET claiim.queue_timeout = '60s'; SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'patient')");
wait_until(sub { $primary->safe_psql('postgres', "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'claiim writer'") eq 'SyncRep' },
	'the writer waits for the standby');
is(ask($primary, 'one', 'alone', set => ["claiim.queue_timeout = '500ms'"]),
	'40003: no answer: the decision could not be confirmed as recorded within claiim.queue_timeout',
	'the standby is gone: no answer');
is($primary->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target IN ('patient', 'alone')"), 0,
	'... and what no standby has is not to be seen either');

# An impatient DBA who cancels that wait, which leaves the commit local, makes
# it no answer.
$primary->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'claiim writer'");
wait_for_all($waiting);
is($waiting->{stdout} . error_of($waiting->{stderr}), '40003: no answer: the decision could not be recorded',
	'a writer that is terminated while it waits for the standby: no answer');
like($waiting->{stderr}, qr/DETAIL:  it is recorded here, but the synchronous standby has not confirmed it\./i, '... and why');

$standby->start;
wait_until(sub { ask($primary, 'one', 'both again', set => ["claiim.queue_timeout = '2s'"]) eq 'ALLOW' }, 'the gate opens when the standby is back');
is($primary->safe_psql('one', "SELECT string_agg(target || ' ' || n, ', ' ORDER BY target) FROM (SELECT target, count(*) AS n FROM claiim.chron WHERE target IN ('alone', 'patient') GROUP BY target) AS c"),
	'alone 1, patient 1', '... what was taken over is recorded, once');
chron_is_sound($primary, 'one', 'after the outage');

# Promotion under load: no answer that was given is missing on the new primary.
my @load = start_load($primary, 'one', 8, 5000);
wait_for_load(60, @load);
usleep(200_000);
$primary->stop('immediate');
my @answers = answers_of(@load);
cmp_ok(scalar @answers, '>', 30, 'there was load: ' . @answers . ' answers');
my $log = $standby->safe_psql('one', 'SELECT DISTINCT log FROM claiim.chron');
$standby->promote;
$standby->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = ''");
$standby->reload;
wait_until(sub { ask($standby, 'one', 'promoted') eq 'ALLOW' }, 'the promoted standby answers');
chron_is_sound($standby, 'one', 'promoted', @answers);
is($standby->safe_psql('one', "SELECT DISTINCT log FROM claiim.chron"), $log, '... in the same log');
is($standby->safe_psql('one', "SELECT detail::jsonb ->> 'timeline' FROM claiim.chron WHERE act = 'writer.start' ORDER BY seq DESC LIMIT 1"),
	2, '... whose new timeline is announced in a record');

$standby->stop;

# Asynchronous: what was answered last may be on the old primary alone.  The new one
# has the beginning of that Chron, nothing that is not so, and goes on from there.
{
	my $old = new_node('old', init => [ allows_streaming => 1 ]);
	set_up($old, 'one');
	$old->backup('b');
	my $new = PostgreSQL::Test::Cluster->new('new');
	$new->init_from_backup($old, 'b', has_streaming => 1);
	$new->start;
	my @early = answers_of(start_load($old, 'one', 4, 50));
	$old->wait_for_catchup($new);

	# The standby falls behind, as it may at any time.
	my $receiver;
	wait_until(sub { $receiver = $new->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver') }, 'the standby receives');
	freeze($receiver);
	my @load = start_load($old, 'one', 6, 4000);
	wait_for_load(60, @load);
	$old->kill9;
	my @late = answers_of(@load);
	# What has reached its socket is not written either.
	kill 'KILL', $receiver;
	thaw();
	wait_until(sub { $new->psql('postgres', 'SELECT 1') == 0 && $new->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver') ne $receiver }, 'the standby is up again');
	$new->promote;
	wait_until(sub { ask($new, 'one', 'promoted') eq 'ALLOW' }, 'the promoted standby answers');
	my $tip = $new->safe_psql('one', "SELECT seq - 1 FROM claiim.chron WHERE act = 'writer.start' ORDER BY seq DESC LIMIT 1");
	my (@kept, @lost);
	my $ids = join ',', map { $_->[1] } @late;
	my %seq = map { split /\|/ } split /\n/, $new->safe_psql('one', "SELECT id, (claiim._chron_key(id)).seq FROM unnest('{$ids}'::text[]) AS id");
	push @{ $seq{ $_->[1] } <= $tip ? \@kept : \@lost }, $_ for @late;
	cmp_ok(scalar @lost, '>', 0, 'an asynchronous standby is promoted: of the answers that were given, ' . @lost . ' are not there');
	chron_is_sound($new, 'one', '... but those before them, without a gap,', @early, @kept);
	$ids = join ',', map { $_->[1] } @lost;
	is($new->safe_psql('one', "SELECT count(*) FROM claiim.decisions WHERE chron_id = ANY ('{$ids}')"), 0, '... and no other record has the identifier of one that is lost');
	my (undef, undef, $unknown) = $new->psql('one', "SELECT claiim_complete('$lost[0][1]', 'succeeded')", extra_params => [ '-U', 'deploy', '-v', 'VERBOSITY=verbose' ]);
	like(error_of($unknown), qr/^42501: there is no decision/, '... nor is it known there');
	$new->stop;
}

done_testing();
