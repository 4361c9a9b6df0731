/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define RECONNECT_MIN_MS 500
#define RECONNECT_MAX_MS 30000
#define SILENT_HEARTBEATS 5 /* then the coordinator is lost */
#define ANSWER_HEARTBEATS 2 /* a WANT without an answer is repeated after so many */
#define RESEND_HEARTBEATS 3 /* a RESULT without a RECEIPT */
#define FETCH_TRIES 3
#define FETCH_RETRY_MS 1000

enum state { OFFLINE, GREETING, WORKING, DONE, BANNED };
static const char *const state_names[] = {"offline", "greeting", "working", "done", "banned"};

enum stage { EMPTY, FETCHING, WAITING_TO_FETCH, QUEUED, ENCODING, SENDING, STAGES };

/* A unit in hand. */
struct held {
    enum stage stage;
    struct tm_msg_unit desc;
    struct tm_lease_token token;
    uint64_t epoch;
    uint64_t order;   /* units are encoded in the order of their leases */
    uint64_t at_ms;   /* SENDING: last sent or flowing; WAITING_TO_FETCH: when to try again */
    uint32_t fetches; /* tries */
    struct tm_digest leaf;
    uint32_t bytes, compute_ms;
    struct tm_signature sig;
};

struct tm_worker {
    struct tm_worker_options options;
    enum state state;
    struct tm_msg_welcome job; /* of the last WELCOME; epoch 0: none yet */
    struct held held[TM_WORKER_UNITS_MAX];
    uint32_t counts[STAGES];
    uint64_t orders;
    uint64_t hello_ms, backoff_ms; /* when to greet next, and how long to wait after that */
    uint64_t heard_ms, heartbeat_ms, want_ms;
    uint64_t accepted, rejected;
    struct tm_rng rng;
    uint64_t now_ms;
    struct tm_worker_actions *out;
};

/* ---- actions --------------------------------------------------------------------------------- */

void tm_worker_actions_init(struct tm_worker_actions *actions)
{
    *actions = (struct tm_worker_actions){0};
}

void tm_worker_actions_clear(struct tm_worker_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        tm_free(actions->items[i].msg);
    }
    actions->count = 0;
}

void tm_worker_actions_deinit(struct tm_worker_actions *actions)
{
    tm_worker_actions_clear(actions);
    tm_free(actions->items);
    tm_worker_actions_init(actions);
}

static tm_status act(struct tm_worker *w, enum tm_worker_action_type type,
                     struct tm_worker_action **out)
{
    struct tm_worker_actions *list = w->out;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 8;
        struct tm_worker_action *items = tm_realloc_array(list->items, capacity, sizeof *items);
        if (items == NULL) {
            return TM_E_NOMEM;
        }
        list->items = items;
        list->capacity = capacity;
    }
    *out = &list->items[list->count++];
    **out = (struct tm_worker_action){.type = type};
    return TM_OK;
}

