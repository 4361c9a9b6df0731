/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/lease.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#define LIFE_ESTIMATES 3 /* a life is so many times the estimate */
#define LIVES_MAX 8      /* without a result */
#define NAMED_GRACE 3    /* heartbeats in which a new lease need not be named */
#define UNPROVEN_UNITS 4 /* at least, for a node without an accepted result */
#define EXPIRIES_FREE 2  /* leases that may run out before the node has to pause */
#define BACKUP_LOOKS 128 /* leases that are looked at for one that needs a backup */
#define SPEED_MIN 1000u  /* weights a second; what nodes announce is only a hint */
#define SPEED_MAX 1000000000000u
#define SPEED_UNKNOWN 1000000u
#define WEIGHTS_MAX ((uint64_t)1 << 40)

void tm_leases_init(struct tm_leases *leases, struct tm_board *board, struct tm_peers *peers,
                    const struct tm_lease_rules *rules)
{
    *leases = (struct tm_leases){.board = board,
                                 .peers = peers,
                                 .rules = *rules,
                                 .free = TM_NONE,
                                 .oldest = TM_NONE,
                                 .newest = TM_NONE};
}

void tm_leases_deinit(struct tm_leases *leases)
{
    tm_free(leases->items);
    *leases = (struct tm_leases){.free = TM_NONE, .oldest = TM_NONE, .newest = TM_NONE};
}

/* ---- entries and links ----------------------------------------------------------------------- */

static tm_status take_entry(struct tm_leases *leases, uint32_t *out)
{
    if (leases->free != TM_NONE) {
        *out = leases->free;
        leases->free = leases->items[*out].newer;
        return TM_OK;
    }
    if (leases->count == leases->capacity) {
        uint32_t capacity = leases->capacity > 0 ? leases->capacity * 2 : 64;
        struct tm_lease *items = tm_realloc_array(leases->items, capacity, sizeof *items);
        if (items == NULL) {
            return TM_E_NOMEM;
        }
        leases->items = items;
        leases->capacity = capacity;
    }
    *out = leases->count++;
    return TM_OK;
}

static void link_lease(struct tm_leases *leases, uint32_t index)
{
    struct tm_lease *lease = &leases->items[index];
    struct tm_peer *peer = &leases->peers->items[lease->node];
    lease->node_prev = TM_NONE;
    lease->node_next = peer->leases;
    if (peer->leases != TM_NONE) {
        leases->items[peer->leases].node_prev = index;
    }
    peer->leases = index;
    lease->newer = TM_NONE;
    lease->older = leases->newest;
    if (leases->newest != TM_NONE) {
        leases->items[leases->newest].newer = index;
    } else {
        leases->oldest = index;
    }
    leases->newest = index;
}

static void free_lease(struct tm_leases *leases, uint32_t index)
{
    struct tm_lease *lease = &leases->items[index];
    if (lease->node_prev != TM_NONE) {
        leases->items[lease->node_prev].node_next = lease->node_next;
    } else {
        leases->peers->items[lease->node].leases = lease->node_next;
    }
    if (lease->node_next != TM_NONE) {
        leases->items[lease->node_next].node_prev = lease->node_prev;
    }
    if (lease->older != TM_NONE) {
        leases->items[lease->older].newer = lease->newer;
    } else {
        leases->oldest = lease->newer;
    }
    if (lease->newer != TM_NONE) {
        leases->items[lease->newer].older = lease->older;
    } else {
        leases->newest = lease->older;
    }
    lease->newer = leases->free;
    leases->free = index;
}

/* Which of the unit's two leases this one is, or -1 when it has left. */
static int place_of(const struct tm_leases *leases, uint32_t index, uint32_t unit)
{
    const struct tm_board_unit *u = &leases->board->units[unit];
    return u->lease[0] == index ? 0 : u->lease[1] == index ? 1 : -1;
}

