/* SPDX-License-Identifier: Apache-2.0
 * inspect: what a model or a package holds. */
#include "node/cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/num.h"
#include "base/progress.h"
#include "model/calibration/cal_file.h"
#include "model/checkpoint.h"
#include "node/common/decode.h"
#include "node/coordinator/mesh.h"
#include "node/report/archs.h"

#define NAME_TEXT 1024

static void json_shape(struct tm_jw *jw, const uint64_t *dim, uint32_t rank)
{
    tm_jw_array(jw, "shape");
    for (uint32_t d = 0; d < rank; d++) {
        tm_jw_u64(jw, NULL, dim[d]);
    }
    tm_jw_array_end(jw);
}

/* ---- models ---- */

struct model_view {
    struct tm_checkpoint *checkpoint;
    const struct tm_inventory *inv;
    bool tensors, hash;
    struct tm_progress *progress;
    uint64_t hashed;
};

static tm_status hash_of(struct model_view *view, size_t i, char hex[TM_DIGEST_TEXT],
                         struct tm_err *err)
{
    struct tm_digest digest;
    hex[0] = '\0';
    if (!view->hash) {
        return TM_OK;
    }
    if (tm_stop_signal != 0) {
        return tm_err_set(err, TM_E_STOPPED, tm_checkpoint_path(view->checkpoint), "stopped", NULL,
                          "asked to stop while hashing");
    }
    TM_TRY(tm_checkpoint_hash(view->checkpoint, i, &digest, err));
    view->hashed += view->inv->tensors[i].bytes;
    tm_progress_update(view->progress, view->hashed, NULL);
    tm_digest_hex(&digest, hex);
    return TM_OK;
}

/* Since inspect.model/1 the formats are written small there. */
static const char *json_format(enum tm_format format)
{
    return format == TM_FORMAT_GGUF ? "gguf" : tm_format_name(format);
}

static tm_status model_json(struct model_view *view, struct tm_err *err)
{
    const struct tm_inventory *inv = view->inv;
    struct tm_envelope json;
    tm_status status = TM_OK;
    tm_envelope_begin(&json, "tmill.inspect.model/1");
    tm_jw_str(&json.jw, "kind", "model");
    tm_jw_str(&json.jw, "path", tm_checkpoint_path(view->checkpoint));
    tm_jw_str(&json.jw, "format", json_format(inv->format));
    tm_jw_str(&json.jw, "arch", inv->arch != NULL ? inv->arch : "");
    tm_jw_u64(&json.jw, "tensor_count", inv->tensor_count);
    tm_jw_u64(&json.jw, "weights", inv->total_elements);
    tm_jw_u64(&json.jw, "bytes", inv->total_bytes);
    tm_jw_u64(&json.jw, "tokens", inv->token_count);
    tm_jw_u64(&json.jw, "merges", inv->merge_count);
    tm_jw_u64(&json.jw, "compress_memory_bytes", tm_mesh_memory_bound(inv, tm_cpu_count()));
    tm_jw_array(&json.jw, "files");
    for (size_t i = 0; i < inv->file_count; i++) {
        tm_jw_str(&json.jw, NULL, inv->files[i]);
    }
    tm_jw_array_end(&json.jw);
    tm_jw_array(&json.jw, "attachments");
    for (size_t i = 0; i < inv->attachment_count; i++) {
        tm_jw_object(&json.jw, NULL);
        tm_jw_str(&json.jw, "file", inv->attachments[i].name);
        tm_jw_u64(&json.jw, "bytes", inv->attachments[i].bytes);
        tm_jw_object_end(&json.jw);
    }
    tm_jw_array_end(&json.jw);
    if (view->tensors || view->hash) {
        tm_jw_array(&json.jw, "tensors");
        for (size_t i = 0; i < inv->tensor_count && status == TM_OK; i++) {
            const struct tm_tensor *t = &inv->tensors[i];
            char hex[TM_DIGEST_TEXT];
            status = hash_of(view, i, hex, err);
            tm_jw_object(&json.jw, NULL);
            tm_jw_strn(&json.jw, "name", tm_view_of(t->name, t->name_bytes));
            tm_jw_str(&json.jw, "dtype", tm_dtype_name(t->dtype));
            json_shape(&json.jw, t->shape.dim, t->shape.rank);
            tm_jw_u64(&json.jw, "bytes", t->bytes);
            if (view->hash) {
                tm_jw_str(&json.jw, "sha256", hex);
            }
            tm_jw_object_end(&json.jw);
        }
        tm_jw_array_end(&json.jw);
    }
    if (status != TM_OK) {
        tm_buf_deinit(&json.text);
        return status;
    }
    return tm_envelope_end(&json, inv->warnings, inv->warning_count, err);
}

