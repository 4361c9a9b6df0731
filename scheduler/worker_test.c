/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/worker.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

#define HEARTBEAT 1000

struct fixture {
    struct tm_worker *w;
    struct tm_worker_actions actions;
    struct tm_msg msg;
    uint64_t now_ms;
};

static void setup_with(struct fixture *f, uint32_t prefetch, uint32_t slots)
{
    struct tm_worker_options options = {.prefetch = prefetch,
                                        .compute_slots = slots,
                                        .reconnect_min_ms = 100,
                                        .reconnect_max_ms = 400};
    memcpy(options.hello.name, "me", 3);
    memset(f, 0, sizeof *f);
    f->now_ms = 1000;
    tm_worker_actions_init(&f->actions);
    ck_assert_int_eq(tm_worker_new(&options, &f->w), TM_OK);
}

static void teardown(struct fixture *f)
{
    tm_worker_actions_deinit(&f->actions);
    tm_worker_destroy(&f->w);
    tm_worker_destroy(&f->w);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static void step(struct fixture *f, struct tm_worker_event event)
{
    tm_worker_actions_clear(&f->actions);
    ck_assert_int_eq(tm_worker_step(f->w, &event, f->now_ms, &f->actions), TM_OK);
}

static void tick(struct fixture *f, uint64_t more_ms)
{
    f->now_ms += more_ms;
    step(f, (struct tm_worker_event){.type = TM_WEV_TICK});
}

static void hear(struct fixture *f)
{
    step(f, (struct tm_worker_event){.type = TM_WEV_MESSAGE, .msg = &f->msg});
}

static void on_unit(struct fixture *f, enum tm_worker_event_type type, uint32_t unit)
{
    step(f, (struct tm_worker_event){
                .type = type, .unit = unit, .leaf = {{(uint8_t)unit}}, .bytes = 9});
}

static size_t count(const struct fixture *f, enum tm_worker_action_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < f->actions.count; i++) {
        n += f->actions.items[i].type == type ? 1 : 0;
    }
    return n;
}

static const struct tm_worker_action *action(const struct fixture *f,
                                             enum tm_worker_action_type type)
{
    for (size_t i = 0; i < f->actions.count; i++) {
        if (f->actions.items[i].type == type) {
            return &f->actions.items[i];
        }
    }
    return NULL;
}

static const struct tm_msg *sent(const struct fixture *f, enum tm_msg_type type)
{
    for (size_t i = 0; i < f->actions.count; i++) {
        const struct tm_msg *msg = f->actions.items[i].msg;
        if (msg != NULL && msg->type == type) {
            return msg;
        }
    }
    return NULL;
}

static void welcome(struct fixture *f, uint64_t epoch, uint8_t plan)
{
    f->msg = (struct tm_msg){.type = TM_MSG_WELCOME};
    f->msg.welcome.epoch = epoch;
    f->msg.welcome.heartbeat_ms = HEARTBEAT;
    f->msg.welcome.plan.b[0] = plan;
    f->msg.welcome.pipeline_count = 1;
    memcpy(f->msg.welcome.pipelines[0], "int4", 5);
    hear(f);
}

static void lease(struct fixture *f, uint64_t epoch, uint32_t first, uint32_t units)
{
    f->msg = (struct tm_msg){.type = TM_MSG_LEASE};
    f->msg.lease.epoch = epoch;
    f->msg.lease.token.b[0] = (uint8_t)(first + 1);
    f->msg.lease.unit_count = units;
    for (uint32_t i = 0; i < units; i++) {
        f->msg.lease.units[i].unit = first + i;
    }
    hear(f);
}

static void receipt(struct fixture *f, uint32_t unit, enum tm_receipt verdict)
{
    f->msg = (struct tm_msg){.type = TM_MSG_RECEIPT};
    f->msg.receipt.unit = unit;
    f->msg.receipt.leaf.b[0] = (uint8_t)unit;
    f->msg.receipt.verdict = verdict;
    hear(f);
}

static void reason(struct fixture *f, enum tm_msg_type type, const char *text)
{
    f->msg = (struct tm_msg){.type = type};
    memcpy(f->msg.ban.reason, text, strlen(text) + 1);
    hear(f);
}

static struct tm_worker_status status_of(const struct fixture *f)
{
    struct tm_worker_status status;
    tm_worker_status(f->w, &status);
    return status;
}

