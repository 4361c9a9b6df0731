/* SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors.h"

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static tm_status parse(const char *header, uint64_t data_bytes, struct tm_inventory *inventory,
                       struct tm_safetensors_meta *meta, struct tm_err *err)
{
    size_t bytes = strlen(header);
    /* An exact copy lets the sanitizer see reads past the end. */
    uint8_t *copy = tm_memdup(header, bytes);
    if (copy == NULL) {
        return TM_E_NOMEM;
    }
    struct tm_safetensors_options options = {.path = "m.st", .file_bytes = 8 + bytes + data_bytes};
    tm_status status =
        tm_safetensors_parse(tm_view_of(copy, bytes), &options, inventory, meta, err);
    tm_free(copy);
    return status;
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"BF16\",\"shape\":[4,2],\"data_offsets\":[8,24]},"
                           "\"a\":{\"shape\":[2],\"dtype\":\"F32\",\"data_offsets\":[0,8]},"
                           "\"e\":{\"dtype\":\"I64\",\"shape\":[0,3],\"data_offsets\":[8,8]},"
                           "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[24,25]}}   ";

START_TEST(reads)
{
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_safetensors_meta meta;
    struct tm_err err;
    tm_safetensors_meta_init(&meta);
    ck_assert_int_eq(parse(good, 25, &inventory, &meta, &err), TM_OK);
    ck_assert_uint_eq(inventory.tensor_count, 4);
    const struct tm_tensor *t = inventory.tensors;
    ck_assert_str_eq(t[0].name, "b");
    ck_assert_int_eq(t[0].dtype, TM_BF16);
    ck_assert_uint_eq(t[0].offset, 8 + strlen(good) + 8);
    ck_assert_uint_eq(t[0].bytes, 16);
    ck_assert(t[2].bytes == 0 && t[2].shape.rank == 2);
    ck_assert(t[3].bytes == 1 && t[3].shape.rank == 0);
    ck_assert_uint_eq(meta.entries, 1);
    ck_assert_uint_eq(meta.bytes, strlen("{\"format\":\"pt\"}"));
    ck_assert_uint_eq(meta.offset, 8 + strlen("{\"__metadata__\":"));
    tm_safetensors_meta_deinit(&meta);
    tm_inventory_deinit(&inventory);
}
END_TEST

#define E(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define A E("a", "F32", "[2]", "[0,8]")

static const struct {
    const char *header;
    uint64_t data_bytes;
    tm_status status;
    const char *word;
} refused[] = {
    {"", 0, TM_E_MALFORMED, "'{'"},
    {" {}", 0, TM_E_MALFORMED, "'{'"},
    {"[]", 0, TM_E_MALFORMED, "'{'"},
    {"{} x", 0, TM_E_MALFORMED, "after the value"},
    {"{\"a\":1}", 0, TM_E_MALFORMED, "not an object"},
    {"{" A ",\"a\\u0000b\":{}}", 8, TM_E_MALFORMED, "NUL"},
    {"{\"\xff\":{}}", 0, TM_E_MALFORMED, "UTF-8"},
    {"{" E("a", "F33", "[2]", "[0,8]") "}", 8, TM_E_MALFORMED, "'F33' is no type"},
    {"{" E("a", "Q4_0", "[32]", "[0,18]") "}", 18, TM_E_MALFORMED, "no type"},
    {"{" E("a", "F8_E8M0", "[8]", "[0,8]") "}", 8, TM_E_INCOMPATIBLE, "F8_E8M0"},
    {"{" E("a", "F32", "[-2]", "[0,8]") "}", 8, TM_E_MALFORMED, "whole number"},
    {"{" E("a", "F32", "[2.0]", "[0,8]") "}", 8, TM_E_MALFORMED, "whole number"},
    {"{" E("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, TM_E_MALFORMED, "8 dimensions"},
    {"{" E("a", "F32", "[3]", "[0,8]") "}", 8, TM_E_MALFORMED, "takes 12 bytes"},
    {"{" E("a", "F32", "[4294967296,4294967296]", "[0,8]") "}", 8, TM_E_MALFORMED, "overflow"},
    {"{" E("a", "F32", "[2]", "[8,0]") "}", 8, TM_E_MALFORMED, "data_offsets"},
    {"{" E("a", "F32", "[2]", "[0]") "}", 8, TM_E_MALFORMED, "data_offsets"},
    {"{" E("a", "F32", "[2]", "[0,8,8]") "}", 8, TM_E_MALFORMED, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, TM_E_MALFORMED, "missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, TM_E_MALFORMED,
     "key other than"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     TM_E_MALFORMED, "duplicate"},
    {"{" A "," E("b", "F32", "[1]", "[12,16]") "}", 16, TM_E_MALFORMED, "hole"},
    {"{" A "," E("b", "F32", "[1]", "[4,8]") "}", 8, TM_E_MALFORMED, "overlap"},
    {"{" A "," E("b", "F32", "[0]", "[4,4]") "}", 8, TM_E_MALFORMED, "overlap"},
    {"{" E("a", "F32", "[1]", "[4,8]") "}", 8, TM_E_MALFORMED, "hole"},
    {"{" A "," E("a", "F32", "[2]", "[8,16]") "}", 16, TM_E_MALFORMED, "duplicate"},
    {"{" A "," E("a", "F32", "[2]", "[12,20]") "}", 20, TM_E_MALFORMED, "duplicate"},
    {"{" A "," E("\\u0061", "F16", "[4]", "[0,8]") "}", 8, TM_E_MALFORMED, "duplicate"},
    {"{" A "}", 9, TM_E_MALFORMED, "1 bytes at the end belong to no tensor"},
    {"{" A "," E("b", "F32", "[2]", "[8,16]") "}", 15, TM_E_MALFORMED, "1 bytes are missing"},
    {"{" A "," E("b", "F32", "[2]", "[8,16]") "}", 3, TM_E_MALFORMED, "tensor 'a'"},
    {"{" E("a", "U8", "[18446744073709551615]", "[0,18446744073709551615]") "}", 8, TM_E_MALFORMED,
     "truncated"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, TM_E_MALFORMED, "duplicate"},
    {"{\"__metadata__\":{\"a\":1}}", 0, TM_E_MALFORMED, "not a string"},
};

START_TEST(refuses)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_safetensors_meta meta;
        struct tm_err err = {.status = TM_OK};
        uint32_t file;
        tm_safetensors_meta_init(&meta);
        ck_assert_int_eq(tm_inventory_add_file(&inventory, "m.st", &file), TM_OK);
        tm_status status = parse(refused[i].header, refused[i].data_bytes, &inventory, &meta, &err);
        if (status == TM_OK) {
            /* Two entries that cover the data: the name alone is wrong, and sealing finds it. */
            status = tm_inventory_seal(&inventory, &err);
        }
        ck_assert_msg(status == refused[i].status, "%s", refused[i].header);
        ck_assert_says(&err, refused[i].word);
        ck_assert_says(&err, "m.st");
        tm_safetensors_meta_deinit(&meta);
        tm_inventory_deinit(&inventory);
    }
}
END_TEST

