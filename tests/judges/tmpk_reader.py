# SPDX-License-Identifier: Apache-2.0
"""A reader of .tmpk packages written from docs/formats/package.md alone, with the standard library.

read(bytes) gives a dict, or raises Refused with the reason. Every check of the document is made,
Ed25519 signatures included. Run as a program it prints what a file holds.
"""
import hashlib
import json
import struct
import sys


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


def sha256(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part)
    return h.digest()


# ---- Ed25519, RFC 8032 section 5.1.7; slow and simple ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_mul(s, p):
    q = (0, 1, 1, 0)
    while s > 0:
        if s & 1:
            q = point_add(q, p)
        p = point_add(p, p)
        s >>= 1
    return q


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


def decompress(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def ed25519_ok(key, message, sig):
    a, r = decompress(key), decompress(sig[:32])
    s = int.from_bytes(sig[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(sig[:32] + key + message).digest(), "little") % L
    left, right = point_mul(s, BASE), point_add(r, point_mul(h, a))
    return ((left[0] * right[2] - right[0] * left[2]) % P == 0
            and (left[1] * right[2] - right[1] * left[2]) % P == 0)


def signed_ok(key, label, message, sig):
    return ed25519_ok(key, label + b"\0" + sha256(message), sig)


# ---- bytes ----

def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def up64(n):
    return (n + 63) // 64 * 64


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(n <= len(self.data) - self.at, f"the tables end inside a field at {128 + self.at}")
        self.at += n
        return self.data[self.at - n:self.at]

    def u32(self):
        return u32(self.take(4), 0)

    def u64(self):
        return u64(self.take(8), 0)

    def text(self, most, zero=False):
        n = self.u32()
        need(n <= most, f"a text of {n} bytes, the limit is {most}")
        raw = self.take(n)
        need(zero or 0 not in raw, "a zero byte in a text")
        return raw


# ---- sections 2, 3, 5 ----

def read_header(data):
    need(len(data) >= 128, "shorter than the fixed header")
    need(data[:8] == bytes.fromhex("544d504b0d0a1a0a"), "magic")
    need(u32(data, 8) == 1, "version")
    need(u32(data, 12) == 0, "flags")
    need(data[40:48] == bytes(8), "reserved bytes of the header")
    h = dict(tables_bytes=u64(data, 16), data_offset=u64(data, 24), data_bytes=u64(data, 32),
             tables_sha=data[48:80], root=data[80:112], ledger_bytes=u64(data, 112),
             file_bytes=u64(data, 120))
    need(h["tables_bytes"] <= 256 << 20 and h["ledger_bytes"] <= 256 << 20, "a size limit")
    need(h["data_offset"] == up64(128 + h["tables_bytes"]), "data_offset")
    need(h["data_bytes"] % 64 == 0, "data_bytes")
    h["ledger_offset"] = h["data_offset"] + h["data_bytes"]
    need(h["file_bytes"] == h["ledger_offset"] + h["ledger_bytes"] + 256, "file_bytes")
    need(h["file_bytes"] < 2**63, "file_bytes")
    return h


def read_tail(tail, header):
    need(tail[248:] == b"TMPKTAIL", "magic of the tail")
    need(tail[144:248] == bytes(104), "reserved bytes of the tail")
    need(u64(tail, 0) == header["ledger_offset"], "ledger offset")
    need(u64(tail, 8) == header["ledger_bytes"], "ledger size")
    return dict(ledger_sha=tail[16:48], owner=tail[48:80], sig=tail[80:144])


def merkle(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1", merkle(leaves[:k]), merkle(leaves[k:]))


# ---- section 7 ----

def read_tensor(c):
    t = dict(name=c.text(65535, zero=True), dtype=c.u32(), pipeline=c.u32())
    rank = c.u32()
    need(rank <= 8, "rank")
    t.update(first_chunk=c.u32(), chunk_count=c.u32(), source_bytes=c.u64())
    t["shape"] = [c.u64() for _ in range(rank)]
    t["elements"] = 1
    for dim in t["shape"]:
        need(t["elements"] * dim < 2**64, "dimensions")
        t["elements"] *= dim
    t["source"] = c.take(32)
    return t


def read_attachment(c):
    name = c.text(255)
    need(all(b >= 0x20 and b != 0x7f and b != 0x5c for b in name), "attachment name")
    need(all(part not in (b"", b".", b"..") for part in name.split(b"/")), "attachment name")
    return dict(name=name, pipeline=c.u32(), first_chunk=c.u32(), chunk_count=c.u32(),
                bytes=c.u64(), source=c.take(32))


def read_chunk(c):
    chunk = dict(offset=c.u64(), bytes=c.u32(), rows=c.u32(), cols=c.u32())
    need(c.u32() == 0, "reserved bytes of a chunk")
    need(1 <= chunk["bytes"] <= 128 << 20, "bytes of a chunk")
    need(chunk["rows"] >= 1 and chunk["cols"] >= 1, "block of a chunk")
    chunk.update(leaf=c.take(32), source=c.take(32))
    return chunk


def check_owners(t):
    following = 0
    for owner in t["tensors"] + t["attachments"]:
        need(owner["pipeline"] < len(t["pipelines"]), "pipeline index")
        need(owner["first_chunk"] == following, "chunk ranges")
        following += owner["chunk_count"]
        need(following <= len(t["chunks"]), "chunk ranges")
        mine = t["chunks"][owner["first_chunk"]:following]
        for chunk in mine:
            chunk["pipeline"] = t["pipelines"][owner["pipeline"]]
        total = sum(chunk["rows"] * chunk["cols"] for chunk in mine)
        allowed = ((owner["elements"], owner["source_bytes"]) if "shape" in owner
                   else (owner["bytes"],))
        need(total in allowed, "decoded size")
    need(following == len(t["chunks"]), "chunks without an owner")


def read_tables(data, header):
    c = Cursor(data)
    counts = [c.u32() for _ in range(4)]
    t = dict(plan_digest=c.take(32), encoders=c.take(32))
    need(5 * counts[0] + 64 * counts[1] + 57 * counts[2] + 88 * counts[3] <= len(data), "counts")
    t.update(model_name=c.text(65535), arch=c.text(65535), plan=c.text(16 << 20))
    need(sha256(t["plan"]) == t["plan_digest"], "plan digest")
    t["pipelines"] = [c.text(255) for _ in range(counts[0])]
    for text in t["pipelines"]:
        need(text and all(0x20 <= b <= 0x7e for b in text), "pipeline text")
    t["tensors"] = [read_tensor(c) for _ in range(counts[1])]
    t["attachments"] = [read_attachment(c) for _ in range(counts[2])]
    t["chunks"] = [read_chunk(c) for _ in range(counts[3])]
    need(c.at == len(data), "bytes after the chunk table")
    for kind in ("tensors", "attachments"):
        need(len({owner["name"] for owner in t[kind]}) == len(t[kind]), "names")
    at = header["data_offset"]
    for chunk in t["chunks"]:
        need(chunk["offset"] == at, "chunk offset")
        at = up64(at + chunk["bytes"])
        need(at <= header["ledger_offset"], "chunk offset")
    need(at == header["ledger_offset"], "end of the chunks")
    check_owners(t)
    need(merkle([chunk["leaf"] for chunk in t["chunks"]]) == header["root"], "Merkle root")
    return t


# ---- section 8 ----

def read_ledger(data, tables):
    need(len(data) >= 16, "ledger head")
    nodes, entries, banned, reserved = struct.unpack_from("<4I", data, 0)
    need(reserved == 0, "reserved bytes of the ledger")
    need(entries == len(tables["chunks"]), "ledger entries")
    need(len(data) == 16 + 32 * nodes + 20 * banned + 88 * entries, "ledger size")
    at = 16 + 32 * nodes
    out = dict(nodes=[data[16 + 32 * i:48 + 32 * i] for i in range(nodes)],
               banned=[data[at + 20 * i:at + 20 * i + 20] for i in range(banned)], entries=[])
    for keys in (out["nodes"], out["banned"]):
        need(all(a < b for a, b in zip(keys, keys[1:])), "order of the ledger's keys")
    at += 20 * banned
    for i in range(entries):
        checks, node = struct.unpack_from("<2I", data, at)
        error, norm = struct.unpack_from("<2d", data, at + 8)
        need(checks <= 7 and node < nodes, "ledger entry")
        out["entries"].append(dict(checks=checks, node=node, error=error, norm=norm,
                                   sig=data[at + 24:at + 88]))
        at += 88
    return out


def check_statements(tables, ledger):
    for i, (chunk, entry) in enumerate(zip(tables["chunks"], ledger["entries"])):
        text = chunk["pipeline"]
        statement = (tables["plan_digest"] + struct.pack("<I", i) + chunk["source"] + chunk["leaf"]
                     + struct.pack("<I", len(text)) + text)
        need(signed_ok(ledger["nodes"][entry["node"]], b"tensormill.result.v1", statement,
                       entry["sig"]), f"signature of chunk {i}")


# ---- section 6 ----

def check_chunks(data, header, tables):
    need(not any(data[128 + header["tables_bytes"]:header["data_offset"]]), "padding")
    for i, chunk in enumerate(tables["chunks"]):
        end = chunk["offset"] + chunk["bytes"]
        need(sha256(b"\0", data[chunk["offset"]:end]) == chunk["leaf"], f"leaf of chunk {i}")
        need(not any(data[end:up64(end)]), "padding")


def read(data, statements=True):
    header = read_header(data)
    need(len(data) == header["file_bytes"], "size of the file")
    tail = read_tail(data[-256:], header)
    tables = data[128:128 + header["tables_bytes"]]
    ledger = data[header["ledger_offset"]:-256]
    need(sha256(tables) == header["tables_sha"], "SHA-256 of the tables")
    need(sha256(ledger) == tail["ledger_sha"], "SHA-256 of the ledger")
    package_id = sha256(b"tensormill.package-id.v1", data[:112], tables)
    need(signed_ok(tail["owner"], b"tensormill.package.v1", package_id + tail["ledger_sha"],
                   tail["sig"]), "signature of the owner")
    parsed = read_tables(tables, header)
    parsed_ledger = read_ledger(ledger, parsed)
    check_chunks(data, header, parsed)
    if statements:
        check_statements(parsed, parsed_ledger)
    return dict(id=package_id, root=header["root"], owner=tail["owner"], tables=parsed,
                ledger=parsed_ledger)


def main():
    with open(sys.argv[1], "rb") as stream:
        package = read(stream.read())
    print(json.dumps(package, indent=1, default=lambda raw: raw.hex()))


if __name__ == "__main__":
    main()
