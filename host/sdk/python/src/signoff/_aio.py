"""Connections of asyncio. A cancelled exchange closes its socket at once."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import AsyncIterator, Awaitable, List, Mapping, Optional, Tuple, TypeVar, Union

from ._endpoint import Endpoint
from ._flow import Exchange, Need, Pause
from ._http1 import Request, Response, ResponseReader
from ._transport import IDLE_MAX, RECEIVE_BYTES, translated

T = TypeVar("T")
Connection = Tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncTransport:
    """Connections to one server, for one event loop."""

    def __init__(
        self, endpoint: Endpoint, tls: Optional[ssl.SSLContext], headers: Mapping[str, str]
    ) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._headers = headers
        self._idle: List[Connection] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def perform(self, need: Need) -> Optional[Response]:
        if isinstance(need, Pause):
            await asyncio.sleep(need.seconds)
            return None
        return await self.exchange(need)

    async def exchange(self, exchange: Exchange) -> Response:
        """Sends a request and reads the whole answer; see `Transport.exchange`."""
        deadline = time.monotonic() + exchange.seconds
        idle = self._take()
        with translated(self._endpoint.name, idle is not None):
            connection = idle if idle else await _within(deadline, self._connect())
            try:
                return await self._exchange_on(connection, exchange.request, deadline)
            except BaseException:
                connection[1].transport.abort()
                raise

    async def _exchange_on(
        self, connection: Connection, request: Request, deadline: float
    ) -> Response:
        source, sink = connection
        reader = ResponseReader()
        sink.write(request.encoded(self._endpoint.base, self._headers))
        try:
            await _within(deadline, sink.drain())
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server may have answered before it read everything.
        while not reader.complete:
            reader.feed(await _within(deadline, source.read(RECEIVE_BYTES)))
        assert reader.head is not None
        if reader.reusable and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            sink.close()
        return Response(reader.head.status, reader.head.headers, reader.take_body())

    async def stream(
        self, request: Request, seconds: float
    ) -> AsyncIterator[Union[Response, bytes]]:
        """Yields the head of an answer, then its body in pieces, each within `seconds`."""
        with translated(self._endpoint.name, False):
            source, sink = await _within(time.monotonic() + seconds, self._connect())
            sink.write(request.encoded(self._endpoint.base, self._headers))
        try:
            reader, shown = ResponseReader(body_bytes_max=None), False
            while not reader.complete:
                with translated(self._endpoint.name, False):
                    data = source.read(RECEIVE_BYTES)
                    reader.feed(await _within(time.monotonic() + seconds, data))
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


async def _within(deadline: float, awaited: Awaitable[T]) -> T:
    """Awaits with a deadline; raises `TimeoutError`."""
    left = deadline - time.monotonic()
    try:
        return await asyncio.wait_for(awaited, max(left, 0))
    except asyncio.TimeoutError:
        raise TimeoutError from None
