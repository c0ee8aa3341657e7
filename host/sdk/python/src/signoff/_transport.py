"""Blocking connections, pooled. Each exchange has one deadline for all that it does."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import time
import weakref
from typing import Iterator, List, Mapping, Optional, Set, Union

from ._endpoint import Endpoint
from ._flow import Exchange, Need, Pause, Work
from ._fork import ForkLock
from ._http1 import Cut, Malformed, Request, Response, ResponseReader
from .errors import Unavailable

IDLE_MAX = 16
RECEIVE_BYTES = 64 << 10
SEND_BYTES = 64 << 10


class Broken(Unavailable):
    """No answer came, so the call may be repeated. `stale`: on a connection that was idle."""

    def __init__(self, detail: str, stale: bool = False) -> None:
        super().__init__("unreachable", detail)
        self.stale = stale


class OutOfTime(Unavailable):
    """The time of the exchange passed without an answer."""

    def __init__(self, name: str) -> None:
        super().__init__("unreachable", f"no answer from `{name}` in time")


class Transport:
    """Connections to one server. Any number of threads may use it."""

    def __init__(
        self, endpoint: Endpoint, tls: Optional[ssl.SSLContext], headers: Mapping[str, str]
    ) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._headers = headers
        self._idle: List[_Connection] = []
        self._busy: Set[_Connection] = set()
        self._lock = ForkLock()
        self._process = os.getpid()
        # A client that is never closed closes its connections with itself.
        weakref.finalize(self, _close_all, self._idle)

    def perform(self, need: Need) -> Optional[Response]:
        if isinstance(need, Pause):
            time.sleep(need.seconds)
            return None
        if isinstance(need, Work):
            need.function()
            return None
        return self.exchange(need)

    def exchange(self, exchange: Exchange) -> Response:
        """Sends a request and reads the whole answer.

        Raises `Unavailable`: `Broken` or `OutOfTime`, or an answer that is not HTTP.
        """
        deadline = time.monotonic() + exchange.seconds
        connection = self._take() or self._connect(deadline)
        self._busy.add(connection)
        try:
            response = self._exchange_on(connection, exchange, deadline)
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
        self._put(connection)
        return response

    def _exchange_on(
        self, connection: _Connection, exchange: Exchange, deadline: float
    ) -> Response:
        reader = ResponseReader(exchange.body_bytes_max)
        with translated(self._endpoint.name, connection.used):
            try:
                encoded = exchange.request.encoded(self._endpoint.base, self._headers)
                connection.send(encoded, deadline)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The server may have answered before it read everything.
            while not reader.complete:
                reader.feed(connection.receive(deadline))
        assert reader.head is not None
        connection.used = True
        connection.reusable = reader.reusable
        return Response(reader.head.status, reader.head.headers, reader.take_body())

    def stream(self, request: Request, seconds: float) -> Iterator[Union[Response, bytes]]:
        """Yields the head of an answer, then its body in pieces, each within `seconds`."""
        connection = self._connect(time.monotonic() + seconds)
        try:
            with translated(self._endpoint.name, False):
                encoded = request.encoded(self._endpoint.base, self._headers)
                connection.send(encoded, time.monotonic() + seconds)
            reader, shown = ResponseReader(body_bytes_max=None), False
            while not reader.complete:
                with translated(self._endpoint.name, False):
                    reader.feed(connection.receive(time.monotonic() + seconds))
                if reader.head is not None and not shown:
                    shown = True
                    yield reader.head
                piece = reader.take_body()
                if piece:
                    yield piece
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the idle connections. The client stays usable."""
        with self._lock:
            _close_all(self._idle)

    def abort(self) -> None:
        """Ends the exchanges of other threads, as if the server had closed the connections."""
        for connection in list(self._busy):
            connection.abort()

    def after_fork(self) -> None:
        """Forgets, in a forked child, the exchanges of the parent's threads."""
        self._busy = set()

    def _take(self) -> Optional[_Connection]:
        with self._lock:
            if self._process != os.getpid():
                # After a fork the connections are the parent's: this closes only the copies.
                _close_all(self._idle)
                self._process = os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if connection.is_quiet():
                    return connection
                connection.close()
        return None

    def _put(self, connection: _Connection) -> None:
        with self._lock:
            if connection.reusable and len(self._idle) < IDLE_MAX and self._process == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, deadline: float) -> _Connection:
        endpoint = self._endpoint
        with translated(endpoint.name, False):
            if endpoint.socket_path is not None:
                endpoint.check_socket_file()
                plain = _connected(socket.AF_UNIX, endpoint.socket_path, deadline)
                try:
                    endpoint.check_peer(plain)
                except BaseException:
                    plain.close()
                    raise
                return _Connection(plain)
            plain = _connect_tcp(endpoint, deadline)
            if self._tls is None:
                return _Connection(plain)
            try:
                plain.settimeout(_left(deadline))
                return _Connection(self._tls.wrap_socket(plain, server_hostname=endpoint.host))
            except BaseException:
                plain.close()
                raise


def _close_all(connections: List[_Connection]) -> None:
    while connections:
        connections.pop().close()


class _Connection:
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.used = False
        self.reusable = False

    def send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(_left(deadline))
            view = view[self._socket.send(view[:SEND_BYTES]) :]

    def receive(self, deadline: float) -> bytes:
        self._socket.settimeout(_left(deadline))
        return self._socket.recv(RECEIVE_BYTES)

    def is_quiet(self) -> bool:
        """Returns whether nothing came since the last answer, not even the end."""
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return not poll.poll(0)
        return not select.select([self._socket], [], [], 0)[0]

    def abort(self) -> None:
        # Not the method of a TLS socket, which would change what another thread reads with.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class translated:
    """Turns the failures of a socket and of the parser into errors of this package."""

    def __init__(self, name: str, stale: bool) -> None:
        self._name = name
        self._stale = stale

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if isinstance(error, (TimeoutError, socket.timeout)):
            raise OutOfTime(self._name) from error
        if isinstance(error, Malformed):
            raise Unavailable("unreachable", f"`{self._name}`: {error}") from error
        if isinstance(error, Cut):
            raise Broken(f"`{self._name}`: {error}", self._stale and not error.began) from error
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"the certificate of `{self._name}` is refused: {error.verify_message}"
            raise Unavailable("unreachable", why) from error
        if isinstance(error, OSError):
            raise Broken(f"cannot reach `{self._name}`: {error}", self._stale) from error


def _connect_tcp(endpoint: Endpoint, deadline: float) -> socket.socket:
    failure: Optional[OSError] = None
    for family, _, _, _, address in socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM
    ):
        try:
            connected = _connected(family, address, deadline)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
        except OSError as error:
            failure = error
    raise failure or OSError("the name has no address")


def _connected(family: int, address: object, deadline: float) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(_left(deadline))
        opened.connect(address)  # type: ignore[arg-type]
    except BaseException:
        opened.close()
        raise
    return opened


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
