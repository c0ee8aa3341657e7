#!/usr/bin/env python3
"""Writes `context.json`, the vectors that every build of the verifier must agree with.

The canonical forms are those that CPython prints. The offsets of refusals were written by hand: a `☞` is
before the byte at the offset. `--check` compares instead of writing.

A vector is `{"name", "input", "canonical", "digest"}` or `{"name", "input", "error": {"code",
"offset"}}`. A long input is `input_parts` instead: pairs of a text and a repeat count, to be joined. A long
canonical form is left out; its digest is not.
"""

import argparse
import hashlib
import json
import pathlib
import sys

FILE = pathlib.Path(__file__).with_name("context.json")
BYTES_MAX = 1 << 20
DEPTH_MAX = 64
INT_DIGITS_MAX = 4300
HERE = "☞"
# The longest canonical form that a vector contains.
SHOWN_MAX = 2000


def accepted():
    """Name and input of accepted texts."""
    yield from structure()
    yield from order()
    yield from strings()
    yield from integers()
    yield from floats()
    yield from long_ones()


def structure():
    yield "empty object", "{}"
    yield "empty object with white space", " \t\n\r{ \t\n\r} \t\n\r"
    yield "white space between all pieces", ' { "a" : [ 1 , 2 ] , "b" : { } } '
    yield "no white space", '{"a":[1,2],"b":{},"c":[],"d":[[],{}]}'
    yield "already canonical", '{"a": [1, 2, {"b": null}], "c": "d"}'
    yield "indented", '{\n    "amount": 1200.5,\n    "to": [\n        "a",\n        "b"\n    ]\n}\n'
    yield "literals", '{"a":true,"b":false,"c":null}'
    yield "arrays keep their order", '{"a":[3,1,2,"b","a"]}'
    yield "a deployment", '{"target":"prod","replicas":3,"image":"web:1.4.2","dry_run":false}'


def order():
    yield "keys in reverse", '{"c":1,"b":2,"a":3}'
    yield "keys on every level", '{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":0}'
    yield "a prefix comes first", '{"ab":1,"a":2,"":3,"abc":4}'
    yield "digits, upper case, lower case", '{"a":1,"A":2,"1":3,"_":4,"~":5," ":6}'
    yield "numbers in keys are text", '{"key10":1,"key9":2,"key1":3}'
    yield "an escape sorts as what it stands for", '{"b":1,"\\u0061":2,"\\u0063":3}'
    yield "control characters in keys", '{"\\n":1,"\\t":2,"\\u0000":3,"!":4}'
    yield "a key ends where zeros would go on", '{"a\\u0000":1,"a":2}'
    yield "keys that share eight bytes", '{"abcdefgh2":1,"abcdefgh1":2,"abcdefgh":3,"abcdefg":4}'
    yield "astral after the last of the plane", '{"\U00010000":1,"\uffff":2,"\ue000":3}'
    yield "astral as surrogate pairs", '{"\\ud800\\udc00":1,"\\uffff":2,"\\ue000":3}'
    yield "composed and combining are two keys", '{"é":1,"e\u0301":2}'
    yield "case makes two keys", '{"key":1,"KEY":2,"Key":3}'
    yield "a reserved name", '{"__proto__":{"x":1},"constructor":2,"hasOwnProperty":3}'
    yield "one name on two levels", '{"a":{"a":{"a":1}}}'


