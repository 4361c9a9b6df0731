# SPDX-License-Identifier: Apache-2.0
"""kill -9 at a thousand random moments of a coordinator, of its nodes, of compress and resume, of
publish and of pull. Half of the moments are times, half are system calls: right before or after one
that changes files, so that the narrow windows are hit too (powercut_main.c).

What a node was told is kept is in the journal afterwards and stays the same; the package has the id
of an undisturbed run; the coordinator listens again within two seconds; every job can be resumed.

$TMILL_KILLS: kills altogether (1000); $TMILL_SEED repeats a run. Names of walks as arguments run
those alone."""
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from cuts import POWERCUT, SEED, Verdict, check
from harness import EDGE, TMILL
from power_scenarios import (JOB_DONE, Device, Job, acknowledged_units, half_written,
                             journal_rows)

KILLS = int(os.environ.get("TMILL_KILLS", "1000"))
BACK_SECONDS = 2.0


class Killer:
    """Starts programs and kills each at a moment within a life like the last whole one."""

    def __init__(self, name):
        self.random = random.Random(f"{SEED} {name}")
        self.kills = {"time": 0, "call": 0}
        self.seconds, self.calls = 0.3, 400

    def command(self, argv):
        """(argv, seconds after which to kill or None)."""
        if self.random.randrange(2):
            when = self.random.randint(1, self.calls)
            return [POWERCUT, "kill", str(when), self.random.choice(["before", "after"]),
                    *argv], None
        return argv, self.random.uniform(0.0, self.seconds)

    def live(self, argv, env, log=None):
        """One life of a program that is not waited for by anybody else; True when it was killed,
        False when it came to its end. Any other end is a failure."""
        argv, seconds = self.command([str(word) for word in argv])
        with open(log or os.devnull, "ab") as out:
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, err = process.communicate(timeout=seconds if seconds is not None else 60)
            except subprocess.TimeoutExpired:
                check(seconds is not None, f"{argv}: no end within a minute")
                process.kill()
                process.communicate()
                self.kills["time"] += 1
                return True
            out.write(err)
        if process.returncode == 137:
            self.kills["call"] += 1
            return True
        check(process.returncode in (0, 10), f"{argv}: exit {process.returncode}: {err}")
        return False

    @property
    def count(self):
        return sum(self.kills.values())


class Walk:
    scenario = Job
    share = 0.25

    def __init__(self, base):
        self.killer = Killer(self.name)
        self.s = self.scenario(base)
        self.rounds = self.most = 0
        self.slowest = 0.0

    def walk(self, kills):
        while self.killer.count < kills:
            self.rounds += 1
            before = self.killer.count
            self.round(kills)
            self.most = max(self.most, self.killer.count - before)
        return self.killer.count


class Compress(Walk):
    """compress and resume in one process."""
    name = "compress"

    def round(self, kills):
        s = self.s
        out = s.on("out/p.tmpk")
        shutil.rmtree(s.on("out"), ignore_errors=True)
        os.makedirs(s.on("out"))
        kept = {}
        while self.killer.count < kills:
            jobs = s.jobs()
            command = ["compress", s.model, "-o", out, "--recipe", "ternary"]
            state = None
            if jobs:
                rows, state = journal_rows(self.journal())
                check(all(rows.get(unit) == row for unit, row in kept.items()) or state is None,
                      "a result that was committed has changed")
                kept = rows
            if state == JOB_DONE:
                break
            if state is not None and self.killer.random.randrange(2):
                command = ["resume", jobs[0]]
            if not self.killer.live([TMILL, *command, "--key", s.off("keys/owner"), "--workers",
                                     "1", "-q"], s.env()):
                break
        if self.killer.count >= kills and not os.path.exists(out):
            s.tmill("compress", s.model, "-o", out, "--recipe", "ternary", "--key",
                    s.off("keys/owner"), "--workers", "1")
        made = s.tmill("verify", out, "--json")
        check(made["package_id"] == s.package_id, f"another package: {made}")
        shutil.rmtree(s.on("state"))

    def journal(self):
        """A copy of the journal, so that looking at it changes nothing."""
        source = self.s.on("state/tmill/jobs", self.s.jobs()[0])
        copy = self.s.off("journal")
        shutil.rmtree(copy, ignore_errors=True)
        os.makedirs(copy)
        for name in ("journal.db", "journal.db-wal"):
            if os.path.exists(os.path.join(source, name)):
                shutil.copy(os.path.join(source, name), copy)
        return os.path.join(copy, "journal.db")


