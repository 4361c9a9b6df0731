/* SPDX-License-Identifier: Apache-2.0
 * Header, tail and tables without digests and signatures: each rule of the format, broken once. */
#include "package/package_tables.h"

#include "base/bytes.h"
#include "base/num.h"
#include "tests/support/growth.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static struct sample s;
static struct tm_buf front;
static struct tm_pkg_layout layout;
static struct tm_err err;

static void setup(void)
{
    sample_make(&s, SAMPLE_SEED);
    tm_buf_init(&front, 1 << 20);
    ck_assert_int_eq(tm_pkg_front(&s.meta, "f", &layout, &front, &err), TM_OK);
}

static void teardown(void)
{
    tm_buf_deinit(&front);
    sample_free(&s);
}

/* Writes the changed meta, without moving anything, and parses it. */
static tm_status again(void)
{
    struct tm_pkg_meta out;
    struct tm_buf tables;
    tm_buf_init(&tables, 1 << 26);
    ck_assert_int_eq(tm_pkg_tables_write(&s.meta, &tables), TM_OK);
    ck_assert_uint_eq(tables.bytes, tm_pkg_tables_bytes(&s.meta));
    tm_status status = tm_pkg_tables_parse(tm_buf_view(&tables), "f", &layout, &out, &err);
    ck_assert(status == TM_OK || out.chunks == NULL);
    tm_pkg_meta_deinit(&out);
    tm_buf_deinit(&tables);
    return status;
}

/* Sets lvalue to value, expects the reason, and puts it back. */
#define EXPECT(lvalue, value, reason)                                                              \
    do {                                                                                           \
        __typeof__(lvalue) kept = (lvalue);                                                        \
        (lvalue) = (value);                                                                        \
        ck_assert_int_eq(again(), TM_E_MALFORMED);                                                 \
        ck_assert_msg(strstr(err.why, reason) != NULL, "%s", err.why);                             \
        ck_assert_ptr_nonnull(strstr(err.where, "f: at byte"));                                    \
        (lvalue) = kept;                                                                           \
    } while (0)

#define ACCEPT(lvalue, value)                                                                      \
    do {                                                                                           \
        __typeof__(lvalue) kept = (lvalue);                                                        \
        (lvalue) = (value);                                                                        \
        ck_assert_int_eq(again(), TM_OK);                                                          \
        (lvalue) = kept;                                                                           \
    } while (0)

