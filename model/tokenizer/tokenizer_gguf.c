/* SPDX-License-Identifier: Apache-2.0
 * Reads the tokenizer of a GGUF file from its metadata (tokenizer.ggml.*). Source: ggml
 * docs/gguf.md; what a pre-tokenizer's name stands for is in llama.cpp, src/llama-vocab.cpp. */
#include "model/tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "model/gguf_meta.h"
#include "model/tokenizer/sentencepiece.h"

/* ---- pre-tokenizers that have a name only ---- */

#define DIGITS_ONE "\\p{N}"
#define GPT2 NULL /* stands for tm_presplit_gpt2 */
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LLAMA3                                                                                     \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"       \
                 "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2                                                                                      \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"            \
                 "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN35                                                                                     \
    CONTRACTIONS                                                                                   \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"           \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define GPT4O                                                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]*[" LOWER "]+" CONTRACTIONS "?"                              \
    "|[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]+[" LOWER "]*" CONTRACTIONS "?"                             \
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN                                                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]*[" LOWER "]+|[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]+[" LOWER     \
    "]*"                                                                                           \
    "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

struct presplit {
    const char *names; /* blanks between */
    const char *first; /* a pattern that cuts before `pattern` does, or NULL */
    const char *pattern;
    bool whole_words;
    bool frame_bos; /* BOS, when the file says nothing about it */
};

static const struct presplit presplits[] = {
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de olmo a.x-4.0 mellum mpt jais trillion "
     "granite-docling gigachat modern-bert roberta-bpe",
     NULL, GPT2, false, false},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", DIGITS_ONE, GPT2,
     false, false},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", NULL, LLAMA3,
     true, true},
    {"glm4", NULL, LLAMA3, true, false},
    {"dbrx smaug-bpe chatglm-bpe", NULL, LLAMA3, false, false},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez kormo f2llmv2 solar-open grok-2", NULL, QWEN2,
     false, false},
    {"qwen35", NULL, QWEN35, false, false},
    {"gpt-4o llama4", NULL, GPT4O, false, false},
    {"tekken", NULL, TEKKEN, true, true},
};

static bool has_word(const char *words, struct tm_view word)
{
    for (const char *at = words; *at != 0;) {
        size_t length = strcspn(at, " ");
        if (length == word.bytes && memcmp(at, word.data, length) == 0) {
            return true;
        }
        at += length + (at[length] == ' ');
    }
    return false;
}

struct reader {
    struct tm_tokenizer *t;
    struct tm_view meta;
    bool frame_bos; /* BOS, when the file says nothing about it */
    struct tm_err *err;
};

static tm_status malformed(struct reader *r, const char *why)
{
    return tm_tokenizer_fail(TM_E_MALFORMED, why, r->err);
}

static bool flag(struct reader *r, const char *key, bool otherwise)
{
    uint64_t value;
    return tm_gguf_meta_u64(r->meta, key, &value) ? value != 0 : otherwise;
}

static uint32_t token_id(struct reader *r, const char *key)
{
    uint64_t value;
    bool known = tm_gguf_meta_u64(r->meta, key, &value) && value < TM_VOCAB_MAX;
    return known ? (uint32_t)value : TM_NO_TOKEN;
}

static const struct presplit *find_presplit(struct tm_view name)
{
    for (size_t i = 0; i < sizeof presplits / sizeof presplits[0]; i++) {
        if (has_word(presplits[i].names, name)) {
            return &presplits[i];
        }
    }
    return NULL;
}

