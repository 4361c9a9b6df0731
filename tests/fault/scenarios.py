# SPDX-License-Identifier: Apache-2.0
"""What the walks disturb: commands of the real programs on a small model, each with the state that
it starts from and with what must hold after it failed.

A slot is a folder with a prepared state (template) and the copy of it that a run may spoil (run);
both stay at one path, because journals hold absolute ones. Slots work side by side."""
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/whole"))
# pylint: disable=wrong-import-position
from makers import Tensor, safetensors, weights, write  # noqa: E402

BIN = os.path.abspath(os.environ.get("TMILL_BIN", os.path.join(ROOT, "build/release/bin")))
TMILL, EDGE = os.path.join(BIN, "tmill"), os.path.join(BIN, "tmill-edge")
DEADLINE = float(os.environ.get("TMILL_FAULT_DEADLINE", "30"))
HALF_WRITTEN = re.compile(r"\.tmp-")


class Broken(Exception):
    """A promise that a run did not keep."""


def need(condition, what):
    if not condition:
        raise Broken(what)


class Ended:
    """A run that ended: exit code (negative: a signal), stdout, stderr."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self):
        return [line for line in self.err.split("\n") if line.strip()]

    @property
    def data(self):
        return json.loads(self.out)["data"]

    def __str__(self):
        return f"exit {self.code}: {self.err.strip()} {self.out.strip()[:300]}"


def environment(home):
    env = {"PATH": "/usr/bin:/bin", "HOME": home, "LC_ALL": "C", "TERM": "dumb", "TMPDIR": home,
           # The threads of OpenMP come and go by themselves; one makes runs alike.
           "OMP_NUM_THREADS": "1"}
    for word in ("CONFIG", "DATA", "STATE", "CACHE"):
        env[f"XDG_{word}_HOME"] = os.path.join(home, word.lower())
    return env


def execute(argv, env, cwd, deadline=DEADLINE):
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        out, err = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, err = process.communicate()
        raise Broken(f"no end within {deadline} s: {' '.join(argv)}\n{err.decode()}") from None
    return Ended(process.returncode, out.decode("utf-8", "replace"),
                 err.decode("utf-8", "replace"))


class Slot:
    """self.path("x"): a file of the run."""

    def __init__(self, base):
        self.template, self.run = os.path.join(base, "template"), os.path.join(base, "run")
        self.log = os.path.join(base, "log")
        os.makedirs(os.path.join(self.run, "home"))

    def path(self, *names):
        return os.path.join(self.run, *names)

    def command(self, *argv, program=TMILL, under=(), env=None):
        return execute([*under, program, *argv], {**environment(self.path("home")), **(env or {})},
                       self.run)

    def ok(self, *argv, program=TMILL, codes=(0,)):
        ended = self.command(*argv, program=program)
        need(ended.code in codes, f"without a fault: {' '.join(argv)}: {ended}")
        return ended

    def keep(self):
        """What is there now is what each run starts from."""
        shutil.copytree(self.run, self.template, symlinks=True)

    def restore(self):
        shutil.rmtree(self.run)
        shutil.copytree(self.template, self.run, symlinks=True)

    def read(self, *names):
        with open(self.path(*names), "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()

    def half_written(self):
        return [os.path.join(top, name) for top, dirs, names in os.walk(self.run)
                for name in dirs + names if HALF_WRITTEN.search(name)]


class Scenario:
    """One command. `inputs` may not change in any run."""
    name = ""
    program = TMILL
    inputs = ["m.safetensors"]
    # How it may end when a call fails: see docs/internals/faults.md.
    codes = {1, 6}
    process = 0  # which of its processes the fault is in

    def __init__(self, slot):
        self.slot = slot
        self.argv = []
        self.prepare()
        slot.keep()
        self.before = {name: slot.read(name) for name in self.inputs}

    def model(self, name="m.safetensors", seed=1):
        tensors = [Tensor("a.weight", weights(seed, 64, 64)),
                   Tensor("b.weight", weights(seed + 1, 48, 64)),
                   Tensor("norm.weight", weights(seed + 2, 64))]
        return write(self.slot.path(name), safetensors(tensors))

    def prepare(self):
        """Fills the slot and sets self.argv."""

    def check_success(self, ended):
        """The command ended with 0."""

    def check_failure(self, ended):
        """The command ended with another code; before anything is done about it."""

    def recover(self):
        """The same again without a fault must do."""
        self.check_success(self.slot.ok(*self.argv, program=self.program))

    def disturb(self, under=(), env=None):
        return self.slot.command(*self.argv, program=self.program, under=under, env=env)

    def check_inputs(self):
        for name, digest in self.before.items():
            need(self.slot.read(name) == digest, f"the input {name} was changed")


class Compress(Scenario):
    name = "compress"

    def prepare(self):
        self.model()
        self.slot.ok("key", "gen")
        self.argv = ["compress", "m.safetensors", "-o", "out.tmpk", "--workers", "1", "-q",
                     "--json"]
        self.id = self.slot.ok(*self.argv).data["package_id"]
        self.bytes = self.slot.read("out.tmpk")
        self.slot.ok("jobs")
        os.unlink(self.slot.path("out.tmpk"))
        self.forget_jobs()

    def forget_jobs(self):
        shutil.rmtree(self.slot.path("home", "state"), ignore_errors=True)

    def check_output(self):
        need(self.slot.read("out.tmpk") == self.bytes, "the package has other bytes")
        self.slot.ok("verify", "out.tmpk", "--against", "m.safetensors")

    def check_success(self, ended):
        need(ended.data["package_id"] == self.id, f"another package: {ended}")
        self.check_output()

    def check_failure(self, ended):
        if os.path.exists(self.slot.path("out.tmpk")):
            self.check_output()

    def recover(self):
        super().recover()
        jobs = self.slot.ok("jobs", "--json").data["jobs"]
        states = {job["state"] for job in jobs}
        need(states == {"done"}, f"jobs: {jobs}")


class Resume(Compress):
    """A job that died when its package was to be renamed into place."""
    name = "resume"

    def prepare(self):
        super().prepare()
        log = self.slot.path("log")
        self.slot.command(*self.argv, under=injector(log))
        with open(log, encoding="utf-8", errors="replace") as stream:
            rows = [line.rstrip("\n").split("\t") for line in stream]
        last = [row for row in rows if row[1].startswith("rename") and "out.tmpk" in row[3]][-1]
        os.unlink(self.slot.path("out.tmpk"))
        self.forget_jobs()
        ended = self.slot.command(*self.argv, under=injector(log, last[1], "EIO", int(last[2])))
        need(ended.code == 1, f"the job cannot be stopped: {ended}")
        os.unlink(log)
        jobs = self.slot.ok("jobs", "--json").data["jobs"]
        self.argv = ["resume", jobs[0]["job"], "--workers", "1", "-q", "--json"]

    def recover(self):
        ended = self.slot.command(*self.argv)
        need(ended.code in (0, 10), f"without a fault: resume: {ended}")
        self.check_output()


class Verify(Compress):
    name = "verify"
    inputs = ["m.safetensors", "out.tmpk"]

    def prepare(self):
        super().prepare()
        self.slot.ok(*self.argv)
        self.argv = ["verify", "out.tmpk", "--against", "m.safetensors", "--full", "--json"]
        self.said = self.slot.ok(*self.argv).data

    def check_success(self, ended):
        same = {key: value for key, value in ended.data.items() if "second" not in key}
        said = {key: value for key, value in self.said.items() if "second" not in key}
        same.pop("seed", None), said.pop("seed", None)
        need(same == said, f"verify says something else: {ended}")

    def check_failure(self, ended):
        pass

    def recover(self):
        Scenario.recover(self)


class Export(Compress):
    name = "export"
    inputs = ["m.safetensors", "out.tmpk"]
    form = "gguf"

    def prepare(self):
        super().prepare()
        self.slot.ok(*self.argv)
        self.argv = ["export", "out.tmpk", "--format", self.form, "-o", "out.model", "--json"]
        self.slot.ok(*self.argv)
        self.exported = self.slot.read("out.model")
        os.unlink(self.slot.path("out.model"))

    def check_success(self, ended):
        need(self.slot.read("out.model") == self.exported, "the export has other bytes")

    def check_failure(self, ended):
        if os.path.exists(self.slot.path("out.model")):
            self.check_success(ended)

    def recover(self):
        Scenario.recover(self)


class ExportSafetensors(Export):
    name = "export-safetensors"
    form = "safetensors"


class KeyGen(Scenario):
    name = "key-gen"
    inputs = []

    def prepare(self):
        self.argv = ["key", "gen", "--key", "own.key", "--json"]

    def check_success(self, ended):
        shown = self.slot.ok("key", "show", "--key", "own.key", "--json").data
        need(shown["key"] in ended.out, f"another key: {ended}")
        need(os.stat(self.slot.path("own.key")).st_mode & 0o777 == 0o600, "the mode of the key")

    def check_failure(self, ended):
        if os.path.exists(self.slot.path("own.key")):
            self.slot.ok("key", "show", "--key", "own.key")

    def recover(self):
        if not os.path.exists(self.slot.path("own.key")):
            super().recover()


class Publish(Compress):
    """The second release of a name: the first must stay whatever happens."""
    name = "publish"
    inputs = ["m.safetensors", "out.tmpk", "two.tmpk"]

    def prepare(self):
        super().prepare()
        self.slot.ok(*self.argv)
        self.second = self.slot.ok("compress", "m.safetensors", "-o", "two.tmpk", "--recipe",
                                   "int4", "--json").data["package_id"]
        self.slot.ok("publish", "out.tmpk", "--repo", "repo", "--name", "m")
        self.argv = ["publish", "two.tmpk", "--repo", "repo", "--name", "m", "--json"]

    def released(self):
        """A device's view: the release that it gets, every byte verified."""
        home = self.slot.path("home")
        device = ["--store", self.slot.path("device")]
        shutil.rmtree(self.slot.path("device"), ignore_errors=True)
        key = self.slot.ok("key", "export").out.strip()
        self.slot.ok("trust", "add", key, *device, program=EDGE)
        self.slot.ok("pull", "repo", "m", *device, program=EDGE)
        self.slot.ok("verify", "m", *device, program=EDGE)
        data = self.slot.ok("show", "m", *device, "--json", program=EDGE).data
        need(os.path.isdir(home), "the home is gone")
        return data["release"], data["package_id"]

    def check_success(self, ended):
        need(self.released() == (2, self.second), f"not the second release: {self.released()}")

    def check_failure(self, ended):
        need(self.released() in ((1, self.id), (2, self.second)), f"released: {self.released()}")

    def recover(self):
        self.slot.ok(*self.argv, codes=(0, 10))
        self.check_success(None)