START_TEST(test_rules_of_the_tables)
{
    struct tm_pkg_meta *m = &s.meta;
    for (uint32_t i = m->tensors[0].rank; i < TM_PACKAGE_RANK_MAX; i++) {
        m->tensors[0].dim[i] = 1;
    }
    char long_pipeline[TM_PACKAGE_PIPELINE_MAX + 2];
    memset(long_pipeline, 'p', sizeof long_pipeline - 1);
    long_pipeline[sizeof long_pipeline - 1] = '\0';
    ck_assert_int_eq(again(), TM_OK);
    ACCEPT(m->pipelines[0], long_pipeline + 1);
    ACCEPT(m->pipelines[0], " ~"); /* the first and the last that can be printed */
    ACCEPT(m->tensors[0].rank, TM_PACKAGE_RANK_MAX);
    ACCEPT(m->chunks[4].bytes, 64); /* up to the last byte of the region */
    EXPECT(m->pipelines[0], long_pipeline, "pipeline of 256 bytes, the limit is 255");
    EXPECT(m->pipelines[0], "a\nb", "pipeline 0 is not printable ASCII");
    EXPECT(m->pipelines[0], "a\x7f", "pipeline 0 is not printable ASCII");
    EXPECT(m->pipelines[1], "", "pipeline 1 is empty");
    EXPECT(m->tensors[0].pipeline, 2, "tensor 0 names pipeline 2 of 2");
    EXPECT(m->tensors[0].rank, 9, "has rank 9, the limit is 8");
    EXPECT(m->tensors[0].dim[0], 1ull << 60, "overflow 64 bits");
    EXPECT(m->tensors[0].first_chunk, 1, "tensor 0 has chunks 1 to +2, next is 0 of 5");
    EXPECT(m->tensors[0].chunk_count, 6, "tensor 0 has chunks 0 to +6, next is 0 of 5");
    EXPECT(m->tensors[0].chunk_count, UINT32_MAX, "next is 0 of 5");
    EXPECT(m->tensors[1].first_chunk, 3, "tensor 1 has chunks 3 to +1, next is 2 of 5");
    EXPECT(m->tensors[0].dim[1], 33, "decode to 128 items, it has 132 elements");
    EXPECT(m->attachments[0].pipeline, 7, "attachment 0 names pipeline 7 of 2");
    EXPECT(m->attachments[0].chunk_count, 1, "chunks from 4 of 5 belong to nothing");
    EXPECT(m->attachments[0].bytes, 351, "decode to 350 bytes, it has 351");
    EXPECT(m->chunks[0].bytes, 0, "chunk 0 has 0 bytes");
    EXPECT(m->chunks[0].bytes, TM_PACKAGE_CHUNK_MAX + 1, "are allowed");
    EXPECT(m->chunks[4].bytes, 65, "passes the end of the chunks");
    EXPECT(m->chunks[1].rows, 0, "chunk 1 decodes to 0 x 32");
    EXPECT(m->chunks[1].cols, 0, "chunk 1 decodes to 2 x 0");
    EXPECT(m->chunks[1].offset, m->chunks[1].offset + 64, "chunk 1 lies at");
    EXPECT(m->chunks[1].offset, m->chunks[0].offset, "chunk 1 lies at");
    EXPECT(m->chunks[3].bytes, 128, "chunk 4 lies at");
    EXPECT(layout.back_offset, layout.back_offset + 64, "the ledger starts at");
    struct tm_digest leaf = m->chunks[2].leaf;
    m->chunks[2].leaf.b[31] ^= 1;
    ck_assert_int_eq(again(), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "the Merkle root of the chunk table is"));
    m->chunks[2].leaf = leaf;
    m->plan_digest.b[0] ^= 1;
    ck_assert_int_eq(again(), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "SHA-256 of the plan is"));
}
END_TEST

START_TEST(test_names)
{
    static const char *const bad[] = {"",     ".",   "..",     "/a",   "a/",   "a//b",
                                      "../a", "a/.", "a/../b", "a\\b", "a\nb", "a\177b"};
    static const char *const good[] = {"a",  "a/b", "...",     "a.b",     ".a",
                                       "a.", "a b", "..a/b..", "\xc3\xa4"};
    char *kept = s.meta.attachments[0].name;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        s.meta.attachments[0].name = (char *)(uintptr_t)bad[i];
        ck_assert_int_eq(again(), TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.why, "no safe relative path"));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        s.meta.attachments[0].name = (char *)(uintptr_t)good[i];
        ck_assert_int_eq(again(), TM_OK);
    }
    s.meta.attachments[0].name = kept;
    struct tm_pkg_tensor tensor = s.meta.tensors[1];
    s.meta.tensors[1].name = s.meta.tensors[0].name;
    s.meta.tensors[1].name_bytes = s.meta.tensors[0].name_bytes;
    ck_assert_int_eq(again(), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "have one name"));
    s.meta.tensors[1].name_bytes--; /* a prefix is another name */
    ck_assert_int_eq(again(), TM_OK);
    s.meta.tensors[1] = tensor;
    struct tm_pkg_attachment twice[2] = {s.meta.attachments[0], s.meta.attachments[0]};
    struct tm_pkg_attachment *attachments = s.meta.attachments;
    twice[0].chunk_count = 1;
    twice[0].bytes = 300;
    twice[1].first_chunk = 4;
    twice[1].chunk_count = 1;
    twice[1].bytes = 50;
    s.meta.attachments = twice;
    s.meta.attachment_count = 2;
    ck_assert_int_eq(again(), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "two attachments are called 'tokenizer/vocab.json'"));
    s.meta.attachments = attachments;
    s.meta.attachment_count = 1;
}
END_TEST

