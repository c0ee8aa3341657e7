"""A real server with policies, for tests: `SIGNOFF_BIN` names the binary."""

from __future__ import annotations

import json
import urllib.request
from typing import Any, Dict, List

from live import Office


class PolicyOffice(Office):
    """A server with a signer of policies, whose policies are tiny."""

    def __init__(self, binary: str) -> None:
        super().__init__(binary)
        (self.home / "team").mkdir()
        key = ["--id", "team", "--use", "module", "--slot", "policy"]
        made = self.run("key", "generate", *key, where="team")
        self.signers = self.home / "signers.json"
        self.signers.write_text(next(line for line in made.splitlines() if line.startswith("{")))
        path = str(self.signers)
        self.run("key", "import", path, "--use", "module", "--slot", "policy", "--yes")
        self.shipper = self.token("policy@company.com", "policy")
        self.auditor = self.token("auditor@company.com", "auditor")
        self._shipped: Dict[bytes, str] = {}
        self._active = b""

    def activate(self, wasm: bytes) -> str:
        """Activates a policy; returns its digest."""
        if wasm == self._active:
            return self._shipped[wasm]
        self._active = wasm
        if wasm in self._shipped:
            to = ["--to", self._shipped[wasm], "--reason", "tests"]
            self.run("module", "rollback", "policy", *to, token=self.shipper)
            return self._shipped[wasm]
        (self.home / "team" / "policy.wasm").write_bytes(wasm)
        version = str(len(self._shipped) + 1)
        named = ["--slot", "policy", "--name", "tests", "--version", version, "--key", "team"]
        signed = self.run("module", "sign", "policy.wasm", *named, "--json", where="team")
        digest = str(json.loads(signed)["digest"])
        self.run("module", "push", "policy.wasm", where="team", token=self.shipper)
        self.run("module", "activate", digest, where="team", token=self.shipper)
        self._shipped[wasm] = digest
        return digest

    def reported(self) -> List[Dict[str, Any]]:
        """Returns all decisions that the log has as reports."""
        found: List[Dict[str, Any]] = []
        after = 0
        while after is not None:
            asked = urllib.request.Request(f"{self.url}/api/v1/audit?limit=1000&after={after}")
            asked.add_header("Authorization", f"Bearer {self.auditor}")
            with urllib.request.urlopen(asked) as answer:
                page = json.load(answer)
            events = [item["entry"]["event"] for item in page["items"]]
            for event in events:
                found += event["decisions"] if event["event"] == "guardrails_reported" else []
            after = page["next_after"]
        return found
