"""Runs the guides as written, and checks what they print.

python3 tests/tour.py [PAGE…], from the root of the repository.
"""

import pathlib
import re
import subprocess
import sys

# What the output of each page must contain, in this order. PAGES has the least number of blocks too.
TOUR = [
    '"status":"ready"',
    '"status":"pending"',
    ":approved:user@company.com:",
    '"status":"approved"',
    '"valid":true',
    '"error":"Invalid signature"',
    '"code":"context-mismatch"',
    '"status":"executed"',
    '"code":"already-executed"',
    '"outcome":"succeeded"',
    "approval_claimed",
    "approved",
    "restarted",
    "executed    2",
]


PRODUCTION = [
    "signoff key import",
    "ann-2026",
    '"status":"ready"',
    "pending",
    "approved",
    "restarted",
    "verified: appr_",
    "executed",
    "signature verified",
    "verified: ",
    "entries of `prod`",
    "ben-2026",
    "revoked",
    "ben-2027",
    "agent:deployer",
    "ok    accept",
    "ok    store",
]

POLICY = [
    '"status":"ready"',
    "5 tests passed",
    "require_approval",
    "risky-mail",
    "mail",
    "active",
    "allow",
    "quarantined",
    "allow",
    "pending",
    "policy-denied",
    '"requires_approval":true',
    "1 with another requirement",
    "quarantine",
    "allow",
    "require_approval",
    "require_approval",
    "allow",
    "version-not-newer",
    "module_activated",
    "module_rolled_back",
]

CLAUDE_CODE = [
    '"status":"ready"',
    "the gate is installed",
    "allow by rule `reading`",
    '"permissionDecision":"deny"',
    "make deploy",
    '"permissionDecision":"allow"',
    "approved by ann@company.com",
    '"outcome":"succeeded"',
    "already-executed",
    "blocked: exit code 2",
    "the gate is removed",
]

CODEX = ['"permissionDecision":"deny"', "waits for an approver", "approved", "exit code 0", "executed", "succeeded"]

COPILOT = ['"permissionDecision":"deny"', "approved", '"permissionDecision":"allow"', "executed", "succeeded"]

AUTHZEN = [
    '"status":"ready"',
    '"access_request_endpoint":"http://127.0.0.1:8787/access/v1/requests"',
    '{"decision":true}',
    '"reason":"approval_required"',
    "a person pays 2026-117",
    '"status":"pending"',
    "approved",
    'approved {"format":2,"kind":"signoff-receipt"',
    '"reason":"out_of_scope"',
    '{"decision":true',
    '"execution"',
    '"reason":"approval_expired"',
    '"outcome":"succeeded"',
    "guardrails_evaluated",
    "approval_claimed",
    '{"evaluations":[{"decision":true},{"decision":false',
    "missing field `name`",
]

MCP = [
    "dev.signoff/code",
    "pending",
    "approved",
    "sent mail 1",
    '"outcome":"succeeded"',
    "send_mail",
    "accepted",
    "read_inbox",
]

PAGES = {
    "docs/tour.md": (8, TOUR),
    "docs/production.md": (10, PRODUCTION),
    "docs/policies.md": (7, POLICY),
    "docs/gates/claude-code.md": (4, CLAUDE_CODE),
    "docs/gates/codex.md": (1, CODEX),
    "docs/gates/copilot.md": (1, COPILOT),
    "docs/gates/mcp.md": (3, MCP),
    "docs/gates/authzen.md": (7, AUTHZEN),
}


def main():
    named = sys.argv[1:]
    for page, (least, expected) in PAGES.items():
        if named and page not in named:
            continue
        typed(page, least, expected)


def typed(page, least, expected):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    if len(blocks) < least:
        sys.exit(f"`{page}` has {len(blocks)} blocks, expected at least {least}")
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    if done.returncode != 0:
        sys.exit(f"`{page}` exited with {done.returncode}")
    rest = done.stdout
    for words in expected:
        before, found, rest = rest.partition(words)
        if not found:
            sys.exit(f"`{page}` did not print {words!r} in its place")
    print(f"`{page}` works: {len(blocks)} blocks, {len(expected)} answers as expected")


if __name__ == "__main__":
    main()
