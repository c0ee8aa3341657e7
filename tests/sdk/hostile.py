"""Lies. Whatever the proxy says, only what was approved at the true server may run, and only once."""

import copy
import json

from deployment import ballot
from honest import CANONICAL, CONTEXT, deciding

SHOWN = ("show", "execute")


def mutations(value, path=()):
    """Every change of one member: another value, its absence, another type, and one member more."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name), "absent"
            yield from mutations(inner, (*path, name))
        yield path, "more"
    elif isinstance(value, list):
        if value:
            yield path, "twice"
            yield path, "empty"
        for index, inner in enumerate(value):
            yield from mutations(inner, (*path, index))
    else:
        yield path, "other"
        yield path, "null"


def mutated(value, path, how):
    value = copy.deepcopy(value)
    holder, place = {"": value}, ""
    for step in path:
        holder, place = holder[place], step
    current = holder[place]
    if how == "absent":
        del holder[place]
    elif how == "more":
        current["more"] = "said by the proxy"
    elif how == "twice":
        current.append(copy.deepcopy(current[0]))
    elif how == "empty":
        current.clear()
    elif how == "null":
        holder[place] = None
    else:
        holder[place] = another(current)
    return value if path else holder[""]


def another(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 0.5
    if value is None:
        return "said by the proxy"
    if len(value) == 20 and value.endswith("Z"):
        return "2099-01-01T00:00:00Z"
    last = value[-1:]
    return value[:-1] + ("B" if last != "B" else "C")


def every_member_of_the_view_and_of_the_claim(suite):
    """Nothing runs, or exactly what was approved, which the true server then shows as executed."""
    with suite.proxy(deciding(suite.deployment)) as proxy:
        suite.ran(suite.guard(proxy, plan='{"steps": [1]}'), CANONICAL)
    counts = {"ran": 0, "refused": 0}
    for route in SHOWN:
        sample = next(exchange.answer for exchange in proxy.seen if exchange.route == route)
        for path, how in mutations(sample):
            decide = deciding(suite.deployment)

            def act(exchange):
                decide(exchange)
                if exchange.route == route and exchange.status == 200:
                    try:
                        exchange.answer = mutated(exchange.answer, path, how)
                    except (KeyError, IndexError):
                        pass

            with suite.proxy(act) as proxy:
                answer = suite.guard(proxy, plan='{"steps": [1]}')
            name = f"{route} {'/'.join(map(str, path))} {how}"
            if answer["runs"]:
                counts["ran"] += 1
                suite.check(answer["ran_on"] == CANONICAL, f"{name}: ran on {answer['ran_on']}")
                is_false = how == "other" and path[:1] in NEVER
                suite.check(not is_false, f"{name}: ran although the member is signed")
                created = next(exchange.answer for exchange in proxy.seen if exchange.route == "create")
                suite.equal(suite.deployment.shown(created["id"])["status"], "executed")
            else:
                counts["refused"] += 1
                suite.check(answer["error"], f"{name}: neither ran nor failed")
    suite.check(counts["ran"] and counts["refused"] > counts["ran"], str(counts))
    return f"{counts['refused']} refused, {counts['ran']} of unsigned members ran as approved"


def at_once(exchange):
    """The true server would hold a wait, because it knows that nothing is decided."""
    if exchange.route == "show":
        exchange.path = exchange.path.partition("?")[0]


# Members of a view that a signature covers, or that decide.
NEVER = [(name,) for name in (
    "id", "audience", "status", "agent", "action", "request_digest", "context_hash", "plan_hash", "context", "plan",
    "reason", "requirement", "expires_at", "requested_at", "requested_by", "policy", "rule",
)]


def a_pending_request_shown_as_approved(suite):
    """No ballots, ballots of an earlier approval, and ballots by a key that is not pinned."""
    with suite.proxy(deciding(suite.deployment)) as proxy:
        suite.ran(suite.guard(proxy), CANONICAL)
    earlier = next(exchange.answer for exchange in proxy.seen if exchange.route == "show")
    stranger = suite.deployment.stranger

    def forged(view, profile):
        signature = ballot(stranger, view, "approved") if profile == "v2" else "ab" * 32
        return {"decision": "approved", "approver": stranger.approver, "comment": None, "signature": signature,
                "profile": profile, "key_id": stranger.id, "cast_at": view["requested_at"]}

    def impersonated(view):
        person = suite.deployment.approvers[0]
        signature = ballot(stranger, view, "approved").replace(".mallory.", f".{person.id}.")
        return forged(view, "v2") | {"approver": person.approver, "key_id": person.id, "signature": signature}

    for ballots in (
        lambda view: [], lambda view: earlier["ballots"], lambda view: [forged(view, "v2")],
        lambda view: [forged(view, "v1")], lambda view: [impersonated(view)],
    ):
        def act(exchange):
            if exchange.route == "show" and exchange.status == 200:
                view = exchange.answer
                view |= {"status": "approved", "decision": "approved", "ballots": ballots(view)}
                exchange.answer = view

        with suite.proxy(act, at_once) as proxy:
            answer = suite.guard(proxy)
        suite.nothing_ran(answer, proxy)
        suite.check("execute" not in proxy.routes(), "claimed what did not verify")


def a_rejected_request_shown_as_approved(suite):
    def act(exchange):
        deciding(suite.deployment, "rejected", "no")(exchange)
        if exchange.route == "show" and exchange.status == 200:
            view = exchange.answer
            view |= {"status": "approved", "decision": "approved", "comment": None}
            for cast in view["ballots"]:
                cast |= {"decision": "approved", "comment": None}
            exchange.answer = view

    with suite.proxy(act) as proxy:
        suite.nothing_ran(suite.guard(proxy), proxy)


def an_earlier_approval_as_the_answer_to_a_request(suite):
    """One that was approved for another context, one that this process already claimed, and an old one."""
    def made(context, claimed):
        with suite.proxy(deciding(suite.deployment)) as proxy:
            if claimed:
                return suite.guard(proxy, context=context)["approval_id"]
            return suite.ask("request", proxy, agent="deployer", action="deploy", context=context)["ok"]["id"]

    for earlier in (made('{"target": "staging"}', False), made('{"target": "staging"}', True), made(CONTEXT, True)):
        def act(exchange):
            if exchange.route == "create" and exchange.status == 201:
                exchange.answer = suite.deployment.shown(earlier)

        with suite.proxy(act) as proxy:
            suite.nothing_ran(suite.guard(proxy), proxy)
        # The same, with a view that says it was not claimed yet.

        def unclaimed(exchange):
            act(exchange)
            if exchange.route == "show" and exchange.status == 200:
                exchange.answer = exchange.answer | {"status": "approved", "execution": None, "executed_at": None}

        with suite.proxy(unclaimed) as proxy:
            suite.nothing_ran(suite.guard(proxy), proxy)


def a_claim_of_an_earlier_execution(suite):
    """The answer to another claim, of the same action, in place of this one."""
    with suite.proxy(deciding(suite.deployment)) as proxy:
        suite.ran(suite.guard(proxy), CANONICAL)
    earlier = next(exchange.answer for exchange in proxy.seen if exchange.route == "execute")

    def act(exchange):
        deciding(suite.deployment)(exchange)
        if exchange.route == "execute":
            exchange.answer = earlier

    with suite.proxy(act) as proxy:
        suite.nothing_ran(suite.guard(proxy), proxy)


def a_claim_that_the_server_never_saw(suite):
    """The view of the approval in place of the answer to a claim: it names no execution."""
    def before(exchange):
        if exchange.route == "execute":
            id = exchange.path.split("/")[4]
            exchange.replace(200, suite.deployment.shown(id))

    with suite.proxy(deciding(suite.deployment), before) as proxy:
        answer = suite.guard(proxy)
    suite.equal(answer["runs"], 0)


def a_weaker_requirement(suite):
    """The server drops what the guard requires, and what one person approves is below the executor's own floor."""
    one = suite.deployment.approvers[:1]

    def weaken(exchange):
        if exchange.route == "create":
            body = json.loads(exchange.body)
            exchange.body = json.dumps({name: body[name] for name in ("agent", "action", "context")}).encode()

    for floor in ({"threshold": 2}, {"groups": {"sre": 2}}, {"groups": {"dba": 1}}, {"ttl_seconds": 60}):
        # With one's own requirement, too: what is verified is the floor.
        for own in ({}, {"threshold": 2, "groups": {"sre": 1}, "expires_in_seconds": 30}):
            with suite.proxy(deciding(suite.deployment, people=one), weaken) as proxy:
                answer = suite.guard(proxy, floor=floor, **own)
            suite.nothing_ran(answer, proxy)
            suite.equal((answer["error"]["type"], answer["error"]["code"]), ("Unverified", "requirement-too-weak"))


