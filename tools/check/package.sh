#!/bin/bash
#
# The Debian package, as a user makes it: from the release's tarball, for the
# server that is here, by dpkg-buildpackage, which runs the SQL and isolation
# tests on what it has packed.

. "$(dirname "$0")/lib.sh"

major=$("$PG_CONFIG" --version)
major=${major#* }
major=${major%%[!0-9]*}
passed=0 failed=0 skipped=0

skip() {
	skipped=$((skipped + 1))
	say "$*" >>"$result.skipped"
}

# test_that SENTENCE COMMAND...
test_that() {
	local sentence=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		say "ok - $sentence"
	else
		failed=$((failed + 1))
		say "not ok - $sentence"
	fi
}

cannot=
for program in dpkg-buildpackage dh pg_buildext pg_virtualenv; do
	command -v "$program" >/dev/null || cannot="no $program here (tools/install-deps.sh package)"
done
if [ -z "$cannot" ] && [ "$(dirname "$("$PG_CONFIG" --bindir)")" != "/usr/lib/postgresql/$major" ]; then
	cannot="the server of $PG_CONFIG is not Debian's"
fi
if [ -z "$cannot" ] && ! missing=$(dpkg-checkbuilddeps "$root/debian/control" 2>&1); then
	cannot="${missing##*error: } (tools/install-deps.sh package)"
fi
if [ -n "$cannot" ]; then
	skip "the Debian package: $cannot"
	report 0 0 1
	exit
fi

work=$scratch/package
version=$(sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" "$root/claiim.control")
source=$work/claiim-$version
package=postgresql-$major-claiim
mkdir -p "$work"
cd "$work"

unpack() {
	"$root/tools/dist.sh" --worktree "$work" &&
		mv "claiim-$version.tar.gz" "claiim_$version.orig.tar.gz" &&
		tar -xzf "claiim_$version.orig.tar.gz"
}
build() {
	(
		cd "$source"
		export PG_SUPPORTED_VERSIONS=$major
		# What is in debian/control is for Debian 12's own server.
		pg_buildext updatecontrol &&
			dpkg-buildpackage -us -uc
	)
}
control_is_current() {
	(cd "$root" && sed 's/PGVERSION/15/g' debian/control.in | diff - debian/control)
}
# files_below DIRECTORY: its files, one a line, documentation apart.
files_below() { (cd "$1" && find . -type f ! -path './usr/share/doc/*' | sort); }
same_files() {
	dpkg-deb -x "${package}_$version"-*.deb "$work/packed" &&
		make -s -C "$root" --no-print-directory PG_CONFIG="$PG_CONFIG" WERROR=1 install DESTDIR="$work/installed" &&
		diff <(files_below "$work/installed") <(files_below "$work/packed") &&
		diff -r "$work/installed$("$PG_CONFIG" --sharedir)" "$work/packed$("$PG_CONFIG" --sharedir)"
}
has_documents() {
	local file
	for file in README.md.gz changelog.gz copyright examples/verify_chron.py examples/export_chron.sql doc/dba.md.gz; do
		[ -s "$work/packed/usr/share/doc/$package/$file" ] || { say "missing: $file"; return 1; }
	done
}
# The very files of the package, in a server that has no other claiim.
works() {
	local PG_CONFIG
	PG_CONFIG=$("$root/tools/check/copy-server.sh" "$work/server") || return
	cp -R "$work/packed/." "$work/server/" || return
	export PG_CONFIG
	fresh_server || return
	as_server "$(pg_bindir)/psql" -XAtq -v ON_ERROR_STOP=1 >"$work/answer" <<-'EOSQL' || { server_log; return 1; }
		SET client_min_messages = warning;
		CREATE EXTENSION claiim CASCADE;
		SELECT extversion FROM pg_extension WHERE extname = 'claiim';
		SELECT outcome FROM claiim_check('nobody', 'deploy:staging', 'api-v2');
		SELECT ok FROM claiim.verify();
	EOSQL
	server_stop "$home"
	diff - "$work/answer" <<-EOF
		$version
		DENY
		t
	EOF
}
no_errors() { lintian --allow-root --fail-on error "claiim_$version"-*.changes; }

test_that 'make dist makes a tarball of the tree' unpack
test_that 'debian/control is what debian/control.in makes for PostgreSQL 15' control_is_current
test_that 'dpkg-buildpackage builds it, and the tests pass on what it packed' build
test_that 'the package has the files that make install installs' same_files
test_that '... and the documents' has_documents
test_that '... and is all that a server needs to have a gate that answers' works
if command -v lintian >/dev/null; then
	test_that 'lintian finds no error' no_errors
else
	skip 'lintian is not here (tools/install-deps.sh package)'
fi
report "$passed" "$failed" "$skipped"
