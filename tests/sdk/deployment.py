"""A server with two approvers. Their ballots are signed in Python, without the product's code."""

import contextlib
import hashlib
import http.client
import json
import pathlib
import sys
from datetime import datetime, timezone

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "vectors")]

import v2  # noqa: E402
from shipping import KEY, Server  # noqa: E402, F401

AGENT = "deployer"
AUDIENCE = "examples"
RULES = """
format = 1
name = "suite"

[[rule]]
id = "never"
action = "forbidden"
verdict = "deny"
reason = "this action is never allowed"

[[test]]
name = "never"
agent = "deployer"
action = "forbidden"
expect = "deny"
"""


class Deployment(Server):
    """A server, two approvers in the group `sre`, a stranger, and an executor."""

    def start(self):
        super().start()
        self.approvers = [self.approver("ann", ["sre"]), self.approver("ben", ["sre"])]
        self.stranger = signer("mallory", [])
        self.environment["SIGNOFF_TOKEN"] = self.admin
        self.executor = self.token_of(f"agent:{AGENT}", "requester", "executor")
        self.auditor = self.token_of("auditor@company.com", "auditor")
        self.ballot_tokens = {person.approver: self.token_of(person.approver, "approver") for person in self.approvers}
        self.pinned = self.keyring("pinned", [person.entry() for person in self.approvers])
        self.environment["SIGNOFF_TOKEN"] = self.shipper
        (self.team / "rules.toml").write_text(RULES, encoding="utf-8")
        self.run("policy", "build", "rules.toml", "-o", "policy.wasm")
        self.ship(self.team / "policy.wasm", "suite", 1)

    def approver(self, name, groups):
        """Makes a person whose public key the server knows."""
        person = signer(name, groups)
        path = self.keyring(name, person.entry())
        grouped = [word for group in groups for word in ("--group", group)]
        self.run("key", "import", path, "--approver", person.approver, *grouped, "--yes", where="server")
        return person

    def keyring(self, name, entries):
        path = self.home / f"{name}.json"
        path.write_text(json.dumps(entries), encoding="utf-8")
        return str(path)

    def token_of(self, subject, *roles):
        words = [word for role in roles for word in ("--role", role)]
        return json.loads(self.run("token", "create", "--subject", subject, *words, "--json"))["token"]

    def environment_of_driver(self):
        """The driver gets every setting from its commands, and finds no home file but that of `home_file`."""
        kept = {name: value for name, value in self.environment.items() if not name.startswith("SIGNOFF_")}
        return kept | {"XDG_CONFIG_HOME": str(self.home / "config")}

    @contextlib.contextmanager
    def home_file(self, **members):
        """The driver's user has this home file meanwhile."""
        path = self.home / "config" / "signoff" / "client.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(members), encoding="utf-8")
        try:
            yield
        finally:
            path.unlink()

    def ask_as(self, token, method, path, body=None):
        """Sends a request with a token; returns the decoded answer of a success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: {text.decode()}")
        return json.loads(text)

    def shown(self, approval_id):
        return self.ask_as(self.auditor, "GET", f"/api/v1/approvals/{approval_id}")

    def decide(self, approval_id, decision="approved", comment="", people=None):
        """Lets approvers cast ballots until the approval is decided."""
        for person in people if people is not None else self.approvers:
            view = self.shown(approval_id)
            if view["status"] == "pending":
                self.cast(person, view, decision, comment)

    def cast(self, person, view, decision, comment=""):
        body = {"decision": decision, "comment": comment, "signature": ballot(person, view, decision, comment)}
        if not comment:
            del body["comment"]
        token = self.ballot_tokens[person.approver]
        self.ask_as(token, "POST", f"/api/v1/approvals/{view['id']}/approve", body)

    def withdraw(self, approval_id):
        self.ask_as(self.admin, "POST", f"/api/v1/approvals/{approval_id}/withdraw", {})

    def count(self):
        """The number of approvals that were ever requested."""
        items, cursor = [], ""
        while cursor is not None:
            page = self.ask_as(self.auditor, "GET", f"/api/v1/approvals?limit=200{cursor}")
            items += page["items"]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        return len(items)


def signer(name, groups):
    seed = hashlib.sha256(f"suite {name}".encode()).digest()
    return v2.Signer(name, "ed25519", seed, f"{name}@company.com", groups)


def ballot(person, view, decision, comment=""):
    """Signs what the view shows."""
    expires_at = datetime.fromisoformat(view["expires_at"].replace("Z", "+00:00")).astimezone(timezone.utc)
    return person.sign({
        "audience": view["audience"], "key_id": person.id, "approval_id": view["id"],
        "request_digest": view["request_digest"], "expires_at": int(expires_at.timestamp()),
        "decision": decision, "approver": person.approver, "comment": comment,
    })
