#!/bin/bash
#
# Builds claiim and installs it into the server that PG_CONFIG names.  Says one
# line; the compiler's own words are in .claiim/build.log, shown if it fails.
#
#   tools/build.sh [MAKE-ARGUMENT...]		e.g. WERROR=1

. "$(dirname "$0")/lib.sh"

ensure_state
log=$state/build.log
cd "$root"

built() {
	make -j2 --no-print-directory PG_CONFIG="$PG_CONFIG" "$@" all >"$log" 2>&1 </dev/null
}

# Who may not write there is content if what is there is what was just built.
installed_already() {
	local sql
	sql=$(ls claiim--*.sql)
	cmp -s claiim.so "$("$PG_CONFIG" --pkglibdir)/claiim.so" &&
		cmp -s "$sql" "$("$PG_CONFIG" --sharedir)/extension/$sql" &&
		cmp -s claiim.control "$("$PG_CONFIG" --sharedir)/extension/claiim.control"
}

if ! built "$@"; then
	tail -n 60 "$log" >&2
	die "the build failed (all of it: $log)"
fi
if ! installed_already &&
	! make --no-print-directory PG_CONFIG="$PG_CONFIG" "$@" install >>"$log" 2>&1; then
	tail -n 20 "$log" >&2
	is_root || die "built, but only root can install here: sudo make install, then this again"
	die "built, but not installed (all of it: $log)"
fi

warnings=$(grep -c 'warning:' "$log" || true)
say "built for $("$PG_CONFIG" --version), $(ls src/*.c | wc -l) files, $warnings warnings"
