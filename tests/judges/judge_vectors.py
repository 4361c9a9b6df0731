# SPDX-License-Identifier: Apache-2.0
"""A second implementation of docs/formats/stages.md in plain Python: makes the golden vectors of
tests/vectors/stages from their description and compares the digests."""
import hashlib
import re
import struct
import sys

import numpy as np

F = np.float32
MASK = (1 << 64) - 1


# ---- inputs: tests/vectors/stages/README.md

def splitmix(seed):
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        yield z ^ z >> 31


def bell(draw):
    a, b = next(draw), next(draw)
    parts = [v >> 16 * i & 0xFFFF for v in (a, b) for i in range(4)]
    return (sum(parts) - 4 * 65535) * 2.0 ** -18


def inputs(kind, rows, cols, seed):
    draw = splitmix(seed)
    out = np.zeros((rows, cols), F)
    for r in range(rows):
        for c in range(cols):
            if kind == "bell":
                x = bell(draw)
            elif kind == "mixed":
                x = float(F(bell(draw)) / F(1 << r % 7))
                if (r + c // 32) % 5 == 4:
                    x = 0.0
                elif next(draw) % 61 == 0:
                    x *= 16.0
            elif kind == "ternary":
                x = (next(draw) % 3 - 1) * (1 + c // 32) / 64 + 0.0
                x = x if x else 0.0
            else:
                x = 0.0 if next(draw) % 2 == 0 else -0.0
            out[r, c] = x
    return out


# ---- quantizers

def half_bits(x):
    with np.errstate(over="ignore"):
        return int(F(x).astype(np.float16).view(np.uint16))


def half_value(bits):
    return np.uint16(bits).view(np.float16).astype(F)


def inverse(d):
    with np.errstate(all="ignore"):
        i = F(1) / d if d != 0 else F(0)
    return i if np.isfinite(i) else F(0)


def int_group(x, bits):
    top = np.abs(x).max()
    if bits == 8:
        d = top / F(127)
        t = x * inverse(d)
        q = np.floor(np.abs(t)) + (np.abs(t) - np.floor(np.abs(t)) >= F(0.5))
        return half_bits(d), [int(v) + 128 for v in np.where(t < 0, -q, q)]
    d = x[np.argmax(np.abs(x))] / F(-8)
    t = x * inverse(d) + F(8.5)
    return half_bits(d), [min(15, int(v)) for v in t]


def ternary_group(x):
    a = sorted((float(abs(v)) for v in x), reverse=True)
    best, total = (-1.0, None, 0), 0.0
    for k in range(1, len(a) + 1):
        if a[k - 1] == 0:
            break
        total += a[k - 1]
        if k < len(a) and a[k] == a[k - 1]:
            continue
        bits = half_bits(F(total / k))
        s = float(half_value(bits))
        gain = s * (2.0 * total - k * s)
        if gain > best[0]:
            best = (gain, a[k - 1], bits)
    if best[1] is None:
        return 0, [0] * len(x)
    return best[2], [0 if abs(v) < best[1] else 1 if v > 0 else -1 for v in x]


def quantize(x, name, params):
    """-> scales, symbols, alphabet, decoded values"""
    scales, codes, y = [], [], []
    group = params["group"]
    for row in x:
        for at in range(0, len(row), group):
            part = row[at:at + group]
            if name == "int":
                scale, got = int_group(part, params["bits"])
                values = [g - (128 if params["bits"] == 8 else 8) for g in got]
            else:
                scale, got = ternary_group(part)
                values = got
            scales.append(scale)
            codes += got
            y += [F(v) * half_value(scale) + F(0) for v in values]
    if name == "int":
        return scales, codes, 1 << params["bits"], y
    codes += [0] * (-len(codes) % 5)
    symbols = [sum((codes[i + k] + 1) * 3 ** k for k in range(5)) for i in range(0, len(codes), 5)]
    return scales, symbols, 243, y


# ---- bytes

def packed(symbols, alphabet):
    if alphabet > 16:
        return bytes(symbols)
    even = symbols + [0] * (len(symbols) % 2)
    return bytes(even[i] | even[i + 1] << 4 for i in range(0, len(even), 2))


def one_table(counts):
    n = sum(counts)
    f = [0 if c == 0 else max(1, (8192 * c + n) // (2 * n)) for c in counts]
    while sum(f) > 4096:
        best = None
        for s, c in enumerate(counts):
            if f[s] > 1 and (best is None or c * (2 * f[best] - 1) < counts[best] * (2 * f[s] - 1)):
                best = s
        f[best] -= 1
    while sum(f) < 4096:
        best = None
        for s, c in enumerate(counts):
            if f[s] > 0 and (best is None or c * (2 * f[best] + 1) > counts[best] * (2 * f[s] + 1)):
                best = s
        f[best] += 1
    return f


def table_bytes(f):
    present = [s for s in range(256) if f[s]]
    low, high = present[0], present[-1]
    value = held = 0
    for s in range(low, high + 1):
        length = f[s].bit_length()
        value |= length << held
        held += 4
        if length > 1:
            value |= (f[s] - (1 << length - 1)) << held
            held += length - 1
    return bytes([low, high]) + value.to_bytes((held + 7) // 8, "little")


def log2_q16(v):
    e = v.bit_length() - 1
    m, bits = v << 31 - e, 0
    for _ in range(16):
        m = m * m >> 31
        bits <<= 1
        if m >> 32:
            m >>= 1
            bits |= 1
    return e << 16 | bits


def rans(symbols, alphabet):
    counts = [0] * 256
    for s in symbols:
        counts[s] += 1
    distinct = sum(c > 0 for c in counts)
    plain = packed(symbols, alphabet)
    if distinct == 1:
        return bytes([1, symbols[0]])
    if distinct == 0:
        return b"\0" + plain
    f = one_table(counts)
    table = table_bytes(f)
    cost = sum(c * ((12 << 16) - log2_q16(f[s])) for s, c in enumerate(counts) if c)
    bits = (cost + 65535) >> 16
    if len(table) + 132 + 2 * ((bits + 15) // 16) >= len(plain):
        return b"\0" + plain
    start = [sum(f[:s]) for s in range(256)]
    state, words = [65536] * 32, []
    for i in reversed(range(len(symbols))):
        s, x = symbols[i], state[i % 32]
        if x >= f[s] << 20:
            words.append(x & 0xFFFF)
            x >>= 16
        state[i % 32] = (x // f[s] << 12) + x % f[s] + start[s]
    words.reverse()
    head = struct.pack("<I32I", len(words), *state)
    return b"\2" + table + head + struct.pack("<%dH" % len(words), *words)


def encode(x, text):
    name = re.match(r"[a-z]+", text).group()
    params = {k: int(v) for k, v in re.findall(r"([a-z]+)=(\d+)", text)}
    scales, symbols, alphabet, y = quantize(x, name, params)
    side = struct.pack("<%dH" % len(scales), *scales)
    if text.endswith("> rans.1"):
        planes = rans(list(side[0::2]), 256) + rans(list(side[1::2]), 256)
        return rans(symbols, alphabet) + planes, y
    return side + packed(symbols, alphabet), y


def measure(x, y):
    error, norm, top = [0.0] * 8, [0.0] * 8, 0.0
    for i, (a, b) in enumerate(zip(x, y)):
        e = float(b) - float(a)
        error[i % 8] += e * e
        norm[i % 8] += float(a) * float(a)
        top = max(top, abs(e))

    def pairs(v):
        return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]))
    return struct.pack("<3d", pairs(error), pairs(norm), top)


def main():
    count = 0
    for line in open("tests/vectors/stages/vectors.txt"):
        text, shape, kind, seed, want = [part.strip() for part in line.split("|")]
        rows, cols = [int(v) for v in shape.split(" x ")]
        x = inputs(kind, rows, cols, int(seed))
        data, y = encode(x, text)
        data += np.array(y, "<f4").tobytes() + measure(x.ravel(), y)
        got = hashlib.sha256(data).hexdigest()
        if got != want:
            sys.exit(f"{text}, {shape}, {kind}: {got}, expected {want}")
        count += 1
    assert count > 0, "no vectors"
    print(f"{count} vectors equal")


main()
