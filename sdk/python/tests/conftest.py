"""What the tests share; how they are counted."""

import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parent / "stand_ins"))

from proxy import Proxy  # noqa: E402
from world import DATABASE, POOL_ROLE, World  # noqa: E402

import claiim  # noqa: E402

# All that tests can need is here: one that is skipped has failed.
REQUIRE_ALL = os.environ.get("CLAIIM_REQUIRE_ALL") == "1"


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The server, with the agents in it, as the environment of this process."""
    home = os.environ.get("CLAIIM_TEST_HOME")
    if not home:
        pytest.exit("run these tests by tools/check.sh sdk: they need a server of their own", 2)
    os.environ.update(PGDATABASE=DATABASE, PGUSER=POOL_ROLE)
    made = World(Path(home))
    made.make()
    yield made


@pytest.fixture(scope="session")
def token(world: World) -> str:
    """deploy-bot's."""
    return world.token("deploy-bot")


@pytest.fixture
def gate(world: World, token: str) -> Iterator[claiim.Gate]:
    """deploy-bot's, patient: these tests are not about time."""
    with claiim.Gate("deploy-bot", token, timeout=60) as gate:
        yield gate


@pytest.fixture
def proxy(world: World, tmp_path_factory: Any) -> Iterator[Proxy]:
    """Stands between an agent and the server, and fails on demand."""
    with Proxy(world.home / f".s.PGSQL.{os.environ['PGPORT']}") as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAIIM_DSN", "CLAIIM_TOKEN", "CLAIIM_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


# tools/check/sdk.sh reads how many there were, and why any were skipped.
_outcomes: Dict[str, str] = {}
_reasons: List[str] = []


def pytest_runtest_logreport(report: Any) -> None:
    if report.failed:
        _outcomes[report.nodeid] = "failed"
    elif report.skipped:
        _outcomes.setdefault(report.nodeid, "failed" if REQUIRE_ALL else "skipped")
        _reasons.append(f"{report.nodeid.split('::')[0]}: {report.longrepr[2].split(': ', 1)[-1]}")
    elif report.when == "call":
        _outcomes.setdefault(report.nodeid, "passed")


def pytest_sessionfinish(session: Any) -> None:
    path = os.environ.get("CLAIIM_TEST_RESULT")
    if not path:
        return
    counts = [list(_outcomes.values()).count(kind) for kind in ("passed", "failed", "skipped")]
    counts[1] += session.testsfailed and not counts[1]
    Path(path + ".skipped").write_text(
        "".join(f"{reason} x {_reasons.count(reason)}\n" for reason in sorted(set(_reasons)))
    )
    Path(path).write_text("{} {} {}\n".format(*counts))
