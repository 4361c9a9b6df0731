/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tests/sim/sim.h"

static const char pipelines[2][TM_MSG_TEXT_MAX] = {"int4", "ternary"};

bool sim_is_audited(const struct sim *sim, uint32_t unit)
{
    uint8_t text[36];
    memcpy(text, sim->audit_seed, 32);
    tm_set_u32(text + 32, unit);
    struct tm_digest digest = tm_digest_of(tm_view_of(text, sizeof text));
    return sim->audit_every > 0 && tm_get_u64(digest.b) % sim->audit_every == 0;
}

static uint32_t index_of(const struct sim *sim, const struct tm_node_id *id)
{
    uint32_t i = 0;
    while (i < sim->node_count && !tm_node_id_eq(&sim->nodes[i].id, id)) {
        i++;
    }
    TM_ASSERT(i < sim->node_count);
    return i;
}

/* ---- journal --------------------------------------------------------------------------------- */

static void journal_write(struct sim *sim, struct sim_write write)
{
    struct sim_journal *j = &sim->journal;
    if (j->count == j->capacity) {
        j->capacity = j->capacity > 0 ? 2 * j->capacity : 64;
        j->writes = tm_realloc_array(j->writes, j->capacity, sizeof *j->writes);
        TM_ASSERT(j->writes != NULL);
    }
    if (j->count > 0 && write.seq != j->writes[j->count - 1].seq + 1) {
        sim_fail(sim, "the journal got seq %" PRIu64 " out of order", write.seq);
    }
    j->writes[j->count++] = write;
    if (!sim->commit_due) {
        sim->commit_due = true;
        sim_schedule(sim, 1 + tm_rng_below(&sim->rng, 20), SIM_COMMITTED)->life = sim->life;
    }
}

/* Makes the first writes durable. */
static void journal_commit(struct sim *sim, size_t count)
{
    struct sim_journal *j = &sim->journal;
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sim_write *write = &j->writes[i];
        if (!write->ban) {
            if (j->rows[write->unit].set) {
                sim_fail(sim, "unit %" PRIu32 " is saved twice", write->unit);
            }
            j->rows[write->unit] =
                (struct sim_row){.set = true, .node = write->node, .leaf = write->leaf};
            continue;
        }
        j->banned[write->node] = true;
        for (uint32_t u = 0; u < sim->unit_count; u++) {
            if (j->rows[u].set && !sim->units[u].owner_made && j->rows[u].node == write->node) {
                j->rows[u].set = false;
            }
        }
    }
    memmove(j->writes, j->writes + count, (j->count - count) * sizeof *j->writes);
    j->count -= count;
}

/* ---- bytes in memory ------------------------------------------------------------------------- */

static bool is_row(const struct sim_row *row, uint32_t node, const struct tm_digest *leaf)
{
    return row->set && row->node == node && tm_digest_eq(&row->leaf, leaf);
}

static void release(struct sim *sim, uint32_t unit, uint32_t node, const struct tm_digest *leaf)
{
    if (is_row(&sim->holding[unit], node, leaf)) {
        sim->holding[unit].set = false;
        sim->holding_count--;
    }
    if (is_row(&sim->expecting[unit], node, leaf)) {
        sim->expecting[unit].set = false;
    }
}

static void hold(struct sim *sim, uint32_t unit, uint32_t node, const struct tm_digest *leaf)
{
    if (sim->holding[unit].set) {
        sim_fail(sim, "two results of unit %" PRIu32 " are held", unit);
    }
    sim->holding_count++;
    sim->holding[unit] = (struct sim_row){.set = true, .node = node, .leaf = *leaf};
}

/* ---- actions --------------------------------------------------------------------------------- */

static void check_sent(struct sim *sim, uint32_t node, const struct tm_msg *msg)
{
    if (msg->type == TM_MSG_LEASE && sim->banned_now[node]) {
        sim_fail(sim, "banned node %" PRIu32 " got a lease", node);
    }
    if (msg->type == TM_MSG_RECEIPT && msg->receipt.verdict != TM_RECEIPT_REJECTED) {
        const struct sim_row *row = &sim->journal.rows[msg->receipt.unit];
        bool own = msg->receipt.verdict == TM_RECEIPT_DUPLICATE || row->node == node;
        if (!row->set || !own || !tm_digest_eq(&row->leaf, &msg->receipt.leaf)) {
            sim_fail(sim, "unit %" PRIu32 " is acknowledged and not durable", msg->receipt.unit);
        }
    }
}

static void on_done(struct sim *sim)
{
    if (sim->done) {
        sim_fail(sim, "done came twice");
    }
    if (sim->journal.count > 0) {
        sim_fail(sim, "done, and %zu writes are not durable", sim->journal.count);
    }
    for (uint32_t u = 0; u < sim->unit_count; u++) {
        if (!sim->journal.rows[u].set) {
            sim_fail(sim, "done, and unit %" PRIu32 " is not durable", u);
        }
    }
    sim->done = true;
    sim->done_ms = sim->now_ms;
}

