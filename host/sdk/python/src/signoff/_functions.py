"""Which functions a guard runs: such as have run when they return, so that the report is true."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, TypeVar

T = TypeVar("T")


def check_function(function: Callable[..., Any]) -> None:
    """Raises `TypeError` for a function whose call only makes a coroutine or generator."""
    if _is(inspect.iscoroutinefunction, function):
        raise TypeError("a coroutine function needs an AsyncClient")
    check_no_generator(function)


def check_coroutine_function(function: Callable[..., Any]) -> None:
    """Raises `TypeError` for what is not a coroutine function: it would run when it is called."""
    check_no_generator(function)
    if not _is(inspect.iscoroutinefunction, function):
        raise TypeError("a function that is not a coroutine function needs a Client")


def check_no_generator(function: Callable[..., Any]) -> None:
    """Raises `TypeError` for a generator function, also an asynchronous one."""
    if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
        raise TypeError("a generator function runs after the guard has ended: use a `with` block")


def has_run(result: T) -> T:
    """Returns the result of a guarded function.

    Raises `TypeError` for a coroutine or generator, of which nothing has run: it is closed, and
    the outcome is `failed`.
    """
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()
    elif not inspect.isasyncgen(result):
        return result
    raise TypeError(f"the guarded function returned a {type(result).__name__}, which has not run")


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Returns whether a call of the function makes a coroutine."""
    return _is(inspect.iscoroutinefunction, function)


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Returns whether a function, or the method that makes an object callable, is of a kind."""
    while isinstance(function, functools.partial):
        function = function.func
    if not callable(function):
        raise TypeError(f"expected a function, got a {type(function).__name__}")
    return kind(function) or kind(type(function).__call__)
