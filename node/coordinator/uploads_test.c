/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/uploads.h"

#include "base/rng.h"
#include "crypto/merkle.h"
#include "tests/support/small_job.h"
#include "tests/support/small_mesh.h"
#include "tests/support/suite.h"

#define BIG (3u * 1024 * 1024 + 17)

static struct tm_identity *g_owner;
static struct small_mesh g_mesh;
static struct tm_uploads *g_uploads;
static uint8_t *g_bytes; /* BIG */

static void set_up(void)
{
    struct tm_rng rng;
    g_owner = small_job_identity(1);
    small_mesh_open(&g_mesh, g_owner);
    ck_assert_int_eq(tm_uploads_new(g_mesh.ports, 4u << 20, &g_uploads), TM_OK);
    g_bytes = tm_alloc(BIG);
    tm_rng_init(&rng, 5);
    tm_rng_fill(&rng, g_bytes, BIG);
}

static void tear_down(void)
{
    tm_free(g_bytes);
    tm_uploads_destroy(&g_uploads);
    small_mesh_close(&g_mesh);
    tm_identity_destroy(&g_owner);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static struct tm_msg_result announce(uint32_t unit, uint32_t bytes)
{
    struct tm_msg_result r = {.unit = unit, .bytes = bytes};
    r.leaf = tm_merkle_leaf(tm_view_of(g_bytes, bytes));
    return r;
}

static void accept(const struct tm_msg_result *r)
{
    ck_assert_int_eq(tm_uploads_accept(g_uploads, g_mesh.peer, r, BIG, 0), TM_OK);
}

static void put(const struct tm_msg_result *r, uint32_t offset, uint32_t bytes)
{
    struct tm_msg_data data = {.id = r->leaf,
                               .offset = offset,
                               .total = r->bytes,
                               .piece = tm_view_of(g_bytes + offset, bytes)};
    tm_uploads_data(g_uploads, g_mesh.peer, &data, 1);
}

static uint32_t credit(void)
{
    const struct tm_msg *msg = small_mesh_at_link(&g_mesh);
    ck_assert_int_eq(msg->type, TM_MSG_CREDIT);
    return msg->credit.credit_bytes;
}

START_TEST(small_one)
{
    struct tm_msg_result r = announce(3, 1000);
    accept(&r);
    ck_assert_uint_eq(credit(), 1000);
    ck_assert_uint_eq(tm_uploads_bytes(g_uploads), 1000);
    ck_assert_ptr_null(tm_uploads_ready(g_uploads));
    put(&r, 0, 400);
    put(&r, 0, 400);   /* again: dropped */
    put(&r, 500, 500); /* a gap: dropped */
    put(&r, 400, 600);
    struct tm_upload *u = tm_uploads_ready(g_uploads);
    ck_assert_ptr_nonnull(u);
    ck_assert_ptr_null(u->fault);
    ck_assert_mem_eq(u->data.data, g_bytes, 1000);
    ck_assert_ptr_null(tm_uploads_ready(g_uploads)); /* each one once */
    ck_assert_ptr_eq(tm_uploads_find(g_uploads, &g_mesh.peer->id, 3, &r.leaf), u);
    ck_assert_ptr_null(tm_uploads_find(g_uploads, &g_mesh.peer->id, 4, &r.leaf));
    struct tm_buf out;
    tm_uploads_take(g_uploads, u, &out);
    ck_assert_uint_eq(out.bytes, 1000);
    ck_assert_uint_eq(out.capacity, 1000);
    ck_assert_uint_eq(tm_uploads_bytes(g_uploads), 1000); /* not durable yet */
    tm_uploads_release(g_uploads, out.capacity);
    ck_assert_uint_eq(tm_uploads_bytes(g_uploads), 0);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(windows)
{
    struct tm_msg_result r = announce(1, BIG);
    accept(&r);
    uint32_t granted = credit();
    ck_assert_uint_eq(granted, 1024 * 1024);
    /* More than the credit is dropped. */
    put(&r, 0, granted + 1);
    uint32_t sent = 0;
    while (sent < BIG) {
        uint32_t piece = granted - sent < 256 * 1024 ? granted - sent : 256 * 1024;
        if (piece == 0) {
            granted += credit();
            ck_assert_uint_le(granted, BIG);
            ck_assert_uint_le(granted - sent, 1024 * 1024);
            continue;
        }
        put(&r, sent, piece);
        sent += piece;
    }
    struct tm_upload *u = tm_uploads_ready(g_uploads);
    ck_assert_ptr_nonnull(u);
    ck_assert_ptr_null(u->fault);
    ck_assert_uint_eq(u->data.bytes, BIG);
}
END_TEST

START_TEST(faults)
{
    struct tm_msg_result r = announce(1, 100);
    r.leaf.b[0] ^= 1;
    accept(&r);
    ck_assert_uint_eq(credit(), 100);
    put(&r, 0, 100);
    struct tm_upload *u = tm_uploads_ready(g_uploads);
    ck_assert_ptr_nonnull(strstr(u->fault, "do not hash"));
    struct tm_msg_result big = announce(2, 1000);
    ck_assert_int_eq(tm_uploads_accept(g_uploads, g_mesh.peer, &big, 999, 0), TM_OK);
    u = tm_uploads_ready(g_uploads);
    ck_assert_ptr_nonnull(strstr(u->fault, "more bytes"));
    big.bytes = 0;
    ck_assert_int_eq(tm_uploads_accept(g_uploads, g_mesh.peer, &big, 999, 0), TM_OK);
    u = tm_uploads_ready(g_uploads);
    ck_assert_ptr_nonnull(strstr(u->fault, "empty"));
}
END_TEST

START_TEST(memory_is_shared_out)
{
    struct tm_msg_result one = announce(1, BIG);
    struct tm_msg_result two = announce(2, BIG - 1);
    accept(&one);
    ck_assert_uint_eq(credit(), 1024 * 1024);
    accept(&two); /* no room for both */
    ck_assert_uint_eq(tm_uploads_bytes(g_uploads), BIG);
    tm_uploads_pump(g_uploads, 1000000); /* it waits for us: it does not stand still */
    struct tm_upload *u = tm_uploads_find(g_uploads, &g_mesh.peer->id, 2, &two.leaf);
    ck_assert_ptr_nonnull(u);
    ck_assert_uint_eq(u->granted, 0);
    /* The first one stood still for that long and went; now there is room. */
    ck_assert_ptr_null(tm_uploads_find(g_uploads, &g_mesh.peer->id, 1, &one.leaf));
    tm_uploads_pump(g_uploads, 1000001);
    ck_assert_uint_eq(u->granted, 1024 * 1024);
}
END_TEST

START_TEST(what_is_made_here_takes_room)
{
    struct tm_msg_result r = announce(1, BIG);
    tm_uploads_hold(g_uploads, BIG);
    accept(&r);
    struct tm_upload *u = tm_uploads_find(g_uploads, &g_mesh.peer->id, 1, &r.leaf);
    ck_assert_uint_eq(u->granted, 0);
    tm_uploads_release(g_uploads, BIG);
    tm_uploads_pump(g_uploads, 1001);
    ck_assert_uint_eq(u->granted, 1024 * 1024);
}
END_TEST

START_TEST(again_and_dropped)
{
    struct tm_msg_result r = announce(1, 100);
    accept(&r);
    put(&r, 0, 50);
    accept(&r); /* the worker has reconnected: from the start */
    struct tm_upload *u = tm_uploads_find(g_uploads, &g_mesh.peer->id, 1, &r.leaf);
    ck_assert_uint_eq(u->data.bytes, 0);
    put(&r, 0, 100);
    ck_assert_ptr_eq(tm_uploads_ready(g_uploads), u);
    u->state = TM_UPLOAD_CHECKING;
    accept(&r); /* while it is checked nothing changes */
    ck_assert_uint_eq(u->data.bytes, 100);
    struct tm_msg_result other = announce(2, 60);
    accept(&other);
    tm_uploads_drop_peer(g_uploads, g_mesh.peer);
    ck_assert_ptr_null(tm_uploads_find(g_uploads, &g_mesh.peer->id, 2, &other.leaf));
    ck_assert_ptr_null(u->peer);
    tm_uploads_remove(g_uploads, u);
    ck_assert_uint_eq(tm_uploads_bytes(g_uploads), 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("uploads");
    TCase *tc = tcase_create("uploads");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, small_one);
    tcase_add_test(tc, windows);
    tcase_add_test(tc, faults);
    tcase_add_test(tc, memory_is_shared_out);
    tcase_add_test(tc, what_is_made_here_takes_room);
    tcase_add_test(tc, again_and_dropped);
    suite_add_tcase(suite, tc);
    return suite;
}
