/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pickle_ops.h"

#include <stdio.h>
#include <string.h>

#include "model/where.h"

static const char what_failed[] = "cannot read the pickle";

#define NAME_SHOWN 100 /* bytes of a name in an error */

/* The values from stack[first] on; of an empty stack there is no address to add to. */
static const struct tm_value *above(const struct tm_pickle_vm *vm, uint32_t first)
{
    return vm->stack == NULL ? NULL : vm->stack + first;
}

/* ---- simple values ---- */

static tm_status push_kind(struct tm_pickle_vm *vm, enum tm_pickle_kind kind, uint32_t at)
{
    return tm_pickle_push(vm, (struct tm_value){.kind = kind, .at = at});
}

static tm_status push_int(struct tm_pickle_vm *vm, int64_t number)
{
    struct tm_value value = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_new_int(vm, number, &value));
    return tm_pickle_push(vm, value);
}

/* bytes at the cursor; a length past the end of the pickle shows as overrun. */
static tm_status push_text(struct tm_pickle_vm *vm, uint64_t bytes)
{
    uint32_t at = (uint32_t)vm->c.at;
    tm_cursor_take(&vm->c, bytes);
    if (vm->c.overrun) {
        return TM_OK;
    }
    return tm_pickle_push(vm, (struct tm_value){.kind = TM_PICKLE_STR,
                                                .size = (uint32_t)bytes,
                                                .at = bytes == 0 ? 0 : at});
}

static tm_status push_bytes(struct tm_pickle_vm *vm, uint64_t bytes)
{
    tm_cursor_take(&vm->c, bytes);
    return push_kind(vm, TM_PICKLE_OTHER, 0);
}

/* The bytes up to the next newline, without it. */
static struct tm_view take_line(struct tm_pickle_vm *vm)
{
    size_t left = tm_cursor_left(&vm->c);
    const uint8_t *start = vm->c.data + vm->c.at;
    const uint8_t *end = left > 0 ? memchr(start, '\n', left) : NULL;
    if (end == NULL) {
        vm->c.overrun = true;
        return tm_view_str("");
    }
    tm_cursor_take(&vm->c, (uint64_t)(end - start) + 1);
    return end > start ? tm_view_of(start, (size_t)(end - start)) : tm_view_str("");
}

/* A decimal number; one of more than 64 bits is some other value. */
static tm_status push_decimal(struct tm_pickle_vm *vm, struct tm_view text)
{
    bool minus = text.bytes > 0 && text.data[0] == '-';
    uint64_t value = 0;
    size_t i = minus || (text.bytes > 0 && text.data[0] == '+') ? 1 : 0;
    bool large = false;
    if (i == text.bytes) {
        return tm_pickle_bad(vm, "a number without digits");
    }
    for (; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return tm_pickle_bad(vm, "a number that is not decimal");
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        large = large || value > (INT64_MAX - digit) / 10;
        value = large ? 0 : value * 10 + digit;
    }
    return large ? push_kind(vm, TM_PICKLE_OTHER, 0)
                 : push_int(vm, minus ? -(int64_t)value : (int64_t)value);
}

static tm_status op_int(struct tm_pickle_vm *vm)
{
    struct tm_view line = take_line(vm);
    if (vm->c.overrun) {
        return TM_OK;
    }
    if (tm_view_eq_str(line, "00") || tm_view_eq_str(line, "01")) {
        return push_kind(vm, TM_PICKLE_BOOL, line.data[1] == '1');
    }
    return push_decimal(vm, line);
}

static tm_status op_long(struct tm_pickle_vm *vm)
{
    struct tm_view line = take_line(vm);
    if (vm->c.overrun) {
        return TM_OK;
    }
    if (line.bytes > 1 && line.data[line.bytes - 1] == 'L') {
        line.bytes--;
    }
    return push_decimal(vm, line);
}

/* Two's complement, least byte first. */
static tm_status push_long(struct tm_pickle_vm *vm, uint64_t bytes)
{
    struct tm_view digits = tm_cursor_take(&vm->c, bytes);
    if (vm->c.overrun) {
        return TM_OK;
    }
    if (digits.bytes > 8) {
        return push_kind(vm, TM_PICKLE_OTHER, 0);
    }
    uint64_t value = digits.bytes > 0 && digits.data[digits.bytes - 1] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = digits.bytes; i > 0; i--) {
        value = value << 8 | digits.data[i - 1];
    }
    return push_int(vm, (int64_t)value);
}

