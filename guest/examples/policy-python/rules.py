"""The rules, in plain Python without WebAssembly.

A rule that does not apply returns None. The strictest verdict wins: deny, then require_approval, then
allow. A value that cannot be read never leads to `allow`: a risk score that is not a number raises an
exception, the policy traps, and the host refuses.
"""

from dataclasses import dataclass

STRICTEST_FIRST = ("deny", "require_approval", "allow")
# More changes of production than this require two approvers.
CHANGES_MAX = 1000
# From this risk on, a quarantine requires approval.
RISK_MIN = 70


@dataclass(frozen=True)
class Verdict:
    decision: str
    rule: str | None = None
    reason: str | None = None
    requirement: dict | None = None


DEFAULT = Verdict("require_approval", reason="no rule says otherwise")


def decide(action, context):
    """Returns the verdict on an action; `context` is the decoded JSON object."""
    verdicts = [rule(action, context) for rule in RULES]
    matched = [verdict for verdict in verdicts if verdict is not None]
    return min(matched, key=lambda verdict: STRICTEST_FIRST.index(verdict.decision), default=DEFAULT)


def no_deletes_of_production(action, context):
    if action == "delete" and in_production(context):
        return Verdict("deny", "no-deletes-of-production", "nothing of production is deleted by an agent")


def large_changes_of_production(action, context):
    if action != "apply" or not in_production(context):
        return None
    changes = number(context, "changes_count")
    if changes > CHANGES_MAX:
        reason = f"{changes} changes of production are more than {CHANGES_MAX}"
        requirement = {"threshold": 2, "ttl_seconds": 3600}
        return Verdict("require_approval", "large-changes-of-production", reason, requirement)


def quarantine(action, context):
    if action != "quarantine":
        return None
    risk = number(context, "risk_score")
    if risk < RISK_MIN:
        return Verdict("allow", "harmless-quarantine")
    reason = f"risk score {risk} is {RISK_MIN} or more"
    return Verdict("require_approval", "risky-quarantine", reason, {"ttl_seconds": 1800})


RULES = (no_deletes_of_production, large_changes_of_production, quarantine)


def in_production(context):
    return text(context, "environment") == "production" or "production" in text(context, "file")


def text(context, name):
    """Returns the text under `name`, empty if it is missing."""
    value = context.get(name, "")
    if not isinstance(value, str):
        raise TypeError(f"`{name}` is not a text")
    return value


def number(context, name):
    """Returns the number under `name`, which is required."""
    value = context[name]
    # In Python, True is a number.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{name}` is not a number")
    return value
