/* SPDX-License-Identifier: Apache-2.0
 * A loop over independent pieces of work on an OpenMP team: the only place that opens one. Each
 * piece writes outputs of its own, so that results depend neither on the number of threads nor on
 * their order (docs/decisions/0001). */
#ifndef TM_STAGES_BATCH_ENCODE_H
#define TM_STAGES_BATCH_ENCODE_H

#include <stddef.h>

/* work(context, index) for every index below count, several at once; returns when all are done.
 * work must be thread-safe and not call tm_batch_run. OMP_NUM_THREADS limits the team. */
void tm_batch_run(size_t count, void (*work)(void *context, size_t index), void *context);
/* Size of the team that a batch gets. */
size_t tm_batch_threads(void);

#endif
