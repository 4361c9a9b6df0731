# SPDX-License-Identifier: Apache-2.0
"""Files of model/writer (made by writer_make.c) as the safetensors and gguf libraries read them."""
import base64
import json
import struct
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from safetensors import deserialize, safe_open

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4,
         "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
ODD = "quote\" back\\slash\ttab\nline /slash \u00e9 \u20ac \U0001f999"
SAFETENSORS = [
    ("f64", "F64", [3, 2]), ("f32", "F32", [2, 3, 4]), ("f16", "F16", [7, 3]),
    ("bf16", "BF16", [9]), ("f8_e4m3", "F8_E4M3", [3, 5]), ("f8_e5m2", "F8_E5M2", [5, 3]),
    ("i64", "I64", [4]), ("i32", "I32", [5]), ("i16", "I16", [6]), ("i8", "I8", [7]),
    ("u64", "U64", [4]), ("u32", "U32", [5]), ("u16", "U16", [6]), ("u8", "U8", [7]),
    ("bool", "BOOL", [0]), ("scalar", "F32", []), ("none", "F16", [4, 0, 2]),
    ("rank8", "U8", [1, 2, 1, 3, 1, 2, 1, 1]), (ODD, "I8", [3]), ("\x7f\x80\u2028", "I8", [1]),
    ("", "F32", [2])]
GGUF = [
    ("token_embd.weight", Q.Q8_0, [5, 96]), ("blk.0.q4_0", Q.Q4_0, [3, 64]),
    ("blk.0.q4_1", Q.Q4_1, [1, 32]), ("blk.0.q5_0", Q.Q5_0, [2, 32]),
    ("blk.0.q5_1", Q.Q5_1, [2, 1, 32]), ("blk.0.q4_k", Q.Q4_K, [1, 512]),
    ("blk.0.q5_k", Q.Q5_K, [3, 256]), ("blk.0.q6_k", Q.Q6_K, [1, 256]), ("f64", Q.F64, [3]),
    ("f32", Q.F32, [2, 3, 1, 5]), ("f16", Q.F16, [7, 3]), ("bf16", Q.BF16, [9]),
    ("i64", Q.I64, [4]), ("i32", Q.I32, [5]), ("i16", Q.I16, [6]), ("i8", Q.I8, [7]),
    ("scalar", Q.F32, [1]), ("none", Q.F16, [0]),
    ("name of sixty-three bytes, \u00e9\u20ac and \"quotes\" ..............", Q.F32, [1])]
PAIRS = {"format": "pt", "a \"key\"\n": "value \\ \u20ac"}
NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32,
         "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16,
         "U8": np.uint8, "BOOL": np.bool_}


def stream(at, count):
    return bytes((i * 31 + 7) % 251 for i in range(at, at + count))


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, expected {want!r}")


def judge_safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    length = struct.unpack("<Q", raw[:8])[0]
    check("header length % 8", length % 8, 0)
    header = json.loads(raw[8:8 + length])
    check("names in order", list(header), ["__metadata__"] + [t[0] for t in SAFETENSORS])
    check("metadata", header["__metadata__"], PAIRS)
    tensors = dict(deserialize(raw))
    check("tensors", sorted(tensors), sorted(t[0] for t in SAFETENSORS))
    at = 0
    with safe_open(path, framework="numpy") as f:
        check("metadata by safe_open", f.metadata(), PAIRS)
        for name, dtype, shape in SAFETENSORS:
            count = int(np.prod(shape, dtype=np.int64)) * SIZES[dtype]
            check(f"{name!r} dtype", tensors[name]["dtype"], dtype)
            check(f"{name!r} shape", list(tensors[name]["shape"]), shape)
            check(f"{name!r} bytes", bytes(tensors[name]["data"]), stream(at, count))
            if dtype in NUMPY:
                want = np.frombuffer(stream(at, count), NUMPY[dtype]).reshape(shape)
                got = f.get_tensor(name)
                check(f"{name!r} values", (got.dtype, got.shape, got.tobytes()),
                      (want.dtype, want.shape, want.tobytes()))
            at += count
    check("file size", len(raw), 8 + length + at)
    print(f"safetensors: {len(SAFETENSORS)} tensors equal")


def judge_gguf(path, tensors, fields, alignment):
    reader = GGUFReader(path)
    got = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    check("fields", got, fields)
    check("alignment", reader.alignment, alignment)
    check("version", reader.fields["GGUF.version"].contents(), 3)
    check("names", [t.name for t in reader.tensors], [t[0] for t in tensors])
    at = 0
    end = reader.data_offset
    raw = np.fromfile(path, np.uint8)
    for tensor, (name, qtype, shape) in zip(reader.tensors, tensors):
        block, size = GGML_QUANT_SIZES[qtype]
        count = int(np.prod(shape, dtype=np.int64)) // block * size
        check(f"{name!r} type", tensor.tensor_type, qtype)
        check(f"{name!r} shape", [int(n) for n in tensor.shape][::-1], shape)
        check(f"{name!r} bytes", tensor.data.tobytes(), stream(at, count))
        check(f"{name!r} offset", int(tensor.data_offset), end)
        check(f"{name!r} padding", int(raw[end + count:end + count + -count % alignment].sum()), 0)
        at += count
        end += count + -count % alignment
    check("file size", len(raw), end)
    print(f"gguf: {len(tensors)} tensors equal, {len(fields)} fields")


def judge_blob(path):
    with safe_open(path, framework="numpy") as f:
        meta = f.metadata()
    blob = base64.b64decode(meta.pop("tmill.gguf_metadata"), validate=True)
    check("pairs", meta, PAIRS)
    check("pair count in blob", struct.unpack("<Q", blob[:8])[0], 3)
    check("blob end", blob[-12:], b"\4\0\0\0\0\0\0\0kept")
    print("gguf metadata in safetensors equal")


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        judge_safetensors(f"{folder}/all.safetensors")
        judge_gguf(f"{folder}/all.gguf", GGUF,
                   {"general.architecture": "llama", "general.file_type": 17, **PAIRS,
                    "general.quantization_version": 2}, 32)
        judge_gguf(f"{folder}/meta.gguf", GGUF[1:4],
                   {"general.architecture": "llama", "general.alignment": 128, "x.y": "kept",
                    **PAIRS, "general.quantization_version": 2}, 128)
        judge_blob(f"{folder}/meta.safetensors")


main()
