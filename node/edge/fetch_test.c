/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/fetch.h"

#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "tests/support/http_server.h"
#include "tests/support/suite.h"

#define BYTES 300000

static char dir[64];
static uint8_t data[BYTES];
static struct http_server server;
static struct tm_source *source;
static struct tm_buf out;
static struct tm_err err;

static void setup(void)
{
    char path[128];
    struct tm_rng rng;
    memset(&err, 0, sizeof err);
    setenv("no_proxy", "127.0.0.1", 1);
    snprintf(dir, sizeof dir, "/tmp/tm-fetch-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    tm_rng_init(&rng, 11);
    tm_rng_fill(&rng, data, sizeof data);
    snprintf(path, sizeof path, "%s/file", dir);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_of(data, BYTES), &err), TM_OK);
    tm_buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    tm_source_close(&source);
    tm_buf_deinit(&out);
    ck_assert_int_eq(tm_dir_remove_tree(dir, &err), TM_OK);
}

static void serve(enum http_fault fault)
{
    http_start(&server, dir, fault);
    ck_assert_int_eq(tm_source_open(server.url, NULL, &source, &err), TM_OK);
}

static tm_status range(uint64_t offset, uint64_t bytes)
{
    memset(&err, 0, sizeof err);
    tm_buf_clear(&out);
    return tm_source_range(source, "file", offset, bytes, &out, &err);
}

static void is_exact(uint64_t offset, uint64_t bytes)
{
    char line[1600];
    tm_status status = range(offset, bytes);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&err, line, sizeof line));
    ck_assert_uint_eq(out.bytes, bytes);
    ck_assert_mem_eq(out.data, data + offset, bytes);
}

static void try_ranges(void)
{
    is_exact(0, 1);
    is_exact(0, BYTES);
    is_exact(12345, 54321);
    is_exact(BYTES - 1, 1);
    is_exact(5, 0);
}

START_TEST(ranges_of_a_folder)
{
    ck_assert_int_eq(tm_source_open(dir, NULL, &source, &err), TM_OK);
    try_ranges();
    ck_assert_int_eq(range(BYTES - 1, 2), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "300001"));
    ck_assert_int_eq(tm_source_file(source, "file", BYTES, &out, &err), TM_OK);
    ck_assert_int_eq(tm_source_file(source, "file", BYTES - 1, &out, &err), TM_E_MALFORMED);
    ck_assert_int_eq(tm_source_file(source, "none", BYTES, &out, &err), TM_E_NOT_FOUND);
}
END_TEST

START_TEST(ranges_of_a_server)
{
    serve(HTTP_GOOD);
    try_ranges();
    ck_assert_uint_ge(tm_source_received(source), BYTES);
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_source_file(source, "file", BYTES, &out, &err), TM_OK);
    ck_assert_mem_eq(out.data, data, BYTES);
    ck_assert_int_eq(tm_source_file(source, "file", BYTES - 1, &out, &err), TM_E_MALFORMED);
    ck_assert_int_eq(tm_source_file(source, "none", BYTES, &out, &err), TM_E_NOT_FOUND);
    http_stop(&server);
}
END_TEST

struct pieces {
    uint64_t at;
    unsigned count, fail_at;
};

static tm_status take_piece(void *context, const uint8_t *piece, size_t bytes, struct tm_err *e)
{
    struct pieces *p = context;
    if (++p->count == p->fail_at) {
        return tm_err_set(e, TM_E_IO, "sink", "full", NULL, "no room");
    }
    ck_assert_mem_eq(piece, data + p->at, bytes);
    p->at += bytes;
    return TM_OK;
}

/* In order, each byte once, also over a line that breaks; a failing sink ends it at once. */
START_TEST(streams)
{
    static const enum http_fault faults[] = {HTTP_GOOD, HTTP_IGNORE_RANGE, HTTP_CUT_ONCE};
    for (size_t i = 0; i <= sizeof faults / sizeof faults[0]; i++) {
        struct pieces p = {.at = 1000};
        if (i > 0) {
            serve(faults[i - 1]);
        } else {
            ck_assert_int_eq(tm_source_open(dir, NULL, &source, &err), TM_OK);
        }
        ck_assert_int_eq(tm_source_stream(source, "file", 1000, 200000, take_piece, &p, &err),
                         TM_OK);
        ck_assert_uint_eq(p.at, 201000);
        p = (struct pieces){.at = 1000, .fail_at = 1};
        unsigned before = atomic_load(&server.requests);
        ck_assert_int_eq(tm_source_stream(source, "file", 1000, 200000, take_piece, &p, &err),
                         TM_E_IO);
        ck_assert_str_eq(err.where, "sink");
        if (i > 0) {
            ck_assert_uint_eq(atomic_load(&server.requests), before + 1);
            http_stop(&server);
        }
        tm_source_close(&source);
    }
}
END_TEST

