/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#define HEAL_LIMIT_MS (20u * 60 * 1000) /* after the last fault */
#define AFTERLIFE_MS 30000              /* in which every node must learn that the job is done */

void sim_fail(struct sim *sim, const char *fmt, ...)
{
    if (sim->failure[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim->failure, sizeof sim->failure, fmt, args);
    va_end(args);
}

bool sim_percent(struct sim *sim, uint32_t percent)
{
    return tm_rng_below(&sim->rng, 100) < percent;
}

struct tm_digest sim_truth(const struct sim *sim, uint32_t unit)
{
    uint8_t text[36];
    memcpy(text, sim->units[unit].source.b, 32);
    tm_set_u32(text + 32, unit);
    return tm_digest_of(tm_view_of(text, sizeof text));
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event c = *a;
    *a = *b;
    *b = c;
}

/* The returned event may be filled until the next call: place in time does not depend on it. */
struct sim_event *sim_schedule(struct sim *sim, uint64_t in_ms, enum sim_event_kind kind)
{
    if (sim->heap_count == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity > 0 ? 2 * sim->heap_capacity : 256;
        sim->heap = tm_realloc_array(sim->heap, sim->heap_capacity, sizeof *sim->heap);
        TM_ASSERT(sim->heap != NULL);
    }
    size_t at = sim->heap_count++;
    sim->heap[at] =
        (struct sim_event){.at_ms = sim->now_ms + in_ms, .order = sim->order++, .kind = kind};
    while (at > 0 && before(&sim->heap[at], &sim->heap[(at - 1) / 2])) {
        swap(&sim->heap[at], &sim->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    return &sim->heap[at];
}

static struct sim_event next_event(struct sim *sim)
{
    struct sim_event first = sim->heap[0];
    sim->heap[0] = sim->heap[--sim->heap_count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < sim->heap_count && before(&sim->heap[child], &sim->heap[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        swap(&sim->heap[at], &sim->heap[least]);
        at = least;
    }
}

/* ---- network --------------------------------------------------------------------------------- */

static bool faulty(const struct sim *sim)
{
    return sim->now_ms < sim->faults_end_ms;
}

void sim_send(struct sim *sim, enum sim_event_kind to, uint32_t node, const struct tm_msg *msg)
{
    if (faulty(sim) && sim_percent(sim, sim->loss_percent)) {
        return;
    }
    int copies = faulty(sim) && sim_percent(sim, sim->twice_percent) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        uint64_t delay = 1 + tm_rng_below(&sim->rng, faulty(sim) ? sim->delay_ms : 5);
        struct sim_event *event = sim_schedule(sim, delay, to);
        event->node = node;
        tm_buf_init(&event->frame, TM_BULK_BYTES_MAX);
        if (tm_wire_pack(msg, &event->frame) != TM_OK) {
            sim_fail(sim, "%s cannot be packed", tm_msg_type_name(msg->type));
        }
    }
}

/* ---- the world ------------------------------------------------------------------------------- */

static void draw_nodes(struct sim *sim)
{
    sim->node_count = 3 + (uint32_t)tm_rng_below(&sim->rng, SIM_NODES_MAX - 2);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        /* The first is honest, or nothing could be promised; of the others about half are. */
        bool honest = i == 0 || sim_percent(sim, 50);
        node->kind = honest ? SIM_HONEST : (enum sim_kind)tm_rng_below(&sim->rng, SIM_KINDS);
        tm_rng_fill(&sim->rng, node->key.b, sizeof node->key.b);
        node->id = tm_node_id_of(&node->key);
        node->encode_ms = 20 + (uint32_t)tm_rng_below(&sim->rng, 400);
        sim_schedule(sim, tm_rng_below(&sim->rng, 3000), SIM_NODE_STARTS)->node = i;
    }
}

static void draw_job(struct sim *sim)
{
    sim->unit_count = 1 + (uint32_t)tm_rng_below(&sim->rng, SIM_UNITS_MAX);
    for (uint32_t i = 0; i < sim->unit_count; i++) {
        struct tm_coord_unit *unit = &sim->units[i];
        *unit = (struct tm_coord_unit){.pipeline = (uint32_t)tm_rng_below(&sim->rng, 2),
                                       .group = i / 12,
                                       .rows = 64,
                                       .cols = 4096,
                                       .source_bytes = 64 * 4096 * 2,
                                       .owner_made = sim_percent(sim, 5)};
        tm_rng_fill(&sim->rng, unit->source.b, sizeof unit->source.b);
    }
    sim->audit_first = 1 + (uint32_t)tm_rng_below(&sim->rng, 3);
    sim->audit_every = (uint32_t)tm_rng_below(&sim->rng, 2) * 8;
    tm_rng_fill(&sim->rng, sim->audit_seed, sizeof sim->audit_seed);
    tm_rng_fill(&sim->rng, sim->plan.b, sizeof sim->plan.b);
}

static void draw_faults(struct sim *sim)
{
    static const uint32_t crashes[] = {0, 500, 2000, 10000};
    sim->faults_end_ms = tm_rng_below(&sim->rng, 60000);
    sim->loss_percent = (uint32_t)tm_rng_below(&sim->rng, 31);
    sim->twice_percent = (uint32_t)tm_rng_below(&sim->rng, 51);
    sim->delay_ms = 1 + (uint32_t)tm_rng_below(&sim->rng, 1000);
    sim->crash_every_ms = crashes[tm_rng_below(&sim->rng, 4)];
    for (uint64_t at = 0; sim->crash_every_ms > 0 && at < sim->faults_end_ms;) {
        at += 1 + tm_rng_below(&sim->rng, 2 * sim->crash_every_ms);
        bool coordinator = sim_percent(sim, 30);
        struct sim_event *event =
            sim_schedule(sim, at, coordinator ? SIM_COORDINATOR_CRASHES : SIM_NODE_CRASHES);
        event->node = (uint32_t)tm_rng_below(&sim->rng, sim->node_count);
    }
}

static void run_event(struct sim *sim, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_TICK_COORDINATOR:
    case SIM_TO_COORDINATOR:
    case SIM_UPLOADED:
    case SIM_CHECKED:
    case SIM_COMMITTED:
    case SIM_OWNER_MADE:
        sim_coordinator_event(sim, event);
        break;
    case SIM_COORDINATOR_STARTS:
        sim_coordinator_start(sim);
        break;
    case SIM_COORDINATOR_CRASHES:
        sim_coordinator_crash(sim);
        break;
    case SIM_NODE_STARTS:
        sim_node_start(sim, event->node);
        break;
    case SIM_NODE_CRASHES:
        sim_node_crash(sim, event->node);
        break;
    default:
        sim_node_event(sim, event);
        break;
    }
    tm_buf_deinit(&event->frame);
}

/* After the end: each unit durable, and right unless a part-time liar was lucky. */
static void check_results(struct sim *sim)
{
    for (uint32_t u = 0; u < sim->unit_count; u++) {
        const struct sim_row *row = &sim->journal.rows[u];
        struct tm_digest truth = sim_truth(sim, u);
        if (!row->set) {
            sim_fail(sim, "unit %" PRIu32 " is not durable at the end", u);
        } else if (!sim->units[u].owner_made && !tm_digest_eq(&row->leaf, &truth)) {
            sim->wrong++;
            if (sim->nodes[row->node].kind != SIM_PART_LIAR || sim_is_audited(sim, u)) {
                sim_fail(sim, "unit %" PRIu32 " is wrong at the end, by node %" PRIu32, u,
                         row->node);
            }
        }
    }
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (node->worker != NULL && !node->stopped && sim_is_honest(node)) {
            sim_fail(sim, "node %" PRIu32 " still waits %u ms after the end", i, AFTERLIFE_MS);
        }
    }
    if (sim->holding_count > 0) {
        sim_fail(sim, "%" PRIu32 " results are still held at the end", sim->holding_count);
    }
}

void sim_run(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    tm_rng_init(&sim->rng, seed);
    draw_job(sim);
    draw_nodes(sim);
    draw_faults(sim);
    sim_schedule(sim, 0, SIM_COORDINATOR_STARTS);
    while (sim->failure[0] == '\0' && sim->heap_count > 0) {
        uint64_t at = sim->heap[0].at_ms;
        uint64_t calm_ms = sim->done_ms > sim->faults_end_ms ? sim->done_ms : sim->faults_end_ms;
        if (sim->done && at > calm_ms + AFTERLIFE_MS) {
            break;
        }
        struct sim_event event = next_event(sim);
        sim->now_ms = event.at_ms;
        if (!sim->done && sim->now_ms > sim->faults_end_ms + HEAL_LIMIT_MS) {
            sim_fail(sim, "not done %u s after the last fault", HEAL_LIMIT_MS / 1000);
        }
        run_event(sim, &event);
    }
    if (sim->failure[0] == '\0') {
        check_results(sim);
    }
}

void sim_deinit(struct sim *sim)
{
    for (size_t i = 0; i < sim->heap_count; i++) {
        tm_buf_deinit(&sim->heap[i].frame);
    }
    tm_free(sim->heap);
    tm_free(sim->journal.writes);
    tm_coordinator_destroy(&sim->coordinator);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        tm_worker_destroy(&sim->nodes[i].worker);
    }
}
