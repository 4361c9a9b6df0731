/* SPDX-License-Identifier: Apache-2.0 */
#include "model/writer_format.h"

#include <stdio.h>
#include <string.h>

#include "model/gguf.h"
#include "tests/support/suite.h"

/* ---- expected bytes, built by hand ---- */

static struct tm_buf want;

static void want_u32(uint32_t v)
{
    ck_assert_int_eq(tm_buf_put_u32(&want, v), TM_OK);
}

static void want_u64(uint64_t v)
{
    ck_assert_int_eq(tm_buf_put_u64(&want, v), TM_OK);
}

static void want_text(const char *text)
{
    want_u64(strlen(text));
    ck_assert_int_eq(tm_buf_put_str(&want, text), TM_OK);
}

static void want_pair_u32(const char *key, uint32_t value)
{
    want_text(key);
    want_u32(4);
    want_u32(value);
}

static void want_pair_text(const char *key, const char *value)
{
    want_text(key);
    want_u32(8);
    want_text(value);
}

static void want_start(uint64_t tensors, uint64_t pairs)
{
    tm_buf_init(&want, 1 << 20);
    ck_assert_int_eq(tm_buf_put_str(&want, "GGUF"), TM_OK);
    want_u32(3);
    want_u64(tensors);
    want_u64(pairs);
}

static void want_zeros(size_t unit)
{
    while (want.bytes % unit != 0) {
        ck_assert_int_eq(tm_buf_put_u8(&want, 0), TM_OK);
    }
}

static void check_head(const struct tm_writer_options *options, const struct tm_tensor_spec *specs,
                       size_t count, uint64_t alignment)
{
    struct tm_writer_head head;
    struct tm_err err;
    tm_buf_init(&head.bytes, TM_GGUF_HEADER_MAX);
    ck_assert_int_eq(tm_writer_head_gguf(options, specs, count, &head, &err), TM_OK);
    ck_assert_uint_eq(head.alignment, alignment);
    ck_assert(tm_view_eq(tm_buf_view(&head.bytes), tm_buf_view(&want)));
    tm_buf_deinit(&head.bytes);
    tm_buf_deinit(&want);
}

START_TEST(file_without_metadata)
{
    static const char *const pairs[] = {"note", "hi", "general.file_type", "text", NULL};
    const struct tm_tensor_spec specs[] = {
        {"scalar", 6, TM_F64, {0, {0}}},
        {"q", 1, TM_Q8_0, {2, {3, 64}}},
        {"none", 4, TM_I16, {3, {5, 0, 2}}},
        {"w", 1, TM_F32, {4, {1, 2, 3, 4}}},
    };
    struct tm_writer_options options = {.path = "m", .arch = "llama", .metadata = pairs};
    want_start(4, 4);
    want_pair_text("general.architecture", "llama");
    want_pair_u32("general.file_type", 7); /* 192 of 217 elements are Q8_0 */
    want_pair_text("note", "hi");
    want_pair_u32("general.quantization_version", 2);
    want_text("scalar");
    want_u32(1);
    want_u64(1);
    want_u32(28);
    want_u64(0);
    want_text("q");
    want_u32(2);
    want_u64(64);
    want_u64(3);
    want_u32(8);
    want_u64(32);
    want_text("none"); /* 3 * 68 = 204 bytes of q, to 224 */
    want_u32(3);
    want_u64(2);
    want_u64(0);
    want_u64(5);
    want_u32(25);
    want_u64(256);
    want_text("w");
    want_u32(4);
    want_u64(4);
    want_u64(3);
    want_u64(2);
    want_u64(1);
    want_u32(0);
    want_u64(256);
    want_zeros(32);
    check_head(&options, specs, 4, 32);
}
END_TEST

/* ---- with the metadata of another file ---- */

static void blob_begin(struct tm_buf *blob, uint64_t pairs)
{
    tm_buf_init(blob, 10000);
    ck_assert_int_eq(tm_buf_put_u64(blob, pairs), TM_OK);
}

