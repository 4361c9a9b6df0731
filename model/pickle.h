/* SPDX-License-Identifier: Apache-2.0
 * Reads a Python pickle (protocols 0 to 5, PEP 3154 and PEP 574) into a graph of plain values.
 * Nothing is executed, imported or opened: a name that is not in pickle_globals.h ends the reading,
 * and a "call" only makes a node that says which name was called with which arguments. Time grows
 * with the bytes of the pickle, there is no recursion, and memory is at most
 * TM_PICKLE_MEMORY + the bytes of the pickle. Private to model/. */
#ifndef TM_MODEL_PICKLE_H
#define TM_MODEL_PICKLE_H

#include "base/buf.h"
#include "model/pickle_globals.h"

#define TM_PICKLE_BYTES_MAX (128u << 20)
#define TM_PICKLE_MEMORY (48u << 20) /* bytes, besides those of the pickle */

enum tm_pickle_kind {
    TM_PICKLE_NONE,
    TM_PICKLE_BOOL,
    TM_PICKLE_INT,
    TM_PICKLE_STR,   /* text, and bytes of protocols 0 to 2 */
    TM_PICKLE_OTHER, /* a float, bytes, an integer of more than 64 bits: nobody looks into it */
    TM_PICKLE_TUPLE,
    TM_PICKLE_LIST, /* a set too */
    TM_PICKLE_DICT, /* items are key, value, key, value... */
    TM_PICKLE_GLOBAL,
    TM_PICKLE_CALL,       /* items: what was called (a GLOBAL), its arguments (a TUPLE) */
    TM_PICKLE_PERSISTENT, /* one item: the persistent id */
};

/* One value: a number, or where it lies in the graph. */
struct tm_value {
    uint32_t kind : 4;  /* enum tm_pickle_kind */
    uint32_t size : 28; /* of a STR: bytes; of an INT: 1 when it lies among the numbers */
    uint32_t at;
};

struct tm_pickle_node {
    uint32_t first, count, capacity; /* of its items */
};

struct tm_pickle {
    struct tm_view data; /* borrowed: strings lie in it */
    struct tm_buf text;  /* decoded strings; those at data.bytes and above */
    struct tm_value *items;
    struct tm_pickle_node *nodes;
    int64_t *numbers;
    uint32_t *persistents; /* nodes of the persistent ids, in their order */
    uint32_t persistent_count;
    struct tm_value root;
    size_t used; /* bytes up to and with STOP */
    bool cut;    /* after a failure: the data ended before STOP */
};

struct tm_pickle_options {
    const char *path; /* for errors: "m.pth: archive/data.pkl" */
    uint64_t offset;  /* of byte 0, for errors */
};

/* data is borrowed by out. TM_E_MALFORMED names the opcode's offset and, for a refused name, the
 * name. The caller calls tm_pickle_deinit in every case. */
tm_status tm_pickle_read(struct tm_view data, const struct tm_pickle_options *options,
                         struct tm_pickle *out, struct tm_err *err) TM_MUST_USE;
void tm_pickle_deinit(struct tm_pickle *pickle);

/* Of a TUPLE, LIST, DICT, CALL or PERSISTENT; 0 of others. */
uint32_t tm_pickle_count(const struct tm_pickle *pickle, struct tm_value value);
struct tm_value tm_pickle_item(const struct tm_pickle *pickle, struct tm_value value, uint32_t i);
struct tm_view tm_pickle_str(const struct tm_pickle *pickle, struct tm_value value);
/* false unless it is an INT. */
bool tm_pickle_int(const struct tm_pickle *pickle, struct tm_value value, int64_t *out);
/* The same for 0 and above. */
bool tm_pickle_u64(const struct tm_pickle *pickle, struct tm_value value, uint64_t *out);
/* The name that a CALL called, or that a GLOBAL is; NULL for others. */
const struct tm_global *tm_pickle_global(const struct tm_pickle *pickle, struct tm_value value);
/* Value of a text key of a DICT: the last one; false without. */
bool tm_pickle_get(const struct tm_pickle *pickle, struct tm_value dict, const char *key,
                   struct tm_value *out);

#endif
