#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the tree to the rules of the house: python3 tests/tidy/tidy.py [ROOT]

Prints "file:line: rule: message" for every breach and exits with 1 when there is one. The tables
are in tidy_tables.py; tidy_test.py shows that each rule bites."""

import fnmatch
import os
import re
import sys

import tidy_tables as tables
from tidy_lexer import code_only, functions, without_comments

CODE_SUFFIXES = (".c", ".h")
SCRIPT_SUFFIXES = (".py", ".sh", ".cmake", ".proto")
TEXT_SUFFIXES = CODE_SUFFIXES + SCRIPT_SUFFIXES + (
    ".md", ".toml", ".json", ".yml", ".service", ".txt", ".in", ".svg")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


class File:
    """One file of the tree: path from the root with '/', and its text."""

    def __init__(self, root, path):
        self.path = path
        self.name = os.path.basename(path)
        self.folder = os.path.dirname(path)
        with open(os.path.join(root, path), "rb") as stream:
            self.text = stream.read().decode("utf-8", errors="replace")
        self.is_c = path.endswith(CODE_SUFFIXES)
        self.is_script = (path.endswith(SCRIPT_SUFFIXES) or self.name == "CMakeLists.txt"
                          or self.text.startswith("#!"))
        self.is_test = self.name.endswith(("_test.c", "_fuzz.c"))
        self.in_tests = path.startswith("tests/")
        if self.is_c:
            self.code = code_only(self.text)
            self.includes = [
                (self.line_at(m.start()), m.group(1), m.group(2))
                for m in INCLUDE.finditer(without_comments(self.text))]

    def line_at(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def home_header(self):
        """The header that this .c file implements: its first include, if of the same folder."""
        if self.name.endswith((".h", "_main.c")) or not self.includes:
            return None
        first = self.includes[0][1]
        return first if first and os.path.dirname(first) == self.folder else None


class Tree:
    def __init__(self, root):
        self.files = [File(root, path) for path in sorted(self._walk(root))]
        self.by_path = {file.path: file for file in self.files}
        self.c_files = [file for file in self.files if file.is_c]
        self.sources = [file for file in self.files if file.path.endswith(".c")]

    @staticmethod
    def _walk(root):
        for folder, names, files in os.walk(root):
            names[:] = [n for n in names
                        if (not n.startswith(".") or n == ".ci")
                        and n not in ("build", "__pycache__")]
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
                in_data = matches(path, tables.DATA_FOLDERS)
                known = name.endswith(TEXT_SUFFIXES) or name == "CMakeLists.txt" \
                    or path.startswith(".ci/")
                if (known or in_data) and not matches(path, tables.SKIPPED):
                    yield path

    def named_by_another(self, file, words):
        """Whether a file of the tree other than this one holds one of the words."""
        pattern = re.compile("|".join(r"(?<![\w.-])" + re.escape(w) + r"(?!\w)" for w in words))
        return any(other is not file and pattern.search(other.text)
                   for other in self.files if not matches(other.path, tables.DATA_FOLDERS))

    def built_by_stem(self, file):
        """Whether a CMake file holds the name without .c as a word (foreach(name ...))."""
        word = re.compile(r"(?<![\w.-])" + re.escape(file.name[:-2]) + r"(?![\w.-])")
        return any(word.search(other.text) for other in self.files
                   if other.name == "CMakeLists.txt" or other.name.endswith(".cmake"))


# ---- rules: each yields (path, line, message) ---------------------------------------------------

def rule_include(tree):
    """Which folder may include which of our headers."""
    for file in tree.c_files:
        if file.in_tests:
            continue
        row = tables.INCLUDE_TABLE.get(file.folder)
        if row is None:
            yield file.path, 1, f"the folder {file.folder or '.'} is not in the include table"
            continue
        for line, ours, _ in file.includes:
            if ours is None or matches(ours, tables.GENERATED_HEADERS):
                continue
            if file.is_test and ours in tree.by_path and matches(ours, tables.TEST_MAY):
                continue
            if "/" not in ours:
                yield file.path, line, f'write "{file.folder}/{ours}": includes start at the root'
            elif ours not in tree.by_path:
                yield file.path, line, f"{ours} does not exist"
            elif not matches(ours, row["may"]) or matches(ours, row.get("not", [])):
                yield file.path, line, f"{file.folder} may not include {ours}"


def codec_side(path):
    """'encode' or 'decode' by the file's name, else None."""
    match = re.search(r"_(encode|decode)(_\w+)?\.[ch]$", path)
    return match.group(1) if match and not path.endswith("_test.c") else None


def rule_codec(tree):
    """Encoders and decoders never include each other; what is no encoder includes none."""
    for file in tree.c_files:
        side = codec_side(file.path)
        if file.in_tests or file.is_test:
            continue
        for line, ours, _ in file.includes:
            other = codec_side(ours or "")
            if side and other and side != other:
                yield file.path, line, f"{side}r includes the {other}r {ours}"
            elif file.folder == "stages" and other == "encode" and side is None:
                yield file.path, line, f"code that decoders share includes the encoder {ours}"


