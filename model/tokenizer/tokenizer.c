/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/tokenizer.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/tokenizer/repair.h"
#include "model/tokenizer/tokenizer_parts.h"

const char tm_tokenizer_what[] = "cannot read the tokenizer";

/* ---- its life ---- */

struct tm_tokenizer *tm_tokenizer_new(void)
{
    struct tm_tokenizer *t = tm_calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    tm_vocab_init(&t->vocab);
    tm_bpe_init(&t->bpe, &t->vocab);
    tm_trie_init(&t->unigram.trie);
    tm_added_init(&t->added);
    tm_normals_init(&t->normals);
    tm_presplit_init(&t->presplit);
    tm_token_decoder_init(&t->decoder);
    t->bos = t->eos = TM_NO_TOKEN;
    tm_buf_init(&t->chat_template, TM_CHAT_TEMPLATE_MAX);
    tm_pieces_init(&t->pieces);
    tm_pieces_init(&t->spare);
    tm_bpe_work_init(&t->work);
    tm_buf_init(&t->viterbi, (size_t)64 << 30);
    tm_buf_init(&t->repaired, TM_PIECES_TEXT_MAX);
    return t;
}

void tm_tokenizer_destroy(struct tm_tokenizer **tokenizer)
{
    struct tm_tokenizer *t = *tokenizer;
    if (t == NULL) {
        return;
    }
    tm_unigram_deinit(&t->unigram);
    tm_bpe_deinit(&t->bpe);
    tm_vocab_deinit(&t->vocab);
    tm_added_deinit(&t->added);
    tm_normals_deinit(&t->normals);
    tm_presplit_deinit(&t->presplit);
    tm_token_decoder_deinit(&t->decoder);
    tm_buf_deinit(&t->chat_template);
    tm_pieces_deinit(&t->pieces);
    tm_pieces_deinit(&t->spare);
    tm_bpe_work_deinit(&t->work);
    tm_buf_deinit(&t->viterbi);
    tm_buf_deinit(&t->repaired);
    tm_free(t);
    *tokenizer = NULL;
}

tm_status tm_tokenizer_fail(tm_status status, const char *why, struct tm_err *err)
{
    if (status == TM_E_NOMEM) {
        why = "out of memory";
    } else if (status == TM_E_LIMIT) {
        status = TM_E_MALFORMED;
    }
    return tm_err_set(err, status, NULL, tm_tokenizer_what, NULL, "%s", why);
}

void tm_tokenizer_add_end(struct tm_tokenizer *t, uint32_t id)
{
    if (id != TM_NO_TOKEN && !tm_tokenizer_is_end(t, id) && t->end_count < TM_ENDS_MAX) {
        t->ends[t->end_count++] = id;
    }
}

tm_status tm_tokenizer_set_chat_template(struct tm_tokenizer *t, struct tm_view text,
                                         struct tm_err *err)
{
    tm_buf_clear(&t->chat_template);
    tm_status status = tm_buf_put(&t->chat_template, text.data, text.bytes);
    return status == TM_OK ? TM_OK
                           : tm_tokenizer_fail(status, "its chat template is too long", err);
}

tm_status tm_tokenizer_seal(struct tm_tokenizer *t, struct tm_err *err)
{
    tm_status status = tm_added_seal(&t->added, &t->normals);
    if (status == TM_OK && t->model == TM_TOKENIZER_UNIGRAM) {
        status = tm_unigram_init(&t->unigram, &t->vocab, &t->bpe);
    }
    return status == TM_OK ? TM_OK : tm_tokenizer_fail(status, "it is too large", err);
}

tm_status tm_tokenizer_finish(struct tm_tokenizer *tokenizer, tm_status status, const char *path,
                              struct tm_tokenizer **out, struct tm_err *err)
{
    *out = NULL;
    if (status == TM_OK) {
        *out = tokenizer;
        return TM_OK;
    }
    tm_tokenizer_destroy(&tokenizer);
    if (err != NULL && err->where[0] == 0) {
        tm_err_prefix(err, path);
    }
    return status;
}

