#!/usr/bin/env python3
"""Writes `wire.json`: malformed and well-formed requests on the interface itself. `--check` compares instead of
writing."""

from vector_file import base64url, has, main, raw, render, repeated, step, vector

DEEP = 100_000
DIGEST_OF_NOTHING_IN_IT = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
STATEMENT = '{"approval_id":"appr_abc123","decision":"approved","approver":"u","expires_at":0}'
KEY = '{"id":"k","algorithm":"hmac-sha256","material":"%s","status":"active","use":"approve"}' % base64url(b"k" * 32)


def vectors():
    yield from answers()
    yield from requests_of_another_form()
    yield from arguments_of_another_form()
    yield from numbers()
    yield from depth()
    yield from size()


def answers():
    described = has(name="signoff-verifier", package="signoff:approval@0.1.0", formats=[1], profiles=["v1", "v2"])
    yield vector("describe", step("describe", ok=described), raw('{"op":"describe"}', ok=described),
                 raw('{"op":"describe","args":null}', ok=described),
                 raw(' \n{ "args" : { } , "op" : "describe" }\t\r', ok=described),
                 raw('{"op":"descri\\u0062e"}', ok=described))
    digest = {"digest": DIGEST_OF_NOTHING_IN_IT}
    yield vector("an argument with escapes", raw(
        '{"op":"context.digest","args":{"context":"\\u007b\\n\\t\\u007d"}}', ok=digest))
    yield vector("arguments in any order", raw('{"args":{"context":"{}"},"op":"context.digest"}', ok=digest))
    yield vector("an option that is null is left out",
                 raw('{"op":"lifecycle.show","args":{"id":"a","now":0}}', error="not-found"),
                 raw('{"op":"lifecycle.show","args":{"id":"a","approval":null,"now":0}}', error="not-found"))


def requests_of_another_form():
    for name, text in {
        "empty": "",
        "white space": " \n",
        "null": "null",
        "a number": "1",
        "a text": '"describe"',
        "not JSON": "describe",
        "an array": "[]",
        "an array of op and args": '["describe",{}]',
        "nothing in it": "{}",
        "no op": '{"args":{}}',
        "op of null": '{"op":null}',
        "op of a number": '{"op":5}',
        "op of a list": '{"op":["describe"]}',
        "an unknown field": '{"op":"describe","id":1}',
        "op twice": '{"op":"describe","op":"describe"}',
        "args twice": '{"op":"describe","args":{},"args":{}}',
        "op twice, once escaped": '{"op":"describe","\\u006fp":"describe"}',
        "cut off": '{"op":"describe"',
        "trailing text": '{"op":"describe"} x',
        "two requests": '{"op":"describe"}{"op":"describe"}',
        "a trailing comma": '{"op":"describe",}',
        "single quotes": "{'op':'describe'}",
        "a comment": '{"op":"describe"/* */}',
        "a byte order mark": '\ufeff{"op":"describe"}',
        "NUL at the end": '{"op":"describe"}\0',
        "a control character in a string": '{"op":"desc\nribe"}',
        "a lone surrogate": '{"op":"\\ud800"}',
    }.items():
        yield vector(f"request: {name}", raw(text, error="request-invalid"))
    for op in ["", " describe", "Describe", "describe ", "context", "context.", "context.hash", "signing", "wire.call",
               "lifecycle.", "lifecycle.delete", "lifecycle.Open", "lifecycle.open ", "__proto__", "\u001b[2J", "descr\u0131be"]:
        yield vector(f"request: unknown op {op!r}", step(op, error="request-invalid"))


def arguments_of_another_form():
    for name, text in {
        "none": '{"op":"context.digest"}',
        "null": '{"op":"context.digest","args":null}',
        "a text": '{"op":"context.digest","args":"{}"}',
        "an array": '{"op":"context.digest","args":["{}"]}',
        "nothing in them": '{"op":"context.digest","args":{}}',
        "an unknown one": '{"op":"context.digest","args":{"context":"{}","plan":"{}"}}',
        "one of another name": '{"op":"context.digest","args":{"Context":"{}"}}',
        "one twice": '{"op":"context.digest","args":{"context":"{}","context":"{}"}}',
        "a value for a JSON text": '{"op":"context.digest","args":{"context":{}}}',
        "null for a text": '{"op":"context.digest","args":{"context":null}}',
        "a number for a text": '{"op":"context.digest","args":{"context":1}}',
        "a lone surrogate": '{"op":"context.digest","args":{"context":"\\ud800"}}',
        "where there are none": '{"op":"describe","args":{"context":"{}"}}',
        "an array where there are none": '{"op":"describe","args":[]}',
        "a record as a value": '{"op":"lifecycle.show","args":{"id":"a","approval":{},"now":0}}',
        "no time": '{"op":"lifecycle.show","args":{"id":"a","approval":null}}',
        "keys of null": '{"op":"signing.verify","args":{"statement":%s,"signature":"","keys":null,"accept":["v1"]}}' % STATEMENT,
        "one key for keys": '{"op":"signing.verify","args":{"statement":%s,"signature":"","keys":%s,"accept":["v1"]}}'
                            % (STATEMENT, KEY),
        "a text for accept": '{"op":"signing.verify","args":{"statement":%s,"signature":"","keys":[],"accept":"v1"}}'
                             % STATEMENT,
        "a statement as an array": '{"op":"signing.payload","args":{"statement":["","","a","",0,"approved","u",""],"profile":"v1"}}',
        "a statement with a field twice":
            '{"op":"signing.payload","args":{"statement":{"approval_id":"a","approval_id":"b"},"profile":"v1"}}',
        "a key as an array":
            '{"op":"signing.sign","args":{"statement":%s,"profile":"v1","key":["k","hmac-sha256","%s","active","approve",null,[]]}}'
            % (STATEMENT, base64url(b"k" * 32)),
        "a key as a text": '{"op":"signing.sign","args":{"statement":%s,"profile":"v1","key":"%s"}}'
                           % (STATEMENT, base64url(b"k" * 32)),
        "keys with an array among them":
            '{"op":"signing.verify","args":{"statement":%s,"signature":"%s","keys":[["k","hmac-sha256","%s","active","approve",null,[]]],"accept":["v1"]}}'
            % (STATEMENT, "0" * 64, base64url(b"k" * 32)),
    }.items():
        yield vector(f"args: {name}", raw(text, error="request-invalid"))


