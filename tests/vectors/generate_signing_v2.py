#!/usr/bin/env python3
"""Writes `signing_v2.json`: payloads and signatures of profile v2, and every signature that must be refused.

HMAC signatures come from Python, Ed25519 signatures from `ed25519.py`. `--check` compares instead
of writing.
"""

import base64
import hashlib
import hmac

import ed25519
from v2 import BOTH, V2, Signer, message, pae, text_of
from vector_file import (
    LAST_SECOND,
    approval_message,
    base64url,
    hmac_key,
    main,
    moment,
    ref,
    render,
    repeated,
    step,
    vector,
)

APPROVER = "user@company.com"
OTHER = "other@company.com"
ALICE = Signer("alice-1", "hmac-sha256", b"a secret that only alice has, of 40 byte", APPROVER, ["sre"])
# The seed of RFC 8032, section 7.1, test 1.
ED = Signer("alice-2", "ed25519", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
            APPROVER, ["sre", "security"])
BOB = Signer("bob-1", "ed25519", bytes(range(32)), OTHER)
CAROL = Signer("carol-1", "hmac-sha256", b"a secret that only carol has, of 40 byte", OTHER)
SIGNERS = {"hmac-sha256": ALICE, "ed25519": ED}
DEFINE = {"alice": ALICE.entry(), "ed": ED.entry(), "bob": BOB.entry(), "carol": CAROL.entry(),
          "shared": hmac_key("shared", "a secret that is for examples only")}
RING = [ref("alice"), ref("ed"), ref("bob"), ref("carol"), ref("shared")]


def statement_of(signer, **changes):
    return {
        "audience": "prod",
        "key_id": signer.id,
        "approval_id": "appr_01k7s2e3m8q4w6x9y0z1a2b3c4",
        "request_digest": hashlib.sha256(b"a request").hexdigest(),
        "expires_at": 1760700600,
        "decision": "approved",
        "approver": signer.approver,
        "comment": "Reviewed changes - looks safe",
        **changes,
    }


