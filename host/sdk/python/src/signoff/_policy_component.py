"""Policies in wasmtime: compiled once, and evaluated in a fresh instance each time."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from typing import Any, Mapping, Optional

from wasmtime import Config, Engine, Store, WasmtimeError
from wasmtime.component import Component, Linker, Record

from . import _compiled
from ._fork import ForkLock
from .verdict import Verdict, read_verdict

GUARDRAILS = "signoff:approval/guardrails@0.1.0"
# The server's limit of a policy's tables.
TABLE_ELEMENTS_MAX = 65_536
# Compiled policies that are kept; one has about 12 MiB.
CACHED_MAX = 8

_lock = ForkLock()
_engine: Optional[Engine] = None


class PolicyFailed(Exception):
    """The policy cannot run here, trapped, or reached a limit: there is no verdict."""


class PolicyModule:
    """A compiled policy. Any number of threads may evaluate it.

    `limits` are the manifest's: `fuel`, which bounds the instructions of one evaluation, and
    `memory_bytes`. A policy with more than one memory does not run here, because the limit is for
    all of them together.

    Raises `PolicyFailed` for bytes that are not a component.
    """

    def __init__(self, wasm: bytes, limits: Mapping[str, int]) -> None:
        self.digest = hashlib.sha256(wasm).hexdigest()
        self._fuel, self._memory_bytes = limits["fuel"], limits["memory_bytes"]
        self._engine = _shared_engine()
        self._component = _load(self._engine, wasm, self.digest)

    def evaluate(self, attempt: Mapping[str, Any]) -> Verdict:
        """Returns the verdict on an attempt, whose members are those of `policy.wit`.

        Raises `PolicyFailed`; `MalformedVerdict` for a result that is not a verdict.
        """
        with Store(self._engine) as store:
            try:
                raw = self._call(store, attempt)
            except WasmtimeError as error:
                # The last line is the cause; before it comes the stack.
                reason = [line.strip() for line in str(error).splitlines() if line.strip()]
                raise PolicyFailed(f"the policy failed: {(reason or ['trap'])[-1]}") from None
            return read_verdict(raw, self.digest)

    def _call(self, store: Store, attempt: Mapping[str, Any]) -> Any:
        store.set_limits(
            memory_size=self._memory_bytes, table_elements=TABLE_ELEMENTS_MAX, memories=1
        )
        store.set_fuel(self._fuel)
        # An empty linker: a component that imports anything does not instantiate.
        instance = Linker(self._engine).instantiate(store, self._component)
        guardrails = instance.get_export_index(store, GUARDRAILS)
        index = guardrails and instance.get_export_index(store, "evaluate", guardrails)
        evaluate = index and instance.get_func(store, index)
        if not evaluate:
            raise PolicyFailed(f"the component does not export `{GUARDRAILS}`")
        argument = Record()
        argument.__dict__.update(attempt)
        try:
            raw = evaluate(store, argument)
            texts = [raw.decision, *raw.failed]
            texts += [one for one in (raw.rule, raw.reason, raw.requirement) if one is not None]
            is_typed = all(isinstance(text, str) for text in texts)
        except (AttributeError, TypeError, ValueError, AssertionError):
            is_typed = False
        if not is_typed:
            raise PolicyFailed("its `evaluate` takes or returns other types than `policy.wit` says")
        return raw


def _shared_engine() -> Engine:
    """Returns the engine of all policies. Its settings are the server's, so that a policy computes
    the same in both."""
    global _engine
    with _lock:
        if _engine is None:
            config = Config()
            config.consume_fuel = True
            config.cranelift_nan_canonicalization = True
            config.wasm_relaxed_simd = False
            config.max_wasm_stack = 512 << 10
            _engine = Engine(config)
        return _engine


def _load(engine: Engine, wasm: bytes, digest: str) -> Component:
    """Loads compiled code from the cache, or compiles it, which takes seconds."""
    runtime = metadata.version("wasmtime")
    name = f"policy-{digest}-wasmtime-{runtime}-{platform.system()}-{platform.machine()}"
    cached = _compiled.read(name)
    try:
        if cached is not None:
            try:
                return Component.deserialize(engine, cached)
            except WasmtimeError:
                pass  # Another processor's, or damaged: compile and replace it.
        component = Component(engine, wasm)
    except WasmtimeError as error:
        raise PolicyFailed(f"not a component that runs here: {error}") from None
    _compiled.write(name, bytes(component.serialize()))
    _compiled.remove_old("policy-", CACHED_MAX)
    return component
