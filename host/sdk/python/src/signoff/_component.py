"""The verifier component in wasmtime: one loaded module, and a pool of instances."""

from __future__ import annotations

import collections
import hashlib
import pathlib
import platform
from importlib import metadata
from typing import Any, Deque, Optional

from wasmtime import Config, Engine, Store, WasmtimeError
from wasmtime.component import Component, Func, Linker

from . import _compiled
from ._fork import ForkLock
from .errors import Invalid, VerifierTrapped

WIRE = "signoff:approval/wire@0.1.0"
PATH = pathlib.Path(__file__).with_name("verifier.wasm")
# The verifier itself refuses more than 16 MiB; a request far above that does not reach it.
REQUEST_BYTES_MAX = 17 << 20
# An instance's memory never shrinks. A request up to 128 KiB needs at most 34 pages of 64 KiB; one
# above that gets an instance of its own, so no instance of the pool is above 4 MiB.
POOLED_REQUEST_BYTES_MAX = 128 << 10
POOLED_MEMORY_BYTES_MAX = 4 << 20
# A request of 16 MiB needs less than 400 MiB.
MEMORY_BYTES_MAX = 512 << 20
# More idle instances than threads that can run at once are of no use.
IDLE_MAX = 16


class Module:
    """The compiled component. Any number of threads may call it."""

    def __init__(self, wasm: bytes) -> None:
        self.digest = hashlib.sha256(wasm).hexdigest()
        self._engine = Engine(Config())
        self._component = _load(self._engine, wasm, self.digest)
        self._idle: Deque[_Instance] = collections.deque()

    def call(self, request: str) -> str:
        """Returns the answer of `wire.call` to a request.

        Raises, in this order:
        - `Invalid` with `request-invalid`: the request is not well-formed Unicode.
        - `Invalid` with `limit-exceeded`: it has more than 17 MiB.
        - `VerifierTrapped`.
        """
        size = _size(request)
        if size > POOLED_REQUEST_BYTES_MAX:
            if size > REQUEST_BYTES_MAX:
                limit = f"the request has {size} bytes, the limit is {REQUEST_BYTES_MAX}"
                raise Invalid("limit-exceeded", limit)
            return _Instance(self._engine, self._component, MEMORY_BYTES_MAX).call(request)
        try:
            instance = self._idle.pop()
        except IndexError:
            instance = _Instance(self._engine, self._component, POOLED_MEMORY_BYTES_MAX)
        # If the call raises, the instance is in an unknown state and is dropped here.
        answer = instance.call(request)
        if len(self._idle) < IDLE_MAX:
            self._idle.append(instance)
        return answer


class _Instance:
    """One instance in its own store, for one call at a time: two threads in one store abort."""

    def __init__(self, engine: Engine, component: Component, memory_bytes_max: int) -> None:
        self._store = Store(engine)
        self._store.set_limits(memory_size=memory_bytes_max)
        try:
            # An empty linker: a component that imports anything does not instantiate.
            instance = Linker(engine).instantiate(self._store, component)
        except WasmtimeError as error:
            raise VerifierTrapped("verifier-trapped", f"no instance: {error}") from error
        wire = instance.get_export_index(self._store, WIRE)
        index = wire and instance.get_export_index(self._store, "call", wire)
        call = index and instance.get_func(self._store, index)
        if not call:
            raise VerifierTrapped("verifier-trapped", f"the component does not export `{WIRE}`")
        self._call = _with_known_type(call, self._store)

    def call(self, request: str) -> str:
        # wasmtime frees the answer by itself since it calls `post-return` (a test counts on it).
        try:
            answer = self._call(self._store, request)
        except WasmtimeError as error:
            reason = str(error).splitlines()[0] if str(error) else "trap"
            raise VerifierTrapped("verifier-trapped", f"the verifier failed: {reason}") from None
        if not isinstance(answer, str):
            raise VerifierTrapped("verifier-trapped", "the verifier returned no text")
        return answer


class _KnownType:
    """The type of `call`, read once: reading it takes as long as the call itself."""

    def __init__(self, call: Func, store: Store) -> None:
        read = call.type(store)
        self.params, self.result = read.params, read.result


def _with_known_type(call: Func, store: Store) -> Any:
    known = _KnownType(call, store)
    call.type = lambda _store: known  # type: ignore[method-assign, assignment, return-value]
    return call


def _size(request: str) -> int:
    """Returns the size of a request in UTF-8."""
    if request.isascii():
        return len(request)
    try:
        return len(request.encode())
    except UnicodeEncodeError:
        raise Invalid("request-invalid", "a lone surrogate is not Unicode text") from None


def _load(engine: Engine, wasm: bytes, digest: str) -> Component:
    """Loads compiled code from the cache, or compiles it, which takes 0.3 to 2 s."""
    runtime = metadata.version("wasmtime")
    name = f"verifier-{digest}-wasmtime-{runtime}-{platform.system()}-{platform.machine()}"
    cached = _compiled.read(name)
    if cached is not None:
        try:
            return Component.deserialize(engine, cached)
        except WasmtimeError:
            pass  # Another processor's, or damaged: compile and replace it.
    component = Component(engine, wasm)
    _compiled.write(name, bytes(component.serialize()))
    return component


_lock = ForkLock()
_shared: Optional[Module] = None


def shared() -> Module:
    """Returns the module of this process, loaded once."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = Module(PATH.read_bytes())
        return _shared
