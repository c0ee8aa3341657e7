"""Server-sent events, without I/O: what to ask, what came, and when to come back."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Union

from . import approval as shown
from ._api import BACKOFF_SECONDS, BACKOFF_SECONDS_MAX, ROOT, refusal_of, retry_after
from ._http1 import Request, Response
from .approval import Event
from .encode import strict_loads
from .errors import Invalid

# An entry of the audit log has at most a few KiB.
LINE_BYTES_MAX = 4 << 20
# The server sends a heartbeat every 15 s.
SILENCE_SECONDS = 45.0


class EventStream:
    """A stream that continues after the last event when its connection breaks."""

    def __init__(self, after: Optional[int]) -> None:
        self._after = after
        self._backoff = BACKOFF_SECONDS
        self._reader = EventReader()
        self._refused: Optional[Response] = None
        self._body = b""

    def request(self) -> Request:
        """Returns the next request."""
        self._reader, self._refused, self._body = EventReader(), None, b""
        headers = {} if self._after is None else {"Last-Event-ID": str(self._after)}
        return Request("GET", f"{ROOT}/events", headers)

    def take(self, part: Union[Response, bytes]) -> Iterator[Event]:
        """Yields the events that a part of the answer completes."""
        if isinstance(part, Response):
            self._refused = part if part.status != 200 else None
        elif self._refused is not None:
            self._body = (self._body + part)[:LINE_BYTES_MAX]
        else:
            for event in self._reader.feed(part):
                self._after, self._backoff = event.number, BACKOFF_SECONDS
                yield event

    def end(self) -> None:
        """Raises the error of an answer that is final, once it has ended."""
        if self._refused is not None and retry_after(self._refused) is None:
            head = self._refused
            raise refusal_of(Response(head.status, head.headers, self._body), None)

    def pause(self) -> float:
        """Returns the seconds until the next request."""
        seconds, self._backoff = self._backoff, min(2 * self._backoff, BACKOFF_SECONDS_MAX)
        asked = None if self._refused is None else retry_after(self._refused)
        return max(seconds, asked or 0.0)


class EventReader:
    """Parses a stream of events from the pieces in which it comes."""

    def __init__(self) -> None:
        self._buffer = b""
        self._fields: Dict[str, List[str]] = {}

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yields the events that a piece completes. Raises `Unavailable` for a malformed one."""
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        if len(self._buffer) > LINE_BYTES_MAX:
            raise shown.unusable("an event is too long")
        for line in lines:
            event = self._take(line.rstrip(b"\r"))
            if event is not None:
                yield event

    def _take(self, line: bytes) -> Optional[Event]:
        if line:
            try:
                name, _, value = line.decode().partition(":")
            except UnicodeDecodeError:
                raise shown.unusable("an event that is not UTF-8") from None
            self._fields.setdefault(name, []).append(value[1:] if value[:1] == " " else value)
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None  # A heartbeat.
        text = "\n".join(fields["data"])
        number = fields.get("id", [""])[-1]
        try:
            entry = strict_loads(text, "event")
        except Invalid:
            entry = None
        if not isinstance(entry, dict) or not (number.isascii() and number.isdigit()):
            raise shown.unusable("a malformed event")
        return Event(int(number), fields.get("event", [""])[-1], entry, text)