def strings():
    yield "short escapes", r'{"a":"\"\\\/\b\f\n\r\t"}'
    yield "escapes of printable characters", r'{"a":"\u0041\u002f\u0022\u005c\u007e"}'
    yield "escapes of controls", r'{"a":"\u0000\u0001\u0008\u0009\u000a\u000b\u000c\u000d\u001f"}'
    yield "upper case hex", r'{"a":"\u00E9\u00FF\uABCD\uD83D\uDE00"}'
    yield "delete", '{"a":"\x7f","b":"\\u007f"}'
    yield "two bytes of UTF-8", '{"a":"\x80é\u07ff"}'
    yield "three bytes of UTF-8", '{"a":"\u0800日本語\u2028\u2029\ud7ff\ue000\ufeff\uffff"}'
    yield "four bytes of UTF-8", '{"a":"\U00010000😀\U0010ffff"}'
    yield "surrogate pairs", r'{"a":"\ud800\udc00\ud83d\ude00\udbff\udfff"}'
    yield "a slash stays", '{"a":"a/b"}'
    yield "keys are escaped too", '{"é\\n\\"":1}'
    yield "markup stays", '{"a":"<script>&amp;\'</script>"}'
    for length in (7, 8, 9, 15, 16, 17):
        yield f"{length} characters before an escape", '{"a":"' + "x" * length + '\\n"}'
        yield f"{length} characters before a letter", '{"a":"' + "x" * length + 'é"}'


def integers():
    yield "integers", '{"a":[0,1,-1,10,-10,12345678,123456789]}'
    yield "minus zero", '{"a":-0}'
    yield "beyond 32, 53 and 64 bits", (
        '{"a":[2147483648,4294967296,9007199254740993,-9223372036854775809,18446744073709551616]}')
    yield "1 and 1.0 are two", '{"a":1,"b":1.0}'
    yield "a hundred digits", [['{"a":', 1], ["1234567890", 10], ["}", 1]]
    yield "the longest integer", [['{"a":', 1], ["9", INT_DIGITS_MAX], ["}", 1]]
    yield "the longest negative integer", [['{"a":-', 1], ["9", INT_DIGITS_MAX], ["}", 1]]


