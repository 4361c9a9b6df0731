# SPDX-License-Identifier: Apache-2.0
"""Reads a .tmcal, written from docs/formats/calibration.md alone."""
import hashlib
import struct

import numpy as np

NAMES = ("attention_in", "attended", "value", "query_slope", "key_slope", "gate_in", "gate_slope",
         "up_slope", "down_in")
WHOLE = {"attention_in", "attended", "gate_in", "down_in"}
MAGIC = b"TMCA\r\n\x1a\n"


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("ends too soon")
        self.at += count
        return self.data[self.at - count:self.at]

    def numbers(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def packed(self, count):
        out = np.zeros(count, dtype=np.int64)
        for at in range(0, count, 64):
            n, width = min(64, count - at), self.take(1)[0]
            if width == 0:
                continue
            raw = int.from_bytes(self.take((n * width + 7) // 8), "little")
            mask = (1 << width) - 1
            for i in range(n):
                folded = raw >> (i * width) & mask
                out[at + i] = -(folded + 1 >> 1) if folded & 1 else folded >> 1
        return out


class Input:
    """sums[set] is a symmetric matrix (zeros outside of its blocks) or a vector, as int64."""

    def __init__(self, data, whole):
        c = Cursor(data)
        self.cols, self.width = c.numbers("II")
        self.counts = [dict(zip(("tokens", "sinks", "clipped"), c.numbers("QQQ")))
                       for _ in range(2)]
        self.exponents = np.frombuffer(c.take(self.cols), dtype=np.int8)
        kept, = c.numbers("I")
        self.sinks = [c.numbers("QIb") for _ in range(kept)]
        self.sink_values = c.packed(kept * self.cols).reshape(kept, self.cols)
        self.sums = [self.matrix(c) for _ in range(2)] if whole else [c.packed(self.cols)]
        if c.at != len(data):
            raise ValueError("bytes behind the sums")

    def matrix(self, c):
        blocks = [(a, min(a + self.width, self.cols)) for a in range(0, self.cols, self.width)]
        values = c.packed(sum((b - a) * (b - a + 1) // 2 for a, b in blocks))
        out, at = np.zeros((self.cols, self.cols), dtype=np.int64), 0
        for a, b in blocks:
            for i in range(a, b):
                row = values[at:at + b - i]
                out[i, i:b] = row
                out[i:b, i] = row
                at += b - i
        return out

    def real(self, which=0):
        step = np.ldexp(1.0, -self.exponents.astype(np.int64))
        scale = np.outer(step, step) if self.sums[which].ndim == 2 else step ** 2
        return self.sums[which] * scale


class Calibration:
    def __init__(self, path):
        with open(path, "rb") as stream:
            data = stream.read()
        version, header_bytes = struct.unpack("<II", data[8:16])
        header = data[48:48 + header_bytes]
        if data[:8] != MAGIC or version != 1 or hashlib.sha256(header).digest() != data[16:48]:
            raise ValueError("no calibration")
        c = Cursor(header)
        self.model, self.text, self.ids = (c.take(32) for _ in range(3))
        self.arch = c.take(16).rstrip(b"\0").decode()
        self.context, self.first_token, self.width, self.held_every = c.numbers("IIII")
        self.windows, = c.numbers("Q")
        self.layers, self.layer_first, self.layer_count, ranges = c.numbers("IIII")
        self.ranges = [c.numbers("QQ") for _ in range(ranges)]
        table = [c.numbers("Q32s") for _ in range(10 * self.layer_count)]
        if c.at != header_bytes:
            raise ValueError("bytes behind the header")
        self.header, self.sections, at = header, [], 48 + header_bytes
        for size, digest in table:
            section = data[at:at + size]
            if hashlib.sha256(section).digest() != digest:
                raise ValueError("a section has another digest")
            self.sections.append(section)
            at += size
        if at != len(data):
            raise ValueError("bytes behind the sections")

    def input(self, layer, name):
        index = 10 * (layer - self.layer_first) + NAMES.index(name)
        return Input(self.sections[index], name in WHOLE)

    def window_digests(self, layer):
        data = self.sections[10 * (layer - self.layer_first) + 9]
        return [data[i:i + 32] for i in range(0, len(data), 32)]

    def window_at(self, window):
        """First token of a window."""
        step = max(1, self.windows // 1000 * 618 + self.windows % 1000 * 618 // 1000)
        while np.gcd(step, self.windows) != 1:
            step += 1
        return window * step % self.windows * self.context