/* As bytes, not as texts, and each before those that it begins. */
START_TEST(test_order_of_names)
{
    static const struct {
        char *name;
        size_t bytes;
    } names[] = {{"b", 1},  {"ab", 2}, {"a\0b", 3}, {"a", 1},   {"\xff", 1}, {"", 0},
                 {"ba", 2}, {"aa", 2}, {"a\0a", 3}, {"abc", 3}, {NULL, 0}};
    static const uint32_t sorted[] = {5, 3, 8, 2, 7, 1, 9, 0, 6, 4};
    enum { COUNT = sizeof sorted / sizeof sorted[0] };
    struct tm_pkg_tensor tensors[COUNT] = {{0}};
    struct tm_pkg_meta meta = {.tensors = tensors, .tensor_count = COUNT};
    struct tm_pkg_name *out = NULL;
    for (uint32_t i = 0; i < COUNT; i++) {
        tensors[i].name = names[i].name;
        tensors[i].name_bytes = names[i].bytes;
    }
    ck_assert_int_eq(tm_pkg_names_sort(&meta, &out), TM_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(out[i].index, sorted[i]);
        for (uint32_t k = 0; k < COUNT; k++) {
            int order = tm_pkg_name_order(out[i].name, out[k].name);
            ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
    struct tm_view none = tm_view_of(NULL, 0);
    ck_assert_int_eq(tm_pkg_name_order(none, out[0].name), 0);
    ck_assert_int_lt(tm_pkg_name_order(none, out[1].name), 0);
    tm_free(out);
}
END_TEST

/* A doubled name is found although others follow. */
START_TEST(test_doubled_names_among_three)
{
    struct tm_pkg_tensor tensors[3] = {s.meta.tensors[0], s.meta.tensors[1]};
    struct tm_pkg_tensor *kept_tensors = s.meta.tensors;
    tensors[1].name = tensors[0].name;
    tensors[1].name_bytes = tensors[0].name_bytes;
    tensors[2] = (struct tm_pkg_tensor){.name = "z", .name_bytes = 1, .first_chunk = 3};
    s.meta.tensors = tensors;
    s.meta.tensor_count = 3;
    ck_assert_int_eq(again(), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "have one name"));
    tensors[1].name_bytes = 0; /* no name is a name, and the first in order */
    ck_assert_int_eq(again(), TM_OK);
    s.meta.tensors = kept_tensors;
    s.meta.tensor_count = 2;

    struct tm_pkg_attachment files[3] = {s.meta.attachments[0]}, *kept_files = s.meta.attachments;
    files[1] = (struct tm_pkg_attachment){.name = files[0].name, .first_chunk = 5};
    files[2] = (struct tm_pkg_attachment){.name = "z", .first_chunk = 5};
    s.meta.attachments = files;
    s.meta.attachment_count = 3;
    ck_assert_int_eq(again(), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "two attachments are called"));
    s.meta.attachments = kept_files;
    s.meta.attachment_count = 1;
}
END_TEST

START_TEST(test_sums_that_overflow)
{
    struct tm_pkg_meta *m = &s.meta;
    uint64_t dims[TM_PACKAGE_RANK_MAX];
    memcpy(dims, m->tensors[0].dim, sizeof dims);
    m->tensors[0].dim[0] = 1ull << 60;
    m->tensors[0].dim[2] = 2;
    EXPECT(m->tensors[0].rank, 3, "overflow 64 bits");
    memcpy(m->tensors[0].dim, dims, sizeof dims);
    for (uint32_t owned = 0; owned < 2; owned++) { /* chunks of a tensor, of an attachment */
        struct tm_pkg_chunk *c = &m->chunks[owned == 0 ? 0 : 3], pair[2] = {c[0], c[1]};
        c[0].rows = c[0].cols = c[1].rows = UINT32_MAX;
        EXPECT(c[1].cols, UINT32_MAX, owned == 0 ? "chunks of tensor 0" : "chunks of attachment 0");
        memcpy(c, pair, sizeof pair);
    }
}
END_TEST

static tm_status parse_front(size_t bytes)
{
    struct tm_pkg_meta out;
    uint8_t *exact = tm_memdup(front.data + 128, bytes);
    tm_status status = tm_pkg_tables_parse(tm_view_of(exact, bytes), "f", &layout, &out, &err);
    tm_free(exact);
    tm_pkg_meta_deinit(&out);
    return status;
}

