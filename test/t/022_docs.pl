# Every command in README.md and doc/ runs, as whom the page says, in a world
# that README.md's own quick start has made.
#
# In a page, a fenced block is
#	```sql		run, statement by statement, as the role that "-- as NAME" in the
#				statement names, or <!-- as NAME --> before the block, or else as
#				the superuser; what follows an empty line and is not SQL shows a
#				result.  chr_..., chg_..., ctk_... and the like stand for the
#				latest of their kind.
#	```sh		run, unless <!-- not run: WHY --> stands before it
#	```yaml		a policy or a skill, which must be one
#	others		shown: files, results, code of other languages that is tested elsewhere

use strict;
use warnings;

use ClaiimTest;
use File::Temp qw(tempdir);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $node = new_node('docs', init => [ allows_streaming => 'logical' ], conf => "max_worker_processes = 40\n");
$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN") for qw(cem infra_bot);
my $docs = 0;		# proposals made so that there is something to approve

sub blocks
{
	my ($page) = @_;
	my (@blocks, $mark, $block);
	my $line = 0;
	for (split /^/, slurp_file("$root/$page"))
	{
		$line++;
		if ($block && /^```\s*$/) { push @blocks, $block; undef $block; $mark = undef; }
		elsif ($block) { $block->{text} .= $_; }
		elsif (/^```(\w*)\s*$/) { $block = { language => $1, mark => $mark // '', text => '', where => "$page:$line" }; }
		elsif (/^<!-- (.*?) -->$/) { $mark = $1; }
		elsif (/\S/) { $mark = undef; }
	}
	return @blocks;
}

# The statements of a block, without the results that it shows.
sub statements
{
	my ($text) = @_;
	my (@found, $statement, $quoted);
	return $text if $text =~ /^BEGIN;/m;
	for (split /^/, $text)
	{
		if (!defined $statement)
		{
			next if /^\s*(?:--.*)?$/;
			last if !/^(?:[A-Z]+ |\\)/;
		}
		$statement .= $_;
		$quoted = (() = $statement =~ /\$\$/g) % 2;
		next if $quoted || $_ !~ /(?:;|\\g\w*)\s*(?:--.*)?$/;
		push @found, $statement;
		undef $statement;
	}
	die "no end: $statement" if defined $statement;
	return @found;
}

my %latest = (
	chr => "SELECT claiim.chron_id(seq, at) FROM claiim.chron WHERE kind = 'decision' ORDER BY outcome, agent = 'deploy-bot' DESC, seq DESC LIMIT 1",
	ses => "SELECT session FROM claiim.sessions ORDER BY status = 'requested' DESC, session DESC LIMIT 1",
	rev => 'SELECT review FROM claiim.reviews WHERE verdict IS NULL ORDER BY review DESC LIMIT 1',
	chg => "SELECT change FROM claiim.changes WHERE status = 'pending' AND proposed_by <> 'bob' ORDER BY change DESC LIMIT 1",
	break_glass => "SELECT change FROM claiim.changes WHERE status = 'pending' AND kind = 'agent.resume' ORDER BY change DESC LIMIT 1",
	erase_context => 'SELECT claiim.chron_id(seq, at) FROM claiim.chron JOIN claiim.contexts USING (seq) ORDER BY seq DESC LIMIT 1',
	ctk => 'SELECT token FROM claiim.tokens WHERE revoked_at IS NULL ORDER BY token DESC LIMIT 1',
);

sub by { my ($human, $db, $sql) = @_; return $node->safe_psql($db, "SET SESSION AUTHORIZATION $human; $sql") }

# Ann proposes, bob approves, and cem if more are needed.
sub both
{
	my ($db, $proposal) = @_;
	my $change = by('ann', $db, "SELECT claiim.$proposal");
	my $status = by('bob', $db, "SELECT claiim.approve('$change')");
	$status = by('cem', $db, "SELECT claiim.approve('$change')") if $status eq 'pending';
	return is($status, 'applied', "in place: $proposal");
}

# What a statement needs beside what all pages have.  (DATABASE)
my @before = (
	[ qr/set_quorum\('acme', '\*', NULL\)/ => sub { both($_[0], "set_quorum('acme', '*', 2)") } ],
	[ qr/resume_agent\('deploy-bot'/ => sub { by('ann', $_[0], "SELECT claiim.suspend_agent('deploy-bot', 'outage')") } ],
	[ qr/break_glass\('chg_\.\.\.'/ => sub {
		by('ann', $_[0], "SELECT claiim.suspend_agent('deploy-bot', 'again'), claiim.resume_agent('deploy-bot', 'hotfix')")
		  if $node->safe_psql($_[0], $latest{break_glass}) eq '' } ],
	[ qr/prune_contexts\(/ => sub { both($_[0], "set_retention('acme', '2 years')") } ],
	[ qr/erase_context\(/ => sub { by('deploy_bot', $_[0], q{SELECT claiim_check('deploy-bot', 'deploy:staging', 'api-v2', context => '{"n": 1}')}) } ],
	[ qr/what_if\('deploy-bot', 'no-prod-v2'\)/ => sub { by('ann', $_[0], "SELECT claiim.publish_policy('no-prod', E'skill: deploy-v1\nallow: [deploy:staging]', 'acme')") } ],
	[ qr/what_if_baseline\('acme', 'acme-base-v3'\)/ => sub {
		by('ann', $_[0], "SELECT claiim.publish_policy('acme-base', E'deny: [deploy:production]\n# $_', 'acme')") for 1 .. 3 } ],
);

sub fill_in
{
	my ($db, $sql) = @_;
	while ($sql =~ /'([a-z]{3})_\.\.\.'/)
	{
		my $kind = $1;
		both($db, "propose_session('infra-bot', '{infra:apply}', '{**}', 'to be revoked')") if $sql =~ /revoke_session/;
		$node->safe_psql($db, "SET SESSION AUTHORIZATION infra_bot; SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'asked')")
			if $sql =~ /grant_session|refuse_session/;
		my ($own) = $sql =~ /claiim\.(\w+)\('\Q$kind\E_\.\.\.'/;
		my $id = $own && $latest{$own} ? $node->safe_psql($db, $latest{$own}) : $sql =~ /revoke_session/ ? $node->safe_psql($db, "SELECT session FROM claiim.sessions WHERE status = 'granted' LIMIT 1") : $latest{$kind} ? $node->safe_psql($db, $latest{$kind}) : '';
		if ($id eq '' && $kind eq 'chg')
		{
			$node->safe_psql($db, sprintf "SET SESSION AUTHORIZATION ann; SELECT claiim.map_target('docs/%d', 'acme')", ++$docs);
			$id = $node->safe_psql($db, $latest{chg});
		}
		die "there is no ${kind}_... to put in" if $id eq '';
		$sql =~ s/'\Q$kind\E_\.\.\.'/'$id'/;
	}
	return $sql;
}

sub run_sql
{
	my ($db, $block) = @_;
	my ($default) = $block->{mark} =~ /^as (\w+)$/;
	for my $statement (statements($block->{text}))
	{
		my ($role) = $statement =~ /--(?: or this,)? as (\w+)/;
		$role //= $default;
		$_->[1]->($db) for grep { $statement =~ $_->[0] } @before;
		my $sql = fill_in($db, $statement);
		$sql = "SET SESSION AUTHORIZATION $role;\n$sql" if $role;
		my ($status, $out, $err) = $node->psql($db, $sql, extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
		my ($first) = $statement =~ /^(.{1,70})/;
		is($status == 0 ? '' : $err, '', "$block->{where}: " . ($role ? "as $role: " : '') . $first);
	}
	return;
}

sub run_shell
{
	my ($db, $block, $place) = @_;
	my ($out, $err);
	(my $text = $block->{text}) =~ s/\bmydb\b/$db/g;
	$text =~ s/\bmydb(?=[.\d])/$db/g;
	# The tip is that of the export.
	$text =~ s/'(\d+):\\x[0-9a-f]{64}'/"\$(python3 tools\/verify_chron.py chron.jsonl | sed -n 's,^tip: ,,p')"/g;
	my $script = "set -eu\nexport PGHOST='" . $node->host . "' PGPORT=" . $node->port
		. "\nPATH='" . $node->config_data('--bindir') . "':\$PATH\ncd '$root'\n"
		. "ln -sfn '$root/tools' '$place/tools'; cd '$place'\n$text";
	my $ok = IPC::Run::run([ 'bash', '-c', $script ], '<', '/dev/null', '>', \$out, '2>', \$err);
	my ($first) = $text =~ /^(.{1,70})/;
	return ok($ok, "$block->{where}: $first") || diag($out . $err);
}

my %yaml_world = (		# what the pages' documents name
	deploy => 'actions: ["deploy:*", "health:check", "infra:destroy"]',
	support => 'actions: ["ticket:**", "report:**", "*:list", "refund:**", "account:close", "infra:**"]',
	infra => 'actions: ["infra:**"]',
);

sub run_yaml
{
	my ($db, $block) = @_;
	my $what = $block->{text} =~ /^actions:/m ? 'skill' : 'policy';
	my $sql = "SET SESSION AUTHORIZATION ann;\n";
	for my $skill (sort keys %yaml_world)
	{
		$sql .= "SELECT claiim.publish_skill('$skill', '$yaml_world{$skill}' || E'\\n# $_', 'acme');\n" for 1 .. 3;
	}
	my $name = 'page-' . $block->{where} =~ s/\W+/-/gr;
	$sql .= "SELECT claiim.publish_$what('\L$name\E', \$doc\$$block->{text}\$doc\$, 'acme');";
	my ($status, $out, $err) = $node->psql($db, $sql, extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
	is($status == 0 ? '' : $err, '', "$block->{where}: a $what");
	return;
}

# What the pages speak of beside README.md's agent: infra-bot, which needs
# sessions and has asked for one; for those who approve a third of them, cem.
sub furnish
{
	my ($db, $page) = @_;
	$node->safe_psql($db, <<'SQL');
SET SESSION AUTHORIZATION ann;
SELECT claiim.publish_skill('infra', 'actions: ["infra:*"]', 'acme');
SELECT claiim.publish_policy('guarded', E'skill: infra-v1\nallow:\n  - {action: infra:apply, requires: session}', 'acme');
SQL
	both($db, "register_agent('infra-bot', 'acme', 'ann', '{infra}', 'infra_bot')");
	both($db, "bind_policy('infra-bot', 'guarded-v1')");
	both($db, "register_human('cem', 'cem', 'Cem', 'acme', '{admin,approver}')") if $page =~ /governance/;
	$node->safe_psql($db, "SET SESSION AUTHORIZATION infra_bot; SELECT claiim_request_session('infra-bot', '{infra:apply}', '{**}', 'asked')");
	$node->safe_psql($db, "SET SESSION AUTHORIZATION deploy_bot; SELECT claiim_check('deploy-bot', 'deploy:staging', 'api-v2')");
	return;
}

my $pages = 0;
for my $page ('README.md', map { s{^\Q$root\E/}{}r } glob("$root/doc/*.md"))
{
	my $db = 'page' . ++$pages;
	my @blocks = blocks($page);
	next if !@blocks;
	my $place = tempdir(CLEANUP => 1);
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	if ($page ne 'README.md')
	{
		for my $block (grep { $_->{language} eq 'sql' } blocks('README.md'))
		{
			for my $statement (statements($block->{text}))
			{
				$statement =~ s/^CREATE ROLE.*$//m;		# they are the cluster's
				my ($role) = $statement =~ /--(?: or this,)? as (\w+)/;
				($role) = $block->{mark} =~ /^as (\w+)$/ if !$role;
				$node->safe_psql($db, ($role ? "SET SESSION AUTHORIZATION $role;\n" : '') . $statement);
			}
		}
	}
	furnish($db, $page) if $page ne 'README.md';
	for my $block (@blocks)
	{
		if ($block->{mark} =~ /^not run: \S/) { note "$block->{where} $block->{mark}"; next; }
		if ($block->{language} eq 'sql') { run_sql($db, $block); }
		elsif ($block->{language} eq 'yaml') { run_yaml($db, $block); }
		elsif ($block->{language} eq 'sh') { run_shell($db, $block, $place); }
		if ($page eq 'README.md' || $page =~ /agent-developer|auditor/)
		{
			$node->safe_psql($db, "SET SESSION AUTHORIZATION deploy_bot; SELECT claiim_check('deploy-bot', 'deploy:staging', 'api-v2')")
				if $node->safe_psql($db, "SELECT count(*) FROM pg_extension WHERE extname = 'claiim'")
				&& $node->safe_psql($db, "SELECT has_function_privilege('deploy_bot', p.oid, 'EXECUTE') FROM pg_proc p WHERE proname = 'claiim_check'") eq 't';
		}
	}
}

# doc/bi.md has every view, and of each every column with its type and comment.
my $bi = slurp_file("$root/doc/bi.md");
my @columns = split /\n/, $node->safe_psql('page1', <<'SQL');
SELECT format('%s | `%s` | %s | %s |', c.relname, a.attname, format_type(a.atttypid, NULL), col_description(c.oid, a.attnum))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind = 'v' ORDER BY c.relname, a.attnum
SQL
cmp_ok(scalar @columns, '>', 50, 'there are views');
my %section = map { /^(\w+)`\n(.*)/s ? ($1 => $2) : () } split /^### `claiim\./m, $bi;
is(join("\n", grep { my ($view, $row) = /^(\w+) (.*)$/s; index($section{$view} // '', $row) < 0 } @columns), '',
	'doc/bi.md describes every column of every view as the catalog does');

$node->stop;
done_testing();
