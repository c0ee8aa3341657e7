#!/usr/bin/env python3
"""Writes `approval.json`: how an executor's own verifier verifies an approval as a server shows it.

Views are written by hand, digests and signatures come from Python. `--check` compares instead of writing.
"""

import json

from generate_lifecycle import (
    CLAIMED,
    CONTEXT,
    CONTEXT_CANONICAL,
    DECIDED,
    EXECUTION,
    EXECUTOR,
    EXPIRES,
    ID,
    LEASE_ENDS,
    OTHER_CONTEXT,
    OTHER_EXECUTION,
    PENDING,
    PLAN,
    PLAN_CANONICAL,
    REQUESTED,
    signature as v1_signature,
)
from generate_lifecycle_v2 import ALICE, BOB, CAROL, COMMENT, DEFINE, ERIN, RING, SHARED, ballot, ring
from v2 import BOTH, Signer
from vector_file import (
    LAST_SECOND,
    context_digest,
    copies,
    has,
    main,
    ref,
    render,
    repeated,
    request_digest,
    rfc3339,
    step,
    text_of,
    vector,
)

OTHER_ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c5"
POLICY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2
# Two approvers, one of them of the group; a plan; a policy.
ASKED = {
    **PENDING,
    "requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {"sre": 1}},
    "plan_hash": context_digest(PLAN),
    "policy": POLICY,
    "rule": "production",
}
# Members of a record that a view does not have.
NO_MEMBERS_OF_A_VIEW = ("format",)


def approved(approval=ASKED, people=(ALICE, BOB), **changes):
    """Returns the record, approved by these people."""
    ballots = [ballot(approval, person) for person in people]
    return {**approval, "status": "approved", "ballots": ballots, "decided_at": rfc3339(DECIDED), **changes}


def executed(record=None, **changes):
    """Returns the record after its claim; the changes apply to the execution."""
    execution = {"id": EXECUTION, "claimed_by": EXECUTOR, "claimed_at": rfc3339(CLAIMED),
                 "lease_expires_at": rfc3339(LEASE_ENDS), "outcome": "claimed", "detail": None, "settled_at": None,
                 "late": False, **changes}
    return {**(record or approved()), "status": "executed", "executed_at": rfc3339(CLAIMED), "execution": execution}


def view(record=None, context=CONTEXT, plan=PLAN, **changes):
    """Returns the answer of `GET /approvals/{id}`."""
    record = record or approved()
    last = record["ballots"][-1] if record["ballots"] else {}
    shown = {name: value for name, value in record.items() if name not in NO_MEMBERS_OF_A_VIEW}
    return {
        **shown,
        "request_digest": request_digest(record),
        "decision": last.get("decision"),
        "approver": last.get("approver"),
        "approved_at": record["decided_at"],
        "comment": last.get("comment"),
        "signature": last.get("signature"),
        "verifier": "0" * 64,
        "context": json.loads(context) if context else None,
        "plan": json.loads(plan) if plan and record["plan_hash"] else None,
        **changes,
    }


def attempt(**changes):
    fields = {"agent": ASKED["agent"], "action": ASKED["action"], "context": CONTEXT, "plan": PLAN, **changes}
    return {name: value for name, value in fields.items() if value is not None}


def args(shown=None, **changes):
    fields = {"approval": text_of(view()) if shown is None else shown, "id": ID, "audience": ASKED["audience"],
              "attempt": text_of(attempt()), "keys": RING, "now": CLAIMED + 1, **changes}
    return {name: value for name, value in fields.items() if value is not None}


def verify(shown=None, ok=None, error=None, name=None, **changes):
    if isinstance(shown, dict) and "id" in shown:
        shown = text_of(shown)
    return step("approval.verify", args(shown, **changes), ok=ok, error=error, name=name)


def approver(person, groups=None, profile="v2"):
    return {"approver": person.approver, "key_id": person.id, "groups": person.groups if groups is None else groups,
            "profile": profile, "algorithm": person.algorithm}


