/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/mesh.h"

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "node/coordinator/mesh_loop.h"
#include "node/transport/zap.h"
#include "node/worker/worker_local.h"
#include "scheduler/worker.h"

#define SOURCE_BYTES (32u * 1024 * 1024) /* of sources on their way to nodes */
#define CHECKERS_MAX 4
#define AUDIT_FIRST 4 /* results of a new node */

/* Of tm_mesh_memory_bound. */
#define MIB (1024ull * 1024)
#define BASE_BYTES (24 * MIB) /* program, libraries, page cache of the journal, messages */
#define THREAD_BYTES                                                                               \
    (10 * MIB) /* a unit as source, as floats twice, coded twice, zstd's tables                    \
                */
#define CHUNK_BYTES (300 * 1024ull) /* the longest that a lossy unit can have: int of 8 bits */
#define UNIT_BYTES 1024ull          /* plan, journal's row, chunk and ledger entry, as text too */
#define TENSOR_BYTES 2048ull /* inventory, plan, package's entry: each as text too, growing */
#define NAME_COPIES 10       /* in all of those */
#define ATTACHMENT_COPIES 3  /* as read, as kept, as metadata */

/* ---- the worker in this process -------------------------------------------------------------- */

/* In a compute thread. A model that cannot be read or has changed ends the run. */
static tm_status read_source(void *context, uint32_t unit, struct tm_buf *out, struct tm_err *err)
{
    struct tm_mesh_local *local = context;
    tm_status status = tm_unit_source(local->mesh->job, unit, out, err);
    if (status != TM_OK && atomic_fetch_add(&local->faults, 1) == 0) {
        local->fault = *err;
        atomic_store(&local->faulty, true);
    }
    return status;
}

static void run_local(struct tm_pipe *pipe, void *context)
{
    struct tm_mesh_local *local = context;
    const struct tm_mesh_options *options = local->mesh->options;
    struct tm_worker_run_options run = {
        .endpoint = TM_LOCAL_ENDPOINT,
        .identity = options->identity,
        .name = "local",
        .threads = options->local_workers,
        .exit_when_done = true,
        .sink = NULL,
    };
    struct tm_worker_local here = {.transport = local->mesh->transport,
                                   .source = {.read = read_source, .context = local},
                                   .stop = pipe};
    local->status = tm_worker_run_local(&run, &here, &local->err);
    bool told = tm_pipe_send(pipe, local);
    TM_ASSERT(told);
}

static tm_status start_local(struct tm_mesh *m, struct tm_err *err)
{
    if (m->options->local_workers == 0) {
        return TM_OK;
    }
    m->local.mesh = m;
    return tm_actor_start(m->transport, run_local, &m->local, &m->local.actor, err);
}

static void end_local(struct tm_mesh *m)
{
    if (m->local.actor != NULL) {
        (void)!tm_pipe_send(tm_actor_pipe(m->local.actor), m); /* stop, if it has not ended */
        tm_actor_join(&m->local.actor, NULL);
    }
}

/* ---- the state machine ----------------------------------------------------------------------- */

static void fill_secrets(const struct tm_mesh *m, struct tm_coordinator_options *o)
{
    struct tm_view plan = tm_view_of(m->job->plan_digest.b, sizeof m->job->plan_digest.b);
    tm_identity_derive(m->options->identity, "audit", plan, o->audit_seed);
    tm_identity_derive(m->options->identity, "token", plan, o->token_seed);
}

static tm_status new_machine(struct tm_mesh *m, uint64_t epoch, struct tm_err *err)
{
    const struct tm_job *job = m->job;
    bool others = m->options->listen != NULL; /* our own threads need no audit */
    struct tm_coord_unit *units = tm_calloc(job->split.unit_count + 1u, sizeof *units);
    m->made = tm_calloc(job->split.unit_count + 1u, sizeof *m->made);
    tm_status status = TM_E_NOMEM;
    if (units != NULL && m->made != NULL) {
        for (uint32_t u = 0; u < job->split.unit_count; u++) {
            const struct tm_unit *from = &job->split.units[u];
            units[u] = (struct tm_coord_unit){.pipeline = from->pipeline,
                                              .group = from->group,
                                              .rows = from->rows,
                                              .cols = from->cols,
                                              .dtype = tm_unit_dtype(job, u),
                                              .source_bytes = from->source_bytes,
                                              .source = job->unit_source[u],
                                              .owner_made = from->lossless};
        }
        struct tm_coordinator_options options = {
            .units = units,
            .unit_count = job->split.unit_count,
            .pipelines = (const char(*)[TM_MSG_TEXT_MAX])job->plan.pipelines,
            .pipeline_count = job->plan.pipeline_count,
            .plan = job->plan_digest,
            .encoders = tm_encoders_digest(),
            .epoch = epoch,
            .audit_first = others && m->options->audit_every > 0 ? AUDIT_FIRST : 0,
            .audit_every = others ? m->options->audit_every : 0,
        };
        fill_secrets(m, &options);
        status = tm_coordinator_new(&options, &m->machine);
    }
    tm_free(units);
    return status == TM_OK ? TM_OK
                           : tm_err_set(err, status, NULL, "start the job", NULL, "out of memory");
}

