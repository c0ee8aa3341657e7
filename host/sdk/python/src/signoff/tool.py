"""The decorator `guarded`: each call of a plain function needs an approval of its own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from ._arguments import Binding, ContextOf
from ._functions import check_no_generator, has_run, is_coroutine_function
from ._gate import Call, Gate
from ._guarded import Approved, AsyncApproved

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .client import Client

F = TypeVar("F", bound=Callable[..., Any])


def guarded(
    gate: Optional[Gate] = None,
    *,
    client: Optional[Union[Client, AsyncClient]] = None,
    agent: Optional[str] = None,
    action: Optional[str] = None,
    context: Optional[ContextOf] = None,
    key: Optional[Callable[..., str]] = None,
    **options: Any,
) -> Callable[[F], F]:
    """Returns a decorator for functions and coroutine functions.

    The gate is `gate`, or one of `client`, `agent` and the other options; see `Gate`. The action
    is `action`, or that of the function's name. The context has the arguments by name, and the
    function runs on the values of the approved text; `context` computes another one, as in
    `Client.requires_approval`. A parameter named `execution` gets the `Execution`.

    Without `key`, each call requests anew. With `key`, a function of the arguments, calls with the
    same key and arguments are the same call: after a crash it finds its approval, and it runs once
    for that approval. What the policy allows has no approval, and runs at each call.

    A call that is not approved raises: `Rejected`, `Expired`, `Withdrawn`, `Denied`, `TimedOut`, or
    another `SignoffError`. Nothing has run then.

    >>> @signoff.guarded(agent="billing")
    ... def refund(customer: str, cents: int) -> None: ...
    """
    if gate is None:
        if agent is None:
            raise TypeError("`guarded` needs a gate, or `agent`")
        gate = Gate(client, agent=agent, **options)
    elif agent is not None or client is not None or options:
        raise TypeError("the gate has `client`, `agent` and the options of approvals")
    return functools.partial(_decorate, gate, action, context, key)


def _decorate(
    gate: Gate,
    action: Optional[str],
    context: Optional[ContextOf],
    key: Optional[Callable[..., str]],
    function: F,
) -> F:
    check_no_generator(function)
    binding, name = Binding(function, context), getattr(function, "__name__", "")
    run = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', name)}"

    def guard_of(args: Any, kwargs: Any) -> Any:
        shown, id = binding.context_of(args, kwargs), None
        if key is not None:
            id = key(*args, **kwargs)
            if not isinstance(id, str) or not id:
                raise TypeError("`key` must return a text that is not empty")
        call = Call(name, shown, None if id is None else run, id)
        return functools.partial(gate.guard, call, action)

    if is_coroutine_function(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            approved = AsyncApproved(guard_of(args, kwargs), gate.async_io())
            async with approved as execution:
                args, kwargs = binding.arguments(execution, args, kwargs)
                return has_run(await function(*args, **kwargs))

        return cast(F, call_async)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Approved(guard_of(args, kwargs), gate.io()) as execution:
            args, kwargs = binding.arguments(execution, args, kwargs)
            return has_run(function(*args, **kwargs))

    return cast(F, call)
