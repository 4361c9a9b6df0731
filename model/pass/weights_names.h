/* SPDX-License-Identifier: Apache-2.0
 * Which part of the graph a tensor is, by its name. Private to model/pass. */
#ifndef TM_MODEL_PASS_WEIGHTS_NAMES_H
#define TM_MODEL_PASS_WEIGHTS_NAMES_H

#include "model/pass/arch.h"

enum tm_slot {
    TM_SLOT_Q, /* weights and biases in the order of enum tm_linear */
    TM_SLOT_K,
    TM_SLOT_V,
    TM_SLOT_ATTENTION_OUT,
    TM_SLOT_GATE,
    TM_SLOT_UP,
    TM_SLOT_DOWN,
    TM_SLOT_Q_BIAS,
    TM_SLOT_K_BIAS,
    TM_SLOT_V_BIAS,
    TM_SLOT_ATTENTION_OUT_BIAS,
    TM_SLOT_GATE_BIAS,
    TM_SLOT_UP_BIAS,
    TM_SLOT_DOWN_BIAS,
    TM_SLOT_ATTENTION_NORM,
    TM_SLOT_GATE_NORM,
    TM_SLOT_Q_NORM,
    TM_SLOT_K_NORM,
    TM_SLOT_ATTENTION_POST_NORM,
    TM_SLOT_GATE_POST_NORM,
    TM_LAYER_SLOTS, /* those above are there once a layer */
    TM_SLOT_EMBEDDING = TM_LAYER_SLOTS,
    TM_SLOT_HEAD,
    TM_SLOT_OUTPUT_NORM,
    TM_SLOT_ROPE_FACTORS,
    TM_SLOTS,
    TM_SLOT_IGNORED, /* known, and of no use to the pass */
    TM_SLOT_UNKNOWN
};

/* *layer is set for slots of a layer; it is below arch->layers, or the slot unknown. */
enum tm_slot tm_slot_of(const struct tm_arch *arch, struct tm_view name, uint32_t *layer);
/* The name that a slot has in this style, for messages. Returns out. */
const char *tm_slot_name(const struct tm_arch *arch, enum tm_slot slot, uint32_t layer,
                         char out[96]);

#endif