class PublishFirst(Publish):
    name = "publish-first"

    def prepare(self):
        super().prepare()
        shutil.rmtree(self.slot.path("repo"))

    def check_success(self, ended):
        need(self.released() == (1, self.second), f"not the release: {self.released()}")

    def check_failure(self, ended):
        if os.path.exists(self.slot.path("repo", "index.json")):
            self.check_success(ended)


class Pull(Publish):
    """An update of a device that has the first release."""
    name = "pull"
    program = EDGE
    codes = {1, 5, 6}
    inputs = ["repo/index.json"]
    source = "repo"

    def prepare(self):
        super().prepare()
        store = ["--store", self.slot.path("device")]
        self.released()
        self.slot.ok(*self.argv)
        self.argv = ["pull", self.source, "m", *store, "--json"]
        self.store = store

    def installed(self):
        self.slot.ok("verify", "m", *self.store, program=EDGE)
        data = self.slot.ok("show", "m", *self.store, "--json", program=EDGE).data
        digest = self.slot.read(data["package"])
        return data["release"], data["package_id"], digest

    def check_success(self, ended):
        new = (2, self.second, self.slot.read("two.tmpk"))
        need(self.installed() == new, f"not the new release: {self.installed()}")

    def check_failure(self, ended):
        old = (1, self.id, self.slot.read("out.tmpk"))
        new = (2, self.second, self.slot.read("two.tmpk"))
        need(self.installed() in (old, new), f"neither old nor new: {self.installed()}")

    def recover(self):
        self.slot.ok(*self.argv, program=EDGE, codes=(0, 10))
        self.check_success(None)
        need(not self.slot.half_written(), f"left behind: {self.slot.half_written()}")


