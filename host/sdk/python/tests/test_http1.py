"""The parser of HTTP answers, in every split, and against hostile servers."""

from __future__ import annotations

from typing import Optional

import pytest

from signoff._http1 import Cut, Malformed, Request, ResponseReader


def read(data: bytes, piece: int = 1 << 20, limit: Optional[int] = 1000) -> ResponseReader:
    """Feeds an answer in pieces, then the end of the connection."""
    reader = ResponseReader(limit)
    for at in range(0, len(data), piece):
        if reader.complete:
            break
        reader.feed(data[at : at + piece])
    if not reader.complete:
        reader.feed(b"")
    return reader


SIMPLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;ext=1\r\nhe\r\n3 \r\nllo\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + SIMPLE
TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\nhello"


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("data", [SIMPLE, CHUNKED, INTERIM, TO_THE_END])
def test_answer_is_the_same_in_every_split(data: bytes, piece: int) -> None:
    reader = read(data, piece)
    assert reader.complete
    assert reader.take_body() == b"hello"
    assert reader.take_body() == b""
    assert reader.head is not None
    assert reader.reusable == (data != TO_THE_END)


def test_headers_are_joined_and_trimmed() -> None:
    head = read(SIMPLE).head
    assert head is not None
    assert head.headers == {"content-length": "5", "x-a": "1, 2"}


@pytest.mark.parametrize(
    "data",
    [
        SIMPLE + b"extra",
        SIMPLE.replace(b"X-A: 1", b"Connection: close"),
        SIMPLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_connection_is_not_reused(data: bytes) -> None:
    reader = read(data)
    assert reader.take_body() == b"hello"
    assert not reader.reusable


@pytest.mark.parametrize("end", range(len(SIMPLE)))
def test_answer_that_is_cut_is_no_answer(end: int) -> None:
    with pytest.raises(Cut) as cut:
        read(SIMPLE[:end])
    assert cut.value.began == (end > 0)


@pytest.mark.parametrize("end", range(60, len(CHUNKED)))
def test_chunked_answer_that_is_cut_is_no_answer(end: int) -> None:
    with pytest.raises(Cut):
        read(CHUNKED[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na b: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: x\ny\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\n" + b"a: " + b"x" * (65 << 10),
        b"HTTP/1.1 200 OK\r\n" + b"a: x\r\n" * (12 << 10),
    ],
)
@pytest.mark.parametrize("piece", [1 << 10, 1 << 20])
def test_malformed_answer_is_refused(data: bytes, piece: int) -> None:
    with pytest.raises(Malformed):
        read(data, piece)


def test_stream_has_no_limit() -> None:
    reader = read(TO_THE_END + b"x" * 5000, limit=None)
    assert len(reader.take_body()) == 5005


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb"])
def test_line_break_does_not_reach_a_header(value: str) -> None:
    with pytest.raises(Malformed):
        Request("GET", "/", {"a": value}).encoded("", {})


def test_request_is_written_as_a_whole() -> None:
    request = Request("POST", "/x", {"A": "b"}, b"{}")
    expected = b"POST /base/x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    assert request.encoded("/base", {"Host": "h"}) == expected
    assert b"Content-Length: 0" in Request("POST", "/x", {}).encoded("", {})
    assert b"Content-Length" not in Request("GET", "/x", {}).encoded("", {})
