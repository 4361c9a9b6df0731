# SPDX-License-Identifier: Apache-2.0
"""What the attack tests share: the harness of tests/whole, runs whose bytes are looked at one by
one, and texts that would steer a terminal or hide."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "whole"))
from harness import EDGE, TMILL, Whole, main  # noqa: E402
from makers import Tensor, gguf, hf_tensors, safetensors, weights  # noqa: E402

__all__ = ["Attack", "EDGE", "PAYLOADS", "TMILL", "Tensor", "gguf", "hf_tensors", "main",
           "safetensors", "weights"]

# Title, clear screen, line break, carriage return, an 8-bit escape as U+009B, right-to-left
# override and isolate (CVE-2021-42574), line separator, an invisible character, tags.
PAYLOADS = ["\x1b]0;owned\x07", "\x1b[2J", "a\nb", "a\rb", "\u009b2J", "\u202egnp.exe",
            "\u2066x\u2069", "a\u2028b", "a\u200bb", "a\U000e0041b"]
# Everything that base/utf8.h calls a control character, but the line end that ends our lines.
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
                    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")


class Attack(Whole):
    def check_clean(self, data, what):
        """Bytes that a person's terminal gets: UTF-8 and nothing that steers it."""
        text = data.decode()  # strict
        found = UNSAFE.search(text)
        self.assertIsNone(found, f"{what}: {found and hex(ord(found[0]))} in {text!r}")
        return text

    def bytes_of(self, *argv, program=TMILL, timeout=60, **options):
        """Runs; output and errors must be clean. (exit code, stdout, stderr)"""
        process = self.start(program, *argv, **options)
        out, err = process.communicate(timeout=timeout)
        what = f"{argv}: exit {process.returncode}"
        self.assertGreaterEqual(process.returncode, 0, what)
        self.assertLess(process.returncode, 126, what)
        return (process.returncode, self.check_clean(out, what), self.check_clean(err, what))
