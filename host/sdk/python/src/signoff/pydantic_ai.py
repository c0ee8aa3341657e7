"""Pydantic AI: a capability and a toolset that guard tools, and a resolver of deferred calls.

Needs the extra `signoff[pydantic-ai]`, and Python 3.11.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from ._answers import Refusal, refusal_of
from ._gate import Call, Gate
from ._resolver import Answer, Resolution
from .approval import Approval
from .encode import Json, RawJson, canonical, json_text
from .errors import Invalid, Mismatch, SignoffError
from .execution import Execution

try:
    import pydantic_core
    from pydantic_ai import AgentRunResult, ApprovalRequired, ToolFailed
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import ToolCallPart
    from pydantic_ai.tools import (
        DeferredToolRequests,
        DeferredToolResults,
        RunContext,
        ToolApproved,
        ToolDenied,
    )
    from pydantic_ai.toolsets import AbstractToolset, WrapperToolset
    from pydantic_ai.toolsets.abstract import ToolsetTool
except ImportError as error:
    raise ImportError(
        "signoff.pydantic_ai needs Pydantic AI: install it with "
        "`pip install 'signoff[pydantic-ai]'`"
    ) from error

__all__ = ["Approvals", "DeferredResolver", "GuardedToolset"]


# The member of a deferred call's metadata that has its validated arguments.
METADATA = "signoff"


@dataclasses.dataclass
class GuardedToolset(WrapperToolset[Any]):
    """Guards every tool of a toolset: requests, waits, claims, runs the tool, and reports.

    The context of the approval has the validated arguments as JSON, and the tool gets those that
    its validator makes of the approved text. Arguments that change on the way are refused. The
    approval is for one call of one conversation: the same call, seen again after a restart, finds
    its approval.

    With `defer`, calls do not wait: they are deferred to a `DeferredResolver` without `claims` and
    with the same gate, and claimed here when the run resumes.

    A call that is not approved is a `ToolFailed`: the model sees its text. A server that is
    unreachable, a refused token and what else the model is not the reason for raises, and ends the
    run. So does a tool whose validator makes something else of its own arguments, and an argument
    that its JSON does not show in full: a `SecretStr`, a field that is excluded, and a value of a
    type without `__eq__`, which cannot be compared.
    """

    gate: Gate
    defer: bool = False

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Runs the tool once the call is approved and claimed."""
        try:
            shown = _json(tool_args)
        except SignoffError as error:
            raise ToolFailed(refusal_of(error).text) from error
        if _validated(tool, shown, ctx) != tool_args:
            detail = "an argument has a part that its JSON does not show"
            raise Mismatch("context-mismatch", detail)
        if self.defer and not ctx.tool_call_approved:
            raise ApprovalRequired({METADATA: shown})
        call = Call(name, RawJson(shown), ctx.conversation_id, ctx.tool_call_id or None)

        async def invoke(execution: Execution) -> Any:
            approved = _validated(tool, execution.context_text, ctx)
            return await self.wrapped.call_tool(name, approved, ctx, tool)

        result = await self.gate.run_async(call, invoke)
        if isinstance(result, Refusal):
            raise ToolFailed(result.text)
        return result


@dataclasses.dataclass
class Approvals(AbstractCapability[Any]):
    """Guards every tool of an agent, as `GuardedToolset` does; `defer` as there.

    Output functions are not tools: they run unguarded.

    List it last: the first capability is the outermost, and no other may change a call after its
    approval.
    """

    gate: Gate
    defer: bool = False

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
        """Returns the guarded toolset."""
        return GuardedToolset(toolset, self.gate, self.defer)


