#!/usr/bin/env python3
"""Writes `receipt.json`: receipts of complete approvals, what they prove, and all refusals.

The log, its tree, proofs and notes come from `receipt_log.py`; steps and reports are written by hand,
digests and signatures come from Python. `--check` compares instead of writing.
"""

import base64
import json

from generate_lifecycle import (
    CLAIMED,
    CONTEXT,
    DECIDED,
    EXECUTION,
    EXPIRES,
    ID,
    OTHER_CONTEXT,
    OTHER_EXECUTION,
    PENDING,
    PLAN,
    REQUESTED,
    REQUESTER,
    signature as v1_signature,
)
from generate_lifecycle_v2 import ALICE, BOB, CAROL, DAVE, signed, statement
from receipt_log import Log, LogKey, Story
from v2 import BOTH, V2, Signer, text_of as signature_text
from vector_file import (
    context_digest,
    copies,
    edited,
    has,
    hmac_key,
    main,
    ref,
    render,
    request_digest,
    rfc3339,
    step,
    text_hash,
    vector,
)

KEY = LogKey("signoff/prod", b"l" * 32)
STRANGER = LogKey("signoff/prod", b"m" * 32)
STAGING = LogKey("signoff/staging", b"n" * 32)
SETTLED = CLAIMED + 60
COMMENT = "canary is green"
SECRET = "a secret that is for examples only"
SHARED = Signer("shared", "hmac-sha256", SECRET.encode(), None)
EXECUTOR = "runner-7"
OTHER_ID = ID[:-1] + "5"

ASKED = {
    **PENDING,
    "requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {"sre": 1}},
    "plan_hash": context_digest(PLAN),
    "policy": "strict",
    "rule": "prod",
}
SINGLE = {**PENDING, "context_hash": context_digest(CONTEXT)}


def cast(approval, person, decision="approved", comment=None, at=DECIDED, **changes):
    """Returns a ballot as a receipt shows it: a comment that the receipt's reader cannot verify is left out."""
    is_public = person.algorithm == "ed25519"
    return {"decision": decision, "approver": person.approver, "comment": comment if is_public else None,
            "signature": signed(approval, person, decision, comment), "profile": "v2", "key_id": person.id,
            "cast_at": rfc3339(at), **changes}


def cast_v1(approver="erin@company.com", decision="approved", expires_at=EXPIRES, at=DECIDED):
    return {"decision": decision, "approver": approver, "comment": None,
            "signature": v1_signature(decision, approver, expires_at), "profile": "v1", "key_id": "shared",
            "cast_at": rfc3339(at)}


# ------------------------------------------------------------------------------------------- stories


def begun(approval, *people, context=CONTEXT, request=None, **changes):
    """Returns an approval that was requested, in a log with the keys of some people."""
    log = Log(REQUESTED - 100)
    log.add({"event": "store_created", "actor": "system"})
    story = Story(log, approval, (context, PLAN if approval["plan_hash"] else None))
    for person in people:
        story.record(person, **changes.get(person.id, {}))
    log.add({"event": "token_made", "actor": "root", "subject": REQUESTER}, "token", "tok_1")
    story.request(REQUESTED, **(request or {}))
    return story


def granted(alice=None, bob=None, keys=None, **changes):
    """Returns an approval by Alice and Bob; `alice` and `bob` are changes to their ballots."""
    story = begun(ASKED, ALICE, BOB, **(keys or {}))
    story.vote({**cast(ASKED, ALICE, comment=COMMENT, at=DECIDED - 60), **(alice or {})}, DECIDED - 60, "pending")
    story.log.add({"event": "request_refused", "actor": "mallory", "approval_id": ID, "code": "forbidden"})
    story.vote({**cast(ASKED, BOB), **(bob or {})}, DECIDED, changes.pop("to", "approved"), **changes)
    return story


def executed(claim=None, settle=None, **changes):
    story = granted(**changes)
    story.claim(EXECUTION, EXECUTOR, CLAIMED, **(claim or {}))
    story.settle("succeeded", EXECUTOR, SETTLED, **(settle or {}))
    story.log.add({"event": "token_made", "actor": "root", "subject": "erin"}, "token", "tok_2")
    return story


def single(person=CAROL, decision="approved", ballot=None, approval=SINGLE, **changes):
    """Returns an approval that one approver decides."""
    story = begun(approval, person, **changes.pop("keys", {}))
    story.vote({**cast(approval, person, decision), **(ballot or {})}, DECIDED, decision, **changes)
    return story


def by_v1(approval=SINGLE, approver="erin@company.com", to="approved", decision="approved"):
    story = begun(approval, SHARED)
    story.vote(cast_v1(approver, decision), DECIDED, to)
    return story


def extended():
    later = EXPIRES + 600
    story = begun(SINGLE, CAROL)
    story.extend("erin", later, REQUESTED + 30)
    approval = {**SINGLE, "expires_at": rfc3339(later)}
    sent = statement(approval, CAROL, comment=None, expires_at=later)
    story.vote({**cast(SINGLE, CAROL, at=EXPIRES + 10), "signature": CAROL.sign(sent)}, EXPIRES + 10, "approved")
    return story


def withdrawn(status="pending"):
    story = begun(SINGLE) if status == "pending" else single()
    story.withdraw("erin", DECIDED + 5)
    return story


def ended(event="approval_expired", at=EXPIRES, actor=None):
    story = begun(SINGLE)
    story.step(event, at, "expired", actor=actor)
    return story


