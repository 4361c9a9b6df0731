/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

/* RFC 4648, section 10, and the two characters that are not letters or digits. */
static const struct {
    const char *plain;
    const char *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};
enum { VECTORS = sizeof vectors / sizeof vectors[0] };

START_TEST(known_vectors)
{
    struct tm_buf buf;
    tm_buf_init(&buf, 100);
    ck_assert_int_eq(tm_buf_put_str(&buf, ">"), TM_OK);
    ck_assert_int_eq(tm_base64_encode(tm_view_str(vectors[_i].plain), &buf), TM_OK);
    ck_assert_uint_eq(buf.bytes, 1 + strlen(vectors[_i].text));
    ck_assert_mem_eq(buf.data + 1, vectors[_i].text, buf.bytes - 1);
    tm_buf_clear(&buf);
    ck_assert_int_eq(tm_base64_decode(tm_view_str(vectors[_i].text), &buf), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&buf), vectors[_i].plain));
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(every_length_and_byte_comes_back)
{
    uint8_t data[300];
    struct tm_buf text;
    struct tm_buf back;
    tm_buf_init(&text, 1000);
    tm_buf_init(&back, 1000);
    for (unsigned i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    for (size_t n = 0; n <= sizeof data; n++) {
        tm_buf_clear(&text);
        tm_buf_clear(&back);
        ck_assert_int_eq(tm_base64_encode(tm_view_of(data, n), &text), TM_OK);
        ck_assert_uint_eq(text.bytes, (n + 2) / 3 * 4);
        ck_assert_int_eq(tm_base64_decode(tm_buf_view(&text), &back), TM_OK);
        ck_assert(tm_view_eq(tm_buf_view(&back), tm_view_of(data, n)));
    }
    tm_buf_deinit(&text);
    tm_buf_deinit(&back);
}
END_TEST

/* Of all last groups with one '=', those that decode are exactly those that encoding makes: the
 * third character holds two unused bits. */
START_TEST(text_is_canonical)
{
    unsigned good = 0;
    for (unsigned c = 0; c < 256; c++) {
        char text[4] = {'A', 'A', (char)c, '='};
        struct tm_buf buf;
        tm_buf_init(&buf, 10);
        good += tm_base64_decode(tm_view_of(text, 4), &buf) == TM_OK && c != '=';
        tm_buf_deinit(&buf);
    }
    ck_assert_uint_eq(good, 16);
}
END_TEST

static const char *const bad[] = {
    "Z",        "Zg",   "Zg=",  "Zm9vY", "Zg==Zg==", "Z===", "====", "Zm9v\n",
    "Zm9v====", "Zm 9", "Zm-_", "Zh==",  "Zm9=",     "=Zg=", "Zg=a", "Zm9v Zg=",
};

START_TEST(malformed_text_leaves_the_buffer)
{
    struct tm_buf buf;
    tm_buf_init(&buf, 100);
    ck_assert_int_eq(tm_buf_put_str(&buf, "kept"), TM_OK);
    ck_assert_int_eq(tm_base64_decode(tm_view_str(bad[_i]), &buf), TM_E_MALFORMED);
    ck_assert(tm_view_eq_str(tm_buf_view(&buf), "kept"));
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(limits_and_memory)
{
    struct tm_buf buf;
    size_t live = tm_mem_live_blocks();
    tm_buf_init(&buf, 7);
    ck_assert_int_eq(tm_base64_encode(tm_view_str("four"), &buf), TM_E_LIMIT);
    ck_assert_uint_eq(buf.bytes, 0);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_base64_encode(tm_view_str("two"), &buf), TM_E_NOMEM);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_base64_decode(tm_view_str("Zm9v"), &buf), TM_E_NOMEM);
    tm_mem_fail_at(0);
    tm_buf_deinit(&buf);
    ck_assert_uint_eq(tm_mem_live_blocks(), live);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("base64");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, known_vectors, 0, VECTORS);
    tcase_add_test(core, every_length_and_byte_comes_back);
    tcase_add_test(core, text_is_canonical);
    tcase_add_loop_test(core, malformed_text_leaves_the_buffer, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(core, limits_and_memory);
    suite_add_tcase(suite, core);
    return suite;
}
