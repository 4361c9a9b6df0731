/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/mesh_ports.h"

#include <signal.h>
#include <stdlib.h>

#include "base/file.h"
#include "node/transport/gate_serve.h"
#include "node/transport/zap.h"
#include "proto/wire.h"
#include "tests/support/small_job.h"
#include "tests/support/small_mesh.h"
#include "tests/support/suite.h"

#define QUIET_MS 300

static struct tm_transport *g_transport;
static struct tm_mesh_ports *g_ports;
static struct tm_identity *g_owner, *g_node, *g_other;
static struct tm_err g_err;
static char g_dir[64], g_ready[96];

/* Before main: `mesh_ports_test gate` is the gate. */
__attribute__((constructor)) static void be_the_gate(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], TM_GATE_COMMAND) == 0) {
        exit(tm_gate_serve(TM_GATE_FD));
    }
}

static void set_up(void)
{
    g_owner = small_job_identity(1);
    g_node = small_job_identity(2);
    g_other = small_job_identity(3);
    snprintf(g_dir, sizeof g_dir, "/tmp/tm-ports-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(g_dir));
    snprintf(g_ready, sizeof g_ready, "%s/ready", g_dir);
    struct tm_zap_options zap = {.allow_any = true};
    struct tm_mesh_ports_options ports = {.identity = g_owner,
                                          .epoch = 42,
                                          .local = true,
                                          .listen = "tcp://0.0.0.0:0",
                                          .ready_file = g_ready};
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
    ck_assert_int_eq(tm_zap_start(g_transport, &zap, &g_err), TM_OK);
    ports.transport = g_transport;
    ck_assert_int_eq(tm_mesh_ports_new(&ports, &g_ports, &g_err), TM_OK);
}

static void tear_down(void)
{
    tm_mesh_ports_destroy(&g_ports);
    tm_transport_destroy(&g_transport);
    tm_identity_destroy(&g_owner);
    tm_identity_destroy(&g_node);
    tm_identity_destroy(&g_other);
    ck_assert_int_eq(tm_dir_remove_tree(g_dir, &g_err), TM_OK);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static struct tm_worker_link *link_of(const struct tm_identity *identity)
{
    struct tm_worker_link_options options = {.transport = g_transport,
                                             .endpoint = tm_mesh_ports_endpoint(g_ports),
                                             .identity = identity,
                                             .server_key = tm_identity_public(g_owner)};
    struct tm_worker_link *link = NULL;
    ck_assert_int_eq(tm_worker_link_new(&options, &link, &g_err), TM_OK);
    return link;
}

static void say(struct tm_worker_link *link, const struct tm_msg *msg)
{
    ck_assert_int_eq(tm_worker_link_send(link, msg), TM_OK);
}

static const struct tm_msg *wait_msg(struct tm_mesh_peer **peer)
{
    struct small_mesh s = {.ports = g_ports};
    return small_mesh_at_ports(&s, peer);
}

static void expect_quiet(void)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + QUIET_MS;
    struct tm_poll_item items[4];
    struct tm_mesh_peer *peer;
    while (tm_clock_ms(tm_clock_os()) < end) {
        ck_assert_ptr_null(tm_mesh_ports_receive(g_ports, 1, &peer));
        tm_poll(items, tm_mesh_ports_poll(g_ports, items), 20);
    }
}

START_TEST(ready_file_names_endpoint_and_key)
{
    struct tm_buf text;
    char key[TM_PUBLIC_KEY_TEXT];
    char want[400];
    tm_buf_init(&text, 1000);
    ck_assert_int_eq(tm_file_read(g_ready, &text, &g_err), TM_OK);
    ck_assert_int_eq(strncmp(tm_mesh_ports_endpoint(g_ports), "tcp://127.0.0.1:", 16), 0);
    snprintf(want, sizeof want, "endpoint=%s\nserver_key=%s\n", tm_mesh_ports_endpoint(g_ports),
             tm_public_key_text(tm_identity_public(g_owner), key));
    ck_assert(tm_view_eq_str(tm_buf_view(&text), want));
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(greeting_then_both_ways)
{
    struct tm_worker_link *link = link_of(g_node);
    struct tm_mesh_peer *peer = NULL;
    struct tm_msg hello = small_mesh_hello(g_node);
    say(link, &hello);
    const struct tm_msg *msg = wait_msg(&peer);
    ck_assert_int_eq(msg->type, TM_MSG_HELLO);
    ck_assert(tm_public_key_eq(&peer->key, tm_identity_public(g_node)));
    struct tm_node_id id = tm_identity_node_id(g_node);
    ck_assert_ptr_eq(tm_mesh_ports_find(g_ports, &id), peer);
    ck_assert_ptr_eq(tm_mesh_ports_peer(g_ports, 0), peer);
    ck_assert_ptr_null(tm_mesh_ports_peer(g_ports, 1));
    ck_assert(!peer->local);
    struct tm_msg idle = {.type = TM_MSG_IDLE, .idle = {.retry_ms = 77}};
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &idle), TM_OK);
    struct small_mesh s = {.link = link};
    ck_assert_uint_eq(small_mesh_at_link(&s)->idle.retry_ms, 77);
    struct tm_msg fetch = {.type = TM_MSG_FETCH, .fetch = {.credit_bytes = 5}};
    say(link, &fetch);
    ck_assert_int_eq(wait_msg(&peer)->type, TM_MSG_FETCH);
    struct tm_msg credit = {.type = TM_MSG_CREDIT, .credit = {.credit_bytes = 6}};
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &credit), TM_OK);
    ck_assert_uint_eq(small_mesh_at_link(&s)->credit.credit_bytes, 6);
    tm_worker_link_destroy(&link);
}
END_TEST

