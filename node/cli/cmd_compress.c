/* SPDX-License-Identifier: Apache-2.0
 * compress, submit, resume: three ways to run a job (node/coordinator/job.h, mesh.h). */
#include "node/cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/num.h"
#include "node/coordinator/gated.h"
#include "node/coordinator/mesh.h"

struct request {
    const struct tm_parsed *parsed;
    const char *listen, *key, *ready_file;
    const char *allow;                   /* comma-separated public keys, or NULL */
    const char *gate, *text, *task_data; /* gate NULL: none */
    uint64_t cache_bytes;
    bool fallback;
    unsigned workers;
    uint32_t audit_every;
    uint64_t started_ms;
    struct tm_buf steps; /* with fallback: a line for each recipe that missed */
};

/* From few bits a weight to all of them; bits: what a weight takes, about. */
static const struct {
    const char *name;
    double bits;
} recipes[] = {{"ternary", 1.7}, {"int4", 4.5}, {"int8", 8.5}, {"keep", 0}};
#define RECIPES (sizeof recipes / sizeof recipes[0])

/* The built-in recipe that loses less: one that takes fewer bits than the source does, or keep. Of
 * a file: as of int4. NULL when there is none. */
static const char *safer_recipe(const char *recipe, const struct tm_inventory *source)
{
    double bits = source->total_elements > 0
                      ? 8.0 * (double)source->total_bytes / (double)source->total_elements
                      : 0.0;
    size_t next = 2;
    for (size_t i = 0; i < RECIPES; i++) {
        next = strcmp(recipe, recipes[i].name) == 0 ? i + 1 : next;
    }
    while (next + 1 < RECIPES && recipes[next].bits >= bits) {
        next++;
    }
    return next < RECIPES ? recipes[next].name : NULL;
}

/* What the package says of itself, for the closing table. */
struct summary {
    uint64_t package_bytes, source_bytes, weights;
    double error; /* relative: sqrt(sum of squared errors / sum of squares) */
    uint32_t audited, nodes;
    char id[TM_DIGEST_TEXT];
};

static tm_status summarise(struct tm_job *job, struct summary *out, struct tm_err *err)
{
    struct tm_package *package = NULL;
    const struct tm_inventory *inv = tm_checkpoint_inventory(job->checkpoint);
    TM_TRY(tm_package_open(job->out_path, &package, err));
    const struct tm_pkg_ledger *ledger = tm_package_ledger(package);
    for (uint32_t i = 0; i < ledger->entry_count; i++) {
        out->audited += (ledger->entries[i].checks & TM_CHECK_AUDITED) != 0;
    }
    out->nodes = ledger->node_count;
    out->error = tm_pkg_relative_error(ledger, 0, ledger->entry_count);
    out->package_bytes = tm_package_bytes(package);
    out->source_bytes = inv->total_bytes;
    out->weights = inv->total_elements;
    tm_digest_hex(tm_package_id(package), out->id);
    tm_package_close(&package);
    return TM_OK;
}

static double bits_per_weight(const struct summary *s)
{
    return s->weights > 0 ? 8.0 * (double)s->package_bytes / (double)s->weights : 0;
}

static void write_gate(const struct request *request, const struct tm_gated *gated,
                       struct tm_jw *jw)
{
    tm_jw_object(jw, "gate");
    tm_jw_str(jw, "text", request->gate);
    tm_jw_bool(jw, "measured", gated->measured);
    if (!gated->measured) {
        tm_jw_str(jw, "reason", gated->reason);
    }
    tm_jw_array(jw, "missed");
    struct tm_view left = tm_buf_view(&request->steps);
    while (left.bytes > 0) {
        const uint8_t *end = memchr(left.data, '\n', left.bytes);
        size_t bytes = end != NULL ? (size_t)(end - left.data) : left.bytes;
        tm_jw_strn(jw, NULL, tm_view_of(left.data, bytes));
        left = end != NULL ? tm_view_of(end + 1, left.bytes - bytes - 1) : tm_view_str("");
    }
    tm_jw_array_end(jw);
    tm_jw_object_end(jw);
    if (gated->measured) {
        tm_jw_object(jw, "figures");
        tm_evaluation_write(&gated->evaluation, jw);
        tm_jw_object_end(jw);
    }
}

