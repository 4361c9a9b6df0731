/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/quality_gate.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

static const struct {
    const char *name;
    const char *text; /* for people */
    bool times;       /* may be over the base's */
    bool base;        /* compares with a base always */
} figures[] = {
    [TM_GATE_KLD] = {"kld", "the mean divergence", false, true},
    [TM_GATE_KLD99] = {"kld99", "the 99th percentile of the divergence", false, true},
    [TM_GATE_TOP1] = {"top1", "the share of equal likeliest tokens", false, true},
    [TM_GATE_PPL] = {"ppl", "the perplexity", true, false},
    [TM_GATE_ERROR_FIGURE] = {"error", "the relative error of the weights", false, false},
    [TM_GATE_TASKS] = {"tasks", "the share of right answers", true, false},
};

static bool parse_figure(struct tm_view name, struct tm_gate_clause *out)
{
    for (int f = 0; f < TM_GATE_TASK; f++) {
        if (tm_view_eq_str(name, figures[f].name)) {
            out->figure = (enum tm_gate_figure)f;
            return !out->times || figures[f].times;
        }
    }
    if (!tm_task_known(name)) {
        return false;
    }
    out->figure = TM_GATE_TASK;
    snprintf(out->task, sizeof out->task, "%.*s", (int)name.bytes, (const char *)name.data);
    return true;
}

/* One clause into the gate's next place; false when it is none. */
static bool parse_clause(struct tm_view text, struct tm_gate *gate)
{
    size_t name = 0;
    while (name < text.bytes && text.data[name] != '<' && text.data[name] != '>') {
        name++;
    }
    if (name == text.bytes || gate->count == TM_GATE_CLAUSES) {
        return false;
    }
    struct tm_gate_clause *clause = &gate->clauses[gate->count];
    struct tm_view number = {text.data + name + 1, text.bytes - name - 1};
    clause->below = text.data[name] == '<';
    clause->times = number.bytes > 0 && number.data[number.bytes - 1] == 'x';
    number.bytes -= clause->times;
    if (tm_parse_f64(number, &clause->bound) != TM_OK || clause->bound < 0.0 ||
        !parse_figure(tm_view_of(text.data, name), clause)) {
        return false;
    }
    gate->count++;
    return true;
}

tm_status tm_gate_parse(struct tm_view text, struct tm_gate *out, struct tm_err *err)
{
    *out = (struct tm_gate){.count = 0};
    if (tm_view_eq_str(text, "default")) {
        text = tm_view_str(TM_GATE_DEFAULT);
    }
    for (;;) {
        const uint8_t *comma = text.bytes > 0 ? memchr(text.data, ',', text.bytes) : NULL;
        size_t bytes = comma != NULL ? (size_t)(comma - text.data) : text.bytes;
        if (!parse_clause(tm_view_of(text.data, bytes), out)) {
            return tm_err_set(err, TM_E_USAGE, "--gate", "cannot read the gate",
                              "e.g. kld<0.05,ppl<1.05x,top1>0.9", "'%.*s' is no clause of one",
                              (int)(bytes < 64 ? bytes : 64), (const char *)text.data);
        }
        if (comma == NULL) {
            return TM_OK;
        }
        text = tm_view_of(comma + 1, text.bytes - bytes - 1);
    }
}

bool tm_gate_needs_base(const struct tm_gate *gate)
{
    for (size_t i = 0; i < gate->count; i++) {
        const struct tm_gate_clause *clause = &gate->clauses[i];
        if (clause->times || (clause->figure != TM_GATE_TASK && figures[clause->figure].base)) {
            return true;
        }
    }
    return false;
}

/* Whether `name` is one of the names in a list as --tasks takes it. */
static bool is_in(const char *list, const char *name)
{
    struct tm_view spec;
    while (tm_task_next(&list, &spec)) {
        const uint8_t *equals = memchr(spec.data, '=', spec.bytes);
        spec.bytes = equals != NULL ? (size_t)(equals - spec.data) : spec.bytes;
        if (tm_view_eq_str(spec, name)) {
            return true;
        }
    }
    return false;
}

