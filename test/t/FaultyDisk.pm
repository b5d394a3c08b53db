# A disk that fails when it is told to, made of faulty_disk.c and preloaded into
# the servers that are started while $ENV{LD_PRELOAD} says so.

package FaultyDisk;

use strict;
use warnings;

use ClaiimTest;
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(faulty_disk fault hits until_hit bring_up errors_of);

my $control;
my %operation = (write => 1, grow => 2, flush => 4, read => 8, stall => 16, tear => 32);

# faulty_disk(DIRECTORY): the environment of servers on such a disk; nothing
# without a compiler.
sub faulty_disk
{
	my ($dir) = @_;
	return if system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/faulty_disk.so", dirname(__FILE__) . '/faulty_disk.c', '-ldl') != 0;
	$control = "$dir/fault";
	append_to_file($control, "\0" x 128);
	return (LD_PRELOAD => "$dir/faulty_disk.so", CLAIIM_FAULT => $control);
}

# fault(): the disk is well.  fault(OPERATION, ERRNO, PATH, TIMES): from now on,
# such operations on files with PATH in their name fail so, so many times.
sub fault
{
	my ($operation, $error, $path, $times) = @_;
	open my $file, '+<', $control or die "$control: $!";
	binmode $file;
	# off, then all of it but whether it is on, then on
	syswrite $file, pack('l', 0);
	if ($operation)
	{
		sysseek $file, 4, 0;
		syswrite $file, pack('l l l a112', $error, $times // -1, 0, $path);
		sysseek $file, 0, 0;
		syswrite $file, pack('l', $operation{$operation});
	}
	close $file;
	return;
}
sub hits { return (unpack 'l4', slurp_file($control))[3] }

sub until_hit
{
	my ($what, $meanwhile) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while (hits() == 0 && time < $deadline)
	{
		$meanwhile->() if $meanwhile;
		usleep(20_000);
	}
	cmp_ok(hits(), '>', 0, "$what: it was met");
	return;
}

sub is_up { my ($node, $db) = @_; return $node->psql($db, 'SELECT 1') == 0 }

# Up again by itself, or because it is started.
sub bring_up
{
	my ($node, $db) = @_;
	return wait_until(sub {
		return 1 if is_up($node, $db);
		my ($pid) = map { -e && slurp_file($_) =~ /^(\d+)/ } $node->data_dir . '/postmaster.pid';
		return 0 if $pid && kill 0, $pid;
		$node->stop('immediate', fail_ok => 1);
		return $node->start(fail_ok => 1) && is_up($node, $db);
	}, 'the server is up again');
}

sub errors_of
{
	return map { $_->{stderr} =~ /(?:ERROR|FATAL|PANIC):\s+(\S+: [^\n]*)/g } @_;
}

1;
