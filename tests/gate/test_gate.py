# SPDX-License-Identifier: Apache-2.0
"""Hostile peers against a coordinator that listens: its memory stays where it was, the gate takes
the blows (node/transport/gate.h), and an honest node finishes the job with the right package."""
import json
import os
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../whole"))

from harness import BIN, TIME_SCALE, Whole, main  # noqa: E402
from makers import big_model  # noqa: E402

ATTACKER = os.path.join(os.path.dirname(BIN), "tests/attacker")
MIB = 1 << 20
GROWTH_MAX = 64 * MIB


def resident(pid):
    """Bytes of memory that the process holds; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return 0


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stream:
                state, parent = stream.read().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(name))
    return found


class Gates(Whole):
    def setUp(self):
        super().setUp()
        self.model = big_model(self.path("m.safetensors"), 24)
        _, alone = self.compress(self.model, "alone.tmpk", "int4")
        self.package_id = alone["package_id"]
        self.coordinator, self.endpoint, self.key = self.submit(self.model, recipe="int4")
        self.ports = [int(self.endpoint.rpartition(":")[2]) + i for i in range(2)]
        self.first_gate = self.gate()

    def until(self, what, found, seconds=20):
        """Polls found() until it gives something; fails after the time."""
        end = time.monotonic() + seconds * TIME_SCALE
        while not (got := found()):
            if time.monotonic() > end:
                self.fail(f"not within {seconds} s: {what}")
            time.sleep(0.01)
        return got

    def gate(self, other_than=None):
        """The process id of the (next) gate."""
        def look():
            self.assertIsNone(self.coordinator.poll(), "the coordinator has ended")
            found = children(self.coordinator.pid)
            return found[0] if found and found[0] != other_than else None
        return self.until("a gate", look)

    def attack(self, kind):
        process = self.start(ATTACKER, self.endpoint, self.key, kind)
        self.assertEqual(process.stdout.readline(), b"attacking\n", "no attack")
        return process

    def finish_honestly(self):
        """An honest node joins and ends the job; gives what submit said on stderr."""
        node = self.node(self.endpoint, self.key, "honest")
        code, out, err = self.finish(self.coordinator, 60)
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["data"]["package_id"], self.package_id)
        self.assertEqual(self.finish(node, 30)[0], 0)
        return err

    def bear_without_end(self, kind):
        """The peer is thrown out, or takes the gate with it, and tries again and again."""
        before = resident(self.coordinator.pid)
        attacker = self.attack(kind)
        os.set_blocking(attacker.stdout.fileno(), False)
        most = [before]

        def ended():
            most.append(resident(self.coordinator.pid))
            self.assertIsNone(attacker.poll(), "the attack has ended by itself")
            return attacker.stdout.read() or self.first_gate not in children(self.coordinator.pid)
        self.until("the end of the attacker's connection", ended, 30)
        err = self.finish_honestly()
        self.assertLess(max(most) - before, GROWTH_MAX)
        ends = err.count("event=gate.ended")  # the last one may come when all is done
        self.assertIn(err.count("event=gate.restarted"), (ends - 1, ends), err)

    @unittest.skipIf("TMILL_NO_MEMORY_LIMIT" in os.environ, "sanitizers map terabytes")
    def test_a_message_without_end(self):
        self.bear_without_end("endless")

    @unittest.skipIf("TMILL_NO_MEMORY_LIMIT" in os.environ, "sanitizers map terabytes")
    def test_a_message_of_many_small_frames(self):
        self.bear_without_end("many")

    def test_frames_over_the_limit(self):
        before = resident(self.first_gate)
        attacker = self.attack("over")
        for _ in range(20):  # thrown out each time
            self.assertEqual(attacker.stdout.readline(), b"attacking\n")
        self.assertLess(resident(self.first_gate) - before, GROWTH_MAX)
        err = self.finish_honestly()
        self.assertNotIn("gate.ended", err)

    def test_a_killed_gate(self):
        node = self.node(self.endpoint, self.key, "early", once=False)
        at = self.first_gate
        for _ in range(3):
            os.kill(at, signal.SIGKILL)
            killed = time.monotonic()
            at = self.gate(other_than=at)
            self.assertLess(time.monotonic() - killed, 1 * TIME_SCALE)
        err = self.finish_honestly()
        # One that is killed before it has its orders has failed to start.
        ends = err.count("event=gate.ended") + err.count("event=gate.failed")
        self.assertEqual(ends, 3, err)
        self.assertIn("signal 9", err)
        node.send_signal(signal.SIGTERM)
        self.finish(node, 15)

    def test_junk_and_idle_connections(self):
        idle = []
        self.addCleanup(lambda: [s.close() for s in idle])
        greeting = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(16) + b"\0" + bytes(31)
        for i in range(150):
            s = socket.create_connection(("127.0.0.1", self.ports[i % 2]))
            idle.append(s)
            s.sendall((b"", b"GET / HTTP/1.1\r\n\r\n", greeting, greeting[:11], os.urandom(500),
                       greeting + b"\1\0" * 5000)[i % 6])
        err = self.finish_honestly()
        self.assertNotIn("gate.ended", err)

    def test_the_gate_ends_with_its_coordinator(self):
        with open(f"/proc/{self.first_gate}/cmdline", "rb") as stream:
            self.assertEqual(stream.read(), b"tmill\0gate\0")
        self.coordinator.kill()
        self.coordinator.wait()
        self.until("the end of the gate", lambda: resident(self.first_gate) == 0)


if __name__ == "__main__":
    if not os.access(ATTACKER, os.X_OK):
        sys.exit(f"{ATTACKER} is not built")
    main()
