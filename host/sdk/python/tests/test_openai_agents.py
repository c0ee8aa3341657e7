"""OpenAI Agents: guarded function tools, and the resolver of interruptions."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from typing import Any, Dict, List, Optional, Sequence

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the frameworks of the tests need Python 3.11", allow_module_level=True)

from agents import (
    Agent,
    FunctionTool,
    RunConfig,
    Runner,
    RunState,
    WebSearchTool,
    function_tool,
    handoff,
    set_tracing_disabled,
)
from agents.exceptions import ModelBehaviorError, UserError
from agents.mcp import MCPServer
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tool_context import ToolContext
from desk import Desk, Slow, leave
from fake import Fake, problem
from live_policy import PolicyOffice
from test_guarded import ALLOWS, ASKS, DENIES

import signoff
from signoff.openai_agents import InterruptionResolver, guarded_agent, guarded_tool

set_tracing_disabled(True)

Wanted = Sequence[tuple[str, Any]]
Ran = List[tuple[str, Any]]
PROD: Wanted = [("deploy", {"target": "prod"})]
TURN: Wanted = [*PROD, ("drop", {"table": "users"}), ("deploy", {"target": "prod"})]


def calling(*turns: Wanted) -> ScriptedModel:
    """Returns a model that calls tools in each turn, with ids `c00`, `c01`, …, and then ends."""
    steps: List[Any] = [
        [function_call(name, given, call_id=f"c{n}{i}") for i, (name, given) in enumerate(turn)]
        for n, turn in enumerate(turns)
    ]
    return ScriptedModel([*steps, [assistant_message("done")]])


def tools_of(ran: Ran, **options: Any) -> List[FunctionTool]:
    def deploy(target: str, replicas: int = 1) -> str:
        """Deploys."""
        ran.append(("deploy", (target, replicas)))
        return f"deployed to {target}"

    async def drop(table: str) -> str:
        """Drops a table."""
        ran.append(("drop", table))
        return "dropped"

    return [function_tool(deploy, **options), function_tool(drop, **options)]


def agent_of(model: ScriptedModel, tools: Sequence[Any], **more: Any) -> Agent[Any]:
    return Agent(name="deployer", model=model, tools=list(tools), **more)


def run(agent: Agent[Any], given: Any = "go", **more: Any) -> Any:
    return asyncio.run(Runner.run(agent, given, **more))


def told(result: Any) -> List[str]:
    """Returns what the model is told by tools."""
    outputs = [one for one in result.to_input_list() if one.get("type") == "function_call_output"]
    return [str(one["output"]) for one in outputs]


def guarded(desk: Desk, ran: Ran, *turns: Wanted, **options: Any) -> Agent[Any]:
    named = options.pop("run", None)
    return guarded_agent(agent_of(calling(*turns), tools_of(ran)), desk.gate(**options), run=named)


def test_tool_runs_once_approved(desk: Desk) -> None:
    ran: Ran = []
    assert told(run(guarded(desk, ran, PROD, run="r-7"))) == ["deployed to prod"]
    assert ran == [("deploy", ("prod", 1))]
    (made,) = desk.requested()
    assert (made.action, made.context) == (f"{desk.prefix}deploy", {"target": "prod"})
    assert made.plan == {"tool": "deploy", "call": "c00", "run": "r-7"}
    assert desk.statuses() == ["succeeded"]


def test_synchronous_and_streamed_runs_are_guarded(desk: Desk) -> None:
    ran: Ran = []
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # `run_sync` would make one and leave it open.
    assert told(Runner.run_sync(guarded(desk, ran, PROD), "go")) == ["deployed to prod"]
    loop.close()

    async def streamed() -> Any:
        result = Runner.run_streamed(guarded(desk, ran, PROD), "go")
        async for _ in result.stream_events():
            pass
        return result

    assert told(asyncio.run(streamed())) == ["deployed to prod"]
    assert desk.statuses() == ["succeeded"] * 2


def test_tool_runs_on_the_canonical_text(desk: Desk) -> None:
    texts: List[str] = []

    async def invoke(context: ToolContext[Any], text: str) -> str:
        texts.append(text)
        return "ok"

    raw = FunctionTool("deploy", "Deploys.", {"type": "object"}, invoke, strict_json_schema=False)
    model = calling([("deploy", ' {"b" : 1, "a": "\u00e9" }')])
    run(agent_of(model, [guarded_tool(raw, desk.gate())]))
    assert texts == ['{"a": "\\u00e9", "b": 1}']


def test_rejection_gives_the_model_the_comment(desk: Desk) -> None:
    ran: Ran = []
    desk.decide, desk.comment = lambda _: "reject", "use staging"
    by = "was rejected by alice@company.com: use staging"
    assert told(run(guarded(desk, ran, PROD))) == [f"Not run: approval {desk.seen[0].id} {by}"]
    assert ran == []


def test_expiry_withdrawal_and_time_out_are_told_apart(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = leave
    for options, text in (
        ({"expires_in_seconds": 1}, "expired"),
        ({"timeout": 1}, "was not decided in time, and was withdrawn"),
    ):
        (shown,) = told(run(guarded(desk, ran, PROD, **options)))
        assert shown == f"Not run: approval {desk.requested()[-1].id} {text}."
    desk.decide = lambda _: "withdraw"
    (shown,) = told(run(guarded(desk, ran, PROD)))
    assert shown == f"Not run: approval {desk.requested()[-1].id} was withdrawn."
    assert ran == []


def test_server_down_and_wrong_token_end_the_run(desk: Desk, fake: Fake) -> None:
    ran: Ran = []
    fake.answers.append(problem("unauthenticated", 401))
    for client, error in [
        (signoff.Client("http://127.0.0.1:9", "token", timeout=0.2), signoff.Unavailable),
        (signoff.Client(fake.url, "token"), signoff.Forbidden),
    ]:
        with pytest.raises(UserError) as raised:
            run(guarded(desk, ran, PROD, client=client))
        assert isinstance(raised.value.__cause__, error)
    assert ran == []


@pytest.mark.parametrize("text", ['{"target": ', '{"target": "a", "target": "b"}', "[]", "NaN"])
def test_malformed_arguments_are_told(desk: Desk, text: str) -> None:
    ran: Ran = []
    (shown,) = told(run(guarded(desk, ran, [("deploy", text)])))
    assert shown.startswith("Not run: no approval can be requested for this call: ")
    assert (ran, desk.requested()) == ([], [])


def test_calls_of_one_batch_have_an_approval_each(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    texts = told(run(guarded(desk, ran, TURN, run="r")))
    assert [text.split(":")[0] for text in texts] == ["deployed to prod", "Not run", *texts[:1]]
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


def test_runs_do_not_share_approvals(desk: Desk) -> None:
    ran: Ran = []

    async def both(*names: Optional[str]) -> List[Any]:
        agents = [guarded(desk, ran, PROD, run=name) for name in names]
        return list(await asyncio.gather(*(Runner.run(one, "go") for one in agents)))

    desk.decide = lambda one: "approve" if (one.plan or {})["run"] == "a" else "reject"
    one, two = asyncio.run(both("a", "b"))
    assert (told(one), "rejected" in told(two)[0]) == (["deployed to prod"], True)
    desk.decide = lambda _: "approve"
    asyncio.run(both(None, None))
    assert len({one.id for one in desk.requested()}) == 4
    assert len(ran) == 3


def test_same_call_of_a_run_runs_once(desk: Desk) -> None:
    ran: Ran = []
    named: Any = lambda context: f"r-{context.context['id']}"  # noqa: E731
    for _ in range(2):
        result = run(guarded(desk, ran, PROD, run=named), context={"id": 1})
    (text,) = told(result)
    assert text.endswith("was used before; it is for one run of this call.")
    assert len(ran) == len(desk.requested()) == 1


def test_failure_and_time_out_of_a_tool_are_reported(desk: Desk) -> None:
    @function_tool
    def plain(n: int) -> str:
        raise LookupError("why")

    @function_tool(failure_error_function=lambda context, error: f"own text: {error}")
    def worded(n: int) -> str:
        raise LookupError("why")

    @function_tool(timeout=0.01)
    async def slow(n: int) -> str:
        await asyncio.Event().wait()
        return ""

    @function_tool(failure_error_function=None)
    def bare(n: int) -> str:
        raise LookupError("why")

    model = calling([(name, {"n": 1}) for name in ("plain", "worded", "slow")])
    tools = [guarded_tool(one, desk.gate()) for one in (plain, worded, slow, bare)]
    texts = told(run(agent_of(model, tools)))
    unguarded = calling([(name, {"n": 1}) for name in ("plain", "worded", "slow")])
    assert texts == told(run(agent_of(unguarded, [plain, worded, slow])))
    assert desk.statuses() == ["failed"] * 3
    with pytest.raises(UserError, match="why"):
        run(agent_of(calling([("bare", {"n": 1})]), tools))
    assert desk.requested()[3].members["execution"]["detail"] == "LookupError"


def test_time_limit_of_a_tool_does_not_limit_the_wait(desk: Desk) -> None:
    @function_tool(timeout=0.05)
    async def quick(n: int) -> str:
        return "quick"

    desk.decide = leave

    async def work() -> Any:
        agent = agent_of(calling([("quick", {"n": 1})]), [guarded_tool(quick, desk.gate())])
        running = asyncio.create_task(Runner.run(agent, "go"))
        (made,) = await asyncio.to_thread(desk.await_seen, 1)
        await asyncio.sleep(0.1)
        await asyncio.to_thread(desk.office.decide, made.id)
        return await running

    assert told(asyncio.run(work())) == ["quick"]


def test_cancelled_call_has_no_outcome(desk: Desk) -> None:
    slow = Slow()

    @function_tool
    def deploy(target: str) -> str:
        return slow.work()

    agent = guarded_agent(agent_of(calling(PROD), [deploy]), desk.gate())
    asyncio.run(slow.cancel(Runner.run(agent, "go")))
    assert desk.statuses() == ["claimed"]


def test_cancelled_resolution_has_no_outcome(desk: Desk) -> None:
    slow = Slow()

    @function_tool(needs_approval=True)
    def deploy(target: str) -> str:
        return slow.work()

    agent = agent_of(calling(PROD), [deploy])

    async def work() -> None:
        result = await Runner.run(agent, "go")
        async with InterruptionResolver(desk.gate()).resolve(result, run="r") as state:
            await Runner.run(agent, state)

    asyncio.run(slow.cancel(work()))
    assert desk.statuses() == ["claimed"]


def test_what_cannot_be_guarded_is_refused(desk: Desk) -> None:
    gate, (deploy, drop) = desk.gate(), tools_of([])
    with pytest.raises(TypeError, match="WebSearchTool"):
        guarded_agent(agent_of(calling(), [WebSearchTool()]), gate)
    with pytest.raises(TypeError, match="WebSearchTool"):
        guarded_tool(WebSearchTool(), gate)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="already"):
        guarded_tool(guarded_tool(deploy, gate), gate)
    other = Agent(name="other", tools=[drop])
    for one in (other, handoff(other)):
        with pytest.raises(TypeError, match="`other`"):
            guarded_agent(agent_of(calling(), [deploy], handoffs=[one]), gate)

    class Special(Agent[Any]):
        pass

    with pytest.raises(TypeError, match="Special"):
        guarded_agent(Special(name="special"), gate)
    named = agent_of(calling(), [WebSearchTool(), deploy], handoffs=[guarded_agent(other, gate)])
    kept = guarded_agent(named, gate, unguarded=("web_search",))
    assert [type(one) for one in kept.tools] == [WebSearchTool, FunctionTool]
    # A tool that is guarded already stays as it is.
    assert guarded_agent(kept, gate, unguarded=("web_search",)).tools[1] is kept.tools[1]


class Mcp(MCPServer):
    """A server of one tool in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.called: List[Any] = []

    @property
    def name(self) -> str:
        return "files"

    async def connect(self) -> None: ...

    async def cleanup(self) -> None: ...

    async def list_tools(self, run_context: Any = None, agent: Any = None) -> Any:
        from mcp.types import Tool

        return [Tool(name="erase", description="Erases.", input_schema={"type": "object"})]

    async def call_tool(self, tool_name: str, arguments: Any, meta: Any = None) -> Any:
        from mcp.types import CallToolResult, TextContent

        self.called.append(arguments)
        return CallToolResult(content=[TextContent(type="text", text="erased")])

    async def list_prompts(self) -> Any: ...

    async def get_prompt(self, name: str, arguments: Any = None) -> Any: ...