static void drop_unit(struct tm_leases *leases, uint32_t index, uint32_t unit)
{
    struct tm_lease *lease = &leases->items[index];
    int place = place_of(leases, index, unit);
    TM_ASSERT(place >= 0 && lease->live > 0);
    leases->board->units[unit].lease[place] = TM_NONE;
    leases->peers->items[lease->node].held--;
    lease->live--;
    tm_board_settle(leases->board, unit);
}

static void end_lease(struct tm_leases *leases, uint32_t index)
{
    struct tm_lease *lease = &leases->items[index];
    for (uint32_t i = 0; i < lease->unit_count; i++) {
        if (place_of(leases, index, lease->units[i]) >= 0) {
            drop_unit(leases, index, lease->units[i]);
        }
    }
    free_lease(leases, index);
}

/* ---- granting -------------------------------------------------------------------------------- */

static uint64_t estimate_ms(const struct tm_leases *leases, uint32_t node, uint32_t unit)
{
    const struct tm_peer *peer = &leases->peers->items[node];
    uint64_t speed = peer->speed[leases->board->units[unit].spec.pipeline];
    speed = speed == 0 ? SPEED_UNKNOWN : speed < SPEED_MIN ? SPEED_MIN : speed;
    speed = speed > SPEED_MAX ? SPEED_MAX : speed;
    uint64_t weights = tm_board_weights(leases->board, unit);
    weights = weights > WEIGHTS_MAX ? WEIGHTS_MAX : weights;
    return weights * 1000 / (speed * peer->cores) + 1;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

/* How many units the node may get now, by everything but their size. */
static uint32_t unit_limit(const struct tm_leases *leases, uint32_t node, uint32_t slots,
                           uint32_t open_units)
{
    const struct tm_peer *peer = &leases->peers->items[node];
    uint32_t limit = at_most(slots, TM_MSG_LEASE_UNITS_MAX);
    limit = at_most(limit, TM_HELD_A_NODE - at_most(peer->held, TM_HELD_A_NODE));
    uint32_t share = open_units / (2 * (leases->peers->ready > 0 ? leases->peers->ready : 1));
    limit = at_most(limit, share > 0 ? share : 1);
    if (peer->accepted == 0) {
        limit = at_most(limit, peer->cores > UNPROVEN_UNITS ? peer->cores : UNPROVEN_UNITS);
    }
    return at_most(limit, TM_MSG_LEASE_UNITS_MAX >> at_most(peer->expiries, 6));
}

static void add_unit(struct tm_leases *leases, uint32_t index, uint32_t unit)
{
    struct tm_lease *lease = &leases->items[index];
    struct tm_board_unit *u = &leases->board->units[unit];
    int place = u->lease[0] == TM_NONE ? 0 : 1;
    TM_ASSERT(u->lease[place] == TM_NONE && lease->unit_count < TM_MSG_LEASE_UNITS_MAX);
    u->lease[place] = index;
    lease->estimate_ms += estimate_ms(leases, lease->node, unit);
    lease->units[lease->unit_count++] = unit;
    lease->live++;
    leases->peers->items[lease->node].held++;
    tm_board_settle(leases->board, unit);
}

static void take_open_units(struct tm_leases *leases, uint32_t index, uint32_t limit)
{
    struct tm_lease *lease = &leases->items[index];
    struct tm_peer *peer = &leases->peers->items[lease->node];
    while (lease->unit_count < limit && lease->estimate_ms < leases->rules.target_ms) {
        uint32_t group = tm_board_choose_group(leases->board, peer->group);
        if (group == TM_NONE) {
            break;
        }
        /* Another group only while the lease is less than half full. */
        bool half = lease->estimate_ms >= leases->rules.target_ms / 2;
        if (group != peer->group && lease->unit_count > 0 && half) {
            break;
        }
        peer->group = group;
        add_unit(leases, index, leases->board->groups[group].head);
    }
}

/* Units of another node's lease that is late: not claimed, without a backup yet. */
static void take_late_units(struct tm_leases *leases, uint32_t index, uint32_t limit,
                            uint64_t now_ms)
{
    struct tm_lease *lease = &leases->items[index];
    uint32_t at = leases->oldest;
    for (int looks = 0; at != TM_NONE && looks < BACKUP_LOOKS; looks++) {
        const struct tm_lease *late = &leases->items[at];
        uint64_t due = 2 * late->estimate_ms;
        due = due < leases->rules.target_ms ? leases->rules.target_ms : due;
        bool stale = late->node != lease->node && now_ms - late->issued_ms >= due;
        for (uint32_t i = 0; stale && i < late->unit_count && lease->unit_count < limit; i++) {
            const struct tm_board_unit *unit = &leases->board->units[late->units[i]];
            bool sole = (unit->lease[0] == at && unit->lease[1] == TM_NONE) ||
                        (unit->lease[1] == at && unit->lease[0] == TM_NONE);
            if (sole && unit->state == TM_UNIT_LEASED) {
                add_unit(leases, index, late->units[i]);
            }
        }
        at = late->newer;
    }
}

/* SHA-256 over secret, epoch and counter: nobody can name a lease that was not given to him. */
static struct tm_lease_token next_token(struct tm_leases *leases)
{
    uint8_t text[32 + 16];
    memcpy(text, leases->rules.token_seed, 32);
    tm_set_u64(text + 32, leases->rules.epoch);
    tm_set_u64(text + 40, leases->issued);
    struct tm_digest digest = tm_digest_of(tm_view_of(text, sizeof text));
    struct tm_lease_token token;
    memcpy(token.b, digest.b, sizeof token.b);
    return token;
}

static void renew(struct tm_lease *lease, uint64_t now_ms)
{
    uint64_t deadline = now_ms + lease->life_ms;
    lease->named_ms = now_ms;
    lease->deadline_ms = deadline < lease->last_ms ? deadline : lease->last_ms;
}

static void start_life(struct tm_leases *leases, uint32_t index, uint64_t now_ms)
{
    struct tm_lease *lease = &leases->items[index];
    uint64_t held_ms = 0;
    uint32_t at = leases->peers->items[lease->node].leases;
    for (; at != TM_NONE; at = leases->items[at].node_next) {
        held_ms += leases->items[at].estimate_ms;
    }
    uint64_t life = LIFE_ESTIMATES * held_ms;
    life = life < leases->rules.min_ms ? leases->rules.min_ms : life;
    lease->life_ms = life < UINT32_MAX ? life : UINT32_MAX;
    lease->issued_ms = now_ms;
    lease->last_ms = now_ms + LIVES_MAX * lease->life_ms;
    renew(lease, now_ms);
}

tm_status tm_lease_grant(struct tm_leases *leases, uint32_t node, uint32_t slots, uint64_t now_ms,
                         uint32_t *out)
{
    *out = TM_NONE;
    const uint32_t *counts = leases->board->counts;
    bool backup = counts[TM_UNIT_OPEN] == 0;
    uint32_t limit =
        unit_limit(leases, node, slots, counts[backup ? TM_UNIT_LEASED : TM_UNIT_OPEN]);
    if (limit == 0 || now_ms < leases->peers->items[node].barred_ms ||
        (backup && counts[TM_UNIT_LEASED] == 0)) {
        return TM_OK;
    }
    uint32_t index = TM_NONE;
    TM_TRY(take_entry(leases, &index));
    leases->items[index] = (struct tm_lease){.node = node};
    link_lease(leases, index);
    if (backup) {
        take_late_units(leases, index, limit, now_ms);
    } else {
        take_open_units(leases, index, limit);
    }
    if (leases->items[index].unit_count == 0) {
        free_lease(leases, index);
        return TM_OK;
    }
    leases->issued++;
    leases->items[index].token = next_token(leases);
    start_life(leases, index, now_ms);
    *out = index;
    return TM_OK;
}

void tm_lease_message(const struct tm_leases *leases, uint32_t index, uint64_t now_ms,
                      struct tm_msg_lease *out)
{
    const struct tm_lease *lease = &leases->items[index];
    out->token = lease->token;
    out->epoch = leases->rules.epoch;
    out->deadline_ms = (uint32_t)(lease->deadline_ms - now_ms);
    out->unit_count = lease->unit_count;
    for (uint32_t i = 0; i < lease->unit_count; i++) {
        const struct tm_coord_unit *spec = &leases->board->units[lease->units[i]].spec;
        out->units[i] = (struct tm_msg_unit){.unit = lease->units[i],
                                             .source = spec->source,
                                             .source_bytes = spec->source_bytes,
                                             .dtype = spec->dtype,
                                             .rows = spec->rows,
                                             .cols = spec->cols,
                                             .pipeline = spec->pipeline};
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool is_named(const struct tm_msg_heartbeat *heartbeat, const struct tm_lease_token *token)
{
    for (uint32_t i = 0; i < heartbeat->token_count; i++) {
        if (memcmp(heartbeat->tokens[i].b, token->b, sizeof token->b) == 0) {
            return true;
        }
    }
    return false;
}

void tm_lease_named(struct tm_leases *leases, uint32_t node,
                    const struct tm_msg_heartbeat *heartbeat, uint64_t now_ms)
{
    bool complete = heartbeat->token_count < TM_MSG_TOKENS_MAX;
    uint64_t grace = (uint64_t)NAMED_GRACE * leases->rules.heartbeat_ms;
    for (uint32_t at = leases->peers->items[node].leases, next; at != TM_NONE; at = next) {
        struct tm_lease *lease = &leases->items[at];
        next = lease->node_next;
        if (is_named(heartbeat, &lease->token)) {
            renew(lease, now_ms);
        } else if (complete && now_ms - lease->named_ms >= grace) {
            end_lease(leases, at);
        }
    }
}

void tm_lease_greeted(struct tm_leases *leases, uint32_t node, uint64_t now_ms)
{
    uint32_t at = leases->peers->items[node].leases;
    for (; at != TM_NONE; at = leases->items[at].node_next) {
        leases->items[at].named_ms = now_ms;
    }
}

void tm_lease_progress(struct tm_leases *leases, uint32_t node, uint32_t unit, uint64_t now_ms)
{
    for (int place = 0; place < TM_UNIT_LEASES; place++) {
        uint32_t at = leases->board->units[unit].lease[place];
        if (at != TM_NONE && leases->items[at].node == node) {
            struct tm_lease *lease = &leases->items[at];
            lease->last_ms = now_ms + LIVES_MAX * lease->life_ms;
            renew(lease, now_ms);
            return;
        }
    }
}

void tm_lease_release(struct tm_leases *leases, uint32_t unit)
{
    for (int place = 0; place < TM_UNIT_LEASES; place++) {
        uint32_t at = leases->board->units[unit].lease[place];
        if (at != TM_NONE) {
            drop_unit(leases, at, unit);
            if (leases->items[at].live == 0) {
                free_lease(leases, at);
            }
        }
    }
}

void tm_lease_expire(struct tm_leases *leases, uint32_t node, uint64_t now_ms)
{
    struct tm_peer *peer = &leases->peers->items[node];
    for (uint32_t at = peer->leases, next; at != TM_NONE; at = next) {
        next = leases->items[at].node_next;
        if (now_ms >= leases->items[at].deadline_ms) {
            leases->expired++;
            peer->expiries++;
            tm_peer_bar(peer, peer->expiries, EXPIRIES_FREE, leases->rules.min_ms, now_ms);
            end_lease(leases, at);
        }
    }
}

void tm_lease_end_all(struct tm_leases *leases, uint32_t node)
{
    while (leases->peers->items[node].leases != TM_NONE) {
        end_lease(leases, leases->peers->items[node].leases);
    }
}
