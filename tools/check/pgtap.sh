#!/bin/bash
#
# test/pgtap/*.sql, each in a new database of a new server, so that neither
# roles nor settings nor a registry of one file meet another.

. "$(dirname "$0")/lib.sh"

cd "$scratch/src"
mapfile -t tests < <(files_of test/pgtap '*.sql')
tests=("${tests[@]/#/test/pgtap/}")
pristine_server
"$root/tools/check/tap.pl" "$result" 2 "$root/tools/check/pgtap-file.sh" -- "${tests[@]/%/.sql}"
