"""LangChain: the middleware inside the tool call, and the resolver of interrupts."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Annotated, Any, Callable, Dict, List, Optional, Sequence, Tuple

import pytest

if sys.version_info < (3, 11):
    pytest.skip("LangChain needs Python 3.11", allow_module_level=True)

import pydantic
from desk import Desk, Slow, leave
from fake import Fake, problem
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ToolCallRequest,
    ToolRetryMiddleware,
)
from langchain.tools import InjectedState, ToolRuntime
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from live_policy import PolicyOffice
from test_guarded import ALLOWS, ASKS, DENIES

import signoff
from signoff.langchain import ApprovalMiddleware


class Model(GenericFakeChatModel):
    """The framework's fake model, which accepts tools."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


Wanted = Sequence[tuple[str, Dict[str, Any]]]
Ran = List[tuple[str, Any]]


def calling(*turns: Wanted) -> Model:
    """Returns a model that calls tools in each turn, ids from `c0` in each, and then ends."""
    messages = []
    for turn in turns:
        calls = [ToolCall(name=n, args=a, id=f"c{i}") for i, (n, a) in enumerate(turn)]
        messages.append(AIMessage("", tool_calls=calls))
    return Model(messages=iter([*messages, AIMessage("done")]))


def tools_of(ran: Ran) -> List[Any]:
    @tool
    def deploy(target: str, replicas: int = 1) -> str:
        """Deploys."""
        ran.append(("deploy", (target, replicas)))
        return f"deployed to {target}"

    @tool
    def drop(table: str) -> str:
        """Drops a table."""
        ran.append(("drop", table))
        return "dropped"

    return [deploy, drop]


PROD: Wanted = [("deploy", {"target": "prod"})]
INPUT: Any = {"messages": [{"role": "user", "content": "go"}]}


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}}


def agent_of(
    model: Model, ran: Ran, middleware: Sequence[Any], saver: Optional[InMemorySaver] = None
) -> Any:
    return create_agent(model, tools_of(ran), middleware=middleware, checkpointer=saver)


def told(result: Any) -> List[str]:
    """Returns what the model is told by tools."""
    value = getattr(result, "value", result)
    return [str(one.content) for one in value["messages"] if isinstance(one, ToolMessage)]


Invoke = Callable[..., Any]


def ainvoke(agent: Any, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(agent.ainvoke(*args, **kwargs))


def invoke(agent: Any, *args: Any, **kwargs: Any) -> Any:
    return agent.invoke(*args, **kwargs)


both = pytest.mark.parametrize("call", [invoke, ainvoke])


@both
def test_tool_runs_once_approved(desk: Desk, call: Invoke) -> None:
    ran: Ran = []
    agent = agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate())], InMemorySaver())
    assert told(call(agent, INPUT, config("t-7"))) == ["deployed to prod"]
    assert ran == [("deploy", ("prod", 1))]
    (made,) = desk.requested()
    assert (made.action, made.context) == (f"{desk.prefix}deploy", {"target": "prod"})
    assert made.plan is not None and made.plan["run"] == "t-7"
    assert (made.plan["tool"], made.plan["call"].split(":")[-1]) == ("deploy", "c0")
    assert desk.statuses() == ["succeeded"]


@both
def test_rejection_gives_the_model_the_comment(desk: Desk, call: Invoke) -> None:
    ran: Ran = []
    desk.decide, desk.comment = lambda _: "reject", "use staging"
    agent = agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate())])
    result = call(agent, INPUT)
    id = desk.seen[0].id
    by = "rejected by alice@company.com"
    assert told(result) == [f"Not run: approval {id} was {by}: use staging"]
    assert [one.status for one in result["messages"] if isinstance(one, ToolMessage)] == ["error"]
    assert ran == []


def test_expiry_withdrawal_and_time_out_are_told_apart(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = leave
    cases: Tuple[Tuple[Dict[str, Any], str], ...] = (
        ({"expires_in_seconds": 1}, "expired"),
        ({"timeout": 1}, "was not decided in time, and was withdrawn"),
    )
    for options, text in cases:
        agent = agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate(**options))])
        (shown,) = told(agent.invoke(INPUT))
        assert shown == f"Not run: approval {desk.requested()[-1].id} {text}."
    desk.decide = lambda _: "withdraw"
    agent = agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate())])
    assert told(agent.invoke(INPUT)) == [f"Not run: approval {desk.requested()[-1].id} was withdrawn."]
    assert ran == []


