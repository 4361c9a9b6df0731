/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/decoder.h"

#include <string.h>

#include "model/tokenizer/byte_chars.h"

static const char what_failed[] = "cannot read the tokenizer's decoder";
static const char blank_mark[] = "\xe2\x96\x81"; /* U+2581 */

void tm_token_decoder_init(struct tm_token_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
}

void tm_token_decoder_deinit(struct tm_token_decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        tm_normals_deinit(&decoder->steps[i].replace);
    }
    memset(decoder, 0, sizeof *decoder);
}

/* A new step, zeroed; NULL with *err filled when there are too many. */
static struct tm_token_decoder_step *add(struct tm_token_decoder *decoder,
                                         enum tm_token_decoder_kind kind, struct tm_err *err)
{
    if (decoder->count == TM_DECODER_STEPS_MAX) {
        tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "more than %d steps",
                   TM_DECODER_STEPS_MAX);
        return NULL;
    }
    struct tm_token_decoder_step *step = &decoder->steps[decoder->count++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    return step;
}

static tm_status add_plain(struct tm_token_decoder *decoder, enum tm_token_decoder_kind kind,
                           struct tm_err *err)
{
    return add(decoder, kind, err) == NULL ? TM_E_MALFORMED : TM_OK;
}

/* ---- from JSON ---- */

static tm_status add_metaspace(struct tm_token_decoder *decoder, const struct tm_json *node,
                               struct tm_err *err)
{
    struct tm_view scheme;
    bool prefix = true;
    struct tm_token_decoder_step *step = add(decoder, TM_DECODE_METASPACE, err);
    if (step == NULL) {
        return TM_E_MALFORMED;
    }
    (void)tm_json_bool(tm_json_get(node, "add_prefix_space"), &prefix);
    step->keep_first = !prefix;
    if (tm_json_str(tm_json_get(node, "prepend_scheme"), &scheme)) {
        step->keep_first = tm_view_eq_str(scheme, "never");
    }
    return TM_OK;
}

static tm_status add_strip(struct tm_token_decoder *decoder, const struct tm_json *node,
                           struct tm_err *err)
{
    struct tm_view content;
    struct tm_token_decoder_step *step = add(decoder, TM_DECODE_STRIP, err);
    if (step == NULL) {
        return TM_E_MALFORMED;
    }
    if (!tm_json_str(tm_json_get(node, "content"), &content) || content.bytes == 0 ||
        content.bytes > sizeof step->content ||
        !tm_json_u64(tm_json_get(node, "start"), &step->start) ||
        !tm_json_u64(tm_json_get(node, "stop"), &step->stop)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL,
                          "Strip needs content (one character), start and stop");
    }
    memcpy(step->content, content.data, content.bytes);
    step->content_bytes = content.bytes;
    return TM_OK;
}

static tm_status add_one(struct tm_token_decoder *decoder, const struct tm_json *node,
                         struct tm_view type, struct tm_err *err)
{
    if (tm_view_eq_str(type, "ByteLevel")) {
        return add_plain(decoder, TM_DECODE_BYTE_LEVEL, err);
    }
    if (tm_view_eq_str(type, "ByteFallback")) {
        return add_plain(decoder, TM_DECODE_BYTE_FALLBACK, err);
    }
    if (tm_view_eq_str(type, "Fuse")) {
        return add_plain(decoder, TM_DECODE_FUSE, err);
    }
    if (tm_view_eq_str(type, "Metaspace")) {
        return add_metaspace(decoder, node, err);
    }
    if (tm_view_eq_str(type, "Strip")) {
        return add_strip(decoder, node, err);
    }
    if (tm_view_eq_str(type, "Replace")) {
        struct tm_token_decoder_step *step = add(decoder, TM_DECODE_REPLACE, err);
        return step == NULL ? TM_E_MALFORMED : tm_normals_json(&step->replace, node, err);
    }
    char name[64];
    return tm_err_set(err, TM_E_INCOMPATIBLE, NULL, what_failed, NULL, "its type '%s' is not known",
                      tm_escape((const char *)type.data, type.bytes, name, sizeof name));
}

/* One text of all tokens, of which one-byte characters at the start are stripped: that can be done
 * token by token, and then nothing asks for the text of all. */
