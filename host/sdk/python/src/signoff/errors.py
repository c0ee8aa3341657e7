"""Errors by what the caller can do about them; `code` is one that signoff publishes."""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple, Type

from ._printable import printable
from ._titles import TITLES


class SignoffError(Exception):
    """The base of all errors, and the error of every code without a class of its own.

    `status` is the HTTP status, 0 if no server answered. `title`, `detail` and `members` may come
    from a server: `str(error)` escapes control characters, the attributes do not.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        title: Optional[str] = None,
        status: int = 0,
        request_id: Optional[str] = None,
        approval_id: Optional[str] = None,
        comment: Optional[str] = None,
        approver: Optional[str] = None,
        members: Sequence[str] = (),
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.title = title if title is not None else TITLES.get(code, code)
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.approval_id = approval_id
        self.comment = comment
        self.approver = approver
        self.members: Tuple[str, ...] = tuple(members)

    def __str__(self) -> str:
        """Returns `code: detail` in one line, with the members that differ and the request id."""
        parts = [f"{printable(self.code)}: {printable(self.detail)}"]
        if self.comment and self.comment != self.detail:
            parts.append(f"comment: {printable(self.comment)}")
        if self.members and not all(member in self.detail for member in self.members):
            parts.append("differs: " + ", ".join(printable(member) for member in self.members))
        if self.request_id:
            parts.append(f"request {self.request_id}")
        return "; ".join(parts)


class NotApproved(SignoffError):
    """The approval ended without permission: `approval_id` and `comment` say which and why."""


class Rejected(NotApproved):
    """An approver rejected the request; `comment` is the approver's, `approver` is who."""


class Expired(NotApproved):
    """The approval expired."""


class Withdrawn(NotApproved):
    """The request was withdrawn."""


class Denied(NotApproved):
    """The policy denies the action; `comment` is the policy's reason."""


class Mismatch(SignoffError):
    """What is executed is not what was approved; `members` lists JSON pointers, if known."""


class Unverified(SignoffError):
    """The approval or receipt does not prove what it claims."""


class Invalid(SignoffError):
    """The call is malformed: another call with the same arguments fails again."""


class Forbidden(SignoffError):
    """The token is missing or unknown, or its roles do not allow the call."""


class NotFound(SignoffError):
    """The approval does not exist, or the caller may not read it."""


class Conflict(SignoffError):
    """The state of the approval does not allow the call."""


class Unavailable(SignoffError):
    """The server gave no usable answer; nothing is known about the approval."""


class TimedOut(SignoffError):
    """The caller's own time limit passed."""


class VerifierTrapped(Unavailable):
    """The verifier in this process failed: it decided nothing."""


class VerifierMissing(SignoffError, ImportError):
    """The call needs the verifier: install `signoff[verifier]`."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "verifier-missing",
            f"{what} needs the verifier: install it with `pip install 'signoff[verifier]'`",
        )


class Rejection(SignoffError):
    """A refusal by the verifier of this process, and also the error of its code.

    A rejection with the code `context-mismatch` is both a `Rejection` and a `Mismatch`.
    """

    @property
    def message(self) -> str:
        """The verifier's reason: one sentence, in lower case, without secrets."""
        return self.detail


_CODES: Dict[Type[SignoffError], str] = {
    Rejected: "rejected",
    Expired: "expired",
    Withdrawn: "withdrawn",
    Denied: "policy-denied",
    Mismatch: "audience-mismatch policy-mismatch agent-mismatch action-mismatch context-mismatch"
    " plan-mismatch execution-mismatch",
    Unverified: "signature-invalid signature-malformed statement-ambiguous key-unknown key-revoked"
    " key-not-yours approver-not-allowed self-approval requirement-too-weak request-too-old"
    " receipt-invalid receipt-untrusted untrusted-answer",
    Invalid: "request-invalid context-invalid limit-exceeded unsupported-media-type"
    " idempotency-key-reused module-invalid manifest-invalid",
    Forbidden: "unauthenticated forbidden",
    NotFound: "not-found",
    Conflict: "already-decided already-voted not-approved already-executed already-settled"
    " already-erased not-final requirement-unmeetable version-not-newer",
    Unavailable: "rate-limited store-unavailable keyring-unavailable verifier-trapped"
    " policy-trapped clock-behind clock-ahead settings-weaker internal-error store-tampered"
    " record-unreadable unreachable",
    TimedOut: "timed-out",
}
_CLASSES = {code: error for error, codes in _CODES.items() for code in codes.split()}


def class_of(code: str) -> Type[SignoffError]:
    """Returns the error class of a code; `SignoffError` for a code of a newer server."""
    return _CLASSES.get(code, SignoffError)


_REJECTIONS: Dict[Type[SignoffError], Type[Rejection]] = {
    error: type(
        error.__name__, (Rejection, error), {"__module__": __name__, "__doc__": error.__doc__}
    )
    for error in _CODES
}


def rejection(code: str, message: str) -> Rejection:
    """Returns the error of a refusal by the verifier of this process."""
    return _REJECTIONS.get(class_of(code), Rejection)(code, message)


def table_name(error: SignoffError) -> str:
    """Returns the name of an error's class that all SDKs share."""
    if isinstance(error, VerifierTrapped):
        return VerifierTrapped.__name__
    return class_of(error.code).__name__