def answer(approval=ASKED, people=(ALICE, BOB), **changes):
    """Returns the expected answer: what was proven about a record."""
    return {
        "approval_id": approval["id"],
        "request_digest": request_digest(approval),
        "requested_by": approval["requested_by"],
        "requested_at": approval["requested_at"],
        "expires_at": approval["expires_at"],
        "requirement": approval["requirement"],
        "policy": approval["policy"],
        "rule": approval["rule"],
        "context": CONTEXT_CANONICAL,
        "plan": PLAN_CANONICAL if approval["plan_hash"] else None,
        "approvers": [approver(person) for person in sorted(people, key=lambda person: person.approver)],
        **changes,
    }


def vectors():
    yield from what_passes()
    yield from what_nobody_signs()
    yield from executions()
    yield from statuses()
    yield from ballots()
    yield from keys()
    yield from lies()
    yield from expectations()
    yield from attempts()
    yield from forms()
    yield from arguments()
    yield from precedence()


def what_passes():
    yield vector("verify: two approvers, a group, a plan, a policy", verify(ok=answer()))
    yield vector("verify: the objects themselves", step("approval.verify", {
        **args(), "approval": view(), "attempt": attempt(), "floor": {"threshold": 2}}, ok=answer()))
    yield vector("verify: ballots in another order", verify(view(approved(people=(BOB, ALICE))), ok=answer()))
    three = {**ASKED, "requirement": {"ttl_seconds": 3600, "threshold": 3, "groups": {"security": 2, "sre": 1}}}
    yield vector("verify: three approvers", verify(
        view(approved(three, (CAROL, ALICE, BOB))), ok=answer(three, (ALICE, BOB, CAROL))))
    one = {**PENDING, "reason": None}
    no_plan = text_of(attempt(plan=None))
    yield vector("verify: one approver, no plan, no policy, no reason", verify(
        view(approved(one, (ERIN,))), attempt=no_plan, ok=answer(one, (ERIN,))))
    yield vector("verify: both profiles accepted", verify(accept=BOTH, ok=answer()))
    by_v1 = {"decision": "approved", "approver": "user@company.com", "comment": COMMENT, "signature": v1_signature(),
             "profile": "v1", "key_id": "shared", "cast_at": rfc3339(DECIDED)}
    v1 = view({**approved(PENDING, ()), "ballots": [by_v1]})
    yield vector(
        "verify: v1, where it is accepted",
        verify(v1, attempt=no_plan, accept=BOTH, ok=answer(PENDING, (), approvers=[
            {"approver": "user@company.com", "key_id": "shared", "groups": [], "profile": "v1", "algorithm": "hmac-sha256"}])),
        verify(v1, attempt=no_plan, error="signature-malformed"),
        verify(v1, attempt=no_plan, accept=["v2"], error="signature-malformed"),
        verify({**v1, "ballots": [{**by_v1, "approver": "other@company.com"}]}, attempt=no_plan, accept=BOTH,
               error="signature-invalid"))
    yield vector("verify: what show answers of a record", step(
        "lifecycle.show", {"id": ID, "approval": text_of(approved()), "now": CLAIMED}, name="shown", ok=has()),
        verify(ref("shown.view"), ok=answer()))


def what_nobody_signs():
    for name, changes in {
        "decided_at": {"decided_at": rfc3339(0)},
        "the last ballot's members": {"approver": "x", "decision": "rejected", "comment": 5, "signature": []},
        "withdrawn_by": {"withdrawn_by": "x", "withdrawn_at": "never"},
        "more members": {"replayed": True, "format": 9, "policy_reason": "fine"},
        "cast_at": {"ballots": [{**ballot(ASKED, person), "cast_at": rfc3339(0)} for person in (ALICE, BOB)]},
        "no texts": {"context": None, "plan": None},
        "no request digest": {"request_digest": None},
    }.items():
        yield vector(f"verify: passed over, {name}", verify(view(**changes), ok=answer()))
    less = {name: value for name, value in view().items() if name not in (
        "context", "plan", "request_digest", "decision", "approver", "approved_at", "comment", "signature", "verifier",
        "decided_at", "executed_at", "execution", "withdrawn_at", "withdrawn_by")}
    yield vector("verify: no more than is needed", verify(less, ok=answer()))


