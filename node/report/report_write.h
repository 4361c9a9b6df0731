/* SPDX-License-Identifier: Apache-2.0
 * A report as text, JSON, HTML and a model card: the same figures in the same order, and the same
 * bytes for the same report. All append to out; TM_E_LIMIT when it is full, TM_E_NOMEM. */
#ifndef TM_REPORT_WRITE_H
#define TM_REPORT_WRITE_H

#include "base/json.h"
#include "node/report/map.h"
#include "node/report/page.h"
#include "node/report/report.h"

#define TM_REPORT_WORST 20 /* tensors that text and card list */

/* For a terminal, at most 100 columns wide but for names. */
tm_status tm_report_text(const struct tm_report *report, struct tm_buf *out) TM_MUST_USE;
/* The members of an open object: every tensor, worst first, but no map. */
void tm_report_json(const struct tm_report *report, struct tm_jw *jw);
/* A model card of a package. */
tm_status tm_report_card(const struct tm_report *report, struct tm_buf *out) TM_MUST_USE;

#endif
