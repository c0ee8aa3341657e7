"""The rules against `../cases.json`, in plain Python: python3 test_rules.py"""

import json
import pathlib
import unittest

import rules

CASES = json.loads((pathlib.Path(__file__).parent.parent / "cases.json").read_text())


class Rules(unittest.TestCase):
    def test_cases(self):
        for case in CASES:
            with self.subTest(case["name"]):
                if case.get("fails"):
                    with self.assertRaises((KeyError, TypeError)):
                        rules.decide(case["action"], case["context"])
                else:
                    verdict = vars(rules.decide(case["action"], case["context"]))
                    said = {name: value for name, value in verdict.items() if value is not None}
                    self.assertEqual(said, case["verdict"])


if __name__ == "__main__":
    unittest.main()