static void blob_pair(struct tm_buf *blob, const char *key, uint32_t type, const char *value,
                      size_t value_bytes)
{
    ck_assert_int_eq(tm_buf_put_u64(blob, strlen(key)), TM_OK);
    ck_assert_int_eq(tm_buf_put_str(blob, key), TM_OK);
    ck_assert_int_eq(tm_buf_put_u32(blob, type), TM_OK);
    ck_assert_int_eq(tm_buf_put(blob, value, value_bytes), TM_OK);
}

static const struct tm_tensor_spec q4k = {"w", 1, TM_Q4_K, {2, {1, 256}}};

static void want_q4k_entry(size_t alignment)
{
    want_text("w");
    want_u32(2);
    want_u64(256);
    want_u64(1);
    want_u32(12);
    want_u64(0);
    want_zeros(alignment);
}

START_TEST(metadata_is_kept_but_for_a_few_keys)
{
    static const char *const pairs[] = {"general.name", "new", NULL};
    struct tm_buf blob;
    blob_begin(&blob, 8);
    blob_pair(&blob, "split.no", 2, "\1\0", 2);
    blob_pair(&blob, "x.list", 9, "\0\0\0\0\3\0\0\0\0\0\0\0\7\10\11", 15);
    blob_pair(&blob, "general.file_type", 4, "\0\0\0\0", 4);
    blob_pair(&blob, "general.alignment", 4, "\100\0\0\0", 4);
    blob_pair(&blob, "split.count", 2, "\2\0", 2);
    blob_pair(&blob, "general.name", 8, "\3\0\0\0\0\0\0\0old", 11);
    blob_pair(&blob, "general.quantization_version", 4, "\2\0\0\0", 4);
    blob_pair(&blob, "splitter", 7, "\1", 1);
    struct tm_writer_options options = {
        .path = "m", .arch = "llama", .metadata = pairs, .gguf_metadata = tm_buf_view(&blob)};
    want_start(1, 7);
    want_pair_text("general.architecture", "llama");
    want_text("x.list");
    want_u32(9);
    ck_assert_int_eq(tm_buf_put(&want, "\0\0\0\0\3\0\0\0\0\0\0\0\7\10\11", 15), TM_OK);
    want_pair_u32("general.file_type", 15); /* where it was */
    want_pair_u32("general.alignment", 64);
    want_pair_u32("general.quantization_version", 2);
    want_text("splitter");
    want_u32(7);
    ck_assert_int_eq(tm_buf_put_u8(&want, 1), TM_OK);
    want_pair_text("general.name", "new");
    want_q4k_entry(64);
    check_head(&options, &q4k, 1, 64);
    tm_buf_deinit(&blob);
}
END_TEST

/* Q4_K_S names Q4_K as well: the pair stays; so does the architecture of the file. */
START_TEST(right_values_stay)
{
    struct tm_buf blob;
    blob_begin(&blob, 2);
    blob_pair(&blob, "general.architecture", 8, "\4\0\0\0\0\0\0\0phi3", 12);
    blob_pair(&blob, "general.file_type", 4, "\16\0\0\0", 4);
    struct tm_writer_options options = {
        .path = "m", .arch = "llama", .gguf_metadata = tm_buf_view(&blob)};
    want_start(1, 3);
    want_pair_text("general.architecture", "phi3");
    want_pair_u32("general.file_type", 14);
    want_pair_u32("general.quantization_version", 2);
    want_q4k_entry(32);
    check_head(&options, &q4k, 1, 32);
    tm_buf_deinit(&blob);
}
END_TEST

/* Not a power of two, too small, too large, not a u32: dropped, and 32 used. */
START_TEST(bad_alignments_are_dropped)
{
    static const struct {
        uint32_t type;
        const char *bytes;
        size_t count;
    } bad[] = {{4, "\60\0\0\0", 4},
               {4, "\4\0\0\0", 4},
               {4, "\0\0\2\0", 4},
               {4, "\0\0\0\0", 4},
               {10, "\100\0\0\0\0\0\0\0", 8}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_buf blob;
        blob_begin(&blob, 1);
        blob_pair(&blob, "general.alignment", bad[i].type, bad[i].bytes, bad[i].count);
        struct tm_writer_options options = {.path = "m", .gguf_metadata = tm_buf_view(&blob)};
        want_start(0, 0);
        want_zeros(32);
        check_head(&options, NULL, 0, 32);
        tm_buf_deinit(&blob);
    }
}
END_TEST

