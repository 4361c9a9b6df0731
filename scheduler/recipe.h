/* SPDX-License-Identifier: Apache-2.0
 * A recipe says what to do with tensors by pattern, in TOML (docs/formats/plan.md):
 *
 *   schema = 1
 *   rule = [ { match = "*", codec = "int4" },              # the last matching rule wins
 *            { match = "*norm*", codec = "keep" },         # "*" and "?" over the whole name
 *            { match = "token_embd.weight", codec = "int.1(bits=8,group=32) > rans.1" } ] */
#ifndef TM_SCHEDULER_RECIPE_H
#define TM_SCHEDULER_RECIPE_H

#include "base/buf.h"

#define TM_RECIPE_BYTES_MAX (1024u * 1024)
#define TM_RECIPE_RULES_MAX 4096
#define TM_CODEC_TEXT_MAX 256

struct tm_recipe;
/* Built-in names: int8, int4, ternary (every float matrix with that codec). TM_E_NOT_FOUND lists
 * them. */
tm_status tm_recipe_builtin(const char *name, struct tm_recipe **out,
                            struct tm_err *err) TM_MUST_USE;
/* Strict: unknown keys are errors with line:column. name is what errors call the text. */
tm_status tm_recipe_parse(struct tm_view text, const char *name, struct tm_recipe **out,
                          struct tm_err *err) TM_MUST_USE;
void tm_recipe_destroy(struct tm_recipe **recipe);
const char *tm_recipe_name(const struct tm_recipe *recipe);

/* The last rule that matches a tensor's name. codec is borrowed from the recipe. */
struct tm_recipe_match {
    const char *codec; /* NULL: no rule matches */
    bool exact;        /* the rule has no "*" or "?": it names this tensor */
    uint32_t rule;     /* index */
};
struct tm_recipe_match tm_recipe_find(const struct tm_recipe *recipe, struct tm_view tensor_name);

/* Whether name matches a pattern in which "*" is any text, also none, and "?" one character
 * (UTF-8). Takes at most pattern x name steps. */
bool tm_glob_match(struct tm_view pattern, struct tm_view name);

#endif
