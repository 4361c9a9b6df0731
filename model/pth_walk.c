/* SPDX-License-Identifier: Apache-2.0
 * Walks through the dictionaries and lists of a checkpoint without recursion. */
#include "model/pth_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct level {
    struct tm_value value;
    uint32_t next;     /* item to look at */
    size_t name_bytes; /* of the name so far */
};

struct walker {
    struct tm_pth *p;
    struct level levels[TM_PTH_DEPTH_MAX];
    uint32_t depth;
    tm_pth_skip *skip;
    struct tm_buf name;
};

static tm_status push(struct walker *w, struct tm_value value)
{
    if (w->depth == TM_PTH_DEPTH_MAX) {
        return tm_pth_bad(w->p, "dictionaries within dictionaries, more than 32 deep");
    }
    w->levels[w->depth++] = (struct level){.value = value, .name_bytes = w->name.bytes};
    return TM_OK;
}

/* The key of an item as text: a dictionary's, or the position in a list. false for keys that are
 * neither text nor a number. */
static bool key_text(const struct tm_pth *p, struct tm_value key, char number[24],
                     struct tm_view *out)
{
    int64_t value = 0;
    if (key.kind == TM_PICKLE_STR) {
        *out = tm_pickle_str(&p->pickle, key);
        return true;
    }
    if (!tm_pickle_int(&p->pickle, key, &value)) {
        return false;
    }
    snprintf(number, 24, "%" PRId64, value);
    *out = tm_view_str(number);
    return true;
}

/* Takes visits and bytes of names from what the walks may use. */
static tm_status spend(struct tm_pth *p, uint64_t visits, uint64_t name_bytes)
{
    uint64_t bytes = p->pickle.data.bytes;
    p->visits += visits;
    p->name_bytes += name_bytes;
    if (p->visits > TM_PTH_VISITS + bytes || p->name_bytes > TM_PTH_NAMES + 4 * bytes) {
        return tm_pth_bad(p, "more values, or longer names, than a checkpoint of this size has");
    }
    return TM_OK;
}

static tm_status set_name(struct walker *w, size_t base, struct tm_view key)
{
    w->name.bytes = base;
    TM_TRY(spend(w->p, 0, base + key.bytes + 1));
    tm_status status = base > 0 ? tm_buf_put_u8(&w->name, '.') : TM_OK;
    if (status == TM_OK) {
        status = tm_buf_put(&w->name, key.data, key.bytes);
    }
    if (status == TM_E_LIMIT) {
        return tm_pth_bad(w->p, "a name of more than 65535 bytes");
    }
    return status == TM_OK ? TM_OK : tm_pth_no_memory(w->p);
}

/* Takes the next item of the innermost level: its value and key. */
static bool take(struct walker *w, struct tm_value *value, struct tm_view *key, char number[24],
                 bool *named)
{
    struct level *l = &w->levels[w->depth - 1];
    const struct tm_pickle *pickle = &w->p->pickle;
    bool dict = l->value.kind == TM_PICKLE_DICT;
    if (l->next >= tm_pickle_count(pickle, l->value)) {
        return false;
    }
    *named = true;
    if (dict) {
        *named = key_text(w->p, tm_pickle_item(pickle, l->value, l->next), number, key);
        l->next++;
    } else {
        snprintf(number, 24, "%" PRIu32, l->next);
        *key = tm_view_str(number);
    }
    *value = tm_pickle_item(pickle, l->value, l->next++);
    return true;
}

static bool is_container(struct tm_value value)
{
    return value.kind == TM_PICKLE_DICT || value.kind == TM_PICKLE_LIST ||
           value.kind == TM_PICKLE_TUPLE;
}

static tm_status walk(struct walker *w, tm_pth_visit *visit, void *context)
{
    while (w->depth > 0) {
        struct tm_value value, tensor;
        struct tm_view key = {NULL, 0};
        char number[24];
        bool named = false;
        size_t base = w->levels[w->depth - 1].name_bytes;
        if (!take(w, &value, &key, number, &named)) {
            w->depth--;
            continue;
        }
        TM_TRY(spend(w->p, 1, 0));
        bool is_tensor = tm_pth_is_tensor(w->p, value, &tensor);
        if (!named || (!is_tensor && !is_container(value))) {
            continue;
        }
        if (!is_tensor && w->depth == 1 && w->skip != NULL && w->skip(key)) {
            continue;
        }
        TM_TRY(set_name(w, base, key));
        TM_TRY(is_tensor ? visit(w->p, tensor, tm_buf_view(&w->name), context) : push(w, value));
    }
    return TM_OK;
}

tm_status tm_pth_walk(struct tm_pth *p, struct tm_value value, tm_pth_skip *skip,
                      tm_pth_visit *visit, void *context)
{
    struct walker w = {.p = p, .skip = skip};
    struct tm_value tensor;
    if (tm_pth_is_tensor(p, value, &tensor)) {
        return visit(p, tensor, tm_view_str("tensor"), context);
    }
    if (!is_container(value)) {
        return TM_OK;
    }
    tm_buf_init(&w.name, TM_TENSOR_NAME_MAX);
    tm_status status = push(&w, value);
    if (status == TM_OK) {
        status = walk(&w, visit, context);
    }
    tm_buf_deinit(&w.name);
    return status;
}
