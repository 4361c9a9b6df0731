/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/figures.h"

#include <stdio.h>
#include <string.h>

#include "node/common/decode.h"

#define SCHEMA "tensormill.figures/1"

static const char what_failed[] = "the figures do not verify";

/* "arc=/a/b,mini" as "arc,mini": where files lay is of no use to others. */
static tm_status task_names(const char *tasks, struct tm_buf *out)
{
    bool name = true;
    for (const char *at = tasks != NULL ? tasks : ""; *at != '\0'; at++) {
        name = *at == ',' || (name && *at != '=');
        if (name) {
            TM_TRY(tm_buf_put_u8(out, (uint8_t)*at));
        }
    }
    return tm_buf_terminate(out);
}

tm_status tm_figures_write(const struct tm_evaluate_options *options,
                           const struct tm_evaluation *evaluation, struct tm_buf *out)
{
    struct tm_jw jw;
    struct tm_buf tasks;
    tm_buf_init(&tasks, 1 << 16);
    tm_status status = task_names(options->tasks, &tasks);
    if (status == TM_OK) {
        tm_jw_begin(&jw, out, true);
        tm_jw_object(&jw, NULL);
        tm_jw_str(&jw, "schema", SCHEMA);
        tm_jw_object(&jw, "settings");
        tm_jw_bool(&jw, "built_in_text", options->text_path == NULL);
        tm_jw_str(&jw, "tasks", (const char *)tasks.data);
        tm_jw_u64(&jw, "task_items", options->task_items);
        tm_jw_bool(&jw, "robust", options->robust);
        tm_jw_u64(&jw, "seed", options->seed);
        tm_jw_object_end(&jw);
        tm_evaluation_write(evaluation, &jw);
        tm_jw_object_end(&jw);
        status = tm_jw_end(&jw);
    }
    tm_buf_deinit(&tasks);
    return status == TM_OK ? tm_buf_put_u8(out, '\n') : status;
}

tm_status tm_figures_read(struct tm_package *package, struct tm_buf *out, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    struct tm_decoder *decoder = NULL;
    uint32_t index = tm_pkg_attachment_find(meta, TM_PACKAGE_FIGURES);
    if (index == UINT32_MAX) {
        return TM_E_NOTHING;
    }
    TM_TRY(tm_decoder_new(package, &decoder, err));
    tm_status status = tm_decoder_attachment(decoder, index, out, err);
    tm_decoder_destroy(&decoder);
    return status;
}

/* ---- checking ---- */

static tm_status malformed(const char *path, const char *why, struct tm_err *err)
{
    return tm_err_set(err, TM_E_MALFORMED, path, "cannot read the package's figures",
                      "ask the package's owner", "%s", why);
}

/* The settings of the figures into *o; texts stay in doc. */
static tm_status read_settings(const struct tm_json *root, const char *path,
                               struct tm_evaluate_options *o, bool *built_in, bool *has_base,
                               struct tm_err *err)
{
    const struct tm_json *settings = tm_json_get(root, "settings");
    struct tm_view schema, tasks;
    uint64_t items, context, windows;
    if (!tm_json_str(tm_json_get(root, "schema"), &schema) || !tm_view_eq_str(schema, SCHEMA)) {
        return malformed(path, "their schema is not " SCHEMA, err);
    }
    if (!tm_json_bool(tm_json_get(settings, "built_in_text"), built_in) ||
        !tm_json_str(tm_json_get(settings, "tasks"), &tasks) ||
        !tm_json_u64(tm_json_get(settings, "task_items"), &items) ||
        !tm_json_bool(tm_json_get(settings, "robust"), &o->robust) ||
        !tm_json_u64(tm_json_get(settings, "seed"), &o->seed) ||
        !tm_json_u64(tm_json_get(root, "context"), &context) ||
        !tm_json_u64(tm_json_get(root, "windows"), &windows)) {
        return malformed(path, "a setting is missing", err);
    }
    if (context > (1u << 24) || windows > (1u << 30)) {
        return malformed(path, "their context or number of windows is impossible", err);
    }
    o->tasks = tasks.bytes > 0 ? (const char *)tasks.data : NULL;
    o->task_items = items;
    o->context = (uint32_t)context;
    o->tokens = context * windows;
    *has_base = tm_json_get(root, "base") != NULL;
    return TM_OK;
}

