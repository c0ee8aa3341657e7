"""The guard as a context manager, blocking and for asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Callable, Generic, Optional, Type, TypeVar

from ._flow import AsyncIo, Io, run, run_async
from .execution import Execution
from .guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

IoT = TypeVar("IoT")


class _Once(Generic[IoT]):
    """An approval is for one execution: entering twice is refused."""

    def __init__(self, make: Callable[[], Guard], io: IoT) -> None:
        self._make: Optional[Callable[[], Guard]] = make
        self._io = io
        self._guard: Optional[Guard] = None
        self._execution: Optional[Execution] = None
        self._is_unknown = False

    def _take(self) -> Callable[[], Guard]:
        make, self._make = self._make, None
        if make is None:
            raise RuntimeError("one approval is for one execution: call `approved` again")
        return make


class Approved(_Once[Io]):
    """`with client.approved(…) as execution:` — the block runs once it is approved and claimed."""

    def __enter__(self) -> Execution:
        self._guard = self._take()()
        self._execution = run(self._guard.acquire(), self._io)
        return self._execution

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        assert self._guard is not None and self._execution is not None
        run(self._guard.settle(self._execution, error), self._io)


class AsyncApproved(_Once[AsyncIo]):
    """`async with client.approved(…) as execution:` — as `Approved`."""

    async def __aenter__(self) -> Execution:
        # The first guard of a machine compiles the verifier: not in the event loop's thread.
        self._guard = await asyncio.to_thread(self._take())
        self._execution = await run_async(self._guard.acquire(), self._io)
        return self._execution

    def leave_unknown(self) -> None:
        """Reports no outcome: the lease ends without one, and the server shows `unknown`."""
        self._is_unknown = True

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._is_unknown:
            return
        assert self._guard is not None and self._execution is not None
        await run_async(self._guard.settle(self._execution, error), self._io)
