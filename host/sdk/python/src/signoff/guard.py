"""Guard: request, wait, verify, claim, run, report. The function runs at most once.

With a local policy, an action that it allows needs no approval, and one that it denies gets none.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from typing import Any, Dict, List, Optional, Tuple

from ._api import Api
from ._claimed import CLAIMED
from ._decided import Decided, check_decided, execution_of
from ._flow import Flow
from .approval import Approval, parse_time
from .attempt import Attempt
from .encode import RawJson, canonical, json_text
from .errors import (
    Conflict,
    Denied,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Rejected,
    SignoffError,
    Unverified,
    VerifierMissing,
    Withdrawn,
)
from .execution import Execution
from .keys import approving, read_keys, stricter
from .proof import Proof
from .verdict import Verdict, verdict_of_server
from .verifier import Verifier, sane_now

# Requests before this count as old: the server's clock may be behind.
REQUEST_SLACK_SECONDS = 60
# Limit of a report, and of what is cleaned up after a failure, retries included.
REPORT_SECONDS = 10.0
CLEANUP_SECONDS = 5.0


class Guard:
    """The steps of one guarded execution. The texts are serialized once, here.

    Raises, in this order: `Invalid` for options that need keys without keys, a malformed floor, a
    policy of another client, and a context or plan without a JSON text; with keys
    `VerifierMissing`, then `Invalid` for malformed keys, none that count, or no audience.

    With `key`, the idempotency key of the request, the approval may have been requested before, by
    another process too: its age does not count then, so the plan must name what it is for. `known`
    is the id of that approval, where it was found in another way. With
    `evaluates`, the server's policy is asked first where there is no local one.
    """

    def __init__(
        self,
        api: Api,
        attempt: Attempt,
        key: Optional[str] = None,
        evaluates: bool = False,
        known: Optional[str] = None,
    ) -> None:
        self._api = api
        self._attempt = attempt
        self._key = key
        self._known = known
        self._evaluates = evaluates
        self._end: Optional[float] = None
        attempt.check()
        self._requested = attempt.requested()
        if attempt.policy is not None and attempt.policy.local.api is not api:
            raise Invalid("request-invalid", "`policy` is a local policy of another client")
        self._context = RawJson(json_text(attempt.context))
        self._plan = None if attempt.plan is None else RawJson(json_text(attempt.plan, "plan"))
        self._verifier: Optional[Verifier] = None
        self._keys: Optional[List[Dict[str, Any]]] = None
        self._audience = attempt.audience or ""
        try:
            self._verifier = Verifier()
        except VerifierMissing as missing:
            if attempt.keys is not None:
                raise VerifierMissing("a guard with keys") from missing.__cause__
        self._canonical_context = self._canonical(self._context.text)
        self._canonical_plan = None if self._plan is None else self._canonical(self._plan.text)
        if attempt.keys is not None:
            self._keys = approving(read_keys(attempt.keys), attempt.allow_hmac)
            if not self._keys:
                raise Invalid("request-invalid", "none of the pinned keys is one that counts")
            if not attempt.audience:
                raise Invalid("request-invalid", "pinned keys need `audience`, the own deployment")

    def acquire(self) -> Flow[Execution]:
        """Returns what may run: allowed by the policy, or approved. Nothing has run then.

        Raises the errors of `evaluate` and of `_acquire_approval`.
        """
        self.begin()
        verdict = yield from self.evaluate()
        if verdict is None:
            return (yield from self._acquire_approval())
        if self.permits(verdict):
            return self._allowed(verdict)
        approved = yield from self._acquire_approval()
        return dataclasses.replace(approved, verdict=verdict)

    def begin(self) -> None:
        """Starts the time of the guard's `timeout`."""
        if self._attempt.timeout is not None:
            self._end = time.monotonic() + self._attempt.timeout

    def evaluate(self) -> Flow[Optional[Verdict]]:
        """Returns the policy's verdict; None if the guard asks no policy.

        Raises `Denied` if the policy denies the action, and the errors of `Policy.evaluate`.
        """
        attempt, plan, policy = self._attempt, self._plan, self._attempt.policy
        asked = (attempt.agent, attempt.action, self._context, plan)
        if policy is not None:
            verdict = yield from policy.local.decide(*asked, self._call_seconds())
        elif self._evaluates:
            evaluation = yield from self._api.evaluate(*asked, None, self._call_seconds())
            verdict = verdict_of_server(evaluation)
        else:
            return None
        if verdict.decision == "deny":
            by = f"rule `{verdict.rule}`" if verdict.rule else "the default"
            detail = f"{by} of the policy denies it"
            raise Denied("policy-denied", detail, comment=verdict.reason)
        return verdict

    def permits(self, verdict: Verdict) -> bool:
        """Returns whether the action needs no approval.

        With pinned keys no word of the server makes an action run.
        """
        return verdict.decision == "allow" and (verdict.local or self._keys is None)

    def _left(self) -> Optional[float]:
        """Returns the seconds until the guard's `timeout`, None if it has none."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)

    def _call_seconds(self) -> float:
        """Returns the limit of a call before the decision."""
        left = self._left()
        return self._api.timeout if left is None else min(left, self._api.timeout)

    def _allowed(self, verdict: Verdict) -> Execution:
        context = self._canonical_context[0]
        plan = None if self._canonical_plan is None else self._canonical_plan[0]
        return Execution(
            id="",
            approval_id="",
            context=json.loads(context),
            context_text=context,
            plan=None if plan is None else json.loads(plan),
            plan_text=plan,
            approvers=(),
            verdict=verdict,
        )

    def _acquire_approval(self) -> Flow[Execution]:
        """Requests, waits, verifies, claims, and verifies the claim.

        Raises:
        1. refusals of the request: `Denied`, `Invalid`, `Forbidden`, …
        2. `TimedOut`, `Rejected`, `Expired`, `Withdrawn`
        3. `Unverified`, `Mismatch` and others of `approval.verify`
        4. refusals of the claim: `Mismatch`, `Conflict`, …
        5. as 3, for the claim
        """
        requested_after: Optional[int] = None
        if self._key is None:
            now = sane_now(lambda: int(self._api.now()))
            requested_after = now - REQUEST_SLACK_SECONDS
        request_key = self._key or secrets.token_hex(16)
        made: Optional[Approval] = None
        try:
            if self._known is not None:
                made = yield from self._api.get(self._known, self._call_seconds())
            else:
                made = yield from self._request(request_key, self._call_seconds())
            decided = yield from self.await_decision(made.id, requested_after)
            self._remember(decided)
        except (GeneratorExit, Rejected, Expired, Withdrawn, Conflict):
            raise
        except BaseException as error:
            yield from self._abandon(made, request_key, error)
            raise
        return (yield from self._claim(decided))

    def request(self) -> Flow[Approval]:
        """Requests the approval, or finds that of the same key. Neither waits nor withdraws."""
        key = self._key or secrets.token_hex(16)
        return (yield from self._request(key, self._call_seconds()))

    def is_of(self, shown: Approval) -> bool:
        """Returns whether an approval is for this agent, action, context and plan."""
        try:
            self._compare(shown, shown.id)
        except Unverified:
            return False
        return True

    def await_decision(self, id: str, requested_after: Optional[int] = None) -> Flow[Decided]:
        """Waits for the decision and verifies it. Raises the errors 2 and 3 of a guard."""
        decided = yield from self._api.wait(id, self._left())
        check_decided(decided)
        keys = yield from self._current_keys()
        proved = self._prove(decided, id, requested_after, keys, None)
        return Decided(proved, keys, requested_after)

    def claim(self, decided: Decided) -> Flow[Execution]:
        """Claims a verified approval. Raises `Conflict` if this process claimed it before."""
        self._remember(decided)
        return (yield from self._claim(decided))

    def _remember(self, decided: Decided) -> None:
        """Adds the approval to those that this process claims.

        Raises `Unverified` for one that is there; `Conflict` if that may be the same call again.
        """
        id = decided.proof.approval_id
        expires_at = parse_time(decided.proof.expires_at).timestamp()
        try:
            CLAIMED.add(id, expires_at, self._api.now())
        except Unverified:
            if self._key is None:
                raise
            detail = "this process has claimed the approval before"
            raise Conflict("already-executed", detail, approval_id=id) from None

    def claim_existing(self, id: str) -> Flow[Execution]:
        """Verifies and claims an approval that was requested before. Withdraws nothing.

        Without pinned keys the server compares: its refusal names the members that differ.

        Raises as `acquire` from step 2 on, and `NotFound`.
        """
        found = yield from self._api.get(id)
        check_decided(found)
        keys = yield from self._current_keys()
        requested_after: Optional[int] = None
        proved = self._attempted(found)
        if keys is not None:
            proved = self._prove(found, id, requested_after, keys, None)
        CLAIMED.add(id, parse_time(proved.expires_at).timestamp(), self._api.now())
        claim_key = secrets.token_hex(16)
        try:
            claimed = yield from self._send_claim(id, proved, claim_key, None)
        except SignoffError as refused:
            if refused.status:
                CLAIMED.remove(id)
            raise
        return (yield from self._confirm(claimed, proved, requested_after, keys))

    def settle(self, execution: Execution, error: Optional[BaseException]) -> Flow[None]:
        """Reports the outcome, once the function has ended: never raises a `SignoffError`."""
        if not execution.id:
            return  # The policy allowed it: the server has no execution of it.
        outcome = "succeeded" if error is None else "failed"
        detail = None if error is None else type(error).__name__
        yield from self._report(execution, outcome, detail)

    def forgo(self, execution: Execution, error: BaseException) -> Flow[None]:
        """Reports that a claimed execution never starts: never raises a `SignoffError`."""
        if execution.id:
            yield from self._report(execution, "failed", f"never started: {type(error).__name__}")

    def _request(self, key: str, timeout: float) -> Flow[Approval]:
        attempt, requested = self._attempt, self._requested
        return (
            yield from self._api.request(
                attempt.agent,
                attempt.action,
                self._context,
                self._plan,
                attempt.reason,
                requested.expires_in_seconds,
                requested.threshold,
                requested.groups,
                idempotency_key=key,
                timeout=timeout,
            )
        )

    def _abandon(
        self, made: Optional[Approval], request_key: str, error: BaseException
    ) -> Flow[None]:
        """Withdraws the request, as far as the server answers."""
        try:
            if made is None:
                if isinstance(error, SignoffError):
                    return  # Refused, or never answered: its id is unknown.
                # Interrupted: the server may have the request. The same key returns its id.
                made = yield from self._request(request_key, CLEANUP_SECONDS)
            yield from self._api.withdraw(made.id, timeout=CLEANUP_SECONDS)
        except SignoffError:
            pass

    def _current_keys(self) -> Flow[Optional[List[Dict[str, Any]]]]:
        if self._keys is None:
            return None
        try:
            listed = yield from self._api.keys()
        except (Forbidden, NotFound):
            return self._keys
        return stricter(self._keys, listed)

    def _prove(
        self,
        shown: Approval,
        id: str,
        requested_after: Optional[int],
        keys: Optional[List[Dict[str, Any]]],
        execution_id: Optional[str],
    ) -> Proof:
        attempt = self._attempt
        if keys is None or self._verifier is None:
            return self._compare(shown, id)
        return self._verifier.verify_approval(
            shown.text,
            id=id,
            audience=self._audience,
            agent=attempt.agent,
            action=attempt.action,
            context=self._context,
            plan=self._plan,
            execution_id=execution_id,
            keys=keys,
            accept=list(attempt.accept) if attempt.accept is not None else ["v2"],
            now=sane_now(lambda: int(self._api.now())),
            requested_after=requested_after,
            floor=attempt.floor,
            policies=attempt.policies,
        )

    def _compare(self, shown: Approval, id: str) -> Proof:
        """Compares what a trusted server shows with what was requested. Verifies no signature."""
        _, context_hash = self._canonical_context
        plan_hash = None if self._canonical_plan is None else self._canonical_plan[1]
        expected = {
            "id": id,
            "agent": self._attempt.agent,
            "action": self._attempt.action,
            "context_hash": context_hash,
            "plan_hash": plan_hash,
        }
        for name, value in expected.items():
            if shown.members.get(name) != value:
                detail = f"the server shows another `{name}` than was requested"
                raise Unverified("untrusted-answer", detail, approval_id=id)
        return self._attempted(shown)

    def _attempted(self, shown: Approval) -> Proof:
        """Returns what is to run, with what a trusted server shows about it."""
        members = shown.members
        return Proof(
            approval_id=shown.id,
            request_digest=str(members.get("request_digest", "")),
            requested_by=shown.requested_by,
            requested_at=str(members["requested_at"]),
            expires_at=str(members["expires_at"]),
            requirement=members.get("requirement") or {},
            policy=members.get("policy"),
            rule=members.get("rule"),
            context=self._canonical_context[0],
            plan=None if self._canonical_plan is None else self._canonical_plan[0],
            approvers=(),
        )

    def _canonical(self, text: str) -> Tuple[str, str]:
        if self._verifier is None:
            return canonical(text)
        read = self._verifier.call("context.read", {"context": text})
        return read["canonical"], read["digest"]

    def _claim(self, decided: Decided) -> Flow[Execution]:
        proved, claim_key = decided.proof, secrets.token_hex(16)
        id = proved.approval_id
        try:
            claimed = yield from self._send_claim(id, proved, claim_key, None)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from self._undo_claim(id, proved, claim_key, error)
            raise
        return (yield from self._confirm(claimed, proved, decided.requested_after, decided.keys))

    def _confirm(
        self,
        claimed: Approval,
        proved: Proof,
        requested_after: Optional[int],
        keys: Optional[List[Dict[str, Any]]],
    ) -> Flow[Execution]:
        """Verifies what the claim shows. If it does not verify, the outcome is `failed`."""
        id, execution = claimed.id, execution_of(claimed, proved)
        try:
            again = self._prove(claimed, id, requested_after, keys, execution.id)
            if (again.context, again.plan) != (proved.context, proved.plan):
                detail = "the claim shows another context or plan than was verified"
                raise Unverified("untrusted-answer", detail, approval_id=id)
        except BaseException as error:
            yield from self._report(execution, "failed", f"never started: {type(error).__name__}")
            raise
        return dataclasses.replace(execution, approvers=again.approvers)

    def _send_claim(
        self, id: str, proved: Proof, key: str, timeout: Optional[float]
    ) -> Flow[Approval]:
        attempt = self._attempt
        context = RawJson(proved.context)
        plan = None if proved.plan is None else RawJson(proved.plan)
        return (
            yield from self._api.claim(
                id,
                attempt.agent,
                attempt.action,
                context,
                plan,
                attempt.lease_seconds,
                key,
                timeout,
            )
        )

    def _undo_claim(self, id: str, proved: Proof, key: str, error: BaseException) -> Flow[None]:
        """Ends a claim that got no answer, as far as the server answers."""
        try:
            yield from self._api.withdraw(id, timeout=CLEANUP_SECONDS)
        except SignoffError as refused:
            was_refused = isinstance(error, SignoffError) and error.status != 0
            if refused.code != "already-executed" or was_refused:
                return
            # The claim arrived: the same key returns its execution, which never starts.
            try:
                claimed = yield from self._send_claim(id, proved, key, CLEANUP_SECONDS)
            except SignoffError:
                return
            execution = execution_of(claimed, proved)
            detail = f"never started: {type(error).__name__}"
            yield from self._report(execution, "failed", detail)

    def _report(self, execution: Execution, outcome: str, detail: Optional[str]) -> Flow[None]:
        try:
            yield from self._api.report(
                execution.approval_id, execution.id, outcome, detail, timeout=REPORT_SECONDS
            )
            execution.reported = True
        except SignoffError:
            pass  # The lease ends without an outcome, and the server shows `unknown`.
