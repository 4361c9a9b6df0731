/* SPDX-License-Identifier: Apache-2.0
 * Inside of a tokenizer, shared by its three readers. */
#ifndef TM_MODEL_TOKENIZER_TOKENIZER_PARTS_H
#define TM_MODEL_TOKENIZER_TOKENIZER_PARTS_H

#include "model/tokenizer/added.h"
#include "model/tokenizer/decoder.h"
#include "model/tokenizer/presplit.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/unigram.h"

#define TM_FRAME_MAX 16 /* tokens before or behind a text */
#define TM_ENDS_MAX 16  /* tokens that end a text, besides eos */
#define TM_CHAT_TEMPLATE_MAX (1u << 20)

enum tm_tokenizer_model { TM_TOKENIZER_BPE, TM_TOKENIZER_UNIGRAM };

struct tm_tokenizer {
    enum tm_tokenizer_model model;
    struct tm_vocab vocab;
    struct tm_bpe bpe; /* of a unigram model: what an unknown run becomes */
    struct tm_unigram unigram;
    struct tm_added added;
    struct tm_normals normals;
    struct tm_presplit presplit;
    struct tm_token_decoder decoder;
    uint32_t before[TM_FRAME_MAX], behind[TM_FRAME_MAX];
    size_t before_count, behind_count;
    uint32_t bos, eos;
    uint32_t ends[TM_ENDS_MAX];
    size_t end_count;
    struct tm_buf chat_template;
    const char *unknown_text; /* what the unknown token is turned into, or NULL: its own text */
    char note[256];
    /* work space */
    struct tm_pieces pieces, spare;
    struct tm_bpe_work work;
    struct tm_buf viterbi, repaired;
};

extern const char tm_tokenizer_what[]; /* "cannot read the tokenizer" */

/* An empty tokenizer, or NULL. */
struct tm_tokenizer *tm_tokenizer_new(void);
/* Another token that ends a text; TM_NO_TOKEN, one that is there already and one too many are left
 * out. */
void tm_tokenizer_add_end(struct tm_tokenizer *tokenizer, uint32_t id);
/* Takes the place of an earlier one. TM_E_MALFORMED when it is too long. */
tm_status tm_tokenizer_set_chat_template(struct tm_tokenizer *tokenizer, struct tm_view text,
                                         struct tm_err *err) TM_MUST_USE;
/* Appends the text of an id to tokenizer->pieces. TM_E_MALFORMED: there is no such id. */
tm_status tm_tokenizer_put_token(struct tm_tokenizer *tokenizer, uint32_t id,
                                 unsigned flags) TM_MUST_USE;
/* The error of what failed at token `index` of a text. */
tm_status tm_tokenizer_fail_token(const struct tm_tokenizer *tokenizer, size_t index, uint32_t id,
                                  tm_status status, struct tm_err *err) TM_MUST_USE;
/* Once everything is in: builds what is derived. Puts `path` before the error. */
tm_status tm_tokenizer_seal(struct tm_tokenizer *tokenizer, struct tm_err *err) TM_MUST_USE;
/* Ends a reader: hands the tokenizer out, or destroys it and completes the error with `path`. */
tm_status tm_tokenizer_finish(struct tm_tokenizer *tokenizer, tm_status status, const char *path,
                              struct tm_tokenizer **out, struct tm_err *err) TM_MUST_USE;
/* Fills err for a plain status of the modules below. */
tm_status tm_tokenizer_fail(tm_status status, const char *why, struct tm_err *err) TM_MUST_USE;

#endif
