/* SPDX-License-Identifier: Apache-2.0
 * The formats whose readers are tried with damaged inputs, a row each. */
#ifndef TM_TESTS_MUTATE_FORMATS_H
#define TM_TESTS_MUTATE_FORMATS_H

#include "base/buf.h"

struct format {
    const char *name;
    const char *seeds; /* tests/corpus/... : a folder of files */
    size_t skip;       /* bytes before the input in each of them (a fuzz target's choice) */
    int only;          /* with skip: only files whose first byte is this (modulo 4), or -1 */
    /* Reads everything that the bytes claim to hold. TM_OK when they were accepted. */
    tm_status (*read)(struct tm_view bytes, struct tm_err *err);
    const char *const *words;
    bool peers; /* from a peer, not from a user: the answer is a status, no line and no exit code */
};

extern const struct format formats[];
extern const size_t format_count;

#endif
