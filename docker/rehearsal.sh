#!/bin/bash
#
# The rehearsal: thirteen checks that claiim works in this database, from the
# first registration to the proof.
#
#   bash rehearsal.sh
#
# It connects as libpq would (PGHOST, PGPORT, PGDATABASE, PGUSER, ...), and has
# to connect as a superuser: it plays two humans and an agent, each as that
# one's own database role, by SET SESSION AUTHORIZATION.  Only a superuser can
# do that.  What the gate and Chron see is those roles.
#
# In a new database it sets up organization engineering with the humans s.emp1
# and s.emp2, and the agent deploy-bot, which stay for you to try.  In a
# database that is set up already, two of its founding organization's humans
# are played, and the agent is one of this run alone, retired at the end.
# Either way nothing that was there is changed, and it can be run again.
#
# Beside a .env, where none of PSQL and libpq's PGHOST, PGPORT, PGUSER,
# PGDATABASE, PGSERVICE is set, it is the container of compose.yaml that is
# rehearsed, if docker compose has started it; it waits until that is healthy.
#
# PSQL: the command to run instead of psql.  NO_COLOR: no colors.
# Exit status: 0 if all thirteen checks passed, else 1; 2 for a wrong argument.

set -uo pipefail

usage() { sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
case ${1:-} in
	'') ;;
	-h | --help) usage; exit ;;
	*) usage >&2; exit 2 ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
documents=$(cd "$here/../examples" 2>/dev/null && pwd)
read -ra psql <<<"${PSQL:-psql}"
psql+=(-X -q -A -t -F '|' -v ON_ERROR_STOP=1)
export PERL_BADLANG=0		# Debian's psql is a Perl script that would complain about the locale
stamp=$(date -u +%y%m%d%H%M%S)

result=() passed=0 failed=0
out='' seen='' expected='' advice=''

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	green=$'\e[32m' red=$'\e[31m' bold=$'\e[1m' plain=$'\e[0m'
else
	green='' red='' bold='' plain=''
fi

#
# How we ask the database
#

# The container's id, where it is to be that; else nothing.
container=
if [ -e "$here/.env" ] && [ -z "${PSQL:-}${PGHOST:-}${PGPORT:-}${PGUSER:-}${PGDATABASE:-}${PGSERVICE:-}" ]; then
	container=$(cd "$here" && { docker compose ps -q claiim || docker-compose ps -q claiim; } 2>/dev/null)
fi

# It was started a moment ago, perhaps.
wait_for_container() {
	local second
	for second in $(seq 180); do
		docker exec "$container" healthcheck.sh >/dev/null 2>&1 && return
		# it is started again and again
		[ "$(docker inspect --format '{{.RestartCount}}' "$container" 2>/dev/null || printf 0)" -lt 3 ] || break
		sleep 1
	done
	printf 'The container is not healthy after %d seconds; the end of its log:\n\n' "$second"
	docker logs --tail 20 "$container" 2>&1
	exit 1
}

# sql [PSQL-OPTION...] <SCRIPT: its output, errors included, to $out.
sql() {
	out=$({
		echo "SET client_min_messages = warning;"
		cat
	} | "${psql[@]}" "$@" 2>&1)
}

# The same, for what must not fail: if it does, that is what was seen.  psql's
# exit status is in $failure: 2 if it could not connect.
must() {
	sql "$@" && return
	failure=$?
	seen=${out:-psql failed and said nothing}
	return 1
}

# ask ROLE AGENT ACTION TARGET: one question to the gate, as that role.
ask() {
	must -v role="$1" -v agent="$2" -v action="$3" -v target="$4" <<-'EOSQL' || return
		SET SESSION AUTHORIZATION :"role";
		SELECT outcome, reason_code, chron_id, anchor, policy, skill, reason
		FROM claiim_check(:'agent', :'action', :'target');
	EOSQL
	IFS='|' read -r outcome code chron_id anchor policy_used skill_used reason <<<"$out"
}