def late():
    story = single()
    story.claim(EXECUTION, EXECUTOR, CLAIMED)
    story.forget(CLAIMED + 300)
    story.settle("failed", EXECUTOR, CLAIMED + 400, late=True)
    return story


def revoked_later():
    """A key that is revoked after the claim does not invalidate its ballot."""
    story = executed()
    story.log.key(ALICE, status="revoked", at=SETTLED + 5)
    return story


STORY = executed()
MORE = executed()
for person in (CAROL, DAVE, CAROL):
    MORE.log.key(person)
SMALL = begun(SINGLE)
SIZE = len(STORY.log.texts)

DEFINE = {
    "log_key": KEY.text,
    "story": STORY.receipt(KEY),
    "single": single().receipt(KEY),
    "small": SMALL.receipt(KEY),
    "alice": ALICE.entry(),
    "bob": BOB.entry(),
    "carol": CAROL.entry(),
}


# ------------------------------------------------------------------------------------------- reports


def execution(outcome="succeeded", settled_at=SETTLED, **changes):
    return {"id": EXECUTION, "claimed_by": EXECUTOR, "claimed_at": rfc3339(CLAIMED), "outcome": outcome,
            "settled_at": settled_at and rfc3339(settled_at), **changes}


def reported(ballot, person, proof):
    names = ("approver", "decision", "comment")
    return {**{name: ballot[name] for name in names}, "at": ballot["cast_at"], "profile": ballot["profile"],
            "key_id": ballot["key_id"], "algorithm": person.algorithm, "groups": person.groups, "proof": proof}


def report(story, people=(), proofs=(), met=True, **changes):
    """Returns the report of a receipt; `people` cast the ballots."""
    approval = story.approval
    names = ("audience", "status", "agent", "action", "reason", "requested_by", "requested_at", "expires_at",
             "context_hash", "plan_hash")
    ballots = [reported(*item) for item in zip(approval["ballots"], people, proofs)]
    assert len(ballots) == len(approval["ballots"])
    run = approval["execution"]
    changes = {"erased_at": approval["erased_at"], **changes}
    return {**{name: approval[name] for name in names}, "approval_id": approval["id"],
            "request_digest": story.digest, "threshold": approval["requirement"]["threshold"],
            "groups": approval["requirement"]["groups"], "requirement_met": met, "ballots": ballots,
            "execution": run and {name: run[name] for name in run if name != "late"},
            "entries": len(story.numbers + story.keys), "checkpoint_size": len(story.log.texts),
            "signer": KEY.text, **changes}


def verify(receipt, ok=None, error=None, **args):
    args = {"receipt": receipt, "log_keys": [ref("log_key")], "accept": BOTH, **args}
    return step("receipt.verify", args, ok=ok, error=error)


def refused(name, receipt, code="receipt-invalid", **args):
    return vector(name, verify(receipt, error=code, **args))


def refused_story(name, story, numbers=None, code="receipt-invalid", **args):
    """A correctly signed log of something that cannot have happened is refused."""
    return refused(name, story.receipt(KEY, numbers), code, **args)


# ------------------------------------------------------------------------------------------- vectors


def proven():
    story, proofs = report(STORY, (ALICE, BOB), ("logged", "attested")), ("pinned", "attested")
    pinned = report(STORY, (ALICE, BOB), proofs)
    yield vector("a whole story is proven ballot by ballot", verify(ref("story"), story))
    yield vector("without a log key a receipt is consistent, and nobody vouches for it",
                 verify(ref("story"), {**story, "signer": None}, log_keys=[]))
    yield vector("a ballot by a key that the caller pins is pinned, but for one whose key is a secret",
                 verify(ref("story"), pinned, keys=[ref("alice"), ref("bob")]))
    yield vector("a key that the caller does not pin is the log's", verify(ref("story"), story, keys=[ref("bob")]))
    yield vector("a receipt of the approval and audience that are expected",
                 verify(ref("story"), story, id=ID, audience="prod"))
    yield vector("the trusted key among several signs", verify(
        ref("story"), story, log_keys=[STAGING.text, STRANGER.text, ref("log_key")]))
    yield vector("white space between members means nothing",
                 verify(json.dumps(json.loads(STORY.receipt(KEY)), indent=1), story))
    yield from every_state()
    yield from unread_members()
    yield from with_checkpoint(story)


def every_state():
    yield vector("a pending approval", verify(ref("small"), report(SMALL, met=False)))
    for name, story, people, proofs, met in [
        ("an approved one", single(), [CAROL], ["logged"], True),
        ("a rejected one", single(decision="rejected"), [CAROL], ["logged"], False),
        ("one approved under v1", by_v1(), [SHARED], ["attested"], True),
        ("one extended and approved later", extended(), [CAROL], ["logged"], True),
        ("one withdrawn while pending", withdrawn(), [], [], False),
        ("one withdrawn while approved", withdrawn("approved"), [CAROL], ["logged"], True),
        ("an expired one", ended(), [], [], False),
        ("one voided by an admin", ended("approval_voided", DECIDED, "root"), [], [], False),
        ("one whose lease ran out, settled late", late(), [CAROL], ["logged"], True),
        ("one whose key was revoked after its use", revoked_later(), [ALICE, BOB], ["logged", "attested"], True),
    ]:
        yield vector(name, verify(story.receipt(KEY), report(story, people, proofs, met)))
    alone = Story(Log(REQUESTED), SINGLE, (CONTEXT, None))
    alone.request(REQUESTED)
    yield vector("a log of one entry", verify(alone.receipt(KEY), report(alone, met=False)))


