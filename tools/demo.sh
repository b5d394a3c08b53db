#!/bin/bash
#
# From a checkout to a working gate with proof: dependencies, build, a private
# cluster, the rehearsal, a day of the five agents in examples/.  Safe to run
# again: the cluster is restarted with the new build and keeps its data.

. "$(dirname "$0")/lib.sh"

began=$(now_ms)
number=0
step() {
	number=$((number + 1))
	printf '\n[%s] %d. %s\n' "$(seconds_since "$began")" "$number" "$*"
}
failed() {
	printf '\nclaiim: the demo stopped in step %d, after %s.\n' "$number" "$(seconds_since "$began")" >&2
	[ ! -e "$state/server/server.log" ] || printf 'The server'\''s log: %s\n' "$state/server/server.log" >&2
}
trap 'failed' ERR

step "Dependencies, from the distribution"
"$root/tools/install-deps.sh" demo
psql=$(pg_bindir)/psql

step "Build and install (half a minute or more, the first time)"
"$root/tools/build.sh"

step "A private cluster in .claiim/, on a Unix socket only"
"$root/tools/cluster.sh" start
# shellcheck source=/dev/null
. "$state/env"
"$psql" -X -q -At -d postgres -v ON_ERROR_STOP=1 <<-'END'
	SELECT 'CREATE DATABASE claiim' WHERE NOT EXISTS
		(SELECT FROM pg_catalog.pg_database WHERE datname = 'claiim') \gexec
END
# The role that examples/ binds to deploy-bot; only we know its password.
"$psql" -X -q -At -v ON_ERROR_STOP=1 <<-END
	SET client_min_messages = warning;
	CREATE EXTENSION IF NOT EXISTS claiim CASCADE;
	SELECT 'CREATE ROLE deploy_bot' WHERE NOT EXISTS
		(SELECT FROM pg_catalog.pg_roles WHERE rolname = 'deploy_bot') \gexec
	ALTER ROLE deploy_bot LOGIN PASSWORD '$(cat "$state/agent.password")';
	SELECT pg_catalog.format('%s, claiim %s, database %s', pg_catalog.split_part(pg_catalog.version(), ' on ', 1),
		extversion, pg_catalog.current_database()) FROM pg_catalog.pg_extension WHERE extname = 'claiim';
END

step "The rehearsal: thirteen checks against this database"
PATH=$(pg_bindir):$PATH bash "$root/docker/rehearsal.sh"

step "A day of the five agents of examples/"
PATH=$(pg_bindir):$PATH bash "$root/examples/run.sh"

denied=$("$psql" -X -q -At -c "SELECT chron_id FROM claiim.decisions
	WHERE agent = 'deploy-bot' AND action = 'deploy:production' ORDER BY seq DESC LIMIT 1")

trap - ERR
cat <<END

Done in $(seconds_since "$began"). The cluster keeps running. Try it, in one shell and in this order.

As deploy-bot, by the database role that is bound to it, which reads no table:
    . $state/agent.env
    psql -xc "SELECT * FROM claiim_check('deploy-bot', 'deploy:staging', 'api-v2')"
    psql -xc "SELECT * FROM claiim_check('deploy-bot', 'deploy:production', 'api-v2')"

Then as the owner, to see the proof:
    . $state/env
    psql -c "SELECT outcome, agent, action, anchor, reason, chron_id FROM claiim.decisions ORDER BY seq DESC LIMIT 5"
    psql -xc "SELECT * FROM claiim.five_questions('$denied')"
    psql -xc "SELECT * FROM claiim.verify()"

As two humans, whom this superuser may become: one stops the agent and proposes to resume it, the other approves
(read claiim.pending_changes first):
    psql -c "SET SESSION AUTHORIZATION s_emp2" -c "SELECT claiim.suspend_agent('deploy-bot', 'a try')" \\
         -c "SELECT claiim.resume_agent('deploy-bot', 'tried')"
    psql -c "SET SESSION AUTHORIZATION s_emp1" -c "SELECT summary, claiim.approve(change) FROM claiim.pending_changes"

make demo runs all of this again; make demo-stop stops the cluster; make clean-demo removes it and its data.
END
