#!/usr/bin/env python3
"""Writes `signing.json`: payloads, signatures, and every signature that must be refused.

The expected signatures come from Python. `--check` compares instead of writing.
"""

import base64

from vector_file import (
    LAST_SECOND,
    approval_message,
    base64url,
    copies,
    generate_approval_signature,
    hmac_key,
    main,
    moment,
    ref,
    render,
    repeated,
    step,
    vector,
)

SECRET = "a secret that is for examples only"
OLDER_SECRET = "the secret that was used last quarter"
OTHER_SECRET = "a secret that signed nothing in here"
# The runbook's own example: 2025-10-17T11:30:00+00:00.
EXAMPLE = {
    "approval_id": "appr_abc123",
    "decision": "approved",
    "approver": "user@company.com",
    "expires_at": 1760700600,
}
DEFINE = {
    "key": hmac_key("2025q4", SECRET),
    "older_key": hmac_key("2025q3", OLDER_SECRET, status="verify-only"),
    "other_key": hmac_key("2026q1", OTHER_SECRET),
    "revoked_key": hmac_key("2025q4", SECRET, status="revoked"),
    "statement": EXAMPLE,
}
V1 = ["v1"]
# Bytes that the two base64 alphabets encode differently: `-_` there, `+/` here.
AWKWARD_BYTES = bytes(range(0xE0, 0x100)) + b"\xfb\xff\xfe"


def vectors():
    yield from payloads()
    yield from times()
    yield from signatures()
    yield from keys_that_sign_nothing()
    yield from key_forms()
    yield from statement_forms()
    yield from ambiguous()
    yield from other_statements()
    yield from signature_forms()
    yield from rotation()
    yield from keys_of_other_uses()
    yield from accepted_profiles()
    yield from precedence()


def payloads():
    yield vector("payload: the runbook's example", payload(EXAMPLE))
    yield vector("payload: a rejection", payload({**EXAMPLE, "decision": "rejected"}))
    uncovered = {"audience": "prod", "key_id": "2025q4", "request_digest": "00", "comment": "fine"}
    yield vector("payload: v1 covers no audience, key, digest or comment", payload({**EXAMPLE, **uncovered}))
    yield vector("payload: every character of an identifier but the colon",
                 payload({**EXAMPLE, "approver": "".join(map(chr, range(0x21, 0x7F))).replace(":", "")}))
    yield vector("payload: identifiers of 128 bytes",
                 payload({**EXAMPLE, "approval_id": "a" * 128, "approver": "b" * 128}))
    for profile in ["", "V1", "v1 ", "V2", "v3", "none", "hmac-sha256"]:
        yield vector(f"payload: unknown profile `{profile}`", step(
            "signing.payload", {"statement": ref("statement"), "profile": profile}, error="request-invalid"))


def payload(statement):
    text = message(statement)
    return step("signing.payload", {"statement": statement, "profile": "v1"},
                ok={"profile": "v1", "base64url": base64url(text.encode()), "text": text})


def times():
    """The message holds `datetime.isoformat()`; each time must also be signed as Python signs it."""
    moments = {
        "the epoch": 0,
        "one second after the epoch": 1,
        "the last second of 1999": 946684799,
        "a leap day": 1709164800,
        "the day after a leap day": 1709251200,
        "a day that 2100 does not leap": 4107542400,
        "past 32 bits signed": 2147483648,
        "past 32 bits unsigned": 4294967296,
        "the last second of the year 9999": LAST_SECOND,
    }
    for name, seconds in moments.items():
        statement = {**EXAMPLE, "expires_at": seconds}
        yield vector(f"time: {name}", payload(statement), sign(statement), verify(statement))
    for seconds in [LAST_SECOND + 1, 2**53]:
        for op, args in [
            ("signing.payload", {"profile": "v1"}),
            ("signing.sign", {"profile": "v1", "key": ref("key")}),
            ("signing.verify", {"signature": "0" * 64, "keys": [ref("key")], "accept": V1}),
        ]:
            yield vector(f"time: {op} past the year 9999, {seconds}", step(
                op, {"statement": {**EXAMPLE, "expires_at": seconds}, **args}, error="request-invalid"))


