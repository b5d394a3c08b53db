#!/bin/bash
#
# Another release of Debian in a directory: how it is made, kept and entered.
#
#   tools/chroot.sh make NAME RELEASE	unless it is there: a minute or two
#   tools/chroot.sh run NAME COMMAND...	as root in it, standard input closed
#   tools/chroot.sh path NAME		where it is
#   tools/chroot.sh remove		all of them
#
# They are kept in .claiim/cache, or where CLAIIM_CACHE says, so that a second
# use costs nothing.  The mirror, its proxy and whom to believe are what this
# machine's own apt is configured with; nothing of it is written down here.
#
# A command sees its own processes, mounts, /proc, /dev and /dev/shm, and when
# it ends nothing that it started goes on.  It is no prison.

. "$(dirname "$0")/lib.sh"

cache=${CLAIIM_CACHE:-$state/cache}
usage() { die "usage: tools/chroot.sh make NAME RELEASE | run NAME COMMAND... | path NAME | remove"; }

may_make() {
	is_root || die "another release is set up and entered by root only: run this as root"
	command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
		die "another release is installed by debootstrap from Debian's own mirror: this is not a Debian system"
	unshare --mount --pid --ipc --fork true 2>/dev/null ||
		die "this machine lets even root make no namespaces (unshare --mount --pid --ipc): a container needs more rights for that"
}

# The mirror that Debian's own packages come from here; security has another.
mirror() {
	apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n '/^Debian|main|\(http\|https\|ftp\|file\):/ { s/^[^|]*|[^|]*|//p; q }'
}

# apt_setting NAME: its value here, or nothing.
apt_setting() {
	local value=
	eval "$(apt-config shell value "$1")"
	printf '%s\n' "$value"
}

# What a download in there needs of this machine's configuration: how apt may
# fetch (proxy, retries, certificates), names, and who signs for whom.
copy_network() {
	local to=$1 file
	mkdir -p "$to/etc/apt/apt.conf.d" "$to/etc/apt/auth.conf.d"
	apt-config dump Acquire | grep -v '^Acquire::\(IndexTargets\|Changelogs\|CompressionTypes\|Languages\)' \
		>"$to/etc/apt/apt.conf.d/90claiim" || true
	for file in /etc/resolv.conf /etc/hosts; do
		[ ! -e "$file" ] || cp -L "$file" "$to$file"
	done
	for file in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do
		[ ! -f "$file" ] || install -m 0600 "$file" "$to$file"
	done
	if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
		mkdir -p "$to/etc/ssl/certs"
		[ -e "$to/etc/ssl/certs/ca-certificates.crt" ] ||
			cp /etc/ssl/certs/ca-certificates.crt "$to/etc/ssl/certs/"
	fi
}

