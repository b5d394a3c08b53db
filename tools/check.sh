#!/bin/bash
#
# Builds claiim with CI's warnings, installs it, and runs its test suites.
#
#   tools/check.sh [SUITE...]		all of them by default; KEEP=1 keeps the scratch
#
# A suite is a script in tools/check/.  It prints its log, and writes one line
# "PASSED FAILED SKIPPED" to $result, and why to $result.skipped.  Here they are
# counted, and what failed is shown; the last line is the sum.  A suite that breaks off counts as one
# failure, and so does one that ran no test at all.
#
# The suites that need a server run as the server's user in a scratch directory
# with a copy of the checkout, which that user might not be able to read.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/server.sh"

all_suites=(unit fuzz cppcheck regress isolation pgtap tap sdk package docker)
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=("${all_suites[@]}")
for suite in "${suites[@]}"; do
	[ -x "$root/tools/check/$suite.sh" ] || die "no suite $suite; there are: ${all_suites[*]}"
done

began=$(now_ms)
"$root/tools/install-deps.sh" all
"$root/tools/build.sh" WERROR=1
ensure_state
logs=$state/check
rm -rf "$logs"
mkdir -p "$logs"

scratch=$(mktemp -d /tmp/claiim-check.XXXXXX)
running=
clean_up() {
	[ -z "$running" ] || end_suite
	stop_servers
	if [ -n "${KEEP:-}" ]; then
		say "kept: $scratch"
	else
		rm -rf "$scratch"
	fi
}

# We were interrupted.  timeout made the suite a process group of its own.
end_suite() {
	kill -TERM "$running" 2>/dev/null || true
	for _ in $(seq 50); do
		kill -0 -- "-$running" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL -- "-$running" 2>/dev/null || true
	sleep 1		# for a server just started, and in no group, to write its pid file
}

# Servers that a broken-off test left, each by its own data directory.
stop_servers() {
	local pidfile
	find "$scratch" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		(cd "$scratch" && as_server "$(pg_bindir)/pg_ctl" -D "${pidfile%/*}" -s -w -m immediate stop) \
			</dev/null >/dev/null 2>&1 || true
	done
}
trap clean_up EXIT
# make passes a signal on that we have had already: clear up once, undisturbed.
trap 'trap "" INT TERM HUP; exit 130' INT
trap 'trap "" INT TERM HUP; exit 143' TERM HUP

mkdir "$scratch/src" "$scratch/out"
tar -C "$root" -cf - --exclude=./.git --exclude=./.claiim . | tar -C "$scratch/src" -xf -
! is_root || chown -R "$server_user:" "$scratch"
export scratch result

passed=0 failed=0 skipped=0
for suite in "${suites[@]}"; do
	start=$(now_ms)
	result=$scratch/out/$suite.result
	status=0
	# In the background, so that a signal to us is not kept waiting.
	timeout --kill-after=10 1800 "$root/tools/check/$suite.sh" >"$logs/$suite.log" 2>&1 </dev/null &
	running=$!
	wait "$running" || status=$?
	running=
	p=0 f=0 s=0 note=
	if ! read -r p f s 2>/dev/null <"$result" || [ -z "$s" ]; then
		p=0 f=1 s=0 note=" (broke off, status $status)"
	elif [ $((p + f + s)) = 0 ]; then
		f=1 note=" (ran no test)"
	elif [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1 note=" (status $status)"
	fi
	printf '%-10s %5d passed, %d failed, %d skipped   %s%s\n' \
		"$suite" "$p" "$f" "$s" "$(seconds_since "$start")" "$note"
	[ "$s" = 0 ] || sed 's/^/    skipped: /' "$result.skipped"
	if [ "$f" != 0 ]; then
		tail -n 300 "$logs/$suite.log" | sed 's/^/    /'
		say "    (all of it: $logs/$suite.log)"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done

if [ "$skipped" = 0 ]; then
	say "$passed passed, $failed failed"
else
	say "$passed passed, $failed failed, $skipped skipped"
fi >"$scratch/sum"
sum=$(cat "$scratch/sum")
clean_up
trap - EXIT
say
say "All of it took $(seconds_since "$began"):"
say "$sum"
[ "$failed" = 0 ]
