#!/bin/bash
#
# sdk/python: built as sdist and wheel by the standard tools, without a network;
# its types checked; then its tests, with the wheel installed by itself and the
# real extension in a private server, which they stop and start as they need.
#
# PYTHON is the system's own Python, which is the one that sees the
# distribution's modules.  With that one on Debian, where tools/install-deps.sh
# has installed all that they need, a test that is skipped has failed;
# CLAIIM_REQUIRE_ALL=0 lets it be.

. "$(dirname "$0")/lib.sh"

python=${PYTHON:-/usr/bin/python3}
require_all=0
[ -n "${PYTHON:-}" ] || ! command -v dpkg-query >/dev/null || require_all=1
export CLAIIM_REQUIRE_ALL=${CLAIIM_REQUIRE_ALL:-$require_all}
sdk=$scratch/src/sdk/python
out=$scratch/sdk
passed=0 failed=0 skipped=0
: >"$result.skipped"

as_server mkdir -p "$out/tmp"
run() {
	(cd "$sdk" && as_server env -u PYTHONPATH HOME="$out" TMPDIR="$out/tmp" LC_ALL=C.UTF-8 \
		PYTHONDONTWRITEBYTECODE=1 "$@")
}

# step NAME COMMAND...: one test.
step() {
	local name=$1
	shift
	if run "$@"; then
		say "ok - $name"
		passed=$((passed + 1))
	else
		say "not ok - $name"
		failed=$((failed + 1))
	fi
}

step 'sdist and wheel are built' "$python" -m build --no-isolation --outdir "$out/dist" .
step 'the wheel installs' "$python" -m pip install --quiet --no-index --no-deps --no-compile \
	--disable-pip-version-check --target "$out/site" --find-links "$out/dist" claiim
if [ "$CLAIIM_REQUIRE_ALL" = 1 ] || run "$python" -c 'import mypy' 2>/dev/null; then
	step 'the types are right' "$python" -m mypy --no-incremental --cache-dir /dev/null
else
	skipped=$((skipped + 1))
	say 'types: no mypy for this Python' >>"$result.skipped"
fi

if [ "$failed" = 0 ]; then
	fresh_server
	status=0
	run PYTHONPATH="$out/site" CLAIIM_TEST_HOME="$home" CLAIIM_TEST_DIST="$out/dist" \
		CLAIIM_TEST_SITE="$out/site" CLAIIM_TEST_RESULT="$out/result" PATH="$(pg_bindir):$PATH" \
		timeout --kill-after=10 800 "$python" -m pytest || status=$?
	if read -r p f s 2>/dev/null <"$out/result"; then
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
		cat "$out/result.skipped" >>"$result.skipped"
	else
		failed=$((failed + 1))
	fi
	if [ "$status" != 0 ]; then
		[ "$failed" != 0 ] || failed=1
		server_log
	fi
	server_stop "$home" immediate
fi
report "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