static void join(struct fixture *f)
{
    tick(f, 0);
    welcome(f, 5, 1);
}

/* Greets with growing pauses, 50 to 150 % of 100, 200, 400, 400 ms. */
START_TEST(greeting_backs_off)
{
    struct fixture f;
    setup_with(&f, 4, 1);
    ck_assert_str_eq(status_of(&f).state, "offline");
    tick(&f, 0);
    ck_assert_str_eq(sent(&f, TM_MSG_HELLO)->hello.name, "me");
    ck_assert_str_eq(status_of(&f).state, "greeting");
    static const uint64_t pauses[] = {100, 200, 400, 400};
    for (int i = 0; i < 4; i++) {
        uint64_t waited = 0;
        do {
            tick(&f, 1);
            waited++;
        } while (sent(&f, TM_MSG_HELLO) == NULL);
        ck_assert_uint_ge(waited, pauses[i] / 2);
        ck_assert_uint_le(waited, pauses[i] + pauses[i] / 2);
    }
    f.msg = (struct tm_msg){.type = TM_MSG_IDLE, .idle = {.retry_ms = 10000}}; /* it is full */
    hear(&f);
    for (int i = 0; i < 49; i++) {
        tick(&f, 100);
        ck_assert_ptr_null(sent(&f, TM_MSG_HELLO));
    }
    welcome(&f, 5, 1);
    ck_assert_str_eq(status_of(&f).state, "working");
    ck_assert_uint_eq(sent(&f, TM_MSG_WANT)->want.slots, 4);
    teardown(&f);
}
END_TEST

START_TEST(the_whole_way)
{
    struct fixture f;
    setup_with(&f, 4, 2);
    join(&f);
    lease(&f, 5, 10, 4);
    ck_assert_uint_eq(count(&f, TM_WACT_FETCH), 4);
    ck_assert_str_eq(action(&f, TM_WACT_FETCH)->pipeline, "int4");
    ck_assert_uint_eq(action(&f, TM_WACT_FETCH)->plan.b[0], 1);
    ck_assert_ptr_null(sent(&f, TM_MSG_WANT)); /* four wait */
    on_unit(&f, TM_WEV_FETCHED, 12);
    ck_assert_uint_eq(action(&f, TM_WACT_ENCODE)->unit, 12);
    on_unit(&f, TM_WEV_FETCHED, 11);
    ck_assert_uint_eq(action(&f, TM_WACT_ENCODE)->unit, 11);
    ck_assert_ptr_null(sent(&f, TM_MSG_WANT)); /* two wait, two are encoded: nothing is free */
    on_unit(&f, TM_WEV_FETCHED, 13);
    on_unit(&f, TM_WEV_FETCHED, 10);
    ck_assert_ptr_null(action(&f, TM_WACT_ENCODE)); /* two slots */
    on_unit(&f, TM_WEV_ENCODED, 12);
    ck_assert_uint_eq(action(&f, TM_WACT_ENCODE)->unit, 10); /* the oldest */
    const struct tm_msg_result *result = &sent(&f, TM_MSG_RESULT)->result;
    ck_assert(result->unit == 12 && result->epoch == 5 && result->bytes == 9);
    ck_assert_uint_eq(result->token.b[0], 11);
    ck_assert_uint_eq(result->leaf.b[0], 12);
    ck_assert_uint_eq(sent(&f, TM_MSG_WANT)->want.slots, 1);
    receipt(&f, 11, TM_RECEIPT_ACCEPTED); /* not sent yet: ignored */
    ck_assert_uint_eq(f.actions.count, 0);
    receipt(&f, 12, TM_RECEIPT_ACCEPTED);
    ck_assert_uint_eq(action(&f, TM_WACT_FORGET)->unit, 12);
    on_unit(&f, TM_WEV_ENCODED, 10);
    receipt(&f, 10, TM_RECEIPT_REJECTED);
    struct tm_worker_status status = status_of(&f);
    ck_assert(status.accepted == 1 && status.rejected == 1 && status.held == 2);
    f.msg = (struct tm_msg){.type = TM_MSG_IDLE};
    hear(&f);
    ck_assert(!action(&f, TM_WACT_STOP)->banned);
    ck_assert_str_eq(status_of(&f).state, "done");
    tick(&f, 100000);
    ck_assert_uint_eq(f.actions.count, 0);
    teardown(&f);
}
END_TEST

