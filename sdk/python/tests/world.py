"""The private server that the tests run against, and the people and agents in it.

tools/check/sdk.sh starts the server and says in CLAIIM_TEST_HOME where it is.
The tests run as its own user: they stop it, restart it, and freeze its writer.
"""

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import psycopg

REPOSITORY = Path(__file__).resolve().parents[3]
DATABASE = "agents"
# The role that the tests' processes connect as: it is bound to no agent, so it
# takes a token to be one.
POOL_ROLE = "app"


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """What the condition comes to be, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


def impatient(gate: Any, seconds: float) -> None:
    """So much time for a call from now on: on a machine that is busy, connecting may take more."""
    gate._client._timeout = seconds


class World:
    """The server, as its superuser sees it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._tokens: List[str] = []

    def sql(
        self, query: str, *parameters: Any, role: str = "", database: str = DATABASE
    ) -> List[Tuple[Any, ...]]:
        """The rows of a query, as the superuser, or as somebody else's role."""
        with psycopg.connect(user="postgres", dbname=database, autocommit=True) as connection:
            if role:
                connection.execute(f"SET SESSION AUTHORIZATION {role}")
            cursor = connection.execute(query, parameters or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *parameters: Any, role: str = "") -> Any:
        return self.sql(query, *parameters, role=role)[0][0]

    def two_people(self, proposal: str) -> str:
        """What one human proposes and another approves; the change's id."""
        change: str = self.value(f"SELECT claiim.{proposal}", role="s_emp1")
        self.sql("SELECT claiim.approve(%s)", change, role="s_emp2")
        return change

    def token(self, agent: str) -> str:
        token: str = self.value(
            "SELECT token FROM claiim.issue_token(%s, '1 day', 'tests')", agent, role="s_emp1"
        )
        self._tokens.append(token)
        return token

    @property
    def secrets(self) -> List[str]:
        """What of the tokens must not show anywhere: what comes after the identifier."""
        return [token[-43:] for token in self._tokens]

    def has(self, function: str) -> bool:
        return bool(self.sql("SELECT 1 FROM pg_proc WHERE proname = %s", function))

    def decisions(self, target: str) -> List[str]:
        """The outcomes that Chron has about a target, in its order."""
        rows = self.sql(
            "SELECT outcome FROM claiim.chron WHERE target = %s AND kind = 'decision' ORDER BY seq", target
        )
        return [row[0] for row in rows]

    def log(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")

    # Stopping and starting

    def pg_ctl(self, *arguments: str) -> None:
        subprocess.run(
            ["pg_ctl", "-D", str(self.home / "data"), "-s", "-w", "-t", "120", *arguments],
            check=True,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=150,
        )

    def running(self) -> bool:
        return (
            subprocess.run(
                ["pg_ctl", "-D", str(self.home / "data"), "status"], cwd=self.home, stdout=subprocess.DEVNULL
            ).returncode
            == 0
        )

    def start(self) -> None:
        self.pg_ctl("-l", str(self.home / "server.log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.pg_ctl("-m", mode, "stop")

    @contextmanager
    def stopped(self, mode: str = "immediate") -> Iterator[None]:
        self.stop(mode)
        try:
            yield
        finally:
            if not self.running():
                self.start()

    @contextmanager
    def frozen_writer(self) -> Iterator[None]:
        """The process that records is stopped as a debugger would stop it."""
        self.sql("SELECT outcome FROM claiim_check('nobody', 'start', 'the writer')")
        pid = wait_until(self._writer, "there is a writer")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def _writer(self) -> int:
        rows = self.sql(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'claiim writer' AND datname = %s", DATABASE
        )
        return rows[0][0] if rows else 0

    def askers(self) -> List[Tuple[int, str]]:
        """Who waits for the writer: process and statement."""
        return self.sql(  # type: ignore[return-value]
            "SELECT pid, query FROM pg_stat_activity WHERE usename = %s AND state = 'active'", POOL_ROLE
        )

    def connections(self) -> List[int]:
        return [row[0] for row in self.sql("SELECT pid FROM pg_stat_activity WHERE usename = %s", POOL_ROLE)]

    def alone(self) -> None:
        """The connections of the tests before have left, which they do when they have time."""
        wait_until(lambda: not self.connections(), "no connection is left")

    def connections_made(self) -> int:
        return self.log().count(f"connection authorized: user={POOL_ROLE} ")

    # How it began

    def make(self) -> None:
        self.sql(f"CREATE DATABASE {DATABASE}", database="postgres")
        for setting in (
            "log_connections = on",
            # Whatever a server could write of a token into its log.
            "log_statement = 'all'",
            "log_duration = on",
            "log_parameter_max_length = -1",
            "log_parameter_max_length_on_error = -1",
            "log_error_verbosity = verbose",
        ):
            self.sql(f"ALTER SYSTEM SET {setting}")
        self.sql("SELECT pg_reload_conf()")
        self.sql("SET client_min_messages = error; CREATE EXTENSION claiim CASCADE")
        for role in ("s_emp1", "s_emp2", "deploy_bot", POOL_ROLE):
            self.sql(f"CREATE ROLE {role} LOGIN")
        self.sql(f"GRANT claiim_agent TO {POOL_ROLE}")
        self.sql("SELECT claiim.bootstrap('engineering', 's.emp1', 's_emp1', 's.emp2', 's_emp2')")
        for kind, name in (
            ("skill", "deploy-v1"),
            ("skill", "deploy-v2"),
            ("skill", "infra-v1"),
            ("policy", "no-prod-v1"),
            ("policy", "infra-guarded-v1"),
        ):
            folder = "skills" if kind == "skill" else "policies"
            source = (REPOSITORY / "examples" / folder / f"{name}.yaml").read_text()
            self.sql(
                f"SELECT claiim.publish_{kind}(%s, %s, 'engineering')",
                name.rsplit("-", 1)[0],
                source,
                role="s_emp1",
            )
        self.two_people("register_agent('deploy-bot', 'engineering', 's.emp1', '{deploy}', 'deploy_bot')")
        self.two_people("bind_policy('deploy-bot', 'no-prod-v1')")
        self.two_people("register_agent('infra-bot', 'engineering', 's.emp1', '{infra}')")
        self.two_people("bind_policy('infra-bot', 'infra-guarded-v1')")
