#!/bin/bash
#
# The second part of docker.sh, in namespaces of its own: the image is built of
# $base, with packages that are kept in $packages and layers in $images, and what
# is run of it is in $containers.

. "$(dirname "$0")/lib.sh"

mkdir -p "$containers/tmp"

# crun gives the container's user what is its standard input, be it /dev/null.
mknod -m 0666 "$containers/null" c 1 3
mount --bind "$containers/null" /dev/null
# What they note of networks and containers they note in a place of ours.
for dir in /run/containers /run/crun /run/libpod /var/lib/cni /var/lib/containers; do
	mkdir -p "$dir"
	mount -t tmpfs -o mode=0755 none "$dir"
done
mkdir -p /etc/cni/net.d
cp -R /etc/cni/net.d "$containers/networks"
mount --bind "$containers/networks" /etc/cni/net.d
# crun knows either kind of control groups, not both at once; we need none.
umount /sys/fs/cgroup/unified 2>/dev/null || true

# Layers are stacked where that is possible here, and those of the image kept;
# else they are copied, which is slow and takes room.
stackable() {
	local dir status=0
	mkdir -p "$1" && dir=$(mktemp -d "$1/try.XXXXXX") && mkdir "$dir/lower" "$dir/upper" "$dir/work" "$dir/merged" || return
	mount -t overlay -o "lowerdir=$dir/lower,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/merged" 2>/dev/null &&
		umount "$dir/merged" || status=1
	rm -rf "$dir"
	return "$status"
}
if stackable "$images" && stackable "$containers"; then
	driver=overlay
else
	driver=vfs
	rm -rf "$images"
	images=$containers/images
fi
# storage DIRECTORY [IMAGES]
storage() {
	printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n' "$driver" "$1" "$containers/run"
	[ -z "${2:-}" ] || printf '[storage.options]\nadditionalimagestores = ["%s"]\n' "$2"
} >"$containers/storage.conf"

# A container may not have more of anything than we may have ourselves.
limit() {
	local most
	most=$(ulimit -H "$2")
	[ "$most" != unlimited ] && [ "$most" -lt "$3" ] || most=$3
	printf '"%s=%s:%s"' "$1" "$most" "$most"
}
cat >"$containers/containers.conf" <<END
[containers]
cgroups = "disabled"
default_ulimits = [$(limit nofile -n 8192), $(limit nproc -u 16384)]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
image_copy_tmp_dir = "$containers/tmp"
tmp_dir = "$containers/tmp"
END
export CONTAINERS_STORAGE_CONF=$containers/storage.conf CONTAINERS_CONF=$containers/containers.conf
export BUILDAH_ISOLATION=chroot TMPDIR=$containers/tmp

say "building the image ($driver)"
began=$(now_ms)
storage "$images"
make_base() {
	local from
	from=$(buildah from scratch) &&
		buildah add --quiet "$from" "$base/" / &&
		buildah config --cmd bash "$from" &&
		buildah commit --quiet --rm "$from" localhost/base
}
build() {
	buildah rm --all >/dev/null &&
		{ buildah inspect --type image localhost/base >/dev/null || make_base; } &&
		# Slim images keep none of the packages that they install: ours are kept outside.
		timeout --kill-after=10 1200 buildah bud --layers --format docker --build-arg BASE=localhost/base \
			--volume "$packages:/var/cache/apt/archives" --file "$scratch/src/docker/Dockerfile" --tag claiim:0.1.0 "$scratch/src" ||
		{ [ $? != 124 ] || say "Failed to fetch all of it within 20 minutes"; return 1; }
}
built() { build >"$scratch/out/docker-build.log" 2>&1; }
# It may be that one that was killed left there what nobody can go on with.
again() {
	! grep -q 'building at STEP\|Failed to fetch' "$scratch/out/docker-build.log" && rm -rf "$images" && built
}
if ! built && ! again; then
	tail -n 100 "$scratch/out/docker-build.log"
	lost=$(grep -m 1 -E 'Failed to fetch|Could not (resolve|connect)|Unable to connect|Hash Sum mismatch' \
		"$scratch/out/docker-build.log" || true)
	[ -z "$lost" ] || skip "the image's packages could not be fetched: $lost"
	die "the image could not be built"
fi
say "built in $(seconds_since "$began")"
[ "$images" = "$containers/images" ] || storage "$containers/storage" "$images"

# From here on there is no network but the containers' own.
exec unshare --net "$root/tools/check/docker-run.sh"
