# SPDX-License-Identifier: Apache-2.0
"""Real models through our readers and writers and back (model_rewrite.c), judged by the gguf and
safetensors libraries: stories260K (F32) in every form, SmolLM2-135M (Q4_1) as it is. Without
stories260K a small model made here stands in."""
import filecmp
import os
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize
from safetensors import deserialize

REWRITE = sys.argv[1]
SHARED = os.environ.get("TMILL_SHARED", "../shared")
CACHE = os.environ.get("TMILL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill")
STORIES = f"{SHARED}/data/stories260K/stories260Ktok512.gguf"
SMOLLM = os.environ.get("TMILL_MODEL_SMOL") or f"{CACHE}/models/smollm2-135m.gguf"


def rewrite(source, target, form, dtype="keep"):
    subprocess.run([REWRITE, source, target, form, dtype], check=True)


def fields_of(reader):
    return {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.")}


def check(what, good):
    if not good:
        sys.exit(f"{what}: differs")
    print(f"{what}: equal")


def same_gguf(what, path, want_path):
    got, want = GGUFReader(path), GGUFReader(want_path)
    check(f"{what}: fields", fields_of(got) == fields_of(want))
    check(f"{what}: names", sorted(t.name for t in got.tensors) ==
          sorted(t.name for t in want.tensors))
    by_name = {t.name: t for t in want.tensors}
    check(f"{what}: tensors", all(
        t.tensor_type == by_name[t.name].tensor_type and
        (t.shape == by_name[t.name].shape).all() and
        t.data.tobytes() == by_name[t.name].data.tobytes() for t in got.tensors))


def converted(what, reader, path, qtype, form):
    """Matrices with rows of whole blocks are `qtype`, the rest F32, as the libraries make them."""
    if form == "gguf":
        got = {t.name: (t.tensor_type.name, t.data.tobytes()) for t in GGUFReader(path).tensors}
    else:
        with open(path, "rb") as f:
            got = {n: (t["dtype"], bytes(t["data"])) for n, t in deserialize(f.read())}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        block = GGML_QUANT_SIZES[qtype][0]
        target = qtype if len(tensor.shape) >= 2 and tensor.shape[0] % block == 0 else Q.F32
        want = quantize(values, target)
        if got[tensor.name] != (target.name, want.tobytes()):
            sys.exit(f"{what}: {tensor.name} differs")
    print(f"{what}: {len(reader.tensors)} tensors equal")


def stand_in(path):
    """A small float32 model with a tokenizer, for machines without stories260K."""
    rng = np.random.default_rng(5)
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_token_list([f"tok{i}".encode() for i in range(64)])
    writer.add_token_scores([float(-i) for i in range(64)])
    for name, shape in (("token_embd.weight", (64, 64)), ("blk.0.attn_q.weight", (64, 64)),
                        ("blk.0.ffn_down.weight", (64, 172)), ("output_norm.weight", (64,))):
        writer.add_tensor(name, rng.standard_normal(shape).astype("f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    global STORIES
    if not os.path.exists(SMOLLM):
        sys.exit(f"judge_rewrite.py: {SMOLLM} is missing (run deploy/setup.sh)")
    with tempfile.TemporaryDirectory() as folder:
        once, again = f"{folder}/once", f"{folder}/again.gguf"
        if not os.path.exists(STORIES):
            STORIES = f"{folder}/stand-in.gguf"
            stand_in(f"{folder}/made.gguf")
            rewrite(f"{folder}/made.gguf", STORIES, "gguf")
        rewrite(STORIES, again, "gguf")
        check("stories260K, GGUF to GGUF: file", filecmp.cmp(again, STORIES, shallow=False))
        rewrite(STORIES, once, "safetensors")
        rewrite(once, again, "gguf")
        same_gguf("stories260K, through safetensors", again, STORIES)
        reader = GGUFReader(STORIES)
        for qtype in (Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0):
            rewrite(STORIES, once, "gguf", qtype.name)
            converted(f"stories260K to {qtype.name} GGUF", reader, once, qtype, "gguf")
            rewrite(once, again, "gguf", "F32")
            converted(f"stories260K {qtype.name} to F32", GGUFReader(once), again, Q.F32, "gguf")
        for qtype in (Q.F16, Q.BF16, Q.F32):
            rewrite(STORIES, once, "safetensors", qtype.name)
            converted(f"stories260K to {qtype.name} safetensors", reader, once, qtype,
                      "safetensors")
        rewrite(SMOLLM, again, "gguf")
        check("SmolLM2, GGUF to GGUF: file", filecmp.cmp(again, SMOLLM, shallow=False))
        rewrite(SMOLLM, once, "safetensors", "BF16")
        converted("SmolLM2 Q4_1 to BF16 safetensors", GGUFReader(SMOLLM), once, Q.BF16,
                  "safetensors")
        rewrite(once, again, "gguf", "F32")
        check("SmolLM2 fields through safetensors", fields_of(GGUFReader(again)) ==
              fields_of(GGUFReader(SMOLLM)) | {"general.file_type": 0})


main()
