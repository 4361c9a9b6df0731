/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/calibrate.h"

#include <stdio.h>
#include <string.h>

#include "base/leftover.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/calibration/cal_merge.h"

static const char what_failed[] = "cannot calibrate";

/* ---- windows ---- */

uint64_t tm_calibrate_windows(const struct tm_calibrate_options *options)
{
    return options->id_count / options->context;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

uint64_t tm_calibrate_window_at(uint64_t window, uint64_t windows, uint32_t context)
{
    /* The golden section: steps of it leave no large gap, however many there are. */
    uint64_t step = windows / 1000 * 618 + windows % 1000 * 618 / 1000;
    step = step > 0 ? step : 1;
    while (common_divisor(step, windows) != 1) {
        step++;
    }
    /* window * step mod windows, in parts that do not overflow for 2^32 windows */
    return window % windows * (step % windows) % windows * context;
}

static enum tm_cal_set set_of(uint64_t window)
{
    return window % TM_CALIBRATE_HELD_EVERY == TM_CALIBRATE_HELD_EVERY - 1 ? TM_CAL_HELD
                                                                           : TM_CAL_FIT;
}

/* ---- the plan ---- */

static struct tm_collector_options collector_options(const struct tm_calibrate_options *o)
{
    return (struct tm_collector_options){.weights = o->weights,
                                         .layer_first = o->layer_first,
                                         .layer_count = 1,
                                         .context = o->context,
                                         .width = o->width,
                                         .threads = o->threads};
}

static struct tm_pass_options pass_options(const struct tm_calibrate_options *o)
{
    return (struct tm_pass_options){
        .context = o->context, .batch = o->context, .threads = o->threads};
}

static uint32_t layers_wanted(const struct tm_calibrate_options *o)
{
    return o->layer_count > 0 ? o->layer_count : o->weights->arch.layers - o->layer_first;
}

/* What does not grow with the layers: weights, pass, work space, and the largest section twice
 * (packed and read) while a checkpoint is written or read. */
static uint64_t fixed_bytes(const struct tm_calibrate_options *o)
{
    const struct tm_arch *arch = &o->weights->arch;
    struct tm_pass_options pass = pass_options(o);
    struct tm_collector_options collector = collector_options(o);
    uint64_t largest = 0;
    for (size_t k = 0; k < TM_CAL_KINDS; k++) {
        bool whole = tm_cal_kind_whole((enum tm_cal_kind)k);
        struct tm_cov_shape shape =
            tm_cov_shape_of(tm_collector_cols(arch, (enum tm_cal_kind)k), whole ? o->width : 0);
        uint64_t bytes = tm_cal_input_bytes(&shape, whole);
        largest = bytes > largest ? bytes : largest;
    }
    return o->weights->bytes + tm_pass_bytes(arch, &pass) +
           tm_collector_shared_bytes(arch, &collector) + 2 * largest +
           o->id_count * sizeof(uint32_t);
}

static tm_status check_windows(const struct tm_calibrate_options *o, uint64_t windows,
                               struct tm_err *err)
{
    if (windows == 0) {
        return tm_err_set(err, TM_E_USAGE, NULL, what_failed,
                          "give a longer text, or a shorter --context",
                          "the text has %llu tokens, and a window takes %lu",
                          (unsigned long long)o->id_count, (unsigned long)o->context);
    }
    if (o->window_first >= o->window_end || o->window_end > windows) {
        return tm_err_set(err, TM_E_USAGE, NULL, what_failed,
                          "windows are counted from 0, and the end is not among them",
                          "there are no windows %llu..%llu in a text of %llu",
                          (unsigned long long)o->window_first, (unsigned long long)o->window_end,
                          (unsigned long long)windows);
    }
    return TM_OK;
}

tm_status tm_calibrate_plan(const struct tm_calibrate_options *o, struct tm_calibrate_plan *out,
                            struct tm_err *err)
{
    struct tm_collector_options collector = collector_options(o);
    uint64_t layer = tm_collector_layer_bytes(&o->weights->arch, &collector);
    uint64_t digests = (o->window_end - o->window_first) * TM_DIGEST_BYTES;
    uint64_t fixed = fixed_bytes(o);
    *out = (struct tm_calibrate_plan){.windows = tm_calibrate_windows(o)};
    TM_TRY(check_windows(o, out->windows, err));
    layer += digests;
    uint64_t room = o->memory > fixed ? (o->memory - fixed) / layer : 0;
    uint32_t layers = layers_wanted(o);
    if (room == 0) {
        char need[TM_NUM_TEXT], given[TM_NUM_TEXT];
        return tm_err_set(err, TM_E_REFUSED, "--memory", what_failed,
                          "give more memory, or a smaller --width or --context",
                          "one layer at a time takes %s, and %s are allowed",
                          tm_format_bytes(fixed + layer, need), tm_format_bytes(o->memory, given));
    }
    uint64_t most = room < layers ? room : layers;
    out->passes = (uint32_t)((layers + most - 1) / most);
    out->pass_layers = (layers + out->passes - 1) / out->passes;
    out->bytes = fixed + layer * out->pass_layers;
    return TM_OK;
}

/* ---- one pass ---- */

struct run {
    const struct tm_calibrate_options *o;
    struct tm_calibrate_plan plan;
    struct tm_cal_header header; /* of what has been summed in this pass */
    struct tm_cal_range range;
    struct tm_collector *collector;
    struct tm_pass *pass;
    uint32_t *ids;             /* [context] */
    struct tm_digest *digests; /* [windows wanted][layers of this pass] */
    struct tm_buf section;
    uint64_t done, total; /* runs of the pass */
    uint64_t saved_at, save_took;
    char part[TM_PATH_MAX]; /* the checkpoint, or a finished pass of several */
};

static tm_status out_of_memory(struct tm_err *err)
{
    return tm_err_set(err, TM_E_NOMEM, NULL, what_failed, "give less memory with --memory",
                      "out of memory");
}

static uint64_t now(void)
{
    return tm_clock_ms(tm_clock_os());
}

static tm_status run_window(struct run *r, uint64_t window, struct tm_err *err)
{
    const struct tm_calibrate_options *o = r->o;
    uint64_t at = tm_calibrate_window_at(window, r->plan.windows, o->context);
    memcpy(r->ids, o->ids + at, o->context * sizeof *r->ids);
    if (o->first_token != UINT32_MAX) {
        r->ids[0] = o->first_token;
    }
    tm_pass_rewind(r->pass, 0);
    return tm_pass_run(r->pass, r->ids, o->context, err);
}

static bool go_on(struct run *r)
{
    const struct tm_calibrate_options *o = r->o;
    return o->progress == NULL || o->progress(o->progress_context, r->done, r->total);
}

static tm_status stopped(struct tm_err *err)
{
    return tm_err_set(err, TM_E_STOPPED, NULL, "stopped", "the same command goes on",
                      "asked to stop");
}

static tm_status put_digests(struct run *r, uint32_t layer)
{
    tm_buf_clear(&r->section);
    for (uint64_t w = 0; w < r->range.end - r->range.first; w++) {
        const struct tm_digest *digest = &r->digests[w * r->header.layer_count + layer];
        TM_TRY(tm_buf_put(&r->section, digest->b, TM_DIGEST_BYTES));
    }
    return TM_OK;
}

static tm_status save(struct run *r, const char *path, struct tm_err *err)
{
    struct tm_cal_writer *writer = NULL;
    uint64_t began = now();
    TM_TRY(tm_cal_writer_begin(path, &r->header, &writer, err));
    tm_status status = TM_OK;
    for (uint32_t s = 0; s < r->header.layer_count * TM_CAL_SECTIONS && status == TM_OK; s++) {
        uint32_t layer = s / TM_CAL_SECTIONS, section = s % TM_CAL_SECTIONS;
        tm_buf_clear(&r->section);
        if (section < TM_CAL_KINDS) {
            status =
                tm_cal_input_write(tm_collector_input(r->collector, r->header.layer_first + layer,
                                                      (enum tm_cal_kind)section),
                                   &r->section);
        } else {
            status = put_digests(r, layer);
        }
        status = status == TM_OK ? tm_cal_writer_section(writer, tm_buf_view(&r->section), err)
                                 : out_of_memory(err);
    }
    if (status == TM_OK) {
        status = tm_cal_writer_commit(&writer, err);
    }
    tm_cal_writer_abort(&writer);
    r->saved_at = now();
    r->save_took = r->saved_at - began;
    return status;
}

/* Rarely enough that a run spends at most a tenth of its time on them. */
static bool checkpoint_is_due(const struct run *r)
{
    uint64_t wait = r->o->checkpoint_ms;
    wait = wait > 0 && wait < 10 * r->save_took ? 10 * r->save_took : wait;
    return now() - r->saved_at >= wait;
}

/* ---- going on ---- */

static tm_status not_ours(const struct run *r, const char *difference, struct tm_err *err)
{
    return tm_err_set(err, TM_E_INCOMPATIBLE, r->part, what_failed,
                      "remove it to start anew, or choose another name with -o",
                      "its %s is not that of this calibration", difference);
}

static tm_status read_part(struct run *r, struct tm_cal_file *file, struct tm_err *err)
{
    uint64_t windows = r->range.end - r->range.first;
    for (uint32_t s = 0; s < r->header.layer_count * TM_CAL_SECTIONS; s++) {
        uint32_t layer = r->header.layer_first + s / TM_CAL_SECTIONS, k = s % TM_CAL_SECTIONS;
        if (k == TM_CAL_KINDS) {
            TM_TRY(tm_cal_file_section(file, layer, k, &r->section, err));
            if (r->section.bytes != windows * TM_DIGEST_BYTES) {
                return not_ours(r, "number of digests", err);
            }
            for (uint64_t w = 0; w < windows; w++) {
                memcpy(r->digests[w * r->header.layer_count + s / TM_CAL_SECTIONS].b,
                       r->section.data + w * TM_DIGEST_BYTES, TM_DIGEST_BYTES);
            }
            continue;
        }
        struct tm_cal_input read,
            *input = tm_collector_input(r->collector, layer, (enum tm_cal_kind)k);
        TM_TRY(tm_cal_file_input(file, layer, (enum tm_cal_kind)k, &read, err));
        bool same = memcmp(&read.shape, &input->shape, sizeof read.shape) == 0;
        tm_cal_input_deinit(same ? input : &read);
        if (!same) {
            return not_ours(r, "width", err);
        }
        *input = read;
    }
    return TM_OK;
}

/* Takes up a checkpoint of this pass; *found says whether there was one. */
static tm_status resume(struct run *r, bool *found, struct tm_err *err)
{
    struct tm_cal_file *file = NULL;
    TM_TRY(tm_path_find(r->part, found, err));
    if (!*found) {
        return TM_OK;
    }
    TM_TRY(tm_cal_file_open(r->part, &file, err));
    const struct tm_cal_header *h = tm_cal_file_header(file);
    const char *difference = tm_cal_difference(h, &r->header);
    if (difference == NULL &&
        (h->layer_first != r->header.layer_first || h->layer_count != r->header.layer_count)) {
        difference = "run of layers (another --memory?)";
    }
    if (difference == NULL && (h->range_count != 1 || h->ranges[0].first != r->range.first ||
                               h->ranges[0].end > r->o->window_end)) {
        difference = "run of windows";
    }
    tm_status status = difference != NULL ? not_ours(r, difference, err) : TM_OK;
    if (status == TM_OK) {
        r->range = h->ranges[0];
        status = read_part(r, file, err);
    }
    tm_cal_file_close(&file);
    return status;
}

/* ---- passes ---- */

static tm_status look_first(struct run *r, struct tm_err *err)
{
    for (uint64_t w = 0; w < TM_CALIBRATE_PILOT && w < r->plan.windows; w++, r->done++) {
        if (!go_on(r)) {
            return stopped(err);
        }
        TM_TRY(run_window(r, w, err));
    }
    tm_collector_fix(r->collector);
    return TM_OK;
}

static tm_status sum_windows(struct run *r, struct tm_err *err)
{
    r->saved_at = now();
    while (r->range.end < r->o->window_end) {
        uint64_t window = r->range.end;
        tm_collector_window(r->collector, window, set_of(window));
        TM_TRY(run_window(r, window, err));
        struct tm_digest *digests = r->digests + (window - r->range.first) * r->header.layer_count;
        TM_TRY(tm_collector_end(r->collector, digests, err));
        r->range.end++;
        r->done++;
        bool more = go_on(r), last = r->range.end == r->o->window_end;
        if (!last && (!more || checkpoint_is_due(r))) {
            TM_TRY(save(r, r->part, err));
        }
        if (!more && !last) {
            return stopped(err);
        }
    }
    return TM_OK;
}

static tm_status prepare(struct run *r, struct tm_err *err)
{
    struct tm_collector_options collector = collector_options(r->o);
    struct tm_pass_options pass = pass_options(r->o);
    uint64_t windows = r->o->window_end - r->o->window_first;
    collector.layer_first = r->header.layer_first;
    collector.layer_count = r->header.layer_count;
    r->ids = tm_realloc_array(NULL, r->o->context, sizeof *r->ids);
    r->digests = tm_calloc(windows * r->header.layer_count, sizeof *r->digests);
    if (r->ids == NULL || r->digests == NULL) {
        return out_of_memory(err);
    }
    TM_TRY(tm_collector_new(&collector, &r->collector, err));
    pass.observer = tm_collector_observe;
    pass.observer_context = r->collector;
    TM_TRY(tm_pass_new(r->o->weights, &pass, &r->pass, err));
    tm_collector_attach(r->collector, tm_pass_team(r->pass));
    return TM_OK;
}

/* Sums the layers of r->header and writes them to `path`. */
static tm_status run_pass(struct run *r, const char *path, struct tm_err *err)
{
    uint64_t windows = r->o->window_end - r->o->window_first;
    uint64_t pilot = TM_CALIBRATE_PILOT < r->plan.windows ? TM_CALIBRATE_PILOT : r->plan.windows;
    uint64_t end = r->done + pilot + windows;
    bool found = false;
    r->range = (struct tm_cal_range){r->o->window_first, r->o->window_first};
    r->header.ranges = &r->range;
    r->header.range_count = 1;
    tm_leftover_remove(r->part); /* of a run that was killed while it saved */
    tm_status status = prepare(r, err);
    if (status == TM_OK) {
        status = resume(r, &found, err);
    }
    if (status == TM_OK && !found) {
        status = look_first(r, err);
    } else if (status == TM_OK) {
        r->done = end - (r->o->window_end - r->range.end);
    }
    bool whole = found && r->range.end == r->o->window_end && strcmp(path, r->part) == 0;
    if (status == TM_OK && !whole) {
        status = sum_windows(r, err);
    }
    if (status == TM_OK && !whole) {
        status = save(r, path, err);
    }
    tm_pass_destroy(&r->pass);
    tm_collector_destroy(&r->collector);
    tm_free(r->ids);
    tm_free(r->digests);
    r->ids = NULL;
    r->digests = NULL;
    return status;
}

static tm_status name_part(const struct run *r, uint32_t layer, char out[TM_PATH_MAX],
                           struct tm_err *err)
{
    int n = snprintf(out, TM_PATH_MAX, "%s.part-%lu", r->o->out, (unsigned long)layer);
    return n > 0 && n < TM_PATH_MAX
               ? TM_OK
               : tm_err_set(err, TM_E_LIMIT, NULL, what_failed, "choose a shorter path",
                            "the path of the output is too long");
}

/* Puts the passes together, and removes what they left. */
static tm_status finish(const struct run *r, struct tm_err *err)
{
    const struct tm_calibrate_options *o = r->o;
    uint32_t passes = r->plan.passes;
    char(*paths)[TM_PATH_MAX] = tm_calloc(passes, sizeof *paths);
    const char **list = tm_calloc(passes, sizeof *list);
    if (paths == NULL || list == NULL) {
        tm_free(paths);
        tm_free(list);
        return out_of_memory(err);
    }
    tm_status status = TM_OK;
    for (uint32_t i = 0; i < passes && status == TM_OK; i++) {
        status = name_part(r, o->layer_first + i * r->plan.pass_layers, paths[i], err);
        list[i] = paths[i];
    }
    if (status == TM_OK && passes > 1) {
        status = tm_cal_merge(list, passes, o->out, err);
    }
    for (uint32_t i = 0; i < passes && status == TM_OK; i++) {
        status = tm_file_remove_in(NULL, paths[i], err);
    }
    tm_free(paths);
    tm_free(list);
    return status;
}

static void fill_header(struct run *r)
{
    const struct tm_calibrate_options *o = r->o;
    struct tm_cal_header *h = &r->header;
    h->model = o->model;
    h->text = o->text;
    h->context = o->context;
    h->first_token = o->first_token;
    h->width = o->width;
    h->held_every = TM_CALIBRATE_HELD_EVERY;
    h->windows = r->plan.windows;
    h->layers = o->weights->arch.layers;
    snprintf(h->arch, sizeof h->arch, "%s", tm_arch_name(o->weights->arch.kind));
}

static tm_status digest_ids(struct run *r, struct tm_err *err)
{
    struct tm_hash *hash = NULL;
    if (tm_hash_new(&hash) != TM_OK) {
        return out_of_memory(err);
    }
    for (size_t i = 0; i < r->o->id_count; i++) {
        uint8_t id[4];
        tm_set_u32(id, r->o->ids[i]);
        tm_hash_update(hash, id, sizeof id);
    }
    r->header.ids = tm_hash_final(hash);
    tm_hash_destroy(&hash);
    return TM_OK;
}

tm_status tm_calibrate(const struct tm_calibrate_options *options, struct tm_err *err)
{
    struct run r = {.o = options};
    uint32_t end = options->layer_first + layers_wanted(options);
    TM_TRY(tm_calibrate_plan(options, &r.plan, err));
    uint64_t pilot = TM_CALIBRATE_PILOT < r.plan.windows ? TM_CALIBRATE_PILOT : r.plan.windows;
    r.total = r.plan.passes * (pilot + options->window_end - options->window_first);
    fill_header(&r);
    TM_TRY(digest_ids(&r, err));
    tm_leftover_remove(options->out);
    tm_buf_init(&r.section, TM_CAL_SECTION_MAX);
    tm_status status = TM_OK;
    for (uint32_t at = options->layer_first; at < end && status == TM_OK;) {
        r.header.layer_first = at;
        r.header.layer_count = end - at < r.plan.pass_layers ? end - at : r.plan.pass_layers;
        status = name_part(&r, at, r.part, err);
        if (status == TM_OK) {
            status = run_pass(&r, r.plan.passes > 1 ? r.part : options->out, err);
        }
        at += r.header.layer_count;
    }
    if (status == TM_OK) {
        status = finish(&r, err);
    }
    tm_buf_deinit(&r.section);
    return status;
}