# document FILE: an example's text, without the line feed at its end, which is
# how psql's backquotes read it for examples/*.sql.
document() { cat "$documents/$1"; }

#
# The frame of a check
#

# check LABEL FUNCTION [NUMBER...]: the numbers are those of the checks that
# this one rests on.
check() {
	local label=$1 function=$2 number=$((${#result[@]} + 1)) needed verdict=PASS
	shift 2
	seen='' expected='' advice=''
	for needed; do
		if [ "${result[needed - 1]}" != PASS ]; then
			result+=(FAIL)
			failed=$((failed + 1))
			printf '%3d  %sFAIL%s  %-27s not tried: check %d did not pass\n' \
				"$number" "$red" "$plain" "$label" "$needed"
			return
		fi
	done
	"$function" || verdict=FAIL
	result+=("$verdict")
	if [ $verdict = PASS ]; then
		passed=$((passed + 1))
		printf '%3d  %sPASS%s  %-27s %s\n' "$number" "$green" "$plain" "$label" "$seen"
	else
		failed=$((failed + 1))
		printf '%3d  %sFAIL%s  %s\n' "$number" "$red" "$plain" "$label"
		printf '           expected: %s\n' "$expected"
		printf '           seen:     %s\n' "${seen//$'\n'/$'\n'                     }"
		[ -z "$advice" ] || printf '           to do:    %s\n' "${advice//$'\n'/$'\n'                     }"
	fi
}

#
# The thirteen
#

# advise_connection: how to connect as a superuser, to $advice.
advise_connection() {
	advice="to rehearse the demo cluster (make demo):  . ${documents%/examples}/.claiim/env
for another: set PGHOST, PGPORT, PGDATABASE, and a superuser as PGUSER"
	[ ! -e "$here/.env" ] || advice+=$'\n'"to rehearse the container:  (cd $here && docker compose up -d)"
	case $seen in
		*'role "'*'does not exist'* | *'Peer authentication failed'*)
			advice+=$'\n'"as the system user whom the server takes for its superuser:  su postgres -c 'bash ${BASH_SOURCE[0]}'"
			;;
	esac
}

extension_and_preload() {
	local database version library preloaded server
	expected='a superuser, extension claiim in this database, and claiim in shared_preload_libraries'
	if [ ! -r "$documents/policies/no-prod-v1.yaml" ]; then
		seen='the documents are missing: the directory examples/ has to be beside docker/'
		return 1
	fi
	must <<-'EOSQL' || { [ "$failure" != 2 ] || advise_connection; return 1; }
		SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user;
	EOSQL
	if [ "$out" != t ]; then
		seen='the role that connected is no superuser'
		advise_connection
		return 1
	fi
	must <<-'EOSQL' || return
		SELECT pg_catalog.current_database(),
			coalesce((SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'claiim'), 'none'),
			'claiim' = ANY (pg_catalog.regexp_split_to_array(
				pg_catalog.current_setting('shared_preload_libraries'), '[\s,"]+')),
			pg_catalog.current_setting('server_version');
	EOSQL
	IFS='|' read -r database version preloaded server <<<"$out"
	if [ "$version" = none ]; then
		seen="no extension in database $database; to create it: CREATE EXTENSION claiim CASCADE"
		return 1
	elif [ "$preloaded" != t ]; then
		seen="not preloaded: add claiim to shared_preload_libraries, and restart"
		return 1
	fi
	must <<-'EOSQL' || return
		SELECT pg_catalog.claiim_version();
	EOSQL
	library=$out
	seen="claiim $version, library $library, preloaded in PostgreSQL ${server%% *}, database $database"
}

# The roles and names that the rest works with.
organization_and_humans() {
	local how='set up earlier'
	expected='a founding organization, with an admin and another human who is an approver'
	must <<-'EOSQL' || return
		SELECT count(*) FROM claiim.orgs;
	EOSQL
	if [ "$out" = 0 ]; then
		how='set up now'
		must <<-'EOSQL' || return
			SELECT pg_catalog.format('CREATE ROLE %I LOGIN', r)
			FROM pg_catalog.unnest('{s_emp1,s_emp2}'::text[]) AS r
			WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) \gexec
			SELECT claiim.bootstrap('engineering', 's.emp1', 's_emp1', 's.emp2', 's_emp2');
		EOSQL
	fi
	must <<-'EOSQL' || return
		SELECT o.org, h1.human, h1.role_name, h2.human, h2.role_name
		FROM claiim.orgs AS o
			JOIN claiim.memberships AS m1 ON m1.org = o.org AND m1.capability = 'admin'
			JOIN claiim.humans AS h1 ON h1.human = m1.human AND h1.status = 'active'
			JOIN pg_catalog.pg_roles AS r1 ON r1.rolname = h1.role_name
			JOIN claiim.memberships AS m2 ON m2.org = o.org AND m2.capability = 'approver'
			JOIN claiim.humans AS h2 ON h2.human = m2.human AND h2.status = 'active'
			JOIN pg_catalog.pg_roles AS r2 ON r2.rolname = h2.role_name
		WHERE o.founding AND h1.human <> h2.human
		ORDER BY (h1.human, h2.human) <> ('s.emp1', 's.emp2'), h1.human, h2.human
		LIMIT 1;
	EOSQL
	if [ -z "$out" ]; then
		seen='no two such humans with a role that exists'
		return 1
	fi
	IFS='|' read -r org human1 role1 human2 role2 <<<"$out"
	seen="$org: $human1 and $human2, $how"
	choose_names
}

# Names that are somebody else's here are left alone.
choose_names() {
	local taken present
	skill=deploy policy=no-prod
	skill_v1=$(document skills/deploy-v1.yaml)
	skill_v2=$(document skills/deploy-v2.yaml)
	policy_v1=$(document policies/no-prod-v1.yaml)
	must -v org="$org" -v s1="$skill_v1" -v s2="$skill_v2" -v p1="$policy_v1" <<-'EOSQL' || return
		SELECT EXISTS (SELECT FROM claiim.skills WHERE skill = 'deploy' AND org <> :'org')
			OR EXISTS (SELECT FROM claiim.policies WHERE policy = 'no-prod' AND org <> :'org')
			OR EXISTS (SELECT FROM claiim.skill_versions
					   WHERE name = 'deploy-v1' AND source <> :'s1'
						  OR name = 'deploy-v2' AND source <> :'s2')
			OR EXISTS (SELECT FROM claiim.policy_versions
					   WHERE name = 'no-prod-v1' AND source <> :'p1'),
			EXISTS (SELECT FROM claiim.agents WHERE agent = 'deploy-bot');
	EOSQL
	IFS='|' read -r taken present <<<"$out"
	if [ "$taken" = t ]; then
		skill=deploy-$stamp policy=no-prod-$stamp
		policy_v1=${policy_v1//deploy-v2/$skill-v2}
	fi
	if [ "$present" = f ] && [ "$org $human1 $human2" = 'engineering s.emp1 s.emp2' ]; then
		agent=deploy-bot agent_role=deploy_bot passing=
	else
		agent=rehearsal-$stamp agent_role=claiim_rehearsal_$stamp passing=yes
	fi
}

agent_and_anchor() {
	expected="agent $agent registered by $human1, approved by $human2, anchor $human1"
	must -v role1="$role1" -v role2="$role2" -v agent="$agent" -v agent_role="$agent_role" \
		-v org="$org" -v anchor="$human1" -v skill="$skill" <<-'EOSQL' || return
		SELECT pg_catalog.format('CREATE ROLE %I LOGIN', :'agent_role')
		WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'agent_role') \gexec
		SET SESSION AUTHORIZATION :"role1";
		SELECT claiim.register_agent(:'agent', :'org', :'anchor', ARRAY[:'skill'], :'agent_role',
			'The agent of the rehearsal') AS change \gset
		SET SESSION AUTHORIZATION :"role2";
		SELECT claiim.approve(:'change') AS applied \gset
		RESET SESSION AUTHORIZATION;
		SELECT a.agent, a.org, a.role_name, n.human
		FROM claiim.agents AS a JOIN claiim.anchors AS n ON n.agent = a.agent AND n.valid_until IS NULL
		WHERE a.agent = :'agent';
	EOSQL
	seen=$out
	[ "$out" = "$agent|$org|$agent_role|$human1" ] || return
	seen="$agent, anchor $human1, role $agent_role"
}

# publish skill|policy NAME VERSION SOURCE: unless this very version is there.
publish() {
	must -v kind="$1" -v name="$2-v$3" -v what="$2" -v source="$4" -v org="$org" -v role1="$role1" <<-'EOSQL' || return
		SELECT EXISTS (SELECT FROM claiim.skill_versions WHERE :'kind' = 'skill' AND name = :'name'
					   UNION ALL
					   SELECT FROM claiim.policy_versions WHERE :'kind' = 'policy' AND name = :'name') AS there,
			:'kind' = 'skill' AS is_skill \gset
		\if :there
		\else
			SET SESSION AUTHORIZATION :"role1";
			\if :is_skill
				SELECT claiim.publish_skill(:'what', :'source', :'org') AS published \gset
			\else
				SELECT claiim.publish_policy(:'what', :'source', :'org') AS published \gset
			\endif
			RESET SESSION AUTHORIZATION;
		\endif
		SELECT name, pg_catalog.left(pg_catalog.encode(sha256, 'hex'), 16),
			sha256 = pg_catalog.sha256(pg_catalog.convert_to(:'source', 'UTF8')),
			CASE WHEN :'there' THEN ', there already' ELSE '' END
		FROM (SELECT name, sha256 FROM claiim.skill_versions WHERE :'kind' = 'skill'
			  UNION ALL
			  SELECT name, sha256 FROM claiim.policy_versions WHERE :'kind' = 'policy') AS v
		WHERE name = :'name';
	EOSQL
	IFS='|' read -r published digest same there <<<"$out"
	seen="$published, SHA-256 $digest...$there"
	[ "$published $same" = "$2-v$3 t" ]
}

skill_published() {
	expected="$skill-v1 and $skill-v2 published by $human1"
	publish skill "$skill" 1 "$skill_v1" && publish skill "$skill" 2 "$skill_v2"
}

policy_published() {
	expected="$policy-v1 published, and bound to $agent by nobody yet"
	publish policy "$policy" 1 "$policy_v1" || return
	must -v role1="$role1" -v agent="$agent" -v version="$policy-v1" <<-'EOSQL' || return
		SET SESSION AUTHORIZATION :"role1";
		SELECT claiim.bind_policy(:'agent', :'version') AS change \gset
		RESET SESSION AUTHORIZATION;
		SELECT change, status, (SELECT count(*) FROM claiim.bindings WHERE agent = :'agent')
		FROM claiim.changes WHERE change = :'change';
	EOSQL
	IFS='|' read -r change status bound <<<"$out"
	seen="$published; $change is $status"
	[ "$status $bound" = 'pending 0' ]
}

own_approval_refused() {
	local state message status bound
	expected="error 42501 for $human1, who proposed the change, which stays pending"
	must -v role1="$role1" -v change="$change" -v agent="$agent" <<-'EOSQL' || return
		SET SESSION AUTHORIZATION :"role1";
		\set ON_ERROR_STOP off
		\o /dev/null
		\set VERBOSITY terse
		SELECT claiim.approve(:'change');
		\set state :SQLSTATE
		\o
		\set ON_ERROR_STOP on
		RESET SESSION AUTHORIZATION;
		SELECT :'state', status, (SELECT count(*) FROM claiim.bindings WHERE agent = :'agent')
		FROM claiim.changes WHERE change = :'change';
	EOSQL
	# In a container the error may come after what was printed after it.
	message=$(sed -n 's/^ERROR:  //p' <<<"$out")
	out=$(sed -n '/^[0-9A-Z]\{5\}|/p' <<<"$out")
	IFS='|' read -r state status bound <<<"$out"
	seen="refused: $message ($state)"
	[ "$state $status $bound" = '42501 pending 0' ]
}

second_human_approves() {
	local status bound approver
	expected="$change applied by $human2, and $policy-v1 governs $agent"
	must -v role2="$role2" -v change="$change" -v agent="$agent" <<-'EOSQL' || return
		SET SESSION AUTHORIZATION :"role2";
		SELECT claiim.approve(:'change') AS applied \gset
		RESET SESSION AUTHORIZATION;
		SELECT c.status, b.policy_version, a.human
		FROM claiim.changes AS c
			JOIN claiim.approvals AS a ON a.change = c.change
			JOIN claiim.bindings AS b ON b.change = c.change AND b.agent = :'agent'
		WHERE c.change = :'change';
	EOSQL
	IFS='|' read -r status bound approver <<<"$out"
	seen="approved by $approver: $bound governs $agent"
	[ "$status $bound $approver" = "applied $policy-v1 $human2" ]
}

staging_allowed() {
	expected="ALLOW, anchor $human1, policy $policy-v1, skill $skill-v2"
	ask "$agent_role" "$agent" deploy:staging api-v2 || return
	allowed=$chron_id
	seen="$outcome $reason"
	[ "$outcome $anchor $policy_used $skill_used" = "ALLOW $human1 $policy-v1 $skill-v2" ]
}

production_denied() {
	expected="DENY policy:$policy-v1 -- action not in allow list"
	ask "$agent_role" "$agent" deploy:production api-v2 || return
	denied=$chron_id
	seen="$outcome $reason"
	[ "$seen" = "$expected" ]
}

# A token of the agent's own with one character changed; where the server has
# no secret for tokens, one that is made up (token_malformed).  As the agent's role: a wrong
# token must not be outweighed by the right role.
strangers_denied() {
	expected='DENY identity_unproved, twice, and in Chron the cause of each'
	ask "$agent_role" nobody deploy:staging api-v2 || return
	unknown=$chron_id
	seen="$outcome $code"
	must -v role1="$role1" -v role="$agent_role" -v agent="$agent" <<-'EOSQL' || return
		\set wrong made-up
		\set token_id ''
		SET SESSION AUTHORIZATION :"role1";
		\set ON_ERROR_STOP off
		SELECT token_id, overlay(token PLACING CASE substr(token, 40, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 40) AS wrong
		FROM claiim.issue_token(:'agent', '5 minutes', 'rehearsal') \gset
		\set ON_ERROR_STOP on
		SET SESSION AUTHORIZATION :"role";
		SELECT outcome, reason_code, chron_id
		FROM claiim_check(:'agent', 'deploy:staging', 'api-v2', :'wrong') \gset
		SET SESSION AUTHORIZATION :"role1";
		SELECT :'token_id' <> '' AS issued \gset
		\if :issued
			SELECT claiim.revoke_token(:'token_id', 'the rehearsal is over') AS revoked \gset
		\endif
		SELECT :'outcome', :'reason_code', :'chron_id';
	EOSQL
	out=${out##*$'\n'}
	IFS='|' read -r outcome code chron_id <<<"$out"
	mistaken=$chron_id
	seen="nobody: $seen; wrong token: $outcome $code"
	must -v unknown="$unknown" -v mistaken="$mistaken" <<-'EOSQL' || return
		SELECT string_agg(reason_code, ' ' ORDER BY seq) FROM claiim.decisions
		WHERE chron_id IN (:'unknown', :'mistaken');
	EOSQL
	seen="$seen; in Chron: ${out/token_malformed/token_invalid}"
	[ "$seen" = 'nobody: DENY identity_unproved; wrong token: DENY identity_unproved; in Chron: agent_unknown token_invalid' ]
}

rollback_survived() {
	expected='the record, in a new connection, of a decision whose transaction was rolled back'
	must -v role="$agent_role" -v agent="$agent" <<-'EOSQL' || return
		SET SESSION AUTHORIZATION :"role";
		BEGIN;
		SELECT chron_id FROM claiim_check(:'agent', 'deploy:production', 'api-v2') \gset
		ROLLBACK;
		\echo :chron_id
	EOSQL
	rolled_back=$out
	must -v chron_id="$rolled_back" <<-'EOSQL' || return
		SELECT agent, action, outcome FROM claiim.decisions WHERE chron_id = :'chron_id';
	EOSQL
	seen="${out:-no record} ($rolled_back)"
	[ "$out" = "$agent|deploy:production|DENY" ] || return
	seen="BEGIN; check; ROLLBACK: $rolled_back is there"
}

# As superuser, and again with the triggers that replicas skip switched off.
# In transactions that roll back: a guard that fails shall not cost us Chron.
chron_refuses() {
	local newest
	expected='error 42501 for UPDATE, DELETE and TRUNCATE, by a superuser, on Chron and its newest partition'
	must <<-'EOSQL' || return
		SELECT c.relname
		FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'claiim.chron'::pg_catalog.regclass
			AND EXISTS (SELECT FROM claiim.chron AS r WHERE r.tableoid = c.oid)
		ORDER BY c.relname DESC LIMIT 1;
	EOSQL
	newest=$out
	must -v newest="$newest" <<-'EOSQL' || return
		SET lock_timeout = '10s';
		SELECT pg_catalog.set_config('rehearsal.newest', :'newest', false) AS newest \gset
		DO $$
		DECLARE
			statement text;
			replication text;
			wrong text;
			refused int := 0;
		BEGIN
			FOREACH replication IN ARRAY '{origin,replica}'::text[] LOOP
				PERFORM pg_catalog.set_config('session_replication_role', replication, false);
				FOR statement IN
					SELECT pg_catalog.format(s, t)
					FROM pg_catalog.unnest(ARRAY['UPDATE claiim.%I SET outcome = ''ALLOW''',
												 'DELETE FROM claiim.%I',
												 'TRUNCATE claiim.%I']) AS s,
						pg_catalog.unnest(ARRAY['chron', pg_catalog.current_setting('rehearsal.newest')]) AS t
				LOOP
					BEGIN
						EXECUTE statement;
						wrong := 'it was not refused';
						RAISE EXCEPTION SQLSTATE 'ZZ001';
					EXCEPTION
						WHEN insufficient_privilege THEN refused := refused + 1;
						WHEN SQLSTATE 'ZZ001' THEN NULL;
						WHEN OTHERS THEN wrong := SQLSTATE || ' ' || SQLERRM;
					END;
					IF wrong IS NOT NULL THEN
						RAISE EXCEPTION '% (session_replication_role = %): %', statement, replication, wrong;
					END IF;
				END LOOP;
			END LOOP;
			PERFORM pg_catalog.set_config('rehearsal.refused', refused::text, false);
		END
		$$;
		SELECT pg_catalog.current_setting('rehearsal.refused');
	EOSQL
	seen="UPDATE, DELETE, TRUNCATE on chron and $newest: $out tried, $out refused"
	[ "$out" = 12 ]
}

# proven CHRON-ID: do all five answers stand, and name what they have to?
proven() {
	must -v chron_id="$1" -v agent="$agent" -v human="$human1" -v policy="$policy-v1" -v skill="$skill-v2" <<-'EOSQL' || return
		SELECT count(*) FILTER (WHERE answer <> '' AND CASE n
			WHEN 1 THEN pg_catalog.strpos(answer, :'agent') > 0
			WHEN 2 THEN pg_catalog.strpos(answer, :'human') > 0
			WHEN 3 THEN answer ~ '^(Yes: ALLOW|No: DENY)'
			WHEN 4 THEN pg_catalog.strpos(answer, :'policy') > 0 AND pg_catalog.strpos(answer, :'skill') > 0
			WHEN 5 THEN pg_catalog.strpos(answer, :'chron_id') > 0 AND answer !~ 'TAMPERED'
			END)
		FROM claiim.five_questions(:'chron_id');
	EOSQL
	seen="$out of the five questions answered for $1"
	[ "$out" = 5 ]
}

answered_and_verified() {
	local ok records first_bad problem link
	expected='five answers for each of the decisions of checks 8 and 9, and a chain that verifies'
	proven "$allowed" && proven "$denied" || return
	must <<-'EOSQL' || return
		SELECT ok, records, coalesce(first_bad::text, '-'), coalesce(problem, '-'),
			pg_catalog.left(pg_catalog.encode(last_link, 'hex'), 16)
		FROM claiim.verify();
	EOSQL
	IFS='|' read -r ok records first_bad problem link <<<"$out"
	seen="record $first_bad: $problem"
	[ "$ok" = t ] || return
	seen="5 answers for each; $records records verified, the last link is $link..."
}

# An agent that only this run needed goes again; two humans retire it, too.
clean_up() {
	[ -n "$passing" ] || return 0
	if sql -v role1="$role1" -v role2="$role2" -v agent="$agent" -v agent_role="$agent_role" <<-'EOSQL'
		SELECT EXISTS (SELECT FROM claiim.agents WHERE agent = :'agent' AND status <> 'retired') AS there \gset
		\if :there
			SET SESSION AUTHORIZATION :"role1";
			SELECT claiim.retire_agent(:'agent', 'the rehearsal is over') AS change \gset
			SET SESSION AUTHORIZATION :"role2";
			SELECT claiim.approve(:'change') AS applied \gset
			RESET SESSION AUTHORIZATION;
		\endif
		DROP ROLE IF EXISTS :"agent_role";
	EOSQL
	then
		printf '\n%s was for this run only: retired, its role dropped. Chron keeps what it did.\n' "$agent"
	else
		printf '\n%s could not be retired: %s\n' "$agent" "$out"
	fi
}

passing=''
printf '%sclaiim, the rehearsal: thirteen checks%s%s\n\n' "$bold" "$plain" "${container:+ in the container ${container:0:12}}"
if [ -n "$container" ]; then
	wait_for_container
	psql=(docker exec -i "$container" "${psql[@]}")
fi
check 'Extension and preload' extension_and_preload
check 'Organization, two humans' organization_and_humans 1
check 'Agent and its anchor' agent_and_anchor 2
check 'Skill version published' skill_published 2
check 'Policy published, proposed' policy_published 3 4
check "The proposer's own approval" own_approval_refused 5
check "The second human's approval" second_human_approves 5
check 'Staging deploy' staging_allowed 7
check 'Production deploy' production_denied 7
check 'Unknown agent, wrong token' strangers_denied 7
check 'A caller that rolled back' rollback_survived 7
check 'Chron is append-only' chron_refuses 2
check 'Five questions, the chain' answered_and_verified 8 9

clean_up

# id OUTCOME WHAT CHRON-ID
id() { [ -z "$3" ] || printf '  %-5s  %-34s  %s\n' "$1" "$2" "$3"; }
if [ -n "${allowed:-}${denied:-}" ]; then
	printf '\nChron ids to verify:\n'
	id ALLOW 'deploy:staging' "${allowed:-}"
	id DENY 'deploy:production' "${denied:-}"
	id DENY 'an unknown agent' "${unknown:-}"
	id DENY 'a wrong token' "${mistaken:-}"
	id DENY 'deploy:production, rolled back' "${rolled_back:-}"
	printf "\n  SELECT * FROM claiim.five_questions('%s');\n" "${denied:-$allowed}"
	printf '  SELECT * FROM claiim.verify();\n'
	[ -z "$container" ] || printf '\nTo do so:  docker compose exec claiim psql\n'
fi

printf '\nPASS: %d / FAIL: %d\n' "$passed" "$failed"
[ "$failed" = 0 ]