static void model_head(const struct model_view *view)
{
    const struct tm_inventory *inv = view->inv;
    const char *path = tm_checkpoint_path(view->checkpoint);
    char name[NAME_TEXT], a[TM_NUM_TEXT], b[TM_NUM_TEXT];
    printf("model     %s\n", tm_escape(path, strlen(path), name, sizeof name));
    printf("format    %s, architecture %s\n", tm_format_name(inv->format),
           inv->arch != NULL && inv->arch[0] != '\0'
               ? tm_escape(inv->arch, strlen(inv->arch), name, sizeof name)
               : "unknown");
    printf("tensors   %zu, %llu weights, %s in %zu file%s\n", inv->tensor_count,
           (unsigned long long)inv->total_elements, tm_format_bytes(inv->total_bytes, a),
           inv->file_count, inv->file_count == 1 ? "" : "s");
    if (inv->token_count > 0) {
        printf("tokenizer %llu tokens, %llu merges\n", (unsigned long long)inv->token_count,
               (unsigned long long)inv->merge_count);
    }
    printf("compress  needs at most %s of memory here\n",
           tm_format_bytes(tm_mesh_memory_bound(inv, tm_cpu_count()), b));
}

static tm_status model_text(struct model_view *view, struct tm_err *err)
{
    model_head(view);
    for (size_t i = 0; i < view->inv->tensor_count && (view->tensors || view->hash); i++) {
        const struct tm_tensor *t = &view->inv->tensors[i];
        char hex[TM_DIGEST_TEXT], name[NAME_TEXT], shape[256], bytes[TM_NUM_TEXT];
        TM_TRY(hash_of(view, i, hex, err));
        tm_progress_pause(view->progress);
        printf("%-7s %-20s %10s  %s%s%s\n", tm_dtype_name(t->dtype),
               tm_shape_text(&t->shape, shape, sizeof shape), tm_format_bytes(t->bytes, bytes), hex,
               view->hash ? "  " : "", tm_escape(t->name, t->name_bytes, name, sizeof name));
    }
    return TM_OK;
}

static tm_status inspect_model(const char *path, const char *under, const struct tm_parsed *parsed,
                               bool tensors, bool hash, struct tm_err *err)
{
    struct model_view view = {.tensors = tensors, .hash = hash};
    TM_TRY(tm_checkpoint_open_under(path, under, &view.checkpoint, err));
    view.inv = tm_checkpoint_inventory(view.checkpoint);
    if (hash) {
        view.progress =
            tm_progress_new(&(struct tm_progress_options){.label = "hash",
                                                          .total = view.inv->total_bytes,
                                                          .unit = TM_PROGRESS_BYTES,
                                                          .quiet = parsed->quiet});
    }
    tm_status status = parsed->json ? model_json(&view, err) : model_text(&view, err);
    tm_progress_finish(&view.progress);
    if (status == TM_OK && !parsed->json) {
        tm_cli_warnings(view.inv->warnings, view.inv->warning_count, parsed->quiet);
    }
    tm_checkpoint_close(&view.checkpoint);
    return status;
}

/* ---- packages ---- */

struct tensor_sum {
    uint64_t bytes;
    double error; /* relative */
};

static struct tensor_sum sum_tensor(const struct tm_pkg_meta *meta,
                                    const struct tm_pkg_ledger *ledger, uint32_t i)
{
    const struct tm_pkg_tensor *t = &meta->tensors[i];
    struct tensor_sum sum = {0, 0};
    for (uint32_t c = t->first_chunk; c < t->first_chunk + t->chunk_count; c++) {
        sum.bytes += meta->chunks[c].bytes;
    }
    sum.error = tm_pkg_relative_error(ledger, t->first_chunk, t->chunk_count);
    return sum;
}

static tm_status package_json(const struct tm_package *package, bool tensors, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    const struct tm_pkg_ledger *ledger = tm_package_ledger(package);
    char hex[TM_DIGEST_TEXT], key[TM_PUBLIC_KEY_TEXT];
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.inspect.package/1");
    tm_jw_str(&json.jw, "kind", "package");
    tm_jw_str(&json.jw, "model", meta->model_name);
    tm_jw_str(&json.jw, "arch", meta->arch);
    tm_jw_str(&json.jw, "package_id", tm_digest_hex(tm_package_id(package), hex));
    tm_jw_str(&json.jw, "merkle_root", tm_digest_hex(tm_package_root(package), hex));
    tm_jw_str(&json.jw, "plan_digest", tm_digest_hex(&meta->plan_digest, hex));
    tm_jw_str(&json.jw, "owner", tm_public_key_text(tm_package_owner(package), key));
    tm_jw_u64(&json.jw, "bytes", tm_package_bytes(package));
    tm_jw_u64(&json.jw, "tensor_count", meta->tensor_count);
    tm_jw_u64(&json.jw, "chunks", meta->chunk_count);
    tm_jw_u64(&json.jw, "nodes", ledger->node_count);
    tm_jw_u64(&json.jw, "nodes_banned", ledger->banned_count);
    if (tensors) {
        tm_jw_array(&json.jw, "tensors");
        for (uint32_t i = 0; i < meta->tensor_count; i++) {
            const struct tm_pkg_tensor *t = &meta->tensors[i];
            struct tensor_sum sum = sum_tensor(meta, ledger, i);
            tm_jw_object(&json.jw, NULL);
            tm_jw_strn(&json.jw, "name", tm_view_of(t->name, t->name_bytes));
            tm_jw_str(&json.jw, "dtype", tm_dtype_name((enum tm_dtype)t->dtype));
            json_shape(&json.jw, t->dim, t->rank);
            tm_jw_str(&json.jw, "pipeline", meta->pipelines[t->pipeline]);
            tm_jw_u64(&json.jw, "bytes", sum.bytes);
            tm_jw_u64(&json.jw, "source_bytes", t->source_bytes);
            tm_jw_f64(&json.jw, "relative_error", sum.error);
            tm_jw_str(&json.jw, "sha256", tm_digest_hex(&t->source, hex));
            tm_jw_object_end(&json.jw);
        }
        tm_jw_array_end(&json.jw);
    }
    return tm_envelope_end(&json, NULL, 0, err);
}

