/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_meta.h"

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static const char *const tokens[] = {"a", "", "ccc", NULL};

/* count pairs, one of each kind. */
static void sample(struct tm_buf *buf)
{
    tm_buf_init(buf, 1u << 20);
    put_u64(buf, 6);
    g_kv_str(buf, "general.architecture", "llama");
    g_kv_u32(buf, "n", 7);
    g_key(buf, "minus", 5);
    put_u32(buf, (uint32_t)-3);
    g_kv_strings(buf, "tokens", tokens);
    g_key(buf, "flags", 9);
    put_u32(buf, 7);
    put_u64(buf, 3);
    put_bytes(buf, "\1\0\1", 3);
    g_key(buf, "f", 6);
    put_u32(buf, 0x3f800000);
}

START_TEST(walks_all_kinds)
{
    struct tm_buf buf;
    struct tm_gguf_iter iter;
    struct tm_gguf_kv kv;
    struct tm_err err;
    sample(&buf);
    struct tm_view blob = tm_buf_view(&buf);
    ck_assert_int_eq(tm_gguf_meta_check(blob, &err), TM_OK);
    ck_assert_int_eq(tm_gguf_meta_begin(&iter, blob, blob.bytes, &err), TM_OK);
    size_t pairs = 0, raw_bytes = 8;
    while (tm_gguf_meta_next(&iter, &kv, &err) == TM_OK) {
        ck_assert_ptr_eq(kv.raw.data, blob.data + raw_bytes);
        raw_bytes += kv.raw.bytes;
        pairs++;
    }
    ck_assert_uint_eq(pairs, 6);
    ck_assert_uint_eq(raw_bytes, blob.bytes);
    ck_assert_uint_eq(iter.cursor.at, blob.bytes);
    ck_assert_int_eq(tm_gguf_meta_next(&iter, &kv, &err), TM_E_NOTHING);

    struct tm_view text;
    uint64_t n = 0;
    ck_assert(tm_gguf_meta_str(blob, "general.architecture", &text));
    ck_assert(tm_view_eq_str(text, "llama"));
    ck_assert(!tm_gguf_meta_str(blob, "n", &text) && !tm_gguf_meta_str(blob, "none", &text));
    ck_assert(tm_gguf_meta_u64(blob, "n", &n) && n == 7);
    ck_assert(!tm_gguf_meta_u64(blob, "minus", &n) && !tm_gguf_meta_u64(blob, "f", &n));
    ck_assert(tm_gguf_meta_find(blob, "tokens", &kv));
    ck_assert_uint_eq(kv.item_count, 3);
    struct tm_cursor cursor = tm_cursor_of(kv.value);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(tm_gguf_string_next(&cursor, &text) && tm_view_eq_str(text, tokens[i]));
    }
    ck_assert(!tm_gguf_string_next(&cursor, &text));
    ck_assert(tm_gguf_meta_find(blob, "flags", &kv) && kv.item_type == TM_GGUF_BOOL);
    ck_assert_uint_eq(kv.value.bytes, 3);
    tm_buf_deinit(&buf);
}
END_TEST

/* One pair with the raw bytes of a value. */
static tm_status check_one(const char *key, uint32_t type, const void *value, size_t bytes,
                           struct tm_err *err)
{
    struct tm_buf buf;
    tm_buf_init(&buf, 1u << 20);
    put_u64(&buf, 1);
    g_key(&buf, key, type);
    put_bytes(&buf, value, bytes);
    tm_status status = tm_gguf_meta_check(tm_buf_view(&buf), err);
    tm_buf_deinit(&buf);
    return status;
}