static void settle(struct tm_token_decoder *decoder)
{
    size_t at = 0;
    while (at < decoder->count && decoder->steps[at].kind != TM_DECODE_FUSE) {
        at++;
    }
    for (size_t i = at + 1; i < decoder->count; i++) {
        const struct tm_token_decoder_step *step = &decoder->steps[i];
        if (step->kind != TM_DECODE_STRIP || step->stop > 0 || step->content_bytes != 1) {
            return;
        }
    }
    for (size_t i = at + 1; i < decoder->count; i++) {
        decoder->steps[i].kind = TM_DECODE_STRIP_FIRST;
        decoder->steps[i - 1] = decoder->steps[i];
    }
    decoder->count -= at < decoder->count;
}

tm_status tm_token_decoder_json(struct tm_token_decoder *decoder, const struct tm_json *node,
                                struct tm_err *err)
{
    struct tm_view type;
    if (node == NULL || tm_json_kind(node) == TM_JSON_NULL) {
        return TM_OK;
    }
    if (!tm_json_str(tm_json_get(node, "type"), &type)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "it has no type");
    }
    if (!tm_view_eq_str(type, "Sequence")) {
        return add_one(decoder, node, type, err);
    }
    const struct tm_json *list = tm_json_get(node, "decoders");
    for (size_t i = 0; i < tm_json_count(list); i++) {
        const struct tm_json *item = tm_json_at(list, i);
        if (!tm_json_str(tm_json_get(item, "type"), &type)) {
            return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "step %zu has no type",
                              i);
        }
        TM_TRY(add_one(decoder, item, type, err));
    }
    settle(decoder);
    return TM_OK;
}

tm_status tm_token_decoder_byte_level(struct tm_token_decoder *decoder, struct tm_err *err)
{
    return add_plain(decoder, TM_DECODE_BYTE_LEVEL, err);
}

tm_status tm_token_decoder_sentencepiece(struct tm_token_decoder *decoder, uint64_t strip,
                                         struct tm_err *err)
{
    struct tm_regex *mark = NULL;
    struct tm_token_decoder_step *step = add(decoder, TM_DECODE_STRIP_FIRST, err);
    if (step == NULL) {
        return TM_E_MALFORMED;
    }
    memcpy(step->content, blank_mark, 3);
    step->content_bytes = 3;
    step->start = strip;
    step = add(decoder, TM_DECODE_REPLACE, err);
    if (step == NULL) {
        return TM_E_MALFORMED;
    }
    TM_TRY(tm_regex_literal(tm_view_str(blank_mark), &mark, err));
    TM_TRY(tm_normals_add(&step->replace, TM_NORMAL_REPLACE, mark, tm_view_str(" "), err));
    return add_plain(decoder, TM_DECODE_BYTE_FALLBACK, err);
}

/* ---- the steps ---- */

static tm_status put(struct tm_pieces *out, struct tm_view text)
{
    return tm_pieces_add(out, text, TM_NO_TOKEN, false);
}

