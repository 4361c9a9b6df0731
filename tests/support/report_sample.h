/* SPDX-License-Identifier: Apache-2.0
 * A report filled by hand: six tensors in two layers with round figures, two nodes, one of them
 * banned, names that a browser or a terminal must not take for its own language. */
#ifndef TM_TESTS_REPORT_SAMPLE_H
#define TM_TESTS_REPORT_SAMPLE_H

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "node/report/report.h"

#define REPORT_SAMPLE_HOSTILE "<script>alert(1)</script>\"'&\x1b[31m"

/* error: relative; 0 for a lossless one. */
static inline void report_sample_tensor(struct tm_report *r, const char *name, int64_t layer,
                                        enum tm_tensor_kind kind, double error)
{
    r->tensors[r->tensor_count++] = (struct tm_report_tensor){
        .name = tm_strdup(name),
        .name_bytes = strlen(name),
        .layer = layer,
        .kind = kind,
        .dtype = TM_F16,
        .shape = {.rank = 2, .dim = {100, 64}},
        .pipeline = error > 0 ? 0 : 1,
        .lossless = !(error > 0),
        .weights = 6400,
        .source_bytes = 12800,
        .bytes = 3200,
        .units = 1,
        .units_done = 1,
        .squared_error = error * error * 6400,
        .squared_sum = 6400,
        .prediction = {.known = error > 0, .error = 0.0859, .bits_per_weight = 4.13},
    };
}

static inline void report_sample_nodes(struct tm_report *r)
{
    r->node_count = 2;
    r->nodes = tm_calloc(2, sizeof *r->nodes);
    r->nodes[0] = (struct tm_report_node){.id = {{1}}, .units = 4, .decoded = 4, .bytes = 12800};
    r->nodes[1] =
        (struct tm_report_node){.id = {{2}}, .units = 2, .decoded = 2, .audited = 1, .bytes = 6400};
    snprintf(r->nodes[1].name, sizeof r->nodes[1].name, "%s", REPORT_SAMPLE_HOSTILE);
    r->ban_count = 1;
    r->bans = tm_calloc(1, sizeof *r->bans);
    r->bans[0].id.b[0] = 3;
    snprintf(r->bans[0].reason, sizeof r->bans[0].reason, "%s", REPORT_SAMPLE_HOSTILE);
}

static inline void report_sample(struct tm_report *r)
{
    memset(r, 0, sizeof *r);
    r->path = tm_strdup("m.tmpk");
    r->model_name = tm_strdup(REPORT_SAMPLE_HOSTILE);
    r->arch = tm_strdup("llama");
    memset(r->package_id, 'a', 64);
    memset(r->root, 'b', 64);
    memset(r->plan_digest, 'c', 64);
    snprintf(r->owner, sizeof r->owner, "tmpub1owner");
    r->file_bytes = 20000;
    r->units = r->units_done = 6;
    r->pipeline_count = 2;
    r->pipelines = tm_calloc(2, sizeof *r->pipelines);
    r->pipelines[0] = tm_strdup("int.1(bits=4,group=32) > rans.1");
    r->pipelines[1] = tm_strdup("zstd.1(level=9)");
    r->tensors = tm_calloc(6, sizeof *r->tensors);
    report_sample_tensor(r, "embed", -1, TM_KIND_EMBED, 0.1);
    report_sample_tensor(r, "l.0.q", 0, TM_KIND_Q, 0.18);
    report_sample_tensor(r, REPORT_SAMPLE_HOSTILE, 0, TM_KIND_UP, 0.5);
    report_sample_tensor(r, "l.0.norm", 0, TM_KIND_NORM, 0);
    report_sample_tensor(r, "l.7.q", 7, TM_KIND_Q, 0.14);
    report_sample_tensor(r, "l.7.norm", 7, TM_KIND_NORM, 0);
    report_sample_nodes(r);
    TM_ASSERT(tm_report_rank(r) == TM_OK);
}

/* As measured: this package, and a smaller and a larger one beside it. */
static inline void report_sample_qualities(struct tm_report *r)
{
    static const struct {
        const char *label;
        double bits, ratio, kl;
    } rows[] = {{"m.tmpk", 4.1, 1.2, 0.3}, {"int8.tmpk", 8.1, 1.01, 0.01}, {"t.tmpk", 1.7, 9, 4}};
    for (unsigned i = 0; i < 3; i++) {
        r->qualities[r->quality_count++] = (struct tm_report_quality){
            .label = tm_strdup(rows[i].label),
            .is_this = i == 0,
            .bits_per_weight = rows[i].bits,
            .figures = {.windows = 4,
                        .tokens = 1000,
                        .nll = 3,
                        .nll_error = 0.1,
                        .perplexity = 20 * rows[i].ratio,
                        .perplexity_error = 1,
                        .has_base = true,
                        .base_nll = 3,
                        .base_perplexity = 20,
                        .ratio = rows[i].ratio,
                        .ratio_error = 0.05,
                        .kl_mean = rows[i].kl,
                        .kl_error = rows[i].kl / 10,
                        .kl_median = rows[i].kl / 2,
                        .kl_99 = rows[i].kl * 8,
                        .kl_max = rows[i].kl * 20,
                        .same_top = 0.75},
        };
    }
}

#endif
