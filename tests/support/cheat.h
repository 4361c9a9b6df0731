/* SPDX-License-Identifier: Apache-2.0
 * Dishonest ways to encode a unit, for tests and the demo: hooks for a worker that is real in all
 * else (node/worker/worker_actor.h). */
#ifndef TM_TESTS_CHEAT_H
#define TM_TESTS_CHEAT_H

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "model/convert.h"
#include "node/coordinator/check.h"
#include "node/worker/worker_actor.h"

enum cheat_mode {
    CHEAT_GARBAGE,  /* bytes that are no encoding */
    CHEAT_WRONG,    /* a valid encoding of slightly other weights: the error is small, the audit
                     * alone can tell */
    CHEAT_ZERO,     /* a valid encoding of nothing: the measured error tells */
    CHEAT_SOMETIMES /* honest, but every n-th unit is as CHEAT_WRONG */
};

struct cheat {
    enum cheat_mode mode;
    unsigned every; /* of CHEAT_SOMETIMES */
    atomic_uint count;
};

/* The unit's weights, moved by three thousandths or gone. */
static inline tm_status cheat_encode_other(const struct tm_encode_request *request, float factor,
                                           struct tm_buf *out, struct tm_err *err)
{
    size_t count = (size_t)request->shape.rows * request->shape.cols;
    float *values = tm_alloc(count * sizeof *values);
    if (values == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = tm_convert_to_f32(request->dtype, request->source.data, count, values);
    for (size_t i = 0; i < count; i++) {
        values[i] *= factor;
    }
    if (status == TM_OK) {
        status = tm_pipeline_encode(request->pipeline, request->shape, values, out, err);
    }
    tm_free(values);
    return status;
}

static inline tm_status cheat_encode(void *context, uint32_t unit,
                                     const struct tm_encode_request *request, struct tm_buf *out,
                                     struct tm_err *err)
{
    struct cheat *cheat = context;
    unsigned turn = atomic_fetch_add(&cheat->count, 1) + 1;
    switch (cheat->mode) {
    case CHEAT_GARBAGE:
        return tm_buf_printf(out, "this is unit %u, honestly", unit);
    case CHEAT_WRONG:
        return cheat_encode_other(request, 0.997f, out, err);
    case CHEAT_ZERO:
        return cheat_encode_other(request, 0.0f, out, err);
    case CHEAT_SOMETIMES:
        return turn % cheat->every == 0 ? cheat_encode_other(request, 0.997f, out, err)
                                        : tm_encode_unit(request, out, err);
    }
    return TM_E_INTERNAL;
}

#endif
