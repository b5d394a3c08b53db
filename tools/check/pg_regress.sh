# shellcheck shell=bash
#
# One run of pg_regress or pg_isolation_regress: both are given the tests of a
# directory, compare with expected/, and say a line a test.  Sourced.

# run_pg_regress PROGRAM OUTPUT-NAME DATABASE TEST...
run_pg_regress() {
	local program=$1 name=$2 database=$3 test status=0
	local out=$scratch/$name lines=$scratch/out/$name.txt passed failed
	shift 3
	if [ $# = 0 ]; then
		report 0 0 0
		return
	fi
	fresh_server
	as_server mkdir -p "$out"
	# A test that nobody wrote down the result of yet fails, and no other.
	for test in "$@"; do
		[ -e "$scratch/src/expected/$test.out" ] || : | as_server_write "$scratch/src/expected/$test.out"
	done
	# Before 16 expected/ is looked for beside the tests (there is a link), from
	# 16 on in the current directory: this is both.
	cd "$scratch/src/test" || exit
	as_server "$pgxs_dir/$program" --bindir="$(pg_bindir)" --inputdir=. --outputdir="$out" \
		--host="$home" --port="$port" --user=postgres --dbname="$database" "$@" 2>&1 |
		tee "$lines" || status=$?

	# "test name ... ok  12 ms" up to 15, "ok 1 - name 12 ms" from 16 on.
	passed=$(grep -cE '^(ok [0-9]|test .* \.\.\. ok|     .* \.\.\. ok)' "$lines" || true)
	failed=$(grep -cE '^(not ok [0-9]|test .* \.\.\. .*FAILED|     .* \.\.\. .*FAILED)' "$lines" || true)
	if [ $((passed + failed)) -lt $# ]; then	# the rest did not come to an end
		failed=$(($# - passed))
	fi
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
	report "$passed" "$failed" 0
	if [ "$failed" != 0 ]; then
		cat "$out/regression.diffs" 2>/dev/null || true
		server_log
		cp -R "$out" "$state/check/$name"
		say "--- what came out: $state/check/$name/results"
	fi
	server_stop "$home"
}
