/* SPDX-License-Identifier: Apache-2.0
 * Watches a forward pass and gathers the inputs of a run of layers (model/calibration/cal_input.h).
 * First it looks at some windows, the pilot, and fixes the exponents of all columns; then it sums
 * window by window. What a window adds depends on the window, the model and the exponents alone. */
#ifndef TM_MODEL_COLLECTOR_H
#define TM_MODEL_COLLECTOR_H

#include "crypto/digest.h"
#include "model/calibration/cal_input.h"
#include "model/pass/pass.h"

/* A token is a sink where the mean square of its residual is above so many times the (lower) median
 * of its window's. */
#define TM_SINK_FACTOR 64.0f
/* The largest value of a column in the pilot becomes at most 2^12: room for eight times as much. */
#define TM_PILOT_BITS 12
/* Positions of a window at which the slopes of queries and keys are taken. */
#define TM_SLOPE_SAMPLES 4

struct tm_collector;

struct tm_collector_options {
    const struct tm_weights *weights; /* outlive the collector */
    uint32_t layer_first, layer_count;
    uint32_t context; /* tokens of a window: each is one run of the pass, from position 0 */
    uint32_t width;   /* most columns of a block, 0: no limit */
    size_t threads;   /* of the pass */
};

/* Bytes for one layer, and for what all layers share. */
uint64_t tm_collector_layer_bytes(const struct tm_arch *arch,
                                  const struct tm_collector_options *options);
uint64_t tm_collector_shared_bytes(const struct tm_arch *arch,
                                   const struct tm_collector_options *options);
tm_status tm_collector_new(const struct tm_collector_options *options, struct tm_collector **out,
                           struct tm_err *err) TM_MUST_USE;
void tm_collector_destroy(struct tm_collector **collector);

/* The observer of the pass, whose context is the collector; and, before the first run, the threads
 * of the pass. */
void tm_collector_observe(void *collector, uint32_t layer, enum tm_pass_point point,
                          struct tm_vectors x, uint32_t cols, uint32_t first);
void tm_collector_attach(struct tm_collector *collector, struct tm_team *team);

/* After the runs of the pilot: fixes the exponents. */
void tm_collector_fix(struct tm_collector *collector);
/* Before the run of a window that is to be summed; the exponents are fixed (or were read). */
void tm_collector_window(struct tm_collector *collector, uint64_t window, enum tm_cal_set set);
/* After that run: a digest of each layer's rounded inputs, digests[layer_count]. TM_E_NOMEM. */
tm_status tm_collector_end(struct tm_collector *collector, struct tm_digest *digests,
                           struct tm_err *err) TM_MUST_USE;

/* layer: of the model. An input may be exchanged for one of the same shape; exponents that come so
 * count as fixed. */
struct tm_cal_input *tm_collector_input(struct tm_collector *collector, uint32_t layer,
                                        enum tm_cal_kind kind);
/* Columns of an input. */
uint32_t tm_collector_cols(const struct tm_arch *arch, enum tm_cal_kind kind);

#endif
