/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/job_sweep.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "node/journal/journal.h"

/* Whether the job will never need its chunks again. */
static bool is_over(const char *dir)
{
    char path[TM_PATH_MAX];
    struct tm_journal *journal = NULL;
    struct tm_journal_job job;
    if (tm_path_join(path, dir, "journal.db") != TM_OK ||
        tm_journal_open(path, true, &journal, NULL) != TM_OK) {
        return false;
    }
    bool over = false;
    if (tm_journal_read_job(journal, &job, NULL) == TM_OK) {
        over = job.state == TM_JOB_DONE || job.state == TM_JOB_CANCELLED;
        tm_journal_job_deinit(&job);
    }
    tm_journal_close(&journal);
    return over;
}

static void sweep_one(const char *dir)
{
    char path[TM_PATH_MAX], objects[TM_PATH_MAX];
    if (tm_path_join(objects, dir, "objects") != TM_OK || !tm_path_is_dir(objects) ||
        tm_path_join(path, dir, "lock") != TM_OK) {
        return;
    }
    int lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0) {
        return;
    }
    if (flock(lock, LOCK_EX | LOCK_NB) == 0 && is_over(dir)) {
        (void)!tm_dir_remove_tree(objects, NULL);
    }
    close(lock);
}

void tm_job_sweep(const char *state_dir)
{
    char jobs[TM_PATH_MAX], dir[TM_PATH_MAX];
    struct tm_dir_list names;
    if (tm_path_join(jobs, state_dir, "jobs") != TM_OK || !tm_path_is_dir(jobs) ||
        tm_dir_list(jobs, &names, NULL) != TM_OK) {
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (tm_path_join(dir, jobs, names.names[i]) == TM_OK) {
            sweep_one(dir);
        }
    }
    tm_dir_list_free(&names);
}