def test_tools_of_mcp_servers_are_guarded(desk: Desk) -> None:
    server = Mcp()
    turn: Wanted = [("erase", {"path": "/a"}), ("erase", {"path": "/b"})]
    desk.decide = lambda one: "reject" if one.context == {"path": "/b"} else "approve"
    agent = agent_of(calling(turn), [], mcp_servers=[server])
    texts = told(run(guarded_agent(agent, desk.gate())))
    assert "erased" in texts[0] and "was rejected by" in texts[1]
    assert server.called == [{"path": "/a"}]
    assert sorted(desk.statuses()) == ["rejected", "succeeded"]


def test_named_tools_of_mcp_servers_stay_unguarded(desk: Desk) -> None:
    server = Mcp()
    agent = agent_of(calling([("erase", {})]), [], mcp_servers=[server])
    run(guarded_agent(agent, desk.gate(), unguarded=("erase",)))
    assert (server.called, desk.requested()) == ([{}], [])


def test_handoff_objects_of_guarded_agents_are_accepted(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    desk.decide = lambda _: "reject"
    model = calling([("transfer_to_other", {})], PROD)
    other = guarded_agent(Agent(name="other", model=model, tools=list(tools_of(ran))), gate)
    first = guarded_agent(agent_of(model, [], handoffs=[handoff(other)]), gate)
    assert "was rejected by" in told(run(first))[-1]
    assert ran == []


def test_clones_of_guarded_agents_are_guarded(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda _: "reject"
    gate = desk.gate()
    plain = agent_of(calling(PROD), [])
    cloned = guarded_agent(plain, gate).clone(tools=tools_of(ran))
    assert "was rejected by" in told(run(cloned))[0]
    # It passes as guarded elsewhere, and is.
    model = calling([("transfer_to_deployer", {})], PROD)
    cloned = guarded_agent(plain, gate).clone(model=model, tools=tools_of(ran))
    first = agent_of(model, [], handoffs=[cloned])
    assert "was rejected by" in told(run(guarded_agent(first, gate)))[-1]
    server = Mcp()
    served = guarded_agent(agent_of(calling(), [], mcp_servers=[server]), gate, run="r")
    assert "was rejected by" in told(run(served.clone(model=calling([("erase", {})]))))[0]
    assert (desk.seen[2].plan or {})["run"] == "r"
    with pytest.raises(TypeError, match="WebSearchTool"):
        served.clone(tools=[WebSearchTool()])
    named = guarded_agent(plain, gate, unguarded=("web_search",))
    assert len(named.clone(tools=[WebSearchTool()]).clone(name="other").tools) == 1
    assert (ran, server.called) == ([], [])


def test_tools_that_a_guarded_agent_got_later_do_not_run(desk: Desk) -> None:
    ran: Ran = []
    appended = guarded_agent(agent_of(calling(PROD), []), desk.gate())
    appended.tools.extend(tools_of(ran))
    with pytest.raises(TypeError, match="`deploy` was added"):
        run(appended)
    guard = guarded_agent(agent_of(calling(PROD), []), desk.gate())
    with pytest.raises(TypeError, match="no gate"):
        run(dataclasses.replace(guard, tools=list(tools_of(ran))))
    assert (ran, desk.requested()) == ([], [])


def test_handoffs_that_a_guarded_agent_got_later_are_refused(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    other = Agent(name="other", tools=list(tools_of(ran)))
    plain = agent_of(calling([("transfer_to_other", {})]), [])
    guard = guarded_agent(plain, gate)
    plain.handoffs.append(other)
    plain.mcp_servers.append(Mcp())
    assert (guard.handoffs, guard.mcp_servers) == ([], [])
    for one in (other, handoff(other)):
        guard.handoffs[:] = [one]
        with pytest.raises(TypeError, match="`other` has tools"):
            run(guard)
    assert (ran, desk.requested()) == ([], [])


def test_policy_allows_and_denies(policy_office: PolicyOffice) -> None:
    ran: Ran = []
    with Desk(policy_office) as desk:
        for module, text in (
            (ALLOWS, "deployed to prod"),
            (DENIES, "Not run: denied by the policy: "),
            (ASKS, "deployed to prod"),
        ):
            policy_office.activate(module)
            agent = guarded(desk, ran, PROD, pinned=False)
            assert told(run(agent))[0].startswith(text)
        assert desk.statuses() == ["succeeded"]
    assert len(ran) == 2


def pausing(ran: Ran, *turns: Wanted) -> Agent[Any]:
    return agent_of(calling(*turns), tools_of(ran, needs_approval=True))


def test_every_interruption_is_decided(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    resolver = InterruptionResolver(desk.gate())

    async def work() -> Any:
        agent = pausing(ran, TURN)
        result = await Runner.run(agent, "go")
        assert len(result.interruptions) == 3
        async with resolver.resolve(result, run="r") as state:
            assert ran == [] and sorted(desk.statuses()) == ["claimed", "claimed", "rejected"]
            return await Runner.run(agent, state)

    result = asyncio.run(work())
    assert result.interruptions == []
    id = next(one.id for one in desk.seen if one.action.endswith("drop"))
    rejected = f"Not run: approval {id} was rejected by alice@company.com: too risky"
    assert sorted(told(result)) == [rejected, "deployed to prod", "deployed to prod"]
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


def test_approval_is_for_one_call_and_never_sticky(desk: Desk) -> None:
    ran: Ran = []
    resolver = InterruptionResolver(desk.gate())
    agent = pausing(ran, PROD, [("deploy", {"target": "other"})])
    result = run(agent)
    with resolver.resolve(result, run="r") as state:
        (stored,) = state.to_json()["context"]["function_tool_approvals"]
        assert stored["decision"]["approved"] == ["c00"]  # `True` if it were for ever.
        result = run(agent, state)
    # The second call of the same tool pauses again.
    assert [one.arguments for one in result.interruptions] == ['{"target":"other"}']
    desk.decide = lambda _: "reject"
    with resolver.resolve(result, run="r") as state:
        result = run(agent, state)
    assert ran == [("deploy", ("prod", 1))]


def test_sticky_approval_of_another_hand_does_not_pass_the_guard(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda _: "reject"
    turns = (PROD, [("deploy", {"target": "other"})])
    agent = guarded_agent(pausing(ran, *turns), desk.gate(), run="r")
    state = run(agent).to_state()
    state.approve(state.get_interruptions()[0], always_approve=True)
    stored = state.to_string()
    result = run(agent, asyncio.run(RunState.from_string(agent, stored)))
    assert ["was rejected by" in text for text in told(result)] == [True, True]
    assert ran == []


def test_restart_finds_the_same_approvals(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = leave
    model = calling(TURN)

    async def work() -> Any:
        agent = agent_of(model, tools_of(ran, needs_approval=True))
        result = await Runner.run(agent, "go")
        first = await InterruptionResolver(desk.gate()).request(result, run="r")
        stored = result.to_state().to_string()
        # Another process comes back too early, and leaves the requests.
        again = agent_of(model, tools_of(ran, needs_approval=True))
        state = await RunState.from_string(again, stored)
        with pytest.raises(signoff.TimedOut):
            async with InterruptionResolver(desk.gate(timeout=1)).resolve(state, run="r"):
                raise AssertionError
        for one in first:
            await asyncio.to_thread(desk.office.decide, one.id)
        async with InterruptionResolver(desk.gate()).resolve(state, run="r") as resumed:
            await Runner.run(again, resumed)
        assert {one.id for one in desk.requested()} == {one.id for one in first}

    asyncio.run(work())
    assert len(ran) == 3
    assert desk.statuses() == ["succeeded"] * 3


def test_resolving_twice_runs_once(desk: Desk) -> None:
    ran: Ran = []
    agent = pausing(ran, PROD)
    result = run(agent)
    with InterruptionResolver(desk.gate()).resolve(result, run="r"):
        pass
    with InterruptionResolver(desk.gate()).resolve(result, run="r") as state:
        shown = run(agent, state)
    assert "was used before" in told(shown)[0]
    assert ran == []


def test_resolver_and_guard_share_one_approval(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    gate = desk.gate()
    agent = guarded_agent(pausing(ran, TURN), gate, run="r")
    result = run(agent)
    with InterruptionResolver(gate, claims=False).resolve(result, run="r") as state:
        assert sorted(desk.statuses()) == ["approved", "approved", "rejected"]
        run(agent, state)
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


def test_edited_state_is_a_new_request(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    desk.decide = lambda one: "approve" if one.context == {"target": "prod"} else "reject"
    agent = guarded_agent(pausing(ran, PROD), gate, run="r")
    result = run(agent)
    with InterruptionResolver(gate, claims=False).resolve(result, run="r") as state:
        text = state.to_string().replace("prod", "other")
        edited = asyncio.run(RunState.from_string(agent, text))
        with pytest.raises(ModelBehaviorError):  # The framework notices it by itself.
            run(agent, edited)
        # So does the guard: the same call on other arguments is another request.
        other: Wanted = [("deploy", {"target": "other"})]
        shown = run(guarded_agent(agent_of(calling(other), tools_of(ran)), gate, run="r"))
    assert "was rejected by" in told(shown)[0]
    assert [one.context for one in desk.seen] == [{"target": "prod"}, {"target": "other"}]
    assert ran == []


def test_what_cannot_be_resolved_is_refused(desk: Desk) -> None:
    resolver = InterruptionResolver(desk.gate())
    result = run(agent_of(calling(), []))
    with pytest.raises(signoff.Invalid, match="no interruption"):
        resolver.resolve(result, run="r")
    client = signoff.Client("http://127.0.0.1:9", "token", timeout=0.2)
    paused = run(pausing([], PROD), run_config=RunConfig())
    with pytest.raises(signoff.Unavailable):
        with InterruptionResolver(desk.gate(client=client)).resolve(paused, run="r"):
            raise AssertionError


def test_nested_agents_are_guarded_by_their_own_tools(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    inner = guarded_agent(agent_of(calling(PROD), tools_of(ran)), gate)
    outer: Dict[str, Any] = {"tool_name": "ask", "tool_description": "Asks."}
    agent = agent_of(calling([("ask", {"input": "go"})]), [inner.as_tool(**outer)])
    desk.decide = lambda _: "reject"
    run(agent)
    assert [one.action for one in desk.seen] == [f"{desk.prefix}deploy"]
    assert ran == []


def test_agent_as_a_tool_must_be_guarded(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    desk.decide = lambda one: "reject" if one.action.endswith("deploy") else "approve"
    inner = agent_of(calling(PROD), tools_of(ran))
    outer: Dict[str, Any] = {"tool_name": "ask", "tool_description": "Asks."}
    model = calling([("ask", {"input": "go"})])
    with pytest.raises(TypeError, match="`ask` is an agent"):
        guarded_agent(agent_of(model, [inner.as_tool(**outer)]), gate)
    with pytest.raises(TypeError, match="`ask` is an agent"):
        guarded_tool(inner.as_tool(**outer), gate)
    guarded_agent(agent_of(model, [inner.as_tool(**outer)]), gate, unguarded=("ask",))
    tool = guarded_agent(inner, gate).as_tool(**outer)
    run(guarded_agent(agent_of(model, [tool]), gate))
    assert [one.action.split(".")[1] for one in desk.seen] == ["ask", "deploy"]
    assert ran == []
