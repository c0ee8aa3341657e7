"""What the server shows. Nothing here is verified: that is what `Verifier` is for."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple, TypeVar

from .encode import strict_loads
from .errors import Invalid, Unavailable

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|\+00:00)\Z")

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")

T = TypeVar("T")


class Approval:
    """An approval as a server showed it.

    `text` is the answer as it came, for `Verifier.verify_approval`; it is empty for an approval of
    a list. `members` has every member, also those that this version does not know.
    """

    __slots__ = ("members", "text")

    def __init__(self, members: Mapping[str, Any], text: str = "") -> None:
        shown = Shown(members, "approval")
        for name in ("id", "status", "agent", "action", "requested_by", "audience"):
            shown.text(name)
        for name in ("requested_at", "expires_at"):
            shown.time(name)
        if members.get("execution") is not None:
            Shown(shown.member("execution", dict), "execution").text("id")
        self.members = dict(members)
        self.text = text

    @property
    def id(self) -> str:
        """The id, such as `appr_01k7s2e3m8q4w6x9y0z1a2b3c4`."""
        return str(self.members["id"])

    @property
    def status(self) -> str:
        """`pending`, `approved`, `rejected`, `executed`, `expired` or `withdrawn`."""
        return str(self.members["status"])

    @property
    def agent(self) -> str:
        """The agent that the request is for."""
        return str(self.members["agent"])

    @property
    def action(self) -> str:
        """The requested action."""
        return str(self.members["action"])

    @property
    def requested_by(self) -> str:
        """The subject that requested the approval."""
        return str(self.members["requested_by"])

    @property
    def requested_at(self) -> datetime.datetime:
        """The time of the request, in UTC."""
        return parse_time(self.members["requested_at"])

    @property
    def expires_at(self) -> datetime.datetime:
        """The expiry, in UTC."""
        return parse_time(self.members["expires_at"])

    @property
    def context(self) -> Optional[Dict[str, Any]]:
        """The requested context; None if the server does not show it."""
        shown = self.members.get("context")
        return shown if isinstance(shown, dict) else None

    @property
    def plan(self) -> Optional[Dict[str, Any]]:
        """The requested plan, if there is one."""
        shown = self.members.get("plan")
        return shown if isinstance(shown, dict) else None

    @property
    def comment(self) -> Optional[str]:
        """The comment of the deciding ballot: an untrusted text."""
        shown = self.members.get("comment")
        return shown if isinstance(shown, str) else None

    @property
    def execution_id(self) -> Optional[str]:
        """The id of its only execution, once it is claimed."""
        execution = self.members.get("execution")
        return str(execution["id"]) if isinstance(execution, dict) else None

    @property
    def outcome(self) -> Optional[str]:
        """The execution's outcome: `claimed`, `succeeded`, `failed` or `unknown`."""
        execution = self.members.get("execution")
        shown = execution.get("outcome") if isinstance(execution, dict) else None
        return shown if isinstance(shown, str) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Approval) and other.members == self.members

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Approval(id={self.id!r}, status={self.status!r})"


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of a list, newest first. `next_cursor` is None on the last page."""

    items: Tuple[Approval, ...]
    next_cursor: Optional[str]


@dataclasses.dataclass(frozen=True)
class Verification:
    """The server's word whether an executor may proceed now."""

    valid: bool
    signature_valid: bool
    approval: Optional[Approval]
    members: Mapping[str, Any]
    """The whole answer: if not valid also `error`, `code` and `detail`."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The policy's verdict on an action."""

    decision: str
    """`allow`, `deny` or `require_approval`."""
    requires_approval: bool
    reason: str
    rule: Optional[str]
    requirement: Optional[Mapping[str, Any]]
    members: Mapping[str, Any]
    """The whole answer."""


@dataclasses.dataclass(frozen=True)
class PolicyCopy:
    """The active policy as the server shows it, for an executor that evaluates it itself."""

    digest: Optional[str]
    """None if no policy is active."""
    manifest: Optional[str]
    """The signed manifest, as JSON."""
    facts: Optional[Mapping[str, Any]]
    """The facts of the caller's attempts; None if they are those of the agent."""
    audience: str


