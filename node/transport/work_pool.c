/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/work_pool.h"

#include "base/mem.h"

struct thread {
    struct tm_actor *actor;
    bool busy;
};

struct tm_work_pool {
    unsigned count;
    struct thread threads[TM_WORK_THREADS_MAX];
    struct tm_work *first, *last; /* waiting */
};

/* Tells a thread to end; never run. */
static struct tm_work stop_work;

static void serve(struct tm_pipe *pipe, void *context)
{
    (void)context;
    for (;;) {
        struct tm_work *work = tm_pipe_wait(pipe, -1);
        if (work == &stop_work) {
            return;
        }
        work->run(work);
        if (!tm_pipe_send(pipe, work)) {
            work->drop(work);
        }
    }
}

static void drop_work(void *item)
{
    struct tm_work *work = item;
    work->drop(work);
}

tm_status tm_work_pool_new(struct tm_transport *transport, unsigned threads,
                           struct tm_work_pool **out, struct tm_err *err)
{
    TM_ASSERT(threads > 0 && threads <= TM_WORK_THREADS_MAX);
    *out = NULL;
    struct tm_work_pool *pool = tm_calloc(1, sizeof *pool);
    if (pool == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start threads", NULL, "out of memory");
    }
    while (pool->count < threads) {
        tm_status status =
            tm_actor_start(transport, serve, NULL, &pool->threads[pool->count].actor, err);
        if (status != TM_OK) {
            tm_work_pool_destroy(&pool);
            return status;
        }
        pool->count++;
    }
    *out = pool;
    return TM_OK;
}

void tm_work_pool_destroy(struct tm_work_pool **pool)
{
    struct tm_work_pool *p = *pool;
    if (p == NULL) {
        return;
    }
    for (unsigned i = 0; i < p->count; i++) {
        bool told = tm_pipe_send(tm_actor_pipe(p->threads[i].actor), &stop_work);
        TM_ASSERT(told);
    }
    for (unsigned i = 0; i < p->count; i++) {
        tm_actor_join(&p->threads[i].actor, drop_work);
    }
    while (p->first != NULL) {
        struct tm_work *work = p->first;
        p->first = work->next;
        work->drop(work);
    }
    tm_free(p);
    *pool = NULL;
}

static void feed(struct tm_work_pool *pool)
{
    for (unsigned i = 0; i < pool->count && pool->first != NULL; i++) {
        struct thread *t = &pool->threads[i];
        if (!t->busy) {
            struct tm_work *work = pool->first;
            pool->first = work->next;
            t->busy = tm_pipe_send(tm_actor_pipe(t->actor), work);
            TM_ASSERT(t->busy);
        }
    }
}

void tm_work_pool_submit(struct tm_work_pool *pool, struct tm_work *work)
{
    work->next = NULL;
    if (pool->first == NULL) {
        pool->first = work;
    } else {
        pool->last->next = work;
    }
    pool->last = work;
    feed(pool);
}

struct tm_work *tm_work_pool_take(struct tm_work_pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++) {
        struct thread *t = &pool->threads[i];
        struct tm_work *work = t->busy ? tm_pipe_receive(tm_actor_pipe(t->actor)) : NULL;
        if (work != NULL) {
            t->busy = false;
            feed(pool);
            return work;
        }
    }
    return NULL;
}

unsigned tm_work_pool_idle(const struct tm_work_pool *pool)
{
    unsigned idle = 0;
    for (unsigned i = 0; i < pool->count; i++) {
        idle += !pool->threads[i].busy;
    }
    return idle;
}

size_t tm_work_pool_poll(struct tm_work_pool *pool, struct tm_poll_item *items)
{
    for (unsigned i = 0; i < pool->count; i++) {
        items[i] = (struct tm_poll_item){.pipe = tm_actor_pipe(pool->threads[i].actor)};
    }
    return pool->count;
}
