/* SPDX-License-Identifier: Apache-2.0
 * Calibration from a text to a file .tmcal: windows in a fixed order, layers in as many passes as
 * the memory asks for, and a checkpoint now and then, so that a run that ends at any moment goes on
 * with the same call. The file is a function of model, token ids, windows and the options that its
 * header holds: never of memory, threads, stops or shards (docs/decisions/0009). */
#ifndef TM_MODEL_CALIBRATE_H
#define TM_MODEL_CALIBRATE_H

#include "base/clock.h"
#include "model/calibration/cal_file.h"
#include "model/calibration/collector.h"

#define TM_CALIBRATE_PILOT 4      /* windows that are looked at first */
#define TM_CALIBRATE_HELD_EVERY 8 /* the last of each eight windows is held out */
#define TM_CALIBRATE_WIDTH 4096

struct tm_calibrate_options {
    const struct tm_weights *weights;
    struct tm_digest model, text; /* for the header */
    const uint32_t *ids;          /* of the whole text, without a first token */
    size_t id_count;
    uint32_t context, first_token; /* as in struct tm_cal_header */
    uint32_t width;
    uint64_t window_first, window_end; /* that are wanted; end > first */
    uint32_t layer_first, layer_count; /* count 0: all */
    uint64_t memory;                   /* bytes that weights, pass and sums may take */
    size_t threads;
    const char *out;
    uint64_t checkpoint_ms; /* between checkpoints; 0: after every window */
    /* Called before the first window and after each: `done` of `windows` runs of the pass. False
     * stops with TM_E_STOPPED after a checkpoint. */
    bool (*progress)(void *context, uint64_t done, uint64_t windows);
    void *progress_context;
};

/* What a run takes: known before it starts. */
struct tm_calibrate_plan {
    uint64_t windows;     /* of the text */
    uint32_t passes;      /* over the windows */
    uint32_t pass_layers; /* summed in each, the last may have fewer */
    uint64_t bytes;       /* of memory, at most */
};

/* Whole windows of a text; each begins with its first token. */
uint64_t tm_calibrate_windows(const struct tm_calibrate_options *options);
/* Token at which window number `window` of `windows` begins: a fixed order that goes through the
 * text in long steps, so that the first few windows already come from all parts of it. */
uint64_t tm_calibrate_window_at(uint64_t window, uint64_t windows, uint32_t context);
/* TM_E_USAGE for a text that is too short or windows that it does not have; TM_E_REFUSED when not
 * even one layer fits the memory. */
tm_status tm_calibrate_plan(const struct tm_calibrate_options *options,
                            struct tm_calibrate_plan *out, struct tm_err *err) TM_MUST_USE;
/* Errors: those of the plan, of tm_pass_run and of files; TM_E_INCOMPATIBLE when the checkpoint
 * beside `out` is of another model, text or setting; TM_E_STOPPED. */
tm_status tm_calibrate(const struct tm_calibrate_options *options, struct tm_err *err) TM_MUST_USE;

#endif
