/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_check.h"

#include <string.h>

static const char what_failed[] = "the calibration is not what its model and text give";
static const char hint[] = "do not use it; whoever made it sent something else, or has a fault";

/* Number of a window among those that a file covers; UINT64_MAX when it is not. */
static uint64_t place_of(const struct tm_cal_header *h, uint64_t window)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < h->range_count; i++) {
        const struct tm_cal_range *range = &h->ranges[i];
        if (window >= range->first && window < range->end) {
            return before + window - range->first;
        }
        before += range->end - range->first;
    }
    return UINT64_MAX;
}

static tm_status check_covered(const struct tm_cal_file *claimed, const struct tm_cal_file *again,
                               struct tm_err *err)
{
    const struct tm_cal_header *c = tm_cal_file_header(claimed), *a = tm_cal_file_header(again);
    const char *difference = tm_cal_difference(c, a);
    if (difference != NULL) {
        return tm_err_set(err, TM_E_INCOMPATIBLE, tm_cal_file_path(claimed),
                          "cannot check the calibration",
                          "give the model, text and options that it was made with",
                          "its %s is another", difference);
    }
    bool layers = a->layer_first >= c->layer_first &&
                  a->layer_first + a->layer_count <= c->layer_first + c->layer_count;
    bool windows = true;
    for (uint32_t i = 0; i < a->range_count; i++) {
        for (uint64_t w = a->ranges[i].first; w < a->ranges[i].end && windows; w++) {
            windows = place_of(c, w) != UINT64_MAX;
        }
    }
    return layers && windows
               ? TM_OK
               : tm_err_set(err, TM_E_USAGE, tm_cal_file_path(claimed),
                            "cannot check the calibration", "choose among what it covers",
                            "it does not cover all of the %s that were asked for",
                            layers ? "windows" : "layers");
}

static tm_status check_size(const struct tm_cal_file *file, uint32_t layer,
                            const struct tm_buf *digests, struct tm_err *err)
{
    uint64_t want = tm_cal_windows_covered(tm_cal_file_header(file)) * TM_DIGEST_BYTES;
    return digests->bytes == want
               ? TM_OK
               : tm_err_set(err, TM_E_MALFORMED, tm_cal_file_path(file), what_failed, hint,
                            "layer %lu has %llu bytes of digests and should have %llu",
                            (unsigned long)layer, (unsigned long long)digests->bytes,
                            (unsigned long long)want);
}

struct check {
    struct tm_cal_file *claimed, *again;
    struct tm_buf claimed_section, again_section;
};

static tm_status check_windows(struct check *c, uint32_t layer, struct tm_err *err)
{
    const struct tm_cal_header *h = tm_cal_file_header(c->again);
    TM_TRY(tm_cal_file_section(c->claimed, layer, TM_CAL_KINDS, &c->claimed_section, err));
    TM_TRY(tm_cal_file_section(c->again, layer, TM_CAL_KINDS, &c->again_section, err));
    TM_TRY(check_size(c->claimed, layer, &c->claimed_section, err));
    TM_TRY(check_size(c->again, layer, &c->again_section, err));
    uint64_t at = 0;
    for (uint32_t i = 0; i < h->range_count; i++) {
        for (uint64_t w = h->ranges[i].first; w < h->ranges[i].end; w++, at++) {
            uint64_t place = place_of(tm_cal_file_header(c->claimed), w);
            if (memcmp(c->claimed_section.data + place * TM_DIGEST_BYTES,
                       c->again_section.data + at * TM_DIGEST_BYTES, TM_DIGEST_BYTES) != 0) {
                return tm_err_set(err, TM_E_VERIFY, tm_cal_file_path(c->claimed), what_failed, hint,
                                  "layer %lu, window %llu: other inputs", (unsigned long)layer,
                                  (unsigned long long)w);
            }
        }
    }
    return TM_OK;
}

static tm_status check_sums(struct check *c, uint32_t layer, struct tm_err *err)
{
    for (uint32_t k = 0; k < TM_CAL_KINDS; k++) {
        TM_TRY(tm_cal_file_section(c->claimed, layer, k, &c->claimed_section, err));
        TM_TRY(tm_cal_file_section(c->again, layer, k, &c->again_section, err));
        if (!tm_view_eq(tm_buf_view(&c->claimed_section), tm_buf_view(&c->again_section))) {
            return tm_err_set(err, TM_E_VERIFY, tm_cal_file_path(c->claimed), what_failed, hint,
                              "layer %lu, %s: other sums", (unsigned long)layer,
                              tm_cal_kind_name((enum tm_cal_kind)k));
        }
    }
    return TM_OK;
}

tm_status tm_cal_check(struct tm_cal_file *claimed, struct tm_cal_file *again,
                       struct tm_cal_checked *out, struct tm_err *err)
{
    const struct tm_cal_header *h = tm_cal_file_header(again);
    struct check check = {.claimed = claimed, .again = again};
    TM_TRY(check_covered(claimed, again, err));
    *out = (struct tm_cal_checked){.windows = tm_cal_windows_covered(h),
                                   .layers = h->layer_count,
                                   .sums = tm_cal_same_windows(h, tm_cal_file_header(claimed))};
    tm_buf_init(&check.claimed_section, TM_CAL_SECTION_MAX);
    tm_buf_init(&check.again_section, TM_CAL_SECTION_MAX);
    tm_status status = TM_OK;
    for (uint32_t i = 0; i < h->layer_count && status == TM_OK; i++) {
        status = check_windows(&check, h->layer_first + i, err);
        if (status == TM_OK && out->sums) {
            status = check_sums(&check, h->layer_first + i, err);
        }
    }
    tm_buf_deinit(&check.claimed_section);
    tm_buf_deinit(&check.again_section);
    return status;
}
