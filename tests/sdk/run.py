#!/usr/bin/env python3
"""Runs the suite of all SDKs.

    python3 tests/sdk/run.py SIGNOFF NAME [--only WORD] [--local-policy] -- DRIVER…

SIGNOFF is the binary, NAME the SDK's name, DRIVER the command of its driver. README.md in this folder has more.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

import hostile
import honest
import policy
from deployment import AGENT, AUDIENCE, Deployment
from honest import CONTEXT
from proxy import Proxy


class Wrong(Exception):
    pass


class Suite:
    """The driver, the deployment, and what a scenario asks of them."""

    def __init__(self, deployment, command):
        self.deployment, self.command = deployment, command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=deployment.environment_of_driver()
        )

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def send(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Wrong(f"the driver ended with {self.process.wait()} at {command}")
        return json.loads(line)

    def proxy(self, act=None, before=None):
        return Proxy(self.deployment.port, act, before)

    def ask(self, command, proxy, **arguments):
        return self.send(cmd=command, url=proxy.url, token=self.deployment.executor, **arguments)

    def guard(self, proxy, pinned=True, **arguments):
        arguments = {"agent": AGENT, "action": "deploy", "context": CONTEXT, "timeout": 30, "pinned": pinned,
                     "keys": self.deployment.pinned, "audience": AUDIENCE, **arguments}
        if not pinned:
            del arguments["keys"], arguments["audience"]
        return self.ask("guard", proxy, **arguments)

    def shown(self, answer):
        return self.deployment.shown(answer["approval_id"])

    def check(self, right, what):
        if not right:
            raise Wrong(what)

    def equal(self, actual, expected):
        self.check(actual == expected, f"expected {expected!r}, found {actual!r}")

    def ran(self, answer, text):
        self.equal((answer["runs"], answer["ran_on"], answer["error"]), (1, text, None))

    def refused(self, answer, kind, code):
        error = answer["error"] or {}
        self.equal((answer["runs"], error.get("type"), error.get("code")), (0, kind, code))

    def nothing_ran(self, answer, proxy):
        self.equal(answer["runs"], 0)
        self.check(answer["error"], "nothing ran, and no error says why")
        outcomes = {json.loads(sent.body)["outcome"] for sent in proxy.seen if sent.route == "outcome"}
        self.check(outcomes <= {"failed"}, f"nothing ran, and the outcome is {outcomes}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("signoff")
    parser.add_argument("name")
    parser.add_argument("--only", default="")
    parser.add_argument("--local-policy", action="store_true", help="also the scenarios of local policies")
    parser.add_argument("driver", nargs="+")
    arguments = parser.parse_args()
    failures, passed = [], 0
    # In memory where there is such a folder: each change of the store is written to the disk otherwise.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with Deployment(arguments.signoff, memory) as deployment:
        exported = json.loads(deployment.run("module", "export", "verifier", "--flat-corpus", "-o", "corpus", "--json"))
        suite = Suite(deployment, arguments.driver)
        scenarios = [says_hello, vectors, many_threads, *honest.SCENARIOS, *hostile.SCENARIOS]
        if arguments.local_policy:
            scenarios += policy.SCENARIOS
        suite.exported, suite.corpus = exported, str(deployment.team / "corpus")
        for scenario in scenarios:
            if not re.search(arguments.only, scenario.__name__):
                continue
            begun = time.monotonic()
            try:
                note = scenario(suite) or ""
                passed += 1
                verdict = "ok"
            except (Wrong, RuntimeError, LookupError, TypeError, OSError, ValueError) as wrong:
                failures.append(f"{scenario.__name__}: {wrong!r}")
                note, verdict = repr(wrong), "FAILED"
                if suite.process.poll() is not None:
                    suite = Suite(deployment, arguments.driver)
                    suite.exported, suite.corpus = exported, str(deployment.team / "corpus")
            print(f"{arguments.name}: {scenario.__name__} {verdict} ({time.monotonic() - begun:.1f} s) {note}", flush=True)
        suite.close()
    for failure in failures:
        print(f"{arguments.name}: {failure}", file=sys.stderr)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


def says_hello(suite):
    hello = suite.send(cmd="hello")
    # In Rust the verifier's source runs natively, and there is no component whose digest could be told.
    if hello["sdk"] != "rust" or hello["digest"] is not None:
        suite.equal(hello["digest"], suite.exported["verifier"])
    return f"{hello['sdk']} {hello['version']}"


def vectors(suite):
    answer = suite.send(cmd="corpus", path=suite.corpus)
    suite.equal((answer["wrong"], answer["calls"]), (0, suite.exported["calls"]))
    suite.equal(answer["transcript"], suite.exported["transcript"])
    return f"{answer['calls']} calls, transcript {answer['transcript'][:8]}…"


def many_threads(suite):
    answer = suite.send(cmd="threads", threads=8, calls=10_000)
    suite.equal((answer["calls"], answer["wrong"]), (10_000, 0))


if __name__ == "__main__":
    sys.exit(main())
