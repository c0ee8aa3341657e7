"""Every Python listing of the runbook runs with its import lines changed and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import logging
import pathlib
import re
import textwrap
from typing import Any, Callable, Dict, List, Tuple

import pytest
from live import AUDIENCE, SECRET, Office

import signoff
from signoff import runbook
from signoff.runbook.executor import differing

LISTINGS: List[Tuple[str, str]] = re.findall(
    r"^## (.*?)\n\n```python\n(.*?)^```$",
    pathlib.Path(__file__).with_name("runbook_listings.md").read_text(encoding="utf-8"),
    re.M | re.S,
)
Names = Dict[str, Any]


def run(listing: str, names: Names) -> Any:
    """Runs a listing as the body of a coroutine function; its assignments end in `names`."""
    body = re.sub(r"^from app\.\S+ import", "from signoff.runbook import", listing, flags=re.M)
    assert [a for a, b in zip(listing.split("\n"), body.split("\n")) if a != b] == [
        line for line in listing.split("\n") if line.startswith("from app.")
    ]
    assigned = re.findall(r"^def (\w+)|^(\w+) = ", body, re.M)
    kept = sorted({name for pair in assigned for name in pair if name})
    if re.search(r"^ +approval = ", body, re.M):
        kept.append("approval")
    declared = f"global {', '.join(kept)}\n" if kept else ""
    code = "async def listing():\n" + textwrap.indent(declared + body, "    ")
    exec(compile(code, "listing", "exec"), names)
    return asyncio.run(names["listing"]())


@pytest.fixture
def db(client: signoff.Client) -> runbook.Session:
    return runbook.Session(client)


@pytest.fixture
def admin(office: Office) -> runbook.Session:
    return runbook.Session(signoff.Client(office.url, office.admin))


@pytest.fixture
def names(
    client: signoff.Client, db: runbook.Session, office: Office, monkeypatch: pytest.MonkeyPatch
) -> Names:
    """The free variables of the listings."""
    monkeypatch.setenv("HMAC_SECRET", SECRET)
    return {
        "db": db,
        "policy_engine": client,
        "datetime": datetime.datetime,
        "timezone": datetime.timezone,
        "timedelta": datetime.timedelta,
        "settings": runbook.settings,
        "logger": logging.getLogger("runbook"),
        "ApprovalRequest": runbook.ApprovalRequest,
        "Approval": runbook.Approval,
        "GuardrailViolation": runbook.GuardrailViolation,
        "agent": "inbox_triage",
        "action": "quarantine",
        "context": {"file": "config.yaml"},
    }


@pytest.fixture(scope="session")
def tokens(office: Office) -> Dict[str, str]:
    agents = ("knowledge_update", "inbox_triage")
    return {name: office.token(f"agent:{name}", "requester,executor") for name in agents}


def requested(office: Office, tokens: Dict[str, str], context: Any = None) -> str:
    """Requests an approval as the listings' agent; returns its id."""
    with signoff.Client(office.url, tokens["inbox_triage"]) as agent:
        shown = context or {"email_id": "email_123"}
        return agent.request("inbox_triage", "quarantine", shown).id


def as_agent(office: Office, tokens: Dict[str, str], name: str) -> runbook.Session:
    return runbook.Session(signoff.Client(office.url, tokens[name]))


def approved(office: Office, db: runbook.Session, context: Any = None) -> runbook.Approval:
    """Returns an approved approval of the listings' agent."""
    asked = runbook.ApprovalRequest("inbox_triage", "quarantine", context or {"email_id": "e"})
    made = asyncio.run(runbook.create_approval_request(asked, db))
    office.decide(made.id)
    return db.get(made.id)


def listing(title: str, number: int = 0) -> str:
    return [code for name, code in LISTINGS if name == title][number]


def test_each_listing_has_a_test() -> None:
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    for title, _ in LISTINGS:
        assert source.count(f'listing("{title}"') >= 1, title
    assert len(LISTINGS) == 16


