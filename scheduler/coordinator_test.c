/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/coordinator.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

#define UNITS 6

static const char pipelines[1][TM_MSG_TEXT_MAX] = {"int4"};
static const struct tm_digest encoders = {{1, 2, 3}};

/* A coordinator, the actions of its last step, and nodes with keys 0, 1, 2... */
struct fixture {
    struct tm_coordinator *c;
    struct tm_coord_actions actions;
    struct tm_msg msg;
    uint64_t now_ms;
};

static struct tm_public_key key_of(uint32_t node)
{
    return (struct tm_public_key){{(uint8_t)node}};
}

static struct tm_node_id id_of(uint32_t node)
{
    struct tm_public_key key = key_of(node);
    return tm_node_id_of(&key);
}

static struct tm_digest leaf_of(uint32_t unit, bool right)
{
    return (struct tm_digest){{(uint8_t)unit, right ? 1 : 0}};
}

static void setup_with(struct fixture *f, uint32_t owner_units, uint32_t audit_first)
{
    struct tm_coord_unit units[UNITS];
    for (uint32_t i = 0; i < UNITS; i++) {
        units[i] = (struct tm_coord_unit){
            .rows = 10, .cols = 10, .source_bytes = 200, .owner_made = i < owner_units};
    }
    struct tm_coordinator_options options = {.units = units,
                                             .unit_count = UNITS,
                                             .pipelines = pipelines,
                                             .pipeline_count = 1,
                                             .encoders = encoders,
                                             .epoch = 7,
                                             .audit_first = audit_first};
    memset(f, 0, sizeof *f);
    f->now_ms = 1000;
    tm_coord_actions_init(&f->actions);
    ck_assert_int_eq(tm_coordinator_new(&options, &f->c), TM_OK);
}

static void setup(struct fixture *f)
{
    setup_with(f, 0, 0);
}

