/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf.h"

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static tm_status parse(const struct tm_buf *file, struct tm_inventory *inventory,
                       struct tm_err *err)
{
    struct tm_gguf_options options = {.path = "m.gguf", .file_bytes = file->bytes};
    struct tm_gguf_layout layout;
    uint32_t index;
    TM_TRY(tm_inventory_add_file(inventory, "m.gguf", &index));
    TM_TRY(tm_gguf_measure(tm_buf_view(file), &options, &layout, err));
    return tm_gguf_parse(tm_buf_view(file), &layout, &options, inventory, err);
}

/* What the line must say; NULL when the file is good. Frees the file. */
static void expect(struct tm_buf *file, tm_status wanted, const char *word)
{
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_err err = {.status = TM_OK};
    tm_status status = parse(file, &inventory, &err);
    ck_assert_msg(status == wanted, "%s, wanted %s (%s): %s %s", tm_status_name(status),
                  tm_status_name(wanted), word != NULL ? word : "", err.where, err.why);
    if (word != NULL) {
        ck_assert_says(&err, word);
        ck_assert_says(&err, "m.gguf");
    }
    tm_inventory_deinit(&inventory);
    tm_buf_deinit(file);
}

static const uint64_t ne2[] = {4, 2}, ne_q[] = {64, 3}, ne_odd[] = {33, 3};

static void sample(struct tm_buf *buf, uint32_t version)
{
    g_begin(buf, version, 3, 1);
    g_kv_str(buf, "general.architecture", "llama");
    g_tensor(buf, "a.weight", 2, ne2, 0, 0);   /* 32 bytes */
    g_tensor(buf, "q.weight", 2, ne_q, 2, 32); /* 3 rows of 2 blocks of 18: 108 bytes */
    g_tensor(buf, "s", 0, NULL, 30, 160);      /* one BF16 */
    g_pad(buf, 32);
    put_data(buf, 160 + 2);
}

START_TEST(reads_both_versions)
{
    for (uint32_t version = 2; version <= 3; version++) {
        struct tm_buf buf;
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_err err;
        sample(&buf, version);
        ck_assert_int_eq(parse(&buf, &inventory, &err), TM_OK);
        ck_assert_uint_eq(inventory.tensor_count, 3);
        const struct tm_tensor *t = inventory.tensors;
        ck_assert_str_eq(t[0].name, "a.weight");
        ck_assert(t[0].shape.rank == 2 && t[0].shape.dim[0] == 2 && t[0].shape.dim[1] == 4);
        ck_assert_uint_eq(t[0].offset, buf.bytes - 162);
        ck_assert_uint_eq(t[1].bytes, 108);
        ck_assert_int_eq(t[1].dtype, TM_Q4_0);
        ck_assert_uint_eq(t[1].offset, buf.bytes - 130);
        ck_assert(t[2].shape.rank == 0 && t[2].bytes == 2 && t[2].dtype == TM_BF16);
        tm_inventory_deinit(&inventory);
        tm_buf_deinit(&buf);
    }
}
END_TEST

START_TEST(versions)
{
    static const struct {
        uint32_t version;
        const char *word;
    } rows[] = {{1, "version 1 "},   {0, "version 0 "},          {4, "version 4 "},
                {99, "version 99 "}, {0x03000000, "big-endian"}, {0x02000000, "big-endian"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_buf buf;
        sample(&buf, rows[i].version);
        expect(&buf, TM_E_INCOMPATIBLE, rows[i].word);
    }
    struct tm_buf buf;
    sample(&buf, 3);
    buf.data[0] = 'F';
    expect(&buf, TM_E_MALFORMED, "GGUF");
}
END_TEST

/* A file with one alignment key and one tensor. */
static void with_alignment(struct tm_buf *buf, uint32_t type, uint64_t value, size_t pad)
{
    g_begin(buf, 3, 1, 1);
    g_key(buf, "general.alignment", type);
    put_u32(buf, (uint32_t)value);
    if (type == 10) {
        put_u32(buf, 0);
    }
    g_tensor(buf, "a", 2, ne2, 0, 0);
    g_pad(buf, pad);
    put_data(buf, 32);
}

START_TEST(alignments)
{
    static const uint32_t good[] = {8, 16, 32, 64, 4096};
    static const uint32_t bad[] = {0, 1, 4, 13, 24, 0x80000001};
    struct tm_buf buf;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        with_alignment(&buf, 4, good[i], good[i]);
        expect(&buf, TM_OK, NULL);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        with_alignment(&buf, 4, bad[i], 32);
        expect(&buf, TM_E_MALFORMED, "general.alignment");
    }
    with_alignment(&buf, 5, 32, 32); /* i32 */
    expect(&buf, TM_E_MALFORMED, "must be a u32");
    with_alignment(&buf, 10, 32, 32); /* u64 */
    expect(&buf, TM_E_MALFORMED, "must be a u32");
}
END_TEST

