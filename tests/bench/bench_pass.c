/* SPDX-License-Identifier: Apache-2.0
 * bench_pass MODEL PROMPT TOKENS THREADS: reads PROMPT tokens at once, then, from an empty cache,
 * TOKENS one by one with the logits of each, as llama-bench does; prints tokens/s of both, and
 * tokens for each second of CPU. Nothing is chosen: the ids are made up. */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "model/pass/pass.h"
#include "node/common/model_of.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static tm_status read_tokens(struct tm_pass *pass, struct tm_rng *rng, uint32_t count,
                             uint32_t most, float *logits, struct tm_err *err)
{
    uint32_t ids[512], batch = tm_pass_batch(pass) < 512 ? tm_pass_batch(pass) : 512;
    batch = batch < most ? batch : most;
    for (uint32_t at = 0, n; at < count; at += n) {
        n = count - at < batch ? count - at : batch;
        for (uint32_t i = 0; i < n; i++) {
            ids[i] = (uint32_t)tm_rng_below(rng, tm_pass_vocab(pass));
        }
        TM_TRY(tm_pass_run(pass, ids, n, err));
        if (n == 1 || at + n == count) {
            tm_pass_logits(pass, n - 1, 1, logits);
        }
    }
    return TM_OK;
}

static tm_status measure(struct tm_pass *pass, uint32_t prompt, uint32_t tokens, struct tm_err *err)
{
    struct tm_rng rng;
    float *logits = tm_realloc_array(NULL, tm_pass_vocab(pass), sizeof *logits);
    if (logits == NULL) {
        return TM_E_NOMEM;
    }
    tm_rng_init(&rng, 1);
    tm_status status = read_tokens(pass, &rng, 2, 1, logits, err); /* not measured */
    tm_pass_rewind(pass, 0);
    double begin = now();
    if (status == TM_OK) {
        status = read_tokens(pass, &rng, prompt, UINT32_MAX, logits, err);
    }
    double middle = now();
    tm_pass_rewind(pass, 0);
    if (status == TM_OK) {
        status = read_tokens(pass, &rng, tokens, 1, logits, err);
    }
    double end = now();
    tm_free(logits);
    if (status == TM_OK) {
        printf("%.3f %.3f\n", prompt / (middle - begin), tokens / (end - middle));
    }
    return status;
}

int main(int argc, char **argv)
{
    uint64_t number[3] = {0};
    struct tm_err err = {.status = TM_OK};
    struct tm_model model = {.load_ms = 0};
    struct tm_pass *pass = NULL;
    char line[2048];
    tm_status status = argc == 5 ? TM_OK : TM_E_USAGE;
    for (int i = 0; i < 3 && status == TM_OK; i++) {
        status = tm_parse_u64(tm_view_str(argv[2 + i]), &number[i]);
    }
    if (status == TM_OK) {
        status = tm_model_of(argv[1], NULL, &model, &err);
    }
    if (status == TM_OK) {
        uint32_t context = (uint32_t)(number[0] > number[1] ? number[0] : number[1]);
        struct tm_pass_options options = {.context = context, .threads = (size_t)number[2]};
        status = tm_pass_new(&model.weights, &options, &pass, &err);
    }
    if (status == TM_OK) {
        status = measure(pass, (uint32_t)number[0], (uint32_t)number[1], &err);
    }
    if (status != TM_OK) {
        err.status = status;
        fprintf(stderr, "bench_pass: %s\n", tm_err_line(&err, line, sizeof line));
    }
    tm_pass_destroy(&pass);
    tm_model_deinit(&model);
    return tm_status_exit_code(status);
}
