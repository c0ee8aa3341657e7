"""What the blocking and the asyncio client share: settings, the endpoint, and guards."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Union

from ._api import Api
from ._endpoint import Endpoint
from ._transport import Transport
from .attempt import Attempt
from .errors import Invalid, VerifierMissing
from .guard import Guard
from .settings import Settings
from .version import VERSION

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .attempt import GuardOptions
    from .keys import Keys
    from .policy import LocalPolicy

    PathLike = Union[str, "os.PathLike[str]"]

MAX_STALE_SECONDS = 30.0
TIMEOUT_SECONDS = 30.0


class BaseClient:
    """Settings of a client: see `Client`."""

    def __init__(
        self,
        url: Optional[str] = None,
        token: Optional[str] = None,
        *,
        ca: Optional[str] = None,
        insecure_http: bool = False,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        settings = Settings.find(url, token, ca)
        if settings.url is None:
            raise Invalid(
                "request-invalid",
                "no server: pass `url`, set SIGNOFF_SERVER, or run `signoff login`",
            )
        if not timeout > 0:
            raise Invalid("request-invalid", "`timeout` must be a positive number of seconds")
        self._settings = settings
        self._endpoint = Endpoint.parse(settings.url)
        self._endpoint.check_token(settings.token, insecure_http)
        self._tls: Optional[ssl.SSLContext] = self._endpoint.tls_context(settings.ca)
        self._headers = {
            "Host": self._endpoint.authority,
            "User-Agent": f"signoff-python/{VERSION}",
            "Accept": "application/json",
        }
        if settings.token is not None:
            self._headers["Authorization"] = f"Bearer {settings.token}"
        self._api = Api(timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.name!r})"

    def _local_policy(
        self, signers: Keys, audience: Optional[str], max_stale: float, queue: Optional[PathLike]
    ) -> LocalPolicy:
        """Opens a local policy with connections of its own; see `Client.policy`."""
        try:
            from .policy import LocalPolicy
        except ImportError as error:
            raise VerifierMissing("a local policy") from error
        transport = Transport(self._endpoint, self._tls, self._headers)
        folder = None if queue is None else os.fspath(queue)
        audience = audience or self._settings.audience
        return LocalPolicy(self._api, transport, signers, audience, max_stale, folder)

    def _guard(self, **options: Unpack[GuardOptions]) -> Callable[[], Guard]:
        """Returns what makes the guard.

        Raises `TypeError` for an unknown option.
        """
        attempt = self._attempt(**options)
        return lambda: Guard(self._api, attempt)

    def _attempt(self, **options: Unpack[GuardOptions]) -> Attempt:
        """Returns the attempt of a guard: unset keys and audience are the settings'.

        Raises `TypeError` for an unknown option.
        """
        given: Dict[str, Any] = dict(options)
        for name in ("keys", "audience"):
            if given.get(name) is None:
                given[name] = getattr(self._settings, name)
        return Attempt(**given)