def another_request_than_was_made(suite):
    """The proxy asks approvers for something else, which they approve."""
    for change in ({"context": {"target": "prod", "replicas": 300}}, {"action": "destroy"}, {"plan": {"steps": []}}):
        def before(exchange):
            if exchange.route == "create":
                body = json.loads(exchange.body)
                exchange.body = json.dumps(body | change).encode()

        for pinned in (True, False):
            with suite.proxy(deciding(suite.deployment), before) as proxy:
                suite.nothing_ran(suite.guard(proxy, pinned=pinned), proxy)


def another_audience(suite):
    with suite.proxy(deciding(suite.deployment)) as proxy:
        answer = suite.guard(proxy, audience="staging")
    suite.nothing_ran(answer, proxy)
    suite.equal((answer["error"]["type"], answer["error"]["code"]), ("Mismatch", "audience-mismatch"))


def keys_only_become_stricter(suite):
    """A key that the server adds does not count; one that it revokes, under any id, does not count either."""
    ann, ben = suite.deployment.approvers
    only_ann = suite.deployment.keyring("only-ann", [ann.entry()])
    with suite.proxy(deciding(suite.deployment, people=[ben])) as proxy:
        suite.nothing_ran(suite.guard(proxy, keys=only_ann), proxy)
    revoked = suite.deployment.keyring("revoked-ann", [ann.entry(status="revoked"), ben.entry()])
    with suite.proxy(deciding(suite.deployment, people=[ann])) as proxy:
        suite.nothing_ran(suite.guard(proxy, keys=revoked), proxy)
    for name in (ann.id, "another-id"):
        def act(exchange):
            deciding(suite.deployment, people=[ann])(exchange)
            if exchange.route == "keys":
                items = exchange.answer["items"]
                items += [item | {"id": name, "status": "revoked"} for item in items if item["id"] == ann.id]
                exchange.answer = {"items": [item for item in items if item["id"] != name or item["status"] == "revoked"]}

        with suite.proxy(act) as proxy:
            suite.nothing_ran(suite.guard(proxy), proxy)
    def groupless(exchange):
        deciding(suite.deployment)(exchange)
        if exchange.route == "keys":
            exchange.answer = {"items": [item | {"groups": []} for item in exchange.answer["items"]]}

    with suite.proxy(groupless) as proxy:
        suite.nothing_ran(suite.guard(proxy, groups={"sre": 1}), proxy)


