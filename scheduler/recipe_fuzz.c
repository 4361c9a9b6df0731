/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a recipe: an error or a recipe that answers for some names. */
#include "base/mem.h"
#include "scheduler/recipe.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_recipe *recipe = NULL;
    struct tm_err err = {0};
    if (tm_recipe_parse(tm_view_of(data, size), "fuzz", &recipe, &err) == TM_OK) {
        (void)tm_recipe_find(recipe, tm_view_str("blk.0.attn_q.weight"));
        (void)tm_recipe_find(recipe, tm_view_of(data, size < 64 ? size : 64));
        tm_recipe_destroy(&recipe);
    } else {
        TM_ASSERT(err.status != TM_OK || tm_mem_failed());
    }
    TM_ASSERT(tm_mem_live_blocks() == 0);
    return 0;
}