def signatures():
    yield vector("sign and verify: the runbook's example", sign(EXAMPLE), verify(EXAMPLE))
    yield vector("sign and verify: a rejection",
                 sign({**EXAMPLE, "decision": "rejected"}), verify({**EXAMPLE, "decision": "rejected"}))
    secrets = {
        "32 bytes": "k" * 32,
        "64 bytes, a block of SHA-256": "k" * 64,
        "65 bytes, hashed first": "k" * 65,
        "4096 bytes": "k" * 4096,
        "not trimmed": "  a secret with spaces around it, kept as they are \n",
        "not ASCII": "señor Müller's 秘密 is 32 bytes long",
        "only zeros": "\0" * 32,
    }
    for name, secret in secrets.items():
        key = hmac_key("k", secret)
        yield vector(f"sign and verify: a secret, {name}",
                     sign(EXAMPLE, key, secret), verify(EXAMPLE, key, secret))
    yield vector("sign: v1 covers no audience, key, digest or comment",
                 sign({**EXAMPLE, "audience": "x", "key_id": "y", "request_digest": "z", "comment": "c"}))
    yield vector("verify: v1 covers no audience, key, digest or comment",
                 verify({**EXAMPLE, "audience": "x", "key_id": "y", "request_digest": "z", "comment": "c"}))


def keys_that_sign_nothing():
    for name, changes, code in [
        ("verify-only", {"status": "verify-only"}, "key-revoked"),
        ("revoked", {"status": "revoked"}, "key-revoked"),
        ("of use log", {"use": "log"}, "request-invalid"),
        ("of use module", {"use": "module"}, "request-invalid"),
        ("bound to an approver", {"approver": "user@company.com"}, "request-invalid"),
        ("revoked and of use log", {"status": "revoked", "use": "log"}, "request-invalid"),
    ]:
        key = hmac_key("k", SECRET, **changes)
        yield vector(f"sign: a key that is {name} signs nothing", step(
            "signing.sign", {"statement": ref("statement"), "profile": "v1", "key": key}, error=code))
    yield vector("sign: groups do not stand in the way",
                 sign(EXAMPLE, hmac_key("k", SECRET, groups=["security", "sre"])))


