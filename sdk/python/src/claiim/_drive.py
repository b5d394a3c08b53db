"""The two that wait: for a thread, and in an event loop.

Both run the steps of _wire.py, and throw DeadlinePassed into them where they
would have to wait past the deadline.  Both close them whatever happens, which
closes a connection that is in use.
"""

import asyncio
import os
import selectors
import threading
import time
import weakref
from typing import Any, Callable, Optional, TypeVar

from claiim._pool import Pool
from claiim._statements import Statement
from claiim._wire import Blocking, DeadlinePassed, Rows, Steps, Wait, ask
from claiim.errors import GateError, GateMisuse, GateUnavailable

T = TypeVar("T")


def drive(steps: Steps[T], deadline: float) -> T:
    """Runs the steps in this thread.  Looking up a name takes as long as it takes."""
    resume: Callable[[Any], Any] = steps.send
    value: Any = None
    try:
        while True:
            step = resume(value)
            resume = steps.send
            try:
                if isinstance(step, Wait):
                    value = _wait(step, deadline)
                elif isinstance(step, Blocking):
                    value = step.call()
                else:
                    time.sleep(min(step.seconds, _remaining(deadline)))
                    value = None
            except Exception as error:
                resume, value = steps.throw, error
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


async def drive_async(steps: Steps[T], deadline: float) -> T:
    """Runs the steps in the running loop.  Names are looked up in a thread."""
    resume: Callable[[Any], Any] = steps.send
    value: Any = None
    try:
        while True:
            step = resume(value)
            resume = steps.send
            try:
                if isinstance(step, Wait):
                    value = await _wait_async(step, deadline)
                elif isinstance(step, Blocking):
                    value = await _call_async(step, deadline)
                else:
                    await asyncio.sleep(min(step.seconds, _remaining(deadline)))
                    value = None
            except Exception as error:
                resume, value = steps.throw, error
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise DeadlinePassed
    return remaining


def _wait(step: Wait, deadline: float) -> bool:
    events = selectors.EVENT_READ * step.read | selectors.EVENT_WRITE * step.write
    with selectors.DefaultSelector() as selector:
        selector.register(step.socket, events)
        ready = selector.select(_remaining(deadline))
    if not ready:
        raise DeadlinePassed
    return bool(ready[0][1] & selectors.EVENT_READ)


async def _wait_async(step: Wait, deadline: float) -> bool:
    loop = asyncio.get_running_loop()
    ready: "asyncio.Future[Optional[bool]]" = loop.create_future()

    def wake(readable: Optional[bool]) -> None:
        if not ready.done():
            ready.set_result(readable)

    # Not asyncio.wait_for: up to Python 3.11 it can swallow a cancellation.
    timer = loop.call_later(_remaining(deadline), wake, None)
    if step.read:
        loop.add_reader(step.socket, wake, True)
    if step.write:
        loop.add_writer(step.socket, wake, False)
    try:
        readable = await ready
    finally:
        timer.cancel()
        if step.read:
            loop.remove_reader(step.socket)
        if step.write:
            loop.remove_writer(step.socket)
    if readable is None:
        raise DeadlinePassed
    return readable


async def _call_async(step: Blocking, deadline: float) -> Any:
    loop = asyncio.get_running_loop()
    called = loop.run_in_executor(None, step.call)
    done, _ = await asyncio.wait({called}, timeout=_remaining(deadline))
    if not done:
        raise DeadlinePassed
    return called.result()


class Client:
    """Statements from many threads, at most ``size`` at a time."""

    def __init__(self, pool: Pool, size: int, timeout: float) -> None:
        self._pool = pool
        self._size = _positive("pool_size", size, int)
        self._timeout = _positive("timeout", timeout, (int, float))
        self._slots = threading.BoundedSemaphore(size)
        _clients.add(self)

    def run(self, statement: Statement) -> Rows:
        """The statement's rows; a GateError within the timeout otherwise."""
        deadline = time.monotonic() + self._timeout
        slots = self._slots
        if not slots.acquire(timeout=self._timeout):
            raise _busy(self._size)
        try:
            return drive(ask(self._pool, statement), deadline)
        except GateError as error:
            failure = error
        finally:
            slots.release()
        raise _bare(failure)

    def close(self) -> None:
        """Ends the connections."""
        self._pool.close()

    def forked(self) -> None:
        """In a forked child: the parent's connections, and who used them, are not ours."""
        self._slots = threading.BoundedSemaphore(self._size)
        self._pool.forget()


class AsyncClient:
    """Statements from many tasks, at most ``size`` at a time."""

    def __init__(self, pool: Pool, size: int, timeout: float) -> None:
        self._pool = pool
        self._size = _positive("pool_size", size, int)
        self._timeout = _positive("timeout", timeout, (int, float))
        # A semaphore is one loop's; connections can go from loop to loop.
        self._slots: Optional[asyncio.Semaphore] = None
        self._loop: Optional["weakref.ref[asyncio.AbstractEventLoop]"] = None
        _clients.add(self)

    async def run(self, statement: Statement) -> Rows:
        """The statement's rows; a GateError within the timeout otherwise."""
        deadline = time.monotonic() + self._timeout
        slots = self._slots_here()
        await self._acquire(slots, deadline)
        try:
            return await drive_async(ask(self._pool, statement), deadline)
        except GateError as error:
            failure = error
        finally:
            slots.release()
        raise _bare(failure)

    def _slots_here(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._slots is None or self._loop is None or self._loop() is not loop:
            self._slots = asyncio.Semaphore(self._size)
            self._loop = weakref.ref(loop)
        return self._slots

    async def _acquire(self, slots: asyncio.Semaphore, deadline: float) -> None:
        waiting = asyncio.ensure_future(slots.acquire())
        try:
            done, _ = await asyncio.wait({waiting}, timeout=max(0.0, deadline - time.monotonic()))
        except asyncio.CancelledError:
            _give_up(waiting, slots)
            raise
        if not done:
            _give_up(waiting, slots)
            raise _busy(self._size)

    def close(self) -> None:
        """Ends the connections."""
        self._pool.close()

    def forked(self) -> None:
        """In a forked child: the parent's connections, and who used them, are not ours."""
        self._slots = self._loop = None
        self._pool.forget()


def _give_up(waiting: "asyncio.Future[Any]", slots: asyncio.Semaphore) -> None:
    """Takes back a wish for a slot, and gives the slot back if it was granted just now."""
    waiting.cancel()
    waiting.add_done_callback(lambda wish: None if wish.cancelled() else slots.release())


def _bare(failure: GateError) -> GateError:
    """Without what it was raised from, whose frames hold the parameters."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def _busy(size: int) -> GateUnavailable:
    return GateUnavailable(f"all {size} connections to the gate are in use: the action must not run")


def _positive(name: str, value: Any, types: Any) -> Any:
    if not isinstance(value, types) or isinstance(value, bool) or not 0 < value < 1e6:
        raise GateMisuse(f"{name} is a number above 0, not {value!r}")
    return value


_clients: "weakref.WeakSet[Any]" = weakref.WeakSet()


def _forked() -> None:
    for client in list(_clients):
        client.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
