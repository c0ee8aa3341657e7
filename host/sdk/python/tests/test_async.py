"""The asyncio client: the same calls, and cancellation that leaves nothing behind."""

from __future__ import annotations

import asyncio
import inspect
import os
import pathlib
import socket
import uuid
from typing import Any, Awaitable, Callable, Dict, List

import pytest
from fake import APPROVAL, Fake, approval, cut, drip, endless, hang, problem, reply
from live import AUDIENCE, Deciding, Office
from test_guard import only

import signoff

ID = str(APPROVAL["id"])
Work = Callable[[signoff.AsyncClient], Awaitable[Any]]


def run(url: str, token: Any, work: Work, **settings: Any) -> Any:
    async def main() -> Any:
        async with signoff.AsyncClient(url, token, **settings) as client:
            return await work(client)

    return asyncio.run(main())


def test_clients_have_the_same_methods() -> None:
    def shape(kind: Any) -> Dict[str, Any]:
        names = [name for name in vars(kind) if not name.startswith("_")]
        return {name: list(inspect.signature(getattr(kind, name)).parameters) for name in names}

    assert shape(signoff.Client) == shape(signoff.AsyncClient)
    documented = [name for name, value in vars(signoff.AsyncClient).items() if callable(value)]
    assert all(getattr(signoff.AsyncClient, name).__doc__ for name in documented if name[0] != "_")


def test_call_retries_and_reuses_its_connection(fake: Fake) -> None:
    fake.answers.extend(
        [cut, problem("rate-limited", 429, "Retry-After: 0"), reply(approval(), 201)]
    )

    async def work(client: signoff.AsyncClient) -> None:
        await client.request("deployer", "deploy", {"to": "prod"})
        for _ in range(3):
            assert (await client.get(ID)).id == ID

    run(fake.url, "token", work)
    keys = {request.headers.get("idempotency-key") for request in fake.requests[:3]}
    assert len(keys) == 1
    assert fake.connections == 2


@pytest.mark.parametrize("answer", [hang, drip, endless, cut, reply([]), b"SSH-2.0\r\n"])
def test_answer_that_is_no_answer_is_unavailable(fake: Fake, answer: Any) -> None:
    fake.answers.append(answer)
    with pytest.raises(signoff.Unavailable):
        run(fake.url, None, lambda client: client.get(ID), timeout=0.3)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(signoff.Unavailable):
        run(f"http://127.0.0.1:{port}", None, lambda client: client.get(ID), timeout=0.3)


