#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One model gives one package, whoever makes it: package_ids.py WORK-DIR TMILL...

Compresses a made-up model with each of the programs (builds by other compilers and levels), under
each kernel, with 1, 2 and 8 encoding threads, and on meshes of 1, 2 and 4 node processes, and
compares the package ids, which cover every chunk. Needs the standard library only."""

import array
import json
import os
import shutil
import struct
import subprocess
import sys
import time

RECIPE = """schema = 1
rule = [
    { match = "*", codec = "int4" },
    { match = "*.int8", codec = "int8" },
    { match = "*.ternary", codec = "ternary" },
    { match = "*norm*", codec = "keep" },
]
"""
TENSORS = {  # 13 units of encoded weights, and some that are kept
    "layers.0.int4": (1024, 1024),
    "layers.0.int8": (600, 1000),
    "layers.0.norm": (1024,),
    "layers.1.ternary": (1024, 768),
    "layers.1.odd": (37, 1111),
    "layers.1.norm": (1024,),
}
SECONDS_MAX = 300


def values(count, state):
    """Numbers of a linear congruential generator, denser around 0; exact in float32."""
    out = array.array("f")
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((state >> 52) + (state >> 20 & 0xFFF) - 4095) / 2**16)
    return out, state


def write_model(path):
    header, data, state = {}, b"", 1
    for name, shape in TENSORS.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers, state = values(count, state)
        if sys.byteorder == "big":
            numbers.byteswap()
        raw = numbers.tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text + data)


class Runner:
    """Runs programs with a home of their own, so that no run finds the work of another."""

    def __init__(self, work):
        self.work = work
        self.count = 0
        self.model = os.path.join(work, "model.safetensors")
        self.recipe = os.path.join(work, "recipe.toml")

    def fresh(self, kernel):
        self.count += 1
        home = os.path.join(self.work, f"run-{self.count}")
        os.makedirs(home)
        env = {key: value for key, value in os.environ.items() if not key.startswith("TMILL_")}
        for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
            env[f"XDG_{kind}_HOME"] = os.path.join(home, kind.lower())
        if kernel:
            env["TMILL_KERNEL"] = kernel
        return home, env

    def job(self, tmill, command, home, *more):
        return [tmill, command, self.model, "-o", os.path.join(home, "out.tmpk"), "--recipe",
                self.recipe, "--json", *more]

    def embedded(self, tmill, kernel, workers):
        home, env = self.fresh(kernel)
        result = subprocess.run(self.job(tmill, "compress", home, "--workers", str(workers)),
                                env=env, capture_output=True, text=True, timeout=SECONDS_MAX,
                                check=False)
        return self.package_id(result.returncode, result.stdout, result.stderr, home)

    def mesh(self, tmill, nodes):
        home, env = self.fresh(None)
        ready = os.path.join(home, "ready")
        submit = subprocess.Popen(
            self.job(tmill, "submit", home, "--workers", "0", "--listen", "tcp://127.0.0.1:0",
                     "--ready-file", ready),
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started = []
        try:
            where = wait_for(ready, submit)
            for node in range(nodes):
                started.append(subprocess.Popen(
                    [tmill, "node", "run", "--join", where["endpoint"], "--server-key",
                     where["server_key"], "--key", os.path.join(home, f"node-{node}.key"),
                     "--name", f"node-{node}", "--threads", "1", "--once"],
                    env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            out, errors = submit.communicate(timeout=SECONDS_MAX)
            return self.package_id(submit.returncode, out, errors, home)
        finally:
            for process in [submit, *started]:
                if process.poll() is None:
                    process.terminate()
                process.wait()

    @staticmethod
    def package_id(status, out, errors, home):
        if status != 0:
            sys.exit(f"package_ids.py: status {status}: {errors}{out}")
        shutil.rmtree(home)
        data = json.loads(out)["data"]
        return (data[0] if isinstance(data, list) else data)["package_id"]


def wait_for(path, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if os.path.exists(path) and os.path.getsize(path):
            with open(path, encoding="utf-8") as stream:
                return dict(line.rstrip("\n").split("=", 1) for line in stream)
        time.sleep(0.05)
    sys.exit("package_ids.py: the coordinator does not listen")


def kernels(tmill):
    """Kernels that this machine has; the reference kernel is always one."""
    def runs(name):
        env = dict(os.environ, TMILL_KERNEL=name)
        return subprocess.run([tmill, "selftest"], env=env, capture_output=True,
                              check=False).returncode == 0
    found = [name for name in ("ref", "avx2", "neon") if runs(name)]
    return found if "ref" in found else sys.exit("package_ids.py: no reference kernel")


def main(argv):
    work, programs = argv[1], argv[2:]
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    runner = Runner(work)
    write_model(runner.model)
    with open(runner.recipe, "w", encoding="utf-8") as stream:
        stream.write(RECIPE)
    ids = {}
    for tmill in programs:
        for kernel in kernels(tmill):
            ids[f"{tmill} {kernel}, 1 thread"] = runner.embedded(tmill, kernel, 1)
    for workers in (2, 8):
        ids[f"{programs[0]}, {workers} threads"] = runner.embedded(programs[0], None, workers)
    for nodes in (1, 2, 4):
        ids[f"{programs[0]}, {nodes} nodes"] = runner.mesh(programs[0], nodes)
    if len(set(ids.values())) != 1:
        for name, package_id in ids.items():
            print(f"{package_id}  {name}")
        return 1
    print(f"{len(ids)} packages, all with the id {next(iter(ids.values()))}")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
