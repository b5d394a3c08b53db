#!/bin/bash
#
# test/specs/*.spec against expected/*.out: sessions whose steps interleave.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/pg_regress.sh"

mapfile -t tests < <(files_of test/specs '*.spec')
run_pg_regress src/test/isolation/pg_isolation_regress isolation claiim_isolation "${tests[@]}"