def broken_answers(suite):
    """Cut, empty, endless, of another type, deep, or a redirect: an error each time, and nothing runs."""
    deep = b"[" * 100_000 + b"]" * 100_000
    texts = (b"", b"null", b"[]", b"{", b'{"id":1}', b"\xff\xfe{}", b'{"id":"a","id":"b"}', deep, b"<html></html>")
    for route in SHOWN:
        for text in texts:
            def act(exchange):
                deciding(suite.deployment)(exchange)
                if exchange.route == route:
                    exchange.text = text

            with suite.proxy(act) as proxy:
                answer = suite.guard(proxy, call_timeout=5)
            suite.equal(answer["runs"], 0)
            suite.check(answer["error"], f"{route} {text[:20]}")

    def cut(exchange):
        deciding(suite.deployment)(exchange)
        if exchange.route == "show":
            exchange.cut = len(exchange.text) // 2

    with suite.proxy(cut) as proxy:
        answer = suite.guard(proxy, timeout=2, call_timeout=2)
    suite.equal(answer["runs"], 0)
    suite.check(answer["error"]["type"] in ("Unavailable", "TimedOut"), str(answer))

    def elsewhere(exchange):
        exchange.replace(307, {}, Location=f"http://127.0.0.1:{suite.deployment.port}{exchange.path}")

    with suite.proxy(before=elsewhere) as proxy:
        answer = suite.guard(proxy)
    suite.equal(answer["runs"], 0)
    suite.equal(len(proxy.seen), 1)


def another_text_of_the_same_value(suite):
    """A view with the context in another spelling: the action runs on the canonical text."""
    def act(exchange):
        deciding(suite.deployment)(exchange)
        if exchange.route == "show" and exchange.status == 200:
            exchange.text = exchange.text.replace(b'"replicas": 3', b'"replicas":   3')

    with suite.proxy(act) as proxy:
        answer = suite.guard(proxy)
    if answer["runs"]:
        suite.ran(answer, CANONICAL)


SCENARIOS = [value for value in list(globals().values()) if hasattr(value, "__code__")
             and value.__code__.co_varnames[:1] == ("suite",)]
