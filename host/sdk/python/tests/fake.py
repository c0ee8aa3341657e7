"""A server of answers that a test writes byte by byte."""

from __future__ import annotations

import collections
import json
import socket
import threading
import time
from typing import Any, Callable, Deque, Dict, List, Optional, Union

Answer = Union[bytes, Callable[[socket.socket], None]]

APPROVAL: Dict[str, Any] = {
    "id": "appr_01k7s2e3m8q4w6x9y0z1a2b3c4",
    "audience": "tests",
    "status": "pending",
    "agent": "deployer",
    "action": "deploy",
    "context": {"to": "prod"},
    "context_hash": "3b5623960f7d86b87cdeb0b0fab0b3be98c852cb6afceed207f481bd604ff56c",
    "plan": None,
    "plan_hash": None,
    "requested_by": "agent:deployer",
    "requested_at": "2099-01-01T00:00:00Z",
    "expires_at": "2099-01-01T01:00:00Z",
    "execution": None,
}


def approval(**members: Any) -> Dict[str, Any]:
    """Returns an approval as a server shows it."""
    return {**APPROVAL, **members}


def reply(body: Any, status: int = 200, *headers: str) -> bytes:
    """Returns the bytes of an answer; a body that is not bytes is JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *headers, "", ""]
    return "\r\n".join(head).encode() + data


def problem(code: str, status: int, *headers: str, **members: Any) -> bytes:
    """Returns the bytes of a refusal."""
    return reply({"code": code, "title": code, "detail": "why", **members}, status, *headers)


class Request:
    """A request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = dict(line.lower().split(": ", 1) for line in lines if line)
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class Fake:
    """Answers each request with the next of `answers`, and the last one again and again."""

    def __init__(self) -> None:
        self.answers: Deque[Answer] = collections.deque()
        self.requests: List[Request] = []
        self.came = threading.Condition()
        self.ended = threading.Event()
        """Set when a client closes a connection."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = 0

    def __enter__(self) -> Fake:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def await_requests(self, count: int) -> None:
        """Returns once that many requests have come."""
        with self.came:
            self.came.wait_for(lambda: len(self.requests) >= count)

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with connected, connected.makefile("rb") as source:
            while True:
                request = self._read(source)
                if request is None:
                    self.ended.set()
                    return
                with self.came:
                    self.requests.append(request)
                    answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
                    self.came.notify_all()
                try:
                    if isinstance(answer, bytes):
                        connected.sendall(answer)
                    else:
                        answer(connected)
                except OSError:
                    self.ended.set()
                    return
                if not isinstance(answer, bytes):
                    return

    def _read(self, source: Any) -> Optional[Request]:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            try:
                line = source.readline()
            except OSError:
                return None
            if not line:
                return None
            head += line
        request = Request(head[:-4], b"")
        length = int(request.headers.get("content-length", "0"))
        request.body = source.read(length)
        return request


def cut(connected: socket.socket) -> None:
    """Closes the connection instead of an answer."""


def hang(connected: socket.socket) -> None:
    """Answers nothing until the client goes."""
    connected.recv(1)
    raise OSError


def drip(connected: socket.socket) -> None:
    """Sends a byte at a time, for ever."""
    connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        connected.sendall(b" ")
        time.sleep(0.01)


def endless(connected: socket.socket) -> None:
    """Sends a whole approval, whose end is that of the connection, which does not come."""
    connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(APPROVAL).encode())
    hang(connected)
