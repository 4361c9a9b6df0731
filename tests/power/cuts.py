# SPDX-License-Identifier: Apache-2.0
"""Walks a power cut over every durable system call of a program: the program stands still after
each (powercut_main.c), the disk is copied as the cut would leave it (disk.py), and a judge looks at
the copy while the program goes on."""
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../whole"))

import disk  # noqa: E402
from harness import BIN, EDGE, TMILL  # noqa: E402

POWERCUT = os.path.join(os.path.dirname(BIN), "tests/powercut")
SEED = int(os.environ.get("TMILL_SEED", str(int(time.time()))))
JUDGES = 2
# What the kernel does on its own between two calls: nothing; writes everything now and then; names
# and sizes now and then, before data, on a file system that promises only what POSIX does.
WEATHERS = {"calm": "usual", "writes": "usual", "names": "strict"}
EVERY = {"writes": 5, "names": 3}


class Verdict(AssertionError):
    """What a judge found wrong."""


def check(good, why):
    if not good:
        raise Verdict(why)


def run(*argv, codes=(0,), env=None):
    """Runs a program to its end; its data when it printed JSON."""
    done = subprocess.run([str(word) for word in argv], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    err = done.stderr.decode("utf-8", "replace")
    check(done.returncode in codes, f"{argv[0]} {argv[1]}: exit {done.returncode}, not {codes}: "
          f"{err}")
    if "--json" in argv and done.returncode == 0:
        return json.loads(done.stdout)["data"]
    return done


class Scenario:
    """One program on one disk. Subclasses say what it does and what must hold after a cut."""
    name = ""
    mib = 32
    short = False  # so few calls that the kernel may do something at each
    code = 0       # how the undisturbed program ends

    def __init__(self, base):
        self.base = base                       # a folder of this scenario that no cut touches
        self.top = os.path.join(base, "disk")  # where the disk is mounted
        os.makedirs(self.top)

    def env(self):
        """Everything on the disk."""
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": self.top, "LC_ALL": "C",
               "TMPDIR": self.base}
        for word in ("CONFIG", "DATA", "STATE", "CACHE"):
            env[f"XDG_{word}_HOME"] = os.path.join(self.top, word.lower())
        return env

    def on(self, *names):
        return os.path.join(self.top, *names)

    def off(self, *names):
        return os.path.join(self.base, *names)

    def tmill(self, *argv, codes=(0,)):
        return run(TMILL, *argv, codes=codes, env=self.env())

    def edge(self, *argv, codes=(0,)):
        return run(EDGE, *argv, codes=codes, env=self.env())

    def prepare(self):
        """Fills the fresh disk."""

    def command(self):
        raise NotImplementedError

    def begin(self):
        """The traced program has started."""

    def reached(self, number):
        """The program stands still after its durable call of this number, and goes on after."""

    def acknowledged(self):
        """What somebody outside was promised so far; compared by value."""
        return None

    def judge(self, acknowledged, printed):
        """The disk after the cut. printed: what the program printed when it had ended well before
        the cut, else None. Raises Verdict."""
        raise NotImplementedError

    def end(self):
        """The walk is over."""


class Walk:
    """One scenario in one weather."""

    def __init__(self, scenario, weather, random_seed):
        self.scenario, self.weather = scenario, weather
        self.random = random.Random(random_seed)
        self.calls, self.states = {}, 0
        self.judges, self.failures = {}, []
        self.last = None

    def walk(self):
        s = self.scenario
        self.disk = disk.Disk(s.off("image"), s.top, s.mib, WEATHERS[self.weather])
        self.disk.mount()
        s.prepare()
        self.disk.unmount()
        self.disk.mount()
        try:
            printed = self.trace()
            self.last = None
            self.cut("the end", printed)
        finally:
            s.end()
            while self.judges:
                self.wait_for_judge()
            self.disk.unmount()
        return self

    def trace(self):
        """Runs the program from call to call; what it printed."""
        from_us, to_them = os.pipe()
        from_them, to_us = os.pipe()
        process = subprocess.Popen(
            [POWERCUT, "stop", str(from_us), str(to_us), *self.scenario.command()],
            pass_fds=(from_us, to_us), env=self.scenario.env(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(from_us)
        os.close(to_us)
        printed = {}
        readers = [threading.Thread(target=lambda f=f: printed.update({f: f.read().decode()}))
                   for f in (process.stdout, process.stderr)]
        for reader in readers:
            reader.start()
        try:
            self.scenario.begin()
            with os.fdopen(from_them) as lines:
                for line in lines:
                    number, call = line.split()
                    self.calls[call] = self.calls.get(call, 0) + 1
                    self.scenario.reached(int(number))
                    self.point(f"call {number} ({call})")
                    os.write(to_them, b"g")
        finally:
            os.close(to_them)
            process.wait(60)
            for reader in readers:
                reader.join()
            process.stdout.close()
            process.stderr.close()
        check(process.returncode == self.scenario.code,
              f"the program itself: exit {process.returncode}: {printed[process.stderr]}")
        return printed[process.stdout] if self.scenario.code == 0 else None

    def point(self, what):
        if self.scenario.short or self.random.randrange(EVERY.get(self.weather, 1)) == 0:
            if self.weather == "writes":
                self.disk.write_all()
            elif self.weather == "names":
                self.disk.write_names()
        self.cut(what, None)

    def cut(self, what, printed):
        acknowledged = self.scenario.acknowledged()
        state = (self.disk.written(), acknowledged)
        if state == self.last:
            return  # the same bytes and the same promises were judged before
        while len(self.judges) >= JUDGES:
            self.wait_for_judge()
        self.states += 1
        # A file of its own: a slow judge may still look at an older one.
        copy = self.scenario.off(f"copy-{self.states}")
        written = self.disk.cut(copy)
        acknowledged = self.scenario.acknowledged()
        self.last = (written, acknowledged)
        pid = disk.in_namespace(lambda: self.judge(what, acknowledged, printed), copy,
                                self.scenario.top, self.disk.kind)
        self.judges[pid] = (what, copy)

    def judge(self, what, acknowledged, printed):
        try:
            self.scenario.judge(acknowledged, printed)
        except (Verdict, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            text = f"{self.scenario.name}, {self.weather}, cut after {what}: " \
                   f"{type(error).__name__}: {error}\n"
            os.write(2, text.encode())
            if os.environ.get("TMILL_POWER_KEEP"):
                tree = subprocess.run(["ls", "-lR", self.scenario.top], check=False,
                                      stdout=subprocess.PIPE).stdout
                os.write(2, tree)
            return 1
        return 0

    def wait_for_judge(self):
        pid, status = os.wait()
        what, copy = self.judges.pop(pid, (None, None))
        if copy is not None:
            os.unlink(copy)  # gone once its loop device is
        if what is not None and status != 0:
            self.failures.append(what)
