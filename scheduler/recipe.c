/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/toml.h"

struct rule {
    char *match;
    size_t match_bytes;
    bool glob;
    char *codec;
};

struct tm_recipe {
    char *name;
    struct rule *rules;
    uint32_t rule_count;
};

void tm_recipe_destroy(struct tm_recipe **recipe)
{
    if (recipe == NULL || *recipe == NULL) {
        return;
    }
    struct tm_recipe *r = *recipe;
    for (uint32_t i = 0; r->rules != NULL && i < r->rule_count; i++) {
        tm_free(r->rules[i].match);
        tm_free(r->rules[i].codec);
    }
    tm_free(r->rules);
    tm_free(r->name);
    tm_free(r);
    *recipe = NULL;
}

const char *tm_recipe_name(const struct tm_recipe *recipe)
{
    return recipe->name;
}

static tm_status recipe_new(const char *name, size_t rules, struct tm_recipe **out)
{
    struct tm_recipe *r = tm_calloc(1, sizeof *r);
    if (r == NULL) {
        return TM_E_NOMEM;
    }
    r->name = tm_strdup(name);
    r->rules = tm_calloc(rules, sizeof *r->rules);
    if (r->name == NULL || r->rules == NULL) {
        tm_recipe_destroy(&r);
        return TM_E_NOMEM;
    }
    *out = r;
    return TM_OK;
}

static tm_status add_rule(struct tm_recipe *r, struct tm_view match, const char *codec)
{
    struct rule *rule = &r->rules[r->rule_count++];
    rule->match = tm_strndup((const char *)match.data, match.bytes);
    rule->match_bytes = match.bytes;
    rule->codec = tm_strdup(codec);
    if (rule->match == NULL || rule->codec == NULL) {
        return TM_E_NOMEM;
    }
    rule->glob = memchr(rule->match, '*', match.bytes) != NULL ||
                 memchr(rule->match, '?', match.bytes) != NULL;
    return TM_OK;
}

tm_status tm_recipe_builtin(const char *name, struct tm_recipe **out, struct tm_err *err)
{
    static const char *const names[] = {"int8", "int4", "ternary", "keep"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            struct tm_recipe *r = NULL;
            TM_TRY(recipe_new(name, 1, &r));
            tm_status status = add_rule(r, tm_view_str("*"), names[i]);
            if (status != TM_OK) {
                tm_recipe_destroy(&r);
                return status;
            }
            *out = r;
            return TM_OK;
        }
    }
    return tm_err_set(err, TM_E_NOT_FOUND, name, "cannot use the recipe",
                      "name one of int8, int4, ternary, keep, or a recipe file (*.toml)",
                      "no built-in recipe has this name");
}

/* ---- the file -------------------------------------------------------------------------------- */

static tm_status refuse(const struct tm_toml *at, const char *name, const char *hint,
                        const char *why, struct tm_err *err)
{
    char where[512];
    snprintf(where, sizeof where, "%.400s:%u:%u", name, at->line, at->column);
    return tm_err_set(err, TM_E_USAGE, where, "cannot read the recipe", hint, "%s", why);
}

static tm_status parse_rule(const struct tm_toml *item, const char *name, struct tm_recipe *recipe,
                            struct tm_err *err)
{
    static const char *const allowed[] = {"match", "codec", NULL};
    static const char hint[] = "write { match = \"*.weight\", codec = \"int4\" }";
    if (item->kind != TM_TOML_TABLE) {
        return refuse(item, name, hint, "a rule is no table", err);
    }
    TM_TRY(tm_toml_check_keys(item, allowed, name, err));
    const struct tm_toml *match = tm_toml_get(item, "match");
    const struct tm_toml *codec = tm_toml_get(item, "codec");
    if (match == NULL || codec == NULL) {
        return refuse(item, name, hint, "a rule needs both match and codec", err);
    }
    if (match->kind != TM_TOML_STRING || match->string.bytes == 0) {
        return refuse(match, name, hint, "match must be a text, not empty", err);
    }
    if (codec->kind != TM_TOML_STRING || codec->string.bytes == 0 ||
        codec->string.bytes >= TM_CODEC_TEXT_MAX ||
        strlen(codec->string.data) != codec->string.bytes) {
        return refuse(codec, name, hint, "codec must be a text of 1 to 255 bytes", err);
    }
    return add_rule(recipe, tm_view_of(match->string.data, match->string.bytes),
                    codec->string.data);
}

