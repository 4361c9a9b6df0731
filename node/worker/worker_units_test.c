/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/worker_units.h"

#include "crypto/merkle.h"
#include "tests/support/small_job.h"
#include "tests/support/small_mesh.h"
#include "tests/support/suite.h"

#define ROWS 32u
#define COLS 512u
#define BYTES (ROWS * COLS * 4u)

static struct tm_identity *g_owner;
static struct small_mesh g_mesh;
static struct tm_work_pool *g_pool;
static struct tm_encode_setup g_setup;
static struct tm_worker_units *g_units;
static struct tm_err g_err;
static float g_values[ROWS * COLS];
static struct tm_worker_action g_action;

static void set_up(void)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 8);
    for (unsigned i = 0; i < ROWS * COLS; i++) {
        g_values[i] = (float)tm_rng_normal(&rng);
    }
    floats_to_file_order(g_values, ROWS * COLS);
    g_owner = small_job_identity(1);
    small_mesh_open(&g_mesh, g_owner);
    ck_assert_int_eq(tm_work_pool_new(g_mesh.transport, 1, &g_pool, &g_err), TM_OK);
    g_setup = (struct tm_encode_setup){.identity = g_owner};
    struct tm_worker_units_options options = {
        .link = g_mesh.link, .pool = g_pool, .setup = &g_setup, .cache_bytes = 1u << 20};
    ck_assert_int_eq(tm_worker_units_new(&options, &g_units), TM_OK);
    g_action =
        (struct tm_worker_action){.unit = 7,
                                  .desc = {.unit = 7,
                                           .source = tm_digest_of(tm_view_of(g_values, BYTES)),
                                           .source_bytes = BYTES,
                                           .dtype = TM_F32,
                                           .rows = ROWS,
                                           .cols = COLS},
                                  .pipeline = "int.1(bits=8,group=32)"};
}

static void tear_down(void)
{
    tm_work_pool_destroy(&g_pool);
    tm_worker_units_destroy(&g_units);
    small_mesh_close(&g_mesh);
    tm_identity_destroy(&g_owner);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static void act(enum tm_worker_action_type type)
{
    g_action.type = type;
    ck_assert_int_eq(tm_worker_units_act(g_units, &g_action, 1000), TM_OK);
}

static const struct tm_msg *at_coordinator(void)
{
    struct tm_mesh_peer *peer;
    return small_mesh_at_ports(&g_mesh, &peer);
}

/* As if it had come from the coordinator. */
static void piece(uint32_t offset, uint32_t bytes)
{
    struct tm_msg msg = {.type = TM_MSG_DATA,
                         .data = {.id = g_action.desc.source,
                                  .offset = offset,
                                  .total = BYTES,
                                  .piece = tm_view_of((uint8_t *)g_values + offset, bytes)}};
    tm_worker_units_message(g_units, &msg, 1001);
}

static struct tm_worker_event wait_event(void)
{
    struct tm_worker_event event;
    struct tm_poll_item items[TM_WORK_THREADS_MAX];
    uint64_t end = tm_clock_ms(tm_clock_os()) + SMALL_MESH_WAIT_MS;
    while (!tm_worker_units_event(g_units, &event)) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(items, tm_work_pool_poll(g_pool, items), 100);
    }
    return event;
}

static void fetch_whole(void)
{
    act(TM_WACT_FETCH);
    const struct tm_msg *msg = at_coordinator();
    ck_assert_int_eq(msg->type, TM_MSG_FETCH);
    ck_assert(tm_digest_eq(&msg->fetch.id, &g_action.desc.source));
    ck_assert_uint_eq(msg->fetch.credit_bytes, BYTES);
    struct tm_worker_event event;
    ck_assert(!tm_worker_units_event(g_units, &event));
    piece(0, 30000);
    ck_assert(!tm_worker_units_event(g_units, &event));
    piece(30000, BYTES - 30000);
    event = wait_event();
    ck_assert_int_eq(event.type, TM_WEV_FETCHED);
    ck_assert_uint_eq(event.unit, 7);
}

START_TEST(fetched_encoded_sent)
{
    fetch_whole();
    act(TM_WACT_ENCODE);
    struct tm_worker_event event = wait_event();
    ck_assert_int_eq(event.type, TM_WEV_ENCODED);
    ck_assert_uint_gt(event.bytes, ROWS * COLS / 2);
    struct tm_msg result = {.type = TM_MSG_RESULT,
                            .result = {.epoch = 1,
                                       .unit = 7,
                                       .leaf = event.leaf,
                                       .bytes = event.bytes,
                                       .compute_ms = 1,
                                       .sig = event.sig}};
    g_action.msg = &result;
    act(TM_WACT_UPLOAD);
    ck_assert_int_eq(at_coordinator()->type, TM_MSG_RESULT);
    struct tm_msg credit = {.type = TM_MSG_CREDIT,
                            .credit = {.id = event.leaf, .credit_bytes = 1000}};
    tm_worker_units_message(g_units, &credit, 1002);
    tm_worker_units_pump(g_units, 1002);
    struct tm_buf chunk;
    tm_buf_init(&chunk, 1u << 20);
    const struct tm_msg *msg = at_coordinator();
    ck_assert_int_eq(msg->type, TM_MSG_DATA);
    ck_assert_uint_eq(msg->data.piece.bytes, 1000); /* and not a byte more than the credit */
    ck_assert_uint_eq(msg->data.total, event.bytes);
    ck_assert_int_eq(tm_buf_put(&chunk, msg->data.piece.data, 1000), TM_OK);
    credit.credit.credit_bytes = UINT32_MAX;
    tm_worker_units_message(g_units, &credit, 1003);
    tm_worker_units_pump(g_units, 1003);
    msg = at_coordinator();
    ck_assert_uint_eq(msg->data.offset, 1000);
    ck_assert_int_eq(tm_buf_put(&chunk, msg->data.piece.data, msg->data.piece.bytes), TM_OK);
    struct tm_digest leaf = tm_merkle_leaf(tm_buf_view(&chunk));
    ck_assert(tm_digest_eq(&leaf, &event.leaf));
    tm_buf_deinit(&chunk);
    act(TM_WACT_FORGET);
    act(TM_WACT_FETCH); /* the source is still in the cache */
    ck_assert_int_eq(wait_event().type, TM_WEV_FETCHED);
}
END_TEST

