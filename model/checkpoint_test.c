/* SPDX-License-Identifier: Apache-2.0 */
#include "model/checkpoint.h"

#include <unistd.h>

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static const char header[] =
    "{\"lm_head.weight\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
    "\"model.embed_tokens.weight\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[7,7]}}";

START_TEST(reads_ranges)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    const char *path = st_put(&dir, "m", header, 7);
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
    ck_assert_str_eq(tm_checkpoint_path(checkpoint), path);
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    ck_assert_uint_eq(inventory->tensor_count, 3);
    ck_assert_str_eq(inventory->tensors[0].name, "model.embed_tokens.weight");
    ck_assert_str_eq(inventory->tensors[2].name, "lm_head.weight");
    uint8_t data[8] = {0};
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, 0, 1, data, 2, &err), TM_OK);
    ck_assert(data[0] == 5 && data[1] == 6);
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, 1, 0, data, 0, &err), TM_OK);
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, 0, 1, data, 3, &err), TM_E_USAGE);
    ck_assert_says(&err, "model.embed_tokens.weight");
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, 0, UINT64_MAX, data, 2, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, 1, 0, data, 1, &err), TM_E_USAGE);
    tm_checkpoint_close(&checkpoint);
    tm_checkpoint_close(&checkpoint);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(hashes)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    struct tm_digest digest;
    struct tm_buf buf;
    /* More than two pieces of 1 MiB. */
    size_t bytes = (2u << 20) + 12345;
    char text[200];
    snprintf(text, sizeof text,
             "{\"a\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},"
             "\"e\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
             bytes, bytes);
    st_file(&buf, text, bytes);
    const char *path = test_put_buf(&dir, "m", &buf);
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
    ck_assert_int_eq(tm_checkpoint_hash(checkpoint, 0, &digest, &err), TM_OK);
    struct tm_digest whole = tm_digest_of(tm_view_of(buf.data + buf.bytes - bytes, bytes));
    ck_assert(tm_digest_eq(&digest, &whole));
    ck_assert_int_eq(tm_checkpoint_hash(checkpoint, 1, &digest, &err), TM_OK);
    char hex[TM_DIGEST_TEXT];
    ck_assert_str_eq(tm_digest_hex(&digest, hex),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /* A file that shrinks later is an error, not a signal. */
    ck_assert_int_eq(truncate(path, 1000), 0);
    ck_assert_int_eq(tm_checkpoint_hash(checkpoint, 0, &digest, &err), TM_E_MALFORMED);
    tm_checkpoint_close(&checkpoint);
    tm_buf_deinit(&buf);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(outputs_that_are_inputs)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    ck_assert_int_eq(tm_dir_make(test_path(&dir, "d/sub"), 0755, &err), TM_OK);
    st_put(&dir, "d/model.safetensors", header, 7);
    ck_assert_int_eq(symlink("d/model.safetensors", test_path(&dir, "link")), 0);
    ck_assert_int_eq(symlink("d", test_path(&dir, "dlink")), 0);
    ck_assert_int_eq(link(test_path(&dir, "d/model.safetensors"), test_path(&dir, "hard")), 0);
    for (int folder = 0; folder < 2; folder++) {
        const char *path = test_path(&dir, folder ? "dlink" : "d/model.safetensors");
        ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "d/model.safetensors")));
        ck_assert(
            tm_checkpoint_is_input(checkpoint, test_path(&dir, "d/../d/./model.safetensors")));
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "link")));
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "hard")));
        ck_assert(!tm_checkpoint_is_input(checkpoint, test_path(&dir, "new")));
        ck_assert(!tm_checkpoint_is_input(checkpoint, test_path(&dir, "dd/new")));
        bool inside = folder == 1;
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "d/new")) == inside);
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "dlink/sub/new")) == inside);
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "d/none/x/new")) == inside);
        ck_assert(tm_checkpoint_is_input(checkpoint, test_path(&dir, "d")) == inside);
        tm_checkpoint_close(&checkpoint);
    }
    test_dir_remove(&dir);
}
END_TEST

