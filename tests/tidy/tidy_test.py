#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests tidy.py: on bad/ each rule must bite just where a line says "want: RULE", on clean/ none.

The samples have the suffix .sample, so that neither tidy nor an editor takes them for our code."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import tidy
from tidy_lexer import functions

HERE = os.path.dirname(os.path.abspath(__file__))
SUFFIX = ".sample"
LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def unpack(name, target):
    """Copies the sample tree without the suffix; returns the wanted {(path, line, rule)}."""
    wanted = set()
    source = os.path.join(HERE, name)
    for folder, _, files in os.walk(source):
        for file in files:
            path = os.path.relpath(os.path.join(folder, file), source)[:-len(SUFFIX)]
            with open(os.path.join(folder, file), encoding="utf-8") as stream:
                text = stream.read()
            os.makedirs(os.path.dirname(os.path.join(target, path)), exist_ok=True)
            with open(os.path.join(target, path), "w", encoding="utf-8") as stream:
                stream.write(text)
            for number, line in enumerate(text.split("\n"), 1):
                match = re.search(r"want: ([a-z-]+(?:, [a-z-]+)*)", line)
                for rule in match.group(1).split(", ") if match else []:
                    wanted.add((path, number, rule))
    return wanted


class Samples(unittest.TestCase):
    def test_each_rule_bites_where_it_must_and_nowhere_else(self):
        with tempfile.TemporaryDirectory() as root:
            wanted = unpack("bad", root)
            with open(os.path.join(root, "base/long_main.c"), "w", encoding="utf-8") as stream:
                stream.write(LICENCE + ";\n" * 800)
            wanted.add(("base/long_main.c", 801, "size"))
            found = {(path, line, rule) for path, line, rule, _ in tidy.check(root)}
            self.assertEqual(sorted(wanted - found), [], "wanted and not found")
            self.assertEqual(sorted(found - wanted), [], "found and not wanted")
            self.assertEqual({rule for _, _, rule in wanted}, set(tidy.RULES))

    def run_program(self, root):
        return subprocess.run([sys.executable, "-B", os.path.join(HERE, "tidy.py"), root],
                              capture_output=True, text=True, check=False)

    def test_the_program_prints_breaches_and_exits_with_1(self):
        with tempfile.TemporaryDirectory() as root:
            unpack("bad", root)
            result = self.run_program(root)
            self.assertEqual(result.returncode, 1)
            self.assertIn("base/upward_main.c:3: include: base may not include crypto/key.h\n",
                          result.stdout)
            self.assertIn("base/functions_main.c:73: function: too_long has 71 lines, at most 70\n",
                          result.stdout)
            self.assertRegex(result.stderr, r"^tidy: \d+ breaches\n$")

    def test_a_clean_tree_passes(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(unpack("clean", root), set())
            result = self.run_program(root)
            self.assertEqual((result.returncode, result.stdout), (0, ""))
            self.assertEqual(result.stderr, "tidy: ok\n")


class Functions(unittest.TestCase):
    def check(self, text, expected):
        self.assertEqual(functions(text), expected)

    def test_plain(self):
        self.check("int f(void)\n{\n    return 1;\n}\n\nint g(int a,\n      int b)\n{\n}\n",
                   [("f", 1, 4), ("g", 6, 9)])

    def test_braces_in_strings_characters_comments_and_macros(self):
        self.check('int f(void)\n{\n    puts("}}\\"}");\n    c = \'}\';\n    /* } */ // }\n'
                   "#define X }\\\n    }\n}\nint g(void)\n{\n}\n", [("f", 1, 8), ("g", 9, 11)])

    def test_comment_marks_in_strings(self):
        self.check('int f(void)\n{\n    puts("/*"); puts("//");\n}\nint g(void)\n{\n}\n',
                   [("f", 1, 4), ("g", 5, 7)])

    def test_both_branches_of_an_if_open_a_brace(self):
        self.check("int f(void)\n{\n#if A\n    if (a) {\n#elif B\n    if (b) {\n#else\n    {\n"
                   "#endif\n    }\n}\n", [("f", 1, 11)])

    def test_what_is_no_function(self):
        self.check("struct x {\n    int a;\n};\nint a[] = {1, 2};\nenum e { A, B };\n"
                   "static struct x y = X(1) {\n};\nunion u {\n    struct {\n        int b;\n"
                   "    };\n};\n", [])

    def test_check_macros_attributes_and_pointers(self):
        self.check("START_TEST(it_works)\n{\n}\nEND_TEST\n"
                   "static __attribute__((noinline)) int *g(void (*f)(void))\n{\n}\n",
                   [("it_works", 1, 3), ("g", 4, 7)])

    def test_an_open_brace_is_an_error(self):
        with self.assertRaises(ValueError):
            functions("int f(void)\n{\n    if (a) {\n}\n")
        with self.assertRaises(ValueError):
            functions("}\n")


if __name__ == "__main__":
    unittest.main()