START_TEST(a_server_that_ignores_range)
{
    serve(HTTP_IGNORE_RANGE);
    ck_assert(!tm_source_ignores_range(source));
    try_ranges();
    ck_assert(tm_source_ignores_range(source));
    http_stop(&server);
}
END_TEST

START_TEST(an_answer_that_broke_off_goes_on)
{
    serve(HTTP_CUT_ONCE);
    is_exact(1000, 50000);
    ck_assert_uint_eq(atomic_load(&server.requests), 2);
    ck_assert_uint_eq(tm_source_received(source), 50000); /* nothing came twice */
    http_stop(&server);
}
END_TEST

START_TEST(a_whole_file_that_broke_off_goes_on)
{
    serve(HTTP_CUT_ONCE);
    ck_assert_int_eq(tm_source_file(source, "file", BYTES, &out, &err), TM_OK);
    ck_assert_uint_eq(out.bytes, BYTES);
    ck_assert_mem_eq(out.data, data, BYTES);
    ck_assert_uint_eq(tm_source_received(source), BYTES);
    http_stop(&server);
}
END_TEST

START_TEST(an_answer_that_always_breaks_off)
{
    serve(HTTP_CUT_ALWAYS);
    ck_assert_int_eq(range(0, 50000), TM_E_NETWORK);
    ck_assert_uint_eq(atomic_load(&server.requests), 3);
    http_stop(&server);
}
END_TEST

START_TEST(a_server_error_is_tried_again)
{
    serve(HTTP_ERROR_ONCE);
    is_exact(7, 70);
    http_stop(&server);
}
END_TEST

START_TEST(a_refusal_is_not_tried_again)
{
    serve(HTTP_FORBIDDEN);
    ck_assert_int_eq(range(0, 10), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.why, "403"));
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    http_stop(&server);
}
END_TEST

START_TEST(redirects_end)
{
    serve(HTTP_REDIRECT_LOOP);
    ck_assert_int_eq(range(0, 10), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.why, "redirect"));
    ck_assert_uint_le(atomic_load(&server.requests), 7);
    http_stop(&server);
}
END_TEST

START_TEST(redirects_stay_on_the_web)
{
    serve(HTTP_REDIRECT_FILE);
    ck_assert_int_eq(range(0, 10), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.why, "neither http nor https"));
    ck_assert_uint_eq(out.bytes, 0);
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    http_stop(&server);
}
END_TEST

START_TEST(another_range_than_asked_is_refused)
{
    serve(HTTP_SHIFTED_RANGE);
    is_exact(0, 100);
    ck_assert_int_eq(range(1000, 100), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.why, "another range"));
    ck_assert_uint_eq(out.bytes, 0);
    http_stop(&server);
}
END_TEST

START_TEST(a_range_without_a_place_is_refused)
{
    serve(HTTP_NO_PLACE);
    ck_assert_int_eq(range(0, 100), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.why, "another range"));
    ck_assert_uint_eq(out.bytes, 0);
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    http_stop(&server);
}
END_TEST

/* Five tries, each with progress: a bad line gets there. */
START_TEST(tries_with_progress_do_not_count)
{
    serve(HTTP_CUT_LATE);
    is_exact(0, BYTES);
    ck_assert_uint_eq(atomic_load(&server.requests), 5);
    ck_assert_uint_eq(tm_source_received(source), BYTES);
    http_stop(&server);
}
END_TEST

START_TEST(more_than_asked_is_cut_off)
{
    serve(HTTP_ENDLESS);
    is_exact(0, 1000);
    is_exact(100, BYTES - 100);
    ck_assert_uint_lt(tm_source_received(source), 8 * BYTES);
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_source_file(source, "file", 2 * BYTES, &out, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.what, "too large"));
    ck_assert_ptr_nonnull(strstr(err.where, "/file"));
    http_stop(&server);
}
END_TEST

