"""Measures what the gate of MCP servers adds to a call that the policy allows.

    python3 tests/bench/mcp_gate.py --signoff PATH [--calls 500] [--rounds 10]

The same server is called directly and through `signoff mcp gate`, in alternating rounds, one call at a time. The gate
asks a server of approvals on the same machine for each call; its entry in the audit log is durable (fsync, in batches)
before it answers. Prints the medians over all calls, and their difference.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

from rollout import ROOT, Server

TOOLS = [{"name": "read", "description": "reads", "inputSchema": {"type": "object"}}]
RULES = """
format = 1
name = "bench"
default = "require_approval"

[[rule]]
id = "reading"
action = "mcp:stub/read"
verdict = "allow"
"""
STUB = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method = message["method"]
    result = {"content": [{"type": "text", "text": "read"}]}
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": %s}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
""" % json.dumps(TOOLS)


class Client:
    """One session over pipes."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        self.number = 0
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}
        self.ask("initialize", params)
        self.ask("tools/list", {})

    def ask(self, method, params):
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        text = json.dumps(message).encode() + b"\n"
        start = time.perf_counter()
        self.process.stdin.write(text)
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        took = time.perf_counter() - start
        if b'"result"' not in answer or b'"isError": true' in answer or b"dev.signoff" in answer:
            sys.exit(f"{method} failed: {answer!r}")
        return took

    def call(self):
        return self.ask("tools/call", {"name": "read", "arguments": {"path": "/srv/a", "lines": 20}})

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signoff", required=True, help="a signoff binary")
    parser.add_argument("--calls", type=int, default=500, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(options.signoff, ROOT / "target") as server:
        source = server.team / "rules.toml"
        source.write_text(RULES, encoding="utf-8")
        server.run("policy", "build", source, "-o", server.team / "rules.wasm")
        server.ship(server.team / "rules.wasm", "bench", 1)
        stub = [sys.executable, "-c", STUB]
        env = server.environment | {"XDG_STATE_HOME": folder, "SIGNOFF_TOKEN": server.runner}
        gate = [options.signoff, "mcp", "gate", "--name", "stub", "--agent", "bench", "--", *stub]
        sides = {"direct": Client(stub, env), "gate": Client(gate, env)}
        took = {name: [] for name in sides}
        for number in range(options.rounds + 1):
            for name, client in sides.items():
                times = [client.call() for _ in range(options.calls)]
                # The first round warms up.
                took[name].extend(times if number else [])
        for client in sides.values():
            client.close()
    medians = {name: statistics.median(times) for name, times in took.items()}
    for name, times in took.items():
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"{name}: median {medians[name] * 1e6:.0f} µs, p99 {p99 * 1e6:.0f} µs, {len(times)} calls")
    print(f"the gate adds {(medians['gate'] - medians['direct']) * 1e6:.0f} µs at the median")


if __name__ == "__main__":
    main()
