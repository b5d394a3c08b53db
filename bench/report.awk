# Cells, one a line (round, clients, workload, and what cell() of lib.sh prints),
# to the table that README.md explains.  Plain awk: no arrays of arrays, no asort.

BEGIN {
	FS = "\t"
	split("rate p50 p95 p99 wal cpu writer batch flush", figure, " ")
	name["a"] = "(a) `SELECT 1`"
	name["b"] = "(b) plain INSERT"
	name["c"] = "(c) gate written by hand"
	name["d"] = "(d) `claiim_check`"
	name["e"] = "(e) `claiim_check`, ROLLBACK"
	name["x"] = "(x) as (d), unprepared"
	name["f"] = "(f) as (x), through PgBouncer"
	name["g"] = "(g) `claiim_check_many` of 10"
	order = "a b c d e x f g"
}

{
	if (!(($2) in seen)) { seen[$2]; clients[++columns] = $2 }
	if ($1 > rounds) rounds = $1
	has[$3]
	for (i = 1; i <= 9; i++) cell[$1, $2, $3, figure[i]] = $(i + 3)
}

# summarize VALUES N: sets median, least, most.
function summarize(values, n,  i, j, v) {
	for (i = 2; i <= n; i++) {
		v = values[i]
		for (j = i - 1; j >= 1 && values[j] > v; j--) values[j + 1] = values[j]
		values[j + 1] = v
	}
	least = values[1]; most = values[n]
	median = n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

function collect(c, id, what,  r, n) {
	n = 0
	for (r = 1; r <= rounds; r++)
		if ((r, c, id, what) in cell) values[++n] = cell[r, c, id, what]
	summarize(values, n)
	return median
}

function row(title,  i) {
	printf "| %s |", title
	for (i = 1; i <= columns; i++) printf " %s |", text[i]
	printf "\n"
}

function rates(id,  i) {
	for (i = 1; i <= columns; i++) {
		collect(clients[i], id, "rate")
		text[i] = sprintf("%.0f (%.0f-%.0f)", median, least, most)
	}
	row(name[id])
}

# The ratio of each round; two workloads of a round ran within seconds of each other.
function ratios(over, under,  i, r, n, c) {
	if (!(over in has) || !(under in has)) return
	for (i = 1; i <= columns; i++) {
		n = 0; c = clients[i]
		for (r = 1; r <= rounds; r++)
			if (cell[r, c, under, "rate"] > 0) values[++n] = cell[r, c, over, "rate"] / cell[r, c, under, "rate"]
		summarize(values, n)
		text[i] = sprintf("**%.2f** (%.2f-%.2f)", median, least, most)
	}
	row("**(" over ")/(" under ")**")
}

function latencies(id,  i, c) {
	if (!(id in has)) return
	for (i = 1; i <= columns; i++) {
		c = clients[i]
		text[i] = sprintf("%.2f / %.2f / %.2f", collect(c, id, "p50") / 1000, collect(c, id, "p95") / 1000,
			collect(c, id, "p99") / 1000)
	}
	row("(" id ") latency, ms: p50 / p95 / p99")
}

function plain(id, what, format, title,  i) {
	if (!(id in has)) return
	for (i = 1; i <= columns; i++) text[i] = sprintf(format, collect(clients[i], id, what))
	row("(" id ") " title)
}

END {
	for (i = 1; i <= columns; i++) text[i] = clients[i]
	row("decisions (transactions) a second, at clients:")
	for (i = 1; i <= columns; i++) text[i] = "--:"
	row("---")
	n = split(order, ids, " ")
	for (k = 1; k <= n; k++) if (ids[k] in has) rates(ids[k])
	ratios("d", "b"); ratios("d", "c"); ratios("e", "d"); ratios("f", "x"); ratios("g", "d")
	latencies("b"); latencies("c"); latencies("d")
	for (k = 2; k <= n; k++) plain(ids[k], "wal", "%.0f", "WAL, bytes a decision")
	for (k = 1; k <= n; k++) plain(ids[k], "cpu", "%.0f", "the server's CPU, µs a decision")
	plain("d", "writer", "%.1f", "of it the writer's")
	plain("g", "writer", "%.1f", "of it the writer's")
	plain("d", "batch", "%.1f", "records a batch")
	plain("g", "batch", "%.1f", "records a batch")
	plain("b", "flush", "%.0f", "one flush, µs")
	plain("d", "flush", "%.0f", "one flush, µs")
}
