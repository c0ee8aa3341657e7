"""The runbook's request, and its approval with times as datetimes."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Dict, Generic, Mapping, Optional, TypeVar, Union, cast, overload

from .. import approval as shown
from ..encode import Json, in_utc
from ..errors import Invalid

T = TypeVar("T")
Unset = Any
"""A value, or `...` where a listing leaves it out."""


@dataclasses.dataclass(frozen=True)
class ApprovalRequest:
    """A request, for `create_approval_request`, which refuses one with unset members.

    `expires_in_seconds` is 1 to 604800, default 3600. `plan`, `threshold` and `groups` are those of
    `Client.request`.
    """

    agent: Unset = ...
    action: Unset = ...
    context: Unset = ...
    reason: Optional[str] = None
    expires_in_seconds: Optional[int] = None
    plan: Optional[Json] = None
    threshold: Optional[int] = None
    groups: Optional[Mapping[str, int]] = None

    def arguments(self) -> Dict[str, Any]:
        """Returns the arguments of `Client.request`.

        Raises `Invalid` with `request-invalid` for an unset member.
        """
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in given.items():
            if value is ...:
                raise Invalid("request-invalid", f"`{name}` of the request is unset")
        return given


@dataclasses.dataclass(frozen=True)
class Order:
    """An order of a query."""

    column: str
    descending: bool


class Column(Generic[T]):
    """A member of an approval; on the class itself, the column of a query."""

    def __init__(self, is_time: bool = False) -> None:
        self._is_time = is_time

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, approval: None, owner: type) -> Column[T]: ...
    @overload
    def __get__(self, approval: Approval, owner: type) -> T: ...
    def __get__(self, approval: Optional[Approval], owner: type) -> Union[Column[T], T]:
        if approval is None:
            return self
        if self.name in approval.changes:
            return cast(T, approval.changes[self.name])
        value = approval.shown.members.get(self.name)
        if self._is_time and value is not None:
            value = shown.parse_time(value)
        return cast(T, value)

    def __set__(self, approval: Approval, value: T) -> None:
        approval.change(self.name, value)

    def desc(self) -> Order:
        """Returns the order from the latest to the earliest."""
        return Order(self.name, descending=True)


Time = Column[datetime.datetime]
OptionalTime = Column[Optional[datetime.datetime]]
OptionalText = Column[Optional[str]]


class Approval:
    """An approval as the runbook's listings read and write it. Times are aware, in UTC.

    `expires_at` may be moved to a later time, and `status` set to `executed`: `Session.commit`
    makes the calls. Every other assignment is refused: a decision needs an approver's signature.
    """

    id: Column[str] = Column()
    status: Column[str] = Column()
    agent: Column[str] = Column()
    action: Column[str] = Column()
    context: Column[Optional[Dict[str, Any]]] = Column()
    plan: Column[Optional[Dict[str, Any]]] = Column()
    reason: OptionalText = Column()
    context_hash: Column[str] = Column()
    requested_by: Column[str] = Column()
    requested_at: Time = Column(is_time=True)
    expires_at: Time = Column(is_time=True)
    decision: OptionalText = Column()
    approver: OptionalText = Column()
    approved_at: OptionalTime = Column(is_time=True)
    comment: OptionalText = Column()
    signature: OptionalText = Column()
    executed_at: OptionalTime = Column(is_time=True)

    def __init__(self, approval: shown.Approval) -> None:
        self.shown = approval
        """The approval as the server showed it."""
        self.changes: Dict[str, Any] = {}
        """What is assigned and not committed yet."""

    def change(self, name: str, value: Any) -> None:
        """Notes an assignment. Raises `Invalid` with `request-invalid` for one that is refused."""
        if name == "expires_at" and isinstance(value, datetime.datetime):
            value = in_utc(value)
        elif name == "executed_at" and isinstance(value, datetime.datetime):
            pass  # The server's time of the claim replaces it.
        elif not (name == "status" and value == "executed"):
            raise Invalid(
                "request-invalid",
                f"`{name}` cannot be set to this value: a server decides by signatures and claims",
            )
        self.changes[name] = value

    def __repr__(self) -> str:
        return f"Approval(id={self.id!r}, status={self.status!r})"