class PullFirst(Pull):
    name = "pull-first"

    def prepare(self):
        super().prepare()
        shutil.rmtree(self.slot.path("device"))
        key = self.slot.ok("key", "export").out.strip()
        self.slot.ok("trust", "add", key, *self.store, program=EDGE)

    def check_failure(self, ended):
        if self.slot.ok("list", *self.store, "--json", program=EDGE).data:
            self.check_success(ended)


class Rollback(Pull):
    """Back to the first release, on a device that has both."""
    name = "rollback"
    wanted = (1,)

    def prepare(self):
        super().prepare()
        self.slot.ok(*self.argv, program=EDGE)
        self.argv = [self.name, "m", *self.store, "--json"]

    def installed(self):
        """The release in use, every byte verified; 0: none."""
        listed = self.slot.ok("list", *self.store, "--json", program=EDGE).data
        if not listed:
            return 0
        self.slot.ok("verify", "m", *self.store, program=EDGE)
        return self.slot.ok("show", "m", *self.store, "--json", program=EDGE).data["release"]

    def check_success(self, ended):
        need(self.installed() in self.wanted, f"release {self.installed()}")

    def check_failure(self, ended):
        need(self.installed() in (*self.wanted, 2), f"release {self.installed()}")

    def recover(self):
        if self.installed() not in self.wanted:
            self.slot.ok(*self.argv, program=EDGE)
        self.check_success(None)
        need(not self.slot.half_written(), f"left behind: {self.slot.half_written()}")


