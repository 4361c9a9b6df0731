/* SPDX-License-Identifier: Apache-2.0
 * The ledger's bytes and its rules. */
#include "package/ledger.h"

#include "base/bytes.h"
#include "tests/support/growth.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static struct sample s;
static struct tm_buf bytes;
static struct tm_err err;

static void setup(void)
{
    sample_make(&s, SAMPLE_SEED);
    tm_buf_init(&bytes, 1 << 20);
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, &bytes, &err), TM_OK);
}

static void teardown(void)
{
    tm_buf_deinit(&bytes);
    sample_free(&s);
}

static tm_status parse(void)
{
    struct tm_pkg_ledger out;
    tm_status status =
        tm_pkg_ledger_parse(tm_buf_view(&bytes), 1000, "f", SAMPLE_CHUNKS, &out, &err);
    tm_pkg_ledger_deinit(&out);
    return status;
}

START_TEST(test_layout)
{
    ck_assert_uint_eq(bytes.bytes, 16 + 2 * 32 + 20 + 5 * 88);
    ck_assert_uint_eq(tm_get_u32(bytes.data), 2);
    ck_assert_uint_eq(tm_get_u32(bytes.data + 4), 5);
    ck_assert_uint_eq(tm_get_u32(bytes.data + 8), 1);
    const uint8_t *entry1 = bytes.data + 16 + 64 + 20 + 88;
    ck_assert_uint_eq(tm_get_u32(entry1), TM_CHECK_DECODED);
    ck_assert_uint_eq(tm_get_u32(entry1 + 4), 1);
    ck_assert_uint_eq(tm_get_u64(entry1 + 8), 0x3ff0000000000001u);
    ck_assert_uint_eq(tm_get_u64(entry1 + 16), 0x4059000000000000u);
    ck_assert_int_eq(memcmp(entry1 + 24, s.ledger.entries[1].sig.b, 64), 0);
    ck_assert_int_eq(parse(), TM_OK);
}
END_TEST

START_TEST(test_statement_bytes)
{
    uint8_t out[TM_PKG_STATEMENT_MAX], by_hand[104 + 3];
    struct tm_digest plan = {{1}}, source = {{2}}, leaf = {{3}};
    struct tm_view v = tm_pkg_statement(&plan, 0x01020304, &source, &leaf, "int", out);
    memcpy(by_hand, plan.b, 32);
    static const uint8_t chunk[4] = {4, 3, 2, 1}, text[7] = {3, 0, 0, 0, 'i', 'n', 't'};
    memcpy(by_hand + 32, chunk, sizeof chunk);
    memcpy(by_hand + 36, source.b, 32);
    memcpy(by_hand + 68, leaf.b, 32);
    memcpy(by_hand + 100, text, sizeof text);
    ck_assert(tm_view_eq(v, tm_view_of(by_hand, sizeof by_hand)));
}
END_TEST

/* A change at one place, and the reason that must come. */
START_TEST(test_rules)
{
    static const struct {
        size_t at;
        uint8_t xor_with;
        const char *why, *where;
    } cases[] = {
        {0, 1, "the counts of the ledger need", "f: at byte 1000"},
        {3, 0xff, "the counts of the ledger need", "f: at byte 1000"},
        {4, 1, "4 entries for 5 chunks", "f: at byte 1004"},
        {8, 2, "the counts of the ledger need", "f: at byte 1000"},
        {12, 1, "reserved bytes", "f: at byte 1012"},
        {16, 0xff, "node keys of the ledger are not sorted", "f: at byte 1048"},
        {100, 8, "ledger entry 0 has unknown checks 0xb", "f: at byte 1100"},
        {104, 2, "ledger entry 0 names node 2 of 2", "f: at byte 1104"},
    };
    bytes.data[16] = 0; /* the first key below the second in its first byte */
    bytes.data[48] = 1;
    ck_assert_int_eq(parse(), TM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes.data[cases[i].at] ^= cases[i].xor_with;
        ck_assert_int_eq(parse(), TM_E_MALFORMED);
        ck_assert_msg(strstr(err.why, cases[i].why) != NULL, "%zu: %s", i, err.why);
        ck_assert_str_eq(err.where, cases[i].where);
        bytes.data[cases[i].at] ^= cases[i].xor_with;
    }
    for (size_t n = 0; n < 16; n++) {
        bytes.bytes = n;
        ck_assert_int_eq(parse(), TM_E_MALFORMED);
        ck_assert_str_eq(err.why, "the ledger has no head");
    }
}
END_TEST