static void package_text(const struct tm_package *package, bool tensors)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    const struct tm_pkg_ledger *ledger = tm_package_ledger(package);
    char text[NAME_TEXT], bytes[TM_NUM_TEXT];
    printf("package   %s\n", tm_digest_hex(tm_package_id(package), text));
    printf("model     %s\n",
           tm_escape(meta->model_name, strlen(meta->model_name), text, sizeof text));
    printf("owner     %s\n", tm_public_key_text(tm_package_owner(package), text));
    printf("size      %s, %u tensors, %u chunks\n",
           tm_format_bytes(tm_package_bytes(package), bytes), meta->tensor_count,
           meta->chunk_count);
    printf("made by   %u node%s, %u banned\n", ledger->node_count,
           ledger->node_count == 1 ? "" : "s", ledger->banned_count);
    for (uint32_t i = 0; i < meta->tensor_count && tensors; i++) {
        const struct tm_pkg_tensor *t = &meta->tensors[i];
        struct tensor_sum sum = sum_tensor(meta, ledger, i);
        char error[32];
        printf("%-36s %10s  error %-8s %s\n", meta->pipelines[t->pipeline],
               tm_format_bytes(sum.bytes, bytes), tm_cli_number(sum.error, error),
               tm_escape(t->name, t->name_bytes, text, sizeof text));
    }
}

static tm_status inspect_package(const char *path, bool tensors, bool json, struct tm_err *err)
{
    struct tm_package *package = NULL;
    tm_status status = TM_OK;
    TM_TRY(tm_package_open(path, &package, err));
    if (json) {
        status = package_json(package, tensors, err);
    } else {
        package_text(package, tensors);
    }
    tm_package_close(&package);
    return status;
}

/* ---- architectures ---- */

static tm_status inspect_archs(bool json, struct tm_err *err)
{
    struct tm_envelope envelope;
    struct tm_buf text;
    if (json) {
        tm_envelope_begin(&envelope, "tmill.inspect.archs/1");
        tm_archs_json(&envelope.jw);
        return tm_envelope_end(&envelope, NULL, 0, err);
    }
    tm_buf_init(&text, 1 << 16);
    tm_status status = tm_archs_text(&text);
    if (status == TM_OK) {
        fwrite(text.data, 1, text.bytes, stdout);
    } else {
        tm_err_set(err, status, NULL, "cannot list the architectures", NULL, "%s",
                   tm_status_text(status));
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status run_inspect(const struct tm_command *command, const struct tm_parsed *parsed,
                             struct tm_err *err)
{
    const char *path = parsed->arguments[0];
    bool archs = tm_opt_flag(command, parsed, "archs");
    if (archs == (parsed->argument_count > 0)) {
        return tm_err_set(err, TM_E_USAGE, "inspect",
                          archs ? "too many arguments" : "missing argument",
                          "give a file, or --archs alone; see tmill inspect --help",
                          archs ? "--archs is about all models" : "it needs a file, or --archs");
    }
    if (archs) {
        return inspect_archs(parsed->json, err);
    }
    bool tensors = tm_opt_flag(command, parsed, "tensors");
    bool hash = tm_opt_flag(command, parsed, "hash");
    if (tm_cal_file_is(path)) {
        return tm_cli_show_calibration(path, parsed->json, err);
    }
    if (tm_package_is(path)) {
        return inspect_package(path, tensors || hash, parsed->json, err);
    }
    return inspect_model(path, tm_opt_text(command, parsed, "tensors-under"), parsed, tensors, hash,
                         err);
}

static const struct tm_option options[] = {
    {"tensors", 0, TM_OPT_FLAG, NULL, NULL, NULL, "list every tensor"},
    {"hash", 0, TM_OPT_FLAG, NULL, NULL, NULL, "with the SHA-256 of each tensor's source bytes"},
    {"archs", 0, TM_OPT_FLAG, NULL, NULL, NULL,
     "which architectures can be compressed, calibrated and run"},
    TM_CLI_TENSORS_UNDER,
    {0},
};
const struct tm_command tm_cmd_inspect = {
    "inspect",
    "MODEL|PKG|TMCAL",
    0,
    1,
    "shows what a model, a package or a calibration holds",
    NULL,
    "  tmill inspect model.safetensors --tensors\n"
    "  tmill inspect model.tmpk --tensors --json\n"
    "  tmill inspect --archs",
    options,
    run_inspect,
};
