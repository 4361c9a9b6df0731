/* SPDX-License-Identifier: Apache-2.0
 * The way of a result: announced, received, checked, saved; and what happens to those who lie. */
#include "scheduler/coordinator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "scheduler/coordinator_state.h"

#define STALLS_FREE 1        /* uploads that may run out before the node has to pause */
#define PREEMPT_HEARTBEATS 5 /* an upload so old gives way to another node's */
#define SPEED_WEIGHT 4       /* a measured speed counts 1/4 against what was known */

const char *tm_verdict_text(enum tm_verdict verdict)
{
    static const char *const texts[] = {
        [TM_VERDICT_GOOD] = "good",
        [TM_VERDICT_BAD_SIGNATURE] = "the signature is not the node's",
        [TM_VERDICT_MALFORMED] = "the bytes do not decode",
        [TM_VERDICT_BAD_ERROR] = "the bytes decode to something else than the source",
        [TM_VERDICT_MISMATCH] = "encoding the unit again gives other bytes",
        [TM_VERDICT_NOT_CHECKED] = "not checked",
    };
    return texts[verdict];
}

static struct tm_peer *peer_at(struct tm_coordinator *c, uint32_t node)
{
    return &c->peers.items[node];
}

/* Whether its results are not taken now: its uploads ran out too often. */
static bool is_barred(const struct tm_coordinator *c, const struct tm_peer *peer)
{
    return peer->stalls > STALLS_FREE && c->now_ms < peer->barred_ms;
}

/* ---- dropping -------------------------------------------------------------------------------- */

/* Ends a claim that was not accepted; whoever holds bytes for it forgets them. */
static tm_status drop_claim(struct tm_coordinator *c, uint32_t index)
{
    struct tm_claim claim = c->claims.items[index];
    tm_claim_end(&c->claims, index);
    if (claim.stage == TM_CLAIM_WAITING) {
        return TM_OK;
    }
    struct tm_coord_action *action = NULL;
    TM_TRY(tm_coord_act(c, TM_ACT_DROP, &peer_at(c, claim.node)->id, &action));
    action->unit = claim.unit;
    action->leaf = claim.result.leaf;
    return TM_OK;
}

tm_status tm_coord_drop_uploads(struct tm_coordinator *c, uint32_t node)
{
    for (uint32_t at = peer_at(c, node)->claims, next; at != TM_NONE; at = next) {
        next = c->claims.items[at].node_next;
        if (c->claims.items[at].stage <= TM_CLAIM_RECEIVING) {
            TM_TRY(drop_claim(c, at));
        }
    }
    return TM_OK;
}

/* The upload took too long, or stood in another node's way. Who lets many run out has a pause, in
 * which others get its units. */
static tm_status stall(struct tm_coordinator *c, uint32_t index)
{
    uint32_t node = c->claims.items[index].node;
    struct tm_peer *peer = peer_at(c, node);
    peer->stalls += c->claims.items[index].stage == TM_CLAIM_RECEIVING ? 1 : 0;
    tm_peer_bar(peer, peer->stalls, STALLS_FREE, c->upload_ms, c->now_ms);
    TM_TRY(drop_claim(c, index));
    if (is_barred(c, peer)) {
        tm_lease_end_all(&c->leases, node);
        return tm_coord_drop_uploads(c, node);
    }
    return TM_OK;
}

tm_status tm_coord_expire_uploads(struct tm_coordinator *c)
{
    const struct tm_claim_queue *receiving = &c->claims.queues[TM_CLAIM_RECEIVING];
    while (receiving->head != TM_NONE &&
           c->now_ms - c->claims.items[receiving->head].since_ms >= c->upload_ms) {
        TM_TRY(stall(c, receiving->head));
    }
    return TM_OK;
}

/* ---- the journal ----------------------------------------------------------------------------- */

static tm_status note_saving(struct tm_coordinator *c, uint32_t unit)
{
    if (c->saving_first + c->saving_count == c->saving_capacity) {
        size_t capacity = c->saving_capacity;
        if (c->saving_count > capacity / 2 || capacity == 0) {
            capacity = capacity > 0 ? capacity * 2 : 64;
            struct tm_coord_saving *items = tm_realloc_array(c->saving, capacity, sizeof *items);
            if (items == NULL) {
                return TM_E_NOMEM;
            }
            c->saving = items;
            c->saving_capacity = capacity;
        }
        memmove(c->saving, c->saving + c->saving_first, c->saving_count * sizeof *c->saving);
        c->saving_first = 0;
    }
    c->saving[c->saving_first + c->saving_count++] =
        (struct tm_coord_saving){.seq = ++c->seq, .unit = unit};
    return TM_OK;
}

