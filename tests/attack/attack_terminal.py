# SPDX-License-Identifier: Apache-2.0
"""Names of tensors, files and nodes on a pseudo-terminal, where bars are drawn: the terminal gets
the escape sequences that we draw with and no other, and nothing that turns text around."""
import os
import pty
import re
import threading

import numpy as np

from attack import PAYLOADS, TMILL, UNSAFE, Attack, Tensor, main, safetensors, weights

# Start of the line and clear it; a label in colour; a line end, of which the terminal makes two.
OURS = re.compile(r"\r\x1b\[K|\x1b\[1;36m|\x1b\[0m|\r\n")
BAR = re.compile(r"\r\x1b\[K\x1b\[1;36m(\w+)\x1b\[0m +\d+%")


class Screen:
    """A program whose output and errors are one pseudo-terminal; what it wrote."""

    def __init__(self, test, *argv):
        self.test, self.argv, self.seen = test, argv, b""
        master, slave = pty.openpty()
        self.process = test.start(*argv, stdout=slave, stderr=slave, env={"TERM": "xterm"})
        os.close(slave)
        self.reader = threading.Thread(target=self.read, args=(master,))
        self.reader.start()

    def read(self, master):
        try:
            while part := os.read(master, 65536):
                self.seen += part
        except OSError:  # the other end is closed
            pass
        os.close(master)

    def end(self, codes=(0,)):
        """The text without what we draw with; it must be clean and the program well."""
        code = self.process.wait(60)
        self.reader.join(60)
        what = f"{self.argv}: exit {code}: {self.seen[-2000:]!r}"
        self.test.assertIn(code, codes, what)
        text = OURS.sub("\n", self.seen.decode())  # strict
        found = UNSAFE.search(text)
        self.test.assertIsNone(found, f"{found and hex(ord(found[0]))} in {what}")
        return text

    def bars(self):
        return set(BAR.findall(self.seen.decode()))


class Terminal(Attack):
    def test_names_of_tensors_and_files_while_bars_are_drawn(self):
        """The tensors that hold a NaN are kept, which is said with their names."""
        sick = weights(1, 64, 64)
        sick[3, 3] = np.nan
        tensors = [Tensor(f"t{payload}t", sick) for payload in PAYLOADS]
        tensors += [Tensor(f"w{i}.weight", weights(i, 1024, 1024)) for i in range(8)]
        model = self.put(f"m{PAYLOADS[0]}{PAYLOADS[5]}.safetensors", safetensors(tensors))
        package = self.path(f"p{PAYLOADS[0]}{PAYLOADS[5]}.tmpk")
        for bars, argv in (
                ({"read", "encode", "write"},
                 ["compress", model, "-o", package, "--recipe", "int8", "-v"]),
                ({"export"}, ["export", package, "--format", "safetensors", "-o", package + ".st"]),
                (set(), ["inspect", package, "--tensors"]),
                ({"hash"}, ["inspect", model, "--tensors", "--hash"])):
            screen = Screen(self, TMILL, *argv)
            text = screen.end()
            self.assertIn("\\x1b", text, argv)
            self.assertLessEqual(bars, screen.bars(), argv)
            if argv[0] == "compress":
                for shown in ("t\\x1b[2Jt", "t\\xe2\\x80\\xaegnp.exet"):
                    self.assertIn(f"tensor '{shown}' is kept", text)

    def test_names_of_nodes_while_bars_are_drawn(self):
        """Coordinator, nodes and somebody who watches, each on a terminal of its own."""
        model = self.put("m.safetensors", safetensors(
            [Tensor(f"w{i}.weight", weights(i, 1024, 1024)) for i in range(8)]))
        for i, payload in enumerate(PAYLOADS):
            ready = self.path(f"ready{i}")
            submit = Screen(self, TMILL, "submit", model, "-o", self.path(f"{i}.tmpk"), "-v",
                            "--listen", "tcp://127.0.0.1:0", "--workers", "0", "--ready-file",
                            ready)
            endpoint, key = self.wait_ready(submit.process, ready)
            job = [job["job"] for job in self.data_of("jobs")["jobs"]
                   if job["output"] == self.path(f"{i}.tmpk")]
            watch = Screen(self, TMILL, "watch", *job)
            node = Screen(self, TMILL, "node", "run", "--join", endpoint, "--server-key", key,
                          "--key", self.path("n.key"), "--name", f"n{payload}", "--once", "-v")
            texts = [screen.end() for screen in (submit, node, watch)]
            self.assertRegex(texts[0], r'\nts=.* event=node\.joined .*name="?n.*\\x')
            self.assertLessEqual({"read", "encode", "write"}, submit.bars())
            for text in texts:
                self.assertNotRegex(text, r"[^\n]ts=\d{4}-")  # a line of the log on a bar


if __name__ == "__main__":
    main()
