# SPDX-License-Identifier: Apache-2.0
"""Adds up docs/results/fuzz-ledger.csv: python3 tests/fuzz/ledger.py prints the table of
docs/results/fuzz.md, what each target has had against what we want it to have."""
import csv
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LEDGER = os.path.join(ROOT, "docs", "results", "fuzz-ledger.csv")
HOURS_WANTED = 24
EXECUTIONS_WANTED = 100_000_000


def totals():
    sums = {}
    with open(LEDGER, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seconds, executions = sums.get(row["target"], (0, 0))
            sums[row["target"]] = (seconds + int(row["seconds"]),
                                   executions + int(row["executions"]))
    return sums


def main():
    sums = totals()
    print("| target | CPU-hours | inputs | of what we want |")
    print("|---|---:|---:|---:|")
    for name in sorted(sums):
        seconds, executions = sums[name]
        share = min(seconds / 3600 / HOURS_WANTED, executions / EXECUTIONS_WANTED)
        print(f"| {name} | {seconds / 3600:.2f} | {executions:,} | {100 * share:.1f} % |")
    print(f"| all {len(sums)} | {sum(s for s, _ in sums.values()) / 3600:.2f} "
          f"| {sum(e for _, e in sums.values()):,} | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