/* ---- bans ------------------------------------------------------------------------------------ */

/* The node is excluded, and all that it made is done again. A dispute that another node holds
 * against one of its results becomes an ordinary claim. */
static tm_status ban(struct tm_coordinator *c, uint32_t node, uint32_t unit, const char *reason)
{
    struct tm_peer *peer = peer_at(c, node);
    snprintf(peer->ban_reason, sizeof peer->ban_reason, "%s", reason);
    tm_peers_set_state(&c->peers, node, TM_PEER_BANNED);
    tm_lease_end_all(&c->leases, node);
    while (peer->claims != TM_NONE) {
        TM_TRY(drop_claim(c, peer->claims));
    }
    while (peer->made != TM_NONE) {
        uint32_t made = peer->made, claim = c->board.units[made].claim;
        if (claim != TM_NONE && c->claims.items[claim].dispute) {
            c->claims.items[claim].dispute = false;
            c->claims.disputes--;
        }
        tm_board_reopen(&c->board, made, &peer->made);
        c->redone++;
    }
    peer->accepted = 0;
    TM_TRY(tm_coord_send_reason(c, &peer->id, TM_MSG_BAN, reason));
    TM_TRY(note_saving(c, TM_NONE));
    struct tm_coord_action *action = NULL;
    TM_TRY(tm_coord_act(c, TM_ACT_BAN, &peer->id, &action));
    action->seq = c->seq;
    action->unit = unit;
    snprintf(action->reason, sizeof action->reason, "%s", reason);
    return TM_OK;
}

/* ---- announced ------------------------------------------------------------------------------- */

static tm_status ask_for_upload(struct tm_coordinator *c, uint32_t index)
{
    const struct tm_claim *claim = &c->claims.items[index];
    struct tm_msg *msg = tm_calloc(1, sizeof *msg);
    if (msg == NULL) {
        return TM_E_NOMEM;
    }
    msg->type = TM_MSG_RESULT;
    msg->result = claim->result;
    struct tm_coord_action *action = NULL;
    tm_status status = tm_coord_act(c, TM_ACT_ACCEPT_UPLOAD, &peer_at(c, claim->node)->id, &action);
    if (status != TM_OK) {
        tm_free(msg);
        return status;
    }
    action->msg = msg;
    action->unit = claim->unit;
    action->leaf = claim->result.leaf;
    return TM_OK;
}

tm_status tm_coord_start_uploads(struct tm_coordinator *c)
{
    uint32_t index = tm_claim_next_upload(&c->claims);
    while (index != TM_NONE) {
        tm_claim_move(&c->claims, index, TM_CLAIM_RECEIVING, c->now_ms);
        TM_TRY(ask_for_upload(c, index));
        index = tm_claim_next_upload(&c->claims);
    }
    return TM_OK;
}

/* Whether a claim makes room for the result of another node: at once for one with fewer stalled
 * uploads, else when its own upload takes long. */
static bool gives_way(struct tm_coordinator *c, const struct tm_claim *claim, uint32_t other)
{
    uint32_t own_stalls = peer_at(c, claim->node)->stalls;
    uint64_t patience = (uint64_t)PREEMPT_HEARTBEATS * c->heartbeat_ms;
    bool slow = claim->stage == TM_CLAIM_RECEIVING && c->now_ms - claim->since_ms >= patience;
    return own_stalls > peer_at(c, other)->stalls || slow;
}

/* A result of a unit that another claim is on. */
static tm_status meet_claim(struct tm_coordinator *c, uint32_t node,
                            const struct tm_msg_result *result)
{
    uint32_t index = c->board.units[result->unit].claim;
    const struct tm_claim *claim = &c->claims.items[index];
    if (claim->stage >= TM_CLAIM_CHECKING) {
        return TM_OK; /* it is repeated until somebody's result is durable */
    }
    if (claim->node != node) {
        if (!gives_way(c, claim, node)) {
            return TM_OK;
        }
        TM_TRY(stall(c, index));
    } else if (!tm_digest_eq(&claim->result.leaf, &result->leaf)) {
        TM_TRY(drop_claim(c, index)); /* it begins anew with other bytes */
    } else {
        return claim->stage == TM_CLAIM_RECEIVING ? ask_for_upload(c, index) : TM_OK;
    }
    return tm_claim_new(&c->claims, node, result, c->now_ms);
}

