"""LangGraph: interrupts of HumanInTheLoopMiddleware become approvals and come back as decisions."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Dict, List

import pytest

if sys.version_info < (3, 11):
    pytest.skip("LangChain needs Python 3.11", allow_module_level=True)

from desk import Desk, leave
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from live_policy import PolicyOffice
from test_guarded import ALLOWS, ASKS, DENIES
from test_langchain import INPUT, PROD, Ran, Wanted, agent_of, calling, config, told

import signoff
from signoff.langchain import ApprovalMiddleware, InterruptResolver

TURN: Wanted = [*PROD, ("drop", {"table": "users"}), ("deploy", {"target": "prod"})]
modes = pytest.mark.parametrize("mode", ["batched", "per_call"])
versions = pytest.mark.parametrize("version", ["v1", "v2"])


def gated(mode: Any, **tools: Any) -> HumanInTheLoopMiddleware[Any, Any, Any]:
    decisions: Any = {"allowed_decisions": ["approve", "edit", "reject"]}
    on: Any = {
        name: {**decisions, **more} for name, more in (tools or dict(deploy={}, drop={})).items()
    }
    return HumanInTheLoopMiddleware(interrupt_on=on, interrupt_mode=mode)


def interrupts_of(result: Any) -> Any:
    return result.interrupts if hasattr(result, "interrupts") else result.get("__interrupt__")


@modes
@versions
def test_every_call_of_a_batch_is_decided(desk: Desk, mode: str, version: Any) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    agent = agent_of(calling(TURN), ran, [gated(mode)], InMemorySaver())
    resolver = InterruptResolver(desk.gate())
    result = agent.invoke(INPUT, config(), version=version)
    assert ran == []
    with resolver.resolve(result, config()) as command:
        # All were requested before one was decided, and none has run.
        assert ran == [] and len(desk.requested()) == 3
        assert sorted(desk.statuses()) == ["claimed", "claimed", "rejected"]
        result = agent.invoke(command, config(), version=version)
    assert not interrupts_of(result)
    assert ran == [("deploy", ("prod", 1))] * 2
    (text,) = [one for one in told(result) if "deployed" not in one]
    id = next(one.id for one in desk.seen if one.action.endswith("drop"))
    assert f"Not run: approval {id} was rejected by alice@company.com: too risky" in text
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


@modes
def test_asynchronous_resolution(desk: Desk, mode: str) -> None:
    ran: Ran = []
    agent = agent_of(calling(TURN), ran, [gated(mode)], InMemorySaver())

    async def work() -> Any:
        result = await agent.ainvoke(INPUT, config(), version="v2")
        async with InterruptResolver(desk.gate()).resolve(result, config()) as command:
            return await agent.ainvoke(command, config(), version="v2")

    asyncio.run(work())
    assert sorted(one[0] for one in ran) == ["deploy", "deploy", "drop"]
    assert desk.statuses() == ["succeeded"] * 3


@modes
def test_restart_finds_the_same_approvals(desk: Desk, mode: str) -> None:
    ran: Ran = []
    desk.decide = leave
    saver = InMemorySaver()
    result = agent_of(calling(TURN), ran, [gated(mode)], saver).invoke(INPUT, config())
    first = InterruptResolver(desk.gate()).request(result, config())
    assert sorted(one.action for one in first) == sorted(desk.prefix + name for name, _ in TURN)
    # Another process comes back too early, and leaves the requests.
    with pytest.raises(signoff.TimedOut):
        with InterruptResolver(desk.gate(timeout=1)).resolve(result, config()):
            raise AssertionError
    assert desk.statuses() == ["pending"] * 3
    for one in first:
        desk.office.decide(one.id)
    # A third one has the checkpoint only.
    agent = agent_of(calling(), ran, [gated(mode)], saver)
    paused = agent.get_state(config())
    again = asyncio.run(InterruptResolver(desk.gate()).arequest(paused, config()))
    assert {one.id for one in again} == {one.id for one in first}
    with InterruptResolver(desk.gate()).resolve(paused, config()) as command:
        agent.invoke(command, config())
    assert len(ran) == 3
    assert desk.statuses() == ["succeeded"] * 3


@pytest.mark.parametrize("claims", [True, False])
@modes
def test_ids_find_approvals_whose_keys_the_server_dropped(
    desk: Desk, mode: str, claims: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: Ran = []
    gate = desk.gate()
    guard = [] if claims else [ApprovalMiddleware(gate)]
    agent = agent_of(calling(TURN), ran, [gated(mode), *guard], InMemorySaver())
    result = agent.invoke(INPUT, config())
    first = InterruptResolver(gate).request(result, config())
    key = signoff.Gate._key
    monkeypatch.setattr(signoff.Gate, "_key", lambda *given: f"later-{desk.prefix}{key(*given)}")
    ids = [one.id for one in reversed(first)]
    resolver = InterruptResolver(gate, claims=claims)
    with resolver.resolve(result, config(), approvals=ids) as command:
        agent.invoke(command, config())
    assert len(ran) == len(desk.requested()) == 3
    assert desk.statuses() == ["succeeded"] * 3


@pytest.mark.parametrize("claims", [True, False])
@modes
def test_policy_answers_what_needs_no_person(
    policy_office: PolicyOffice, mode: str, claims: bool
) -> None:
    ran: Ran = []
    with Desk(policy_office) as desk:
        gate = desk.gate(pinned=False)
        guard = [] if claims else [ApprovalMiddleware(gate)]
        for module, text in ((ALLOWS, "deployed to prod"), (DENIES, "denied by the policy")):
            policy_office.activate(module)
            agent = agent_of(calling(PROD), ran, [gated(mode), *guard], InMemorySaver())
            result = agent.invoke(INPUT, config())
            with InterruptResolver(gate, claims=claims).resolve(result, config()) as command:
                shown = agent.invoke(command, config())
            assert text in told(shown)[0]
        assert desk.requested() == []
    assert len(ran) == 1


def test_policy_that_denies_later_claims_nothing(policy_office: PolicyOffice) -> None:
    ran: Ran = []
    with Desk(policy_office) as desk:
        gate = desk.gate()
        policy_office.activate(ASKS)
        agent = agent_of(calling(PROD), ran, [gated("batched")], InMemorySaver())
        result = agent.invoke(INPUT, config())
        (made,) = InterruptResolver(gate).request(result, config())
        assert signoff.Client(policy_office.url, policy_office.admin).wait(made.id)
        policy_office.activate(DENIES)
        resolution = InterruptResolver(gate).resolve(result, config(), approvals=[made.id])
        with resolution as command:
            shown = agent.invoke(command, config())
        assert "denied by the policy" in told(shown)[0]
        assert desk.statuses() == ["approved"]
    assert ran == []


def test_ids_of_other_calls_are_not_used(desk: Desk) -> None:
    ran: Ran = []
    agent = agent_of(calling(PROD), ran, [gated("batched")], InMemorySaver())
    result = agent.invoke(INPUT, config())
    client: Any = desk.gate().client
    same = client.request("deployer", f"{desk.prefix}deploy", {"target": "prod"})
    desk.await_seen(1)
    desk.decide = lambda _: "reject"
    resolution = InterruptResolver(desk.gate()).resolve(result, config(), approvals=[same.id])
    with resolution as command:
        shown = agent.invoke(command, config())
    # It has the same arguments, but it does not name the call.
    assert "was rejected by" in told(shown)[0]
    assert ran == [] and len(desk.requested()) == 2


@modes
def test_resolving_twice_runs_once(desk: Desk, mode: str) -> None:
    ran: Ran = []
    agent = agent_of(calling(PROD, []), ran, [gated(mode)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    with InterruptResolver(desk.gate()).resolve(result, config()) as first:
        pass
    with InterruptResolver(desk.gate()).resolve(result, config()) as command:
        shown = agent.invoke(command, config())
    assert "was used before" in told(shown)[0]
    assert ran == [] and isinstance(first, Command)


@modes
def test_failure_of_the_run_is_reported(desk: Desk, mode: str) -> None:
    agent = agent_of(calling(PROD), [], [gated(mode)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    resolution = InterruptResolver(desk.gate()).resolve(result, config())
    with pytest.raises(LookupError):
        with resolution:
            raise LookupError
    assert desk.statuses() == ["failed"]
    with pytest.raises(RuntimeError):
        resolution.__enter__()


@modes
def test_server_down_answers_nothing(desk: Desk, mode: str) -> None:
    agent = agent_of(calling(PROD), [], [gated(mode)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    client = signoff.Client("http://127.0.0.1:9", "token", timeout=0.2)
    with pytest.raises(signoff.Unavailable):
        with InterruptResolver(desk.gate(client=client)).resolve(result, config()):
            raise AssertionError


@modes
def test_resolver_and_guard_share_one_approval(desk: Desk, mode: str) -> None:
    ran: Ran = []
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    gate = desk.gate()
    middleware = [gated(mode), ApprovalMiddleware(gate)]
    agent = agent_of(calling(TURN), ran, middleware, InMemorySaver())
    result = agent.invoke(INPUT, config())
    with InterruptResolver(gate, claims=False).resolve(result, config()) as command:
        assert sorted(desk.statuses()) == ["approved", "approved", "rejected"]
        agent.invoke(command, config())
    assert ran == [("deploy", ("prod", 1))] * 2
    assert sorted(desk.statuses()) == ["rejected", "succeeded", "succeeded"]


@modes
def test_when_that_changes_on_resume_does_not_run_a_rejected_call(desk: Desk, mode: str) -> None:
    ran: Ran = []
    desk.decide = lambda _: "reject"
    asks = iter([True, False, False, False])
    gate = desk.gate()
    paused = gated(mode, deploy={"when": lambda request: next(asks)})
    agent = agent_of(calling(PROD), ran, [paused, ApprovalMiddleware(gate)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    with InterruptResolver(gate, claims=False).resolve(result, config()) as command:
        shown = agent.invoke(command, config())
    assert "was rejected by alice@company.com: too risky" in told(shown)[0]
    assert (ran, desk.statuses()) == ([], ["rejected"])


@modes
@pytest.mark.parametrize("claims", [True, False])
def test_edited_call_is_a_new_request(desk: Desk, mode: str, claims: bool) -> None:
    ran: Ran = []
    gate = desk.gate()
    desk.decide = lambda one: "approve" if one.context == {"target": "prod"} else "reject"
    agent = agent_of(calling(PROD), ran, [gated(mode), ApprovalMiddleware(gate)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    with InterruptResolver(gate, claims=claims).resolve(result, config()):
        (pending,) = result["__interrupt__"]
        action = {"name": "deploy", "args": {"target": "other"}}
        edit: Dict[str, Any] = {"type": "edit", "edited_action": action}
        answer = {"decisions": [edit]} if mode == "batched" else edit
        shown = agent.invoke(Command(resume={pending.id: answer}), config())
    assert "was rejected by" in told(shown)[0]
    assert [one.context for one in desk.seen] == [{"target": "prod"}, {"target": "other"}]
    assert ran == []


def test_edit_that_renames_the_tool_is_a_request_for_that_tool(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    desk.decide = lambda one: "reject" if one.action.endswith("drop") else "approve"
    middleware = [gated("batched"), ApprovalMiddleware(gate)]
    agent = agent_of(calling(PROD), ran, middleware, InMemorySaver())
    agent.invoke(INPUT, config())
    action = {"name": "drop", "args": {"table": "users"}}
    edit = {"decisions": [{"type": "edit", "edited_action": action}]}
    shown = agent.invoke(Command(resume=edit), config())
    assert "was rejected by" in told(shown)[0]
    assert [one.action for one in desk.seen] == [f"{desk.prefix}drop"]
    assert ran == []


def test_partial_resume_runs_nothing_twice(desk: Desk) -> None:
    ran: Ran = []
    gate = desk.gate()
    middleware = [gated("per_call"), ApprovalMiddleware(gate)]
    agent = agent_of(calling(TURN[:2]), ran, middleware, InMemorySaver())
    result = agent.invoke(INPUT, config())
    with InterruptResolver(gate, claims=False).resolve(result, config()) as command:
        answers: Any = command.resume
        one, two = answers
        with pytest.raises(Exception):  # noqa: B017 - the framework's own error of a bad answer
            agent.invoke(Command(resume={one: answers[one], two: {"type": "nonsense"}}), config())
        agent.invoke(command, config())
    assert sorted(name for name, _ in ran) == ["deploy", "drop"]
    assert desk.statuses() == ["succeeded"] * 2


def test_tool_that_interrupts_itself_is_not_answered(desk: Desk) -> None:
    @tool
    def deploy(target: str) -> str:
        """Deploys."""
        return str(interrupt("which region?"))

    agent = create_agent(calling(PROD), [deploy], checkpointer=InMemorySaver())
    result = agent.invoke(INPUT, config())
    with pytest.raises(signoff.Invalid, match="HumanInTheLoopMiddleware"):
        InterruptResolver(desk.gate()).resolve(result, config())


def test_what_cannot_be_resolved_is_refused(desk: Desk) -> None:
    resolver = InterruptResolver(desk.gate())
    on: Any = {"deploy": {"allowed_decisions": ["approve"]}}
    agent = agent_of(calling(PROD), [], [HumanInTheLoopMiddleware(on)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    with pytest.raises(signoff.Invalid, match="`deploy` must allow"):
        resolver.resolve(result, config())
    with pytest.raises(signoff.Invalid, match="thread_id"):
        resolver.resolve(result, {})
    with pytest.raises(signoff.Invalid, match="no interrupt"):
        resolver.resolve({"messages": []}, config())
    with pytest.raises(TypeError):
        resolver.resolve(None, config())
    assert desk.requested() == []


@modes
def test_call_that_has_no_json_form_is_rejected(desk: Desk, mode: str) -> None:
    ran: Ran = []
    turn: List[Any] = [("drop", {"table": float("nan")}), *PROD]
    agent = agent_of(calling(turn), ran, [gated(mode)], InMemorySaver())
    result = agent.invoke(INPUT, config())
    with InterruptResolver(desk.gate()).resolve(result, config()) as command:
        shown = agent.invoke(command, config())
    assert any("no approval can be requested for this call" in one for one in told(shown))
    assert ran == [("deploy", ("prod", 1))]
    assert len(desk.requested()) == 1