/* ---- refusals ---- */

static void check_refused(const struct tm_tensor_spec *spec, const char *why)
{
    struct tm_writer_options options = {.path = "out.gguf"};
    struct tm_writer_head head;
    struct tm_err err;
    tm_buf_init(&head.bytes, TM_GGUF_HEADER_MAX);
    ck_assert_int_eq(tm_writer_head_gguf(&options, spec, 1, &head, &err), TM_E_INCOMPATIBLE);
    ck_assert_str_eq(err.why, why);
    ck_assert_ptr_nonnull(strstr(err.where, "out.gguf: tensor '"));
    ck_assert_ptr_nonnull(strstr(err.where, spec->name));
    tm_buf_deinit(&head.bytes);
}

START_TEST(what_it_cannot_hold)
{
    const enum tm_dtype types[] = {TM_U8, TM_U16, TM_U32, TM_U64, TM_BOOL, TM_F8_E4M3, TM_F8_E5M2};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct tm_tensor_spec spec = {"t", 1, types[i], {1, {1}}};
        check_refused(&spec, "GGUF has no such element type");
    }
    const struct tm_tensor_spec five = {"five", 4, TM_F32, {5, {1, 1, 1, 1, 1}}};
    check_refused(&five, "GGUF holds at most 4 dimensions");
    char name[65];
    memset(name, 'n', 64);
    name[64] = 0;
    struct tm_tensor_spec longest = {name, 64, TM_F32, {1, {1}}};
    check_refused(&longest, "GGUF holds names of at most 63 bytes");
    const struct tm_tensor_spec wide = {"wide", 4, TM_I8, {2, {UINT64_MAX, 0}}};
    check_refused(&wide, "a dimension is over 2^63");

    name[63] = 0;
    longest.name_bytes = 63;
    struct tm_writer_options options = {.path = "m"};
    want_start(1, 1);
    want_pair_u32("general.file_type", 0);
    want_text(name);
    want_u32(1);
    want_u64(1);
    want_u32(0);
    want_u64(0);
    want_zeros(32);
    check_head(&options, &longest, 1, 32);
}
END_TEST

START_TEST(malformed_metadata)
{
    struct tm_buf blob;
    blob_begin(&blob, 2);
    blob_pair(&blob, "k", 0, "\1", 1);
    blob_pair(&blob, "k", 0, "\1", 1);
    struct tm_writer_options options = {.path = "out.gguf", .gguf_metadata = tm_buf_view(&blob)};
    struct tm_writer_head head;
    struct tm_err err;
    tm_buf_init(&head.bytes, TM_GGUF_HEADER_MAX);
    ck_assert_int_eq(tm_writer_head_gguf(&options, NULL, 0, &head, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.where, "out.gguf"));
    ck_assert_ptr_nonnull(strstr(err.why, "duplicate key"));
    options.gguf_metadata.bytes--;
    ck_assert_int_eq(tm_writer_head_gguf(&options, NULL, 0, &head, &err), TM_E_MALFORMED);
    tm_buf_deinit(&head.bytes);
    tm_buf_deinit(&blob);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("writer_gguf");
    TCase *core = tcase_create("core");
    tcase_add_test(core, file_without_metadata);
    tcase_add_test(core, metadata_is_kept_but_for_a_few_keys);
    tcase_add_test(core, right_values_stay);
    tcase_add_test(core, bad_alignments_are_dropped);
    tcase_add_test(core, what_it_cannot_hold);
    tcase_add_test(core, malformed_metadata);
    suite_add_tcase(suite, core);
    return suite;
}