def erased(**changes):
    """Returns an erased approval: Alice's ballot had a comment, Carol's had none."""
    story = begun(ASKED, ALICE, CAROL)
    story.vote(cast(ASKED, ALICE, comment=COMMENT), DECIDED, "pending")
    story.vote(cast(ASKED, CAROL, at=DECIDED + 1), DECIDED + 1, "approved")
    story.claim(EXECUTION, EXECUTOR, CLAIMED)
    story.settle("succeeded", EXECUTOR, SETTLED)
    story.erase("root", SETTLED + 60, **changes)
    return story


def erasures():
    story = erased()
    yield vector("erased: a ballot that had a comment is attested, one that had none is verified", verify(
        story.receipt(KEY), report(story, [ALICE, CAROL], ["attested", "logged"])))
    yield vector("erased: a pinned key verifies what it can", verify(
        story.receipt(KEY), report(story, [ALICE, CAROL], ["attested", "pinned"]), keys=[ref("alice"), ref("carol")]))
    ended = begun(SINGLE)
    ended.erase("root", EXPIRES, "expired")
    yield vector("erased: one that had expired", verify(ended.receipt(KEY), report(ended, met=False)))
    ran = single()
    ran.claim(EXECUTION, EXECUTOR, CLAIMED)
    ran.approval["execution"]["outcome"] = "unknown"
    ran.erase("root", CLAIMED + 300)
    yield vector("erased: one whose lease had run out", verify(ran.receipt(KEY), report(ran, [CAROL], ["logged"])))
    text = story.receipt(KEY)
    for name, changes in [
        ("that shows a context", {"context": json.loads(CONTEXT)}),
        ("that shows a plan", {"plan": json.loads(PLAN)}),
        ("that shows a reason", {"reason": ASKED["reason"]}),
        ("that shows a comment", {"ballots__0__comment": COMMENT}),
        ("with another threshold", {"requirement__threshold": 1}),
        ("with other groups", {"requirement__groups": {}}),
        ("with another policy", {"policy": "lax"}),
        ("with another rule", {"rule": None}),
        ("with another request digest", {"request_digest": "00" * 32}),
        ("at another time", {"erased_at": rfc3339(SETTLED)}),
        ("that is not said to be", {"erased_at": None}),
        ("with another signature", {"ballots__0__signature": signature_text("alice", bytes(64))}),
    ]:
        paths = {f"approval__{path}": value for path, value in changes.items()}
        yield refused(f"erased: one {name}", edited(text, **paths))
    yield refused("erased: one that nobody erased", edited(ref("single"), **{
        "approval__erased_at": rfc3339(SETTLED), "approval__context": None, "approval__reason": None}))
    again = erased()
    again.erase("root", SETTLED + 90)
    pending, claimed = begun(SINGLE), single()
    pending.erase("root", DECIDED)
    claimed.claim(EXECUTION, EXECUTOR, CLAIMED)
    claimed.erase("root", CLAIMED + 300)
    for name, wrong in [
        ("twice", again),
        ("while pending", pending),
        ("while the lease runs", claimed),
        ("by nobody", erased(changes={"actor": None})),
        ("with another requirement in the log", erased(changes={"requirement": SINGLE["requirement"]})),
        ("without the requirement in the log", erased(changes={"requirement": None})),
        ("with another outcome", erased(changes={"outcome": "failed"})),
        ("of another execution", erased(changes={"execution_id": OTHER_EXECUTION})),
    ]:
        yield refused_story(f"erased: {name}", wrong)


def unread_members():
    """The tree covers every byte of an entry, including members that a receipt does not read."""
    story = begun(SINGLE, request={
        "changes": {"note": {"a": [1, None]}},
        "entry": {"host": {"verifier": "ab" * 32, "guardrail": {"decision": "require_approval"}}, "trace": "x"}})
    yield vector("an entry may have members that a receipt does not use",
                 verify(story.receipt(KEY), report(story, met=False)))
    rows = [{"kind": "answer", "id": ID, "sha256": None, "prev": 7, "more": True},
            {"kind": "approval", "id": OTHER_ID, "sha256": "00" * 32, "prev": 3},
            {"kind": "approval", "id": ID, "sha256": "00" * 32, "prev": 0}]
    story = begun(SINGLE, request={"entry": {"state": rows}})
    yield vector("an entry may change other rows too", verify(story.receipt(KEY), report(story, met=False)))


def with_checkpoint(story):
    size = SIZE
    whole, older = STORY.log.checkpoint(KEY), STORY.log.checkpoint(KEY, 5)
    newer, between = MORE.log.checkpoint(KEY), MORE.log.consistency(size, size + 3)
    yield vector("the caller's checkpoint is the receipt's", verify(ref("story"), story, checkpoint=whole))
    yield vector("the caller's checkpoint is older", verify(
        ref("story"), story, checkpoint=older, consistency=STORY.log.consistency(5, size)))
    yield vector("the caller's checkpoint is newer",
                 verify(ref("story"), story, checkpoint=newer, consistency=between))
    yield vector("a checkpoint needs no log key where the caller has none", verify(
        ref("story"), {**story, "signer": None}, log_keys=[], checkpoint=STRANGER.note(whole.split("\n\n")[0] + "\n")))
    for name, args in [
        ("a newer checkpoint without a proof", {"checkpoint": newer}),
        ("a proof with a hash left out", {"checkpoint": newer, "consistency": between[1:]}),
        ("a proof with a hash too many", {"checkpoint": newer, "consistency": between + between[:1]}),
        ("a proof where both are the same", {"checkpoint": whole, "consistency": between}),
        ("a proof with another hash", {"checkpoint": newer, "consistency": ["00" * 32] + between[1:]}),
        ("a checkpoint of the same size and another root",
         {"checkpoint": KEY.note(f"signoff/prod\n{size}\n{base64.b64encode(bytes(32)).decode()}\n")}),
        ("a checkpoint of another history", {"checkpoint": late().log.checkpoint(KEY)}),
        ("a checkpoint that no trusted key signed", {"checkpoint": STORY.log.checkpoint(STRANGER)}),
        ("a checkpoint of another log", {"checkpoint": STAGING.note(f"signoff/staging\n{size}\n" + whole.split("\n")[2] + "\n"),
                                         "log_keys": [ref("log_key"), STAGING.text]}),
    ]:
        yield refused(f"refused: {name}", ref("story"), "receipt-untrusted", **args)


