/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/uploads.h"

#include "base/mem.h"
#include "crypto/merkle.h"

#define WINDOW (1024u * 1024)
#define STALL_MS 60000 /* its lease is long gone by then */

struct tm_uploads {
    struct tm_mesh_ports *ports;
    uint64_t memory_bytes, used_bytes;
    struct tm_upload *first;
    struct tm_msg msg; /* being built: large */
};

tm_status tm_uploads_new(struct tm_mesh_ports *ports, uint64_t memory_bytes,
                         struct tm_uploads **out)
{
    *out = tm_calloc(1, sizeof **out);
    if (*out == NULL) {
        return TM_E_NOMEM;
    }
    (*out)->ports = ports;
    (*out)->memory_bytes = memory_bytes;
    return TM_OK;
}

static void release(struct tm_uploads *uploads, struct tm_upload *u)
{
    uploads->used_bytes -= u->data.capacity > 0 ? u->bytes : 0;
    tm_buf_deinit(&u->data);
}

void tm_uploads_remove(struct tm_uploads *uploads, struct tm_upload *upload)
{
    for (struct tm_upload **at = &uploads->first; *at != NULL; at = &(*at)->next) {
        if (*at == upload) {
            *at = upload->next;
            release(uploads, upload);
            tm_free(upload);
            return;
        }
    }
}

void tm_uploads_take(struct tm_uploads *uploads, struct tm_upload *upload, struct tm_buf *out)
{
    TM_ASSERT(upload->data.capacity == upload->bytes);
    *out = upload->data;
    tm_buf_init(&upload->data, 0);
    tm_uploads_remove(uploads, upload);
}

void tm_uploads_drop(struct tm_uploads *uploads, struct tm_upload *upload)
{
    if (upload->state == TM_UPLOAD_CHECKING) {
        upload->peer = NULL;
    } else {
        tm_uploads_remove(uploads, upload);
    }
}

void tm_uploads_destroy(struct tm_uploads **uploads)
{
    if (*uploads == NULL) {
        return;
    }
    while ((*uploads)->first != NULL) {
        tm_uploads_remove(*uploads, (*uploads)->first);
    }
    tm_free(*uploads);
    *uploads = NULL;
}

struct tm_upload *tm_uploads_find(struct tm_uploads *uploads, const struct tm_node_id *node,
                                  uint32_t unit, const struct tm_digest *leaf)
{
    for (struct tm_upload *u = uploads->first; u != NULL; u = u->next) {
        if (u->unit == unit && tm_node_id_eq(&u->node, node) && tm_digest_eq(&u->leaf, leaf)) {
            return u;
        }
    }
    return NULL;
}

/* Memory for the whole upload, before its first credit. One upload always fits. */
static bool reserve(struct tm_uploads *uploads, struct tm_upload *u)
{
    if (u->data.capacity > 0) {
        return true;
    }
    if (uploads->used_bytes > 0 && uploads->used_bytes + u->bytes > uploads->memory_bytes) {
        return false;
    }
    if (tm_buf_reserve(&u->data, u->bytes) != TM_OK) {
        return false;
    }
    uploads->used_bytes += u->bytes;
    return true;
}

/* Opens the window again when half of it is used up. */
static void grant(struct tm_uploads *uploads, struct tm_upload *u)
{
    uint32_t open = u->granted - (uint32_t)u->data.bytes;
    uint32_t wanted = u->bytes - u->granted;
    uint32_t room = open < WINDOW ? WINDOW - open : 0;
    uint32_t more = wanted < room ? wanted : room;
    if (more == 0 || (more < wanted && more < WINDOW / 2) || !reserve(uploads, u)) {
        return;
    }
    uploads->msg.type = TM_MSG_CREDIT;
    uploads->msg.credit = (struct tm_msg_credit){.id = u->leaf, .credit_bytes = more};
    if (tm_mesh_ports_send(uploads->ports, u->peer, &uploads->msg) == TM_OK) {
        u->granted += more;
    }
}

