/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/normalize.h"

#include <string.h>
#include <utf8proc.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/utf8.h"

static const char what_failed[] = "cannot read the tokenizer's normalizer";

#define CHARSMAP_BYTES_MAX (4u << 20)

void tm_normals_init(struct tm_normals *normals)
{
    memset(normals, 0, sizeof *normals);
}

void tm_normals_deinit(struct tm_normals *normals)
{
    for (size_t i = 0; i < normals->count; i++) {
        tm_regex_destroy(&normals->steps[i].regex);
        tm_free(normals->steps[i].text);
    }
    memset(normals, 0, sizeof *normals);
}

static tm_status out_of_memory(struct tm_err *err)
{
    return tm_err_set(err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
}

tm_status tm_normals_add(struct tm_normals *normals, enum tm_normal_kind kind,
                         struct tm_regex *regex, struct tm_view text, struct tm_err *err)
{
    struct tm_normal step = {.kind = kind, .regex = regex, .text_bytes = text.bytes};
    step.text = tm_memdup(text.data == NULL ? (const uint8_t *)"" : text.data, text.bytes);
    tm_status status = TM_OK;
    if (normals->count == TM_NORMAL_STEPS_MAX) {
        status = tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "more than %d steps",
                            TM_NORMAL_STEPS_MAX);
    } else if (step.text == NULL) {
        status = out_of_memory(err);
    } else if (kind == TM_NORMAL_CHARSMAP) {
        status = tm_charsmap_open(&step.map, tm_view_of(step.text, step.text_bytes), err);
    }
    if (status != TM_OK) {
        tm_regex_destroy(&step.regex);
        tm_free(step.text);
        return status;
    }
    normals->steps[normals->count++] = step;
    return TM_OK;
}

/* ---- from JSON ---- */

static tm_status add_replace(struct tm_normals *normals, const struct tm_json *node,
                             struct tm_err *err)
{
    const struct tm_json *pattern = tm_json_get(node, "pattern");
    struct tm_view text, content;
    struct tm_regex *regex = NULL;
    if (!tm_json_str(tm_json_get(node, "content"), &content)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "Replace has no content");
    }
    if (tm_json_str(tm_json_get(pattern, "String"), &text)) {
        TM_TRY(tm_regex_literal(text, &regex, err));
    } else if (tm_json_str(tm_json_get(pattern, "Regex"), &text)) {
        TM_TRY(tm_regex_new(text, &regex, err));
    } else {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "Replace has no pattern");
    }
    return tm_normals_add(normals, TM_NORMAL_REPLACE, regex, content, err);
}

static tm_status add_charsmap(struct tm_normals *normals, const struct tm_json *node,
                              struct tm_err *err)
{
    struct tm_view coded = {NULL, 0};
    struct tm_buf blob;
    tm_buf_init(&blob, CHARSMAP_BYTES_MAX);
    (void)tm_json_str(tm_json_get(node, "precompiled_charsmap"), &coded);
    tm_status status = tm_base64_decode(coded, &blob);
    if (status == TM_E_NOMEM) {
        status = out_of_memory(err);
    } else if (status != TM_OK) {
        status =
            tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL,
                       "precompiled_charsmap is no base64 of at most %u bytes", CHARSMAP_BYTES_MAX);
    } else {
        status = tm_normals_add(normals, TM_NORMAL_CHARSMAP, NULL, tm_buf_view(&blob), err);
    }
    tm_buf_deinit(&blob);
    return status;
}

static tm_status add_strip(struct tm_normals *normals, const struct tm_json *node,
                           struct tm_err *err)
{
    bool left = true, right = true;
    (void)tm_json_bool(tm_json_get(node, "strip_left"), &left);
    (void)tm_json_bool(tm_json_get(node, "strip_right"), &right);
    TM_TRY(tm_normals_add(normals, TM_NORMAL_STRIP, NULL, tm_view_str(""), err));
    normals->steps[normals->count - 1].left = left;
    normals->steps[normals->count - 1].right = right;
    return TM_OK;
}

