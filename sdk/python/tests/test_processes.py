"""Threads share a gate; a forked child inherits one, and not its connections."""

import os
import sys
import threading
from typing import Any, Callable, List

import pytest
from world import World

from claiim import AsyncGate, Decision, Gate


def in_child(body: Callable[[], Any]) -> int:
    """Runs it in a forked child; the child's exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException as error:
            print(f"in the child: {error!r}", file=sys.stderr)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_threads_share_a_gate_and_each_gets_its_own_answer(world: World, token: str) -> None:
    wrong: List[str] = []
    decisions: List[Decision] = []
    world.alone()
    with Gate("deploy-bot", token, timeout=120, pool_size=3) as gate:

        def work(thread: int) -> None:
            for n in range(25):
                action = "deploy:staging" if (thread + n) % 2 else "deploy:production"
                decision = gate.check(action, f"threads/{thread}/{n}")
                decisions.append(decision)
                if decision.allowed != (action == "deploy:staging"):
                    wrong.append(decision.target)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(180)
        assert len(world.connections()) <= 3
    assert wrong == []
    recorded = dict(
        world.sql(
            "SELECT chron_id, target FROM claiim.decisions WHERE target LIKE 'threads/%%'", role="s_emp1"
        )
    )
    assert len(decisions) == 200
    assert recorded == {decision.chron_id: decision.target for decision in decisions}


def test_a_forked_child_asks_on_connections_of_its_own(world: World, gate: Gate) -> None:
    world.alone()
    gate.check("deploy:staging", "fork/parent")
    parents = set(world.connections())

    def child() -> None:
        assert gate.check("deploy:staging", "fork/child").allowed
        assert set(world.connections()) > parents
        gate.close()

    assert in_child(child) == 0
    # The parent's connection is as it was, and its answers are its own.
    for _ in range(3):
        assert gate.check("deploy:staging", "fork/parent").target == "fork/parent"
    assert parents <= set(world.connections())
    assert world.decisions("fork/child") == ["ALLOW"]
    assert world.decisions("fork/parent") == ["ALLOW"] * 4


def test_a_fork_while_all_connections_are_in_use_does_not_leave_the_child_without(
    world: World, token: str
) -> None:
    with Gate("deploy-bot", token, timeout=60, pool_size=1) as gate:
        gate.check("deploy:staging", "warm")
        held = threading.Event()
        let_go = threading.Event()

        def hold() -> None:
            with gate._client._slots:
                held.set()
                let_go.wait(120)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)
        try:
            assert in_child(lambda: gate.check("deploy:staging", "fork/busy")) == 0
        finally:
            let_go.set()
            holder.join()
    assert world.decisions("fork/busy") == ["ALLOW"]


def test_a_forked_child_of_an_async_program_asks_on_connections_of_its_own(world: World, token: str) -> None:
    import asyncio

    gate = AsyncGate("deploy-bot", token, timeout=60)
    world.alone()
    asyncio.run(gate.check("deploy:staging", "warm"))
    parents = set(world.connections())

    def child() -> None:
        assert asyncio.run(gate.check("deploy:staging", "fork/aio")).allowed

    assert in_child(child) == 0
    assert asyncio.run(gate.check("deploy:staging", "fork/aio")).allowed
    assert parents <= set(world.connections())
    asyncio.run(gate.close())


def test_a_worker_process_can_make_its_own(world: World, token: str) -> None:
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        outcomes = pool.map(_ask, [(token, f"spawned/{n}") for n in range(4)])
    assert outcomes == ["ALLOW"] * 4


def _ask(question: Any) -> str:
    with Gate("deploy-bot", question[0], timeout=60) as gate:
        return gate.check("deploy:staging", question[1]).outcome


def test_what_goes_between_processes_can(gate: Gate) -> None:
    import pickle

    from claiim import Denied, GateMisuse, OutcomeUnknown

    decision = gate.check("deploy:production", "pickled")
    assert pickle.loads(pickle.dumps(decision)) == decision
    denied = pickle.loads(pickle.dumps(Denied(decision)))
    assert (denied.decision, str(denied)) == (decision, str(Denied(decision)))
    for error in (GateMisuse("m", "22023"), OutcomeUnknown("o")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.sqlstate, str(copy)) == (type(error), error.sqlstate, str(error))
    with pytest.raises(TypeError):
        pickle.dumps(gate)
