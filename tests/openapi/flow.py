"""One approval with the client that openapi-python-client generates: requested, approved with a `v2`
signature, verified, claimed, reported; and the refusal of a second claim. Settings are JSON in
SETTINGS: url, tokens, and the approver's name, key and seed."""

import base64
import json
import os
from http import HTTPStatus
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from signoff_http import AuthenticatedClient
from signoff_http.api.approvals import (
    approve,
    execute_approval,
    get_approval,
    get_receipt,
    get_signing_payload,
    list_approvals,
    report_outcome,
    request_approval,
    verify_approval,
)
from signoff_http.api.audit import get_checkpoint, list_audit_entries
from signoff_http.api.guardrails import evaluate_action, get_active_policy, get_active_policy_wasm
from signoff_http.api.keys import list_keys
from signoff_http.api.operation import get_readiness
from signoff_http.models import (
    Approval,
    ApprovalRequest,
    ApprovalStatus,
    BallotDecision,
    Decision,
    DecisionRequest,
    EvaluationRequest,
    ExecutionOutcome,
    ExecutionRequest,
    JsonObject,
    OutcomeReport,
    Problem,
    ReportedOutcome,
    SignatureProfile,
    VerificationRequest,
)

Answer = TypeVar("Answer")


def settled(answer: Answer | Problem | None) -> Answer:
    """The answer of a call that must succeed."""
    if answer is None or isinstance(answer, Problem):
        raise AssertionError(f"refused: {answer}")
    return answer


def refused(answer: object, code: str) -> None:
    """The answer of a call that must be refused."""
    if not isinstance(answer, Problem) or answer.code != code:
        raise AssertionError(f"expected {code}, got {answer}")


SETTINGS = json.loads(os.environ["SETTINGS"])


def client(role: str) -> AuthenticatedClient:
    """A client with a role's token."""
    return AuthenticatedClient(base_url=SETTINGS["url"], token=SETTINGS[role], raise_on_unexpected_status=True)


def main() -> None:
    """Runs the flow."""
    executor, approver, auditor = client("executor"), client("approver"), client("auditor")
    context = JsonObject.from_dict({"service": "web", "replicas": 3, "note": "Zoë"})
    plan = JsonObject.from_dict({"steps": [{"run": "deploy web"}]})

    verdict = settled(evaluate_action.sync(client=executor, body=EvaluationRequest("deploy", "deployer", context)))
    assert verdict.decision is Decision.REQUIRE_APPROVAL

    body = ApprovalRequest(agent="deployer", action="deploy", context=context, plan=plan, reason="Release of web")
    requested = settled(request_approval.sync(client=executor, body=body, idempotency_key="flow-1"))
    again = settled(request_approval.sync(client=executor, body=body, idempotency_key="flow-1"))
    assert requested.id == again.id and requested.status is ApprovalStatus.PENDING
    assert requested.expires_at > requested.requested_at
    page = settled(list_approvals.sync(client=approver, status=ApprovalStatus.PENDING))
    assert requested.id in [item.id for item in page.items]

    payload = settled(get_signing_payload.sync(
        requested.id, client=approver, decision=BallotDecision.APPROVED, approver=SETTINGS["name"],
        profile=SignatureProfile.V2, key=SETTINGS["key"],
    ))
    message = base64.urlsafe_b64decode(payload.base64url + "=" * (-len(payload.base64url) % 4))
    made = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SETTINGS["seed"])).sign(message)
    signature = f"v2.{SETTINGS['key']}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"
    ballot = DecisionRequest(decision=BallotDecision.APPROVED, signature=signature)
    refused(approve.sync(requested.id, client=executor, body=ballot), "forbidden")
    approved = settled(approve.sync(requested.id, client=approver, body=ballot))
    assert approved.status is ApprovalStatus.APPROVED and approved.ballots[0].profile is SignatureProfile.V2

    verification = settled(verify_approval.sync(
        requested.id, client=executor, body=VerificationRequest(signature=signature, context=context)))
    assert verification.valid and isinstance(verification.approval, Approval)

    claim = ExecutionRequest(agent="deployer", action="deploy", context=context, plan=plan)
    other = ExecutionRequest(agent="deployer", action="deploy", context=JsonObject(), plan=plan)
    mismatch = execute_approval.sync(requested.id, client=executor, body=other)
    refused(mismatch, "context-mismatch")
    assert isinstance(mismatch, Problem) and mismatch.members, mismatch
    executed = settled(execute_approval.sync(requested.id, client=executor, body=claim))
    assert executed.execution is not None
    second = execute_approval.sync_detailed(requested.id, client=executor, body=claim)
    assert second.status_code is HTTPStatus.CONFLICT
    refused(second.parsed, "already-executed")

    outcome = OutcomeReport(execution_id=executed.execution.id, outcome=ReportedOutcome.SUCCEEDED)
    reported = settled(report_outcome.sync(requested.id, client=executor, body=outcome))
    assert reported.execution is not None and reported.execution.outcome is ExecutionOutcome.SUCCEEDED
    shown = settled(get_approval.sync(requested.id, client=executor, wait=1))
    assert shown.status is ApprovalStatus.EXECUTED and isinstance(shown.context, JsonObject)
    assert shown.context.to_dict() == context.to_dict()

    receipt = settled(get_receipt.sync(requested.id, client=auditor))
    assert receipt.approval.id == requested.id and receipt.entries
    events = [item.entry.event.event for item in settled(list_audit_entries.sync(client=auditor)).items]
    assert "execution_settled" in events, events
    assert "\n" in settled(get_checkpoint.sync(client=auditor))
    assert SETTINGS["key"] in [key.id for key in settled(list_keys.sync(client=executor)).items]
    policy = settled(get_active_policy.sync(client=executor)).policy
    assert policy is not None
    component = settled(get_active_policy_wasm.sync(policy.digest, client=executor))
    assert component.payload.read(4) == b"\0asm"
    assert settled(get_readiness.sync(client=executor)).policy == policy.digest
    refused(list_approvals.sync(client=client("stranger")), "unauthenticated")
    print("python: request, list, approve, verify, claim, report, and five problems")


main()