static void teardown(struct fixture *f)
{
    tm_coord_actions_deinit(&f->actions);
    tm_coordinator_destroy(&f->c);
    ck_assert_ptr_null(f->c);
    tm_coordinator_destroy(&f->c);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static void step(struct fixture *f, struct tm_coord_event event)
{
    tm_coord_actions_clear(&f->actions);
    ck_assert_int_eq(tm_coordinator_step(f->c, &event, f->now_ms, &f->actions), TM_OK);
}

static void say(struct fixture *f, uint32_t node)
{
    step(f, (struct tm_coord_event){.type = TM_EV_MESSAGE, .node = id_of(node), .msg = &f->msg});
}

/* The n-th action of a type, or NULL. */
static const struct tm_coord_action *action(const struct fixture *f, enum tm_coord_action_type type,
                                            size_t n)
{
    for (size_t i = 0; i < f->actions.count; i++) {
        if (f->actions.items[i].type == type && n-- == 0) {
            return &f->actions.items[i];
        }
    }
    return NULL;
}

/* The first message sent, which must be of this type and go to the node. */
static const struct tm_msg *sent(const struct fixture *f, uint32_t node, enum tm_msg_type type)
{
    const struct tm_coord_action *a = action(f, TM_ACT_SEND, 0);
    ck_assert_ptr_nonnull(a);
    struct tm_node_id id = id_of(node);
    ck_assert(tm_node_id_eq(&a->node, &id));
    ck_assert_msg(a->msg->type == type, "%s", tm_msg_type_name(a->msg->type));
    return a->msg;
}

static void fill_hello(struct fixture *f, uint32_t node)
{
    memset(&f->msg, 0, sizeof f->msg);
    f->msg.type = TM_MSG_HELLO;
    f->msg.hello = (struct tm_msg_hello){.protocol = TM_PROTOCOL_VERSION,
                                         .software = "test",
                                         .key = key_of(node),
                                         .name = "n",
                                         .cores = 2,
                                         .encoders = encoders,
                                         .speed_count = 1,
                                         .speeds = {{"int4", 1000000}}};
}

static void hello(struct fixture *f, uint32_t node)
{
    fill_hello(f, node);
    say(f, node);
    ck_assert_uint_eq(sent(f, node, TM_MSG_WELCOME)->welcome.epoch, 7);
}

static void want(struct fixture *f, uint32_t node, uint32_t slots)
{
    f->msg = (struct tm_msg){.type = TM_MSG_WANT, .want = {.slots = slots}};
    say(f, node);
}

static void result(struct fixture *f, uint32_t node, uint32_t unit, bool right)
{
    f->msg = (struct tm_msg){.type = TM_MSG_RESULT};
    f->msg.result.unit = unit;
    f->msg.result.leaf = leaf_of(unit, right);
    f->msg.result.bytes = 10;
    say(f, node);
}

static struct tm_coord_event about(enum tm_coord_event_type type, uint32_t node, uint32_t unit,
                                   bool right)
{
    return (struct tm_coord_event){
        .type = type, .node = id_of(node), .unit = unit, .leaf = leaf_of(unit, right)};
}

static void checked(struct fixture *f, uint32_t node, uint32_t unit, bool right,
                    enum tm_verdict verdict, bool audited)
{
    struct tm_coord_event event = about(TM_EV_CHECKED, node, unit, right);
    event.verdict = verdict;
    event.audited = audited;
    step(f, event);
}

/* RESULT to CHECK. */
static void deliver(struct fixture *f, uint32_t node, uint32_t unit, bool right)
{
    result(f, node, unit, right);
    ck_assert_ptr_nonnull(action(f, TM_ACT_ACCEPT_UPLOAD, 0));
    step(f, about(TM_EV_RECEIVED, node, unit, right));
    ck_assert_ptr_nonnull(action(f, TM_ACT_CHECK, 0));
}

/* The whole way; the result is not audited. */
static void make(struct fixture *f, uint32_t node, uint32_t unit, bool right)
{
    deliver(f, node, unit, right);
    checked(f, node, unit, right, TM_VERDICT_GOOD, false);
    uint64_t seq = action(f, TM_ACT_PERSIST, 0)->seq;
    step(f, (struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = seq});
    ck_assert_int_eq(sent(f, node, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_ACCEPTED);
}

static struct tm_coord_status status_of(const struct fixture *f)
{
    struct tm_coord_status status;
    tm_coordinator_status(f->c, &status);
    return status;
}

START_TEST(who_may_join)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    ck_assert_uint_eq(action(&f, TM_ACT_SEND, 0)->msg->welcome.pipeline_count, 1);
    ck_assert_str_eq(action(&f, TM_ACT_SEND, 0)->msg->welcome.pipelines[0], "int4");
    fill_hello(&f, 1);
    f.msg.hello.protocol = 2;
    say(&f, 1);
    ck_assert(strstr(sent(&f, 1, TM_MSG_BYE)->ban.reason, "protocol") != NULL);
    fill_hello(&f, 1);
    say(&f, 2); /* says the key of 1 on the connection of 2 */
    ck_assert(strstr(sent(&f, 2, TM_MSG_BYE)->ban.reason, "key") != NULL);
    fill_hello(&f, 1);
    f.msg.hello.encoders.b[0] = 9;
    say(&f, 1);
    ck_assert(strstr(sent(&f, 1, TM_MSG_BYE)->ban.reason, "encodes differently") != NULL);
    ck_assert_uint_eq(status_of(&f).nodes, 1);
    /* whoever did not greet learns the epoch and gets nothing else */
    want(&f, 5, 4);
    ck_assert_uint_eq(sent(&f, 5, TM_MSG_HEARTBEAT)->heartbeat.epoch, 7);
    result(&f, 5, 0, true);
    ck_assert_ptr_null(action(&f, TM_ACT_ACCEPT_UPLOAD, 0));
    teardown(&f);
}
END_TEST

START_TEST(the_whole_way)
{
    struct fixture f;
    setup_with(&f, 1, 0);
    hello(&f, 0);
    want(&f, 0, 64);
    const struct tm_msg *lease = sent(&f, 0, TM_MSG_LEASE);
    ck_assert_uint_eq(lease->lease.units[0].unit, 1); /* 0 is the owner's */
    for (uint32_t u = 1; u < UNITS; u++) {
        deliver(&f, 0, u, true);
        ck_assert(!action(&f, TM_ACT_CHECK, 0)->audit);
        checked(&f, 0, u, true, TM_VERDICT_GOOD, false);
        const struct tm_coord_action *persist = action(&f, TM_ACT_PERSIST, 0);
        ck_assert_uint_eq(persist->seq, u);
        ck_assert_ptr_null(action(&f, TM_ACT_SEND, 0)); /* not before it is durable */
        result(&f, 0, u, true);
        ck_assert_uint_eq(f.actions.count, 0);
        step(&f, (struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = u});
        ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_ACCEPTED);
        ck_assert_ptr_null(action(&f, TM_ACT_DONE, 0));
    }
    result(&f, 0, 3, true);
    ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_DUPLICATE);
    step(&f, (struct tm_coord_event){.type = TM_EV_OWNER_DONE, .unit = 0});
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DONE, 0));
    ck_assert_uint_eq(sent(&f, 0, TM_MSG_IDLE)->idle.retry_ms, 0);
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_ptr_null(action(&f, TM_ACT_DONE, 0));
    want(&f, 0, 1);
    ck_assert_uint_eq(sent(&f, 0, TM_MSG_IDLE)->idle.retry_ms, 0);
    struct tm_coord_status status = status_of(&f);
    ck_assert(status.done == UNITS && status.duplicates == 1 && status.leased == 0);
    struct tm_coord_node nodes[2];
    ck_assert_uint_eq(tm_coordinator_nodes(f.c, nodes, 2), 1);
    ck_assert_uint_eq(nodes[0].accepted, UNITS - 1);
    ck_assert_str_eq(nodes[0].state, "ready");
    teardown(&f);
}
END_TEST