/* ---- text with escapes ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number that count hexadecimal digits at i give, or -1. */
static int64_t hex_number(struct tm_view text, size_t i, size_t count)
{
    int64_t number = 0;
    if (count > text.bytes - i) {
        return -1;
    }
    for (size_t k = 0; k < count; k++) {
        int digit = hex_digit(text.data[i + k]);
        if (digit < 0) {
            return -1;
        }
        number = number << 4 | digit;
    }
    return number;
}

static tm_status put_char(struct tm_pickle_vm *vm, const void *data, size_t bytes)
{
    tm_status status = tm_buf_put(&vm->out->text, data, bytes);
    if (status == TM_E_LIMIT) {
        return tm_pickle_bad(vm, "too much text with escapes");
    }
    return status == TM_OK
               ? TM_OK
               : tm_err_set(vm->err, status, vm->options->path, what_failed, NULL, "out of memory");
}

static tm_status put_code_point(struct tm_pickle_vm *vm, uint32_t code)
{
    uint8_t out[4];
    size_t bytes = 1;
    if (code < 0x80) {
        out[0] = (uint8_t)code;
    } else if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        bytes = 2;
    } else if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        bytes = 3;
    } else {
        out[0] = (uint8_t)(0xf0 | (code >> 18 & 7));
        out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[3] = (uint8_t)(0x80 | (code & 0x3f));
        bytes = 4;
    }
    return put_char(vm, out, bytes);
}

/* What was put into the text since `from`. */
static tm_status push_decoded(struct tm_pickle_vm *vm, size_t from)
{
    size_t bytes = vm->out->text.bytes - from;
    return tm_pickle_push(vm, (struct tm_value){.kind = TM_PICKLE_STR,
                                                .size = (uint32_t)bytes,
                                                .at = (uint32_t)(vm->out->data.bytes + from)});
}

/* Unicode text of protocol 0: bytes are code points, \uXXXX and \UXXXXXXXX the others. */
static tm_status op_unicode(struct tm_pickle_vm *vm)
{
    struct tm_view line = take_line(vm);
    size_t from = vm->out->text.bytes;
    for (size_t i = 0; i < line.bytes && !vm->c.overrun; i++) {
        uint32_t code = line.data[i];
        if (code == '\\' && i + 1 < line.bytes &&
            (line.data[i + 1] == 'u' || line.data[i + 1] == 'U')) {
            size_t digits = line.data[i + 1] == 'u' ? 4 : 8;
            int64_t number = hex_number(line, i + 2, digits);
            if (number < 0 || number > 0x10ffff) {
                return tm_pickle_bad(vm, "an escape in the text that is no code point");
            }
            code = (uint32_t)number;
            i += 1 + digits;
        }
        TM_TRY(put_code_point(vm, code));
    }
    return push_decoded(vm, from);
}

/* One escape of a quoted string at i, which is behind the backslash. */
static tm_status put_escape(struct tm_pickle_vm *vm, struct tm_view text, size_t *i)
{
    static const char from[] = "\\'\"nrtabfv0", to[] = "\\'\"\n\r\t\a\b\f\v";
    uint8_t c = text.data[*i];
    const char *found = c != 0 ? strchr(from, c) : NULL;
    if (found != NULL) {
        return put_char(vm, &to[found - from], 1);
    }
    int64_t number = c == 'x' ? hex_number(text, *i + 1, 2) : -1;
    if (number < 0) {
        return tm_pickle_bad(vm, "an unknown escape in the string");
    }
    uint8_t byte = (uint8_t)number;
    *i += 2;
    return put_char(vm, &byte, 1);
}

