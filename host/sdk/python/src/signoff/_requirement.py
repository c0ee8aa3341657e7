"""What a guard requests: the caller's own requirement, merged with the executor's floor."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional

from .errors import Invalid

FLOOR = ("threshold", "groups", "ttl_seconds")
# The server's default of an unset time to live.
TTL_SECONDS_DEFAULT = 3600


@dataclasses.dataclass(frozen=True)
class Requested:
    """What is sent; None for what is not."""

    threshold: Optional[int]
    groups: Optional[Mapping[str, int]]
    expires_in_seconds: Optional[int]

    def at_least(self, floor: Mapping[str, Any]) -> Requested:
        """Returns the higher threshold, each group's higher minimum and the shorter time to live.

        Raises `Invalid` with `request-invalid` for a malformed number, or an unknown member.
        """
        check_floor(floor)
        least = floor.get("threshold")
        threshold = self.threshold if least is None else _higher("threshold", self.threshold, least)
        return Requested(threshold, self._groups(floor.get("groups") or {}), self._lifetime(floor))

    def _groups(self, floor: Mapping[str, int]) -> Optional[Mapping[str, int]]:
        if not floor:
            return self.groups
        if not isinstance(self.groups or {}, Mapping):
            raise Invalid("request-invalid", "`groups` must be a mapping")
        groups = dict(self.groups or {})
        for group, least in floor.items():
            groups[group] = _higher(f"groups[{group!r}]", groups.get(group), least)
        return groups

    def _lifetime(self, floor: Mapping[str, Any]) -> Optional[int]:
        own, longest = self.expires_in_seconds, floor.get("ttl_seconds")
        if longest is None:
            return own
        if own is None:
            return int(longest) if longest < TTL_SECONDS_DEFAULT else None
        return min(_count("expires_in_seconds", own), int(longest))


def check_floor(floor: object) -> None:
    """Raises `Invalid` with `request-invalid` for a malformed floor."""
    if not isinstance(floor, Mapping):
        raise Invalid("request-invalid", "`floor` must be a mapping")
    for name, value in floor.items():
        if name not in FLOOR:
            raise Invalid("request-invalid", f"unknown member `{name}` of `floor`")
        if value is None:
            continue
        if name != "groups":
            _count(f"floor[{name!r}]", value)
            continue
        if not isinstance(value, Mapping):
            raise Invalid("request-invalid", "`floor['groups']` must be a mapping")
        groups: Dict[Any, Any] = dict(value)
        for group, least in groups.items():
            if not isinstance(group, str):
                raise Invalid("request-invalid", "the name of a group must be a text")
            _count(f"floor['groups'][{group!r}]", least)


def _higher(name: str, own: Optional[int], least: int) -> int:
    return least if own is None else max(_count(name, own), least)


def _count(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise Invalid("request-invalid", f"`{name}` must be a whole number from 1")
