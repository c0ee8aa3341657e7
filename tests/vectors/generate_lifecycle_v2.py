#!/usr/bin/env python3
"""Writes `lifecycle_v2.json`: approvals under profile v2, by one approver and by several, and their
review by an approver's own verifier.

Records are written by hand, digests and signatures come from Python. `--check` compares instead of
writing.
"""

import json

from generate_lifecycle import (
    ADMIN,
    AN_APPROVER,
    CLAIM,
    CLAIMED,
    CONTEXT,
    CONTEXT_CANONICAL,
    DECIDED,
    EXPIRES,
    ID,
    LEASE_ENDS,
    OTHER_CONTEXT,
    PENDING,
    PLAN,
    REQUEST,
    REQUESTED,
    REQUESTER,
    STRANGER,
    THE_EXECUTOR,
    THE_REQUESTER,
    check_args,
    claim_args,
    erase_args,
    given,
    nothing,
    open_args,
    record,
    signature as v1_signature,
    summary,
    transition,
)
from v2 import BOTH, V2, Signer, text_of as signature_text
from vector_file import (
    context_digest,
    edited,
    has,
    hmac_key,
    main,
    ref,
    render,
    repeated,
    request_digest,
    rfc3339,
    step,
    text_hash,
    text_of,
    vector,
)

COMMENT = "Reviewed changes - looks safe"
ALICE = Signer("alice", "ed25519", b"a" * 32, "alice@company.com", ["sre"])
BOB = Signer("bob", "hmac-sha256", b"b" * 40, "bob@company.com", ["security"])
CAROL = Signer("carol", "ed25519", b"c" * 32, "carol@company.com", ["security", "sre"])
DAVE = Signer("dave", "hmac-sha256", b"d" * 40, "dave@company.com")
ERIN = Signer("erin", "ed25519", b"e" * 32, "erin@company.com", ["legal"])
PEOPLE = [ALICE, BOB, CAROL, DAVE, ERIN]
SHARED = hmac_key("shared", "a secret that is for examples only")
RING = [ref(person.id) for person in PEOPLE] + [ref("shared")]

DEFINE = {
    **{person.id: person.entry() for person in PEOPLE},
    "shared": SHARED,
    "request": REQUEST,
    "context": CONTEXT,
    "plan": PLAN,
}


def ring(**changed):
    """Returns the keys, some of them with changed fields, or without those that are None."""
    keys = []
    for person in PEOPLE:
        if person.id not in changed:
            keys.append(ref(person.id))
        elif changed[person.id] is not None:
            keys.append(person.entry(**changed[person.id]))
    return keys + [ref("shared")]


def asked(threshold=1, groups=None, **changes):
    """Returns a pending record with a requirement."""
    requirement = {"ttl_seconds": 3600, "threshold": threshold, "groups": groups or {}}
    return {**PENDING, "requirement": requirement, **changes}


def statement(approval, person, decision="approved", comment=COMMENT, **changes):
    return {
        "audience": approval["audience"],
        "key_id": person.id,
        "approval_id": approval["id"],
        "request_digest": request_digest(approval),
        "expires_at": EXPIRES,
        "decision": decision,
        "approver": person.approver,
        "comment": comment or "",
        **changes,
    }


def signed(approval, person, decision="approved", comment=COMMENT, **changes):
    return person.sign(statement(approval, person, decision, comment, **changes))


def ballot(approval, person, decision="approved", comment=COMMENT, at=DECIDED):
    """Returns a ballot as it is stored."""
    return {
        "decision": decision,
        "approver": person.approver,
        "comment": comment,
        "signature": signed(approval, person, decision, comment),
        "profile": "v2",
        "key_id": person.id,
        "cast_at": rfc3339(at),
    }


def voted(approval, *people, status=None, **changes):
    """Returns the record with these ballots."""
    ballots = [ballot(approval, person) for person in people]
    return {**approval, "ballots": ballots, **({"status": status, "decided_at": rfc3339(DECIDED)} if status else {}),
            **changes}


def decide_args(stored, person, approval, decision="approved", comment=COMMENT, keys=RING, accept=V2, now=DECIDED,
                signature=None, approver=None):
    sent = {"decision": decision, "approver": approver or person.approver,
            "signature": signature or signed(approval, person, decision, comment)}
    if comment is not None:
        sent["comment"] = comment
    return given(stored, {"ballot": text_of(sent), "keys": keys, "accept": accept, "now": now})


def decide(stored, person, approval, ok=None, error=None, name=None, **more):
    args = decide_args(stored, person, approval, **more)
    return step("lifecycle.decide", args, ok=ok, error=error, name=name)


def becomes(status, **fields):
    return has(summary=has(status=status), record=text_of(has(status=status, **fields)))


def stored(value):
    """Returns a record that no step of the vector made."""
    return text_of(value)


def check(approval, code=None, keys=RING, accept=V2, **more):
    args = check_args(approval, keys=keys, accept=accept, **more)
    return step("lifecycle.check", args, **({"error": code} if code else {"ok": has(summary=has(status="approved"))}))


def claim(approval, code=None, keys=RING, accept=V2, **more):
    args = claim_args(approval, keys=keys, accept=accept, **more)
    return step("lifecycle.claim", args, **({"error": code} if code else {"ok": becomes("executed")}))


def setup():
    """The life of an approval that requires one approver, each step with its full answer."""
    pending = asked()
    yield step("lifecycle.open", open_args(accept=V2), name="pending", ok={
        **transition(pending, "approval_requested", REQUESTED, due_at=EXPIRES, actor=REQUESTER,
                     expires_at=rfc3339(EXPIRES)),
        "context": CONTEXT_CANONICAL,
        "plan": None,
    })
    for person, name in [(ALICE, "approved"), (BOB, "approved_by_hmac")]:
        approved = voted(pending, person, status="approved")
        entry = {"actor": person.approver, "from": "pending", "profile": "v2", "key_id": person.id,
                 "signature_hash": text_hash(approved["ballots"][0]["signature"]), "decision": "approved"}
        yield decide("pending", person, pending, name=name, ok=transition(
            approved, "approval_decided", DECIDED, due_at=EXPIRES, **entry))
    rejected = {**voted(pending, status="rejected"), "ballots": [ballot(pending, CAROL, "rejected")]}
    rejected["decided_at"] = rfc3339(DECIDED)
    yield decide("pending", CAROL, pending, decision="rejected", name="rejected", ok=transition(
        rejected, "approval_decided", DECIDED, due_at=None, actor=CAROL.approver, **{"from": "pending"}, profile="v2",
        key_id="carol", signature_hash=text_hash(rejected["ballots"][0]["signature"]), decision="rejected"))
    two = {"threshold": 2, "groups": {"security": 1}}
    yield step("lifecycle.open", open_args(accept=V2, requirement=two), name="two", ok=has(
        record=text_of(asked(2, {"security": 1})), entry=text_of(has(request_digest=request_digest(asked(2, {"security": 1}))))))


