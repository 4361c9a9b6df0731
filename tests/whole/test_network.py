# SPDX-License-Identifier: Apache-2.0
"""Networks and servers that misbehave: never a hang, never wrong bytes, never half an install."""
import json
import os
import shutil
import signal
import socket
import time

from fault_http import PAGE, FaultServer
from harness import EDGE, TIME_SCALE, Whole, half_written, main
from makers import Tensor, big_model, hf_tensors, safetensors, weights


class Pulls(Whole):
    def setUp(self):
        super().setUp()
        self.model = self.put("m.safetensors", safetensors(hf_tensors(hidden=128)))
        self.package, _ = self.compress(self.model, "v1.tmpk")
        self.repo, self.store = self.path("repo"), self.path("store")
        self.ok("publish", self.package, "--repo", self.repo, "--name", "m")
        self.trust()

    def trust(self):
        self.ok("trust", "add", self.public_key(), "--store", self.store, program=EDGE)

    def fresh(self):
        shutil.rmtree(self.store)
        self.trust()

    def pull(self, server, timeout=60):
        return self.run_program(EDGE, "pull", server.url, "m", "--store", self.store, "--json",
                                timeout=timeout)

    def installed(self):
        """The bytes that the device has, after its own verify."""
        self.ok("verify", "m", "--store", self.store, program=EDGE)
        shown = self.data_of("show", "m", "--store", self.store, program=EDGE)
        return self.read(shown["package"])

    def assert_nothing_installed(self):
        self.assertEqual(self.data_of("list", "--store", self.store, program=EDGE), [])
        self.assertEqual(half_written(self.store), [])
        for top, _, names in os.walk(self.store):
            for name in names:
                with open(os.path.join(top, name), "rb") as stream:
                    self.assertFalse(stream.read(32).startswith(PAGE[:10]), name)

    def test_servers_that_can_be_dealt_with(self):
        for fault in ("none", "no-range", "cut", "cut-no-range", "cut-tail-as-200",
                      "redirect-once"):
            with self.subTest(fault), FaultServer(self.repo, fault) as server:
                self.fresh()
                result = self.pull(server)
                if fault == "cut-tail-as-200" and result.code != 0:
                    self.assertIn(result.code, (4, 5))  # may be refused, never believed
                    self.assert_nothing_installed()
                    continue
                self.assertEqual(result.code, 0, result.err)
                self.assertEqual(self.installed(), self.read(self.package))
                self.assertLess(server.requests, 60)

    def test_servers_that_lie(self):
        for fault, codes, words in (
                ("redirect-loop", (5,), ["redirect"]), ("page", (4,), ["index.json"]),
                ("page-for-big", (4, 5), []), ("teapot-403", (5,), ["403"]),
                ("teapot-404", (3,), ["404"]), ("teapot-500", (5,), ["500"]),
                ("missing", (3,), ["404"]), ("flip", (4,), []), ("cut-changed", (4, 5), []),
                ("cut-always", (5,), []), ("short-length", (4, 5), []), ("hang-up", (5,), [])):
            with self.subTest(fault), FaultServer(self.repo, fault) as server:
                self.fresh()
                result = self.pull(server, timeout=40)
                self.assertIn(result.code, codes, result.err)
                self.assertEqual(json.loads(result.err)["code"], result.code)
                for word in words:
                    self.assertIn(word, result.err)
                self.assert_nothing_installed()
                self.assertLess(server.requests, 60)

    def test_nobody_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for url, words in ((f"http://127.0.0.1:{port}", [str(port)]),
                           ("http://no-such-host.invalid", ["no-such-host.invalid"])):
            self.refused(5, words, "pull", url, "m", "--store", self.store, program=EDGE,
                         json_too=False, timeout=60, new_folders=True)
        self.refused(2, ["scheme"], "pull", "ftp://127.0.0.1", "m", "--store", self.store,
                     program=EDGE, new_folders=True)
        self.refused(3, ["nowhere"], "pull", self.path("nowhere"), "m", "--store", self.store,
                     program=EDGE, new_folders=True)
        self.assert_nothing_installed()

    def test_a_stop_in_the_middle_and_again(self):
        big = big_model(self.path("big.safetensors"), 12)
        package, _ = self.compress(big, "big.tmpk")
        self.ok("publish", package, "--repo", self.repo, "--name", "big")
        for number in (signal.SIGINT, signal.SIGTERM):
            self.fresh()
            with FaultServer(self.repo, "slow") as server:
                result = self.run_program(EDGE, "pull", server.url, "big", "--store", self.store,
                                          signal_after=(1, number), timeout=20)
                self.assertEqual(result.code, 9, result.err)
            self.assert_nothing_installed()
            with FaultServer(self.repo) as server:
                self.ok("pull", server.url, "big", "--store", self.store, program=EDGE)

    def test_an_update_fetches_what_changed_and_keeps_the_old_on_failure(self):
        tensors = [Tensor(f"l{i}.weight", weights(i, 64, 1024)) for i in range(20)]
        first = self.put("first.safetensors", safetensors(tensors))
        tensors[3] = Tensor("l3.weight", weights(99, 64, 1024))
        second = self.put("second.safetensors", safetensors(tensors))
        one, _ = self.compress(first, "one.tmpk")
        two, _ = self.compress(second, "two.tmpk")
        self.ok("publish", one, "--repo", self.repo, "--name", "u")
        with FaultServer(self.repo) as server:
            self.ok("pull", server.url, "u", "--store", self.store, program=EDGE)
            self.ok("publish", two, "--repo", self.repo, "--name", "u")
            for fault in ("flip", "page-for-big", "missing", "cut-always"):
                server.server.fault = fault
                result = self.run_program(EDGE, "update", "--store", self.store)
                self.assertNotEqual(result.code, 0)
                shown = self.data_of("show", "u", "--store", self.store, program=EDGE)
                self.assertEqual(self.read(shown["package"]), self.read(one))
            server.server.fault = "none"
            update = self.data_of("update", "--store", self.store, program=EDGE)
            self.assertLess(update[0]["fetched_bytes"], update[0]["package_bytes"] // 5)
            shown = self.data_of("show", "u", "--store", self.store, program=EDGE)
            self.assertEqual(self.read(shown["package"]), self.read(two))
            self.assertEqual(
                self.run_program(EDGE, "update", "--store", self.store).code, 10)

    def test_an_older_index_is_refused(self):
        old = self.read(os.path.join(self.repo, "index.json"))
        other, _ = self.compress(self.model, "v2.tmpk", recipe="int4")
        self.ok("publish", other, "--repo", self.repo, "--name", "m")
        with FaultServer(self.repo) as server:
            self.ok("pull", server.url, "m", "--store", self.store, program=EDGE)
            self.put("repo/index.json", old)
            self.refused(4, ["older"], "update", "--store", self.store, program=EDGE)
        self.assertEqual(self.installed(), self.read(other))

    def test_an_index_of_somebody_else(self):
        stranger = os.path.join(self.home, "stranger")
        os.mkdir(stranger)
        shutil.rmtree(self.repo)
        self.ok("publish", self.package, "--repo", self.repo, "--name", "m", home=stranger)
        self.refused(4, ["index"], "pull", self.repo, "m", "--store", self.store, program=EDGE,
                     new_folders=True)
        self.assert_nothing_installed()
        shutil.rmtree(self.store)
        os.mkdir(self.store)
        self.refused((4, 6), ["trust"], "pull", self.repo, "m", "--store", self.store,
                     program=EDGE, new_folders=True)


class Nodes(Whole):
    def test_a_node_without_a_coordinator_keeps_trying_until_it_is_stopped(self):
        key = self.public_key()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for number in (signal.SIGTERM, signal.SIGINT):
            node = self.node(f"tcp://127.0.0.1:{port}", key, f"n{number}", once=False)
            time.sleep(2 * TIME_SCALE)
            self.assertIsNone(node.poll(), "the node gave up")
            node.send_signal(number)
            code, out, err = self.finish(node, 15)
            self.assertIn(code, (0, 9), out + err)
            self.assertLessEqual(len(err.strip().split("\n")), 3, err)

    def test_a_node_with_the_wrong_server_key_never_works(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        coordinator, endpoint, server_key = self.submit(model)
        other = self.path("other.key")
        wrong = self.data_of("key", "gen", "--key", other)["key"]
        lost = self.node(endpoint, wrong, "lost", once=False)
        time.sleep(2 * TIME_SCALE)
        self.assertIsNone(coordinator.poll())
        good = self.node(endpoint, server_key, "good")
        code, out, err = self.finish(coordinator, 60)
        self.assertEqual(code, 0, err)
        shown = self.data_of("show", json.loads(out)["data"]["job"])
        self.assertEqual([node["node_name"] for node in shown["node_list"]], ["good"])
        self.assertEqual(self.finish(good, 30)[0], 0)
        lost.send_signal(signal.SIGTERM)
        self.assertIn(self.finish(lost, 15)[0], (0, 9))

    def test_a_node_that_is_not_on_the_list_is_not_let_in(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        friend = self.data_of("key", "gen", "--key", self.path("friend.key"))["key"]
        coordinator, endpoint, server_key = self.submit(model, extra=("--allow", friend))
        stranger = self.node(endpoint, server_key, "stranger", once=False)
        time.sleep(2 * TIME_SCALE)
        self.assertIsNone(coordinator.poll())
        self.node(endpoint, server_key, "friend")
        code, out, err = self.finish(coordinator, 60)
        self.assertEqual(code, 0, err)
        shown = self.data_of("show", json.loads(out)["data"]["job"])
        self.assertEqual([node["key"] for node in shown["node_list"]], [friend])
        stranger.send_signal(signal.SIGTERM)
        self.assertIn(self.finish(stranger, 15)[0], (0, 5, 6, 9))

    def test_words_that_are_no_endpoint_or_key(self):
        key = self.public_key()
        for endpoint in ("nonsense", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"):
            with self.subTest(endpoint):
                self.refused((2, 5), [], "node", "run", "--join", endpoint, "--server-key", key,
                             "--once", timeout=15)
        for bad in ("", "tmpub1", key[:-1], key[:-1] + "z", key + "0"):
            with self.subTest(key=bad):
                self.refused((2, 4), [], "node", "run", "--join", "tcp://127.0.0.1:1",
                             "--server-key", bad, timeout=15)
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        for endpoint in ("nonsense", "tcp://203.0.113.1:8471", "tcp://127.0.0.1:99999"):
            with self.subTest(listen=endpoint):
                self.refused((2, 5, 6), [endpoint], "submit", model, "-o", self.path("o.tmpk"),
                             "--listen", endpoint, "--workers", "0", json_too=False, timeout=15)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            self.refused((5, 6), [endpoint], "submit", model, "-o", self.path("o.tmpk"),
                         "--listen", endpoint, "--workers", "0", json_too=False, timeout=15)


if __name__ == "__main__":
    main()
