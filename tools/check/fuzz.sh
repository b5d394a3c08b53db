#!/bin/bash
#
# test/fuzz: each target, run without arguments from the checkout, feeds itself
# with the same short run of inputs every time (fuzz_main.c), under
# the sanitizers.  A target is one test.

. "$(dirname "$0")/lib.sh"

cd "$root"
out=.claiim/check/plain			# relative: make cannot do spaces
make -s -j2 -f tools/check/plain.mk OUT="$out" fuzz

passed=0 failed=0
for file in test/fuzz/fuzz_*.c; do
	target=$(basename "$file" .c)
	[ -e "$file" ] && [ "$target" != fuzz_main ] || continue
	if timeout 120 "$out/$target"; then
		passed=$((passed + 1))
	else
		say "FAILED: $target, status $?"
		failed=$((failed + 1))
	fi
done
report "$passed" "$failed" 0
