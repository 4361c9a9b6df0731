/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

#define HEAD_BYTES 56

static struct tm_relay *g_a;
static int g_b; /* the other end, by hand */
static struct tm_err g_err;

static void set_up(void)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(tm_relay_new(fds[0], &g_a, &g_err), TM_OK);
    g_b = fds[1];
}

static void tear_down(void)
{
    tm_relay_destroy(&g_a);
    close(g_b);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static struct tm_relay_head head_of(enum tm_relay_type type, uint8_t kind)
{
    struct tm_relay_head head = {.type = type, .kind = kind, .route = {.bytes = 5}};
    memset(head.route.b, 7, 5);
    memset(head.key, 9, sizeof head.key);
    return head;
}

static void write_all(const void *data, size_t bytes)
{
    ck_assert_int_eq(send(g_b, data, bytes, 0), (ssize_t)bytes);
}

START_TEST(layout_is_as_written_down)
{
    struct tm_relay_head head = head_of(TM_RELAY_FRAME, 1);
    uint8_t got[100];
    ck_assert_int_eq(tm_relay_send(g_a, &head, tm_view_str("abc"), 0), TM_OK);
    ck_assert_int_eq(recv(g_b, got, sizeof got, 0), HEAD_BYTES + 3);
    static const uint8_t start[] = {3, 0, 0, 0, TM_RELAY_FRAME, 1, 5, 0, 7, 7, 7, 7, 7, 0};
    ck_assert_mem_eq(got, start, sizeof start);
    for (int i = 24; i < HEAD_BYTES; i++) {
        ck_assert_uint_eq(got[i], 9);
    }
    ck_assert_mem_eq(got + HEAD_BYTES, "abc", 3);
}
END_TEST

START_TEST(messages_come_in_whatever_pieces)
{
    struct tm_relay_head head = head_of(TM_RELAY_FRAME, 0);
    struct tm_relay_head back;
    struct tm_view data;
    uint8_t bytes[2 * (HEAD_BYTES + 4)];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tm_relay_send(g_a, &head, tm_view_str(i == 0 ? "one." : "two."), 0),
                         TM_OK);
    }
    ck_assert_int_eq(recv(g_b, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        int whole = 0;
        write_all(bytes, cut);
        for (int part = 0; part < 2; part++) {
            while (tm_relay_receive(g_a, &back, &data) == TM_OK) {
                ck_assert(tm_view_eq_str(data, whole++ == 0 ? "one." : "two."));
                ck_assert_int_eq(back.type, TM_RELAY_FRAME);
                ck_assert_mem_eq(&back.route, &head.route, sizeof head.route);
                ck_assert_mem_eq(back.key, head.key, sizeof head.key);
            }
            ck_assert_int_eq(tm_relay_receive(g_a, &back, &data), TM_E_NOTHING);
            if (part == 0) {
                ck_assert_int_eq(whole, (int)(cut / (HEAD_BYTES + 4)));
                write_all(bytes + cut, sizeof bytes - cut);
            }
        }
        ck_assert_int_eq(whole, 2);
    }
}
END_TEST

/* Writes until the socket is full and beyond; what waits keeps its order and its bytes. */
START_TEST(what_waits_is_bounded_and_whole)
{
    enum { BYTES = 200000, MAX = 500000 };
    static uint8_t data[BYTES], got[BYTES];
    struct tm_relay *b = NULL;
    struct tm_relay_head head = head_of(TM_RELAY_FRAME, 1);
    struct tm_view view;
    int sent = 0, heard = 0;
    tm_status status;
    while ((status = tm_relay_send(g_a, &head, tm_view_of(data, BYTES), MAX)) == TM_OK) {
        memset(data, ++sent, sizeof data);
        ck_assert_int_lt(sent, 100);
    }
    ck_assert_int_eq(status, TM_E_LIMIT);
    ck_assert_uint_gt(tm_relay_waiting(g_a), 0);
    ck_assert_uint_le(tm_relay_waiting(g_a), MAX);
    ck_assert(tm_relay_poll(g_a).write);
    ck_assert_int_eq(tm_relay_new(dup(g_b), &b, &g_err), TM_OK);
    while (heard < sent) {
        ck_assert_int_eq(tm_relay_flush(g_a), TM_OK);
        status = tm_relay_receive(b, &head, &view);
        if (status == TM_OK) {
            memset(got, heard++, sizeof got);
            ck_assert(tm_view_eq(view, tm_view_of(got, BYTES)));
        } else {
            ck_assert_int_eq(status, TM_E_NOTHING);
        }
    }
    ck_assert_uint_eq(tm_relay_waiting(g_a), 0);
    ck_assert(!tm_relay_poll(g_a).write);
    tm_relay_destroy(&b);
}
END_TEST

