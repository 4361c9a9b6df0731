# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of the whole, ratios within one run:

    python3 tests/bench/bench.py [--bin DIR] [--model FILE] [--runs N] [--json] [--md F]

Embedded runs and runs of two worker processes take turns on the same model; then what a unit costs,
what a stage costs, and how much memory a job takes beside the bound that `inspect` predicts. --md
writes the table as docs/results/bench.md has it. Nothing here is a test: a missed goal is printed
as missed."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def model_path():
    cache = os.environ.get("TMILL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill"
    )
    return os.environ.get("TMILL_MODEL_SMOL") or f"{cache}/models/smollm2-135m.gguf"


class Bench:
    def __init__(self, opt, work):
        self.opt, self.work = opt, work
        self.env = dict(
            os.environ,
            XDG_CONFIG_HOME=f"{work}/config",
            XDG_STATE_HOME=f"{work}/state",
            XDG_DATA_HOME=f"{work}/data",
        )
        self.tmill = os.path.join(opt.bin, "tmill")
        for name in ("owner", "node-1", "node-2"):
            self.run([self.tmill, "key", "gen", "--key", f"{work}/{name}.key"])
        self.server_key = self.run(
            [self.tmill, "key", "export", "--key", f"{work}/owner.key"]
        ).strip()

    def run(self, argv):
        done = subprocess.run(
            argv,
            env=self.env,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"bench.py: {' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def forget_job(self):
        shutil.rmtree(f"{self.work}/state", ignore_errors=True)

    def embedded(self, recipe, workers):
        """JSON of one run, and its peak resident bytes."""
        self.forget_job()
        argv = [
            self.tmill,
            "compress",
            self.opt.model,
            "-o",
            f"{self.work}/e.tmpk",
            "--recipe",
            recipe,
            "--workers",
            str(workers),
            "--key",
            f"{self.work}/owner.key",
            "--json",
            "-q",
        ]
        with open(f"{self.work}/e.json", "w+") as out:
            child = subprocess.Popen(argv, env=self.env, cwd=self.work, stdout=out)
            _, status, usage = os.wait4(child.pid, 0)
            if status:
                sys.exit(f"bench.py: {' '.join(argv)} failed")
            out.seek(0)
            return json.load(out)["data"], usage.ru_maxrss * 1024

    def mesh(self, recipe, audit_every):
        """Two node processes of one thread; they are up and knocking before the job starts."""
        self.forget_job()
        port = free_port()
        nodes = [
            subprocess.Popen(
                [
                    self.tmill,
                    "node",
                    "run",
                    "--join",
                    f"tcp://127.0.0.1:{port}",
                    "--server-key",
                    self.server_key,
                    "--key",
                    f"{self.work}/node-{i}.key",
                    "--threads",
                    "1",
                    "--once",
                    "-q",
                ],
                env=self.env,
                cwd=self.work,
                stdout=subprocess.DEVNULL,
            )
            for i in (1, 2)
        ]
        out = self.run(
            [
                self.tmill,
                "submit",
                self.opt.model,
                "-o",
                f"{self.work}/m.tmpk",
                "--recipe",
                recipe,
                "--workers",
                "0",
                "--listen",
                f"tcp://127.0.0.1:{port}",
                "--key",
                f"{self.work}/owner.key",
                "--audit-every",
                str(audit_every),
                "--json",
                "-q",
            ]
        )
        for node in nodes:
            if node.wait(60):
                sys.exit("bench.py: a node failed")
        return json.loads(out)["data"]


def free_port():
    import socket

    for port in range(20000, 60000, 2):
        with socket.socket() as a, socket.socket() as b:
            try:
                a.bind(("127.0.0.1", port))
                b.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue
    sys.exit("bench.py: no free port")


def overhead(bench, recipe, runs):
    """Embedded, mesh without audits, mesh as it is by default: they take turns."""
    spent = {"embedded": [], "bare": [], "mesh": []}
    for _ in range(runs):
        a, _ = bench.embedded(recipe, 2)
        bare, full = bench.mesh(recipe, 0), bench.mesh(recipe, 16)
        for name, got in (("embedded", a), ("bare", bare), ("mesh", full)):
            if got["package_id"] != a["package_id"]:
                sys.exit("bench.py: the packages differ")
            spent[name].append(got["mesh_milliseconds"])
    median = {name: statistics.median(values) for name, values in spent.items()}
    return {
        "recipe": recipe,
        "milliseconds": spent,
        "median": median,
        "overhead_bare": median["bare"] / median["embedded"] - 1,
        "overhead": median["mesh"] / median["embedded"] - 1,
        "audited": full["units_audited"],
        "units": full["units"],
    }


def memory(bench):
    bound = json.loads(bench.run([bench.tmill, "inspect", bench.opt.model, "--json"]))
    rows = []
    for workers in (1, 2):
        _, peak = bench.embedded("int4", workers)
        rows.append({"workers": workers, "peak_bytes": peak})
    return {"bound_bytes": bound["data"]["compress_memory_bytes"], "rows": rows}


def collect(opt):
    with tempfile.TemporaryDirectory(prefix="tm-bench-") as work:
        bench = Bench(opt, work)
        result = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
            "model": os.path.basename(opt.model),
            "overhead": [overhead(bench, r, opt.runs) for r in ("int4", "ternary")],
            "memory": memory(bench),
        }
        for recipe in ("int4", "ternary"):
            result[f"unit_{recipe}"] = json.loads(
                bench.run([os.path.join(opt.bin, "bench_unit"), opt.model, recipe, "--json"])
            )
        result["stages"] = json.loads(bench.run([os.path.join(opt.bin, "bench_stages"), "--json"]))
    return result


