"""What a guard is given: the request, and what the executor itself requires."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence, Union

from ._requirement import Requested, check_floor
from .encode import Json
from .errors import Invalid
from .keys import Keys, read_keys

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    from .policy import AsyncPolicy, Policy

    class _Required(TypedDict):
        agent: str
        action: str

    class CallOptions(TypedDict, total=False):
        """The options of a guard that do not depend on the call; `Attempt` says what they mean."""

        reason: Optional[str]
        threshold: Optional[int]
        groups: Optional[Mapping[str, int]]
        expires_in_seconds: Optional[int]
        timeout: Optional[float]
        lease_seconds: Optional[int]
        keys: Optional[Keys]
        audience: Optional[str]
        floor: Optional[Mapping[str, Any]]
        accept: Optional[Sequence[str]]
        policies: Optional[Sequence[str]]
        allow_hmac: bool
        policy: Optional[Union[Policy, AsyncPolicy]]

    class GuardOptions(_Required, CallOptions, total=False):
        """The options of a guard; `Attempt` says what they mean."""

        context: Json
        plan: Optional[Json]


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What is to run, and what the executor itself requires of the approval.

    - `agent`, `action`, `context`, `plan`, `reason`, `threshold`, `groups` and
      `expires_in_seconds` are requested.
    - `timeout`: seconds to wait for the decision; until the approval expires if unset.
    - `lease_seconds`: the time within which the outcome must be reported, 1 to 86400, default 300.
    - `keys`: the approvers' keys that count. With keys the approval is verified in this process,
      and `audience`, the deployment that the executor works for, is required. Without keys the
      server is trusted.
    - `floor`: `{threshold?, groups?, ttl_seconds?}`, the least that the approval must require. It is
      requested too, where the request itself is weaker.
    - `accept`: profiles that count, `v2` alone if unset. `policies`: digests of policies, one of
      which must have set the requirement. `allow_hmac`: whether HMAC keys count.
    - Without `keys`, nothing could check these four, so they are refused.
    - `policy`: a local policy of the same client, which is evaluated first: an action that it
      allows runs at once, one that it denies is `Denied`, and any other is requested.
    """

    agent: str
    action: str
    context: Json
    plan: Optional[Json] = None
    reason: Optional[str] = None
    threshold: Optional[int] = None
    groups: Optional[Mapping[str, int]] = None
    expires_in_seconds: Optional[int] = None
    timeout: Optional[float] = None
    lease_seconds: Optional[int] = None
    keys: Optional[Keys] = None
    audience: Optional[str] = None
    floor: Optional[Mapping[str, Any]] = None
    accept: Optional[Sequence[str]] = None
    policies: Optional[Sequence[str]] = None
    allow_hmac: bool = False
    policy: Optional[Union[Policy, AsyncPolicy]] = None

    def __repr__(self) -> str:
        """Shows of keys no more than id and algorithm: the material of HMAC keys is secret."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        values["keys"] = _without_material(self.keys)
        return f"Attempt({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def check(self) -> None:
        """Raises `Invalid` with `request-invalid` for what only pinned keys can enforce and there
        are none, then for a malformed `floor`."""
        if self.keys is None:
            for name in ("floor", "accept", "policies"):
                if getattr(self, name) is not None:
                    raise Invalid("request-invalid", f"`{name}` needs keys")
            if self.allow_hmac:
                raise Invalid("request-invalid", "`allow_hmac` needs keys")
        if self.floor is not None:
            check_floor(self.floor)

    def requested(self) -> Requested:
        """Returns what is requested: nothing weaker than the floor.

        Raises `Invalid` with `request-invalid` for a malformed number.
        """
        own = Requested(self.threshold, self.groups, self.expires_in_seconds)
        return own if self.floor is None else own.at_least(self.floor)


def _without_material(keys: Any) -> Any:
    if keys is None or isinstance(keys, (str, os.PathLike)):
        return keys
    try:
        return [{"id": key["id"], "algorithm": key["algorithm"]} for key in read_keys(keys)]
    except Invalid:
        return "malformed"
