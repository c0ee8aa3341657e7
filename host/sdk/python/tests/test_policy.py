"""Local policy with a real server: whose verdict it is, and that the log has every decision."""

from __future__ import annotations

import asyncio
import os
import pathlib
import threading
import time
from typing import Any, Dict, Iterator

import pytest
from live import AUDIENCE, Liar, must_not_run
from live_policy import PolicyOffice
from wat_policies import policy

import signoff
from signoff import runbook

ATTEMPT: Dict[str, Any] = {"agent": "deployer", "action": "deploy", "context": {"to": "prod"}}
ALLOWS, DENIES = policy("allow", "small"), policy("deny", "never", "not today\x07"[:9])
ASKS = policy("require_approval", "big", requirement='{"threshold": 1}')
# The server tries a new policy on an empty context.
TRAPS = policy(body="(if (i32.gt_u (local.get 5) (i32.const 2)) (then (unreachable)))")


@pytest.fixture(scope="module")
def office(policy_office: PolicyOffice) -> PolicyOffice:
    return policy_office


@pytest.fixture
def client(office: PolicyOffice) -> Iterator[signoff.Client]:
    with signoff.Client(office.url, office.agent) as opened:
        yield opened


@pytest.fixture
def settings(office: PolicyOffice, tmp_path: pathlib.Path) -> Dict[str, Any]:
    return {"signers": office.signers, "audience": AUDIENCE, "queue": tmp_path / "queue"}


