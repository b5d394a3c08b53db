#!/bin/bash
#
# A copy of the server that is here, without claiim, in which another claiim is
# put, and which anybody may write to: a server finds its files by where its
# program is.  What it does not have of its own are links.
#
#   tools/check/copy-server.sh DIRECTORY	DIRECTORY/usr/lib/postgresql/15/bin, and so on
#
# Prints where its pg_config is.

set -euo pipefail
PG_CONFIG=${PG_CONFIG:-pg_config}
to=$1

bindir=$("$PG_CONFIG" --bindir)
libdir=$("$PG_CONFIG" --pkglibdir)
sharedir=$("$PG_CONFIG" --sharedir)
headers=$("$PG_CONFIG" --pkgincludedir)

# links FROM: to all in FROM that is not claiim's.
links() {
	mkdir -p "$to$1"
	find "$1" -mindepth 1 -maxdepth 1 ! -name 'claiim*' -exec ln -sfn -t "$to$1" {} +
}

mkdir -p "$to$bindir"
cp "$bindir"/* "$to$bindir"
links "$libdir"
links "$sharedir"
rm "$to$sharedir/extension"
links "$sharedir/extension"
mkdir -p "$to${headers%/*}"
ln -sfn "$headers" "$to$headers"
printf '%s\n' "$to$bindir/pg_config"
