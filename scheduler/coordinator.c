/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/coordinator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "scheduler/coordinator_state.h"
#include "scheduler/plan.h"

#define LEASE_TARGET_MS 2000
#define LEASE_MIN_MS 30000
#define HEARTBEAT_MS 2000
#define UPLOADS_MAX 64
#define UPLOAD_LIVES 2      /* an upload may take so many times lease_min_ms */
#define SILENT_HEARTBEATS 5 /* then a node is gone */
#define RETURN_HEARTBEATS 3 /* a node that the transport lost has so long to come back */
#define RETRY_MS 250        /* of IDLE, and one more for each ready node */
#define FULL_RETRY_MS 30000

_Static_assert(TM_PLAN_PIPELINES_MAX == TM_MSG_SPEEDS_MAX, "a plan's pipelines fit a WELCOME");

/* ---- lifecycle ------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t other)
{
    return value != 0 ? value : other;
}

static void init_parts(struct tm_coordinator *c, const struct tm_coordinator_options *options)
{
    struct tm_lease_rules rules = {.target_ms =
                                       or_default(options->lease_target_ms, LEASE_TARGET_MS),
                                   .min_ms = or_default(options->lease_min_ms, LEASE_MIN_MS),
                                   .heartbeat_ms = or_default(options->heartbeat_ms, HEARTBEAT_MS),
                                   .epoch = options->epoch};
    memcpy(rules.token_seed, options->token_seed, sizeof rules.token_seed);
    tm_peers_init(&c->peers, tm_get_u64(options->token_seed));
    tm_claims_init(&c->claims, &c->board, &c->peers, or_default(options->uploads_max, UPLOADS_MAX));
    tm_leases_init(&c->leases, &c->board, &c->peers, &rules);
    c->heartbeat_ms = rules.heartbeat_ms;
    c->upload_ms = UPLOAD_LIVES * rules.min_ms;
    c->audit_first = options->audit_first;
    c->audit_every = options->audit_every;
    memcpy(c->audit_seed, options->audit_seed, sizeof c->audit_seed);
    c->plan = options->plan;
    c->encoders = options->encoders;
    c->epoch = options->epoch;
    c->pipeline_count = options->pipeline_count;
    memcpy(c->pipelines, options->pipelines, options->pipeline_count * sizeof c->pipelines[0]);
}

tm_status tm_coordinator_new(const struct tm_coordinator_options *options,
                             struct tm_coordinator **out)
{
    TM_ASSERT(options->pipeline_count <= TM_MSG_SPEEDS_MAX && options->epoch > 0);
    for (uint32_t i = 0; i < options->unit_count; i++) {
        TM_ASSERT(options->units[i].pipeline < options->pipeline_count);
    }
    *out = NULL;
    struct tm_coordinator *c = tm_calloc(1, sizeof *c);
    if (c == NULL) {
        return TM_E_NOMEM;
    }
    init_parts(c, options);
    tm_status status = tm_board_init(&c->board, options->units, options->unit_count);
    if (status != TM_OK) {
        tm_coordinator_destroy(&c);
        return status;
    }
    *out = c;
    return TM_OK;
}

void tm_coordinator_destroy(struct tm_coordinator **coordinator)
{
    if (coordinator == NULL || *coordinator == NULL) {
        return;
    }
    struct tm_coordinator *c = *coordinator;
    tm_leases_deinit(&c->leases);
    tm_claims_deinit(&c->claims);
    tm_peers_deinit(&c->peers);
    tm_board_deinit(&c->board);
    tm_free(c->saving);
    tm_free(c);
    *coordinator = NULL;
}

static tm_status known_peer(struct tm_coordinator *c, const struct tm_node_id *node, uint32_t *out)
{
    *out = tm_peers_find(&c->peers, node);
    return *out != TM_NONE ? TM_OK : tm_peers_add(&c->peers, node, out);
}

tm_status tm_coordinator_restore_result(struct tm_coordinator *c, uint32_t unit,
                                        const struct tm_node_id *node, const struct tm_digest *leaf)
{
    if (unit >= c->board.unit_count || c->board.units[unit].done) {
        return TM_E_MALFORMED;
    }
    if (c->board.units[unit].spec.owner_made) {
        c->board.units[unit].done = true;
        tm_board_settle(&c->board, unit);
        return TM_OK;
    }
    uint32_t index = TM_NONE;
    TM_TRY(known_peer(c, node, &index));
    struct tm_peer *peer = &c->peers.items[index];
    if (peer->state == TM_PEER_BANNED) {
        return TM_OK; /* the ban is the later word */
    }
    peer->accepted++;
    tm_board_accept(&c->board, unit, index, leaf, &peer->made);
    return TM_OK;
}

