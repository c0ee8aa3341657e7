"""A second implementation of the rules for a context: slow, written from the grammar, checked with CPython.

`judge(text)` returns the verifier's expected answer. An accepted text gets CPython's own canonical
form; a refused one gets the kind of refusal and its byte offset. Each answer is also compared with
CPython's `json`, which must read what is accepted here, and must either fail on what is refused or be
known to be more lenient.
"""

import hashlib
import json
import re

BYTES_MAX = 1 << 20
DEPTH_MAX = 64
INT_DIGITS_MAX = 4300

WHITESPACE = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"-?(\d*)(\.\d*)?([eE][+-]?\d*)?", re.ASCII)
STRING_RUN = re.compile(r'[^"\\\x00-\x1f]*')
ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
LOW = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")

# Refusals of texts that CPython reads.
LENIENT = {"not-object", "duplicate-key", "not-finite", "float-too-large", "lone-surrogate",
           "too-deep", "too-long", "integer-too-long"}


class Refused(Exception):
    """A refusal: its kind, and its offset in characters."""

    def __init__(self, kind, at):
        super().__init__(kind, at)
        self.kind = kind
        self.at = at


def judge(text):
    """Returns `{"canonical", "digest"}` or `{"kind", "offset"}`, the offset in bytes of UTF-8."""
    try:
        if len(text.encode()) > BYTES_MAX:
            raise Refused("too-long", BYTES_MAX)
        check(text)
    except Refused as refused:
        confirm_refusal(text, refused.kind)
        offset = refused.at if refused.kind == "too-long" else len(text[: refused.at].encode())
        return {"kind": refused.kind, "offset": offset}
    canonical = json.dumps(json.loads(text), sort_keys=True)
    assert len(canonical) <= BYTES_MAX, "the reference has no offset for a canonical form that is too long"
    return {"canonical": canonical, "digest": hashlib.sha256(canonical.encode()).hexdigest()}


def confirm_refusal(text, kind):
    """Fails if CPython reads a text that is refused as malformed."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return
    assert kind in LENIENT, f"CPython reads a text that is refused as {kind}: {text!r}"


def check(text):
    """Raises `Refused` for the first fault."""
    at = space(text, 0)
    expect(text, at, "{", "not-object")
    at = space(text, value(text, at, 0))
    if at < len(text):
        raise Refused("unexpected", at)


def value(text, at, depth):
    """Reads the value at `at` and returns where it ends."""
    first = text[at : at + 1]
    if first in ("{", "["):
        if depth == DEPTH_MAX:
            raise Refused("too-deep", at)
        return (members if first == "{" else items)(text, at + 1, depth + 1)
    if first == '"':
        return string(text, at)[1]
    for word in ("NaN", "Infinity", "-Infinity"):
        if text.startswith(word, at):
            raise Refused("not-finite", at)
    for word in ("true", "false", "null"):
        if text.startswith(word, at):
            return at + len(word)
    if first == "-" or first in tuple("0123456789"):
        return number(text, at)
    raise Refused("unexpected", at)


def members(text, at, depth):
    at = space(text, at)
    if text[at : at + 1] == "}":
        return at + 1
    seen, duplicate = set(), None
    while True:
        expect(text, at, '"')
        key, end = string(text, at)
        if key in seen and duplicate is None:
            duplicate = Refused("duplicate-key", at)
        seen.add(key)
        at = space(text, end)
        expect(text, at, ":")
        at = space(text, value(text, space(text, at + 1), depth))
        if text[at : at + 1] == "}":
            # Duplicates are checked only in a complete object.
            if duplicate is not None:
                raise duplicate
            return at + 1
        expect(text, at, ",")
        at = space(text, at + 1)


def items(text, at, depth):
    at = space(text, at)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        at = space(text, value(text, at, depth))
        if text[at : at + 1] == "]":
            return at + 1
        expect(text, at, ",")
        at = space(text, at + 1)


def string(text, at):
    """Reads the string at `at`; returns its value and where it ends."""
    start, at = at, at + 1
    while True:
        at = STRING_RUN.match(text, at).end()
        if text[at : at + 1] == '"':
            return json.loads(text[start : at + 1]), at + 1
        if text[at : at + 1] != "\\":
            raise Refused("control" if at < len(text) else "unexpected", at)
        escape = ESCAPE.match(text, at)
        if escape is None:
            raise Refused("escape", at)
        if HIGH.match(text, at):
            if not LOW.match(text, at + 6):
                raise Refused("lone-surrogate", at)
            at += 12
        elif LOW.match(text, at):
            raise Refused("lone-surrogate", at)
        else:
            at = escape.end()


def number(text, at):
    """Reads the number at `at` and returns where it ends."""
    match = NUMBER.match(text, at)
    whole, fraction, exponent = match.groups()
    if whole == "":
        raise Refused("unexpected", match.end(1))
    if whole[0] == "0" and len(whole) > 1:
        raise Refused("leading-zero", match.start(1))
    if fraction == ".":
        raise Refused("unexpected", match.end(2))
    if exponent is not None and not exponent[-1].isdigit():
        raise Refused("unexpected", match.end(3))
    if fraction is None and exponent is None:
        if len(whole) > INT_DIGITS_MAX:
            raise Refused("integer-too-long", at)
    elif float(match.group()) in (float("inf"), float("-inf")):
        raise Refused("float-too-large", at)
    return match.end()


def expect(text, at, character, kind="unexpected"):
    if text[at : at + 1] != character:
        raise Refused(kind, at)


def space(text, at):
    return WHITESPACE.match(text, at).end()
