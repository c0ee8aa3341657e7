#!/usr/bin/env python3
"""The gate between official MCP clients and servers: `run.py SIGNOFF [NAME]` (needs `requirements.txt` and `npm ci`).

Each client is tried in each version of the protocol that it speaks, without the gate and through it, over stdio
and over Streamable HTTP: it sees the same tools, resources, prompts and results. Then calls are denied, approved,
rejected, left pending and cancelled, and each approval has exactly one effect.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

from deployment import Deployment
from driver import Client

HERE = pathlib.Path(__file__).resolve().parent
MODULES = HERE / "node_modules" / "@modelcontextprotocol"
OLD = ["2025-06-18", "2025-11-25"]
CLIENTS = {
    "python": ([sys.executable, HERE / "client.py"], OLD + ["2026-07-28"]),
    "client": (["node", HERE / "client.mjs", "client"], OLD + ["2026-07-28"]),
    "sdk": (["node", HERE / "client.mjs", "sdk"], OLD),
}
LANES = 4


class Runner:
    def __init__(self, signoff, folder, deployment):
        self.signoff, self.folder, self.deployment = signoff, folder, deployment
        (folder / "files").mkdir()
        (folder / "files" / "a.txt").write_text("hello\n", encoding="utf-8")
        own = [sys.executable, HERE / "server.py", folder]
        self.servers = {
            "files": ["node", MODULES / "server-filesystem/dist/index.js", folder / "files"],
            "everything": ["node", MODULES / "server-everything/dist/index.js"],
            "own": own,
        }
        self.at = {}
        self.log = open(folder / "log", "ab")
        self.processes = []
        self.number = itertools.count()

    def spawn(self, command, environment=None, **options):
        process = subprocess.Popen(list(map(str, command)), stderr=self.log, env=environment, **options)
        self.processes.append(process)
        return process

    def start(self):
        """Starts the servers over HTTP, and a gate over HTTP for both of them."""
        ports = [free_port(), free_port()]
        everything = self.servers["everything"] + ["streamableHttp"]
        self.spawn(everything, os.environ | {"PORT": str(ports[0])}, stdout=self.log)
        self.spawn(self.servers["own"] + [ports[1]], stdout=self.log)
        self.at = {"everything": f"http://127.0.0.1:{ports[0]}/mcp", "own": f"http://127.0.0.1:{ports[1]}/mcp"}
        for port in ports:
            until(f"port {port}", lambda: can_connect(port))
        listed = "".join(f'[server.{name}]\nurl = "{url}"\n' for name, url in self.at.items())
        (self.folder / "upstreams.toml").write_text(listed)
        self.gates = {}
        for hold in ["1m", "1s"]:
            gate = self.spawn(
                [self.signoff, "mcp", "gate", "--upstreams", self.folder / "upstreams.toml", "--listen", "127.0.0.1:0",
                 "--hold", hold, *self.trust(), "--json"],
                self.deployment.gate_environment(), stdout=subprocess.PIPE, text=True)
            lines = (json.loads(gate.stdout.readline()) for _ in self.at)
            self.gates[hold] = {line["name"]: line["url"] for line in lines}

    def trust(self):
        return ["--trust", self.deployment.keys, "--audience", "examples"]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()

    def direct(self, server, transport):
        if transport == "stdio":
            return {"stdio": list(map(str, self.servers[server]))}
        return {"url": self.at[server]}

    def gated(self, server, transport, hold="1m"):
        """How a client reaches a server through the gate. `pipe` is a client on a pipe, a server over HTTP."""
        if transport == "http":
            return {"url": self.gates[hold][server]}
        gate = [self.signoff, "mcp", "gate", "--name", server, "--hold", hold, *self.trust()]
        gate += ["--upstream", self.at[server]] if transport == "pipe" else ["--", *self.servers[server]]
        return {"stdio": list(map(str, gate)), "environment": self.deployment.gate_environment()}

    def text(self):
        return f"line {next(self.number)}"

    def lines(self, text):
        """How often a line was appended."""
        written = self.folder / "out"
        return written.read_text(encoding="utf-8").splitlines().count(text) if written.exists() else 0


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True


def until(what, look):
    for _ in range(600):
        if look():
            return
        time.sleep(0.1)
    raise AssertionError(f"gave up: {what}")


def open_client(runner, client, version, connection, **more):
    command, _ = CLIENTS[client]
    return Client(list(map(str, command)), version=version, **connection, **more)


def seen(runner, server, client):
    """Everything that a client sees of a server and gets of calls that the policy allows."""
    all_of_it = {"connected": client.connected, "list": client.do("list")}
    if server == "files":
        path = str(runner.folder / "files" / "a.txt")
        calls = [("read_text_file", {"path": path}), ("read_text_file", {"path": "/nowhere"}), ("list_allowed_directories", {})]
    elif server == "everything":
        calls = [("echo", {"message": "z\u00fcrich \u202e"}), ("get-sum", {"a": 1, "b": 2.5}), ("get-tiny-image", {})]
        all_of_it["read"] = client.do("read", uri=all_of_it["list"]["resources"][0]["uri"])
        all_of_it["prompt"] = client.do("prompt", name="args-prompt", arguments={"city": "Z\u00fcrich"})
    else:
        calls = [("add", {"a": 1, "b": 2}), ("fail", {"why": "no"}), ("add", {"a": "x"})]
        all_of_it["read"] = client.do("read", uri="text://greeting")
        all_of_it["prompt"] = client.do("prompt", name="review", arguments={"text": "x"})
    all_of_it["calls"] = [client.call(name, arguments) for name, arguments in calls]
    if server != "files":
        slow = ("slow", {"steps": 3}) if server == "own" else ("trigger-long-running-operation", {"duration": 0.2, "steps": 3})
        all_of_it["slow"] = client.call(*slow, progress=True)
        # A client may drop the last ones, which come together with the result.
        all_of_it["progress"] = client.event()["done"]
    return all_of_it


def same(runner, client, version, server, transport):
    """A client sees through the gate what it sees without it."""
    with open_client(runner, client, version, runner.direct(server, "http" if transport == "pipe" else transport)) as one:
        expected = seen(runner, server, one)
    with open_client(runner, client, version, runner.gated(server, transport)) as one:
        found = seen(runner, server, one)
    for name, value in expected.items():
        if name == "calls":
            # Arguments that do not match the schema are refused by the gate, in its own words.
            for mine, theirs in zip(found[name], value):
                if "dev.signoff/code" in json.dumps(mine):
                    assert mine["ok"]["isError"], mine
                else:
                    assert mine == theirs, (mine, theirs)
            continue
        assert found[name] == value, (name, found[name], value)


def words(answer):
    return " ".join(part.get("text", "") for part in answer["ok"]["content"])


def denied(runner, client):
    answer = client.call("append", {"file": "forbidden", "text": "x"})
    assert answer["ok"]["isError"] and "nobody writes this file" in words(answer), answer
    assert not (runner.folder / "forbidden").exists()


def approved(runner, client):
    """An approval that is claimed with the approver's pinned key, and one effect."""
    text, deployment = runner.text(), runner.deployment
    number = client.start("call", name="append", arguments={"file": "out", "text": text}, progress=True)
    pending = deployment.until(text, "pending")
    assert runner.lines(text) == 0
    deployment.approve(pending["id"])
    answer = client.end(number)
    assert words(answer) == "appended to out" and not answer["ok"].get("isError"), answer
    assert runner.lines(text) == 1
    assert deployment.outcome(pending["id"]) == "succeeded"
    assert client.event()["event"] == "progress"
    while not client.events.empty():
        client.events.get()


