"""Kinds of functions: none is reported before it has run, or runs where it is refused."""

from __future__ import annotations

import asyncio
import functools
import uuid
from typing import Any, AsyncIterator, Dict, Iterator, List

import pytest
from fake import Fake, problem
from live import Deciding, Office
from test_guard import only

import signoff
from signoff import runbook

ATTEMPT: Dict[str, Any] = {"agent": "deployer", "action": "deploy", "context": {"to": "prod"}}
ran: List[str] = []


def plain(_: Any) -> None:
    ran.append("plain")


async def coroutine(_: Any) -> None:
    ran.append("coroutine")


def generator(_: Any) -> Iterator[int]:
    ran.append("generator")
    yield 1


async def async_generator(_: Any) -> AsyncIterator[int]:
    ran.append("async_generator")
    yield 1


class Coroutine:
    async def __call__(self, _: Any) -> None:
        ran.append("coroutine")


class Generator:
    def __call__(self, _: Any) -> Iterator[int]:
        ran.append("generator")
        yield 1


COROUTINES: List[Any] = [
    coroutine,
    functools.partial(functools.partial(coroutine)),
    Coroutine(),
    Coroutine().__call__,
]
GENERATORS: List[Any] = [
    generator,
    async_generator,
    functools.partial(generator),
    Generator(),
    Generator().__call__,
]


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.mark.parametrize("function", [*COROUTINES, *GENERATORS, None, 1])
def test_client_refuses_what_does_not_run_when_it_is_called(fake: Fake, function: Any) -> None:
    fake.answers.append(problem("forbidden", 403))
    with signoff.Client(fake.url) as client:
        with pytest.raises(TypeError):
            client.guard(function, **ATTEMPT)
        with pytest.raises(TypeError):
            client.requires_approval(agent="a", action="b", context=dict)(function)
    assert (fake.requests, ran) == ([], [])


@pytest.mark.parametrize("function", [plain, lambda _: coroutine(_), *GENERATORS, None, 1])
def test_asyncio_client_refuses_what_is_no_coroutine_function(fake: Fake, function: Any) -> None:
    fake.answers.append(problem("forbidden", 403))

    async def work() -> None:
        async with signoff.AsyncClient(fake.url) as client:
            with pytest.raises(TypeError):
                await client.guard(function, **ATTEMPT)
            with pytest.raises(TypeError):
                client.requires_approval(agent="a", action="b", context=dict)(function)

    asyncio.run(work())
    assert (fake.requests, ran) == ([], [])


@pytest.mark.parametrize("function", GENERATORS)
def test_executor_of_the_runbook_refuses_generator_functions(fake: Fake, function: Any) -> None:
    db = runbook.Session(signoff.Client(fake.url))
    with pytest.raises(TypeError):
        runbook.Executor(db, db, run=function)


@pytest.fixture
def options() -> Dict[str, Any]:
    return {**ATTEMPT, "action": f"deploy-{uuid.uuid4()}"}


def must_have_failed(office: Office, options: Dict[str, Any]) -> None:
    execution = only(office, options["action"]).members["execution"]
    assert (execution["outcome"], execution["detail"]) == ("failed", "TypeError")
    assert ran == []


@pytest.mark.parametrize("function", [coroutine, generator, async_generator])
@pytest.mark.parametrize("decorated", [False, True])
def test_result_that_has_not_run_is_reported_as_failed(
    office: Office,
    client: signoff.Client,
    options: Dict[str, Any],
    function: Any,
    decorated: bool,
) -> None:
    with Deciding(office, options["action"]), pytest.raises(TypeError, match="has not run"):
        if decorated:
            made = {**options, "context": lambda to: {"to": to}}
            client.requires_approval(**made)(lambda to: function(to))("prod")
        else:
            client.guard(lambda execution: function(execution), **options)
    must_have_failed(office, options)


@pytest.mark.parametrize("function", [coroutine, generator, async_generator])
@pytest.mark.parametrize("decorated", [False, True])
def test_asyncio_result_that_has_not_run_is_reported_as_failed(
    office: Office, options: Dict[str, Any], function: Any, decorated: bool
) -> None:
    async def nested(given: Any) -> Any:
        return function(given)

    async def work() -> None:
        async with signoff.AsyncClient(office.url, office.agent) as client:
            if decorated:
                made = {**options, "context": lambda to: {"to": to}}
                await client.requires_approval(**made)(nested)("prod")
            else:
                await client.guard(nested, **options)

    with Deciding(office, options["action"]), pytest.raises(TypeError, match="has not run"):
        asyncio.run(work())
    must_have_failed(office, options)


def test_functions_that_run_are_fine(
    office: Office, client: signoff.Client, options: Dict[str, Any]
) -> None:
    with Deciding(office, options["action"]):
        client.guard(functools.partial(plain), **options)

    async def work() -> None:
        async with signoff.AsyncClient(office.url, office.agent) as asynchronous:
            await asynchronous.guard(functools.partial(coroutine), **again)

    again = {**options, "action": f"deploy-{uuid.uuid4()}"}
    with Deciding(office, again["action"]):
        asyncio.run(work())
    assert ran == ["plain", "coroutine"]
    for one in (options, again):
        assert only(office, one["action"]).outcome == "succeeded"
