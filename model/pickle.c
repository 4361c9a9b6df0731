/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pickle.h"

#include <string.h>

#include "base/mem.h"
#include "model/pickle_ops.h"
#include "model/where.h"

#define TEXT_MAX (8u << 20) /* decoded strings */

static const char what_failed[] = "cannot read the pickle";

/* ---- errors and memory ---- */

tm_status tm_pickle_bad(struct tm_pickle_vm *vm, const char *why)
{
    struct tm_where where;
    tm_where_byte(&where, vm->options->path, vm->options->offset + vm->op_at);
    return tm_err_set(vm->err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s", why);
}

static tm_status no_memory(struct tm_pickle_vm *vm)
{
    return tm_err_set(vm->err, TM_E_NOMEM, vm->options->path, what_failed, NULL, "out of memory");
}

/* Room for `need` items in an array of *max. Old and new array live at the same time while it
 * grows: both count. */
static tm_status grow(struct tm_pickle_vm *vm, void **array, uint32_t *max, uint64_t need,
                      size_t item_bytes)
{
    if (need <= *max) {
        return TM_OK;
    }
    uint64_t wanted = *max < 16 ? 32 : 2 * (uint64_t)*max;
    wanted = wanted < need ? need : wanted;
    uint64_t old_bytes = (uint64_t)*max * item_bytes;
    /* The last step before the limit is a small one. */
    if (vm->memory + wanted * item_bytes > vm->memory_max) {
        wanted = need + need / 8;
    }
    if (wanted > UINT32_MAX || vm->memory + wanted * item_bytes > vm->memory_max) {
        return tm_pickle_bad(vm, "it would take more memory than its size allows");
    }
    void *grown = tm_realloc_array(*array, (size_t)wanted, item_bytes);
    if (grown == NULL) {
        return no_memory(vm);
    }
    *array = grown;
    *max = (uint32_t)wanted;
    vm->memory += wanted * item_bytes - old_bytes;
    return TM_OK;
}

/* grow for the typed arrays of the machine. */
#define GROW(vm, array, max, need)                                                                 \
    do {                                                                                           \
        void *grow_array_ = (array);                                                               \
        tm_status grow_status_ = grow(vm, &grow_array_, max, need, sizeof *(array));               \
        (array) = grow_array_;                                                                     \
        TM_TRY(grow_status_);                                                                      \
    } while (0)

/* ---- stack ---- */

tm_status tm_pickle_push(struct tm_pickle_vm *vm, struct tm_value value)
{
    GROW(vm, vm->stack, &vm->depth_max, (uint64_t)vm->depth + 1);
    vm->stack[vm->depth++] = value;
    return TM_OK;
}

static uint32_t floor_of(const struct tm_pickle_vm *vm)
{
    return vm->mark_count > 0 ? vm->marks[vm->mark_count - 1] : 0;
}

tm_status tm_pickle_pop(struct tm_pickle_vm *vm, struct tm_value *out)
{
    if (vm->depth <= floor_of(vm)) {
        return tm_pickle_bad(vm, "the opcode needs a value, and the stack is empty");
    }
    *out = vm->stack[--vm->depth];
    return TM_OK;
}

tm_status tm_pickle_push_mark(struct tm_pickle_vm *vm)
{
    GROW(vm, vm->marks, &vm->mark_max, (uint64_t)vm->mark_count + 1);
    vm->marks[vm->mark_count++] = vm->depth;
    return TM_OK;
}

tm_status tm_pickle_pop_mark(struct tm_pickle_vm *vm, uint32_t *first)
{
    if (vm->mark_count == 0) {
        return tm_pickle_bad(vm, "the opcode needs a mark, and there is none");
    }
    *first = vm->marks[--vm->mark_count];
    return TM_OK;
}

/* ---- nodes ---- */

tm_status tm_pickle_new_node(struct tm_pickle_vm *vm, enum tm_pickle_kind kind,
                             const struct tm_value *items, uint32_t count, struct tm_value *out)
{
    GROW(vm, vm->out->nodes, &vm->node_max, (uint64_t)vm->node_count + 1);
    vm->out->nodes[vm->node_count] = (struct tm_pickle_node){.count = 0};
    *out = (struct tm_value){.kind = kind, .at = vm->node_count++};
    return tm_pickle_append(vm, *out, items, count);
}

tm_status tm_pickle_append(struct tm_pickle_vm *vm, struct tm_value value,
                           const struct tm_value *items, uint32_t count)
{
    struct tm_pickle_node *node = &vm->out->nodes[value.at];
    uint64_t need = (uint64_t)node->count + count;
    if (count == 0) {
        return TM_OK;
    }
    if (need > node->capacity) {
        bool last = node->capacity > 0 && node->first + node->capacity == vm->item_count;
        uint64_t room = node->count == 0 ? need : 2 * need;
        uint64_t start = last ? node->first : vm->item_count;
        GROW(vm, vm->out->items, &vm->item_max, start + room);
        if (!last && node->count > 0) {
            memcpy(&vm->out->items[start], &vm->out->items[node->first],
                   node->count * sizeof *items);
        }
        node->first = (uint32_t)start;
        node->capacity = (uint32_t)room;
        vm->item_count = (uint32_t)(start + room);
    }
    memcpy(&vm->out->items[node->first + node->count], items, count * sizeof *items);
    node->count = (uint32_t)need;
    return TM_OK;
}

tm_status tm_pickle_new_int(struct tm_pickle_vm *vm, int64_t number, struct tm_value *out)
{
    if (number >= INT32_MIN && number <= INT32_MAX) {
        *out = (struct tm_value){.kind = TM_PICKLE_INT, .at = (uint32_t)(int32_t)number};
        return TM_OK;
    }
    GROW(vm, vm->out->numbers, &vm->number_max, (uint64_t)vm->number_count + 1);
    vm->out->numbers[vm->number_count] = number;
    *out = (struct tm_value){.kind = TM_PICKLE_INT, .size = 1, .at = vm->number_count++};
    return TM_OK;
}

tm_status tm_pickle_note_persistent(struct tm_pickle_vm *vm, uint32_t node)
{
    GROW(vm, vm->out->persistents, &vm->persistent_max, (uint64_t)vm->out->persistent_count + 1);
    vm->out->persistents[vm->out->persistent_count++] = node;
    return TM_OK;
}

/* ---- memo ---- */

tm_status tm_pickle_put_memo(struct tm_pickle_vm *vm, uint64_t index)
{
    if (vm->depth <= floor_of(vm)) {
        return tm_pickle_bad(vm, "nothing to memorise: the stack is empty");
    }
    /* Python counts from 0 or 1: an index cannot pass the number of opcodes. */
    if (index > vm->out->data.bytes) {
        return tm_pickle_bad(vm, "a memo index larger than the pickle");
    }
    uint32_t before = vm->memo_max;
    GROW(vm, vm->memo, &vm->memo_max, index + 1);
    for (uint32_t i = before; i < vm->memo_max; i++) {
        vm->memo[i] = (struct tm_value){.kind = TM_PICKLE_EMPTY};
    }
    vm->memo_count += vm->memo[index].kind == TM_PICKLE_EMPTY;
    vm->memo[index] = vm->stack[vm->depth - 1];
    return TM_OK;
}

tm_status tm_pickle_push_memo(struct tm_pickle_vm *vm, uint64_t index)
{
    if (index >= vm->memo_max || vm->memo[index].kind == TM_PICKLE_EMPTY) {
        return tm_pickle_bad(vm, "a memo index that nothing was put into");
    }
    return tm_pickle_push(vm, vm->memo[index]);
}

/* ---- reading ---- */

static tm_status run(struct tm_pickle_vm *vm)
{
    struct tm_pickle *out = vm->out;
    while (!vm->stopped) {
        vm->op_at = vm->c.at;
        tm_status status = tm_pickle_step(vm);
        if (vm->c.overrun) {
            out->cut = true;
            return tm_pickle_bad(vm, "the pickle is truncated within the opcode here");
        }
        TM_TRY(status);
    }
    out->used = vm->c.at;
    return tm_pickle_pop(vm, &out->root);
}

tm_status tm_pickle_read(struct tm_view data, const struct tm_pickle_options *options,
                         struct tm_pickle *out, struct tm_err *err)
{
    struct tm_pickle_vm vm = {.out = out,
                              .options = options,
                              .err = err,
                              .c = tm_cursor_of(data),
                              .memory_max = TM_PICKLE_MEMORY - 2 * TEXT_MAX + data.bytes};
    memset(out, 0, sizeof *out);
    out->data = data;
    tm_buf_init(&out->text, TEXT_MAX);
    if (data.bytes > TM_PICKLE_BYTES_MAX) {
        return tm_err_set(err, TM_E_MALFORMED, options->path, what_failed, NULL,
                          "it has %llu bytes, and at most %u are read",
                          (unsigned long long)data.bytes, TM_PICKLE_BYTES_MAX);
    }
    tm_status status = run(&vm);
    tm_free(vm.stack);
    tm_free(vm.marks);
    tm_free(vm.memo);
    return status;
}

void tm_pickle_deinit(struct tm_pickle *pickle)
{
    tm_buf_deinit(&pickle->text);
    tm_free(pickle->items);
    tm_free(pickle->nodes);
    tm_free(pickle->numbers);
    tm_free(pickle->persistents);
    memset(pickle, 0, sizeof *pickle);
}

/* ---- looking ---- */

static bool has_node(struct tm_value value)
{
    switch (value.kind) {
    case TM_PICKLE_TUPLE:
    case TM_PICKLE_LIST:
    case TM_PICKLE_DICT:
    case TM_PICKLE_CALL:
    case TM_PICKLE_PERSISTENT:
        return true;
    default:
        return false;
    }
}

uint32_t tm_pickle_count(const struct tm_pickle *pickle, struct tm_value value)
{
    return has_node(value) ? pickle->nodes[value.at].count : 0;
}

struct tm_value tm_pickle_item(const struct tm_pickle *pickle, struct tm_value value, uint32_t i)
{
    TM_ASSERT(i < tm_pickle_count(pickle, value));
    return pickle->items[pickle->nodes[value.at].first + i];
}

struct tm_view tm_pickle_str(const struct tm_pickle *pickle, struct tm_value value)
{
    if (value.kind != TM_PICKLE_STR || value.size == 0) {
        return tm_view_str("");
    }
    return value.at < pickle->data.bytes
               ? tm_view_of(pickle->data.data + value.at, value.size)
               : tm_view_of(pickle->text.data + (value.at - pickle->data.bytes), value.size);
}

bool tm_pickle_int(const struct tm_pickle *pickle, struct tm_value value, int64_t *out)
{
    if (value.kind != TM_PICKLE_INT) {
        return false;
    }
    *out = value.size == 1 ? pickle->numbers[value.at] : (int64_t)(int32_t)value.at;
    return true;
}

bool tm_pickle_u64(const struct tm_pickle *pickle, struct tm_value value, uint64_t *out)
{
    int64_t number = 0;
    if (!tm_pickle_int(pickle, value, &number) || number < 0) {
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

const struct tm_global *tm_pickle_global(const struct tm_pickle *pickle, struct tm_value value)
{
    if (value.kind == TM_PICKLE_CALL) {
        value = tm_pickle_item(pickle, value, 0);
    }
    return value.kind == TM_PICKLE_GLOBAL ? tm_global_at(value.at) : NULL;
}

bool tm_pickle_get(const struct tm_pickle *pickle, struct tm_value dict, const char *key,
                   struct tm_value *out)
{
    if (dict.kind != TM_PICKLE_DICT) {
        return false;
    }
    for (uint32_t i = tm_pickle_count(pickle, dict); i >= 2; i -= 2) {
        struct tm_value k = tm_pickle_item(pickle, dict, i - 2);
        if (k.kind == TM_PICKLE_STR && tm_view_eq_str(tm_pickle_str(pickle, k), key)) {
            *out = tm_pickle_item(pickle, dict, i - 1);
            return true;
        }
    }
    return false;
}