static tm_status print_json(const struct tm_job *job, const struct summary *s,
                            const struct request *request, const struct tm_gated *gated,
                            const struct tm_mesh_report *report, uint64_t ms, struct tm_err *err)
{
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.compress/1");
    tm_jw_str(&json.jw, "job", job->id);
    tm_jw_str(&json.jw, "recipe", job->recipe);
    tm_jw_str(&json.jw, "package", job->out_path);
    tm_jw_str(&json.jw, "package_id", s->id);
    tm_jw_u64(&json.jw, "package_bytes", s->package_bytes);
    tm_jw_u64(&json.jw, "source_bytes", s->source_bytes);
    tm_jw_u64(&json.jw, "weights", s->weights);
    tm_jw_f64(&json.jw, "bits_per_weight", bits_per_weight(s));
    tm_jw_f64(&json.jw, "relative_error", s->error);
    tm_jw_u64(&json.jw, "units", report->units);
    tm_jw_u64(&json.jw, "units_resumed", report->units_resumed);
    tm_jw_u64(&json.jw, "units_audited", s->audited);
    tm_jw_u64(&json.jw, "units_redone", report->redone);
    tm_jw_u64(&json.jw, "results_rejected", report->rejected);
    tm_jw_u64(&json.jw, "nodes", s->nodes);
    tm_jw_u64(&json.jw, "nodes_banned", report->nodes_banned);
    tm_jw_u64(&json.jw, "mesh_milliseconds", report->work_ms);
    tm_jw_u64(&json.jw, "milliseconds", ms);
    if (request->gate != NULL) {
        write_gate(request, gated, &json.jw);
    }
    return tm_envelope_end(&json, job->warnings, job->warning_count, err);
}

static void print_text(const struct tm_job *job, const struct summary *s,
                       const struct tm_mesh_report *report, uint64_t ms)
{
    char a[TM_NUM_TEXT], b[TM_NUM_TEXT], path[TM_PATH_MAX], ratio[32], bits[32], error[32], sec[32];
    double times = s->package_bytes > 0 ? (double)s->source_bytes / (double)s->package_bytes : 0;
    printf("package  %s\n", tm_escape(job->out_path, strlen(job->out_path), path, sizeof path));
    printf("id       %s\n", s->id);
    printf("size     %s from %s, %s times smaller, %s bits a weight\n",
           tm_format_bytes(s->package_bytes, a), tm_format_bytes(s->source_bytes, b),
           tm_cli_number(times, ratio), tm_cli_number(bits_per_weight(s), bits));
    printf("error    %s relative, over the compressed weights\n", tm_cli_number(s->error, error));
    printf("work     %u units by %u node%s, %u audited, %llu done again, %u node%s banned\n",
           report->units, s->nodes, s->nodes == 1 ? "" : "s", s->audited,
           (unsigned long long)report->redone, report->nodes_banned,
           report->nodes_banned == 1 ? "" : "s");
    printf("time     %s s\n", tm_cli_number((double)ms / 1000, sec));
}

static void print_gate(const struct request *request, const struct tm_gated *gated)
{
    const struct tm_quality *q = &gated->evaluation.quality;
    char a[32], b[32], c[32];
    if (!gated->measured) {
        char reason[512];
        printf("gate     held by the weights' error alone: %s\n",
               tm_escape(gated->reason, strlen(gated->reason), reason, sizeof reason));
        return;
    }
    printf("quality  perplexity %s x the source's, divergence %s, same top %s %%\n",
           tm_cli_number(q->ratio, a), tm_cli_number(q->kl_mean, b),
           tm_cli_number(100.0 * q->same_top, c));
    printf("gate     held: %s\n", request->gate);
}

