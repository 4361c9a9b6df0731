/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/http_head.h"

#include "tests/support/suite.h"

static const struct {
    const char *line;
    bool field, known;
    uint64_t start;
} lines[] = {
    {"Content-Range: bytes 100-199/1000\r\n", true, true, 100},
    {"content-range:bytes 0-0/1", true, true, 0},
    {"CONTENT-RANGE:\t bytes  7-9/*\r\n", true, true, 7},
    {"Content-Range: bytes 18446744073709551615-18446744073709551615/*", true, true, UINT64_MAX},
    {"Content-Range: bytes 18446744073709551616-0/1", true, false, 0},
    {"Content-Range: bytes */1000\r\n", true, false, 0},
    {"Content-Range: bytes -5/10\r\n", true, false, 0},
    {"Content-Range: bytes 5", true, false, 0},
    {"Content-Range: bytes 01-2/3", true, false, 0}, /* no number of ours */
    {"Content-Range: lines 1-2/3", true, false, 0},
    {"Content-Range:", true, false, 0},
    {"Content-Rang", false, false, 0},
    {"X-Content-Range: bytes 1-2/3", false, false, 0},
    {"", false, false, 0},
};

START_TEST(ranges_are_read_strictly)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        bool known = false;
        uint64_t start = 0;
        bool field = tm_http_content_range(tm_view_str(lines[i].line), &known, &start);
        ck_assert_msg(field == lines[i].field, "%s", lines[i].line);
        ck_assert_msg(known == lines[i].known, "%s", lines[i].line);
        ck_assert_msg(!known || start == lines[i].start, "%s", lines[i].line);
    }
}
END_TEST

START_TEST(status_lines_are_known)
{
    ck_assert(tm_http_is_status_line(tm_view_str("HTTP/1.1 206 Partial Content\r\n")));
    ck_assert(tm_http_is_status_line(tm_view_str("HTTP/2 200\r\n")));
    ck_assert(!tm_http_is_status_line(tm_view_str("HTTP")));
    ck_assert(!tm_http_is_status_line(tm_view_str("http/1.1 200")));
    ck_assert(!tm_http_is_status_line(tm_view_str("\r\n")));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("http_head");
    TCase *tc = tcase_create("http_head");
    tcase_add_test(tc, ranges_are_read_strictly);
    tcase_add_test(tc, status_lines_are_known);
    suite_add_tcase(suite, tc);
    return suite;
}
