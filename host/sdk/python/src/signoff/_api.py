"""The routes of the API as flows: bodies, retries, and the error of each refusal."""

from __future__ import annotations

import json
import random
import re
import secrets
import time
import urllib.parse
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union

from . import approval as shown
from ._flow import Exchange, Flow, Pause
from ._http1 import BODY_BYTES_MAX, Request, Response
from ._transport import Broken
from .approval import Approval, Evaluation, Page, PolicyCopy, Verification
from .encode import Json, json_text
from .errors import (
    Expired,
    Invalid,
    NotFound,
    SignoffError,
    TimedOut,
    Unavailable,
    class_of,
)

ROOT = "/api/v1"
WAIT_SECONDS = 50
# Clocks of client and server may differ by this when a wait ends at the expiry.
EXPIRY_SLACK_SECONDS = 60
# The server's limit of a module.
POLICY_BYTES_MAX = 64 << 20
BACKOFF_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 5.0
UNDECIDED = "undecided within the caller's time limit"

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_KEY = re.compile(r"[!-~]{1,255}\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_SECONDS = re.compile(r"[0-9]{1,9}\Z")

T = TypeVar("T")


class Api:
    """Flows of all calls. `timeout` is the default limit of one call in seconds, with retries."""

    def __init__(self, timeout: float, now: Callable[[], float] = time.time) -> None:
        self.timeout = timeout
        self.now = now

    def request(
        self,
        agent: str,
        action: str,
        context: Json,
        plan: Optional[Json] = None,
        reason: Optional[str] = None,
        expires_in_seconds: Optional[int] = None,
        threshold: Optional[int] = None,
        groups: Optional[Mapping[str, int]] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Flow[Approval]:
        requirement = {
            name: value
            for name, value in (("threshold", threshold), ("groups", groups))
            if value is not None
        }
        members: Dict[str, object] = {"agent": agent, "action": action, "reason": reason}
        members["expires_in_seconds"] = expires_in_seconds
        members["requirement"] = requirement or None
        body = _body(members, context, plan)
        headers = _keyed(idempotency_key)
        response = yield from self._call("POST", "/approvals", body, headers, timeout)
        made = shown.read_approval(response.body)
        if not _ID.match(made.id):
            raise shown.unusable("malformed approval id")
        return made

    def get(self, id: str, timeout: Optional[float] = None) -> Flow[Approval]:
        response = yield from self._call("GET", _of(id), timeout=timeout, id=id)
        return shown.read_approval(response.body, id)

    def list(
        self, query: Mapping[str, Union[str, int, None]], timeout: Optional[float]
    ) -> Flow[Page]:
        pairs = {name: value for name, value in query.items() if value is not None}
        path = "/approvals" + ("?" + urllib.parse.urlencode(pairs) if pairs else "")
        response = yield from self._call("GET", path, timeout=timeout)
        return shown.read_page(response.body)

    def wait(self, id: str, timeout: Optional[float] = None) -> Flow[Approval]:
        """Waits until the status is not `pending`; see `Client.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            left = None if end is None else end - began
            if left is not None and left <= 0:
                raise TimedOut("timed-out", UNDECIDED, approval_id=id)
            seconds = WAIT_SECONDS if left is None else min(WAIT_SECONDS, max(1, int(left)))
            path = f"{_of(id)}?wait={seconds}&while=pending"
            limit, late = self.timeout + seconds, None
            if left is not None and left < limit:
                limit = left
                late = TimedOut("timed-out", UNDECIDED, approval_id=id)
            try:
                response = yield from self._call("GET", path, timeout=limit, id=id, late=late)
            except Unavailable as error:
                if late is not None and end is not None and time.monotonic() >= end:
                    raise late from error
                raise
            found = shown.read_approval(response.body, id)
            if found.status != "pending":
                return found
            if self.now() > found.expires_at.timestamp() + EXPIRY_SLACK_SECONDS:
                detail = "the approval has expired, but the server shows it as pending"
                raise Expired("expired", detail, approval_id=id)
            if time.monotonic() - began < 1:
                # The server is stopping, or does not wait: do not ask in a tight loop.
                yield Pause(_jittered(pause))
                pause = min(2 * pause, BACKOFF_SECONDS_MAX)

    def decide(
        self,
        id: str,
        decision: str,
        signature: str,
        approver: Optional[str],
        comment: Optional[str],
        idempotency_key: Optional[str],
        timeout: Optional[float],
    ) -> Flow[Approval]:
        ballot = {
            "decision": decision,
            "signature": signature,
            "approver": approver,
            "comment": comment,
        }
        return (yield from self._change(id, "approve", _body(ballot), idempotency_key, timeout))

    def verify(
        self,
        id: str,
        signature: str,
        agent: Optional[str],
        action: Optional[str],
        context: Optional[Json],
        plan: Optional[Json],
        timeout: Optional[float],
    ) -> Flow[Verification]:
        body = _body({"signature": signature, "agent": agent, "action": action}, context, plan)
        response = yield from self._call("POST", f"{_of(id)}/verify", body, timeout=timeout, id=id)
        return shown.read_verification(response.body, id)

    def claim(
        self,
        id: str,
        agent: str,
        action: str,
        context: Json,
        plan: Optional[Json] = None,
        lease_seconds: Optional[int] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Flow[Approval]:
        members = {"agent": agent, "action": action, "lease_seconds": lease_seconds}
        body = _body(members, context, plan)
        claimed = yield from self._change(id, "execute", body, idempotency_key, timeout)
        if claimed.status != "executed" or claimed.execution_id is None:
            raise shown.unusable("a claim without an execution")
        return claimed

    def report(
        self,
        id: str,
        execution_id: str,
        outcome: str,
        detail: Optional[str] = None,
        idempotency_key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Flow[Approval]:
        members = {"execution_id": execution_id, "outcome": outcome, "detail": detail}
        return (yield from self._change(id, "outcome", _body(members), idempotency_key, timeout))

    def withdraw(
        self, id: str, idempotency_key: Optional[str] = None, timeout: Optional[float] = None
    ) -> Flow[Approval]:
        return (yield from self._change(id, "withdraw", b"{}", idempotency_key, timeout))

    def extend(
        self, id: str, seconds: int, idempotency_key: Optional[str], timeout: Optional[float]
    ) -> Flow[Approval]:
        body = _body({"expires_in_seconds": seconds})
        return (yield from self._change(id, "extend", body, idempotency_key, timeout))

    def receipt(self, id: str, timeout: Optional[float]) -> Flow[str]:
        response = yield from self._call("GET", f"{_of(id)}/receipt", timeout=timeout, id=id)
        _, text = shown.read_object(response.body, "receipt")
        return text.rstrip("\n")

    def keys(self, timeout: Optional[float] = None) -> Flow[List[Dict[str, Any]]]:
        response = yield from self._call("GET", "/keys", timeout=timeout)
        listed = shown.Shown(shown.read_object(response.body, "keys")[0], "keys")
        items: List[Any] = listed.member("items", list)
        for item in items:
            shown.Shown(item, "key").text("id")
        return items

    def evaluate(
        self,
        agent: str,
        action: str,
        context: Json,
        plan: Optional[Json],
        idempotency_key: Optional[str],
        timeout: Optional[float],
    ) -> Flow[Evaluation]:
        body = _body({"agent": agent, "action": action}, context, plan)
        headers = _keyed(idempotency_key)
        response = yield from self._call("POST", "/guardrails/evaluate", body, headers, timeout)
        return shown.read_evaluation(response.body)

    def policy(self, seconds: int, unwanted: str, timeout: float) -> Flow[PolicyCopy]:
        """Returns the active policy, at the latest after `seconds`, once it is not `unwanted`."""
        path = "/guardrails/policy"
        if seconds:
            path += f"?wait={seconds}&while={unwanted}"
        response = yield from self._call("GET", path, timeout=timeout)
        return shown.read_policy(response.body)

    def policy_wasm(self, digest: str, timeout: Optional[float] = None) -> Flow[bytes]:
        """Returns the bytes of the active policy, whose digest the caller compares."""
        path = f"/guardrails/policy/{digest}/wasm"
        limit = POLICY_BYTES_MAX
        response = yield from self._call("GET", path, timeout=timeout, body_bytes_max=limit)
        return response.body

    def report_decisions(self, body: bytes, key: str, timeout: float) -> Flow[None]:
        """Reports a batch of decisions of a local policy."""
        yield from self._call("POST", "/guardrails/decisions", body, _keyed(key), timeout)

    def _change(
        self, id: str, route: str, body: bytes, key: Optional[str], timeout: Optional[float]
    ) -> Flow[Approval]:
        path = f"{_of(id)}/{route}"
        response = yield from self._call("POST", path, body, _keyed(key), timeout, id)
        return shown.read_approval(response.body, id)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        id: Optional[str] = None,
        body_bytes_max: int = BODY_BYTES_MAX,
        late: Optional[TimedOut] = None,
    ) -> Flow[Response]:
        """Sends a request until it is answered, refused, or out of time.

        If no further try fits in the time, raises the last failure, or `late` because of it.

        Repeats what cannot have been answered: a broken connection, and 429 and 503 that say when
        to come back. The idempotency key makes a repeated change one change.
        """
        sent = dict(headers or {})
        if body:
            sent["Content-Type"] = "application/json"
        request = Request(method, ROOT + path, sent, body)
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        backoff, stale_retried = BACKOFF_SECONDS, False
        while True:
            failure: SignoffError
            after: Optional[float] = None
            try:
                left = max(deadline - time.monotonic(), 0.001)
                response = yield Exchange(request, left, body_bytes_max)
            except Broken as broken:
                if broken.stale and not stale_retried:
                    stale_retried = True  # The server closed an idle connection: connect anew.
                    continue
                failure = broken
            else:
                assert response is not None
                if 200 <= response.status < 300:
                    return response
                failure = refusal_of(response, id)
                after = retry_after(response)
                if after is None:
                    raise failure
            wait = max(after or 0.0, _jittered(backoff))
            backoff = min(2 * backoff, BACKOFF_SECONDS_MAX)
            if time.monotonic() + wait >= deadline:
                if late is not None:
                    raise late from failure
                raise failure
            yield Pause(wait)


def _body(
    members: Mapping[str, object], context: Optional[Json] = None, plan: Optional[Json] = None
) -> bytes:
    """Returns the body of a request, in which context and plan are the texts as they are."""
    for name, value in members.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                detail = f"`{name}`: a lone surrogate is not Unicode text"
                raise Invalid("request-invalid", detail) from None
    given = {name: value for name, value in members.items() if value is not None}
    try:
        parts = [
            f"{json.dumps(name)}:{json.dumps(value, allow_nan=False)}"
            for name, value in given.items()
        ]
    except (TypeError, ValueError) as error:
        raise Invalid("request-invalid", f"an argument is not JSON: {error}") from None
    if context is not None:
        parts.append(f'"context":{json_text(context, "context")}')
    if plan is not None:
        parts.append(f'"plan":{json_text(plan, "plan")}')
    return ("{" + ",".join(parts) + "}").encode()


def _keyed(key: Optional[str]) -> Dict[str, str]:
    """Returns the header with an idempotency key: the caller's, or a new one."""
    if key is not None and not _KEY.match(key):
        detail = "an idempotency key must have 1 to 255 printable ASCII characters"
        raise Invalid("request-invalid", detail)
    return {"Idempotency-Key": key or secrets.token_hex(16)}


def _of(id: str) -> str:
    """Returns the path of an approval. A malformed id is `not-found`, as the server says."""
    if not isinstance(id, str) or not _ID.match(id):
        raise NotFound("not-found", "malformed approval id")
    return f"/approvals/{id}"


def refusal_of(response: Response, id: Optional[str]) -> SignoffError:
    """Returns the error of an answer that is not a success."""
    request_id = response.headers.get("x-request-id", "")
    request_id = request_id if _REQUEST_ID.match(request_id) else ""
    try:
        problem = shown.Shown(shown.read_object(response.body, "problem")[0], "problem")
        code, detail = problem.text("code"), problem.text("detail")
        title = problem.optional("title", str)
        differing = problem.optional("members", list) or []
    except Unavailable:
        return Unavailable(
            "unreachable",
            f"the server answered with status {response.status} and without a reason",
            status=response.status,
            request_id=request_id or None,
            approval_id=id,
        )
    comment = detail if code == "policy-denied" else None
    return class_of(code)(
        code,
        detail,
        title=title,
        status=response.status,
        request_id=request_id or None,
        approval_id=id,
        comment=comment,
        members=[member for member in differing if isinstance(member, str)],
    )


def retry_after(response: Response) -> Optional[float]:
    """Returns the seconds of `Retry-After` of a 429 or 503; None if a repeat makes no sense."""
    given = response.headers.get("retry-after", "")
    if response.status not in (429, 503) or not given:
        return None
    return float(given) if _SECONDS.match(given) else BACKOFF_SECONDS_MAX


def _jittered(seconds: float) -> float:
    """Returns between half of the seconds and all of them, so that clients do not come together."""
    return seconds * (0.5 + random.random() / 2)
