/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the plan of a small model: an error, or a plan whose text reads as the same plan. */
#include "base/mem.h"
#include "scheduler/plan.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tm_tensor tensors[] = {
        {.name = "w", .name_bytes = 1, .dtype = TM_F32, .shape = {.rank = 2, .dim = {64, 64}}},
        {.name = "n", .name_bytes = 1, .dtype = TM_I64, .shape = {.rank = 1, .dim = {7}}},
    };
    static const struct tm_inventory model = {.tensors = tensors, .tensor_count = 2};
    struct tm_plan plan, back;
    if (tm_plan_read(tm_view_of(data, size), "fuzz", &model, &plan, NULL) == TM_OK) {
        struct tm_buf text, again;
        tm_buf_init(&text, SIZE_MAX);
        tm_buf_init(&again, SIZE_MAX);
        tm_status status = tm_plan_write(&plan, &model, NULL, &text);
        TM_ASSERT(ok_or_ran_out(status));
        if (status == TM_OK) {
            status = tm_plan_read(tm_buf_view(&text), "again", &model, &back, NULL);
            TM_ASSERT(ok_or_ran_out(status));
        }
        if (status == TM_OK) {
            status = tm_plan_write(&back, &model, NULL, &again);
            TM_ASSERT(ok_or_ran_out(status));
            TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(&text), tm_buf_view(&again)));
            tm_plan_deinit(&back);
        }
        tm_plan_deinit(&plan);
        tm_buf_deinit(&text);
        tm_buf_deinit(&again);
    }
    TM_ASSERT(tm_mem_live_blocks() == 0);
    return 0;
}
