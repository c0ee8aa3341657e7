"""Settings: arguments first, then the environment, then the user's home."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any, Dict, Optional

from ._files import read_private
from .errors import Invalid

FILE_BYTES_MAX = 1 << 20
_ENVIRONMENT = {
    "url": "SIGNOFF_SERVER",
    "token": "SIGNOFF_TOKEN",
    "ca": "SIGNOFF_CA",
    "keys": "SIGNOFF_KEYS",
    "audience": "SIGNOFF_AUDIENCE",
}
_HOME = {"url": "server", "token": "token", "ca": "ca", "keys": "keys", "audience": "audience"}
_PATHS = ("ca", "keys")
_OF_SERVER = ("token", "ca")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings as found; an unset one is None. The token does not appear in `repr`."""

    url: Optional[str] = None
    token: Optional[str] = dataclasses.field(default=None, repr=False)
    ca: Optional[str] = None
    keys: Optional[str] = None
    audience: Optional[str] = None

    @classmethod
    def find(
        cls, url: Optional[str] = None, token: Optional[str] = None, ca: Optional[str] = None
    ) -> Settings:
        """Finds the settings of a client.

        The home file's token and authorities belong to its `server`: they are used only if that is,
        byte for byte, the server that is called.

        Raises `Invalid` with `request-invalid` for a home file that is malformed, is not a regular
        file, belongs to another user, or that other users can access.
        """
        given = {"url": url, "token": token, "ca": ca}
        environment = {
            name: os.environ.get(variable) or None for name, variable in _ENVIRONMENT.items()
        }
        home = _read_home()
        called = url or environment["url"] or home.get("url")
        if "url" not in home or called != home["url"]:
            home = {name: value for name, value in home.items() if name not in _OF_SERVER}
        found: Dict[str, Optional[str]] = {
            name: given.get(name) or environment[name] or home.get(name) for name in _HOME
        }
        return cls(**found)


def home_file() -> Optional[pathlib.Path]:
    """Returns the path of `client.json`; None if the user has no home."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(given):
        return pathlib.Path(given, "signoff", "client.json")
    try:
        return pathlib.Path.home() / ".config" / "signoff" / "client.json"
    except RuntimeError:
        return None


def _read_home() -> Dict[str, str]:
    path = home_file()
    if path is None:
        return {}
    try:
        text = read_private(path, FILE_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Invalid("request-invalid", f"`{path}`: {error.strerror}") from None
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise Invalid("request-invalid", f"`{path}`: expected a JSON object")
    found: Dict[str, str] = {}
    for name, member in _HOME.items():
        value: Any = members.get(member)
        if value is None:
            continue
        if not isinstance(value, str):
            raise Invalid("request-invalid", f"`{path}`: expected `{member}` to be a text")
        found[name] = str(path.parent / value) if name in _PATHS else value
    return found
