#!/bin/bash
#
# Keeps what a release leaves behind, so that updating from it can be tested for
# ever: its script, and what it recorded of a small world.
#
#   tools/keep-release.sh			sql/releases/claiim--VERSION.sql and .data.sql
#   tools/keep-release.sh --dump CONNECTION PG_DUMP FILE	only the second, of a database
#
# The dump is restored by every psql from 15 on: made by 15, without triggers, so
# that no code of claiim's runs in a database that is older than its library.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/server.sh"

# dump_data CONNECTION PG_DUMP: Chron's partitions, then all rows.  What every
# dump of the same has another of, \restrict's key, is left out.
dump_data() {
	{
		"$2" --no-owner --schema-only -d "$1" && "$2" --data-only --disable-triggers -d "$1"
	} | grep -v -e '^\\restrict ' -e '^\\unrestrict '
}

if [ "${1:-}" = --dump ]; then
	[ $# = 4 ] || die "usage: tools/keep-release.sh --dump CONNECTION PG_DUMP FILE"
	dump_data "$2" "$3" >"$4"
	exit
fi

version=$(sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" "$root/claiim.control")
"$root/tools/install-deps.sh" demo
"$root/tools/build.sh"
case $("$PG_CONFIG" --version) in
	'PostgreSQL 15'*) ;;
	*) die "a release is kept by PostgreSQL 15, whose dump every later one can read" ;;
esac
ensure_state
scratch=$(mktemp -d /tmp/claiim-keep.XXXXXX)
! is_root || chown "$server_user:" "$scratch"
home=$scratch/server
trap 'server_stop "$home" immediate || true; rm -rf "$scratch"' EXIT
home_usable "$home"
server_init "$home" postgres trust
server_start "$home" 5497
connection="host=$home port=5497 user=postgres dbname=postgres"
psql() { "$(pg_bindir)/psql" -Xq -v ON_ERROR_STOP=1 -d "$connection" "$@"; }
psql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION claiim CASCADE'
psql -f "$root/test/release/world.sql"

kept=$root/sql/releases/claiim--$version
mkdir -p "${kept%/*}"
cp "$root/claiim--$version.sql" "$kept.sql"
dump_data "$connection" "$(pg_bindir)/pg_dump" >"$kept.data.sql"
say "kept: ${kept#"$root"/}.sql and .data.sql"
