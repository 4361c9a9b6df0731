# SPDX-License-Identifier: Apache-2.0
"""jobs, show, watch, cancel: a job seen from other processes while it runs and after."""
import json
import os
import pty
import re
import signal
import time

from contract import Contract
from harness import TIME_SCALE, TMILL, Whole, main
from makers import hf_tensors, safetensors


class Jobs(Contract, Whole):
    COMMANDS = {"jobs": 0, "show": 1, "watch": 1, "cancel": 1}

    def setUp(self):
        super().setUp()
        self.model = self.put("m.safetensors", safetensors(hf_tensors()))

    def waiting(self):
        """A job that waits for nodes: (its process, endpoint, key, id)."""
        process, endpoint, key = self.submit(self.model)
        return process, endpoint, key, self.data_of("jobs")["jobs"][0]["job"]

    def test_no_jobs(self):
        self.assertEqual(self.ok("jobs").out, "no jobs\n")
        self.assertEqual(self.data_of("jobs"), {"jobs": []})
        for command in ("show", "watch", "cancel"):
            self.refused(3, ["J123"], command, "J123")
            self.refused((2, 3), [], command, "../../etc")

    def test_a_job_from_begin_to_end(self):
        process, endpoint, key, job = self.waiting()
        shown = self.data_of("show", job)
        # What is kept without loss needs no node: it is done, or soon will be.
        self.assertEqual(shown["state"], "running")
        self.assertLess(shown["units_done"], shown["units"])
        self.assertEqual(shown["model"], self.model)
        self.assertRegex(self.ok("jobs").out, rf"^{job} +running +\d+/")
        node = self.node(endpoint, key, "helper")
        self.assertEqual(self.finish(process)[0], 0)
        self.assertEqual(self.finish(node)[0], 0)
        shown = self.data_of("show", job)
        self.assertEqual((shown["state"], shown["units_done"]), ("done", shown["units"]))
        self.assertEqual([n["node_name"] for n in shown["node_list"]], ["helper"])
        text = self.ok("show", job[:5]).out
        self.assertIn("helper", text)
        self.refused(10, [job], "cancel", job)

    def test_cancel_ends_a_running_job(self):
        process, _, _, job = self.waiting()
        self.assertEqual(self.data_of("cancel", job)["job"], job)
        code, _, err = self.finish(process, 20)
        self.assertEqual(code, 9, err)
        self.assertIn("cancel", err)
        self.assertEqual(self.data_of("show", job)["state"], "cancelled")
        self.assertFalse(os.path.exists(self.path("out.tmpk")))
        self.refused(10, ["cancelled"], "cancel", job)

    def test_a_killed_job_is_shown_as_stopped_and_can_be_cancelled(self):
        process, _, _, job = self.waiting()
        process.kill()
        process.wait()
        self.assertEqual(self.data_of("jobs")["jobs"][0]["state"], "stopped")
        self.assertEqual(self.ok("watch", job).out.count("\n"), 1)
        self.ok("cancel", job)
        self.assertEqual(self.data_of("jobs")["jobs"][0]["state"], "cancelled")

    def test_watch_elsewhere_prints_lines_and_ends_with_the_job(self):
        process, endpoint, key, job = self.waiting()
        watch = self.start(TMILL, "watch", job)
        watch_json = self.start(TMILL, "watch", job, "--json")
        time.sleep(1 * TIME_SCALE)
        node = self.node(endpoint, key, "helper")
        self.assertEqual(self.finish(process)[0], 0)
        code, out, _ = self.finish(watch, 20)
        self.assertEqual(code, 0)
        self.assertNotIn("\x1b", out)
        self.assertRegex(out.strip().split("\n")[-1], r"100%")
        code, out, _ = self.finish(watch_json, 20)
        values = [json.loads(line) for line in out.strip().split("\n")]
        self.assertEqual(code, 0)
        self.assertEqual({v["schema"] for v in values}, {"tmill.watch/1"})
        self.finish(node)

    def test_watch_redraws_one_line_on_a_terminal(self):
        process, endpoint, key, job = self.waiting()
        master, slave = pty.openpty()
        watch = self.start(TMILL, "watch", job, stdout=slave, stderr=slave,
                           env={"TERM": "xterm"})
        os.close(slave)
        time.sleep(1.5 * TIME_SCALE)
        node = self.node(endpoint, key, "helper")
        self.assertEqual(self.finish(process)[0], 0)
        seen = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:
                break
            if not part:
                break
            seen += part
        os.close(master)
        self.assertEqual(watch.wait(20), 0)
        text = seen.decode()
        self.assertGreaterEqual(text.count("\r\x1b[K"), 3)
        self.assertEqual(text.count("\n"), 1)
        self.assertRegex(text, r"running +\d+% \[#*\.+\] \d+/\d+ units")
        self.assertRegex(text, r"100% \[#{40}\]")
        self.finish(node)

    def test_watch_ends_when_it_is_asked_to(self):
        process, _, _, job = self.waiting()
        watch = self.start(TMILL, "watch", job)
        time.sleep(0.5 * TIME_SCALE)
        watch.send_signal(signal.SIGINT)
        code, out, _ = self.finish(watch, 10)
        self.assertIn(code, (0, 9))
        self.assertTrue(re.search(job, out))
        self.assertIsNone(process.poll())


if __name__ == "__main__":
    main()
