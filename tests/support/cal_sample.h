/* SPDX-License-Identifier: Apache-2.0
 * Calibrations of the tiny model over a made-up text, as files. */
#ifndef TM_TESTS_CAL_SAMPLE_H
#define TM_TESTS_CAL_SAMPLE_H

#include "model/calibration/calibrate.h"
#include "tests/support/model_files.h"
#include "tests/support/tiny_model.h"

#define SAMPLE_CONTEXT 16
#define SAMPLE_WINDOWS 20
#define SAMPLE_IDS (SAMPLE_CONTEXT * SAMPLE_WINDOWS + 5)

struct cal_sample {
    struct test_dir dir;
    struct tiny_model *model;
    struct tm_weights weights;
    uint32_t ids[SAMPLE_IDS];
    struct tm_calibrate_options options; /* of all windows; change what a test is about */
};

static inline void sample_begin(struct cal_sample *s, const char *arch)
{
    struct tm_err err = {0};
    *s = (struct cal_sample){.dir = test_dir_make(), .model = tiny_new(arch)};
    ck_assert_msg(tm_weights_load(&s->model->source, &s->weights, &err) == TM_OK, "%s", err.why);
    for (uint32_t i = 0; i < SAMPLE_IDS; i++) {
        s->ids[i] = (i * i / 3 + 7 * i) % TINY_VOCAB;
    }
    s->options = (struct tm_calibrate_options){
        .weights = &s->weights,
        .model = tm_digest_of(tm_view_str(arch)),
        .text = tm_digest_of(tm_view_str("text")),
        .ids = s->ids,
        .id_count = SAMPLE_IDS,
        .context = SAMPLE_CONTEXT,
        .first_token = 1,
        .width = 32,
        .window_end = SAMPLE_WINDOWS,
        .memory = (uint64_t)1 << 30,
        .threads = 1,
        .checkpoint_ms = 1u << 30,
    };
}

static inline void sample_end(struct cal_sample *s)
{
    tm_weights_deinit(&s->weights);
    tiny_free(s->model);
    test_dir_remove(&s->dir);
}

/* Calibrates with the sample's options into a file of its folder. */
static inline tm_status sample_try(struct cal_sample *s, const char *name, struct tm_err *err)
{
    s->options.out = test_path(&s->dir, name);
    return tm_calibrate(&s->options, err);
}

static inline const char *sample_make(struct cal_sample *s, const char *name)
{
    struct tm_err err = {0};
    ck_assert_msg(sample_try(s, name, &err) == TM_OK, "%s: %s: %s", err.where, err.what, err.why);
    return s->options.out;
}

/* Windows first..end into a file. */
static inline const char *sample_shard(struct cal_sample *s, const char *name, uint64_t first,
                                       uint64_t end)
{
    s->options.window_first = first;
    s->options.window_end = end;
    return sample_make(s, name);
}

static inline struct tm_buf sample_bytes(const char *path)
{
    struct tm_buf buf;
    struct tm_err err = {0};
    tm_buf_init(&buf, 1 << 26);
    ck_assert_msg(tm_file_read(path, &buf, &err) == TM_OK, "%s", err.why);
    return buf;
}

static inline bool sample_same(const char *a, const char *b)
{
    struct tm_buf x = sample_bytes(a), y = sample_bytes(b);
    bool same = tm_view_eq(tm_buf_view(&x), tm_buf_view(&y));
    tm_buf_deinit(&x);
    tm_buf_deinit(&y);
    return same;
}

#endif
