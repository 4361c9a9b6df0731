/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/presplit.h"

#include <string.h>

#include "model/tokenizer/byte_chars.h"

static const char what_failed[] = "cannot read the tokenizer's pre_tokenizer";
static const char blank_mark[] = "\xe2\x96\x81"; /* U+2581 */

const char tm_presplit_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

void tm_presplit_init(struct tm_presplit *presplit)
{
    memset(presplit, 0, sizeof *presplit);
}

void tm_presplit_deinit(struct tm_presplit *presplit)
{
    for (size_t i = 0; i < presplit->count; i++) {
        tm_regex_destroy(&presplit->steps[i].regex);
    }
    memset(presplit, 0, sizeof *presplit);
}

/* Takes over step's regex. */
static tm_status add(struct tm_presplit *presplit, struct tm_presplit_step step, struct tm_err *err)
{
    if (presplit->count == TM_PRESPLIT_STEPS_MAX) {
        tm_regex_destroy(&step.regex);
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "more than %d steps",
                          TM_PRESPLIT_STEPS_MAX);
    }
    presplit->steps[presplit->count++] = step;
    return TM_OK;
}

tm_status tm_presplit_pattern(struct tm_presplit *presplit, struct tm_view pattern,
                              enum tm_presplit_behavior behavior, bool invert, struct tm_err *err)
{
    struct tm_presplit_step step = {
        .kind = TM_PRESPLIT_REGEX, .behavior = behavior, .invert = invert};
    TM_TRY(tm_regex_new(pattern, &step.regex, err));
    return add(presplit, step, err);
}

tm_status tm_presplit_bytes(struct tm_presplit *presplit, struct tm_err *err)
{
    return add(presplit, (struct tm_presplit_step){.kind = TM_PRESPLIT_BYTES}, err);
}

/* ---- from JSON ---- */

static bool behavior_of(struct tm_view name, enum tm_presplit_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (tm_view_eq_str(name, names[i])) {
            *out = (enum tm_presplit_behavior)i;
            return true;
        }
    }
    return false;
}

static tm_status add_split(struct tm_presplit *presplit, const struct tm_json *node,
                           struct tm_err *err)
{
    struct tm_presplit_step step = {.kind = TM_PRESPLIT_REGEX};
    const struct tm_json *pattern = tm_json_get(node, "pattern");
    struct tm_view text;
    if (!tm_json_str(tm_json_get(node, "behavior"), &text) || !behavior_of(text, &step.behavior)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL,
                          "Split has no known behavior");
    }
    (void)tm_json_bool(tm_json_get(node, "invert"), &step.invert);
    if (tm_json_str(tm_json_get(pattern, "String"), &text)) {
        TM_TRY(tm_regex_literal(text, &step.regex, err));
    } else if (tm_json_str(tm_json_get(pattern, "Regex"), &text)) {
        TM_TRY(tm_regex_new(text, &step.regex, err));
    } else {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "Split has no pattern");
    }
    return add(presplit, step, err);
}

static tm_status add_byte_level(struct tm_presplit *presplit, const struct tm_json *node,
                                struct tm_err *err)
{
    bool prefix = true, pattern = true;
    (void)tm_json_bool(tm_json_get(node, "add_prefix_space"), &prefix);
    (void)tm_json_bool(tm_json_get(node, "use_regex"), &pattern);
    if (prefix) {
        TM_TRY(add(presplit, (struct tm_presplit_step){.kind = TM_PRESPLIT_PREFIX}, err));
    }
    if (pattern) {
        TM_TRY(tm_presplit_pattern(presplit, tm_view_str(tm_presplit_gpt2), TM_SPLIT_ISOLATED,
                                   false, err));
    }
    return tm_presplit_bytes(presplit, err);
}

static tm_status add_metaspace(struct tm_presplit *presplit, const struct tm_json *node,
                               struct tm_err *err)
{
    struct tm_presplit_step step = {.kind = TM_PRESPLIT_METASPACE, .split = true};
    struct tm_view text;
    bool prefix = true;
    if (tm_json_str(tm_json_get(node, "replacement"), &text) && !tm_view_eq_str(text, blank_mark)) {
        return tm_err_set(err, TM_E_INCOMPATIBLE, NULL, what_failed, NULL,
                          "Metaspace with another mark than U+2581");
    }
    (void)tm_json_bool(tm_json_get(node, "split"), &step.split);
    /* The older form of prepend_scheme. */
    (void)tm_json_bool(tm_json_get(node, "add_prefix_space"), &prefix);
    step.prepend = prefix ? TM_PREPEND_ALWAYS : TM_PREPEND_NEVER;
    if (tm_json_str(tm_json_get(node, "prepend_scheme"), &text)) {
        step.prepend = tm_view_eq_str(text, "first")   ? TM_PREPEND_FIRST
                       : tm_view_eq_str(text, "never") ? TM_PREPEND_NEVER
                                                       : TM_PREPEND_ALWAYS;
    }
    return add(presplit, step, err);
}

