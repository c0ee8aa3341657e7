"""Flows: what a call does, written once and run by the blocking and the asyncio client.

A flow is a generator. It yields what it needs from outside, an `Exchange`, a `Pause` or `Work`, and
gets the `Response` or None; a failure is raised at the `yield`, as is a cancellation.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Generator, Optional, Protocol, TypeVar, Union

from ._http1 import BODY_BYTES_MAX, Request, Response

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Pause:
    """Wait before the next step."""

    seconds: float


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Send a request. `seconds` is the time for all of it: connect, send and receive."""

    request: Request
    seconds: float
    body_bytes_max: int = BODY_BYTES_MAX


@dataclasses.dataclass(frozen=True)
class Work:
    """Call a function that computes or waits for a disk, and so must not block an event loop."""

    function: Callable[[], None]


Need = Union[Exchange, Pause, Work]
Flow = Generator[Need, Optional[Response], T]


class Io(Protocol):
    """The outside of the blocking client."""

    def perform(self, need: Need) -> Optional[Response]: ...


class AsyncIo(Protocol):
    """The outside of the asyncio client."""

    async def perform(self, need: Need) -> Optional[Response]: ...


def run(flow: Flow[T], io: Io) -> T:
    """Runs a flow to its end. Every exception, `KeyboardInterrupt` too, passes through the flow."""
    step: Any = flow.send
    value: Any = None
    while True:
        try:
            need = step(value)
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step, value = flow.send, io.perform(need)
        except BaseException as error:
            step, value = flow.throw, error


async def run_async(flow: Flow[T], io: AsyncIo) -> T:
    """Runs a flow to its end. A cancellation passes through the flow, which may still clean up."""
    step: Any = flow.send
    value: Any = None
    while True:
        try:
            need = step(value)
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step, value = flow.send, await io.perform(need)
        except BaseException as error:
            step, value = flow.throw, error
