/* SPDX-License-Identifier: Apache-2.0
 * Results on their way in. Only a result that the state machine wants gets credit and memory: at
 * most its announced bytes, all together at most a fixed sum; others wait for their turn. The sum
 * holds from the first credit until the bytes are durable, or a slow disk would fill the memory.
 * One thread. */
#ifndef TM_NODE_UPLOADS_H
#define TM_NODE_UPLOADS_H

#include "node/coordinator/mesh_ports.h"

enum tm_upload_state { TM_UPLOAD_COMING, TM_UPLOAD_READY, TM_UPLOAD_CHECKING };

struct tm_upload {
    struct tm_mesh_peer
        *peer; /* as long as its peer is wanted: NULL when that was dropped meanwhile */
    struct tm_node_id node;
    struct tm_public_key key;
    uint32_t unit;
    struct tm_digest leaf;
    uint32_t bytes;
    struct tm_signature sig;
    enum tm_upload_state state; /* CHECKING is set by the caller */
    const char *fault;          /* NULL, or why it is malformed already: static text */
    struct tm_buf data;
    uint32_t granted; /* credit given */
    uint64_t progress_ms;
    struct tm_upload *next;
};

struct tm_uploads;
tm_status tm_uploads_new(struct tm_mesh_ports *ports, uint64_t memory_bytes,
                         struct tm_uploads **out) TM_MUST_USE;
void tm_uploads_destroy(struct tm_uploads **uploads);
/* A RESULT that is wanted, of a unit whose chunk has at most bound bytes. The same one again starts
 * over, unless it is being checked. */
tm_status tm_uploads_accept(struct tm_uploads *uploads, struct tm_mesh_peer *peer,
                            const struct tm_msg_result *result, size_t bound,
                            uint64_t now_ms) TM_MUST_USE;
/* A piece. What was not asked for is dropped. */
void tm_uploads_data(struct tm_uploads *uploads, struct tm_mesh_peer *peer,
                     const struct tm_msg_data *data, uint64_t now_ms);
/* Gives credit and memory, forgets uploads that stand still; at least every 100 ms. */
void tm_uploads_pump(struct tm_uploads *uploads, uint64_t now_ms);
/* An upload that has become READY since, each one once; NULL when there is none. */
struct tm_upload *tm_uploads_ready(struct tm_uploads *uploads);
/* NULL when there is none (any more). */
struct tm_upload *tm_uploads_find(struct tm_uploads *uploads, const struct tm_node_id *node,
                                  uint32_t unit, const struct tm_digest *leaf);
void tm_uploads_remove(struct tm_uploads *uploads, struct tm_upload *upload);
/* Hands its bytes over (out is overwritten) and removes it. Its memory (the capacity of out) stays
 * taken until tm_uploads_release. */
void tm_uploads_take(struct tm_uploads *uploads, struct tm_upload *upload, struct tm_buf *out);
/* Not wanted any more: removed, or, while it is being checked, only without a peer. */
void tm_uploads_drop(struct tm_uploads *uploads, struct tm_upload *upload);
/* Forgets all of a peer; those being checked only lose their peer, the caller removes them. */
void tm_uploads_drop_peer(struct tm_uploads *uploads, const struct tm_mesh_peer *peer);
/* Memory of results that are made here takes part in the sum: takes it, whatever is left. */
void tm_uploads_hold(struct tm_uploads *uploads, uint64_t bytes);
void tm_uploads_release(struct tm_uploads *uploads, uint64_t bytes);
uint64_t tm_uploads_bytes(const struct tm_uploads *uploads);

#endif
