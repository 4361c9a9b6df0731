/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/source_server.h"

#include "base/mem.h"
#include "node/coordinator/check.h"

#define TRANSFERS_PER_PEER 64

struct transfer {
    struct tm_mesh_peer *peer;
    struct tm_digest id;
    uint32_t unit, bytes;
    uint32_t sent, credit;
    struct tm_buf data; /* read when the first piece is due */
    struct transfer *next;
};

struct tm_source_server {
    struct tm_mesh_ports *ports;
    struct tm_job *job;
    uint64_t memory_bytes, used_bytes, sent;
    struct transfer *first;
    bool *asked;       /* per unit: it was read once */
    struct tm_msg msg; /* being built: large */
};

tm_status tm_source_server_new(struct tm_mesh_ports *ports, struct tm_job *job,
                               uint64_t memory_bytes, struct tm_source_server **out)
{
    *out = tm_calloc(1, sizeof **out);
    bool *asked = tm_calloc(job->split.unit_count + 1u, sizeof *asked);
    if (*out == NULL || asked == NULL) {
        tm_free(*out);
        tm_free(asked);
        *out = NULL;
        return TM_E_NOMEM;
    }
    (*out)->asked = asked;
    (*out)->ports = ports;
    (*out)->job = job;
    (*out)->memory_bytes = memory_bytes;
    return TM_OK;
}

/* Unlinks and frees *at. */
static void end_transfer(struct tm_source_server *sources, struct transfer **at)
{
    struct transfer *t = *at;
    *at = t->next;
    sources->used_bytes -= t->data.capacity > 0 ? t->bytes : 0;
    tm_buf_deinit(&t->data);
    tm_free(t);
}

void tm_source_server_destroy(struct tm_source_server **sources)
{
    if (*sources == NULL) {
        return;
    }
    while ((*sources)->first != NULL) {
        end_transfer(*sources, &(*sources)->first);
    }
    tm_free((*sources)->asked);
    tm_free(*sources);
    *sources = NULL;
}

void tm_source_server_drop_peer(struct tm_source_server *sources, const struct tm_mesh_peer *peer)
{
    struct transfer **at = &sources->first;
    while (*at != NULL) {
        if ((*at)->peer == peer) {
            end_transfer(sources, at);
        } else {
            at = &(*at)->next;
        }
    }
}

static tm_status start(struct tm_source_server *sources, struct tm_mesh_peer *peer,
                       const struct tm_msg_fetch *fetch)
{
    uint32_t unit = tm_job_find_source(sources->job, &fetch->id);
    if (unit == sources->job->split.unit_count) {
        return TM_OK;
    }
    uint32_t bytes = sources->job->split.units[unit].source_bytes;
    unsigned count = 0;
    struct transfer **at = &sources->first;
    while (*at != NULL) {
        if ((*at)->peer == peer && tm_digest_eq(&(*at)->id, &fetch->id)) {
            end_transfer(sources, at);
            continue;
        }
        count += (*at)->peer == peer;
        at = &(*at)->next;
    }
    if (count >= TRANSFERS_PER_PEER || peer->fetch_bytes < bytes) {
        return TM_OK; /* more than it was leased: its fetch times out */
    }
    struct transfer *t = tm_calloc(1, sizeof *t);
    if (t == NULL) {
        return TM_E_NOMEM;
    }
    peer->fetch_bytes -= bytes;
    *t = (struct transfer){
        .peer = peer, .id = fetch->id, .unit = unit, .bytes = bytes, .credit = fetch->credit_bytes};
    tm_buf_init(&t->data, bytes);
    *at = t; /* last: first come, first served */
    return TM_OK;
}

tm_status tm_source_server_message(struct tm_source_server *sources, struct tm_mesh_peer *peer,
                                   const struct tm_msg *msg)
{
    if (msg->type == TM_MSG_FETCH) {
        return start(sources, peer, &msg->fetch);
    }
    for (struct transfer *t = sources->first; t != NULL && msg->type == TM_MSG_CREDIT;
         t = t->next) {
        if (t->peer == peer && tm_digest_eq(&t->id, &msg->credit.id)) {
            uint32_t left = t->bytes - t->sent;
            uint64_t credit = (uint64_t)t->credit + msg->credit.credit_bytes;
            t->credit = credit < left ? (uint32_t)credit : left;
            break;
        }
    }
    return TM_OK;
}

/* The loop's thread hashes nothing for nothing: nodes check what they get against the unit's id and
 * ask again when it is something else. Only then is it checked here too, and a model that has
 * changed ends the job. */
static tm_status read_unit(struct tm_source_server *sources, struct transfer *t, struct tm_err *err)
{
    bool *asked = &sources->asked[t->unit];
    if (*asked) {
        return tm_unit_source(sources->job, t->unit, &t->data, err);
    }
    *asked = true;
    return tm_job_read_unit(sources->job, t->unit, &t->data, err);
}

/* Reads the unit; *room is false when other transfers fill the memory. */
static tm_status load(struct tm_source_server *sources, struct transfer *t, bool *room,
                      struct tm_err *err)
{
    *room = t->data.capacity > 0 || sources->used_bytes == 0 ||
            sources->used_bytes + t->bytes <= sources->memory_bytes;
    if (!*room || t->data.capacity > 0) {
        return TM_OK;
    }
    tm_status status = read_unit(sources, t, err);
    sources->used_bytes += t->data.capacity > 0 ? t->bytes : 0;
    return status;
}

/* TM_OK: all that credit allows is sent; else the status of the send that failed. */
static tm_status send_pieces(struct tm_source_server *sources, struct transfer *t)
{
    while (t->credit > 0 && t->sent < t->bytes) {
        uint32_t piece = t->credit < TM_DATA_PIECE_MAX ? t->credit : TM_DATA_PIECE_MAX;
        piece = piece < t->bytes - t->sent ? piece : t->bytes - t->sent;
        sources->msg.type = TM_MSG_DATA;
        sources->msg.data =
            (struct tm_msg_data){.id = t->id,
                                 .offset = t->sent,
                                 .total = t->bytes,
                                 .piece = tm_view_of(t->data.data + t->sent, piece)};
        TM_TRY(tm_mesh_ports_send(sources->ports, t->peer, &sources->msg));
        t->sent += piece;
        t->credit -= piece;
        sources->sent += piece;
    }
    return TM_OK;
}

tm_status tm_source_server_pump(struct tm_source_server *sources, bool *stalled, struct tm_err *err)
{
    struct transfer **at = &sources->first;
    *stalled = false;
    while (*at != NULL) {
        struct transfer *t = *at;
        bool room = true;
        tm_status sent = TM_OK;
        if (t->credit > 0) {
            TM_TRY(load(sources, t, &room, err));
            sent = room ? send_pieces(sources, t) : TM_E_LIMIT;
        }
        *stalled = *stalled || sent == TM_E_LIMIT;
        if (t->sent == t->bytes || (sent != TM_OK && sent != TM_E_LIMIT)) {
            end_transfer(sources, at); /* done, or the peer is gone: it fetches again */
        } else {
            at = &t->next;
        }
    }
    return TM_OK;
}

uint64_t tm_source_server_sent(const struct tm_source_server *sources)
{
    return sources->sent;
}
