# SPDX-License-Identifier: Apache-2.0
"""docs/formats/package.md is enough to read a package: the reader written from it alone finds what
the sample was made of, and refuses the file cut at every length and with any byte changed."""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import tmpk_reader


def same(what, got, want):
    if got != want:
        sys.exit(f"judge_package: {what}: got {got!r}, expected {want!r}")


def compare(package, data, want):
    tables = package["tables"]
    for key in ("id", "root", "owner"):
        same(key, package[key].hex(), want[key])
    for key in ("model_name", "arch", "plan"):
        same(key, tables[key].decode(), want[key])
    for kind in ("tensors", "attachments"):
        same(f"number of {kind}", len(tables[kind]), len(want[kind]))
        for got, expected in zip(tables[kind], want[kind]):
            for key, value in expected.items():
                found = got[key]
                if key == "pipeline":
                    found = tables["pipelines"][found]
                if isinstance(found, bytes):
                    found = found.hex() if key == "source" else found.decode()
                same(f"{key} of {expected['name']}", found, value)
    same("number of chunks", len(tables["chunks"]), len(want["chunks"]))
    for i, (chunk, expected) in enumerate(zip(tables["chunks"], want["chunks"])):
        raw = data[chunk["offset"]:chunk["offset"] + chunk["bytes"]]
        same(f"bytes of chunk {i}", len(raw), expected["bytes"])
        same(f"content of chunk {i}", hashlib.sha256(raw).hexdigest(), expected["sha256"])
        same(f"rows of chunk {i}", chunk["rows"], expected["rows"])
        same(f"columns of chunk {i}", chunk["cols"], expected["cols"])
        same(f"checks of chunk {i}", package["ledger"]["entries"][i]["checks"], expected["checks"])


def refused(data, what):
    try:
        tmpk_reader.read(data, statements=False)
    except tmpk_reader.Refused:
        return
    sys.exit(f"judge_package: accepted {what}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sample.tmpk")
        made = subprocess.run([sys.argv[1], path], check=True, stdout=subprocess.PIPE)
        with open(path, "rb") as stream:
            data = stream.read()
    compare(tmpk_reader.read(data), data, json.loads(made.stdout))
    with open("tests/vectors/package_v1.tmpk", "rb") as stream:
        same("bytes of the writer against tests/vectors", data, stream.read())
    for n in range(len(data)):
        refused(data[:n], f"{n} of {len(data)} bytes")
        changed = bytearray(data)
        changed[n] ^= 1 << n % 8
        refused(bytes(changed), f"a change of byte {n}")
    print(f"judge_package: {len(data)} bytes read, every cut and every change refused")


if __name__ == "__main__":
    main()