def key_forms():
    """Every field of a key malformed, in `sign` and in `verify`."""
    good = hmac_key("k", SECRET)
    forms = {
        "no id": {"id": ""},
        "id in upper case": {"id": "K"},
        "id with a space": {"id": "a key"},
        "id with a dot": {"id": "a.key"},
        "id of 65 bytes": {"id": "k" * 65},
        "no algorithm": {"algorithm": ""},
        "algorithm none": {"algorithm": "none"},
        "algorithm in upper case": {"algorithm": "HMAC-SHA256"},
        "algorithm hmac-sha512": {"algorithm": "hmac-sha512"},
        "no material": {"material": ""},
        "material of 31 bytes": {"material": base64url(b"k" * 31)},
        "material of 4097 bytes": {"material": base64url(b"k" * 4097)},
        "material with padding": {"material": base64.urlsafe_b64encode(b"k" * 32).decode()},
        "material in the standard alphabet": {"material": base64.b64encode(AWKWARD_BYTES).decode().rstrip("=")},
        "material with a new line": {"material": base64url(b"k" * 32) + "\n"},
        "material with spare bits set": {"material": base64url(bytes(32))[:-1] + "B"},
        "material of an impossible length": {"material": base64url(bytes(33)) + "A"},
        "material that is no base64": {"material": "!" * 64},
        "unknown status": {"status": "expired"},
        "status in upper case": {"status": "Active"},
        "no status": {"status": ""},
        "unknown use": {"use": "sign"},
        "no use": {"use": ""},
        "an empty approver": {"approver": ""},
        "an approver with a space": {"approver": "a user"},
        "an empty group": {"groups": [""]},
        "a group with a space": {"groups": ["sre", "on call"]},
    }
    for name, changes in forms.items():
        key = {**good, **changes}
        yield vector(f"key: {name}", refused_sign(key, "request-invalid"),
                     refused_verify([key], "request-invalid"),
                     refused_verify([ref("key"), key], "request-invalid"))
    for name, changes in {"approver of 129 bytes": {"approver": "a" * 129},
                          "group of 129 bytes": {"groups": ["g" * 129]}}.items():
        key = {**good, **changes}
        yield vector(f"key: {name}", refused_sign(key, "limit-exceeded"), refused_verify([key], "limit-exceeded"))
    awkward = {**good, "material": base64url(AWKWARD_BYTES)}
    yield vector("key: material with both characters that base64url changes", step(
        "signing.verify", verify_args(EXAMPLE, "0" * 64, [awkward]), error="signature-invalid"))
    yield vector("key: an id of 64 bytes of every character",
                 verify(EXAMPLE, hmac_key("abcdefghijklmnopqrstuvwxyz0123456789_-".ljust(64, "0"), SECRET)))
    for field in good:
        if field not in ("approver", "groups"):
            less = {name: value for name, value in good.items() if name != field}
            yield vector(f"key: without {field}", refused_sign(less, "request-invalid"),
                         refused_verify([less], "request-invalid"))
    yield vector("key: approver and groups may be left out", sign(
        EXAMPLE, {name: value for name, value in good.items() if name not in ("approver", "groups")}))
    yield vector("key: an unknown field", refused_sign({**good, "kid": "k"}, "request-invalid"),
                 refused_verify([{**good, "kid": "k"}], "request-invalid"))
    yield vector("key: two of one id", refused_verify([ref("key"), ref("key")], "request-invalid"),
                 refused_verify([ref("key"), hmac_key("2025q4", OTHER_SECRET)], "request-invalid"))
    yield vector("key: two of one id, one of them of another use", refused_verify(
        [ref("key"), hmac_key("2025q4", OTHER_SECRET, use="log")], "request-invalid"))
    yield vector("key: more than 4096 of them", step(
        "signing.verify", verify_args(EXAMPLE, "0" * 64, copies(ref("key"), 4097)), error="limit-exceeded"))


def statement_forms():
    """Every covered field malformed, in all three operations."""
    forms = {
        "no id": ({"approval_id": ""}, "request-invalid"),
        "an id with a space": ({"approval_id": "appr abc"}, "request-invalid"),
        "an id with a new line": ({"approval_id": "appr_abc123\n"}, "request-invalid"),
        "an id with NUL": ({"approval_id": "appr_abc123\0"}, "request-invalid"),
        "an id of 129 bytes": ({"approval_id": "a" * 129}, "limit-exceeded"),
        "no approver": ({"approver": ""}, "request-invalid"),
        "an approver with a space": ({"approver": "a user"}, "request-invalid"),
        "an approver that is not ASCII": ({"approver": "jos\u00e9"}, "request-invalid"),
        "an approver with DEL": ({"approver": "user\x7f"}, "request-invalid"),
        "an approver of 129 bytes": ({"approver": "a" * 129}, "limit-exceeded"),
        "no decision": ({"decision": ""}, "request-invalid"),
        "decision in upper case": ({"decision": "Approved"}, "request-invalid"),
        "decision with a space": ({"decision": "approved "}, "request-invalid"),
        "decision approve": ({"decision": "approve"}, "request-invalid"),
        "decision pending": ({"decision": "pending"}, "request-invalid"),
    }
    for name, (changes, code) in forms.items():
        yield vector(f"statement: {name}", *refused_everywhere({**EXAMPLE, **changes}, code))
    yield vector("statement: nothing in it", *refused_everywhere({}, "request-invalid"))
    yield vector("statement: an unknown field", *refused_everywhere({**EXAMPLE, "id": "x"}, "request-invalid"))
    yield vector("statement: a text for a time",
                 *refused_everywhere({**EXAMPLE, "expires_at": "2025-10-17T11:30:00Z"}, "request-invalid"))
    yield vector("statement: a negative time", *refused_everywhere({**EXAMPLE, "expires_at": -1}, "request-invalid"))
    yield vector("statement: a time with a fraction",
                 *refused_everywhere({**EXAMPLE, "expires_at": 1760700600.5}, "request-invalid"))


