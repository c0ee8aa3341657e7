"""OpenAI Agents: guarded function tools, and a resolver of interruptions.

Needs the extra `signoff[openai-agents]`, and Python 3.10.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

from ._answers import Refusal
from ._gate import Call, Gate, ToolError
from ._resolver import Answer, Resolution
from .approval import Approval
from .encode import RawJson
from .errors import Invalid
from .execution import Execution

try:
    from agents import (
        Agent,
        FunctionTool,
        Handoff,
        RunContextWrapper,
        RunResult,
        RunResultStreaming,
        Tool,
    )
    from agents.items import ToolApprovalItem
    from agents.run_state import RunState
    from agents.tool import (
        default_tool_timeout_error_message,
        invoke_function_tool,
        maybe_invoke_function_tool_failure_error_function,
        set_function_tool_failure_error_function,
    )
    from agents.tool_context import ToolContext
except ImportError as error:
    raise ImportError(
        "signoff.openai_agents needs OpenAI Agents: install it with "
        "`pip install 'signoff[openai-agents]'`"
    ) from error

__all__ = ["InterruptionResolver", "guarded_agent", "guarded_tool"]

PausedRun = Union[RunResult, RunResultStreaming, RunState[Any, Any]]

RunOf = Union[str, Callable[[ToolContext[Any]], Optional[str]]]


def guarded_tool(tool: FunctionTool, gate: Gate, *, run: Optional[RunOf] = None) -> FunctionTool:
    """Returns a copy of a function tool that requests, waits, claims, runs the tool, and reports.

    The tool gets the arguments that were approved. `run` names the run, for example the id of the
    conversation: then the same call, seen again after a restart, finds its approval. Without it
    each call requests anew. The tool's `timeout_seconds` limits the tool, not the wait.

    A call that is not approved gives the model a text that begins with `Not run:`. A server that
    is unreachable, a refused token and what else the model is not the reason for raises, and ends
    the run. Raises `TypeError` for what is not a function tool, for a tool that is guarded already,
    and for an agent as a tool (`as_tool`) that is not guarded.
    """
    if not isinstance(tool, FunctionTool):
        raise TypeError(f"cannot guard a {type(tool).__name__}: it does not run in this process")
    if isinstance(tool.on_invoke_tool, _Guarded):
        raise TypeError(f"the tool `{tool.name}` is guarded already")
    if tool._is_agent_tool and not isinstance(tool._agent_instance, _GuardedAgent):
        detail = "is an agent with tools of its own: guard that agent"
        raise TypeError(f"the tool `{tool.name}` {detail}, or name the tool")
    guarded = copy.copy(tool)
    guarded.on_invoke_tool = _Guarded(tool, gate, run)
    guarded.timeout_seconds = None
    return guarded


def guarded_agent(
    agent: Agent[Any], gate: Gate, *, run: Optional[RunOf] = None, unguarded: tuple[str, ...] = ()
) -> Agent[Any]:
    """Returns a copy of an agent with all of its tools guarded, those of MCP servers too.

    A `clone` of the copy is guarded too. A tool or handoff that was added to it later is not: the
    next turn raises `TypeError`.

    Raises `TypeError` for what cannot be guarded: a hosted tool, a shell or computer tool, an agent
    that is not guarded as a tool or in a handoff (guard that agent first), unless `unguarded` has
    the name of the tool or agent.
    """
    if type(agent) not in (Agent, _GuardedAgent):
        raise TypeError(f"cannot guard a {type(agent).__name__}: guard its tools")
    values = {one.name: getattr(agent, one.name) for one in dataclasses.fields(agent) if one.init}
    _check_handoffs(agent, unguarded)
    values["tools"] = [_guard(tool, gate, run, unguarded) for tool in agent.tools]
    # Lists of its own: what is added to the agent's is not added to the copy's.
    values["handoffs"], values["mcp_servers"] = list(agent.handoffs), list(agent.mcp_servers)
    guarded = _GuardedAgent(**values)
    guarded.gate, guarded.run, guarded.unguarded = gate, run, unguarded
    return guarded


class InterruptionResolver:
    """Answers the interruptions of tools with `needs_approval`.

    Each pending call becomes an approval; the state is then told to approve or reject that one
    call, never always. With `claims`, an approval is claimed before the run resumes. Without, it
    is verified only, and a guarded tool with the same gate and `run` must claim it.
    """

    def __init__(self, gate: Gate, *, claims: bool = True) -> None:
        self._gate = gate
        self._claims = claims

    def resolve(
        self, paused: PausedRun, *, run: str, approvals: Sequence[str] = ()
    ) -> Resolution[RunState[Any, Any]]:
        """Returns a context manager whose value is the state to run.

        `paused` is a result with interruptions, or a state that was restored. `run` names the run,
        for example the id of the conversation, also after a restart. `approvals` are ids that
        `request` returned: needed once the server has dropped their idempotency keys, after 24
        hours.

        >>> while result.interruptions:
        ...     async with resolver.resolve(result, run="conversation-7") as state:
        ...         result = await Runner.run(agent, state)

        Raises `Invalid` for an interruption that is not of a function tool, and if there is none.
        """
        state = paused if isinstance(paused, RunState) else paused.to_state()
        items = state.get_interruptions()
        if not items:
            raise Invalid("request-invalid", "the run has no interruption")
        calls = [_pending_call(item, run) for item in items]

        def answer(answers: list[Answer]) -> RunState[Any, Any]:
            for item, one in zip(items, answers):
                if one.refusal is None:
                    state.approve(item)
                else:
                    state.reject(item, rejection_message=one.refusal.text)
            return state

        return Resolution(self._gate, calls, self._claims, approvals, answer)

    async def request(self, paused: PausedRun, *, run: str) -> tuple[Approval, ...]:
        """Requests the approvals without waiting, for a process that resolves them later."""
        return await self.resolve(paused, run=run).request_async()


class _Guarded:
    """The function of a guarded tool."""

    def __init__(self, tool: FunctionTool, gate: Gate, run: Optional[RunOf]) -> None:
        self._tool = tool
        self._gate = gate
        self._run = run

    async def __call__(self, context: ToolContext[Any], arguments: str) -> Any:
        run = self._run(context) if callable(self._run) else self._run
        name, id = context.qualified_tool_name, context.tool_call_id or None
        call = Call(name, RawJson(arguments or "{}"), run, id)

        async def invoke(execution: Execution) -> Any:
            return await _invoke(self._tool, context, execution.context_text)

        result = await self._gate.run_async(call, invoke)
        return result.text if isinstance(result, Refusal) else result


async def _invoke(tool: FunctionTool, context: ToolContext[Any], arguments: str) -> Any:
    """Invokes a tool with its own time limit and texts of failures.

    A failure of which the tool makes a text for the model is raised as a `ToolError` with that
    text, so that it is reported as failed.
    """
    failures: list[BaseException] = []

    async def on_error(context: RunContextWrapper[Any], error: Exception) -> str:
        failures.append(error)
        text = await maybe_invoke_function_tool_failure_error_function(
            function_tool=tool, context=context, error=error
        )
        if text is None:
            raise error
        return text

    async def on_timeout(context: RunContextWrapper[Any], error: Exception) -> str:
        failures.append(error)
        if tool.timeout_error_function is None:
            seconds = tool.timeout_seconds or 0
            return default_tool_timeout_error_message(tool_name=tool.name, timeout_seconds=seconds)
        text = tool.timeout_error_function(context, error)
        return await text if inspect.isawaitable(text) else text

    watched = set_function_tool_failure_error_function(copy.copy(tool), on_error)
    watched.timeout_error_function = on_timeout
    result = await invoke_function_tool(function_tool=watched, context=context, arguments=arguments)
    if failures:
        raise ToolError(result)
    return result


def _pending_call(item: ToolApprovalItem, run: str) -> Call:
    raw = item.raw_item
    kind = raw.get("type") if isinstance(raw, dict) else getattr(raw, "type", None)
    if kind != "function_call" or item.qualified_name is None:
        raise Invalid("request-invalid", f"the interruption of `{item.name}` is not of a function")
    return Call(item.qualified_name, RawJson(item.arguments or "{}"), run, item.call_id or None)


def _is_guarded(tool: Tool) -> bool:
    return isinstance(tool, FunctionTool) and isinstance(tool.on_invoke_tool, _Guarded)


def _guard(tool: Tool, gate: Gate, run: Optional[RunOf], unguarded: tuple[str, ...]) -> Tool:
    if tool.name in unguarded or _is_guarded(tool):
        return tool
    if not isinstance(tool, FunctionTool):
        what = f"the tool `{tool.name}`, a {type(tool).__name__},"
        raise TypeError(f"{what} does not run as a function: it cannot be guarded")
    return guarded_tool(tool, gate, run=run)


def _check_handoffs(agent: Agent[Any], unguarded: tuple[str, ...]) -> None:
    """Raises `TypeError` for a handoff to an agent that is neither guarded nor named."""
    for handoff in agent.handoffs:
        name = handoff.name if isinstance(handoff, Agent) else handoff.agent_name
        if name not in unguarded and not isinstance(_target(handoff), _GuardedAgent):
            raise TypeError(f"the agent `{name}` has tools of its own: guard it, or name it")


def _target(handoff: Union[Agent[Any], Handoff[Any, Any]]) -> object:
    """Returns the agent of a handoff; None for one that `handoff()` did not make."""
    if isinstance(handoff, Agent):
        return handoff
    return None if handoff._agent_ref is None else handoff._agent_ref()


class _GuardedAgent(Agent[Any]):
    """An agent whose tools are guarded, or named as unguarded, whenever they are listed."""

    gate: Optional[Gate] = None
    run: Optional[RunOf] = None
    unguarded: tuple[str, ...] = ()

    def clone(self, **kwargs: Any) -> Agent[Any]:
        """Returns a guarded copy with other values."""
        return guarded_agent(
            super().clone(**kwargs), self._own_gate(), run=self.run, unguarded=self.unguarded
        )

    async def get_mcp_tools(self, run_context: RunContextWrapper[Any]) -> list[Tool]:
        listed, gate = await super().get_mcp_tools(run_context), self._own_gate()
        return [_guard(tool, gate, self.run, self.unguarded) for tool in listed]

    async def get_all_tools(self, run_context: RunContextWrapper[Any]) -> list[Tool]:
        self._own_gate()
        listed = await super().get_all_tools(run_context)
        for tool in listed:
            if tool.name not in self.unguarded and not _is_guarded(tool):
                detail = "was added after the agent was guarded: use `clone(tools=…)`"
                raise TypeError(f"the tool `{tool.name}` {detail}")
        _check_handoffs(self, self.unguarded)
        return listed

    def _own_gate(self) -> Gate:
        if self.gate is None:
            raise TypeError(f"this copy of the agent `{self.name}` has no gate: use `clone`")
        return self.gate
