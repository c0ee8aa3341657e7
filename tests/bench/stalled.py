"""Measures how a server answers others while clients hold its connections, for each kind of stalled client.

python3 tests/bench/stalled.py --signoff PATH [--connections 1030] [--rounds 20]

Each kind gets a new server with tokens. While its clients stall, a readiness check, an admin's creation and
revocation of a token, and a request are timed, each on a new connection. Shows the median and the longest time,
and how much the server's memory grew.
"""

import argparse
import http.client
import json
import os
import resource
import socket
import statistics
import subprocess
import tempfile
import time

HEAD = "POST /api/v1/approvals HTTP/1.1\r\nhost: localhost\r\n"
JSON = HEAD + "content-type: application/json\r\n"
KINDS = {
    "idle": b"",
    "half a head": HEAD.encode(),
    "half a body": (JSON + "content-length: 1000000\r\n\r\n{").encode(),
    "a body without a token": (JSON + "content-length: 2400000\r\n\r\n").encode() + b"x" * 1_000_000,
    "never reads": b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 60,
    "waits with a token": None,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signoff", required=True)
    parser.add_argument("--connections", type=int, default=1_030)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for kind, sent in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            measure(kind, sent, options, folder)


def measure(kind, sent, options, folder):
    env = {**os.environ, "HOME": folder, "SIGNOFF_HMAC_SECRET": "0123456789abcdef0123456789abcdef-bench"}
    command = [os.path.abspath(options.signoff), "--store", f"{folder}/s.redb", "serve", "--listen", "127.0.0.1:0", "--json"]
    server = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        port = int(json.loads(server.stdout.readline())["url"].rsplit(":", 1)[1])
        admin = call(port, "POST", "/api/v1/tokens", {"subject": "root", "roles": ["admin"]})["token"]
        agent = {"subject": "ci@company.com", "roles": ["requester"]}
        agent = call(port, "POST", "/api/v1/tokens", agent, admin)["token"]
        approval = call(port, "POST", "/api/v1/approvals", REQUEST, agent)
        if sent is None:
            line = f"GET /api/v1/approvals/{approval['id']}?wait=60 HTTP/1.1\r\n"
            sent = f"{line}host: localhost\r\nauthorization: Bearer {agent}\r\n\r\n".encode()
        before = memory(server.pid)
        held = [stalled(port, sent) for _ in range(options.connections)]
        times = {"readyz": [], "revoke": [], "request": []}
        for _ in range(options.rounds):
            times["readyz"].append(timed(call, port, "GET", "/readyz", None, None))
            made = call(port, "POST", "/api/v1/tokens", {"subject": "a@b.c", "roles": ["approver"]}, admin)
            times["revoke"].append(timed(call, port, "POST", f"/api/v1/tokens/{made['id']}/revoke", {}, admin))
            times["request"].append(timed(call, port, "POST", "/api/v1/approvals", REQUEST, agent))
        grown = (memory(server.pid) - before) / 2**20
        shown = ", ".join(
            f"{name} {statistics.median(of) * 1e3:.0f} ms (longest {max(of) * 1e3:.0f})" for name, of in times.items())
        print(f"{options.connections} x {kind}: {shown}; memory +{grown:.0f} MiB", flush=True)
        for one in held:
            one.close()
    finally:
        server.terminate()
        server.wait()


REQUEST = {"agent": "a", "action": "b", "context": {"n": 1}}


def stalled(port, sent):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    try:
        while sent:
            sent = sent[client.send(sent):]
    except OSError:
        pass  # The server takes no more of it, which is the point.
    return client


def call(port, method, path, body=None, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/json"} if body is not None else {}
    if token:
        headers["authorization"] = f"Bearer {token}"
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {text[:200]}")
    connection.close()
    return json.loads(text)


def timed(what, *arguments):
    start = time.perf_counter()
    what(*arguments)
    return time.perf_counter() - start


def memory(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