def test_programmatic_request(office: Office, names: Names, tokens: Dict[str, str]) -> None:
    names["db"] = as_agent(office, tokens, "knowledge_update")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run(listing("3. Programmatic Request"), names)
    approval = names["approval"]
    assert out.getvalue() == f"Approval ID: {approval.id}\nExpires: {approval.expires_at}\n"
    assert approval.expires_at.utcoffset() == datetime.timedelta()
    assert approval.expires_at - approval.requested_at == datetime.timedelta(hours=1)


@pytest.mark.parametrize("kind", [signoff.Client, signoff.AsyncClient])
def test_request_with_a_client_as_db(
    office: Office, names: Names, tokens: Dict[str, str], kind: Callable[..., Any]
) -> None:
    names["db"] = kind(office.url, tokens["knowledge_update"])

    async def closing() -> None:
        asked = runbook.ApprovalRequest("knowledge_update", "apply", {"a": 1})
        made = await runbook.create_approval_request(asked, names["db"])
        assert made.status == "pending"
        if kind is signoff.AsyncClient:
            await names["db"].close()

    asyncio.run(closing())


def test_generate_signature(names: Names) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run(listing("3. Generate Signature"), names)
    # The listing signs the naive time without `+00:00`: such a signature verifies nowhere.
    assert len(names["sig"]) == 64
    values = ("appr_abc123", "approved", "user@company.com")
    expires_at = datetime.datetime(2025, 10, 17, 11, 30, 0)
    assert not runbook.verify_approval_signature(*values, expires_at, names["sig"], SECRET)
    ours = runbook.generate_approval_signature(*values, expires_at, SECRET)
    aware = expires_at.replace(tzinfo=datetime.timezone.utc)
    assert ours == runbook.generate_approval_signature(*values, aware, SECRET)
    assert runbook.verify_approval_signature(*values, expires_at, ours, SECRET)
    theirs = names["generate_approval_signature"]
    assert theirs(*values, aware, SECRET) == ours