# The signature of that test, to validate `ed25519.py`.
assert ed25519.sign(ED.secret, b"").hex() == (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b")
# Replacements of each field: well-formed, but another statement.
OTHER_FIELDS = {
    "audience": ("staging", "pro", "Prod", "prod/v2"),
    "approval_id": ("appr_01k7s2e3m8q4w6x9y0z1a2b3c5", "APPR_01k7s2e3m8q4w6x9y0z1a2b3c4"),
    "request_digest": (hashlib.sha256(b"another request").hexdigest(), "0" * 64),
    "expires_at": (1760700601, 1760700599, 1760700600 + 3600, 0),
    "decision": ("rejected",),
    "comment": ("", "Reviewed changes - looks safe ", "reviewed changes - looks safe", "Reviewed changes \u2013 looks safe"),
}


def vectors():
    yield from encodings()
    yield from pieces_that_shift()
    yield from signatures()
    yield from statement_forms()
    yield from keys_that_sign_nothing()
    yield from key_forms()
    yield from other_statements()
    yield from signature_forms()
    yield from lengths()
    yield from downgrades()
    yield from whose_key()
    yield from revocation()
    yield from strict_ed25519()
    yield from precedence()


def payload(statement):
    return step("signing.payload", {"statement": statement, "profile": "v2"},
                ok={"profile": "v2", "base64url": base64url(message(statement)), "text": None})


def sign(signer, statement):
    return step("signing.sign", {"statement": statement, "profile": "v2", "key": signer.private()},
                ok={"signature": signer.sign(statement)})


def verify(signer, statement, keys=None, accept=V2):
    return step("signing.verify", verify_args(statement, signer.sign(statement), keys, accept),
                ok={"key_id": signer.id})


def verify_args(statement, signature, keys=None, accept=V2):
    return {"statement": statement, "signature": signature, "keys": RING if keys is None else keys, "accept": accept}


def refused(statement, signature, code, keys=None, accept=V2):
    return step("signing.verify", verify_args(statement, signature, keys, accept), error=code)


def refused_sign(statement, key, code):
    return step("signing.sign", {"statement": statement, "profile": "v2", "key": key}, error=code)


def encodings():
    """Every piece is preceded by its length, and only optional pieces may be empty."""
    assert pae([]) == bytes(8) and pae([b""]) == bytes([1] + [0] * 15)
    example = statement_of(ALICE)
    longest = statement_of(
        Signer("k" * 64, "hmac-sha256", b"x" * 32, "b" * 128), audience="a" * 128, approval_id="i" * 128,
        expires_at=LAST_SECOND, comment="c" * 4096)
    printable = "".join(map(chr, range(0x21, 0x7F)))
    for name, statement in {
        "the example": example,
        "a rejection": {**example, "decision": "rejected"},
        "no comment": {**example, "comment": ""},
        "every piece at its longest": longest,
        "every piece at its shortest": {**example, "audience": "a", "key_id": "k", "approval_id": "i", "approver": "b",
                                        "comment": "", "expires_at": 0},
        "colons, which v1 cannot hold": {**example, "approval_id": "a:b", "approver": "ldap:user", "audience": ":"},
        "every character of an identifier": {**example, "audience": printable, "approval_id": printable,
                                             "approver": printable},
        "a comment of line feeds and tabs": {**example, "comment": "\n\t\n\n\t"},
        "a comment of quotes and backslashes": {**example, "comment": "\"\\'`\\u0000\\n"},
        "a comment that looks like an encoding": {**example, "comment": "signoff/v2.........v2.alice-1."},
        "a comment of printable ASCII": {**example, "comment": " " + printable},
        "a comment of two, three and four bytes a character":
            {**example, "comment": "\u00e9\u07ff\u0800\u20ac\uffff\U00010000\U0001f512\U0010ffff"},
        "a comment of marks that turn text around": {**example, "comment": "\u202e\u2066\u200b\ufeff"},
        "a comment that is not normalized": {**example, "comment": "e\u0301 \u00e9"},
        "a comment of 4096 bytes of four each": {**example, "comment": "\U0001f512" * 1024},
    }.items():
        yield vector(f"payload: {name}", payload(statement))
    for seconds in (0, 1, 946684799, 1709164800, 4107542400, 4294967296, LAST_SECOND):
        yield vector(f"payload: expires at {seconds}", payload({**example, "expires_at": seconds}))


def pieces_that_shift():
    """The same letters in the same order, split differently between two adjacent fields."""
    example = statement_of(ALICE)
    pairs = {
        "audience and key id": ({"audience": "ab", "key_id": "cd"}, {"audience": "abc", "key_id": "d"}),
        "key id and approval id": ({"key_id": "ab", "approval_id": "cd"}, {"key_id": "a", "approval_id": "bcd"}),
        "approver and comment": ({"approver": "ab", "comment": "cd"}, {"approver": "abcd", "comment": ""}),
        "comment and nothing": ({"approver": "a", "comment": "b"}, {"approver": "ab", "comment": ""}),
        "audience and approver": ({"audience": "alice", "approver": "bob"}, {"audience": "bob", "approver": "alice"}),
        "approval id and approver": ({"approval_id": "x", "approver": "y"}, {"approval_id": "y", "approver": "x"}),
    }
    for name, (one, other) in pairs.items():
        one, other = {**example, **one}, {**example, **other}
        assert message(one) != message(other)
        signer = Signer(other["key_id"], "hmac-sha256", ALICE.secret, other["approver"])
        forged = text_of(other["key_id"], ALICE.raw(message(one)))
        yield vector(f"shift: {name}", payload(one), payload(other),
                     refused(other, forged, "signature-invalid", [signer.entry()]),
                     verify(signer, other, [signer.entry()]))


def signatures():
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        rejected = {**statement, "decision": "rejected"}
        yield vector(f"sign and verify: {algorithm}", sign(signer, statement), verify(signer, statement))
        yield vector(f"sign and verify: {algorithm}, a rejection", sign(signer, rejected), verify(signer, rejected))
        yield vector(f"sign and verify: {algorithm}, no comment", sign(signer, {**statement, "comment": ""}),
                     verify(signer, {**statement, "comment": ""}))
        yield vector(f"sign and verify: {algorithm}, a comment of every awkward kind",
                     sign(signer, {**statement, "comment": "\t\"\\\n\u00e9\u202e\U0001f512"}),
                     verify(signer, {**statement, "comment": "\t\"\\\n\u00e9\u202e\U0001f512"}))
        yield vector(f"verify: {algorithm}, both profiles accepted", verify(signer, statement, accept=BOTH),
                     verify(signer, statement, accept=["v2", "v1", "v2"]))
        yield vector(f"verify: {algorithm}, a verify-only key", verify(signer, statement, [signer.entry(status="verify-only")]))
        yield vector(f"verify: {algorithm}, the only key", verify(signer, statement, [signer.entry()]))
    # The seeds of RFC 8032, section 7.1, tests 2 and 3.
    for seed in ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                 "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"):
        signer = Signer("rfc", "ed25519", bytes.fromhex(seed), APPROVER)
        yield vector(f"sign and verify: the seed {seed[:8]}", sign(signer, statement_of(signer)),
                     verify(signer, statement_of(signer), [signer.entry()]))
    for length in (32, 64, 65, 4096):
        signer = Signer("k", "hmac-sha256", b"k" * length, APPROVER)
        yield vector(f"sign and verify: a secret of {length} bytes", sign(signer, statement_of(signer)),
                     verify(signer, statement_of(signer), [signer.entry()]))


