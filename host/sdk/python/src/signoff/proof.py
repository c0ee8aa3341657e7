"""What `approval.verify` returns: the part of an approval that signatures prove."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Tuple


@dataclasses.dataclass(frozen=True)
class Approver:
    """One approver whose ballot counted."""

    approver: str
    key_id: str
    groups: Tuple[str, ...]
    """The groups of the given key."""
    profile: str
    algorithm: str


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the approvers signed; times are RFC 3339 in UTC."""

    approval_id: str
    request_digest: str
    requested_by: str
    requested_at: str
    expires_at: str
    requirement: Mapping[str, Any]
    policy: Optional[str]
    rule: Optional[str]
    context: str
    """The canonical text that was compared: run exactly this."""
    plan: Optional[str]
    approvers: Tuple[Approver, ...]
    """Sorted by name."""

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> Proof:
        """Reads the answer of the verifier; members that this version does not know are ignored."""
        approvers = tuple(
            Approver(
                one["approver"],
                one["key_id"],
                tuple(one["groups"]),
                one["profile"],
                one["algorithm"],
            )
            for one in shown["approvers"]
        )
        names = [field.name for field in dataclasses.fields(cls) if field.name != "approvers"]
        return cls(**{name: shown[name] for name in names}, approvers=approvers)