@both
def test_server_down_and_wrong_token_end_the_run(desk: Desk, fake: Fake, call: Invoke) -> None:
    ran: Ran = []
    fake.answers.append(problem("unauthenticated", 401))
    for client, error in [
        (signoff.Client("http://127.0.0.1:9", "token", timeout=0.2), signoff.Unavailable),
        (signoff.Client(fake.url, "token"), signoff.Forbidden),
    ]:
        agent = agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate(client=client))])
        with pytest.raises(error):
            call(agent, INPUT)
    assert ran == []


def test_arguments_without_json_form_are_told(desk: Desk) -> None:
    ran: Ran = []
    turn: Wanted = [("deploy", {"target": "\ud800"}), ("drop", {"table": float("nan")})]
    agent = agent_of(calling(turn), ran, [ApprovalMiddleware(desk.gate())])
    for text in told(agent.invoke(INPUT)):
        assert text.startswith("Not run: no approval can be requested for this call: ")
        assert text.isprintable()
    assert (ran, desk.requested()) == ([], [])


@both
def test_calls_of_one_batch_have_an_approval_each(desk: Desk, call: Invoke) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    turn: Wanted = [*PROD, ("drop", {"table": "users"}), ("deploy", {"target": "prod"})]
    agent = agent_of(calling(turn), ran, [ApprovalMiddleware(desk.gate())], InMemorySaver())
    texts = told(call(agent, INPUT, config()))
    assert [text.split(":")[0] for text in texts] == ["deployed to prod", "Not run", *texts[:1]]
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


def test_threads_do_not_share_approvals(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "approve" if (one.plan or {})["run"] == "a" else "reject"
    agent, saver = [], InMemorySaver()
    for _ in "ab":
        agent.append(agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate())], saver))
    results: Dict[str, Any] = {}

    def work(one: Any, thread: str) -> None:
        results[thread] = told(one.invoke(INPUT, config(thread)))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(agent, "ab")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["a"] == ["deployed to prod"]
    assert "rejected" in results["b"][0]
    assert len(ran) == 1


def test_ids_that_a_model_repeats_are_other_calls(desk: Desk) -> None:
    ran: Ran = []
    middleware = [ApprovalMiddleware(desk.gate())]
    agent = agent_of(calling(PROD, PROD), ran, middleware, InMemorySaver())
    assert told(agent.invoke(INPUT, config())) == ["deployed to prod"] * 2
    assert len({one.id for one in desk.requested()}) == len(ran) == 2


class Editing(AgentMiddleware[Any, Any, Any]):
    """Changes calls, as a framework or other middleware may."""

    def __init__(self, edit: Callable[[ToolCallRequest], ToolCallRequest]) -> None:
        super().__init__()
        self._edit = edit

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return handler(self._edit(request))

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(self._edit(request))


def with_args(**args: Any) -> Editing:
    def edit(request: ToolCallRequest) -> ToolCallRequest:
        call = request.tool_call
        return request.override(tool_call=ToolCall(**{**call, "args": {**call["args"], **args}}))

    return Editing(edit)


def in_place(request: ToolCallRequest) -> ToolCallRequest:
    request.tool_call["args"]["target"] = "other"
    return request


def nested_in_place(request: ToolCallRequest) -> ToolCallRequest:
    args = {**request.tool_call["args"]}
    args["order"]["cents"] = 999
    return request.override(tool_call=ToolCall(**{**request.tool_call, "args": args}))


def as_drop(request: ToolCallRequest) -> ToolCallRequest:
    drop = next(one for one in request.runtime.tools if one.name == "drop")
    call = ToolCall(**{**request.tool_call, "name": "drop", "args": {"table": "users"}})
    return request.override(tool_call=call, tool=drop)


@both
def test_call_is_requested_as_other_middleware_left_it(desk: Desk, call: Invoke) -> None:
    ran: Ran = []
    middleware = [with_args(target="test"), ApprovalMiddleware(desk.gate())]
    agent = agent_of(calling(PROD), ran, middleware)
    call(agent, INPUT)
    assert desk.seen[0].context == {"target": "test"}
    assert ran == [("deploy", ("test", 1))]


