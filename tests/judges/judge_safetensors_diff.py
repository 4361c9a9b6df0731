# SPDX-License-Identifier: Apache-2.0
"""Mutated safetensors files, ours against the library's own reader. Nothing may be accepted that
the library refuses; what both accept must hold the same tensors; and whatever only we refuse must
have a reason that docs/formats/safetensors.md lists (and every reason there must come up).

    judge_safetensors_diff.py VERDICT        TMILL_SEED, TMILL_FILES: another run, a longer one
"""
import collections
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

from safetensors import SafetensorError, deserialize

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCS = os.path.join(ROOT, "docs/formats/safetensors.md")
SEED = int(os.environ.get("TMILL_SEED", "20261125"))
FILES = int(os.environ.get("TMILL_FILES", "10000"))
BATCH = 500
DUPLICATE = "duplicate tensor name"
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8,
        "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8,
        "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
        "C64": 64}
OURS = list(BITS)[:15]


class Raw:
    """A piece of JSON that is written as it is."""

    def __init__(self, text):
        self.text = text


def to_json(value, r):
    """JSON text of nested lists of pairs (objects that may repeat a key), lists and scalars."""
    space = lambda: r.choice(["", "", "", " ", "\n", "\t"])
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{space()}{to_json(k, r)}{space()}:{to_json(v, r)}"
                              for k, v in value) + space() + "}"
    if isinstance(value, list):
        return "[" + ",".join(space() + to_json(v, r) for v in value) + "]"
    return json.dumps(value, ensure_ascii=r.random() < 0.5)


class Pairs(list):
    """An object as a list of [key, value], so that a key can be there twice."""

    def get(self, key):
        return next((pair for pair in self if pair[0] == key), None)