/* A quoted string of protocol 0, as Python's repr writes it. */
static tm_status op_string(struct tm_pickle_vm *vm)
{
    struct tm_view line = take_line(vm);
    size_t from = vm->out->text.bytes;
    if (vm->c.overrun) {
        return TM_OK;
    }
    if (line.bytes < 2 || line.data[0] != line.data[line.bytes - 1] ||
        (line.data[0] != '\'' && line.data[0] != '"')) {
        return tm_pickle_bad(vm, "a string without quotes");
    }
    line = tm_view_of(line.data + 1, line.bytes - 2);
    for (size_t i = 0; i < line.bytes; i++) {
        if (line.data[i] == '\\' && i + 1 < line.bytes) {
            i++;
            TM_TRY(put_escape(vm, line, &i));
        } else {
            TM_TRY(put_char(vm, line.data + i, 1));
        }
    }
    return push_decoded(vm, from);
}

/* ---- names ---- */

static tm_status refuse(struct tm_pickle_vm *vm, struct tm_view module, struct tm_view name)
{
    struct tm_where where;
    /* Escaped here already: a NUL would hide what follows it. */
    char module_shown[NAME_SHOWN], name_shown[NAME_SHOWN];
    tm_escape((const char *)module.data, module.bytes, module_shown, sizeof module_shown);
    tm_escape((const char *)name.data, name.bytes, name_shown, sizeof name_shown);
    tm_where_byte(&where, vm->options->path, vm->options->offset + vm->op_at);
    return tm_err_set(vm->err, TM_E_MALFORMED, where.text, what_failed,
                      "do not load this file with Python unless you trust who made it",
                      "it asks for %s.%s, which is not among the names that a checkpoint may use; "
                      "nothing was run",
                      module_shown, name_shown);
}

static tm_status push_global(struct tm_pickle_vm *vm, struct tm_view module, struct tm_view name)
{
    uint32_t index = 0;
    if (!tm_global_find(module, name, &index)) {
        return refuse(vm, module, name);
    }
    return push_kind(vm, TM_PICKLE_GLOBAL, index);
}

static tm_status op_global(struct tm_pickle_vm *vm)
{
    struct tm_view module = take_line(vm), name = take_line(vm);
    return vm->c.overrun ? TM_OK : push_global(vm, module, name);
}

static tm_status op_stack_global(struct tm_pickle_vm *vm)
{
    struct tm_value name = {.kind = TM_PICKLE_NONE}, module = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_pop(vm, &name));
    TM_TRY(tm_pickle_pop(vm, &module));
    if (name.kind != TM_PICKLE_STR || module.kind != TM_PICKLE_STR) {
        return tm_pickle_bad(vm, "a name that is not two texts");
    }
    return push_global(vm, tm_pickle_str(vm->out, module), tm_pickle_str(vm->out, name));
}

/* ---- calls that only make nodes ---- */

/* Adds the pairs of a list of pairs, or the items of another dictionary. */
static tm_status fill_dict(struct tm_pickle_vm *vm, struct tm_value dict, struct tm_value from)
{
    uint32_t count = tm_pickle_count(vm->out, from);
    bool pairs = from.kind == TM_PICKLE_LIST || from.kind == TM_PICKLE_TUPLE;
    if (!pairs && from.kind != TM_PICKLE_DICT) {
        return TM_OK;
    }
    for (uint32_t i = 0; i < count; i += pairs ? 1 : 2) {
        struct tm_value pair[2] = {tm_pickle_item(vm->out, from, i), {.kind = TM_PICKLE_NONE}};
        if (pairs) {
            struct tm_value both = pair[0];
            if (tm_pickle_count(vm->out, both) != 2) {
                return tm_pickle_bad(vm, "a dictionary from what are no pairs");
            }
            pair[0] = tm_pickle_item(vm->out, both, 0);
            pair[1] = tm_pickle_item(vm->out, both, 1);
        } else {
            pair[1] = tm_pickle_item(vm->out, from, i + 1);
        }
        TM_TRY(tm_pickle_append(vm, dict, pair, 2));
    }
    return TM_OK;
}

static tm_status call_dict(struct tm_pickle_vm *vm, struct tm_value args)
{
    struct tm_value dict = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_new_node(vm, TM_PICKLE_DICT, NULL, 0, &dict));
    for (uint32_t i = 0; i < tm_pickle_count(vm->out, args) && i < 2; i++) {
        TM_TRY(fill_dict(vm, dict, tm_pickle_item(vm->out, args, i)));
    }
    return tm_pickle_push(vm, dict);
}

