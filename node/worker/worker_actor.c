/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/worker_actor.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "node/worker/worker_link.h"
#include "node/worker/worker_local.h"
#include "node/worker/worker_units.h"
#include "scheduler/worker.h"
#include "stages/pipeline_encode.h"

#define TICK_MS 50
#define CACHE_BYTES (64u * 1024 * 1024)
#define NEXT_JOB_MS 2000 /* between two looks for the next job */
#define UNITS_AHEAD 8    /* units held beyond those being encoded: hides the way there and back */
#define UNITS_HELD_MAX 64
#define PATIENCE_MS 30000

static const char NO_ANSWER[] =
    "no answer: nobody listens there, its key is another, or this node is not let in";

struct node {
    const struct tm_worker_run_options *options;
    const struct tm_worker_local *local; /* NULL: over the network */
    struct tm_transport *transport;
    struct tm_encode_setup setup;
    struct tm_work_pool *pool;
    struct tm_worker_link *link;
    struct tm_worker_units *units;
    struct tm_worker *machine;
    struct tm_worker_actions actions;
    struct tm_msg_hello hello;
    struct tm_msg msg; /* being built: large */
    bool heard;        /* anything since the last HELLO */
    bool greeted;
    bool ever_heard; /* from this coordinator */
    uint64_t started_ms;
    bool stopped, banned; /* by the state machine */
    bool refused;         /* stopped by a BYE: this node is not fit for the job */
    bool ended;           /* by the owner of a local worker */
    char reason[TM_MSG_TEXT_MAX];
};

static bool asked_to_stop(struct node *n)
{
    if (n->local != NULL && n->local->stop != NULL && tm_pipe_receive(n->local->stop) != NULL) {
        n->ended = true;
    }
    return n->ended || (n->options->stop != NULL && *n->options->stop != 0);
}

static uint64_t now_ms(void)
{
    return tm_clock_ms(tm_clock_os());
}

/* ---- who we are ---- */

static void fill_hello(struct node *n, unsigned threads)
{
    const char *name = n->options->name != NULL ? n->options->name : "node";
    struct tm_msg_hello *h = &n->hello;
    h->protocol = TM_PROTOCOL_VERSION;
    snprintf(h->software, sizeof h->software, "tmill %s", TMILL_VERSION);
    h->key = *tm_identity_public(n->options->identity);
    tm_escape(name, strlen(name), h->name, sizeof h->name);
    h->cores = threads;
    h->ram_bytes = tm_memory_bytes();
    h->encoders = tm_encoders_digest();
}

static bool has_speed(const struct tm_msg_hello *hello, const char *pipeline)
{
    for (uint32_t i = 0; i < hello->speed_count; i++) {
        if (strcmp(hello->speeds[i].pipeline, pipeline) == 0) {
            return true;
        }
    }
    return false;
}

/* Measures the pipelines of a job that are new to us; whether there were any. */
static bool measure(struct node *n, const struct tm_msg_welcome *welcome)
{
    struct tm_msg_hello *h = &n->hello;
    bool news = false;
    for (uint32_t i = 0; i < welcome->pipeline_count; i++) {
        const char *text = welcome->pipelines[i];
        struct tm_pipeline pipeline;
        if (has_speed(h, text) || tm_pipeline_parse(tm_view_str(text), &pipeline, NULL) != TM_OK) {
            continue;
        }
        if (h->speed_count == TM_MSG_SPEEDS_MAX) {
            h->speed_count = 0; /* of jobs before this one */
        }
        struct tm_msg_speed *speed = &h->speeds[h->speed_count++];
        snprintf(speed->pipeline, sizeof speed->pipeline, "%s", text);
        speed->weights_per_s = tm_pipeline_speed(&pipeline);
        news = true;
    }
    return news;
}

static tm_status send_hello(struct node *n)
{
    n->msg.type = TM_MSG_HELLO;
    n->msg.hello = n->hello;
    return tm_worker_link_send(n->link, &n->msg);
}

/* ---- the state machine's actions and events ---- */

/* A HELLO after one that nobody answered: the connection may be half dead, make a new one. Whoever
 * greets again may have lost bytes on their way. */
static tm_status greet(struct node *n, struct tm_err *err)
{
    bool again = n->greeted;
    if (again && !n->heard) {
        TM_EVENT(n->options->sink, TM_LEVEL_INFO, "node.connecting",
                 {.key = "endpoint", .text = n->options->endpoint},
                 {.key = "why", .text = NO_ANSWER});
        TM_TRY(tm_worker_link_reconnect(n->link, err));
    }
    n->greeted = true;
    n->heard = false;
    (void)!send_hello(n); /* a full queue: it is said again soon */
    if (again) {
        tm_worker_units_restart(n->units, now_ms());
    }
    return TM_OK;
}

