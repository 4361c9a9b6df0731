/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/mesh_loop.h"

#include "base/file.h"
#include "base/mem.h"

#define WAIT_MS 50
#define STALLED_WAIT_MS 2 /* a peer's queue was full */
#define CANCEL_LOOK_MS 1000
#define NODES_WRITE_MS 2000

/* ---- messages -------------------------------------------------------------------------------- */

static void log_join(struct tm_mesh *m, struct tm_mesh_peer *peer)
{
    char node[TM_NODE_ID_TEXT];
    if (!peer->joined) {
        peer->joined = true;
        TM_EVENT(m->options->sink, TM_LEVEL_INFO, "node.joined",
                 {.key = "node", .text = tm_node_id_hex(&peer->id, node)},
                 {.key = "name", .text = peer->name}, {.key = "cores", .number = peer->cores});
    }
}

static tm_status on_message(struct tm_mesh *m, struct tm_mesh_peer *peer, const struct tm_msg *msg,
                            uint64_t now, struct tm_err *err)
{
    switch (msg->type) {
    case TM_MSG_DATA:
        tm_uploads_data(m->uploads, peer, &msg->data, now);
        return TM_OK;
    case TM_MSG_FETCH:
    case TM_MSG_CREDIT:
        return tm_source_server_message(m->sources, peer, msg);
    case TM_MSG_HELLO:
        log_join(m, peer);
        break;
    default:
        break;
    }
    struct tm_coord_event event = {.type = TM_EV_MESSAGE, .node = peer->id, .msg = msg};
    return tm_mesh_step(m, &event, err);
}

static tm_status read_messages(struct tm_mesh *m, struct tm_err *err)
{
    uint64_t now = tm_clock_ms(tm_clock_os());
    struct tm_mesh_peer *peer;
    const struct tm_msg *msg;
    while ((msg = tm_mesh_ports_receive(m->ports, now, &peer)) != NULL) {
        TM_TRY(on_message(m, peer, msg, now, err));
    }
    for (size_t i = 0; (peer = tm_mesh_ports_peer(m->ports, i)) != NULL; i++) {
        if (peer->gone) {
            peer->gone = false;
            tm_uploads_drop_peer(m->uploads, peer);
            tm_source_server_drop_peer(m->sources, peer);
            struct tm_coord_event event = {.type = TM_EV_GONE, .node = peer->id};
            TM_TRY(tm_mesh_step(m, &event, err));
        }
    }
    return TM_OK;
}

static tm_status move_bytes(struct tm_mesh *m, bool *stalled, struct tm_err *err)
{
    struct tm_upload *u;
    tm_uploads_pump(m->uploads, tm_clock_ms(tm_clock_os()));
    while ((u = tm_uploads_ready(m->uploads)) != NULL) {
        struct tm_coord_event event = {
            .type = TM_EV_RECEIVED, .node = u->node, .unit = u->unit, .leaf = u->leaf};
        TM_TRY(tm_mesh_step(m, &event, err));
    }
    return tm_source_server_pump(m->sources, stalled, err);
}

/* ---- checks and lossless units --------------------------------------------------------------- */

/* A lossless unit that the owner has made goes the same way to the disk. */
static tm_status save_owned(struct tm_mesh *m, struct tm_check_job *check, struct tm_err *err)
{
    struct tm_save *save = tm_calloc(1, sizeof *save);
    if (save == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "make a unit", NULL, "out of memory");
    }
    save->kind = TM_SAVE_RESULT;
    save->result = (struct tm_journal_result){
        .unit = check->unit,
        .node = check->node,
        .leaf = check->leaf,
        .bytes = (uint32_t)check->bytes.bytes,
        .checks = TM_CHECK_DECODED | TM_CHECK_OWNER,
        .sig = check->sig,
    };
    save->chunk = check->bytes;
    tm_uploads_hold(m->uploads, save->chunk.capacity);
    tm_buf_init(&check->bytes, 0);
    tm_saver_submit(m->saver, save);
    return TM_OK;
}

