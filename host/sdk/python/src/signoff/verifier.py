"""The verifier in this process: every decision about trust, offline and pure."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union, cast

from .encode import Json, RawJson, json_text
from .errors import Invalid, VerifierMissing, VerifierTrapped, rejection
from .proof import Proof

Key = Mapping[str, Any]
"""A keyring entry `{id, algorithm, material, status, use, approver, groups}`; see `types.wit`."""

Statement = Mapping[str, Any]
"""What an approver signs; see `types.wit`. `expires_at` is in seconds since 1970."""

# A clock before 2025 is not set. With such a clock an expired approval would pass.
EARLIEST_NOW = 1_735_689_600


def clock() -> int:
    """Returns the time in whole seconds since 1970."""
    return int(time.time())


class Verifier:
    """The verifier component. Any number of threads may use one `Verifier`.

    Needs the extra `signoff[verifier]`. The first use on a machine compiles the component, which
    takes 0.3 to 2 s; later ones load it from a private cache in milliseconds. All verifiers of a
    process share one module.

    Raises `VerifierMissing` if the extra is not installed.

    >>> Verifier().digest({"b": 1, "a": 2})
    '21501dbaf73f5223934d22283f01caff4132bc1de4a9550c1ed0dffeb397a323'
    """

    def __init__(self) -> None:
        try:
            from . import _component
        except ImportError as error:
            raise VerifierMissing("signoff.Verifier") from error
        self._module = _component.shared()

    @property
    def digest_of_module(self) -> str:
        """The SHA-256 of the component in hex; a server of the same version shows the same one."""
        return self._module.digest

    def call_text(self, request: str) -> str:
        """Returns the answer to a request of `wire.wit`; both are JSON texts.

        Raises, in this order: `Invalid` with `request-invalid` for a lone surrogate, and with
        `limit-exceeded` above 17 MiB (from 16 MiB on, the verifier refuses); `VerifierTrapped`.
        """
        return self._module.call(request)

    def call(self, op: str, args: Mapping[str, Any]) -> Any:
        """Returns the value of `ok` of an operation, such as `context.digest`.

        Raises `Rejection`, which is also the error of its code; `Invalid` for arguments that are
        not JSON; else as `call_text`.
        """
        try:
            request = _encode({"op": op, "args": args})
        except (TypeError, ValueError, RecursionError) as error:
            raise Invalid("request-invalid", f"the arguments are not JSON: {error}") from None
        answer = _decode(self._module.call(request))
        if "ok" in answer:
            return answer["ok"]
        refused = answer.get("error")
        if not isinstance(refused, dict):
            raise VerifierTrapped("verifier-trapped", "the verifier returned neither ok nor error")
        raise rejection(refused["code"], refused["message"])

    def describe(self) -> Dict[str, Any]:
        """Returns the verifier's description: `{name, version, package, formats, …}`."""
        return cast(Dict[str, Any], self.call("describe", {}))

    def canonicalize(self, context: Union[Json, str]) -> str:
        """Returns the canonical text of a context, given as a mapping, `RawJson` or JSON text.

        Raises `Invalid` with `context-invalid`.
        """
        return cast(
            str, self.call("context.canonicalize", {"context": _text(context)})["canonical"]
        )

    def digest(self, context: Union[Json, str]) -> str:
        """Returns the SHA-256 of the canonical text, 64 lower-case hex characters.

        Raises `Invalid` with `context-invalid`.
        """
        return cast(str, self.call("context.digest", {"context": _text(context)})["digest"])

    def payload(self, statement: Statement, profile: str = "v2") -> Dict[str, Any]:
        """Returns the message to sign, `{profile, base64url, text}`; see `signing.payload`."""
        args = {"statement": statement, "profile": profile}
        return cast(Dict[str, Any], self.call("signing.payload", args))

    def sign(self, statement: Statement, key: Key, profile: str = "v2") -> str:
        """Returns a signature as text. The key's material is its private half.

        The process's memory keeps copies of the material: use a process of its own for signing.
        """
        args = {"statement": statement, "profile": profile, "key": key}
        return cast(str, self.call("signing.sign", args)["signature"])

    def verify(
        self,
        statement: Statement,
        signature: str,
        keys: Sequence[Key],
        accept: Sequence[str] = ("v2",),
    ) -> str:
        """Verifies a signature, and returns the id of the key that made it.

        Raises as `signing.verify` lists, most often `Unverified`.
        """
        args = {"statement": statement, "signature": signature, "keys": keys, "accept": accept}
        return cast(str, self.call("signing.verify", args)["key_id"])

    def verify_approval(
        self,
        approval: str,
        *,
        id: str,
        audience: str,
        agent: str,
        action: str,
        context: Union[Json, str],
        keys: Sequence[Key],
        plan: Union[Json, str, None] = None,
        execution_id: Optional[str] = None,
        accept: Optional[Sequence[str]] = None,
        now: Optional[int] = None,
        requested_after: Optional[int] = None,
        floor: Optional[Mapping[str, Any]] = None,
        policies: Optional[Sequence[str]] = None,
    ) -> Proof:
        """Verifies that an executor may run an attempt, from what a server showed.

        `approval` is the answer of `GET /approvals/{id}` or of a claim exactly as it came. All
        other arguments are the executor's own. Only `v2` signatures count unless `accept` says
        more. `now` is the clock's time if unset.

        Raises as `approval.verify` lists, in its order; `Invalid` for a clock before 2025.
        """
        if now is None:
            now = sane_now(clock)
        attempt: Dict[str, Any] = {"agent": agent, "action": action, "context": _text(context)}
        if plan is not None:
            attempt["plan"] = _text(plan, "plan")
        if execution_id is not None:
            attempt["execution_id"] = execution_id
        args = {
            "approval": approval,
            "id": id,
            "audience": audience,
            "attempt": attempt,
            "keys": keys,
            "accept": accept,
            "now": now,
            "requested_after": requested_after,
            "floor": floor,
            "policies": policies,
        }
        return Proof.of(self.call("approval.verify", args))

    def verify_receipt(
        self,
        receipt: str,
        *,
        log_keys: Sequence[str] = (),
        id: Optional[str] = None,
        audience: Optional[str] = None,
        keys: Optional[Sequence[Key]] = None,
        accept: Sequence[str] = ("v2",),
        checkpoint: Optional[str] = None,
        consistency: Optional[Sequence[str]] = None,
    ) -> Dict[str, Any]:
        """Verifies a receipt, and returns the report of `receipt.verify`.

        Without `log_keys` the receipt is only checked for consistency: anyone could have made it.

        Raises as `receipt.verify` lists, in its order.
        """
        args = {
            "receipt": receipt.strip(" \t\r\n"),
            "log_keys": log_keys,
            "id": id,
            "audience": audience,
            "keys": keys,
            "accept": accept,
            "checkpoint": checkpoint,
            "consistency": consistency,
        }
        return cast(Dict[str, Any], self.call("receipt.verify", args))


def sane_now(now: Callable[[], int]) -> int:
    """Returns the time of a clock.

    Raises `Invalid` with `request-invalid` if the clock is not set.
    """
    seconds = now()
    if seconds < EARLIEST_NOW:
        raise Invalid("request-invalid", f"the clock of this machine is not set: {seconds}")
    return seconds


def _text(value: Union[Json, str], name: str = "context") -> str:
    if isinstance(value, str):
        return value
    # The verifier reports malformed text with the byte, so it gets the text as it is.
    return value.text if isinstance(value, RawJson) else json_text(value, name)


def _plain(value: object) -> Union[List[Any], Dict[str, Any]]:
    """Lets any sequence and mapping pass as list and dict."""
    if isinstance(value, Sequence):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


# A cycle ends as `RecursionError`, so the encoder need not look for one.
_encode = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    separators=(",", ":"),
    allow_nan=False,
    default=_plain,
).encode
_decode = json.JSONDecoder().decode
