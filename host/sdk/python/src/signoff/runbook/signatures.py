"""The runbook's `v1` signatures: HMAC-SHA256 over `{id}:{decision}:{approver}:{expires_at}`.

They cover neither action nor context, and whoever can verify can also sign. `v2` signatures, with
which `Client.approved` verifies, have neither weakness.
"""

from __future__ import annotations

import base64
import datetime
from typing import Any, Dict

from ..encode import in_utc
from ..errors import Invalid, Unverified
from ..verifier import Verifier


def generate_approval_signature(
    approval_id: str,
    decision: str,
    approver: str,
    expires_at: datetime.datetime,
    secret: str,
) -> str:
    """Returns the signature of a decision, 64 lower-case hex characters, made by the verifier.

    A naive `expires_at` counts as UTC; the runbook's own listing signs it without `+00:00`, and
    such a signature never verifies.

    Raises `Invalid` for microseconds, a secret of less than 32 bytes and malformed fields,
    `Unverified` with `statement-ambiguous` for a `:` in the id or the approver.
    """
    statement = _statement(approval_id, decision, approver, expires_at)
    return Verifier().sign(statement, _key(secret), "v1")


def verify_approval_signature(
    approval_id: str,
    decision: str,
    approver: str,
    expires_at: datetime.datetime,
    signature: str,
    secret: str,
) -> bool:
    """Returns whether the signature of a decision is valid, as the verifier says.

    True means that the holder of the secret signed these four values: not that the approval is
    still pending, unexpired or unused.

    Raises `Invalid` as `generate_approval_signature`, and `VerifierTrapped`.
    """
    statement = _statement(approval_id, decision, approver, expires_at)
    try:
        Verifier().verify(statement, signature, [_key(secret)], ["v1"])
    except Unverified:
        return False
    return True


def _statement(
    approval_id: str, decision: str, approver: str, expires_at: datetime.datetime
) -> Dict[str, Any]:
    if expires_at.microsecond:
        raise Invalid("request-invalid", "`expires_at` must have whole seconds")
    return {
        "audience": "",
        "key_id": "",
        "approval_id": approval_id,
        "request_digest": "",
        "expires_at": int(in_utc(expires_at).timestamp()),
        "decision": decision,
        "approver": approver,
        "comment": "",
    }


def _key(secret: str) -> Dict[str, Any]:
    material = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return {
        "id": "runbook",
        "algorithm": "hmac-sha256",
        "material": material,
        "status": "active",
        "use": "approve",
        "approver": None,
        "groups": [],
    }
