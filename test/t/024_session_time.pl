# The end of a session, and of a token, is exact: no ALLOW is recorded at or
# after it, however long the caller's question has waited, and whichever way the
# server's clock is moved.  And what has its time has its beginning as well.
#
# The server's clock is moved by a library made of fake_clock.c.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Fcntl qw(O_CREAT O_WRONLY);
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $offset = "$dir/offset";
if (system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/fake_clock.so", dirname(__FILE__) . '/fake_clock.c', '-ldl') != 0)
{
	plan skip_all => 'no compiler for the fake clock';
}

# The server's clock says this from now on: seconds after noon of 2027-03-10.
my $noon = timegm(0, 0, 12, 10, 2, 2027);
sub set_clock
{
	my ($seconds) = @_;
	sysopen my $file, $offset, O_WRONLY | O_CREAT or die "$offset: $!";
	syswrite $file, pack('q', int(($noon + $seconds - time) * 1_000_000)) or die "$offset: $!";
	close $file;
	return;
}
sub at { return "timestamptz '2027-03-10 12:00:00Z' + interval '$_[0] s'" }

set_clock(0);
my $node = new_node('session_time', start => 0);
{
	local $ENV{LD_PRELOAD} = "$dir/fake_clock.so";
	local $ENV{CLAIIM_CLOCK_OFFSET} = $offset;
	$node->start;
}
if ($node->safe_psql('postgres', 'SELECT extract(year FROM now())') ne '2027')
{
	$node->stop;
	plan skip_all => 'the clock cannot be faked here';
}
set_up($node, 'one');
$node->safe_psql('one', <<'SQL');
BEGIN;
SET LOCAL SESSION AUTHORIZATION ann;
SELECT claiim.publish_policy('p', E'skill: deploy-v1\nallow:\n  - deploy:staging\n  - {action: deploy:gated, requires: session}\n', 'acme');
COMMIT;
SELECT two.people($$bind_policy('deploy-bot', 'p-v2')$$);
GRANT claiim_agent TO bob;
SQL

# Opened by two humans from one time until another; its identifier.
sub open_session
{
	my ($targets, $from, $until) = @_;
	my $change = $node->safe_psql('one', "SELECT two.people(\$\$propose_session('deploy-bot', '{deploy:gated}', '{$targets}', 'test', valid_from => "
		. at($from) . ', valid_until => ' . at($until) . ')$$)');
	return $node->safe_psql('one', "SELECT session FROM claiim.sessions WHERE change = '$change'");
}
sub gated
{
	my ($target, $session) = @_;
	return "SELECT outcome, reason_code FROM claiim_check('deploy-bot', 'deploy:gated', '$target'" . ($session ? ", session => '$session'" : '') . ");\n";
}
# A bounded wait: a question that goes round and round is no answer.
sub answer
{
	my ($sql, $user) = @_;
	my ($out, $err);
	$node->psql('one', "SET statement_timeout = '30s'; $sql", stdout => \$out, stderr => \$err, extra_params => [ '-U', $user // 'deploy', '-v', 'VERBOSITY=verbose' ]);
	return $out ne '' ? $out : error_of($err);
}
sub waiting
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' AND wait_event_type = 'Extension'");
}
sub late { return $node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE outcome = 'ALLOW' AND target LIKE '$_[0]' AND at >= " . at($_[1])) }
# Asked before the end, and recorded after it
sub held_up
{
	my ($sql, $until, $user) = @_;
	freeze(writer_pid($node, 'one'));
	my $caller = background($node, 'one', $sql, user => $user // 'deploy');
	wait_until(sub { waiting() == 1 }, 'one waits');
	set_clock($until);
	thaw();
	wait_for_all($caller);
	return $caller->{stdout} ne '' ? $caller->{stdout} =~ s/\n$//r : error_of($caller->{stderr});
}

# A session
{
	my $session = open_session('a/**', 100, 200);
	is(answer(gated('a/0', $session)), 'DENY|session_not_started', 'before it begins a session is not open');
	is(answer(gated('a/0')), 'DENY|session_required', '... and not found');
	set_clock(100);
	is(answer(gated('a/1', $session)), 'ALLOW|allowed', 'from its first moment on it is');
	is(answer(gated('a/2')), 'ALLOW|allowed', '... and found');
	set_clock(195);
	is(held_up(gated('a/3', $session), 200), 'DENY|session_expired', 'asked before its end and recorded after it: a DENY');
	is(answer(gated('a/4', $session)), 'DENY|session_expired', '... like what is asked after it');
	is(late('a/%', 200), 0, '... and no ALLOW stands in Chron at or after the end');

	my $other = open_session('b/**', 200, 300);
	set_clock(295);
	is(held_up(gated('b/1'), 300), 'DENY|session_required', 'one that was found and has ended meanwhile is found no more');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.session_uses WHERE session = '$other'"), 0, '... and no use of it is taken');
	is(late('b/%', 300), 0, '... nor an ALLOW recorded');
}

# Time in Chron does not go back.  When the clock does, what has ended in Chron has
# ended, though the clock says otherwise; and nobody is kept waiting for it.
{
	my $session = open_session('c/**', 300, 400);
	is(answer(gated('c/1', $session)), 'ALLOW|allowed', 'a session is open');
	set_clock(450);
	is(answer("SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'x');"), 'ALLOW', 'its end comes, and something is recorded');
	set_clock(350);
	is(answer(gated('c/2', $session)), 'DENY|session_expired', 'the clock is set back behind its end: it has ended all the same');
	is(answer(gated('c/3')), 'DENY|session_required', '... and is not found');
	is(late('c/%', 400), 0, '... nor does Chron have an ALLOW of it at or after the end');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE target LIKE 'c/%' AND clock IS NOT NULL"), 2, '... where the reading of the clock stands beside the time');
	set_clock(460);
}

# Many, over the end
{
	my $session = open_session('load/**', 460, 490);
	set_clock(460);
	my @load = map { my $client = $_; background($node, 'one', join '', map { gated("load/$client/$_", $_ % 2 ? $session : undef) } 1 .. 20000) } 1 .. 6;
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) > 20 FROM claiim.chron WHERE outcome = 'ALLOW' AND session = '$session'") eq 't' }, 'it is used');
	set_clock(489);
	wait_until(sub { $node->safe_psql('one', "SELECT count(*) > 20 FROM claiim.chron WHERE reason_code = 'session_expired' AND session = '$session'") eq 't' }, 'it has ended');
	kill 'TERM', map { $_->{pid} } @load;
	wait_for_all(@load);
	my ($allows, $last) = split /\|/, $node->safe_psql('one', "SELECT count(*), max(at) < " . at(490) . " FROM claiim.chron WHERE target LIKE 'load/%' AND outcome = 'ALLOW'");
	is($last, 't', "many ask while a session ends: the last of $allows ALLOWs stands before its end");
	is($node->safe_psql('one', "SELECT used FROM claiim.session_uses WHERE session = '$session'"), $allows, '... and each took a use');
}

# A token
{
	# A moment later than that, for time goes on while it is issued.
	my $token = sub {
		my ($until) = @_;
		return $node->safe_psql('one', 'SET SESSION AUTHORIZATION ann; SELECT token FROM claiim.issue_token(\'deploy-bot\', ' . at($until) . ' - clock_timestamp())');
	};
	my $ask = sub { return "SELECT outcome, reason_code FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]', token => '$_[1]');\n" };

	set_clock(500);
	my $first = $token->(600);
	is(answer($ask->('d/1', $first), 'bob'), 'ALLOW|allowed', 'a token is valid until its end');
	my $id = (split /\|/, answer("SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'd/2', token => '$first')", 'bob'))[1];
	set_clock(595);
	is(held_up($ask->('d/3', $first), 601, 'bob'), 'DENY|identity_unproved', 'asked before its end and recorded after it: a DENY');
	is(late('d/%', 601), 0, '... and no ALLOW stands in Chron at or after the end');
	like(answer("SELECT claiim_complete('$id', 'succeeded', token => '$first')", 'bob'), qr/^42501: there is no decision/, '... nor does it complete anything any more');

	my $second = $token->(700);
	$id = (split /\|/, answer("SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', 'd/4', token => '$second')", 'bob'))[1];
	set_clock(695);
	like(held_up("SELECT claiim_complete('$id', 'succeeded', token => '$second');", 701, 'bob'), qr/^42501: there is no decision/, 'a completion that waits over the end of its token is none');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE act = 'action.complete'"), 0, '... and is not recorded');
	is(answer("BEGIN; SELECT claiim_authenticate('deploy-bot', '$second')", 'bob'), '28000: authentication of the agent failed', '... nor does the token authenticate');

	my $third = $token->(800);
	set_clock(795);
	is(held_up("BEGIN;\n\\o /dev/null\nSELECT claiim_authenticate('deploy-bot', '$third');\n\\o\nSELECT outcome, reason_code FROM claiim_check('deploy-bot', 'deploy:staging', 'd/5');\nCOMMIT;", 801, 'bob'),
		'DENY|identity_unproved', 'a transaction that authenticated is authenticated until the end of its token');
	set_clock(750);
	is(answer($ask->('d/6', $third), 'bob'), 'DENY|identity_unproved', 'the clock is set back behind its end: the token has expired all the same');
	is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE outcome = 'ALLOW' AND target = 'd/6'"), 0, '... and no ALLOW is recorded by it');
	set_clock(810);
}

# Seven days: a request that nobody has decided about has lapsed.
{
	my $session = $node->safe_psql('one', "SET SESSION AUTHORIZATION deploy; SELECT claiim_request_session('deploy-bot', '{deploy:gated}', '{e/**}', 'wanted', valid_for => '2 hours')");
	my $week = 810 + 7 * 86400;
	my $status = "SELECT status FROM claiim_session_status('deploy-bot', '$session')";
	set_clock($week - 60);
	my $change = $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.grant_session('$session')");
	is(answer($status), 'requested', 'for seven days a request waits');
	is(answer(gated('e/1', $session)), 'DENY|session_pending', '... and is no session');
	set_clock($week + 60);
	is(answer($status), 'lapsed', 'after seven days it has lapsed');
	is(answer(gated('e/1', $session)), 'DENY|session_expired', '... and will be none');
	like(answer("SELECT claiim.approve('$change')", 'bob'), qr/^55000: session $session no longer waits for approval: its request has lapsed/, '... nor can the change be approved that was to grant it');
	like(answer("SELECT claiim.grant_session('$session')", 'ann'), qr/^55000: session $session no longer waits for approval/, '... or another be proposed');
	like(answer("SELECT claiim.refuse_session('$session', 'late')", 'ann'), qr/^55000: session $session cannot be refused/, '... nor is there anything to refuse');

	$session = $node->safe_psql('one', "SET SESSION AUTHORIZATION deploy; SELECT claiim_request_session('deploy-bot', '{deploy:gated}', '{e/**}', 'wanted', valid_for => '2 hours')");
	set_clock($week + 86400);
	$node->safe_psql('one', "SELECT two.people(format('grant_session(%L)', '$session'))");
	is($node->safe_psql('one', "SELECT valid_until - valid_from, valid_from >= " . at($week + 86400) . " FROM claiim.sessions WHERE session = '$session'"), '02:00:00|t',
		'one that is granted lasts as long as was asked for, from its approval on');
	is(answer($status =~ s/ses_\w+/$session/r), 'active', '... and is open');
	set_clock($week + 86400 + 2 * 3600 + 1);
	is(answer($status =~ s/ses_\w+/$session/r), 'expired', '... until it is over');
	like(answer("SELECT claiim.revoke_session('$session', 'late')", 'ann'), qr/^55000: session $session cannot be revoked/, '... and then cannot be revoked');
	like(answer("SELECT claiim.propose_session('deploy-bot', '{deploy:gated}', '{e/**}', 'late', valid_until => " . at(0) . ')', 'ann'), qr/^22023: the session would be over before it begins/,
		'one that would be over cannot be proposed');
	$change = $node->safe_psql('one', "SET SESSION AUTHORIZATION ann; SELECT claiim.propose_session('deploy-bot', '{deploy:gated}', '{e/**}', 'late', valid_until => " . at($week + 2 * 86400) . ')');
	set_clock($week + 2 * 86400 + 1);
	like(answer("SELECT claiim.approve('$change')", 'bob'), qr/^22023: the session would be over before it begins/, '... nor approved when it would be');
}

chron_is_sound($node, 'one', 'after all that');
$node->stop;
done_testing();