def test_verdict_is_made_here_and_reported(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    digest, before = office.activate(ALLOWS), len(office.reported())
    with client.policy(**settings) as local:
        assert local.digest == digest
        made = local.evaluate(**ATTEMPT, plan={"steps": []})
        assert (made.decision, made.rule, made.policy) == ("allow", "small", digest)
        assert (made.local, made.recorded) == (True, "disk")
    (found,) = office.reported()[before:]
    assert (found["agent"], found["action"], found["policy"]) == ("deployer", "deploy", digest)
    assert found["context_hash"] == signoff.Verifier().digest({"to": "prod"})
    assert found["plan_hash"] == signoff.Verifier().digest({"steps": []})
    assert local.pending == 0


def test_without_a_folder_decisions_are_in_memory(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    before = len(office.reported())
    local = client.policy(**{**settings, "queue": None})
    assert local.evaluate(**ATTEMPT).recorded == "memory"
    assert local.close() == 0
    assert len(office.reported()) == before + 1


def test_activation_is_followed(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    with client.policy(**settings) as local:
        assert local.evaluate(**ATTEMPT).decision == "allow"
        assert local.wait_until(office.activate(DENIES))
        made = local.evaluate(**ATTEMPT)
        assert (made.decision, made.local, made.reason) == ("deny", True, "not today")


def test_policy_that_fails_here_leaves_it_to_the_server(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    digest = office.activate(TRAPS)
    with client.policy(**settings) as local:
        assert local.digest == digest
        with pytest.raises(signoff.Unavailable) as refused:
            local.evaluate(**ATTEMPT, timeout=0.2)
        assert refused.value.code == "policy-trapped"


def test_record_that_fails_leaves_it_to_the_server(
    office: PolicyOffice,
    client: signoff.Client,
    settings: Dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    office.activate(ALLOWS)
    with client.policy(**settings) as local:

        def fail(_: int) -> None:
            raise OSError(28, "no space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        made = local.evaluate(**ATTEMPT)
        monkeypatch.undo()
        assert (made.decision, made.local, made.recorded) == ("allow", False, "server")


def test_malformed_context_is_refused_here(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    with client.policy(**settings) as local:
        for context in ({"at": object()}, signoff.RawJson('{"a": 1, "a": 2}')):
            with pytest.raises(signoff.Invalid) as refused:
                local.evaluate("deployer", "deploy", context)
            assert refused.value.code == "context-invalid"
        with pytest.raises(signoff.Invalid):
            local.evaluate("deployer", "de ploy", {})


def test_agent_of_others_is_left_to_the_server(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    with client.policy(**settings) as local:
        with pytest.raises(signoff.Forbidden):
            local.evaluate("another", "deploy", {})
        assert (local.pending, local.refused) == (0, 0)


@pytest.mark.parametrize(
    "wrong", [{"audience": "another"}, {"signers": []}, {"signers": "the approvers'"}]
)
def test_manifest_that_does_not_verify_decides_nothing_here(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any], wrong: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    if wrong.get("signers"):
        wrong = {"signers": office.keys}
    with client.policy(**{**settings, **wrong}) as local:
        assert local.digest is None
        assert not local.evaluate(**ATTEMPT).local


@pytest.mark.parametrize(
    "lie",
    [
        {"facts": {}},
        {"facts": ["requester"]},
        {"policy": {}},
        {"policy": {"digest": "x", "manifest": {}}},
        {"policy": {"digest": "0" * 64, "manifest": {}}},
        {"audience": "another"},
        {"audience": None},
    ],
)
def test_malformed_answer_decides_nothing_here(
    office: PolicyOffice, settings: Dict[str, Any], lie: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)

    def edit(_: str, path: str, shown: Any) -> Any:
        return {**shown, **lie} if path.endswith("/policy") else shown

    with Liar(office, edit) as liar, signoff.Client(liar.url, office.agent) as client:
        with client.policy(**settings) as local:
            assert not local.evaluate(**ATTEMPT).local


def test_server_that_takes_the_policy_back_is_believed_at_once(
    office: PolicyOffice, settings: Dict[str, Any]
) -> None:
    digest, broken = office.activate(ALLOWS), threading.Event()
    problem = {"code": "policy-trapped", "title": "x", "detail": "x"}

    def edit(_: str, path: str, shown: Any) -> Any:
        if path.endswith("/policy") and broken.is_set():
            return 503, problem
        return shown

    with Liar(office, edit, waits=False) as liar, signoff.Client(liar.url, office.agent) as client:
        with client.policy(**settings, max_stale=1) as local:
            assert local.digest == digest
            broken.set()
            while local.digest is not None:
                time.sleep(0.01)
            broken.clear()
            assert local.wait_until(digest)


@pytest.mark.parametrize("clock", ["time", "monotonic"])
def test_policy_is_stale_if_either_clock_says_so(
    office: PolicyOffice,
    settings: Dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    clock: str,
) -> None:
    """The monotonic clock stops while the machine sleeps, and the wall clock may be set back."""
    digest, polled = office.activate(ALLOWS), threading.Event()

    def edit(_: str, path: str, shown: Any) -> Any:
        if path.endswith("/policy") and polled.is_set():
            return None  # Nothing confirms the policy any more.
        return shown

    with Liar(office, edit, waits=False) as liar, signoff.Client(liar.url, office.agent) as client:
        with client.policy(**settings, max_stale=3600) as local:
            assert local.digest == digest
            polled.set()
            true = getattr(time, clock)
            for seconds, followed in ((3000, digest), (4000, None)):
                monkeypatch.setattr(time, clock, lambda passed=seconds: true() + passed)
                assert local.digest == followed
            assert not local.evaluate(**ATTEMPT).local
            monkeypatch.undo()


def test_refused_report_is_kept_aside_and_counted(
    office: PolicyOffice, settings: Dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    office.activate(ALLOWS)

    def edit(_: str, path: str, shown: Any) -> Any:
        if path.endswith("/decisions"):
            return 403, {"code": "forbidden", "title": "x", "detail": "not yours"}
        return shown

    with Liar(office, edit) as liar, signoff.Client(liar.url, office.agent) as client:
        local = client.policy(**settings)
        local.evaluate(**ATTEMPT)
        assert local.close() == 1
    assert (local.pending, local.refused) == (0, 1)
    assert len(list((settings["queue"] / "refused").iterdir())) == 1
    assert "not yours" in caplog.text


def test_decisions_outlive_a_server_that_takes_none(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    before = len(office.reported())

    def edit(_: str, path: str, shown: Any) -> Any:
        return None if path.endswith("/decisions") else shown

    with Liar(office, edit) as liar, signoff.Client(liar.url, office.agent) as cut:
        local = cut.policy(**settings)
        local.evaluate(**ATTEMPT)
        assert local.close(timeout=0.2) == 1
    with client.policy(**settings) as again:
        assert again.close() == 0
    # The cut answers were to reports that arrived: the same batch is recorded once.
    assert len(office.reported()) == before + 1


def test_closed_policy_decides_nothing_here(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    local = client.policy(**settings)
    assert local.close() == local.close() == 0
    assert not local.evaluate(**ATTEMPT).local


def test_forked_child_decides_and_reports_by_itself(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    before = len(office.reported())
    closed = client.policy(**settings)
    assert closed.close() == 0
    with client.policy(**settings) as local:
        assert local.evaluate(**ATTEMPT).local
        child = os.fork()
        if child == 0:
            status = 1
            try:
                made = local.evaluate(**ATTEMPT)
                status = 0 if made.local and made.recorded == "disk" and local.close() == 0 else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert local.evaluate(**ATTEMPT).local
    # A closed policy has nothing to leave to the parent: the numbers of its files are others' now.
    assert closed.pending == 0
    assert len(office.reported()) == before + 3


def test_guard_runs_what_the_policy_allows(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    with client.policy(**settings) as local:
        with client.approved(**ATTEMPT, policy=local) as execution:
            assert execution.context == {"to": "prod"}
            assert execution.context_text == '{"to": "prod"}'
        assert (execution.id, execution.approval_id, execution.reported) == ("", "", False)
        assert execution.verdict is not None and execution.verdict.local


def test_with_pinned_keys_an_allow_of_the_server_still_needs_an_approval(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    pinned = {**ATTEMPT, "keys": office.keys, "audience": AUDIENCE}
    # None of these signed the policy, so the server is asked, whose word this is.
    with client.policy(**{**settings, "signers": []}) as local:
        with pytest.raises(signoff.TimedOut):
            client.guard(must_not_run, **pinned, policy=local, timeout=2)
        with client.approved(**ATTEMPT, policy=local) as execution:
            assert execution.verdict is not None and not execution.verdict.local
    with client.policy(**settings) as local:
        with client.approved(**pinned, policy=local) as execution:
            assert execution.verdict is not None and execution.verdict.local
        assert execution.approval_id == ""


def test_executor_with_pinned_keys_takes_no_allow_of_the_server(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    db = runbook.Session(client)

    def execute(engine: Any, **options: Any) -> Any:
        executor = runbook.Executor(db, engine, run=lambda execution: "ran", **options)
        return asyncio.run(executor.execute(plan=ATTEMPT))

    pinned = {"keys": office.keys, "audience": AUDIENCE}
    assert execute(db) == "ran"
    with client.policy(**{**settings, "signers": []}) as remote:
        for engine in (db, client, remote):
            with pytest.raises(runbook.GuardrailViolation) as refused:
                execute(engine, **pinned)
            assert refused.value.violation_type == "approval_required"
    with client.policy(**settings) as local:
        assert execute(local, **pinned) == "ran"


def test_guard_runs_nothing_that_the_policy_denies(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(DENIES)
    with client.policy(**settings) as local:
        with pytest.raises(signoff.Denied) as refused:
            client.guard(must_not_run, **ATTEMPT, policy=local)
    assert (refused.value.code, refused.value.comment) == ("policy-denied", "not today")


def test_guard_requests_what_the_policy_does_not_decide(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ASKS)
    with client.policy(**settings) as local:
        made = local.evaluate(**ATTEMPT)
        assert (made.decision, made.requirement) == ("require_approval", {"threshold": 1})
        with pytest.raises(signoff.TimedOut):
            client.guard(must_not_run, **ATTEMPT, policy=local, timeout=2)


def test_guard_refuses_the_policy_of_another_client(
    office: PolicyOffice, client: signoff.Client, settings: Dict[str, Any]
) -> None:
    office.activate(ALLOWS)
    with signoff.Client(office.url, office.agent) as other, other.policy(**settings) as local:
        with pytest.raises(signoff.Invalid):
            client.guard(must_not_run, **ATTEMPT, policy=local)


def test_asyncio_evaluates_and_guards(office: PolicyOffice, settings: Dict[str, Any]) -> None:
    office.activate(ALLOWS)

    async def work() -> None:
        async with signoff.AsyncClient(office.url, office.agent) as client:
            async with await client.policy(**settings) as local:
                made = await asyncio.gather(*(local.evaluate(**ATTEMPT) for _ in range(4)))
                assert all(one.local for one in made)
                async with client.approved(**ATTEMPT, policy=local) as execution:
                    assert execution.approval_id == ""
                digest = office.activate(DENIES)
                assert await local.wait_until(digest)
                with pytest.raises(signoff.Denied):
                    async with client.approved(**ATTEMPT, policy=local):
                        raise AssertionError
                assert await local.close() == 0

    asyncio.run(work())


@pytest.mark.parametrize(
    "wrong", [{"audience": ""}, {"max_stale": 0}, {"max_stale": float("inf")}, {"signers": "/no"}]
)
def test_malformed_settings_are_refused(wrong: Dict[str, Any]) -> None:
    settings: Dict[str, Any] = {"signers": [], "audience": "tests", **wrong}
    with pytest.raises(signoff.Invalid):
        signoff.Client("http://127.0.0.1:1").policy(**settings)


def test_unreachable_server_allows_nothing() -> None:
    with signoff.Client("http://127.0.0.1:1", timeout=0.2) as client:
        with client.policy([], audience="tests") as local:
            with pytest.raises(signoff.Unavailable):
                local.evaluate(**ATTEMPT)
