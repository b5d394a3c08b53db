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
	make -j2 --no-print-directory PG_CONFIG="$PG_CONFIG" V=1 "$@" all >"$log" 2>&1 </dev/null
}

# Who may not write there is content if what is there is what was just built.
installed_already() {
	local sql
	sql=$(ls claiim--*.sql)
	cmp -s claiim.so "$("$PG_CONFIG" --pkglibdir)/claiim.so" &&
		cmp -s "$sql" "$("$PG_CONFIG" --sharedir)/extension/$sql" &&
		cmp -s claiim.control "$("$PG_CONFIG" --sharedir)/extension/claiim.control"
}

# Who can write to neither place is told before the minute that a build may take,
# unless somebody else has installed claiim: that may be just what we build.
may_install() {
	[ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]
}
not_allowed() {
	die "$*: run this as root, or first  make && sudo make install"
}
if ! may_install && [ ! -e "$("$PG_CONFIG" --pkglibdir)/claiim.so" ]; then
	not_allowed "$(id -un) cannot install claiim into $("$PG_CONFIG" --pkglibdir)"
fi

if ! built "$@"; then
	tail -n 60 "$log" >&2
	die "the build failed (all of it: $log)"
fi
if ! installed_already; then
	may_install || not_allowed "built, but what is in $("$PG_CONFIG" --pkglibdir) is another build, and $(id -un) cannot replace it"
	if ! make --no-print-directory PG_CONFIG="$PG_CONFIG" "$@" install >>"$log" 2>&1; then
		tail -n 20 "$log" >&2
		die "built, but not installed (all of it: $log)"
	fi
fi

warnings=$(grep -c 'warning:' "$log" || true)
say "built for $("$PG_CONFIG" --version), $(ls src/*.c | wc -l) files, $warnings warnings"
