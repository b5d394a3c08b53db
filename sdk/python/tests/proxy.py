"""A stand-in for the network between an agent and the server.

It listens on a socket of its own and passes on what it is told, until it is
told to fail: to lose an answer that the server has given, to say nothing, or
not to let anybody in.
"""

import os
import select
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, List, Optional, Type

PORT = 6543


class Proxy:
    """::

    proxy.lose_answers = 1      # the next answer to a question is lost with its connection
    proxy.silent = True         # nothing is passed on, in either direction
    proxy.trickle = True        # what the server says is passed on byte by byte
    """

    def __init__(self, server: Path) -> None:
        self._server = server
        # A socket's path is short.
        self.directory = tempfile.mkdtemp(prefix="px", dir="/tmp")
        self.dsn = f"host={self.directory} port={PORT}"
        self.lose_answers = 0
        self.silent = False
        self.trickle = False
        self.accepted = 0
        self.questions = 0
        self._ended = False
        self._threads: List[threading.Thread] = []

    def __enter__(self) -> "Proxy":
        local = socket.socket(socket.AF_UNIX)
        local.bind(os.path.join(self.directory, f".s.PGSQL.{PORT}"))
        network = socket.socket(socket.AF_INET)
        network.bind(("127.0.0.1", 0))
        self.port = network.getsockname()[1]
        self._listeners = [local, network]
        for listener in self._listeners:
            listener.listen(32)
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._ended = True
        for thread in list(self._threads):
            thread.join(30)
        for listener in self._listeners:
            listener.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            for listener in select.select(self._listeners, [], [], 0.1)[0]:
                client, _ = listener.accept()
                self.accepted += 1
                self._start(self._pass_on, client)

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server:
            try:
                server.connect(str(self._server))
                self._talk(client, server)
            except ConnectionError:
                pass

    def _talk(self, client: socket.socket, server: socket.socket) -> None:
        asked = False
        while not self._ended:
            readable, _, _ = select.select([client, server], [], [], 0.1)
            for source in readable:
                data = source.recv(65536)
                if not data:
                    return
                if self.silent:
                    continue
                if source is client:
                    # The statement's text, once for each question.
                    if b"claiim_" in data:
                        asked = True
                        self.questions += 1
                    server.sendall(data)
                elif asked and self.lose_answers:
                    self.lose_answers -= 1
                    return
                else:
                    self._answer(client, data)

    def _answer(self, client: socket.socket, data: bytes) -> None:
        while data and self.trickle and not self._ended:
            client.sendall(data[:1])
            data = data[1:]
            time.sleep(0.05)
        if not self._ended:
            client.sendall(data)
