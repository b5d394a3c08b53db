"""The token is bound as a parameter, and shows nowhere."""

import asyncio
import copy
import io
import logging
import traceback
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from proxy import Proxy
from world import World, wait_until

from claiim import AsyncGate, Gate, GateError, GateMisuse
from claiim._secret import Secret


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that anything logs in this process."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def shown(error: BaseException) -> str:
    """All that a crash reporter would write of it, local variables of this package included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    for one in _chain(told):
        # Those of this test hold the token themselves.
        one.stack[:] = [frame for frame in one.stack if frame.filename != __file__]
    return "".join(told.format()) + repr(error) + str(error) + repr(error.args) + repr(vars(error))


def _chain(told: Any) -> List[Any]:
    links = [told]
    for link in links:
        links.extend(more for more in (link.__cause__, link.__context__) if more is not None)
    return links


def errors_of(world: World, token: str, proxy: Proxy, tmp_path: Path) -> Iterator[GateError]:
    """Every kind of failure that a call can meet."""
    wrong_calls = [
        ("", "x"),
        ("deploy:staging", "a/../b"),
        ("deploy:staging", "x" * 3000),
        ("deploy:staging", token),
    ]
    with Gate("deploy-bot", token, timeout=60) as gate:
        for action, target in wrong_calls[:3]:
            with pytest.raises(GateError) as raised:
                gate.check(action, target)
            yield raised.value
        with pytest.raises(GateError) as raised:
            gate.complete("chr_wrong", "succeeded")
        yield raised.value
    for dsn in (f"host={tmp_path}", "user=s_emp2", "dbname=template1", "user=nobody_there"):
        with Gate("deploy-bot", token, dsn=dsn, timeout=60) as gate, pytest.raises(GateError) as raised:
            gate.check("deploy:staging", "x")
        yield raised.value
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=60) as gate:
        proxy.lose_answers = 99
        with pytest.raises(GateError) as raised:
            gate.check("deploy:staging", "x")
        yield raised.value
        proxy.lose_answers = 0
    with Gate("deploy-bot", token, dsn=proxy.dsn, timeout=1) as gate:
        proxy.silent = True
        with pytest.raises(GateError) as raised:
            gate.check("deploy:staging", "x")
        yield raised.value
        proxy.silent = False

    async def awaited() -> None:
        async with AsyncGate("deploy-bot", token, dsn=f"host={tmp_path}", timeout=60) as gate:
            await gate.check("deploy:staging", "x")

    with pytest.raises(GateError) as raised:
        asyncio.run(awaited())
    yield raised.value


def test_no_error_shows_it(
    world: World, token: str, proxy: Proxy, tmp_path: Path, logged: io.StringIO
) -> None:
    errors = list(errors_of(world, token, proxy, tmp_path))
    assert len(errors) == 11
    for error in errors:
        assert token[-43:] not in shown(error)
        assert error.__context__ is None and error.__cause__ is None
    assert token[-43:] not in logged.getvalue()


def test_the_trap_of_these_tests_works(token: str) -> None:
    def fails(secret: str) -> None:
        raise ValueError("with the token in a local variable")

    with pytest.raises(ValueError) as raised:
        exec(compile("def f(g, t):\n    kept = t\n    g(t)", "elsewhere", "exec"), names := {})
        names["f"](fails, token)
    assert token[-43:] in shown(raised.value)


def test_neither_a_gate_nor_what_it_is_made_of_shows_it(gate: Gate, token: str) -> None:
    for thing in (gate, AsyncGate("deploy-bot", token), vars(gate), vars(gate._client), Secret(token)):
        assert token[-43:] not in repr(thing)
        assert token[-43:] not in str(thing)
    for copier in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(gate)
        with pytest.raises(TypeError):
            copier(Secret(token))
    assert gate._token().reveal() == token  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [Gate, AsyncGate])
def test_a_gate_that_cannot_be_made_shows_it_neither(kind: Any, token: str) -> None:
    for arguments, options in (
        (("", token), {}),
        (("deploy-bot", token.encode()), {}),
        (("deploy-bot", token), {"timeout": 0}),
        (("deploy-bot", token), {"dsn": "no connection string"}),
    ):
        with pytest.raises(GateMisuse) as raised:
            kind(*arguments, **options)
        assert token[-43:] not in shown(raised.value)


def test_a_password_in_the_dsn_is_not_shown(world: World) -> None:
    with pytest.raises(GateMisuse) as raised:
        Gate("deploy-bot", dsn="host=x pass word hunter2=")
    assert "hunter2" not in str(raised.value) + repr(raised.value)
    assert raised.value.__context__ is None
    gate = Gate("deploy-bot", dsn="host=/nowhere password=hunter2", timeout=60)
    assert "hunter2" not in repr(gate) + str(vars(gate))
    with pytest.raises(GateError) as raised2:
        gate.check("deploy:staging", "x")
    assert "hunter2" not in shown(raised2.value)


def test_a_token_file_that_is_not_text_is_not_shown(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_bytes(token.encode() + b"\xff")
    monkeypatch.setenv("CLAIIM_TOKEN_FILE", str(path))
    with pytest.raises(GateMisuse) as raised:
        Gate("deploy-bot")
    assert token[-43:] not in shown(raised.value)
    path.write_text("\n")
    with pytest.raises(GateMisuse, match="empty"):
        Gate("deploy-bot")


def test_what_a_server_says_is_shown_without_it(token: str) -> None:
    from claiim._statements import check
    from claiim._wire import _refusal

    class Refused:
        sqlstate = "XX000"
        text = f"unnamed portal with parameters: $4 = '{token}'"

    error = _refusal(Refused(), check("deploy-bot", Secret(token), "a:b", "x", None, None))  # type: ignore[arg-type]
    assert str(error) == "unnamed portal with parameters: $4 = '***' (XX000)"


def test_a_token_that_is_passed_as_something_else_is_not_repeated(gate: Gate, token: str) -> None:
    with pytest.raises(GateMisuse) as raised:
        gate.check("deploy:staging", token)
    assert token[-43:] not in str(raised.value)


def test_the_server_sees_it_as_a_parameter_only(world: World, gate: Gate, token: str) -> None:
    gate.check("deploy:staging", "warm")
    with world.frozen_writer():
        import threading

        asking = threading.Thread(target=gate.check, args=("deploy:staging", "seen"))
        asking.start()
        (_, statement), *more = wait_until(world.askers, "the question waits")
    asking.join(120)
    assert more == []
    assert statement.startswith("SELECT * FROM claiim_check($1, $2, $3, token => $4")
    assert token not in statement and "ctk_" not in statement


def test_the_servers_log_has_no_token_in_it(world: World, gate: Gate, token: str) -> None:
    gate.check("deploy:staging", "logged")
    with pytest.raises(GateMisuse):
        gate.check("deploy:staging", "a/../b")
    log = world.log()
    assert "parameters: $1 = 'deploy-bot'" in log
    assert world.secrets
    for secret in world.secrets:
        assert secret not in log
