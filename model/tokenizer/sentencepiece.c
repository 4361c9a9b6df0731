/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/sentencepiece.h"

#include <string.h>

static const char blank_mark[] = "\xe2\x96\x81"; /* U+2581 */

tm_status tm_spm_put(struct tm_tokenizer *t, uint32_t id, struct tm_view text, double score,
                     uint32_t kind, struct tm_err *err)
{
    tm_status status = TM_OK;
    bool unigram = t->model == TM_TOKENIZER_UNIGRAM;
    if (kind == TM_PIECE_CONTROL || (kind == TM_PIECE_USER_DEFINED && !unigram)) {
        bool control = kind == TM_PIECE_CONTROL;
        /* GGUF files of Gemma write runs of blanks as such: they are found before marks are put. */
        bool raw = control || (text.bytes > 0 && memchr(text.data, ' ', text.bytes) != NULL);
        struct tm_added_token token = {
            .id = id, .special = control, .normalized = !raw, .verbatim = !raw};
        status = tm_added_put(&t->added, token, text);
    } else if (kind == TM_PIECE_UNUSED) {
        return TM_OK;
    } else {
        score = kind == TM_PIECE_USER_DEFINED ? TM_UNIGRAM_ALWAYS
                : kind == TM_PIECE_BYTE       ? TM_UNIGRAM_NEVER
                                              : score;
        status = tm_vocab_put(&t->vocab, id, text, score);
        if (kind == TM_PIECE_UNKNOWN && status == TM_OK) {
            /* Its text in a text stands for it, where special tokens do. */
            struct tm_added_token token = {.id = id, .special = true};
            t->bpe.unknown = id;
            status = tm_added_put(&t->added, token, text);
        }
    }
    return status == TM_OK ? TM_OK
                           : tm_tokenizer_fail(status,
                                               status == TM_E_LIMIT ? "the vocabulary is too large"
                                                                    : "a token has no text",
                                               err);
}

static tm_status add_replace(struct tm_tokenizer *t, const char *pattern, const char *content,
                             struct tm_err *err)
{
    struct tm_regex *regex = NULL;
    TM_TRY(tm_regex_new(tm_view_str(pattern), &regex, err));
    return tm_normals_add(&t->normals, TM_NORMAL_REPLACE, regex, tm_view_str(content), err);
}

tm_status tm_spm_settle(struct tm_tokenizer *t, const struct tm_spm_settings *settings,
                        struct tm_err *err)
{
    if (settings->charsmap.bytes > 0) {
        TM_TRY(tm_normals_add(&t->normals, TM_NORMAL_CHARSMAP, NULL, settings->charsmap, err));
    }
    if (settings->remove_extra_whitespaces) {
        TM_TRY(add_replace(t, "^ +", "", err));
        TM_TRY(add_replace(t, "  +", " ", err));
    }
    if (settings->add_dummy_prefix) {
        TM_TRY(tm_normals_add(&t->normals, TM_NORMAL_PREPEND, NULL, tm_view_str(" "), err));
    }
    if (settings->escape_whitespaces) {
        TM_TRY(add_replace(t, " ", blank_mark, err));
    }
    if (settings->remove_extra_whitespaces) {
        /* Last, for it takes marks at the end too that were in the text as such. */
        TM_TRY(add_replace(t, settings->escape_whitespaces ? "(?:\xe2\x96\x81)+\\z" : " +\\z", "",
                           err));
    }
    tm_bpe_use_bytes(&t->bpe);
    t->bpe.fuse_unknown = true;
    if (t->model == TM_TOKENIZER_BPE && tm_bpe_use_scores(&t->bpe) != TM_OK) {
        return tm_tokenizer_fail(TM_E_NOMEM, "", err);
    }
    uint64_t strip = settings->remove_extra_whitespaces ? UINT64_MAX : settings->add_dummy_prefix;
    return tm_token_decoder_sentencepiece(&t->decoder, strip, err);
}