def statement_forms():
    """Every field malformed, in all three operations."""
    forms = {
        "no audience": ({"audience": ""}, "request-invalid"),
        "an audience with a space": ({"audience": "pr od"}, "request-invalid"),
        "an audience of 129 bytes": ({"audience": "a" * 129}, "limit-exceeded"),
        "no key id": ({"key_id": ""}, "request-invalid"),
        "a key id in upper case": ({"key_id": "K"}, "request-invalid"),
        "a key id with a dot": ({"key_id": "a.b"}, "request-invalid"),
        "a key id of 65 bytes": ({"key_id": "k" * 65}, "request-invalid"),
        "no digest": ({"request_digest": ""}, "request-invalid"),
        "a digest of 63 characters": ({"request_digest": "0" * 63}, "request-invalid"),
        "a digest of 65 characters": ({"request_digest": "0" * 65}, "request-invalid"),
        "a digest in upper case": ({"request_digest": "A" * 64}, "request-invalid"),
        "a digest that is not hex": ({"request_digest": "g" * 64}, "request-invalid"),
        "a comment of 4097 bytes": ({"comment": "c" * 4097}, "limit-exceeded"),
        "a comment of 4097 bytes in 4096 characters": ({"comment": "c" * 4095 + "\u00e9"}, "limit-exceeded"),
        "a comment with NUL": ({"comment": "\0"}, "request-invalid"),
        "a comment with an escape": ({"comment": "\u001b[2J"}, "request-invalid"),
        "a comment with a carriage return": ({"comment": "a\rb"}, "request-invalid"),
        "a comment with DEL": ({"comment": "\u007f"}, "request-invalid"),
        "no approval id": ({"approval_id": ""}, "request-invalid"),
        "no approver": ({"approver": ""}, "request-invalid"),
        "an approver with a space": ({"approver": "a b"}, "request-invalid"),
        "another decision": ({"decision": "maybe"}, "request-invalid"),
        "a time past the year 9999": ({"expires_at": LAST_SECOND + 1}, "request-invalid"),
    }
    for name, (changes, code) in forms.items():
        statement = statement_of(ALICE, **changes)
        yield vector(f"statement: {name}",
                     step("signing.payload", {"statement": statement, "profile": "v2"}, error=code),
                     refused_sign(statement, ref("alice"), code),
                     refused(statement, ALICE.sign(statement_of(ALICE)), code))
    yield vector("statement: only what v1 covers", refused_sign(
        {name: statement_of(ALICE)[name] for name in ("approval_id", "decision", "approver", "expires_at")},
        ref("alice"), "request-invalid"))


