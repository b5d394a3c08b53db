"""The asynchronous gate against the real one."""

import asyncio
import time
from typing import Any, Awaitable, Callable, List, TypeVar

import pytest
from proxy import Proxy
from world import World, impatient, wait_until

from claiim import AsyncGate, Denied, GateMisuse, GateUnavailable, OutcomeUnknown

T = TypeVar("T")


def run(body: Callable[[AsyncGate], Awaitable[T]], token: Any, **options: Any) -> T:
    async def main() -> T:
        async with AsyncGate("deploy-bot", token, **{"timeout": 60, **options}) as gate:
            return await body(gate)

    return asyncio.run(main())


async def until(condition: Callable[[], Any]) -> None:
    """Looks at the server in a thread, so that the loop goes on."""
    await asyncio.get_running_loop().run_in_executor(None, wait_until, condition, "as awaited")


async def refused(gate: AsyncGate, target: str) -> GateUnavailable:
    ran: List[int] = []
    with pytest.raises(GateUnavailable) as raised:
        async with gate.action("deploy:staging", target):
            ran.append(1)
    assert ran == []
    return raised.value


def test_it_answers_as_the_other_one_does(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        assert (await gate.check("deploy:staging", "aio")).allowed
        assert (await gate.check("deploy:production", "aio")).reason_code == "not_in_allow_list"
        many = await gate.check_many([("deploy:staging", "aio"), ("deploy:production", "aio")])
        assert [d.outcome for d in many] == ["ALLOW", "DENY"]
        with pytest.raises(GateMisuse):
            await gate.check("deploy:staging", "a/../b")

    run(body, token)
    assert world.decisions("aio") == ["ALLOW", "DENY", "ALLOW", "DENY"]


def test_actions_and_guarded_coroutines(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        @gate.guard(action="deploy:staging", target=lambda service: service)
        async def deploy(service: str) -> str:
            return service

        assert await deploy("aio-guard") == "aio-guard"
        async with gate.action("deploy:staging", "aio-guard") as decision:
            assert decision.allowed
        with pytest.raises(Denied):
            async with gate.action("deploy:production", "aio-guard"):
                pytest.fail("it ran")

    run(body, token)
    assert world.decisions("aio-guard") == ["ALLOW", "ALLOW", "DENY"]


def test_many_tasks_share_few_connections_and_each_gets_its_own_answer(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        actions = ["deploy:staging" if n % 3 else "deploy:production" for n in range(100)]
        decisions = await asyncio.gather(*(gate.check(a, f"tasks/{n}") for n, a in enumerate(actions)))
        for n, (action, decision) in enumerate(zip(actions, decisions)):
            assert decision.allowed == (action == "deploy:staging")
            recorded = world.value(
                "SELECT target FROM claiim.decisions WHERE chron_id = %s", decision.chron_id, role="s_emp1"
            )
            assert recorded == f"tasks/{n}"
        assert len(world.connections()) <= 3

    world.alone()
    run(body, token, pool_size=3)


def test_the_writer_does_not_answer_in_time(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        await gate.check("deploy:staging", "warm")
        impatient(gate, 1)
        with world.frozen_writer():
            assert isinstance(await refused(gate, "aio-slow"), OutcomeUnknown)

    run(body, token)


def test_the_server_is_stopped_while_it_is_asked(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        await gate.check("deploy:staging", "warm")
        with world.frozen_writer():
            asked = asyncio.ensure_future(refused(gate, "aio-stopped"))
            await until(world.askers)
            await asyncio.get_running_loop().run_in_executor(None, world.stop)
            assert isinstance(await asked, OutcomeUnknown)
        assert not isinstance(await refused(gate, "aio-down"), OutcomeUnknown)
        await asyncio.get_running_loop().run_in_executor(None, world.start)
        assert (await gate.check("deploy:staging", "aio-up")).allowed

    try:
        run(body, token)
    finally:
        if not world.running():
            world.start()


def test_a_server_that_says_nothing(token: str, proxy: Proxy) -> None:
    async def body(gate: AsyncGate) -> None:
        proxy.silent = True
        began = time.monotonic()
        await refused(gate, "aio-silence")
        assert time.monotonic() - began < 60

    run(body, token, dsn=proxy.dsn, timeout=1)


def test_an_answer_that_is_lost_is_asked_for_once_more(world: World, token: str, proxy: Proxy) -> None:
    async def body(gate: AsyncGate) -> None:
        await gate.check("deploy:staging", "warm")
        proxy.lose_answers = 1
        assert (await gate.check("deploy:staging", "aio-lost")).allowed

    run(body, token, dsn=proxy.dsn)
    assert world.decisions("aio-lost") == ["ALLOW", "ALLOW"]


def test_a_cancelled_check_is_cancelled_at_once_and_spoils_nothing(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        ran: List[int] = []

        async def act() -> None:
            async with gate.action("deploy:production", "aio-cancelled"):
                ran.append(1)

        with world.frozen_writer():
            task = asyncio.ensure_future(act())
            await until(world.askers)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # The answer that was not waited for is not the next question's.
        decision = await gate.check("deploy:staging", "aio-after")
        assert decision.allowed
        assert ran == []
        assert world.decisions("aio-after") == ["ALLOW"]

    run(body, token, pool_size=1)


def test_an_action_with_a_time_limit_of_its_own_is_cancelled(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        runs = asyncio.Event()

        async def act() -> None:
            async with gate.action("deploy:staging", "aio-limit"):
                runs.set()
                await asyncio.sleep(600)

        task = asyncio.ensure_future(act())
        await runs.wait()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task, 0.1)

    run(body, token)
    assert world.decisions("aio-limit") == ["ALLOW"]


def test_waiting_for_a_connection_is_limited_and_gives_its_turn_back(world: World, token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        await gate.check("deploy:staging", "warm")
        impatient(gate, 2)
        with world.frozen_writer():
            first = asyncio.ensure_future(refused(gate, "aio-busy"))
            await until(world.askers)
            waiting = [asyncio.ensure_future(gate.check("deploy:staging", "aio-busy")) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await first
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(isinstance(result, GateUnavailable) for result in results[1:])

        # Nobody kept the only connection's turn.
        async def answers() -> bool:
            try:
                return (await gate.check("deploy:staging", "aio-free")).allowed
            except GateUnavailable:
                return False

        for _ in range(60):
            if await answers():
                return
        pytest.fail("the turn was lost")

    run(body, token, pool_size=1)


def test_a_turn_that_comes_in_the_moment_of_a_cancellation_is_given_back(token: str) -> None:
    async def body(gate: AsyncGate) -> None:
        client = gate._client
        slots = client._slots_here()
        await slots.acquire()
        waiting = asyncio.ensure_future(client._acquire(slots, time.monotonic() + 60))
        for _ in range(3):
            await asyncio.sleep(0)
        slots.release()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for _ in range(3):
            await asyncio.sleep(0)
        assert not slots.locked()

    run(body, token, pool_size=1)


def test_one_gate_serves_one_loop_after_the_other(world: World, token: str) -> None:
    gate = AsyncGate("deploy-bot", token, timeout=60, pool_size=1)
    for n in range(3):
        assert asyncio.run(gate.check("deploy:staging", f"loops/{n}")).allowed
    asyncio.run(gate.close())
    with pytest.raises(GateMisuse, match="closed"):
        asyncio.run(gate.check("deploy:staging", "loops/x"))


def test_the_loop_goes_on_while_a_name_is_looked_up_and_the_limit_holds(
    world: World, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from psycopg import pq

    looked_up = threading.Event()
    in_time: List[bool] = []
    real = pq.PGconn.connect_start

    def slow(conninfo: bytes) -> Any:
        in_time.append(looked_up.wait(60))
        return real(conninfo)

    monkeypatch.setattr("psycopg.pq.PGconn.connect_start", slow)

    async def too_slow(gate: AsyncGate) -> None:
        try:
            assert not isinstance(await refused(gate, "aio-name"), OutcomeUnknown)
        finally:
            looked_up.set()

    async def slow_enough(gate: AsyncGate) -> None:
        looked_up.clear()
        asyncio.get_running_loop().call_later(0.1, looked_up.set)
        assert (await gate.check("deploy:staging", "aio-name")).allowed

    run(too_slow, token, timeout=0.5)
    run(slow_enough, token)
    assert in_time == [True, True]