START_TEST(everything_is_repeated)
{
    struct fixture f;
    setup_with(&f, 1, 1);
    join(&f);
    ck_assert_uint_eq(sent(&f, TM_MSG_WANT)->want.slots, 1);
    tick(&f, 2 * HEARTBEAT - 1);
    ck_assert_ptr_null(sent(&f, TM_MSG_WANT));
    tick(&f, 1);
    ck_assert_ptr_nonnull(sent(&f, TM_MSG_WANT));
    lease(&f, 5, 0, 1);
    on_unit(&f, TM_WEV_FETCHED, 0);
    on_unit(&f, TM_WEV_ENCODED, 0);
    ck_assert_ptr_nonnull(sent(&f, TM_MSG_RESULT));
    tick(&f, 3 * HEARTBEAT - 1);
    ck_assert_ptr_null(sent(&f, TM_MSG_RESULT));
    const struct tm_msg *beat = sent(&f, TM_MSG_HEARTBEAT);
    ck_assert(beat->heartbeat.token_count == 1 && beat->heartbeat.tokens[0].b[0] == 1);
    tick(&f, 1);
    ck_assert_ptr_nonnull(sent(&f, TM_MSG_RESULT));
    /* a slow upload is not begun anew while it moves */
    tick(&f, 2 * HEARTBEAT);
    on_unit(&f, TM_WEV_UPLOADING, 0);
    tick(&f, 3 * HEARTBEAT - 1);
    ck_assert_ptr_null(sent(&f, TM_MSG_RESULT));
    teardown(&f);
}
END_TEST

START_TEST(fetch_and_encode_fail)
{
    struct fixture f;
    setup_with(&f, 2, 1);
    join(&f);
    lease(&f, 5, 0, 2);
    for (int i = 0; i < 2; i++) {
        on_unit(&f, TM_WEV_FETCH_FAILED, 0);
        ck_assert_ptr_null(action(&f, TM_WACT_FETCH));
        tick(&f, 999);
        ck_assert_ptr_null(action(&f, TM_WACT_FETCH));
        tick(&f, 1);
        ck_assert_uint_eq(action(&f, TM_WACT_FETCH)->unit, 0);
    }
    on_unit(&f, TM_WEV_FETCH_FAILED, 0);
    ck_assert_uint_eq(action(&f, TM_WACT_FORGET)->unit, 0);
    on_unit(&f, TM_WEV_FETCHED, 1);
    on_unit(&f, TM_WEV_ENCODE_FAILED, 1);
    ck_assert_uint_eq(action(&f, TM_WACT_FORGET)->unit, 1);
    ck_assert_uint_eq(status_of(&f).held, 0);
    on_unit(&f, TM_WEV_ENCODED, 1); /* too late */
    ck_assert_ptr_null(sent(&f, TM_MSG_RESULT));
    teardown(&f);
}
END_TEST

/* Under a new epoch: begun units stay, the others go; finished ones are sent at once. */
START_TEST(new_epoch)
{
    struct fixture f;
    setup_with(&f, 4, 1);
    join(&f);
    lease(&f, 5, 0, 4);
    on_unit(&f, TM_WEV_FETCHED, 0);
    on_unit(&f, TM_WEV_ENCODED, 0); /* sending */
    on_unit(&f, TM_WEV_FETCHED, 1); /* encoding */
    on_unit(&f, TM_WEV_FETCHED, 2); /* queued; 3 is being fetched */
    f.msg = (struct tm_msg){.type = TM_MSG_HEARTBEAT, .heartbeat = {.epoch = 6}};
    hear(&f);
    ck_assert_str_eq(status_of(&f).state, "greeting");
    tick(&f, 150);
    ck_assert_ptr_nonnull(sent(&f, TM_MSG_HELLO));
    welcome(&f, 6, 1);
    ck_assert_uint_eq(count(&f, TM_WACT_FORGET), 2);
    ck_assert_uint_eq(sent(&f, TM_MSG_RESULT)->result.unit, 0);
    ck_assert_uint_eq(sent(&f, TM_MSG_HEARTBEAT)->heartbeat.token_count, 0);
    ck_assert_uint_eq(status_of(&f).held, 2);
    welcome(&f, 5, 1); /* late */
    ck_assert_uint_eq(status_of(&f).epoch, 6);
    lease(&f, 5, 7, 1);
    ck_assert_uint_eq(f.actions.count, 0);
    lease(&f, 6, 0, 1); /* what it has already, leased again */
    ck_assert_ptr_null(action(&f, TM_WACT_FETCH));
    welcome(&f, 7, 2); /* another job */
    ck_assert_uint_eq(count(&f, TM_WACT_FORGET), 2);
    ck_assert_uint_eq(status_of(&f).held, 0);
    teardown(&f);
}
END_TEST

