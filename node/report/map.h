/* SPDX-License-Identifier: Apache-2.0
 * The map of a report: a row for each layer, a column for each kind of tensor, and in each cell
 * what the tensors of that layer and kind lost together. */
#ifndef TM_REPORT_MAP_H
#define TM_REPORT_MAP_H

#include "node/report/report.h"

#define TM_MAP_STEPS 8

struct tm_map_cell {
    uint32_t tensors, lossy;
    double error; /* relative, over the lossy tensors that have units */
    double squared_error, squared_sum;
    uint64_t weights, bytes;
};

struct tm_map {
    int64_t *layers; /* ascending, -1 (of no layer) first when there are such tensors */
    uint32_t layer_count;
    enum tm_tensor_kind kinds[TM_KIND_COUNT]; /* those that are there */
    uint32_t kind_count;
    struct tm_map_cell *cells; /* [layer_count][kind_count] */
    double lowest, highest;    /* error of the lossy cells; 0 when there are none */
};

tm_status tm_map_of(const struct tm_report *report, struct tm_map *out) TM_MUST_USE;
void tm_map_deinit(struct tm_map *map);
const struct tm_map_cell *tm_map_cell(const struct tm_map *map, uint32_t row, uint32_t column);
/* 1 (the lowest error of the map) to TM_MAP_STEPS (the highest) in equal steps; 0 for a cell that
 * lost nothing. */
unsigned tm_map_step(const struct tm_map *map, const struct tm_map_cell *cell);
/* The largest error of a step. */
double tm_map_step_top(const struct tm_map *map, unsigned step);

#endif
