# shellcheck shell=bash
#
# What the benchmarks share: a private server with the same small world in it,
# one measured cell, and the block of README.md that a run refreshes.  Sourced.
#
# A cell is one pgbench run.  It counts only if it did what it says: every
# transaction succeeded, and left exactly as many records as it should have,
# all of them ALLOW where there is a gate.  Anything else ends the whole run.

. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../tools/server.sh"

shopt -s inherit_errexit
PATH=$PATH:/usr/sbin		# where Debian has pgbouncer, and a plain user has not
bench=$root/bench
port=5497
pooler_port=5496
owner=claiim
database=claiim
agent_role=deploy_bot
pool_size=${POOL_SIZE:-20}
flush_delay=${FLUSH_DELAY_US:-0}
threads=$(nproc)
tick_us=$((1000000 / $(getconf CLK_TCK)))

# The disk matters: not /tmp, which may be memory.
scratch=$(mktemp -d "${BENCH_DIR:-/var/tmp}/claiim-bench.XXXXXX")
chmod 0711 "$scratch"
home=$scratch/server
state=$scratch			# tools/server.sh writes initdb's log there
loader=					# a pgbench in the background

clean_up() {
	[ -z "$loader" ] || kill "$loader" 2>/dev/null || true
	pooler_stop
	server_stop "$home" immediate || true
	if [ -n "${KEEP:-}" ]; then say "kept: $scratch" >&2; else rm -rf "$scratch"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

progress() { printf '%s\n' "$*" >&2; }

# sql [PSQL-ARGUMENT...]: as the superuser.  value SQL: its one row, | between columns.
sql() { "$(pg_bindir)/psql" -X -q -h "$home" -p "$port" -U "$owner" -d "$database" -v ON_ERROR_STOP=1 "$@"; }
value() { sql -A -t -c "$1"; }

#
# The server and the world in it
#

# bench_server [SETTING...]: settings as lines of postgresql.conf.
bench_server() {
	local setting preload=
	have_server || die "no PostgreSQL server in $(pg_bindir)"
	[ -e "$("$PG_CONFIG" --pkglibdir)/claiim.so" ] || die "claiim is not installed: make && make install"
	[ ! -e "$root/claiim.so" ] || cmp -s "$root/claiim.so" "$("$PG_CONFIG" --pkglibdir)/claiim.so" ||
		progress "beware: the installed library, which is measured, is not the one built here"
	case $(stat -f -c %T "$scratch") in
		tmpfs | ramfs) progress "beware: $scratch is in memory, flushes cost nothing; set BENCH_DIR" ;;
	esac
	home_usable "$home" || die "user $server_user cannot use $home"
	server_init "$home" "$owner" trust
	printf '%s\n' "track_wal_io_timing = on" "$@" | as_server tee -a "$home/data/postgresql.conf" >/dev/null
	if [ "$flush_delay" -gt 0 ]; then
		cc -O2 -Wall -shared -fPIC -o "$home/slow_fsync.so" "$bench/slow_fsync.c" -ldl ||
			die "FLUSH_DELAY_US needs a C compiler"
		preload=$home/slow_fsync.so
	fi
	LD_PRELOAD=$preload FLUSH_DELAY_US=$flush_delay server_start "$home" "$port"
	"$(pg_bindir)/createdb" -h "$home" -p "$port" -U "$owner" "$database"
	sql -f "$bench/setup.sql" >/dev/null
	[ "$(value "SELECT concat_ws(' ', current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('full_page_writes'))")" = "on on on" ] || die "the server is not set to be durable"
	[ "$(sql -A -t -U "$agent_role" -c "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'api-v2')" \
		-c "SELECT outcome FROM claiim_check('deploy-bot', 'deploy:production', 'api-v2')" | xargs)" = "ALLOW DENY" ] ||
		die "the gate does not answer as the policy says"
}