static tm_status restore_result(struct tm_mesh *m, const struct tm_journal_result *result,
                                struct tm_err *err)
{
    struct tm_node_id node = tm_node_id_of(&result->node);
    tm_status status =
        tm_coordinator_restore_result(m->machine, result->unit, &node, &result->leaf);
    if (status != TM_OK) {
        return tm_err_set(err, status, m->job->dir, "read the journal", NULL,
                          "a result for unit %u of %u cannot be taken back", result->unit,
                          m->job->split.unit_count);
    }
    m->made[result->unit] = true;
    m->resumed++;
    return TM_OK;
}

/* Results whose chunk is whole are taken back; a result whose chunk is gone is made again. */
static tm_status restore_results(struct tm_mesh *m, struct tm_err *err)
{
    struct tm_journal_result *all = NULL;
    struct tm_journal_result *whole = NULL;
    size_t all_count = 0;
    size_t whole_count = 0;
    tm_status status = tm_journal_results(m->job->journal, &all, &all_count, err);
    if (status == TM_OK) {
        status = tm_job_results(m->job, &whole, &whole_count, err);
    }
    for (size_t i = 0, w = 0; status == TM_OK && i < all_count; i++) {
        if (w < whole_count && whole[w].unit == all[i].unit) {
            status = restore_result(m, &whole[w++], err);
        } else {
            TM_EVENT(m->options->sink, TM_LEVEL_WARN, "unit.lost",
                     {.key = "unit", .number = all[i].unit});
            status = tm_journal_drop_result(m->job->journal, all[i].unit, err);
        }
    }
    tm_free(all);
    tm_free(whole);
    return status;
}

static tm_status restore(struct tm_mesh *m, struct tm_err *err)
{
    struct tm_journal_ban *bans = NULL;
    size_t count = 0;
    TM_TRY(restore_results(m, err));
    TM_TRY(tm_journal_bans(m->job->journal, &bans, &count, err));
    tm_status status = TM_OK;
    for (size_t i = 0; status == TM_OK && i < count; i++) {
        status = tm_coordinator_restore_ban(m->machine, &bans[i].node);
    }
    tm_free(bans);
    return status == TM_OK ? TM_OK
                           : tm_err_set(err, status, NULL, "start the job", NULL, "out of memory");
}

static unsigned checker_count(void)
{
    unsigned half = tm_cpu_count() / 2;
    return half < 1 ? 1 : half > CHECKERS_MAX ? CHECKERS_MAX : half;
}

/* No tensor has more units, whatever its shape and recipe: a band of rows and a cut of a row have
 * more than half a block of weights each, but for the last; a lossless piece, four bytes for each
 * weight of a block, has at least half as many weights (of 8 bytes). */
static uint64_t units_of(const struct tm_tensor *tensor)
{
    uint64_t elements = 0;
    (void)!tm_shape_elements(&tensor->shape, &elements); /* was held to its bytes when read */
    return elements / (TM_BLOCK_WEIGHTS / 2) + 1;
}

uint64_t tm_mesh_memory_bound(const struct tm_inventory *inventory, unsigned local_workers)
{
    uint64_t bytes = BASE_BYTES + TM_MESH_RESULT_BYTES + TM_WORKER_UNITS_MAX * CHUNK_BYTES +
                     THREAD_BYTES * (local_workers + checker_count());
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        bytes += TENSOR_BYTES + UNIT_BYTES * units_of(&inventory->tensors[i]) +
                 NAME_COPIES * inventory->tensors[i].name_bytes;
    }
    for (size_t i = 0; i < inventory->attachment_count; i++) {
        const struct tm_attachment *a = &inventory->attachments[i];
        bytes += UNIT_BYTES * (a->bytes / TM_BLOCK_WEIGHTS + 1);
        bytes += a->in_memory ? ATTACHMENT_COPIES * a->bytes : 0;
    }
    return bytes;
}

/* ---- start and end --------------------------------------------------------------------------- */

static tm_status open_network(struct tm_mesh *m, uint64_t epoch, struct tm_err *err)
{
    const struct tm_mesh_options *o = m->options;
    bool gate = o->gate_program != NULL;
    TM_TRY(tm_transport_new(&m->transport, err));
    if (o->listen != NULL && !gate) {
        struct tm_zap_options zap = {
            .allow_any = o->allow_any_node, .allow = o->allow, .allow_count = o->allow_count};
        TM_TRY(tm_zap_start(m->transport, &zap, err));
    }
    struct tm_gate_options options = {.program = o->gate_program,
                                      .identity = o->identity,
                                      .allow_any = o->allow_any_node,
                                      .allow = o->allow,
                                      .allow_count = o->allow_count,
                                      .sink = o->sink};
    struct tm_mesh_ports_options ports = {.transport = m->transport,
                                          .identity = o->identity,
                                          .epoch = epoch,
                                          .local = o->local_workers > 0,
                                          .listen = o->listen,
                                          .gate = gate ? &options : NULL,
                                          .ready_file = o->ready_file};
    return tm_mesh_ports_new(&ports, &m->ports, err);
}

