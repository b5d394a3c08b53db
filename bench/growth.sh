#!/bin/bash
#
# Does a decision cost more when there are more?  Fills Chron up to each size,
# and measures there.
#
#   bench/growth.sh [--write]	--write: the table also goes into README.md
#
# In the environment: SIZES="10000 100000 1000000" (add 10000000 for the whole
# of it: some 5 GB), CLIENTS=8, DURATION=2, ROUNDS=3, and as for run.sh BENCH_DIR,
# FLUSH_DELAY_US, KEEP.
#
# Chron is filled with calls of a hundred decisions each, which make the same
# records as calls of one.  What is measured adds records too: the table says from
# where to where.  At each size (a) and (b) are measured in turn with (d): (a)
# shows what the machine was doing just then, (b) grows along at its own pace.

duration=${DURATION:-2} rounds=${ROUNDS:-3} clients=${CLIENTS:-8}
read -ra sizes <<<"${SIZES:-10000 100000 1000000}"
case ${1:-} in '' | --write) ;; *) sed -n '3,7s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

. "$(dirname "$0")/lib.sh"

bench_server "max_connections = $((clients + 20))" "max_wal_size = 8GB" "min_wal_size = 2GB"

fill_to() {
	local missing clients=8 script mode at_port each records=claiim.chron
	missing=$(($1 - $(last_seq)))
	[ "$missing" -gt 0 ] || return 0
	workload fill
	load -c "$clients" -j "$threads" -t $(((missing + each * clients - 1) / (each * clients))) >"$scratch/fill.log" 2>&1 ||
		{ cat "$scratch/fill.log" >&2; die "pgbench failed"; }
	ran "$scratch/fill.log" >/dev/null
}

# of COLUMN FORMAT: a figure of cell's, median, least and most over the rounds of this size.
of() {
	cut -f "$1" "$scratch/d.tsv" | sort -n | awk -v format="$2" '
		{ v[NR] = $1 }
		END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2; printf(format, m, v[1], v[NR]) }'
}

# ratio_to ID: of (d)'s rate, the median of the rounds; cell prints nine columns.
ratio_to() {
	paste "$scratch/d.tsv" "$scratch/$1.tsv" | awk -F '\t' '{ print $1 / $10 }' | sort -n |
		awk '{ v[NR] = $1 } END { printf("%.3f", v[int((NR + 1) / 2)]) }'
}

table=$scratch/table.md
{
	environment
	printf '%s clients, %s rounds of %s s; median (least-most).\n\n' "$clients" "$rounds" "$duration"
	printf '| records | (d) decisions/s | (d)/(a) | (d)/(b) | p50 / p99, ms | CPU, µs | WAL, bytes | index, MB | index, bytes a record | table, MB | verify, s |\n'
	printf '| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n'
} | tee "$table"
records=claiim.chron
for size in "${sizes[@]}"; do
	progress "filling up to $size"
	fill_to "$size"
	sql -c "VACUUM (ANALYZE) claiim.chron" -c CHECKPOINT
	from=$(last_seq)
	rm -f "$scratch"/[abd].tsv
	for ((round = 1; round <= rounds; round++)); do
		for id in a b d; do
			figures=$(cell "$id" "$clients" "$duration")
			printf '%s\n' "$figures" >>"$scratch/$id.tsv"
			progress "round $round, ($id): ${figures%%$'\t'*}/s"
		done
	done
	to=$(last_seq)
	IFS='|' read -r heap index < <(value "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid))
		FROM pg_partition_tree('claiim.chron')")
	start=$(now_ms)
	[ "$(value "SELECT ok FROM claiim.verify()")" = t ] || die "Chron does not verify"
	seconds=$(seconds_since "$start")
	printf '| %d-%d | %s | %s | %s | %s / %s | %s | %s | %d | %d | %d | %s |\n' "$from" "$to" "$(of 1 '%.0f (%.0f-%.0f)')" \
		"$(ratio_to a)" "$(ratio_to b)" "$(of 2 %d | awk '{ printf "%.2f", $1 / 1000 }')" \
		"$(of 4 %d | awk '{ printf "%.2f", $1 / 1000 }')" "$(of 6 %.0f)" "$(of 5 %.0f)" \
		$((index >> 20)) $((index / to)) $((heap >> 20)) "${seconds% s}" | tee -a "$table"
done
[ "${1:-}" != --write ] || write_block "growth" "$table"
