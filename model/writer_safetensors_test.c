/* SPDX-License-Identifier: Apache-2.0 */
#include "model/writer_format.h"

#include <string.h>

#include "base/bytes.h"
#include "model/safetensors.h"
#include "tests/support/suite.h"

static tm_status head_of(const struct tm_writer_options *options,
                         const struct tm_tensor_spec *specs, size_t count,
                         struct tm_writer_head *head, struct tm_err *err)
{
    tm_buf_init(&head->bytes, TM_SAFETENSORS_HEADER_MAX + 8);
    return tm_writer_head_safetensors(options, specs, count, head, err);
}

/* The header is this JSON, padded with blanks to a multiple of 8 behind its length. */
static void check_head(const struct tm_writer_options *options, const struct tm_tensor_spec *specs,
                       size_t count, const char *json)
{
    struct tm_writer_head head;
    ck_assert_int_eq(head_of(options, specs, count, &head, NULL), TM_OK);
    size_t padded = (strlen(json) + 7) / 8 * 8;
    ck_assert_uint_eq(head.bytes.bytes, 8 + padded);
    ck_assert_uint_eq(tm_get_u64(head.bytes.data), padded);
    ck_assert_mem_eq(head.bytes.data + 8, json, strlen(json));
    for (size_t i = strlen(json); i < padded; i++) {
        ck_assert_int_eq(head.bytes.data[8 + i], ' ');
    }
    ck_assert_uint_eq(head.alignment, 1);
    tm_buf_deinit(&head.bytes);
}

START_TEST(headers_are_exact)
{
    struct tm_writer_options options = {.path = "m"};
    check_head(&options, NULL, 0, "{}");
    const struct tm_tensor_spec specs[] = {
        {"scalar", 6, TM_F64, {0, {0}}},
        {"none", 4, TM_F8_E4M3, {3, {2, 0, 7}}},
        {"w.\"q\"\\\n\xc3\xa9", 9, TM_BF16, {2, {3, 5}}},
        {"", 0, TM_BOOL, {1, {3}}},
    };
    check_head(&options, specs, 4,
               "{\"scalar\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
               "\"none\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,0,7],\"data_offsets\":[8,8]},"
               "\"w.\\\"q\\\"\\\\\\n\xc3\xa9\":{\"dtype\":\"BF16\",\"shape\":[3,5],"
               "\"data_offsets\":[8,38]},"
               "\"\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[38,41]}}");
}
END_TEST

START_TEST(metadata_comes_first)
{
    static const char *const pairs[] = {"format", "pt", "tmill.gguf_metadata", "not this", NULL};
    static const char *const none[] = {NULL};
    const struct tm_tensor_spec spec = {"a", 1, TM_I8, {1, {1}}};
    struct tm_writer_options options = {.path = "m", .metadata = none};
    check_head(&options, &spec, 1,
               "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    options.metadata = pairs;
    options.gguf_metadata = tm_view_str("foob");
    check_head(&options, &spec, 1,
               "{\"__metadata__\":{\"format\":\"pt\",\"tmill.gguf_metadata\":\"Zm9vYg==\"},"
               "\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    options.metadata = NULL;
    check_head(&options, NULL, 0, "{\"__metadata__\":{\"tmill.gguf_metadata\":\"Zm9vYg==\"}}");
}
END_TEST

static void check_refused(const struct tm_tensor_spec *spec, const char *why)
{
    struct tm_writer_options options = {.path = "out.safetensors"};
    struct tm_writer_head head;
    struct tm_err err;
    ck_assert_int_eq(head_of(&options, spec, 1, &head, &err), TM_E_INCOMPATIBLE);
    ck_assert_str_eq(err.why, why);
    ck_assert_ptr_nonnull(strstr(err.where, "out.safetensors: tensor '"));
    tm_buf_deinit(&head.bytes);
}

START_TEST(what_it_cannot_hold)
{
    const struct tm_tensor_spec q = {"q", 1, TM_Q4_K, {2, {1, 256}}};
    check_refused(&q, "safetensors has no block-quantised types");
    const struct tm_tensor_spec name = {"__metadata__", 12, TM_F32, {1, {1}}};
    check_refused(&name, "safetensors keeps this name for itself");
}
END_TEST

/* 75 million bytes of metadata make 100 million characters: one too many with the rest. */
START_TEST(header_limit)
{
    static uint8_t blob[75000000];
    struct tm_writer_options options = {.path = "m", .gguf_metadata = {blob, sizeof blob}};
    struct tm_writer_head head;
    ck_assert_int_eq(head_of(&options, NULL, 0, &head, NULL), TM_E_LIMIT);
    tm_buf_deinit(&head.bytes);
    options.gguf_metadata.bytes -= 50;
    ck_assert_int_eq(head_of(&options, NULL, 0, &head, NULL), TM_OK);
    ck_assert_uint_le(tm_get_u64(head.bytes.data), TM_SAFETENSORS_HEADER_MAX);
    ck_assert_uint_gt(tm_get_u64(head.bytes.data), TM_SAFETENSORS_HEADER_MAX - 100);
    tm_buf_deinit(&head.bytes);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("writer_safetensors");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_test(core, headers_are_exact);
    tcase_add_test(core, metadata_comes_first);
    tcase_add_test(core, what_it_cannot_hold);
    tcase_add_test(core, header_limit);
    suite_add_tcase(suite, core);
    return suite;
}
