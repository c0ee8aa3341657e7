"""Compares the calls that the end-to-end tests made with the OpenAPI document: paths, statuses, media
types, headers, codes, and every body with its schema. Members of answers that the document does not
describe are errors here, although a server may add some.

    python3 tests/openapi/answers.py DOCUMENT ANSWERS [--wrong]

ANSWERS is what `SIGNOFF_TEST_ANSWERS=FILE cargo test -p signoff --test e2e` wrote: a call a line.
With `--wrong` each answer gets a member that no schema has, and the comparison must fail.
"""

import copy
import functools
import json
import pathlib
import re
import sys
from collections import Counter

import jsonschema_rs

# Schemas whose members differ by kind.
OPEN = {"JsonObject", "AuditEvent"}


def main():
    document_path, answers_path, *flags = sys.argv[1:]
    document = json.loads(pathlib.Path(document_path).read_text(encoding="utf-8"))
    check = Check(document, "--wrong" in flags)
    with open(answers_path, encoding="utf-8") as lines:
        for line in lines:
            check.call(json.loads(line))
    sys.exit(check.report())


class Check:
    def __init__(self, document, wrong):
        self.document, self.wrong = document, wrong
        self.closed = closed(document)
        self.routes = [(pattern(path), path) for path in document["paths"]]
        self.validators = {}
        self.seen, self.faults = Counter(), Counter()

    def call(self, call):
        method = "GET" if call["method"] == "HEAD" else call["method"]
        path = self.path_of(call["path"].split("?")[0])
        operation = self.document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            self.undescribed(call)
            return
        name, status = f"{method} {path}", str(call["status"])
        declared = operation["responses"].get(status)
        if declared is None:
            self.fault(f"{name}: status {status} is not declared", call)
            return
        headers = {key.lower(): value for key, value in call["headers"]}
        media = headers.get("content-type", "").split(";")[0]
        if media not in declared["content"]:
            self.fault(f"{name} {status}: media type `{media}` is not declared", call)
            return
        self.headers(name, status, declared, headers, call)
        self.seen[operation["operationId"], status] += 1
        at = ["paths", path, method.lower(), "responses", status, "content", media, "schema"]
        if call["body"] is not None and call["method"] != "HEAD" and "json" in media:
            self.body(f"{name} {status}", at, call)
            if media == "application/problem+json":
                self.code(f"{name} {status}", declared["content"][media], call)
        if status.startswith("2") and call["sent"] is not None and "requestBody" in operation:
            self.sent(name, ["paths", path, method.lower(), "requestBody", "content", "application/json", "schema"], call)

    def path_of(self, path):
        exact = path if path in self.document["paths"] else None
        return exact or next((route for expression, route in self.routes if expression.fullmatch(path)), None)

    def undescribed(self, call):
        """Only a refusal is not described: of a path or method that the API does not have."""
        codes = {404: "not-found", 405: "request-invalid", 400: "request-invalid", 403: "forbidden", 429: "rate-limited"}
        if call["method"] == "HEAD":
            return
        try:
            code = json.loads(call["body"] or "{}").get("code")
        except ValueError:
            code = None
        if codes.get(call["status"]) != code:
            self.fault(f"{call['method']} {call['path'][:60]}: {call['status']} {code} is not described", call)

    def headers(self, name, status, declared, headers, call):
        known = {"content-type", "content-length", "date", "connection", "cache-control", "x-content-type-options", "allow",
                 "transfer-encoding", "accept-encoding", "vary", "content-security-policy"}
        names = {header.lower() for header in declared["headers"]}
        for header in headers.keys() - names - known:
            self.fault(f"{name} {status}: header `{header}` is not declared", call)
        always = {"x-request-id", "retry-after", "www-authenticate", "location"}
        for header in (names & always) - headers.keys():
            self.fault(f"{name} {status}: no header `{header}`", call)

    def body(self, name, at, call):
        body = json.loads(call["body"])
        if self.wrong and isinstance(body, dict):
            body["member_of_nobody"] = 1
        self.validate(name, self.closed, at, body, call)

    def sent(self, name, at, call):
        try:
            sent = json.loads(call["sent"])
        except ValueError:
            return  # Texts that Python reads otherwise have tests of their own.
        if '"valid":false' in (call["body"] or ""):
            return  # `verify_approval` reads a context only if the status allows the execution.
        self.validate(f"{name}, the request", self.document, at, sent, call)

    def code(self, name, content, call):
        code = json.loads(call["body"])["code"]
        if code not in content["examples"]:
            self.fault(f"{name}: code `{code}` is not declared", call)

    def validate(self, name, document, at, value, call):
        key = (id(document), *at)
        if key not in self.validators:
            schema = functools.reduce(lambda inside, name: inside[name], at, document)
            schema = {**schema, "components": document["components"]}
            self.validators[key] = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        for error in self.validators[key].iter_errors(value):
            where = "/".join(map(str, error.instance_path))
            self.fault(f"{name}: `/{where}`: {error.message[:300]}", call)

    def fault(self, text, call):
        if text not in self.faults:
            print(f"{text}\n    {json.dumps(call)[:600]}", file=sys.stderr)
        self.faults[text] += 1

    def report(self):
        operations = {
            operation["operationId"] for item in self.document["paths"].values() for operation in item.values()
        }
        succeeded = {operation for operation, status in self.seen if status.startswith("2")}
        missing = sorted(operations - succeeded)
        calls, kinds = sum(self.seen.values()), len(self.seen)
        print(f"{calls} answers of {kinds} kinds, {len(self.faults)} kinds of faults; no success of: {missing}")
        if self.wrong:
            return 0 if self.faults else 1
        return 1 if self.faults or not calls else 0


def closed(document):
    """The document whose answers have no members but those that it describes."""
    document = copy.deepcopy(document)
    for name, schema in document["components"]["schemas"].items():
        if name not in OPEN and schema.get("additionalProperties") is True:
            schema["additionalProperties"] = False
    return document


def pattern(path):
    return re.compile("".join("[^/]*" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", path)))


main()
