# SPDX-License-Identifier: Apache-2.0
"""What programs do when the power goes, and what must hold afterwards (cuts.py)."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time

from cuts import Scenario, check, run
from harness import EDGE, HALF_WRITTEN, TMILL
from makers import Tensor, safetensors, weights, write

UNITS = int(os.environ.get("TMILL_POWER_UNITS", "80"))
ACKNOWLEDGED = re.compile(rb"event=unit\.acknowledged unit=(\d+) leaf=([0-9a-f]{64})")


def small_model(path, units=UNITS, changed=0):
    """A tensor a unit; the first `changed` differ from those of another version."""
    return write(path, safetensors([
        Tensor(f"l{i}.weight", weights(100 + i + (10000 if i < changed else 0), 64, 64))
        for i in range(units)]))


def half_written(*folders):
    return [os.path.join(top, name) for folder in folders
            for top, _, names in os.walk(folder) for name in names if HALF_WRITTEN.search(name)]


def journal_rows(path):
    """{unit: (node, leaf, sig, bytes)} and the state; the database must be sound."""
    db = sqlite3.connect(path)
    try:
        check(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity_check")
        if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return {}, None
        state = db.execute("SELECT state FROM job").fetchone()
        rows = {row[0]: row[1:] for row in db.execute("SELECT unit, node, leaf, sig, bytes "
                                                      "FROM result")}
        return rows, state[0] if state else None
    finally:
        db.close()


def acknowledged_units(log):
    """{unit: leaf} of the receipts that a node wrote down."""
    with open(log, "rb") as stream:
        return {int(unit): bytes.fromhex(leaf.decode())
                for unit, leaf in ACKNOWLEDGED.findall(stream.read())}


JOB_DONE = 3


class Job(Scenario):
    """A coordinator with a node outside the disk: what a receipt acknowledged is kept."""
    name = "coordinator"
    mib = 40

    def __init__(self, base):
        super().__init__(base)
        self.model = small_model(self.off("m.safetensors"))
        self.log = self.off("node.log")
        self.node = None
        self.tmill("key", "gen", "--key", self.off("keys/owner"))
        made = self.tmill("compress", self.model, "-o", self.off("reference.tmpk"), "--recipe",
                          "ternary", "--key", self.off("keys/owner"), "--json")
        self.package_id = made["package_id"]
        shutil.rmtree(self.on("state"))

    def prepare(self):
        os.makedirs(self.on("out"))

    def command(self):
        return [TMILL, "submit", self.model, "-o", self.on("out/p.tmpk"), "--recipe", "ternary",
                "--key", self.off("keys/owner"), "--listen", "tcp://127.0.0.1:0", "--workers", "0",
                "--ready-file", self.off("ready"), "--json"]

    def begin(self):
        self.pid_file_wait = time.monotonic() + 60
        with open(self.log, "wb"):
            pass

    def start_node(self):
        with open(self.off("ready"), encoding="utf-8") as stream:
            pairs = dict(line.strip().split("=", 1) for line in stream)
        with open(self.log, "wb") as log:
            self.node = subprocess.Popen(
                [TMILL, "node", "run", "--join", pairs["endpoint"], "--server-key",
                 pairs["server_key"], "--key", self.off("keys/node"), "--threads", "1", "--once",
                 "-v"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env=self.env())

    def acknowledged(self):
        if self.node is None:
            if os.path.exists(self.off("ready")):
                self.start_node()
            return 0
        return len(acknowledged_units(self.log))

    def end(self):
        if self.node is not None:
            self.node.kill()
            self.node.wait()

    def jobs(self):
        folder = self.on("state/tmill/jobs")
        return os.listdir(folder) if os.path.isdir(folder) else []

    def judge(self, acknowledged, printed):
        promised = dict(list(acknowledged_units(self.log).items())[:acknowledged])
        kept, state = {}, None
        jobs = self.jobs()
        check(len(jobs) == 1 or not promised, f"the job is gone: {jobs}")
        for job in jobs:
            path = self.on("state/tmill/jobs", job, "journal.db")
            if os.path.exists(path):
                kept, state = journal_rows(path)
        for unit, leaf in promised.items():
            check(unit in kept, f"unit {unit} was acknowledged and is lost; {len(kept)} are kept")
            check(kept[unit][1] == leaf, f"unit {unit} was acknowledged with another result")
        if printed is not None:
            check(state == JOB_DONE and json.loads(printed)["data"]["package_id"] ==
                  self.package_id, f"ended, and the job is in state {state}")
        if state == JOB_DONE:
            check(os.path.exists(self.on("out/p.tmpk")), "the job is done without a package")
        else:
            self.go_on(state, promised)
        package = self.tmill("verify", self.on("out/p.tmpk"), "--against", self.model, "--json")
        check(package["package_id"] == self.package_id, f"another package: {package}")
        check(half_written(self.top) == [], f"left: {half_written(self.top)}")

    def go_on(self, state, promised):
        """Finishes the job on this computer: all that was promised need not be done again."""
        if state is not None:
            command = ["resume", self.jobs()[0]]
        else:
            command = ["compress", self.model, "-o", self.on("out/p.tmpk"), "--recipe", "ternary"]
            if not os.path.isdir(self.on("out")):
                os.makedirs(self.on("out"))
        made = self.tmill(*command, "--key", self.off("keys/owner"), "--workers", "1", "--json")
        check(made["package_id"] == self.package_id, f"another package: {made}")
        check(made["units_resumed"] >= len(promised),
              f"{made['units_resumed']} units taken back of {len(promised)} acknowledged")


class Compress(Job):
    """compress over a package that is there: the old one or the new one, whole."""
    name = "compress"

    def prepare(self):
        super().prepare()
        self.tmill("compress", self.model, "-o", self.on("out/p.tmpk"), "--recipe", "int8",
                   "--key", self.off("keys/owner"))
        with open(self.on("out/p.tmpk"), "rb") as stream:
            self.old = stream.read()
        shutil.rmtree(self.on("state"))

    def command(self):
        return [TMILL, "compress", self.model, "-o", self.on("out/p.tmpk"), "--recipe", "ternary",
                "--key", self.off("keys/owner"), "--workers", "1", "--json"]

    def acknowledged(self):
        return 0

    def judge(self, acknowledged, printed):
        with open(self.on("out/p.tmpk"), "rb") as stream:
            is_old = stream.read() == self.old
        if not is_old:
            package = self.tmill("verify", self.on("out/p.tmpk"), "--json")
            check(package["package_id"] == self.package_id, f"another package: {package}")
        check(printed is None or not is_old, "it said that it was done, the old package is there")
        super().judge(acknowledged, printed)


class Device(Scenario):
    """tmill-edge: an update over an installed release."""
    name = "update"
    releases = (1, 2)

    def __init__(self, base):
        super().__init__(base)
        self.packages = {}
        self.tmill("key", "gen", "--key", self.off("owner"))
        for i in self.releases:
            model = small_model(self.off(f"m{i}.safetensors"), changed=0 if i == 1 else UNITS // 2)
            made = self.tmill("compress", model, "-o", self.off(f"v{i}.tmpk"), "--recipe",
                              "ternary", "--key", self.off("owner"), "--json")
            self.packages[i] = made["package_id"]
        self.owner = self.tmill("key", "export", "--key", self.off("owner")).stdout.decode().strip()
        shutil.rmtree(self.on("state"))

    def publish(self, i, repo, codes=(0,)):
        return self.tmill("publish", self.off(f"v{i}.tmpk"), "--repo", repo, "--name", "m",
                          "--key", self.off("owner"), "--json", codes=codes)

    def prepare(self):
        repo = self.off("repo")
        shutil.rmtree(repo, ignore_errors=True)
        self.edge("trust", "add", self.owner)
        self.publish(1, repo)
        shutil.copytree(repo, self.off("old-repo"), dirs_exist_ok=True)
        self.edge("pull", repo, "m")
        self.publish(2, repo)

    def command(self):
        return [EDGE, "pull", self.off("repo"), "m"]

    def installed(self, *store):
        """The release in use, checked byte by byte; 0: none."""
        listed = self.edge("list", "--json", *store)
        if not listed:
            return 0
        self.edge("verify", *store)
        shown = self.edge("show", "m", "--json", *store)
        release = listed[0]["release"]
        check(shown["package_id"] == self.packages[release], f"release {release} is {shown}")
        return release

    def judge(self, acknowledged, printed):
        have = self.installed()
        check(have in (1, 2), f"release {have}")
        check(printed is None or have == 2, f"it was updated and has release {have}")
        # An old copy of the repository must not take it back, nor may an update be refused.
        self.edge("pull", self.off("old-repo"), "m", codes=(4, 10))
        check(self.installed() == have, "an old index changed what is installed")
        self.edge("pull", self.off("repo"), "m", codes=(10,) if have == 2 else (0,))
        check(self.installed() == 2, "the update does not complete")
        self.edge("pull", self.off("old-repo"), "m", codes=(4,))
        self.edge("rollback", "m")
        check(self.installed() == 1, "no way back")
        check(half_written(self.top) == [], f"left: {half_written(self.top)}")
        objects = [n for t, d, n in os.walk(self.on("data/tmill/edge/objects")) if n]
        check(objects == [], f"objects that nobody needs: {objects}")


class FirstInstall(Device):
    name = "install"
    releases = (1, 2)

    def prepare(self):
        repo = self.off("repo")
        shutil.rmtree(repo, ignore_errors=True)
        self.publish(1, repo)
        self.publish(2, repo)
        self.edge("trust", "add", self.owner)

    def judge(self, acknowledged, printed):
        have = self.installed()
        check(have in (0, 2), f"release {have}")
        check(printed is None or have == 2, "it was installed and is gone")
        self.edge("pull", self.off("repo"), "m", codes=(10,) if have == 2 else (0,))
        check(self.installed() == 2, "the install does not complete")
        check(half_written(self.top) == [], f"left: {half_written(self.top)}")


class Rollback(Device):
    name = "rollback"
    short = True

    def prepare(self):
        super().prepare()
        self.edge("pull", self.off("repo"), "m")

    def command(self):
        return [EDGE, "rollback", "m"]

    def judge(self, acknowledged, printed):
        have = self.installed()
        check(have in (1, 2), f"release {have}")
        check(printed is None or have == 1, f"it went back and has release {have}")
        self.edge("pull", self.off("old-repo"), "m", codes=(4,))
        self.edge("pull", self.off("repo"), "m", codes=(10,) if have == 2 else (0,))
        check(self.installed() == 2, "the update does not complete")


class Remove(Rollback):
    name = "remove"

    def command(self):
        return [EDGE, "rm", "m"]

    def judge(self, acknowledged, printed):
        have = self.installed()
        check(have in (0, 2), f"release {have}")
        check(printed is None or have == 0, "it was removed and is there")
        self.edge("pull", self.off("old-repo"), "m", codes=(4,))
        self.edge("pull", self.off("repo"), "m", codes=(10,) if have == 2 else (0,))
        check(self.installed() == 2, "the update does not complete")


class Publish(Device):
    """A folder of releases: whoever pulls from it gets the old or the new release, whole."""
    name = "publish"
    short = True

    def prepare(self):
        self.publish(1, self.on("repo"))

    def command(self):
        return [TMILL, "publish", self.off("v2.tmpk"), "--repo", self.on("repo"), "--name", "m",
                "--key", self.off("owner"), "--json"]

    def judge(self, acknowledged, printed):
        store = tempfile.mkdtemp(dir=self.base)
        try:
            self.edge("trust", "add", self.owner, "--store", store)
            self.edge("pull", self.on("repo"), "m", "--store", store)
            have = self.installed("--store", store)
            check(have in (1, 2), f"release {have}")
            check(printed is None or have == 2, f"it was published, devices get release {have}")
            self.publish(2, self.on("repo"), codes=(10,) if have == 2 else (0,))
            self.edge("pull", self.on("repo"), "m", "--store", store,
                      codes=(10,) if have == 2 else (0,))
            check(self.installed("--store", store) == 2, "publishing does not complete")
        finally:
            shutil.rmtree(store)
        check(half_written(self.top) == [], f"left: {half_written(self.top)}")


class PublishChanged(Device):
    """The package becomes another one between the check and the copy: no file of the site ever has
    a name that is not its hash, and what was published stays."""
    name = "changed"
    short = True
    code = 4

    def prepare(self):
        self.publish(1, self.on("repo"))
        shutil.copyfile(self.off("v2.tmpk"), self.off("changing.tmpk"))

    def command(self):
        return [TMILL, "publish", self.off("changing.tmpk"), "--repo", self.on("repo"), "--name",
                "m", "--key", self.off("owner"), "--json"]

    def reached(self, number):
        if number == 1:  # the temporary file is made
            with open(self.off("v1.tmpk"), "rb") as other, \
                    open(self.off("changing.tmpk"), "r+b") as stream:
                stream.write(other.read(os.path.getsize(stream.name)))

    def judge(self, acknowledged, printed):
        packages = self.on("repo/packages")
        for name in os.listdir(packages):
            if not HALF_WRITTEN.search(name):
                made = self.tmill("verify", os.path.join(packages, name), "--json")
                check(name == made["package_id"] + ".tmpk", f"{name} is another package")
        self.publish(2, self.on("repo"))
        names = sorted(os.listdir(packages))
        check(names == sorted(f"{made}.tmpk" for made in self.packages.values()), f"left: {names}")


class Key(Scenario):
    """A key is whole or absent, and once shown to its owner never lost."""
    name = "key"
    short = True
    mib = 16

    def command(self):
        return [TMILL, "key", "gen", "--json"]

    def judge(self, acknowledged, printed):
        shown = self.tmill("key", "show", "--json", codes=(0, 3))
        if printed is not None:
            check(isinstance(shown, dict) and shown["key"] == json.loads(printed)["data"]["key"],
                  "the key that was shown is lost")
        if not isinstance(shown, dict):
            self.tmill("key", "gen")
            shown = self.tmill("key", "show", "--json")
        mode = os.stat(shown["path"]).st_mode & 0o777
        check(mode == 0o600, f"mode {mode:o}")
        check(os.listdir(os.path.dirname(shown["path"])) == [os.path.basename(shown["path"])],
              f"left beside it: {os.listdir(os.path.dirname(shown['path']))}")


class Trust(Scenario):
    name = "trust"
    short = True
    mib = 16
    key = "tmpub1" + "0" * 64

    def __init__(self, base):
        super().__init__(base)
        self.tmill("key", "gen", "--key", self.off("owner"))
        self.key = self.tmill("key", "export", "--key", self.off("owner")).stdout.decode().strip()

    def command(self):
        return [EDGE, "trust", "add", self.key]

    def judge(self, acknowledged, printed):
        keys = [k["key"] for k in self.edge("trust", "list", "--json")]
        check(keys == [self.key] or (keys == [] and printed is None), f"{keys}")
        self.edge("trust", "add", self.key, codes=(10,) if keys else (0,))


ALL = (Job, Compress, Device, FirstInstall, Rollback, Remove, Publish, PublishChanged,
       Key, Trust)
