/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's table of nodes, by id. Entries are named by index: pointers to them last until
 * the next tm_peers_add. Banned nodes stay for ever; nodes that went away without having done
 * anything make room for others. */
#ifndef TM_SCHEDULER_PEERS_H
#define TM_SCHEDULER_PEERS_H

#include "scheduler/coordinator.h"

#define TM_NONE UINT32_MAX /* no index */
#define TM_PEERS_BANNED_MAX (16u * TM_MESH_NODES_MAX)

enum tm_peer_state {
    TM_PEER_FREE, /* entry in no use */
    TM_PEER_READY,
    TM_PEER_GONE, /* known, silent or only from the journal */
    TM_PEER_BANNED
};

struct tm_peer {
    enum tm_peer_state state;
    struct tm_node_id id;
    char name[TM_MSG_NAME_MAX];
    char ban_reason[TM_MSG_TEXT_MAX];
    uint32_t cores;
    uint64_t speed[TM_MSG_SPEEDS_MAX]; /* weights a second on one core, by the job's pipelines */
    uint64_t last_seen_ms;
    uint32_t leases;  /* head of its leases (lease.h) */
    uint32_t held;    /* units in them */
    uint32_t claims;  /* head of its claims (claim.h) */
    uint32_t claimed; /* how many */
    uint32_t uploads; /* of them receiving now */
    uint32_t made;    /* head of the units it made (board.h) */
    uint32_t accepted;
    uint32_t audited;   /* results that passed an audit, since this start of the coordinator */
    uint32_t expiries;  /* leases run out since its last accepted result */
    uint32_t stalls;    /* uploads run out since then */
    uint64_t barred_ms; /* no lease, and after stalls no result, before this time */
    uint32_t group;     /* layer group that it works on, or TM_NONE */
};

struct tm_peers {
    struct tm_peer *items;
    uint32_t count, capacity; /* entries, free ones included */
    uint32_t *slots;          /* hash table of indexes, TM_NONE when empty */
    uint32_t slot_count;      /* a power of two */
    uint64_t seed;            /* so that ids cannot be ground to collide */
    uint32_t live, ready, banned;
};

void tm_peers_init(struct tm_peers *peers, uint64_t seed);
void tm_peers_deinit(struct tm_peers *peers);
/* Index, or TM_NONE. */
uint32_t tm_peers_find(const struct tm_peers *peers, const struct tm_node_id *id);
/* A new entry, GONE and empty; the id must be new. TM_E_LIMIT when TM_MESH_NODES_MAX nodes that are
 * not banned are known, none of which can be forgotten, or too many are banned. */
tm_status tm_peers_add(struct tm_peers *peers, const struct tm_node_id *id,
                       uint32_t *out) TM_MUST_USE;
/* A node that let things run out waits: after `strikes` beyond `free`, base_ms, and twice as long
 * each time, up to 64 times. */
void tm_peer_bar(struct tm_peer *peer, uint32_t strikes, uint32_t free, uint64_t base_ms,
                 uint64_t now_ms);
/* Changes the state and the counts. */
void tm_peers_set_state(struct tm_peers *peers, uint32_t index, enum tm_peer_state state);

#endif