def keys_that_sign_nothing():
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        for name, changes, code in [
            ("of use log", {"use": "log"}, "request-invalid"),
            ("of use module", {"use": "module"}, "request-invalid"),
            ("that the statement does not name", {"id": "another"}, "request-invalid"),
            ("that is verify-only", {"status": "verify-only"}, "key-revoked"),
            ("that is revoked", {"status": "revoked"}, "key-revoked"),
            ("of another approver", {"approver": OTHER}, "key-not-yours"),
            ("that is bound to nobody", {"approver": None}, "key-not-yours"),
        ]:
            yield vector(f"sign: {algorithm}, a key {name}", refused_sign(statement, signer.private(**changes), code))
        # The same person in another case. The signed message keeps the statement's spelling.
        yield vector(
            f"sign: {algorithm}, a key of the approver in upper case",
            step("signing.sign", {"statement": statement, "profile": "v2",
                                  "key": signer.private(approver=APPROVER.upper())},
                 ok={"signature": signer.sign(statement)}),
            verify(signer, statement, [signer.entry(approver=APPROVER.upper())]))
        # A bound key and an Ed25519 key cannot sign v1.
        for name, changes in {"bound": {}, "bound to nobody": {"approver": None}}.items():
            if algorithm == "ed25519" or not changes:
                yield vector(f"sign: {algorithm}, v1 by a key that is {name}", step(
                    "signing.sign", {"statement": statement, "profile": "v1", "key": signer.private(**changes)},
                    error="request-invalid"))


def key_forms():
    statement = statement_of(ED)
    for name, changes in {
        "a seed of 31 bytes": {"material": base64url(bytes(31))},
        "a seed of 33 bytes": {"material": base64url(bytes(33))},
        "seed and public key": {"material": base64url(ED.secret + ed25519.public_key(ED.secret))},
        "no material": {"material": ""},
        "material with padding": {"material": base64.urlsafe_b64encode(ED.secret).decode()},
        "material with spare bits set": {"material": base64url(bytes(32))[:-1] + "B"},
        "algorithm in upper case": {"algorithm": "Ed25519"},
        "algorithm eddsa": {"algorithm": "eddsa"},
        "algorithm ed25519ph": {"algorithm": "ed25519ph"},
    }.items():
        yield vector(f"key: {name}", refused_sign(statement, ED.private(**changes), "request-invalid"),
                     refused(statement, ED.sign(statement), "request-invalid", [ED.entry(**changes)]))
    yield vector("key: the private seed where the public key belongs", refused(
        statement, ED.sign(statement), "signature-invalid", [ED.private()]))
    # The algorithm is the key's: a signature cannot make the verifier use a public key as a secret.
    public = ed25519.public_key(ED.secret)
    confused = text_of(ED.id, hmac.new(public, message(statement), hashlib.sha256).digest())
    yield vector("key: the public key as an HMAC secret", refused(statement, confused, "signature-invalid"),
                 step("signing.verify", verify_args(statement, confused, [ED.entry(algorithm="hmac-sha256")]),
                      ok={"key_id": ED.id}))