static void upload_begins(struct sim *sim, uint32_t node, const struct tm_coord_action *action)
{
    const struct sim_node *n = &sim->nodes[node];
    sim->expecting[action->unit] =
        (struct sim_row){.set = true, .node = node, .leaf = action->leaf};
    bool faulty = sim->now_ms < sim->faults_end_ms;
    if (n->worker == NULL || n->kind == SIM_STALLER || (faulty && sim_percent(sim, 10))) {
        return;
    }
    if (!n->made[action->unit] || !tm_digest_eq(&n->leaf[action->unit], &action->leaf)) {
        return; /* forgotten, or made anew */
    }
    struct sim_event *event = sim_schedule(sim, 2 + tm_rng_below(&sim->rng, 100), SIM_UPLOADED);
    event->node = node;
    event->unit = action->unit;
    event->leaf = action->leaf;
    event->life = sim->life;
}

static void on_ban(struct sim *sim, uint32_t node, const struct tm_coord_action *action)
{
    if (sim_is_honest(&sim->nodes[node])) {
        sim_fail(sim, "honest node %" PRIu32 " is banned: %s", node, action->reason);
    }
    sim->bans++;
    sim->banned_now[node] = true;
    journal_write(sim, (struct sim_write){.seq = action->seq, .ban = true, .node = node});
}

static void act(struct sim *sim, const struct tm_coord_action *action)
{
    uint32_t node = action->type != TM_ACT_DONE ? index_of(sim, &action->node) : 0;
    struct sim_event *event = NULL;
    switch (action->type) {
    case TM_ACT_SEND:
        check_sent(sim, node, action->msg);
        sim_send(sim, SIM_TO_NODE, node, action->msg);
        break;
    case TM_ACT_ACCEPT_UPLOAD:
        upload_begins(sim, node, action);
        break;
    case TM_ACT_CHECK:
        event =
            sim_schedule(sim, 1 + tm_rng_below(&sim->rng, action->audit ? 300 : 30), SIM_CHECKED);
        event->node = node;
        event->unit = action->unit;
        event->leaf = action->leaf;
        event->audit = action->audit;
        event->life = sim->life;
        break;
    case TM_ACT_PERSIST:
        release(sim, action->unit, node, &action->leaf);
        journal_write(
            sim, (struct sim_write){
                     .seq = action->seq, .unit = action->unit, .node = node, .leaf = action->leaf});
        break;
    case TM_ACT_DROP:
        release(sim, action->unit, node, &action->leaf);
        break;
    case TM_ACT_BAN:
        on_ban(sim, node, action);
        break;
    case TM_ACT_DONE:
        on_done(sim);
        break;
    }
}