static tm_status start(struct tm_mesh *m, struct tm_err *err)
{
    uint64_t epoch = 0;
    TM_TRY(tm_selftest(NULL, err));
    TM_TRY(tm_journal_start_epoch(m->job->journal, &epoch, err));
    TM_TRY(new_machine(m, epoch, err));
    TM_TRY(restore(m, err));
    TM_TRY(open_network(m, epoch, err));
    if (tm_uploads_new(m->ports, TM_MESH_RESULT_BYTES, &m->uploads) != TM_OK ||
        tm_source_server_new(m->ports, m->job, SOURCE_BYTES, &m->sources) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start the job", NULL, "out of memory");
    }
    TM_TRY(tm_work_pool_new(m->transport, checker_count(), &m->pool, err));
    TM_TRY(tm_saver_new(m->transport, m->job, &m->saver, err));
    if (m->options->listen != NULL) {
        char key[TM_PUBLIC_KEY_TEXT];
        TM_EVENT(m->options->sink, TM_LEVEL_INFO, "mesh.listening",
                 {.key = "endpoint", .text = tm_mesh_ports_endpoint(m->ports)},
                 {.key = "server_key",
                  .text = tm_public_key_text(tm_identity_public(m->options->identity), key)});
    }
    return start_local(m, err);
}

static tm_status run(struct tm_mesh *m, struct tm_err *err)
{
    while (!m->done) {
        TM_TRY(tm_mesh_turn(m, err));
    }
    if (tm_mesh_write_nodes(m) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "note the nodes", NULL, "out of memory");
    }
    while (tm_saver_pending(m->saver) > 0) { /* a disk that fails now is no less broken */
        TM_TRY(tm_mesh_turn(m, err));
    }
    return TM_OK;
}

/* In this order: who may still use what comes later goes first. */
static void end(struct tm_mesh *m)
{
    end_local(m);
    tm_work_pool_destroy(&m->pool);
    if (m->saver != NULL) {
        tm_saver_destroy(&m->saver);
    }
    tm_uploads_destroy(&m->uploads);
    tm_source_server_destroy(&m->sources);
    tm_mesh_ports_destroy(&m->ports);
    tm_transport_destroy(&m->transport);
    tm_coordinator_destroy(&m->machine);
    tm_coord_actions_deinit(&m->actions);
    tm_progress_finish(&m->progress);
    tm_free(m->made);
}

static void fill_report(const struct tm_mesh *m, struct tm_mesh_report *report)
{
    struct tm_coord_status s = {0};
    if (m->machine != NULL) {
        tm_coordinator_status(m->machine, &s);
    }
    report->units = m->job->split.unit_count;
    report->units_resumed = m->resumed;
    report->work_ms = m->first_lease_ms != 0 ? m->done_ms - m->first_lease_ms : 0;
    report->nodes = s.nodes;
    report->nodes_banned = s.nodes_banned;
    report->audits = s.audits;
    report->rejected = s.rejected;
    report->redone = s.redone;
    report->leases_expired = s.leases_expired;
    report->source_bytes_sent = m->sources != NULL ? tm_source_server_sent(m->sources) : 0;
}

tm_status tm_mesh_run(const struct tm_mesh_options *options, struct tm_mesh_report *report,
                      struct tm_err *err)
{
    uint64_t started = tm_clock_ms(tm_clock_os());
    struct tm_progress_options progress = {.label = "encode",
                                           .total = options->job->split.unit_count,
                                           .unit = TM_PROGRESS_ITEMS,
                                           .item_name = "units",
                                           .quiet = options->quiet};
    struct tm_mesh *m = tm_calloc(1, sizeof *m);
    *report = (struct tm_mesh_report){0};
    if (m == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start the job", NULL, "out of memory");
    }
    m->options = options;
    m->job = options->job;
    tm_coord_actions_init(&m->actions);
    m->progress = tm_progress_new(&progress);
    tm_status status = start(m, err);
    if (status == TM_OK) {
        status = run(m, err);
    }
    fill_report(m, report);
    bool cancelled = m->cancelled;
    end(m);
    tm_free(m);
    if (status != TM_OK) {
        struct tm_err ignored;
        (void)!tm_journal_set_state(options->job->journal,
                                    cancelled ? TM_JOB_CANCELLED : TM_JOB_STOPPED, &ignored);
    }
    report->wall_ms = tm_clock_ms(tm_clock_os()) - started;
    return status;
}
