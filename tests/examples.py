"""Tests the example policies in a server: each is built, signed and shipped into a running server, and
evaluates every case of `guest/examples/cases.json` over HTTP.

python3 tests/examples.py SIGNOFF [EXAMPLE…]

Without names all examples in `guest/examples/` are tested. Needs the tools that their READMEs name, and a network
to install dependencies.
"""

import json
import pathlib
import subprocess
import sys

from shipping import ROOT, Server

EXAMPLES = ROOT / "guest" / "examples"
BUILDS = {
    "policy-javascript": ["npm ci --silent", "node --test", "npm run --silent build -- {out}"],
    "policy-python": ["python3 test_rules.py", "./build.sh {out}"],
    "policy-rust": ["cargo test --quiet --locked --lib", "./build.sh {out}"],
}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    signoff, *names = sys.argv[1:]
    cases = json.loads((EXAMPLES / "cases.json").read_text(encoding="utf-8"))
    with Server(signoff) as server:
        for version, name in enumerate(names or sorted(BUILDS), start=1):
            wasm = build(name, server.team)
            digest = server.ship(wasm, name, version)
            for case in cases:
                hold(server, digest, case)
            print(f"{name}: {wasm.stat().st_size} bytes, {len(cases)} cases as expected")


def build(name, folder):
    wasm = folder / f"{name}.wasm"
    for command in BUILDS[name]:
        subprocess.run(command.format(out=wasm), cwd=EXAMPLES / name, shell=True, check=True)
    return wasm


def hold(server, digest, case):
    status, answer = server.evaluate(case["agent"], case["action"], case["context"])
    if case.get("fails"):
        same = status == 503 and answer["code"] == "policy-trapped"
    else:
        same = status == 200 and answer["policy"] == digest and is_of(answer, case["verdict"])
    if not same:
        sys.exit(f"`{case['name']}`: expected {case}, found {status} {answer}")


def is_of(answer, verdict):
    """Whether an answer is this verdict. The verifier fills in the unset parts of a requirement."""
    asked = answer.get("requirement") or {}
    return (
        answer["decision"] == verdict["decision"]
        and answer["rule"] == verdict.get("rule")
        and ("reason" not in verdict or answer["reason"] == verdict["reason"])
        and all(asked.get(part) == value for part, value in verdict.get("requirement", {}).items())
    )


if __name__ == "__main__":
    main()