/* ---- looking things up ---- */

uint32_t tm_tokenizer_count(const struct tm_tokenizer *t)
{
    uint32_t count = t->vocab.count;
    for (size_t i = 0; i < tm_added_count(&t->added); i++) {
        uint32_t id = tm_added_at(&t->added, i)->id;
        count = id >= count ? id + 1 : count;
    }
    return count;
}

uint32_t tm_tokenizer_find(const struct tm_tokenizer *t, struct tm_view text)
{
    for (size_t i = 0; i < tm_added_count(&t->added); i++) {
        const struct tm_added_token *token = tm_added_at(&t->added, i);
        if (tm_view_eq(tm_added_text(&t->added, token), text)) {
            return token->id;
        }
    }
    return tm_vocab_find(&t->vocab, text);
}

bool tm_tokenizer_text(const struct tm_tokenizer *t, uint32_t id, struct tm_view *out)
{
    const struct tm_added_token *token = tm_added_find(&t->added, id);
    if (token != NULL) {
        *out = tm_added_text(&t->added, token);
        return true;
    }
    return tm_vocab_text(&t->vocab, id, out);
}

uint32_t tm_tokenizer_bos(const struct tm_tokenizer *t)
{
    return t->bos;
}

uint32_t tm_tokenizer_eos(const struct tm_tokenizer *t)
{
    return t->eos;
}

bool tm_tokenizer_is_end(const struct tm_tokenizer *t, uint32_t id)
{
    bool found = id == t->eos;
    for (size_t i = 0; i < t->end_count && !found; i++) {
        found = t->ends[i] == id;
    }
    return found && id != TM_NO_TOKEN;
}

bool tm_tokenizer_chat_template(const struct tm_tokenizer *t, struct tm_view *out)
{
    *out = tm_buf_view(&t->chat_template);
    return out->bytes > 0;
}

const char *tm_tokenizer_note(const struct tm_tokenizer *t)
{
    return t->note[0] != 0 ? t->note : NULL;
}

/* ---- encoding ---- */

static tm_status encode_pieces(struct tm_tokenizer *t, struct tm_buf *ids)
{
    for (size_t i = 0; i < tm_pieces_count(&t->pieces); i++) {
        const struct tm_piece *piece = tm_pieces_at(&t->pieces, i);
        struct tm_view text = tm_pieces_text(&t->pieces, piece);
        if (piece->token != TM_NO_TOKEN) {
            TM_TRY(tm_buf_put(ids, &piece->token, sizeof piece->token));
        } else if (t->model == TM_TOKENIZER_BPE) {
            TM_TRY(tm_bpe_encode(&t->bpe, text, &t->work, ids));
        } else {
            TM_TRY(tm_unigram_encode(&t->unigram, text, &t->viterbi, ids));
        }
    }
    return TM_OK;
}

static tm_status encode_all(struct tm_tokenizer *t, struct tm_view text, unsigned flags,
                            const struct tm_text_spans *plain, struct tm_buf *ids)
{
    if (!tm_utf8_valid((const char *)text.data, text.bytes)) {
        tm_buf_clear(&t->repaired);
        TM_TRY(tm_repair_utf8(text, &t->repaired));
        text = tm_buf_view(&t->repaired);
    }
    bool frame = (flags & TM_TOKENIZE_FRAME) != 0;
    bool specials = (flags & TM_TOKENIZE_SPECIALS) != 0;
    tm_pieces_clear(&t->pieces);
    TM_TRY(tm_added_cut(&t->added, &t->normals, text, specials, plain, &t->pieces));
    TM_TRY(tm_presplit_apply(&t->presplit, &t->pieces, &t->spare));
    if (frame) {
        TM_TRY(tm_buf_put(ids, t->before, t->before_count * sizeof t->before[0]));
    }
    TM_TRY(encode_pieces(t, ids));
    return frame ? tm_buf_put(ids, t->behind, t->behind_count * sizeof t->behind[0]) : TM_OK;
}

