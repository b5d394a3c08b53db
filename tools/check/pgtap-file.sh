#!/bin/bash
#
# One pgTAP file: its server, its database, its psql, its TAP on standard output.

. "$(dirname "$0")/lib.sh"

name=$(basename "$1" .sql)
home=$scratch/pgtap-$name		# two at a time
fresh_server >&2
as_server "$(pg_bindir)/createdb" "$name"
status=0
as_server "$(pg_bindir)/psql" --no-psqlrc --quiet --no-align --tuples-only --pset pager=off \
	--set ON_ERROR_STOP=1 --dbname "$name" --file "$1" || status=$?
[ "$status" = 0 ] || server_log 20 >&2
server_stop "$home" >&2
exit "$status"
