#!/bin/bash
#
# The third part of docker.sh: the image is there, and docker/README.md's steps
# are taken with it.  A test is a line.

. "$(dirname "$0")/lib.sh"
set +e		# what fails is a test that fails

passed=0 failed=0 last=$(now_ms)
# ok NAME COMMAND...: what it says is shown if it fails; and the time since the
# one before.
ok() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
		say "ok - $name   $(seconds_since "$last")"
	else
		failed=$((failed + 1))
		say "not ok - $name"
		printf '%s\n' "$said" | sed 's/^/    /'
	fi
	last=$(now_ms)
}
is() { [ "$1" = "$2" ] || { printf 'seen:     %s\nexpected: %s\n' "$1" "$2"; return 1; }; }
like() { [[ $1 =~ $2 ]] || { printf 'seen:     %s\nexpected: %s\n' "$1" "$2"; return 1; }; }
finish() {
	report "$passed" "$failed" 0
	exit $((failed > 0))
}

ip link set lo up

# "docker compose", of Debian's docker-compose, and the rest of podman, which
# also plays the server for it.
mkdir -p "$containers/bin"
cat >"$containers/bin/docker" <<'END'
#!/bin/bash
if [ "$1" = compose ]; then
	shift
	exec docker-compose "$@"
fi
exec podman --log-level=fatal "$@"
END
chmod 0755 "$containers/bin/docker"
export PATH=$containers/bin:$PATH
export DOCKER_HOST=unix://$containers/docker.sock DISABLE_HC_SYSTEMD=true
podman --log-level=fatal system service --time=0 "$DOCKER_HOST" >"$scratch/out/podman.log" 2>&1 &
for _ in $(seq 100); do
	[ -S "$containers/docker.sock" ] && break
	sleep 0.1
done

said=$(docker run --rm localhost/base true 2>&1) ||
	skip "the image was built, but no container starts on this machine: ${said##*$'\n'}"

cd "$scratch/src/docker"
image=claiim:0.1.0
inspect() { docker inspect --format "$1" "${2:-$image}"; }
# up: docker compose up, and which container that is, which takes a second to ask.
id=
up() {
	docker compose up -d 2>&1 || return
	id=$(docker compose ps -q claiim)
}
in_it() { docker exec -i "$id" "$@"; }
sql() { in_it psql -X -A -t -q -v ON_ERROR_STOP=1 -c "$1"; }
healthy() {
	local container=$1
	for _ in $(seq 180); do
		docker healthcheck run "$container" >/dev/null 2>&1 && return
		sleep 1
	done
	docker logs --tail 20 "$container"
	return 1
}
log_of() { docker logs "$1" 2>&1; }

# The image

ok 'the image runs as postgres, user 999' is "$(inspect '{{.Config.User}}') $(docker run --rm --network none $image id -u)" 'postgres 999'
ok '... is stopped by SIGINT, the fast shutdown' is "$(inspect '{{.Config.StopSignal}}')" SIGINT
ok '... knows how to tell that it is healthy' like "$(inspect '{{.HealthCheck.Test}}')" healthcheck.sh
ok '... has two volumes, one for data and one for checkpoints' is "$(inspect '{{range $k, $v := .Config.Volumes}}{{$k}} {{end}}')" \
	'/var/lib/claiim/checkpoints /var/lib/postgresql/data '
ok '... has no compiler' is "$(docker run --rm --network none $image sh -c 'command -v cc gcc make clang || echo none')" none

# refused WHY ARGUMENT...: it does not start, and says why.
refused() {
	local why=$1 said
	shift
	said=$(timeout 120 docker run --rm --network none "$@" 2>&1) && { printf 'it started\n'; return 1; }
	like "$said" "$why"
}
ok 'it does not start without a token secret' refused 'there is no token secret' $image
ok '... with a short one' refused 'too short' -e TOKEN_SECRET=0123456789 $image
ok '... with the command that was to make one' refused 'other characters' -e 'TOKEN_SECRET=$(openssl rand -hex 32) and more' $image
ok '... or one in a file that it cannot read' refused 'cannot read' -e TOKEN_SECRET_FILE=/etc/shadow $image
ok '... nor as root' refused 'do not run it as root' --user 0 -e TOKEN_SECRET="$(openssl rand -hex 32)" $image

