/* SPDX-License-Identifier: Apache-2.0
 * A worker against a coordinator that the test plays by hand. Real jobs are in
 * node/coordinator/mesh_test.c. */
#include "node/worker/worker_actor.h"

#include "node/worker/worker_local.h"
#include "stages/pipeline_encode.h"
#include "tests/support/small_job.h"
#include "tests/support/small_mesh.h"
#include "tests/support/suite.h"

static struct tm_identity *g_owner;
static struct tm_transport *g_transport;
static struct tm_mesh_ports *g_ports;
static struct tm_actor *g_actor;
static struct tm_err g_err;

struct ended {
    tm_status status;
    struct tm_err err;
};
static struct ended g_ended;

static void run_worker(struct tm_pipe *pipe, void *context)
{
    struct tm_worker_run_options options = {.endpoint = TM_LOCAL_ENDPOINT,
                                            .identity = context,
                                            .name = "played\nwith",
                                            .threads = 1,
                                            .exit_when_done = true};
    struct tm_worker_local local = {.transport = g_transport, .stop = pipe};
    g_ended.status = tm_worker_run_local(&options, &local, &g_ended.err);
    ck_assert(tm_pipe_send(pipe, &g_ended));
}

static void set_up(void)
{
    g_owner = small_job_identity(1);
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
    struct tm_mesh_ports_options ports = {
        .transport = g_transport, .identity = g_owner, .local = true};
    ck_assert_int_eq(tm_mesh_ports_new(&ports, &g_ports, &g_err), TM_OK);
    ck_assert_int_eq(tm_actor_start(g_transport, run_worker, g_owner, &g_actor, &g_err), TM_OK);
}

static void tear_down(void)
{
    tm_actor_join(&g_actor, NULL);
    tm_mesh_ports_destroy(&g_ports);
    tm_transport_destroy(&g_transport);
    tm_identity_destroy(&g_owner);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static const struct tm_msg *wait_for(enum tm_msg_type type, struct tm_mesh_peer **peer)
{
    struct small_mesh s = {.ports = g_ports};
    const struct tm_msg *msg;
    while ((msg = small_mesh_at_ports(&s, peer))->type != type) {
    }
    return msg;
}

static void answer(struct tm_mesh_peer *peer, const struct tm_msg *msg)
{
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, msg), TM_OK);
}

static void wait_end(void)
{
    ck_assert_ptr_eq(tm_pipe_wait(tm_actor_pipe(g_actor), SMALL_MESH_WAIT_MS), &g_ended);
}

START_TEST(banned)
{
    struct tm_mesh_peer *peer;
    wait_for(TM_MSG_HELLO, &peer);
    struct tm_msg ban = {.type = TM_MSG_BAN, .ban = {.reason = "unit 3: not your day"}};
    answer(peer, &ban);
    wait_end();
    ck_assert_int_eq(g_ended.status, TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_ended.err.why, "unit 3: not your day"));
}
END_TEST

START_TEST(unfit)
{
    struct tm_mesh_peer *peer;
    const struct tm_msg *hello = wait_for(TM_MSG_HELLO, &peer);
    struct tm_digest encoders = tm_encoders_digest();
    ck_assert(tm_digest_eq(&hello->hello.encoders, &encoders));
    ck_assert_str_eq(hello->hello.name, "played\\x0awith");
    struct tm_msg bye = {.type = TM_MSG_BYE, .ban = {.reason = "another version"}};
    answer(peer, &bye);
    wait_end();
    ck_assert_int_eq(g_ended.status, TM_E_INCOMPATIBLE);
    ck_assert_str_eq(g_ended.err.why, "another version");
}
END_TEST

START_TEST(welcomed_measured_and_done)
{
    struct tm_mesh_peer *peer;
    ck_assert_uint_eq(wait_for(TM_MSG_HELLO, &peer)->hello.speed_count, 0);
    static struct tm_msg welcome; /* large */
    welcome = (struct tm_msg){
        .type = TM_MSG_WELCOME,
        .welcome = {.epoch = 1,
                    .heartbeat_ms = 1000,
                    .pipeline_count = 2,
                    .pipelines = {"int.1(bits=8,group=32)", "from.9(another=build)"}}};
    answer(peer, &welcome);
    const struct tm_msg *hello = wait_for(TM_MSG_HELLO, &peer);
    ck_assert_uint_eq(hello->hello.speed_count, 1); /* the other is unknown here */
    ck_assert_str_eq(hello->hello.speeds[0].pipeline, "int.1(bits=8,group=32)");
    ck_assert_uint_gt(hello->hello.speeds[0].weights_per_s, 1000);
    ck_assert_uint_ge(wait_for(TM_MSG_WANT, &peer)->want.slots, 1);
    struct tm_msg idle = {.type = TM_MSG_IDLE};
    answer(peer, &idle);
    wait_end();
    ck_assert_int_eq(g_ended.status, TM_OK);
}
END_TEST

START_TEST(greets_again_over_a_new_connection)
{
    struct tm_mesh_peer *peer;
    wait_for(TM_MSG_HELLO, &peer);
    struct tm_route first = peer->route[0];
    wait_for(TM_MSG_HELLO, &peer); /* nobody had answered */
    ck_assert(first.bytes != peer->route[0].bytes ||
              memcmp(first.b, peer->route[0].b, first.bytes) != 0);
    ck_assert(tm_pipe_send(tm_actor_pipe(g_actor), &g_ended));
    wait_end();
}
END_TEST

START_TEST(told_to_stop_it_says_bye)
{
    struct tm_mesh_peer *peer;
    wait_for(TM_MSG_HELLO, &peer);
    ck_assert(tm_pipe_send(tm_actor_pipe(g_actor), &g_ended));
    wait_for(TM_MSG_BYE, &peer);
    wait_end();
    ck_assert_int_eq(g_ended.status, TM_OK);
}
END_TEST

START_TEST(bad_endpoint)
{
    struct tm_worker_run_options options = {.endpoint = "inproc://local",
                                            .identity = g_owner,
                                            .server_key = tm_identity_public(g_owner)};
    struct tm_err err;
    ck_assert_int_eq(tm_worker_run(&options, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.hint, "tcp://"));
    ck_assert(tm_pipe_send(tm_actor_pipe(g_actor), &g_ended));
    wait_end();
}
END_TEST

/* Port 1 (tcpmux) has no listener anywhere these tests run. */
START_TEST(nobody_answers)
{
    struct tm_worker_run_options options = {.endpoint = "tcp://127.0.0.1:1",
                                            .identity = g_owner,
                                            .server_key = tm_identity_public(g_owner),
                                            .threads = 1,
                                            .exit_when_done = true,
                                            .patience_ms = 300};
    struct tm_err err;
    ck_assert_int_eq(tm_worker_run(&options, &err), TM_E_NETWORK);
    ck_assert_ptr_nonnull(strstr(err.why, "no answer"));
    ck_assert_ptr_nonnull(strstr(err.hint, "--server-key"));
    ck_assert(tm_pipe_send(tm_actor_pipe(g_actor), &g_ended));
    wait_end();
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("worker_actor");
    TCase *tc = tcase_create("worker_actor");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, banned);
    tcase_add_test(tc, unfit);
    tcase_add_test(tc, welcomed_measured_and_done);
    tcase_add_test(tc, greets_again_over_a_new_connection);
    tcase_add_test(tc, told_to_stop_it_says_bye);
    tcase_add_test(tc, bad_endpoint);
    tcase_add_test(tc, nobody_answers);
    suite_add_tcase(suite, tc);
    return suite;
}