def rejected(runner, client):
    text, deployment = runner.text(), runner.deployment
    number = client.start("call", name="append", arguments={"file": "out", "text": text})
    deployment.reject(deployment.until(text, "pending")["id"], "not today")
    answer = client.end(number)
    assert answer["ok"]["isError"] and "not today" in words(answer), answer
    assert runner.lines(text) == 0


def cancelled(runner, client):
    text, deployment = runner.text(), runner.deployment
    number = client.start("call", name="append", arguments={"file": "out", "text": text})
    deployment.until(text, "pending")
    client.do("cancel", of=number)
    deployment.until(text, "withdrawn")
    assert runner.lines(text) == 0


def pending(runner, client):
    """A hold that ends: the same call finds the same approval, which has one effect."""
    text, deployment = runner.text(), runner.deployment
    call = ("append", {"file": "out", "text": text})
    answers = [client.call(*call), client.call(*call)]
    for answer in answers:
        assert "pending" in words(answer), answer
    assert len(deployment.approvals(text)) == 1 and runner.lines(text) == 0
    deployment.approve(deployment.until(text, "pending")["id"])
    answer = client.call(*call)
    assert words(answer) == "appended to out", answer
    assert runner.lines(text) == 1
    deployment.until(text, "executed")
    # It is used up: the next one is another request.
    assert "pending" in words(client.call(*call)) and runner.lines(text) == 1
    assert len(deployment.approvals(text)) == 2