START_TEST(strangers_and_impostors_are_not_heard)
{
    struct tm_worker_link *link = link_of(g_node);
    struct tm_msg want = {.type = TM_MSG_WANT, .want = {.slots = 3}};
    say(link, &want); /* before any HELLO */
    struct tm_msg hello = small_mesh_hello(g_other);
    say(link, &hello); /* another's signing key */
    hello = small_mesh_hello(g_owner);
    say(link, &hello); /* the owner's, from outside */
    expect_quiet();
    ck_assert_ptr_null(tm_mesh_ports_peer(g_ports, 0));
    ck_assert_uint_ge(tm_mesh_ports_dropped(g_ports), 3);
    struct small_mesh s = {.link = link};
    const struct tm_msg *beat = small_mesh_at_link(&s); /* so that it greets */
    ck_assert_int_eq(beat->type, TM_MSG_HEARTBEAT);
    ck_assert_uint_eq(beat->heartbeat.epoch, 42);
    ck_assert_ptr_null(tm_worker_link_receive(link));
    struct tm_mesh_peer *peer = NULL;
    hello = small_mesh_hello(g_node);
    say(link, &hello);
    ck_assert_int_eq(wait_msg(&peer)->type, TM_MSG_HELLO);
    tm_worker_link_destroy(&link);
}
END_TEST

/* Frames that no worker of ours sends: junk, and a message on the other's socket. */
START_TEST(misplaced_messages_are_dropped)
{
    struct tm_socket_options options = {.kind = TM_SOCKET_DEALER,
                                        .identity = g_node,
                                        .server_key = tm_identity_public(g_owner),
                                        .message_bytes_max = TM_BULK_BYTES_MAX,
                                        .queue_messages = 10};
    struct tm_socket *control = NULL;
    struct tm_mesh_peer *peer = NULL;
    struct tm_buf frame;
    tm_buf_init(&frame, TM_BULK_BYTES_MAX);
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &control, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_connect(control, tm_mesh_ports_endpoint(g_ports), &g_err), TM_OK);
    struct tm_msg hello = small_mesh_hello(g_node);
    ck_assert_int_eq(tm_wire_pack(&hello, &frame), TM_OK);
    ck_assert_int_eq(tm_socket_send(control, NULL, tm_buf_view(&frame)), TM_OK);
    ck_assert_int_eq(wait_msg(&peer)->type, TM_MSG_HELLO);
    ck_assert_int_eq(tm_socket_send(control, NULL, tm_view_str("junk")), TM_OK);
    struct tm_msg fetch = {.type = TM_MSG_FETCH, .fetch = {.credit_bytes = 5}};
    tm_buf_clear(&frame);
    ck_assert_int_eq(tm_wire_pack(&fetch, &frame), TM_OK);
    ck_assert_int_eq(tm_socket_send(control, NULL, tm_buf_view(&frame)), TM_OK);
    expect_quiet();
    ck_assert_uint_eq(tm_mesh_ports_dropped(g_ports), 2);
    /* It never said HELLO on bulk: there is no way back to it. */
    struct tm_msg credit = {.type = TM_MSG_CREDIT, .credit = {.credit_bytes = 6}};
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &credit), TM_E_NOT_FOUND);
    tm_buf_deinit(&frame);
    tm_socket_destroy(&control);
}
END_TEST

