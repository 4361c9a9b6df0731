/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_input.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define CAL_NAME(code, text, whole) text,
static const char *const names[TM_CAL_KINDS] = {TM_CAL_INPUT_LIST(CAL_NAME)};
#undef CAL_NAME
#define CAL_WHOLE(code, text, whole) whole,
static const bool wholes[TM_CAL_KINDS] = {TM_CAL_INPUT_LIST(CAL_WHOLE)};
#undef CAL_WHOLE

const char *tm_cal_kind_name(enum tm_cal_kind kind)
{
    return names[kind];
}

bool tm_cal_kind_whole(enum tm_cal_kind kind)
{
    return wholes[kind];
}

/* ---- lifecycle ---- */

static size_t values_of(const struct tm_cov_shape *shape, bool whole)
{
    return whole ? tm_cov_values(shape) : shape->cols;
}

static size_t sets_of(bool whole)
{
    return whole ? TM_CAL_SETS : 1;
}

uint64_t tm_cal_input_bytes(const struct tm_cov_shape *shape, bool whole)
{
    return values_of(shape, whole) * sets_of(whole) * sizeof(int64_t) +
           (uint64_t)shape->cols * (TM_CAL_SINKS * sizeof(int16_t) + 1);
}

tm_status tm_cal_input_init(struct tm_cal_input *out, struct tm_cov_shape shape, bool whole)
{
    *out = (struct tm_cal_input){.whole = whole, .shape = shape};
    out->exponents = tm_calloc(shape.cols, sizeof *out->exponents);
    bool ok = out->exponents != NULL;
    for (size_t set = 0; set < sets_of(whole); set++) {
        out->sums[set] = tm_calloc(values_of(&shape, whole), sizeof *out->sums[set]);
        ok = ok && out->sums[set] != NULL;
    }
    if (!ok) {
        tm_cal_input_deinit(out);
    }
    return ok ? TM_OK : TM_E_NOMEM;
}

void tm_cal_input_deinit(struct tm_cal_input *input)
{
    tm_free(input->exponents);
    tm_free(input->sums[TM_CAL_FIT]);
    tm_free(input->sums[TM_CAL_HELD]);
    tm_free(input->sink_values);
    *input = (struct tm_cal_input){0};
}

void tm_cal_input_clear(struct tm_cal_input *input)
{
    for (size_t set = 0; set < sets_of(input->whole); set++) {
        memset(input->sums[set], 0,
               values_of(&input->shape, input->whole) * sizeof *input->sums[set]);
    }
    memset(input->count, 0, sizeof input->count);
    input->sink_count = 0;
}

/* ---- sums ---- */

static bool before(const struct tm_cal_sink *a, const struct tm_cal_sink *b)
{
    return a->window != b->window ? a->window < b->window : a->position < b->position;
}

static tm_status need_sink_room(struct tm_cal_input *input)
{
    if (input->sink_values == NULL) {
        input->sink_values = tm_realloc_array(NULL, (size_t)TM_CAL_SINKS * input->shape.cols,
                                              sizeof *input->sink_values);
    }
    return input->sink_values != NULL ? TM_OK : TM_E_NOMEM;
}

tm_status tm_cal_input_sink(struct tm_cal_input *input, struct tm_cal_sink sink,
                            const int16_t *values)
{
    if (input->sink_count == TM_CAL_SINKS) {
        return TM_OK;
    }
    TM_ASSERT(input->sink_count == 0 || before(&input->sinks[input->sink_count - 1], &sink));
    TM_TRY(need_sink_room(input));
    input->sinks[input->sink_count] = sink;
    memcpy(input->sink_values + (size_t)input->sink_count * input->shape.cols, values,
           input->shape.cols * sizeof *values);
    input->sink_count++;
    return TM_OK;
}