def executions():
    ours = text_of(attempt(execution_id=EXECUTION))
    yield vector(
        "verify: an execution under way",
        verify(view(executed()), attempt=ours, ok=answer()),
        verify(view(executed()), attempt=ours, now=LEASE_ENDS - 1, ok=answer()),
        verify(view(executed()), attempt=ours, now=LEASE_ENDS, error="already-executed"),
        verify(view(executed()), error="already-executed"),
        verify(view(executed()), attempt=text_of(attempt(execution_id=OTHER_EXECUTION)), error="execution-mismatch"),
        verify(attempt=ours, ok=answer()))
    late = {"claimed_at": rfc3339(EXPIRES - 1), "lease_expires_at": rfc3339(EXPIRES + 86399)}
    yield vector(
        "verify: an execution outlives the approval's expiry",
        verify(view(executed(**late)), attempt=ours, now=EXPIRES + 86398, ok=answer()),
        verify(view(executed(**{**late, "claimed_at": rfc3339(EXPIRES)})), attempt=ours, now=EXPIRES + 1, error="expired"),
        verify(view(executed(**{**late, "lease_expires_at": rfc3339(EXPIRES + 86400)})), attempt=ours, error="limit-exceeded"))
    for outcome in ("succeeded", "failed", "unknown"):
        yield vector(f"verify: an execution that is {outcome}", verify(
            view(executed(outcome=outcome)), attempt=ours, error="already-executed"))
    for name, changes in {
        "executed and no execution": {"execution": None},
        "approved and an execution": {"status": "approved"},
        "an execution id out of its form": {"execution": {**executed()["execution"], "id": "exec_1"}},
        "an execution with more in it": {"execution": {**executed()["execution"], "by": "x"}},
        "an execution with less in it": {"execution": {"id": EXECUTION}},
        "an outcome of another word": {"execution": {**executed()["execution"], "outcome": "fine"}},
        "an execution as a list": {"execution": [EXECUTION]},
    }.items():
        yield vector(f"verify: {name}", verify(view(executed(), **changes), attempt=ours, error="request-invalid"))


def statuses():
    for status, code in {"pending": "not-approved", "rejected": "not-approved", "withdrawn": "not-approved",
                         "expired": "expired"}.items():
        yield vector(f"verify: {status}", verify(view(status=status), error=code))
    yield vector("verify: until the expiry", verify(now=EXPIRES - 1, ok=answer()), verify(now=EXPIRES, error="expired"))
    erased = {"erased_at": rfc3339(CLAIMED), "reason": None, "context": None, "plan": None}
    for status, code in {"rejected": "not-approved", "expired": "expired", "approved": "not-approved"}.items():
        yield vector(f"verify: {status} and erased", verify(view(status=status, **erased), error=code))
    yield vector("verify: executed and erased", verify(view(executed(), **erased), error="already-executed"), verify(
        view(executed(), **erased), attempt=text_of(attempt(execution_id=EXECUTION)), error="not-approved"))


def of_ballots(*ballots):
    return view(ballots=list(ballots))


