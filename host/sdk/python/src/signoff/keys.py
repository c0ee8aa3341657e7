"""Pinned keys: which approvers' keys count, by the executor's own settings."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from ._files import read_owned
from .errors import Invalid

# The members of a key that the verifier reads; see `types.wit`.
_MEMBERS = ("id", "algorithm", "material", "status", "use", "approver", "groups")
FILE_BYTES_MAX = 4 << 20
PRIVATE = (
    "the keys contain a private key: pin public keys only, as `signoff key list --json` prints them"
)

Keys = Union[str, "os.PathLike[str]", Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""A file with keys, one key, or a list of keys."""


def read_keys(keys: Keys) -> List[Dict[str, Any]]:
    """Reads pinned keys: a file or a value in a form that `signoff key list --json` or
    `signoff key generate` prints, a keyring file, one key, or a list of keys.

    A file must be a regular one, and belong to this user or to root.

    Raises `Invalid` with `request-invalid`, also for keys with a private half, or `limit-exceeded`
    for a file of more than 4 MiB. No message contains material.
    """
    if not isinstance(keys, (str, os.PathLike)):
        return _entries(keys)
    path = os.fspath(keys)
    parsed = _parse(_read(path), path)
    try:
        return _entries(parsed)
    except Invalid as malformed:
        raise Invalid(malformed.code, f"keys in `{path}`: {malformed.detail}") from None


def _entries(keys: object) -> List[Dict[str, Any]]:
    if isinstance(keys, Mapping):
        lists = [keys[name] for name in ("keys", "items") if name in keys]
        keys = lists[0] if lists else [keys]
    if not isinstance(keys, (list, tuple)):
        raise Invalid("request-invalid", "expected a key or a list of keys")
    return [entry for entry in map(_entry, keys) if entry is not None]


def approving(keys: Iterable[Mapping[str, Any]], allow_hmac: bool) -> List[Dict[str, Any]]:
    """Returns the keys that count for an executor, and revoked ones, whose material counts nowhere.

    An HMAC key verifies and signs alike, so it counts only where the executor allows it.
    """
    return [
        dict(key)
        for key in keys
        if key["use"] == "approve" and (allow_hmac or key["algorithm"] != "hmac-sha256")
    ]


def stricter(
    pinned: Sequence[Mapping[str, Any]], listed: Sequence[Mapping[str, Any]]
) -> List[Dict[str, Any]]:
    """Returns the pinned keys with what the server's list takes away from them, never adds.

    A key that the server lists as revoked, by id or by material, is revoked. The groups of a key
    are those that both name.
    """
    made = []
    for key in pinned:
        strict = dict(key)
        for other in listed:
            same_id = other.get("id") == key["id"]
            same_material = _public_half(other) == key["material"]
            if not (same_id or same_material):
                continue
            if other.get("status") == "revoked":
                strict["status"] = "revoked"
            if same_id:
                groups = other.get("groups")
                named = groups if isinstance(groups, list) else []
                strict["groups"] = [group for group in strict["groups"] if group in named]
        made.append(strict)
    return made


def _public_half(listed: Mapping[str, Any]) -> Any:
    return listed.get("public_key") or listed.get("material")


def _read(path: str) -> str:
    try:
        return read_owned(path, FILE_BYTES_MAX)
    except OSError as error:
        raise Invalid("request-invalid", f"keys in `{path}`: {error.strerror}") from None


def _parse(text: str, path: str) -> Any:
    """Parses a JSON value, or the lines with a key in the output of `signoff key generate`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    except (ValueError, RecursionError):
        found = []
    if not found:
        raise Invalid("request-invalid", f"keys in `{path}`: expected JSON")
    return found


def _entry(key: object) -> Optional[Dict[str, Any]]:
    """Returns a key; None for an HMAC key that is listed without its secret."""
    if not isinstance(key, Mapping):
        raise Invalid("request-invalid", "a key must be an object")
    # In a list of `signoff key list` it is true or false.
    if isinstance(key.get("private"), str):
        raise Invalid("request-invalid", PRIVATE)
    found = {name: key.get(name) for name in _MEMBERS}
    if found["material"] is None:
        found["material"] = key.get("public_key")
    if found["material"] is None and found["algorithm"] == "hmac-sha256":
        return None
    found["status"] = found["status"] or "active"
    found["use"] = found["use"] or "approve"
    found["groups"] = [] if found["groups"] is None else found["groups"]
    for name in ("id", "algorithm", "material", "status", "use"):
        if not isinstance(found[name], str):
            raise Invalid("request-invalid", f"a key without `{name}`")
    if not isinstance(found["groups"], list):
        raise Invalid("request-invalid", "a key's `groups` must be a list")
    return found
