"""What must work with every SDK: decisions, outcomes, retries and limits, with an honest server."""

import json
import socket
import threading

from deployment import AGENT

CONTEXT = '{"target": "prod", "replicas": 3, "big": 12345678901234567890, "ratio": 1.0, "name": "Zo\\u00eb"}'
CANONICAL = '{"big": 12345678901234567890, "name": "Zo\\u00eb", "ratio": 1.0, "replicas": 3, "target": "prod"}'


def deciding(deployment, decision="approved", comment="", people=None):
    """Decides each request while its answer is on the way, so that nothing has to be waited for."""

    def act(exchange):
        if exchange.route == "create" and exchange.status == 201:
            deployment.decide(exchange.answer["id"], decision, comment, people)

    return act


def approved_action_runs_once(suite):
    with suite.proxy(deciding(suite.deployment)) as proxy:
        answer = suite.guard(proxy, threshold=2, groups={"sre": 1})
    suite.ran(answer, CANONICAL)
    shown = suite.shown(answer)
    suite.equal(shown["execution"]["outcome"], "succeeded")
    suite.equal(shown["requirement"]["threshold"], 2)
    for route in ("create", "execute", "outcome"):
        sent = [exchange for exchange in proxy.seen if exchange.route == route]
        suite.equal(len(sent), 1)
        suite.check(sent[0].sent.get("Idempotency-Key"), f"no idempotency key for {route}")


def a_floor_is_requested(suite):
    """Nobody votes on an approval that the guard must refuse: what it verifies is what it requires."""
    for own, floor, requirement, lifetime in (
        ({}, {"threshold": 2}, {"threshold": 2}, None),
        ({}, {"threshold": 2, "groups": {"sre": 1}}, {"threshold": 2, "groups": {"sre": 1}}, None),
        ({"threshold": 1, "groups": {"sre": 1}}, {"threshold": 2, "groups": {"sre": 2}},
         {"threshold": 2, "groups": {"sre": 2}}, None),
        ({"threshold": 2, "groups": {"sre": 2}}, {"threshold": 1, "groups": {"sre": 1}},
         {"threshold": 2, "groups": {"sre": 2}}, None),
        ({"groups": {"sre": 1}}, {"threshold": 2}, {"threshold": 2, "groups": {"sre": 1}}, None),
        ({}, {"ttl_seconds": 600}, None, 600),
        ({"expires_in_seconds": 900}, {"ttl_seconds": 600}, None, 600),
        ({"expires_in_seconds": 300}, {"ttl_seconds": 600}, None, 300),
        # An unset lifetime is the server's default of an hour, which a longer one of the floor does not raise.
        ({}, {"ttl_seconds": 86400}, None, None),
        ({"threshold": 1}, None, {"threshold": 1}, None),
        ({}, None, None, None),
    ):
        with suite.proxy(deciding(suite.deployment)) as proxy:
            suite.ran(suite.guard(proxy, floor=floor, **own), CANONICAL)
        sent = json.loads(next(exchange.body for exchange in proxy.seen if exchange.route == "create"))
        suite.equal((own, floor, sent.get("requirement"), sent.get("expires_in_seconds")),
                    (own, floor, requirement, lifetime))
    # Nobody is in this group: the request is refused, and nobody is asked.
    with suite.proxy() as proxy:
        answer = suite.guard(proxy, floor={"groups": {"dba": 1}})
    suite.refused(answer, "Conflict", "requirement-unmeetable")
    suite.equal(proxy.routes(), ["create"])


def without_pinned_keys_the_server_is_trusted(suite):
    with suite.proxy(deciding(suite.deployment)) as proxy:
        answer = suite.guard(proxy, pinned=False)
    suite.ran(answer, CANONICAL)
    suite.equal(suite.shown(answer)["execution"]["outcome"], "succeeded")


def a_plan_is_bound(suite):
    with suite.proxy(deciding(suite.deployment)) as proxy:
        answer = suite.guard(proxy, plan='{"steps": ["one", "two"]}')
    suite.ran(answer, CANONICAL)
    suite.equal(suite.shown(answer)["plan"], {"steps": ["one", "two"]})


def a_function_that_fails_is_reported(suite):
    with suite.proxy(deciding(suite.deployment)) as proxy:
        answer = suite.guard(proxy, fail=True)
    suite.equal(answer["runs"], 1)
    shown = suite.shown(answer)["execution"]
    suite.equal(shown["outcome"], "failed")
    suite.check("secret" not in (shown["detail"] or ""), f"the detail has the text of the error: {shown['detail']}")


def a_decision_that_comes_later_is_waited_for(suite):
    def act(exchange):
        if exchange.route == "create" and exchange.status == 201:
            id = exchange.answer["id"]
            threading.Timer(0.3, lambda: suite.deployment.decide(id)).start()

    with suite.proxy(act) as proxy:
        suite.ran(suite.guard(proxy), CANONICAL)


