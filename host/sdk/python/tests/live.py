"""A real server with approvers, for tests: `SIGNOFF_BIN` names the binary."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request
from typing import Dict, List, Optional

AUDIENCE = "tests"
SECRET = "a-secret-of-the-live-tests-with-enough-bytes"


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
