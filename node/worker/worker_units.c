/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/worker_units.h"

#include <string.h>

#include "base/mem.h"
#include "node/worker/source_cache.h"

#define UNITS_MAX 128         /* the state machine holds at most 64 */
#define WINDOW (1024u * 1024) /* credit of a fetch */
#define STALL_MS 20000        /* a fetch without a piece for so long has failed */

struct unit {
    bool used;
    uint32_t number;
    struct tm_source *source; /* pinned while it is fetched or waits */
    bool fetching;            /* FETCHED or FETCH_FAILED is still owed */
    bool failed;
    struct tm_encode_job *result; /* encoded */
    bool uploading;
    bool moved; /* pieces were sent since the last TM_WEV_UPLOADING */
    uint32_t sent, credit;
};

struct tm_worker_units {
    struct tm_worker_units_options options;
    struct tm_source_cache *cache;
    struct unit units[UNITS_MAX];
    struct tm_msg msg; /* being built: large */
    struct tm_err err;
};

tm_status tm_worker_units_new(const struct tm_worker_units_options *options,
                              struct tm_worker_units **out)
{
    *out = NULL;
    struct tm_worker_units *units = tm_calloc(1, sizeof *units);
    if (units == NULL) {
        return TM_E_NOMEM;
    }
    units->options = *options;
    tm_status status = tm_source_cache_new(options->cache_bytes, &units->cache);
    if (status != TM_OK) {
        tm_free(units);
        return status;
    }
    *out = units;
    return TM_OK;
}

static bool local_source(const struct tm_worker_units *units)
{
    return units->options.setup->source.read != NULL;
}

static void drop_source(struct tm_worker_units *units, struct unit *u)
{
    if (u->source != NULL) {
        tm_source_unpin(units->cache, u->source);
        u->source = NULL;
    }
}

static void clear_unit(struct tm_worker_units *units, struct unit *u)
{
    drop_source(units, u);
    tm_encode_job_free(u->result);
    *u = (struct unit){0};
}

void tm_worker_units_destroy(struct tm_worker_units **units)
{
    struct tm_worker_units *w = *units;
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < UNITS_MAX; i++) {
        clear_unit(w, &w->units[i]);
    }
    tm_source_cache_destroy(&w->cache);
    tm_free(w);
    *units = NULL;
}

static struct unit *find(struct tm_worker_units *units, uint32_t number)
{
    for (size_t i = 0; i < UNITS_MAX; i++) {
        if (units->units[i].used && units->units[i].number == number) {
            return &units->units[i];
        }
    }
    return NULL;
}

static struct unit *find_or_add(struct tm_worker_units *units, uint32_t number)
{
    struct unit *u = find(units, number);
    for (size_t i = 0; u == NULL && i < UNITS_MAX; i++) {
        if (!units->units[i].used) {
            u = &units->units[i];
            *u = (struct unit){.used = true, .number = number};
        }
    }
    return u;
}

/* ---- fetching ---- */

static uint32_t window_left(const struct tm_source *source)
{
    uint32_t have = (uint32_t)source->bytes.bytes;
    uint32_t open = source->asked - have;
    uint32_t wanted = source->total - source->asked;
    uint32_t room = open < WINDOW ? WINDOW - open : 0;
    return wanted < room ? wanted : room;
}

/* Asks for the source, or for more of it. Without luck it is tried again by pump. */
static void ask(struct tm_worker_units *units, struct tm_source *source, uint64_t now_ms)
{
    uint32_t more = window_left(source);
    if (more == 0 ||
        (source->asked > 0 && more < WINDOW / 2 && source->asked + more < source->total)) {
        return; /* half a window at a time */
    }
    struct tm_msg *msg = &units->msg;
    if (source->asked == 0) {
        msg->type = TM_MSG_FETCH;
        msg->fetch = (struct tm_msg_fetch){.id = source->id, .credit_bytes = more};
        source->progress_ms = now_ms;
    } else {
        msg->type = TM_MSG_CREDIT;
        msg->credit = (struct tm_msg_credit){.id = source->id, .credit_bytes = more};
    }
    if (tm_worker_link_send(units->options.link, msg) == TM_OK) {
        source->asked += more;
    }
}

