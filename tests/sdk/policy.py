"""Local policies: verdicts made in the executor's process, as strict as the server's, and all of them in the log.

Only for SDKs that have them; `run.py --local-policy` adds these scenarios."""

import json
import threading

from deployment import AGENT, AUDIENCE, KEY

RULES = """
format = 1
name = "suite"
default = "require_approval"

[[rule]]
id = "small"
action = "deploy"
when = "context.replicas <= 3 && facts.requester == 'agent:deployer'"
verdict = "allow"

[[rule]]
id = "never"
action = "forbidden"
verdict = "deny"
reason = "this action is never allowed: {context.why}"

[[rule]]
id = "money"
action = "transfer"
when = "context.amount > 10.5 || plan != null"
verdict = "require_approval"
threshold = 2
groups = { sre = 1 }
ttl = "urgent"

[[test]]
name = "small"
agent = "deployer"
action = "deploy"
context = { replicas = 1 }
expect = "allow"
"""
DENIES = RULES.replace('verdict = "allow"', 'verdict = "deny"').replace('expect = "allow"', 'expect = "deny"')
ATTEMPTS = [
    ("deploy", '{"replicas": 3}', None), ("deploy", '{"replicas": 4}', None), ("deploy", "{}", None),
    ("deploy", '{"replicas": 1.0, "name": "Zo\\u00eb"}', None), ("forbidden", '{"why": "\\u202e"}', None),
    ("transfer", '{"amount": 11}', None), ("transfer", '{"amount": 1}', '{"steps": []}'), ("unknown", "{}", None),
    ("deploy", '{"replicas": 12345678901234567890123}', None),
]


class Local:
    """The local policy of one scenario, with a proxy and a queue of its own."""

    def __init__(self, suite, proxy, name, signers=None, **settings):
        self.suite, self.proxy = suite, proxy
        self.signers = signers or suite.deployment.keyring("signers", [signer_entry(suite.deployment)])
        queue = suite.deployment.home / f"queue-{name}"
        self.settings = {"audience": AUDIENCE, "queue": str(queue), "max_stale": 30, **settings}

    def ask(self, action, context, plan=None, **changes):
        arguments = {"agent": AGENT, "action": action, "context": context, "signers": self.signers, **self.settings}
        if plan is not None:
            arguments["plan"] = plan
        return self.suite.ask("policy", self.proxy, **arguments | changes)

    def follow(self, digest):
        self.suite.send(cmd="policy_wait", url=self.proxy.url, signers=self.signers, digest=digest)

    def close(self):
        return self.suite.send(cmd="policy_close")["pending"]


def signer_entry(deployment):
    return json.loads(deployment.run("key", "show", KEY, "--json", where="team"))["entry"]


def activate(suite, rules, version):
    """Activates the policy of these rules, and returns its digest. A policy is shipped once."""
    deployment = suite.deployment
    shipped = deployment.__dict__.setdefault("shipped", {})
    if deployment.__dict__.get("active") == rules:
        return shipped[rules]
    deployment.active = rules
    (deployment.team / "rules.toml").write_text(rules, encoding="utf-8")
    deployment.run("policy", "build", "rules.toml", "-o", "policy.wasm")
    deployment.environment["SIGNOFF_TOKEN"] = deployment.shipper
    if rules in shipped:
        deployment.run("module", "rollback", "policy", "--to", shipped[rules], "--reason", "suite")
    else:
        shipped[rules] = deployment.ship(deployment.team / "policy.wasm", "suite", version)
    return shipped[rules]


def reported(suite):
    """All decisions that the log has as reports."""
    token, decisions, after = suite.deployment.auditor, [], 0
    while after is not None:
        page = suite.deployment.ask_as(token, "GET", f"/api/v1/audit?limit=1000&after={after}")
        entries = [item["entry"]["event"] for item in page["items"]]
        decisions += [one for entry in entries if entry["event"] == "guardrails_reported" for one in entry["decisions"]]
        after = page["next_after"]
    return decisions


def verdicts_are_those_of_the_server(suite):
    suite.digest = activate(suite, RULES, 101)
    before = len(reported(suite))
    with suite.proxy() as proxy:
        local = Local(suite, proxy, "same")
        for action, context, plan in ATTEMPTS:
            made = local.ask(action, context, plan)
            suite.check(made.get("local") is True and made["recorded"] == "disk", f"{action} {context}: {made}")
            body = {"agent": AGENT, "action": action, "context": json.loads(context)}
            if plan:
                body["plan"] = json.loads(plan)
            said = suite.deployment.ask_as(suite.deployment.executor, "POST", "/api/v1/guardrails/evaluate", body)
            for member in ("decision", "rule", "policy"):
                suite.equal((action, context, made[member]), (action, context, said[member]))
        suite.equal(local.close(), 0)
    suite.check("evaluate" not in proxy.routes(), "a local verdict asked the server")
    found = reported(suite)[before:]
    suite.equal([(one["action"], one["policy"]) for one in found], [(action, suite.digest) for action, *_ in ATTEMPTS])


