#!/bin/bash
#
# make check on another server version, that of another release of Debian: in a
# chroot of its own, which is kept, from a copy of this checkout.  There is a
# PostgreSQL 15 in it as well, to upgrade from.
#
#   tools/check-pg.sh MAJOR RELEASE [SUITE...]	e.g. 17 trixie tap
#
# Returns what make check returns.  Its logs are in .claiim/check-pgMAJOR/.

. "$(dirname "$0")/lib.sh"

[ $# -ge 2 ] || die "usage: tools/check-pg.sh MAJOR RELEASE [SUITE...]"
major=$1 release=$2
shift 2
name=pg$major
chroot=$root/tools/chroot.sh
copy=/root/claiim
is_root || die "another release is set up and entered by root only: run this as root"
ensure_state
logs=$state/check-$name

dir=$("$chroot" path "$name")

# One at a time in it.
mkdir -p "${dir%/*}"
exec 9>"$dir.lock"
flock --nonblock 9 || { say "waiting for another check in $dir"; flock 9; }
"$chroot" make "$name" "$release" 9>&-

# inside COMMAND...: in the background, so that a signal to us ends it at once,
# and with it all that it has started in there.
running=
inside() {
	"$chroot" run "$name" "$@" 9>&- &
	running=$!
	local status=0
	wait "$running" || status=$?
	running=
	return "$status"
}
interrupted() {
	trap '' INT TERM HUP
	[ -z "$running" ] || kill -KILL "$running" 2>/dev/null || true
	exit "$1"
}
trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP

# What one that was interrupted left behind
rm -rf "${dir:?}"/tmp/*
rm -rf "${dir:?}$copy" "$logs"
mkdir -p "$dir$copy"
tar -C "$root" -cf - --exclude=./.git --exclude=./.claiim --exclude='*.o' --exclude='*.so' . |
	tar -C "$dir$copy" -xf - --no-same-owner
# What it installs is the release's own server: it must be the one that is meant.
inside "$copy/tools/install-deps.sh" all "$major"
inside "$copy/tools/install-deps.sh" package
inside "$copy/tools/old-server.sh" 15 bookworm >"$state/$name.old"
inside pg_config --version >"$state/$name.version"
old=$(cat "$state/$name.old")
found=$(cat "$state/$name.version")
rm "$state/$name.old" "$state/$name.version"
case $found in
	"PostgreSQL $major"[!0-9]*) ;;
	*) die "Debian $release has $found, and $major was asked for" ;;
esac
say "Debian $(cat "$dir/etc/debian_version"), $found"

fetch_logs() {
	[ ! -d "$dir$copy/.claiim/check" ] || cp -R "$dir$copy/.claiim/check" "$logs"
	[ -n "${KEEP:-}" ] || rm -rf "${dir:?}$copy"
}
trap fetch_logs EXIT

status=0
settings=(CLAIIM_OLD_PG_CONFIG="$old")
for variable in KEEP CLAIIM_TEST_SEED PG_TEST_TIMEOUT_DEFAULT PGISOLATIONTIMEOUT; do
	[ -z "${!variable:-}" ] || settings+=("$variable=${!variable}")
done
inside env -C "$copy" "${settings[@]}" tools/check.sh "$@" || status=$?
[ "$status" = 0 ] || say "Its logs: $logs"
exit "$status"
