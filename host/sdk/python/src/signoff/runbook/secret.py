"""The runbook's `settings`."""

from __future__ import annotations

import os

from ..errors import Invalid


class RunbookSettings:
    """`HMAC_SECRET` is read from the environment at each use, and never shown by `repr`."""

    @property
    def HMAC_SECRET(self) -> str:
        """The shared secret of `v1` signatures, at least 32 bytes.

        Raises `Invalid` with `request-invalid` if it is unset.
        """
        secret = os.environ.get("HMAC_SECRET")
        if not secret:
            raise Invalid("request-invalid", "HMAC_SECRET is not set in the environment")
        return secret


settings = RunbookSettings()
"""The settings of this process."""