class DeferredResolver:
    """Answers the calls of tools with `requires_approval`, and those that a guard defers.

    Each pending call becomes an approval. Approved calls are answered with `ToolApproved` and their
    own arguments, others with `ToolDenied` and the reason. With `claims`, an approval is claimed
    before the run resumes. Without, it is verified only, and `GuardedToolset` or `Approvals` with
    the same gate and `defer` must claim it.
    """

    def __init__(self, gate: Gate, *, claims: bool = True) -> None:
        self._gate = gate
        self._claims = claims

    def resolve(
        self,
        paused: Union[AgentRunResult[Any], DeferredToolRequests],
        *,
        run: Optional[str] = None,
        approvals: Sequence[str] = (),
    ) -> Resolution[DeferredToolResults]:
        """Returns a context manager whose value resumes the run.

        `paused` is a result whose output are deferred calls, or these calls; `run` is the
        conversation's id, which a result knows. `approvals` are ids that `request` returned: needed
        once the server has dropped their idempotency keys, after 24 hours. Calls that wait for
        something else than an approval are left to the caller, who adds their results to the value.

        >>> while isinstance(result.output, DeferredToolRequests):
        ...     async with resolver.resolve(result) as answers:
        ...         history = result.all_messages()
        ...         result = await agent.run(message_history=history, deferred_tool_results=answers)

        Raises `Invalid` for calls without `run`, and if none waits for an approval.
        """
        requests = paused
        if isinstance(paused, AgentRunResult):
            requests, run = paused.output, run or paused.conversation_id
        if not isinstance(requests, DeferredToolRequests) or not requests.approvals:
            raise Invalid("request-invalid", "no call of the run waits for an approval")
        if not run:
            raise Invalid("request-invalid", "deferred calls need `run`, the conversation's id")
        calls = [_pending_call(part, requests, run) for part in requests.approvals]

        def answer(answers: list[Answer]) -> DeferredToolResults:
            results: dict[str, Union[bool, ToolApproved, ToolDenied]] = {
                one.call.id or "": _approval_result(one, requests.metadata.get(one.call.id or ""))
                for one in answers
            }
            return DeferredToolResults(approvals=results)

        return Resolution(self._gate, calls, self._claims, approvals, answer)

    async def request(
        self, paused: Union[AgentRunResult[Any], DeferredToolRequests], *, run: Optional[str] = None
    ) -> tuple[Approval, ...]:
        """Requests the approvals without waiting, for a process that resolves them later."""
        return await self.resolve(paused, run=run).request_async()


def _pending_call(part: ToolCallPart, requests: DeferredToolRequests, run: str) -> Call:
    """Returns a pending call: on its validated arguments if a guard deferred it."""
    validated = (requests.metadata.get(part.tool_call_id) or {}).get(METADATA)
    if isinstance(validated, str):
        shown: Json = RawJson(validated)
    elif isinstance(part.args, str):
        shown = RawJson(part.args or "{}")
    else:
        shown = part.args_as_dict()
    return Call(part.tool_name, shown, run, part.tool_call_id or None)


def _approval_result(
    answer: Answer, metadata: Optional[Mapping[str, Any]]
) -> Union[ToolApproved, ToolDenied]:
    if answer.refusal is not None:
        return ToolDenied(answer.refusal.text)
    if metadata and METADATA in metadata:
        return ToolApproved()  # The guard runs the tool on what it claims.
    # Whatever became of the history meanwhile: these arguments were approved.
    return ToolApproved(override_args=json.loads(json_text(answer.call.arguments)))


def _json(arguments: Any) -> str:
    """Returns validated arguments as JSON text. Raises `Invalid` for a value that has none."""
    try:
        value = pydantic_core.to_jsonable_python(arguments)
    except (ValueError, TypeError) as error:
        raise Invalid("context-invalid", f"`context`: {error}") from None
    return json_text(value)


def _validated(tool: ToolsetTool[Any], text: str, ctx: RunContext[Any]) -> dict[str, Any]:
    """Returns the arguments that the tool's validator makes of a JSON text.

    Raises `Mismatch` if they are not those of the text.
    """
    arguments: dict[str, Any] = tool.args_validator.validate_json(
        text, context=ctx.validation_context
    )
    if canonical(_json(arguments)) != canonical(text):
        detail = "the tool's validator makes other arguments of its own"
        raise Mismatch("context-mismatch", detail)
    return arguments
