"""Signers of profile v2 for the generators: HMAC from Python, Ed25519 from `ed25519.py`."""

import hashlib
import hmac

import ed25519
from vector_file import base64url, rfc3339

V2 = ["v2"]
BOTH = ["v1", "v2"]


def pae(pieces):
    """PASETO's pre-authentication encoding."""
    lengths_and_pieces = [len(piece).to_bytes(8, "little") + piece for piece in pieces]
    return len(pieces).to_bytes(8, "little") + b"".join(lengths_and_pieces)


def message(statement):
    pieces = [
        "signoff/v2",
        statement["audience"],
        statement["key_id"],
        statement["approval_id"],
        statement["request_digest"],
        rfc3339(statement["expires_at"]),
        statement["decision"],
        statement["approver"],
        statement["comment"],
    ]
    return pae([piece.encode() for piece in pieces])


class Signer:
    """A person with a key. The secret is the bytes of an HMAC key, or an Ed25519 seed."""

    def __init__(self, key_id, algorithm, secret, approver, groups=()):
        self.id, self.algorithm, self.secret = key_id, algorithm, secret
        self.approver, self.groups = approver, list(groups)

    def entry(self, **changes):
        """Returns the keyring entry for verifying."""
        public = self.secret if self.algorithm == "hmac-sha256" else ed25519.public_key(self.secret)
        return self._entry(public, changes)

    def private(self, **changes):
        """Returns the keyring entry for signing."""
        return self._entry(self.secret, changes)

    def _entry(self, material, changes):
        entry = {"id": self.id, "algorithm": self.algorithm, "material": base64url(material), "status": "active",
                 "use": "approve", "approver": self.approver, "groups": self.groups}
        return {**entry, **changes}

    def raw(self, data):
        if self.algorithm == "hmac-sha256":
            return hmac.new(self.secret, data, hashlib.sha256).digest()
        return ed25519.sign(self.secret, data)

    def sign(self, statement):
        """Returns the text of a signature; the statement is signed unchanged, whoever it names."""
        return text_of(self.id, self.raw(message(statement)))


def text_of(key_id, signature):
    return f"v2.{key_id}.{base64url(signature)}"
