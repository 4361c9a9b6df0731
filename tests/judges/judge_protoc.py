# SPDX-License-Identifier: Apache-2.0
"""protoc says whether our messages are protobuf: what we pack it decodes to the text that this
script expects, and what it encodes from random text we unpack to equal values. Frames that protoc
takes and we refuse are listed, each with our reason.

  judge_protoc.py PROTO_TEXT        TMILL_SEED, TMILL_ROUNDS (messages a type; default 40)"""
import ast
import json
import os
import random
import shutil
import subprocess
import sys

U32, U64, PIECE, VERDICT = "u32", "u64", "piece", "verdict"


def text(low, high):
    return ("text", low, high)


def fixed(count):
    return ("bytes", count)


SPEED = {"pipeline": text(1, 255), "weights_per_s": U64}
UNIT = {"unit": U32, "source": fixed(32), "source_bytes": (1, 2**32 - 1), "dtype": (0, 255),
        "rows": (1, 2**32 - 1), "cols": (1, 2**32 - 1), "pipeline": (0, 15)}
# Fields by name in the order of their numbers: proto/mesh.proto.
TYPES = {
    "hello": {"protocol": U32, "software": text(1, 63), "key": fixed(32), "name": text(0, 63),
              "cores": (1, 65535), "ram_bytes": U64, "encoders": fixed(32),
              "speeds": ("list", 0, 16, SPEED)},
    "welcome": {"epoch": (1, 2**64 - 1), "heartbeat_ms": (1, 600000), "plan": fixed(32),
                "pipelines": ("list", 0, 16, text(1, 255))},
    "want": {"slots": (1, 64)},
    "lease": {"token": fixed(16), "epoch": U64, "deadline_ms": (1, 2**32 - 1),
              "units": ("list", 1, 64, UNIT)},
    "idle": {"retry_ms": U32},
    "heartbeat": {"epoch": U64, "tokens": ("list", 0, 64, fixed(16))},
    "result": {"token": fixed(16), "epoch": U64, "unit": U32, "leaf": fixed(32),
               "bytes": (1, 2**32 - 1), "compute_ms": U32, "sig": fixed(64)},
    "receipt": {"unit": U32, "leaf": fixed(32), "verdict": VERDICT, "reason": text(0, 255)},
    "fetch": {"id": fixed(32), "credit_bytes": (1, 2**32 - 1)},
    "data": {"id": fixed(32), "offset": (0, 2**31), "total": PIECE, "piece": PIECE},
    "credit": {"id": fixed(32), "credit_bytes": (1, 2**32 - 1)},
    "ban": {"reason": text(0, 255)},
    "bye": {"reason": text(0, 255)},
}
VERDICTS = {1: "VERDICT_ACCEPTED", 2: "VERDICT_DUPLICATE", 3: "VERDICT_REJECTED"}
ALPHABET = "abcXYZ 019_.-=\"\\'?{}:/äß語\U0001f600"


def fail(why):
    sys.exit(f"judge_protoc: {why}")


# ---- random messages: {field: int | str | bytes | list} ----

def random_value(rng, kind, least):
    """The smallest legal value when least, else a random one."""
    if kind in (U32, U64):
        kind = (0, 2**32 - 1 if kind == U32 else 2**64 - 1)
    if kind == VERDICT:
        return rng.randint(1, 3)
    if isinstance(kind, dict):
        return {name: random_value(rng, part, least) for name, part in kind.items()}
    if kind[0] == "text":
        size, out = kind[1] if least else rng.randint(kind[1], kind[2]), ""
        while len((out + (c := rng.choice(ALPHABET))).encode()) <= size:
            out += c
        return out or "a" * kind[1]
    if kind[0] == "bytes":
        return rng.randbytes(kind[1])
    if kind[0] == "list":
        count = kind[1] if least else rng.choice((kind[1], kind[2], rng.randint(kind[1], kind[2])))
        return [random_value(rng, kind[3], least) for _ in range(count)]
    return kind[0] if least else rng.randint(kind[0], kind[1]) >> rng.choice((0, 0, 9)) or kind[0]


def random_message(rng, name, least):
    fields = {key: kind for key, kind in TYPES[name].items() if kind != PIECE}
    message = random_value(rng, fields, least)
    if name == "data":
        piece = rng.randbytes(1 if least else rng.choice((1, 1000, 262144)))
        message |= {"total": message["offset"] + len(piece), "piece": piece}
    return message


# ---- as protobuf text ----

def quoted(value):
    data = value.encode() if isinstance(value, str) else value
    return '"' + "".join(f"\\{byte:03o}" for byte in data) + '"'


def to_text(message, indent=""):
    lines = []
    for key, value in message.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                lines += [f"{indent}{key} {{", *to_text(item, indent + "  "), indent + "}"]
            elif key == "verdict":
                lines.append(f"{indent}{key}: {VERDICTS[item]}")
            else:
                lines.append(f"{indent}{key}: {item if isinstance(item, int) else quoted(item)}")
    return lines


def from_text(lines):
    """protoc's text as [(name, value or list)] in order, values as they stand; strings as bytes."""
    out = []
    for line in lines:
        line = line.strip()
        if line == "}":
            return out
        if line.endswith("{"):
            out.append((line[:-2], from_text(lines)))
        else:
            key, value = line.split(": ", 1)
            out.append((key, ast.literal_eval("b" + value) if value[0] == '"' else value))
    return out


def expected(message):
    """What from_text must give: proto3 leaves out zero and empty."""
    out = []
    for key, value in message.items():
        if isinstance(value, list):
            out += [(key, expected(i) if isinstance(i, dict) else as_bytes(i)) for i in value]
        elif key == "verdict":
            out.append((key, VERDICTS[value]))
        elif isinstance(value, int):
            out += [(key, str(value))] if value else []
        elif value:
            out.append((key, as_bytes(value)))
    return out


