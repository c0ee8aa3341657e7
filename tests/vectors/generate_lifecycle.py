#!/usr/bin/env python3
"""Writes `lifecycle.json`: each operation's effect on an approval, and all of its refusals.

Records, summaries, entries and views are written by hand here, digests and signatures come from
Python. `--check` compares instead of writing.
"""

import re

from vector_file import (
    LAST_SECOND,
    context_digest,
    copies,
    edited,
    generate_approval_signature,
    has,
    hmac_key,
    main,
    moment,
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

ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4"
EXECUTION = "exec_01k7s2f7n9r5t6v8w0x1y2z3a4"
OTHER_EXECUTION = "exec_01k7s2f7n9r5t6v8w0x1y2z3a5"
OTHER_ID = ID[:-1] + "5"
assert re.fullmatch("appr_[0-7][0-9a-hjkmnp-tv-z]{25}", ID)
assert re.fullmatch("exec_[0-7][0-9a-hjkmnp-tv-z]{25}", EXECUTION)

REQUESTED = 1760697000  # 2025-10-17T10:30:00Z
EXPIRES = REQUESTED + 3600
DECIDED = REQUESTED + 900
CLAIMED = REQUESTED + 1000
LEASE_ENDS = CLAIMED + 300
TTL_MAX = 604800

SECRET = "a secret that is for examples only"
OTHER_SECRET = "a secret that signed nothing in here"
REQUESTER = "agent:knowledge_update"
APPROVER = "user@company.com"
EXECUTOR = "runner-7"
CONTEXT = '{"file": "config/production.yaml", "changes_count": 1500, "risk_score": 85}'
CONTEXT_CANONICAL = '{"changes_count": 1500, "file": "config/production.yaml", "risk_score": 85}'
OTHER_CONTEXT = '{"file": "config/production.yaml", "changes_count": 1501, "risk_score": 85}'
PLAN = '{"steps":["read","write"]}'
PLAN_CANONICAL = '{"steps": ["read", "write"]}'
REASON = "Large configuration change for production deployment"
COMMENT = "Reviewed changes - looks safe"
V1 = ["v1"]

REQUEST = {
    "id": ID,
    "audience": "prod",
    "agent": "knowledge_update",
    "action": "apply",
    "reason": REASON,
    "requested_by": REQUESTER,
}
BALLOT = {"decision": "approved", "approver": APPROVER, "comment": COMMENT}
CLAIM = {
    "agent": "knowledge_update",
    "action": "apply",
    "claimed_by": EXECUTOR,
    "execution_id": EXECUTION,
}
ADMIN = {"subject": "root", "roles": ["admin"]}
AN_APPROVER = {"subject": APPROVER, "roles": ["approver"]}
THE_REQUESTER = {"subject": REQUESTER, "roles": ["requester"]}
THE_EXECUTOR = {"subject": EXECUTOR, "roles": ["executor"]}
STRANGER = {"subject": "nobody", "roles": ["requester", "executor", "auditor", "policy"]}

DEFINE = {
    "key": hmac_key("2025q4", SECRET),
    "other_key": hmac_key("2026q1", OTHER_SECRET),
    "revoked_key": hmac_key("2025q4", SECRET, status="revoked"),
    "request": REQUEST,
    "context": CONTEXT,
    "plan": PLAN,
}


def signature(decision="approved", approver=APPROVER, expires_at=EXPIRES, secret=SECRET, approval_id=ID):
    return generate_approval_signature(approval_id, decision, approver, moment(expires_at), secret)


# ---------------------------------------------------------------- the approvals that vectors start from


PENDING = {
    "format": 1,
    "id": ID,
    "audience": "prod",
    "status": "pending",
    "agent": "knowledge_update",
    "action": "apply",
    "context_hash": context_digest(CONTEXT),
    "plan_hash": None,
    "reason": REASON,
    "requested_by": REQUESTER,
    "requested_at": rfc3339(REQUESTED),
    "expires_at": rfc3339(EXPIRES),
    "requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {}},
    "policy": None,
    "rule": None,
    "ballots": [],
    "decided_at": None,
    "executed_at": None,
    "execution": None,
    "withdrawn_at": None,
    "withdrawn_by": None,
}


def setup():
    """An approval in every possible state, each with its full answer."""
    pending = PENDING
    approved = {**pending, "status": "approved", "ballots": [ballot_of("approved")], "decided_at": rfc3339(DECIDED)}
    rejected = {**approved, "status": "rejected", "ballots": [ballot_of("rejected")]}
    claimed = {
        "id": EXECUTION,
        "claimed_by": EXECUTOR,
        "claimed_at": rfc3339(CLAIMED),
        "lease_expires_at": rfc3339(LEASE_ENDS),
        "outcome": "claimed",
        "detail": None,
        "settled_at": None,
        "late": False,
    }
    executed = {**approved, "status": "executed", "executed_at": rfc3339(CLAIMED), "execution": claimed}
    settled = {**claimed, "outcome": "succeeded", "detail": "1500 changes", "settled_at": rfc3339(CLAIMED + 60)}
    withdrawn = {"status": "withdrawn", "withdrawn_at": rfc3339(DECIDED), "withdrawn_by": APPROVER}

    yield step("lifecycle.open", open_args(), name="pending", ok={
        **transition(pending, "approval_requested", REQUESTED, due_at=EXPIRES, actor=REQUESTER,
                     expires_at=rfc3339(EXPIRES)),
        "context": CONTEXT_CANONICAL,
        "plan": None,
    })
    planned = {**pending, "plan_hash": context_digest(PLAN)}
    yield step("lifecycle.open", open_args(plan=ref("plan")), name="pending_with_plan", ok={
        **transition(planned, "approval_requested", REQUESTED, due_at=EXPIRES, actor=REQUESTER,
                     expires_at=rfc3339(EXPIRES)),
        "context": CONTEXT_CANONICAL,
        "plan": PLAN_CANONICAL,
    })
    decided = {"actor": APPROVER, "from": "pending", "profile": "v1", "key_id": "2025q4",
               "signature_hash": text_hash(signature())}
    yield step("lifecycle.decide", decide_args(), name="approved", ok=transition(
        approved, "approval_decided", DECIDED, due_at=EXPIRES, **decided, decision="approved"))
    yield step("lifecycle.decide", decide_args("pending_with_plan"), name="approved_with_plan", ok=transition(
        {**planned, **{name: approved[name] for name in ("status", "ballots", "decided_at")}},
        "approval_decided", DECIDED, due_at=EXPIRES, **decided, decision="approved"))
    yield step("lifecycle.decide", decide_args(decision="rejected"), name="rejected", ok=transition(
        rejected, "approval_decided", DECIDED, due_at=None,
        **{**decided, "signature_hash": text_hash(signature("rejected"))}, decision="rejected"))
    yield step("lifecycle.claim", claim_args(), name="executed", ok=transition(
        executed, "approval_claimed", CLAIMED, due_at=LEASE_ENDS, actor=EXECUTOR, **{"from": "approved"},
        execution_id=EXECUTION, outcome="claimed"))
    yield step("lifecycle.settle", settle_args(detail="1500 changes"), name="succeeded", ok=transition(
        {**executed, "execution": settled}, "execution_settled", CLAIMED + 60, due_at=None, actor=EXECUTOR,
        **{"from": "executed"}, execution_id=EXECUTION, outcome="succeeded", late=False))
    yield step("lifecycle.expire", {"id": ID, "approval": record("executed"), "now": LEASE_ENDS}, name="unknown", ok=transition(
        {**executed, "execution": {**claimed, "outcome": "unknown"}}, "execution_unknown", LEASE_ENDS, due_at=None,
        **{"from": "executed"}, execution_id=EXECUTION, outcome="unknown"))
    yield step("lifecycle.expire", {"id": ID, "approval": record("pending"), "now": EXPIRES}, name="expired", ok=transition(
        {**pending, "status": "expired"}, "approval_expired", EXPIRES, due_at=None, **{"from": "pending"}))
    yield step("lifecycle.expire", {"id": ID, "approval": record("approved"), "now": EXPIRES + 7}, name="expired_approved",
               ok=transition({**approved, "status": "expired"}, "approval_expired", EXPIRES + 7, due_at=None,
                             **{"from": "approved"}))
    yield step("lifecycle.withdraw", withdraw_args("pending"), name="withdrawn", ok=transition(
        {**pending, **withdrawn}, "approval_withdrawn", DECIDED, due_at=None, actor=APPROVER, **{"from": "pending"}))
    yield step("lifecycle.withdraw", withdraw_args("approved"), name="withdrawn_approved", ok=transition(
        {**approved, **withdrawn}, "approval_withdrawn", DECIDED, due_at=None, actor=APPROVER,
        **{"from": "approved"}))


def ballot_of(decision):
    return {
        "decision": decision,
        "approver": APPROVER,
        "comment": COMMENT,
        "signature": signature(decision),
        "profile": "v1",
        "key_id": "2025q4",
        "cast_at": rfc3339(DECIDED),
    }


def transition(record, event, at, due_at, **fields):
    """Returns the full answer to a change."""
    digest = digest_of(record)
    entry = {
        "format": 1,
        "event": event,
        "at": rfc3339(at),
        "approval_id": ID,
        "agent": "knowledge_update",
        "action": "apply",
        "to": record["status"],
        "context_hash": record["context_hash"],
        **({"plan_hash": record["plan_hash"]} if record["plan_hash"] else {}),
        "request_digest": digest,
        **fields,
    }
    return {"record": text_of(record), "summary": summary(record["status"], due_at), "entry": text_of(entry),
            "view": text_of(view_of(record))}


def digest_of(record):
    """Returns the request digest; an erased approval keeps its own."""
    return record["erased"]["request_digest"] if "erased" in record else request_digest(record)


def view_of(record):
    """Returns the view of a record whose status is the effective one."""
    last = record["ballots"][-1] if record["decided_at"] else {}
    decided = {"decision": last.get("decision"), "approver": last.get("approver"), "comment": last.get("comment"),
               "signature": last.get("signature"), "decided_at": record["decided_at"],
               "approved_at": record["decided_at"] if last.get("decision") == "approved" else None}
    same = {name: record[name] for name in (
        "id", "audience", "status", "requested_by", "requested_at", "expires_at", "agent", "action", "context_hash",
        "plan_hash", "reason", "requirement", "ballots", "executed_at", "execution", "withdrawn_at", "withdrawn_by",
        "policy", "rule")}
    return {**same, **decided, "request_digest": digest_of(record),
            "policy_reason": record.get("policy_reason"), "failed": record.get("failed", []),
            "erased_at": record["erased"]["at"] if "erased" in record else None}


def summary(status, due_at, expires_at=EXPIRES):
    return {
        "id": ID,
        "status": status,
        "agent": "knowledge_update",
        "action": "apply",
        "requested_at": REQUESTED,
        "expires_at": expires_at,
        "due_at": due_at,
    }


# ---------------------------------------------------------------- arguments


def record(name):
    return ref(f"{name}.record")


def open_args(request=None, context=None, plan=None, accept=V1, now=REQUESTED, **changes):
    if request is None:
        request = text_of({**REQUEST, **changes} if changes else ref("request"))
    args = {"request": request, "context": context or ref("context"), "accept": accept, "now": now}
    return {**args, "plan": plan} if plan is not None else args


def decide_args(approval="pending", keys=None, accept=V1, now=DECIDED, without=(), signed=None, **changes):
    ballot = {**BALLOT, **changes}
    if signed is None:
        known = ballot["decision"] if ballot["decision"] in ("approved", "rejected") else "approved"
        signed = signature(known, ballot["approver"] if isinstance(ballot["approver"], str) else APPROVER)
    ballot = without_fields({**ballot, "signature": signed}, without)
    return given(approval, {"ballot": text_of(ballot), "keys": the_keys(keys), "accept": accept, "now": now})


def check_args(approval="approved", attempt=None, keys=None, accept=V1, now=CLAIMED, context=None, plan=None):
    args = {"attempt": text_of(attempt or {}), "keys": the_keys(keys), "accept": accept, "now": now}
    texts = {name: text for name, text in [("context", context), ("plan", plan)] if text is not None}
    return given(approval, {**args, **texts})


def claim_args(approval="approved", keys=None, accept=V1, now=CLAIMED, context=None, plan=None, without=(), **changes):
    claim = text_of(without_fields({**CLAIM, **changes}, without))
    args = {"claim": claim, "context": context or ref("context"), "keys": the_keys(keys), "accept": accept, "now": now}
    return given(approval, {**args, **({"plan": plan} if plan is not None else {})})


def settle_args(approval="executed", now=CLAIMED + 60, outcome="succeeded", actor=None, execution_id=EXECUTION,
                without=(), **changes):
    report = {"execution_id": execution_id, "outcome": outcome, "actor": actor or THE_EXECUTOR, **changes}
    return given(approval, {"outcome": text_of(without_fields(report, without)), "now": now})


def withdraw_args(approval="pending", actor=None, now=DECIDED, **changes):
    return given(approval, {"withdrawal": text_of({"actor": actor or AN_APPROVER, **changes}), "now": now})


def extend_args(approval="pending", seconds=7200, actor=None, now=DECIDED, **changes):
    extension = {"expires_in_seconds": seconds, "actor": actor or AN_APPROVER, **changes}
    return given(approval, {"extension": text_of(extension), "now": now})


def erase_args(approval="rejected", actor=None, now=LEASE_ENDS):
    return given(approval, {"actor": text_of(actor or ADMIN), "now": now})


def given(approval, args):
    """Adds the record of an earlier step by name, another text, or none to the arguments."""
    if approval is None:
        return {"id": ID, **args}
    return {"id": ID, "approval": record(approval) if isinstance(approval, str) else approval, **args}


def the_keys(keys):
    return [ref("key")] if keys is None else keys


def without_fields(value, names):
    return {name: item for name, item in value.items() if name not in names}


# ---------------------------------------------------------------- the vectors


def vectors():
    yield from the_table()
    yield from stories()
    yield from openings()
    yield from identifiers_and_texts()
    yield from ballots()
    yield from who_may_decide()
    yield from checks()
    yield from claims()
    yield from outcomes()
    yield from time_alone()
    yield from withdrawals()
    yield from extensions()
    yield from erasures()
    yield from views()
    yield from statements()
    yield from recognitions()
    yield from tampered_records()
    yield from what_v1_leaves_uncovered()
    yield from keys_that_change_later()
    yield from unreadable_records()
    yield from event_forms()
    yield from times()
    yield from precedence()


# Each operation in each of STATUSES: the code of its refusal, or `>` and the resulting status.
TABLE = {
    "decide": (">approved", "already-decided", "already-decided", "already-decided", "expired", "already-decided"),
    "check": ("not-approved", ">approved", "not-approved", "already-executed", "expired", "not-approved"),
    "claim": ("not-approved", ">executed", "not-approved", "already-executed", "expired", "not-approved"),
    "settle": ("execution-mismatch",) * 3 + (">executed",) + ("execution-mismatch",) * 2,
    "withdraw": (">withdrawn", ">withdrawn", "already-decided", "already-executed", "expired", "already-decided"),
    "extend": (">pending", "already-decided", "already-decided", "already-executed", "expired", "already-decided"),
    "erase": ("not-final", "not-final", ">rejected", ">executed", ">expired", ">withdrawn"),
}
STATUSES = ("pending", "approved", "rejected", "executed", "expired", "withdrawn")


def the_table():
    """Every operation in every status, including those that time has changed but no call has stored yet."""
    states = [(status, status, None) for status in STATUSES]
    states += [("expired", "expired_approved", None), ("withdrawn", "withdrawn_approved", None),
               ("executed", "succeeded", None), ("executed", "unknown", None),
               ("expired", "pending", EXPIRES), ("expired", "approved", EXPIRES)]
    for operation, row in TABLE.items():
        args_of = globals()[f"{operation}_args"]
        for status, approval, now in states:
            answer = row[STATUSES.index(status)]
            args = args_of(approval, **({} if now is None else {"now": now}))
            swept = "" if now is None else ", past its expiry and not swept"
            name = f"table: {operation} of {approval}{swept}"
            if operation == "settle" and approval == "succeeded":
                yield vector(name, step("lifecycle.settle", args, ok=nothing("executed")))
            elif answer.startswith(">"):
                ok = has(summary=has(status=answer[1:]))
                yield vector(name, step(f"lifecycle.{operation}", args, ok=ok))
            else:
                yield vector(name, step(f"lifecycle.{operation}", args, error=answer))


def nothing(status, due_at=None):
    """Returns the answer if nothing changes."""
    return {"record": None, "summary": summary(status, due_at), "entry": None, "view": text_of(has(status=status))}


def stories():
    """Approvals from their first to their last step."""
    yield vector(
        "story: requested, approved, checked, claimed, succeeded",
        step("lifecycle.open", open_args(), name="a", ok=has(summary=summary("pending", EXPIRES))),
        step("signing.statement", {"id": ID, "approval": record("a"), "decision": "approved", "approver": APPROVER,
                                 "key_id": "", "comment": COMMENT}, name="s", ok=has()),
        step("signing.sign", {"statement": ref("s.statement"), "profile": "v1", "key": ref("key")},
             ok={"signature": signature()}),
        step("lifecycle.decide", decide_args("a"), name="b", ok=has(summary=summary("approved", EXPIRES))),
        step("lifecycle.check", check_args("b"), ok={"summary": summary("approved", EXPIRES)}),
        step("lifecycle.claim", claim_args("b"), name="c", ok=has(summary=summary("executed", LEASE_ENDS))),
        step("lifecycle.settle", settle_args("c"), name="d", ok=has(summary=summary("executed", None))),
        step("lifecycle.claim", claim_args("d"), error="already-executed"),
    )
    yield vector(
        "story: claimed twice, the second refused whoever asks",
        step("lifecycle.claim", claim_args(), name="c", ok=has()),
        step("lifecycle.claim", claim_args("c"), error="already-executed"),
        step("lifecycle.claim", claim_args("c", execution_id=OTHER_EXECUTION), error="already-executed"),
        step("lifecycle.claim", claim_args("c", claimed_by="runner-8", execution_id=OTHER_EXECUTION),
             error="already-executed"),
        step("lifecycle.claim", claim_args("c", now=EXPIRES + 1), error="already-executed"),
        step("lifecycle.check", check_args("c"), error="already-executed"),
        step("lifecycle.withdraw", withdraw_args("c", now=CLAIMED + 1), error="already-executed"),
    )
    yield vector(
        "story: decided twice, the second refused whatever it says",
        step("lifecycle.decide", decide_args("approved"), error="already-decided"),
        step("lifecycle.decide", decide_args("approved", decision="rejected"), error="already-decided"),
        step("lifecycle.decide", decide_args("approved", approver="other@company.com"), error="already-decided"),
        step("lifecycle.decide", decide_args("rejected"), error="already-decided"),
    )
    later = DECIDED + 7200
    yield vector(
        "story: extended, then approved: the signature covers the new expiry",
        step("lifecycle.extend", extend_args(), name="e", ok=has(summary=summary("pending", later, later))),
        step("lifecycle.decide", decide_args("e"), error="signature-invalid"),
        step("lifecycle.decide", decide_args("e", signed=signature(expires_at=later)), name="f",
             ok=has(summary=summary("approved", later, later))),
        step("lifecycle.check", check_args("f", now=EXPIRES + 1), ok={"summary": summary("approved", later, later)}),
        step("lifecycle.claim", claim_args("f", now=later), error="expired"),
        step("lifecycle.claim", claim_args("f", now=later - 1), ok=has()),
    )
    yield vector(
        "story: approved, withdrawn, not claimed",
        step("lifecycle.withdraw", withdraw_args("approved", THE_REQUESTER), name="w", ok=has()),
        step("lifecycle.claim", claim_args("w"), error="not-approved"),
        step("lifecycle.withdraw", withdraw_args("w"), error="already-decided"),
        step("lifecycle.expire", {"id": ID, "approval": record("w"), "now": EXPIRES}, ok=nothing("withdrawn")),
    )
    yield vector(
        "story: the lease ran out, then a late outcome, once",
        step("lifecycle.expire", {"id": ID, "approval": record("executed"), "now": LEASE_ENDS - 1},
             ok=nothing("executed", LEASE_ENDS)),
        step("lifecycle.settle", settle_args("unknown", now=LEASE_ENDS + 9, outcome="failed"), name="l", ok=has(
            record=text_of(has(execution=has(outcome="failed", late=True, settled_at=rfc3339(LEASE_ENDS + 9)))),
            entry=text_of(has(event="execution_settled", outcome="failed", late=True, actor=EXECUTOR)))),
        step("lifecycle.settle", settle_args("l", now=LEASE_ENDS + 10, outcome="failed"), ok=nothing("executed")),
        step("lifecycle.settle", settle_args("l", now=LEASE_ENDS + 10), error="already-settled"),
        step("lifecycle.expire", {"id": ID, "approval": record("l"), "now": LAST_SECOND}, ok=nothing("executed")),
    )


def openings():
    def refused(name, code, **args):
        return vector(f"open: {name}", step("lifecycle.open", open_args(**args), error=code))

    def made(name, expected, **args):
        return vector(f"open: {name}", step("lifecycle.open", open_args(**args), ok=expected))

    def requirement(**fields):
        return {"requirement": fields}

    for ttl in (1, 3599, TTL_MAX):
        yield made(f"a ttl of {ttl}", has(
            record=text_of(has(requirement={"ttl_seconds": ttl, "threshold": 1, "groups": {}})),
            summary=summary("pending", REQUESTED + ttl, REQUESTED + ttl)), **requirement(ttl_seconds=ttl))
    yield made("a requirement with nothing in it",
               has(record=text_of(has(requirement={"ttl_seconds": 3600, "threshold": 1, "groups": {}}))),
               requirement={})
    yield made("a requirement written out, null where it may be",
               has(summary=summary("pending", EXPIRES)),
               **requirement(ttl_seconds=None, threshold=None, groups={}))
    for ttl, code in [(0, "request-invalid"), (-1, "request-invalid"), (TTL_MAX + 1, "limit-exceeded"),
                      (2**53, "limit-exceeded"), (3600.5, "request-invalid"), ("3600", "request-invalid"),
                      (True, "request-invalid")]:
        yield refused(f"a ttl of {ttl!r}", code, **requirement(ttl_seconds=ttl))
    for threshold, code in [(0, "request-invalid"), (-1, "request-invalid"), (2, "request-invalid"),
                            (16, "request-invalid"), (17, "limit-exceeded"), (1.5, "request-invalid"),
                            (2**32, "request-invalid"), ("1", "request-invalid")]:
        yield refused(f"a threshold of {threshold!r}, with v1 alone accepted", code, **requirement(threshold=threshold))
    yield refused("a group, with v1 alone accepted", "request-invalid", **requirement(groups={"sre": 1}))
    yield refused("a group that asks for nobody", "request-invalid", **requirement(groups={"sre": 0}))
    yield refused("a group that asks for 17", "limit-exceeded", **requirement(groups={"sre": 17}))
    yield refused("17 groups", "limit-exceeded", **requirement(groups={f"g{n}": 1 for n in range(17)}))
    yield refused("a group with a space", "request-invalid", **requirement(groups={"on call": 1}))
    yield refused("groups as a list", "request-invalid", **requirement(groups=["sre"]))
    yield refused("an unknown field of the requirement", "request-invalid", **requirement(quorum=1))
    yield refused("a requirement of null", "request-invalid", requirement=None)
    yield refused("a requirement as a list", "request-invalid", requirement=[3600, 1, {}])
    doubled = '{"id":"%s","audience":"prod","agent":"a","action":"b","requested_by":"c","requirement":%s}'
    yield refused("a field of the requirement twice", "request-invalid",
                  request=doubled % (ID, '{"threshold":1,"threshold":1}'))
    yield refused("a group twice, once past its limit", "request-invalid",
                  request=doubled % (ID, '{"groups":{"sre":17,"sre":1}}'))
    for name, accept in {"none": [], "an unknown one": ["v3"], "in upper case": ["V1"]}.items():
        yield refused(f"accepted profiles, {name}", "request-invalid", accept=accept)
    yield made("policy and rule are kept", has(record=text_of(has(policy="sha256:00ff", rule="prod-changes"))),
               policy="sha256:00ff", rule="prod-changes")
    said = {"policy_reason": "risk 92: two approvers", "failed": ["night", "large-amount"]}
    yield made("what the policy said is kept, and the digest does not cover it", has(
        record=text_of(has(reason=REASON, **said)),
        view=text_of(has(reason=REASON, request_digest=request_digest(PENDING), **said))), **said)
    yield made("what the policy said is not the reason", has(
        view=text_of(has(reason=None, **said))), reason=None, **said)
    yield made("16 failed rules", has(view=text_of(has(failed=[f"r{at}" for at in range(16)]))),
               failed=[f"r{at}" for at in range(16)])
    yield refused("17 failed rules", "limit-exceeded", failed=[f"r{at}" for at in range(17)])
    yield refused("a failed rule as a number", "request-invalid", failed=[1])
    yield refused("failed rules of null", "request-invalid", failed=None)
    yield made("what may be null", has(record=text_of(has(policy=None, rule=None, reason=None))),
               policy=None, rule=None, reason=None)
    for field in ("id", "audience", "agent", "action", "requested_by"):
        left = without_fields(REQUEST, [field])
        yield refused(f"without {field}", "request-invalid", request=text_of(left))
        yield refused(f"{field} of null", "request-invalid", **{field: None})
        yield refused(f"{field} of a number", "request-invalid", **{field: 7})
    yield made("without a reason", has(record=text_of(has(reason=None))),
               request=text_of(without_fields(REQUEST, ["reason"])))
    yield refused("an unknown field", "request-invalid", status="approved")
    yield from approval_ids(refused, made)
    yield from contexts(refused, made)


def approval_ids(refused, made):
    ulid = ID.removeprefix("appr_")
    for name, text in {
        "empty": "",
        "only its prefix": "appr_",
        "no prefix": ulid,
        "another prefix": "exec_" + ulid,
        "prefix in upper case": "APPR_" + ulid,
        "in upper case": "appr_" + ulid.upper(),
        "25 characters": "appr_" + ulid[:-1],
        "27 characters": "appr_" + ulid + "0",
        "the letter i": "appr_" + ulid[:-1] + "i",
        "the letter l": "appr_" + ulid[:-1] + "l",
        "the letter o": "appr_" + ulid[:-1] + "o",
        "the letter u": "appr_" + ulid[:-1] + "u",
        "past 128 bits": "appr_8" + ulid[1:],
        "a colon": "appr_" + ulid[:-1] + ":",
        "a new line": "appr_" + ulid + "\n",
        "a slash": "appr_../" + ulid[:-3],
        "the runbook's short example": "appr_abc123",
        "a million characters": repeated(("a", 1 << 15)),
    }.items():
        yield refused(f"id, {name}", "request-invalid", id=text)
    for text in ("appr_" + "0" * 26, "appr_7" + "z" * 25):
        yield made(f"id {text}", has(record=text_of(has(id=text))), id=text)


def contexts(refused, made):
    for name, text, canonical in [
        ("empty object", "{}", "{}"),
        ("keys in another order", '{"b":1,"a":2}', '{"a": 2, "b": 1}'),
        ("not ASCII", '{"name":"Jos\u00e9 \U0001f600"}', '{"name": "Jos\\u00e9 \\ud83d\\ude00"}'),
        ("one and one point zero", '{"a":1,"b":1.0}', '{"a": 1, "b": 1.0}'),
    ]:
        yield made(f"context, {name}", has(
            record=text_of(has(context_hash=context_digest(text), plan_hash=None)),
            context=canonical, plan=None), context=text)
        yield made(f"plan, {name}", has(
            record=text_of(has(plan_hash=context_digest(text))), context=CONTEXT_CANONICAL, plan=canonical), plan=text)
    for name, text in {
        "empty": "",
        "an array": "[]",
        "null": "null",
        "a duplicate key": '{"a":1,"a":1}',
        "not finite": '{"a":NaN}',
        "trailing text": "{} {}",
        "65 levels": '{"a":' * 64 + "[]" + "}" * 64,
        "a lone surrogate": '{"a":"\\ud800"}',
    }.items():
        if text:
            yield refused(f"context, {name}", "context-invalid", context=text)
        yield refused(f"plan, {name}", "context-invalid", plan=text)
    million = 1 << 20
    yield made("context of 1 MiB", has(), context=repeated(('{"a": "', 1), ("x", million - 9), ('"}', 1)))
    yield refused("context of 1 MiB and a byte", "context-invalid",
                  context=repeated(('{"a": "', 1), ("x", million - 8), ('"}', 1)))
    yield refused("context of a hundred thousand brackets", "context-invalid",
                  context=repeated(('{"a":', 1), ("[", 100_000)))


def identifiers_and_texts():
    """The limits of names and texts, for every field that has one."""
    places = {
        "audience": lambda text: step_open(audience=text),
        "agent": lambda text: step_open(agent=text),
        "action": lambda text: step_open(action=text),
        "requested_by": lambda text: step_open(requested_by=text),
        "policy": lambda text: step_open(policy=text),
        "rule": lambda text: step_open(rule=text),
        "failed rule": lambda text: step_open(failed=[text]),
        "approver": lambda text: ("lifecycle.decide", decide_args(approver=text)),
        "attempt's agent": lambda text: ("lifecycle.check", check_args(attempt={"agent": text})),
        "attempt's action": lambda text: ("lifecycle.check", check_args(attempt={"action": text})),
        "claim's agent": lambda text: ("lifecycle.claim", claim_args(agent=text)),
        "claim's action": lambda text: ("lifecycle.claim", claim_args(action=text)),
        "claimed_by": lambda text: ("lifecycle.claim", claim_args(claimed_by=text)),
        "settle's subject": lambda text: ("lifecycle.settle", settle_args(
            actor={"subject": text, "roles": ["admin"]})),
        "withdraw's subject": lambda text: ("lifecycle.withdraw", withdraw_args(
            actor={"subject": text, "roles": ["admin"]})),
        "extend's subject": lambda text: ("lifecycle.extend", extend_args(
            actor={"subject": text, "roles": ["admin"]})),
    }
    longest = "~" * 127 + "!"
    outcomes = {"attempt's agent": "agent-mismatch", "attempt's action": "action-mismatch",
                "claim's agent": "agent-mismatch", "claim's action": "action-mismatch"}
    for place, call in places.items():
        op, args = call(longest)
        answer = {"error": outcomes[place]} if place in outcomes else {"ok": has()}
        yield vector(f"name: {place} of 128 bytes", step(op, args, **answer))
        for name, text, code in [
            ("empty", "", "request-invalid"),
            ("of 129 bytes", "a" * 129, "limit-exceeded"),
            ("with a space", "a b", "request-invalid"),
            ("with a new line", "a\n", "request-invalid"),
            ("with NUL", "a\0b", "request-invalid"),
            ("with DEL", "a\x7f", "request-invalid"),
            ("with a letter that is not ASCII", "\u0430gent", "request-invalid"),
        ]:
            op, args = call(text)
            yield vector(f"name: {place} {name}", step(op, args, error=code))
    texts = {
        "reason": lambda text: step_open(reason=text),
        "policy's reason": lambda text: step_open(policy_reason=text),
        "comment": lambda text: ("lifecycle.decide", decide_args(comment=text)),
        "detail": lambda text: ("lifecycle.settle", settle_args(detail=text)),
    }
    for place, call in texts.items():
        for name, text, code in [
            ("empty", "", None),
            ("of 4096 bytes", "a" * 4096, None),
            ("of 4096 bytes, two a letter", "\u00e9" * 2048, None),
            ("with tab and line feed", "a\tb\nc", None),
            ("of 4097 bytes", "a" * 4097, "limit-exceeded"),
            ("of 4097 bytes, three a letter", "\u20ac" * 1365 + "ab", "limit-exceeded"),
            ("with NUL", "a\0", "request-invalid"),
            ("with an escape of a terminal", "\x1b[2J", "request-invalid"),
            ("with a carriage return", "fine\rnot", "request-invalid"),
            ("with DEL", "a\x7f", "request-invalid"),
            ("with a C1 control", "a\u009b2J", "request-invalid"),
        ]:
            op, args = call(text)
            yield vector(f"text: {place} {name}", step(op, args, **({"error": code} if code else {"ok": has()})))


def step_open(**changes):
    return "lifecycle.open", open_args(**changes)


def ballots():
    def refused(name, code, *args, **changes):
        return vector(f"decide: {name}", step("lifecycle.decide", decide_args(*args, **changes), error=code))

    yield vector("decide: without a comment", step("lifecycle.decide", decide_args(without=["comment"]), ok=has(
        record=text_of(has(ballots=[{**ballot_of("approved"), "comment": None}])))))
    yield vector("decide: by another person", step(
        "lifecycle.decide", decide_args(approver="other@company.com"),
        ok=has(record=text_of(has(status="approved")), entry=text_of(has(actor="other@company.com")))))
    yield vector("decide: in the last second", step("lifecycle.decide", decide_args(now=EXPIRES - 1), ok=has()))
    yield refused("in the second it expires", "expired", now=EXPIRES)
    yield refused("long after", "expired", now=LAST_SECOND)
    yield vector("decide: with a key that is verify-only", step(
        "lifecycle.decide", decide_args(keys=[hmac_key("2025q4", SECRET, status="verify-only")]), ok=has()))
    yield vector("decide: the second of two keys", step(
        "lifecycle.decide", decide_args(keys=[ref("other_key"), ref("key")]),
        ok=has(entry=text_of(has(key_id="2025q4")))))
    for name, text in {
        "empty": "", "63 characters": "0" * 63, "65 characters": "0" * 65, "upper case": signature().upper(),
        "not hex": "g" * 64, "with a new line": signature() + "\n", "of v2": "v2.k.AAAA", "4096 bytes": "0" * 4096,
    }.items():
        yield refused(f"signature {name}", "signature-malformed", signed=text)
    yield refused("signature of 4097 bytes", "limit-exceeded", signed="0" * 4097)
    for name, signed in {
        "another decision": signature("rejected"),
        "another approver": signature(approver="other@company.com"),
        "another expiry": signature(expires_at=EXPIRES + 1),
        "another approval": signature(approval_id=OTHER_ID),
        "another key": signature(secret=OTHER_SECRET),
        "nothing": "0" * 64,
    }.items():
        yield refused(f"a signature of {name}", "signature-invalid", signed=signed)
    yield refused("no key", "key-unknown", keys=[])
    yield refused("only a key of use log", "key-unknown", keys=[hmac_key("2025q4", SECRET, use="log")])
    yield refused("only a key bound to the approver", "key-unknown",
                  keys=[hmac_key("2025q4", SECRET, approver=APPROVER)])
    yield refused("a revoked key", "key-revoked", keys=[ref("revoked_key")])
    yield refused("two keys of one id", "request-invalid", keys=[ref("key"), ref("revoked_key")])
    yield refused("4097 keys", "limit-exceeded", keys=copies(ref("key"), 4097))
    yield refused("accepted profiles, none", "request-invalid", accept=[])
    yield refused("accepted profiles, an unknown one", "request-invalid", accept=["v1", "v9"])
    yield refused("an approval that asks for two", "signature-malformed",
                  edited(record("pending"), requirement__threshold=2))
    yield refused("an approval that asks for a group", "signature-malformed",
                  edited(record("pending"), requirement__groups={"sre": 1}))
    for decision in ("", "Approved", "approve", "pending", None, True, 1):
        yield refused(f"a decision of {decision!r}", "request-invalid", decision=decision)
    for field in ("decision", "approver", "signature"):
        yield refused(f"without {field}", "request-invalid", without=[field])


def who_may_decide():
    for name, approver, code in [
        ("the requester", REQUESTER, "self-approval"),
        ("the agent it asks for", "knowledge_update", "self-approval"),
        ("another agent", "agent:other", "approver-not-allowed"),
        ("an agent without a name", "agent:", "approver-not-allowed"),
        ("a name with a colon", "ldap:user", "statement-ambiguous"),
        ("an agent in upper case", "AGENT:other", "approver-not-allowed"),
        ("the requester in upper case", REQUESTER.upper(), "self-approval"),
        ("the agent it asks for, in upper case", "KNOWLEDGE_UPDATE", "self-approval"),
    ]:
        yield vector(f"decide: by {name}",
                     step("lifecycle.decide", decide_args(approver=approver), error=code),
                     step("lifecycle.decide", decide_args(approver=approver, decision="rejected"), error=code))
    yield vector(
        "decide: by a person who asked for it",
        step("lifecycle.open", open_args(requested_by=APPROVER), name="mine", ok=has()),
        step("lifecycle.decide", decide_args("mine"), error="self-approval"),
        step("lifecycle.decide", decide_args("mine", decision="rejected"), error="self-approval"),
        step("lifecycle.decide", decide_args("mine", approver="other@company.com"), ok=has()),
    )
    yield vector(
        "decide: by the agent that one asked for another",
        step("lifecycle.open", open_args(requested_by="agent:parent", agent="child"), name="theirs", ok=has()),
        step("lifecycle.decide", decide_args("theirs", approver="agent:parent"), error="self-approval"),
        step("lifecycle.decide", decide_args("theirs", approver="agent:child"), error="self-approval"),
        step("lifecycle.decide", decide_args("theirs", approver="child"), error="self-approval"),
        step("lifecycle.decide", decide_args("theirs", approver="parent"), error="self-approval"),
    )
    voted = edited(record("pending"), ballots=[ballot_of("approved")])
    yield vector("decide: by one who has voted",
                 step("lifecycle.decide", decide_args(voted), error="already-voted"),
                 step("lifecycle.decide", decide_args(voted, decision="rejected"), error="already-voted"))


def checks():
    right = {"signature": signature(), "agent": "knowledge_update", "action": "apply"}

    def accepted(name, *args, **changes):
        return vector(f"check: {name}", step(
            "lifecycle.check", check_args(*args, **changes), ok={"summary": summary("approved", EXPIRES)}))

    def refused(name, code, *args, **changes):
        return vector(f"check: {name}", step("lifecycle.check", check_args(*args, **changes), error=code))

    yield accepted("nothing to compare")
    yield accepted("everything to compare", attempt=right, context=ref("context"))
    yield accepted("everything to compare, with a plan", "approved_with_plan", attempt=right, context=ref("context"),
                   plan=ref("plan"))
    yield accepted("no plan is compared where none is given", "approved_with_plan", attempt=right)
    yield accepted("what may be null", attempt={"signature": None, "agent": None, "action": None})
    yield accepted("in the last second", now=EXPIRES - 1)
    yield refused("in the second it expires", "expired", now=EXPIRES)
    for field in right:
        yield accepted(f"only the {field}", attempt={field: right[field]})
    yield refused("another agent", "agent-mismatch", attempt={**right, "agent": "inbox_triage"})
    yield refused("the agent in upper case", "agent-mismatch", attempt={"agent": "Knowledge_update"})
    yield refused("another action", "action-mismatch", attempt={**right, "action": "delete"})
    yield refused("another context", "context-mismatch", attempt=right, context=OTHER_CONTEXT)
    yield refused("a context that is none", "context-invalid", attempt=right, context="[]")
    yield refused("a plan where none was approved", "plan-mismatch", attempt=right, plan=ref("plan"))
    yield refused("another plan", "plan-mismatch", "approved_with_plan", plan='{"steps":["write","read"]}')
    yield refused("a plan that is none", "context-invalid", "approved_with_plan", plan="{")
    yield refused("a signature that is no ballot's", "signature-invalid", attempt={"signature": "0" * 64})
    yield refused("the right signature of the other decision", "signature-invalid",
                  attempt={"signature": signature("rejected")})
    yield refused("a signature in upper case", "signature-malformed", attempt={"signature": signature().upper()})
    yield refused("an empty signature", "signature-malformed", attempt={"signature": ""})
    yield refused("a signature of 4097 bytes", "limit-exceeded", attempt={"signature": "0" * 4097})
    yield refused("accepted profiles, none", "request-invalid", accept=[])
    yield refused("no key", "key-unknown", keys=[])


def claims():
    def accepted(name, *args, **changes):
        return vector(f"claim: {name}", step("lifecycle.claim", claim_args(*args, **changes),
                                             ok=has(record=text_of(has(status="executed")))))

    def refused(name, code, *args, **changes):
        return vector(f"claim: {name}", step("lifecycle.claim", claim_args(*args, **changes), error=code))

    yield accepted("in the last second", now=EXPIRES - 1)
    yield refused("in the second it expires", "expired", now=EXPIRES)
    for name, text in {
        "keys in another order": '{"risk_score": 85, "changes_count": 1500, "file": "config/production.yaml"}',
        "no white space": '{"file":"config/production.yaml","changes_count":1500,"risk_score":85}',
        "indented": '{\n  "file": "config/production.yaml",\n  "changes_count": 1500,\n  "risk_score": 85\n}\n',
        "escaped": '{"\\u0066ile": "config\\/production.yaml", "changes_count": 1500, "risk_score": 85}',
    }.items():
        yield accepted(f"the context written differently, {name}", context=text)
    for name, text in {
        "another number": OTHER_CONTEXT,
        "a float for an integer": CONTEXT.replace("1500", "1500.0"),
        "a text for a number": CONTEXT.replace("1500", '"1500"'),
        "an exponent": CONTEXT.replace("1500", "15e2"),
        "one key more": CONTEXT.replace("{", '{"a": null, '),
        "one key less": '{"file": "config/production.yaml", "changes_count": 1500}',
        "a key in upper case": CONTEXT.replace("file", "File"),
        "nothing in it": "{}",
    }.items():
        yield refused(f"another context, {name}", "context-mismatch", context=text)
    yield refused("a context that is none", "context-invalid", context="null")
    yield accepted("the same plan", "approved_with_plan", plan=ref("plan"))
    yield accepted("the same plan written differently", "approved_with_plan", plan=' {"steps" : ["read", "write"]} ')
    yield refused("no plan where one was approved", "plan-mismatch", "approved_with_plan")
    yield refused("a plan where none was approved", "plan-mismatch", plan=ref("plan"))
    yield refused("an empty plan where none was approved", "plan-mismatch", plan="{}")
    yield refused("another plan", "plan-mismatch", "approved_with_plan", plan='{"steps": ["read"]}')
    yield refused("a plan that is none", "context-invalid", "approved_with_plan", plan="[]")
    yield refused("another agent", "agent-mismatch", agent="inbox_triage")
    yield refused("another action", "action-mismatch", action="delete")
    for lease in (1, 299, 86400):
        yield vector(f"claim: a lease of {lease}", step("lifecycle.claim", claim_args(lease_seconds=lease), ok=has(
            record=text_of(has(execution=has(lease_expires_at=rfc3339(CLAIMED + lease)))),
            summary=summary("executed", CLAIMED + lease))))
    yield vector("claim: a lease past the expiry of the approval", step(
        "lifecycle.claim", claim_args(now=EXPIRES - 1, lease_seconds=600),
        ok=has(summary=summary("executed", EXPIRES + 599))))
    yield vector("claim: a lease of null is 300", step(
        "lifecycle.claim", claim_args(lease_seconds=None), ok=has(summary=summary("executed", LEASE_ENDS))))
    for lease, code in [(0, "request-invalid"), (-1, "request-invalid"), (86401, "limit-exceeded"),
                        (1.5, "request-invalid"), ("300", "request-invalid")]:
        yield refused(f"a lease of {lease!r}", code, lease_seconds=lease)
    for text in ("", "exec_", EXECUTION[:-1], EXECUTION + "0", EXECUTION.upper(), ID, EXECUTION[:-1] + "u"):
        yield refused(f"an execution id of `{text}`", "request-invalid", execution_id=text)
    for field in CLAIM:
        yield refused(f"without {field}", "request-invalid", without=[field])


def outcomes():
    def refused(name, code, *args, **changes):
        return vector(f"settle: {name}", step("lifecycle.settle", settle_args(*args, **changes), error=code))

    for outcome in ("succeeded", "failed"):
        yield vector(f"settle: {outcome}", step("lifecycle.settle", settle_args(outcome=outcome), ok=has(
            record=text_of(has(status="executed", execution=has(outcome=outcome, detail=None, late=False))),
            summary=summary("executed", None))))
    yield vector("settle: by an admin", step("lifecycle.settle", settle_args(actor=ADMIN), ok=has(
        entry=text_of(has(actor="root", outcome="succeeded")))))
    yield vector("settle: by the one who claimed, without any role", step(
        "lifecycle.settle", settle_args(actor={"subject": EXECUTOR}), ok=has()))
    for name, actor in {"a stranger": STRANGER, "an approver": AN_APPROVER, "the requester": THE_REQUESTER}.items():
        yield refused(f"by {name}", "forbidden", actor=actor)
    yield vector("settle: in the last second of the lease", step(
        "lifecycle.settle", settle_args(now=LEASE_ENDS - 1), ok=has(entry=text_of(has(late=False)))))
    yield vector("settle: in the second the lease ends, not swept", step(
        "lifecycle.settle", settle_args(now=LEASE_ENDS), ok=has(
            record=text_of(has(execution=has(late=True))), entry=text_of(has(late=True)))))
    yield vector("settle: the same outcome again, also with another detail",
                 step("lifecycle.settle", settle_args("succeeded"), ok=nothing("executed")),
                 step("lifecycle.settle", settle_args("succeeded", detail="another"), ok=nothing("executed")),
                 step("lifecycle.settle", settle_args("succeeded", now=LEASE_ENDS + 1), ok=nothing("executed")))
    yield refused("another outcome", "already-settled", "succeeded", outcome="failed")
    yield refused("the same outcome again by a stranger", "forbidden", "succeeded", actor=STRANGER)
    yield refused("another execution", "execution-mismatch", execution_id=OTHER_EXECUTION)
    yield refused("another execution of a settled one", "execution-mismatch", "succeeded",
                  execution_id=OTHER_EXECUTION)
    for outcome in ("claimed", "unknown", "", "Succeeded", None, True):
        yield refused(f"an outcome of {outcome!r}", "request-invalid", outcome=outcome)
    for field in ("execution_id", "outcome", "actor"):
        yield refused(f"without {field}", "request-invalid", without=[field])
    yield refused("an execution id of another form", "request-invalid", execution_id="exec_1")


def time_alone():
    def due(name, approval, now, status, due_at=None):
        return vector(f"expire: {name}", step("lifecycle.expire", {"id": ID, "approval": record(approval), "now": now}, ok=has(
            summary=summary(status, due_at))))

    def idle(name, approval, now, status, due_at=None):
        return vector(f"expire: {name}", step(
            "lifecycle.expire", {"id": ID, "approval": record(approval), "now": now}, ok=nothing(status, due_at)))

    yield idle("pending, a second early", "pending", EXPIRES - 1, "pending", EXPIRES)
    yield due("pending, in time", "pending", EXPIRES, "expired")
    yield due("pending, long after", "pending", LAST_SECOND, "expired")
    yield idle("approved, a second early", "approved", EXPIRES - 1, "approved", EXPIRES)
    yield due("approved, in time", "approved", EXPIRES, "expired")
    yield idle("claimed, a second early", "executed", LEASE_ENDS - 1, "executed", LEASE_ENDS)
    yield due("claimed, in time", "executed", LEASE_ENDS, "executed")
    for approval, status in [("rejected", "rejected"), ("expired", "expired"), ("expired_approved", "expired"),
                             ("withdrawn", "withdrawn"), ("withdrawn_approved", "withdrawn"),
                             ("succeeded", "executed"), ("unknown", "executed")]:
        yield idle(f"{approval} is done", approval, LAST_SECOND, status)
    yield vector("expire: no approval", step("lifecycle.expire", {"id": ID, "now": 0}, error="not-found"))


def withdrawals():
    for name, actor, code in [
        ("the requester", THE_REQUESTER, None),
        ("the requester without any role", {"subject": REQUESTER}, None),
        ("an approver", AN_APPROVER, None),
        ("an admin", ADMIN, None),
        ("a stranger", STRANGER, "forbidden"),
        ("a stranger without any role", {"subject": "nobody", "roles": []}, "forbidden"),
        ("the executor", THE_EXECUTOR, "forbidden"),
    ]:
        answer = {"error": code} if code else {"ok": has(
            record=text_of(has(status="withdrawn", withdrawn_by=actor["subject"], withdrawn_at=rfc3339(DECIDED))))}
        yield vector(f"withdraw: by {name}", step("lifecycle.withdraw", withdraw_args(actor=actor), **answer))
    yield vector("withdraw: in the last second", step(
        "lifecycle.withdraw", withdraw_args("approved", now=EXPIRES - 1), ok=has()))
    yield vector("withdraw: in the second it expires", step(
        "lifecycle.withdraw", withdraw_args("approved", now=EXPIRES), error="expired"))


def extensions():
    def extended(name, expires_at, *args, **changes):
        return vector(f"extend: {name}", step("lifecycle.extend", extend_args(*args, **changes), ok=has(
            record=text_of(has(status="pending", expires_at=rfc3339(expires_at))),
            summary=summary("pending", expires_at, expires_at),
            entry=text_of(has(event="approval_extended", to="pending", expires_at=rfc3339(expires_at),
                              **{"from": "pending"})))))

    def refused(name, code, *args, **changes):
        return vector(f"extend: {name}", step("lifecycle.extend", extend_args(*args, **changes), error=code))

    yield extended("by an approver", DECIDED + 7200)
    yield extended("by an admin", DECIDED + 7200, actor=ADMIN)
    yield extended("by a second", EXPIRES + 1, seconds=EXPIRES - DECIDED + 1)
    yield extended("to the longest", REQUESTED + TTL_MAX, seconds=TTL_MAX, now=REQUESTED)
    yield extended("to the longest, later", REQUESTED + TTL_MAX, seconds=TTL_MAX - 900)
    yield extended("in the last second", EXPIRES - 1 + 60, seconds=60, now=EXPIRES - 1)
    yield refused("in the second it expires", "expired", now=EXPIRES)
    yield refused("to the same second", "request-invalid", seconds=EXPIRES - DECIDED)
    yield refused("to earlier", "request-invalid", seconds=60)
    yield refused("past the longest", "limit-exceeded", seconds=TTL_MAX - 899)
    for seconds, code in [(0, "request-invalid"), (-1, "request-invalid"), (TTL_MAX + 1, "limit-exceeded"),
                          (60.5, "request-invalid"), ("60", "request-invalid"), (None, "request-invalid")]:
        yield refused(f"by {seconds!r}", code, seconds=seconds)
    for name, actor in {
        "the requester": THE_REQUESTER,
        "the requester, an admin": {"subject": REQUESTER, "roles": ["admin", "approver"]},
        "a stranger": STRANGER,
        "one without any role": {"subject": APPROVER},
    }.items():
        yield refused(f"by {name}", "forbidden", actor=actor)
    yield refused("with a ballot stored", "already-voted", edited(record("pending"), ballots=[ballot_of("approved")]))


def erased(record, at=LEASE_ENDS, **changes):
    """Returns the record after its erasure."""
    changed = {**record, **changes}
    execution = changed["execution"] and {**changed["execution"], "detail": None}
    return {**changed, "reason": None, "execution": execution,
            "ballots": [{**ballot, "comment": None} for ballot in record["ballots"]],
            "erased": {"at": rfc3339(at), "request_digest": request_digest(record)}}


def erasures():
    approved = {**PENDING, "status": "approved", "ballots": [ballot_of("approved")], "decided_at": rfc3339(DECIDED)}
    claimed = {"id": EXECUTION, "claimed_by": EXECUTOR, "claimed_at": rfc3339(CLAIMED),
               "lease_expires_at": rfc3339(LEASE_ENDS), "outcome": "claimed", "detail": None, "settled_at": None,
               "late": False}
    settled = {**claimed, "outcome": "succeeded", "detail": "1500 changes", "settled_at": rfc3339(CLAIMED + 60)}
    executed = {**approved, "status": "executed", "executed_at": rfc3339(CLAIMED)}
    ended = {"execution_id": EXECUTION, "outcome": "succeeded"}
    unknown = {"execution_id": EXECUTION, "outcome": "unknown"}
    cases = [
        ("rejected", "rejected", "rejected",
         {**approved, "status": "rejected", "ballots": [ballot_of("rejected")]}, {}, {}, LEASE_ENDS),
        ("succeeded", "succeeded", "executed", {**executed, "execution": settled}, {}, ended, LEASE_ENDS),
        ("unknown", "unknown", "executed", {**executed, "execution": {**claimed, "outcome": "unknown"}}, {}, unknown,
         LEASE_ENDS),
        ("a lease that ran out, not swept", "executed", "executed", {**executed, "execution": claimed},
         {"execution": {**claimed, "outcome": "unknown"}}, unknown, LEASE_ENDS),
        ("expired", "expired", "expired", {**PENDING, "status": "expired"}, {}, {}, EXPIRES),
        ("expired, not swept", "pending", "pending", PENDING, {"status": "expired"}, {}, EXPIRES),
        ("approved and expired, not swept", "approved", "approved", approved, {"status": "expired"}, {}, EXPIRES),
        ("withdrawn", "withdrawn", "withdrawn",
         {**PENDING, "status": "withdrawn", "withdrawn_at": rfc3339(DECIDED), "withdrawn_by": APPROVER}, {}, {},
         LEASE_ENDS),
    ]
    for name, approval, before, value, changes, fields, now in cases:
        left = erased(value, now, **changes)
        yield vector(
            f"erase: {name}",
            step("lifecycle.erase", erase_args(approval, now=now), name="e", ok=transition(
                left, "approval_erased", now, due_at=None, actor="root", **{"from": before}, **fields,
                requirement=left["requirement"])),
            step("lifecycle.show", given("e", {"now": LAST_SECOND}), ok={
                "view": text_of(view_of(left)), "summary": summary(left["status"], None)}),
            step("lifecycle.expire", given("e", {"now": LAST_SECOND}), ok=nothing(left["status"])),
            step("lifecycle.erase", erase_args("e", now=LAST_SECOND), error="already-erased"),
        )
    said = {**PENDING, "status": "expired", "policy_reason": "mail of {context.to}", "failed": ["night"]}
    yield vector("erase: the policy's reason, which may have parts of the context", step(
        "lifecycle.erase", {"id": ID, "approval": text_of(said), "actor": text_of(ADMIN), "now": EXPIRES},
        ok=has(view=text_of(has(reason=None, policy_reason=None, failed=["night"],
                                request_digest=request_digest(said))))))
    yield from after_erasure()
    for name, approval, now in [("pending", "pending", EXPIRES - 1), ("approved", "approved", EXPIRES - 1),
                                ("a lease that runs", "executed", LEASE_ENDS - 1)]:
        yield vector(f"erase: {name}", step("lifecycle.erase", erase_args(approval, now=now), error="not-final"))
    for name, actor in {"the requester": THE_REQUESTER, "an approver": AN_APPROVER, "the executor": THE_EXECUTOR,
                        "every role but one": STRANGER, "no role": {"subject": "root", "roles": []}}.items():
        yield vector(f"erase: by {name}", step("lifecycle.erase", erase_args(actor=actor), error="forbidden"))
    yield vector("erase: no approval", step("lifecycle.erase", erase_args(None), error="not-found"))


def after_erasure():
    """An erased approval never changes and cannot be used."""
    yield vector(
        "erase: then nothing more",
        step("lifecycle.erase", erase_args("unknown"), name="e", ok=has()),
        step("lifecycle.settle", settle_args("e", now=LEASE_ENDS + 1), error="already-erased"),
        step("lifecycle.settle", settle_args("e", now=LEASE_ENDS + 1, detail="late"), error="already-erased"),
        step("lifecycle.settle", settle_args("e", actor=STRANGER), error="forbidden"),
        step("lifecycle.claim", claim_args("e"), error="already-executed"),
        step("lifecycle.check", check_args("e"), error="already-executed"),
        step("lifecycle.decide", decide_args("e"), error="already-decided"),
        step("lifecycle.withdraw", withdraw_args("e"), error="already-executed"),
        step("lifecycle.extend", extend_args("e"), error="already-executed"),
        step("signing.statement", given("e", {"decision": "approved", "approver": APPROVER, "key_id": "",
                                              "comment": COMMENT}),
             ok=has(statement=has(request_digest=request_digest(PENDING)))),
        # v1 signs no comment, so its ballots still verify.
        step("lifecycle.verify_ballot", given("e", {"signature": signature(), "keys": [ref("key")], "accept": V1}),
             ok={"ballot": text_of({**ballot_of("approved"), "comment": None})}),
    )
    yield vector(
        "erase: an outcome that is reported again",
        step("lifecycle.erase", erase_args("succeeded"), name="e", ok=has()),
        step("lifecycle.settle", settle_args("e", now=LEASE_ENDS + 1), ok=nothing("executed")),
        step("lifecycle.settle", settle_args("e", now=LEASE_ENDS + 1, outcome="failed"), error="already-erased"),
    )


def views():
    """`show` uses the runbook's terms and the effective status."""
    view = {
        "id": ID,
        "audience": "prod",
        "status": "pending",
        "requested_by": REQUESTER,
        "requested_at": rfc3339(REQUESTED),
        "expires_at": rfc3339(EXPIRES),
        "agent": "knowledge_update",
        "action": "apply",
        "context_hash": context_digest(CONTEXT),
        "plan_hash": None,
        "request_digest": request_digest(PENDING),
        "reason": REASON,
        "requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {}},
        "decision": None,
        "approver": None,
        "approved_at": None,
        "decided_at": None,
        "comment": None,
        "signature": None,
        "ballots": [],
        "executed_at": None,
        "execution": None,
        "withdrawn_at": None,
        "withdrawn_by": None,
        "erased_at": None,
        "policy": None,
        "rule": None,
        "policy_reason": None,
        "failed": [],
    }
    ballot = {"approver": APPROVER, "comment": COMMENT, "decided_at": rfc3339(DECIDED)}
    approved = {**view, **ballot, "status": "approved", "decision": "approved", "signature": signature(),
                "approved_at": rfc3339(DECIDED), "ballots": [ballot_of("approved")]}
    rejected = {**view, **ballot, "status": "rejected", "decision": "rejected", "signature": signature("rejected"),
                "ballots": [ballot_of("rejected")]}
    yield show("pending", REQUESTED, view, EXPIRES)
    yield show("approved", DECIDED, approved, EXPIRES)
    yield show("rejected", LAST_SECOND, rejected, None)
    yield show("pending", EXPIRES - 1, view, EXPIRES)
    yield show("pending", EXPIRES, {**view, "status": "expired"}, EXPIRES)
    yield show("approved", EXPIRES, {**approved, "status": "expired"}, EXPIRES)
    yield show("expired", EXPIRES, {**view, "status": "expired"}, None)
    yield show("withdrawn", DECIDED, {**view, "status": "withdrawn", "withdrawn_at": rfc3339(DECIDED),
                                      "withdrawn_by": APPROVER}, None)
    for approval, now, outcome, due_at in [
        ("executed", LEASE_ENDS - 1, "claimed", LEASE_ENDS),
        ("executed", LEASE_ENDS, "unknown", LEASE_ENDS),
        ("unknown", LEASE_ENDS, "unknown", None),
        ("succeeded", LEASE_ENDS, "succeeded", None),
    ]:
        yield vector(f"show: {approval} at {rfc3339(now)}", step(
            "lifecycle.show", {"id": ID, "approval": record(approval), "now": now}, ok={
                "view": text_of(has(status="executed", execution=has(outcome=outcome))),
                "summary": summary("executed", due_at)}))
    yield vector("show: no approval", step("lifecycle.show", {"id": ID, "now": 0}, error="not-found"))


def show(approval, now, view, due_at):
    return vector(f"show: {approval} at {rfc3339(now)}", step(
        "lifecycle.show", {"id": ID, "approval": record(approval), "now": now},
        ok={"view": text_of(view), "summary": summary(view["status"], due_at)}))


def statements():
    def args(**changes):
        return {"id": ID, "approval": record("pending"), "decision": "approved", "approver": APPROVER, "key_id": "",
                "comment": "", **changes}

    statement = {"audience": "prod", "key_id": "", "approval_id": ID, "request_digest": request_digest(PENDING),
                 "expires_at": EXPIRES,
                 "decision": "approved", "approver": APPROVER, "comment": ""}
    yield vector("statement: a decision", step("signing.statement", args(), ok={"statement": statement}))
    yield vector("statement: the other decision, with key and comment", step(
        "signing.statement", args(decision="rejected", key_id="k", comment="no"),
        ok={"statement": {**statement, "decision": "rejected", "key_id": "k", "comment": "no"}}))
    for name, changes, code in [
        ("no approval", {"approval": None}, "not-found"),
        ("another decision", {"decision": "maybe"}, "request-invalid"),
        ("no approver", {"approver": ""}, "request-invalid"),
        ("an approver with a space", {"approver": "a b"}, "request-invalid"),
        ("an approver of 129 bytes", {"approver": "a" * 129}, "limit-exceeded"),
    ]:
        yield vector(f"statement: {name}", step("signing.statement", args(**changes), error=code))


def recognitions():
    def args(approval="approved", signed=None, keys=None, accept=V1):
        signed = signature() if signed is None else signed
        return given(approval, {"signature": signed, "keys": the_keys(keys), "accept": accept})

    ballot = {"ballot": text_of(ballot_of("approved"))}
    for approval in ("approved", "executed", "succeeded", "expired_approved", "withdrawn_approved"):
        yield vector(f"verify_ballot: the ballot of {approval}", step("lifecycle.verify_ballot", args(approval), ok=ballot))
    yield vector("recognize: a rejection", step(
        "lifecycle.verify_ballot", args("rejected", signature("rejected")),
        ok={"ballot": text_of(ballot_of("rejected"))}))
    for name, changes, code in [
        ("no approval", {"approval": None}, "not-found"),
        ("no ballot", {"approval": "pending"}, "signature-invalid"),
        ("another signature", {"signed": signature("rejected")}, "signature-invalid"),
        ("a malformed signature", {"signed": signature().upper()}, "signature-malformed"),
        ("an empty signature", {"signed": ""}, "signature-malformed"),
        ("no key", {"keys": []}, "key-unknown"),
        ("only another key", {"keys": [ref("other_key")]}, "key-unknown"),
        ("a revoked key", {"keys": [ref("revoked_key")]}, "key-revoked"),
        ("another secret under the key's id", {"keys": [hmac_key("2025q4", OTHER_SECRET)]}, "signature-invalid"),
        ("accepted profiles, none", {"accept": []}, "request-invalid"),
        ("two keys of one id", {"keys": [ref("key"), ref("key")]}, "request-invalid"),
    ]:
        yield vector(f"verify_ballot: {name}", step("lifecycle.verify_ballot", args(**changes), error=code))


def tampered_records():
    """A manipulated store: a change of anything that a signature covers is found."""
    approved = record("approved")
    no_ballot = edited(record("pending"), status="approved", decided_at=rfc3339(DECIDED))
    other = {**ballot_of("approved"), "approver": "other@company.com"}
    stranger = generate_approval_signature(ID, "approved", "agent:knowledge_update", moment(EXPIRES), SECRET)
    for name, text, code in [
        ("approved without a ballot", no_ballot, "signature-invalid"),
        ("a rejection made an approval", edited(record("rejected"), status="approved"), "signature-invalid"),
        ("a rejection and its ballot made an approval",
         edited(record("rejected"), status="approved", ballots__0__decision="approved"), "signature-invalid"),
        ("an execution taken back", edited(record("executed"), status="approved"), "record-unreadable"),
        ("executed without an execution", edited(approved, status="executed"), "record-unreadable"),
        ("another approver", edited(approved, ballots__0__approver="other@company.com"), "signature-invalid"),
        ("a later expiry", edited(approved, expires_at=rfc3339(EXPIRES + 3600)), "signature-invalid"),
        ("another id", edited(approved, id=OTHER_ID), "record-unreadable"),
        ("a signature of zeros", edited(approved, ballots__0__signature="0" * 64), "signature-invalid"),
        ("a signature in upper case", edited(approved, ballots__0__signature=signature().upper()),
         "signature-malformed"),
        ("an empty signature", edited(approved, ballots__0__signature=""), "signature-malformed"),
        ("a ballot twice", edited(approved, ballots=[ballot_of("approved")] * 2), "signature-invalid"),
        ("a ballot more, unsigned", edited(approved, ballots=[ballot_of("approved"), other]), "signature-invalid"),
        ("a rejection beside the approval",
         edited(approved, ballots=[ballot_of("approved"), ballot_of("rejected")]), "signature-invalid"),
        ("the requester's own ballot", edited(
            approved, ballots=[{**ballot_of("approved"), "signature": signature(approver="bob"), "approver": "bob"}],
            requested_by="bob"), "signature-invalid"),
        ("an agent's ballot, whose name is ambiguous", edited(
            approved, ballots=[{**ballot_of("approved"), "signature": stranger, "approver": REQUESTER}]),
         "statement-ambiguous"),
        ("another key's id", edited(approved, ballots__0__key_id="2026q1"), "key-unknown"),
        ("a threshold of two", edited(approved, requirement__threshold=2), "signature-malformed"),
        ("a threshold of none", edited(approved, requirement__threshold=0), "signature-malformed"),
        ("a group asked", edited(approved, requirement__groups={"sre": 1}), "signature-malformed"),
    ]:
        yield vector(f"tampered: {name}",
                     step("lifecycle.check", check_args(text), error=code),
                     step("lifecycle.claim", claim_args(text), error=code))
    copied = {"id": OTHER_ID}
    yield vector("tampered: copied to another approval, its id rewritten",
                 step("lifecycle.check", {**check_args(edited(approved, **copied)), **copied}, error="signature-invalid"),
                 step("lifecycle.claim", {**claim_args(edited(approved, **copied)), **copied}, error="signature-invalid"))
    yield vector("tampered: an expired approval made longer", step(
        "lifecycle.claim", claim_args(edited(record("expired_approved"), status="approved",
                                             expires_at=rfc3339(EXPIRES + 3600)), now=EXPIRES), error="signature-invalid"))
    yield vector("tampered: another context approved", step(
        "lifecycle.claim", claim_args(edited(approved, context_hash=context_digest(OTHER_CONTEXT))),
        error="context-mismatch"))
    yield vector("tampered: another key than the ballot's has its secret", step(
        "lifecycle.check", check_args(keys=[hmac_key("2026q1", SECRET)]), error="key-unknown"))


def what_v1_leaves_uncovered():
    """Profile v1 signs id, decision, approver and expiry. Other changes in the store are not detected: therefore
    the host has an audit log, and v2 covers the whole request."""
    for name, changes, call in [
        ("the agent", {"agent": "inbox_triage"}, {"agent": "inbox_triage"}),
        ("the action", {"action": "delete"}, {"action": "delete"}),
        ("the context", {"context_hash": context_digest(OTHER_CONTEXT)}, {"context": OTHER_CONTEXT}),
        ("the reason", {"reason": "another"}, {}),
        ("the comment", {"ballots__0__comment": "another"}, {}),
        ("the audience", {"audience": "staging"}, {}),
    ]:
        yield vector(f"v1 does not cover {name}", step(
            "lifecycle.claim", claim_args(edited(record("approved"), **changes), **call), ok=has()))


def keys_that_change_later():
    """A ballot is verified again with the key that it names, in that key's current state."""
    for name, keys, code in [
        ("revoked", [ref("revoked_key")], "key-revoked"),
        ("revoked, with another key beside it", [ref("other_key"), ref("revoked_key")], "key-revoked"),
        ("gone", [], "key-unknown"),
        ("gone, with another key left", [ref("other_key")], "key-unknown"),
        ("bound to its approver", [hmac_key("2025q4", SECRET, approver=APPROVER)], "key-unknown"),
        ("of use log", [hmac_key("2025q4", SECRET, use="log")], "key-unknown"),
        ("of another secret", [hmac_key("2025q4", OTHER_SECRET)], "signature-invalid"),
        ("of another secret, and that one revoked", [hmac_key("2025q4", OTHER_SECRET, status="revoked")],
         "signature-invalid"),
    ]:
        yield vector(f"later: the ballot's key is {name}",
                     step("lifecycle.check", check_args(keys=keys), error=code),
                     step("lifecycle.claim", claim_args(keys=keys), error=code))
    retired = hmac_key("2025q4", SECRET, status="verify-only")
    yield vector("later: the ballot's key is verify-only",
                 step("lifecycle.check", check_args(keys=[ref("other_key"), retired]), ok=has()),
                 step("lifecycle.claim", claim_args(keys=[ref("other_key"), retired]), ok=has()))
    yield vector("later: profile v1 counts no longer, since no known profile is named", step(
        "lifecycle.claim", claim_args(accept=["v3"]), error="request-invalid"))


def unreadable_records():
    """Every operation on a record that the verifier did not write."""
    calls = {
        "decide": decide_args, "check": check_args, "claim": claim_args, "settle": settle_args,
        "withdraw": withdraw_args, "extend": extend_args, "erase": erase_args, "void": erase_args,
    }
    pending = record("pending")
    gone = {"at": rfc3339(EXPIRES), "request_digest": request_digest(PENDING)}
    texts = {
        "empty": "",
        "not JSON": "{",
        "null": "null",
        "an array": "[]",
        "nothing in it": "{}",
        "format 0": edited(pending, format=0),
        "format 2": edited(pending, format=2),
        "an unknown field": edited(pending, extra=None),
        "no format": edited(pending, remove=["format"]),
        "no status": edited(pending, remove=["status"]),
        "no ballots": edited(pending, remove=["ballots"]),
        "an unknown status": edited(pending, status="done"),
        "a status in upper case": edited(pending, status="Pending"),
        "a time of another form": edited(pending, expires_at="2025-10-17T11:30:00+00:00"),
        "a time with a fraction": edited(pending, expires_at="2025-10-17T11:30:00.5Z"),
        "a time that is none": edited(pending, expires_at="2025-02-30T00:00:00Z"),
        "a time before 1970": edited(pending, expires_at="1969-12-31T23:59:59Z"),
        "a leap second": edited(pending, expires_at="2016-12-31T23:59:60Z"),
        "a number for a time": edited(pending, expires_at=EXPIRES),
        "an unknown profile": edited(record("approved"), ballots__0__profile="v9"),
        "an unknown decision": edited(record("approved"), ballots__0__decision="maybe"),
        "an unknown field of a ballot": edited(record("approved"), ballots__0__weight=2),
        "an unknown outcome": edited(record("executed"), execution__outcome="done"),
        "a field twice": '{"format":1,"format":1}',
        "a requirement as an array": edited(pending, requirement=[3600, 1, {}]),
        "a ballot as an array": edited(record("approved"), ballots=[list(ballot_of("approved").values())]),
        "an execution as an array": edited(record("executed"), execution=[
            EXECUTION, EXECUTOR, rfc3339(CLAIMED), rfc3339(LEASE_ENDS), "claimed", None, None, False]),
        "an erasure as an array": edited(record("expired"), reason=None, erased=list(gone.values())),
        "of another approval": edited(pending, id=OTHER_ID),
        "erased and pending": edited(pending, reason=None, erased=gone),
        "erased and approved": edited(record("approved"), reason=None, ballots__0__comment=None, erased=gone),
        "erased and claimed": edited(record("executed"), reason=None, ballots__0__comment=None, erased=gone),
        "erased, with a reason": edited(record("expired"), erased=gone),
        "erased, with the policy's reason": edited(
            record("expired"), reason=None, policy_reason="a", erased=gone),
        "erased, with a comment": edited(record("rejected"), reason=None, erased=gone),
        "erased, with a detail": edited(record("succeeded"), reason=None, ballots__0__comment=None, erased=gone),
        "erased, with another digest": edited(record("expired"), reason=None, erased={**gone, "request_digest": "x"}),
        "erased, without a digest": edited(record("expired"), reason=None, erased={"at": gone["at"]}),
        "erased, with more in it": edited(record("expired"), reason=None, erased={**gone, "by": "root"}),
        "over 1 MiB": repeated((" ", 1 << 20), ("{}", 1)),
        "a hundred thousand brackets": repeated(("[", 100_000)),
    }
    for name, text in texts.items():
        if isinstance(text, str):  # `given` would take a str for the name of a step
            text = repeated((text, 1))
        steps = [step(f"lifecycle.{operation}", args_of(text), error="record-unreadable")
                 for operation, args_of in calls.items()]
        for operation in ("expire", "show"):
            steps.append(step(f"lifecycle.{operation}", {"id": ID, "approval": text, "now": 0}, error="record-unreadable"))
        steps.append(step("signing.statement", {"id": ID, "approval": text, "decision": "approved", "approver": APPROVER,
                                              "key_id": "", "comment": ""}, error="record-unreadable"))
        steps.append(step("lifecycle.verify_ballot", {"id": ID, "approval": text, "signature": signature(), "keys": [ref("key")],
                                                  "accept": V1}, error="record-unreadable"))
        yield vector(f"unreadable: {name}", *steps)


def event_forms():
    """Events are objects and read strictly: malformed events, which every operation refuses."""
    ballot = f'"decision":"approved","approver":"{APPROVER}","signature":"{signature()}"'
    claim = ",".join(f'"{name}":"{value}"' for name, value in CLAIM.items())
    actor = '"actor":{"subject":"root","roles":["admin"]}'
    request = f'"id":"{ID}","audience":"prod","agent":"a","action":"b","requested_by":"c"'
    report = f'"execution_id":"{EXECUTION}","outcome":"succeeded",{actor}'
    events = {
        "open": ("request", request, f'["{ID}","prod","a","b",null,"c",{{}},null,null]',
                 lambda text: open_args(request=text)),
        "decide": ("ballot", ballot, f'["approved","{APPROVER}",null,"{signature()}"]',
                   lambda text: {**decide_args(), "ballot": text}),
        "check": ("attempt", '"agent":"knowledge_update"', '[null,"knowledge_update","apply"]',
                  lambda text: {**check_args(), "attempt": text}),
        "claim": ("claim", claim, f'["knowledge_update","apply","{EXECUTOR}","{EXECUTION}",300]',
                  lambda text: {**claim_args(), "claim": text}),
        "settle": ("outcome", report, f'["{EXECUTION}","succeeded",null,{{"subject":"root","roles":["admin"]}}]',
                   lambda text: {**settle_args(), "outcome": text}),
        "withdraw": ("withdrawal", actor, '[{"subject":"root","roles":["admin"]}]',
                     lambda text: {**withdraw_args(), "withdrawal": text}),
        "extend": ("extension", f'"expires_in_seconds":7200,{actor}',
                   '[7200,{"subject":"root","roles":["admin"]}]', lambda text: {**extend_args(), "extension": text}),
        "erase": ("actor", '"subject":"root","roles":["admin"]', '["root",["admin"]]',
                  lambda text: {**erase_args(), "actor": text}),
    }
    for operation, (name, members, as_list, args_of) in events.items():
        op = f"lifecycle.{operation}"
        first = members.split(",")[0]
        yield vector(f"event: {name}, white space makes no difference",
                     step(op, args_of(" \n\t{ " + members + " }\r\n"), ok=has()))
        forms = {
            "empty": "",
            "not JSON": "{" + members,
            "null": "null",
            "an array": "[]",
            "an array of its fields": as_list,
            "a text": '"{}"',
            "trailing text": "{" + members + "} x",
            "twice": "{" + members + "}{" + members + "}",
            "a trailing comma": "{" + members + ",}",
            "a comment": "{" + members + "/* */}",
            "an unknown field": "{" + members + ',"extra":null}',
            "a field twice": "{" + members + "," + first + "}",
            "a field twice, once escaped": "{" + members + "," + escaped_key(first) + "}",
            "a field in upper case": "{" + members.replace(first, first.upper()) + "}",
            "a hundred brackets": "[" * 100 + "]" * 100,
            "a byte order mark": "\ufeff{" + members + "}",
        }
        for form, text in forms.items():
            yield vector(f"event: {name}, {form}", step(op, args_of(text), error="request-invalid"))
        yield vector(f"event: {name}, 50 thousand brackets",
                     step(op, args_of(repeated(("[", 50_000))), error="request-invalid"),
                     step(op, args_of(repeated(('{"actor":', 7_000))), error="request-invalid"))
        padding = (1 << 16) - len(members) - 2
        yield vector(f"event: {name} of 64 KiB",
                     step(op, args_of(repeated(("{" + members + "}", 1), (" ", padding))), ok=has()),
                     step(op, args_of(repeated(("{" + members + "}", 1), (" ", padding + 1))), error="limit-exceeded"))
    for form, text in {
        "an array": ["root", ["admin"]], "a text": "root", "null": None, "nothing in it": {},
        "no subject": {"roles": ["admin"]}, "an unknown role": {"subject": "root", "roles": ["root"]},
        "a role in upper case": {"subject": "root", "roles": ["Admin"]}, "a text for roles": {"subject": "root", "roles": "admin"},
        "roles of null": {"subject": "root", "roles": None}, "an unknown field": {"subject": "root", "admin": True},
        "a number for a subject": {"subject": 0, "roles": ["admin"]},
    }.items():
        changes = text_of({"actor": text})
        yield vector(f"event: an actor inside, {form}",
                     step("lifecycle.withdraw", given("pending", {"withdrawal": changes, "now": DECIDED}),
                          error="request-invalid"),
                     step("lifecycle.extend", given("pending", {"extension": text_of(
                         {"expires_in_seconds": 7200, "actor": text}), "now": DECIDED}), error="request-invalid"),
                     step("lifecycle.settle", given("executed", {"outcome": text_of(
                         {"execution_id": EXECUTION, "outcome": "succeeded", "actor": text}), "now": CLAIMED}),
                         error="request-invalid"))
    for role in ("requester", "approver", "executor", "auditor", "policy", "admin"):
        yield vector(f"event: actor with role {role} alone", step(
            "lifecycle.withdraw", withdraw_args(actor={"subject": REQUESTER, "roles": [role]}), ok=has()))


def escaped_key(member):
    """Returns the same member with the first letter of its key as an escape."""
    return f'"\\u{ord(member[1]):04x}' + member[2:]


def times():
    """`now` past the year 9999 is refused everywhere, and so is anything that would end there."""
    calls = {
        "open": lambda now: open_args(now=now), "decide": lambda now: decide_args(now=now),
        "check": lambda now: check_args(now=now), "claim": lambda now: claim_args(now=now),
        "settle": lambda now: settle_args(now=now), "withdraw": lambda now: withdraw_args(now=now),
        "extend": lambda now: extend_args(now=now), "erase": lambda now: erase_args(now=now),
        "expire": lambda now: {"id": ID, "approval": record("pending"), "now": now},
        "show": lambda now: {"id": ID, "approval": record("pending"), "now": now},
    }
    for operation, args_of in calls.items():
        yield vector(f"time: {operation} past the year 9999",
                     step(f"lifecycle.{operation}", args_of(LAST_SECOND + 1), error="request-invalid"),
                     step(f"lifecycle.{operation}", args_of(2**53), error="request-invalid"))
    yield vector("time: an approval that would expire past the year 9999",
                 step("lifecycle.open", open_args(now=LAST_SECOND), error="request-invalid"),
                 step("lifecycle.open", open_args(now=LAST_SECOND - 3599), error="request-invalid"),
                 step("lifecycle.open", open_args(now=LAST_SECOND - 3600), ok=has(
                     record=text_of(has(expires_at="9999-12-31T23:59:59Z")))))
    for seconds in (0, 1709164800):
        expires_at = seconds + 3600
        signed = signature(expires_at=expires_at)
        yield vector(f"time: from request to claim at {rfc3339(seconds)}",
                     step("lifecycle.open", open_args(now=seconds), name="a", ok=has(
                         record=text_of(has(requested_at=rfc3339(seconds), expires_at=rfc3339(expires_at))))),
                     step("lifecycle.decide", decide_args("a", now=seconds, signed=signed), name="b", ok=has()),
                     step("lifecycle.claim", claim_args("b", now=seconds), ok=has()))


def precedence():
    """Several rules refuse at once; each step fixes what the previous step was refused for, and leaves the other
    faults."""
    yield vector(
        "precedence of decide",
        step("lifecycle.decide", decide_args(None, decision="maybe", keys=[], signed="zz"), error="request-invalid"),
        step("lifecycle.decide", decide_args(None, approver=REQUESTER, keys=[], signed="zz", now=EXPIRES),
             error="not-found"),
        step("lifecycle.decide", decide_args("approved", approver=REQUESTER, keys=[], signed="zz", now=EXPIRES),
             error="expired"),
        step("lifecycle.decide", decide_args("approved", approver=REQUESTER, keys=[], signed="zz"),
             error="already-decided"),
        step("lifecycle.decide", decide_args(voted_by(REQUESTER), approver=REQUESTER, keys=[], signed="zz"),
             error="self-approval"),
        step("lifecycle.decide", decide_args(voted_by("agent:other"), approver="agent:other", keys=[], signed="zz"),
             error="approver-not-allowed"),
        step("lifecycle.decide", decide_args(voted_by("a:b"), approver="a:b", keys=[], signed="zz"),
             error="already-voted"),
        step("lifecycle.decide", decide_args(approver="a:b", keys=[], signed="zz"), error="statement-ambiguous"),
        step("lifecycle.decide", decide_args(keys=[], signed="zz"), error="signature-malformed"),
        step("lifecycle.decide", decide_args(keys=[], signed="0" * 64), error="key-unknown"),
        step("lifecycle.decide", decide_args(keys=[ref("revoked_key")]), error="key-revoked"),
        step("lifecycle.decide", decide_args(signed="0" * 64), error="signature-invalid"),
        step("lifecycle.decide", decide_args(), ok=has()),
    )
    bad_signature = edited(record("approved"), ballots__0__signature="zz")
    for operation, args_of, names in [
        ("check", lambda approval, changes={}, **more: check_args(approval, attempt=changes, **more),
         {"agent": "x", "action": "y"}),
        ("claim", lambda approval, changes={}, **more: claim_args(approval, **changes, **more),
         {"agent": "x", "action": "y"}),
    ]:
        op = f"lifecycle.{operation}"
        wrong = {"keys": [], "context": "[]", "plan": "[]"}
        yield vector(
            f"precedence of {operation}",
            step(op, args_of(None, {**names, "agent": ""}, **wrong, now=EXPIRES), error="request-invalid"),
            step(op, args_of(None, names, **wrong, now=EXPIRES), error="not-found"),
            step(op, args_of(bad_signature, names, **wrong, now=EXPIRES), error="expired"),
            step(op, args_of(edited(bad_signature, status="pending"), names, **wrong), error="not-approved"),
            step(op, args_of(edited(record("executed"), ballots__0__signature="zz"), names, **wrong),
                 error="already-executed"),
            step(op, args_of(bad_signature, names, **wrong), error="signature-malformed"),
            step(op, args_of("approved", names, **wrong), error="key-unknown"),
            step(op, args_of("approved", names, **{**wrong, "keys": [ref("revoked_key")]}), error="key-revoked"),
            step(op, args_of(edited(record("approved"), ballots__0__signature="0" * 64), names,
                             **{**wrong, "keys": [ref("key")]}), error="signature-invalid"),
            step(op, args_of("approved", names, context="[]", plan="[]"), error="agent-mismatch"),
            step(op, args_of("approved", {**names, "agent": "knowledge_update"}, context="[]", plan="[]"),
                 error="action-mismatch"),
            step(op, args_of("approved", context="[]", plan="[]"), error="context-invalid"),
            step(op, args_of("approved", context=OTHER_CONTEXT, plan="[]"), error="context-mismatch"),
            step(op, args_of("approved", context=ref("context"), plan="[]"), error="context-invalid"),
            step(op, args_of("approved", context=ref("context"), plan=ref("plan")), error="plan-mismatch"),
            step(op, args_of("approved", context=ref("context")), ok=has()),
        )
    yield vector(
        "precedence of settle",
        step("lifecycle.settle", settle_args(None, outcome="done", actor=STRANGER), error="request-invalid"),
        step("lifecycle.settle", settle_args(None, actor=STRANGER), error="not-found"),
        step("lifecycle.settle", settle_args("succeeded", outcome="failed", actor=STRANGER,
                                             execution_id=OTHER_EXECUTION), error="execution-mismatch"),
        step("lifecycle.settle", settle_args("succeeded", outcome="failed", actor=STRANGER), error="forbidden"),
        step("lifecycle.settle", settle_args("succeeded", outcome="failed"), error="already-settled"),
    )
    yield vector(
        "precedence of withdraw",
        step("lifecycle.withdraw", withdraw_args(None, {"subject": ""}), error="request-invalid"),
        step("lifecycle.withdraw", withdraw_args(None, STRANGER), error="not-found"),
        step("lifecycle.withdraw", withdraw_args("executed", STRANGER), error="forbidden"),
        step("lifecycle.withdraw", withdraw_args("executed"), error="already-executed"),
        step("lifecycle.withdraw", withdraw_args("pending", STRANGER, now=EXPIRES), error="forbidden"),
        step("lifecycle.withdraw", withdraw_args("pending", now=EXPIRES), error="expired"),
    )
    yield vector(
        "precedence of erase",
        step("lifecycle.erase", erase_args("rejected"), name="e", ok=has()),
        step("lifecycle.erase", erase_args(None, {"subject": ""}), error="request-invalid"),
        step("lifecycle.erase", erase_args(None, STRANGER), error="not-found"),
        step("lifecycle.erase", erase_args("e", STRANGER), error="forbidden"),
        step("lifecycle.erase", erase_args("pending", STRANGER), error="forbidden"),
        step("lifecycle.erase", erase_args("pending"), error="not-final"),
        step("lifecycle.erase", erase_args("e"), error="already-erased"),
    )
    voted = edited(record("pending"), ballots=[ballot_of("approved")])
    yield vector(
        "precedence of extend",
        step("lifecycle.extend", extend_args(None, 0, THE_REQUESTER), error="request-invalid"),
        step("lifecycle.extend", extend_args(None, 1, THE_REQUESTER), error="not-found"),
        step("lifecycle.extend", extend_args("approved", 1, THE_REQUESTER), error="forbidden"),
        step("lifecycle.extend", extend_args("approved", 1), error="already-decided"),
        step("lifecycle.extend", extend_args("approved", 1, now=EXPIRES), error="expired"),
        step("lifecycle.extend", extend_args(voted, 1), error="already-voted"),
        step("lifecycle.extend", extend_args(voted, TTL_MAX), error="already-voted"),
        step("lifecycle.extend", extend_args("pending", 1), error="request-invalid"),
        step("lifecycle.extend", extend_args("pending", TTL_MAX), error="limit-exceeded"),
    )
    yield vector(
        "precedence of verify_ballot",
        step("lifecycle.verify_ballot", {"id": ID, "signature": "zz", "keys": [], "accept": []}, error="request-invalid"),
        step("lifecycle.verify_ballot", {"id": ID, "signature": "zz", "keys": [], "accept": V1}, error="not-found"),
        step("lifecycle.verify_ballot", {"id": ID, "approval": record("approved"), "signature": "zz", "keys": [], "accept": V1},
             error="signature-malformed"),
        step("lifecycle.verify_ballot", {"id": ID, "approval": record("approved"), "signature": signature(), "keys": [],
                                     "accept": V1}, error="key-unknown"),
    )
    yield vector(
        "precedence of open",
        step("lifecycle.open", open_args(context="[]", plan="[]", agent=""), error="request-invalid"),
        step("lifecycle.open", open_args(context="[]", plan="[]", agent="a" * 129), error="limit-exceeded"),
        step("lifecycle.open", open_args(context="[]", plan="[]", requirement={"threshold": 2}),
             error="request-invalid"),
        step("lifecycle.open", open_args(context="[]", plan="[]"), error="context-invalid"),
        step("lifecycle.open", open_args(plan="[]"), error="context-invalid"),
    )


def voted_by(approver):
    return edited(record("pending"), ballots=[{**ballot_of("approved"), "approver": approver}])


if __name__ == "__main__":
    main(__file__, render(list(vectors()), DEFINE, list(setup())))
