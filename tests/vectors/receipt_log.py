"""An audit log for the generators: entries of format 2, the tree of RFC 6962 by its own recursive
definitions, C2SP signed notes and checkpoints, and receipts. The signatures come from `ed25519.py`.
"""

import base64
import hashlib
import hmac
import json

import ed25519
from vector_file import base64url, request_digest, rfc3339, text_hash


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size):
    """Returns the largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def root(leaves):
    """RFC 6962, section 2.1: MTH."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(m, leaves):
    """RFC 6962, section 2.1.1: PATH."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def consistency(m, leaves):
    """RFC 6962, section 2.1.2: PROOF."""
    return [] if m in (0, len(leaves)) else subproof(m, leaves, True)


def subproof(m, leaves, is_whole):
    if m == len(leaves):
        return [] if is_whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], is_whole) + [root(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [root(leaves[:k])]


class LogKey:
    """The key of a log: C2SP `signed-note`, type 1."""

    def __init__(self, name, seed):
        self.name, self.seed = name, seed
        public = b"\1" + ed25519.public_key(seed)
        self.id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        self.text = f"{name}+{self.id.hex()}+{base64.b64encode(public).decode()}"

    def line(self, text):
        """Returns the signature line of a note."""
        signature = base64.b64encode(self.id + ed25519.sign(self.seed, text.encode())).decode()
        return f"\u2014 {self.name} {signature}\n"

    def note(self, text):
        return f"{text}\n{self.line(text)}"


def fingerprint(material):
    return hmac.new(material, b"signoff/key-fingerprint", hashlib.sha256).hexdigest()[:32]


def key_event(person, **changes):
    """Returns a `key_recorded` event. For an HMAC key the log has only the fingerprint, not the secret."""
    is_public = person.algorithm == "ed25519"
    material = ed25519.public_key(person.secret) if is_public else person.secret
    event = {"event": "key_recorded", "actor": "system", "key_id": person.id, "algorithm": person.algorithm,
             "status": "active", "use": "approve", "approver": person.approver, "groups": person.groups,
             "fingerprint": fingerprint(material)}
    if is_public:
        event["public_key"] = base64url(material)
    return {**event, **changes}


class Log:
    """Entries, in order. `rows` maps each row to the number of the entry that last wrote it."""

    def __init__(self, at):
        self.texts, self.rows, self.at = [], {}, at

    def add(self, event, kind=None, row=None, at=None, changes=None):
        """Adds an entry and returns its number. `kind` and `row` name the row that it changes; `changes` apply to
        the entry's members."""
        number, self.at = len(self.texts) + 1, at or self.at
        state = []
        if kind:
            sha256 = text_hash(f"{kind} {row} {number}")
            state.append({"kind": kind, "id": row, "sha256": sha256, "prev": self.rows.get((kind, row), 0)})
            self.rows[kind, row] = number
        entry = {"format": 2, "at": rfc3339(self.at), "event": event, "host": {}, "state": state, **(changes or {})}
        self.texts.append(compact(entry))
        return number

    def key(self, person, at=None, **changes):
        return self.add(key_event(person, **changes), "key", person.id, at)

    def leaves(self, size=None):
        return [leaf_hash(text.encode()) for text in self.texts[:size]]

    def checkpoint(self, key, size=None):
        leaves = self.leaves(size)
        return key.note(f"{key.name}\n{len(leaves)}\n{base64.b64encode(root(leaves)).decode()}\n")

    def consistency(self, older, newer):
        return [item.hex() for item in consistency(older, self.leaves(newer))]

    def line(self, number):
        """Returns an entry of a receipt, with its proof."""
        proof = path(number - 1, self.leaves())
        return {"number": number, "entry": self.texts[number - 1], "proof": [item.hex() for item in proof]}


