/* SPDX-License-Identifier: Apache-2.0
 * Threads that work off a queue. A piece of work goes to a thread, is run there and comes back to
 * the one thread that owns the pool. */
#ifndef TM_NODE_WORK_POOL_H
#define TM_NODE_WORK_POOL_H

#include "node/transport/actor.h"

#define TM_WORK_THREADS_MAX 128

/* The first member of the caller's own struct. */
struct tm_work {
    void (*run)(struct tm_work *work);  /* in a thread of the pool */
    void (*drop)(struct tm_work *work); /* frees it: the pool ends before it was taken */
    struct tm_work *next;               /* the pool's */
};

struct tm_work_pool;
/* threads: 1..TM_WORK_THREADS_MAX. */
tm_status tm_work_pool_new(struct tm_transport *transport, unsigned threads,
                           struct tm_work_pool **out, struct tm_err *err) TM_MUST_USE;
/* Waits for what is being run; drops everything. */
void tm_work_pool_destroy(struct tm_work_pool **pool);
/* Takes the work; it waits for a free thread, first come first served. */
void tm_work_pool_submit(struct tm_work_pool *pool, struct tm_work *work);
/* Work that was run, the caller's again; NULL when there is none. */
struct tm_work *tm_work_pool_take(struct tm_work_pool *pool);
/* Threads that have nothing to do. */
unsigned tm_work_pool_idle(const struct tm_work_pool *pool);
/* Fills one item per thread for tm_poll; their number. */
size_t tm_work_pool_poll(struct tm_work_pool *pool, struct tm_poll_item *items);

#endif
