"""Human approval for high-risk agent actions, verified in your own process.

`Client` and `AsyncClient` call the HTTP API and guard actions; `Verifier` (with the extra
`signoff[verifier]`) makes every decision about trust offline. `guarded` and `Gate` guard
functions and the tools of agents: `signoff.langchain`, `signoff.openai_agents` and
`signoff.pydantic_ai` are for those frameworks. `signoff.runbook` has the names of the approval
runbook.
"""

from __future__ import annotations

from ._gate import Gate
from .approval import Approval, Evaluation, Event, Page, Verification
from .async_client import AsyncClient
from .attempt import Attempt
from .client import Client
from .encode import Json, RawJson
from .errors import (
    Conflict,
    Denied,
    Expired,
    Forbidden,
    Invalid,
    Mismatch,
    NotApproved,
    NotFound,
    Rejected,
    Rejection,
    SignoffError,
    TimedOut,
    Unavailable,
    Unverified,
    VerifierMissing,
    VerifierTrapped,
    Withdrawn,
)
from .execution import Execution
from .keys import Keys, read_keys
from .proof import Approver, Proof
from .tool import guarded
from .verdict import Verdict
from .verifier import Verifier
from .version import VERSION as __version__

__all__ = [
    "Approval",
    "Approver",
    "AsyncClient",
    "Attempt",
    "Client",
    "Conflict",
    "Denied",
    "Evaluation",
    "Event",
    "Execution",
    "Expired",
    "Forbidden",
    "Gate",
    "Invalid",
    "Json",
    "Keys",
    "Mismatch",
    "NotApproved",
    "NotFound",
    "Page",
    "Proof",
    "RawJson",
    "Rejected",
    "Rejection",
    "SignoffError",
    "TimedOut",
    "Unavailable",
    "Unverified",
    "Verdict",
    "Verification",
    "Verifier",
    "VerifierMissing",
    "VerifierTrapped",
    "Withdrawn",
    "__version__",
    "guarded",
    "read_keys",
]