make_chroot() {
	local name=$1 release=$2 dir=$cache/$1 from script keyring proxy
	may_make
	if [ -e "$dir/etc/claiim-chroot" ]; then
		[ "$(cat "$dir/etc/claiim-chroot")" = "$release" ] ||
			die "$dir is $(cat "$dir/etc/claiim-chroot"), not $release: make clean-cache removes it"
		copy_network "$dir"
		return
	fi
	"$root/tools/install-deps.sh" chroot
	from=$(mirror)
	if [ -z "$from" ]; then
		apt-get -qq -o DPkg::Lock::Timeout=300 update
		from=$(mirror)
	fi
	[ -n "$from" ] || die "apt knows no mirror of Debian's that debootstrap can use (apt-get indextargets)"

	# A release younger than this debootstrap is made as unstable is.
	script=/usr/share/debootstrap/scripts/$release
	[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keyring" ] || die "$keyring is missing: install debian-archive-keyring"
	proxy=$(apt_setting Acquire::http::Proxy)
	case $proxy in '' | DIRECT) ;; *) export http_proxy=$proxy ;; esac

	say "Making a chroot of Debian $release in $dir: a minute or two"
	rm -rf "$dir" "$dir.new"
	mkdir -p "$dir.new"
	chmod 0755 "$dir.new"
	# In a namespace of its own, with which its mounts go, however it ends.
	if ! unshare --mount --pid --fork --kill-child --propagation private \
		debootstrap --variant=minbase --keyring="$keyring" "$release" "$dir.new" "$from" "$script" \
		>"$cache/$name.log" 2>&1 </dev/null; then
		tail -n 20 "$cache/$name.log" "$dir.new/debootstrap/debootstrap.log" >&2 2>/dev/null || true
		die "debootstrap could not make $release (all of it: $cache/$name.log)"
	fi
	printf '%s\n' 'Types: deb' "URIs: $from" "Suites: $release" 'Components: main' \
		"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" >"$dir.new/etc/apt/sources.list.d/debian.sources"
	rm -f "$dir.new/etc/apt/sources.list"
	copy_network "$dir.new"
	# No package starts a server in there, and none needs its documentation.
	printf '#!/bin/sh\nexit 101\n' >"$dir.new/usr/sbin/policy-rc.d"
	chmod 0755 "$dir.new/usr/sbin/policy-rc.d"
	printf '%s\n' 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/locale/*' \
		>"$dir.new/etc/dpkg/dpkg.cfg.d/claiim"
	printf '%s\n' 'Acquire::Languages "none";' 'APT::Install-Recommends "false";' \
		'DPkg::Options:: "--force-unsafe-io";' 'Dir::Cache::pkgcache "";' 'Dir::Cache::srcpkgcache "";' \
		>"$dir.new/etc/apt/apt.conf.d/80claiim"
	rm -rf "$dir.new/var/cache/apt/archives"/*.deb
	printf '%s\n' "$release" >"$dir.new/etc/claiim-chroot"
	mv "$dir.new" "$dir"
}

run_in() {
	local dir=$cache/$1
	shift
	may_make
	[ -e "$dir/etc/claiim-chroot" ] || die "no chroot $dir: make it first"
	# --kill-child: when we are ended, so is all in there.
	exec unshare --mount --pid --ipc --uts --fork --kill-child --propagation private \
		bash -c '
		set -e
		dir=$1
		shift
		mount --bind "$dir" "$dir"
		mount -t proc -o nosuid,nodev,noexec proc "$dir/proc"
		mount -t tmpfs -o mode=0755,nosuid dev "$dir/dev"
		for node in null zero full random urandom tty; do
			: >"$dir/dev/$node"
			mount --bind "/dev/$node" "$dir/dev/$node"
		done
		mkdir -m 1777 "$dir/dev/shm"
		mount -t tmpfs -o mode=1777,nosuid,nodev shm "$dir/dev/shm"
		mkdir "$dir/dev/pts"
		mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$dir/dev/pts"
		ln -s pts/ptmx "$dir/dev/ptmx"
		ln -s /proc/self/fd "$dir/dev/fd"
		ln -s /proc/self/fd/0 "$dir/dev/stdin"
		ln -s /proc/self/fd/1 "$dir/dev/stdout"
		ln -s /proc/self/fd/2 "$dir/dev/stderr"
		# Not chroot, in which no user namespace can be made, as tests do.
		cd "$dir"
		pivot_root . .
		umount -l .
		exec chroot . /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
			"$@"' claiim-chroot "$dir" "$@" </dev/null
}

case ${1:-} in
	make) [ $# = 3 ] || usage; make_chroot "$2" "$3" ;;
	run) [ $# -ge 3 ] || usage; shift; run_in "$@" ;;
	path) [ $# = 2 ] || usage; say "$cache/$2" ;;
	remove)
		[ ! -e "$cache" ] || is_root || die "what is in $cache belongs to root"
		rm -rf --one-file-system "$cache"
		;;
	*) usage ;;
esac
