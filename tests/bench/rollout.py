"""What shipping a policy costs, over HTTP: how long from push to serving, and what a shadow costs those
who ask.

    python3 tests/bench/rollout.py [--signoff target/release/signoff] [--rounds 10] [--seconds 2] [--rules 100]

Shadowed and unshadowed rounds take turns on one server; a figure is the median of the rounds, a ratio
the median of each round's own. A shadow that agrees costs its evaluation; one that differs also an audit
entry for each question. With `wrk` rates are measured too, at 16 connections: the machine is full then,
so that a shadow's work is somebody's.
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
    """So many rules, five of which concern the question; `number` makes other bytes."""
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
    """Seconds from the push's first byte until a question is answered by the new policy."""
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
            sys.exit(f"`{serves}` answers after `{digest}` was activated")
        pushes.append(pushed - begun)
        activates.append(activated - pushed)
        wholes.append(time.perf_counter() - begun)
    # The first one fills caches.
    return [statistics.median(seconds[1:]) for seconds in (pushes, activates, wholes)]


def shadows(server, options, measure):
    """Medians without a shadow, and with each; the ratios of the rounds."""
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
            # Nothing to take away is no mistake here.
            server.ask("POST", f"/api/v1/modules/{change}", {})
            figure = measure(server, options.seconds)
            if number > 0:
                figures[name].append(figure)
    return figures


def latency(server, seconds):
    """Seconds that one question takes, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body, asked = json.dumps(QUESTION), 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        connection.request("POST", EVALUATE, body, server.headers("POST", EVALUATE))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"the server answers {answer.status}")
        asked += 1
    return (time.perf_counter() - begun) / asked


def wrk(server, seconds, connections=16):
    """Seconds a question at so many connections: the rate, turned over."""
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
        sys.exit(f"not every question was answered\n{ran.stdout}")
    [rate] = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("Requests/sec")]
    return 1 / float(rate)


def accept(answer):
    status, body = answer
    if status not in (200, 201):
        sys.exit(f"the server answers {status} {body}")
    return body


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signoff", default=str(ROOT / "target/release/signoff"), help="the binary")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="of a round")
    parser.add_argument("--rules", type=int, default=100)
    options = parser.parse_args()
    print("| figure | median | compared | target | met |\n| --- | --- | --- | --- | --- |")
    # Beside the sources, on a disk: what is kept in memory is not durable.
    with Server(options.signoff, ROOT / "target") as server:
        push, activate, whole = activations(server, options)
        print(f"| push, {options.rules} rules | {push * 1e3:.0f} ms | | | |")
        print(f"| activate | {activate * 1e3:.1f} ms | | | |")
        print(f"| from push to the first answer | {whole * 1e3:.0f} ms | | | |")
        measures = {"a question": latency} | ({"a question, 16 connections": wrk} if shutil.which("wrk") else {})
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
