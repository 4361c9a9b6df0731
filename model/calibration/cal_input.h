/* SPDX-License-Identifier: Apache-2.0
 * What calibration knows of one input of a layer: exact sums over tokens of the products of its
 * columns, and the few sink tokens one by one.
 *
 * A token's vector x is divided by the root mean square of the residual stream that the matrix adds
 * to (weight 1 / mean square: the next norm divides by it too), multiplied by 2^exponent of each
 * column, rounded to the nearest integer, ties to even, and cut to +-32767. So the sum of columns i
 * and j stands for sums / 2^(exponent[i] + exponent[j]).
 *
 * Windows are in one of two sets: those to fit with, and those held out, on which a codec chooses
 * how much it may trust the first. Sinks (tokens with an enormous residual) are in no sum: they are
 * counted, and the first TM_CAL_SINKS of the fit set by window and position are kept as vectors,
 * each with an exponent of its own. */
#ifndef TM_MODEL_CAL_INPUT_H
#define TM_MODEL_CAL_INPUT_H

#include "model/calibration/bit_groups.h"
#include "model/calibration/covariance.h"

#define TM_CAL_SINKS 64
#define TM_CAL_COLS_MAX (1u << 20)
#define TM_CAL_EXPONENT_MAX 100

enum tm_cal_set { TM_CAL_FIT, TM_CAL_HELD, TM_CAL_SETS };

/* X(code, name, whole): whole ones have products of all columns, in both sets; the others only
 * squares, in the fit set: mean squares of derivatives, from which the weights of the rows of a
 * matrix follow (docs/formats/calibration.md). */
#define TM_CAL_INPUT_LIST(X)                                                                       \
    X(TM_CAL_ATTENTION_IN, "attention_in", true)                                                   \
    X(TM_CAL_ATTENDED, "attended", true)                                                           \
    X(TM_CAL_VALUE, "value", false)                                                                \
    X(TM_CAL_QUERY, "query_slope", false)                                                          \
    X(TM_CAL_KEY, "key_slope", false)                                                              \
    X(TM_CAL_GATE_IN, "gate_in", true)                                                             \
    X(TM_CAL_GATE, "gate_slope", false)                                                            \
    X(TM_CAL_UP, "up_slope", false)                                                                \
    X(TM_CAL_DOWN_IN, "down_in", true)

#define TM_CAL_INPUT_ENUM(code, text, whole) code,
enum tm_cal_kind { TM_CAL_INPUT_LIST(TM_CAL_INPUT_ENUM) TM_CAL_KINDS };
#undef TM_CAL_INPUT_ENUM

const char *tm_cal_kind_name(enum tm_cal_kind kind);
bool tm_cal_kind_whole(enum tm_cal_kind kind);

struct tm_cal_count {
    uint64_t tokens;  /* in the sums */
    uint64_t sinks;   /* not in the sums */
    uint64_t clipped; /* values of tokens in the sums that were cut to +-32767 */
};

struct tm_cal_sink {
    uint64_t window;
    uint32_t position;
    int8_t exponent;
};

struct tm_cal_input {
    bool whole;
    struct tm_cov_shape shape;
    int8_t *exponents; /* [cols] */
    struct tm_cal_count count[TM_CAL_SETS];
    int64_t *sums[TM_CAL_SETS]; /* whole: tiles of covariance.h; else fit[cols], and no held */
    uint32_t sink_count;
    struct tm_cal_sink sinks[TM_CAL_SINKS]; /* ascending by window and position */
    int16_t *sink_values;                   /* [TM_CAL_SINKS][cols], NULL before the first */
};

/* Bytes that an input takes at most. */
uint64_t tm_cal_input_bytes(const struct tm_cov_shape *shape, bool whole);
/* All zeros. TM_E_NOMEM leaves *out empty. */
tm_status tm_cal_input_init(struct tm_cal_input *out, struct tm_cov_shape shape,
                            bool whole) TM_MUST_USE;
void tm_cal_input_deinit(struct tm_cal_input *input);
/* Back to zeros, exponents stay. */
void tm_cal_input_clear(struct tm_cal_input *input);

/* The vector of a sink of the fit set, `values` times 2^exponent. Windows and positions come in
 * ascending order. */
tm_status tm_cal_input_sink(struct tm_cal_input *input, struct tm_cal_sink sink,
                            const int16_t *values) TM_MUST_USE;
/* into += from, of other windows. TM_E_INCOMPATIBLE when their columns or exponents differ,
 * TM_E_LIMIT past TM_COV_TOKENS_MAX tokens, TM_E_NOMEM; into is as it was before then. */
tm_status tm_cal_input_merge(struct tm_cal_input *into,
                             const struct tm_cal_input *from) TM_MUST_USE;

/* The sum of squares of column i in real units, and the sum of all. */
double tm_cal_input_square(const struct tm_cal_input *input, enum tm_cal_set set, uint32_t i);
double tm_cal_input_trace(const struct tm_cal_input *input, enum tm_cal_set set);

/* Appends the section of a .tmcal. */
tm_status tm_cal_input_write(const struct tm_cal_input *input, struct tm_buf *out) TM_MUST_USE;
/* Reads a whole section. TM_E_MALFORMED says in err->why what is wrong; TM_E_NOMEM. On failure
 * *out is empty. */
tm_status tm_cal_input_read(struct tm_view section, bool whole, struct tm_cal_input *out,
                            struct tm_err *err) TM_MUST_USE;

#endif
