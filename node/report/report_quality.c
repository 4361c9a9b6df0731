/* SPDX-License-Identifier: Apache-2.0
 * Figures of quality out of the files of `tmill eval --json`. */
#include "node/report/report.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "node/quality/figures.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define BITS_MAX 64.0 /* of a weight that is a float64 */

static const char what_failed[] = "cannot read the figures";

static tm_status malformed(const char *path, const char *key, struct tm_err *err)
{
    return tm_err_set(err, TM_E_MALFORMED, path, what_failed,
                      "tmill eval MODEL --base SOURCE --json writes them",
                      "'%s' is missing or no number that it can be", key);
}

/* ... a finite number that is not negative. */
static bool number(const struct tm_json *from, const char *key, double *out)
{
    double value = 0;
    if (!tm_json_f64(tm_json_get(from, key), &value) || !(value >= 0 && value < 1e300)) {
        return false;
    }
    *out = value;
    return true;
}

struct field {
    const char *key;
    double *out;
};

/* The first key that is missing, or NULL. */
static const char *read_fields(const struct tm_json *from, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!number(from, fields[i].key, fields[i].out)) {
            return fields[i].key;
        }
    }
    return NULL;
}

static const char *read_figures(const struct tm_json *data, struct tm_quality *q)
{
    const struct tm_json *base = tm_json_get(data, "base");
    const struct field alone[] = {
        {"nll", &q->nll},
        {"nll_error", &q->nll_error},
        {"perplexity", &q->perplexity},
        {"perplexity_error", &q->perplexity_error},
    };
    const struct field beside[] = {
        {"nll", &q->base_nll},        {"perplexity", &q->base_perplexity},
        {"ratio", &q->ratio},         {"ratio_error", &q->ratio_error},
        {"kl_mean", &q->kl_mean},     {"kl_error", &q->kl_error},
        {"kl_median", &q->kl_median}, {"kl_99", &q->kl_99},
        {"kl_max", &q->kl_max},       {"same_top", &q->same_top},
    };
    const char *missing = read_fields(data, alone, sizeof alone / sizeof alone[0]);
    if (missing == NULL && (!tm_json_u64(tm_json_get(data, "tokens"), &q->tokens) ||
                            !tm_json_u64(tm_json_get(data, "windows"), &q->windows))) {
        missing = "tokens";
    }
    if (missing == NULL && base != NULL) {
        q->has_base = true;
        missing = read_fields(base, beside, sizeof beside / sizeof beside[0]);
    }
    return missing;
}

/* ---- tasks ---- */

/* Figures of a task or of a variant of it; those that are not there are left out. */
static void read_task(const struct tm_json *from, struct tm_view name, const char *variant,
                      uint64_t items, struct tm_report_quality *q)
{
    struct tm_report_task t = {.items = items};
    const struct field beside[] = {
        {"kept", &t.kept},
        {"kept_error", &t.kept_error},
    };
    if (!number(from, "accuracy", &t.accuracy) ||
        !number(from, "accuracy_error", &t.accuracy_error) ||
        q->task_count == TM_REPORT_TASKS_MAX) {
        return;
    }
    t.has_base = number(tm_json_get(from, "base"), "accuracy", &t.base_accuracy) &&
                 read_fields(from, beside, sizeof beside / sizeof beside[0]) == NULL;
    snprintf(t.name, sizeof t.name, "%.*s%s%s", name.bytes < 16 ? (int)name.bytes : 16,
             (const char *)name.data, variant[0] != '\0' ? ", " : "", variant);
    q->tasks[q->task_count++] = t;
}

static void read_tasks(const struct tm_json *list, struct tm_report_quality *q)
{
    for (size_t i = 0; i < tm_json_count(list); i++) {
        const struct tm_json *task = tm_json_at(list, i);
        struct tm_view name;
        uint64_t items = 0;
        if (!tm_json_str(tm_json_get(task, "task"), &name) ||
            !tm_json_u64(tm_json_get(task, "items"), &items)) {
            continue;
        }
        read_task(task, name, "", items, q);
        for (int v = TM_TASK_PLAIN + 1; v < TM_TASK_VARIANTS; v++) {
            const char *variant = tm_task_variant_name((enum tm_task_variant)v);
            read_task(tm_json_get(task, variant), name, variant, items, q);
        }
    }
}

/* ---- adding ---- */

static tm_status has_room(const struct tm_report *report, const char *where, struct tm_err *err)
{
    return report->quality_count < TM_REPORT_QUALITIES_MAX
               ? TM_OK
               : tm_err_set(err, TM_E_LIMIT, where, what_failed, "give fewer files",
                            "there are %d figures already", TM_REPORT_QUALITIES_MAX);
}