def other_statements():
    """A signature is valid only for its own statement."""
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        signature = signer.sign(statement)
        for field, values in OTHER_FIELDS.items():
            yield vector(f"verify: {algorithm}, a signature of another {field}", *[
                refused({**statement, field: value}, signature, "signature-invalid") for value in values])
        yield vector(f"verify: {algorithm}, the statement names another key",
                     refused({**statement, "key_id": BOB.id}, signature, "signature-invalid"),
                     refused({**statement, "key_id": "nobody"}, signature, "signature-invalid"))
        yield vector(f"verify: {algorithm}, the statement names another approver",
                     refused({**statement, "approver": OTHER}, signature, "key-not-yours"),
                     refused({**statement, "approver": OTHER}, signature, "signature-invalid",
                             [signer.entry(approver=OTHER)]))
        yield vector(f"verify: {algorithm}, another key of this id", refused(
            statement, Signer(signer.id, algorithm, b"x" * 32, APPROVER).sign(statement), "signature-invalid"))
        raw = signer.raw(message(statement))
        for at in (0, 1, len(raw) // 2, len(raw) - 1):
            flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]
            yield vector(f"verify: {algorithm}, a bit flipped in byte {at}",
                         refused(statement, text_of(signer.id, flipped), "signature-invalid"))
        yield vector(f"verify: {algorithm}, only zeros",
                     refused(statement, text_of(signer.id, bytes(len(raw))), "signature-invalid"))