def verdict(good):
    return "met" if good else "MISSED"


def table(r):
    out = [
        f"Machine: {r['machine']}. Model: {r['model']}.",
        "",
        "| what | figure | goal | |",
        "|---|---|---|---|",
    ]
    for o in r["overhead"]:
        m = o["median"]
        out.append(
            f"| two worker processes against embedded, {o['recipe']}, first lease to last unit, "
            f"no audits | {m['embedded']:.0f} ms to {m['bare']:.0f} ms, "
            f"{100 * o['overhead_bare']:+.1f} % | <= 5 % | {verdict(o['overhead_bare'] <= 0.05)} |"
        )
        out.append(
            f"| the same with {o['audited']} of {o['units']} units audited (the default) | "
            f"{m['mesh']:.0f} ms, {100 * o['overhead']:+.1f} % | <= 5 % | "
            f"{verdict(o['overhead'] <= 0.05)} |"
        )
    for m in r["memory"]["rows"]:
        out.append(
            f"| peak memory, {m['workers']} worker{'s' if m['workers'] > 1 else ''} | "
            f"{m['peak_bytes'] / 2**20:.0f} MiB (bound of inspect: "
            f"{r['memory']['bound_bytes'] / 2**20:.0f} MiB) | <= 256 MiB, <= bound | "
            f"{verdict(m['peak_bytes'] <= min(256 << 20, r['memory']['bound_bytes']))} |"
        )
    best = {}
    for row in r["stages"]["rows"]:
        best[row["what"]] = row
    for what in ("rans of int 8 symbols", "rans of int 4 symbols", "rans of ternary symbols"):
        row = best[what]
        rate = 1000 / row["decode_min_ns"]
        size = row["bytes"] / row["entropy_bytes"] if row.get("entropy_bytes") else None
        out.append(
            f"| decode of {what}, {row['kernel']}, one core | {rate:.0f} M/s"
            + (f", {size:.4f} x entropy" if size else "")
            + f" | >= 400 M/s, <= 1.01 x | {verdict(rate >= 400 and (size or 1) <= 1.01)} |"
        )
    out += ["", "| stage, one core | encode ns a weight | decode ns a weight |", "|---|---|---|"]
    for row in r["stages"]["rows"]:
        if row["kernel"] == r["stages"]["rows"][-1]["kernel"] and row["what"].startswith(
            ("int", "ternary")
        ):
            out.append(
                f"| {row['what']} | {row['encode_min_ns']:.2f} | {row['decode_min_ns']:.2f} |"
            )
    for recipe in ("int4", "ternary"):
        unit = r[f"unit_{recipe}"]
        out += [
            "",
            f"| one unit of {unit['weights']} weights, {recipe}, one core | us | ns a weight |",
            "|---|---|---|",
        ]
        for row in unit["rows"]:
            out.append(
                f"| {row['what']} | {row['min_us']:.1f} | "
                f"{1000 * row['min_us'] / unit['weights']:.3f} |"
            )
    return "\n".join(out)


def main():
    a = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    a.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    a.add_argument("--model", default=model_path())
    a.add_argument("--runs", type=int, default=5)
    a.add_argument("--json", action="store_true")
    a.add_argument("--md")
    opt = a.parse_args()
    opt.bin = os.path.abspath(opt.bin)
    opt.model = os.path.abspath(opt.model)
    result = collect(opt)
    print(json.dumps(result, indent=1) if opt.json else table(result))
    if opt.md:
        with open(opt.md, "w") as f:
            f.write(
                "# Benchmarks\n\nPrinted by `python3 tests/bench/bench.py`: ratios of one run, "
                "medians of "
                f"{opt.runs} turns, on a machine\nthat other work shares.\n\n"
                + table(result)
                + "\n"
            )


main()