START_TEST(test_writer_keeps_the_rules)
{
    struct tm_node_id twice[2] = {s.ledger.banned[0], s.ledger.banned[0]};
    struct tm_node_id *banned = s.ledger.banned;
    s.ledger.banned = twice;
    s.ledger.banned_count = 2;
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, &bytes, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "banned nodes"));
    s.ledger.banned = banned;
    s.ledger.banned_count = 1;
    struct tm_public_key second = s.ledger.nodes[1];
    s.ledger.nodes[1] = s.ledger.nodes[0];
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, &bytes, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "node keys of the ledger are not sorted and unique"));
    s.ledger.nodes[1] = second;
    s.ledger.entries[4].chunk = 3;
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, &bytes, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "ledger entry 4 is of chunk 3");
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, 6, &bytes, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "the ledger has 5 entries for 6 chunks");
    s.ledger.entries[4].chunk = 4;
    struct tm_buf small;
    tm_buf_init(&small, 100);
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, &small, &err), TM_E_LIMIT);
    tm_buf_deinit(&small);
}
END_TEST

START_TEST(test_relative_error)
{
    struct tm_pkg_ledger_entry entries[3] = {
        {.squared_error_bits = tm_f64_bits(1.0), .squared_norm_bits = tm_f64_bits(5.0)},
        {.squared_error_bits = tm_f64_bits(2.0), .squared_norm_bits = tm_f64_bits(7.0)},
        {.squared_error_bits = tm_f64_bits(0.0), .squared_norm_bits = tm_f64_bits(0.0)}};
    struct tm_pkg_ledger ledger = {.entries = entries, .entry_count = 3};
    ck_assert_double_eq(tm_pkg_relative_error(&ledger, 0, 3), 0.5);
    ck_assert_double_eq_tol(tm_pkg_relative_error(&ledger, 1, 1), 0.5345224838248488, 1e-15);
    ck_assert_double_eq(tm_pkg_relative_error(&ledger, 2, 1), 0.0);
    ck_assert_double_eq(tm_pkg_relative_error(&ledger, 0, 0), 0.0);
}
END_TEST

START_TEST(test_memory_failures)
{
    size_t live = tm_mem_live_blocks();
    uint64_t n = 0;
    tm_status status;
    do {
        tm_mem_fail_at(++n);
        status = parse();
        tm_mem_fail_at(0);
        ck_assert(status == TM_OK || status == TM_E_NOMEM);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    } while (status != TM_OK);
    ck_assert_uint_eq(n, 4);
}
END_TEST

static tm_status write_ledger(struct tm_buf *out)
{
    return tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, out, &err);
}

START_TEST(test_growth_failures)
{
    growth_fails_everywhere(write_ledger, bytes.bytes);
    ck_assert_str_eq(err.what, "cannot write the ledger");
}
END_TEST

START_TEST(test_several_banned)
{
    struct tm_node_id two[2] = {{{1}}, {{2}}}, *banned = s.ledger.banned;
    s.ledger.banned = two;
    s.ledger.banned_count = 2;
    tm_buf_clear(&bytes);
    ck_assert_int_eq(tm_pkg_ledger_write(&s.ledger, SAMPLE_CHUNKS, &bytes, &err), TM_OK);
    ck_assert_int_eq(parse(), TM_OK);
    bytes.data[16 + 64 + 20] = 0; /* no longer above the first */
    ck_assert_int_eq(parse(), TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "f: at byte 1100");
    s.ledger.banned = banned;
    s.ledger.banned_count = 1;
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tc = tcase_create("ledger");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_layout);
    tcase_add_test(tc, test_statement_bytes);
    tcase_add_test(tc, test_rules);
    tcase_add_test(tc, test_writer_keeps_the_rules);
    tcase_add_test(tc, test_relative_error);
    tcase_add_test(tc, test_memory_failures);
    tcase_add_test(tc, test_growth_failures);
    tcase_add_test(tc, test_several_banned);
    suite_add_tcase(suite, tc);
    return suite;
}