static tm_status parse_root(const struct tm_toml *root, const char *name, struct tm_recipe **out,
                            struct tm_err *err)
{
    static const char *const allowed[] = {"schema", "rule", NULL};
    TM_TRY(tm_toml_check_keys(root, allowed, name, err));
    if (tm_toml_get(root, "schema") == NULL) {
        return refuse(root, name, "begin with: schema = 1", "schema is missing", err);
    }
    uint64_t schema = 0;
    TM_TRY(tm_toml_get_u64(root, "schema", name, 1, 1, &schema, err));
    const struct tm_toml *rules = tm_toml_get(root, "rule");
    if (rules == NULL || rules->kind != TM_TOML_ARRAY || rules->list.count == 0) {
        return refuse(rules != NULL ? rules : root, name,
                      "write rule = [ { match = \"*\", codec = \"int4\" } ]",
                      "there must be an array of rules", err);
    }
    if (rules->list.count > TM_RECIPE_RULES_MAX) {
        return refuse(rules, name, NULL, "more than 4096 rules", err);
    }
    TM_TRY(recipe_new(name, rules->list.count, out));
    for (size_t i = 0; i < rules->list.count; i++) {
        TM_TRY(parse_rule(rules->list.items[i], name, *out, err));
    }
    return TM_OK;
}

tm_status tm_recipe_parse(struct tm_view text, const char *name, struct tm_recipe **out,
                          struct tm_err *err)
{
    *out = NULL;
    if (text.bytes > TM_RECIPE_BYTES_MAX) {
        return tm_err_set(err, TM_E_LIMIT, name, "cannot read the recipe", NULL,
                          "%zu bytes, at most %u", text.bytes, TM_RECIPE_BYTES_MAX);
    }
    struct tm_toml *root = NULL;
    TM_TRY(tm_toml_parse(text, name, &root, err));
    tm_status status = parse_root(root, name, out, err);
    tm_toml_free(&root);
    if (status != TM_OK) {
        tm_recipe_destroy(out);
    }
    return status;
}

/* ---- matching -------------------------------------------------------------------------------- */

/* Bytes of the character at the front of a non-empty text; stray bytes count as one each. */
static size_t character(struct tm_view text, size_t at)
{
    size_t bytes = 1;
    if (text.data[at] >= 0xc0) {
        while (bytes < 4 && at + bytes < text.bytes && (text.data[at + bytes] & 0xc0) == 0x80) {
            bytes++;
        }
    }
    return bytes;
}

bool tm_glob_match(struct tm_view pattern, struct tm_view name)
{
    size_t p = 0, n = 0;
    size_t star = SIZE_MAX, resume = 0; /* last "*", and where its text would end next */
    while (n < name.bytes) {
        if (p < pattern.bytes && pattern.data[p] == '*') {
            star = p++;
            resume = n;
        } else if (p < pattern.bytes && pattern.data[p] == '?') {
            p++;
            n += character(name, n);
        } else if (p < pattern.bytes && pattern.data[p] == name.data[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            resume += character(name, resume);
            n = resume;
        } else {
            return false;
        }
    }
    while (p < pattern.bytes && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.bytes;
}

struct tm_recipe_match tm_recipe_find(const struct tm_recipe *recipe, struct tm_view tensor_name)
{
    for (uint32_t i = recipe->rule_count; i-- > 0;) {
        const struct rule *rule = &recipe->rules[i];
        struct tm_view match = tm_view_of(rule->match, rule->match_bytes);
        if (rule->glob ? tm_glob_match(match, tensor_name) : tm_view_eq(match, tensor_name)) {
            return (struct tm_recipe_match){.codec = rule->codec, .exact = !rule->glob, .rule = i};
        }
    }
    return (struct tm_recipe_match){0};
}