def rule_third_party(tree):
    """Every third-party header has one home."""
    for file in tree.c_files:
        if file.in_tests:
            continue
        for line, ours, system in file.includes:
            if ours and matches(ours, tables.GENERATED_HEADERS):
                if file.folder != "proto":
                    yield file.path, line, f"{ours} is at home in proto/*"
            if system is None or system in tables.SYSTEM_HEADERS:
                continue
            homes = [places for pattern, places in tables.THIRD_PARTY_HOMES.items()
                     if fnmatch.fnmatchcase(system, pattern)]
            if not homes:
                yield file.path, line, f"<{system}> has no home in tidy_tables.py"
            elif not matches(file.path, homes[0]):
                yield file.path, line, f"<{system}> is at home in {', '.join(homes[0])}"
        for match in re.finditer(r"^[ \t]*#[ \t]*pragma[ \t]+omp\b", file.text, re.M):
            if not matches(file.path, tables.OPENMP_HOMES):
                yield (file.path, file.line_at(match.start()),
                       f"OpenMP is at home in {', '.join(tables.OPENMP_HOMES)}")


def rule_function(tree):
    """Functions fit on a page."""
    for file in tree.c_files:
        try:
            found = functions(file.text)
        except ValueError as error:
            yield file.path, error.args[0], "the braces of this file do not match"
            continue
        for name, first, last in found:
            lines = last - first + 1
            if lines > tables.FUNCTION_LINES_MAX and name not in tables.LONG_FUNCTIONS:
                yield (file.path, first, f"{name} has {lines} lines, at most"
                       f" {tables.FUNCTION_LINES_MAX}")


def rule_size(tree):
    """Files and lines have a length."""
    for file in tree.files:
        if not (file.is_c or file.is_script) or matches(file.path, tables.DATA_FOLDERS):
            continue
        lines = file.text.split("\n")
        count = len(lines) - (lines[-1] == "")
        if count > tables.FILE_LINES_MAX and file.path not in tables.LONG_FILES:
            yield file.path, count, f"{count} lines, at most {tables.FILE_LINES_MAX}"
        for number, line in enumerate(lines, 1):
            if len(line) > tables.COLUMNS_MAX:
                yield (file.path, number, f"{len(line)} columns, at most {tables.COLUMNS_MAX}")


def rule_text(tree):
    """No blanks at line ends, no tabs in C, one newline at the end."""
    for file in tree.files:
        if not (file.is_c or file.is_script) or matches(file.path, tables.DATA_FOLDERS):
            continue
        for number, line in enumerate(file.text.split("\n"), 1):
            if line != line.rstrip():
                yield file.path, number, "blanks at the end of the line"
            if file.is_c and "\t" in line:
                yield file.path, number, "a tab: indent with 4 blanks"
        if not file.text.endswith("\n") or file.text.endswith("\n\n"):
            yield file.path, len(file.text.splitlines()), "the file must end with one newline"


def test_names(file):
    """Tests that can stand for this module, best first."""
    stem = file.name[:-2]
    stems = [stem]
    for suffix in (r"_(avx2|neon|ref)$", r"_(encode|decode)$"):
        stems.append(re.sub(suffix, "", stems[-1]))
    home = file.home_header()
    if home:
        stems.append(os.path.basename(home)[:-2])
    return [f"{file.folder}/{s}_test.c" for s in dict.fromkeys(stems)]


def command_header(file):
    """The header of the commands of its folder, when the file is one of commands."""
    for pattern, header in tables.COMMAND_FILES.items():
        if fnmatch.fnmatchcase(file.path, pattern):
            return header
    return None


def rule_test(tree):
    """A test beside every module, and a header for every module."""
    for file in tree.sources:
        if file.in_tests or file.is_test or file.name.endswith("_main.c"):
            continue
        header = command_header(file)
        if header is not None:
            test = f"tests/whole/test_{file.name[:-2]}.py"
            if test not in tree.by_path:
                yield file.path, 1, f"no test of the whole program ({test})"
            if not any(ours == header for _, ours, _ in file.includes):
                yield file.path, 1, f"it must include {header}"
            continue
        if not any(name in tree.by_path for name in test_names(file)):
            yield file.path, 1, f"no test beside it ({test_names(file)[0]})"
        if file.home_header() is None:
            yield file.path, 1, "its first include must be the header that it implements"


def rule_fuzz(tree):
    """Every fuzz target has seeds, every folder of seeds a target."""
    corpora = {}
    for file in tree.files:
        match = re.match(r"tests/corpus/([^/]+)/", file.path)
        if match:
            corpora[match.group(1)] = file.path
    targets = {file.name[:-2]: file for file in tree.sources if file.name.endswith("_fuzz.c")}
    for name, file in targets.items():
        if name not in corpora:
            yield file.path, 1, f"tests/corpus/{name}/ has no seeds"
    for name, path in corpora.items():
        if name not in targets:
            yield path, 1, f"there is no fuzz target {name}.c"


