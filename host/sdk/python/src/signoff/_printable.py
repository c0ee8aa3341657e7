"""Texts of agents, approvers and servers in messages: nothing in them acts on a terminal or log."""

from __future__ import annotations

# A longer text is cut.
CHARACTERS_MAX = 1000


def printable(text: str) -> str:
    r"""Returns a text in one line: a character that is not printable becomes `\u{202e}`."""
    shown = text[:CHARACTERS_MAX]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in shown)
    return shown if len(text) <= CHARACTERS_MAX else shown + "…"