def a_rejection_is_an_error_with_its_comment(suite):
    with suite.proxy(deciding(suite.deployment, "rejected", "too risky today")) as proxy:
        answer = suite.guard(proxy)
    suite.refused(answer, "Rejected", "rejected")
    suite.equal(answer["error"]["comment"], "too risky today")
    suite.check("too risky today" in answer["error"]["message"], f"the message has no comment: {answer['error']}")
    suite.check("execute" not in proxy.routes(), "a rejected approval was claimed")
    # The message is one printable line, and not endless; the comment is as it came.
    comment = "first\nsecond \u202e\x1b[2J" + "x" * 3000
    decide = deciding(suite.deployment, "rejected", "no")

    def act(exchange):
        decide(exchange)
        if exchange.route == "show" and exchange.status == 200:
            view = exchange.answer
            ballots = [cast | {"comment": comment} for cast in view["ballots"]]
            exchange.answer = view | {"comment": comment, "ballots": ballots}

    with suite.proxy(act) as proxy:
        answer = suite.guard(proxy)
    error = answer["error"]
    suite.equal(error["comment"], comment)
    suite.check("first" in error["message"] and error["message"].isprintable(), repr(error["message"]))
    suite.check(len(error["message"]) < 1500, f"{len(error['message'])} characters")


def an_expired_approval_is_an_error(suite):
    with suite.proxy() as proxy:
        answer = suite.guard(proxy, expires_in_seconds=1)
    suite.refused(answer, "Expired", "expired")


def a_withdrawn_approval_is_an_error(suite):
    def act(exchange):
        if exchange.route == "create" and exchange.status == 201:
            suite.deployment.withdraw(exchange.answer["id"])

    with suite.proxy(act) as proxy:
        suite.refused(suite.guard(proxy), "Withdrawn", "withdrawn")


def a_denied_action_is_an_error(suite):
    with suite.proxy() as proxy:
        answer = suite.guard(proxy, action="forbidden")
    suite.refused(answer, "Denied", "policy-denied")
    suite.check("this action is never allowed" in (answer["error"]["comment"] or ""), f"no reason: {answer}")


def a_wait_that_takes_too_long_withdraws(suite):
    with suite.proxy() as proxy:
        answer = suite.guard(proxy, timeout=1)
    suite.refused(answer, "TimedOut", "timed-out")
    created = next(exchange for exchange in proxy.seen if exchange.route == "create").answer
    suite.equal(suite.deployment.shown(created["id"])["status"], "withdrawn")


# More tries than these do not fit into a second with the pauses of the SDKs; into a call's 30 s fit eleven at least.
TRIES_MAX = 8


def the_timeout_of_a_guard_ends_the_retries_of_its_request(suite):
    def before(exchange):
        exchange.cut = 0

    with suite.proxy(before=before) as proxy:
        answer = suite.guard(proxy, timeout=1)
    suite.refused(answer, "Unavailable", "unreachable")
    suite.check(set(proxy.routes()) == {"create"} and len(proxy.seen) <= TRIES_MAX, str(proxy.routes()))
    # Nobody listens there any more.
    suite.refused(suite.guard(proxy, timeout=1), "Unavailable", "unreachable")
    # Connections are made, and nothing is answered.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        suite.refused(suite.guard(proxy, timeout=1), "Unavailable", "unreachable")


def the_timeout_of_a_guard_ends_the_retries_of_its_wait(suite):
    def before(exchange):
        if exchange.route == "show":
            exchange.cut = 0

    with suite.proxy(before=before) as proxy:
        answer = suite.guard(proxy, timeout=1)
    suite.refused(answer, "TimedOut", "timed-out")
    polls = proxy.routes().count("show")
    suite.check(1 <= polls <= TRIES_MAX, f"{polls} polls")
    created = next(exchange for exchange in proxy.seen if exchange.route == "create").answer
    suite.equal(suite.deployment.shown(created["id"])["status"], "withdrawn")
    # Once it is decided, a claim is not cut off.
    busy = {"execute"}

    def late(exchange):
        if exchange.route in busy:
            busy.remove(exchange.route)
            exchange.replace(503, problem(503, "store-unavailable"), Retry_After="2")

    with suite.proxy(deciding(suite.deployment), late) as proxy:
        suite.ran(suite.guard(proxy, timeout=1), CANONICAL)


def lost_answers_are_asked_for_again_with_the_same_key(suite):
    lost = {"create", "execute", "outcome"}
    decide = deciding(suite.deployment)

    def act(exchange):
        decide(exchange) if exchange.route == "create" and "create" in lost else None
        if exchange.route in lost:
            lost.remove(exchange.route)
            exchange.cut = 0

    before = suite.deployment.count()
    with suite.proxy(act) as proxy:
        answer = suite.guard(proxy)
    suite.ran(answer, CANONICAL)
    suite.equal(suite.shown(answer)["execution"]["outcome"], "succeeded")
    suite.equal(suite.deployment.count() - before, 1)
    for route in ("create", "execute", "outcome"):
        sent = [exchange.sent.get("Idempotency-Key") for exchange in proxy.seen if exchange.route == route]
        suite.check(len(sent) >= 2 and len(set(sent)) == 1, f"keys of {route}: {sent}")