@dataclasses.dataclass(frozen=True)
class Event:
    """An entry of the audit log, as it is streamed."""

    number: int
    kind: str
    """Such as `approval_requested`; `reset` if the log is shorter than `after` says."""
    entry: Mapping[str, Any]
    text: str
    """The entry as it came."""


class Shown:
    """Reads members of an answer; one that is missing or of another type is `Unavailable`."""

    def __init__(self, members: object, what: str) -> None:
        if not isinstance(members, dict):
            raise unusable(f"{what}: expected an object")
        self._members: Dict[str, Any] = members
        self._what = what

    def member(self, name: str, kind: type) -> Any:
        value = self._members.get(name)
        if not isinstance(value, kind):
            raise unusable(f"{self._what}: expected `{name}` to be {kind.__name__}")
        return value

    def text(self, name: str) -> str:
        value: str = self.member(name, str)
        return value

    def optional(self, name: str, kind: type) -> Any:
        return None if self._members.get(name) is None else self.member(name, kind)

    def time(self, name: str) -> datetime.datetime:
        return parse_time(self.text(name))


def parse_time(text: str) -> datetime.datetime:
    """Parses a time of the API, such as `2025-10-17T11:30:00Z`.

    Raises `Unavailable` with `unreachable`.
    """
    try:
        if not _TIME.match(text):
            raise ValueError(text)
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise unusable("a time that is not RFC 3339 in UTC") from None


def read_object(body: bytes, what: str) -> Tuple[Dict[str, Any], str]:
    """Returns the JSON object of an answer, and its text as it came."""
    try:
        text = body.decode()
        members = strict_loads(text, what)
    except (UnicodeDecodeError, Invalid):
        raise unusable(f"{what}: expected JSON") from None
    if not isinstance(members, dict):
        raise unusable(f"{what}: expected an object")
    return members, text


def read_approval(body: bytes, id: Optional[str] = None) -> Approval:
    """Returns the approval of an answer, which must be the one that the call names."""
    members, text = read_object(body, "approval")
    approval = Approval(members, text)
    if id is not None and approval.id != id:
        raise unusable("the server showed another approval than the one that was named")
    return approval


def read_page(body: bytes) -> Page:
    """Returns the page of an answer."""
    shown = Shown(read_object(body, "list")[0], "list")
    items: List[Any] = shown.member("items", list)
    approvals = tuple(Approval(Shown(item, "approval")._members) for item in items)
    return Page(approvals, shown.optional("next_cursor", str))


def read_verification(body: bytes, id: str) -> Verification:
    """Returns the verification of an answer."""
    members, _ = read_object(body, "verification")
    shown = Shown(members, "verification")
    found = shown.optional("approval", dict)
    approval = None if found is None else Approval(found)
    valid = shown.member("valid", bool)
    if valid and (approval is None or approval.id != id):
        raise unusable("verification: expected the approval that was named")
    return Verification(valid, shown.member("signature_valid", bool), approval, members)


def read_evaluation(body: bytes) -> Evaluation:
    """Returns the evaluation of an answer; one that contradicts itself is refused."""
    members, _ = read_object(body, "evaluation")
    shown = Shown(members, "evaluation")
    decision, requires = shown.text("decision"), shown.member("requires_approval", bool)
    if decision not in ("allow", "deny", "require_approval"):
        raise unusable("evaluation: unknown decision")
    if requires != (decision == "require_approval"):
        raise unusable("evaluation: `requires_approval` contradicts `decision`")
    return Evaluation(
        decision,
        requires,
        shown.text("reason"),
        shown.optional("rule", str),
        shown.optional("requirement", dict),
        members,
    )


def read_policy(body: bytes) -> PolicyCopy:
    """Returns the policy of an answer."""
    shown = Shown(read_object(body, "policy")[0], "policy")
    audience, facts = shown.text("audience"), shown.optional("facts", dict)
    found = shown.optional("policy", dict)
    if found is None:
        return PolicyCopy(None, None, facts, audience)
    active = Shown(found, "policy")
    digest, manifest = active.text("digest"), active.member("manifest", dict)
    if not _DIGEST.match(digest):
        raise unusable("policy: malformed digest")
    return PolicyCopy(digest, json.dumps(manifest), facts, audience)


def unusable(why: str) -> Unavailable:
    """Returns the error of an answer that is not what its route returns."""
    return Unavailable("unreachable", f"the server's answer is not usable: {why}")
