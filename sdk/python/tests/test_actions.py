"""An action runs on ALLOW only, and its outcome is recorded."""

import asyncio
import functools
import logging
from typing import Any, List

import pytest
from fakes import FakeAsyncGate, FakeGate
from world import World

from claiim import Action, AsyncAction, Denied, Gate, GateMisuse, GateUnavailable
from claiim.actions import Question, guarded


def action(gate: FakeGate, name: str = "ok:go") -> Action:
    return Action(gate, Question(name, "x"))


def guard(
    gate: Any, action: Any = "ok:go", target: Any = "x", session: Any = None, context: Any = None
) -> Any:
    return guarded(gate, Question.maker(action, target, session, context))


# The block


def test_the_block_runs_on_allow_and_is_recorded_as_succeeded() -> None:
    gate = FakeGate()
    with action(gate) as decision:
        assert decision.allowed
        assert gate.completed == []
    assert gate.completed == [(decision.chron_id, "succeeded", None)]


def test_the_block_does_not_run_on_deny_and_nothing_is_completed() -> None:
    gate = FakeGate()
    with pytest.raises(Denied) as raised:
        with action(gate, "no:go"):
            pytest.fail("it ran")
    assert raised.value.reason == "policy:p-v1 -- action not in allow list"
    assert raised.value.reason_code == "not_in_allow_list"
    assert raised.value.chron_id == raised.value.decision.chron_id == "chr_1"
    assert "DENY no:go on x" in str(raised.value) and "chr_1" in str(raised.value)
    assert gate.completed == []


def test_the_block_does_not_run_if_the_gate_cannot_be_reached() -> None:
    gate = FakeGate(unreachable=True)
    with pytest.raises(GateUnavailable):
        with action(gate):
            pytest.fail("it ran")
    assert gate.completed == []


def test_a_failure_is_recorded_by_its_type_and_not_by_its_text() -> None:
    gate = FakeGate()
    with pytest.raises(ValueError, match="customer 7"):
        with action(gate):
            raise ValueError("customer 7 has no address")
    assert gate.outcomes == [("failed", {"error": "ValueError"})]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_an_interrupted_action_is_cancelled(kind: Any) -> None:
    gate = FakeGate()
    with pytest.raises(kind):
        with action(gate):
            raise kind
    assert gate.outcomes == [("cancelled", None)]


def test_leaving_the_program_is_a_failure() -> None:
    gate = FakeGate()
    with pytest.raises(SystemExit):
        with action(gate):
            raise SystemExit(1)
    assert gate.outcomes == [("failed", {"error": "SystemExit"})]


def test_an_outcome_that_is_no_exception_can_be_said() -> None:
    gate = FakeGate()
    run = action(gate)
    with run:
        run.outcome("failed", {"status": 503})
    assert gate.outcomes == [("failed", {"status": 503})]


def test_an_action_is_entered_once() -> None:
    gate = FakeGate()
    run = action(gate)
    with run:
        with pytest.raises(GateMisuse):
            with run:
                pytest.fail("it ran on the first one's decision")
    with pytest.raises(GateMisuse):
        with run:
            pytest.fail("it ran on an old decision")
    assert len(gate.asked) == 1


def test_a_completion_that_fails_does_not_hide_the_result(caplog: pytest.LogCaptureFixture) -> None:
    gate = FakeGate(completes=False)
    assert guard(gate)(lambda: 42)() == 42
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "chr_1 was not recorded: nobody there any more" in caplog.text