# README.md's steps

ok 'compose refuses to start it without a TOKEN_SECRET' like "$(cp .env.example .env && docker compose config 2>&1)" TOKEN_SECRET
cp .env.example .env
echo "TOKEN_SECRET=$(openssl rand -hex 32)" >>.env
ok 'compose.yaml is valid' docker compose config --quiet
if ! up >"$scratch/out/up.log"; then
	ok 'docker compose up -d' like "$(cat "$scratch/out/up.log")" '^it started$'
	finish
fi
said=$(NO_COLOR=1 bash rehearsal.sh 2>&1 || true)
say "$said"
ok 'the rehearsal, as soon as it is started' is "${said##*$'\n'}" 'PASS: 13 / FAIL: 0'
first=$id
ok 'it is healthy' healthy "$first"

# What it is allowed

ok 'the server is the first process' is "$(in_it cat /proc/1/comm)" postgres
ok '... without a capability, and can get none' is \
	"$(in_it sed -n 's/^\(CapBnd\|CapPrm\|NoNewPrivs\):\t0*//p' /proc/1/status | tr '\n' ' ')" '  1 '
ok '... on a file system that it cannot write' like "$(in_it touch /etc/claiim/x 2>&1 || true)" 'Read-only file system'
ok 'the token secret is a file that only the server reads' is "$(in_it stat -c '%a %U' /run/claiim/token_secret)" '600 postgres'
ok '... and not in its environment' is "$(in_it sh -c 'tr "\0" "\n" </proc/1/environ | grep -c SECRET || true')" 0
ok '... nor in its log' is "$(log_of "$first" | grep -cF "$(sed -n 's/^TOKEN_SECRET=//p' .env)")" 0
ok 'the port is published on this machine only' is "$(docker port "$first")" '5432/tcp -> 127.0.0.1:5499'
ok 'data have checksums' is "$(sql 'SHOW data_checksums')" on

# outside USER SQL [PASSWORD [DATABASE]]: as who is not in the container.
outside() {
	PGPASSWORD=${3:-none} "$(pg_bindir)/psql" -X -A -t -q -w -h 127.0.0.1 -p 5499 -d "${4:-claiim}" -U "$1" -c "$2" 2>&1
}
ok 'the superuser does not get in from outside' like "$(outside postgres 'SELECT 1' || true)" 'password authentication failed'
sql "ALTER ROLE deploy_bot PASSWORD 'of deploy-bot'"
question="SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'api-v2')"
ok 'deploy-bot does, with its password, and asks' is "$(outside deploy_bot "$question" 'of deploy-bot')" ALLOW

in_it createdb acme
in_it psql -X -q -d acme -v ON_ERROR_STOP=1 <<'END'
SET client_min_messages = warning;
CREATE EXTENSION claiim CASCADE;
CREATE ROLE ann LOGIN PASSWORD 'of ann';
CREATE ROLE bob LOGIN PASSWORD 'of bob';
SELECT claiim.bootstrap('acme', 'ann', 'ann', 'bob', 'bob') \gset
END
ok 'an organization of one'\''s own, in a database of its own: its humans log in' \
	is "$(outside ann 'SELECT count(*) FROM claiim.registry' 'of ann' acme)" 0
ok 'a dump can be taken' is "$(in_it pg_dump -Fc | head -c 5)" PGDMP

# Chron, exported

link=$(in_it export-chron.sh)
in_it cat /var/lib/claiim/checkpoints/chron.jsonl >"$scratch/out/chron.jsonl"
ok 'Chron is exported to the checkpoint volume, with its last link, and verifies elsewhere' \
	python3 "$root/tools/verify_chron.py" --expect-tip "$link" "$scratch/out/chron.jsonl"