START_TEST(banned_ones_are_not_heard)
{
    struct tm_worker_link *link = link_of(g_node);
    struct tm_mesh_peer *peer = NULL;
    struct tm_msg hello = small_mesh_hello(g_node);
    say(link, &hello);
    ck_assert_int_eq(wait_msg(&peer)->type, TM_MSG_HELLO);
    ck_assert_int_eq(tm_mesh_ports_ban(g_ports, peer), TM_OK);
    say(link, &hello);
    expect_quiet();
    uint64_t denied = tm_zap_counts(g_transport).denied;
    tm_worker_link_destroy(&link);
    link = link_of(g_node); /* a new connection is not even let in */
    say(link, &hello);
    expect_quiet();
    ck_assert_uint_gt(tm_zap_counts(g_transport).denied, denied);
    tm_worker_link_destroy(&link);
}
END_TEST

START_TEST(reconnection_replaces_the_way_back)
{
    struct tm_worker_link *link = link_of(g_node);
    struct tm_mesh_peer *peer = NULL;
    struct tm_mesh_peer *again = NULL;
    struct tm_msg hello = small_mesh_hello(g_node);
    say(link, &hello);
    wait_msg(&peer);
    ck_assert_int_eq(tm_worker_link_reconnect(link, &g_err), TM_OK);
    say(link, &hello);
    wait_msg(&again);
    ck_assert_ptr_eq(again, peer);
    struct tm_msg idle = {.type = TM_MSG_IDLE, .idle = {.retry_ms = 5}};
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &idle), TM_OK);
    struct small_mesh s = {.link = link};
    ck_assert_uint_eq(small_mesh_at_link(&s)->idle.retry_ms, 5);
    tm_worker_link_destroy(&link);
}
END_TEST

static unsigned g_gate_count; /* gates that listened again */

static void note_gate(void *context, enum tm_level level, const char *event,
                      const struct tm_field *fields, size_t count)
{
    (void)context;
    (void)level;
    (void)fields;
    (void)count;
    g_gate_count += strcmp(event, "gate.restarted") == 0;
}

/* The only child of this process. */
static pid_t gate_process(void)
{
    char path[64];
    uint64_t pid = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    for (int c = fgetc(f); c >= '0' && c <= '9'; c = fgetc(f)) {
        pid = pid * 10 + (uint64_t)(c - '0');
    }
    fclose(f);
    return (pid_t)pid;
}

/* The same through a gate, which dies: the peer is gone, is asked to greet when it speaks, and both
 * ways lead to it again. */