/* "key,key,..." into an array; *out is freed by the caller. */
static tm_status parse_allow(const char *text, struct tm_public_key **out, size_t *count,
                             struct tm_err *err)
{
    *count = 0;
    *out = NULL;
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *end = strchr(at, ',');
        size_t bytes = end != NULL ? (size_t)(end - at) : strlen(at);
        struct tm_public_key *grown = tm_realloc_array(*out, *count + 1, sizeof **out);
        if (grown == NULL) {
            return TM_E_NOMEM;
        }
        *out = grown;
        TM_TRY(tm_public_key_parse(tm_view_of(at, bytes), &grown[*count], err));
        (*count)++;
        at = end != NULL ? end + 1 : NULL;
    }
    return TM_OK;
}

/* Passes events on; of one of them people need the contents: where nodes join, and with which key.
 */
struct announcer {
    struct tm_sink inner;
    bool print; /* text on stdout; with --json there is --ready-file */
};

static void announce(void *context, enum tm_level level, const char *event,
                     const struct tm_field *fields, size_t count)
{
    const struct announcer *a = context;
    const char *endpoint = NULL, *key = NULL;
    for (size_t i = 0; i < count && strcmp(event, "mesh.listening") == 0; i++) {
        endpoint = strcmp(fields[i].key, "endpoint") == 0 ? fields[i].text : endpoint;
        key = strcmp(fields[i].key, "server_key") == 0 ? fields[i].text : key;
    }
    if (a->print && endpoint != NULL && key != NULL) {
        printf("nodes join with\n  tmill node run --join %s --server-key %s\n", endpoint, key);
        fflush(stdout);
    }
    tm_event(&a->inner, level, event, fields, count);
}

static tm_status run_mesh(struct tm_job *job, const struct request *request,
                          const struct tm_identity *identity, struct tm_mesh_report *report,
                          struct tm_err *err)
{
    struct announcer announcer = {
        .inner = tm_cli_sink(request->parsed),
        .print = !request->parsed->json && !request->parsed->quiet,
    };
    struct tm_sink sink = {.emit = announce, .context = &announcer, .min_level = TM_LEVEL_DEBUG};
    struct tm_public_key *allow = NULL;
    size_t allow_count = 0;
    tm_status status = parse_allow(request->allow, &allow, &allow_count, err);
    if (status == TM_OK) {
        struct tm_mesh_options options = {
            .job = job,
            .identity = identity,
            .local_workers = request->workers,
            .listen = request->listen,
            .gate_program = "/proc/self/exe",
            .ready_file = request->ready_file,
            .audit_every = request->audit_every,
            .allow_any_node = allow_count == 0,
            .allow = allow,
            .allow_count = allow_count,
            .quiet = request->parsed->quiet,
            .sink = &sink,
            .stop = &tm_stop_signal,
        };
        status = tm_mesh_run(&options, report, err);
    }
    tm_free(allow);
    return status;
}

/* Merges, and holds the gate when there is one. */
static tm_status merge(struct tm_job *job, const struct request *request,
                       const struct tm_identity *identity, struct tm_gated *gated,
                       struct tm_err *err)
{
    struct tm_gated_options options = {
        .job = job,
        .owner = identity,
        .gate = request->gate,
        .text_path = request->text,
        .task_data = request->task_data,
        .cache_bytes = request->cache_bytes,
        .quiet = request->parsed->quiet,
        .stop = &tm_stop_signal,
    };
    if (request->gate == NULL) {
        return tm_job_merge(job, identity, request->parsed->quiet, err);
    }
    return tm_gated_merge(&options, gated, err);
}

/* From a prepared job to the package and the table. */
static tm_status finish_job(struct tm_job *job, const struct request *request, struct tm_err *err)
{
    struct tm_identity *identity = NULL;
    struct tm_mesh_report report;
    struct tm_gated gated = {.measured = false};
    struct summary summary;
    bool quiet = request->parsed->quiet;
    memset(&report, 0, sizeof report);
    memset(&summary, 0, sizeof summary);
    tm_status status;
    if (request->gate != NULL) {
        TM_TRY(tm_gated_save(job, request->gate, err));
    }
    TM_TRY_GOTO(tm_cli_identity(request->key, "owner", &identity, err), done);
    TM_TRY_GOTO(run_mesh(job, request, identity, &report, err), done);
    TM_TRY_GOTO(merge(job, request, identity, &gated, err), done);
    TM_TRY_GOTO(summarise(job, &summary, err), done);
    uint64_t ms = tm_clock_ms(tm_clock_os()) - request->started_ms;
    if (request->parsed->json) {
        status = print_json(job, &summary, request, &gated, &report, ms, err);
    } else {
        tm_cli_warnings(job->warnings, job->warning_count, quiet);
        print_text(job, &summary, &report, ms);
        if (request->gate != NULL) {
            print_gate(request, &gated);
        }
    }
done:
    tm_gated_deinit(&gated);
    tm_identity_destroy(&identity);
    return status;
}

