"""Compares `signoff module sign` with another implementation of DSSE: securesystemslib.

    python3 check.py SIGNOFF MODULE.wasm

In both directions: securesystemslib verifies what signoff signs; signoff accepts what securesystemslib signs.
Both refuse a changed envelope.
"""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey


def run(signoff, home, *arguments, code=0):
    done = subprocess.run([signoff, *arguments], cwd=home, capture_output=True, text=True)
    assert done.returncode == code, (arguments, done)
    return done.stdout


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main():
    signoff, module = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        run(signoff, home, "key", "generate", "--use", "module", "--slot", "policy", "--id", "team")
        keyring = home / "signoff.keys.json"
        entry = json.loads(run(signoff, home, "--json", "key", "show", "team"))["entry"]
        wasm = home / "policy.wasm"
        wasm.write_bytes(module.read_bytes())
        sign = ["module", "sign", wasm.name, "--slot", "policy", "--name", "rules", "--version", "7"]
        run(signoff, home, *sign, "--key", "team")

        # What signoff signs, securesystemslib verifies.
        text = json.loads((home / "policy.wasm.dsse.json").read_text())
        public = unpadded(entry["material"]).hex()
        key = SSlibKey("team", "ed25519", "ed25519", {"public": public})
        envelope = Envelope.from_dict(json.loads(json.dumps(text)))
        accepted = envelope.verify([key], 1)
        assert list(accepted) == ["team"], accepted
        manifest = json.loads(envelope.payload)
        assert manifest["digest"] == hashlib.sha256(module.read_bytes()).hexdigest(), manifest

        # What securesystemslib signs, signoff accepts.
        seeds = {key["id"]: key for key in json.loads(keyring.read_text())["keys"]}
        seed = Ed25519PrivateKey.from_private_bytes(unpadded(seeds["team"]["private"]))
        theirs = Envelope(envelope.payload, envelope.payload_type, {})
        theirs.sign(CryptoSigner(seed, key))
        other = theirs.to_dict()
        assert other["payloadType"] == text["payloadType"] and other["payload"] == text["payload"]
        # Ed25519 is deterministic: the same message gives the same signature.
        assert other["signatures"][0]["sig"] == text["signatures"][0]["sig"], (other, text)
        changed = home / "theirs.json"
        other["signatures"] = [{k: other["signatures"][0][k] for k in ("keyid", "sig")}]
        changed.write_text(json.dumps(other))
        run(signoff, home, "module", "push", wasm.name, "--manifest", changed.name)

        # Neither accepts a changed envelope.
        payload = envelope.payload.replace(b'"version":7', b'"version":8')
        assert payload != envelope.payload
        other["payload"] = base64.b64encode(payload).decode()
        changed.write_text(json.dumps(other))
        run(signoff, home, "module", "push", wasm.name, "--manifest", changed.name, code=3)
        try:
            Envelope.from_dict(json.loads(changed.read_text())).verify([key], 1)
        except Exception:
            pass
        else:
            raise AssertionError("securesystemslib accepts a changed payload")
    print("dsse: signoff and securesystemslib agree")


main()
