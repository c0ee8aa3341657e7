"""Measures the verifier beside Python's own hmac and json, in one run.

    python3 bench.py [POLICY]

POLICY is a component that `signoff policy build` wrote; without it, the policy does nothing, and
what is measured is the fresh instance. Each line is the median of many calls, in microseconds;
`first` and `load` are in milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any, Callable

ROOT = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from driver import KEY, STATEMENT  # noqa: E402
from wat_policies import policy  # noqa: E402

import signoff  # noqa: E402
from signoff import _component  # noqa: E402
from signoff._policy_component import PolicyModule  # noqa: E402
from signoff._queue import DiskQueue  # noqa: E402

CALLS = 3000
SECRET = b"shared-secret-of-the-driver-test"
MESSAGE = b"appr_abc123:approved:user@company.com:2025-10-17T11:30:00+00:00"


def median(call: Callable[[], Any]) -> float:
    """Returns the median time of a call in microseconds."""
    times = []
    for _ in range(CALLS):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def milliseconds(call: Callable[[], Any]) -> float:
    """Returns the time of one call in milliseconds."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def main() -> None:
    wasm = _component.PATH.read_bytes()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        first = milliseconds(lambda: _component.Module(wasm))
        load = statistics.median(milliseconds(lambda: _component.Module(wasm)) for _ in range(9))
    print(f"first, compiled   {first:9.1f} ms")
    print(f"load, cached      {load:9.1f} ms")

    verifier = signoff.Verifier()
    signature = verifier.sign(STATEMENT, KEY, "v1")
    request = json.dumps(
        {
            "op": "signing.verify",
            "args": {
                "statement": STATEMENT,
                "signature": signature,
                "keys": [KEY],
                "accept": ["v1"],
            },
        }
    )
    context = {"file": "config/production.yaml", "changes": ["x" * 100] * 9}
    text = json.dumps(context)
    lines = {
        "verify v1": lambda: verifier.verify(STATEMENT, signature, [KEY], ["v1"]),
        "verify v1, text": lambda: verifier.call_text(request),
        "hmac": lambda: hmac.compare_digest(
            hmac.new(SECRET, MESSAGE, hashlib.sha256).hexdigest(), signature
        ),
        "digest of 1 KiB": lambda: verifier.digest(text),
        "json and hashlib": lambda: hashlib.sha256(
            json.dumps(json.loads(text), sort_keys=True).encode()
        ).hexdigest(),
    }
    wasm = pathlib.Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else policy()
    module = PolicyModule(wasm, {"fuel": 100_000_000, "memory_bytes": 64 << 20})
    attempt = {
        "agent": "deployer",
        "action": "deploy",
        "context": '{"replicas": 3}',
        "plan": None,
        "facts": '{"requester": "agent:deployer"}',
        "now": 1_800_000_000,
    }
    lines["policy"] = lambda: module.evaluate(attempt)
    folder = tempfile.TemporaryDirectory()
    queue = DiskQueue(pathlib.Path(folder.name, "queue"))
    lines["record on disk"] = lambda: queue.add(b"x" * 400)
    for _ in range(2):  # The first round warms up.
        measured = {name: median(call) for name, call in lines.items()}
    for name, microseconds in measured.items():
        print(f"{name:17} {microseconds:9.1f} µs")


if __name__ == "__main__":
    main()