/* A result of a unit that is durable already. */
static tm_status meet_accepted(struct tm_coordinator *c, uint32_t node,
                               const struct tm_msg_result *result)
{
    const struct tm_board_unit *unit = &c->board.units[result->unit];
    const struct tm_peer *peer = peer_at(c, node);
    if (tm_digest_eq(&unit->leaf, &result->leaf)) {
        c->duplicates++;
        return tm_coord_send_receipt(c, &peer->id, result->unit, &result->leaf,
                                     TM_RECEIPT_DUPLICATE, "");
    }
    if (c->finished || unit->claim != TM_NONE || peer->stalls > 0 ||
        peer->claimed >= TM_CLAIMS_A_NODE) {
        return TM_OK; /* another time, or never: the unit is made */
    }
    return tm_claim_new(&c->claims, node, result, c->now_ms);
}

tm_status tm_coord_on_result(struct tm_coordinator *c, uint32_t node,
                             const struct tm_msg_result *result)
{
    struct tm_peer *peer = peer_at(c, node);
    c->results++;
    if (result->unit >= c->board.unit_count || c->board.units[result->unit].spec.owner_made) {
        c->rejected++;
        return tm_coord_send_receipt(c, &peer->id, result->unit, &result->leaf, TM_RECEIPT_REJECTED,
                                     "the mesh has no such unit");
    }
    struct tm_board_unit *unit = &c->board.units[result->unit];
    if (unit->done) {
        return meet_accepted(c, node, result);
    }
    if (is_barred(c, peer)) {
        return TM_OK;
    }
    tm_lease_progress(&c->leases, node, result->unit, c->now_ms);
    if (unit->claim != TM_NONE) {
        return meet_claim(c, node, result);
    }
    if (peer->claimed >= TM_CLAIMS_A_NODE) {
        return TM_OK;
    }
    return tm_claim_new(&c->claims, node, result, c->now_ms);
}

/* ---- received -------------------------------------------------------------------------------- */

/* The claim that an event of the transport or the checker is about, or TM_NONE. */
static uint32_t claim_of(struct tm_coordinator *c, const struct tm_coord_event *event)
{
    if (event->unit >= c->board.unit_count) {
        return TM_NONE;
    }
    uint32_t index = c->board.units[event->unit].claim;
    if (index == TM_NONE) {
        return TM_NONE;
    }
    const struct tm_claim *claim = &c->claims.items[index];
    bool same = tm_node_id_eq(&peer_at(c, claim->node)->id, &event->node) &&
                tm_digest_eq(&claim->result.leaf, &event->leaf);
    return same ? index : TM_NONE;
}

/* All results until so many have passed: an audit that is still under way vouches for nothing, and
 * may be lost in a crash while later results are kept. Then by SHA-256 over the owner's secret and
 * the unit: a node cannot tell which of its units. */
static bool is_audited(const struct tm_coordinator *c, const struct tm_peer *peer, uint32_t unit)
{
    if (peer->audited < c->audit_first) {
        return true;
    }
    if (c->audit_every == 0) {
        return false;
    }
    uint8_t text[32 + 4];
    memcpy(text, c->audit_seed, 32);
    tm_set_u32(text + 32, unit);
    struct tm_digest digest = tm_digest_of(tm_view_of(text, sizeof text));
    return tm_get_u64(digest.b) % c->audit_every == 0;
}

tm_status tm_coord_on_received(struct tm_coordinator *c, const struct tm_coord_event *event)
{
    uint32_t index = claim_of(c, event);
    struct tm_coord_action *action = NULL;
    if (index == TM_NONE) {
        TM_TRY(tm_coord_act(c, TM_ACT_DROP, &event->node, &action));
        action->unit = event->unit;
        action->leaf = event->leaf;
        return TM_OK;
    }
    struct tm_claim *claim = &c->claims.items[index];
    if (claim->stage != TM_CLAIM_RECEIVING) {
        return TM_OK;
    }
    struct tm_peer *peer = peer_at(c, claim->node);
    claim->audit = claim->dispute || is_audited(c, peer, claim->unit);
    tm_claim_move(&c->claims, index, TM_CLAIM_CHECKING, c->now_ms);
    TM_TRY(tm_coord_act(c, TM_ACT_CHECK, &peer->id, &action));
    action->unit = claim->unit;
    action->leaf = claim->result.leaf;
    action->audit = claim->audit;
    return TM_OK;
}

/* ---- checked --------------------------------------------------------------------------------- */

static tm_status on_bad(struct tm_coordinator *c, uint32_t index, enum tm_verdict verdict)
{
    struct tm_claim claim = c->claims.items[index];
    struct tm_node_id id = peer_at(c, claim.node)->id;
    char reason[TM_MSG_TEXT_MAX];
    snprintf(reason, sizeof reason, "unit %" PRIu32 ": %s", claim.unit, tm_verdict_text(verdict));
    c->rejected++;
    TM_TRY(tm_coord_send_receipt(c, &id, claim.unit, &claim.result.leaf, TM_RECEIPT_REJECTED,
                                 tm_verdict_text(verdict)));
    return ban(c, claim.node, claim.unit, reason);
}