START_TEST(silence_and_bye)
{
    struct fixture f;
    setup_with(&f, 1, 1);
    join(&f);
    tick(&f, 5 * HEARTBEAT - 1);
    ck_assert_str_eq(status_of(&f).state, "working");
    tick(&f, 1);
    ck_assert_str_eq(status_of(&f).state, "greeting");
    welcome(&f, 5, 1); /* the same epoch is fine when it comes back */
    ck_assert_str_eq(status_of(&f).state, "working");
    reason(&f, TM_MSG_BYE, "restart");
    ck_assert_str_eq(status_of(&f).state, "greeting");
    reason(&f, TM_MSG_BYE, "this build encodes differently");
    ck_assert(!action(&f, TM_WACT_STOP)->banned);
    ck_assert_str_eq(action(&f, TM_WACT_STOP)->reason, "this build encodes differently");
    teardown(&f);

    setup_with(&f, 1, 1);
    join(&f);
    reason(&f, TM_MSG_BAN, "unit 3: lies");
    ck_assert(action(&f, TM_WACT_STOP)->banned);
    ck_assert_str_eq(status_of(&f).state, "banned");
    welcome(&f, 9, 1);
    ck_assert_uint_eq(f.actions.count, 0);
    teardown(&f);
}
END_TEST

/* A coordinator that sends too much: units beyond the table are left, pipelines are checked. */
START_TEST(too_much)
{
    struct fixture f;
    setup_with(&f, 64, 1);
    join(&f);
    for (uint32_t i = 0; i < 4; i++) {
        lease(&f, 5, i * 64, 64);
    }
    ck_assert_uint_eq(status_of(&f).held, TM_WORKER_UNITS_MAX);
    tick(&f, HEARTBEAT);
    ck_assert_uint_eq(sent(&f, TM_MSG_HEARTBEAT)->heartbeat.token_count, 2);
    teardown(&f);
    setup_with(&f, 1, 1);
    join(&f);
    f.msg = (struct tm_msg){.type = TM_MSG_LEASE};
    f.msg.lease.epoch = 5;
    f.msg.lease.unit_count = 1;
    f.msg.lease.units[0].pipeline = 1;
    hear(&f);
    ck_assert_uint_eq(status_of(&f).held, 0);
    teardown(&f);
}
END_TEST

START_TEST(no_memory)
{
    struct tm_worker_options options = {.prefetch = 1, .compute_slots = 1};
    struct tm_worker *w = NULL;
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_worker_new(&options, &w), TM_E_NOMEM);
    ck_assert_int_eq(tm_worker_new(&options, &w), TM_OK);
    struct tm_worker_actions actions;
    tm_worker_actions_init(&actions);
    struct tm_worker_event event = {.type = TM_WEV_TICK};
    for (uint64_t n = 1; n <= 2; n++) {
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_worker_step(w, &event, 100 * n, &actions), TM_E_NOMEM);
    }
    ck_assert_uint_eq(actions.count, 0);
    ck_assert_int_eq(tm_worker_step(w, &event, 100000, &actions), TM_OK);
    ck_assert_uint_eq(actions.count, 1);
    tm_worker_actions_deinit(&actions);
    tm_worker_destroy(&w);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("worker");
    TCase *tc = tcase_create("worker");
    tcase_add_test(tc, greeting_backs_off);
    tcase_add_test(tc, the_whole_way);
    tcase_add_test(tc, everything_is_repeated);
    tcase_add_test(tc, fetch_and_encode_fail);
    tcase_add_test(tc, new_epoch);
    tcase_add_test(tc, silence_and_bye);
    tcase_add_test(tc, too_much);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