def make(r):
    """A legal file: (entries as Pairs, data)."""
    entries, data = Pairs(), b""
    if r.random() < 0.5:
        entries.append(["__metadata__", Pairs([[r.choice(["format", "a", "é"]), r.choice(
            ["pt", "", "ü" * 9])] for _ in range(1)])])
    for i in range(r.choice([0, 1, 1, 2, 2, 3, 5, 9])):
        dtype = r.choice(OURS if r.random() < 0.97 else list(BITS))
        shape = [r.choice([0, 1, 1, 2, 3, 4, 5, 8]) for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4]))]
        bits = BITS[dtype]
        for n in shape:
            bits *= n
        if bits % 8:
            shape, bits = [*shape, 8], bits * 8
        name = r.choice(["w", "model.layers.%d.weight", "模型.%d", "", "a/b", "q\"\\", "%d"])
        name = (name % i if "%d" in name else name) + (str(i) if i else "")
        entry = Pairs([["dtype", dtype], ["shape", shape],
                       ["data_offsets", [len(data), len(data) + bits // 8]]])
        r.shuffle(entry)
        entries.append([name, entry])
        data += r.randbytes(bits // 8)
    if r.random() < 0.5:
        r.shuffle(entries)
    return entries, data


# ---- mutations of the structure ----

NUMBERS = [Raw(text) for text in (
    "-1", "-0", "0.0", "1.0", "1e0", "1E2", "01", "+1", "0x1", "1.", ".5", "NaN", "Infinity",
    "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "100000000000000000000000", "1e400", '"1"', "null", "true", "[]", "{}",
    "[1]")]
TEXTS = [Raw(text) for text in (
    r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\u0000"', '"\x01"', '"\x7f"', r'"\/"',
    r'"\x41"', r'"\u00"', '"a', "'a'", "a", '""', '"__metadata__"', '"' + "n" * 70000 + '"',
    r'"\u0077"', '"\u00e9"', '"e\u0301"', "1", "null", "[]")]


def tensors(entries):
    return [pair for pair in entries if pair[0] != "__metadata__" and isinstance(pair[1], Pairs)]


def field(r, entries, key):
    """A [key, value] pair of some tensor's entry, or None."""
    have = tensors(entries)
    return r.choice(have)[1].get(key) if have else None


def change_dtype(r, entries):
    pair = field(r, entries, "dtype")
    if pair:
        pair[1] = r.choice([*BITS, *BITS, "f32", "F32 ", "F12", "F128", "Q8_0", "Q4_K", "", 32,
                            None, ["F32"], *TEXTS[:8]])


def change_shape(r, entries):
    pair = field(r, entries, "shape")
    if not pair or not isinstance(pair[1], list):
        return
    shape = pair[1]
    what = r.randrange(7)
    if what == 0:
        shape.insert(r.randint(0, len(shape)), 1)
    elif what == 1:
        for _ in range(r.randint(1, 9)):
            shape.append(1)
    elif what == 2 and shape:
        shape[r.randrange(len(shape))] = r.choice([*NUMBERS, 0, 1, 2, 7, 1 << 31, 1 << 32, 1 << 62])
    elif what == 3 and shape:
        shape.pop(r.randrange(len(shape)))
    elif what == 4:
        shape.append(r.choice([0, 1 << 40, 1 << 63]))
    elif what == 5:
        r.shuffle(shape)
    else:
        pair[1] = r.choice([*NUMBERS, "3", [shape]])


def change_offsets(r, entries):
    pair = field(r, entries, "data_offsets")
    if not pair or not isinstance(pair[1], list) or len(pair[1]) != 2:
        return
    begin, end = pair[1]
    what = r.randrange(8)
    if not isinstance(begin, int) or not isinstance(end, int):
        return
    if what == 0:
        pair[1] = [end, begin]
    elif what == 1:
        step = r.choice([-8, -4, -1, 1, 4, 8, 1 << 32, 1 << 63])
        pair[1] = [begin + step, end + step]
    elif what == 2:
        pair[1][r.randrange(2)] = r.choice([*NUMBERS, 0, end, begin, (1 << 64) - 1])
    elif what == 3:
        pair[1] = r.choice([[], [begin], [begin, end, end], [begin, end, begin], Pairs()])
    elif what == 4:
        pair[1][1] = end + r.choice([-1, 1, 4, -4])
    elif what == 5:
        other = field(r, entries, "data_offsets") or pair
        pair[1], other[1] = other[1], pair[1]
    elif what == 6:
        pair[1] = [0, end - begin]
    else:
        pair[1] = r.choice(NUMBERS)


def change_keys(r, entries):
    have = tensors(entries)
    if not have:
        return
    entry = r.choice(have)[1]
    what = r.randrange(6)
    if what == 0 and entry:
        entry.pop(r.randrange(len(entry)))
    elif what == 1:
        value = r.choice(["red", 1, None, [], Pairs([["a", [1, Pairs()]]])])
        entry.append([r.choice(["colour", "Dtype", "", *TEXTS]), value])
    elif what == 2 and entry:
        entry.append(list(r.choice(entry)))
    elif what == 3 and entry:
        entry.insert(0, [r.choice(entry)[0], r.choice(["F16", [1], [0, 4], None])])
    elif what == 4 and entry:
        r.choice(entry)[0] = r.choice(TEXTS)
    else:
        r.choice(have)[1] = r.choice([*NUMBERS, "text", None, [["dtype", "F32"]]])


def change_names(r, entries):
    have = tensors(entries)
    if not have:
        return
    what = r.randrange(4)
    pair = r.choice(have)
    if what == 0:
        pair[0] = r.choice(TEXTS)
    elif what == 1:
        pair[0] = r.choice(have)[0]
    elif what == 2:
        entries.append([pair[0], Pairs([list(p) for p in pair[1]])])
    elif pair[0] and isinstance(pair[0], str):
        pair[0] = Raw('"' + "".join(f"\\u{ord(c):04x}" for c in pair[0] if ord(c) < 65536) + '"')


def change_metadata(r, entries):
    pair = entries.get("__metadata__")
    value = r.choice([
        None, Pairs(), 1, "text", [], [1], Pairs([["a", 1]]), Pairs([["a", None]]),
        Pairs([["a", "b"], ["a", "c"]]), Pairs([["a", Pairs()]]), Pairs([["", ""]]),
        Pairs([[r.choice(TEXTS), "x"]]), Pairs([["x", r.choice(TEXTS)]]),
        Pairs([["tmill.gguf_metadata", r.choice(["AAAAAAAAAAA=", "AAAA", "?", ""])]]),
        Pairs([["dtype", "F32"]])])
    if pair and r.random() < 0.7:
        pair[1] = value
    else:
        entries.insert(r.randint(0, len(entries)), ["__metadata__", value])


def change_order(r, entries):
    r.shuffle(entries)


def add_entry(r, entries):
    end = max([p[1].get("data_offsets")[1][1] for p in tensors(entries)
               if p[1].get("data_offsets") and isinstance(p[1].get("data_offsets")[1], list)
               and len(p[1].get("data_offsets")[1]) == 2
               and isinstance(p[1].get("data_offsets")[1][1], int)], default=0)
    entries.append(["added", Pairs([["dtype", "U8"], ["shape", [r.choice([0, 1, 4])]],
                                    ["data_offsets", [end, end + r.choice([0, 1, 4])]]])])


STRUCTURE = [change_dtype, change_shape, change_shape, change_offsets, change_offsets, change_keys,
             change_names, change_metadata, change_order, add_entry]


# ---- mutations of the text and of the file ----

def change_text(r, text):
    what = r.randrange(8)
    at = r.randint(0, len(text))
    if what == 0 and at < len(text):
        return text[:at] + bytes([text[at] ^ 1 << r.randrange(8)]) + text[at + 1:]
    if what == 1:
        return text[:at] + r.choice([b",", b"{", b"}", b"[", b"]", b":", b'"', b" ", b"\0", b"\\",
                                     b"\xff", b"\xef\xbb\xbf", b"//", b"e", b"-", b"9"]) + text[at:]
    if what == 2:
        return text[:at] + text[at + r.randint(1, 5):]
    if what == 3:
        end = r.randint(at, len(text))
        return text[:end] + text[at:end] + text[end:]
    if what == 4:
        return text + r.choice([b" ", b"   \n", b"\0", b"\0" * 7, b"{}", b",", b"x"])
    if what == 5:
        return r.choice([b" ", b"\n", b"\xef\xbb\xbf", b"\0", b"x"]) + text
    if what == 6:
        return text[:at]
    deep = r.choice([50, 126, 127, 128, 129, 500])
    nested = r.choice([b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep])
    return text.replace(b"{", b'{"deep":' + nested + r.choice([b",", b""]), 1)


def change_file(r, length, text, data):
    what = r.randrange(5)
    if what == 0:
        length = r.choice([0, 1, 2, length - 1, length + 1, length + 8, len(text) + len(data),
                           100_000_000, 100_000_001, 1 << 32, 1 << 63, (1 << 64) - 1])
    elif what == 1:
        data = data[:-r.choice([1, 4, 8, 100])]
    elif what == 2:
        data += r.choice([b"\0", b"\0" * 4, b"\0" * 8, b"{}"])
    elif what == 3:
        text = text[:r.randint(0, len(text))]
    else:
        data = b""
    return max(length, 0), text, data


def mutant(number):
    """File `number` of the run, the same for the same seed."""
    r = random.Random(f"{SEED}/{number}")
    entries, data = make(r)
    for _ in range(r.choice([0, 1, 1, 1, 1, 2, 3])):
        r.choice(STRUCTURE)(r, entries)
    text = to_json(entries, r).encode("utf-8", "surrogatepass")
    if r.random() < 0.25:
        text = change_text(r, text)
    text += b" " * r.choice([0, 0, -len(text) % 8])
    length = len(text)
    if r.random() < 0.15:
        length, text, data = change_file(r, length, text, data)
    return struct.pack("<Q", length) + text + data


# ---- verdicts ----

def theirs(data):
    """The digest of a file that the library accepts, as safetensors_verdict.c makes it; or None."""
    try:
        found = deserialize(data)
    except SafetensorError:
        return None
    out = []
    for name, entry in sorted((name.encode(), entry) for name, entry in found):
        out.append(struct.pack("<Q", len(name)) + name + entry["dtype"].encode() +
                   struct.pack(f"<{1 + len(entry['shape'])}Q", len(entry["shape"]), *entry["shape"])
                   + hashlib.sha256(bytes(entry["data"])).digest())
    return hashlib.sha256(b"".join(out)).hexdigest()


def ours(program, paths):
    done = subprocess.run([program], input="".join(p + "\n" for p in paths), capture_output=True,
                          encoding="utf-8")
    lines = done.stdout.splitlines()
    if done.returncode or done.stderr or len(lines) != len(paths):
        sys.exit(f"{program}: exit {done.returncode}, {len(lines)} of {len(paths)} verdicts: "
                 f"{done.stderr[-2000:]}")
    return [line.split("\t") for line in lines]


def repeats(data):
    """Whether some object of the header has a key twice."""
    found = []

    def pairs(items):
        found.append(len({key for key, _ in items}) < len(items))
    json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]], object_pairs_hook=pairs)
    return any(found)


def reason_of(line, data, reasons):
    """The listed reason of a refusal that only we have, or None. The library reads an entry only
    when no later one has its name: what is wrong with an earlier one counts as the repetition."""
    for reason in reasons:
        if reason in line:
            return reason
    return DUPLICATE if repeats(data) else None


def documented():
    """The reasons that only we have, from the table in the docs."""
    with open(DOCS, encoding="utf-8") as stream:
        part = stream.read().split("## What only we refuse")[1].split("\n## ")[0]
    reasons = re.findall(r"^\| `([^`]+)` \|", part, re.M)
    if not reasons:
        sys.exit(f"{DOCS}: no table of reasons")
    return reasons


def main():
    program, reasons = sys.argv[1], documented()
    counts, used, wrong = collections.Counter(), collections.Counter(), []
    print(f"seed {SEED}, {FILES} files")
    with tempfile.TemporaryDirectory(prefix="tmill-diff-") as folder:
        paths = [os.path.join(folder, f"{i}.safetensors") for i in range(BATCH)]
        for start in range(0, FILES, BATCH):
            numbers = range(start, min(start + BATCH, FILES))
            files = [mutant(n) for n in numbers]
            for path, data in zip(paths, files):
                with open(path, "wb") as stream:
                    stream.write(data)
            for n, data, got in zip(numbers, files, ours(program, paths[:len(files)])):
                want = theirs(data)
                kind = (got[0], "accept" if want else "refuse")
                counts[kind] += 1
                if kind == ("accept", "refuse"):
                    wrong.append(f"file {n}: accepted, and the library refuses it: {data[:600]!r}")
                elif kind == ("accept", "accept") and got[1] != want:
                    wrong.append(f"file {n}: other tensors than the library's: {data[:600]!r}")
                elif kind == ("refuse", "accept"):
                    why = reason_of(got[2], data, reasons)
                    used[why] += 1
                    if not why:
                        wrong.append(f"file {n}: a reason that is not listed: {got[2]}: "
                                     f"{data[:600]!r}")
                if got[0] == "refuse" and got[1] not in ("4", "8"):
                    wrong.append(f"file {n}: exit code {got[1]}: {got[2]}")
    for (mine, other), count in sorted(counts.items()):
        print(f"ours: {mine}, theirs: {other}: {count}")
    for reason, count in used.most_common():
        print(f"only ours: {count} x {reason}")
    for line in wrong[:int(os.environ.get("TMILL_SHOW", "20"))]:
        print(line)
    if wrong:
        sys.exit(f"{len(wrong)} files are judged wrong")
    if FILES >= 10000:
        if min(counts[k] for k in (("accept", "accept"), ("refuse", "refuse"))) < FILES // 10:
            sys.exit("the mutations are lopsided: too few files that both accept, or both refuse")
        if set(reasons) - set(used):
            sys.exit(f"reasons in the docs that never came up: {set(reasons) - set(used)}")


main()
