/* SPDX-License-Identifier: Apache-2.0
 * Reader of PyTorch checkpoints (.pth, .pt, .bin), in the three forms that torch.save had:
 *
 *   zip    (1.6 and later)  NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder
 *   legacy (0.2 to 1.5)     pickles: magic, protocol, system, the object, the storages' keys; then
 *                           for each storage an i64 count and its elements
 *   tar    (0.1)            members sys_info, pickle, storages, tensors
 *
 * Source: torch/serialization.py. The pickle is read by model/pickle.h: nothing in it is executed.
 * Private to model/. */
#ifndef TM_MODEL_PTH_H
#define TM_MODEL_PTH_H

#include "model/sources.h"

/* Which dictionary of the checkpoint is the model, as a dotted path of keys; NULL or "" chooses:
 * one with tensors (not numbers) right in it; else the value of a usual key (model_state_dict,
 * state_dict, model and so on); else everything. What is left out is a warning of the inventory. */
struct tm_pth_options {
    uint32_t file;
    const char *under;
    bool shard; /* one file of several: what is left out is not worth a warning */
};

/* Adds the tensors of an open file to the inventory (not sealed). TM_E_MALFORMED: damaged, or it
 * asks for what no checkpoint needs, which is named with its offset; TM_E_INCOMPATIBLE: a type that
 * cannot be read; TM_E_NOT_FOUND: no such key in `under`, the error names those that are there. */
tm_status tm_pth_open(struct tm_sources *sources, const struct tm_pth_options *options,
                      struct tm_err *err) TM_MUST_USE;

#endif
