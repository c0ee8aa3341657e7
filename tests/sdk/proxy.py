"""A proxy between an SDK and its server. It passes requests on, and an `act` may decide them or falsify the answer."""

import http.client
import http.server
import json
import threading


class Exchange:
    """A request with the server's answer, which `act` may change."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.sent, self.body = method, path, headers, body
        self.status, self.headers, self.text = None, {}, b""
        # Send only so many bytes, then close; or pass nothing on.
        self.cut = None

    @property
    def route(self):
        """`create`, `show`, `execute`, `outcome`, `withdraw`, `keys`, `evaluate` or another last word of the path."""
        words = self.path.partition("?")[0].strip("/").split("/")[2:]
        if words == ["approvals"]:
            return "create" if self.method == "POST" else "list"
        if len(words) == 2 and words[0] == "approvals":
            return "show"
        return words[-1] if words else ""

    @property
    def answer(self):
        return json.loads(self.text)

    @answer.setter
    def answer(self, value):
        self.text = json.dumps(value).encode()

    def replace(self, status, value, **headers):
        self.status, self.answer = status, value
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        if status >= 400:
            self.headers["Content-Type"] = "application/problem+json"


class Proxy:
    """Calls `before(exchange)` and, once the server answered, `act(exchange)`. `before` may set a status itself, and
    then the server never sees the request."""

    def __init__(self, port, act=None, before=None):
        self.seen, self.faults = [], []
        lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes, and the second would wait for an acknowledgement.
            disable_nagle_algorithm = True

            def do_GET(self):
                self.exchange(None)

            def do_POST(self):
                self.exchange(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def exchange(self, body):
                exchange = Exchange(self.command, self.path, dict(self.headers), body)
                try:
                    self.act(exchange)
                except Exception as error:  # A fault of the suite, or of the true server.
                    proxy.faults.append(f"{exchange.method} {exchange.path}: {error!r}")
                    exchange.replace(500, {"title": "fault", "status": 500, "detail": "fault", "code": "fault"})
                with lock:
                    proxy.seen.append(exchange)
                self.reply(exchange)

            def act(self, exchange):
                if before:
                    before(exchange)
                if exchange.status is None and exchange.cut is None:
                    passed_on(port, exchange)
                if act:
                    act(exchange)

            def reply(self, exchange):
                try:
                    if exchange.cut is not None and exchange.status is None:
                        self.connection.close()
                        return
                    self.send_response(exchange.status)
                    self.send_header("Content-Length", str(len(exchange.text)))
                    for name, value in exchange.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(exchange.text[: exchange.cut])
                    if exchange.cut is not None:
                        self.wfile.flush()
                        self.connection.shutdown(2)
                        self.close_connection = True
                except OSError:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.server.shutdown()
        self.server.server_close()
        if self.faults and kind is None:
            raise RuntimeError(f"the proxy failed: {self.faults[0]}")

    def routes(self):
        return [exchange.route for exchange in self.seen]


KEPT = ("Content-Type", "Retry-After", "X-Request-Id", "Location")


def passed_on(port, exchange):
    true = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    passed = ("authorization", "content-type", "idempotency-key", "accept", "last-event-id", "x-request-id")
    headers = {name: value for name, value in exchange.sent.items() if name.lower() in passed}
    true.request(exchange.method, exchange.path, exchange.body, headers)
    answer = true.getresponse()
    exchange.status, exchange.text = answer.status, answer.read()
    exchange.headers = {name: answer.headers[name] for name in KEPT if answer.headers[name]}
    true.close()
