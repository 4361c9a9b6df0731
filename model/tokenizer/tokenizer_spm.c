/* SPDX-License-Identifier: Apache-2.0
 * Reads tokenizer.model, a serialized sentencepiece.ModelProto. Its wire format is walked in place:
 * the fields wanted here are five deep at most, and no message nests in itself.
 * Source: sentencepiece src/sentencepiece_model.proto. */
#include "model/tokenizer/tokenizer.h"

#include <string.h>

#include "base/bytes.h"
#include "model/tokenizer/sentencepiece.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value; /* VARINT, 64, 32 */
    struct tm_view bytes;
};

static bool varint(struct tm_cursor *c, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = tm_cursor_u8(c);
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return !c->overrun;
        }
    }
    return false;
}

/* The next field: false at the end and for what is no field (then c->overrun is set). */
static bool next(struct tm_cursor *c, struct field *out)
{
    uint64_t key = 0;
    memset(out, 0, sizeof *out);
    if (tm_cursor_left(c) == 0) {
        return false;
    }
    bool good = varint(c, &key) && key >> 3 <= UINT32_MAX;
    out->number = (uint32_t)(key >> 3);
    out->wire = (enum wire)(key & 7);
    switch (key & 7) {
    case WIRE_VARINT:
        good = good && varint(c, &out->value);
        break;
    case WIRE_64:
        out->value = tm_cursor_u64(c);
        break;
    case WIRE_32:
        out->value = tm_cursor_u32(c);
        break;
    case WIRE_BYTES:
        good = good && varint(c, &out->value);
        out->bytes = tm_cursor_take(c, out->value);
        break;
    default:
        good = false;
    }
    c->overrun = c->overrun || !good;
    return !c->overrun;
}

struct reader {
    struct tm_tokenizer *t;
    struct tm_spm_settings settings;
    uint32_t count;
    struct tm_err *err;
};

static tm_status malformed(struct reader *r, const char *why)
{
    return tm_tokenizer_fail(TM_E_MALFORMED, why, r->err);
}

static tm_status read_piece(struct reader *r, struct tm_view message)
{
    struct tm_cursor c = tm_cursor_of(message);
    struct field f;
    struct tm_view text = {NULL, 0};
    float score = 0.0f;
    uint64_t kind = TM_PIECE_NORMAL;
    while (next(&c, &f)) {
        if (f.number == 1 && f.wire == WIRE_BYTES) {
            text = f.bytes;
        } else if (f.number == 2 && f.wire == WIRE_32) {
            score = tm_f32_from_bits((uint32_t)f.value);
        } else if (f.number == 3 && f.wire == WIRE_VARINT) {
            kind = f.value;
        }
    }
    if (c.overrun || !(score > -1e30f && score < 1e30f)) {
        return malformed(r, "a piece is cut off, or its score is no number");
    }
    return tm_spm_put(r->t, r->count++, text, score, (uint32_t)kind, r->err);
}

static tm_status read_trainer(struct reader *r, struct tm_view message)
{
    struct tm_cursor c = tm_cursor_of(message);
    struct field f;
    uint64_t model = 1, bos = 1, eos = 2;
    while (next(&c, &f)) {
        if (f.wire != WIRE_VARINT) {
            continue;
        }
        model = f.number == 3 ? f.value : model;
        bos = f.number == 41 ? f.value : bos;
        eos = f.number == 42 ? f.value : eos;
    }
    if (c.overrun) {
        return malformed(r, "its trainer_spec is cut off");
    }
    if (model != 1 && model != 2) {
        return tm_tokenizer_fail(TM_E_INCOMPATIBLE, "its model is neither unigram nor BPE", r->err);
    }
    r->t->model = model == 1 ? TM_TOKENIZER_UNIGRAM : TM_TOKENIZER_BPE;
    /* -1, "there is none", is a varint of ten bytes. */
    r->t->bos = bos < TM_VOCAB_MAX ? (uint32_t)bos : TM_NO_TOKEN;
    r->t->eos = eos < TM_VOCAB_MAX ? (uint32_t)eos : TM_NO_TOKEN;
    return TM_OK;
}

static tm_status read_normalizer(struct reader *r, struct tm_view message)
{
    struct tm_cursor c = tm_cursor_of(message);
    struct field f;
    while (next(&c, &f)) {
        switch (f.number) {
        case 2:
            r->settings.charsmap = f.bytes;
            break;
        case 3:
            r->settings.add_dummy_prefix = f.value != 0;
            break;
        case 4:
            r->settings.remove_extra_whitespaces = f.value != 0;
            break;
        case 5:
            r->settings.escape_whitespaces = f.value != 0;
            break;
        default:
            break;
        }
    }
    return c.overrun ? malformed(r, "its normalizer_spec is cut off") : TM_OK;
}

/* All fields of one number. */
static tm_status read_fields(struct reader *r, struct tm_view proto, uint32_t number,
                             tm_status (*read)(struct reader *, struct tm_view))
{
    struct tm_cursor c = tm_cursor_of(proto);
    struct field f;
    while (next(&c, &f)) {
        if (f.number == number && f.wire == WIRE_BYTES) {
            TM_TRY(read(r, f.bytes));
        }
    }
    return c.overrun ? malformed(r, "it is cut off") : TM_OK;
}

static tm_status read_all(struct reader *r, struct tm_view proto)
{
    struct tm_tokenizer *t = r->t;
    t->model = TM_TOKENIZER_UNIGRAM;
    t->unigram.single_precision = true;
    t->unknown_text = " \xe2\x81\x87 "; /* U+2047, trainer_spec's default unk_surface */
    /* The pieces come first in the file, but what they become depends on the kind of model. */
    TM_TRY(read_fields(r, proto, 2, read_trainer));
    TM_TRY(read_fields(r, proto, 3, read_normalizer));
    TM_TRY(read_fields(r, proto, 1, read_piece));
    if (r->count == 0) {
        return malformed(r, "it has no pieces");
    }
    if (t->bos < r->count) {
        t->before[t->before_count++] = t->bos;
    }
    TM_TRY(tm_spm_settle(t, &r->settings, r->err));
    return tm_tokenizer_seal(t, r->err);
}

tm_status tm_tokenizer_from_spm(struct tm_view proto, const char *path, struct tm_tokenizer **out,
                                struct tm_err *err)
{
    struct reader r = {.t = tm_tokenizer_new(), .err = err};
    r.settings = (struct tm_spm_settings){
        .add_dummy_prefix = true, .remove_extra_whitespaces = true, .escape_whitespaces = true};
    if (err != NULL) {
        memset(err, 0, sizeof *err);
    }
    tm_status status = r.t == NULL ? tm_tokenizer_fail(TM_E_NOMEM, "", err) : read_all(&r, proto);
    return tm_tokenizer_finish(r.t, status, path, out, err);
}
