"""Through PgBouncer in transaction mode, with one connection to the server for all."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest
from world import DATABASE, POOL_ROLE, World, impatient, wait_until

from claiim import AsyncGate, Decision, Gate, GateError

PGBOUNCER = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
PORT = 6432


@pytest.fixture(scope="module")
def pooled(world: World) -> Iterator[str]:
    """The dsn of a PgBouncer."""
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed")
    # A socket's path is short.
    home = Path(tempfile.mkdtemp(prefix="pb", dir="/tmp"))
    (home / "users").write_text(f'"{POOL_ROLE}" ""\n')
    (home / "pgbouncer.ini").write_text(
        f"""
[databases]
{DATABASE} = host={os.environ["PGHOST"]} port={os.environ["PGPORT"]} pool_size=1
[pgbouncer]
listen_addr =
listen_port = {PORT}
unix_socket_dir = {home}
auth_type = trust
auth_file = {home}/users
pool_mode = transaction
server_login_retry = 1
"""
    )
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            [PGBOUNCER, str(home / "pgbouncer.ini")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until((home / f".s.PGSQL.{PORT}").exists, "PgBouncer listens")
        yield f"host={home} port={PORT}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(home)


def test_agents_share_one_connection_and_each_gets_its_own_answer(
    world: World, token: str, pooled: str
) -> None:
    answers: List[Tuple[str, Decision]] = []
    failures: List[BaseException] = []

    def ask(agent: str, secret: str, number: int) -> None:
        try:
            with Gate(agent, secret, dsn=pooled, timeout=120, pool_size=2) as gate:
                for n in range(15):
                    action = "deploy:staging" if n % 2 else "infra:read-state"
                    answers.append((agent, gate.check(action, f"pooled/{agent}/{number}/{n}")))
        except BaseException as error:
            failures.append(error)

    secrets = {"deploy-bot": token, "infra-bot": world.token("infra-bot")}
    threads = [
        threading.Thread(target=ask, args=(agent, secret, number))
        for number in range(4)
        for agent, secret in secrets.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert failures == []
    assert len(answers) == 120
    recorded = {
        row[0]: row[1:]
        for row in world.sql(
            "SELECT chron_id, agent, target, outcome FROM claiim.decisions WHERE target LIKE 'pooled/%%'",
            role="s_emp1",
        )
    }
    for agent, decision in answers:
        assert decision.allowed == (
            decision.action == {"deploy-bot": "deploy:staging"}.get(agent, "infra:read-state")
        )
        assert recorded[decision.chron_id] == (agent, decision.target, decision.outcome)
    assert len(recorded) == 120


def test_a_server_connection_that_the_pooler_loses_is_bridged(world: World, token: str, pooled: str) -> None:
    with Gate("deploy-bot", token, dsn=pooled, timeout=60) as gate:
        for n in range(3):
            assert gate.check("deploy:staging", f"pooler/{n}").allowed
            world.sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'app'")


def test_coroutines_go_through_it_as_well(world: World, token: str, pooled: str) -> None:
    async def main() -> List[Decision]:
        async with AsyncGate("deploy-bot", token, dsn=pooled, timeout=120) as gate:
            return await asyncio.gather(*(gate.check("deploy:staging", f"pooler/aio/{n}") for n in range(20)))

    decisions = asyncio.run(main())
    assert [d.target for d in decisions] == [f"pooler/aio/{n}" for n in range(20)]
    assert all(d.allowed for d in decisions)


def test_a_pooler_without_its_server_is_no_answer(world: World, token: str, pooled: str) -> None:
    with Gate("deploy-bot", token, dsn=pooled, timeout=60) as gate:
        assert gate.check("deploy:staging", "pooler/up").allowed
        impatient(gate, 2)
        with world.stopped():
            ran: List[Any] = []
            with pytest.raises(GateError):
                with gate.action("deploy:staging", "pooler/down"):
                    ran.append(1)
            assert ran == []
    with Gate("deploy-bot", token, dsn=pooled, timeout=60) as gate:
        wait_until(lambda: _allowed(gate), "PgBouncer finds the server again")


def _allowed(gate: Gate) -> bool:
    try:
        return gate.check("deploy:staging", "pooler/again").allowed
    except GateError:
        return False
