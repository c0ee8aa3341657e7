"""The client against answers that no honest server gives: retries, limits, and errors."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import threading
from typing import Any, Callable, Dict, List, Tuple

import pytest
from fake import APPROVAL, Fake, approval, cut, drip, endless, hang, problem, reply

import signoff
from signoff import _api
from signoff._transport import Broken

ID = str(APPROVAL["id"])


@pytest.fixture
def client(fake: Fake) -> signoff.Client:
    return signoff.Client(fake.url, "token", timeout=5)


def test_request_sends_the_text_once_with_token_and_key(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(reply(approval(), 201))
    context = signoff.RawJson('{"b": 1.0, "a": 1e2}')
    made = client.request("deployer", "deploy", context, reason="why", threshold=2)
    assert (made.id, made.status, made.context) == (ID, "pending", {"to": "prod"})
    (request,) = fake.requests
    assert (request.method, request.path) == ("POST", "/api/v1/approvals")
    assert b'"context":{"b": 1.0, "a": 1e2}' in request.body
    assert request.json()["requirement"] == {"threshold": 2}
    assert request.headers["authorization"] == "bearer token"
    assert len(request.headers["idempotency-key"]) == 32


def test_broken_connection_is_retried_with_the_same_key(fake: Fake, client: signoff.Client) -> None:
    fake.answers.extend([cut, cut, reply(approval(), 201)])
    client.request("deployer", "deploy", {})
    keys = {request.headers["idempotency-key"] for request in fake.requests}
    assert (len(fake.requests), len(keys)) == (3, 1)


def test_own_key_is_sent(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(reply(approval(), 201))
    client.request("deployer", "deploy", {}, idempotency_key="mine")
    assert fake.requests[0].headers["idempotency-key"] == "mine"
    with pytest.raises(signoff.Invalid):
        client.request("deployer", "deploy", {}, idempotency_key="a\r\nb")


@pytest.mark.parametrize("status, code", [(429, "rate-limited"), (503, "store-unavailable")])
def test_server_that_says_when_is_retried(
    fake: Fake, client: signoff.Client, status: int, code: str
) -> None:
    fake.answers.extend([problem(code, status, "Retry-After: 0"), reply(approval())])
    assert client.get(ID).id == ID
    assert len(fake.requests) == 2


def test_retry_after_the_end_is_not_awaited(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(problem("rate-limited", 429, "Retry-After: 600"))
    with pytest.raises(signoff.Unavailable) as refused:
        client.get(ID)
    assert (refused.value.code, refused.value.status) == ("rate-limited", 429)


@pytest.mark.parametrize(
    "status, code, error",
    [
        (503, "clock-ahead", signoff.Unavailable),
        (500, "internal-error", signoff.Unavailable),
        (409, "already-decided", signoff.Conflict),
        (403, "context-mismatch", signoff.Mismatch),
        (403, "policy-denied", signoff.Denied),
        (403, "forbidden", signoff.Forbidden),
        (401, "unauthenticated", signoff.Forbidden),
        (404, "not-found", signoff.NotFound),
        (409, "expired", signoff.Expired),
        (422, "context-invalid", signoff.Invalid),
        (418, "of-a-newer-server", signoff.SignoffError),
    ],
)
def test_refusal_is_the_error_of_its_code_and_not_retried(
    fake: Fake, client: signoff.Client, status: int, code: str, error: Any
) -> None:
    fake.answers.append(problem(code, status, "X-Request-Id: req_1", members=["/a"]))
    with pytest.raises(signoff.SignoffError) as refused:
        client.claim(ID, "deployer", "deploy", {})
    found = refused.value
    assert type(found) is error
    assert (found.code, found.status, found.detail) == (code, status, "why")
    assert (found.request_id, found.approval_id) == ("req_1", ID)
    assert found.members == ("/a",)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<html>", 502),
        reply([], 403),
        reply({"code": 1, "detail": "x"}, 403),
        reply({}, 302, "Location: http://127.0.0.1:9/"),
        reply(b"", 304),
        reply(b"not JSON"),
        reply(b'{"id": "\xff"}'),
        reply([]),
        reply({**APPROVAL, "id": 1}),
        reply({**APPROVAL, "status": None}),
        reply(approval(id="appr_01k7s2e3m8q4w6x9y0z1a2b3c5")),
        reply(approval(expires_at="tomorrow")),
        reply(approval(expires_at="2099-02-30T00:00:00Z")),
        reply(json.dumps(APPROVAL)[:-1].encode() + b', "id": "appr_1"}'),
        reply(b'{"a": NaN}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
        b"\x16\x03\x01",
    ],
)
def test_answer_that_is_not_the_routes_is_unavailable(
    fake: Fake, client: signoff.Client, answer: bytes
) -> None:
    fake.answers.append(answer)
    with pytest.raises(signoff.Unavailable) as refused:
        client.get(ID, timeout=1)
    assert refused.value.code == "unreachable"


def test_redirect_is_not_followed(fake: Fake, client: signoff.Client) -> None:
    with Fake() as other:
        other.answers.append(reply(approval()))
        fake.answers.append(reply({}, 307, f"Location: {other.url}/api/v1/approvals/{ID}"))
        with pytest.raises(signoff.Unavailable):
            client.get(ID)
        assert not other.requests


@pytest.mark.parametrize("answer", [hang, drip, endless])
def test_slow_server_ends_at_the_timeout(fake: Fake, answer: Any) -> None:
    fake.answers.append(answer)
    with pytest.raises(signoff.Unavailable) as refused:
        signoff.Client(fake.url, timeout=0.3).get(ID)
    assert "in time" in refused.value.detail
    fake.ended.wait()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Broken):
        signoff.Client(f"http://127.0.0.1:{port}", timeout=0.3).get(ID)


def test_connection_is_reused_and_a_closed_one_replaced(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(reply(approval()))
    for _ in range(3):
        client.get(ID)
    assert fake.connections == 1
    fake.answers.extend([cut, reply(approval())])
    fake.answers.popleft()
    client.get(ID)
    assert fake.connections == 2


def test_connection_with_unasked_bytes_is_not_reused(fake: Fake, client: signoff.Client) -> None:
    first, sent = threading.Event(), threading.Event()

    def twice(connected: socket.socket) -> None:
        connected.sendall(reply(approval()))
        first.wait()
        connected.sendall(reply(approval(status="approved")))
        sent.set()
        connected.recv(1)

    fake.answers.extend([twice, reply(approval())])
    client.get(ID)
    first.set()
    sent.wait()
    assert client.get(ID).status == "pending"


def test_threads_share_a_client(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(reply(approval()))
    failures = []

    def work() -> None:
        for _ in range(20):
            if client.get(ID).id != ID:
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(fake.requests) == 160
    assert fake.connections <= 8


def test_fork_does_not_share_connections(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(reply(approval()))
    client.get(ID)
    transport = client._transport
    before = transport._idle[0]
    transport._process = os.getpid() + 1  # As after a fork.
    client.get(ID)
    assert fake.connections == 2
    assert before not in transport._idle


@pytest.mark.parametrize("id", ["", "../keys", "a/b", "a?wait=1", "ä", "a" * 200, "a\r\nb"])
def test_malformed_id_is_not_found_and_not_sent(
    fake: Fake, client: signoff.Client, id: str
) -> None:
    calls: List[Callable[[str], Any]] = [client.get, client.wait, client.withdraw, client.receipt]
    for call in calls:
        with pytest.raises(signoff.NotFound):
            call(id)
    assert not fake.requests


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "[1]", "", '{"a": 1} {}', '{"a": "\\ud800"}', '{"a": 1e999}']
)
def test_malformed_text_is_not_sent(fake: Fake, client: signoff.Client, text: str) -> None:
    context = signoff.RawJson(text)
    with pytest.raises(signoff.Invalid):
        client.request("a", "b", context)
    with pytest.raises(signoff.Invalid):
        client.approved(agent="a", action="b", context=context).__enter__()
    assert not fake.requests


def test_context_that_only_the_verifier_refuses_is_not_sent(
    fake: Fake, client: signoff.Client
) -> None:
    deep = signoff.RawJson('{"a":' + "[" * 64 + "]" * 64 + "}")
    with pytest.raises(signoff.Invalid):
        client.approved(agent="a", action="b", context=deep).__enter__()
    assert not fake.requests


@pytest.mark.parametrize("given", [{"agent": "\ud800"}, {"reason": "\udc00"}, {"threshold": {1}}])
def test_argument_without_json_form_is_invalid(
    fake: Fake, client: signoff.Client, given: Dict[str, Any]
) -> None:
    with pytest.raises(signoff.Invalid):
        client.request(**{"agent": "a", "action": "b", "context": {}, **given})
    assert not fake.requests


def test_wait_ends_when_the_status_changes(fake: Fake, client: signoff.Client) -> None:
    fake.answers.extend([reply(approval()), reply(approval(status="rejected"))])
    assert client.wait(ID).status == "rejected"
    assert [request.path for request in fake.requests] == [
        f"/api/v1/approvals/{ID}?wait=50&while=pending"
    ] * 2


def test_wait_does_not_ask_in_a_tight_loop(
    fake: Fake, client: signoff.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: List[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    fake.answers.extend([reply(approval())] * 8 + [reply(approval(status="approved"))])
    client.wait(ID)
    assert len(pauses) == 8
    assert all(0 < pause <= _api.BACKOFF_SECONDS_MAX for pause in pauses)
    assert pauses[-1] > 2


@pytest.mark.parametrize("answer", [hang, reply(approval())])
def test_wait_ends_at_its_timeout(fake: Fake, client: signoff.Client, answer: Any) -> None:
    fake.answers.append(answer)
    with pytest.raises(signoff.TimedOut) as refused:
        client.wait(ID, timeout=0.3)
    assert refused.value.approval_id == ID


def test_wait_ends_at_the_expiry_even_if_the_server_shows_pending(
    fake: Fake, client: signoff.Client
) -> None:
    shown = approval(requested_at="2020-01-01T00:00:00Z", expires_at="2020-01-01T01:00:00Z")
    fake.answers.append(reply(shown))
    with pytest.raises(signoff.Expired):
        client.wait(ID)


def test_other_calls_send_what_they_take(fake: Fake, client: signoff.Client) -> None:
    claimed = approval(status="executed", execution={"id": "exec_1", "outcome": "claimed"})
    calls: List[Tuple[Callable[[], Any], Any]] = [
        (lambda: client.decide(ID, "approved", "s", approver="a"), approval(status="approved")),
        (lambda: client.claim(ID, "a", "b", {}, lease_seconds=9), claimed),
        (lambda: client.report(ID, "exec_1", "failed", "why"), claimed),
        (lambda: client.extend(ID, 60), approval()),
        (lambda: client.withdraw(ID), approval(status="withdrawn")),
        (
            lambda: client.list(status="pending", limit=2),
            {"items": [approval()], "next_cursor": "c"},
        ),
        (lambda: client.keys(), {"items": [{"id": "alice"}]}),
    ]
    for call, answer in calls:
        fake.answers.clear()
        fake.answers.append(reply(answer))
        call()
    sent = [(request.method, request.path, request.body) for request in fake.requests]
    root = f"/api/v1/approvals/{ID}"
    assert [(method, path) for method, path, _ in sent] == [
        ("POST", f"{root}/approve"),
        ("POST", f"{root}/execute"),
        ("POST", f"{root}/outcome"),
        ("POST", f"{root}/extend"),
        ("POST", f"{root}/withdraw"),
        ("GET", "/api/v1/approvals?status=pending&limit=2"),
        ("GET", "/api/v1/keys"),
    ]
    assert json.loads(sent[1][2]) == {
        "agent": "a",
        "action": "b",
        "context": {},
        "lease_seconds": 9,
    }
    assert json.loads(sent[3][2]) == {"expires_in_seconds": 60}


@pytest.mark.parametrize(
    "answer",
    [
        {"decision": "allow", "requires_approval": True, "reason": ""},
        {"decision": "deny", "requires_approval": True, "reason": ""},
        {"decision": "require_approval", "requires_approval": False, "reason": ""},
        {"decision": "permit", "requires_approval": False, "reason": ""},
        {"decision": "allow", "requires_approval": 0, "reason": ""},
        {"requires_approval": False, "reason": ""},
    ],
)
def test_evaluation_that_contradicts_itself_is_refused(
    fake: Fake, client: signoff.Client, answer: Dict[str, Any]
) -> None:
    fake.answers.append(reply(answer))
    with pytest.raises(signoff.Unavailable):
        client.evaluate("a", "b", {})


@pytest.mark.parametrize(
    "answer",
    [approval(status="approved"), approval(status="executed"), approval(execution={"id": 1})],
)
def test_claim_without_an_execution_is_refused(
    fake: Fake, client: signoff.Client, answer: Dict[str, Any]
) -> None:
    fake.answers.append(reply(answer))
    with pytest.raises(signoff.Unavailable):
        client.claim(ID, "a", "b", {})


def test_verification_of_another_approval_is_refused(fake: Fake, client: signoff.Client) -> None:
    other = approval(id="appr_2")
    fake.answers.append(reply({"valid": True, "signature_valid": True, "approval": other}))
    with pytest.raises(signoff.Unavailable):
        client.verify(ID, "s")


def test_events_continue_after_the_last_one(fake: Fake, client: signoff.Client) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    first = b': heartbeat\n\nid: 7\nevent: approval_requested\ndata: {"a": 1}\n\nid: 8\nda'
    second = b'id: 8\nevent: approval_decided\ndata: {"b":\ndata: 2}\r\n\r\n'

    def send(body: bytes) -> Any:
        return lambda connected: connected.sendall(head + body)

    fake.answers.extend([send(first), send(second)])
    events = client.events(6)
    one, two = next(events), next(events)
    events.close()  # type: ignore[attr-defined]
    assert (one.number, one.kind, one.entry) == (7, "approval_requested", {"a": 1})
    assert (two.number, two.entry) == (8, {"b": 2})
    assert [request.headers["last-event-id"] for request in fake.requests] == ["6", "7"]


@pytest.mark.parametrize("body", [b"id: x\ndata: {}\n\n", b"id: 1\ndata: [\n\n", b"\xff\n"])
def test_malformed_event_is_unavailable(fake: Fake, client: signoff.Client, body: bytes) -> None:
    fake.answers.append(reply(body))
    with pytest.raises(signoff.Unavailable):
        next(client.events())


def test_events_end_with_a_refusal(fake: Fake, client: signoff.Client) -> None:
    fake.answers.append(problem("forbidden", 403))
    with pytest.raises(signoff.Forbidden):
        next(client.events())


def test_unix_socket_of_another_user_gets_nothing(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        client = signoff.Client(f"unix:{path}", "secret", timeout=0.5)
        if os.geteuid() == 0:
            os.chown(path, 12345, 12345)
            with pytest.raises(signoff.Unavailable) as refused:
                client.get(ID)
            assert "another user" in refused.value.detail
            os.chown(path, 0, 0)
        with pytest.raises(signoff.Unavailable) as refused:
            client.get(ID)
        assert "in time" in refused.value.detail


def test_missing_unix_socket_is_unavailable(tmp_path: pathlib.Path) -> None:
    with pytest.raises(signoff.Unavailable):
        signoff.Client(f"unix:{tmp_path}/none", timeout=0.2).get(ID)
