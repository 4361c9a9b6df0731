/* SPDX-License-Identifier: Apache-2.0
 * A model folder as Hugging Face has them: which file is the model, and which of its neighbours are
 * carried along. Links are followed. Private to model/. */
#ifndef TM_MODEL_FOLDER_H
#define TM_MODEL_FOLDER_H

#include "model/sources.h"

/* The file of `folder` to open, into out[TM_PATH_MAX]: model.safetensors, its index, another index,
 * the only .safetensors, the only .gguf or the first part of one; or else a file that looks like a
 * model of another kind, whose opening will say so. `names` are the folder's. TM_E_NOT_FOUND when
 * there is none, TM_E_USAGE when there are several to choose from. */
tm_status tm_folder_find_model(const char *folder, const struct tm_dir_list *names, char *out,
                               struct tm_err *err) TM_MUST_USE;
/* After the model was opened: attaches configuration, tokenizer files and licences, takes arch from
 * config.json unless it is known, and warns of weights that are left out. */
tm_status tm_folder_attach(struct tm_sources *sources, const char *folder,
                           const struct tm_dir_list *names, struct tm_err *err) TM_MUST_USE;

#endif
