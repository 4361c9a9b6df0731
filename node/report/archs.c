/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/archs.h"

#include "model/pass/arch.h"

/* Calibration looks into the forward pass, so that whatever runs can be calibrated. */
struct row {
    const char *name, *models;
    bool graph;
};

static struct row row_of(unsigned index)
{
    static const char *const models[TM_ARCH_COUNT] = {
        [TM_ARCH_LLAMA] = "Llama 1 to 3, TinyLlama, SmolLM2, llama2.c",
        [TM_ARCH_QWEN2] = "Qwen2, Qwen2.5",
        [TM_ARCH_QWEN3] = "Qwen3 without experts",
        [TM_ARCH_GEMMA3] = "Gemma 3, its text part",
    };
    if (index < TM_ARCH_COUNT) {
        return (struct row){tm_arch_name((enum tm_arch_kind)index), models[index], true};
    }
    return (struct row){"*", "every other, in each format that inspect reads", false};
}

static const char *tick(bool yes)
{
    return yes ? "yes" : "-";
}

tm_status tm_archs_text(struct tm_buf *out)
{
    TM_TRY(tm_buf_printf(out, "%-12s %-9s %-10s %-4s %s\n", "architecture", "compress", "calibrate",
                         "run", "models"));
    for (unsigned i = 0; i <= TM_ARCH_COUNT; i++) {
        struct row row = row_of(i);
        TM_TRY(tm_buf_printf(out, "%-12s %-9s %-10s %-4s %s\n", row.name, tick(true),
                             tick(row.graph), tick(row.graph), row.models));
    }
    return TM_OK;
}

void tm_archs_json(struct tm_jw *jw)
{
    tm_jw_array(jw, "archs");
    for (unsigned i = 0; i <= TM_ARCH_COUNT; i++) {
        struct row row = row_of(i);
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "arch", row.name);
        tm_jw_bool(jw, "compress", true);
        tm_jw_bool(jw, "calibrate", row.graph);
        tm_jw_bool(jw, "run", row.graph);
        tm_jw_str(jw, "models", row.models);
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}
