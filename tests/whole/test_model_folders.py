# SPDX-License-Identifier: Apache-2.0
"""Model folders: shards, tied heads, tokenizers; and what is no model at all."""
import gzip
import json
import os
import shutil
import tarfile
import zipfile

from harness import Whole, main
from makers import (Tensor, bpe_tokenizer, config, hf_folder, hf_tensors, safetensors, weights,
                    write)


class Shards(Whole):
    def setUp(self):
        super().setUp()
        self.tensors = hf_tensors()

    def folder(self, name, shards=3, **changes):
        path = self.path(name)
        return path, hf_folder(path, self.tensors, shards, **changes)

    def index(self, folder, change):
        path = os.path.join(folder, "model.safetensors.index.json")
        with open(path, encoding="utf-8") as stream:
            index = json.load(stream)
        change(index)
        write(path, json.dumps(index))

    def test_a_whole_folder_is_one_model(self):
        for shards in (1, 2, 3, 7):
            path, _ = self.folder(f"m{shards}", shards)
            for named in [path, path + "/"] + \
                    ([os.path.join(path, "model.safetensors.index.json")] if shards > 1 else []):
                seen = self.data_of("inspect", named, "--tensors", "--hash")
                self.assertEqual({t["name"]: t["sha256"] for t in seen["tensors"]},
                                 {t.name: t.listing["sha256"] for t in self.tensors})

    def test_a_missing_shard_is_named_and_nothing_is_written(self):
        for missing in range(3):
            path, names = self.folder(f"gap{missing}")
            os.unlink(os.path.join(path, names[missing]))
            self.refused((3, 4), [names[missing]], "inspect", path)
            self.refused((3, 4), [names[missing]], "compress", path, "-o", self.path("o.tmpk"))

    def test_an_index_that_lies(self):
        def drop(index):
            del index["weight_map"]["model.norm.weight"]

        def add(index):
            index["weight_map"]["ghost.weight"] = "model-00001-of-00003.safetensors"

        def move(index):
            index["weight_map"]["model.norm.weight"] = "model-00002-of-00003.safetensors"
            index["weight_map"]["model.embed_tokens.weight"] = "model-00003-of-00003.safetensors"

        def climb(index):
            index["weight_map"]["model.norm.weight"] = "../outside.safetensors"

        def absolute(index):
            index["weight_map"]["model.norm.weight"] = "/etc/passwd"

        def number(index):
            index["weight_map"]["model.norm.weight"] = 7

        def nothing(index):
            del index["weight_map"]
        for change, words in ((drop, ["model.norm.weight"]), (add, ["ghost.weight"]),
                              (move, [["model.norm.weight", "model.embed_tokens.weight"]]),
                              (climb, ["index.json", "byte", "shard"]),
                              (absolute, ["index.json", "byte", "shard"]),
                              (number, ["index.json", "byte"]), (nothing, ["weight_map"])):
            with self.subTest(change.__name__):
                path, _ = self.folder(change.__name__)
                self.put("outside.safetensors", safetensors(self.tensors))
                self.index(path, change)
                self.refused((3, 4), words, "inspect", path)

    def test_a_damaged_shard_is_named(self):
        path, names = self.folder("cut")
        whole = self.read(os.path.join(path, names[1]))
        pointer = b"version https://git-lfs.github.com/spec/v1\n"
        for data in (whole[:-100], whole[:50], b"", pointer):
            write(os.path.join(path, names[1]), data)
            self.refused(4, [names[1]], "inspect", path)

    def test_the_same_tensor_in_two_shards(self):
        path, names = self.folder("twice")
        extra = [*self.tensors[1::3], self.tensors[0]]
        write(os.path.join(path, names[1]), safetensors(extra))
        self.refused(4, [self.tensors[0].name], "inspect", path)

    def test_a_tied_head_is_absent_and_stays_absent(self):
        for shards in (1, 2):
            tied = hf_tensors(tied=True)
            path = self.path(f"tied{shards}")
            hf_folder(path, tied, shards, tie_word_embeddings=True)
            package, data = self.compress(path, f"tied{shards}.tmpk", recipe="int4")
            seen = self.data_of("inspect", package)
            self.assertEqual(seen["tensor_count"], len(tied))
            self.ok("verify", package, "--against", path, "--full")
            out = self.export(package, f"tied{shards}.safetensors")
            names = {t["name"] for t in self.data_of("inspect", out, "--tensors")["tensors"]}
            self.assertEqual(names, {t.name for t in tied})
            self.assertGreater(data["units"], 0)


