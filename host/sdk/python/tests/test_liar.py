"""A server that lies: with pinned keys nothing runs on what was not approved."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, Callable, Dict, List, Optional

import pytest
from live import AUDIENCE, Deciding, Liar, Office, must_not_run
from test_guard import only

import signoff

View = Dict[str, Any]
OTHER_ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4"


@pytest.fixture
def options(office: Office) -> Dict[str, Any]:
    return {
        "agent": "deployer",
        "action": f"deploy-{uuid.uuid4()}",
        "context": {"to": "prod"},
        "keys": office.keys,
        "audience": AUDIENCE,
    }


def lie(route: str, change: Callable[[View], Any]) -> Callable[[str, str, Any], Any]:
    """Returns an edit of the answers of one route: `wait`, or a suffix such as `/execute`."""

    def edit(method: str, path: str, members: Any) -> Any:
        if "code" in members:
            return members
        is_view = method == "GET" and "/approvals/appr_" in path
        if is_view if route == "wait" else path.endswith(route):
            return change(members)
        return members

    return edit


def ballot(view: View, **members: Any) -> View:
    return {**view, "ballots": [{**one, **members} for one in view["ballots"]]}


LIES: Dict[str, Callable[[View], Any]] = {
    "context": lambda view: {**view, "context": {"to": "staging"}},
    "context hash": lambda view: {**view, "context_hash": "0" * 64},
    "action": lambda view: {**view, "action": "destroy"},
    "reason": lambda view: {**view, "reason": "nothing"},
    "expiry": lambda view: {**view, "expires_at": "2099-01-01T00:00:00Z"},
    "old request": lambda view: {**view, "requested_at": "2025-10-17T10:30:00Z"},
    "requirement": lambda view: {**view, "requirement": {"threshold": 1, "groups": {"x": 1}}},
    "id": lambda view: {**view, "id": OTHER_ID},
    "approver": lambda view: ballot(view, approver="bob@company.com"),
    "comment": lambda view: ballot(view, comment="looks fine"),
    "decision": lambda view: ballot(view, decision="rejected"),
    "no ballots": lambda view: {**view, "ballots": []},
    "a plan": lambda view: {**view, "plan": {}, "plan_hash": "0" * 64},
    "not JSON": lambda view: [],
}


@pytest.mark.parametrize("name", LIES)
def test_lie_before_the_claim_claims_nothing(
    office: Office, options: Dict[str, Any], name: str
) -> None:
    with Liar(office, lie("wait", LIES[name])) as liar, Deciding(office, options["action"]):
        with signoff.Client(liar.url, office.agent, timeout=5) as client:
            with pytest.raises((signoff.Unverified, signoff.Invalid, signoff.Unavailable)):
                client.guard(must_not_run, **options)
    assert only(office, options["action"]).members["execution"] is None


def test_approval_that_nobody_signed_is_not_claimed(
    office: Office, options: Dict[str, Any]
) -> None:
    edit = lie("wait", lambda view: {**view, "status": "approved"})
    with Liar(office, edit, waits=False) as liar, signoff.Client(liar.url, office.agent) as client:
        with pytest.raises(signoff.Unverified) as refused:
            client.guard(must_not_run, **options)
    assert refused.value.code == "signature-invalid"
    assert only(office, options["action"]).status == "withdrawn"


@pytest.mark.parametrize(
    "change",
    [
        LIES["context"],
        LIES["context hash"],
        LIES["expiry"],
        LIES["no ballots"],
        lambda view: {**view, "execution": {**view["execution"], "outcome": "succeeded"}},
        lambda view: {**view, "execution": {**view["execution"], "claimed_at": view["expires_at"]}},
    ],
)
def test_lie_after_the_claim_runs_nothing_and_reports_failed(
    office: Office, options: Dict[str, Any], change: Callable[[View], Any]
) -> None:
    with Liar(office, lie("/execute", change)) as liar, Deciding(office, options["action"]):
        with signoff.Client(liar.url, office.agent) as client:
            with pytest.raises(signoff.SignoffError):
                client.guard(must_not_run, **options)
    execution = only(office, options["action"]).members["execution"]
    assert execution["outcome"] == "failed"
    assert execution["detail"].startswith("never started: ")


@pytest.mark.parametrize("listed", ["revoked", "without groups"])
def test_list_of_keys_makes_a_pinned_key_stricter(
    office: Office, options: Dict[str, Any], listed: str
) -> None:
    def change(answer: Any) -> Any:
        status = "revoked" if listed == "revoked" else "active"
        return {"items": [{**key, "status": status, "groups": []} for key in answer["items"]]}

    options |= {"groups": {"sre": 1}}
    with Liar(office, lie("/keys", change)) as liar, Deciding(office, options["action"]):
        with signoff.Client(liar.url, office.agent) as client:
            with pytest.raises(signoff.Unverified) as refused:
                client.guard(must_not_run, **options)
    expected = {"revoked": "key-revoked", "without groups": "approver-not-allowed"}
    assert refused.value.code == expected[listed]


def test_server_without_a_list_of_keys_is_fine(office: Office, options: Dict[str, Any]) -> None:
    refusal = (403, {"code": "forbidden", "detail": "no"})
    with Liar(office, lie("/keys", lambda _: refusal)) as liar:
        with Deciding(office, options["action"]), signoff.Client(liar.url, office.agent) as client:
            with client.approved(**options) as execution:
                assert execution.approvers


@pytest.mark.parametrize("name", ["context hash", "action", "id"])
def test_without_keys_the_own_request_is_compared(
    office: Office, options: Dict[str, Any], name: str
) -> None:
    options |= {"keys": None}
    with Liar(office, lie("wait", LIES[name])) as liar, Deciding(office, options["action"]):
        with signoff.Client(liar.url, office.agent) as client:
            with pytest.raises((signoff.Unverified, signoff.Unavailable)) as refused:
                client.guard(must_not_run, **options)
    assert refused.value.code in ("untrusted-answer", "unreachable")
    assert only(office, options["action"]).members["execution"] is None


def test_lost_answer_of_a_claim_runs_once(office: Office, options: Dict[str, Any]) -> None:
    lost: List[str] = []

    def edit(method: str, path: str, members: Any) -> Any:
        if path.endswith("/execute") and not lost:
            lost.append(members["execution"]["id"])
            return None
        return members

    with Liar(office, edit) as liar, Deciding(office, options["action"]):
        with signoff.Client(liar.url, office.agent) as client:
            with client.approved(**options) as execution:
                assert [execution.id] == lost
    assert only(office, options["action"]).outcome == "succeeded"


def test_report_that_fails_leaves_the_result(office: Office, options: Dict[str, Any]) -> None:
    refusal = (500, {"code": "internal-error", "detail": "no"})
    ran: List[signoff.Execution] = []

    def keep(execution: signoff.Execution) -> int:
        ran.append(execution)
        return 7

    with Liar(office, lie("/outcome", lambda _: refusal)) as liar:
        with Deciding(office, options["action"]), signoff.Client(liar.url, office.agent) as client:
            assert client.guard(keep, **options) == 7
    assert not ran[0].reported


def test_approval_that_was_claimed_before_is_refused_before_the_call(
    office: Office, options: Dict[str, Any]
) -> None:
    first: Optional[View] = None

    def replay(method: str, path: str, members: Any) -> Any:
        """Shows the first approval, before its claim, for every request."""
        nonlocal first
        if first is None:
            if path.endswith("/execute"):
                first = {**before}
            elif method == "GET" and "appr_" in path and members.get("status") == "approved":
                before.update(members)
            return members
        if path.endswith("/execute"):
            pytest.fail("claimed again")
        return {**members, **first} if "status" in members else members

    before: View = {}
    with Liar(office, replay) as liar, signoff.Client(liar.url, office.agent) as client:
        with Deciding(office, options["action"]), client.approved(**options):
            pass
        with pytest.raises(signoff.Unverified) as refused:
            client.guard(must_not_run, **options)
    assert refused.value.code == "untrusted-answer"


def test_request_from_before_the_call_is_too_old(office: Office, options: Dict[str, Any]) -> None:
    with signoff.Client(office.url, office.agent) as client:
        # As if the server showed an approval that was requested 140 s before the call.
        client._api.now = lambda: time.time() + 200
        with Deciding(office, options["action"]), pytest.raises(signoff.Unverified) as refused:
            client.guard(must_not_run, **options)
    assert refused.value.code == "request-too-old"


def test_every_lie_is_one() -> None:
    view = {"ballots": [{"approver": "a", "comment": None, "decision": "approved"}]}
    for change in LIES.values():
        assert json.dumps(change(view)) != json.dumps(view)