def arguments():
    for name, args in [
        ("no profile is accepted", {"accept": []}),
        ("an unknown profile", {"accept": ["v3"]}),
        ("a log key that is none", {"log_keys": ["signoff/prod"]}),
        ("a log key with another's hash", {"log_keys": [KEY.text.replace(KEY.id.hex(), "00000000")]}),
        ("a malformed id", {"id": "appr_1"}),
        ("an empty audience", {"audience": ""}),
        ("a key out of its form", {"keys": [ALICE.entry(material="a")]}),
        ("two keys of one id", {"keys": [ref("alice"), ref("alice")]}),
        ("a consistency proof without a checkpoint", {"consistency": ["00" * 32]}),
        ("a checkpoint that is none", {"checkpoint": "signoff/prod\n"}),
        ("a consistency proof in upper case", {"checkpoint": STORY.log.checkpoint(KEY), "consistency": ["AA" * 32]}),
        ("a consistency proof longer than any", {"checkpoint": STORY.log.checkpoint(KEY), "consistency": copies("00" * 32, 63)}),
        ("an argument that nobody knows", {"trust": []}),
        ("a receipt that is no text", {"receipt": {}}),
    ]:
        yield refused(f"arguments: {name}", **{"receipt": ref("story"), "code": "request-invalid", **args})
    yield refused("arguments: more log keys than any", ref("story"), "limit-exceeded", log_keys=copies(KEY.text, 65))
    yield refused("arguments: a log key longer than any", ref("story"), "limit-exceeded", log_keys=["a" * 1025])
    yield refused("arguments: a receipt of another approval", ref("story"), "not-found", id=OTHER_ID)
    yield refused("arguments: a receipt of another audience", ref("story"), "audience-mismatch", audience="staging")


def forms():
    text = STORY.receipt(KEY)
    for name, receipt in [
        ("nothing", ""),
        ("a line feed at the end", text + "\n"),
        ("a space at the end", text + " "),
        ("a space before it", " " + text),
        ("something after it", text + "}"),
        ("a list", f"[{text}]"),
        ("no JSON", "{"),
        ("a member twice", text.replace('{"format":2', '{"format":2,"format":2', 1)),
        ("a member of the approval twice", text.replace('"status":', '"status":"executed","status":', 1)),
        ("a group twice", text.replace('"sre":1', '"sre":1,"sre":1', 1)),
        ("a member of a line twice", text.replace('"number":', '"number":1,"number":', 1)),
    ]:
        yield refused(f"form: {name}", receipt)
    for name, changes in [
        ("the format of before", {"format": 1}),
        ("another kind", {"kind": "signoff-audit"}),
        ("a member that nobody vouches for", {"more": 1}),
        ("a member of the approval that nobody vouches for", {"approval__decided_at": None}),
        ("entries that are none", {"entries": [[1, "", []]]}),
        ("a proof longer than any", {"entries__0__proof": copies("00" * 32, 63)}),
        ("a proof in upper case", {"entries__0__proof__0": "AA" * 32}),
        ("a proof of short hashes", {"entries__0__proof__0": "aa" * 31}),
    ]:
        yield refused(f"form: {name}", edited(ref("story"), **changes))
    for member in ("audience", "approval", "entries", "checkpoint", "approval.plan", "approval.withdrawn_at",
                   "approval.execution.settled_at"):
        yield refused(f"form: without {member}", edited(ref("story"), remove=[member]))
    many = copies({"number": 1, "entry": "", "proof": []}, 4097)
    yield refused("form: more entries than any", edited(ref("story"), entries=many), "limit-exceeded")


def trust():
    text = STORY.log.checkpoint(KEY).split("\n\n")[0] + "\n"
    signature = STRANGER.line(text).split(" ")[-1].strip()
    posing = KEY.id + base64.b64decode(signature)[4:]
    posing = f"{text}\n\u2014 signoff/prod {base64.b64encode(posing).decode()}\n"
    for name, code, checkpoint, args in [
        ("a checkpoint that a stranger signed", "receipt-untrusted", STRANGER.note(text), {}),
        ("a stranger's signature under the trusted key's name", "receipt-untrusted", posing, {}),
        ("a checkpoint of another log", "receipt-invalid", STAGING.note(text.replace("prod", "staging")),
         {"log_keys": [STAGING.text]}),
        ("a checkpoint that is none", "receipt-invalid", text, {}),
        ("a checkpoint of another size", "receipt-invalid", KEY.note(text.replace(f"\n{SIZE}\n", f"\n{2 * SIZE}\n")), {}),
        ("a checkpoint of another root", "receipt-invalid",
         KEY.note(f"signoff/prod\n{SIZE}\n{base64.b64encode(bytes(32)).decode()}\n"), {}),
    ]:
        yield refused(f"trust: {name}", edited(ref("story"), checkpoint=checkpoint), code, **args)
    yield refused("trust: only another log's key is trusted", ref("story"), "receipt-untrusted", log_keys=[STAGING.text])