static void step(struct sim *sim, const struct tm_coord_event *event)
{
    struct tm_coord_actions actions;
    tm_coord_actions_init(&actions);
    if (tm_coordinator_step(sim->coordinator, event, sim->now_ms, &actions) != TM_OK) {
        sim_fail(sim, "the coordinator's step failed");
    }
    for (size_t i = 0; i < actions.count; i++) {
        act(sim, &actions.items[i]);
    }
    tm_coord_actions_deinit(&actions);
    struct tm_coord_status status;
    tm_coordinator_status(sim->coordinator, &status);
    if (status.done + status.leased + status.checking + status.todo != sim->unit_count) {
        sim_fail(sim, "the states of units do not add up");
    }
    if (sim->holding_count > SIM_UPLOADS_MAX) {
        sim_fail(sim, "%" PRIu32 " results are held in memory", sim->holding_count);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_frame(struct sim *sim, const struct sim_event *event)
{
    static struct tm_msg msg;
    struct tm_err err = {0};
    if (tm_wire_unpack(tm_buf_view(&event->frame), &msg, &err) != TM_OK) {
        sim_fail(sim, "a worker's frame is refused: %s: %s", err.where, err.why);
        return;
    }
    step(sim, &(struct tm_coord_event){
                  .type = TM_EV_MESSAGE, .node = sim->nodes[event->node].id, .msg = &msg});
}

static void on_checked(struct sim *sim, const struct sim_event *event)
{
    const struct sim_node *node = &sim->nodes[event->node];
    struct tm_digest truth = sim_truth(sim, event->unit);
    struct tm_coord_event out = {.type = TM_EV_CHECKED,
                                 .node = node->id,
                                 .unit = event->unit,
                                 .leaf = event->leaf,
                                 .audited = event->audit,
                                 .verdict = TM_VERDICT_GOOD};
    if (!tm_digest_eq(&truth, &event->leaf)) {
        bool garbage = node->kind == SIM_GARBAGE;
        out.verdict = garbage        ? TM_VERDICT_MALFORMED
                      : event->audit ? TM_VERDICT_MISMATCH
                                     : TM_VERDICT_GOOD;
    }
    if (sim->now_ms < sim->faults_end_ms && sim_percent(sim, 2)) {
        out.verdict = TM_VERDICT_NOT_CHECKED;
        out.audited = false;
    }
    step(sim, &out);
}

/* Group commit: all that waits, or only its front; the rest comes with the next one. */
static void on_committed(struct sim *sim)
{
    struct sim_journal *j = &sim->journal;
    size_t count = sim_percent(sim, 30) ? (size_t)tm_rng_below(&sim->rng, j->count + 1) : j->count;
    uint64_t seq = count > 0 ? j->writes[count - 1].seq : 0;
    journal_commit(sim, count);
    sim->commit_due = j->count > 0;
    if (sim->commit_due) {
        sim_schedule(sim, 1 + tm_rng_below(&sim->rng, 20), SIM_COMMITTED)->life = sim->life;
    }
    step(sim, &(struct tm_coord_event){.type = TM_EV_PERSISTED, .seq = seq});
}

void sim_coordinator_event(struct sim *sim, const struct sim_event *event)
{
    /* Frames wait for whoever listens next; everything else dies with its process. */
    bool frame = event->kind == SIM_TO_COORDINATOR;
    if (sim->coordinator == NULL || (!frame && event->life != sim->life)) {
        return;
    }
    switch (event->kind) {
    case SIM_TO_COORDINATOR:
        on_frame(sim, event);
        break;
    case SIM_UPLOADED:
        if (!is_row(&sim->expecting[event->unit], event->node, &event->leaf)) {
            break; /* given up meanwhile, or complete already */
        }
        sim->expecting[event->unit].set = false;
        hold(sim, event->unit, event->node, &event->leaf);
        step(sim, &(struct tm_coord_event){.type = TM_EV_RECEIVED,
                                           .node = sim->nodes[event->node].id,
                                           .unit = event->unit,
                                           .leaf = event->leaf});
        break;
    case SIM_CHECKED:
        on_checked(sim, event);
        break;
    case SIM_COMMITTED:
        on_committed(sim);
        break;
    case SIM_OWNER_MADE:
        sim->journal.rows[event->unit] = (struct sim_row){.set = true};
        step(sim, &(struct tm_coord_event){.type = TM_EV_OWNER_DONE, .unit = event->unit});
        break;
    default:
        TM_ASSERT(event->kind == SIM_TICK_COORDINATOR);
        step(sim, &(struct tm_coord_event){.type = TM_EV_TICK});
        sim_schedule(sim, SIM_TICK_MS, SIM_TICK_COORDINATOR)->life = sim->life;
        break;
    }
}

static void restore(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        sim->banned_now[i] = sim->journal.banned[i];
        if (sim->journal.banned[i] &&
            tm_coordinator_restore_ban(sim->coordinator, &sim->nodes[i].id) != TM_OK) {
            sim_fail(sim, "a ban is not restored");
        }
    }
    for (uint32_t u = 0; u < sim->unit_count; u++) {
        const struct sim_row *row = &sim->journal.rows[u];
        if (row->set) {
            const struct tm_node_id *id = &sim->nodes[row->node].id;
            if (tm_coordinator_restore_result(sim->coordinator, u, id, &row->leaf) != TM_OK) {
                sim_fail(sim, "unit %" PRIu32 " is not restored", u);
            }
        } else if (sim->units[u].owner_made) {
            struct sim_event *event =
                sim_schedule(sim, tm_rng_below(&sim->rng, 2000), SIM_OWNER_MADE);
            event->unit = u;
            event->life = sim->life;
        }
    }
}

void sim_coordinator_start(struct sim *sim)
{
    if (sim->coordinator != NULL) {
        return;
    }
    struct tm_coordinator_options options = {.units = sim->units,
                                             .unit_count = sim->unit_count,
                                             .pipelines = pipelines,
                                             .pipeline_count = 2,
                                             .plan = sim->plan,
                                             .encoders = sim->encoders,
                                             .epoch = ++sim->epoch,
                                             .lease_min_ms = SIM_LEASE_MIN_MS,
                                             .heartbeat_ms = SIM_HEARTBEAT_MS,
                                             .audit_first = sim->audit_first,
                                             .audit_every = sim->audit_every,
                                             .uploads_max = SIM_UPLOADS_MAX};
    memcpy(options.audit_seed, sim->audit_seed, sizeof options.audit_seed);
    if (tm_coordinator_new(&options, &sim->coordinator) != TM_OK) {
        sim_fail(sim, "no coordinator");
        return;
    }
    sim->life++;
    sim->commit_due = false;
    sim->done = false;
    memset(sim->holding, 0, sizeof sim->holding);
    memset(sim->expecting, 0, sizeof sim->expecting);
    sim->holding_count = 0;
    restore(sim);
    sim_schedule(sim, 0, SIM_TICK_COORDINATOR)->life = sim->life;
}

void sim_coordinator_crash(struct sim *sim)
{
    if (sim->coordinator == NULL) {
        return;
    }
    sim->restarts++;
    tm_coordinator_destroy(&sim->coordinator);
    /* All or nothing of the commit in flight reached the disk; nobody was told. */
    journal_commit(sim, sim_percent(sim, 50) ? sim->journal.count : 0);
    sim->journal.count = 0;
    sim_schedule(sim, tm_rng_below(&sim->rng, 5000), SIM_COORDINATOR_STARTS);
}