class Tokenizers(Whole):
    MERGES = [("t", "h"), ("th", "e"), ("a", "n"), ("an", "d"), ("1", "2")]

    def counts(self, tokenizer, name="m"):
        path = self.path(name)
        hf_folder(path, [Tensor("w", weights(1, 4, 32))])
        write(os.path.join(path, "tokenizer.json"), tokenizer)
        seen = self.data_of("inspect", path)
        return seen["tokens"], seen["merges"]

    def test_merges_as_texts_and_as_pairs(self):
        for pairs in (False, True):
            for merges in ([], self.MERGES[:1], self.MERGES):
                for added in ((), ("<|end|>",), ("<a>", "<b>")):
                    text = bpe_tokenizer(merges, added, pairs)
                    self.assertEqual(self.counts(text), (256 + len(merges) + len(added),
                                                         len(merges)))

    def test_an_added_token_that_is_in_the_vocabulary_counts_once(self):
        tokenizer = json.loads(bpe_tokenizer(self.MERGES, ["<|end|>"]))
        tokenizer["model"]["vocab"]["<|end|>"] = tokenizer["added_tokens"][0]["id"]
        self.assertEqual(self.counts(json.dumps(tokenizer)), (262, 5))

    def test_merges_of_an_unknown_form_are_never_taken_for_none(self):
        for i, merges in enumerate([{"t": "h"}, [["t", "h", "e"]], [["t"]], [7], "t h", [None],
                                    [{"a": "t", "b": "h"}], ["th"]]):
            with self.subTest(merges=merges):
                path = self.path(f"odd{i}")
                hf_folder(path, [Tensor("w", weights(1, 4, 32))])
                tokenizer = json.loads(bpe_tokenizer([]))
                tokenizer["model"]["merges"] = merges
                write(os.path.join(path, "tokenizer.json"), json.dumps(tokenizer))
                self.refused(4, ["tokenizer.json"], "inspect", path)

    def test_the_tokenizer_travels_byte_for_byte(self):
        path = self.path("m")
        hf_folder(path, [Tensor("w", weights(1, 4, 32))])
        text = bpe_tokenizer(self.MERGES, ["<|end|>"]) + "  \n"
        write(os.path.join(path, "tokenizer.json"), text)
        listed = {a["file"]: a["bytes"] for a in self.data_of("inspect", path)["attachments"]}
        self.assertEqual(listed["tokenizer.json"], len(text.encode()))
        package, _ = self.compress(path)
        self.assertIn(b"config.json", self.read(package))


class WrongKind(Whole):
    """Files that people give to the wrong program, each told what it is."""

    def samples(self):
        zipped = self.path("zip")
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}.")
        tarred = self.path("tar")
        with tarfile.open(tarred, "w") as archive:
            archive.add(zipped, "x")
        lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
        page = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"
        return {
            "lfs": (lfs, 4, ["git lfs pull"]), "page": (page, 4, ["web page"]),
            "page2": (b"  \n<html>" + page, 4, ["web page"]),
            "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", 4,
                    ["web page"]),
            "json": (b'{"error":"Repository not found"}', (2, 4), []),
            "empty": (b"", 4, ["empty"]), "short": (b"abc", 4, ["short"]),
            "noise": (bytes(range(200, 250)) * 20, 4, ["neither"]),
            "zeros": (b"\0" * 4096, 4, []), "zip": (self.read(zipped), 4, ["no tensor in it"]),
            "tar": (self.read(tarred), 4, ["tar archive"]),
            "gz": (gzip.compress(page), 4, ["gzip"]),
            "pickle": (b"\x80\x02}q\x00.", 4, ["no tensor in it"]),
            "ggml": (b"lmgg" + b"\0" * 100, 8, ["GGML"]),
            "npy": (b"\x93NUMPY\x01\0" + b" " * 100, 4, ["NumPy"]),
            "text": (b"hello, this is no model\n" * 9, 4, ["neither"])}

    def test_each_kind_is_told_what_it_is(self):
        for name, (data, code, words) in self.samples().items():
            for suffix in (".safetensors", ".gguf", ".bin", ""):
                path = self.put(f"model{suffix}", data)
                with self.subTest(name, suffix=suffix):
                    self.refused(code, [f"model{suffix}", *words], "inspect", path,
                                 json_too=suffix == ".bin")
            self.refused(code, words, "compress", path, "-o", self.path("o.tmpk"), json_too=False)
        for command in (["verify"], ["export", "-o", self.path("o.gguf"), "--format", "gguf"],
                        ["publish", "--repo", self.path("repo")]):
            with self.subTest(command=command):
                path = self.put("m.safetensors", safetensors([Tensor("w", weights(1, 4))]))
                self.refused((4, 8), ["m.safetensors"], command[0], path, *command[1:])

    def test_inside_a_folder(self):
        for name, (data, code, words) in self.samples().items():
            folder = self.path("folder")
            shutil.rmtree(folder, ignore_errors=True)
            write(os.path.join(folder, "model.safetensors"), data)
            write(os.path.join(folder, "config.json"), config())
            with self.subTest(name):
                self.refused(code, ["model.safetensors", *words], "inspect", folder,
                             json_too=False)

    def test_places_without_a_model(self):
        os.mkdir(self.path("empty"))
        self.refused((2, 3, 4), ["empty"], "inspect", self.path("empty"))
        self.refused(3, ["nowhere"], "inspect", self.path("nowhere"))
        self.refused(3, ["nowhere"], "inspect", self.path("nowhere/model.gguf"))
        write(self.path("torch", "pytorch_model.bin"), b"\x80\x02}q\x00.")
        self.refused((4, 8), ["pytorch_model.bin"], "inspect", self.path("torch"))
        os.mkfifo(self.path("pipe"))
        self.refused((2, 3, 4), ["pipe"], "inspect", self.path("pipe"), timeout=10)
        self.refused((2, 3, 4), ["/dev/zero"], "inspect", "/dev/zero", timeout=10)


if __name__ == "__main__":
    main()
