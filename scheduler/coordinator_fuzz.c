/* SPDX-License-Identifier: Apache-2.0
 * Bytes as a conversation of four nodes, a checker and a journal with the coordinator, in any order
 * that hostile nodes may force: it never asserts, its counts add up, and done is said once. */
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "scheduler/coordinator.h"
#include "tests/support/short_memory.h"

#define UNITS 12
#define OWNER_UNIT 0
#define NODES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct tm_coordinator *c;
    struct tm_cursor in;
    uint64_t now_ms, seq;
    bool done;
};

static struct tm_coordinator *make(void)
{
    static const char pipelines[2][TM_MSG_TEXT_MAX] = {"int4", "int8"};
    struct tm_coord_unit units[UNITS];
    for (uint32_t i = 0; i < UNITS; i++) {
        units[i] = (struct tm_coord_unit){.pipeline = i % 2,
                                          .group = i / 5,
                                          .rows = 10,
                                          .cols = 100,
                                          .source_bytes = 1,
                                          .owner_made = i == OWNER_UNIT};
    }
    struct tm_coordinator_options options = {.units = units,
                                             .unit_count = UNITS,
                                             .pipelines = pipelines,
                                             .pipeline_count = 2,
                                             .epoch = 1,
                                             .lease_min_ms = 3000,
                                             .heartbeat_ms = 500,
                                             .audit_first = 1,
                                             .audit_every = 3,
                                             .uploads_max = 3};
    struct tm_coordinator *c = NULL;
    TM_ASSERT(ok_or_ran_out(tm_coordinator_new(&options, &c)));
    return c;
}

static struct tm_digest some_leaf(struct fuzz *f)
{
    return (struct tm_digest){{tm_cursor_u8(&f->in) % 2}};
}

static void some_message(struct fuzz *f, const struct tm_public_key *key, struct tm_msg *msg)
{
    memset(msg, 0, sizeof *msg);
    msg->type = (enum tm_msg_type)(1 + tm_cursor_u8(&f->in) % 13);
    switch (msg->type) {
    case TM_MSG_HELLO:
        msg->hello.protocol = TM_PROTOCOL_VERSION;
        msg->hello.key = *key;
        msg->hello.cores = tm_cursor_u8(&f->in);
        msg->hello.speed_count = 1;
        memcpy(msg->hello.speeds[0].pipeline, "int4", 5);
        msg->hello.speeds[0].weights_per_s = tm_cursor_u64(&f->in);
        break;
    case TM_MSG_WANT:
        msg->want.slots = tm_cursor_u8(&f->in);
        break;
    case TM_MSG_HEARTBEAT:
        msg->heartbeat.token_count = tm_cursor_u8(&f->in) % (TM_MSG_TOKENS_MAX + 1);
        break;
    case TM_MSG_RESULT:
        msg->result.unit = tm_cursor_u8(&f->in) % (UNITS + 2);
        msg->result.leaf = some_leaf(f);
        msg->result.compute_ms = tm_cursor_u8(&f->in);
        break;
    default:
        break;
    }
}

static void look_at(struct fuzz *f, const struct tm_coord_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        const struct tm_coord_action *action = &actions->items[i];
        if (action->type == TM_ACT_PERSIST || action->type == TM_ACT_BAN) {
            TM_ASSERT(action->seq == f->seq + 1);
            f->seq++;
        }
        if (action->type == TM_ACT_DONE) {
            TM_ASSERT(!f->done);
            f->done = true;
        }
        TM_ASSERT((action->msg != NULL) ==
                  (action->type == TM_ACT_SEND || action->type == TM_ACT_ACCEPT_UPLOAD));
    }
    struct tm_coord_status status;
    tm_coordinator_status(f->c, &status);
    TM_ASSERT(status.done + status.leased + status.checking + status.todo == UNITS);
    TM_ASSERT(!f->done || status.done == UNITS);
}

/* False when memory has run out: what the actions say is then not the whole. */
static bool one_event(struct fuzz *f, struct tm_coord_actions *actions)
{
    static struct tm_msg msg;
    struct tm_public_key key = {{tm_cursor_u8(&f->in) % NODES}};
    struct tm_coord_event event = {.node = tm_node_id_of(&key), .msg = &msg};
    event.type = (enum tm_coord_event_type)(tm_cursor_u8(&f->in) % 7);
    if (event.type == TM_EV_MESSAGE) {
        some_message(f, &key, &msg);
    } else if (event.type == TM_EV_PERSISTED) {
        event.seq = f->seq - (f->seq > 0 ? tm_cursor_u8(&f->in) % 2 : 0);
    } else if (event.type == TM_EV_TICK) {
        f->now_ms += tm_cursor_u8(&f->in) * 40u;
    } else if (event.type != TM_EV_OWNER_DONE) {
        event.unit = tm_cursor_u8(&f->in) % (UNITS + 1);
        event.leaf = some_leaf(f);
        event.verdict = (enum tm_verdict)(tm_cursor_u8(&f->in) % 6);
        event.audited = tm_cursor_u8(&f->in) % 2 == 0;
    }
    tm_status status = tm_coordinator_step(f->c, &event, f->now_ms, actions);
    TM_ASSERT(ok_or_ran_out(status));
    if (status == TM_OK) {
        look_at(f, actions);
    }
    tm_coord_actions_clear(actions);
    return status == TM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.c = make(), .in = tm_cursor_of(tm_view_of(data, size))};
    struct tm_coord_actions actions;
    tm_coord_actions_init(&actions);
    while (f.c != NULL && tm_cursor_left(&f.in) > 0 && !f.in.overrun) {
        if (!one_event(&f, &actions)) {
            break;
        }
    }
    tm_coord_actions_deinit(&actions);
    tm_coordinator_destroy(&f.c);
    TM_ASSERT(tm_mem_live_blocks() == 0);
    return 0;
}