def test_programmatic_verification(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    code = listing("2. Programmatic Verification")
    with pytest.raises(ValueError, match="Invalid approval signature"):
        run(code, names)
    assert names["is_valid"] is False
    expires_at = datetime.datetime(2025, 10, 17, 11, 30, 0)
    values = ("appr_abc123", "approved", "user@company.com", expires_at, SECRET)
    signature = runbook.generate_approval_signature(*values)
    run(code.replace("a3f7c2d1e5b8...", signature), names)
    assert names["is_valid"] is True
    with pytest.raises(signoff.Invalid):
        runbook.generate_approval_signature(*values[:3], expires_at.replace(microsecond=1), SECRET)
    monkeypatch.delenv("HMAC_SECRET")
    with pytest.raises(signoff.Invalid):
        run(code, names)


def test_expiration_check(
    office: Office, tokens: Dict[str, str], names: Names, db: runbook.Session, admin: Any
) -> None:
    names["approval"] = approval = admin.get(requested(office, tokens))
    run(listing("3. Expiration Check"), names)
    past = {**approval.shown.members, "expires_at": "2025-10-17T11:30:00Z"}
    names["approval"] = runbook.Approval(signoff.Approval(past))
    with pytest.raises(ValueError, match="expired"):
        run(listing("3. Expiration Check"), names)


@pytest.mark.parametrize("risk_score, asked", [(92, True), (10, False)])
def test_agent_requests_approval(
    office: Office, names: Names, tokens: Dict[str, str], risk_score: int, asked: bool
) -> None:
    names |= {"risk_score": risk_score, "email_id": "email_123"}
    names["db"] = as_agent(office, tokens, "inbox_triage")
    answer = run(listing("1. Agent Requests Approval"), names)
    if not asked:
        assert answer is None
        return
    assert answer == {"status": "pending_approval", "approval_id": names["approval"].id}
    assert names["approval"].context["reason"] == "Suspected phishing"


def executing(office: Office, names: Names, tokens: Dict[str, str], context: Any) -> str:
    """Returns the listing that executes, with the id of an approval for `context`."""
    names["db"] = as_agent(office, tokens, "inbox_triage")
    approval = approved(office, names["db"], context)
    return listing("2. Agent Executes with Approval").replace("appr_abc123", approval.id)


def test_agent_executes_with_approval(
    office: Office, names: Names, tokens: Dict[str, str], admin: runbook.Session
) -> None:
    run(executing(office, names, tokens, {"email_id": "email_123"}), names)
    execution = names["result"]
    assert execution.context == {"email_id": "email_123"}
    asyncio.run(names["executor"].report(execution, "succeeded"))
    assert execution.reported
    assert admin.get(execution.approval_id).shown.outcome == "succeeded"


@pytest.mark.parametrize("pinned", [True, False])
def test_agent_executes_with_fewer_members_than_were_approved(
    office: Office,
    names: Names,
    tokens: Dict[str, str],
    admin: runbook.Session,
    pinned: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if pinned:
        monkeypatch.setenv("SIGNOFF_KEYS", str(office.keys))
        monkeypatch.setenv("SIGNOFF_AUDIENCE", AUDIENCE)
    context = {"email_id": "email_123", "risk_score": 92, "reason": "Suspected phishing"}
    code = executing(office, names, tokens, context)
    with pytest.raises(runbook.GuardrailViolation) as refused:
        run(code, names)
    violation = refused.value
    assert violation.violation_type == "context-mismatch"
    assert violation.details["members"] == ["/reason", "/risk_score"]
    assert "/reason" in str(violation) and "/risk_score" in str(violation)
    assert "Execution context doesn't match approval" in str(violation)
    assert admin.get(names["approval_id"]).status == "approved"


def test_executor_refuses_what_the_runbook_lists(
    office: Office, tokens: Dict[str, str], admin: runbook.Session
) -> None:
    db = as_agent(office, tokens, "inbox_triage")
    executor = runbook.Executor(db, db)
    plan = {"agent": "inbox_triage", "action": "quarantine", "context": {"email_id": "e"}}

    def refused(id: str, **changed: Any) -> str:
        with pytest.raises(runbook.GuardrailViolation) as violation:
            asyncio.run(executor.execute(plan={**plan, **changed}, approval_id=id))
        return violation.value.violation_type

    assert refused("appr_01k7s2e3m8q4w6x9y0z1a2b3c4") == "not-found"
    assert refused(asked(db).id) == "not-approved"
    good = approved(office, db).id
    assert refused(good, action="delete") == "action-mismatch"
    assert refused(good, plan={"steps": []}) == "plan-mismatch"
    asyncio.run(executor.execute(plan=plan, approval_id=good))
    assert refused(good) == "already-executed"
    with pytest.raises(signoff.Invalid):
        asyncio.run(executor.execute(plan={**plan, "unknown": 1}, approval_id=good))


def asked(db: runbook.Session) -> runbook.Approval:
    request = runbook.ApprovalRequest("inbox_triage", "quarantine", {"email_id": "e"})
    return asyncio.run(runbook.create_approval_request(request, db))


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_executor_runs_and_reports(
    office: Office, tokens: Dict[str, str], admin: runbook.Session, is_async: bool, fails: bool
) -> None:
    ran: List[str] = []

    def perform(execution: signoff.Execution) -> str:
        ran.append(execution.context_text)
        if fails:
            raise ZeroDivisionError
        return "done"

    async def perform_async(execution: signoff.Execution) -> str:
        return perform(execution)

    db = as_agent(office, tokens, "inbox_triage")
    run_it = perform_async if is_async else perform
    keys = {"keys": office.keys, "audience": AUDIENCE}
    executor = runbook.Executor(db, db, run=run_it, **keys)  # type: ignore[arg-type]
    id = approved(office, db).id
    plan = {"agent": "inbox_triage", "action": "quarantine", "context": {"email_id": "e"}}
    if fails:
        with pytest.raises(ZeroDivisionError):
            asyncio.run(executor.execute(plan=plan, approval_id=id))
    else:
        assert asyncio.run(executor.execute(plan=plan, approval_id=id)) == "done"
    assert ran == ['{"email_id": "e"}']
    assert admin.get(id).shown.outcome == ("failed" if fails else "succeeded")


def test_executor_without_an_approval_asks_the_policy(office: Office, db: Any) -> None:
    plan = {"agent": "deployer", "action": "read", "context": {"a": 1}}
    with pytest.raises(runbook.GuardrailViolation) as refused:
        asyncio.run(runbook.Executor(db, db).execute(plan=plan))
    assert refused.value.violation_type == "approval_required"
    allowing = Policy("allow")
    executor = runbook.Executor(db, allowing, run=lambda execution: execution.context)
    assert asyncio.run(executor.execute(plan=plan)) == {"a": 1}


class Policy:
    """A policy engine of the caller's own."""

    def __init__(self, decision: str) -> None:
        self.decision = decision

    def evaluate(self, **_: Any) -> signoff.Evaluation:
        requires = self.decision == "require_approval"
        return signoff.Evaluation(self.decision, requires, "a reason", None, None, {})


@pytest.mark.parametrize("approval_id", [None, "appr_abc123"])
def test_guardrails_check_approval(
    office: Office, names: Names, tokens: Dict[str, str], approval_id: Any
) -> None:
    names["approval_id"] = approval_id
    names["policy_engine"] = as_agent(office, tokens, "inbox_triage")
    if approval_id is not None:
        run(listing("3. Guardrails Check Approval"), names)
        assert names["decision"].requires_approval
        return
    with pytest.raises(runbook.GuardrailViolation) as refused:
        run(listing("3. Guardrails Check Approval"), names)
    assert refused.value.violation_type == "approval_required"
    assert refused.value.details["action"] == "quarantine"
    assert str(refused.value) == "Action requires human approval"


@pytest.mark.parametrize("decision", ["deny", "of a newer server"])
def test_denied_action_does_not_pass_the_guardrails(names: Names, decision: str) -> None:
    names |= {"approval_id": "appr_abc123", "policy_engine": Policy(decision)}
    with pytest.raises(runbook.GuardrailViolation) as refused:
        run(listing("3. Guardrails Check Approval"), names)
    assert refused.value.violation_type == "policy-denied"
    assert refused.value.details["reason"] == "a reason"


def test_guardrails_need_an_engine_that_is_not_awaited(office: Office) -> None:
    for engine in (None, signoff.AsyncClient(office.url)):
        with pytest.raises(TypeError):
            runbook.ExecutionGuardrails(engine)


def test_expiration_times(names: Names, db: runbook.Session) -> None:
    run(listing("2. Expiration Times"), names)
    with pytest.raises(signoff.Invalid, match="`agent` of the request is unset"):
        unset = runbook.ApprovalRequest(..., expires_in_seconds=300)
        asyncio.run(runbook.create_approval_request(unset, db))


def test_audit_logging(
    office: Office,
    tokens: Dict[str, str],
    names: Names,
    admin: runbook.Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    id = requested(office, tokens)
    office.decide(id)
    names["approval"] = admin.get(id)
    with caplog.at_level(logging.INFO):
        run(listing("3. Audit Logging"), names)
    first, second = caplog.records
    assert (first.approval_id, first.requested_by) == (id, "agent:inbox_triage")  # type: ignore[attr-defined]
    assert (second.decision, second.approver) == ("approved", "alice@company.com")  # type: ignore[attr-defined]


def test_replay_protection(
    office: Office, names: Names, tokens: Dict[str, str], admin: runbook.Session
) -> None:
    names["db"] = as_agent(office, tokens, "inbox_triage")
    names["approval"] = approval = approved(office, names["db"])
    # The listing marks the approval as executed, and then checks that it is still approved.
    with pytest.raises(ValueError, match="Approval not in approved state: executed"):
        run(listing("4. Replay Protection"), names)
    shown = admin.get(approval.id)
    assert (shown.status, shown.shown.outcome) == ("executed", "claimed")
    assert approval.executed_at == shown.executed_at
    # Nobody can mark it a second time.
    approval.status = "executed"
    with pytest.raises(signoff.Conflict):
        names["db"].commit()


def test_context_validation(
    office: Office, tokens: Dict[str, str], names: Names, admin: runbook.Session
) -> None:
    names["context"] = {"email_id": "email_123", "nested": [1.0, {"ü": None}]}
    names["approval"] = admin.get(requested(office, tokens, names["context"]))
    run(listing("5. Context Validation"), names)
    names["context"]["nested"][0] = 1
    with pytest.raises(ValueError, match="doesn't match"):
        run(listing("5. Context Validation"), names)


def test_invalid_signature(names: Names) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run(listing("Issue: Invalid Signature"), names)
    assert "Expires ISO: 2025-10-17T11:30:00+00:00" in out.getvalue()


def test_extension(office: Office, names: Names, admin: runbook.Session) -> None:
    with signoff.Client(office.url, office.agent) as agent:
        id = agent.request("deployer", "deploy", {}, expires_in_seconds=600).id
    names["db"], names["approval"] = admin, admin.get(id)
    before = names["approval"].expires_at
    run(listing("Issue: Approval Expired"), names)
    after = names["approval"].expires_at
    assert after - before > datetime.timedelta(minutes=45)
    assert admin.get(id).expires_at == after


def test_extension_by_the_requester_is_refused(names: Names, db: runbook.Session) -> None:
    names["approval"] = asyncio.run(
        runbook.create_approval_request(runbook.ApprovalRequest("deployer", "deploy", {}), db)
    )
    before = names["approval"].expires_at
    with pytest.raises(signoff.Forbidden):
        run(listing("Issue: Approval Expired"), names)
    assert names["approval"].expires_at == before


def test_agent_and_action_match(
    office: Office, tokens: Dict[str, str], names: Names, admin: runbook.Session
) -> None:
    names["approval"] = admin.get(requested(office, tokens))
    names |= {"execution_agent": "inbox_triage", "execution_action": "quarantine"}
    run(listing("Issue: Agent/Action Mismatch"), names)
    names["execution_action"] = "delete"
    with pytest.raises(AssertionError):
        run(listing("Issue: Agent/Action Mismatch"), names)


def test_list_of_approvals(
    office: Office, tokens: Dict[str, str], names: Names, admin: runbook.Session
) -> None:
    newest = requested(office, tokens)
    names["db"] = admin
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run(listing("Issue: Approval Not Found"), names)
    lines = out.getvalue().splitlines()
    assert lines[0] == f"{newest}: inbox_triage/quarantine - pending"
    assert len(lines) == min(10, len(admin.query(runbook.Approval).all()))


def test_query_that_the_api_does_not_have_is_refused(admin: runbook.Session) -> None:
    query = admin.query(runbook.Approval)
    with pytest.raises(signoff.Invalid):
        query.order_by(runbook.Approval.expires_at.desc())
    with pytest.raises(TypeError):
        admin.query(dict)  # type: ignore[arg-type]
    with pytest.raises(signoff.Invalid):
        query.limit(-1)
    assert query.limit(0).all() == []


@pytest.mark.parametrize("status, logged", [("pending", 0), ("approved", 1)])
def test_status_check(
    office: Office,
    tokens: Dict[str, str],
    names: Names,
    admin: runbook.Session,
    caplog: pytest.LogCaptureFixture,
    status: str,
    logged: int,
) -> None:
    id = requested(office, tokens)
    if status == "approved":
        office.decide(id)
    names["approval"] = admin.get(id)
    run(listing("Issue: Cannot Approve Twice"), names)
    assert len(caplog.records) == logged


@pytest.mark.parametrize(
    "name, value",
    [
        *(("status", "approved"), ("status", "rejected"), ("expires_at", "x"), ("context", {})),
        *(("agent", "x"), ("approver", "x"), ("decision", "approved"), ("signature", "x")),
    ],
)
def test_assignment_that_only_a_signature_may_make_is_refused(
    admin: runbook.Session, office: Office, tokens: Dict[str, str], name: str, value: Any
) -> None:
    approval = admin.get(requested(office, tokens))
    before = getattr(approval, name)
    with pytest.raises(signoff.Invalid):
        setattr(approval, name, value)
    assert getattr(approval, name) == before


def test_session_needs_a_client(office: Office) -> None:
    for other in (None, signoff.AsyncClient(office.url)):
        with pytest.raises(TypeError):
            runbook.Session(other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "approved, attempted, expected",
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, ["/a"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "d": 2}}, ["/a/b", "/a/c", "/a/d"]),
        ({"a/b~": 1}, {}, ["/a~1b~0"]),
        (None, {"a": 1}, [""]),
        ({str(number): 0 for number in range(99)}, {}, 16),
    ],
)
def test_differing_members(approved: Any, attempted: Any, expected: Any) -> None:
    found = differing(approved, attempted)
    assert found == expected or len(found) == expected
