# SPDX-License-Identifier: Apache-2.0
"""security_page.py BUILD: every test that docs/SECURITY.md names as proof must be there."""
import re
import subprocess
import sys

# Registered in other builds than the one that runs this (tests/*/tests.cmake).
ELSEWHERE = {"mutate.inputs", "fuzz.fresh", "whole.memory", "fault.syscalls", "fault.mallocs",
             "fault.power_cuts", "fault.kill_walk"}


def main():
    with open("docs/SECURITY.md", encoding="utf-8") as file:
        rows = [line for line in file if line.startswith("|") and line.count("|") >= 3]
    named = {name for row in rows[2:] for name in re.findall(r"`([a-z]+\.\w+)`", row)}
    listed = subprocess.run(["ctest", "--test-dir", sys.argv[1], "-N"], stdout=subprocess.PIPE,
                            text=True, check=True).stdout
    there = set(re.findall(r"Test +#\d+: (\S+)", listed))
    unproven = [row for row in rows[2:] if not re.search(r"`[a-z]+\.\w+`", row)]
    missing = sorted(named - there - ELSEWHERE)
    for name in missing:
        print(f"docs/SECURITY.md names {name}, and there is no such test")
    for row in unproven:
        print(f"docs/SECURITY.md promises without a test: {row.strip()}")
    print(f"{len(rows) - 2} promises, {len(named)} tests")
    return 1 if missing or unproven or len(named) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
