/* SPDX-License-Identifier: Apache-2.0
 * Threads that share the work of one forward pass: some two hundred short pieces a token, with a
 * wait for all behind each. OpenMP's threads spin while they wait, which on a computer that has
 * other work to do slows a model thirty times (docs/decisions/0008). Here a thread that has not
 * come in time is not waited for: the others do its share. */
#ifndef TM_MODEL_PASS_TEAM_H
#define TM_MODEL_PASS_TEAM_H

#include "base/status.h"

struct tm_team;

/* The threads of a team that is asked for `threads`: 0 is one for each core that we may use. */
size_t tm_team_wanted(size_t threads);
/* The calling thread is one of them. `floats`: each gets room for so many. Errors: TM_E_NOMEM.
 * Fewer threads than asked for, when the system gives no more, are no error. */
tm_status tm_team_new(size_t threads, size_t floats, struct tm_team **out) TM_MUST_USE;
/* Ends the threads. */
void tm_team_destroy(struct tm_team **team);
size_t tm_team_threads(const struct tm_team *team);
/* The room of a thread, aligned to 64 bytes. */
float *tm_team_room(const struct tm_team *team, size_t thread);
size_t tm_team_room_floats(const struct tm_team *team);

/* work(context, index, thread) once for every index below count, thread below tm_team_threads; back
 * when all is done, and all that it wrote can be seen. `cost`: about how many multiplications it
 * takes together; little work stays in the calling thread. One run at a time. */
typedef void (*tm_team_work)(void *context, size_t index, size_t thread);
void tm_team_run(struct tm_team *team, size_t count, uint64_t cost, tm_team_work work,
                 void *context);

#endif
