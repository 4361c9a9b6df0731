/* SPDX-License-Identifier: Apache-2.0
 * A bound that figures of quality must keep: "kld<0.05,ppl<1.05x,top1>0.9,arc>0.9x".
 *
 *   gate   = clause { "," clause }
 *   clause = figure ("<" | ">") number ["x"]
 *
 * figure: kld (mean divergence), kld99 (its 99th percentile), top1 (share of equal likeliest
 * tokens), ppl (perplexity), error (relative error of the compressed weights), tasks (mean share of
 * right answers), or the name of a task. "x": over the base's; for ppl and tasks. "default" is the
 * bound of the AIVillage pipeline: "ppl<1.05x,tasks>0.9x". */
#ifndef TM_NODE_QUALITY_GATE_H
#define TM_NODE_QUALITY_GATE_H

#include "base/buf.h"
#include "node/quality/evaluate.h"

#define TM_GATE_CLAUSES 16
#define TM_GATE_DEFAULT "ppl<1.05x,tasks>0.9x"
/* Held instead of everything else by a model that has no forward pass. */
#define TM_GATE_ERROR 0.1

enum tm_gate_figure {
    TM_GATE_KLD,
    TM_GATE_KLD99,
    TM_GATE_TOP1,
    TM_GATE_PPL,
    TM_GATE_ERROR_FIGURE,
    TM_GATE_TASKS,
    TM_GATE_TASK
};

struct tm_gate {
    struct tm_gate_clause {
        enum tm_gate_figure figure;
        char task[16]; /* of TM_GATE_TASK */
        bool below;    /* the figure must be below the bound, else above */
        bool times;    /* over the base's */
        double bound;
    } clauses[TM_GATE_CLAUSES];
    size_t count;
};

/* What is known of a model. */
struct tm_gate_figures {
    const struct tm_evaluation *evaluation; /* NULL: it has no forward pass */
    bool has_error;
    double error; /* relative, over the compressed weights */
};

/* TM_E_USAGE names the clause that is none. */
tm_status tm_gate_parse(struct tm_view text, struct tm_gate *out, struct tm_err *err) TM_MUST_USE;
/* Whether a clause compares with a base. */
bool tm_gate_needs_base(const struct tm_gate *gate);
/* Appends the names of the tasks that clauses are about, "mini" for "tasks" alone, with commas;
 * those in `known` (may be NULL) are left out. */
tm_status tm_gate_tasks(const struct tm_gate *gate, const char *known,
                        struct tm_buf *out) TM_MUST_USE;
/* TM_E_GATE names the first figure that misses, and its bound. A NaN misses. TM_E_USAGE: a clause
 * is about what was not measured. Without an evaluation the weights' error alone is held: against
 * the gate's own bound, or TM_GATE_ERROR. */
tm_status tm_gate_check(const struct tm_gate *gate, const struct tm_gate_figures *figures,
                        const char *where, struct tm_err *err) TM_MUST_USE;

#endif