def places():
    lines = json.loads(STORY.receipt(KEY))["entries"]
    swapped = [lines[1], lines[0], *lines[2:]]
    for name, entries in [
        ("an entry that was changed", [{**lines[0], "entry": lines[0]["entry"].replace("alice", "alicf")}, *lines[1:]]),
        ("an entry under another number", [{**lines[0], "number": 3}, *lines[1:]]),
        ("an entry under the number of none", [{**lines[0], "number": 0}, *lines[1:]]),
        ("an entry past the end", [*lines[:-1], {**lines[-1], "number": 99}]),
        ("entries out of order", swapped),
        ("an entry twice", [lines[0], *lines]),
        ("a proof that lacks a hash", [{**lines[0], "proof": lines[0]["proof"][1:]}, *lines[1:]]),
        ("a proof with a hash more", [{**lines[0], "proof": lines[0]["proof"] + ["00" * 32]}, *lines[1:]]),
    ]:
        yield refused(f"tree: {name}", edited(ref("story"), entries=entries))
    yield refused("tree: no entries", edited(ref("story"), entries=[]))


def chain():
    steps = STORY.numbers
    for at, number in enumerate(steps):
        numbers = [other for other in STORY.keys + steps if other != number]
        yield refused_story(f"chain: without step {at + 1}", STORY, sorted(numbers))
    for number, person in zip(STORY.keys, "ab"):
        numbers = [other for other in STORY.keys + steps if other != number]
        yield refused_story(f"chain: without the key of `{person}`", STORY, sorted(numbers))
    yield refused_story("chain: an entry about something else", STORY, sorted(STORY.keys + steps + [4]))
    unneeded = MORE.log.rows["key", "carol"]
    yield refused_story("chain: a key that no ballot needs", MORE, sorted(MORE.keys + MORE.numbers + [unneeded]))

    def row(**changes):
        return {"entry": {"state": [{"kind": "approval", "id": ID, "sha256": "00" * 32, "prev": 0, **changes}]}}

    for name, request in [
        ("a first step that is not the first change", row(prev=1)),
        ("a step that changes another approval", row(id=OTHER_ID)),
        ("a step that changes another kind of row", row(kind="token")),
        ("a step that removes the approval", row(sha256=None)),
        ("a step that changes nothing", {"entry": {"state": []}}),
        ("a step that changes the approval twice", {"entry": {"state": row()["entry"]["state"] * 2}}),
        ("an entry of format 1", {"entry": {"format": 1}}),
        ("an entry whose state is no list", {"entry": {"state": None}}),
        ("an entry whose host is no object", {"entry": {"host": None}}),
        ("an entry that is earlier than the one before it", {"entry": {"at": rfc3339(REQUESTED - 200)}}),
        ("an event that is no object", {"entry": {"event": "approval_requested"}}),
    ]:
        yield refused_story(f"chain: {name}", begun(SINGLE, CAROL, request=request)
                            if "earlier" not in name else earlier(request))
    again = single()
    again.log.rows["approval", ID] = again.numbers[0]
    again.claim(EXECUTION, EXECUTOR, CLAIMED)
    yield refused_story("chain: a step that continues from one before the last", again)
    gap = begun(SINGLE)
    gap.record(CAROL)
    gap.log.key(CAROL, groups=["sre"])
    gap.vote(cast(SINGLE, CAROL), DECIDED - 1, "approved")
    gap.record(CAROL, groups=["legal"])
    gap.claim(EXECUTION, EXECUTOR, CLAIMED)
    yield refused_story("chain: a key with a change left out", gap)


def earlier(request):
    """The entry of the key precedes the request, but has a later time."""
    return begun(SINGLE, CAROL, carol={"at": REQUESTED - 50}, request=request)


