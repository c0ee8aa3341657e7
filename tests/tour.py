"""Types the README's five-minute tour as it stands, and looks at what it answers.

python3 tests/tour.py, from the root of the repository.
"""

import pathlib
import re
import subprocess
import sys

# What the tour's output must hold, in this order.
EXPECTED = [
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


def main():
    readme = pathlib.Path("README.md").read_text(encoding="utf-8")
    tour = readme.split("## Five-minute tour")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", tour, re.DOTALL)
    if len(blocks) < 8:
        sys.exit(f"the README's tour has {len(blocks)} blocks, expected at least 8")
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    if done.returncode != 0:
        sys.exit(f"the tour ended with {done.returncode}")
    rest = done.stdout
    for expected in EXPECTED:
        before, found, rest = rest.partition(expected)
        if not found:
            sys.exit(f"the tour did not print {expected!r} where it should")
    print(f"the tour works: {len(blocks)} blocks, {len(EXPECTED)} answers as told")


if __name__ == "__main__":
    main()
