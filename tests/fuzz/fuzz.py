# SPDX-License-Identifier: Apache-2.0
"""Builds the fuzz targets and runs each for some time, from the committed corpus.

    python3 tests/fuzz/fuzz.py                          a minute each
    python3 tests/fuzz/fuzz.py --seconds 600 gguf toml  ten minutes each of two
    python3 tests/fuzz/fuzz.py --seconds 600 --ledger   ... and adds the run to the ledger
    python3 tests/fuzz/fuzz.py --seconds 600 --grow     ... and keeps the inputs that reach new code

A run fails when a target crashes, leaks, or takes too long or too much memory for an input; that
input is then kept in build/fuzz-found and the command that repeats it is printed.
The ledger, docs/results/fuzz-ledger.csv, adds up what was run on which commit.
"""
import argparse
import concurrent.futures
import csv
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORPUS = os.path.join(ROOT, "tests", "corpus")
FOUND = os.path.join(ROOT, "build", "fuzz-found")
LEDGER = os.path.join(ROOT, "docs", "results", "fuzz-ledger.csv")
COLUMNS = ["date", "commit", "target", "seconds", "executions"]
RSS_MB = 512  # the fuzzer's own included; an input may claim sizes, it may not get them
INPUT_SECONDS = 5  # a slow input under two sanitizers on a busy machine; a second without


def targets():
    names = sorted(name[:-len("_fuzz")] for name in os.listdir(CORPUS) if name.endswith("_fuzz"))
    if not names:
        sys.exit("fuzz: no corpus in tests/corpus")
    return names


def build(names):
    for command in (["cmake", "--preset", "fuzz"],
                    ["cmake", "--build", "--preset", "fuzz", "--target"] +
                    [name + "_fuzz" for name in names]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            sys.exit(done.stdout + "fuzz: cannot build the targets")


def command_of(name, seconds, corpora):
    return [os.path.join(ROOT, "build", "fuzz", "tests", name + "_fuzz"),
            f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={RSS_MB}",
            "-print_final_stats=1", "-use_value_profile=1", "-detect_leaks=1",
            f"-artifact_prefix={FOUND}/{name}-"] + corpora


def run(name, seconds, grow):
    """(name, whether it is clean, executions, seconds, what to say)"""
    seeds = os.path.join(CORPUS, name + "_fuzz")
    with tempfile.TemporaryDirectory(prefix="tmill-fuzz-") as folder:
        fresh = os.path.join(folder, "fresh")
        os.mkdir(fresh)
        began = datetime.datetime.now()
        # In the folder: the file targets work on files of their own.
        done = subprocess.run(command_of(name, seconds, [fresh, seeds]), cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False, env=dict(os.environ, TMPDIR=folder))
        took = int((datetime.datetime.now() - began).total_seconds())
        count = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
        executions = int(count.group(1)) if count else 0
        clean = done.returncode == 0 and executions > 0
        if clean and grow:
            merge(name, fresh, seeds)
    words = f"{executions} inputs in {took} s"
    if not clean:
        kept = re.findall(r"Test unit written to (\S+)", done.stdout)
        words += "\n" + done.stdout[-3000:] + "\nrepeat it: " + " ".join(
            [os.path.relpath(command_of(name, seconds, [])[0], ROOT)] + (kept or ["(no input)"]))
    return name, clean, executions, took, words


def merge(name, fresh, seeds):
    """Keeps the smallest set of inputs with the coverage of all, beside the hand-made seeds."""
    subprocess.run([command_of(name, 0, [])[0], "-merge=1", f"-timeout={INPUT_SECONDS}",
                    "-max_len=2048", seeds, fresh],
                   cwd=fresh, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def commit_id():
    done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, check=False)
    return done.stdout.strip() or "unknown"


def add_to_ledger(results):
    new = not os.path.exists(LEDGER)
    with open(LEDGER, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        for name, clean, executions, seconds, _ in results:
            if clean:
                writer.writerow([datetime.date.today().isoformat(), commit_id(), name, seconds,
                                 executions])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at once")
    parser.add_argument("--ledger", action="store_true", help="add the run to the ledger")
    parser.add_argument("--grow", action="store_true", help="keep inputs that reach new code")
    parser.add_argument("--no-build", action="store_true", help="run what is built")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them by default")
    options = parser.parse_args()
    names = options.targets or targets()
    unknown = sorted(set(names) - set(targets()))
    if unknown:
        sys.exit(f"fuzz: no target {unknown[0]}; there are {', '.join(targets())}")
    if not options.no_build:
        build(names)
    shutil.rmtree(FOUND, ignore_errors=True)
    os.makedirs(FOUND)
    results = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(run, name, options.seconds, options.grow) for name in names]
        for job in concurrent.futures.as_completed(jobs):
            results.append(job.result())
            name, clean, _, _, words = results[-1]
            print(f"{'ok  ' if clean else 'FAIL'} {name}: {words}", flush=True)
    if options.ledger:
        add_to_ledger(sorted(results))
    bad = [result[0] for result in results if not result[1]]
    print(f"{len(results)} targets, {sum(r[2] for r in results)} inputs, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