static int hex_of(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_byte_token(struct tm_view text, uint8_t *out)
{
    if (text.bytes != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') {
        return false;
    }
    int high = hex_of(text.data[3]), low = hex_of(text.data[4]);
    *out = (uint8_t)(high * 16 + low);
    return high >= 0 && low >= 0;
}

static tm_status byte_fallback(struct tm_view text, struct tm_pieces *out)
{
    uint8_t byte;
    return put(out, is_byte_token(text, &byte) ? tm_view_of(&byte, 1) : text);
}

static tm_status byte_level(struct tm_view text, struct tm_pieces *out)
{
    size_t from = out->text.bytes;
    tm_status status = tm_byte_chars_get(text, &out->text);
    if (status == TM_E_NOTHING) {
        return put(out, text);
    }
    TM_TRY(status);
    return tm_pieces_close(out, from, false);
}

static tm_status metaspace(const struct tm_token_decoder_step *step, struct tm_view text,
                           bool first, struct tm_pieces *out)
{
    size_t from = out->text.bytes;
    for (size_t at = 0; at < text.bytes;) {
        if (text.bytes - at < 3 || memcmp(text.data + at, blank_mark, 3) != 0) {
            TM_TRY(tm_buf_put_u8(&out->text, text.data[at++]));
            continue;
        }
        if (!first || step->keep_first) {
            TM_TRY(tm_buf_put_u8(&out->text, ' '));
        }
        at += 3;
    }
    return tm_pieces_close(out, from, false);
}

static tm_status strip(const struct tm_token_decoder_step *step, struct tm_view text,
                       struct tm_pieces *out)
{
    size_t unit = step->content_bytes;
    for (uint64_t i = 0; i < step->start && text.bytes >= unit; i++) {
        if (memcmp(text.data, step->content, unit) != 0) {
            break;
        }
        text = tm_view_of(text.data + unit, text.bytes - unit);
    }
    for (uint64_t i = 0; i < step->stop && text.bytes >= unit; i++) {
        if (memcmp(text.data + text.bytes - unit, step->content, unit) != 0) {
            break;
        }
        text.bytes -= unit;
    }
    return put(out, text);
}

/* The first tokens, until one of them has something else in it. */
static tm_status strip_first(const struct tm_token_decoder_step *step, struct tm_view text,
                             uint64_t *left, struct tm_pieces *out)
{
    size_t unit = step->content_bytes;
    while (*left > 0 && text.bytes >= unit && memcmp(text.data, step->content, unit) == 0) {
        text = tm_view_of(text.data + unit, text.bytes - unit);
        (*left)--;
    }
    *left = text.bytes > 0 ? 0 : *left;
    return put(out, text);
}

static tm_status replace(const struct tm_token_decoder_step *step, struct tm_view text,
                         struct tm_pieces *out)
{
    size_t from = out->text.bytes;
    TM_TRY(tm_normals_replace(&step->replace.steps[0], text, &out->text));
    return tm_pieces_close(out, from, false);
}

static tm_status apply_one(const struct tm_token_decoder *decoder, size_t index,
                           struct tm_token_decoding *decoding, struct tm_view text,
                           struct tm_pieces *out)
{
    const struct tm_token_decoder_step *step = &decoder->steps[index];
    bool first = !decoding->begun[index];
    decoding->begun[index] = true;
    switch (step->kind) {
    case TM_DECODE_BYTE_LEVEL:
        return byte_level(text, out);
    case TM_DECODE_METASPACE:
        return metaspace(step, text, first, out);
    case TM_DECODE_REPLACE:
        return replace(step, text, out);
    case TM_DECODE_BYTE_FALLBACK:
        return byte_fallback(text, out);
    case TM_DECODE_STRIP:
        return strip(step, text, out);
    case TM_DECODE_STRIP_FIRST:
        return strip_first(step, text, &decoding->left[index], out);
    case TM_DECODE_FUSE:
        break;
    }
    return TM_E_INTERNAL;
}

bool tm_token_decoder_streams(const struct tm_token_decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        if (decoder->steps[i].kind == TM_DECODE_FUSE) {
            return false;
        }
    }
    return true;
}

void tm_token_decoder_begin(const struct tm_token_decoder *decoder,
                            struct tm_token_decoding *decoding)
{
    memset(decoding, 0, sizeof *decoding);
    for (size_t i = 0; i < decoder->count; i++) {
        decoding->left[i] = decoder->steps[i].start;
    }
}

tm_status tm_token_decoder_next(const struct tm_token_decoder *decoder,
                                struct tm_token_decoding *decoding, struct tm_pieces *pieces,
                                struct tm_pieces *spare, struct tm_buf *out)
{
    for (size_t i = 0; i < decoder->count; i++) {
        tm_pieces_clear(spare);
        size_t count = tm_pieces_count(pieces);
        if (decoder->steps[i].kind == TM_DECODE_FUSE) {
            TM_TRY(put(spare, tm_buf_view(&pieces->text)));
            count = 0;
        }
        for (size_t j = 0; j < count; j++) {
            struct tm_view text = tm_pieces_text(pieces, tm_pieces_at(pieces, j));
            TM_TRY(apply_one(decoder, i, decoding, text, spare));
        }
        struct tm_pieces swap = *pieces;
        *pieces = *spare;
        *spare = swap;
    }
    return tm_buf_put(out, pieces->text.data, pieces->text.bytes);
}

tm_status tm_token_decoder_apply(const struct tm_token_decoder *decoder, struct tm_pieces *pieces,
                                 struct tm_pieces *spare, struct tm_buf *out)
{
    struct tm_token_decoding decoding;
    tm_token_decoder_begin(decoder, &decoding);
    return tm_token_decoder_next(decoder, &decoding, pieces, spare, out);
}
