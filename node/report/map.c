/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static tm_status find_layers(const struct tm_report *report, struct tm_map *map)
{
    uint32_t count = report->tensor_count;
    map->layers = tm_calloc(count, sizeof *map->layers);
    if (map->layers == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        map->layers[i] = report->tensors[i].layer;
    }
    if (count > 0) {
        qsort(map->layers, count, sizeof *map->layers, ascending);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || map->layers[i] != map->layers[map->layer_count - 1]) {
            map->layers[map->layer_count++] = map->layers[i];
        }
    }
    return TM_OK;
}

static void find_kinds(const struct tm_report *report, uint32_t column_of[TM_KIND_COUNT],
                       struct tm_map *map)
{
    bool there[TM_KIND_COUNT] = {false};
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        there[report->tensors[i].kind] = true;
    }
    for (unsigned kind = 0; kind < TM_KIND_COUNT; kind++) {
        column_of[kind] = map->kind_count;
        if (there[kind]) {
            map->kinds[map->kind_count++] = (enum tm_tensor_kind)kind;
        }
    }
}

static void fill_cells(const struct tm_report *report, const uint32_t column_of[TM_KIND_COUNT],
                       struct tm_map *map)
{
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        const struct tm_report_tensor *t = &report->tensors[i];
        const int64_t *row =
            bsearch(&t->layer, map->layers, map->layer_count, sizeof t->layer, ascending);
        struct tm_map_cell *cell =
            &map->cells[(size_t)(row - map->layers) * map->kind_count + column_of[t->kind]];
        cell->tensors++;
        cell->weights += t->weights;
        cell->bytes += t->bytes;
        if (!t->lossless && t->units_done > 0) {
            cell->lossy++;
            cell->squared_error += t->squared_error;
            cell->squared_sum += t->squared_sum;
        }
    }
}

static void find_range(struct tm_map *map)
{
    bool first = true;
    for (size_t i = 0; i < (size_t)map->layer_count * map->kind_count; i++) {
        struct tm_map_cell *cell = &map->cells[i];
        double error = cell->squared_error == 0 ? 0 : sqrt(cell->squared_error / cell->squared_sum);
        if (cell->lossy == 0) {
            continue;
        }
        cell->error = isfinite(error) ? error : (double)INFINITY;
        if (isfinite(error)) {
            map->lowest = first || error < map->lowest ? error : map->lowest;
            map->highest = first || error > map->highest ? error : map->highest;
            first = false;
        }
    }
}

tm_status tm_map_of(const struct tm_report *report, struct tm_map *out)
{
    uint32_t column_of[TM_KIND_COUNT];
    memset(out, 0, sizeof *out);
    tm_status status = find_layers(report, out);
    if (status == TM_OK) {
        find_kinds(report, column_of, out);
        out->cells = tm_calloc((size_t)out->layer_count * out->kind_count, sizeof *out->cells);
        status = out->cells != NULL ? TM_OK : TM_E_NOMEM;
    }
    if (status != TM_OK) {
        tm_map_deinit(out);
        return status;
    }
    fill_cells(report, column_of, out);
    find_range(out);
    return TM_OK;
}

void tm_map_deinit(struct tm_map *map)
{
    tm_free(map->layers);
    tm_free(map->cells);
    memset(map, 0, sizeof *map);
}

const struct tm_map_cell *tm_map_cell(const struct tm_map *map, uint32_t row, uint32_t column)
{
    return &map->cells[(size_t)row * map->kind_count + column];
}

unsigned tm_map_step(const struct tm_map *map, const struct tm_map_cell *cell)
{
    if (cell->lossy == 0 || cell->error == 0) {
        return 0;
    }
    double range = map->highest - map->lowest;
    double part = range > 0 ? (cell->error - map->lowest) / range * TM_MAP_STEPS : 0;
    return part < TM_MAP_STEPS ? 1 + (unsigned)part : TM_MAP_STEPS;
}

double tm_map_step_top(const struct tm_map *map, unsigned step)
{
    return map->lowest + (map->highest - map->lowest) * step / TM_MAP_STEPS;
}