static struct request request_of(const struct tm_command *command, const struct tm_parsed *parsed,
                                 bool mesh)
{
    struct request request = {
        .parsed = parsed,
        .key = tm_opt_text(command, parsed, "key"),
        .workers = tm_cpu_count(),
        .gate = tm_opt_text(command, parsed, "gate"),
        .text = tm_opt_text(command, parsed, "text"),
        .task_data = tm_opt_text(command, parsed, "task-data"),
        .cache_bytes = tm_opt_u64(command, parsed, "logits-cache"),
        .started_ms = tm_clock_ms(tm_clock_os()),
    };
    tm_buf_init(&request.steps, 1 << 16);
    if (tm_opt_text(command, parsed, "workers") != NULL) {
        request.workers = (unsigned)tm_opt_u64(command, parsed, "workers");
    }
    if (mesh) {
        request.listen = tm_opt_text(command, parsed, "listen");
        request.allow = tm_opt_text(command, parsed, "allow");
        request.ready_file = tm_opt_text(command, parsed, "ready-file");
        uint64_t every = tm_opt_u64(command, parsed, "audit-every");
        request.audit_every = every > UINT32_MAX ? UINT32_MAX : (uint32_t)every;
    }
    return request;
}

/* What a miss says of the way on. */
static void hint_safer(struct tm_err *err, const char *next)
{
    if (err != NULL && next != NULL) {
        snprintf(err->hint, sizeof err->hint,
                 "give --recipe %s, or --fallback to try what is safer; or widen the gate", next);
    }
}

/* A miss with --fallback: notes it and ends the job, so that the next recipe can be tried. */
static tm_status step_down(struct tm_job *job, struct request *request, const char *next,
                           struct tm_err *err)
{
    char line[1024];
    size_t from = request->steps.bytes;
    TM_TRY(tm_buf_printf(&request->steps, "%s%s: %s", from > 0 ? "\n" : "", job->recipe, err->why));
    from += from > 0;
    if (!request->parsed->json) {
        printf("missed   %s; next %s\n",
               tm_escape((const char *)request->steps.data + from, request->steps.bytes - from,
                         line, sizeof line),
               next);
        fflush(stdout);
    }
    return tm_job_finish(job, TM_JOB_CANCELLED, err);
}

/* Runs jobs until one holds the gate, or there is nothing safer. */
static tm_status run_jobs(struct tm_job_options *options, struct request *request,
                          struct tm_err *err)
{
    struct tm_err miss = {.status = TM_OK};
    for (;;) {
        struct tm_job *job = NULL;
        TM_TRY(tm_job_prepare(options, &job, err));
        const char *next = safer_recipe(options->recipe, tm_checkpoint_inventory(job->checkpoint));
        tm_status status = finish_job(job, request, &miss);
        bool down = status == TM_E_GATE && request->fallback && next != NULL;
        if (down) {
            status = step_down(job, request, next, &miss);
        } else if (status == TM_E_GATE) {
            hint_safer(&miss, next);
        }
        tm_job_close(&job);
        if (!down || status != TM_OK) {
            if (status != TM_OK && err != NULL) {
                *err = miss;
            }
            return status;
        }
        options->recipe = next;
    }
}

