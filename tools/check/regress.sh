#!/bin/bash
#
# test/sql/*.sql against expected/*.out, in the order of their names, in one
# database: the first that needs the extension creates it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/pg_regress.sh"

mapfile -t tests < <(files_of test/sql '*.sql')
run_pg_regress src/test/regress/pg_regress regress claiim_regress "${tests[@]}"
