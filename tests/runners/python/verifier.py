"""Calls the verifier component through `wire`, in wasmtime."""

from wasmtime import Config, Engine, Store
from wasmtime.component import Component, Linker

WIRE = "signoff:approval/wire@0.1.0"


class Verifier:
    def __init__(self, path):
        engine = Engine(Config())
        component = Component.from_file(engine, str(path))
        self._store = Store(engine)
        # An empty linker: a component that imports anything does not instantiate.
        instance = Linker(engine).instantiate(self._store, component)
        wire = instance.get_export_index(self._store, WIRE)
        call = wire and instance.get_export_index(self._store, "call", wire)
        self._call = call and instance.get_func(self._store, call)
        if self._call is None:
            raise ValueError(f"the component does not export `call` of `{WIRE}`")

    def call(self, request: str) -> str:
        """Returns the answer to a request; both are JSON texts."""
        answer = self._call(self._store, request)
        self._call.post_return(self._store)
        return answer