def signature_forms():
    signer, statement = ALICE, statement_of(ALICE)
    signature = signer.sign(statement)
    key_id, encoded = signature.split(".")[1:]
    raw = signer.raw(message(statement))
    last = encoded[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = alphabet[alphabet.index(last) ^ 1]
    for name, text in {
        "empty": "",
        "v2": "v2",
        "v2.": "v2.",
        "two dots": "v2..",
        "no key id": f"v2..{encoded}",
        "no bytes": f"v2.{key_id}.",
        "no dot before the bytes": f"v2.{key_id}{encoded}",
        "a dot more at the end": signature + ".",
        "a part more": signature + "." + encoded,
        "V2": signature.replace("v2.", "V2."),
        "v3": signature.replace("v2.", "v3."),
        "v1. before": "v1." + signature,
        "a space before": " " + signature,
        "a space after": signature + " ",
        "a new line after": signature + "\n",
        "NUL after": signature + "\0",
        "a space in it": signature.replace(".", ". "),
        "padding": signature + "=",
        "the standard alphabet": f"v2.{key_id}." + base64.b64encode(b"\xfb\xff\xfe" * 10 + b"\xfb\xff").decode().rstrip("="),
        "spare bits set": signature[:-1] + spare,
        "hex": f"v2.{key_id}.{raw.hex()}",
        "31 bytes": text_of(key_id, raw[:31]),
        "33 bytes": text_of(key_id, raw + b"\0"),
        "63 bytes": text_of(key_id, raw + raw[:31]),
        "65 bytes": text_of(key_id, raw + raw + b"\0"),
        "16 bytes": text_of(key_id, raw[:16]),
        "a key id in upper case": f"v2.{key_id.upper()}.{encoded}",
        "a key id with a slash": f"v2.a/b.{encoded}",
        "a key id of 65 bytes": f"v2.{'k' * 65}.{encoded}",
        "a letter that is not ASCII": f"v2.{key_id}.\u00e9{encoded[2:]}",
        "quotes": f'"{signature}"',
    }.items():
        yield vector(f"verify: malformed, {name}", refused(statement, text, "signature-malformed"),
                     refused(statement, text, "signature-malformed", accept=BOTH))
    yield vector("verify: malformed, a million characters",
                 refused(statement, repeated((signature, 16384)), "signature-malformed"))


def lengths():
    """A signature has 32 or 64 bytes; the key's algorithm determines which."""
    for signer, raw in [(ALICE, bytes(64)), (ED, bytes(32))]:
        statement = statement_of(signer)
        yield vector(f"verify: {len(raw)} bytes for a key of {signer.algorithm}",
                     refused(statement, text_of(signer.id, raw), "signature-invalid"))
    statement = statement_of(ALICE)
    twice = ALICE.raw(message(statement)) * 2
    yield vector("verify: an HMAC twice", refused(statement, text_of(ALICE.id, twice), "signature-invalid"))
    statement = statement_of(ED)
    raw = ED.raw(message(statement))
    yield vector("verify: the first half of an Ed25519 signature",
                 refused(statement, text_of(ED.id, raw[:32]), "signature-invalid"))


def downgrades():
    """Signatures and keys belong to one profile."""
    v1_of = {"approval_id": "appr_01k7s2e3m8q4w6x9y0z1a2b3c4", "decision": "approved", "approver": APPROVER,
             "expires_at": moment(1760700600)}
    v1_message = approval_message(**v1_of).encode()
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        v1_raw = hmac.new(signer.secret, v1_message, hashlib.sha256).digest()
        yield vector(f"downgrade: v1 with the key material of {algorithm}",
                     refused(statement, v1_raw.hex(), "signature-malformed"),
                     refused(statement, v1_raw.hex(), "key-unknown", [signer.entry(), BOB.entry()], BOTH),
                     refused(statement, v1_raw.hex(), "signature-invalid", accept=BOTH))
        yield vector(f"downgrade: the v1 message under v2, {algorithm}",
                     refused(statement, text_of(signer.id, signer.raw(v1_message)), "signature-invalid"))
        yield vector(f"downgrade: a v2 signature where only v1 counts, {algorithm}",
                     refused(statement, signer.sign(statement), "signature-malformed", accept=["v1"]))
    raw = ALICE.raw(message(statement_of(ALICE)))
    yield vector("downgrade: the bytes of a v2 signature as v1",
                 refused(statement_of(ALICE), raw.hex(), "signature-invalid", accept=BOTH),
                 refused(statement_of(ALICE), raw.hex(), "key-unknown", [ref("alice")], BOTH))
    shared = Signer("shared", "hmac-sha256", b"a secret that is for examples only", APPROVER)
    v1_right = hmac.new(shared.secret, v1_message, hashlib.sha256).hexdigest()
    yield vector("downgrade: both profiles accepted, each by a key of its own",
                 step("signing.verify", verify_args(statement_of(ALICE), v1_right, accept=BOTH), ok={"key_id": "shared"}),
                 verify(ALICE, statement_of(ALICE), accept=BOTH))
    yield vector("upgrade: a v1 key signs no v2",
                 refused(statement_of(shared), shared.sign(statement_of(shared)), "key-not-yours"))


def whose_key():
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        signature = signer.sign(statement)
        for name, keys, code in [
            ("no key", [], "key-unknown"),
            ("only other keys", [ref("bob"), ref("carol"), ref("shared")], "key-unknown"),
            ("the key under another id", [signer.entry(id="another")], "key-unknown"),
            ("a key of use log", [signer.entry(use="log")], "key-unknown"),
            ("a key of use module", [signer.entry(use="module")], "key-unknown"),
            ("a revoked key of use log", [signer.entry(use="log", status="revoked")], "key-unknown"),
            ("a key of another approver", [signer.entry(approver=OTHER)], "key-not-yours"),
            ("a key bound to nobody", [signer.entry(approver=None)], "key-not-yours"),
        ]:
            yield vector(f"verify: {algorithm}, {name}", refused(statement, signature, code, keys))
        relabelled = text_of("another", signer.raw(message(statement)))
        yield vector(f"verify: {algorithm}, the signature relabelled for the key's other id",
                     refused(statement, relabelled, "signature-invalid", [signer.entry(), signer.entry(id="another")]),
                     verify(signer, statement, [signer.entry(), signer.entry(id="another")]))
        # Bob's key, in Alice's name and in Bob's.
        for bob in (BOB, CAROL):
            own = statement_of(bob)
            in_her_name = {**own, "approver": APPROVER}
            yield vector(f"verify: {algorithm}, {bob.id} for another approver",
                         refused(in_her_name, bob.sign(in_her_name), "key-not-yours"),
                         refused(statement, bob.sign({**statement, "key_id": bob.id}), "key-not-yours"),
                         refused(statement, text_of(signer.id, bob.raw(message(statement))), "signature-invalid"),
                         verify(bob, own))


def revocation():
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        signature = signer.sign(statement)
        revoked = signer.entry(status="revoked")
        forged = text_of(signer.id, bytes(64 if algorithm == "ed25519" else 32))
        yield vector(f"verify: {algorithm}, a revoked key", refused(statement, signature, "key-revoked", [revoked]),
                     refused(statement, forged, "key-revoked", [revoked]))
        for name, changes in {
            "another id": {"id": "twin"},
            "another id, for another approver": {"id": "twin", "approver": OTHER},
            "another id, bound to nobody": {"id": "twin", "approver": None},
            "another use": {"id": "twin", "use": "log"},
        }.items():
            twin = signer.entry(status="revoked", **changes)
            yield vector(f"verify: {algorithm}, its material is revoked under {name}",
                         refused(statement, signature, "key-revoked", [signer.entry(), twin]),
                         refused(statement, signature, "key-revoked", [twin, signer.entry()]))
        yield vector(f"verify: {algorithm}, a revoked key beside it",
                     verify(signer, statement, [BOB.entry(status="revoked"), signer.entry()]))


def strict_ed25519():
    """Signatures on which Ed25519 verifiers are known to differ. This one is strict."""
    statement = statement_of(ED)
    data = message(statement)
    raw = ED.raw(data)
    scalar, _ = ed25519.expand(ED.secret)
    public = ed25519.public_key(ED.secret)
    r, s = raw[:32], int.from_bytes(raw[32:], "little")

    def with_s(value):
        return text_of(ED.id, r + value.to_bytes(32, "little"))

    yield vector("strict: a second half that is not below the order",
                 refused(statement, with_s(s + ed25519.L), "signature-invalid"),
                 refused(statement, with_s(s + 8 * ed25519.L), "signature-invalid"),
                 refused(statement, with_s(2**256 - 1), "signature-invalid"),
                 refused(statement, with_s(ed25519.L), "signature-invalid"))
    yield vector("strict: the negative of the second half", refused(statement, with_s(ed25519.L - s), "signature-invalid"))
    yield vector("strict: the first half with its sign turned", refused(
        statement, text_of(ED.id, r[:31] + bytes([r[31] ^ 0x80]) + raw[32:]), "signature-invalid"))
    nowhere = next(n for n in range(2, 99) if ed25519.decode(n.to_bytes(32, "little")) is None).to_bytes(32, "little")
    yield vector("strict: a first half that is no point",
                 refused(statement, text_of(ED.id, nowhere + raw[32:]), "signature-invalid"))
    yield vector("strict: a key that is no point",
                 refused(statement, with_s(s), "signature-invalid", [ED.entry(material=base64url(nowhere))]))

    # Keys of small order: anyone can make a signature for any message.
    point = ed25519.NEUTRAL
    for index in range(8):
        key = ed25519.encode(point)
        nonce = 5
        first = ed25519.encode(ed25519.times(nonce, ed25519.BASE))
        forged = first + nonce.to_bytes(32, "little")
        yield vector(f"strict: a key of small order, {index}", refused(
            statement, text_of(ED.id, forged), "signature-invalid", [ED.entry(material=base64url(key))]))
        yield vector(f"strict: a first half of small order, {index}",
                     refused(statement, text_of(ED.id, key + bytes(32)), "signature-invalid"),
                     refused(statement, text_of(ED.id, key + raw[32:]), "signature-invalid"),
                     refused(statement, text_of(ED.id, key + bytes(32)), "signature-invalid",
                             [ED.entry(material=base64url(key))]))
        point = ed25519.add(point, ed25519.torsion())

    # The neutral point and others, encoded as numbers that are not below the prime.
    for more in (0, 1, 2, 3, 18):
        number = ed25519.P + more
        for sign_bit in (0, 1):
            key = (number | sign_bit << 255).to_bytes(32, "little")
            forged = ed25519.encode(ed25519.times(7, ed25519.BASE)) + (7).to_bytes(32, "little")
            yield vector(f"strict: a key written as p + {more}, sign {sign_bit}",
                         refused(statement, text_of(ED.id, forged), "signature-invalid",
                                 [ED.entry(material=base64url(key))]),
                         refused(statement, text_of(ED.id, key + bytes(32)), "signature-invalid"))
    negative_zero = (1 | 1 << 255).to_bytes(32, "little")
    yield vector("strict: the neutral point with a sign",
                 refused(statement, text_of(ED.id, negative_zero + bytes(32)), "signature-invalid"),
                 refused(statement, text_of(ED.id, negative_zero + bytes(32)), "signature-invalid",
                         [ED.entry(material=base64url(negative_zero))]))

    # A key with a component of small order: only cofactored verifiers accept all of its signatures.
    mixed = ed25519.encode(ed25519.add(ed25519.decode(public), ed25519.torsion()))
    seen = set()
    for number in range(99):
        changed = {**statement, "comment": str(number)}
        signature = ed25519.finish(scalar, 11 + number, mixed, message(changed))
        challenge = ed25519.digest(signature[:32], mixed, message(changed)) % ed25519.L
        agree = challenge % 8 == 0
        if agree in seen:
            continue
        seen.add(agree)
        args = verify_args(changed, text_of(ED.id, signature), [ED.entry(material=base64url(mixed))])
        if agree:
            yield vector("strict: a key of mixed order, both equations hold", step(
                "signing.verify", args, ok={"key_id": ED.id}))
        else:
            yield vector("strict: a key of mixed order, only the equation with the cofactor holds", step(
                "signing.verify", args, error="signature-invalid"))
        if len(seen) == 2:
            break
    assert len(seen) == 2


def precedence():
    """Several rules refuse at once; each step fixes what the previous step was refused for."""
    for algorithm, signer in SIGNERS.items():
        statement = statement_of(signer)
        forged = text_of(signer.id, bytes(64 if algorithm == "ed25519" else 32))
        theirs = signer.entry(approver=OTHER)
        yield vector(f"precedence of verify: {algorithm}",
                     refused({**statement, "audience": ""}, "v2.zz", "request-invalid", []),
                     refused(statement, "v2.zz", "signature-malformed", []),
                     refused(statement, forged, "key-unknown", []),
                     refused(statement, forged, "key-unknown", [{**theirs, "status": "revoked", "use": "log"}]),
                     refused(statement, forged, "key-revoked", [{**theirs, "status": "revoked"}]),
                     refused(statement, forged, "key-not-yours", [theirs]),
                     refused(statement, forged, "signature-invalid"),
                     verify(signer, statement))
        bad = signer.private(use="log", status="revoked", approver=OTHER)
        yield vector(f"precedence of sign: {algorithm}",
                     refused_sign({**statement, "comment": "\0"}, bad, "request-invalid"),
                     refused_sign(statement, bad, "request-invalid"),
                     refused_sign({**statement, "key_id": "k"}, {**bad, "use": "approve"}, "request-invalid"),
                     refused_sign(statement, {**bad, "use": "approve"}, "key-revoked"),
                     refused_sign(statement, {**bad, "use": "approve", "status": "active"}, "key-not-yours"),
                     sign(signer, statement))
    colon = statement_of(ALICE, approver="a:b")
    yield vector("precedence: what v1 finds ambiguous counts where the form is v1",
                 refused(colon, "zz", "statement-ambiguous", [], BOTH),
                 refused(colon, "v2.zz", "signature-malformed", [], BOTH),
                 refused(colon, "zz", "signature-malformed", [], V2))


if __name__ == "__main__":
    main(__file__, render(list(vectors()), DEFINE))