tm_status tm_tokenizer_encode(struct tm_tokenizer *t, struct tm_view text, unsigned flags,
                              struct tm_buf *ids, struct tm_err *err)
{
    const struct tm_text_spans none = {NULL, 0};
    return tm_tokenizer_encode_mixed(t, text, flags, &none, ids, err);
}

tm_status tm_tokenizer_encode_mixed(struct tm_tokenizer *t, struct tm_view text, unsigned flags,
                                    const struct tm_text_spans *plain, struct tm_buf *ids,
                                    struct tm_err *err)
{
    size_t before = ids->bytes;
    TM_ASSERT(plain->count == 0 || tm_utf8_valid((const char *)text.data, text.bytes));
    tm_status status = encode_all(t, text, flags, plain, ids);
    if (status != TM_OK) {
        ids->bytes = before;
        tm_err_set(err, status, NULL, "cannot tokenize the text", NULL, "%s",
                   status == TM_E_NOMEM   ? "out of memory"
                   : status == TM_E_LIMIT ? "it is too large, or the tokenizer's pattern too slow"
                                          : tm_status_text(status));
    }
    return status;
}

/* ---- decoding ---- */

tm_status tm_tokenizer_put_token(struct tm_tokenizer *t, uint32_t id, unsigned flags)
{
    const struct tm_added_token *token = tm_added_find(&t->added, id);
    struct tm_view text;
    if (token == NULL && id == t->bpe.unknown && tm_tokenizer_text(t, id, &text)) {
        /* A vocabulary may have its text twice, and the other one is the added token: Hugging Face
         * asks whether the text is special. */
        token = tm_added_find(&t->added, tm_tokenizer_find(t, text));
    }
    bool unknown = id == t->bpe.unknown && t->unknown_text != NULL;
    bool special = token != NULL && token->special && !unknown;
    if (special && (flags & TM_DETOKENIZE_SKIP_SPECIALS) != 0) {
        return TM_OK;
    }
    if (!tm_tokenizer_text(t, id, &text)) {
        return TM_E_MALFORMED;
    }
    if (token != NULL) {
        text = tm_added_shown(&t->added, token);
    }
    if (unknown) {
        text = tm_view_str(t->unknown_text);
    }
    return tm_pieces_add(&t->pieces, text, TM_NO_TOKEN, false);
}

tm_status tm_tokenizer_fail_token(const struct tm_tokenizer *t, size_t index, uint32_t id,
                                  tm_status status, struct tm_err *err)
{
    static const char what[] = "cannot turn tokens into text";
    if (status == TM_E_MALFORMED) {
        return tm_err_set(err, status, NULL, what, NULL,
                          "token %zu has the id %u, and there are %u", index, id,
                          tm_tokenizer_count(t));
    }
    return tm_err_set(err, status, NULL, what, NULL, "%s", tm_status_text(status));
}

tm_status tm_tokenizer_decode(struct tm_tokenizer *t, const uint32_t *ids, size_t count,
                              unsigned flags, struct tm_buf *out, struct tm_err *err)
{
    size_t before = out->bytes;
    tm_pieces_clear(&t->pieces);
    for (size_t i = 0; i < count; i++) {
        tm_status status = tm_tokenizer_put_token(t, ids[i], flags);
        if (status != TM_OK) {
            return tm_tokenizer_fail_token(t, i, ids[i], status, err);
        }
    }
    tm_status status = tm_token_decoder_apply(&t->decoder, &t->pieces, &t->spare, out);
    if (status != TM_OK) {
        out->bytes = before;
        return tm_tokenizer_fail_token(t, 0, 0, status, err);
    }
    return TM_OK;
}
