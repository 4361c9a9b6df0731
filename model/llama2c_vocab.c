/* SPDX-License-Identifier: Apache-2.0 */
#include "model/llama2c_vocab.h"

#include <string.h>

#include "base/bytes.h"
#include "model/gguf_meta.h"

enum { UNKNOWN_ID, BOS_ID, EOS_ID, SPECIAL_IDS };

/* llama.cpp's enum llama_token_type. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_BYTE = 6 };

/* run.c surrounds the markers of begin and end with line breaks. */
static const char *const special_texts[SPECIAL_IDS] = {"<unk>", "<s>", "</s>"};
static const char blank_text[] = "\xe2\x96\x81";

struct token {
    uint32_t score; /* the bits of a float */
    struct tm_view text;
};

/* The next token; false at the end of the file and where it is broken (cursor->overrun). */
static bool next(struct tm_cursor *cursor, struct token *out)
{
    if (cursor->at == cursor->bytes) {
        return false;
    }
    out->score = tm_cursor_u32(cursor);
    out->text = tm_cursor_take(cursor, tm_cursor_u32(cursor));
    return !cursor->overrun;
}

static struct tm_cursor first(struct tm_view file)
{
    struct tm_cursor cursor = tm_cursor_of(file);
    tm_cursor_u32(&cursor);
    return cursor;
}

static bool is_well_formed(struct tm_view file, uint32_t tokens)
{
    struct tm_cursor cursor = first(file);
    struct token token;
    uint32_t count = 0;
    while (count <= tokens && next(&cursor, &token)) {
        count++;
    }
    return !cursor.overrun && count == tokens && tokens >= SPECIAL_IDS;
}

static bool is_byte_token(struct tm_view text)
{
    return text.bytes == 6 && memcmp(text.data, "<0x", 3) == 0 && text.data[5] == '>';
}

static uint32_t type_of(uint32_t id, struct tm_view text)
{
    if (id < SPECIAL_IDS) {
        return id == UNKNOWN_ID ? TYPE_UNKNOWN : TYPE_CONTROL;
    }
    return text.bytes == 0 ? TYPE_CONTROL : is_byte_token(text) ? TYPE_BYTE : TYPE_NORMAL;
}

static tm_status put_text(struct tm_buf *out, struct tm_view text)
{
    TM_TRY(tm_buf_put_u64(out, text.bytes));
    return tm_buf_put(out, text.data, text.bytes);
}

static tm_status put_token(struct tm_buf *out, uint32_t id, struct tm_view text)
{
    if (id < SPECIAL_IDS) {
        return put_text(out, tm_view_str(special_texts[id]));
    }
    size_t blanks = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        blanks += text.data[i] == ' ';
    }
    TM_TRY(tm_buf_put_u64(out, text.bytes + blanks * (sizeof blank_text - 2)));
    for (size_t i = 0; i < text.bytes; i++) {
        TM_TRY(text.data[i] == ' ' ? tm_buf_put_str(out, blank_text)
                                   : tm_buf_put_u8(out, text.data[i]));
    }
    return TM_OK;
}

static tm_status put_key(struct tm_buf *out, const char *key, enum tm_gguf_type type)
{
    TM_TRY(put_text(out, tm_view_str(key)));
    return tm_buf_put_u32(out, type);
}

static tm_status put_array(struct tm_buf *out, const char *key, enum tm_gguf_type item,
                           uint32_t count)
{
    TM_TRY(put_key(out, key, TM_GGUF_ARRAY));
    TM_TRY(tm_buf_put_u32(out, item));
    return tm_buf_put_u64(out, count);
}

static tm_status put_pairs(struct tm_view file, uint32_t tokens, struct tm_buf *out)
{
    static const char *const ids[SPECIAL_IDS] = {"tokenizer.ggml.unknown_token_id",
                                                 "tokenizer.ggml.bos_token_id",
                                                 "tokenizer.ggml.eos_token_id"};
    struct token token;
    TM_TRY(put_key(out, "tokenizer.ggml.model", TM_GGUF_STRING));
    TM_TRY(put_text(out, tm_view_str("llama")));
    TM_TRY(put_array(out, "tokenizer.ggml.tokens", TM_GGUF_STRING, tokens));
    struct tm_cursor cursor = first(file);
    for (uint32_t id = 0; next(&cursor, &token); id++) {
        TM_TRY(put_token(out, id, token.text));
    }
    TM_TRY(put_array(out, "tokenizer.ggml.scores", TM_GGUF_F32, tokens));
    for (cursor = first(file); next(&cursor, &token);) {
        TM_TRY(tm_buf_put_u32(out, token.score));
    }
    TM_TRY(put_array(out, "tokenizer.ggml.token_type", TM_GGUF_I32, tokens));
    cursor = first(file);
    for (uint32_t id = 0; next(&cursor, &token); id++) {
        TM_TRY(tm_buf_put_u32(out, type_of(id, token.text)));
    }
    for (uint32_t id = 0; id < SPECIAL_IDS; id++) {
        TM_TRY(put_key(out, ids[id], TM_GGUF_U32));
        TM_TRY(tm_buf_put_u32(out, id));
    }
    return TM_OK;
}

tm_status tm_llama2c_vocab_put(struct tm_view file, uint32_t tokens, struct tm_buf *out)
{
    size_t kept = out->bytes;
    if (!is_well_formed(file, tokens)) {
        return TM_E_MALFORMED;
    }
    tm_status status = put_pairs(file, tokens, out);
    if (status != TM_OK) {
        out->bytes = kept;
    }
    return status;
}