class Remove(Rollback):
    name = "rm"
    wanted = (0,)


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:  # the device is gone
            pass


class PullHttp(Pull):
    """The same over HTTP: libcurl and the network."""
    name = "pull-http"

    def prepare(self):
        root = os.path.join(self.slot.run)

        def handler(*args):
            return Quiet(*args, directory=root)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.source = f"http://127.0.0.1:{server.server_address[1]}/repo"
        super().prepare()


class Mesh(Compress):
    """A coordinator with a node in another process; the fault is in one of them."""
    name = "submit"
    codes = {1, 5, 6, 9}  # 5: cannot listen
    victim = "submit"

    def prepare(self):
        super().prepare()
        self.compressed = self.argv
        self.argv = ["submit", "m.safetensors", "-o", "out.tmpk", "--workers", "0", "-q", "--json",
                     "--listen", "tcp://127.0.0.1:0", "--ready-file", "ready"]

    def start(self, argv, under, env):
        return subprocess.Popen([*under, TMILL, *argv], env={**environment(self.slot.path("home")),
                                                            **env},
                                cwd=self.slot.run, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)

    def join(self, submit, under, env):
        end = time.monotonic() + DEADLINE
        while not os.path.exists(self.slot.path("ready")):
            if submit.poll() is not None or time.monotonic() > end:
                return None
            time.sleep(0.005)
        with open(self.slot.path("ready"), encoding="utf-8") as stream:
            ready = dict(line.strip().split("=", 1) for line in stream)
        return self.start(["node", "run", "--join", ready["endpoint"], "--server-key",
                           ready["server_key"], "--key", "node.key", "--threads", "1", "--once",
                           "--json"], under, env)

    def disturb(self, under=(), env=None):
        return self.run_both(self.victim, under, env or {})

    def run_both(self, victim, under, env):
        """The end of the victim, and of the coordinator in case it is all well."""
        faulty, calm = (under, env), ((), {})
        submit = self.start(self.argv, *(faulty if victim == "submit" else calm))
        node = self.join(submit, *(faulty if victim == "node" else calm))
        try:
            ended = self.wait(submit, node if victim == "node" else None)
        finally:
            for process in (submit, node):
                if process is not None and process.poll() is None:
                    os.killpg(process.pid, 9)
                    process.wait()
        return ended

    def wait(self, submit, node):
        end = time.monotonic() + DEADLINE
        first = node or submit
        out, err = self.output(first, end)
        ended = Ended(first.returncode, out, err)
        if first is node and ended.code == 0:
            out, err = self.output(submit, end)
            need(submit.returncode == 0, f"the job of a good node: {submit.returncode} {err}")
            ended.out = out
        return ended

    @staticmethod
    def output(process, end):
        try:
            out, err = process.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            _, err = process.communicate()
            raise Broken(f"no end within {DEADLINE} s: {err.decode()}") from None
        return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def check_output(self):
        self.slot.ok("verify", "out.tmpk", "--against", "m.safetensors")

    def recover(self):
        if os.path.exists(self.slot.path("ready")):
            os.unlink(self.slot.path("ready"))
        ended = self.run_both("nobody", (), {})
        need(ended.code == 0, f"without a fault: {ended}")
        self.check_success(ended)


class MeshNode(Mesh):
    """The fault is in the node. The coordinator that loses it is killed, and both start again."""
    name = "node"
    codes = {1, 5}
    victim = "node"


class MeshGate(Mesh):
    """The fault is in the gate, the child of submit that holds the public sockets: a gate that
    ends is started again, so the job ends well whenever that helps."""
    name = "gate"
    process = 1


SCENARIOS = [Compress, Resume, Verify, Export, ExportSafetensors, KeyGen, PublishFirst, Publish,
             PullFirst, Pull, PullHttp, Rollback, Remove, Mesh, MeshGate, MeshNode]

ERRORS = {"EINTR": 4, "EIO": 5, "ENOMEM": 12, "EMFILE": 24, "ENOSPC": 28}


def injector(log, kind=None, error=None, at=0, forever=False, process=0):
    """The words in front of a program whose at-th call of the kind shall fail."""
    words = [os.path.join(os.path.dirname(BIN), "tests/injector"), "--log", log, "--process",
             str(process)]
    if kind is not None:
        words += ["--kind", kind, "--error", str(ERRORS[error]), "--at", str(at)]
    return [*words, *(["--forever"] if forever else []), "--"]


class Base:
    """A temporary folder; slots of scenarios in it, made when they are first asked for."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="tmill-fault-")
        self.slots = 0

    def slot(self, scenario):
        self.slots += 1
        return scenario(Slot(os.path.join(self.dir, f"{scenario.name}-{self.slots}")))

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