static tm_status add_one(struct tm_normals *normals, const struct tm_json *node,
                         struct tm_view type, struct tm_err *err)
{
    static const struct {
        const char *name;
        enum tm_normal_kind kind;
    } plain[] = {{"NFC", TM_NORMAL_NFC},
                 {"NFD", TM_NORMAL_NFD},
                 {"NFKC", TM_NORMAL_NFKC},
                 {"NFKD", TM_NORMAL_NFKD},
                 {"Lowercase", TM_NORMAL_LOWERCASE},
                 {"StripAccents", TM_NORMAL_STRIP_ACCENTS}};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (tm_view_eq_str(type, plain[i].name)) {
            return tm_normals_add(normals, plain[i].kind, NULL, tm_view_str(""), err);
        }
    }
    if (tm_view_eq_str(type, "Replace")) {
        return add_replace(normals, node, err);
    }
    if (tm_view_eq_str(type, "Strip")) {
        return add_strip(normals, node, err);
    }
    if (tm_view_eq_str(type, "Precompiled")) {
        return add_charsmap(normals, node, err);
    }
    if (tm_view_eq_str(type, "Prepend")) {
        struct tm_view text = {NULL, 0};
        (void)tm_json_str(tm_json_get(node, "prepend"), &text);
        return tm_normals_add(normals, TM_NORMAL_PREPEND, NULL, text, err);
    }
    char name[64];
    return tm_err_set(err, TM_E_INCOMPATIBLE, NULL, what_failed, NULL, "its type '%s' is not known",
                      tm_escape((const char *)type.data, type.bytes, name, sizeof name));
}

tm_status tm_normals_json(struct tm_normals *normals, const struct tm_json *node,
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
        return add_one(normals, node, type, err);
    }
    const struct tm_json *list = tm_json_get(node, "normalizers");
    for (size_t i = 0; i < tm_json_count(list); i++) {
        /* Nothing nests sequences: one level keeps hostile files from nesting calls. */
        const struct tm_json *item = tm_json_at(list, i);
        if (!tm_json_str(tm_json_get(item, "type"), &type)) {
            return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "step %zu has no type",
                              i);
        }
        TM_TRY(add_one(normals, item, type, err));
    }
    return TM_OK;
}

/* ---- the steps ---- */

bool tm_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x20 || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

static bool is_ascii(struct tm_view text)
{
    uint8_t any = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        any |= text.data[i];
    }
    return any < 0x80;
}

/* ASCII is in every form already. */
static tm_status unicode_form(struct tm_view text, utf8proc_option_t form, struct tm_buf *out)
{
    if (is_ascii(text)) {
        return tm_buf_put(out, text.data, text.bytes);
    }
    form |= UTF8PROC_STABLE;
    utf8proc_ssize_t room =
        utf8proc_decompose(text.data, (utf8proc_ssize_t)text.bytes, NULL, 0, form);
    if (room < 0) {
        return TM_E_MALFORMED;
    }
    /* One more: the encoder ends its text with a NUL. */
    utf8proc_int32_t *codes = tm_realloc_array(NULL, (size_t)room + 1, sizeof *codes);
    if (codes == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = TM_E_MALFORMED;
    utf8proc_ssize_t count =
        utf8proc_decompose(text.data, (utf8proc_ssize_t)text.bytes, codes, room, form);
    utf8proc_ssize_t bytes = count < 0 ? count : utf8proc_reencode(codes, count, form);
    if (bytes >= 0) {
        status = tm_buf_put(out, codes, (size_t)bytes);
    }
    tm_free(codes);
    return status;
}

static tm_status put_code(struct tm_buf *out, uint32_t code)
{
    char bytes[4];
    return tm_buf_put(out, bytes, tm_utf8_encode(code, bytes));
}

/* One character; a small letter for a capital, nothing for an accent. */
static tm_status put_changed(enum tm_normal_kind kind, uint32_t code, struct tm_buf *out)
{
    if (kind == TM_NORMAL_STRIP_ACCENTS) {
        bool accent = utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_MN;
        return accent ? TM_OK : put_code(out, code);
    }
    if (code == 0x130) { /* the one capital whose small form has two characters */
        return tm_buf_put_str(out, "i\xcc\x87");
    }
    return put_code(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)code));
}