def floats():
    def numbers(*literals):
        return '{"a":[' + ",".join(literals) + "]}"

    yield "floats", numbers("0.5", "3.14", "-2.75", "100.25", "0.1", "1.0")
    yield "zeros", numbers("0.0", "-0.0", "0e0", "-0E-0", "0.000", "0e400", "-0.0e-400")
    yield "trailing zeros", numbers("1.50", "1.500", "100.00", "10.0")
    yield "exponents", numbers("1e5", "1E5", "1e+5", "1E-2", "1.5e3", "12e-1", "1e05")
    yield "fixed or exponent, small", numbers("0.001", "0.0001", "0.00012", "0.00001", "0.000012", "1e-4", "1e-5", "1.5e-7", "0.00009999")
    yield "fixed or exponent, large", numbers(
        "1e15", "1e16", "1e17", "123456789012345.0", "1234567890123456.0", "12345678901234567.0",
        "9999999999999998.0", "9999999999999999.0", "10000000000000000.0", "1e22", "1e100")
    yield "two digits of exponent or three", numbers("1e-9", "1e-10", "1e-99", "1e-100", "1e99", "1e300")
    yield "fifteen, sixteen and seventeen digits", numbers(
        "0.123456789012345", "0.1234567890123456", "0.12345678901234567", "1.7976931348623157",
        "0.30000000000000004", "5e-324", "2.2250738585072014e-308")
    yield "more digits than count", numbers(
        "0.1000000000000000055511151231257827", "3.141592653589793238462643383279",
        "9007199254740993.0", "9007199254740992.99999", "123456789012345678901234567890.0")
    yield "halfway goes to even", numbers("9007199254740993e0", "9007199254740995e0", "1.00000000000000011102230246251565404236316680908203125")
    yield "just above and below halfway", numbers(
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126")
    yield "subnormal", numbers("4.9406564584124654e-324", "1e-323", "2.225073858507201e-308", "2e-320", "2.4703282292062329e-324")
    yield "underflow to zero", numbers("1e-400", "-1e-400", "2.4703282292062327e-324", "1e-99999999999999999999")
    yield "the largest", numbers("1.7976931348623157e308", "-1.7976931348623157e+308", "1.7976931348623158e308")
    yield "a small number with a six far behind", numbers("1000000000.000001", "1e-06", "1000.00001")
    yield "powers of two", numbers("5.684341886080802e-14", "9.5367431640625e-07", "1.1102230246251565e-16", "8.98846567431158e307")
    yield "digits that an exponent takes back", [['{"a":0.', 1], ["0", 700_000], ["1e700001}", 1]]
    yield "zeros that an exponent takes back", [['{"a":1', 1], ["0", 700_000], ["e-700000}", 1]]
    yield "a digit that decides after many", [['{"a":1.00000000000000011102230246251565404236316680908203125', 1], ["0", 5_000], ["1}", 1]]
    yield "no digit that decides after many", [['{"a":1.00000000000000011102230246251565404236316680908203125', 1], ["0", 5_000], ["}", 1]]
    yield "an exponent of many zeros", [['{"a":1e-', 1], ["0", 5_000], ["7}", 1]]


def long_ones():
    arrays = DEPTH_MAX - 1
    yield "the deepest arrays", [['{"a":', 1], ["[", arrays], ["]", arrays], ["}", 1]]
    yield "the deepest objects, none in order", [['{"b":', DEPTH_MAX], ["0", 1], [',"a":1}', DEPTH_MAX]]
    yield "the longest input, white space", [['{"a":', 1], [" ", BYTES_MAX - 7], ["1}", 1]]
    yield "the longest canonical form", [['{"a":"', 1], ["x", BYTES_MAX - 9], ['"}', 1]]
    yield "many items", [['{"a":[0', 1], [",1.50", 1000], ["]}", 1]]


def refused():
    """Name and input of refused texts; `☞` is before the faulty byte."""
    yield "empty text", "☞"
    yield "only white space", " \t\n\r☞"
    yield "byte order mark", '☞\ufeff{"a":1}'
    for name, text in (("array", "[1]"), ("string", '"a"'), ("number", "1"), ("literal", "null"), ("NaN", "NaN")):
        yield f"{name} at the top", f" ☞{text}"
    yield "trailing text", '{"a":1} ☞x'
    yield "trailing object", '{"a":1}☞{}'
    yield "trailing brace", '{"a":1}☞}'
    yield "trailing zero byte", '{"a":1}☞\0'
    yield "other white space before", '☞\u00a0{"a":1}'
    yield "other white space inside", '{"a":☞\u00a01}'
    yield "vertical tab", '{☞\x0b"a":1}'
    yield "form feed", '{"a":1☞\x0c}'
    yield "comment", '{"a":1 ☞// b\n}'

    yield "open object", "{☞"
    yield "open array", '{"a":[☞'
    yield "open object after a member", '{"a":1☞'
    yield "key alone", '{"a"☞}'
    yield "key without colon", '{"a" ☞1}'
    yield "key without value", '{"a":☞}'
    yield "key without quotes", "{☞a:1}"
    yield "key in single quotes", "{☞'a':1}"
    yield "key that is a number", "{☞1:2}"
    yield "comma before the first member", "{☞,}"
    yield "comma after the last member", '{"a":1,☞}'
    yield "comma after the last item", '{"a":[1,☞]}'
    yield "two commas", '{"a":[1,☞,2]}'
    yield "members without comma", '{"a":1 ☞"b":2}'
    yield "items without comma", '{"a":[1 ☞2]}'
    yield "semicolon", '{"a":1☞;"b":2}'
    yield "wrong closing bracket", '{"a":[1☞}]'
    yield "wrong closing brace", '{"a":1☞]'
    yield "half a literal", '{"a":☞tru}'
    yield "literal in upper case", '{"a":☞True}'
    yield "a literal that goes on", '{"a":null☞s}'
    yield "undefined", '{"a":☞undefined}'
    yield "text in single quotes", "{\"a\":☞'b'}"

    yield "duplicate key", '{"a":1,☞"a":1}'
    yield "duplicate key after others", '{"b":1,"a":2,"c":3,☞"b":4}'
    yield "duplicate key in order", '{"a":1,"b":2,☞"b":3,"c":4}'
    yield "the first of several duplicate keys", '{"b":1,"a":2,☞"b":3,"a":4,"b":5}'
    yield "duplicate key by an escape", '{"a":1,☞"\\u0061":2}'
    yield "duplicate key by two escapes", '{"\\n":1,☞"\\u000A":2}'
    yield "duplicate key by a surrogate pair", '{"😀":1,☞"\\ud83d\\ude00":2}'
    yield "duplicate key beyond eight bytes", '{"abcdefghi":1,"abcdefghj":2,☞"abcdefghi":3}'
    yield "duplicate empty key", '{"":1,☞"":2}'
    many = [f'"key {number}":{number}' for number in range(60, 10, -1)]
    yield "duplicate key among many out of order", "{" + ",".join([*many[:45], '☞"key 40":0', *many[45:]]) + "}"
    yield "duplicate key inside", '{"a":[{"b":1,☞"b":2}]}'
    yield "duplicate key inside before one outside", '{"a":1,"b":{"c":1,☞"c":2},"a":2}'
    yield "a fault before the object with a duplicate key ends", '{"a":1,"a":2,☞}'

    yield "NaN", '{"a":☞NaN}'
    yield "Infinity", '{"a":☞Infinity}'
    yield "minus Infinity", '{"a":[1, ☞-Infinity]}'
    yield "minus NaN", '{"a":-☞NaN}'
    yield "overflow to infinity", '{"a":☞1e400}'
    yield "overflow to minus infinity", '{"a":☞-1e400}'
    yield "just over the largest float", '{"a":☞1.7976931348623159e308}'
    yield "overflow without exponent", [['{"a":☞1', 1], ["0", 309], [".0}", 1]]
    yield "an exponent beyond 64 bits", '{"a":☞1e99999999999999999999}'
    yield "an exponent that outruns many zeros", [['{"a":☞0.', 1], ["0", 5_000], ["1e5400}", 1]]

    yield "leading zero", '{"a":☞01}'
    yield "leading zero after a minus", '{"a":-☞01}'
    yield "two zeros", '{"a":☞00}'
    yield "leading zero of a float", '{"a":☞01.5}'
    yield "plus", '{"a":☞+1}'
    yield "minus alone", '{"a":-☞}'
    yield "minus at the end", '{"a":-☞'
    yield "two minuses", '{"a":-☞-1}'
    yield "point without a digit before", '{"a":☞.5}'
    yield "point without a digit after", '{"a":1.☞}'
    yield "point before an exponent", '{"a":1.☞e5}'
    yield "exponent without digits", '{"a":1e☞}'
    yield "signed exponent without digits", '{"a":1e+☞}'
    yield "exponent with a fraction", '{"a":1e5☞.5}'
    yield "hexadecimal", '{"a":0☞x10}'
    yield "underscore", '{"a":1☞_000}'
    yield "digits of another script", '{"a":☞٣}'
    yield "digit of another script at the end", '{"a":1☞٣}'
    yield "integer too long", [['{"a":☞', 1], ["9", INT_DIGITS_MAX + 1], ["}", 1]]
    yield "negative integer too long", [['{"a":☞-', 1], ["9", INT_DIGITS_MAX + 1], ["}", 1]]
    yield "integer of 5000 zeros", [['{"a":☞', 1], ["0", 5_000], ["}", 1]]

    yield "open string", '{"a":"b☞'
    yield "open key", '{"a☞'
    yield "line feed in a string", '{"a":"b☞\nc"}'
    yield "tab in a string", '{"a":"☞\t"}'
    yield "zero byte in a string", '{"a":"☞\0"}'
    yield "the last control character", '{"a":"twelve bytes☞\x1f"}'
    yield "control character in a key", '{"☞\r":1}'
    yield "unknown escape", '{"a":"b☞\\x41"}'
    yield "escaped single quote", '{"a":"☞\\\'"}'
    yield "escape at the end", '{"a":"☞\\'
    yield "short unicode escape", '{"a":"☞\\u12"}'
    yield "unicode escape at the end", '{"a":"☞\\u'
    yield "unicode escape with another letter", '{"a":"☞\\u12g4"}'
    yield "unicode escape with another capital", '{"a":"☞\\u12G4"}'
    yield "unicode escape with a sign", '{"a":"☞\\u+123"}'
    yield "unicode escape in upper case", '{"a":"☞\\U0041"}'
    yield "unicode escape with braces", '{"a":"☞\\u{41}"}'

    yield "high surrogate alone", '{"a":"☞\\ud800"}'
    yield "low surrogate alone", '{"a":"é☞\\udc00"}'
    yield "high surrogate before a letter", '{"a":"☞\\ud83dx"}'
    yield "high surrogate before an escape", '{"a":"☞\\ud83d\\n"}'
    yield "high surrogate before another character", '{"a":"☞\\ud83d\\u0041"}'
    yield "high surrogate before a pair", '{"a":"☞\\ud83d\\ud83d\\ude00"}'
    yield "surrogates the wrong way round", '{"a":"☞\\ude00\\ud83d"}'
    yield "surrogate after a pair", '{"a":"\\ud83d\\ude00☞\\ude00"}'
    yield "surrogate in a key", '{"☞\\udbff":1}'

    yield "too deep in arrays", [['{"a":', 1], ["[", DEPTH_MAX - 1], ["☞[", 1], ["]", DEPTH_MAX], ["}", 1]]
    yield "too deep in objects", [['{"a":', DEPTH_MAX], ["☞{", 1], ["}", DEPTH_MAX + 1]]
    yield "far too deep", [['{"a":', 1], ["[", DEPTH_MAX - 1], ["☞[", 1], ["[", 100_000]]
    yield "input too long", [['{"a":', 1], [" ", BYTES_MAX - 6], ["1", 1], ["☞}", 1]]
    yield "input too long, and not JSON", [["x", BYTES_MAX], ["☞x", 1]]
    yield "canonical form too long by a string", [['{"a":"', 1], ["x", 300_000], ['","b":☞"', 1], ["é", 130_000], ['"}', 1]]
    yield "canonical form too long by a key", [['{"a":"', 1], ["x", 300_000], ['",☞"', 1], ["é", 130_000], ['":1}', 1]]
    yield "canonical form too long by a number", [['{"a":"', 1], ["é", 174_760], ['","b":☞123456,"c":1}', 1]]
    yield "canonical form too long by a brace", [['{"a":"', 1], ["x", BYTES_MAX - 8], ['"☞}', 1]]
    yield "canonical form too long by the brace of an object out of order", [
        ['{"b":"', 1], ["x", BYTES_MAX - 16], ['","a":1☞}', 1]]


def expand(parts):
    return parts if isinstance(parts, str) else "".join(text * times for text, times in parts)


def positive(name, source):
    text = expand(source)
    canonical = json.dumps(json.loads(text), sort_keys=True)
    assert len(text.encode()) <= BYTES_MAX and len(canonical) <= BYTES_MAX, name
    vector = {"name": name, **described(source)}
    if len(canonical) <= SHOWN_MAX:
        vector["canonical"] = canonical
    return {**vector, "digest": hashlib.sha256(canonical.encode()).hexdigest()}


def negative(name, source):
    before, found, _ = expand(source).partition(HERE)
    assert found, f"{name}: no {HERE}"
    if isinstance(source, str):
        source = source.replace(HERE, "", 1)
    else:
        source = [[text.replace(HERE, ""), times] for text, times in source]
    error = {"code": "context-invalid", "offset": len(before.encode())}
    return {"name": name, **described(source), "error": error}


def described(source):
    return {"input": source} if isinstance(source, str) else {"input_parts": source}


def rendered():
    vectors = [positive(*case) for case in accepted()] + [negative(*case) for case in refused()]
    names = [vector["name"] for vector in vectors]
    assert len(set(names)) == len(names), "two vectors have one name"
    lines = ",\n".join("    " + json.dumps(vector, ensure_ascii=True) for vector in vectors)
    return f'{{\n  "format": 1,\n  "vectors": [\n{lines}\n  ]\n}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    text = rendered()
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="ascii", newline="\n")
    elif not FILE.exists() or FILE.read_text(encoding="ascii") != text:
        sys.exit(f"{FILE.name} is not what generate_context.py writes; run it without --check")


if __name__ == "__main__":
    main()