START_TEST(refuses)
{
    static const char huge[] = "\xff\xff\xff\xff\xff\xff\xff\xff";
    struct tm_err err;
    ck_assert_int_eq(check_one("k", 0, "\1", 1, &err), TM_OK);
    ck_assert_int_eq(check_one("", 4, "\1\1\1\1", 4, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "empty key");
    ck_assert_int_eq(check_one("\xff", 0, "\1", 1, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "UTF-8");
    ck_assert_int_eq(check_one("k", 13, "\1", 1, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "13 is no type");
    ck_assert_int_eq(check_one("k", 7, "\2", 1, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "neither 0 nor 1");
    ck_assert_int_eq(check_one("k", 0, "\1\1", 2, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "behind the last key");
    ck_assert_int_eq(check_one("k", 8, huge, 8, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "18446744073709551615 bytes");
    ck_assert_int_eq(check_one("k", 4, "\1\1", 2, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "truncated");
    /* array of arrays, of an unknown type, longer than the blob (twice, at the edge of 2^64) */
    ck_assert_int_eq(check_one("k", 9, "\x09\0\0\0\1\0\0\0\0\0\0\0", 12, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "array of arrays");
    ck_assert_int_eq(check_one("k", 9, "\x0d\0\0\0\1\0\0\0\0\0\0\0", 12, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "unknown type");
    ck_assert_int_eq(check_one("k", 9, "\x0a\0\0\0\0\0\0\0\0\0\0\x20", 12, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "truncated");
    ck_assert_int_eq(check_one("k", 9, "\x08\0\0\0\2\0\0\0\0\0\0\0", 12, &err), TM_E_MALFORMED);
    ck_assert_says(&err, "truncated");
}
END_TEST

START_TEST(refuses_counts_and_duplicates)
{
    struct tm_buf buf;
    struct tm_err err;
    tm_buf_init(&buf, 1000);
    put_u64(&buf, (1ull << 63) + 1);
    ck_assert_int_eq(tm_gguf_meta_check(tm_buf_view(&buf), &err), TM_E_MALFORMED);
    ck_assert_says(&err, "at most 0 fit");
    tm_buf_clear(&buf);
    put_u64(&buf, 3);
    g_kv_u32(&buf, "a", 1);
    g_kv_u32(&buf, "b", 1);
    g_kv_u32(&buf, "a", 2);
    ck_assert_int_eq(tm_gguf_meta_check(tm_buf_view(&buf), &err), TM_E_MALFORMED);
    ck_assert_says(&err, "duplicate");
    ck_assert_says(&err, "'a'");
    tm_buf_deinit(&buf);
}
END_TEST

/* Every cut: more bytes are asked for when they exist, else it is truncated; never more is read. */
START_TEST(every_cut)
{
    struct tm_buf buf;
    sample(&buf);
    for (size_t bytes = 0; bytes < buf.bytes; bytes++) {
        uint8_t *exact = tm_memdup(buf.data, bytes);
        struct tm_gguf_iter iter;
        struct tm_gguf_kv kv;
        struct tm_err err;
        ck_assert_int_eq(tm_gguf_meta_check(tm_view_of(exact, bytes), &err), TM_E_MALFORMED);
        tm_status status = tm_gguf_meta_begin(&iter, tm_view_of(exact, bytes), buf.bytes, &err);
        while (status == TM_OK) {
            status = tm_gguf_meta_next(&iter, &kv, &err);
        }
        ck_assert_int_eq(status, TM_E_LIMIT);
        ck_assert(iter.short_read);
        tm_free(exact);
    }
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(memory_failure_is_a_status)
{
    struct tm_buf buf;
    struct tm_err err;
    sample(&buf);
    size_t live = tm_mem_live_blocks();
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_gguf_meta_check(tm_buf_view(&buf), &err), TM_E_NOMEM);
    tm_mem_fail_at(0);
    ck_assert_uint_eq(tm_mem_live_blocks(), live);
    tm_buf_deinit(&buf);
    ck_assert_uint_eq(tm_gguf_type_bytes(TM_GGUF_F64), 8);
    ck_assert_uint_eq(tm_gguf_type_bytes(99), 0);
    ck_assert_str_eq(tm_gguf_type_name(TM_GGUF_ARRAY), "array");
    ck_assert_str_eq(tm_gguf_type_name(99), "unknown");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("gguf_meta");
    TCase *tcase = tcase_create("gguf_meta");
    tcase_add_test(tcase, walks_all_kinds);
    tcase_add_test(tcase, refuses);
    tcase_add_test(tcase, refuses_counts_and_duplicates);
    tcase_add_test(tcase, every_cut);
    tcase_add_test(tcase, memory_failure_is_a_status);
    suite_add_tcase(suite, tcase);
    return suite;
}