class Story:
    """One approval whose every step is logged. `approval` is the request, as a record."""

    def __init__(self, log, approval, texts):
        self.log, self.approval, self.texts = log, {"erased_at": None, **approval, "ballots": []}, texts
        self.digest = request_digest(approval)
        self.numbers, self.keys = [], []

    def record(self, person, **changes):
        """Records a key that the receipt will hold."""
        self.keys.append(self.log.key(person, **changes))

    def step(self, name, at, to=None, actor=None, changes=None, entry=None, **fields):
        """Adds a step that leads to a status; `changes` apply to its event, `entry` to its entry."""
        approval = self.approval
        came_from = approval["status"] if self.numbers else None
        approval["status"] = to or approval["status"]
        event = {"format": 1, "event": name, "at": rfc3339(at), "approval_id": approval["id"],
                 "agent": approval["agent"], "action": approval["action"]}
        event.update({"actor": actor} if actor else {})
        event.update({"from": came_from} if came_from else {})
        event.update(to=approval["status"], context_hash=approval["context_hash"])
        event.update({"plan_hash": approval["plan_hash"]} if approval["plan_hash"] else {})
        event.update(request_digest=self.digest, **fields)
        event.update(changes or {})
        self.numbers.append(self.log.add(event, "approval", approval["id"], at, entry))

    def request(self, at, **changes):
        self.step("approval_requested", at, actor=self.approval["requested_by"],
                  expires_at=self.approval["expires_at"], **changes)

    def vote(self, ballot, at, to, **changes):
        """Adds a ballot in the form of a record."""
        self.approval["ballots"].append(ballot)
        self.step("approval_decided", at, to, actor=ballot["approver"], decision=ballot["decision"],
                  profile=ballot["profile"], key_id=ballot["key_id"], signature_hash=text_hash(ballot["signature"]),
                  **changes)

    def extend(self, actor, expires_at, at, **changes):
        self.approval["expires_at"] = rfc3339(expires_at)
        self.step("approval_extended", at, actor=actor, expires_at=rfc3339(expires_at), **changes)

    def claim(self, execution, actor, at, **changes):
        self.approval["execution"] = {"id": execution, "claimed_by": actor, "claimed_at": rfc3339(at),
                                      "outcome": "claimed", "settled_at": None, "late": False}
        self.step("approval_claimed", at, "executed", actor=actor, execution_id=execution, outcome="claimed",
                  **changes)

    def settle(self, outcome, actor, at, late=False, **changes):
        self.approval["execution"].update(outcome=outcome, settled_at=rfc3339(at), late=late)
        self.step("execution_settled", at, actor=actor, execution_id=self.approval["execution"]["id"],
                  outcome=outcome, late=late, **changes)

    def forget(self, at, **changes):
        self.approval["execution"]["outcome"] = "unknown"
        self.step("execution_unknown", at, execution_id=self.approval["execution"]["id"], outcome="unknown",
                  **changes)

    def withdraw(self, actor, at, **changes):
        self.approval.update(withdrawn_at=rfc3339(at), withdrawn_by=actor)
        self.step("approval_withdrawn", at, "withdrawn", actor=actor, **changes)

    def erase(self, actor, at, to=None, **changes):
        """Erases the texts. Without the reason the request digest can no longer be computed."""
        self.texts = (None, None)
        self.approval.update(reason=None, erased_at=rfc3339(at))
        for ballot in self.approval["ballots"]:
            ballot["comment"] = None
        run = self.approval["execution"] or {}
        asked = {name: self.approval[name] for name in ("requirement", "policy", "rule") if self.approval[name]}
        self.step("approval_erased", at, to, actor=actor,
                  **({"execution_id": run["id"], "outcome": run["outcome"]} if run else {}), **asked, **changes)

    def shown(self):
        """Returns the approval as a receipt shows it."""
        names = ("id", "audience", "status", "agent", "action", "context", "context_hash", "plan", "plan_hash",
                 "reason", "requested_by", "requested_at", "expires_at", "requirement", "policy", "rule",
                 "request_digest", "ballots", "execution", "withdrawn_at", "withdrawn_by", "erased_at")
        context, plan = (json.loads(text) if text else None for text in self.texts)
        known = {**self.approval, "context": context, "plan": plan, "request_digest": self.digest}
        return {name: known[name] for name in names}

    def receipt(self, key, numbers=None, **changes):
        """Returns the receipt from a log that this key signs."""
        numbers = sorted(self.numbers + self.keys) if numbers is None else numbers
        receipt = {"format": 2, "kind": "signoff-receipt", "audience": self.approval["audience"],
                   "approval": self.shown(), "entries": [self.log.line(number) for number in numbers],
                   "checkpoint": self.log.checkpoint(key), **changes}
        return compact(receipt)
