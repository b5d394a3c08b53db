#!/bin/bash
#
# docker/ for real, where there is no Docker: the image is built from its
# Dockerfile by buildah, on a base that debootstrap makes of the distribution's
# packages (docker-image.sh), and run by podman behind docker-compose, as
# docker/README.md says (docker-run.sh), in namespaces that end with the suite.
#
# Slow at first: the base, the packages and the layers of the image, 2 GB, are
# kept for a month in .claiim/cache, or where CLAIIM_CACHE says.  A step of the
# Dockerfile is run again if it, or what it copies, has changed.  Containers are
# in the scratch directory, and go with it.  What cannot be fetched, or started on
# this machine, is a suite that is skipped, not one that fails.

. "$(dirname "$0")/lib.sh"

major=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
[ "$major" = 15 ] || skip "the image has PostgreSQL 15, and this run is for $major"
is_root || skip "images are built and run by root only"
command -v apt-get >/dev/null || skip "the base of the image is made by debootstrap: this is not a Debian system"
unshare --mount --pid --ipc --net --fork true 2>/dev/null || skip "this machine lets even root make no namespaces"
for program in buildah podman crun debootstrap docker-compose ip openssl; do
	command -v "$program" >/dev/null || skip "no $program here (tools/install-deps.sh docker)"
done

cache=${CLAIIM_CACHE:-$state/cache}
base=$cache/docker-base
images=$cache/docker-images
mkdir -p "$cache/docker-apt/partial"
exec 9>"$cache/docker.lock"
flock 9			# one at a time builds there

# Debian's mirror as this machine's apt has it, and how it may be fetched.
make_base() {
	local mirror
	mirror=$(apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		sed -n '/^Debian|main|/ { s/^[^|]*|[^|]*|//p; q }')
	[ -n "$mirror" ] || { say "apt knows no mirror of Debian's here"; return 1; }
	say "making a base by debootstrap"
	rm -rf "$base.new"
	eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
	case ${http_proxy:-DIRECT} in DIRECT) ;; *) export http_proxy ;; esac
	# In a namespace of its own, with which its mounts go, however it ends.
	timeout --kill-after=10 900 unshare --mount --pid --fork --kill-child --propagation private \
		debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
		bookworm "$base.new" "$mirror" || { rm -rf "$base.new"; return 1; }
	apt-config dump Acquire | grep -v '^Acquire::\(IndexTargets\|Changelogs\|CompressionTypes\|Languages\)' \
		>"$base.new/etc/apt/apt.conf.d/90claiim" || true
	printf 'force-unsafe-io\n' >"$base.new/etc/dpkg/dpkg.cfg.d/claiim"
	rm -rf "$base.new"/var/cache/apt/archives/*.deb "$base.new"/var/lib/apt/lists/*
	touch "$base.new/etc/debian_version"
	rm -rf "$base" "$images"
	mv "$base.new" "$base"
}
# Packages of a month ago are not what a user gets, but better than none.
[ -n "$(find "$base/etc/debian_version" -mtime -30 2>/dev/null)" ] || make_base || [ -e "$base/etc/debian_version" ] ||
	skip "debootstrap could not make the image's base: no mirror, or none that answers"

export base images packages=$cache/docker-apt containers=$scratch/containers
exec unshare --mount --pid --ipc --fork --kill-child --mount-proc --propagation private \
	"$root/tools/check/docker-image.sh"
