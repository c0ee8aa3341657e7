"""The runbook's `db`: reads and changes of approvals as calls of the API."""

from __future__ import annotations

import datetime
import math
import weakref
from typing import List, Optional, Type, Union

from .. import approval as shown
from .._aio import AsyncTransport
from .._api import Api
from .._flow import run_async
from ..async_client import AsyncClient
from ..client import Client
from ..errors import Invalid
from .records import Approval, ApprovalRequest, Order

PAGE_MAX = 200


class Session:
    """A `Client` in the shape of a database session. For one thread, as sessions are.

    Raises `TypeError` for anything but a `Client`.
    """

    def __init__(self, client: Client) -> None:
        if not isinstance(client, Client):
            raise TypeError(f"a Session needs a signoff.Client, not {type(client).__name__}")
        self.client = client
        self._known: weakref.WeakSet[Approval] = weakref.WeakSet()

    def get(self, id: str) -> Approval:
        """Returns an approval, whose changes `commit` makes."""
        return self.track(self.client.get(id))

    def query(self, record: Type[Approval]) -> Query:
        """Returns a query of approvals: `query(Approval).order_by(…).limit(…).all()`."""
        if record is not Approval:
            raise TypeError("only approvals can be queried")
        return Query(self)

    def commit(self) -> None:
        """Makes the calls for what was assigned to approvals of this session, one by one.

        - a later `expires_at`: `extend`, which needs the role `approver` or `admin`, and an
          approval without ballots;
        - `status = "executed"`: `claim`, with the approval's own agent, action, context and plan.
          `approval.shown.execution_id` is then what `Client.report` takes.

        Raises the error of the first call that fails. Its assignment is dropped, later ones stay
        for the next `commit`, and the approval shows what the server says.
        """
        for approval in list(self._known):
            changes, approval.changes = approval.changes, {}
            if "expires_at" in changes:
                self._extend(approval, changes["expires_at"])
            if "status" in changes:
                self._claim(approval)
            elif "executed_at" in changes:
                raise Invalid("request-invalid", "`executed_at` is set only with the status")

    def track(self, found: shown.Approval) -> Approval:
        """Returns the runbook's form of an approval."""
        approval = Approval(found)
        self._known.add(approval)
        return approval

    def _extend(self, approval: Approval, expires_at: datetime.datetime) -> None:
        left = expires_at - datetime.datetime.now(datetime.timezone.utc)
        _show(approval, self.client.extend(approval.id, math.ceil(left.total_seconds())))

    def _claim(self, approval: Approval) -> None:
        if approval.context is None:
            raise Invalid("request-invalid", "the server does not show the context to claim with")
        claimed = self.client.claim(
            approval.id, approval.agent, approval.action, approval.context, plan=approval.plan
        )
        _show(approval, claimed)


def _show(approval: Approval, changed: shown.Approval) -> None:
    """Shows a change, whose answer leaves out context and plan."""
    texts = {name: approval.shown.members.get(name) for name in ("context", "plan")}
    approval.shown = shown.Approval({**changed.members, **texts})


class Query:
    """Approvals, newest first."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._limit: Optional[int] = None

    def order_by(self, order: Order) -> Query:
        """Accepts `Approval.requested_at.desc()`, the order of the API.

        Raises `Invalid` with `request-invalid` for another one.
        """
        if order != Order("requested_at", descending=True):
            raise Invalid("request-invalid", "approvals are ordered by `requested_at`, descending")
        return self

    def limit(self, count: int) -> Query:
        """Limits the number of approvals."""
        if count < 0:
            raise Invalid("request-invalid", "a limit must not be negative")
        self._limit = count
        return self

    def all(self) -> List[Approval]:
        """Returns the approvals that the caller may read, page by page up to the limit."""
        found: List[Approval] = []
        cursor: Optional[str] = None
        while self._limit is None or len(found) < self._limit:
            left = PAGE_MAX if self._limit is None else min(PAGE_MAX, self._limit - len(found))
            page = self._session.client.list(limit=left, cursor=cursor)
            found += [self._session.track(item) for item in page.items[:left]]
            cursor = page.next_cursor
            if cursor is None or not page.items:
                break
        return found


Db = Union[Session, Client, AsyncClient]
"""What the listings call `db`."""


async def create_approval_request(request: ApprovalRequest, db: Db) -> Approval:
    """Requests an approval; `db` may be a `Session`, a `Client` or an `AsyncClient`.

    Raises `Invalid` for unset members, else as `Client.request`.
    """
    async with Calls(db) as calls:
        made = await run_async(calls.api.request(**request.arguments()), calls.io)
    return db.track(made) if isinstance(db, Session) else Approval(made)


class Calls:
    """Calls of any `db` from a coroutine, without blocking the event loop.

    Raises `TypeError` for anything that is not a `db`.
    """

    def __init__(self, db: Db) -> None:
        client = db.client if isinstance(db, Session) else db
        if not isinstance(client, (Client, AsyncClient)):
            raise TypeError(f"expected a Session, Client or AsyncClient, not {type(db).__name__}")
        self.client = client
        self.api: Api = client._api
        self.io: AsyncTransport
        self._is_own = isinstance(client, Client)
        if isinstance(client, Client):
            self.io = AsyncTransport(client._endpoint, client._tls, client._headers)
        else:
            self.io = client._transport

    async def __aenter__(self) -> Calls:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._is_own:
            await self.io.close()
