#!/bin/bash
#
# In a chroot (tools/chroot.sh): another Debian release's server beside its own,
# to upgrade from.  Its packages are unpacked, not installed, for the two
# releases' libraries would not go together; those that this release has no
# longer are where the linker finds them, under their own names.
#
#   tools/old-server.sh MAJOR RELEASE		e.g. 15 bookworm; prints its pg_config

. "$(dirname "$0")/lib.sh"

major=$1 release=$2
[ -e /etc/claiim-chroot ] || die "only in a chroot of tools/chroot.sh"
to=/opt/postgresql-$major
pg_config=$to/usr/lib/postgresql/$major/bin/pg_config
if [ -e "$to/complete" ]; then
	say "$pg_config"
	exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed "s/^Suites: .*/Suites: $release/" /etc/apt/sources.list.d/debian.sources >"$work/old.sources"
mkdir -p "$work/lists/partial" "$work/debs"
chmod -R a+rx "$work"
chown _apt "$work/lists/partial" "$work/debs"
: >"$work/status"
old_apt() {
	"$@" -qq -o Dir::Etc::SourceList="$work/old.sources" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status"
}
old_apt apt-get update

fetch() { (cd "$work/debs" && old_apt apt-get download "$@"); }
unpack() {
	local deb
	for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$to"; done
	rm -f "$work"/debs/*.deb
}
# The server's libraries that are not known here.
missing() { ldd "$to/usr/lib/postgresql/$major/bin/postgres" | sed -n 's/^\s*\(\S*\) => not found$/\1/p'; }

rm -rf "$to"
mkdir -p "$to"
fetch "postgresql-$major" "postgresql-client-$major" "postgresql-server-dev-$major"
unpack
mapfile -t candidates < <(
	old_apt apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
		"postgresql-$major" | sed -n 's/^ *|\{0,1\}Depends: \(lib[a-z0-9.+-]*\)$/\1/p' | sort -u
)
for package in "${candidates[@]}"; do
	lacking=$(missing)
	[ -n "$lacking" ] || break
	! dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -x installed >/dev/null || continue
	fetch "$package"
	if dpkg-deb -c "$work/debs/${package}"_*.deb | grep -F "$lacking" >/dev/null; then
		unpack
		find "$to" -name '*.so.*' -path '*-linux-gnu*' -printf '%h\n' | sort -u >/etc/ld.so.conf.d/claiim-old-server.conf
		ldconfig
	fi
	rm -f "$work"/debs/*.deb
done
[ -z "$(missing)" ] || die "PostgreSQL $major of $release lacks libraries here: $(missing)"
: >"$to/complete"
say "$pg_config"
