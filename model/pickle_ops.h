/* SPDX-License-Identifier: Apache-2.0
 * The opcodes of pickles, and the machine that they work on. Private to pickle.c and pickle_ops.c.
 */
#ifndef TM_MODEL_PICKLE_OPS_H
#define TM_MODEL_PICKLE_OPS_H

#include "base/bytes.h"
#include "model/pickle.h"

struct tm_pickle_vm {
    struct tm_pickle *out;
    const struct tm_pickle_options *options;
    struct tm_err *err;
    struct tm_cursor c;
    size_t op_at; /* of the opcode that runs */
    bool stopped;
    struct tm_value *stack;
    uint32_t *marks; /* stack depths; what lies below the last is out of reach */
    struct tm_value *memo;
    uint32_t depth, mark_count, memo_count, item_count, node_count,
        number_count; /* in use; persistents are counted in out */
    uint32_t depth_max, mark_max, memo_max, item_max, node_max, number_max,
        persistent_max;          /* allocated */
    uint64_t memory, memory_max; /* bytes of all arrays */
};

/* A slot of the memo that nothing was put into. */
#define TM_PICKLE_EMPTY 15

/* Runs the opcode at the cursor. */
tm_status tm_pickle_step(struct tm_pickle_vm *vm) TM_MUST_USE;

/* ---- what the opcodes are made of, in pickle.c ---- */

/* TM_E_MALFORMED at the opcode that runs. */
tm_status tm_pickle_bad(struct tm_pickle_vm *vm, const char *why);
tm_status tm_pickle_push(struct tm_pickle_vm *vm, struct tm_value value) TM_MUST_USE;
/* The top of the stack, above the last mark. */
tm_status tm_pickle_pop(struct tm_pickle_vm *vm, struct tm_value *out) TM_MUST_USE;
tm_status tm_pickle_push_mark(struct tm_pickle_vm *vm) TM_MUST_USE;
/* Drops the last mark; the values above it are stack[*first] and up. */
tm_status tm_pickle_pop_mark(struct tm_pickle_vm *vm, uint32_t *first) TM_MUST_USE;
tm_status tm_pickle_new_node(struct tm_pickle_vm *vm, enum tm_pickle_kind kind,
                             const struct tm_value *items, uint32_t count,
                             struct tm_value *out) TM_MUST_USE;
/* items may lie on the stack, not among the items of a node. */
tm_status tm_pickle_append(struct tm_pickle_vm *vm, struct tm_value node,
                           const struct tm_value *items, uint32_t count) TM_MUST_USE;
tm_status tm_pickle_new_int(struct tm_pickle_vm *vm, int64_t number,
                            struct tm_value *out) TM_MUST_USE;
tm_status tm_pickle_note_persistent(struct tm_pickle_vm *vm, uint32_t node) TM_MUST_USE;
tm_status tm_pickle_put_memo(struct tm_pickle_vm *vm, uint64_t index) TM_MUST_USE;
tm_status tm_pickle_push_memo(struct tm_pickle_vm *vm, uint64_t index) TM_MUST_USE;

#endif
