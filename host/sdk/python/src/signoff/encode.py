"""From values of Python to the JSON text of a context or plan. Nothing changes silently."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from typing import Any, Callable, Dict, List, Mapping, Tuple, Union

from .errors import Invalid

# The verifier's limit; the top level is depth 1.
DEPTH_MAX = 64


class RawJson:
    """A JSON text that is passed as it is, for example one that another program serialized."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"RawJson takes a text, not {type(text).__name__}")
        self.text = text

    def __repr__(self) -> str:
        return f"RawJson({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawJson) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


Json = Union[Mapping[str, Any], RawJson]
"""A context or plan: a mapping with string keys, or the text of a JSON object."""


def json_text(value: Json, name: str = "context") -> str:
    """Returns the JSON text of a context or plan, the only form in which it is sent and compared.

    Accepts `None`, `bool`, `int`, `float`, `str`, lists, tuples, mappings with string keys,
    `RawJson`, and `datetime` in whole seconds, which becomes RFC 3339 in UTC (a naive one counts
    as UTC). Everything else, such as `Decimal`, `bytes`, `set` or NaN, is refused: convert it to
    what the approver should read.

    Raises `Invalid` with the code `context-invalid` and the path of the value.
    """
    if not isinstance(value, (Mapping, RawJson)):
        hint = ": wrap a JSON text in RawJson" if isinstance(value, str) else ""
        raise _refused(name, f"expected a mapping or RawJson, found {type(value).__name__}{hint}")
    parts: List[str] = []
    _encode(value, name, 1, parts.append)
    text = "".join(parts)
    if not text.lstrip(" \t\r\n").startswith("{"):
        raise _refused(name, "expected a JSON object")
    return text


def canonical(text: str) -> Tuple[str, str]:
    """Returns the canonical form of a JSON object and its SHA-256 in hex, as `context.read` does.

    The canonical form is defined as what this expression prints. A program without the verifier
    compares by it; the verifier has more limits.

    Raises `Invalid` with the code `context-invalid`.
    """
    form = json.dumps(strict_loads(text, "context"), sort_keys=True)
    return form, hashlib.sha256(form.encode()).hexdigest()


def strict_loads(text: str, path: str) -> Any:
    """Parses one JSON value; a duplicate key, NaN and Infinity are refused.

    Raises `Invalid` with the code `context-invalid`.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"malformed JSON: {error}") from None


def _check_raw(text: str, path: str) -> None:
    """Refuses a text that is not one value, and escapes and numbers that stand for none."""
    try:
        json.dumps(strict_loads(text, path), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise _refused(path, "a lone surrogate is not Unicode text") from None
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"malformed JSON: {error}") from None


def _encode(value: object, path: str, depth: int, put: Callable[[str], Any]) -> None:
    if value is None:
        put("null")
    elif isinstance(value, bool):
        put("true" if value else "false")
    elif isinstance(value, str):
        put(_encode_text(value, path))
    elif isinstance(value, int):
        put(_encode_int(value, path))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(path, f"{value} is not a JSON number")
        put(float.__repr__(value))
    elif isinstance(value, RawJson):
        _encode_text(value.text, path)
        _check_raw(value.text, path)
        put(value.text)
    elif isinstance(value, datetime.datetime):
        put(f'"{timestamp(value, path)}"')
    elif isinstance(value, Mapping):
        _check_depth(path, depth)
        separator = "{"
        for key, item in value.items():
            if not isinstance(key, str):
                raise _refused(path, f"keys must be str, found {type(key).__name__}")
            put(f"{separator}{_encode_text(key, path)}:")
            _encode(item, f"{path}.{key}", depth + 1, put)
            separator = ","
        put("{}" if separator == "{" else "}")
    elif isinstance(value, (list, tuple)):
        _check_depth(path, depth)
        put("[")
        for index, item in enumerate(value):
            if index:
                put(",")
            _encode(item, f"{path}[{index}]", depth + 1, put)
        put("]")
    else:
        raise _refused(path, f"{type(value).__name__} has no JSON form")


def _check_depth(path: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        short = path if len(path) <= 80 else path[:80] + "…"
        raise _refused(short, f"deeper than {DEPTH_MAX} levels, or a cycle")


def _encode_text(value: str, path: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _refused(path, "a lone surrogate is not Unicode text") from None
    return json.dumps(str.__str__(value))


def _encode_int(value: int, path: str) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # CPython's limit, which is also the verifier's.
        raise _refused(path, "an integer of more than 4300 digits") from None


def timestamp(time: datetime.datetime, path: str) -> str:
    """Returns a time as RFC 3339 in UTC, such as `2025-10-17T11:30:00Z`.

    Raises `Invalid` with the code `context-invalid` for microseconds.
    """
    if time.microsecond:
        raise _refused(path, "a time must have whole seconds: use .replace(microsecond=0)")
    return in_utc(time).replace(tzinfo=None).isoformat() + "Z"


def in_utc(time: datetime.datetime) -> datetime.datetime:
    """Returns an aware time in UTC; a naive one counts as UTC."""
    if time.utcoffset() is None:
        return time.replace(tzinfo=datetime.timezone.utc)
    return time.astimezone(datetime.timezone.utc)


def _refused(path: str, why: str) -> Invalid:
    return Invalid("context-invalid", f"`{path}`: {why}")


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