/* A set of a list is that list. */
static tm_status call_list(struct tm_pickle_vm *vm, struct tm_value args)
{
    struct tm_value list = {.kind = TM_PICKLE_NONE};
    if (tm_pickle_count(vm->out, args) > 0) {
        list = tm_pickle_item(vm->out, args, 0);
    }
    if (list.kind != TM_PICKLE_LIST) {
        TM_TRY(tm_pickle_new_node(vm, TM_PICKLE_LIST, NULL, 0, &list));
    }
    return tm_pickle_push(vm, list);
}

static tm_status refuse_call(struct tm_pickle_vm *vm, const struct tm_global *g)
{
    char why[160];
    snprintf(why, sizeof why, "it calls %s.%s, which is only a name",
             g->module != NULL ? g->module : "builtins", g->name);
    return tm_pickle_bad(vm, why);
}

static tm_status call(struct tm_pickle_vm *vm, struct tm_value callee, struct tm_value args)
{
    const struct tm_global *g = tm_pickle_global(vm->out, callee);
    struct tm_value node = {.kind = TM_PICKLE_NONE}, items[2] = {callee, args};
    if (callee.kind != TM_PICKLE_GLOBAL || args.kind != TM_PICKLE_TUPLE) {
        return tm_pickle_bad(vm, "a call of what is no name, or without a tuple of arguments");
    }
    if (g->kind == TM_GLOBAL_RECONSTRUCT) {
        /* (class, base, state): the class is called with nothing. */
        struct tm_value class = {.kind = TM_PICKLE_NONE};
        if (tm_pickle_count(vm->out, args) > 0) {
            class = tm_pickle_item(vm->out, args, 0);
        }
        g = class.kind == TM_PICKLE_GLOBAL ? tm_pickle_global(vm->out, class) : NULL;
        if (g == NULL || (g->kind != TM_GLOBAL_OPAQUE && g->kind != TM_GLOBAL_DICT)) {
            return tm_pickle_bad(vm, "an object made anew of a class that is no plain one");
        }
    }
    switch (g->kind) {
    case TM_GLOBAL_OPAQUE:
        return push_kind(vm, TM_PICKLE_OTHER, 0);
    case TM_GLOBAL_DICT:
        return call_dict(vm, args);
    case TM_GLOBAL_LIST:
        return call_list(vm, args);
    case TM_GLOBAL_SAME:
        if (tm_pickle_count(vm->out, args) != 1) {
            return tm_pickle_bad(vm, "a call with a wrong number of arguments");
        }
        return tm_pickle_push(vm, tm_pickle_item(vm->out, args, 0));
    case TM_GLOBAL_TENSOR_V1:
    case TM_GLOBAL_TENSOR_V2:
    case TM_GLOBAL_TENSOR_V3:
    case TM_GLOBAL_PARAMETER:
    case TM_GLOBAL_FROM_TYPE:
    case TM_GLOBAL_UNREADABLE:
        TM_TRY(tm_pickle_new_node(vm, TM_PICKLE_CALL, items, 2, &node));
        return tm_pickle_push(vm, node);
    default:
        return refuse_call(vm, g);
    }
}

static tm_status op_reduce(struct tm_pickle_vm *vm)
{
    struct tm_value args = {.kind = TM_PICKLE_NONE}, callee = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_pop(vm, &args));
    TM_TRY(tm_pickle_pop(vm, &callee));
    return call(vm, callee, args);
}

static tm_status op_newobj_ex(struct tm_pickle_vm *vm)
{
    struct tm_value named = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_pop(vm, &named));
    return op_reduce(vm);
}

/* Takes the values above the mark as a tuple. */
static tm_status take_tuple(struct tm_pickle_vm *vm, uint32_t skip, struct tm_value *out)
{
    uint32_t first = 0;
    TM_TRY(tm_pickle_pop_mark(vm, &first));
    if (vm->depth - first < skip) {
        return tm_pickle_bad(vm, "the opcode needs a value, and the stack is empty");
    }
    TM_TRY(tm_pickle_new_node(vm, TM_PICKLE_TUPLE, above(vm, first + skip),
                              vm->depth - first - skip, out));
    vm->depth = first + skip;
    return TM_OK;
}

