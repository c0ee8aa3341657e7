"""Compares `POST /guardrails/evaluate` of two builds of signoff, in alternating rounds.

    python3 tests/bench/evaluate.py --before PATH --after PATH [--connections 32] [--rounds 20] [--seconds 2]

Each build has its own store on the same disk, with the same policy. Every answer is durable before it is sent.
Only one build gets requests at a time. Rates are medians of the rounds; the ratio is the median of the rounds'
ratios. CPU is the server's user and system time for one evaluation. Needs `wrk`.
"""

import argparse
import os
import pathlib
import statistics
import sys

from rollout import ROOT, Server, built, wrk

TICKS = os.sysconf("SC_CLK_TCK")


class Side:
    """A server with the policy, and its measurements."""

    def __init__(self, server, options):
        self.server, self.rates, self.cpu = server, [], []
        server.ship(built(server, options.rules, 1), "bench", 1)

    def round(self, options):
        before = self.seconds_of_cpu()
        rate = 1 / wrk(self.server, options.seconds, options.connections)
        self.rates.append(rate)
        self.cpu.append((self.seconds_of_cpu() - before) / (rate * options.seconds))

    def seconds_of_cpu(self):
        stat = pathlib.Path(f"/proc/{self.server.process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / TICKS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a signoff binary")
    parser.add_argument("--after", required=True, help="another signoff binary")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=2, help="seconds of a round")
    parser.add_argument("--rules", type=int, default=10)
    options = parser.parse_args()
    with Server(options.before, ROOT / "target") as one, Server(options.after, ROOT / "target") as other:
        sides = {"before": Side(one, options), "after": Side(other, options)}
        for number in range(options.rounds + 1):
            order = list(sides.values())
            for side in order if number % 2 == 0 else reversed(order):
                side.round(options)
            last = ", ".join(f"{name} {side.rates[-1]:.0f}/s" for name, side in sides.items())
            print(f"round {number} of {options.rounds}: {last}", file=sys.stderr)
    for side in sides.values():
        # The first round warms up.
        del side.rates[0], side.cpu[0]
    for figure, unit, scale in [("rates", "/s", 1), ("cpu", " µs CPU", 1e6)]:
        before, after = (getattr(sides[name], figure) for name in ("before", "after"))
        ratio = statistics.median(b / a for a, b in zip(before, after))
        low, high = (statistics.median(side) * scale for side in (before, after))
        what = f"evaluate, {options.connections} connections"
        print(f"| {what} | before {low:.0f}{unit} | after {high:.0f}{unit} | {ratio:.2f} × |")


if __name__ == "__main__":
    main()
