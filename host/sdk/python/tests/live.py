"""A real server with approvers, for tests: `SIGNOFF_BIN` names the binary."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from typing import Any, Callable, Dict, List, Optional

import signoff

AUDIENCE = "tests"
SECRET = "a-secret-of-the-live-tests-with-enough-bytes"


def must_not_run(execution: signoff.Execution) -> None:
    """A guarded function that fails the test."""
    raise AssertionError(f"ran on {execution.context_text}")


class Office:
    """`signoff serve` on a new store, two approvers, and tokens."""

    def __init__(self, signoff: str) -> None:
        self._signoff = os.path.abspath(signoff)
        self._folder = tempfile.TemporaryDirectory(prefix="signoff-python-")
        self.home = pathlib.Path(self._folder.name)
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")
        }
        self._environment |= {"HMAC_SECRET": SECRET, "SIGNOFF_CACHE_DIR": str(self.home / "cache")}
        self._environment.pop("PYTHONPATH", None)
        (self.home / "server").mkdir()
        init = self.run("init", "--audience", AUDIENCE, "--json", where="server")
        self.admin = json.loads(init)["admin_token"]
        self.keys = self.home / "pinned.json"
        entries = [self.hire(name, group) for name, group in (("alice", "sre"), ("bob", "dev"))]
        self.keys.write_text(json.dumps(entries))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_path = self.home / "socket"
        listen = ["--listen", f"127.0.0.1:{self.port}", "--listen", f"unix:{self.socket_path}"]
        self._log = open(self.home / "serve.log", "wb")
        self._process = subprocess.Popen(
            [self._signoff, "serve", "--quiet", *listen],
            cwd=self.home / "server",
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )
        self._await_ready()
        self._environment |= {"SIGNOFF_SERVER": self.url, "SIGNOFF_TOKEN": self.admin}
        self.approver_tokens = {
            name: self.token(f"{name}@company.com", "approver") for name in ("alice", "bob")
        }
        self.agent = self.token("agent:deployer", "requester,executor")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def hire(self, name: str, *groups: str) -> Dict[str, object]:
        """Creates a key of a person and imports its public half; returns the entry."""
        entry = self.key(name)
        flags: List[str] = [part for group in groups for part in ("--group", group)]
        person = f"{name}@company.com"
        path = str(self.home / f"{name}.json")
        self.run("key", "import", path, "--approver", person, *flags, "--yes", where="server")
        return {**entry, "groups": list(groups)}

    def key(self, name: str) -> Dict[str, object]:
        """Creates a key of a person whom the server does not know."""
        (self.home / name).mkdir()
        person = f"{name}@company.com"
        made = self.run("key", "generate", "--id", name, "--approver", person, where=name)
        line = next(line for line in made.splitlines() if line.startswith("{"))
        (self.home / f"{name}.json").write_text(line)
        entry: Dict[str, object] = json.loads(line)
        return entry

    def token(self, subject: str, roles: str) -> str:
        """Creates a token."""
        made = self.run("token", "create", "--subject", subject, "--role", roles, "--json")
        return str(json.loads(made)["token"])

    def decide(self, id: str, decision: str = "approve", name: str = "alice", *more: str) -> None:
        """Lets an approver decide."""
        self.run(decision, id, "--yes", *more, where=name, token=self.approver_tokens[name])

    def run(self, *arguments: str, where: str = "server", token: Optional[str] = None) -> str:
        """Runs a command; a failure ends the test."""
        environment = {**self._environment, **({"SIGNOFF_TOKEN": token} if token else {})}
        if where in ("alice", "bob") and "generate" not in arguments:
            environment.pop("HMAC_SECRET")
        ran = subprocess.run(
            [self._signoff, *arguments],
            cwd=self.home / where,
            env=environment,
            capture_output=True,
            text=True,
        )
        if ran.returncode != 0:
            raise RuntimeError(f"signoff {' '.join(arguments)}: {ran.stderr}")
        return ran.stdout

    def _await_ready(self) -> None:
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz"):
                    return
            except OSError:
                if self._process.poll() is not None:
                    log = (self.home / "serve.log").read_text()
                    raise RuntimeError(f"the server ended: {log}") from None
                time.sleep(0.05)


class Deciding:
    """Decides the next request for an action, from another thread, as approvers do."""

    def __init__(self, office: Office, action: str, *names: str, decision: str = "approve") -> None:
        self._office = office
        self._action = action
        self._names = names or ("alice",)
        self._decision = decision
        self._thread = threading.Thread(target=self._work)
        self._ended = threading.Event()
        self.failure: Optional[BaseException] = None

    def __enter__(self) -> Deciding:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _work(self) -> None:
        try:
            with signoff.Client(self._office.url, self._office.admin) as admin:
                found = admin.list(status="pending", action=self._action).items
                while not found:
                    if self._ended.wait(0.02):
                        return  # The guard failed before it requested anything.
                    found = admin.list(status="pending", action=self._action).items
            for name in self._names:
                more = ["--comment", "a\nreason"] if self._decision == "reject" else []
                self._office.decide(found[0].id, self._decision, name, *more)
        except BaseException as failure:
            self.failure = failure


class Liar:
    """A proxy that changes what the server answers: `edit` gets method, path and JSON.

    Bytes that are not JSON are passed as they are. It returns the JSON to answer, a pair of a
    status and JSON, or None to cut the connection.
    """

    def __init__(
        self, office: Office, edit: Callable[[str, str, Any], Any], waits: bool = True
    ) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                true = http.client.HTTPConnection("127.0.0.1", office.port)
                names = ("Authorization", "Content-Type", "Idempotency-Key")
                headers = {name: self.headers[name] for name in names if name in self.headers}
                sent = self.path if waits else self.path.partition("?")[0]
                true.request(self.command, sent, body or None, headers)
                answer = true.getresponse()
                status, text = answer.status, answer.read()
                true.close()
                path = self.path.partition("?")[0]
                is_json = "json" in answer.headers.get("Content-Type", "")
                changed = edit(self.command, path, json.loads(text) if is_json else text)
                if changed is None:
                    self.close_connection = True
                    return
                if isinstance(changed, tuple):
                    status, changed = changed
                text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = pass_on

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Liar:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
