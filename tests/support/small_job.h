/* SPDX-License-Identifier: Apache-2.0
 * A small model of random weights and a prepared job over it, for the tests of coordinator and
 * worker. Everything lies in one temporary folder. */
#ifndef TM_TESTS_SMALL_JOB_H
#define TM_TESTS_SMALL_JOB_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "crypto/identity.h"
#include "node/coordinator/job.h"
#include "tests/support/file_order.h"

#define SMALL_JOB_MATRICES 4u
#define SMALL_JOB_ROWS 32u
#define SMALL_JOB_COLS 512u
#define SMALL_JOB_BLOCK 4096u /* 8 rows: 4 units a matrix */
#define SMALL_JOB_LOSSY (SMALL_JOB_MATRICES * SMALL_JOB_ROWS * SMALL_JOB_COLS / SMALL_JOB_BLOCK)

struct small_job {
    char dir[64];
    char model[96], out[96], state[96];
    struct tm_identity *owner;
    struct tm_job *job;
};

/* One safetensors file: matrices "layers.<i>.weight" and a vector "norm", F32, standard normal. */
static inline void small_job_write_model(const char *path)
{
    char header[2048];
    size_t matrix = SMALL_JOB_ROWS * SMALL_JOB_COLS * 4u;
    int n = snprintf(header, sizeof header,
                     "{\"norm\":{\"dtype\":\"F32\",\"shape\":[100],\"data_offsets\":[0,400]}");
    for (size_t i = 0; i < SMALL_JOB_MATRICES; i++) {
        n += snprintf(header + n, sizeof header - (size_t)n,
                      ",\"layers.%zu.weight\":{\"dtype\":\"F32\",\"shape\":[%u,%u],"
                      "\"data_offsets\":[%zu,%zu]}",
                      i, SMALL_JOB_ROWS, SMALL_JOB_COLS, 400 + i * matrix, 400 + (i + 1) * matrix);
    }
    n += snprintf(header + n, sizeof header - (size_t)n, "}");
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    uint8_t bytes[8];
    tm_set_u64(bytes, (uint64_t)n);
    fwrite(bytes, sizeof bytes, 1, f);
    fwrite(header, (size_t)n, 1, f);
    struct tm_rng rng;
    tm_rng_init(&rng, 42);
    for (size_t i = 0; i < 100 + SMALL_JOB_MATRICES * matrix / 4; i++) {
        float value = (float)tm_rng_normal(&rng);
        floats_to_file_order(&value, 1);
        fwrite(&value, sizeof value, 1, f);
    }
    ck_assert_int_eq(fclose(f), 0);
}

static inline struct tm_identity *small_job_identity(uint8_t seed_byte)
{
    uint8_t seed[32];
    struct tm_err err;
    struct tm_identity *id = NULL;
    memset(seed, seed_byte, sizeof seed);
    ck_assert_int_eq(tm_crypto_init(&err), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &id, &err), TM_OK);
    return id;
}

static inline tm_status small_job_try(struct small_job *s, const char *recipe, struct tm_err *err)
{
    struct tm_job_options options = {.model_path = s->model,
                                     .recipe = recipe,
                                     .out_path = s->out,
                                     .state_dir = s->state,
                                     .block_weights = SMALL_JOB_BLOCK,
                                     .quiet = true};
    return tm_job_prepare(&options, &s->job, err);
}

static inline void small_job_prepare_with(struct small_job *s, const char *recipe)
{
    struct tm_err err = {0};
    char line[1600];
    tm_status status = small_job_try(s, recipe, &err);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&err, line, sizeof line));
}

static inline void small_job_prepare(struct small_job *s)
{
    small_job_prepare_with(s, "int8");
}

/* The folder, the model and the owner, without a job. */
static inline void small_job_setup(struct small_job *s)
{
    *s = (struct small_job){0};
    snprintf(s->dir, sizeof s->dir, "/tmp/tm-small-job-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    snprintf(s->model, sizeof s->model, "%s/model.safetensors", s->dir);
    snprintf(s->out, sizeof s->out, "%s/out.tmpk", s->dir);
    snprintf(s->state, sizeof s->state, "%s/state", s->dir);
    small_job_write_model(s->model);
    s->owner = small_job_identity(1);
}

static inline void small_job_open(struct small_job *s)
{
    small_job_setup(s);
    small_job_prepare(s);
}

static inline void small_job_close(struct small_job *s)
{
    struct tm_err err;
    tm_job_close(&s->job);
    tm_identity_destroy(&s->owner);
    ck_assert_int_eq(tm_dir_remove_tree(s->dir, &err), TM_OK);
}

/* The first unit that nodes make (not lossless). */
static inline uint32_t small_job_lossy_unit(const struct small_job *s)
{
    uint32_t unit = 0;
    while (s->job->split.units[unit].lossless) {
        unit++;
    }
    ck_assert_uint_lt(unit, s->job->split.unit_count);
    return unit;
}

#endif
