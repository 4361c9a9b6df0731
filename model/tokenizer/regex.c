/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"

static const char what_failed[] = "cannot read the tokenizer's pattern";

/* Steps of one match; the patterns of real tokenizers need a few for each character. */
#define MATCH_STEPS_MAX 10000000u

struct tm_regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint8_t *literal; /* instead of the above */
    size_t literal_bytes;
};

/* ---- Oniguruma's classes in PCRE2's words ---- */

/* What stands inside brackets for \s and \w. Oniguruma: White_Space; Alphabetic, marks, decimal
 * digits and connectors (doc/RE of Oniguruma 6.9). PCRE2's own also take U+180E and leave out the
 * marks. */
#define SPACES "\\p{Z}\\t-\\r\\x{85}"
#define WORDS "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"
#define HEX "0-9a-fA-F"

static tm_status put_class(struct tm_buf *out, const char *members, bool negated, bool in_class)
{
    if (in_class) {
        return tm_buf_put_str(out, members);
    }
    return tm_buf_printf(out, "[%s%s]", negated ? "^" : "", members);
}

static tm_status put_escape(struct tm_buf *out, const uint8_t *escape, bool in_class)
{
    switch (escape[1]) {
    case 's':
        return put_class(out, SPACES, false, in_class);
    case 'w':
        return put_class(out, WORDS, false, in_class);
    case 'h':
        return put_class(out, HEX, false, in_class);
    case 'S':
        return in_class ? tm_buf_put(out, escape, 2) : put_class(out, SPACES, true, false);
    case 'W':
        return in_class ? tm_buf_put(out, escape, 2) : put_class(out, WORDS, true, false);
    case 'H':
        return in_class ? tm_buf_put(out, escape, 2) : put_class(out, HEX, true, false);
    default:
        return tm_buf_put(out, escape, 2);
    }
}

static tm_status rewrite(struct tm_view pattern, struct tm_buf *out)
{
    bool in_class = false;
    for (size_t i = 0; i < pattern.bytes; i++) {
        uint8_t c = pattern.data[i];
        if (c == '\\' && i + 1 < pattern.bytes) {
            TM_TRY(put_escape(out, pattern.data + i, in_class));
            i++;
            continue;
        }
        if (c == '[') {
            in_class = true;
        } else if (c == ']') {
            in_class = false;
        }
        TM_TRY(tm_buf_put_u8(out, c));
    }
    return TM_OK;
}

/* ---- compiling ---- */

static tm_status compile(struct tm_regex *regex, struct tm_view pattern, struct tm_err *err)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    regex->code =
        pcre2_compile(pattern.data, pattern.bytes, PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);
    if (regex->code == NULL) {
        PCRE2_UCHAR text[128];
        if (pcre2_get_error_message(code, text, sizeof text) < 0) {
            text[0] = 0;
        }
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "%s at byte %zu",
                          (const char *)text, (size_t)offset);
    }
    /* Without the compiler for this processor the interpreter serves: slower, the same matches. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    regex->match = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->limits = pcre2_match_context_create(NULL);
    if (regex->match == NULL || regex->limits == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
    }
    pcre2_set_match_limit(regex->limits, MATCH_STEPS_MAX);
    return TM_OK;
}

tm_status tm_regex_new(struct tm_view pattern, struct tm_regex **out, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, TM_REGEX_PATTERN_MAX);
    struct tm_regex *regex = tm_calloc(1, sizeof *regex);
    tm_status status = regex == NULL ? TM_E_NOMEM : rewrite(pattern, &text);
    if (status != TM_OK) {
        status = tm_err_set(err, status == TM_E_LIMIT ? TM_E_MALFORMED : status, NULL, what_failed,
                            NULL, status == TM_E_LIMIT ? "it is too long" : "out of memory");
        goto done;
    }
    status = compile(regex, tm_buf_view(&text), err);
done:
    tm_buf_deinit(&text);
    if (status != TM_OK) {
        tm_regex_destroy(&regex);
    }
    *out = regex;
    return status;
}

tm_status tm_regex_literal(struct tm_view text, struct tm_regex **out, struct tm_err *err)
{
    struct tm_regex *regex = tm_calloc(1, sizeof *regex);
    *out = regex;
    if (regex != NULL) {
        regex->literal = tm_memdup(text.data, text.bytes);
        regex->literal_bytes = text.bytes;
    }
    if (regex == NULL || regex->literal == NULL) {
        tm_regex_destroy(out);
        return tm_err_set(err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
    }
    return TM_OK;
}

void tm_regex_destroy(struct tm_regex **regex)
{
    if (*regex == NULL) {
        return;
    }
    pcre2_match_context_free((*regex)->limits);
    pcre2_match_data_free((*regex)->match);
    pcre2_code_free((*regex)->code);
    tm_free((*regex)->literal);
    tm_free(*regex);
    *regex = NULL;
}

/* ---- matching ---- */

static tm_status next_literal(const struct tm_regex *regex, struct tm_view text, size_t from,
                              size_t *start, size_t *end)
{
    const uint8_t *found = NULL;
    if (regex->literal_bytes > 0 && from <= text.bytes) {
        found = memmem(text.data + from, text.bytes - from, regex->literal, regex->literal_bytes);
    }
    if (found == NULL) {
        return TM_E_NOTHING;
    }
    *start = (size_t)(found - text.data);
    *end = *start + regex->literal_bytes;
    return TM_OK;
}

tm_status tm_regex_next(struct tm_regex *regex, struct tm_view text, size_t from, size_t *start,
                        size_t *end)
{
    if (regex->literal != NULL) {
        return next_literal(regex, text, from, start, end);
    }
    /* The text was checked once; to check it again for every match would be quadratic. */
    int found = pcre2_match(regex->code, text.data, text.bytes, from, PCRE2_NO_UTF_CHECK,
                            regex->match, regex->limits);
    if (found == PCRE2_ERROR_NOMATCH) {
        return TM_E_NOTHING;
    }
    if (found < 0) {
        return found == PCRE2_ERROR_NOMEMORY ? TM_E_NOMEM : TM_E_LIMIT;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->match);
    *start = ends[0];
    *end = ends[1] < ends[0] ? ends[0] : ends[1]; /* \K may put the start behind the end */
    return TM_OK;
}
