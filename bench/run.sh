#!/bin/bash
#
# The benchmark: claiim's gate against what else one could do, on this machine,
# all in one run.  Prints one Markdown table; README.md says how to read it.
#
#   bench/run.sh [--write]		--write: also put it into README.md
#
# In the environment:
#   DURATION=5		seconds a cell		ROUNDS=3	rounds, medians are taken over
#   CLIENTS="1 8 32 64"				ONLY="a b c d e x f g"	which workloads
#   FLUSH_DELAY_US=0	makes the server's flushes slower (slow_fsync.c)
#   POOL_SIZE=20	server connections of PgBouncer
#   BENCH_DIR=/var/tmp	where the data directory is made: this disk is measured
#   KEEP=1		keep it
#
# Rounds are interleaved (a b c ..., a b c ...), so that whatever else the
# machine does meets all workloads alike, and ratios are taken within a round.

duration=${DURATION:-5} rounds=${ROUNDS:-3}
read -ra clients <<<"${CLIENTS:-1 8 32 64}"
read -ra workloads <<<"${ONLY:-a b c d e x f g}"
case ${1:-} in '' | --write) ;; *) sed -n '3,7s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

. "$(dirname "$0")/lib.sh"

most=0
for n in "${clients[@]}"; do [ "$n" -le "$most" ] || most=$n; done

# No checkpoint and no autovacuum in the middle of a cell; one checkpoint
# before each row of cells.
bench_server "max_connections = $((most + pool_size + 20))" \
	"autovacuum = off" "checkpoint_timeout = 1h" "max_wal_size = 8GB" "min_wal_size = 2GB"

case " ${workloads[*]} " in *" f "*)
	if have_pooler; then
		pooler_start
	else
		progress "no pgbouncer here: (f) is left out"
		mapfile -t workloads < <(printf '%s\n' "${workloads[@]}" | grep -vx f)
	fi ;;
esac

# New WAL segments are slow the first time: have some to recycle.
sql -c "SELECT pg_logical_emit_message(false, 'bench', repeat('x', 1 << 20)) FROM generate_series(1, 1024)" \
	-c "CHECKPOINT" >/dev/null

writer=$(writer_pid)
read -r private_before resident_before < <(memory_of "$writer")
results=$scratch/results.tsv
for ((round = 1; round <= rounds; round++)); do
	for n in "${clients[@]}"; do
		sql -c CHECKPOINT
		for id in "${workloads[@]}"; do
			figures=$(cell "$id" "$n" "$duration")
			[ -n "$figures" ] || die "no figures of ($id)"
			printf '%d\t%d\t%s\t%s\n' "$round" "$n" "$id" "$figures" >>"$results"
			progress "round $round, $n clients, ($id): ${figures%%$'\t'*}/s"
		done
	done
done
[ "$(writer_pid)" = "$writer" ] || die "the writer was restarted in between"
read -r private_after resident_after < <(memory_of "$writer")

# The chains: claiim's own verdict on Chron, and the hand-written one recomputed.
IFS='|' read -r ok count < <(value "SELECT ok, records FROM claiim.verify()")
[ "$ok" = t ] || die "Chron does not verify"
[ "$(value "SELECT count(*) FROM (SELECT link = sha256(coalesce(lag(link) OVER (ORDER BY seq), '') || leaf)
	AND seq = row_number() OVER (ORDER BY seq) AS good FROM bench.log) AS l WHERE NOT good")" = 0 ] ||
	die "the hand-written chain is broken: the comparison is not fair"

# width TABLE: of its newest rows, in bytes.
width() {
	value "SELECT coalesce(round(avg(pg_column_size(newest.*))), 0) FROM (SELECT * FROM $1
		WHERE kind = 'decision' ORDER BY seq DESC LIMIT 1000) AS newest"
}

table=$scratch/table.md
{
	environment
	printf '%s rounds of %s s a cell; median (least-most).\n\n' "$rounds" "$duration"
	awk -f "$bench/report.awk" "$results"
	printf '\nA row is (b) %d, (c) %d, (d) %d bytes wide.\n' "$(width bench.plain)" "$(width bench.log)" "$(width claiim.chron)"
	printf 'The writer'\''s memory: %d kB private (%d kB resident) before, %d kB (%d kB) after.\n' \
		"$private_before" "$resident_before" "$private_after" "$resident_after"
	printf 'Chron then had %d records and verified.\n' "$count"
} >"$table"
cat "$table"
if [ "${1:-}" = --write ]; then
	if [ "$flush_delay" = 0 ]; then write_block "results" "$table"; else write_block "results, slow flush" "$table"; fi
fi
