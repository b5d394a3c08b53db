#!/bin/bash
#
# test/t/*.pl: tests that make and break servers of their own, by PostgreSQL::Test.

. "$(dirname "$0")/lib.sh"

cd "$scratch/src"
# The longest ones first, so that none of them goes on alone at the end.  They
# wait for the disk and for each other more than they compute: one at a time more
# than there are processors.
jobs=$(($(nproc) < 8 ? $(nproc) + 1 : 8))
tests=()
for test in 014_maintenance 027_revocation 010_one_writer $(files_of test/t '*.pl'); do
	[ -e "test/t/$test.pl" ] || continue
	[[ " ${tests[*]} " = *" test/t/$test "* ]] || tests+=("test/t/$test")
done
out=$scratch/tap
as_server mkdir -p "$out/tmp"

# Up to 15 the module wants TESTDIR, from 16 on the other two.
status=0
as_server env \
	PATH="$(pg_bindir):$PATH" LANG=C.UTF-8 HOME="$out" TMPDIR="$out/tmp" \
	PERL5LIB="$pgxs_dir/src/test/perl:$scratch/src/test/t${PERL5LIB:+:$PERL5LIB}" \
	PG_REGRESS="$pgxs_dir/src/test/regress/pg_regress" \
	TESTDIR="$out" TESTDATADIR="$out/data" TESTLOGDIR="$out/log" \
	share_contrib_dir="$("$PG_CONFIG" --sharedir)/contrib" \
	PG_TEST_PORT_DIR="$out/portlock" PGPORT=65432 PG_CONFIG="$PG_CONFIG" \
	PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-120}" \
	tools/check/tap.pl "$result" "$jobs" timeout 600 perl -- "${tests[@]/%/.pl}" || status=$?

if [ "$status" != 0 ]; then
	mkdir -p "$state/check/tap"
	for log in "$out"/tmp_check/log/* "$out"/log/*; do
		[ -f "$log" ] || continue
		cp "$log" "$state/check/tap/"
		# They are named after the test: show those of the failed ones.
		while read -r file; do
			case ${log##*/} in
				"$(basename "$file" .pl)"_*.log | "regress_log_$(basename "$file" .pl)")
					say "--- the end of $state/check/tap/${log##*/}"
					tail -n 25 "$log"
					;;
			esac
		done <"$result.failed"
	done
fi
exit "$status"