def elicited(runner, client):
    """A link that the user opens decides nothing."""
    text, deployment = runner.text(), runner.deployment
    number = client.start("call", name="append", arguments={"file": "out", "text": text})
    event = client.event()
    assert event["event"] == "elicitation" and event["params"]["mode"] == "url", event
    waiting = deployment.until(text, "pending")
    assert event["params"]["url"].endswith(waiting["id"]), event
    client.do("answer", number=event["number"], action="accept")
    assert deployment.until(text, "pending")["id"] == waiting["id"] and runner.lines(text) == 0
    deployment.approve(waiting["id"])
    while client.answers[number].empty():
        # 2026-07-28: the client asks again for as long as it is pending.
        with contextlib.suppress(Exception):
            event = client.events.get(timeout=0.2)
            client.do("answer", number=event["number"], action="accept")
    answer = client.end(number)
    assert words(answer) == "appended to out", answer
    assert runner.lines(text) == 1 and deployment.outcome(waiting["id"]) == "succeeded"


def declined(runner, client):
    text, deployment = runner.text(), runner.deployment
    number = client.start("call", name="append", arguments={"file": "out", "text": text})
    event = client.event()
    client.do("answer", number=event["number"], action="decline")
    answer = client.end(number)
    assert answer["ok"]["isError"], answer
    deployment.until(text, "withdrawn")
    assert runner.lines(text) == 0


def decisions(runner, client, version, transport):
    """Every decision, in one session of a client."""
    with open_client(runner, client, version, runner.gated("own", transport)) as one:
        one.do("tools")
        for scenario in [denied, approved, rejected, cancelled]:
            scenario(runner, one)
    with open_client(runner, client, version, runner.gated("own", transport, "1s")) as one:
        one.do("tools")
        pending(runner, one)
    if version == "2025-06-18":
        # It has no links: the call is held, whatever the client declares.
        with open_client(runner, client, version, runner.gated("own", transport), elicitation="url") as one:
            one.do("tools")
            approved(runner, one)
        return
    with open_client(runner, client, version, runner.gated("own", transport), elicitation="url") as one:
        one.do("tools")
        elicited(runner, one)
        declined(runner, one)


def cases():
    """Yields the name and the function of each case."""
    for client, (_, versions) in CLIENTS.items():
        for version in versions:
            for transport in ["stdio", "http", "pipe"]:
                if transport == "pipe" and version != versions[-1]:
                    continue
                servers = ["everything", "own"] if transport != "stdio" else ["files", "everything", "own"]
                for server in servers:
                    # The reference servers speak the version before.
                    if version == "2026-07-28" and server == "files":
                        continue
                    yield f"same {client} {version} {transport} {server}", (same, client, version, server, transport)
                yield f"decisions {client} {version} {transport}", (decisions, client, version, transport)


def main():
    signoff = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    failed, done = [], 0
    with tempfile.TemporaryDirectory(prefix="mcp-") as folder, Deployment(signoff) as deployment:
        runner = Runner(signoff, pathlib.Path(folder), deployment)
        try:
            runner.start()
            with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
                started = {
                    lanes.submit(function, runner, *arguments): name
                    for name, (function, *arguments) in cases() if wanted in name
                }
                for ended in concurrent.futures.as_completed(started):
                    done += 1
                    if ended.exception() is not None:
                        failed.append(started[ended])
                        print(f"FAILED {started[ended]}", flush=True)
                        traceback.print_exception(ended.exception())
        finally:
            runner.stop()
            runner.log.close()
        if failed:
            print((pathlib.Path(folder) / "log").read_text(errors="replace")[-8_000:])
            sys.exit(f"{len(failed)} of {done} cases failed: {sorted(failed)}")
    print(f"{done} cases of official MCP clients and servers through the gate")


if __name__ == "__main__":
    main()
