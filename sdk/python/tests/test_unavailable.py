"""No answer, for whatever reason: then the action does not run.

Each of these goes through ``gate.action``, whose block must not be entered.
"""

import asyncio
import threading
import time
from typing import Any, Callable, List, Type

import pytest
from proxy import Proxy
from world import World, impatient, wait_until

from claiim import AsyncGate, Gate, GateError, GateMisuse, GateUnavailable, OutcomeUnknown


def refused(gate: Gate, target: str, kind: Type[GateError] = GateUnavailable) -> GateError:
    """The error that an action meets; it must not have run."""
    ran: List[str] = []
    with pytest.raises(kind) as raised:
        with gate.action("deploy:staging", target):
            ran.append(target)
    assert ran == []
    return raised.value


def in_thread(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Starts it; what is returned waits for what it returned or raised."""
    result: List[Any] = []

    def run() -> None:
        try:
            result.append(function(*arguments))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join() -> Any:
        thread.join(180)
        assert not thread.is_alive()
        if isinstance(result[0], AssertionError):
            raise result[0]
        return result[0]

    return join


def test_nobody_listens(world: World, token: str, tmp_path: Any) -> None:
    with Gate("deploy-bot", token, dsn=f"host={tmp_path}", timeout=60) as gate:
        began = time.monotonic()
        error = refused(gate, "nobody-listens")
        assert "No such file or directory" in str(error)
        assert not isinstance(error, OutcomeUnknown)
        # At once, and why: not when all of the time is over.
        assert time.monotonic() - began < 30


def test_over_a_network_it_is_the_same(world: World, token: str, proxy: Proxy) -> None:
    async def awaited(target: str, dsn: str) -> bool:
        async with AsyncGate("deploy-bot", token, dsn=dsn, timeout=60) as gate:
            return (await gate.check("deploy:staging", target)).allowed

    def asked(target: str, dsn: str) -> bool:
        with Gate("deploy-bot", token, dsn=dsn, timeout=60) as gate:
            return gate.check("deploy:staging", target).allowed

    ask = (asked, lambda target, dsn: asyncio.run(awaited(target, dsn)))
    here, nowhere = f"host=localhost port={proxy.port}", "host=localhost port=1"
    for one in ask:
        assert one("network/1", here)
        # The second of two hosts, where nobody listens at the first.
        assert one("network/2", f"host=localhost,localhost port=1,{proxy.port}")
        with pytest.raises(GateUnavailable, match="refused") as raised:
            one("network/3", nowhere)
        assert not isinstance(raised.value, OutcomeUnknown)
    assert [world.decisions(f"network/{n}") for n in (1, 2, 3)] == [["ALLOW"] * 2, ["ALLOW"] * 2, []]


def test_the_server_was_stopped_before(world: World, gate: Gate) -> None:
    assert gate.check("deploy:staging", "before").allowed
    with world.stopped():
        assert not isinstance(refused(gate, "stopped"), OutcomeUnknown)
    assert world.decisions("stopped") == []


def test_the_server_is_stopped_while_it_is_asked(world: World, gate: Gate) -> None:
    gate.check("deploy:staging", "warm")
    with world.frozen_writer():
        asked = in_thread(refused, gate, "stopped-meanwhile")
        wait_until(world.askers, "the question waits")
        with world.stopped():
            error = asked()
    assert isinstance(error, OutcomeUnknown)
    assert "may have recorded" in str(error)


def test_the_writer_does_not_answer_in_time(world: World, token: str) -> None:
    with Gate("deploy-bot", token, timeout=60) as gate:
        gate.check("deploy:staging", "warm")
        impatient(gate, 1)
        with world.frozen_writer():
            assert isinstance(refused(gate, "too-slow"), OutcomeUnknown)
    # The record came later; that is not an answer.
    wait_until(lambda: world.decisions("too-slow"), "it was recorded in the end")


def test_the_server_says_itself_that_it_was_not_confirmed(world: World, token: str) -> None:
    with Gate("deploy-bot", token, dsn="options='-c claiim.queue_timeout=300ms'", timeout=60) as gate:
        with world.frozen_writer():
            error = refused(gate, "not-confirmed", OutcomeUnknown)
    assert error.sqlstate == "40003"


def test_a_statement_timeout_of_the_role_is_no_answer(world: World, token: str) -> None:
    with Gate("deploy-bot", token, dsn="options='-c statement_timeout=300ms'", timeout=60) as gate:
        with world.frozen_writer():
            error = refused(gate, "cancelled-by-server", OutcomeUnknown)
    assert error.sqlstate == "57014"


def test_chron_is_locked(world: World, token: str) -> None:
    import psycopg

    with psycopg.connect(user="postgres") as dba, Gate("deploy-bot", token, timeout=2) as gate:
        dba.execute("LOCK TABLE claiim.chron IN ACCESS EXCLUSIVE MODE")
        refused(gate, "locked")
        dba.rollback()
        impatient(gate, 60)
        wait_until(lambda: gate.check("deploy:staging", "unlocked").allowed, "the gate opens again")


def test_a_server_that_lets_in_and_says_nothing(token: str, proxy: Proxy) -> None:
    proxy.silent = True
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=1) as gate:
        error = refused(gate, "silence")
    assert not isinstance(error, OutcomeUnknown)
    assert "in time" in str(error)


def test_an_answer_that_comes_byte_by_byte_comes_too_late(world: World, token: str, proxy: Proxy) -> None:
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=1) as gate:
        proxy.trickle = True
        assert not isinstance(refused(gate, "trickle"), OutcomeUnknown)
        proxy.trickle = False
        impatient(gate, 60)
        wait_until(lambda: gate.check("deploy:staging", "fluent").allowed, "it is fluent")
        proxy.trickle = True
        impatient(gate, 1)
        assert isinstance(refused(gate, "trickle"), OutcomeUnknown)


def test_silence_after_the_question(world: World, token: str, proxy: Proxy) -> None:
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=60) as gate:
        gate.check("deploy:staging", "warm")
        proxy.silent = True
        impatient(gate, 1)
        assert isinstance(refused(gate, "silence-after"), OutcomeUnknown)
        proxy.silent = False
        impatient(gate, 60)
        assert wait_until(lambda: gate.check("deploy:staging", "speech").allowed, "it speaks again")


def test_an_answer_that_is_lost_is_asked_for_once_more(world: World, token: str, proxy: Proxy) -> None:
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=60) as gate:
        gate.check("deploy:staging", "warm")
        proxy.lose_answers = 1
        decision = gate.check("deploy:staging", "lost-once")
        assert decision.allowed
    # The one that was lost was recorded; the one that was answered is its own record.
    assert world.decisions("lost-once") == ["ALLOW", "ALLOW"]
    newest = world.value(
        "SELECT claiim.chron_id(seq, at) FROM claiim.chron WHERE target = 'lost-once' ORDER BY seq DESC LIMIT 1"
    )
    assert decision.chron_id == newest


def test_an_answer_that_is_lost_again_is_none(world: World, token: str, proxy: Proxy) -> None:
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=60) as gate:
        gate.check("deploy:staging", "warm")
        proxy.lose_answers, proxy.questions = 99, 0
        assert isinstance(refused(gate, "lost-twice"), OutcomeUnknown)
    assert proxy.questions == 2
    assert world.decisions("lost-twice") == ["ALLOW", "ALLOW"]


def test_what_must_not_happen_twice_is_not_asked_for_twice(world: World, token: str, proxy: Proxy) -> None:
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=60) as gate:
        chron_id = gate.check("deploy:staging", "warm").chron_id
        for call in (
            lambda: gate.complete(chron_id, "succeeded"),
            lambda: gate.request_session("deploy:staging", "x", "why"),
        ):
            proxy.lose_answers, proxy.questions = 99, 0
            with pytest.raises(OutcomeUnknown):
                call()
            assert proxy.questions == 1
            proxy.lose_answers = 0
            gate.check("deploy:staging", "warm")


def test_what_only_reads_is_never_an_unknown_outcome(world: World, token: str, proxy: Proxy) -> None:
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=60) as gate:
        proxy.lose_answers = 99
        for call in (gate.permissions, lambda: gate.session_status("ses_x")):
            proxy.questions = 0
            with pytest.raises(GateUnavailable) as raised:
                call()
            assert not isinstance(raised.value, OutcomeUnknown)
            assert proxy.questions == 2


def test_a_connection_that_was_terminated_is_replaced_unnoticed(world: World, gate: Gate) -> None:
    for _ in range(2):
        gate.check("deploy:staging", "terminate")
        world.sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'app'")
    assert world.decisions("terminate") == ["ALLOW", "ALLOW"]


def test_a_connection_that_is_terminated_while_asking_is_asked_once_more(world: World, gate: Gate) -> None:
    gate.check("deploy:staging", "warm")
    with world.frozen_writer():
        asked = in_thread(gate.check, "deploy:staging", "terminated-meanwhile")
        wait_until(world.askers, "the question waits")
        world.sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'app'")
        wait_until(world.askers, "it is asked again")
    assert asked().allowed


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_after_a_restart_the_same_gate_answers_without_an_error(world: World, token: str, mode: str) -> None:
    with Gate("deploy-bot", token, timeout=60, pool_size=4) as gate:
        waiting = [in_thread(gate.check, "deploy:staging", f"restart/{n}") for n in range(4)]
        assert all(join().allowed for join in waiting)
        with world.stopped(mode):
            pass
        # Every one of the kept connections is stale now.
        for n in range(6):
            assert gate.check("deploy:staging", f"restarted/{mode}/{n}").allowed
            assert world.decisions(f"restarted/{mode}/{n}") == ["ALLOW"]


def test_what_is_not_repeated_is_not_lost_to_a_stale_connection_either(world: World, gate: Gate) -> None:
    gate.check("deploy:staging", "warm")
    with world.stopped("fast"):
        pass
    # There is no such decision, or no such function yet; but the server said so.
    with pytest.raises(GateError) as raised:
        gate.complete("chr_made_up", "succeeded")
    assert raised.value.sqlstate is not None
    assert not isinstance(raised.value, OutcomeUnknown)


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.alone()
    gate.check("deploy:staging", "idle")
    pids = set(world.connections())
    gate.check("deploy:staging", "idle")
    assert set(world.connections()) == pids
    monkeypatch.setattr("claiim._pool._MAX_IDLE", 0.0)
    gate.check("deploy:staging", "idle")
    assert not pids & set(wait_until(lambda: set(world.connections()) - pids, "another connection"))


def test_all_connections_are_busy(world: World, token: str) -> None:
    with Gate("deploy-bot", token, timeout=60, pool_size=1) as gate:
        gate.check("deploy:staging", "warm")
        impatient(gate, 2)
        with world.frozen_writer():
            first = in_thread(refused, gate, "busy/1")
            wait_until(world.askers, "the question waits")
            second = in_thread(refused, gate, "busy/2")
            errors = [first(), second()]
    assert isinstance(errors[0], OutcomeUnknown)
    assert "in use" in str(errors[1]) or isinstance(errors[1], GateUnavailable)
    assert wait_until(lambda: world.decisions("busy/1"), "it was recorded in the end") == ["ALLOW"]


def test_an_error_does_not_cost_the_connection(world: World, gate: Gate) -> None:
    world.alone()
    gate.check("deploy:staging", "kept")
    pids = set(world.connections())
    with pytest.raises(GateMisuse):
        gate.check("", "kept")
    gate.check("deploy:staging", "kept")
    assert set(world.connections()) == pids


def test_a_keyboard_interrupt_leaves_no_answer_for_the_next_question(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    import selectors

    gate.check("deploy:staging", "warm")
    real, calls = selectors.DefaultSelector.select, []

    def interrupted(self: Any, timeout: Any = None) -> Any:
        calls.append(timeout)
        # The question has been sent, and its answer is awaited.
        if timeout and len(calls) > 1:
            raise KeyboardInterrupt
        return real(self, timeout)

    with monkeypatch.context() as patch:
        patch.setattr(selectors.DefaultSelector, "select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gate.check("deploy:production", "interrupted")
    assert gate.check("deploy:staging", "after").target == "after"
    assert gate.check("deploy:staging", "after").allowed