static void put_sink(struct tm_cal_input *input, uint32_t at, const struct tm_cal_sink *sink,
                     const int16_t *values)
{
    size_t cols = input->shape.cols, row = cols * sizeof *values;
    uint32_t last = input->sink_count < TM_CAL_SINKS ? input->sink_count : TM_CAL_SINKS - 1;
    memmove(input->sinks + at + 1, input->sinks + at, (last - at) * sizeof *sink);
    memmove(input->sink_values + (at + 1) * cols, input->sink_values + at * cols,
            (last - at) * row);
    input->sinks[at] = *sink;
    memcpy(input->sink_values + at * cols, values, row);
    input->sink_count = last + 1;
}

static void merge_sinks(struct tm_cal_input *into, const struct tm_cal_input *from)
{
    for (uint32_t i = 0; i < from->sink_count; i++) {
        uint32_t at = into->sink_count;
        while (at > 0 && before(&from->sinks[i], &into->sinks[at - 1])) {
            at--;
        }
        if (at < TM_CAL_SINKS) {
            put_sink(into, at, &from->sinks[i], from->sink_values + (size_t)i * from->shape.cols);
        }
    }
}

tm_status tm_cal_input_merge(struct tm_cal_input *into, const struct tm_cal_input *from)
{
    uint32_t cols = into->shape.cols;
    if (into->whole != from->whole || cols != from->shape.cols ||
        into->shape.width != from->shape.width ||
        memcmp(into->exponents, from->exponents, cols) != 0) {
        return TM_E_INCOMPATIBLE;
    }
    for (size_t set = 0; set < TM_CAL_SETS; set++) {
        if (into->count[set].tokens > TM_COV_TOKENS_MAX - from->count[set].tokens) {
            return TM_E_LIMIT;
        }
    }
    TM_TRY(from->sink_count > 0 ? need_sink_room(into) : TM_OK);
    merge_sinks(into, from);
    size_t values = values_of(&into->shape, into->whole);
    for (size_t set = 0; set < TM_CAL_SETS; set++) {
        into->count[set].tokens += from->count[set].tokens;
        into->count[set].sinks += from->count[set].sinks;
        into->count[set].clipped += from->count[set].clipped;
        for (size_t i = 0; i < values && set < sets_of(into->whole); i++) {
            into->sums[set][i] += from->sums[set][i];
        }
    }
    return TM_OK;
}

double tm_cal_input_square(const struct tm_cal_input *input, enum tm_cal_set set, uint32_t i)
{
    if (set >= sets_of(input->whole)) {
        return 0;
    }
    int64_t sum =
        input->whole ? *tm_cov_at(&input->shape, input->sums[set], i, i) : input->sums[set][i];
    return ldexp((double)sum, -2 * input->exponents[i]);
}

double tm_cal_input_trace(const struct tm_cal_input *input, enum tm_cal_set set)
{
    double trace = 0;
    for (uint32_t i = 0; i < input->shape.cols; i++) {
        trace += tm_cal_input_square(input, set, i);
    }
    return trace;
}

/* ---- the section ---- */

/* Calls `visit` for every sum in the order of the file: block by block, row by row from the
 * diagonal on. */
typedef tm_status (*visit_fn)(void *context, int64_t *sum, bool square);

static tm_status visit_sums(const struct tm_cal_input *input, enum tm_cal_set set, visit_fn visit,
                            void *context)
{
    const struct tm_cov_shape *shape = &input->shape;
    if (!input->whole) {
        for (uint32_t i = 0; i < shape->cols; i++) {
            TM_TRY(visit(context, input->sums[set] + i, true));
        }
        return TM_OK;
    }
    for (uint32_t b = 0; b < tm_cov_blocks(shape); b++) {
        uint32_t first = tm_cov_block_first(shape, b), end = first + tm_cov_block_cols(shape, b);
        for (uint32_t i = first; i < end; i++) {
            for (uint32_t j = i; j < end; j++) {
                TM_TRY(visit(context, tm_cov_at(shape, input->sums[set], i, j), i == j));
            }
        }
    }
    return TM_OK;
}

static tm_status put_sum(void *context, int64_t *sum, bool square)
{
    (void)square;
    return tm_bit_put(context, *sum);
}

