/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/covariance.h"

#include "base/cpu.h"

_Static_assert(TM_COV_TOKENS_MAX <= (uint64_t)INT64_MAX / TM_COV_VALUE_MAX / TM_COV_VALUE_MAX,
               "the sums of the most tokens must fit 63 bits");

/* ---- geometry ---- */

static size_t panels_of(uint32_t cols)
{
    return ((size_t)cols + TM_COV_PANEL - 1) / TM_COV_PANEL;
}

struct tm_cov_shape tm_cov_shape_of(uint32_t cols, uint32_t width_max)
{
    if (width_max == 0 || cols <= width_max) {
        return (struct tm_cov_shape){cols, cols};
    }
    uint32_t room = width_max < TM_COV_PANEL ? 1 : width_max / TM_COV_PANEL;
    size_t panels = panels_of(cols), blocks = (panels + room - 1) / room;
    return (struct tm_cov_shape){cols, (uint32_t)((panels + blocks - 1) / blocks) * TM_COV_PANEL};
}

uint32_t tm_cov_blocks(const struct tm_cov_shape *shape)
{
    return (uint32_t)(((uint64_t)shape->cols + shape->width - 1) / shape->width);
}

uint32_t tm_cov_block_first(const struct tm_cov_shape *shape, uint32_t block)
{
    return block * shape->width;
}

uint32_t tm_cov_block_cols(const struct tm_cov_shape *shape, uint32_t block)
{
    uint32_t left = shape->cols - block * shape->width;
    return left < shape->width ? left : shape->width;
}

size_t tm_cov_panels(const struct tm_cov_shape *shape)
{
    return panels_of(shape->cols); /* all blocks but the last have whole panels */
}

static size_t tiles_of(size_t panels)
{
    return panels * (panels + 1) / 2;
}

size_t tm_cov_values(const struct tm_cov_shape *shape)
{
    uint32_t last = tm_cov_blocks(shape) - 1;
    return TM_COV_TILE * (last * tiles_of(panels_of(shape->width)) +
                          tiles_of(panels_of(tm_cov_block_cols(shape, last))));
}

/* Where the tiles of panel p (of its block, which has `panels`) and of those behind it begin. */
static size_t row_of_tiles(size_t panels, size_t p)
{
    return p * panels - p * (p - 1) / 2;
}

int64_t *tm_cov_at(const struct tm_cov_shape *shape, int64_t *sums, uint32_t i, uint32_t j)
{
    uint32_t block = i / shape->width;
    size_t panels = panels_of(tm_cov_block_cols(shape, block));
    i -= tm_cov_block_first(shape, block);
    j -= tm_cov_block_first(shape, block);
    size_t p = i / TM_COV_PANEL, q = j / TM_COV_PANEL;
    size_t tile = block * tiles_of(panels_of(shape->width)) + row_of_tiles(panels, p) + (q - p);
    return sums + tile * TM_COV_TILE + (i % TM_COV_PANEL) * TM_COV_PANEL + j % TM_COV_PANEL;
}

/* ---- sums ---- */

size_t tm_cov_pairs_at_once(uint32_t product_max)
{
    return product_max == 0 ? SIZE_MAX : (size_t)(INT32_MAX / 2 / product_max);
}

void tm_cov_tile_ref(const struct tm_cov_tile *tile)
{
    for (size_t i = 0; i < TM_COV_PANEL; i++) {
        for (size_t j = 0; j < TM_COV_PANEL; j++) {
            const int16_t *a = tile->a + 2 * i, *b = tile->b + 2 * j;
            int64_t sum = 0;
            for (size_t pair = 0; pair < tile->pairs; pair++) {
                sum += (int64_t)a[0] * b[0] + (int64_t)a[1] * b[1];
                a += 2 * TM_COV_PANEL;
                b += 2 * TM_COV_PANEL;
            }
            tile->sums[i * TM_COV_PANEL + j] += sum;
        }
    }
}

typedef void (*tile_fn)(const struct tm_cov_tile *tile);
static const tile_fn tiles[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_cov_tile);

struct adding {
    const struct tm_cov_batch *batch;
    int64_t *sums;
};

/* All tiles of one panel and those behind it in its block. */
static void add_panel(void *context, size_t index, size_t thread)
{
    (void)thread;
    const struct adding *adding = context;
    const struct tm_cov_batch *b = adding->batch;
    uint32_t first = (uint32_t)(index * TM_COV_PANEL);
    uint32_t block = first / b->shape->width;
    size_t begin = tm_cov_block_first(b->shape, block) / TM_COV_PANEL;
    size_t end = begin + panels_of(tm_cov_block_cols(b->shape, block));
    int64_t *sums = tm_cov_at(b->shape, adding->sums, first, first);
    size_t panel_values = b->pairs * TM_COV_PANEL * 2;
    for (size_t q = index; q < end; q++, sums += TM_COV_TILE) {
        struct tm_cov_tile tile = {.a = b->panels + index * panel_values,
                                   .b = b->panels + q * panel_values,
                                   .pairs = b->pairs,
                                   .product_max = b->most[index] * b->most[q],
                                   .sums = sums};
        if (tile.product_max > 0) {
            tiles[tm_kernel_current()](&tile);
        }
    }
}

void tm_cov_add(struct tm_team *team, const struct tm_cov_batch *batch, int64_t *sums)
{
    struct adding adding = {batch, sums};
    uint64_t cost = (uint64_t)tm_cov_values(batch->shape) * batch->pairs;
    tm_team_run(team, tm_cov_panels(batch->shape), cost, add_panel, &adding);
}
