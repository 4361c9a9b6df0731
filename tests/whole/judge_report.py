# SPDX-License-Identifier: Apache-2.0
"""A real Chromium and axe-core judge the page of `tmill report --html`: no violation of an
accessibility rule, light and dark, on a phone and on a desk; no request, no script, no sideways
scrolling, readable contrast in the pictures too. TMILL_SHOTS=FOLDER keeps the screenshots."""
import json
import os

from browser import Browser, Page
from harness import Whole, main
from makers import llama_gguf, safetensors, Tensor, weights

CACHE = os.environ.get("TMILL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill")
AXE = os.environ.get("TMILL_AXE", os.path.join(CACHE, "axe.min.js"))
VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (360, 1280)]
MARKUP = "<img src=x onerror=alert(1)>"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"
RUN_AXE = """axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
    r.violations.map(v => [v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])))"""
# The least contrast of a text in a picture to what lies under its middle (WCAG 2.2, 1.4.3).
CONTRAST = """(() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const lightness = color => rgb(color).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const page = getComputedStyle(document.body).backgroundColor;
  let least = 21, where = "";
  for (const text of document.querySelectorAll("svg text")) {
    const box = text.getBoundingClientRect();
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    const under = [...text.parentNode.querySelectorAll("rect")].filter(r => {
      const b = r.getBoundingClientRect();
      return b.left < x && x < b.right && b.top < y && y < b.bottom;
    });
    const back = under.length ? getComputedStyle(under[0]).fill : page;
    const [a, b] = [lightness(getComputedStyle(text).fill), lightness(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least) { least = ratio; where = text.outerHTML + " on " + back; }
  }
  return [least, where];
})()"""
SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll("svg text")].map(t =>
    parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))"""


class Judge(Whole):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(AXE):
            raise RuntimeError(f"there is no axe-core at {AXE}; run deploy/setup.sh")
        with open(AXE, encoding="utf-8") as stream:
            cls.axe = stream.read()
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    # ---- pages ----

    def measured_package(self):
        """A package with figures of quality of itself and of two others."""
        model = self.path("m.gguf")
        llama_gguf(model, layers=6)
        files = []
        for recipe in ("int4", "int8", "ternary"):
            package, _ = self.compress(model, f"{recipe}.tmpk", recipe)
            files.append(self.put(f"{recipe}.json", self.ok(
                "eval", package, "--base", model, "-c", "64", "-n", "300", "--tasks", "mini",
                "--items", "4", "--robust", "--json").out))
        return self.page_of("int4.tmpk", "--quality", ",".join(files))

    def strange_package(self):
        """Names that are markup and very long, every kind of tensor, no figures of quality."""
        tensors = [Tensor(f"model.layers.{i}.{name}", weights(i, *shape))
                   for i in range(3)
                   for name, shape in ((MARKUP + ".q_proj.weight", (32, 64)),
                                       ("x" * 300 + ".down_proj.weight", (64, 32)),
                                       ("self_attn.qkv_proj.weight", (64, 32)),
                                       ("input_layernorm.weight", (64,)),
                                       ("mlp.up_proj.bias", (64,)))]
        self.put(f"{MARKUP[:4]}.safetensors", safetensors(tensors))
        self.compress(self.path(f"{MARKUP[:4]}.safetensors"), "strange.tmpk", "int8")
        return self.page_of("strange.tmpk")

    def page_of(self, package, *flags):
        html = self.path(package + ".html")
        self.ok("report", self.path(package), *flags, "--html", html)
        return html

    def open(self, path, *view, **options):
        page = Page(self.browser, path, *view, **options)
        self.addCleanup(page.close)
        return page

    def keep(self, page, name):
        shots = os.environ.get("TMILL_SHOTS")
        if shots:
            with open(os.path.join(shots, name + ".png"), "wb") as stream:
                stream.write(page.screenshot())

    def violations(self, page):
        page.evaluate(self.axe)
        return json.loads(page.evaluate(RUN_AXE))

    def judge(self, path, name):
        for scheme, width in VIEWS:
            page = self.open(path, scheme, width)
            self.keep(page, f"{name}-{scheme}-{width}")
            what = f"{name}, {scheme}, {width} px"
            page.evaluate(OPEN_ALL)
            self.assertEqual(self.violations(page), [], what)
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width, what)
            least, where = page.evaluate(CONTRAST)
            self.assertGreaterEqual(least, 4.5, f"{what}: {where}")
            self.assertGreaterEqual(page.evaluate(SMALLEST_TEXT), 7, what)
            self.assertEqual(page.requests(), [], what)
            self.assertEqual(page.complaints(), [], what)
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
            self.assertEqual(dark, "rgb(20, 23, 26)" if scheme == "dark" else "rgb(255, 255, 255)")

    def unfinished_job(self):
        """The page of a job whose nodes have not come yet."""
        model = self.path("job.gguf")
        llama_gguf(model)
        self.submit(model, "job.tmpk", "int4")
        job, = [j["job"] for j in self.data_of("jobs")["jobs"] if j["state"] == "running"]
        html = self.path("job.html")
        self.ok("report", job, "--html", html)
        return html

    # ---- tests ----

    def test_a_package_with_figures(self):
        path = self.measured_package()
        self.judge(path, "measured")
        page = self.open(path)
        self.assertEqual(page.evaluate("document.querySelectorAll('svg[role=img]').length"), 4)

    def test_names_that_are_markup(self):
        path = self.strange_package()
        self.judge(path, "strange")
        page = self.open(path)
        self.assertEqual(page.evaluate("document.images.length + document.scripts.length"), 0)
        self.assertIn(MARKUP, page.evaluate(OPEN_ALL + "; document.body.innerText"))

    def test_a_job_that_has_just_begun(self):
        self.judge(self.unfinished_job(), "job")

    def test_without_script_it_is_the_same_picture(self):
        path = self.strange_package()
        pictures = [self.open(path, script=script).screenshot() for script in (True, False)]
        self.assertEqual(*pictures)

    def test_the_policy_stops_what_is_smuggled_in(self):
        path = self.strange_package()
        smuggled = ("<script>document.title='run'</script><img src='file:///etc/hostname'>"
                    "<style>body{display:none}</style></main>")
        text = self.read(path).decode().replace("</main>", smuggled)
        page = self.open(self.put("smuggled.html", text))
        self.assertNotEqual(page.evaluate("document.title"), "run")
        self.assertEqual(page.evaluate("getComputedStyle(document.body).display"), "block")
        self.assertGreaterEqual(len(page.complaints()), 3)

    def test_the_judge_bites(self):
        text = self.read(self.strange_package()).decode()
        for good, bad, rule in (("<html lang=\"en\">", "<html>", "html-has-lang"),
                                ("--dim:#555d66", "--dim:#bbb", "color-contrast"),
                                ("role=\"img\" aria-labelledby=\"map-t map-d\"", "role=\"img\"",
                                 "svg-img-alt"),
                                ("<th scope=\"row\">0</th>", "<th scope=\"row\"></th>",
                                 "empty-table-header")):
            self.assertIn(good, text)
            broken = text.replace(good, bad)
            if rule == "svg-img-alt":
                broken = broken.replace("<title id=\"map-t\">", "<desc>")
            if rule == "color-contrast":  # the policy allows the style by its digest
                broken = broken.replace("style-src 'sha256-", "style-src 'unsafe-inline' 'x-")
            page = self.open(self.put("broken.html", broken))
            page.evaluate(OPEN_ALL)
            self.assertIn(rule, [v[0] for v in self.violations(page)])


if __name__ == "__main__":
    main()