@both
@pytest.mark.parametrize(
    "edit",
    [with_args(target="other"), with_args(replicas=99), Editing(as_drop), Editing(in_place)],
    ids=["value", "added", "tool", "in-place"],
)
def test_change_after_the_approval_does_not_run(desk: Desk, call: Invoke, edit: Any) -> None:
    ran: Ran = []
    agent = agent_of(calling(PROD), ran, [ApprovalMiddleware(desk.gate()), edit])
    (text,) = told(call(agent, INPUT))
    assert text == f"Not run: the call is not the one of approval {desk.seen[0].id}."
    assert ran == []
    assert desk.statuses() == ["failed"]


@both
@pytest.mark.parametrize("edit", [Editing(nested_in_place), with_args(order={"cents": True})])
def test_nested_change_after_the_approval_does_not_run(desk: Desk, call: Invoke, edit: Any) -> None:
    @tool
    def pay(order: Dict[str, Any]) -> str:
        """Pays."""
        raise AssertionError(order)

    middleware = [ApprovalMiddleware(desk.gate()), edit]
    agent = create_agent(calling([("pay", {"order": {"cents": 1}})]), [pay], middleware=middleware)
    (text,) = told(call(agent, INPUT))
    assert text == f"Not run: the call is not the one of approval {desk.seen[0].id}."
    assert desk.statuses() == ["failed"]


def other_tool(request: ToolCallRequest) -> ToolCallRequest:
    drop = next(one for one in request.runtime.tools if one.name == "drop")
    return request.override(tool=drop)


@both
def test_tool_that_the_call_does_not_name_is_refused(desk: Desk, call: Invoke) -> None:
    ran: Ran = []
    middleware = [Editing(other_tool), ApprovalMiddleware(desk.gate())]
    agent = agent_of(calling([("deploy", {"table": "users"})]), ran, middleware)
    with pytest.raises(signoff.Mismatch, match="its tool is `drop`"):
        call(agent, INPUT)
    assert (ran, desk.requested()) == ([], [])


class Plain(BaseTool):
    """A tool of its own class, without a schema of its own."""

    name: str = "deploy"
    description: str = "Deploys."
    ran: List[Any] = pydantic.Field(default_factory=list)

    def _run(self, target: str) -> str:
        self.ran.append(target)
        return "deployed"


def by_run(request: Any) -> Any:
    return request.tool.run({"target": "other"})


def by_protected_run(request: Any) -> Any:
    return request.tool._run(target="other")


def by_arun(request: Any) -> Any:
    return asyncio.run(request.tool.arun({"target": "other"}))


def by_protected_arun(request: Any) -> Any:
    return asyncio.run(request.tool._arun(target="other"))


def by_function(request: Any) -> Any:
    return request.tool.func(target="other")


def by_copy(request: Any) -> Any:
    return request.tool.model_copy().run({"target": "other"})


@pytest.mark.parametrize(
    "way", [by_run, by_protected_run, by_arun, by_protected_arun, by_copy, by_function]
)
@pytest.mark.parametrize("plain", [True, False])
def test_tool_runs_in_no_other_way(desk: Desk, way: Any, plain: bool) -> None:
    ran: Ran = []
    # A tool of its own class has no `func`.
    tools: List[Any] = [Plain(ran=ran)] if plain and way is not by_function else tools_of(ran)

    def edit(request: ToolCallRequest) -> Any:
        way(request)
        raise AssertionError

    middleware: List[Any] = [ApprovalMiddleware(desk.gate()), Editing(edit)]
    (text,) = told(create_agent(calling(PROD), tools, middleware=middleware).invoke(INPUT))
    assert text == f"Not run: the call is not the one of approval {desk.seen[0].id}."
    assert (ran, desk.statuses()) == ([], ["failed"])


@both
def test_tool_of_its_own_class_runs(desk: Desk, call: Invoke) -> None:
    ran: Ran = []
    own = Plain(ran=ran)
    agent = create_agent(calling(PROD), [own], middleware=[ApprovalMiddleware(desk.gate())])
    assert told(call(agent, INPUT)) == ["deployed"]
    assert own.ran == ["prod"]


def failing(ran: Ran) -> Any:
    @tool
    def deploy(target: str) -> str:
        """Deploys."""
        ran.append(("deploy", target))
        raise LookupError(target)

    return deploy