def rule_banned(tree):
    """Functions that have a better one here."""
    names = sorted(tables.BANNED_CALLS, key=len, reverse=True)
    call = re.compile(r"(?<![\w.])(?<!->)(" + "|".join(names) + r")[ \t\n]*\(")
    math = re.compile(r"(?<![\w.])(?<!->)(" + "|".join(sorted(tables.LIBM)) + r")[ \t\n]*\(")
    for file in tree.c_files:
        for match in call.finditer(file.code):
            instead, homes = tables.BANNED_CALLS[match.group(1)]
            if not matches(file.path, homes):
                yield (file.path, file.line_at(match.start()),
                       f"{match.group(1)} is banned; use {instead}")
        if file.folder in tables.LIBM_FREE_FOLDERS and not file.is_test:
            for match in math.finditer(file.code):
                yield (file.path, file.line_at(match.start()),
                       f"{match.group(1)} of libm gives other bits elsewhere (decision 0001)")


def built_folders(tree):
    cmake = tree.by_path.get("CMakeLists.txt")
    text = cmake.text if cmake else ""
    found = re.findall(r"FOLDERS\s+([\w/ ]+?)\s*(?:\n|NOT|MATCH|LINKS|EXTRA|\))", text)
    return {folder for group in found for folder in group.split()}


def unused_header(tree, file):
    """A header that only its own module and tests include."""
    for other in tree.c_files:
        if other is file or not any(ours == file.path for _, ours, _ in other.includes):
            continue
        if file.in_tests or not (other.is_test or other.home_header() == file.path):
            return False
    return True


def rule_dead(tree):
    """Nothing lies about that nobody builds, includes or names."""
    folders = built_folders(tree)
    for file in tree.files:
        if matches(file.path, tables.DATA_FOLDERS):
            continue
        if file.name.endswith(".h") and unused_header(tree, file):
            yield file.path, 1, "no other module includes this header"
        elif file.name.endswith(".c") and not file.in_tests and file.folder not in folders:
            yield file.path, 1, f"no target of CMakeLists.txt builds {file.folder}"
        elif file.name.endswith(".c") and file.in_tests:
            if not tree.named_by_another(file, [file.name]) and not tree.built_by_stem(file):
                yield file.path, 1, "nobody builds or names this file"
        elif file.name.endswith((".py", ".sh", ".proto")):
            names = [file.name] + ([file.name[:-3]] if file.name.endswith(".py") else [])
            globbed = file.path.startswith("proto/")
            if not globbed and not tree.named_by_another(file, names):
                yield file.path, 1, "nobody runs, imports or names this file"


def rule_spdx(tree):
    """The licence on the first line (the second after #!)."""
    for file in tree.files:
        if not (file.is_c or file.is_script) or matches(file.path, tables.DATA_FOLDERS):
            continue
        lines = file.text.split("\n")
        line = 2 if lines[0].startswith("#!") else 1
        if "SPDX-License-Identifier: Apache-2.0" not in "".join(lines[line - 1:line]):
            yield file.path, line, "no line 'SPDX-License-Identifier: Apache-2.0'"


def rule_name(tree):
    """File names are unique."""
    seen = {}
    for file in tree.files:
        if matches(file.path, tables.DATA_FOLDERS) or file.name in tables.SHARED_NAMES:
            continue
        if not (file.is_c or file.is_script):
            continue
        if file.name in seen:
            yield file.path, 1, f"the name is taken by {seen[file.name]}"
        seen.setdefault(file.name, file.path)


LEFT_OVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SWITCHED_OFF = re.compile(r"^[ \t]*#[ \t]*if[ \t]+0\b", re.M)
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:work|workspace|root|home/\w+)(?=[/\s\"'`)]|$)", re.M)


def rule_left_over(tree):
    """No notes to oneself, no code switched off, no paths of one machine."""
    for file in tree.files:
        if matches(file.path, tables.DATA_FOLDERS):
            continue
        kinds = [(LEFT_OVER, "do it or write an issue"),
                 (MACHINE_PATH, "a path of one machine")]
        if file.is_c:
            kinds.append((SWITCHED_OFF, "code that is switched off: remove it"))
        for pattern, message in kinds:
            for match in pattern.finditer(file.text):
                yield file.path, file.line_at(match.start()), f"'{match.group()}': {message}"


def rule_link(tree):
    """Links between our pages lead somewhere."""
    for file in tree.files:
        if not file.name.endswith(".md"):
            continue
        for match in re.finditer(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", file.text):
            target = os.path.normpath(os.path.join(tree.root, file.folder, match.group(1)))
            if not os.path.exists(target):
                yield file.path, file.line_at(match.start()), f"{match.group(1)} does not exist"


RULES = {name[len("rule_"):].replace("_", "-"): rule
         for name, rule in list(globals().items()) if name.startswith("rule_")}


def check(root):
    """All breaches as sorted (path, line, rule, message)."""
    tree = Tree(root)
    tree.root = root
    return sorted((path, line, name, message)
                  for name, rule in RULES.items() for path, line, message in rule(tree))


def main(argv):
    here = os.path.dirname(os.path.abspath(__file__))
    root = argv[1] if len(argv) > 1 else os.path.dirname(os.path.dirname(here))
    found = check(root)
    for path, line, rule, message in found:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"tidy: {len(found)} breaches" if found else "tidy: ok", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
