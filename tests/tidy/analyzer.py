#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gcc's static analyzer over every source of the product: analyzer.py BUILD-DIR

Takes each command of compile_commands.json, adds -fanalyzer and fails on any warning of it."""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = re.compile(r"(base|crypto|model|model/[a-z]+|stages|package|proto|scheduler|node/[a-z]+)"
                     r"/[a-z0-9_]+(?<!_test)(?<!_fuzz)\.c")


def product_commands(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        for entry in json.load(stream):
            path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
            if FOLDERS.fullmatch(path):
                yield path, entry


def analyze(item):
    path, entry = item
    words = shlex.split(entry["command"])
    if os.path.basename(words[0]) == "ccache":
        words = words[1:]
    words[words.index("-o") + 1] = "/dev/null"
    # Dependencies and errors are the build's business.
    words = [w for w in words if w not in ("-MD", "-Werror")]
    for flag in ("-MT", "-MF"):
        if flag in words:
            at = words.index(flag)
            del words[at:at + 2]
    done = subprocess.run(words + ["-fanalyzer"], cwd=entry["directory"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    bad = done.returncode != 0 or "-Wanalyzer" in done.stdout
    return path, done.stdout if bad else ""


def main():
    items = sorted(product_commands(sys.argv[1]))
    if len(items) < 100:
        sys.exit(f"analyzer.py: only {len(items)} sources in {sys.argv[1]}/compile_commands.json")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, said in pool.map(analyze, items):
            if said:
                failed += 1
                print(f"== {path}\n{said}")
    print(f"{len(items)} sources analyzed, {failed} with warnings")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
