/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/saver.h"

#include "base/clock.h"
#include "base/mem.h"

#define BATCH_MAX 64
#define GATHER_MS 5

struct tm_saver {
    struct tm_actor *actor;
    struct tm_job *job;
    size_t pending;
    struct tm_err err; /* of the first failure: written once, before its order is sent back */
};

/* Tells the thread to end. */
static struct tm_save stop_order;

void tm_save_free(struct tm_save *save)
{
    if (save != NULL) {
        tm_buf_deinit(&save->chunk);
        tm_free(save);
    }
}

/* ---- the thread ---- */

static tm_status put(struct tm_job *job, const struct tm_save *save, struct tm_err *err)
{
    switch (save->kind) {
    case TM_SAVE_RESULT:
        return tm_journal_put_result(job->journal, &save->result, err);
    case TM_SAVE_BAN:
        return tm_journal_put_ban(job->journal, &save->ban, err);
    case TM_SAVE_NODE:
        return tm_journal_put_node(job->journal, &save->node, err);
    }
    return TM_OK;
}

static tm_status write_batch(struct tm_job *job, struct tm_save *const *batch, size_t count,
                             struct tm_err *err)
{
    bool chunks = false;
    for (size_t i = 0; i < count; i++) {
        if (batch[i]->kind == TM_SAVE_RESULT) {
            TM_TRY(tm_store_put(job->chunks, &batch[i]->result.leaf, tm_buf_view(&batch[i]->chunk),
                                err));
            chunks = true;
        }
    }
    if (chunks) {
        TM_TRY(tm_store_barrier(job->chunks, err));
    }
    TM_TRY(tm_journal_begin(job->journal, err));
    tm_status status = TM_OK;
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        status = put(job, batch[i], err);
    }
    if (status == TM_OK) {
        status = tm_journal_commit(job->journal, err);
    }
    if (status != TM_OK) {
        tm_journal_rollback(job->journal);
    }
    return status;
}

/* One order and what follows it closely; *stop when the end was among them. */
static size_t gather(struct tm_pipe *pipe, struct tm_save **batch, bool *stop)
{
    const struct tm_clock *clock = tm_clock_os();
    size_t count = 0;
    uint64_t end = 0;
    while (count < BATCH_MAX) {
        uint64_t now = tm_clock_ms(clock);
        int wait = count == 0 ? -1 : now < end ? (int)(end - now) : 0;
        struct tm_save *save = tm_pipe_wait(pipe, wait);
        if (save == NULL) {
            break;
        }
        if (save == &stop_order) {
            *stop = true;
            break;
        }
        batch[count++] = save;
        end = count == 1 ? tm_clock_ms(clock) + GATHER_MS : end;
    }
    return count;
}

static void serve(struct tm_pipe *pipe, void *context)
{
    struct tm_saver *saver = context;
    struct tm_save *batch[BATCH_MAX];
    bool stop = false;
    tm_status status = TM_OK;
    while (!stop) {
        size_t count = gather(pipe, batch, &stop);
        if (count > 0 && status == TM_OK) {
            status = write_batch(saver->job, batch, count, &saver->err);
        }
        for (size_t i = 0; i < count; i++) {
            batch[i]->status = status;
            if (!tm_pipe_send(pipe, batch[i])) {
                tm_save_free(batch[i]);
            }
        }
    }
}

/* ---- the owner's side ---- */

tm_status tm_saver_new(struct tm_transport *transport, struct tm_job *job, struct tm_saver **out,
                       struct tm_err *err)
{
    *out = NULL;
    struct tm_saver *saver = tm_calloc(1, sizeof *saver);
    if (saver == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start the saver", NULL, "out of memory");
    }
    saver->job = job;
    tm_status status = tm_actor_start(transport, serve, saver, &saver->actor, err);
    if (status != TM_OK) {
        tm_free(saver);
        return status;
    }
    *out = saver;
    return TM_OK;
}

static void drop_save(void *item)
{
    tm_save_free(item);
}

void tm_saver_destroy(struct tm_saver **saver)
{
    struct tm_saver *s = *saver;
    if (s == NULL) {
        return;
    }
    bool told = tm_pipe_send(tm_actor_pipe(s->actor), &stop_order);
    TM_ASSERT(told);
    tm_actor_join(&s->actor, drop_save);
    tm_free(s);
    *saver = NULL;
}

void tm_saver_submit(struct tm_saver *saver, struct tm_save *save)
{
    bool sent = tm_pipe_send(tm_actor_pipe(saver->actor), save);
    TM_ASSERT(sent);
    saver->pending++;
}

struct tm_save *tm_saver_take(struct tm_saver *saver)
{
    struct tm_save *save = tm_pipe_receive(tm_actor_pipe(saver->actor));
    saver->pending -= save != NULL;
    return save;
}

const struct tm_err *tm_saver_error(const struct tm_saver *saver)
{
    return &saver->err;
}

size_t tm_saver_pending(const struct tm_saver *saver)
{
    return saver->pending;
}

struct tm_poll_item tm_saver_poll(struct tm_saver *saver)
{
    return (struct tm_poll_item){.pipe = tm_actor_pipe(saver->actor)};
}
