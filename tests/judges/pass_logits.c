/* SPDX-License-Identifier: Apache-2.0
 * The forward pass beside llama.cpp: reads the tokens and log-probabilities that llama-perplexity
 * keeps with --kl-divergence-base, runs the same tokens and prints one line of JSON:
 *
 *   pass_logits MODEL FILE [FIRST-TOKEN]
 *
 * File: "_logits_", i32 context, i32 vocabulary, i32 chunks, i32 tokens[chunks * context]; then for
 * each chunk, for the positions context/2 to context-2, f32 scale, f32 least, u16 code[vocabulary]
 * filled up to an even number: log p = least + scale * code. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/pass/elementwise.h"
#include "model/pass/pass.h"
#include "model/pass/weights_checkpoint.h"

struct totals {
    double nll; /* of the tokens */
    double kl;  /* of theirs to ours */
    uint64_t count, same_top;
};

struct judge {
    FILE *file;
    uint32_t context, vocab, chunks;
    uint32_t *tokens;
    uint8_t *row;  /* of the file */
    float *logits; /* of one position */
    struct tm_pass *pass;
    struct totals totals;
};

static _Noreturn void die(const char *what, const struct tm_err *err)
{
    char line[2048];
    fprintf(stderr, "pass_logits: %s%s%s\n", what, err != NULL ? ": " : "",
            err != NULL ? tm_err_line(err, line, sizeof line) : "");
    exit(1);
}

static void read_exactly(FILE *file, void *out, size_t bytes)
{
    if (fread(out, 1, bytes, file) != bytes) {
        die("the file of log-probabilities is too short", NULL);
    }
}

static void read_head(struct judge *j)
{
    uint8_t head[20];
    read_exactly(j->file, head, sizeof head);
    if (memcmp(head, "_logits_", 8) != 0) {
        die("no file of log-probabilities", NULL);
    }
    j->context = tm_get_u32(head + 8);
    j->vocab = tm_get_u32(head + 12);
    j->chunks = tm_get_u32(head + 16);
    size_t count = (size_t)j->context * j->chunks;
    uint8_t *bytes = tm_alloc(count * 4);
    j->tokens = tm_realloc_array(NULL, count, sizeof *j->tokens);
    j->row = tm_alloc(8 + ((size_t)j->vocab + 1) / 2 * 4);
    j->logits = tm_realloc_array(NULL, j->vocab, sizeof *j->logits);
    if (bytes == NULL || j->tokens == NULL || j->row == NULL || j->logits == NULL) {
        die("out of memory", NULL);
    }
    read_exactly(j->file, bytes, count * 4);
    for (size_t i = 0; i < count; i++) {
        j->tokens[i] = tm_get_u32(bytes + i * 4);
    }
    tm_free(bytes);
}

/* One position: our logits against the next row of the file. */
static void compare(struct judge *j, uint32_t index, uint32_t next)
{
    read_exactly(j->file, j->row, 8 + ((size_t)j->vocab + 1) / 2 * 4);
    tm_pass_logits(j->pass, index, 1, j->logits);
    double sum = tm_log_sum_exp(j->logits, j->vocab), kl = 0.0, mass = 0.0;
    double scale = (double)tm_f32_from_bits(tm_get_u32(j->row));
    double least = (double)tm_f32_from_bits(tm_get_u32(j->row + 4));
    uint32_t top = 0, their_top = 0;
    for (uint32_t i = 0; i < j->vocab; i++) {
        uint16_t code = tm_get_u16(j->row + 8 + 2 * (size_t)i);
        double theirs = least + scale * code, ours = (double)j->logits[i] - sum;
        if (code > 0) { /* 0 stands for everything that is less likely still */
            kl += exp(theirs) * (theirs - ours);
            mass += exp(theirs) - exp(ours);
        }
        top = j->logits[i] > j->logits[top] ? i : top;
        their_top = code > tm_get_u16(j->row + 8 + 2 * (size_t)their_top) ? i : their_top;
    }
    struct totals *t = &j->totals;
    /* Codes are rounded, so their probabilities do not add up to quite 1. */
    t->kl += kl - mass;
    t->nll += sum - (double)j->logits[next];
    t->same_top += top == their_top;
    t->count++;
}

static void run_chunk(struct judge *j, uint32_t chunk, uint32_t first_token)
{
    const uint32_t *tokens = j->tokens + (size_t)chunk * j->context;
    struct tm_err err = {0};
    tm_pass_rewind(j->pass, 0);
    uint32_t batch = tm_pass_batch(j->pass);
    for (uint32_t at = 0; at < j->context; at += batch) {
        uint32_t count = j->context - at < batch ? j->context - at : batch;
        uint32_t ids[512];
        memcpy(ids, tokens + at, count * sizeof *ids);
        ids[0] = at == 0 && first_token != UINT32_MAX ? first_token : ids[0];
        if (tm_pass_run(j->pass, ids, count, &err) != TM_OK) {
            die("cannot run", &err);
        }
        for (uint32_t i = 0; i < count; i++) {
            if (at + i >= j->context / 2 && at + i < j->context - 1) {
                compare(j, i, tokens[at + i + 1]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct tm_err err = {0};
    struct judge j = {.file = argc >= 3 ? fopen(argv[2], "rb") : NULL};
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_weights weights = {0};
    uint64_t bos = UINT32_MAX;
    if (j.file == NULL || (argc > 3 && tm_parse_u64(tm_view_str(argv[3]), &bos) != TM_OK)) {
        die("usage: pass_logits MODEL FILE [FIRST-TOKEN]", NULL);
    }
    read_head(&j);
    if (tm_checkpoint_open(argv[1], &checkpoint, &err) != TM_OK) {
        die("cannot open", &err);
    }
    struct tm_weights_source source = tm_weights_of_checkpoint(checkpoint);
    struct tm_pass_options options = {.context = j.context, .batch = 512};
    if (tm_weights_load(&source, &weights, &err) != TM_OK ||
        tm_pass_new(&weights, &options, &j.pass, &err) != TM_OK) {
        die("cannot load", &err);
    }
    if (tm_pass_vocab(j.pass) != j.vocab) {
        die("another vocabulary", NULL);
    }
    for (uint32_t chunk = 0; chunk < j.chunks; chunk++) {
        run_chunk(&j, chunk, (uint32_t)bos);
    }
    double n = (double)j.totals.count;
    printf("{\"tokens\": %llu, \"ppl\": %.6f, \"mean_kl\": %.3e, \"same_top\": %.6f}\n",
           (unsigned long long)j.totals.count, exp(j.totals.nll / n), j.totals.kl / n,
           (double)j.totals.same_top / n);
    tm_pass_destroy(&j.pass);
    tm_weights_deinit(&weights);
    tm_checkpoint_close(&checkpoint);
    tm_free(j.tokens);
    tm_free(j.row);
    tm_free(j.logits);
    fclose(j.file);
    return 0;
}
