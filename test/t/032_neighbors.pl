# A database whose writer hangs closes its own gate, and not that of the others: it
# may hold half of the queue's places that they leave.  When the writer goes on, all
# is as it was, and every question that was taken over is recorded.

use strict;
use warnings;

use ClaiimTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('neighbors', conf => "claiim.queue_size = 16\n");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
set_up($node, 'one');

my $full = "53400: the decision was not taken: the gate's queue is full";
my $share = "53400: the decision was not taken: this database's share of the gate's queue is full";
my $serial = 0;

sub stat_of { my ($db, $columns) = @_; return $node->safe_psql($db, "SELECT concat_ws(' ', $columns) FROM claiim.pg_stat_claiim") }
sub recorded { my ($db, $where) = @_; return $node->safe_psql($db, "SELECT count(*) FROM claiim.chron WHERE target $where") }
sub check { return "SELECT outcome, chron_id FROM claiim_check('deploy-bot', 'deploy:staging', '$_[0]');\n" }
sub check_many
{
	my ($n, $target) = @_;
	return "SELECT outcome, chron_id FROM claiim_check_many('deploy-bot', array_fill('deploy:staging'::text, '{$n}'), array_fill('$target'::text, '{$n}'));\n";
}

# So many callers ask, and wait for at most 1.5 s: how many met which error.
sub errors_of_callers
{
	my ($db, $n) = @_;
	my $round = ++$serial;
	my @callers = map { background($node, $db, "SET claiim.queue_timeout = '1500ms';\n" . check("load/$round/$_")) } 1 .. $n;
	my %count;

	wait_for_all(@callers);
	$count{ error_of($_->{stderr}) =~ s/^(40003): .*/$1/r }++ for @callers;
	return \%count;
}