static tm_status check_request(const struct tm_command *command, const struct tm_parsed *parsed,
                               const struct request *request, struct tm_err *err)
{
    if (request->workers == 0 && request->listen == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--workers", "nobody would work",
                          "give --workers 1 or more", "0 workers and no --listen");
    }
    if (request->workers > 256) {
        return tm_err_set(err, TM_E_USAGE, "--workers", "too many", "give at most 256",
                          "%u workers", request->workers);
    }
    if (tm_opt_text(command, parsed, "output") == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--output", "missing option", "add -o OUT.tmpk",
                          "where should the package go?");
    }
    if (request->fallback && request->gate == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--fallback", "nothing to fall back from",
                          "add --gate default", "there is no gate");
    }
    return request->gate != NULL
               ? tm_gated_preflight(request->gate, request->text, request->task_data, err)
               : TM_OK;
}

static tm_status start(const struct tm_command *command, const struct tm_parsed *parsed, bool mesh,
                       struct tm_err *err)
{
    struct request request = request_of(command, parsed, mesh);
    struct tm_job_options options = {
        .model_path = parsed->arguments[0],
        .recipe = tm_opt_text(command, parsed, "recipe"),
        .out_path = tm_opt_text(command, parsed, "output"),
        .tensors_under = tm_opt_text(command, parsed, "tensors-under"),
        .quiet = parsed->quiet,
        .stop = &tm_stop_signal,
    };
    request.fallback = tm_opt_flag(command, parsed, "fallback");
    TM_TRY(check_request(command, parsed, &request, err));
    tm_status status = run_jobs(&options, &request, err);
    tm_buf_deinit(&request.steps);
    return status;
}

static tm_status run_compress(const struct tm_command *command, const struct tm_parsed *parsed,
                              struct tm_err *err)
{
    return start(command, parsed, false, err);
}

static tm_status run_submit(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    return start(command, parsed, true, err);
}

/* The gate of the command, or that of the job. */
static tm_status resume_job(struct tm_job *job, struct request *request, struct tm_buf *gate,
                            struct tm_err *err)
{
    TM_TRY(tm_gated_load(job, gate, err));
    if (request->gate == NULL && gate->bytes > 0) {
        request->gate = (const char *)gate->data;
    }
    if (request->gate != NULL) {
        TM_TRY(tm_gated_preflight(request->gate, request->text, request->task_data, err));
    }
    tm_status status = finish_job(job, request, err);
    if (status == TM_E_GATE && err != NULL) {
        snprintf(err->hint, sizeof err->hint, "resume with a wider --gate, or tmill cancel %s",
                 job->id);
    }
    return status;
}

static tm_status run_resume(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    struct tm_job *job = NULL;
    struct tm_buf gate;
    struct request request = request_of(command, parsed, true);
    struct tm_job_options options = {.quiet = parsed->quiet, .stop = &tm_stop_signal};
    TM_TRY(tm_job_open(NULL, parsed->arguments[0], &options, &job, err));
    tm_buf_init(&gate, 1 << 16);
    tm_status status = resume_job(job, &request, &gate, err);
    tm_buf_deinit(&gate);
    tm_job_close(&job);
    return status;
}

#define OPT_RECIPE                                                                                 \
    {                                                                                              \
        "recipe", 0, TM_OPT_TEXT, "NAME|FILE", NULL, "int8",                                       \
            "int8, int4, ternary, keep, or a file"                                                 \
    }
#define OPT_OUTPUT                                                                                 \
    {                                                                                              \
        "output", 'o', TM_OPT_TEXT, "FILE", NULL, NULL, "the package to write"                     \
    }
#define OPT_WORKERS                                                                                \
    {                                                                                              \
        "workers", 0, TM_OPT_U64, "N", NULL, NULL,                                                 \
            "encoding threads of this process (one per CPU)"                                       \
    }
#define OPT_KEY                                                                                    \
    {                                                                                              \
        "key", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "the owner's key, instead of the default one"   \
    }
#define OPT_LISTEN                                                                                 \
    {                                                                                              \
        "listen", 0, TM_OPT_TEXT, "ENDPOINT", NULL, NULL, "let nodes join: tcp://0.0.0.0:8471"     \
    }
#define OPT_ALLOW                                                                                  \
    {                                                                                              \
        "allow", 0, TM_OPT_TEXT, "KEYS", NULL, NULL, "only these node keys, comma-separated"       \
    }