START_TEST(no_units_is_done_at_once)
{
    struct tm_coordinator_options options = {.pipelines = pipelines, .epoch = 1};
    struct fixture f = {0};
    tm_coord_actions_init(&f.actions);
    ck_assert_int_eq(tm_coordinator_new(&options, &f.c), TM_OK);
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DONE, 0));
    teardown(&f);
}
END_TEST

/* A bad check bans; all that the node made is done again; the ban is for good. */
START_TEST(bans)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    hello(&f, 1);
    make(&f, 0, 0, true);
    make(&f, 0, 1, true);
    make(&f, 1, 2, true);
    want(&f, 0, 2);
    ck_assert_uint_gt(status_of(&f).leased, 0);
    deliver(&f, 0, 5, true); /* in the check when the other one fails */
    deliver(&f, 0, 3, false);
    checked(&f, 0, 3, false, TM_VERDICT_BAD_ERROR, false);
    ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_REJECTED);
    const struct tm_coord_action *ban = action(&f, TM_ACT_BAN, 0);
    ck_assert_ptr_nonnull(ban);
    ck_assert_uint_eq(ban->seq, 4);
    ck_assert_uint_eq(ban->unit, 3);
    ck_assert_msg(strstr(ban->reason, "unit 3: the bytes decode to something else") != NULL, "%s",
                  ban->reason);
    ck_assert_int_eq(action(&f, TM_ACT_SEND, 1)->msg->type, TM_MSG_BAN);
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 1)); /* units 3 and 5 */
    struct tm_coord_status status = status_of(&f);
    ck_assert(status.done == 1 && status.redone == 2 && status.leased == 0);
    ck_assert(status.nodes_banned == 1 && status.nodes_ready == 1 && status.checking == 0);
    checked(&f, 0, 5, true, TM_VERDICT_GOOD, false); /* too late */
    ck_assert_uint_eq(f.actions.count, 0);
    fill_hello(&f, 0);
    say(&f, 0);
    sent(&f, 0, TM_MSG_BAN);
    want(&f, 0, 1);
    sent(&f, 0, TM_MSG_BAN);
    result(&f, 0, 0, true);
    sent(&f, 0, TM_MSG_BAN);
    teardown(&f);
}
END_TEST

START_TEST(audits)
{
    struct fixture f;
    setup_with(&f, 0, 2);
    hello(&f, 0);
    deliver(&f, 0, 0, true);
    ck_assert(action(&f, TM_ACT_CHECK, 0)->audit);
    /* what could not be encoded again is not accepted, and the next one is audited instead */
    checked(&f, 0, 0, true, TM_VERDICT_GOOD, false);
    ck_assert_ptr_null(action(&f, TM_ACT_PERSIST, 0));
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 0));
    for (uint32_t u = 0; u < 3; u++) {
        deliver(&f, 0, u, true);
        ck_assert(action(&f, TM_ACT_CHECK, 0)->audit == (u < 2));
        checked(&f, 0, u, true, TM_VERDICT_GOOD, u < 2);
        ck_assert(action(&f, TM_ACT_PERSIST, 0)->audit == (u < 2));
    }
    ck_assert_uint_eq(status_of(&f).audits, 2);
    /* our own failure costs the node nothing */
    deliver(&f, 0, 4, true);
    checked(&f, 0, 4, true, TM_VERDICT_NOT_CHECKED, false);
    ck_assert_uint_eq(status_of(&f).nodes_banned, 0);
    ck_assert_uint_eq(status_of(&f).rejected, 0);
    deliver(&f, 0, 4, true);
    teardown(&f);
}
END_TEST

