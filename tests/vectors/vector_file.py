"""Shared by all generators except that of `context.json`.

README.md in this folder describes the format. The expected signatures come from Python's `hmac` and
`hashlib` and the runbook's formula, never from the verifier.
"""

import argparse
import base64
import hashlib
import hmac
import json
import pathlib
import sys
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# 9999-12-31T23:59:59Z, the last moment that has an RFC 3339 form.
LAST_SECOND = 253_402_300_799


def generate_approval_signature(
    approval_id: str, decision: str, approver: str, expires_at: datetime, secret: str
) -> str:
    """The runbook's formula, as existing signers use it."""
    message = approval_message(approval_id, decision, approver, expires_at)
    return hmac.new(key=secret.encode(), msg=message.encode(), digestmod=hashlib.sha256).hexdigest()


def approval_message(approval_id, decision, approver, expires_at):
    expires_iso = expires_at.isoformat()
    return f"{approval_id}:{decision}:{approver}:{expires_iso}"


def moment(seconds):
    """Converts a Unix time to the runbook's form: an aware datetime in UTC."""
    return EPOCH + timedelta(seconds=seconds)


def rfc3339(seconds):
    return moment(seconds).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def context_digest(text):
    """The runbook's context hash."""
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def text_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


# The members of a record that the request digest covers.
ASKED = ("format", "agent", "action", "context_hash", "plan_hash", "reason", "requested_by", "requested_at",
         "requirement", "policy", "rule")


def request_digest(record):
    """Returns the request digest of a record: the context digest of the members in `ASKED`."""
    return context_digest(json.dumps({name: record[name] for name in ASKED}))


def hmac_key(key_id, secret, **changes):
    """Returns a keyring entry; the secret is the UTF-8 bytes of the text."""
    entry = {"id": key_id, "algorithm": "hmac-sha256", "material": base64url(secret.encode())}
    return {**entry, "status": "active", "use": "approve", "approver": None, "groups": [], **changes}


def ref(path):
    """Refers to a value of `define` or of an earlier step by its path."""
    return {"$ref": path}


def text_of(value):
    """The JSON text of a value; in an expectation, a JSON text that has this value."""
    return {"$json": value}


def edited(text, remove=(), **changes):
    """A JSON text with other values at some paths; `__` is the dot of a path."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return {"$edit": text, "set": paths, **({"remove": list(remove)} if remove else {})}


def repeated(*parts):
    """A long text, as pairs of a text and a repeat count."""
    return {"$repeat": [list(part) for part in parts]}


def copies(value, times):
    """A list of copies of one value."""
    return {"$copies": [value, times]}


def has(**fields):
    """In an expectation: an object with at least these members."""
    return {"$has": fields}


def step(op, args=None, *, ok=None, error=None, name=None):
    """One call and its expected answer; with a name, later steps can refer to its `ok`."""
    assert (ok is None) != (error is None), f"{op}: one of ok and error"
    expected = {"error": error} if ok is None else {"ok": ok}
    return {**({"as": name} if name else {}), "op": op, "args": args or {}, **expected}


def raw(request, *, ok=None, error=None):
    """One call whose request is given as text."""
    expected = {"error": error} if ok is None else {"ok": ok}
    return {"request": request, **expected}


def vector(name, *steps):
    """A vector: one step inline, or several as a list."""
    return {"name": name, **steps[0]} if len(steps) == 1 else {"name": name, "steps": list(steps)}


def render(vectors, define=None, setup=()):
    names = [vector["name"] for vector in vectors]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"two vectors have one name: {twice}"
    sections = ['  "format": 1']
    if define:
        members = [f"    {as_json(name)}: {as_json(value)}" for name, value in define.items()]
        sections.append('  "define": {\n' + ",\n".join(members) + "\n  }")
    if setup:
        sections.append('  "setup": [\n' + ",\n".join(f"    {as_json(s)}" for s in setup) + "\n  ]")
    sections.append('  "vectors": [\n' + ",\n".join(map(render_vector, vectors)) + "\n  ]")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def render_vector(vector):
    if "steps" not in vector:
        return "    " + as_json(vector)
    steps = ",\n".join(f"      {as_json(step)}" for step in vector["steps"])
    return f'    {{"name": {as_json(vector["name"])}, "steps": [\n{steps}\n    ]}}'


def as_json(value):
    return json.dumps(value, ensure_ascii=True)


def main(generator, text):
    """Writes the generator's file, or with `--check` compares it."""
    generator = pathlib.Path(generator)
    file = generator.with_name(generator.stem.removeprefix("generate_") + ".json")
    parser = argparse.ArgumentParser(description=f"Writes {file.name}.")
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    if not parser.parse_args().check:
        file.write_text(text, encoding="ascii", newline="\n")
    elif not file.exists() or file.read_text(encoding="ascii") != text:
        sys.exit(f"{file.name} is not what {generator.name} writes; run it without --check")
