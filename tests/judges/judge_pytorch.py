# SPDX-License-Identifier: Apache-2.0
"""PyTorch itself (Debian's python3-torch) says whether our reader gives its values.

usage: judge_pytorch.py PTH_DUMP

Writes checkpoints with torch.save in both of its forms, and takes those of ../shared when they are
there; compares every tensor's type, shape and bytes (row-major, little-endian) with what PTH_DUMP
reads. Runs itself again under the system's Python, which has torch: torch is never asked to load
anything but what it wrote itself and the known good files of ../shared.
"""
import hashlib
import os
import subprocess
import sys
import tempfile

SYSTEM_PYTHON = "/usr/bin/python3"
NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int8": "I8",
         "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8", "bool": "BOOL"}


def make(torch, folder):
    """Writes the checkpoints; their paths."""
    torch.manual_seed(1)
    kinds = {}
    for name in NAMES:
        dtype = getattr(torch, name)
        values = torch.randn(3, 5) * 9
        kinds["t." + name] = (values > 0) if name == "bool" else values.to(dtype)
    shared = torch.arange(60, dtype=torch.float32)
    big = torch.randn(40, 30)
    views = {
        "whole": shared, "part": shared[7:27], "rows": shared.view(6, 10)[2:4],
        "turned": big.t(), "every": big[:, ::3], "box": big[3:9, 2:5],
        "plane": torch.randn(2, 3, 4, 5).permute(0, 2, 3, 1),
        "fortran": torch.randn(3, 4, 5).permute(2, 1, 0),
        "again": torch.randn(1, 6).expand(5, 6), "scalar": torch.tensor(3.5),
        "none": torch.empty(0, 4), "parameter": torch.nn.Parameter(torch.randn(4, 4)),
    }
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.LayerNorm(5),
                                 torch.nn.Conv2d(1, 2, 3))
    optimizer = torch.optim.AdamW(layers.parameters())
    loss = layers[1](layers[0](torch.randn(2, 6))).sum()
    loss.backward()
    optimizer.step()
    files = {
        "kinds": kinds, "views": views, "state": layers.state_dict(),
        "training": {"epoch": 3, "model_state_dict": layers.state_dict(),
                     "optimizer_state_dict": optimizer.state_dict(),
                     "args": {"lr": 0.1, "names": ["a"]}},
        "nested": {"encoder": {"w": torch.randn(2, 2), "deep": {"b": torch.randn(3)}},
                   "v": [torch.ones(1)]},
        "many": {f"layer.{i}.w": torch.full((2, 3), float(i)) for i in range(1500)},
        "one": torch.randn(4, 3),
    }
    for name, value in files.items():
        for zipped in (True, False):
            path = os.path.join(folder, f"{name}-{'zip' if zipped else 'legacy'}.pth")
            torch.save(value, path, _use_new_zipfile_serialization=zipped)
            yield path


def load(torch, path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch 1.13 knows fewer types when it loads weights only
        return torch.load(path, map_location="cpu")


def tensors_of(torch, value, name=""):
    if isinstance(value, torch.Tensor):
        yield name or "tensor", value
    items = value.items() if isinstance(value, dict) else \
        enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        yield from tensors_of(torch, item, f"{name}.{key}" if name else str(key))


def choose(value):
    """What our reader takes of a training checkpoint."""
    for key in ("model_state_dict", "state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            return value[key]
    return value


def digest(torch, tensor):
    plain = tensor.detach().contiguous()
    # NumPy has no bfloat16: its bits as int16.
    plain = plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain
    return hashlib.sha256(plain.numpy().tobytes()).hexdigest()


def compare(torch, program, path):
    theirs = {name: (NAMES[str(t.dtype).split(".")[1]], list(t.shape), digest(torch, t))
              for name, t in tensors_of(torch, choose(load(torch, path)))}
    run = subprocess.run([program, path], stdout=subprocess.PIPE, text=True, check=True)
    ours = {}
    for line in run.stdout.splitlines():
        name, dtype, shape, sha = line.split("\t")
        ours[name] = (dtype, [int(d) for d in shape.split(",") if d], sha)
    wrong = [name for name in sorted(set(ours) | set(theirs)) if ours.get(name) != theirs.get(name)]
    for name in wrong[:5]:
        print(f"{os.path.basename(path)}: {name}: ours {ours.get(name)}, "
              f"torch's {theirs.get(name)}")
    return len(theirs), len(wrong)


def shared_files():
    folder = os.path.join(os.environ.get("TMILL_SHARED", "../shared"), "data")
    good = os.path.join(folder, "readers", "pth-good")
    names = sorted(os.listdir(good)) if os.path.isdir(good) else []
    # Not those that torch 1.13 cannot load: the tar files lack a member it wants.
    paths = [os.path.join(good, n) for n in names
             if n.endswith((".pt", ".pth", ".bin")) and not n.startswith("burn_tar")]
    lm = [os.path.join(folder, "lm", "gpt-by-hand", f"ckpt-v{i}.pt") for i in (1, 2, 3)]
    lm.append(os.path.join(folder, "lm", "llama2xs", "ckpt.pt"))
    return paths + [path for path in lm if os.path.exists(path)]


def judge(program):
    import torch  # only the system's Python has it
    files = tensors = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in list(make(torch, folder)) + shared_files():
            count, bad = compare(torch, program, path)
            files, tensors, wrong = files + 1, tensors + count, wrong + bad
    print(f"torch {torch.__version__}: {files} files, {tensors} tensors, {wrong} differ")
    return 1 if wrong or files < 14 else 0


def main():
    if len(sys.argv) == 3 and sys.argv[2] == "judge":
        return judge(sys.argv[1])
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL,
                           check=False)
    if found.returncode != 0:
        print("torch is missing: sh deploy/setup.sh installs python3-torch")
        return 1
    return subprocess.run([SYSTEM_PYTHON, "-W", "ignore", __file__, sys.argv[1], "judge"],
                          check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
