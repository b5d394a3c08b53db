"""The gate, for asyncio.  See :mod:`claiim.gate`, whose surface this is."""

import asyncio
import time
from datetime import timedelta
from types import TracebackType
from typing import Any, Callable, Iterable, List, Optional, Tuple, Type, Union

from claiim import _statements as statements
from claiim._drive import AsyncClient
from claiim._pool import Pool
from claiim._secret import wrapped
from claiim.actions import AsyncAction, Question, guarded
from claiim.errors import GateUnavailable
from claiim.gate import F, _Agent, next_look
from claiim.results import Decision, Permission, SessionStatus, only


class AsyncGate(_Agent):
    """:class:`claiim.Gate` with coroutines; the same parameters, methods and errors.

    A cancelled call has no answer.  It may have been recorded; its connection is
    closed, and the next one makes another.
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
        self._client = AsyncClient(Pool(dsn, prepare), pool_size, timeout)

    async def check(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Decision:
        """See :meth:`claiim.Gate.check`."""
        rows = await self._client.run(
            statements.check(self._agent_id, self._token(), action, target, session, context)
        )
        return Decision.from_row(only(rows, 1)[0], self._agent_id, action, target)

    async def check_many(
        self,
        questions: Iterable[Tuple[str, str]],
        *,
        session: Optional[str] = None,
        context: Any = None,
    ) -> List[Decision]:
        """See :meth:`claiim.Gate.check_many`."""
        asked = list(questions)
        rows = await self._client.run(
            statements.check_many(self._agent_id, self._token(), asked, session, context)
        )
        return [
            Decision.from_row(row, self._agent_id, action, target)
            for row, (action, target) in zip(only(rows, len(asked)), asked)
        ]

    async def complete(self, chron_id: str, status: str, detail: Any = None) -> str:
        """See :meth:`claiim.Gate.complete`."""
        rows = await self._client.run(statements.complete(self._token(), chron_id, status, detail))
        return str(only(rows, 1)[0]["chron_id"])

    async def permissions(self) -> List[Permission]:
        """See :meth:`claiim.Gate.permissions`."""
        rows = await self._client.run(statements.permissions(self._agent_id, self._token()))
        return [Permission.from_row(row) for row in rows]

    async def request_session(
        self,
        actions: Union[str, Iterable[str]],
        targets: Union[str, Iterable[str]],
        reason: str,
        *,
        ticket: Optional[str] = None,
        valid_for: timedelta = timedelta(hours=1),
        max_uses: Optional[int] = None,
    ) -> str:
        """See :meth:`claiim.Gate.request_session`."""
        rows = await self._client.run(
            statements.request_session(
                self._agent_id, self._token(), actions, targets, reason, ticket, valid_for, max_uses
            )
        )
        return str(only(rows, 1)[0]["session"])

    async def session_status(self, session: str) -> SessionStatus:
        """See :meth:`claiim.Gate.session_status`."""
        rows = await self._client.run(statements.session_status(self._agent_id, self._token(), session))
        return SessionStatus.from_row(only(rows, 1)[0])

    async def wait_for_session(
        self, session: str, *, timeout: Optional[float] = None, interval: float = 2.0
    ) -> SessionStatus:
        """See :meth:`claiim.Gate.wait_for_session`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            last: Union[SessionStatus, GateUnavailable]
            try:
                last = await self.session_status(session)
            except GateUnavailable as error:
                last = error
            pause = next_look(last, deadline, interval)
            if isinstance(last, SessionStatus) and last.active:
                return last
            await asyncio.sleep(pause)

    def action(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> AsyncAction:
        """An ``async with`` block; see :meth:`claiim.Gate.action`."""
        return AsyncAction(self, Question(action, target, session, context))

    def guard(
        self,
        action: Union[str, Callable[..., Any]],
        target: Union[str, Callable[..., Any]],
        *,
        session: Union[None, str, Callable[..., Any]] = None,
        context: Any = None,
    ) -> Callable[[F], F]:
        """A decorator for coroutine functions; see :meth:`claiim.Gate.guard`."""
        return guarded(self, Question.maker(action, target, session, context))

    async def close(self) -> None:
        """Ends the connections.  A closed gate allows nothing."""
        self._client.close()

    async def __aenter__(self) -> "AsyncGate":
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.close()
