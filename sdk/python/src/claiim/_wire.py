"""One statement, from a connection to its rows, without any waiting.

These are generators.  They say what to wait for, and the two drivers in
_drive.py wait: with select for :class:`claiim.Gate`, in the event loop for
:class:`claiim.AsyncGate`.  So there is one path for both, and one deadline over
all of it: looking up the name, connecting, sending, the answer, and the second
attempt.  That, and that one knows at each moment whether the question has been
sent already, is why this speaks to libpq (through psycopg.pq) rather than
through a psycopg.Connection, whose connecting and whose statements have
separate limits or none.

Autocommit, the extended protocol, one round trip.  No prepared statement unless
asked for: a pooler in transaction mode may give the next statement another
server connection.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, Generator, List, Optional, TypeVar, Union

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGconn, PGresult

from claiim._pool import Connection, Pool
from claiim._secret import Secret
from claiim._statements import Effect, Statement
from claiim.errors import GateError, GateMisuse, GateUnavailable, OutcomeUnknown

logger = logging.getLogger("claiim")


@dataclass(frozen=True)
class Wait:
    """Until the socket can be read, or written.  Is sent back: can it be read?"""

    socket: int
    read: bool
    write: bool


@dataclass(frozen=True)
class Blocking:
    """Call this, which may block: it looks up a name.  Is sent back: its result."""

    call: Callable[[], Any]


@dataclass(frozen=True)
class Pause:
    """Before trying again."""

    seconds: float


class DeadlinePassed(Exception):
    """Thrown in by the driver where it would have to wait longer than it may."""


T = TypeVar("T")
Steps = Generator[Union[Wait, Blocking, Pause], Any, T]
Rows = List[Dict[str, Any]]

# A server that is restarting refuses connections for a moment.
_RETRY_PAUSE = 0.1

# Beside 22xxx, malformed: not proved who asks, completed already, not allowed to ask,
# no such session, too large.
_MISUSE = ("28000", "23505", "42501", "42704", "54000")

# Recorded, perhaps; answered, no.  57P01 and 57P02: our connection was ended.
_UNCONFIRMED = ("40003", "57014", "57P01", "57P02")
_CONNECTION_ENDED = ("57P01", "57P02")


class _Lost(Exception):
    """No answer came: the connection failed, or the time was over."""

    def __init__(self, text: str, sent: bool = False, late: bool = False) -> None:
        super().__init__()
        self.text = text
        self.sent = sent
        self.late = late


class _Refused(Exception):
    """The server answered with an error."""

    def __init__(self, result: PGresult) -> None:
        super().__init__()
        fields = (
            pq.DiagnosticField.SQLSTATE,
            pq.DiagnosticField.MESSAGE_PRIMARY,
            pq.DiagnosticField.MESSAGE_DETAIL,
            pq.DiagnosticField.MESSAGE_HINT,
        )
        # Not the context: a server that is told to puts parameters there.
        self.sqlstate, *texts = ((result.error_field(f) or b"").decode("utf-8", "replace") for f in fields)
        self.text = "; ".join(text.rstrip(".") for text in texts if text) or "unknown error"


def ask(pool: Pool, statement: Statement) -> Steps[Rows]:
    """The rows of the statement, or a GateError that says what is known.

    A connection that fails is tried a second time, once, on a fresh one.  After
    sending, only a statement that may be repeated is: a check that was recorded
    and not answered leaves a record more, and is never taken for an ALLOW.
    """
    sent = False
    for second in (False, True):
        try:
            return (yield from _attempt(pool, statement, second))
        except _Refused as refused:
            sent = True
            if second or statement.effect is Effect.ONCE or refused.sqlstate not in _CONNECTION_ENDED:
                raise _refusal(refused, statement) from None
        except _Lost as lost:
            sent = sent or lost.sent
            if second or lost.late or (sent and statement.effect is Effect.ONCE):
                raise _loss(lost.text, sent, statement) from None
        logger.debug("the connection to the gate failed; once more, on a fresh one")
    raise AssertionError("the second attempt returns or raises")


def _attempt(pool: Pool, statement: Statement, second: bool) -> Steps[Rows]:
    connection: Optional[Connection] = None
    sent = False
    try:
        if second:
            yield Pause(_RETRY_PAUSE)
        else:
            connection = pool.take()
        if connection is None:
            connection = yield from _connect(pool.conninfo)
        sent = True
        rows = yield from _execute(connection, statement, pool.prepare)
    except _Refused:
        if connection is not None:
            pool.give(connection)
        raise
    except BaseException as error:
        # Whoever gives up, be it by a cancellation, leaves nothing to be read by
        # the next: an answer may still come on this connection.
        if connection is not None:
            connection.close()
        if isinstance(error, DeadlinePassed):
            raise _Lost("the gate did not answer in time", sent, late=True) from None
        if isinstance(error, _Lost):
            error.sent = sent
        raise
    pool.give(connection)
    return rows


def _connect(conninfo: bytes) -> Steps[Connection]:
    pgconn: PGconn = yield Blocking(partial(pq.PGconn.connect_start, conninfo))
    try:
        # As libpq wants it: at first as if it had asked to write.
        write = True
        while pgconn.status != pq.ConnStatus.BAD:
            yield Wait(pgconn.socket, read=not write, write=write)
            status = pgconn.connect_poll()
            if status == pq.PollingStatus.OK:
                pgconn.nonblocking = 1
                return Connection(pgconn)
            if status == pq.PollingStatus.FAILED:
                break
            write = status == pq.PollingStatus.WRITING
        raise _Lost(_message(pgconn))
    except BaseException:
        pgconn.finish()
        raise


def _execute(connection: Connection, statement: Statement, prepare: bool) -> Steps[Rows]:
    pgconn = connection.pgconn
    sql = statement.sql.encode()
    try:
        if prepare:
            name = connection.prepared.get(sql)
            if name is None:
                name = b"claiim_%d" % len(connection.prepared)
                pgconn.send_prepare(name, sql)
                yield from _result(pgconn)
                connection.prepared[sql] = name
            pgconn.send_query_prepared(name, _bound(statement), result_format=pq.Format.BINARY)
        else:
            pgconn.send_query_params(sql, _bound(statement), result_format=pq.Format.BINARY)
        result = yield from _result(pgconn)
    except psycopg.OperationalError:
        # Not with the error itself, which holds the connection.
        message = _message(pgconn)
    else:
        return _rows(result)
    raise _Lost(message)


def _bound(statement: Statement) -> List[Optional[bytes]]:
    """The one place where a token is looked at."""
    texts = (p.reveal() if isinstance(p, Secret) else p for p in statement.parameters)
    return [None if text is None else text.encode() for text in texts]


def _result(pgconn: PGconn) -> Steps[PGresult]:
    """The result of what was sent.  An error that came counts, whatever came after it."""
    while pgconn.flush():
        if (yield Wait(pgconn.socket, read=True, write=True)):
            pgconn.consume_input()
    good: Optional[PGresult] = None
    bad: Optional[PGresult] = None
    try:
        while True:
            while pgconn.is_busy():
                yield Wait(pgconn.socket, read=True, write=False)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                break
            if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                good = result
            else:
                bad = bad or result
    except psycopg.OperationalError:
        if bad is None:
            raise
    if bad is not None and bad.error_field(pq.DiagnosticField.SQLSTATE):
        raise _Refused(bad)
    if bad is not None or good is None:
        raise _Lost(_message(pgconn))
    return good


def _rows(result: PGresult) -> Rows:
    names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
    transformer = Transformer()
    transformer.set_pgresult(result)
    try:
        return [dict(zip(names, row)) for row in transformer.load_rows(0, result.ntuples, tuple)]
    except (psycopg.Error, ValueError) as error:
        raise GateError(f"the gate's answer cannot be read: {type(error).__name__}") from None


def _message(pgconn: PGconn) -> str:
    text = pgconn.error_message.decode("utf-8", "replace").strip()
    return " ".join(text.split()) or "no reason was given"


def _loss(message: str, sent: bool, statement: Statement) -> GateUnavailable:
    message = statement.hide_secrets(message)
    if sent and statement.effect is not Effect.NONE:
        return OutcomeUnknown(f"{message}; it was asked, and may have recorded that: the action must not run")
    return GateUnavailable(f"{message}: the action must not run")


def _refusal(refused: _Refused, statement: Statement) -> GateError:
    state = refused.sqlstate
    text = statement.hide_secrets(refused.text)
    if state[:2] == "22" or state in _MISUSE:
        return GateMisuse(text, state)
    if state in _UNCONFIRMED and statement.effect is not Effect.NONE:
        return OutcomeUnknown(text, state)
    return GateUnavailable(text, state)