static tm_status act(struct node *n, const struct tm_worker_action *action, struct tm_err *err)
{
    if (action->type == TM_WACT_SEND) {
        if (action->msg->type == TM_MSG_HELLO) {
            return greet(n, err);
        }
        (void)!tm_worker_link_send(n->link, action->msg);
        return TM_OK;
    }
    if (action->type == TM_WACT_STOP) {
        n->stopped = true;
        n->banned = action->banned;
        snprintf(n->reason, sizeof n->reason, "%s", action->reason);
        return TM_OK;
    }
    return tm_worker_units_act(n->units, action, now_ms());
}

static tm_status step(struct node *n, const struct tm_worker_event *event, struct tm_err *err)
{
    tm_worker_actions_clear(&n->actions);
    tm_status status = tm_worker_step(n->machine, event, now_ms(), &n->actions);
    for (size_t i = 0; status == TM_OK && i < n->actions.count; i++) {
        status = act(n, &n->actions.items[i], err);
    }
    if (status == TM_E_NOMEM) {
        tm_err_set(err, status, n->options->endpoint, "work", NULL, "out of memory");
    }
    return status;
}

static void log_failure(struct node *n, const struct tm_worker_event *event)
{
    if (event->type == TM_WEV_FETCH_FAILED || event->type == TM_WEV_ENCODE_FAILED) {
        TM_EVENT(n->options->sink, TM_LEVEL_WARN, "unit.failed",
                 {.key = "unit", .number = event->unit},
                 {.key = "why", .text = tm_worker_units_error(n->units)->why});
    }
}

/* What the coordinator promised to keep: tests/power holds it to this record. */
static void log_receipt(struct node *n, const struct tm_msg_receipt *receipt)
{
    char leaf[TM_DIGEST_TEXT];
    if (receipt->verdict != TM_RECEIPT_REJECTED) {
        TM_EVENT(n->options->sink, TM_LEVEL_DEBUG, "unit.acknowledged",
                 {.key = "unit", .number = receipt->unit},
                 {.key = "leaf", .text = tm_digest_hex(&receipt->leaf, leaf)});
    }
}

static tm_status on_message(struct node *n, const struct tm_msg *msg, struct tm_err *err)
{
    n->heard = n->ever_heard = true;
    if (msg->type == TM_MSG_DATA || msg->type == TM_MSG_CREDIT) {
        tm_worker_units_message(n->units, msg, now_ms());
        return TM_OK;
    }
    if (msg->type == TM_MSG_WELCOME) {
        TM_EVENT(n->options->sink, TM_LEVEL_INFO, "node.welcome",
                 {.key = "epoch", .number = msg->welcome.epoch});
        if (measure(n, &msg->welcome)) {
            (void)!send_hello(n);
        }
    }
    if (msg->type == TM_MSG_RECEIPT) {
        log_receipt(n, &msg->receipt);
    }
    bool bye = msg->type == TM_MSG_BYE;
    struct tm_worker_event event = {.type = TM_WEV_MESSAGE, .msg = msg};
    tm_status status = step(n, &event, err);
    n->refused = bye && n->stopped;
    return status;
}

/* ---- one job ---- */

static void wait_for_news(struct node *n)
{
    struct tm_poll_item items[TM_WORK_THREADS_MAX + 2];
    size_t count = tm_worker_link_poll(n->link, items);
    count += tm_work_pool_poll(n->pool, items + count);
    tm_poll(items, count, TICK_MS);
}

static tm_status turn(struct node *n, struct tm_err *err)
{
    const struct tm_msg *msg;
    struct tm_worker_event event;
    while (!n->stopped && (msg = tm_worker_link_receive(n->link)) != NULL) {
        TM_TRY(on_message(n, msg, err));
    }
    while (!n->stopped && tm_worker_units_event(n->units, &event)) {
        log_failure(n, &event);
        TM_TRY(step(n, &event, err));
    }
    tm_worker_units_pump(n->units, now_ms());
    event = (struct tm_worker_event){.type = TM_WEV_TICK};
    return n->stopped ? TM_OK : step(n, &event, err);
}

static void close_job(struct node *n)
{
    tm_work_pool_destroy(&n->pool); /* before the sources that its jobs point to */
    tm_worker_units_destroy(&n->units);
    tm_worker_destroy(&n->machine);
    tm_worker_link_destroy(&n->link);
}

