/* SPDX-License-Identifier: Apache-2.0
 * A model in memory, ready to run: weights and tokenizer of a checkpoint or of a package. */
#ifndef TM_NODE_MODEL_OF_H
#define TM_NODE_MODEL_OF_H

#include "model/pass/pass.h"
#include "model/tokenizer/tokenizer.h"
#include "package/package.h"

struct tm_model {
    struct tm_weights weights;
    struct tm_tokenizer *tokenizer; /* NULL when the model has none */
    uint64_t load_ms;               /* that it took */
};

/* `path`: a package (whose chunks are checked as they are read) or a model. `under`: see
 * tm_checkpoint_open_under, or NULL. Errors: those of tm_package_open, tm_checkpoint_open,
 * tm_weights_load and tm_tokenizer_of. On failure *out is empty. */
tm_status tm_model_of(const char *path, const char *under, struct tm_model *out,
                      struct tm_err *err) TM_MUST_USE;
/* A zeroed one is empty and valid. */
void tm_model_deinit(struct tm_model *model);

/* Reads the weights of an open package. path is for errors. */
tm_status tm_weights_of_package(struct tm_package *package, const char *path,
                                struct tm_weights *out, struct tm_err *err) TM_MUST_USE;

#endif
