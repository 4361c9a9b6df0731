/* SPDX-License-Identifier: Apache-2.0
 * The one thread that writes: chunks into the job's store, results, bans and nodes into its
 * journal. What comes within a few milliseconds is made durable together: chunks, a barrier, one
 * commit; only then an order comes back. Orders are carried out in the order in which they came. */
#ifndef TM_NODE_SAVER_H
#define TM_NODE_SAVER_H

#include "node/coordinator/job.h"
#include "node/transport/actor.h"

enum tm_save_kind { TM_SAVE_RESULT, TM_SAVE_BAN, TM_SAVE_NODE };

/* Owned by the saver from submit to take. */
struct tm_save {
    enum tm_save_kind kind;
    uint64_t seq; /* the caller's */
    struct tm_journal_result result;
    struct tm_buf chunk; /* of the result, hashes to result.leaf */
    struct tm_journal_ban ban;
    struct tm_journal_node node;
    tm_status status; /* set by the saver: TM_OK when it is durable */
};
void tm_save_free(struct tm_save *save);

struct tm_saver;
/* Writes with job->journal and job->chunks, which nobody else uses until destroy. */
tm_status tm_saver_new(struct tm_transport *transport, struct tm_job *job, struct tm_saver **out,
                       struct tm_err *err) TM_MUST_USE;
/* Finishes what was submitted. */
void tm_saver_destroy(struct tm_saver **saver);
void tm_saver_submit(struct tm_saver *saver, struct tm_save *save);
/* An order that came back, the caller's again; NULL when there is none. After the first failure
 * nothing is written any more: later orders have its status. */
struct tm_save *tm_saver_take(struct tm_saver *saver);
/* Why an order failed; after one with another status than TM_OK was taken. */
const struct tm_err *tm_saver_error(const struct tm_saver *saver);
/* Orders that have not come back yet. */
size_t tm_saver_pending(const struct tm_saver *saver);
struct tm_poll_item tm_saver_poll(struct tm_saver *saver);

#endif
