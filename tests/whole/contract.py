# SPDX-License-Identifier: Apache-2.0
"""What holds for every command of both programs; each test_cmd_*.py and test_edge_*.py mixes it in
for its own commands."""
import re

from harness import EDGE, TMILL


class Contract:
    """COMMANDS: {"compress": the number of arguments it needs}."""
    PROGRAM = TMILL
    COMMANDS = {}

    def test_help_shows_usage_options_and_examples(self):
        for command in self.COMMANDS:
            name = "tmill" if self.PROGRAM == TMILL else "tmill-edge"
            for flag in ("--help", "-h"):
                text = self.ok(*command.split(), flag, program=self.PROGRAM).out
                self.assertTrue(text.startswith(f"usage: {name} {command}"), text)
                self.assertRegex(
                    text, rf"(?s)options:.*--json.*examples:\n  [^\n]*{name} {command}")
                self.assertLess(max(map(len, text.split("\n"))), 101)
            self.assertRegex(self.ok("--help", program=self.PROGRAM).out,
                             rf"(?m)^  {re.escape(command)}\s+\S")

    def test_words_that_the_command_does_not_know(self):
        for command, needed in self.COMMANDS.items():
            words = command.split()
            given = ["x"] * needed
            self.refused(2, ["--bogus", "unknown"], *words, *given, "--bogus",
                         program=self.PROGRAM)
            self.refused(2, [["many", "more"]], *words, *["x"] * 17, program=self.PROGRAM)
            if needed:
                self.refused(2, ["missing argument"], *words, *given[1:], program=self.PROGRAM)


class EdgeContract(Contract):
    PROGRAM = EDGE