static void log_verdict(struct tm_mesh *m, const struct tm_check_job *check)
{
    char node[TM_NODE_ID_TEXT];
    struct tm_node_id id = tm_node_id_of(&check->node);
    TM_EVENT(m->options->sink, TM_LEVEL_WARN, "unit.rejected",
             {.key = "unit", .number = check->unit},
             {.key = "node", .text = tm_node_id_hex(&id, node)},
             {.key = "verdict", .text = tm_verdict_text(check->result.verdict)},
             {.key = "why", .text = check->result.detail});
}

static tm_status on_checked(struct tm_mesh *m, struct tm_check_job *check, struct tm_err *err)
{
    if (check->result.verdict == TM_VERDICT_NOT_CHECKED) {
        return tm_err_set(err, TM_E_IO, m->job->model_path, "check a unit",
                          "see to it, then resume the job", "unit %u: %s", check->unit,
                          check->result.detail);
    }
    if (check->owner != NULL) {
        TM_ASSERT(check->result.verdict == TM_VERDICT_GOOD);
        return save_owned(m, check, err);
    }
    struct tm_upload *u = check->tag;
    if (check->result.verdict != TM_VERDICT_GOOD && u->peer != NULL) {
        log_verdict(m, check); /* the rest of a banned node's results is no news */
    }
    struct tm_coord_event event = {.type = TM_EV_CHECKED,
                                   .node = u->node,
                                   .unit = u->unit,
                                   .leaf = u->leaf,
                                   .verdict = check->result.verdict,
                                   .audited = check->result.audited};
    m->checked = check;
    tm_status status = tm_mesh_step(m, &event, err);
    m->checked = NULL;
    if (check->tag != NULL) { /* PERSIST did not take it */
        tm_uploads_remove(m->uploads, check->tag);
    }
    return status;
}

static tm_status read_checks(struct tm_mesh *m, struct tm_err *err)
{
    struct tm_work *work;
    while ((work = tm_work_pool_take(m->pool)) != NULL) {
        struct tm_check_job *check = (struct tm_check_job *)work;
        tm_status status = on_checked(m, check, err);
        tm_check_job_free(check);
        TM_TRY(status);
    }
    return TM_OK;
}

/* Threads that have nothing to check make the units that never leave the owner, as long as the disk
 * keeps up: the other half of the memory is for what nodes send. */
static tm_status make_owned(struct tm_mesh *m, struct tm_err *err)
{
    const struct tm_split *split = &m->job->split;
    while (m->next_owned < split->unit_count && tm_work_pool_idle(m->pool) > 0 &&
           tm_uploads_bytes(m->uploads) < TM_MESH_RESULT_BYTES / 2) {
        uint32_t unit = m->next_owned++;
        if (!split->units[unit].lossless || m->made[unit]) {
            continue;
        }
        struct tm_check_job *check = tm_check_job_new(m->job, unit);
        if (check == NULL) {
            return tm_err_set(err, TM_E_NOMEM, NULL, "make a unit", NULL, "out of memory");
        }
        m->made[unit] = true;
        check->owner = m->options->identity;
        tm_work_pool_submit(m->pool, &check->work);
    }
    return TM_OK;
}

/* ---- what is durable ------------------------------------------------------------------------- */

static tm_status read_saves(struct tm_mesh *m, struct tm_err *err)
{
    struct tm_save *save;
    while ((save = tm_saver_take(m->saver)) != NULL) {
        struct tm_coord_event event = {.type = TM_EV_PERSISTED, .seq = save->seq};
        tm_status status = save->status;
        bool told = save->kind != TM_SAVE_NODE;
        if (save->kind == TM_SAVE_RESULT && save->seq == 0) {
            event.type = TM_EV_OWNER_DONE;
            event.unit = save->result.unit;
        }
        tm_uploads_release(m->uploads, save->chunk.capacity);
        tm_save_free(save);
        if (status != TM_OK) {
            *err = *tm_saver_error(m->saver);
            return status;
        }
        if (told) {
            TM_TRY(tm_mesh_step(m, &event, err));
        }
    }
    return TM_OK;
}