/* data: what tm_evaluation_write wrote. */
static tm_status add(struct tm_report *report, const struct tm_json *data, const char *label,
                     bool is_this, const char *where, struct tm_err *err)
{
    struct tm_report_quality quality = {.is_this = is_this};
    const char *missing = read_figures(data, &quality.figures);
    if (missing != NULL) {
        return malformed(where, missing, err);
    }
    read_tasks(tm_json_get(data, "tasks"), &quality);
    if (!number(data, "bits_per_weight", &quality.bits_per_weight) ||
        quality.bits_per_weight > BITS_MAX) {
        quality.bits_per_weight = 0;
    }
    quality.label = tm_strdup(label);
    if (quality.label == NULL) {
        return tm_err_set(err, TM_E_NOMEM, where, what_failed, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < report->quality_count && is_this; i++) {
        report->qualities[i].is_this = false; /* the latest counts */
    }
    report->qualities[report->quality_count++] = quality;
    return TM_OK;
}

tm_status tm_report_add_carried(struct tm_report *report, struct tm_package *package,
                                struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    struct tm_buf text;
    TM_TRY(has_room(report, report->path, err));
    tm_buf_init(&text, TM_FIGURES_BYTES_MAX);
    tm_status status = tm_figures_read(package, &text, err);
    if (status == TM_OK) {
        status = tm_json_parse(tm_buf_view(&text), TM_PACKAGE_FIGURES, &doc, err);
    }
    if (status == TM_OK) {
        status =
            add(report, tm_json_root(doc), "carried by the package", true, TM_PACKAGE_FIGURES, err);
    }
    if (status == TM_OK) {
        report->qualities[report->quality_count - 1].carried = true;
    }
    tm_json_free(&doc);
    tm_buf_deinit(&text);
    return status == TM_E_NOTHING ? TM_OK : status;
}

tm_status tm_report_add_evaluation(struct tm_report *report, const struct tm_evaluation *evaluation,
                                   const char *label, bool is_this, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    struct tm_buf text;
    struct tm_jw jw;
    TM_TRY(has_room(report, label, err));
    tm_buf_init(&text, FILE_BYTES_MAX);
    tm_jw_begin(&jw, &text, false);
    tm_jw_object(&jw, NULL);
    tm_evaluation_write(evaluation, &jw);
    tm_jw_object_end(&jw);
    tm_status status = tm_jw_end(&jw);
    if (status != TM_OK) {
        status = tm_err_set(err, status, label, what_failed, NULL, "%s", tm_status_text(status));
    } else {
        status = tm_json_parse(tm_buf_view(&text), label, &doc, err);
    }
    if (status == TM_OK) {
        status = add(report, tm_json_root(doc), label, is_this, label, err);
    }
    tm_json_free(&doc);
    tm_buf_deinit(&text);
    return status;
}

/* A file of tmill eval: the figures of this package when it names its id. */
static tm_status add_file(struct tm_report *report, const struct tm_json *root, const char *path,
                          struct tm_err *err)
{
    const struct tm_json *data = tm_json_get(root, "data");
    struct tm_view text, model;
    if (!tm_json_str(tm_json_get(root, "schema"), &text) || !tm_view_eq_str(text, "tmill.eval/1")) {
        return malformed(path, "schema", err);
    }
    bool is_this =
        report->package_id[0] != '\0' && tm_json_str(tm_json_get(data, "package_id"), &text) &&
        tm_view_eq_str(text, report->package_id) && tm_report_own_quality(report) == NULL;
    bool named = tm_json_str(tm_json_get(data, "model"), &model);
    return add(report, data, named ? tm_path_base((const char *)model.data) : "?", is_this, path,
               err);
}

tm_status tm_report_add_quality_text(struct tm_report *report, struct tm_view text,
                                     const char *where, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(has_room(report, where, err));
    TM_TRY(tm_json_parse(text, where, &doc, err));
    tm_status status = add_file(report, tm_json_root(doc), where, err);
    tm_json_free(&doc);
    return status;
}

tm_status tm_report_add_quality_file(struct tm_report *report, const char *path, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, FILE_BYTES_MAX);
    tm_status status = tm_file_read(path, &text, err);
    if (status == TM_OK) {
        status = tm_report_add_quality_text(report, tm_buf_view(&text), path, err);
    }
    tm_buf_deinit(&text);
    return status;
}
