"""Compares the tools of policy authors with programs that others wrote.

    python3 check.py SIGNOFF

- The schema of rules files: jsonschema and taplo accept every rules file of this repository, and refuse what
  `signoff policy check` refuses because of its form.
- The layout of `signoff policy fmt`: taplo, the formatter of TOML editors, would change nothing in it, except that it
  aligns comments unless told otherwise; and CPython's tomllib reads the same values before and after.
- JUnit XML of `signoff policy test`: junitparser reads the results as they were.
- Failures and differences have colours on a terminal only.
"""

import datetime
import json
import os
import pathlib
import pty
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import jsonschema
import junitparser

ROOT = pathlib.Path(__file__).resolve().parents[3]
TAPLO = str(pathlib.Path(sys.executable).parent / "taplo")
TAPLO_FMT = [TAPLO, "fmt", "--check", "-o", "align_comments=false"]

HEAD = 'format = 1\nname = "x"\n'
RULE = HEAD + '[[rule]]\nid = "a"\nverdict = "deny"\nreason = "x"\n'
ASK = HEAD + '[[rule]]\nid = "a"\nverdict = "require_approval"\nreason = "x"\n'
TEST = HEAD + '[[test]]\nname = "t"\nagent = "a"\naction = "b"\nexpect = "deny"\n'

# Files beside the rules, which editors check with the same schema.
BESIDE = {
    "an included file": "[const]\nlimit = 1\n",
    "a file of tests": TEST.removeprefix(HEAD),
    "a file of tests with its format": "format = 1\n" + TEST.removeprefix(HEAD),
}

# Mistakes of form: each is refused by the schema and by the rules engine.
MALFORMED = {
    "no format": 'name = "x"\n',
    "another format": 'format = 2\nname = "x"\n',
    "no name": "format = 1\n",
    "a name in upper case": 'format = 1\nname = "X"\n',
    "a long name": f'format = 1\nname = "{"x" * 65}"\n',
    "an unknown default": HEAD + 'default = "ask"\n',
    "an unknown member": HEAD + "rules = 1\n",
    "an unknown member of a rule": RULE + "priority = 1\n",
    "an unknown member of a test": TEST + "expected = 1\n",
    "a rule without id": HEAD + '[[rule]]\nverdict = "deny"\n',
    "a rule without verdict": HEAD + '[[rule]]\nid = "a"\n',
    "an id with a blank": HEAD + '[[rule]]\nid = "a b"\nverdict = "deny"\n',
    "an unknown verdict": HEAD + '[[rule]]\nid = "a"\nverdict = "maybe"\n',
    "a glob that is a number": RULE + "agent = 1\n",
    "an empty list of globs": RULE + "action = []\n",
    "a condition that is a bool": RULE + "when = true\n",
    "a switch that is a text": RULE + 'ignore_case = "yes"\n',
    "no time": ASK + 'ttl = "1 hour"\n',
    "a time of no length": ASK + "ttl = 0\n",
    "a time of 8 days": ASK + "ttl = 691200\n",
    "no approver": ASK + "threshold = 0\n",
    "17 approvers": ASK + "threshold = 17\n",
    "half an approver": ASK + "threshold = 1.5\n",
    "no groups": ASK + "groups = {}\n",
    "a group of nobody": ASK + "groups = { sre = 0 }\n",
    "a built-in time": HEAD + '[ttl]\nurgent = "1h"\n',
    "a name of a time in upper case": HEAD + '[ttl]\nWeekend = "1h"\n',
    "a test without expectation": HEAD + '[[test]]\nname = "t"\nagent = "a"\naction = "b"\n',
    "a context that is a list": TEST + "context = [1]\n",
    "a context that is no JSON object": TEST + 'context = "[1]"\n',
    "an unknown fact": TEST + 'facts = { token = "x" }\n',
    "a fact in upper case": TEST + 'facts = { requester = "Ann" }\n',
    "an unknown part of a requirement": TEST + "requirement = { ttl = 60 }\n",
}