tm_status tm_gate_tasks(const struct tm_gate *gate, const char *known, struct tm_buf *out)
{
    size_t from = out->bytes;
    for (size_t i = 0; i < gate->count; i++) {
        const struct tm_gate_clause *clause = &gate->clauses[i];
        bool any = clause->figure == TM_GATE_TASKS;
        const char *name = any ? "mini" : clause->task;
        bool wanted = any ? known == NULL && out->bytes == from
                          : clause->figure == TM_GATE_TASK && !is_in(known, name);
        TM_TRY(tm_buf_terminate(out));
        if (wanted && !is_in((const char *)out->data + from, name)) {
            TM_TRY(tm_buf_printf(out, "%s%s", out->bytes > from ? "," : "", name));
        }
    }
    return tm_buf_terminate(out);
}

/* false when it was not measured. */
static bool figure_of(const struct tm_gate_figures *f, const struct tm_gate_clause *clause,
                      double *out)
{
    const struct tm_evaluation *e = f->evaluation;
    const struct tm_quality *q = &e->quality;
    switch (clause->figure) {
    case TM_GATE_KLD:
        *out = q->kl_mean;
        return q->has_base;
    case TM_GATE_KLD99:
        *out = q->kl_99;
        return q->has_base;
    case TM_GATE_TOP1:
        *out = q->same_top;
        return q->has_base;
    case TM_GATE_PPL:
        *out = clause->times ? q->ratio : q->perplexity;
        return q->has_base || !clause->times;
    case TM_GATE_ERROR_FIGURE:
        *out = f->error;
        return f->has_error;
    default:
        return tm_evaluation_accuracy(e, clause->figure == TM_GATE_TASKS ? NULL : clause->task,
                                      clause->times, out);
    }
}

static const char *name_of(const struct tm_gate_clause *clause, char out[96])
{
    const char *text =
        clause->figure == TM_GATE_TASK ? figures[TM_GATE_TASKS].text : figures[clause->figure].text;
    snprintf(out, 96, "%s%s%s%s", text, clause->figure == TM_GATE_TASK ? " in " : "", clause->task,
             clause->times ? " over the base's" : "");
    return out;
}

static tm_status hold(const struct tm_gate_clause *clause, double value, const char *where,
                      struct tm_err *err)
{
    char is[TM_NUM_TEXT], wanted[TM_NUM_TEXT], name[96];
    if (clause->below ? value < clause->bound : value > clause->bound) {
        return TM_OK;
    }
    return tm_err_set(err, TM_E_GATE, where, "the model misses its quality gate",
                      "compress with more bits a weight, or widen the gate",
                      "%s is %s; the gate wants it %s %s", name_of(clause, name),
                      tm_format_f64(value, is), clause->below ? "below" : "above",
                      tm_format_f64(clause->bound, wanted));
}

tm_status tm_gate_check(const struct tm_gate *gate, const struct tm_gate_figures *figures_of,
                        const char *where, struct tm_err *err)
{
    struct tm_gate_clause instead = {
        .figure = TM_GATE_ERROR_FIGURE, .below = true, .bound = TM_GATE_ERROR};
    bool held = false;
    for (size_t i = 0; i < gate->count; i++) {
        const struct tm_gate_clause *clause = &gate->clauses[i];
        double value = figures_of->error;
        char name[96];
        if (figures_of->evaluation == NULL && clause->figure != TM_GATE_ERROR_FIGURE) {
            continue;
        }
        if (figures_of->evaluation != NULL && !figure_of(figures_of, clause, &value)) {
            return tm_err_set(err, TM_E_USAGE, "--gate", "cannot hold the gate",
                              "leave the clause out, or have it measured", "%s was not measured",
                              name_of(clause, name));
        }
        held = true;
        TM_TRY(hold(clause, value, where, err));
    }
    return held || gate->count == 0 ? TM_OK : hold(&instead, figures_of->error, where, err);
}