START_TEST(an_endless_error_page_is_not_read)
{
    serve(HTTP_ENDLESS_ERROR);
    ck_assert_int_eq(range(0, 10), TM_E_NOT_FOUND);
    ck_assert_uint_lt(tm_source_received(source), 1 << 20);
    http_stop(&server);
}
END_TEST

/* Whether the server says so (416), sends a part (206) or the whole (200). */
START_TEST(a_file_that_is_too_short)
{
    static const enum http_fault faults[] = {HTTP_GOOD, HTTP_IGNORE_RANGE};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        serve(faults[i]);
        ck_assert_int_eq(range(BYTES, 1), TM_E_MALFORMED);
        ck_assert_uint_eq(atomic_load(&server.requests), 1);
        ck_assert_int_eq(range(BYTES - 10, 20), TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.what, "too short"));
        http_stop(&server);
        tm_source_close(&source);
    }
    serve(HTTP_WEB_PAGE);
    ck_assert_int_eq(range(0, 100), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "it has 26 bytes, 74 more"));
    http_stop(&server);
}
END_TEST

static volatile int stop_now;

static void *stop_soon(void *context)
{
    usleep(200 * 1000);
    stop_now = 1;
    return context;
}

START_TEST(a_silent_server_can_be_left)
{
    pthread_t thread;
    stop_now = 0;
    http_start(&server, dir, HTTP_STALL);
    ck_assert_int_eq(tm_source_open(server.url, &stop_now, &source, &err), TM_OK);
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    ck_assert_int_eq(range(0, 50000), TM_E_STOPPED);
    ck_assert_uint_eq(atomic_load(&server.requests), 1);
    pthread_join(thread, NULL);
    tm_source_close(&source); /* hangs up */
    http_stop(&server);
}
END_TEST

START_TEST(nobody_there)
{
    serve(HTTP_GOOD);
    http_stop(&server);
    ck_assert_int_eq(range(0, 10), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.hint, "run the command again"));
}
END_TEST

START_TEST(it_stops_when_asked)
{
    volatile int stop = 1;
    http_start(&server, dir, HTTP_CUT_ALWAYS);
    ck_assert_int_eq(tm_source_open(server.url, &stop, &source, &err), TM_OK);
    ck_assert_int_eq(range(0, 50000), TM_E_STOPPED);
    http_stop(&server);
}
END_TEST

START_TEST(places_that_are_none)
{
    ck_assert_int_eq(tm_source_open("ftp://x/y", NULL, &source, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_source_open("file:///etc", NULL, &source, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_source_open("/no/such/folder", NULL, &source, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_null(source);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("fetch");
    TCase *tc = tcase_create("fetch");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ranges_of_a_folder);
    tcase_add_test(tc, ranges_of_a_server);
    tcase_add_test(tc, streams);
    tcase_add_test(tc, a_server_that_ignores_range);
    tcase_add_test(tc, an_answer_that_broke_off_goes_on);
    tcase_add_test(tc, a_whole_file_that_broke_off_goes_on);
    tcase_add_test(tc, an_answer_that_always_breaks_off);
    tcase_add_test(tc, a_server_error_is_tried_again);
    tcase_add_test(tc, a_refusal_is_not_tried_again);
    tcase_add_test(tc, redirects_end);
    tcase_add_test(tc, redirects_stay_on_the_web);
    tcase_add_test(tc, another_range_than_asked_is_refused);
    tcase_add_test(tc, a_range_without_a_place_is_refused);
    tcase_add_test(tc, tries_with_progress_do_not_count);
    tcase_add_test(tc, more_than_asked_is_cut_off);
    tcase_add_test(tc, an_endless_error_page_is_not_read);
    tcase_add_test(tc, a_file_that_is_too_short);
    tcase_add_test(tc, a_silent_server_can_be_left);
    tcase_add_test(tc, nobody_there);
    tcase_add_test(tc, it_stops_when_asked);
    tcase_add_test(tc, places_that_are_none);
    suite_add_tcase(suite, tc);
    return suite;
}
