# SPDX-License-Identifier: Apache-2.0
"""report: the figures of a package, the same bytes each time, and what is no package."""
import json
import os
import shutil

from contract import Contract
from gguf import GGUFReader
from harness import Whole, main
from makers import llama_gguf


class Report(Contract, Whole):
    COMMANDS = {"report": 1}

    def setUp(self):
        super().setUp()
        self.model = self.path("m.gguf")
        llama_gguf(self.model)
        self.package, self.made = self.compress(self.model, recipe="int4")

    def figures(self, name, model):
        """A file of figures, as `tmill eval --json` writes it."""
        out = self.ok("eval", model, "--base", self.model, "-c", "64", "-n", "200", "--json").out
        return self.put(name, out)

    def test_tensors_worst_first_as_inspect_has_them(self):
        data = self.data_of("report", self.package)
        inspected = {t["name"]: t for t in self.data_of("inspect", self.package,
                                                        "--tensors")["tensors"]}
        self.assertEqual(data["package_id"], self.made["package_id"])
        self.assertEqual({t["name"] for t in data["tensors"]}, set(inspected))
        errors = [t["relative_error"] for t in data["tensors"]]
        self.assertEqual(errors, sorted(errors, reverse=True))
        for t in data["tensors"]:
            self.assertEqual(t["relative_error"], inspected[t["name"]]["relative_error"])
            self.assertEqual(t["bytes"], inspected[t["name"]]["bytes"])
            self.assertEqual(t["lossless"], "predicted_error" not in t)
            if not t["lossless"]:  # the model's weights are normally distributed
                self.assertAlmostEqual(t["relative_error"] / t["predicted_error"], 1, delta=0.05)
        kinds = {t["kind"] for t in data["tensors"]}
        self.assertLessEqual({"embed", "q", "k", "v", "o", "gate", "up", "down", "norm"}, kinds)
        self.assertEqual(sum(n["units"] for n in data["nodes"]), data["units"])

    def test_the_same_bytes_from_another_folder(self):
        os.mkdir(self.path("other"))
        other = shutil.copy(self.package, self.path("other", os.path.basename(self.package)))
        strange = {"TZ": "Asia/Tokyo", "LANG": "de_DE"}
        for flags in ([], ["--json"]):
            first = self.ok("report", self.package, *flags).out
            self.assertEqual(first, self.ok("report", other, *flags, env=strange).out)
            self.assertNotIn(self.dir, first)
        self.ok("report", self.package, "--html", self.path("a.html"))
        self.ok("report", other, "--html", self.path("b.html"), env=strange)
        page = self.read(self.path("a.html"))
        self.assertEqual(page, self.read(self.path("b.html")))
        self.assertNotIn(self.dir.encode(), page)

    def test_a_page_and_json_together(self):
        page = self.path("report.html")
        out = self.ok("report", self.package, "--html", page).out
        self.assertIn("report.html", out)
        data = self.data_of("report", self.package, "--html", page)
        text = self.read(page).decode()
        self.assertIn(data["package_id"], text)
        self.assertEqual(text.count("<tr><th scope=\"row\"><code>blk."),
                         sum(t["name"].startswith("blk.") for t in data["tensors"]))

    def test_figures_of_quality(self):
        files = [self.figures("this.json", self.package), self.figures("base.json", self.model)]
        data = self.data_of("report", self.package, "--quality", ",".join(files))
        wanted = [json.loads(self.read(name))["data"]["base"] for name in files]
        self.assertEqual([q["kl_mean"] for q in data["quality"]], [b["kl_mean"] for b in wanted])
        self.assertGreater(wanted[0]["kl_mean"], 0)
        self.assertEqual([q["this_package"] for q in data["quality"]], [True, False])
        self.assertAlmostEqual(data["quality"][0]["bits_per_weight"], data["bits_per_weight"])
        self.assertEqual(data["quality"][1]["bits_per_weight"], 32)
        text = self.ok("report", self.package, "--quality", files[0]).out
        self.assertIn("quality    perplexity ", text)

    def test_figures_that_the_package_carries(self):
        package = self.path("gated.tmpk")
        self.ok("compress", self.model, "-o", package, "--recipe", "int8", "--gate", "kld<100")
        quality, = self.data_of("report", package)["quality"]
        self.assertTrue(quality["this_package"] and quality["carried"])
        self.assertGreater(quality["kl_mean"], 0)
        self.ok("report", package, "--html", self.path("gated.html"))
        self.assertIn(b"--against MODEL --figures", self.read(self.path("gated.html")))
        self.assertIn("quality    perplexity ", self.ok("report", package).out)
        fields = GGUFReader(self.export(package, "g.gguf")).fields
        told = {key: field.contents() for key, field in fields.items()}
        self.assertEqual(told["tmill.kl_mean"], repr(quality["kl_mean"]))
        self.assertEqual(told["tmill.perplexity"], repr(quality["perplexity"]))

    def test_eval_writes_the_same_page(self):
        figures, pages = self.path("f.json"), [self.path("eval.html"), self.path("report.html")]
        out = self.ok("eval", self.package, "--base", self.model, "-c", "64", "-n", "200", "--json",
                      "--tasks", "mini", "--items", "5", "--html", pages[0]).out
        self.put("f.json", out)
        self.ok("report", self.package, "--quality", figures, "--html", pages[1])
        self.assertEqual(*map(self.read, pages))
        self.assertIn(b"mini", self.read(pages[0]))
        self.ok("eval", self.model, "-c", "64", "-n", "200", "--html", self.path("model.html"))
        page = self.read(self.path("model.html")).decode()
        self.assertIn("<dt>Bits a weight</dt><dd>32.00", page)
        self.assertNotIn("Where the error is", page)
        self.refused(2, ["overwrite the model"], "eval", self.model, "--html", self.model)

    def test_a_model_card(self):
        card = self.path("README.md")
        figures = self.figures("this.json", self.package)
        self.ok("report", self.package, "--card", card, "--base-model", "a/b", "--quality", figures)
        text = self.read(card).decode()
        self.assertTrue(text.startswith('---\nbase_model: "a/b"\n'), text)
        self.assertIn(self.made["package_id"], text)
        self.assertIn("| perplexity over the source's | ", text)
        before = text
        self.ok("report", self.package, "--card", card, "--base-model", "a/b", "--quality", figures)
        self.assertEqual(before, self.read(card).decode())

    def test_jobs(self):
        job = self.data_of("jobs")["jobs"][0]["job"]
        self.assertEqual(self.ok("report", job).out, self.ok("report", self.package).out)
        self.submit(self.model, "second.tmpk", "int4")
        running, = [j["job"] for j in self.data_of("jobs")["jobs"] if j["state"] == "running"]
        text = self.ok("report", running, "--html", self.path("job.html"), "-q").out
        data = self.data_of("report", running)
        self.assertEqual((data["subject"], data["state"]), ("job", "running"))
        self.assertLess(data["units_done"], data["units"])
        self.refused(2, ["--card", "no package"], "report", running, "--card", self.path("c.md"))
        self.assertEqual(sum(t["units_done"] for t in data["tensors"] if not t["lossless"]), 0)
        self.assertNotIn("package_id", data)
        self.assertIn("come with the package", self.read(self.path("job.html")).decode())
        self.assertIn("not yet", self.read(self.path("job.html")).decode())
        self.assertIn("job.html", text)
        os.remove(self.package)
        self.assertEqual(self.data_of("report", job)["state"], "done")

    def test_what_cannot_be_reported(self):
        self.refused(3, ["J0123456789ff"], "report", "J0123456789ff")
        self.refused(3, ["nothing"], "report", self.path("nothing"))
        self.refused(4, ["m.gguf"], "report", self.model)
        broken = self.put("broken.tmpk", self.read(self.package)[:-1])
        self.refused(4, ["broken.tmpk"], "report", broken)
        self.refused(3, ["none.json"], "report", self.package, "--quality", self.path("none.json"))
        other = self.put("other.json", json.dumps({"schema": "tmill.jobs/1", "data": {}}))
        self.refused(4, ["other.json", "tmill eval"], "report", self.package, "--quality", other)
        self.refused(2, ["overwrite the package"], "report", self.package, "--html", self.package)
        self.refused(3, ["no/such"], "report", self.package, "--html", self.path("no/such/x.html"))
        self.refused(4, ["text"], "report", self.package, "--quality", self.put("text", "hello"))


if __name__ == "__main__":
    main()
