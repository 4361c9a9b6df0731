# SPDX-License-Identifier: Apache-2.0
"""Every system call of a command fails once (or for ever from there on), one point after another.

  syscalls.py [--scenario NAME ...] [--kind NAME ...] [--error NAME ...] [--at N]
              [--all | --every K | --points N] [--seed S] [--jobs J] [--forever] [--list]

A scenario is first run undisturbed and its calls are counted by kind; then each call of each kind
fails with each error. --points N (the default, 100 a scenario) draws that many by a seed, --every K
takes each K-th, --all all of them. What must hold after each is in docs/internals/faults.md."""
import argparse
import collections
import concurrent.futures
import json
import os
import queue
import random
import re
import signal
import sys
import time

from scenarios import BIN, SCENARIOS, Base, Broken, injector, need

# What the kernel can say to a call and what a test can therefore show: a program that never meets
# ENOSPC from close need not be written for it, but must end cleanly all the same.
ALL = ("ENOSPC", "EIO", "EMFILE", "EINTR")
ERRORS = {"mmap": ("ENOMEM",), "brk": ("ENOMEM",), "clone3": ("ENOMEM",),
          "vfork": ("ENOMEM",), "getrandom": ("EINTR",), "poll": ("EINTR",),
          "epoll_wait": ("EINTR",)}
# What the kernel never says to a connection: libzmq aborts or waits for ever, and rightly so.
NEVER = {(kind, error) for kind in ("recvfrom", "recvmsg", "sendto", "sendmsg", "connect", "poll",
                                    "epoll_wait") for error in ("ENOSPC", "EMFILE")}