static tm_status change_each(enum tm_normal_kind kind, struct tm_view text, struct tm_buf *out)
{
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        if (length == 0) {
            return TM_E_MALFORMED;
        }
        TM_TRY(put_changed(kind, code, out));
        at += length;
    }
    return TM_OK;
}

static tm_status strip(const struct tm_normal *step, struct tm_view text, struct tm_buf *out)
{
    size_t from = text.bytes, to = 0;
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        length = length == 0 ? 1 : length;
        if (!tm_is_space(code)) {
            from = from < at ? from : at;
            to = at + length;
        }
        at += length;
    }
    from = step->left ? from : 0;
    to = step->right ? to : text.bytes;
    return from < to ? tm_buf_put(out, text.data + from, to - from) : TM_OK;
}

tm_status tm_normals_replace(const struct tm_normal *step, struct tm_view text, struct tm_buf *out)
{
    size_t done = 0, from = 0, start, end;
    while (from <= text.bytes) {
        tm_status status = tm_regex_next(step->regex, text, from, &start, &end);
        if (status == TM_E_NOTHING) {
            break;
        }
        TM_TRY(status);
        TM_TRY(tm_buf_put(out, text.data + done, start - done));
        TM_TRY(tm_buf_put(out, step->text, step->text_bytes));
        done = end;
        from = end;
        if (start == end) { /* an empty match: go on behind the next character */
            from++;
            while (from < text.bytes && (text.data[from] & 0xc0) == 0x80) {
                from++;
            }
        }
    }
    return tm_buf_put(out, text.data + done, text.bytes - done);
}

static tm_status apply_one(const struct tm_normal *step, struct tm_view text, struct tm_buf *out)
{
    switch (step->kind) {
    case TM_NORMAL_NFC:
        return unicode_form(text, UTF8PROC_COMPOSE, out);
    case TM_NORMAL_NFD:
        return unicode_form(text, UTF8PROC_DECOMPOSE, out);
    case TM_NORMAL_NFKC:
        return unicode_form(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT, out);
    case TM_NORMAL_NFKD:
        return unicode_form(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, out);
    case TM_NORMAL_LOWERCASE:
    case TM_NORMAL_STRIP_ACCENTS:
        return change_each(step->kind, text, out);
    case TM_NORMAL_STRIP:
        return strip(step, text, out);
    case TM_NORMAL_REPLACE:
        return tm_normals_replace(step, text, out);
    case TM_NORMAL_PREPEND:
        if (text.bytes > 0) {
            TM_TRY(tm_buf_put(out, step->text, step->text_bytes));
        }
        return tm_buf_put(out, text.data, text.bytes);
    case TM_NORMAL_CHARSMAP:
        return tm_charsmap_apply(&step->map, text, out);
    }
    return TM_E_INTERNAL;
}

tm_status tm_normals_apply(const struct tm_normals *normals, struct tm_view text,
                           struct tm_buf *out, struct tm_buf *spare)
{
    tm_buf_clear(out);
    if (normals->count == 0) {
        return tm_buf_put(out, text.data, text.bytes);
    }
    for (size_t i = 0; i < normals->count; i++) {
        /* The result of the last step lands in out: the two swap so that it does. */
        struct tm_buf *target = (normals->count - i) % 2 == 1 ? out : spare;
        struct tm_buf *source = target == out ? spare : out;
        tm_buf_clear(target);
        TM_TRY(apply_one(&normals->steps[i], i == 0 ? text : tm_buf_view(source), target));
    }
    return TM_OK;
}