# environment: one line that says where the figures come from.
environment() {
	local delayed=
	[ "$flush_delay" = 0 ] || delayed=", each flush made $flush_delay µs slower"
	printf '%s, claiim %s, %s cores (%s), Linux %s, data on %s%s, %s.\n' \
		"$(value "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)")" \
		"$(value 'SELECT claiim_version()')" "$(nproc)" \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | tr -s ' ')" "$(uname -r | sed 's/[^0-9.].*//')" \
		"$(stat -f -c %T "$scratch")" "$delayed" "$(date +%Y-%m-%d)"
}

have_pooler() { command -v pgbouncer >/dev/null; }

pooler_start() {
	printf '"%s" ""\n' "$agent_role" | as_server_write "$home/users.txt"
	as_server_write "$home/pooler.ini" <<-END
		[databases]
		$database = host=$home port=$port dbname=$database
		[pgbouncer]
		unix_socket_dir = $home
		listen_port = $pooler_port
		auth_type = trust
		auth_file = $home/users.txt
		pool_mode = transaction
		default_pool_size = $pool_size
		max_client_conn = 1000
		logfile = $home/pooler.log
		pidfile = $home/pooler.pid
		log_connections = 0
		log_disconnections = 0
	END
	(cd "$home" && as_server pgbouncer -q -d "$home/pooler.ini") || die "pgbouncer did not start"
}

pooler_stop() { [ ! -s "$home/pooler.pid" ] || kill "$(cat "$home/pooler.pid")" 2>/dev/null || true; }

#
# What the server has used so far
#

writer_pid() { value "SELECT pid FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND datname = '$database'"; }

# memory_of PID: private and total resident memory in kB.
memory_of() { awk '/^RssAnon:/ { a = $2 } /^VmRSS:/ { r = $2 } END { print a + 0, r + 0 }' "/proc/$1/status"; }

# CPU time in ticks: of all processes of the server, those that have ended
# included (the postmaster has waited for them), and of the writer alone.
cpu_ticks() {
	{ cat /proc/[0-9]*/stat 2>/dev/null || true; } |
		awk -v postmaster="$(head -n 1 "$home/data/postmaster.pid")" -v writer="$1" '
			$2 == "(postgres)" && ($1 == postmaster || $4 == postmaster) { all += $14 + $15 + $16 + $17 }
			$2 == "(postgres)" && $1 == writer { own = $14 + $15 }
			END { print all + 0, own + 0 }'
}

# usage WRITER: ticks, writer's ticks, WAL position, flushes timed, their ms.
usage() {
	local wal
	wal=$(value "SELECT pg_current_wal_insert_lsn() - '0/0', wal_sync, wal_sync_time FROM pg_stat_wal")
	sleep 0.3		# for the backends to be gone and waited for
	printf '%s %s\n' "$(cpu_ticks "$1")" "${wal//|/ }"
}

#
# A cell
#

# workload ID: sets script, mode, socket port, decisions a transaction, and the
# table where its records are.
workload() {
	script=$bench/workloads/$1.sql mode=prepared at_port=$port each=1 records=claiim.chron
	case $1 in
		a) each=0 ;;
		b) script=$scratch/b.sql records=bench.plain ;;
		c) records=bench.log ;;
		d | e) ;;
		f) script=$bench/workloads/d.sql mode=extended at_port=$pooler_port ;;
		x) script=$bench/workloads/d.sql mode=extended ;;
		g) each=10 ;;
		fill) each=100 ;;
		*) die "no workload $1" ;;
	esac
	[ "$1" != b ] || [ -s "$script" ] || sql -A -t -f "$bench/plain_insert.sql" >"$script"
}

# load PGBENCH-ARGUMENT...: the current workload's script, by the agent's role.
load() {
	"$(pg_bindir)/pgbench" -n -h "$home" -p "$at_port" -U "$agent_role" -M "$mode" -f "$script" "$@" "$database"
}

# ran LOG: how many transactions, from pgbench's own report; none may have failed.
ran() {
	grep -q '^number of failed transactions: 0 ' "$1" || { cat "$1" >&2; die "pgbench reports failures"; }
	sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$1"
}

last_seq() { value "SELECT coalesce(max(seq), 0) FROM $records"; }