#define OPT_AUDIT                                                                                  \
    {                                                                                              \
        "audit-every", 0, TM_OPT_U64, "N", NULL, "16", "encode one result in N again; 0: none"     \
    }
#define OPT_READY                                                                                  \
    {                                                                                              \
        "ready-file", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "write endpoint and server key here"     \
    }

#define OPT_GATE                                                                                   \
    {"gate",                                                                                       \
     0,                                                                                            \
     TM_OPT_TEXT,                                                                                  \
     "GATE",                                                                                       \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "measure the package; exit 7 unless it keeps this"},                                          \
        {"text",                                                                                   \
         't',                                                                                      \
         TM_OPT_TEXT,                                                                              \
         "FILE",                                                                                   \
         NULL,                                                                                     \
         NULL,                                                                                     \
         "the text to measure with, UTF-8 [a built-in one]"},                                      \
        {"task-data", 0, TM_OPT_TEXT, "FOLDER", NULL, NULL, "where the files of the tasks lie"},   \
    {                                                                                              \
        "logits-cache", 0, TM_OPT_SIZE, "SIZE", NULL, "2GiB",                                      \
            "keep so much of source models' logits on disk"                                        \
    }
#define OPT_FALLBACK                                                                               \
    {                                                                                              \
        "fallback", 0, TM_OPT_FLAG, NULL, NULL, NULL,                                              \
            "on a miss try the next safer recipe, down to keep"                                    \
    }

static const struct tm_option compress_options[] = {
    OPT_RECIPE, OPT_OUTPUT,   OPT_WORKERS,          OPT_KEY,
    OPT_GATE,   OPT_FALLBACK, TM_CLI_TENSORS_UNDER, {0}};
const struct tm_command tm_cmd_compress = {
    "compress",
    "MODEL",
    1,
    1,
    "compresses a model into a signed package, on this computer",
    "MODEL is a .safetensors, .gguf, .pth or llama2.c file, or a folder as Hugging Face has them. "
    "An\n"
    "interrupted job goes on when the same command is given again. With --gate the package is\n"
    "measured beside its source before it appears (tmill eval --help), and its figures go into it.",
    "  tmill compress model.gguf -o model.tmpk --recipe int4\n"
    "  tmill compress ./SmolLM2-135M -o smol.tmpk --recipe recipe.toml --workers 2\n"
    "  tmill compress model.gguf -o model.tmpk --recipe int4 --gate default --fallback",
    compress_options,
    run_compress,
};

static const struct tm_option submit_options[] = {
    OPT_RECIPE, OPT_OUTPUT, OPT_WORKERS, OPT_KEY,      OPT_LISTEN,           OPT_ALLOW,
    OPT_AUDIT,  OPT_READY,  OPT_GATE,    OPT_FALLBACK, TM_CLI_TENSORS_UNDER, {0}};
const struct tm_command tm_cmd_submit = {
    "submit",
    "MODEL",
    1,
    1,
    "compresses a model on a mesh of nodes; this process coordinates",
    "Prints the endpoint and the server key that nodes need (tmill node run). Every result is\n"
    "decoded and measured against the source, some are encoded again and compared bit for bit; a\n"
    "node that cheats is banned and its work is done again.",
    "  tmill submit model.gguf -o model.tmpk --recipe int4 --listen tcp://0.0.0.0:8471 --workers 0",
    submit_options,
    run_submit,
};

static const struct tm_option resume_options[] = {OPT_WORKERS, OPT_KEY,   OPT_LISTEN, OPT_ALLOW,
                                                  OPT_AUDIT,   OPT_READY, OPT_GATE,   {0}};
const struct tm_command tm_cmd_resume = {
    "resume",
    "JOB",
    1,
    1,
    "goes on with a job that was stopped or killed",
    "Nothing that was acknowledged is done again; the package has the same bytes as without the\n"
    "interruption.",
    "  tmill resume J3f2a\n"
    "  tmill resume J3f2a --listen tcp://0.0.0.0:8471 --workers 0",
    resume_options,
    run_resume,
};
