# shellcheck shell=bash
#
# What the tools share: where things are, who runs the server, how we speak.
# Sourced by every other script here; does nothing by itself.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
state=$root/.claiim				# everything that the tools make, none of it in git
export PG_CONFIG=${PG_CONFIG:-pg_config}

# The user's own connection settings and language must not leak into what we
# start, compare or parse; neither must make's flags into a make of ours.
# shellcheck disable=SC2046
unset $(compgen -e | grep -E '^PG' | grep -vE '^(PG_CONFIG|PGISOLATIONTIMEOUT|PG_TEST_)') || true
unset MAKEFLAGS MFLAGS MAKELEVEL LANGUAGE LANG CDPATH
export LC_ALL=C
umask 022

say() { printf '%s\n' "$*"; }
die() { printf 'claiim: %s\n' "$*" >&2; exit 1; }

# The default one may still have to be installed; one that was named is there.
[ "$PG_CONFIG" = pg_config ] || command -v "$PG_CONFIG" >/dev/null ||
	die "$PG_CONFIG not found: install the PostgreSQL server headers (Debian: postgresql-server-dev-15 on 12, postgresql-server-dev-17 on 13; or run tools/install-deps.sh build) or say where with PG_CONFIG=/path/to/pg_config"

is_root() { [ "$(id -u)" = 0 ]; }

# initdb and postgres refuse root: as root, they run as this user.
if is_root; then
	server_user=${CLAIIM_SERVER_USER:-postgres}
else
	server_user=$(id -un)
fi

# as_server COMMAND...: run it as the server's user.
as_server() {
	if is_root; then
		setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --init-groups "$@"
	else
		"$@"
	fi
}

# The server's programs: not all of them are on PATH.
pg_bindir() { "$PG_CONFIG" --bindir; }

have_server() { [ -x "$("$PG_CONFIG" --bindir 2>/dev/null)/postgres" ]; }

random_hex() { od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# ensure_state: .claiim/, which the server's user may walk through, not list.
ensure_state() {
	{ mkdir -p "$state" && chmod 0711 "$state"; } 2>/dev/null ||
		die "$state is somebody else's, or cannot be made by $(id -un): take a checkout of your own"
}

now_ms() { date +%s%3N; }

# seconds_since MS
seconds_since() {
	local ms=$(($(now_ms) - $1))
	printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}
