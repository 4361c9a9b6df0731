# SPDX-License-Identifier: Apache-2.0
"""Names that others chose (files, tensors, models, nodes, notes, server texts) reach a terminal or
a log only with what steers it escaped, and --json gives them back exactly."""
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from attack import EDGE, PAYLOADS, TMILL, Attack, Tensor, hf_tensors, main, safetensors, weights


class Escapes(Attack):
    def model_named(self, i, payload):
        """A model whose file, tensor and metadata names all hold the payload."""
        tensors = hf_tensors() + [Tensor(f"t{payload}t", weights(i, 64, 64))]
        name = f"m{i}{payload}.safetensors".replace("/", "-")
        return self.put(name, safetensors(tensors, metadata={"format": f"pt{payload}"}))

    def both(self, codes, *argv, program=TMILL):
        """The command and the same with --json; the text and the JSON of each."""
        code, out, err = self.bytes_of(*argv, program=program)
        self.assertIn(code, codes, err)
        if code != 0:
            self.assertEqual(err.count("\n"), 1, err)
        code, json_out, json_err = self.bytes_of(*argv, "--json", program=program)
        self.assertIn(code, codes, json_err)
        return out + err, json.loads(json_out if code == 0 else json_err)

    def test_file_tensor_and_model_names(self):
        for i, payload in enumerate(PAYLOADS):
            model = self.model_named(i, payload)
            text, answer = self.both({0}, "inspect", model, "--tensors")
            names = [t["name"] for t in answer["data"]["tensors"]]
            self.assertIn(f"t{payload}t", names)
            self.assertIn("\\x", text)
            package = self.path(f"p{i}{payload}.tmpk")
            text, answer = self.both({0, 6}, "compress", model, "-o", package, "--recipe", "int8")
            for argv in (["inspect", package, "--tensors"], ["verify", package],
                         ["verify", package, "--against", model], ["jobs"],
                         ["export", package, "--format", "safetensors", "-o", package + ".out"]):
                self.both({0, 2, 6, 10}, *argv)
            self.both({0, 10}, "publish", package, "--repo", self.path("repo" + payload),
                      "--notes", "note" + payload)
            for job in json.loads(self.bytes_of("jobs", "--json")[1])["data"]["jobs"]:
                self.both({0}, "show", job["job"])
                code, out, _ = self.bytes_of("watch", job["job"])
                self.assertEqual(code, 0, out)

    def test_errors_that_quote_names(self):
        for payload in PAYLOADS:
            for argv in (["inspect", self.path("none" + payload)],
                         ["inspect", self.put("bad" + payload, b"no model")],
                         ["verify", self.put("bad2" + payload, b"no package")],
                         ["compress", self.path("x" + payload), "-o", self.path("y" + payload)],
                         ["compress", self.path("x"), "-o", "y", "--recipe", "r" + payload],
                         ["export", "x", "-o", "y", "--format", payload],
                         ["key", "show", "--name", payload], ["key", "show", "--key", payload],
                         ["show", payload], ["watch", payload], ["cancel", payload],
                         ["com" + payload], ["inspect", "--opt" + payload],
                         ["publish", "x", "--repo", payload, "--name", payload],
                         ["node", "run", "--join", payload, "--server-key", payload]):
                self.both(set(range(1, 11)), *argv)
            for argv in (["pull", payload, payload], ["pull", "http://[" + payload, "m"],
                         ["pull", "gopher://" + payload, "m"], ["rm", payload], ["show", payload],
                         ["rollback", payload], ["trust", "add", payload], ["verify", payload],
                         ["trust", "rm", payload], ["list", "--store", "/dev/null/" + payload],
                         ["update", payload], ["export", payload, "-o", "x"]):
                self.both(set(range(1, 11)), *argv, program=EDGE)

    def test_names_of_nodes(self):
        """Our node escapes its name before it sends it; one that does not is refused by the scan
        of frames (judge.protoc)."""
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        for i, payload in enumerate(PAYLOADS):
            submit, endpoint, key = self.submit(model, f"{i}.tmpk", extra=["-v"])
            code, out, err = self.bytes_of("node", "run", "--join", endpoint, "--server-key", key,
                                           "--key", self.path("n.key"), "--name", "n" + payload,
                                           "--once", "-v")
            self.assertEqual(code, 0, out + err)
            out, err = submit.communicate(timeout=60)
            self.check_clean(err, "submit -v")
            job = json.loads(self.check_clean(out, "submit --json"))["data"]["job"]
            _, answer = self.both({0}, "show", job)
            self.assertRegex(answer["data"]["node_list"][0]["node_name"], r"^n.*\\x")

    def test_a_store_with_such_a_name(self):
        model = self.put("m.safetensors", safetensors(hf_tensors()))
        package, _ = self.compress(model)
        self.ok("publish", package, "--repo", self.path("repo"), "--name", "m")
        for payload in PAYLOADS:
            store = ["--store", self.path("store" + payload)]
            self.both({0, 10}, "trust", "add", self.public_key(), *store, program=EDGE)
            self.both({0, 10}, "pull", self.path("repo"), "m", *store, program=EDGE)
            for argv in (["show", "m"], ["list"], ["verify"], ["update"]):
                _, answer = self.both({0, 10}, *argv, *store, program=EDGE)
            _, answer = self.both({0}, "show", "m", *store, program=EDGE)
            self.assertTrue(answer["data"]["package"].startswith(self.path("store" + payload)))


class EvilServer(BaseHTTPRequestHandler):
    """Reason phrases, redirects and bodies with a payload."""
    payload, mode = "", 0

    def do_GET(self):
        raw = self.payload.replace("\n", " ").replace("\r", " ").encode()
        if self.mode == 0:
            self.wfile.write(b"HTTP/1.1 500 " + raw + b"\r\nContent-Length: 0\r\n\r\n")
        elif self.mode == 1:
            self.wfile.write(b"HTTP/1.1 302 x\r\nLocation: gopher://" + raw +
                             b"/\r\nContent-Length: 0\r\n\r\n")
        else:
            body = json.dumps({"payload": self.payload, "keyid": self.payload, "key": self.payload,
                               "sig": self.payload}, ensure_ascii=False).encode()
            if self.mode == 3:
                body = raw * 100
            self.wfile.write(b"HTTP/1.1 200 " + raw + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
                             + body)

    def log_message(self, *_):
        pass


class Servers(Attack):
    def test_what_a_server_says(self):
        server = HTTPServer(("127.0.0.1", 0), EvilServer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        for payload in PAYLOADS:
            for mode in range(1, 4):  # 0 below: it is tried again, with pauses
                EvilServer.payload, EvilServer.mode = payload, mode
                for flags in ([], ["--json"], ["-v"]):
                    code, _, err = self.bytes_of("pull", url, "m", *flags, program=EDGE)
                    self.assertIn(code, {4, 5}, err)
                    self.assertEqual(err.count("\n"), 1, err)
        EvilServer.payload, EvilServer.mode = PAYLOADS[0], 0
        code, _, err = self.bytes_of("pull", url, "m", program=EDGE)
        self.assertEqual(code, 5, err)


if __name__ == "__main__":
    os.environ.pop("TMILL_KERNEL", None)
    main()
