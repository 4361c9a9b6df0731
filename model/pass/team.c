/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/team.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/cpu.h"
#include "base/mem.h"

/* Multiplications from which on it pays to wake the other threads: about ten microseconds. */
#define COST_MIN 65536
/* Looks at a number before a thread sleeps: some tens of microseconds, longer than what lies
 * between two pieces of work and far below a time slice. */
#define SPINS 1000
#define THREADS_MAX 256

struct member {
    struct tm_team *team;
    size_t number; /* 1 and up; 0 is the caller */
    pthread_t thread;
};

struct tm_team {
    size_t threads;
    size_t room_floats;
    float *rooms;
    struct member *members; /* [threads - 1] */
    size_t started;

    /* The present job: changed under the lock while no member is inside. */
    tm_team_work work;
    void *context;
    size_t count;
    atomic_size_t next; /* the index that nobody has taken yet */

    atomic_uint_fast64_t job; /* odd: open, members may go in */
    atomic_size_t inside;     /* members at work */
    pthread_mutex_t lock;
    pthread_cond_t opened, left;
    bool ends;
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

size_t tm_team_wanted(size_t threads)
{
    size_t wanted = threads > 0 ? threads : tm_cpu_count();
    return wanted < THREADS_MAX ? wanted : THREADS_MAX;
}

size_t tm_team_threads(const struct tm_team *team)
{
    return team->threads;
}

float *tm_team_room(const struct tm_team *team, size_t thread)
{
    return team->rooms + thread * team->room_floats;
}

size_t tm_team_room_floats(const struct tm_team *team)
{
    return team->room_floats;
}

static void take_all(struct tm_team *team, size_t thread)
{
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed);
        if (index >= team->count) {
            return;
        }
        team->work(team->context, index, thread);
    }
}

static bool is_open(struct tm_team *team, uint64_t seen)
{
    uint64_t job = atomic_load_explicit(&team->job, memory_order_relaxed);
    return job != seen && job % 2 == 1;
}

/* Waits for a job other than `seen`, which is then entered; false when the team ends. */
static bool enter(struct tm_team *team, uint64_t *seen)
{
    for (;;) {
        for (int i = 0; i < SPINS && !is_open(team, *seen); i++) {
            relax();
        }
        pthread_mutex_lock(&team->lock);
        if (!team->ends && !is_open(team, *seen)) {
            pthread_cond_wait(&team->opened, &team->lock);
        }
        bool ends = team->ends, open = is_open(team, *seen);
        if (open && !ends) {
            *seen = atomic_load(&team->job);
            atomic_fetch_add(&team->inside, 1);
        }
        pthread_mutex_unlock(&team->lock);
        if (ends || open) {
            return !ends;
        }
    }
}

static void leave(struct tm_team *team)
{
    pthread_mutex_lock(&team->lock);
    if (atomic_fetch_sub(&team->inside, 1) == 1) {
        pthread_cond_signal(&team->left);
    }
    pthread_mutex_unlock(&team->lock);
}

static void *member_main(void *context)
{
    struct member *me = context;
    uint64_t seen = 0;
    while (enter(me->team, &seen)) {
        take_all(me->team, me->number);
        leave(me->team);
    }
    return NULL;
}

void tm_team_run(struct tm_team *team, size_t count, uint64_t cost, tm_team_work work,
                 void *context)
{
    if (count <= 1 || cost < COST_MIN || team->threads == 1) {
        for (size_t i = 0; i < count; i++) {
            work(context, i, 0);
        }
        return;
    }
    pthread_mutex_lock(&team->lock);
    team->work = work;
    team->context = context;
    team->count = count;
    atomic_store(&team->next, 0);
    atomic_fetch_add(&team->job, 1);
    pthread_cond_broadcast(&team->opened);
    pthread_mutex_unlock(&team->lock);

    take_all(team, 0);

    /* Whoever has not come by now need not come any more. */
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->job, 1);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < SPINS && atomic_load(&team->inside) > 0; i++) {
        relax();
    }
    pthread_mutex_lock(&team->lock);
    while (atomic_load(&team->inside) > 0) {
        pthread_cond_wait(&team->left, &team->lock);
    }
    pthread_mutex_unlock(&team->lock);
}

tm_status tm_team_new(size_t threads, size_t floats, struct tm_team **out)
{
    *out = NULL;
    struct tm_team *team = tm_calloc(1, sizeof *team);
    if (team == NULL) {
        return TM_E_NOMEM;
    }
    size_t wanted = tm_team_wanted(threads);
    team->threads = 1;
    team->room_floats = (floats + 15) / 16 * 16;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->opened, NULL);
    pthread_cond_init(&team->left, NULL);
    team->rooms = tm_alloc_aligned(64, wanted * team->room_floats * sizeof *team->rooms);
    team->members = tm_calloc(wanted, sizeof *team->members);
    if (team->rooms == NULL || team->members == NULL) {
        tm_team_destroy(&team);
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i + 1 < wanted; i++) {
        struct member *member = &team->members[i];
        *member = (struct member){.team = team, .number = i + 1};
        if (pthread_create(&member->thread, NULL, member_main, member) != 0) {
            break;
        }
        team->started++;
    }
    team->threads = team->started + 1;
    *out = team;
    return TM_OK;
}

void tm_team_destroy(struct tm_team **team)
{
    struct tm_team *t = *team;
    if (t == NULL) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->ends = true;
    pthread_cond_broadcast(&t->opened);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->started; i++) {
        pthread_join(t->members[i].thread, NULL);
    }
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->opened);
    pthread_cond_destroy(&t->left);
    tm_free(t->rooms);
    tm_free(t->members);
    tm_free(t);
    *team = NULL;
}
