#!/usr/bin/env python3
"""Runs the vectors against the verifier component:

    python3 -m pip install -r tests/runners/python/requirements.txt
    python3 tests/runners/python/run.py verifier.wasm

tests/vectors/README.md describes the vectors.
"""

import hashlib
import json
import pathlib
import sys

from verifier import Verifier

FILES = ("context", "signing", "signing_v2", "lifecycle", "lifecycle_v2", "approval", "receipt", "manifest", "wire")
DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "vectors"


def main(arguments):
    if len(arguments) != 1:
        print("usage: run.py VERIFIER.wasm", file=sys.stderr)
        return 2
    verifier = Verifier(arguments[0])
    transcript = hashlib.sha256()

    def door(request):
        answer = verifier.call(request)
        transcript.update(f"{request}\n{answer}\n".encode())
        return answer

    counts, failures = [], []
    for name in FILES:
        file = json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
        if file["format"] != 1 or not file["vectors"]:
            sys.exit(f"{name}.json has no vectors of format 1")
        counts.append(f"{name} {len(file['vectors'])}")
        failures.extend(run_file(name, file, door))
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"vectors: {', '.join(counts)}; {len(failures)} failed; transcript {transcript.hexdigest()}")
    return 1 if failures else 0


def run_file(name, file, door):
    shared = dict(file.get("define", {}))
    broken = list(run_steps(f"{name}: setup", file.get("setup", []), shared, door))
    if broken:
        yield from broken
        return  # every vector needs the setup
    for vector in file["vectors"]:
        yield from run_steps(f"{name}: {vector['name']}", steps_of(vector), dict(shared), door)


def steps_of(vector):
    if "steps" in vector:
        return vector["steps"]
    if "op" in vector or "request" in vector:
        return [vector]
    args = {"context": vector["input"] if "input" in vector else {"$repeat": vector["input_parts"]}}
    ops = ("context.canonicalize", "context.digest", "context.read")
    if "error" in vector:
        return [{"op": op, "args": args, "error": vector["error"]} for op in ops]
    digest = {"digest": vector["digest"]}
    if "canonical" in vector:
        canonical = {"canonical": vector["canonical"]}
        read = canonical | digest
    else:
        canonical, read = {"$has": {}}, {"$has": digest}
    answers = (canonical, digest, read)
    return [{"op": op, "args": args, "ok": ok} for op, ok in zip(ops, answers)]


def run_steps(name, steps, scope, door):
    for number, step in enumerate(steps, 1):
        answer = json.loads(door(request_of(step, scope)))
        found = difference(step, answer)
        if found:
            yield f"{name}, step {number}: {found}"
            return  # later steps need this one
        if "as" in step:
            scope[step["as"]] = answer["ok"]


def request_of(step, scope):
    if "request" in step:
        return resolve(step["request"], scope)
    return text({"op": resolve(step["op"], scope), "args": resolve(step["args"], scope)})


def resolve(value, scope):
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return at(scope, value["$ref"].split("."))
    if "$json" in value:
        return text(resolve(value["$json"], scope))
    if "$edit" in value:
        return edited(value, scope)
    if "$repeat" in value:
        return "".join(part * times for part, times in value["$repeat"])
    if "$copies" in value:
        item, times = value["$copies"]
        return [resolve(item, scope)] * times
    return {key: resolve(item, scope) for key, item in value.items()}


def edited(value, scope):
    document = json.loads(resolve(value["$edit"], scope))
    for path, item in value["set"].items():
        parent, last = place(document, path)
        parent[last] = resolve(item, scope)
    for path in value.get("remove", []):
        parent, last = place(document, path)
        del parent[last]
    return text(document)


def place(document, path):
    *parents, last = path.split(".")
    parent = at(document, parents)
    return parent, int(last) if isinstance(parent, list) else last


def at(value, path):
    for key in path:
        value = value[int(key) if isinstance(value, list) else key]
    return value


def text(value):
    """Encodes compact JSON with sorted keys, so that every runner sends the same bytes."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def difference(step, answer):
    """Returns how an answer differs from the expected one, or None."""
    if "error" not in step:
        return mismatch({"ok": step["ok"]}, answer, "answer")
    error = step["error"]
    code = error["code"] if isinstance(error, dict) else error
    message = answer.get("error", {}).get("message")
    if not isinstance(message, str) or not message:
        return f"expected {code}, found {shown(answer)}"
    if isinstance(error, dict) and not message.endswith(f" at byte {error['offset']}"):
        return f"expected byte {error['offset']}, found {shown(answer)}"
    return mismatch({"error": {"code": code, "message": message}}, answer, "answer")


def mismatch(expected, actual, path):
    wrong = f"{path}: expected {shown(expected)}, found {shown(actual)}"
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return wrong
        pairs = enumerate(zip(expected, actual))
        return first(mismatch(item, other, f"{path}.{index}") for index, (item, other) in pairs)
    if not isinstance(expected, dict):
        # In Python, True equals 1.
        return None if type(expected) is type(actual) and expected == actual else wrong
    if "$json" in expected:
        return mismatch(expected["$json"], json.loads(actual), path) if isinstance(actual, str) else wrong
    if not isinstance(actual, dict):
        return wrong
    members = expected.get("$has", expected)
    if members.keys() - actual.keys() or ("$has" not in expected and len(members) != len(actual)):
        return wrong
    return first(mismatch(item, actual[key], f"{path}.{key}") for key, item in members.items())


def first(found):
    return next(filter(None, found), None)


def shown(value):
    whole = json.dumps(value)
    return whole if len(whole) <= 500 else whole[:500] + "…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