# The manual pages name EINTR for these; it says "try again", and that is what must happen.
INTERRUPTIBLE = {"openat", "read", "pread64", "write", "writev", "pwrite64", "fsync", "fdatasync",
                 "ftruncate", "fallocate", "close", "flock", "getrandom", "connect", "accept",
                 "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "poll", "epoll_wait"}
SYNC = {"fsync", "fdatasync", "syncfs"}
WORDS = {"ENOSPC": ["no space left", "disk is full"], "EIO": ["input/output error", "disk i/o"],
         "EMFILE": ["too many open files"], "ENOMEM": ["out of memory", "cannot allocate memory"],
         "EINTR": ["interrupted system call"]}

# libzmq's own errno_assert: it prints the error and where, and aborts. Its event descriptors, its
# poller and its threads are beyond recovery for it.
ABORTS = re.compile(r"\(src/[a-z0-9_]+\.[ch]pp:[0-9]+\)|: src/z[a-z]+\.c:[0-9]+: .*Assertion")

# What is said instead of the error's own text: SQLite does not always hand that out, and of the
# gate, another process, it is only known that it ended.
OWN_WORDS = [("journal.db", ["unable to open database file", "locking protocol", "disk i/o error",
                             "readonly database", "database disk image is malformed",
                             "it was not to be locked"]),
             ("start the gate", ["ended at once", "no answer", "cannot be limited"])]

Point = collections.namedtuple("Point", "scenario kind error at forever")


def name_of(point):
    return (f"--scenario {point.scenario} --kind {point.kind} --error {point.error} "
            f"--at {point.at}{' --forever' if point.forever else ''}")


def read_log(slot):
    if not os.path.exists(slot.log):
        return []
    with open(slot.log, encoding="utf-8", errors="replace") as stream:
        return [line.rstrip("\n").split("\t") for line in stream]


def count(scenario):
    """Of an undisturbed run: {kind: [whether a signal may interrupt the call, ...]}."""
    scenario.slot.restore()
    under = injector(scenario.slot.log, process=scenario.process)
    ended = scenario.disturb(under=under)
    need(ended.code == 0, f"under the injector: {ended}")
    scenario.check_success(ended)
    calls = collections.defaultdict(list)
    for row in read_log(scenario.slot):
        if row[0] in ("call", "masked"):
            calls[row[1]].append(row[0] == "call")
    return calls


def restarted(point, what):
    """Calls of the C library and of SQLite, which do not try again. For write the kernel does: the
    handlers have SA_RESTART. A sync that says EINTR may be taken for one that failed."""
    return (point.kind == "write" and what.startswith("pipe:")) or \
        (point.kind in SYNC and "journal.db" in what)


def at_the_end(slot, what):
    """The checkpoint when SQLite closes the journal: all is durable in the log (-wal), which stays
    when it fails; the next one to open it tries again. And the folder of the journal, whose sync
    SQLite does not look at: we do it ourselves."""
    rows = [row for row in read_log(slot) if row[0] in ("hit", "total")]
    return ("journal.db" in what and int(rows[-1][2]) - int(rows[0][2]) <= 2) or \
        (rows[0][1] == "fdatasync" and os.path.isdir(what))


def names_of(slot, path):
    """What an error may call the file: its name, the one that it will get, or its folder's."""
    path = path.removesuffix(" (deleted)")
    name = re.sub(r"(-wal|-shm|-journal)$", "", os.path.basename(path).split(".tmp-")[0])
    folder = os.path.basename(os.path.dirname(path))
    return [name, folder, *(['"."'] if path == slot.run else [])]


def check_error_line(scenario, ended, point, what):
    # SQLite takes EIO while it reads for damage, and says that it may be the disk.
    damage = point.kind == "pread64" and "journal.db" in what and ended.code == 4
    need(damage or ended.code in scenario.codes, f"exit code {ended.code}: {ended}")
    # libzmq in the gate says its last words on the same stream.
    lines = [line for line in ended.lines if not (scenario.process and ABORTS.search(line))]
    need(len(lines) == 1, f"{len(lines)} lines on stderr: {ended}")
    error = json.loads(lines[0])
    need(error["code"] == ended.code, f"the code in the line is another one: {ended}")
    parts = [error[key] for key in ("where", "what", "why", "hint", "status")]
    text = " ".join(f'"{part}"' for part in parts).lower()
    words = WORDS[point.error] + [w for part, own in OWN_WORDS if part in text for w in own]
    need(any(word in text for word in words), f"does not say {point.error}: {ended}")
    if what.startswith("/") and not what.startswith(("/dev", "/proc", "/sys")):
        need(any(name.lower() in text for name in names_of(scenario.slot, what)),
             f"does not name {what}: {ended}")


def check(scenario, point, ended, hits):
    """True when a library ended the program, which only libzmq may (docs/internals/faults.md)."""
    slot, what = scenario.slot, hits[0][3] if hits else ""
    if ended.code == 128 + signal.SIGABRT and ABORTS.search(ended.err) and hits:
        scenario.check_inputs()
        scenario.check_failure(ended)
        scenario.recover()
        return True
    need(ended.code >= 0 and ended.code < 126, f"a signal: {ended}")
    scenario.check_inputs()
    if ended.code == 0:
        need(not hits or point.kind not in SYNC or point.error != "EIO" or at_the_end(slot, what),
             "a failed sync is ignored")
        scenario.check_success(ended)
    else:
        need(hits, f"nothing failed, yet: {ended}")
        need(point.error != "EINTR" or point.kind not in INTERRUPTIBLE or restarted(point, what),
             f"not retried: {ended}")
        check_error_line(scenario, ended, point, what)
        scenario.check_failure(ended)
        scenario.recover()
    may_stay = point.forever or point.kind.startswith("unlink")
    left = [] if may_stay else slot.half_written()
    need(not left, f"left behind: {left}: {ended}")
    return False


def visit(scenario, point):
    """(outcome, text): ok, failed, or missed when that call was not made this time."""
    slot = scenario.slot
    slot.restore()
    if os.path.exists(slot.log):
        os.unlink(slot.log)
    under = injector(slot.log, point.kind, point.error, point.at, point.forever,
                     scenario.process)
    hits, ended = [], None
    try:
        try:
            ended = scenario.disturb(under=under)
        finally:
            hits = [row for row in read_log(slot) if row[0] == "hit"]
        aborted = check(scenario, point, ended, hits)
    except Broken as broken:
        return "broken", f"{hits[0][3] if hits else 'no hit'}: {broken}"
    except Exception as error:  # a bug of the program may surprise the checks: it is one point
        return "broken", f"{hits[:1]}: {type(error).__name__}: {error}: {ended}"
    if not hits:
        return "missed", ""
    outcome = "aborted" if aborted else "ok" if ended.code == 0 else "failed"
    return outcome, str(ended)


def choose(points, options):
    if options.all:
        chosen = points
    elif options.every:
        chosen = points[options.seed % options.every::options.every]
    else:
        draw = random.Random(f"{options.seed} {points[0].scenario}")
        chosen = draw.sample(points, min(options.points, len(points)))
    return [point for point in chosen if (point.kind, point.error) not in NEVER]


def points_of(counts, name, options):
    points = []
    for kind, calls in sorted(counts.items()):
        if options.kind and kind not in options.kind:
            continue
        for error in ERRORS.get(kind, ALL):
            if options.error and error not in options.error:
                continue
            if options.forever and error == "EINTR":
                continue  # whoever retries would do so for ever
            numbers = [options.at] if options.at else range(1, len(calls) + 1)
            points += [Point(name, kind, error, n, options.forever) for n in numbers
                       if error != "EINTR" or n > len(calls) or calls[n - 1]]
    return points


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names)
    parser.add_argument("--kind", action="append")
    parser.add_argument("--error", action="append")
    parser.add_argument("--at", type=int)
    parser.add_argument("--forever", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--every", type=int)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--seed", type=int,
                        default=int(os.environ.get("TMILL_SEED", int(time.time() / 86400))))
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--list", action="store_true", help="print each point's outcome")
    return parser.parse_args(argv)