tm_status tm_uploads_accept(struct tm_uploads *uploads, struct tm_mesh_peer *peer,
                            const struct tm_msg_result *result, size_t bound, uint64_t now_ms)
{
    struct tm_upload *u = tm_uploads_find(uploads, &peer->id, result->unit, &result->leaf);
    if (u != NULL && u->state == TM_UPLOAD_CHECKING) {
        return TM_OK;
    }
    if (u != NULL) {
        tm_uploads_remove(uploads, u);
    }
    u = tm_calloc(1, sizeof *u);
    if (u == NULL) {
        return TM_E_NOMEM;
    }
    u->peer = peer;
    u->node = peer->id;
    u->key = peer->key;
    u->unit = result->unit;
    u->leaf = result->leaf;
    u->bytes = result->bytes;
    u->sig = result->sig;
    u->progress_ms = now_ms;
    tm_buf_init(&u->data, result->bytes);
    if (result->bytes == 0 || result->bytes > bound) {
        u->fault = result->bytes == 0 ? "an empty chunk" : "more bytes than such a unit can have";
        u->bytes = 0;
    } else {
        grant(uploads, u);
    }
    u->next = uploads->first;
    uploads->first = u;
    return TM_OK;
}

/* The upload that a piece continues. Two units may have the same bytes and so the same leaf. */
static struct tm_upload *continued_by(struct tm_uploads *uploads, const struct tm_mesh_peer *peer,
                                      const struct tm_msg_data *data)
{
    for (struct tm_upload *u = uploads->first; u != NULL; u = u->next) {
        if (u->peer == peer && u->state == TM_UPLOAD_COMING && data->offset == u->data.bytes &&
            data->total == u->bytes && data->piece.bytes > 0 &&
            data->piece.bytes <= u->granted - u->data.bytes && tm_digest_eq(&u->leaf, &data->id)) {
            return u;
        }
    }
    return NULL;
}

void tm_uploads_data(struct tm_uploads *uploads, struct tm_mesh_peer *peer,
                     const struct tm_msg_data *data, uint64_t now_ms)
{
    struct tm_upload *u = continued_by(uploads, peer, data);
    if (u == NULL || tm_buf_put(&u->data, data->piece.data, data->piece.bytes) != TM_OK) {
        return;
    }
    u->progress_ms = now_ms;
    if (u->data.bytes < u->bytes) {
        grant(uploads, u);
        return;
    }
    struct tm_digest leaf = tm_merkle_leaf(tm_buf_view(&u->data));
    if (!tm_digest_eq(&leaf, &u->leaf)) {
        u->fault = "the bytes do not hash to their leaf";
    }
}

struct tm_upload *tm_uploads_ready(struct tm_uploads *uploads)
{
    for (struct tm_upload *u = uploads->first; u != NULL; u = u->next) {
        if (u->state == TM_UPLOAD_COMING && (u->fault != NULL || u->data.bytes == u->bytes)) {
            u->state = TM_UPLOAD_READY;
            return u;
        }
    }
    return NULL;
}

void tm_uploads_pump(struct tm_uploads *uploads, uint64_t now_ms)
{
    struct tm_upload *next;
    for (struct tm_upload *u = uploads->first; u != NULL; u = next) {
        next = u->next;
        if (u->state != TM_UPLOAD_COMING || u->fault != NULL) {
            continue;
        }
        if (u->granted == 0) {
            u->progress_ms = now_ms; /* it waits for us, not we for it */
        } else if (now_ms - u->progress_ms > STALL_MS) {
            tm_uploads_remove(uploads, u);
            continue;
        }
        grant(uploads, u);
    }
}

void tm_uploads_drop_peer(struct tm_uploads *uploads, const struct tm_mesh_peer *peer)
{
    struct tm_upload *next;
    for (struct tm_upload *u = uploads->first; u != NULL; u = next) {
        next = u->next;
        if (u->peer == peer) {
            tm_uploads_drop(uploads, u);
        }
    }
}

void tm_uploads_hold(struct tm_uploads *uploads, uint64_t bytes)
{
    uploads->used_bytes += bytes;
}

void tm_uploads_release(struct tm_uploads *uploads, uint64_t bytes)
{
    TM_ASSERT(bytes <= uploads->used_bytes);
    uploads->used_bytes -= bytes;
}

uint64_t tm_uploads_bytes(const struct tm_uploads *uploads)
{
    return uploads->used_bytes;
}
