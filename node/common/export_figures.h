/* SPDX-License-Identifier: Apache-2.0
 * What an exported file says of the package that it came from: metadata with keys tmill.*
 * (docs/formats/gguf-metadata.md). */
#ifndef TM_NODE_EXPORT_FIGURES_H
#define TM_NODE_EXPORT_FIGURES_H

#include "node/common/decode.h"

#define TM_EXPORT_PAIRS_MAX 16

/* Key, value, ..., NULL. The struct must stay where it is. */
struct tm_export_pairs {
    const char *pairs[2 * TM_EXPORT_PAIRS_MAX + 1];
    char texts[TM_EXPORT_PAIRS_MAX][TM_PUBLIC_KEY_TEXT];
    size_t count;
};

/* Id, owner, bits a weight and relative error of the package; perplexity, divergence and so on when
 * it carries figures. Figures that cannot be read are left out. Errors: those of
 * tm_decoder_attachment. */
tm_status tm_export_figures(const struct tm_package *package, struct tm_decoder *decoder,
                            struct tm_export_pairs *out, struct tm_err *err) TM_MUST_USE;

#endif
