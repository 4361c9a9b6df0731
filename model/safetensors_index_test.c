/* SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors_index.h"

#include "base/mem.h"
#include "model/checkpoint.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

START_TEST(parses)
{
    struct tm_shards index;
    struct tm_err err;
    const char *text = "{\"metadata\":{\"total_size\":12,\"x\":[1]},"
                       "\"weight_map\":{\"b\":\"2.st\",\"a\":\"1.st\",\"\":\"2.st\"}}";
    ck_assert_int_eq(tm_shards_parse(tm_view_str(text), "i", &index, &err), TM_OK);
    ck_assert_uint_eq(index.entry_count, 3);
    ck_assert_uint_eq(index.shard_count, 2);
    ck_assert_str_eq(index.shards[0], "2.st");
    ck_assert_uint_eq(index.entries[0].tensor.bytes, 0);
    ck_assert(tm_view_eq_str(index.entries[1].tensor, "a") && index.entries[1].shard == 1);
    ck_assert(tm_view_eq_str(index.entries[2].tensor, "b") && index.entries[2].shard == 0);
    tm_shards_deinit(&index);
}
END_TEST

START_TEST(refuses)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"{}", "without a weight_map"},
        {"{\"weight_map\":[]}", "object is expected"},
        {"{\"weight_map\":{\"a\":1}}", "string is expected"},
        {"{\"weight_map\":{\"a\":\"../x\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/x\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"x\\u0000\"}}", "plain file name"},
        {"{\"weight_map\":{\"a\":\"x\",\"\\u0061\":\"x\"}}", "duplicate"},
        {"{\"weight_map\":{},\"weight_map\":{}}", "duplicate"},
        {"{\"weight_map\":{}", "ends too early"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_shards index;
        struct tm_err err;
        ck_assert_msg(tm_shards_parse(tm_view_str(rows[i].text), "i.json", &index, &err) ==
                          TM_E_MALFORMED,
                      "%s", rows[i].text);
        ck_assert_says(&err, rows[i].word);
        ck_assert_says(&err, "i.json");
        tm_shards_deinit(&index);
    }
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    const char *text = "{\"weight_map\":{\"b\":\"2.st\",\"a\":\"1.st\"}}";
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_shards index;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_shards_parse(tm_view_str(text), "i", &index, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        tm_shards_deinit(&index);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

static const char one[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";
static const char two[] = "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";

static tm_status open_with(const struct test_dir *dir, const char *index,
                           struct tm_checkpoint **checkpoint, struct tm_err *err)
{
    const char *path = test_put_text(dir, "model.safetensors.index.json", index);
    return tm_checkpoint_open(path, checkpoint, err);
}

START_TEST(map_and_shards_must_agree)
{
    static const struct {
        const char *index;
        tm_status status;
        const char *word;
    } rows[] = {
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"2.st\"}}", TM_OK, NULL},
        {"{\"weight_map\":{\"a\":\"2.st\",\"b\":\"1.st\"}}", TM_E_MALFORMED,
         "not in the shard 2.st"},
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"1.st\"}}", TM_E_MALFORMED, "tensor 'b'"},
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"2.st\",\"c\":\"2.st\"}}", TM_E_MALFORMED,
         "tensor 'c': cannot read the sharded model: the index promises it"},
        {"{\"weight_map\":{\"b\":\"2.st\",\"c\":\"1.st\"}}", TM_E_MALFORMED,
         "tensor 'a': cannot read the sharded model: the index does not name it"},
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"3.st\"}}", TM_E_NOT_FOUND, "3.st"},
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"x.gguf\"}}", TM_E_MALFORMED,
         "neither a safetensors file nor"},
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"lfs\"}}", TM_E_MALFORMED, "LFS"},
        {"{\"weight_map\":{\"a\":\"1.st\",\"b\":\"same\"}}", TM_E_MALFORMED, "duplicate"},
    };
    struct test_dir dir = test_dir_make();
    st_put(&dir, "1.st", one, 4);
    st_put(&dir, "2.st", two, 2);
    st_put(&dir, "same", one, 4);
    test_put_text(&dir, "x.gguf", "GGUF0000000000000000000000000");
    test_put_text(&dir, "lfs", "version https://git-lfs.github.com/spec/v1\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_checkpoint *checkpoint = NULL;
        struct tm_err err;
        tm_status status = open_with(&dir, rows[i].index, &checkpoint, &err);
        ck_assert_msg(status == rows[i].status, "%zu: %s", i, err.why);
        if (status == TM_OK) {
            const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
            ck_assert_uint_eq(inventory->tensor_count, 2);
            ck_assert_uint_eq(inventory->total_bytes, 6);
        } else {
            ck_assert_says(&err, rows[i].word);
        }
        tm_checkpoint_close(&checkpoint);
    }
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("safetensors_index");
    TCase *tcase = tcase_create("safetensors_index");
    tcase_add_test(tcase, parses);
    tcase_add_test(tcase, refuses);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, map_and_shards_must_agree);
    suite_add_tcase(suite, tcase);
    return suite;
}
