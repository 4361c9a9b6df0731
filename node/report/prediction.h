/* SPDX-License-Identifier: Apache-2.0
 * What a pipeline would make of a tensor if its weights were normally distributed and independent:
 * the figure that a tensor's outcome is held against. Real weights have outliers that stretch the
 * scales of their groups (worse than predicted) or lie on a grid already (better). */
#ifndef TM_REPORT_PREDICTION_H
#define TM_REPORT_PREDICTION_H

#include "stages/pipeline.h"

struct tm_prediction {
    bool known;             /* false: the pipeline has no prediction; lossless ones have none */
    double error;           /* relative: sqrt(sum of squared errors / sum of squares) */
    double bits_per_weight; /* encoded, without the chunk's table of symbols */
};

struct tm_prediction tm_predict(const struct tm_pipeline *pipeline);

#endif