@pytest.mark.parametrize("guard_first", [True, False])
def test_retry_middleware_runs_an_approval_once(desk: Desk, guard_first: bool) -> None:
    ran: Ran = []
    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    middleware: List[Any] = [ApprovalMiddleware(desk.gate()), retry]
    agent = create_agent(
        calling(PROD),
        [failing(ran)],
        middleware=middleware if guard_first else middleware[::-1],
        checkpointer=InMemorySaver(),
    )
    (text,) = told(agent.invoke(INPUT, config()))
    assert ran == [("deploy", "prod")]
    assert desk.statuses() == ["failed"]
    if not guard_first:
        assert text.endswith("was used before; it is for one run of this call.")


def test_failure_of_a_tool_ends_the_run_and_is_reported(desk: Desk) -> None:
    ran: Ran = []
    middleware = [ApprovalMiddleware(desk.gate())]
    agent = create_agent(calling(PROD), [failing(ran)], middleware=middleware)
    with pytest.raises(LookupError):
        agent.invoke(INPUT)
    (made,) = desk.requested()
    assert made.members["execution"]["detail"] == "LookupError"


def test_error_of_a_tool_that_uses_signoff_is_its_own(desk: Desk) -> None:
    @tool
    def deploy(target: str) -> str:
        """Deploys."""
        raise signoff.Mismatch("context-mismatch", "the tool's own")

    agent = create_agent(calling(PROD), [deploy], middleware=[ApprovalMiddleware(desk.gate())])
    with pytest.raises(signoff.Mismatch, match="the tool's own"):
        agent.invoke(INPUT)
    assert desk.statuses() == ["failed"]


def test_error_message_of_a_tool_is_reported_as_failed(desk: Desk) -> None:
    ran: Ran = []
    # Without `target`: the framework tells the model what is wrong.
    agent = agent_of(calling([("deploy", {})]), ran, [ApprovalMiddleware(desk.gate())])
    assert "target" in told(agent.invoke(INPUT))[0]
    assert (ran, desk.statuses()) == ([], ["failed"])


@pytest.mark.parametrize("shape", [dict, list])
def test_error_message_in_a_command_is_reported_as_failed(desk: Desk, shape: Any) -> None:
    @tool
    def deploy(target: str) -> Any:
        """Deploys."""
        message = ToolMessage("no", tool_call_id="c0", status="error")
        command: Command[Any] = Command(update={"messages": [message]})
        return [command] if shape is list else command

    agent = create_agent(calling(PROD), [deploy], middleware=[ApprovalMiddleware(desk.gate())])
    assert told(agent.invoke(INPUT)) == ["no"]
    assert desk.statuses() == ["failed"]


def test_cancelled_call_has_no_outcome(desk: Desk) -> None:
    slow = Slow()

    @tool
    def deploy(target: str) -> str:
        """Deploys."""
        return slow.work()

    agent = create_agent(calling(PROD), [deploy], middleware=[ApprovalMiddleware(desk.gate())])
    asyncio.run(slow.cancel(agent.ainvoke(INPUT)))
    assert desk.statuses() == ["claimed"]


@both
def test_injected_arguments_are_not_requested(desk: Desk, call: Invoke) -> None:
    ran: Ran = []

    @tool
    def deploy(
        target: str, runtime: ToolRuntime, state: Annotated[Dict[str, Any], InjectedState]
    ) -> str:
        """Deploys."""
        ran.append((target, len(state["messages"])))
        # A tool cannot run another one behind the guard's back.
        with pytest.raises(signoff.Mismatch):
            runtime.tools[0].invoke({"target": "prod"})
        return str(runtime.tool_call_id)

    agent = create_agent(calling(PROD), [deploy], middleware=[ApprovalMiddleware(desk.gate())])
    assert told(call(agent, INPUT)) == ["c0"]
    assert ran == [("prod", 2)]
    assert desk.seen[0].context == {"target": "prod"}


def test_forged_injected_argument_is_not_passed(desk: Desk) -> None:
    ran: Ran = []

    @tool
    def deploy(target: str, state: Annotated[Dict[str, Any], InjectedState]) -> str:
        """Deploys."""
        ran.append((target, sorted(state)))
        return "ok"

    forged: Wanted = [("deploy", {"target": "prod", "state": {"admin": True}})]
    agent = create_agent(calling(forged), [deploy], middleware=[ApprovalMiddleware(desk.gate())])
    agent.invoke(INPUT)
    assert ran == [("prod", ["messages"])]
    # Nor is it what an approver signs.
    assert desk.seen[0].context == {"target": "prod"}


