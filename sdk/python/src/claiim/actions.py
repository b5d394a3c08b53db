"""An action between the gate and its completion.

Entered on ALLOW only.  What becomes of it is recorded: succeeded, failed with
the exception's type (its text may hold what does not belong in a record), or
cancelled, by whoever waits for it or by the user.  That recording does not get in the action's way: if it fails, the
action's own result or exception stands, and the log says so.
"""

import asyncio
import functools
import inspect
import logging
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Awaitable, Callable, Dict, Optional, Protocol, Tuple, Type, TypeVar, cast

from claiim.errors import GateMisuse
from claiim.results import Decision

logger = logging.getLogger("claiim")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Question:
    """What is asked before an action."""

    action: str
    target: str
    session: Optional[str] = None
    context: Any = None

    @staticmethod
    def maker(action: Any, target: Any, session: Any, context: Any) -> "QuestionMaker":
        """Of a guarded function's arguments: what is callable is called with them."""

        def make(*args: Any, **kwargs: Any) -> "Question":
            made = [part(*args, **kwargs) if callable(part) else part for part in parts]
            return Question(*made)

        parts = (action, target, session, context)
        return make


QuestionMaker = Callable[..., Question]


class SyncGate(Protocol):
    """What an action needs of a :class:`claiim.Gate`."""

    def check(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Decision:
        ...

    def complete(self, chron_id: str, status: str, detail: Any = None) -> str:
        ...


class AwaitableGate(Protocol):
    """What an action needs of a :class:`claiim.AsyncGate`."""

    async def check(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Decision:
        ...

    async def complete(self, chron_id: str, status: str, detail: Any = None) -> str:
        ...


class _Act:
    """One action: what was asked, what was answered, what became of it."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._decision: Optional[Decision] = None
        self._outcome: Optional[Tuple[str, Any]] = None
        self._begun = False

    def outcome(self, status: str, detail: Any = None) -> None:
        """What is to be recorded if the block ends without an exception."""
        self._outcome = (status, detail)

    def _begin(self) -> Question:
        if self._begun:
            raise GateMisuse("an action was asked for once, and is done once: make another one")
        self._begun = True
        return self._question

    def _allowed(self, decision: Decision) -> Decision:
        self._decision = decision.require()
        return decision

    def _end(self, error: Optional[BaseException]) -> Tuple[str, str, Any]:
        assert self._decision is not None
        if error is None:
            status, detail = self._outcome or ("succeeded", None)
        elif isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)):
            status, detail = "cancelled", None
        else:
            status, detail = "failed", {"error": type(error).__name__}
        return self._decision.chron_id, status, detail

    def _not_recorded(self, error: BaseException) -> None:
        assert self._decision is not None
        why = str(error) or type(error).__name__
        logger.warning("the outcome of %s was not recorded: %s", self._decision.chron_id, why)


class Action(_Act):
    """What :meth:`claiim.Gate.action` returns: to be entered, once."""

    def __init__(self, gate: SyncGate, question: Question) -> None:
        super().__init__(question)
        self._gate = gate

    def __enter__(self) -> Decision:
        asked = self._begin()
        return self._allowed(
            self._gate.check(asked.action, asked.target, session=asked.session, context=asked.context)
        )

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            self._gate.complete(*self._end(error))
        except BaseException as failure:
            self._not_recorded(failure)
            if not isinstance(failure, Exception):
                raise


class AsyncAction(_Act):
    """What :meth:`claiim.AsyncGate.action` returns: to be entered, once."""

    def __init__(self, gate: AwaitableGate, question: Question) -> None:
        super().__init__(question)
        self._gate = gate

    async def __aenter__(self) -> Decision:
        asked = self._begin()
        return self._allowed(
            await self._gate.check(asked.action, asked.target, session=asked.session, context=asked.context)
        )

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        # A cancellation of this task does not cancel the recording of it.
        await asyncio.shield(self._complete(error))

    async def _complete(self, error: Optional[BaseException]) -> None:
        try:
            await self._gate.complete(*self._end(error))
        except BaseException as failure:
            self._not_recorded(failure)
            if not isinstance(failure, Exception):
                raise


class _InThreads:
    """A Gate as an AwaitableGate: its calls wait in threads."""

    def __init__(self, gate: SyncGate) -> None:
        self._gate = gate

    async def check(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Decision:
        call = functools.partial(self._gate.check, action, target, session=session, context=context)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    async def complete(self, chron_id: str, status: str, detail: Any = None) -> str:
        call = functools.partial(self._gate.complete, chron_id, status, detail)
        return await asyncio.get_running_loop().run_in_executor(None, call)


# From what a guarded function returned: the status to record, and its detail.
Judge = Callable[[Any], Optional[Tuple[str, Any]]]


def guarded(gate: Any, make: QuestionMaker, judge: Optional[Judge] = None) -> Callable[[F], F]:
    """The decorator behind ``guard`` and all of :mod:`claiim.guards`.

    :param gate: a Gate, or an AsyncGate for coroutine functions.
    :param make: the question, of the function's arguments.
    :param judge: the outcome, of what the function returned, where a failure is not
        an exception.
    """

    def decorate(function: F) -> F:
        if is_coroutine_function(function):
            return cast(F, _guard_coroutine(gate, make, judge, function))
        _refuse_late(gate, function)
        return cast(F, _guard_function(gate, make, judge, function))

    return decorate


def _guard_function(gate: Any, make: QuestionMaker, judge: Optional[Judge], function: Any) -> Any:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        action = Action(gate, make(*args, **kwargs))
        with action:
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                # It has not run yet, and would run when this is over.
                getattr(result, "close", lambda: None)()
                raise GateMisuse(f"{_name(function)} returned an awaitable: guard a coroutine function")
            _refuse_generator(function, result)
            _judge(action, judge, result)
        return result

    return run


def _guard_coroutine(gate: Any, make: QuestionMaker, judge: Optional[Judge], function: Any) -> Any:
    awaitable: AwaitableGate = gate if is_async_gate(gate) else _InThreads(gate)

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        action = AsyncAction(awaitable, make(*args, **kwargs))
        async with action:
            result = await cast(Awaitable[Any], function(*args, **kwargs))
            _refuse_generator(function, result)
            _judge(action, judge, result)
        return result

    return run


def _judge(action: _Act, judge: Optional[Judge], result: Any) -> None:
    outcome = judge(result) if judge is not None else None
    if outcome is not None:
        action.outcome(*outcome)


def _refuse_late(gate: Any, function: Any) -> None:
    """What runs when the call has returned already cannot be guarded by it."""
    for body in (function, getattr(type(function), "__call__", None)):
        if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
            raise GateMisuse(f"{_name(function)} is a generator function, whose body runs after its call")
    if is_async_gate(gate):
        raise GateMisuse(f"{_name(function)} is not a coroutine function: guard it with a Gate")


def _refuse_generator(function: Any, result: Any) -> None:
    """One that was returned has not run yet either."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        getattr(result, "close", lambda: None)()
        raise GateMisuse(f"{_name(function)} returned a generator, whose body would run after its call")


def is_async_gate(gate: Any) -> bool:
    """Is it an AsyncGate, rather than a Gate?"""
    return inspect.iscoroutinefunction(getattr(gate, "check", None))


def is_coroutine_function(function: Any) -> bool:
    """Also for an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)
    )


def arguments_by_name(function: Any, args: Any, kwargs: Any) -> Dict[str, Any]:
    """A call's arguments under the names that the function gives them, with its defaults."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name))
    return arguments


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