/* While the first audit is under way nothing of the node is accepted without one. */
START_TEST(audits_under_way)
{
    struct fixture f;
    setup_with(&f, 0, 1);
    hello(&f, 0);
    for (uint32_t u = 0; u < 3; u++) {
        deliver(&f, 0, u, true);
        ck_assert(action(&f, TM_ACT_CHECK, 0)->audit);
    }
    checked(&f, 0, 1, true, TM_VERDICT_GOOD, true);
    deliver(&f, 0, 3, true);
    ck_assert(!action(&f, TM_ACT_CHECK, 0)->audit);
    teardown(&f);
}
END_TEST

/* Two leaves for one unit: it is encoded again, and one of the two nodes lied. */
START_TEST(disputes)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    hello(&f, 1);
    hello(&f, 2);
    make(&f, 0, 0, true);
    deliver(&f, 1, 0, false);
    ck_assert(action(&f, TM_ACT_CHECK, 0)->audit);
    checked(&f, 1, 0, false, TM_VERDICT_MISMATCH, true);
    struct tm_node_id liar = id_of(1);
    ck_assert(tm_node_id_eq(&action(&f, TM_ACT_BAN, 0)->node, &liar));
    ck_assert_uint_eq(status_of(&f).done, 1);

    make(&f, 2, 1, false); /* not audited: accepted */
    make(&f, 2, 2, true);
    deliver(&f, 0, 1, true);
    checked(&f, 0, 1, true, TM_VERDICT_GOOD, true);
    liar = id_of(2);
    ck_assert(tm_node_id_eq(&action(&f, TM_ACT_BAN, 0)->node, &liar));
    const struct tm_coord_action *persist = action(&f, TM_ACT_PERSIST, 0);
    ck_assert_uint_eq(persist->unit, 1);
    ck_assert_uint_eq(persist->seq, action(&f, TM_ACT_BAN, 0)->seq + 1);
    ck_assert_uint_eq(status_of(&f).redone, 2);
    step(&f, (struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = persist->seq});
    ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_ACCEPTED);
    ck_assert_uint_eq(status_of(&f).done, 2);
    teardown(&f);
}
END_TEST

START_TEST(contradicting_oneself)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    make(&f, 0, 0, false);
    deliver(&f, 0, 0, true);
    checked(&f, 0, 0, true, TM_VERDICT_GOOD, true);
    ck_assert_ptr_nonnull(action(&f, TM_ACT_BAN, 0));
    ck_assert_ptr_null(action(&f, TM_ACT_PERSIST, 0));
    ck_assert_uint_eq(status_of(&f).todo, UNITS);
    teardown(&f);
}
END_TEST

/* The claim of a banned node is saved while its ban is on the way, then another node's claim on the
 * same unit: the first PERSISTED must not accept the second. */
START_TEST(persisted_of_the_banned)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    hello(&f, 1);
    deliver(&f, 0, 0, true);
    deliver(&f, 0, 1, false);
    checked(&f, 0, 0, true, TM_VERDICT_GOOD, false);           /* seq 1 */
    checked(&f, 0, 1, false, TM_VERDICT_BAD_SIGNATURE, false); /* seq 2: the ban */
    deliver(&f, 1, 0, true);
    checked(&f, 1, 0, true, TM_VERDICT_GOOD, false); /* seq 3 */
    step(&f, (struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = 2});
    ck_assert_uint_eq(f.actions.count, 0);
    ck_assert_uint_eq(status_of(&f).done, 0);
    step(&f, (struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = 3});
    sent(&f, 1, TM_MSG_RECEIPT);
    ck_assert_uint_eq(status_of(&f).done, 1);
    teardown(&f);
}
END_TEST

