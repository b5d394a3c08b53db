#!/bin/bash
#
# A day of five agents: what they may do, what they may never do, and what
# Chron says about it in the evening.
#
#   bash examples/run.sh
#
# It connects as libpq would (PGHOST, PGPORT, PGDATABASE, PGUSER, ...), and has
# to connect as a superuser: the humans and the agents act as the database
# roles of their own, by SET SESSION AUTHORIZATION.  It needs a database with
# the extension just created, or one that docker/rehearsal.sh has set up, and
# can be run again: what is there already stays, and another day is added.
#
# Exit status: 0 if every answer and every row of the table is as expected.

set -euo pipefail

usage() { sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
case ${1:-} in
	'') ;;
	-h | --help) usage; exit ;;
	*) usage >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")"
export PERL_BADLANG=0		# Debian's psql is a Perl script that would complain about the locale
psql=(psql -X -q -v ON_ERROR_STOP=1)

say() { printf '%s\n' "$*"; }
die() { printf 'examples: %s\n' "$*" >&2; exit 1; }

# value SQL: its one value.
value() { "${psql[@]}" -A -t -c "$1"; }

# once FILE CONDITION: runs the file in one transaction, unless SQL's CONDITION
# holds already.
once() {
	[ "$(value "SELECT $2")" = f ] || return 0
	"${psql[@]}" -1 -f "$1" >/dev/null || die "$1 failed"
}

#
# Morning: who there is, and what governs whom
#

state=$(value "SELECT CASE
	WHEN NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN 'ordinary'
	WHEN NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'claiim')
		THEN 'no extension in database ' || current_database() END") ||
	die "cannot connect; for the demo cluster (make demo): . ${PWD%/examples}/.claiim/env; for another: set PGHOST, PGPORT, PGUSER, PGDATABASE"
case $state in
	ordinary) die "the role that connected is no superuser; for the demo cluster's: . ${PWD%/examples}/.claiim/env" ;;
	no*) die "$state; to create it: CREATE EXTENSION claiim CASCADE" ;;
esac

founders=$(value "SELECT coalesce((
	SELECT o.org || ' ' || string_agg(h.human, ' ' ORDER BY h.human)
	FROM claiim.orgs o, claiim.humans h
	WHERE o.founding AND h.human IN ('s.emp1', 's.emp2') GROUP BY o.org),
	(SELECT o.org FROM claiim.orgs o WHERE o.founding), 'none')") || exit 1
case $founders in
	none | 'engineering s.emp1 s.emp2') ;;
	*) die "this database is set up for other people ($founders): take one of its own for the examples" ;;
esac

once organizations.sql "EXISTS (SELECT FROM claiim.orgs WHERE org = 'finance')"
once deploy-bot.sql false
for agent in review-bot support-bot finance-bot infra-bot; do
	once "$agent.sql" "EXISTS (SELECT FROM claiim.agents WHERE agent = '$agent')"
done

