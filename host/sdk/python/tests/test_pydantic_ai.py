"""Pydantic AI: the guarded toolset and capability, and the resolver of deferred calls."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import sys
from typing import Annotated, Any, Dict, List, Optional, Sequence

import pytest

if sys.version_info < (3, 11):
    pytest.skip("Pydantic AI needs Python 3.11", allow_module_level=True)

import pydantic
from desk import Desk, Slow, leave
from fake import Fake, problem
from live_policy import PolicyOffice
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ModelRetry, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import (
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import ToolApproved
from pydantic_ai.toolsets import FunctionToolset
from test_guarded import ALLOWS, ASKS, DENIES

import signoff
from signoff.pydantic_ai import Approvals, DeferredResolver, GuardedToolset

Wanted = Sequence[tuple[str, Any]]
Ran = List[tuple[str, Any]]
PROD: Wanted = [("deploy", {"target": "prod"})]
VALID = {"target": "prod", "replicas": 1}
TURN: Wanted = [*PROD, ("drop", {"table": "users"}), ("deploy", {"target": "prod"})]


def calling(*turns: Wanted) -> FunctionModel:
    """Returns a model that calls tools in each turn, with ids `c00`, `c01`, …, and then ends."""

    def respond(messages: Any, info: Any) -> ModelResponse:
        made = sum(isinstance(one, ModelResponse) for one in messages)
        if made >= len(turns):
            return ModelResponse([TextPart("done")])
        calls = enumerate(turns[made])
        return ModelResponse(
            [ToolCallPart(name, given, tool_call_id=f"c{made}{i}") for i, (name, given) in calls]
        )

    return FunctionModel(respond)


def tools_of(ran: Ran, **options: Any) -> FunctionToolset[Any]:
    tools: FunctionToolset[Any] = FunctionToolset()

    def deploy(target: str, replicas: int = 1) -> str:
        ran.append(("deploy", (target, replicas)))
        return f"deployed to {target}"

    async def drop(table: str) -> str:
        ran.append(("drop", table))
        return "dropped"

    tools.add_function(deploy, **options)
    tools.add_function(drop, **options)
    return tools


def guarded(desk: Desk, ran: Ran, *turns: Wanted, **options: Any) -> Agent[Any, str]:
    toolset = GuardedToolset(tools_of(ran), desk.gate(**options))
    return Agent(calling(*turns), toolsets=[toolset])


def told(result: Any) -> List[str]:
    """Returns what the model is told by tools."""
    parts = [part for message in result.all_messages() for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, ToolReturnPart)]


def run(agent: Agent[Any, Any], *args: Any, **more: Any) -> Any:
    return asyncio.run(agent.run(*args, **more))


def test_tool_runs_once_approved(desk: Desk) -> None:
    ran: Ran = []
    result = run(guarded(desk, ran, PROD), "go", conversation_id="r-7")
    assert told(result) == ["deployed to prod"]
    assert ran == [("deploy", ("prod", 1))]
    (made,) = desk.requested()
    # Defaults are among the validated arguments: the approver sees all that the tool gets.
    assert (made.action, made.context) == (f"{desk.prefix}deploy", VALID)
    assert made.plan == {"tool": "deploy", "call": "c00", "run": "r-7"}
    assert desk.statuses() == ["succeeded"]


def test_capability_guards_every_tool_of_an_agent(desk: Desk) -> None:
    ran: Ran = []
    agent = Agent(TestModel(), toolsets=[tools_of(ran)], capabilities=[Approvals(desk.gate())])

    @agent.tool_plain
    def own(n: int) -> str:
        ran.append(("own", n))
        return "own"

    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    run(agent, "go")
    assert sorted(one.action.split(".")[1] for one in desk.seen) == ["deploy", "drop", "own"]
    assert sorted(name for name, _ in ran) == ["deploy", "own"]


def test_rejection_gives_the_model_the_comment(desk: Desk) -> None:
    ran: Ran = []
    desk.decide, desk.comment = lambda _: "reject", "use staging"
    result = run(guarded(desk, ran, PROD), "go")
    by = "was rejected by alice@company.com: use staging"
    assert told(result) == [f"Not run: approval {desk.seen[0].id} {by}"]
    parts = [part for message in result.all_messages() for part in message.parts]
    assert [part.outcome for part in parts if isinstance(part, ToolReturnPart)] == ["failed"]
    assert ran == []


def test_expiry_withdrawal_and_time_out_are_told_apart(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = leave
    for options, text in (
        ({"expires_in_seconds": 1}, "expired"),
        ({"timeout": 1}, "was not decided in time, and was withdrawn"),
    ):
        (shown,) = told(run(guarded(desk, ran, PROD, **options), "go"))
        assert shown == f"Not run: approval {desk.requested()[-1].id} {text}."
    desk.decide = lambda _: "withdraw"
    (shown,) = told(run(guarded(desk, ran, PROD), "go"))
    assert shown == f"Not run: approval {desk.requested()[-1].id} was withdrawn."
    assert ran == []


def test_server_down_and_wrong_token_end_the_run(desk: Desk, fake: Fake) -> None:
    ran: Ran = []
    fake.answers.append(problem("unauthenticated", 401))
    for client, error in [
        (signoff.Client("http://127.0.0.1:9", "token", timeout=0.2), signoff.Unavailable),
        (signoff.Client(fake.url, "token"), signoff.Forbidden),
    ]:
        with pytest.raises(error):
            run(guarded(desk, ran, PROD, client=client), "go")
    assert ran == []


def test_calls_of_one_batch_have_an_approval_each(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    texts = told(run(guarded(desk, ran, TURN), "go"))
    assert [text.split(":")[0] for text in texts] == ["deployed to prod", "Not run", *texts[:1]]
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


def test_conversations_do_not_share_approvals(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "approve" if (one.plan or {})["run"] == "a" else "reject"

    async def both() -> List[Any]:
        agent = guarded(desk, ran, PROD)
        return list(await asyncio.gather(*(agent.run("go", conversation_id=n) for n in "ab")))

    one, two = asyncio.run(both())
    assert (told(one), "rejected" in told(two)[0]) == (["deployed to prod"], True)
    assert len(ran) == 1


def test_same_call_of_a_conversation_runs_once(desk: Desk) -> None:
    ran: Ran = []
    for _ in range(2):
        result = run(guarded(desk, ran, PROD), "go", conversation_id="r")
    (text,) = told(result)
    assert text.endswith("was used before; it is for one run of this call.")
    assert len(ran) == len(desk.requested()) == 1


def twice(n: int) -> int:
    return 2 * n


class Order(pydantic.BaseModel):
    table: str
    at: datetime.datetime
    ids: frozenset[int] = frozenset()


def test_tool_gets_what_its_validator_makes_of_the_approved_text(desk: Desk) -> None:
    ran: List[Any] = []
    tools: FunctionToolset[Any] = FunctionToolset()

    @tools.tool_plain
    def order(it: Order, note: Optional[str] = None) -> str:
        ran.append((it, note))
        return "ok"

    given = {"it": {"table": "a", "at": "2026-01-02T03:04:05.5Z", "ids": [1]}}
    run(Agent(calling([("order", given)]), toolsets=[GuardedToolset(tools, desk.gate())]), "go")
    ((it, note),) = ran
    assert isinstance(it, Order) and it.at.microsecond == 500_000 and it.ids == {1}
    shown = {"table": "a", "at": "2026-01-02T03:04:05.500000Z", "ids": [1]}
    assert desk.seen[0].context == {"it": shown, "note": None}
    assert note is None


def test_validator_that_changes_its_own_arguments_is_refused(desk: Desk) -> None:
    tools: FunctionToolset[Any] = FunctionToolset()

    @tools.tool_plain
    def pay(cents: Annotated[int, pydantic.AfterValidator(twice)]) -> str:
        raise AssertionError

    agent = Agent(calling([("pay", {"cents": 5})]), toolsets=[GuardedToolset(tools, desk.gate())])
    with pytest.raises(signoff.Mismatch, match="validator"):
        run(agent, "go")
    assert desk.requested() == []


class Hiding(pydantic.BaseModel):
    to: str
    dry_run: bool = pydantic.Field(default=False, exclude=True)


@dataclasses.dataclass(eq=False)
class Opaque:
    """A type without `__eq__`."""

    to: str


@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize(
    "kind, given",
    [
        (pydantic.SecretStr, "hunter2"),
        (Hiding, {"to": "ann", "dry_run": True}),
        (List[Hiding], [{"to": "ann", "dry_run": True}]),
        (Opaque, {"to": "ann"}),
    ],
)
def test_argument_that_json_does_not_show_is_refused(
    desk: Desk, kind: Any, given: Any, defer: bool
) -> None:
    tools: FunctionToolset[Any] = FunctionToolset()

    def pay(order: Any) -> str:
        raise AssertionError(order)

    pay.__annotations__["order"] = kind
    tools.add_function(pay)
    toolset = GuardedToolset(tools, desk.gate(), defer)
    output: Any = [str, DeferredToolRequests]
    agent = Agent(calling([("pay", {"order": given})]), toolsets=[toolset], output_type=output)
    with pytest.raises(signoff.Mismatch, match="does not show"):
        run(agent, "go")
    assert desk.requested() == []


def test_argument_that_is_excluded_and_has_its_default_runs(desk: Desk) -> None:
    ran: List[Any] = []
    tools: FunctionToolset[Any] = FunctionToolset()

    @tools.tool_plain
    def pay(order: Hiding) -> str:
        ran.append(order)
        return "paid"

    given = {"order": {"to": "ann"}}
    run(Agent(calling([("pay", given)]), toolsets=[GuardedToolset(tools, desk.gate())]), "go")
    assert ran == [Hiding(to="ann")]


def test_arguments_without_json_form_are_told(desk: Desk) -> None:
    tools: FunctionToolset[Any] = FunctionToolset()

    @tools.tool_plain
    def pay(cents: float) -> str:
        raise AssertionError

    agent = Agent(
        calling([("pay", {"cents": float("nan")})]), toolsets=[GuardedToolset(tools, desk.gate())]
    )
    (text,) = told(run(agent, "go"))
    assert text.startswith("Not run: no approval can be requested for this call: ")
    assert desk.requested() == []


class Editing(AbstractCapability[Any]):
    """Changes arguments, as another capability may."""

    async def before_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        return {**args, "target": "other"}


@pytest.mark.parametrize("is_last", [True, False])
def test_call_is_requested_as_other_capabilities_left_it(desk: Desk, is_last: bool) -> None:
    ran: Ran = []
    capabilities: List[Any] = [Editing(), Approvals(desk.gate())]
    agent = Agent(
        calling(PROD),
        toolsets=[tools_of(ran)],
        capabilities=capabilities if is_last else capabilities[::-1],
    )
    run(agent, "go")
    assert [one.context for one in desk.seen] == [{**VALID, "target": "other"}]
    assert ran == [("deploy", ("other", 1))]


def test_arguments_that_change_while_the_call_waits_do_not_run(desk: Desk) -> None:
    ran: Ran = []
    held: List[Dict[str, Any]] = []

    class Holding(AbstractCapability[Any]):
        async def before_tool_execute(
            self, ctx: Any, *, call: Any, tool_def: Any, args: Any
        ) -> Any:
            held.append(args)
            return args

    def change(approval: signoff.Approval) -> str:
        held[0]["target"] = "other"
        return "approve"

    desk.decide = change
    capabilities = [Holding(), Approvals(desk.gate())]
    run(Agent(calling(PROD), toolsets=[tools_of(ran)], capabilities=capabilities), "go")
    assert ran == [("deploy", ("prod", 1))]


def test_cancelled_call_has_no_outcome(desk: Desk) -> None:
    slow = Slow()
    tools: FunctionToolset[Any] = FunctionToolset()

    @tools.tool_plain
    def deploy(target: str) -> str:
        return slow.work()

    agent = Agent(calling(PROD), toolsets=[GuardedToolset(tools, desk.gate())])
    asyncio.run(slow.cancel(agent.run("go")))
    assert desk.statuses() == ["claimed"]


def test_retry_of_the_model_is_a_new_call(desk: Desk) -> None:
    ran: Ran = []
    tools: FunctionToolset[Any] = FunctionToolset(max_retries=3)

    @tools.tool_plain
    def deploy(target: str) -> str:
        ran.append(("deploy", target))
        if len(ran) == 1:
            raise ModelRetry("again")
        return "ok"

    agent = Agent(calling(PROD, PROD), toolsets=[GuardedToolset(tools, desk.gate())])
    run(agent, "go")
    assert len(ran) == 2
    assert desk.statuses() == ["failed", "succeeded"]


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
            assert told(run(agent, "go"))[0].startswith(text)
        assert desk.statuses() == ["succeeded"]
    assert len(ran) == 2


Outputs = Any


def pausing(ran: Ran, *turns: Wanted) -> Agent[Any, Outputs]:
    output: Any = [str, DeferredToolRequests]
    toolset = tools_of(ran, requires_approval=True)
    return Agent(calling(*turns), toolsets=[toolset], output_type=output)


async def resumed(agent: Any, result: Any, answers: DeferredToolResults) -> Any:
    history = result.all_messages()
    return await agent.run(message_history=history, deferred_tool_results=answers)


def test_every_deferred_call_is_decided(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    agent, resolver = pausing(ran, TURN), DeferredResolver(desk.gate())

    async def work() -> Any:
        result = await agent.run("go")
        assert len(result.output.approvals) == 3
        async with resolver.resolve(result) as answers:
            assert ran == [] and sorted(desk.statuses()) == ["claimed", "claimed", "rejected"]
            return await resumed(agent, result, answers)

    result = asyncio.run(work())
    assert result.output == "done"
    id = next(one.id for one in desk.seen if one.action.endswith("drop"))
    rejected = f"Not run: approval {id} was rejected by alice@company.com: too risky"
    assert sorted(told(result)) == [rejected, "deployed to prod", "deployed to prod"]
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


def test_restart_finds_the_same_approvals(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = leave

    async def work() -> Any:
        result = await pausing(ran, TURN).run("go", conversation_id="r")
        first = await DeferredResolver(desk.gate()).request(result)
        history, requests = result.all_messages_json(), result.output
        # Another process comes back too early, and leaves the requests.
        with pytest.raises(signoff.TimedOut):
            async with DeferredResolver(desk.gate(timeout=1)).resolve(requests, run="r"):
                raise AssertionError
        for one in first:
            await asyncio.to_thread(desk.office.decide, one.id)
        async with DeferredResolver(desk.gate()).resolve(requests, run="r") as answers:
            messages = ModelMessagesTypeAdapter.validate_json(history)
            await pausing(ran, TURN).run(message_history=messages, deferred_tool_results=answers)
        assert {one.id for one in desk.requested()} == {one.id for one in first}

    asyncio.run(work())
    assert len(ran) == 3
    assert desk.statuses() == ["succeeded"] * 3


def test_resolving_twice_runs_once(desk: Desk) -> None:
    ran: Ran = []
    agent = pausing(ran, PROD)
    result = run(agent, "go")
    with DeferredResolver(desk.gate()).resolve(result):
        pass
    with DeferredResolver(desk.gate()).resolve(result) as answers:
        shown = asyncio.run(resumed(agent, result, answers))
    assert "was used before" in told(shown)[0]
    assert ran == []


def test_edited_history_runs_the_approved_arguments(desk: Desk) -> None:
    ran: Ran = []
    agent = pausing(ran, PROD)
    result = run(agent, "go")
    with DeferredResolver(desk.gate()).resolve(result) as answers:
        text = result.all_messages_json().replace(b"prod", b"other")
        messages = ModelMessagesTypeAdapter.validate_json(text)
        run(agent, message_history=messages, deferred_tool_results=answers)
    assert ran == [("deploy", ("prod", 1))]


def deferring(ran: Ran, gate: signoff.Gate, *turns: Wanted) -> Agent[Any, Outputs]:
    output: Any = [str, DeferredToolRequests]
    capabilities = [Approvals(gate, defer=True)]
    model = calling(*turns)
    return Agent(model, toolsets=[tools_of(ran)], output_type=output, capabilities=capabilities)


def test_resolver_and_guard_share_one_approval(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    gate = desk.gate()
    # The text of a number: the approver sees the validated arguments.
    turn: Wanted = [("deploy", {"target": "prod", "replicas": "3"}), *TURN[1:]]
    agent = deferring(ran, gate, turn)
    result = run(agent, "go")
    with DeferredResolver(gate, claims=False).resolve(result) as answers:
        assert sorted(desk.statuses()) == ["approved", "approved", "rejected"]
        asyncio.run(resumed(agent, result, answers))
    assert sorted(ran) == [("deploy", ("prod", 1)), ("deploy", ("prod", 3))]
    assert desk.seen[0].context == {"target": "prod", "replicas": 3}
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


@pytest.mark.parametrize("how", ["override", "history"])
def test_edited_call_is_a_new_request(desk: Desk, how: str) -> None:
    ran: Ran = []
    gate = desk.gate()
    desk.decide = lambda one: "approve" if one.context == VALID else "reject"
    agent = deferring(ran, gate, PROD)
    result = run(agent, "go")
    with DeferredResolver(gate, claims=False).resolve(result) as answers:
        text = result.all_messages_json()
        if how == "override":
            answers.approvals["c00"] = ToolApproved(override_args={"target": "other"})
        else:
            text = text.replace(b"prod", b"other")
        messages = ModelMessagesTypeAdapter.validate_json(text)
        shown = run(agent, message_history=messages, deferred_tool_results=answers)
    assert "was rejected by" in told(shown)[0]
    assert [one.context for one in desk.seen] == [VALID, {**VALID, "target": "other"}]
    assert ran == []


def test_approval_without_the_resolver_does_not_pass_the_guard(desk: Desk) -> None:
    ran: Ran = []
    desk.decide = lambda _: "reject"
    agent = deferring(ran, desk.gate(), PROD)
    result = run(agent, "go")
    answers = result.output.build_results(approve_all=True)
    shown = asyncio.run(resumed(agent, result, answers))
    assert "was rejected by" in told(shown)[0]
    assert ran == []


def test_what_cannot_be_resolved_is_refused(desk: Desk) -> None:
    resolver = DeferredResolver(desk.gate())
    result = run(pausing([], PROD), "go")
    with pytest.raises(signoff.Invalid, match="`run`"):
        resolver.resolve(result.output)
    for paused in (DeferredToolRequests(), run(pausing([]), "go")):
        with pytest.raises(signoff.Invalid, match="no call"):
            resolver.resolve(paused, run="r")
    client = signoff.Client("http://127.0.0.1:9", "token", timeout=0.2)
    with pytest.raises(signoff.Unavailable):
        with DeferredResolver(desk.gate(client=client)).resolve(result):
            raise AssertionError


@pytest.mark.parametrize("text", ['{"target": ', '{"target": "a", "target": "b"}', "[]"])
def test_malformed_deferred_arguments_are_denied(desk: Desk, text: str) -> None:
    requests = DeferredToolRequests(approvals=[ToolCallPart("deploy", text, tool_call_id="c")])
    with DeferredResolver(desk.gate()).resolve(requests, run="r") as answers:
        found: Any = answers.approvals["c"]
    assert found.message.startswith("Not run: no approval can be requested for this call")
    assert desk.requested() == []


def test_dependencies_and_context_reach_the_tool(desk: Desk) -> None:
    seen: Dict[str, Any] = {}
    tools: FunctionToolset[str] = FunctionToolset()

    @tools.tool
    def deploy(ctx: RunContext[str], target: str) -> str:
        seen.update(deps=ctx.deps, id=ctx.tool_call_id)
        return "ok"

    agent: Agent[str, str] = Agent(
        calling(PROD), deps_type=str, toolsets=[GuardedToolset(tools, desk.gate())]
    )
    run(agent, "go", deps="secret")
    assert seen == {"deps": "secret", "id": "c00"}
    assert desk.seen[0].context == {"target": "prod"}