/* The job does not end while a ban is not durable, or a result is disputed. */
START_TEST(done_waits)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    hello(&f, 1);
    hello(&f, 2);
    for (uint32_t u = 0; u + 1 < UNITS; u++) {
        make(&f, 0, u, true);
    }
    result(&f, 1, 0, false); /* a dispute */
    ck_assert_ptr_nonnull(action(&f, TM_ACT_ACCEPT_UPLOAD, 0));
    make(&f, 0, UNITS - 1, true);
    ck_assert_ptr_null(action(&f, TM_ACT_DONE, 0));
    step(&f, about(TM_EV_RECEIVED, 1, 0, false));
    checked(&f, 1, 0, false, TM_VERDICT_MISMATCH, true);
    ck_assert_uint_eq(status_of(&f).done, UNITS);
    ck_assert_ptr_null(action(&f, TM_ACT_DONE, 0));
    uint64_t seq = action(&f, TM_ACT_BAN, 0)->seq;
    step(&f, (struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = seq});
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DONE, 0));
    result(&f, 2, 0, false); /* nobody listens any more */
    ck_assert_uint_eq(f.actions.count, 0);
    teardown(&f);
}
END_TEST

START_TEST(restored)
{
    struct fixture f;
    setup_with(&f, 1, 0);
    struct tm_node_id a = id_of(0), b = id_of(1);
    struct tm_digest leaf = leaf_of(1, true);
    ck_assert_int_eq(tm_coordinator_restore_result(f.c, 1, &a, &leaf), TM_OK);
    ck_assert_int_eq(tm_coordinator_restore_result(f.c, 1, &a, &leaf), TM_E_MALFORMED);
    ck_assert_int_eq(tm_coordinator_restore_result(f.c, UNITS, &a, &leaf), TM_E_MALFORMED);
    ck_assert_int_eq(tm_coordinator_restore_result(f.c, 2, &b, &leaf), TM_OK);
    ck_assert_int_eq(tm_coordinator_restore_result(f.c, 0, &b, &leaf), TM_OK); /* the owner's */
    ck_assert_int_eq(tm_coordinator_restore_ban(f.c, &b), TM_OK);
    ck_assert_int_eq(tm_coordinator_restore_result(f.c, 3, &b, &leaf), TM_OK);
    ck_assert_uint_eq(status_of(&f).done, 2);
    fill_hello(&f, 1);
    say(&f, 1);
    sent(&f, 1, TM_MSG_BAN);
    result(&f, 0, 1, true);
    sent(&f, 0, TM_MSG_HEARTBEAT); /* greet first */
    hello(&f, 0);
    result(&f, 0, 1, true);
    ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_DUPLICATE);
    teardown(&f);
}
END_TEST

/* Times: defaults are heartbeats of 2 s, leases of 30 s at least, uploads of 60 s at most. */
START_TEST(silence_and_return)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    want(&f, 0, 4);
    f.now_ms += 9999;
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_uint_eq(status_of(&f).nodes_ready, 1);
    f.now_ms += 1;
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_uint_eq(status_of(&f).nodes_ready, 0);
    ck_assert_uint_eq(status_of(&f).todo, UNITS);
    result(&f, 0, 0, true); /* late and welcome */
    ck_assert_ptr_nonnull(action(&f, TM_ACT_ACCEPT_UPLOAD, 0));
    ck_assert_uint_eq(status_of(&f).nodes_ready, 1);
    /* the transport loses it: the upload is off, leases wait a little */
    want(&f, 0, 2);
    uint32_t leased = status_of(&f).leased;
    step(&f, (struct tm_coord_event){.type = TM_EV_GONE, .node = id_of(0)});
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 0));
    f.now_ms += 5999;
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_uint_eq(status_of(&f).leased, leased);
    f.now_ms += 1;
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_uint_eq(status_of(&f).todo, UNITS);
    teardown(&f);
}
END_TEST

