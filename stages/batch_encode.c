/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/batch_encode.h"

#include <omp.h>

void tm_batch_run(size_t count, void (*work)(void *context, size_t index), void *context)
{
#pragma omp parallel for schedule(dynamic, 1) if (count > 1)
    for (size_t i = 0; i < count; i++) {
        work(context, i);
    }
    /* The team ends with the batch: a process that forks later (and does not exec at once) would
     * hang in its child's first batch, whose team's threads the fork left behind. */
    (void)omp_pause_resource_all(omp_pause_soft);
}

size_t tm_batch_threads(void)
{
    return (size_t)omp_get_max_threads();
}
