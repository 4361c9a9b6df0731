/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/mesh_loop.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#define FETCH_REPEATS 4 /* times that a leased source may be fetched */
#define FETCH_BYTES_MAX (4ull << 30)

static tm_status no_memory(struct tm_err *err)
{
    return tm_err_set(err, TM_E_NOMEM, NULL, "coordinate the job", "resume the job",
                      "out of memory");
}

/* ---- messages -------------------------------------------------------------------------------- */

static void allow_fetches(struct tm_mesh_peer *peer, const struct tm_msg_lease *lease)
{
    for (uint32_t i = 0; i < lease->unit_count; i++) {
        peer->fetch_bytes += (uint64_t)FETCH_REPEATS * lease->units[i].source_bytes;
    }
    if (peer->fetch_bytes > FETCH_BYTES_MAX) {
        peer->fetch_bytes = FETCH_BYTES_MAX;
    }
}

/* A message that finds a full queue or no connection is lost: every one of them is repeated by the
 * peers or made good by a deadline. */
static tm_status act_send(struct tm_mesh *m, const struct tm_coord_action *action)
{
    struct tm_mesh_peer *peer = tm_mesh_ports_find(m->ports, &action->node);
    if (peer == NULL) {
        return TM_OK;
    }
    if (action->msg->type == TM_MSG_LEASE) {
        allow_fetches(peer, &action->msg->lease);
        if (m->first_lease_ms == 0) {
            m->first_lease_ms = tm_clock_ms(tm_clock_os());
        }
    }
    if (tm_mesh_ports_send(m->ports, peer, action->msg) == TM_E_NOT_FOUND) {
        peer->gone = true;
    }
    return TM_OK;
}

/* ---- uploads and checks ---------------------------------------------------------------------- */

static tm_status act_accept(struct tm_mesh *m, const struct tm_coord_action *action, uint64_t now)
{
    const struct tm_unit *unit = &m->job->split.units[action->msg->result.unit];
    struct tm_block_shape shape = {unit->rows, unit->cols};
    struct tm_mesh_peer *peer = tm_mesh_ports_find(m->ports, &action->node);
    if (peer == NULL) {
        return TM_OK;
    }
    return tm_uploads_accept(m->uploads, peer, &action->msg->result,
                             tm_pipeline_bound(&m->job->pipelines[unit->pipeline], shape), now);
}

static void act_drop(struct tm_mesh *m, const struct tm_coord_action *action)
{
    struct tm_upload *u = tm_uploads_find(m->uploads, &action->node, action->unit, &action->leaf);
    if (u != NULL) {
        tm_uploads_drop(m->uploads, u);
    }
}

static tm_status act_check(struct tm_mesh *m, const struct tm_coord_action *action,
                           struct tm_err *err)
{
    struct tm_upload *u = tm_uploads_find(m->uploads, &action->node, action->unit, &action->leaf);
    struct tm_check_job *check = u != NULL ? tm_check_job_new(m->job, action->unit) : NULL;
    if (u == NULL) {
        return TM_OK; /* it stood still for too long and was forgotten */
    }
    if (check == NULL) {
        return no_memory(err);
    }
    u->state = TM_UPLOAD_CHECKING;
    check->encoded = tm_buf_view(&u->data);
    check->node = u->key;
    check->sig = u->sig;
    check->audit = action->audit;
    check->fault = u->fault;
    check->tag = u;
    tm_work_pool_submit(m->pool, &check->work);
    return TM_OK;
}

/* ---- writes ---------------------------------------------------------------------------------- */

static void fill_result(const struct tm_mesh *m, const struct tm_check_job *check,
                        const struct tm_digest *leaf, struct tm_journal_result *out)
{
    bool own = tm_public_key_eq(&check->node, tm_identity_public(m->options->identity));
    *out = (struct tm_journal_result){
        .unit = check->unit,
        .node = check->node,
        .leaf = *leaf,
        .bytes = (uint32_t)check->encoded.bytes,
        .checks = TM_CHECK_DECODED | (check->result.audited ? TM_CHECK_AUDITED : 0u) |
                  (own ? TM_CHECK_OWNER : 0u),
        .squared_error_bits = tm_f64_bits(check->result.error.squared_error),
        .squared_norm_bits = tm_f64_bits(check->result.error.squared_norm),
        .sig = check->sig,
    };
}