static tm_status set_presplit(struct reader *r)
{
    struct tm_presplit *presplit = &r->t->presplit;
    struct tm_view name = tm_view_str("default");
    (void)tm_gguf_meta_str(r->meta, "tokenizer.ggml.pre", &name);
    const struct presplit *known = find_presplit(name);
    const char *pattern =
        known != NULL && known->pattern != GPT2 ? known->pattern : tm_presplit_gpt2;
    if (known == NULL) {
        char text[64];
        snprintf(r->t->note, sizeof r->t->note,
                 "the pre-tokenizer '%s' is not known; GPT-2's is used, and tokens may differ",
                 tm_escape((const char *)name.data, name.bytes, text, sizeof text));
    } else {
        r->t->bpe.whole_words = known->whole_words;
        r->frame_bos = known->frame_bos;
    }
    if (known != NULL && known->first != NULL) {
        TM_TRY(tm_presplit_pattern(presplit, tm_view_str(known->first), TM_SPLIT_ISOLATED, false,
                                   r->err));
    }
    TM_TRY(tm_presplit_pattern(presplit, tm_view_str(pattern), TM_SPLIT_ISOLATED, false, r->err));
    return tm_presplit_bytes(presplit, r->err);
}

/* ---- tokens and merges ---- */

/* The items of an array of 32-bit values, or none. */
static tm_status values(struct reader *r, const char *key, enum tm_gguf_type type, uint64_t count,
                        struct tm_cursor *out)
{
    struct tm_gguf_kv kv;
    *out = tm_cursor_of(tm_view_str(""));
    if (!tm_gguf_meta_find(r->meta, key, &kv)) {
        return TM_OK;
    }
    if (kv.type != TM_GGUF_ARRAY || kv.item_type != type || kv.item_count != count) {
        return malformed(r, "its scores or token types are not one for each token");
    }
    *out = tm_cursor_of(kv.value);
    return TM_OK;
}

static tm_status read_tokens(struct reader *r)
{
    struct tm_gguf_kv tokens;
    struct tm_cursor scores, kinds;
    if (!tm_gguf_meta_find(r->meta, "tokenizer.ggml.tokens", &tokens) ||
        tokens.type != TM_GGUF_ARRAY || tokens.item_type != TM_GGUF_STRING) {
        return malformed(r, "it has no list of tokens");
    }
    if (tokens.item_count > TM_VOCAB_MAX) {
        return malformed(r, "the vocabulary is too large");
    }
    TM_TRY(values(r, "tokenizer.ggml.scores", TM_GGUF_F32, tokens.item_count, &scores));
    TM_TRY(values(r, "tokenizer.ggml.token_type", TM_GGUF_I32, tokens.item_count, &kinds));
    struct tm_cursor texts = tm_cursor_of(tokens.value);
    struct tm_view text;
    for (uint32_t id = 0; tm_gguf_string_next(&texts, &text); id++) {
        float score = scores.bytes > 0 ? tm_f32_from_bits(tm_cursor_u32(&scores)) : 0.0f;
        uint32_t kind = kinds.bytes > 0 ? tm_cursor_u32(&kinds) : TM_PIECE_NORMAL;
        if (!(score > -1e30f && score < 1e30f)) {
            return malformed(r, "a token's score is no number");
        }
        /* A token without text is a gap that a converter filled. */
        kind = text.bytes == 0 ? TM_PIECE_UNUSED : kind;
        TM_TRY(tm_spm_put(r->t, id, text, score, kind, r->err));
    }
    return TM_OK;
}

static tm_status read_merges(struct reader *r)
{
    struct tm_gguf_kv merges;
    struct tm_view text;
    if (!tm_gguf_meta_find(r->meta, "tokenizer.ggml.merges", &merges) ||
        merges.type != TM_GGUF_ARRAY || merges.item_type != TM_GGUF_STRING) {
        return malformed(r, "it has no list of merges");
    }
    struct tm_cursor texts = tm_cursor_of(merges.value);
    while (tm_gguf_string_next(&texts, &text)) {
        /* A token may begin with the blank's stand-in, never with a blank itself. */
        const uint8_t *blank = text.bytes > 1 ? memchr(text.data + 1, ' ', text.bytes - 1) : NULL;
        tm_status status = TM_E_MALFORMED;
        if (blank != NULL) {
            size_t at = (size_t)(blank - text.data);
            status = tm_bpe_merge(&r->t->bpe, tm_view_of(text.data, at),
                                  tm_view_of(blank + 1, text.bytes - at - 1));
        }
        if (status != TM_OK) {
            return tm_tokenizer_fail(status, "a merge joins or makes a token that is not there",
                                     r->err);
        }
    }
    return TM_OK;
}

