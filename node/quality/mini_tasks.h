/* SPDX-License-Identifier: Apache-2.0
 * The questions that `tmill eval --tasks mini` asks: node/quality/data/mini_tasks.jsonl, made into
 * bytes by the build. Facts, everyday physics, word sense, arithmetic, order of events; written for
 * this purpose. */
#ifndef TM_NODE_MINI_TASKS_H
#define TM_NODE_MINI_TASKS_H

#include <stddef.h>

extern const unsigned char tm_mini_tasks[];
extern const size_t tm_mini_tasks_bytes;

#endif
