/* SPDX-License-Identifier: Apache-2.0
 * Seeded damage to an input that was right: what bit rot, cut downloads and people with intent do
 * to files. Aware of binary counts and offsets, of decimal numbers, and of the words of a format.
 */
#ifndef TM_TESTS_MUTATORS_H
#define TM_TESTS_MUTATORS_H

#include "base/buf.h"
#include "base/rng.h"

#define MUTATED_BYTES_MAX (1u << 20)

struct mutation {
    struct tm_rng *rng;
    const char *const *words; /* of the format, NULL at the end; may be NULL */
    struct tm_view other;     /* another seed, to splice with */
};

/* Damages `bytes` in one to four places. */
void mutate(const struct mutation *m, struct tm_buf *bytes);

#endif