static tm_status act_msg(struct tm_worker *w, enum tm_worker_action_type type,
                         enum tm_msg_type msg_type, struct tm_worker_action **out)
{
    struct tm_msg *msg = tm_calloc(1, sizeof *msg);
    if (msg == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = act(w, type, out);
    if (status != TM_OK) {
        tm_free(msg);
        return status;
    }
    msg->type = msg_type;
    (*out)->msg = msg;
    return TM_OK;
}

/* FETCH, ENCODE, UPLOAD or FORGET of a unit. */
static tm_status act_unit(struct tm_worker *w, enum tm_worker_action_type type,
                          const struct held *held)
{
    struct tm_worker_action *action = NULL;
    TM_ASSERT(held != NULL);
    if (type == TM_WACT_UPLOAD) {
        TM_TRY(act_msg(w, type, TM_MSG_RESULT, &action));
        action->msg->result = (struct tm_msg_result){.token = held->token,
                                                     .epoch = held->epoch,
                                                     .unit = held->desc.unit,
                                                     .leaf = held->leaf,
                                                     .bytes = held->bytes,
                                                     .compute_ms = held->compute_ms,
                                                     .sig = held->sig};
    } else {
        TM_TRY(act(w, type, &action));
    }
    action->desc = held->desc;
    action->unit = held->desc.unit;
    action->leaf = held->leaf;
    action->plan = w->job.plan;
    memcpy(action->pipeline, w->job.pipelines[held->desc.pipeline], sizeof action->pipeline);
    return TM_OK;
}

static tm_status stop(struct tm_worker *w, enum state state, const char *reason)
{
    struct tm_worker_action *action = NULL;
    TM_TRY(act(w, TM_WACT_STOP, &action));
    action->banned = state == BANNED;
    snprintf(action->reason, sizeof action->reason, "%s", reason);
    w->state = state;
    memset(w->held, 0, sizeof w->held);
    memset(w->counts, 0, sizeof w->counts);
    w->counts[EMPTY] = TM_WORKER_UNITS_MAX;
    return TM_OK;
}

/* ---- units in hand --------------------------------------------------------------------------- */

static void set_stage(struct tm_worker *w, struct held *held, enum stage stage)
{
    TM_ASSERT(held != NULL);
    w->counts[held->stage]--;
    w->counts[stage]++;
    held->stage = stage;
}

static struct held *find(struct tm_worker *w, uint32_t unit)
{
    for (uint32_t i = 0; i < TM_WORKER_UNITS_MAX; i++) {
        if (w->held[i].stage != EMPTY && w->held[i].desc.unit == unit) {
            return &w->held[i];
        }
    }
    return NULL;
}

static tm_status forget(struct tm_worker *w, struct held *held)
{
    TM_TRY(act_unit(w, TM_WACT_FORGET, held));
    set_stage(w, held, EMPTY);
    return TM_OK;
}

static tm_status fetch(struct tm_worker *w, struct held *held)
{
    set_stage(w, held, FETCHING);
    held->fetches++;
    return act_unit(w, TM_WACT_FETCH, held);
}

static tm_status upload(struct tm_worker *w, struct held *held)
{
    held->at_ms = w->now_ms;
    return act_unit(w, TM_WACT_UPLOAD, held);
}

static tm_status start_encoding(struct tm_worker *w)
{
    while (w->counts[ENCODING] < w->options.compute_slots && w->counts[QUEUED] > 0) {
        struct held *first = NULL;
        for (uint32_t i = 0; i < TM_WORKER_UNITS_MAX; i++) {
            struct held *held = &w->held[i];
            if (held->stage == QUEUED && (first == NULL || held->order < first->order)) {
                first = held;
            }
        }
        set_stage(w, first, ENCODING);
        TM_TRY(act_unit(w, TM_WACT_ENCODE, first));
    }
    return TM_OK;
}

/* ---- talking --------------------------------------------------------------------------------- */

/* Half to one and a half times, so that nodes do not come back all at once. */
static uint64_t jitter(struct tm_worker *w, uint64_t ms)
{
    return ms / 2 + tm_rng_below(&w->rng, ms + 1);
}

static tm_status greet(struct tm_worker *w)
{
    struct tm_worker_action *action = NULL;
    TM_TRY(act_msg(w, TM_WACT_SEND, TM_MSG_HELLO, &action));
    action->msg->hello = w->options.hello;
    w->state = GREETING;
    w->hello_ms = w->now_ms + jitter(w, w->backoff_ms);
    w->backoff_ms *= 2;
    if (w->backoff_ms > w->options.reconnect_max_ms) {
        w->backoff_ms = w->options.reconnect_max_ms;
    }
    return TM_OK;
}

/* Back to greeting, after a moment. */
static void lose_coordinator(struct tm_worker *w)
{
    w->state = GREETING;
    w->backoff_ms = w->options.reconnect_min_ms;
    w->hello_ms = w->now_ms + jitter(w, w->backoff_ms);
}

static tm_status send_heartbeat(struct tm_worker *w)
{
    struct tm_worker_action *action = NULL;
    TM_TRY(act_msg(w, TM_WACT_SEND, TM_MSG_HEARTBEAT, &action));
    struct tm_msg_heartbeat *beat = &action->msg->heartbeat;
    beat->epoch = w->job.epoch;
    for (uint32_t i = 0; i < TM_WORKER_UNITS_MAX; i++) {
        const struct held *held = &w->held[i];
        bool named = held->stage == EMPTY || held->epoch != w->job.epoch;
        for (uint32_t t = 0; t < beat->token_count && !named; t++) {
            named = memcmp(beat->tokens[t].b, held->token.b, sizeof held->token.b) == 0;
        }
        if (!named && beat->token_count < TM_MSG_TOKENS_MAX) {
            beat->tokens[beat->token_count++] = held->token;
        }
    }
    w->heartbeat_ms = w->now_ms + w->job.heartbeat_ms;
    return TM_OK;
}

static tm_status want(struct tm_worker *w)
{
    uint32_t waiting = w->counts[FETCHING] + w->counts[WAITING_TO_FETCH] + w->counts[QUEUED];
    uint32_t busy = waiting + w->counts[ENCODING];
    if (w->now_ms < w->want_ms || waiting > w->options.prefetch / 2 ||
        busy >= w->options.prefetch) {
        return TM_OK;
    }
    uint32_t slots = w->options.prefetch - busy;
    slots = slots < w->counts[EMPTY] ? slots : w->counts[EMPTY];
    if (slots == 0) {
        return TM_OK;
    }
    struct tm_worker_action *action = NULL;
    TM_TRY(act_msg(w, TM_WACT_SEND, TM_MSG_WANT, &action));
    action->msg->want.slots = slots;
    w->want_ms = w->now_ms + (uint64_t)ANSWER_HEARTBEATS * w->job.heartbeat_ms;
    return TM_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Under another plan everything in hand is worthless, under another epoch what is not begun. */
static tm_status drop_stale(struct tm_worker *w, bool other_plan, uint64_t epoch)
{
    for (uint32_t i = 0; i < TM_WORKER_UNITS_MAX; i++) {
        struct held *held = &w->held[i];
        bool begun = held->stage == ENCODING || held->stage == SENDING;
        if (held->stage != EMPTY && (other_plan || (!begun && held->epoch != epoch))) {
            TM_TRY(forget(w, held));
        }
    }
    return TM_OK;
}

static tm_status on_welcome(struct tm_worker *w, const struct tm_msg_welcome *welcome)
{
    if (w->state == WORKING && welcome->epoch <= w->job.epoch) {
        return TM_OK; /* came twice or late */
    }
    bool first = w->job.epoch == 0;
    TM_TRY(drop_stale(w, !first && !tm_digest_eq(&w->job.plan, &welcome->plan), welcome->epoch));
    w->job = *welcome;
    w->state = WORKING;
    w->backoff_ms = w->options.reconnect_min_ms;
    w->want_ms = w->now_ms;
    TM_TRY(send_heartbeat(w)); /* so that it knows at once which leases live on */
    for (uint32_t i = 0; i < TM_WORKER_UNITS_MAX; i++) {
        if (w->held[i].stage == SENDING) {
            TM_TRY(upload(w, &w->held[i]));
        }
    }
    return TM_OK;
}

static tm_status take_unit(struct tm_worker *w, const struct tm_msg_lease *lease,
                           const struct tm_msg_unit *unit)
{
    struct held *held = find(w, unit->unit);
    if (held != NULL) { /* leased again: the new lease is the one to name */
        held->token = lease->token;
        held->epoch = lease->epoch;
        return TM_OK;
    }
    if (w->counts[EMPTY] == 0 || unit->pipeline >= w->job.pipeline_count) {
        return TM_OK;
    }
    held = w->held;
    while (held->stage != EMPTY) {
        held++;
    }
    *held = (struct held){
        .desc = *unit, .token = lease->token, .epoch = lease->epoch, .order = w->orders++};
    return fetch(w, held);
}

static tm_status on_lease(struct tm_worker *w, const struct tm_msg_lease *lease)
{
    if (lease->epoch != w->job.epoch) {
        return TM_OK;
    }
    w->want_ms = w->now_ms;
    for (uint32_t i = 0; i < lease->unit_count && i < TM_MSG_LEASE_UNITS_MAX; i++) {
        TM_TRY(take_unit(w, lease, &lease->units[i]));
    }
    return TM_OK;
}

static tm_status on_receipt(struct tm_worker *w, const struct tm_msg_receipt *receipt)
{
    struct held *held = find(w, receipt->unit);
    if (held == NULL || held->stage != SENDING || !tm_digest_eq(&held->leaf, &receipt->leaf)) {
        return TM_OK;
    }
    w->accepted += receipt->verdict == TM_RECEIPT_ACCEPTED ? 1 : 0;
    w->rejected += receipt->verdict == TM_RECEIPT_REJECTED ? 1 : 0;
    return forget(w, held);
}

static tm_status on_idle(struct tm_worker *w, uint32_t retry_ms)
{
    if (retry_ms == 0) {
        return stop(w, DONE, "the job is done");
    }
    if (w->state == GREETING) {
        w->hello_ms = w->now_ms + jitter(w, retry_ms); /* the mesh is full */
    } else {
        w->want_ms = w->now_ms + retry_ms;
    }
    return TM_OK;
}

static tm_status on_working_message(struct tm_worker *w, const struct tm_msg *msg)
{
    switch (msg->type) {
    case TM_MSG_LEASE:
        return on_lease(w, &msg->lease);
    case TM_MSG_RECEIPT:
        return on_receipt(w, &msg->receipt);
    case TM_MSG_HEARTBEAT:
        if (msg->heartbeat.epoch != w->job.epoch) {
            lose_coordinator(w);
        }
        return TM_OK;
    case TM_MSG_BYE: /* it leaves, and may come back */
        lose_coordinator(w);
        return TM_OK;
    default:
        return TM_OK;
    }
}

static tm_status on_message(struct tm_worker *w, const struct tm_msg *msg)
{
    w->heard_ms = w->now_ms;
    switch (msg->type) {
    case TM_MSG_WELCOME:
        return on_welcome(w, &msg->welcome);
    case TM_MSG_BAN:
        return stop(w, BANNED, msg->ban.reason);
    case TM_MSG_IDLE:
        return on_idle(w, msg->idle.retry_ms);
    default:
        break;
    }
    if (w->state == GREETING && msg->type == TM_MSG_BYE) {
        return stop(w, DONE, msg->ban.reason);
    }
    return w->state == WORKING ? on_working_message(w, msg) : TM_OK;
}

/* ---- other events ---------------------------------------------------------------------------- */

static tm_status on_fetch_failed(struct tm_worker *w, struct held *held)
{
    if (held->fetches >= FETCH_TRIES) {
        return forget(w, held);
    }
    set_stage(w, held, WAITING_TO_FETCH);
    held->at_ms = w->now_ms + FETCH_RETRY_MS;
    return TM_OK;
}

static tm_status on_unit_event(struct tm_worker *w, const struct tm_worker_event *event)
{
    struct held *held = find(w, event->unit);
    if (held == NULL) {
        return TM_OK; /* it was forgotten meanwhile */
    }
    if (held->stage == FETCHING && event->type == TM_WEV_FETCHED) {
        set_stage(w, held, QUEUED);
    } else if (held->stage == FETCHING && event->type == TM_WEV_FETCH_FAILED) {
        return on_fetch_failed(w, held);
    } else if (held->stage == SENDING && event->type == TM_WEV_UPLOADING) {
        held->at_ms = w->now_ms;
    } else if (held->stage == ENCODING && event->type == TM_WEV_ENCODE_FAILED) {
        return forget(w, held);
    } else if (held->stage == ENCODING && event->type == TM_WEV_ENCODED) {
        held->leaf = event->leaf;
        held->bytes = event->bytes;
        held->compute_ms = event->compute_ms;
        held->sig = event->sig;
        set_stage(w, held, SENDING);
        return upload(w, held);
    }
    return TM_OK;
}

static tm_status repeat_late(struct tm_worker *w)
{
    uint64_t patience = (uint64_t)RESEND_HEARTBEATS * w->job.heartbeat_ms;
    for (uint32_t i = 0; i < TM_WORKER_UNITS_MAX; i++) {
        struct held *held = &w->held[i];
        if (held->stage == SENDING && w->now_ms - held->at_ms >= patience) {
            TM_TRY(upload(w, held));
        } else if (held->stage == WAITING_TO_FETCH && w->now_ms >= held->at_ms) {
            TM_TRY(fetch(w, held));
        }
    }
    return TM_OK;
}

static tm_status on_tick(struct tm_worker *w)
{
    if (w->state != WORKING) {
        return w->state == OFFLINE || w->now_ms >= w->hello_ms ? greet(w) : TM_OK;
    }
    if (w->now_ms - w->heard_ms >= (uint64_t)SILENT_HEARTBEATS * w->job.heartbeat_ms) {
        lose_coordinator(w);
        return TM_OK;
    }
    if (w->now_ms >= w->heartbeat_ms) {
        TM_TRY(send_heartbeat(w));
    }
    return repeat_late(w);
}

/* ---- the machine ----------------------------------------------------------------------------- */

tm_status tm_worker_new(const struct tm_worker_options *options, struct tm_worker **out)
{
    TM_ASSERT(options->prefetch >= 1 && options->prefetch <= TM_MSG_LEASE_UNITS_MAX);
    TM_ASSERT(options->compute_slots >= 1);
    struct tm_worker *w = tm_calloc(1, sizeof *w);
    if (w == NULL) {
        return TM_E_NOMEM;
    }
    w->options = *options;
    if (w->options.reconnect_min_ms == 0) {
        w->options.reconnect_min_ms = RECONNECT_MIN_MS;
    }
    if (w->options.reconnect_max_ms == 0) {
        w->options.reconnect_max_ms = RECONNECT_MAX_MS;
    }
    w->backoff_ms = w->options.reconnect_min_ms;
    w->counts[EMPTY] = TM_WORKER_UNITS_MAX;
    tm_rng_init(&w->rng, options->jitter_seed);
    *out = w;
    return TM_OK;
}

void tm_worker_destroy(struct tm_worker **worker)
{
    if (worker != NULL) {
        tm_free(*worker);
        *worker = NULL;
    }
}

tm_status tm_worker_step(struct tm_worker *w, const struct tm_worker_event *event, uint64_t now_ms,
                         struct tm_worker_actions *actions)
{
    if (w->state == DONE || w->state == BANNED) {
        return TM_OK;
    }
    w->now_ms = now_ms > w->now_ms ? now_ms : w->now_ms;
    w->out = actions;
    tm_status status = TM_OK;
    if (event->type == TM_WEV_MESSAGE) {
        status = on_message(w, event->msg);
    } else if (event->type == TM_WEV_TICK) {
        status = on_tick(w);
    } else {
        status = on_unit_event(w, event);
    }
    if (status == TM_OK && w->state != DONE && w->state != BANNED) {
        status = start_encoding(w);
    }
    if (status == TM_OK && w->state == WORKING) {
        status = want(w);
    }
    w->out = NULL;
    return status;
}

void tm_worker_status(const struct tm_worker *w, struct tm_worker_status *out)
{
    *out = (struct tm_worker_status){.state = state_names[w->state],
                                     .held = TM_WORKER_UNITS_MAX - w->counts[EMPTY],
                                     .encoding = w->counts[ENCODING],
                                     .accepted = w->accepted,
                                     .rejected = w->rejected,
                                     .epoch = w->job.epoch};
}