def shown():
    for name, changes in [
        ("another id", {"id": OTHER_ID}),
        ("another audience", {"audience": "staging"}),
        ("another agent", {"agent": "somebody"}),
        ("another action", {"action": "delete"}),
        ("another context", {"context": json.loads(OTHER_CONTEXT)}),
        ("another context and its digest", {"context": json.loads(OTHER_CONTEXT),
                                            "context_hash": context_digest(OTHER_CONTEXT)}),
        ("no context", {"context": None}),
        ("another plan", {"plan": {"steps": []}}),
        ("no plan", {"plan": None}),
        ("no digest of the plan", {"plan": None, "plan_hash": None}),
        ("another reason", {"reason": "none"}),
        ("another requester", {"requested_by": "agent:somebody"}),
        ("another time", {"requested_at": rfc3339(REQUESTED + 1)}),
        ("another expiry", {"expires_at": rfc3339(EXPIRES + 1)}),
        ("a lower threshold", {"requirement__threshold": 1}),
        ("no groups", {"requirement__groups": {}}),
        ("a longer life", {"requirement__ttl_seconds": 7200}),
        ("another policy", {"policy": None}),
        ("another rule", {"rule": None}),
        ("another request digest", {"request_digest": "00" * 32}),
        ("another status", {"status": "approved"}),
        ("fewer ballots", {"ballots": []}),
        ("another decision", {"ballots__0__decision": "rejected"}),
        ("another approver", {"ballots__0__approver": "carol@company.com"}),
        ("another comment", {"ballots__0__comment": "looks bad"}),
        ("no comment", {"ballots__0__comment": None}),
        ("an empty comment", {"ballots__0__comment": ""}),
        ("another time of a ballot", {"ballots__0__cast_at": rfc3339(DECIDED)}),
        ("another profile", {"ballots__0__profile": "v1"}),
        ("another key", {"ballots__0__key_id": "bob"}),
        ("no execution", {"execution": None}),
        ("another execution", {"execution__id": OTHER_EXECUTION}),
        ("another executor", {"execution__claimed_by": "somebody"}),
        ("another time of the claim", {"execution__claimed_at": rfc3339(CLAIMED + 1)}),
        ("another outcome", {"execution__outcome": "failed"}),
        ("another time of the outcome", {"execution__settled_at": None}),
        ("a late outcome", {"execution__late": True}),
        ("withdrawn", {"withdrawn_at": rfc3339(DECIDED)}),
        ("withdrawn by somebody", {"withdrawn_by": "erin"}),
    ]:
        paths = {f"approval__{path}": value for path, value in changes.items()}
        yield refused(f"approval: {name}", edited(ref("story"), **paths))
    both = json.loads(STORY.receipt(KEY))["approval"]["ballots"]
    yield refused("approval: ballots out of order", edited(ref("story"), approval__ballots=both[::-1]))
    yield refused("approval: a ballot twice", edited(ref("story"), approval__ballots=both + both[:1]))
    yield refused("approval: more ballots than any", edited(ref("story"), approval__ballots=both[:1] * 33))
    yield refused("approval: another audience in all", edited(
        ref("story"), audience="staging", approval__audience="staging"))


def steps():
    """Steps that the table of operations and states does not allow."""

    def after(story, add):
        add(story)
        return story

    other = {"request_digest": "00" * 32}
    for name, story in [
        ("an approval that was requested by somebody else", begun(SINGLE, request={"changes": {"actor": "agent:x"}})),
        ("a request at another time", begun(SINGLE, request={"changes": {"at": rfc3339(REQUESTED - 1)}})),
        ("a request that lives longer than its requirement",
         begun({**SINGLE, "expires_at": rfc3339(EXPIRES + 1)})),
        ("a request that comes from a status", begun(SINGLE, request={"changes": {"from": "pending"}})),
        ("a request that is approved at once", begun({**SINGLE, "status": "approved"})),
        ("a request of another format", begun(SINGLE, request={"changes": {"format": 2}})),
        ("a request of another digest", begun(SINGLE, request={"changes": other})),
        ("an event that nobody knows", after(begun(SINGLE), lambda s: s.step("approval_blessed", DECIDED))),
        ("a second request", after(begun(SINGLE), lambda s: s.request(DECIDED))),
        ("a step that is earlier than the one before it",
         after(begun(SINGLE), lambda s: s.extend("erin", EXPIRES + 60, REQUESTED + 5,
                                                 changes={"at": rfc3339(REQUESTED - 5)}))),
        ("a step from another status",
         after(begun(SINGLE), lambda s: s.withdraw("erin", DECIDED, changes={"from": "approved"}))),
        ("a step to another status",
         after(begun(SINGLE), lambda s: s.withdraw("erin", DECIDED, changes={"to": "expired"}))),
        ("a step of another agent", after(begun(SINGLE), lambda s: s.withdraw("erin", DECIDED, changes={"agent": "x"}))),
        ("a withdrawal by nobody", after(begun(SINGLE), lambda s: s.withdraw("erin", DECIDED, changes={"actor": None}))),
        ("a withdrawal of a rejected approval", after(single(decision="rejected"), lambda s: s.withdraw("erin", CLAIMED))),
        ("a withdrawal after the claim", after(executed(), lambda s: s.withdraw("erin", SETTLED + 1))),
        ("a withdrawal after the expiry", after(begun(SINGLE), lambda s: s.withdraw("erin", EXPIRES))),
        ("an expiry too early", ended(at=EXPIRES - 1)),
        ("an expiry of an executed approval", after(executed(), lambda s: s.step("approval_expired", EXPIRES, "expired"))),
        ("an expiry twice", after(ended(), lambda s: s.step("approval_expired", EXPIRES, "expired"))),
        ("an extension of an approved approval", after(single(), lambda s: s.extend("erin", EXPIRES + 60, CLAIMED))),
        ("an extension after a ballot",
         after(once(), lambda s: s.extend("erin", EXPIRES + 60, CLAIMED))),
        ("an extension that is none", after(begun(SINGLE), lambda s: s.extend("erin", EXPIRES, DECIDED))),
        ("an extension past the longest life",
         after(begun(SINGLE), lambda s: s.extend("erin", REQUESTED + 604801, DECIDED))),
        ("an extension after the expiry", after(begun(SINGLE), lambda s: s.extend("erin", EXPIRES + 60, EXPIRES))),
        ("a claim of a pending approval", after(begun(SINGLE), lambda s: s.claim(EXECUTION, EXECUTOR, CLAIMED))),
        ("a claim of a rejected approval",
         after(single(decision="rejected"), lambda s: s.claim(EXECUTION, EXECUTOR, CLAIMED))),
        ("a claim after the expiry", after(single(), lambda s: s.claim(EXECUTION, EXECUTOR, EXPIRES))),
        ("a second claim", after(executed(), lambda s: s.claim(OTHER_EXECUTION, EXECUTOR, SETTLED + 1))),
        ("a claim by nobody", after(single(), lambda s: s.claim(EXECUTION, EXECUTOR, CLAIMED, changes={"actor": None}))),
        ("a claim of a malformed execution", after(single(), lambda s: s.claim("exec_1", EXECUTOR, CLAIMED))),
        ("an outcome of an approval that nobody claimed",
         after(single(), lambda s: s.step("execution_settled", CLAIMED, actor="x", execution_id=EXECUTION,
                                          outcome="succeeded", late=False))),
        ("an outcome of another execution",
         executed(settle={"changes": {"execution_id": OTHER_EXECUTION}})),
        ("an outcome that is none", executed(settle={"changes": {"outcome": "claimed"}})),
        ("an outcome that is not said to be late or not", executed(settle={"changes": {"late": None}})),
        ("a second outcome", after(executed(), lambda s: s.settle("failed", EXECUTOR, SETTLED + 1))),
        ("an outcome on time after the lease ran out",
         after(ran_out(), lambda s: s.settle("failed", EXECUTOR, SETTLED + 400))),
        ("a lease that runs out after the outcome", after(executed(), lambda s: s.forget(SETTLED + 400))),
        ("a lease that runs out twice", after(ran_out(), lambda s: s.forget(SETTLED + 400))),
    ]:
        yield refused_story(f"steps: {name}", story)


