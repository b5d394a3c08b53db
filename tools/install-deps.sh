#!/bin/bash
#
# Installs what claiim needs from the distribution's own packages, and nothing
# that is there already.
#
#   tools/install-deps.sh [build|demo|all|package|chroot|docker] [MAJOR]
#
# build: to compile and link.  demo: and to run a server.  all: and to test.
# package: to make a Debian package (make check leaves that out where it cannot).
# chroot: to make another release of Debian, and nothing else.  docker: to build
# and run the image without Docker, and nothing else.  MAJOR is the server's
# where none is there yet; the distribution's own by default.
# Without root it only says what is missing.  Where everything is there, it
# asks dpkg once and is done.
#
# Installing a server on Debian makes and starts a cluster on port 5432, which
# nobody asked for: that is switched off while we install, and so is starting
# whatever else comes as a service (PgBouncer).  Clusters and services that exist
# are none of our business.

. "$(dirname "$0")/lib.sh"

what=${1:-all}
dropin=/etc/postgresql-common/createcluster.d/claiim-no-cluster.conf
policy=/usr/sbin/policy-rc.d		# Debian's: may a package start its service?

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	missing=()
	for program in "$PG_CONFIG" cc make; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	[ ${#missing[@]} = 0 ] ||
		die "not a Debian system, and these are missing: ${missing[*]}"
	say "not a Debian system: assuming that the packages named in tools/install-deps.sh are there"
	exit 0
fi

# The major version: of the server headers that are here, else the
# distribution's own.
own_server=
pg_major() {
	local version
	if [ -f "$("$PG_CONFIG" --pgxs 2>/dev/null)" ]; then
		version=$("$PG_CONFIG" --version)
		version=${version#* }
		printf '%s\n' "${version%%[!0-9]*}"
	else
		{ apt-cache depends postgresql 2>/dev/null || true; } |
			sed -n 's/^ *|\{0,1\}Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
	fi
}

updated=
apt_update() {
	[ -z "$updated" ] || return 1
	updated=yes
	say "  apt-get update"
	# It waits for nobody, and a machine that has just started updates its lists itself.
	local said try
	for try in {1..30}; do
		said=$(apt-get -qq -o DPkg::Lock::Timeout=300 update 2>&1 </dev/null) && return
		[[ $said = *'Could not get lock'* ]] || break
		[ "$try" = 30 ] || sleep 10
	done
	say "$said" >&2
	return 1
}

major=$(pg_major)
[ ! -f "$("$PG_CONFIG" --pgxs 2>/dev/null)" ] && [ -n "${2:-}" ] && major=$2
if [ -z "$major" ]; then
	is_root || die "package postgresql is unknown here; run as root: apt-get update && tools/install-deps.sh $what"
	apt_update
	major=$(pg_major)
	[ -n "$major" ] || die "this distribution has no package postgresql"
fi
case $("$PG_CONFIG" --bindir 2>/dev/null) in
	'' | /usr/lib/postgresql/* | /usr/bin) ;;
	*) own_server=yes ;;		# built from source: it is as its owner wants it
esac

wanted=(gcc libc6-dev make libyaml-dev libssl-dev)
[ -n "$own_server" ] || wanted+=("postgresql-server-dev-$major")
if [ "$what" != build ]; then
	[ -n "$own_server" ] || wanted+=("postgresql-$major" "postgresql-client-$major")
	wanted+=(openssl)
fi
if [ "$what" = all ]; then
	[ -n "$own_server" ] || wanted+=("postgresql-$major-pgtap")
	wanted+=(perl libipc-run-perl python3 cppcheck libpq-dev pgbouncer libpostgresql-jdbc-java)
	# sdk/python: what it is built by, needs, and is tested with.
	wanted+=(python3-build python3-setuptools python3-wheel python3-pip python3-psycopg python3-pytest python3-mypy)
fi
[ "$what" != package ] || wanted+=(build-essential debhelper postgresql-server-dev-all lintian)
[ "$what" != chroot ] || wanted=(debootstrap debian-archive-keyring)
[ "$what" != docker ] || wanted=(buildah podman crun debootstrap debian-archive-keyring docker-compose iproute2 openssl)

# missing_packages: the wanted ones that are not installed, one a line.
missing_packages() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
		sed -n 's/^installed //p' | sort -u |
		comm -13 - <(printf '%s\n' "${wanted[@]}" | sort -u)
}

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -gt 0 ] || exit 0

if ! is_root; then
	say "These packages are missing: ${missing[*]}" >&2
	say "Install them as root:  apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi

say "Installing ${#missing[@]} packages from the distribution, and what they need: half a minute, or more on a slow line:"
say "  ${missing[*]}" | fold -s -w 100 | sed '2,$s/^/  /'
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log" "$dropin"' EXIT
mkdir -p "${dropin%/*}"
say "create_main_cluster = false" >"$dropin"
if [ ! -e "$policy" ]; then
	trap 'rm -f "$log" "$dropin" "$policy"' EXIT
	printf '#!/bin/sh\n# Made by claiim, for a moment.\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
fi

has_candidates() {
	local package
	for package in "${missing[@]}"; do
		apt-cache policy "$package" 2>/dev/null | grep '^ *Candidate: *[0-9]' >/dev/null || return 1
	done
}

# apt_install [OPTION]: the missing packages.
apt_install() {
	apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		install --no-install-recommends "$@" "${missing[@]}" >"$log" 2>&1 </dev/null
}

install_missing() {
	say "  downloading"
	apt_install --download-only || return
	say "  unpacking and configuring"
	apt_install
}

has_candidates || apt_update || true
if ! install_missing; then
	# Old lists name files that the mirror no longer has.
	if ! apt_update || ! install_missing; then
		tail -n 40 "$log" >&2
		die "apt-get could not install: ${missing[*]}"
	fi
fi

# Nor at the next boot.
for package in "${missing[@]}"; do
	case $package in
		pgbouncer) services=(pgbouncer.service) ;;
		podman) services=(podman.socket podman.service podman-restart.service podman-auto-update.timer) ;;
		*) continue ;;
	esac
	systemctl --quiet disable "${services[@]}" 2>/dev/null || true
done

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] || die "still missing after installation: ${missing[*]}"
