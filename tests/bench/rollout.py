"""Measures the costs of shipping a policy over HTTP: the time from the push to the first answer, and what a
shadow adds to an evaluation.

    python3 tests/bench/rollout.py [--signoff target/release/signoff] [--rounds 10] [--seconds 2] [--rules 100]

Rounds with and without a shadow alternate on one server. A figure is the median of the rounds; a ratio is the
median of the rounds' ratios. A shadow that agrees costs its evaluation; one that differs also costs an audit
entry for each evaluation. With `wrk`, rates at 16 connections are measured too: they use the whole machine, so
that a shadow's work shows.
"""

import argparse
import base64
import http.client
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from shipping import EVALUATE, Server

CONDITIONS = [
    ("context.risk_score >= {}", 80, "require_approval"),
    ('context.environment == "production" && context.changes_count > {}', 1000, "require_approval"),
    ('context.path.startsWith("secret/") && context.risk_score > {}', 0, "deny"),
    ("context.reviewed && context.risk_score < {}", 50, "allow"),
    ("context.recipients > {}", 100, "require_approval"),
]
QUESTION = {
    "agent": "inbox_triage",
    "action": "quarantine",
    "context": {
        "changes_count": 3,
        "environment": "production",
        "path": "inbox/mail.eml",
        "recipients": 3,
        "reviewed": False,
        "risk_score": 92,
    },
}


def rules(count, number, ttl):
    """Returns `count` rules, five of which concern the attempt; `number` makes the bytes unique."""
    text = [f'format = 1\nname = "bench-{number}"\n']
    for i in range(count):
        condition, level, verdict = CONDITIONS[i % 5]
        action = "quarantine" if i < 5 else f"action-{i}"
        condition = condition.format(level + i // 5 % 7)
        rule = [f'[[rule]]\nid = "r{i}"\naction = "{action}"\nwhen = \'{condition}\'\nverdict = "{verdict}"']
        if verdict == "require_approval":
            rule.append(f"ttl = {ttl}")
        if verdict != "allow":
            rule.append('reason = "risk {context.risk_score}"')
        text.append("\n".join(rule) + "\n")
    return "\n".join(text)


def built(server, count, number, ttl=1800):
    source = server.team / f"{number}.toml"
    source.write_text(rules(count, number, ttl), encoding="utf-8")
    wasm = server.team / f"{number}.wasm"
    server.run("policy", "build", source, "-o", wasm)
    return wasm


def activations(server, options):
    """Returns the seconds of a push, of an activation, and from the push to the first answer of the new policy."""
    pushes, activates, wholes = [], [], []
    for number in range(1, options.rounds + 2):
        wasm = built(server, options.rules, number)
        digest = server.sign(wasm, "bench", number)
        envelope = json.loads(pathlib.Path(f"{wasm}.dsse.json").read_text(encoding="utf-8"))
        module = {"manifest": envelope, "wasm": base64.b64encode(wasm.read_bytes()).decode()}
        begun = time.perf_counter()
        accept(server.ask("POST", "/api/v1/modules", module))
        pushed = time.perf_counter()
        accept(server.ask("POST", f"/api/v1/modules/{digest}/activate", {}))
        activated = time.perf_counter()
        serves = accept(server.ask("POST", EVALUATE, QUESTION))["policy"]
        if serves != digest:
            sys.exit(f"expected an answer by `{digest}`, which was activated, found one by `{serves}`")
        pushes.append(pushed - begun)
        activates.append(activated - pushed)
        wholes.append(time.perf_counter() - begun)
    # The first one fills caches.
    return [statistics.median(seconds[1:]) for seconds in (pushes, activates, wholes)]


def shadows(server, options, measure):
    """Returns the figures of each round, without a shadow and with each."""
    candidates = {
        "a shadow that agrees": built(server, options.rules, 1001),
        "one that always differs": built(server, options.rules, 1002, ttl=900),
    }
    digests = {}
    for version, (name, wasm) in enumerate(candidates.items(), start=1001):
        digests[name] = server.sign(wasm, "bench", version)
        server.run("module", "push", wasm)
    figures = {"no shadow": []} | {name: [] for name in digests}
    for number in range(options.rounds + 1):
        for name in figures:
            change = f"{digests[name]}/shadow" if name in digests else "policy/unshadow"
            # Without a shadow, unshadow fails, which does not matter here.
            server.ask("POST", f"/api/v1/modules/{change}", {})
            figure = measure(server, options.seconds)
            if number > 0:
                figures[name].append(figure)
    return figures


def latency(server, seconds):
    """Returns the seconds of one evaluation, in sequence on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body, asked = json.dumps(QUESTION), 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        connection.request("POST", EVALUATE, body, server.headers("POST", EVALUATE))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"the server answered {answer.status}")
        asked += 1
    return (time.perf_counter() - begun) / asked


def wrk(server, seconds, connections=16):
    """Returns the seconds of one evaluation at this many connections: the inverse of the rate."""
    script = server.home / "evaluate.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in server.headers("POST", EVALUATE).items())
        + f"wrk.body = [==[{json.dumps(QUESTION)}]==]\n"
    )
    url = f"http://127.0.0.1:{server.port}{EVALUATE}"
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", script, url]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    if "Non-2xx" in ran.stdout or "Socket errors" in ran.stdout:
        sys.exit(f"not every request was answered\n{ran.stdout}")
    [rate] = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("Requests/sec")]
    return 1 / float(rate)


def accept(answer):
    status, body = answer
    if status not in (200, 201):
        sys.exit(f"the server answered {status} {body}")
    return body


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signoff", default=str(ROOT / "target/release/signoff"), help="the binary")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="seconds of a round")
    parser.add_argument("--rules", type=int, default=100)
    options = parser.parse_args()
    print("| figure | median | compared | target | met |\n| --- | --- | --- | --- | --- |")
    # Next to the sources, on a disk: a store in memory would not be durable.
    with Server(options.signoff, ROOT / "target") as server:
        push, activate, whole = activations(server, options)
        print(f"| push, {options.rules} rules | {push * 1e3:.0f} ms | | | |")
        print(f"| activate | {activate * 1e3:.1f} ms | | | |")
        print(f"| from push to the first answer | {whole * 1e3:.0f} ms | | | |")
        measures = {"an evaluation": latency} | ({"an evaluation, 16 connections": wrk} if shutil.which("wrk") else {})
        for what, measure in measures.items():
            figures = shadows(server, options, measure)
            alone = figures.pop("no shadow")
            print(f"| {what} | {statistics.median(alone) * 1e6:.0f} µs | | | |")
            for name, beside in figures.items():
                ratio = statistics.median(b / a for a, b in zip(alone, beside))
                target = "≤ 1.2 ×" if "agrees" in name else ""
                met = ("yes" if ratio <= 1.2 else "no") if target else ""
                median = f"{statistics.median(beside) * 1e6:.0f} µs"
                print(f"| {what}, {name} | {median} | {ratio:.2f} × | {target} | {met} |")


if __name__ == "__main__":
    main()