def once():
    """Returns an approval with one of two ballots."""
    story = begun(ASKED, ALICE)
    story.vote(cast(ASKED, ALICE, at=DECIDED), DECIDED, "pending")
    return story


def ran_out():
    story = single()
    story.claim(EXECUTION, EXECUTOR, CLAIMED)
    story.forget(CLAIMED + 300)
    return story


def votes():
    """Which ballots count, and their result."""
    requester = Signer("carol", "ed25519", b"c" * 32, "knowledge_update")
    agent = Signer("carol", "ed25519", b"c" * 32, "agent:other")
    twin = Signer("zoe", "ed25519", ALICE.secret, "zoe@company.com", ["sre"])
    secret_twin = Signer("zoe", "hmac-sha256", BOB.secret + bytes(3), "zoe@company.com")
    again = Signer("alice-2", "ed25519", b"z" * 32, ALICE.approver, ["sre"])
    for name, story in [
        ("a ballot after the expiry", late_vote()),
        ("a ballot after a rejection", second(single(decision="rejected"), ALICE, SINGLE)),
        ("a ballot after the approval", second(single(), ALICE, SINGLE)),
        ("the requester's own", single(requester)),
        ("an agent's", single(agent)),
        ("an approver's second", second(once(), again, ASKED, "approved")),
        ("a second by the same key under another id", second(once(), twin, ASKED, "approved")),
        ("a second by the same secret under another id", second(second(begun(ASKED), BOB, ASKED, "pending"),
                                                                secret_twin, ASKED, "approved")),
        ("one that approves too early", single(approval=ASKED)),
        ("one that should have approved", pending_still()),
        ("two that lack the group", lacking(CAROL, DAVE, carol={"groups": []})),
        ("a rejection that is said to approve", single(decision="rejected", changes={"decision": "approved"})),
        ("v1 where two are asked for", by_v1({**SINGLE, "requirement": {"ttl_seconds": 3600, "threshold": 2, "groups": {}}}, to="pending")),
        ("v1 where a group is asked for",
         by_v1({**SINGLE, "requirement": {"ttl_seconds": 3600, "threshold": 1, "groups": {"sre": 1}}}, to="pending")),
        ("v1 by a key that is bound to somebody", bound_v1()),
    ]:
        yield refused_story(f"ballots: {name}", story)
    wrong = signature_text("carol", bytes(64))
    for name, ballot in [
        ("a signature of nothing", {"signature": wrong}),
        ("a signature of another approval", {"signature": signed({**SINGLE, "id": OTHER_ID}, CAROL, comment=None)}),
        ("a signature of another comment", {"comment": "no"}),
        ("a signature that names another key", {"signature": signature_text("alice", CAROL.raw(b""))}),
        ("a signature of another form", {"signature": "00" * 32}),
        ("a malformed signature", {"signature": "v2.carol"}),
        ("a time that is not the log's", {"cast_at": rfc3339(DECIDED - 1)}),
    ]:
        yield refused_story(f"ballots: {name}", single(ballot=ballot))
    yield refused_story("ballots: a comment that no signature here covers", granted(bob={"comment": "fine"}))
    yield refused_story("ballots: another signature than the log's", single(changes={"signature_hash": text_hash("x")}))
    for name in ("actor", "profile", "key_id", "decision", "signature_hash"):
        yield refused_story(f"ballots: the log does not say the {name}", single(changes={name: None}))


def second(story, person, approval, to="approved"):
    story.record(person, at=CLAIMED)
    story.vote(cast(approval, person, at=CLAIMED), CLAIMED, to)
    return story


def late_vote():
    story = begun(SINGLE, CAROL)
    story.vote(cast(SINGLE, CAROL, at=EXPIRES), EXPIRES, "approved")
    return story


def pending_still():
    story = begun(SINGLE, CAROL)
    story.vote(cast(SINGLE, CAROL), DECIDED, "pending")
    return story


def lacking(*people, **keys):
    story = begun(ASKED, *people, **keys)
    story.vote(cast(ASKED, people[0]), DECIDED, "pending")
    story.vote(cast(ASKED, people[1]), DECIDED, "approved")
    return story


