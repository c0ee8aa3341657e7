"""A verdict on an action, and the strict validation of what a policy returns."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from typing import Any, Dict, Mapping, Optional, Tuple

from .approval import Evaluation
from .encode import strict_loads
from .errors import Invalid, Unavailable

DECISIONS = ("allow", "deny", "require_approval")
REASON_BYTES_MAX = 4 << 10
REQUIREMENT_BYTES_MAX = 16 << 10
FAILED_MAX = 16
GROUPS_MAX = 16
COUNT_MAX = 16
TTL_SECONDS_MAX = 604_800

_IDENTIFIER = re.compile(r"[!-~]{1,128}\Z")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A policy's verdict on an action. Nothing but `allow` permits it."""

    decision: str
    """`allow`, `deny` or `require_approval`."""
    rule: Optional[str]
    """The rule that decided; None if no rule did."""
    reason: Optional[str]
    """The reason, for people: an untrusted text."""
    requirement: Optional[Mapping[str, Any]]
    """`{ttl_seconds?, threshold?, groups?}` of an approval; the server may require more."""
    failed: Tuple[str, ...]
    """Rules that concern the action and whose condition could not be evaluated."""
    policy: Optional[str]
    """The digest of the policy; None if the server has none."""
    local: bool
    """Whether it was made in this process, and not by the server."""
    recorded: str
    """Where it was recorded before it was returned: `disk`, `memory` or `server`."""


def is_identifier(text: str) -> bool:
    """Returns whether a text has the form of an agent, an action or a rule: `[!-~]{1,128}`."""
    return isinstance(text, str) and _IDENTIFIER.match(text) is not None


class MalformedVerdict(Exception):
    """What a policy returned is not a verdict: there is none."""


def read_verdict(raw: Any, policy: str) -> Verdict:
    """Returns the verdict that a policy returned, `recorded` nowhere yet.

    Raises `MalformedVerdict` for the first malformed member, in the order of `policy.wit`.
    """
    decision, rule, reason = raw.decision, raw.rule, raw.reason
    if decision not in DECISIONS:
        raise MalformedVerdict("unknown decision")
    if rule is not None and not _IDENTIFIER.match(rule):
        raise MalformedVerdict("malformed rule")
    if reason is not None:
        _check_reason(reason)
    requirement = None if raw.requirement is None else _requirement(raw.requirement)
    if requirement is not None and decision != "require_approval":
        raise MalformedVerdict(f"a requirement with the decision {decision}")
    failed = tuple(raw.failed)
    if len(failed) > FAILED_MAX:
        raise MalformedVerdict(f"{len(failed)} failed rules, the limit is {FAILED_MAX}")
    if not all(_IDENTIFIER.match(id) for id in failed):
        raise MalformedVerdict("malformed id of a failed rule")
    if len(set(failed)) != len(failed):
        raise MalformedVerdict("a failed rule is named twice")
    return Verdict(decision, rule, reason, requirement, failed, policy, True, "")


def verdict_of_server(evaluation: Evaluation) -> Verdict:
    """Returns the verdict of an evaluation by the server.

    Raises `Unavailable` for an answer that is not one.
    """
    failed, policy = evaluation.members.get("failed"), evaluation.members.get("policy")
    if not isinstance(failed, list) or not all(isinstance(id, str) for id in failed):
        raise Unavailable("unreachable", "evaluation: expected `failed` to be a list of texts")
    if policy is not None and not isinstance(policy, str):
        raise Unavailable("unreachable", "evaluation: expected `policy` to be a text")
    return Verdict(
        decision=evaluation.decision,
        rule=evaluation.rule,
        reason=evaluation.reason,
        requirement=evaluation.requirement,
        failed=tuple(failed),
        policy=policy,
        local=False,
        recorded="server",
    )


def _check_reason(reason: str) -> None:
    if len(reason.encode()) > REASON_BYTES_MAX:
        raise MalformedVerdict(f"a reason of more than {REASON_BYTES_MAX} bytes")
    if any(unicodedata.category(one) == "Cc" and one not in "\n\t" for one in reason):
        raise MalformedVerdict("a control character in the reason")


def _requirement(text: str) -> Dict[str, Any]:
    if len(text.encode()) > REQUIREMENT_BYTES_MAX:
        raise MalformedVerdict(f"a requirement of more than {REQUIREMENT_BYTES_MAX} bytes")
    try:
        found = strict_loads(text, "requirement")
    except Invalid:
        raise MalformedVerdict("the requirement is not JSON") from None
    if not isinstance(found, dict):
        raise MalformedVerdict("the requirement is not an object")
    if not found.keys() <= {"ttl_seconds", "threshold", "groups"}:
        raise MalformedVerdict("unknown member of the requirement")
    found = {name: value for name, value in found.items() if value is not None}
    groups = found.get("groups", {})
    if not isinstance(groups, dict) or len(groups) > GROUPS_MAX:
        raise MalformedVerdict("malformed groups of the requirement")
    if not all(_IDENTIFIER.match(name) for name in groups):
        raise MalformedVerdict("malformed group of the requirement")
    _check_number(found.get("threshold", 1), COUNT_MAX)
    _check_number(found.get("ttl_seconds", 1), TTL_SECONDS_MAX)
    for count in groups.values():
        _check_number(count, COUNT_MAX)
    return found


def _check_number(number: object, most: int) -> None:
    if type(number) is not int or not 1 <= number <= most:
        raise MalformedVerdict(f"a number of the requirement that is not 1 to {most}")
