#!/usr/bin/env python3
"""What a guard costs over the same HTTP calls by hand, in Python.

    PYTHON tests/bench/guard.py SIGNOFF [ROUNDS]

PYTHON has `signoff[verifier]` of host/sdk/python. Both sides make the same calls on one connection: request, wait, claim,
outcome; an approver decides each request as soon as the log shows it. The guard also reads the list of keys and
verifies twice. Prints the median of each side and of their ratio; the sides alternate.
"""

import http.client
import json
import pathlib
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "sdk"))

import signoff  # noqa: E402
from deployment import AGENT, AUDIENCE, Deployment, ballot  # noqa: E402

CONTEXT = {"target": "prod", "replicas": 3, "note": "x" * 1000}


class ByHand:
    def __init__(self, deployment, token):
        self.connection = http.client.HTTPConnection("127.0.0.1", deployment.port)
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def call(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), text
        return json.loads(text)


def by_hand(agent):
    view = agent.call("POST", "/api/v1/approvals", {"agent": AGENT, "action": "deploy", "context": CONTEXT})
    path = f"/api/v1/approvals/{view['id']}"
    agent.call("GET", f"{path}?wait=50&while=pending")
    claim = {"agent": AGENT, "action": "deploy", "context": CONTEXT}
    execution = agent.call("POST", f"{path}/execute", claim)["execution"]["id"]
    agent.call("POST", f"{path}/outcome", {"execution_id": execution, "outcome": "succeeded"})


def approve_all(deployment):
    """Decides every request that the log shows, until the process ends."""
    person = deployment.approvers[0]
    decides = ByHand(deployment, deployment.ballot_tokens[person.approver])
    client = signoff.Client(f"http://127.0.0.1:{deployment.port}", token=deployment.ballot_tokens[person.approver])
    for event in client.events(0):
        if event.kind == "approval_requested":
            path = f"/api/v1/approvals/{event.entry['event']['approval_id']}"
            signature = ballot(person, decides.call("GET", path), "approved")
            decides.call("POST", f"{path}/approve", {"decision": "approved", "signature": signature})


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with Deployment(sys.argv[1]) as deployment:
        threading.Thread(target=approve_all, args=(deployment,), daemon=True).start()
        agent = ByHand(deployment, deployment.executor)
        client = signoff.Client(f"http://127.0.0.1:{deployment.port}", token=deployment.executor)
        action = {"agent": AGENT, "action": "deploy", "context": CONTEXT, "keys": deployment.pinned, "audience": AUDIENCE}
        sides = {"by hand": lambda: by_hand(agent), "guard": lambda: client.guard(lambda execution: None, **action)}
        times = {name: [] for name in sides}
        for _ in range(rounds + 5):
            for name, run in sides.items():
                begun = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - begun)
        times = {name: all_of[5:] for name, all_of in times.items()}
        ratios = [guard / hand for guard, hand in zip(times["guard"], times["by hand"])]
        for name, all_of in times.items():
            print(f"{name}: {statistics.median(all_of) * 1000:.2f} ms")
        print(f"guard / by hand: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
