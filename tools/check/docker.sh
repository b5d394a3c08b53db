#!/bin/bash
#
# docker/ for real, where there is no Docker: the image is built from its
# Dockerfile by buildah, on a base that debootstrap makes of the distribution's
# packages (docker-image.sh), and run by podman behind docker-compose, as
# docker/README.md says (docker-run.sh), in namespaces that end with the suite.
#
# Slow at first: the base and the packages are fetched once, and kept in
# .claiim/cache, or where CLAIIM_CACHE says.  Containers and images are in the
# scratch directory, and go with it.

. "$(dirname "$0")/lib.sh"

major=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
[ "$major" = 15 ] || skip "the image has PostgreSQL 15, and this run is for $major"
is_root || skip "images are built and run by root only"
command -v apt-get >/dev/null || skip "the base of the image is made by debootstrap: this is not a Debian system"
unshare --mount --pid --ipc --net --fork true 2>/dev/null || skip "this machine lets even root make no namespaces"
"$root/tools/install-deps.sh" docker || skip "buildah, podman, debootstrap or docker-compose could not be installed"

cache=${CLAIIM_CACHE:-$state/cache}
base=$cache/docker-base
mkdir -p "$cache/docker-apt/partial"

# Debian's mirror as this machine's apt has it, and how it may be fetched.
make_base() {
	local mirror
	mirror=$(apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		sed -n '/^Debian|main|/ { s/^[^|]*|[^|]*|//p; q }')
	[ -n "$mirror" ] || skip "apt knows no mirror of Debian's here"
	say "making a base by debootstrap"
	rm -rf "$base" "$base.new"
	eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
	case ${http_proxy:-DIRECT} in DIRECT) ;; *) export http_proxy ;; esac
	debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
		bookworm "$base.new" "$mirror" || die "debootstrap failed"
	apt-config dump Acquire | grep -v '^Acquire::\(IndexTargets\|Changelogs\|CompressionTypes\|Languages\)' \
		>"$base.new/etc/apt/apt.conf.d/90claiim" || true
	printf 'force-unsafe-io\n' >"$base.new/etc/dpkg/dpkg.cfg.d/claiim"
	rm -rf "$base.new"/var/cache/apt/archives/*.deb "$base.new"/var/lib/apt/lists/*
	mv "$base.new" "$base"
}
[ -e "$base/etc/debian_version" ] || make_base

export base packages=$cache/docker-apt containers=$scratch/containers
exec unshare --mount --pid --ipc --fork --kill-child --mount-proc --propagation private \
	"$root/tools/check/docker-image.sh"
