/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/sim/sim.h"

bool sim_is_honest(const struct sim_node *node)
{
    return node->kind == SIM_HONEST || node->kind == SIM_SLOW || node->kind == SIM_HOARDER ||
           node->kind == SIM_STALLER; /* these two say nothing false */
}

static bool lies_now(struct sim *sim, const struct sim_node *node)
{
    return node->kind == SIM_LIAR || node->kind == SIM_GARBAGE || node->kind == SIM_STALLER ||
           (node->kind == SIM_PART_LIAR && sim_percent(sim, 30));
}

static void encode(struct sim *sim, uint32_t index, uint32_t unit)
{
    struct sim_node *node = &sim->nodes[index];
    sim->encodes++;
    if (node->kind == SIM_HOARDER) {
        return;
    }
    uint64_t takes = node->encode_ms + tm_rng_below(&sim->rng, node->encode_ms);
    struct sim_event *event =
        sim_schedule(sim, takes * (node->kind == SIM_SLOW ? 20 : 1), SIM_ENCODED);
    event->node = index;
    event->unit = unit;
    event->life = node->life;
    event->leaf = sim_truth(sim, unit);
    if (lies_now(sim, node)) {
        tm_rng_fill(&sim->rng, event->leaf.b, sizeof event->leaf.b);
    }
}

static void act(struct sim *sim, uint32_t index, const struct tm_worker_action *action)
{
    struct sim_node *node = &sim->nodes[index];
    bool faulty = sim->now_ms < sim->faults_end_ms;
    struct sim_event *event = NULL;
    switch (action->type) {
    case TM_WACT_SEND:
    case TM_WACT_UPLOAD:
        sim_send(sim, SIM_TO_COORDINATOR, index, action->msg);
        break;
    case TM_WACT_FETCH:
        event = sim_schedule(sim, 1 + tm_rng_below(&sim->rng, 200), SIM_FETCHED);
        event->node = index;
        event->unit = action->unit;
        event->life = node->life;
        event->audit = faulty && sim_percent(sim, 10); /* here: the fetch failed */
        break;
    case TM_WACT_ENCODE:
        if (!tm_digest_eq(&action->plan, &sim->plan)) {
            sim_fail(sim, "node %" PRIu32 " encodes for another plan", index);
        }
        encode(sim, index, action->unit);
        break;
    case TM_WACT_FORGET:
        node->made[action->unit] = false;
        break;
    case TM_WACT_STOP:
        node->stopped = true;
        if (action->banned && sim_is_honest(node)) {
            sim_fail(sim, "honest node %" PRIu32 " is told that it is banned", index);
        }
        break;
    }
}

static void step(struct sim *sim, uint32_t index, const struct tm_worker_event *event)
{
    struct tm_worker_actions actions;
    tm_worker_actions_init(&actions);
    if (tm_worker_step(sim->nodes[index].worker, event, sim->now_ms, &actions) != TM_OK) {
        sim_fail(sim, "a worker's step failed");
    }
    for (size_t i = 0; i < actions.count; i++) {
        act(sim, index, &actions.items[i]);
    }
    tm_worker_actions_deinit(&actions);
}

static void on_frame(struct sim *sim, const struct sim_event *event)
{
    static struct tm_msg msg;
    struct tm_err err = {0};
    if (tm_wire_unpack(tm_buf_view(&event->frame), &msg, &err) != TM_OK) {
        sim_fail(sim, "the coordinator's frame is refused: %s: %s", err.where, err.why);
        return;
    }
    step(sim, event->node, &(struct tm_worker_event){.type = TM_WEV_MESSAGE, .msg = &msg});
}

void sim_node_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (node->worker == NULL || (event->kind != SIM_TO_NODE && event->life != node->life)) {
        return;
    }
    struct tm_worker_event out = {.unit = event->unit, .leaf = event->leaf};
    switch (event->kind) {
    case SIM_TO_NODE:
        on_frame(sim, event);
        break;
    case SIM_FETCHED:
        out.type = event->audit ? TM_WEV_FETCH_FAILED : TM_WEV_FETCHED;
        step(sim, event->node, &out);
        break;
    case SIM_ENCODED:
        node->made[event->unit] = true;
        node->leaf[event->unit] = event->leaf;
        out.type = TM_WEV_ENCODED;
        out.bytes = 1000;
        out.compute_ms = node->encode_ms;
        step(sim, event->node, &out);
        break;
    default:
        TM_ASSERT(event->kind == SIM_TICK_NODE);
        step(sim, event->node, &(struct tm_worker_event){.type = TM_WEV_TICK});
        struct sim_event *tick = sim_schedule(sim, SIM_TICK_MS, SIM_TICK_NODE);
        tick->node = event->node;
        tick->life = event->life;
        break;
    }
}

void sim_node_start(struct sim *sim, uint32_t index)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->worker != NULL) {
        return;
    }
    struct tm_worker_options options = {.prefetch = 1 + (uint32_t)tm_rng_below(&sim->rng, 16),
                                        .compute_slots = 1 + (uint32_t)tm_rng_below(&sim->rng, 3),
                                        .reconnect_min_ms = 200,
                                        .reconnect_max_ms = 4000,
                                        .jitter_seed = tm_rng_u64(&sim->rng),
                                        .hello = {.protocol = TM_PROTOCOL_VERSION,
                                                  .software = "sim",
                                                  .key = node->key,
                                                  .cores = 1 + (uint32_t)tm_rng_below(&sim->rng, 4),
                                                  .encoders = sim->encoders,
                                                  .speed_count = 1}};
    snprintf(options.hello.name, sizeof options.hello.name, "node-%" PRIu32, index);
    memcpy(options.hello.speeds[0].pipeline, "int4", 5);
    options.hello.speeds[0].weights_per_s = 64u * 4096 * 1000 / node->encode_ms;
    if (tm_worker_new(&options, &node->worker) != TM_OK) {
        sim_fail(sim, "no worker");
        return;
    }
    node->life++;
    node->stopped = false;
    struct sim_event *tick = sim_schedule(sim, 0, SIM_TICK_NODE);
    tick->node = index;
    tick->life = node->life;
}

void sim_node_crash(struct sim *sim, uint32_t index)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->worker == NULL) {
        return;
    }
    sim->restarts++;
    tm_worker_destroy(&node->worker);
    memset(node->made, 0, sizeof node->made);
    sim_schedule(sim, tm_rng_below(&sim->rng, 10000), SIM_NODE_STARTS)->node = index;
}
