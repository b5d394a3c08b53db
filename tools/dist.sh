#!/bin/bash
#
# The release as it is handed out: claiim-VERSION.tar.gz, and .zip for PGXN.
#
#   tools/dist.sh [DIRECTORY]		of the commit that is checked out; dist/ by default
#   tools/dist.sh --worktree DIRECTORY	of the files as they are, for tests: .tar.gz only
#
# The same commit gives the same bytes.  What is left out: .gitattributes.

. "$(dirname "$0")/lib.sh"

worktree=
if [ "${1:-}" = --worktree ]; then
	worktree=yes
	shift
fi
out=${1:-$root/dist}
version=$(sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" "$root/claiim.control")
name=claiim-$version
mkdir -p "$out"
out=$(cd "$out" && pwd -P)

# A checkout that belongs to another user is read all the same: sudo make check.
in_git() { git -c safe.directory="$root" -C "$root" "$@"; }
have_git() { command -v git >/dev/null && [ "$(in_git rev-parse --show-toplevel 2>/dev/null)" = "$root" ]; }

if [ -n "$worktree" ] && ! have_git; then
	# An unpacked release, or a copy: all but what was built in it.
	tar -C "$root" -czf "$out/$name.tar.gz" --transform="s,^\./,$name/," \
		--exclude-vcs --exclude=./.claiim --exclude=./dist --exclude=./.ci --exclude='*.o' --exclude='*.so' \
		--exclude='./claiim--*.sql' --exclude=./src/.flags --exclude=__pycache__ .
	exit
fi
have_git || die "a release is made from a git checkout, and $root is none"
if [ -n "$worktree" ]; then
	index=$(mktemp -u)
	trap 'rm -f "$index" "$index.lock"' EXIT
	export GIT_INDEX_FILE=$index
	in_git read-tree HEAD
	in_git add --all .
	tree=$(in_git write-tree)
	in_git archive --format=tar.gz --prefix="$name/" -o "$out/$name.tar.gz" "$tree"
	exit
fi
[ -z "$(in_git status --porcelain)" ] ||
	die "there are changes that are not committed: a release is made of a commit"
for format in tar.gz zip; do
	in_git archive --format="$format" --prefix="$name/" -o "$out/$name.$format" HEAD
	say "$out/$name.$format"
done