/* ---- time ------------------------------------------------------------------------------------ */

static tm_status look_for_stop(struct tm_mesh *m, uint64_t now, struct tm_err *err)
{
    if (m->options->stop != NULL && *m->options->stop != 0) {
        char hint[64];
        snprintf(hint, sizeof hint, "tmill resume %s goes on with it", m->job->id);
        return tm_err_set(err, TM_E_STOPPED, m->job->id, "run the job", hint, "asked to stop");
    }
    if (now - m->cancel_looked_ms < CANCEL_LOOK_MS) {
        return TM_OK;
    }
    m->cancel_looked_ms = now;
    char path[TM_PATH_MAX];
    TM_TRY(tm_path_join(path, m->job->dir, "cancel"));
    if (tm_path_exists(path)) {
        m->cancelled = true;
        return tm_err_set(err, TM_E_STOPPED, m->job->id, "run the job", NULL, "cancelled");
    }
    return TM_OK;
}

static tm_status tick(struct tm_mesh *m, struct tm_err *err)
{
    uint64_t now = tm_clock_ms(tm_clock_os());
    struct tm_coord_status status;
    struct tm_coord_event event = {.type = TM_EV_TICK};
    TM_TRY(tm_mesh_step(m, &event, err));
    tm_coordinator_status(m->machine, &status);
    tm_progress_update(m->progress, status.done, NULL);
    if (status.leases_expired > m->expired_seen) {
        TM_EVENT(m->options->sink, TM_LEVEL_INFO, "lease.expired",
                 {.key = "count", .number = status.leases_expired - m->expired_seen});
        m->expired_seen = status.leases_expired;
    }
    if (now - m->nodes_written_ms >= NODES_WRITE_MS) {
        m->nodes_written_ms = now;
        if (tm_mesh_write_nodes(m) != TM_OK) {
            return tm_err_set(err, TM_E_NOMEM, NULL, "note the nodes", NULL, "out of memory");
        }
    }
    return look_for_stop(m, now, err);
}

/* ---- one turn -------------------------------------------------------------------------------- */

static void wait_for_news(struct tm_mesh *m, int wait_ms)
{
    struct tm_poll_item items[4 + TM_WORK_THREADS_MAX + 2];
    size_t count = tm_mesh_ports_poll(m->ports, items);
    count += tm_work_pool_poll(m->pool, items + count);
    items[count++] = tm_saver_poll(m->saver);
    if (m->local.actor != NULL) {
        items[count++] = (struct tm_poll_item){.pipe = tm_actor_pipe(m->local.actor)};
    }
    tm_poll(items, count, wait_ms);
}

/* The local worker says when it has ended; without it and without a port nobody would work. */
static tm_status watch_local(struct tm_mesh *m, struct tm_err *err)
{
    struct tm_mesh_local *local = &m->local;
    if (atomic_load(&local->faulty)) {
        *err = local->fault;
        return err->status;
    }
    if (local->actor == NULL || local->ended ||
        tm_pipe_receive(tm_actor_pipe(local->actor)) == NULL) {
        return TM_OK;
    }
    local->ended = true;
    if (local->status != TM_OK) {
        *err = local->err;
        return local->status;
    }
    return TM_OK;
}

tm_status tm_mesh_turn(struct tm_mesh *mesh, struct tm_err *err)
{
    bool stalled = false;
    TM_TRY(read_messages(mesh, err));
    TM_TRY(move_bytes(mesh, &stalled, err));
    TM_TRY(read_checks(mesh, err));
    TM_TRY(read_saves(mesh, err));
    TM_TRY(make_owned(mesh, err));
    TM_TRY(watch_local(mesh, err));
    TM_TRY(tick(mesh, err));
    if (!mesh->done) {
        wait_for_news(mesh, stalled ? STALLED_WAIT_MS : WAIT_MS);
    }
    return TM_OK;
}
