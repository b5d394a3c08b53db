#!/bin/bash
#
# The demo's private cluster: one database server that belongs to this checkout,
# lives in .claiim/ and listens on a Unix socket only.
#
#   tools/cluster.sh start|resume|stop|status|remove|env
#
# start    makes it if there is none, else restarts it, which loads the library
#          that is installed now; what is in its databases stays.  It is made
#          anew if the server's major version, or claiim's SQL under the same
#          version number, changed since: there is nothing to update it with.
# resume   starts the one that is there and was stopped.
# remove   stops it and removes it with all that the tools have made in .claiim/.
#          Installed packages, and claiim in the server's directories, stay.
# env      writes .claiim/env and .claiim/agent.env again.
#
# .claiim/server is its home (tools/server.sh).  The server's user may be unable
# to reach a checkout (root's own, say): then the home is in /var/tmp, under a
# name that follows from the checkout's path, and .claiim/server a link to it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/server.sh"

port=5499
owner=claiim
database=claiim
agent_role=deploy_bot
away=/var/tmp/claiim-$(printf %s "$root" | sha256sum | cut -c1-12)

# home: its real path; empty if there is none yet.
home=$(readlink -e "$state/server" || true)

choose_home() {
	ensure_state
	if [ -L "$state/server" ]; then rm "$state/server"; fi
	if home_usable "$state/server"; then
		home=$state/server
		return
	fi
	[ ! -d "$state/server" ] || rmdir "$state/server"
	# In a directory that all may write to, take nothing that another made.
	mkdir -m 0700 "$away" 2>/dev/null || true
	case $(stat -c '%F %U' "$away") in
		"directory $server_user" | "directory $(id -un)") ;;
		*) die "$away is in the way: remove it" ;;
	esac
	home_usable "$away" || die "user $server_user can use neither $state nor /var/tmp for the server's data"
	ln -sfn "$away" "$state/server"
	home=$away
}

# What the databases of this cluster were made for.
made_for() {
	local share
	share=$("$PG_CONFIG" --sharedir)/extension
	"$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/postgresql \1/'
	cat "$share/claiim.control" "$share"/claiim--*.sql | sha256sum
}

password_of() {
	local file=$state/$1.password
	[ -s "$file" ] || (umask 077 && random_hex 16 >"$file")
	cat "$file"
}

# write_env FILE USER PASSWORD WHO
write_env() {
	(umask 077 && cat >"$1") <<-END
		# Made by tools/cluster.sh. Source it in a shell:  . $1
		# It connects psql, and whatever else uses libpq, to the private cluster
		# as $4.
		unset PGHOSTADDR PGSERVICE PGSERVICEFILE PGPASSFILE PGOPTIONS PGCLUSTER PGSSLMODE
		unset PGREQUIREAUTH PGREQUIREPEER PGCHANNELBINDING PGTARGETSESSIONATTRS PGSSLNEGOTIATION
		export PGHOST='$home' PGPORT='$port' PGDATABASE='$database'
		export PGUSER='$2' PGPASSWORD='$3'
	END
}

write_envs() {
	write_env "$state/env" "$owner" "$(password_of owner)" "its owner, a superuser"
	write_env "$state/agent.env" "$agent_role" "$(password_of agent)" \
		"$agent_role, the database role of the agent deploy-bot"
}

remove() {
	if [ -n "$home" ]; then
		case $home in
			"$state/server" | /var/tmp/claiim-*) ;;
			*) die "$state/server leads to $home, which is not ours to remove" ;;
		esac
		server_stop "$home" || die "it does not stop; nothing was removed"
		rm -rf "$home"
	fi
	rm -rf "$state/server" "$state/env" "$state/agent.env" "$state"/*.password "$state/made_for"
	home=
}

start() {
	have_server || die "no PostgreSQL server in $(pg_bindir)"
	is_root && { getent passwd "$server_user" >/dev/null || die "there is no user $server_user to run the server as"; }
	if [ -n "$home" ] && [ "$(made_for)" != "$(cat "$state/made_for" 2>/dev/null)" ]; then
		say "the server's major version or claiim's SQL changed: making the demo cluster anew"
		remove
	fi
	if [ -n "$home" ] && [ -e "$home/data/PG_VERSION" ]; then
		server_stop "$home" || die "the running server does not stop"
	else
		choose_home
		rm -rf "$home/data"
		server_init "$home" "$owner" scram-sha-256 "$(password_of owner)"
		made_for >"$state/made_for"
	fi
	server_start "$home" "$port"
	write_envs
}

no_cluster='there is no demo cluster; make demo makes one'

resume() {
	[ -n "$home" ] && [ -e "$home/data/PG_VERSION" ] || die "$no_cluster"
	server_running "$home" || server_start "$home" "$port"
	status
}

stop() {
	if [ -z "$home" ]; then
		say "$no_cluster"
	elif server_running "$home"; then
		server_stop "$home"
		say "stopped; its data stay in .claiim/, make demo-start starts it again"
	else
		say "it was stopped already; its data stay in .claiim/, make demo-start starts it again"
	fi
}

status() {
	if [ -z "$home" ]; then
		say "$no_cluster"
		return 3
	fi
	say "data: $home/data"
	say "log:  $home/server.log"
	if ! server_running "$home"; then
		say "it is stopped; make demo-start starts it"
		return 3
	fi
	say "it is running; connect with:  . $state/env && psql"
}

case ${1:-} in
	start) start ;;
	resume) resume ;;
	stop) stop ;;
	status) status ;;
	remove)
		said='removed:'
		[ -z "$home" ] || said+=' the demo cluster, its data, and'
		[ -e "$state" ] && said+=' .claiim/' || said='there was no demo cluster'
		remove
		rm -rf "$state"
		say "$said"
		;;
	env) [ -n "$home" ] || die "$no_cluster"; write_envs ;;
	*) die "usage: tools/cluster.sh start|resume|stop|status|remove|env" ;;
esac
