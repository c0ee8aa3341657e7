"""Evaluates random conditions in signoff's policies and in cel-go, the reference implementation of CEL,
and compares the results.

    cargo build -p signoff-policy --example outcomes
    python3 tests/differential/conditions.py [COUNT [SEED]]

Needs Go, which fetches cel-go.

Known differences that the generated conditions avoid ("here" is signoff, "there" is cel-go): an integer and a
double beyond 2^53 compare exactly here and after rounding there; an integer beyond 64 bits is an error here,
and no JSON reader of Go keeps it; `has` of a member of a value that is not a map is an error here (as CEL's
conformance tests require) and false there; a pattern of `matches` must be a literal here; durations have no
sign here.

Two more differences are generated and counted, because signoff is stricter there: `in` with a value that cannot
be a map's key (`null in {}`) is an error here, and so is an error in an unused argument of `orValue`.

A condition that either side refuses at load (cel-go's checker knows the types of lists' items, signoff's does
not) is counted and left out.
"""

import json
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTEXT = {
    "b": True, "d": 1.5, "e": "", "i": 7, "l": [1, 2.0, 7], "m": {"a": 1, "b": {"c": [True]}}, "n": None,
    "neg": -3, "s": "inbox", "t": "2025-10-01T00:00:00Z", "u": "héé😀", "w": 7.0, "x": [], "y": {}, "z": 0,
    "ls": ["a", "inbox", "é"], "lm": [{"k": 1}, {"k": 2, "j": "q"}],
}


def value(dice, depth):
    """Returns a random operand."""
    leaf = [
        "1", "7", "0", "-3", "7.0", "1.5", "0.0", "7u", "''", "'inbox'", "'é'", "true", "false", "null",
        "context.i", "context.d", "context.w", "context.z", "context.neg", "context.s", "context.u",
        "context.e", "context.b", "context.n", "context.l", "context.m", "context.x", "context.y",
        "context.ls", "context.lm", "context.absent", "context.m.a", "context.m.b.c", "context.m.b.c[0]",
        "context.l[0]", "context.l[2]", "context.l[5]", "context.lm[1].j", "context['s']", "agent",
        "action", "now", "[]", "[1, 2, 7]", "['a', 'inbox']", "{}", "{'a': 1}", "context.t",
        "plan", "context.i.x", "context.s[0]",
    ]
    if depth == 0 or dice.random() < 0.35:
        return dice.choice(leaf)
    a, b = (lambda: value(dice, depth - 1)), (lambda: boolean(dice, depth - 1))
    make = [
        lambda: f"({a()} {dice.choice('+-*/%')} {a()})",
        lambda: f"dyn({a()})",
        lambda: f"{dice.choice(['size', 'string', 'int', 'double', 'uint', 'bool'])}(dyn({a()}))",
        lambda: f"({b()} ? {a()} : {a()})",
        lambda: f"[{a()}, {a()}]",
        lambda: f"{{'k': {a()}}}",
        lambda: f"-dyn({dice.choice(['context.i', 'context.d', 'context.z', 'context.s', '1.5', 'context.absent'])})",
        lambda: f"dyn({a()})[{a()}]",
        lambda: f"dyn({a()}).map(v, {dice.choice(['v', 'v + 1', '[v]', 'context.i'])})",
        lambda: f"dyn({a()}).filter(v, {dice.choice(['v > 1', 'v == 7', 'true', 'v == 1'])})",
        lambda: f"context.?{dice.choice(['i', 'absent', 'm'])}.orValue({a()})",
        lambda: f"dyn({a()}).{dice.choice(['lowerAscii()', 'trim()', 'size()', 'reverse()', 'charAt(1)', 'getHours()'])}",
        lambda: f"dyn({a()}).{dice.choice(['substring(1)', 'indexOf(' + chr(39) + 'b' + chr(39) + ')', 'split(' + chr(39) + 'b' + chr(39) + ')', 'join()'])}",
        lambda: "timestamp(dyn({}))".format(a()),
    ]
    return dice.choice(make)()


def boolean(dice, depth):
    """Returns a random boolean expression."""
    if depth <= 0:
        return dice.choice(["true", "false", "context.b", "has(context.i)", "has(context.absent)", "context.absent == 1"])
    a, b = (lambda: value(dice, depth - 1)), (lambda: boolean(dice, depth - 1))
    make = [
        lambda: f"dyn({a()}) {dice.choice(['==', '!='])} dyn({a()})",
        lambda: f"dyn({a()}) {dice.choice(['==', '!=', '<', '<=', '>', '>='])} dyn({a()})",
        lambda: f"dyn({a()}) in dyn({a()})",
        lambda: f"({b()} && {b()})",
        lambda: f"({b()} || {b()})",
        lambda: f"!({b()})",
        lambda: f"dyn({a()}).{dice.choice(['exists', 'all', 'exists_one'])}(v, {dice.choice(['v == 7', 'v > 1', 'v in context.l', b()])})",
        lambda: f"dyn({a()}).{dice.choice(['startsWith', 'endsWith', 'contains'])}(dyn({a()}))",
        lambda: f"dyn({a()}).matches('^[a-z]+$')",
        lambda: f"has(context.{dice.choice(['m.a', 'm.q', 'absent.q', 'lm[1].j'])})",
        lambda: f"({b()} ? {b()} : {b()})",
        lambda: f"type({a()}) == {dice.choice(['int', 'string', 'list', 'map', 'double', 'bool', 'null_type'])}",
        lambda: f"context.?{dice.choice(['i', 'absent', 'm'])}.hasValue()",
    ]
    return dice.choice(make)()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    dice = random.Random(seed)
    context = json.dumps(CONTEXT, sort_keys=True)
    whens = [boolean(dice, dice.randint(1, 3)) for _ in range(count)]
    lines = "".join(json.dumps({"when": when, "context": context}) + "\n" for when in whens)
    ours = [str(ROOT / "target" / "debug" / "examples" / "outcomes")]
    here = pathlib.Path(__file__).parent / "cel"
    answers = []
    for command, folder in [(ours, ROOT), (["go", "run", "."], here)]:
        run = subprocess.run(command, input=lines, capture_output=True, text=True, cwd=folder, check=True)
        answers.append(run.stdout.split())
    left_out, stricter, differ, seen = 0, 0, 0, {"true": 0, "false": 0, "error": 0}
    for when, our, their in zip(whens, *answers, strict=True):
        if "refused" in (our, their):
            left_out += 1
        elif our == "error" != their and (" in dyn(" in when or ".orValue(" in when):
            stricter += 1
        elif our != their:
            differ += 1
            print(f"{our} by signoff, {their} by cel-go: {when}")
        else:
            seen[our] += 1
    print(f"{count} conditions, {left_out} left out, {stricter} stricter in signoff, {differ} differ, equal: {seen}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
