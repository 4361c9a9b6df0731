# SPDX-License-Identifier: Apache-2.0
"""C text as tidy.py needs it: code without comments, strings and preprocessor lines, and where
functions begin and end."""

import re

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//(?:\\\n|[^\n])*)
       |(?P<string>"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)
       |(?P<preproc>(?:(?<=\n)|\A)[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)""",
    re.X | re.S)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """Comments become blanks; every other character stays at its line and column."""
    return _TOKEN.sub(
        lambda m: _blank(m.group()) if m.lastgroup == "comment" else _comments_of_preproc(m), text)


def _comments_of_preproc(match):
    if match.lastgroup != "preproc":
        return match.group()
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: _blank(m.group()), match.group(), flags=re.S)


def code_only(text):
    """Comments, strings, character constants and preprocessor lines become blanks, and so does all
    but the first branch of each #if, so that braces match."""
    out = []
    at = 0
    branches = []  # one entry per open #if: whether its present branch is left out
    for match in _TOKEN.finditer(text):
        out.append(_blank(text[at:match.start()]) if any(branches) else text[at:match.start()])
        at = match.end()
        out.append(_blank(match.group()))
        if match.lastgroup == "preproc":
            _follow(branches, match.group())
    out.append(_blank(text[at:]) if any(branches) else text[at:])
    return "".join(out)


def _follow(branches, directive):
    word = re.match(r"\s*#\s*(\w*)", directive).group(1)
    if word in ("if", "ifdef", "ifndef"):
        branches.append(False)
    elif word in ("else", "elif") and branches:
        branches[-1] = True
    elif word == "endif" and branches:
        branches.pop()


def functions(text):
    """[(name, first line, last line)] of the function definitions, counted from the first line of
    the signature to the closing brace. ValueError(line) when braces do not match."""
    code = code_only(text)
    found = []
    depth = 0
    line = 1
    signature = ""       # code since the last ';' or '}' outside of braces
    signature_line = 0
    name = None          # of the function we are in
    for char in code:
        if char == "\n":
            line += 1
        if depth == 0:
            if char in ";}":
                signature = ""
            elif char == "{":
                name = _function_name(signature)
            else:
                if not signature.strip():
                    signature_line = line
                signature += char
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                raise ValueError(line)
            if depth == 0:
                if name is not None:
                    found.append((name, signature_line, line))
                signature = ""
    if depth != 0:
        raise ValueError(line)
    return found


def _function_name(signature):
    """The function that this text before a '{' defines, or None (struct, enum, initialiser)."""
    text = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", signature, flags=re.S).strip()
    text = re.sub(r"\A(?:[A-Z][A-Z0-9_]*\s+)+(?=static|inline|START_TEST)", "", text)
    if not text.endswith(")") or "=" in text:
        return None
    match = re.search(r"(\w+)\s*\(", text)
    if match is None:
        return None
    if match.group(1).isupper():  # START_TEST(name)
        inner = re.search(r"\(\s*(\w+)", text)
        return inner.group(1) if inner else match.group(1)
    return match.group(1)
