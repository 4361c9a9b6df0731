# SPDX-License-Identifier: Apache-2.0
"""Every allocation of a command fails, once or for ever from there on: our own ones and those of
the libraries (tests/support/failing_malloc.c).

  mallocs.py [--scenario NAME ...] [--at N] [--forever] [--all | --points N] [--seed S] [--jobs J]

After each failure the command ends within its deadline with 0 and the right result, or with 1 or 6
and one line that says "out of memory", and what it leaves passes the scenario's checks. libzmq and
CZMQ end a process that is out of memory (docs/internals/faults.md); that is counted apart."""
import argparse
import collections
import concurrent.futures
import json
import os
import queue
import random
import signal
import sys
import time

from scenarios import BIN, SCENARIOS, Base, Broken, need

NAMES = ["compress", "verify", "export", "key-gen", "publish", "pull-first", "pull", "pull-http"]
SHIM = os.path.join(os.path.dirname(BIN), "tests/libfailing_malloc.so")
CODES = {1, 5, 6}


def disturb(scenario, at, forever):
    log = scenario.slot.log
    env = {"LD_PRELOAD": SHIM, "FAIL_AT": str(at), "FAIL_LOG": log}
    if forever:
        env["FAIL_FOREVER"] = "1"
    return scenario.disturb(env=env)


def aborts(scenario, ended):
    """libzmq and CZMQ: their messages, or bad_alloc of C++. Only compress has them."""
    return scenario.name == "compress" and ended.code == -signal.SIGABRT


def check(scenario, ended):
    scenario.check_inputs()
    if aborts(scenario, ended):
        scenario.check_failure(ended)
        scenario.recover()
        return "aborted"
    need(ended.code >= 0, f"a signal: {ended}")
    if ended.code == 0:
        scenario.check_success(ended)
        outcome = "ok"
    else:
        need(ended.code in CODES, f"exit code: {ended}")
        need(len(ended.lines) == 1, f"{len(ended.lines)} lines on stderr: {ended}")
        text = ended.lines[0]
        if text.startswith("{"):  # or a plain line when there is no memory for JSON
            need(json.loads(text)["code"] == ended.code, f"the code in the line: {ended}")
        need("memory" in text.lower(), f"does not say that memory is out: {ended}")
        scenario.check_failure(ended)
        scenario.recover()
        outcome = "failed"
    need(not scenario.slot.half_written(), f"left behind: {scenario.slot.half_written()}: {ended}")
    return outcome


def visit(scenario, at, forever):
    scenario.slot.restore()
    ended = None
    try:
        ended = disturb(scenario, at, forever)
        return check(scenario, ended), str(ended)
    except Broken as broken:
        return "broken", str(broken)
    except Exception as error:  # a bug of the program may surprise the checks: it is one point
        return "broken", f"{type(error).__name__}: {error}: {ended}"


def count(scenario):
    scenario.slot.restore()
    ended = disturb(scenario, 0, False)
    need(ended.code == 0, f"under the shim: {ended}")
    with open(scenario.slot.log, encoding="ascii") as stream:
        return int(stream.read())


def walk(scenario_class, options, base):
    slots, first = queue.Queue(), base.slot(scenario_class)
    calls = count(first)
    modes = [True] if options.forever else [False, True]
    numbers = [options.at] if options.at else range(1, calls + 1)
    points = [(at, forever) for forever in modes for at in numbers]
    if not options.all and not options.at:
        chosen = random.Random(f"{options.seed} {scenario_class.name}")
        points = chosen.sample(points, min(options.points, len(points)))
    slots.put(first)
    for _ in range(min(options.jobs, len(points)) - 1):
        slots.put(base.slot(scenario_class))

    def one(point):
        scenario = slots.get()
        try:
            return point, *visit(scenario, *point)
        finally:
            slots.put(scenario)

    outcomes, broken = collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for (at, forever), outcome, text in pool.map(one, points):
            outcomes[outcome] += 1
            if outcome == "broken":
                name = f"--scenario {scenario_class.name} --at {at}"
                broken.append((name + (" --forever" if forever else ""), text))
    return calls, outcomes, broken


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--scenario", action="append", choices=NAMES)
    parser.add_argument("--at", type=int)
    parser.add_argument("--forever", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--seed", type=int,
                        default=int(os.environ.get("TMILL_SEED", int(time.time() / 86400))))
    parser.add_argument("--jobs", type=int, default=4)
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    if not os.path.exists(SHIM):
        sys.exit(f"{SHIM} is not built")
    print(f"seed {options.seed}")
    failures, total, base = [], 0, Base()
    try:
        for scenario in SCENARIOS:
            if scenario.name not in (options.scenario or NAMES):
                continue
            calls, outcomes, broken = walk(scenario, options, base)
            failures += broken
            total += sum(outcomes.values())
            print(f"{scenario.name}: {sum(outcomes.values())} points of {calls} allocations, "
                  f"{outcomes['ok']} went on, {outcomes['failed']} ended with an error, "
                  f"{outcomes['aborted']} aborted in libzmq, {outcomes['broken']} broken",
                  flush=True)
    finally:
        base.remove()
    for name, text in failures:
        print(f"BROKEN {name}\n    {text[:1000]}")
    print(f"{total} points, {len(failures)} broken")
    return 1 if failures or not total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