def run(command, directory, code=None, text=None):
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, input=text)
    assert code is None or done.returncode == code, (command, done)
    return done


def rules_files(signoff, directory):
    """Returns every rules file that users see: the starter, the examples, and those in the guides."""
    run([signoff, "policy", "init", "starter.toml"], directory, 0)
    files = {"starter": (directory / "starter.toml").read_text()}
    for example in sorted((ROOT / "docs").glob("policies/*.toml")):
        # Also one that others include.
        shutil.copy(example, directory)
        if "[[rule]]" in example.read_text():
            files[example.name] = example.read_text()
    guides = [ROOT / "guest/policy/README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for guide in guides:
        text = guide.read_text()
        blocks = re.findall(r"```toml\n(.*?)```", text, re.S)
        blocks += re.findall(r"<<'TOML'\n(.*?)\nTOML\n", text, re.S)
        for number, block in enumerate(block for block in blocks if block.startswith("format = 1")):
            files[f"{guide.name} {number}"] = block.rstrip("\n") + "\n"
    assert len(files) >= 3, files.keys()
    return files


def as_json(value):
    """Returns what an editor compares with the schema: times are texts."""
    match value:
        case dict():
            return {key: as_json(member) for key, member in value.items()}
        case list():
            return [as_json(item) for item in value]
        case datetime.datetime():
            return value.isoformat()
        case _:
            return value


def check_schema(signoff, directory, files):
    path = directory / "signoff.schema.json"
    run([signoff, "policy", "schema", "-o", path.name], directory, 0)
    schema = json.loads(path.read_text())
    jsonschema.Draft4Validator.check_schema(schema)
    validator = jsonschema.Draft4Validator(schema)

    def verdicts(text):
        (directory / "rules.toml").write_text(text)
        lint = [TAPLO, "lint", "--schema", path.as_uri(), "rules.toml"]
        return {
            "jsonschema": validator.is_valid(as_json(tomllib.loads(text))),
            "taplo": run(lint, directory).returncode == 0,
            "signoff": run([signoff, "policy", "check", "rules.toml"], directory).returncode == 0,
        }

    for name, text in {**files, "rule": RULE, "ask": ASK, "test": TEST}.items():
        assert all(verdicts(text).values()), (name, verdicts(text))
    for name, text in BESIDE.items():
        accepted = {tool: is_valid for tool, is_valid in verdicts(text).items() if tool != "signoff"}
        assert all(accepted.values()), (name, accepted)
    for name, text in MALFORMED.items():
        assert not any(verdicts(text).values()), (name, verdicts(text))
    print(f"{len(files)} rules files and {len(MALFORMED)} malformed ones: jsonschema, taplo and signoff agree")


def disordered(text, rng):
    """Changes only the layout: blanks, empty lines, and the order of members within a table."""
    tables = re.split(r"(?m)^(?=\[)", text)
    out = []
    for table in tables:
        if '"""' in table or "'''" in table or "[\n" in table or "#" in table:
            out.append(table)
            continue
        head, *lines = table.strip("\n").split("\n")
        lines = [line for line in lines if line]
        rng.shuffle(lines)
        lines = [re.sub(r"^(\w+) = ", lambda m: m[1] + rng.choice(["=", " =  ", "= "]), line) for line in lines]
        ends = ["\n", "\n\n", "  \n", "\n\n\n"]
        out.append("".join(line + rng.choice(ends) for line in [head, *lines]))
    return "".join(out)


def check_layout(signoff, directory, files):
    rng, count = random.Random(1), 0
    for name, text in files.items():
        for variant in [text, *(disordered(text, rng) for _ in range(20))]:
            done = run([signoff, "policy", "fmt", "-"], directory, 0, variant)
            assert tomllib.loads(done.stdout) == tomllib.loads(variant), name
            (directory / "rules.toml").write_text(done.stdout)
            assert run([*TAPLO_FMT, "rules.toml"], directory).returncode == 0, done.stdout
            count += 1
    long = HEAD
    # Lines around the width at which a list is broken.
    for width in range(20, 60):
        long += f'[[rule]]\nid = "r{width}"\naction = ["{"a" * 30}", "{"b" * (width - 20)}"]\nverdict = "allow"\n'
    done = run([signoff, "policy", "fmt", "-"], directory, 0, long)
    (directory / "rules.toml").write_text(done.stdout)
    difference = run([*TAPLO_FMT, "--diff", "rules.toml"], directory)
    assert difference.returncode == 0, difference.stdout
    print(f"{count} files in their layout: taplo changes nothing, tomllib reads the same")


def check_junit(signoff, directory):
    names = ["plain", "<b> & \"c\" 'd' ]]>", "line\nand tab\there", "Zoë 請求書 🦀", "bell \u0007"]
    # As a terminal shows them, in one line.
    shown = [*names[:2], "line\\u{a}and tab\\u{9}here", names[3], "bell \\u{7}"]
    tests = "".join(
        f"[[test]]\nname = {json.dumps(name, ensure_ascii=False)}\nagent = \"a\"\naction = \"b\"\nexpect = \"{expect}\"\n"
        for name, expect in zip(names, ["deny", "allow", "allow", "deny", "deny"])
    )
    (directory / "rules.toml").write_text(RULE + tests)
    command = [signoff, "policy", "test", "rules.toml", "--junit", "report.xml"]
    run(command, directory, 1)
    (suite,) = junitparser.JUnitXml.fromfile(str(directory / "report.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (5, 2, 0), suite
    cases = list(suite)
    assert [case.name for case in cases] == shown, cases
    assert {case.classname for case in cases} == {"x"}
    failed = [case.name for case in cases if isinstance(next(iter(case.result), None), junitparser.Failure)]
    assert failed == shown[1:3], failed
    failure = cases[1].result[0]
    assert failure.message == "decision: expected `allow`, got `deny`", failure.message
    assert "rule `a` matched (deny)" in failure.text, failure.text
    # Broken rules are an error, not a missing file.
    (directory / "rules.toml").write_text("format = 2\n")
    run(command, directory, 1)
    (suite,) = junitparser.JUnitXml.fromfile(str(directory / "report.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (1, 0, 1), suite
    print("junitparser reads the results as they are")


def on_terminal(command, directory, **environment):
    """Returns what a command prints on a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120", **environment}
    child = subprocess.Popen(command, cwd=directory, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    printed = b""
    try:
        while more := os.read(ours, 4096):
            printed += more
    except OSError:
        # The end, on Linux.
        pass
    os.close(ours)
    child.wait()
    return printed.decode()


def check_colours(signoff, directory):
    red, green = "\x1b[31m", "\x1b[32m"
    (directory / "rules.toml").write_text(TEST.replace('"deny"', '"allow"'))
    (directory / "other.toml").write_text(TEST.replace('"deny"', '"allow"') + '[[rule]]\nid="n"\nverdict="allow"\n')
    for command, shown in [
        (["test", "rules.toml"], [red, "FAIL  t"]),
        (["diff", "rules.toml", "other.toml"], [green, "+ rule `n`", red, "weaker: t"]),
        (["fmt", "--diff", "other.toml"], [red, '-id="n"', green, '+id = "n"']),
    ]:
        command = [signoff, "policy", *command]
        printed, at = on_terminal(command, directory), 0
        for part in shown:
            at = printed.find(part, at)
            assert at >= 0, (part, printed)
        plain = on_terminal(command, directory, NO_COLOR="1")
        assert "\x1b" not in plain and shown[1] in plain, plain
        assert "\x1b" not in run(command, directory).stdout
    print("results have colours on a terminal, and none in a pipe or with NO_COLOR")


def main():
    signoff = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        files = rules_files(signoff, directory)
        check_schema(signoff, directory, files)
        check_layout(signoff, directory, files)
        check_junit(signoff, directory)
        check_colours(signoff, directory)


main()