def vectors():
    yield from openings()
    yield from floors()
    yield from digests()
    yield from states()
    yield from one_approver()
    yield from several()
    yield from groups()
    yield from one_person_one_voice()
    yield from who_may_not()
    yield from limits()
    yield from keys_that_change_later()
    yield from tampered()
    yield from replays()
    yield from recognitions()
    yield from erasures()
    yield from reviews()
    yield from voids()
    yield from precedence()


def openings():
    for name, accept, requirement, ok in [
        ("v2 alone, one approver", V2, {}, True),
        ("v2 alone, two approvers", V2, {"threshold": 2}, True),
        ("both, two approvers", BOTH, {"threshold": 2}, True),
        ("both, a group", BOTH, {"groups": {"sre": 1}}, True),
        ("v2, sixteen approvers", V2, {"threshold": 16}, True),
        ("v1 alone, two approvers", ["v1"], {"threshold": 2}, False),
        ("v1 alone, a group", ["v1"], {"groups": {"sre": 1}}, False),
    ]:
        args = open_args(accept=accept, requirement=requirement)
        yield vector(f"open: {name}", step("lifecycle.open", args, **(
            {"ok": becomes("pending")} if ok else {"error": "request-invalid"})))
    yield vector("open: seventeen approvers", step(
        "lifecycle.open", open_args(accept=V2, requirement={"threshold": 17}), error="limit-exceeded"))


def floors():
    """The stricter of the requested requirement and the deployment's minimum counts, in each part."""
    def opened(name, ok=None, error=None, **request):
        expected = {"ok": becomes("pending", requirement=ok)} if ok else {"error": error}
        return vector(f"floor: {name}", step("lifecycle.open", open_args(accept=V2, **request), **expected))

    def needs(ttl_seconds=3600, threshold=1, groups=None):
        return {"ttl_seconds": ttl_seconds, "threshold": threshold, "groups": groups or {}}

    yield opened("nothing is asked on either side", needs(), requirement={}, floor={})
    yield opened("two where nothing is asked for", needs(threshold=2), floor={"threshold": 2})
    yield opened("two where one is asked for", needs(threshold=2), requirement={"threshold": 1}, floor={"threshold": 2})
    yield opened("three are asked for", needs(threshold=3), requirement={"threshold": 3}, floor={"threshold": 2})
    yield opened("a group is added", needs(groups={"legal": 1, "sre": 1}),
                 requirement={"groups": {"legal": 1}}, floor={"groups": {"sre": 1}})
    yield opened("more of a group than is asked for", needs(groups={"sre": 2}),
                 requirement={"groups": {"sre": 1}}, floor={"groups": {"sre": 2}})
    yield opened("fewer of a group than is asked for", needs(groups={"sre": 3}),
                 requirement={"groups": {"sre": 3}}, floor={"groups": {"sre": 2}})
    yield opened("a shorter life than is asked for", needs(ttl_seconds=300),
                 requirement={"ttl_seconds": 600}, floor={"ttl_seconds": 300})
    yield opened("a longer life than is asked for", needs(ttl_seconds=60),
                 requirement={"ttl_seconds": 60}, floor={"ttl_seconds": 300})
    yield opened("its life where none is asked for", needs(ttl_seconds=300), floor={"ttl_seconds": 300})
    yield opened("the life beside the requirement", needs(ttl_seconds=300), ttl_seconds=600, floor={"ttl_seconds": 300})
    yield opened("the life in both places", error="request-invalid", ttl_seconds=600, requirement={"ttl_seconds": 600})
    # The floor of the settings does not hide a malformed requirement, and is itself checked.
    for name, asked, code in [
        ("none", {"threshold": 0}, "request-invalid"),
        ("seventeen", {"threshold": 17}, "limit-exceeded"),
        ("none of a group", {"groups": {"sre": 0}}, "request-invalid"),
        ("no life", {"ttl_seconds": 0}, "request-invalid"),
        ("an unknown member", {"quorum": 2}, "request-invalid"),
    ]:
        yield opened(f"{name}, asked for under it", error=code, requirement=asked,
                     floor={"threshold": 2, "groups": {"sre": 1}, "ttl_seconds": 300})
        yield opened(f"{name}, as the floor", error=code, floor=asked)
    yield opened("nine groups and nine others", error="limit-exceeded",
                 requirement={"groups": {f"a{n}": 1 for n in range(9)}}, floor={"groups": {f"b{n}": 1 for n in range(9)}})
    # The policy's requirement is a second floor: the strictest of all three counts, in each part.
    for name, expected, request in [
        ("asks for nothing", needs(), {"policy_requirement": {}}),
        ("asks for two", needs(threshold=2), {"policy_requirement": {"threshold": 2}}),
        ("asks for less than the deployment", needs(threshold=3),
         {"policy_requirement": {"threshold": 2}, "floor": {"threshold": 3}}),
        ("asks for more than the deployment", needs(threshold=3),
         {"policy_requirement": {"threshold": 3}, "floor": {"threshold": 2}}),
        ("asks for less than the caller", needs(threshold=4, ttl_seconds=60),
         {"policy_requirement": {"threshold": 3, "ttl_seconds": 300}, "ttl_seconds": 60, "requirement": {"threshold": 4}}),
        ("asks for a shorter life", needs(ttl_seconds=300),
         {"policy_requirement": {"ttl_seconds": 300}, "floor": {"ttl_seconds": 600}, "ttl_seconds": 900}),
        ("gives a longer life than the default", needs(ttl_seconds=86400), {"policy_requirement": {"ttl_seconds": 86400}}),
        ("asks for a group of its own", needs(groups={"legal": 1, "sre": 2, "security": 1}),
         {"policy_requirement": {"groups": {"security": 1, "sre": 2}}, "floor": {"groups": {"sre": 1}},
          "requirement": {"groups": {"legal": 1}}}),
    ]:
        yield opened(f"the policy {name}", expected, **request)
    for name, asked, code in [
        ("none", {"threshold": 0}, "request-invalid"),
        ("seventeen", {"threshold": 17}, "limit-exceeded"),
        ("an unknown member", {"quorum": 2}, "request-invalid"),
        ("a list", [], "request-invalid"),
    ]:
        yield opened(f"{name}, as the policy's", error=code, policy_requirement=asked)