# check_records AFTER EXPECTED: sets batches, the number of transactions that
# wrote them.
check_records() {
	local found allowed
	IFS='|' read -r found allowed batches < <(value "SELECT count(*), count(*) FILTER (WHERE outcome = 'ALLOW'),
		count(DISTINCT xmin::text) FROM $records WHERE seq > $1 AND kind = 'decision'")
	[ "$found $allowed" = "$2 $2" ] ||
		die "$script: $2 decisions were answered, $found are recorded, $allowed of them ALLOW"
}

# cell ID CLIENTS SECONDS: prints, tab-separated: decisions or transactions a
# second; p50, p95, p99 in µs; WAL bytes, CPU µs, the writer's CPU µs and
# records a batch, per decision; mean flush in µs.
#
# A run of one transaction a client goes first: it warms the caches, and what it
# uses (connections, most of all) is subtracted.
cell() {
	local clients=$2 jobs=$threads writer first done0 done1 from script mode at_port each records batches=0 before warm after
	local tps counted percentiles
	workload "$1"
	[ "$jobs" -le "$clients" ] || jobs=$clients
	writer=$(writer_pid)
	first=0
	[ "$each" = 0 ] || first=$(last_seq)
	before=$(usage "$writer")
	load -c "$clients" -j "$jobs" -t 1 >"$scratch/warm.log" 2>&1 || { cat "$scratch/warm.log" >&2; die "pgbench failed"; }
	done0=$(ran "$scratch/warm.log")
	[ "$each" = 0 ] || check_records "$first" $((done0 * each))
	from=$first
	[ "$each" = 0 ] || from=$(last_seq)
	warm=$(usage "$writer")

	rm -f "$scratch"/latency.*
	load -c "$clients" -j "$jobs" -T "$3" -l --log-prefix="$scratch/latency" >"$scratch/run.log" 2>&1 ||
		{ cat "$scratch/run.log" >&2; die "pgbench failed"; }
	after=$(usage "$writer")
	done1=$(ran "$scratch/run.log")
	[ "$each" = 0 ] || check_records "$from" $((done1 * each))
	tps=$(sed -n 's/^tps = \([0-9.]*\) .*/\1/p' "$scratch/run.log")
	percentiles=$(cat "$scratch"/latency.* | awk '{ print $3 }' | sort -n | awk '
		{ at[NR] = $1 }
		function nearest(p,  i) { i = int(NR * p); return at[i < NR * p ? i + 1 : i] }
		END { printf "%d\t%d\t%d", nearest(.5), nearest(.95), nearest(.99) }')
	counted=$((each > 0 ? each : 1))
	awk -v before="$before" -v warm="$warm" -v after="$after" -v tick="$tick_us" -v tps="$tps" -v each="$counted" \
		-v n0="$done0" -v n1="$done1" -v percentiles="$percentiles" -v batches="$batches" '
		BEGIN {
			split(before, b); split(warm, w); split(after, a)
			n = (n1 - n0) * each
			if (n < 1) n = 1
			for (i = 1; i <= 5; i++) used[i] = (a[i] - w[i]) - (w[i] - b[i])
			flushes = a[4] - b[4]
			printf("%.1f\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f\n", tps * each, percentiles, used[3] / n,
				used[1] * tick / n, used[2] * tick / n, (batches > 0) ? n1 * each / batches : 0,
				(flushes > 0) ? (a[5] - b[5]) * 1000 / flushes : 0)
		}'
}

#
# README.md
#

# write_block NAME FILE: FILE becomes what stands between NAME's two markers.
write_block() {
	local readme=$bench/README.md
	grep -qx "<!-- begin $1 -->" "$readme" && grep -qx "<!-- end $1 -->" "$readme" ||
		die "README.md has no block \"$1\""
	awk -v name="$1" -v file="$2" '
		$0 == "<!-- end " name " -->" { skip = 0 }
		!skip { print }
		$0 == "<!-- begin " name " -->" { skip = 1; while ((getline line < file) > 0) print line }
	' "$readme" >"$scratch/README.md"
	cat "$scratch/README.md" >"$readme"
}
