# SPDX-License-Identifier: Apache-2.0
"""make_model.py FILE [DIVISOR]: a safetensors file of integer-made values, the same bytes
everywhere; a divisor keeps one row in so many."""
import json
import struct
import sys

TENSORS = [("embed.weight", "F32", (1200, 512)), ("norm.weight", "F32", (512,))]
for layer in range(3):
    TENSORS += [
        (f"layers.{layer}.a.weight", "F32", (384, 512)),
        (f"layers.{layer}.b.weight", "BF16", (300, 640)),
        (f"layers.{layer}.c.weight", "F16", (257, 96)),
    ]


def values(count, state):
    """Sums of four bytes of a linear congruential generator: near normal, exact in 10 bits."""
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        top = state >> 32
        yield (top & 255) + (top >> 8 & 255) + (top >> 16 & 255) + (top >> 24) - 510


def encode(dtype, numbers):
    if dtype == "F32":
        return b"".join(struct.pack("<f", n / 4096) for n in numbers)
    if dtype == "F16":
        return b"".join(struct.pack("<e", n / 4096) for n in numbers)
    return b"".join(struct.pack("<f", n // 4 / 1024)[2:] for n in numbers)


def main():
    header, data, at = {}, [], 0
    divisor = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for index, (name, dtype, full) in enumerate(TENSORS):
        shape = [full[0] // divisor, *full[1:]]
        count = 1
        for size in shape:
            count *= size
        data.append(encode(dtype, values(count, index + 1)))
        end = at + len(data[-1])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with open(sys.argv[1], "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(data))


main()
