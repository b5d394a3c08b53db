#!/bin/bash
#
# What the container runs, as the user postgres: makes the data directory if
# there is none, and becomes the server.
#
#   TOKEN_SECRET_FILE or TOKEN_SECRET	the secret under which tokens are digested;
#					at least 32 characters; must be given
#   POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD	at the first start: the password
#					of the superuser postgres; without one, that is
#					who is in the container only
#   PGDATABASE				at the first start: the database to make
#
# The file counts if both are given.  No secret is in the server's environment.

set -euo pipefail

# Before it is the server, a stop has nothing to save.
trap 'exit 130' INT TERM

say() { printf 'claiim: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# secret NAME: what was given for it, without the line's end.
secret() {
	local file=$1_FILE
	if [ -z "${!file:-}" ]; then
		printf '%s' "${!1:-}"
	elif [ -r "${!file}" ]; then
		printf '%s' "$(cat "${!file}")"
	else
		die "$file is ${!file}, which user $(id -u) cannot read: make it that user's"
	fi
}

[ "$(id -u)" != 0 ] || die "do not run it as root; the image's user is postgres"

# Anything but the server is run as it is.
case ${1:-postgres} in
	postgres) shift || true ;;
	-*) ;;
	*) exec "$@" ;;
esac

token_secret=$(secret TOKEN_SECRET)
password=$(secret POSTGRES_PASSWORD)
unset TOKEN_SECRET TOKEN_SECRET_FILE POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE

# A .env into which the command was copied, not what it prints, is everybody's secret.
case $token_secret in
	'') die "there is no token secret: set TOKEN_SECRET to what openssl rand -hex 32 prints, or TOKEN_SECRET_FILE to a file with that" ;;
	*[!A-Za-z0-9+/=_-]*) die "the token secret is not what openssl rand -hex 32 prints: it holds other characters" ;;
esac
[ ${#token_secret} -ge 32 ] || die "the token secret is too short: openssl rand -hex 32 prints a good one"
umask 077
rm -f /run/claiim/token_secret
printf '%s\n' "$token_secret" >/run/claiim/token_secret

volume=${PGDATA%/*}
[ -w "$volume" ] || die "user $(id -u) cannot write in $volume: give the volume to that user"

# Made beside its place and moved there when it is complete: a first start that
# is interrupted begins anew.  Meanwhile the server's socket is elsewhere.
if [ ! -e "$PGDATA" ]; then
	new=$volume/new
	say "first start: making database $PGDATABASE"
	rm -rf "$new"
	initdb -D "$new" -U postgres -E UTF8 --locale=C.UTF-8 --data-checksums \
		--auth-local=peer --auth-host=scram-sha-256 --no-instructions >/dev/null
	cp /etc/claiim/pg_hba.conf "$new/pg_hba.conf"
	printf "include '/etc/claiim/claiim.conf'\n" >>"$new/postgresql.conf"
	socket=$(mktemp -d /tmp/first.XXXXXX)
	pg_ctl -D "$new" -s -w -t 120 -o "-c listen_addresses='' -c unix_socket_directories='$socket'" start >&2
	# Through the environment, for anybody may read a command line.
	PASSWORD=$password psql -X -q -h "$socket" -U postgres -d postgres -v ON_ERROR_STOP=1 <<-'END'
		\getenv database PGDATABASE
		\getenv password PASSWORD
		SELECT :'database' <> 'postgres' AS another, :'password' <> '' AS may_log_in \gset
		\if :another
			CREATE DATABASE :"database";
		\endif
		\if :may_log_in
			ALTER ROLE postgres PASSWORD :'password';
		\endif
	END
	psql -X -q -h "$socket" -U postgres -v ON_ERROR_STOP=1 \
		-c 'SET client_min_messages = warning' -c 'CREATE EXTENSION claiim CASCADE'
	pg_ctl -D "$new" -s -w -t 120 -m fast stop >&2
	rmdir "$socket"
	mv "$new" "$PGDATA"
fi
unset password token_secret

exec postgres -D "$PGDATA" "$@"
