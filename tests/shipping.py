"""A server, and policies shipped into it with the binary. Shared by `tests/examples.py` and
`tests/bench/rollout.py`."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEY = "policy-team"
EVALUATE = "/api/v1/guardrails/evaluate"


class Server:
    """`signoff serve` on a new store, with one pinned policy signer."""

    def __init__(self, signoff, folder=None):
        self.signoff = os.path.abspath(signoff)
        self.folder = tempfile.TemporaryDirectory(prefix="shipping-", dir=folder)
        self.home = pathlib.Path(self.folder.name)
        # The folder of the signer's machine: its private key never reaches the server.
        self.team = self.home / "team"
        (self.home / "server").mkdir()
        self.team.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.admin = json.loads(self.run("init", "--audience", "examples", "--json", where="server"))["admin_token"]
        made = self.run("key", "generate", "--id", KEY, "--use", "module", "--slot", "policy", where="team")
        public = next(line for line in made.splitlines() if line.startswith("{"))
        self.run("key", "import", "-", "--use", "module", "--slot", "policy", "--yes", where="server", stdin=public)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        serve = [self.signoff, "serve", "--quiet", "--listen", f"127.0.0.1:{self.port}"]
        where = self.home / "server"
        # An empty cache: the server has not compiled the modules that were built here.
        environment = self.environment | {"SIGNOFF_CACHE_DIR": str(self.home / "cache")}
        self.process = subprocess.Popen(serve, cwd=where, env=environment, stdout=subprocess.DEVNULL)
        self.environment |= {"SIGNOFF_SERVER": f"http://127.0.0.1:{self.port}", "SIGNOFF_TOKEN": self.admin}
        while True:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError(f"the server exited with {self.process.returncode}") from None
            time.sleep(0.05)
        self.runner = self.token("runner@company.com", "executor")
        self.shipper = self.token("policy@company.com", "policy")
        self.environment["SIGNOFF_TOKEN"] = self.shipper

    def token(self, subject, role):
        made = self.run("token", "create", "--subject", subject, "--role", role, "--json")
        return json.loads(made)["token"]

    def stop(self):
        if hasattr(self, "process"):
            self.process.terminate()
            self.process.wait()
        self.folder.cleanup()

    def run(self, *arguments, where="team", stdin=None):
        """Runs a command and returns its output; a failure ends the test."""
        command = [self.signoff, *map(str, arguments)]
        ran = subprocess.run(
            command, cwd=self.home / where, env=self.environment, input=stdin, capture_output=True, text=True
        )
        if ran.returncode != 0:
            raise RuntimeError(f"signoff {' '.join(command[1:])} exited with {ran.returncode}: {ran.stderr}")
        return ran.stdout

    def ask(self, method, path, body=None):
        """Sends a request; returns the status and the decoded answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, None if body is None else json.dumps(body), self.headers(method, path))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def headers(self, method, path):
        """Headers with the token that may make this request: no role may make all of them."""
        token = self.runner if path == EVALUATE else self.shipper if method == "POST" else self.admin
        return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def sign(self, wasm, name, version, *limits):
        """Signs a module, with the manifest next to its file; returns its digest."""
        signed = self.run(
            "module", "sign", wasm, "--slot", "policy", "--name", name, "--version", version, "--key", KEY, *limits,
            "--json",
        )
        return json.loads(signed)["digest"]

    def ship(self, wasm, name, version, *limits):
        """Signs, pushes and activates a module; returns its digest."""
        digest = self.sign(wasm, name, version, *limits)
        try:
            self.run("module", "push", wasm)
        except RuntimeError as error:
            # The server continues a push after the client timed out: compiling an interpreter takes a while.
            if "no answer in time" not in str(error):
                raise
            while self.ask("GET", f"/api/v1/modules/{digest}")[0] == 404:
                time.sleep(1)
        self.run("module", "activate", digest)
        return digest

    def evaluate(self, agent, action, context):
        attempt = {"agent": agent, "action": action, "context": context}
        return self.ask("POST", EVALUATE, attempt)
