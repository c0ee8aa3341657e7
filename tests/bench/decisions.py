"""Compares durable decisions of two builds of signoff, in alternating rounds.

python3 tests/bench/decisions.py --before PATH --after PATH [--rounds 10] [--seconds 2] [--dir DIR]

Each round runs `signoff bench` of both builds on the same disk. The ratio is the median of the rounds' ratios.
"""

import argparse
import json
import statistics
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a signoff binary")
    parser.add_argument("--after", required=True, help="another signoff binary")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2, help="seconds for each figure in a round")
    parser.add_argument("--dir", help="folder for the stores")
    options = parser.parse_args()
    times = {"before": [], "after": []}
    for number in range(options.rounds):
        order = ["before", "after"] if number % 2 == 0 else ["after", "before"]
        for name in order:
            times[name].append(measured(getattr(options, name), options))
    for figure in times["before"][0]:
        before, after = ([one[figure] for one in times[name]] for name in ("before", "after"))
        ratio = statistics.median(a / b for a, b in zip(after, before))
        low, high = (statistics.median(side) * 1e6 for side in (before, after))
        print(f"{figure}: before {low:.0f} µs, after {high:.0f} µs, ratio {ratio:.2f}")


def measured(signoff, options):
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        command = [signoff, "bench", "--seconds", str(options.seconds), "--dir", folder, "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    figures = json.loads(done.stdout)
    return {f["name"]: f["seconds"] for f in figures if f["name"].startswith("durable")}


if __name__ == "__main__":
    main()
