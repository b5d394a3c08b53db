#!/bin/bash
#
# May the agent do this, now?  Exit status 0: ALLOW.  1: DENY.  Anything else:
# no answer, and so no.
#
#   bash psql.sh AGENT ACTION TARGET && the action
#
# It connects as libpq would (PGHOST, PGUSER, ...).  A role that is bound to the
# agent needs no token.  A token in CLAIIM_TOKEN is bound as a parameter, which
# psql does from version 16 on: an older one does not ask at all.

set -uo pipefail
[ $# = 3 ] || { echo 'usage: bash psql.sh AGENT ACTION TARGET' >&2; exit 2; }

gate='SELECT outcome, chron_id, reason FROM pg_catalog.claiim_check'
answer=$({
	if [ -z "${CLAIIM_TOKEN+set}" ]; then
		printf '%s\n' "$gate(:'agent', :'action', :'target');"
	else
		printf '%s\n' '\getenv token CLAIIM_TOKEN' "$gate(\$1, \$2, \$3, token => \$4)" \
			"\\bind :agent :action :target :token \\g"
	fi
} | psql -X -q -A -t -F ' ' -v ON_ERROR_STOP=1 -v agent="$1" -v action="$2" -v target="$3") || exit 2
printf '%s\n' "$answer"
case $answer in
	'ALLOW '*) exit 0 ;;
	'DENY '*) exit 1 ;;
	*) exit 2 ;;
esac
