#!/bin/bash
#
# Full load for some minutes: is the memory constant, and the speed?  Every 10 s
# a line; at the end, every answer has its record and the chain verifies.
#
#   bench/soak.sh [--write]		--write: the table also goes into README.md
#
# In the environment: MINUTES=5, CLIENTS=64, INTERVAL=10, and as for run.sh
# POOL_SIZE, BENCH_DIR, FLUSH_DELAY_US, KEEP.
#
# A leak shows in private memory (RssAnon).  Resident memory grows until a
# process has touched all shared buffers, and says nothing.  Exit status 1 if the
# writer's private memory grew by more than a megabyte after the first interval.

minutes=${MINUTES:-5} clients=${CLIENTS:-64} interval=${INTERVAL:-10}
case ${1:-} in '' | --write) ;; *) sed -n '3,7s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

. "$(dirname "$0")/lib.sh"

bench_server "max_connections = $((clients + 20))"		# all else as initdb leaves it
workload d
writer=$(writer_pid)
first=$(last_seq)
table=$scratch/table.md

# callers_memory: private memory in kB of the largest of the agents' backends.
callers_memory() {
	local pid
	for pid in $(value "SELECT pid FROM pg_stat_activity WHERE usename = '$agent_role'"); do
		memory_of "$pid" 2>/dev/null || true
	done | sort -n | tail -n 1 | cut -d ' ' -f 1
}

jobs=$threads
[ "$jobs" -le "$clients" ] || jobs=$clients
load -c "$clients" -j "$jobs" -T $((minutes * 60)) >"$scratch/run.log" 2>&1 &
loader=$!
began=$(now_ms) at_ms=$began seq=$first base='' private=0

{
	environment
	printf '%s clients, %s minutes of (d).\n\n' "$clients" "$minutes"
	printf '| s | decisions/s | writer private, kB | writer resident, kB | largest caller private, kB | Chron, MB |\n'
	printf '| --: | --: | --: | --: | --: | --: |\n'
} | tee "$table"
while sleep "$interval" && kill -0 "$loader" 2>/dev/null; do
	[ "$(writer_pid)" = "$writer" ] || die "the writer was restarted"
	next=$(last_seq) now=$(now_ms)
	read -r private resident < <(memory_of "$writer")
	callers=$(callers_memory)
	size=$(value "SELECT sum(pg_total_relation_size(relid))::bigint >> 20 FROM pg_partition_tree('claiim.chron')")
	printf '| %d | %d | %d | %d | %d | %d |\n' $(((now - began) / 1000)) $(((next - seq) * 1000 / (now - at_ms))) \
		"$private" "$resident" "$callers" "$size" | tee -a "$table"
	seq=$next at_ms=$now
	[ -n "$base" ] || base=$private
done
wait "$loader" || { cat "$scratch/run.log" >&2; die "pgbench failed"; }
loader=

asked=$(ran "$scratch/run.log")
check_records "$first" "$asked"
IFS='|' read -r ok count < <(value "SELECT ok, records FROM claiim.verify()")
[ "$ok" = t ] || die "Chron does not verify"
grown=$((private - base))
printf '\n%d decisions, each answered ALLOW and recorded; %d records verify. The writer'\''s private memory grew by %d kB after the first line.\n' \
	"$asked" "$count" "$grown" | tee -a "$table"
[ "${1:-}" != --write ] || write_block "soak" "$table"
[ "$grown" -le 1024 ]
