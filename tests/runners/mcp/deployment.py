"""A server of approvals with a policy for MCP tools, and an approver who decides with the command line."""

import json
import pathlib
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from shipping import Server  # noqa: E402

APPROVER = "ann@company.com"
RULES = """
format = 1
name = "mcp"
default = "require_approval"

[[rule]]
id = "harmless"
action = ["mcp:*/read_*", "mcp:*/list_*", "mcp:*/get*", "mcp:*/echo", "mcp:*/trigger-*", "mcp:*/add", "mcp:*/slow", "mcp:*/fail"]
verdict = "allow"

[[rule]]
id = "forbidden"
action = "mcp:own/append"
when = "context.file == 'forbidden'"
verdict = "deny"
reason = "nobody writes this file"

[[test]]
name = "reading"
agent = "mcp"
action = "mcp:files/read_text_file"
expect = "allow"
"""


class Deployment(Server):
    def start(self):
        (self.home / "ann").mkdir()
        super().start()
        made = self.run("key", "generate", "--id", "ann", "--approver", APPROVER, where="ann")
        public = next(line for line in made.splitlines() if line.startswith("{"))
        keys = self.home / "approvers.json"
        keys.touch(mode=0o600)
        keys.write_text(f'{{"format": 1, "keys": [{public}]}}')
        self.keys = str(keys)
        self.run("key", "import", "-", "--approver", APPROVER, "--yes", where="server", stdin=public)
        self.environment["SIGNOFF_TOKEN"] = self.admin
        self.requester = self.token_of("agent:mcp", "requester", "executor")
        self.approver = self.token_of(APPROVER, "approver")
        self.auditor = self.token_of("auditor@company.com", "auditor")
        self.environment["SIGNOFF_TOKEN"] = self.shipper
        (self.team / "rules.toml").write_text(RULES, encoding="utf-8")
        self.run("policy", "build", "rules.toml", "-o", "policy.wasm")
        self.ship(self.team / "policy.wasm", "mcp", 1)
        self.final = {}

    def token_of(self, subject, *roles):
        words = [word for role in roles for word in ("--role", role)]
        return json.loads(self.run("token", "create", "--subject", subject, *words, "--json"))["token"]

    def gate_environment(self):
        """What the gate needs, and nothing of the approver."""
        return self.environment | {"SIGNOFF_TOKEN": self.requester, "XDG_STATE_HOME": str(self.home / "state")}

    def as_one(self, token, *arguments, where="team"):
        """Runs a command with a token."""
        return self.run("--token", token, *arguments, where=where)

    def get(self, path):
        """Reads as the auditor does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {self.auditor}"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def approvals(self, text):
        """The approvals whose arguments have this text, oldest first."""
        page = self.get("/api/v1/approvals?limit=200")
        while page["next_cursor"] is not None:
            more = self.get(f"/api/v1/approvals?limit=200&cursor={page['next_cursor']}")
            page = {"items": page["items"] + more["items"], "next_cursor": more["next_cursor"]}
        found = [view for view in map(self.view, (item["id"] for item in page["items"])) if view["context"].get("text") == text]
        return sorted(found, key=lambda view: view["id"])

    def view(self, approval):
        """Returns an approval. Its context never changes, so what is final is read once."""
        if approval not in self.final:
            view = self.get(f"/api/v1/approvals/{approval}")
            if view["status"] in ("pending", "approved"):
                return view
            if view["status"] == "executed" and view["execution"]["outcome"] == "claimed":
                return view
            self.final[approval] = view
        return self.final[approval]

    def until(self, text, status):
        """Waits until the newest approval of a text has a status; returns it."""
        for _ in range(600):
            found = self.approvals(text)
            if found and found[-1]["status"] == status:
                return found[-1]
            time.sleep(0.1)
        raise AssertionError(f"{text}: expected {status}, found {[view['status'] for view in found]}")

    def approve(self, approval):
        self.as_one(self.approver, "approve", approval, "--key", "ann", "--yes", where="ann")

    def reject(self, approval, comment):
        self.as_one(self.approver, "reject", approval, "--key", "ann", "--comment", comment, "--yes", where="ann")

    def outcome(self, approval):
        """Waits for the outcome of an approval."""
        for _ in range(600):
            execution = self.view(approval)["execution"]
            if execution and execution["outcome"] != "claimed":
                return execution["outcome"]
            time.sleep(0.05)
        raise AssertionError(f"{approval} has no outcome")