def bound_v1():
    bound = Signer("shared", "hmac-sha256", SECRET.encode(), "erin@company.com")
    story = begun(SINGLE, bound)
    story.vote(cast_v1(), DECIDED, "approved")
    return story


def keys():
    """Keys as the log records them."""
    for name, change in [
        ("a revoked key", {"status": "revoked"}),
        ("a key for another use", {"use": "log"}),
        ("another person's key", {"approver": "mallory"}),
        ("nobody's key", {"approver": None}),
        ("another public key", {"public_key": ALICE.entry()["material"]}),
        ("no public key", {"public_key": None}),
        ("another fingerprint", {"fingerprint": "00" * 16}),
        ("an unknown algorithm", {"algorithm": "rsa"}),
        ("an unknown status", {"status": "lost"}),
        ("an unknown use", {"use": "all"}),
        ("a malformed id", {"key_id": "Carol"}),
        ("no fingerprint", {"fingerprint": None}),
        ("no groups", {"groups": None}),
    ]:
        yield refused_story(f"keys: {name}", single(keys={"carol": change}))
    yield refused_story("keys: an ed25519 key as hmac", single(keys={"carol": {"algorithm": "hmac-sha256"}}, approval=SINGLE,
                                                              ballot={"comment": "x"}))
    none = begun(SINGLE)
    none.vote(cast(SINGLE, CAROL), DECIDED, "approved")
    yield refused_story("keys: no record of the ballot's key", none)
    after = begun(SINGLE)
    after.vote(cast(SINGLE, CAROL), DECIDED, "approved")
    after.record(CAROL, at=DECIDED + 1)
    yield refused_story("keys: a record of the ballot's key only after it", after)
    between = begun(ASKED, ALICE, BOB)
    between.vote(cast(ASKED, ALICE), DECIDED, "pending")
    between.record(ALICE, status="revoked", at=DECIDED)
    between.vote(cast(ASKED, BOB), DECIDED, "approved")
    yield refused_story("keys: one revoked before the last ballot", between)
    claimed = single()
    claimed.record(CAROL, status="revoked", at=DECIDED)
    claimed.claim(EXECUTION, EXECUTOR, CLAIMED)
    yield refused_story("keys: one revoked before the claim", claimed)
    regrouped = granted()
    regrouped.record(ALICE, groups=[], at=DECIDED)
    regrouped.claim(EXECUTION, EXECUTOR, CLAIMED)
    yield refused_story("keys: one that left its group before the claim", regrouped)
    for name, person in [("key", CAROL), ("secret", BOB)]:
        old = Signer("old", person.algorithm, person.secret, "mallory@company.com")
        story = begun(SINGLE, old, person, old={"status": "revoked", "use": "module"})
        story.vote(cast(SINGLE, person), DECIDED, "approved")
        yield refused_story(f"keys: the same {name} revoked under another id and for another use", story)
    yield vector("a rejected approval by a key that only votes", verify(
        single(decision="rejected", keys={"carol": {"status": "verify-only"}}).receipt(KEY),
        has(status="rejected", requirement_met=False)))


def pins():
    """Keys that the caller pins take precedence over the log."""
    for name, receipt, ring in [
        ("another key of the ballot's id", "single", [CAROL.entry(material=ALICE.entry()["material"])]),
        ("the key as another person's", "single", [CAROL.entry(approver="mallory")]),
        ("the key for another use", "single", [CAROL.entry(use="log")]),
        ("the key as revoked", "single", [CAROL.entry(status="revoked")]),
        ("the key as revoked under another id", "single", [CAROL.entry(id="old", status="revoked", use="log")]),
        ("the key, and revoked under another id", "single", [ref("carol"), CAROL.entry(id="old", status="revoked")]),
        ("the secret as revoked", "story", [BOB.entry(status="revoked")]),
        ("the secret as revoked under another id", "story", [BOB.entry(id="old", status="revoked")]),
        ("another secret of the ballot's id", "story", [hmac_key("bob", SECRET, approver=BOB.approver)]),
        ("the key of an approver in no group", "story", [ALICE.entry(groups=[])]),
    ]:
        yield refused(f"pinned: {name}", ref(receipt), "receipt-untrusted", keys=ring)
    carol = report(single(), [CAROL], ["pinned"])
    carol["ballots"][0]["groups"] = ["legal"]
    yield vector("pinned: a key that only verifies still does, and its groups are the caller's", verify(
        ref("single"), carol, keys=[CAROL.entry(status="verify-only", groups=["legal"])]))
    yield vector("pinned: a key under another id pins nothing", verify(
        ref("single"), report(single(), [CAROL], ["logged"]), keys=[CAROL.entry(id="other")]))
    yield refused("pinned: v1 is not accepted", by_v1().receipt(KEY), "receipt-untrusted", accept=V2)
    yield refused("pinned: v2 is not accepted", ref("single"), "receipt-untrusted", accept=["v1"])
    shared = hmac_key("shared", SECRET)
    yield vector("pinned: a secret that made a v1 ballot attests no more", verify(
        by_v1().receipt(KEY), report(by_v1(), [SHARED], ["attested"]), keys=[shared]))


def vectors():
    groups = (proven, arguments, forms, trust, places, chain, shown, steps, votes, keys, pins, erasures)
    return [item for group in groups for item in group()]


assert request_digest(ASKED) == STORY.digest

if __name__ == "__main__":
    main(__file__, render(vectors(), DEFINE))
