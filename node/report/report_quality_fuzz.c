/* SPDX-License-Identifier: Apache-2.0
 * Figures of quality from outside, and every page that is made of them: whatever they are, each
 * page is whole, the same twice, and has no markup but its own. */
#include <string.h>

#include "base/mem.h"
#include "node/report/report_html.h"
#include "node/report/report_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tm_status json(const struct tm_report *report, struct tm_buf *out)
{
    struct tm_jw jw;
    tm_jw_begin(&jw, out, false);
    tm_jw_object(&jw, NULL);
    tm_report_json(report, &jw);
    tm_jw_object_end(&jw);
    return tm_jw_end(&jw);
}

static void make(tm_status (*write)(const struct tm_report *, struct tm_buf *),
                 const struct tm_report *report, bool markup)
{
    struct tm_buf page, again;
    tm_buf_init(&page, (size_t)1 << 24);
    tm_buf_init(&again, (size_t)1 << 24);
    tm_status status = write(report, &page);
    if (status == TM_OK && write(report, &again) == TM_OK) {
        TM_ASSERT(tm_view_eq(tm_buf_view(&page), tm_buf_view(&again)));
        TM_ASSERT(memchr(page.data, '\x1b', page.bytes) == NULL);
        TM_ASSERT(!markup || memmem(page.data, page.bytes, "<script", 7) == NULL);
    }
    TM_ASSERT(status == TM_OK || status == TM_E_NOMEM);
    tm_buf_deinit(&page);
    tm_buf_deinit(&again);
}

/* A package of one tensor that owns no memory. */
static struct tm_report sample(void)
{
    static char text[] = "<script>\x1b\xff", pipeline[] = "int.1(bits=4,group=32)",
                arch[] = "llama";
    static char *pipelines[] = {pipeline};
    static uint32_t worst[1];
    static struct tm_report_tensor tensors[] = {{.name = text,
                                                 .name_bytes = sizeof text - 1,
                                                 .shape = {.rank = 1, .dim = {32}},
                                                 .weights = 32,
                                                 .bytes = 18,
                                                 .units = 1,
                                                 .units_done = 1,
                                                 .squared_error = 1,
                                                 .squared_sum = 100}};
    return (struct tm_report){.path = text,
                              .model_name = text,
                              .arch = arch,
                              .package_id = "aa",
                              .pipelines = pipelines,
                              .pipeline_count = 1,
                              .tensors = tensors,
                              .tensor_count = 1,
                              .worst = worst};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_report report = sample();
    struct tm_err err;
    /* Twice, for a curve of two points with one label. */
    for (int i = 0; i < 2; i++) {
        if (tm_report_add_quality_text(&report, tm_view_of(data, size), "figures", &err) != TM_OK) {
            break;
        }
    }
    make(tm_report_html, &report, true);
    make(tm_report_card, &report, false);
    make(tm_report_text, &report, false);
    make(json, &report, false);
    for (uint32_t i = 0; i < report.quality_count; i++) {
        tm_free(report.qualities[i].label);
    }
    return 0;
}