START_TEST(uploads_that_stall)
{
    struct fixture f;
    setup(&f);
    hello(&f, 0);
    hello(&f, 1);
    result(&f, 0, 0, true);
    result(&f, 1, 0, true); /* the same unit: the first is heard out */
    ck_assert_uint_eq(f.actions.count, 0);
    result(&f, 0, 0, true); /* said again: go on */
    ck_assert_ptr_nonnull(action(&f, TM_ACT_ACCEPT_UPLOAD, 0));
    f.now_ms += 10000; /* five heartbeats */
    result(&f, 1, 0, true);
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 0));
    struct tm_node_id other = id_of(1);
    ck_assert(tm_node_id_eq(&action(&f, TM_ACT_ACCEPT_UPLOAD, 0)->node, &other));
    step(&f, about(TM_EV_RECEIVED, 0, 0, true)); /* too late */
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 0));
    ck_assert_ptr_null(action(&f, TM_ACT_CHECK, 0));
    f.now_ms += 59000;
    hello(&f, 0);
    hello(&f, 1);
    f.now_ms += 1000;
    step(&f, (struct tm_coord_event){.type = TM_EV_TICK});
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 0));
    ck_assert_uint_eq(status_of(&f).checking, 0);
    teardown(&f);
}
END_TEST

START_TEST(units_that_are_none)
{
    struct fixture f;
    setup_with(&f, 1, 0);
    hello(&f, 0);
    result(&f, 0, UNITS, true);
    ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_REJECTED);
    result(&f, 0, 0, true);
    ck_assert_int_eq(sent(&f, 0, TM_MSG_RECEIPT)->receipt.verdict, TM_RECEIPT_REJECTED);
    step(&f, about(TM_EV_RECEIVED, 0, UNITS, true));
    ck_assert_ptr_nonnull(action(&f, TM_ACT_DROP, 0));
    checked(&f, 0, 3, true, TM_VERDICT_GOOD, true);
    ck_assert_uint_eq(f.actions.count, 0);
    teardown(&f);
}
END_TEST

/* One conversation with the n-th allocation failing: an error or none, never a crash or a leak. */
START_TEST(allocation_failures)
{
    for (uint64_t n = 1, failed = 1; failed; n++) {
        struct fixture f = {.now_ms = 1000};
        struct tm_coord_unit unit = {.rows = 1, .cols = 1};
        struct tm_coordinator_options options = {.units = &unit,
                                                 .unit_count = 1,
                                                 .pipelines = pipelines,
                                                 .pipeline_count = 1,
                                                 .encoders = encoders,
                                                 .epoch = 7};
        tm_mem_fail_at(n);
        tm_status status = tm_coordinator_new(&options, &f.c);
        for (int i = 0; status == TM_OK && i < 5; i++) {
            struct tm_coord_event event = about(TM_EV_MESSAGE, 0, 0, true);
            event.msg = &f.msg;
            event.seq = 1;
            static const enum tm_coord_event_type types[] = {
                TM_EV_MESSAGE, TM_EV_MESSAGE, TM_EV_RECEIVED, TM_EV_CHECKED, TM_EV_PERSISTED};
            event.type = types[i];
            fill_hello(&f, 0);
            if (i == 1) {
                f.msg = (struct tm_msg){.type = TM_MSG_RESULT};
                f.msg.result.leaf = leaf_of(0, true);
            }
            status = tm_coordinator_step(f.c, &event, f.now_ms, &f.actions);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert(failed || action(&f, TM_ACT_DONE, 0) != NULL);
        teardown(&f);
    }
}
END_TEST

START_TEST(verdicts)
{
    for (int v = TM_VERDICT_GOOD; v <= TM_VERDICT_NOT_CHECKED; v++) {
        for (int w = TM_VERDICT_GOOD; w < v; w++) {
            ck_assert_str_ne(tm_verdict_text((enum tm_verdict)v),
                             tm_verdict_text((enum tm_verdict)w));
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("coordinator");
    TCase *tc = tcase_create("coordinator");
    tcase_add_test(tc, who_may_join);
    tcase_add_test(tc, the_whole_way);
    tcase_add_test(tc, no_units_is_done_at_once);
    tcase_add_test(tc, bans);
    tcase_add_test(tc, audits);
    tcase_add_test(tc, audits_under_way);
    tcase_add_test(tc, disputes);
    tcase_add_test(tc, contradicting_oneself);
    tcase_add_test(tc, persisted_of_the_banned);
    tcase_add_test(tc, done_waits);
    tcase_add_test(tc, restored);
    tcase_add_test(tc, silence_and_return);
    tcase_add_test(tc, uploads_that_stall);
    tcase_add_test(tc, units_that_are_none);
    tcase_add_test(tc, allocation_failures);
    tcase_add_test(tc, verdicts);
    suite_add_tcase(suite, tc);
    return suite;
}