static tm_status write_sinks(const struct tm_cal_input *input, struct tm_buf *out)
{
    TM_TRY(tm_buf_put_u32(out, input->sink_count));
    for (uint32_t i = 0; i < input->sink_count; i++) {
        TM_TRY(tm_buf_put_u64(out, input->sinks[i].window));
        TM_TRY(tm_buf_put_u32(out, input->sinks[i].position));
        TM_TRY(tm_buf_put_u8(out, (uint8_t)input->sinks[i].exponent));
    }
    struct tm_bit_writer writer = {.out = out};
    for (size_t i = 0; i < (size_t)input->sink_count * input->shape.cols; i++) {
        TM_TRY(tm_bit_put(&writer, input->sink_values[i]));
    }
    return tm_bit_end(&writer);
}

tm_status tm_cal_input_write(const struct tm_cal_input *input, struct tm_buf *out)
{
    TM_TRY(tm_buf_put_u32(out, input->shape.cols));
    TM_TRY(tm_buf_put_u32(out, input->shape.width));
    for (size_t set = 0; set < TM_CAL_SETS; set++) {
        TM_TRY(tm_buf_put_u64(out, input->count[set].tokens));
        TM_TRY(tm_buf_put_u64(out, input->count[set].sinks));
        TM_TRY(tm_buf_put_u64(out, input->count[set].clipped));
    }
    TM_TRY(tm_buf_put(out, input->exponents, input->shape.cols));
    TM_TRY(write_sinks(input, out));
    for (size_t set = 0; set < sets_of(input->whole); set++) {
        struct tm_bit_writer writer = {.out = out};
        TM_TRY(visit_sums(input, (enum tm_cal_set)set, put_sum, &writer));
        TM_TRY(tm_bit_end(&writer));
    }
    return TM_OK;
}

/* ---- reading ---- */

static tm_status bad(struct tm_err *err, const char *why)
{
    return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot read the calibration",
                      "the file is damaged: make or fetch it again", "%s", why);
}

struct reading {
    struct tm_bit_reader bits;
    uint64_t most;  /* |sum| is at most this */
    bool in_bounds; /* all so far */
};

static tm_status get_sum(void *context, int64_t *sum, bool square)
{
    struct reading *reading = context;
    *sum = tm_bit_get(&reading->bits);
    uint64_t size = *sum < 0 ? -(uint64_t)*sum : (uint64_t)*sum;
    reading->in_bounds = reading->in_bounds && size <= reading->most && !(square && *sum < 0);
    return reading->bits.bad ? TM_E_MALFORMED : TM_OK;
}

static uint64_t sums_in_file(const struct tm_cov_shape *shape, bool whole)
{
    uint64_t sum = whole ? 0 : shape->cols;
    for (uint32_t b = 0; whole && b < tm_cov_blocks(shape); b++) {
        uint64_t cols = tm_cov_block_cols(shape, b);
        sum += cols * (cols + 1) / 2;
    }
    return sum;
}

static tm_status read_sums(struct tm_cal_input *input, struct tm_cursor *in, enum tm_cal_set set,
                           struct tm_err *err)
{
    struct reading reading = {
        .bits = tm_bit_reader_of(in, sums_in_file(&input->shape, input->whole)),
        .most = input->count[set].tokens * TM_COV_VALUE_MAX * TM_COV_VALUE_MAX,
        .in_bounds = true};
    if (visit_sums(input, set, get_sum, &reading) != TM_OK) {
        return bad(err, "its sums end too soon, or are packed in another way");
    }
    return reading.in_bounds ? TM_OK : bad(err, "a sum is larger than its tokens can give");
}