# What is published under these names has to be what is in these files.
for file in skills/*.yaml policies/*.yaml; do
	kind=skill
	[ "${file%%/*}" = skills ] || kind=policy
	name=$(basename "$file" .yaml)
	digest=$(printf %s "$(cat "$file")" | sha256sum)
	published=$(value "SELECT encode(sha256, 'hex') FROM claiim.${kind}_versions WHERE name = '$name'")
	[ "$published" = "${digest%% *}" ] || die "$kind $name in the database is not examples/$file"
done

# hand_over HUMAN: makes HUMAN the anchor of deploy-bot; two humans do that.
hand_over() {
	"${psql[@]}" >/dev/null <<-END
		SET SESSION AUTHORIZATION s_emp1;
		SELECT claiim.transfer_anchor('deploy-bot', '$1') AS change \gset
		SET SESSION AUTHORIZATION s_emp2;
		SELECT claiim.approve(:'change');
	END
}

anchor=$(value "SELECT human FROM claiim.anchors WHERE agent = 'deploy-bot' AND valid_until IS NULL")
[ "$anchor" = s.emp1 ] || hand_over s.emp1

say
"${psql[@]}" -P footer=off -c "
	SELECT agent, org, anchor, policy, array_to_string(skills, ', ') AS skills, role_name AS role
	FROM claiim.registry
	WHERE agent IN ('deploy-bot', 'review-bot', 'support-bot', 'finance-bot', 'infra-bot')
	ORDER BY org, agent"

#
# The day: agent, action, target, the answer and its reason code; a session if
# one is claimed ("its" is the one that was asked for last).  A * marks the rows
# of the table below.  Beside the agents: hand-over makes another human the anchor
# of deploy-bot, request has infra-bot ask for a session, approve has two humans
# grant it, and complete has infra-bot say what became of what it was allowed.
#

day() {
	cat <<-'END'
		* deploy-bot   deploy:staging           api-v2                ALLOW  allowed
		  deploy-bot   health:check             api-v2                ALLOW  allowed
		  deploy-bot   deploy:rollback-staging  api-v2                ALLOW  allowed
		  hand-over    s.emp2
		* deploy-bot   deploy:production        api-v2                DENY   not_in_allow_list
		  deploy-bot   deploy:rollback-production  api-v2             DENY   not_in_allow_list
		  deploy-bot   infra:destroy            cluster/eu-1          DENY   skill_not_covering
		  deploy-bot   health:check             finance/ledger        DENY   org_boundary
		  review-bot   pr:read-metadata         repo/api/pull/512     ALLOW  allowed
		  review-bot   pr:read-diff             repo/api/pull/512     ALLOW  allowed
		* review-bot   pr:comment               repo/api/pull/512     ALLOW  allowed
		* review-bot   pr:merge                 repo/api/pull/512     DENY   not_in_allow_list
		  review-bot   pr:approve               repo/api/pull/512     DENY   not_in_allow_list
		  review-bot   branch:push              repo/api/main         DENY   not_in_allow_list
		  review-bot   branch:delete            repo/api/main         DENY   not_in_allow_list
		  support-bot  ticket:read              support/tickets/81    ALLOW  allowed
		  support-bot  ticket:tag               support/tickets/81    ALLOW  allowed
		  support-bot  response:draft           support/tickets/81    ALLOW  allowed
		  support-bot  response:send            support/tickets/81    DENY   not_in_allow_list
		  support-bot  billing:refund           support/tickets/81    DENY   not_in_allow_list
		  support-bot  billing:change           support/accounts/7    DENY   not_in_allow_list
		  support-bot  account:close            support/accounts/7    DENY   not_in_allow_list
		  finance-bot  report:read              finance/reports/q3    ALLOW  allowed
		  finance-bot  budget:read              finance/budgets/2027  ALLOW  allowed
		  finance-bot  summary:generate         finance/reports/q3    ALLOW  allowed
		  finance-bot  payment:approve          finance/payments/17   DENY   not_in_allow_list
		  finance-bot  transfer:initiate        finance/accounts/3    DENY   not_in_allow_list
		  finance-bot  record:modify            finance/ledger        DENY   not_in_allow_list
		  infra-bot    infra:read-state         cluster/eu-1          ALLOW  allowed
		  infra-bot    infra:apply              change-orders/1138    DENY   session_required
		  infra-bot    infra:apply              change-orders/1138    DENY   session_unknown  made-up
		  request      infra:apply              change-orders/1138
		  infra-bot    infra:apply              change-orders/1138    DENY   session_pending  its
		  approve      s_emp2                   s_emp1
		  infra-bot    infra:apply              change-orders/1138    ALLOW  allowed          its
		  infra-bot    infra:apply              change-orders/1138    ALLOW  allowed
		  complete     succeeded
		  infra-bot    infra:apply              change-orders/1139    DENY   session_other_target  its
		  infra-bot    infra:read-state         cluster/eu-1          DENY   session_other_action  its
		  infra-bot    infra:destroy            change-orders/1138    DENY   not_in_allow_list  its
		  infra-bot    infra:apply              change-orders/1138    ALLOW  allowed          its
		  complete     failed
		  infra-bot    infra:apply              change-orders/1138    DENY   session_used_up  its
		  infra-bot    infra:apply              change-orders/1138    DENY   session_required
		  infra-bot    infra:destroy            cluster/eu-1          DENY   not_in_allow_list
		  infra-bot    schema:drop              db/orders             DENY   not_in_allow_list
		  infra-bot    schema:modify            db/orders             DENY   not_in_allow_list
		  infra-bot    infra:read-state         finance/cluster       DENY   org_boundary
	END
}

# ask AGENT ACTION TARGET SESSION: the agent's role asks the gate.
ask() {
	"${psql[@]}" -A -t -F ' ' -v role="${1//-/_}" -v agent="$1" -v action="$2" -v target="$3" -v session="$4" <<-'END'
		SET SESSION AUTHORIZATION :"role";
		SELECT outcome, reason_code, chron_id
		FROM claiim_check(:'agent', :'action', :'target', session => nullif(:'session', ''));
	END
}

# request ACTION TARGET: infra-bot asks for a session, for three uses; its id.
request() {
	"${psql[@]}" -A -t -v action="$1" -v target="$2" <<-'END'
		SET SESSION AUTHORIZATION infra_bot;
		SELECT claiim_request_session('infra-bot', ARRAY[:'action'], ARRAY[:'target'],
			'replace the failing disk', ticket => 'CHG-1138', max_uses => 3);
	END
}

# approve PROPOSER APPROVER: two humans grant what was asked for.
approve() {
	"${psql[@]}" -v proposer="$1" -v approver="$2" -v session="$its" >/dev/null <<-'END'
		SET SESSION AUTHORIZATION :"proposer";
		SELECT claiim.grant_session(:'session') AS change \gset
		SET SESSION AUTHORIZATION :"approver";
		SELECT claiim.approve(:'change');
	END
}

# complete STATUS: infra-bot says what became of what it was allowed last.
complete() {
	"${psql[@]}" -v chron_id="${answer##* }" -v status="$1" >/dev/null <<-'END'
		SET SESSION AUTHORIZATION infra_bot;
		SELECT claiim_complete(:'chron_id', :'status');
	END
}

# What a day that broke off has left open is closed.
"${psql[@]}" >/dev/null <<-'END'
	SET SESSION AUTHORIZATION s_emp1;
	SELECT claiim.revoke_session(session, 'a new day') FROM claiim.session_registry
	WHERE agent = 'infra-bot' AND status = 'active';
END

last_night=$(value "SELECT coalesce(max(seq), 0) FROM claiim.chron")
asked=0 wrong=0 its='' marked=
while IFS= read -r line; do
	read -r agent action target outcome code session <<<"${line#\*}"
	case $agent in
		hand-over) hand_over "$action"; continue ;;
		request) its=$(request "$action" "$target" </dev/null); continue ;;
		approve) approve "$action" "$target"; continue ;;
		complete) complete "$action"; continue ;;
	esac
	[ "$session" != its ] || session=$its
	asked=$((asked + 1))
	answer=$(ask "$agent" "$action" "$target" "$session" </dev/null)
	if [ "${answer% *}" != "$outcome $code" ]; then
		wrong=$((wrong + 1))
		say "$agent asked for $action on $target: expected $outcome $code, was answered $answer" >&2
	fi
	[ "${line:0:1}" != '*' ] || marked+="'${answer##* }',"
done < <(day)

#
# Evening: what Chron says
#

say "Chron, after $asked requests:"
say
"${psql[@]}" -P footer=off -c "
	SELECT outcome, agent, action, target, session, approved_by, anchor, policy, skill, reason_code
	FROM claiim.decisions WHERE seq > $last_night ORDER BY seq"

expected='| outcome | agent | action | anchor | policy | skill |
|---|---|---|---|---|---|
| ALLOW | deploy-bot | deploy:staging | s.emp1 | no-prod-v1 | deploy-v2 |
| DENY | deploy-bot | deploy:production | s.emp2 | no-prod-v1 | deploy-v2 |
| ALLOW | review-bot | pr:comment | j.smith | review-v2 | review-v1 |
| DENY | review-bot | pr:merge | j.smith | review-v2 | review-v1 |'
seen="| outcome | agent | action | anchor | policy | skill |
|---|---|---|---|---|---|
$(value "SELECT format('| %s | %s | %s | %s | %s | %s |', outcome, agent, action, anchor, policy, skill)
	FROM claiim.decisions WHERE chron_id IN (${marked%,}) ORDER BY seq")"
say "Four of them, as in a report (the anchor of deploy-bot was handed over after the first):"
say
say "$seen"
say
if [ "$seen" != "$expected" ]; then
	wrong=$((wrong + 1))
	say "expected:" >&2
	say "$expected" >&2
fi

# Every change order was applied inside the approved session.
applied=$(value "SELECT string_agg(concat_ws(' ', CASE session WHEN '$its' THEN 'its' ELSE session END, approved_by), ', ' ORDER BY seq)
	FROM claiim.decisions WHERE seq > $last_night AND outcome = 'ALLOW' AND action = 'infra:apply'")
say "infra-bot applied change orders inside a session that humans had approved, and nowhere else:"
say
"${psql[@]}" -P footer=off -c "
	SELECT d.action, d.target, d.session, d.approved_by, a.detail ->> 'status' AS became
	FROM claiim.decisions d
		LEFT JOIN claiim.acts a ON a.act = 'action.complete' AND a.subject = d.chron_id
	WHERE d.seq > $last_night AND d.outcome = 'ALLOW' AND d.action = 'infra:apply' ORDER BY d.seq"
if [ "$applied" != 'its s.emp1, its s.emp1, its s.emp1' ]; then
	wrong=$((wrong + 1))
	say "expected three times the session, approved by s.emp1; Chron has: $applied" >&2
fi

# sees ROLE ORG: how many of the day's decisions of ORG an auditor reads.
sees() {
	"${psql[@]}" -A -t <<-END
		SET SESSION AUTHORIZATION $1;
		SELECT count(*) FROM claiim.decisions WHERE seq > $last_night AND org = '$2';
	END
}
engineering=$(sees s_emp1 engineering) leaked=$(sees s_emp1 finance) finance=$(sees c_reyes finance)
say "Of today's $asked decisions, engineering's auditor s.emp1 reads engineering's $engineering and $leaked of Finance;"
say "the CFO reads Finance's $finance."
verdict=$(value "SELECT CASE WHEN ok THEN 'verified' ELSE 'BAD at ' || first_bad || ': ' || problem END
	|| ' (' || records || ' records)' FROM claiim.verify()")
say "The chain: $verdict."

[ "$leaked" = 0 ] || die "engineering reads Finance's decisions"
[ "$((engineering * finance))" -gt 0 ] || die 'an auditor does not read what is to be read'
case $verdict in verified*) ;; *) die 'Chron does not verify' ;; esac
[ "$wrong" = 0 ] || die "$wrong not as expected"
