"""HTTP/1.1 messages, without I/O: the blocking and the asyncio client read with the same parser."""

from __future__ import annotations

import dataclasses
import re
from typing import Dict, Generator, List, Mapping, Optional

HEAD_BYTES_MAX = 64 << 10
CHUNK_LINE_BYTES_MAX = 1024
BODY_BYTES_MAX = 16 << 20

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f]*)?\Z")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f]*?)[ \t]*\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f]*)?\Z")
_LENGTH = re.compile(r"[0-9]{1,12}\Z")


class Malformed(Exception):
    """The server's bytes are not an HTTP response, or exceed a limit."""


class Cut(Exception):
    """The connection ended within a response. `began` says whether any byte of it came."""

    def __init__(self, began: bool) -> None:
        super().__init__(
            "the connection ended within the response" if began else "the connection ended"
        )
        self.began = began


@dataclasses.dataclass(frozen=True)
class Request:
    """A request. A long poll has more time than other requests: `patience` seconds in addition."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    patience: float = 0.0

    def encoded(self, base: str, headers: Mapping[str, str]) -> bytes:
        """Returns the bytes of the request below a base path; no value may contain a line break."""
        lines = [f"{self.method} {base}{self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {**headers, **self.headers}.items()]
        if self.body or self.method != "GET":
            lines.append(f"Content-Length: {len(self.body)}")
        if any("\r" in line or "\n" in line for line in lines):
            raise Malformed("a line break in a header")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + self.body


@dataclasses.dataclass(frozen=True)
class Response:
    """A response; names of headers are in lower case. `body` is empty for a stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class ResponseReader:
    """Parses one response from the pieces in which it comes."""

    def __init__(self, body_bytes_max: Optional[int] = BODY_BYTES_MAX) -> None:
        self.head: Optional[Response] = None
        self.complete = False
        self.reusable = False
        """Whether the connection can carry another request after this response."""
        self._limit = body_bytes_max
        self._buffer = bytearray()
        self._body: List[bytes] = []
        self._size = 0
        self._ended = False
        self._began = False
        self._steps = self._run()
        next(self._steps)

    def feed(self, data: bytes) -> None:
        """Takes received bytes; none mean that the connection ended.

        Raises `Malformed` and `Cut`.
        """
        self._began = self._began or bool(data)
        self._ended = not data
        self._buffer += data
        try:
            self._steps.send(None)
        except StopIteration:
            self.complete = True

    def take_body(self) -> bytes:
        """Returns the part of the body that has come since the last call."""
        taken = b"".join(self._body)
        self._body.clear()
        return taken

    def _run(self) -> Generator[None, None, None]:
        yield
        head = yield from self._final_head()
        self.head = head
        if head.status in (204, 304):
            keeps = True
        elif "transfer-encoding" in head.headers:
            yield from self._chunks()
            keeps = True
        elif "content-length" in head.headers:
            yield from self._exactly(int(head.headers["content-length"]))
            keeps = True
        else:
            yield from self._until_end()
            keeps = False
        closes = "close" in head.headers.get("connection", "").lower()
        self.reusable = keeps and not closes and not self._buffer and not self._is_old

    def _final_head(self) -> Generator[None, None, Response]:
        while True:
            head = yield from self._one_head()
            if head.status >= 200:
                return head
            if head.status == 101:
                raise Malformed("the server switches protocols")

    def _one_head(self) -> Generator[None, None, Response]:
        first = yield from self._line(HEAD_BYTES_MAX)
        status = _STATUS_LINE.match(first)
        if status is None:
            raise Malformed("the answer is not HTTP/1.1")
        self._is_old = status[1] == b"0"
        headers: Dict[str, str] = {}
        left = HEAD_BYTES_MAX - len(first)
        while True:
            line = yield from self._line(left)
            left -= len(line) + 2
            if not line:
                break
            header = _HEADER.match(line)
            if header is None:
                raise Malformed("malformed header")
            name, value = header[1].decode().lower(), header[2].decode("latin-1")
            if name in headers and name in ("content-length", "transfer-encoding"):
                raise Malformed(f"two headers `{name}`")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        _check_framing(headers)
        return Response(int(status[2]), headers)

    def _line(self, limit: int) -> Generator[None, None, bytes]:
        searched = 0
        while True:
            end = self._buffer.find(b"\r\n", searched)
            if end >= 0 and end <= limit:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 2]
                return line
            if end > limit or len(self._buffer) > limit + 1:
                raise Malformed("a head or line is too long")
            searched = max(0, len(self._buffer) - 1)
            yield from self._more()

    def _more(self) -> Generator[None, None, None]:
        if self._ended:
            raise Cut(self._began)
        yield

    def _exactly(self, size: int) -> Generator[None, None, None]:
        self._check_size(size)
        while size:
            if not self._buffer:
                yield from self._more()
                continue
            piece = bytes(self._buffer[:size])
            del self._buffer[:size]
            size -= len(piece)
            self._put(piece)

    def _chunks(self) -> Generator[None, None, None]:
        while True:
            line = yield from self._line(CHUNK_LINE_BYTES_MAX)
            size = _CHUNK_SIZE.match(line)
            if size is None:
                raise Malformed("malformed chunk")
            if not int(size[1], 16):
                break
            yield from self._exactly(int(size[1], 16))
            end = yield from self._line(0)
            assert not end
        left = HEAD_BYTES_MAX
        while True:  # Trailers mean nothing to this client.
            line = yield from self._line(left)
            left -= len(line) + 2
            if not line:
                return

    def _until_end(self) -> Generator[None, None, None]:
        while True:
            if self._buffer:
                self._put(bytes(self._buffer))
                self._buffer.clear()
            if self._ended:
                return
            yield

    def _put(self, piece: bytes) -> None:
        self._check_size(len(piece))
        if self._limit is not None:
            self._size += len(piece)
        self._body.append(piece)

    def _check_size(self, more: int) -> None:
        if self._limit is not None and self._size + more > self._limit:
            raise Malformed(f"the answer has more than {self._limit} bytes")


def _check_framing(headers: Mapping[str, str]) -> None:
    """Refuses every framing but those two that all servers and proxies read alike."""
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None and (coding.lower() != "chunked" or length is not None):
        raise Malformed("unknown transfer encoding")
    if length is not None and not _LENGTH.match(length):
        raise Malformed("malformed content length")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Malformed("unknown content encoding")