def test_forged_argument_of_the_program_is_not_passed(desk: Desk) -> None:
    ran: Ran = []

    @tool
    def pay(cents: int, account: Annotated[str, InjectedToolArg] = "own") -> str:
        """Pays."""
        ran.append((account, cents))
        return "ok"

    forged: Wanted = [("pay", {"cents": 5, "account": "mallory"})]
    agent = create_agent(calling(forged), [pay], middleware=[ApprovalMiddleware(desk.gate())])
    agent.invoke(INPUT)
    assert (ran, desk.seen[0].context) == ([("own", 5)], {"cents": 5})


def test_tool_node_of_an_own_graph_is_guarded(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    guard = ApprovalMiddleware(desk.gate())
    node = ToolNode(
        tools_of(ran), wrap_tool_call=guard.wrap_tool_call, awrap_tool_call=guard.awrap_tool_call
    )
    graph = StateGraph(MessagesState).add_node("tools", node).add_edge(START, "tools").compile()
    turn: Wanted = [*PROD, ("drop", {"table": "users"})]
    calls = [ToolCall(name=n, args=a, id=f"c{i}") for i, (n, a) in enumerate(turn)]
    message = AIMessage("", tool_calls=calls)
    for call in (invoke, ainvoke):
        texts = told(call(graph, {"messages": [message]}))
        assert texts[0] == "deployed to prod" and "was rejected by" in texts[1]
    assert ran == [("deploy", ("prod", 1))] * 2


class Paged(pydantic.BaseModel):
    messages: Annotated[List[Any], add_messages]


@pytest.mark.parametrize("schema", [MessagesState, Paged, Annotated[List[Any], add_messages]])
def test_repeated_ids_are_other_calls_in_every_state(desk: Desk, schema: Any) -> None:
    ran: Ran = []
    guard = ApprovalMiddleware(desk.gate())
    node = ToolNode(tools_of(ran), wrap_tool_call=guard.wrap_tool_call)
    graph = StateGraph(schema).add_node("tools", node).add_edge(START, "tools")
    compiled: Any = graph.compile(checkpointer=InMemorySaver())
    for _ in range(2):
        (name, args) = PROD[0]
        message = AIMessage("", tool_calls=[ToolCall(name=name, args=args, id="c0")])
        is_list = schema not in (MessagesState, Paged)
        compiled.invoke([message] if is_list else {"messages": [message]}, config())
    assert desk.statuses() == ["succeeded"] * 2
    assert len(ran) == 2


def test_unknown_tool_is_requested_and_does_not_run(desk: Desk) -> None:
    ran: Ran = []
    agent = agent_of(calling([("unheard_of", {})]), ran, [ApprovalMiddleware(desk.gate())])
    assert "unheard_of" in told(agent.invoke(INPUT))[0]
    assert [one.action for one in desk.seen] == [f"{desk.prefix}unheard_of"]
    assert desk.statuses() == ["failed"]


def test_tool_whose_name_is_no_action_is_told(desk: Desk) -> None:
    ran: Ran = []
    turn: Wanted = [("two words\n", {}), ("x" * 200, {})]
    agent = agent_of(calling(turn), ran, [ApprovalMiddleware(desk.gate())])
    for text in told(agent.invoke(INPUT)):
        assert text.startswith("Not run: no approval can be requested for this call: ")
        assert text.endswith("is not the name of an action") and text.isprintable()
    assert (ran, desk.requested()) == ([], [])


def test_policy_allows_and_denies(policy_office: PolicyOffice) -> None:
    ran: Ran = []
    with Desk(policy_office) as desk:
        middleware = [ApprovalMiddleware(desk.gate(pinned=False))]
        for module, text in (
            (ALLOWS, "deployed to prod"),
            (DENIES, "Not run: denied by the policy: "),
            (ASKS, "deployed to prod"),
        ):
            policy_office.activate(module)
            agent = agent_of(calling(PROD), ran, middleware)
            assert told(agent.invoke(INPUT))[0].startswith(text)
        assert desk.statuses() == ["succeeded"]
    assert len(ran) == 2
