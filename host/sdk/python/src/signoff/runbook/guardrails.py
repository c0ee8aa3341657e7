"""The runbook's guardrails: the server's policy decides before an action runs."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Dict, Mapping, Optional

from .._printable import printable
from ..approval import Evaluation
from ..async_client import AsyncClient
from ..client import Client
from ..encode import Json
from ..errors import SignoffError
from .session import Session


class GuardrailViolation(SignoffError):
    """An action that must not run.

    `violation_type` is `approval_required` or one of the codes, such as `context-mismatch`.
    `details` names agent, action and, where known, the `members` that differ.
    """

    def __init__(
        self, message: str, violation_type: str, details: Optional[Mapping[str, Any]] = None
    ) -> None:
        self.message = message
        self.violation_type = violation_type
        self.details: Dict[str, Any] = dict(details or {})
        members = self.details.get("members") or ()
        super().__init__(violation_type, message, members=members)

    def __str__(self) -> str:
        return printable(self.message)


@dataclasses.dataclass(frozen=True)
class GuardrailDecision:
    """The policy's verdict: the action is allowed, or requires an approval."""

    requires_approval: bool
    reason: str
    rule: Optional[str] = None
    local: bool = False
    """Whether it was made in this process: by a local policy or an engine of the caller's own."""


class ExecutionGuardrails:
    """Asks the policy before an execution.

    `policy_engine` is a `Client`, a `Session`, or an object with
    `evaluate(agent=, action=, context=, plan=)` that returns an `Evaluation`. Without an active
    policy, a server requires approval for every action.

    Raises `TypeError` for an `AsyncClient`: the listings do not await it.
    """

    def __init__(self, policy_engine: Any) -> None:
        engine = policy_engine.client if isinstance(policy_engine, Session) else policy_engine
        if isinstance(engine, AsyncClient) or not hasattr(engine, "evaluate"):
            raise TypeError("expected a Client, a Session or an object with `evaluate`")
        self._engine = engine

    def validate_pre_execution(
        self, *, agent: str, action: str, context: Json, plan: Any = None
    ) -> GuardrailDecision:
        """Returns the verdict on an action. A plan `{...}`, as the listing has it, is none.

        Raises `GuardrailViolation` with `policy-denied` if the policy denies the action, so that
        code that only reads `requires_approval` does not run it; else as `Client.evaluate`.
        """
        if plan == {...}:
            plan = None
        verdict = self._engine.evaluate(agent=agent, action=action, context=context, plan=plan)
        if inspect.isawaitable(verdict):
            raise TypeError("`evaluate` of the policy engine must not be a coroutine function")
        local = getattr(verdict, "local", not isinstance(self._engine, Client))
        return decide(verdict, agent, action, local)


def decide(verdict: Evaluation, agent: str, action: str, local: bool) -> GuardrailDecision:
    """Returns the decision of a verdict; a verdict of an unknown kind denies."""
    if verdict.decision not in ("allow", "require_approval"):
        details = {"agent": agent, "action": action, "reason": verdict.reason}
        raise GuardrailViolation(f"Denied by policy: {verdict.reason}", "policy-denied", details)
    return GuardrailDecision(verdict.decision != "allow", verdict.reason, verdict.rule, local)
