/* SPDX-License-Identifier: Apache-2.0
 * A model that reads tokens and goes on with tokens of its own: `run` does it once, a chat with
 * every turn. */
#ifndef TM_NODE_SPEAKER_H
#define TM_NODE_SPEAKER_H

#include <stdio.h>

#include "model/pass/sampler.h"
#include "node/common/model_of.h"

struct tm_speaker_options {
    const char *path;  /* a package or a model; outlives the speaker */
    const char *under; /* see tm_checkpoint_open_under, or NULL */
    uint64_t context;  /* tokens that are kept in mind; 0: all that the model was made for, but at
                        * most 2048 */
    size_t threads;    /* 0: one for each core */
    struct tm_sampler sampler;
};

/* Stays where it was opened: its parts point to each other. */
struct tm_speaker {
    const char *path;
    struct tm_model model;
    struct tm_pass *pass;
    struct tm_sampler sampler;
    struct tm_token_stream *stream;
    struct tm_buf ids;                           /* u32 each: what is in the cache */
    float *logits;                               /* behind the last of them */
    uint64_t read, read_ms, written, written_ms; /* tokens, and the time they took */
};

/* Errors: those of tm_model_of and tm_pass_new; TM_E_NOT_FOUND for a model without tokenizer,
 * TM_E_USAGE for a context that is longer than the model's. On failure *out is empty. */
tm_status tm_speaker_open(const struct tm_speaker_options *options, struct tm_speaker *out,
                          struct tm_err *err) TM_MUST_USE;
/* A zeroed one is empty and valid. */
void tm_speaker_close(struct tm_speaker *speaker);
/* Tokens that fit, the answer's too. */
uint32_t tm_speaker_context(const struct tm_speaker *speaker);

/* Makes these ids (1 <= count < context) what the model has in mind. Of those that it has already
 * the common beginning is kept. TM_E_STOPPED: a signal came; what was read stays. */
tm_status tm_speaker_read(struct tm_speaker *speaker, const uint32_t *ids, size_t count,
                          struct tm_err *err) TM_MUST_USE;

struct tm_answer {
    uint64_t most;       /* tokens that it may have */
    uint32_t end_id;     /* ends it, besides the ends that the model's files name */
    FILE *out;           /* gets the text as it comes; NULL: nobody does */
    struct tm_buf *text; /* the text is appended */
    /* Results, also after TM_E_STOPPED. */
    uint64_t tokens;
    const char *end; /* why it ends: "length", "end of text", "context" or "stopped" */
};

/* Goes on behind what was read last. TM_E_STOPPED: a signal came; the text is there so far. */
tm_status tm_speaker_answer(struct tm_speaker *speaker, struct tm_answer *answer,
                            struct tm_err *err) TM_MUST_USE;

#endif