static void fetch(struct tm_worker_units *units, const struct tm_msg_unit *desc, uint64_t now_ms)
{
    struct unit *u = find_or_add(units, desc->unit);
    if (u == NULL) {
        return; /* more units than any state machine holds: its lease runs out */
    }
    u->fetching = true;
    u->failed = false;
    if (local_source(units) || u->source != NULL) {
        return;
    }
    u->source = tm_source_find(units->cache, &desc->source);
    if (u->source != NULL) {
        tm_source_pin(units->cache, u->source);
    } else if (tm_source_add(units->cache, &desc->source, desc->source_bytes, &u->source) !=
               TM_OK) {
        u->failed = true;
        return;
    }
    if (!u->source->whole) {
        ask(units, u->source, now_ms);
    }
}

static void fail_all(struct tm_worker_units *units, const struct tm_source *source)
{
    for (size_t i = 0; i < UNITS_MAX; i++) {
        if (units->units[i].used && units->units[i].source == source) {
            units->units[i].failed = true;
        }
    }
}

static void on_data(struct tm_worker_units *units, const struct tm_msg_data *data, uint64_t now_ms)
{
    struct tm_source *source = tm_source_find(units->cache, &data->id);
    if (source == NULL || data->total != source->total) {
        return;
    }
    tm_status status = tm_source_put(source, data->offset, data->piece, now_ms);
    if (status == TM_OK && !source->whole) {
        ask(units, source, now_ms);
    } else if (status == TM_E_VERIFY) {
        tm_err_set(&units->err, status, NULL, "fetch a unit", NULL,
                   "the bytes that came do not hash to their name");
        fail_all(units, source);
    }
}

/* ---- encoding ---- */

static tm_status encode(struct tm_worker_units *units, const struct tm_worker_action *action)
{
    struct unit *u = find_or_add(units, action->desc.unit);
    struct tm_encode_job *job = tm_encode_job_new(units->options.setup);
    if (job == NULL || u == NULL) {
        tm_encode_job_free(job);
        return TM_E_NOMEM;
    }
    job->desc = action->desc;
    job->plan = action->plan;
    memcpy(job->pipeline, action->pipeline, sizeof job->pipeline);
    if (!local_source(units)) {
        TM_ASSERT(u->source != NULL && u->source->whole);
        tm_source_pin(units->cache, u->source); /* the job's own: the unit may be forgotten */
        job->tag = u->source;
        job->source = tm_buf_view(&u->source->bytes);
    }
    tm_work_pool_submit(units->options.pool, &job->work);
    return TM_OK;
}

/* A job that came back becomes the unit's result. */
static void finish(struct tm_worker_units *units, struct tm_encode_job *job,
                   struct tm_worker_event *out)
{
    struct unit *u = find(units, job->desc.unit);
    if (job->tag != NULL) {
        tm_source_unpin(units->cache, job->tag);
    }
    *out = (struct tm_worker_event){.type = TM_WEV_ENCODED,
                                    .unit = job->desc.unit,
                                    .leaf = job->leaf,
                                    .bytes = (uint32_t)job->bytes.bytes,
                                    .compute_ms = job->compute_ms,
                                    .sig = job->sig};
    if (job->status != TM_OK) {
        out->type = TM_WEV_ENCODE_FAILED;
        units->err = job->err;
    }
    if (u == NULL || job->status != TM_OK || u->result != NULL) {
        tm_encode_job_free(job); /* forgotten, and perhaps leased and encoded again since */
        return;
    }
    drop_source(units, u);
    u->result = job;
}

bool tm_worker_units_event(struct tm_worker_units *units, struct tm_worker_event *out)
{
    for (size_t i = 0; i < UNITS_MAX; i++) {
        struct unit *u = &units->units[i];
        bool there = local_source(units) || (u->source != NULL && u->source->whole);
        if (u->used && u->fetching && (u->failed || there)) {
            u->fetching = false;
            *out = (struct tm_worker_event){
                .type = u->failed ? TM_WEV_FETCH_FAILED : TM_WEV_FETCHED, .unit = u->number};
            if (u->failed) {
                clear_unit(units, u);
            }
            return true;
        }
        if (u->used && u->moved) {
            u->moved = false;
            *out = (struct tm_worker_event){.type = TM_WEV_UPLOADING, .unit = u->number};
            return true;
        }
    }
    struct tm_work *work = tm_work_pool_take(units->options.pool);
    if (work == NULL) {
        return false;
    }
    finish(units, (struct tm_encode_job *)work, out);
    return true;
}

/* ---- uploads ---- */

