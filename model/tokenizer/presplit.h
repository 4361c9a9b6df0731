/* SPDX-License-Identifier: Apache-2.0
 * The "pre_tokenizer" of tokenizer.json, as a list of steps over pieces: the model (BPE, unigram)
 * never joins what was split here. */
#ifndef TM_MODEL_TOKENIZER_PRESPLIT_H
#define TM_MODEL_TOKENIZER_PRESPLIT_H

#include "base/json.h"
#include "model/tokenizer/pieces.h"
#include "model/tokenizer/regex.h"

#define TM_PRESPLIT_STEPS_MAX 32

enum tm_presplit_kind {
    TM_PRESPLIT_REGEX,     /* cut at the matches of a pattern */
    TM_PRESPLIT_METASPACE, /* blanks become U+2581; cut before each */
    TM_PRESPLIT_PREFIX,    /* a blank before a piece that begins with none */
    TM_PRESPLIT_BYTES      /* every byte as the character that stands for it */
};

/* What becomes of a match: a piece of its own, nothing, part of the piece before or behind it, or
 * one piece with its neighbours that match too. */
enum tm_presplit_behavior {
    TM_SPLIT_ISOLATED,
    TM_SPLIT_REMOVED,
    TM_SPLIT_WITH_PREVIOUS,
    TM_SPLIT_WITH_NEXT,
    TM_SPLIT_CONTIGUOUS
};

enum tm_presplit_prepend { TM_PREPEND_ALWAYS, TM_PREPEND_FIRST, TM_PREPEND_NEVER };

struct tm_presplit_step {
    enum tm_presplit_kind kind;
    struct tm_regex *regex;
    enum tm_presplit_behavior behavior;
    bool invert;                      /* the matches are what lies between */
    enum tm_presplit_prepend prepend; /* METASPACE */
    bool split;                       /* METASPACE */
};

struct tm_presplit {
    struct tm_presplit_step steps[TM_PRESPLIT_STEPS_MAX];
    size_t count;
};

void tm_presplit_init(struct tm_presplit *presplit);
void tm_presplit_deinit(struct tm_presplit *presplit);
/* Appends the steps of a "pre_tokenizer" value (null: none). TM_E_INCOMPATIBLE names a type that
 * is not known. */
tm_status tm_presplit_json(struct tm_presplit *presplit, const struct tm_json *node,
                           struct tm_err *err) TM_MUST_USE;
/* Appends a cut at a pattern, and the step that turns bytes into characters. */
tm_status tm_presplit_pattern(struct tm_presplit *presplit, struct tm_view pattern,
                              enum tm_presplit_behavior behavior, bool invert,
                              struct tm_err *err) TM_MUST_USE;
tm_status tm_presplit_bytes(struct tm_presplit *presplit, struct tm_err *err) TM_MUST_USE;
/* Runs all steps over `pieces` (their text is valid UTF-8); tokens pass untouched. `spare` is work
 * space. TM_E_LIMIT when a pattern takes too long or the text is too large. */
tm_status tm_presplit_apply(const struct tm_presplit *presplit, struct tm_pieces *pieces,
                            struct tm_pieces *spare) TM_MUST_USE;

/* GPT-2's pattern. Source: openai/gpt-2, src/encoder.py. */
extern const char tm_presplit_gpt2[];

#endif
