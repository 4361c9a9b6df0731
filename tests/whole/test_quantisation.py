# SPDX-License-Identifier: Apache-2.0
"""Weights that make quantisers stumble: NaN, Inf, rows of odd lengths, zeros, subnormals, huge
values. Nothing silent, nothing wrong: what cannot be compressed is kept, and said to be."""
import numpy as np
from harness import Whole, main
from makers import Tensor, rng, safetensors, weights
from safetensors.numpy import load_file

RECIPES = ("int8", "int4", "ternary")


class Quantisation(Whole):
    def through(self, tensors, recipe, name="m"):
        """{name: (values in, values out)} after compress, verify --full and export as F32."""
        model = self.put(f"{name}.safetensors", safetensors(tensors))
        package = self.path(f"{name}.tmpk")
        result = self.ok("compress", model, "-o", package, "--recipe", recipe)
        self.ok("verify", package, "--against", model, "--full")
        out = load_file(self.export(package, f"{name}-out.safetensors", kind="f32"))
        self.warnings = result.err
        return {t.name: (t.values, out[t.name]) for t in tensors}

    def assert_near(self, given, got, recipe, groups=32):
        """Within one step of the grid of each group."""
        self.assertEqual(given.shape, got.shape)
        self.assertTrue(np.isfinite(got).all())
        flat, back = given.reshape(-1, given.shape[-1]), got.reshape(-1, given.shape[-1])
        levels = {"int8": 127, "int4": 7}[recipe]
        for at in range(0, flat.shape[1], groups):
            a, b = flat[:, at:at + groups], back[:, at:at + groups]
            # The scale itself is a half-precision number, with 11 bits and a smallest value.
            step = np.abs(a).max(1, keepdims=True) / levels * 1.01 + 2.0 ** -24 * levels
            self.assertTrue((np.abs(a - b) <= step).all())

    def test_values_that_are_no_numbers_are_kept_and_named(self):
        for value in (np.nan, np.inf, -np.inf):
            for dtype in ("F32", "F16"):
                for recipe in RECIPES:
                    sick = weights(1, 8, 64)
                    sick[5, 17] = value
                    tensors = [Tensor("fine.weight", weights(2, 8, 64), dtype),
                               Tensor("sick.weight", sick, dtype)]
                    result = self.through(tensors, recipe)
                    self.assertIn("sick.weight", self.warnings)
                    self.assertNotIn("fine.weight", self.warnings)
                    given, got = result["sick.weight"]
                    given = given.astype("<f2").astype("<f4") if dtype == "F16" else given
                    np.testing.assert_array_equal(given, got)
                    self.assertTrue(np.isfinite(result["fine.weight"][1]).all())
                    package = self.data_of("inspect", self.path("m.tmpk"), "--tensors")
                    pipelines = {t["name"]: t["pipeline"] for t in package["tensors"]}
                    self.assertIn("zstd", pipelines["sick.weight"])
                    self.assertNotIn("zstd", pipelines["fine.weight"])

    def test_nothing_but_nan(self):
        given, got = self.through([Tensor("w", np.full((4, 64), np.nan, "<f4"))], "int8")["w"]
        self.assertTrue(np.isnan(given).all() and np.isnan(got).all())

    def test_rows_of_every_odd_length(self):
        columns = [1, 2, 31, 32, 33, 63, 65, 100, 127, 255, 257, 1000]
        tensors = [Tensor(f"w{n}", weights(n, 3, n)) for n in columns]
        tensors += [Tensor("conv", weights(7, 4, 3, 3, 3)), Tensor("cube", weights(8, 2, 5, 33)),
                    Tensor("bias", weights(9, 33)), Tensor("one", weights(10, 1, 1)),
                    Tensor("scalar", np.float32(0.5))]
        for recipe in RECIPES:
            result = self.through(tensors, recipe)
            for name, (given, got) in result.items():
                with self.subTest(recipe, tensor=name):
                    self.assertEqual(given.shape, got.shape)
                    if given.ndim < 2 or given.size < 32:
                        np.testing.assert_array_equal(given, got)
                    elif recipe != "ternary":
                        # Short dimensions are joined until a row holds a group.
                        columns = given.shape[-1]
                        for dim in given.shape[-2::-1]:
                            columns *= dim if columns < 32 else 1
                        self.assert_near(given.reshape(-1, columns), got.reshape(-1, columns),
                                         recipe)

    def test_zero_rows_stay_zero(self):
        w = weights(1, 8, 96)
        w[[0, 3, 7]] = 0
        w[5] = -0.0
        for recipe in RECIPES:
            _, got = self.through([Tensor("w", w), Tensor("none", np.zeros((4, 64)))], recipe)["w"]
            self.assertTrue((got[[0, 3, 5, 7]] == 0).all())
            self.assertTrue((got[1] != 0).any())
            self.assertTrue(np.isfinite(got).all())

    def test_subnormals_do_not_blow_up(self):
        tiny = (rng(1).standard_normal((4, 64)) * 1e-40).astype("<f4")
        mixed = weights(2, 4, 64)
        mixed[2] = tiny[0]
        least = np.full((2, 64), np.float32(1.4e-45))
        for recipe in RECIPES:
            tensors = [Tensor("tiny", tiny), Tensor("mixed", mixed), Tensor("least", least)]
            for name, (given, got) in self.through(tensors, recipe).items():
                with self.subTest(recipe, tensor=name):
                    self.assertTrue(np.isfinite(got).all())
                    self.assertLessEqual(np.abs(got).max(), np.abs(given).max() * 1.5)

    def test_huge_values(self):
        for scale in (1e4, 6e4, 1e6, 1e30, 3e38):
            huge = rng(1).uniform(-scale, scale, (4, 64)).astype("<f4")
            one = weights(3, 4, 64)
            one[1, 1] = scale
            for recipe in RECIPES:
                tensors = [Tensor("huge", huge), Tensor("one", one)]
                for name, (given, got) in self.through(tensors, recipe).items():
                    with self.subTest(recipe, scale=scale, tensor=name):
                        self.assertTrue(np.isfinite(got).all())
                        if recipe != "ternary":
                            self.assert_near(given, got, recipe)

    def test_ternary_weights_are_exact(self):
        signs = rng(1).integers(-1, 2, (16, 128)).astype("<f4")
        tensors = [Tensor("half", signs * np.float32(0.5)), Tensor("flat", np.full((4, 64), 0.25)),
                   Tensor("rows", signs * np.float32(2) ** np.arange(-8, 8)[:, None])]
        for name, (given, got) in self.through(tensors, "ternary").items():
            with self.subTest(name):
                np.testing.assert_array_equal(given, got)

    def test_integers_are_never_rounded(self):
        tensors = [Tensor("ids", rng(1).integers(-2 ** 62, 2 ** 62, (4, 64)), "I64"),
                   Tensor("mask", rng(2).integers(0, 2, (4, 64)), "BOOL"),
                   Tensor("w", weights(3, 4, 64))]
        model = self.put("m.safetensors", safetensors(tensors))
        package, _ = self.compress(model, recipe="int4")
        out = load_file(self.export(package, "out.safetensors"))
        np.testing.assert_array_equal(out["ids"], tensors[0].values)
        np.testing.assert_array_equal(out["mask"], tensors[1].values.astype(bool))
        recipe = self.put("r.toml", 'schema = 1\nrule = [\n  { match = "*", codec = "int8" },\n'
                                    '  { match = "ids", codec = "int8" },\n]\n')
        self.refused((2, 4), ["ids"], "compress", model, "-o", self.path("no.tmpk"), "--recipe",
                     recipe)


if __name__ == "__main__":
    main()
