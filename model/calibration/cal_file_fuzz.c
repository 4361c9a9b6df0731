/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a header (first byte 0) or as the section of an input (1: whole, 2: squares): parsed
 * or refused; what was parsed is written again, and the bytes are the same. */
#include "model/calibration/cal_file.h"

#include "tests/support/short_memory.h"

#define OUT_MAX ((size_t)1 << 26)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(tm_status status, const struct tm_buf *again, struct tm_view bytes)
{
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK || tm_view_eq(tm_buf_view(again), bytes));
}

static void fuzz_header(struct tm_view bytes)
{
    struct tm_cal_header header, copy;
    struct tm_cal_section *sections = NULL;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_cal_header_parse(bytes, &header, &sections, &err);
    if (status != TM_OK) {
        TM_ASSERT(sections == NULL && header.ranges == NULL && err.why[0] != '\0');
        return;
    }
    struct tm_buf out;
    tm_buf_init(&out, OUT_MAX);
    status = tm_cal_header_write(&header, sections, &out);
    TM_ASSERT(ok_or_ran_out(status));
    if (status == TM_OK) {
        struct tm_view again =
            tm_view_of(out.data + TM_CAL_FRONT_BYTES, out.bytes - TM_CAL_FRONT_BYTES);
        TM_ASSERT(tm_view_eq(again, bytes));
    }
    if (tm_cal_header_copy(&header, &copy) == TM_OK) {
        TM_ASSERT(tm_cal_difference(&header, &copy) == NULL);
        TM_ASSERT(tm_cal_same_windows(&header, &copy));
        TM_ASSERT(tm_cal_windows_covered(&copy) <= header.windows);
        tm_cal_header_deinit(&copy);
    }
    tm_cal_header_deinit(&header);
    tm_free(sections);
    tm_buf_deinit(&out);
}

static void fuzz_section(struct tm_view bytes, bool whole)
{
    struct tm_cal_input input;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_cal_input_read(bytes, whole, &input, &err);
    if (status != TM_OK) {
        TM_ASSERT(input.exponents == NULL && err.why[0] != '\0');
        return;
    }
    struct tm_buf out;
    tm_buf_init(&out, OUT_MAX);
    check_again(tm_cal_input_write(&input, &out), &out, bytes);
    TM_ASSERT(tm_cal_input_trace(&input, TM_CAL_FIT) >= 0.0);
    tm_cal_input_deinit(&input);
    tm_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] > 2) {
        return 0;
    }
    struct tm_view rest = tm_view_of(data + 1, size - 1);
    if (data[0] == 0) {
        fuzz_header(rest);
    } else {
        fuzz_section(rest, data[0] == 1);
    }
    return 0;
}
