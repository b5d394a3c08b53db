# Chron's partitions over the end of a month and of a year, a clock that jumps
# ahead, and one that is set back: records go where they belong, and time in
# Chron never goes back.
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
use Time::HiRes qw(time usleep);
use Time::Local qw(timegm);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $offset = "$dir/offset";
if (system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/fake_clock.so", dirname(__FILE__) . '/fake_clock.c', '-ldl') != 0)
{
	plan skip_all => 'no compiler for the fake clock';
}

# The server's clock says this from now on.
sub set_clock
{
	my ($year, $month, $day, $hour, $minute, $second) = @_;
	my $us = int((timegm($second, $minute, $hour, $day, $month - 1, $year) - time) * 1_000_000);
	sysopen my $file, $offset, O_WRONLY | O_CREAT or die "$offset: $!";
	syswrite $file, pack('q', $us) or die "$offset: $!";
	close $file;
	return;
}

set_clock(2026, 12, 31, 23, 0, 0);
my $node = new_node('partitions', start => 0);
{
	local $ENV{LD_PRELOAD} = "$dir/fake_clock.so";
	local $ENV{CLAIIM_CLOCK_OFFSET} = $offset;
	$node->start;
}
if ($node->safe_psql('postgres', 'SELECT extract(year FROM now())') ne '2026')
{
	$node->stop;
	plan skip_all => 'the clock cannot be faked here';
}
set_up($node, 'one');

sub partitions
{
	return $node->safe_psql('one', "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text)"
		. " FROM pg_inherits WHERE inhparent = 'claiim.chron'::regclass");
}

sub where_is
{
	my ($target) = @_;
	return $node->safe_psql('one', "SELECT string_agg(tableoid::regclass::text, ' ') FROM claiim.chron WHERE target = '$target'");
}

is(ask($node, 'one', 'in december'), 'ALLOW', 'in December');
is(partitions(), 'claiim.chron_y2026m12 claiim.chron_y2027m01', 'there is a partition for this month, and one for the next year already');

# Over midnight, while many ask; the months are UTC's, whatever the zone.
$node->safe_psql('postgres', "ALTER DATABASE one SET timezone = 'Pacific/Kiritimati'");
set_clock(2026, 12, 31, 23, 59, 59);
my @answers = answers_of(start_load($node, 'one', 8, 600));
wait_until(sub { $node->safe_psql('one', "SELECT now() > '2027-01-01 00:00:00Z'") eq 't' }, 'it is midnight');
is(ask($node, 'one', 'in january'), 'ALLOW', 'in January');
is(scalar @answers, 8 * 600, 'over midnight: every question is answered');
chron_is_sound($node, 'one', 'over midnight', @answers);
is(where_is('in december') . ' ' . where_is('in january'), 'claiim.chron_y2026m12 claiim.chron_y2027m01', '... and is where it belongs');
is($node->safe_psql('one', <<'SQL'), 0, '... to the microsecond');
SELECT count(*) FROM claiim.chron
WHERE tableoid::regclass::text <> 'claiim.chron_y' || to_char(at AT TIME ZONE 'UTC', 'YYYY"m"MM')
SQL

# Back, as when a clock is corrected: at stands still, and clock says what it said.
set_clock(2026, 12, 31, 12, 0, 0);
is(ask($node, 'one', 'set back'), 'ALLOW', 'a clock that is set back: the gate goes on');
is($node->safe_psql('one', <<'SQL'), "claiim.chron_y2027m01|t|2026-12-31 12:00", '... time in Chron does not go back; what the clock said is recorded');
SELECT c.tableoid::regclass, c.at = p.at, to_char(c.clock AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
FROM claiim.chron c JOIN claiim.chron p ON p.seq = c.seq - 1 WHERE c.target = 'set back'
SQL
is($node->safe_psql('one', "SELECT count(*) FROM claiim.chron WHERE clock IS NOT NULL AND target IS DISTINCT FROM 'set back'"), 0, '... and only then');
chron_is_sound($node, 'one', 'set back');

# A jump ahead over months for which nothing was made, with a writer at rest
set_clock(2027, 6, 15, 12, 0, 0);
is(ask($node, 'one', 'in june'), 'ALLOW', 'a clock that jumps: the gate goes on');
is(partitions(), 'claiim.chron_y2026m12 claiim.chron_y2027m01 claiim.chron_y2027m06 claiim.chron_y2027m07', '... in partitions for now and for next');
is(where_is('in june'), 'claiim.chron_y2027m06', '... where it belongs');
# ... and again at once, which is less than a minute after it has looked
set_clock(2027, 9, 1, 0, 0, 0);
is(ask($node, 'one', 'in september'), 'ALLOW', '... and again');
is(where_is('in september'), 'claiim.chron_y2027m09', '... where it belongs');
chron_is_sound($node, 'one', 'jumps');

# New partitions are guarded as the old ones are.
is($node->safe_psql('one', <<'SQL'), 0, 'every partition has its guards');
SELECT count(*) FROM pg_inherits i
WHERE inhparent = 'claiim.chron'::regclass
	AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = i.inhrelid AND t.tgenabled = 'A' AND t.tgname ~ '^claiim_guard_(rows|truncate)$') <> 2
SQL
is($node->safe_psql('one', <<'SQL'), 0, '... and nobody may read or write it past the views');
SELECT count(*) FROM pg_inherits i, unnest('{ann,bob,deploy,claiim_agent,claiim_admin,claiim_auditor}'::text[]) AS r
WHERE inhparent = 'claiim.chron'::regclass
	AND has_table_privilege(r, i.inhrelid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
SQL
# A table that stands in the way is not written into.
$node->safe_psql('one', 'CREATE TABLE claiim.chron_y2028m03 (LIKE claiim.chron)');
set_clock(2028, 3, 1, 0, 0, 0);
my $answer = ask($node, 'one', 'in the way', set => ["claiim.queue_timeout = '2s'"]);
like($answer, qr/^(?:42809|57P03|40003): /, 'a table in the way of a partition: an error');
is($node->safe_psql('one', 'SELECT count(*) FROM claiim.chron_y2028m03'), 0, '... and nothing in it');
$node->safe_psql('one', 'DROP TABLE claiim.chron_y2028m03');
wait_until(sub { ask($node, 'one', 'out of the way') eq 'ALLOW' }, 'the gate opens when it is gone');
chron_is_sound($node, 'one', 'in the end');

# The next month's partition cannot be made, for somebody holds a lock; the month
# begins, and the clock is set back.
{
	set_clock(2028, 3, 31, 23, 59, 20);
	$node->safe_psql('one', 'DROP TABLE IF EXISTS claiim.chron_y2028m04');
	my $lock = background($node, 'one', "BEGIN; LOCK TABLE claiim.chron IN SHARE UPDATE EXCLUSIVE MODE; SELECT 'locked'; SELECT pg_sleep(600)",
		user => $node->safe_psql('one', 'SELECT current_user'));
	wait_until(sub { slurp_file($lock->{out}) =~ /locked/ }, 'somebody holds a lock');
	is(ask($node, 'one', 'the next one locked'), 'ALLOW', 'while the next partition cannot be made the gate goes on');
	set_clock(2028, 4, 1, 0, 0, 5);
	is(ask($node, 'one', 'too late'), '42P01: no answer: the decision could not be recorded', '... until it is needed');
	set_clock(2028, 3, 31, 23, 59, 0);
	is(ask($node, 'one', 'not needed after all'), 'ALLOW', '... and again if the clock was wrong');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()");
	wait_for_all($lock);
	chron_is_sound($node, 'one', 'after the lock');
}

# After a restart, and a dump's worth of partitions
{
	local $ENV{LD_PRELOAD} = "$dir/fake_clock.so";
	local $ENV{CLAIIM_CLOCK_OFFSET} = $offset;
	$node->restart;
}
is(ask($node, 'one', 'restarted'), 'ALLOW', 'restarted');
chron_is_sound($node, 'one', 'restarted');

$node->stop;
done_testing();
