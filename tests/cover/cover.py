# SPDX-License-Identifier: Apache-2.0
"""Builds the coverage preset, runs the unit tests and the corpora in it and holds what they cover
to the thresholds below.

  cover.py [--keep]    --keep: judge the counters of the last run, do not build or run again

Works in build/coverage of the source folder and leaves report.html (gcovr's, a page a file) and
report.json there. Branches in lines with TM_ASSERT are not counted: a test that takes them would
have to be a bug of ours."""
import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build/coverage")
LINES_MIN = 90.0  # percent, over all product code

# Every branch of these is taken: module -> why a branch that nobody tried is too dangerous there.
SIGNATURE = "decides whether a key, a signature or a digest counts"
PATH = "keeps names from outside inside their folder"
JOURNAL = "what a coordinator remembers after a crash"
PACKAGE = "decides whether a package from outside is believed"
EVERY_BRANCH = {
    "crypto/digest.c": SIGNATURE,
    "crypto/identity.c": SIGNATURE,
    "crypto/keyfile.c": SIGNATURE,
    "crypto/merkle.c": SIGNATURE,
    "crypto/sign.c": SIGNATURE,
    "base/path.c": PATH,
    "base/root.c": PATH,
    "node/journal/journal.c": JOURNAL,
    "node/coordinator/verify.c": PACKAGE,
    "package/digest_map.c": PACKAGE,
    "package/index_payload.c": PACKAGE,
    "package/ledger.c": PACKAGE,
    "package/package_parse.c": PACKAGE,
    "package/package_read.c": PACKAGE,
    "package/package_tables.c": PACKAGE,
    "package/release.c": PACKAGE,
}


def fail(text):
    print(f"cover: {text}")
    sys.exit(1)


def step(name, *command):
    """Runs a quiet command; its log is printed only when it fails."""
    log = os.path.join(ROOT, "build", f"cover-{name}.log")
    with open(log, "wb") as out:
        code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode
    if code != 0:
        with open(log, "rb") as text:
            sys.stdout.write(text.read()[-8000:].decode("utf-8", "replace"))
        fail(f"{name} failed, all of it in {log}")


def forget_counters():
    for folder, _, names in os.walk(BUILD):
        for name in names:
            if name.endswith(".gcda"):
                os.unlink(os.path.join(folder, name))


def measure():
    jobs = str(os.cpu_count())
    os.makedirs(BUILD, exist_ok=True)
    step("configure", "cmake", "--preset", "coverage")
    step("build", "cmake", "--build", "--preset", "coverage", "-j", jobs)
    forget_counters()
    step("tests", "ctest", "--preset", "coverage", "--no-tests=error", "-j", jobs,
         "-L", "^(unit|fuzz)$")
    # Commands are tested from outside: some that are quick and start nothing.
    step("commands", "ctest", "--preset", "coverage", "--no-tests=error", "-j", jobs,
         "-R", r"^whole\.cmd_(inspect|key|tokenize|verify|publish|export)$")


def report():
    """gcovr's JSON: one entry a file, with lines and the branches of each line."""
    where = os.path.join(BUILD, "report.json")
    step("gcovr", "gcovr", "-r", ".", "build/coverage", "-j", str(os.cpu_count()),
         "--exclude", r".*_test\.c", "--exclude", r".*_fuzz\.c", "--exclude", "tests/",
         "--exclude", "build/", "--exclude-branches-by-pattern", r".*TM_ASSERT.*",
         "--html-details", os.path.join(BUILD, "report.html"), "--json", where)
    with open(where, encoding="utf-8") as text:
        return json.load(text)["files"]


class Count:
    """Lines and branches of one file or of many."""

    def __init__(self):
        self.lines = self.lines_hit = self.branches = self.branches_hit = 0
        self.missing = []  # numbers of lines with a branch not taken

    def add_file(self, entry):
        for line in entry["lines"]:
            if line.get("gcovr/noncode") or line.get("gcovr/excluded"):
                continue
            self.lines += 1
            self.lines_hit += line["count"] > 0
            taken = [branch["count"] > 0 for branch in line["branches"]]
            self.branches += len(taken)
            self.branches_hit += sum(taken)
            self.missing += [line["line_number"]] * (len(taken) - sum(taken))

    def row(self, name):
        return (f"{name:34} {self.lines_hit:6} {self.lines:6} {percent(self.lines_hit, self.lines)}"
                f" {self.branches_hit:6} {self.branches:6}"
                f" {percent(self.branches_hit, self.branches)}")


def percent(part, whole):
    # Rounded down: 100.0 is all of them.
    return f"{(1000 * part // whole) / 10 if whole else 100.0:6.1f}%"


def judge(files):
    """Prints the table; returns what is below a threshold."""
    counts, folders, whole, wrong = {}, {}, Count(), []
    for entry in files:
        counts[entry["file"]] = Count()
        folder = folders.setdefault(os.path.dirname(entry["file"]), Count())
        for count in (counts[entry["file"]], folder, whole):
            count.add_file(entry)
    print(f"{'':34} lines taken  of       % branches    of       %")
    for name in sorted(folders):
        print(folders[name].row(name + "/"))
    print(whole.row("all"))
    print()
    for name in sorted(EVERY_BRANCH):
        if name not in counts:
            wrong.append(f"{name}: no counters; is its name still right?")
            continue
        count = counts[name]
        print(count.row(name))
        if count.missing:
            lines = ", ".join(map(str, sorted(set(count.missing))))
            wrong.append(f"{name}: {len(count.missing)} branches not taken, in lines {lines}")
    if whole.lines_hit * 100 < LINES_MIN * whole.lines:
        wrong.append(f"{percent(whole.lines_hit, whole.lines)} of the lines, the threshold is"
                     f" {LINES_MIN}%")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keep", action="store_true")
    keep = parser.parse_args().keep
    if not keep:
        measure()
    wrong = judge(report())
    if wrong:
        fail("\n  ".join(["below the thresholds:", *wrong]))
    print(f"\ncover: thresholds held; pages in {os.path.join(BUILD, 'report.html')}")


if __name__ == "__main__":
    main()
