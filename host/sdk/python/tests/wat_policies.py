"""Small policies for tests: components of world `policy`, written as text."""

from __future__ import annotations

import struct
from typing import Optional, Sequence

from wasmtime import wat2wasm

RESULT = 1024
TEXTS = 4096

_ATTEMPT = """(record (field "agent" string) (field "action" string) (field "context" string)
  (field "plan" (option string)) (field "facts" string) (field "now" u64))"""
_VERDICT = """(record (field "decision" string) (field "rule" (option string))
  (field "reason" (option string)) (field "requirement" (option string))
  (field "failed" (list string)))"""


def policy(
    decision: str = "allow",
    rule: Optional[str] = None,
    reason: Optional[str] = None,
    requirement: Optional[str] = None,
    failed: Sequence[str] = (),
    *,
    body: str = "",
    pages: int = 4,
    memories: str = "",
    imports: str = "",
    verdict: str = _VERDICT,
) -> bytes:
    """Returns a policy with one verdict. `body` runs before it, on the attempt as `policy.wit` has
    it, lowered: `(local.get 4)` and 5 are the context, 7 and 8 the plan, 9 and 10 the facts."""
    layout = _Layout()
    result = layout.text(decision)
    for text in (rule, reason, requirement):
        result += struct.pack("<I", text is not None) + layout.text(text or "")
    items = b"".join(layout.text(id) for id in failed)
    result += struct.pack("<II", layout.place(items), len(failed))
    description = RESULT + len(result)
    result += layout.text('{"name":"tests"}')
    text = f"""
(component {imports}
  (core module $m
    (memory (export "memory") {pages}) {memories}
    (global $next (mut i32) (i32.const 131072))
    (data (i32.const {RESULT}) "{_escaped(result)}")
    (data (i32.const {TEXTS}) "{_escaped(layout.data)}")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $next)
      (global.set $next (i32.add (global.get $next)
        (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -8)))))
    (func (export "describe") (result i32) (i32.const {description}))
    (func (export "evaluate")
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32)
      {body} (i32.const {RESULT})))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (type $attempt {_ATTEMPT})
  (type $verdict {verdict})
  (func $evaluate (param "attempt" $attempt) (result $verdict)
    (canon lift (core func $i "evaluate") (memory $memory) (realloc (func $i "realloc"))))
  (func $describe (result string) (canon lift (core func $i "describe") (memory $memory)))
  (component $shim
    (type $a {_ATTEMPT})
    (type $v {verdict})
    (import "attempt" (type $attempt (eq $a)))
    (import "verdict" (type $verdict (eq $v)))
    (import "evaluate" (func $evaluate (param "attempt" $attempt) (result $verdict)))
    (export $attempt2 "attempt" (type $attempt))
    (export $verdict2 "verdict" (type $verdict))
    (export "evaluate" (func $evaluate) (func (param "attempt" $attempt2) (result $verdict2))))
  (instance $guardrails (instantiate $shim (with "attempt" (type $attempt))
    (with "verdict" (type $verdict)) (with "evaluate" (func $evaluate))))
  (export "signoff:approval/guardrails@0.1.0" (instance $guardrails))
  (export "describe" (func $describe)))"""
    return bytes(wat2wasm(text))


class _Layout:
    """Places texts in the memory."""

    def __init__(self) -> None:
        self.data = b""

    def place(self, data: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 8)
        start = TEXTS + len(self.data)
        self.data += data
        return start

    def text(self, text: str) -> bytes:
        data = text.encode()
        return struct.pack("<II", self.place(data), len(data))


def _escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)