def test_a_completion_that_fails_does_not_hide_the_exception(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        with action(FakeGate(completes=False)):
            1 / 0
    assert raised.value.__context__ is None
    assert "was not recorded" in caplog.text


def test_a_completion_that_is_interrupted_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    class Interrupted(FakeGate):
        def complete(self, *args: Any, **kwargs: Any) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with action(Interrupted()):
            pass
    assert "chr_1 was not recorded: KeyboardInterrupt" in caplog.text


# The decorator


def test_a_guarded_function_keeps_its_name_result_and_arguments() -> None:
    gate = FakeGate()

    @guard(gate, target=lambda a, b=1: f"t/{a}/{b}", context=lambda a, b=1: {"b": b})
    def add(a: int, b: int = 1) -> int:
        """Adds."""
        return a + b

    assert (add(2), add(2, b=5)) == (3, 7)
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert gate.asked == [("ok:go", "t/2/1", None, {"b": 1}), ("ok:go", "t/2/5", None, {"b": 5})]


def test_every_part_of_the_question_can_follow_from_the_arguments() -> None:
    gate = FakeGate()
    run = guard(gate, lambda a: f"ok:{a}", lambda a: f"t/{a}", lambda a: f"ses_{a}", lambda a: [a])
    run(lambda a: None)("x")
    assert gate.asked == [("ok:x", "t/x", "ses_x", ["x"])]


def test_a_guarded_method_is_asked_about_with_its_object() -> None:
    gate = FakeGate()

    class Service:
        name = "api"

        @guard(gate, target=lambda self: self.name)
        def deploy(self) -> str:
            return self.name

    assert Service().deploy() == "api"
    assert gate.asked[0][1] == "api"


def test_a_guarded_function_does_not_run_on_deny() -> None:
    ran: List[int] = []
    with pytest.raises(Denied):
        guard(FakeGate(), "no:go")(lambda: ran.append(1))()
    assert ran == []


def test_what_runs_after_its_call_cannot_be_guarded_by_it() -> None:
    def generator() -> Any:
        yield 1

    async def stream() -> Any:
        yield 1

    class Stream:
        def __call__(self) -> Any:
            yield 1

    for function in (generator, stream, functools.partial(generator), Stream()):
        for gate in (FakeGate(), FakeAsyncGate()):
            with pytest.raises(GateMisuse, match="generator"):
                guard(gate)(function)


def test_a_generator_that_turns_out_to_be_returned_is_refused_before_it_runs() -> None:
    ran: List[int] = []

    def generator() -> Any:
        ran.append(1)
        yield 1

    async def stream() -> Any:
        ran.append(1)
        yield 1

    async def later(made: Any) -> Any:
        return made

    for kind in (generator, stream):
        gate = FakeGate()
        with pytest.raises(GateMisuse, match="returned a generator"):
            guard(gate)(lambda: kind())()
        with pytest.raises(GateMisuse, match="returned a generator"):
            asyncio.run(guard(gate, target=lambda made: "x")(later)(kind()))
        assert gate.outcomes == [("failed", {"error": "GateMisuse"})] * 2
    assert ran == []


def test_a_function_that_turns_out_to_return_a_coroutine_is_refused_before_it_runs() -> None:
    ran: List[int] = []

    async def later() -> None:
        ran.append(1)

    gate = FakeGate()
    with pytest.raises(GateMisuse, match="awaitable"):
        guard(gate)(lambda: later())()
    assert ran == []
    assert gate.outcomes == [("failed", {"error": "GateMisuse"})]


def test_an_async_gate_does_not_guard_what_cannot_wait() -> None:
    with pytest.raises(GateMisuse, match="not a coroutine function"):
        guard(FakeAsyncGate())(lambda: None)


# With coroutines


@pytest.mark.parametrize("kind", [FakeGate, FakeAsyncGate])
def test_a_coroutine_function_is_guarded_until_it_has_ended(kind: Any) -> None:
    gate = kind()
    seen: List[int] = []

    async def work() -> str:
        await asyncio.sleep(0.001)
        seen.append(len(gate.completed))
        return "done"

    assert asyncio.run(guard(gate)(work)()) == "done"
    assert (seen, gate.outcomes) == ([0], [("succeeded", None)])
    with pytest.raises(Denied):
        asyncio.run(guard(gate, "no:go")(work)())
    assert asyncio.run(guard(gate)(functools.partial(work))()) == "done"
    assert len(seen) == 2


def test_a_sync_gate_does_not_hold_up_the_loop() -> None:
    import threading

    open_gate = threading.Event()

    class Slow(FakeGate):
        def check(self, *args: Any, **kwargs: Any) -> Any:
            assert open_gate.wait(60)
            return super().check(*args, **kwargs)

    async def main() -> None:
        async def work() -> None:
            pass

        task = asyncio.ensure_future(guard(Slow())(work)())
        await asyncio.sleep(0.05)
        assert not task.done()
        open_gate.set()
        await task

    asyncio.run(main())


def test_a_cancelled_action_is_recorded_as_cancelled_and_stays_cancelled() -> None:
    gate = FakeAsyncGate()

    async def main() -> None:
        started = asyncio.Event()

        async def act() -> None:
            async with AsyncAction(gate, Question("ok:go", "x")):
                started.set()
                await asyncio.sleep(60)

        task = asyncio.ensure_future(act())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert gate.outcomes == [("cancelled", None)]


def test_a_second_cancellation_does_not_cancel_the_record_of_the_first() -> None:
    gate = FakeAsyncGate()

    async def main() -> None:
        started = asyncio.Event()

        async def act() -> None:
            async with AsyncAction(gate, Question("ok:go", "x")):
                started.set()
                await asyncio.sleep(60)

        task = asyncio.ensure_future(act())
        await started.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert gate.outcomes == [("cancelled", None)]


def test_a_loop_that_ends_before_the_record_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(FakeAsyncGate):
        async def complete(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
            await asyncio.sleep(600)
            return ""

    async def main() -> None:
        started = asyncio.Event()

        async def act() -> None:
            async with AsyncAction(Slow(), Question("ok:go", "x")):
                started.set()

        task = asyncio.ensure_future(act())
        await started.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert "chr_1 was not recorded: CancelledError" in caplog.text


def test_a_check_that_is_cancelled_lets_nothing_run() -> None:
    gate = FakeAsyncGate()
    ran: List[int] = []

    async def main() -> None:
        async def act() -> None:
            async with AsyncAction(gate, Question("ok:go", "x")):
                ran.append(1)

        task = asyncio.ensure_future(act())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (ran, gate.completed) == ([], [])


def test_an_async_completion_that_fails_hides_neither_result_nor_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def good() -> int:
        return 42

    async def bad() -> None:
        raise KeyError("k")

    gate = FakeAsyncGate(completes=False)
    assert asyncio.run(guard(gate)(good)()) == 42
    with pytest.raises(KeyError):
        asyncio.run(guard(gate)(bad)())
    assert caplog.text.count("was not recorded") == 2


# The real ones


def test_denied_comes_with_the_record_of_the_denial(gate: Gate, world: World) -> None:
    with pytest.raises(Denied) as raised:
        with gate.action("deploy:production", "denied-action"):
            pytest.fail("it ran")
    assert raised.value.reason == "policy:no-prod-v1 -- action not in allow list"
    chron_id = world.value("SELECT claiim.chron_id(seq, at) FROM claiim.chron WHERE target = 'denied-action'")
    assert raised.value.chron_id == chron_id


def test_an_allowed_action_runs_and_the_real_completion_is_tried(
    gate: Gate, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    @gate.guard(action="deploy:staging", target=lambda service: f"services/{service}")
    def deploy(service: str) -> str:
        return f"{service} deployed"

    assert deploy("api") == "api deployed"
    assert world.decisions("services/api") == ["ALLOW"]
    assert "was not recorded" not in caplog.text


def test_outcomes_are_in_chron(gate: Gate, world: World, caplog: pytest.LogCaptureFixture) -> None:
    with gate.action("deploy:staging", "completed") as good:
        pass
    with pytest.raises(RuntimeError):
        with gate.action("deploy:staging", "completed") as bad:
            raise RuntimeError("secret customer data")
    with gate.action("deploy:staging", "completed") as mine:
        chron_id = gate.complete(mine.chron_id, "succeeded", {"by": "hand"})
        assert chron_id.startswith("chr_")
        with pytest.raises(GateMisuse) as raised:
            gate.complete(mine.chron_id, "failed")
        assert raised.value.sqlstate == "23505"
    # The third was completed by hand: the block's own completion is one too many, and says so.
    assert caplog.text.count("was not recorded") == 1
    statuses = world.sql(
        "SELECT c.status FROM claiim.completions AS c JOIN claiim.chron AS r USING (seq)"
        " WHERE r.target = 'completed' ORDER BY r.seq"
    )
    assert statuses == [("succeeded",), ("failed",), ("succeeded",)]
    assert good.allowed and bad.allowed
    assert "secret customer data" not in str(
        world.sql("SELECT detail FROM claiim.chron WHERE act = 'action.complete'")
    )


def test_a_status_that_there_is_not_is_a_misuse(gate: Gate) -> None:
    with pytest.raises(GateMisuse, match="succeeded, failed, cancelled"):
        gate.complete("chr_x", "done")
