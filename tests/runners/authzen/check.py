"""Checks the AuthZEN interface with what others wrote.

    python3 check.py SIGNOFF [DECISIONS]

- The certification scenario of the Authorization API 1.0 (openid/authzen, `certification/`): the levels Basic, Batch
  and Discovery, except that its server has TLS. The levels Search are not served.
- The clients `apparitor` and `decern`: each evaluates, is denied, and after an approval is permitted once.
- DECISIONS, if given: a file `decisions-authorization-api-1_0-02.json` of the interop scenario "todo" of the same
  repository; every decision is compared.
"""

import asyncio
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import decern
from apparitor.client import AuthZENClient
from apparitor.config import ScannerConfig
from apparitor.models import Action, BatchEvaluationRequest, EvaluationItem, EvaluationRequest, EvaluationsOptions
from apparitor.models import Resource, Subject

HERE = pathlib.Path(__file__).resolve().parent
ONE, MANY, REQUESTS = "/access/v1/evaluation", "/access/v1/evaluations", "/access/v1/requests"


class Server:
    def __init__(self, signoff, folder):
        self.signoff, self.folder = signoff, folder
        taken = ("SIGNOFF_SERVER", "SIGNOFF_TOKEN", "SIGNOFF_CA", "SIGNOFF_HMAC_SECRET")
        self.environment = {name: value for name, value in os.environ.items() if name not in taken}
        self.environment["HMAC_SECRET"] = "a-secret-of-this-check-of-32-bytes-or-more"
        self.cli("key", "generate", "--use", "module", "--slot", "policy", "--id", "team")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        serve = [signoff, "serve", "--listen", self.url.removeprefix("http://"), "--log-level", "warn"]
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen(serve, cwd=folder, env=self.environment, stdout=log, stderr=log)
        while self.call("GET", "/readyz")[0] != 200:
            if self.process.poll() is not None:
                sys.exit((folder / "log").read_text())
            time.sleep(0.1)

    def cli(self, *arguments):
        done = subprocess.run([self.signoff, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def activate(self, rules, version):
        rules = pathlib.Path(rules)
        self.cli("policy", "build", str(rules), "-o", "policy.wasm")
        self.cli("module", "sign", "policy.wasm", "--slot", "policy", "--name", "rules", "--version", str(version), "--key", "team")
        pushed = json.loads(self.cli("module", "push", "policy.wasm", "--json", "--server", self.url))
        self.cli("module", "activate", pushed["digest"], "--server", self.url)

    def approve(self, task):
        self.cli("approve", task["task"]["id"], "--approver", "user@company.com", "--yes", "--server", self.url)

    def call(self, method, path, body=None, **headers):
        """Returns status, headers and body."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read()
        except urllib.error.URLError:
            return 0, {}, b""

    def ok(self, path, body, **headers):
        status, sent, answer = self.call("POST", path, body, **headers)
        assert status == 200, (status, answer)
        assert sent["Content-Type"] == "application/json"
        return json.loads(answer)


def asked(subject, action, resource="record-1", status=None, role=None, soft=None, **context):
    question = {
        "subject": {"type": "user", "id": subject} | ({"properties": {"role": role}} if role else {}),
        "action": {"name": action} | ({"properties": {"soft": soft}} if soft is not None else {}),
        "resource": {"type": "record", "id": resource} | ({"properties": {"status": status}} if status else {}),
    }
    return question | ({"context": context} if context else {})


def basic(server):
    decisions = [
        (asked("alice", "read"), True),
        (asked("alice", "write"), True),
        (asked("bob", "read"), True),
        (asked("bob", "write"), False),
        (asked("alice", "write", "record-2", "archived"), False),
        (asked("bob", "write", "record-2", "archived", "admin"), True),
        (asked("alice", "delete", soft=True), True),
        (asked("alice", "delete", soft=False), False),
        (asked("alice", "read", time="2025-06-27T18:03-07:00", ip="192.168.1.1"), True),
        (asked("alice", "read") | {"foo": "bar", "futureField": {"nested": True}}, True),
    ]
    more = asked("alice", "read", status="active", role="manager")
    more["action"]["properties"] = {"method": "GET"}
    decisions.append((more, True))
    for question, expected in decisions:
        for _ in range(3):
            answer = server.ok(ONE, question)
            assert answer["decision"] is expected, (question, answer)
            assert isinstance(answer.get("context", {}), dict)
    whole = asked("alice", "read")
    malformed = [{name: part for name, part in whole.items() if name != left_out} for left_out in whole]
    for part, members in {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}.items():
        malformed += [whole | {part: {n: v for n, v in whole[part].items() if n != member}} for member in members]
    malformed += [whole | {"subject": "alice"}, whole | {"action": {"name": 123}}, b"", b"{not json", b"[]"]
    for body in malformed:
        status, _, answer = server.call("POST", ONE, body)
        assert status == 400, (body, status, answer)
    for media in ("text/plain", "application/xml"):
        status, _, answer = server.call("POST", ONE, json.dumps(whole).encode(), Content_Type=media)
        assert status == 400, (media, status, answer)
    for name in ("bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "any text, as it is"):
        assert server.call("POST", ONE, whole, X_Request_ID=name)[1]["X-Request-ID"] == name
    assert server.call("POST", ONE, whole)[0] == 200


def batch(server):
    def decided(body):
        answer = server.ok(MANY, body)
        assert "decision" not in answer
        assert all(isinstance(item["decision"], bool) for item in answer["evaluations"])
        return [item["decision"] for item in answer["evaluations"]]

    def without(part, question, **more):
        return {name: value for name, value in question.items() if name != part} | more

    alice, bob = asked("alice", "read"), asked("bob", "write")
    archived = asked("alice", "write", "record-2", "archived")["resource"]
    active = asked("alice", "write", "record-1", "active")["resource"]
    resources = [{"resource": alice["resource"]}, {"resource": asked("alice", "read", "record-2")["resource"]}]
    assert len(decided(without("resource", alice, evaluations=resources))) == 2
    verbs = [{"action": {"name": "read"}}, {"action": {"name": "write"}}]
    assert decided(without("action", bob, evaluations=verbs)) == [True, False]
    write = asked("alice", "write")
    assert decided(without("resource", write, evaluations=[{"resource": active}, {"resource": archived}])) == [True, False]
    admin = asked("bob", "write", role="admin")["subject"]
    subjects = [{"subject": write["subject"]}, {"subject": admin}]
    assert decided(without("subject", write | {"resource": archived}, evaluations=subjects)) == [False, True]
    assert decided({"evaluations": [alice, bob]}) == [True, False]
    contexts = [resources[0], resources[1] | {"context": {"time": "2025-06-27T19:00-07:00", "source": "batch-override"}}]
    assert len(decided(without("resource", alice, context={"time": "2025-06-27T18:03-07:00"}, evaluations=contexts))) == 2
    assert decided(write | {"resource": active, "evaluations": [{}, {"resource": archived}]}) == [True, False]
    pinned = {"options": {"evaluations_semantic": "execute_all"}, "evaluations": [resources[0], {}]}
    assert decided(without("resource", alice, **pinned)) == [True, False]
    for body in (alice, alice | {"evaluations": []}):
        assert server.ok(MANY, body) == {"decision": True}


def discovery(server):
    status, headers, body = server.call("GET", "/.well-known/authzen-configuration")
    metadata = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert metadata["policy_decision_point"] == server.url
    endpoints = {name: url for name, url in metadata.items() if name.endswith("_endpoint")}
    assert {"access_evaluation_endpoint", "access_evaluations_endpoint", "access_request_endpoint"} == set(endpoints)
    for url in endpoints.values():
        path = url.removeprefix(server.url)
        assert server.call("POST", path, {})[0] == 400, path
    assert metadata["capabilities"] == ["urn:openid:authzen:capability:access-request"]


def approved(server, question, context):
    """Requests what a decision context offers, has it approved, and returns the question with the approval."""
    assert context["reason"] == "approval_required"
    offer = context["access_request"]
    denial = {"evaluation_id": context["evaluation_id"], "expires_at": offer["expires_at"]}
    path = offer["endpoint"].removeprefix(server.url)
    status, headers, body = server.call("POST", path, question | {"denial": denial}, Idempotency_Key=context["evaluation_id"])
    task = json.loads(body)
    assert status == 201 and headers["Location"] == task["task"]["status_endpoint"], body
    assert task["task"]["status"] == "pending"
    server.approve(task)
    done = json.loads(server.call("GET", task["task"]["status_endpoint"].removeprefix(server.url))[2])
    assert done["task"]["status"] == "approved" and done["result"]["mode"] == "reevaluate"
    return question | {"context": question.get("context", {}) | {"approval": done["result"]["approval"]}}


def by_decern(server):
    client = decern.Client(server.url)
    question = asked("alice", "pay", "invoice-1", amount=12.5)
    assert client.evaluate(**asked("alice", "read")).allowed
    assert not client.evaluate(**asked("bob", "write")).allowed
    denied = client.evaluate(**question)
    assert not denied.allowed
    again = approved(server, question, denied.context)
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: client.evaluate(**again), range(8)))
    permitted = [decision.context for decision in decisions if decision.allowed]
    assert len(permitted) == 1, decisions
    refused = {decision.context["reason"] for decision in decisions if not decision.allowed}
    assert refused == {"approval_expired"}, refused
    execution = permitted[0]["execution"]
    report = {"execution_id": execution["id"], "outcome": "succeeded"}
    assert server.call("POST", execution["outcome_endpoint"].removeprefix(server.url), report)[0] == 200
    try:
        client.evaluate({"type": "user"}, "read", {"type": "record", "id": "record-1"})
        sys.exit("a malformed question was evaluated")
    except decern.DecernError as refused:
        assert refused.status_code == 400


async def by_apparitor(server):
    config = ScannerConfig(pdp_url=server.url, allow_insecure_pdp=True, request_budget_s=60, read_timeout_s=60, max_retries=0)

    def request(question):
        return EvaluationRequest.model_validate(question)

    async with AuthZENClient(config) as client:
        assert (await client.evaluate(request(asked("alice", "read")))).decision is True
        question = asked("alice", "pay", "invoice-2", amount=99)
        denied = await client.evaluate(request(question))
        assert denied.decision is False
        # The client sends empty `properties`, which belong to what was evaluated.
        question = request(question).model_dump(mode="json", exclude_none=True)
        again = request(approved(server, question, denied.context))
        decisions = [(await client.evaluate(again)).decision for _ in range(2)]
        assert decisions == [True, False]
        record = Resource(type="record", id="record-1")
        items = [EvaluationItem(action=Action(name=name)) for name in ("read", "write", "read")]
        several = BatchEvaluationRequest(
            subject=Subject(type="user", id="bob"), resource=record, evaluations=items,
            options=EvaluationsOptions(evaluations_semantic="deny_on_first_deny"),
        )
        answer = await client.evaluate_batch(several)
        assert [item.decision for item in answer.evaluations] == [True, False]


def interop(server, file):
    """The users and rules of the scenario "todo"."""
    decisions = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    count = 0
    for case in decisions["evaluation"]:
        answer = server.ok(ONE, case["request"])
        assert answer["decision"] is case["expected"], (case, answer)
        count += 1
    for case in decisions.get("evaluations", []):
        answer = server.ok(MANY, case["request"])
        expected = [item["decision"] for item in case["expected"]]
        assert [item["decision"] for item in answer["evaluations"]] == expected, (case, answer)
        count += len(expected)
    return count


def main():
    signoff = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        server = Server(signoff, pathlib.Path(folder))
        try:
            server.activate(HERE / "records.toml", 1)
            for check in (basic, batch, discovery, by_decern):
                check(server)
                print(f"{check.__name__}: as expected")
            asyncio.run(by_apparitor(server))
            print("by_apparitor: as expected")
            if len(sys.argv) > 2:
                server.activate(HERE / "todo.toml", 2)
                print(f"interop: {interop(server, sys.argv[2])} decisions as expected")
        finally:
            server.process.terminate()
            server.process.wait()


main()