static tm_status add_digits(struct tm_presplit *presplit, const struct tm_json *node,
                            struct tm_err *err)
{
    bool individual = false;
    (void)tm_json_bool(tm_json_get(node, "individual_digits"), &individual);
    return tm_presplit_pattern(presplit, tm_view_str("\\p{N}"),
                               individual ? TM_SPLIT_ISOLATED : TM_SPLIT_CONTIGUOUS, false, err);
}

static tm_status add_punctuation(struct tm_presplit *presplit, const struct tm_json *node,
                                 struct tm_err *err)
{
    enum tm_presplit_behavior behavior = TM_SPLIT_ISOLATED;
    struct tm_view name;
    if (tm_json_str(tm_json_get(node, "behavior"), &name) && !behavior_of(name, &behavior)) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL,
                          "Punctuation has no known behavior");
    }
    return tm_presplit_pattern(presplit, tm_view_str("[\\p{P}$+<=>^`|~]"), behavior, false, err);
}

static tm_status add_one(struct tm_presplit *presplit, const struct tm_json *node,
                         struct tm_view type, struct tm_err *err)
{
    static const struct {
        const char *name;
        tm_status (*add)(struct tm_presplit *, const struct tm_json *, struct tm_err *);
    } types[] = {{"Split", add_split},
                 {"ByteLevel", add_byte_level},
                 {"Metaspace", add_metaspace},
                 {"Digits", add_digits},
                 {"Punctuation", add_punctuation}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (tm_view_eq_str(type, types[i].name)) {
            return types[i].add(presplit, node, err);
        }
    }
    if (tm_view_eq_str(type, "WhitespaceSplit")) {
        return tm_presplit_pattern(presplit, tm_view_str("\\s"), TM_SPLIT_REMOVED, false, err);
    }
    if (tm_view_eq_str(type, "Whitespace")) {
        return tm_presplit_pattern(presplit, tm_view_str("\\w+|[^\\w\\s]+"), TM_SPLIT_REMOVED, true,
                                   err);
    }
    char name[64];
    return tm_err_set(err, TM_E_INCOMPATIBLE, NULL, what_failed, NULL, "its type '%s' is not known",
                      tm_escape((const char *)type.data, type.bytes, name, sizeof name));
}

tm_status tm_presplit_json(struct tm_presplit *presplit, const struct tm_json *node,
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
        return add_one(presplit, node, type, err);
    }
    const struct tm_json *list = tm_json_get(node, "pretokenizers");
    for (size_t i = 0; i < tm_json_count(list); i++) {
        const struct tm_json *item = tm_json_at(list, i);
        if (!tm_json_str(tm_json_get(item, "type"), &type)) {
            return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL, "step %zu has no type",
                              i);
        }
        TM_TRY(add_one(presplit, item, type, err));
    }
    return TM_OK;
}

/* ---- cutting ---- */

/* Puts the segments of one piece out as they are found; a segment that may still grow is kept. */
struct cutter {
    const struct tm_presplit_step *step;
    struct tm_view text;
    struct tm_pieces *out;
    size_t open;   /* where the segment that was not put out yet begins */
    size_t at;     /* where it ends so far */
    bool previous; /* the last segment was a match */
    bool at_start;
};

static tm_status put_open(struct cutter *c)
{
    bool at_start = c->at_start && c->open == 0;
    struct tm_view text = tm_view_of(c->text.data + c->open, c->at - c->open);
    c->open = c->at;
    return tm_pieces_add(c->out, text, TM_NO_TOKEN, at_start);
}

