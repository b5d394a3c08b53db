# shellcheck shell=bash
#
# What the suites share.  tools/check.sh gives them $scratch, which the server's
# user owns: src/ is a copy of the checkout, out/ is for results.

. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../server.sh"

: "${scratch:?run through tools/check.sh}" "${result:?}"
home=$scratch/server
port=5498
pgxs_dir=$(dirname "$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")")

# report PASSED FAILED SKIPPED
report() { printf '%d %d %d\n' "$1" "$2" "$3" >"$result"; }

# skip REASON: a suite that cannot run here.
skip() {
	say "skipped: $*"
	printf '%s\n' "$*" >"$result.skipped"
	report 0 0 1
	exit 0
}

# files_of DIR PATTERN: base names without suffix, in the order of their names.
files_of() {
	local file
	for file in "$root/$1"/$2; do
		[ -e "$file" ] || continue
		file=${file##*/}
		printf '%s\n' "${file%.*}"
	done
}

# pristine_server: what initdb leaves, once; the rest is copying.
pristine=$scratch/pristine
pristine_server() {
	if [ ! -d "$pristine" ]; then
		home_usable "$pristine"
		server_init "$pristine" postgres trust
	fi
}

# fresh_server: one as initdb leaves it, whatever ran before; preloads claiim.
fresh_server() {
	pristine_server
	if [ -d "$home" ]; then
		server_stop "$home" immediate
		rm -rf "$home"
	fi
	as_server cp -a "$pristine" "$home"
	server_start "$home" "$port"
	export PGHOST=$home PGPORT=$port PGUSER=postgres PGDATABASE=postgres
}

# server_log: the end of its log, for a suite that failed.
server_log() {
	say "--- the server's log, its end"
	tail -n "${1:-60}" "$home/server.log" || true
}
