/* SPDX-License-Identifier: Apache-2.0
 * A training checkpoint holds more than the model: which dictionary is it? */
#include "model/pth_parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char what_failed[] = "cannot read the PyTorch checkpoint";

/* Keys under which training scripts save the model, the most telling first. */
static const char *const usual_keys[] = {"model_state_dict", "state_dict", "model",     "module",
                                         "weights",          "net",        "generator", "params",
                                         "ema_state_dict",   "model_ema",  "ema",       NULL};
/* Beginnings of the keys of what is not the model. */
static const char *const other_keys[] = {"optim", "lr_sched", "scheduler", "scaler",
                                         "rng",   "amp",      NULL};

static bool is_other(struct tm_view key)
{
    for (size_t i = 0; other_keys[i] != NULL; i++) {
        size_t bytes = strlen(other_keys[i]);
        if (key.bytes >= bytes && strncasecmp((const char *)key.data, other_keys[i], bytes) == 0) {
            return true;
        }
    }
    return false;
}

static tm_status count_one(struct tm_pth *p, struct tm_value tensor, struct tm_view name,
                           void *context)
{
    (void)p;
    (void)tensor;
    (void)name;
    ++*(uint64_t *)context;
    return TM_OK;
}

static tm_status count_tensors(struct tm_pth *p, struct tm_value value, uint64_t *out)
{
    *out = 0;
    return tm_pth_walk(p, value, NULL, count_one, out);
}

static tm_status add_one(struct tm_pth *p, struct tm_value tensor, struct tm_view name,
                         void *context)
{
    (void)context;
    return tm_pth_add(p, tensor, name);
}

/* ---- by the user's word ---- */

/* The text keys of a dictionary: "'a', 'b', 'c'", cut to fit. */
static void list_keys(const struct tm_pth *p, struct tm_value dict, char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = 0;
    for (uint32_t i = 0; i + 1 < tm_pickle_count(&p->pickle, dict) && at + 60 < bytes; i += 2) {
        struct tm_view key = tm_pickle_str(&p->pickle, tm_pickle_item(&p->pickle, dict, i));
        if (key.bytes > 0) {
            int shown = key.bytes < 40 ? (int)key.bytes : 40;
            int put = snprintf(out + at, bytes - at, "%s'%.*s'", at == 0 ? "" : ", ", shown,
                               (const char *)key.data);
            at += put > 0 ? (size_t)put : 0;
        }
    }
}

static tm_status no_such_key(struct tm_pth *p, struct tm_value dict, struct tm_view key)
{
    char keys[256];
    list_keys(p, dict, keys, sizeof keys);
    int shown = key.bytes < 60 ? (int)key.bytes : 60;
    return tm_err_set(p->err, TM_E_NOT_FOUND, p->path, what_failed,
                      "name one of the keys, dotted for one within another",
                      "there is no '%.*s' in it; the keys there are %s", shown,
                      (const char *)key.data, keys[0] != 0 ? keys : "none");
}

/* Follows a dotted path. A key may have dots itself: the longest one that is there is taken. */
static tm_status follow(struct tm_pth *p, const char *under, struct tm_value *out)
{
    struct tm_view rest = tm_view_str(under);
    *out = p->pickle.root;
    while (rest.bytes > 0) {
        size_t bytes = rest.bytes;
        bool found = false;
        while (!found && bytes > 0) {
            char key[1024];
            if (bytes < sizeof key) {
                memcpy(key, rest.data, bytes);
                key[bytes] = 0;
                found = tm_pickle_get(&p->pickle, *out, key, out);
            }
            if (!found) {
                const uint8_t *dot = memrchr(rest.data, '.', bytes);
                bytes = dot != NULL ? (size_t)(dot - rest.data) : 0;
            }
        }
        if (!found) {
            return no_such_key(p, *out, rest);
        }
        bytes += bytes < rest.bytes; /* the dot */
        rest = tm_view_of(rest.data + bytes, rest.bytes - bytes);
    }
    return TM_OK;
}

