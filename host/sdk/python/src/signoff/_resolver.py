"""Resolver: the pending calls of a framework become approvals, and come back as decisions."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Callable, Generic, List, Optional, Sequence, Tuple, Type, TypeVar

from ._answers import Refusal, refusal_of
from ._decided import Decided
from ._flow import Flow, run, run_async
from ._gate import Call, Gate
from .approval import Approval
from .errors import SignoffError
from .execution import Execution
from .guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

AnswerT = TypeVar("AnswerT")


@dataclasses.dataclass
class _State:
    """A call, and its refusal if there is one."""

    call: Call
    refusal: Optional[Refusal]


@dataclasses.dataclass
class _Pending(_State):
    """A call that can be requested, on its way to an answer."""

    guard: Guard
    made: Optional[Approval] = None
    decided: Optional[Decided] = None
    execution: Optional[Execution] = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """The decision on a call: it may run, unless there is a refusal."""

    call: Call
    refusal: Optional[Refusal]


class Batch:
    """All pending calls of one pause. Every one is requested before one is waited for.

    No call is claimed before all are decided. A time-out or an interruption leaves the requests:
    the next process finds them by the same run and call ids, for as long as the server keeps
    idempotency keys, and later by `known`, their ids.
    """

    def __init__(
        self, gate: Gate, calls: Sequence[Call], claims: bool, known: Sequence[str]
    ) -> None:
        self._gate = gate
        self._calls = list(calls)
        self._claims = claims
        self._known = list(known)
        self._states: List[_State] = []
        self._pending: List[_Pending] = []

    def prepare(self) -> None:
        """Serializes the calls; compiles the verifier on a new machine."""
        for call in self._calls:
            try:
                pending = _Pending(call, None, self._gate.guard(call))
            except SignoffError as error:
                # The arguments have no JSON form: there is nothing to request.
                self._states.append(_State(call, refusal_of(error)))
                continue
            self._pending.append(pending)
            self._states.append(pending)

    def request(self) -> Flow[List[Approval]]:
        """Requests the approvals, or finds them again; returns those that are needed."""
        for id in self._known:
            shown = yield from self._gate.client._api.get(id)
            for one in self._pending:
                if one.made is None and one.guard.is_of(shown):
                    one.made = shown
                    break
        for one in self._pending:
            one.guard.begin()
            try:
                verdict = yield from one.guard.evaluate()
                if verdict is not None and one.guard.permits(verdict):
                    one.made = None
                elif one.made is None:
                    one.made = yield from one.guard.request()
            except SignoffError as error:
                one.made, one.refusal = None, refusal_of(error)
        return [one.made for one in self._pending if one.made is not None]

    def resolve(self) -> Flow[List[Answer]]:
        """Requests, waits for all decisions, and claims what was approved.

        Raises `TimedOut` if one is undecided then; the errors that are not for a model.
        """
        yield from self.request()
        for one in self._pending:
            if one.made is None:
                continue
            try:
                one.decided = yield from one.guard.await_decision(one.made.id)
            except SignoffError as error:
                if error.code == "timed-out":
                    raise
                one.refusal = refusal_of(error)
        if self._claims:
            yield from self._claim()
        else:
            for one in self._pending:
                if one.decided is not None:
                    self._gate.remember(one.call, one.decided.proof.approval_id)
        return [Answer(one.call, one.refusal) for one in self._states]

    def _claim(self) -> Flow[None]:
        try:
            for one in self._pending:
                if one.decided is None:
                    continue
                try:
                    one.execution = yield from one.guard.claim(one.decided)
                except SignoffError as error:
                    one.refusal = refusal_of(error)
        except GeneratorExit:
            raise
        except BaseException as error:
            for one in self._pending:
                if one.execution is not None:
                    yield from one.guard.forgo(one.execution, error)
            raise

    def settle(self, error: Optional[BaseException]) -> Flow[None]:
        """Reports the outcome of what was claimed here.

        None after an interruption: a tool that runs in a thread may complete all the same.
        """
        if error is not None and not isinstance(error, Exception):
            return
        for one in self._pending:
            if one.execution is not None:
                yield from one.guard.settle(one.execution, error)


class Resolution(Generic[AnswerT]):
    """`with resolver.resolve(…) as answer:` — the block resumes the run with the answer.

    Also `async with`. Entering waits until every call is decided. On the way out the outcome of
    what was claimed is reported: `failed` if the block raised, none if it was cancelled.
    """

    def __init__(
        self,
        gate: Gate,
        calls: Sequence[Call],
        claims: bool,
        known: Sequence[str],
        answer: Callable[[List[Answer]], AnswerT],
    ) -> None:
        self._gate = gate
        self._batch = Batch(gate, calls, claims, known)
        self._answer = answer
        self._is_open = True

    def request(self) -> Tuple[Approval, ...]:
        """Requests the approvals without waiting for them: for a process that comes back later."""
        self._open()
        self._batch.prepare()
        return tuple(run(self._batch.request(), self._gate.io()))

    async def request_async(self) -> Tuple[Approval, ...]:
        """As `request`, in an event loop."""
        self._open()
        await asyncio.to_thread(self._batch.prepare)
        return tuple(await run_async(self._batch.request(), self._gate.async_io()))

    def _open(self) -> None:
        if not self._is_open:
            raise RuntimeError("a resolution is used once: call the resolver again")
        self._is_open = False

    def __enter__(self) -> AnswerT:
        self._open()
        self._batch.prepare()
        answers = run(self._batch.resolve(), self._gate.io())
        try:
            return self._answer(answers)
        except BaseException as error:
            run(self._batch.settle(error), self._gate.io())
            raise

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        run(self._batch.settle(error), self._gate.io())

    async def __aenter__(self) -> AnswerT:
        self._open()
        await asyncio.to_thread(self._batch.prepare)
        answers = await run_async(self._batch.resolve(), self._gate.async_io())
        try:
            return self._answer(answers)
        except BaseException as error:
            await run_async(self._batch.settle(error), self._gate.async_io())
            raise

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await run_async(self._batch.settle(error), self._gate.async_io())