/* ---- the kinds ---- */

static tm_status read_gpt2(struct reader *r)
{
    TM_TRY(read_tokens(r));
    TM_TRY(read_merges(r));
    TM_TRY(set_presplit(r));
    return tm_token_decoder_byte_level(&r->t->decoder, r->err);
}

static tm_status read_sentencepiece(struct reader *r, enum tm_tokenizer_model model)
{
    struct tm_gguf_kv map;
    struct tm_spm_settings settings = {
        .add_dummy_prefix = flag(r, "tokenizer.ggml.add_space_prefix", true),
        .remove_extra_whitespaces = flag(r, "tokenizer.ggml.remove_extra_whitespaces", false),
        .escape_whitespaces = true};
    if (tm_gguf_meta_find(r->meta, "tokenizer.ggml.precompiled_charsmap", &map) &&
        map.type == TM_GGUF_ARRAY && tm_gguf_type_bytes(map.item_type) == 1) {
        settings.charsmap = map.value;
    }
    r->t->model = model;
    TM_TRY(read_tokens(r));
    return tm_spm_settle(r->t, &settings, r->err);
}

static tm_status read_all(struct reader *r)
{
    struct tm_view model;
    if (!tm_gguf_meta_str(r->meta, "tokenizer.ggml.model", &model)) {
        return tm_tokenizer_fail(TM_E_NOT_FOUND, "there is none in the file", r->err);
    }
    if (tm_view_eq_str(model, "gpt2")) {
        TM_TRY(read_gpt2(r));
    } else if (tm_view_eq_str(model, "llama")) {
        TM_TRY(read_sentencepiece(r, TM_TOKENIZER_BPE));
        r->frame_bos = true;
    } else if (tm_view_eq_str(model, "t5")) {
        TM_TRY(read_sentencepiece(r, TM_TOKENIZER_UNIGRAM));
    } else {
        char name[64], why[128];
        snprintf(why, sizeof why, "its model '%s' is not known",
                 tm_escape((const char *)model.data, model.bytes, name, sizeof name));
        return tm_tokenizer_fail(TM_E_INCOMPATIBLE, why, r->err);
    }
    struct tm_tokenizer *t = r->t;
    t->bos = token_id(r, "tokenizer.ggml.bos_token_id");
    t->eos = token_id(r, "tokenizer.ggml.eos_token_id");
    tm_tokenizer_add_end(t, token_id(r, "tokenizer.ggml.eot_token_id"));
    tm_tokenizer_add_end(t, token_id(r, "tokenizer.ggml.eom_token_id"));
    if (tm_gguf_meta_str(r->meta, "tokenizer.chat_template", &model)) {
        TM_TRY(tm_tokenizer_set_chat_template(t, model, r->err));
    }
    if (flag(r, "tokenizer.ggml.add_bos_token", r->frame_bos) && t->bos != TM_NO_TOKEN) {
        t->before[t->before_count++] = t->bos;
    }
    if (flag(r, "tokenizer.ggml.add_eos_token", false) && t->eos != TM_NO_TOKEN) {
        t->behind[t->behind_count++] = t->eos;
    }
    return tm_tokenizer_seal(t, r->err);
}

tm_status tm_tokenizer_from_gguf(struct tm_view meta, const char *path, struct tm_tokenizer **out,
                                 struct tm_err *err)
{
    struct reader r = {.t = tm_tokenizer_new(), .meta = meta, .err = err};
    if (err != NULL) {
        memset(err, 0, sizeof *err);
    }
    tm_status status = r.t == NULL ? tm_tokenizer_fail(TM_E_NOMEM, "", err) : read_all(&r);
    return tm_tokenizer_finish(r.t, status, path, out, err);
}