START_TEST(odd_paths)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err;
    const char *path = st_put(&dir, "\xc4\x8d 'q' \"d\" $HOME %s%n.bin", header, 7);
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
    tm_checkpoint_close(&checkpoint);
    path = test_put_text(&dir, "x\n\x1b[31mok", "\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_E_MALFORMED);
    char line[2048];
    tm_err_line(&err, line, sizeof line);
    ck_assert_ptr_null(strchr(line, '\n'));
    ck_assert_ptr_null(strchr(line, '\x1b'));
    ck_assert_int_eq(tm_checkpoint_open(test_path(&dir, "none"), &checkpoint, &err),
                     TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_checkpoint_open("", &checkpoint, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_null(checkpoint);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    struct test_dir dir = test_dir_make();
    st_put(&dir, "1.st",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
           "\"__metadata__\":{\"x\":\"y\"}}",
           4);
    st_put(&dir, "2.st",
           "{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
           "\"__metadata__\":{\"x\":\"z\"}}",
           4);
    test_put_text(&dir, "model.safetensors.index.json",
                  "{\"weight_map\":{\"a\":\"1.st\",\"b\":\"2.st\"}}");
    test_put_text(&dir, "config.json", "{\"model_type\":\"llama\"}");
    test_put_text(&dir, "tokenizer.json", "{\"model\":{\"vocab\":{\"a\":0}}}");
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_checkpoint *checkpoint = NULL;
        struct tm_err err;
        struct tm_digest digest;
        tm_mem_fail_at(n);
        tm_status status = tm_checkpoint_open(dir.path, &checkpoint, &err);
        if (status == TM_OK) {
            status = tm_checkpoint_hash(checkpoint, 0, &digest, &err);
        }
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_msg(status == (done ? TM_OK : TM_E_NOMEM), "at %lu: %s %s", (unsigned long)n,
                      tm_status_name(status), err.why);
        if (done) {
            const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
            ck_assert_uint_eq(inventory->warning_count, 1);
            ck_assert_ptr_nonnull(strstr(inventory->warnings[0], "2.st has other __metadata__"));
        }
        tm_checkpoint_close(&checkpoint);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    test_dir_remove(&dir);
}
END_TEST

/* Inputs from public repositories, when the checkout has them beside it. */
static const char *shared(const char *name)
{
    static char path[1024];
    const char *root = getenv("TMILL_SHARED");
    snprintf(path, sizeof path, "%s/%s", root != NULL ? root : "../shared/data", name);
    return tm_path_exists(path) ? path : NULL;
}

START_TEST(files_of_others)
{
    static const struct {
        const char *name;
        tm_status status;
        const char *word; /* or the architecture */
        size_t tensors;
        uint64_t tokens;
    } rows[] = {
        {"readers/gguf/empty_69B.gguf", TM_OK, "llama", 0, 0},
        {"readers/gguf/ggml-vocab-bert-bge.gguf", TM_OK, "bert", 0, 30522},
        {"readers/gguf/tiny_122B.gguf", TM_E_MALFORMED, "test.weight.0", 0, 0},
        {"readers/safetensors/burn_multi_layer.safetensors", TM_OK, "", 9, 0},
        {"readers/safetensors/weight-inspect_tiny.safetensors", TM_E_MALFORMED, "5 bytes", 0, 0},
        {"readers/onnx/tiny-random-gpt2-fp32_past.onnx", TM_E_INCOMPATIBLE, "ONNX", 0, 0},
        {"readers/pth-good/burn_bfloat16.pt", TM_OK, "", 1, 0},
        {"readers/pth-good/burn_simple_legacy.pt", TM_OK, "", 3, 0},
        {"readers/pth-good/burn_tar_float32.tar", TM_OK, "", 1, 0},
        {"stories260K/stories260Ktok512.gguf", TM_OK, "llama", 48, 512},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *path = shared(rows[i].name);
        struct tm_checkpoint *checkpoint = NULL;
        struct tm_err err;
        if (path == NULL) {
            continue;
        }
        tm_status status = tm_checkpoint_open(path, &checkpoint, &err);
        ck_assert_msg(status == rows[i].status, "%s: %s", path, tm_status_name(status));
        if (status != TM_OK) {
            ck_assert_says(&err, rows[i].word);
            continue;
        }
        const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
        ck_assert_str_eq(inventory->arch, rows[i].word);
        ck_assert_uint_eq(inventory->tensor_count, rows[i].tensors);
        ck_assert_uint_eq(inventory->token_count, rows[i].tokens);
        tm_checkpoint_close(&checkpoint);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tcase = tcase_create("checkpoint");
    tcase_add_test(tcase, reads_ranges);
    tcase_add_test(tcase, hashes);
    tcase_add_test(tcase, outputs_that_are_inputs);
    tcase_add_test(tcase, odd_paths);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, files_of_others);
    suite_add_tcase(suite, tcase);
    return suite;
}