def ambiguous():
    """With a `:` in a field, one signature would match two statements."""
    for name, changes in {
        "an approver with a colon": {"approver": "ldap:user"},
        "an approver that is a colon": {"approver": ":"},
        "an approver that ends in a colon": {"approver": "user:"},
        "an id with a colon": {"approval_id": "appr:abc123"},
        "both with a colon": {"approval_id": "a:b", "approver": "c:d"},
    }.items():
        yield vector(f"ambiguous: {name}", *refused_everywhere({**EXAMPLE, **changes}, "statement-ambiguous"))
    moved = {**EXAMPLE, "approval_id": "a", "approver": "approved:user"}
    split = {**EXAMPLE, "approval_id": "a:approved", "approver": "user"}
    assert message(moved) == message(split)
    yield vector("ambiguous: two statements of one message",
                 *refused_everywhere(moved, "statement-ambiguous"),
                 *refused_everywhere(split, "statement-ambiguous"))


def other_statements():
    """A signature is valid only for its own statement."""
    signed = signature(EXAMPLE)
    for name, changes in {
        "id": {"approval_id": "appr_abc124"},
        "id, longer": {"approval_id": "appr_abc1234"},
        "id, shorter": {"approval_id": "appr_abc12"},
        "id in upper case": {"approval_id": "APPR_ABC123"},
        "decision": {"decision": "rejected"},
        "approver": {"approver": "user@company.org"},
        "approver in upper case": {"approver": "User@company.com"},
        "expiry, a second later": {"expires_at": EXAMPLE["expires_at"] + 1},
        "expiry, a second earlier": {"expires_at": EXAMPLE["expires_at"] - 1},
        "expiry, an hour later": {"expires_at": EXAMPLE["expires_at"] + 3600},
    }.items():
        yield vector(f"verify: a signature of another {name}", step(
            "signing.verify", verify_args({**EXAMPLE, **changes}, signed), error="signature-invalid"))
    yield vector("verify: a signature by another key", step(
        "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE, OTHER_SECRET)), error="signature-invalid"))
    naive = generate_approval_signature(
        EXAMPLE["approval_id"], "approved", EXAMPLE["approver"],
        moment(EXAMPLE["expires_at"]).replace(tzinfo=None), SECRET)
    yield vector("verify: a signature over a naive datetime, which has no offset", step(
        "signing.verify", verify_args(EXAMPLE, naive), error="signature-invalid"))
    for name, material in {"in base64url": base64url(SECRET.encode()), "with a new line": SECRET + "\n"}.items():
        yield vector(f"verify: a signature by the secret {name}", step(
            "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE, material)), error="signature-invalid"))


def signature_forms():
    signed = signature(EXAMPLE)
    assert any(c in "abcdef" for c in signed)
    for name, text in {
        "empty": "",
        "63 characters": signed[:-1],
        "65 characters": signed + "0",
        "62 characters": signed[:-2],
        "128 characters": signed * 2,
        "upper case": signed.upper(),
        "one character in upper case": next(
            signed[:i] + c.upper() + signed[i + 1:] for i, c in enumerate(signed) if c in "abcdef"),
        "not hex": "g" + signed[1:],
        "a character that is not ASCII": "\u00e9" + signed[2:],
        "a digit that is not ASCII": "\uff11" + signed[3:],
        "a space before": " " + signed,
        "a space after": signed + " ",
        "a new line after": signed + "\n",
        "a new line for the last character": signed[:-1] + "\n",
        "NUL for the last character": signed[:-1] + "\0",
        "0x before": "0x" + signed[2:],
        "a plus sign": "+" + signed[1:],
        "sha256= before": "sha256=" + signed,
        "quotes": f'"{signed}"',
        "base64url": base64url(bytes.fromhex(signed)),
        "the form of v2": "v2.2025q4." + base64url(bytes.fromhex(signed)),
        "v1. before": "v1." + signed,
    }.items():
        yield vector(f"verify: malformed, {name}", step(
            "signing.verify", verify_args(EXAMPLE, text), error="signature-malformed"))
    yield vector("verify: malformed, a million characters", step(
        "signing.verify", verify_args(EXAMPLE, repeated((signed, 16384))), error="signature-malformed"))
    yield vector("verify: only zeros", step(
        "signing.verify", verify_args(EXAMPLE, "0" * 64), error="signature-invalid"))
    for at in (0, 31, 63):
        flipped = signed[:at] + "0123456789abcdef"[int(signed[at], 16) ^ 1] + signed[at + 1:]
        yield vector(f"verify: one bit flipped in character {at}", step(
            "signing.verify", verify_args(EXAMPLE, flipped), error="signature-invalid"))


def rotation():
    keys = [ref("key"), ref("older_key"), ref("other_key")]
    for name, secret, key_id in [
        ("first", SECRET, "2025q4"),
        ("second, verify-only", OLDER_SECRET, "2025q3"),
        ("third", OTHER_SECRET, "2026q1"),
    ]:
        yield vector(f"verify: of three keys the {name} made it", step(
            "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE, secret), keys), ok={"key_id": key_id}))
    yield vector("verify: none of three keys made it", step(
        "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE, "x" * 32), keys), error="signature-invalid"))
    yield vector("verify: a verify-only key verifies",
                 verify(EXAMPLE, hmac_key("k", SECRET, status="verify-only")))
    yield vector("verify: a revoked key made it", step(
        "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE), [ref("revoked_key")]), error="key-revoked"))
    yield vector("verify: a revoked key among others made it", step(
        "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE), [ref("other_key"), ref("revoked_key")]),
        error="key-revoked"))
    yield vector("verify: a revoked key that did not make it is nothing but a key", step(
        "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE, OTHER_SECRET), [ref("revoked_key")]),
        error="signature-invalid"))
    yield vector("verify: a revoked key does not spoil another's signature", step(
        "signing.verify",
        verify_args(EXAMPLE, signature(EXAMPLE, OTHER_SECRET), [ref("revoked_key"), ref("other_key")]),
        ok={"key_id": "2026q1"}))
    twin = hmac_key("twin", SECRET)
    for name, keys in {"first": [ref("revoked_key"), twin], "last": [twin, ref("revoked_key")]}.items():
        yield vector(f"verify: revoked material refuses under another id too, revoked {name}", step(
            "signing.verify", verify_args(EXAMPLE, signature(EXAMPLE), keys), error="key-revoked"))


def keys_of_other_uses():
    signed = signature(EXAMPLE)
    for name, changes in {
        "of use log": {"use": "log"},
        "of use module": {"use": "module"},
        "bound to the approver": {"approver": "user@company.com"},
        "bound to another": {"approver": "other@company.com"},
        "revoked and of use log": {"use": "log", "status": "revoked"},
    }.items():
        key = hmac_key("k", SECRET, **changes)
        # Revoked material is revoked, whatever the use of the key with that status.
        with_ours = {"error": "key-revoked"} if "status" in changes else {"ok": {"key_id": "2025q4"}}
        yield vector(f"verify: a key {name} does not serve v1",
                     step("signing.verify", verify_args(EXAMPLE, signed, [key]), error="key-unknown"),
                     step("signing.verify", verify_args(EXAMPLE, signed, [key, ref("other_key")]),
                          error="signature-invalid"),
                     step("signing.verify", verify_args(EXAMPLE, signed, [key, ref("key")]), **with_ours))
    yield vector("verify: no key", step(
        "signing.verify", verify_args(EXAMPLE, signed, []), error="key-unknown"))


def accepted_profiles():
    for name, accept in {"none": [], "unknown": ["v3"], "upper case": ["V1"], "v1 and an unknown one": ["v1", "v3"],
                         "an empty name": [""]}.items():
        yield vector(f"verify: accepted profiles, {name}", step(
            "signing.verify", {**verify_args(EXAMPLE, signature(EXAMPLE)), "accept": accept},
            error="request-invalid"))
    yield vector("verify: accepted profiles, one twice", step(
        "signing.verify", {**verify_args(EXAMPLE, signature(EXAMPLE)), "accept": ["v1", "v1"]},
        ok={"key_id": "2025q4"}))


def precedence():
    """Several rules refuse at once; each step fixes what the previous step was refused for."""
    colon = {**EXAMPLE, "approver": "a:b"}
    bad_key = hmac_key("k", SECRET, status="no")
    yield vector("precedence of verify",
                 refused_verify([bad_key], "request-invalid", {**colon, "decision": "no"}, "zz"),
                 refused_verify([bad_key], "request-invalid", colon, "zz"),
                 refused_verify([], "statement-ambiguous", colon, "zz"),
                 refused_verify([], "signature-malformed", EXAMPLE, "zz"),
                 refused_verify([], "key-unknown", EXAMPLE, "0" * 64),
                 refused_verify([ref("revoked_key")], "key-revoked", EXAMPLE, signature(EXAMPLE)),
                 refused_verify([ref("key")], "signature-invalid", EXAMPLE, "0" * 64))
    revoked_log = hmac_key("k", SECRET, status="revoked", use="log")
    yield vector("precedence of sign",
                 refused_sign(revoked_log, "request-invalid", {**colon, "decision": "no"}),
                 refused_sign(revoked_log, "statement-ambiguous", colon),
                 refused_sign(revoked_log, "request-invalid"),
                 refused_sign(ref("revoked_key"), "key-revoked"))
    yield vector("precedence of payload",
                 step("signing.payload", {"statement": colon, "profile": "v9"}, error="request-invalid"),
                 step("signing.payload", {"statement": {**colon, "decision": ""}, "profile": "v1"},
                      error="request-invalid"),
                 step("signing.payload", {"statement": colon, "profile": "v1"}, error="statement-ambiguous"))


def sign(statement, key=None, secret=SECRET):
    args = {"statement": statement, "profile": "v1", "key": key or ref("key")}
    return step("signing.sign", args, ok={"signature": signature(statement, secret)})


def verify(statement, key=None, secret=SECRET):
    key_id = key["id"] if key else "2025q4"
    return step("signing.verify", verify_args(statement, signature(statement, secret), [key or ref("key")]),
                ok={"key_id": key_id})


def verify_args(statement, signed, keys=None):
    keys = [ref("key")] if keys is None else keys
    return {"statement": statement, "signature": signed, "keys": keys, "accept": V1}


def refused_sign(key, code, statement=EXAMPLE):
    return step("signing.sign", {"statement": statement, "profile": "v1", "key": key}, error=code)


def refused_verify(keys, code, statement=EXAMPLE, signed=None):
    return step("signing.verify", verify_args(statement, signed or signature(EXAMPLE), keys), error=code)


def refused_everywhere(statement, code):
    yield step("signing.payload", {"statement": statement, "profile": "v1"}, error=code)
    yield refused_sign(ref("key"), code, statement)
    yield refused_verify([ref("key")], code, statement, "0" * 64)


def message(statement):
    return approval_message(**covered(statement))


def signature(statement, secret=SECRET):
    return generate_approval_signature(**covered(statement), secret=secret)


def covered(statement):
    """Returns the fields that v1 covers, as arguments of the runbook's function."""
    fields = {name: statement[name] for name in ("approval_id", "decision", "approver")}
    return {**fields, "expires_at": moment(statement["expires_at"])}


if __name__ == "__main__":
    main(__file__, render(list(vectors()), DEFINE))