def ballots():
    alice, bob = ballot(ASKED, ALICE), ballot(ASKED, BOB)
    for name, cast in {
        "none": [],
        "too few": [alice],
        "one twice": [alice, alice],
        "a copy beside": [alice, bob, bob],
        "a rejection beside": [alice, bob, ballot(ASKED, CAROL, "rejected")],
        "rejections": [ballot(ASKED, ALICE, "rejected"), ballot(ASKED, BOB, "rejected")],
        "a rejection said to be an approval": [alice, {**ballot(ASKED, BOB, "rejected"), "decision": "approved"}],
        "a ballot of another request": [alice, {**ballot({**ASKED, "reason": "other"}, BOB)}],
        "a ballot of another approval": [alice, ballot({**ASKED, "id": OTHER_ID}, BOB)],
        "a ballot for another deployment": [alice, ballot({**ASKED, "audience": "staging"}, BOB)],
        "another comment": [alice, {**bob, "comment": "x"}],
        "no comment": [alice, {**bob, "comment": None}],
        "an emptied comment": [alice, {**ballot(ASKED, BOB, comment=None), "comment": ""}],
        "another's key id": [alice, {**bob, "key_id": "carol"}],
        "signatures swapped": [{**alice, "signature": bob["signature"], "key_id": "bob"}, bob],
    }.items():
        code = "key-not-yours" if name == "signatures swapped" else "signature-invalid"
        yield vector(f"verify: ballots, {name}", verify(of_ballots(*cast), error=code))
    for name, signature in {"empty": "", "hex": "0" * 64, "padded": bob["signature"] + "=", "cut": bob["signature"][:-1],
                            "v1's": v1_signature(), "another prefix": bob["signature"].replace("v2.", "v3.")}.items():
        yield vector(f"verify: a signature that is {name}", verify(
            of_ballots(alice, {**bob, "signature": signature}), error="signature-malformed"))
    yield vector("verify: v1 where two are required", verify(
        of_ballots(alice, {**bob, "profile": "v1", "signature": "0" * 64}), accept=BOTH, error="signature-malformed"))
    # Subjects that may not approve: each has a valid key and a valid signature.
    for name, who in {"the requester": ASKED["requested_by"], "the requester's bare name": "knowledge_update",
                      "an agent": "agent:helper"}.items():
        person = Signer("other", "ed25519", b"o" * 32, who, ["security"])
        yield vector(f"verify: a ballot of {name}", verify(
            of_ballots(alice, ballot(ASKED, person)), keys=[*RING, person.entry()], error="signature-invalid"))


