/* SPDX-License-Identifier: Apache-2.0
 * Cuts a planned model into units: blocks of whole rows (or parts of one long row) of at most
 * block_weights weights, in layer groups. A unit is one chunk of the package, so the cut depends on
 * the model and the plan alone, never on the nodes; nodes' speed sizes leases, which are runs of
 * units. */
#ifndef TM_SCHEDULER_SPLIT_H
#define TM_SCHEDULER_SPLIT_H

#include "scheduler/plan.h"

struct tm_unit {
    uint32_t tensor;        /* index into the inventory's tensors, or its attachments */
    bool attachment;        /* which of the two */
    bool lossless;          /* made by the owner, checked by exact decoding */
    uint32_t pipeline;      /* index into the plan's pipelines (attachments: keep) */
    uint32_t group;         /* layer group: units that one node should take together */
    uint32_t rows, cols;    /* of the block; lossless: 1 x bytes */
    uint64_t source_offset; /* bytes within the tensor or attachment */
    uint32_t source_bytes;
};

struct tm_split {
    struct tm_unit *units; /* tensors in inventory order, then attachments */
    uint32_t unit_count;
    uint32_t *first; /* [tensors + attachments + 1]: first unit of each, then unit_count */
    uint32_t group_count;
};

/* block_weights is a multiple of 256. Empty tensors get no unit. A plan without a lossless pipeline
 * gets TM_CODEC_KEEP added when there are attachments. TM_E_LIMIT beyond 2^31 units. */
tm_status tm_split_make(const struct tm_inventory *inventory, struct tm_plan *plan,
                        uint32_t block_weights, struct tm_split *out,
                        struct tm_err *err) TM_MUST_USE;
void tm_split_deinit(struct tm_split *split);
/* Layer number in a tensor name ("blk.12.ffn_up.weight", "model.layers.12.mlp..."), or -1. */
int64_t tm_layer_of_name(const char *name);

#endif