static void upload(struct tm_worker_units *units, const struct tm_worker_action *action)
{
    struct unit *u = find(units, action->unit);
    if (u == NULL || u->result == NULL) {
        return;
    }
    u->uploading = tm_worker_link_send(units->options.link, action->msg) == TM_OK;
    u->sent = 0;
    u->credit = 0;
}

/* false when its bytes are all sent or paid for. */
static bool give_credit(struct unit *u, uint32_t credit)
{
    uint32_t left = (uint32_t)u->result->bytes.bytes - u->sent - u->credit;
    u->credit += credit < left ? credit : left;
    return left > 0;
}

/* Units with the same bytes have the same leaf, so one of them may have sent what was asked of
 * another that is done by now: then it begins anew. */
static void on_credit(struct tm_worker_units *units, const struct tm_msg_credit *credit)
{
    struct unit *spent = NULL;
    for (size_t i = 0; i < UNITS_MAX; i++) {
        struct unit *u = &units->units[i];
        if (!u->used || !u->uploading || !tm_digest_eq(&u->result->leaf, &credit->id)) {
            continue;
        }
        if (give_credit(u, credit->credit_bytes)) {
            return;
        }
        spent = u;
    }
    if (spent != NULL && spent->credit == 0) {
        spent->sent = 0;
        give_credit(spent, credit->credit_bytes);
    }
}

/* Sends pieces while credit and queue allow. */
static void send_pieces(struct tm_worker_units *units, struct unit *u)
{
    struct tm_view bytes = tm_buf_view(&u->result->bytes);
    while (u->credit > 0) {
        uint32_t piece = u->credit < TM_DATA_PIECE_MAX ? u->credit : TM_DATA_PIECE_MAX;
        struct tm_msg *msg = &units->msg;
        msg->type = TM_MSG_DATA;
        msg->data = (struct tm_msg_data){.id = u->result->leaf,
                                         .offset = u->sent,
                                         .total = (uint32_t)bytes.bytes,
                                         .piece = tm_view_of(bytes.data + u->sent, piece)};
        if (tm_worker_link_send(units->options.link, msg) != TM_OK) {
            return;
        }
        u->sent += piece;
        u->credit -= piece;
        u->moved = true;
    }
}

/* ---- all together ---- */

tm_status tm_worker_units_act(struct tm_worker_units *units, const struct tm_worker_action *action,
                              uint64_t now_ms)
{
    struct unit *u;
    switch (action->type) {
    case TM_WACT_FETCH:
        fetch(units, &action->desc, now_ms);
        return TM_OK;
    case TM_WACT_ENCODE:
        return encode(units, action);
    case TM_WACT_UPLOAD:
        upload(units, action);
        return TM_OK;
    case TM_WACT_FORGET:
        u = find(units, action->unit);
        if (u != NULL) {
            clear_unit(units, u);
        }
        return TM_OK;
    default:
        return TM_OK;
    }
}

void tm_worker_units_message(struct tm_worker_units *units, const struct tm_msg *msg,
                             uint64_t now_ms)
{
    if (msg->type == TM_MSG_DATA) {
        on_data(units, &msg->data, now_ms);
    } else if (msg->type == TM_MSG_CREDIT) {
        on_credit(units, &msg->credit);
    }
}

void tm_worker_units_pump(struct tm_worker_units *units, uint64_t now_ms)
{
    for (size_t i = 0; i < UNITS_MAX; i++) {
        if (units->units[i].used && units->units[i].uploading) {
            send_pieces(units, &units->units[i]);
        }
    }
    size_t at = 0;
    struct tm_source *source;
    while ((source = tm_source_unfinished(units->cache, &at)) != NULL) {
        if (source->asked > 0 && now_ms - source->progress_ms > STALL_MS) {
            tm_err_set(&units->err, TM_E_NETWORK, NULL, "fetch a unit", NULL,
                       "nothing came for %u s", STALL_MS / 1000);
            fail_all(units, source);
        } else {
            ask(units, source, now_ms);
        }
    }
}

void tm_worker_units_restart(struct tm_worker_units *units, uint64_t now_ms)
{
    size_t at = 0;
    struct tm_source *source;
    while ((source = tm_source_unfinished(units->cache, &at)) != NULL) {
        tm_source_restart(source);
        ask(units, source, now_ms);
    }
    for (size_t i = 0; i < UNITS_MAX; i++) {
        units->units[i].uploading = false; /* the state machine sends its RESULT again */
    }
}

const struct tm_err *tm_worker_units_error(const struct tm_worker_units *units)
{
    return &units->err;
}