/* Announces the result of an encoded unit. */
static void announce(uint32_t unit, const struct tm_worker_event *encoded)
{
    struct tm_msg result = {
        .type = TM_MSG_RESULT,
        .result = {.epoch = 1, .unit = unit, .leaf = encoded->leaf, .bytes = encoded->bytes}};
    g_action.unit = unit;
    g_action.msg = &result;
    act(TM_WACT_UPLOAD);
    ck_assert_int_eq(at_coordinator()->type, TM_MSG_RESULT);
}

static void pay_for_all(const struct tm_worker_event *encoded)
{
    struct tm_msg credit = {.type = TM_MSG_CREDIT,
                            .credit = {.id = encoded->leaf, .credit_bytes = encoded->bytes}};
    tm_worker_units_message(g_units, &credit, 1002);
    tm_worker_units_pump(g_units, 1002);
    const struct tm_msg *msg = at_coordinator();
    ck_assert_int_eq(msg->type, TM_MSG_DATA);
    ck_assert_uint_eq(msg->data.offset, 0);
    ck_assert_uint_eq(msg->data.piece.bytes, encoded->bytes);
}

/* Which of the two a piece or a credit is for nobody can tell, and nobody need. */
START_TEST(two_units_with_the_same_bytes)
{
    fetch_whole();
    act(TM_WACT_ENCODE);
    struct tm_worker_event first = wait_event();
    g_action.unit = g_action.desc.unit = 8;
    act(TM_WACT_FETCH);
    ck_assert_int_eq(wait_event().type, TM_WEV_FETCHED);
    act(TM_WACT_ENCODE);
    struct tm_worker_event second = wait_event();
    ck_assert_uint_eq(second.unit, 8);
    ck_assert(tm_digest_eq(&first.leaf, &second.leaf));
    announce(7, &first);
    announce(8, &second);
    pay_for_all(&first);
    g_action.unit = 8; /* its receipt: the coordinator took the bytes for it */
    act(TM_WACT_FORGET);
    pay_for_all(&first);
}
END_TEST

START_TEST(wrong_bytes_fail_the_fetch)
{
    act(TM_WACT_FETCH);
    at_coordinator();
    piece(0, 30000);
    ((uint8_t *)g_values)[BYTES - 1] ^= 1;
    piece(30000, BYTES - 30000);
    struct tm_worker_event event = wait_event();
    ck_assert_int_eq(event.type, TM_WEV_FETCH_FAILED);
    ck_assert_ptr_nonnull(strstr(tm_worker_units_error(g_units)->why, "hash"));
}
END_TEST

START_TEST(a_fetch_that_stands_still_fails)
{
    act(TM_WACT_FETCH);
    at_coordinator();
    piece(0, 100);
    struct tm_worker_event event;
    tm_worker_units_pump(g_units, 1001 + 20000);
    ck_assert(!tm_worker_units_event(g_units, &event));
    tm_worker_units_pump(g_units, 1001 + 20001);
    ck_assert(tm_worker_units_event(g_units, &event));
    ck_assert_int_eq(event.type, TM_WEV_FETCH_FAILED);
}
END_TEST

START_TEST(restart_asks_again)
{
    act(TM_WACT_FETCH);
    at_coordinator();
    piece(0, 100);
    tm_worker_units_restart(g_units, 2000);
    const struct tm_msg *msg = at_coordinator();
    ck_assert_int_eq(msg->type, TM_MSG_FETCH);
    ck_assert_uint_eq(msg->fetch.credit_bytes, BYTES);
    piece(100, 100); /* of before: does not fit any more */
    piece(0, BYTES);
    ck_assert_int_eq(wait_event().type, TM_WEV_FETCHED);
}
END_TEST

START_TEST(forgotten_while_it_is_encoded)
{
    fetch_whole();
    act(TM_WACT_ENCODE);
    act(TM_WACT_FORGET);
    struct tm_worker_event event = wait_event();
    ck_assert_int_eq(event.type, TM_WEV_ENCODED); /* the machine knows that it is not wanted */
    struct tm_msg result = {.type = TM_MSG_RESULT, .result = {.unit = 7}};
    g_action.msg = &result;
    act(TM_WACT_UPLOAD); /* nothing is there to be sent */
    struct tm_mesh_peer *peer;
    ck_assert_ptr_null(tm_mesh_ports_receive(g_mesh.ports, 1, &peer));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("worker_units");
    TCase *tc = tcase_create("worker_units");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, fetched_encoded_sent);
    tcase_add_test(tc, two_units_with_the_same_bytes);
    tcase_add_test(tc, wrong_bytes_fail_the_fetch);
    tcase_add_test(tc, a_fetch_that_stands_still_fails);
    tcase_add_test(tc, restart_asks_again);
    tcase_add_test(tc, forgotten_while_it_is_encoded);
    suite_add_tcase(suite, tc);
    return suite;
}
