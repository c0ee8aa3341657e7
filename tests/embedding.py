"""Tests the executor of `host/sdk/rust/verify/examples` with a running server: it runs what was approved, and
refuses rejected approvals, falsified ones, another audience and unknown keys.

python3 tests/embedding.py SIGNOFF EXECUTOR
"""

import http.client
import http.server
import json
import subprocess
import sys
import threading

from shipping import Server

CONTEXT = '{"target": "prod", "replicas": 3}'


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    signoff, executor = sys.argv[1:]
    with Server(signoff) as server:
        office = Office(server, executor)
        runs_what_was_approved(office)
        refuses(office, "audience-mismatch", SIGNOFF_AUDIENCE="another")
        refuses(office, "key-unknown", SIGNOFF_KEYS=office.keys("mallory"))
        refuses(office, "not-approved", decision="reject")
        for code, lie in LIES.items():
            with Liar(server.port, lie) as liar:
                refuses(office, code, SIGNOFF_SERVER=f"http://127.0.0.1:{liar.port}")
    print(f"the executor ran what was approved and refused {3 + len(LIES)} others")


# Falsified views of the approval, by the code that refuses them.
LIES = {
    "request-invalid": lambda view: view | {"reason": "nothing to worry about"},
    "not-found": lambda view: view | {"id": "appr_01k7s2e3m8q4w6x9y0z1a2b3c4"},
    "signature-invalid": lambda view: view | {"expires_at": "2099-01-01T00:00:00Z"},
}


class Office:
    """An approver with a key and a token, and an executor with the public half."""

    def __init__(self, server, executor):
        self.server, self.executor = server, executor
        self.trusted = self.keys("alice")
        server.run("key", "import", self.trusted, "--approver", "alice@company.com", "--yes", where="server")
        server.environment["SIGNOFF_TOKEN"] = server.admin
        self.approver = server.token("alice@company.com", "approver")
        self.token = server.token("agent:deployer", "requester,executor")

    def keys(self, name):
        """Creates a key for a new person; returns a keyring file with its public half."""
        (self.server.home / name).mkdir()
        made = self.server.run("key", "generate", "--id", name, "--approver", f"{name}@company.com", where=name)
        path = self.server.home / f"{name}.json"
        path.write_text(next(line for line in made.splitlines() if line.startswith("{")), encoding="utf-8")
        return str(path)

    def execute(self, decision="approve", **settings):
        """Runs the executor and decides its request; returns its output and exit code."""
        environment = self.server.environment | {
            "SIGNOFF_TOKEN": self.token, "SIGNOFF_AUDIENCE": "examples", "SIGNOFF_KEYS": self.trusted, **settings,
        }
        process = subprocess.Popen(
            [self.executor, "deployer", "deploy", CONTEXT], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        line = process.stdout.readline()
        if not line.startswith("requested "):
            sys.exit(f"the executor made no request: {line}{process.stderr.read()}")
        self.id = line.split()[1]
        self.server.environment["SIGNOFF_TOKEN"] = self.approver
        self.server.run(decision, self.id, "--yes", where="alice")
        out, err = process.communicate()
        return process.returncode, out, err

    def shown(self):
        return self.server.ask("GET", f"/api/v1/approvals/{self.id}")[1]


def runs_what_was_approved(office):
    ended, out, err = office.execute()
    expected = 'approved by alice@company.com with the key alice\nran deploy on {"replicas": 3, "target": "prod"}\n'
    if (ended, out) != (0, expected):
        sys.exit(f"expected {expected!r}, the executor exited with {ended}: {out}{err}")
    outcome = office.shown()["execution"]["outcome"]
    if outcome != "succeeded":
        sys.exit(f"expected the outcome `succeeded`, found `{outcome}`")


def refuses(office, code, **settings):
    ended, out, err = office.execute(**settings)
    if ended != 1 or f"not executed: {code}:" not in err or "ran" in out:
        sys.exit(f"expected `{code}`, the executor exited with {ended}: {out}{err}")
    if office.shown()["execution"] is not None:
        sys.exit(f"`{code}` came only after the claim")


class Liar:
    """A proxy of the server that falsifies the approvals it shows."""

    def __init__(self, port, lie):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.pass_on(None)

            def do_POST(self):
                self.pass_on(self.rfile.read(int(self.headers["Content-Length"])))

            def pass_on(self, body):
                true = http.client.HTTPConnection("127.0.0.1", port)
                headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
                true.request(self.command, self.path, body, headers)
                answer = true.getresponse()
                text = answer.read()
                if self.command == "GET" and answer.status == 200:
                    text = json.dumps(lie(json.loads(text))).encode()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    main()