/* The text from c->at to `end` is a match or lies between matches. */
static tm_status segment(struct cutter *c, size_t end, bool match)
{
    if (end == c->at) {
        return TM_OK;
    }
    bool previous = c->previous;
    bool joins = false;
    match = match != c->step->invert;
    switch (c->step->behavior) {
    case TM_SPLIT_ISOLATED:
    case TM_SPLIT_REMOVED:
        break;
    case TM_SPLIT_WITH_PREVIOUS:
        joins = match && !previous;
        break;
    case TM_SPLIT_WITH_NEXT:
        joins = !match && previous;
        break;
    case TM_SPLIT_CONTIGUOUS:
        joins = match == previous;
        break;
    }
    if (!joins) {
        TM_TRY(put_open(c));
    }
    c->at = end;
    c->previous = match;
    if (c->step->behavior == TM_SPLIT_REMOVED && match) {
        c->open = end;
    }
    return TM_OK;
}

static size_t next_char(struct tm_view text, size_t at)
{
    at++;
    while (at < text.bytes && (text.data[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

static tm_status cut(const struct tm_presplit_step *step, struct tm_view text, bool at_start,
                     struct tm_pieces *out)
{
    struct cutter c = {.step = step, .text = text, .out = out, .at_start = at_start};
    size_t from = 0, start = 0, end = 0;
    while (from <= text.bytes) {
        tm_status status = tm_regex_next(step->regex, text, from, &start, &end);
        if (status == TM_E_NOTHING) {
            break;
        }
        TM_TRY(status);
        TM_TRY(segment(&c, start, false));
        TM_TRY(segment(&c, end, true));
        from = end > start ? end : next_char(text, end);
    }
    TM_TRY(segment(&c, text.bytes, false));
    return put_open(&c);
}

/* ---- the other steps ---- */

static bool begins_with_mark(struct tm_view text)
{
    return text.bytes >= 3 && memcmp(text.data, blank_mark, 3) == 0;
}

/* The text with marks for blanks, and a mark before it where the scheme says so. */
static tm_status metaspace(const struct tm_presplit_step *step, struct tm_view text, bool at_start,
                           struct tm_pieces *out)
{
    size_t from = out->text.bytes;
    bool marked = begins_with_mark(text) || (text.bytes > 0 && text.data[0] == ' ');
    bool prepend =
        step->prepend == TM_PREPEND_ALWAYS || (step->prepend == TM_PREPEND_FIRST && at_start);
    if (prepend && !marked) {
        TM_TRY(tm_buf_put_str(&out->text, blank_mark));
    }
    for (size_t i = 0; i < text.bytes; i++) {
        bool blank = text.data[i] == ' ';
        bool mark = blank || begins_with_mark(tm_view_of(text.data + i, text.bytes - i));
        if (mark && step->split) {
            TM_TRY(tm_pieces_close(out, from, at_start));
            at_start = at_start && out->text.bytes == from;
            from = out->text.bytes;
        }
        if (blank) {
            TM_TRY(tm_buf_put_str(&out->text, blank_mark));
        } else {
            TM_TRY(tm_buf_put_u8(&out->text, text.data[i]));
        }
    }
    return tm_pieces_close(out, from, at_start);
}

static tm_status apply_one(const struct tm_presplit_step *step, struct tm_view text, bool at_start,
                           struct tm_pieces *out)
{
    size_t from = out->text.bytes;
    switch (step->kind) {
    case TM_PRESPLIT_REGEX:
        return cut(step, text, at_start, out);
    case TM_PRESPLIT_METASPACE:
        return metaspace(step, text, at_start, out);
    case TM_PRESPLIT_PREFIX:
        if (text.data[0] != ' ') {
            TM_TRY(tm_buf_put_u8(&out->text, ' '));
        }
        TM_TRY(tm_buf_put(&out->text, text.data, text.bytes));
        break;
    case TM_PRESPLIT_BYTES:
        TM_TRY(tm_byte_chars_put(text, &out->text));
        break;
    }
    return tm_pieces_close(out, from, at_start);
}

tm_status tm_presplit_apply(const struct tm_presplit *presplit, struct tm_pieces *pieces,
                            struct tm_pieces *spare)
{
    for (size_t i = 0; i < presplit->count; i++) {
        tm_pieces_clear(spare);
        for (size_t j = 0; j < tm_pieces_count(pieces); j++) {
            const struct tm_piece *piece = tm_pieces_at(pieces, j);
            struct tm_view text = tm_pieces_text(pieces, piece);
            TM_TRY(piece->token != TM_NO_TOKEN
                       ? tm_pieces_add(spare, text, piece->token, piece->at_start)
                       : apply_one(&presplit->steps[i], text, piece->at_start, spare));
        }
        struct tm_pieces swap = *pieces;
        *pieces = *spare;
        *spare = swap;
    }
    return TM_OK;
}
