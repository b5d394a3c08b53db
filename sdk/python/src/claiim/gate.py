"""The gate, for threads.  :mod:`claiim.aio` has the same for asyncio."""

import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Callable, Iterable, List, NoReturn, Optional, Tuple, Type, TypeVar, Union

from claiim import _statements as statements
from claiim._drive import Client
from claiim._pool import Pool
from claiim._secret import Secret, token_source, wrapped
from claiim.actions import Action, Question, guarded
from claiim.errors import GateMisuse, GateUnavailable, SessionNotActive
from claiim.results import Decision, Permission, SessionStatus, only

F = TypeVar("F", bound=Callable[..., Any])


class _Agent:
    """Who asks, and how that is proved: what both gates have in common."""

    _agent_id = ""  # so that one that could not be made can be shown

    def __init__(self, agent_id: str, token: Optional[Secret]) -> None:
        if not isinstance(agent_id, str) or not agent_id:
            raise GateMisuse("agent_id is the agent's name in the registry")
        self._agent_id = agent_id
        self._token = token_source(token)

    @property
    def agent_id(self) -> str:
        """The agent's name in the registry."""
        return self._agent_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(agent_id={self._agent_id!r})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} has connections and a token: make another one instead")


class Gate(_Agent):
    """Asks the gate on behalf of one agent.  Threads may share it; a fork may inherit it.

    :param agent_id: the agent's name in the registry.
    :param token: its token.  If it is None, CLAIIM_TOKEN is taken, or what is in the
        file that CLAIIM_TOKEN_FILE names (read for each call); if there is neither, the
        database role that connects has to be the agent's own.
    :param dsn: where the gate is, as a libpq connection string or URI.  If it is None,
        CLAIIM_DSN; what that leaves open is libpq's own environment (PGHOST, ...).
    :param timeout: seconds for all of a call: waiting for a connection, connecting,
        asking, and a second attempt.
    :param pool_size: how many connections are in use at most, and kept.
    :param prepare: use prepared statements.  Not through a pooler in transaction mode
        that does not know them (PgBouncer before 1.21).

    Every method raises :class:`GateUnavailable` where there is no answer in time, and
    :class:`GateMisuse` where the call is wrong.  In either case nothing is allowed.
    """

    def __init__(
        self,
        agent_id: str,
        token: Optional[str] = None,
        dsn: Optional[str] = None,
        *,
        timeout: float = 5.0,
        pool_size: int = 4,
        prepare: bool = False,
    ) -> None:
        secret = wrapped(token)
        del token
        super().__init__(agent_id, secret)
        self._client = Client(Pool(dsn, prepare), pool_size, timeout)

    def check(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Decision:
        """May this agent do ``action`` on ``target``, now?

        A DENY is an answer, not an exception: look at ``.allowed``, or use
        :meth:`action` or :meth:`guard`, which do.  Do not keep an ALLOW for later.

        :param session: the id of an approved session.
        :param context: what else to keep with the decision; Chron has a digest of it:
            anything that JSON can say.
        """
        rows = self._client.run(
            statements.check(self._agent_id, self._token(), action, target, session, context)
        )
        return Decision.from_row(only(rows, 1)[0], self._agent_id, action, target)

    def check_many(
        self,
        questions: Iterable[Tuple[str, str]],
        *,
        session: Optional[str] = None,
        context: Any = None,
    ) -> List[Decision]:
        """Several questions in one round trip, as pairs of action and target, at most 100.

        The decisions are in the questions' order.  Each is one of its own: one DENY
        does not deny the others.  An error is one of all of them.
        """
        asked = list(questions)
        rows = self._client.run(statements.check_many(self._agent_id, self._token(), asked, session, context))
        return [
            Decision.from_row(row, self._agent_id, action, target)
            for row, (action, target) in zip(only(rows, len(asked)), asked)
        ]

    def complete(self, chron_id: str, status: str, detail: Any = None) -> str:
        """Records what became of an action that was allowed, once.

        :param chron_id: of the ALLOW.
        :param status: ``succeeded``, ``failed`` or ``cancelled``.
        :param detail: more of it, as anything that JSON can say.  No secrets: it stays.
        :return: the chron_id of this record.
        """
        rows = self._client.run(statements.complete(self._token(), chron_id, status, detail))
        return str(only(rows, 1)[0]["chron_id"])

    def permissions(self) -> List[Permission]:
        """What the agent may do, as of now; recorded nowhere, and no decision."""
        rows = self._client.run(statements.permissions(self._agent_id, self._token()))
        return [Permission.from_row(row) for row in rows]

    def request_session(
        self,
        actions: Union[str, Iterable[str]],
        targets: Union[str, Iterable[str]],
        reason: str,
        *,
        ticket: Optional[str] = None,
        valid_for: timedelta = timedelta(hours=1),
        max_uses: Optional[int] = None,
    ) -> str:
        """Asks humans for a session in which these actions on these targets are approved.

        :return: its id, for :meth:`wait_for_session`, and then for ``session=``.
        """
        rows = self._client.run(
            statements.request_session(
                self._agent_id, self._token(), actions, targets, reason, ticket, valid_for, max_uses
            )
        )
        return str(only(rows, 1)[0]["session"])

    def session_status(self, session: str) -> SessionStatus:
        """What has become of a session."""
        rows = self._client.run(statements.session_status(self._agent_id, self._token(), session))
        return SessionStatus.from_row(only(rows, 1)[0])

    def wait_for_session(
        self, session: str, *, timeout: Optional[float] = None, interval: float = 2.0
    ) -> SessionStatus:
        """Waits until a session is active, looking every ``interval`` seconds.

        A gate that cannot be reached in the meantime is waited for as well.

        :param timeout: seconds; None: until humans have decided.
        :raises SessionNotActive: it cannot become active any more, or the time is over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            last: Union[SessionStatus, GateUnavailable]
            try:
                last = self.session_status(session)
            except GateUnavailable as error:
                last = error
            pause = next_look(last, deadline, interval)
            if isinstance(last, SessionStatus) and last.active:
                return last
            time.sleep(pause)

    def action(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Action:
        """A ``with`` block that is entered only on ALLOW, and completed with its outcome::

            with gate.action("deploy:staging", "api-v2") as decision:
                deploy()

        :raises Denied: on entering, if the gate says DENY.
        """
        return Action(self, Question(action, target, session, context))

    def guard(
        self,
        action: Union[str, Callable[..., Any]],
        target: Union[str, Callable[..., Any]],
        *,
        session: Union[None, str, Callable[..., Any]] = None,
        context: Any = None,
    ) -> Callable[[F], F]:
        """A decorator: the function runs only on ALLOW, and its outcome is recorded::

            @gate.guard(action="deploy:staging", target=lambda service: service)
            def deploy(service): ...

        Each of the arguments can be a function; it is called with the arguments of the
        guarded one.  A coroutine function is guarded without blocking its event loop.

        :raises Denied: from the decorated function, if the gate says DENY.
        """
        return guarded(self, Question.maker(action, target, session, context))

    def close(self) -> None:
        """Ends the connections.  A closed gate allows nothing."""
        self._client.close()

    def __enter__(self) -> "Gate":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()


def next_look(
    last: Union[SessionStatus, GateUnavailable], deadline: Optional[float], interval: float
) -> float:
    """How long to wait before looking at a session again; raises if there is no point in it."""
    if isinstance(last, SessionStatus):
        if last.active:
            return 0.0
        if not last.pending:
            raise SessionNotActive(last)
    elif last.lasting:
        raise last
    if deadline is None:
        return interval
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise SessionNotActive(last) if isinstance(last, SessionStatus) else last
    return min(interval, remaining)
