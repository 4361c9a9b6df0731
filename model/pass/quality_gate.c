/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/quality_gate.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

static const struct {
    const char *name;
    const char *text; /* for people */
} figures[] = {[TM_GATE_KLD] = {"kld", "the mean divergence"},
               [TM_GATE_KLD99] = {"kld99", "the 99th percentile of the divergence"},
               [TM_GATE_TOP1] = {"top1", "the share of equal likeliest tokens"},
               [TM_GATE_PPL] = {"ppl", "the perplexity"},
               [TM_GATE_PPL_RATIO] = {"ppl", "the perplexity over the base's"}};

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
    struct tm_view number = {text.data + name + 1, text.bytes - name - 1};
    bool times = number.bytes > 0 && number.data[number.bytes - 1] == 'x';
    number.bytes -= times;
    double bound = 0.0;
    if (tm_parse_f64(number, &bound) != TM_OK || bound < 0.0) {
        return false;
    }
    for (int f = 0; f <= TM_GATE_PPL; f++) {
        if (tm_view_eq_str(tm_view_of(text.data, name), figures[f].name)) {
            bool ratio = times && f == TM_GATE_PPL;
            gate->clauses[gate->count].figure = ratio ? TM_GATE_PPL_RATIO : (enum tm_gate_figure)f;
            gate->clauses[gate->count].below = text.data[name] == '<';
            gate->clauses[gate->count].bound = bound;
            gate->count++;
            return !times || ratio;
        }
    }
    return false;
}

tm_status tm_gate_parse(struct tm_view text, struct tm_gate *out, struct tm_err *err)
{
    *out = (struct tm_gate){.count = 0};
    for (;;) {
        const uint8_t *comma = memchr(text.data, ',', text.bytes);
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
        if (gate->clauses[i].figure != TM_GATE_PPL) {
            return true;
        }
    }
    return false;
}

static double figure_of(const struct tm_quality *q, enum tm_gate_figure figure)
{
    switch (figure) {
    case TM_GATE_KLD:
        return q->kl_mean;
    case TM_GATE_KLD99:
        return q->kl_99;
    case TM_GATE_TOP1:
        return q->same_top;
    case TM_GATE_PPL:
        return q->perplexity;
    default:
        return q->ratio;
    }
}

tm_status tm_gate_check(const struct tm_gate *gate, const struct tm_quality *quality,
                        const char *where, struct tm_err *err)
{
    TM_ASSERT(quality->has_base || !tm_gate_needs_base(gate));
    for (size_t i = 0; i < gate->count; i++) {
        double value = figure_of(quality, gate->clauses[i].figure);
        double bound = gate->clauses[i].bound;
        if (gate->clauses[i].below ? value < bound : value > bound) {
            continue;
        }
        char is[TM_NUM_TEXT], wanted[TM_NUM_TEXT];
        return tm_err_set(err, TM_E_GATE, where, "the model misses its quality gate",
                          "compress with more bits a weight, or widen the gate",
                          "%s is %s; the gate wants it %s %s",
                          figures[gate->clauses[i].figure].text, tm_format_f64(value, is),
                          gate->clauses[i].below ? "below" : "above", tm_format_f64(bound, wanted));
    }
    return TM_OK;
}