# Stopped, started, made anew

token=$(sql "SET SESSION AUTHORIZATION s_emp1; SELECT token FROM claiim.issue_token('deploy-bot', '1 hour')")
by_token="SELECT outcome FROM claiim_check('deploy-bot', 'deploy:staging', 'api-v2', token => '$token')"
ok 'a token that was issued proves the agent' is "$(sql "$by_token")" ALLOW
docker compose stop 2>&1
ok 'docker compose stop: a clean shutdown' like "$(log_of "$first" | tail -n 12)" 'received fast shutdown request.*database system is shut down'
ok '... after which it has ended by itself' is "$(inspect '{{.State.ExitCode}}' "$first")" 0
ok '... with nothing left to recover' is "$(docker compose start >/dev/null 2>&1; healthy "$first"; log_of "$first" | grep -c 'not properly shut down')" 0
docker compose down 2>&1
up
healthy "$id"
ok 'docker compose down and up: another container' is "$([ "$id" != "$first" ] && echo another)" another
ok '... with the same Chron' is "$(sql "SELECT encode(link, 'hex') FROM claiim.chron WHERE seq = ${link%:*}")" "${link#*:}"
ok '... which verifies' is "$(sql 'SELECT ok FROM claiim.verify()')" t
ok '... and the same tokens' is "$(sql "$by_token")" ALLOW
ok '... and the same exports' is "$(in_it cat /var/lib/claiim/checkpoints/links)" "$link"
said=$(NO_COLOR=1 bash rehearsal.sh 2>&1 || true)
ok '... where the rehearsal passes again' is "${said##*$'\n'}" 'PASS: 13 / FAIL: 0'

# The secret by a file

secret=$(sed -n 's/^TOKEN_SECRET=//p' .env)
docker compose down 2>&1
printf '%s\n' "$secret" >token_secret
chown 999 token_secret
chmod 0400 token_secret
printf '%s\n' COMPOSE_FILE=compose.yaml:compose.secrets.yaml TOKEN_SECRET=file >.env
up
ok 'the token secret by a file, as compose.secrets.yaml says' healthy "$id"
ok '... is the same secret' is "$(sql "$by_token")" ALLOW
docker compose down --volumes 2>&1

# What is not healthy

alone=(docker run -d --network none -e TOKEN_SECRET="$secret")
container=$("${alone[@]}" -e CLAIIM=x $image postgres -c shared_preload_libraries=)
ready() {
	for _ in $(seq 180); do
		docker exec "$container" pg_isready -q -h /run/postgresql && return
		sleep 1
	done
	return 1
}
ok 'without the preload the server starts' ready
ok '... and is not healthy' is "$(docker exec "$container" healthcheck.sh >/dev/null 2>&1; echo $?)" 3
docker rm -f "$container" >/dev/null

# A first start that was interrupted

# Killed as soon as its server is there for the first time; again if that was too late.
for _ in $(seq 5); do
	container=$("${alone[@]}" --name interrupted -e PGDATABASE=other -e POSTGRES_PASSWORD='of postgres' $image)
	for _ in $(seq 1000); do
		log_of "$container" | grep -q 'listening on Unix socket' && break
		sleep 0.02
	done
	docker kill --signal KILL "$container" >/dev/null
	served=$(log_of "$container" | grep -c 'listening on IPv4' || true)
	[ "$served" != 0 ] || break
	docker rm -f --volumes "$container" >/dev/null
done
ok 'killed in its first start' is "$served" 0
docker start "$container" >/dev/null
ok '... it begins anew' healthy "$container"
superuser() { docker exec -e PGPASSWORD="$1" "$container" psql -XAtq -w -h 127.0.0.1 -U postgres -c 'SELECT current_database()' 2>&1; }
ok '... with the database and the password of the superuser that it was given' is "$(superuser 'of postgres')" other
ok '... and with no other' like "$(superuser 'of nobody')" 'password authentication failed'
docker rm -f --volumes "$container" >/dev/null

finish
