# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments: of an embedded run, of a coordinator and of its nodes. What was
acknowledged is kept, the package has the same bytes (embedded) or the same id (mesh).

$TMILL_KILLS: kills in each test (10), $TMILL_KILL_SEED: repeats a run."""
import json
import os
import time
import unittest

from harness import TMILL, Whole, half_written, main
from makers import big_model, rng

KILLS = int(os.environ.get("TMILL_KILLS", "10"))
SEED = int(os.environ.get("TMILL_KILL_SEED", str(int(time.time()))))
SECONDS = float(os.environ.get("TMILL_KILL_SECONDS", str(3 * KILLS)))


class Kills(Whole):
    def setUp(self):
        super().setUp()
        self.random = rng(SEED)
        self.model = big_model(self.path("m.safetensors"), 48)
        started = time.monotonic()
        self.reference, self.made = self.compress(self.model, "reference.tmpk", "ternary")
        self.whole_run = time.monotonic() - started
        self.out = self.path("out.tmpk")
        print(f"seed {SEED}, an undisturbed run takes {self.whole_run:.2f} s")

    def moment(self):
        """A time within an undisturbed run, with its first half and its end."""
        return float(self.random.uniform(0.01, self.whole_run * 1.05))

    def kill_after(self, process, seconds):
        """False when it ended by itself before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if process.poll() is not None:
                return False
            time.sleep(0.005)
        process.kill()
        process.wait()
        return True

    def test_an_embedded_run(self):
        kills, rounds, longest, end = 0, 0, 0, time.monotonic() + SECONDS
        while kills < KILLS and time.monotonic() < end:
            rounds, lives = rounds + 1, 0
            while kills < KILLS:
                lives += 1
                process = self.start(TMILL, "compress", self.model, "-o", self.out, "--recipe",
                                     "ternary", "-q")
                if not self.kill_after(process, self.moment()):
                    self.assertEqual(process.returncode, 0, process.communicate())
                    break
                kills += 1
            longest = max(longest, lives)
            jobs = [j for j in self.data_of("jobs")["jobs"] if j["output"] == self.out]
            if jobs and jobs[0]["state"] == "stopped" and rounds % 2:
                self.ok("resume", jobs[0]["job"])
            # No job, and the output there: the last life began anew, and ended before its journal.
            elif not os.path.exists(self.out) or not jobs or jobs[0]["state"] != "done":
                self.ok("compress", self.model, "-o", self.out, "--recipe", "ternary")
            self.assertEqual(self.read(self.out), self.read(self.reference))
            self.assertEqual(half_written(self.home), [])
            os.unlink(self.out)
        print(f"{kills} kills in {rounds} rounds, at most {longest} lives a job")
        self.assertGreater(kills, 0)

    def test_a_coordinator_and_its_nodes(self):
        kills, rounds, end = 0, 0, time.monotonic() + SECONDS
        while kills < KILLS and time.monotonic() < end:
            rounds += 1
            kills += self.mesh_round(rounds, min(3, KILLS - kills))
        print(f"{kills} kills in {rounds} rounds")
        self.assertGreater(kills, 0)

    def mesh_round(self, number, lives):
        """One job whose coordinator is killed `lives` times and one of whose nodes each time."""
        out, kills = f"{number}.tmpk", 0
        submit, endpoint, key = self.submit(self.model, out, "ternary")
        nodes = [self.node(endpoint, key, f"n{i}", once=False) for i in range(2)]
        for life in range(lives):
            if self.kill_after(submit, self.moment() / 3):
                kills += 1
            if submit.poll() == 0:
                break
            victim = int(self.random.integers(0, 2))
            nodes[victim].kill()
            nodes[victim].wait()
            kills += 1
            submit, endpoint, key = self.submit(self.model, out, "ternary", listen=endpoint)
            nodes[victim] = self.node(endpoint, key, f"n{victim}", once=False)
        code, text, err = self.finish(submit, 60)
        self.assertEqual(code, 0, err)
        data = json.loads(text)["data"]
        self.assertEqual(data["package_id"], self.made["package_id"])
        self.ok("verify", self.path(out), "--against", self.model)
        os.unlink(self.path(out))
        for node in nodes:
            node.kill()
            node.wait()
        return kills


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main()
