"""Connections of asyncio. A cancelled exchange closes its socket at once."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import AsyncIterator, Iterator, List, Mapping, Optional, Tuple, Union

from ._endpoint import Endpoint
from ._flow import Exchange, Need, Pause, Work
from ._http1 import Request, Response, ResponseReader
from ._transport import IDLE_MAX, RECEIVE_BYTES, translated

Connection = Tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncTransport:
    """Connections to one server, for one event loop at a time.

    With `idle_max` 0 no connection outlives its call, so any number of event loops may use it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tls: Optional[ssl.SSLContext],
        headers: Mapping[str, str],
        idle_max: int = IDLE_MAX,
    ) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._headers = headers
        self._idle_max = idle_max
        self._idle: List[Connection] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def perform(self, need: Need) -> Optional[Response]:
        if isinstance(need, Pause):
            await asyncio.sleep(need.seconds)
            return None
        if isinstance(need, Work):
            await asyncio.to_thread(need.function)
            return None
        return await self.exchange(need)

    async def exchange(self, exchange: Exchange) -> Response:
        """Sends a request and reads the whole answer; see `Transport.exchange`."""
        deadline = time.monotonic() + exchange.seconds
        idle = self._take()
        with translated(self._endpoint.name, idle is not None):
            connection = idle if idle else await self._connect_within(deadline)
            try:
                return await self._exchange_on(connection, exchange, deadline)
            except BaseException:
                connection[1].transport.abort()
                raise

    async def _exchange_on(
        self, connection: Connection, exchange: Exchange, deadline: float
    ) -> Response:
        source, sink = connection
        reader = ResponseReader(exchange.body_bytes_max)
        with _aborted_at(deadline, sink):
            sink.write(exchange.request.encoded(self._endpoint.base, self._headers))
            # The server may have answered before it read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await sink.drain()
            while not reader.complete:
                reader.feed(await source.read(RECEIVE_BYTES))
        assert reader.head is not None
        if reader.reusable and len(self._idle) < self._idle_max:
            self._idle.append(connection)
        else:
            sink.close()
        return Response(reader.head.status, reader.head.headers, reader.take_body())

    async def stream(
        self, request: Request, seconds: float
    ) -> AsyncIterator[Union[Response, bytes]]:
        """Yields the head of an answer, then its body in pieces, each within `seconds`."""
        with translated(self._endpoint.name, False):
            source, sink = await self._connect_within(time.monotonic() + seconds)
            sink.write(request.encoded(self._endpoint.base, self._headers))
        try:
            reader, shown = ResponseReader(body_bytes_max=None), False
            while not reader.complete:
                with translated(self._endpoint.name, False):
                    with _aborted_at(time.monotonic() + seconds, sink):
                        reader.feed(await source.read(RECEIVE_BYTES))
                if reader.head is not None and not shown:
                    shown = True
                    yield reader.head
                piece = reader.take_body()
                if piece:
                    yield piece
        finally:
            sink.transport.abort()

    async def close(self) -> None:
        """Closes the idle connections. The client stays usable."""
        idle, self._idle = self._idle, []
        for _, sink in idle:
            sink.close()
            with contextlib.suppress(OSError):
                await sink.wait_closed()

    def _take(self) -> Optional[Connection]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # The connections of another event loop cannot be used in this one.
            self._idle, self._loop = [], loop
        while self._idle:
            source, sink = self._idle.pop()
            if not source.at_eof() and not sink.is_closing():
                return source, sink
            sink.close()
        return None

    async def _connect_within(self, deadline: float) -> Connection:
        """Connects, at most until the deadline.

        Not by `asyncio.wait_for`: before Python 3.12 it loses a cancellation that comes together
        with the result.
        """
        connecting = asyncio.ensure_future(self._connect())
        try:
            await asyncio.wait({connecting}, timeout=max(deadline - time.monotonic(), 0))
        except BaseException:
            connecting.add_done_callback(_discard)
            connecting.cancel()
            raise
        if not connecting.done():
            connecting.add_done_callback(_discard)
            connecting.cancel()
            raise TimeoutError
        return connecting.result()

    async def _connect(self) -> Connection:
        endpoint = self._endpoint
        if endpoint.socket_path is None:
            return await asyncio.open_connection(endpoint.host, endpoint.port, ssl=self._tls)
        endpoint.check_socket_file()
        source, sink = await asyncio.open_unix_connection(endpoint.socket_path)
        try:
            endpoint.check_peer(sink.get_extra_info("socket"))
        except BaseException:
            sink.transport.abort()
            raise
        return source, sink


def _discard(connecting: asyncio.Future[Connection]) -> None:
    """Closes a connection that came after nobody waited for it any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result()[1].transport.abort()


@contextlib.contextmanager
def _aborted_at(deadline: float, sink: asyncio.StreamWriter) -> Iterator[None]:
    """Aborts the connection at the deadline, which ends a read; raises `TimeoutError` then."""
    is_late = False

    def abort() -> None:
        nonlocal is_late
        is_late = True
        sink.transport.abort()

    left = max(deadline - time.monotonic(), 0)
    timer = asyncio.get_running_loop().call_later(left, abort)
    try:
        yield
    except Exception as error:
        if is_late:
            raise TimeoutError from error
        raise
    else:
        if is_late:  # The abort looks like the regular end of an answer without a length.
            raise TimeoutError
    finally:
        timer.cancel()
