"""The runbook's executor: verifies and claims an approval, runs the plan, reports the outcome."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence

from .._flow import run_async
from .._functions import check_no_generator, has_run
from ..attempt import Attempt
from ..encode import canonical, json_text, strict_loads
from ..errors import (
    Conflict,
    Invalid,
    Mismatch,
    NotApproved,
    NotFound,
    SignoffError,
    Unverified,
)
from ..execution import Execution
from ..guard import Guard
from ..keys import Keys
from .guardrails import ExecutionGuardrails, GuardrailViolation
from .session import Calls, Db

PLAN_MEMBERS = ("agent", "action", "context", "plan")
VIOLATIONS = (NotApproved, Mismatch, Unverified, NotFound, Conflict)


class Executor:
    """Executes plans with an approval.

    `run` takes the `Execution` and performs the action; it may be a coroutine function, but no
    generator function, which is a `TypeError`. Without it, `execute` claims the approval and
    returns the `Execution`: perform the action then, and call `report`.

    The other options are those of `Attempt`; unset keys and audience are the client's settings.
    Without keys the server is trusted to have verified the signatures.
    """

    def __init__(
        self,
        db: Db,
        policy_engine: Any = None,
        *,
        run: Optional[Callable[[Execution], Any]] = None,
        keys: Optional[Keys] = None,
        audience: Optional[str] = None,
        floor: Optional[Mapping[str, Any]] = None,
        accept: Optional[Sequence[str]] = None,
        policies: Optional[Sequence[str]] = None,
        allow_hmac: bool = False,
        lease_seconds: Optional[int] = None,
    ) -> None:
        if run is not None:
            check_no_generator(run)
        settings = Calls(db).client._settings
        self._db = db
        self._policy_engine = policy_engine
        self._run = run
        self._options: Dict[str, Any] = {
            "keys": settings.keys if keys is None else keys,
            "audience": audience or settings.audience,
            "floor": floor,
            "accept": accept,
            "policies": policies,
            "allow_hmac": allow_hmac,
            "lease_seconds": lease_seconds,
        }

    async def execute(self, *, plan: Mapping[str, Any], approval_id: Optional[str] = None) -> Any:
        """Runs a plan `{agent, action, context, plan?}` once, and returns what `run` returns.

        The approval must exist, be approved, signed, unexpired and unused, and of exactly this
        agent, action, context and plan. Without `approval_id`, the policy must allow the action;
        with pinned keys, a policy in this process: an `allow` of the server is not enough.

        Raises `GuardrailViolation`, whose `violation_type` is the code and whose message and
        `details` name the members of a context that differ; `Unavailable`, `Forbidden` and others
        if nothing could be decided. What `run` raises is reported as `failed` and passes.
        """
        attempt = self._attempt(plan)
        if approval_id is None:
            return await self._run_allowed(attempt)
        async with Calls(self._db) as calls:
            guard = await asyncio.to_thread(Guard, calls.api, attempt)
            try:
                execution = await run_async(guard.claim_existing(approval_id), calls.io)
            except VIOLATIONS as error:
                await self._refuse(error, attempt, approval_id, calls)
            if self._run is None:
                return execution
            try:
                result = await _call(self._run, execution)
            except BaseException as error:
                await run_async(guard.settle(execution, error), calls.io)
                raise
            await run_async(guard.settle(execution, None), calls.io)
            return result

    async def report(
        self, execution: Execution, outcome: str, detail: Optional[str] = None
    ) -> None:
        """Reports how an execution without `run` ended: `succeeded` or `failed`."""
        async with Calls(self._db) as calls:
            flow = calls.api.report(execution.approval_id, execution.id, outcome, detail)
            await run_async(flow, calls.io)
        execution.reported = True

    def _attempt(self, plan: Mapping[str, Any]) -> Attempt:
        unknown = [name for name in plan if name not in PLAN_MEMBERS]
        missing = [name for name in PLAN_MEMBERS[:3] if name not in plan]
        if unknown or missing:
            raise Invalid("request-invalid", "a plan has `agent`, `action`, `context` and `plan`")
        attempt = Attempt(**plan, **self._options)
        attempt.check()
        return attempt

    async def _run_allowed(self, attempt: Attempt) -> Any:
        guardrails = ExecutionGuardrails(self._policy_engine)
        decision = await asyncio.to_thread(
            guardrails.validate_pre_execution,
            agent=attempt.agent,
            action=attempt.action,
            context=attempt.context,
            plan=attempt.plan,
        )
        details = {"agent": attempt.agent, "action": attempt.action, "reason": decision.reason}
        # With pinned keys no word of the server makes an action run.
        if decision.requires_approval or (attempt.keys is not None and not decision.local):
            message = "Action requires human approval"
            raise GuardrailViolation(message, "approval_required", details)
        text, _ = canonical(json_text(attempt.context))
        plan = None if attempt.plan is None else canonical(json_text(attempt.plan, "plan"))[0]
        parsed = None if plan is None else json.loads(plan)
        execution = Execution("", "", json.loads(text), text, parsed, plan, ())
        return execution if self._run is None else await _call(self._run, execution)

    async def _refuse(
        self, error: SignoffError, attempt: Attempt, id: str, calls: Calls
    ) -> NoReturn:
        """Raises the violation of an error, with the members that differ."""
        members = list(error.members)
        if isinstance(error, Mismatch) and not members:
            members = await self._differing(error, attempt, id, calls)
        details: Dict[str, Any] = {
            "agent": attempt.agent,
            "action": attempt.action,
            "approval_id": id,
            "reason": error.detail,
        }
        message = f"{error.title}: {error.detail}"
        if members:
            details["members"] = members
            if not all(member in message for member in members):
                message += f"; these members differ: {', '.join(members)}"
        raise GuardrailViolation(message, error.code, details) from error

    async def _differing(
        self, error: SignoffError, attempt: Attempt, id: str, calls: Calls
    ) -> List[str]:
        """Compares with the approval as the server shows it: for the message, not for trust."""
        name = {"context-mismatch": "context", "plan-mismatch": "plan"}.get(error.code)
        if name is None:
            return []
        try:
            found = await run_async(calls.api.get(id), calls.io)
        except SignoffError:
            return []
        given = getattr(attempt, name)
        attempted = None if given is None else strict_loads(json_text(given, name), name)
        return differing(found.members.get(name), attempted)


async def _call(run: Callable[[Execution], Any], execution: Execution) -> Any:
    result = run(execution)
    return has_run(await result if inspect.isawaitable(result) else result)


def differing(approved: Any, attempted: Any, path: str = "") -> List[str]:
    """Returns the JSON pointers of the members in which two values differ, at most 16."""
    if not (isinstance(approved, dict) and isinstance(attempted, dict)):
        same = json.dumps(approved, sort_keys=True) == json.dumps(attempted, sort_keys=True)
        return [] if same else [path]
    found: List[str] = []
    absent = object()
    for name in sorted({**approved, **attempted}):
        before, after = approved.get(name, absent), attempted.get(name, absent)
        pointer = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if before is absent or after is absent:
            found.append(pointer)
        else:
            found += differing(before, after, pointer)
    return found[:16]