def as_bytes(value):
    return value.encode() if isinstance(value, str) else value


# ---- as the JSON of proto_text ----

def to_ours(message):
    out = {}
    for key, value in message.items():
        if isinstance(value, list):
            out[key] = [to_ours(i if isinstance(i, dict) else {"value": i}) for i in value]
        else:
            out[key] = (str(value) if isinstance(value, int) else
                        value.hex() if isinstance(value, bytes) else value)
    return out


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode()
        if not answer.endswith("\n"):
            fail(f"proto_text ended on: {command[:200]}")
        return answer[:-1]


def protoc(mode, data):
    done = subprocess.run(["protoc", f"--{mode}=tensormill.Frame", "-Iproto", "mesh.proto"],
                          input=data, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def judge_message(ours, name, message):
    packed = ours.ask("pack " + json.dumps({"type": name} | to_ours(message)))
    if packed.startswith("error"):
        fail(f"we do not pack {name}: {packed}: {message}")
    decoded = protoc("decode", bytes.fromhex(packed))
    if decoded is None:
        fail(f"protoc does not decode our {name}: {message}")
    got = from_text(iter(decoded.decode().splitlines()))
    if got != [(name, expected(message))]:
        fail(f"protoc reads our {name} as {got}, expected {expected(message)}")
    frame = protoc("encode", "\n".join(to_text({name: message})).encode())
    if frame is None:
        fail(f"protoc does not encode {name}: {message}")
    answer = ours.ask("unpack " + frame.hex())
    if answer.startswith("error") or json.loads(answer) != {"type": name} | to_ours(message):
        fail(f"we read protoc's {name} as {answer[:2000]}, expected {to_ours(message)}")


# ---- what protoc takes and we refuse ----

def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def refusals(rng):
    """(what, frame, a part of our reason)"""
    def encoded(name, /, **changes):
        message = random_message(rng, name, True) | changes
        return protoc("encode", "\n".join(to_text({name: message})).encode())

    want = encoded("want", slots=3)
    hello = encoded("hello", name="n")
    body = hello[2:] if hello[1] < 128 else hello[3:]
    token = rng.randbytes(16)
    return [
        ("an unknown field", field(3, b"\x08\x03\xd8\x02\x05"), "unknown"),
        ("an unknown body", field(99, b""), "unknown"),
        ("a wrong wire type", field(3, b"\x0d\x03\x00\x00\x00"), "wire type"),
        ("a number twice", field(3, b"\x08\x02\x08\x03"), "twice"),
        ("a text twice", field(1, body + field(4, b"m")), "twice"),
        ("two equal bodies, to be merged", want + want, "more than one"),
        ("two bodies of one oneof", want + encoded("idle", retry_ms=1), "more than one"),
        ("no body", b"", "(size)"),
        ("a number with a redundant byte", field(3, b"\x08\x83\x00"), "no valid number"),
        ("a number too large for its type", field(3, b"\x08" + varint(2**33 + 3)), "number"),
        ("a control character", encoded("bye", reason="a\x1b[2J"), "control"),
        ("a C1 control character", encoded("bye", reason="a\u009b2J"), "control"),
        ("a right-to-left override", encoded("bye", reason="a\u202egnp"), "control"),
        ("a tag character", encoded("bye", reason="a\U000e0041"), "control"),
        ("a text too long", encoded("bye", reason="x" * 256), "reason"),
        ("a name too long", encoded("hello", name="x" * 64), "name"),
        ("a key too short", encoded("hello", key=bytes(31)), "key"),
        ("a signature too long", encoded("result", sig=bytes(65)), "sig"),
        ("no slots", encoded("want", slots=0), "slots"),
        ("too many slots", encoded("want", slots=65), "slots"),
        ("no units", encoded("lease", units=[]), "units"),
        ("too many tokens", encoded("heartbeat", tokens=[token] * 65), "tokens"),
        ("an open enum value", field(8, b"\x12\x20" + bytes(32) + b"\x18\x07"), "verdict"),
        ("a verdict that is never sent", field(8, b"\x12\x20" + bytes(32)), "verdict"),
        ("an empty piece", encoded("data", piece=b"", total=5), "piece"),
        ("a piece past the end", encoded("data", piece=b"abc", offset=3, total=5), "offset"),
        ("a piece too large", encoded("data", piece=bytes(262145), total=2**32 - 1), "piece"),
        ("more than the socket takes", encoded("data", piece=bytes(300000), total=2**32 - 1),
         "278528"),
    ]


def main():
    if not shutil.which("protoc"):
        fail("protoc is missing; run deploy/setup.sh")
    seed = int(os.environ.get("TMILL_SEED", random.SystemRandom().randrange(2**32)))
    rounds = int(os.environ.get("TMILL_ROUNDS", 40))
    print(f"seed {seed}")
    rng = random.Random(seed)
    ours = Ours(sys.argv[1])
    for name in TYPES:
        for round_ in range(rounds):
            judge_message(ours, name, random_message(rng, name, round_ == 0))
    for what, frame, reason in refusals(rng):
        if protoc("decode", frame) is None:
            fail(f"{what}: protoc refuses it too")
        answer = ours.ask("unpack " + frame.hex())
        if not answer.startswith("error") or reason not in answer:
            fail(f"{what}: we say {answer!r}, expected '{reason}'")
        print(f"only we refuse {what}: {answer[6:]}")
    print(f"{len(TYPES)} types, {rounds} messages each, both ways equal")


main()