def numbers():
    """Times are whole numbers without fraction or exponent."""
    for text in ["-1", "-0.0", "1.0", "1e3", "0.5", "18446744073709551615", "18446744073709551616",
                 "9" * 400, "253402300800", '"1"', "true", "null", "[]", "{}"]:
        shown = text if len(text) < 30 else "of 400 digits"
        yield vector(f"time: {shown}", raw(
            '{"op":"lifecycle.show","args":{"id":"a","approval":null,"now":%s}}' % text, error="request-invalid"))
    for text in ["01", "+1", "0x1", "NaN", "Infinity", "1_000", ".5", "1."]:
        yield vector(f"time: {text}", raw(
            '{"op":"lifecycle.show","args":{"id":"a","approval":null,"now":%s}}' % text, error="request-invalid"))
    yield vector("time: the last second", raw(
        '{"op":"lifecycle.show","args":{"id":"a","approval":null,"now":253402300799}}', error="not-found"))


def depth():
    """No nesting depth overflows the stack: the call is refused, and later calls still work."""
    bombs = {
        "arrays": (("[", DEEP),),
        "arrays, closed": (("[", DEEP), ("]", DEEP)),
        "objects": (('{"a":', DEEP),),
        "an op of arrays": (('{"op":', 1), ("[", DEEP)),
        "args of arrays": (('{"op":"describe","args":', 1), ("[", DEEP)),
        "args of arrays, closed": (('{"op":"describe","args":', 1), ("[", DEEP), ("]", DEEP), ("}", 1)),
        "args of objects, closed": (('{"op":"describe","args":', 1), ('{"a":', DEEP), ("1", 1), ("}", DEEP + 1)),
        "an argument of arrays": (('{"op":"lifecycle.decide","args":{"ballot":', 1), ("[", DEEP), ("]", DEEP), ("}}", 1)),
        "an unknown argument of arrays": (('{"op":"lifecycle.decide","args":{"x":', 1), ("[", DEEP), ("]", DEEP), ("}}", 1)),
        "a list of arrays": (('{"op":"signing.verify","args":{"accept":', 1), ("[", DEEP), ("]", DEEP), ("}}", 1)),
        "a key of objects": (('{"op":"signing.sign","args":{"key":', 1), ('{"id":', DEEP), ("1", 1), ("}", DEEP), ("}}", 1)),
        "groups of arrays": (('{"op":"signing.sign","args":{"key":{"groups":', 1), ("[", DEEP), ("]", DEEP), ("}}}", 1)),
    }
    for name, parts in bombs.items():
        yield vector(f"depth: {name}", raw(repeated(*parts), error="request-invalid"),
                     step("describe", ok=has(formats=[1])))
    yield vector("depth: a context of arrays", step(
        "context.digest", {"context": repeated(('{"a":', 1), ("[", DEEP))}, error="context-invalid"))


def size():
    limit = 16 << 20
    request = '{"op":"describe"}'
    yield vector("size: 16 MiB", raw(repeated((request, 1), (" ", limit - len(request))), ok=has(formats=[1])))
    yield vector("size: 16 MiB and a byte",
                 raw(repeated((request, 1), (" ", limit - len(request) + 1)), error="limit-exceeded"),
                 step("describe", ok=has(formats=[1])))
    yield vector("size: an unknown op of a million characters", step(
        repeated(("x", 1 << 20)), error="request-invalid"))
    yield vector("size: an unknown argument of a million characters", raw(
        repeated(('{"op":"describe","args":{"', 1), ("x", 1 << 20), ('":1}}', 1)), error="request-invalid"))


if __name__ == "__main__":
    main(__file__, render(list(vectors())))