/* Bytes that no writer of ours makes. */
START_TEST(test_bytes_of_the_tables)
{
    uint8_t *name = front.data + 128 + 16 + 64;
    ck_assert_int_eq(memcmp(name + 4, "sample", 6), 0);
    name[6] = 0;
    ck_assert_int_eq(parse_front(front.bytes - 128), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "model name holds a zero byte");
    name[6] = 'm';
    uint8_t *reserved = front.data + front.bytes - SAMPLE_CHUNKS * 88 + 88 + 20;
    reserved[3] = 1;
    ck_assert_int_eq(parse_front(front.bytes - 128), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "reserved bytes of chunk 1 are not zero");
    reserved[3] = 0;
    ck_assert_int_eq(parse_front(front.bytes - 128), TM_OK);
}
END_TEST

/* Cut within the last tensor and the last attachment, with counts that still fit what is left. */
START_TEST(test_cut_inside_records)
{
    char plan[1000];
    memset(plan, 'p', sizeof plan - 1);
    plan[sizeof plan - 1] = '\0';
    char *kept = s.meta.plan;
    s.meta.plan = plan;
    s.meta.plan_digest = tm_digest_of(tm_view_str(plan));
    for (uint32_t attachments = 0; attachments < 2; attachments++) {
        s.meta.attachment_count = attachments;
        s.meta.tensor_count = 1 - attachments;
        s.meta.attachments[0].first_chunk = 0;
        front.bytes = 128;
        ck_assert_int_eq(tm_pkg_tables_write(&s.meta, &front), TM_OK);
        tm_set_u32(front.data + 128 + 12, 0);
        size_t end = front.bytes - 128 - (size_t)SAMPLE_CHUNKS * 88;
        size_t record = attachments == 0 ? 4 + 8 + 20 + 8 + 16 + 32 : 4 + 20 + 12 + 8 + 32;
        for (size_t n = end - record; n < end; n++) {
            ck_assert_int_eq(parse_front(n), TM_E_MALFORMED);
            ck_assert_msg(strstr(err.why, "the tables end inside") != NULL, "%zu: %s", n, err.why);
        }
    }
    s.meta.plan = kept;
    s.meta.tensor_count = 2;
    s.meta.attachment_count = 1;
}
END_TEST

static tm_status write_tables(struct tm_buf *out)
{
    return tm_pkg_tables_write(&s.meta, out);
}

START_TEST(test_growth_failures)
{
    growth_fails_everywhere(write_tables, tm_pkg_tables_bytes(&s.meta));
    struct tm_buf out;
    tm_buf_init(&out, 1 << 20);
    s.meta.tensors[0].name_bytes = (size_t)UINT32_MAX + 1; /* its length has four bytes */
    ck_assert_int_eq(write_tables(&out), TM_E_LIMIT);
    s.meta.tensors[0].name_bytes = 8;
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(test_counts_are_bounded_before_allocation)
{
    struct tm_pkg_meta out;
    for (size_t at = 0; at < 16; at += 4) {
        uint8_t *count = front.data + 128 + at;
        uint32_t kept = tm_get_u32(count);
        tm_set_u32(count, 0xfffffff0);
        tm_mem_reset_peak();
        size_t before = tm_mem_peak_bytes();
        ck_assert_int_eq(tm_pkg_tables_parse(tm_view_of(front.data + 128, front.bytes - 128), "f",
                                             &layout, &out, &err),
                         TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.why, "need at least"));
        ck_assert_uint_eq(tm_mem_peak_bytes(), before);
        tm_set_u32(count, kept);
    }
}
END_TEST

/* The least that tables can be: every count zero, every text empty. */
START_TEST(test_empty_tables)
{
    struct tm_pkg_meta out;
    uint8_t *tables = tm_calloc(1, 16 + 64 + 12);
    struct tm_digest nothing = tm_digest_of(tm_view_str(""));
    struct tm_pkg_layout empty = {.root = nothing};
    memcpy(tables + 16, nothing.b, sizeof nothing.b);
    ck_assert_int_eq(tm_pkg_tables_parse(tm_view_of(tables, 92), "f", &empty, &out, &err), TM_OK);
    ck_assert_str_eq(out.model_name, "");
    ck_assert_str_eq(out.plan, "");
    tm_pkg_meta_deinit(&out);
    ck_assert_int_eq(tm_pkg_tables_parse(tm_view_of(tables, 91), "f", &empty, &out, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "need at least 12 bytes, 11 are left"));
    tm_free(tables);
}
END_TEST

