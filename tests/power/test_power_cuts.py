# SPDX-License-Identifier: Apache-2.0
"""The power goes after every durable system call of the coordinator, of compress, publish and key
gen, and of install, update, rollback and removal on a device. Prints how many calls and how many
different disks were judged.

$TMILL_SEED repeats a run; $TMILL_POWER_WEATHERS (calm writes names) and $TMILL_POWER_UNITS widen or
narrow it; $TMILL_POWER_KEEP=1 lists the disk where a judge failed. Names of scenarios as arguments
run those alone."""
import os
import shutil
import sys
import tempfile
import time
import zlib

import disk
from cuts import SEED, WEATHERS, Walk
from power_scenarios import ALL

# The least that must have been covered: fewer means that the tracer or the scenario is broken.
LEAST = {"coordinator": 300, "compress": 300, "update": 300, "install": 300, "publish": 10,
         "changed": 3, "rollback": 3, "remove": 3, "key": 3, "trust": 3}


def walk(kind, weather):
    """(calls, disks, failures) of one scenario in one weather."""
    base = tempfile.mkdtemp(prefix="tmill-power-")
    try:
        started = time.monotonic()
        seed = zlib.crc32(f"{SEED} {kind.name} {weather}".encode())
        result = Walk(kind(base), weather, seed).walk()
        calls = sum(result.calls.values())
        each = ", ".join(f"{n} {name}" for name, n in sorted(result.calls.items()))
        print(f"{kind.name:<12}{weather:<8}{calls:>5} calls {result.states:>5} disks "
              f"{len(result.failures):>3} failed {time.monotonic() - started:6.1f} s  ({each})",
              flush=True)
        return calls, result.states, len(result.failures)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def main():
    names = sys.argv[1:] or [kind.name for kind in ALL]
    weathers = os.environ.get("TMILL_POWER_WEATHERS", " ".join(WEATHERS)).split()
    print(f"TMILL_SEED={SEED}")
    disk.own_namespace()
    calls = disks = failures = 0
    for kind in ALL:
        if kind.name not in names:
            continue
        for weather in weathers:
            walked = walk(kind, weather)
            if walked[0] < LEAST[kind.name]:
                print(f"{kind.name}: only {walked[0]} durable calls, {LEAST[kind.name]} expected")
                failures += 1
            calls, disks, failures = calls + walked[0], disks + walked[1], failures + walked[2]
    print(f"power cuts: {calls} calls covered, {disks} different disks judged, "
          f"{failures} failures")
    return 1 if failures or not disks else 0


if __name__ == "__main__":
    sys.exit(main())