static tm_status open_job(struct node *n, struct tm_err *err)
{
    const struct tm_worker_run_options *o = n->options;
    bool local = n->local != NULL;
    struct tm_worker_link_options link = {.transport = n->transport,
                                          .endpoint = o->endpoint,
                                          .identity = local ? NULL : o->identity,
                                          .server_key = local ? NULL : o->server_key};
    n->setup = (struct tm_encode_setup){.identity = o->identity, .hooks = o->hooks};
    if (local) {
        n->setup.source = n->local->source;
    }
    TM_TRY(tm_worker_link_new(&link, &n->link, err));
    TM_TRY(tm_work_pool_new(n->transport, n->hello.cores, &n->pool, err));
    struct tm_worker_units_options units = {
        .link = n->link,
        .pool = n->pool,
        .setup = &n->setup,
        .cache_bytes = o->cache_bytes != 0 ? o->cache_bytes : CACHE_BYTES,
    };
    uint32_t held = n->hello.cores + UNITS_AHEAD;
    struct tm_worker_options machine = {.hello = n->hello,
                                        .prefetch = held < UNITS_HELD_MAX ? held : UNITS_HELD_MAX,
                                        .compute_slots = n->hello.cores};
    tm_random_bytes(&machine.jitter_seed, sizeof machine.jitter_seed);
    if (tm_worker_units_new(&units, &n->units) != TM_OK ||
        tm_worker_new(&machine, &n->machine) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, o->endpoint, "start the node", NULL, "out of memory");
    }
    n->greeted = n->heard = n->stopped = n->banned = n->refused = false;
    return TM_OK;
}

static tm_status check_patience(const struct node *n, struct tm_err *err)
{
    uint32_t patience = n->options->patience_ms != 0 ? n->options->patience_ms : PATIENCE_MS;
    if (n->ever_heard || !n->options->exit_when_done || now_ms() - n->started_ms < patience) {
        return TM_OK;
    }
    return tm_err_set(err, TM_E_NETWORK, n->options->endpoint, "join the mesh",
                      "check --join and --server-key, and ask the owner for your key's entry", "%s",
                      NO_ANSWER);
}

/* So that others get its units at once. */
static void say_bye(struct node *n)
{
    n->msg.type = TM_MSG_BYE;
    snprintf(n->msg.ban.reason, sizeof n->msg.ban.reason, "stopped");
    (void)!tm_worker_link_send(n->link, &n->msg);
}

static tm_status work_on_job(struct node *n, struct tm_err *err)
{
    tm_status status = open_job(n, err);
    while (status == TM_OK && !n->stopped && !asked_to_stop(n)) {
        wait_for_news(n);
        status = turn(n, err);
        if (status == TM_OK && !n->stopped) {
            status = check_patience(n, err);
        }
    }
    if (status == TM_OK && !n->stopped) {
        say_bye(n);
    }
    close_job(n);
    return status;
}

/* ---- the life of a node ---- */

static tm_status live(struct node *n, struct tm_err *err)
{
    for (;;) {
        TM_TRY(work_on_job(n, err));
        if (n->banned) {
            return tm_err_set(err, TM_E_REFUSED, n->options->endpoint, "work for this mesh", NULL,
                              "banned: %s", n->reason);
        }
        if (n->refused) {
            return tm_err_set(err, TM_E_INCOMPATIBLE, n->options->endpoint, "work for this mesh",
                              "use the version of tmill that the coordinator has", "%s", n->reason);
        }
        TM_EVENT(n->options->sink, TM_LEVEL_INFO, "node.done",
                 {.key = "why", .text = n->stopped ? n->reason : "asked to stop"});
        if (asked_to_stop(n) || n->options->exit_when_done) {
            return TM_OK;
        }
        for (int waited = 0; waited < NEXT_JOB_MS && !asked_to_stop(n); waited += TICK_MS) {
            tm_poll(NULL, 0, TICK_MS);
        }
    }
}

static tm_status run(struct node *n, struct tm_err *err)
{
    unsigned threads = n->options->threads != 0 ? n->options->threads : tm_cpu_count();
    fill_hello(n, threads < TM_WORK_THREADS_MAX ? threads : TM_WORK_THREADS_MAX);
    tm_worker_actions_init(&n->actions);
    n->started_ms = now_ms();
    tm_status status = live(n, err);
    tm_worker_actions_deinit(&n->actions);
    return status;
}

static tm_status new_node(const struct tm_worker_run_options *options, struct node **out,
                          struct tm_err *err)
{
    *out = tm_calloc(1, sizeof **out);
    if (*out == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start the node", NULL, "out of memory");
    }
    (*out)->options = options;
    return TM_OK;
}

tm_status tm_worker_run(const struct tm_worker_run_options *options, struct tm_err *err)
{
    TM_TRY(tm_endpoint_check_tcp(options->endpoint, err));
    TM_TRY(tm_selftest(NULL, err));
    struct node *n;
    TM_TRY(new_node(options, &n, err));
    tm_status status = tm_transport_new(&n->transport, err);
    if (status == TM_OK) {
        status = run(n, err);
    }
    tm_transport_destroy(&n->transport);
    tm_free(n);
    return status;
}

tm_status tm_worker_run_local(const struct tm_worker_run_options *options,
                              const struct tm_worker_local *local, struct tm_err *err)
{
    struct node *n;
    TM_TRY(new_node(options, &n, err));
    n->local = local;
    n->transport = local->transport;
    tm_status status = run(n, err);
    tm_free(n);
    return status;
}