def test_cancelled_wait_closes_its_connection(fake: Fake) -> None:
    fake.answers.append(hang)

    async def work(client: signoff.AsyncClient) -> None:
        waiting = asyncio.ensure_future(client.wait(ID))
        await asyncio.get_running_loop().run_in_executor(None, fake.await_requests, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # The server sees the end while the client lives on.
        await asyncio.get_running_loop().run_in_executor(None, fake.ended.wait)

    run(fake.url, None, work)


def test_many_wait_at_once(fake: Fake) -> None:
    fake.answers.append(reply(approval(status="approved")))

    async def work(client: signoff.AsyncClient) -> List[signoff.Approval]:
        return await asyncio.gather(*(client.wait(ID) for _ in range(100)))

    assert len(run(fake.url, None, work)) == 100


def test_client_works_in_a_second_event_loop(fake: Fake) -> None:
    fake.answers.append(reply(approval()))
    client = signoff.AsyncClient(fake.url)

    async def once() -> None:
        await client.get(ID)
        await client.close()

    for _ in range(2):
        asyncio.run(once())


def test_events(fake: Fake) -> None:
    fake.answers.append(reply(b'id: 7\nevent: approval_requested\ndata: {"a": 1}\n\n'))

    async def work(client: signoff.AsyncClient) -> List[int]:
        found = []
        events = client.events(6)
        async for event in events:
            found.append(event.number)
            if len(found) == 2:
                break
        await events.aclose()  # type: ignore[attr-defined]
        return found

    assert run(fake.url, None, work) == [7, 7]
    assert [request.headers["last-event-id"] for request in fake.requests] == ["6", "7"]


@pytest.fixture
def options(office: Office) -> Dict[str, Any]:
    return {
        "agent": "deployer",
        "action": f"deploy-{uuid.uuid4()}",
        "context": {"to": "prod"},
        "keys": office.keys,
        "audience": AUDIENCE,
    }


def test_guard_runs_and_reports(office: Office, options: Dict[str, Any]) -> None:
    async def deploy(execution: signoff.Execution) -> Any:
        return execution

    async def work(client: signoff.AsyncClient) -> signoff.Execution:
        done: signoff.Execution = await client.guard(deploy, **options)
        return done

    with Deciding(office, options["action"]):
        execution = run(office.url, office.agent, work)
    assert execution.reported and execution.approvers
    assert only(office, options["action"]).outcome == "succeeded"


def test_decorated_coroutine_function(office: Office, options: Dict[str, Any]) -> None:
    del options["context"]

    async def work(client: signoff.AsyncClient) -> str:
        @client.requires_approval(**options)
        async def deploy(to: str, *, execution: signoff.Execution) -> str:
            return f"{to} {execution.context_text}"

        with pytest.raises(TypeError):
            client.requires_approval(**options)(lambda: None)  # type: ignore[type-var]
        made: str = await deploy("prod")  # type: ignore[call-arg]
        return made

    with Deciding(office, options["action"]):
        assert run(office.url, office.agent, work) == 'prod {"to": "prod"}'


def test_cancelled_function_is_reported_as_failed(office: Office, options: Dict[str, Any]) -> None:
    async def work(client: signoff.AsyncClient) -> None:
        started = asyncio.Event()

        async def deploy(_: signoff.Execution) -> None:
            started.set()
            await asyncio.Event().wait()

        guarded = asyncio.ensure_future(client.guard(deploy, **options))
        await started.wait()
        guarded.cancel()
        with pytest.raises(asyncio.CancelledError):
            await guarded

    with Deciding(office, options["action"]):
        run(office.url, office.agent, work)
    execution = only(office, options["action"]).members["execution"]
    assert (execution["outcome"], execution["detail"]) == ("failed", "CancelledError")


def test_guard_that_is_cancelled_while_it_waits_withdraws(
    office: Office, options: Dict[str, Any]
) -> None:
    async def work(client: signoff.AsyncClient) -> None:
        async def never(_: signoff.Execution) -> None:
            raise AssertionError("ran")

        guarded = asyncio.ensure_future(client.guard(never, **options))
        while not (await client.list(action=options["action"])).items:
            await asyncio.sleep(0.01)
        guarded.cancel()
        with pytest.raises(asyncio.CancelledError):
            await guarded

    run(office.url, office.agent, work)
    assert only(office, options["action"]).status == "withdrawn"


def test_rejection_and_timeout_run_nothing(office: Office, options: Dict[str, Any]) -> None:
    async def work(client: signoff.AsyncClient) -> None:
        async with client.approved(**options, timeout=2):
            raise AssertionError("ran")

    with pytest.raises(signoff.TimedOut):
        run(office.url, office.agent, work)
    assert only(office, options["action"]).status == "withdrawn"


def test_unix_socket(office: Office) -> None:
    url = f"unix:{office.socket_path}"
    made = run(url, office.agent, lambda client: client.request("deployer", "deploy", {}))
    with signoff.Client(url, office.agent) as client:
        assert client.get(made.id).id == made.id


def test_unix_socket_of_another_user_gets_nothing(tmp_path: pathlib.Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.chown(path, 12345, 12345)
        with pytest.raises(signoff.Unavailable, match="another user"):
            run(f"unix:{path}", "secret", lambda client: client.get(ID), timeout=0.3)