START_TEST(largest_message)
{
    static uint8_t data[TM_RELAY_DATA_MAX];
    struct tm_relay *b = NULL;
    struct tm_relay_head head = head_of(TM_RELAY_FRAME, 1);
    struct tm_view view;
    struct tm_rng rng;
    tm_rng_init(&rng, 5);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)tm_rng_u64(&rng);
    }
    ck_assert_int_eq(tm_relay_new(dup(g_b), &b, &g_err), TM_OK);
    ck_assert_int_eq(tm_relay_send(g_a, &head, tm_view_of(data, sizeof data), 0), TM_OK);
    tm_status status;
    while ((status = tm_relay_receive(b, &head, &view)) == TM_E_NOTHING) {
        ck_assert_int_eq(tm_relay_flush(g_a), TM_OK);
    }
    ck_assert_int_eq(status, TM_OK);
    ck_assert(tm_view_eq(view, tm_view_of(data, sizeof data)));
    tm_relay_destroy(&b);
}
END_TEST

START_TEST(heads_that_are_wrong)
{
    static const struct {
        uint8_t at, value;
    } bad[] = {{2, 9} /* 589,824 bytes */, {3, 1}, {4, TM_RELAY_TYPES}, {5, 2}, {6, 17}, {7, 1}};
    uint8_t head[HEAD_BYTES] = {[4] = TM_RELAY_FRAME};
    struct tm_relay_head back;
    struct tm_view data;
    head[bad[_i].at] = bad[_i].value;
    write_all(head, sizeof head);
    ck_assert_int_eq(tm_relay_receive(g_a, &back, &data), TM_E_MALFORMED);
}
END_TEST

START_TEST(the_other_end_goes)
{
    struct tm_relay_head head = head_of(TM_RELAY_SENT, 1);
    struct tm_view data;
    write_all("half a head", 11);
    close(g_b);
    ck_assert_int_eq(tm_relay_receive(g_a, &head, &data), TM_E_NETWORK);
    ck_assert_int_eq(tm_relay_send(g_a, &head, tm_view_str("x"), 0), TM_E_NETWORK);
    g_b = dup(0);
}
END_TEST

START_TEST(an_end_comes_after_the_last_message)
{
    struct tm_relay_head head = head_of(TM_RELAY_FRAME, 0);
    struct tm_view data;
    uint8_t got[HEAD_BYTES + 5];
    ck_assert_int_eq(tm_relay_send(g_a, &head, tm_view_str("last."), 0), TM_OK);
    tm_relay_finish(g_a);
    ck_assert_int_eq(recv(g_b, got, sizeof got, MSG_WAITALL), sizeof got);
    ck_assert_int_eq(recv(g_b, got, sizeof got, 0), 0);
    ck_assert_int_eq(tm_relay_receive(g_a, &head, &data), TM_E_NOTHING); /* that way is open */
}
END_TEST

START_TEST(no_link_without_a_socket)
{
    struct tm_relay *relay = NULL;
    int gone = dup(g_b);
    close(gone);
    ck_assert_int_eq(tm_relay_new(gone, &relay, &g_err), TM_E_IO);
    ck_assert_ptr_null(relay);
    ck_assert_ptr_nonnull(strstr(g_err.why, strerror(EBADF)));
}
END_TEST

START_TEST(memory_runs_out)
{
    struct tm_relay *relay = NULL;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        tm_mem_fail_at(n);
        tm_status status = tm_relay_new(dup(g_b), &relay, &g_err);
        tm_mem_fail_at(0);
        if (status == TM_OK) {
            break;
        }
        failures++;
        ck_assert_int_eq(status, TM_E_NOMEM);
        ck_assert_ptr_null(relay);
    }
    ck_assert_int_eq(failures, 2);
    tm_relay_destroy(&relay);
    tm_relay_destroy(&relay);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("relay");
    TCase *tc = tcase_create("relay");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, layout_is_as_written_down);
    tcase_add_test(tc, messages_come_in_whatever_pieces);
    tcase_add_test(tc, what_waits_is_bounded_and_whole);
    tcase_add_test(tc, largest_message);
    tcase_add_loop_test(tc, heads_that_are_wrong, 0, 6);
    tcase_add_test(tc, the_other_end_goes);
    tcase_add_test(tc, an_end_comes_after_the_last_message);
    tcase_add_test(tc, no_link_without_a_socket);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}
