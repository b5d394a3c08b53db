#!/bin/bash
#
# cppcheck over src/.  A file is one test; a finding is silenced, if it must be,
# where it is, by a cppcheck-suppress comment that says why.

. "$(dirname "$0")/lib.sh"

cd "$root"
found=$scratch/out/cppcheck.txt
cppcheck -j2 --quiet --std=c11 --inline-suppr --enable=warning,portability,performance \
	--library=tools/check/cppcheck-postgres.cfg \
	-DPG_VERSION_NUM=150000 \
	--suppress=normalCheckLevelMaxBranches --suppress=missingIncludeSystem --suppress=unmatchedSuppression \
	--template='{file}:{line}: {severity}: {message} [{id}]' -Isrc src 2>&1 | tee "$found"

files=$(ls src/*.c | wc -l)
failed=$(sed -n 's/^\(src\/[^:]*\):[0-9]*: .*/\1/p' "$found" | sort -u | wc -l)
# Anything else that it says is trouble too.
[ "$failed" != 0 ] || [ ! -s "$found" ] || failed=1
passed=$((files - failed))
report $((passed > 0 ? passed : 0)) "$failed" 0