static tm_status op_inst(struct tm_pickle_vm *vm)
{
    struct tm_value args = {.kind = TM_PICKLE_NONE}, callee = {.kind = TM_PICKLE_NONE};
    TM_TRY(op_global(vm));
    if (vm->c.overrun) {
        return TM_OK;
    }
    TM_TRY(tm_pickle_pop(vm, &callee));
    TM_TRY(take_tuple(vm, 0, &args));
    return call(vm, callee, args);
}

static tm_status op_obj(struct tm_pickle_vm *vm)
{
    struct tm_value args = {.kind = TM_PICKLE_NONE}, callee = {.kind = TM_PICKLE_NONE};
    TM_TRY(take_tuple(vm, 1, &args));
    TM_TRY(tm_pickle_pop(vm, &callee));
    return call(vm, callee, args);
}

/* The state of an object: attributes of a dictionary or of a plain class, which nobody needs. */
static tm_status op_build(struct tm_pickle_vm *vm)
{
    struct tm_value state = {.kind = TM_PICKLE_NONE}, object = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_pop(vm, &state));
    TM_TRY(tm_pickle_pop(vm, &object));
    return tm_pickle_push(vm, object);
}

static tm_status op_binpersid(struct tm_pickle_vm *vm)
{
    struct tm_value id = {.kind = TM_PICKLE_NONE}, node = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_pop(vm, &id));
    TM_TRY(tm_pickle_new_node(vm, TM_PICKLE_PERSISTENT, &id, 1, &node));
    TM_TRY(tm_pickle_note_persistent(vm, node.at));
    return tm_pickle_push(vm, node);
}

static tm_status op_persid(struct tm_pickle_vm *vm)
{
    struct tm_view line = take_line(vm);
    if (vm->c.overrun) {
        return TM_OK;
    }
    uint32_t at = line.bytes > 0 ? (uint32_t)(line.data - vm->c.data) : 0;
    TM_TRY(tm_pickle_push(
        vm, (struct tm_value){.kind = TM_PICKLE_STR, .size = (uint32_t)line.bytes, .at = at}));
    return op_binpersid(vm);
}

/* ---- containers ---- */

static tm_status push_node(struct tm_pickle_vm *vm, enum tm_pickle_kind kind, uint32_t first)
{
    struct tm_value node = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_new_node(vm, kind, above(vm, first), vm->depth - first, &node));
    vm->depth = first;
    return tm_pickle_push(vm, node);
}

static tm_status push_empty(struct tm_pickle_vm *vm, enum tm_pickle_kind kind)
{
    return push_node(vm, kind, vm->depth);
}

static tm_status push_marked(struct tm_pickle_vm *vm, enum tm_pickle_kind kind)
{
    uint32_t first = 0;
    TM_TRY(tm_pickle_pop_mark(vm, &first));
    if (kind == TM_PICKLE_DICT && (vm->depth - first) % 2 != 0) {
        return tm_pickle_bad(vm, "a dictionary with a key and no value");
    }
    return push_node(vm, kind, first);
}

static tm_status push_short_tuple(struct tm_pickle_vm *vm, uint32_t count)
{
    uint32_t floor = vm->mark_count > 0 ? vm->marks[vm->mark_count - 1] : 0;
    if (vm->depth - floor < count) {
        return tm_pickle_bad(vm, "the opcode needs a value, and the stack is empty");
    }
    return push_node(vm, TM_PICKLE_TUPLE, vm->depth - count);
}

/* Appends stack[first...] to the container below, which stays. */
static tm_status append_from(struct tm_pickle_vm *vm, uint32_t first, enum tm_pickle_kind kind)
{
    uint32_t floor = vm->mark_count > 0 ? vm->marks[vm->mark_count - 1] : 0;
    if (first <= floor) {
        return tm_pickle_bad(vm, "the opcode needs a container, and the stack is empty");
    }
    struct tm_value node = vm->stack[first - 1];
    if (node.kind != kind) {
        return tm_pickle_bad(vm, kind == TM_PICKLE_DICT ? "items for what is no dictionary"
                                                        : "items for what is no list");
    }
    if (kind == TM_PICKLE_DICT && (vm->depth - first) % 2 != 0) {
        return tm_pickle_bad(vm, "a dictionary with a key and no value");
    }
    TM_TRY(tm_pickle_append(vm, node, above(vm, first), vm->depth - first));
    vm->depth = first;
    return TM_OK;
}

