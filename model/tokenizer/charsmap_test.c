/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/charsmap.h"

#include <string.h>

#include "tests/support/suite.h"

#define LEAF (1u << 8)

/* A double array by hand: "a" -> "X", "ab" -> "YZ". Children of the root are at 256 ^ label, those
 * of "a" at 512 ^ label; a value is the child of label 0. */
static uint32_t unit(uint32_t label, uint32_t offset, bool leaf)
{
    return label | offset << 10 | (leaf ? LEAF : 0);
}

static struct tm_view small_map(struct tm_buf *blob)
{
    uint32_t units[1024] = {0};
    uint32_t root = 256, a = root ^ 'a', below_a = a ^ 512, ab = below_a ^ 'b', below_ab = ab ^ 256;
    units[0] = unit(0, 256, false);
    units[a] = unit('a', 512, true);
    units[below_a] = 0x80000000u | 0; /* the text at 0 */
    units[ab] = unit('b', 256, true);
    units[below_ab] = 0x80000000u | 2; /* the text at 2 */
    tm_buf_init(blob, 1u << 20);
    ck_assert_int_eq(tm_buf_put_u32(blob, sizeof units), TM_OK);
    for (size_t i = 0; i < 1024; i++) {
        ck_assert_int_eq(tm_buf_put_u32(blob, units[i]), TM_OK);
    }
    ck_assert_int_eq(tm_buf_put(blob, "X\0YZ", 5), TM_OK);
    return tm_buf_view(blob);
}

START_TEST(the_longest_key_is_replaced)
{
    struct tm_buf blob, out;
    struct tm_charsmap map;
    struct tm_view found;
    tm_buf_init(&out, 1000);
    ck_assert_int_eq(tm_charsmap_open(&map, small_map(&blob), NULL), TM_OK);
    ck_assert_uint_eq(tm_charsmap_find(&map, tm_view_str("abc"), &found), 2);
    ck_assert(tm_view_eq_str(found, "YZ"));
    ck_assert_uint_eq(tm_charsmap_find(&map, tm_view_str("ac"), &found), 1);
    ck_assert(tm_view_eq_str(found, "X"));
    ck_assert_uint_eq(tm_charsmap_find(&map, tm_view_str("b"), &found), 0);
    ck_assert_uint_eq(tm_charsmap_find(&map, tm_view_str(""), &found), 0);
    ck_assert_int_eq(tm_charsmap_apply(&map,
                                       tm_view_str("\xc3\xa9"
                                                   "aab-ba"),
                                       &out),
                     TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "\xc3\xa9XYZ-bX"));
    tm_buf_deinit(&out);
    tm_buf_deinit(&blob);
}
END_TEST

START_TEST(broken_maps_are_refused)
{
    static const struct {
        const char *bytes;
        size_t count;
    } broken[] = {{"\4\0\0", 3},
                  {"\0\0\0\0x\0", 6},     /* no trie */
                  {"\3\0\0\0abc\0", 8},   /* not whole units */
                  {"\4\0\0\0abc", 7},     /* cut off */
                  {"\4\0\0\0abcd", 8},    /* no texts */
                  {"\4\0\0\0abcdxy", 10}, /* the last text has no end */
                  {"\xff\xff\xff\xff"
                   "abcd\0",
                   9}};
    struct tm_charsmap map;
    struct tm_err err;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct tm_view blob = tm_view_of(broken[i].bytes, broken[i].count);
        ck_assert_int_eq(tm_charsmap_open(&map, blob, &err), TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.why, "in a map of"));
    }
    ck_assert_int_eq(tm_charsmap_open(&map, tm_view_str(""), &err), TM_OK);
}
END_TEST

START_TEST(wild_units_lead_nowhere)
{
    /* Offsets that point outside end the walk; values outside the texts are not taken. */
    uint8_t blob[4 + 8 + 2] = {8, 0, 0, 0};
    struct tm_charsmap map;
    struct tm_view found;
    memset(blob + 4, 0xff, 8);
    ck_assert_int_eq(tm_charsmap_open(&map, tm_view_of(blob, sizeof blob), NULL), TM_OK);
    for (int c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        ck_assert_uint_eq(tm_charsmap_find(&map, tm_view_of(&byte, 1), &found), 0);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("charsmap");
    TCase *tc = tcase_create("charsmap");
    tcase_add_test(tc, the_longest_key_is_replaced);
    tcase_add_test(tc, broken_maps_are_refused);
    tcase_add_test(tc, wild_units_lead_nowhere);
    suite_add_tcase(suite, tc);
    return suite;
}