tm_status tm_coordinator_restore_ban(struct tm_coordinator *c, const struct tm_node_id *node)
{
    uint32_t index = TM_NONE;
    TM_TRY(known_peer(c, node, &index));
    struct tm_peer *peer = &c->peers.items[index];
    snprintf(peer->ban_reason, sizeof peer->ban_reason, "banned earlier in this job");
    while (peer->made != TM_NONE) {
        tm_board_reopen(&c->board, peer->made, &peer->made);
    }
    peer->accepted = 0;
    tm_peers_set_state(&c->peers, index, TM_PEER_BANNED);
    return TM_OK;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void read_capacity(const struct tm_coordinator *c, const struct tm_msg_hello *hello,
                          struct tm_peer *peer)
{
    memcpy(peer->name, hello->name, sizeof peer->name);
    peer->cores = hello->cores > 0 ? hello->cores : 1;
    for (uint32_t p = 0; p < c->pipeline_count; p++) {
        for (uint32_t s = 0; s < hello->speed_count && s < TM_MSG_SPEEDS_MAX; s++) {
            if (strcmp(hello->speeds[s].pipeline, c->pipelines[p]) == 0) {
                peer->speed[p] = hello->speeds[s].weights_per_s;
            }
        }
    }
}

/* Why this node can have no part in the job, or NULL. */
static const char *unfit(const struct tm_coordinator *c, const struct tm_node_id *node,
                         const struct tm_msg_hello *hello)
{
    struct tm_node_id id = tm_node_id_of(&hello->key);
    if (hello->protocol != TM_PROTOCOL_VERSION) {
        return "another protocol version";
    }
    if (!tm_node_id_eq(&id, node)) {
        return "the key is not that of the connection";
    }
    if (!tm_digest_eq(&hello->encoders, &c->encoders)) {
        return "this build encodes differently (its self-test has another digest)";
    }
    return NULL;
}

static tm_status on_hello(struct tm_coordinator *c, const struct tm_node_id *node,
                          const struct tm_msg_hello *hello)
{
    const char *reason = unfit(c, node, hello);
    if (reason != NULL) {
        return tm_coord_send_reason(c, node, TM_MSG_BYE, reason);
    }
    uint32_t index = TM_NONE;
    tm_status status = known_peer(c, node, &index);
    if (status == TM_E_LIMIT) {
        return tm_coord_send_idle(c, node, FULL_RETRY_MS);
    }
    TM_TRY(status);
    struct tm_peer *peer = &c->peers.items[index];
    read_capacity(c, hello, peer);
    peer->last_seen_ms = c->now_ms;
    tm_peers_set_state(&c->peers, index, TM_PEER_READY);
    tm_lease_greeted(&c->leases, index, c->now_ms);
    struct tm_msg *msg = NULL;
    TM_TRY(tm_coord_send(c, node, TM_MSG_WELCOME, &msg));
    msg->welcome.epoch = c->epoch;
    msg->welcome.heartbeat_ms = c->heartbeat_ms;
    msg->welcome.plan = c->plan;
    msg->welcome.pipeline_count = c->pipeline_count;
    memcpy(msg->welcome.pipelines, c->pipelines, sizeof c->pipelines);
    return TM_OK;
}

/* It may come back soon with its leases; what it was about to upload it will announce again. */
static tm_status on_gone(struct tm_coordinator *c, uint32_t node)
{
    if (c->peers.items[node].state != TM_PEER_READY) {
        return TM_OK;
    }
    tm_peers_set_state(&c->peers, node, TM_PEER_GONE);
    return tm_coord_drop_uploads(c, node);
}

static tm_status send_heartbeat(struct tm_coordinator *c, const struct tm_node_id *node)
{
    struct tm_msg *msg = NULL;
    TM_TRY(tm_coord_send(c, node, TM_MSG_HEARTBEAT, &msg));
    msg->heartbeat.epoch = c->epoch;
    return TM_OK;
}

static tm_status on_want(struct tm_coordinator *c, uint32_t node, uint32_t slots)
{
    struct tm_node_id id = c->peers.items[node].id;
    if (c->finished) {
        return tm_coord_send_idle(c, &id, 0);
    }
    uint32_t lease = TM_NONE;
    TM_TRY(tm_lease_grant(&c->leases, node, slots, c->now_ms, &lease));
    if (lease == TM_NONE) {
        return tm_coord_send_idle(c, &id, RETRY_MS + c->peers.ready);
    }
    struct tm_msg *msg = NULL;
    TM_TRY(tm_coord_send(c, &id, TM_MSG_LEASE, &msg));
    tm_lease_message(&c->leases, lease, c->now_ms, &msg->lease);
    return TM_OK;
}

static tm_status on_message(struct tm_coordinator *c, const struct tm_node_id *id,
                            const struct tm_msg *msg)
{
    uint32_t node = tm_peers_find(&c->peers, id);
    if (node != TM_NONE && c->peers.items[node].state == TM_PEER_BANNED) {
        return tm_coord_send_reason(c, id, TM_MSG_BAN, c->peers.items[node].ban_reason);
    }
    if (msg->type == TM_MSG_HELLO) {
        return on_hello(c, id, &msg->hello);
    }
    /* Who never said HELLO in this epoch has no capacity here: the epoch makes it greet. */
    if (node == TM_NONE || c->peers.items[node].last_seen_ms == 0) {
        return msg->type == TM_MSG_BYE ? TM_OK : send_heartbeat(c, id);
    }
    if (msg->type == TM_MSG_BYE) {
        return on_gone(c, node);
    }
    c->peers.items[node].last_seen_ms = c->now_ms;
    tm_peers_set_state(&c->peers, node, TM_PEER_READY);
    switch (msg->type) {
    case TM_MSG_WANT:
        return on_want(c, node, msg->want.slots);
    case TM_MSG_HEARTBEAT:
        tm_lease_named(&c->leases, node, &msg->heartbeat, c->now_ms);
        return c->finished ? tm_coord_send_idle(c, id, 0) : send_heartbeat(c, id);
    case TM_MSG_RESULT:
        return tm_coord_on_result(c, node, &msg->result);
    default:
        return TM_OK; /* not a worker's message */
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static tm_status on_tick(struct tm_coordinator *c)
{
    uint64_t silent = (uint64_t)SILENT_HEARTBEATS * c->heartbeat_ms;
    uint64_t away = (uint64_t)RETURN_HEARTBEATS * c->heartbeat_ms;
    for (uint32_t i = 0; i < c->peers.count; i++) {
        struct tm_peer *peer = &c->peers.items[i];
        uint64_t quiet_ms = c->now_ms - peer->last_seen_ms;
        if (peer->state == TM_PEER_READY && quiet_ms >= silent) {
            TM_TRY(on_gone(c, i));
        }
        if (peer->state == TM_PEER_GONE && peer->leases != TM_NONE && quiet_ms >= away) {
            tm_lease_end_all(&c->leases, i);
        }
        if (peer->state == TM_PEER_READY) {
            tm_lease_expire(&c->leases, i, c->now_ms);
        }
    }
    return tm_coord_expire_uploads(c);
}

static void on_owner_done(struct tm_coordinator *c, uint32_t unit)
{
    TM_ASSERT(unit < c->board.unit_count && c->board.units[unit].spec.owner_made);
    c->board.units[unit].done = true;
    tm_board_settle(&c->board, unit);
}

/* All units and bans are durable and nobody disputes a result. */
static tm_status finish(struct tm_coordinator *c)
{
    if (c->finished || c->board.counts[TM_UNIT_DONE] < c->board.unit_count || c->saving_count > 0 ||
        c->claims.disputes > 0) {
        return TM_OK;
    }
    c->finished = true;
    for (uint32_t i = 0; i < c->peers.count; i++) {
        if (c->peers.items[i].state == TM_PEER_READY) {
            TM_TRY(tm_coord_send_idle(c, &c->peers.items[i].id, 0));
        }
    }
    struct tm_coord_action *action = NULL;
    return tm_coord_act(c, TM_ACT_DONE, NULL, &action);
}

static tm_status dispatch(struct tm_coordinator *c, const struct tm_coord_event *event)
{
    switch (event->type) {
    case TM_EV_MESSAGE:
        return on_message(c, &event->node, event->msg);
    case TM_EV_RECEIVED:
        return tm_coord_on_received(c, event);
    case TM_EV_CHECKED:
        return tm_coord_on_checked(c, event);
    case TM_EV_PERSISTED:
        return tm_coord_on_persisted(c, event->seq);
    case TM_EV_GONE: {
        uint32_t node = tm_peers_find(&c->peers, &event->node);
        return node != TM_NONE ? on_gone(c, node) : TM_OK;
    }
    case TM_EV_TICK:
        return on_tick(c);
    case TM_EV_OWNER_DONE:
        on_owner_done(c, event->unit);
        return TM_OK;
    }
    return TM_OK;
}

tm_status tm_coordinator_step(struct tm_coordinator *c, const struct tm_coord_event *event,
                              uint64_t now_ms, struct tm_coord_actions *actions)
{
    /* Time 0 stands for "never seen"; a clock that goes back is read as one that stands. */
    c->now_ms = now_ms + 1 > c->now_ms ? now_ms + 1 : c->now_ms;
    c->out = actions;
    tm_status status = dispatch(c, event);
    if (status == TM_OK) {
        status = tm_coord_start_uploads(c);
    }
    if (status == TM_OK) {
        status = finish(c);
    }
    c->out = NULL;
    return status;
}

/* ---- display --------------------------------------------------------------------------------- */

void tm_coordinator_status(const struct tm_coordinator *c, struct tm_coord_status *out)
{
    const uint32_t *counts = c->board.counts;
    *out = (struct tm_coord_status){
        .units = c->board.unit_count,
        .done = counts[TM_UNIT_DONE],
        .leased = counts[TM_UNIT_LEASED],
        .checking = counts[TM_UNIT_CHECKING] + counts[TM_UNIT_SAVING],
        .todo = counts[TM_UNIT_OPEN] + counts[TM_UNIT_OWNER],
        .nodes = c->peers.live + c->peers.banned,
        .nodes_ready = c->peers.ready,
        .nodes_banned = c->peers.banned,
        .leases = c->leases.issued,
        .leases_expired = c->leases.expired,
        .results = c->results,
        .duplicates = c->duplicates,
        .audits = c->audits,
        .rejected = c->rejected,
        .redone = c->redone,
    };
}

static const char *const state_names[] = {[TM_PEER_FREE] = "free",
                                          [TM_PEER_READY] = "ready",
                                          [TM_PEER_GONE] = "gone",
                                          [TM_PEER_BANNED] = "banned"};

size_t tm_coordinator_nodes(const struct tm_coordinator *c, struct tm_coord_node *out,
                            size_t capacity)
{
    size_t count = 0;
    for (uint32_t i = 0; i < c->peers.count; i++) {
        const struct tm_peer *peer = &c->peers.items[i];
        if (peer->state == TM_PEER_FREE) {
            continue;
        }
        if (count < capacity) {
            struct tm_coord_node *node = &out[count];
            *node = (struct tm_coord_node){.id = peer->id,
                                           .state = state_names[peer->state],
                                           .accepted = peer->accepted,
                                           .audited = peer->audited,
                                           .leased = peer->held};
            memcpy(node->name, peer->name, sizeof node->name);
            memcpy(node->ban_reason, peer->ban_reason, sizeof node->ban_reason);
            for (uint32_t p = 0; p < c->pipeline_count; p++) {
                uint64_t speed = peer->speed[p];
                node->weights_per_s = speed > node->weights_per_s ? speed : node->weights_per_s;
            }
        }
        count++;
    }
    return count;
}
