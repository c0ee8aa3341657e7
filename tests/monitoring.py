#!/usr/bin/env python3
"""A real Prometheus over a real server: `tests/monitoring.py SIGNOFF` (needs promtool, prometheus and openssl).

promtool checks the metrics, the alert rules and their unit tests, and the queries of the dashboard;
prometheus_client's strict parser reads the OpenMetrics format, if it is installed; and Prometheus scrapes
the server over TLS with a token and reports it as up.
"""

import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
MONITORING = REPOSITORY / "docs" / "monitoring"


def run(*command, **options):
    """Runs a command; returns its output. Fails with all of it."""
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if ran.returncode != 0:
        sys.exit(f"{command[0]} {command[1]} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def until(what, look):
    """Polls until something holds."""
    for _ in range(1_200):
        found = look()
        if found:
            return found
        time.sleep(0.25)
    sys.exit(f"gave up: {what}")


class Server:
    """`signoff serve` with TLS, a token and a witness."""

    def __init__(self, signoff, folder):
        self.signoff, self.folder = signoff, folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGNOFF_")}
        self.environment = kept | {"HMAC_SECRET": secrets.token_urlsafe(32), "SIGNOFF_CA": str(folder / "tls.pem")}
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext", "basicConstraints=CA:FALSE", "-keyout", folder / "tls.key", "-out", folder / "tls.pem")
        (folder / "tls.key").chmod(0o600)
        self.cli("init")
        for role, file in [("auditor", "signoff.token"), ("requester", "ci.token"), ("approver", "ann.token")]:
            self.token(role, file)
        serve = [signoff, "serve", "--listen", "127.0.0.1:0", "--tls-cert", "tls.pem", "--tls-key", "tls.key",
                 "--witness", "witness", "--new-witness", "--json", "--no-events"]
        self.log = open(folder / "log", "w")
        self.process = subprocess.Popen(serve, cwd=folder, env=self.environment, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def cli(self, *arguments):
        return run(self.signoff, *arguments, cwd=self.folder, env=self.environment)

    def token(self, role, file):
        token = self.cli("token", "create", "--subject", file, "--role", role, "--expires-in", "90d")
        (self.folder / file).write_text(token)
        (self.folder / file).chmod(0o600)

    def call(self, file, *arguments):
        """Runs a command with the token of a file."""
        token = (self.folder / file).read_text().strip()
        return self.cli("--server", self.url, "--token", token, *arguments)

    def metrics(self, *headers):
        token = (self.folder / "signoff.token").read_text().strip()
        more = [part for header in headers for part in ("-H", header)]
        return run("curl", "-sSf", "--cacert", self.folder / "tls.pem", "-H", f"Authorization: Bearer {token}",
                   *more, f"{self.url}/metrics")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def check_formats(server):
    """Both formats, by parsers that we did not write."""
    run("promtool", "check", "metrics", input=server.metrics())
    openmetrics = server.metrics("Accept: application/openmetrics-text; version=1.0.0")
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        sys.exit("prometheus_client is missing: pip install -r tests/runners/prometheus/requirements.txt")
    families = {family.name: family for family in text_string_to_metric_families(openmetrics)}
    for name, kind in [("signoff_http_requests", "counter"), ("signoff_http_request_seconds", "histogram"),
                       ("signoff_build", "info"), ("process_cpu_seconds", "counter")]:
        assert families[name].type == kind and families[name].samples, name


def check_rules(folder):
    """The alerts with their unit tests, and the queries of the dashboard."""
    run("promtool", "check", "rules", MONITORING / "alerts.yml")
    run("promtool", "test", "rules", "alerts_test.yml", cwd=MONITORING)
    board = json.loads((MONITORING / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    plain = [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in queries]
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(plain)]
    (folder / "dashboard.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run("promtool", "check", "rules", folder / "dashboard.yml")
    return plain


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Prometheus:
    """Prometheus with the configuration of `docs/monitoring.md`."""

    def __init__(self, folder, target):
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(MONITORING / "alerts.yml")],
            "scrape_configs": [{
                "job_name": "signoff", "scheme": "https",
                "authorization": {"credentials_file": str(folder / "signoff.token")},
                "tls_config": {"ca_file": str(folder / "tls.pem")},
                "static_configs": [{"targets": [target]}],
            }],
        }))
        run("promtool", "check", "config", folder / "prometheus.yml")
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                   f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(folder / "prometheus.log", "w"))

    def query(self, expression):
        """Returns the values of an instant query; none before Prometheus is ready."""
        url = f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return [float(series["value"][1]) for series in result]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def check_scrapes(server, prometheus, queries):
    """Prometheus reads the server, and the rules and the dashboard find their series."""
    until("Prometheus scrapes the server", lambda: prometheus.query('up{job="signoff"}') == [1.0])
    for expression, value in [
        ('signoff_approvals{status="approved"}', 1.0),
        ('signoff_approvals{status="pending"}', 1.0),
        ("signoff_store_writable", 1.0),
        ("signoff_audit_entries - signoff_witness_entries", 0.0),
        ("signoff_tokens", 4.0),
        ('sum(signoff_http_requests_total{route="/api/v1/approvals",status="201"})', 2.0),
        ("signoff_time_to_decision_seconds_count", 1.0),
        ("count(signoff_build_info)", 1.0),
    ]:
        until(f"{expression} is {value}", lambda: prometheus.query(expression) == [value])
    for expression in ["signoff_tls_not_after_seconds - time()", "signoff_token_not_after_seconds - time()",
                       "process_resident_memory_bytes", "signoff_http_request_seconds_sum"]:
        assert all(value > 0 for value in until(expression, lambda: prometheus.query(expression))), expression
    found = [query for query in queries if "rate(" not in query and prometheus.query(query)]
    assert len(found) >= 10, found
    until("the rules are evaluated", lambda: prometheus.query('count(ALERTS) or vector(0)') == [0.0])


def main():
    signoff = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        server = Server(signoff, folder)
        try:
            request = ["request", "--agent", "deployer", "--action", "restart", "--context", '{"service":"web"}']
            server.call("ci.token", *request)
            approval = json.loads(server.call("ci.token", "--json", *request))["id"]
            server.call("ann.token", "approve", approval, "--approver", "ann.token", "--yes")
            check_formats(server)
            queries = check_rules(folder)
            prometheus = Prometheus(folder, server.url.removeprefix("https://"))
            try:
                check_scrapes(server, prometheus, queries)
                # Without its token Prometheus sees nothing.
                (folder / "signoff.token").write_text("signoff_nothing")
                until("a wrong token is refused", lambda: prometheus.query('up{job="signoff"}') == [0.0])
            finally:
                prometheus.stop()
        finally:
            server.stop()
    print("Prometheus scrapes the server; metrics, alerts and dashboard are valid")


if __name__ == "__main__":
    main()
