"""Sessions that humans approve, and what an agent may do."""

import asyncio
import datetime
import threading
from typing import Any, Iterator, List

import pytest
from world import World, wait_until

from claiim import (
    AsyncGate,
    Gate,
    GateError,
    GateMisuse,
    GateUnavailable,
    Permission,
    SessionNotActive,
    SessionStatus,
)


@pytest.fixture(scope="module")
def infra_token(world: World) -> str:
    return world.token("infra-bot")


@pytest.fixture
def infra(world: World, infra_token: str) -> Iterator[Gate]:
    with Gate("infra-bot", infra_token, timeout=60) as gate:
        yield gate


def status(status: str, note: Any = None) -> SessionStatus:
    return SessionStatus("ses_1", status, None, None, None, None, note)


class Script:
    """Stands for session_status: says, one after the other, what it is given."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)

    def __call__(self, session: str) -> SessionStatus:
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return said  # type: ignore[no-any-return]

    async def aio(self, session: str) -> SessionStatus:
        return self(session)


def wait(script: Script, **options: Any) -> List[SessionStatus]:
    """What both gates make of it."""
    results = []
    gate = Gate("infra-bot")
    gate.session_status = script  # type: ignore[method-assign]
    results.append(gate.wait_for_session("ses_1", interval=0.01, **options))

    async def awaited() -> SessionStatus:
        gate = AsyncGate("infra-bot")
        gate.session_status = script.aio  # type: ignore[method-assign]
        return await gate.wait_for_session("ses_1", interval=0.01, **options)

    results.append(asyncio.run(awaited()))
    return results


def test_it_waits_through_a_request_and_an_outage_until_the_session_is_active() -> None:
    down = GateUnavailable("restarting")
    script = Script(*[status("requested"), down, status("granted"), down, status("active")] * 2)
    assert [found.status for found in wait(script)] == ["active", "active"]


@pytest.mark.parametrize("end", ["refused", "revoked", "expired", "used_up", "lapsed", "of a later version"])
def test_a_session_that_will_not_be_active_is_not_waited_for(end: str) -> None:
    with pytest.raises(SessionNotActive, match=f"is {end}: no reason") as raised:
        wait(Script(status("requested"), status(end, "no reason")))
    assert raised.value.status.status == end


def test_the_wait_is_limited() -> None:
    with pytest.raises(SessionNotActive) as raised:
        wait(Script(status("requested")), timeout=0.1)
    assert raised.value.status.pending
    with pytest.raises(GateUnavailable, match="gone"):
        wait(Script(GateUnavailable("gone")), timeout=0.1)


def test_a_wrong_session_is_not_waited_for() -> None:
    with pytest.raises(GateMisuse):
        wait(Script(GateMisuse("no such session", "22023")))


@pytest.mark.parametrize(
    "sqlstate, lasting",
    [
        (None, False),
        ("57P03", False),
        ("53300", False),
        ("40003", False),
        ("25006", False),
        ("55006", False),
        ("55000", True),
        ("F0000", True),
        ("42883", True),
        ("XX000", True),
    ],
)
def test_a_server_that_is_not_set_up_is_not_waited_for(sqlstate: Any, lasting: bool) -> None:
    down = GateUnavailable("no", sqlstate)
    assert down.lasting == lasting
    script = Script(*[down, status("active")] * 2)
    if lasting:
        with pytest.raises(GateUnavailable):
            wait(script)
    else:
        wait(script)


def test_a_session_that_there_is_not_is_not_waited_for(infra: Gate) -> None:
    with pytest.raises(GateMisuse) as raised:
        infra.wait_for_session("ses_" + "0" * 26)
    assert raised.value.sqlstate == "42704"


def test_it_goes_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(SessionNotActive(status("refused", "no"))))
    assert (str(error), error.status) == ("session ses_1 is refused: no", status("refused", "no"))


@pytest.mark.parametrize(
    "options",
    [
        {"actions": [7]},
        {"targets": [None]},
        {"reason": None},
        {"valid_for": 3600},
        {"max_uses": "3"},
        {"max_uses": True},
        {"ticket": 7},
    ],
)
def test_a_request_that_makes_no_sense_is_not_sent(options: Any) -> None:
    request = {"actions": "infra:apply", "targets": "change-orders/1", "reason": "why", **options}
    with pytest.raises(GateMisuse):
        Gate("infra-bot", dsn="host=/nowhere").request_session(**request)


def test_a_session_from_the_request_to_its_last_use(world: World, infra: Gate) -> None:
    order = "change-orders/1138"
    assert infra.check("infra:apply", order).reason_code == "session_required"
    session = infra.request_session(
        "infra:apply",
        ["change-orders/1138"],
        "planned",
        ticket="CO-1138",
        valid_for=datetime.timedelta(minutes=30),
        max_uses=2,
    )
    assert session.startswith("ses_")
    asked = infra.session_status(session)
    assert (asked.session, asked.status, asked.active, asked.pending) == (session, "requested", False, True)
    assert not infra.check("infra:apply", order, session=session).allowed

    waited: List[Any] = []
    waiting = threading.Thread(
        target=lambda: waited.append(infra.wait_for_session(session, timeout=120, interval=0.05))
    )
    waiting.start()
    world.two_people(f"grant_session('{session}')")
    waiting.join(150)
    assert waited[0].active and waited[0].uses_left == 2
    assert waited[0].approved_by and "s.emp2" in waited[0].approved_by
    length = waited[0].valid_until - waited[0].valid_from
    assert length <= datetime.timedelta(minutes=31)

    with infra.action("infra:apply", order, session=session) as decision:
        assert decision.session == session
    assert infra.check("infra:apply", order, session=session).allowed
    assert infra.check("infra:apply", order, session=session).reason_code == "session_used_up"
    assert infra.session_status(session).status == "used_up"


def test_a_session_that_humans_refuse(world: World, infra: Gate, infra_token: str) -> None:

    async def ask() -> str:
        async with AsyncGate("infra-bot", infra_token, timeout=60) as gate:
            session = await gate.request_session(["infra:apply"], "change-orders/*", "why not")
            assert (await gate.session_status(session)).pending
            return session

    session = asyncio.run(ask())
    world.sql("SELECT claiim.refuse_session(%s, 'not before the audit')", session, role="s_emp2")
    with pytest.raises(SessionNotActive) as raised:
        infra.wait_for_session(session, timeout=60)
    assert raised.value.status.status == "refused"


def test_a_completion_is_awaited_too(world: World, token: str) -> None:

    async def act() -> str:
        async with AsyncGate("deploy-bot", token, timeout=60) as gate:
            decision = await gate.check("deploy:staging", "aio-completed")
            return await gate.complete(decision.chron_id, "failed", {"error": "X"})

    assert asyncio.run(act()).startswith("chr_")


def test_what_the_agent_may_do(gate: Gate, infra: Gate, token: str) -> None:
    mine = {p.action: p for p in gate.permissions()}
    assert "deploy:staging" in mine and "deploy:production" not in mine
    assert (mine["deploy:staging"].policy, mine["deploy:staging"].condition) == ("no-prod-v1", None)
    assert {p.action: p.condition for p in infra.permissions()}["infra:apply"] == "session"

    async def awaited() -> List[Permission]:
        async with AsyncGate("deploy-bot", token, timeout=60) as other:
            return await other.permissions()

    assert asyncio.run(awaited()) == list(mine.values())


def test_columns_of_a_later_server_are_kept() -> None:
    row = {"action": "a:b", "target": None, "condition": None, "rule": "allow:1 a:b", "policy": "p-v1"}
    permission = Permission.from_row({**row, "limit": "10 per 1h"})
    assert (permission.action, permission.target, permission.other) == ("a:b", None, {"limit": "10 per 1h"})
    assert (permission.exceptions, permission.org) == ((), None)
    permission = Permission.from_row({**row, "exceptions": ["a:c"], "org": "acme"})
    assert (permission.exceptions, permission.org, permission.other) == (("a:c",), "acme", {})


def test_functions_that_the_server_does_not_have_are_no_answer(token: str) -> None:
    with Gate("deploy-bot", token, dsn="dbname=template1", timeout=60) as gate:
        for function, call in (
            ("claiim_check", lambda: gate.check("deploy:staging", "x")),
            ("claiim_complete", lambda: gate.complete("chr_x", "succeeded")),
            ("claiim_permissions", gate.permissions),
            ("claiim_session_status", lambda: gate.session_status("ses_x")),
            ("claiim_request_session", lambda: gate.request_session("a:b", "x", "why")),
        ):
            with pytest.raises(GateUnavailable, match=function) as raised:
                call()
            assert raised.value.sqlstate == "42883"
            assert raised.value.lasting
    assert issubclass(SessionNotActive, GateError)