def walk(scenario_class, options, base):
    """Visits the points of one scenario in several slots; (Counter of outcomes, broken)."""
    slots = queue.Queue()
    first = base.slot(scenario_class)
    points = points_of(count(first), scenario_class.name, options)
    points = choose(points, options) if points else []
    slots.put(first)
    for _ in range(min(options.jobs, len(points)) - 1):
        slots.put(base.slot(scenario_class))

    def one(point):
        scenario = slots.get()
        try:
            return point, *visit(scenario, point)
        finally:
            slots.put(scenario)

    outcomes, broken = collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for point, outcome, text in pool.map(one, points):
            outcomes[outcome] += 1
            if options.list:
                print(f"{outcome}\t{name_of(point)}\t{text[:400]}", flush=True)
            if outcome == "broken":
                broken.append((point, text))
    return outcomes, broken


def main(argv):
    options = parse(argv)
    if not os.access(injector("")[0], os.X_OK):
        sys.exit(f"the injector is not built beside {BIN}")
    print(f"seed {options.seed}")
    failures, total, base = [], collections.Counter(), Base()
    try:
        for scenario in SCENARIOS:
            if options.scenario and scenario.name not in options.scenario:
                continue
            started = time.monotonic()
            outcomes, broken = walk(scenario, options, base)
            total += outcomes
            failures += broken
            print(f"{scenario.name}: {sum(outcomes.values())} points, {outcomes['ok']} went on, "
                  f"{outcomes['failed']} ended with an error, {outcomes['aborted']} aborted in "
                  f"libzmq, {outcomes['missed']} not met, "
                  f"{outcomes['broken']} broken; {time.monotonic() - started:.0f} s", flush=True)
    finally:
        base.remove()
    for point, text in failures:
        print(f"BROKEN {name_of(point)}\n    {text[:1000]}")
    print(f"{sum(total.values())} points, {len(failures)} broken")
    return 1 if failures or not total["ok"] + total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
