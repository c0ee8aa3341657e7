#!/usr/bin/env python3
"""Writes `manifest.json`: how the signed manifest of a module is verified.

Envelopes are written by hand, signatures come from `ed25519.py`. `--check` compares instead of writing.
"""

import base64
import hashlib
import json

import ed25519
from vector_file import base64url, has, main, ref, render, repeated, step, vector

PAYLOAD_TYPE = "application/vnd.signoff.module+json"
DIGEST = hashlib.sha256(b"a module").hexdigest()
OTHER_DIGEST = hashlib.sha256(b"another module").hexdigest()
SEED, OTHER_SEED = (hashlib.sha256(name).digest() for name in (b"policy team", b"somebody else"))
MANIFEST = {
    "format": 1, "digest": DIGEST, "slot": "policy", "name": "payments", "version": 7,
    "limits": {"fuel": 5, "memory_bytes": 65536}, "facts": ["requester"], "audience": ["prod", "staging"],
    "created": "2026-01-31T12:00:00Z",
}
VERIFIED = {**MANIFEST, "key_id": "team"}
del VERIFIED["format"]


def dsse(signed_bytes, seed=SEED, key_id="team", payload_type=PAYLOAD_TYPE, **changes):
    """Returns a DSSE envelope; the payload is signed as it is."""
    payload = signed_bytes if isinstance(signed_bytes, bytes) else json.dumps(signed_bytes).encode()
    head = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode()
    signature = ed25519.sign(seed, head + payload)
    envelope = {"payloadType": payload_type, "payload": base64.b64encode(payload).decode(),
                "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}]}
    return json.dumps({**envelope, **changes})


def key(key_id="team", seed=SEED, **changes):
    return {"id": key_id, "algorithm": "ed25519", "material": base64url(ed25519.public_key(seed)), "status": "active",
            "use": "module", "approver": None, "groups": ["policy"], **changes}


SECRET = {"id": "team", "algorithm": "hmac-sha256", "material": base64url(SEED), "status": "active", "use": "module",
          "approver": None, "groups": ["policy"]}
DEFINE = {"envelope": dsse(MANIFEST), "keys": [key()]}


def args(**changes):
    return {"manifest": ref("envelope"), "digest": DIGEST, "slot": "policy", "audience": "prod", "keys": ref("keys"),
            **changes}


def verifies(name, ok=VERIFIED, **changes):
    return vector(name, step("manifest.verify", args(**changes), ok=ok))


def refused(name, code, **changes):
    return vector(name, step("manifest.verify", args(**changes), error=code))


def signed(**changes):
    """An envelope of a manifest with members changed; None removes one."""
    manifest = {name: value for name, value in {**MANIFEST, **changes}.items() if value is not None}
    return dsse(manifest)


def verified(**changes):
    return {**VERIFIED, **changes}


DEFAULT_LIMITS = {"fuel": 1_000_000_000, "memory_bytes": 64 << 20}


def accepted():
    yield verifies("a signed manifest")
    yield verifies("the envelope as an object on the wire", manifest=json.loads(dsse(MANIFEST)))
    yield verifies("without an audience, none is compared", audience=None)
    yield verifies("a manifest without audiences is for any", verified(audience=[]), manifest=signed(audience=None))
    yield verifies("defaults are filled in", verified(limits=DEFAULT_LIMITS, facts=[]),
                   manifest=signed(limits=None, facts=None))
    yield verifies("a part of the limits", verified(limits={**DEFAULT_LIMITS, "fuel": 9}),
                   manifest=signed(limits={"fuel": 9}))
    yield verifies("a key that signs no more verifies", keys=[key(status="verify-only")])
    yield verifies("another revoked key does not matter", keys=[key(), key("old", OTHER_SEED, status="revoked")])
    yield verifies("facts and audiences are sorted", verified(facts=["a", "b"], audience=["a", "prod"]),
                   manifest=signed(facts=["b", "a"], audience=["prod", "a"]))
    yield verifies("a verifier", has(slot="verifier", facts=[]), slot="verifier",
                   manifest=signed(slot="verifier", facts=None), keys=[key(groups=["policy", "verifier"])])
    yield verifies("white space in the payload is signed, too", manifest=dsse(json.dumps(MANIFEST, indent=1).encode()))


def arguments():
    for name, digest in (("short", DIGEST[1:]), ("upper-case", DIGEST.upper()), ("empty", "")):
        yield refused(f"{name} digest", "request-invalid", digest=digest)
    for slot in ("", "Policy", "log"):
        yield refused(f"slot `{slot}`", "request-invalid", slot=slot)
    yield refused("empty audience", "request-invalid", audience="")
    yield refused("long audience", "limit-exceeded", audience=repeated(["a", 129]))
    yield refused("two keys with one id", "request-invalid", keys=[key(), key()])
    yield refused("a malformed key", "request-invalid", keys=[key(material="AAAA")])
    yield refused("arguments come before the envelope", "request-invalid", digest="", manifest="{")


def envelopes():
    invalid = {
        "empty": "", "not JSON": "{", "a list": "[]", "null": "null",
        "white space after it": dsse(MANIFEST) + "{}",
        "another payload type": dsse(MANIFEST, payload_type="application/vnd.in-toto+json"),
        "one more member": dsse(MANIFEST, more=1),
        "no signature": dsse(MANIFEST, signatures=[]),
        "two signatures": dsse(MANIFEST, signatures=json.loads(dsse(MANIFEST))["signatures"] * 2),
        "a payload that is not base64": dsse(MANIFEST, payload="*"),
        "a payload in base64url": dsse(MANIFEST, payload="-_=="),
        "a payload without padding": dsse(b"{}x", payload="e30"),
        "a signature that is too short": dsse(MANIFEST, signatures=[{"keyid": "team", "sig": "AAAA"}]),
        "a malformed key id": dsse(MANIFEST, signatures=[{"keyid": "Team!", "sig": "AAAA"}]),
        "a duplicate member": dsse(MANIFEST).replace("{\"payloadType\"", "{\"payload\": \"\", \"payloadType\"", 1),
    }
    for name, manifest in invalid.items():
        yield refused(f"envelope: {name}", "manifest-invalid", manifest=manifest)
    yield refused("envelope: too long", "limit-exceeded", manifest=repeated([" ", 16385]))


def signers():
    yield refused("no keys", "key-unknown", keys=[])
    yield refused("another id", "key-unknown", keys=[key("other")])
    for use in ("approve", "log"):
        yield refused(f"a key for another use: {use}", "key-unknown",
                      keys=[key(use=use, approver="ann@company.com" if use == "approve" else None)])
    yield refused("a secret", "key-unknown", keys=[SECRET])
    yield refused("a revoked key", "key-revoked", keys=[key(status="revoked")])
    yield refused("revoked under another id", "key-revoked", keys=[key(), key("old", status="revoked")])
    yield refused("revoked for another use", "key-revoked",
                  keys=[key(), key("old", status="revoked", use="approve", approver="ann@company.com")])
    yield refused("another key of the same id", "signature-invalid", keys=[key(seed=OTHER_SEED)])
    yield refused("signed by somebody else", "signature-invalid", manifest=dsse(MANIFEST, OTHER_SEED))
    changed = json.loads(dsse(MANIFEST))
    changed["payload"] = base64.b64encode(json.dumps({**MANIFEST, "version": 8}).encode()).decode()
    yield refused("a changed payload", "signature-invalid", manifest=json.dumps(changed))
    yield refused("the signature comes before the manifest", "signature-invalid", manifest=dsse(b"{", OTHER_SEED))
    yield refused("a key without slots", "key-not-yours", keys=[key(groups=[])])
    yield refused("a key of another slot", "key-not-yours", keys=[key(groups=["verifier"])])
    yield refused("its slot comes before the digest", "key-not-yours", keys=[key(groups=[])], digest=OTHER_DIGEST)


def manifests():
    invalid = {
        "another format": dict(format=2), "no digest": dict(digest=None), "a short digest": dict(digest="00"),
        "an unknown slot": dict(slot="log"), "a name with a space": dict(name="a b"), "version 0": dict(version=0),
        "no creation time": dict(created=None), "a local creation time": dict(created="2026-01-31T12:00:00+00:00"),
        "a day that does not exist": dict(created="2026-02-30T12:00:00Z"), "one more member": dict(more=1),
        "no fuel": dict(limits={"fuel": 0}), "too little memory": dict(limits={"memory_bytes": 65535}),
        "an unknown limit": dict(limits={"time": 1}), "a malformed fact": dict(facts=["A"]),
        "a fact twice": dict(facts=["a", "a"]), "an audience with a space": dict(audience=["a b"]),
        "an audience twice": dict(audience=["a", "a"]),
    }
    for name, changes in invalid.items():
        yield refused(f"manifest: {name}", "manifest-invalid", manifest=signed(**changes))
    excessive = {
        "too much fuel": dict(limits={"fuel": 10_000_000_001}),
        "too much memory": dict(limits={"memory_bytes": (128 << 20) + 1}),
        "17 facts": dict(facts=[f"f{number}" for number in range(17)]),
        "17 audiences": dict(audience=[f"a{number}" for number in range(17)]),
    }
    for name, changes in excessive.items():
        yield refused(f"manifest: {name}", "limit-exceeded", manifest=signed(**changes))
    yield refused("manifest: facts of a verifier", "manifest-invalid", slot="verifier",
                  manifest=signed(slot="verifier"), keys=[key(groups=["verifier"])])
    for name, payload in (("not UTF-8", b"\xff"), ("not JSON", b"{"), ("empty", b""), ("a list", b"[]")):
        yield refused(f"manifest: {name}", "manifest-invalid", manifest=dsse(payload))
    yield refused("the manifest of another module", "manifest-invalid", digest=OTHER_DIGEST)
    yield refused("the manifest of another slot", "manifest-invalid", slot="verifier",
                  keys=[key(groups=["policy", "verifier"])])
    yield refused("another audience", "audience-mismatch", audience="dev")
    yield refused("another spelling of the audience", "audience-mismatch", audience="Prod")
    yield refused("the digest comes before the audience", "manifest-invalid", digest=OTHER_DIGEST, audience="dev")


VECTORS = [*accepted(), *arguments(), *envelopes(), *signers(), *manifests()]

if __name__ == "__main__":
    main(__file__, render(VECTORS, DEFINE))