def free_port():
    """A port that the system gives to nobody by itself (those begin at 32768): it stays free while
    the coordinator is dead."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Mesh(Compress):
    """A coordinator that listens and two nodes; either is killed."""
    name = "mesh"
    share = 0.35

    def __init__(self, base):
        super().__init__(base)
        self.nodes, self.logs = {}, []
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.key = self.s.tmill("key", "export", "--key",
                                self.s.off("keys/owner")).stdout.decode().strip()

    def start_node(self, number):
        s = self.s
        log = s.off(f"node{number}.log")
        if log not in self.logs:
            self.logs.append(log)
        with open(log, "ab") as stream:
            self.nodes[number] = subprocess.Popen(
                [TMILL, "node", "run", "--join", self.endpoint, "--server-key", self.key, "--key",
                 s.off(f"keys/node{number}"), "--threads", "1", "-v"], env=s.env(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream)

    def kill_node(self, number):
        self.nodes[number].send_signal(signal.SIGKILL)
        self.nodes[number].wait()

    def promised(self):
        units = {}
        for log in self.logs:
            units.update(acknowledged_units(log))
        return units

    def look(self, kept):
        """The journal between two lives: what was promised is there and has not changed."""
        promised = self.promised()
        if not self.s.jobs() or not os.path.exists(
                self.s.on("state/tmill/jobs", self.s.jobs()[0], "journal.db")):
            check(not promised, "the journal is gone")
            return {}, None
        rows, state = journal_rows(self.journal())
        for unit, leaf in promised.items():
            check(unit in rows and rows[unit][1] == leaf,
                  f"unit {unit} was acknowledged and is lost, {len(rows)} are kept")
        for unit, row in kept.items():
            check(rows.get(unit) == row, f"unit {unit} was accepted twice")
        return rows, state

    def life(self):
        """One life of the coordinator; False when the job is done."""
        s, random_ = self.s, self.killer.random
        ready = s.off("ready")
        if os.path.exists(ready):
            os.unlink(ready)
        argv, seconds = self.killer.command(
            [TMILL, "submit", s.model, "-o", s.on("out/p.tmpk"), "--recipe", "ternary", "--key",
             s.off("keys/owner"), "--listen", self.endpoint, "--workers", "0", "--ready-file",
             ready, "-q"])
        started = time.monotonic()
        process = subprocess.Popen(argv, env=s.env(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        victim = random_.randrange(8)  # a node dies in a quarter of the lives
        end = started + 60
        listens = False
        while process.poll() is None:
            now = time.monotonic()
            check(now < end, "the job does not come to its end within a minute")
            if not listens and os.path.exists(ready):
                listens = True
                self.slowest = max(self.slowest, now - started)
                check(now - started < BACK_SECONDS, f"back only after {now - started:.2f} s")
                if victim < 2:
                    self.kill_node(victim)
                    self.killer.kills["time"] += 1
                    self.start_node(victim)
            if seconds is not None and now - started > seconds:
                process.kill()
                self.killer.kills["time"] += 1
                seconds = None
            time.sleep(0.002)
        err = process.communicate()[1]
        if process.returncode in (137, -signal.SIGKILL):
            self.killer.kills["call"] += process.returncode == 137
            return True
        check(process.returncode == 0, f"{argv}: exit {process.returncode}: {err}")
        return False

    def round(self, kills):
        s = self.s
        shutil.rmtree(s.on("out"), ignore_errors=True)
        shutil.rmtree(s.on("state"), ignore_errors=True)
        os.makedirs(s.on("out"))
        self.logs = []
        for number in range(2):
            open(s.off(f"node{number}.log"), "wb").close()
            self.start_node(number)
        kept, state = {}, None
        try:
            while state != JOB_DONE and self.life():
                kept, state = self.look(kept)
                if self.killer.count >= kills:
                    self.killer.calls = 10 ** 9  # undisturbed from here on
                    self.killer.seconds = 10 ** 9
            self.look(kept)
        finally:
            for number in range(2):
                self.kill_node(number)
        made = s.tmill("verify", s.on("out/p.tmpk"), "--against", s.model, "--json")
        check(made["package_id"] == s.package_id, f"another package: {made}")
        check(half_written(s.top) == [], f"left: {half_written(s.top)}")


class Publish(Walk):
    name = "publish"
    scenario = Device
    share = 0.2

    def round(self, kills):
        """The second release is published until it is there; devices get one of the two."""
        s = self.s
        repo = s.off("repo")
        shutil.rmtree(repo, ignore_errors=True)
        s.publish(1, repo)
        self.killer.seconds, self.killer.calls = 0.02, 11
        while self.killer.count < kills and self.killer.live(
                [TMILL, "publish", s.off("v2.tmpk"), "--repo", repo, "--name", "m", "--key",
                 s.off("owner"), "-q"], s.env()):
            store = tempfile.mkdtemp(dir=s.base)
            s.edge("trust", "add", s.owner, "--store", store)
            s.edge("pull", repo, "m", "--store", store)
            have = s.installed("--store", store)
            check(have in (1, 2), f"release {have}")
            shutil.rmtree(store)
        s.publish(2, repo, codes=(0, 10))
        check(half_written(repo) == [], f"left: {half_written(repo)}")


class Pull(Walk):
    name = "pull"
    scenario = Device
    share = 0.2

    def round(self, kills):
        s = self.s
        shutil.rmtree(s.on("data"), ignore_errors=True)
        s.prepare()
        self.killer.seconds, self.killer.calls = 0.06, 360
        have = 1
        while self.killer.count < kills and self.killer.live(
                [EDGE, "pull", s.off("repo"), "m", "-q"], s.env()):
            now = s.installed()
            check(now in (1, 2) and now >= have, f"release {now} after {have}")
            have = now
            if have == 2:
                break
        s.edge("pull", s.off("repo"), "m", codes=(0, 10))
        check(s.installed() == 2, "the update does not complete")
        s.edge("rollback", "m")
        check(s.installed() == 1, "no way back")
        check(half_written(s.top) == [], f"left: {half_written(s.top)}")


def main():
    names = sys.argv[1:]
    total = failures = 0
    print(f"TMILL_SEED={SEED}")
    for kind in (Compress, Mesh, Publish, Pull):
        if names and kind.name not in names:
            continue
        base = tempfile.mkdtemp(prefix="tmill-kill-")
        started = time.monotonic()
        try:
            walk = kind(base)
            total += walk.walk(int(KILLS * kind.share))
            print(f"{kind.name:<9} {walk.killer.count:>5} kills ({walk.killer.kills['time']} by "
                  f"time, {walk.killer.kills['call']} by system call) in {walk.rounds} rounds, at "
                  f"most {walk.most} a round, {time.monotonic() - started:.1f} s"
                  + (f", listening again after at most {walk.slowest:.2f} s" if walk.slowest
                     else ""), flush=True)
        except Verdict as error:
            failures += 1
            print(f"{kind.name}: after {walk.killer.count} kills, round {walk.rounds}: {error}",
                  flush=True)
        finally:
            shutil.rmtree(base, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"kill -9: {total} kills, {failures} failures, "
          f"{used.ru_utime + used.ru_stime:.0f} s of CPU")
    return 1 if failures or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