static tm_status append_marked(struct tm_pickle_vm *vm, enum tm_pickle_kind kind)
{
    uint32_t first = 0;
    TM_TRY(tm_pickle_pop_mark(vm, &first));
    return append_from(vm, first, kind);
}

static tm_status append_some(struct tm_pickle_vm *vm, uint32_t count, enum tm_pickle_kind kind)
{
    if (vm->depth < count) {
        return tm_pickle_bad(vm, "the opcode needs a value, and the stack is empty");
    }
    return append_from(vm, vm->depth - count, kind);
}

/* ---- stack, memo, protocol ---- */

static tm_status op_pop(struct tm_pickle_vm *vm)
{
    struct tm_value value = {.kind = TM_PICKLE_NONE};
    uint32_t first = 0;
    if (vm->mark_count > 0 && vm->marks[vm->mark_count - 1] == vm->depth) {
        return tm_pickle_pop_mark(vm, &first);
    }
    return tm_pickle_pop(vm, &value);
}

static tm_status op_pop_mark(struct tm_pickle_vm *vm)
{
    uint32_t first = 0;
    TM_TRY(tm_pickle_pop_mark(vm, &first));
    vm->depth = first;
    return TM_OK;
}

static tm_status op_dup(struct tm_pickle_vm *vm)
{
    struct tm_value value = {.kind = TM_PICKLE_NONE};
    TM_TRY(tm_pickle_pop(vm, &value));
    TM_TRY(tm_pickle_push(vm, value));
    return tm_pickle_push(vm, value);
}

/* The memo index of GET and PUT, in decimal. */
static tm_status line_index(struct tm_pickle_vm *vm, uint64_t *out)
{
    struct tm_view line = take_line(vm);
    *out = 0;
    if (vm->c.overrun) {
        return TM_OK;
    }
    if (line.bytes == 0 || line.bytes > 10) {
        return tm_pickle_bad(vm, "a memo index that is no number");
    }
    for (size_t i = 0; i < line.bytes; i++) {
        if (line.data[i] < '0' || line.data[i] > '9') {
            return tm_pickle_bad(vm, "a memo index that is no number");
        }
        *out = *out * 10 + (uint64_t)(line.data[i] - '0');
    }
    return TM_OK;
}

static tm_status put_memo(struct tm_pickle_vm *vm, uint64_t index)
{
    return vm->c.overrun ? TM_OK : tm_pickle_put_memo(vm, index);
}

static tm_status push_memo(struct tm_pickle_vm *vm, uint64_t index)
{
    return vm->c.overrun ? TM_OK : tm_pickle_push_memo(vm, index);
}

static tm_status op_proto(struct tm_pickle_vm *vm)
{
    uint8_t protocol = tm_cursor_u8(&vm->c);
    return protocol <= 5 ? TM_OK : tm_pickle_bad(vm, "a protocol after 5");
}

/* ---- dispatch ---- */

static tm_status step_text(struct tm_pickle_vm *vm, uint8_t op)
{
    uint64_t index = 0;
    switch (op) {
    case 'I':
        return op_int(vm);
    case 'L':
        return op_long(vm);
    case 'F':
        take_line(vm);
        return push_kind(vm, TM_PICKLE_OTHER, 0);
    case 'S':
        return op_string(vm);
    case 'V':
        return op_unicode(vm);
    case 'P':
        return op_persid(vm);
    case 'c':
        return op_global(vm);
    case 'i':
        return op_inst(vm);
    case 'g':
        TM_TRY(line_index(vm, &index));
        return push_memo(vm, index);
    case 'p':
        TM_TRY(line_index(vm, &index));
        return put_memo(vm, index);
    default:
        return tm_pickle_bad(vm, "an unknown opcode");
    }
}

