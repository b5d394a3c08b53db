"""Connections that wait for their next statement.

Small on purpose, and not psycopg_pool's: who asks the gate has to learn at once
why it cannot be reached, where that pool's workers go on trying in the
background and say that time is over; a second attempt has to be made on a fresh
connection, not on the next stale one; and without threads of its own this
survives a fork.

It does not count: how many are in use at a time is limited by who takes them.
"""

import os
import selectors
import time
from typing import Dict, List, Optional

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from claiim.errors import GateMisuse

# Firewalls forget connections on which nothing moves for longer than that.
_MAX_IDLE = 300.0


class Connection:
    """One connection, and which statements are prepared on it."""

    def __init__(self, pgconn: PGconn) -> None:
        self.pgconn = pgconn
        self.prepared: Dict[bytes, bytes] = {}
        self.idle_since = 0.0

    @property
    def idle(self) -> bool:
        """Is it good, and nothing under way on it?"""
        return (
            self.pgconn.status == pq.ConnStatus.OK
            and self.pgconn.transaction_status == pq.TransactionStatus.IDLE
        )

    def close(self) -> None:
        """Ends it, whatever is under way."""
        self.pgconn.finish()


class Pool:
    """Idle connections to one place, the last used first."""

    def __init__(self, dsn: Optional[str], prepare: bool) -> None:
        if dsn is None:
            dsn = os.environ.get("CLAIIM_DSN") or ""
        try:
            conninfo = make_conninfo(dsn, client_encoding="UTF8", fallback_application_name="claiim")
        except psycopg.Error:
            conninfo = ""
        if not conninfo:
            # Without the reason, which quotes what may be a password.
            raise GateMisuse("the dsn is not a connection string as libpq takes it")
        self.conninfo = conninfo.encode()
        self.prepare = prepare
        self._idle: List[Connection] = []
        self._closed = False

    def take(self) -> Optional[Connection]:
        """An idle connection that looks alive, or None."""
        if self._closed:
            raise GateMisuse("this gate has been closed")
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            # Nothing is to be read from a connection that is idle, except its end.
            fresh = time.monotonic() - connection.idle_since < _MAX_IDLE
            if fresh and connection.idle and not _readable(connection.pgconn.socket):
                return connection
            connection.close()

    def give(self, connection: Connection) -> None:
        """Takes a connection back, and ends it if it is of no more use."""
        connection.idle_since = time.monotonic()
        if not connection.idle:
            connection.close()
            return
        self._idle.append(connection)
        if self._closed:  # be it meanwhile, by another thread
            self.close()

    def close(self) -> None:
        """Ends all idle connections, and those in use when they are given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        """In a forked child: these connections are the parent's, and stay open for it."""
        self._idle = []


def _readable(socket: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(socket, selectors.EVENT_READ)
        return bool(selector.select(0))
