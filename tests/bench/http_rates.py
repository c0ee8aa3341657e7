"""Compares the HTTP rates of `signoff serve` and of a peer with the same API in one run.

    python3 tests/bench/http_rates.py --peer http://127.0.0.1:8000
    python3 tests/bench/http_rates.py --peer-command 'uvicorn app:app --port {port} --workers {workers}'

The command is run once for each number in --workers (default 1 and 2), in the current directory, with
HMAC_SECRET set. Needs `wrk` and a release build of signoff (`cargo build --release -p signoff`).

Rounds of a few seconds alternate between the servers, because the machine has other work too. The figure is
the median of the rounds; the ratio is the median of the rounds' ratios.
"""

import argparse
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
APPROVER = "user@company.com"
REQUEST = {
    "agent": "deploy-bot",
    "action": "deploy_to_production",
    "context": {"service": "billing", "version": "1.2.3", "replicas": 12, "ratio": 0.25},
    "reason": "release of the week",
}
TARGETS = {"create": 20, "verify": 30}


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, process):
    for _ in range(300):
        try:
            urllib.request.urlopen(url + "/api/v1/approvals/none", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process and process.poll() is not None:
                sys.exit(f"the server for {url} exited with {process.returncode}")
            time.sleep(0.1)
    sys.exit(f"no answer at {url}")


def stop(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)


def approved(url, secret):
    """Returns the id and signature of a new approved approval. Checks that the server refuses a wrong signature."""
    approval = post(f"{url}/api/v1/approvals", REQUEST)
    expires_at = approval["expires_at"].replace("Z", "+00:00")
    message = f"{approval['id']}:approved:{APPROVER}:{expires_at}"
    signature = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    ballot = {"decision": "approved", "approver": APPROVER, "signature": signature}
    at = f"{url}/api/v1/approvals/{approval['id']}"
    post(f"{at}/approve", ballot)
    for sent, valid in [(signature, True), ("0" * 64, False)]:
        answer = post(f"{at}/verify", {"signature": sent})
        if answer["valid"] is not valid:
            sys.exit(f"expected `valid` to be {valid}, {url} answered {answer}")
    return approval["id"], signature


class Rates:
    """The rates of one server, measured by `wrk`."""

    def __init__(self, name, url, secret, arguments, folder):
        self.name, self.arguments = name, arguments
        approval, self.signature = approved(url, secret)
        self.url = f"{url}/api/v1/approvals/{approval}/verify"
        work = {
            "create": ("/api/v1/approvals", REQUEST),
            "verify": (self.url.removeprefix(url), {"signature": self.signature}),
        }
        self.commands = {}
        for what, (path, body) in work.items():
            script = pathlib.Path(folder) / f"{secrets.token_hex(8)}.lua"
            script.write_text(
                'wrk.method = "POST"\n'
                'wrk.headers["Content-Type"] = "application/json"\n'
                f"wrk.body = [==[{json.dumps(body)}]==]\n"
            )
            self.commands[what] = ["-s", str(script), url + path]
        self.rounds = {what: [] for what in work}

    def round(self, what):
        flags = ["-t", "1", "-c", str(self.arguments.connections), "-d", f"{self.arguments.seconds}s"]
        ran = subprocess.run(["wrk", *flags, *self.commands[what]], capture_output=True, text=True, check=True)
        # A refusal may be faster than the work, so a round with a refusal does not count.
        if "Non-2xx" in ran.stdout or "Socket errors" in ran.stdout:
            sys.exit(f"{self.name}, {what}: not every request was answered\n{ran.stdout}")
        if post(self.url, {"signature": self.signature})["valid"] is not True:
            sys.exit(f"{self.name}: the approval is no longer valid")
        [rate] = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("Requests/sec")]
        self.rounds[what].append(float(rate))


def compare(ours, peer, arguments):
    lines = []
    for what, target in TARGETS.items():
        for round_number in range(arguments.rounds + 1):
            print(f"{what}: round {round_number} of {arguments.rounds} …", file=sys.stderr)
            for rates in (ours, peer):
                rates.round(what)
        # The first round warms up.
        [a, b] = [rates.rounds[what][1:] for rates in (ours, peer)]
        ratio = statistics.median(x / y for x, y in zip(a, b))
        print(f"{what}: {ours.name} {a}, {peer.name} {b}", file=sys.stderr)
        met = "yes" if ratio >= target else "no"
        lines.append(
            f"| {what} over HTTP, {arguments.connections} connections | {statistics.median(a):.0f}/s | "
            f"{ratio:.1f} × as much as {peer.name} ({statistics.median(b):.0f}/s) | ≥ {target} × | {met} |"
        )
        ours.rounds[what], peer.rounds[what] = [], []
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--peer", metavar="URL", help="a running peer with the secret in $HMAC_SECRET")
    which.add_argument("--peer-command", metavar="COMMAND", help="starts the peer; {port} and {workers} are filled in")
    parser.add_argument("--peer-name", default="FastAPI and SQLite")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--signoff", default=str(ROOT / "target/release/signoff"), help="the binary")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=2, help="seconds of a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")
    secret = os.environ.get("HMAC_SECRET") or secrets.token_urlsafe(32)
    environment = {**os.environ, "HMAC_SECRET": secret}
    lines = []
    # Next to the sources, on a disk: a store in memory would not be durable.
    with tempfile.TemporaryDirectory(prefix="http-bench-", dir=ROOT / "target") as folder:
        port = free_port()
        serve = [arguments.signoff, "--store", f"{folder}/store.redb", "serve", "--quiet", "--listen", f"127.0.0.1:{port}"]
        signoff = subprocess.Popen(serve, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, signoff)
            ours = Rates("signoff", url, secret, arguments, folder)
            if arguments.peer:
                peer = Rates(arguments.peer_name, arguments.peer.rstrip("/"), secret, arguments, folder)
                lines += compare(ours, peer, arguments)
            for workers in arguments.workers if arguments.peer_command else []:
                port = free_port()
                command = shlex.split(arguments.peer_command.format(port=port, workers=workers))
                of_peer = {**environment, "DB_URL": f"sqlite:///{folder}/peer-{workers}.db"}
                process = subprocess.Popen(
                    command, env=of_peer, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
                )
                try:
                    url = f"http://127.0.0.1:{port}"
                    wait_for(url, process)
                    name = f"{arguments.peer_name}, {workers} worker{'s' if workers > 1 else ''}"
                    lines += compare(ours, Rates(name, url, secret, arguments, folder), arguments)
                finally:
                    stop(process)
        finally:
            stop(signoff)
    print("| figure | median | compared | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
