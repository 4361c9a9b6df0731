# SPDX-License-Identifier: Apache-2.0
"""The other side of bench_readers.py: reader_peer.py KIND FILE RUNS opens a model with the library
of its format (safetensors, gguf or torch) and lists every tensor, then hashes every tensor, and
prints what bench_readers.c prints, in time of the CPU. RUNS may be "once": nothing is opened
beforehand."""

import hashlib
import json
import statistics
import sys
import time


def open_safetensors(path):
    from safetensors import safe_open

    opened = safe_open(path, framework="numpy")
    names = list(opened.keys())
    for name in names:
        part = opened.get_slice(name)
        part.get_dtype(), part.get_shape()
    return [lambda name=name: opened.get_tensor(name) for name in names]


def open_gguf(path):
    from gguf import GGUFReader

    return [lambda t=t: t.data for t in GGUFReader(path).tensors]


def open_torch(path):
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    return [lambda t=t: t.contiguous().numpy() for t in found.values()]


def main():
    kind, path = sys.argv[1], sys.argv[2]
    runs = 1 if sys.argv[3] == "once" else int(sys.argv[3])
    opener = {"safetensors": open_safetensors, "gguf": open_gguf, "torch": open_torch}[kind]
    if sys.argv[3] != "once":
        opener(path)  # the imports are not the reader's time
    opening, hashing = [], []
    for _ in range(runs):
        start = time.process_time()
        tensors = opener(path)
        opened = time.process_time()
        size, last = 0, None
        for get in tensors:
            data = get()
            size += data.nbytes
            last = hashlib.sha256(data).hexdigest()
            del data
        opening.append(1e6 * (opened - start))
        hashing.append(time.process_time() - opened)
        del tensors
    print(json.dumps({
        "open_us_min": min(opening), "open_us_median": statistics.median(opening),
        "hash_s_min": min(hashing), "hash_s_median": statistics.median(hashing),
        "bytes": size, "last": last}))  # fmt: skip


main()
