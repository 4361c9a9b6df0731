# SPDX-License-Identifier: Apache-2.0
"""Compares the stage `int`, through encode and the export as GGUF blocks, byte for byte with
gguf.quants.quantize, and its refusals with the promise it makes: a row is refused exactly when a
value that gguf.quants.dequantize gives is not finite or further than R * 1.05 / 127 (8 bits) or
R * 1.05 / 7 (4 bits) from its source, R the largest |x| of the row."""
import subprocess
import sys

import numpy as np
import gguf
from gguf.quants import dequantize, quantize

TOOL = sys.argv[1]
COLS = 96
ROWS = 60_000
rng = np.random.default_rng(20250311)
TYPES = {8: (gguf.GGMLQuantizationType.Q8_0, 34, 127), 4: (gguf.GGMLQuantizationType.Q4_0, 18, 7)}


def kernels():
    def runs(kernel):
        args = [TOOL, kernel, "8", str(COLS)]
        return subprocess.run(args, input=b"", stderr=subprocess.DEVNULL).returncode == 0
    assert runs("ref"), "the reference kernel does not run"
    return [k for k in ("ref", "avx2", "neon") if runs(k)]


def rows():
    x = rng.standard_normal((ROWS, COLS)).astype(np.float32) * np.float32(0.02)
    wide = slice(0, ROWS // 2)  # every magnitude of float16 scales, from far below to far above
    x[wide] *= np.exp2(rng.integers(-34, 34, (ROWS // 2, 1))).astype(np.float32)
    groups = x.reshape(ROWS, COLS // 32, 32)
    some = rng.random((ROWS, COLS // 32)) < 0.2  # groups of a row that differ in size
    groups[some] *= np.exp2(rng.integers(-30, 3, (some.sum(), 1))).astype(np.float32)
    zero = rng.random((ROWS, COLS // 32)) < 0.02
    groups[zero] = np.where(rng.random((zero.sum(), 32)) < 0.5, np.float32(0.0), np.float32(-0.0))
    tie = slice(ROWS - 4000, ROWS)  # halves of the step, peaks of both signs
    x[tie] = (rng.integers(-254, 255, (4000, COLS)) / 2).astype(np.float32)
    x[tie] *= np.exp2(rng.integers(-12, 6, (4000, 1))).astype(np.float32)
    x[0] = 0.0
    x[1] = -0.0
    return x


def main():
    x = rows()
    top = np.abs(x.astype(np.float64)).max(axis=1, keepdims=True)
    for bits, (qtype, block, levels) in TYPES.items():
        with np.errstate(all="ignore"):
            want = quantize(x, qtype)
            y = dequantize(want, qtype).astype(np.float64)
            kept = np.abs(y - x) <= top * 1.05 / levels
        fits = (kept & np.isfinite(y)).all(axis=1)
        for kernel in kernels():
            run = subprocess.run([TOOL, kernel, str(bits), str(COLS)], input=x.tobytes(),
                                 stdout=subprocess.PIPE, check=True)
            got = np.frombuffer(run.stdout, np.uint8).reshape(ROWS, 1 + COLS // 32 * block)
            said = got[:, 0] != 0
            if (said != fits).any():
                bad = int(np.nonzero(said != fits)[0][0])
                sys.exit(f"{kernel} int {bits}: row {bad} fits: {fits[bad]}, said {said[bad]}")
            differ = (got[fits, 1:] != want[fits]).any(axis=1)
            if differ.any():
                bad = int(np.nonzero(fits)[0][np.nonzero(differ)[0][0]])
                sys.exit(f"{kernel} int {bits}: {differ.sum()} rows differ, first is {bad}")
            print(f"{kernel} int {bits}: {fits.sum()} rows equal, {(~fits).sum()} refused rightly")
        assert fits.sum() > ROWS // 2 and (~fits).sum() > ROWS // 20


main()