/* The new result was proven by encoding again, so the accepted one is a lie. */
static tm_status settle_dispute(struct tm_coordinator *c, uint32_t index)
{
    const struct tm_claim *claim = &c->claims.items[index];
    char reason[TM_MSG_TEXT_MAX];
    snprintf(reason, sizeof reason, "unit %" PRIu32 ": %s", claim->unit,
             tm_verdict_text(TM_VERDICT_MISMATCH));
    return ban(c, c->board.units[claim->unit].maker, claim->unit, reason);
}

static tm_status on_good(struct tm_coordinator *c, uint32_t index, bool audited)
{
    struct tm_claim *claim = &c->claims.items[index];
    uint32_t node = claim->node, unit = claim->unit;
    struct tm_digest leaf = claim->result.leaf;
    if (claim->dispute) {
        TM_TRY(settle_dispute(c, index));
        if (peer_at(c, node)->state == TM_PEER_BANNED) {
            return TM_OK; /* it contradicted itself: this claim went with it */
        }
    }
    peer_at(c, node)->audited += audited ? 1 : 0;
    c->audits += audited ? 1 : 0;
    tm_claim_move(&c->claims, index, TM_CLAIM_SAVING, c->now_ms);
    tm_lease_release(&c->leases, unit);
    TM_TRY(note_saving(c, unit));
    c->claims.items[index].seq = c->seq;
    struct tm_coord_action *action = NULL;
    TM_TRY(tm_coord_act(c, TM_ACT_PERSIST, &peer_at(c, node)->id, &action));
    action->unit = unit;
    action->leaf = leaf;
    action->audit = audited;
    action->seq = c->seq;
    return TM_OK;
}

tm_status tm_coord_on_checked(struct tm_coordinator *c, const struct tm_coord_event *event)
{
    uint32_t index = claim_of(c, event);
    if (index == TM_NONE || c->claims.items[index].stage != TM_CLAIM_CHECKING) {
        return TM_OK; /* the node was banned meanwhile */
    }
    bool audit = c->claims.items[index].audit;
    bool unproven = event->verdict == TM_VERDICT_GOOD && audit && !event->audited;
    if (event->verdict == TM_VERDICT_NOT_CHECKED || unproven) {
        return drop_claim(c, index); /* the node repeats its RESULT */
    }
    return event->verdict == TM_VERDICT_GOOD ? on_good(c, index, event->audited)
                                             : on_bad(c, index, event->verdict);
}

/* ---- saved ----------------------------------------------------------------------------------- */

/* What the node says about its time only sizes its own leases. */
static void learn_speed(struct tm_coordinator *c, struct tm_peer *peer,
                        const struct tm_claim *claim)
{
    uint32_t pipeline = c->board.units[claim->unit].spec.pipeline;
    uint64_t weights = tm_board_weights(&c->board, claim->unit);
    if (claim->result.compute_ms == 0 || weights > UINT64_MAX / 1000) {
        return;
    }
    uint64_t measured = weights * 1000 / claim->result.compute_ms;
    uint64_t known = peer->speed[pipeline];
    peer->speed[pipeline] =
        known == 0 ? measured : known - known / SPEED_WEIGHT + measured / SPEED_WEIGHT;
}

static tm_status accept(struct tm_coordinator *c, uint32_t index)
{
    struct tm_claim claim = c->claims.items[index];
    struct tm_peer *peer = peer_at(c, claim.node);
    learn_speed(c, peer, &claim);
    peer->accepted++;
    peer->stalls = 0;
    peer->expiries = 0;
    tm_board_accept(&c->board, claim.unit, claim.node, &claim.result.leaf, &peer->made);
    tm_claim_end(&c->claims, index);
    return tm_coord_send_receipt(c, &peer->id, claim.unit, &claim.result.leaf, TM_RECEIPT_ACCEPTED,
                                 "");
}

tm_status tm_coord_on_persisted(struct tm_coordinator *c, uint64_t seq)
{
    while (c->saving_count > 0 && c->saving[c->saving_first].seq <= seq) {
        struct tm_coord_saving saved = c->saving[c->saving_first++];
        c->saving_count--;
        if (saved.unit == TM_NONE) {
            continue;
        }
        uint32_t index = c->board.units[saved.unit].claim;
        /* The claim of a node that was banned meanwhile is gone; its row is dropped after this. */
        if (index != TM_NONE && c->claims.items[index].stage == TM_CLAIM_SAVING &&
            c->claims.items[index].seq == saved.seq) {
            TM_TRY(accept(c, index));
        }
    }
    return TM_OK;
}
