#!/bin/bash
#
# test/unit: C tests of the plain sources under the sanitizers, and tests in
# Python of formats and documents.  Run from the checkout itself, where
# ../shared/vectors is found if it is there.

. "$(dirname "$0")/lib.sh"

cd "$root"
out=.claiim/check/plain			# relative: make cannot do spaces
make -s -j2 -f tools/check/plain.mk OUT="$out" unit

tests=()
for file in test/unit/test_*.c; do
	[ -e "$file" ] || continue
	file=${file##*/}
	tests+=("$out/${file%.c}")
done
for file in test/unit/*.py; do
	# What has no execute bit or shebang is a module, not a test.
	[ -e "$file" ] && head -n 1 "$file" | grep -q '^#!' && tests+=("$file")
done
"$root/tools/check/tap.pl" "$result" 2 "$root/tools/check/unit-file.sh" -- "${tests[@]}"