def busy_servers_are_asked_again(suite):
    for status, code in ((503, "store-unavailable"), (429, "rate-limited")):
        busy = {"create", "show", "execute", "outcome"}

        def before(exchange):
            if exchange.route in busy:
                busy.remove(exchange.route)
                exchange.replace(status, problem(status, code), Retry_After="0")

        with suite.proxy(deciding(suite.deployment), before) as proxy:
            suite.ran(suite.guard(proxy), CANONICAL)


def other_refusals_are_not_asked_again(suite):
    for status, code, kind in (
        (403, "forbidden", "Forbidden"), (401, "unauthenticated", "Forbidden"), (422, "request-invalid", "Invalid"),
        (409, "requirement-unmeetable", "Conflict"), (500, "internal-error", "Unavailable"),
        (403, "a-code-of-tomorrow", "SignoffError"),
    ):
        def before(exchange):
            exchange.replace(status, problem(status, code), X_Request_Id="r-1")

        with suite.proxy(before=before) as proxy:
            answer = suite.guard(proxy)
        suite.refused(answer, kind, code)
        suite.equal(answer["error"]["request_id"], "r-1")
        suite.equal(proxy.routes(), ["create"])


def an_outcome_that_cannot_be_reported_leaves_the_result(suite):
    def before(exchange):
        if exchange.route == "outcome":
            exchange.replace(403, problem(403, "forbidden"))

    with suite.proxy(deciding(suite.deployment), before) as proxy:
        answer = suite.guard(proxy)
    suite.equal((answer["runs"], answer["error"], answer["reported"]), (1, None, False))


def unknown_members_are_kept(suite):
    def act(exchange):
        if exchange.route == "show":
            exchange.text = exchange.text.rstrip()[:-1] + b',"of_tomorrow":{"a":1}}'

    with suite.proxy(act) as proxy:
        made = suite.ask("request", proxy, agent=AGENT, action="deploy", context=CONTEXT)["ok"]
        shown = suite.ask("get", proxy, id=made["id"])["ok"]
    suite.equal(shown["of_tomorrow"], {"a": 1})


def members_that_differ_are_named(suite):
    with suite.proxy(deciding(suite.deployment)) as proxy:
        made = suite.ask("request", proxy, agent=AGENT, action="deploy", context='{"a": 1, "b": {"c": 2}}')["ok"]
        claim = suite.ask("claim", proxy, id=made["id"], agent=AGENT, action="deploy", context='{"b": {"c": 3}}')
    suite.equal(claim["error"]["type"], "Mismatch")
    suite.equal(claim["error"]["members"], ["/a", "/b/c"])


def malformed_contexts_are_refused_before_the_call(suite):
    with suite.proxy() as proxy:
        for context in ('{"a": 1, "a": 2}', "[1]", "", '{"a": NaN}', '{"a": 1} {}', '{"a": "\\ud800"}'):
            answer = suite.guard(proxy, context=context)
            suite.refused(answer, "Invalid", "context-invalid")
    suite.equal(proxy.routes(), [])


def private_keys_are_refused_before_anything_is_sent(suite):
    entry = suite.deployment.approvers[0].entry()
    private = entry | {"private": entry["material"]}
    for name, form in {"one": private, "list": [entry, private], "keyring": {"format": 1, "keys": [private]}}.items():
        keys = suite.deployment.keyring(f"private-{name}", form)
        with suite.proxy() as proxy:
            answer = suite.guard(proxy, keys=keys)
        suite.refused(answer, "Invalid", "request-invalid")
        suite.equal(proxy.routes(), [])
        message = answer["error"]["message"]
        suite.check("the keys contain a private key: pin public keys only, as `signoff key list --json` prints them"
                    in message and entry["material"] not in message, message)


def the_token_of_the_home_file_is_for_its_server_alone(suite):
    """The address must be the same byte for byte."""
    def before(exchange):
        exchange.replace(403, problem(403, "forbidden"))

    with suite.proxy(before=before) as proxy:
        port = proxy.url.rpartition(":")[2]
        for server, is_sent in (
            (proxy.url, True), (f"{proxy.url}/", False), (f"HTTP://127.0.0.1:{port}", False),
            (f"http://localhost:{port}", False), (None, False),
        ):
            members = {"token": suite.deployment.executor} | ({} if server is None else {"server": server})
            with suite.deployment.home_file(**members):
                answer = suite.send(cmd="get", url=proxy.url, id="appr_01k7s2e3m8q4w6x9y0z1a2b3c4")
            suite.equal(answer["error"]["code"], "forbidden")
            token = proxy.seen[-1].sent.get("Authorization")
            suite.equal((server, token), (server, f"Bearer {suite.deployment.executor}" if is_sent else None))


def problem(status, code):
    return {"title": code, "status": status, "detail": "said by the suite", "code": code}


SCENARIOS = [value for value in list(globals().values()) if hasattr(value, "__code__")
             and value.__code__.co_varnames[:1] == ("suite",)]
