"""The driver of the suite that all SDKs share: one JSON command a line, one JSON answer a line.

python3 tests/driver.py
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import struct
import sys
import threading
from typing import Any, Dict, List, Optional

try:
    import signoff
except ImportError:  # Not installed: run from the source tree.
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))
    import signoff

from signoff import _component, errors

Command = Dict[str, Any]

REQUEST = (
    *("agent", "action", "context", "plan", "reason", "threshold", "groups"),
    *("expires_in_seconds", "timeout"),
)
GUARD = (*REQUEST, "lease_seconds", "audience", "floor", "accept", "policies", "allow_hmac")
ARGUMENTS = {
    "request": REQUEST,
    "wait": ("id", "timeout"),
    "claim": ("id", "agent", "action", "context", "plan", "lease_seconds", "timeout"),
    "get": ("id", "timeout"),
    "evaluate": ("agent", "action", "context", "plan", "timeout"),
}


def hello(_: Command) -> Command:
    digest = signoff.Verifier().digest_of_module
    return {"sdk": "python", "version": signoff.__version__, "digest": digest}


def corpus(command: Command) -> Command:
    verifier = signoff.Verifier()
    transcript, calls, wrong = hashlib.sha256(), 0, 0
    with open(command["path"], "rb") as file:
        while True:
            request = read_block(file)
            if request is None:
                break
            expected = read_block(file)
            answer = verifier.call_text(request.decode()).encode()
            calls += 1
            wrong += answer != expected
            transcript.update(request + b"\n" + answer + b"\n")
    return {"calls": calls, "wrong": wrong, "transcript": transcript.hexdigest()}


def read_block(file: Any) -> Any:
    size = file.read(4)
    if not size:
        return None
    (length,) = struct.unpack("<I", size)
    block = file.read(length)
    if len(block) != length:
        raise ValueError("the corpus is cut short")
    return block


STATEMENT = {
    "audience": "",
    "key_id": "",
    "approval_id": "appr_abc123",
    "request_digest": "",
    "expires_at": 1760700600,
    "decision": "approved",
    "approver": "user@company.com",
    "comment": "",
}
KEY: Dict[str, Any] = {
    "id": "shared",
    "algorithm": "hmac-sha256",
    "material": "c2hhcmVkLXNlY3JldC1vZi10aGUtZHJpdmVyLXRlc3Q",
    "status": "active",
    "use": "approve",
    "approver": None,
    "groups": [],
}


def threads(command: Command) -> Command:
    count, calls = command["threads"], command["calls"]
    verifier = signoff.Verifier()
    signature = verifier.sign(STATEMENT, KEY, "v1")
    wrong: List[int] = []
    made: List[int] = []

    def work(first: int) -> None:
        bad = done = 0
        for number in range(first, calls, count):
            done += 1
            bad += not is_right(verifier, number, signature)
            if number == calls // 2:
                bad += not traps(verifier)
        made.append(done)
        wrong.append(bad)

    running = [threading.Thread(target=work, args=(first,)) for first in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return {"calls": sum(made), "wrong": sum(wrong)}


def is_right(verifier: signoff.Verifier, number: int, signature: str) -> bool:
    if number % 3 == 0:
        return verifier.verify(STATEMENT, signature, [KEY], ["v1"]) == "shared"
    if number % 3 == 1:
        text = f'{{"n": {number}}}'
        return verifier.digest({"n": number}) == hashlib.sha256(text.encode()).hexdigest()
    try:
        verifier.digest('{"n": 1, "n": 2}')
    except signoff.Rejection as rejection:
        return rejection.code == "context-invalid"
    return False


def traps(verifier: signoff.Verifier) -> bool:
    """Forces one trap: an instance that may not grow."""
    usual, _component.MEMORY_BYTES_MAX = _component.MEMORY_BYTES_MAX, 1 << 20
    try:
        verifier.digest({"long": "x" * (1 << 19)})
    except signoff.VerifierTrapped:
        return True
    finally:
        _component.MEMORY_BYTES_MAX = usual
    return False


class FunctionFailed(Exception):
    """What the guarded function raises with `fail`."""


def guard(command: Command) -> Command:
    ran: List[signoff.Execution] = []

    def function(execution: signoff.Execution) -> None:
        ran.append(execution)
        if command.get("fail"):
            raise FunctionFailed("must not be reported")

    options = arguments(command, GUARD)
    if command["pinned"]:
        options["keys"] = command["keys"]
    approval_id, shown = None, None
    try:
        client(command, command.get("call_timeout")).guard(function, **options)
    except FunctionFailed:
        pass
    except signoff.SignoffError as error:
        approval_id, shown = error.approval_id, error_shown(error)
    execution = ran[0] if ran else None
    return {
        "runs": len(ran),
        "ran_on": execution.context_text if execution else None,
        "approval_id": execution.approval_id if execution else approval_id,
        "reported": execution.reported if execution else False,
        "error": shown,
    }


def call(command: Command) -> Command:
    name = command["cmd"]
    try:
        answer = getattr(client(command), name)(**arguments(command, ARGUMENTS[name]))
    except signoff.SignoffError as error:
        return {"error": error_shown(error)}
    return {"ok": answer.members}


def client(command: Command, timeout: Optional[float] = None) -> signoff.Client:
    url, token, ca = command["url"], command.get("token"), command.get("ca")
    if timeout is None:
        return signoff.Client(url, token, ca=ca)
    return signoff.Client(url, token, ca=ca, timeout=timeout)


def arguments(command: Command, names: Any) -> Dict[str, Any]:
    given = {name: command[name] for name in names if command.get(name) is not None}
    for name in ("context", "plan"):
        if name in given:
            given[name] = signoff.RawJson(given[name])
    return given


def error_shown(error: signoff.SignoffError) -> Command:
    return {
        "type": errors.table_name(error),
        "code": error.code,
        "comment": error.comment,
        "members": list(error.members),
        "request_id": error.request_id,
        "detail": error.detail,
        "message": str(error),
    }


policies: Dict[Any, Any] = {}


def policy(command: Command) -> Command:
    key = (command["url"], command["signers"])
    given = {
        name: command[name]
        for name in ("audience", "max_stale", "queue")
        if command.get(name) is not None
    }
    try:
        if key not in policies:
            policies[key] = client(command).policy(command["signers"], **given)
        options = arguments(command, ("agent", "action", "context", "plan"))
        made = policies[key].evaluate(**options, timeout=command.get("call_timeout"))
    except signoff.SignoffError as error:
        return {"error": error_shown(error)}
    return {
        "decision": made.decision,
        "rule": made.rule,
        "local": made.local,
        "policy": made.policy,
        "recorded": made.recorded,
    }


def policy_wait(command: Command) -> Command:
    policies[command["url"], command["signers"]].wait_until(command["digest"])
    return {}


def policy_close(_: Command) -> Command:
    pending = sum(local.close() for local in policies.values())
    policies.clear()
    return {"pending": pending}


LOCAL = {"policy": policy, "policy_wait": policy_wait, "policy_close": policy_close}
COMMANDS = {**LOCAL, "hello": hello, "corpus": corpus, "threads": threads, "guard": guard}


def main() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = COMMANDS.get(command["cmd"], call)(command)
        except Exception as error:
            answer = {
                "error": {"type": type(error).__name__, "code": "driver", "detail": str(error)}
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
