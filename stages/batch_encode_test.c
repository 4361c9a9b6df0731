/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/batch_encode.h"

#include <omp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "stages/pipeline_encode.h"
#include "tests/support/suite.h"

/* libomp keeps what it allocated for teams of other sizes. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libomp";
}

#define PIECES 37
#define WEIGHTS 4096

struct job {
    struct tm_digest digest[PIECES];
    atomic_uint calls[PIECES];
    atomic_uint most, now; /* pieces under way at once */
};

static void encode(void *context, size_t index)
{
    struct job *job = context;
    struct tm_pipeline pipeline;
    struct tm_rng rng;
    struct tm_buf out;
    float values[WEIGHTS];
    unsigned now = atomic_fetch_add(&job->now, 1) + 1, most = atomic_load(&job->most);
    while (now > most && !atomic_compare_exchange_weak(&job->most, &most, now)) {
    }
    tm_rng_init(&rng, index);
    for (size_t i = 0; i < WEIGHTS; i++) {
        values[i] = (float)(int)tm_rng_below(&rng, 2000) - 1000.0f;
    }
    tm_buf_init(&out, 1 << 20);
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str("ternary > rans"), &pipeline, NULL), TM_OK);
    ck_assert_int_eq(
        tm_pipeline_encode(&pipeline, (struct tm_block_shape){8, WEIGHTS / 8}, values, &out, NULL),
        TM_OK);
    job->digest[index] = tm_digest_of(tm_buf_view(&out));
    tm_buf_deinit(&out);
    atomic_fetch_add(&job->calls[index], 1);
    atomic_fetch_sub(&job->now, 1);
}

START_TEST(every_piece_once_and_the_same_bytes)
{
    static struct job first, other;
    static const int teams[] = {1, 2, 8};
    for (size_t t = 0; t < sizeof teams / sizeof teams[0]; t++) {
        struct job *job = t == 0 ? &first : &other;
        memset(job, 0, sizeof *job);
        omp_set_num_threads(teams[t]);
        ck_assert_uint_eq(tm_batch_threads(), (size_t)teams[t]);
        tm_batch_run(PIECES, encode, job);
        ck_assert_uint_le(atomic_load(&job->most), (unsigned)teams[t]);
        for (size_t i = 0; i < PIECES; i++) {
            ck_assert_uint_eq(atomic_load(&job->calls[i]), 1);
            ck_assert(tm_digest_eq(&job->digest[i], &first.digest[i]));
        }
    }
    ck_assert(!tm_digest_eq(&first.digest[0], &first.digest[1]));
}
END_TEST

static void count_up(void *context, size_t index)
{
    (void)index;
    atomic_fetch_add((atomic_uint *)context, 1);
}

/* A team that outlived its batch would be missing in the child, which would wait for it for ever.
 */
START_TEST(a_child_has_batches_of_its_own)
{
    atomic_uint calls = 0;
    int status = 0;
    omp_set_num_threads(4);
    tm_batch_run(PIECES, count_up, &calls);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        tm_batch_run(PIECES, count_up, &calls);
        _exit(atomic_load(&calls) == 2 * PIECES ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

static void never(void *context, size_t index)
{
    (void)context;
    ck_abort_msg("piece %zu of none", index);
}

START_TEST(no_pieces)
{
    tm_batch_run(0, never, NULL);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("batch_encode");
    TCase *tc = tcase_create("batch_encode");
    tcase_add_test(tc, every_piece_once_and_the_same_bytes);
    tcase_add_test(tc, a_child_has_batches_of_its_own);
    tcase_add_test(tc, no_pieces);
    suite_add_tcase(suite, tc);
    return suite;
}
