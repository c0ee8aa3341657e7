"""What a model is told of a call that was not approved: fixed short texts."""

from __future__ import annotations

import dataclasses

from ._printable import printable
from .errors import Invalid, SignoffError

# What a person, the policy or the call itself is the reason for. Everything else is a fault of the
# deployment, which ends the run: a model can do nothing about it.
TOLD = frozenset(
    "rejected expired withdrawn policy-denied timed-out already-executed context-invalid"
    " limit-exceeded context-mismatch plan-mismatch action-mismatch".split()
)


class Unrequestable(Invalid):
    """The tool that a model named has no action: nothing can be requested."""


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A call that did not run, and why. `text` is for the model: one printable line."""

    text: str
    error: SignoffError


def refusal_of(error: SignoffError) -> Refusal:
    """Returns the refusal that an error means; raises the error if it is not for a model."""
    if error.code not in TOLD and not isinstance(error, Unrequestable):
        raise error
    return Refusal(text_of(error), error)


def text_of(error: SignoffError) -> str:
    """Returns the text for the model. What an approver or policy wrote comes last, as data."""
    id = f"approval {printable(error.approval_id)}" if error.approval_id else "the approval"
    comment = printable(error.comment) if error.comment else ""
    if error.code == "rejected":
        name = printable(error.approver) if error.approver else "an approver"
        why = comment or "no comment; do not repeat this call"
        return f"Not run: {id} was rejected by {name}: {why}"
    if error.code == "expired":
        return f"Not run: {id} expired."
    if error.code == "withdrawn":
        return f"Not run: {id} was withdrawn."
    if error.code == "timed-out":
        return f"Not run: {id} was not decided in time, and was withdrawn."
    if error.code == "policy-denied":
        return f"Not run: denied by the policy: {comment or printable(error.detail)}"
    if error.code == "already-executed":
        return f"Not run: {id} was used before; it is for one run of this call."
    if error.code.endswith("-mismatch"):
        return f"Not run: the call is not the one of {id}."
    return f"Not run: no approval can be requested for this call: {printable(error.detail)}"
