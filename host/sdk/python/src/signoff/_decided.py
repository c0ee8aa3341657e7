"""What a guard has once an approval is decided, and once it is claimed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, List, Optional

from .approval import Approval
from .errors import Conflict, Expired, Rejected, Unverified, Withdrawn
from .execution import Execution
from .proof import Proof


@dataclasses.dataclass(frozen=True)
class Decided:
    """An approval that was decided and verified, before its claim."""

    proof: Proof
    keys: Optional[List[Dict[str, Any]]]
    requested_after: Optional[int]


def execution_of(claimed: Approval, proved: Proof) -> Execution:
    """Returns the execution of a claim, on what was verified."""
    return Execution(
        id=claimed.execution_id or "",
        approval_id=claimed.id,
        context=json.loads(proved.context),
        context_text=proved.context,
        plan=None if proved.plan is None else json.loads(proved.plan),
        plan_text=proved.plan,
        approvers=proved.approvers,
    )


def check_decided(decided: Approval) -> None:
    """Raises the error of a decision that permits nothing."""
    status, id, comment = decided.status, decided.id, decided.comment
    if status == "rejected":
        detail = "an approver rejected the request"
        approver = decided.members.get("approver")
        by = approver if isinstance(approver, str) else None
        raise Rejected("rejected", detail, approval_id=id, comment=comment, approver=by)
    if status == "expired":
        raise Expired("expired", "the approval expired before it was decided", approval_id=id)
    if status == "withdrawn":
        raise Withdrawn("withdrawn", "the request was withdrawn", approval_id=id)
    if status == "pending":
        raise Conflict("not-approved", "the approval is still pending", approval_id=id)
    if status == "executed":
        detail = "the approval was claimed by another execution"
        raise Conflict("already-executed", detail, approval_id=id)
    if status != "approved":
        detail = f"the server shows the status `{status}`"
        raise Unverified("untrusted-answer", detail, approval_id=id)