/* One good tensor and one with the given fields, and 64 + 256 bytes of data. */
static void with_tensor(struct tm_buf *buf, const char *name, uint32_t rank, const uint64_t *ne,
                        uint32_t type, uint64_t offset)
{
    g_begin(buf, 3, 2, 0);
    g_tensor(buf, "a", 2, ne2, 0, 0);
    g_tensor(buf, name, rank, ne, type, offset);
    g_pad(buf, 32);
    put_data(buf, 64 + 256);
}

START_TEST(tensors_that_are_refused)
{
    static const uint64_t ones[] = {1, 1, 1, 1, 1}, wrap[] = {1ull << 32, 1ull << 32};
    static const uint64_t pad[] = {4, (1 << 30) - 1, (1 << 30) + 1}, negative[] = {1ull << 63, 0};
    static const uint64_t large[] = {1000}, empty[] = {0, 5};
    static const struct {
        const char *name;
        uint32_t rank;
        const uint64_t *ne;
        uint32_t type;
        uint64_t offset;
        tm_status status;
        const char *word;
    } rows[] = {
        {"b", 2, ne2, 0, 32, TM_OK, NULL},
        {"b", 2, ne2, 0, 288, TM_OK, NULL},
        {"b", 2, empty, 0, 320, TM_OK, NULL},
        {"a", 2, ne2, 0, 32, TM_E_MALFORMED, "duplicate"},
        {"a", 2, ne2, 0, 0, TM_E_MALFORMED, "duplicate"},
        {"", 2, ne2, 0, 32, TM_E_MALFORMED, "name of tensor 2"},
        {"\xff", 2, ne2, 0, 32, TM_E_MALFORMED, "UTF-8"},
        {"b", 5, ones, 0, 32, TM_E_MALFORMED, "5 dimensions"},
        {"b", 2, ne2, 77, 32, TM_E_MALFORMED, "77 is no type"},
        {"b", 2, ne2, 19, 32, TM_E_INCOMPATIBLE, "cannot read type IQ1_S"},
        {"b", 2, ne2, 16, 32, TM_E_INCOMPATIBLE, "IQ2_XXS"},
        {"b", 2, ne_odd, 2, 32, TM_E_MALFORMED, "rows of 33"},
        {"b", 2, wrap, 0, 32, TM_E_MALFORMED, "overflow"},
        {"b", 3, pad, 0, 32, TM_E_MALFORMED, "overflow"},
        {"b", 2, negative, 0, 32, TM_E_MALFORMED, "larger than 2^63-1"},
        {"b", 2, ne2, 0, 33, TM_E_MALFORMED, "no multiple of the alignment 32"},
        {"b", 2, ne2, 0, 0, TM_E_MALFORMED, "overlap"},
        {"b", 2, ne2, 0, UINT64_MAX - 127, TM_E_MALFORMED, "overflow"},
        {"b", 1, large, 0, 32, TM_E_MALFORMED, "3712 bytes are missing"},
        {"b", 2, ne2, 0, 320, TM_E_MALFORMED, "32 bytes are missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_buf buf;
        with_tensor(&buf, rows[i].name, rows[i].rank, rows[i].ne, rows[i].type, rows[i].offset);
        expect(&buf, rows[i].status, rows[i].word);
    }
}
END_TEST

START_TEST(counts_that_are_refused)
{
    static const uint64_t counts[] = {4,          1000,      1ull << 32, (1ull << 63) - 1,
                                      1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (size_t at = 8; at <= 16; at += 8) {
            struct tm_buf buf;
            sample(&buf, 3);
            for (size_t b = 0; b < 8; b++) {
                buf.data[at + b] = (uint8_t)(counts[i] >> (8 * b));
            }
            tm_mem_reset_peak();
            size_t peak = tm_mem_peak_bytes();
            struct tm_inventory inventory = {.tensor_count = 0};
            struct tm_err err;
            ck_assert_int_eq(parse(&buf, &inventory, &err), TM_E_MALFORMED);
            ck_assert_uint_lt(tm_mem_peak_bytes() - peak, 4096);
            tm_inventory_deinit(&inventory);
            tm_buf_deinit(&buf);
        }
    }
}
END_TEST

/* All cuts of a good file: refused without a read past the end, and nothing but the last bytes of
 * padding may be absent. */
START_TEST(every_cut)
{
    struct tm_buf buf;
    sample(&buf, 3);
    for (size_t bytes = 0; bytes < buf.bytes; bytes++) {
        struct tm_buf cut = {.data = tm_memdup(buf.data, bytes), .bytes = bytes};
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_err err;
        ck_assert_int_eq(parse(&cut, &inventory, &err), TM_E_MALFORMED);
        if (bytes >= 24) {
            ck_assert_says(&err, "truncated");
        }
        tm_inventory_deinit(&inventory);
        tm_free(cut.data);
    }
    tm_buf_deinit(&buf);
}
END_TEST

/* Every bit flipped: whatever is still accepted lies inside the file. */
START_TEST(every_flip)
{
    struct tm_buf buf;
    sample(&buf, 3);
    size_t header = buf.bytes - 162;
    for (size_t bit = 0; bit < header * 8; bit++) {
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_err err;
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        tm_status status = parse(&buf, &inventory, &err);
        ck_assert(status == TM_OK || status == TM_E_MALFORMED || status == TM_E_INCOMPATIBLE);
        for (size_t i = 0; status == TM_OK && i < inventory.tensor_count; i++) {
            const struct tm_tensor *t = &inventory.tensors[i];
            ck_assert(t->bytes == 0 ||
                      (t->offset <= buf.bytes && t->bytes <= buf.bytes - t->offset));
        }
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        tm_inventory_deinit(&inventory);
    }
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(short_heads_ask_for_more)
{
    struct tm_buf buf;
    sample(&buf, 3);
    struct tm_gguf_options options = {.path = "m.gguf", .file_bytes = buf.bytes};
    struct tm_gguf_layout layout;
    struct tm_err err;
    ck_assert_int_eq(tm_gguf_measure(tm_buf_view(&buf), &options, &layout, &err), TM_OK);
    for (size_t bytes = 4; bytes < layout.header_bytes; bytes++) {
        struct tm_gguf_layout other;
        ck_assert_int_eq(tm_gguf_measure(tm_view_of(buf.data, bytes), &options, &other, &err),
                         TM_E_LIMIT);
    }
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    struct tm_buf buf;
    sample(&buf, 3);
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = parse(&buf, &inventory, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        tm_inventory_deinit(&inventory);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&buf);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("gguf");
    TCase *tcase = tcase_create("gguf");
    tcase_add_test(tcase, reads_both_versions);
    tcase_add_test(tcase, versions);
    tcase_add_test(tcase, alignments);
    tcase_add_test(tcase, tensors_that_are_refused);
    tcase_add_test(tcase, counts_that_are_refused);
    tcase_add_test(tcase, every_cut);
    tcase_add_test(tcase, every_flip);
    tcase_add_test(tcase, short_heads_ask_for_more);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
