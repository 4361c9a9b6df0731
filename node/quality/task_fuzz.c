/* SPDX-License-Identifier: Apache-2.0
 * The lines of a task, of the kind that the first byte names: spans lie in the text, answers among
 * the choices. */
#include "node/quality/task.h"

#include <stdio.h>

#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const struct tm_task *task, struct tm_task_span span)
{
    TM_ASSERT(span.at <= task->text.bytes && span.bytes <= task->text.bytes - span.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"mini", "arc", "piqa", "hellaswag", "lambada"};
    if (size == 0) {
        return 0;
    }
    struct tm_task task = {.count = 0};
    struct tm_err err = {.status = TM_OK};
    snprintf(task.name, sizeof task.name, "%s", names[data[0] % 5]);
    tm_status status =
        tm_task_parse(tm_view_of(data + 1, size - 1), tm_view_str("0\n1\n1\n"), "f", &task, &err);
    TM_ASSERT(status == TM_OK || task.items == NULL);
    for (size_t i = 0; i < task.count; i++) {
        const struct tm_task_item *item = &task.items[i];
        check_span(&task, item->prompt);
        TM_ASSERT(item->answer < item->count && item->count <= TM_TASK_CHOICES);
        TM_ASSERT(item->first + item->count <= task.choice_count);
        for (uint32_t k = 0; k < item->count; k++) {
            check_span(&task, task.choices[item->first + k]);
            TM_ASSERT(task.choices[item->first + k].bytes > 1);
        }
    }
    tm_task_deinit(&task);
    return 0;
}