def an_activation_is_followed(suite):
    first = activate(suite, RULES, 102)
    with suite.proxy() as proxy:
        local = Local(suite, proxy, "follow")
        suite.equal(local.ask("deploy", '{"replicas": 1}')["decision"], "allow")
        second = activate(suite, DENIES, 103)
        local.follow(second)
        made = local.ask("deploy", '{"replicas": 1}')
        suite.equal((made["decision"], made["local"], made["policy"]), ("deny", True, second))
        local.close()
    suite.check(first != second, "the same policy twice")
    activate(suite, RULES, 104)


def a_stale_policy_allows_nothing(suite):
    """The server hides activations: after `max_stale` only its own verdict counts, and without one there is none."""
    hidden = threading.Event()

    def before(exchange):
        if hidden.is_set() and exchange.route in ("policy", "evaluate", "decisions"):
            exchange.status, exchange.text, exchange.cut = 502, b"cut", 0

    with suite.proxy(before=before) as proxy:
        local = Local(suite, proxy, "stale", max_stale=1, call_timeout=1)
        suite.equal(local.ask("deploy", '{"replicas": 1}')["decision"], "allow")
        hidden.set()
        while "error" not in (made := local.ask("deploy", '{"replicas": 1}')):
            suite.equal((made["decision"], made["local"]), ("allow", True))
        suite.equal(made["error"]["type"], "Unavailable")
        hidden.clear()
        suite.check(local.close() == 0, "decisions were lost")


def an_unknown_signer_decides_nothing_here(suite):
    """Another signer, an audience that the manifest does not name, and other bytes: the server is asked."""
    stranger = suite.deployment.stranger.entry(use="module", groups=["policy"], approver=None)
    same_id = suite.deployment.keyring("stranger", [stranger | {"id": KEY}])
    other_slot = suite.deployment.keyring("slot", [signer_entry(suite.deployment) | {"groups": ["verifier"]}])
    revoked = suite.deployment.keyring("revoked-signer", [signer_entry(suite.deployment) | {"status": "revoked"}])
    for number, signers in enumerate((same_id, other_slot, revoked, suite.deployment.keyring("none", []))):
        with suite.proxy() as proxy:
            local = Local(suite, proxy, f"signer-{number}", signers)
            made = local.ask("deploy", '{"replicas": 1}')
            suite.equal((made["decision"], made["local"], made["recorded"]), ("allow", False, "server"))
            local.close()

    def other_bytes(exchange):
        if exchange.route == "wasm":
            exchange.text = exchange.text[:-1] + bytes([exchange.text[-1] ^ 1])

    def other_facts(exchange):
        if exchange.route == "policy" and exchange.status == 200:
            exchange.answer = exchange.answer | {"facts": ["x"]}

    for number, lie in enumerate((other_bytes, other_facts)):
        with suite.proxy(lie) as proxy:
            local = Local(suite, proxy, f"bytes-{number}")
            made = local.ask("deploy", '{"replicas": 1}')
            suite.equal(made.get("local"), False)
            local.close()


def reports_survive_a_lost_answer(suite):
    """An answer to a report is lost, and a batch is refused for a while: each decision is in the log once."""
    lost = ["cut", "busy"]

    def act(exchange):
        if exchange.route == "decisions" and lost:
            if lost.pop(0) == "cut":
                exchange.cut = 0
            else:
                exchange.replace(503, {"title": "x", "status": 503, "detail": "x", "code": "store-unavailable"},
                                 Retry_After="0")

    before = len(reported(suite))
    with suite.proxy(act) as proxy:
        local = Local(suite, proxy, "lost")
        for replicas in range(3):
            local.ask("deploy", json.dumps({"replicas": replicas}))
        suite.equal(local.close(), 0)
    found = reported(suite)[before:]
    suite.equal(len({one["id"] for one in found}), 3)
    suite.equal(len(found), 3)


def no_policy_requires_approval(suite):
    """A policy is not active, so the verdict is the server's: approval."""
    def act(exchange):
        if exchange.route == "policy" and exchange.status == 200:
            exchange.answer = exchange.answer | {"policy": None}

    with suite.proxy(act) as proxy:
        local = Local(suite, proxy, "none")
        made = local.ask("unknown", "{}")
        suite.equal((made["decision"], made["local"]), ("require_approval", False))
        local.close()


SCENARIOS = [value for value in list(globals().values()) if hasattr(value, "__code__")
             and value.__code__.co_varnames[:1] == ("suite",) and not value.__name__.startswith(("activate", "reported"))]
