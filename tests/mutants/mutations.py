# SPDX-License-Identifier: Apache-2.0
"""Where a C source can be made wrong by one small change: conditions negated, && and || swapped,
comparisons shifted by one or turned round, a `!` dropped, the check of a status dropped."""
import bisect
import re

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
CONNECTIVES = {"&&": "||", "||": "&&"}
BLANKED = re.compile(r"""/\*.*?\*/            # comments,
                       | "(?:\\.|[^"\\\n])*"  # texts,
                       | '(?:\\.|[^'\\\n])*'  # characters,
                       | ^\#(?:\\\n|[^\n])*   # lines of the preprocessor
                       """, re.X | re.S | re.M)
OPERATORS = re.compile(r"&&|\|\||==|!=|(?<![<>-])[<>]=?(?![<>=])")
CHECKED = {
    "TM_TRY": re.compile(r"\bTM_TRY(?=\()"),
    "TM_TRY_GOTO": re.compile(r"\bTM_TRY_GOTO(?=\()"),
}
UNCHECKED = {  # what compiles in its place: macros of mutants.py
    "TM_TRY": "(void)",
    "TM_TRY_GOTO": "MUTANT_IGNORE",
}
CONDITIONS = re.compile(r"\b(?:if|while) (?=\()")
NOT = re.compile(r"!(?=[\w(*])")
ASSERTED = re.compile(r"\b(?:TM_ASSERT|_Static_assert)(?=\()")  # not for a test to break


class Mutation:
    """The bytes of a source from `start` to `end` become `text`."""

    def __init__(self, path, source, span, text, kind):
        self.path, self.source, self.kind = path, source, kind
        self.start, self.end, self.text = span[0], span[1], text
        self.line = source.count("\n", 0, self.start) + 1

    def apply(self):
        return self.source[:self.start] + self.text + self.source[self.end:]

    def changed(self):
        """The statement after the change, on one line: how equivalent.txt names a mutation."""
        first = self.source.rfind("\n", 0, self.start) + 1
        last = self.source.find("\n", self.end)
        new = self.source[first:self.start] + self.text + self.source[self.end:last]
        return " ".join(new.split())

    def __str__(self):
        return f"{self.path}:{self.line}: {self.kind}: {self.changed()}"


def blanked(source):
    """Same length and lines, with nothing but code in it."""
    return BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def closing(code, at):
    """The place of the parenthesis that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] == "(") - (code[i] == ")")
        if depth == 0:
            return i
    raise ValueError("a parenthesis is never closed")


def mutations_of(path, source):
    """All mutations of one file, in order."""
    code = blanked(source)
    found, whole = [], set()

    for match in CONDITIONS.finditer(code):
        end = closing(code, match.end())
        inside = (match.end() + 1, end)
        found.append((inside, f"!({source[inside[0]:inside[1]]})", "negated"))
        operators = list(OPERATORS.finditer(code, *inside))
        if len(operators) == 1 and operators[0].group() in ("==", "!="):
            whole.add(operators[0].start())  # turning it round is the same change again
        elif not operators and code[inside[0]] == "!":
            whole.add(inside[0])
    for match in OPERATORS.finditer(code):
        operator = match.group()
        if operator in CONNECTIVES:
            found.append((match.span(), CONNECTIVES[operator], "swapped"))
        elif match.start() not in whole:
            found.append((match.span(), COMPARISONS[operator], "shifted"))
    for match in NOT.finditer(code):
        if match.start() not in whole:
            found.append((match.span(), "", "dropped"))
    for macro, pattern in CHECKED.items():
        for match in pattern.finditer(code):
            found.append((match.span(), UNCHECKED[macro], "unchecked"))

    asserted = [(m.start(), closing(code, m.end())) for m in ASSERTED.finditer(code)]
    starts = [start for start, _ in asserted]

    def in_assertion(at):
        i = bisect.bisect_right(starts, at) - 1
        return i >= 0 and at < asserted[i][1]

    return [Mutation(path, source, span, text, kind)
            for span, text, kind in sorted(found) if not in_assertion(span[0])]