# How often those who ask there have gone to sleep.
sub switches
{
	my ($db) = @_;
	my $sum = 0;

	$sum += slurp_file("/proc/$_/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : 0
	  for split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE datname = '$db' AND usename = 'deploy'");
	return $sum;
}

# A gate that is open answers each of these; at the first error they give up.
sub is_open
{
	my ($db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $round = ++$serial;
	my @clients = map {
		my $client = $_;
		background($node, $db, "\\set ON_ERROR_STOP on\n" . join '', map { check("open/$round/$client/$_") } 1 .. 25)
	} 1 .. 4;
	return is(scalar(answers_of(@clients)), 100, $name);
}

# As long as it is alone a database may use the whole queue; what it has is not
# taken from it when a second comes.
my $waits;
{
	is(ask($node, 'one', 'x'), 'ALLOW', 'the gate answers');
	freeze(writer_pid($node, 'one'));
	is_deeply(errors_of_callers('one', 18), { 40003 => 16, $full => 2 }, 'a database that is alone may hold all places');
	set_up($node, 'two');
	wait_until(sub { stat_of('two', 'writer_state') eq 'running' }, 'it has a writer');
	is(stat_of('two', 'queue_used, queue_held'), '16 0', '... and keeps them when another comes');
	is(ask($node, 'two', 'too late', set => ["claiim.queue_timeout = '300ms'"]), $full, '... for which there is none');
	$waits = background($node, 'two', "SET claiim.queue_timeout = '5min';\n" . check('load/waits'));
	wait_until(sub { stat_of('two', 'queue_waits') == 2 }, 'somebody waits for one');
	thaw();
	is(scalar(answers_of($waits)), 1, '... until the writer goes on');
	is(recorded('one', "LIKE 'load/%'"), 16, '... which records what was taken over');
}

# Two that use claiim, and a writer that hangs
is_open($_, "$_: the gate is open") for qw(one two);
my @busy = start_load($node, 'two', 2, 20_000, pause => 0.01);
wait_for_load(4, @busy);
freeze(writer_pid($node, 'one'));
is_deeply(errors_of_callers('one', 20), { 40003 => 8, $share => 12 }, 'a writer hangs: its database gets half of the places');
is(stat_of('one', 'queue_held, queue_refused'), '8 14', '... and keeps them when its callers have left');
my $one = background($node, 'one', "SET claiim.queue_timeout = '200ms';\n" . check('refused'));
wait_for_all($one);
is(error_of($one->{stderr}), $share, '... so that the next are refused');
like($one->{stderr}, qr/^DETAIL:  It holds 8 places of [78] that it may hold beside other databases, and had none for 1 more within claiim\.queue_timeout \(200 ms\)\.\nHINT:  See whether Chron's writer of this database hangs, or increase claiim\.queue_size\./m,
	'... and told why');
is_open('two', 'the gate of the other is open');
wait_for_load(lines_of(@busy) + 20, @busy);

# Three: the second that hangs gets half of what the first has left.
set_up($node, 'three');
kill 'TERM', map { $_->{pid} } @busy;
my @answers = answers_of(@busy);
wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'two' AND usename = 'deploy'") == 0 }, 'they have left');
is(join('', map { $_->{stderr} } @busy), '', '... and has been all the time, for those who have asked since before');
freeze(writer_pid($node, 'two'));
is_deeply(errors_of_callers('two', 8), { 40003 => 4, $share => 4 }, 'a second writer hangs: its database gets half of the rest');
is(stat_of('three', 'queue_used, queue_held'), '12 0', '... and the others have what is left');
is_open('three', '... with which the gate of a third goes on');

# Several questions of one call are within the share, or none of them is.
for my $case ([ 2, "ALLOW\n" x 2 ], [ 3, $share ])
{
	my ($n, $expected) = @$case;
	my $many = background($node, 'three', "SET claiim.queue_timeout = '300ms';\n" . check_many($n, "many $n"));
	wait_for_all($many);
	is(join('', $many->{stdout} =~ s/\|\S+//gr || error_of($many->{stderr})), $expected, "a call that asks $n things, of four places that are left");
}
is(recorded('three', "= 'many 3'"), 0, '... of which none is recorded if there is no place for all');

# Who waits for a place of its own database is woken when that frees one.
my @waiting = map { background($node, 'one', "SET claiim.queue_timeout = '5min';\n" . check("load/woken/$_")) } 1 .. 6;
wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'one' AND usename = 'deploy' AND wait_event_type = 'Extension'") == 6 }, 'six wait for a place');
my $began = time;
my $woken = -switches('one');
is_open('three', 'callers who wait elsewhere disturb nobody');
$woken += switches('one');
cmp_ok($woken, '<', 100 + 6 * 3 * (time - $began + 1), '... and are not woken by each decision there');
thaw();
is(scalar(answers_of(@waiting)), 6, 'when the writers go on, who has waited is answered');

# Nothing is lost, neither questions nor places.
wait_until(sub { stat_of('one', 'queue_used') == 0 }, 'all places are free again');
is(join(' ', map { stat_of($_, 'queue_held, queue_length') } qw(one two three)), '0 0 0 0 0 0', 'nobody holds a place any more');
is(recorded('one', "~ '^load/[0-9]{1,2}/[0-9]+\$'"), 16 + 8, 'what was taken over in the first is recorded, once');
is(recorded('two', "~ '^load/[0-9]{1,2}/[0-9]+\$'"), 4, '... and in the second');
is(recorded('one', "= 'refused'") + recorded('two', "= 'too late'"), 0, '... and nothing else');
is_open($_, "$_: the gate is open again") for qw(one two three);
chron_is_sound($node, $_, $_, $_ eq 'two' ? @answers : ()) for qw(one two three);

# What is dropped with questions in its queue leaves no trace, and who is alone
# again has all places.
for my $db (qw(two three))
{
	freeze(writer_pid($node, $db));
	is(errors_of_callers($db, 3)->{40003}, 3, "$db: three are in the queue");
	my $drop = background($node, 'postgres', "DROP DATABASE $db;\n", user => $superuser);
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP DATABASE%' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()") }, 'it is about to be dropped');
	thaw();
	wait_for_all($drop);
	is($drop->{stderr}, '', '... dropped');
}
is(stat_of('one', 'queue_used'), 0, '... their places are free');
freeze(writer_pid($node, 'one'));
is_deeply(errors_of_callers('one', 17), { 40003 => 16, $full => 1 }, '... and all of them are for the one that is left');
thaw();
is_open('one', 'the gate is open');
chron_is_sound($node, 'one', 'alone again');

$node->stop;
done_testing();