/* ---- by itself ---- */

/* A number beside the model (the best loss so far) does not make the whole a model. */
static bool has_tensor_in_it(const struct tm_pth *p, struct tm_value dict)
{
    struct tm_value tensor;
    for (uint32_t i = 1; i < tm_pickle_count(&p->pickle, dict); i += 2) {
        if (tm_pth_is_tensor(p, tm_pickle_item(&p->pickle, dict, i), &tensor) &&
            !tm_pth_is_scalar(p, tensor)) {
            return true;
        }
    }
    return false;
}

/* The first usual key whose value holds tensors; false without. */
static tm_status find_usual(struct tm_pth *p, struct tm_value dict, const char **out)
{
    *out = NULL;
    for (size_t i = 0; usual_keys[i] != NULL && *out == NULL; i++) {
        struct tm_value value;
        uint64_t count = 0;
        if (tm_pickle_get(&p->pickle, dict, usual_keys[i], &value)) {
            TM_TRY(count_tensors(p, value, &count));
            *out = count > 0 ? usual_keys[i] : NULL;
        }
    }
    return TM_OK;
}

static tm_status warn(struct tm_pth *p, struct tm_view key, uint64_t count)
{
    char name[200];
    tm_escape((const char *)key.data, key.bytes < 60 ? key.bytes : 60, name, sizeof name);
    tm_status status = tm_inventory_warn(
        &p->sources->inventory, "%s: %llu tensors left out%s; --tensors-under %s would choose them",
        name, (unsigned long long)count, is_other(key) ? " (state of the training)" : "", name);
    return tm_sources_fail(status, p->path, p->err);
}

/* Says what of the root is not taken: all but `taken`, or (taken == NULL) what is not the model. */
static tm_status warn_left_out(struct tm_pth *p, const char *taken)
{
    const struct tm_pickle *pickle = &p->pickle;
    for (uint32_t i = 0; i + 1 < tm_pickle_count(pickle, pickle->root); i += 2) {
        struct tm_view key = tm_pickle_str(pickle, tm_pickle_item(pickle, pickle->root, i));
        struct tm_value value = tm_pickle_item(pickle, pickle->root, i + 1), tensor;
        bool left = taken != NULL ? !tm_view_eq_str(key, taken)
                                  : is_other(key) && !tm_pth_is_tensor(p, value, &tensor);
        uint64_t count = 0;
        if (left && !(tm_pth_is_tensor(p, value, &tensor) && tm_pth_is_scalar(p, tensor))) {
            TM_TRY(count_tensors(p, value, &count));
        }
        if (count > 0 && !p->options->shard) {
            TM_TRY(warn(p, key, count));
        }
    }
    return TM_OK;
}

tm_status tm_pth_choose(struct tm_pth *p)
{
    struct tm_value chosen = p->pickle.root;
    const struct tm_inventory *inventory = &p->sources->inventory;
    const char *under = p->options->under, *usual = NULL;
    size_t before = inventory->tensor_count;
    bool by_user = under != NULL && under[0] != 0;
    if (by_user) {
        TM_TRY(follow(p, under, &chosen));
    } else if (chosen.kind == TM_PICKLE_DICT && !has_tensor_in_it(p, chosen)) {
        TM_TRY(find_usual(p, chosen, &usual));
        if (usual != NULL) {
            (void)tm_pickle_get(&p->pickle, chosen, usual, &chosen);
        }
    }
    TM_TRY(tm_pth_walk(p, chosen, by_user || usual != NULL ? NULL : is_other, add_one, NULL));
    if (!by_user && p->pickle.root.kind == TM_PICKLE_DICT) {
        TM_TRY(warn_left_out(p, usual));
    }
    return inventory->tensor_count > before
               ? TM_OK
               : tm_pth_bad(p, "there is no tensor in it: it is no checkpoint");
}
