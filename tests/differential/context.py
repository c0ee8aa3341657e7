#!/usr/bin/env python3
"""Generates random contexts, most of them edge cases, each with the expected result by CPython and the rules.

Prints `--count` cases made from `--seed`, one JSON object per line:
`{"input", "canonical", "digest"}` or `{"input", "kind", "offset"}`. The same arguments give the same
cases. Any implementation of the rules can be tested with them; `guest/core/tests/context_cpython.rs`
does it for the verifier.
"""

import argparse
import json
import random
import struct
import sys

from reference import judge


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if sys.version_info < (3, 9):
        sys.exit("CPython 3.9 or later is needed")
    maker = Maker(random.Random(arguments.seed))
    for _ in range(arguments.count):
        text = maker.text()
        print(json.dumps({"input": text, **judge(text)}))


class Maker:
    """Writes contexts as text, so that each value can be spelled in every way the grammar has."""

    KEYS = ("", "a", "b", "aa", "ab", "A", "Z", "_", "é", "e\u0301", "\x7f", "\u0080", "\uffff",
            "\ue000", "\U00010000", "\U0010ffff", "\ud7ff", "key", "key1", "key10", "key2", "\n",
            '"', "\\", "/", "\u2028", "longer than eight bytes", "longer than eight Bytes")
    CHARACTERS = tuple('abz09 ~!"\\/#[]{}:,') + ("\b", "\f", "\n", "\r", "\t", "\0", "\x1f", "\x7f",
            "\x80", "é", "ÿ", "\u07ff", "\u0800", "\u2028", "\ud7ff", "\ue000", "\ufeff", "\ufffd",
            "\uffff", "\U00010000", "\U0001f600", "\U0010ffff")
    SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n",
                     "\r": "\\r", "\t": "\\t"}
    # Nearly valid pieces, which `spoiled` and `replaced` insert.
    FAULTS = ("NaN", "Infinity", "-Infinity", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1",
              "1.e1", "--1", "1e400", "-1e309", "1.7976931348623159e308", "tru", "nul", "True", "None",
              "nan", "-NaN", "-Inf", "'a'", '"\\ud800"', '"\\udc00"', '"\\ud83dx"', '"\\ud83d\\u0041"',
              '"\\ud83d\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\\u12"', '"\\u12g4"', '"\\u+123"',
              '"\\x41"', '"\\', '"\\u', '"', '"\n"', '"\x00"', '"\x1f"', "\ufeff", "\u00a0", "\x0b",
              "\x0c", "//", "{", "}", "[", "]", ",", ":", ",,", "{,}", "[,]", "[1,]", '{"a":1,}',
              '{"a"}', '{"a":}', "{1:2}", "٣", "１", "5٣", "\0")

    def __init__(self, rng):
        self.rng = rng

    def text(self):
        roll = self.rng.random()
        if roll < 0.01:
            return self.deep()
        if roll < 0.02:
            return self.wide()
        text = self.space() + self.object(self.rng.choice((1, 2, 3, 4, 6))) + self.space()
        if roll < 0.25:
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                text = self.spoiled(text)
        return text

    # Values.

    def value(self, depth):
        roll = self.rng.random()
        if depth > 0 and roll < 0.18:
            return self.object(depth - 1)
        if depth > 0 and roll < 0.28:
            return self.array(depth - 1)
        if roll < 0.55:
            return self.float() if self.rng.random() < 0.7 else self.integer()
        if roll < 0.93:
            return self.string(self.characters())
        return self.rng.choice(("true", "false", "null"))

    def object(self, depth):
        size = self.rng.choice((0, 1, 2, 2, 3, 4, 5, 8))
        # Occasionally a key is repeated.
        repeats = self.rng.random() < 0.04
        keys = self.rng.choices(self.KEYS, k=size) if repeats else self.rng.sample(self.KEYS, size)
        if self.rng.random() < 0.3:
            keys.sort()
        if self.rng.random() < 0.2:
            keys = [key + str(i) for i, key in enumerate(keys)]
        members = (self.string(key) + self.space() + ":" + self.space() + self.value(depth) for key in keys)
        return "{" + self.space() + self.separated(members) + "}"

    def array(self, depth):
        values = (self.value(depth) for _ in range(self.rng.choice((0, 1, 2, 3, 5))))
        return "[" + self.space() + self.separated(values) + "]"

    def separated(self, pieces):
        return ",".join(piece + self.space() if i == 0 else self.space() + piece + self.space()
                        for i, piece in enumerate(pieces))

    def space(self):
        roll = self.rng.random()
        if roll < 0.5:
            return ""
        if roll < 0.8:
            return " "
        return "".join(self.rng.choices(" \t\n\r", k=self.rng.choice((1, 2, 3, 9, 17))))

    # Strings.

    def characters(self):
        roll = self.rng.random()
        length = self.rng.choice((0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 40))
        if roll < 0.4:
            return "".join(self.rng.choices("abcdefgh 0123", k=length))
        if roll < 0.8:
            plain = ["x"] * length
            for _ in range(self.rng.choice((1, 1, 2))):
                plain.insert(self.rng.randint(0, len(plain)), self.rng.choice(self.CHARACTERS))
            return "".join(plain)
        return "".join(self.rng.choices(self.CHARACTERS, k=length))

    def string(self, characters):
        style = self.rng.choice(("raw", "raw", "raw", "short", "mixed", "escaped"))
        return '"' + "".join(self.character(c, style) for c in characters) + '"'

    def character(self, c, style):
        must = c in '"\\' or c < " "
        if not must and (style == "raw" or (style == "mixed" and self.rng.random() < 0.6)):
            return c
        if c in self.SHORT_ESCAPES and self.rng.random() < 0.6:
            return self.SHORT_ESCAPES[c]
        if not must and style == "short":
            return c
        units = c.encode("utf-16-be")
        escapes = (units[i : i + 2].hex() for i in range(0, len(units), 2))
        return "".join("\\u" + self.rng.choice((str.lower, str.upper))(escape) for escape in escapes)

    # Numbers.

    def integer(self):
        roll = self.rng.random()
        sign = self.rng.choice(("", "", "-"))
        if roll < 0.1:
            return sign + "0"
        if roll < 0.6:
            return sign + str(self.rng.randint(1, 10 ** self.rng.choice((1, 2, 4, 7, 8, 9, 15, 16, 17))))
        if roll < 0.95:
            near = self.rng.choice((2**31, 2**32, 2**53, 2**63, 2**64, 10**18, 10**40))
            return sign + str(near + self.rng.randint(-2, 2))
        if roll < 0.99:
            return sign + self.digits(self.rng.randint(20, 300))
        return sign + self.digits(self.rng.choice((4299, 4300, 4301, 5000)))

    def digits(self, count):
        return self.rng.choice("123456789") + "".join(self.rng.choices("0123456789", k=count - 1))

    def float(self):
        kind = self.rng.choice((
            self.any_float, self.any_float, self.short_float, self.short_float, self.near_notation,
            self.near_power, self.subnormal, self.halfway, self.literal, self.literal, self.zero,
            self.integral, self.long_literal))
        return self.rng.choice(("", "", "-")) + kind()

    def any_float(self):
        value = struct.unpack("<d", struct.pack("<Q", self.rng.getrandbits(63)))[0]
        return self.spelled(value) if value == value and value != float("inf") else "0.5"

    def short_float(self):
        return f"{self.rng.randint(0, 10**self.rng.randint(1, 8))}.{self.digits(self.rng.randint(1, 9))}"

    def near_notation(self):
        """Around 1e-4 and 1e16, where `repr` changes its form."""
        value = 10.0 ** self.rng.choice((-7, -6, -5, -4, -3, 14, 15, 16, 17, 22))
        return self.spelled(self.stepped(value, 3) * self.rng.choice((1, 1, 1.5, 9, 9.999999999999998)))

    def near_power(self):
        return self.spelled(self.stepped(2.0 ** self.rng.randint(-1074, 1023), 2))

    def subnormal(self):
        return self.spelled(struct.unpack("<d", struct.pack("<Q", self.rng.getrandbits(self.rng.randint(1, 53))))[0])

    def stepped(self, value, most):
        bits = struct.unpack("<Q", struct.pack("<d", value))[0] + self.rng.randint(-most, most)
        return abs(struct.unpack("<d", struct.pack("<Q", max(bits, 1)))[0])

    def halfway(self):
        """Exactly between two floats, or different in a late digit only."""
        bits = self.rng.getrandbits(62)
        low, high = (struct.unpack("<d", struct.pack("<Q", bits + i))[0] for i in (0, 1))
        numerator, denominator = low.as_integer_ratio()
        other, common = high.as_integer_ratio()
        scale = max(denominator, common) * 2
        middle = numerator * (scale // denominator) // 2 + other * (scale // common) // 2
        shift = scale.bit_length() - 1
        digits = str(middle * 5**shift)
        if len(digits) > 1500:
            return "0.1"
        roll = self.rng.random()
        if roll < 0.3:
            digits, shift = digits + "0" * 30 + "1", shift + 31
        elif roll < 0.6:
            digits = str(int(digits) - 1)
        elif roll < 0.7:
            cut = self.rng.randint(17, 30)
            return f"{digits[0]}.{digits[1:cut]}1e{len(digits) - 1 - shift}"
        return f"{digits}e-{shift}"

    def literal(self):
        whole = self.rng.choice(("0", self.digits(self.rng.randint(1, 20))))
        fraction = self.rng.choice(("", ".", ".0", ".000")) + self.digits(self.rng.randint(1, 20))
        fraction = fraction if fraction.startswith(".") else ""
        exponent = ""
        if fraction == "" or self.rng.random() < 0.5:
            letter, sign = self.rng.choice("eE"), self.rng.choice(("", "+", "-"))
            exponent = f"{letter}{sign}{self.rng.choice(('', '0', '000'))}{self.rng.randint(0, 330)}"
        # FAULTS has the numbers that are too large.
        literal = whole + fraction + exponent
        return literal if float(literal) != float("inf") else "1e308"

    def zero(self):
        return self.rng.choice(("0.0", "0.00", "0e0", "0E+5", "0.0e-400", "0e99999", "1e-400", "0e999999999999999999999",
                                "1e-99999999999999999999", "0.000000e1", "2e-324", "3e-324"))

    def integral(self):
        value = self.rng.randint(0, 10 ** self.rng.randint(1, 22))
        return self.rng.choice((f"{value}.0", f"{value}e0", f"{value}.000", f"{value}E5", f"{value}e-3"))

    def long_literal(self):
        """Rarely over a thousand characters: zeros that an exponent cancels, or many digits."""
        if self.rng.random() < 0.9:
            return self.spelled(self.rng.random())
        zeros, digits = self.rng.choice((800, 1100, 70_000)), self.digits(self.rng.choice((1, 17, 30, 900)))
        return self.rng.choice((
            f"0.{'0' * zeros}{digits}e{zeros + self.rng.randint(-330, 300)}",
            f"{digits}{'0' * zeros}e-{zeros + self.rng.randint(700, 1300)}",
            f"{digits}{'0' * zeros}.{'0' * zeros}e-{zeros + len(digits)}",
            f"1.{'0' * zeros}{digits}",
            f"0.1e{'0' * zeros}5",
            f"0.{digits}{'3' * zeros}",
        ))

    def spelled(self, value):
        """A float as another program might print it."""
        way = self.rng.choice(("r", "r", ".17g", ".16g", ".15g", ".17e", ".20e", ".3e", "f"))
        literal = repr(value) if way == "r" else format(value, way)
        if way == "f" and len(literal) > 60:
            literal = repr(value)
        if self.rng.random() < 0.1:
            literal = literal.replace("e", "E")
        # Rounded to fewer digits, the largest floats become infinite.
        return literal if "." in literal or "e" in literal.lower() else literal + ".0"

    # Whole texts.

    def deep(self):
        """Around the nesting limit, in arrays, objects or both, unsorted on each level."""
        levels = self.rng.choice((62, 63, 64, 65, 100)) - 1
        text = self.value(0)
        for _ in range(levels):
            text = self.rng.choice((f"[{text}]", f'{{"b":{text},"a":1}}', f'{{"k":{text}}}', f"[1,{text},2]"))
        return '{"z":' + text + ',"y":0}'

    def wide(self):
        """Many members, in order, reversed or shuffled, possibly with a duplicate."""
        names = [f"{self.rng.choice('kK')}{i}" for i in range(self.rng.choice((20, 21, 50, 300)))]
        order = self.rng.choice((list.sort, list.reverse, self.rng.shuffle))
        order(names)
        if self.rng.random() < 0.2:
            names.insert(self.rng.randint(0, len(names)), self.rng.choice(names))
        return "{" + ",".join(f"{self.string(name)}:{self.integer()}" for name in names) + "}"

    def spoiled(self, text):
        """Applies one edit, which often breaks the text."""
        at = self.rng.randint(0, len(text))
        end = min(len(text), at + self.rng.choice((1, 1, 1, 2, 5)))
        return self.rng.choice((
            lambda: text[:at],
            lambda: text[:at] + text[end:],
            lambda: text[:at] + text[at:end] * 2 + text[end:],
            lambda: text[:at] + self.rng.choice(self.FAULTS) + text[at:],
            lambda: text[:at] + self.rng.choice(self.FAULTS) + text[end:],
            lambda: text[:at] + self.rng.choice(self.CHARACTERS) + text[end:],
            lambda: self.replaced(text),
            lambda: self.replaced(text),
            lambda: self.replaced(text),
            lambda: text + self.rng.choice(self.FAULTS),
            lambda: self.rng.choice(self.FAULTS) + text,
        ))()

    def replaced(self, text):
        """Replaces a value by a fault."""
        places = [i + 1 for i, c in enumerate(text) if c in ":[,"]
        at = self.rng.choice(places) if places else 0
        end = at
        while end < len(text) and text[end] not in ",]}":
            end += 1
        return text[:at] + self.rng.choice(self.FAULTS) + text[end:]


if __name__ == "__main__":
    # The reader may close the pipe early.
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)
