# shellcheck shell=bash
#
# A private PostgreSQL server in a directory of its own: how it is made, started
# and stopped.  Sourced; tools/cluster.sh keeps one for the demo with it, and
# tools/check.sh one for a test run.  A "home" holds, all owned by the server's
# user and closed to others:
#
#   data/          the data directory
#   claiim.conf    what we set, included by data/postgresql.conf, rewritten at
#                  each start so that a moved checkout still works
#   token_secret   the key of the token digests, outside of the data directory
#   server.log     where the server writes
#   .s.PGSQL.*     its socket; there is no TCP port

# home_usable DIR: can the server's user have DIR, and a socket in it?  The
# socket's whole path is limited to 107 bytes, and some characters would need
# quoting in a connection string.  DIR is made if it is not there.
home_usable() {
	local dir=$1
	[[ $dir =~ ^[A-Za-z0-9/._-]{1,85}$ ]] || return 1
	mkdir -p "$dir" 2>/dev/null && chmod 0700 "$dir" || return 1
	if is_root; then
		chown "$server_user:" "$dir" 2>/dev/null || return 1
	fi
	# Through every directory above, which may belong to root alone.
	as_server test -w "$dir" && as_server test -x "$dir" && [ "$(stat -c %U "$dir")" = "$server_user" ]
}

# server_init HOME SUPERUSER AUTH [PASSWORD]: AUTH as in pg_hba.conf.
server_init() {
	local home=$1 superuser=$2 auth=$3 password=${4:-} locale=C
	local pwfile=$home/initdb.password
	locale -a 2>/dev/null | grep -qix 'C\.utf-\{0,1\}8' && locale=C.UTF-8

	random_hex 32 | as_server_write "$home/token_secret"
	printf '%s\n' "$password" | as_server_write "$pwfile"
	as_server "$(pg_bindir)/initdb" -D "$home/data" -U "$superuser" -E UTF8 \
		--locale="$locale" --data-checksums --auth="$auth" \
		${password:+--pwfile="$pwfile"} --no-instructions >"$state/initdb.log" 2>&1 ||
		{ cat "$state/initdb.log" >&2; rm -f "$pwfile"; die "initdb failed"; }
	rm -f "$pwfile"
	printf 'local all all %s\n' "$auth" | as_server_write "$home/data/pg_hba.conf"
	printf "include '../claiim.conf'\n" | as_server tee -a "$home/data/postgresql.conf" >/dev/null
}

# as_server_write FILE: standard input to FILE, readable by the server's user only.
as_server_write() {
	as_server sh -c 'umask 077 && cat >"$1"' sh "$1"
}

# server_start HOME PORT [PRELOAD]: returns once it takes connections.
server_start() {
	local home=$1 port=$2 preload=${3-claiim}
	{
		printf "listen_addresses = ''\n"
		printf "unix_socket_directories = '%s'\n" "$home"
		printf "port = %s\n" "$port"
		printf "shared_preload_libraries = '%s'\n" "$preload"
		printf "claiim.token_secret_file = '%s/token_secret'\n" "$home"
		printf "log_line_prefix = '%%m [%%p] %%q%%u@%%d '\n"
		# A chroot or a container may come without a usable /dev/shm.
		# shellcheck disable=SC2016
		as_server sh -c 't=/dev/shm/claiim.$$; : >"$t" && rm "$t"' 2>/dev/null ||
			printf 'dynamic_shared_memory_type = mmap\n'
	} | as_server_write "$home/claiim.conf"
	(cd "$home" && as_server "$(pg_bindir)/pg_ctl" -D "$home/data" -l "$home/server.log" \
		-s -w -t 60 start </dev/null >/dev/null 2>&1) && return
	tail -n 20 "$home/server.log" >&2
	die "the server did not start (its log: $home/server.log)"
}

# server_stop HOME [MODE]: only ever the server of that very data directory.
server_stop() {
	local home=$1 mode=${2:-fast}
	server_running "$home" || return 0
	(cd "$home" && as_server "$(pg_bindir)/pg_ctl" -D "$home/data" -s -w -t 60 -m "$mode" stop)
}

server_running() {
	[ -d "$1/data" ] && (cd "$1" && as_server "$(pg_bindir)/pg_ctl" -D "$1/data" status >/dev/null 2>&1)
}
