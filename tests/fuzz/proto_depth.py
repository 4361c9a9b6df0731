# SPDX-License-Identifier: Apache-2.0
"""proto_depth.py FOLDER: fails when a message of the .proto files in FOLDER contains itself, or
nests deeper than prescan allows. protobuf-c recurses once a level, on whatever stack it is given.
"""
import glob
import os
import re
import sys

DEPTH_MAX = 4  # proto/prescan.h


def messages(text):
    """name -> types of its fields, with the fields of its oneofs"""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    found = {}
    for match in re.finditer(r"\bmessage\s+(\w+)\s*\{", text):
        depth, at = 1, match.end()
        while depth > 0 and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        body = text[match.end():at - 1]
        found[match.group(1)] = set(re.findall(
            r"(?:repeated\s+|optional\s+)?([A-Za-z_][\w.]*)\s+\w+\s*=\s*\d+", body))
    return found


def depth_of(name, found, above):
    if name in above:
        sys.exit(f"proto_depth: {' contains '.join(above + [name])}")
    return 1 + max((depth_of(field, found, above + [name]) for field in found[name]
                    if field in found), default=0)


def main():
    found = {}
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.proto"))):
        with open(path, encoding="utf-8") as file:
            found.update(messages(file.read()))
    if not found:
        sys.exit(f"proto_depth: no message in {sys.argv[1]}")
    for name in sorted(found):
        depth = depth_of(name, found, [])
        if depth > DEPTH_MAX:
            sys.exit(f"proto_depth: {name} is {depth} messages deep, and {DEPTH_MAX} are allowed")
    print(f"{len(found)} messages, none contains itself")
    return 0


if __name__ == "__main__":
    sys.exit(main())