START_TEST(through_a_gate_that_dies)
{
    struct tm_sink sink = {.emit = note_gate};
    struct tm_gate_options gate = {
        .program = "/proc/self/exe", .identity = g_owner, .allow_any = true, .sink = &sink};
    struct tm_mesh_ports_options options = {.transport = g_transport,
                                            .identity = g_owner,
                                            .epoch = 42,
                                            .listen = "tcp://127.0.0.1:0",
                                            .gate = &gate};
    struct tm_mesh_peer *peer = NULL;
    struct tm_msg hello = small_mesh_hello(g_node);
    struct tm_msg beat = {.type = TM_MSG_HEARTBEAT, .heartbeat = {.epoch = 42}};
    struct tm_msg fetch = {.type = TM_MSG_FETCH, .fetch = {.credit_bytes = 5}};
    struct tm_msg credit = {.type = TM_MSG_CREDIT, .credit = {.credit_bytes = 6}};
    tm_mesh_ports_destroy(&g_ports);
    ck_assert_int_eq(tm_mesh_ports_new(&options, &g_ports, &g_err), TM_OK);
    struct tm_worker_link *link = link_of(g_node);
    struct small_mesh s = {.link = link, .ports = g_ports};
    say(link, &hello);
    ck_assert_int_eq(wait_msg(&peer)->type, TM_MSG_HELLO);
    say(link, &fetch);
    ck_assert_int_eq(wait_msg(&peer)->type, TM_MSG_FETCH);
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &credit), TM_OK);
    ck_assert_int_eq(small_mesh_at_link(&s)->type, TM_MSG_CREDIT);

    kill(gate_process(), SIGKILL);
    uint64_t end = tm_clock_ms(tm_clock_os()) + SMALL_MESH_WAIT_MS;
    struct tm_mesh_peer *other = NULL;
    while (g_gate_count == 0) {
        struct tm_poll_item items[4];
        ck_assert_ptr_null(tm_mesh_ports_receive(g_ports, 1, &other));
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(items, tm_mesh_ports_poll(g_ports, items), 20);
    }
    ck_assert(peer->gone);
    peer->gone = false;
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &credit), TM_E_NOT_FOUND);
    say(link, &beat);
    ck_assert_int_eq(wait_msg(&other)->type, TM_MSG_HEARTBEAT); /* it is heard all the same */
    ck_assert_ptr_eq(other, peer);
    const struct tm_msg *answer = small_mesh_at_link(&s);
    ck_assert_int_eq(answer->type, TM_MSG_HEARTBEAT);
    ck_assert_uint_eq(answer->heartbeat.epoch, 0);
    say(link, &hello);
    ck_assert_int_eq(wait_msg(&other)->type, TM_MSG_HELLO);
    say(link, &fetch);
    ck_assert_int_eq(wait_msg(&other)->type, TM_MSG_FETCH);
    ck_assert_int_eq(tm_mesh_ports_send(g_ports, peer, &credit), TM_OK);
    ck_assert_int_eq(small_mesh_at_link(&s)->type, TM_MSG_CREDIT);
    say(link, &beat);
    ck_assert_int_eq(wait_msg(&other)->type, TM_MSG_HEARTBEAT);
    ck_assert_int_eq(tm_mesh_ports_ban(g_ports, peer), TM_OK);
    say(link, &beat);
    expect_quiet();
    tm_worker_link_destroy(&link);
}
END_TEST

START_TEST(refusals)
{
    struct tm_mesh_ports_options options = {
        .transport = g_transport, .identity = g_owner, .listen = tm_mesh_ports_endpoint(g_ports)};
    struct tm_mesh_ports *second = NULL;
    ck_assert_int_eq(tm_mesh_ports_new(&options, &second, &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "in use"));
    options.listen = "8471";
    ck_assert_int_eq(tm_mesh_ports_new(&options, &second, &g_err), TM_E_USAGE);
    options.listen = "tcp://nobody.invalid:8471";
    ck_assert_int_ne(tm_mesh_ports_new(&options, &second, &g_err), TM_OK);
    ck_assert_ptr_null(second);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("mesh_ports");
    TCase *tc = tcase_create("mesh_ports");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, ready_file_names_endpoint_and_key);
    tcase_add_test(tc, greeting_then_both_ways);
    tcase_add_test(tc, strangers_and_impostors_are_not_heard);
    tcase_add_test(tc, misplaced_messages_are_dropped);
    tcase_add_test(tc, banned_ones_are_not_heard);
    tcase_add_test(tc, reconnection_replaces_the_way_back);
    tcase_add_test(tc, through_a_gate_that_dies);
    tcase_add_test(tc, refusals);
    suite_add_tcase(suite, tc);
    return suite;
}
