#!/usr/bin/perl
#
# Runs TAP test files by TAP::Harness, the library below prove(1), because what
# we need is the numbers: prove's summary does not give them.
#
#   tap.pl RESULT-FILE JOBS [LAUNCHER...] -- FILE...
#
# Each file is run as "LAUNCHER... FILE".  RESULT-FILE gets "PASSED FAILED
# SKIPPED", and RESULT-FILE.skipped a line for each reason of a skip.  A file that breaks its plan, dies, or exits with an error although
# its tests passed is one failure more.  RESULT-FILE.failed names the files that
# failed.  Exits non-zero if anything failed.

use strict;
use warnings;
use TAP::Harness;

my ($result, $jobs) = splice @ARGV, 0, 2;
my @launcher;
push @launcher, shift @ARGV while @ARGV && $ARGV[0] ne '--';
shift @ARGV;
my @files = @ARGV;

my ($skip_all, $broken, @failed_files, %why) = (0, 0);
my $harness = TAP::Harness->new(
	{
		verbosity => 0,
		failures => 1,
		comments => 1,
		timer => 1,
		jobs => $jobs,
		exec => @launcher ? [@launcher] : [ 'timeout', '300' ],
	});
$harness->callback(
	made_parser => sub {
		my ($parser, $job) = @_;
		my $file = $job->[1];
		$parser->callback(
			test => sub { $why{$file}{ $_[0]->explanation }++ if $_[0]->has_skip });
	});
my $sum = @files ? $harness->runtests(@files) : undef;

my ($passed, $failed, $skipped) = (0, 0, 0);
if ($sum)
{
	for my $file ($sum->descriptions)
	{
		my ($parser) = $sum->parsers($file);
		if ($parser->skip_all)
		{
			$skip_all++;
			$why{$file}{ $parser->skip_all }++;
			next;
		}
		my $odd = $parser->parse_errors || $parser->exit || $parser->wait;
		push @failed_files, $file if $parser->failed || $odd;
		$broken++ if $odd && !$parser->failed;
	}
	$failed = $sum->failed + $broken;
	$skipped = $sum->skipped + $skip_all;
	$passed = $sum->passed - $sum->skipped;
}

write_file("$result.failed", map { "$_\n" } @failed_files);
write_file(
	"$result.skipped",
	map {
		my $file = $_;
		map { "$file: $why{$file}{$_} x $_\n" } sort keys %{ $why{$file} }
	} sort keys %why);
write_file($result, "$passed $failed $skipped\n");
exit($failed ? 1 : 0);

sub write_file
{
	my ($name, @text) = @_;
	open my $out, '>', $name or die "$name: $!\n";
	print $out @text;
	close $out or die "$name: $!\n";
	return;
}