START_TEST(test_truncated_and_longer_tables)
{
    struct tm_pkg_meta out;
    for (size_t n = 128; n < front.bytes; n++) {
        uint8_t *exact = tm_memdup(front.data + 128, n - 128);
        ck_assert_int_eq(tm_pkg_tables_parse(tm_view_of(exact, n - 128), "f", &layout, &out, &err),
                         TM_E_MALFORMED);
        tm_free(exact);
    }
    ck_assert_int_eq(tm_buf_put_u8(&front, 0), TM_OK);
    ck_assert_int_eq(tm_pkg_tables_parse(tm_view_of(front.data + 128, front.bytes - 128), "f",
                                         &layout, &out, &err),
                     TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "1 bytes after the chunk table");
}
END_TEST

START_TEST(test_header)
{
    static const struct {
        size_t at;
        const char *why;
    } cases[] = {
        {0, "not a .tmpk package"}, {7, "not a .tmpk package"},   {8, "format version"},
        {12, "unknown flags"},      {40, "reserved bytes"},       {47, "reserved bytes"},
        {16, "chunks start at"},    {20, "the limit is"},         {23, "the limit is"},
        {24, "chunks start at"},    {32, "is no multiple of 64"}, {39, "file size"},
        {112, "file size"},         {119, "the limit is"},        {120, "file size"},
        {127, "file size"},
    };
    uint8_t header[TM_PACKAGE_HEADER_BYTES];
    struct tm_pkg_layout out;
    layout.ledger_bytes = 100;
    layout.file_bytes = layout.back_offset + 100 + TM_PACKAGE_TAIL_BYTES;
    tm_pkg_header_write(&layout, header);
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(header, 128), &out, &err), TM_OK);
    ck_assert_int_eq(memcmp(&out, &layout, sizeof out), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        header[cases[i].at] ^= 0x81;
        ck_assert_int_eq(tm_pkg_header_parse(tm_view_of(header, 128), "f", &out, &err),
                         TM_E_MALFORMED);
        ck_assert_msg(strstr(err.why, cases[i].why) != NULL, "%zu: %s", i, err.why);
        header[cases[i].at] ^= 0x81;
    }
    static const struct {
        uint64_t data_bytes, file_bytes;
    } ends[] = {
        {UINT64_MAX - 63, 0},                                     /* chunks past 2^64 */
        {UINT64_MAX - 63 - 4096, 0},                              /* ledger and tail past it */
        {1ull << 63, (1ull << 63) + 100 + TM_PACKAGE_TAIL_BYTES}, /* more than a file can have */
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct tm_pkg_layout big = layout;
        big.data_bytes = ends[i].data_bytes;
        big.ledger_bytes = i == 1 ? 8192 : 100;
        big.file_bytes = ends[i].file_bytes + (i == 2 ? layout.data_offset : 0);
        tm_pkg_header_write(&big, header);
        ck_assert_int_eq(tm_pkg_header_parse(tm_view_of(header, 128), "f", &out, &err),
                         TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.why, "does not follow from the sizes of the parts"));
    }
    tm_pkg_header_write(&layout, header);
    tm_set_u64(header + 16, UINT64_MAX);
    ck_assert_int_eq(tm_pkg_header_parse(tm_view_of(header, 128), "f", &out, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "overflows"));
    ck_assert_int_eq(tm_pkg_header_parse(tm_view_of(header, 127), "f", &out, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "f: at byte 127");
}
END_TEST

