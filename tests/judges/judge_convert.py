# SPDX-License-Identifier: Apache-2.0
"""Compares model/convert with gguf.quants (and numpy for the plain floats), bit for bit."""
import subprocess
import sys

import numpy as np
import gguf
from gguf.quants import dequantize, quantize

DUMP = sys.argv[1]
BLOCKS = 120_000
rng = np.random.default_rng(20240917)

# Offsets of the half-precision scales in a block.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108],
          "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": []}


def kernels():
    def runs(kernel):
        args = [DUMP, kernel, "decode", "F32"]
        return subprocess.run(args, input=b"", stderr=subprocess.DEVNULL).returncode == 0
    assert runs("ref"), "the reference kernel does not run"
    return [k for k in ("ref", "avx2", "neon") if runs(k)]


def ours(kernel, direction, dtype, data):
    args = [DUMP, kernel, direction, dtype]
    return subprocess.run(args, input=data, stdout=subprocess.PIPE, check=True).stdout


def report(what, got, want, unit):
    """got and want are bytes; unit is the bytes of one block of `want`."""
    if len(got) != len(want):
        sys.exit(f"{what}: {len(got)} bytes, expected {len(want)}")
    if got != want:
        a = np.frombuffer(got, np.uint8)
        b = np.frombuffer(want, np.uint8)
        at = int(np.nonzero(a != b)[0][0])
        block = at // unit
        bad = len(np.unique(np.nonzero(a != b)[0] // unit))
        sys.exit(f"{what}: {bad} blocks differ, first is {block} at byte {at % unit}: "
                 f"{got[block * unit:(block + 1) * unit].hex()} expected "
                 f"{want[block * unit:(block + 1) * unit].hex()}")
    print(f"{what}: {len(want) // unit} equal")


def finite_halves(count):
    """Every kind of finite half: normal, subnormal, zeros of both signs, the largest."""
    halves = rng.integers(0, 65536, count).astype(np.uint16)
    special = np.array([0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x83FF, 0x7BFF, 0xFBFF], np.uint16)
    pick = rng.random(count) < 0.3
    halves[pick] = rng.choice(special, pick.sum())
    halves[(halves & 0x7C00) == 0x7C00] &= 0xBFFF
    return halves


def packed_blocks(name):
    size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
    blocks = rng.integers(0, 256, (BLOCKS, size)).astype(np.uint8)
    extreme = rng.choice(np.array([0, 0xFF, 0x0F, 0xF0, 0x80, 0x7F], np.uint8), (BLOCKS // 8, size))
    blocks[:BLOCKS // 8] = extreme
    blocks[:6] = np.array([0, 0xFF, 0x0F, 0xF0, 0x80, 0x7F], np.uint8)[:, None]
    for at in HALVES[name]:
        blocks[:, at:at + 2] = finite_halves(BLOCKS).view(np.uint8).reshape(-1, 2)
    return blocks


def float_blocks():
    """Blocks of 32 floats with ties, both signs of the peak, zeros, subnormals and overflow."""
    blocks = rng.standard_normal((BLOCKS, 32)).astype(np.float32)
    blocks *= np.exp2(rng.integers(-150, 127, (BLOCKS, 1))).astype(np.float32)
    common = rng.random(BLOCKS) < 0.4
    blocks[common] = rng.standard_normal((common.sum(), 32)).astype(np.float32) * 0.02
    tie = np.arange(2000)  # exact halves of the step, peaks of both signs in either order
    steps = np.exp2(rng.integers(-20, 10, (2000, 1))).astype(np.float32)
    blocks[tie] = (rng.integers(-16, 17, (2000, 32)) / 2).astype(np.float32) * steps
    blocks[tie, 0] = np.where(tie % 2 == 0, 8, -8) * steps[:, 0]
    blocks[tie, 31] = -blocks[tie, 0]
    eight = np.arange(2000, 4000)
    blocks[eight] = (rng.integers(-254, 255, (2000, 32)) / 2).astype(np.float32) * steps
    blocks[eight, 5] = 127 * steps[:, 0]
    blocks[4000] = 0.0
    blocks[4001] = -0.0
    blocks[4002] = np.where(np.arange(32) % 2 == 0, 0.0, -0.0)
    for i, bits in enumerate([1, 2, 3, 4, 5, 8, 0x7F, 0xFF, 0x7FFFFF, 0x800000, 0x3F80000]):
        value = np.array([bits], np.uint32).view(np.float32)[0]
        blocks[4010 + 4 * i] = value
        blocks[4011 + 4 * i] = -value
        blocks[4012 + 4 * i] = 0.0
        blocks[4012 + 4 * i, 7] = value
        blocks[4013 + 4 * i] = rng.choice(np.array([value, -value, 0.0], np.float32), 32)
    blocks[4100] = np.finfo(np.float32).max
    blocks[4101] = -np.finfo(np.float32).max
    near = np.float32(65504 * 127) * np.linspace(0.999, 1.001, 1000, dtype=np.float32)
    blocks[4200:5200] = near[:, None]  # the scale of Q8_0 around the largest half
    near = np.float32(65504 * 8) * np.linspace(0.999, 1.001, 1000, dtype=np.float32)
    blocks[5200:6200] = near[:, None]
    small = np.exp2(np.linspace(-30, -12, 1000)).astype(np.float32)
    blocks[6200:7200] = small[:, None] * rng.standard_normal((1000, 32)).astype(np.float32)
    return blocks


def float_bits():
    """float32 values of every kind, NaNs included, as uint32."""
    bits = rng.integers(0, 2**32, 4_000_000, dtype=np.uint64).astype(np.uint32)
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
    steps = np.array([-0x1001, -0x1000, -0xFFF, -1, 0, 1, 0xFFF, 0x1000, 0x1001], np.int64)
    around = (halves[:, None].astype(np.int64) + steps[None, :]).astype(np.uint32).ravel()
    brains = (np.arange(65536, dtype=np.int64) << 16)[:, None]
    edges = (brains + np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])).astype(np.uint32).ravel()
    bits = np.concatenate([bits, around, edges])
    return np.concatenate([bits, np.zeros(-len(bits) % 32, np.uint32)])


def main():
    all_halves = np.arange(65536, dtype=np.uint16)
    packed = {name: packed_blocks(name) for name in HALVES}
    blocks = float_blocks()
    bits = float_bits()
    for kernel in kernels():
        got = ours(kernel, "decode", "F16", all_halves.tobytes())
        want = all_halves.view(np.float16).astype(np.float32)
        report(f"{kernel} F16 decode", got, want.tobytes(), 4)
        got = ours(kernel, "decode", "BF16", all_halves.tobytes())
        want = dequantize(all_halves.view(np.uint8), gguf.GGMLQuantizationType.BF16)
        report(f"{kernel} BF16 decode", got, want.tobytes(), 4)
        for name, data in packed.items():
            with np.errstate(all="ignore"):
                want = dequantize(data, gguf.GGMLQuantizationType[name])
            got = ours(kernel, "decode", name, data.tobytes())
            report(f"{kernel} {name} decode", got, want.tobytes(), 4 * want.shape[-1])
        with np.errstate(all="ignore"):
            got = ours(kernel, "encode", "F16", bits.tobytes())
            want = bits.view(np.float32).astype(np.float16)
            report(f"{kernel} F16 encode", got, want.tobytes(), 2)
            got = ours(kernel, "encode", "BF16", bits.tobytes())
            want = quantize(bits.view(np.float32), gguf.GGMLQuantizationType.BF16)
            report(f"{kernel} BF16 encode", got, want.tobytes(), 2)
            for name in ("Q8_0", "Q4_0"):
                want = quantize(blocks, gguf.GGMLQuantizationType[name])
                got = ours(kernel, "encode", name, blocks.tobytes())
                report(f"{kernel} {name} encode", got, want.tobytes(), want.shape[-1])


main()