static tm_status read_sinks(struct tm_cal_input *input, struct tm_cursor *in, struct tm_err *err)
{
    uint64_t all = input->count[TM_CAL_FIT].sinks;
    input->sink_count = tm_cursor_u32(in);
    if (input->sink_count != (all < TM_CAL_SINKS ? all : TM_CAL_SINKS)) {
        input->sink_count = 0;
        return bad(err, "it does not hold the sinks that it counts");
    }
    for (uint32_t i = 0; i < input->sink_count; i++) {
        struct tm_cal_sink *sink = &input->sinks[i];
        sink->window = tm_cursor_u64(in);
        sink->position = tm_cursor_u32(in);
        sink->exponent = (int8_t)tm_cursor_u8(in);
        if (i > 0 && !before(&sink[-1], sink)) {
            return bad(err, "its sinks are not in ascending order");
        }
    }
    uint64_t values = (uint64_t)input->sink_count * input->shape.cols;
    if (in->overrun || values / TM_BIT_GROUP > tm_cursor_left(in)) {
        return bad(err, "its sinks end too soon");
    }
    TM_TRY(input->sink_count > 0 ? need_sink_room(input) : TM_OK);
    struct tm_bit_reader bits = tm_bit_reader_of(in, values);
    for (uint64_t i = 0; i < values && !bits.bad; i++) {
        int64_t value = tm_bit_get(&bits);
        bits.bad = bits.bad || value > TM_COV_VALUE_MAX || value < -TM_COV_VALUE_MAX;
        input->sink_values[i] = (int16_t)value;
    }
    return bits.bad ? bad(err, "the values of its sinks are damaged") : TM_OK;
}

/* Columns, counts and exponents; allocates no more than the bytes that are left allow. */
static tm_status read_front(struct tm_cursor *in, bool whole, struct tm_cal_input *out,
                            struct tm_err *err)
{
    struct tm_cov_shape shape = {.cols = tm_cursor_u32(in)};
    shape.width = tm_cursor_u32(in);
    bool cut = shape.width < shape.cols && whole;
    if (in->overrun || shape.cols == 0 || shape.cols > TM_CAL_COLS_MAX ||
        shape.width > shape.cols || shape.width == 0 || (!whole && shape.width != shape.cols) ||
        (cut && shape.width % TM_COV_PANEL != 0)) {
        return bad(err, "its columns are impossible");
    }
    struct tm_cal_count count[TM_CAL_SETS];
    for (size_t set = 0; set < TM_CAL_SETS; set++) {
        count[set].tokens = tm_cursor_u64(in);
        count[set].sinks = tm_cursor_u64(in);
        count[set].clipped = tm_cursor_u64(in);
        if (count[set].tokens > TM_COV_TOKENS_MAX) {
            return bad(err, "it counts more tokens than there may be");
        }
    }
    struct tm_view exponents = tm_cursor_take(in, shape.cols);
    if (in->overrun ||
        sums_in_file(&shape, whole) / TM_BIT_GROUP * sets_of(whole) > tm_cursor_left(in)) {
        return bad(err, "it ends too soon");
    }
    for (size_t i = 0; i < exponents.bytes; i++) {
        int8_t exponent = (int8_t)exponents.data[i];
        if (exponent > TM_CAL_EXPONENT_MAX || exponent < -TM_CAL_EXPONENT_MAX) {
            return bad(err, "an exponent is impossible");
        }
    }
    TM_TRY(tm_cal_input_init(out, shape, whole));
    memcpy(out->exponents, exponents.data, exponents.bytes);
    memcpy(out->count, count, sizeof count);
    return TM_OK;
}

static tm_status read_rest(struct tm_cursor *in, struct tm_cal_input *out, struct tm_err *err)
{
    TM_TRY(read_sinks(out, in, err));
    for (size_t set = 0; set < sets_of(out->whole); set++) {
        TM_TRY(read_sums(out, in, (enum tm_cal_set)set, err));
    }
    return tm_cursor_left(in) == 0 ? TM_OK : bad(err, "there are bytes behind its sums");
}

tm_status tm_cal_input_read(struct tm_view section, bool whole, struct tm_cal_input *out,
                            struct tm_err *err)
{
    struct tm_cursor in = tm_cursor_of(section);
    *out = (struct tm_cal_input){0};
    tm_status status = read_front(&in, whole, out, err);
    if (status == TM_OK) {
        status = read_rest(&in, out, err);
    }
    if (status != TM_OK) {
        tm_cal_input_deinit(out);
    }
    return status == TM_E_NOMEM ? tm_err_set(err, TM_E_NOMEM, NULL, "cannot read the calibration",
                                             "close other programs", "out of memory")
                                : status;
}