/* Each part as large as it may be, and the largest file. */
START_TEST(test_limits_of_the_header)
{
    uint8_t header[TM_PACKAGE_HEADER_BYTES];
    struct tm_pkg_layout out, l = layout;
    l.front_bytes = TM_PACKAGE_HEADER_BYTES + TM_PACKAGE_TABLES_MAX;
    ck_assert(tm_align_u64(l.front_bytes, TM_PACKAGE_ALIGN, &l.data_offset));
    l.ledger_bytes = TM_PACKAGE_LEDGER_MAX;
    l.back_offset = l.data_offset + l.data_bytes;
    l.file_bytes = l.back_offset + l.ledger_bytes + TM_PACKAGE_TAIL_BYTES;
    tm_pkg_header_write(&l, header);
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(header, 128), &out, &err), TM_OK);
    uint64_t rest = INT64_MAX - l.data_offset - TM_PACKAGE_TAIL_BYTES;
    l.ledger_bytes = rest % TM_PACKAGE_ALIGN;
    l.data_bytes = rest - l.ledger_bytes;
    l.file_bytes = INT64_MAX;
    tm_pkg_header_write(&l, header);
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(header, 128), &out, &err), TM_OK);
    l.ledger_bytes++;
    l.file_bytes++;
    tm_pkg_header_write(&l, header);
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(header, 128), &out, &err), TM_E_MALFORMED);
}
END_TEST

START_TEST(test_tail)
{
    struct tm_pkg_tail tail = {.ledger_offset = layout.back_offset, .ledger_bytes = 7}, out;
    uint8_t bytes[TM_PACKAGE_TAIL_BYTES];
    layout.ledger_bytes = 7;
    layout.file_bytes = layout.back_offset + 7 + TM_PACKAGE_TAIL_BYTES;
    tm_pkg_tail_write(&tail, bytes);
    struct tm_view view = tm_view_of(bytes, sizeof bytes);
    struct tm_public_key owner;
    ck_assert(tm_pkg_back_owner(view, &owner));
    ck_assert(!tm_pkg_back_owner(tm_view_of(bytes, sizeof bytes - 1), &owner));
    ck_assert_int_eq(tm_pkg_tail_parse(view, "f", &layout, &out, &err), TM_OK);
    static const size_t places[] = {0, 7, 8, 15, 144, 247, 248, 255};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bytes[places[i]] ^= 1;
        ck_assert_int_eq(tm_pkg_tail_parse(view, "f", &layout, &out, &err), TM_E_MALFORMED);
        bytes[places[i]] ^= 1;
    }
}
END_TEST

START_TEST(test_pipeline_of_a_chunk)
{
    static const uint32_t expected[SAMPLE_CHUNKS] = {0, 0, 1, 1, 1};
    uint32_t owner = 0;
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        ck_assert_uint_eq(tm_pkg_chunk_pipeline(&s.meta, i, &owner), expected[i]);
    }
    ck_assert_uint_eq(owner, 2);
    struct tm_pkg_attachment two[2] = {s.meta.attachments[0], s.meta.attachments[0]};
    struct tm_pkg_attachment *kept = s.meta.attachments;
    two[0].chunk_count = two[1].chunk_count = 1;
    two[1].first_chunk = 4;
    two[1].pipeline = 0;
    s.meta.attachments = two;
    s.meta.attachment_count = 2;
    owner = 0;
    ck_assert_uint_eq(tm_pkg_chunk_pipeline(&s.meta, 3, &owner), 1);
    ck_assert_uint_eq(tm_pkg_chunk_pipeline(&s.meta, 4, &owner), 0);
    ck_assert_uint_eq(owner, 3);
    s.meta.attachments = kept;
    s.meta.attachment_count = 1;
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("package_tables");
    TCase *tc = tcase_create("package_tables");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_rules_of_the_tables);
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_order_of_names);
    tcase_add_test(tc, test_doubled_names_among_three);
    tcase_add_test(tc, test_sums_that_overflow);
    tcase_add_test(tc, test_bytes_of_the_tables);
    tcase_add_test(tc, test_cut_inside_records);
    tcase_add_test(tc, test_growth_failures);
    tcase_add_test(tc, test_counts_are_bounded_before_allocation);
    tcase_add_test(tc, test_empty_tables);
    tcase_add_test(tc, test_truncated_and_longer_tables);
    tcase_add_test(tc, test_header);
    tcase_add_test(tc, test_limits_of_the_header);
    tcase_add_test(tc, test_tail);
    tcase_add_test(tc, test_pipeline_of_a_chunk);
    suite_add_tcase(suite, tc);
    return suite;
}