static tm_status act_persist(struct tm_mesh *m, const struct tm_coord_action *action,
                             struct tm_err *err)
{
    struct tm_check_job *check = m->checked;
    TM_ASSERT(check != NULL && check->unit == action->unit && check->tag != NULL);
    struct tm_save *save = tm_calloc(1, sizeof *save);
    if (save == NULL) {
        return no_memory(err);
    }
    save->kind = TM_SAVE_RESULT;
    save->seq = action->seq;
    fill_result(m, check, &action->leaf, &save->result);
    tm_uploads_take(m->uploads, check->tag, &save->chunk);
    check->tag = NULL;
    tm_saver_submit(m->saver, save);
    return TM_OK;
}

static tm_status act_ban(struct tm_mesh *m, const struct tm_coord_action *action,
                         struct tm_err *err)
{
    char node[TM_NODE_ID_TEXT];
    struct tm_save *save = tm_calloc(1, sizeof *save);
    if (save == NULL) {
        return no_memory(err);
    }
    save->kind = TM_SAVE_BAN;
    save->seq = action->seq;
    save->ban.node = action->node;
    save->ban.unit = action->unit;
    snprintf(save->ban.reason, sizeof save->ban.reason, "%s", action->reason);
    tm_buf_init(&save->chunk, 0);
    tm_saver_submit(m->saver, save);
    TM_EVENT(m->options->sink, TM_LEVEL_WARN, "node.banned",
             {.key = "node", .text = tm_node_id_hex(&action->node, node)},
             {.key = "why", .text = action->reason});
    struct tm_mesh_peer *peer = tm_mesh_ports_find(m->ports, &action->node);
    if (peer == NULL) {
        return TM_OK;
    }
    tm_uploads_drop_peer(m->uploads, peer);
    tm_source_server_drop_peer(m->sources, peer);
    return tm_mesh_ports_ban(m->ports, peer) == TM_OK ? TM_OK : no_memory(err);
}

/* ---- all together ---------------------------------------------------------------------------- */

static tm_status act(struct tm_mesh *m, const struct tm_coord_action *action, uint64_t now,
                     struct tm_err *err)
{
    switch (action->type) {
    case TM_ACT_SEND:
        return act_send(m, action);
    case TM_ACT_ACCEPT_UPLOAD:
        return act_accept(m, action, now) == TM_OK ? TM_OK : no_memory(err);
    case TM_ACT_DROP:
        act_drop(m, action);
        return TM_OK;
    case TM_ACT_CHECK:
        return act_check(m, action, err);
    case TM_ACT_PERSIST:
        return act_persist(m, action, err);
    case TM_ACT_BAN:
        return act_ban(m, action, err);
    case TM_ACT_DONE:
        m->done = true;
        m->done_ms = tm_clock_ms(tm_clock_os());
        return TM_OK;
    }
    return TM_OK;
}

tm_status tm_mesh_step(struct tm_mesh *mesh, const struct tm_coord_event *event, struct tm_err *err)
{
    uint64_t now = tm_clock_ms(tm_clock_os());
    tm_coord_actions_clear(&mesh->actions);
    if (tm_coordinator_step(mesh->machine, event, now, &mesh->actions) != TM_OK) {
        return no_memory(err);
    }
    for (size_t i = 0; i < mesh->actions.count; i++) {
        TM_TRY(act(mesh, &mesh->actions.items[i], now, err));
    }
    return TM_OK;
}

tm_status tm_mesh_write_nodes(struct tm_mesh *mesh)
{
    size_t count = tm_coordinator_nodes(mesh->machine, NULL, 0);
    struct tm_coord_node *nodes = tm_calloc(count + 1, sizeof *nodes);
    if (nodes == NULL) {
        return TM_E_NOMEM;
    }
    tm_coordinator_nodes(mesh->machine, nodes, count);
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        const struct tm_mesh_peer *peer = tm_mesh_ports_find(mesh->ports, &nodes[i].id);
        struct tm_save *save = peer != NULL ? tm_calloc(1, sizeof *save) : NULL;
        if (peer == NULL) {
            continue; /* of an earlier run: its row is there */
        }
        if (save == NULL) {
            status = TM_E_NOMEM;
            continue;
        }
        save->kind = TM_SAVE_NODE;
        save->node = (struct tm_journal_node){.node = peer->key,
                                              .cores = peer->cores,
                                              .accepted = nodes[i].accepted,
                                              .audited = nodes[i].audited,
                                              .weights_per_s = nodes[i].weights_per_s};
        memcpy(save->node.name, peer->name, sizeof save->node.name);
        tm_buf_init(&save->chunk, 0);
        tm_saver_submit(mesh->saver, save);
    }
    tm_free(nodes);
    return status;
}
