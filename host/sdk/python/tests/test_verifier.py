"""The verifier in this process: answers, limits, threads, traps and memory."""

from __future__ import annotations

import hashlib
import json
import pathlib
import subprocess
import sys
import threading
from typing import Any, Dict, List

import pytest
import wasmtime
from driver import KEY, STATEMENT, traps

import signoff
from signoff import _component
from signoff.verifier import EARLIEST_NOW, sane_now

SOURCE = str(pathlib.Path(signoff.__file__).resolve().parents[1])


@pytest.fixture
def verifier() -> signoff.Verifier:
    return signoff.Verifier()


def test_digest_is_that_of_cpython(verifier: signoff.Verifier) -> None:
    value = {"b": [1.0, None, "ü"], "a": -0.0}
    expected = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    assert verifier.digest(value) == expected
    assert verifier.digest(json.dumps(value)) == expected
    assert verifier.digest(signoff.RawJson(json.dumps(value))) == expected


def test_digest_of_the_module_is_that_of_the_file(verifier: signoff.Verifier) -> None:
    wasm = _component.PATH.read_bytes()
    assert verifier.digest_of_module == hashlib.sha256(wasm).hexdigest()


def test_rejection_is_also_the_error_of_its_code(verifier: signoff.Verifier) -> None:
    with pytest.raises(signoff.Rejection) as rejected:
        verifier.call("context.digest", {"context": '{"a": 1, "a": 2}'})
    assert isinstance(rejected.value, signoff.Invalid)
    assert rejected.value.code == "context-invalid"
    assert "duplicate" in rejected.value.message
    with pytest.raises(signoff.Unverified):
        verifier.verify(STATEMENT, "0" * 64, [KEY], ["v1"])


def test_signature_verifies_and_a_changed_one_does_not(verifier: signoff.Verifier) -> None:
    signature = verifier.sign(STATEMENT, KEY, "v1")
    assert verifier.verify(STATEMENT, signature, [KEY], ["v1"]) == "shared"
    with pytest.raises(signoff.Unverified) as refused:
        verifier.verify({**STATEMENT, "decision": "rejected"}, signature, [KEY], ["v1"])
    assert refused.value.code == "signature-invalid"
    whole = {**STATEMENT, "audience": "tests", "key_id": "alice", "request_digest": "0" * 64}
    with pytest.raises(signoff.Unverified) as refused:
        verifier.verify(whole, signature, [KEY])  # Only v2 by default.
    assert refused.value.code == "signature-malformed"


def test_payload_is_the_message_of_the_runbook(verifier: signoff.Verifier) -> None:
    message = verifier.payload(STATEMENT, "v1")
    expected = "appr_abc123:approved:user@company.com:2025-10-17T11:30:00+00:00"
    assert message["text"] == expected


@pytest.mark.parametrize("request_text", ["", "{", "null", '{"op": 1}', '{"op": "nothing"}'])
def test_malformed_request_is_an_answer(verifier: signoff.Verifier, request_text: str) -> None:
    answer = json.loads(verifier.call_text(request_text))
    assert answer["error"]["code"] == "request-invalid"


def test_lone_surrogate_does_not_reach_the_verifier(verifier: signoff.Verifier) -> None:
    with pytest.raises(signoff.Invalid):
        verifier.call_text('{"op": "\ud800"}')
    with pytest.raises(signoff.Invalid):
        verifier.call("context.digest", {"context": '{"a": "\udc00"}'})


def test_request_above_the_limit_is_refused(verifier: signoff.Verifier) -> None:
    with pytest.raises(signoff.Invalid) as refused:
        verifier.call_text(" " * ((17 << 20) + 1))
    assert refused.value.code == "limit-exceeded"
    answer = json.loads(verifier.call_text(" " * ((16 << 20) + 1)))
    assert answer["error"]["code"] == "limit-exceeded"


CYCLE: List[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize("value", [object(), {1: {2}}, float("nan"), CYCLE])
def test_arguments_that_are_not_json_are_refused(verifier: signoff.Verifier, value: Any) -> None:
    with pytest.raises(signoff.Invalid) as refused:
        verifier.call("context.digest", {"context": value})
    assert refused.value.code == "request-invalid"


def test_any_number_of_threads_may_call(verifier: signoff.Verifier) -> None:
    failures: List[str] = []

    def work(number: int) -> None:
        for count in range(300):
            value = {"thread": number, "count": count}
            text = json.dumps(value, sort_keys=True)
            if verifier.canonicalize(value) != text:
                failures.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_trap_is_an_error_and_later_calls_work(verifier: signoff.Verifier) -> None:
    assert traps(verifier)
    assert verifier.canonicalize({"a": 1}) == '{"a": 1}'


def test_trapped_instance_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _component.Module(_component.PATH.read_bytes())
    module.call("{}")
    (instance,) = module._idle

    def trap(*_: Any) -> str:
        raise wasmtime.WasmtimeError("wasm trap: unreachable")

    monkeypatch.setattr(instance, "_call", trap)
    with pytest.raises(signoff.VerifierTrapped):
        module.call("{}")
    assert not module._idle
    assert "error" in module.call("{}")


def test_memory_of_a_pooled_instance_stays_small() -> None:
    # An instance whose memory grew with each call would reach its limit, and trap.
    module = _component.Module(_component.PATH.read_bytes())
    members = ",".join(f'"{number:x}":[[],{{}}]' for number in range(7000))
    request = json.dumps({"op": "context.read", "args": {"context": "{" + members + "}"}})
    assert 100_000 < len(request) < _component.POOLED_REQUEST_BYTES_MAX
    for _ in range(40):
        assert json.loads(module.call(request))["ok"]
    small = json.dumps({"op": "context.digest", "args": {"context": "{}"}})
    for _ in range(20_000):
        module.call(small)
    assert len(module._idle) == 1


def test_large_request_leaves_no_instance_behind() -> None:
    module = _component.Module(_component.PATH.read_bytes())
    context = json.dumps({"a": "x" * (1 << 19)})
    assert json.loads(
        module.call(json.dumps({"op": "context.digest", "args": {"context": context}}))
    )
    assert not module._idle


@pytest.mark.parametrize("now", [0, EARLIEST_NOW - 1])
def test_clock_that_is_not_set_is_refused(now: int) -> None:
    assert sane_now(lambda: EARLIEST_NOW) == EARLIEST_NOW
    with pytest.raises(signoff.Invalid):
        sane_now(lambda: now)


def test_receipt_may_end_with_a_line_feed(verifier: signoff.Verifier) -> None:
    with pytest.raises(signoff.Rejection) as refused:
        verifier.verify_receipt("{}\n")
    assert refused.value.code == "receipt-invalid"


def test_without_the_extra_the_client_works_and_the_verifier_names_it() -> None:
    program = """
import sys
sys.modules["wasmtime"] = None
import signoff
client = signoff.Client("http://127.0.0.1:9")
options = {"agent": "a", "action": "b", "context": {}, "keys": [], "audience": "c"}
for call in (signoff.Verifier, client.approved(**options).__enter__):
    try:
        call()
    except signoff.VerifierMissing as missing:
        assert isinstance(missing, ImportError)
        print(missing)
"""
    path: Dict[str, str] = {"PYTHONPATH": SOURCE, "HOME": "/nonexistent"}
    ran = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True)
    assert ran.stdout.count("pip install 'signoff[verifier]'") == 2, ran.stderr
