"""Binds a function to an approved context: for `requires_approval`."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from .encode import Json
from .execution import Execution

ContextOf = Callable[..., Json]
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
EXECUTION = "execution"


class Binding:
    """How a decorated function gets its context and, once approved, its arguments.

    Without `context`, the context has the arguments of the call by name, and the function is
    called with the values of the approved text, never with the objects that the caller passed.
    With `context`, that function computes the context from the arguments, and the decorated
    function gets the arguments as they are. A parameter `execution` gets the `Execution`.

    Raises `TypeError` for a function without `context` whose parameters are not all named.
    """

    def __init__(self, function: Callable[..., Any], context: Optional[ContextOf]) -> None:
        self._signature = inspect.signature(function)
        self._context = context
        parameters = self._signature.parameters.values()
        self._wants_execution = EXECUTION in self._signature.parameters
        if context is None and any(one.kind not in _NAMED for one in parameters):
            raise TypeError(
                f"`{function.__name__}` has parameters without a name: give `context`, a function "
                "of the arguments"
            )

    def context_of(self, args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> Json:
        """Returns the context of a call. Raises `TypeError` for arguments that do not fit."""
        if self._wants_execution and EXECUTION in kwargs:
            raise TypeError("`execution` is given by signoff")
        if self._context is not None:
            return self._context(*args, **kwargs)
        bound = self._signature.bind_partial(*args, **kwargs)
        bound.apply_defaults()
        bound.arguments.pop(EXECUTION, None)
        self._check_complete(bound.arguments)
        return dict(bound.arguments)

    def arguments(
        self, execution: Execution, args: Tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
        """Returns the arguments with which the function runs."""
        given = dict(kwargs) if self._context is not None else dict(execution.context)
        if self._wants_execution:
            given[EXECUTION] = execution
        return (args if self._context is not None else ()), given

    def _check_complete(self, arguments: Mapping[str, Any]) -> None:
        for name in self._signature.parameters:
            if name not in arguments and not (name == EXECUTION):
                raise TypeError(f"missing a required argument: `{name}`")