/* Opens a file that holds these bytes, and reads whatever is accepted. */
static tm_status open_bytes(const struct test_dir *dir, const void *data, size_t bytes,
                            struct tm_err *err)
{
    struct tm_sources *sources = tm_calloc(1, sizeof *sources);
    const char *path = test_put(dir, "m.safetensors", data, bytes);
    uint32_t file;
    ck_assert_int_eq(tm_sources_open(sources, path, &file, err), TM_OK);
    tm_status status = tm_safetensors_open(sources, file, err);
    for (size_t i = 0; status == TM_OK && i < sources->inventory.tensor_count; i++) {
        const struct tm_tensor *t = &sources->inventory.tensors[i];
        ck_assert(t->offset <= bytes && t->bytes <= bytes - t->offset);
    }
    tm_sources_deinit(sources);
    tm_free(sources);
    return status;
}

START_TEST(every_cut_and_flip)
{
    struct test_dir dir = test_dir_make();
    struct tm_buf file;
    struct tm_err err;
    st_file(&file, good, 25);
    ck_assert_int_eq(open_bytes(&dir, file.data, file.bytes, &err), TM_OK);
    for (size_t bytes = 0; bytes < file.bytes; bytes++) {
        ck_assert_int_eq(open_bytes(&dir, file.data, bytes, &err), TM_E_MALFORMED);
        ck_assert_says(&err, "truncated");
        ck_assert_says(&err, "m.safetensors");
    }
    for (size_t bit = 0; bit < (file.bytes - 25) * 8; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        tm_status status = open_bytes(&dir, file.data, file.bytes, &err);
        ck_assert(status == TM_OK || status == TM_E_MALFORMED);
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    tm_buf_deinit(&file);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(header_lengths)
{
    static const struct {
        uint64_t length;
        const char *word;
    } rows[] = {{100000001, "at most 100000000"},
                {UINT64_MAX, "at most 100000000"},
                {UINT64_MAX - 7, "at most 100000000"},
                {100000000, "truncated within its header"},
                {40, "truncated within its header"}};
    struct test_dir dir = test_dir_make();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_buf buf;
        struct tm_err err;
        tm_buf_init(&buf, 1000);
        put_u64(&buf, rows[i].length);
        put_bytes(&buf, "{\"a\":{}}", 8);
        tm_mem_reset_peak();
        size_t peak = tm_mem_peak_bytes();
        ck_assert_int_eq(open_bytes(&dir, buf.data, buf.bytes, &err), TM_E_MALFORMED);
        ck_assert_says(&err, rows[i].word);
        ck_assert_uint_lt(tm_mem_peak_bytes() - peak, 65536);
        tm_buf_deinit(&buf);
    }
    test_dir_remove(&dir);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_safetensors_meta meta;
        struct tm_err err;
        tm_safetensors_meta_init(&meta);
        tm_mem_fail_at(n);
        tm_status status = parse(good, 25, &inventory, &meta, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        tm_safetensors_meta_deinit(&meta);
        tm_inventory_deinit(&inventory);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tcase = tcase_create("safetensors");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, reads);
    tcase_add_test(tcase, refuses);
    tcase_add_test(tcase, every_cut_and_flip);
    tcase_add_test(tcase, header_lengths);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