def keys():
    twin = Signer("twin", "ed25519", ALICE.secret, "twin@company.com", ["security"])
    pair = {**ASKED, "requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {}}}
    yield vector("verify: one material under two ids", verify(
        view(approved(pair, (ALICE, twin))), keys=[*RING, twin.entry()], error="signature-invalid"))
    for name, changes, code in [
        ("gone", {"bob": None}, "key-unknown"),
        ("for something else", {"bob": {"use": "log"}}, "key-unknown"),
        ("revoked", {"bob": {"status": "revoked"}}, "key-revoked"),
        ("verify-only", {"bob": {"status": "verify-only"}}, None),
        ("another's", {"bob": {"approver": "carol@company.com"}}, "key-not-yours"),
        ("nobody's", {"bob": {"approver": None}}, "key-not-yours"),
        ("of other material", {"bob": {"material": CAROL.entry()["material"]}}, "signature-invalid"),
        ("of another algorithm", {"alice": {"algorithm": "hmac-sha256"}}, "signature-invalid"),
        ("in no group any more", {"alice": {"groups": []}}, "approver-not-allowed"),
        ("in another group", {"alice": {"groups": ["security"]}}, "approver-not-allowed"),
    ]:
        yield vector(f"verify: a key that is {name}", verify(
            keys=ring(**changes), **({"error": code} if code else {"ok": answer()})))
    revoked = ALICE.entry(id="old-alice", status="revoked", use="module", approver=None, groups=[])
    yield vector("verify: a key revoked under another id", verify(keys=[*RING, revoked], error="key-revoked"))
    yield vector("verify: groups as the keys have them now", verify(
        keys=ring(alice={"groups": ["sre", "legal"]}),
        ok=answer(approvers=[approver(ALICE, ["sre", "legal"]), approver(BOB)])))


def lies():
    """Views that differ from what was signed, with a recomputed digest."""
    for field, value in {
        "agent": "x", "action": "x", "reason": "another", "requested_by": "x", "policy": None, "rule": "x",
        "requested_at": rfc3339(REQUESTED - 1), "context_hash": context_digest(OTHER_CONTEXT), "plan_hash": None,
        "requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {}},
    }.items():
        lie = {**approved(), field: value}
        texts = {"context": None, "plan": None}
        yield vector(f"verify: another {field} is shown",
                     verify(view(lie, **texts), error="signature-invalid"),
                     verify({**view(**texts), field: value}, error="request-invalid"))
    yield vector("verify: a later expiry", verify(view(expires_at=rfc3339(EXPIRES + 1)), error="signature-invalid"))
    yield vector("verify: another id", verify(view(id=OTHER_ID), error="not-found"),
                 verify(view(id=OTHER_ID), id=OTHER_ID, error="signature-invalid"), verify(id=OTHER_ID, error="not-found"))
    yield vector("verify: another audience", verify(view(audience="staging"), error="audience-mismatch"),
                 verify(view(audience="staging"), audience="staging", error="signature-invalid"),
                 verify(audience="Prod", error="audience-mismatch"))
    yield vector("verify: another request digest", verify(view(request_digest="0" * 64), error="request-invalid"))
    yield vector("verify: another context beside its digest", verify(
        view() | {"context": json.loads(OTHER_CONTEXT)}, error="request-invalid"))
    yield vector("verify: another plan beside its digest", verify(view() | {"plan": {}}, error="request-invalid"))
    yield vector("verify: a plan beside no digest", verify(
        view({**approved(), "plan_hash": None}, plan=PLAN) | {"plan": {}}, error="request-invalid"))


def expectations():
    for name, floor, code in [
        ("nothing", {}, None),
        ("the same", ASKED["requirement"], None),
        ("less", {"threshold": 1, "ttl_seconds": 604800}, None),
        ("more approvers", {"threshold": 3}, "requirement-too-weak"),
        ("more of a group", {"groups": {"sre": 2}}, "requirement-too-weak"),
        ("another group", {"groups": {"legal": 1}}, "requirement-too-weak"),
        ("a shorter life", {"ttl_seconds": 3599}, "requirement-too-weak"),
        ("no approver", {"threshold": 0}, "request-invalid"),
        ("17 approvers", {"threshold": 17}, "limit-exceeded"),
        ("no time", {"ttl_seconds": 0}, "request-invalid"),
        ("more than a week", {"ttl_seconds": 604801}, "limit-exceeded"),
        ("more members", {"quorum": 1}, "request-invalid"),
    ]:
        yield vector(f"verify: a floor of {name}", verify(
            floor=text_of(floor), **({"error": code} if code else {"ok": answer()})))
    yield vector("verify: policies", verify(policies=[POLICY], ok=answer()), verify(policies=["0" * 64, POLICY], ok=answer()),
                 verify(policies=["0" * 64], error="policy-mismatch"), verify(policies=[], error="policy-mismatch"),
                 verify(policies=["a b"], error="request-invalid"), verify(policies=copies(POLICY, 65), error="limit-exceeded"))
    none = {**ASKED, "policy": None, "rule": None}
    yield vector("verify: no policy where one is required", verify(
        view(approved(none)), policies=[POLICY], error="policy-mismatch"), verify(view(approved(none)), ok=answer(none)))
    yield vector("verify: age", verify(requested_after=REQUESTED, ok=answer()),
                 verify(requested_after=REQUESTED + 1, error="request-too-old"),
                 verify(now=REQUESTED - 300, ok=answer()), verify(now=REQUESTED - 301, error="request-too-old"))
    for seconds, code in [(604800, None), (604801, "requirement-too-weak")]:
        long = {**ASKED, "expires_at": rfc3339(REQUESTED + seconds)}
        cast = [{**ballot(long, person), "signature": person.sign({
            "audience": long["audience"], "key_id": person.id, "approval_id": ID, "request_digest": request_digest(long),
            "expires_at": REQUESTED + seconds, "decision": "approved", "approver": person.approver, "comment": COMMENT,
        })} for person in (ALICE, BOB)]
        yield vector(f"verify: a life of {seconds} seconds", verify(
            view(approved(long, (), ballots=cast)), **({"error": code} if code else {"ok": answer(long)})))


def attempts():
    for name, changes, code in [
        ("another agent", {"agent": "Knowledge_update"}, "agent-mismatch"),
        ("another action", {"action": "x"}, "action-mismatch"),
        ("another context", {"context": OTHER_CONTEXT}, "context-mismatch"),
        ("a float for an integer", {"context": CONTEXT.replace("1500", "1500.0")}, "context-mismatch"),
        ("a context that is an array", {"context": "[]"}, "context-invalid"),
        ("a name twice in the context", {"context": '{"a":1,"a":1}'}, "context-invalid"),
        ("another plan", {"plan": "{}"}, "plan-mismatch"),
        ("no plan", {"plan": None}, "plan-mismatch"),
        ("a plan that is an array", {"plan": "[]"}, "context-invalid"),
    ]:
        yield vector(f"verify: an attempt with {name}", verify(attempt=text_of(attempt(**changes)), error=code))
    yield vector("verify: a plan where none was approved", verify(
        view(approved(PENDING, (ALICE,))), error="plan-mismatch"))
    yield vector("verify: the context in another form", verify(attempt=text_of(attempt(
        context='{"risk_score":85,"changes_count":1500,"file":"config\\/production.yaml"}')), ok=answer()))
    for name, changes, code in [
        ("no agent", {"agent": None}, "request-invalid"),
        ("no action", {"action": None}, "request-invalid"),
        ("no context", {"context": None}, "request-invalid"),
        ("an empty agent", {"agent": ""}, "request-invalid"),
        ("a long action", {"action": "a" * 129}, "limit-exceeded"),
        ("another execution id", {"execution_id": "exec_1"}, "request-invalid"),
        ("more members", {"claimed_by": "x"}, "request-invalid"),
        ("a context that is an object", {"context": {}}, "request-invalid"),
    ]:
        yield vector(f"verify: an attempt's form, {name}", verify(attempt=text_of(attempt(**changes)), error=code))
    for name, text in {"empty": "", "null": "null", "a list": "[]", "a name twice": json.dumps(attempt())[:-1] + ', "agent": "x"}'}.items():
        yield vector(f"verify: an attempt that is {name}", verify(attempt=text, error="request-invalid"))


def forms():
    good = view()
    for field in ("id", "audience", "status", "requested_by", "requested_at", "expires_at", "agent", "action", "context_hash",
                  "requirement", "ballots"):
        less = {name: value for name, value in good.items() if name != field}
        yield vector(f"verify: no {field}", verify(text_of(less), error="request-invalid"),
                     verify(text_of({**less, field: None}), error="request-invalid"),
                     verify(text_of({**less, field: 5}), error="request-invalid"))
    for field in ALICE_S_BALLOT:
        less = {name: value for name, value in ALICE_S_BALLOT.items() if name != field}
        steps = [verify(of_ballots({**less, field: 5}, ballot(ASKED, BOB)), error="request-invalid")]
        if field != "comment":
            steps.append(verify(of_ballots(less, ballot(ASKED, BOB)), error="request-invalid"))
        yield vector(f"verify: a ballot's {field}", *steps)
    for name, changes, code in [
        ("a ballot with more in it", {"ballots": [{**ALICE_S_BALLOT, "weight": 2}]}, "request-invalid"),
        ("a ballot as a list", {"ballots": [list(ALICE_S_BALLOT.values())]}, "request-invalid"),
        ("33 ballots", {"ballots": copies(ALICE_S_BALLOT, 33)}, "limit-exceeded"),
        ("an approver of 129 bytes", {"ballots": [{**ALICE_S_BALLOT, "approver": "a" * 129}]}, "limit-exceeded"),
        ("a comment of 4097 bytes", {"ballots": [{**ALICE_S_BALLOT, "comment": "c" * 4097}]}, "limit-exceeded"),
        ("a comment with an escape", {"ballots": [{**ALICE_S_BALLOT, "comment": "\u001b[2J"}]}, "request-invalid"),
        ("a signature of 4097 bytes", {"ballots": [{**ALICE_S_BALLOT, "signature": "s" * 4097}]}, "limit-exceeded"),
        ("a key id out of its form", {"ballots": [{**ALICE_S_BALLOT, "key_id": "K"}]}, "request-invalid"),
        ("another status", {"status": "fine"}, "request-invalid"),
        ("a context that is an array", {"context": []}, "request-invalid"),
        ("erased at no time", {"erased_at": "yes"}, "request-invalid"),
    ]:
        yield vector(f"verify: a view with {name}", verify(view() | changes, error=code))
    for name, requirement, code in [
        ("no approver", {"threshold": 0}, "request-invalid"),
        ("17 approvers", {"threshold": 17}, "limit-exceeded"),
        ("none of a group", {"groups": {"sre": 0}}, "request-invalid"),
        ("17 groups", {"groups": {f"g{n}": 1 for n in range(17)}}, "limit-exceeded"),
        ("no time", {"ttl_seconds": 0}, "request-invalid"),
        ("more than a week", {"ttl_seconds": 604801}, "limit-exceeded"),
        ("more in it", {"quorum": 1}, "request-invalid"),
    ]:
        lie = {**ASKED, "requirement": {**ASKED["requirement"], **requirement}}
        yield vector(f"verify: a requirement of {name}", verify(view(approved(lie)), error=code))
    text = json.dumps(good)
    for name, twice in {
        "status": text.replace('"status"', '"status": "approved", "status"'),
        "status, once escaped": text.replace('"status"', '"\\u0073tatus": "x", "status"'),
        "a member that is passed over": text[:-1] + ', "verifier": 1}',
        "a ballot's member": text.replace('"profile"', '"profile": "v1", "profile"', 1),
        "a member of the context": text.replace('"changes_count"', '"changes_count": 1, "changes_count"', 1),
        "a group": text.replace('{"sre": 1}', '{"sre": 1, "sre": 1}'),
    }.items():
        assert twice != text
        yield vector(f"verify: twice, {name}", verify(twice, error="request-invalid"))
    for name, shown in {"empty": "", "null": "null", "a list": "[]", "cut off": text[:-1], "two": text + text}.items():
        yield vector(f"verify: a view that is {name}", verify(shown, error="request-invalid"))
    yield vector("verify: a view over 4 MiB", verify(repeated((" ", 4 << 20), (text, 1)), error="limit-exceeded"))


def arguments():
    for name, changes, code in [
        ("an id out of its form", {"id": "appr_1"}, "request-invalid"),
        ("an empty audience", {"audience": ""}, "request-invalid"),
        ("an audience of 129 bytes", {"audience": "a" * 129}, "limit-exceeded"),
        ("a key out of its form", {"keys": [{**SHARED, "material": "x"}]}, "request-invalid"),
        ("two keys of one id", {"keys": [SHARED, SHARED]}, "request-invalid"),
        ("4097 keys", {"keys": copies(SHARED, 4097)}, "limit-exceeded"),
        ("no profile", {"accept": []}, "request-invalid"),
        ("an unknown profile", {"accept": ["v3"]}, "request-invalid"),
        ("a time past the year 9999", {"now": LAST_SECOND + 1}, "request-invalid"),
        ("requested after the year 9999", {"requested_after": LAST_SECOND + 1}, "request-invalid"),
        ("a floor that is a list", {"floor": "[]"}, "request-invalid"),
    ]:
        # Checked before anything about the approval.
        yield vector(f"verify: {name}", verify(view(status="pending"), **changes, error=code))


def precedence():
    """Everything is wrong at first; each step has one fault less."""
    wrong = [
        ("not-found", {"id": OTHER_ID}),
        ("audience-mismatch", {"audience": "staging"}),
        ("expired", {"now": EXPIRES}),
        ("key-revoked", {"keys": ring(alice={"status": "revoked"}, bob=None)}),
        ("approver-not-allowed", {"keys": ring(alice={"groups": []})}),
        ("requirement-too-weak", {"floor": text_of({"threshold": 3})}),
        ("policy-mismatch", {"policies": ["0" * 64]}),
        ("request-too-old", {"requested_after": REQUESTED + 1}),
        ("agent-mismatch", {"attempt": text_of(attempt(agent="x", action="x", context="[]", plan="[]"))}),
        ("action-mismatch", {"attempt": text_of(attempt(action="x", context="[]", plan="[]"))}),
        ("context-invalid", {"attempt": text_of(attempt(context="[]", plan="[]"))}),
        ("context-mismatch", {"attempt": text_of(attempt(context="{}", plan="[]"))}),
        ("context-invalid", {"attempt": text_of(attempt(plan="[]"))}),
        ("plan-mismatch", {"attempt": text_of(attempt(plan="{}"))}),
    ]
    steps = []
    for index, (code, _) in enumerate(wrong):
        changes = {}
        for _, change in reversed(wrong[index:]):
            changes |= change
        steps.append(verify(**changes, error=code))
    yield vector("verify: precedence", *steps, verify(ok=answer()))


ALICE_S_BALLOT = ballot(ASKED, ALICE)

if __name__ == "__main__":
    main(__file__, render(list(vectors()), DEFINE))