/* Both are of several lines; names the first that differs. */
static tm_status compare(const char *path, struct tm_view is, struct tm_view again,
                         struct tm_err *err)
{
    size_t at = 0, line = 0;
    if (tm_view_eq(is, again)) {
        return TM_OK;
    }
    for (; at < is.bytes && at < again.bytes && is.data[at] == again.data[at]; at++) {
        line = is.data[at] == '\n' ? at + 1 : line;
    }
    const uint8_t *end_is = memchr(is.data + line, '\n', is.bytes - line);
    const uint8_t *end_again = memchr(again.data + line, '\n', again.bytes - line);
    size_t is_bytes = end_is != NULL ? (size_t)(end_is - is.data) - line : is.bytes - line;
    size_t again_bytes =
        end_again != NULL ? (size_t)(end_again - again.data) - line : again.bytes - line;
    return tm_err_set(err, TM_E_VERIFY, path, what_failed,
                      "do not use the package; ask its owner for the base that it was measured "
                      "with",
                      "it says %.*s, measuring again gives %.*s",
                      (int)(is_bytes < 120 ? is_bytes : 120), (const char *)is.data + line,
                      (int)(again_bytes < 120 ? again_bytes : 120),
                      (const char *)again.data + line);
}

static tm_status check_text(const struct tm_figures_check *check, struct tm_view text,
                            struct tm_err *err)
{
    struct tm_evaluate_options o = {.model_path = check->package_path,
                                    .base_path = check->base_path,
                                    .under = check->under,
                                    .text_path = check->text_path,
                                    .task_data = check->task_data,
                                    .threads = check->threads,
                                    .cache_bytes = check->cache_bytes,
                                    .quiet = check->quiet,
                                    .stop = check->stop};
    struct tm_evaluation evaluation = {.text = NULL};
    struct tm_json_doc *doc = NULL;
    struct tm_buf again;
    bool built_in = false, has_base = false;
    tm_buf_init(&again, TM_FIGURES_BYTES_MAX);
    TM_TRY(tm_json_parse(text, check->package_path, &doc, err));
    tm_status status =
        read_settings(tm_json_root(doc), check->package_path, &o, &built_in, &has_base, err);
    if (status == TM_OK && built_in != (check->text_path == NULL)) {
        status = tm_err_set(err, TM_E_USAGE, "--text", "cannot check the figures",
                            built_in ? "leave --text out" : "give the text with --text",
                            built_in ? "they were measured with the built-in text"
                                     : "they were not measured with the built-in text");
    } else if (status == TM_OK && has_base != (check->base_path != NULL)) {
        status =
            tm_err_set(err, TM_E_USAGE, "--against", "cannot check the figures",
                       has_base ? "give the source model with --against" : "leave --against out",
                       has_base ? "they compare with a base" : "they compare with no base");
    }
    if (status == TM_OK) {
        status = tm_evaluate(&o, &evaluation, err);
    }
    if (status == TM_OK) {
        status = tm_figures_write(&o, &evaluation, &again);
    }
    if (status == TM_OK) {
        status = compare(check->package_path, text, tm_buf_view(&again), err);
    }
    tm_evaluation_deinit(&evaluation);
    tm_json_free(&doc);
    tm_buf_deinit(&again);
    return status;
}

tm_status tm_figures_check(const struct tm_figures_check *check, struct tm_err *err)
{
    struct tm_package *package = NULL;
    struct tm_buf text;
    tm_buf_init(&text, TM_FIGURES_BYTES_MAX);
    tm_status status = tm_package_open(check->package_path, &package, err);
    if (status == TM_OK) {
        status = tm_figures_read(package, &text, err);
        tm_package_close(&package);
    }
    if (status == TM_E_NOTHING) {
        status = tm_err_set(err, TM_E_NOT_FOUND, check->package_path, "cannot check the figures",
                            "tmill compress --gate puts them in", "the package has none");
    }
    if (status == TM_OK) {
        status = check_text(check, tm_buf_view(&text), err);
    }
    tm_buf_deinit(&text);
    return status;
}