def digests():
    """The digest covers exactly these members, whatever their values."""
    odd = "\"\\\n\t\u00e9\u202e\U0001f512 {}:,"
    for name, changes in {
        "nothing but what must be there": {"reason": None},
        "a plan": {"plan_hash": context_digest(PLAN)},
        "a reason of awkward characters": {"reason": odd},
        "a policy and its rule": {"policy": "sha256:abc", "rule": "prod-needs-two"},
        "a requirement": {"requirement": {"ttl_seconds": 60, "threshold": 3, "groups": {"b": 2, "a": 1, "A": 16}}},
        "another requester": {"requested_by": "somebody"},
    }.items():
        value = {**PENDING, **changes}
        digest = request_digest(value)
        yield vector(f"request digest: {name}", step(
            "lifecycle.show", {"id": ID, "approval": stored(value), "now": REQUESTED},
            ok=has(view=text_of(has(request_digest=digest, audience="prod")))),
            step("signing.statement", {"id": ID, "approval": stored(value), "decision": "approved", "approver": "a", "key_id": "k",
                                     "comment": ""}, ok=has(statement=has(request_digest=digest, audience="prod"))))
    unlike = [{**PENDING, **changes} for changes in (
        {}, {"agent": "x"}, {"action": "x"}, {"context_hash": "0" * 64}, {"plan_hash": "0" * 64}, {"reason": None},
        {"reason": ""}, {"requested_by": "x"}, {"requested_at": rfc3339(REQUESTED + 1)}, {"policy": "x"}, {"rule": "x"},
        {"policy": ""}, {"requirement": {"ttl_seconds": 3601, "threshold": 1, "groups": {}}},
        {"requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {}}},
        {"requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {"sre": 1}}},
        {"requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {"sre": 2}}})]
    assert len({request_digest(value) for value in unlike}) == len(unlike)
    alike = [{**PENDING, **changes} for changes in (
        {"status": "approved"}, {"expires_at": rfc3339(EXPIRES + 1)}, {"audience": "x"}, {"id": "x"})]
    assert {request_digest(value) for value in alike} == {request_digest(PENDING)}


def states():
    """`payload` and `sign` accept the answer of `statement`."""
    for person in (ALICE, BOB):
        args = {"id": ID, "approval": record("pending"), "decision": "approved", "approver": person.approver,
                "key_id": person.id, "comment": COMMENT}
        yield vector(f"statement: signed and cast by {person.id}",
                     step("signing.statement", args, name="s", ok={"statement": statement(asked(), person)}),
                     step("signing.sign", {"statement": ref("s.statement"), "profile": "v2", "key": person.private()},
                          name="signature", ok={"signature": signed(asked(), person)}),
                     step("lifecycle.decide", decide_args("pending", person, asked()), ok=becomes("approved")))
    for name, changes, code in [
        ("a key id out of its form", {"key_id": "K"}, "request-invalid"),
        ("a comment that is too long", {"comment": "c" * 4097}, "limit-exceeded"),
        ("a comment with a control character", {"comment": "\u001b"}, "request-invalid"),
    ]:
        args = {"id": ID, "approval": record("pending"), "decision": "approved", "approver": "a", "key_id": "k", "comment": ""}
        yield vector(f"statement: {name}", step("signing.statement", {**args, **changes}, error=code))


def one_approver():
    for name in ("approved", "approved_by_hmac"):
        yield vector(f"one: {name}, checked and claimed", check(name), claim(name),
                     check(name, accept=BOTH), check(name, "signature-malformed", accept=["v1"]))
    pending = asked()
    yield vector("one: no comment", decide("pending", ALICE, pending, comment=None, name="a",
                                           ok=becomes("approved", ballots=[ballot(pending, ALICE, comment=None)])),
                 check("a"))
    yield vector("one: an empty comment is none", decide("pending", ALICE, pending, comment="", name="a",
                                                         ok=becomes("approved", ballots=[ballot(pending, ALICE, comment=None)])),
                 check("a"))
    yield vector("one: a comment of awkward characters",
                 decide("pending", ALICE, pending, comment="\"\\\n\t\u00e9\u202e\U0001f512", name="a", ok=becomes("approved")),
                 check("a"), claim("a"))
    yield vector("one: both profiles accepted, a ballot of each",
                 decide("pending", ALICE, pending, accept=BOTH, ok=becomes("approved")),
                 decide("pending", ALICE, pending, accept=BOTH, approver="somebody",
                        signature=v1_signature(approver="somebody"), ok=becomes("approved")))
    yield vector("one: a verify-only key casts a ballot",
                 decide("pending", ALICE, pending, keys=ring(alice={"status": "verify-only"}), name="a", ok=becomes("approved")),
                 claim("a", keys=ring(alice={"status": "verify-only"})))
    yield vector("one: an approver whose name v1 finds ambiguous", decide(
        "pending", Signer("ldap", "ed25519", b"l" * 32, "ldap:user"), pending,
        keys=[Signer("ldap", "ed25519", b"l" * 32, "ldap:user").entry()], ok=becomes("approved")))


def several():
    three = asked(3)
    pending = stored(three)
    yield vector("several: three of three, one after the other",
                 decide(pending, ALICE, three, name="a", ok=becomes("pending", decided_at=None)),
                 check("a", "not-approved"),
                 decide("a", BOB, three, now=DECIDED + 1, name="b", ok=becomes("pending", decided_at=None)),
                 claim("b", "not-approved"),
                 decide("b", DAVE, three, now=DECIDED + 2, name="c",
                        ok=becomes("approved", decided_at=rfc3339(DECIDED + 2))),
                 check("c"), claim("c"),
                 decide("c", CAROL, three, error="already-decided"))
    yield vector("several: one rejection ends it",
                 decide(pending, ALICE, three, name="a", ok=becomes("pending")),
                 decide("a", DAVE, three, decision="rejected", name="b", ok=becomes("rejected", decided_at=rfc3339(DECIDED))),
                 decide("b", BOB, three, error="already-decided"), check("b", "not-approved"))
    yield vector("several: in any order", *[
        decide(stored(voted(three, *order[:2])), order[2], three, ok=becomes("approved"))
        for order in ([ALICE, BOB, CAROL], [CAROL, ALICE, BOB], [BOB, CAROL, ALICE])])
    yield vector("several: v1 does not count",
                 decide(pending, ALICE, three, accept=BOTH, approver="somebody", signature=v1_signature(approver="somebody"),
                        error="signature-malformed"),
                 decide(pending, ALICE, three, accept=["v1"], approver="somebody", signature=v1_signature(approver="somebody"),
                        error="signature-malformed"))
    yield vector("several: the approval expires while it waits",
                 decide(stored(voted(three, ALICE, BOB)), CAROL, three, now=EXPIRES, error="expired"))
    yield vector("several: a ballot is stored, so the expiry stays", step(
        "lifecycle.extend", given(stored(voted(three, ALICE)), {
            "extension": text_of({"expires_in_seconds": 7200, "actor": AN_APPROVER}), "now": DECIDED}), error="already-voted"))
    full = voted(three, ALICE, BOB, CAROL, status="approved")
    yield vector("several: all of the ballots are verified again", check(stored(full)), claim(stored(full)))
    for index in range(3):
        wrong = {**full, "ballots": [dict(cast) for cast in full["ballots"]]}
        key_id = wrong["ballots"][index]["key_id"]
        wrong["ballots"][index]["signature"] = signature_text(key_id, bytes(64 if key_id != "bob" else 32))
        yield vector(f"several: the ballot {index} is forged", check(stored(wrong), "signature-invalid"),
                     claim(stored(wrong), "signature-invalid"))
    for name, people in {"one too few": [ALICE, BOB], "none": []}.items():
        yield vector(f"several: approved with {name}", check(stored(voted(three, *people, status="approved")), "signature-invalid"))
    mixed = {**full, "ballots": [*full["ballots"], ballot(three, DAVE, "rejected")]}
    yield vector("several: a rejection beside enough approvals", check(stored(mixed), "signature-invalid"))
    yield vector("several: more than are asked for", check(stored(voted(asked(2), ALICE, BOB, CAROL, status="approved"))))


def groups():
    one = asked(1, {"security": 1})
    yield vector("groups: somebody of it", decide(stored(one), BOB, one, name="a", ok=becomes("approved")), claim("a"))
    yield vector("groups: first somebody else",
                 decide(stored(one), ALICE, one, name="a", ok=becomes("pending")),
                 decide("a", BOB, one, name="b", ok=becomes("approved")), claim("b"))
    yield vector("groups: where only a group is missing, nobody else counts",
                 decide(stored(one), ALICE, one, name="a", ok=becomes("pending")),
                 decide("a", DAVE, one, error="approver-not-allowed"),
                 decide("a", ERIN, one, error="approver-not-allowed"),
                 decide("a", DAVE, one, decision="rejected", ok=becomes("rejected")),
                 decide("a", CAROL, one, ok=becomes("approved")))
    both = asked(2, {"security": 1, "sre": 1})
    yield vector("groups: one of each",
                 decide(stored(both), ALICE, both, name="a", ok=becomes("pending")),
                 decide("a", BOB, both, name="b", ok=becomes("approved")), claim("b"))
    yield vector("groups: one in both, and another for the threshold",
                 decide(stored(both), CAROL, both, name="a", ok=becomes("pending")),
                 decide("a", DAVE, both, name="b", ok=becomes("approved")), claim("b"))
    two = asked(1, {"security": 2})
    yield vector("groups: two of one, above the threshold",
                 decide(stored(two), BOB, two, name="a", ok=becomes("pending")),
                 decide("a", ALICE, two, error="approver-not-allowed"),
                 decide("a", CAROL, two, name="b", ok=becomes("approved")), claim("b"))
    yield vector("groups: who stands as missing is named", decide(
        stored(voted(two, BOB)), ALICE, two, error="approver-not-allowed"))
    yield vector("groups: v1 never counts for one", decide(
        stored(one), BOB, one, accept=BOTH, approver="somebody", signature=v1_signature(approver="somebody"),
        error="signature-malformed"))
    yield vector("groups: a key that joins one while the approval waits",
                 decide(stored(voted(one, ALICE)), DAVE, one, keys=ring(dave={"groups": ["security"]}), name="a",
                        ok=becomes("approved")),
                 check("a", keys=ring(dave={"groups": ["security"]})), check("a", "approver-not-allowed"))
    yield vector("groups: one who voted joins it, and any next ballot completes", decide(
        stored(voted(one, ALICE)), DAVE, one, keys=ring(alice={"groups": ["security"]}), ok=becomes("approved")))
    yield vector("groups: names count letter by letter", decide(
        stored(asked(1, {"Security": 1})), BOB, asked(1, {"Security": 1}), ok=becomes("pending")))


def one_person_one_voice():
    two = asked(2)
    once = stored(voted(two, ALICE))
    again = Signer("alice-phone", "ed25519", b"p" * 32, ALICE.approver)
    yield vector("voice: the same ballot again", decide(once, ALICE, two, error="already-voted"))
    yield vector("voice: the same approver with another key", decide(
        once, again, two, keys=[*RING, again.entry()], error="already-voted"))
    yield vector("voice: the same approver, now against it", decide(once, ALICE, two, decision="rejected", error="already-voted"))
    for first, algorithm, secret in [(ALICE, "ed25519", ALICE.secret), (BOB, "hmac-sha256", BOB.secret)]:
        twin = Signer("twin", algorithm, secret, "twin@company.com")
        keys = [*RING, twin.entry()]
        yield vector(f"voice: another approver with the same material, {algorithm}",
                     decide(stored(voted(two, first)), twin, two, keys=keys, error="already-voted"))
        forged = voted(two, first, twin, status="approved")
        yield vector(f"voice: a store with two ballots of one material, {algorithm}",
                     check(stored(forged), "signature-invalid", keys=keys), claim(stored(forged), "signature-invalid", keys=keys))
    yield vector("voice: a key for something else, of the same material", decide(
        once, Signer("log", "ed25519", ALICE.secret, DAVE.approver), two,
        keys=[*RING, Signer("log", "ed25519", ALICE.secret, DAVE.approver).entry(use="log")], error="key-unknown"))
    moved = Signer("alice", "ed25519", ALICE.secret, DAVE.approver)
    yield vector("voice: the same key, bound to another since", decide(
        once, moved, two, keys=[moved.entry()], error="already-voted"))
    doubled = voted(two, ALICE, ALICE, status="approved")
    yield vector("voice: a store with one ballot twice", check(stored(doubled), "signature-invalid"))
    second = voted(two, ALICE, again, status="approved")
    yield vector("voice: a store with two ballots of one approver",
                 check(stored(second), "signature-invalid", keys=[*RING, again.entry()]))


def who_may_not():
    two = asked(2, requested_by="dave@company.com")
    yield vector("who: the requester", decide(stored(two), DAVE, two, error="self-approval"))
    agent = Signer("agent", "ed25519", b"g" * 32, "agent:other")
    own_agent = Signer("agent", "ed25519", b"g" * 32, "agent:knowledge_update")
    plain = Signer("agent", "ed25519", b"g" * 32, "knowledge_update")
    yield vector("who: an agent", decide(stored(two), agent, two, keys=[agent.entry()], error="approver-not-allowed"))
    yield vector("who: the agent it is for", decide(stored(two), own_agent, two, keys=[own_agent.entry()], error="self-approval"),
                 decide(stored(two), plain, two, keys=[plain.entry()], error="self-approval"))
    for name, signer in {"the requester": DAVE, "an agent": agent, "the agent it is for": plain}.items():
        forged = voted(two, ALICE, signer, status="approved")
        yield vector(f"who: a store with a ballot of {name}",
                     check(stored(forged), "signature-invalid", keys=[*RING, agent.entry(approver=signer.approver)]))
    yield vector("who: another's key", decide(stored(two), ALICE, two, approver=BOB.approver, error="key-not-yours"))
    yield vector("who: a key bound to nobody", decide(
        stored(two), ALICE, two, keys=ring(alice={"approver": None}), error="key-not-yours"))


def limits():
    many = [Signer(f"p{n}", "hmac-sha256", f"{n:040}".encode(), f"p{n}@company.com", [f"g{n % 16}"]) for n in range(33)]
    keys = [person.entry() for person in many]
    wanted = asked(16, {f"g{n}": 3 for n in range(16)})
    full = stored(voted(wanted, *many[:32]))
    yield vector("limits: the thirty-third ballot", decide(full, many[32], wanted, keys=keys, error="limit-exceeded"),
                 decide(full, many[32], wanted, keys=keys, decision="rejected", error="limit-exceeded"))
    yield vector("limits: the thirty-second", decide(
        stored(voted(wanted, *many[:31])), many[31], wanted, keys=keys, ok=becomes("pending")))
    sixteen = asked(16)
    yield vector("limits: sixteen of sixteen",
                 decide(stored(voted(sixteen, *many[:14])), many[14], sixteen, keys=keys, name="a", ok=becomes("pending")),
                 decide("a", many[15], sixteen, keys=keys, name="b", ok=becomes("approved")),
                 claim("b", keys=keys))


def keys_that_change_later():
    two = asked(2, {"security": 1})
    approved = stored(voted(two, ALICE, BOB, status="approved"))
    for name, keys, code in [
        ("revoked", ring(bob={"status": "revoked"}), "key-revoked"),
        ("revoked under another id", [*RING, Signer("x", "hmac-sha256", BOB.secret, None).entry(status="revoked")], "key-revoked"),
        ("gone", ring(bob=None), "key-unknown"),
        ("of use log", ring(bob={"use": "log"}), "key-unknown"),
        ("bound to another", ring(bob={"approver": "x"}), "key-not-yours"),
        ("bound to nobody", ring(bob={"approver": None}), "key-not-yours"),
        ("of other material", [Signer("bob", "hmac-sha256", b"x" * 40, BOB.approver, ["security"]).entry(), ref("alice")],
         "signature-invalid"),
        ("in its group no longer", ring(bob={"groups": ["sre"]}), "approver-not-allowed"),
        ("verify-only", ring(bob={"status": "verify-only"}), None),
        ("in more groups", ring(bob={"groups": ["a", "security", "b"]}), None),
    ]:
        yield vector(f"later: a ballot's key is {name}", check(approved, code, keys=keys), claim(approved, code, keys=keys))
    # While the approval is pending, a ballot whose key is no longer valid does not count.
    waiting = stored(voted(asked(2), BOB))
    for name, changes in {"revoked": {"status": "revoked"}, "bound to another": {"approver": "x"}}.items():
        yield vector(f"later: the first ballot's key is {name} while the second comes", decide(
            waiting, ALICE, asked(2), keys=ring(bob=changes), ok=becomes("pending")))
    yield vector("later: the first ballot's key is gone while the second comes", decide(
        waiting, ALICE, asked(2), keys=ring(bob=None), ok=becomes("pending")))


def tampered():
    """Changes of everything that a v2 signature covers, and of what it does not cover."""
    for name, approval in {"ed25519": "approved", "hmac-sha256": "approved_by_hmac"}.items():
        for what, changes in {
            "agent": {"agent": "inbox_triage"},
            "action": {"action": "delete"},
            "context_hash": {"context_hash": context_digest(OTHER_CONTEXT)},
            "plan_hash": {"plan_hash": context_digest(PLAN)},
            "reason": {"reason": "another"},
            "reason, gone": {"reason": None},
            "reason, empty": {"reason": ""},
            "requested_by": {"requested_by": "somebody"},
            "requested_at": {"requested_at": rfc3339(REQUESTED - 1)},
            "threshold": {"requirement__threshold": 0},
            "ttl": {"requirement__ttl_seconds": 7200},
            "groups": {"requirement__groups": {"sre": 1}},
            "policy": {"policy": "x"},
            "rule": {"rule": "x"},
            "audience": {"audience": "staging"},
            "id": {"id": ID[:-1] + "5"},
            "expires_at": {"expires_at": rfc3339(EXPIRES + 3600)},
            "comment": {"ballots__0__comment": "another"},
            "comment, gone": {"ballots__0__comment": None},
            "comment, empty": {"ballots__0__comment": ""},
            "decision": {"ballots__0__decision": "rejected"},
            "signature of zeros": {"ballots__0__signature": signature_text(
                "alice" if name == "ed25519" else "bob", bytes(64 if name == "ed25519" else 32))},
            "signature of another ballot": {"ballots__0__signature": signed(asked(), CAROL)},
            "key id": {"ballots__0__key_id": "carol"},
            "key id, unknown": {"ballots__0__key_id": "nobody"},
        }.items():
            text = edited(record(approval), **changes)
            code = {"signature of another ballot": "key-not-yours", "id": "record-unreadable"}.get(
                what, "signature-invalid")
            attempt = {key: changes[key] for key in ("agent", "action") if key in changes}
            yield vector(f"tampered: {what}, {name}", check(text, code), claim(text, code, **attempt))
        for what, changes, code in [
            ("approver", {"ballots__0__approver": "carol@company.com"}, "key-not-yours"),
            ("profile", {"ballots__0__profile": "v1"}, "signature-malformed"),
            ("profile, unknown", {"ballots__0__profile": "v3"}, "record-unreadable"),
            ("signature cut", {"ballots__0__signature": "v2.alice."}, "signature-malformed"),
            ("key id out of form", {"ballots__0__key_id": "K"}, "request-invalid"),
        ]:
            text = edited(record(approval), **changes)
            yield vector(f"tampered: {what}, {name}", check(text, code, accept=BOTH), claim(text, code, accept=BOTH))
    approved = voted(asked(), ALICE, status="approved")
    yield vector("tampered: an empty comment for none", check(
        stored({**approved, "ballots": [{**ballot(asked(), ALICE, comment=None), "comment": ""}]}), "signature-invalid"))
    # The request was replaced, and the old ballot kept.
    for what, changes in {"agent": {"agent": "x"}, "requirement": {"requirement": {"ttl_seconds": 3600, "threshold": 1,
                                                                                   "groups": {"sre": 1}}}}.items():
        yield vector(f"tampered: an old ballot under another {what}", check(
            stored({**approved, **changes}), "signature-invalid"))
    three = voted(asked(3), ALICE, BOB, CAROL, status="approved")
    lower = {**three, "requirement": {**three["requirement"], "threshold": 1}, "ballots": three["ballots"][:1]}
    yield vector("tampered: a threshold of three made one", check(stored(lower), "signature-invalid"))
    yield vector("tampered: a group's name twice", check(
        repeated((json.dumps(approved).replace('"groups": {}', '"groups": {"sre": 1, "sre": 0}'), 1)), "record-unreadable"))


def replays():
    """A ballot of one approval in another."""
    here = asked()
    for name, changes in {
        "another approval": {"id": ID[:-1] + "5"},
        "another audience": {"audience": "staging"},
        "another agent": {"agent": "x"},
        "another context": {"context_hash": context_digest(OTHER_CONTEXT)},
        "another time of request": {"requested_at": rfc3339(REQUESTED + 1)},
    }.items():
        there = {**here, **changes}
        for person in (ALICE, BOB):
            args = {**decide_args(stored(there), person, here), "id": there["id"]}
            yield vector(f"replay: from {name}, {person.algorithm}",
                         decide(stored(here), person, here, signature=signed(there, person), error="signature-invalid"),
                         step("lifecycle.decide", args, error="signature-invalid"))
    for person in (ALICE, BOB):
        yield vector(f"replay: an approval for a rejection, {person.algorithm}",
                     decide("pending", person, here, decision="rejected", signature=signed(here, person), error="signature-invalid"),
                     decide("pending", person, here, signature=signed(here, person, "rejected"), error="signature-invalid"))
        yield vector(f"replay: another comment, {person.algorithm}",
                     decide("pending", person, here, comment="another", signature=signed(here, person), error="signature-invalid"),
                     decide("pending", person, here, comment=None, signature=signed(here, person), error="signature-invalid"))
        yield vector(f"replay: before the expiry was extended, {person.algorithm}", decide(
            edited(record("pending"), expires_at=rfc3339(EXPIRES + 60)), person, here, error="signature-invalid"))
        yield vector(f"replay: another's, {person.algorithm}", decide(
            "pending", CAROL, here, signature=signed(here, person), error="key-not-yours"))


def recognitions():
    def recognize(approval, signature, keys=RING, accept=V2):
        return {"id": ID, "approval": record(approval), "signature": signature, "keys": keys, "accept": accept}

    for person, approval in [(ALICE, "approved"), (BOB, "approved_by_hmac")]:
        good = signed(asked(), person)
        yield vector(f"verify_ballot: {person.algorithm}",
                     step("lifecycle.verify_ballot", recognize(approval, good), ok={"ballot": text_of(ballot(asked(), person))}),
                     check(approval, attempt={"signature": good}))
        yield vector(f"verify_ballot: what is refused, {person.algorithm}",
                     step("lifecycle.verify_ballot", recognize(approval, "v2.zz"), error="signature-malformed"),
                     step("lifecycle.verify_ballot", recognize(approval, "0" * 64, accept=BOTH), error="signature-invalid"),
                     step("lifecycle.verify_ballot", recognize(approval, "0" * 64), error="signature-malformed"),
                     step("lifecycle.verify_ballot", recognize(approval, signed(asked(), CAROL)), error="signature-invalid"),
                     step("lifecycle.verify_ballot", recognize(approval, good, []), error="key-unknown"),
                     step("lifecycle.verify_ballot", recognize(approval, good, ring(**{person.id: {"status": "revoked"}})),
                          error="key-revoked"),
                     step("lifecycle.verify_ballot", recognize(approval, good, ring(**{person.id: {"approver": "x"}})),
                          error="key-not-yours"),
                     step("lifecycle.verify_ballot", recognize(approval, good, accept=["v1"]), error="signature-malformed"))


def erasures():
    """v2 signs the comment: a ballot whose comment was erased no longer verifies; one without a comment still does."""
    for comment, answer in [(COMMENT, {"error": "signature-invalid"}),
                            (None, {"ok": {"ballot": text_of(ballot(asked(), ALICE, comment=None))}})]:
        approved = {**voted(asked(), status="approved"), "ballots": [ballot(asked(), ALICE, comment=comment)]}
        args = {"signature": signed(asked(), ALICE, comment=comment), "keys": RING, "accept": V2}
        yield vector(f"erase: a ballot with{'out' if comment is None else ''} a comment",
                     step("lifecycle.verify_ballot", given(stored(approved), args), ok=has()),
                     step("lifecycle.erase", erase_args(stored(approved), now=EXPIRES), name="e", ok=has()),
                     step("lifecycle.verify_ballot", given("e", args), **answer))


# ---------------------------------------------------------------- the approver's own verifier


def shown(value=PENDING, **changes):
    """Returns the members of a server's view that matter here."""
    fields = {name: value[name] for name in (
        "id", "status", "requested_by", "requested_at", "expires_at", "agent", "action", "context_hash", "plan_hash", "reason",
        "requirement", "audience", "policy", "rule", "ballots")}
    return {**fields, "request_digest": request_digest(value), **changes}


def review_args(view=None, context=CONTEXT, plan=None, person=ALICE, **changes):
    args = {"approval": view if view is not None else text_of(shown()), "context": context, "decision": "approved",
            "approver": person.approver, "key_id": person.id, "comment": COMMENT, **changes}
    return {**args, "plan": plan} if plan is not None else args


def review(view=None, ok=None, error=None, name=None, **more):
    return step("lifecycle.review", review_args(view, **more), ok=ok, error=error, name=name)


def reviews():
    expected = {"statement": statement(asked(), ALICE)}
    yield vector("review: what show answers",
                 step("lifecycle.show", {"id": ID, "approval": record("pending"), "now": REQUESTED}, name="shown", ok=has()),
                 review(ref("shown.view"), ok=expected, name="r"),
                 step("signing.sign", {"statement": ref("r.statement"), "profile": "v2", "key": ALICE.private()},
                      ok={"signature": signed(asked(), ALICE)}))
    yield vector("review: the other decision, no comment", review(
        decision="rejected", comment="", ok={"statement": statement(asked(), ALICE, "rejected", None)}))
    yield vector("review: v1, which names no key", review(key_id="", ok={"statement": statement(asked(), ALICE, key_id="")}))
    yield vector("review: a plan", review(text_of(shown({**PENDING, "plan_hash": context_digest(PLAN)})), plan=PLAN, ok={
        "statement": statement({**PENDING, "plan_hash": context_digest(PLAN)}, ALICE)}))
    yield vector("review: more members than a signature covers", review(
        text_of(shown(verifier="x", context={"a": 1}, plan=None, replayed=True, format=9)), ok=expected))
    less = {name: value for name, value in shown().items() if name not in ("plan_hash", "policy", "rule", "ballots",
                                                                           "status", "request_digest")}
    yield vector("review: what is absent is null", review(text_of(less), ok=expected))
    for name, changes in {"three approvers and groups": {"requirement": {"ttl_seconds": 60, "threshold": 3, "groups": {"sre": 2, "legal": 1}}},
                          "a policy": {"policy": "p", "rule": "r"},
                          "no reason": {"reason": None},
                          "another reason": {"reason": "\u00e9\n\U0001f512"}}.items():
        value = {**PENDING, **changes}
        yield vector(f"review: {name}", review(text_of(shown(value)), ok={"statement": statement(value, ALICE)}))

    # The view of a lying server: the digest matches the view, so the signature is not valid for the real record.
    for field, value in {"agent": "x", "action": "x", "reason": "another", "requested_by": "x", "policy": "x", "rule": "x",
                         "requested_at": rfc3339(REQUESTED + 1)}.items():
        lie = {**PENDING, field: value}
        yield vector(f"review: another {field} is shown",
                     review(text_of(shown(lie)), ok={"statement": statement(lie, ALICE)}),
                     decide("pending", ALICE, asked(), signature=signed(lie, ALICE), error="signature-invalid"),
                     review(text_of({**shown(), field: value}), error="request-invalid"))
    yield vector("review: another request digest is shown", review(text_of(shown(request_digest="0" * 64)), error="request-invalid"))
    yield vector("review: another context", review(context=OTHER_CONTEXT, error="context-mismatch"))
    yield vector("review: another digest of the context", review(
        text_of(shown({**PENDING, "context_hash": context_digest(OTHER_CONTEXT)})), error="context-mismatch"))
    yield vector("review: the context in another form", review(
        context='{"risk_score":85,"changes_count":1500,"file":"config\\/production.yaml"}', ok=expected))
    for name, context in {"not JSON": "{", "an array": "[]", "a name twice": '{"a":1,"a":1}', "empty": ""}.items():
        yield vector(f"review: a context that is {name}", review(context=context, error="context-invalid"))
    planned = text_of(shown({**PENDING, "plan_hash": context_digest(PLAN)}))
    yield vector("review: plans",
                 review(plan=PLAN, error="plan-mismatch"),
                 review(planned, error="plan-mismatch"),
                 review(planned, plan="{}", error="plan-mismatch"),
                 review(planned, plan="[]", error="context-invalid"))
    yield from review_forms()


def review_forms():
    for field in ("id", "audience", "agent", "action", "context_hash", "requested_by", "requested_at", "expires_at", "requirement"):
        less = {name: value for name, value in shown().items() if name != field}
        yield vector(f"review: no {field}", review(text_of(less), error="request-invalid"),
                     review(text_of({**less, field: None}), error="request-invalid"),
                     review(text_of({**less, field: 5}), error="request-invalid"))
    for name, changes in {
        "an id of another form": {"id": "appr_abc123"},
        "an agent with a space": {"agent": "a b"},
        "an empty agent": {"agent": ""},
        "an audience with a new line": {"audience": "prod\n"},
        "a digest in upper case": {"context_hash": context_digest(CONTEXT).upper()},
        "a digest that is none": {"plan_hash": "x"},
        "a reason with an escape": {"reason": "\u001b[2J"},
        "a time of another form": {"expires_at": "2025-10-17T11:30:00+00:00"},
        "a time as a number": {"expires_at": EXPIRES},
        "a requirement with more in it": {"requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {}, "quorum": 2}},
        "a requirement with less in it": {"requirement": {"ttl_seconds": 3600, "threshold": 1}},
        "a requirement as a list": {"requirement": [3600, 1, {}]},
        "a threshold as a text": {"requirement": {"ttl_seconds": 3600, "threshold": "1", "groups": {}}},
        "a negative threshold": {"requirement": {"ttl_seconds": 3600, "threshold": -1, "groups": {}}},
        "a policy with a space": {"policy": "a b"},
        "a request digest that is none": {"request_digest": "x"},
    }.items():
        yield vector(f"review: {name}", review(text_of(shown(**changes)), error="request-invalid"))
    yield vector("review: an agent of 129 bytes", review(text_of(shown(agent="a" * 129)), error="limit-exceeded"))
    yield vector("review: a reason of 4097 bytes", review(text_of(shown(reason="r" * 4097)), error="limit-exceeded"))
    for name, text in {"empty": "", "null": "null", "an array": "[]", "a text": '"x"', "cut off": '{"id":"x"', "not JSON": "x",
                       "nothing in it": "{}", "two": "{}{}"}.items():
        yield vector(f"review: an approval that is {name}", review(text, error="request-invalid"))
    good = json.dumps(shown())
    assert '"agent": "knowledge_update"' in good
    for name, text in {
        "agent": good.replace('"agent"', '"agent": "x", "agent"'),
        "agent, once escaped": good.replace('"agent"', '"\\u0061gent": "x", "agent"'),
        "agent, the same twice": good.replace('"agent"', '"agent": "knowledge_update", "agent"'),
        "a member that no signature covers": good[:-1] + ', "verifier": 1, "verifier": 2}',
        "a member of the requirement": good.replace('"threshold": 1', '"threshold": 1, "threshold": 2'),
        "a group": good.replace('"groups": {}', '"groups": {"sre": 1, "sre": 2}'),
    }.items():
        assert text != good
        yield vector(f"review: twice, {name}", review(text, error="request-invalid"))
    yield vector("review: an approval over 4 MiB", review(
        repeated((" ", 4 << 20), (good, 1)), error="limit-exceeded"))
    yield vector("review: what is passed over may be deep", review(
        repeated((good[:-1] + ', "x": ', 1), ("[", 100000), ("]", 100000), ("}", 1)),
        ok={"statement": statement(asked(), ALICE)}))
    for name, changes, code in [
        ("another decision", {"decision": "maybe"}, "request-invalid"),
        ("no approver", {"approver": ""}, "request-invalid"),
        ("an approver of 129 bytes", {"approver": "a" * 129}, "limit-exceeded"),
        ("a key id out of its form", {"key_id": "K"}, "request-invalid"),
        ("a comment of 4097 bytes", {"comment": "c" * 4097}, "limit-exceeded"),
        ("a comment with NUL", {"comment": "\0"}, "request-invalid"),
    ]:
        yield vector(f"review: {name}", review(error=code, **changes))
    yield vector("review: precedence",
                 review(text_of(shown(agent="")), context="[]", plan="[]", decision="", error="request-invalid"),
                 review(context="[]", plan="[]", decision="", error="request-invalid"),
                 review(context="[]", plan="[]", error="context-invalid"),
                 review(context=OTHER_CONTEXT, plan="[]", error="context-mismatch"),
                 review(plan="[]", error="context-invalid"),
                 review(plan=PLAN, error="plan-mismatch"),
                 review(ok=has()))


# ---------------------------------------------------------------- after a rollback


def void_args(approval="pending", actor=ADMIN, now=DECIDED):
    return given(approval, {"actor": actor if isinstance(actor, str) else text_of(actor), "now": now})


def voids():
    pending = asked()
    approved = voted(pending, ALICE, status="approved")
    for name, before in {"pending": pending, "approved": approved}.items():
        yield vector(f"void: {name}", step("lifecycle.void", void_args(name), name="a", ok=transition(
            {**before, "status": "expired"}, "approval_voided", DECIDED, due_at=None, actor="root", **{"from": name})),
            claim("a", "expired"), decide("a", BOB, pending, error="expired"),
            step("lifecycle.expire", given("a", {"now": EXPIRES}), ok=nothing("expired")),
            step("lifecycle.show", given("a", {"now": DECIDED}), ok=has(view=text_of(has(status="expired")))),
            step("lifecycle.void", void_args("a"), error="expired"))
    executed = stored({**approved, "status": "executed", "executed_at": rfc3339(CLAIMED), "execution": {
        "id": CLAIM["execution_id"], "claimed_by": "runner-7", "claimed_at": rfc3339(CLAIMED),
        "lease_expires_at": rfc3339(LEASE_ENDS), "outcome": "claimed", "detail": None, "settled_at": None, "late": False}})
    withdrawn = stored({**pending, "status": "withdrawn", "withdrawn_at": rfc3339(DECIDED), "withdrawn_by": "root"})
    for name, approval, now, code in [
        ("rejected", "rejected", DECIDED, "already-decided"),
        ("executed", executed, CLAIMED, "already-executed"),
        ("withdrawn", withdrawn, DECIDED, "already-decided"),
        ("expired, not swept", "pending", EXPIRES, "expired"),
        ("approved and expired, not swept", "approved", EXPIRES, "expired"),
        ("none", None, DECIDED, "not-found"),
    ]:
        yield vector(f"void: {name}", step("lifecycle.void", void_args(approval, now=now), error=code))
    for name, actor in {"the requester": THE_REQUESTER, "an approver": AN_APPROVER, "an executor": THE_EXECUTOR,
                        "every role but one": STRANGER, "no role": {"subject": "root", "roles": []},
                        "no roles given": {"subject": "root"}}.items():
        yield vector(f"void: by {name}", step("lifecycle.void", void_args(actor=actor), error="forbidden"))
    for name, actor, code in [
        ("no subject", {"roles": ["admin"]}, "request-invalid"),
        ("an empty subject", {"subject": "", "roles": ["admin"]}, "request-invalid"),
        ("an unknown role", {"subject": "root", "roles": ["admin", "owner"]}, "request-invalid"),
        ("an unknown member", {"subject": "root", "roles": ["admin"], "x": 1}, "request-invalid"),
        ("an array", ["root", ["admin"]], "request-invalid"),
        ("a subject of 129 bytes", {"subject": "a" * 129, "roles": ["admin"]}, "limit-exceeded"),
    ]:
        yield vector(f"void: an actor with {name}", step("lifecycle.void", void_args(actor=actor), error=code))
    yield vector("void: the member of an event, which it is not", step(
        "lifecycle.void", void_args(actor={"actor": ADMIN}), error="request-invalid"))
    yield vector("void: an actor twice", step(
        "lifecycle.void", void_args(actor='{"subject":"a","subject":"b","roles":["admin"]}'), error="request-invalid"))
    yield vector("void: precedence",
                 step("lifecycle.void", void_args(None, {"subject": ""}), error="request-invalid"),
                 step("lifecycle.void", void_args(None, STRANGER), error="not-found"),
                 step("lifecycle.void", void_args("rejected", STRANGER), error="forbidden"),
                 step("lifecycle.void", void_args("rejected"), error="already-decided"))


def precedence():
    """Several rules refuse at once; each step fixes what the previous step was refused for."""
    for person, algorithm in [(DAVE, "hmac-sha256"), (Signer("zoe", "ed25519", b"z" * 32, "zoe@company.com"), "ed25519")]:
        needed = asked(1, {"legal": 1}, requested_by=person.approver)
        free = asked(1, {"legal": 1})
        reached = voted(free, ALICE)
        forged = signature_text(person.id, bytes(64 if algorithm == "ed25519" else 32))
        revoked = [person.entry(status="revoked", groups=["legal"]), ref("alice")]
        yield vector(
            f"precedence of decide: {algorithm}",
            step("lifecycle.decide", {"id": ID, "ballot": text_of({"decision": "no"}), "keys": [], "accept": V2, "now": EXPIRES},
                 error="request-invalid"),
            decide(None, person, needed, keys=[], signature="v2.zz", now=EXPIRES, error="not-found"),
            decide(stored(voted(needed, ALICE, status="approved")), person, needed, keys=[], signature="v2.zz", now=EXPIRES,
                   error="expired"),
            decide(stored(voted(needed, ALICE, status="approved")), person, needed, keys=[], signature="v2.zz",
                   error="already-decided"),
            decide(stored(voted(needed, ALICE)), person, needed, keys=[person.entry(), ref("alice")], signature=forged,
                   error="self-approval"),
            decide(stored(voted(free, ALICE, person)), person, free, keys=[person.entry(), ref("alice")], signature=forged,
                   error="approver-not-allowed"),
            decide(stored(voted(free, ALICE, person)), person, free, keys=revoked, signature=forged, error="already-voted"),
            decide(stored(reached), person, free, keys=revoked, signature="v2.zz", error="signature-malformed"),
            decide(stored(reached), person, free, keys=[ref("alice")], signature=forged, error="key-unknown"),
            decide(stored(reached), person, free, keys=[{**revoked[0], "approver": "x"}, ref("alice")], signature=forged,
                   error="key-revoked"),
            decide(stored(reached), person, free, keys=[person.entry(approver="x"), ref("alice")], signature=forged,
                   error="key-not-yours"),
            decide(stored(reached), person, free, keys=[person.entry(groups=["legal"]), ref("alice")], signature=forged,
                   error="signature-invalid"),
            decide(stored(reached), person, free, keys=[person.entry(groups=["legal"]), ref("alice")], ok=becomes("approved")),
        )
    group = asked(2, {"legal": 1})
    bad = {"keys": ring(), "context": "[]", "plan": "[]"}
    names = {"agent": "x", "action": "y"}
    two_short = stored(voted(asked(3), ALICE, BOB, status="approved"))
    no_group = stored(voted(group, ALICE, BOB, status="approved"))
    yield vector("precedence of claim",
                 claim(two_short, "key-unknown", **{**bad, "keys": []}, **names),
                 claim(two_short, "signature-invalid", **bad, **names),
                 claim(no_group, "approver-not-allowed", **bad, **names),
                 claim("approved", "agent-mismatch", **bad, **names),
                 claim("approved"))


if __name__ == "__main__":
    main(__file__, render(list(vectors()), DEFINE, list(setup())))
