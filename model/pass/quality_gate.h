/* SPDX-License-Identifier: Apache-2.0
 * A bound that figures of quality must keep: "kld<0.05,ppl<1.05x,top1>0.9".
 *
 *   gate   = clause { "," clause }
 *   clause = figure ("<" | ">") number ["x"]
 *
 * figure: kld (mean divergence), kld99 (its 99th percentile), top1 (share of equal likeliest
 * tokens), ppl (perplexity; with "x" its ratio to the base's). All but a plain ppl need a base. */
#ifndef TM_MODEL_PASS_QUALITY_GATE_H
#define TM_MODEL_PASS_QUALITY_GATE_H

#include "base/buf.h"
#include "model/pass/quality.h"

#define TM_GATE_CLAUSES 8

enum tm_gate_figure { TM_GATE_KLD, TM_GATE_KLD99, TM_GATE_TOP1, TM_GATE_PPL, TM_GATE_PPL_RATIO };

struct tm_gate {
    struct {
        enum tm_gate_figure figure;
        bool below; /* the figure must be below the bound, else above */
        double bound;
    } clauses[TM_GATE_CLAUSES];
    size_t count;
};

/* TM_E_USAGE names the clause that is none. */
tm_status tm_gate_parse(struct tm_view text, struct tm_gate *out, struct tm_err *err) TM_MUST_USE;
/* Whether a clause compares with a base. */
bool tm_gate_needs_base(const struct tm_gate *gate);
/* TM_E_GATE names the first figure that misses, and its bound. */
tm_status tm_gate_check(const struct tm_gate *gate, const struct tm_quality *quality,
                        const char *where, struct tm_err *err) TM_MUST_USE;

#endif
