"""The names of the approval runbook, over a server of signoff.

The runbook's listings run with their import lines changed and nothing else:

- `db` is a `Session`, which wraps a `Client`; where the listing only awaits, a `Client` or an
  `AsyncClient` serves as well. `policy_engine` is a `Client`, a `Session`, or an object with
  `evaluate(agent=, action=, context=, plan=)`.
- A `...` in a listing, as in `ApprovalRequest(..., expires_in_seconds=300)` or `plan={...}`, leaves
  a value out.
- What a listing writes into an approval becomes a call of the API at `commit`, or is refused.

Naive datetimes count as UTC, and microseconds are refused where they would be signed. New code
should use `Client.approved`: it waits, verifies and reports by itself.
"""

from __future__ import annotations

from .executor import Executor
from .guardrails import ExecutionGuardrails, GuardrailDecision, GuardrailViolation
from .records import Approval, ApprovalRequest
from .secret import settings
from .session import Session, create_approval_request
from .signatures import generate_approval_signature, verify_approval_signature

__all__ = [
    "Approval",
    "ApprovalRequest",
    "ExecutionGuardrails",
    "Executor",
    "GuardrailDecision",
    "GuardrailViolation",
    "Session",
    "create_approval_request",
    "generate_approval_signature",
    "settings",
    "verify_approval_signature",
]