/* Numbers, texts and bytes. */
static tm_status step_value(struct tm_pickle_vm *vm, uint8_t op)
{
    struct tm_cursor *c = &vm->c;
    switch (op) {
    case 'J':
        return push_int(vm, (int32_t)tm_cursor_u32(c));
    case 'K':
        return push_int(vm, tm_cursor_u8(c));
    case 'M':
        return push_int(vm, tm_cursor_u16(c));
    case 'G':
        return push_bytes(vm, 8);
    case 0x8a:
        return push_long(vm, tm_cursor_u8(c));
    case 0x8b:
        return push_long(vm, tm_cursor_u32(c));
    case 'N':
        return push_kind(vm, TM_PICKLE_NONE, 0);
    case 0x88:
        return push_kind(vm, TM_PICKLE_BOOL, 1);
    case 0x89:
        return push_kind(vm, TM_PICKLE_BOOL, 0);
    case 'T':
    case 'X':
        return push_text(vm, tm_cursor_u32(c));
    case 'U':
    case 0x8c:
        return push_text(vm, tm_cursor_u8(c));
    case 0x8d:
        return push_text(vm, tm_cursor_u64(c));
    case 'B':
        return push_bytes(vm, tm_cursor_u32(c));
    case 'C':
        return push_bytes(vm, tm_cursor_u8(c));
    case 0x8e:
    case 0x96:
        return push_bytes(vm, tm_cursor_u64(c));
    default:
        return step_text(vm, op);
    }
}

/* Containers and calls. */
static tm_status step_node(struct tm_pickle_vm *vm, uint8_t op)
{
    switch (op) {
    case ')':
        return push_empty(vm, TM_PICKLE_TUPLE);
    case ']':
    case 0x8f:
        return push_empty(vm, TM_PICKLE_LIST);
    case '}':
        return push_empty(vm, TM_PICKLE_DICT);
    case 't':
        return push_marked(vm, TM_PICKLE_TUPLE);
    case 'l':
    case 0x91:
        return push_marked(vm, TM_PICKLE_LIST);
    case 'd':
        return push_marked(vm, TM_PICKLE_DICT);
    case 0x85:
    case 0x86:
    case 0x87:
        return push_short_tuple(vm, op - 0x84u);
    case 'a':
        return append_some(vm, 1, TM_PICKLE_LIST);
    case 'e':
    case 0x90:
        return append_marked(vm, TM_PICKLE_LIST);
    case 's':
        return append_some(vm, 2, TM_PICKLE_DICT);
    case 'u':
        return append_marked(vm, TM_PICKLE_DICT);
    case 'R':
    case 0x81:
        return op_reduce(vm);
    case 0x92:
        return op_newobj_ex(vm);
    case 'o':
        return op_obj(vm);
    case 'b':
        return op_build(vm);
    case 'Q':
        return op_binpersid(vm);
    case 0x93:
        return op_stack_global(vm);
    default:
        return step_value(vm, op);
    }
}

tm_status tm_pickle_step(struct tm_pickle_vm *vm)
{
    uint8_t op = tm_cursor_u8(&vm->c);
    if (vm->c.overrun) {
        return TM_OK;
    }
    switch (op) {
    case '.':
        vm->stopped = true;
        return TM_OK;
    case '(':
        return tm_pickle_push_mark(vm);
    case '0':
        return op_pop(vm);
    case '1':
        return op_pop_mark(vm);
    case '2':
        return op_dup(vm);
    case 'h':
        return push_memo(vm, tm_cursor_u8(&vm->c));
    case 'j':
        return push_memo(vm, tm_cursor_u32(&vm->c));
    case 'q':
        return put_memo(vm, tm_cursor_u8(&vm->c));
    case 'r':
        return put_memo(vm, tm_cursor_u32(&vm->c));
    case 0x94:
        return put_memo(vm, vm->memo_count);
    case 0x80:
        return op_proto(vm);
    case 0x95:
        tm_cursor_u64(&vm->c); /* the size of a frame: only a hint for reading ahead */
        return TM_OK;
    case 0x82:
    case 0x83:
    case 0x84:
        return tm_pickle_bad(vm, "it uses the extension registry, which no checkpoint does");
    case 0x97:
    case 0x98:
        return tm_pickle_bad(vm, "it uses buffers outside of itself, which no checkpoint does");
    default:
        return step_node(vm, op);
    }
}
