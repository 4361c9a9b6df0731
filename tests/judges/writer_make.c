/* SPDX-License-Identifier: Apache-2.0
 * writer_make FOLDER: writes {all,meta}.{safetensors,gguf} with model/writer. The byte at
 * position i of a file's tensor data (zeros for the alignment not counted) is (i * 31 + 7) % 251,
 * so that judge_writer.py knows every value without reading our code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/writer.h"

#define NAMED(text) (text), sizeof(text) - 1

static const struct tm_tensor_spec safetensors_specs[] = {
    {NAMED("f64"), TM_F64, {2, {3, 2}}},
    {NAMED("f32"), TM_F32, {3, {2, 3, 4}}},
    {NAMED("f16"), TM_F16, {2, {7, 3}}},
    {NAMED("bf16"), TM_BF16, {1, {9}}},
    {NAMED("f8_e4m3"), TM_F8_E4M3, {2, {3, 5}}},
    {NAMED("f8_e5m2"), TM_F8_E5M2, {2, {5, 3}}},
    {NAMED("i64"), TM_I64, {1, {4}}},
    {NAMED("i32"), TM_I32, {1, {5}}},
    {NAMED("i16"), TM_I16, {1, {6}}},
    {NAMED("i8"), TM_I8, {1, {7}}},
    {NAMED("u64"), TM_U64, {1, {4}}},
    {NAMED("u32"), TM_U32, {1, {5}}},
    {NAMED("u16"), TM_U16, {1, {6}}},
    {NAMED("u8"), TM_U8, {1, {7}}},
    {NAMED("bool"), TM_BOOL, {1, {0}}},
    {NAMED("scalar"), TM_F32, {0, {0}}},
    {NAMED("none"), TM_F16, {3, {4, 0, 2}}},
    {NAMED("rank8"), TM_U8, {8, {1, 2, 1, 3, 1, 2, 1, 1}}},
    {NAMED("quote\" back\\slash\ttab\nline /slash \xc3\xa9 \xe2\x82\xac \xf0\x9f\xa6\x99"),
     TM_I8,
     {1, {3}}},
    {NAMED("\x7f\xc2\x80\xe2\x80\xa8"), TM_I8, {1, {1}}},
    {NAMED(""), TM_F32, {1, {2}}},
};

static const struct tm_tensor_spec gguf_specs[] = {
    {NAMED("token_embd.weight"), TM_Q8_0, {2, {5, 96}}},
    {NAMED("blk.0.q4_0"), TM_Q4_0, {2, {3, 64}}},
    {NAMED("blk.0.q4_1"), TM_Q4_1, {2, {1, 32}}},
    {NAMED("blk.0.q5_0"), TM_Q5_0, {2, {2, 32}}},
    {NAMED("blk.0.q5_1"), TM_Q5_1, {3, {2, 1, 32}}},
    {NAMED("blk.0.q4_k"), TM_Q4_K, {2, {1, 512}}},
    {NAMED("blk.0.q5_k"), TM_Q5_K, {2, {3, 256}}},
    {NAMED("blk.0.q6_k"), TM_Q6_K, {2, {1, 256}}},
    {NAMED("f64"), TM_F64, {1, {3}}},
    {NAMED("f32"), TM_F32, {4, {2, 3, 1, 5}}},
    {NAMED("f16"), TM_F16, {2, {7, 3}}},
    {NAMED("bf16"), TM_BF16, {1, {9}}},
    {NAMED("i64"), TM_I64, {1, {4}}},
    {NAMED("i32"), TM_I32, {1, {5}}},
    {NAMED("i16"), TM_I16, {1, {6}}},
    {NAMED("i8"), TM_I8, {1, {7}}},
    {NAMED("scalar"), TM_F32, {0, {0}}},
    {NAMED("none"), TM_F16, {1, {0}}},
    {NAMED("name of sixty-three bytes, \xc3\xa9\xe2\x82\xac and \"quotes\" .............."),
     TM_F32,
     {1, {1}}},
};

static const char *const pairs[] = {"format", "pt", "a \"key\"\n", "value \\ \xe2\x82\xac", NULL};

static int fail(const struct tm_err *err)
{
    char line[2048];
    fprintf(stderr, "writer_make: %s\n", tm_err_line(err, line, sizeof line));
    return EXIT_FAILURE;
}

static tm_status write_file(const struct tm_writer_options *options,
                            const struct tm_tensor_spec *specs, size_t count, struct tm_err *err)
{
    struct tm_writer *writer;
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = 0;
        TM_ASSERT(tm_shape_bytes(&specs[i].shape, specs[i].dtype, &bytes));
        total += bytes;
    }
    TM_TRY(tm_writer_begin(options, specs, count, &writer, err));
    tm_status status = TM_OK;
    for (uint64_t at = 0; at < total && status == TM_OK;) {
        uint8_t piece[61]; /* never in step with the tensors */
        size_t n = total - at < sizeof piece ? (size_t)(total - at) : sizeof piece;
        for (size_t i = 0; i < n; i++) {
            piece[i] = (uint8_t)(((at + i) * 31 + 7) % 251);
        }
        status = tm_writer_append(writer, piece, n, err);
        at += n;
    }
    if (status != TM_OK) {
        tm_writer_abort(&writer);
        return status;
    }
    return tm_writer_finish(&writer, err);
}

/* Pairs "general.alignment" = u32 128, "split.count" = u16 3, "x.y" = string "kept". */
static const uint8_t blob[] = "\3\0\0\0\0\0\0\0"
                              "\21\0\0\0\0\0\0\0general.alignment\4\0\0\0\200\0\0\0"
                              "\13\0\0\0\0\0\0\0split.count\2\0\0\0\3\0"
                              "\3\0\0\0\0\0\0\0x.y\10\0\0\0\4\0\0\0\0\0\0\0kept";

int main(int argc, char **argv)
{
    char path[TM_PATH_MAX];
    struct tm_err err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: writer_make FOLDER\n");
        return EXIT_FAILURE;
    }
    struct tm_writer_options options = {.path = path, .arch = "llama", .metadata = pairs};
    const size_t safetensors = sizeof safetensors_specs / sizeof safetensors_specs[0];
    const size_t gguf = sizeof gguf_specs / sizeof gguf_specs[0];

    options.format = TM_FORMAT_SAFETENSORS;
    snprintf(path, sizeof path, "%s/all.safetensors", argv[1]);
    if (write_file(&options, safetensors_specs, safetensors, &err) != TM_OK) {
        return fail(&err);
    }
    options.format = TM_FORMAT_GGUF;
    snprintf(path, sizeof path, "%s/all.gguf", argv[1]);
    if (write_file(&options, gguf_specs, gguf, &err) != TM_OK) {
        return fail(&err);
    }
    options.gguf_metadata = tm_view_of(blob, sizeof blob - 1);
    snprintf(path, sizeof path, "%s/meta.gguf", argv[1]);
    if (write_file(&options, gguf_specs + 1, 3, &err) != TM_OK) {
        return fail(&err);
    }
    options.format = TM_FORMAT_SAFETENSORS;
    snprintf(path, sizeof path, "%s/meta.safetensors", argv[1]);
    return write_file(&options, NULL, 0, &err) == TM_OK ? EXIT_SUCCESS : fail(&err);
}
